package main

import (
	"bytes"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/rogpeppe/go-internal/testscript"
)

var (
	accountLine = regexp.MustCompile(`(?m)^account +(\S+)$`)
	setupLine   = regexp.MustCompile(`(?m)^set-up code +(\S+)$`)
	seedLine    = regexp.MustCompile(`(?m)^seed +(\S+)\n`)
)

// app is an authenticator app that looks at the screen: once it shows a seed, it types
// the code.
type app struct {
	mu    sync.Mutex
	shown bytes.Buffer
	keys  io.WriteCloser
	done  bool
}

func (a *app) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, _ := a.shown.Write(p) // it never fails
	if m := seedLine.FindStringSubmatch(a.shown.String()); m != nil && !a.done {
		a.done = true
		code, err := totp.GenerateCode(m[1], time.Now())
		if err != nil {
			return n, err
		}
		go func() { _, _ = io.WriteString(a.keys, code+"\n"); _ = a.keys.Close() }() // the command may have ended
	}
	return n, nil
}

// cmdAdministrator runs mohor admin for the account that FILE, the output of create,
// names: [!] administrator setup FILE PASSWORD | reset FILE | end FILE. The data
// folder is m.
func cmdAdministrator(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: administrator setup FILE PASSWORD | reset FILE | end FILE")
	}
	made := ts.ReadFile(args[1])
	if args[0] != "setup" {
		err := ts.Exec(program, "admin", args[0], "--data", "m", "--account", accountLine.FindStringSubmatch(made)[1])
		judge(ts, neg, err, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
		return
	}
	cmd := exec.Command(program, "admin", "setup", "--data", "m", "--password-file", args[2])
	cmd.Dir, cmd.Env = ts.MkAbs("."), of(ts).vars
	keys, err := cmd.StdinPipe()
	ts.Check(err)
	var stderr bytes.Buffer
	screen := &app{keys: keys}
	cmd.Stdout, cmd.Stderr = screen, &stderr
	ts.Check(cmd.Start())
	_, err = io.WriteString(keys, setupLine.FindStringSubmatch(made)[1]+"\n")
	ts.Check(err)
	err = cmd.Wait()
	ts.Check(ignore(io.WriteString(ts.Stdout(), screen.shown.String())))
	ts.Check(ignore(io.WriteString(ts.Stderr(), stderr.String())))
	judge(ts, neg, err, strings.ReplaceAll(screen.shown.String(), "\x00", ""), stderr.String())
}

func ignore(_ int, err error) error { return err }

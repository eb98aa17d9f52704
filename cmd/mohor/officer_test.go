package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/internal/sandbox"
)

// signing is a client command with an officer at its prompts.
type signing struct {
	cmd            *exec.Cmd
	stdout, stderr buffer
	cancel         context.CancelFunc
	done           chan struct{}
	err            error // how the command ended, after done
	trouble        error // of the officer, not of the command
}

// officer answers prompts.
type officer struct {
	dev              sandbox.DevFile
	email            string
	pins             []string // given one after another, the last again and again
	wrongCode        bool     // the first code given is not the one sent
	mailed           int      // codes mailed before the command
	code             string
	hide             func(...string)
	codesAsked, pinN int
}

// cmdOfficerSigns runs `mohor ARGS…`, a command that asks for PIN and code, and
// types them when asked: the PIN of dev.json, the code from the sandbox's
// mailbox. Flags: -wrong-pin and -wrong-code give a wrong one first; -pin FILE
// and -to ADDRESS are another officer's; -behind leaves it running until
// officer-ends and sets BATCH.
//
//	officer-signs [FLAGS] DIR ARGS…
func cmdOfficerSigns(ts *testscript.TestScript, neg bool, args []string) {
	f := flag.NewFlagSet("officer-signs", flag.ContinueOnError)
	wrongPIN, wrongCode, behind := f.Bool("wrong-pin", false, ""), f.Bool("wrong-code", false, ""), f.Bool("behind", false, "")
	pinFile, to := f.String("pin", "", ""), f.String("to", "", "")
	ts.Check(f.Parse(args))
	if f.NArg() < 2 || *behind && neg {
		ts.Fatalf("usage: officer-signs [FLAGS] DIR ARGS…")
	}
	s := of(ts)
	dev := readDev(ts, f.Arg(0))
	o := &officer{dev: dev, email: dev.Officers[0].Email, pins: []string{string(dev.Officers[0].PIN.Reveal())}, wrongCode: *wrongCode, hide: s.hide}
	if *to != "" {
		o.email = *to
	}
	if *pinFile != "" {
		o.pins = []string{strings.TrimSpace(ts.ReadFile(*pinFile))}
	}
	if *wrongPIN {
		o.pins = append([]string{"bukan-" + o.pins[0]}, o.pins...)
	}
	s.hide(o.pins...)
	codes, err := o.codes()
	ts.Check(err)
	o.mailed = len(codes)
	x := o.begin(ts, f.Args()[1:])
	if *behind {
		s.behind = x
		ts.Setenv("BATCH", x.announced(ts))
		return
	}
	<-x.done
	x.report(ts, neg)
}

// cmdOfficerEnds waits for what officer-signs -behind began: [!] officer-ends.
func cmdOfficerEnds(ts *testscript.TestScript, neg bool, _ []string) {
	x := of(ts).behind
	if x == nil {
		ts.Fatalf("nothing was begun")
	}
	of(ts).behind = nil
	<-x.done
	x.report(ts, neg)
}

func (x *signing) report(ts *testscript.TestScript, neg bool) {
	fmt.Fprint(ts.Stdout(), x.stdout.String())
	fmt.Fprint(ts.Stderr(), x.stderr.String())
	ts.Check(x.trouble)
	judge(ts, neg, x.err, x.stdout.String(), x.stderr.String())
}

// announced waits for the first line, which names the batch, and returns the
// batch's id.
func (x *signing) announced(ts *testscript.TestScript) (id string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ts.Check(until(ctx, func() (bool, error) {
		for line := range strings.Lines(x.stderr.String()) {
			if rest, ok := strings.CutPrefix(line, "mohor: batch "); ok && strings.HasSuffix(line, "\n") {
				id, _, _ = strings.Cut(rest, ":")
				return true, nil
			}
		}
		select {
		case <-x.done:
			return false, errors.New("the command ended without naming its batch: " + x.stderr.String())
		default:
			return false, nil
		}
	}))
	return id
}

func (o *officer) begin(ts *testscript.TestScript, args []string) *signing {
	path, err := exec.LookPath(program)
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	x := &signing{cmd: exec.CommandContext(ctx, path, args...), cancel: cancel, done: make(chan struct{})}
	x.cmd.Dir = ts.MkAbs(".")
	x.cmd.Env = append(of(ts).vars, "PWD="+x.cmd.Dir)
	x.cmd.Stdout = &x.stdout
	stdin, err := x.cmd.StdinPipe()
	ts.Check(err)
	stderr, err := x.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(x.cmd.Start())
	go func() {
		defer close(x.done)
		defer cancel()
		x.trouble = o.answer(ctx, stderr, stdin, &x.stderr)
		x.err = x.cmd.Wait()
	}()
	return x
}

// answer reads what the command says and types at its prompts.
func (o *officer) answer(ctx context.Context, stderr io.Reader, stdin io.Writer, copied io.Writer) error {
	lines := bufio.NewScanner(stderr)
	var trouble error
	for lines.Scan() {
		fmt.Fprintln(copied, lines.Text())
		typed := ""
		switch lines.Text() {
		case "PIN: ":
			typed = o.pins[min(o.pinN, len(o.pins)-1)]
			o.pinN++
		case "Kod / Code: ":
			var err error
			if typed, err = o.readCode(ctx); err != nil {
				trouble = errors.Join(trouble, err)
			}
		default:
			continue
		}
		if _, err := fmt.Fprintln(stdin, typed); err != nil {
			trouble = errors.Join(trouble, fmt.Errorf("typing: %w", err))
		}
	}
	return errors.Join(trouble, lines.Err())
}

// readCode is the code mailed since the command began, or first a wrong one.
func (o *officer) readCode(ctx context.Context) (string, error) {
	err := until(ctx, func() (bool, error) {
		codes, err := o.codes()
		if len(codes) > o.mailed {
			o.code = codes[0]
		}
		return o.code != "", err
	})
	if err != nil {
		return "", fmt.Errorf("waiting for the code: %w", err)
	}
	wrong := "000000"
	if o.code == wrong {
		wrong = "000001"
	}
	o.hide(o.code, wrong)
	o.codesAsked++
	if o.wrongCode && o.codesAsked == 1 {
		return wrong, nil
	}
	return o.code, nil
}

// codes are those mailed to the officer, newest first.
func (o *officer) codes() ([]string, error) {
	status, body, err := ask(o.dev, http.MethodGet, "/dev/mailbox.json?to="+url.QueryEscape(o.email))
	if err != nil || status != http.StatusOK {
		return nil, fmt.Errorf("reading the mailbox: %d %w", status, err)
	}
	var mails []struct {
		Code string `json:"code"`
	}
	if err := json.Unmarshal(body, &mails); err != nil {
		return nil, fmt.Errorf("reading the mailbox: %w", err)
	}
	var codes []string
	for _, m := range mails {
		if m.Code != "" {
			codes = append(codes, m.Code)
		}
	}
	return codes, nil
}

// cmdCandidates writes a list of N candidates, all good, with certificates numbered with the letter, S
// if none is given: candidates N FILE [LETTER]. No two batches take the same number.
func cmdCandidates(ts *testscript.TestScript, _ bool, args []string) {
	n, letter := 0, "S"
	if len(args) == 2 || len(args) == 3 {
		_, err := fmt.Sscan(args[0], &n)
		ts.Check(err)
	}
	if len(args) == 3 {
		letter = args[2]
	}
	if n < 1 || n > 9999 {
		ts.Fatalf("usage: candidates N FILE [LETTER]")
	}
	var b strings.Builder
	b.WriteString("nama,no_kp,no_sijil,kod_program,nama_program,tahap,kod_pusat,pusat,batch,tahun,bahasa\n")
	for k := range n {
		fmt.Fprintf(&b, "CALON NOMBOR %d,90010199%04d,%s%09d,TP-021-3:2013,PENYEDIAAN MAKANAN,SKM 3,CTH-0601,PUSAT CONTOH,2021/07-A,072021,ms\n", k+1, k+1, letter, k+1)
	}
	ts.Check(writeFile(ts.MkAbs(args[1]), b.String()))
}

// cmdManifest checks an unpacked archive of N certificates: each index once,
// each signed, each file there, once, with the digest named: manifest DIR N.
func cmdManifest(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: manifest DIR N")
	}
	var m batch.Manifest
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(filepath.Join(args[0], "manifest.json"))), &m))
	indexes, files := map[uint32]bool{}, map[string]bool{}
	for _, it := range m.Items {
		indexes[it.Index], files[it.File] = true, true
		sum := sha256.Sum256([]byte(ts.ReadFile(filepath.Join(args[0], filepath.Base(it.File)))))
		if it.State != "signed" || it.SHA256 != hex.EncodeToString(sum[:]) || it.Index >= uint32(len(m.Items)) {
			ts.Fatalf("index %d: state %s, digest named %s, found %x", it.Index, it.State, it.SHA256, sum)
		}
	}
	if n := fmt.Sprint(len(m.Items)); n != args[1] || fmt.Sprint(m.Count) != n || len(indexes) != len(m.Items) || len(files) != len(m.Items) {
		ts.Fatalf("count %d: %s items, %d indexes, %d files", m.Count, n, len(indexes), len(files))
	}
}

// cmdUnpack unpacks an archive of signed certificates: unpack FILE.zip DIR.
func cmdUnpack(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: unpack FILE.zip DIR")
	}
	files, err := unzip(ts.MkAbs(args[0]), ts.MkAbs(args[1]))
	ts.Check(err)
	for _, f := range files {
		fmt.Fprintln(ts.Stdout(), filepath.Base(f))
	}
}

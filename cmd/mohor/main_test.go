package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mohor-sign/mohor/internal/secret"
	mohor "github.com/mohor-sign/mohor/sdk/go"
	"github.com/mohor-sign/mohor/store/ephemeral/redistest"
)

// program is the name under which the test binary runs the real main.
const program = "mohor-program"

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){program: main, "mohor-later": later})
}

// later is main as many years later as MOHOR_TEST_YEARS says.
func later() {
	years, err := strconv.Atoi(os.Getenv("MOHOR_TEST_YEARS"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "mohor-later:", err)
		os.Exit(2)
	}
	os.Exit(runAt(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr, func() time.Time { return time.Now().AddDate(years, 0, 0) }))
}

// play plays stories, all of dir or the files: each is a session a manual could
// show. What the commands do beyond `mohor` stands at their functions.
func play(t *testing.T, dir string, files ...string) {
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                dir,
		Files:              files,
		RequireUniqueNames: true,
		Deadline:           time.Now().Add(25 * time.Minute), // all stories together, with the race detector, on a busy machine,
		Condition:          needed,
		Setup: func(e *testscript.Env) error {
			s := &story{vars: e.Vars, gateways: map[string]*child{}}
			e.Values[storyKey{}] = s
			e.Defer(s.end)
			e.Vars = append(e.Vars, "TOP="+top, "SOFTHSM="+library("softhsm/libsofthsm2.so"), "SPY="+library("pkcs11-spy.so"),
				"NSS="+library("libsoftokn3.so"), "OPENCRYPTOKI="+library("opencryptoki/libopencryptoki.so.0"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"mohor":            cmdMohor,
			"status":           cmdStatus,
			"administrator":    cmdAdministrator,
			"serve":            cmdServe,
			"serve-in-earnest": cmdServeInEarnest,
			"get":              cmdGet,
			"stop-serving":     cmdStopServing,
			"kill-9":           cmdKill9,
			"killed-when":      cmdKilledWhen,
			"midway":           cmdMidway,
			"redis":            cmdRedis,
			"officer-signs":    cmdOfficerSigns,
			"officer-ends":     cmdOfficerEnds,
			"api":              cmdAPI,
			"sqlexec":          cmdSQLExec,
			"tally":            cmdTally,
			"editfile":         cmdEditFile,
			"append":           cmdAppend,
			"jsonget":          cmdJSONGet,
			"mailed":           cmdMailed,
			"jsonkeys":         cmdJSONKeys,
			"filemode":         cmdFileMode,
			"snapshot":         cmdSnapshot,
			"candidates":       cmdCandidates,
			"unpack":           cmdUnpack,
			"manifest":         cmdManifest,
			"archived":         cmdArchived,
			"contains":         cmdContains,
			"restore":          cmdRestore,
			"hides":            cmdHides,
			"bench-batch":      cmdBenchBatch,
			"bench-rows":       cmdBenchRows,
		},
	})
}

// needed is true for what is installed. With MOHOR_TEST_REQUIRE=all, what is
// missing fails the story.
func needed(name string) (bool, error) {
	if name == "redis" {
		err := redistest.Missing()
		if err != nil && os.Getenv("MOHOR_TEST_REQUIRE") == "all" {
			return false, fmt.Errorf("redis-server is required: %w", err)
		}
		return err == nil, nil
	}
	if name == "openssl" || name == "curl" || name == "qpdf" || name == "pdfsig" || name == "certutil" {
		_, err := exec.LookPath(name)
		if err != nil && os.Getenv("MOHOR_TEST_REQUIRE") == "all" {
			return false, fmt.Errorf("%s is required: %w", name, err)
		}
		return err == nil, nil
	}
	file, ok := map[string]string{"softhsm": "softhsm/libsofthsm2.so", "pkcs11-spy": "pkcs11-spy.so",
		"nss": "libsoftokn3.so", "opencryptoki": "opencryptoki/libopencryptoki.so.0"}[name]
	if !ok {
		return false, errors.New("unknown condition")
	}
	if name == "opencryptoki" && exec.Command("unshare", "-m", "-i", "-p", "--fork", "--kill-child", "true").Run() != nil {
		return false, nil // its daemon needs namespaces of its own, which not every container allows
	}
	if library(file) == "" && os.Getenv("MOHOR_TEST_REQUIRE") == "all" {
		return false, fmt.Errorf("%s is required and missing", file)
	}
	return library(file) != "", nil
}

// library finds a shared library as Debian and Ubuntu place it, or "".
func library(file string) string {
	for _, pattern := range []string{"/usr/lib/*-linux-gnu*/" + file, "/usr/lib/" + file} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

type storyKey struct{}

// story is what one script has started and learned.
type story struct {
	vars     []string
	gateways map[string]*child // by data folder
	behind   *signing
	redis    *redistest.Server
	last     int // exit status of the last mohor

	mu     sync.Mutex
	hidden []string // PINs, codes and keys that nothing may print
}

func of(ts *testscript.TestScript) *story { return ts.Value(storyKey{}).(*story) }

// end stops what a failing script left running.
func (s *story) end() {
	for _, g := range s.gateways {
		_ = g.cmd.Process.Kill() // it may have ended by itself
		<-g.done
	}
	if s.behind != nil {
		s.behind.cancel()
		<-s.behind.done
	}
	if s.redis != nil {
		_ = s.redis.Close() // the story has been told
	}
}

// hide adds a secret.
func (s *story) hide(secrets ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range secrets {
		if x != "" {
			s.hidden = append(s.hidden, x)
		}
	}
}

// cmdMohor runs `mohor ARGS…`. Whatever it does, it prints no secret, does not
// panic, and writes to stderr as the conventions say; refusals end with status
// 1 (or 2 for a wrong command line).
func cmdMohor(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec(program, args...)
	judge(ts, neg, err, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
}

// cmdStatus compares the exit status of the last mohor: status N.
func cmdStatus(ts *testscript.TestScript, _ bool, args []string) {
	if got := fmt.Sprint(of(ts).last); len(args) != 1 || got != args[0] {
		ts.Fatalf("exit status %s, want %v", got, args)
	}
}

func judge(ts *testscript.TestScript, neg bool, err error, stdout, stderr string) {
	s := of(ts)
	s.last = 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		s.last = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("running mohor: %v", err)
	}
	ts.Check(s.leaks(ts.MkAbs("."), stdout+"\n"+stderr))
	ts.Check(conventional(stderr))
	switch {
	case neg && (s.last < 1 || s.last > 3) && s.last != int(tempFail):
		ts.Fatalf("exit status %d, want 1 to 3, or %d", s.last, tempFail)
	case !neg && s.last != 0:
		ts.Fatalf("exit status %d", s.last)
	}
}

// said is what a line on stderr looks like: a message (no capital but of an
// abbreviation, no full stop; the gateway's own words end with their code in brackets), a prompt, or
// the log of serve.
var said = regexp.MustCompile(`^(mohor: ([^A-Z]|[A-Z]{2}|SoftHSM).*([^.]|\.\.\.)|mohor: .*\[[a-z_]+\]|((PIN|PIN again|Kod / Code|Kod persediaan / Set-up code|Kod aplikasi pengesah / Code of the authenticator app|Kata laluan baharu / New password|Kata laluan sekali lagi / Password again|own randomness of .*|passphrase of .*)|PIN (lama|baharu|baharu sekali lagi) / (Old PIN|New PIN|New PIN again)): |time=.*)$`)

func conventional(stderr string) error {
	for line := range strings.Lines(stderr) {
		if !said.MatchString(strings.TrimSuffix(line, "\n")) {
			return fmt.Errorf("not a line for stderr: %q", line)
		}
	}
	return nil
}

// leaks looks for every secret below work in a text.
func (s *story) leaks(work, text string) error {
	for _, pattern := range []string{"secrets/*", "*/secrets/*"} {
		files, err := filepath.Glob(filepath.Join(work, pattern))
		if err != nil {
			return err
		}
		for _, f := range files {
			if b, err := os.ReadFile(f); err == nil {
				s.hide(strings.TrimSpace(string(b)))
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, x := range s.hidden {
		found, err := regexp.MatchString(`(^|[^0-9A-Za-z.])`+regexp.QuoteMeta(x)+`([^0-9A-Za-z]|$)`, text)
		if err != nil {
			return err
		}
		if found {
			return fmt.Errorf("secret %d is printed", k)
		}
	}
	return nil
}

func TestLeaksAreFound(t *testing.T) {
	s := &story{}
	s.hide("123456", "k7ya2pin")
	for text, want := range map[string]bool{"code 123456": true, `{"otp":"123456"}`: true, "at 10.123456Z": false, "91234567": false, "pin=k7ya2pin": true, "": false} {
		if got := s.leaks(t.TempDir(), text) != nil; got != want {
			t.Errorf("%q: found %v, want %v", text, got, want)
		}
	}
}

func TestConventionsAreChecked(t *testing.T) {
	for text, want := range map[string]bool{"mohor: no key\n": true, "mohor: No key\n": false, "mohor: no key.\n": false, "no key\n": false, "mohor: one\ntwo\n": false,
		"PIN: \nKod / Code: \n": true, "mohor: PIN salah (tinggal 4 cubaan) [pin_wrong]\n": true, "": true} {
		if got := conventional(text) == nil; got != want {
			t.Errorf("%q: passes %v, want %v", text, got, want)
		}
	}
}

// The key and the PIN go to the address named and to no other.
func TestClientFollowsNoRedirect(t *testing.T) {
	elsewhere := false
	other := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere = true })
	to := serveHTTP(t, other)
	from := serveHTTP(t, http.RedirectHandler(to+"/v1/transactions", http.StatusTemporaryRedirect))
	r := remote{place: place{Server: from, KeyFile: filepath.Join(t.TempDir(), "key")}, IC: "800101149901", System: "IGFMAS"}
	if err := os.WriteFile(r.KeyFile, []byte("mak_made_up_for_this_test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	api, err := r.connect()
	if err != nil {
		t.Fatal(err)
	}
	_, err = api.Sign(t.Context(), "txn_1", mohor.Confirmation{PIN: secret.New("made-up-pin")})
	var p *mohor.Problem
	if !errors.As(err, &p) || p.Status != http.StatusTemporaryRedirect {
		t.Errorf("got %v, want the redirect itself", err)
	}
	if elsewhere {
		t.Error("the request was sent on to another host")
	}
}

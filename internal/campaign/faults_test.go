package campaign_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fault is one way for the module to fail. A fault sets in at a call chosen at random and, unless
// it happens once, is lifted some time later.
type fault struct {
	name string
	// lines are for the control file; %d is the number of the call, SIGN is C_SignInit or C_Sign.
	lines []string
	// calls is where the number lies, in calls of a batch of 1,000 documents: [100, calls].
	// 0 stands for the first call.
	calls int
	// once: nothing is lifted, the fault is over when it happened.
	once bool
	// stays: the line is left in place to the end of the run.
	stays bool
	// hold is for how long at least the fault lasts; up to held is added at random.
	hold time.Duration
	// act is done when the call is reached, and gives what lifts it.
	act func(t *testing.T, r *rig) (lift func())
	// control: a gateway without recovery must not come back from it by itself.
	control bool
}

// Calls by which a thousand documents are signed: C_SignInit and C_Sign each.
const (
	anyCall  = 1800
	signCall = 900
	held     = 150 * time.Millisecond
)

// errorsOnce are the return values after which a session is replaced, a key opened again, or the
// module given up.
var errorsOnce = []uint{0xB3, 0x101, 0x90, 0x82, 0x60, 0x30, 0x32, 0x190, 0x5, 0xE0, 0x6}

func faults() []fault {
	list := []fault{
		{name: "none", once: true, lines: []string{"slow 0 - %d"}, calls: anyCall},
		{name: "slow", lines: []string{"slow 40 C_Sign %d+"}, calls: signCall, hold: held},
		{name: "removed", lines: []string{"removed - %d+"}, calls: anyCall, hold: held, control: true},
		{name: "server gone", lines: []string{"disconnected 0x30 - %d+"}, calls: anyCall, hold: held, control: true},
		{name: "sessions lost", once: true, lines: []string{"sessions-lost - %d"}, calls: anyCall},
		{name: "logged out", once: true, lines: []string{"logout - %d"}, calls: anyCall},
		{name: "logged in anew", once: true, lines: []string{"login - %d"}, calls: anyCall},
		{name: "finalized", once: true, lines: []string{"finalize - %d"}, calls: anyCall, control: true},
		{name: "initialised anew", once: true, lines: []string{"reinitialize - %d"}, calls: anyCall},
		{name: "token folder gone", lines: []string{"slow 0 - %d"}, calls: anyCall, hold: held, act: folderGone, control: true},
		{name: "token replaced", lines: []string{"slow 0 - %d"}, calls: anyCall, hold: held, act: tokenReplaced},
		{name: "module hangs", lines: []string{"hang * %d+"}, calls: anyCall, hold: 6 * time.Second},
		{name: "module hangs shortly", lines: []string{"hang * %d+"}, calls: anyCall, hold: held},
		{name: "call hangs", once: true, stays: true, lines: []string{"hang C_Sign %d"}, calls: signCall, control: true},
		{name: "answer hangs", once: true, stays: true, lines: []string{"hang-after C_Sign %d"}, calls: signCall},
		{name: "wrong signature", once: true, lines: []string{"wrong-signature C_Sign %d"}, calls: signCall},
		{name: "uncertain signature", once: true, lines: []string{"error-after 0x30 C_Sign %d"}, calls: signCall},
		{name: "uncertain, session lost", once: true, lines: []string{"error-after 0xB3 C_Sign %d"}, calls: signCall},
		{name: "unwrap fails", once: true, lines: []string{"error 0x30 C_UnwrapKey 1"}},
		{name: "unwrap uncertain", once: true, lines: []string{"error-after 0x5 C_UnwrapKey 1"}},
		{name: "destroy fails", once: true, lines: []string{"error 0x5 C_DestroyObject 1"}},
		{name: "crash", once: true, lines: []string{"segv C_Sign %d"}, calls: signCall},
		{name: "crash in unwrap", once: true, lines: []string{"segv C_UnwrapKey 1"}},
		{name: "exit", once: true, lines: []string{"exit C_Sign %d"}, calls: signCall},
		{name: "slow to come back", lines: []string{"down 0x30 * %d+"}, calls: anyCall, hold: 2 * time.Second},
	}
	for _, rv := range []uint{0x30, 0x32, 0x190, 0x5, 0xE0} {
		list = append(list, fault{name: fmt.Sprintf("down 0x%X", rv), lines: []string{fmt.Sprintf("down 0x%X * %%d+", rv)}, calls: anyCall, hold: held})
	}
	for _, rv := range errorsOnce {
		list = append(list, fault{name: fmt.Sprintf("error 0x%X", rv), once: true, lines: []string{fmt.Sprintf("error 0x%X SIGN %%d", rv)}, calls: signCall})
	}
	return list
}

// arm gives the lines of the control file, for a batch of n documents.
func (f *fault) arm(n int) (lines []string) {
	for _, l := range f.lines {
		l = strings.Replace(l, "SIGN", [...]string{"C_SignInit", "C_Sign"}[rand.N(2)], 1)
		if strings.Contains(l, "%d") {
			from := 100 * n / 1000
			l = fmt.Sprintf(l, from+rand.N(f.calls*n/1000-from))
		}
		lines = append(lines, l)
	}
	return lines
}

// folderGone takes SoftHSM's folder of tokens away.
func folderGone(t *testing.T, r *rig) func() {
	from, to := r.tokens(), r.tokens()+".away"
	rename(t, from, to)
	return func() {
		_ = os.RemoveAll(from) // the module may have made it again
		rename(t, to, from)
	}
}

// tokenReplaced puts another token of the same label and PIN in the place of ours, without keys.
func tokenReplaced(t *testing.T, r *rig) func() {
	other := filepath.Join(r.dir, "token", "other")
	if _, err := os.Stat(other); err != nil {
		r.makeToken(t, other)
	}
	from, to := r.tokens(), r.tokens()+".away"
	rename(t, from, to)
	rename(t, filepath.Join(other, "tokens"), from)
	return func() {
		rename(t, from, filepath.Join(other, "tokens"))
		rename(t, to, from)
	}
}

// rename may be called beside the test's own goroutine.
func rename(t *testing.T, from, to string) {
	if err := os.Rename(from, to); err != nil {
		t.Error(err)
	}
}

func (r *rig) tokens() string { return filepath.Join(r.dir, "token", "tokens") }

func (r *rig) makeToken(t *testing.T, dir string) {
	pin, err := os.ReadFile(filepath.Join(r.dir, "secrets", "token.pin"))
	if err == nil {
		err = os.MkdirAll(filepath.Join(dir, "tokens"), 0o700)
	}
	conf := filepath.Join(dir, "softhsm2.conf")
	if err == nil {
		err = os.WriteFile(conf, []byte("directories.tokendir = "+filepath.Join(dir, "tokens")+"\nobjectstore.backend = file\n"), 0o600)
	}
	if err != nil {
		t.Error(err)
		return
	}
	cmd := exec.Command("softhsm2-util", "--init-token", "--free", "--label", r.label(t), "--so-pin", "12345678", "--pin", strings.TrimSpace(string(pin)))
	cmd.Env = append(os.Environ(), "SOFTHSM2_CONF="+conf)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("making another token: %v\n%s", err, out)
	}
}

// label of the token, from the configuration.
func (r *rig) label(t *testing.T) string {
	conf, err := os.ReadFile(filepath.Join(r.dir, "mohor.yaml"))
	if err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(string(conf)) {
		if v, ok := strings.CutPrefix(line, "  label: "); ok {
			return strings.Trim(strings.TrimSpace(v), `"`)
		}
	}
	return ""
}

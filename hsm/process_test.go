package hsm_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/secret"
)

// processEnv makes the test binary the other side of an hsm.Process.
const processEnv = "MOHOR_HSM_TEST_PROCESS"

func serveProcess() error {
	f := os.NewFile(3, "hsm")
	conn, err := net.FileConn(f)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return hsm.ServeProcess(conn, slog.New(slog.DiscardHandler), os.Exit)
}

// processes gives commands, and remembers them.
type processes struct {
	mu   sync.Mutex
	cmds []*exec.Cmd
}

func (p *processes) command() *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), processEnv+"=1")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cmds = append(p.cmds, cmd)
	return cmd
}

// last gives the process started last.
func (p *processes) last() *os.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmds[len(p.cmds)-1].Process
}

func openProcess(t *testing.T, change ...func(*hsm.Config)) (*hsm.Process, *processes) {
	t.Helper()
	open(t) // makes token and keys
	cfg := config(t)
	for _, c := range change {
		c(&cfg)
	}
	ps := &processes{}
	p, err := hsm.StartProcess(t.Context(), cfg, ps.command)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil && !errors.Is(err, hsm.ErrClosed) {
			t.Errorf("Close: %v", err)
		}
	})
	return p, ps
}

// eventually tries f until it succeeds, as long as the test may run.
func eventually(t testing.TB, f func() error) {
	t.Helper()
	for {
		err := f()
		if err == nil {
			return
		}
		if t.Context().Err() != nil {
			t.Fatal(err)
		}
	}
}

func TestProcessIsAModule(t *testing.T) {
	p, _ := openProcess(t)
	if err := p.SelfTest(t.Context(), firstKEK); err != nil {
		t.Fatal(err)
	}
	if err := p.Canary(t.Context(), firstKEK); err != nil {
		t.Error(err)
	}
	m := open(t)
	there, err := p.MAC(t.Context(), hsm.CodeKey, []byte("data"))
	if err != nil {
		t.Fatal(err)
	}
	if here, err := m.MAC(t.Context(), hsm.CodeKey, []byte("data")); err != nil || string(here) != string(there) {
		t.Errorf("MAC differs: %v", err)
	}
	label := "process-" + fresh(t)
	if _, err := p.Signer(label); !errors.Is(err, hsm.ErrNoKey) {
		t.Errorf("Signer of no key: %v", err)
	}
	if made, err := p.EnsureSigner(t.Context(), label, hsm.RSA2048); err != nil || !made {
		t.Fatal(made, err)
	}
	if made, err := m.EnsureSigner(t.Context(), label, hsm.RSA2048); err != nil || made {
		t.Fatal(made, err)
	}
	if _, err := p.EnsureSigner(t.Context(), label, hsm.ECDSAP256); !errors.Is(err, hsm.ErrKeyPolicy) {
		t.Errorf("EnsureSigner of another kind: %v", err)
	}
	signer, err := p.Signer(label)
	if err != nil {
		t.Fatal(err)
	}
	digest := make([]byte, 32)
	pss := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	sig, err := signer.Sign(nil, digest, pss)
	if err != nil {
		t.Fatal(err)
	}
	if err := rsa.VerifyPSS(signer.Public().(*rsa.PublicKey), crypto.SHA256, digest, sig, pss); err != nil {
		t.Error(err)
	}
	b := binding(hsm.ECDSAP256)
	s, request, err := p.Generate(t.Context(), firstKEK, b, nil, pin(officerPIN))
	if err != nil {
		t.Fatal(err)
	}
	pub := request.PublicKey
	if _, err := p.Unseal(t.Context(), b, s, pub, pin("87654321"), soon()); !errors.Is(err, hsm.ErrWrongPIN) || errors.Is(err, hsm.ErrUnavailable) {
		t.Errorf("wrong PIN: %v", err)
	}
	next, changed, err := p.ChangePIN(t.Context(), b, s, pub, pin(officerPIN), pin("new-pin-1"))
	if err != nil || next.Version != b.Version+1 {
		t.Fatalf("ChangePIN = %+v, %v", next, err)
	}
	k, err := p.Unseal(t.Context(), next, changed, pub, pin("new-pin-1"), soon())
	if err != nil {
		t.Fatal(err)
	}
	mustSign(t, k)
	if _, err := k.Sign(t.Context(), digest[1:], crypto.SHA256); !errors.Is(err, hsm.ErrInput) {
		t.Errorf("short digest: %v", err)
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
	if _, err := k.Sign(t.Context(), digest, crypto.SHA256); !errors.Is(err, hsm.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

func mustSign(t testing.TB, k *hsm.Key) {
	t.Helper()
	digest := make([]byte, 32)
	sig, err := k.Sign(t.Context(), digest, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if pub, ok := k.Public().(*ecdsa.PublicKey); ok && !ecdsa.VerifyASN1(pub, digest, sig) {
		t.Error("signature does not verify")
	}
}

// TestProcessSurvivesItsProcess kills, stops and crashes the process below a load; keys opened
// before go on signing, nothing that is answered is wrong, and nobody waits for ever.
func TestProcessSurvivesItsProcess(t *testing.T) {
	p, ps := openProcess(t)
	if err := p.SelfTest(t.Context(), firstKEK); err != nil {
		t.Fatal(err)
	}
	b := binding(hsm.ECDSAP256)
	s, request, err := p.Generate(t.Context(), firstKEK, b, nil, pin(officerPIN))
	if err != nil {
		t.Fatal(err)
	}
	pub := request.PublicKey
	k, err := p.Unseal(t.Context(), b, s, pub, pin(officerPIN), soon())
	if err != nil {
		t.Fatal(err)
	}
	signer, err := p.Signer(makeSigner(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSEGV, syscall.SIGSTOP} {
		before := p.Generation()
		var load sync.WaitGroup
		ctx, stop := context.WithCancel(t.Context())
		for range 4 {
			load.Go(func() {
				for ctx.Err() == nil {
					sigs, err := k.SignAll(ctx, [][]byte{make([]byte, 32), make([]byte, 32), make([]byte, 32)}, crypto.SHA256)
					if err == nil && len(sigs) != 3 {
						t.Errorf("%v: %d signatures of 3 digests", sig, len(sigs))
					}
					if err != nil && !errors.Is(err, hsm.ErrUnavailable) && ctx.Err() == nil {
						t.Errorf("%v: %v", sig, err)
						return
					}
				}
			})
		}
		if err := ps.last().Signal(sig); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() error {
			if p.Generation() == before {
				return fmt.Errorf("%v: not started again", sig)
			}
			return nil
		})
		stop()
		load.Wait()
		mustSign(t, k)
		if _, err := signer.Sign(nil, make([]byte, 32), crypto.SHA256); err != nil {
			t.Errorf("%v: service key: %v", sig, err)
		}
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
}

// A label that has another key now, in this process or the next, signs nothing for who knows the earlier one.
func TestServiceKeyIsTheOneThatWasFound(t *testing.T) {
	p, ps := openProcess(t)
	one, err := p.Signer(makeSigner(t))
	if err != nil {
		t.Fatal(err)
	}
	other, err := p.Signer(makeSigner(t))
	if err != nil {
		t.Fatal(err)
	}
	replaced := hsm.As(one, other)
	for _, restarted := range []bool{false, true} {
		if restarted {
			before := p.Generation()
			if err := ps.last().Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			eventually(t, func() error {
				if p.Generation() == before {
					return errors.New("not started again")
				}
				return nil
			})
		}
		if sig, err := replaced.Sign(nil, make([]byte, 32), crypto.SHA256); !errors.Is(err, hsm.ErrKeyPolicy) || sig != nil {
			t.Errorf("restarted %t: %x, %v", restarted, sig, err)
		}
		if _, err := one.Sign(nil, make([]byte, 32), crypto.SHA256); err != nil {
			t.Errorf("restarted %t: %v", restarted, err)
		}
	}
}

func makeSigner(t testing.TB) string {
	t.Helper()
	label := "process-" + fresh(t)
	if _, err := open(t).EnsureSigner(t.Context(), label, hsm.ECDSAP256); err != nil {
		t.Fatal(err)
	}
	return label
}

func TestProcessTriesTheTokenPINOnce(t *testing.T) {
	open(t)
	cfg := config(t)
	cfg.PIN = secret.New("not-the-pin")
	ps := &processes{}
	if _, err := hsm.StartProcess(t.Context(), cfg, ps.command); !errors.Is(err, hsm.ErrTokenPIN) {
		t.Errorf("StartProcess = %v", err)
	}
	if n := len(ps.cmds); n != 1 {
		t.Errorf("%d processes were started", n)
	}
	cfg = config(t)
	cfg.TokenLabel = "nobody"
	if _, err := hsm.StartProcess(t.Context(), cfg, ps.command); !errors.Is(err, hsm.ErrNoToken) {
		t.Errorf("StartProcess = %v", err)
	}
}

// TestProcessKeepsTheModuleOut: neither the library nor anything of the token PIN is in the command
// line, environment or memory map of the wrong process.
// Who has given up waiting reads nothing of an answer that comes late (the race detector tells).
func TestGaugeThatWasGivenUp(t *testing.T) {
	p, ps := openProcess(t)
	for late := 0; late < 5; {
		if err := ps.last().Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		g, err := p.Gauge(ctx) // a few may be quicker than the signal
		cancel()
		if err != nil {
			late++
		}
		if err != nil && g != (hsm.Gauge{}) {
			t.Errorf("Gauge of a stopped process = %+v, %v", g, err)
		}
		if err := ps.last().Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() error { _, err := p.Gauge(t.Context()); return err })
	}
}

func TestProcessKeepsTheModuleOut(t *testing.T) {
	_, ps := openProcess(t)
	proc := filepath.Join("/proc", strconv.Itoa(ps.last().Pid))
	for _, name := range []string{"cmdline", "environ"} {
		b, err := os.ReadFile(filepath.Join(proc, name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), tokenPIN) {
			t.Errorf("token PIN in %s", name)
		}
	}
	maps, err := os.ReadFile(filepath.Join(proc, "maps"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(maps), "libsofthsm2") {
		t.Error("the process has no module mapped: what was tested?")
	}
}

func TestProcessEndsWithItsParent(t *testing.T) {
	p, ps := openProcess(t)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := ps.last().Signal(syscall.Signal(0)); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("process is still there: %v", err)
	}
	if err := p.Canary(t.Context(), firstKEK); !errors.Is(err, hsm.ErrClosed) {
		t.Errorf("Canary after Close: %v", err)
	}
	if err := p.Close(); !errors.Is(err, hsm.ErrClosed) {
		t.Errorf("Close again: %v", err)
	}
}

// TestTwoGatewaysOnOneToken: what one process does to its own side of a token, another does not
// notice.
func TestTwoGatewaysOnOneToken(t *testing.T) {
	one, ps := openProcess(t)
	two, _ := openProcess(t)
	if err := errors.Join(one.SelfTest(t.Context(), firstKEK), two.SelfTest(t.Context(), firstKEK)); err != nil {
		t.Fatal(err)
	}
	b := binding(hsm.ECDSAP256)
	s, request, err := one.Generate(t.Context(), firstKEK, b, nil, pin(officerPIN))
	if err != nil {
		t.Fatal(err)
	}
	pub := request.PublicKey
	k, err := two.Unseal(t.Context(), b, s, pub, pin(officerPIN), soon())
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	for range 3 {
		before := one.Generation()
		if err := ps.last().Kill(); err != nil {
			t.Fatal(err)
		}
		for one.Generation() == before {
			mustSign(t, k)
		}
	}
	if g := two.Generation(); g != 1 {
		t.Errorf("the other gateway's process was started %d times", g)
	}
	again, err := one.Unseal(t.Context(), b, s, pub, pin(officerPIN), soon())
	if err != nil {
		t.Fatal(err)
	}
	mustSign(t, again)
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// TestStoppedProcessWedgesNobody: more callers than the socket takes, and a process that reads
// nothing. Everybody is answered, the process is replaced, and Close returns.
func TestStoppedProcessWedgesNobody(t *testing.T) {
	p, ps := openProcess(t, func(c *hsm.Config) { c.CallTimeout = time.Second })
	if err := p.SelfTest(t.Context(), firstKEK); err != nil {
		t.Fatal(err)
	}
	before := p.Generation()
	if err := ps.last().Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var asking sync.WaitGroup
	for range 1500 {
		asking.Go(func() {
			_, err := p.MAC(t.Context(), hsm.CodeKey, make([]byte, 64)) // a few may be quicker than the signal
			if err != nil && !errors.Is(err, hsm.ErrUnavailable) {
				t.Error(err)
			}
		})
	}
	asking.Wait()
	eventually(t, func() error { return p.Canary(t.Context(), firstKEK) })
	if p.Generation() == before {
		t.Error("the process was not replaced")
	}
}

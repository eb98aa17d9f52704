package hsm_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/mohor-sign/mohor/hsm/hsmtest"
)

// crashEnv makes TestFaultyModuleCrashes the process that crashes; its value is the fault.
const crashEnv = "MOHOR_HSM_TEST_CRASH"

// bare is a user of the faulty module with nothing between: one session, logged in, and a key.
type bare struct {
	*hsmtest.Faulty
	t    *testing.T
	p11  *pkcs11.Ctx
	slot uint
	s    pkcs11.SessionHandle
	key  pkcs11.ObjectHandle
}

func newBare(t *testing.T) *bare {
	t.Helper()
	cfg := config(t)
	open(t).Close() // makes the token
	b := &bare{Faulty: hsmtest.New(t, cfg.Module), t: t}
	b.Here(t)
	if b.p11 = pkcs11.New(b.Module); b.p11 == nil {
		t.Fatal("the faulty module does not load")
	}
	b.start()
	t.Cleanup(func() {
		b.Set(t)
		b.p11.Finalize()
		b.p11.Destroy()
	})
	return b
}

// start initialises, finds the token, logs in and makes a key.
func (b *bare) start() {
	b.t.Helper()
	b.must(b.p11.Initialize())
	slots, err := b.p11.GetSlotList(true)
	b.must(err)
	found := false
	for _, slot := range slots {
		info, err := b.p11.GetTokenInfo(slot)
		b.must(err)
		if info.Label == tokenName {
			b.slot, found = slot, true
		}
	}
	if !found {
		b.t.Fatal("no token")
	}
	b.session()
	b.must(b.p11.Login(b.s, pkcs11.CKU_USER, tokenPIN))
	b.pair()
}

func (b *bare) session() {
	b.t.Helper()
	var err error
	b.s, err = b.p11.OpenSession(b.slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	b.must(err)
}

func (b *bare) pair() {
	b.t.Helper()
	p256 := []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}
	_, key, err := b.p11.GenerateKeyPair(b.s, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_EC_KEY_PAIR_GEN, nil)},
		[]*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, p256)}, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_SIGN, true)})
	b.must(err)
	b.key = key
}

func (b *bare) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bare) sign() ([]byte, error) {
	if err := b.p11.SignInit(b.s, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_ECDSA, nil)}, b.key); err != nil {
		return nil, err
	}
	return b.p11.Sign(b.s, bytes.Repeat([]byte{7}, 32))
}

// gives checks what a signature comes back with; 0 is success.
func (b *bare) gives(rvs ...uint) {
	b.t.Helper()
	for k, rv := range rvs {
		sig, err := b.sign()
		if rv == 0 && (err != nil || len(sig) != 64) || rv != 0 && !errors.Is(err, pkcs11.Error(rv)) {
			b.t.Errorf("signature %d: %d bytes, %v, want 0x%X", k+1, len(sig), err, rv)
		}
	}
}

// Each fault is seen through nothing but the bindings, and is gone when its line is.
func TestFaultyModuleInjects(t *testing.T) {
	b := newBare(t)
	again := func() { // for faults that leave nothing to go on with
		b.Set(t)
		if err := b.p11.Finalize(); err != nil && !errors.Is(err, pkcs11.Error(pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED)) {
			t.Error(err)
		}
		b.start()
	}
	listed := func() int {
		slots, err := b.p11.GetSlotList(true)
		b.must(err)
		return len(slots)
	}
	for _, f := range []struct {
		name   string
		faults []string
		see    func()
	}{
		{"none", nil, func() { b.gives(0, 0) }},
		{"down", []string{"down 0x30"}, func() {
			b.gives(0x30, 0x30)
			b.must(b.p11.Finalize())
			b.must(b.p11.Initialize())
		}},
		{"down altogether", []string{"down 0x5 *"}, func() {
			b.gives(0x5)
			if err := b.p11.Initialize(); !errors.Is(err, pkcs11.Error(0x5)) {
				t.Errorf("Initialize: %v", err)
			}
		}},
		{"error on the second", []string{"error 0x32 C_SignInit 2"}, func() { b.gives(0, 0x32, 0) }},
		{"error from the second on", []string{"error 0x82 C_SignInit 2+"}, func() { b.gives(0, 0x82, 0x82) }},
		{"two at once", []string{"error 0x82 C_SignInit 1", "error 0x5 C_SignInit 1"}, func() { b.gives(0x82, 0x5, 0) }},
		{"removed", []string{"removed"}, func() {
			b.gives(0x32)
			if n := listed(); n != 0 {
				t.Errorf("%d slots with a token", n)
			}
			if _, err := b.p11.OpenSession(b.slot, pkcs11.CKF_SERIAL_SESSION); !errors.Is(err, pkcs11.Error(0xE0)) {
				t.Errorf("OpenSession: %v", err)
			}
			b.Set(t)
			b.gives(0xB3)
			if n := listed(); n == 0 {
				t.Error("the token is not back")
			}
		}},
		{"removed from the third call on", []string{"removed - 3+"}, func() {
			b.gives(0, 0x32)
			if n := listed(); n != 0 {
				t.Errorf("%d slots with a token", n)
			}
			calls := b.Calls(t, "fault:", "C_SignInit")
			if c := calls[len(calls)-2]; c.Function != "fault:removed" {
				t.Errorf("log: %+v", calls)
			}
		}},
		{"disconnected", []string{"disconnected 0x30"}, func() {
			b.gives(0x30)
			b.must(b.p11.Finalize())
			if err := b.p11.Initialize(); !errors.Is(err, pkcs11.Error(0x30)) {
				t.Errorf("Initialize: %v", err)
			}
			b.Set(t)
			b.start()
			b.gives(0)
		}},
		{"disconnected and back", []string{"disconnected 0x30"}, func() {
			b.gives(0x30)
			b.Set(t)
			b.gives(0x30)
		}},
		{"sessions lost", []string{"sessions-lost"}, func() {
			b.gives(0xB3, 0xB3)
			b.session() // once only
			b.must(b.p11.Login(b.s, pkcs11.CKU_USER, tokenPIN))
			b.pair()
			b.gives(0)
		}},
		{"sessions lost in between", []string{"sessions-lost C_Sign 2"}, func() { b.gives(0, 0xB3) }},
		{"logged out", []string{"logout C_SignInit"}, func() {
			if _, err := b.sign(); err == nil {
				t.Error("a signature without a log-in")
			}
			b.must(b.p11.Login(b.s, pkcs11.CKU_USER, tokenPIN))
		}},
		{"logged in anew", []string{"login C_SignInit"}, func() {
			if _, err := b.sign(); err == nil {
				t.Error("a handle outlived the log-in")
			}
			b.pair()
			b.gives(0)
		}},
		{"finalized", []string{"finalize"}, func() { b.gives(0x190, 0x190) }},
		{"initialised anew", []string{"reinitialize"}, func() {
			b.gives(0xB3)
			if err := b.p11.Initialize(); !errors.Is(err, pkcs11.Error(0x191)) {
				t.Errorf("Initialize: %v", err)
			}
		}},
		{"error after", []string{"error-after 0x30 C_Sign 2"}, func() {
			b.gives(0, 0x30, 0)
			calls := b.Calls(t, "C_Sign")
			if c := calls[len(calls)-2]; !c.Asked || c.Real != 0 || c.Told != 0x30 || !bytes.Equal(c.Input, bytes.Repeat([]byte{7}, 32)) {
				t.Errorf("log: %+v", c)
			}
		}},
	} {
		t.Run(f.name, func(t *testing.T) {
			b.t = t
			defer func() { b.t = t }()
			again()
			b.gives(0)
			b.Set(t, f.faults...)
			f.see()
			again()
			b.gives(0)
		})
	}
	b.t = t
}

func TestFaultyModuleCounts(t *testing.T) {
	b := newBare(t)
	b.gives(0, 0, 0)
	b.Set(t, "error 0x5 C_Sign 2")
	b.gives(0, 0x5)
	calls := b.Calls(t, "C_SignInit", "C_Sign")
	if len(calls) != 10 {
		t.Errorf("%d calls, want 5 of each: %+v", len(calls), calls)
	}
	if c := calls[len(calls)-1]; c.Function != "C_Sign" || c.Asked || c.Told != 5 || c.PID != os.Getpid() || time.Since(c.At) > time.Minute {
		t.Errorf("the last call: %+v", c)
	}
}

func TestFaultyModuleSpoilsSignature(t *testing.T) {
	b := newBare(t)
	var sigs [][]byte
	for _, fault := range [][]string{nil, {"wrong-signature"}} {
		b.Set(t, fault...)
		b.must(b.p11.SignInit(b.s, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_SHA256_HMAC, nil)}, b.secret()))
		sig, err := b.p11.Sign(b.s, []byte("x"))
		b.must(err)
		sigs = append(sigs, sig)
	}
	if diff := sigs[0][5] ^ sigs[1][5]; diff != 1 || len(sigs[0]) != 32 || len(sigs[1]) != 32 {
		t.Errorf("%x and %x", sigs[0], sigs[1])
	}
}

// secret is a MAC key that is always the same.
func (b *bare) secret() pkcs11.ObjectHandle {
	b.t.Helper()
	h, err := b.p11.CreateObject(b.s, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY), pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_GENERIC_SECRET),
		pkcs11.NewAttribute(pkcs11.CKA_SIGN, true), pkcs11.NewAttribute(pkcs11.CKA_VALUE, make([]byte, 32)),
	})
	b.must(err)
	return h
}

func TestFaultyModuleWaits(t *testing.T) {
	b := newBare(t)
	b.Set(t, "slow 120 C_Sign")
	from := time.Now()
	b.gives(0)
	if d := time.Since(from); d < 120*time.Millisecond {
		t.Errorf("slow: %v", d)
	}
	for fault, before := range map[string]int{"hang C_Sign": 0, "hang-after C_Sign": 0} {
		b.Set(t, fault)
		made := len(b.Calls(t, "C_Sign"))
		done := make(chan error, 1)
		go func() {
			_, err := b.sign()
			done <- err
		}()
		// Another call gets through and this one does not.
		for range 20 {
			_, err := b.p11.GetTokenInfo(b.slot)
			b.must(err)
		}
		select {
		case err := <-done:
			t.Errorf("%s: the call came back: %v", fault, err)
		case <-time.After(100 * time.Millisecond):
		}
		if n := len(b.Calls(t, "C_Sign")) - made; n != before {
			t.Errorf("%s: %d calls came back", fault, n)
		}
		b.Set(t)
		b.must(<-done)
	}
}

// What kills the process is tried in another one.
func TestFaultyModuleCrashes(t *testing.T) {
	if fault := os.Getenv(crashEnv); fault != "" {
		b := newBare(t)
		b.Set(t, fault+" C_Sign 2")
		b.gives(0, 0)
		t.Fatal("still alive")
	}
	config(t)
	for fault, status := range map[string]int{"segv": 2, "exit": 3} {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestFaultyModuleCrashes$")
		cmd.Env = append(slices.Clone(os.Environ()), crashEnv+"="+fault, "TMPDIR="+t.TempDir())
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != status || strings.Contains(string(out), "still alive") {
			t.Errorf("%s: %v\n%s", fault, err, out)
		}
		if fault == "segv" && !strings.Contains(string(out), "SIGSEGV") {
			t.Errorf("not a SIGSEGV:\n%s", out)
		}
	}
}

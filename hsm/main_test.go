package hsm_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/mohor-sign/mohor/hsm"
	softhsmconfig "github.com/mohor-sign/mohor/softhsm-config"

	"github.com/mohor-sign/mohor/internal/secret"
)

const (
	tokenName = "mohor-test"
	tokenPIN  = "token-pin-4711"
	soPIN     = "so-pin-08154711"
	firstKEK  = "mohor-kek-1"
)

// TestMain keeps the token's directory for the whole binary: SOFTHSM2_CONF belongs to the process.
func TestMain(m *testing.M) {
	if os.Getenv(processEnv) != "" {
		if err := serveProcess(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if os.Getenv(childEnv) != "" {
		if err := child(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	dir, err := os.MkdirTemp("", "mohor-hsm-")
	if err == nil {
		var conf string
		if conf, err = softhsmconfig.Write(dir); err == nil {
			err = os.Setenv("SOFTHSM2_CONF", conf)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// unavailable skips a test for want of something, or fails it where nothing may be wanting.
func unavailable(t testing.TB, what string, err error) {
	t.Helper()
	if os.Getenv("MOHOR_TEST_REQUIRE") == "all" {
		t.Fatalf("%s is required: %v", what, err)
	}
	t.Skipf("%s is missing: %v", what, err)
}

func requireTool(t testing.TB, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		unavailable(t, name, err)
	}
}

// baseConfig gives a configuration for the shared token, with a cheap key derivation.
func baseConfig() (hsm.Config, error) {
	module, err := hsm.DefaultModule()
	return hsm.Config{
		Module:         module,
		TokenLabel:     tokenName,
		PIN:            secret.New(tokenPIN),
		Sessions:       8,
		AcquireTimeout: 20 * time.Second,
		KDF:            hsm.KDFParams{MemoryKiB: 1 << 10, Time: 1, Threads: 1},
	}, err
}

func config(t testing.TB) hsm.Config {
	t.Helper()
	cfg, err := baseConfig()
	if err != nil {
		unavailable(t, "SoftHSM", err)
	}
	return cfg
}

// fresh gives a part of a label that no earlier run in this process used.
func fresh(t testing.TB) string {
	t.Helper()
	return strings.ToLower(rand.Text())[:8]
}

var makeToken sync.Once

// open opens the shared token, making it and its keys first.
func open(t testing.TB, change ...func(*hsm.Config)) *hsm.Module {
	t.Helper()
	cfg := config(t)
	makeToken.Do(func() {
		created, err := hsm.CreateToken(t.Context(), cfg, secret.New(soPIN))
		if err != nil || !created {
			t.Fatalf("CreateToken = %t, %v", created, err)
		}
	})
	for _, c := range change {
		c(&cfg)
	}
	m, err := hsm.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil && err != hsm.ErrClosed {
			t.Errorf("Close: %v", err)
		}
	})
	if _, err := m.EnsureKeys(t.Context(), firstKEK); err != nil {
		t.Fatal(err)
	}
	return m
}

// attacker is somebody else in this process with the log-in of the module under test.
type attacker struct {
	p11 *pkcs11.Ctx
	s   pkcs11.SessionHandle
}

func newAttacker(t testing.TB) attacker {
	t.Helper()
	p11 := pkcs11.New(config(t).Module)
	if p11 == nil {
		t.Fatal("module does not load")
	}
	t.Cleanup(p11.Destroy)
	if err := p11.Initialize(); err != pkcs11.Error(pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED) {
		t.Fatalf("Initialize = %v; is a Module open?", err)
	}
	slots, err := p11.GetSlotList(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, slot := range slots {
		info, err := p11.GetTokenInfo(slot)
		if err != nil {
			t.Fatal(err)
		}
		if info.Label != tokenName {
			continue
		}
		s, err := p11.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
		if err != nil {
			t.Fatal(err)
		}
		return attacker{p11, s}
	}
	t.Fatal("no token")
	return attacker{}
}

// find gives all objects of a class with a label ("" for any), session objects too.
func (a attacker) find(t testing.TB, class uint, label string) []pkcs11.ObjectHandle {
	t.Helper()
	template := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, class)}
	if label != "" {
		template = append(template, pkcs11.NewAttribute(pkcs11.CKA_LABEL, label))
	}
	if err := a.p11.FindObjectsInit(a.s, template); err != nil {
		t.Fatal(err)
	}
	found, _, err := a.p11.FindObjects(a.s, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.p11.FindObjectsFinal(a.s); err != nil {
		t.Fatal(err)
	}
	return found
}

// sessionKeys counts private keys that are session objects.
func (a attacker) sessionKeys(t testing.TB) int {
	t.Helper()
	n := 0
	for _, h := range a.find(t, pkcs11.CKO_PRIVATE_KEY, "") {
		attrs, err := a.p11.GetAttributeValue(a.s, h, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_TOKEN, nil)})
		if err != nil {
			t.Fatal(err)
		}
		if attrs[0].Value[0] == 0 {
			n++
		}
	}
	return n
}

// sessions counts the open sessions of this process, by asking for each: SoftHSM does not count.
func (a attacker) sessions(t testing.TB) (open int) {
	t.Helper()
	for h := pkcs11.SessionHandle(1); h < maxHandle; h++ {
		if _, err := a.p11.GetSessionInfo(h); err == nil {
			open++
		}
	}
	return open
}

// maxHandle is more than any handle of a test run: SoftHSM counts them up from 1.
const maxHandle = 100_000

// closeOthers closes every session of the process but the attacker's: what a module does that
// loses its sessions.
func (a attacker) closeOthers(t testing.TB) (closed int) {
	t.Helper()
	for h := pkcs11.SessionHandle(1); h < maxHandle; h++ {
		if h != a.s && a.p11.CloseSession(h) == nil {
			closed++
		}
	}
	return closed
}

// soon is a use that outlasts every test.
func soon() hsm.Use { return hsm.Use{Until: time.Now().Add(time.Hour)} }

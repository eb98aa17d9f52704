package ca_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/store/storetest"
)

// crashing is what a child process is told: where the register is, which keys there
// are, and when it is to be killed.
type crashing struct {
	DB, At    string
	Authority map[string]string // PKCS#8
	Officer   string            // SubjectPublicKeyInfo
	Now       time.Time
}

const crashVariable = "MOHOR_TEST_CRASH"

// die is kill -9 of this process by itself.
func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// mortal is a register of a process that dies.
type mortal struct {
	ca.Records
	at string
}

func (m *mortal) step(name string, f func() error) error {
	if m.at == "before "+name {
		die()
	}
	err := f()
	if m.at == "after "+name {
		die()
	}
	return err
}

func (m *mortal) ReserveSerial(ctx context.Context, c ca.Certificate, ev audit.Event) error {
	return m.step("ReserveSerial", func() error { return m.Records.ReserveSerial(ctx, c, ev) })
}
func (m *mortal) StoreCertificate(ctx context.Context, serial string, der []byte, ev audit.Event) error {
	return m.step("StoreCertificate", func() error { return m.Records.StoreCertificate(ctx, serial, der, ev) })
}

// The child: it issues one certificate, if it lives.
func TestCrashChild(t *testing.T) {
	told := os.Getenv(crashVariable)
	if told == "" {
		return
	}
	var c crashing
	must(t, json.Unmarshal([]byte(told), &c))
	keys := storetest.NewKeys()
	for name, text := range c.Authority {
		raw, err := base64.StdEncoding.DecodeString(text)
		must(t, err)
		k, err := x509.ParsePKCS8PrivateKey(raw)
		must(t, err)
		keys.Authorities[name] = k.(crypto.Signer)
	}
	raw, err := base64.StdEncoding.DecodeString(c.Officer)
	must(t, err)
	pub, err := x509.ParsePKIXPublicKey(raw)
	must(t, err)
	db := storetest.OpenSQLite(t, c.DB)
	a, err := ca.Load(ctx, storetest.Profile(), keys, &mortal{db, c.At}, func() time.Time { return c.Now })
	must(t, err)
	keys.OnAuthority = func(string) error {
		if c.At == "sign" {
			die()
		}
		return nil
	}
	_, err = a.IssueOfficer(ctx, "test", asked("cr_1"), pub)
	must(t, err)
	must(t, db.Close())
}

// Killed at each step and started again, the CA issues one certificate: none without
// a record, no number twice.
func TestKilledAtEachStep(t *testing.T) {
	a := bootstrapped(t, nil)
	told := crashing{DB: a.path, Now: a.now, Authority: map[string]string{}}
	for name, k := range a.keys.Authorities {
		der, err := x509.MarshalPKCS8PrivateKey(k)
		must(t, err)
		told.Authority[name] = base64.StdEncoding.EncodeToString(der)
	}
	issued := certificates(t, a)
	for _, at := range []string{"before ReserveSerial", "after ReserveSerial", "sign", "before StoreCertificate", "after StoreCertificate", ""} {
		spki, err := x509.MarshalPKIXPublicKey(key(t).Public())
		must(t, err)
		told.At, told.Officer = at, base64.StdEncoding.EncodeToString(spki)
		run := func(at string) ([]byte, error) {
			told.At = at
			text, err := json.Marshal(told)
			must(t, err)
			cmd := exec.Command(os.Args[0], "-test.run=^TestCrashChild$")
			cmd.Env = append(os.Environ(), crashVariable+"="+string(text))
			return cmd.CombinedOutput()
		}
		out, err := run(at)
		var exit *exec.ExitError
		if killed := errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL; killed != (at != "") {
			t.Fatalf("%q: %v\n%s", at, err, out)
		}
		if out, err := run(""); err != nil {
			t.Fatalf("%q, again: %v\n%s", at, err, out)
		}
		issued++
		rows, err := a.db.CertificatesByKey(ctx, ca.KeyHash(spki))
		must(t, err)
		if len(rows) != 1 {
			t.Fatalf("%q: %d certificates", at, len(rows))
		}
		c, err := x509.ParseCertificate(rows[0].DER)
		must(t, err)
		a.sound(t, c, issued)
	}
	if n := strings.Join(reserved(t, a), " "); len(strings.Fields(n)) != 3 {
		t.Errorf("reserved for nothing: %s", n)
	}
}

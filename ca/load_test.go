package ca_test

import (
	"context"
	"crypto"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/store/storetest"
)

func TestBootstrapTwiceMakesNothing(t *testing.T) {
	a := bootstrapped(t, nil)
	root := a.Certificate(ca.Root)
	made, err := ca.Bootstrap(ctx, a.shape, a.keys, a.db, a.clock)
	if err != nil || len(made) != 0 {
		t.Errorf("made %q, %v", made, err)
	}
	again, err := ca.Load(ctx, a.shape, a.keys, a.db, a.clock)
	must(t, err)
	if !again.Certificate(ca.Root).Equal(root) {
		t.Error("another root")
	}
}

func TestLoadRefusesKeysOfOthers(t *testing.T) {
	a := bootstrapped(t, nil)
	if _, err := ca.Load(ctx, a.shape, storetest.NewKeys(), a.db, a.clock); err == nil || !strings.Contains(err.Error(), "does not belong") {
		t.Errorf("%v", err)
	}
	if _, err := ca.Load(ctx, a.shape, noKeys{}, a.db, a.clock); !errors.Is(err, errDead) {
		t.Errorf("without a token: %v", err)
	}
	db := storetest.OpenSQLite(t, filepath.Join(t.TempDir(), "empty.db"))
	if _, err := ca.Load(ctx, a.shape, a.keys, db, a.clock); !errors.Is(err, ca.ErrUnknown) {
		t.Errorf("before Bootstrap: %v", err)
	}
	if _, err := ca.Bootstrap(ctx, a.shape, noKeys{}, db, a.clock); !errors.Is(err, errDead) {
		t.Errorf("Bootstrap without a token: %v", err)
	}
}

type noKeys struct{}

func (noKeys) Signer(context.Context, string) (crypto.Signer, error) { return nil, errDead }

// An officer's certificate never outlives its issuer.
func TestOfficerNeverOutlivesTheIssuer(t *testing.T) {
	a := bootstrapped(t, nil)
	issuer := a.Certificate(ca.Issuing)
	a.now = issuer.NotAfter.Add(-24 * time.Hour)
	if c := a.officer(t); !c.NotAfter.Equal(issuer.NotAfter) {
		t.Errorf("valid to %v, the issuer to %v", c.NotAfter, issuer.NotAfter)
	}
}

func TestIssueRefusesWhatCannotBeEncoded(t *testing.T) {
	a := bootstrapped(t, nil)
	for what, o := range map[string]ca.Officer{
		"a name that is no UTF-8": {IC: ic, Name: "A\xff"},
	} {
		if c, err := a.IssueOfficer(ctx, "test", o, key(t).Public()); err == nil {
			t.Errorf("%s: issued %s", what, c.Subject)
		}
	}
	if c, err := a.IssueOfficer(ctx, "test", ca.Officer{IC: ic, Name: name}, "no key"); err == nil {
		t.Errorf("no key: issued %s", c.Subject)
	}
	bad := a.shape
	bad.PolicyOID = "1.x"
	b, err := ca.Load(ctx, bad, a.keys, a.db, a.clock)
	must(t, err)
	if _, err := b.IssueOfficer(ctx, "test", ca.Officer{IC: ic, Name: name}, key(t).Public()); err == nil {
		t.Error("a policy that is no OID was accepted")
	}
	if left := reserved(t, a); len(left) != 0 {
		t.Errorf("reserved for nothing: %q", left)
	}
}

// failing is a register that fails one call, before it is done or after.
type failing struct {
	ca.Records
	method string
	after  bool
}

func (f *failing) do(method string, call func() error) error {
	if method != f.method {
		return call()
	}
	if f.after {
		_ = call()
	}
	return errDead
}

func (f *failing) ReserveSerial(ctx context.Context, c ca.Certificate, ev audit.Event) error {
	return f.do("ReserveSerial", func() error { return f.Records.ReserveSerial(ctx, c, ev) })
}
func (f *failing) StoreCertificate(ctx context.Context, serial string, der []byte, ev audit.Event) error {
	return f.do("StoreCertificate", func() error { return f.Records.StoreCertificate(ctx, serial, der, ev) })
}
func (f *failing) Revoke(ctx context.Context, serial string, at time.Time, reason int, ev audit.Event) error {
	return f.do("Revoke", func() error { return f.Records.Revoke(ctx, serial, at, reason, ev) })
}
func (f *failing) StoreCRL(ctx context.Context, c ca.CRL, ev audit.Event) error {
	return f.do("StoreCRL", func() error { return f.Records.StoreCRL(ctx, c, ev) })
}

// No certificate is handed out that is not in the register as active, and no
// revocation is forgotten, whichever call fails.
func TestRegisterFaultsBothWays(t *testing.T) {
	for _, method := range []string{"ReserveSerial", "StoreCertificate", "Revoke", "StoreCRL"} {
		for _, after := range []bool{false, true} {
			a := bootstrapped(t, nil)
			old := a.officer(t)
			f := &failing{a.db, method, after}
			b, err := ca.Load(ctx, a.shape, a.keys, f, a.clock)
			must(t, err)
			signs := 0
			a.keys.OnAuthority = func(string) error { signs++; return nil }
			c, err := b.IssueOfficer(ctx, "test", ca.Officer{IC: ic, Name: name, Credential: "cr_2"}, key(t).Public())
			if issues := method == "ReserveSerial" || method == "StoreCertificate"; issues != (err != nil) || issues != (c == nil) {
				t.Errorf("%s, done %v: issuing gave %v, %v", method, after, c != nil, err)
			}
			if method == "ReserveSerial" && signs != 0 {
				t.Errorf("%s, done %v: a certificate was signed without a reservation", method, after)
			}
			a.keys.OnAuthority = nil
			a.now = a.now.Add(time.Hour)
			rerr := b.Revoke(ctx, "test", old.SerialNumber.String(), 1)
			if fails := method == "Revoke" || method == "StoreCRL"; fails != (rerr != nil) {
				t.Errorf("%s, done %v: revoking gave %v", method, after, rerr)
			}
			// The administrator tries again, the register is well.
			if err := a.Revoke(ctx, "test", old.SerialNumber.String(), 1); err != nil && !errors.Is(err, ca.ErrRevoked) {
				t.Errorf("%s, done %v: revoking again: %v", method, after, err)
			}
			if l := a.crl(t, ca.Issuing); len(l.RevokedCertificateEntries) != 1 {
				t.Errorf("%s, done %v: the CRL has %d entries", method, after, len(l.RevokedCertificateEntries))
			}
		}
	}
}

package enrol_test

import (
	"context"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/storetest"
)

const nextPIN = "Enggang-Hitam-42"

var me = enrol.Actor{Name: "account:ac_1", IC: newIC, Request: "req"}

// enrolled brings a new officer to a certificate.
func (o *office) enrolled(t testing.TB) *x509.Certificate {
	t.Helper()
	id := o.applied(t, newIC)
	must(t, o.Validate(ctx, o.ap, id))
	cert, err := o.Approve(ctx, o.jdn, id)
	must(t, err)
	return cert
}

// until moves the clock to a time before the end of a certificate.
func (o *office) until(cert *x509.Certificate, d time.Duration) {
	o.House.Clock.Advance(cert.NotAfter.Add(-d).Sub(o.House.Clock.Now()))
}

func (o *office) held(t testing.TB) enrol.Held {
	t.Helper()
	all, err := o.House.DB.Held(ctx, newIC, storetest.System)
	must(t, err)
	if len(all) == 0 {
		t.Fatal("the officer holds nothing")
	}
	return all[0]
}

// opens says whether a PIN opens the officer's key.
func (o *office) opens(t testing.TB, pin string) bool {
	t.Helper()
	c, err := o.House.DB.Credential(ctx, newIC, storetest.System, o.held(t).Credential)
	must(t, err)
	key, err := o.House.Keys.Open(ctx, c, secret.New(pin), signer.KeyUse{})
	if err != nil {
		return false
	}
	must(t, key.Close())
	return true
}

// one is the invariant of replacement: exactly one credential can sign, no key but its own
// is left, and no certificate is active whose key is gone but those left to their end.
func (o *office) one(t testing.TB, what string) {
	t.Helper()
	o.sound(t)
	all, err := o.House.DB.Held(ctx, newIC, storetest.System)
	must(t, err)
	active := 0
	for _, h := range all {
		if h.Status == "ACTIVE" {
			active++
			if row, err := o.House.DB.CertificateBySerial(ctx, h.Serial); err != nil || row.Status != ca.Active {
				t.Errorf("%s: an active credential has the certificate %+v, %v", what, row.Status, err)
			}
		}
	}
	if active != 1 {
		t.Errorf("%s: %d credentials are active", what, active)
	}
}

func renewal() enrol.RenewalRequest {
	return enrol.RenewalRequest{System: storetest.System, PIN: secret.New(goodPIN)}
}

func (o *office) status(t testing.TB, cert *x509.Certificate) string {
	t.Helper()
	row, err := o.House.DB.CertificateBySerial(ctx, cert.SerialNumber.String())
	must(t, err)
	return row.Status
}

func (o *office) notices(t testing.TB) (kinds []string) {
	t.Helper()
	for {
		n, ok, err := o.House.DB.ClaimNotice(ctx, time.Hour)
		must(t, err)
		if !ok {
			return kinds
		}
		if n.Officer == newIC {
			kinds = append(kinds, n.Kind+" "+n.Detail["days"])
		}
		must(t, o.House.DB.FinishNotice(ctx, n))
	}
}

// In the last 30 days the officer renews alone: another key, another certificate from
// now; the old one is left to its end without a key.
func TestRenew(t *testing.T) {
	o := newOffice(t)
	old := o.enrolled(t)
	before := o.held(t)
	o.until(old, 20*24*time.Hour)
	wrong := renewal()
	wrong.PIN = secret.New("bukan-pin-ini-3")
	_, _, err := o.Renew(ctx, me, wrong)
	if !errors.Is(err, signer.ErrPINWrong) {
		t.Errorf("under another PIN: %v", err)
	}
	somebody := me
	somebody.IC = "700101105558"
	refused(t, "somebody else", third(o.Renew(ctx, somebody, renewal())), "not_registered")
	e, cert, err := o.Renew(ctx, me, renewal())
	must(t, err)
	if e.State != enrol.Issued || e.Kind != enrol.Renewal || e.Replaces != before.Credential || !cert.NotAfter.After(old.NotAfter.Add(300*24*time.Hour)) || cert.SerialNumber.Cmp(old.SerialNumber) == 0 {
		t.Errorf("%+v, until %v", e, cert.NotAfter)
	}
	if o.held(t).Serial != cert.SerialNumber.String() || !o.opens(t, goodPIN) || o.status(t, old) != ca.Active {
		t.Errorf("%+v; the old certificate is %s", o.held(t), o.status(t, old))
	}
	if _, err := o.House.DB.Credential(ctx, newIC, storetest.System, before.Credential); err != nil {
		t.Error(err)
	}
	o.one(t, "renewed")
	if s := o.state(t, e.ID); s.ApprovedIC != newIC || s.ApprovedBy != me.Name {
		t.Errorf("%+v", s)
	}
	// With another PIN, which the policy judges; the new key's kind can change.
	o.until(cert, 24*time.Hour)
	r := renewal()
	r.NewPIN, r.NewPINAgain = secret.New("12345678"), secret.New("12345678")
	refused(t, "a weak PIN", third(o.Renew(ctx, me, r)), "pin_sequence")
	r.NewPIN = secret.New(nextPIN)
	refused(t, "two PINs", third(o.Renew(ctx, me, r)), "pins_differ")
	r.NewPINAgain, r.Algorithm = secret.New(nextPIN), "ECDSA-P384"
	_, _, err = o.Renew(ctx, me, r)
	must(t, err)
	if o.opens(t, goodPIN) || !o.opens(t, nextPIN) || o.held(t).Algorithm != "ECDSA-P384" {
		t.Error("the new PIN does not open the new key, or the old one does")
	}
	o.one(t, "renewed again")
	renewed := 0
	for _, n := range o.notices(t) {
		if strings.HasPrefix(n, "certificate.renewed") {
			renewed++
		}
	}
	if renewed != 2 {
		t.Errorf("told of %d renewals", renewed)
	}
	for _, r := range storetest.Chain(t, o.House.DB) {
		for _, v := range r.Detail {
			if strings.Contains(v, nextPIN) || strings.Contains(v, goodPIN) {
				t.Errorf("%s: a PIN is in the audit", r.Action)
			}
		}
	}
}

func third[T, U any](_ T, _ U, err error) error { return err }

// What is early, late, changed, or so by policy, is validated and approved; until then
// the old key signs.
func TestRenewWithApproval(t *testing.T) {
	for what, prepare := range map[string]func(o *office, cert *x509.Certificate){
		"early":         func(o *office, cert *x509.Certificate) { o.until(cert, 40*24*time.Hour) },
		"after its end": func(o *office, cert *x509.Certificate) { o.until(cert, -time.Hour) },
		"by policy":     func(o *office, cert *x509.Certificate) { o.until(cert, time.Hour); o.Policy.RenewAsked = true },
		"with a new one": func(o *office, cert *x509.Certificate) {
			o.until(cert, time.Hour)
			o.rename(t, "NORAINI BINTI OTHMAN HASHIM")
		},
	} {
		o := newOffice(t)
		old := o.enrolled(t)
		prepare(o, old)
		e, cert, err := o.Renew(ctx, me, renewal())
		if err != nil || cert != nil || e.State != enrol.Applied {
			t.Fatalf("%s: %+v %v", what, e, err)
		}
		o.one(t, what+", waiting")
		refused(t, what+", again", third(o.Renew(ctx, me, renewal())), "enrolment_open")
		refused(t, what+", returned", o.Return(ctx, o.ap, e.ID, "Semak semula"), "enrolment_kind")
		_, err = o.ConfirmRekey(ctx, o.ap, e.ID, "Saya kenal dia")
		refused(t, what+", by the agency alone", err, "enrolment_kind")
		must(t, o.Validate(ctx, o.ap, e.ID))
		cert, err = o.Approve(ctx, o.jdn, e.ID)
		must(t, err)
		if o.held(t).Serial != cert.SerialNumber.String() {
			t.Errorf("%s: %+v", what, o.held(t))
		}
		o.one(t, what)
	}
}

func (o *office) rename(t testing.TB, name string) {
	t.Helper()
	must(t, o.House.DB.PutOfficer(ctx, enrol.Officer{IC: newIC, Name: name, Email: "noraini@janm.gov.my"}, storetest.System, enrol.RoamingOTP, audit.Event{Actor: "t", Action: "t"}))
}

// An officer whose credential was made at the command line, without an enrolment, has the
// same life: the agency that owns the system decides.
func TestLifeWithoutAnEnrolment(t *testing.T) {
	o := newOffice(t)
	person := enrol.Officer{IC: newIC, Name: "NORAINI BINTI OTHMAN", Email: "noraini@janm.gov.my"}
	must(t, o.Registrar.AddOfficer(ctx, "cli:t", person, storetest.System))
	_, first, err := o.Registrar.IssueCredential(ctx, "cli:t", person, storetest.System, "ECDSA-P256", secret.New(goodPIN))
	must(t, err)
	refused(t, "for another system", third(o.Renew(ctx, me, enrol.RenewalRequest{System: "EP", PIN: secret.New(goodPIN)})), "not_registered")

	e, err := o.ForgotPIN(ctx, me, storetest.System)
	must(t, err)
	if e.Agency != "JANM" || e.Kind != enrol.Rekey || e.Replaces == "" {
		t.Errorf("%+v", e)
	}
	o.once(t)
	_, err = o.Rekey(ctx, me, rekeying(o.post.last(t).code))
	must(t, err)
	rekeyed, err := o.ConfirmRekey(ctx, o.ap, e.ID, known)
	must(t, err)
	if o.status(t, first) != ca.Revoked || !o.opens(t, nextPIN) || !rekeyed.NotAfter.Equal(first.NotAfter) {
		t.Errorf("the first certificate is %s", o.status(t, first))
	}
	o.one(t, "rekeyed")
	o.until(rekeyed, 20*24*time.Hour)
	again := renewal()
	again.PIN = secret.New(nextPIN)
	_, renewed, err := o.Renew(ctx, me, again)
	must(t, err)
	o.one(t, "renewed")
	anew, err := o.Replace(ctx, o.ap, newIC, storetest.System, "keyCompromise", "telefon dicuri")
	must(t, err)
	if o.status(t, renewed) != ca.Revoked || anew.State != enrol.Confirming {
		t.Errorf("%s, %+v", o.status(t, renewed), anew)
	}
}

// While something is under way no key is made for nothing.
func TestRenewWhileOneIsOpen(t *testing.T) {
	o := newOffice(t)
	cert := o.enrolled(t)
	o.until(cert, 20*24*time.Hour)
	o.forgotten(t)
	o.Desk.Registrar = &enrol.Registrar{Records: o.House.Registrar.Records, CA: o.House.Registrar.CA, Now: o.House.Registrar.Now, PIN: o.House.Registrar.PIN, Keys: noKeys{o.House.Keys, t}}
	refused(t, "renewed beside it", third(o.Renew(ctx, me, renewal())), "enrolment_open")
}

// noKeys fails the test when a key is made.
type noKeys struct {
	*storetest.Keys
	t testing.TB
}

func (k noKeys) Generate(context.Context, string, string, string, uint32, []byte, secret.Text) (sealed, request []byte, err error) {
	k.t.Error("a key was made")
	return nil, nil, errDead
}

func TestRenewRefuses(t *testing.T) {
	for code, prepare := range map[string]func(o *office, cert *x509.Certificate) error{
		"certificate_suspended": func(o *office, cert *x509.Certificate) error {
			return o.House.CA.Suspend(ctx, "t", cert.SerialNumber.String(), "ragu-ragu")
		},
		"certificate_missing": func(o *office, cert *x509.Certificate) error {
			return o.House.CA.Revoke(ctx, "t", cert.SerialNumber.String(), 1)
		},
		"certificate_leaving": func(o *office, cert *x509.Certificate) error {
			return o.House.CA.Schedule(ctx, "t", cert.SerialNumber.String(), 5, cert.NotAfter.Add(-time.Minute))
		},
	} {
		o := newOffice(t)
		cert := o.enrolled(t)
		o.until(cert, time.Hour)
		must(t, prepare(o, cert))
		refused(t, code, third(o.Renew(ctx, me, renewal())), code)
		o.sound(t)
	}
}

// A renewal fails at each of its steps, both ways; it is completed by the worker or asked
// for again, with one key that signs at any time.
func TestRenewFaultsBothWays(t *testing.T) {
	for _, c := range []struct {
		name  string
		at    enrol.State // the change that fails; "" the beginning, "CA" the CA's key
		after bool
	}{{"it is not begun", "", false}, {"it is begun", "", true}, {"the CA is away", "CA", false}, {"the credential is not stored", enrol.Issued, false}, {"the credential is stored", enrol.Issued, true}} {
		o := newOffice(t)
		old := o.enrolled(t)
		o.until(old, time.Hour)
		d := &enrol.Desk{Registrar: o.Desk.Registrar, MAC: o.Desk.MAC, Mail: o.post, PINs: o.Desk.PINs,
			Records: faulty{records: o.House.DB, after: c.after, onChange: func(ch enrol.Change) error {
				if ch.To == c.at {
					return errDead
				}
				return nil
			}}}
		if c.at == "CA" {
			o.House.Keys.OnAuthority = func(string) error { return errDead }
		}
		if _, _, err := d.Renew(ctx, me, renewal()); !errors.Is(err, errDead) {
			t.Fatalf("%s: %v", c.name, err)
		}
		o.House.Keys.OnAuthority = nil
		o.one(t, c.name)
		if done := c.at == enrol.Issued && c.after; (o.held(t).Serial == old.SerialNumber.String()) == done {
			t.Errorf("%s: the key in force is of %+v", c.name, o.held(t))
		}
		switch {
		case c.at == "" && !c.after:
			if _, _, err := o.Renew(ctx, me, renewal()); err != nil {
				t.Fatal(err)
			}
		case c.at != enrol.Issued || !c.after:
			refused(t, c.name+", again", third(o.Renew(ctx, me, renewal())), "enrolment_open")
			o.House.Clock.Advance(3 * time.Minute)
			o.drain(t)
		}
		if o.held(t).Serial == old.SerialNumber.String() {
			t.Errorf("%s: not completed", c.name)
		}
		o.one(t, c.name+", completed")
	}
}

func (o *office) drain(t testing.TB) {
	t.Helper()
	for {
		did, err := o.Once(ctx)
		must(t, err)
		if !did {
			return
		}
	}
}

// The old certificate is revoked, or suspended, while the new one is made: no key comes to
// be, and the new certificate is revoked.
func TestRenewOfWhatWasRevokedMeanwhile(t *testing.T) {
	for what, end := range map[string]func(o *office, serial string) error{
		"revoked":   func(o *office, serial string) error { return o.House.CA.Revoke(ctx, "t", serial, 1) },
		"suspended": func(o *office, serial string) error { return o.House.CA.Suspend(ctx, "t", serial, "ragu-ragu") },
	} {
		for _, race := range []bool{false, true} {
			o := newOffice(t)
			old := o.enrolled(t)
			o.until(old, time.Hour)
			serial := old.SerialNumber.String()
			d := &enrol.Desk{Registrar: o.Desk.Registrar, MAC: o.Desk.MAC, Mail: o.post, PINs: o.Desk.PINs,
				Records: faulty{records: o.House.DB, onChange: func(ch enrol.Change) error {
					if race && ch.To == enrol.Issued { // behind the last look
						must(t, end(o, serial))
					}
					return nil
				}}}
			if !race {
				o.House.Keys.OnAuthority = func(string) error { return errDead }
			}
			e, cert, err := d.Renew(ctx, me, renewal())
			if err == nil || cert != nil || e.ID == "" {
				t.Fatalf("%s: %v", what, err)
			}
			if !race {
				o.House.Keys.OnAuthority = nil
				must(t, end(o, serial))
				o.House.Clock.Advance(3 * time.Minute)
				if _, err := o.Once(ctx); !errors.Is(err, enrol.ErrReplaced) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if s := o.state(t, e.ID).State; s != enrol.Rejected {
				t.Errorf("%s: it is %s", what, s)
			}
			f, _, _, err := o.House.DB.Application(ctx, e.ID)
			must(t, err)
			if row, err := o.House.DB.CertificateOf(ctx, f.Credential); err == nil && row.Status != ca.Revoked || race && err != nil {
				t.Errorf("%s, race %v: the new certificate is %s, %v", what, race, row.Status, err)
			}
			o.sound(t)
		}
	}
}

// 30, 15, 7 and 1 days before the end, each once, the newest alone after a time without a
// gateway; nobody is told of what was renewed, revoked, or is suspended.
func TestReminders(t *testing.T) {
	o := newOffice(t)
	cert := o.enrolled(t)
	o.notices(t)
	told := func(left time.Duration, want ...string) {
		t.Helper()
		o.until(cert, left)
		o.drain(t)
		o.drain(t)
		if got := o.notices(t); strings.Join(got, ",") != strings.Join(want, ",") {
			t.Errorf("%v before the end: told %q, want %q", left, got, want)
		}
	}
	const day = 24 * time.Hour
	told(30*day + time.Second)
	told(30*day, "certificate.ending 30")
	told(29 * day)
	told(15*day, "certificate.ending 15")
	told(15*day - time.Second)
	told(6*day-time.Hour, "certificate.ending 6") // the gateway was down on the seventh
	told(2 * day)
	must(t, o.House.CA.Suspend(ctx, "t", cert.SerialNumber.String(), "ragu-ragu"))
	told(day-time.Second, "certificate.suspended ")
	told(-time.Second)

	// Down for all of it: one, with what is left.
	o = newOffice(t)
	cert = o.enrolled(t)
	o.notices(t)
	told(3*day, "certificate.ending 3")
	if _, _, err := o.Renew(ctx, me, renewal()); err != nil {
		t.Fatal(err)
	}
	told(day/2, "certificate.renewed ")
	cert, err := x509.ParseCertificate(o.der(t))
	must(t, err)
	told(30*day, "certificate.ending 30")
	must(t, o.House.CA.Revoke(ctx, "t", cert.SerialNumber.String(), 5))
	told(day, "certificate.revoked ")
}

func (o *office) der(t testing.TB) []byte {
	t.Helper()
	row, err := o.House.DB.CertificateBySerial(ctx, o.held(t).Serial)
	must(t, err)
	return row.DER
}

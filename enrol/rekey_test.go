package enrol_test

import (
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/storetest"
)

func rekeying(code string) enrol.RekeyRequest {
	return enrol.RekeyRequest{Code: secret.New(code), PIN: secret.New(nextPIN), PINAgain: secret.New(nextPIN)}
}

// forgotten goes on to the officer's new key, which waits for the agency.
func (o *office) forgotten(t testing.TB) string {
	t.Helper()
	e, err := o.ForgotPIN(ctx, me, storetest.System)
	must(t, err)
	o.once(t)
	if _, err := o.Rekey(ctx, me, rekeying(o.post.last(t).code)); err != nil {
		t.Fatal(err)
	}
	return e.ID
}

const known = "Saya kenal suaranya, dipanggil balik"

// Code by mail, new PIN, the agency's word: another key, and a certificate with the same
// end; the old certificate is revoked, the block lifted.
func TestForgottenPIN(t *testing.T) {
	o := newOffice(t)
	old := o.enrolled(t)
	o.House.Clock.Advance(100 * 24 * time.Hour)
	s := o.House.Signer(nil, nil)
	for range 30 { // until the PIN is blocked
		o.House.Clock.Advance(time.Hour)
		_ = s.ProvePIN(ctx, signer.PINProof{Officer: newIC, System: storetest.System, PIN: secret.New("bukan-pin-ini-3"), For: "t"})
	}
	if st, err := o.House.DB.PINState(ctx, newIC); err != nil || !st.Blocked {
		t.Fatalf("control: %+v, %v", st, err)
	}
	must(t, o.House.CA.Schedule(ctx, "t", old.SerialNumber.String(), 5, old.NotAfter.Add(-time.Hour)))
	o.notices(t)
	refused(t, "somebody else", second(o.ForgotPIN(ctx, enrol.Actor{IC: "700101105558"}, storetest.System)), "not_registered")
	e, err := o.ForgotPIN(ctx, me, storetest.System)
	must(t, err)
	o.once(t)
	l := o.post.last(t)
	if !l.Rekey || l.code == "" || !l.Until.Equal(o.House.Clock.Now().Add(24*time.Hour)) {
		t.Errorf("letter %+v", l)
	}
	refused(t, "another code at once", second(o.ForgotPIN(ctx, me, storetest.System)), "resend_too_soon")
	_, err = o.Apply(ctx, application(secret.New(l.code)))
	refused(t, "an application with that code", err, "enrolment_kind")
	thief := me
	thief.IC = "700101105558"
	refused(t, "the code with another's session", second(o.Rekey(ctx, thief, rekeying(l.code))), "forbidden")
	weak := rekeying(l.code)
	weak.PIN, weak.PINAgain = secret.New("12345678"), secret.New("12345678")
	refused(t, "a weak PIN", second(o.Rekey(ctx, me, weak)), "pin_sequence")
	if _, err := o.Rekey(ctx, me, rekeying(l.code)); err != nil {
		t.Fatal(err)
	}
	refused(t, "the code again", second(o.Rekey(ctx, me, rekeying(l.code))), "enrolment_state")
	o.one(t, "waiting")
	if o.held(t).Serial != old.SerialNumber.String() {
		t.Error("the key was replaced before the agency spoke")
	}
	own := o.ap
	own.IC = newIC
	refused(t, "her own word", second(o.ConfirmRekey(ctx, own, e.ID, known)), "own_case")
	refused(t, "JDN's word", second(o.ConfirmRekey(ctx, o.jdn, e.ID, known)), "forbidden")
	refused(t, "validated", o.Validate(ctx, o.ap, e.ID), "enrolment_kind")
	refused(t, "without a word", second(o.ConfirmRekey(ctx, o.ap, e.ID, "ok")), "reason_missing")
	cert, err := o.ConfirmRekey(ctx, o.ap, e.ID, known)
	must(t, err)
	if !cert.NotAfter.Equal(old.NotAfter) || o.held(t).Serial != cert.SerialNumber.String() || !o.opens(t, nextPIN) || o.opens(t, goodPIN) {
		t.Errorf("%+v until %v, was %v", o.held(t), cert.NotAfter, old.NotAfter)
	}
	if row, err := o.House.DB.CertificateBySerial(ctx, old.SerialNumber.String()); err != nil || row.Status != ca.Revoked || row.Reason != 4 {
		t.Errorf("the old one: %s %d, %v", row.Status, row.Reason, err)
	}
	crl, err := o.House.DB.LatestCRL(ctx, ca.Issuing)
	must(t, err)
	list, err := x509.ParseRevocationList(crl.DER)
	must(t, err)
	if n := len(list.RevokedCertificateEntries); n != 1 {
		t.Errorf("the CRL at once lists %d", n)
	}
	if st, err := o.House.DB.PINState(ctx, newIC); err != nil || st != (signer.PINState{}) {
		t.Errorf("the PIN counter is %+v, %v", st, err)
	}
	if !o.held(t).EndsAt.Equal(old.NotAfter.Add(-time.Hour)) {
		t.Errorf("the revocation to come is of %v", o.held(t).EndsAt)
	}
	if got := o.notices(t); len(got) != 2 || !slices.Contains(got, "enrol.rekey ") || !slices.Contains(got, "pin.replaced ") {
		t.Errorf("told %q", got)
	}
	o.one(t, "after it")
	refused(t, "confirmed twice", second(o.ConfirmRekey(ctx, o.ap, e.ID, known)), "enrolment_state")
}

func TestForgottenPINLimits(t *testing.T) {
	o := newOffice(t)
	cert := o.enrolled(t)
	for range 3 {
		e, err := o.ForgotPIN(ctx, me, storetest.System)
		must(t, err)
		o.once(t)
		_, err = o.ForgotPIN(ctx, me, storetest.System)
		var no *enrol.Refusal
		if refused(t, "asked again at once", err, "resend_too_soon"); !errors.Is(err, enrol.ErrThrottled) || !errors.As(err, &no) || no.After <= 0 {
			t.Errorf("%v, wait %v", err, no)
		}
		o.House.Clock.Advance(10 * time.Minute)
		again, err := o.ForgotPIN(ctx, me, storetest.System) // another code of the same
		if err != nil || again.ID != e.ID {
			t.Fatalf("%+v, %v", again, err)
		}
		must(t, o.Withdraw(ctx, me, e.ID, "Sudah ingat PIN"))
	}
	refused(t, "the fourth time in a day", second(o.ForgotPIN(ctx, me, storetest.System)), "rekey_too_often")
	o.House.Clock.Advance(24 * time.Hour)
	e, err := o.ForgotPIN(ctx, me, storetest.System)
	must(t, err)
	o.once(t)
	code := o.post.last(t).code
	o.House.Clock.Advance(24 * time.Hour)
	refused(t, "a code of yesterday", second(o.Rekey(ctx, me, rekeying(code))), "link_invalid")
	must(t, o.Withdraw(ctx, me, e.ID, "Sudah ingat PIN"))
	o.until(cert, -time.Second)
	refused(t, "after the end", second(o.ForgotPIN(ctx, me, storetest.System)), "certificate_expired")
	o.sound(t)
}

func TestConfirmRekeyFaultsBothWays(t *testing.T) {
	for _, c := range []struct {
		name  string
		at    enrol.State
		after bool
	}{{"the word is not stored", enrol.Approved, false}, {"the word is stored", enrol.Approved, true}, {"the CA is away", "CA", false},
		{"the credential is not stored", enrol.Issued, false}, {"the credential is stored", enrol.Issued, true}} {
		o := newOffice(t)
		old := o.enrolled(t)
		id := o.forgotten(t)
		d := &enrol.Desk{Registrar: o.Desk.Registrar, MAC: o.Desk.MAC, Mail: o.post,
			Records: faulty{records: o.House.DB, after: c.after, onChange: func(ch enrol.Change) error {
				if ch.To == c.at {
					return errDead
				}
				return nil
			}}}
		if c.at == "CA" {
			o.House.Keys.OnAuthority = func(string) error { return errDead }
		}
		if _, err := d.ConfirmRekey(ctx, o.ap, id, known); !errors.Is(err, errDead) {
			t.Fatalf("%s: %v", c.name, err)
		}
		o.House.Keys.OnAuthority = nil
		o.one(t, c.name)
		if s := o.state(t, id).State; s != enrol.Issued {
			if (o.status(t, old) != ca.Active) || !o.opens(t, goodPIN) {
				t.Errorf("%s: it is %s and the old certificate %s", c.name, s, o.status(t, old))
			}
			if _, err := o.ConfirmRekey(ctx, o.sap, id, known); err != nil {
				t.Fatal(err)
			}
		}
		if o.status(t, old) != ca.Revoked || !o.opens(t, nextPIN) {
			t.Errorf("%s: not completed", c.name)
		}
		o.one(t, c.name+", completed")
	}
}

// Revoked and enrolled anew in one; what was under way in its place is ended.
func TestReplace(t *testing.T) {
	for what, by := range map[string]func(o *office) enrol.Actor{"by the AP": func(o *office) enrol.Actor { return o.ap }, "by herself": func(*office) enrol.Actor { return me }} {
		o := newOffice(t)
		old := o.enrolled(t)
		pending := o.forgotten(t)
		o.notices(t)
		refused(t, "without why", second(o.Replace(ctx, by(o), newIC, storetest.System, "keyCompromise", "x")), "reason_missing")
		refused(t, "another reason", second(o.Replace(ctx, by(o), newIC, storetest.System, "certificateHold", "PIN diketahui orang")), "revocation_reason")
		refused(t, "a stranger", second(o.Replace(ctx, enrol.Actor{Name: "x", IC: "700101105558"}, newIC, storetest.System, "keyCompromise", "PIN diketahui orang")), "forbidden")
		if o.status(t, old) != ca.Active {
			t.Fatal("a refusal revoked it")
		}
		d := &enrol.Desk{Registrar: o.Desk.Registrar, MAC: o.Desk.MAC, Mail: o.post, Records: faulty{records: o.House.DB, onChange: func(enrol.Change) error { return errDead }}}
		if _, err := d.Replace(ctx, by(o), newIC, storetest.System, "keyCompromise", "PIN diketahui orang"); !errors.Is(err, errDead) {
			t.Fatalf("%s: %v", what, err)
		}
		if o.status(t, old) != ca.Revoked {
			t.Errorf("%s: what failed left the certificate %s", what, o.status(t, old))
		}
		e, err := o.Replace(ctx, by(o), newIC, storetest.System, "keyCompromise", "PIN diketahui orang")
		must(t, err)
		if o.state(t, pending).State != enrol.Withdrawn || o.state(t, e.ID).State != enrol.Confirming {
			t.Errorf("%s: %s, %s", what, o.state(t, pending).State, o.state(t, e.ID).State)
		}
		refused(t, what+", again", second(o.Replace(ctx, by(o), newIC, storetest.System, "keyCompromise", "PIN diketahui orang")), "enrolment_open")
		o.once(t)
		if o.post.last(t).link == "" {
			t.Error("the address is not proved again")
		}
		if got := strings.Join(o.notices(t), ","); got != "certificate.revoked " {
			t.Errorf("%s: told %q", what, got)
		}
		o.sound(t)
	}
}

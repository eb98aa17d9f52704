package enrol_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/storetest"
)

const goodPIN = "Rusa-Sambar-7"

// postbox keeps the letters it is given.
type postbox struct {
	fail    error
	letters []letter
}

type letter struct {
	enrol.Letter
	link, code string
}

func (p *postbox) SendLetter(_ context.Context, l enrol.Letter) error {
	p.letters = append(p.letters, letter{l, string(l.Link.Reveal()), string(l.Code.Reveal())})
	return p.fail
}

func (p *postbox) last(t testing.TB) letter {
	t.Helper()
	if len(p.letters) == 0 {
		t.Fatal("no letter was sent")
	}
	return p.letters[len(p.letters)-1]
}

func desk(h *storetest.House) *enrol.Desk {
	return &enrol.Desk{Registrar: h.Registrar, Records: h.DB, MAC: storetest.MAC("form key"), Mail: &postbox{}, PINs: pins{h.Signer(nil, nil)}}
}

// pins judges PINs as a gateway does.
type pins struct{ s *signer.Signer }

func (p pins) ProvePIN(ctx context.Context, act enrol.Action, officer, system, credential string, pin secret.Text, request string) error {
	return p.s.ProvePIN(ctx, signer.PINProof{Officer: officer, System: system, Credential: credential, PIN: pin, For: string(act), RequestID: request})
}

func (p pins) UnlockPIN(ctx context.Context, officer string, ev audit.Event) (enrol.PINCount, error) {
	was, err := p.s.Records.UnlockPIN(ctx, officer, ev)
	return enrol.PINCount{Wrong: was.Total, LockedUntil: was.LockedUntil, Blocked: was.Blocked}, err
}

type records = enrol.Enrolments // its name is also one of its methods

// faulty fails both ways: before the change, or after it was made.
type faulty struct {
	records
	onAudit  error
	onChange func(c enrol.Change) error
	after    bool
}

func (f faulty) Audit(ctx context.Context, ev audit.Event) error {
	if f.onAudit != nil {
		return f.onAudit
	}
	return f.records.Audit(ctx, ev)
}

func (f faulty) Begin(ctx context.Context, e enrol.Enrolment, ev audit.Event, steps ...enrol.Change) error {
	if f.onChange != nil {
		if err := f.onChange(enrol.Change{To: ""}); err != nil {
			if f.after {
				if err := f.records.Begin(ctx, e, ev, steps...); err != nil {
					return err
				}
			}
			return err
		}
	}
	return f.records.Begin(ctx, e, ev, steps...)
}

func (f faulty) Change(ctx context.Context, c enrol.Change) error {
	if f.onChange != nil {
		if err := f.onChange(c); err != nil {
			if f.after {
				if err := f.records.Change(ctx, c); err != nil {
					return err
				}
			}
			return err
		}
	}
	return f.records.Change(ctx, c)
}

// office is a house with a registry, a desk and its people.
type office struct {
	House *storetest.House
	*enrol.Desk
	post              *postbox
	path              string // of the database
	jdn, sap, ap, jd2 enrol.Actor
}

func newOffice(t testing.TB) *office {
	t.Helper()
	db, path := storetest.SQLite(t)
	h := storetest.NewHouse(t, db)
	people := who(h.Clock.Now())
	o := &office{path: path, House: h, Desk: desk(h), jdn: people["JDN"], sap: people["SAP"], ap: people["AP"], jd2: people["JDN, validated it"]}
	o.post = o.Desk.Mail.(*postbox)
	must(t, o.PutAgency(ctx, o.jdn, enrol.Agency{Code: "JANM", Name: "Jabatan Akauntan Negara"}))
	must(t, o.PutAgency(ctx, o.jdn, enrol.Agency{Code: "JPK", Name: "Jabatan Pembangunan Kemahiran", PersonalMail: true}))
	must(t, o.PutSystem(ctx, o.jdn, enrol.System{Code: storetest.System, Title: "iGFMAS", Agency: "JANM"}))
	must(t, o.PutSystem(ctx, o.jdn, enrol.System{Code: "EP", Title: "ePerolehan", Agency: "JANM"}))
	return o
}

const newIC = "790308109903"

func (o *office) row(ic string) enrol.Row {
	return enrol.Row{Officer: enrol.Officer{IC: ic, Name: "NORAINI BINTI OTHMAN", Email: "noraini@janm.gov.my"}, Agency: "JANM", Office: "PTJ 1", System: storetest.System, Phase: "1", Ticket: "HD-1"}
}

func (o *office) once(t testing.TB) {
	t.Helper()
	if did, err := o.Once(ctx); err != nil || !did {
		t.Fatalf("nothing was due (%v), %v", did, err)
	}
}

func (o *office) state(t testing.TB, id string) enrol.Enrolment {
	t.Helper()
	e, err := o.House.DB.Enrolment(ctx, id)
	must(t, err)
	return e
}

// confirmed brings a new officer to CONFIRMED and gives id and code.
func (o *office) confirmed(t testing.TB, ic string) (id string, code secret.Text) {
	t.Helper()
	e, err := o.Add(ctx, enrol.Actor{Name: "cli:test"}, o.row(ic)) // whoever lists decides nothing
	must(t, err)
	o.once(t)
	if _, err := o.Confirm(ctx, secret.New(o.post.last(t).link), "r"); err != nil {
		t.Fatal(err)
	}
	o.once(t)
	return e.ID, secret.New(o.post.last(t).code)
}

func form() enrol.Form {
	return enrol.Form{Address: "Aras 1, Kompleks Kementerian Kewangan", Postcode: "62594", State: "W.P. Putrajaya", Phone: "03-8882 1000", Mobile: "+60 12-345 6789",
		MailKind: "official", Image: "wau", Declaration: enrol.DeclarationVersion}
}

func application(code secret.Text) enrol.Application {
	return enrol.Application{Code: code, PIN: secret.New(goodPIN), PINAgain: secret.New(goodPIN), Algorithm: "ECDSA-P256", Form: form(), Request: "req"}
}

// applied goes on to APPLIED.
func (o *office) applied(t testing.TB, ic string) string {
	t.Helper()
	id, code := o.confirmed(t, ic)
	if _, err := o.Apply(ctx, application(code)); err != nil {
		t.Fatal(err)
	}
	return id
}

func refused(t testing.TB, what string, err error, code string) {
	t.Helper()
	var no *enrol.Refusal
	if !errors.As(err, &no) || no.Code != code || no.MS == "" || no.EN == "" || no.MS == "tidak diterima" {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

func TestLifeBegins(t *testing.T) {
	o := newOffice(t)
	// A SAP submits, JDN adds the medium.
	e, err := o.Add(ctx, o.sap, o.row(newIC))
	must(t, err)
	if did, err := o.Once(ctx); did || err != nil {
		t.Fatalf("something was done about a submitted one: %v, %v", did, err)
	}
	refused(t, "the SAP admits", o.Admit(ctx, o.sap, e.ID), "forbidden")
	must(t, o.Admit(ctx, o.jdn, e.ID))
	refused(t, "admitted twice", o.Admit(ctx, o.jdn, e.ID), "enrolment_state")
	o.once(t)
	l := o.post.last(t)
	if l.Email != "noraini@janm.gov.my" || l.System != "iGFMAS" || len(l.link) != 22 || l.code != "" || !l.Until.Equal(o.House.Clock.Now().Add(24*time.Hour)) {
		t.Errorf("letter %+v", l)
	}
	_, err = o.Confirm(ctx, secret.New("AAAAAAAAAAAAAAAAAAAAAA"), "r")
	refused(t, "another link", err, "link_invalid")
	got, err := o.Confirm(ctx, secret.New(l.link), "r")
	if err != nil || got.State != enrol.Confirmed || got.IC != newIC {
		t.Fatalf("%+v, %v", got, err)
	}
	_, err = o.Confirm(ctx, secret.New(l.link), "r")
	refused(t, "the link again", err, "link_invalid")
	o.once(t)
	l = o.post.last(t)
	if len(l.code) != 19 || l.link != "" {
		t.Errorf("letter %+v", l)
	}
	// The code as somebody may type it.
	a := application(secret.New(strings.ToLower(strings.ReplaceAll(l.code, "-", " "))))
	if _, err := o.Apply(ctx, a); err != nil {
		t.Fatal(err)
	}
	_, err = o.Apply(ctx, a)
	refused(t, "applied twice", err, "already_applied")
	refused(t, "approved before it was validated", second(o.Approve(ctx, o.jdn, e.ID)), "enrolment_state")
	must(t, o.Validate(ctx, o.ap, e.ID))
	refused(t, "validated twice", o.Validate(ctx, o.sap, e.ID), "enrolment_state")
	cert, err := o.Approve(ctx, o.jdn, e.ID)
	must(t, err)
	if cert.Subject.CommonName != "NORAINI BINTI OTHMAN" || cert.Subject.SerialNumber != newIC {
		t.Errorf("subject %s", cert.Subject)
	}
	refused(t, "approved twice", second(o.Approve(ctx, o.jdn, e.ID)), "enrolment_state")
	o.sound(t)
	p, err := o.Lookup(ctx, o.ap, newIC)
	must(t, err)
	if len(p.Media) != 1 || p.Media[0].Status != "ACTIVE" || p.Media[0].Serial != cert.SerialNumber.String() || len(p.Enrolments) != 1 || p.Enrolments[0].State != enrol.Issued {
		t.Errorf("%+v", p)
	}
	// It signs under the PIN of the application.
	c, err := o.House.DB.Credential(ctx, newIC, storetest.System, p.Media[0].Credential)
	must(t, err)
	key, err := o.House.Keys.Open(ctx, c, secret.New(goodPIN), signer.KeyUse{})
	must(t, err)
	must(t, key.Close())
	// A second enrolment while the certificate lives.
	_, err = o.Add(ctx, o.jdn, o.row(newIC))
	refused(t, "enrolled again", err, "registered")
}

func second[T any](_ T, err error) error { return err }

// sound is the invariant checker: no key without a record, no credential without a
// certificate and a key on record, no key of what has ended, and no issued enrolment
// without a credential.
func (o *office) sound(t testing.TB) {
	t.Helper()
	must(t, o.House.DB.Accounted(ctx))
	storetest.Chain(t, o.House.DB)
	for _, s := range []enrol.State{enrol.Listed, enrol.Confirming, enrol.Confirmed, enrol.Applied, enrol.Validated, enrol.Approved, enrol.Issued, enrol.Returned, enrol.Rejected, enrol.Withdrawn, enrol.Expired} {
		list, err := o.House.DB.Enrolments(ctx, enrol.Filter{State: s, Until: o.House.Clock.Now(), Limit: 1000})
		must(t, err)
		for _, e := range list {
			f, sealed, request, err := o.House.DB.Application(ctx, e.ID)
			if err != nil && !errors.Is(err, enrol.ErrUnknown) {
				t.Fatal(err)
			}
			waits := s == enrol.Applied || s == enrol.Validated || s == enrol.Approved
			if waits != (len(f.Sealed) > 0) {
				t.Errorf("%s %s: a key of %d bytes", s, e.ID, len(f.Sealed))
			}
			if waits && (sha256.Sum256(f.Sealed) != sealed || sha256.Sum256(f.Request) != request) {
				t.Errorf("%s %s: the key is not the one on record", s, e.ID)
			}
			if !waits && len(f.Copy) > 0 {
				t.Errorf("%s %s keeps a MyKad copy", s, e.ID)
			}
			if s != enrol.Issued {
				continue
			}
			c, err := o.House.DB.Credential(ctx, e.IC, e.System, f.Credential)
			if err != nil || (len(c.Sealed) == 0) != (c.Status == "REVOKED" || c.Status == "SUPERSEDED") || c.Certificate == nil {
				t.Errorf("issued %s: credential %v", e.ID, err)
			}
			if row, err := o.House.DB.CertificateOf(ctx, f.Credential); err != nil || row.Status == ca.Reserved {
				t.Errorf("issued %s: certificate %s, %v", e.ID, row.Status, err)
			}
		}
	}
}

// Whoever validates may not approve, across accounts of one person; nobody decides about
// herself.
func TestTwoPersonRule(t *testing.T) {
	o := newOffice(t)
	id := o.applied(t, newIC)
	own := o.ap
	own.IC = newIC
	refused(t, "her own case", o.Validate(ctx, own, id), "own_case")
	both := o.ap
	both.Appointments = append(both.Appointments, o.jdn.Appointments...)
	must(t, o.Validate(ctx, both, id))
	both.Name = "account:another"
	refused(t, "the validator approves", second(o.Approve(ctx, both, id)), "same_person")
	ownJDN := o.jdn
	ownJDN.IC = newIC
	refused(t, "her own certificate", second(o.Approve(ctx, ownJDN, id)), "own_case")
	refused(t, "the machine approves", second(o.Approve(ctx, enrol.Actor{Name: "cli:root"}, id)), "forbidden")
	if _, err := o.Approve(ctx, o.jdn, id); err != nil {
		t.Fatal(err)
	}
	o.sound(t)
	// The register of certificates names who approved.
	n := 0
	for _, r := range storetest.Chain(t, o.House.DB) {
		if (r.Action == "ca.reserve" || r.Action == "ca.issue") && r.Detail["subject"] != "" && strings.Contains(r.Detail["subject"], newIC) {
			if n++; r.Actor != o.jdn.Name {
				t.Errorf("%s by %q", r.Action, r.Actor)
			}
		}
	}
	if n != 2 {
		t.Errorf("%d events of issuance", n)
	}
}

func TestReturnRejectWithdrawDestroyTheKey(t *testing.T) {
	for what, end := range map[string]func(o *office, id string) error{
		"returned":  func(o *office, id string) error { return o.Return(ctx, o.ap, id, "Salinan MyKad kabur") },
		"rejected":  func(o *office, id string) error { return o.Reject(ctx, o.jdn, id, "Bukan pegawai kami") },
		"withdrawn": func(o *office, id string) error { return o.Withdraw(ctx, o.sap, id, "Bertukar jabatan") },
		"by herself": func(o *office, id string) error {
			return o.Withdraw(ctx, enrol.Actor{Name: "officer:" + newIC, IC: newIC}, id, "Tidak perlu lagi")
		},
	} {
		o := newOffice(t)
		id := o.applied(t, newIC)
		refused(t, what+" without a reason", o.Return(ctx, o.ap, id, " x "), "reason_missing")
		before, _, _, err := o.House.DB.Application(ctx, id)
		must(t, err)
		must(t, end(o, id))
		o.sound(t)
		destroyed := false
		for _, r := range storetest.Chain(t, o.House.DB) {
			destroyed = destroyed || r.Action == "key.destroy" && r.Object == before.Credential
		}
		if !destroyed {
			t.Errorf("%s: no event tells that the key is gone", what)
		}
		refused(t, what+", then validated", o.Validate(ctx, o.ap, id), "enrolment_state")
		if what != "returned" {
			// The way is free for another enrolment.
			if _, err := o.Add(ctx, o.jdn, o.row(newIC)); err != nil {
				t.Errorf("%s, then enrolled again: %v", what, err)
			}
			continue
		}
		o.once(t)
		l := o.post.last(t)
		if l.code == "" || l.Reason != "Salinan MyKad kabur" {
			t.Errorf("letter %+v", l)
		}
		if _, err := o.Apply(ctx, application(secret.New(l.code))); err != nil {
			t.Fatal(err)
		}
		must(t, o.Validate(ctx, o.ap, id))
		if _, err := o.Approve(ctx, o.jdn, id); err != nil {
			t.Fatal(err)
		}
		o.sound(t)
	}
}

func TestLinksAndCodesExpire(t *testing.T) {
	o := newOffice(t)
	e, err := o.Add(ctx, o.jdn, o.row(newIC))
	must(t, err)
	o.once(t)
	old := o.post.last(t).link
	refused(t, "resent at once", o.Resend(ctx, o.ap, e.ID), "resend_too_soon")
	o.House.Clock.Advance(24 * time.Hour)
	_, err = o.Confirm(ctx, secret.New(old), "r")
	refused(t, "after 24 hours", err, "link_invalid")
	must(t, o.Resend(ctx, o.ap, e.ID))
	o.once(t)
	o.House.Clock.Advance(24*time.Hour - time.Microsecond)
	_, err = o.Confirm(ctx, secret.New(old), "r")
	refused(t, "the one before", err, "link_invalid")
	if _, err := o.Confirm(ctx, secret.New(o.post.last(t).link), "r"); err != nil {
		t.Fatal(err)
	}
	o.once(t)
	code := secret.New(o.post.last(t).code)
	o.House.Clock.Advance(14 * 24 * time.Hour)
	_, err = o.Apply(ctx, application(code))
	refused(t, "a code of 14 days", err, "link_invalid")
	o.House.Clock.Advance(77 * 24 * time.Hour)
	o.once(t)
	if o.state(t, e.ID).State != enrol.Expired {
		t.Errorf("after 90 days: %s", o.state(t, e.ID).State)
	}
	o.sound(t)
}

// answered is what a mail server said.
type answered string

func (a answered) Error() string { return "handing over message: " + string(a) }
func (a answered) Reply() string { return string(a) }

// A mail server that never takes a mail is asked for five days; the enrolment then ends
// like any other in which nothing happens.
func TestMailThatNeverLeaves(t *testing.T) {
	o := newOffice(t)
	e, err := o.Add(ctx, o.jdn, o.row(newIC))
	must(t, err)
	began := o.House.Clock.Now()
	o.post.fail = answered("451 4.7.1")
	for range 100 {
		due := o.state(t, e.ID).DueAt
		if due.IsZero() {
			break
		}
		o.House.Clock.Advance(max(0, due.Sub(o.House.Clock.Now())))
		o.once(t)
	}
	if after := o.House.Clock.Now().Sub(began); after < 4*24*time.Hour || after > 6*24*time.Hour || !o.state(t, e.ID).DueAt.IsZero() {
		t.Errorf("given up after %v: %+v", after, o.state(t, e.ID))
	}
	if got := o.state(t, e.ID); got.Reply != "451 4.7.1" || got.State != enrol.Confirming {
		t.Errorf("%+v", got)
	}
	o.House.Clock.Advance(began.Add(90*24*time.Hour + time.Second).Sub(o.House.Clock.Now()))
	o.once(t)
	if got := o.state(t, e.ID).State; got != enrol.Expired {
		t.Errorf("after 90 days: %s", got)
	}
	o.sound(t)
}

// A mail sent again does not make an enrolment younger, and keeps it for 90 days from
// there.
func TestResendKeepsTheAge(t *testing.T) {
	o := newOffice(t)
	e, err := o.Add(ctx, o.jdn, o.row(newIC))
	must(t, err)
	o.once(t)
	since := o.state(t, e.ID).Since
	o.House.Clock.Advance(60 * 24 * time.Hour)
	must(t, o.Resend(ctx, o.ap, e.ID))
	o.once(t)
	if got := o.state(t, e.ID); !got.Since.Equal(since) || !got.MailedAt.Equal(o.House.Clock.Now()) {
		t.Errorf("since %v, mailed %v; was since %v", got.Since, got.MailedAt, since)
	}
	o.House.Clock.Advance(89 * 24 * time.Hour)
	if did, err := o.Once(ctx); did || err != nil {
		t.Fatalf("expired within 90 days of a mail: %v, %v", did, err)
	}
	o.House.Clock.Advance(24*time.Hour + time.Second)
	o.once(t)
	if got := o.state(t, e.ID).State; got != enrol.Expired {
		t.Errorf("90 days after the mail: %s", got)
	}
}

// A name entered by hand is kept as a list's would be, so that an account can be opened
// for it.
func TestAddNormalises(t *testing.T) {
	o := newOffice(t)
	row := o.row(newIC)
	row.Officer.Name, row.Office = " RENE\u0301  BIN ABU ", " PTJ  1 "
	e, err := o.Add(ctx, o.jdn, row)
	must(t, err)
	if got := o.state(t, e.ID); got.Name != "REN\u00c9 BIN ABU" || got.Office != "PTJ 1" {
		t.Errorf("%q, %q", got.Name, got.Office)
	}
	o.once(t)
	if _, err := o.Confirm(ctx, secret.New(o.post.last(t).link), "r"); err != nil {
		t.Fatal(err)
	}
	if got := o.state(t, e.ID); enrol.CheckPerson(enrol.Officer{IC: got.IC, Name: got.Name, Email: got.Email}) != nil {
		t.Errorf("no account can be opened for %q", got.Name)
	}
	row = o.row("850505105551")
	row.Office, row.Phase, row.Ticket = strings.Repeat("x", 65), strings.Repeat("x", 65), strings.Repeat("x", 65)
	for range 10 {
		_, err := o.Add(ctx, o.jdn, row)
		var no *enrol.Refusal
		if !errors.As(err, &no) || no.Field != "office" {
			t.Fatalf("the first defect: %v", err)
		}
	}
}

func TestMailThatDoesNotLeave(t *testing.T) {
	o := newOffice(t)
	e, err := o.Add(ctx, o.jdn, o.row(newIC))
	must(t, err)
	o.post.fail = errors.New("dial tcp 10.1.2.3:25: connection refused")
	o.once(t)
	if got := o.state(t, e.ID).Reply; got != "no answer" {
		t.Errorf("what is shown of the network: %q", got)
	}
	if did, err := o.Once(ctx); did || err != nil {
		t.Fatalf("tried again at once: %v, %v", did, err)
	}
	o.House.Clock.Advance(time.Minute)
	o.once(t)
	if a, b := o.post.letters[0].link, o.post.letters[1].link; a == b {
		t.Error("two tries had the same link")
	}
	o.post.fail = fmt.Errorf("%w: %w", enrol.ErrUndeliverable, answered("550 5.1.1"))
	o.House.Clock.Advance(2 * time.Minute)
	o.once(t)
	if got := o.state(t, e.ID); !got.DueAt.IsZero() || got.Reply != "550 5.1.1" {
		t.Errorf("%+v", got)
	}
	// The AP puts the address right.
	refused(t, "to a mistyped one", o.Correct(ctx, o.ap, e.ID, "noraini@janm.gov.ny"), "email_typo")
	refused(t, "to a private one", o.Correct(ctx, o.ap, e.ID, "noraini@gmail.com"), "personal_mail")
	must(t, o.Correct(ctx, o.ap, e.ID, "noraini.othman@janm.gov.my"))
	stale := o.post.last(t).link
	_, err = o.Confirm(ctx, secret.New(stale), "r")
	refused(t, "the link to the old address", err, "link_invalid")
	o.post.fail = nil
	o.once(t)
	if l := o.post.last(t); l.Email != "noraini.othman@janm.gov.my" {
		t.Errorf("sent to %s", l.Email)
	}
	if _, err := o.Confirm(ctx, secret.New(o.post.last(t).link), "r"); err != nil {
		t.Fatal(err)
	}
	refused(t, "after it was proved", o.Correct(ctx, o.ap, e.ID, "other@janm.gov.my"), "enrolment_state")
	// Whoever chose the mailbox could have applied from it: others decide.
	o.once(t)
	if _, err := o.Apply(ctx, application(secret.New(o.post.last(t).code))); err != nil {
		t.Fatal(err)
	}
	refused(t, "validated by whoever corrected it", o.Validate(ctx, o.ap, e.ID), "same_person")
	must(t, o.Validate(ctx, o.sap, e.ID))
}

// An application fails at each step, done or not done; again completes it, and nothing
// is there by half.
func TestApplyFaultsBothWays(t *testing.T) {
	for _, after := range []bool{false, true} {
		o := newOffice(t)
		id, code := o.confirmed(t, newIC)
		broken := *o.Desk.Registrar
		d := &enrol.Desk{Registrar: &broken, MAC: o.Desk.MAC, Mail: o.post,
			Records: faulty{records: o.House.DB, after: after, onChange: func(enrol.Change) error { return errDead }}}
		if _, err := d.Apply(ctx, application(code)); !errors.Is(err, errDead) {
			t.Fatal(err)
		}
		o.sound(t)
		_, err := o.Apply(ctx, application(code))
		if after {
			refused(t, "done, but told as an error", err, "already_applied")
		} else {
			must(t, err)
		}
		if s := o.state(t, id).State; s != enrol.Applied {
			t.Errorf("it is %s", s)
		}
		o.sound(t)
	}
}

// An approval fails at each of its steps, both ways; it is completed by the worker or by
// approving again, with one certificate and one credential.
func TestApproveFaultsBothWays(t *testing.T) {
	for _, c := range []struct {
		name  string
		at    enrol.State // the change that fails; "" the CA's key
		after bool
	}{{"the approval is not stored", enrol.Approved, false}, {"the approval is stored", enrol.Approved, true}, {"the CA is away", "", false},
		{"the credential is not stored", enrol.Issued, false}, {"the credential is stored", enrol.Issued, true}} {
		for _, again := range []string{"by the worker", "by JDN"} {
			o := newOffice(t)
			id := o.applied(t, newIC)
			must(t, o.Validate(ctx, o.ap, id))
			d := &enrol.Desk{Registrar: o.Desk.Registrar, MAC: o.Desk.MAC, Mail: o.post,
				Records: faulty{records: o.House.DB, after: c.after, onChange: func(ch enrol.Change) error {
					if ch.To == c.at {
						return errDead
					}
					return nil
				}}}
			if c.at == "" {
				o.House.Keys.OnAuthority = func(string) error { return errDead }
			}
			if _, err := d.Approve(ctx, o.jdn, id); !errors.Is(err, errDead) {
				t.Fatalf("%s: %v", c.name, err)
			}
			o.House.Keys.OnAuthority = nil
			o.sound(t)
			was := o.state(t, id).State
			switch {
			case was == enrol.Validated:
				if _, err := o.Approve(ctx, o.jdn, id); err != nil {
					t.Fatal(err)
				}
			case was == enrol.Approved && again == "by JDN":
				if _, err := o.Approve(ctx, o.jd2, id); err != nil {
					t.Fatal(err)
				}
			case was == enrol.Approved:
				if did, _ := o.Once(ctx); did {
					t.Error("a lease was not kept")
				}
				o.House.Clock.Advance(5 * time.Minute)
				o.once(t)
			}
			if s := o.state(t, id).State; s != enrol.Issued {
				t.Errorf("%s, then completed %s: %s", c.name, again, s)
			}
			o.sound(t)
			n := 0
			for _, r := range storetest.Chain(t, o.House.DB) {
				if r.Action == "enrol.issue" && r.Verdict == audit.Accepted {
					n++
				}
			}
			if n != 1 {
				t.Errorf("%s, then completed %s: issued %d times", c.name, again, n)
			}
		}
	}
}

// Two at once: one wins, and nothing is there twice.
func TestTwoAtOnce(t *testing.T) {
	o := newOffice(t)
	id, code := o.confirmed(t, newIC)
	count := func(n int, f func(k int) error) (ok int) {
		var mu sync.Mutex
		var wg sync.WaitGroup
		for k := range n {
			wg.Go(func() {
				err := f(k)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					ok++
				} else if !errors.Is(err, enrol.ErrState) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		return ok
	}
	if n := count(4, func(int) error { return second(o.Apply(ctx, application(code))) }); n != 1 {
		t.Errorf("%d of 4 applications were taken", n)
	}
	if n := count(4, func(k int) error { return o.Validate(ctx, []enrol.Actor{o.ap, o.sap}[k%2], id) }); n != 1 {
		t.Errorf("it was validated %d times", n)
	}
	count(6, func(k int) error {
		if k%3 == 0 {
			return o.Return(ctx, o.jdn, id, "Semak semula alamat")
		}
		return second(o.Approve(ctx, []enrol.Actor{o.jdn, o.jd2}[k%2], id))
	})
	if s := o.state(t, id).State; s != enrol.Issued && s != enrol.Returned {
		t.Errorf("it is %s", s)
	}
	o.sound(t)
}

// Whoever can write rows but not the chain does not get a certificate for another key
// or another name.
func TestApproveRefusesWhatWasChanged(t *testing.T) {
	raw := func(o *office, query string, args ...any) error {
		_, err := storetest.Captured(t, o.path).Exec(query, args...)
		return err
	}
	for what, tamper := range map[string]func(o *office) error{
		"the name": func(o *office) error {
			return raw(o, "UPDATE officers SET name = ? WHERE ic = ?", personal.Name("ORANG LAIN"), personal.IC(newIC))
		},
		"the key": func(o *office) error { return raw(o, "UPDATE applications SET sealed = x'00'") },
		"the request": func(o *office) error {
			return raw(o, "UPDATE applications SET request = ?", personal.Bytes{V: []byte{0}})
		},
		"the form": func(o *office) error { return raw(o, "UPDATE applications SET form = substr(form, 2)") },
		"the kind": func(o *office) error {
			return raw(o, "UPDATE enrolments SET kind = 'RENEWAL', replaces = 'cr_x' WHERE state = 'VALIDATED'")
		},
		"another id": func(o *office) error { return raw(o, "UPDATE applications SET credential_id = 'cr_other'") },
	} {
		o := newOffice(t)
		id := o.applied(t, newIC)
		must(t, o.Validate(ctx, o.ap, id))
		must(t, tamper(o))
		refused(t, what, second(o.Approve(ctx, o.jdn, id)), "record_changed")
		if s := o.state(t, id).State; s != enrol.Validated {
			t.Errorf("%s: it is %s", what, s)
		}
	}
}

// Nor does a certificate come of an approval, or a validation, that only a row tells of.
func TestDecisionsAreInTheChain(t *testing.T) {
	raw := func(o *office, query string, args ...any) {
		t.Helper()
		_, err := storetest.Captured(t, o.path).Exec(query, args...)
		must(t, err)
	}
	none := func(o *office, what string) {
		t.Helper()
		if _, err := o.House.DB.CertificateOf(ctx, credentialOf(t, o)); !errors.Is(err, ca.ErrUnknown) {
			t.Errorf("%s: a certificate was issued (%v)", what, err)
		}
	}
	o := newOffice(t)
	id := o.applied(t, newIC)
	raw(o, "UPDATE enrolments SET state = 'VALIDATED', validated_by = ?, validated_ic = ?", personal.Actor("account:x"), personal.IC("700101105559"))
	refused(t, "a validation by nobody", second(o.Approve(ctx, o.jdn, id)), "record_changed")
	raw(o, "UPDATE enrolments SET state = 'APPROVED', approved_by = ?, due_at = 1", personal.Actor("account:y"))
	_, err := o.Once(ctx)
	refused(t, "an approval by nobody", err, "record_changed")
	none(o, "an approval by nobody")

	o = newOffice(t)
	id = o.applied(t, newIC)
	both := o.ap
	both.Appointments = append(both.Appointments, o.jdn.Appointments...)
	must(t, o.Validate(ctx, both, id))
	raw(o, "UPDATE enrolments SET validated_by = ?, validated_ic = ?", personal.Actor("account:x"), personal.IC("700101105559"))
	refused(t, "the validator under another name", second(o.Approve(ctx, both, id)), "record_changed")
	raw(o, "UPDATE enrolments SET validated_by = ?", personal.Actor(both.Name))
	refused(t, "the validator under another IC", second(o.Approve(ctx, both, id)), "record_changed")
	none(o, "the validator's approval")

	// A validation holds for the application that it was made about.
	o = newOffice(t)
	id = o.applied(t, newIC)
	must(t, o.Validate(ctx, o.ap, id))
	must(t, o.Return(ctx, o.jdn, id, "salinan kabur"))
	o.once(t)
	_, err = o.Apply(ctx, application(secret.New(o.post.last(t).code)))
	must(t, err)
	raw(o, "UPDATE enrolments SET state = 'VALIDATED', validated_by = ?, validated_ic = ?", personal.Actor(o.ap.Name), personal.IC(o.ap.IC))
	refused(t, "an earlier validation", second(o.Approve(ctx, o.jdn, id)), "record_changed")
}

func credentialOf(t testing.TB, o *office) string {
	t.Helper()
	list, err := o.House.DB.EnrolmentsOf(ctx, newIC)
	must(t, err)
	f, _, _, err := o.House.DB.Application(ctx, list[0].ID)
	must(t, err)
	return f.Credential
}

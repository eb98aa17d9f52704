package enrol

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/secret"
)

// ErrUndeliverable: the mail server refused the address or the message for good.
var ErrUndeliverable = errors.New("the mail server refused the message for good")

// Letter is a mail with a secret: the link that proves the address, or the code for
// the application.
type Letter struct {
	ID          string // of the enrolment
	Name, Email string
	System      string      // title
	Link        secret.Text // token of the link, 22 characters of base64url; empty with a code
	Code        secret.Text // XXXX-XXXX-XXXX-XXXX
	Until       time.Time
	Reason      string // why the application was returned; ""
	Rekey       bool   // the code is for a new key, because the PIN is forgotten
	Setup       bool   // Code is an administrator's set-up code ("setup_…"); no system
	// Change is OldAddress or NewAddress for a link that confirms a change to Address;
	// such a letter names no system.
	Change, Address string
}

// PINs judges and counts PINs of keys that exist.
type PINs interface {
	// ProvePIN is nil when pin opens the officer's key. It counts tries, and audits; its
	// errors are for the officer. act is what it is proved for.
	ProvePIN(ctx context.Context, act Action, officer, system, credential string, pin secret.Text, request string) error
	// UnlockPIN clears the officer's PIN counter, lock and block, in one transaction with
	// the event, and gives what it was; ErrUnknown.
	UnlockPIN(ctx context.Context, officer string, ev audit.Event) (PINCount, error)
}

// PINCount is what counted wrong PINs amounted to.
type PINCount struct {
	Wrong       int
	LockedUntil time.Time
	Blocked     bool // until it is unlocked
}

// Mailer makes one try at a Letter: nil when the mail server took it, ErrUndeliverable
// when it never will. An error's Reply, if it has that method, is the server's answer in
// digits, which administrators see. It keeps nothing.
type Mailer interface {
	SendLetter(ctx context.Context, l Letter) error
}

// Policy holds the times of enrolment. The zero value of a field is its default.
type Policy struct {
	LinkFor      time.Duration // how long a link is good; 24 h
	CodeFor      time.Duration // how long a verification code is good; 14 days
	ResendAfter  time.Duration // between two mails to one officer; 5 min
	OpenFor      time.Duration // until an enrolment in which nothing happens expires; 90 days
	RenewWithin  time.Duration // before the end a renewal needs no approval; 30 days
	RenewAsked   bool          // every renewal needs validation and approval
	RekeysADay   int           // how often an officer may ask for a new key in 24 hours; 3
	MyKad        bool          // an application needs a copy of the MyKad
	RevokeByTwo  bool          // a revocation at once by an administrator, but of a compromised key, wants a second one
	OfficialOnly bool          // no personal addresses, whatever an agency allows
}

// Renewable says whether a certificate that ends then is in the time of its renewal, when it
// needs no approval.
func (p Policy) Renewable(notAfter, now time.Time) bool {
	return !notAfter.After(now.Add(p.filled().RenewWithin))
}

func (p Policy) filled() Policy {
	for field, value := range map[*time.Duration]time.Duration{&p.LinkFor: 24 * time.Hour, &p.CodeFor: 14 * 24 * time.Hour, &p.ResendAfter: 5 * time.Minute, &p.OpenFor: 90 * 24 * time.Hour,
		&p.RenewWithin: 30 * 24 * time.Hour} {
		if *field == 0 {
			*field = value
		}
	}
	if p.RekeysADay == 0 {
		p.RekeysADay = 3
	}
	return p
}

// lease is how long one who has begun to mail or to issue has time before another does.
const lease = 2 * time.Minute

// Desk is where enrolments are made and decided. Every method asks decide, which authorises
// and audits, before it does anything; a refusal is a *[Refusal].
type Desk struct {
	*Registrar // Records hides the Registrar's
	Records    Enrolments
	MAC        interface { // makes keys in the HSM: HMAC-SHA-256, 32 bytes
		MAC(ctx context.Context, data []byte) ([]byte, error)
	}
	PINs   PINs   // for renewals
	Mail   Mailer // nil where none is sent: what is due waits for a gateway that can
	Policy Policy

	directory Directory
	exporting sync.Mutex // one export at a time
	picture   sync.Mutex // one MyKad copy is decoded at a time, for it takes up to 320 MB
}

// PutAgency registers or changes an agency.
func (d *Desk) PutAgency(ctx context.Context, a Actor, g Agency) error {
	ev, err := d.decide(ctx, a, Registry, object{name: "agency:" + g.Code, detail: map[string]string{"personal_mail": fmt.Sprint(g.PersonalMail)}})
	if err != nil {
		return err
	}
	if !validID(g.Code) || !showable(g.Name, 120) {
		return d.refuse(ctx, ev, entered("registry_invalid", "agency", "kod atau nama agensi tidak sah", "an agency needs a code of 1 to 32 letters, digits, - or _ and a name"))
	}
	return d.Records.PutAgency(ctx, g, ev)
}

// PutSystem registers or changes an ICT system.
func (d *Desk) PutSystem(ctx context.Context, a Actor, s System) error {
	o := object{name: "system:" + s.Code, detail: map[string]string{"agency": s.Agency}}
	if !s.TokenEnds.IsZero() {
		o.detail["token_ends"] = s.TokenEnds.UTC().Format(time.RFC3339)
	}
	ev, err := d.decide(ctx, a, Registry, o)
	if err != nil {
		return err
	}
	agencies, err := d.Records.Agencies(ctx)
	if err != nil {
		return fmt.Errorf("reading agencies: %w", err)
	}
	known := false
	for _, g := range agencies {
		known = known || g.Code == s.Agency
	}
	if !validID(s.Code) || !showable(s.Title, 120) || !known {
		return d.refuse(ctx, ev, entered("registry_invalid", "system", "kod, tajuk atau agensi sistem tidak sah", "a system needs a code of 1 to 32 letters, digits, - or _, a title and a registered agency"))
	}
	return d.Records.PutSystem(ctx, s, ev)
}

// EndTokens sets from when a system takes no more tokens, and changes nothing else of it;
// zero: it does. From then on the look-up of media offers none.
func (d *Desk) EndTokens(ctx context.Context, a Actor, system string, at time.Time) error {
	o := object{name: "system:" + system, detail: map[string]string{"token_ends": "never"}}
	if !at.IsZero() {
		o.detail["token_ends"] = at.UTC().Format(time.RFC3339)
	}
	ev, err := d.decide(ctx, a, Registry, o)
	if err != nil {
		return err
	}
	err = d.Records.EndTokens(ctx, system, at, ev)
	if errors.Is(err, ErrUnknown) {
		return d.refuse(ctx, ev, refusal("not_registered", ErrUnknown))
	}
	return err
}

// find reads an enrolment for somebody: one that is not there and one that is not
// theirs to see are alike, and both in the audit.
func (d *Desk) find(ctx context.Context, a Actor, act Action, id string) (Enrolment, error) {
	e, err := d.Records.Enrolment(ctx, id)
	if errors.Is(err, ErrUnknown) {
		ev, err := d.decide(ctx, a, act, object{name: id})
		if err == nil {
			err = d.refuse(ctx, ev, refusal("not_registered", ErrUnknown))
		}
		return e, err
	}
	if err != nil {
		return e, fmt.Errorf("reading enrolment: %w", err)
	}
	return e, nil
}

// Admit adds the medium: a submitted enrolment goes on, and the link is sent.
func (d *Desk) Admit(ctx context.Context, a Actor, id string) error {
	return d.step(ctx, a, Admit, id, "", func(c *Change) { c.Due = c.At })
}

// Resend has another link or code sent; the one before is no longer good then.
func (d *Desk) Resend(ctx context.Context, a Actor, id string) error {
	e, err := d.find(ctx, a, Resend, id)
	if err != nil {
		return err
	}
	ev, to, err := d.may(ctx, a, Resend, &e)
	if err != nil {
		return err
	}
	if no := d.tooSoon(&e); no != nil {
		return d.refuse(ctx, ev, no)
	}
	return d.take(ctx, Change{ID: e.ID, From: e.State, To: to, At: e.Since, Due: d.Now(), Reason: e.Reason, Event: ev})
}

// tooSoon refuses another mail so shortly after the one before.
func (d *Desk) tooSoon(e *Enrolment) *Refusal {
	wait := e.MailedAt.Add(d.Policy.filled().ResendAfter).Sub(d.Now())
	if wait <= 0 {
		return nil
	}
	no := refusal("resend_too_soon", ErrThrottled)
	no.After = wait
	return no
}

// Correct changes the address of an officer who has not proved one, and has the link
// sent there. An officer who holds a credential changes it otherwise: with proof of both
// addresses.
func (d *Desk) Correct(ctx context.Context, a Actor, id, email string) error {
	e, err := d.find(ctx, a, Correct, id)
	if err != nil {
		return err
	}
	ev, to, err := d.may(ctx, a, Correct, &e)
	if err != nil {
		return err
	}
	r, err := d.register(ctx)
	if err != nil {
		return err
	}
	if no := r.address(email, e.Agency); no != nil {
		return d.refuse(ctx, ev, no)
	}
	var due time.Time
	if to == Confirming {
		due = d.Now()
	}
	err = d.Records.Correct(ctx, e, email, due, ev)
	if errors.Is(err, ErrState) {
		return d.refuse(ctx, ev, refusal("enrolment_changed", ErrState))
	}
	return err
}

// step does what is decided by one person with at most a reason.
func (d *Desk) step(ctx context.Context, a Actor, act Action, id, reason string, shape func(*Change)) error {
	e, err := d.find(ctx, a, act, id)
	if err != nil {
		return err
	}
	ev, to, err := d.may(ctx, a, act, &e)
	if err != nil {
		return err
	}
	if act == Validate {
		if err := d.apart(ctx, &e, ev, &a); err != nil {
			return err
		}
	}
	if act == Return || act == Reject || act == Withdraw {
		if no := reasonGiven(&reason, decisionReason); no != nil {
			return d.refuse(ctx, ev, no)
		}
		ev.Detail["reason"] = reason
	}
	c := Change{ID: e.ID, From: e.State, To: to, At: d.Now(), ActorIC: a.IC, Reason: reason, Event: ev}
	if shape != nil {
		shape(&c)
	}
	return d.take(ctx, c)
}

// Found is what a look-up shows.
type Found struct {
	Officer    Officer
	Media      []Medium    // of all systems for who may see all, else those within scope
	Enrolments []Enrolment // within scope
	Withheld   bool        // somebody else's officer: there is no more to see
	May        []string    // help that whoever asks may give: DoUnlock …
	All        bool        // everything is within scope
}

// Sees says whether what belongs to an ICT system is within the scope of who looked.
func (f *Found) Sees(system string) bool {
	return f.All || !f.Withheld && slices.ContainsFunc(f.Enrolments, func(e Enrolment) bool { return e.System == system })
}

// Lookup reads a person by IC. Who administers a system or an agency sees what belongs
// to it, and a person with nothing of that is [ErrUnknown], like one who is not
// registered. Of somebody else's officer it sees the own enrolments with the name alone:
// an address and media are for those whom [Desk.Permit] would let help, and of who is
// nobody else's. The audit tells of every look-up, in vain or not, but of officers who look at
// what is kept about themselves: their session stands there, and pages ask again and again.
func (d *Desk) Lookup(ctx context.Context, a Actor, ic string) (Found, error) {
	all, err := d.Records.EnrolmentsOf(ctx, ic)
	if err != nil {
		return Found{}, fmt.Errorf("reading enrolments: %w", err)
	}
	o := object{name: "officer:" + ic, officer: ic}
	now, p := d.Now(), Found{}
	_, no := d.judge(&a, rules()[Read], &o)
	whole := no == nil
	for _, e := range all {
		scoped := about(&e)
		if _, no := d.judge(&a, rules()[Read], &scoped); no == nil {
			p.Enrolments = append(p.Enrolments, e)
			o.system, o.agency = e.System, e.Agency
		}
	}
	ev, err := d.decide(ctx, a, Read, o)
	if err != nil {
		return Found{}, err
	}
	ev.At = now
	officer, media, err := d.Registrar.Records.Officer(ctx, ic)
	if errors.Is(err, ErrUnknown) {
		return Found{}, d.refuse(ctx, ev, refusal("not_registered", ErrUnknown))
	}
	if err != nil {
		return Found{}, fmt.Errorf("reading officer: %w", err)
	}
	p.Officer, p.Media, p.All = officer, media, whole
	if p.May = d.mays(&a, ic, all, media); !whole {
		if err := d.withhold(ctx, &a, &p, len(all)); err != nil {
			return Found{}, err
		}
	}
	if ev.Detail["by"] == "officer" {
		return p, nil
	}
	return p, d.Records.Audit(ctx, ev)
}

// withhold leaves in p what a may see who sees these of n enrolments.
func (d *Desk) withhold(ctx context.Context, a *Actor, p *Found, n int) error {
	helped, err := d.of(ctx, a, Read, p.Officer.IC)
	if err != nil {
		return err
	}
	own := nobodyElses(n, p.Enrolments, p.Media)
	if helped.system == "" && !own {
		p.Officer.Email, p.Media, p.Withheld, p.May = "", nil, true, nil
		for k := range p.Enrolments {
			p.Enrolments[k].Email = ""
		}
		return nil
	}
	p.Media = slices.DeleteFunc(p.Media, func(m Medium) bool {
		return !slices.ContainsFunc(p.Enrolments, func(e Enrolment) bool { return e.System == m.System })
	})
	return nil
}

// nobodyElses says that an officer of n enrolments, of which these are somebody's to see, is nobody
// else's: what has a key has it by one of these.
func nobodyElses(n int, theirs []Enrolment, media []Medium) bool {
	return n == len(theirs) && (slices.ContainsFunc(theirs, func(e Enrolment) bool { return e.State == Issued }) ||
		!slices.ContainsFunc(media, func(m Medium) bool { return m.Credential != "" }))
}

// Find lists enrolments of one state by age. Without system and agency it is for those who
// may see all, and of those who look after one scope alone, for that. count has all of them
// counted that f chooses, not only this page; else it is 0. The audit tells of the question,
// not of each answer.
func (d *Desk) Find(ctx context.Context, a Actor, f Filter, count bool) (out []Enrolment, n int, err error) {
	if f.Limit <= 0 {
		f.Limit = 100
	}
	f.Limit = min(f.Limit, 1000)
	if f.Until.IsZero() {
		f.Until = d.Now()
	}
	q := ReportQuery{System: f.System, Agency: f.Agency}
	several := d.narrow(&a, &q)
	f.System, f.Agency = q.System, q.Agency
	ev, no := ground(d.Now(), a, Read, object{name: "enrolments", system: f.System, agency: f.Agency,
		detail: map[string]string{"state": string(f.State), "system": f.System, "agency": f.Agency, "kind": f.Kind}})
	if no != nil && several {
		no = entered("report_scope", "system", "namakan satu sistem atau agensi di bawah anda", "name one system or agency of yours")
	}
	if no != nil {
		return nil, 0, d.refuse(ctx, ev, no)
	}
	if out, err = d.Records.Enrolments(ctx, f); err != nil {
		return nil, 0, fmt.Errorf("reading enrolments: %w", err)
	}
	if count {
		if n, err = d.Records.CountEnrolments(ctx, f); err != nil {
			return nil, 0, fmt.Errorf("counting enrolments: %w", err)
		}
	}
	if err := d.conceal(ctx, &a, out); err != nil {
		return nil, 0, err
	}
	ev.Detail["found"] = fmt.Sprint(len(out))
	return out, n, d.Records.Audit(ctx, ev)
}

// showable says whether s is 1 to limit printable characters.
func showable(s string, limit int) bool {
	n := utf8.RuneCountInString(s)
	return n >= 1 && n <= limit && strings.TrimSpace(s) != "" && utf8.ValidString(s) && !strings.ContainsFunc(s, unprintable)
}

// plainAddress says whether s is one bare address that mail can be sent to.
func plainAddress(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && len(s) <= 254
}

package enrol

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/internal/secret"
)

// newLink makes the token of a link: 128 bits in base64url.
func newLink() secret.Text {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails (it ends the process)
	return secret.New(base64.RawURLEncoding.EncodeToString(b[:]))
}

// crockford is base 32 without letters that look like digits.
var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// newCode makes a verification code, 80 bits as XXXX-XXXX-XXXX-XXXX: so many that its
// hash tells nothing and that no counter of tries is needed.
func newCode() secret.Text {
	var b [10]byte
	_, _ = rand.Read(b[:])
	s := crockford.EncodeToString(b[:])
	return secret.New(s[:4] + "-" + s[4:8] + "-" + s[8:12] + "-" + s[12:])
}

// hashLink and hashCode are what is kept of them. A code may be typed in small letters,
// without hyphens, with O for 0 and I or L for 1.
func hashLink(s secret.Text) [32]byte { return sha256.Sum256(s.Reveal()) }

func hashCode(s secret.Text) [32]byte {
	t := strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(string(s.Reveal())))
	return sha256.Sum256([]byte(t))
}

// unlinked refuses a link or code with the same answer for one that is unknown, used or
// expired. Of one that never was there is no event: strangers must not fill the chain.
func (d *Desk) unlinked(ctx context.Context, act Action, e *Enrolment, request string) error {
	no := refusal("link_invalid", ErrLink)
	if e.ID == "" {
		return no
	}
	ev := audit.Event{At: d.Now(), Actor: "anonymous", Action: string(act), Object: e.ID, RequestID: request, Detail: map[string]string{"officer": e.IC, "state": string(e.State)}}
	return d.refuse(ctx, ev, no)
}

// Confirm proves the address: whoever has the link reads that mailbox. It is good once.
// The verification code for the application is sent then. ErrLink, in one sentence, for
// a link that was used, has expired or never was.
func (d *Desk) Confirm(ctx context.Context, link secret.Text, request string) (Enrolment, error) {
	e, err := d.Records.EnrolmentByLink(ctx, hashLink(link))
	if err != nil && !errors.Is(err, ErrUnknown) {
		return Enrolment{}, fmt.Errorf("reading enrolment: %w", err)
	}
	if err != nil { // a change of address has links of the same kind
		if err := d.confirmAddress(ctx, link, request); !errors.Is(err, ErrUnknown) {
			return Enrolment{}, err
		}
	}
	if err != nil || e.State != Confirming || !d.Now().Before(e.LinkUntil) {
		return Enrolment{}, d.unlinked(ctx, Confirm, &e, request)
	}
	ev, to, err := d.may(ctx, Actor{Name: "officer:" + e.IC, IC: e.IC, Request: request}, Confirm, &e)
	if err != nil {
		return Enrolment{}, err
	}
	err = d.Records.Change(ctx, Change{ID: e.ID, From: e.State, To: to, At: d.Now(), Due: d.Now(), Event: ev})
	if errors.Is(err, ErrState) { // somebody pressed twice: the other one was first
		return Enrolment{}, d.unlinked(ctx, Confirm, &e, request)
	}
	if err != nil {
		return Enrolment{}, fmt.Errorf("storing the confirmation: %w", err)
	}
	e.State = to
	return e, nil
}

// ByCode gives the enrolment that a verification code belongs to, so that a page can show
// whose it is before anything is filled in; ErrLink as Confirm has it.
func (d *Desk) ByCode(ctx context.Context, code secret.Text, request string) (Enrolment, error) {
	e, err := d.Records.EnrolmentByCode(ctx, hashCode(code))
	if err != nil && !errors.Is(err, ErrUnknown) {
		return Enrolment{}, fmt.Errorf("reading enrolment: %w", err)
	}
	if err != nil || !d.Now().Before(e.CodeUntil) {
		return Enrolment{}, d.unlinked(ctx, Apply, &e, request)
	}
	return e, nil
}

// Application is what the officer sends in, once.
type Application struct {
	Code          secret.Text // verification code
	By            Actor       // who has logged in; the zero Actor where the code alone speaks for the officer
	PIN, PINAgain secret.Text
	Algorithm     string // of the key: "RSA-2048", "ECDSA-P256" … as the HSM names them
	Form          Form
	MyKad         []byte // JPEG or PNG of at most MaxCopy bytes; empty for none
	Request       string // request id
}

// Apply takes an application: the key is made in the HSM under the officer's PIN and
// kept with it, of no use until its certificate is issued. Errors: ErrLink for a wrong
// code, a *PINError, joined *Refusals of fields, ErrState. After any error nothing was
// taken, or all of it: asked again, it then says already_applied.
func (d *Desk) Apply(ctx context.Context, a Application) (Enrolment, error) {
	e, err := d.ByCode(ctx, a.Code, a.Request)
	if err != nil {
		return Enrolment{}, err
	}
	by := a.By
	if by.Name == "" {
		by = Actor{Name: "officer:" + e.IC, IC: e.IC, Request: a.Request}
	}
	ev, err := d.decide(ctx, by, Apply, about(&e))
	if err != nil {
		return Enrolment{}, err
	}
	if e.State == Applied || e.State == Validated || e.State == Approved || e.State == Issued {
		return Enrolment{}, d.refuse(ctx, ev, refusal("already_applied", ErrState))
	}
	if _, _, err := d.may(ctx, by, Apply, &e); err != nil {
		return Enrolment{}, err
	}
	photo, err := d.judgeApplication(ctx, &e, &a, ev)
	if err != nil {
		return Enrolment{}, err
	}
	// Nothing is stored yet. Two at once both make a key; the database takes one.
	f, err := d.file(ctx, &e, a.Form, photo, a.Algorithm, a.PIN)
	if err != nil {
		return Enrolment{}, err
	}
	ev.Detail["credential"], ev.Detail["algorithm"], ev.Detail["declaration"] = f.Credential, f.Algorithm, a.Form.Declaration
	ev.Detail["mykad"] = fmt.Sprint(len(photo) > 0)
	if err := d.take(ctx, Change{ID: e.ID, From: e.State, To: Applied, At: d.Now(), Filed: f, Event: ev}); err != nil {
		return Enrolment{}, err
	}
	// From here on the application waits for the agency.
	e.State = Applied
	return e, nil
}

// judgeApplication checks what was entered and cleans the picture. What is wrong with
// several fields is told together.
func (d *Desk) judgeApplication(ctx context.Context, e *Enrolment, a *Application, ev audit.Event) (photo []byte, err error) {
	r, err := d.register(ctx)
	if err != nil {
		return nil, err
	}
	bad := a.Form.check(r.agencies[e.Agency].PersonalMail)
	if subtle.ConstantTimeCompare(a.PIN.Reveal(), a.PINAgain.Reveal()) != 1 {
		bad = append(bad, entered("pins_differ", "pin_again", "dua PIN itu tidak sama", "the two PINs differ"))
	}
	if len(a.MyKad) == 0 && d.Policy.MyKad {
		bad = append(bad, entered("mykad_missing", "mykad", "salinan MyKad diperlukan", "a copy of the MyKad is needed"))
	}
	if len(a.MyKad) > 0 {
		d.picture.Lock()
		var no *Refusal
		if photo, no = cleanCopy(a.MyKad); no != nil {
			bad = append(bad, no)
		}
		d.picture.Unlock()
	}
	no, err := d.checkPIN(e, a.PIN)
	if no != nil {
		bad = append(bad, no)
	}
	if len(bad) == 0 {
		return photo, err
	}
	var all []error
	for _, no := range bad[1:] {
		all = append(all, no)
	}
	return nil, errors.Join(append([]error{d.refuse(ctx, ev, bad[0])}, all...)...)
}

// checkPIN gives what the policy has against a PIN.
func (d *Desk) checkPIN(e *Enrolment, pin secret.Text) (*Refusal, error) {
	err := d.PIN.Check(pin, Officer{IC: e.IC, Name: e.Name, Email: e.Email})
	var because *PINError
	if errors.As(err, &because) {
		return &Refusal{Code: because.Reason, Field: "pin", MS: because.MS, EN: because.EN, is: ErrPINPolicy}, nil
	}
	return nil, err
}

// file makes the key and encrypts the rest.
func (d *Desk) file(ctx context.Context, e *Enrolment, form Form, photo []byte, algorithm string, pin secret.Text) (*Filed, error) {
	f := &Filed{Credential: ident.New("cr", 16), Algorithm: algorithm, Version: 1, Image: form.Image, At: d.Now()}
	form.Name = e.Name
	text, err := json.Marshal(form)
	if err != nil {
		return nil, fmt.Errorf("encoding the form: %w", err)
	}
	if f.Form, err = d.seal(ctx, "form", f.Credential, text); err != nil {
		return nil, err
	}
	if len(photo) > 0 {
		if f.Copy, err = d.seal(ctx, "mykad", f.Credential, photo); err != nil {
			return nil, err
		}
	}
	of := ca.Officer{IC: e.IC, Name: e.Name, Credential: f.Credential}
	subject, err := of.Subject()
	if err != nil {
		return nil, fmt.Errorf("encoding subject: %w", err)
	}
	if f.Sealed, f.Request, err = d.Keys.Generate(ctx, e.IC, f.Credential, f.Algorithm, f.Version, subject, pin); err != nil {
		return nil, fmt.Errorf("generating key: %w", err)
	}
	return f, nil
}

// send makes the secret of an enrolment that is due, keeps its hash and mails it. The
// secret is nowhere but in this call: what is durable is that one is owed. A crash in
// between costs another secret.
func (d *Desk) send(ctx context.Context, e *Enrolment) error {
	ev, err := d.decide(ctx, itself(), Mail, about(e))
	if err != nil {
		return err
	}
	l, policy, now := Letter{ID: e.ID, Name: e.Name, Email: e.Email, System: e.System, Rekey: e.Kind == Rekey}, d.Policy.filled(), d.Now()
	if systems, err := d.Records.Systems(ctx); err == nil {
		for _, s := range systems {
			if s.Code == e.System {
				l.System = s.Title
			}
		}
	}
	var hash [32]byte
	if e.State == Confirming {
		l.Link, l.Until = newLink(), now.Add(policy.LinkFor)
		hash, ev.Detail["what"] = hashLink(l.Link), "link"
	} else {
		l.Code, l.Until, l.Reason = newCode(), now.Add(policy.CodeFor), e.Reason
		if l.Rekey {
			l.Until = now.Add(policy.LinkFor)
		}
		hash, ev.Detail["what"] = hashCode(l.Code), "code"
	}
	defer l.Link.Wipe()
	defer l.Code.Wipe()
	if err := d.Records.PutSecret(ctx, *e, hash, now, l.Until, ev); err != nil {
		return fmt.Errorf("keeping the hash of what is sent: %w", err)
	}
	err = d.Mail.SendLetter(ctx, l)
	return d.Records.Settle(ctx, *e, d.nextTry(err, e.Attempts), mailReply(err))
}

// nextTry is when to mail again what a Mailer answered with err: zero for never.
func (d *Desk) nextTry(err error, attempts int) time.Time {
	if err == nil || errors.Is(err, ErrUndeliverable) || attempts >= maxTries {
		return time.Time{}
	}
	return d.Now().Add(pause(attempts))
}

// mailReply is what is shown of a Mailer's error, "" for nil. What a network or a library
// says is not: it holds addresses of the inside.
func mailReply(err error) string {
	var r interface{ Reply() string }
	switch {
	case err == nil:
		return ""
	case errors.As(err, &r) && r.Reply() != "":
		return r.Reply()
	case errors.Is(err, ErrUndeliverable):
		return "cannot be delivered"
	}
	return "no answer"
}

// maxTries of one mail take five days (RFC 5321, Section 4.5.4.1). Then an administrator
// has it sent again, or the enrolment expires.
const maxTries = 37

// pause before the try after this one: 1 min, 2, 4 … 4 h.
func pause(attempt int) time.Duration {
	return min(time.Minute<<min(max(attempt-1, 0), 10), 4*time.Hour)
}

// mailSetup makes and mails one administrator's set-up code that is due, as send does.
func (d *Desk) mailSetup(ctx context.Context) (bool, error) {
	a, attempts, ok, err := d.Records.ClaimSetup(ctx, d.Now(), d.Now().Add(lease))
	if err != nil || !ok {
		return false, err
	}
	ev, err := d.decide(ctx, itself(), Mail, object{name: "account:" + a.ID, officer: a.IC, detail: map[string]string{"ic": a.IC, "what": "set-up code"}})
	if err != nil {
		return false, err
	}
	code, hash := newSetup()
	l := Letter{ID: a.ID, Name: a.Name, Email: a.Email, Code: code, Setup: true, Until: d.Now().Add(SetupFor)}
	defer l.Code.Wipe()
	err = d.Records.PutSetup(ctx, a.ID, attempts, hash, d.Now(), l.Until, ev)
	if errors.Is(err, ErrState) { // it is set up, or has ended
		return true, d.Records.SettleSetup(ctx, a.ID, attempts, time.Time{}, "")
	}
	if err != nil {
		return false, fmt.Errorf("keeping the hash of a set-up code: %w", err)
	}
	err = d.Mail.SendLetter(ctx, l)
	return true, d.Records.SettleSetup(ctx, a.ID, attempts, d.nextTry(err, attempts), mailReply(err))
}

package enrol

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
)

// Notices to officers; see notify.
const (
	NoticeRejected  = "enrol.rejected"
	NoticeValidated = "enrol.validated"
)

// Validate confirms for the agency that the officer is who the application says and needs
// the certificate.
func (d *Desk) Validate(ctx context.Context, a Actor, id string) error {
	return d.step(ctx, a, Validate, id, "", func(c *Change) { c.Notice = NoticeValidated })
}

// Return gives an application back with a reason: its key is destroyed, and the officer,
// who is sent another code with the reason, may apply again.
func (d *Desk) Return(ctx context.Context, a Actor, id, reason string) error {
	return d.step(ctx, a, Return, id, reason, func(c *Change) { c.Due = c.At })
}

// Reject ends an application with a reason; its key is destroyed.
func (d *Desk) Reject(ctx context.Context, a Actor, id, reason string) error {
	return d.step(ctx, a, Reject, id, reason, func(c *Change) { c.Notice = NoticeRejected })
}

// Withdraw ends an enrolment, also for the officer herself; a key is destroyed.
func (d *Desk) Withdraw(ctx context.Context, a Actor, id, reason string) error {
	return d.step(ctx, a, Withdraw, id, reason, nil)
}

// Approve has the certificate issued and the credential made of exactly the key and the
// name that were applied for. The approval is durable before anything is signed. When it
// returns nil the officer can sign; after an error the approval may stand, and then Once
// completes it, or Approve called again by anybody who may.
func (d *Desk) Approve(ctx context.Context, a Actor, id string) (*x509.Certificate, error) {
	return d.approve(ctx, a, Approve, id, "")
}

// approve takes the step after which the certificate is issued. how stands in the audit.
func (d *Desk) approve(ctx context.Context, a Actor, act Action, id, how string) (*x509.Certificate, error) {
	e, err := d.find(ctx, a, act, id)
	if err != nil {
		return nil, err
	}
	if (e.State == Approved || e.State == Issued) && e.Kind.takes(act) { // asked again
		return d.approveAgain(ctx, a, act, &e)
	}
	ev, to, err := d.may(ctx, a, act, &e)
	if err != nil {
		return nil, err
	}
	f, err := d.unchanged(ctx, &e, ev)
	if err != nil {
		return nil, err
	}
	if err := d.decided(ctx, &e, ev, &a); err != nil {
		return nil, err
	}
	ev.Detail["credential"] = f.Credential
	if how != "" {
		ev.Detail["how"] = how
	}
	c := Change{ID: e.ID, From: e.State, To: to, At: d.Now(), Due: d.Now().Add(lease), ActorIC: a.IC, Event: ev}
	if err := d.take(ctx, c); err != nil {
		return nil, err
	}
	// From here on the approval stands: if we end here, it is completed when the lease is over.
	e.State, e.ApprovedBy, e.ApprovedIC = to, a.Name, a.IC
	return d.issue(ctx, a, &e)
}

// approveAgain completes an approval, or says what it led to.
func (d *Desk) approveAgain(ctx context.Context, a Actor, act Action, e *Enrolment) (*x509.Certificate, error) {
	o := about(e)
	o.validator = e.ValidatedIC
	ev, err := d.decide(ctx, a, act, o)
	if err != nil {
		return nil, err
	}
	if e.State == Issued {
		return nil, d.refuse(ctx, ev, wrongState(e.State))
	}
	ev.Detail["again"] = "true"
	if err := d.Records.Audit(ctx, ev); err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	return d.issue(ctx, a, e)
}

// unchanged reads the application and refuses one whose key, request or name is not
// what the officer applied with: the audit chain says what that was, and whoever changes
// the row must rewrite the chain as well.
func (d *Desk) unchanged(ctx context.Context, e *Enrolment, ev audit.Event) (Filed, error) {
	f, sealed, request, err := d.Records.Application(ctx, e.ID)
	if err != nil {
		return f, fmt.Errorf("reading application: %w", err)
	}
	form, err := d.form(ctx, &f)
	if err != nil || form.Name != e.Name || sha256.Sum256(f.Sealed) != sealed || sha256.Sum256(f.Request) != request {
		return f, d.refuse(ctx, ev, refusal("record_changed", ErrState))
	}
	return f, nil
}

// apart refuses whoever has chosen the officer's mailbox: with it goes the officer's part,
// and the decision must be somebody else's.
func (d *Desk) apart(ctx context.Context, e *Enrolment, ev audit.Event, a *Actor) error {
	told, err := d.Records.Decisions(ctx, e.ID)
	if err != nil {
		return fmt.Errorf("reading who decided: %w", err)
	}
	return oneHand(ctx, d.Records, ev, a, told.Mailbox...)
}

// hands are the records that oneHand asks.
type hands interface {
	recorder
	Hand(ctx context.Context, ic string) ([]string, error)
}

// oneHand refuses a where another person is wanted than the actors named. Who appointed
// somebody chose the mailbox that the set-up code went to, so both may be one human: they
// do not count as two.
func oneHand(ctx context.Context, r hands, ev audit.Event, a *Actor, others ...string) error {
	same, err := sameHand(ctx, r, a, others...)
	if err == nil && same {
		err = refuse(ctx, r, ev, refusal("same_person", ErrForbidden))
	}
	return err
}

func sameHand(ctx context.Context, r hands, a *Actor, others ...string) (bool, error) {
	one := []string{a.Name}
	if a.IC != "" {
		related, err := r.Hand(ctx, a.IC)
		if err != nil {
			return false, fmt.Errorf("reading who appointed whom: %w", err)
		}
		one = append(one, related...)
	}
	return slices.ContainsFunc(others, func(name string) bool { return name != "" && slices.Contains(one, name) }), nil
}

// decided refuses an application that was not validated, and approved by somebody else,
// or otherwise decided as its kind wants it, as its row says: the audit chain must say so,
// too. a is who approves now; nil when that was done.
func (d *Desk) decided(ctx context.Context, e *Enrolment, ev audit.Event, a *Actor) error {
	told, err := d.Records.Decisions(ctx, e.ID)
	if err != nil {
		return fmt.Errorf("reading who decided: %w", err)
	}
	by := ""
	if a != nil {
		by = a.Name
	} else if told.Approved == e.ApprovedBy {
		by = told.Approved
	}
	sound := by != "" && told.Kind == e.Kind && told.Replaces == e.Replaces
	if !told.Alone && slices.Contains(told.Mailbox, by) {
		return d.refuse(ctx, ev, refusal("same_person", ErrForbidden))
	}
	if e.Kind != Rekey && !told.Alone {
		sound = sound && told.Validated != "" && told.Validated == e.ValidatedBy && by != told.Validated
	}
	if !sound {
		return d.refuse(ctx, ev, refusal("record_changed", ErrState))
	}
	if a == nil {
		return nil
	}
	return oneHand(ctx, d.Records, ev, a, append(told.Mailbox, told.Validated)...)
}

func (d *Desk) form(ctx context.Context, f *Filed) (Form, error) {
	var form Form
	raw, err := d.unseal(ctx, "form", f.Credential, f.Form)
	if err != nil {
		return form, fmt.Errorf("reading the form: %w", err)
	}
	if err := json.Unmarshal(raw, &form); err != nil {
		return form, fmt.Errorf("reading the form: %w", err)
	}
	return form, nil
}

// issue completes an approval. It may be cut off anywhere and run again: a certificate
// that is there for the credential is taken, and the last step has one winner.
func (d *Desk) issue(ctx context.Context, a Actor, e *Enrolment) (*x509.Certificate, error) {
	by := itself()
	by.Request = a.Request
	ev, to, err := d.may(ctx, by, Issue, e)
	if err != nil {
		return nil, err
	}
	f, err := d.unchanged(ctx, e, ev)
	if err != nil {
		return nil, err
	}
	if err := d.decided(ctx, e, ev, nil); err != nil {
		return nil, err
	}
	of, supersede, err := d.inPlaceOf(ctx, e, f.Credential)
	if errors.Is(err, ErrReplaced) {
		return nil, d.giveBack(ctx, e, err)
	}
	if err != nil {
		return nil, err
	}
	cert, _, err := d.CA.Issue(ctx, e.ApprovedBy, of, f.Request)
	if err == nil && cert.Subject.CommonName != e.Name { // ca has compared all of it
		err = ca.ErrRequest
	}
	if lasting(err) != "" {
		return nil, d.giveBack(ctx, e, fmt.Errorf("issuing certificate: %w", err))
	}
	if err != nil {
		return nil, fmt.Errorf("issuing certificate: %w", err)
	}
	c := Credential{ID: f.Credential, IC: e.IC, System: e.System, Algorithm: f.Algorithm, Version: f.Version, Sealed: f.Sealed, Serial: cert.SerialNumber.String(), Image: f.Image, CreatedAt: d.Now().UTC()}
	ev.Detail["credential"], ev.Detail["serial"], ev.Detail["algorithm"] = c.ID, c.Serial, c.Algorithm
	err = d.Records.Change(ctx, Change{ID: e.ID, From: e.State, To: to, At: d.Now(), Credential: &c, Supersede: supersede, Event: ev})
	if errors.Is(err, ErrReplaced) { // since we looked
		return nil, d.giveBack(ctx, e, err)
	}
	if errors.Is(err, ErrState) {
		// Somebody else has just completed it, with the same certificate.
		if now, rerr := d.Records.Enrolment(ctx, e.ID); rerr == nil && now.State == Issued {
			return cert, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("storing credential: %w", err)
	}
	if supersede != nil {
		d.publish(ctx, a, e)
	}
	return cert, nil
}

// lasting is the code of why no certificate will ever be issued from an application, "" for
// what may be otherwise at the next try.
func lasting(err error) string {
	for _, x := range []struct {
		is   error
		code string
	}{
		{ErrReplaced, "replaced_gone"}, {ca.ErrRevoked, "issued_revoked"}, {ca.ErrRequest, "request_refused"}, {ca.ErrWeakKey, "key_weak"},
		{ca.ErrDuplicateKey, "key_duplicate"}, {ca.ErrExists, "credential_taken"}, {ca.ErrLint, "certificate_refused"},
	} {
		if errors.Is(err, x.is) {
			return x.code
		}
	}
	return ""
}

// giveBack ends an approved application that can have no certificate any more: returned
// for another one with another key, or rejected where there is no form to fill in again.
// Officer and administrators read why. It returns the *Refusal for whoever approved, with
// what the CA said.
func (d *Desk) giveBack(ctx context.Context, e *Enrolment, because error) error {
	ev, to, err := d.may(ctx, itself(), GiveBack, e)
	if err != nil {
		return errors.Join(because, err)
	}
	no := refusal(lasting(because), ErrState)
	ev.Detail["code"], ev.Detail["because"] = no.Code, because.Error()
	c := Change{ID: e.ID, From: e.State, To: to, At: d.Now(), Due: d.Now(), Reason: no.MS + " / " + no.EN, Event: ev}
	if to == Rejected {
		c.Due, c.Notice = time.Time{}, NoticeRejected
	}
	if err := d.take(ctx, c); err != nil {
		return errors.Join(because, err)
	}
	return errors.Join(no, because)
}

// Dossier is an application as whoever decides about it sees it.
type Dossier struct {
	Enrolment
	Form    Form
	HasCopy bool
	Steps   []Taken // the oldest first
	Can     []Possible
}

// Taken is a step as the audit chain tells of it.
type Taken struct {
	At     time.Time
	Action Action
	By     string // an actor's name
	Role   string // the ground on which that one acted; ""
	Why    string // reason, or how an identity was proved; ""
}

// Open reads an enrolment with its application.
func (d *Desk) Open(ctx context.Context, a Actor, id string) (Dossier, error) {
	e, f, ev, err := d.read(ctx, a, Read, id)
	if err != nil {
		return Dossier{}, err
	}
	shown := []Enrolment{e}
	if err := d.conceal(ctx, &a, shown); err != nil {
		return Dossier{}, err
	}
	out := Dossier{Enrolment: shown[0], HasCopy: len(f.Copy) > 0}
	if len(f.Form) > 0 {
		if out.Form, err = d.form(ctx, &f); err != nil {
			return Dossier{}, err
		}
	}
	taken, err := d.Records.Steps(ctx, id)
	if err != nil {
		return Dossier{}, fmt.Errorf("reading history: %w", err)
	}
	for _, x := range taken {
		t := Taken{At: x.At, Action: Action(x.Action), By: x.Actor, Role: x.Detail["by"]}
		for _, key := range []string{"reason", "why", "how", "because"} {
			if t.Why == "" {
				t.Why = x.Detail[key]
			}
		}
		out.Steps = append(out.Steps, t)
	}
	if e.State.Open() {
		told, err := d.Records.Decisions(ctx, id)
		if err != nil {
			return Dossier{}, fmt.Errorf("reading who decided: %w", err)
		}
		if out.Can, err = d.possible(ctx, a, &e, &told, out.HasCopy); err != nil {
			return Dossier{}, err
		}
	}
	return out, d.Records.Audit(ctx, ev)
}

// MyKad reads the copy of an application, a JPEG; ErrUnknown when there is none (any
// more).
func (d *Desk) MyKad(ctx context.Context, a Actor, id string) ([]byte, error) {
	_, f, ev, err := d.read(ctx, a, ReadCopy, id)
	if err != nil {
		return nil, err
	}
	if len(f.Copy) == 0 {
		return nil, d.refuse(ctx, ev, refusal("not_registered", ErrUnknown))
	}
	photo, err := d.unseal(ctx, "mykad", f.Credential, f.Copy)
	if err != nil {
		return nil, err
	}
	return photo, d.Records.Audit(ctx, ev)
}

func (d *Desk) read(ctx context.Context, a Actor, act Action, id string) (e Enrolment, f Filed, ev audit.Event, err error) {
	if e, err = d.find(ctx, a, act, id); err != nil {
		return e, f, ev, err
	}
	if ev, err = d.decide(ctx, a, act, about(&e)); err != nil {
		return e, f, ev, err
	}
	f, _, _, err = d.Records.Application(ctx, id)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return e, f, ev, fmt.Errorf("reading application: %w", err)
	}
	return e, f, ev, nil
}

// Once does one thing that is due: sends a link or a code, completes an approval, or
// ends what nobody has gone on with; false when nothing is due. Several processes may do
// so at once.
func (d *Desk) Once(ctx context.Context) (bool, error) {
	e, ok, err := d.Records.ClaimEnrolment(ctx, d.Now(), d.Now().Add(lease))
	if err != nil {
		return false, fmt.Errorf("claiming an enrolment: %w", err)
	}
	if !ok {
		if d.Mail != nil {
			if did, err := d.mailChange(ctx); did || err != nil {
				return did, err
			}
			if did, err := d.mailSetup(ctx); did || err != nil {
				return did, err
			}
		}
		if did, err := d.expire(ctx); did || err != nil {
			return did, err
		}
		return d.remind(ctx)
	}
	switch e.State {
	case Approved:
		// What has begun is not cut off: with a context that nobody cancels its changes may
		// share their commits with those of others.
		if _, err = d.issue(context.WithoutCancel(ctx), Actor{}, &e); err != nil && lasting(err) == "" {
			err = errors.Join(err, d.Records.Settle(ctx, e, d.Now().Add(pause(e.Attempts)), ""))
		}
	case Confirming, Confirmed, Returned:
		if d.Mail != nil {
			err = d.send(ctx, &e)
		}
	default:
		err = d.Records.Settle(ctx, e, time.Time{}, "")
	}
	return true, err
}

// expire ends one enrolment that has stood still for too long.
func (d *Desk) expire(ctx context.Context) (bool, error) {
	before := d.Now().Add(-d.Policy.filled().OpenFor)
	for _, s := range steps()[Expire].from {
		e, err := d.Records.Stale(ctx, s, before)
		if errors.Is(err, ErrUnknown) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("reading old enrolments: %w", err)
		}
		ev, to, err := d.may(ctx, itself(), Expire, &e)
		if err != nil {
			return false, err
		}
		return true, d.take(ctx, Change{ID: e.ID, From: e.State, To: to, At: d.Now(), Event: ev})
	}
	return false, nil
}

// Run does what is due, looking every few seconds, until ctx ends.
func (d *Desk) Run(ctx context.Context, log *slog.Logger) {
	t := time.NewTicker(5 * time.Second)
	defer t.Stop()
	for {
		if err := d.rounds(ctx); err != nil && ctx.Err() == nil {
			log.Error("going on with enrolments", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

package enrol

import (
	"context"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/internal/secret"
)

// ApprovalNotNeeded is what the event of a renewal says, as "approval", when nobody had to
// approve it.
const ApprovalNotNeeded = "not needed"

// RenewalRequest is an officer's wish for another key and certificate.
type RenewalRequest struct {
	System string
	PIN    secret.Text // of the key there is; of the new one when that has expired
	// NewPIN and NewPINAgain are the new key's; both empty: it is PIN.
	NewPIN, NewPINAgain secret.Text
	Algorithm           string // ""; as the key there is
}

// Renew makes another key and, near the end of a certificate that is still valid and
// whose holder's record has not changed, issues its certificate at once: nobody has to
// approve what was approved before ([Policy]). Else the request waits for validation and
// approval, and the certificate is nil. The certificate there is works until the new one
// is issued; then its key is destroyed and it is left to its end, so that what it signed
// stays valid as it was. The officer proves the PIN; whoever has forgotten it asks for a
// new key ([Desk.ForgotPIN]).
//
// When the certificate is nil and the state Approved, the error says why it is not there
// yet, and Once completes it. Other errors: a *[Refusal], those of [PINs].
func (d *Desk) Renew(ctx context.Context, a Actor, r RenewalRequest) (Enrolment, *x509.Certificate, error) {
	e, last, err := d.lastOf(ctx, a, Renew, a.IC, r.System)
	if err != nil {
		return Enrolment{}, nil, err
	}
	ev, err := d.decide(ctx, a, Renew, about(&e))
	if err != nil {
		return Enrolment{}, nil, err
	}
	held, no, err := d.holding(ctx, &e)
	if err != nil {
		return Enrolment{}, nil, err
	}
	if no == nil && !held.EndsAt.IsZero() {
		no = refusal("certificate_leaving", ErrState)
	}
	if no == nil { // before a key is made for nothing; Begin sees to two at once
		no, err = d.underWay(ctx, &e)
		if err != nil {
			return Enrolment{}, nil, err
		}
	}
	pin := r.PIN
	if r.NewPIN.Len() > 0 || r.NewPINAgain.Len() > 0 {
		pin = r.NewPIN
		if no == nil && subtle.ConstantTimeCompare(r.NewPIN.Reveal(), r.NewPINAgain.Reveal()) != 1 {
			no = entered("pins_differ", "new_pin_again", "dua PIN itu tidak sama", "the two PINs differ")
		}
	}
	if no == nil {
		if no, err = d.checkPIN(&e, pin); err != nil {
			return Enrolment{}, nil, err
		}
	}
	if no != nil {
		return Enrolment{}, nil, d.refuse(ctx, ev, no)
	}
	valid := d.Now().Before(held.NotAfter)
	if valid {
		if err := d.PINs.ProvePIN(ctx, Renew, e.IC, e.System, held.Credential, r.PIN, a.Request); err != nil {
			return Enrolment{}, nil, err
		}
	}
	e.Kind, e.Replaces, e.Follows = Renewal, held.Credential, held.Serial
	f, err := d.fileAnew(ctx, &e, last, r.Algorithm, held.Algorithm, pin)
	if err != nil {
		return Enrolment{}, nil, err
	}
	p := d.Policy.filled()
	alone := valid && !p.RenewAsked && held.Subject == e.Name && !held.NotAfter.After(d.Now().Add(p.RenewWithin))
	ev.Object, ev.Detail["kind"], ev.Detail["replaces"], ev.Detail["credential"], ev.Detail["algorithm"] = e.ID, string(e.Kind), e.Replaces, f.Credential, f.Algorithm
	ev.Detail["approval"] = map[bool]string{true: ApprovalNotNeeded, false: "awaited"}[alone]
	steps := []Change{{ID: e.ID, From: Confirmed, To: Applied, At: d.Now(), Filed: f, Event: ev}}
	e.State = Applied
	if alone {
		steps = append(steps, Change{ID: e.ID, From: Applied, To: Approved, At: d.Now(), Due: d.Now().Add(lease), ActorIC: a.IC, Event: ev})
		e.State, e.ApprovedBy = Approved, a.Name
	}
	begun := e
	begun.State = Confirmed
	if err := d.Records.Begin(ctx, begun, ev, steps...); err != nil {
		if errors.Is(err, ErrExists) {
			err = d.refuse(ctx, ev, refusal("enrolment_open", ErrState))
		}
		return Enrolment{}, nil, err
	}
	if !alone {
		return e, nil, nil
	}
	// From here on the renewal stands, as an approval does.
	cert, err := d.issue(ctx, a, &e)
	switch {
	case err == nil:
		e.State = Issued
	case lasting(err) != "":
		e.State = Rejected
	}
	return e, cert, err
}

// lastOf is a new enrolment like the newest one of an officer for a system, and that
// one's id, "" for an officer whose credential was made at the command line: such a one
// belongs to the agency that owns the system. An officer who has neither is refused like
// somebody else's.
func (d *Desk) lastOf(ctx context.Context, a Actor, act Action, ic, system string) (e Enrolment, last string, err error) {
	all, err := d.Records.EnrolmentsOf(ctx, ic)
	if err != nil {
		return e, "", fmt.Errorf("reading enrolments: %w", err)
	}
	for _, x := range slices.Backward(all) {
		if x.System == system && x.State == Issued {
			e = Enrolment{ID: ident.New("en", 16), IC: x.IC, Name: x.Name, Email: x.Email, System: x.System, Agency: x.Agency, Office: x.Office, Phase: x.Phase,
				Ticket: x.Ticket, ListedBy: a.Name, ListedAt: d.Now(), Since: d.Now()}
			return e, x.ID, nil
		}
	}
	if e, err = d.unlisted(ctx, a, ic, system); !errors.Is(err, ErrUnknown) {
		return e, "", err
	}
	ev, err := d.decide(ctx, a, act, object{name: "officer:" + ic, officer: ic, system: system, detail: map[string]string{"system": system}})
	if err == nil {
		err = d.refuse(ctx, ev, refusal("not_registered", ErrUnknown))
	}
	return e, "", err
}

// unlisted is lastOf for an officer with a credential that no enrolment led to;
// ErrUnknown when there is none, or the system is not in the registry.
func (d *Desk) unlisted(ctx context.Context, a Actor, ic, system string) (Enrolment, error) {
	held, err := d.Records.Held(ctx, ic, system)
	if err != nil {
		return Enrolment{}, fmt.Errorf("reading credentials: %w", err)
	}
	r, err := d.register(ctx)
	if err != nil {
		return Enrolment{}, err
	}
	s, ok := r.systems[system]
	if len(held) == 0 || !ok {
		return Enrolment{}, ErrUnknown
	}
	o, _, err := d.Registrar.Records.Officer(ctx, ic)
	if err != nil {
		return Enrolment{}, fmt.Errorf("reading officer: %w", err)
	}
	return Enrolment{ID: ident.New("en", 16), IC: ic, Name: o.Name, Email: o.Email, System: system, Agency: s.Agency, ListedBy: a.Name, ListedAt: d.Now(), Since: d.Now()}, nil
}

// holding is the credential that e's officer signs with, or why none can be replaced.
func (d *Desk) holding(ctx context.Context, e *Enrolment) (Held, *Refusal, error) {
	all, err := d.Records.Held(ctx, e.IC, e.System)
	switch {
	case err != nil:
		return Held{}, nil, fmt.Errorf("reading credentials: %w", err)
	case len(all) == 0 || all[0].Status == "REVOKED":
		return Held{}, refusal("certificate_missing", ErrState), nil
	case all[0].Status != "ACTIVE":
		return Held{}, refusal("certificate_suspended", ErrState), nil
	}
	return all[0], nil, nil
}

// underWay refuses who has an open enrolment for the system of e.
func (d *Desk) underWay(ctx context.Context, e *Enrolment) (*Refusal, error) {
	all, err := d.Records.EnrolmentsOf(ctx, e.IC)
	if err != nil {
		return nil, fmt.Errorf("reading enrolments: %w", err)
	}
	if slices.ContainsFunc(all, func(x Enrolment) bool { return x.System == e.System && x.State.Open() }) {
		return refusal("enrolment_open", ErrState), nil
	}
	return nil, nil
}

// fileAnew makes a key like file, with the form of the application before, if that can
// be read.
func (d *Desk) fileAnew(ctx context.Context, e *Enrolment, last, algorithm, as string, pin secret.Text) (*Filed, error) {
	if algorithm == "" {
		algorithm = as
	}
	var form Form
	old, _, _, err := d.Records.Application(ctx, last)
	if err == nil {
		form, err = d.form(ctx, &old)
	}
	if err != nil && !errors.Is(err, ErrUnknown) {
		return nil, fmt.Errorf("reading the application before: %w", err)
	}
	return d.file(ctx, e, form, nil, algorithm, pin)
}

// inPlaceOf says whom the certificate of an approved enrolment is for, and what ends with
// it; ErrReplaced when that is not active any more.
func (d *Desk) inPlaceOf(ctx context.Context, e *Enrolment, credential string) (of ca.Officer, s *Supersede, err error) {
	of = ca.Officer{IC: e.IC, Name: e.Name, Credential: credential}
	if e.Kind == First {
		return of, nil, nil
	}
	all, err := d.Records.Held(ctx, e.IC, e.System)
	if err != nil {
		return of, nil, fmt.Errorf("reading credentials: %w", err)
	}
	k := slices.IndexFunc(all, func(h Held) bool { return h.Credential == e.Replaces && h.Status == "ACTIVE" })
	if k < 0 {
		return of, nil, ErrReplaced
	}
	if e.Kind == Rekey {
		if of.NotAfter = all[k].NotAfter; !d.Now().Before(of.NotAfter) {
			return of, nil, ErrReplaced
		}
	}
	return of, &Supersede{Credential: e.Replaces, Revoke: e.Kind == Rekey}, nil
}

// publish has the CRL tell at once of what was superseded by revocation. If it cannot,
// the gateway's publisher does it within a minute.
func (d *Desk) publish(ctx context.Context, a Actor, e *Enrolment) {
	all, err := d.Records.Held(ctx, e.IC, e.System)
	if err != nil {
		return
	}
	for _, h := range all {
		if h.Credential == e.Replaces && h.Status == "REVOKED" {
			_ = d.CA.Revoke(ctx, a.Name, h.Serial, ca.ReasonCode("superseded")) // it was, and says so
		}
	}
}

// remind tells one officer whose certificate ends; several processes may do so at once.
func (d *Desk) remind(ctx context.Context) (bool, error) {
	r, err := d.Records.DueReminder(ctx, d.Now())
	if errors.Is(err, ErrUnknown) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading certificates about to end: %w", err)
	}
	ev, err := d.decide(ctx, itself(), Remind, object{name: r.Credential, officer: r.IC, system: r.System,
		detail: map[string]string{"officer": r.IC, "system": r.System, "serial": r.Serial, "days": strconv.Itoa(daysLeft(r.NotAfter, d.Now()))}})
	if err != nil {
		return false, err
	}
	silent := r.Status != "ACTIVE" || !d.Now().Before(r.NotAfter)
	if silent {
		ev.Detail["told"] = "no"
	}
	err = d.Records.Remind(ctx, r, NextReminder(r.NotAfter, d.Now()), silent, ev)
	if errors.Is(err, ErrState) {
		return true, nil
	}
	return err == nil, err
}

// daysLeft counts begun days.
func daysLeft(until, now time.Time) int {
	return int((until.Sub(now) + 24*time.Hour - 1) / (24 * time.Hour))
}

package enrol

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/mohor-sign/mohor/internal/secret"
)

// AddSystem is asking for a certificate for another ICT system.
const AddSystem Action = "officer.system.add"

// SystemRequest is the wish of an officer who holds a certificate for one system to hold
// one for another.
type SystemRequest struct {
	System string
	From   string      // the system of the certificate there is
	PIN    secret.Text // of that
	// NewPIN is that of the new key, entered twice; it may be the same.
	NewPIN, NewPINAgain secret.Text
	Algorithm           string // "": as the key there is
	Declaration         string // DeclarationVersion: accepted again
}

// AddSystem applies for another system. What the officer has proved is not asked again:
// the address and who it is (the PIN says so), the form is the last one. The key is
// another, under a PIN of its own. Agency and JDN decide as about every application. A
// *[Refusal], the errors of [PINs].
func (d *Desk) AddSystem(ctx context.Context, a Actor, r SystemRequest) (Enrolment, error) {
	e, last, err := d.lastOf(ctx, a, AddSystem, a.IC, r.From)
	if err != nil {
		return Enrolment{}, err
	}
	held, no, err := d.holding(ctx, &e)
	if err != nil {
		return Enrolment{}, err
	}
	e.System, e.Phase, e.Ticket = r.System, "", ""
	ev, err := d.decide(ctx, a, AddSystem, about(&e))
	if err != nil {
		return Enrolment{}, err
	}
	if no == nil {
		if no, err = d.another(ctx, &e, &held, &r); err != nil {
			return Enrolment{}, err
		}
	}
	if _, _, _, err := d.Records.Application(ctx, last); errors.Is(err, ErrUnknown) && no == nil {
		no = refusal("not_registered", ErrUnknown) // made at the command line: there is no form to go on with
	} else if err != nil && no == nil {
		return Enrolment{}, fmt.Errorf("reading the application before: %w", err)
	}
	if no != nil {
		return Enrolment{}, d.refuse(ctx, ev, no)
	}
	if err := d.PINs.ProvePIN(ctx, AddSystem, e.IC, r.From, held.Credential, r.PIN, a.Request); err != nil {
		return Enrolment{}, err
	}
	f, err := d.fileAgain(ctx, &e, last, &r, held.Algorithm)
	if err != nil {
		return Enrolment{}, err
	}
	ev.Object, ev.Detail["from"], ev.Detail["credential"], ev.Detail["algorithm"], ev.Detail["declaration"] = e.ID, r.From, f.Credential, f.Algorithm, r.Declaration
	e.State = Confirmed
	err = d.Records.Begin(ctx, e, ev, Change{ID: e.ID, From: Confirmed, To: Applied, At: d.Now(), Filed: f, Event: ev})
	if errors.Is(err, ErrExists) {
		err = d.refuse(ctx, ev, refusal("enrolment_open", ErrState))
	}
	e.State = Applied
	return e, err
}

// another judges such a wish.
func (d *Desk) another(ctx context.Context, e *Enrolment, held *Held, r *SystemRequest) (*Refusal, error) {
	reg, err := d.register(ctx)
	if err != nil {
		return nil, err
	}
	s, err := d.Records.Standing(ctx, e.IC, r.System, d.Now())
	if err != nil {
		return nil, fmt.Errorf("reading register: %w", err)
	}
	_, known := reg.systems[r.System]
	switch {
	case !known:
		return entered("system_unknown", "system", "sistem tidak berdaftar", "the system is not registered"), nil
	case s.Live:
		return entered("registered", "system", "pegawai sudah mempunyai sijil untuk sistem ini", "you hold a certificate for this system already"), nil
	case s.Enrolment != "":
		return refusal("enrolment_open", ErrState), nil
	case !d.Now().Before(held.NotAfter):
		return refusal("certificate_expired", ErrState), nil
	case !held.EndsAt.IsZero():
		return refusal("certificate_leaving", ErrState), nil
	case r.Declaration != DeclarationVersion:
		return entered("declaration_missing", "declaration", "terima perakuan yang ditunjukkan", "accept the declaration that is shown"), nil
	case subtle.ConstantTimeCompare(r.NewPIN.Reveal(), r.NewPINAgain.Reveal()) != 1:
		return entered("pins_differ", "new_pin_again", "dua PIN itu tidak sama", "the two PINs differ"), nil
	}
	return d.checkPIN(e, r.NewPIN)
}

// fileAgain is fileAnew with the declaration that was accepted now.
func (d *Desk) fileAgain(ctx context.Context, e *Enrolment, last string, r *SystemRequest, as string) (*Filed, error) {
	if r.Algorithm == "" {
		r.Algorithm = as
	}
	old, _, _, err := d.Records.Application(ctx, last)
	if err != nil {
		return nil, fmt.Errorf("reading the application before: %w", err)
	}
	form, err := d.form(ctx, &old)
	if err != nil {
		return nil, err
	}
	form.Declaration = r.Declaration
	return d.file(ctx, e, form, nil, r.Algorithm, r.NewPIN)
}

package enrol

import (
	"context"
	"errors"
	"fmt"
)

// Guide is what an officer is told of an own enrolment beside its state.
type Guide struct {
	System, Agency string // their names
	PersonalMail   bool   // the agency takes personal addresses
	Form           *Form  // as it was sent in last, of one that was returned; else nil
}

// Guide reads it for the officer whose enrolment e is. Like an officer's other looks at what is kept
// of the own self it is not in the audit.
func (d *Desk) Guide(ctx context.Context, a Actor, e *Enrolment) (Guide, error) {
	if _, err := d.decide(ctx, a, Read, about(e)); err != nil {
		return Guide{}, err
	}
	r, err := d.register(ctx)
	if err != nil {
		return Guide{}, err
	}
	g := Guide{System: e.System, Agency: e.Agency, PersonalMail: r.agencies[e.Agency].PersonalMail}
	if s := r.systems[e.System]; s.Title != "" {
		g.System = s.Title
	}
	if x := r.agencies[e.Agency]; x.Name != "" {
		g.Agency = x.Name
	}
	if e.State != Returned {
		return g, nil
	}
	f, _, _, err := d.Records.Application(ctx, e.ID)
	if errors.Is(err, ErrUnknown) || err == nil && len(f.Form) == 0 {
		return g, nil
	}
	if err != nil {
		return Guide{}, fmt.Errorf("reading application: %w", err)
	}
	form, err := d.form(ctx, &f)
	if err != nil {
		return Guide{}, err
	}
	g.Form = &form
	return g, nil
}

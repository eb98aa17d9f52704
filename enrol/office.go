package enrol

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// PutOffice registers or changes an accounting office of an agency. A *[Refusal].
func (d *Desk) PutOffice(ctx context.Context, a Actor, o Office) error {
	ev, err := d.decide(ctx, a, Registry, object{name: "office:" + o.Agency + "/" + o.Code, agency: o.Agency, detail: map[string]string{"name": o.Name, "phase": o.Phase}})
	if err != nil {
		return err
	}
	known, err := d.agency(ctx, o.Agency)
	switch {
	case err != nil:
		return err
	case !known:
		return d.refuse(ctx, ev, refusal("not_registered", ErrUnknown))
	case !validID(o.Code):
		return d.refuse(ctx, ev, entered("registry_invalid", "office", "kod pejabat mempunyai 1 hingga 32 huruf, digit, - atau _", "an office needs a code of 1 to 32 letters, digits, - or _"))
	case !showable(o.Name, 64):
		return d.refuse(ctx, ev, entered("registry_invalid", "name", "beri nama pejabat, paling banyak 64 aksara", "give the office a name of at most 64 characters"))
	case o.Phase != "" && !showable(o.Phase, 32):
		return d.refuse(ctx, ev, entered("registry_invalid", "phase", "fasa mempunyai paling banyak 32 aksara", "a phase has at most 32 characters"))
	}
	return d.Records.PutOffice(ctx, o, ev)
}

// DropOffice takes an office off the register; what enrolments call theirs stays. A *[Refusal].
func (d *Desk) DropOffice(ctx context.Context, a Actor, agency, code string) error {
	ev, err := d.decide(ctx, a, Registry, object{name: "office:" + agency + "/" + code, agency: agency, detail: map[string]string{"dropped": "true"}})
	if err != nil {
		return err
	}
	err = d.Records.DropOffice(ctx, agency, code, ev)
	if errors.Is(err, ErrUnknown) {
		return d.refuse(ctx, ev, refusal("not_registered", ErrUnknown))
	}
	return err
}

// Offices lists those of an agency, for whoever is appointed to anything, as the agencies are;
// what its enrolments call offices besides, for who administers the agency alone. A *[Refusal]
// for an agency that is not registered.
func (d *Desk) Offices(ctx context.Context, a Actor, agency string) ([]Office, []StrayOffice, error) {
	switch known, err := d.agency(ctx, agency); {
	case err != nil:
		return nil, nil, err
	case !known:
		return nil, nil, refusal("not_registered", ErrUnknown)
	}
	list, err := d.Records.Offices(ctx, agency)
	if err != nil {
		return nil, nil, fmt.Errorf("reading offices: %w", err)
	}
	if _, no := d.judge(&a, rule{roles: []Role{JDN, SA, AP, Auditor}, machine: true}, &object{agency: agency}); no != nil {
		return list, nil, nil
	}
	strays, err := d.Records.StrayOffices(ctx, agency)
	if err != nil {
		return nil, nil, fmt.Errorf("reading offices of enrolments: %w", err)
	}
	return list, strays, nil
}

// agency says whether one is registered.
func (d *Desk) agency(ctx context.Context, code string) (bool, error) {
	list, err := d.Records.Agencies(ctx)
	if err != nil {
		return false, fmt.Errorf("reading agencies: %w", err)
	}
	return slices.ContainsFunc(list, func(g Agency) bool { return g.Code == code }), nil
}

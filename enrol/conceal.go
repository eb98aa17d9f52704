package enrol

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// conceal leaves out of enrolments the addresses that [Desk.Lookup] would withhold from a: to
// list somebody else's officer is not to read where that officer's codes go from then on.
func (d *Desk) conceal(ctx context.Context, a *Actor, list []Enrolment) error {
	if by, _ := d.judge(a, rules()[Read], &object{}); by != "" {
		return nil // who may see all
	}
	for k := range list {
		e := &list[k]
		if e.State != Listed && e.State != Confirming {
			continue
		}
		p := Found{Officer: Officer{IC: e.IC, Email: e.Email}}
		all, err := d.Records.EnrolmentsOf(ctx, e.IC)
		if err != nil {
			return fmt.Errorf("reading enrolments: %w", err)
		}
		_, p.Media, err = d.Registrar.Records.Officer(ctx, e.IC)
		if err != nil && !errors.Is(err, ErrUnknown) {
			return fmt.Errorf("reading officer: %w", err)
		}
		if len(all) == 1 && len(p.Media) == 0 {
			continue
		}
		p.Enrolments = slices.DeleteFunc(all, func(x Enrolment) bool {
			_, no := d.judge(a, rules()[Read], new(about(&x)))
			return no != nil
		})
		if err := d.withhold(ctx, a, &p, len(all)); err != nil {
			return err
		}
		e.Email = p.Officer.Email
	}
	return nil
}

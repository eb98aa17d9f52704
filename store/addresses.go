package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

func addressChange(c *sqlc.AddressChange, name string) enrol.AddressChange {
	return enrol.AddressChange{ID: c.ID, IC: string(c.Ic), Name: name, Old: string(c.OldEmail), New: string(c.NewEmail), State: c.State, AskedBy: string(c.AskedBy), AskedIC: string(c.AskedIc),
		AskedAt: instant(c.AskedAt), Until: instant(c.UntilAt), LinksUntil: instant(c.LinksUntil), OldProof: string(c.OldProof), OldAt: instant(c.OldAt), NewAt: instant(c.NewAt),
		OldReply: string(c.OldReply), NewReply: string(c.NewReply), Attempts: int(c.Attempts)}
}

// PutAddressChange implements enrol.AddressRecords.
func (d *DB) PutAddressChange(ctx context.Context, c enrol.AddressChange, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		if err := q.ExpireAddressChanges(ctx, sqlc.ExpireAddressChangesParams{Ic: personal.IC(c.IC), Now: micros(c.AskedAt)}); err != nil {
			return err
		}
		n, err := q.AddAddressChange(ctx, sqlc.AddAddressChangeParams{ID: c.ID, Ic: personal.IC(c.IC), OldEmail: personal.Address(c.Old), NewEmail: personal.Address(c.New), AskedBy: personal.Actor(c.AskedBy), AskedIc: personal.IC(c.AskedIC),
			AskedAt: micros(c.AskedAt), UntilAt: micros(c.Until)})
		if err == nil && n == 0 {
			err = enrol.ErrExists
		}
		return err
	})
}

// AddressChange implements enrol.AddressRecords.
func (d *DB) AddressChange(ctx context.Context, id string) (enrol.AddressChange, error) {
	r, err := d.q.AddressChange(ctx, id)
	if err != nil {
		return enrol.AddressChange{}, absent(err, enrol.ErrUnknown)
	}
	return addressChange(&r.AddressChange, string(r.Name)), nil
}

// AddressChangeByLink implements enrol.AddressRecords.
func (d *DB) AddressChangeByLink(ctx context.Context, hash [32]byte) (enrol.AddressChange, string, error) {
	id, err := d.q.AddressChangeByLink(ctx, hash[:])
	if err != nil {
		return enrol.AddressChange{}, "", absent(err, enrol.ErrUnknown)
	}
	r, err := d.q.AddressChange(ctx, id)
	if err != nil {
		return enrol.AddressChange{}, "", absent(err, enrol.ErrUnknown)
	}
	side := enrol.NewAddress
	if string(r.AddressChange.OldLink) == string(hash[:]) {
		side = enrol.OldAddress
	}
	return addressChange(&r.AddressChange, string(r.Name)), side, nil
}

// AddressChangesOf implements enrol.AddressRecords.
func (d *DB) AddressChangesOf(ctx context.Context, ic string) ([]enrol.AddressChange, error) {
	rows, err := d.q.AddressChangesOf(ctx, personal.IC(ic))
	out := make([]enrol.AddressChange, len(rows))
	for k, r := range rows {
		out[k] = addressChange(&r.AddressChange, string(r.Name))
	}
	return out, err
}

// ProveAddress implements enrol.AddressRecords.
func (d *DB) ProveAddress(ctx context.Context, id, side, proof string, ev audit.Event) (done bool, err error) {
	err = d.do(ctx, ev, func(q *sqlc.Queries) error {
		var n int64
		var err error
		if side == enrol.OldAddress {
			n, err = q.ProveOldAddress(ctx, sqlc.ProveOldAddressParams{At: micros(ev.At), Proof: personal.Actor(proof), ID: id})
		} else {
			n, err = q.ProveNewAddress(ctx, sqlc.ProveNewAddressParams{At: micros(ev.At), ID: id})
		}
		if err == nil && n == 0 {
			err = enrol.ErrState
		}
		if err != nil {
			return err
		}
		r, err := q.AddressChange(ctx, id)
		if err != nil || r.AddressChange.OldAt == 0 || r.AddressChange.NewAt == 0 {
			return err
		}
		done = true
		return d.moveAddress(ctx, q, &r.AddressChange, ev)
	})
	return done && err == nil, err
}

// moveAddress makes the new address the officer's: both are told.
func (d *DB) moveAddress(ctx context.Context, q *sqlc.Queries, c *sqlc.AddressChange, ev audit.Event) error {
	o, err := q.Officer(ctx, c.Ic)
	if err != nil {
		return err
	}
	if o.Email != c.OldEmail {
		return enrol.ErrState // what the links proved is not what there is
	}
	if err := addNotice(ctx, q, string(c.Ic), enrol.NoticeAddressChanged, ev.At, nil); err != nil {
		return err
	}
	if err := q.SetEmail(ctx, sqlc.SetEmailParams{Email: c.NewEmail, Ic: c.Ic}); err != nil {
		return err
	}
	// A set-up code goes to the address that was confirmed, an administrator's account to no
	// address that its own one did not let go.
	a, err := q.AccountByIC(ctx, &c.Ic)
	if err == nil && a.State != enrol.AccountNew && (a.Kind == enrol.OfficerAccount || a.Email == c.OldEmail) {
		err = q.SetAccountEmail(ctx, sqlc.SetAccountEmailParams{Email: c.NewEmail, Ic: &c.Ic})
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	all, err := q.EnrolmentsOf(ctx, c.Ic)
	if err != nil {
		return err
	}
	for _, e := range all {
		err := errors.Join(q.SpendEnrolmentLink(ctx, e.Enrolment.ID), q.SpendEnrolmentCode(ctx, e.Enrolment.ID))
		if err != nil {
			return err
		}
	}
	if _, err := q.EndAddressChange(ctx, sqlc.EndAddressChangeParams{State: enrol.ChangeDone, At: micros(ev.At), ID: c.ID}); err != nil {
		return err
	}
	return addNotice(ctx, q, string(c.Ic), enrol.NoticeAddressChanged, ev.At, nil)
}

// CancelAddressChange implements enrol.AddressRecords.
func (d *DB) CancelAddressChange(ctx context.Context, id string, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		n, err := q.EndAddressChange(ctx, sqlc.EndAddressChangeParams{State: enrol.ChangeCancelled, At: micros(ev.At), ID: id})
		if err == nil && n == 0 {
			err = enrol.ErrState
		}
		return err
	})
}

// ClaimAddressChange implements enrol.AddressRecords.
func (d *DB) ClaimAddressChange(ctx context.Context, now, leaseUntil time.Time) (c enrol.AddressChange, ok bool, err error) {
	id, err := d.q.DueAddressChange(ctx, micros(now))
	if err != nil {
		err = absent(err, enrol.ErrUnknown)
		if errors.Is(err, enrol.ErrUnknown) {
			err = nil // nothing due costs no write
		}
		return c, false, err
	}
	err = d.tx(ctx, func(q *sqlc.Queries) error {
		n, err := q.ClaimAddressChange(ctx, sqlc.ClaimAddressChangeParams{LeaseUntil: micros(leaseUntil), ID: id, Now: micros(now)})
		if err != nil || n == 0 {
			return err // another node was faster
		}
		r, err := q.AddressChange(ctx, id)
		ok, c = err == nil, addressChange(&r.AddressChange, string(r.Name))
		return err
	})
	return c, ok && err == nil, err
}

// PutAddressLink implements enrol.AddressRecords.
func (d *DB) PutAddressLink(ctx context.Context, c enrol.AddressChange, side string, hash [32]byte, until time.Time, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) (err error) {
		var n int64
		if side == enrol.OldAddress {
			n, err = q.PutOldLink(ctx, sqlc.PutOldLinkParams{Link: hash[:], Until: micros(until), ID: c.ID, Attempts: int64(c.Attempts)})
		} else {
			n, err = q.PutNewLink(ctx, sqlc.PutNewLinkParams{Link: hash[:], Until: micros(until), ID: c.ID, Attempts: int64(c.Attempts)})
		}
		if err == nil && n == 0 {
			err = enrol.ErrState
		}
		return err
	})
}

// SettleAddressChange implements enrol.AddressRecords.
func (d *DB) SettleAddressChange(ctx context.Context, c enrol.AddressChange, due time.Time) error {
	return d.tx(ctx, func(q *sqlc.Queries) error {
		return q.SettleAddressChange(ctx, sqlc.SettleAddressChangeParams{DueAt: micros(due), OldReply: personal.Note(c.OldReply), NewReply: personal.Note(c.NewReply), ID: c.ID, Attempts: int64(c.Attempts)})
	})
}

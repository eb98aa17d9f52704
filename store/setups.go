package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// tellAccount puts into the outbox what is done with the account of a person who logs in.
// One that is not set up has no mailbox that anybody has proved: it gets its letter.
func tellAccount(ctx context.Context, q *sqlc.Queries, a *sqlc.Account, at time.Time, x enrol.Appointment, what string) error {
	if a.State != enrol.AccountActive {
		return nil
	}
	raw, err := json.Marshal(map[string]string{"what": what, "role": string(x.Role), "scope": x.Agency + x.System})
	if err != nil {
		return fmt.Errorf("encoding notice: %w", err)
	}
	return q.AddNotice(ctx, sqlc.AddNoticeParams{ID: ident.New("no", 16), Ic: personal.IC(plain(a.Ic)), Name: a.Name, Email: a.Email, Kind: enrol.NoticeAccount,
		Detail: personal.Note(raw), CreatedAt: micros(at), DueAt: micros(at)})
}

// PutProposed implements enrol.AccountRecords.
func (d *DB) PutProposed(ctx context.Context, a enrol.Account, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		old, err := q.AccountByIC(ctx, orNull(a.IC))
		switch {
		case errors.Is(err, sql.ErrNoRows):
			err = addAccount(ctx, q, a, []byte{})
		case err == nil && old.State != enrol.AccountEnded:
			err = enrol.ErrExists
		case err == nil:
			if err = one(q.SetPerson(ctx, sqlc.SetPersonParams{Name: personal.Name(a.Name), Email: personal.Address(a.Email), ID: old.ID})); err == nil {
				err = addAppointment(ctx, q, old.ID, a.Appointments[0])
			}
		}
		if err != nil {
			return err
		}
		// An officer of the register is told; nobody else's address was proved.
		x := a.Appointments[0]
		return addNotice(ctx, q, a.IC, enrol.NoticeAccount, ev.At, map[string]string{"what": "appointed", "role": string(x.Role), "scope": x.Agency + x.System})
	})
}

// PutOwnTOTP implements enrol.AccountRecords.
func (d *DB) PutOwnTOTP(ctx context.Context, id string, sealed []byte, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		return one(q.PutOwnTOTP(ctx, sqlc.PutOwnTOTPParams{Totp: sealed, ID: id}))
	})
}

// PutSecondFactor implements enrol.AccountRecords.
func (d *DB) PutSecondFactor(ctx context.Context, id string, sealed []byte, step int64, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		if err := one(q.PutSecondFactor(ctx, sqlc.PutSecondFactorParams{Step: step, ID: id, Totp: sealed})); err != nil {
			return err
		}
		a, err := q.Account(ctx, id)
		if err != nil {
			return err
		}
		if err := q.DropPasskeys(ctx, id); err != nil {
			return err
		}
		if err := shutOut(ctx, q, a); err != nil {
			return err
		}
		return tellAccount(ctx, q, &a, ev.At, enrol.Appointment{}, "ready")
	})
}

// AskSetup implements enrol.AccountRecords.
func (d *DB) AskSetup(ctx context.Context, id string, at, notAfter time.Time, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		a, err := q.Account(ctx, id)
		if err != nil {
			return absent(err, enrol.ErrUnknown)
		}
		mailed, err := q.SetupMailed(ctx, id)
		switch {
		case err != nil && !errors.Is(err, sql.ErrNoRows):
			return err
		case a.Kind != enrol.AdministratorAccount || a.State != enrol.AccountNew:
			return enrol.ErrState
		case mailed > micros(notAfter):
			return enrol.ErrThrottled
		}
		return q.DueSetup(ctx, sqlc.DueSetupParams{AccountID: id, At: micros(at)})
	})
}

// AskReset implements enrol.AccountRecords.
func (d *DB) AskReset(ctx context.Context, id, why string, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		a, err := q.Account(ctx, id)
		switch {
		case err != nil:
			return absent(err, enrol.ErrUnknown)
		case a.Kind != enrol.AdministratorAccount || a.State == enrol.AccountEnded:
			return enrol.ErrUnknown
		}
		return q.AskReset(ctx, sqlc.AskResetParams{AccountID: id, AskedBy: personal.Actor(ev.Actor), At: micros(ev.At), Why: personal.Note(why)})
	})
}

// ResetAsked implements enrol.AccountRecords.
func (d *DB) ResetAsked(ctx context.Context, id string) (by string, at time.Time, err error) {
	r, err := d.q.ResetAsked(ctx, id)
	if err != nil {
		return "", time.Time{}, absent(err, enrol.ErrUnknown)
	}
	return string(r.AskedBy), instant(r.AskedAt), nil
}

// Resets implements enrol.AccountRecords.
func (d *DB) Resets(ctx context.Context, after time.Time) ([]enrol.ResetWish, error) {
	rows, err := d.q.Resets(ctx, micros(after))
	if err != nil {
		return nil, err
	}
	out := make([]enrol.ResetWish, len(rows))
	for k, r := range rows {
		a, _, err := d.Account(ctx, r.AccountID)
		if err != nil {
			return nil, err
		}
		out[k] = enrol.ResetWish{Account: a, By: string(r.AskedBy), At: instant(r.AskedAt), Why: string(r.Why)}
	}
	return out, nil
}

// CancelReset implements enrol.AccountRecords.
func (d *DB) CancelReset(ctx context.Context, id, askedBy string, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		return one(q.DropReset(ctx, sqlc.DropResetParams{AccountID: id, AskedBy: personal.Actor(askedBy)}))
	})
}

// AppointmentsBy implements enrol.AccountRecords.
func (d *DB) AppointmentsBy(ctx context.Context, f enrol.AppointmentFilter, now time.Time) ([]enrol.Appointed, error) {
	before := int64(math.MaxInt64)
	if !f.BeforeFrom.IsZero() {
		before = micros(f.BeforeFrom)
	}
	rows, err := d.q.AppointmentsBy(ctx, sqlc.AppointmentsByParams{Before: before, ID: f.BeforeID, Role: string(f.Role), Agency: f.Agency, System: f.System, AnyIc: flag(f.IC == ""),
		Ic: orNull(f.IC), State: f.State, Now: micros(now), Lim: int64(f.Limit)})
	out := make([]enrol.Appointed, len(rows))
	for k := range rows {
		a, x := &rows[k].Account, rows[k].Appointment
		out[k] = enrol.Appointed{Account: enrol.Account{ID: a.ID, Kind: a.Kind, IC: plain(a.Ic), Email: string(a.Email), Name: string(a.Name), State: a.State, CreatedAt: instant(a.CreatedAt)},
			Appointment: appointment(x)}
	}
	return out, err
}

// SetupMail implements enrol.AccountRecords.
func (d *DB) SetupMail(ctx context.Context, account string) (enrol.SetupMail, error) {
	r, err := d.q.SetupMail(ctx, account)
	if errors.Is(err, sql.ErrNoRows) {
		return enrol.SetupMail{}, nil
	}
	return enrol.SetupMail{MailedAt: instant(r.MailedAt), Reply: string(r.Reply), Due: r.DueAt > 0}, err
}

// ConfirmReset implements enrol.AccountRecords.
func (d *DB) ConfirmReset(ctx context.Context, id, askedBy string, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		if err := one(q.DropReset(ctx, sqlc.DropResetParams{AccountID: id, AskedBy: personal.Actor(askedBy)})); err != nil {
			return err
		}
		a, err := q.Account(ctx, id)
		if err != nil {
			return err
		}
		if a.Kind != enrol.AdministratorAccount || a.State == enrol.AccountEnded {
			return enrol.ErrUnknown
		}
		if err := tellAccount(ctx, q, &a, ev.At, enrol.Appointment{}, "reset"); err != nil {
			return err
		}
		if err := startSetup(ctx, q, a, enrol.Account{IC: plain(a.Ic), Email: string(a.Email), Name: string(a.Name)}, nil, time.Time{}); err != nil {
			return err
		}
		return q.DueSetup(ctx, sqlc.DueSetupParams{AccountID: id, At: micros(ev.At)})
	})
}

// ClaimSetup implements enrol.Enrolments.
func (d *DB) ClaimSetup(ctx context.Context, now, leaseUntil time.Time) (a enrol.Account, attempts int, ok bool, err error) {
	id, err := d.q.SetupDue(ctx, micros(now))
	if errors.Is(err, sql.ErrNoRows) {
		return a, 0, false, nil // nothing due costs no write
	}
	if err != nil {
		return a, 0, false, err
	}
	err = d.tx(ctx, func(q *sqlc.Queries) error {
		n, err := q.ClaimSetup(ctx, sqlc.ClaimSetupParams{LeaseUntil: micros(leaseUntil), AccountID: id, Now: micros(now)})
		if err != nil || n == 0 {
			return err // another node was faster
		}
		tries, err := q.SetupAttempts(ctx, id)
		if err != nil {
			return err
		}
		row, err := q.Account(ctx, id)
		if err == nil {
			a, _, err = account(ctx, q, row, nil)
		}
		attempts, ok = int(tries), err == nil
		return err
	})
	return a, attempts, ok && err == nil, err
}

// PutSetup implements enrol.Enrolments.
func (d *DB) PutSetup(ctx context.Context, id string, attempts int, hash [32]byte, at, until time.Time, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		n, err := q.MarkSetup(ctx, sqlc.MarkSetupParams{At: micros(at), AccountID: id, Attempts: int64(attempts)})
		if err == nil && n == 1 {
			n, err = q.PutSetup(ctx, sqlc.PutSetupParams{Setup: hash[:], Until: micros(until), ID: id})
		}
		if err == nil && n != 1 {
			err = enrol.ErrState
		}
		return err
	})
}

// SettleSetup implements enrol.Enrolments.
func (d *DB) SettleSetup(ctx context.Context, id string, attempts int, due time.Time, reply string) error {
	return d.tx(ctx, func(q *sqlc.Queries) error {
		return q.SettleSetup(ctx, sqlc.SettleSetupParams{DueAt: micros(due), Reply: personal.Note(reply), AccountID: id, Attempts: int64(attempts)})
	})
}

package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// account reads a row with its appointments.
func account(ctx context.Context, q *sqlc.Queries, row sqlc.Account, err error) (enrol.Account, enrol.Proofs, error) {
	if err != nil {
		return enrol.Account{}, enrol.Proofs{}, absent(err, enrol.ErrUnknown)
	}
	a := enrol.Account{ID: row.ID, Kind: row.Kind, IC: plain(row.Ic), Email: string(row.Email), Name: string(row.Name), State: row.State, CreatedAt: instant(row.CreatedAt)}
	list, err := q.Appointments(ctx, row.ID)
	for _, x := range list {
		a.Appointments = append(a.Appointments, appointment(x))
	}
	return a, enrol.Proofs{Password: row.Password, TOTP: row.Totp, Step: row.TotpStep, Epoch: row.Epoch}, err
}

func appointment(x sqlc.Appointment) enrol.Appointment {
	return enrol.Appointment{Role: enrol.Role(x.Role), Agency: x.Agency, System: x.System, From: instant(x.FromAt), Until: instant(x.UntilAt), ID: x.ID,
		Document: string(x.Document), By: string(x.AppointedBy), ByIC: string(x.AppointedIc), Awaits: x.Awaits != 0, EndDocument: string(x.EndDocument), EndedBy: string(x.EndedBy)}
}

// Account implements enrol.AccountRecords.
func (d *DB) Account(ctx context.Context, id string) (enrol.Account, enrol.Proofs, error) {
	row, err := d.q.Account(ctx, id)
	return account(ctx, d.q, row, err)
}

// AccountByIC implements enrol.AccountRecords.
func (d *DB) AccountByIC(ctx context.Context, ic string) (enrol.Account, enrol.Proofs, error) {
	row, err := d.q.AccountByIC(ctx, orNull(ic))
	return account(ctx, d.q, row, err)
}

// BySetup implements enrol.AccountRecords.
func (d *DB) BySetup(ctx context.Context, setup [32]byte, now time.Time) (enrol.Account, enrol.Proofs, error) {
	row, err := d.q.AccountBySetup(ctx, sqlc.AccountBySetupParams{Setup: setup[:], Now: micros(now)})
	return account(ctx, d.q, row, err)
}

// Administrators implements enrol.AccountRecords.
func (d *DB) Administrators(ctx context.Context) ([]enrol.Account, error) {
	rows, err := d.q.AdministratorAccounts(ctx)
	if err != nil {
		return nil, err
	}
	var out []enrol.Account
	for _, row := range rows {
		a, _, err := account(ctx, d.q, row, nil)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// PutPassword implements enrol.AccountRecords.
func (d *DB) PutPassword(ctx context.Context, a enrol.Account, hash []byte, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error { return putPassword(ctx, q, a, hash) })
}

// putPassword is PutPassword inside a change.
func putPassword(ctx context.Context, q *sqlc.Queries, a enrol.Account, hash []byte) error {
	old, err := q.AccountByIC(ctx, orNull(a.IC))
	if errors.Is(err, sql.ErrNoRows) {
		return addAccount(ctx, q, a, hash)
	}
	if err != nil {
		return err
	}
	if old.State == enrol.AccountNew && old.Kind == enrol.OfficerAccount {
		// Somebody has proposed this person for an appointment: who it is the register says.
		if err := one(q.SetPerson(ctx, sqlc.SetPersonParams{Name: personal.Name(a.Name), Email: personal.Address(a.Email), ID: old.ID})); err != nil {
			return err
		}
	}
	n, err := q.SetPassword(ctx, sqlc.SetPasswordParams{Password: hash, ID: old.ID})
	if err == nil && n == 0 {
		err = enrol.ErrUnknown
	}
	if err != nil {
		return err
	}
	if err := q.DropPasskeys(ctx, old.ID); err != nil {
		return err
	}
	return shutOut(ctx, q, old)
}

// addAccount inserts an account with its appointments.
func addAccount(ctx context.Context, q *sqlc.Queries, a enrol.Account, hash []byte) error {
	err := q.AddAccount(ctx, sqlc.AddAccountParams{ID: a.ID, Kind: a.Kind, Ic: orNull(a.IC), Email: personal.Address(a.Email), Name: personal.Name(a.Name), State: a.State,
		Password: hash, Totp: []byte{}, CreatedAt: micros(a.CreatedAt)})
	for _, x := range a.Appointments {
		if err == nil {
			err = addAppointment(ctx, q, a.ID, x)
		}
	}
	return err
}

func addAppointment(ctx context.Context, q *sqlc.Queries, id string, x enrol.Appointment) error {
	if x.ID == "" {
		x.ID = ident.New("ap", 16)
	}
	return q.AddAppointment(ctx, sqlc.AddAppointmentParams{AccountID: id, Role: string(x.Role), Agency: x.Agency, System: x.System, FromAt: micros(x.From), UntilAt: micros(x.Until),
		ID: x.ID, Document: personal.Note(x.Document), AppointedBy: personal.Actor(x.By), AppointedIc: personal.IC(x.ByIC), Awaits: flag(x.Awaits)})
}

// shutOut ends what was open under an account's former proofs: its sessions, and the
// failures that somebody ran up.
func shutOut(ctx context.Context, q *sqlc.Queries, a sqlc.Account) error {
	if _, err := q.CloseSessions(ctx, sqlc.CloseSessionsParams{AccountID: a.ID}); err != nil {
		return err
	}
	return q.ForgetLoginFailures(ctx, personal.Subject("ic:"+plain(a.Ic)))
}

// PutAdministrator implements enrol.AccountRecords.
func (d *DB) PutAdministrator(ctx context.Context, a enrol.Account, setup [32]byte, until time.Time, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		old, err := sqlc.Account{}, sql.ErrNoRows
		if a.IC != "" {
			old, err = q.AccountByIC(ctx, orNull(a.IC))
		}
		switch {
		case errors.Is(err, sql.ErrNoRows):
			if err := addAccount(ctx, q, a, []byte{}); err != nil {
				return err
			}
			old.ID = a.ID
		case err != nil:
			return err
		case old.State == enrol.AccountActive || old.Kind == enrol.AdministratorAccount && old.State != enrol.AccountEnded:
			return enrol.ErrExists
		default:
			for _, x := range a.Appointments {
				if err := addAppointment(ctx, q, old.ID, x); err != nil {
					return err
				}
			}
		}
		return startSetup(ctx, q, old, a, link(setup), until)
	})
}

// startSetup takes an account's proofs and awaits its set-up; setup nil: by a code that
// is still to be made.
func startSetup(ctx context.Context, q *sqlc.Queries, old sqlc.Account, a enrol.Account, setup []byte, until time.Time) error {
	if _, err := q.StartSetup(ctx, sqlc.StartSetupParams{Ic: orNull(a.IC), Email: personal.Address(a.Email), Name: personal.Name(a.Name), Nothing: []byte{},
		Setup: setup, Until: micros(until), ID: old.ID}); err != nil {
		return err
	}
	if err := q.DropPasskeys(ctx, old.ID); err != nil {
		return err
	}
	return shutOut(ctx, q, old)
}

// ResetAdministrator implements enrol.AccountRecords.
func (d *DB) ResetAdministrator(ctx context.Context, id, ic string, setup [32]byte, until time.Time, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		old, err := q.Account(ctx, id)
		switch {
		case err != nil:
			return absent(err, enrol.ErrUnknown)
		case old.Kind != enrol.AdministratorAccount || old.State == enrol.AccountEnded:
			return enrol.ErrUnknown
		}
		if ic != "" && old.Ic == nil {
			if _, err := q.AccountByIC(ctx, orNull(ic)); !errors.Is(err, sql.ErrNoRows) {
				return errors.Join(err, enrol.ErrExists)
			}
		}
		return startSetup(ctx, q, old, enrol.Account{IC: ic, Email: string(old.Email), Name: string(old.Name)}, link(setup), until)
	})
}

// PutTOTP implements enrol.AccountRecords.
func (d *DB) PutTOTP(ctx context.Context, setup [32]byte, sealed []byte, now time.Time, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		return one(q.PutTOTP(ctx, sqlc.PutTOTPParams{Totp: sealed, Setup: setup[:], Now: micros(now)}))
	})
}

// one is enrol.ErrUnknown unless one row was changed.
func one(n int64, err error) error {
	if err == nil && n != 1 {
		err = enrol.ErrUnknown
	}
	return err
}

// CompleteSetup implements enrol.AccountRecords.
func (d *DB) CompleteSetup(ctx context.Context, setup [32]byte, password []byte, step int64, now time.Time, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		return one(q.CompleteSetup(ctx, sqlc.CompleteSetupParams{Password: password, Step: step, Setup: setup[:], Now: micros(now)}))
	})
}

// PutAppointment implements enrol.AccountRecords.
func (d *DB) PutAppointment(ctx context.Context, of enrol.Account, x enrol.Appointment, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		a, err := q.Account(ctx, of.ID)
		if err != nil {
			return absent(err, enrol.ErrUnknown)
		}
		if a.State == enrol.AccountEnded {
			return enrol.ErrUnknown
		}
		same, err := q.SameAppointment(ctx, sqlc.SameAppointmentParams{AccountID: a.ID, Role: string(x.Role), Agency: x.Agency, System: x.System, FromAt: micros(x.From)})
		if err == nil && same > 0 {
			err = enrol.ErrExists
		}
		if err == nil {
			err = addAppointment(ctx, q, a.ID, x)
		}
		if err != nil {
			return err
		}
		if a.State == enrol.AccountNew && a.Kind == enrol.OfficerAccount {
			return one(q.SetPerson(ctx, sqlc.SetPersonParams{Name: personal.Name(of.Name), Email: personal.Address(of.Email), ID: a.ID}))
		}
		return tellAccount(ctx, q, &a, ev.At, x, "appointed")
	})
}

// Appointment implements enrol.AccountRecords.
func (d *DB) Appointment(ctx context.Context, id string) (enrol.Account, enrol.Appointment, error) {
	x, err := d.q.Appointment(ctx, id)
	if err != nil {
		return enrol.Account{}, enrol.Appointment{}, absent(err, enrol.ErrUnknown)
	}
	a, _, err := d.Account(ctx, x.AccountID)
	return a, appointment(x), err
}

// ConfirmAppointment implements enrol.AccountRecords.
func (d *DB) ConfirmAppointment(ctx context.Context, id string, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		if err := one(q.ConfirmAppointment(ctx, sqlc.ConfirmAppointmentParams{ID: id, Now: micros(ev.At)})); err != nil {
			return err
		}
		x, err := q.Appointment(ctx, id)
		if err != nil {
			return err
		}
		a, err := q.Account(ctx, x.AccountID)
		if err != nil {
			return err
		}
		n, err := q.AwaitSetup(ctx, a.ID)
		if err != nil {
			return err
		}
		if n == 1 {
			return q.DueSetup(ctx, sqlc.DueSetupParams{AccountID: a.ID, At: micros(ev.At)})
		}
		return tellAccount(ctx, q, &a, ev.At, appointment(x), "confirmed")
	})
}

// EndAppointment implements enrol.AccountRecords.
func (d *DB) EndAppointment(ctx context.Context, x enrol.Appointment, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		was, err := q.Appointment(ctx, x.ID)
		if err != nil {
			return absent(err, enrol.ErrUnknown)
		}
		a, err := q.Account(ctx, was.AccountID)
		if err != nil {
			return absent(err, enrol.ErrUnknown)
		}
		if err := one(q.EndAppointment(ctx, sqlc.EndAppointmentParams{UntilAt: micros(x.Until), EndedBy: personal.Actor(x.EndedBy), EndDocument: personal.Note(x.EndDocument), ID: x.ID})); err != nil {
			return err
		}
		if was.Awaits == 0 && was.Role == string(enrol.JDN) {
			if err := somebodyLeft(ctx, q, x.Until); err != nil {
				return err
			}
		}
		return shutOut(ctx, q, a)
	})
}

// somebodyLeft is enrol.ErrLastJDN when no central administrator who can log in holds
// office from a time on. The write lock is held: two cannot end each other.
func somebodyLeft(ctx context.Context, q *sqlc.Queries, from time.Time) error {
	n, err := q.LastingJDN(ctx, micros(from))
	if err == nil && n == 0 {
		err = enrol.ErrLastJDN
	}
	return err
}

// EndAccount implements enrol.AccountRecords.
func (d *DB) EndAccount(ctx context.Context, id string, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		a, err := q.Account(ctx, id)
		if err != nil {
			return absent(err, enrol.ErrUnknown)
		}
		held, err := q.Appointments(ctx, id)
		if err != nil {
			return err
		}
		if err := one(q.EndAccount(ctx, sqlc.EndAccountParams{Nothing: []byte{}, ID: id})); err != nil {
			return err
		}
		if err := q.EndAppointments(ctx, sqlc.EndAppointmentsParams{UntilAt: micros(ev.At), EndedBy: personal.Actor(ev.Actor), AccountID: id}); err != nil {
			return err
		}
		for _, x := range held {
			if x := appointment(x); x.Role == enrol.JDN && !x.Awaits && (x.Until.IsZero() || x.Until.After(ev.At)) {
				if err := somebodyLeft(ctx, q, ev.At); err != nil {
					return err
				}
			}
		}
		if err := q.DropPasskeys(ctx, id); err != nil {
			return err
		}
		return shutOut(ctx, q, a)
	})
}

// PutPasskey implements enrol.PasskeyRecords.
func (d *DB) PutPasskey(ctx context.Context, l enrol.Login, k enrol.Passkey, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		if n, err := q.UseLogin(ctx, l.ID); err != nil {
			return err
		} else if n != 1 {
			return enrol.ErrUsed
		}
		n, err := q.AddPasskey(ctx, sqlc.AddPasskeyParams{ID: k.ID, AccountID: l.Account, Label: personal.Note(k.Label), Data: k.Data, SignCount: int64(k.SignCount), CreatedAt: micros(k.CreatedAt)})
		if err == nil && n != 1 {
			err = enrol.ErrExists
		}
		return err
	})
}

// Passkeys implements enrol.PasskeyRecords.
func (d *DB) Passkeys(ctx context.Context, id string) ([]enrol.Passkey, error) {
	rows, err := d.q.Passkeys(ctx, id)
	out := make([]enrol.Passkey, len(rows))
	for n, k := range rows {
		out[n] = enrol.Passkey{ID: k.ID, Label: string(k.Label), Data: k.Data, SignCount: uint32(k.SignCount), CreatedAt: instant(k.CreatedAt), UsedAt: instant(k.UsedAt)}
	}
	return out, err
}

// UsePasskey implements enrol.PasskeyRecords.
func (d *DB) UsePasskey(ctx context.Context, k enrol.Passkey) error {
	return d.tx(ctx, func(q *sqlc.Queries) error {
		n, err := q.UsePasskey(ctx, sqlc.UsePasskeyParams{Data: k.Data, SignCount: int64(k.SignCount), UsedAt: micros(k.UsedAt), ID: k.ID})
		if err == nil && n != 1 {
			err = enrol.ErrUsed
		}
		return err
	})
}

// DropPasskey implements enrol.PasskeyRecords.
func (d *DB) DropPasskey(ctx context.Context, id string, key []byte, but string, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		if err := one(q.DropPasskey(ctx, sqlc.DropPasskeyParams{ID: key, AccountID: id})); err != nil {
			return err
		}
		_, err := q.CloseSessions(ctx, sqlc.CloseSessionsParams{AccountID: id, But: but})
		return err
	})
}

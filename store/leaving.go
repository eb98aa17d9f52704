package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

var _ enrol.LeavingRecords = (*DB)(nil)

// Leave implements enrol.LeavingRecords.
func (d *DB) Leave(ctx context.Context, l enrol.Leaving, ev audit.Event) (serials []string, err error) {
	err = d.do(ctx, ev, func(q *sqlc.Queries) error {
		if err := spend(ctx, q, l.Login, l.Request); err != nil {
			return err
		}
		if serials, err = d.endKeys(ctx, q, &l, ev); err != nil {
			return err
		}
		if err := d.withdrawAll(ctx, q, &l, ev); err != nil {
			return err
		}
		if _, err := q.DropMedia(ctx, sqlc.DropMediaParams{Ic: personal.IC(l.IC), System: l.System}); err != nil {
			return err
		}
		if l.System != "" {
			return nil
		}
		if err := endLogIn(ctx, q, &l, ev.Actor); err != nil {
			return err
		}
		return addNotice(ctx, q, l.IC, enrol.NoticeDeleted, ev.At, nil)
	})
	if err != nil {
		return nil, err
	}
	d.scrub(ctx)
	return serials, nil
}

// spend uses up the code of a log-in and a request, where there are.
func spend(ctx context.Context, q *sqlc.Queries, login, request string) error {
	if login != "" {
		n, err := q.UseLogin(ctx, login)
		if err == nil && n != 1 {
			err = enrol.ErrUsed
		}
		if err != nil {
			return err
		}
	}
	if request != "" {
		n, err := q.EndOfficerRequest(ctx, sqlc.EndOfficerRequestParams{Nothing: []byte{}, State: enrol.RequestDone, ID: request})
		if err == nil && n != 1 {
			err = enrol.ErrState
		}
		return err
	}
	return nil
}

// endKeys revokes what can still sign.
func (d *DB) endKeys(ctx context.Context, q *sqlc.Queries, l *enrol.Leaving, ev audit.Event) (serials []string, err error) {
	living, err := q.LivingCredentials(ctx, sqlc.LivingCredentialsParams{Ic: personal.IC(l.IC), System: l.System})
	if err != nil {
		return nil, err
	}
	for _, c := range living {
		if err := d.revoke(ctx, q, c.Serial, l.At, ca.ReasonCode("cessationOfOperation"), ev); err != nil {
			return nil, err
		}
		serials = append(serials, c.Serial)
	}
	return serials, nil
}

// withdrawAll ends what is under way, keys included.
func (d *DB) withdrawAll(ctx context.Context, q *sqlc.Queries, l *enrol.Leaving, ev audit.Event) error {
	all, err := q.EnrolmentsOf(ctx, personal.IC(l.IC))
	if err != nil {
		return err
	}
	for _, r := range all {
		e := enrolment(&r.Enrolment, string(r.Name), string(r.Email))
		switch {
		case !e.State.Open() || l.System != "" && e.System != l.System:
			continue
		case e.State == enrol.Approved:
			return enrol.ErrExists
		}
		step := ev
		step.Action, step.Object = string(enrol.Withdraw), e.ID
		step.Detail = map[string]string{"officer": e.IC, "system": e.System, "because": ev.Action}
		if _, err := d.move(ctx, q, &enrol.Change{ID: e.ID, From: e.State, To: enrol.Withdrawn, At: l.At, Reason: ev.Action, Event: step}); err != nil {
			return err
		}
		if err := appendEvent(ctx, q, step); err != nil {
			return err
		}
	}
	return nil
}

// endLogIn deletes the account with what hangs on it, appointments that have no effect for
// want of a second factor too: who comes back comes as an officer. Who has none is deleted
// as well.
func endLogIn(ctx context.Context, q *sqlc.Queries, l *enrol.Leaving, by string) error {
	change, err := q.PendingAddressChange(ctx, personal.IC(l.IC))
	if err == nil {
		_, err = q.EndAddressChange(ctx, sqlc.EndAddressChangeParams{State: enrol.ChangeCancelled, At: micros(l.At), ID: change})
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if err := q.EndOfficerRequests(ctx, sqlc.EndOfficerRequestsParams{Nothing: []byte{}, State: enrol.RequestCancelled, Ic: personal.IC(l.IC), Until: lastMicros}); err != nil {
		return err
	}
	if err := q.DropPhone(ctx, personal.IC(l.IC)); err != nil {
		return err
	}
	if l.Subject != "" {
		if err := q.ForgetLoginFailures(ctx, personal.Subject(l.Subject)); err != nil {
			return err
		}
	}
	a, err := q.AccountByIC(ctx, orNull(l.IC))
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if a.Kind != enrol.OfficerAccount {
		return nil // an administrator's log-in ends with the appointments
	}
	if a.State == enrol.AccountActive {
		if err := one(q.DeleteAccount(ctx, sqlc.DeleteAccountParams{Nothing: []byte{}, ID: a.ID})); err != nil {
			return err
		}
	}
	if err := q.EndAppointments(ctx, sqlc.EndAppointmentsParams{UntilAt: micros(l.At), EndedBy: personal.Actor(by), AccountID: a.ID}); err != nil {
		return err
	}
	if err := q.DropPasskeys(ctx, a.ID); err != nil {
		return err
	}
	return shutOut(ctx, q, a)
}

// lastMicros is later than any time that is stored.
const lastMicros = 1<<63 - 1

// PutRequest implements enrol.LeavingRecords.
func (d *DB) PutRequest(ctx context.Context, r enrol.OfficerRequest, login, notice string, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		if err := spend(ctx, q, login, ""); err != nil {
			return err
		}
		if err := q.EndOfficerRequests(ctx, sqlc.EndOfficerRequestsParams{Nothing: []byte{}, State: enrol.RequestExpired, Ic: personal.IC(r.IC), Kind: r.Kind, Until: micros(r.AskedAt)}); err != nil {
			return err
		}
		if r.Password == nil {
			r.Password = []byte{}
		}
		n, err := q.AddOfficerRequest(ctx, sqlc.AddOfficerRequestParams{ID: r.ID, Kind: r.Kind, Ic: personal.IC(r.IC), AccountID: r.Account, Epoch: r.Epoch, Password: r.Password,
			AskedBy: personal.Actor(r.AskedBy), AskedIc: personal.IC(r.AskedIC), AskedAt: micros(r.AskedAt), UntilAt: micros(r.Until), Reason: personal.Note(r.Reason),
			System: r.System, Serial: r.Serial, CrlReason: r.CRLReason})
		if err == nil && n == 0 {
			err = enrol.ErrExists
		}
		if err != nil || notice == "" {
			return err
		}
		return addNotice(ctx, q, r.IC, notice, ev.At, nil)
	})
}

// CancelOfficerRequest implements enrol.LeavingRecords.
func (d *DB) CancelOfficerRequest(ctx context.Context, id string, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		n, err := q.EndOfficerRequest(ctx, sqlc.EndOfficerRequestParams{Nothing: []byte{}, State: enrol.RequestCancelled, ID: id})
		if err == nil && n != 1 {
			err = enrol.ErrState
		}
		return err
	})
}

func officerRequest(r sqlc.OfficerRequest) enrol.OfficerRequest {
	return enrol.OfficerRequest{ID: r.ID, Kind: r.Kind, IC: string(r.Ic), Account: r.AccountID, Epoch: r.Epoch, Password: r.Password, State: r.State, AskedBy: string(r.AskedBy), AskedIC: string(r.AskedIc),
		AskedAt: instant(r.AskedAt), Until: instant(r.UntilAt), Reason: string(r.Reason), System: r.System, Serial: r.Serial, CRLReason: r.CrlReason}
}

// OfficerRequest implements enrol.LeavingRecords.
func (d *DB) OfficerRequest(ctx context.Context, id string) (enrol.OfficerRequest, error) {
	r, err := d.q.OfficerRequest(ctx, id)
	if err != nil {
		return enrol.OfficerRequest{}, absent(err, enrol.ErrUnknown)
	}
	return officerRequest(r), nil
}

// RequestsOf implements enrol.LeavingRecords.
func (d *DB) RequestsOf(ctx context.Context, ic string) ([]enrol.OfficerRequest, error) {
	rows, err := d.q.OfficerRequestsOf(ctx, personal.IC(ic))
	out := make([]enrol.OfficerRequest, len(rows))
	for k, r := range rows {
		out[k] = officerRequest(r)
	}
	return out, err
}

// PendingRevocation implements enrol.LeavingRecords.
func (d *DB) PendingRevocation(ctx context.Context, ic, system string, now time.Time) (string, error) {
	id, err := d.q.PendingRevocation(ctx, sqlc.PendingRevocationParams{Ic: personal.IC(ic), System: system, Now: micros(now)})
	return id, absent(err, enrol.ErrUnknown)
}

// PendingRequests implements enrol.LeavingRecords.
func (d *DB) PendingRequests(ctx context.Context, now, after time.Time, id string, limit int) ([]enrol.OfficerRequest, error) {
	rows, err := d.q.PendingRequests(ctx, sqlc.PendingRequestsParams{Now: micros(now), After: micros(after), AfterID: id, Lim: int64(limit)})
	out := make([]enrol.OfficerRequest, len(rows))
	for k, r := range rows {
		out[k] = officerRequest(r)
	}
	return out, err
}

// ResetPassword implements enrol.LeavingRecords.
func (d *DB) ResetPassword(ctx context.Context, account string, epoch int64, hash []byte, login, request string, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		if err := spend(ctx, q, login, request); err != nil {
			return err
		}
		n, err := q.ResetPassword(ctx, sqlc.ResetPasswordParams{Password: hash, ID: account, Epoch: epoch})
		if err == nil && n != 1 {
			err = enrol.ErrUsed
		}
		if err != nil {
			return err
		}
		a, err := q.Account(ctx, account)
		if err != nil {
			return err
		}
		if err := q.EndOfficerRequests(ctx, sqlc.EndOfficerRequestsParams{Nothing: []byte{}, State: enrol.RequestCancelled, Ic: personal.IC(plain(a.Ic)), Kind: enrol.RequestReset, Until: lastMicros}); err != nil {
			return err
		}
		if err := q.ForgetLoginFailures(ctx, personal.Subject(enrol.ForPassword+":"+plain(a.Ic))); err != nil {
			return err
		}
		if err := q.DropPasskeys(ctx, account); err != nil { // whoever was there before may have left one
			return err
		}
		if err := shutOut(ctx, q, a); err != nil {
			return err
		}
		return addNotice(ctx, q, plain(a.Ic), enrol.NoticePasswordReset, ev.At, nil)
	})
}

// PutPhone implements enrol.LeavingRecords.
func (d *DB) PutPhone(ctx context.Context, ic, mobile string, l enrol.Login, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		if err := spend(ctx, q, l.ID, ""); err != nil {
			return err
		}
		if err := q.PutPhone(ctx, sqlc.PutPhoneParams{Ic: personal.IC(ic), Mobile: personal.Address(mobile), ChangedAt: micros(ev.At)}); err != nil {
			return err
		}
		if err := q.ForgetLoginFailures(ctx, personal.Subject(l.Subject)); err != nil {
			return err
		}
		return addNotice(ctx, q, ic, enrol.NoticePhoneChanged, ev.At, nil)
	})
}

// Phone implements enrol.LeavingRecords.
func (d *DB) Phone(ctx context.Context, ic string) (mobile string, at time.Time, err error) {
	r, err := d.q.Phone(ctx, personal.IC(ic))
	if err != nil {
		return "", time.Time{}, absent(err, enrol.ErrUnknown)
	}
	return string(r.Mobile), instant(r.ChangedAt), nil
}

// shutHolderOut ends the sessions of the officer whose certificate was revoked: whoever
// sits there has a reason to log in again.
func shutHolderOut(ctx context.Context, q *sqlc.Queries, serial string) error {
	h, err := q.HolderOf(ctx, serial)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return q.CloseSessionsOfOfficer(ctx, orNull(string(h.Ic)))
}

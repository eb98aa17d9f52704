package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// PutLogin implements enrol.LoginRecords.
func (d *DB) PutLogin(ctx context.Context, l enrol.Login, purpose, data string) error {
	return d.tx(ctx, func(q *sqlc.Queries) error {
		return q.AddLogin(ctx, sqlc.AddLoginParams{ID: l.ID, Purpose: purpose, AccountID: l.Account, Subject: personal.Subject(l.Subject), Data: personal.Note(data), KeepUntil: micros(l.ExpiresAt)})
	})
}

// LoginOf implements enrol.LoginRecords.
func (d *DB) LoginOf(ctx context.Context, id, purpose string) (enrol.Login, string, error) {
	x, err := d.q.Login(ctx, id)
	switch {
	case err != nil:
		return enrol.Login{}, "", absent(err, enrol.ErrUnknown)
	case x.Purpose != purpose:
		return enrol.Login{}, "", enrol.ErrUnknown
	case x.Used != 0:
		return enrol.Login{}, "", enrol.ErrUsed
	}
	return enrol.Login{ID: x.ID, Account: x.AccountID, Subject: string(x.Subject), ExpiresAt: instant(x.KeepUntil)}, string(x.Data), nil
}

// OpenSession implements enrol.LoginRecords.
func (d *DB) OpenSession(ctx context.Context, l enrol.Login, s enrol.Session, hash [32]byte, step int64, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		// The conditional updates make exactly one caller win.
		if n, err := q.UseLogin(ctx, l.ID); err != nil {
			return err
		} else if n != 1 {
			return enrol.ErrUsed
		}
		if a, err := q.Account(ctx, s.Account); err != nil {
			return absent(err, enrol.ErrUsed)
		} else if a.State != enrol.AccountActive {
			return enrol.ErrUsed
		}
		if step != 0 {
			if n, err := q.AcceptStep(ctx, sqlc.AcceptStepParams{Step: step, ID: s.Account}); err != nil {
				return err
			} else if n != 1 {
				return enrol.ErrUsed
			}
		}
		if err := q.ForgetLoginFailures(ctx, personal.Subject(l.Subject)); err != nil {
			return err
		}
		return q.AddSession(ctx, sqlc.AddSessionParams{Hash: hash[:], ID: s.ID, AccountID: s.Account, Method: s.Method, Bearer: flag(s.Bearer),
			Address: personal.Address(s.Address), Agent: personal.Address(s.Agent), CreatedAt: micros(s.CreatedAt)})
	})
}

// CountFailure implements enrol.LoginRecords.
func (d *DB) CountFailure(ctx context.Context, subject string, now time.Time, delay func(n int) time.Duration) error {
	return d.tx(ctx, func(q *sqlc.Queries) error {
		f, err := q.LoginFailures(ctx, personal.Subject(subject))
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if until := instant(f.UntilAt); now.Before(until) {
			return &enrol.ThrottledError{After: until.Sub(now)}
		}
		n := f.Count + 1
		return q.PutLoginFailures(ctx, sqlc.PutLoginFailuresParams{Subject: personal.Subject(subject), Count: n, UntilAt: micros(now.Add(delay(int(n)))), At: micros(now)})
	})
}

// RefusedUntil implements enrol.LoginRecords.
func (d *DB) RefusedUntil(ctx context.Context, subjects ...string) (until time.Time, err error) {
	for _, subject := range subjects {
		f, err := d.q.LoginFailures(ctx, personal.Subject(subject))
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return until, err
		}
		if err == nil && f.UntilAt > 0 && instant(f.UntilAt).After(until) {
			until = instant(f.UntilAt)
		}
	}
	return until, nil
}

// ForgetFailures implements enrol.LoginRecords.
func (d *DB) ForgetFailures(ctx context.Context, subject string) error {
	return d.tx(ctx, func(q *sqlc.Queries) error { return q.ForgetLoginFailures(ctx, personal.Subject(subject)) })
}

// ClearFailures implements enrol.LoginRecords.
func (d *DB) ClearFailures(ctx context.Context, ev audit.Event, subjects ...string) (cleared bool, err error) {
	err = d.do(ctx, ev, func(q *sqlc.Queries) error {
		for _, subject := range subjects {
			n, err := q.ClearLoginFailures(ctx, personal.Subject(subject))
			if err != nil {
				return err
			}
			cleared = cleared || n > 0
		}
		return nil
	})
	return cleared && err == nil, err
}

// week is how long a count of failures is kept that nothing comes of.
const week = 7 * 24 * time.Hour

// DropLogins implements enrol.LoginRecords.
func (d *DB) DropLogins(ctx context.Context, before time.Time) error {
	return d.tx(ctx, func(q *sqlc.Queries) error {
		if err := q.DropLogins(ctx, micros(before)); err != nil {
			return err
		}
		return q.DropLoginFailures(ctx, micros(before.Add(-week)))
	})
}

func session(s sqlc.Session) enrol.Session {
	return enrol.Session{ID: s.ID, Account: s.AccountID, Method: s.Method, Bearer: s.Bearer != 0, Address: string(s.Address), Agent: string(s.Agent), CreatedAt: instant(s.CreatedAt), SeenAt: instant(s.SeenAt)}
}

// Session implements enrol.SessionRecords.
func (d *DB) Session(ctx context.Context, hash [32]byte) (enrol.Session, error) {
	s, err := d.q.Session(ctx, hash[:])
	if err != nil {
		return enrol.Session{}, absent(err, enrol.ErrUnknown)
	}
	return session(s), nil
}

// Touch implements enrol.SessionRecords.
func (d *DB) Touch(ctx context.Context, hash [32]byte, at time.Time) error {
	return d.tx(ctx, func(q *sqlc.Queries) error {
		return q.TouchSession(ctx, sqlc.TouchSessionParams{At: micros(at), Hash: hash[:]})
	})
}

// Sessions implements enrol.SessionRecords.
func (d *DB) Sessions(ctx context.Context, id string, after time.Time) ([]enrol.Session, error) {
	rows, err := d.q.SessionsOf(ctx, sqlc.SessionsOfParams{AccountID: id, After: micros(after)})
	out := make([]enrol.Session, len(rows))
	for k, s := range rows {
		out[k] = session(s)
	}
	return out, err
}

// CloseSession implements enrol.SessionRecords.
func (d *DB) CloseSession(ctx context.Context, account, id string, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		return one(q.CloseSession(ctx, sqlc.CloseSessionParams{AccountID: account, ID: id}))
	})
}

// CloseSessions implements enrol.SessionRecords.
func (d *DB) CloseSessions(ctx context.Context, account, but string, ev audit.Event) (n int, err error) {
	err = d.tx(ctx, func(q *sqlc.Queries) error {
		closed, err := q.CloseSessions(ctx, sqlc.CloseSessionsParams{AccountID: account, But: but})
		if n = int(closed); err != nil || n == 0 {
			return err
		}
		return appendEvent(ctx, q, ev)
	})
	return n, err
}

// DropSessions implements enrol.SessionRecords.
func (d *DB) DropSessions(ctx context.Context, before time.Time) error {
	return d.tx(ctx, func(q *sqlc.Queries) error { return q.DropSessions(ctx, micros(before)) })
}

// LoginCodes is otp.Records for the codes of log-ins: one each, and what strangers can
// make happen is in no audit event of its own.
type LoginCodes struct{ d *DB }

// LoginCodes returns them.
func (d *DB) LoginCodes() LoginCodes { return LoginCodes{d} }

// StoreChallenge implements otp.Records. c.Transaction is a log-in without a code; ev is
// not appended.
func (l LoginCodes) StoreChallenge(ctx context.Context, c *otp.Challenge, p otp.Policy, _ audit.Event) error {
	return l.d.tx(ctx, func(q *sqlc.Queries) error {
		now, err := l.d.now(ctx)
		if err != nil {
			return err
		}
		c.IssuedAt, c.ExpiresAt, c.ResendAfter, c.TriesLeft, c.Sends = now, now.Add(p.TTL), now.Add(p.TTL), p.Tries, 1
		n, err := q.PutLoginCode(ctx, sqlc.PutLoginCodeParams{Nonce: c.Nonce[:], Channel: c.Channel, SentTo: personal.Address(c.SentTo), IssuedAt: micros(c.IssuedAt),
			ExpiresAt: micros(c.ExpiresAt), TriesLeft: int64(c.TriesLeft), ID: c.Transaction})
		if err == nil && n != 1 {
			err = otp.ErrUsed
		}
		return err
	})
}

// Withdraw implements otp.Records; nothing is appended.
func (l LoginCodes) Withdraw(ctx context.Context, c otp.Challenge, _ bool, _ audit.Event) error {
	return l.d.tx(ctx, func(q *sqlc.Queries) error {
		_, err := q.WithdrawLoginCode(ctx, sqlc.WithdrawLoginCodeParams{ID: c.Transaction, Nonce: c.Nonce[:]})
		return err
	})
}

// Challenge implements otp.Records.
func (l LoginCodes) Challenge(ctx context.Context, id string) (otp.Challenge, error) {
	x, err := l.d.q.Login(ctx, id)
	return loginChallenge(x, err)
}

func loginChallenge(x sqlc.Login, err error) (otp.Challenge, error) {
	if err != nil {
		return otp.Challenge{}, absent(err, otp.ErrUnknown)
	}
	if len(x.Nonce) != otp.NonceSize {
		return otp.Challenge{}, otp.ErrUnknown
	}
	return otp.Challenge{Transaction: x.ID, Nonce: [otp.NonceSize]byte(x.Nonce), Channel: x.Channel, SentTo: string(x.SentTo), IssuedAt: instant(x.IssuedAt),
		ExpiresAt: instant(x.ExpiresAt), ResendAfter: instant(x.ExpiresAt), TriesLeft: int(x.TriesLeft), Sends: 1, Redeemed: x.Used != 0}, nil
}

// ReserveTry implements otp.Records.
func (l LoginCodes) ReserveTry(ctx context.Context, id string, nonce [otp.NonceSize]byte) (left int, err error) {
	err = l.d.tx(ctx, func(q *sqlc.Queries) error {
		now, err := l.d.now(ctx)
		if err != nil {
			return err
		}
		n, err := q.ReserveLoginTry(ctx, sqlc.ReserveLoginTryParams{ID: id, Nonce: nonce[:], Now: micros(now)})
		if err == nil {
			left = int(n)
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		x, err := q.Login(ctx, id)
		c, err := loginChallenge(x, err)
		switch {
		case err != nil:
			return err
		case c.Redeemed:
			return otp.ErrUsed
		case c.Nonce != nonce:
			return otp.ErrNonce
		case !now.Before(c.ExpiresAt):
			return otp.ErrExpired
		}
		return otp.ErrAttempts
	})
	return left, err
}

// StoreDelivery implements otp.Records; ev is appended for a bounce alone, which
// strangers cannot cause.
func (l LoginCodes) StoreDelivery(ctx context.Context, id string, nonce [otp.NonceSize]byte, v otp.Delivery, ev audit.Event) (wanted bool, err error) {
	err = l.d.tx(ctx, func(q *sqlc.Queries) error {
		n, err := q.StoreLoginDelivery(ctx, sqlc.StoreLoginDeliveryParams{Delivery: v.State, Reply: v.Reply, At: micros(v.At), ID: id, Nonce: nonce[:]})
		if err == nil && n > 0 && v.State == otp.Bounced {
			err = appendEvent(ctx, q, ev)
		}
		if err != nil {
			return err
		}
		x, err := q.Login(ctx, id)
		c, err := loginChallenge(x, err)
		wanted = err == nil && !c.Redeemed && c.Nonce == nonce
		if errors.Is(err, otp.ErrUnknown) {
			err = nil
		}
		return err
	})
	return wanted, err
}

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/notify"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// Revoke implements ca.Records. The officer's key, if it is an officer's
// certificate, is destroyed in the same transaction.
func (d *DB) Revoke(ctx context.Context, serial string, at time.Time, reason int, ev audit.Event) error {
	err := d.do(ctx, ev, func(q *sqlc.Queries) error { return d.revoke(ctx, q, serial, at, reason, ev) })
	if err == nil {
		d.scrub(ctx)
	}
	return err
}

// RevokeScheduled implements ca.Records.
func (d *DB) RevokeScheduled(ctx context.Context, s ca.Scheduled, at time.Time, ev audit.Event) error {
	var revoked error // before, somehow: then the row is done with, and says so
	err := d.tx(ctx, func(q *sqlc.Queries) error {
		row, err := q.ScheduledRevocation(ctx, s.Serial)
		if err != nil {
			return absent(err, ca.ErrUnknown)
		}
		if row.DueAt != micros(s.At) || row.Reason != int64(s.Reason) {
			return ca.ErrUnknown
		}
		ev := ev
		err = d.revoke(ctx, q, s.Serial, at, s.Reason, ev)
		if errors.Is(err, ca.ErrRevoked) {
			revoked, ev.Action = ca.ErrRevoked, "ca.unschedule"
			_, err = q.DropScheduledRevocation(ctx, s.Serial)
		}
		if err != nil {
			return err
		}
		return appendEvent(ctx, q, ev)
	})
	if err == nil {
		d.scrub(ctx)
		err = revoked
	}
	return err
}

func (d *DB) revoke(ctx context.Context, q *sqlc.Queries, serial string, at time.Time, reason int, ev audit.Event) error {
	if err := endCertificate(ctx, q, serial, at, reason); err != nil {
		return err
	}
	keys, err := q.RevokeCredential(ctx, serial)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if err := appendEvent(ctx, q, keyDestroyed(ev, k.ID, k.Version)); err != nil {
			return err
		}
		if err := closeKey(ctx, q, string(k.Ic), k.ID, ev); err != nil {
			return err
		}
	}
	if err := shutHolderOut(ctx, q, serial); err != nil {
		return err
	}
	return d.tellHolder(ctx, q, serial, notify.CertificateRevoked, at, reason, time.Time{})
}

// endCertificate revokes a certificate; its credential is the caller's.
func endCertificate(ctx context.Context, q *sqlc.Queries, serial string, at time.Time, reason int) error {
	n, err := q.RevokeCertificate(ctx, sqlc.RevokeCertificateParams{RevokedAt: micros(at), Reason: int64(reason), Serial: serial})
	if err != nil {
		return err
	}
	if n == 0 {
		return unchanged(ctx, q, serial)
	}
	if err := errors.Join(q.CountChange(ctx, serial), tellExternal(ctx, q, serial, at, reason)); err != nil {
		return err
	}
	_, err = q.DropScheduledRevocation(ctx, serial)
	return err
}

// unchanged says why no certificate fitted.
func unchanged(ctx context.Context, q *sqlc.Queries, serial string) error {
	c, err := q.CertificateBySerial(ctx, serial)
	switch {
	case err != nil:
		return absent(err, ca.ErrUnknown)
	case c.Status == ca.Revoked:
		return ca.ErrRevoked
	case c.Status == ca.Suspended:
		return ca.ErrSuspended
	case c.Status == ca.Active:
		return ca.ErrActive
	}
	return ca.ErrUnknown
}

// Suspend implements ca.Records.
func (d *DB) Suspend(ctx context.Context, serial string, at time.Time, reason int, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		n, err := q.SuspendCertificate(ctx, sqlc.SuspendCertificateParams{RevokedAt: micros(at), Reason: int64(reason), Serial: serial})
		if err := held(ctx, q, serial, n, err, "SUSPENDED", "ACTIVE", actionKeyHold, ev); err != nil {
			return err
		}
		return d.tellHolder(ctx, q, serial, notify.CertificateSuspended, ev.At, reason, time.Time{})
	})
}

// Release implements ca.Records.
func (d *DB) Release(ctx context.Context, serial string, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		n, err := q.ReleaseCertificate(ctx, serial)
		if err := held(ctx, q, serial, n, err, "ACTIVE", "SUSPENDED", actionKeyRelease, ev); err != nil {
			return err
		}
		return d.tellHolder(ctx, q, serial, notify.CertificateReleased, ev.At, 0, time.Time{})
	})
}

// held has the credentials follow their certificate, of which n rows fitted, and
// tells the history of their keys.
func held(ctx context.Context, q *sqlc.Queries, serial string, n int64, err error, status, was, action string, ev audit.Event) error {
	if err != nil {
		return err
	}
	if n == 0 {
		return unchanged(ctx, q, serial)
	}
	if err := q.CountChange(ctx, serial); err != nil {
		return err
	}
	keys, err := q.SetCredentialStatus(ctx, sqlc.SetCredentialStatusParams{Status: status, Serial: serial, Was: was})
	if err != nil {
		return err
	}
	for _, k := range keys {
		if err := appendEvent(ctx, q, keyHeld(ev, action, k.ID, k.Version)); err != nil {
			return err
		}
	}
	return nil
}

// ScheduleRevocation implements ca.Records.
func (d *DB) ScheduleRevocation(ctx context.Context, s ca.Scheduled, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		c, err := q.CertificateBySerial(ctx, s.Serial)
		switch {
		case err != nil:
			return absent(err, ca.ErrUnknown)
		case c.Status == ca.Revoked:
			return ca.ErrRevoked
		case c.Status == ca.Reserved:
			return ca.ErrUnknown
		}
		err = q.ScheduleRevocation(ctx, sqlc.ScheduleRevocationParams{Serial: s.Serial, DueAt: micros(s.At), Reason: int64(s.Reason), Actor: personal.Actor(s.Actor), CreatedAt: micros(s.CreatedAt)})
		if err != nil {
			return err
		}
		return d.tellHolder(ctx, q, s.Serial, notify.RevocationScheduled, ev.At, s.Reason, s.At)
	})
}

// UnscheduleRevocation implements ca.Records.
func (d *DB) UnscheduleRevocation(ctx context.Context, serial string, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		n, err := q.DropScheduledRevocation(ctx, serial)
		if err == nil && n == 0 {
			err = ca.ErrUnknown
		}
		if err != nil {
			return err
		}
		return d.tellHolder(ctx, q, serial, notify.RevocationCancelled, ev.At, 0, time.Time{})
	})
}

// ScheduledRevocations implements ca.Records.
func (d *DB) ScheduledRevocations(ctx context.Context, until time.Time, limit int) ([]ca.Scheduled, error) {
	rows, err := d.q.ScheduledRevocations(ctx, sqlc.ScheduledRevocationsParams{Until: micros(until), Lim: int64(limit)})
	if err != nil {
		return nil, err
	}
	out := make([]ca.Scheduled, len(rows))
	for k, r := range rows {
		out[k] = ca.Scheduled{Serial: r.Serial, At: instant(r.DueAt), Reason: int(r.Reason), Actor: string(r.Actor), CreatedAt: instant(r.CreatedAt)}
	}
	return out, nil
}

// RevokedBy implements ca.Records.
func (d *DB) RevokedBy(ctx context.Context, issuer string) ([]ca.Certificate, error) {
	rows, err := d.q.RevokedBy(ctx, issuer)
	if err != nil {
		return nil, err
	}
	out := make([]ca.Certificate, len(rows))
	for k, row := range rows {
		out[k], _ = certificate(row, nil) // it only fails for the error given
	}
	return out, nil
}

// Listed implements ca.Records.
func (d *DB) Listed(ctx context.Context, issuer string) ([]ca.Certificate, error) {
	rows, err := d.q.Listed(ctx, issuer)
	out := make([]ca.Certificate, len(rows))
	for k, r := range rows {
		out[k] = ca.Certificate{Serial: r.Serial, RevokedAt: instant(r.RevokedAt), Reason: int(r.Reason)}
	}
	return out, err
}

// LastChange implements ca.Records.
func (d *DB) LastChange(ctx context.Context, issuer string) (int64, error) {
	n, err := d.q.LastChange(ctx, issuer)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return n, err
}

// LatestCRL implements ca.Records.
func (d *DB) LatestCRL(ctx context.Context, issuer string) (ca.CRL, error) {
	c, err := d.q.LatestCRL(ctx, issuer)
	if err != nil {
		return ca.CRL{}, absent(err, ca.ErrUnknown)
	}
	return ca.CRL{Issuer: c.Issuer, Number: c.Number, DER: c.Der, ThisUpdate: instant(c.ThisUpdate), NextUpdate: instant(c.NextUpdate), Covers: c.Covers}, nil
}

// StoreCRL implements ca.Records.
func (d *DB) StoreCRL(ctx context.Context, c ca.CRL, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		last, err := q.LatestCRL(ctx, c.Issuer)
		if err == nil && last.Number >= c.Number {
			return fmt.Errorf("storing CRL %d of %s: number %d: %w", c.Number, c.Issuer, last.Number, ca.ErrExists)
		}
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err := q.DropCRLs(ctx, sqlc.DropCRLsParams{Issuer: c.Issuer, Before: c.Number - 1}); err != nil {
			return err
		}
		return q.StoreCRL(ctx, sqlc.StoreCRLParams{Issuer: c.Issuer, Number: c.Number, Der: c.DER, ThisUpdate: micros(c.ThisUpdate), NextUpdate: micros(c.NextUpdate), Covers: c.Covers})
	})
}

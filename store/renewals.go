package store

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/notify"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// Begin implements enrol.Enrolments.
func (d *DB) Begin(ctx context.Context, e enrol.Enrolment, ev audit.Event, steps ...enrol.Change) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		n, err := q.AddEnrolment(ctx, sqlc.AddEnrolmentParams{ID: e.ID, Ic: personal.IC(e.IC), System: e.System, Agency: e.Agency, Office: e.Office, Phase: e.Phase, Ticket: e.Ticket,
			State: string(e.State), Since: micros(e.Since), ListedBy: personal.Actor(e.ListedBy), ListedAt: micros(e.ListedAt), DueAt: micros(e.DueAt), Kind: string(e.Kind), Replaces: e.Replaces, Follows: e.Follows})
		if err != nil {
			return err
		}
		if n == 0 {
			return enrol.ErrExists
		}
		if e.Kind == enrol.First { // another system's: its medium is new
			if _, err := q.NewMedium(ctx, sqlc.NewMediumParams{Ic: personal.IC(e.IC), System: e.System, Medium: enrol.RoamingOTP, Status: mediumNew}); err != nil {
				return err
			}
		}
		for _, c := range steps {
			if _, err := d.move(ctx, q, &c); err != nil {
				return err
			}
		}
		return nil
	})
}

// Held implements enrol.Enrolments.
func (d *DB) Held(ctx context.Context, ic, system string) ([]enrol.Held, error) {
	rows, err := d.q.Held(ctx, sqlc.HeldParams{Ic: personal.IC(ic), System: system})
	if err != nil {
		return nil, err
	}
	out := make([]enrol.Held, len(rows))
	for k, r := range rows {
		out[k] = enrol.Held{Credential: r.ID, System: system, Algorithm: r.Algorithm, Serial: r.Serial, Issuer: r.Issuer, Status: r.Status, Subject: commonName(r.Der.V), NotAfter: instant(r.NotAfter), EndsAt: instant(r.EndsAt), RevocationDate: instant(r.RevokedAt)}
	}
	return out, nil
}

// supersede ends the credential that another takes the place of, and says which notice
// tells the officer.
func (d *DB) supersede(ctx context.Context, q *sqlc.Queries, c *enrol.Change) (notice string, err error) {
	old, err := q.Supersede(ctx, c.Supersede.Credential)
	if err != nil {
		return "", err
	}
	if len(old) != 1 {
		return "", enrol.ErrReplaced
	}
	if err := appendEvent(ctx, q, keyDestroyed(c.Event, c.Supersede.Credential, old[0].Version)); err != nil {
		return "", err
	}
	if err := q.MoveScheduledRevocation(ctx, sqlc.MoveScheduledRevocationParams{Serial: c.Credential.Serial, Was: old[0].Serial}); err != nil {
		return "", err
	}
	if !c.Supersede.Revoke {
		return notify.CertificateRenewed, nil
	}
	if err := endCertificate(ctx, q, old[0].Serial, c.At, ca.ReasonCode("superseded")); err != nil {
		return "", err
	}
	if err := q.MarkRevoked(ctx, c.Supersede.Credential); err != nil {
		return "", err
	}
	return notify.PINReplaced, q.SetPIN(ctx, sqlc.SetPINParams{Ic: personal.IC(c.Credential.IC)})
}

// revokeOrphan revokes the certificate of a credential that never came to be, if there is
// one: its key is gone.
func revokeOrphan(ctx context.Context, q *sqlc.Queries, credential string, at time.Time) error {
	cert, err := q.CertificateOf(ctx, credential)
	if errors.Is(err, sql.ErrNoRows) || err == nil && cert.Status != ca.Active {
		return nil
	}
	if err != nil {
		return err
	}
	return endCertificate(ctx, q, cert.Serial, at, ca.ReasonCode("cessationOfOperation"))
}

// DueReminder implements enrol.Enrolments.
func (d *DB) DueReminder(ctx context.Context, now time.Time) (enrol.Reminder, error) {
	r, err := d.q.DueReminder(ctx, micros(now))
	if err != nil {
		return enrol.Reminder{}, absent(err, enrol.ErrUnknown)
	}
	return enrol.Reminder{Credential: r.ID, IC: string(r.Ic), System: r.System, Status: r.Status, Serial: r.Serial, Due: instant(r.RemindAt), NotAfter: instant(r.NotAfter)}, nil
}

// Remind implements enrol.Enrolments.
func (d *DB) Remind(ctx context.Context, r enrol.Reminder, next time.Time, silent bool, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		n, err := q.SetReminder(ctx, sqlc.SetReminderParams{RemindAt: micros(next), ID: r.Credential, Was: micros(r.Due)})
		if err != nil {
			return err
		}
		if n == 0 {
			return enrol.ErrState
		}
		if silent {
			return nil
		}
		return addNotice(ctx, q, r.IC, notify.CertificateEnding, ev.At, map[string]string{"system": r.System, "serial": r.Serial, "until": r.NotAfter.UTC().Format(time.RFC3339), "days": ev.Detail["days"]})
	})
}

// tellHolder puts a notice about a certificate into the outbox. What has no credential (of
// an authority, a token) has nobody to tell.
func (d *DB) tellHolder(ctx context.Context, q *sqlc.Queries, serial, kind string, at time.Time, reason int, until time.Time) error {
	h, err := q.HolderOf(ctx, serial)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := tellStatus(ctx, q, h.ID, h.System, serial, kind, at); err != nil {
		return err
	}
	detail := map[string]string{"system": h.System, "serial": serial, "reason": strconv.Itoa(reason)}
	if !until.IsZero() {
		detail["until"] = until.UTC().Format(time.RFC3339)
	}
	if err := tellAPs(ctx, q, string(h.Ic), h.System, kind, at, detail); err != nil {
		return err
	}
	return addNotice(ctx, q, string(h.Ic), kind, at, detail)
}

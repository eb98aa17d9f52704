package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/notify"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/sqlc"
)

var (
	_ enrol.WebhookRecords = (*DB)(nil)
	_ notify.EventOutbox   = (*DB)(nil)
)

// tellEnd puts into the outbox, for the officer of a batch and for an app that wants to know, how a
// transaction has ended, with the change that ended it. Its batch waits from then on.
func tellEnd(ctx context.Context, q *sqlc.Queries, transaction string, at time.Time) error {
	if err := q.TouchBatchOf(ctx, sqlc.TouchBatchOfParams{Now: micros(at), TransactionID: transaction}); err != nil {
		return err
	}
	if err := tellOfficer(ctx, q, transaction, at); err != nil {
		return err
	}
	t, err := q.EndingToTell(ctx, transaction)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading transaction: %w", err)
	}
	kind, ok := map[signer.Status]string{
		signer.Signed: notify.TransactionSigned, signer.SignedWithRefusals: notify.TransactionSignedWithRefusals, signer.Failed: notify.TransactionFailed,
		signer.Expired: notify.TransactionExpired, signer.Cancelled: notify.TransactionCancelled, signer.NeedsAuthorisation: notify.TransactionNeedsAuthorisation,
	}[signer.Status(t.Status)]
	if !ok {
		return fmt.Errorf("telling how %s ended: it is %s", transaction, t.Status)
	}
	n, err := q.OutcomesOf(ctx, sqlc.OutcomesOfParams{BatchID: t.BatchID, TransactionID: transaction})
	if err != nil {
		return fmt.Errorf("counting documents: %w", err)
	}
	o := notify.Outcome{Transaction: transaction, Status: t.Status, System: t.System, Count: t.Count, Signed: n.Signed, Refused: n.Refused, CreatedAt: instant(t.CreatedAt)}
	if t.Implicit == 0 {
		o.Batch = t.BatchID
	}
	if t.FinishedAt != 0 {
		end := instant(t.FinishedAt)
		o.FinishedAt = &end
	}
	return addEvent(ctx, q, t.AppID, ident.New("ev", 16), kind, transaction, at, o)
}

// tellStatus puts into the outbox what a certificate has become, for each app that
// serves its system.
func tellStatus(ctx context.Context, q *sqlc.Queries, credential, system, serial, kind string, at time.Time) error {
	status, ok := map[string]string{notify.CertificateRevoked: ca.Revoked, notify.CertificateSuspended: ca.Suspended, notify.CertificateReleased: ca.Active}[kind]
	if !ok {
		return nil
	}
	apps, err := q.AppsToTell(ctx)
	if err != nil {
		return fmt.Errorf("reading apps: %w", err)
	}
	for _, a := range apps {
		var systems []string
		if err := json.Unmarshal([]byte(a.Systems), &systems); err != nil {
			return fmt.Errorf("reading the systems of app %s: %w", a.ID, err)
		}
		if !slices.Contains(systems, system) {
			continue
		}
		err := addEvent(ctx, q, a.ID, ident.New("ev", 16), kind, credential, at, notify.CertificateState{Credential: credential, System: system, Serial: serial, Status: status})
		if err != nil {
			return err
		}
	}
	return nil
}

func addEvent(ctx context.Context, q *sqlc.Queries, app, id, kind, object string, at time.Time, data any) error {
	raw, err := json.Marshal(data)
	if err == nil {
		err = q.AddEventToTell(ctx, sqlc.AddEventToTellParams{ID: id, AppID: app, Type: kind, Object: object, Data: string(raw), CreatedAt: micros(at), DueAt: micros(at)})
	}
	if err != nil {
		return fmt.Errorf("storing event: %w", err)
	}
	return nil
}

// ExpireOverdue ends transactions that nobody confirmed in time, some hundred at most, so
// that apps are told even if nobody asks; more says that there may be more.
func (d *DB) ExpireOverdue(ctx context.Context, now time.Time) (n int, more bool, err error) {
	const limit = 200
	err = d.tx(ctx, func(q *sqlc.Queries) error {
		ids, err := q.OverdueTransactions(ctx, sqlc.OverdueTransactionsParams{Now: micros(now), Lim: limit})
		if err != nil {
			return err
		}
		n, more = len(ids), len(ids) == limit
		if n == 0 {
			return errNothing
		}
		return expired(ctx, q, ids, now)
	})
	if errors.Is(err, errNothing) {
		err = nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("expiring transactions: %w", err)
	}
	return n, more, nil
}

// expired tells that transactions have expired.
func expired(ctx context.Context, q *sqlc.Queries, ids []string, now time.Time) error {
	for _, id := range ids {
		if err := appendEvent(ctx, q, audit.Event{At: now, Actor: "gateway", Action: "transaction.expire", Object: id, Verdict: audit.Noted}); err != nil {
			return err
		}
		if err := tellEnd(ctx, q, id, now); err != nil {
			return err
		}
	}
	return nil
}

// Webhook implements enrol.WebhookRecords.
func (d *DB) Webhook(ctx context.Context, app string) (enrol.Webhook, error) {
	w, err := d.q.Webhook(ctx, app)
	if err != nil {
		return enrol.Webhook{}, absent(err, enrol.ErrUnknown)
	}
	now, err := d.now(ctx)
	h := enrol.Webhook{URL: w.Webhook, SetAt: instant(w.SetAt)}
	if len(w.OldGeneration) > 0 && micros(now) < w.OldUntil {
		until := instant(w.OldUntil)
		h.OldUntil = &until
	}
	return h, err
}

// SetWebhook implements enrol.WebhookRecords.
func (d *DB) SetWebhook(ctx context.Context, app, address string, generation []byte, oldUntil time.Time, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		n, err := q.SetWebhookAddress(ctx, sqlc.SetWebhookAddressParams{Webhook: address, ID: app})
		if err != nil {
			return err
		}
		if n == 0 {
			return enrol.ErrUnknown
		}
		return q.SetWebhook(ctx, sqlc.SetWebhookParams{AppID: app, Generation: generation, SetAt: micros(ev.At), Nothing: []byte{}, OldUntil: micros(oldUntil)})
	})
}

// DropWebhook implements enrol.WebhookRecords.
func (d *DB) DropWebhook(ctx context.Context, app string, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		n, err := q.DropWebhook(ctx, app)
		if err != nil {
			return err
		}
		if n == 0 {
			return enrol.ErrUnknown
		}
		if _, err := q.SetWebhookAddress(ctx, sqlc.SetWebhookAddressParams{ID: app}); err != nil {
			return err
		}
		return q.DropEvents(ctx, app)
	})
}

// AddEvent implements enrol.WebhookRecords.
func (d *DB) AddEvent(ctx context.Context, app, id, kind string, data json.RawMessage, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		if _, err := q.Webhook(ctx, app); err != nil {
			return absent(err, enrol.ErrUnknown)
		}
		return addEvent(ctx, q, app, id, kind, id, ev.At, data)
	})
}

// Redeliver implements enrol.WebhookRecords.
func (d *DB) Redeliver(ctx context.Context, app, event string, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		if _, err := q.Webhook(ctx, app); err != nil {
			return absent(err, enrol.ErrUnknown)
		}
		n, err := q.Redeliver(ctx, sqlc.RedeliverParams{Now: micros(ev.At), ID: event, AppID: app})
		if err == nil && n == 0 {
			err = enrol.ErrUnknown
		}
		return err
	})
}

// Deliveries implements enrol.WebhookRecords.
func (d *DB) Deliveries(ctx context.Context, app, state, after string, limit int) ([]enrol.Delivery, error) {
	rows, err := d.q.Deliveries(ctx, sqlc.DeliveriesParams{AppID: app, State: state, After: after, Lim: int64(limit)})
	if err != nil {
		return nil, fmt.Errorf("reading events: %w", err)
	}
	out := make([]enrol.Delivery, len(rows))
	for k, r := range rows {
		out[k] = enrol.Delivery{ID: r.ID, Type: r.Type, Object: r.Object, CreatedAt: instant(r.CreatedAt), State: r.State, Tries: int(r.Tries), Status: int(r.Status), Why: r.Why}
		if r.TriedAt != 0 {
			at := instant(r.TriedAt)
			out[k].TriedAt = &at
		}
		if r.State == enrol.EventPending {
			at := instant(r.DueAt)
			out[k].NextAt = &at
		}
	}
	return out, nil
}

// Receivers implements notify.EventOutbox.
func (d *DB) Receivers(ctx context.Context, limit int) ([]string, error) {
	now, err := d.now(ctx)
	if err != nil {
		return nil, err
	}
	return d.q.Receivers(ctx, sqlc.ReceiversParams{Now: micros(now), Lim: int64(limit)})
}

// ClaimEvent implements notify.EventOutbox.
func (d *DB) ClaimEvent(ctx context.Context, app string, lease time.Duration) (e notify.Event, ok bool, err error) {
	now, err := d.now(ctx)
	if err != nil {
		return e, false, err
	}
	err = d.tx(ctx, func(q *sqlc.Queries) error {
		w, err := q.Webhook(ctx, app)
		if errors.Is(err, sql.ErrNoRows) {
			return errNothing // it was removed meanwhile
		}
		if err != nil {
			return err
		}
		r, err := q.ClaimEvent(ctx, sqlc.ClaimEventParams{LeaseUntil: micros(now.Add(lease)), AppID: app, Now: micros(now)})
		if errors.Is(err, sql.ErrNoRows) {
			return errNothing // another node was faster, or one before it is not delivered
		}
		if err != nil {
			return err
		}
		ok, e = true, notify.Event{ID: r.ID, Type: r.Type, App: app, At: instant(r.CreatedAt), Data: json.RawMessage(r.Data), URL: w.Webhook, Keys: [][]byte{w.Generation},
			Tries: int(r.Tries), Fence: r.Claims}
		if len(w.OldGeneration) > 0 && micros(now) < w.OldUntil {
			e.Keys = append(e.Keys, w.OldGeneration)
		}
		return nil
	})
	if errors.Is(err, errNothing) {
		return e, false, nil
	}
	if err != nil {
		return notify.Event{}, false, fmt.Errorf("claiming event: %w", err)
	}
	return e, ok, nil
}

// SettleEvent implements notify.EventOutbox.
func (d *DB) SettleEvent(ctx context.Context, e notify.Event, t notify.Try, ev audit.Event) error {
	now, err := d.now(ctx)
	if err != nil {
		return err
	}
	err = d.tx(ctx, func(q *sqlc.Queries) error {
		n, err := q.SettleEvent(ctx, sqlc.SettleEventParams{State: t.State, DueAt: micros(now.Add(t.After)), Status: int64(t.Status), Why: t.Why, TriedAt: micros(now), ID: e.ID, Claims: e.Fence})
		if err != nil || n == 0 || t.State != enrol.EventDead {
			return err
		}
		return appendEvent(ctx, q, ev)
	})
	if err != nil {
		return fmt.Errorf("storing what came of an event: %w", err)
	}
	return nil
}

// Backlog is how many events are to be delivered, how many could not be, and since when
// the oldest waits (zero: none does).
func (d *DB) Backlog(ctx context.Context) (pending, dead int64, oldest time.Time, err error) {
	b, err := d.q.EventBacklog(ctx)
	return b.Pending, b.Dead, instant(b.Oldest), err
}

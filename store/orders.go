package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/notify"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// PutOrder implements enrol.Enrolments.
func (d *DB) PutOrder(ctx context.Context, o enrol.Order, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error { return putOrder(ctx, q, &o, ev) })
}

func putOrder(ctx context.Context, q *sqlc.Queries, o *enrol.Order, ev audit.Event) error {
	for _, serial := range o.Serials {
		err := q.AddOrder(ctx, sqlc.AddOrderParams{ID: ident.New("or", 16), Serial: serial, Action: ev.Action, Reason: int64(o.Reason), Why: personal.Note(o.Why), Actor: personal.Actor(ev.Actor), At: micros(ev.At), DueAt: micros(o.At)})
		if err != nil {
			return err
		}
	}
	return nil
}

// Central implements enrol.Enrolments.
func (d *DB) Central(ctx context.Context, ic, serial string, undo enrol.Action) (bool, error) {
	rows, err := d.q.OrderEvents(ctx, sqlc.OrderEventsParams{Officer: personal.Object("officer:" + ic), Certificate: personal.Object("certificate:" + serial)})
	if err != nil {
		return false, err
	}
	for _, row := range rows {
		ev, err := record(row)
		if err == nil && !ev.Intact() {
			err = &audit.BrokenError{Seq: row.Seq, What: "the hash is not that of the event"}
		}
		if err != nil {
			return false, err
		}
		suspends := ev.Action == string(enrol.Suspension)
		switch about := ev.Object == "certificate:"+serial || slices.Contains(strings.Fields(ev.Detail["serials"]), serial); {
		case !about:
		case ev.Action == string(undo):
			return false, nil // what was ordered before is taken back
		case ev.Action == string(enrol.Releasing) || ev.Action == string(enrol.Unscheduling) || suspends != (undo == enrol.Releasing):
		case ev.Detail["by"] == string(enrol.JDN) || ev.Detail["by"] == "machine":
			return true, nil
		}
	}
	return false, nil
}

// Upcoming implements enrol.Enrolments.
func (d *DB) Upcoming(ctx context.Context, f enrol.ScheduledFilter) ([]enrol.ScheduledRevocation, error) {
	rows, err := d.q.Leaving(ctx, sqlc.LeavingParams{Serial: f.Serial, System: f.System, Agency: f.Agency, AfterDue: micros(f.AfterAt), After: f.AfterSerial, Lim: int64(f.Limit)})
	out := make([]enrol.ScheduledRevocation, len(rows))
	for k, r := range rows {
		out[k] = enrol.ScheduledRevocation{Serial: r.Serial, IC: string(r.Ic), Name: string(r.Name), System: r.System, Agency: r.Agency, At: instant(r.DueAt), Reason: int(r.Reason), By: string(r.Actor), Since: instant(r.CreatedAt), Why: string(r.Why)}
	}
	return out, err
}

// Steps implements enrol.Enrolments.
func (d *DB) Steps(ctx context.Context, id string) ([]audit.Event, error) {
	rows, err := d.q.Steps(ctx, personal.Object(id))
	if err != nil {
		return nil, err
	}
	out := make([]audit.Event, 0, len(rows))
	for _, row := range rows {
		r, err := record(row)
		if err != nil {
			return nil, err
		}
		out = append(out, r.Event)
	}
	return out, nil
}

// closeKey ends what was open under a key that was destroyed for good: transactions that
// wait for it, and when an officer who is no administrator has no other, the sessions.
func closeKey(ctx context.Context, q *sqlc.Queries, ic, credential string, ev audit.Event) error {
	ended, err := q.WaitingOf(ctx, sqlc.WaitingOfParams{Now: micros(ev.At), Ended: signer.ErrCertificateRevoked.Error(), CredentialID: credential})
	if err != nil {
		return err
	}
	for _, id := range ended {
		e := audit.Event{At: ev.At, Actor: ev.Actor, Action: "sign.cancel", Object: id, Verdict: audit.Accepted, RequestID: ev.RequestID,
			Detail: map[string]string{"because": ev.Action, "credential": credential, "status": string(signer.Cancelled)}}
		if err := errors.Join(appendEvent(ctx, q, e), tellEnd(ctx, q, id, ev.At)); err != nil {
			return err
		}
	}
	accounts, err := q.OfficerWithoutKey(ctx, orNull(ic))
	if err != nil {
		return err
	}
	for _, id := range accounts {
		n, err := q.CloseSessions(ctx, sqlc.CloseSessionsParams{AccountID: id})
		if err != nil || n == 0 {
			return err
		}
		e := audit.Event{At: ev.At, Actor: ev.Actor, Action: "session.close", Object: "account:" + id, Verdict: audit.Accepted, RequestID: ev.RequestID,
			Detail: map[string]string{"because": ev.Action, "closed": fmt.Sprint(n)}}
		if err := appendEvent(ctx, q, e); err != nil {
			return err
		}
	}
	return nil
}

// tellAPs puts what became of an officer's certificate into the outbox, for the AP of its
// agency.
func tellAPs(ctx context.Context, q *sqlc.Queries, ic, system, kind string, at time.Time, detail map[string]string) error {
	to, err := q.APsOf(ctx, sqlc.APsOfParams{Now: micros(at), Ic: personal.IC(ic), System: system})
	if err != nil || len(to) == 0 {
		return err
	}
	o, err := q.Officer(ctx, personal.IC(ic))
	if err != nil {
		return err
	}
	told := map[string]string{"what": kind, "officer": string(o.Name)}
	for k, v := range detail {
		told[k] = v
	}
	raw, err := json.Marshal(told)
	if err != nil {
		return fmt.Errorf("encoding notice: %w", err)
	}
	for _, ap := range to {
		err := q.AddAlarm(ctx, sqlc.AddAlarmParams{ID: ident.New("no", 16), Name: ap.Name, Email: ap.Email, Kind: notify.OfficerCertificate, Detail: personal.Note(string(raw)), CreatedAt: micros(at), DueAt: micros(at)})
		if err != nil {
			return fmt.Errorf("storing notice: %w", err)
		}
	}
	return nil
}

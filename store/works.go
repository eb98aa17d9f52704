package store

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

var (
	_ enrol.WorkRecords = (*DB)(nil)
	_ batch.Looks       = (*DB)(nil)
)

// BatchesFor implements batch.Register.
func (d *DB) BatchesFor(ctx context.Context, f batch.Filter) ([]batch.Batch, error) {
	at, id := newestAs(f.Before)
	var ids []string
	var err error
	if f.Apps == nil {
		ids, err = d.q.AllBatches(ctx, sqlc.AllBatchesParams{At: at, ID: id, Status: string(f.Status), App: f.App, Lim: int64(f.Limit)})
	} else {
		ids, err = d.q.BatchesOfApps(ctx, sqlc.BatchesOfAppsParams{At: at, ID: id, Status: string(f.Status), Apps: f.Apps})
	}
	if err != nil {
		return nil, fmt.Errorf("listing batches: %w", err)
	}
	out := []batch.Batch{}
	for _, id := range ids[:min(len(ids), f.Limit)] {
		b, err := d.Batch(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("reading batch: %w", err)
		}
		out = append(out, b)
	}
	return out, nil
}

// Signatory implements batch.Register.
func (d *DB) Signatory(ctx context.Context, id string) (batch.Signatory, error) {
	r, err := d.q.SignatoryOf(ctx, id)
	if err != nil {
		return batch.Signatory{}, absent(err, batch.ErrUnknown)
	}
	return batch.Signatory{Transaction: r.ID, IC: string(r.Ic), Name: string(r.Name), System: r.System, Status: signer.Status(r.Status)}, nil
}

// CurrentLook implements batch.Looks.
func (d *DB) CurrentLook(ctx context.Context) (int64, error) {
	n, err := d.q.CurrentLook(ctx)
	if err != nil {
		return 0, fmt.Errorf("reading the version of templates: %w", err)
	}
	return n, nil
}

// LookOf implements batch.Looks.
func (d *DB) LookOf(ctx context.Context, number int64) ([]byte, error) {
	r, err := d.q.Look(ctx, number)
	if err != nil {
		return nil, absent(err, batch.ErrUnknown)
	}
	return []byte(r.Changes), nil
}

// Looks implements enrol.WorkRecords.
func (d *DB) Looks(ctx context.Context, limit int) ([]enrol.Look, error) {
	rows, err := d.q.Looks(ctx, int64(limit))
	if err != nil {
		return nil, fmt.Errorf("reading versions of templates: %w", err)
	}
	out := make([]enrol.Look, len(rows))
	for k, r := range rows {
		out[k] = enrol.Look{Number: r.Number, Base: r.Base, Template: r.Template, State: r.State, Reason: string(r.Reason), By: string(r.ProposedBy), At: instant(r.ProposedAt), Decider: string(r.DecidedBy), Decided: instant(r.DecidedAt)}
	}
	return out, nil
}

// Look implements enrol.WorkRecords.
func (d *DB) Look(ctx context.Context, number int64) (enrol.Look, error) {
	r, err := d.q.Look(ctx, number)
	if err != nil {
		return enrol.Look{}, absent(err, enrol.ErrUnknown)
	}
	return enrol.Look{Number: r.Number, Base: r.Base, Template: r.Template, Changes: []byte(r.Changes), State: r.State, Reason: string(r.Reason), By: string(r.ProposedBy), At: instant(r.ProposedAt),
		Decider: string(r.DecidedBy), Decided: instant(r.DecidedAt)}, nil
}

// AddLook implements enrol.WorkRecords.
func (d *DB) AddLook(ctx context.Context, l enrol.Look, ev audit.Event) (number int64, err error) {
	err = d.tx(ctx, func(q *sqlc.Queries) error {
		if n, err := q.ProposedLook(ctx); err != nil || n > 0 {
			return cmpErr(err, enrol.ErrExists)
		}
		if n, err := q.CurrentLook(ctx); err != nil || n != l.Base {
			return cmpErr(err, enrol.ErrState)
		}
		last, err := q.LastLook(ctx)
		if err != nil {
			return err
		}
		number = last + 1
		err = q.AddLook(ctx, sqlc.AddLookParams{Number: number, Base: l.Base, Template: l.Template, Changes: string(l.Changes), Reason: personal.Note(l.Reason), ProposedBy: personal.Actor(l.By), ProposedAt: micros(l.At)})
		if err != nil {
			return fmt.Errorf("storing a version of the templates: %w", err)
		}
		ev.Detail["version"] = fmt.Sprint(number)
		return appendEvent(ctx, q, ev)
	})
	return number, err
}

// cmpErr is err, or what is wrong without one.
func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// DecideLook implements enrol.WorkRecords.
func (d *DB) DecideLook(ctx context.Context, l enrol.Look, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		if l.State == enrol.LookCurrent {
			if n, err := q.CurrentLook(ctx); err != nil || n != l.Base {
				return cmpErr(err, enrol.ErrState)
			}
			if err := q.RetireLook(ctx); err != nil {
				return err
			}
		}
		n, err := q.DecideLook(ctx, sqlc.DecideLookParams{State: l.State, DecidedBy: personal.Actor(l.Decider), DecidedAt: micros(l.Decided), Number: l.Number})
		if err == nil && n != 1 {
			err = enrol.ErrState
		}
		return err
	})
}

func letter(r sqlc.LettersRow) enrol.Notice {
	l := enrol.Notice{ID: r.ID, IC: string(r.Ic), Name: string(r.Name), Email: string(r.Email), Kind: r.Kind, State: enrol.LetterWaiting, Reply: r.Reply, Attempts: int(r.Attempts),
		At: instant(r.CreatedAt), FailedAt: instant(r.FailedAt)}
	switch {
	case r.FailedAt > 0:
		l.State = enrol.LetterFailed
		return l
	case r.Attempts > 0:
		l.State = enrol.LetterDeferred
	}
	l.DueAt = instant(r.DueAt)
	return l
}

// Letters implements enrol.WorkRecords.
func (d *DB) Letters(ctx context.Context, f enrol.LetterQuery) ([]enrol.Notice, error) {
	at := int64(math.MaxInt64)
	if !f.BeforeAt.IsZero() {
		at = micros(f.BeforeAt)
	}
	rows, err := d.q.Letters(ctx, sqlc.LettersParams{At: at, ID: f.BeforeID, State: f.State, Kind: f.Kind, Lim: int64(f.Limit)})
	if err != nil {
		return nil, fmt.Errorf("reading notices: %w", err)
	}
	out := make([]enrol.Notice, len(rows))
	for k, r := range rows {
		out[k] = letter(r)
	}
	return out, nil
}

// LettersByKind implements enrol.WorkRecords.
func (d *DB) LettersByKind(ctx context.Context) ([]enrol.LetterCount, error) {
	rows, err := d.q.LettersByKind(ctx)
	if err != nil {
		return nil, fmt.Errorf("counting notices: %w", err)
	}
	out := make([]enrol.LetterCount, len(rows))
	for k, r := range rows {
		out[k] = enrol.LetterCount{Kind: r.Kind, Waiting: r.Waiting, Deferred: r.PutOff, Failed: r.Failed, Oldest: instant(r.Oldest)}
	}
	return out, nil
}

// Letter implements enrol.WorkRecords.
func (d *DB) Letter(ctx context.Context, id string) (enrol.Notice, error) {
	r, err := d.q.Letter(ctx, id)
	if err != nil {
		return enrol.Notice{}, absent(err, enrol.ErrUnknown)
	}
	return letter(sqlc.LettersRow(r)), nil
}

// RetryLetter implements enrol.WorkRecords.
func (d *DB) RetryLetter(ctx context.Context, l enrol.Notice, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		n, err := q.RetryLetter(ctx, sqlc.RetryLetterParams{DueAt: micros(ev.At), ID: l.ID, Attempts: int64(l.Attempts)})
		if err == nil && n != 1 {
			err = enrol.ErrState
		}
		return err
	})
}

// DropLetter implements enrol.WorkRecords.
func (d *DB) DropLetter(ctx context.Context, l enrol.Notice, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		n, err := q.DropLetter(ctx, sqlc.DropLetterParams{ID: l.ID, Attempts: int64(l.Attempts)})
		if err == nil && n != 1 {
			err = enrol.ErrState
		}
		return err
	})
}

// UndeliveredCodes returns the newest codes since a time that did not reach the officer's mail
// server, or came back from it.
func (d *DB) UndeliveredCodes(ctx context.Context, since time.Time, limit int) ([]otp.Send, error) {
	rows, err := d.q.UndeliveredCodes(ctx, sqlc.UndeliveredCodesParams{Since: micros(since), Lim: int64(limit)})
	if err != nil {
		return nil, fmt.Errorf("reading codes that were not delivered: %w", err)
	}
	out := make([]otp.Send, len(rows))
	for k, r := range rows {
		out[k] = send(sqlc.SendsOfRow(r))
	}
	return out, nil
}

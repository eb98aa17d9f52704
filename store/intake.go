package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

const (
	// intakeLease is how long an upload that stores nothing more is taken to be alive. Each page
	// extends it, and a page takes seconds.
	intakeLease = 2 * time.Minute
	// intakeDrop is how many rows of an upload that failed one transaction takes away.
	intakeDrop = 2000
	// numbersAtOnce are looked for by one query.
	numbersAtOnce = 100
)

// AddItems implements batch.Queue.
func (d *DB) AddItems(ctx context.Context, id string, items []batch.Item, refused []batch.Refusal, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		b, err := q.Batch(ctx, id)
		if err != nil {
			return absent(err, batch.ErrUnknown)
		}
		p := batch.Page{Items: items, Refused: refused, FirstRow: uint32(b.RefusedRows)}
		first := b.NextIndex
		if len(items) > 0 {
			first = int64(items[0].Index)
		}
		if err := grow(ctx, q, id, "", first, len(items), len(refused), ev.At); err != nil {
			return err
		}
		now, err := d.now(ctx)
		if err != nil {
			return err
		}
		return insertPage(ctx, q, id, &p, now)
	})
}

// grow makes what was stored behind a batch's end the batch's.
func grow(ctx context.Context, q *sqlc.Queries, id, upload string, first int64, items, refused int, at time.Time) error {
	n, err := q.GrowBatch(ctx, sqlc.GrowBatchParams{Added: int64(items), Refused: int64(refused), Now: micros(at), ID: id, Intake: upload, Expected: first})
	if err != nil || n == 1 {
		return err
	}
	b, err := q.Batch(ctx, id)
	if err != nil {
		return absent(err, batch.ErrUnknown)
	}
	return lost(&b)
}

// lost says why an upload cannot go on.
func lost(b *sqlc.BatchRow) error {
	if batch.Status(b.Status) == batch.Open {
		return batch.ErrIntake
	}
	return batch.ErrSealed
}

// insertPage stores rows, whether they are seen already or not.
func insertPage(ctx context.Context, q *sqlc.Queries, id string, p *batch.Page, now time.Time) error {
	var numbers []*personal.Number
	for k := range p.Items {
		it := &p.Items[k]
		row := itemParams(id, &it.Document)
		if r := it.Record; r != nil {
			text, err := r.MarshalText()
			if err != nil {
				return fmt.Errorf("encoding certificate record: %w", err)
			}
			number, record := personal.Number(r.Candidate.Number), personal.Note(text)
			row.RecordID = sql.NullString{String: r.ID, Valid: true}
			row.Number, row.Record, row.SealedRecord = &number, &record, r.Sealed
			numbers = append(numbers, &number)
		}
		if err := q.AddItem(ctx, row); err != nil {
			return fmt.Errorf("adding item %d: %w", it.Index, err)
		}
		if it.Amount == "" && it.Payee == "" {
			continue
		}
		if err := q.AddPayment(ctx, sqlc.AddPaymentParams{BatchID: id, Idx: int64(it.Index), Amount: personal.Note(it.Amount), Payee: personal.Name(it.Payee)}); err != nil {
			return fmt.Errorf("adding payment %d: %w", it.Index, err)
		}
	}
	for k, r := range p.Refused {
		if err := q.AddRefusedRow(ctx, sqlc.AddRefusedRowParams{BatchID: id, Seq: int64(p.FirstRow) + int64(k), Row: int64(r.Row), Col: r.Column, Name: personal.Name(r.Name), Code: r.Code, Detail: personal.Note(r.Detail)}); err != nil {
			return err
		}
	}
	// They were looked for before; another upload may have been as quick.
	twice, err := elsewhere(ctx, q, id, numbers, now)
	if err == nil && len(twice) > 0 {
		err = batch.ErrIntake
	}
	return err
}

// elsewhere finds numbers in other batches, and in uploads to them that live at now.
func elsewhere(ctx context.Context, q *sqlc.Queries, id string, numbers []*personal.Number, now time.Time) ([]sqlc.NumbersElsewhereRow, error) {
	var out []sqlc.NumbersElsewhereRow
	for from := 0; from < len(numbers); from += numbersAtOnce {
		some := make([]*personal.Number, numbersAtOnce) // always as many: one text of the query
		for k := range some {
			some[k] = numbers[min(from+k, len(numbers)-1)]
		}
		rows, err := q.NumbersElsewhere(ctx, sqlc.NumbersElsewhereParams{BatchID: id, Now: micros(now), Numbers: some})
		if err != nil {
			return nil, fmt.Errorf("looking for certificate numbers: %w", err)
		}
		out = append(out, rows...)
	}
	return out, nil
}

// Elsewhere implements batch.Queue.
func (d *DB) Elsewhere(ctx context.Context, id string, numbers []string) (map[string]batch.Elsewhere, error) {
	keys := make([]*personal.Number, len(numbers))
	for k := range numbers {
		n := personal.Number(numbers[k])
		keys[k] = &n
	}
	rows, err := elsewhere(ctx, d.q, id, keys, time.UnixMicro(1<<62))
	out := make(map[string]batch.Elsewhere, len(rows))
	for _, r := range rows {
		out[plain(r.Number)] = batch.Elsewhere{App: r.AppID, Batch: string(r.Name), At: instant(r.CreatedAt)}
	}
	return out, err
}

// ClaimIntake implements batch.Queue.
func (d *DB) ClaimIntake(ctx context.Context, id, upload string) error {
	err := d.dated(ctx, func(q *sqlc.Queries, now time.Time) error {
		n, err := q.ClaimIntake(ctx, sqlc.ClaimIntakeParams{Intake: upload, Until: micros(now.Add(intakeLease)), ID: id, Now: micros(now)})
		if err != nil || n == 1 {
			return err
		}
		b, err := q.Batch(ctx, id)
		if err == nil && batch.Status(b.Status) == batch.Open {
			return batch.ErrIntake
		}
		return absent(errors.Join(err, batch.ErrSealed), batch.ErrUnknown)
	})
	if err != nil {
		return err
	}
	// What an upload that died has left.
	return d.dropStaged(ctx, id, upload)
}

// InheritIntake implements batch.Queue.
func (d *DB) InheritIntake(ctx context.Context, id, dead, upload string) error {
	return d.dated(ctx, func(q *sqlc.Queries, now time.Time) error {
		n, err := q.InheritIntake(ctx, sqlc.InheritIntakeParams{Intake: upload, Until: micros(now.Add(intakeLease)), ID: id, Dead: dead, Now: micros(now)})
		if err == nil && n != 1 {
			err = batch.ErrIntake
		}
		return err
	})
}

// Stage implements batch.Queue.
func (d *DB) Stage(ctx context.Context, id, upload string, p batch.Page) error {
	return d.dated(ctx, func(q *sqlc.Queries, now time.Time) error {
		n, err := q.ExtendIntake(ctx, sqlc.ExtendIntakeParams{Until: micros(now.Add(intakeLease)), Now: micros(now), ID: id, Intake: upload})
		if err != nil {
			return err
		}
		if n != 1 {
			b, err := q.Batch(ctx, id)
			if err != nil {
				return absent(err, batch.ErrUnknown)
			}
			return lost(&b)
		}
		return insertPage(ctx, q, id, &p, now)
	})
}

// CommitIntake implements batch.Queue.
func (d *DB) CommitIntake(ctx context.Context, id, upload string, first uint32, items, refused int, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		if err := grow(ctx, q, id, upload, int64(first), items, refused, ev.At); err != nil {
			return err
		}
		return q.ReleaseIntake(ctx, sqlc.ReleaseIntakeParams{ID: id, Intake: upload})
	})
}

// DropIntake implements batch.Queue.
func (d *DB) DropIntake(ctx context.Context, id, upload string) error {
	if err := d.dropStaged(ctx, id, upload); err != nil {
		return err
	}
	return d.tx(ctx, func(q *sqlc.Queries) error {
		return q.ReleaseIntake(ctx, sqlc.ReleaseIntakeParams{ID: id, Intake: upload})
	})
}

// dropStaged takes away what lies behind the end of a batch, while upload holds it.
func (d *DB) dropStaged(ctx context.Context, id, upload string) error {
	for more := true; more; {
		err := d.tx(ctx, func(q *sqlc.Queries) error {
			more = false
			b, err := q.Batch(ctx, id)
			if err != nil || b.Intake != upload {
				return absent(err, batch.ErrUnknown)
			}
			items, err := q.DropStagedItems(ctx, sqlc.DropStagedItemsParams{BatchID: id, Lim: intakeDrop})
			if err != nil {
				return err
			}
			payments, err := q.DropStagedPayments(ctx, sqlc.DropStagedPaymentsParams{BatchID: id, Lim: intakeDrop})
			if err != nil {
				return err
			}
			rows, err := q.DropStagedRows(ctx, sqlc.DropStagedRowsParams{BatchID: id, Lim: intakeDrop})
			more = max(items, payments, rows) == intakeDrop
			return err
		})
		if err != nil {
			return fmt.Errorf("removing what a failed upload has left: %w", err)
		}
	}
	return nil
}

// LapsedIntakes implements batch.Queue.
func (d *DB) LapsedIntakes(ctx context.Context) (map[string]string, error) {
	now, err := d.now(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := d.q.LapsedIntakes(ctx, micros(now))
	out := make(map[string]string, len(rows))
	for _, r := range rows {
		out[r.ID] = r.Intake
	}
	return out, err
}

// LeaveIntakes ends the leases of uploads that a crash interrupted; as LeaveReplies, only of a
// database that is this gateway's alone.
func (d *DB) LeaveIntakes(ctx context.Context) error {
	if d.postgres {
		return nil
	}
	return d.tx(ctx, func(q *sqlc.Queries) error { return q.LeaveIntakes(ctx) })
}

// RefusedRows implements batch.Queue.
func (d *DB) RefusedRows(ctx context.Context, id string, after int64, limit int) ([]batch.Refusal, error) {
	rows, err := d.q.RefusedRowsAfter(ctx, sqlc.RefusedRowsAfterParams{BatchID: id, After: after, Lim: int64(limit)})
	out := make([]batch.Refusal, len(rows))
	for k, r := range rows {
		out[k] = batch.Refusal{Row: int(r.Row), Column: r.Col, Name: string(r.Name), Code: r.Code, Detail: string(r.Detail)}
	}
	return out, err
}

// Payments implements signer.Records and batch.Queue.
func (d *DB) Payments(ctx context.Context, id string) iter.Seq2[signer.Payment, error] {
	const page = 500
	return func(yield func(signer.Payment, error) bool) {
		if n, err := d.q.HasPayments(d.short(ctx), id); err != nil || n == 0 {
			if err != nil {
				yield(signer.Payment{}, fmt.Errorf("reading payments: %w", err))
			}
			return
		}
		for after := int64(-1); ; {
			rows, err := d.q.PaymentsAfter(d.short(ctx), sqlc.PaymentsAfterParams{BatchID: id, After: after, Lim: page})
			if err != nil {
				yield(signer.Payment{}, fmt.Errorf("reading payments: %w", tampered(err)))
				return
			}
			for _, x := range rows {
				if !yield(signer.Payment{Amount: x.Amount, Payee: x.Payee}, nil) {
					return
				}
				after = x.Idx
			}
			if len(rows) < page {
				return
			}
		}
	}
}

package store

import (
	"context"
	"crypto"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// refusal is what is kept of the reason a document was not signed.
func refusal(err error) (code, detail string) {
	var bad *pdf.Error
	if errors.As(err, &bad) {
		return bad.Code, bad.Detail
	}
	return "internal_error", ""
}

// CreateBatch implements batch.Queue.
func (d *DB) CreateBatch(ctx context.Context, b batch.Batch, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		return q.AddBatch(ctx, sqlc.AddBatchParams{ID: b.ID, AppID: b.App, Name: personal.Name(b.Name), Kind: b.Kind, Status: string(b.Status), Root: []byte{}, CreatedAt: micros(b.CreatedAt), Look: b.Look, LookSum: b.LookSum})
	})
}

// Batch implements batch.Queue. Batches made for a single transaction are found
// too: the caller of the API never learns their ids.
func (d *DB) Batch(ctx context.Context, id string) (batch.Batch, error) {
	row, err := d.q.Batch(ctx, id)
	if err != nil {
		return batch.Batch{}, absent(err, batch.ErrUnknown)
	}
	b := batch.Batch{ID: row.ID, App: row.AppID, Name: string(row.Name), Kind: row.Kind, Status: batch.Status(row.Status), Next: uint32(row.NextIndex),
		Intake: row.Intake, Look: row.Look, LookSum: row.LookSum, Count: uint32(row.Count), RefusedRows: uint32(row.RefusedRows), CreatedAt: instant(row.CreatedAt), StartedAt: instant(row.StartedAt), FinishedAt: instant(row.FinishedAt)}
	if len(row.Root) == 32 {
		b.Root = [32]byte(row.Root)
	}
	if b.Status == batch.Signing { // each poll of a client that waits; all else is decided by the rows
		switch o, err := d.q.Outcomes(ctx, id); {
		case err == nil:
			b.Signed, b.Refused = uint32(o.Signed), uint32(o.Refused)
			b.Pending = b.Next - min(b.Next, b.Signed+b.Refused)
			return b, nil
		case !errors.Is(err, sql.ErrNoRows): // begun by an earlier release
			return batch.Batch{}, err
		}
	}
	counts, err := d.paged().CountStates(ctx, id)
	if err != nil {
		return batch.Batch{}, err
	}
	for _, c := range counts {
		switch c.State {
		case batch.ItemSigned:
			b.Signed = uint32(c.N)
		case batch.ItemRefused:
			b.Refused = uint32(c.N)
		default:
			b.Pending += uint32(c.N)
		}
	}
	return b, nil
}

// Seal implements batch.Queue.
func (d *DB) Seal(ctx context.Context, id string, count uint32, root [32]byte, acceptRefused bool, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		b, err := q.Batch(ctx, id)
		if err != nil {
			return absent(err, batch.ErrUnknown)
		}
		if batch.Status(b.Status) == batch.Open && b.Intake != "" {
			return batch.ErrIntake
		}
		if b.RefusedRows > 0 && !acceptRefused {
			return batch.ErrRefusedRows
		}
		n, err := q.SealBatch(ctx, sqlc.SealBatchParams{Count: int64(count), Root: root[:], Now: micros(ev.At), ID: id})
		if err == nil && n != 1 {
			err = batch.ErrSealed
		}
		return err
	})
}

// CancelBatch implements batch.Queue.
func (d *DB) CancelBatch(ctx context.Context, id string, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		if n, err := q.LiveTransactions(ctx, id); err != nil {
			return err
		} else if n > 0 {
			return batch.ErrLive
		}
		for _, was := range []batch.Status{batch.Open, batch.Sealed, batch.NeedsAuthorisation} {
			n, err := q.SetBatchStatus(ctx, sqlc.SetBatchStatusParams{Status: string(batch.Cancelled), Now: micros(ev.At), ID: id, Was: string(was)})
			if err != nil {
				return err
			}
			if n == 0 {
				continue
			}
			counts, err := q.CountStates(ctx, id)
			if err == nil && slices.ContainsFunc(counts, func(c sqlc.CountStatesRow) bool { return c.State == batch.ItemSigned }) {
				err = removeUnsigned(ctx, q, id)
			}
			return err
		}
		return batch.ErrSealed
	})
}

// PauseBatch implements batch.Queue.
func (d *DB) PauseBatch(ctx context.Context, id string, ev audit.Event) error {
	return d.turn(ctx, id, batch.Signing, batch.Paused, batch.ErrNotSigning, ev)
}

// ResumeBatch implements batch.Queue.
func (d *DB) ResumeBatch(ctx context.Context, id string, ev audit.Event) error {
	return d.turn(ctx, id, batch.Paused, batch.Signing, batch.ErrNotPaused, ev)
}

func (d *DB) turn(ctx context.Context, id string, was, is batch.Status, no error, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		n, err := q.SetBatchStatus(ctx, sqlc.SetBatchStatusParams{Status: string(is), Now: micros(ev.At), ID: id, Was: string(was)})
		if err == nil && n != 1 {
			err = no
		}
		return err
	})
}

// RetryItems implements batch.Queue.
func (d *DB) RetryItems(ctx context.Context, id string, items []uint32, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		if n, err := q.LiveTransactions(ctx, id); err != nil {
			return err
		} else if n > 0 {
			return batch.ErrLive
		}
		if n, err := q.ReopenBatch(ctx, sqlc.ReopenBatchParams{Now: micros(ev.At), ID: id}); err != nil {
			return err
		} else if n != 1 {
			return batch.ErrNotRefused
		}
		if len(items) == 0 {
			_, err := q.RetryAll(ctx, id)
			return err
		}
		const some = 500 // parameters of one statement
		for left := range slices.Chunk(items, some) {
			p := sqlc.RetryItemsParams{BatchID: id}
			for _, index := range left {
				p.Indexes = append(p.Indexes, int64(index))
			}
			n, err := q.RetryItems(ctx, p)
			if err == nil && int(n) != len(left) {
				err = batch.ErrItem // or one named twice
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Items implements batch.Queue.
func (d *DB) Items(ctx context.Context, id, state string, after int64, limit int) ([]batch.Item, error) {
	var rows []sqlc.Item
	var err error
	if state == "" {
		rows, err = d.paged().ItemsAfter(d.short(ctx), sqlc.ItemsAfterParams{BatchID: id, After: after, Lim: int64(limit)})
	} else {
		rows, err = d.paged().ItemsInState(ctx, sqlc.ItemsInStateParams{BatchID: id, State: state, After: after, Lim: int64(limit)})
	}
	if err != nil {
		return nil, fmt.Errorf("reading items: %w", err)
	}
	out := make([]batch.Item, len(rows))
	for k := range rows {
		if out[k], err = item(&rows[k]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func item(x *sqlc.Item) (batch.Item, error) {
	it := batch.Item{State: x.State, Code: x.Code, Detail: string(x.Detail), Signature: x.Signature.V, SignedBlob: x.SignedBlob, SignedSize: x.SignedSize, SignedAt: instant(x.SignedAt), Timestamp: instant(x.Timestamp),
		Intent: x.IntentID, Refusal: x.Refusal, Level: x.Level,
		Document: signer.Document{Index: uint32(x.Idx), Name: string(x.Name), Hash: crypto.Hash(x.Hash), Digest: x.Digest, Blob: x.Blob, Size: x.Size, DocumentID: x.DocumentID, Reference: string(x.Reference)}}
	if !x.RecordID.Valid {
		return it, nil
	}
	it.Record = &batch.Record{ID: x.RecordID.String}
	return it, it.Record.UnmarshalText([]byte(plain(x.Record)))
}

// ItemByRecord finds the eCertificate with a public id; batch.ErrUnknown when
// there is none. Of a record that is sealed under a secret it reads nothing else
// ([batch.OpenRecord]).
func (d *DB) ItemByRecord(ctx context.Context, id string) (it batch.Item, err error) {
	row, err := d.q.ItemByRecord(ctx, sql.NullString{String: id, Valid: true})
	if err != nil {
		return batch.Item{}, absent(err, batch.ErrUnknown)
	}
	it = batch.Item{State: row.State, SignedBlob: row.SignedBlob, SignedAt: instant(row.SignedAt), Record: &batch.Record{ID: id}}
	it.Index = uint32(row.Idx)
	if len(row.SealedRecord) > 0 {
		it.Record.Sealed = row.SealedRecord
		return it, nil
	}
	return it, it.Record.UnmarshalText([]byte(plain(row.Record)))
}

// PutDocument implements batch.Documents.
func (d *DB) PutDocument(ctx context.Context, x batch.Document, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		return q.AddDocument(ctx, sqlc.AddDocumentParams{ID: x.ID, AppID: x.App, Name: personal.Name(x.Name), Size: x.Size, Pages: int64(x.Pages), Digest: x.Digest, Blob: x.Blob, CreatedAt: micros(x.CreatedAt)})
	})
}

// Document implements batch.Documents.
func (d *DB) Document(ctx context.Context, id string) (batch.Document, error) {
	x, err := d.q.Document(ctx, id)
	if err != nil {
		return batch.Document{}, absent(err, batch.ErrUnknown)
	}
	return batch.Document{ID: x.ID, App: x.AppID, Name: string(x.Name), Size: x.Size, Pages: int(x.Pages), Digest: x.Digest, Blob: x.Blob, CreatedAt: instant(x.CreatedAt)}, nil
}

// SignedDocument implements batch.Documents.
func (d *DB) SignedDocument(ctx context.Context, id string) (blob string, size int64, err error) {
	x, err := d.q.SignedDocument(ctx, id)
	return x.SignedBlob, x.SignedSize, absent(err, batch.ErrNotSigned)
}

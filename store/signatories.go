package store

import (
	"context"
	"crypto"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// Place implements signer.Records.
func (d *DB) Place(ctx context.Context, transaction string) error {
	return d.snapshot(ctx, func(q *sqlc.Queries) error {
		_, err := place(ctx, q, transaction)
		return err
	})
}

// place judges the documents of a request, and says whether it is one of a work process. The first
// of each kind is looked for, and persons come before turns.
func place(ctx context.Context, q *sqlc.Queries, transaction string) (worked bool, err error) {
	another, err := q.OfAnother(ctx, transaction)
	if err != nil {
		return false, fmt.Errorf("reading other references: %w", absent(err, signer.ErrUnknown))
	}
	against := sqlc.OutOfPlaceRow{Who: -1, Turn: -1, What: -1, Bare: -1}
	if another.Step > 0 {
		if against, err = q.OutOfPlace(ctx, transaction); err != nil {
			return true, fmt.Errorf("reading signatories: %w", err)
		}
	}
	for _, v := range []struct {
		index int64
		err   error
	}{{against.Bare, signer.ErrReference}, {against.Who, signer.ErrSignatory}, {another.Who, signer.ErrSignatory}, {another.Document, signer.ErrDocuments},
		{another.Process, signer.ErrOtherProcess}, {against.Turn, signer.ErrTurn}, {against.What, signer.ErrDocuments}} {
		if v.index >= 0 {
			return true, &signer.DocumentError{Index: uint32(v.index), Err: v.err}
		}
	}
	return another.Step > 0, nil
}

// addSignatories makes the officer of an intent's request the signatory of each reference. The
// write lock is held: what place says is true until the commit. The keys of the table say it again.
func addSignatories(ctx context.Context, q *sqlc.Queries, in *signer.Intent) error {
	worked, err := place(ctx, q, in.Transaction)
	if err != nil || !worked {
		return err
	}
	n, err := q.AddSignatories(ctx, sqlc.AddSignatoriesParams{IntentID: in.ID, TransactionID: in.Transaction})
	if err != nil {
		return fmt.Errorf("adding signatories: %w", err)
	}
	if n != int64(in.Count) {
		return &signer.DocumentError{Err: signer.ErrTurn} // two documents of one reference
	}
	return nil
}

// storeSignatory makes a signatory final, with what the next role is to sign.
func storeSignatory(ctx context.Context, q *sqlc.Queries, in *sqlc.Intent, o *signer.Outcome, now time.Time) error {
	n, err := q.StoreSignatory(ctx, sqlc.StoreSignatoryParams{Result: o.Result, Blob: o.Blob, Size: o.Size, SignedAt: micros(now), BatchID: in.BatchID, Idx: int64(o.Index), IntentID: in.ID})
	if err == nil && n != 1 {
		err = signer.ErrFence
	}
	return err
}

// release takes back what an intent did not come to sign.
func release(ctx context.Context, q *sqlc.Queries, in *sqlc.Intent) error {
	if err := q.ReleaseSignatories(ctx, sqlc.ReleaseSignatoriesParams{BatchID: in.BatchID, IntentID: in.ID}); err != nil {
		return err
	}
	return q.PassOn(ctx, sqlc.PassOnParams{BatchID: in.BatchID, IntentID: in.ID})
}

// referencesAtOnce is how many references one query asks for. It has that many or one, so that there
// are two statements to compile.
const referencesAtOnce = 100

// Signatories implements signer.Records.
func (d *DB) Signatories(ctx context.Context, system string, references []string) ([]signer.Signatory, error) {
	var out []signer.Signatory
	for some := range slices.Chunk(references, referencesAtOnce) {
		refs := make([]personal.Object, len(some), referencesAtOnce)
		for k, r := range some {
			refs[k] = personal.Object(r)
		}
		for len(refs) > 1 && len(refs) < referencesAtOnce {
			refs = append(refs, refs[0])
		}
		rows, err := d.q.Signatories(ctx, sqlc.SignatoriesParams{System: system, Refs: refs})
		if err != nil {
			return nil, fmt.Errorf("reading signatories: %w", tampered(err))
		}
		for _, x := range rows {
			out = append(out, signer.Signatory{Process: x.Process, Step: int(x.Step), Role: x.Role, Officer: string(x.Ic), OfficerName: string(x.Name), SignedAt: instant(x.SignedAt),
				App: x.AppID, Class: x.Classification, Document: signer.Document{Name: string(x.Document), Hash: crypto.Hash(x.Hash), Digest: x.Result, Blob: x.Blob, Size: x.Size,
					DocumentID: x.DocumentID, Reference: string(x.Reference)}})
		}
	}
	return out, nil
}

// ClassesBefore implements signer.Records.
func (d *DB) ClassesBefore(ctx context.Context, system, process, batch string) ([]string, error) {
	return d.q.ClassesBefore(ctx, sqlc.ClassesBeforeParams{System: system, Process: process, BatchID: batch})
}

// WaitingReferences implements signer.Records.
func (d *DB) WaitingReferences(ctx context.Context, in signer.Inbox) ([]signer.WaitingReference, error) {
	rows, err := d.q.WaitingReferences(ctx, sqlc.WaitingReferencesParams{System: in.System, Process: in.Process, Role: in.Role,
		AfterAt: micros(in.After.At), AfterBatch: in.After.Batch, AfterIdx: int64(in.After.Index), Lim: int64(in.Limit)})
	if err != nil {
		return nil, tampered(err)
	}
	out := make([]signer.WaitingReference, len(rows))
	for k, x := range rows {
		out[k] = signer.WaitingReference{Process: x.Process, Reference: string(x.Reference), Role: x.NextRole, Since: instant(x.SignedAt),
			Cursor: signer.Cursor{At: instant(x.SignedAt), Batch: x.BatchID, Index: uint32(x.Idx)}}
	}
	return out, nil
}

// OnTheMove implements signer.Records.
func (d *DB) OnTheMove(ctx context.Context, document, app string) (system string, waits, part, classified bool, err error) {
	x, err := d.q.DocumentOnTheMove(ctx, sqlc.DocumentOnTheMoveParams{AppID: app, DocumentID: document})
	if errors.Is(err, sql.ErrNoRows) {
		err = signer.ErrUnknown
	}
	return x.System, x.Waits != 0, x.Part != 0, x.Classified != 0, err
}

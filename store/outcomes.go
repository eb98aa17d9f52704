package store

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/mohor-sign/mohor/archive"
	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// Item implements batch.Queue.
func (d *DB) Item(ctx context.Context, id string, index uint32) (batch.Item, error) {
	x, err := d.q.Item(ctx, sqlc.ItemParams{BatchID: id, Idx: int64(index)})
	if err != nil {
		return batch.Item{}, absent(err, batch.ErrUnknown)
	}
	return item(&x)
}

// Leaves implements batch.Queue.
func (d *DB) Leaves(ctx context.Context, id string, after int64, limit int) ([]signer.Document, error) {
	rows, err := d.paged().LeavesAfter(ctx, sqlc.LeavesAfterParams{BatchID: id, After: after, Lim: int64(limit)})
	if err != nil {
		return nil, fmt.Errorf("reading documents: %w", tampered(err))
	}
	out := make([]signer.Document, len(rows))
	for k, x := range rows {
		out[k] = signer.Document{Index: uint32(x.Idx), Name: string(x.Name), Hash: crypto.Hash(x.Hash), Digest: x.Digest}
	}
	return out, nil
}

// Refusals implements batch.Queue.
func (d *DB) Refusals(ctx context.Context, id string, after int64, limit int) ([]batch.Item, error) {
	rows, err := d.q.RefusalsAfter(ctx, sqlc.RefusalsAfterParams{BatchID: id, After: after, Lim: int64(limit)})
	if err != nil {
		return nil, fmt.Errorf("reading refusals: %w", err)
	}
	out := make([]batch.Item, len(rows))
	for k, x := range rows {
		out[k] = batch.Item{State: batch.ItemRefused, Code: x.Code, Detail: string(x.Detail), Refusal: x.Refusal, Document: signer.Document{Index: uint32(x.Idx), Name: string(x.Name)}}
	}
	return out, nil
}

// RefusedBy implements batch.Queue.
func (d *DB) RefusedBy(ctx context.Context, id string) (map[string]uint32, error) {
	rows, err := d.q.RefusedByCode(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("counting refusals: %w", err)
	}
	out := make(map[string]uint32, len(rows))
	for _, r := range rows {
		out[r.Code] = uint32(r.N)
	}
	return out, nil
}

// Commits implements batch.Queue.
func (d *DB) Commits(ctx context.Context, id string, limit int) ([]batch.Commit, error) {
	rows, err := d.q.LastCommits(ctx, sqlc.LastCommitsParams{BatchID: id, Lim: int64(limit)})
	if err != nil {
		return nil, fmt.Errorf("reading how a batch goes on: %w", err)
	}
	out := make([]batch.Commit, len(rows))
	for k, r := range rows {
		out[k] = batch.Commit{At: instant(r.SignedAt), Items: int(r.N)}
	}
	return out, nil
}

// Signings implements batch.Queue.
func (d *DB) Signings(ctx context.Context, id string) (map[string]signer.Options, error) {
	rows, err := d.q.OptionsOfIntents(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("reading how a batch was signed: %w", err)
	}
	out := make(map[string]signer.Options, len(rows))
	for _, r := range rows {
		var o signer.Options
		if err := json.Unmarshal([]byte(r.Options), &o); err != nil {
			return nil, fmt.Errorf("reading options of %s: %w", r.ID, err)
		}
		out[r.ID] = o
	}
	return out, nil
}

// ExpireBatch makes one batch EXPIRED that is OPEN, SEALED or NEEDS_AUTHORISATION, and that nobody
// has touched since before (created, added to, sealed, asked for, signed, paused, retried, or a
// transaction on it ended), nor adds to now: a transaction that still waits on it ends, the documents that were not
// signed are put down for removal, all with the event in one commit. What was signed stays. false:
// there was none.
func (d *DB) ExpireBatch(ctx context.Context, before, now time.Time) (bool, error) {
	err := d.dated(ctx, func(q *sqlc.Queries, clock time.Time) error { // an upload's lease is of the database's clock
		ids, err := q.StaleBatches(ctx, sqlc.StaleBatchesParams{Before: micros(before), Now: micros(clock), Lim: 1})
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			return errNothing
		}
		return expireBatch(ctx, q, ids[0], now)
	})
	if errors.Is(err, errNothing) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("expiring a batch: %w", err)
	}
	return true, nil
}

// removeUnsigned has the files of documents that were not signed removed after the commit. A pack
// stays while one certificate in it is signed: it cannot lose a part.
func removeUnsigned(ctx context.Context, q *sqlc.Queries, id string) error {
	if err := q.RemoveUnsignedOriginals(ctx, id); err != nil {
		return err
	}
	const page = 1000
	needed := map[string]bool{} // packs, of which a batch has one an upload
	for after := int64(-1); ; {
		rows, err := q.PartsAfter(ctx, sqlc.PartsAfterParams{BatchID: id, After: after, Lim: page})
		if err != nil {
			return err
		}
		for _, x := range rows {
			pack := signer.PackOf(x.Blob)
			needed[pack] = needed[pack] || x.State == batch.ItemSigned
			after = x.Idx
		}
		if len(rows) < page {
			break
		}
	}
	for pack, stays := range needed {
		if stays {
			continue
		}
		if err := q.AddFileRemoval(ctx, sqlc.AddFileRemovalParams{Kind: archive.BlobFile, Name: pack}); err != nil {
			return err
		}
	}
	return nil
}

func expireBatch(ctx context.Context, q *sqlc.Queries, id string, now time.Time) error {
	b, err := q.Batch(ctx, id)
	if err != nil {
		return err
	}
	// Only one whose time is over can wait still: StaleBatches leaves out what was asked for since.
	overdue, err := q.ExpireTransactions(ctx, sqlc.ExpireTransactionsParams{Now: micros(now), BatchID: id})
	if err != nil {
		return err
	}
	if err := expired(ctx, q, overdue, now); err != nil {
		return err
	}
	if n, err := q.LiveTransactions(ctx, id); err != nil || n > 0 {
		return errors.Join(err, batch.ErrLive)
	}
	n, err := q.SetBatchStatus(ctx, sqlc.SetBatchStatusParams{Status: string(batch.Expired), Now: micros(now), ID: id, Was: b.Status})
	if err != nil || n != 1 {
		return errors.Join(err, errNothing)
	}
	counts, err := q.CountStates(ctx, id)
	if err != nil {
		return err
	}
	ev := audit.Event{At: now, Actor: "gateway", Action: "batch.expire", Object: id, Verdict: audit.Noted, Detail: map[string]string{"was": b.Status}}
	for _, c := range counts {
		ev.Detail[c.State] = strconv.FormatInt(c.N, 10)
	}
	if ev.Detail[batch.ItemSigned] != "" {
		err = removeUnsigned(ctx, q, id)
	} else {
		err = q.AddFileRemoval(ctx, sqlc.AddFileRemovalParams{Kind: archive.BlobFile, Name: batch.Originals(id)}) // all at once
	}
	if err != nil {
		return err
	}
	return appendEvent(ctx, q, ev)
}

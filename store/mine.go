package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// newestAs is a [signer.Newest] as queries take it.
func newestAs(n signer.Newest) (at int64, id string) {
	if n.At.IsZero() {
		return math.MaxInt64, ""
	}
	return micros(n.At), n.ID
}

// OwnTransactions implements signer.Records.
func (d *DB) OwnTransactions(ctx context.Context, q signer.Mine) ([]signer.OwnTransaction, error) {
	at, id := newestAs(q.Before)
	rows, err := d.q.TransactionsOfOfficer(ctx, sqlc.TransactionsOfOfficerParams{Ic: personal.IC(q.Officer), At: at, ID: id, Status: string(q.Status), Lim: int64(q.Limit)})
	if err != nil {
		return nil, fmt.Errorf("listing transactions: %w", err)
	}
	out := make([]signer.OwnTransaction, len(rows))
	for k := range rows {
		t, x := &rows[k], &out[k]
		x.Request = signer.Request{ID: t.ID, App: t.AppID, SystemName: t.SystemName, Officer: string(t.Ic), System: t.System, DataHeader: string(t.DataHeader), Process: t.Process,
			Role: t.Role, Step: int(t.Step), Class: t.Classification, Credential: t.CredentialID, Batch: t.BatchID, Implicit: t.Implicit != 0, Count: uint32(t.Count),
			Status: signer.Status(t.Status), CreatedAt: instant(t.CreatedAt), ExpiresAt: instant(t.ExpiresAt), FinishedAt: instant(t.FinishedAt), Ended: t.Ended}
		if len(t.Root) == 32 && len(t.OptionsHash) == 32 {
			x.Root, x.OptionsHash = [32]byte(t.Root), [32]byte(t.OptionsHash)
		}
		if err := json.Unmarshal([]byte(t.Options), &x.Options); err != nil {
			return nil, fmt.Errorf("reading options of %s: %w", t.ID, err)
		}
		if t.Hosted != 0 {
			x.Page = &signer.Page{}
		}
		if !x.Implicit {
			x.BatchName = string(t.BatchName)
			continue
		}
		switch first, err := d.q.Item(ctx, sqlc.ItemParams{BatchID: t.BatchID, Idx: 0}); {
		case err == nil:
			x.First = string(first.Name)
		case !errors.Is(err, sql.ErrNoRows): // gone with its time
			return nil, fmt.Errorf("reading the first document of %s: %w", t.ID, err)
		}
	}
	return out, nil
}

// Intended implements signer.Records.
func (d *DB) Intended(ctx context.Context, transaction string) (time.Time, error) {
	at, err := d.q.IntentOfTransaction(ctx, transaction)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	return instant(at), err
}

// SecurityImage implements enrol.AccountRecords.
func (d *DB) SecurityImage(ctx context.Context, ic string) (string, error) {
	image, err := d.q.SecurityImage(ctx, personal.IC(ic))
	return image, absent(err, enrol.ErrUnknown)
}

// ByNumber finds eCertificates with a number, but for those that were given up unsigned.
func (d *DB) ByNumber(ctx context.Context, number string) ([]batch.Numbered, error) {
	n := personal.Number(number)
	rows, err := d.q.ItemsByNumber(ctx, &n)
	if err != nil {
		return nil, fmt.Errorf("looking for a certificate number: %w", err)
	}
	out := make([]batch.Numbered, len(rows))
	for k := range rows {
		r, rec := &rows[k], &batch.Record{}
		if err := rec.UnmarshalText([]byte(plain(r.Record))); err != nil {
			return nil, err
		}
		out[k] = batch.Numbered{RecordID: r.RecordID.String, Candidate: rec.Candidate, State: r.State, Batch: batch.Status(r.Status), SignedAt: instant(r.SignedAt)}
	}
	return out, nil
}

// Traces implements signer.Records.
func (d *DB) Traces(ctx context.Context, object string, limit int) ([]signer.Trace, error) {
	rows, err := d.q.EventsAbout(ctx, sqlc.EventsAboutParams{Object: personal.Object(object), Lim: int64(limit)})
	if err != nil {
		return nil, fmt.Errorf("reading audit: %w", err)
	}
	out := make([]signer.Trace, len(rows))
	for k, r := range rows {
		out[k] = signer.Trace{Seq: r.Seq, At: instant(r.At), Action: r.Action, Verdict: r.Verdict}
	}
	return out, nil
}

// BatchesOf implements batch.Queue.
func (d *DB) BatchesOf(ctx context.Context, app string, waiting bool, before signer.Newest, limit int) ([]batch.Batch, error) {
	at, id := newestAs(before)
	rows, err := d.q.BatchesOfApp(ctx, sqlc.BatchesOfAppParams{AppID: app, At: at, ID: id, Waiting: flag(waiting), Lim: int64(limit)})
	if err != nil {
		return nil, fmt.Errorf("listing batches: %w", err)
	}
	out := make([]batch.Batch, len(rows))
	for k := range rows {
		r := &rows[k]
		b := batch.Batch{ID: r.ID, App: r.AppID, Name: string(r.Name), Kind: r.Kind, Status: batch.Status(r.Status), Next: uint32(r.NextIndex), Intake: r.Intake, Count: uint32(r.Count),
			RefusedRows: uint32(r.RefusedRows), CreatedAt: instant(r.CreatedAt), StartedAt: instant(r.StartedAt), FinishedAt: instant(r.FinishedAt)}
		if len(r.Root) == 32 {
			b.Root = [32]byte(r.Root)
		}
		switch {
		case b.Status == batch.Signed:
			b.Signed = b.Next
		case b.Status == batch.Signing && r.Signed >= 0:
			b.Signed, b.Refused = uint32(r.Signed), uint32(r.Refused)
			b.Pending = b.Next - min(b.Next, b.Signed+b.Refused)
		case b.Status == batch.Open, b.Status == batch.Sealed:
			b.Pending = b.Next
		default: // the rows decide
			if b, err = d.Batch(ctx, r.ID); err != nil {
				return nil, err
			}
		}
		out[k] = b
	}
	return out, nil
}

package store

import (
	"context"
	"crypto"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// Authorised implements signer.Records. What the intent found pending is
// pending or claimed still, or has its outcome under this intent.
func (d *DB) Authorised(ctx context.Context, in signer.Intent) iter.Seq2[signer.Authorised, error] {
	const page = 500
	return func(yield func(signer.Authorised, error) bool) {
		after := int64(-1)
		for {
			rows, err := d.paged().AuthorisedAfter(ctx, sqlc.AuthorisedAfterParams{BatchID: in.Batch, IntentID: in.ID, After: after, Lim: page})
			if err != nil {
				yield(signer.Authorised{}, tampered(fmt.Errorf("reading authorised documents: %w", err)))
				return
			}
			for _, x := range rows {
				if x.ReferenceKey != "" && string(x.ReferenceKey) != string(x.Reference) {
					yield(signer.Authorised{}, errTwoReferences)
					return
				}
				doc := signer.Authorised{Done: x.State == "signed" || x.State == "refused", Document: signer.Document{Index: uint32(x.Idx), Name: string(x.Name),
					Hash: crypto.Hash(x.Hash), Digest: x.Digest, Blob: x.Blob, Size: x.Size, DocumentID: x.DocumentID, Reference: string(x.Reference)}}
				if !yield(doc, nil) {
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

// Accepted implements signer.Records.
func (d *DB) Accepted(ctx context.Context, object, action string) ([]audit.Event, error) {
	rows, err := d.q.AcceptedEvents(ctx, sqlc.AcceptedEventsParams{Object: personal.Object(object), Action: action})
	if err != nil {
		return nil, fmt.Errorf("reading audit: %w", err)
	}
	out := make([]audit.Event, len(rows))
	for k, e := range rows {
		if out[k], err = event(sqlc.NewestEventRow(e)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// NewestEvent gives the audit's last event of an action about an object, or
// ca.ErrUnknown.
func (d *DB) NewestEvent(ctx context.Context, object, action string) (audit.Event, error) {
	e, err := d.q.NewestEvent(ctx, sqlc.NewestEventParams{Object: personal.Object(object), Action: action})
	if errors.Is(err, sql.ErrNoRows) {
		return audit.Event{}, ca.ErrUnknown
	}
	if err != nil {
		return audit.Event{}, fmt.Errorf("reading audit: %w", err)
	}
	return event(e)
}

func event(e sqlc.NewestEventRow) (audit.Event, error) {
	r := audit.Record{Event: audit.Event{At: instant(e.At), Actor: string(e.Actor), Action: e.Action, Object: string(e.Object), Verdict: e.Verdict, RequestID: e.RequestID}}
	if readDetail(string(e.Detail), &r) != nil {
		return r.Event, &audit.BrokenError{Seq: e.Seq, What: "its columns cannot be read (edited)"}
	}
	return r.Event, nil
}

// Resume implements signer.Records.
func (d *DB) Resume(ctx context.Context, run signer.Run, ev audit.Event) error {
	return d.dated(ctx, func(q *sqlc.Queries, now time.Time) error {
		in, err := q.Intent(ctx, run.Intent)
		if err != nil {
			return absent(err, signer.ErrUnknown)
		}
		switch {
		case in.State != "open":
			return signer.ErrFence
		case in.StoppedAt > 0:
			return signer.ErrCancelled
		}
		if err := active(ctx, q, in.CredentialID); err != nil {
			return err
		}
		if err := endLost(ctx, q, run, in.BatchID, now); err != nil {
			return err
		}
		if err := addRun(ctx, q, run, now); err != nil {
			return err
		}
		return appendEvent(ctx, q, ev)
	})
}

// active reads a credential's status; the write lock is held.
func active(ctx context.Context, q *sqlc.Queries, credential string) error {
	status, err := q.CredentialStatus(ctx, credential)
	switch {
	case err != nil:
		return err
	case status == "SUSPENDED":
		return signer.ErrCertificateOnHold
	case status != "ACTIVE":
		return signer.ErrCertificateRevoked
	}
	return nil
}

package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// repliesFor is how long an answer is kept, replyLease how long a request that is being
// answered is believed to be so after it last said it.
const (
	repliesFor = 24 * time.Hour
	replyLease = 30 * time.Second
)

// claim is the key of the request for which something is changed.
type claim struct {
	app, key string
	began    int64
}

type claimKey struct{}

// ClaimedReply implements api.Replies.
func (d *DB) ClaimedReply(ctx context.Context, app, key string, began time.Time) context.Context {
	return context.WithValue(ctx, claimKey{}, claim{app, key, micros(began)})
}

// errTaken ends a change for a request that was taken for dead and begun again by another.
var errTaken = errors.New("changing for a request that was begun again elsewhere")

// noteReply writes into the claim that ctx carries, if any, what is being done for it. It is part
// of the change: either both are durable or none is.
func noteReply(ctx context.Context, q *sqlc.Queries, ev *audit.Event) error {
	c, ok := ctx.Value(claimKey{}).(claim)
	if !ok || c.key == "" || ev.Verdict == audit.Refused {
		return nil
	}
	var n int64
	var err error
	if ev.Verdict == audit.Accepted {
		n, err = q.MarkReply(ctx, sqlc.MarkReplyParams{Object: personal.Object(cmp.Or(ev.Object, ev.Action)), AppID: c.app, Key: c.key, CreatedAt: c.began})
	} else {
		n, err = q.HoldsReply(ctx, sqlc.HoldsReplyParams{AppID: c.app, Key: c.key, CreatedAt: c.began})
	}
	if err != nil || n > 0 {
		return err
	}
	// Work that outlives its request finds no claim when the answer was not to be kept.
	switch _, err := q.Reply(ctx, sqlc.ReplyParams{AppID: c.app, Key: c.key}); {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("reading claim: %w", err)
	}
	return errTaken
}

// BeginReply implements api.Replies.
func (d *DB) BeginReply(ctx context.Context, app, key string, fingerprint []byte, began time.Time) (fresh bool, object string, kept []byte, status int, headers string, body []byte, err error) {
	err = d.dated(ctx, func(q *sqlc.Queries, now time.Time) error {
		if err := q.DropOldReplies(ctx, micros(now.Add(-repliesFor))); err != nil {
			return err
		}
		n, err := q.BeginReply(ctx, sqlc.BeginReplyParams{AppID: app, Key: key, Fingerprint: fingerprint, CreatedAt: micros(began), LeaseUntil: micros(now.Add(replyLease))})
		if err == nil && n == 0 {
			n, err = q.TakeReply(ctx, sqlc.TakeReplyParams{CreatedAt: micros(began), LeaseUntil: micros(now.Add(replyLease)), AppID: app, Key: key, Now: micros(now), Fingerprint: fingerprint})
		}
		if err != nil {
			return err
		}
		fresh = n == 1
		r, err := q.Reply(ctx, sqlc.ReplyParams{AppID: app, Key: key})
		object, kept, status, headers, body = string(r.Object), r.Fingerprint, int(r.Status), string(r.Headers), r.Body.V
		return err
	})
	return fresh, object, kept, status, headers, body, err
}

// ExtendReply implements api.Replies.
func (d *DB) ExtendReply(ctx context.Context, app, key string, began time.Time) error {
	return d.dated(ctx, func(q *sqlc.Queries, now time.Time) error {
		return q.ExtendReply(ctx, sqlc.ExtendReplyParams{LeaseUntil: micros(now.Add(replyLease)), AppID: app, Key: key, CreatedAt: micros(began)})
	})
}

// FinishReply implements api.Replies.
func (d *DB) FinishReply(ctx context.Context, app, key string, began time.Time, status int, headers string, body []byte) error {
	return d.tx(ctx, func(q *sqlc.Queries) error {
		return q.FinishReply(ctx, sqlc.FinishReplyParams{AppID: app, Key: key, Status: int64(status), Headers: personal.Note(headers), Body: personal.Bytes{V: body}, CreatedAt: micros(began)})
	})
}

// LeaveReply implements api.Replies.
func (d *DB) LeaveReply(ctx context.Context, app, key string, began time.Time) error {
	return d.tx(ctx, func(q *sqlc.Queries) error {
		return q.LeaveReply(ctx, sqlc.LeaveReplyParams{AppID: app, Key: key, CreatedAt: micros(began)})
	})
}

// LeaveReplies ends the leases of requests that a crash interrupted. Only of a database that is
// this gateway's alone it is known that nobody answers them; others' leases end by themselves.
func (d *DB) LeaveReplies(ctx context.Context) error {
	if d.postgres {
		return nil
	}
	return d.tx(ctx, func(q *sqlc.Queries) error { return q.LeaveReplies(ctx) })
}

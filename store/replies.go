package store

import (
	"context"
	"time"

	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// repliesFor is how long an answer is kept.
const repliesFor = 24 * time.Hour

// BeginReply claims an idempotency key of an app for one request; when it was
// claimed before, what is kept of that request comes back.
func (d *DB) BeginReply(ctx context.Context, app, key string, fingerprint []byte, now time.Time) (fresh bool, kept []byte, status int, headers string, body []byte, err error) {
	err = d.tx(ctx, func(q *sqlc.Queries) error {
		if err := q.DropOldReplies(ctx, micros(now.Add(-repliesFor))); err != nil {
			return err
		}
		n, err := q.BeginReply(ctx, sqlc.BeginReplyParams{AppID: app, Key: key, Fingerprint: fingerprint, CreatedAt: micros(now)})
		if err != nil || n == 1 {
			fresh = n == 1
			return err
		}
		r, err := q.Reply(ctx, sqlc.ReplyParams{AppID: app, Key: key})
		kept, status, headers, body = r.Fingerprint, int(r.Status), string(r.Headers), r.Body.V
		return err
	})
	return fresh, kept, status, headers, body, err
}

// FinishReply keeps the answer to a claimed request.
func (d *DB) FinishReply(ctx context.Context, app, key string, began time.Time, status int, headers string, body []byte) error {
	return d.tx(ctx, func(q *sqlc.Queries) error {
		return q.FinishReply(ctx, sqlc.FinishReplyParams{AppID: app, Key: key, Status: int64(status), Headers: personal.Note(headers), Body: personal.Bytes{V: body}, CreatedAt: micros(began)})
	})
}

// DropReply forgets a claim.
func (d *DB) DropReply(ctx context.Context, app, key string, began time.Time) error {
	return d.tx(ctx, func(q *sqlc.Queries) error {
		return q.DropReply(ctx, sqlc.DropReplyParams{AppID: app, Key: key, CreatedAt: micros(began)})
	})
}

// DropRunningReplies forgets requests that a crash interrupted: what they did
// is in the state of the things they touched.
func (d *DB) DropRunningReplies(ctx context.Context) error {
	return d.tx(ctx, func(q *sqlc.Queries) error { return q.DropRunningReplies(ctx) })
}

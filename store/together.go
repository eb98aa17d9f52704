package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/mohor-sign/mohor/store/sqlc"
)

// joined is a transaction that several changes share.
type joined struct {
	q *sqlc.Queries

	mu     sync.Mutex
	failed error
}

// Together runs f with a DB whose changes, each with its audit event, become durable all at once
// when f returns nil, and not at all otherwise. It is for enrolling many: one commit for a
// thousand officers. The DB is good until f returns, may be used by several goroutines, and sees
// its own changes; nobody else can write meanwhile. After any change that gave an error nothing
// is kept, also if f returns nil.
func (d *DB) Together(ctx context.Context, f func(*DB) error) error {
	if d.joined != nil {
		return errors.New("beginning transaction: there is one already")
	}
	t, err := d.begin(ctx)
	if err != nil {
		return err
	}
	defer t.Rollback() //nolint:errcheck // for a panic; else it is done
	j := &joined{q: d.queries(t)}
	err = f(&DB{write: d.write, read: d.read, long: d.long, q: j.q, joined: j, fields: d.fields, postgres: d.postgres})
	if err == nil {
		err = j.failed
	}
	if err != nil {
		if rerr := t.Rollback(); rerr != nil && !errors.Is(rerr, sql.ErrTxDone) {
			err = errors.Join(err, rerr)
		}
		return err
	}
	if err := t.Commit(); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}

// do runs one change at a time, for each links its event to the one before it.
func (j *joined) do(f func(q *sqlc.Queries) error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil {
		return fmt.Errorf("changing nothing more in this transaction: %w", j.failed)
	}
	j.failed = f(j.q)
	return j.failed
}

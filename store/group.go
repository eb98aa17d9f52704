package store

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/mohor-sign/mohor/store/sqlc"
)

// groupSize bounds how long a group keeps others from changing anything.
const groupSize = 64

// group is who waits for a commit to share. A commit costs what the disk takes to write it
// down, whatever is in it: changes that come while one is under way go into the next one
// together. Each keeps its place in the audit chain, and returns when it is durable.
type group struct {
	mu      sync.Mutex
	waiting []*member
	leading bool
}

type member struct {
	change func(t sqlc.DBTX) error
	begun  atomic.Bool // or given up before
	err    error
	done   chan struct{}
}

// run is change in a goroutine where nobody else would recover: a panic is the error of this member
// alone.
func (m *member) run(t sqlc.DBTX) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("changing the database: panic: %v\n%s", v, debug.Stack())
		}
	}()
	return m.change(t)
}

// share is change in a transaction with others'. A change that has begun is not cut off: a
// statement that is interrupted ends the transaction, and with it the changes of others.
func (d *DB) share(ctx context.Context, f func(t sqlc.DBTX) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m := &member{change: f, done: make(chan struct{})}
	d.group.mu.Lock()
	d.group.waiting = append(d.group.waiting, m)
	lead := !d.group.leading
	d.group.leading = true
	d.group.mu.Unlock()
	// The first group is committed here, for another goroutine would wake another processor; those
	// who came meanwhile have one of their own, so that nobody's answer waits for theirs.
	if lead && d.commit() {
		go d.lead()
	}
	select {
	case <-m.done:
	case <-ctx.Done():
		if !m.begun.Swap(true) {
			return ctx.Err()
		}
		<-m.done
	}
	return m.err
}

// lead commits what waits until nothing does.
func (d *DB) lead() {
	for d.commit() {
	}
}

// commit commits the first group of what waits, and says whether there is another.
func (d *DB) commit() (more bool) {
	d.group.mu.Lock()
	n := min(len(d.group.waiting), groupSize)
	now := d.group.waiting[:n:n]
	d.group.waiting = d.group.waiting[n:]
	d.group.mu.Unlock()
	tell(now, d.once(context.Background(), func(t sqlc.DBTX) error { return inTurn(t, now) }))
	d.group.mu.Lock()
	defer d.group.mu.Unlock()
	d.group.leading = len(d.group.waiting) > 0
	return d.group.leading
}

// tell gives each who has no error of its own the one that ended what they share.
func tell(members []*member, err error) {
	for _, m := range members {
		if m.err == nil {
			m.err = err // nothing was kept, or nobody knows
		}
		close(m.done)
	}
}

// inTurn runs the members' changes one after the other, so that one that fails leaves no
// trace and the others are kept. An error is that of all.
func inTurn(t sqlc.DBTX, members []*member) error {
	members = slices.DeleteFunc(slices.Clone(members), func(m *member) bool { return m.begun.Swap(true) })
	if len(members) == 1 {
		members[0].err = members[0].run(t)
		return members[0].err
	}
	step := func(statement string) error {
		if _, err := t.ExecContext(context.Background(), statement); err != nil {
			return fmt.Errorf("changing together with others: %w", err)
		}
		return nil
	}
	for _, m := range members {
		if err := step("SAVEPOINT one"); err != nil {
			return err
		}
		if m.err = m.run(t); m.err != nil {
			// It fails when the transaction has ended, and then nobody goes on in it.
			if err := step("ROLLBACK TO SAVEPOINT one"); err != nil {
				return err // each in the group is told; m alone knows its own
			}
		}
		if err := step("RELEASE SAVEPOINT one"); err != nil {
			return err
		}
	}
	return nil
}

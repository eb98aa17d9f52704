package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// OpenPool opens connections whose server may be silent for so long.
func OpenPool(address string, silence time.Duration) (*sql.DB, error) {
	cfg, err := postgresConfig(address, secret.Text{})
	if err != nil {
		return nil, err
	}
	return openPool(cfg, &personal.Lock{}, silence), nil
}

// HoldReaders takes every connection for reading until release.
func HoldReaders(ctx context.Context, d *DB) (release func() error, err error) {
	var held []*sql.Conn
	release = func() error {
		var errs []error
		for _, c := range held {
			errs = append(errs, c.Close())
		}
		return errors.Join(errs...)
	}
	for range pgConnections {
		c, err := d.read.Conn(ctx)
		if err != nil {
			return release, err
		}
		held = append(held, c)
	}
	return release, nil
}

// Change runs f as a change.
func Change(ctx context.Context, d *DB, f func() error) error {
	return d.change(ctx, func(sqlc.DBTX) error { return f() })
}

// InTurn runs changes that share a transaction, and gives what each is told.
func InTurn(t sqlc.DBTX, changes ...func() error) (told []error) {
	var members []*member
	for _, f := range changes {
		members = append(members, &member{change: func(sqlc.DBTX) error { return f() }, done: make(chan struct{})})
	}
	tell(members, inTurn(t, members))
	for _, m := range members {
		told = append(told, m.err)
	}
	return told
}

// KeyVersions is migration 2.
var KeyVersions = keyVersions

// Sealable gives the kinds of personal columns by table and column.
func Sealable() map[string]map[string]string {
	out := make(map[string]map[string]string)
	for _, s := range sealable() {
		names, kinds := s.fields()
		out[s.table] = make(map[string]string)
		for k := range names {
			out[s.table][names[k]] = kinds[k]
		}
	}
	return out
}

// Connector makes connections to the SQLite database at path.
func Connector(path string) driver.Connector { return file(path) }

// BreakStaged closes the files that wait for a sync, whose sync then fails.
func (b *Blobs) BreakStaged() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.staged {
		_ = f.Close()
	}
}

// Staged counts the files that wait for a sync.
func (b *Blobs) Staged() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.staged)
}

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// Limits of a connection. One that stopped within a change would keep all others
// from changing anything; the server ends it.
const (
	pgConnections = 16
	pgDial        = 5 * time.Second
	pgLock        = "15s" // to wait for another change, as with SQLite
	pgIdle        = "60s" // without a statement, within a change
)

// oneWriter is the advisory lock that each change holds until its commit. With
// it PostgreSQL has what the queries were written for: one change at a time, in
// the order of the audit chain.
const oneWriter = 0x4d6f686f72 // "Mohor"

// OpenPostgres opens the PostgreSQL database (15 or later) that a postgres://
// address names, and brings its schema up to date. Several processes may do so
// at once. The password is not in the address. What the database holds of people is
// there after [DB.Unlock].
func OpenPostgres(ctx context.Context, address string, password secret.Text) (*DB, error) {
	cfg, err := postgresConfig(address, password)
	if err != nil {
		return nil, err
	}
	reader := cfg.Copy()
	reader.RuntimeParams["default_transaction_read_only"] = "on"
	fields := &personal.Lock{}
	d := &DB{write: openPool(cfg, fields, pgWriteSilence), read: openPool(reader, fields, pgReadSilence), long: openPool(cfg, fields, 0), postgres: true, fields: fields}
	d.long.SetMaxIdleConns(0)
	d.q = d.queries(asker{d.read})
	if err := migratePostgres(ctx, d.long); err != nil {
		return nil, errors.Join(fmt.Errorf("opening database at %s: %w", cfg.Host, err), d.Close())
	}
	return d, nil
}

func postgresConfig(address string, password secret.Text) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, errors.New("reading database address: it is not postgres://user@host:port/database?sslmode=…")
	}
	if password.Len() > 0 {
		cfg.Password = string(password.Reveal())
	}
	cfg.ConnectTimeout = pgDial
	for name, value := range map[string]string{"application_name": "mohor", "timezone": "UTC", "synchronous_commit": "on", "lock_timeout": pgLock,
		"idle_in_transaction_session_timeout": pgIdle, "default_transaction_isolation": "read committed"} {
		cfg.RuntimeParams[name] = value
	}
	return cfg, nil
}

func migratePostgres(ctx context.Context, db *sql.DB) error {
	sub, err := fs.Sub(migrations, "migrations/postgres")
	if err != nil {
		return err
	}
	one, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return fmt.Errorf("reading migrations: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, sub, goose.WithSessionLocker(one))
	if err != nil {
		return fmt.Errorf("reading migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrating: %w", err)
	}
	return nil
}

// queries runs the queries on db in the engine's own kind of parameters.
func (d *DB) queries(db sqlc.DBTX) *sqlc.Queries {
	if d.postgres {
		db = numbered{db}
	}
	return sqlc.New(db)
}

// begin begins a change and, on PostgreSQL, waits for its turn. SQLite's own
// transactions are immediate.
func (d *DB) begin(ctx context.Context) (*sql.Tx, error) {
	t, err := again(func() (*sql.Tx, error) { return d.write.BeginTx(ctx, nil) })
	if err != nil {
		return nil, fmt.Errorf("beginning transaction: %w", err)
	}
	if !d.postgres {
		return t, nil
	}
	if _, err := t.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", int64(oneWriter)); err != nil {
		return nil, errors.Join(fmt.Errorf("beginning transaction: %w", err), t.Rollback())
	}
	return t, nil
}

// numbered gives PostgreSQL $1 for ?1, and for a bare ?, as SQLite does, the number behind the
// largest before it. The queries hold no other question mark.
type numbered struct{ db sqlc.DBTX }

// dollars maps the generated queries, of which there are few, to their twins.
var dollars sync.Map

func dollar(query string) string {
	if s, ok := dollars.Load(query); ok {
		return s.(string)
	}
	parts, last := strings.Split(query, "?"), 0
	for k := 1; k < len(parts); k++ {
		digits := len(parts[k]) - len(strings.TrimLeft(parts[k], "0123456789"))
		if n, err := strconv.Atoi(parts[k][:digits]); err == nil {
			last = max(last, n)
		} else {
			last++
			parts[k] = strconv.Itoa(last) + parts[k]
		}
	}
	s := strings.Join(parts, "$")
	dollars.Store(query, s)
	return s
}

func (n numbered) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return n.db.ExecContext(ctx, dollar(query), args...)
}

func (n numbered) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	return n.db.PrepareContext(ctx, dollar(query))
}

func (n numbered) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return n.db.QueryContext(ctx, dollar(query), texts(args)...)
}

func (n numbered) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return n.db.QueryRowContext(ctx, dollar(query), texts(args)...)
}

// texts gives what is asked for as PostgreSQL can be asked: it takes neither NUL
// nor what is no UTF-8, and the answer is to be "no such row", as from SQLite. What
// is stored was checked before.
func texts(args []any) []any {
	out := slices.Clone(args)
	for k, a := range out {
		if s, ok := a.(string); ok {
			out[k] = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", "\uFFFD"), "\uFFFD")
		}
	}
	return out
}

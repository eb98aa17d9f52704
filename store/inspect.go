package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// Health is what Inspect found.
type Health struct {
	Schema  int64    // number of the last migration applied
	Current int64    // number of the last migration this program knows
	Damage  []string // what PRAGMA quick_check says, at most 10 lines; empty is well
}

// Inspect looks at the database at path and changes nothing: it makes no file
// and migrates nothing, so it may be used beside a running gateway and on a
// damaged file.
func Inspect(ctx context.Context, path string) (h Health, err error) {
	return inspect(ctx, path, "mode=ro", nil)
}

// InspectCopy is Inspect of a copy that nobody else has open, of the file without what lies beside
// it; seq and hash are of its last audit record.
func InspectCopy(ctx context.Context, path string) (h Health, seq int64, hash []byte, err error) {
	h, err = inspect(ctx, path, "mode=ro&immutable=1", func(db *sql.DB) error {
		err := db.QueryRowContext(ctx, "SELECT seq, hash FROM audit_events ORDER BY seq DESC LIMIT 1").Scan(&seq, &hash)
		if err != nil {
			return fmt.Errorf("reading its audit head: %w", err)
		}
		return nil
	})
	return h, seq, hash, err
}

func inspect(ctx context.Context, path, how string, more func(*sql.DB) error) (h Health, err error) {
	if _, err := os.Stat(path); err != nil {
		return h, fmt.Errorf("opening database: %w", err)
	}
	if h.Current, err = newest("migrations"); err != nil {
		return h, err
	}
	u := url.URL{Scheme: "file", Path: path}
	db, err := sql.Open("sqlite", u.String()+"?"+how+"&_pragma=busy_timeout(5000)&_pragma=query_only(1)")
	if err != nil {
		return h, fmt.Errorf("opening database: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.QueryRowContext(ctx, "SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version").Scan(&h.Schema); err != nil {
		return h, fmt.Errorf("reading schema version: %w", err)
	}
	rows, err := db.QueryContext(ctx, "PRAGMA quick_check(10)")
	if err != nil {
		return h, fmt.Errorf("checking database: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return h, fmt.Errorf("checking database: %w", err)
		}
		if line != "ok" {
			h.Damage = append(h.Damage, line)
		}
	}
	if err := rows.Err(); err != nil || more == nil {
		return h, err
	}
	return h, more(db)
}

// InspectPostgres does so with a PostgreSQL database; damage is the server's to
// find.
func InspectPostgres(ctx context.Context, address string, password secret.Text) (h Health, err error) {
	if h.Current, err = newest("migrations/postgres"); err != nil {
		return h, err
	}
	cfg, err := postgresConfig(address, password)
	if err != nil {
		return h, err
	}
	cfg.RuntimeParams["default_transaction_read_only"] = "on"
	db := stdlib.OpenDB(*cfg)
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.QueryRowContext(ctx, "SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version").Scan(&h.Schema); err != nil {
		return h, fmt.Errorf("reading schema version: %w", err)
	}
	return h, nil
}

// newest is the number of the last migration in a folder.
func newest(dir string) (number int64, err error) {
	names, err := migrations.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("reading migrations: %w", err)
	}
	for _, n := range names {
		var k int64
		if _, err := fmt.Sscanf(n.Name(), "%d_", &k); err == nil {
			number = max(number, k)
		}
	}
	return number, nil
}

// NewestTimes gives the latest times that somebody else's clock or an earlier
// one has left: of the last audit record and the latest notBefore of a
// certificate; zero when there is none.
func (d *DB) NewestTimes(ctx context.Context) (event, notBefore time.Time, err error) {
	at, err := d.q.NewestEventAt(ctx)
	if err == nil || errors.Is(err, sql.ErrNoRows) {
		var nb int64
		event = instant(at)
		nb, err = d.q.NewestNotBefore(ctx)
		notBefore = instant(nb)
	}
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	if err != nil {
		return event, notBefore, fmt.Errorf("reading the newest times: %w", err)
	}
	return event, notBefore, nil
}

// OfficersExpiring counts active officers' certificates that end from now on
// and before a time.
func (d *DB) OfficersExpiring(ctx context.Context, now, before time.Time) (int64, error) {
	n, err := d.q.OfficersExpiring(ctx, sqlc.OfficersExpiringParams{Now: micros(now), Before: micros(before)})
	if err != nil {
		return 0, fmt.Errorf("counting certificates: %w", err)
	}
	return n, nil
}

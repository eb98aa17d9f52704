package store_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/mohor-sign/mohor/store"
)

// A query that runs once more while its own rows are read, or after a read of them was cut
// off, gives what it should: its compiled form has one user at a time.
func TestQueryWithinItsOwnRows(t *testing.T) {
	db := sql.OpenDB(store.Connector(filepath.Join(t.TempDir(), "x.db")))
	defer db.Close()
	db.SetMaxOpenConns(1)
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec("CREATE TABLE n (v INTEGER)")
	const add, after = "-- name: Add :exec\nINSERT INTO n VALUES (?)", "-- name: After :many\nSELECT v FROM n WHERE v > ? ORDER BY v"
	for k := range 10 {
		exec(add, k)
	}
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	read := func(ctx context.Context, from int, each func(int)) (n int) {
		rows, err := tx.QueryContext(ctx, after, from)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var v int
			if err := rows.Scan(&v); err != nil {
				if ctx.Err() == nil {
					t.Fatal(err)
				}
				return n
			}
			if n++; v != from+n {
				t.Errorf("after %d came %d in place %d", from, v, n)
			}
			each(v)
		}
		return n
	}
	inner := func(v int) {
		if n := read(t.Context(), v, func(int) {}); n != 9-v {
			t.Errorf("%d values after %d", n, v)
		}
	}
	if n := read(t.Context(), -1, inner); n != 10 {
		t.Errorf("%d values", n)
	}
	cut, cancel := context.WithCancel(t.Context())
	read(cut, -1, func(int) { cancel() })
	if n := read(t.Context(), 4, inner); n != 5 {
		t.Errorf("%d values after a read that was cut off", n)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	exec("ALTER TABLE n ADD COLUMN w INTEGER") // what was compiled is for another schema
	exec("CREATE INDEX nv ON n (v)")
	if _, err := db.ExecContext(t.Context(), add, 10); err == nil {
		t.Error("a value for two columns was taken")
	}
	exec("DELETE FROM n WHERE v > 8")
	if tx, err = db.BeginTx(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	if n := read(t.Context(), 4, func(int) {}); n != 4 {
		t.Errorf("%d values after the schema changed", n)
	}
}

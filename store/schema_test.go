package store_test

import (
	"database/sql"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/mohor-sign/mohor/store/storetest"
)

// column is what both engines must agree on.
type column struct {
	table, name, kind string
	required          bool
}

func columns(t *testing.T, db *sql.DB, query string) (out []column) {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	kinds := map[string]string{"INTEGER": "integer", "BLOB": "bytes", "TEXT": "text", "REAL": "real",
		"bigint": "integer", "bytea": "bytes", "text": "text", "double precision": "real"}
	for rows.Next() {
		var c column
		if err := rows.Scan(&c.table, &c.name, &c.kind, &c.required); err != nil {
			t.Fatal(err)
		}
		c.kind = kinds[c.kind]
		out = append(out, c)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(out, func(a, b column) int { return strings.Compare(a.table+"."+a.name, b.table+"."+b.name) })
	return out
}

func names(t *testing.T, db *sql.DB, query string) (out []string) {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

// The two engines have the same tables, columns and indexes.
func TestSchemasAgree(t *testing.T) {
	_, address := storetest.Postgres(t)
	path := filepath.Join(t.TempDir(), "mohor.db")
	open(t, path)
	lite := raw(t, path)
	pg, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer pg.Close()
	// A text primary key of SQLite may be NULL unless it says otherwise.
	a := columns(t, lite, `SELECT m.name, c.name, c.type, c."notnull" <> 0 OR c.pk <> 0 FROM sqlite_master m, pragma_table_xinfo(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'goose%' AND m.name NOT LIKE 'sqlite%'`)
	b := columns(t, pg, `SELECT table_name, column_name, data_type, is_nullable = 'NO' FROM information_schema.columns
		WHERE table_schema = 'public' AND table_name NOT LIKE 'goose%' AND table_name NOT IN (SELECT viewname FROM pg_views)`)
	if len(a) < 100 || !slices.Equal(a, b) {
		for _, c := range a {
			if !slices.Contains(b, c) {
				t.Errorf("only SQLite has %+v", c)
			}
		}
		for _, c := range b {
			if !slices.Contains(a, c) {
				t.Errorf("only PostgreSQL has %+v", c)
			}
		}
	}
	x := names(t, lite, `SELECT name FROM sqlite_master WHERE type = 'index' AND name NOT LIKE 'sqlite%' AND name NOT LIKE 'goose%'`)
	y := names(t, pg, `SELECT indexname FROM pg_indexes WHERE schemaname = 'public' AND indexname NOT LIKE '%_pkey' AND indexname NOT LIKE '%_key' AND indexname NOT LIKE 'goose%'`)
	if len(x) < 10 || !slices.Equal(x, y) {
		t.Errorf("indexes of SQLite %q, of PostgreSQL %q", x, y)
	}
}

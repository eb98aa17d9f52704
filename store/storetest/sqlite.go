package storetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/mohor-sign/mohor/store"
)

// empty is a migrated SQLite database without a row, made once a process: the
// migrations are most of what a new database costs.
var empty = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "mohor-storetest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "empty.db")
	db, err := store.Open(context.Background(), path)
	if err != nil {
		return nil, err
	}
	if err := db.Unlock(context.Background(), PersonalKey()); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if err := db.Close(); err != nil {
		return nil, fmt.Errorf("closing template: %w", err)
	}
	return os.ReadFile(path)
})

// SQLite opens an empty database in a new folder, until the end of t, and says
// where its file is.
func SQLite(t testing.TB) (db *store.DB, path string) {
	t.Helper()
	template, err := empty()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "mohor.db")
	if err := os.WriteFile(path, template, 0o600); err != nil {
		t.Fatal(err)
	}
	return OpenSQLite(t, path), path
}

// PersonalKey is the key of personal fields in tests.
func PersonalKey() []byte { return []byte("no secret: everybody can read it") }

// OpenSQLite opens a database until the end of t.
func OpenSQLite(t testing.TB, path string) *store.DB {
	t.Helper()
	db, err := store.Open(context.Background(), path)
	if err == nil {
		err = db.Unlock(context.Background(), PersonalKey())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

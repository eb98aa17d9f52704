package storetest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"modernc.org/sqlite"

	"github.com/mohor-sign/mohor/store"
	"github.com/mohor-sign/mohor/store/personal"
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

// Captured is a SQLite database to one who has captured PersonalKey as well, until the end of t:
// personal columns are read in clear, and written as values of personal's types, or in SQL with
// sealed('kind', text); opened(column) is the reverse.
func Captured(t testing.TB, path string) *sql.DB {
	t.Helper()
	keys, err := personal.NewKeys(PersonalKey())
	if err != nil {
		t.Fatal(err)
	}
	lock := &personal.Lock{}
	lock.Unlock(keys)
	d := &sqlite.Driver{}
	d.MustRegisterScalarFunction("sealed", 2, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		return keys.Seal(fmt.Sprint(args[0]), fmt.Sprint(args[1])), nil
	})
	d.MustRegisterScalarFunction("opened", 1, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		plain, ok := keys.Open(fmt.Sprint(args[0]))
		if !ok {
			return nil, personal.ErrSealed
		}
		return plain, nil
	})
	db := sql.OpenDB(personal.Connector{Connector: file{"file:" + path + "?_pragma=busy_timeout(15000)", d}, Lock: lock})
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// file is a connector of SQLite.
type file struct {
	dsn    string
	driver *sqlite.Driver
}

func (f file) Connect(context.Context) (driver.Conn, error) { return f.driver.Open(f.dsn) }
func (f file) Driver() driver.Driver                        { return f.driver }

package storetest

import (
	"context"
	"testing"

	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/store"
	"github.com/mohor-sign/mohor/store/storetest/pgtest"
)

// Postgres opens an empty PostgreSQL database until the end of t, on the server
// that the tests of the process share, and gives its address.
func Postgres(t testing.TB) (db *store.DB, address string) {
	t.Helper()
	address, err := pgtest.Shared(t).Database(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return OpenPostgres(t, address), address
}

// OpenPostgres opens a database until the end of t.
func OpenPostgres(t testing.TB, address string) *store.DB {
	t.Helper()
	db, err := store.OpenPostgres(context.Background(), address, secret.Text{})
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

package store_test

import (
	"testing"

	"github.com/mohor-sign/mohor/store"
	"github.com/mohor-sign/mohor/store/storetest"
	"github.com/mohor-sign/mohor/store/storetest/pgtest"
)

func TestPostgres(t *testing.T) {
	pgtest.Shared(t)
	storetest.Exercise(t, func(t *testing.T) *store.DB {
		db, _ := storetest.Postgres(t)
		return db
	})
}

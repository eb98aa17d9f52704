package store_test

import (
	"crypto/sha256"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/store"
	"github.com/mohor-sign/mohor/store/storetest"
	"github.com/mohor-sign/mohor/store/storetest/pgtest"
)

// Migration 29 on data: secrets of before open what they did, and the tokens are asked for anew.
func TestAppsOfBeforeKeepTheirCredentials(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "mohor.db")
		old := raw(t, path)
		before(t, old, goose.DialectSQLite3, "migrations", 1)
		movedApps(t, open(t, path), old)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		address, err := pgtest.Shared(t).Database(t.Context())
		must(t, err)
		old, err := sql.Open("pgx", address)
		must(t, err)
		t.Cleanup(func() { _ = old.Close() })
		before(t, old, goose.DialectPostgres, "migrations/postgres", 5)
		movedApps(t, storetest.OpenPostgres(t, address), old)
	})
}

func hashOf(s string) []byte { h := sha256.Sum256([]byte(s)); return h[:] }

// before makes a database of the first version of a dialect, with apps.
func before(t *testing.T, old *sql.DB, dialect goose.Dialect, dir string, version int64) {
	t.Helper()
	p, err := goose.NewProvider(dialect, old, os.DirFS(dir))
	must(t, err)
	_, err = p.UpTo(t.Context(), version)
	must(t, err)
	const row = `INSERT INTO apps (id, name, systems, grants, pin_entry, rate, secret_hash, key_hash, created_at) VALUES ($1, 'n', '["S"]', $2, 'app', 50, $3, $4, 7)`
	for id, grants := range map[string]string{"plain": "null", "none": "[]", "raw": `["RAW"]`} {
		exec(t, old, row, id, grants, hashOf(id+" secret"), hashOf(id+" key"))
	}
	exec(t, old, "INSERT INTO tokens (hash, app_id, expires_at) VALUES ($1, 'raw', $2)", hashOf("token"), time.Now().Add(time.Hour).UnixMicro())
}

func movedApps(t *testing.T, db *store.DB, old *sql.DB) {
	t.Helper()
	apps := &enrol.Apps{Records: db, Now: time.Now, TokenFor: time.Hour}
	for id, grants := range map[string][]string{"plain": {"sign", "lookup", "verify"}, "none": {"sign", "lookup", "verify"}, "raw": {"sign", "lookup", "verify", "RAW"}} {
		a, err := apps.BySecret(t.Context(), id, id+" secret", nil)
		if err != nil || !slices.Equal(a.Grants, grants) || a.State != enrol.AppActive || a.PINEntry != enrol.PINInApp || len(a.RedirectURIs) != 0 {
			t.Errorf("%s: %+v, %v", id, a, err)
		}
		if _, _, err := apps.Token(t.Context(), a); err != nil {
			t.Errorf("%s: %v", id, err)
		}
		if a, err := apps.ByKey(t.Context(), id+" key", nil); err != nil || a.ID != id {
			t.Errorf("%s: %+v, %v", id, a, err)
		}
		if a, err := apps.ByBasic(t.Context(), id, id+" secret", nil); err != nil || a.ID != id {
			t.Errorf("%s: %+v, %v", id, a, err)
		}
		if list, err := db.AppCredentials(t.Context(), id); err != nil || len(list) != 3 {
			t.Errorf("%s: %+v, %v", id, list, err)
		}
	}
	for what, try := range map[string]func() error{
		"another's secret":  func() error { _, err := apps.BySecret(t.Context(), "raw", "none secret", nil); return err },
		"the key as secret": func() error { _, err := apps.BySecret(t.Context(), "raw", "raw key", nil); return err },
		"no secret":         func() error { _, err := apps.BySecret(t.Context(), "raw", "", nil); return err },
		"no key":            func() error { _, err := apps.ByKey(t.Context(), "", nil); return err },
		"an old token":      func() error { _, err := apps.ByToken(t.Context(), "token", nil); return err },
	} {
		if err := try(); !errors.Is(err, enrol.ErrUnknown) {
			t.Errorf("%s: %v", what, err)
		}
	}
	var left int
	must(t, old.QueryRow("SELECT count(*) FROM apps WHERE length(secret_hash) > 0 OR length(key_hash) = 32").Scan(&left))
	if left != 0 {
		t.Errorf("%d apps keep a hash in the old columns", left)
	}
}

// Migration 36 on data: what waits for an app that has ended is dropped, and nothing else.
func TestEventsOfEndedAppsAreDropped(t *testing.T) {
	fill := func(t *testing.T, old *sql.DB, dialect goose.Dialect, dir string, more ...goose.ProviderOption) {
		t.Helper()
		p, err := goose.NewProvider(dialect, old, os.DirFS(dir), more...)
		must(t, err)
		_, err = p.UpTo(t.Context(), 35)
		must(t, err)
		for _, state := range []string{"ACTIVE", "SUSPENDED", "ENDED"} {
			exec(t, old, `INSERT INTO apps (id, name, systems, grants, pin_entry, rate, secret_hash, key_hash, created_at, state) VALUES ($1, 'n', '["S"]', '[]', 'app', 50, $2, $3, 7, $4)`,
				state, hashOf(state+" secret"), hashOf(state+" key"), state)
			for _, e := range []string{"PENDING", "DELIVERED", "DEAD"} {
				exec(t, old, "INSERT INTO events (id, app_id, type, object, data, created_at, state, due_at) VALUES ($1, $2, 't', 'o', '{}', 7, $3, 7)", state+e, state, e)
			}
		}
	}
	look := func(t *testing.T, db *store.DB) {
		t.Helper()
		for app, want := range map[string]string{"ACTIVE": enrol.EventPending, "SUSPENDED": enrol.EventPending, "ENDED": enrol.EventDropped} {
			for was, want := range map[string]string{enrol.EventPending: want, enrol.EventDelivered: enrol.EventDelivered, enrol.EventDead: enrol.EventDead} {
				list, err := db.Deliveries(t.Context(), app, want, "", 9)
				if err != nil || !slices.ContainsFunc(list, func(d enrol.Delivery) bool { return d.ID == app+was }) {
					t.Errorf("%s%s is not %s: %+v, %v", app, was, want, list, err)
				}
			}
		}
	}
	t.Run("SQLite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "mohor.db")
		old := raw(t, path)
		fill(t, old, goose.DialectSQLite3, "migrations", goose.WithGoMigrations(store.KeyVersions()))
		look(t, open(t, path))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		address, err := pgtest.Shared(t).Database(t.Context())
		must(t, err)
		old, err := sql.Open("pgx", address)
		must(t, err)
		t.Cleanup(func() { _ = old.Close() })
		fill(t, old, goose.DialectPostgres, "migrations/postgres")
		look(t, storetest.OpenPostgres(t, address))
	})
}

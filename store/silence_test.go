package store_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store"
	"github.com/mohor-sign/mohor/store/storetest"
	"github.com/mohor-sign/mohor/store/storetest/pgtest"
)

// away: the errors that the API calls store_unavailable.
func away(err error) bool {
	var network net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, driver.ErrBadConn) || errors.As(err, &network)
}

// A server that hangs: all who ask are told so while it does, also those for whom
// no connection is left, and the same DB goes on when it does.
func TestPostgresThatHangs(t *testing.T) {
	s := pgtest.Start(t)
	address, err := s.Database(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	db := storetest.OpenPostgres(t, address)
	if err := db.PutMeta(t.Context(), "a", "1"); err != nil {
		t.Fatal(err)
	}
	if a, err := db.Meta(t.Context(), "a"); err != nil || a != "1" {
		t.Fatalf("before: %q, %v", a, err)
	}
	goOn, err := s.Stop()
	if err != nil {
		t.Fatal(err)
	}
	onward := sync.OnceFunc(func() {
		if err := goOn(); err != nil {
			t.Error(err)
		}
	})
	defer onward() // also when the test ends here
	var wg sync.WaitGroup
	for what, ask := range map[string]func() error{
		"a row":      func() error { _, err := db.Meta(t.Context(), "a"); return err },
		"rows":       func() error { _, err := db.KEKs(t.Context()); return err },
		"a snapshot": func() error { _, err := db.Credential(t.Context(), "900101145678", "IGFMAS", ""); return err },
		"pages":      func() error { return db.AuditRecords(t.Context(), 0, func(audit.Record) error { return nil }) },
		"iterating": func() (err error) {
			for _, e := range db.Pending(t.Context(), "b_1") {
				err = e
			}
			return err
		},
		"a sign of life": func() error { return db.Ping(t.Context()) },
		"a change":       func() error { return db.PutMeta(t.Context(), "b", "1") },
	} {
		for range 20 { // more than there may be connections
			wg.Go(func() {
				if err := ask(); !away(err) || errors.Is(err, signer.ErrUnknownOfficer) {
					t.Errorf("%s, from a server that hangs: %v", what, err)
				}
			})
		}
	}
	wg.Wait()
	onward()
	for {
		if a, err := db.Meta(t.Context(), "a"); err == nil && a == "1" {
			break
		}
	}
	for db.PutMeta(t.Context(), "c", "1") != nil {
	}
}

// What is long but not silent is read to its end.
func TestPostgresSilence(t *testing.T) {
	_, address := storetest.Postgres(t)
	const silence = 2 * time.Second
	db, err := store.OpenPool(address, silence)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), "SELECT repeat('x', 20000), pg_sleep(0.2 + 0 * k)::TEXT FROM generate_series(1, 15) k")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
	}
	if err := rows.Err(); err != nil || n != 15 {
		t.Errorf("%d rows, %v", n, err)
	}
	var x string
	if err := db.QueryRowContext(t.Context(), "SELECT 'x' FROM pg_sleep(3600)").Scan(&x); !away(err) {
		t.Errorf("silence: %q, %v", x, err)
	}
	if err := db.QueryRowContext(t.Context(), "SELECT 'x'").Scan(&x); err != nil || x != "x" {
		t.Errorf("then: %q, %v", x, err)
	}
	// The caller's own end comes first, at once.
	ctx, leave := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, leave)
	if err := db.QueryRowContext(ctx, "SELECT 'x' FROM pg_sleep(3600)").Scan(&x); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who left: %v", err)
	}
}

// Connections that the server has ended, as when it starts again, cost nobody an
// answer.
func TestPostgresBrokenConnections(t *testing.T) {
	db, address := storetest.Postgres(t)
	raw, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if err := db.PutMeta(t.Context(), "a", "1"); err != nil {
		t.Fatal(err)
	}
	ended := 0
	for range 20 {
		var wg sync.WaitGroup
		for range 4 { // so that several are idle
			wg.Go(func() {
				if _, err := db.Meta(t.Context(), "a"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		var n int
		err := raw.QueryRowContext(t.Context(), "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE application_name = 'mohor' AND datname = current_database()").Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		ended += n
		if a, err := db.Meta(t.Context(), "a"); err != nil || a != "1" {
			t.Errorf("a row: %q, %v", a, err)
		}
		if err := db.PutMeta(t.Context(), "b", "1"); err != nil {
			t.Errorf("a change: %v", err)
		}
		if _, err := db.Credential(t.Context(), "900101145678", "IGFMAS", ""); err == nil || strings.Contains(err.Error(), "terminating") || away(err) {
			t.Errorf("a snapshot: %v", err)
		}
	}
	if ended < 20 {
		t.Errorf("%d connections were ended", ended)
	}
}

package store_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/otp"

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

// Two processes append to one chain: every event has its place.
func TestPostgresKeepsOneChain(t *testing.T) {
	first, address := storetest.Postgres(t)
	nodes := []*store.DB{first, storetest.OpenPostgres(t, address)}
	const each, workers = 25, 8
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for range each {
				if err := nodes[w%2].Audit(t.Context(), audit.Event{At: time.Now(), Actor: "test", Action: "a", Object: "o", Verdict: audit.Noted}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	var last int64
	var prev [32]byte
	err := nodes[1].AuditRecords(t.Context(), 0, func(r audit.Record) error {
		if r.Seq != last+1 || r.Prev != prev || !r.Intact() {
			t.Errorf("record %d behind %d", r.Seq, last)
		}
		last, prev = r.Seq, r.Hash
		return nil
	})
	if err != nil || last != each*workers {
		t.Errorf("%d records, %v", last, err)
	}
}

// A server that crashes and starts again: what was committed is there, what was
// asked meanwhile is an error, and the same DB goes on.
func TestPostgresComesBack(t *testing.T) {
	s := pgtest.Start(t, "fsync=on")
	address, err := s.Database(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	db := storetest.OpenPostgres(t, address)
	if err := db.PutMeta(t.Context(), "a", "1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := db.PutMeta(t.Context(), "b", "2"); err == nil {
		t.Error("stored without a server")
	}
	if _, err := db.Meta(t.Context(), "a"); err == nil {
		t.Error("read without a server")
	}
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	if a, err := db.Meta(t.Context(), "a"); err != nil || a != "1" {
		t.Errorf("after the crash: %q, %v", a, err)
	}
	if err := db.PutMeta(t.Context(), "b", "2"); err != nil {
		t.Error(err)
	}
}

// A gateway that stands still within a change holds nobody up for ever: the
// server ends its connection, and what it had begun is not there.
func TestPostgresEndsAStandstill(t *testing.T) {
	db, address := storetest.Postgres(t)
	raw, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	holder := storetest.OpenPostgres(t, address)
	held, release := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- holder.Together(t.Context(), func(db *store.DB) error {
			err := db.PutMeta(t.Context(), "half", "1")
			close(held)
			<-release
			return err
		})
	}()
	<-held
	// What idle_in_transaction_session_timeout does, at once.
	var ended bool
	err = raw.QueryRow(`SELECT bool_or(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE state = 'idle in transaction' AND application_name = 'mohor'`).Scan(&ended)
	if err != nil || !ended {
		t.Fatalf("no connection stood still: %v, %v", ended, err)
	}
	if err := db.PutMeta(t.Context(), "whole", "1"); err != nil {
		t.Errorf("another change: %v", err)
	}
	close(release)
	if err := <-done; err == nil {
		t.Error("the half was committed")
	}
	if v, err := db.Meta(t.Context(), "half"); err != nil || v != "" {
		t.Errorf("half: %q, %v", v, err)
	}
}

// The clock of codes is the server's, whatever this machine's says.
func TestPostgresJudgesTime(t *testing.T) {
	db, _ := storetest.Postgres(t)
	h := storetest.NewHouse(t, db)
	db.Now = nil
	p := otp.DefaultPolicy()
	_, c, err := h.Signer(nil, nil).Prepare(t.Context(), h.Ask(1))
	if err != nil {
		t.Fatal(err)
	}
	if d := time.Since(c.IssuedAt).Abs(); d > time.Hour || c.ExpiresAt.Sub(c.IssuedAt) != p.TTL || c.ResendAfter.Sub(c.IssuedAt) != p.ResendAfter || c.TriesLeft != p.Tries {
		t.Errorf("%+v, %v off", c, d)
	}
	if _, err := db.ReserveTry(t.Context(), c.Transaction, c.Nonce); err != nil {
		t.Errorf("a live code: %v", err)
	}
	db.Now = func() time.Time { return c.ExpiresAt }
	if left, err := db.ReserveTry(t.Context(), c.Transaction, c.Nonce); !errors.Is(err, otp.ErrExpired) || left != p.Tries-1 {
		t.Errorf("at its end: %d left, %v", left, err)
	}
}

// Changes do not wait for readers, who may be slow: whoever holds the lock of all
// changes asks for nothing that another has.
func TestPostgresChangesNeedNoReader(t *testing.T) {
	db, _ := storetest.Postgres(t)
	h := storetest.NewHouse(t, db)
	_, c, err := h.Signer(nil, nil).Prepare(t.Context(), h.Ask(1))
	if err != nil {
		t.Fatal(err)
	}
	db.Now = nil
	release, err := store.HoldReaders(t.Context(), db)
	defer func() {
		if err := release(); err != nil {
			t.Error(err)
		}
	}()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := db.ReserveTry(ctx, c.Transaction, c.Nonce); !errors.Is(err, otp.ErrExpired) { // it was issued by the house's clock
		t.Errorf("a try: %v", err)
	}
	next := *c
	next.Nonce[0]++
	p := otp.DefaultPolicy()
	p.ResendAfter = 0
	if err := db.StoreChallenge(ctx, &next, p, audit.Event{At: time.Now(), Actor: "test", Action: "otp.issue", Object: c.Transaction, Verdict: audit.Accepted}); err != nil {
		t.Errorf("another code: %v", err)
	}
}

func TestPostgresAddresses(t *testing.T) {
	for _, bad := range []string{"postgres://%zz", "postgres://u:geheim@localhost:port/db"} {
		_, err := store.OpenPostgres(context.Background(), bad, secret.New("rahsia-22"))
		if err == nil || strings.Contains(err.Error(), "geheim") || strings.Contains(err.Error(), "rahsia") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	_, err := store.OpenPostgres(context.Background(), "postgres://u@127.0.0.1:1/db?sslmode=disable", secret.New("rahsia-22"))
	if err == nil || strings.Contains(err.Error(), "rahsia") {
		t.Errorf("nobody listens: %v", err)
	}
}

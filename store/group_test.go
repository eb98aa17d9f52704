package store_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/store"
	"github.com/mohor-sign/mohor/store/sqlc"
	"github.com/mohor-sign/mohor/store/storetest"
	"github.com/mohor-sign/mohor/store/storetest/pgtest"
)

// Changes that share commits: each is durable when it returns, one that fails leaves
// nothing, and there is one chain.
func TestChangesShareCommits(t *testing.T) {
	for engine, open := range map[string]func(t *testing.T) (db, other *store.DB){
		"SQLite": func(t *testing.T) (db, other *store.DB) {
			path := filepath.Join(t.TempDir(), "mohor.db")
			return open(t, path), open(t, path)
		},
		"PostgreSQL": func(t *testing.T) (db, other *store.DB) {
			pgtest.Shared(t)
			db, address := storetest.Postgres(t)
			return db, storetest.OpenPostgres(t, address)
		},
	} {
		t.Run(engine, func(t *testing.T) {
			db, other := open(t)
			// A change whose context ends belongs to no group: it must not take others with it.
			dead, cancel := context.WithCancel(t.Context())
			cancel()
			whole := context.WithoutCancel(t.Context())
			const good = 120
			var all sync.WaitGroup
			for k := range good {
				serial := audit.Event{At: time.Now(), Actor: "test", Action: "ca.reserve", Object: "o", Verdict: audit.Noted}
				row := ca.Certificate{Serial: fmt.Sprint("serial ", k), Issuer: "issuing", Status: ca.Reserved, NotBefore: time.Now(), NotAfter: time.Now(), Key: []byte{byte(k)}}
				all.Go(func() {
					if err := db.ReserveSerial(whole, row, serial); err != nil {
						t.Error(err)
					}
					if c, err := other.CertificateBySerial(whole, row.Serial); err != nil || c.Status != ca.Reserved {
						t.Errorf("%s is %q, %v: not durable when it returned", row.Serial, c.Status, err)
					}
					if err := db.ReserveSerial(whole, row, serial); err == nil {
						t.Errorf("%s was reserved twice", row.Serial)
					}
					if err := db.StoreCertificate(whole, "none", []byte{1}, serial); !errors.Is(err, ca.ErrUnknown) {
						t.Errorf("a number nobody reserved: %v", err)
					}
					if err := db.ReserveSerial(dead, ca.Certificate{Serial: "dead"}, serial); !errors.Is(err, context.Canceled) {
						t.Errorf("with a context that had ended: %v", err)
					}
				})
			}
			all.Wait()
			if n := len(storetest.Chain(t, other)); n != good {
				t.Errorf("%d records, want %d", n, good)
			}
		})
	}
}

// When a commit fails, all who share it are told.
func TestSharedCommitFails(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "mohor.db"))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if err := db.PutMeta(context.WithoutCancel(t.Context()), "a", "1"); err == nil {
				t.Error("stored in a database that is closed")
			}
		})
	}
	all.Wait()
}

// A change that panics fails alone: the process lives, the changes that share its commit are kept,
// and nobody finds its transaction open.
func TestPanicInAChange(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "mohor.db"))
	whole := context.WithoutCancel(t.Context())
	var all sync.WaitGroup
	for k := range 40 {
		all.Go(func() {
			if k%4 == 0 {
				if err := store.Change(whole, db, func() error { panic("a bug") }); err == nil || !strings.Contains(err.Error(), "a bug") {
					t.Errorf("panic: %v", err)
				}
			} else if err := db.PutMeta(whole, fmt.Sprint("fact ", k), "1"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for k := range 40 {
		if v, err := db.Meta(whole, fmt.Sprint("fact ", k)); err != nil || (v == "1") != (k%4 != 0) {
			t.Errorf("fact %d: %q, %v", k, v, err)
		}
	}
	func() {
		defer func() { _ = recover() }()
		_ = store.Change(t.Context(), db, func() error { panic("a bug") })
	}()
	if err := db.PutMeta(t.Context(), "after", "1"); err != nil {
		t.Error(err)
	}
}

// cut is a transaction whose connection is gone when a change is to be taken back.
type cut struct{ sqlc.DBTX }

var errCut = errors.New("connection reset")

func (cut) ExecContext(_ context.Context, query string, _ ...any) (sql.Result, error) {
	if strings.HasPrefix(query, "ROLLBACK TO") {
		return nil, errCut
	}
	return driver.ResultNoRows, nil
}

// When a change cannot be taken back, the others are told that nothing was kept, and not why that one
// failed.
func TestNobodyIsToldAStrangersVerdict(t *testing.T) {
	own := errors.New("already registered")
	kept := func() error { return nil }
	told := store.InTurn(cut{}, kept, func() error { return own }, kept)
	if !errors.Is(told[1], own) {
		t.Errorf("the one that failed is told %v", told[1])
	}
	for _, k := range []int{0, 2} {
		if !errors.Is(told[k], errCut) || errors.Is(told[k], own) {
			t.Errorf("member %d is told %v", k, told[k])
		}
	}
}

package signer_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store"
	"github.com/mohor-sign/mohor/store/storetest"
)

var ctx = context.Background()

// signOne signs one claimed document.
func signOne(s *signer.Signer, a *signer.Authorization, d signer.Claimed) (signer.Outcome, error) {
	out, err := s.Sign(ctx, a, []signer.Claimed{d}, nil)
	if err != nil {
		return signer.Outcome{}, err
	}
	return out[0], nil
}

// house is a gateway's signer on SQLite with keys in memory.
type house struct {
	*storetest.House
	s     *signer.Signer
	blobs *batch.Packs
	path  string
}

func openDB(t testing.TB, path string) *store.DB {
	t.Helper()
	return storetest.OpenSQLite(t, path)
}

// another is the house's database as another node has it.
func (h *house) another(t testing.TB) *store.DB {
	t.Helper()
	db := openDB(t, h.path)
	db.Now = h.Clock.Now
	return db
}

func newHouse(t testing.TB) *house {
	t.Helper()
	db, path := storetest.SQLite(t)
	h := &house{House: storetest.NewHouse(t, db), path: path, blobs: batch.NewPacks(openBlobs(t, t.TempDir()))}
	h.s = h.Signer(nil, h.blobs)
	return h
}

func openBlobs(t testing.TB, dir string) *store.Blobs {
	t.Helper()
	b, err := store.OpenBlobs(filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func (h *house) prepare(t testing.TB, a signer.Ask) (*signer.Request, signer.Confirmation) {
	t.Helper()
	r, c, err := h.s.Prepare(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	return r, h.Confirm(r, c)
}

func (h *house) authorize(t testing.TB, a signer.Ask) *signer.Authorization {
	t.Helper()
	_, f := h.prepare(t, a)
	auth, err := h.s.Authorize(ctx, f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { auth.Close() })
	return auth
}

// pin is the officer's counter.
func (h *house) pin(t testing.TB) signer.PINState {
	t.Helper()
	st, err := h.DB.PINState(ctx, storetest.IC)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func (h *house) tries(t testing.TB, r *signer.Request) int {
	t.Helper()
	c, err := h.DB.Challenge(ctx, r.ID)
	if err != nil {
		t.Fatal(err)
	}
	return c.TriesLeft
}

// refusals counts the audited refusals.
func (h *house) refusals(t testing.TB) (n int) {
	t.Helper()
	for _, r := range storetest.Chain(t, h.DB) {
		if r.Verdict == audit.Refused {
			n++
		}
	}
	return n
}

// refuses calls f, and wants the error, exactly one audited refusal with its
// reason, and no use of a key.
func (h *house) refuses(t testing.TB, what string, want error, f func() error) {
	t.Helper()
	before, signs := h.refusals(t), h.Keys.Signs.Load()
	err := f()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
	records := storetest.Chain(t, h.DB)
	if n := h.refusals(t) - before; n != 1 {
		t.Errorf("%s: %d refusals are in the audit, want 1", what, n)
	} else if last := records[len(records)-1]; last.Detail["reason"] != want.Error() {
		// A cancellation may follow the refusal.
		if last = records[len(records)-2]; last.Detail["reason"] != want.Error() {
			t.Errorf("%s: the reason in the audit is %q, want %q", what, last.Detail["reason"], want)
		}
	}
	if n := h.Keys.Signs.Load(); n != signs {
		t.Errorf("%s: the key was used", what)
	}
}

func wants(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// raw is somebody else's connection to the database.
func (h *house) raw(t testing.TB) *sql.DB {
	t.Helper()
	return storetest.Captured(t, h.path)
}

// edit changes rows behind the gateway's back; it must change some.
func (h *house) edit(t testing.TB, query string, args ...any) {
	t.Helper()
	res, err := h.raw(t).Exec(query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		t.Fatalf("%s changed %d rows, %v", query, n, err)
	}
}

// left is the AttemptsError's count, -1 when err is none.
func left(err error) int {
	var a *signer.AttemptsError
	if errors.As(err, &a) {
		return a.Left
	}
	return -1
}

// wrong is another code.
func wrong(code string) string { return string('0'+(code[0]-'0'+1)%10) + code[1:] }

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	p, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, p, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

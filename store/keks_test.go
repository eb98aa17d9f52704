package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/store"
	"github.com/mohor-sign/mohor/store/storetest"
)

func states(t *testing.T, db *store.DB) string {
	t.Helper()
	keks, err := db.KEKs(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	live, err := db.LiveByKEK(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, k := range keks {
		out = append(out, fmt.Sprintf("%s %s %d", strings.TrimPrefix(k.Label, "mohor-kek-"), k.State, live[k.Label]))
	}
	return strings.Join(out, ", ")
}

func TestKEKStates(t *testing.T) {
	ctx, path := context.Background(), filepath.Join(t.TempDir(), "mohor.db")
	h := storetest.NewHouse(t, open(t, path))
	db, edit := h.DB, raw(t, path)
	ev := audit.Event{At: time.Now(), Action: "test"}
	put := func(id, kek string) error {
		return db.PutCredential(ctx, enrol.Credential{ID: id, IC: storetest.IC, Sealed: []byte(`{"v":1,"kek":"` + kek + `"}`), Serial: h.Credential.Serial}, ev)
	}
	is := func(want string) {
		t.Helper()
		if got := states(t, db); got != want {
			t.Errorf("KEKs are %s, want %s", got, want)
		}
	}
	refused := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, store.ErrKEK) {
			t.Errorf("%s: %v", what, err)
		}
	}
	done := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	is("1 CURRENT 0")
	done(put("cr_1", "mohor-kek-1"))
	done(put("cr_2", "mohor-kek-1"))
	refused("switching to nothing", db.SwitchKEK(ctx, "mohor-kek-2", ev))
	done(db.BeginKEK(ctx, "mohor-kek-2", ev))
	is("1 CURRENT 2, 2 MAKING 0")
	if err := db.BeginKEK(ctx, "mohor-kek-3", ev); err == nil {
		t.Error("two KEKs are being made")
	}
	refused("a label again", db.BeginKEK(ctx, "mohor-kek-1", ev))
	refused("retiring one being made", db.BeginRetirement(ctx, "mohor-kek-2", ev))
	refused("retiring the current one", db.BeginRetirement(ctx, "mohor-kek-1", ev))
	done(db.SwitchKEK(ctx, "mohor-kek-2", ev, ev))
	is("1 OLD 2, 2 CURRENT 0")
	if label, err := db.CurrentKEK(ctx); err != nil || label != "mohor-kek-2" {
		t.Errorf("current is %s, %v", label, err)
	}
	done(put("cr_3", "mohor-kek-1")) // generated before the rotation, stored after it
	is("1 OLD 3, 2 CURRENT 0")
	refused("retiring one in use", db.BeginRetirement(ctx, "mohor-kek-1", ev))
	exec(t, edit, "UPDATE credentials SET status = 'REVOKED' WHERE id IN ('cr_1', 'cr_3')")
	exec(t, edit, "UPDATE credentials SET status = 'SUSPENDED' WHERE id = 'cr_2'")
	refused("retiring one whose credential is suspended", db.BeginRetirement(ctx, "mohor-kek-1", ev))
	exec(t, edit, `UPDATE credentials SET sealed = CAST('{"kek":"mohor-kek-2"}' AS BLOB) WHERE id = 'cr_2'`) // re-sealed
	is("1 OLD 0, 2 CURRENT 1")
	refused("ending what did not begin", db.EndRetirement(ctx, "mohor-kek-1", ev))
	done(db.BeginRetirement(ctx, "mohor-kek-1", ev))
	done(db.BeginRetirement(ctx, "mohor-kek-1", ev)) // after an interruption
	refused("a credential under a KEK being retired", put("cr_4", "mohor-kek-1"))
	done(db.EndRetirement(ctx, "mohor-kek-1", ev))
	refused("a credential under a retired KEK", put("cr_4", "mohor-kek-1"))
	done(db.BeginRetirement(ctx, "mohor-kek-1", ev)) // an old copy of the token brought it back
	done(db.EndRetirement(ctx, "mohor-kek-1", ev))
	refused("a retired label again", db.BeginKEK(ctx, "mohor-kek-1", ev))
	is("1 RETIRED 0, 2 CURRENT 1")
	done(db.BeginRetirement(ctx, "mohor-kek-5", ev)) // never recorded
	is("1 RETIRED 0, 2 CURRENT 1, 5 RETIRING 0")
	if _, err := db.Credential(ctx, storetest.IC, storetest.System, "cr_4"); err == nil {
		t.Error("the refused credential is there")
	}
	if live, err := db.LiveByKEK(ctx); err != nil || live[""] != 1 { // the house's own key is no sealed one
		t.Errorf("unreadable sealed keys: %v, %v", live, err)
	}
}

// A rotation whose last event cannot be written did not happen.
func TestSwitchKEKIsOneTransaction(t *testing.T) {
	ctx, path := context.Background(), filepath.Join(t.TempDir(), "mohor.db")
	db, edit := open(t, path), raw(t, path)
	if err := db.BeginKEK(ctx, "mohor-kek-2", audit.Event{Action: "begin"}); err != nil {
		t.Fatal(err)
	}
	exec(t, edit, "CREATE TRIGGER no_audit BEFORE INSERT ON audit_events WHEN NEW.action = 'second' BEGIN SELECT RAISE(ABORT, 'disk full'); END")
	if err := db.SwitchKEK(ctx, "mohor-kek-2", audit.Event{Action: "first"}, audit.Event{Action: "second"}); err == nil {
		t.Error("switched without its event")
	}
	if got := states(t, db); got != "1 CURRENT 0, 2 MAKING 0" {
		t.Errorf("KEKs are %s", got)
	}
	if n := len(storetest.Chain(t, db)); n != 1 {
		t.Errorf("%d events", n)
	}
}

// A database of before has its credentials counted under the KEK they name.
func TestKEKsMigration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mohor.db")
	old := raw(t, path)
	p, err := goose.NewProvider(goose.DialectSQLite3, old, os.DirFS("migrations"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	exec(t, old, "INSERT INTO officers (ic, name, email, created_at) VALUES ('1', 'x', 'x', 0)")
	exec(t, old, "INSERT INTO certificates (serial, issuer, subject, credential_id, status, der, not_before, not_after, created_at) VALUES ('1', '', '', '', 'ACTIVE', x'', 0, 0, 0)")
	for k, sealed := range []string{`{"v":1,"kek":"mohor-kek-1","blob":"eA=="}`, `{"kek":"mohor-kek-1"}`, `{"kek":"mohor-kek-4"}`, `{}`, `rubbish`, ``} {
		exec(t, old, "INSERT INTO credentials (id, ic, system, algorithm, version, sealed, serial, status, created_at) VALUES (?, '1', '', '', 1, ?, '1', 'ACTIVE', 0)", fmt.Sprint(k), []byte(sealed))
	}
	db := open(t, path)
	if got := states(t, db); got != "1 CURRENT 2" {
		t.Errorf("KEKs are %s", got)
	}
	if live, err := db.LiveByKEK(t.Context()); err != nil || fmt.Sprint(live) != "map[:3 mohor-kek-1:2 mohor-kek-4:1]" {
		t.Errorf("live credentials %v, %v", live, err)
	}
}

// Records of keys are found, in order, and one that was edited is not believed.
func TestKeyRecords(t *testing.T) {
	ctx, path := context.Background(), filepath.Join(t.TempDir(), "mohor.db")
	db := open(t, path)
	for _, action := range []string{"x", "hsm.key", "hsm.kek", "hsm.key", "x"} {
		if err := db.Audit(ctx, audit.Event{At: time.Now(), Action: action, Detail: map[string]string{"check": "1"}}); err != nil {
			t.Fatal(err)
		}
	}
	var seqs []int64
	read := func() error {
		seqs = nil
		return db.KeyRecords(ctx, func(r audit.Record) error { seqs = append(seqs, r.Seq); return nil })
	}
	if err := read(); err != nil || fmt.Sprint(seqs) != "[2 4]" {
		t.Errorf("read %v, %v", seqs, err)
	}
	exec(t, raw(t, path), `UPDATE audit_events SET detail = '{"check":"2"}' WHERE seq = 4`)
	if err := read(); !errors.Is(err, audit.ErrBroken) {
		t.Errorf("edited: %v", err)
	}
}

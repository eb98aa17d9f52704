package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/notify"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store"
	"github.com/mohor-sign/mohor/store/storetest"
)

func open(t *testing.T, path string) *store.DB {
	t.Helper()
	return storetest.OpenSQLite(t, path)
}

func TestSQLite(t *testing.T) {
	storetest.Exercise(t, func(t *testing.T) *store.DB { return open(t, filepath.Join(t.TempDir(), "mohor.db")) })
}

// raw is another program's connection to the same file.
func raw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(15000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func exec(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.Exec(query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// What was cleared is not left in the free space of the file, where a copy
// would find it beside the half that is elsewhere.
func TestClearedActivationIsGone(t *testing.T) {
	db, path := storetest.SQLite(t)
	h := storetest.NewHouse(t, db)
	in := storetest.RecordedIntent(t, h)
	holds := func() bool {
		exec(t, raw(t, path), "PRAGMA wal_checkpoint(TRUNCATE)")
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Contains(file, []byte(storetest.Activation[:40]))
	}
	if !holds() {
		t.Error("control: the file does not hold it")
	}
	if err := db.Abandon(context.Background(), in.ID, audit.Event{At: h.Clock.Now(), Action: "abandon"}); err != nil {
		t.Fatal(err)
	}
	if holds() {
		t.Error("the file still holds it")
	}
}

func TestOpenTwiceKeepsEverything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a name with spaces?.db")
	h := storetest.NewHouse(t, open(t, path))
	before := len(storetest.Chain(t, h.DB))
	// A second process has it open, too; both append to one chain.
	second := open(t, path)
	errs := make(chan error, 40)
	for k := range 40 {
		db := []*store.DB{h.DB, second}[k%2]
		go func() { errs <- db.Audit(context.Background(), audit.Event{At: time.Now(), Action: "x"}) }()
	}
	for range 40 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if n := len(storetest.Chain(t, second)); n != before+40 {
		t.Errorf("%d records, want %d", n, before+40)
	}
}

func TestOpenRefusesWhatIsNoDatabase(t *testing.T) {
	if _, err := store.Open(context.Background(), t.TempDir()); err == nil {
		t.Error("a directory was opened as a database")
	}
}

// Whatever one does to the rows behind the gateway's back, the chain says so.
func TestAuditChainFindsEditedRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mohor.db")
	h := storetest.NewHouse(t, open(t, path))
	storetest.Chain(t, h.DB) // control
	seal, err := h.Keys.Signer(context.Background(), "seal")
	if err != nil {
		t.Fatal(err)
	}
	seq, hash, err := h.DB.AuditHead(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	head, err := audit.SignHead(seal, seq, hash, h.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	edit := raw(t, path)
	for _, statement := range []string{
		"UPDATE audit_events SET at = at + 1 WHERE seq = 3",
		"UPDATE audit_events SET at = 'x' WHERE seq = 3",
		"UPDATE audit_events SET actor = actor || 'x' WHERE seq = 3",
		"UPDATE audit_events SET action = 'x' WHERE seq = 3",
		"UPDATE audit_events SET object = '' WHERE seq = 3",
		"UPDATE audit_events SET verdict = 'noted' WHERE seq = 3",
		"UPDATE audit_events SET request_id = 'x' WHERE seq = 3",
		`UPDATE audit_events SET detail = '{"z":"1"}' WHERE seq = 3`,
		"UPDATE audit_events SET detail = 'x' WHERE seq = 3",
		"UPDATE audit_events SET prev = zeroblob(32) WHERE seq = 3",
		"UPDATE audit_events SET hash = zeroblob(32) WHERE seq = 3",
		"UPDATE audit_events SET hash = x'00' WHERE seq = 3",
		"UPDATE audit_events SET seq = 9999 WHERE seq = 3",
		"UPDATE audit_events SET object = object || char(10) WHERE seq = 3",
		"UPDATE audit_events SET detail = char(13) || detail WHERE seq = 3",
		"UPDATE audit_events SET actor = substr(actor, 1, 20) || char(10) || substr(actor, 21) WHERE seq = 3",
		"DELETE FROM audit_events WHERE seq = 1",
		"DELETE FROM audit_events WHERE seq = 3",
		"DELETE FROM audit_events WHERE seq = (SELECT max(seq) FROM audit_events)",
		"DELETE FROM audit_events",
		"UPDATE audit_events SET (actor, action, object) = (SELECT actor, action, object FROM audit_events WHERE seq = 5) WHERE seq = 4",
		"INSERT INTO audit_events SELECT seq + 1, at, actor, action, object, verdict, request_id, detail, prev, hash FROM audit_events WHERE seq = (SELECT max(seq) FROM audit_events)",
	} {
		exec(t, edit, "CREATE TABLE kept AS SELECT * FROM audit_events")
		exec(t, edit, statement)
		v := audit.NewVerifier([]audit.Head{head})
		err := h.DB.AuditRecords(context.Background(), 0, v.Add)
		if err == nil {
			_, _, err = v.Finish()
		}
		var broken *audit.BrokenError
		if !errors.Is(err, audit.ErrBroken) || !errors.As(err, &broken) || broken.Seq < 1 {
			t.Errorf("%s: %v", statement, err)
		}
		exec(t, edit, "DELETE FROM audit_events")
		exec(t, edit, "INSERT INTO audit_events SELECT * FROM kept")
		exec(t, edit, "DROP TABLE kept")
		storetest.Chain(t, h.DB) // control
	}
}

// What is damaged keeps nobody from reading what stands before it and behind it, and has a kind by
// which words are chosen; the chain stays broken.
func TestRecordsAroundADamagedOneAreRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mohor.db")
	h := storetest.NewHouse(t, open(t, path))
	all := storetest.Chain(t, h.DB)
	at := all[len(all)/2].Seq
	edit := raw(t, path)
	for statement, kind := range map[string]string{
		"UPDATE audit_events SET object = '~object:AAAA' WHERE seq = ?1":   audit.Sealed,
		"UPDATE audit_events SET object = 'officer:nobody' WHERE seq = ?1": audit.Clear,
		"UPDATE audit_events SET at = 'x' WHERE seq = ?1":                  audit.Columns,
		"UPDATE audit_events SET hash = zeroblob(0) WHERE seq = ?1":        audit.Columns,
		"UPDATE audit_events SET action = action || '.x' WHERE seq = ?1":   audit.Edited,
		"UPDATE audit_events SET seq = 100000 + ?1 WHERE seq = ?1":         audit.Missing,
	} {
		exec(t, edit, "CREATE TABLE kept AS SELECT * FROM audit_events")
		exec(t, edit, statement, at)
		var broken *audit.BrokenError
		n := int64(0)
		v := audit.NewVerifier(nil)
		err := h.DB.AuditRecords(t.Context(), 0, func(r audit.Record) error {
			if err := v.Add(r); err != nil {
				return err
			}
			n = r.Seq
			return nil
		})
		if !errors.As(err, &broken) || broken.Seq != at || broken.Kind != kind || n != at-1 {
			t.Errorf("%s: read up to %d of %d, then %v (%+v)", statement, n, at, err, broken)
		}
		rec, err := h.DB.AuditRecord(t.Context(), at)
		if broken = nil; kind != audit.Edited && kind != audit.Missing && (!errors.As(err, &broken) || broken.Seq != at || broken.Kind != kind) ||
			kind == audit.Edited && (err != nil || rec.Intact()) || kind == audit.Missing && !errors.Is(err, enrol.ErrUnknown) {
			t.Errorf("%s: %v", statement, err)
		}
		if rec, err := h.DB.AuditRecord(t.Context(), at+1); err != nil || !rec.Intact() {
			t.Errorf("%s: the one behind it: %v", statement, err)
		}
		if _, _, err := h.DB.SearchAudit(t.Context(), enrol.AuditRead{From: all[0].At, Limit: 50}); err != nil {
			t.Errorf("%s: searching: %v", statement, err)
		}
		exec(t, edit, "DELETE FROM audit_events")
		exec(t, edit, "INSERT INTO audit_events SELECT * FROM kept")
		exec(t, edit, "DROP TABLE kept")
	}
}

// Who an old chain is about is entered at an Unlock, and the next one goes on where it ended.
func TestIndexOfAnOldChainGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mohor.db")
	h := storetest.NewHouse(t, open(t, path))
	for range 3 {
		if err := h.DB.Audit(t.Context(), audit.Event{At: h.Clock.Now(), Actor: "test", Action: "t.read", Object: "officer:790308100009"}); err != nil {
			t.Fatal(err)
		}
	}
	all := storetest.Chain(t, h.DB)
	end := all[len(all)-1].Seq
	edit := raw(t, path)
	state := func() (left string, entered []int64) {
		t.Helper()
		if err := edit.QueryRow("SELECT COALESCE((SELECT value FROM meta WHERE name = 'audit_unindexed'), '')").Scan(&left); err != nil {
			t.Fatal(err)
		}
		seqs, _, err := h.DB.SearchAudit(t.Context(), enrol.AuditRead{About: "790308100009", Limit: 50})
		if err != nil {
			t.Fatal(err)
		}
		return left, seqs
	}
	exec(t, edit, "DELETE FROM audit_about")
	exec(t, edit, "INSERT INTO meta (name, value) VALUES ('audit_unindexed', ?)", fmt.Sprint(end))
	exec(t, edit, "CREATE TABLE kept AS SELECT * FROM audit_events WHERE seq = ?", end)
	exec(t, edit, "UPDATE audit_events SET object = 'x' WHERE seq = ?", end)
	open(t, path)
	if left, entered := state(); left != fmt.Sprintf("%d %d", end, end-1) || !slices.Equal(entered, []int64{end - 1, end - 2}) {
		t.Errorf("before what cannot be read: %q, %v of %d", left, entered, end)
	}
	// What was entered is not read again.
	exec(t, edit, "DELETE FROM audit_about")
	exec(t, edit, "DELETE FROM audit_events WHERE seq = ?", end)
	exec(t, edit, "INSERT INTO audit_events SELECT * FROM kept")
	open(t, path)
	if left, entered := state(); left != "" || !slices.Equal(entered, []int64{end}) {
		t.Errorf("at the end: %q, %v of %d", left, entered, end)
	}
}

func TestAppendsBehindNoBrokenHead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mohor.db")
	h := storetest.NewHouse(t, open(t, path))
	exec(t, raw(t, path), "UPDATE audit_events SET hash = x'00' WHERE seq = (SELECT max(seq) FROM audit_events)")
	for _, ctx := range []context.Context{t.Context(), context.WithoutCancel(t.Context())} {
		if err := h.DB.Audit(ctx, audit.Event{At: h.Clock.Now(), Actor: "test", Action: "x"}); !errors.Is(err, audit.ErrBroken) {
			t.Errorf("appended: %v", err)
		}
	}
}

func TestAuditRecordsReadsInPages(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mohor.db")
	early, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if seq, hash, err := early.AuditHead(context.Background()); seq != 0 || hash != [32]byte{} || err != nil {
		t.Fatalf("head of an empty chain: %d %x %v", seq, hash, err)
	}
	if err := early.Close(); err != nil {
		t.Fatal(err)
	}
	// 2,345 records in one transaction, as Next makes them.
	tx, err := raw(t, path).Begin()
	if err != nil {
		t.Fatal(err)
	}
	var r audit.Record
	for k := range 2345 {
		r = audit.Next(r.Seq, r.Hash, nil, audit.Event{At: time.Unix(int64(k+1), 0), Action: fmt.Sprint(k), Detail: map[string]string{}})
		if _, err := tx.Exec("INSERT INTO audit_events VALUES (?,?,?,?,?,?,?,?,?,?)", r.Seq, r.At.UnixMicro(), "", r.Action, "", "", "", "{}", r.Prev[:], r.Hash[:]); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	// As an earlier release has left them; they are encrypted when the database is unlocked.
	if n := len(storetest.Chain(t, open(t, path))); n != 2345 {
		t.Errorf("%d records were read", n)
	}
}

// Invariant 4: no audit, no action. Every change of the store fails, and leaves
// nothing behind, while its event cannot be written.
func TestNothingHappensWithoutItsEvent(t *testing.T) {
	ctx, path := context.Background(), filepath.Join(t.TempDir(), "mohor.db")
	h := storetest.NewHouse(t, open(t, path))
	s := h.Signer(nil, nil)
	r, c, err := s.Prepare(ctx, h.Ask(2))
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.Authorize(ctx, h.Confirm(r, c))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	claimed, err := s.Claim(ctx, a, 2)
	if err != nil || len(claimed) != 2 {
		t.Fatalf("%d claimed, %v", len(claimed), err)
	}
	out := []signer.Outcome{{Index: 0, Attempt: 1, Signature: []byte("x")}, {Index: 1, Attempt: 1, Signature: []byte("x")}}
	if err := h.DB.CreateBatch(ctx, batch.Batch{ID: "ba", App: h.App.ID, Name: "b", Kind: batch.Digest, Status: batch.Open}, audit.Event{Action: "x"}); err != nil {
		t.Fatal(err)
	}
	r2, c2, err := s.Prepare(ctx, h.Ask(1))
	if err != nil {
		t.Fatal(err)
	}

	appointed(h.DB, h.Clock.Now())
	edit := raw(t, path)
	dump := func() string {
		var all string
		for _, table := range []string{"accounts", "appointments", "passkeys", "sessions", "officers", "phones", "officer_requests", "logins", "media", "certificates", "credentials", "crls", "apps", "documents", "batches", "items", "refused_rows", "transactions", "challenges", "code_sends", "notices", "intents", "keks", "audit_events"} {
			rows, err := edit.Query("SELECT * FROM " + table)
			if err != nil {
				t.Fatal(err)
			}
			cols, _ := rows.Columns()
			for rows.Next() {
				row, at := make([]any, len(cols)), make([]any, len(cols))
				for k := range row {
					at[k] = &row[k]
				}
				if err := rows.Scan(at...); err != nil {
					t.Fatal(err)
				}
				all += fmt.Sprintln(table, row)
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
		}
		return all
	}
	exec(t, edit, "CREATE TRIGGER no_audit BEFORE INSERT ON audit_events BEGIN SELECT RAISE(ABORT, 'disk full'); END")
	all := changes(h, r2, a.Intent, out)
	before := dump()
	for name, call := range all {
		if err := call(ctx); err == nil {
			t.Errorf("%s was done without its event", name)
		}
		if after := dump(); after != before {
			t.Fatalf("%s left a trace without its event", name)
		}
	}
	confirm := h.Confirm(r2, c2)
	if _, err := s.Authorize(ctx, confirm); err == nil {
		t.Error("authorised without an event")
	}
	exec(t, edit, "DROP TRIGGER no_audit")
	// Control: each of them works with its event, but for what excludes another.
	if a2, err := s.Authorize(ctx, confirm); err != nil {
		t.Errorf("after the fault: %v", err)
	} else if err := a2.Close(); err != nil {
		t.Error(err)
	}
	if done, err := s.Complete(ctx, a, out); err != nil || !done {
		t.Errorf("after the fault: %v, %v", done, err)
	}
	if dump() == before {
		t.Error("the dump does not show changes")
	}
}

// A thousand officers to a commit: all of them or none, one chain, seen from outside only at the end.
func TestTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mohor.db")
	h := storetest.NewHouse(t, open(t, path))
	other := open(t, path)
	before := len(storetest.Chain(t, h.DB))
	broken := errors.New("broken")
	put := func(db *store.DB, k int) error {
		ic := fmt.Sprintf("800101149%03d", k)
		return db.PutOfficer(t.Context(), enrol.Officer{IC: ic, Name: "PEGAWAI", Email: "a@b.example"}, storetest.System, enrol.RoamingOTP,
			audit.Event{At: time.Now(), Actor: "test", Action: "enrol.officer", Object: ic, Verdict: audit.Accepted})
	}
	known := func(db *store.DB) bool {
		_, _, err := db.Officer(t.Context(), "800101149007")
		return err == nil
	}
	for name, f := range map[string]func(*store.DB) error{
		"an error of its own":     func(*store.DB) error { return broken },
		"a change that failed":    func(db *store.DB) error { return db.StoreCertificate(t.Context(), "1", nil, audit.Event{}) },
		"a failure nobody minded": func(db *store.DB) error { _ = db.StoreCertificate(t.Context(), "1", nil, audit.Event{}); return nil },
		"one within another":      func(db *store.DB) error { return db.Together(t.Context(), func(*store.DB) error { return nil }) },
	} {
		err := h.DB.Together(t.Context(), func(db *store.DB) error { return errors.Join(put(db, 7), f(db)) })
		if err == nil || known(h.DB) {
			t.Errorf("%s: %v, officer kept %t", name, err, known(h.DB))
		}
	}
	err := h.DB.Together(t.Context(), func(db *store.DB) error {
		errs := make(chan error, 50)
		for k := range 50 {
			go func() { errs <- put(db, k) }()
		}
		var err error
		for range 50 {
			err = errors.Join(err, <-errs)
		}
		if !known(db) || known(h.DB) || known(other) {
			t.Errorf("before the commit the officer is known inside %t, outside %t %t", known(db), known(h.DB), known(other))
		}
		return err
	})
	if err != nil || !known(other) {
		t.Errorf("%v, officer known %t", err, known(other))
	}
	if n := len(storetest.Chain(t, other)); n != before+50 {
		t.Errorf("%d records, want %d", n, before+50)
	}
}

// A question about an officer that cannot be answered keeps no other mail waiting, and is answered,
// with its event, when it can be.
func TestNoticeThatCannotBeAnsweredStepsAside(t *testing.T) {
	ctx, path := context.Background(), filepath.Join(t.TempDir(), "mohor.db")
	h := storetest.NewHouse(t, open(t, path))
	claim := func() (notify.Notice, bool, error) { return h.DB.ClaimNotice(ctx, time.Minute) }
	for {
		n, ok, err := claim()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		if err := h.DB.FinishNotice(ctx, n); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.DB.AskStatus(ctx, storetest.IC, h.Clock.Now()); err != nil {
		t.Fatal(err)
	}
	h.Clock.Advance(time.Second)
	if err := h.DB.AuditLock(ctx, storetest.IC, signer.PINState{Blocked: true}, audit.Event{Action: "lock", At: h.Clock.Now()}); err != nil {
		t.Fatal(err)
	}
	edit := raw(t, path)
	exec(t, edit, `CREATE TRIGGER broken BEFORE INSERT ON audit_events WHEN NEW.action = 'officer.status' BEGIN SELECT RAISE(ABORT, 'broken'); END`)
	if n, ok, err := claim(); err == nil || ok {
		t.Fatalf("%+v, %v, %v", n, ok, err)
	}
	if n, ok, err := claim(); err != nil || !ok || n.Kind != notify.PINBlocked {
		t.Fatalf("behind it: %+v, %v, %v", n, ok, err)
	} else if err := h.DB.FinishNotice(ctx, n); err != nil {
		t.Fatal(err)
	}
	if n, ok, err := claim(); err != nil || ok {
		t.Errorf("at once again: %+v, %v, %v", n, ok, err)
	}
	exec(t, edit, `DROP TRIGGER broken`)
	h.Clock.Advance(time.Minute)
	if n, ok, err := claim(); err != nil || !ok || n.Kind != notify.StatusAsked || n.Attempt != 1 || n.Detail["progress"] == "" {
		t.Errorf("when it can be: %+v, %v, %v", n, ok, err)
	}
	var told int
	if err := edit.QueryRow(`SELECT COUNT(*) FROM audit_events WHERE action = 'officer.status'`).Scan(&told); err != nil || told != 1 {
		t.Errorf("%d events, %v", told, err)
	}
}

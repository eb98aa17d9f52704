package store_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store"
	"github.com/mohor-sign/mohor/store/storetest"
)

// Threats, row 1: two nodes on one database grant five tries between them.
func TestTwoNodesCountOnePIN(t *testing.T) {
	ctx, path := context.Background(), filepath.Join(t.TempDir(), "mohor.db")
	h := storetest.NewHouse(t, open(t, path))
	nodes := []*store.DB{h.DB, open(t, path)}
	start, errs := make(chan struct{}), make(chan error, 200)
	for k := range 200 {
		go func() {
			<-start
			_, err := nodes[k%2].CountPIN(ctx, storetest.IC, signer.DefaultPINPolicy(), h.Clock.Now())
			errs <- err
		}()
	}
	close(start)
	granted := 0
	for range 200 {
		switch err := <-errs; {
		case err == nil:
			granted++
		case err.Error() != signer.ErrPINLocked.Error():
			t.Error(err)
		}
	}
	if granted != 5 {
		t.Errorf("%d of 200 tries were granted, want 5", granted)
	}
}

// Who writes the database and brings back a key that was destroyed, hiding the event that says so
// from look-ups, breaks the chain; not hiding it, the key's row is told.
func TestDestroyedKeyBroughtBackIsFound(t *testing.T) {
	ctx := context.Background()
	for name, hide := range map[string]string{
		"newline":    "UPDATE audit_events SET object = object || char(10) WHERE action = 'key.destroy'",
		"return":     "UPDATE audit_events SET object = '~object:' || char(13) || substr(object, 9) WHERE action = 'key.destroy'",
		"clear":      "UPDATE audit_events SET object = ?1 WHERE action = 'key.destroy'",
		"not hidden": "",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "mohor.db")
			h := storetest.NewHouse(t, open(t, path))
			id, old := h.Credential.ID, bytes.Clone(h.Credential.Sealed)
			if err := h.DB.Revoke(ctx, h.Credential.Serial, h.Clock.Now(), 1, audit.Event{At: h.Clock.Now(), Actor: "test", Action: "ca.revoke"}); err != nil {
				t.Fatal(err)
			}
			if err := h.DB.Accounted(ctx); err != nil {
				t.Errorf("control: %v", err)
			}
			db := raw(t, path)
			if _, err := db.Exec("UPDATE credentials SET status = 'ACTIVE', sealed = ?2 WHERE id = ?1", id, old); err != nil {
				t.Fatal(err)
			}
			if hide == "" {
				if err := h.DB.Accounted(ctx); !errors.Is(err, store.ErrUnaccounted) {
					t.Errorf("Accounted: %v", err)
				}
				return
			}
			if _, err := db.Exec(hide, id); err != nil {
				t.Fatal(err)
			}
			v := audit.NewVerifier(nil)
			if err := h.DB.AuditRecords(ctx, 0, v.Add); !errors.Is(err, audit.ErrBroken) {
				t.Errorf("the chain verifies: %v", err)
			}
		})
	}
}

// The history of a key is found by an index that holds key events alone.
func TestKeyHistoryIsIndexed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mohor.db")
	open(t, path)
	rows, err := raw(t, path).Query("EXPLAIN QUERY PLAN SELECT seq, detail FROM audit_events WHERE object = ? AND action IN ('key.version', 'key.destroy', 'key.hold', 'key.release') ORDER BY seq", "x")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan string
	for rows.Next() {
		var a, b, c int
		var step string
		if err := rows.Scan(&a, &b, &c, &step); err != nil {
			t.Fatal(err)
		}
		plan += step + "\n"
	}
	if err := rows.Err(); err != nil || !strings.Contains(plan, "USING INDEX audit_key_events (object=?)") || strings.Contains(plan, "TEMP B-TREE") {
		t.Errorf("plan: %s %v", plan, err)
	}
}

// What is destroyed is in no file of the database any more: neither the key of
// a revoked certificate nor the one sealed under an old PIN.
func TestDestroyedKeysLeaveNoBytes(t *testing.T) {
	ctx, path := context.Background(), filepath.Join(t.TempDir(), "mohor.db")
	h := storetest.NewHouse(t, open(t, path))
	reader := open(t, path) // somebody else has it open
	ev := audit.Event{At: h.Clock.Now(), Actor: "test", Action: "x"}
	const n = 60
	keys := make([][]byte, n) // a marker every 16 bytes
	fresh := func(k, size int) []byte {
		var seed [8]byte
		_, _ = rand.Read(seed[:])
		var b []byte
		for len(b) < size {
			b = append(b, seed[:]...)
			b = binary.BigEndian.AppendUint64(b, uint64(k))
		}
		return b
	}
	for k := range n {
		serial := fmt.Sprint(1000 + k)
		keys[k] = fresh(k, []int{360, 1900, 3500}[k%3]) // ECDSA, RSA-2048, RSA-4096
		must(t, h.DB.ReserveSerial(ctx, ca.Certificate{Serial: serial, Issuer: ca.Issuing}, ev))
		must(t, h.DB.StoreCertificate(ctx, serial, []byte{1}, ev))
		must(t, h.DB.PutCredential(ctx, enrol.Credential{ID: "cr_" + serial, IC: storetest.IC, System: "S", Algorithm: "x", Version: 1, Sealed: keys[k], Serial: serial, CreatedAt: h.Clock.Now()}, ev))
	}
	found := func(key []byte) bool {
		for _, name := range []string{path, path + "-wal"} {
			p, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for at := 0; at+16 <= len(key); at += 16 {
				if bytes.Contains(p, key[at:at+16]) {
					return true
				}
			}
		}
		return false
	}
	for k := range keys {
		if !found(keys[k]) {
			t.Fatalf("control: live key %d is not found", k)
		}
	}
	gone := map[int]bool{}
	var old [][]byte
	for k := range keys {
		switch k % 4 {
		case 0:
			must(t, h.DB.Revoke(ctx, fmt.Sprint(1000+k), h.Clock.Now(), 1, ev))
			gone[k] = true
		case 1:
			next := fresh(k, len(keys[k]))
			must(t, h.DB.Reseal(ctx, "cr_"+fmt.Sprint(1000+k), 1, next, ev))
			old, keys[k] = append(old, keys[k]), next
		}
	}
	if _, err := reader.AppByID(ctx, h.App.ID); err != nil {
		t.Error(err)
	}
	for k := range keys {
		if found(keys[k]) == gone[k] {
			t.Errorf("key %d: destroyed %v, found %v", k, gone[k], !gone[k])
		}
	}
	for k := range old {
		if found(old[k]) {
			t.Errorf("the key under old PIN %d is found", k)
		}
	}
	t.Logf("%d keys destroyed, %d sealed anew, 0 bytes of them found in database and log", len(gone), len(old))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Migration 2 on data: keys sealed before there were key versions get theirs,
// keys of revoked certificates are destroyed, and the chain holds.
func TestKeysOfTheFirstSchemaGetTheirVersions(t *testing.T) {
	ctx, path := context.Background(), filepath.Join(t.TempDir(), "mohor.db")
	first, err := os.ReadFile("migrations/00001_init.sql")
	must(t, err)
	db := raw(t, path)
	p, err := goose.NewProvider(goose.DialectSQLite3, db, fstest.MapFS{"00001_init.sql": {Data: first}})
	must(t, err)
	_, err = p.Up(ctx)
	must(t, err)
	db.SetMaxOpenConns(1)
	exec(t, db, "BEGIN")
	exec(t, db, "INSERT INTO officers (ic, name, email, created_at) VALUES ('900101145678', 'A', 'a@x', 1)")
	exec(t, db, "INSERT INTO media VALUES ('900101145678', 'S', 'ROAMING_OTP', 'ACTIVE')")
	for k := range 603 {
		status := []string{"ACTIVE", "REVOKED", "SUSPENDED"}[k%3]
		exec(t, db, "INSERT INTO certificates (serial, issuer, subject, credential_id, status, der, not_before, not_after, created_at) VALUES (?, 'issuing', '', '', ?, x'01', 1, 2, 1)", fmt.Sprint(k), status)
		exec(t, db, "INSERT INTO credentials VALUES (?, '900101145678', 'S', 'RSA-2048', 1, ?, ?, ?, 1)", fmt.Sprintf("cr_%d", k), fmt.Appendf(nil, "sealed %d", k), fmt.Sprint(k), status)
	}
	r := audit.Next(0, [32]byte{}, nil, audit.Event{At: time.Unix(1, 0), Action: "enrol.credential"})
	exec(t, db, "INSERT INTO audit_events VALUES (?,?,?,?,?,?,?,?,?,?)", r.Seq, r.At.UnixMicro(), "", r.Action, "", "", "", "{}", r.Prev[:], r.Hash[:])
	exec(t, db, "COMMIT")
	must(t, db.Close())

	events := func() map[string]audit.Record {
		out := map[string]audit.Record{}
		for _, r := range storetest.Chain(t, open(t, path)) {
			if _, twice := out[r.Object]; twice {
				t.Errorf("%s has two events", r.Object)
			}
			out[r.Object] = r
		}
		return out
	}
	got := events()
	if len(got) != 604 {
		t.Fatalf("%d events", len(got))
	}
	db = raw(t, path)
	for k := range 603 {
		id := fmt.Sprintf("cr_%d", k)
		var sealed []byte
		must(t, db.QueryRow("SELECT sealed FROM credentials WHERE id = ?", id).Scan(&sealed))
		want := fmt.Sprintf("key.version 1 %x sealed %d", sha256.Sum256(fmt.Appendf(nil, "sealed %d", k)), k)
		if k%3 == 1 {
			want = "key.destroy 1  "
		}
		if have := fmt.Sprintf("%s %s %s %s", got[id].Action, got[id].Detail["version"], got[id].Detail["sha256"], sealed); have != want {
			t.Fatalf("%s: %q, want %q", id, have, want)
		}
	}
	if again := events(); len(again) != 604 {
		t.Errorf("opened again: %d events", len(again))
	}
}

// The administrators of before accounts have one each, without a way to log in yet.
func TestAdministratorsOfTheFirstSchemaBecomeAccounts(t *testing.T) {
	ctx, path := context.Background(), filepath.Join(t.TempDir(), "mohor.db")
	first, err := os.ReadFile("migrations/00001_init.sql")
	must(t, err)
	db := raw(t, path)
	p, err := goose.NewProvider(goose.DialectSQLite3, db, fstest.MapFS{"00001_init.sql": {Data: first}})
	must(t, err)
	_, err = p.Up(ctx)
	must(t, err)
	exec(t, db, "INSERT INTO administrators VALUES ('a@x', 'A', 'JDN', 1000000), ('b@x', 'B', 'SAP', 2000000)")
	must(t, db.Close())
	list, err := open(t, path).Administrators(ctx)
	if err != nil || len(list) != 2 || list[0].Email != "a@x" || list[1].Name != "B" {
		t.Fatalf("%+v, %v", list, err)
	}
	for k, a := range list {
		if a.IC != "" || a.State != enrol.AccountNew || a.Kind != enrol.AdministratorAccount || len(a.Appointments) != 1 || !a.Appointments[0].From.Equal(a.CreatedAt) || a.CreatedAt.Unix() != int64(k+1) || a.ID == list[1-k].ID {
			t.Errorf("%+v", a)
		}
	}
}

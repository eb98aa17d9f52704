package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/store"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/storetest"
	"github.com/mohor-sign/mohor/store/storetest/pgtest"
)

const early = 300 // officers of a database of an earlier release

// fill puts what an earlier release would have written, in clear, into a database at migration 20.
func fill(t *testing.T, db *sql.DB, p *goose.Provider, mark func(string) string) {
	t.Helper()
	if _, err := p.UpTo(t.Context(), 20); err != nil {
		t.Fatal(err)
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	put := func(query string, args ...any) {
		t.Helper()
		if _, err := tx.Exec(mark(query), args...); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	var r audit.Record
	for k := range early {
		ic := fmt.Sprintf("790308%06d", k)
		put("INSERT INTO officers (ic, name, email, created_at, pin_total) VALUES (?, ?, ?, 1, ?)", ic, fmt.Sprintf("PEGAWAI LAMA %d", k), ic+"@lama.example", k)
		put("INSERT INTO media (ic, system, medium, status) VALUES (?, 'IGFMAS', 'ROAMING_OTP', 'ACTIVE')", ic)
		put("INSERT INTO certificates (serial, issuer, subject, credential_id, status, der, not_before, not_after, created_at) VALUES (?, 'issuing', ?, ?, 'ACTIVE', ?, 0, 9, 0)",
			fmt.Sprint(k), "CN=PEGAWAI LAMA", fmt.Sprint("cr_", k), []byte("DER PEGAWAI LAMA"))
		put("INSERT INTO credentials (id, ic, system, algorithm, version, sealed, serial, status, created_at) VALUES (?, ?, 'IGFMAS', '', 1, ?, ?, 'ACTIVE', 0)", fmt.Sprint("cr_", k), ic, []byte{}, fmt.Sprint(k))
		r = audit.Next(r.Seq, r.Hash, nil, audit.Event{At: time.Unix(int64(k+1), 0), Actor: "officer:" + ic, Action: "x", Object: "officer:" + ic, Verdict: audit.Accepted,
			Detail: map[string]string{"name": "PEGAWAI LAMA"}})
		detail, err := json.Marshal(r.Detail)
		if err != nil {
			t.Fatal(err)
		}
		put("INSERT INTO audit_events (seq, at, actor, action, object, verdict, request_id, detail, prev, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			r.Seq, r.At.UnixMicro(), r.Actor, r.Action, r.Object, r.Verdict, r.RequestID, string(detail), r.Prev[:], r.Hash[:])
	}
	put("INSERT INTO certificates (serial, issuer, subject, credential_id, status, der, not_before, not_after, created_at) VALUES ('ca', 'root', 'CN=CA', 'authority:root', 'ACTIVE', ?, 0, 9, 0)", []byte("DER OF THE CA"))
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

// upgraded looks at a database after the upgrade.
func upgraded(t *testing.T, db *store.DB, dump []byte) {
	t.Helper()
	o, media, err := db.Officer(t.Context(), "790308000017")
	if err != nil || o.Name != "PEGAWAI LAMA 17" || o.Email != "790308000017@lama.example" || len(media) != 1 || string(media[0].DER) != "DER PEGAWAI LAMA" {
		t.Errorf("%+v %+v %v", o, media, err)
	}
	if st, err := db.PINState(t.Context(), "790308000017"); err != nil || st.Total != 17 {
		t.Errorf("%+v %v", st, err)
	}
	if records := storetest.Chain(t, db); len(records) != early || records[3].Actor != "officer:790308000003" {
		t.Errorf("%d records", len(records))
	}
	if got, err := db.Accepted(t.Context(), "officer:790308000017", "x"); err != nil || len(got) != 1 {
		t.Errorf("%d events of an officer, %v", len(got), err)
	}
	if err := db.Audit(t.Context(), audit.Event{At: time.Now(), Action: "after"}); err != nil {
		t.Error(err)
	}
	storetest.Chain(t, db)
	for _, s := range []string{"7903080000", "PEGAWAI LAMA", "@lama.example"} {
		if at := bytes.Index(dump, []byte(s)); at >= 0 {
			t.Errorf("the database still shows %q: %q", s, dump[max(0, at-60):min(len(dump), at+60)])
		}
	}
	if !bytes.Contains(dump, []byte("~ic:")) || !bytes.Contains(dump, []byte("authority:root")) {
		t.Errorf("control: nothing is in a dump of %d bytes", len(dump))
	}
}

// A database of an earlier release, in clear, is encrypted when it is first unlocked, and what was
// there is gone from its file; killed at any time, the next start goes on.
func TestEarlierDatabaseIsEncrypted(t *testing.T) {
	if path := os.Getenv("MOHOR_TEST_UNLOCK"); path != "" {
		db, err := store.Open(context.Background(), path)
		if err == nil {
			err = db.Unlock(context.Background(), storetest.PersonalKey())
		}
		fmt.Println(err)
		return
	}
	t.Run("SQLite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "mohor.db")
		old := raw(t, path)
		exec(t, old, "PRAGMA journal_mode(WAL)")
		p, err := goose.NewProvider(goose.DialectSQLite3, old, os.DirFS("migrations"), goose.WithGoMigrations(store.KeyVersions()))
		if err != nil {
			t.Fatal(err)
		}
		fill(t, old, p, func(q string) string { return q })
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
		killed := 0
		for k := range 6 {
			cmd := unlocking(t, path)
			timer := time.AfterFunc(time.Duration(60+40*k)*time.Millisecond, func() { _ = cmd.Process.Kill() })
			if cmd.Wait() != nil {
				killed++
			}
			timer.Stop()
		}
		t.Logf("killed %d times", killed)
		db := open(t, path)
		var dump []byte
		for _, file := range []string{path, path + "-wal"} {
			b, err := os.ReadFile(file)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			dump = append(dump, b...)
		}
		upgraded(t, db, dump)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		address, err := pgtest.Shared(t).Database(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		old, err := sql.Open("pgx", address)
		if err != nil {
			t.Fatal(err)
		}
		p, err := goose.NewProvider(goose.DialectPostgres, old, os.DirFS("migrations/postgres"))
		if err != nil {
			t.Fatal(err)
		}
		fill(t, old, p, func(q string) string {
			n := 0
			return regexp.MustCompile(`\?`).ReplaceAllStringFunc(q, func(string) string { n++; return fmt.Sprint("$", n) })
		})
		if _, err := old.Exec("ANALYZE"); err != nil {
			t.Fatal(err)
		}
		defer old.Close()
		// Interrupted within.
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		if first, err := store.OpenPostgres(t.Context(), address, secret.Text{}); err != nil {
			t.Fatal(err)
		} else {
			t.Logf("interrupted: %v", first.Unlock(ctx, storetest.PersonalKey()))
			first.Close()
		}
		cancel()
		db := storetest.OpenPostgres(t, address)
		dump, err := osexec.CommandContext(t.Context(), "pg_dump", "--dbname="+address).Output()
		if err != nil {
			t.Fatal(err)
		}
		var stats string
		if err := old.QueryRow("SELECT COALESCE(string_agg(s::text, ''), '') FROM pg_stats s WHERE schemaname = 'public'").Scan(&stats); err != nil {
			t.Fatal(err)
		}
		upgraded(t, db, append(dump, stats...))
	})
}

func unlocking(t *testing.T, path string) *osexec.Cmd {
	t.Helper()
	cmd := osexec.Command(os.Args[0], "-test.run=^TestEarlierDatabaseIsEncrypted$")
	cmd.Env = append(os.Environ(), "MOHOR_TEST_UNLOCK="+path)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// Another key is refused, and writes nothing; so is a database that lost the name of its key.
func TestUnlockTakesTheDatabasesKeyAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mohor.db")
	h := storetest.NewHouse(t, open(t, path))
	before := len(storetest.Chain(t, h.DB))
	other := bytes.Repeat([]byte{7}, 32)
	for _, statement := range []string{"", "DELETE FROM meta WHERE name = 'personal_key_id'"} {
		if statement != "" {
			exec(t, raw(t, path), statement)
		}
		db, err := store.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Unlock(t.Context(), other); !errors.Is(err, store.ErrPersonalKey) {
			t.Errorf("%q: another key: %v", statement, err)
		}
		if err := db.Audit(t.Context(), audit.Event{Actor: "officer:1", Action: "x"}); err == nil {
			t.Errorf("%q: an event was written without a key", statement)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(storetest.Chain(t, h.DB)); n != before {
		t.Errorf("%d records, want %d", n, before)
	}
}

// Clear text that somebody writes into a database that was encrypted is never believed, nor
// encrypted, also where what says that it was is taken away.
func TestClearTextIsNotSealedLater(t *testing.T) {
	for name, statement := range map[string]string{
		"fact taken":       "DELETE FROM meta WHERE name = 'personal_sealed'",
		"first in clear":   "DELETE FROM meta WHERE name = 'personal_sealed'; UPDATE audit_events SET actor = 'test', object = '', detail = '{}' WHERE seq = 1",
		"key's fact taken": "DELETE FROM meta WHERE name LIKE 'personal%'",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "mohor.db")
			h := storetest.NewHouse(t, open(t, path))
			exec(t, raw(t, path), "UPDATE officers SET email = 'lain@lain.example', name = 'ORANG LAIN'; "+statement)
			db, err := store.Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if err := db.Unlock(t.Context(), storetest.PersonalKey()); err != nil {
				t.Logf("refused: %v", err)
			}
			if o, _, err := h.DB.Officer(t.Context(), storetest.IC); !errors.Is(err, personal.ErrClear) {
				t.Errorf("%+v, %v", o, err)
			}
		})
	}
}

// clear are the columns whose names sound personal and that hold nothing of people.
func clear() map[string]string {
	return map[string]string{
		"agencies.name": "an agency's", "agency_offices.name": "an office's", "apps.name": "an application's", "authorities.name": "a CA's", "meta.name": "a fact's",
		"enrolments.office": "code of the accounting office", "enrolments.list": "a list's id",
		"applications.form": "sealed by the HSM, under a key of its own", "applications.copy": "sealed by the HSM, under a key of its own",
		"code_sends.reply": "digits of a mail server", "logins.reply": "digits of a mail server", "notices.reply": "digits of a mail server",
		"items.code": "of a refusal", "refused_rows.code": "of a refusal", "systems.title": "a system's", "transactions.system_name": "a system's",
		"enrolments.replaces": "a credential's id", "login_failures.at": "a time", "passkeys.data": "a public key", "refused_rows.col": "a column's",
		"events.object": "a transaction's or credential's id", "events.data": "ids, counts and states, which apps are told",
		"crls.der": "published", "file_removals.name": "of a file, an id", "certificate_orders.reason": "a number", "keks.label": "a key's", "external_revocations.reason": "a number", "scheduled_revocations.reason": "a number", "certificates.reason": "a number",
	}
}

// A new column that sounds as if it held something of people has a type that is sealed, or a reason here.
func TestPersonalColumnsHaveSealedTypes(t *testing.T) {
	sounds := regexp.MustCompile(`^(ic|name|email|phone|mobile|fax|address|subject|der|reason|detail|actor|object|reference|label|office|form|copy|sent_to|agent|reply|postcode|title|remark|note|data|document)$|_(ic|name|email|phone|mobile|address|by|reply|proof|reason|document|header)$`)
	config, err := os.ReadFile("sqlc.yaml")
	if err != nil {
		t.Fatal(err)
	}
	typed := map[string]string{}
	for _, m := range regexp.MustCompile(`column: (\w+\.\w+), go_type: \{import: \S+, type: (\w+)`).FindAllStringSubmatch(string(config), -1) {
		typed[m[1]] = strings.ToLower(m[2])
	}
	path := filepath.Join(t.TempDir(), "mohor.db")
	open(t, path)
	seen, excused := 0, clear()
	for _, c := range columns(t, raw(t, path), `SELECT m.name, c.name, c.type, c."notnull" <> 0 FROM sqlite_master m, pragma_table_xinfo(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'goose%' AND m.name NOT LIKE 'sqlite%'`) {
		column := c.table + "." + c.name
		if typed[column] != "" {
			seen++
		}
		if sounds.MatchString(c.name) && typed[column] == "" && excused[column] == "" {
			t.Errorf("%s is neither sealed (store/sqlc.yaml) nor is there a reason why not", column)
		}
		if typed[column] != "" && excused[column] != "" {
			t.Errorf("%s is sealed and excused", column)
		}
	}
	// What a first unlock encrypts is what sqlc gives types.
	var sealed []string
	for table, kinds := range store.Sealable() {
		for column, kind := range kinds {
			sealed = append(sealed, table+"."+column)
			if typed[table+"."+column] != kind {
				t.Errorf("%s.%s is %q in sqlc.yaml and %q when it is encrypted", table, column, typed[table+"."+column], kind)
			}
		}
	}
	for column := range typed {
		if !slices.Contains(sealed, column) && !strings.HasPrefix(column, "enrolled.") && !strings.HasPrefix(column, "holders.") {
			t.Errorf("%s is not encrypted by the first unlock", column)
		}
	}
	if seen < 50 {
		t.Errorf("control: %d columns", seen)
	}
}

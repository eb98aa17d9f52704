package personal_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"testing"

	"modernc.org/sqlite"

	"github.com/mohor-sign/mohor/store/personal"
)

type memory string

func (m memory) Connect(context.Context) (driver.Conn, error) { return m.Driver().Open(string(m)) }
func (memory) Driver() driver.Driver                          { return &sqlite.Driver{} }

// open makes a table of every kind of column, and a second connection that neither seals nor opens.
func open(t *testing.T) (sealing, bare *sql.DB, lock *personal.Lock) {
	t.Helper()
	file := memory("file:" + t.TempDir() + "/x.db?_pragma=busy_timeout(5000)")
	lock = &personal.Lock{}
	sealing, bare = sql.OpenDB(personal.Connector{Connector: file, Lock: lock}), sql.OpenDB(file)
	t.Cleanup(func() { sealing.Close(); bare.Close() })
	if _, err := bare.Exec("CREATE TABLE x (id INTEGER PRIMARY KEY, ic TEXT UNIQUE, name TEXT, note TEXT, der BLOB, plain TEXT)"); err != nil {
		t.Fatal(err)
	}
	return sealing, bare, lock
}

func keys(t *testing.T, first byte) *personal.Keys {
	t.Helper()
	k, err := personal.NewKeys(append([]byte{first}, make([]byte, personal.KeySize-1)...))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

const insert = "INSERT INTO x (id, ic, name, note, der, plain) VALUES (?, ?, ?, ?, ?, ?)"

func put(db *sql.DB, id int, ic string) error {
	v := personal.IC(ic)
	_, err := db.Exec(insert, id, &v, personal.Name("NOR'AINI"), personal.Note("~name:sebab"), personal.Bytes{V: []byte("DER of her")}, "~ic:not sealed")
	return err
}

func TestValuesAreSealedAndOpened(t *testing.T) {
	db, bare, lock := open(t)
	if err := put(db, 1, "900101145678"); !errors.Is(err, personal.ErrLocked) {
		t.Errorf("before there is a key: %v", err)
	}
	lock.Unlock(keys(t, 1))
	if err := put(db, 1, "900101145678"); err != nil {
		t.Fatal(err)
	}
	if err := put(db, 2, "900101145678"); err == nil {
		t.Error("the unique index does not see that an IC is there")
	}
	if _, err := db.Exec(insert, 3, (*personal.IC)(nil), personal.Name(""), personal.Note(""), personal.Bytes{V: []byte("of a CA"), Public: true}, ""); err != nil {
		t.Fatal(err)
	}
	var ic *personal.IC
	var name personal.Name
	var note personal.Note
	var der personal.Bytes
	var plain string
	row := func(where string, args ...any) error {
		return db.QueryRow("SELECT ic, name, note, der, plain FROM x WHERE "+where, args...).Scan(&ic, &name, &note, &der, &plain)
	}
	if err := row("ic = ?", personal.IC("900101145678")); err != nil || *ic != "900101145678" || name != "NOR'AINI" || note != "~name:sebab" ||
		string(der.V) != "DER of her" || der.Public || plain != "~ic:not sealed" {
		t.Errorf("%v %q %q %q %q %v", ic, name, note, der.V, plain, err)
	}
	if err := row("id = 3"); err != nil || ic != nil || name != "" || string(der.V) != "of a CA" || !der.Public {
		t.Errorf("%v %q %q %v", ic, name, der.V, err)
	}
	var stored string
	if err := bare.QueryRow("SELECT group_concat(ic || name || note || hex(der)) FROM x").Scan(&stored); err != nil || !strings.Contains(stored, "~ic:") {
		t.Fatal(stored, err)
	}
	for _, s := range []string{"900101", "NOR'AINI", "sebab", "444552206F6620686572"} {
		if strings.Contains(stored, s) {
			t.Errorf("%q is in %s", s, stored)
		}
	}
	// A connection that does not seal gets nothing, and opens nothing.
	if err := put(bare, 4, "900101145679"); err == nil {
		t.Error("a connection that does not seal was given an IC")
	}
	if err := bare.QueryRow("SELECT name FROM x WHERE id = 1").Scan(&name); err == nil {
		t.Error("a sealed name was read without a key")
	}
	lock.Unlock(keys(t, 2))
	if err := row("id = 1"); !errors.Is(err, personal.ErrSealed) {
		t.Errorf("under another key: %v", err)
	}
}

// Whoever writes to the database cannot have one column read as another, nor put words in clear
// into one.
func TestValuesBelongToTheirKind(t *testing.T) {
	db, bare, lock := open(t)
	lock.Unlock(keys(t, 1))
	if err := put(db, 1, "900101145678"); err != nil {
		t.Fatal(err)
	}
	for statement, want := range map[string]error{
		"UPDATE x SET name = note":                              personal.ErrSealed,
		"UPDATE x SET name = ic":                                personal.ErrSealed,
		"UPDATE x SET ic = name":                                personal.ErrSealed,
		"UPDATE x SET name = substr(name, 1, length(name) - 2)": personal.ErrSealed,
		"UPDATE x SET name = '~name:'":                          personal.ErrSealed,
		"UPDATE x SET name = '~name:%'":                         personal.ErrSealed,
		"UPDATE x SET name = 'MENTERI'":                         personal.ErrClear,
		"UPDATE x SET der = CAST(der || x'00' AS BLOB)":         personal.ErrSealed,
		"UPDATE x SET name = '~name:' || substr(note, 7)":       personal.ErrSealed,
		"UPDATE x SET name = '~ic:AAAAAAAAAAAAAAAAAAAAAAAAAAA'": personal.ErrSealed,
	} {
		tx, err := bare.Begin()
		if err != nil {
			t.Fatal(err)
		}
		var kept [4]any
		if err := tx.QueryRow("SELECT ic, name, note, der FROM x").Scan(&kept[0], &kept[1], &kept[2], &kept[3]); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(statement); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		var ic personal.IC
		var name personal.Name
		var der personal.Bytes
		if err := db.QueryRow("SELECT ic, name, der FROM x").Scan(&ic, &name, &der); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", statement, err, want)
		}
		if _, err := bare.Exec("UPDATE x SET ic = ?, name = ?, note = ?, der = ?", kept[:]...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := personal.NewKeys(make([]byte, 31)); err == nil {
		t.Error("a key of 31 bytes is taken")
	}
	if keys(t, 1).ID() == keys(t, 2).ID() || len(keys(t, 1).ID()) != 32 {
		t.Error("ids do not tell keys apart")
	}
}

func BenchmarkSeal(b *testing.B) {
	k, err := personal.NewKeys(make([]byte, personal.KeySize))
	if err != nil {
		b.Fatal(err)
	}
	lock := &personal.Lock{}
	lock.Unlock(k)
	db := sql.OpenDB(personal.Connector{Connector: memory("file::memory:"), Lock: lock})
	defer db.Close()
	var got personal.IC
	for b.Loop() {
		if err := db.QueryRow("SELECT ?", personal.IC("900101145678")).Scan(&got); err != nil {
			b.Fatal(err)
		}
	}
}

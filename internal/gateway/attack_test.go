package gateway_test

import (
	"archive/zip"
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"modernc.org/sqlite"

	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/store/personal"
)

// query runs a statement on the gateway's database, as whoever has captured it
// would, and returns the number of rows changed.
func query(t *testing.T, g *gatewaytest.Gateway, statement string, args ...any) int64 {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(g.Dir, "mohor.db")+"?_pragma=busy_timeout(15000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	r, err := db.Exec(statement, args...)
	if err != nil {
		t.Fatal(err)
	}
	n, err := r.RowsAffected()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// file is a connector of the gateway's SQLite database.
type file string

func (f file) Connect(context.Context) (driver.Conn, error) { return f.Driver().Open(string(f)) }
func (file) Driver() driver.Driver                          { return &sqlite.Driver{} }

// opened is the gateway's database to one who has captured the key of personal fields as well.
func opened(t *testing.T, g *gatewaytest.Gateway) *sql.DB {
	t.Helper()
	key, err := gateway.PersonalKey(t.Context(), g.Server)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := personal.NewKeys(key)
	if err != nil {
		t.Fatal(err)
	}
	lock := &personal.Lock{}
	lock.Unlock(keys)
	db := sql.OpenDB(personal.Connector{Connector: file("file:" + filepath.Join(g.Dir, "mohor.db") + "?_pragma=busy_timeout(15000)"), Lock: lock})
	t.Cleanup(func() { db.Close() })
	return db
}

// heard is what an audit event says.
type heard struct{ actor, object, verdict, detail string }

// events gives the audit's events of an action.
func events(t *testing.T, g *gatewaytest.Gateway, action string) (out []heard) {
	t.Helper()
	rows, err := opened(t, g).Query("SELECT actor, object, verdict, detail FROM audit_events WHERE action = ? ORDER BY seq", action)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var e heard
		if err := rows.Scan(&e.actor, &e.object, &e.verdict, &e.detail); err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// edit replaces text in a sealed column of the row with that id.
func edit(t *testing.T, g *gatewaytest.Gateway, table, column, where, old, new string) {
	t.Helper()
	db := opened(t, g)
	var text string
	if err := db.QueryRow("SELECT " + column + " FROM " + table + " WHERE " + where).Scan(&text); err != nil || !strings.Contains(text, old) {
		t.Fatalf("%q, %v", text, err)
	}
	if _, err := db.Exec("UPDATE "+table+" SET "+column+" = ? WHERE "+where, personal.Note(strings.ReplaceAll(text, old, new))); err != nil {
		t.Fatal(err)
	}
}

// count asks for one number.
func count(t *testing.T, g *gatewaytest.Gateway, q string, args ...any) (n int) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(g.Dir, "mohor.db")+"?_pragma=busy_timeout(15000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(q, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// askFor is Ask for any officer, without a helper that ends the test: it runs
// in goroutines.
func askFor(g *gatewaytest.Gateway, officer int, name string) (tx *gatewaytest.Reply, code string) {
	o := g.Dev.Officers[officer]
	mark := g.Server.Mailbox.Mark()
	tx = g.Do("POST", "/v1/transactions", "", map[string]any{"ic": o.IC, "system": g.Dev.System, "format": "RAW", "documents": []any{digestRef(name)}})
	return tx, g.Code(o.Email, mark)
}

// Officers sign at the same time: none is told "failed" about a signature that
// was made.
func TestOfficersSignInParallel(t *testing.T) {
	g := gatewaytest.New(t)
	var wg sync.WaitGroup
	for who := range 2 {
		wg.Go(func() {
			for k := range 15 {
				tx, code := askFor(g, who, fmt.Sprint(who, k))
				r := g.Do("POST", "/v1/transactions/"+tx.Text("transaction_id")+"/sign", "", map[string]string{
					"nonce": tx.Text("nonce"), "pin": string(g.Dev.Officers[who].PIN.Reveal()), "otp": code})
				if r.Status != 200 || r.Text("status") != "SIGNED" {
					t.Errorf("officer %d, signature %d: %d %s", who, k, r.Status, r.Raw)
				}
			}
		})
	}
	wg.Wait()
}

// One right code submitted many times at once: one wins, and the right PIN of
// the others is not held against the officer.
func TestOneCodeManySubmits(t *testing.T) {
	g := gatewaytest.New(t)
	tx, code := g.Ask(raw("satu"))
	var mu sync.Mutex
	got := map[string]int{}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			r := g.Confirm(tx, code, nil)
			mu.Lock()
			defer mu.Unlock()
			got[fmt.Sprint(r.Status, r.Code())]++
		})
	}
	wg.Wait()
	if got["200"] != 1 || got["409otp_already_used"] != 19 {
		t.Errorf("answers: %v", got)
	}
	if n := count(t, g, "SELECT COUNT(*) FROM intents"); n != 1 {
		t.Errorf("%d intents", n)
	}
	if n := count(t, g, "SELECT SUM(pin_total) FROM officers"); n != 0 {
		t.Errorf("%d failures are counted", n)
	}
}

// A client that hangs up while its right PIN is judged does not cost a try.
func TestHangingUpCountsNoPIN(t *testing.T) {
	g := gatewaytest.New(t)
	for k := range 6 {
		tx, code := g.Ask(raw(fmt.Sprint("satu", k)))
		body, err := json.Marshal(map[string]string{"nonce": tx.Text("nonce"), "pin": string(g.PIN().Reveal()), "otp": code})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Millisecond)
		req, err := http.NewRequestWithContext(ctx, "POST", g.URL+"/v1/transactions/"+tx.Text("transaction_id")+"/sign", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-API-Key", string(g.Dev.APIKey.Reveal()))
		req.Header.Set("Content-Type", "application/json")
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
		}
		cancel()
	}
	tx, code := g.Ask(raw("dua"))
	want(t, tx, 201, "") // and not pin_locked
	want(t, g.Confirm(tx, code, nil), 200, "")
}

// The database is rewritten: the public page does not call it SAH.
func TestForgedRecordIsNotValid(t *testing.T) {
	g := gatewaytest.New(t)
	id, r := newBatch(t, g, header+line(1, "ALI BIN ABU")+line(2, "SITI BINTI ALI"))
	want(t, r, 200, "")
	want(t, g.Do("POST", "/v1/batches/"+id+"/seal", "", nil), 200, "")
	tx, code := g.Ask(map[string]any{"format": "PADES", "batch_id": id})
	want(t, g.Confirm(tx, code, nil), 202, "")
	finish(t, g, id)
	items := g.Do("GET", "/v1/batches/"+id+"/items", "", nil).Body["items"].([]any)
	record := func(k int) *gatewaytest.Reply {
		path, secret, _ := strings.Cut(strings.TrimPrefix(items[k].(map[string]any)["record_url"].(string), g.URL), "#")
		return g.Do("POST", path, "application/json", []byte(`{"secret":"`+secret+`"}`), "X-API-Key", "", "Accept", "application/json")
	}
	for k := range 2 {
		if s := record(k).Text("status"); s != "SAH" {
			t.Fatalf("genuine record %d: %s", k, s)
		}
	}
	if signer := record(0).Text("signer"); signer != g.Dev.Officers[0].Name {
		t.Errorf("signer %q, want the name alone", signer)
	}
	edit(t, g, "items", "record", "batch_id = '"+id+"' AND idx = 0", "ALI BIN ABU", "PENIPU BIN PENIPU")
	// It is passed off as one of a release that knew no secrets.
	query(t, g, `UPDATE items SET sealed_record = NULL WHERE batch_id = ? AND idx = 0`, id)
	query(t, g, `UPDATE items SET signed_blob = (SELECT signed_blob FROM items i WHERE i.batch_id = ? AND i.idx = 0) WHERE batch_id = ? AND idx = 1`, id, id)
	for k := range 2 {
		if s := record(k); s.Text("status") != "TIDAK SAH" || s.Text("verdict") != "INVALID" {
			t.Errorf("forged record %d: %s", k, s.Raw)
		}
	}
	query(t, g, `UPDATE items SET sealed_record = zeroblob(400) WHERE batch_id = ? AND idx = 1`, id)
	if s := record(1); s.Status != 404 {
		t.Errorf("a record that its secret does not open: %d %s", s.Status, s.Raw)
	}
}

// Resetting the tries in the database gives no more tries.
func TestResetTriesGiveNoMore(t *testing.T) {
	g := gatewaytest.New(t)
	tx, code := g.Ask(raw("satu"))
	for range 3 {
		want(t, g.Confirm(tx, otherCode(code), nil), 403, "otp_wrong")
	}
	if query(t, g, `UPDATE challenges SET tries_left = 3 WHERE transaction_id = ?`, tx.Text("transaction_id")) != 1 {
		t.Fatal("no challenge")
	}
	want(t, g.Confirm(tx, code, nil), 403, "otp_attempts_exhausted")
}

// An officer's row is renamed after the code was sent: the signature shows the
// certificate's name.
func TestVisibleNameIsTheCertificates(t *testing.T) {
	g := gatewaytest.New(t)
	id := upload(t, g, voucher(t))
	ask := pades(id)
	ask["pades"] = map[string]any{"visible": map[string]any{"page": 1, "x": 50, "y": 50, "width": 240, "height": 90}}
	tx, code := g.Ask(ask)
	if r, err := opened(t, g).Exec("UPDATE officers SET name = ? WHERE ic = ?", personal.Name("DATUK SERI MENTERI"), personal.IC(g.Dev.Officers[0].IC)); err != nil {
		t.Fatal(err)
	} else if n, err := r.RowsAffected(); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	want(t, g.Confirm(tx, code, nil), 200, "")
	v := g.Do("POST", "/v1/verify", "application/pdf", g.Do("GET", "/v1/documents/"+id+"/content", "", nil).Raw)
	if v.Text("verdict") != "VALID" || strings.Contains(text(t, g, id), "DATUK SERI MENTERI") || !strings.Contains(text(t, g, id), g.Dev.Officers[0].Name) {
		t.Errorf("verdict %s; text: %s", v.Text("verdict"), text(t, g, id))
	}
}

// text is what pdftotext reads in a signed document.
func text(t *testing.T, g *gatewaytest.Gateway, id string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "x.pdf")
	if err := os.WriteFile(file, g.Do("GET", "/v1/documents/"+id+"/content", "", nil).Raw, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(gatewaytest.Tool(t, "pdftotext"), "-layout", file, "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// Entries of a ZIP that share their bytes, and one that claims too much.
func TestZIPBombsAreRefused(t *testing.T) {
	g := gatewaytest.New(t)
	var plain bytes.Buffer
	w := zip.NewWriter(&plain)
	for _, name := range []string{"a.pdf", "b.pdf"} {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(voucher(t)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b := g.Do("POST", "/v1/batches", "", map[string]string{"name": "ZIP", "kind": "pdf"})
	path := "/v1/batches/" + b.Text("batch_id") + "/items"
	if r := g.Do("POST", path, "application/zip", plain.Bytes()); r.Body["accepted"] != 2.0 {
		t.Fatalf("a good ZIP: %s", r.Raw)
	}
	// Point the second central entry at the first file's local header.
	shared := bytes.Clone(plain.Bytes())
	second := bytes.LastIndex(shared, []byte("PK\x01\x02"))
	copy(shared[second+42:second+46], []byte{0, 0, 0, 0})
	want(t, g.Do("POST", path, "application/zip", shared), 400, "invalid_request")
	huge := bytes.Clone(plain.Bytes())
	copy(huge[second+24:second+28], []byte{0xfe, 0xff, 0xff, 0xff}) // uncompressed size of 4 GB
	want(t, g.Do("POST", path, "application/zip", huge), 413, "too_large")
	want(t, g.Do("POST", path, "application/zip", []byte("PK but no ZIP")), 400, "invalid_request")
}

// What is refused before the signer sees it is audited as well.
func TestRefusalsAreAudited(t *testing.T) {
	g := gatewaytest.New(t)
	tx, _ := g.Ask(raw("satu"))
	b := g.Do("POST", "/v1/batches", "", map[string]string{"name": "Kosong", "kind": "digest"})
	for name, do := range map[string]func() *gatewaytest.Reply{
		"wrong key": func() *gatewaytest.Reply { return g.Do("GET", "/v1/batches/x", "", nil, "X-API-Key", "mak_no") },
		"wrong secret": func() *gatewaytest.Reply {
			return g.Do("POST", "/oauth2/token", "application/x-www-form-urlencoded", []byte("grant_type=client_credentials&client_id=x&client_secret=y"), "X-API-Key", "")
		},
		"foreign system": func() *gatewaytest.Reply {
			return g.Do("POST", "/v1/transactions", "", map[string]any{"ic": g.Dev.Officers[0].IC, "system": "LAIN", "format": "RAW", "documents": []any{digestRef("x")}})
		},
		"malformed code":    func() *gatewaytest.Reply { return g.Confirm(tx, "12", nil) },
		"unknown cancelled": func() *gatewaytest.Reply { return g.Do("DELETE", "/v1/transactions/tx_x", "", nil) },
		"unknown resend":    func() *gatewaytest.Reply { return g.Do("POST", "/v1/transactions/tx_x/otp", "", nil) },
		"unknown batch":     func() *gatewaytest.Reply { return g.Do("POST", "/v1/batches/ba_x/seal", "", nil) },
		"empty batch":       func() *gatewaytest.Reply { return g.Do("POST", "/v1/batches/"+b.Text("batch_id")+"/seal", "", nil) },
		"bad upload": func() *gatewaytest.Reply {
			return g.Do("POST", "/v1/documents?name=x.pdf", "application/pdf", []byte("x"))
		},
		"bad line": func() *gatewaytest.Reply {
			return g.Do("POST", "/v1/batches/"+b.Text("batch_id")+"/items", "application/x-ndjson", []byte("x{}\n"))
		},
	} {
		g.Clock.Advance(10 * time.Second) // of those who are nobody one event in ten seconds tells
		before := count(t, g, "SELECT COUNT(*) FROM audit_events WHERE verdict = 'refused'")
		if r := do(); r.Status < 400 {
			t.Errorf("%s: not refused: %s", name, r.Raw)
		}
		if after := count(t, g, "SELECT COUNT(*) FROM audit_events WHERE verdict = 'refused'"); after != before+1 {
			t.Errorf("%s: %d audit events", name, after-before)
		}
	}
}

// A stream on a batch that stays open ends when the gateway stops.
func TestEventStreamEndsWithTheGateway(t *testing.T) {
	g := gatewaytest.New(t)
	b := g.Do("POST", "/v1/batches", "", map[string]string{"name": "Kosong", "kind": "digest"})
	req, err := http.NewRequestWithContext(t.Context(), "GET", g.URL+"/v1/batches/"+b.Text("batch_id")+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-API-Key", string(g.Dev.APIKey.Reveal()))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	one := make([]byte, 8)
	if _, err := io.ReadFull(resp.Body, one); err != nil {
		t.Fatalf("reading the first event: %v", err)
	}
	g.Stop() // hangs here if the stream does not end
}

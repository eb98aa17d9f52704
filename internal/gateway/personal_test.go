package gateway_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/store/storetest/pgtest"
)

const movedMail = "noraini.othman@anm.gov.my"

// life has an officer go through all that there is, and gives what must not be in the database.
func (m *ministry) life(t *testing.T) (canaries []string) {
	t.Helper()
	id, code := m.confirmed(t)
	b := m.officer(t, code)
	b.header["Idempotency-Key"] = "mohon"
	want(t, b.do(http.MethodPost, "/v1/me/application", but(application(code), "mykad", picture(t))), 201, "")
	delete(b.header, "Idempotency-Key")
	want(t, m.ap.do(http.MethodPost, "/v1/admin/enrolments/"+id+"/return", map[string]string{"reason": "nombor telefon NORAINI salah"}), 204, "")
	code = m.mailed(t, newcomerMail, `((?:[0-9A-Z]{4}-){3}[0-9A-Z]{4})`)
	want(t, b.do(http.MethodPost, "/v1/me/application", application(code)), 201, "")
	want(t, m.ap.do(http.MethodPost, "/v1/admin/enrolments/"+id+"/validate", nil), 204, "")
	issued := m.jdn.do(http.MethodPost, "/v1/admin/enrolments/"+id+"/approve", nil)
	want(t, issued, 200, "")

	// Signs, as a raw signature and in a PDF, and a batch of certificates that name others.
	mark := m.Server.Mailbox.Mark()
	tx := m.Do(http.MethodPost, "/v1/transactions", "", but(but(raw("Surat NORAINI BINTI OTHMAN"), "ic", newcomerIC), "system", m.Dev.System))
	want(t, tx, 201, "")
	want(t, m.Confirm(tx, m.Code(newcomerMail, mark), map[string]any{"pin": newcomerPIN}), 200, "")
	m.signs(t, newcomerPIN)
	batch, r := newBatch(t, m.Gateway, header+line(1, "ALI BIN ABU CALON"))
	want(t, r, 200, "")
	want(t, m.Do("POST", "/v1/batches/"+batch+"/seal", "", nil), 200, "")
	if err := gateway.Deliver(t.Context(), m.Server); err != nil {
		t.Fatal(err)
	}

	// Asks for another address; the administrators look, and the certificate ends.
	want(t, b.do(http.MethodPost, "/v1/me/email", map[string]string{"email": movedMail}), 202, "")
	if did, err := m.Server.Desk.Once(t.Context()); err != nil || !did {
		t.Fatal(did, err)
	}
	found := m.ap.do(http.MethodGet, "/v1/admin/officers/"+newcomerIC, nil) // by IC
	if want(t, found, 200, ""); !strings.Contains(string(found.Raw), "NORAINI BINTI OTHMAN") || !strings.Contains(string(found.Raw), issued.Text("serial_number")) {
		t.Errorf("%s", found.Raw)
	}
	// A stranger's wrong password, and one of hers.
	for _, ic := range []string{newcomerIC, "820101145679"} {
		newBrowser(t, m.Gateway).do(http.MethodPost, "/v1/sessions", map[string]string{"ic": ic, "password": "salah sama sekali"})
	}
	if err := m.Server.Revoke(t.Context(), "cli:test", issued.Text("serial_number"), 1); err != nil {
		t.Fatal(err)
	}
	return []string{newcomerIC, "NORAINI", newcomerMail, movedMail, "noraini.othman", "+60 12-345 6789", "03-8882 1000", "Kompleks Kementerian", "nombor telefon",
		"700101105554", "PENTADBIR", "p700101105554@jdn", m.Dev.Officers[0].IC, m.Dev.Officers[0].Name, m.Dev.Officers[0].Email, "820101145679", "CALON"}
}

// forms are how a text may stand in a file: as it is, in base64 at each alignment, in hexadecimal.
func forms(s string) [][]byte {
	out := [][]byte{[]byte(s), []byte(hex.EncodeToString([]byte(s))), []byte(strings.ToUpper(hex.EncodeToString([]byte(s))))}
	for lead := range 3 {
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			whole := enc.EncodeToString([]byte("\x00\x00"[:lead%3] + s))
			from, to := (lead*8+5)/6, (lead+len(s))*8/6
			out = append(out, []byte(whole[from:to]))
		}
	}
	return out
}

// reads gives the canaries that a dump shows.
func reads(dump []byte, canaries []string) (found []string) {
	for _, c := range canaries {
		for k, form := range forms(c) {
			if at := bytes.Index(dump, form); at >= 0 {
				found = append(found, c+" (form "+string(rune('0'+k))+"): "+string(dump[max(0, at-40):min(len(dump), at+60)]))
				break
			}
		}
	}
	return found
}

// Whoever steals the database learns nobody's IC, name, address or telephone number.
func TestDatabaseNamesNobody(t *testing.T) {
	for name, engine := range map[string]func(t *testing.T) (g *gatewaytest.Gateway, dump func() []byte){
		"SQLite": func(t *testing.T) (*gatewaytest.Gateway, func() []byte) {
			g := gatewaytest.New(t)
			return g, func() (all []byte) {
				for _, file := range []string{"mohor.db", "mohor.db-wal"} {
					b, err := os.ReadFile(filepath.Join(g.Dir, file))
					if err != nil && !errors.Is(err, os.ErrNotExist) {
						t.Fatal(err)
					}
					all = append(all, b...)
				}
				return all
			}
		},
		"PostgreSQL": func(t *testing.T) (*gatewaytest.Gateway, func() []byte) {
			address, err := pgtest.Shared(t).Database(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			tool := gatewaytest.Tool(t, "pg_dump")
			return gatewaytest.NewOn(t, address), func() []byte {
				all, err := exec.CommandContext(t.Context(), tool, "--dbname="+address).Output()
				if err != nil {
					t.Fatal(err)
				}
				// bytea is dumped in hexadecimal, text within it shows no otherwise.
				return all
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			g, dump := engine(t)
			m := ministryOn(t, g)
			canaries := m.life(t)
			all := dump()
			if len(all) < 100_000 {
				t.Fatalf("control: a dump of %d bytes", len(all))
			}
			for _, c := range reads(all, canaries) {
				t.Errorf("the database shows %s", c)
			}
			for k, form := range forms("planted@jdn.gov.my") {
				if found := reads(append(bytes.Clone(all[:1000]), form...), []string{"planted@jdn.gov.my"}); len(found) != 1 {
					t.Errorf("control: form %d is not found", k)
				}
			}
			v := audit.NewVerifier(nil)
			said := 0
			err := gateway.ReadAudit(t.Context(), g.Dir, "cli:test", "", g.Clock.Now, func(r audit.Record) error {
				if strings.Contains(r.Actor+r.Object+r.Detail["officer"], newcomerIC) {
					said++
				}
				return v.Add(r)
			})
			if err != nil || said == 0 {
				t.Errorf("the audit: %d records tell of the officer, %v", said, err)
			}
		})
	}
}

// Without its token, or with its key lost or another's, a database is not opened, and nothing is
// written into it.
func TestPersonalKeyMustBeTheDatabases(t *testing.T) {
	g := gatewaytest.New(t)
	var was string
	if err := opened(t, g).QueryRow("SELECT value FROM meta WHERE name = 'personal_key'").Scan(&was); err != nil || len(was) < 60 {
		t.Fatalf("%q %v", was, err)
	}
	g.Stop()
	other := gatewaytest.New(t)
	var foreign string
	if err := opened(t, other).QueryRow("SELECT value FROM meta WHERE name = 'personal_key'").Scan(&foreign); err != nil {
		t.Fatal(err)
	}
	events := count(t, g, "SELECT COUNT(*) FROM audit_events")
	for what, c := range map[string]struct{ value, want string }{
		"another token's": {foreign, "this is not the token of this database"},
		"edited":          {"x" + was, "does not open"},
		"lost":            {"", "it is missing"},
	} {
		query(t, g, "DELETE FROM meta WHERE name = 'personal_key'")
		if c.value != "" {
			query(t, g, "INSERT INTO meta (name, value) VALUES ('personal_key', ?)", c.value)
		}
		i, err := gateway.Open(t.Context(), g.Dir, g.Clock.Now)
		if !errors.Is(err, gateway.ErrPersonal) || !strings.Contains(err.Error(), c.want) || i != nil {
			t.Errorf("%s: %v", what, err)
		}
		if n := count(t, g, "SELECT COUNT(*) FROM meta WHERE name = 'personal_key'"); c.value == "" && n != 0 {
			t.Errorf("%s: another key was made", what)
		}
	}
	if n := count(t, g, "SELECT COUNT(*) FROM audit_events"); n != events {
		t.Errorf("%d events were written", n-events)
	}
	query(t, g, "DELETE FROM meta WHERE name = 'personal_key'")
	query(t, g, "INSERT INTO meta (name, value) VALUES ('personal_key', ?)", was)
	g.Start()
	want(t, g.Do(http.MethodGet, "/v1/officers/"+g.Dev.Officers[0].IC+"/medium", "", nil), 200, "")
}

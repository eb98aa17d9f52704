//go:build !race

package journeys_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/internal/table"
)

// bait is a reason that a spreadsheet would compute.
const bait = `=HYPERLINK("http://jahat.example","klik")`

// happenings are what the reports and the audit tell of.
func happenings(t *testing.T, g *gatewaytest.Gateway, o *office) {
	t.Helper()
	officer := g.Dev.Officers[0].IC
	ask := map[string]any{"format": "RAW", "documents": []any{map[string]any{"name": "Baucar 1", "digest": map[string]string{"alg": "SHA-256", "value": "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="}}}}
	for range 3 {
		tx, code := g.Ask(ask)
		if r := g.Confirm(tx, code, nil); r.Status != http.StatusOK {
			t.Fatalf("%s", r.Raw)
		}
	}
	tx, code := g.Ask(ask)
	wrong := "000000"
	if code == wrong {
		wrong = "000001"
	}
	for what, r := range map[string]*gatewaytest.Reply{"code": g.Confirm(tx, wrong, nil), "PIN": g.Confirm(tx, code, map[string]any{"pin": "Salah-Sekali-99"})} {
		if r.Status < 400 {
			t.Fatalf("a wrong %s: %s", what, r.Raw)
		}
	}
	for _, x := range []struct {
		path   string
		body   any
		method string
	}{
		{"/v1/admin/officers/" + officer, nil, http.MethodGet},
		{"/v1/admin/officers/" + officer + "/export", map[string]string{"reason": bait}, http.MethodPost},
	} {
		if _, err := o.as("700101105551", x.method, x.path, x.body, http.StatusOK); err != nil {
			t.Fatal(err)
		}
	}
}

// column is one of a file's, by our own reader of lists.
func column(path, name string) (out []string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	rows, err := table.Open(f, st.Size())
	if err != nil {
		return nil, err
	}
	at := -1
	for {
		cells, _, err := rows.Next(26)
		if err != nil {
			return out, nil
		}
		if at < 0 {
			for k, c := range cells {
				if string(c) == name {
					at = k
				}
			}
			if at < 0 {
				return nil, fmt.Errorf("there is no column %q in %q", name, cells)
			}
			continue
		}
		out = append(out, string(cells[at]))
	}
}

// An auditor finds who looked at an officer, sees that a record is in the chain, and takes evidence
// away that the command line believes; reports show what happened.
func TestJourneyConsoleReports(t *testing.T) {
	g := gatewaytest.New(t)
	o := newOffice(t, g)
	auditor := "700101105558"
	o.seat(t, auditor, "AUDREY ANAK JALONG", enrol.Appointment{Role: enrol.Auditor})
	happenings(t, g, o)
	mohor := filepath.Join(t.TempDir(), "mohor")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", mohor, "../../cmd/mohor").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(g.Dir, "mohor.db")+"?_pragma=busy_timeout(15000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	all := func(statements ...string) error {
		for _, s := range statements {
			if _, err := db.ExecContext(t.Context(), s); err != nil {
				return err
			}
		}
		return nil
	}
	acts := acts{
		// damaged spoils the first record of a look at an officer, mended puts it back.
		"damaged": func(json.RawMessage) (any, error) {
			err := all("CREATE TABLE kept AS SELECT a.* FROM audit_events a JOIN audit_about x ON x.seq = a.seq WHERE a.action = 'enrol.read' AND x.looked = 1 ORDER BY a.seq LIMIT 1",
				"UPDATE audit_events SET detail = detail || 'AAAA' WHERE seq = (SELECT seq FROM kept)")
			if err != nil {
				return nil, err
			}
			var seq int64
			return &seq, db.QueryRowContext(t.Context(), "SELECT seq FROM kept").Scan(&seq)
		},
		"mended": func(json.RawMessage) (any, error) {
			return nil, all("UPDATE audit_events SET detail = (SELECT detail FROM kept) WHERE seq = (SELECT seq FROM kept)", "DROP TABLE kept")
		},
		"totp": func(argument json.RawMessage) (any, error) {
			var ic string
			if err := json.Unmarshal(argument, &ic); err != nil {
				return nil, err
			}
			return o.totp(ic)
		},
		// checked has the command line check a proof, and the same with a letter changed.
		"checked": func(argument json.RawMessage) (any, error) {
			var path string
			if err := json.Unmarshal(argument, &path); err != nil {
				return nil, err
			}
			verify := func(path string) (string, error) {
				out, err := exec.CommandContext(t.Context(), mohor, "audit", "verify", path, "--seal", filepath.Join(g.Dir, "audit-seal.pem"), "--heads", filepath.Join(g.Dir, "audit-heads.jsonl")).CombinedOutput()
				return string(out), err
			}
			said, err := verify(path)
			if err != nil || !strings.HasPrefix(said, "export proved: ") {
				return nil, fmt.Errorf("%s: %w", said, err)
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			forged := filepath.Join(t.TempDir(), "forged.jsonl")
			if err := os.WriteFile(forged, bytes.Replace(raw, []byte(`"verdict":"accepted"`), []byte(`"verdict":"refused"`), 1), 0o600); err != nil {
				return nil, err
			}
			if out, err := verify(forged); err == nil || !strings.Contains(out, "audit chain broken") {
				return nil, fmt.Errorf("a forged export: %s", out)
			}
			return said, nil
		},
		// inert says what a file has where somebody wrote a formula.
		"inert": func(argument json.RawMessage) (any, error) {
			var path string
			if err := json.Unmarshal(argument, &path); err != nil {
				return nil, err
			}
			cells, err := column(path, "sebab")
			if err != nil {
				return nil, err
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			csv := !bytes.HasPrefix(raw, []byte("PK"))
			for _, c := range cells {
				if csv && c == "'"+bait || !csv && c == bait {
					return c, nil
				}
			}
			return nil, fmt.Errorf("the reason is not there as text: %q", cells)
		},
	}
	run(t, g, "console_reports", given{"auditor": o.who(auditor), "jdn": "PENTADBIR 1",
		"ap": o.who("700101105554")}, acts)
}

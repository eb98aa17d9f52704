//go:build !race

package journeys_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

const listOfThree = "no_kp,nama,no_sijil,kod_program,nama_program,tahap,kod_pusat,nama_pusat,kelompok,tahun,bahasa\n" +
	"800101149001,NUR AISYAH BINTI ABDULLAH,S102200001,TP-021-3:2013,PENYELENGGARAAN,SKM 3,L01234,PUSAT LATIHAN,2026/01,072026,ms\n" +
	"800101149002,RAJU A/L MUTHU,S102200002,TP-021-3:2013,PENYELENGGARAAN,SKM 3,L01234,PUSAT LATIHAN,2026/01,072026,ms\n" +
	"80010114900,TAN WEI LING,S102200003,TP-021-3:2013,PENYELENGGARAAN,SKM 3,L01234,PUSAT LATIHAN,2026/01,072026,ms\n"

// opened opens a batch with a body of some kind.
func openedBatch(t *testing.T, g *gatewaytest.Gateway, name, kind, contentType string, body []byte) string {
	t.Helper()
	id := g.Do("POST", "/v1/batches", "", map[string]string{"name": name, "kind": kind}).Text("batch_id")
	if r := g.Do("POST", "/v1/batches/"+id+"/items", contentType, body); r.Status != http.StatusOK {
		t.Fatalf("%s", r.Raw)
	}
	return id
}

// What administrators do about batches, letters and templates of eCertificates.
func TestJourneyConsoleWorks(t *testing.T) {
	g := gatewaytest.New(t)
	o := newOffice(t, g)
	o.seat(t, "700101105557", "NORAINI BINTI OTHMAN", enrol.Appointment{Role: enrol.JDN})
	o.seat(t, "700101105558", "CHONG SIEW LAN", enrol.Appointment{Role: enrol.Auditor})
	list := openedBatch(t, g, "Sijil Kemahiran April 2026, kelompok khas pemulihan zon utara", "ecert", "text/csv", []byte(listOfThree))
	var lines bytes.Buffer
	for k := range 6000 {
		if err := json.NewEncoder(&lines).Encode(map[string]any{"name": fmt.Sprintf("Baucar %d", k), "digest": map[string]string{"alg": "SHA-256", "value": "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="}}); err != nil {
			t.Fatal(err)
		}
	}
	signs := openedBatch(t, g, "Bayaran gaji Mei 2026", "digest", "application/x-ndjson", lines.Bytes())
	crestFile := filepath.Join(t.TempDir(), "jata.png")
	if err := os.WriteFile(crestFile, crest(t), 0o600); err != nil {
		t.Fatal(err)
	}
	acts := acts{
		// gaveUp has all letters given up, as the desk does after five days.
		"gaveUp": func(json.RawMessage) (any, error) {
			db, err := sql.Open("sqlite", "file:"+filepath.Join(g.Dir, "mohor.db")+"?_pragma=busy_timeout(15000)")
			if err != nil {
				return nil, err
			}
			defer db.Close()
			_, err = db.Exec("UPDATE notices SET attempts = 5, due_at = 9223372036854775807, failed_at = created_at")
			return true, err
		},
		"totp": func(argument json.RawMessage) (any, error) {
			var ic string
			_ = json.Unmarshal(argument, &ic)
			return o.totp(ic)
		},
		// signs begins to sign the large batch.
		"signs": func(json.RawMessage) (any, error) {
			if r := g.Do("POST", "/v1/batches/"+signs+"/seal", "", nil); r.Status != http.StatusOK {
				return nil, fmt.Errorf("%s", r.Raw)
			}
			tx, code := g.Ask(map[string]any{"format": "RAW", "batch_id": signs, "credential_id": g.Dev.Officers[0].Credentials[0].CredentialID})
			if r := g.Confirm(tx, code, nil); r.Status != http.StatusAccepted {
				return nil, fmt.Errorf("%s %s", tx.Raw, r.Raw)
			}
			return true, nil
		},
	}
	run(t, g, "console_works", given{"jdn": o.who("700101105551"), "second": o.who("700101105557"), "auditor": o.who("700101105558"), "sap": o.who("700101105552"), "list": list, "signs": signs, "crest": crestFile}, acts)
	after := openedBatch(t, g, "Selepas", "ecert", "text/csv", []byte(strings.ReplaceAll(listOfThree, "S1022", "S1033")))
	if r, err := o.as("700101105551", "GET", "/v1/admin/batches/"+after, nil, 200); err != nil || r.Body["template_version"] != 1.0 {
		t.Errorf("%v %s", err, r.Raw)
	}
}

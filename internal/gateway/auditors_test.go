package gateway_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"database/sql"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/internal/table"
)

// inRole logs in somebody appointed by the operator of the machine.
func inRole(t *testing.T, g *gatewaytest.Gateway, ic, name string, x enrol.Appointment) *browser {
	t.Helper()
	x.From = time.Now().Add(-time.Minute)
	o := enrol.Officer{IC: ic, Name: name, Email: strings.ToLower(strings.Fields(name)[0]) + "@janm.gov.my"}
	_, code, err := g.Server.Accounts.CreateAdministrator(t.Context(), enrol.Actor{Name: "cli:test"}, o, x)
	if err != nil {
		t.Fatal(err)
	}
	return administrator(t, g, ic, string(code.Reveal()))
}

func sealOf(t *testing.T, g *gatewaytest.Gateway) *ecdsa.PublicKey {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(g.Dir, "audit-seal.pem"))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := pem.Decode(raw)
	pub, err := x509.ParsePKIXPublicKey(b.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return pub.(*ecdsa.PublicKey)
}

// deeds are the records of an answer, as "action verdict".
func deeds(r *gatewaytest.Reply) (out []string) {
	list, _ := r.Body["records"].([]any)
	for _, x := range list {
		m := x.(map[string]any)
		out = append(out, m["action"].(string)+" "+m["verdict"].(string))
	}
	return out
}

// An auditor finds who looked at an officer, sees that a record is in the chain, and takes away what
// shows it; each of these is in the audit, and nobody else may.
func TestAuditorsByHTTP(t *testing.T) {
	g, _ := withPassword(t)
	officer := g.Dev.Officers[0].IC
	sap := inRole(t, g, "700101105554", "MIMI BINTI ALI", enrol.Appointment{Role: enrol.SAP, System: "IGFMAS"})
	auditor := inRole(t, g, "700101105562", "AUDREY ANAK JALONG", enrol.Appointment{Role: enrol.Auditor})
	jdn := inRole(t, g, "700101105570", "ROSLAN BIN AHMAD", enrol.Appointment{Role: enrol.JDN})
	want(t, jdn.do(http.MethodGet, "/v1/admin/officers/"+officer, nil), 200, "")

	for path, who := range map[string]*browser{"/v1/admin/audit": sap, "/v1/admin/audit/1": sap, "/v1/admin/audit/export?seq=1": sap} {
		want(t, who.do(http.MethodGet, path, nil), 403, "forbidden")
		want(t, newBrowser(t, g).do(http.MethodGet, path, nil), 401, "unauthenticated")
	}
	r := auditor.do(http.MethodGet, "/v1/admin/audit?looks=true&about="+officer, nil)
	list, _ := r.Body["records"].([]any)
	// Her own search was about the officer, and is the newest.
	if r.Status != 200 || len(list) != 2 || strings.Join(deeds(r), ",") != "audit.search accepted,enrol.read accepted" {
		t.Fatalf("%d %q", r.Status, deeds(r))
	}
	look := list[1].(map[string]any)
	detail := look["detail"].(map[string]any)
	if look["actor_name"] != "ROSLAN BIN AHMAD" || detail["by"] != "JDN" || detail["address"] == "" || look["object"] != "officer:"+officer {
		t.Errorf("%v", look)
	}
	seq := look["seq"].(float64)
	record := "/v1/admin/audit/" + numeral(seq)
	r = auditor.do(http.MethodGet, record, nil)
	if proof, _ := r.Body["proof"].(map[string]any); r.Status != 200 || proof["in_chain"] != true || proof["head"] == nil || r.Body["action"] != "enrol.read" {
		t.Errorf("%d %s", r.Status, r.Raw)
	}
	want(t, auditor.do(http.MethodGet, "/v1/admin/audit/99999999", nil), 404, "not_found")

	for q, expect := range map[string]string{
		"actor=700101105570&action=enrol.":                           "enrol.read accepted",
		"object=" + officer + "&action=enrol.read":                   "enrol.read accepted",
		"action=audit.read":                                          "audit.read refused,audit.read accepted,audit.read refused",
		"action=audit.read&verdict=accepted":                         "audit.read accepted",
		"action=audit.export&limit=1":                                "audit.export refused",
		"actor=700101105554&verdict=refused&action=audit.search":     "audit.search refused",
		"request_id=" + url.QueryEscape(look["request_id"].(string)): "enrol.read accepted",
		"from=2001-01-01&to=2001-12-31":                              "",
		"from=" + time.Now().AddDate(0, 0, 3).Format("2006-01-02"):   "",
		"actor=nobody": "",
	} {
		if r := auditor.do(http.MethodGet, "/v1/admin/audit?"+q, nil); r.Status != 200 || strings.Join(deeds(r), ",") != expect {
			t.Errorf("%s: %d %q, want %q", q, r.Status, deeds(r), expect)
		}
	}
	for _, q := range []string{"about=12", "verdict=maybe", "from=yesterday", "from=2026-11-02&to=2026-11-01", "actor=%01"} {
		want(t, auditor.do(http.MethodGet, "/v1/admin/audit?"+q, nil), 422, "audit_invalid")
	}
	want(t, auditor.do(http.MethodGet, "/v1/admin/audit/export?verdict=accepted", nil), 422, "audit_invalid")

	// The pages hold all, once.
	seen, next := map[float64]bool{}, "0"
	for pages := 0; next != ""; pages++ {
		r := auditor.do(http.MethodGet, "/v1/admin/audit?limit=7&before="+next, nil)
		list, _ := r.Body["records"].([]any)
		for _, x := range list {
			n := x.(map[string]any)["seq"].(float64)
			if seen[n] {
				t.Fatalf("record %v twice", n)
			}
			seen[n] = true
		}
		next = ""
		if n, ok := r.Body["next"].(float64); ok {
			next = numeral(n)
		}
		if pages > 1000 {
			t.Fatal("it does not end")
		}
	}
	if !seen[1] || !seen[seq] {
		t.Errorf("%d records", len(seen))
	}
	exported(t, g, auditor, officer, seq)
}

func numeral(n float64) string { return strconv.FormatInt(int64(n), 10) }

// exported checks what an auditor takes away.
func exported(t *testing.T, g *gatewaytest.Gateway, auditor *browser, officer string, seq float64) {
	t.Helper()
	pub := sealOf(t, g)
	r := auditor.do(http.MethodGet, "/v1/admin/audit/export?about="+officer, nil)
	if r.Status != 200 || r.Header.Get("Content-Type") != "application/jsonl" || !strings.HasSuffix(r.Header.Get("Content-Disposition"), `.jsonl"`) || r.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", r.Status, r.Header)
	}
	found := false
	rep, err := audit.CheckExport(bytes.NewReader(r.Raw), pub, nil, func(x audit.Record) error {
		found = found || float64(x.Seq) == seq && x.Action == "enrol.read"
		return nil
	})
	if err != nil || !found || rep.Records < 3 || rep.Others == 0 || rep.Runs == 0 || rep.Filter["officer"] != officer {
		t.Fatalf("%+v, %v, %v", rep, found, err)
	}
	// What was not asked for is hidden: another administrator's name does not leave with it.
	if bytes.Contains(r.Raw, []byte("account.setup")) {
		t.Error("others' events are in it")
	}
	edited := bytes.Replace(r.Raw, []byte(`"by":"JDN"`), []byte(`"by":"SAP"`), 1)
	if _, err := audit.CheckExport(bytes.NewReader(edited), pub, nil, nil); !errors.Is(err, audit.ErrBroken) {
		t.Errorf("edited: %v", err)
	}
	one := auditor.do(http.MethodGet, "/v1/admin/audit/export?seq="+numeral(seq), nil)
	if rep, err := audit.CheckExport(bytes.NewReader(one.Raw), pub, nil, nil); err != nil || rep.Records != 1 {
		t.Errorf("one: %+v, %v", rep, err)
	}
	x := auditor.do(http.MethodGet, "/v1/admin/audit/export?format=xlsx&about="+officer, nil)
	rows, err := table.Open(bytes.NewReader(x.Raw), int64(len(x.Raw)))
	if err != nil {
		t.Fatal(err)
	}
	if head, _, err := rows.Next(26); err != nil || len(head) != 12 || string(head[2]) != "pelaku" {
		t.Errorf("%q, %v", head, err)
	}
	c := auditor.do(http.MethodGet, "/v1/admin/audit/export?format=csv&about="+officer, nil)
	if !bytes.HasPrefix(c.Raw, []byte("\xef\xbb\xbfno,masa,pelaku,")) || !bytes.Contains(c.Raw, []byte("ROSLAN BIN AHMAD")) {
		t.Errorf("%.200s", c.Raw)
	}
	r = auditor.do(http.MethodGet, "/v1/admin/audit?action=audit.export&verdict=accepted", nil)
	if len(deeds(r)) != 4 {
		t.Errorf("the exports in the audit: %q", deeds(r))
	}
}

// A record that cannot be read is shown as one, beside the others, and is a fault of the chain all the
// same: the export says which records are proved, and no verification passes.
func TestADamagedRecordIsShownAsOne(t *testing.T) {
	g, _ := withPassword(t)
	officer := g.Dev.Officers[0].IC
	auditor := inRole(t, g, "700101105562", "AUDREY ANAK JALONG", enrol.Appointment{Role: enrol.Auditor})
	jdn := inRole(t, g, "700101105570", "ROSLAN BIN AHMAD", enrol.Appointment{Role: enrol.JDN})
	var seqs []int64
	look := func() {
		t.Helper()
		want(t, jdn.do(http.MethodGet, "/v1/admin/officers/"+officer, nil), 200, "")
		list, _ := auditor.do(http.MethodGet, "/v1/admin/audit?limit=1&action=enrol.read", nil).Body["records"].([]any)
		seqs = append(seqs, int64(list[0].(map[string]any)["seq"].(float64)))
	}
	look()
	look()
	look()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(g.Dir, "mohor.db")+"?_pragma=busy_timeout(15000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	pub, damaged := sealOf(t, g), seqs[1]
	for kind, edit := range map[string]string{
		"sealed":  "UPDATE audit_events SET detail = (SELECT detail || 'AAAA' FROM audit_events WHERE seq = ?1) WHERE seq = ?1",
		"columns": "UPDATE audit_events SET at = 'x' WHERE seq = ?1",
		"edited":  "UPDATE audit_events SET verdict = 'noted' WHERE seq = ?1",
	} {
		for _, do := range []string{"DROP TABLE IF EXISTS kept", "CREATE TABLE kept AS SELECT * FROM audit_events WHERE seq = ?1", edit} {
			if _, err := db.Exec(do, damaged); err != nil {
				t.Fatal(err)
			}
		}
		for _, q := range []string{"?action=enrol.read&limit=3", "?looks=true&about=" + officer, "?from=2026-01-01&action=enrol.read"} {
			r := auditor.do(http.MethodGet, "/v1/admin/audit"+q, nil)
			rows := map[int64]map[string]any{}
			list, _ := r.Body["records"].([]any)
			for _, x := range list {
				m := x.(map[string]any)
				rows[int64(m["seq"].(float64))] = m
			}
			bad, _ := rows[damaged]["unreadable"].(map[string]any)
			if r.Status != 200 || bad["code"] != kind || bad["text"] == "" || rows[damaged]["actor"] != "" || rows[damaged]["at"] != nil || len(rows[damaged]["detail"].(map[string]any)) != 0 {
				t.Fatalf("%s, %s: %d %v", kind, q, r.Status, rows[damaged])
			}
			for _, seq := range []int64{seqs[0], seqs[2]} {
				if rows[seq]["unreadable"] != nil || rows[seq]["actor_name"] != "ROSLAN BIN AHMAD" {
					t.Errorf("%s, %s: the others: %v", kind, q, rows[seq])
				}
			}
		}
		r := auditor.do(http.MethodGet, "/v1/admin/audit/"+numeral(float64(damaged)), nil)
		proof, _ := r.Body["proof"].(map[string]any)
		if bad, _ := r.Body["unreadable"].(map[string]any); r.Status != 200 || bad["code"] != kind || proof["in_chain"] != false || proof["broken_at"] != float64(damaged) {
			t.Errorf("%s: the record: %d %s", kind, r.Status, r.Raw)
		}
		for path, says := range map[string]string{"/admin/audit?action=enrol.read": `data-unreadable="`, "/admin/audit/looks?about=" + officer: `data-unreadable="`, "/admin/audit/" + numeral(float64(damaged)): "Rekod ini tidak dapat dibaca"} {
			if r := auditor.do(http.MethodGet, path, nil); r.Status != 200 || !bytes.Contains(r.Raw, []byte(says)) || !bytes.Contains(r.Raw, []byte(auditText(kind))) {
				t.Errorf("%s: %s: %d lacks %s", kind, path, r.Status, says)
			}
		}
		var broken *audit.BrokenError
		r = auditor.do(http.MethodGet, "/v1/admin/audit/export?action=enrol.read", nil)
		rep, err := audit.CheckExport(bytes.NewReader(r.Raw), pub, nil, nil)
		if r.Status != 200 || !errors.As(err, &broken) || broken.Seq != damaged || rep.Records != 1 || !slices.Equal(rep.Unproved, seqs[:1]) || len(rep.Breaks) != 1 || !rep.Breaks[0].Asked {
			t.Errorf("%s: export: %d %+v, %v\n%s", kind, r.Status, rep, err, r.Raw)
		}
		one := auditor.do(http.MethodGet, "/v1/admin/audit/export?seq="+numeral(float64(damaged)), nil)
		if rep, err := audit.CheckExport(bytes.NewReader(one.Raw), pub, nil, nil); one.Status != 200 || !errors.Is(err, audit.ErrBroken) || rep.Records != 0 {
			t.Errorf("%s: export of it alone: %d %+v, %v", kind, one.Status, rep, err)
		}
		behind := auditor.do(http.MethodGet, "/v1/admin/audit/export?seq="+numeral(float64(seqs[2])), nil)
		if rep, err := audit.CheckExport(bytes.NewReader(behind.Raw), pub, nil, nil); err != nil || rep.Records != 1 {
			t.Errorf("%s: export of one behind it: %+v, %v", kind, rep, err)
		}
		c := auditor.do(http.MethodGet, "/v1/admin/audit/export?format=csv&action=enrol.read", nil)
		if c.Status != 200 || !bytes.Contains(c.Raw, []byte(numeral(float64(damaged))+`,"","","","","","","tidak dapat dibaca",`)) || !bytes.Contains(c.Raw, []byte(numeral(float64(seqs[2]))+",20")) {
			t.Errorf("%s: %d %s", kind, c.Status, c.Raw)
		}
		if _, err := gateway.VerifyAudit(t.Context(), g.Dir, ""); !errors.As(err, &broken) || broken.Seq != damaged {
			t.Errorf("%s: the whole chain: %v", kind, err)
		}
		for _, do := range []string{"DELETE FROM audit_events WHERE seq = ?1", "INSERT INTO audit_events SELECT * FROM kept"} {
			if _, err := db.Exec(do, damaged); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := gateway.VerifyAudit(t.Context(), g.Dir, ""); err != nil {
		t.Errorf("the chain as it was: %v", err)
	}
}

// auditText is how the words for a kind of damage begin.
func auditText(kind string) string {
	return map[string]string{"sealed": "Bahagian rekod yang disulitkan tidak dapat dibuka", "columns": "Isi rekod ini rosak", "edited": "Kandungan rekod tidak sepadan dengan cincangnya"}[kind]
}

//go:build !race

package gateway_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// staff is one of each role who has to do with the works; the SAP of another system, too.
type staff struct{ jdn, second, sap, other, auditor, ap *browser }

func newStaff(t *testing.T, g *gatewaytest.Gateway) staff {
	t.Helper()
	machine := enrol.Actor{Name: "cli:test"}
	must(t, g.Server.Desk.PutAgency(t.Context(), machine, enrol.Agency{Code: "JANM", Name: "JANM"}))
	must(t, g.Server.Desk.PutSystem(t.Context(), machine, enrol.System{Code: g.Dev.System, Title: "iGFMAS", Agency: "JANM"}))
	must(t, g.Server.Desk.PutSystem(t.Context(), machine, enrol.System{Code: "LAIN", Title: "Lain", Agency: "JANM"}))
	return staff{appointed(t, g, "700202105438", enrol.JDN, "", ""), appointed(t, g, "700202105440", enrol.JDN, "", ""), appointed(t, g, "700202105442", enrol.SAP, "", g.Dev.System),
		appointed(t, g, "700202105444", enrol.SAP, "", "LAIN"), appointed(t, g, "700202105446", enrol.Auditor, "", ""), appointed(t, g, "700202105448", enrol.AP, "JANM", "")}
}

// verdicts counts events of the audit by action and verdict.
func verdicts(t *testing.T, g *gatewaytest.Gateway) map[string]int {
	t.Helper()
	out := map[string]int{}
	must(t, gateway.ReadAudit(t.Context(), g.Dir, "cli:test", "", g.Clock.Now, func(r audit.Record) error {
		out[r.Action+" "+string(r.Verdict)]++
		return nil
	}))
	return out
}

// Administrators see batches within their scope, stop and let go on what is signed, and open again
// what was refused; they sign nothing, and each look is in the audit.
func TestBatchesOfAdministrators(t *testing.T) {
	g := gatewaytest.New(t)
	s := newStaff(t, g)
	id, r := newBatch(t, g, header+line(1, "ALI BIN ABU")+line(2, "SITI BINTI ALI")+"rosak,1,,,,,,,,,ms\n")
	want(t, r, 200, "")
	const list = "/v1/admin/batches"
	at := list + "/" + id
	for who, b := range map[string]*browser{"jdn": s.jdn, "sap": s.sap, "auditor": s.auditor} {
		got := b.do("GET", list, nil)
		want(t, got, 200, "")
		if n := len(got.Body["batches"].([]any)); n != 1 || !strings.Contains(string(got.Raw), `"status":"OPEN"`) {
			t.Errorf("%s: %s", who, got.Raw)
		}
		want(t, b.do("GET", at, nil), 200, "")
	}
	if got := s.other.do("GET", list, nil); len(got.Body["batches"].([]any)) != 0 {
		t.Errorf("of another system: %s", got.Raw)
	}
	// What is not there and what is another's are told alike.
	for _, path := range []string{at, list + "/ba_none", at + "/refusals"} {
		want(t, s.other.do("GET", path, nil), 403, "forbidden")
		want(t, s.ap.do("GET", path, nil), 403, "forbidden")
	}
	want(t, s.jdn.do("GET", list+"/ba_none", nil), 404, "not_found")
	want(t, s.ap.do("GET", list, nil), 403, "forbidden")
	refusals := s.sap.do("GET", at+"/refusals", nil)
	if want(t, refusals, 200, ""); len(refusals.Body["rows"].([]any)) != 1 || strings.Contains(string(refusals.Raw), "rosak") {
		t.Errorf("%s", refusals.Raw)
	}

	why := map[string]any{"reason": "senarai yang salah"}
	want(t, s.auditor.do("POST", at+"/cancel", why), 403, "forbidden")
	want(t, s.other.do("POST", at+"/cancel", why), 403, "forbidden")
	want(t, s.sap.do("POST", at+"/cancel", map[string]any{"reason": "x"}), 422, "reason_missing")
	want(t, s.sap.do("POST", at+"/pause", why), 409, "batch_not_signing")
	want(t, s.sap.do("POST", at+"/resume", why), 409, "batch_not_paused")
	want(t, s.jdn.do("POST", at+"/retry", why), 409, "batch_not_refused")
	want(t, s.jdn.do("POST", list+"/ba_none/cancel", why), 404, "not_found")
	done := s.sap.do("POST", at+"/cancel", why)
	if want(t, done, 200, ""); done.Text("status") != "CANCELLED" {
		t.Errorf("%s", done.Raw)
	}
	want(t, s.sap.do("POST", at+"/cancel", why), 409, "batch_sealed")
	for what, n := range map[string]int{"batch.cancel accepted": 1, "batch.cancel refused": 5, "batch.read refused": 8} {
		if got := verdicts(t, g)[what]; got != n {
			t.Errorf("%s: %d events, want %d", what, got, n)
		}
	}
}

// A batch that is being signed is paused by its SAP, and goes on under the same authorisation.
func TestAdministratorPausesABatch(t *testing.T) {
	g := gatewaytest.New(t)
	s := newStaff(t, g)
	var lines bytes.Buffer
	const n = 1500
	for k := range n {
		must(t, json.NewEncoder(&lines).Encode(digestRef(fmt.Sprint("dokumen ", k))))
	}
	id := g.Do("POST", "/v1/batches", "", map[string]string{"name": "Jeda", "kind": "digest"}).Text("batch_id")
	want(t, g.Do("POST", "/v1/batches/"+id+"/items", "application/x-ndjson", lines.Bytes()), 200, "")
	want(t, g.Do("POST", "/v1/batches/"+id+"/seal", "", nil), 200, "")
	tx, code := g.Ask(map[string]any{"format": "RAW", "batch_id": id, "credential_id": g.Dev.Officers[0].Credentials[0].CredentialID})
	want(t, tx, 201, "")
	want(t, g.Confirm(tx, code, nil), 202, "")
	at := "/v1/admin/batches/" + id
	why := map[string]any{"reason": "perlu disemak dahulu"}
	paused := s.sap.do("POST", at+"/pause", why)
	if want(t, paused, 200, ""); paused.Text("status") != "PAUSED" || paused.Body["officer"].(map[string]any)["ic"] != g.Dev.Officers[0].IC {
		t.Fatalf("%s", paused.Raw)
	}
	want(t, s.jdn.do("POST", at+"/cancel", why), 409, "batch_busy")
	want(t, s.jdn.do("POST", at+"/resume", why), 200, "")
	if done := finish(t, g, id); done.Body["signed"] != float64(n) {
		t.Errorf("%s", done.Raw)
	}
}

// Two people change how eCertificates look. A batch keeps the look it was opened with, a draft is
// seen and not stored, and what cannot be printed is refused with its field.
func TestLookOfCertificates(t *testing.T) {
	g := gatewaytest.New(t)
	s := newStaff(t, g)
	const at, versions = "/v1/admin/ecert-templates", "/v1/admin/ecert-versions/"
	before, r := newBatch(t, g, header+line(1, "ALI BIN ABU"))
	want(t, r, 200, "")

	for _, b := range []*browser{s.jdn, s.sap, s.auditor} {
		want(t, b.do("GET", at, nil), 200, "")
		want(t, b.do("GET", at+"/umum", nil), 200, "")
	}
	want(t, s.ap.do("GET", at, nil), 403, "forbidden")
	want(t, s.jdn.do("GET", at+"/tiada", nil), 404, "not_found")
	if level := s.jdn.do("GET", at+"/dkm", nil); !strings.Contains(string(level.Raw), "Diploma Kemahiran Malaysia") || strings.Contains(string(level.Raw), `"layout"`) {
		t.Errorf("%s", level.Raw)
	}

	signed := map[string]any{"key": "signatory_1", "ms": "Pemangku Ketua Pengarah", "en": "Acting Director General"}
	draft := map[string]any{"texts": []any{signed}, "crest": base64.StdEncoding.EncodeToString(ring(t)), "places": []any{map[string]any{"layout": "certificate", "element": "qr", "x": 60.0, "y": 120.0}}}
	shown := s.sap.do("POST", at+"/umum/preview", with(draft, "format", "pdf", "language", "ms", "long", true, "photo", true))
	if want(t, shown, 200, ""); !bytes.HasPrefix(shown.Raw, []byte("%PDF-")) {
		t.Fatalf("%.80q", shown.Raw)
	}
	path := filepath.Join(t.TempDir(), "draf.pdf")
	must(t, os.WriteFile(path, shown.Raw, 0o600))
	if text := tool(t, "pdftotext", "-raw", path, "-"); !strings.Contains(text, "Pemangku Ketua Pengarah") || !strings.Contains(text, "ZULKARNAIN") {
		t.Errorf("%s", text)
	}
	if _, err := exec.LookPath("pdftoppm"); err == nil {
		if p := s.jdn.do("POST", at+"/umum/preview", draft); p.Header.Get("Content-Type") != "image/png" {
			t.Errorf("%d %v %.200s", p.Status, p.Header, p.Raw)
		}
	}
	for field, bad := range map[string]map[string]any{
		"texts.ms.signatory_1":  {"texts": []any{map[string]any{"key": "signatory_1", "ms": "局長", "en": "x"}}},
		"texts.en.signatory_1":  {"texts": []any{map[string]any{"key": "signatory_1", "ms": "Ketua Pengarah", "en": strings.Repeat("x", 201)}}},
		"texts.ms.author":       {"texts": []any{map[string]any{"key": "author", "ms": "", "en": "x"}}},
		"crest":                 {"crest": base64.StdEncoding.EncodeToString([]byte("<svg/>"))},
		"places.certificate.qr": {"places": []any{map[string]any{"layout": "certificate", "element": "qr", "x": 550.0, "y": 100.0}}},
		"places.statement.qr":   {"places": []any{map[string]any{"layout": "statement", "element": "qr", "x": 1e300, "y": 100.0}}},
	} {
		if got := s.jdn.do("POST", at+"/umum/preview", bad); got.Status != 422 || got.Text("code") != "template_invalid" || got.Text("field") != field {
			t.Errorf("%s: %s", field, got.Raw)
		}
	}
	want(t, s.jdn.do("POST", at+"/skm-1/preview", map[string]any{"page": 2}), 400, "invalid_request")
	want(t, s.jdn.do("POST", at+"/umum/preview", map[string]any{"texts": []any{map[string]any{"key": "tiada", "ms": "", "en": ""}}}), 400, "invalid_request")
	want(t, s.jdn.do("POST", at+"/skm-1/preview", map[string]any{"texts": []any{map[string]any{"key": "heading", "ms": "", "en": "x"}}}), 422, "template_invalid")

	offer := with(draft, "version", 0, "reason", "pemangku dilantik mulai Mei")
	want(t, s.sap.do("POST", at+"/umum/proposals", offer), 403, "forbidden")
	want(t, s.jdn.do("POST", at+"/umum/proposals", map[string]any{"version": 0, "reason": "tiada beza"}), 400, "invalid_request")
	made := s.jdn.do("POST", at+"/umum/proposals", offer)
	want(t, made, 201, "")
	want(t, s.second.do("POST", at+"/dkm/proposals", map[string]any{"version": 0, "reason": "yang lain", "texts": []any{map[string]any{"key": "heading", "ms": "Diploma", "en": "Diploma"}}}), 409, "look_awaits")
	if v := s.auditor.do("GET", versions+"1", nil); len(v.Body["changes"].([]any)) != 4 || !strings.Contains(string(v.Raw), `"was":"Ketua Pengarah"`) {
		t.Errorf("%s", v.Raw)
	}
	want(t, s.jdn.do("POST", versions+"1/confirm", nil), 403, "same_person")
	want(t, s.sap.do("POST", versions+"1/confirm", nil), 403, "forbidden")
	want(t, s.second.do("POST", versions+"9/confirm", nil), 404, "not_found")
	want(t, s.second.do("POST", versions+"1/confirm", nil), 200, "")
	want(t, s.second.do("POST", versions+"1/confirm", nil), 409, "look_changed")
	want(t, s.jdn.do("POST", at+"/umum/proposals", with(offer, "texts", []any{map[string]any{"key": "certify", "ms": "Disahkan", "en": "Certified"}})), 409, "look_changed")

	// The open batch stays as it was; another is drawn in the new version, as is its preview.
	want(t, g.Do("POST", "/v1/batches/"+before+"/items", "text/csv", []byte(header+line(2, "SITI BINTI ALI"))), 200, "")
	after, r := newBatch(t, g, header+line(3, "RAJU A/L MUTHU"))
	want(t, r, 200, "")
	for _, tt := range []struct {
		batch string
		index int
		acts  bool
	}{{before, 0, false}, {before, 1, false}, {after, 0, true}} {
		page := g.Do("GET", fmt.Sprintf("/v1/batches/%s/items/%d/preview", tt.batch, tt.index), "", nil)
		must(t, os.WriteFile(path, page.Raw, 0o600))
		if text := tool(t, "pdftotext", "-raw", path, "-"); strings.Contains(text, "Pemangku") != tt.acts {
			t.Errorf("batch %s, %d: %s", tt.batch, tt.index, text)
		}
	}
	if v := s.jdn.do("GET", "/v1/admin/batches/"+after, nil); v.Body["template_version"] != 1.0 {
		t.Errorf("%s", v.Raw)
	}
	// What goes back to the configuration is no change any more.
	back := s.second.do("POST", at+"/umum/proposals", map[string]any{"version": 1, "reason": "pemangku tamat", "drop_crest": true,
		"texts": []any{map[string]any{"key": "signatory_1", "ms": "Ketua Pengarah", "en": "Director General"}}, "places": []any{map[string]any{"layout": "certificate", "element": "qr", "x": 82.0, "y": 128.0}}})
	want(t, back, 201, "")
	want(t, s.second.do("POST", versions+"2/reject", map[string]any{"reason": "silap tarikh"}), 200, "")
	sum := sha256.Sum256(ring(t))
	if now := s.jdn.do("GET", at+"/umum", nil); now.Body["version"] != 1.0 || now.Text("crest") != hex.EncodeToString(sum[:]) {
		t.Errorf("%s", now.Raw)
	}
	for what, n := range map[string]int{"ecert.look.propose accepted": 2, "ecert.look.confirm accepted": 1, "ecert.look.confirm refused": 4, "ecert.look.reject accepted": 1} {
		if got := verdicts(t, g)[what]; got != n {
			t.Errorf("%s: %d events, want %d", what, got, n)
		}
	}
}

// A batch that was opened with other templates than the configuration has now takes no more rows:
// its certificates would not be alike.
func TestTemplateChangedBehindABatch(t *testing.T) {
	g := gatewaytest.New(t)
	id, r := newBatch(t, g, header+line(1, "ALI BIN ABU"))
	want(t, r, 200, "")
	g.Stop()
	words, err := os.ReadFile(filepath.Join("..", "..", "ecert", "templates", "ms.yaml"))
	must(t, err)
	must(t, os.MkdirAll(filepath.Join(g.Dir, "sijil"), 0o700))
	must(t, os.WriteFile(filepath.Join(g.Dir, "sijil", "ms.yaml"), bytes.Replace(words, []byte("signatory_1: Ketua Pengarah"), []byte("signatory_1: Pengarah Lain"), 1), 0o600))
	config, err := os.ReadFile(filepath.Join(g.Dir, gateway.ConfigFile))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(g.Dir, gateway.ConfigFile), bytes.Replace(config, []byte("\necert:\n  templates: \"\"\n"), []byte("\necert:\n  templates: sijil\n"), 1), 0o600))
	g.Start()
	want(t, g.Do("POST", "/v1/batches/"+id+"/items", "text/csv", []byte(header+line(2, "SITI BINTI ALI"))), 409, "template_changed")
	want(t, g.Do("POST", "/v1/batches/"+id+"/seal", "", nil), 200, "")
	tx, code := g.Ask(map[string]any{"format": "PADES", "batch_id": id})
	want(t, g.Confirm(tx, code, nil), 202, "")
	if done := finish(t, g, id); done.Text("status") != "SIGNED" {
		t.Errorf("%s", done.Raw)
	}
}

// with is a copy of an object with more members.
func with(o map[string]any, more ...any) map[string]any {
	out := map[string]any{}
	for k, v := range o {
		out[k] = v
	}
	for k := 0; k < len(more); k += 2 {
		out[more[k].(string)] = more[k+1]
	}
	return out
}

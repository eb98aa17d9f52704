package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// What the console asks of apps and systems: the SAP of one system is told nothing of another's, and
// no more of an app that is there than of one that is not.
func TestAppsForTheConsole(t *testing.T) {
	g := gatewaytest.New(t)
	machine := enrol.Actor{Name: "cli:test"}
	must(t, g.Server.Desk.PutAgency(t.Context(), machine, enrol.Agency{Code: "JANM", Name: "JANM"}))
	for _, code := range []string{g.Dev.System, "EP"} {
		must(t, g.Server.Desk.PutSystem(t.Context(), machine, enrol.System{Code: code, Title: code, Agency: "JANM"}))
	}
	jdn, sap := appointed(t, g, "700202105438", enrol.JDN, "", ""), appointed(t, g, "700202105442", enrol.SAP, "", g.Dev.System)
	other, ap := appointed(t, g, "700202105444", enrol.SAP, "", "EP"), appointed(t, g, "700202105446", enrol.AP, "JANM", "")
	auditor := appointed(t, g, "700202105448", enrol.Auditor, "", "")

	const path = "/v1/admin/apps"
	want(t, sap.do(http.MethodPost, path, map[string]any{"app_id": "lejar", "name": "Lejar", "systems": []string{g.Dev.System}}), 201, "")
	want(t, other.do(http.MethodPost, path, map[string]any{"app_id": "beli", "name": "Belian", "systems": []string{"EP"}}), 201, "")
	ids := func(r *gatewaytest.Reply) string {
		want(t, r, 200, "")
		all, out := r.Body["apps"].([]any), []string{}
		for _, a := range all {
			out = append(out, a.(map[string]any)["app_id"].(string))
		}
		return strings.Join(out, " ")
	}
	house := g.Dev.ClientID
	for who, c := range map[string]struct {
		of         *browser
		all, waits string
	}{"JDN": {jdn, "beli lejar " + house, "beli lejar"}, "AUDITOR": {auditor, "beli lejar " + house, "beli lejar"}, "SAP": {sap, "lejar " + house, "lejar"}, "SAP of another": {other, "beli", "beli"}} {
		if got := ids(c.of.do(http.MethodGet, path, nil)); got != c.all {
			t.Errorf("%s: all are %q, not %q", who, got, c.all)
		}
		if got := ids(c.of.do(http.MethodGet, path+"?awaits=true", nil)); got != c.waits {
			t.Errorf("%s: %q wait, not %q", who, got, c.waits)
		}
	}
	if got := ids(other.do(http.MethodGet, path+"?system="+g.Dev.System, nil)); got != "" {
		t.Errorf("another's system has %q", got)
	}
	if got := ids(jdn.do(http.MethodGet, path+"?q=LEJ&state=PROPOSED&system="+g.Dev.System, nil)); got != "lejar" {
		t.Errorf("found %q", got)
	}
	want(t, ap.do(http.MethodGet, path, nil), 403, "forbidden")
	want(t, jdn.do(http.MethodGet, path+"?state=GONE", nil), 400, "invalid_request")

	// Who confirms is told who proposed, by name; who proposed, that it was them.
	seen := jdn.do(http.MethodGet, path+"/lejar", nil)
	want(t, seen, 200, "")
	p := seen.Body["proposal"].(map[string]any)
	if name, _ := p["by_name"].(string); name == "" || p["yours"] != nil || !strings.HasPrefix(p["by"].(string), "account:") {
		t.Errorf("%s", seen.Raw)
	}
	if own := sap.do(http.MethodGet, path+"/lejar", nil); own.Body["proposal"].(map[string]any)["yours"] != true {
		t.Errorf("%s", own.Raw)
	}
	there, not := other.do(http.MethodGet, path+"/lejar", nil), other.do(http.MethodGet, path+"/tiada", nil)
	want(t, there, 403, "forbidden")
	want(t, not, 403, "forbidden")

	system := "/v1/admin/systems/" + g.Dev.System
	try := map[string]any{"header_template": "110FGOM{digits:11}A{amount}{ic}", "data_header": "110FGOM07022411247A29911.35240405888916"}
	if r := sap.do(http.MethodPost, system+"/header", try); r.Body["fits"] != true || r.Text("amount") != "29911.35" || len(r.Body["parts"].([]any)) != 5 {
		t.Errorf("%d %s", r.Status, r.Raw)
	}
	try["data_header"] = "110FGOM0702"
	if r := sap.do(http.MethodPost, system+"/header", try); r.Body["fits"] != false || r.Text("rest") != "0702" {
		t.Errorf("%d %s", r.Status, r.Raw)
	}
	want(t, other.do(http.MethodPost, system+"/header", try), 403, "forbidden")
	want(t, auditor.do(http.MethodPost, system+"/header", try), 403, "forbidden")
	want(t, jdn.do(http.MethodPost, "/v1/admin/systems/NONE/header", try), 404, "not_found")
	try["header_template"] = "{siapa}"
	want(t, sap.do(http.MethodPost, system+"/header", try), 422, "registry_invalid")
	if r := auditor.do(http.MethodGet, system+"/tokens", nil); r.Status != 200 || r.Body["officers"] != 0.0 {
		t.Errorf("%d %s", r.Status, r.Raw)
	}
	want(t, other.do(http.MethodGet, system+"/tokens", nil), 403, "forbidden")
	want(t, ap.do(http.MethodGet, system+"/tokens", nil), 403, "forbidden")
}

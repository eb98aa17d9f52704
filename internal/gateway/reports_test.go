package gateway_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/internal/table"
)

// reader logs in an administrator with an appointment.
func reader(t *testing.T, g *gatewaytest.Gateway, x enrol.Appointment) *browser {
	t.Helper()
	o := enrol.Officer{IC: "700101105554", Name: "MIMI", Email: "mimi@janm.gov.my"}
	_, code, err := g.Server.Accounts.CreateAdministrator(t.Context(), enrol.Actor{Name: "cli:test"}, o, x)
	if err != nil {
		t.Fatal(err)
	}
	return administrator(t, g, o.IC, string(code.Reveal()))
}

// Reports leave for administrators alone, within their scope, in three formats.
func TestReportsByHTTP(t *testing.T) {
	g, officer := withPassword(t)
	id, code := officer.begin(g.Dev.Officers[0].IC, officerPassword, true)
	want(t, officer.do(http.MethodPost, "/v1/sessions/"+id+"/code", map[string]string{"code": code}), 200, "")
	want(t, officer.do(http.MethodGet, "/v1/admin/reports/users", nil), 403, "forbidden")
	want(t, newBrowser(t, g).do(http.MethodGet, "/v1/admin/reports/users", nil), 401, "unauthenticated")

	sap := reader(t, g, enrol.Appointment{Role: enrol.SAP, System: "IGFMAS", From: time.Now().Add(-time.Minute)})
	r := sap.do(http.MethodGet, "/v1/admin/reports/officers?format=csv", nil)
	if r.Status != 200 || !bytes.HasPrefix(r.Raw, []byte("\xef\xbb\xbfno_kp,nama,")) || !strings.Contains(string(r.Raw), g.Dev.Officers[0].IC) ||
		r.Header.Get("Content-Type") != "text/csv; charset=utf-8" || r.Header.Get("Content-Disposition") != `attachment; filename="mohor-officers.csv"` || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v %q", r.Status, r.Header, r.Raw)
	}
	r = sap.do(http.MethodGet, "/v1/admin/reports/users?format=xlsx", nil)
	rows, err := table.Open(bytes.NewReader(r.Raw), int64(len(r.Raw)))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; err == nil; n++ {
		_, _, err = rows.Next(26)
	}
	if err != io.EOF || n < 3 {
		t.Errorf("%d rows, %v", n-1, err)
	}
	r = sap.do(http.MethodGet, "/v1/admin/reports/users", nil)
	if r.Status != 200 || r.Text("report") != "users" {
		t.Errorf("%d %s", r.Status, r.Raw)
	}
	want(t, sap.do(http.MethodGet, "/v1/admin/reports/users?system=SPEKS", nil), 403, "forbidden")
	want(t, sap.do(http.MethodGet, "/v1/admin/reports/secrets", nil), 400, "invalid_request")
	want(t, sap.do(http.MethodGet, "/v1/admin/reports/expiring?days=401", nil), 400, "invalid_request")
	want(t, sap.do(http.MethodGet, "/v1/admin/reports/users?agency=%27%20OR", nil), 422, "report_invalid")
}

// The report and the list of vacancies agree on whom an agency has: an AP who has set up
// the account.
func TestVacanciesAreTheReport(t *testing.T) {
	m := newMinistry(t)
	want(t, m.jdn.do(http.MethodPut, "/v1/admin/agencies/KKM", map[string]any{"name": "Kementerian Kesihatan"}), 200, "")
	ic := "700101105571"
	_, code, err := m.Server.Accounts.Appoint(t.Context(), enrol.Actor{Name: "cli:test"}, enrol.Officer{IC: ic, Name: "BAHARU", Email: "b@kkm.gov.my"},
		enrol.Appointment{Role: enrol.AP, Agency: "KKM", From: m.Clock.Now().Add(-time.Minute), Document: "KKM.1"})
	if err != nil {
		t.Fatal(err)
	}
	both := func(when string, vacant bool) {
		t.Helper()
		for _, path := range []string{"vacancies", "reports/no-ap"} {
			if r := m.jdn.do(http.MethodGet, "/v1/admin/"+path, nil); r.Status != 200 || bytes.Contains(r.Raw, []byte("KKM")) != vacant || bytes.Contains(r.Raw, []byte(`"JANM"`)) {
				t.Errorf("%s, %s: %s", when, path, r.Raw)
			}
		}
	}
	both("appointed and not set up", true)
	administrator(t, m.Gateway, ic, string(code.Reveal()))
	both("set up", false)
}

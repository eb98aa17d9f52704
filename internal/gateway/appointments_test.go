package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/internal/secret"
)

const adminPassword = "tujuh belas kerusi rotan"

// administrator sets an account up with its code and logs in.
func administrator(t *testing.T, g *gatewaytest.Gateway, ic, code string) *browser {
	t.Helper()
	b := newBrowser(t, g)
	seed := b.do(http.MethodPost, "/v1/setup", map[string]string{"code": code})
	want(t, seed, 200, "")
	want(t, b.do(http.MethodPost, "/v1/setup/complete", map[string]string{"code": code, "password": adminPassword, "totp": digits(t, g, seed)}), 204, "")
	g.Clock.Advance(30 * time.Second)
	l := b.do(http.MethodPost, "/v1/sessions", map[string]string{"ic": ic, "password": adminPassword})
	want(t, l, 202, "")
	want(t, b.do(http.MethodPost, "/v1/sessions/"+l.Text("session_id")+"/code", map[string]string{"code": digits(t, g, seed)}), 200, "")
	return b
}

// digits are what the app with a seed shows.
func digits(t *testing.T, g *gatewaytest.Gateway, seed *gatewaytest.Reply) string {
	t.Helper()
	d, err := totp.GenerateCode(seed.Text("secret"), g.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func appointmentID(made *gatewaytest.Reply) string {
	return made.Body["appointment"].(map[string]any)["appointment_id"].(string)
}

// inForce has a second person confirm an appointment, and its holder set the account up with
// what was mailed.
func inForce(t *testing.T, g *gatewaytest.Gateway, second *browser, made *gatewaytest.Reply, ic string) *browser {
	t.Helper()
	want(t, second.do(http.MethodPost, "/v1/admin/appointments/"+appointmentID(made)+"/confirm", nil), 204, "")
	m := &ministry{Gateway: g}
	return administrator(t, g, ic, m.mailed(t, made.Body["appointment"].(map[string]any)["email"].(string), `(setup_[a-z2-7]{26})`))
}

func TestAppointmentsAndHelp(t *testing.T) {
	g := gatewaytest.New(t)
	machine := enrol.Actor{Name: "cli:test"}
	jdnIC, saIC, apIC, officer := "700202105432", "700202105434", "700202105436", g.Dev.Officers[0].IC
	for _, err := range []error{
		g.Server.Desk.PutAgency(t.Context(), machine, enrol.Agency{Code: "JANM", Name: "Jabatan Akauntan Negara"}),
		g.Server.Desk.PutAgency(t.Context(), machine, enrol.Agency{Code: "JPK", Name: "Jabatan Pembangunan Kemahiran"}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	_, code, err := g.Server.Accounts.CreateAdministrator(t.Context(), machine, enrol.Officer{IC: jdnIC, Name: "LIM AH KOW", Email: "lim@jdn.example"}, enrol.Appointment{Role: enrol.JDN, From: g.Clock.Now()})
	if err != nil {
		t.Fatal(err)
	}
	jdn := administrator(t, g, jdnIC, string(code.Reveal()))
	second := appointed(t, g, "700202105438", enrol.JDN, "", "")
	body := func(ic, role, agency string) map[string]string {
		return map[string]string{"ic": ic, "name": "NAMA", "email": ic + "@janm.example", "role": role, "agency": agency, "document": "JANM.100-1/1"}
	}
	const path = "/v1/admin/appointments"
	want(t, jdn.do(http.MethodPost, path, body(jdnIC, "SA", "JANM")), 403, "own_case")
	want(t, jdn.do(http.MethodPost, path, body(apIC, "AP", "JANM")), 403, "forbidden")
	want(t, jdn.do(http.MethodPost, path, body(saIC, "SA", "KKM")), 422, "agency_unknown")
	made := jdn.do(http.MethodPost, path, body(saIC, "SA", "JANM"))
	want(t, made, 201, "")
	want(t, jdn.do(http.MethodPost, path+"/"+appointmentID(made)+"/confirm", nil), 403, "same_person")
	sa := inForce(t, g, second, made, saIC)
	want(t, sa.do(http.MethodPost, path, body(apIC, "AP", "JPK")), 403, "forbidden")
	sa.header["Idempotency-Key"] = "lantik-1"
	made = sa.do(http.MethodPost, path, body(apIC, "AP", "JANM"))
	want(t, made, 201, "")
	if again := sa.do(http.MethodPost, path, body(apIC, "AP", "JANM")); string(again.Raw) != string(made.Raw) || strings.Contains(string(made.Raw), "setup_") {
		t.Errorf("%s", again.Raw)
	}
	delete(sa.header, "Idempotency-Key")
	want(t, jdn.do(http.MethodPost, path+"/"+appointmentID(made)+"/confirm", nil), 403, "same_person") // who appointed the SA
	ap := inForce(t, g, second, made, apIC)
	gaps := jdn.do(http.MethodGet, "/v1/admin/vacancies", nil)
	if want(t, gaps, 200, ""); strings.Contains(string(gaps.Raw), "JANM") || !strings.Contains(string(gaps.Raw), "JPK") {
		t.Errorf("%s", gaps.Raw)
	}
	want(t, ap.do(http.MethodGet, path, nil), 403, "forbidden")
	if seen := sa.do(http.MethodGet, path, nil); strings.Contains(string(seen.Raw), jdnIC) || !strings.Contains(string(seen.Raw), apIC) {
		t.Errorf("an SA sees %s", seen.Raw)
	}

	// Help is for the own agency: this officer is of no agency's, so JDN alone may.
	want(t, ap.do(http.MethodGet, "/v1/admin/officers/"+officer+"/codes", nil), 403, "forbidden")
	want(t, ap.do(http.MethodPost, "/v1/admin/officers/"+officer+"/unlock", map[string]string{"reason": "at the counter"}), 403, "forbidden")
	want(t, ap.do(http.MethodGet, "/v1/admin/officers/820101145679/codes", nil), 403, "forbidden")
	want(t, jdn.do(http.MethodGet, "/v1/admin/officers/820101145679/codes", nil), 404, "not_found")
	if err := g.Server.Accounts.SetPassword(t.Context(), machine, enrol.Officer{IC: officer, Name: "N", Email: g.Dev.Officers[0].Email}, secret.New(officerPassword)); err != nil {
		t.Fatal(err)
	}
	newBrowser(t, g).begin(officer, officerPassword, true)
	if sent := jdn.do(http.MethodGet, "/v1/admin/officers/"+officer+"/codes", nil); !strings.Contains(string(sent.Raw), `"transaction_id":"lg_`) || strings.Contains(string(sent.Raw), g.Dev.Officers[0].Email) {
		t.Errorf("the code of a log-in is not shown, or its address is: %s", sent.Raw)
	}
	want(t, jdn.do(http.MethodPost, "/v1/admin/officers/"+officer+"/unlock", map[string]string{"reason": "x"}), 400, "invalid_request")
	want(t, jdn.do(http.MethodPost, "/v1/admin/officers/"+officer+"/unlock", map[string]string{"reason": "MyKad seen at the counter"}), 200, "")
	want(t, jdn.do(http.MethodPost, "/v1/admin/officers/"+jdnIC+"/unlock-login", map[string]string{"reason": "myself, honestly"}), 403, "own_case")
	if r := jdn.do(http.MethodPost, "/v1/admin/officers/"+officer+"/unlock-login", map[string]string{"reason": "MyKad seen at the counter"}); r.Body["cleared"] != true {
		t.Errorf("%s", r.Raw)
	}

	// An end to come closes the session then.
	id := appointmentID(made)
	at := g.Clock.Now().Add(2 * time.Minute).UTC().Format(time.RFC3339)
	want(t, sa.do(http.MethodDelete, path+"/"+id+"?until="+at, nil), 400, "invalid_request")
	want(t, ap.do(http.MethodDelete, path+"/"+id+"?document=JANM.2&until="+at, nil), 403, "forbidden")
	want(t, sa.do(http.MethodDelete, path+"/"+id+"?document=JANM.2&until="+at, nil), 204, "")
	want(t, ap.do(http.MethodGet, "/v1/me", nil), 401, "unauthenticated") // told by a new log-in
	g.Clock.Advance(11 * time.Minute)
	want(t, jdn.do(http.MethodPost, path, body("700202105438", "SA", "JPK")), 403, "session_not_fresh")
	want(t, jdn.do(http.MethodPost, path+"/ap_none/confirm", nil), 403, "session_not_fresh")
	want(t, jdn.do(http.MethodDelete, path+"/ap_none?document=JANM.2", nil), 403, "session_not_fresh")
	g.Clock.Advance(-11 * time.Minute)
	want(t, jdn.do(http.MethodDelete, path+"/ap_none?document=JANM.2", nil), 404, "not_found")
}

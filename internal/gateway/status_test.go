package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gateway"
)

// certified brings the newcomer to a certificate and gives a session of the officer's.
func (m *ministry) certified(t *testing.T) (officer *browser, serial string) {
	t.Helper()
	id, code := m.confirmed(t)
	b := m.officer(t, code)
	want(t, b.do(http.MethodPost, "/v1/me/application", application(code)), 201, "")
	want(t, m.ap.do(http.MethodPost, "/v1/admin/enrolments/"+id+"/validate", nil), 204, "")
	issued := m.jdn.do(http.MethodPost, "/v1/admin/enrolments/"+id+"/approve", nil)
	want(t, issued, 200, "")
	return b, issued.Text("serial_number")
}

func (m *ministry) begins(t *testing.T) (transaction string, status int, code string) {
	t.Helper()
	r := m.Do(http.MethodPost, "/v1/transactions", "", map[string]any{"ic": newcomerIC, "system": m.Dev.System, "format": "PADES", "documents": []any{map[string]any{"document_id": upload(t, m.Gateway, voucher(t))}}})
	return r.Text("transaction_id"), r.Status, r.Text("code")
}

const ofNewcomer = "/v1/admin/officers/" + newcomerIC

func TestStatusOverHTTP(t *testing.T) {
	m := newMinistry(t)
	officer, serial := m.certified(t)
	why := map[string]any{"system": m.Dev.System, "why": "telefon hilang di stesen"}

	// Suspended by the officer, released by somebody else alone.
	held := officer.do(http.MethodPost, "/v1/me/certificate/suspend", why)
	if want(t, held, 200, ""); held.Body["local_only"] != false || held.Body["published"] != true {
		t.Errorf("%s", held.Raw)
	}
	if err := gateway.Deliver(t.Context(), m.Server); err != nil {
		t.Fatal(err)
	}
	told := string(m.Do(http.MethodGet, "/dev/mailbox.json?to=p700101105554@jdn.gov.my", "", nil).Raw)
	if !strings.Contains(told, "An officer's certificate was suspended") || !strings.Contains(told, "NORAINI BINTI OTHMAN") || strings.Contains(told, newcomerIC) {
		t.Errorf("the AP is told %s", told)
	}
	if r := m.Do(http.MethodGet, "/dev/mailbox.json?to=p700101105556@jdn.gov.my", "", nil); strings.Contains(string(r.Raw), "NORAINI") {
		t.Errorf("another agency's AP is told %s", r.Raw)
	}
	if _, status, code := m.begins(t); status != 409 || code != "certificate_suspended" {
		t.Errorf("suspended: %d %s", status, code)
	}
	want(t, officer.do(http.MethodPost, ofNewcomer+"/certificate/release", why), 403, "forbidden")
	for who, b := range map[string]*browser{"another agency": m.other, "the officer": officer} {
		for _, verb := range []string{"suspend", "release", "revoke"} {
			r := b.do(http.MethodPost, ofNewcomer+"/certificate/"+verb, map[string]any{"system": m.Dev.System, "why": "tidak sepatutnya", "reason": "unspecified"})
			if verb != "revoke" {
				r = b.do(http.MethodPost, ofNewcomer+"/certificate/"+verb, why)
			}
			if r.Status != 403 || r.Text("code") != "forbidden" {
				t.Errorf("%s, %s: %d %s", who, verb, r.Status, r.Raw)
			}
		}
	}
	want(t, m.ap.do(http.MethodPost, ofNewcomer+"/certificate/suspend", why), 409, "already_suspended")
	want(t, m.ap.do(http.MethodPost, ofNewcomer+"/certificate/release", but(why, "why", "ok")), 422, "reason_missing")
	want(t, m.ap.do(http.MethodPost, ofNewcomer+"/certificate/release", but(why, "system", "EP")), 403, "forbidden")
	want(t, m.ap.do(http.MethodPost, ofNewcomer+"/certificate/release", why), 200, "")
	want(t, m.ap.do(http.MethodPost, ofNewcomer+"/certificate/release", why), 409, "not_suspended")
	want(t, m.jdn.do(http.MethodPost, "/v1/admin/officers/820101145679/certificate/suspend", why), 404, "not_found")

	// At a time to come, listed for those who may see it, cancelled, and ordered again.
	at := m.Clock.Now().Add(48 * time.Hour).UTC().Truncate(time.Second)
	leave := map[string]any{"why": "bersara wajib", "at": at.Format(time.RFC3339)}
	want(t, m.ap.do(http.MethodPost, ofNewcomer+"/retire", but(leave, "at", m.Clock.Now().Add(-time.Hour).UTC().Format(time.RFC3339))), 422, "date_invalid")
	want(t, officer.do(http.MethodPost, ofNewcomer+"/retire", leave), 403, "forbidden")
	want(t, m.other.do(http.MethodPost, ofNewcomer+"/retire", leave), 403, "forbidden")
	out := m.ap.do(http.MethodPost, ofNewcomer+"/retire", leave)
	if want(t, out, 200, ""); out.Text("at") != at.Format(time.RFC3339) {
		t.Errorf("%s", out.Raw)
	}
	want(t, m.ap.do(http.MethodGet, "/v1/admin/revocations", nil), 403, "forbidden")
	want(t, m.other.do(http.MethodGet, "/v1/admin/revocations?agency=JANM", nil), 403, "forbidden")
	for _, at := range []string{"?agency=JPK", "?agency=JANM&system=EP"} {
		if r := m.jdn.do(http.MethodGet, "/v1/admin/revocations"+at, nil); len(r.Body["revocations"].([]any)) != 0 {
			t.Errorf("%s: %s", at, r.Raw)
		}
	}
	listed := m.ap.do(http.MethodGet, "/v1/admin/revocations?agency=JANM", nil)
	if s := string(listed.Raw); !strings.Contains(s, serial) || !strings.Contains(s, "bersara wajib") || !strings.Contains(s, "cessationOfOperation") {
		t.Errorf("%s", s)
	}
	// The console, which lists several agencies together, makes such places itself.
	if r := m.ap.do(http.MethodGet, "/v1/admin/revocations?agency=JANM&limit=1", nil); r.Text("next") != fmt.Sprintf("%d.%s", at.UnixMicro(), serial) {
		t.Errorf("the next page: %s", r.Raw)
	}
	want(t, officer.do(http.MethodPost, "/v1/me/certificate/renew", map[string]any{"system": m.Dev.System, "pin": newcomerPIN}), 409, "certificate_leaving")
	cancel := "/v1/admin/revocations/" + serial + "?why=kontrak+disambung"
	want(t, m.other.do(http.MethodDelete, cancel, nil), 403, "forbidden")
	want(t, officer.do(http.MethodDelete, cancel, nil), 403, "forbidden")
	want(t, m.ap.do(http.MethodDelete, cancel, nil), 204, "")
	want(t, m.ap.do(http.MethodDelete, cancel, nil), 403, "forbidden") // what is not there is like another agency's
	want(t, m.jdn.do(http.MethodDelete, cancel, nil), 404, "not_found")
	want(t, m.ap.do(http.MethodPost, ofNewcomer+"/retire", leave), 200, "")

	// On the day: the key is gone, what waited for it has ended, and so has the session.
	m.Clock.Advance(at.Add(-time.Minute).Sub(m.Clock.Now()))
	m.login(t, officer)
	waiting, status, _ := m.begins(t)
	if status != 201 {
		t.Fatalf("a minute before: %d", status)
	}
	m.Clock.Advance(2 * time.Minute)
	if done, err := gateway.CAOf(m.Server).RevokeDue(t.Context()); err != nil || len(done) != 1 {
		t.Fatal(done, err)
	}
	if r := m.Do(http.MethodGet, "/v1/transactions/"+waiting, "", nil); r.Text("status") != "CANCELLED" {
		t.Errorf("%s", r.Raw)
	}
	want(t, officer.do(http.MethodGet, "/v1/me", nil), 401, "unauthenticated")
	if _, status, code := m.begins(t); status != 409 {
		t.Errorf("retired: %d %s", status, code)
	}
	m.login(t, officer) // she may read what she signed
	want(t, officer.do(http.MethodPost, "/v1/me/certificate/suspend", why), 409, "no_certificate")
}

func TestTransferOverHTTP(t *testing.T) {
	m := newMinistry(t)
	officer, serial := m.certified(t)
	at := m.Clock.Now().Add(10 * time.Minute).UTC().Truncate(time.Second)
	move := map[string]any{"system": m.Dev.System, "why": "bertukar ke JPK", "agency": "JPK", "at": at.Format(time.RFC3339)}
	at2 := ofNewcomer + "/transfer"
	want(t, m.other.do(http.MethodPost, at2, move), 403, "forbidden") // nobody fetches another agency's officer
	want(t, officer.do(http.MethodPost, at2, move), 403, "forbidden")
	want(t, m.ap.do(http.MethodPost, at2, but(move, "agency", "KKM")), 422, "agency_unknown")
	want(t, m.ap.do(http.MethodPost, at2, but(move, "agency", "JANM")), 422, "agency_same")
	want(t, m.other.do(http.MethodGet, ofNewcomer, nil), 403, "forbidden")
	done := m.ap.do(http.MethodPost, at2, move)
	want(t, done, 200, "")
	want(t, m.ap.do(http.MethodPost, at2, move), 409, "application_open")
	if seen := m.other.do(http.MethodGet, ofNewcomer, nil); seen.Status != 200 || !strings.Contains(string(seen.Raw), done.Text("enrolment_id")) {
		t.Errorf("the new agency sees %s", seen.Raw)
	}
	if _, status, _ := m.begins(t); status != 201 {
		t.Error("she cannot sign until the day")
	}
	m.Clock.Advance(11 * time.Minute)
	if gone, err := gateway.CAOf(m.Server).RevokeDue(t.Context()); err != nil || len(gone) != 1 || gone[0].Serial != serial {
		t.Fatal(gone, err)
	}
	// The new agency decides now, and the old one not.
	other := appointed(t, m.Gateway, "700101105561", enrol.AP, "JPK", "")
	old := appointed(t, m.Gateway, "700101105562", enrol.AP, "JANM", "")
	id := "/v1/admin/enrolments/" + done.Text("enrolment_id")
	want(t, old.do(http.MethodPost, id+"/resend", nil), 403, "forbidden")
	want(t, other.do(http.MethodGet, id, nil), 200, "")
}

// What an AP sees of an application, and many decided about at once.
func TestBulkOverHTTP(t *testing.T) {
	m := newMinistry(t)
	id, code := m.confirmed(t)
	officer := m.officer(t, code)
	want(t, officer.do(http.MethodPost, "/v1/me/application", application(code)), 201, "")
	const path = "/v1/admin/enrolments/bulk"
	now := m.Clock.Now().UTC().Format(time.RFC3339Nano)
	filter := map[string]any{"agency": "JANM", "until": now, "count": 1}
	body := map[string]any{"step": "validate", "reason": "Disemak dengan senarai jawatan", "filter": filter}
	want(t, m.ap.do(http.MethodPost, path, but(body, "enrolment_ids", []string{id})), 400, "invalid_request")
	want(t, m.ap.do(http.MethodPost, path, but(body, "step", "withdraw")), 400, "invalid_request")
	want(t, m.ap.do(http.MethodPost, path, but(body, "reason", "ok")), 422, "reason_missing")
	want(t, m.ap.do(http.MethodPost, path, but(body, "filter", but(filter, "count", 2))), 409, "count_differs")
	want(t, m.other.do(http.MethodPost, path, body), 403, "forbidden")
	want(t, officer.do(http.MethodPost, path, body), 403, "forbidden")
	want(t, m.jdn.do(http.MethodPost, path, body), 403, "forbidden")
	foreign := m.other.do(http.MethodPost, path, map[string]any{"step": "validate", "reason": "bukan agensi saya", "enrolment_ids": []string{id}})
	if want(t, foreign, 200, ""); foreign.Body["refused"] != 1.0 || strings.Contains(string(foreign.Raw), "APPLIED") {
		t.Errorf("%s", foreign.Raw)
	}
	done := m.ap.do(http.MethodPost, path, body)
	if want(t, done, 200, ""); done.Body["done"] != 1.0 || done.Body["remaining"] != 0.0 {
		t.Errorf("%s", done.Raw)
	}
	want(t, m.ap.do(http.MethodPost, path, body), 409, "count_differs") // once
	want(t, m.ap.do(http.MethodPost, path, but(body, "step", "approve")), 403, "forbidden")
	approved := m.jdn.do(http.MethodPost, path, map[string]any{"step": "approve", "reason": "Surat JANM.100-1/1", "filter": map[string]any{"until": now, "count": 1}})
	if want(t, approved, 200, ""); !strings.Contains(string(approved.Raw), `"state":"ISSUED"`) {
		t.Errorf("%s", approved.Raw)
	}

	one := func(id string) map[string]any {
		r := m.ap.do(http.MethodGet, "/v1/admin/enrolments/"+id, nil)
		want(t, r, 200, "")
		return r.Body
	}
	first := one(id)
	if e := first["enrolment"].(map[string]any); e["kind"] != "FIRST" || e["replaces"] != nil {
		t.Errorf("%v", e)
	}
	said := map[string]any{}
	for _, x := range first["steps"].([]any) {
		s := x.(map[string]any)
		said[s["action"].(string)] = s
	}
	if v := said["enrol.validate"].(map[string]any); v["by_name"] != "PENTADBIR 4" || v["role"] != "AP" || v["why"] != "Disemak dengan senarai jawatan" {
		t.Errorf("%v", v)
	}
	for _, step := range []string{"enrol.list", "enrol.admit", "enrol.confirm", "enrol.apply", "enrol.approve", "enrol.issue"} {
		if said[step] == nil {
			t.Errorf("no %s in the history", step)
		}
	}
	// What asks for another key says so, and names the certificate there is.
	asked := officer.do(http.MethodPost, "/v1/me/pin/forgotten", map[string]any{"system": m.Dev.System})
	want(t, asked, 202, "")
	held := m.Do(http.MethodGet, "/v1/officers/"+newcomerIC+"/medium", "", nil)
	if e := one(asked.Text("enrolment_id"))["enrolment"].(map[string]any); e["kind"] != "REKEY" || e["replaces"] == nil || !strings.Contains(string(held.Raw), e["replaces_serial_number"].(string)) {
		t.Errorf("%v\n%s", e, held.Raw)
	}
	replaced := m.ap.do(http.MethodPost, ofNewcomer+"/certificate/replace", map[string]string{"system": m.Dev.System, "reason": "keyCompromise", "why": "PIN diketahui orang lain"})
	want(t, replaced, 202, "")
	if e := one(replaced.Text("enrolment_id"))["enrolment"].(map[string]any); e["kind"] != "REPLACEMENT" || e["replaces_serial_number"] == nil {
		t.Errorf("%v", e)
	}
}

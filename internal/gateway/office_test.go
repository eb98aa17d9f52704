package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// names are those of a reply's appointments, with the next page's place.
func names(t *testing.T, r *gatewaytest.Reply) (out []string, next string) {
	t.Helper()
	want(t, r, 200, "")
	var got struct {
		Appointments []struct{ Role, Agency, State string }
		Next         string
	}
	if err := json.Unmarshal(r.Raw, &got); err != nil {
		t.Fatal(err)
	}
	for _, x := range got.Appointments {
		out = append(out, strings.TrimSpace(x.Role+" "+x.Agency)+" "+x.State)
	}
	return out, got.Next
}

// Who is appointed is found by page and by filter, each within the own scope.
func TestAppointmentsByPage(t *testing.T) {
	m := newMinistry(t)
	sa := appointed(t, m.Gateway, "700101105570", enrol.SA, "JANM", "")
	const path = "/v1/admin/appointments"
	want(t, m.jdn.do(http.MethodPost, path, proposal("790308109903", "NORAINI BINTI OTHMAN", "n@jpk.gov.my", "SA", "JPK")), 201, "")

	var all []string
	for after, pages := "", 0; ; pages++ {
		list, next := names(t, m.jdn.do(http.MethodGet, path+"?limit=2&after="+url.QueryEscape(after), nil))
		all = append(all, list...)
		if len(list) > 2 || pages > 5 {
			t.Fatalf("page %d has %v", pages, list)
		}
		if after = next; after == "" {
			break
		}
	}
	slices.Sort(all)
	if got := fmt.Sprint(all); got != "[AP JANM IN_FORCE AP JPK IN_FORCE JDN IN_FORCE JDN IN_FORCE SA JANM IN_FORCE SA JPK AWAITING SAP IN_FORCE]" {
		t.Error(got)
	}
	for query, list := range map[string]string{"state=AWAITING": "[SA JPK AWAITING]", "state=IN_FORCE&role=SA": "[SA JANM IN_FORCE]", "agency=JPK&role=AP": "[AP JPK IN_FORCE]",
		"ic=700101105554": "[AP JANM IN_FORCE]", "system=" + m.Dev.System: "[SAP IN_FORCE]", "state=ENDED": "[]", "role=AUDITOR&state=ANY": "[]"} {
		if got, _ := names(t, m.jdn.do(http.MethodGet, path+"?"+query, nil)); fmt.Sprint(got) != list {
			t.Errorf("%s: %v", query, got)
		}
	}
	want(t, m.jdn.do(http.MethodGet, path+"?after=x", nil), 400, "invalid_request")

	// An SA has the own agency alone, an AP and a SAP nothing.
	r := sa.do(http.MethodGet, path+"?state=ANY&limit=1", nil)
	one, next := names(t, r)
	two, _ := names(t, sa.do(http.MethodGet, path+"?state=ANY&after="+next, nil))
	if got := fmt.Sprint(append(one, two...)); got != "[SA JANM IN_FORCE AP JANM IN_FORCE]" {
		t.Errorf("an SA sees %s", got)
	}
	want(t, sa.do(http.MethodGet, path+"?agency=JPK", nil), 403, "forbidden")
	for _, b := range []*browser{m.ap, m.sap} {
		want(t, b.do(http.MethodGet, path, nil), 403, "forbidden")
	}
	waiting := m.jdn.do(http.MethodGet, path+"?state=AWAITING", nil).Body["appointments"].([]any)[0].(map[string]any)
	if waiting["proposed_by_name"] != "PENTADBIR 1" || !strings.HasPrefix(waiting["proposed_by"].(string), "account:") {
		t.Errorf("%v", waiting)
	}
	id, _ := waiting["appointment_id"].(string)
	for _, b := range []*browser{sa, m.ap} { // the same for what there is not
		want(t, b.do(http.MethodGet, path+"/"+id, nil), 403, "forbidden")
		want(t, b.do(http.MethodGet, path+"/ap_none", nil), 403, "forbidden")
	}
	want(t, m.jdn.do(http.MethodGet, path+"/ap_none", nil), 404, "not_found")
	second := appointed(t, m.Gateway, "700101105572", enrol.JDN, "", "")
	want(t, second.do(http.MethodPost, path+"/"+id+"/confirm", nil), 204, "")
	m.mailed(t, "n@jpk.gov.my", `(setup_[a-z2-7]{26})`)
	got := second.do(http.MethodGet, path+"/"+id, nil)
	want(t, got, 200, "")
	if mail, _ := got.Body["setup_mail"].(map[string]any); got.Text("state") != "IN_FORCE" || mail["mailed_at"] == nil || mail["due"] != false {
		t.Errorf("%s", got.Raw)
	}
}

// A reset that waits is seen with its reason, and can be cancelled by who decides about it.
func TestResetsThatWait(t *testing.T) {
	m := newMinistry(t)
	second := appointed(t, m.Gateway, "700101105572", enrol.JDN, "", "")
	auditor := appointed(t, m.Gateway, "700101105575", enrol.Auditor, "", "")
	sa := appointed(t, m.Gateway, "700101105570", enrol.SA, "JANM", "")
	list := m.jdn.do(http.MethodGet, "/v1/admin/appointments?ic=700101105554", nil).Body["appointments"].([]any)
	of := "/v1/admin/accounts/" + list[0].(map[string]any)["account_id"].(string) + "/reset"
	want(t, m.jdn.do(http.MethodPost, of, map[string]string{"reason": "Telefon hilang, dipanggil balik"}), 204, "")
	for _, b := range []*browser{second, auditor} {
		r := b.do(http.MethodGet, "/v1/admin/resets", nil)
		want(t, r, 200, "")
		x := r.Body["resets"].([]any)[0].(map[string]any)
		if x["ic"] != "700101105554" || x["reason"] != "Telefon hilang, dipanggil balik" || x["asked_by_name"] != "PENTADBIR 1" {
			t.Errorf("%s", r.Raw)
		}
	}
	for _, b := range []*browser{sa, m.ap, m.sap} {
		want(t, b.do(http.MethodGet, "/v1/admin/resets", nil), 403, "forbidden")
		want(t, b.do(http.MethodDelete, of, nil), 403, "forbidden")
	}
	want(t, auditor.do(http.MethodDelete, of, nil), 403, "forbidden")
	want(t, second.do(http.MethodDelete, of, nil), 204, "")
	want(t, second.do(http.MethodDelete, of, nil), 409, "enrolment_changed")
	want(t, second.do(http.MethodPost, of+"/confirm", nil), 409, "enrolment_changed")
	want(t, m.ap.do(http.MethodGet, "/v1/me", nil), 200, "") // nothing was taken
}

// Offices are registered by JDN alone; what lists call otherwise is shown to who administers them.
func TestOfficesOfAnAgency(t *testing.T) {
	m := newMinistry(t)
	const of = "/v1/admin/agencies/JANM/offices"
	r := m.jdn.do(http.MethodPut, of+"/PUTRAJAYA", map[string]string{"name": "Pejabat Perakaunan Putrajaya", "phase": "1"})
	want(t, r, 200, "")
	for path, code := range map[string]string{of + "/p%20j": "registry_invalid", of + "/X": "registry_invalid"} {
		want(t, m.jdn.do(http.MethodPut, path, map[string]string{"name": map[bool]string{true: "X"}[path != of+"/X"]}), 422, code)
	}
	want(t, m.jdn.do(http.MethodPut, "/v1/admin/agencies/KKM/offices/A", map[string]string{"name": "A"}), 404, "not_found")
	for _, b := range []*browser{m.sap, m.ap, m.other} {
		want(t, b.do(http.MethodPut, of+"/IPOH", map[string]string{"name": "Ipoh"}), 403, "forbidden")
		want(t, b.do(http.MethodDelete, of+"/PUTRAJAYA", nil), 403, "forbidden")
	}
	// The list names one by its name, one by its code, and one as it likes.
	for ic, office := range map[string]string{"790308109903": "Pejabat Perakaunan Putrajaya", "790308109904": "PUTRAJAYA", "790308109905": "pj"} {
		want(t, m.sap.do(http.MethodPost, "/v1/admin/enrolments", map[string]string{"ic": ic, "name": "NORAINI", "email": "n" + ic + "@janm.gov.my", "agency": "JANM", "system": m.Dev.System, "office": office}), 201, "")
	}
	for b, stray := range map[*browser]string{m.jdn: `"unregistered":[{"name":"pj","count":1}]`, m.ap: `"unregistered":[{"name":"pj","count":1}]`, m.other: `"unregistered":[]`, m.sap: `"unregistered":[]`} {
		r := b.do(http.MethodGet, of, nil)
		want(t, r, 200, "")
		if !strings.Contains(string(r.Raw), stray) || !strings.Contains(string(r.Raw), `{"office":"PUTRAJAYA","name":"Pejabat Perakaunan Putrajaya","phase":"1"}`) {
			t.Errorf("%s", r.Raw)
		}
	}
	want(t, m.jdn.do(http.MethodGet, "/v1/admin/agencies/KKM/offices", nil), 404, "not_found")
	want(t, m.jdn.do(http.MethodDelete, of+"/PUTRAJAYA", nil), 204, "")
	want(t, m.jdn.do(http.MethodDelete, of+"/PUTRAJAYA", nil), 404, "not_found")
	if r := m.jdn.do(http.MethodGet, of, nil); !strings.Contains(string(r.Raw), `"offices":[]`) || strings.Count(string(r.Raw), `"count":1`) != 3 {
		t.Errorf("%s", r.Raw)
	}
}

// inPages is a browser of the same session that takes pages.
func (b *browser) inPages() *surfer {
	b.t.Helper()
	s := newSurfer(b.t, b.g)
	u, err := url.Parse(b.g.URL)
	check(b.t, err)
	s.c.Jar.SetCookies(u, []*http.Cookie{{Name: "mohor-session", Value: b.cookies["mohor-session"].Value, Path: "/"}})
	return s
}

// What one proposes to destroy in the browser another destroys there, and nobody else.
func TestDisposalInPages(t *testing.T) {
	g := gatewaytest.New(t)
	in := archived(t, g)
	g.Clock.Advance(10 * year)
	auditor := appointed(t, g, "700101105551", enrol.Auditor, "", "").inPages()
	first := appointed(t, g, "700101105552", enrol.JDN, "", "").inPages()
	second := appointed(t, g, "700101105555", enrol.JDN, "", "").inPages()
	const at = "/admin/retention/disposals"

	got(t, auditor.send("GET", at+"/new", nil), 403)
	page := first.send("GET", at+"/new", nil)
	got(t, page, 200, "1 arkib, 1 transaksi, 1 tandatangan")
	r := first.send("POST", at+"/new", url.Values{"form": {tokenOf(t, page)}})
	if r.Status != 303 || !strings.HasPrefix(r.Header.Get("Location"), at+"/di_") {
		t.Fatalf("%d %.300s", r.Status, r.Raw)
	}
	one := r.Header.Get("Location")
	mine := first.send("GET", one, nil)
	got(t, mine, 200, "Anda yang mencadangkannya", in.ID)
	if strings.Contains(string(mine.Raw), one+"/confirm") {
		t.Error("who proposed is offered to confirm")
	}
	got(t, first.send("POST", one, url.Values{"form": {tokenOf(t, mine)}, "do": {"confirm"}, "sure": {"1"}}), 403, "orang kedua")
	if r := auditor.send("GET", one+"/csv", nil); r.Status != 200 || !strings.Contains(string(r.Raw), in.ManifestHex) {
		t.Errorf("%d %s", r.Status, r.Raw)
	}
	last := second.send("GET", one+"/confirm", nil)
	got(t, last, 200, "Tiada cara untuk mendapatkannya semula")
	got(t, second.send("POST", one, url.Values{"form": {tokenOf(t, last)}, "do": {"confirm"}}), 422, "Tandakan bahawa anda faham")
	if r := second.send("POST", one, url.Values{"form": {tokenOf(t, last)}, "do": {"confirm"}, "sure": {"1"}}); r.Status != 303 || r.Header.Get("Location") != one {
		t.Fatalf("%d %.300s", r.Status, r.Raw)
	}
	done := second.send("GET", one, nil)
	got(t, done, 200, "Pelupusan telah dibuat", "Dimusnahkan", "PENTADBIR 2", "PENTADBIR 5")
	got(t, second.send("POST", one, url.Values{"form": {tokenOf(t, done)}, "do": {"cancel"}}), 409)
	got(t, first.send("GET", at+"/new", nil), 200, "Tiada apa-apa untuk dilupuskan")
}

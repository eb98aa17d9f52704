package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// waits is what somebody is told waits in a queue of the first scope.
func waits(t *testing.T, b *browser, name string) (n int, can []string) {
	t.Helper()
	r := b.do(http.MethodGet, "/v1/admin/work", nil)
	want(t, r, 200, "")
	var w struct {
		Scopes []struct {
			Queues []struct {
				Name    string   `json:"name"`
				Waiting int      `json:"waiting"`
				Can     []string `json:"can"`
			} `json:"queues"`
		} `json:"scopes"`
	}
	if err := json.Unmarshal(r.Raw, &w); err != nil || len(w.Scopes) != 1 {
		t.Fatalf("%v: %s", err, r.Raw)
	}
	for _, q := range w.Scopes[0].Queues {
		if q.Name == name {
			return q.Waiting, q.Can
		}
	}
	t.Fatalf("no queue %s: %s", name, r.Raw)
	return 0, nil
}

// can are the steps that an enrolment offers somebody.
func can(t *testing.T, r *gatewaytest.Reply) (out []string) {
	t.Helper()
	want(t, r, 200, "")
	list, _ := r.Body["can"].([]any)
	for _, x := range list {
		s := x.(map[string]any)
		step, _ := s["step"].(string)
		if code, ok := s["code"].(string); ok {
			step += " " + code
		}
		out = append(out, step)
	}
	return out
}

// What waits, lists and steps over HTTP: an AP of one agency learns nothing of another's.
func TestQueuesOverHTTP(t *testing.T) {
	m := newMinistry(t)
	auditor := appointed(t, m.Gateway, "700101105559", enrol.Auditor, "", "")
	rows := []string{newcomerRow}
	for k := range 4 {
		rows = append(rows, fmt.Sprintf("80010110550%d,TAN WEI MING,tan%d@janm.gov.my,%s,IGFMAS", k, k, []string{"JANM", "JPK"}[k%2]))
	}
	// A file of refused rows comes back with the column that says why.
	noted := strings.Replace(strings.ReplaceAll(string(list(rows...)), ",IGFMAS\n", ",IGFMAS,apa-apa\n"), "sistem\n", "sistem,sebab_ditolak\n", 1)
	r := m.sap.post("/v1/admin/enrolments/list", "text/csv", []byte(noted))
	if want(t, r, 200, ""); r.Body["accepted"] != 5.0 {
		t.Fatalf("%s", r.Raw)
	}
	m.sap.header["Accept-Language"] = "en"
	r = m.sap.post("/v1/admin/enrolments/list?check=true", "text/csv", list("790308109903x,A,a@janm.gov.my,JANM,IGFMAS"))
	if want(t, r, 200, ""); !strings.Contains(string(r.Raw), `"detail":"not 12 digits`) {
		t.Errorf("not in one language: %s", r.Raw)
	}
	stranger := newBrowser(t, m.Gateway)
	want(t, stranger.do(http.MethodGet, "/v1/admin/work", nil), 401, "unauthenticated")

	for _, c := range []struct {
		what string
		by   *browser
		n    int
		can  string
	}{{"JDN", m.jdn, 5, "admit correct withdraw"}, {"SAP", m.sap, 5, "correct withdraw"}, {"AP", m.ap, 3, "correct withdraw"}, {"another agency's", m.other, 2, "correct withdraw"}, {"auditor", auditor, 5, ""}} {
		if n, can := waits(t, c.by, "admit"); n != c.n || strings.Join(can, " ") != c.can {
			t.Errorf("%s: %d, %v", c.what, n, can)
		}
	}

	// Lists: one's own unnamed, another's not at all.
	for _, c := range []struct {
		what, query string
		by          *browser
		n           float64
	}{{"JDN", "", m.jdn, 5}, {"AP", "", m.ap, 3}, {"another agency's", "", m.other, 2}, {"by kind", "&kind=FIRST", m.ap, 3}, {"renewals", "&kind=RENEWAL", m.ap, 0}, {"an office", "&office=PTJ", m.ap, 0}} {
		r := c.by.do(http.MethodGet, "/v1/admin/enrolments?state=LISTED&count=true&limit=1"+c.query, nil)
		if want(t, r, 200, ""); r.Body["count"] != c.n || r.Text("until") == "" {
			t.Errorf("%s: %s", c.what, r.Raw)
		}
	}
	want(t, m.other.do(http.MethodGet, "/v1/admin/enrolments?state=LISTED&agency=JANM&count=true", nil), 403, "forbidden")
	want(t, m.other.do(http.MethodGet, "/v1/admin/enrolments?state=LISTED&system=IGFMAS&count=true", nil), 403, "forbidden")
	want(t, m.jdn.do(http.MethodGet, "/v1/admin/enrolments?state=LISTED&kind=ANY", nil), 400, "invalid_request")

	// All of an agency at once: as they were counted, by JDN, with no reason.
	seen := m.jdn.do(http.MethodGet, "/v1/admin/enrolments?state=LISTED&agency=JPK&count=true", nil)
	bulk := map[string]any{"step": "admit", "filter": map[string]any{"agency": "JPK", "until": seen.Text("until"), "count": 2}}
	want(t, m.other.do(http.MethodPost, "/v1/admin/enrolments/bulk", bulk), 403, "forbidden")
	want(t, m.sap.do(http.MethodPost, "/v1/admin/enrolments/bulk", bulk), 403, "forbidden")
	want(t, m.jdn.do(http.MethodPost, "/v1/admin/enrolments/bulk", map[string]any{"step": "admit", "filter": map[string]any{"agency": "JPK", "phase": "1", "until": seen.Text("until"), "count": 2}}), 409, "count_differs")
	r = m.jdn.do(http.MethodPost, "/v1/admin/enrolments/bulk", bulk)
	if want(t, r, 200, ""); r.Body["done"] != 2.0 || r.Body["remaining"] != 0.0 {
		t.Errorf("%s", r.Raw)
	}
	if n, _ := waits(t, m.other, "confirm"); n != 2 {
		t.Errorf("%d wait for their confirmation", n)
	}
	if n, _ := waits(t, m.ap, "confirm"); n != 0 {
		t.Errorf("an AP counts %d of another agency's", n)
	}

	// One of them: what each can do, and nothing for another agency.
	listed := m.ap.do(http.MethodGet, "/v1/admin/enrolments?state=LISTED", nil)
	id, _ := listed.Body["enrolments"].([]any)[0].(map[string]any)["enrolment_id"].(string)
	at := "/v1/admin/enrolments/" + id
	if got := can(t, m.jdn.do(http.MethodGet, at, nil)); !slices.Equal(got, []string{"admit", "correct", "withdraw"}) {
		t.Errorf("JDN can %q", got)
	}
	if got := can(t, auditor.do(http.MethodGet, at, nil)); len(got) != 0 {
		t.Errorf("the auditor can %q", got)
	}
	theirs, unknown := m.other.do(http.MethodGet, at, nil), m.other.do(http.MethodGet, "/v1/admin/enrolments/en_none", nil)
	if theirs.Status != unknown.Status || theirs.Code() != unknown.Code() || strings.Contains(string(theirs.Raw), "NORAINI") {
		t.Errorf("%s\n%s", theirs.Raw, unknown.Raw)
	}
}

// The copy of a MyKad is offered to whom it is shown.
func TestQueueOffersTheCopy(t *testing.T) {
	m := newMinistry(t)
	auditor := appointed(t, m.Gateway, "700101105559", enrol.Auditor, "", "")
	id, code := m.confirmed(t)
	b := m.officer(t, code)
	want(t, b.do(http.MethodPost, "/v1/me/application", but(application(code), "mykad", picture(t))), 201, "")
	at := "/v1/admin/enrolments/" + id
	for what, c := range map[string]struct {
		by  *browser
		can []string
	}{
		"AP":      {m.ap, []string{"validate", "return", "reject", "withdraw", "mykad"}},
		"SAP":     {m.sap, []string{"validate same_person", "return", "reject", "withdraw", "mykad"}},
		"JDN":     {m.jdn, []string{"return", "reject", "withdraw", "mykad"}},
		"auditor": {auditor, nil},
	} {
		if got := can(t, c.by.do(http.MethodGet, at, nil)); !slices.Equal(got, c.can) {
			t.Errorf("%s can %q", what, got)
		}
	}
	want(t, auditor.do(http.MethodGet, at+"/mykad", nil), 403, "forbidden")
	want(t, m.sap.do(http.MethodPost, at+"/validate", nil), 403, "same_person")
}

package people_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/console/people"
	"github.com/mohor-sign/mohor/web/page"
)

// coming is a revocation to come.
type coming struct {
	Serial string    `json:"serial_number"`
	IC     string    `json:"ic"`
	Name   string    `json:"name"`
	System string    `json:"system"`
	Agency string    `json:"agency"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

// registry answers as the API does for somebody who is AP of JANM and JPK, and SAP of EP; the scope
// must be named.
type registry []coming

func (x registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v1/me" {
		_ = json.NewEncoder(w).Encode(map[string]any{"ic": "700101105554", "name": "MIMI", "kind": "administrator", "appointments": []map[string]string{
			{"role": "AP", "agency": "JANM"}, {"role": "SA", "agency": "JANM"}, {"role": "AP", "agency": "JPK"}, {"role": "SAP", "system": "EP"}}})
		return
	}
	q := r.URL.Query()
	if q.Get("agency")+q.Get("system") == "" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	limit, _ := strconv.Atoi(q.Get("limit"))
	us, serial, _ := strings.Cut(q.Get("after"), ".")
	n, _ := strconv.ParseInt(us, 10, 64)
	out := struct {
		Revocations []coming `json:"revocations"`
		Next        string   `json:"next,omitempty"`
	}{}
	for _, c := range x {
		if a := q.Get("agency"); a != "" && a != c.Agency {
			continue
		}
		if s := q.Get("system"); s != "" && s != c.System || c.At.UnixMicro() < n || c.At.UnixMicro() == n && c.Serial <= serial {
			continue
		}
		if out.Revocations = append(out.Revocations, c); len(out.Revocations) == limit {
			out.Next = fmt.Sprintf("%d.%s", c.At.UnixMicro(), c.Serial)
			break
		}
	}
	_ = json.NewEncoder(w).Encode(out)
}

// Whoever looks after several agencies and systems reaches each revocation of all of them, once, the
// next ones first; and the page of the last one.
func TestRevocationsOfSeveralScopesArePagedTogether(t *testing.T) {
	var all registry
	start := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	for k := range 290 {
		c := coming{Serial: strconv.Itoa(1000 + k), IC: fmt.Sprintf("80010114%04d", k), Name: "A", System: "IGFMAS", Agency: "JPK", At: start.Add(time.Duration(k/3) * time.Hour), Reason: "superseded"}
		switch {
		case k < 120: // the first scope's, all of them before the others'
			c.Agency = "JANM"
		case k%10 == 0:
			c.System = "EP" // of two scopes
		case k%10 == 5:
			c.System, c.Agency = "EP", "JKR"
		case k%10 == 7:
			c.Agency = "JKR" // nobody's
		}
		all = append(all, c)
	}
	var want []string
	for _, c := range all {
		if c.Agency != "JKR" || c.System == "EP" {
			want = append(want, c.Serial)
		}
	}
	s := &page.Site{API: all, Title: "Mohor", Log: slog.New(slog.DiscardHandler), Now: time.Now}
	r := chi.NewRouter()
	people.Routes(r.With(s.Pages, s.SignedIn), s)
	get := func(path string) (int, string) {
		q := httptest.NewRequest(http.MethodGet, path, nil)
		q.AddCookie(&http.Cookie{Name: "mohor-session", Value: "x"})
		w := httptest.NewRecorder()
		r.ServeHTTP(w, q)
		return w.Code, w.Body.String()
	}
	row, after := regexp.MustCompile(`href="/admin/revocations/([0-9]+)"`), regexp.MustCompile(`href="(/admin/revocations\?after=[0-9.]+)"`)
	var got []string
	pages := 0
	for path := "/admin/revocations"; path != ""; pages++ {
		status, body := get(path)
		if status != http.StatusOK || pages > 20 {
			t.Fatalf("%s: %d, page %d", path, status, pages)
		}
		for _, m := range row.FindAllStringSubmatch(body, -1) {
			got = append(got, m[1])
		}
		path = ""
		if m := after.FindStringSubmatch(body); m != nil {
			path = m[1]
		}
	}
	if !slices.Equal(got, want) || pages != (len(want)+49)/50 {
		t.Errorf("%d in %d pages, want %d:\n%v", len(got), pages, len(want), got)
	}
	if status, body := get("/admin/revocations/" + want[len(want)-1]); status != http.StatusOK || !strings.Contains(body, "<form") {
		t.Errorf("the last one: %d", status)
	}
}

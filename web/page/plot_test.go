package page_test

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/a-h/templ"
	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/page"
)

// shown is a component on a page.
func shown(t *testing.T, c templ.Component) string {
	t.Helper()
	s := site(nil)
	r := chi.NewRouter()
	r.With(s.Pages).Get("/", func(w http.ResponseWriter, r *http.Request) { s.Show(w, r, 200, c) })
	w := ask(r, "GET", "/", "")
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// visitor goes to pages of a console, as somebody.
func visitor(t *testing.T, me map[string]any) func(path string) *httptest.ResponseRecorder {
	t.Helper()
	b, err := json.Marshal(me)
	if err != nil {
		t.Fatal(err)
	}
	s := site(&backend{answer: answer(200, string(b))})
	r := chi.NewRouter()
	r.With(s.Pages, s.SignedIn, s.Administrators).Get("/admin*", func(w http.ResponseWriter, r *http.Request) {
		s.Show(w, r, 200, page.Shell(page.Frame{Title: "T", Place: "console"}))
	})
	return func(path string) *httptest.ResponseRecorder { return ask(r, "GET", path, "") }
}

var drawn = regexp.MustCompile(`<rect class="tint(\d)" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"><title>([^<]*)`)

// Whatever the numbers, all of them are drawn to one measure, within the picture.
func TestBarsAreToMeasure(t *testing.T) {
	for range 200 {
		p := page.Plot{Title: "T", Of: "Hari"}
		most := []int64{1, 9, 45, 1_000, 3_000_000_000}[rand.N(5)]
		labels := 1 + rand.N(40)
		want := 0
		for n := range 1 + rand.N(4) {
			s := page.Series{Name: "s" + strconv.Itoa(n)}
			for range labels {
				v := rand.N(most + 1)
				if v > 0 {
					want++
				}
				s.Values = append(s.Values, v)
			}
			p.Series = append(p.Series, s)
		}
		for k := range labels {
			p.Labels = append(p.Labels, "L"+strconv.Itoa(k))
		}
		body := shown(t, page.Bars(p))
		bars := drawn.FindAllStringSubmatch(body, -1)
		if len(bars) != want {
			t.Fatalf("%d bars, want %d: %+v", len(bars), want, p)
		}
		perUnit := 0.0
		for _, b := range bars {
			number := func(k int) float64 {
				f, err := strconv.ParseFloat(b[k], 64)
				if err != nil {
					t.Fatal(err)
				}
				return f
			}
			if number(2) < 64 || number(2)+number(4) > 760.1 || number(3) < 11.9 || number(3)+number(5) > 228.1 {
				t.Fatalf("outside: %q", b[0])
			}
			value, err := strconv.ParseInt(strings.ReplaceAll(b[6][strings.LastIndex(b[6], ": ")+2:], ",", ""), 10, 64)
			if err != nil {
				t.Fatalf("%q: %v", b[6], err)
			}
			if u := number(5) / float64(value); number(5) > 20 && perUnit == 0 {
				perUnit = u
			} else if number(5) > 20 && (u < perUnit*0.98 || u > perUnit*1.02) {
				t.Fatalf("%q is not to the measure of the others (%g, %g)", b[0], u, perUnit)
			}
		}
	}
}

// The menu shows each role what is its own, and the address of what it does not show is closed.
func TestConsoleByRole(t *testing.T) {
	every := []string{"", "/queue", "/rollout", "/officers", "/revocations", "/reports"}
	for role, more := range map[string][]string{
		"AP": nil, "SA": {"/appointments"},
		"SAP":     {"/list", "/apps", "/systems", "/templates", "/batches", "/health"},
		"AUDITOR": {"/appointments", "/agencies", "/apps", "/systems", "/templates", "/batches", "/audit", "/health", "/outbox", "/retention"},
		"JDN":     {"/list", "/appointments", "/agencies", "/apps", "/systems", "/templates", "/batches", "/audit", "/health", "/outbox", "/retention"},
	} {
		open := map[string]bool{}
		for _, p := range append(more, every...) {
			open["/admin"+p] = true
		}
		visit := visitor(t, map[string]any{"ic": "1", "name": "A", "kind": "administrator", "appointments": []map[string]any{{"role": role}}})
		menu := visit("/admin").Body.String()
		for _, path := range []string{"/admin", "/admin/queue", "/admin/rollout", "/admin/officers", "/admin/revocations", "/admin/reports", "/admin/list", "/admin/appointments", "/admin/agencies", "/admin/apps",
			"/admin/systems", "/admin/templates", "/admin/batches", "/admin/audit", "/admin/health", "/admin/outbox", "/admin/retention"} {
			if got := strings.Contains(menu, `<a href="`+path+`"`); got != open[path] {
				t.Errorf("%s: %s in the menu is %v", role, path, got)
			}
			for _, below := range []string{path, path + "/x"} {
				if got := visit(below).Code != http.StatusForbidden; got != open[path] && path != "/admin" {
					t.Errorf("%s: %s is open: %v", role, below, got)
				}
			}
		}
	}
	for what, me := range map[string]map[string]any{
		"an officer":                                   {"kind": "officer"},
		"an officer with an appointment":               {"kind": "officer", "appointments": []map[string]any{{"role": "JDN"}}},
		"an administrator who is appointed to nothing": {"kind": "administrator"},
	} {
		me["ic"], me["name"] = "1", "A"
		visit := visitor(t, me)
		for _, path := range []string{"/admin/audit", "/admin/apps", "/admin/list"} {
			if w := visit(path); w.Code != http.StatusForbidden {
				t.Errorf("%s sees %s: %d", what, path, w.Code)
			}
		}
	}
}

// What a form did is said once, in words of the catalogues that are meant for it.
func TestSaidOnce(t *testing.T) {
	s := site(nil)
	r := chi.NewRouter()
	p := r.With(s.Pages)
	p.Get("/said", func(w http.ResponseWriter, r *http.Request) { s.Show(w, r, 200, page.SaidNote(s.Said(w, r))) })
	for value, want := range map[string]string{"account.said.password": "Kata laluan", "account.said.none": "", "page.menu": "", "<b>.said.x": "", "account.said.password:7": "Kata laluan"} {
		w := ask(r, "GET", "/said", "", "Cookie", "mohor-told="+value)
		if body := w.Body.String(); want == "" && body != "" || !strings.Contains(body, want) {
			t.Errorf("%s: %q", value, body)
		}
		if c := w.Header().Get("Set-Cookie"); !strings.Contains(c, "mohor-told=;") || !strings.Contains(c, "Max-Age=0") {
			t.Errorf("%s: it would be said again: %q", value, c)
		}
	}
}

package gateway_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// pages are the routes that are no API's: those a browser shows.
func pages(t *testing.T, g *gatewaytest.Gateway) (get, post []string) {
	t.Helper()
	err := chi.Walk(g.Server.Handler().(chi.Routes), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		for _, no := range []string{"/v1/", "/assets/", "/ca/", "/crl/", "/ocsp", "/tsa", "/oauth2/", "/openapi", "/healthz", "/readyz", "/metrics", "/dev/"} {
			if strings.HasPrefix(route, no) {
				return nil
			}
		}
		switch method {
		case http.MethodGet:
			get = append(get, route)
		case http.MethodPost:
			post = append(post, route)
		}
		return nil
	})
	if err != nil || len(get) < 10 || len(post) < 5 {
		t.Fatalf("%d pages, %d forms: %v", len(get), len(post), err)
	}
	return get, post
}

// oneOf is a variable of a route that is one of some words.
var oneOf = regexp.MustCompile(`\{[a-z]+:([a-z]+)[^}]*\}`)

// filled is a route with something in its place of each variable.
func filled(route string) string {
	route = oneOf.ReplaceAllString(route, "$1")
	return strings.NewReplacer("{token}", strings.Repeat("A", 22), "{id}", strings.Repeat("A", 22), "{index}", "0", "{session}", "se_x", "{passkey}", "AAAA", "{serial}", "1", "{system}", "IGFMAS", "{name}", "x", "{ic}", "790308109903", "{code}", "JANM", "{credential}", "x", "{event}", "x", "{office}", "x", "{seq}", "1", "{version}", "1").Replace(route)
}

// No form is taken from another site, from another browser, or from nowhere: not one of all the pages'.
func TestNoPageTakesForeignForms(t *testing.T) {
	g := gatewaytest.New(t)
	m := memberOf(t, g, g.Dev.Officers[0], false)
	_, forms := pages(t, g)
	cookie := m.header[3]
	const kind = "application/x-www-form-urlencoded"
	tried := 0
	for _, route := range forms {
		for name, header := range map[string][]string{
			"another site":      {"Sec-Fetch-Site", "cross-site"},
			"a sibling":         {"Sec-Fetch-Site", "same-site"},
			"another origin":    {"Origin", "https://evil.example"},
			"no origin at all":  {"Origin", "null"},
			"another's form":    {"Sec-Fetch-Site", "same-origin"},
			"a page without it": {},
		} {
			// These two have no session to be tied to: whoever has the link's token may press the button.
			if (name == "another's form" || name == "a page without it") && (route == "/e/{token}" || route == "/r/{token}" || route == "/s/{id}") {
				continue
			}
			for _, body := range []string{"form=x&pin=1&otp=123456", ""} {
				g.Clock.Advance(time.Second)
				tried++
				r := g.Do("POST", filled(route), kind, []byte(body), append([]string{"X-API-Key", "", "Cookie", cookie}, header...)...)
				// 404, 409: there is no such thing, which is found out before its form is looked at.
				if r.Status != 403 && r.Status != 404 && r.Status != 409 {
					t.Errorf("%s, %s with %q: %d, to %q", route, name, body, r.Status, r.Header.Get("Location"))
				}
			}
		}
	}
	t.Logf("%d forms, %d tries", len(forms), tried)
}

// Every page forbids frames, scripts of others and guesses of its kind; what is somebody's is kept
// nowhere; and behind the log-in nothing is shown to who has not logged in, or has logged out.
func TestEveryPageIsHardened(t *testing.T) {
	g := gatewaytest.New(t)
	m := memberOf(t, g, g.Dev.Officers[0], false)
	shown, _ := pages(t, g)
	personal := 0
	look := func(route string, header ...string) *gatewaytest.Reply {
		g.Clock.Advance(time.Second)
		r := g.Do("GET", filled(route), "", nil, append([]string{"X-API-Key", "", "Accept", "text/html", "Sec-Fetch-Site", "none"}, header...)...)
		h := r.Header
		csp := h.Get("Content-Security-Policy")
		if !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe-inline") || strings.Contains(csp, "'unsafe-eval'") ||
			(strings.Contains(csp, "wasm-unsafe-eval") != (route == "/scan")) || h.Get("X-Frame-Options") != "DENY" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %d %v", route, r.Status, h)
		}
		if strings.Contains(h.Get("Permissions-Policy"), "camera=()") != (route != "/scan") {
			t.Errorf("%s: %q", route, h.Get("Permissions-Policy"))
		}
		for _, c := range (&http.Response{Header: h}).Cookies() {
			if !c.HttpOnly || c.SameSite == http.SameSiteNoneMode || c.SameSite == http.SameSiteDefaultMode {
				t.Errorf("%s sets %s", route, c)
			}
		}
		return r
	}
	for _, route := range shown {
		stranger := look(route)
		if !strings.HasPrefix(route, "/portal") && !strings.HasPrefix(route, "/admin") {
			continue
		}
		personal++
		// The test's client follows.
		if !strings.Contains(string(stranger.Raw), `action="/login"`) {
			t.Errorf("%s shows a stranger %d %.200s", route, stranger.Status, stranger.Raw)
		}
		if own := look(route, m.header[2:]...); own.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be kept: %d %q", route, own.Status, own.Header.Get("Cache-Control"))
		}
	}
	if personal == 0 {
		t.Error("no page behind the log-in")
	}
	want(t, m.do("DELETE", "/v1/me/sessions/current", "", nil), 204, "")
	for _, route := range shown {
		if strings.HasPrefix(route, "/portal") || strings.HasPrefix(route, "/admin") {
			if r := look(route, m.header[2:]...); !strings.Contains(string(r.Raw), `action="/login"`) {
				t.Errorf("%s after the log-out: %d %.200s", route, r.Status, r.Raw)
			}
		}
	}
	t.Logf("%d pages, %d behind the log-in", len(shown), personal)
}

package page_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/page"
)

// backend is an API that notes what it was asked.
type backend struct {
	asked  []*http.Request
	bodies []string
	answer http.HandlerFunc
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	b.asked, b.bodies = append(b.asked, r), append(b.bodies, string(body))
	b.answer(w, r)
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		kind := "application/json"
		if status >= 400 {
			kind = "application/problem+json"
		}
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func site(b http.Handler) *page.Site {
	return &page.Site{API: b, Title: "Jabatan <b>Contoh</b>", Log: slog.New(slog.DiscardHandler), Now: time.Now}
}

// served is a router with one page, and one form.
func served(s *page.Site, taken *int) http.Handler {
	r := chi.NewRouter()
	p := r.With(s.Pages)
	p.Get("/borang", func(w http.ResponseWriter, r *http.Request) {
		s.Show(w, r, 200, page.Message(page.Notice{Tone: page.Info, Word: "W"}))
	})
	p.Post("/borang", s.Form(func(w http.ResponseWriter, r *http.Request) {
		*taken++
		page.See(w, r, "/borang")
	}))
	p.Post("/fail", s.Upload(func(w http.ResponseWriter, r *http.Request, u *page.Upload) {
		*taken++
		_, _ = io.Copy(w, u.File)
	}))
	p.Get("/proof", func(w http.ResponseWriter, r *http.Request) { s.Show(w, r, 200, page.Proof()) })
	p.With(s.SignedIn).Get("/portal/x", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, page.Who(r.Context()).Name) })
	return r
}

func ask(h http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	q := httptest.NewRequest(method, path, strings.NewReader(body))
	for k := 0; k+1 < len(header); k += 2 {
		q.Header.Add(header[k], header[k+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, q)
	return w
}

var value = regexp.MustCompile(`name="form" value="([^"]+)"`)

// A form counts for the browser it was made for, until that browser's session is another; and
// nothing that another site's page sends.
func TestFormsAreOfOneBrowser(t *testing.T) {
	taken := 0
	h := served(site(&backend{}), &taken)
	first := ask(h, "GET", "/proof", "")
	cookie, _, _ := strings.Cut(first.Header().Get("Set-Cookie"), ";")
	proof := value.FindStringSubmatch(first.Body.String())[1]
	form := url.Values{"form": {proof}}.Encode()
	const kind = "application/x-www-form-urlencoded"
	for name, x := range map[string]struct {
		body   string
		header []string
	}{
		"no cookie":       {form, nil},
		"another browser": {form, []string{"Cookie", "mohor-form=AAAAAAAAAAAAAAAAAAAAAA"}},
		"after a log-in":  {form, []string{"Cookie", cookie + "; mohor-session=abc"}},
		"no proof":        {"form=", []string{"Cookie", cookie}},
		"nothing":         {"", []string{"Cookie", cookie}},
		"another site":    {form, []string{"Cookie", cookie, "Sec-Fetch-Site", "cross-site"}},
		"another origin":  {form, []string{"Cookie", cookie, "Origin", "https://evil.example"}},
		"a sibling":       {form, []string{"Cookie", cookie, "Sec-Fetch-Site", "same-site"}},
		"too long":        {form + "&x=" + strings.Repeat("x", page.MaxForm), []string{"Cookie", cookie}},
	} {
		if w := ask(h, "POST", "/borang", x.body, append(x.header, "Content-Type", kind)...); w.Code != http.StatusForbidden || taken != 0 {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	if w := ask(h, "POST", "/borang", form, "Cookie", cookie, "Content-Type", kind, "Sec-Fetch-Site", "same-origin"); w.Code != http.StatusSeeOther || taken != 1 {
		t.Errorf("the browser's own form: %d", w.Code)
	}
	parts := "--b\r\nContent-Disposition: form-data; name=\"form\"\r\n\r\n%s\r\n--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.pdf\"\r\n\r\nisi\r\n--b--\r\n"
	if w := ask(h, "POST", "/fail", strings.Replace(parts, "%s", proof, 1), "Cookie", cookie, "Content-Type", "multipart/form-data; boundary=b"); w.Code != 200 || w.Body.String() != "isi" || taken != 2 {
		t.Errorf("a file: %d %s", w.Code, w.Body)
	}
	for _, wrong := range []string{strings.Replace(parts, "%s", "x", 1), "", "--b\r\n"} {
		if w := ask(h, "POST", "/fail", wrong, "Cookie", cookie, "Content-Type", "multipart/form-data; boundary=b"); w.Code != http.StatusForbidden || taken != 2 {
			t.Errorf("a file with %q: %d", wrong, w.Code)
		}
	}
}

// A form that never comes to its file ends, whatever it is made of.
func TestUploadsEnd(t *testing.T) {
	taken := 0
	h := served(site(&backend{}), &taken)
	for what, part := range map[string]string{
		"empty fields": "--b\r\nContent-Disposition: form-data; name=\"%d\"\r\n\r\n\r\n",
		"long names":   "--b\r\nContent-Disposition: form-data; name=\"%d" + strings.Repeat("n", 5000) + "\"\r\n\r\n\r\n",
		"long values":  "--b\r\nContent-Disposition: form-data; name=\"%d\"\r\n\r\n" + strings.Repeat("v", 5000) + "\r\n",
	} {
		read := 0
		body := &endless{part: part, read: &read}
		q := httptest.NewRequest("POST", "/fail", body)
		q.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, q)
		if w.Code != http.StatusForbidden || taken != 0 || read > 1<<20 {
			t.Errorf("%s: %d after %d bytes", what, w.Code, read)
		}
	}
}

// endless is a form of numbered parts.
type endless struct {
	part string
	n    int
	rest []byte
	read *int
}

func (e *endless) Read(p []byte) (int, error) {
	if len(e.rest) == 0 {
		e.rest = fmt.Appendf(nil, e.part, e.n)
		e.n++
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	if *e.read += n; *e.read > 64<<20 {
		return n, io.EOF
	}
	return n, nil
}

// Where a log-in leads is never looked for in a body that no form of ours has.
func TestNextReadsNoBody(t *testing.T) {
	read := 0
	q := httptest.NewRequest("GET", "/login?next=/portal/sign", &endless{part: "--b\r\nContent-Disposition: form-data; name=\"next\"\r\n\r\n/portal/%d\r\n", read: &read})
	q.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	if got := page.Next(q); got != "/portal/sign" || read != 0 {
		t.Errorf("leads to %q after %d bytes", got, read)
	}
}

// The language is chosen once, stays, and its switch leads back to the page, never elsewhere.
func TestLanguageStays(t *testing.T) {
	h := served(site(&backend{}), new(int))
	w := ask(h, "GET", "/borang?x=1&lang=en", "")
	if at := w.Header().Get("Location"); w.Code != http.StatusSeeOther || at != "/borang?x=1" {
		t.Errorf("a switch: %d to %q", w.Code, at)
	}
	chosen, _, _ := strings.Cut(w.Header().Get("Set-Cookie"), ";")
	for cookie, want := range map[string][2]string{"": {"ms", "Langkau ke kandungan"}, chosen: {"en", "Skip to content"}, "mohor-lang=<script>": {"ms", "Langkau ke kandungan"}} {
		w := ask(h, "GET", "/borang", "", "Cookie", cookie, "Accept-Language", "en")
		if w.Header().Get("Content-Language") != want[0] || !strings.Contains(w.Body.String(), `<html lang="`+want[0]+`">`) || !strings.Contains(w.Body.String(), want[1]) {
			t.Errorf("with %q: %s", cookie, w.Header())
		}
	}
	if body := ask(h, "GET", "/borang?x=%22%3E", "").Body.String(); !strings.Contains(body, `href="/borang?lang=en&amp;x=%22%3E"`) || strings.Contains(body, "<b>Contoh") {
		t.Errorf("the switch's address, or the title: %s", body)
	}
	if at := ask(h, "GET", "//evil.example/borang?lang=en", "").Header().Get("Location"); strings.HasPrefix(at, "//") || strings.Contains(at, "http") {
		t.Errorf("a switch leads to %q", at)
	}
}

// After the log-in the browser goes where it wanted within the portal, whatever the form says.
func TestNextStaysInThePortal(t *testing.T) {
	for given, want := range map[string]string{
		"": "/portal", "/portal": "/portal", "/admin": "/admin", "/admin/queue?state=APPLIED": "/admin/queue?state=APPLIED", "/administrators": "/portal", "/admin/../logout": "/portal", "/portal/batches/b1?x=1": "/portal/batches/b1?x=1",
		"https://evil.example/portal": "/portal", "//evil.example/portal": "/portal", "/\\evil.example": "/portal", "/portal\\@evil.example": "/portal",
		"javascript:alert(1)": "/portal", "/login": "/portal", "portal": "/portal", "/portal\r\nX: y": "/portal", "/portal/../logout": "/portal", "/portalx": "/portal",
		"/portal/%2e%2e/%2e%2e/logout": "/portal", "\t/portal": "/portal", "/portal@evil.example": "/portal", "///evil.example": "/portal",
	} {
		r := httptest.NewRequest("GET", "/login?"+url.Values{"next": {given}}.Encode(), nil)
		if got := page.Next(r); got != want {
			t.Errorf("next %q leads to %q", given, got)
		}
	}
}

// The API is asked in the browser's name and with nothing else of it; who is not logged in goes to
// the log-in and comes back.
func TestPagesAskAsTheBrowser(t *testing.T) {
	b := &backend{answer: answer(200, `{"name":"SITI","kind":"officer"}`)}
	s := site(b)
	inner := false
	s.Inner = func(ctx context.Context) context.Context {
		inner = true
		return ctx
	}
	h := served(s, new(int))
	w := ask(h, "GET", "/portal/x", "", "Cookie", "mohor-session=tok; mohor-device=dev; mohor-form=f; other=1; mohor-lang=en", "X-API-Key", "stolen", "Authorization", "Bearer x", "User-Agent", "UA", "X-Forwarded-For", "203.0.113.9")
	if w.Body.String() != "SITI" || w.Header().Get("Cache-Control") != "no-store" || !inner {
		t.Fatalf("%d %s %v", w.Code, w.Body, w.Header())
	}
	q := b.asked[0]
	if q.URL.Path != "/v1/me" || q.Header.Get("Cookie") != "mohor-session=tok; mohor-device=dev" || q.Header.Get("X-API-Key")+q.Header.Get("Authorization") != "" ||
		q.Header.Get("Accept-Language") != "en" || q.Header.Get("User-Agent") != "UA" || q.Header.Get("X-Forwarded-For") != "203.0.113.9" || q.RemoteAddr != "192.0.2.1:1234" {
		t.Errorf("asked %s with %v from %s", q.URL, q.Header, q.RemoteAddr)
	}
	b.answer = answer(401, `{"status":401,"code":"unauthenticated","title":"T"}`)
	if w := ask(h, "GET", "/portal/x?y=1", ""); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/login?next=%2Fportal%2Fx%3Fy%3D1" {
		t.Errorf("without a session: %d %s", w.Code, w.Header().Get("Location"))
	}
	b.answer = answer(500, "<b>no JSON, and a secret")
	if w := ask(h, "GET", "/portal/x", ""); w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("an API that fails: %d %s", w.Code, w.Body)
	}
	b.answer = answer(429, `{"status":429,"code":"rate_limited","title":"Terlalu kerap","detail":"Tunggu <i>.","retry_after":7}`)
	if w := ask(h, "GET", "/portal/x", ""); w.Code != 429 || w.Header().Get("Retry-After") != "7" || !strings.Contains(w.Body.String(), "Tunggu &lt;i&gt;.") {
		t.Errorf("a refusal: %d %v %s", w.Code, w.Header(), w.Body)
	}
}

// A file of the API reaches the browser as it is, inert, and without the API's other headers; a
// refusal is a page.
func TestRelay(t *testing.T) {
	b := &backend{answer: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Disposition", "attachment")
		w.Header().Set("Set-Cookie", "x=y")
		_, _ = io.WriteString(w, "<script>")
	}}
	s := site(b)
	r := chi.NewRouter()
	r.With(s.Pages).Get("/f", func(w http.ResponseWriter, r *http.Request) {
		s.Relay(w, r, "/v1/documents/d/content?version=original")
	})
	w := ask(r, "GET", "/f", "", "Range", "bytes=0-1")
	if w.Body.String() != "<script>" || w.Header().Get("Content-Security-Policy") != page.Inert || w.Header().Get("Content-Disposition") != "attachment" || strings.Contains(w.Header().Get("Set-Cookie"), "x=y") {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
	if q := b.asked[0]; q.URL.RequestURI() != "/v1/documents/d/content?version=original" || q.Header.Get("Range") != "bytes=0-1" {
		t.Errorf("asked %s %v", q.URL, q.Header)
	}
	b.answer = answer(404, `{"status":404,"code":"not_found","title":"Tiada"}`)
	if w := ask(r, "GET", "/f", ""); w.Code != 404 || !strings.Contains(w.Header().Get("Content-Type"), "text/html") || !strings.Contains(w.Body.String(), "Tiada") {
		t.Errorf("a refusal: %d %v", w.Code, w.Header())
	}
}

// What cookies an answer sets reaches the browser with CallFor, and a body is JSON.
func TestCallForSetsCookies(t *testing.T) {
	b := &backend{answer: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		_, _ = io.WriteString(w, `{"n":5}`)
	}}
	s := site(b)
	r := chi.NewRouter()
	var out struct{ N int }
	r.With(s.Pages).Get("/c", func(w http.ResponseWriter, r *http.Request) {
		if err := s.CallFor(w, r, "POST", "/v1/x", map[string]string{"pin": "p"}, &out); err != nil {
			t.Error(err)
		}
	})
	w := ask(r, "GET", "/c", "")
	var sent map[string]string
	if got := strings.Join(w.Header().Values("Set-Cookie"), ";"); !strings.Contains(got, "a=1;b=2") || out.N != 5 || json.Unmarshal([]byte(b.bodies[0]), &sent) != nil || sent["pin"] != "p" {
		t.Errorf("%s, %+v, %q", got, out, b.bodies)
	}
}

// Embedded files are kept for good under addresses of their content, smaller for who takes that.
func TestAssets(t *testing.T) {
	r := chi.NewRouter()
	page.AssetRoutes(r)
	at := page.Asset("mohor.css")
	plain, small := ask(r, "GET", at, ""), ask(r, "GET", at, "", "Accept-Encoding", "gzip")
	if plain.Code != 200 || !strings.Contains(plain.Header().Get("Cache-Control"), "immutable") || plain.Header().Get("Content-Type") != "text/css; charset=utf-8" || plain.Header().Get("Content-Encoding") != "" {
		t.Errorf("%d %v", plain.Code, plain.Header())
	}
	if small.Header().Get("Content-Encoding") != "gzip" || small.Body.Len() >= plain.Body.Len()/2 {
		t.Errorf("compressed: %d of %d bytes, %v", small.Body.Len(), plain.Body.Len(), small.Header())
	}
	if w := ask(r, "GET", at[:len(at)-5]+"x.css", ""); w.Code != 404 {
		t.Errorf("another content: %d", w.Code)
	}
}

func TestNumber(t *testing.T) {
	for n, want := range map[int]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 41875: "41,875", 123456: "123,456", 1234567: "1,234,567", -1: "-1", -999: "-999", -1000: "-1,000", -123456: "-123,456"} {
		if got := page.Number(n); got != want {
			t.Errorf("%d is written %s", n, got)
		}
	}
}

func TestMoment(t *testing.T) {
	at := time.Date(2024, 4, 30, 20, 9, 54, 0, time.UTC)
	if got := page.Moment(t.Context(), at); got != "1 Mei 2024, 04:09:54 MYT" {
		t.Error(got)
	}
}

// Who logs out leaves nothing in the browser but the device's mark and the language.
func TestForget(t *testing.T) {
	for secure, prefix := range map[bool]string{false: "mohor-", true: "__Host-mohor-"} {
		s := &page.Site{SecureCookies: secure}
		r := httptest.NewRequest("POST", "/logout", nil)
		for _, what := range []string{"session", "form", "code", "sign-abc", "device"} {
			r.AddCookie(&http.Cookie{Name: prefix + what, Value: "x"})
		}
		r.AddCookie(&http.Cookie{Name: "mohor-lang", Value: "en"})
		r.AddCookie(&http.Cookie{Name: "other", Value: "x"})
		w := httptest.NewRecorder()
		s.Forget(w, r)
		var gone []string
		for _, c := range w.Result().Cookies() {
			if gone = append(gone, strings.TrimPrefix(c.Name, prefix)); c.MaxAge >= 0 || c.Value != "" || c.Path != "/" || c.Secure != secure {
				t.Errorf("%v", c)
			}
		}
		if got := strings.Join(gone, " "); got != "session form code sign-abc" {
			t.Errorf("gone: %s", got)
		}
	}
}

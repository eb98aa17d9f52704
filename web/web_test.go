package web_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web"
	"github.com/mohor-sign/mohor/web/public"
)

const (
	knownID = "AAECAwQFBgcICQoLDA0ODw"
	otherID = "__79_Pv6-fj39vX08_Lx8A"
)

var noon = time.Date(2026, 4, 30, 4, 9, 54, 0, time.UTC)

// shelf is public.Records in memory; it counts what it was asked.
type shelf struct {
	records map[string]public.Record
	secrets map[string]string // of the records that ask for one
	err     error
	asked   []string
}

func (s *shelf) CertificateRecord(_ context.Context, id, secret string) (public.Record, error) {
	s.asked = append(s.asked, id)
	if s.err != nil {
		return public.Record{}, s.err
	}
	r, ok := s.records[id]
	if !ok || secret != s.secrets[id] {
		return public.Record{}, public.ErrUnknown
	}
	return r, nil
}

func record() public.Record {
	return public.Record{
		ID: knownID, Number: "S102251979", Status: "SAH", Programme: "TP-021-3:2013", Centre: "Kolej Kemahiran Tinggi MARA", Batch: "B-0721", MonthYear: "072021",
		NameMasked: "S•••• b•••• A••••", Verdict: "VALID", SignedAt: noon, Signer: "CN=ROAMINGOTP018916", Fingerprint: "7QK2-M9XD",
	}
}

func config(records ...public.Record) (web.Config, *shelf) {
	s := &shelf{records: map[string]public.Record{}}
	for _, r := range records {
		s.records[r.ID] = r
	}
	return web.Config{Records: s, OpenAPI: func() []byte { return []byte(sampleAPI) }, Title: "Jabatan Pembangunan Kemahiran", Now: func() time.Time { return noon.Add(time.Hour) }}, s
}

func visit(c web.Config, method, path, accept string) *httptest.ResponseRecorder {
	return visitWith(c, method, path, accept, "")
}

func visitWith(c web.Config, method, path, accept, cookie string) *httptest.ResponseRecorder {
	r := chi.NewRouter()
	web.Routes(r, c)
	q := httptest.NewRequest(method, path, nil)
	if accept != "" {
		q.Header.Set("Accept", accept)
	}
	if cookie != "" {
		q.Header.Set("Cookie", cookie)
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, q)
	return w
}

func TestEveryAnswerIsHardened(t *testing.T) {
	c, _ := config(record())
	style := regexp.MustCompile(`href="(/assets/mohor[^"]+)"`).FindStringSubmatch(visit(c, "GET", "/", "").Body.String())
	if style == nil {
		t.Fatal("no style sheet")
	}
	for path, status := range map[string]int{"/": 200, "/docs": 200, "/help": 200, "/help/trust": 200, "/help/privacy": 200, "/s/" + knownID: 200, "/s/" + otherID: 200, "/s/x": 404} {
		for _, method := range []string{"GET", "HEAD"} {
			w := visit(c, method, path, "text/html")
			if w.Code != status {
				t.Errorf("%s %s: got %d", method, path, w.Code)
			}
			for name, want := range map[string]string{
				"Content-Security-Policy":      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
				"X-Content-Type-Options":       "nosniff",
				"Referrer-Policy":              "no-referrer",
				"Cross-Origin-Opener-Policy":   "same-origin",
				"Cross-Origin-Resource-Policy": "same-origin",
			} {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s %s: %s is %q", method, path, name, got)
				}
			}
			if strings.HasPrefix(path, "/s/") && (w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("X-Robots-Tag") == "" || w.Header().Get("Vary") != "Accept") {
				t.Errorf("%s: %v", path, w.Header())
			}
			if w.Header().Get("Content-Type") == "" || len(w.Result().Cookies()) != 0 {
				t.Errorf("%s: %v", path, w.Header())
			}
		}
	}
	if got := visit(c, "GET", style[1], "").Header(); got.Get("Cache-Control") != "public, max-age=31536000, immutable" || got.Get("Content-Type") != "text/css; charset=utf-8" {
		t.Errorf("style sheet: %v", got)
	}
}

// ownScript is a script of ours, as a page loads it.
var ownScript = regexp.MustCompile(`<script type="module" src="/assets/[\w-]+\.js"></script>`)

// The pages work under their own policy: nothing inline, nothing foreign.
func TestPagesObeyTheirPolicy(t *testing.T) {
	c, _ := config(record())
	for _, sandbox := range []bool{false, true} {
		c.Sandbox = sandbox
		for _, path := range []string{"/", "/docs", "/help", "/help/trust", "/help/privacy", "/scan", "/s/" + knownID, "/s/" + otherID} {
			page := visit(c, "GET", path, "").Body.String()
			page = ownScript.ReplaceAllString(strings.ReplaceAll(page, "http://www.w3.org/2000/svg", ""), "")
			for _, bad := range []string{"<script", "<style", " style=", " onclick", "javascript:", "http://", "https://", "//cdn", "<iframe"} {
				if strings.Contains(page, bad) && !(path == "/docs" && bad == "https://") {
					t.Errorf("%s holds %q", path, bad)
				}
			}
		}
	}
}

func TestCertificatePage(t *testing.T) {
	c, _ := config(record())
	for _, language := range []struct {
		cookie string
		want   []string
	}{
		{"", []string{`<html lang="ms">`, "Pengesahan eSijil", "<h1>SAH</h1>", "30 April 2026, 12:09:54 MYT", "30 April 2026, 13:09:54 MYT", "<dd>Sah</dd>", "Penandatangan", "Muat turun PDF"}},
		{"mohor-lang=en", []string{`<html lang="en">`, "eCertificate verification", "<h1>VALID</h1>", "30 April 2026, 12:09:54 MYT", "<dd>Valid</dd>", "Signer", "Download PDF"}},
	} {
		page := squeezed(visitWith(c, "GET", "/s/"+knownID, "text/html,application/xhtml+xml,*/*;q=0.8", language.cookie).Body.String())
		for _, want := range append(language.want, "Jabatan Pembangunan Kemahiran", `class="verdict good"`, "S102251979", "TP-021-3:2013", "Kolej Kemahiran Tinggi MARA", "07/2021", "S•••• b•••• A••••", "CN=ROAMINGOTP018916", "7QK2-M9XD") {
			if !strings.Contains(page, want) {
				t.Errorf("%q: page lacks %q", language.cookie, want)
			}
		}
		if strings.Contains(page, "SANDBOX") || strings.Contains(page, "KOTAK PASIR") {
			t.Error("a real page says SANDBOX")
		}
	}
}

// squeezed is a page without the blanks between its elements.
func squeezed(page string) string {
	return regexp.MustCompile(`>\s+|\s+<`).ReplaceAllStringFunc(page, strings.TrimSpace)
}

// SAH appears only when the record says so and the signature verified.
func TestConclude(t *testing.T) {
	for _, c := range []struct{ status, verdict, want, tone string }{
		{"SAH", "VALID", "SAH", "good"}, {"SAH", "INVALID", "TIDAK SAH", "bad"}, {"SAH", "INDETERMINATE", "TIDAK DAPAT DISAHKAN", "wait"},
		{"SAH", "", "TIDAK DAPAT DISAHKAN", "wait"}, {"SAH", "valid", "TIDAK DAPAT DISAHKAN", "wait"},
		{"DIBATALKAN", "VALID", "DIBATALKAN", "bad"}, {"DIGANTI", "VALID", "DIGANTI", "bad"}, {"DIGANTUNG", "VALID", "DIGANTUNG", "wait"},
		{"MENUNGGU REKOD", "VALID", "MENUNGGU REKOD", "wait"}, {"BELUM DITANDATANGANI", "", "BELUM DITANDATANGANI", "wait"}, {"TIDAK SAH", "VALID", "TIDAK SAH", "bad"},
		{"TIDAK DAPAT DISAHKAN", "VALID", "TIDAK DAPAT DISAHKAN", "wait"}, {"", "VALID", "TIDAK DAPAT DISAHKAN", "wait"}, {"sah", "VALID", "TIDAK DAPAT DISAHKAN", "wait"}, {"SAH ", "VALID", "TIDAK DAPAT DISAHKAN", "wait"},
	} {
		if got := public.Conclude(c.status, c.verdict); got != c.want {
			t.Errorf("%q with %q: got %q", c.status, c.verdict, got)
		}
		r := record()
		r.Status, r.Verdict = c.status, c.verdict
		cfg, _ := config(r)
		page := visit(cfg, "GET", "/s/"+knownID, "").Body.String()
		if !strings.Contains(page, `class="verdict `+c.tone+`"`) || !strings.Contains(page, "<h1>"+c.want+"</h1>") {
			t.Errorf("%q with %q: the page says otherwise", c.status, c.verdict)
		}
		if json := visit(cfg, "GET", "/s/"+knownID, "application/json").Body.String(); !strings.Contains(json, `"status":"`+c.want+`"`) {
			t.Errorf("%q with %q: JSON %s", c.status, c.verdict, json)
		}
	}
}

func TestCertificateJSON(t *testing.T) {
	unsigned := public.Record{ID: otherID, Number: "S2", Status: "BELUM DITANDATANGANI"}
	c, _ := config(record(), unsigned)
	w := visit(c, "GET", "/s/"+knownID, "application/json")
	want := `{"id":"` + knownID + `","number":"S102251979","status":"SAH","verdict":"VALID","signed_at":"2026-04-30T04:09:54Z","signer":"CN=ROAMINGOTP018916"}` + "\n"
	if w.Body.String() != want || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("got %v %s", w.Header(), w.Body)
	}
	if got := visit(c, "GET", "/s/"+otherID, "application/json").Body.String(); !strings.Contains(got, `"status":"BELUM DITANDATANGANI","verdict":"","signed_at":null,"signer":""`) {
		t.Errorf("got %s", got)
	}
	for accept, json := range map[string]bool{
		"": false, "*/*": false, "text/html": false, "application/json": true, "application/json, */*;q=0.1": true, "text/html, application/json;q=0.9": false,
		"application/json;q=0.9, text/html;q=0.5": true, "application/json, text/html": false, "application/json;q=0": false, "APPLICATION/JSON": true, "application/json;q=x": false,
		"application/jsonp": false, strings.Repeat("a/b,", 1000) + "application/json": true,
	} {
		if got := visit(c, "GET", "/s/"+knownID, accept).Header().Get("Content-Type") == "application/json"; got != json {
			t.Errorf("Accept %.60q: JSON is %v", accept, got)
		}
	}
}

func TestUnknownAndMalformedAnswerAlike(t *testing.T) {
	c, records := config(record())
	for _, accept := range []string{"text/html", "application/json"} {
		want := visit(c, "POST", "/s/"+otherID, accept)
		if want.Code != 404 || strings.Contains(want.Body.String(), otherID) {
			t.Fatalf("got %d %s", want.Code, want.Body)
		}
		for _, id := range []string{"x", "AAECAwQFBgcICQoLDA0ODx", "AAECAwQFBgcICQoLDA0OD%3D", "AAECAwQFBgcICQoLDA0OD+", "AAECAwQFBgcICQoLDA0ODwA", "%3Cscript%3Ealert(1)%3C", "..%2f..%2fetc%2fpasswd", "AAECAwQFBgcICQoLDA0OD%0A", strings.Repeat("A", 5000), "%00"} {
			got := visit(c, "GET", "/s/"+id, accept)
			if got.Code != want.Code || got.Body.String() != want.Body.String() || got.Header().Get("Content-Type") != want.Header().Get("Content-Type") {
				t.Errorf("%s: %.20q answers otherwise: %d", accept, id, got.Code)
			}
		}
	}
	for _, id := range records.asked {
		if id != otherID {
			t.Errorf("the records were asked for %q", id)
		}
	}
}

func TestFailureShowsNothingOfTheInside(t *testing.T) {
	c, records := config(record())
	records.err = errors.New("dial tcp 10.1.2.3:5432: password rahsia")
	for _, accept := range []string{"text/html", "application/json"} {
		w := visit(c, "GET", "/s/"+knownID, accept)
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "rahsia") || strings.Contains(w.Body.String(), "10.1") {
			t.Errorf("%s: %d %v %s", accept, w.Code, w.Header(), w.Body)
		}
	}
}

// Whatever a record or the settings hold, it stays text.
func TestPagesEscape(t *testing.T) {
	for _, bad := range []string{`"><script>alert(1)</script>`, `<img src=x onerror=alert(1)>`, `'--><svg/onload=alert(1)>`, `{{.}}<b>`, `</title><script>alert(1)</script>`, "\u202e<i>"} {
		r := public.Record{ID: knownID, Number: bad, Status: bad, Programme: bad, Centre: bad, Batch: bad, MonthYear: bad, NameMasked: bad, Verdict: bad, Signer: bad, Fingerprint: bad}
		c, _ := config(r)
		c.Title = bad
		c.Links = public.Links{CRL: bad, RootCertificate: "javascript:alert(1)", Mailbox: bad}
		c.Sandbox = true
		hostileAPI := strings.NewReplacer("@@", strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(bad)).Replace(sampleHostile)
		c.OpenAPI = func() []byte { return []byte(hostileAPI) }
		for _, path := range []string{"/", "/s/" + knownID, "/docs"} {
			w := visit(c, "GET", path, "")
			page := ownScript.ReplaceAllString(strings.ReplaceAll(w.Body.String(), "<svg class=", ""), "")
			if w.Code != 200 || strings.Contains(page, "<script") || strings.Contains(page, "<img") || strings.Contains(page, "<svg/") || strings.Contains(page, "<b>") || strings.Contains(page, "<i>") || strings.Contains(page, `="javascript:`) {
				t.Errorf("%s of %q: %d\n%s", path, bad, w.Code, page)
			}
			if !strings.Contains(page, "&lt;") {
				t.Errorf("%s of %q: nothing of it is shown", path, bad)
			}
		}
	}
}

func TestLanding(t *testing.T) {
	c, _ := config()
	page := visit(c, "GET", "/", "").Body.String()
	for _, want := range []string{`href="/verify"`, `href="/scan"`, `href="/candidate"`, `href="/login"`, `href="/join"`, `href="/status"`, `href="/docs"`, `href="/openapi.json"`, `href="/ca/root.cer"`, `href="/ca/chain.pem"`, `href="/crl/issuing.crl"`, "Gerbang tandatangan digital"} {
		if !strings.Contains(page, want) {
			t.Errorf("page lacks %q", want)
		}
	}
	if !strings.Contains(visitWith(c, "GET", "/", "", "mohor-lang=en").Body.String(), "Digital signing gateway") {
		t.Error("the page has no English")
	}
	if strings.Contains(page, "KOTAK PASIR") || strings.Contains(page, "/dev/mailbox") {
		t.Error("a real gateway calls itself a sandbox")
	}
	c.Sandbox = true
	for _, path := range []string{"/", "/docs", "/s/" + otherID} {
		if page := visit(c, "GET", path, "").Body.String(); !strings.Contains(page, "<strong>KOTAK PASIR – TIDAK SAH</strong>") {
			t.Errorf("%s of a sandbox does not say so", path)
		}
	}
	box, _ := config(record())
	box.Sandbox = true
	if page := visit(box, "GET", "/s/"+knownID, "").Body.String(); !strings.Contains(page, "<h1>SAH (KOTAK PASIR)</h1>") {
		t.Error("a sandbox's certificate looks real")
	}
	if page := visit(c, "GET", "/", "").Body.String(); !strings.Contains(page, `href="/dev/mailbox"`) {
		t.Error("no link to the mailbox")
	}
	c.Links = public.Links{CRL: "/crl/x.crl"}
	if page := visit(c, "GET", "/", "").Body.String(); !strings.Contains(page, `href="/crl/x.crl"`) || strings.Contains(page, "/ca/root.cer") {
		t.Error("the links are not those given")
	}
}

// A record with a secret looks like none until the secret is posted; the page that
// asks for it has the script that posts what is behind the #.
func TestSecretOpensTheRecord(t *testing.T) {
	c, records := config(record())
	const secret = "Yk7TqLz0hXr3VnMwE9sCaG"
	records.secrets = map[string]string{knownID: secret}
	asked := visit(c, "GET", "/s/"+knownID, "text/html")
	if none := visit(c, "GET", "/s/"+otherID, "text/html"); asked.Code != 200 || asked.Body.String() != none.Body.String() || strings.Contains(asked.Body.String(), "S102251979") {
		t.Fatalf("got %d %s", asked.Code, asked.Body)
	}
	src := regexp.MustCompile(`<script type="module" src="(/assets/record-[^"]+)"></script>`).FindStringSubmatch(asked.Body.String())
	if src == nil || !strings.Contains(asked.Body.String(), `<form id="rekod" method="post">`) {
		t.Fatalf("no script or no form: %s", asked.Body)
	}
	if js := visit(c, "GET", src[1], ""); js.Code != 200 || js.Header().Get("Content-Type") != "text/javascript; charset=utf-8" || !strings.Contains(js.Body.String(), "location.hash") {
		t.Errorf("script: %d %v", js.Code, js.Header())
	}
	if got := visit(c, "GET", "/s/"+knownID+"?secret="+secret, "text/html"); strings.Contains(got.Body.String(), "S102251979") {
		t.Error("a secret in the address opens the record")
	}
	post := func(kind, body string) *httptest.ResponseRecorder {
		mux := chi.NewRouter()
		web.Routes(mux, c)
		r := httptest.NewRequest("POST", "/s/"+knownID, strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return w
	}
	const form = "application/x-www-form-urlencoded"
	for _, good := range [][2]string{{form, "secret=" + secret}, {form, "secret=+" + secret + "+"}, {form, "secret=https%3A%2F%2Fx%2Fs%2F" + knownID + "%23" + secret}, {"application/json; charset=utf-8", `{"secret":"` + secret + `"}`}} {
		w := post(good[0], good[1])
		if w.Code != 200 || !strings.Contains(w.Body.String(), "S102251979") || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Referrer-Policy") != "no-referrer" ||
			strings.Contains(w.Body.String(), secret) {
			t.Errorf("%q: %d %v", good[1], w.Code, w.Header())
		}
	}
	for _, bad := range [][2]string{{form, ""}, {form, "secret=" + secret + "A"}, {form, "secret=%zz"}, {"application/json", "{"}, {"application/json", `{"secret":3}`}, {"text/plain", "secret=" + secret}, {form, "x=" + strings.Repeat("a", 1<<16) + "&secret=" + secret}} {
		if w := post(bad[0], bad[1]); w.Code != 404 || strings.Contains(w.Body.String(), "S102251979") {
			t.Errorf("%.30q: %d", bad[1], w.Code)
		}
	}
}

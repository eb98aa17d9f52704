package public_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/page"
	"github.com/mohor-sign/mohor/web/public"
)

var noon = time.Date(2026, 4, 30, 4, 9, 54, 0, time.UTC)

type none struct{}

func (none) CertificateRecord(context.Context, string, string) (public.Record, error) {
	return public.Record{}, public.ErrUnknown
}

// hall is the pages in front of an API that answers as it is told.
func hall(api http.HandlerFunc) http.Handler {
	r := chi.NewRouter()
	s := &page.Site{API: api, Title: "Mohor", Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return noon }}
	public.Routes(r, s, none{}, public.Links{})
	return r
}

// answers is an API with one answer.
func answers(status int, body any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if status >= 400 {
			w.Header().Set("Content-Type", "application/problem+json")
		}
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}
}

var proofField = regexp.MustCompile(`name="form" value="([^"]+)"`)

// opened is a page's form as a browser has it: its proof, and the cookie that goes with it.
func opened(t *testing.T, h http.Handler, path string) (proof, cookie string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	m, cookies := proofField.FindStringSubmatch(w.Body.String()), w.Result().Cookies()
	if m == nil || len(cookies) != 1 {
		t.Fatalf("%s: no form: %d %v", path, w.Code, w.Header())
	}
	return m[1], cookies[0].Name + "=" + cookies[0].Value
}

// upload is a form with a file: what is sent, and its type.
func upload(proof, name string, file []byte) (*bytes.Buffer, string) {
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	_ = m.WriteField("form", proof)
	p, _ := m.CreateFormFile("file", name)
	_, _ = p.Write(file)
	_ = m.Close()
	return &b, m.FormDataContentType()
}

func verify(t *testing.T, api http.HandlerFunc, name string, file []byte) *httptest.ResponseRecorder {
	t.Helper()
	h := hall(api)
	proof, cookie := opened(t, h, "/verify")
	body, kind := upload(proof, name, file)
	r := httptest.NewRequest("POST", "/verify", body)
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Cookie", cookie)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

type object = map[string]any

func signature(verdict string, codes ...string) object {
	reasons := []object{}
	for _, c := range codes {
		reasons = append(reasons, object{"code": c, "ms": "Sebab " + c, "en": "Reason " + c})
	}
	return object{"verdict": verdict, "reasons": reasons, "signer": "C=MY,CN=SITI", "field": "Signature1", "covers_whole_document": true, "signed_at": noon, "revocation": object{"status": "good"}}
}

// The worst of what was found decides, and nothing but VALID throughout is SAH.
func TestVerdictOfADocument(t *testing.T) {
	for name, c := range map[string]struct {
		verdict    string
		reasons    []string // of the document
		signatures []object
		want, tone string
	}{
		"valid":                  {"VALID", nil, []object{signature("VALID")}, "SAH", "good"},
		"nothing":                {"VALID", nil, nil, "TIADA TANDATANGAN DIGITAL", "wait"},
		"unsigned":               {"INDETERMINATE", []string{"no_signature"}, nil, "TIADA TANDATANGAN DIGITAL", "wait"},
		"no PDF":                 {"INVALID", []string{"pdf_invalid"}, nil, "FAIL INI BUKAN PDF", "wait"},
		"locked":                 {"INDETERMINATE", []string{"pdf_encrypted"}, nil, "TIDAK DAPAT DISAHKAN", "wait"},
		"changed":                {"INVALID", nil, []object{signature("INVALID", "digest_mismatch")}, "TIDAK SAH", "bad"},
		"one of two is changed":  {"INVALID", nil, []object{signature("VALID"), signature("INVALID", "changed_after")}, "TIDAK SAH", "bad"},
		"revoked":                {"INVALID", nil, []object{signature("INVALID", "certificate_revoked")}, "TIDAK SAH", "bad"},
		"stranger":               {"INDETERMINATE", nil, []object{signature("INDETERMINATE", "chain_unknown")}, "TIDAK DAPAT DISAHKAN", "wait"},
		"a code nobody knows":    {"INDETERMINATE", nil, []object{signature("INDETERMINATE", "new_code")}, "TIDAK DAPAT DISAHKAN", "wait"},
		"a verdict nobody knows": {"valid", nil, []object{signature("valid")}, "TIDAK DAPAT DISAHKAN", "wait"},
	} {
		reasons := signature("", c.reasons...)["reasons"]
		w := verify(t, answers(200, object{"verdict": c.verdict, "reasons": reasons, "signatures": c.signatures}), "surat.pdf", []byte("%PDF-"))
		if w.Code != 200 || !strings.Contains(w.Body.String(), "<h1>"+c.want+"</h1>") || !strings.Contains(w.Body.String(), `class="verdict `+c.tone+`"`) || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d, no %s in\n%s", name, w.Code, c.want, w.Body)
		}
	}
}

// The signature is whole and only its authority unknown: the page says that, and no more.
func TestStrangerIsNoForger(t *testing.T) {
	const words = "Tandatangan utuh dan dokumen tidak diubah"
	for codes, whole := range map[string]bool{"chain_unknown": true, "chain_unknown revocation_unknown": true, "chain_unknown bytes_after": false, "chain_unknown filled_after": false, "chain_unknown key_weak": false, "key_weak": false} {
		w := verify(t, answers(200, object{"verdict": "INDETERMINATE", "signatures": []object{signature("INDETERMINATE", strings.Fields(codes)...)}}), "surat.pdf", []byte("%PDF-"))
		if got := strings.Contains(w.Body.String(), words); got != whole {
			t.Errorf("%s: says that it is whole: %v", codes, got)
		}
	}
}

// What a document says of itself stays text.
func TestDocumentsShowInert(t *testing.T) {
	for _, bad := range []string{`"><script>alert(1)</script>`, `<img src=x onerror=alert(1)>`, `'--><svg/onload=alert(1)>`, `{{.}}<b>`, `</title><script>alert(1)</script>`, "\u202e<i>"} {
		s := signature("INVALID", bad)
		for _, name := range []string{"signer", "field", "level", "indication", "sub_indication", "time_source"} {
			s[name] = bad
		}
		s["changes_after"], s["revocation"] = []string{bad}, object{"status": bad, "source": bad}
		s["timestamps"] = []object{{"authority": bad, "verdict": bad, "reasons": []object{{"code": bad, "ms": bad, "en": bad, "detail": bad}}}}
		w := verify(t, answers(200, object{"verdict": bad, "signatures": []object{s}, "timestamps": s["timestamps"], "reasons": s["reasons"], "officers": []object{{"field": bad, "name": bad}}}), bad+".pdf", []byte("%PDF-"))
		body := regexp.MustCompile(`<script type="module" src="/assets/[\w-]+\.js"></script>`).ReplaceAllString(w.Body.String(), "")
		for _, tag := range []string{"<script", "<img", "<svg/", "<b>", "<i>"} {
			if strings.Contains(body, tag) {
				t.Errorf("%q: the page has %s", bad, tag)
			}
		}
		if w.Code != 200 || strings.Count(body, "&lt;") < 5 {
			t.Errorf("%q is not shown: %d", bad, w.Code)
		}
	}
}

// Whoever has to wait is told for how long; what was wrong stands at its field; nothing of the
// inside is shown.
func TestRefusals(t *testing.T) {
	problem := func(status int, code string, more object) http.HandlerFunc {
		p := object{"status": status, "code": code, "title": "Tajuk", "detail": "Butiran"}
		for k, v := range more {
			p[k] = v
		}
		return answers(status, p)
	}
	for name, c := range map[string]struct {
		api    http.HandlerFunc
		status int
		want   string
		retry  string
	}{
		"too many":  {problem(429, "rate_limited", object{"retry_after": 42}), 429, `data-until="2026-04-30T04:10:36Z"`, "42"},
		"busy":      {problem(503, "busy", object{"retry_after": 7}), 503, "Cuba lagi selepas 7 saat", "7"},
		"too large": {problem(413, "too_large", nil), 413, `<a href="#file">Fail ini terlalu besar`, ""},
		"bad":       {problem(400, "invalid_request", object{"field": "body"}), 400, `<a href="#file">Butiran.</a>`, ""},
		"no JSON": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "dial tcp 10.1.2.3", http.StatusBadGateway)
		}, 503, "SILA CUBA SEBENTAR LAGI", "5"},
	} {
		w := verify(t, c.api, "surat.pdf", bytes.Repeat([]byte("%PDF-"), 1<<16))
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) || w.Header().Get("Retry-After") != c.retry || strings.Contains(w.Body.String(), "10.1.2.3") {
			t.Errorf("%s: %d %v %s", name, w.Code, w.Header(), w.Body)
		}
	}
}

// The file goes on to the API as it arrives: the API has the first of it before the last is sent.
func TestFilesAreNotKept(t *testing.T) {
	first := make(chan string, 1)
	h := hall(func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 5)
		_, _ = io.ReadFull(r.Body, b)
		first <- r.Method + " " + r.URL.Path + " " + r.Header.Get("Content-Type") + " " + string(b)
		answers(200, object{"verdict": "VALID"})(w, r)
	})
	proof, cookie := opened(t, h, "/verify")
	whole, kind := upload(proof, "surat.pdf", append([]byte("%PDF-"), make([]byte, 1<<20)...))
	at := bytes.Index(whole.Bytes(), []byte("%PDF-")) + 64<<10
	in, out := io.Pipe()
	r := httptest.NewRequest("POST", "/verify", in)
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Cookie", cookie)
	done := make(chan *httptest.ResponseRecorder)
	go func() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		done <- w
	}()
	_, _ = out.Write(whole.Bytes()[:at])
	if got := <-first; got != "POST /v1/public/verify application/pdf %PDF-" {
		t.Errorf("the API was asked %s", got)
	}
	_, _ = out.Write(whole.Bytes()[at:])
	_ = out.Close()
	if w := <-done; w.Code != 200 {
		t.Errorf("got %d", w.Code)
	}
}

// Forms of others, and none at all, reach no API.
func TestFormsOfOthers(t *testing.T) {
	h := hall(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the API was asked for %s", r.URL) })
	_, cookie := opened(t, h, "/verify")
	proof, _ := opened(t, h, "/verify") // another browser's
	file, kind := upload(proof, "surat.pdf", []byte("%PDF-"))
	for name, r := range map[string]*http.Request{
		"a file with another's proof": httptest.NewRequest("POST", "/verify", file),
		"a candidate":                 httptest.NewRequest("POST", "/candidate", strings.NewReader(url.Values{"form": {proof}, "ic": {"800101149001"}, "number": {"S1022"}}.Encode())),
	} {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if r.URL.Path == "/verify" {
			r.Header.Set("Content-Type", kind)
		}
		r.Header.Set("Cookie", cookie)
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != 403 {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	r := httptest.NewRequest("POST", "/s/AAECAwQFBgcICQoLDA0ODw/content", strings.NewReader("secret=x"))
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != 403 {
		t.Errorf("another site's form: %d", w.Code)
	}
}

func ask(t *testing.T, api http.HandlerFunc, ic, number string) *httptest.ResponseRecorder {
	t.Helper()
	h := hall(api)
	proof, cookie := opened(t, h, "/candidate")
	r := httptest.NewRequest("POST", "/candidate", strings.NewReader(url.Values{"form": {proof}, "ic": {ic}, "number": {number}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Cookie", cookie)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// A candidate sees how far the certificate is; who does not belong to it sees what everybody sees.
func TestCandidate(t *testing.T) {
	for state, want := range map[string]string{"IN_BATCH": "SEDANG DISEDIAKAN", "SIGNED": "SUDAH DITANDATANGANI", "ISSUED": "SUDAH DIKELUARKAN"} {
		var asked object
		w := ask(t, func(w http.ResponseWriter, r *http.Request) {
			_ = json.NewDecoder(r.Body).Decode(&asked)
			answers(200, object{"certificates": []object{{"certificate_number": "S102200001", "name": "S••• <b>", "status": state, "language": "ms"}}})(w, r)
		}, " 800101-14-9001", "s1022 00001")
		if w.Code != 200 || !strings.Contains(w.Body.String(), "<h1>"+want+"</h1>") || strings.Contains(w.Body.String(), "<b>") || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s", state, w.Code, w.Body)
		}
		if asked["ic"] != "800101149001" || asked["certificate_number"] != "S102200001" {
			t.Errorf("the API was asked about %v", asked)
		}
	}
	unknown := ask(t, answers(404, object{"code": "not_found", "title": "x", "detail": "rahsia"}), "800101149001", "S102200001")
	if unknown.Code != 200 || !strings.Contains(unknown.Body.String(), "<h1>BELUM ADA</h1>") || strings.Contains(unknown.Body.String(), "rahsia") || strings.Contains(unknown.Body.String(), "800101149001") {
		t.Errorf("unknown: %d %s", unknown.Code, unknown.Body)
	}
	for _, bad := range [][2]string{{"", "S1022"}, {"12345678901", "S1022"}, {"80010114900a", "S1022"}, {"800101149001", " "}} {
		w := ask(t, func(http.ResponseWriter, *http.Request) { t.Errorf("%q reached the API", bad) }, bad[0], bad[1])
		if w.Code != 400 || !strings.Contains(w.Body.String(), `id="ralat"`) {
			t.Errorf("%q: %d", bad, w.Code)
		}
	}
}

// A certificate comes as a PDF and nothing else, whatever the answer's headers say.
func TestCertificateForItsSecret(t *testing.T) {
	get := func(api http.HandlerFunc, secret string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", "/s/AAECAwQFBgcICQoLDA0ODw/content", strings.NewReader(url.Values{"secret": {secret}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		hall(api).ServeHTTP(w, r)
		return w
	}
	const secret = "Yk7TqLz0hXr3VnMwE9sCaG"
	var given, path string
	w := get(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		given, path = string(b), r.URL.String()
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Disposition", "inline")
		_, _ = io.WriteString(w, "%PDF-1.7")
	}, "https://x/s/y#"+secret)
	if h := w.Header(); w.Code != 200 || h.Get("Content-Type") != "application/pdf" || h.Get("Content-Disposition") != "attachment; filename=eSijil.pdf" || h.Get("Cache-Control") != "no-store" || h.Get("Content-Security-Policy") != page.Inert || w.Body.String() != "%PDF-1.7" {
		t.Errorf("%d %v", w.Code, h)
	}
	if given != `{"secret":"`+secret+`"}` || strings.Contains(path, secret) {
		t.Errorf("the API was asked %s with %s", path, given)
	}
	if w := get(answers(404, object{"code": "not_found"}), secret); w.Code != 404 || !strings.Contains(w.Body.String(), "REKOD TIDAK DIJUMPAI") || strings.Contains(w.Body.String(), secret) {
		t.Errorf("another secret: %d", w.Code)
	}
	if w := get(answers(409, object{"code": "not_signed", "title": "BELUM", "detail": "Belum ditandatangani"}), secret); w.Code != 409 || strings.Contains(w.Body.String(), secret) {
		t.Errorf("not signed: %d", w.Code)
	}
}

// The camera and the compiling of WebAssembly are that page's alone.
func TestOnlyTheScannerHasACamera(t *testing.T) {
	h := hall(answers(404, object{}))
	for _, path := range []string{"/", "/scan", "/verify", "/candidate", "/help", "/help/trust", "/help/privacy", "/s/AAECAwQFBgcICQoLDA0ODw"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		camera := strings.Contains(w.Header().Get("Permissions-Policy"), "camera=(self)") && strings.Contains(w.Header().Get("Content-Security-Policy"), "script-src 'self' 'wasm-unsafe-eval';")
		if camera != (path == "/scan") || strings.Contains(w.Header().Get("Content-Security-Policy"), "'unsafe-eval'") || w.Code != 200 {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
}

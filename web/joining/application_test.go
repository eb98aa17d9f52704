package joining_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/joining"
)

// gate is the API as these pages ask it: what it was sent, and what it says.
type gate struct {
	state  string
	status int
	says   string // of the application
	sent   map[string]string
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	say := func(status int, body string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /v1/me":
		if c, err := r.Cookie("mohor-session"); err != nil || c.Value != "s" {
			say(401, `{"status":401,"code":"unauthenticated"}`)
			return
		}
		say(200, `{"ic":"790308109903","name":"NORAINI BINTI OTHMAN","email":"noraini@janm.gov.my"}`)
	case "GET /v1/me/application":
		say(200, `{"applications":[{"enrolment_id":"en_1","system":"IGFMAS","agency":"JANM","state":"`+g.state+`","next_step":"Mohon.","ask":"pentadbir","reason":"<b>kabur</b>"}],
			"declaration":{"version":"2026-1","text":"Saya mengaku."},"states":["Johor","Perak"],"images":["wau","keris"],"pin":{"min_length":8,"max_length":64}}`)
	case "POST /v1/me/application":
		g.sent = nil
		if err := json.NewDecoder(r.Body).Decode(&g.sent); err != nil {
			say(400, `{"status":400,"code":"invalid_request","detail":"`+err.Error()+`"}`)
			return
		}
		say(g.status, g.says)
	default:
		say(404, `{"status":404,"code":"not_found"}`)
	}
}

var proof = regexp.MustCompile(`name="form" value="([^"]+)"`)

// applying is a browser of the officer's at the application.
func applying(t *testing.T, g *gate) func(fields map[string]string, photo []byte, cookies string) *httptest.ResponseRecorder {
	t.Helper()
	s := site(nil)
	s.API = g
	r := chi.NewRouter()
	joining.Routes(r, s, joining.Links{})
	ask := func(q *http.Request, cookies string) *httptest.ResponseRecorder {
		q.Host = hostName
		q.Header.Set("Cookie", cookies)
		w := httptest.NewRecorder()
		r.ServeHTTP(w, q)
		return w
	}
	return func(fields map[string]string, photo []byte, cookies string) *httptest.ResponseRecorder {
		page := ask(httptest.NewRequest("GET", "/portal/application", nil), cookies)
		if fields == nil {
			return page
		}
		var b bytes.Buffer
		m := multipart.NewWriter(&b)
		form := ""
		if p := proof.FindStringSubmatch(page.Body.String()); p != nil {
			form = p[1]
		}
		if other, ok := fields["form"]; ok {
			form = other
		}
		_ = m.WriteField("form", form)
		for name, value := range fields {
			if name != "form" {
				_ = m.WriteField(name, value)
			}
		}
		if photo != nil {
			f, err := m.CreateFormFile("mykad", "mykad.jpg")
			if err != nil {
				t.Fatal(err)
			}
			_, _ = f.Write(photo)
		}
		_ = m.Close()
		q := httptest.NewRequest("POST", "/portal/application", &b)
		q.Header.Set("Content-Type", m.FormDataContentType())
		return ask(q, cookies)
	}
}

func filled() map[string]string {
	return map[string]string{"pin": "Rusa-Sambar-7", "pin_again": "Rusa-Sambar-7", "address": "Aras 1\r\nPresint 2", "postcode": "62594", "state": "Perak", "phone": "03-8882 1000", "fax": "", "mobile": "012-345 6789",
		"mail_kind": "official", "image": "keris", "declaration": "2026-1"}
}

const mine = "mohor-session=s; mohor-join=7QK2M9XD41RT8WZB"

// What the API gets is what was typed, with the code that the browser kept; then that is forgotten.
func TestApplicationIsSent(t *testing.T) {
	g := &gate{state: "CONFIRMED", status: 201, says: `{}`}
	do := applying(t, g)
	if shown := do(nil, nil, mine); shown.Code != 200 || strings.Contains(shown.Body.String(), `id="code"`) || strings.Contains(shown.Body.String(), "7QK2") {
		t.Errorf("the code is asked for again, or shown: %d", shown.Code)
	}
	w := do(filled(), []byte("gambar"), mine)
	if w.Code != 303 || w.Header().Get("Location") != "/portal/application" || !strings.Contains(w.Header().Get("Set-Cookie"), "mohor-join=;") || w.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	for name, want := range map[string]string{"code": "7QK2M9XD41RT8WZB", "pin": "Rusa-Sambar-7", "pin_again": "Rusa-Sambar-7", "address": "Aras 1, Presint 2", "image": "keris", "mykad": base64.StdEncoding.EncodeToString([]byte("gambar"))} {
		if g.sent[name] != want {
			t.Errorf("%s is sent as %q", name, g.sent[name])
		}
	}
	if _, ok := g.sent["algorithm"]; ok || g.sent["fax"] != "" {
		t.Errorf("what was left out is sent: %v", g.sent)
	}
	// A picture that is too long arrives as one byte too long, and no more.
	if do(filled(), make([]byte, 5<<20), mine); base64.StdEncoding.DecodedLen(len(g.sent["mykad"]))/3 != (2<<20+3)/3 {
		t.Errorf("%d characters of a long picture", len(g.sent["mykad"]))
	}
	g.status, g.says = 409, `{"status":409,"code":"already_applied","detail":"sudah"}`
	if w := do(filled(), nil, mine); w.Code != 303 {
		t.Errorf("pressed twice: %d", w.Code)
	}
}

// After a fault the page has what was typed, but no secret; and says what is to be given again.
func TestFaultsLoseNothingButSecrets(t *testing.T) {
	g := &gate{state: "CONFIRMED", status: 422, says: `{"status":422,"code":"postcode_invalid","errors":[{"field":"postcode","code":"postcode_invalid","detail":"poskod mempunyai 5 digit"},{"field":"phone","code":"phone_invalid","detail":"nombor salah"}]}`}
	do := applying(t, g)
	f := filled()
	f["address"] = `"><script>alert(1)</script>`
	w := do(f, []byte("gambar"), mine)
	body := w.Body.String()
	if w.Code != 422 {
		t.Fatalf("%d", w.Code)
	}
	holds(t, body, `value="62594"`, `value="012-345 6789"`, "Poskod mempunyai 5 digit.", "Telefon pejabat: nombor salah.", "Taip PIN sekali lagi", "Pilih salinan MyKad sekali lagi", "&lt;script&gt;", `<option value="Perak" selected>`)
	for _, no := range []string{"Rusa-Sambar", "7QK2", "<script>alert", "gambar\n", base64.StdEncoding.EncodeToString([]byte("gambar"))} {
		if strings.Contains(body, no) {
			t.Errorf("the page has %q", no)
		}
	}
	// A code that is not right any more is forgotten and asked for.
	g.status, g.says = 410, `{"status":410,"code":"link_invalid","detail":"tidak sah"}`
	w = do(filled(), nil, mine)
	if holds(t, w.Body.String(), `id="code"`, "Kod ini tidak dikenali"); w.Code != 410 || !strings.Contains(w.Header().Get("Set-Cookie"), "mohor-join=;") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	// A reason is text.
	g.state = "RETURNED"
	holds(t, do(nil, nil, mine).Body.String(), "&lt;b&gt;kabur&lt;/b&gt;", `id="code"`)
}

// Without a session there is the log-in, and without the form's proof nothing is sent.
func TestApplicationIsOfWhoIsLoggedIn(t *testing.T) {
	g := &gate{state: "CONFIRMED", status: 201, says: `{}`}
	do := applying(t, g)
	if w := do(nil, nil, "mohor-join=7QK2M9XD41RT8WZB"); w.Code != 303 || !strings.HasPrefix(w.Header().Get("Location"), "/login?next=") {
		t.Errorf("no session: %d %v", w.Code, w.Header())
	}
	if w := do(filled(), nil, "mohor-join=7QK2M9XD41RT8WZB"); w.Code != 303 || g.sent != nil {
		t.Errorf("a form without a session: %d %v", w.Code, g.sent)
	}
	f := filled()
	f["form"] = "x"
	if w := do(f, nil, mine); w.Code != 403 || g.sent != nil {
		t.Errorf("a form that no page made: %d %v", w.Code, g.sent)
	}
}

package gateway_test

import (
	"bytes"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/internal/myt"
	"github.com/mohor-sign/mohor/store/storetest"
)

// callback is the address that hostedApp is registered with; it has a query of its own.
const callback = "https://igfmas.example/kembali?modul=AP"

// hostedApp registers an app that may not see the PIN, and returns its API key.
func hostedApp(t *testing.T, g *gatewaytest.Gateway, uris ...string) string {
	t.Helper()
	_, _, key, err := g.Server.Apps.Register(t.Context(), "test", enrol.App{ID: "laman", Name: "iGFMAS", Systems: []string{g.Dev.System}, Grants: []string{enrol.GrantRAW},
		PINEntry: enrol.PINHosted, RedirectURIs: append(uris, callback), Rate: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return string(key.Reveal())
}

// described gives the sandbox's system a title, a logo and a notice.
func described(t *testing.T, g *gatewaytest.Gateway, title, notice string) {
	t.Helper()
	db := opened(t, g)
	for _, q := range []struct {
		text string
		args []any
	}{
		{"INSERT INTO agencies (code, name, personal_mail, created_at) VALUES ('AGD', 'JANM', 0, 0)", nil},
		{"INSERT INTO systems (code, title, agency, token_ends, created_at, logo, logo_type, notice) VALUES (?, ?, 'AGD', 0, 0, ?, 'image/png', ?)", []any{g.Dev.System, title, []byte("\x89PNG\r\n\x1a\n"), notice}},
	} {
		if _, err := db.ExecContext(t.Context(), q.text, q.args...); err != nil {
			t.Fatal(err)
		}
	}
}

// asked makes a transaction of hostedApp and returns the answer with the code that was mailed.
func asked(t *testing.T, g *gatewaytest.Gateway, key string, ask map[string]any) (*gatewaytest.Reply, string) {
	t.Helper()
	o := g.Dev.Officers[0]
	ask["ic"], ask["system"] = o.IC, g.Dev.System
	mark := g.Server.Mailbox.Mark()
	tx := g.Do("POST", "/v1/transactions", "", ask, "X-API-Key", key)
	want(t, tx, 201, "")
	return tx, g.Code(o.Email, mark)
}

// surfer is a browser: it keeps cookies, says where its requests come from, and shows redirects.
type surfer struct {
	t    *testing.T
	c    *http.Client
	base string
}

func newSurfer(t *testing.T, g *gatewaytest.Gateway) *surfer {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &surfer{t, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, g.URL}
}

// send asks for an address of the gateway, with a form or without.
func (s *surfer) send(method, address string, form url.Values, header ...string) *gatewaytest.Reply {
	s.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	address, _ = strings.CutPrefix(address, s.base)
	q, err := http.NewRequestWithContext(s.t.Context(), method, s.base+address, body)
	if err != nil {
		s.t.Fatal(err)
	}
	if form != nil {
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		q.Header.Set("Origin", "null") // which no-referrer makes of it
	}
	q.Header.Set("Sec-Fetch-Site", "same-origin")
	q.Header.Set("User-Agent", "Surfer/1")
	for k := 0; k+1 < len(header); k += 2 {
		if header[k+1] == "" {
			q.Header.Del(header[k])
		} else {
			q.Header.Set(header[k], header[k+1])
		}
	}
	resp, err := s.c.Do(q)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	out := &gatewaytest.Reply{Status: resp.StatusCode, Header: resp.Header}
	if out.Raw, err = io.ReadAll(resp.Body); err != nil {
		s.t.Fatal(err)
	}
	return out
}

// got checks what an answer's page says.
func got(t *testing.T, r *gatewaytest.Reply, status int, words ...string) {
	t.Helper()
	if r.Status != status {
		t.Fatalf("got %d, want %d: %.300s", r.Status, status, r.Raw)
	}
	text := html.UnescapeString(string(r.Raw))
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("the page lacks %q", w)
		}
	}
}

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([a-z]+)" value="([^"]*)">`)

// formOf is the hidden fields of the form with an action, "" for the only one.
func formOf(r *gatewaytest.Reply, action string) url.Values {
	_, page, _ := strings.Cut(string(r.Raw), `method="post"`+action)
	page, _, _ = strings.Cut(page, "</form>")
	form := url.Values{}
	for _, m := range hiddenField.FindAllStringSubmatch(page, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	return form
}

// enter opens a signing page and returns it.
func (s *surfer) enter(address string) *gatewaytest.Reply {
	s.t.Helper()
	gate := s.send("GET", address, nil)
	got(s.t, gate, 200, "Buka halaman tandatangan")
	opened := s.send("POST", address, formOf(gate, ""))
	if opened.Status != http.StatusSeeOther || s.base+opened.Header.Get("Location") != address {
		s.t.Fatalf("opening: %d, to %s: %s", opened.Status, opened.Header.Get("Location"), opened.Raw)
	}
	return s.send("GET", address, nil)
}

// confirm fills in the form of a page.
func (s *surfer) confirm(page *gatewaytest.Reply, address, pin, code string) *gatewaytest.Reply {
	s.t.Helper()
	path, _ := strings.CutPrefix(address, s.base)
	form := formOf(page, ` action="`+path+`/confirm"`)
	if form.Get("nonce") == "" || form.Get("form") == "" {
		s.t.Fatalf("no form: %s", page.Raw)
	}
	form.Set("pin", pin)
	form.Set("otp", code)
	return s.send("POST", address+"/confirm", form)
}

// other is a code that is not this one.
func other(code string) string { return string('0'+(code[0]-'0'+1)%10) + code[1:] }

func pin(g *gatewaytest.Gateway) string { return string(g.PIN().Reveal()) }

// One signature on the gateway's own page, from the app's question to its browser's return.
func TestHostedSigning(t *testing.T) {
	g := gatewaytest.New(t)
	key := hostedApp(t, g)
	described(t, g, "KEMENTERIAN KEWANGAN", "token")
	pdf := storetest.PDF("Baucar 1")
	up := g.Do("POST", "/v1/documents?name=baucar-1.pdf", "application/pdf", pdf, "X-API-Key", key)
	want(t, up, 201, "")
	const state = "s=1&ü/ <b>\u200b"
	header := "110FGOM07022411247A29911.35" + g.Dev.Officers[0].IC
	tx, code := asked(t, g, key, map[string]any{"format": "PADES", "documents": []any{map[string]any{"document_id": up.Text("document_id"), "reference": "110FGOM07022411247"}}, "data_header": header,
		"process": "AP-22", "role": "Perakuan 1", "classification": "terhad", "total": map[string]string{"amount": "29911.35", "currency": "MYR"}, "redirect_uri": callback, "state": state})
	address := tx.Text("signing_url")
	if m, _ := g.Server.Mailbox.Latest(g.Dev.Officers[0].Email); !strings.Contains(strings.ReplaceAll(m.Text, "\u2060", ""), "begins with "+strings.TrimPrefix(address, "http://")[:len(g.URL)-len("http://")]+"/sign/\n") {
		t.Errorf("the mail does not tell the genuine page: %s", m.Text)
	}
	if !regexp.MustCompile(`^`+regexp.QuoteMeta(g.URL)+`/sign/[A-Za-z0-9_-]{22}$`).MatchString(address) || strings.Contains(string(tx.Raw), "redirect_uri") {
		t.Fatalf("signing_url %q", address)
	}
	// The app cannot do it itself, and is not told the address again.
	want(t, g.Do("POST", "/v1/transactions/"+tx.Text("transaction_id")+"/sign", "", map[string]any{"nonce": tx.Text("nonce"), "pin": pin(g), "otp": code}, "X-API-Key", key), 403, "forbidden")
	if again := g.Do("GET", "/v1/transactions/"+tx.Text("transaction_id"), "", nil, "X-API-Key", key); again.Text("signing_url") != "" || again.Text("status") != "WAITING" {
		t.Errorf("asked again: %s", again.Raw)
	}
	s := newSurfer(t, g)
	for _, scanner := range []string{"GET", "HEAD", "GET"} { // programs that follow links
		if r := newSurfer(t, g).send(scanner, address, nil); r.Status != 200 || len(r.Header.Values("Set-Cookie")) != 0 {
			t.Fatalf("%s: %d %v", scanner, r.Status, r.Header)
		}
	}
	page := s.enter(address)
	digest := up.Body["digest"].(map[string]any)["value"].(string)
	got(t, page, 200, "KEMENTERIAN KEWANGAN", "iGFMAS", header, "AP-22 Arahan Bayaran Tanpa Pesanan Pembelian Kerajaan", "Perakuan 1", "terhad", "RM 29,911.35", "baucar-1.pdf", digest, tx.Text("fingerprint"), "@jpk.mohor.example", "MYT",
		"MENGGUNAKAN TOKEN DAN NOMBOR PIN", "DOKUMEN KEWANGAN iGFMAS", `autocomplete="one-time-code"`, `inputmode="numeric"`)
	for _, no := range []string{"SITI", "siti@", code, "igfmas.example", "<b>"} {
		if strings.Contains(string(page.Raw), no) {
			t.Errorf("the page tells %q", no)
		}
	}
	view := s.send("GET", address+"/documents/0", nil)
	if view.Status != 200 || !bytes.Equal(view.Raw, pdf) || view.Header.Get("Content-Type") != "application/pdf" || !strings.Contains(view.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("the document: %d %v", view.Status, view.Header)
	}
	if r := s.send("GET", address+"/documents/1", nil); r.Status != 404 {
		t.Errorf("another document: %d", r.Status)
	}
	if logo := s.send("GET", address+"/logo", nil); logo.Status != 200 || logo.Header.Get("Content-Type") != "image/png" || logo.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("the logo: %d %v", logo.Status, logo.Header)
	}
	stranger := newSurfer(t, g)
	for _, path := range []string{"", "/documents/0", "/logo"} {
		if r := stranger.send("GET", address+path, nil); r.Status != 409 && r.Status != 404 || bytes.Contains(r.Raw, []byte("baucar")) {
			t.Errorf("another browser at %s: %d %s", path, r.Status, r.Raw)
		}
	}

	got(t, s.confirm(page, address, "", code), 400, "Masukkan PIN sijil anda", `id="pin-error"`, `aria-describedby="pin-hint pin-error"`)
	got(t, s.confirm(page, address, "x", "12345"), 400, "enam digit", `id="otp-error"`)
	wrong := s.confirm(page, address, pin(g), other(code))
	got(t, wrong, 403, "Kod OTP salah. Baki cubaan: 2. Semak kod", `href="#otp"`)
	// The same form again, as a browser sends it when it reloads, costs no try.
	got(t, s.confirm(page, address, pin(g), code), 409, "tidak dicuba lagi")
	wrong = s.confirm(wrong, address, "salah-sekali", code)
	got(t, wrong, 403, "PIN salah. Baki cubaan: 4. Masukkan PIN", `href="#pin"`)
	done := s.confirm(wrong, address, pin(g), code[:3]+" "+code[3:])
	if done.Status != http.StatusSeeOther {
		t.Fatalf("%d %s", done.Status, done.Raw)
	}
	end := s.send("GET", address, nil)
	status := g.Do("GET", "/v1/transactions/"+tx.Text("transaction_id"), "", nil, "X-API-Key", key)
	information := status.Body["signature_information"].(map[string]any)
	got(t, end, 200, "TELAH DITANDATANGANI", g.Dev.Officers[0].IC, information["serial_number"].(string), information["subject"].(string), myt.Stamp(g.Clock.Now()))
	back := regexp.MustCompile(`<a class="button" href="([^"]*)" rel="noreferrer">`).FindSubmatch(end.Raw)
	if back == nil {
		t.Fatalf("no way back: %s", end.Raw)
	}
	u, err := url.Parse(html.UnescapeString(string(back[1])))
	if err != nil || u.Scheme+"://"+u.Host+u.Path != "https://igfmas.example/kembali" {
		t.Fatalf("back to %s, %v", back[1], err)
	}
	if q := u.Query(); len(q) != 4 || q.Get("modul") != "AP" || q.Get("state") != state || q.Get("transaction_id") != tx.Text("transaction_id") || q.Get("status") != "SIGNED" {
		t.Errorf("back with %v", u.Query())
	}
	if r := stranger.send("GET", address, nil); r.Status != 404 {
		t.Errorf("another browser afterwards: %d", r.Status)
	}
	for _, action := range []string{"page.open", "page.document", "signer.authorize"} {
		found := false
		for _, e := range events(t, g, action) {
			found = found || e.verdict == "accepted" && strings.Contains(e.detail, `"address":"127.0.0.1"`) && strings.Contains(e.detail, `"agent":"Surfer/1"`) && e.object == tx.Text("transaction_id")
		}
		if !found {
			t.Errorf("no %s with address and agent: %v", action, events(t, g, action))
		}
	}
	g.Clock.Advance(2 * time.Hour)
	if r := s.send("GET", address, nil); r.Status != 404 {
		t.Errorf("two hours later: %d", r.Status)
	}
}

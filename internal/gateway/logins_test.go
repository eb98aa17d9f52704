package gateway_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/internal/secret"
)

const officerPassword = "kuda hijau membaca peta"

// browser speaks to the gateway as a browser would, without any app's credential.
type browser struct {
	t       *testing.T
	g       *gatewaytest.Gateway
	cookies map[string]*http.Cookie
	header  map[string]string
}

func newBrowser(t *testing.T, g *gatewaytest.Gateway) *browser {
	return &browser{t: t, g: g, cookies: map[string]*http.Cookie{}, header: map[string]string{}}
}

func (b *browser) do(method, path string, body any) *gatewaytest.Reply {
	b.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		b.t.Fatal(err)
	}
	if body == nil {
		raw = nil
	}
	req, err := http.NewRequest(method, b.g.URL+path, bytes.NewReader(raw))
	if err != nil {
		b.t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range b.header {
		req.Header.Set(k, v)
	}
	for _, c := range b.cookies {
		req.AddCookie(c)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	out := &gatewaytest.Reply{Status: resp.StatusCode, Header: resp.Header}
	if out.Raw, err = io.ReadAll(resp.Body); err != nil {
		b.t.Fatal(err)
	}
	_ = json.Unmarshal(out.Raw, &out.Body)
	for _, c := range resp.Cookies() {
		if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" {
			b.t.Errorf("cookie %s is not kept close: %v", c.Name, c)
		}
		if b.cookies[c.Name] = c; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	return out
}

// begin takes the first step and returns the log-in and the code that was mailed.
func (b *browser) begin(ic, password string, mailed bool) (id, code string) {
	b.t.Helper()
	o := b.g.Dev.Officers[0]
	mark := b.g.Server.Mailbox.Mark()
	r := b.do(http.MethodPost, "/v1/sessions", map[string]string{"ic": ic, "password": password})
	want(b.t, r, 202, "")
	if mailed {
		code = b.g.Code(o.Email, mark)
	}
	return r.Text("session_id"), code
}

func withPassword(t *testing.T) (*gatewaytest.Gateway, *browser) {
	t.Helper()
	g := gatewaytest.New(t)
	setPassword(t, g, officerPassword)
	return g, newBrowser(t, g)
}

// setPassword gives the sandbox's first officer an account.
func setPassword(t *testing.T, g *gatewaytest.Gateway, password string) {
	t.Helper()
	o := g.Dev.Officers[0]
	err := g.Server.Accounts.SetPassword(t.Context(), enrol.Actor{Name: "test"}, enrol.Officer{IC: o.IC, Name: o.Name, Email: o.Email}, secret.New(password))
	if err != nil {
		t.Fatal(err)
	}
}

func TestOfficerLogsIn(t *testing.T) {
	g, b := withPassword(t)
	ic := g.Dev.Officers[0].IC
	want(t, b.do(http.MethodGet, "/v1/me", nil), 401, "unauthenticated")
	id, code := b.begin(ic, officerPassword, true)
	wrong := b.do(http.MethodPost, "/v1/sessions/"+id+"/code", map[string]string{"code": flip(code)})
	if want(t, wrong, 403, "otp_wrong"); wrong.Body["attempts_left"] != 2.0 {
		t.Errorf("%s", wrong.Raw)
	}
	b.cookies["mohor-session"] = &http.Cookie{Name: "mohor-session", Value: "mss_planted"} // fixation
	r := b.do(http.MethodPost, "/v1/sessions/"+id+"/code", map[string]string{"code": code})
	want(t, r, 200, "")
	if strings.Contains(string(r.Raw), "mss_") || b.cookies["mohor-session"].Value == "mss_planted" {
		t.Fatalf("the token is in the body, or was the browser's: %s", r.Raw)
	}
	want(t, b.do(http.MethodPost, "/v1/sessions/"+id+"/code", map[string]string{"code": code}), 409, "otp_already_used")
	me := b.do(http.MethodGet, "/v1/me", nil)
	if want(t, me, 200, ""); me.Text("ic") != ic || me.Text("kind") != "officer" || me.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s", me.Raw)
	}
	want(t, b.do(http.MethodGet, "/v1/admin/anything", nil), 403, "forbidden")

	// What opens one place opens no other.
	token := b.cookies["mohor-session"].Value
	thief := newBrowser(t, g)
	thief.header["Authorization"] = "Bearer " + token
	want(t, thief.do(http.MethodGet, "/v1/me", nil), 401, "unauthenticated")
	want(t, thief.do(http.MethodGet, "/v1/officers/"+ic+"/medium", nil), 401, "unauthenticated")
	app := newBrowser(t, g)
	app.header["X-API-Key"] = string(g.Dev.APIKey.Reveal())
	want(t, app.do(http.MethodGet, "/v1/me", nil), 401, "unauthenticated")
	want(t, app.do(http.MethodGet, "/v1/admin/anything", nil), 401, "unauthenticated")
	app.cookies = b.cookies
	want(t, app.do(http.MethodGet, "/v1/me", nil), 401, "unauthenticated")

	// Another site's page acts for nobody.
	b.header["Sec-Fetch-Site"] = "cross-site"
	want(t, b.do(http.MethodDelete, "/v1/me/sessions/current", nil), 403, "forbidden")
	want(t, b.do(http.MethodPost, "/v1/sessions", map[string]string{"ic": ic, "password": "x"}), 403, "forbidden")
	b.header["Sec-Fetch-Site"] = "same-origin"
	b.header["Idempotency-Key"] = "k"
	want(t, newBrowserWith(t, g, b.header).do(http.MethodPost, "/v1/sessions", map[string]string{"ic": ic, "password": "x"}), 400, "invalid_request")
	delete(b.header, "Idempotency-Key")

	// A device holds a bearer token.
	id, code = b.begin(ic, officerPassword, true)
	r = newBrowser(t, g).do(http.MethodPost, "/v1/sessions/"+id+"/code", map[string]string{"code": code, "token": "bearer"})
	want(t, r, 200, "")
	device := newBrowser(t, g)
	device.header["Authorization"] = "Bearer " + r.Text("token")
	want(t, device.do(http.MethodGet, "/v1/me", nil), 200, "")
	list := b.do(http.MethodGet, "/v1/me/sessions", nil)
	if want(t, list, 200, ""); len(list.Body["sessions"].([]any)) != 2 {
		t.Errorf("%s", list.Raw)
	}
	if r := b.do(http.MethodDelete, "/v1/me/sessions", nil); r.Status != 200 || r.Body["closed"] != 1.0 {
		t.Errorf("%s", r.Raw)
	}
	want(t, device.do(http.MethodGet, "/v1/me", nil), 401, "unauthenticated")
	if r := b.do(http.MethodDelete, "/v1/me/sessions/current", nil); r.Status != 204 || b.cookies["mohor-session"] != nil {
		t.Errorf("%d %s", r.Status, r.Raw)
	}
	b.cookies["mohor-session"] = &http.Cookie{Name: "mohor-session", Value: token}
	want(t, b.do(http.MethodGet, "/v1/me", nil), 401, "unauthenticated")
	if log := g.Log.String(); strings.Contains(log, token) || strings.Contains(log, officerPassword) || strings.Contains(log, code) {
		t.Error("a secret is in the log")
	}
}

func newBrowserWith(t *testing.T, g *gatewaytest.Gateway, header map[string]string) *browser {
	b := newBrowser(t, g)
	for k, v := range header {
		b.header[k] = v
	}
	return b
}

// flip is another code.
func flip(code string) string { return string('0'+(code[0]-'0'+1)%10) + code[1:] }

// Known or not, right or wrong: the answer is the same up to the code, and no code is
// right where none was sent.
func TestLogInTellsNothing(t *testing.T) {
	g, b := withPassword(t)
	ic := g.Dev.Officers[0].IC
	var first string
	for what, c := range map[string][2]string{"right": {ic, officerPassword}, "wrong": {ic, "wrong"}, "unknown": {"820101145678", officerPassword}, "an officer without account": {g.Dev.Officers[1].IC, "x"}} {
		r := b.do(http.MethodPost, "/v1/sessions", map[string]string{"ic": c[0], "password": c[1]})
		want(t, r, 202, "")
		id := r.Text("session_id")
		said := strings.Replace(string(r.Raw), id, "ID", 1)
		said = said[:strings.Index(said, "expires_at")] + said[strings.Index(said, "Z\""):]
		for k := range 4 {
			r := b.do(http.MethodPost, "/v1/sessions/"+id+"/code", map[string]string{"code": "00000" + string(rune('0'+k))})
			said += "\n" + strings.Replace(string(r.Raw), r.Text("instance"), "R", 1)
		}
		if first == "" {
			first = said
		} else if said != first {
			t.Errorf("%s says\n%s\nothers\n%s", what, said, first)
		}
	}
	if !strings.Contains(first, "otp_attempts_exhausted") {
		t.Errorf("tries have no end:\n%s", first)
	}
}

// A code is for what its mail says: none for a log-in signs, and none for signing
// logs in.
func TestCodesKeepToTheirPurpose(t *testing.T) {
	g, b := withPassword(t)
	ic := g.Dev.Officers[0].IC
	tx, signing := g.Ask(raw("Arahan"))
	want(t, tx, 201, "")
	id, login := b.begin(ic, officerPassword, true)
	if signing != login {
		want(t, g.Confirm(tx, login, nil), 403, "otp_wrong")
		want(t, b.do(http.MethodPost, "/v1/sessions/"+id+"/code", map[string]string{"code": signing}), 403, "otp_wrong")
	}
	want(t, b.do(http.MethodPost, "/v1/sessions/"+tx.Text("transaction_id")+"/code", map[string]string{"code": signing}), 410, "otp_expired")
	want(t, g.Do(http.MethodPost, "/v1/transactions/"+id+"/sign", "", map[string]any{"nonce": tx.Text("nonce"), "pin": string(g.PIN().Reveal()), "otp": login}), 404, "not_found")
	want(t, g.Confirm(tx, signing, nil), 200, "")
	g.Clock.Advance(5 * time.Minute)
	want(t, b.do(http.MethodPost, "/v1/sessions/"+id+"/code", map[string]string{"code": login}), 410, "otp_expired")
}

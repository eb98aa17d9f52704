package gateway_test

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// said is what the audit tells of requests, by their ids.
func said(t *testing.T, g *gatewaytest.Gateway, id string) (out []audit.Record) {
	t.Helper()
	must(t, gateway.ReadAudit(t.Context(), g.Dir, "cli:test", "", g.Clock.Now, func(r audit.Record) error {
		if r.RequestID == id {
			out = append(out, r)
		}
		return nil
	}))
	return out
}

// Whoever is nobody makes the audit grow by one event in ten seconds, at the token endpoint and
// at addresses of pages that are none. At a page that there was each refusal is told.
func TestStrangersDoNotFillTheAudit(t *testing.T) {
	g := gatewaytest.New(t)
	key := hostedApp(t, g)
	tx, _ := asked(t, g, key, raw("satu"))
	newSurfer(t, g).enter(tx.Text("signing_url"))
	events := func() int { return count(t, g, "SELECT COUNT(*) FROM audit_events") }
	strangers := func() {
		t.Helper()
		for _, form := range []url.Values{
			{"client_id": {"siapa"}, "client_secret": {"x"}}, {"client_id": {g.Dev.ClientID}, "client_secret": {"x"}}, {},
			{"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {"e30.e30.e30"}},
		} {
			form.Set("grant_type", "client_credentials")
			r := g.Do("POST", "/oauth2/token", "application/x-www-form-urlencoded", []byte(form.Encode()), "X-API-Key", "")
			if r.Status != 401 || r.Text("error") != "invalid_client" {
				t.Errorf("%v: %d %s", form, r.Status, r.Raw)
			}
		}
		token := strings.Repeat("A", 22)
		none := g.URL + "/sign/" + token
		if r := newSurfer(t, g).send("POST", none, url.Values{"seed": {strings.Repeat("B", 22)}}); r.Status != 404 {
			t.Errorf("opening no page: %d", r.Status)
		}
		// A session that was made up, with the form that goes with it.
		session := []byte("x")
		sum, mac := sha256.Sum256([]byte(token)), hmac.New(sha256.New, session)
		mac.Write([]byte("mohor signing form v1\n" + token))
		cookie := "mohor-sign-" + base64.RawURLEncoding.EncodeToString(sum[:9]) + "=" + string(session)
		form := url.Values{"form": {base64.RawURLEncoding.EncodeToString(mac.Sum(nil))}}
		for _, deed := range []string{"/cancel", "/code", "/confirm"} {
			if r := newSurfer(t, g).send("POST", none+deed, form, "Cookie", cookie); r.Status != 404 {
				t.Errorf("%s at no page: %d", deed, r.Status)
			}
		}
	}
	before := events()
	for range 5 {
		strangers()
	}
	if n := events() - before; n != 1 {
		t.Errorf("%d events of strangers", n)
	}
	g.Clock.Advance(10 * time.Second)
	before = events()
	strangers()
	if n := events() - before; n != 1 {
		t.Errorf("%d events of strangers, ten seconds later", n)
	}

	// Another browser at a page that there is, and anybody at one that has ended.
	before = events()
	if r := newSurfer(t, g).send("POST", tx.Text("signing_url"), url.Values{"seed": {strings.Repeat("C", 22)}}); r.Status < 400 {
		t.Errorf("a second browser: %d", r.Status)
	}
	want(t, g.Do("DELETE", "/v1/transactions/"+tx.Text("transaction_id"), "", nil, "X-API-Key", key), 204, "")
	g.Clock.Advance(2 * time.Hour)
	late := newSurfer(t, g).send("POST", tx.Text("signing_url"), url.Values{"seed": {strings.Repeat("D", 22)}}, "X-Request-Id", "too-late")
	if n := events() - before; n != 3 || late.Status != 404 {
		t.Errorf("%d events, %d", n, late.Status)
	}
	if list := said(t, g, "too-late"); len(list) != 1 || list[0].Verdict != audit.Refused || list[0].Object != tx.Text("transaction_id") {
		t.Errorf("%+v", list)
	}
}

// The audit tells by which of its credentials an app did what it did: a thief's is not the owner's.
func TestAuditNamesTheCredential(t *testing.T) {
	g := gatewaytest.New(t)
	machine, app := enrol.Actor{Name: "cli:test"}, g.Dev.ClientID
	add := func(kind string) (id, text string) {
		t.Helper()
		c, s, err := g.Server.Apps.AddCredential(t.Context(), machine, app, enrol.NewCredential{Kind: kind})
		must(t, err)
		return c.ID, string(s.Reveal())
	}
	is := func(what, id, action, credential string) {
		t.Helper()
		list := said(t, g, id)
		if len(list) == 0 {
			t.Errorf("%s: not in the audit", what)
		}
		for _, r := range list {
			if r.Actor == "app:"+app && r.Action == action && r.Detail["app_credential"] == credential && r.Detail["address"] != "" {
				return
			}
		}
		t.Errorf("%s: %+v", what, list)
	}
	secretID, secret := add(enrol.KindSecret)
	keyID, key := add(enrol.KindKey)
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {app}, "client_secret": {secret}}
	r := g.Do("POST", "/oauth2/token", "application/x-www-form-urlencoded", []byte(form.Encode()), "X-API-Key", "", "X-Request-Id", "r-token")
	want(t, r, 200, "")
	is("a token", "r-token", "app.token", secretID)
	token := r.Text("access_token")
	want(t, g.Do("GET", "/v1/transactions/tx_x", "", nil, "X-API-Key", "", "Authorization", "Bearer "+token, "X-Request-Id", "r-bearer"), 404, "not_found")
	is("by a token", "r-bearer", "app.request", secretID)
	want(t, g.Do("GET", "/v1/transactions/tx_x", "", nil, "X-API-Key", key, "X-Request-Id", "r-key"), 404, "not_found")
	is("by a key", "r-key", "app.request", keyID)
	want(t, g.Do("POST", "/v1/batches", "", map[string]string{"name": "K", "kind": "digest"}, "X-API-Key", key, "X-Request-Id", "r-made"), 201, "")
	is("what writes an event of its own", "r-made", "batch.create", keyID)

	// What a read comes upon is no event of the read.
	tx, _ := g.Ask(raw("satu"))
	want(t, tx, 201, "")
	g.Clock.Advance(31 * time.Minute)
	path := "/v1/transactions/" + tx.Text("transaction_id")
	want(t, g.Do("GET", path, "", nil, "X-API-Key", key, "X-Request-Id", "r-late"), 200, "")
	is("a read of what is over", "r-late", "app.request", keyID)
	if n := count(t, g, "SELECT COUNT(*) FROM audit_events WHERE action = 'transaction.expire'"); n != 1 {
		t.Errorf("%d expired", n)
	}
}

// Tokens are within the rate of their app, whichever networks it asks from.
func TestTokensAreWithinTheRate(t *testing.T) {
	g := gatewaytest.New(t)
	app := otherApp()
	app.Rate = 2
	_, text, key, err := g.Server.Apps.Register(t.Context(), "test", app)
	check(t, err)
	form := []byte(url.Values{"grant_type": {"client_credentials"}, "client_id": {app.ID}, "client_secret": {string(text.Reveal())}}.Encode())
	ask := func(form []byte) *gatewaytest.Reply {
		return g.Do("POST", "/oauth2/token", "application/x-www-form-urlencoded", form, "X-API-Key", "")
	}
	for range 9 {
		if r := ask([]byte("grant_type=client_credentials&client_id=" + app.ID + "&client_secret=x")); r.Status != 401 { // costs it nothing
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	}
	for range 4 {
		want(t, ask(form), 200, "")
	}
	r := ask(form)
	if want(t, r, 429, "rate_limited"); r.Header.Get("Retry-After") == "" {
		t.Errorf("%v", r.Header)
	}
	want(t, g.Do("GET", "/v1/batches/x", "", nil, "X-API-Key", string(key.Reveal())), 429, "rate_limited")
	if n := count(t, g, "SELECT COUNT(*) FROM tokens"); n != 4 {
		t.Errorf("%d tokens", n)
	}
	g.Clock.Advance(time.Second)
	want(t, ask(form), 200, "")
}

// A stream of events ends with what it was opened by, and an app has so many of them.
func TestEventStreamsEndWithTheirApp(t *testing.T) {
	g := gatewaytest.New(t)
	machine, app := enrol.Actor{Name: "cli:test"}, g.Dev.ClientID
	must(t, g.Server.Desk.PutAgency(t.Context(), machine, enrol.Agency{Code: "JANM", Name: "JANM"}))
	must(t, g.Server.Desk.PutSystem(t.Context(), machine, enrol.System{Code: g.Dev.System, Title: "iGFMAS", Agency: "JANM"}))
	b := g.Do("POST", "/v1/batches", "", map[string]string{"name": "Kosong", "kind": "digest"})
	want(t, b, 201, "")
	path := "/v1/batches/" + b.Text("batch_id") + "/events"
	dev := string(g.Dev.APIKey.Reveal())
	open := func(key string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", g.URL+path, nil)
		must(t, err)
		req.Header.Set("X-API-Key", key)
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		t.Cleanup(func() { resp.Body.Close() })
		if _, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil || resp.StatusCode != 200 {
			t.Fatalf("the first event: %d, %v", resp.StatusCode, err)
		}
		return resp
	}
	ends := func(what string, resp *http.Response) { // hangs here if it does not
		t.Helper()
		rest := bufio.NewScanner(resp.Body)
		for rest.Scan() {
			if strings.HasPrefix(rest.Text(), "event: done") {
				t.Errorf("%s: told to be done", what)
			}
		}
		must(t, rest.Err())
	}
	c, text, err := g.Server.Apps.AddCredential(t.Context(), machine, app, enrol.NewCredential{Kind: enrol.KindKey})
	must(t, err)
	by, other := open(string(text.Reveal())), open(dev)
	must(t, g.Server.Apps.RevokeCredential(t.Context(), machine, app, c.ID))
	ends("its key is revoked", by)
	_, err = g.Server.Apps.Change(t.Context(), machine, app, func(a *enrol.App) { a.Grants = []string{enrol.GrantLookup} })
	must(t, err)
	ends("signing is not granted any more", other)
	_, err = g.Server.Apps.Change(t.Context(), machine, app, func(a *enrol.App) { a.Grants = []string{enrol.GrantSign} })
	must(t, err)

	list := []*http.Response{}
	for range 50 {
		list = append(list, open(dev))
	}
	r := g.Do("GET", path, "", nil)
	if want(t, r, 429, "rate_limited"); r.Header.Get("Retry-After") != "60" || !strings.Contains(r.Text("detail")+r.Text("title"), "50") {
		t.Errorf("%s", r.Raw)
	}
	_, err = g.Server.Apps.Suspend(t.Context(), machine, app, "kunci bocor")
	must(t, err)
	for _, resp := range list {
		ends("suspended", resp)
	}
	_, err = g.Server.Apps.Resume(t.Context(), machine, app, "kunci ditukar")
	must(t, err)
	g.Clock.Advance(time.Minute)
	open(dev) // there is room again
}

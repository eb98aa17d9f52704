package gateway_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/mohor-sign/mohor/api"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/internal/sandbox"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/store/storetest"
)

// member is an officer who is logged in, in a browser or on a device.
type member struct {
	t      *testing.T
	g      *gatewaytest.Gateway
	who    sandbox.DevOfficer
	header []string
}

// memberOf gives an officer an account, and logs in.
func memberOf(t *testing.T, g *gatewaytest.Gateway, o sandbox.DevOfficer, bearer bool) *member {
	t.Helper()
	check(t, g.Server.Accounts.SetPassword(t.Context(), enrol.Actor{Name: "test"}, enrol.Officer{IC: o.IC, Name: o.Name, Email: o.Email}, secret.New(officerPassword)))
	return entered(t, g, o, bearer)
}

func entered(t *testing.T, g *gatewaytest.Gateway, o sandbox.DevOfficer, bearer bool) *member {
	t.Helper()
	mark := g.Server.Mailbox.Mark()
	r := g.Do("POST", "/v1/sessions", "", map[string]string{"ic": o.IC, "password": officerPassword}, "X-API-Key", "")
	want(t, r, 202, "")
	held := map[bool]string{true: "bearer", false: "cookie"}[bearer]
	r = g.Do("POST", "/v1/sessions/"+r.Text("session_id")+"/code", "", map[string]string{"code": g.Code(o.Email, mark), "token": held}, "X-API-Key", "")
	want(t, r, 200, "")
	m := &member{t, g, o, []string{"X-API-Key", ""}}
	if bearer {
		m.header = append(m.header, "Authorization", "Bearer "+r.Text("token"))
		return m
	}
	for _, c := range (&http.Response{Header: r.Header}).Cookies() {
		if c.Name == "mohor-session" {
			m.header = append(m.header, "Cookie", c.Name+"="+c.Value, "Sec-Fetch-Site", "same-origin")
		}
	}
	return m
}

func (m *member) do(method, path, contentType string, body any, header ...string) *gatewaytest.Reply {
	m.t.Helper()
	return m.g.Do(method, path, contentType, body, append(append([]string{}, m.header...), header...)...)
}

// upload stores a PDF of the officer's own.
func (m *member) upload(name string) string {
	m.t.Helper()
	r := m.do("POST", "/v1/documents?name="+url.QueryEscape(name), "application/pdf", storetest.PDF(name))
	want(m.t, r, 201, "")
	return r.Text("document_id")
}

// ask asks for the officer's own signature; the code comes by mail.
func (m *member) ask(rest map[string]any, header ...string) (*gatewaytest.Reply, string) {
	m.t.Helper()
	ask := map[string]any{"system": m.g.Dev.System, "format": "PADES", "redirect_uri": m.g.URL + "/portal/return", "state": "asal"}
	for k, v := range rest {
		ask[k] = v
	}
	mark := m.g.Server.Mailbox.Mark()
	tx := m.do("POST", "/v1/transactions", "", ask, header...)
	if tx.Status != http.StatusCreated {
		return tx, ""
	}
	return tx, m.g.Code(m.who.Email, mark)
}

// sign confirms on the gateway's page.
func (m *member) sign(tx *gatewaytest.Reply, code string) *gatewaytest.Reply {
	m.t.Helper()
	s, address := newSurfer(m.t, m.g), tx.Text("signing_url")
	return s.confirm(s.enter(address), address, string(m.who.PIN.Reveal()), code)
}

// signedBatch has a batch of certificates signed and gives its id and the transaction's.
func (m *member) signedBatch(name string, numbers ...int) (batch, tx string) {
	m.t.Helper()
	b := m.do("POST", "/v1/batches", "", map[string]string{"name": name, "kind": "ecert"})
	want(m.t, b, 201, "")
	path := "/v1/batches/" + b.Text("batch_id")
	csv := header
	for _, n := range numbers {
		csv += line(n, "ALI BIN ABU")
	}
	want(m.t, m.do("POST", path+"/items", "text/csv", []byte(csv)), 200, "")
	want(m.t, m.do("POST", path+"/seal", "", nil), 200, "")
	asked, code := m.ask(map[string]any{"batch_id": b.Text("batch_id")})
	want(m.t, asked, 201, "")
	m.sign(asked, code)
	if r := m.do("GET", path+"/events", "", nil); !strings.Contains(string(r.Raw), "event: done") {
		m.t.Fatalf("the stream did not end: %s", r.Raw)
	}
	return b.Text("batch_id"), asked.Text("transaction_id")
}

// An officer's session signs a PDF and a batch of certificates at the portal, by a browser's cookie
// and by a device's token.
func TestSessionSignsAtThePortal(t *testing.T) {
	g := gatewaytest.New(t)
	for k, m := range []*member{memberOf(t, g, g.Dev.Officers[0], false), memberOf(t, g, g.Dev.Officers[1], true)} {
		id := m.upload("surat.pdf")
		tx, code := m.ask(pades(id))
		want(t, tx, 201, "")
		if page := m.sign(tx, code); !bytes.Contains(page.Raw, []byte("/portal/return?")) && !strings.Contains(page.Header.Get("Location"), "/sign/") {
			t.Fatalf("confirming: %d to %s: %s", page.Status, page.Header.Get("Location"), page.Raw)
		}
		r := m.do("GET", "/v1/transactions/"+tx.Text("transaction_id"), "", nil)
		if want(t, r, 200, ""); r.Text("status") != "SIGNED" {
			t.Fatalf("%s", r.Raw)
		}
		signed := m.do("GET", "/v1/documents/"+id+"/content", "", nil)
		if want(t, signed, 200, ""); !bytes.Contains(signed.Raw, []byte("/ETSI.CAdES.detached")) {
			t.Error("the PDF is not signed")
		}
		ba, _ := m.signedBatch("Kelompok", 10*k+1, 10*k+2)
		zip := m.do("GET", "/v1/batches/"+ba+"/archive", "", nil)
		if want(t, zip, 200, ""); !bytes.HasPrefix(zip.Raw, []byte("PK")) {
			t.Error("no ZIP")
		}
		want(t, m.do("GET", "/v1/processes", "", nil), 200, "")
		want(t, m.do("GET", "/v1/inbox?system="+g.Dev.System, "", nil), 200, "")
		mine := m.do("GET", "/v1/officers/"+m.who.IC+"/medium", "", nil)
		want(t, mine, 200, "")
		cert := mine.Body["media"].([]any)[0].(map[string]any)["certificate"].(map[string]any)
		want(t, m.do("GET", "/v1/certificates/"+cert["serial_number"].(string), "", nil), 200, "")
	}
	// The audit names the person, and by what they acted.
	accounts := map[string]bool{}
	for _, e := range events(t, g, "transaction.create") {
		person := regexp.MustCompile(`account:ac_[a-z2-7]+`).FindString(e.detail)
		if !strings.HasPrefix(e.actor, "app:me_") || person == "" || !strings.Contains(e.detail, `"session:se_`) {
			t.Errorf("an event of a person: %+v", e)
		}
		accounts[person] = true
	}
	if len(accounts) != 2 {
		t.Errorf("persons in the audit: %v", accounts)
	}
	// One app for each, made once.
	if n := len(events(t, g, "enrol.app.own")); n != 2 {
		t.Errorf("%d own apps were made", n)
	}
}

// What one officer has at the portal is not there for another, nor for an app of the same system.
func TestOfficersAreApartAtThePortal(t *testing.T) {
	g := gatewaytest.New(t)
	one, two := memberOf(t, g, g.Dev.Officers[0], false), memberOf(t, g, g.Dev.Officers[1], true)
	id := one.upload("rahsia.pdf")
	ba, btx := one.signedBatch("Kelompok", 1)
	tx, _ := one.ask(pades(id))
	want(t, tx, 201, "")
	txID := tx.Text("transaction_id")
	for _, x := range []struct {
		method, path, contentType string
		body                      any
	}{
		{"GET", "/v1/documents/" + id, "", nil}, {"GET", "/v1/documents/" + id + "/content", "", nil}, {"GET", "/v1/documents/" + id + "/content?version=original", "", nil},
		{"GET", "/v1/transactions/" + txID, "", nil}, {"GET", "/v1/transactions/" + btx, "", nil}, {"POST", "/v1/transactions/" + txID + "/otp", "", nil}, {"DELETE", "/v1/transactions/" + txID, "", nil},
		{"GET", "/v1/batches/" + ba, "", nil}, {"GET", "/v1/batches/" + ba + "/items", "", nil}, {"GET", "/v1/batches/" + ba + "/items/0/content", "", nil}, {"GET", "/v1/batches/" + ba + "/items/0/preview", "", nil},
		{"GET", "/v1/batches/" + ba + "/archive", "", nil}, {"GET", "/v1/batches/" + ba + "/events", "", nil}, {"POST", "/v1/batches/" + ba + "/items", "text/csv", []byte(header + line(7, "X"))},
		{"POST", "/v1/batches/" + ba + "/seal", "", nil}, {"POST", "/v1/batches/" + ba + "/pause", "", nil}, {"POST", "/v1/batches/" + ba + "/resume", "", nil}, {"DELETE", "/v1/batches/" + ba, "", nil},
		{"POST", "/v1/transactions", "", map[string]any{"system": g.Dev.System, "format": "PADES", "batch_id": ba}},
		{"POST", "/v1/transactions", "", map[string]any{"system": g.Dev.System, "format": "PADES", "documents": []any{map[string]any{"document_id": id}}}},
		// The other's name, and what is the other's alone.
		{"POST", "/v1/transactions", "", map[string]any{"ic": one.who.IC, "system": g.Dev.System, "format": "PADES", "documents": []any{map[string]any{"document_id": two.upload("b.pdf")}}}},
		{"GET", "/v1/officers/" + one.who.IC + "/medium", "", nil},
		{"GET", "/v1/certificates/" + serialOf(t, one), "", nil},
	} {
		if r := two.do(x.method, x.path, x.contentType, x.body); r.Status != 404 || r.Code() != "not_found" {
			t.Errorf("another officer's %s %s: %d %s", x.method, x.path, r.Status, r.Raw)
		}
		if strings.HasPrefix(x.path, "/v1/officers") || strings.HasPrefix(x.path, "/v1/certificates") || x.path == "/v1/transactions" {
			continue // of which an app is told
		}
		if r := g.Do(x.method, x.path, x.contentType, x.body); r.Status != 404 {
			t.Errorf("an app's %s %s: %d %s", x.method, x.path, r.Status, r.Raw)
		}
	}
	if r := one.do("GET", "/v1/transactions/"+txID, "", nil); r.Text("status") != "WAITING" {
		t.Errorf("touched: %s", r.Raw)
	}
	// The same key of two people is two keys; of one person it repeats.
	a := one.do("POST", "/v1/batches", "", map[string]string{"name": "A", "kind": "pdf"}, "Idempotency-Key", "k-1")
	b := two.do("POST", "/v1/batches", "", map[string]string{"name": "A", "kind": "pdf"}, "Idempotency-Key", "k-1")
	again := one.do("POST", "/v1/batches", "", map[string]string{"name": "A", "kind": "pdf"}, "Idempotency-Key", "k-1")
	if a.Status != 201 || b.Status != 201 || a.Text("batch_id") == b.Text("batch_id") || a.Text("batch_id") != again.Text("batch_id") {
		t.Errorf("%s %s %s", a.Raw, b.Raw, again.Raw)
	}
}

func serialOf(t *testing.T, m *member) string {
	t.Helper()
	r := m.do("GET", "/v1/officers/"+m.who.IC+"/medium", "", nil)
	want(t, r, 200, "")
	return r.Body["media"].([]any)[0].(map[string]any)["certificate"].(map[string]any)["serial_number"].(string)
}

// Of first requests that come at once each is answered, and one app is made.
func TestOwnAppIsMadeOnce(t *testing.T) {
	g := gatewaytest.New(t)
	m := memberOf(t, g, g.Dev.Officers[0], false)
	status := make([]int, 8)
	var all sync.WaitGroup
	for k := range status {
		all.Go(func() {
			status[k] = m.do("POST", "/v1/batches", "", map[string]string{"name": "A", "kind": "pdf"}).Status
		})
	}
	all.Wait()
	for _, s := range status {
		if s != http.StatusCreated {
			t.Errorf("answers %v", status)
			break
		}
	}
	if n := count(t, g, "SELECT COUNT(*) FROM apps WHERE person IS NOT NULL"); n != 1 {
		t.Errorf("%d own apps", n)
	}
	if n := len(ids(m.do("GET", "/v1/me/batches", "", nil), "batches", "batch_id")); n != len(status) {
		t.Errorf("%d batches", n)
	}
}

// A session is no app's credential, and what a browser sends for another site's page is not the
// officer's.
func TestSessionsAtThePortalAreGuarded(t *testing.T) {
	g := gatewaytest.New(t)
	m, device := memberOf(t, g, g.Dev.Officers[0], false), entered(t, g, g.Dev.Officers[0], true)
	cookie, token := m.header[3], strings.TrimPrefix(device.header[3], "Bearer ")
	body := map[string]string{"name": "A", "kind": "pdf"}
	key := string(g.Dev.APIKey.Reveal())
	for name, x := range map[string]struct {
		header []string
		status int
		code   string
	}{
		"another site":            {[]string{"Cookie", cookie, "Sec-Fetch-Site", "cross-site"}, 403, "forbidden"},
		"a sibling site":          {[]string{"Cookie", cookie, "Sec-Fetch-Site", "same-site"}, 403, "forbidden"},
		"another origin":          {[]string{"Cookie", cookie, "Origin", "https://evil.example"}, 403, "forbidden"},
		"the cookie as a token":   {[]string{"Authorization", "Bearer " + strings.TrimPrefix(cookie, "mohor-session=")}, 401, "unauthenticated"},
		"the token as a cookie":   {[]string{"Cookie", "mohor-session=" + token}, 401, "unauthenticated"},
		"both":                    {[]string{"Cookie", cookie, "Authorization", "Bearer " + token}, 401, "unauthenticated"},
		"two cookies":             {[]string{"Cookie", cookie + "; " + cookie}, 401, "unauthenticated"},
		"a cookie and an API key": {[]string{"Cookie", cookie, "X-API-Key", key}, 401, "unauthenticated"},
		"a token and an API key":  {[]string{"Authorization", "Bearer " + token, "X-API-Key", key}, 401, "unauthenticated"},
		"a cookie and Basic":      {[]string{"Cookie", cookie, "Authorization", "Basic eDp5"}, 401, "unauthenticated"},
		"a cookie and an app's":   {[]string{"Cookie", cookie, "Authorization", "Bearer mat_x"}, 401, "unauthenticated"},
		"no such session":         {[]string{"Cookie", "mohor-session=mss_x"}, 401, "unauthenticated"},
		"an empty cookie":         {[]string{"Cookie", "mohor-session="}, 401, "unauthenticated"},
		"the own app's id, Basic": {[]string{"Authorization", "Basic bWVfeDo="}, 401, "unauthenticated"},
		"nothing":                 {nil, 401, "unauthenticated"},
		"the cookie":              {[]string{"Cookie", cookie, "Sec-Fetch-Site", "same-origin"}, 201, ""},
		"the token":               {[]string{"Authorization", "Bearer " + token}, 201, ""},
	} {
		if r := g.Do("POST", "/v1/batches", "", body, append([]string{"X-API-Key", ""}, x.header...)...); r.Status != x.status || r.Code() != x.code {
			t.Errorf("%s: %d %s", name, r.Status, r.Raw)
		}
	}
	// Only where people act for themselves.
	want(t, m.do("POST", "/v1/verify", "application/pdf", storetest.PDF("x")), 401, "unauthenticated")

	id := m.upload("surat.pdf")
	// A reference of a work process, begun by an app and classified there.
	chief := &role{g, g.Dev.Officers[1], key}
	begun, otp := chief.ask(map[string]any{"role": "Perakuan 1", "classification": "sulit", "documents": []any{map[string]string{"document_id": upload(t, g, storetest.PDF("x")), "reference": "RUJ-sulit"}}})
	want(t, begun, 201, "")
	want(t, chief.sign(begun, otp), 200, "")
	for name, rest := range map[string]map[string]any{
		"a role's turn":     {"process": "AA-11", "role": "Perakuan 2", "documents": []any{map[string]string{"reference": "RUJ-sulit"}}},
		"a process begun":   {"process": "AA-11", "role": "Perakuan 1", "documents": []any{map[string]string{"document_id": id, "reference": "RUJ-9"}}},
		"a role alone":      {"role": "Perakuan 2", "documents": []any{map[string]string{"document_id": id, "reference": "RUJ-sulit"}}},
		"RAW":               {"format": "RAW", "documents": []any{digestRef("a")}},
		"CMS":               {"format": "CMS", "documents": []any{digestRef("a")}},
		"prepared PDF":      {"documents": []any{digestRef("a")}},
		"a system not held": {"system": "LAIN", "documents": pades(id)["documents"]},
	} {
		if r, _ := m.ask(rest); r.Status != 403 || r.Code() != "forbidden" {
			t.Errorf("%s: %d %s", name, r.Status, r.Raw)
		}
	}
	for _, uri := range []string{"https://evil.example/", g.URL + "/portal/", g.URL + "/portal/return?x=1", g.URL + "/portal/return/", g.URL + "/portal/return/../../x"} {
		if r, _ := m.ask(map[string]any{"documents": pades(id)["documents"], "redirect_uri": uri}); r.Status != 400 || r.Code() != "invalid_request" {
			t.Errorf("back to %s: %d %s", uri, r.Status, r.Raw)
		}
	}
	// The PIN is given on the gateway's page alone.
	tx, code := m.ask(map[string]any{"ic": m.who.IC, "documents": pades(id)["documents"]})
	want(t, tx, 201, "")
	want(t, m.do("POST", "/v1/transactions/"+tx.Text("transaction_id")+"/sign", "", map[string]string{"nonce": tx.Text("nonce"), "pin": pin(g), "otp": code}), 403, "forbidden")

	// With the session all of it ends.
	want(t, m.do("DELETE", "/v1/me/sessions", "", nil), 200, "")
	want(t, device.do("GET", "/v1/processes", "", nil), 401, "unauthenticated")
	want(t, m.do("DELETE", "/v1/me/sessions/current", "", nil), 204, "")
	want(t, m.do("POST", "/v1/batches", "", body), 401, "unauthenticated")
}

// People's own apps are no applications: nobody lists, sees, changes or ends them, nor registers one
// of such a name.
func TestOwnAppsAreNobodyElses(t *testing.T) {
	g := gatewaytest.New(t)
	m := memberOf(t, g, g.Dev.Officers[0], false)
	m.upload("surat.pdf")
	var id string
	check(t, opened(t, g).QueryRow("SELECT id FROM apps WHERE person IS NOT NULL").Scan(&id))
	machine := enrol.Actor{Name: "cli:test"}
	list, err := g.Server.Apps.List(t.Context(), machine, enrol.AppQuery{})
	check(t, err)
	for _, a := range list {
		if a.ID == id || a.Person != "" {
			t.Errorf("listed: %+v", a)
		}
	}
	_, _, err = g.Server.Apps.Show(t.Context(), machine, id)
	refusedAs(t, err, "not_registered")
	_, err = g.Server.Apps.Change(t.Context(), machine, id, func(a *enrol.App) { a.PINEntry = enrol.PINInApp })
	refusedAs(t, err, "not_registered")
	_, err = g.Server.Apps.End(t.Context(), machine, id, "tidak diperlukan")
	refusedAs(t, err, "not_registered")
	_, _, err = g.Server.Apps.AddCredential(t.Context(), machine, id, enrol.NewCredential{Kind: enrol.KindKey})
	refusedAs(t, err, "not_registered")
	_, err = g.Server.Apps.Add(t.Context(), machine, enrol.App{ID: "me_abc", Name: "X", Systems: []string{g.Dev.System}})
	refusedAs(t, err, "app_invalid")
	want(t, m.do("POST", "/v1/batches", "", map[string]string{"name": "A", "kind": "pdf"}), 201, "")

	// Somebody without a medium has nothing signed.
	clerk := sandbox.DevOfficer{IC: "820303109903", Name: "WONG MEI LING", Email: "wong@janm.mohor.example"}
	w := memberOf(t, g, clerk, true)
	want(t, w.do("POST", "/v1/documents?name=a.pdf", "application/pdf", storetest.PDF("a")), 403, "forbidden")
	want(t, w.do("POST", "/v1/batches", "", map[string]string{"name": "A", "kind": "pdf"}), 403, "forbidden")
	want(t, w.do("GET", "/v1/batches/ba_x", "", nil), 404, "not_found")
	want(t, w.do("GET", "/v1/inbox?system="+g.Dev.System, "", nil), 403, "forbidden")
}

func refusedAs(t *testing.T, err error, code string) {
	t.Helper()
	var no *enrol.Refusal
	if !errors.As(err, &no) || no.Code != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

// At the portal what is classified is neither listed nor read by who has no part in it.
func TestPortalInboxIsOpenAlone(t *testing.T) {
	g := gatewaytest.New(t)
	key := string(g.Dev.APIKey.Reveal())
	one := &role{g, g.Dev.Officers[0], key}
	two := memberOf(t, g, g.Dev.Officers[1], false)
	for class, seen := range map[string]bool{"sulit": false, "terhad": false, "terbuka": true} {
		id, reference := upload(t, g, storetest.PDF(class)), "RUJ-"+class
		tx, code := one.ask(map[string]any{"role": "Perakuan 1", "classification": class, "documents": []any{map[string]string{"document_id": id, "reference": reference}}})
		want(t, tx, 201, "")
		want(t, one.sign(tx, code), 200, "")
		r := two.do("GET", "/v1/inbox?system="+g.Dev.System, "", nil)
		if want(t, r, 200, ""); strings.Contains(string(r.Raw), reference) != seen {
			t.Errorf("%s: %s", class, r.Raw)
		}
		status := map[bool]int{true: 200, false: 404}[seen]
		if r := two.do("GET", "/v1/documents/"+id+"/content", "", nil); r.Status != status {
			t.Errorf("%s: reading gave %d", class, r.Status)
		}
	}
}

// Requests that a page makes within the process count once against the network, and need all the
// proof that others need.
func TestInnerRequests(t *testing.T) {
	g := gatewaytest.New(t)
	m := memberOf(t, g, g.Dev.Officers[0], false)
	call := func(inside bool, path string, cookie bool) int {
		r, err := http.NewRequestWithContext(t.Context(), "GET", path, nil)
		check(t, err)
		if inside {
			r = r.WithContext(api.Inner(r.Context()))
		}
		if r.RemoteAddr = "192.0.2.9:1"; cookie {
			r.Header.Set("Cookie", m.header[3])
		}
		w := newWriter()
		g.Server.Handler().ServeHTTP(w, r)
		return w.status
	}
	for range 150 {
		if got := call(true, "/v1/me", true); got != 200 {
			t.Fatalf("inner: %d", got)
		}
		if got := call(true, "/v1/me", false); got != 401 {
			t.Fatalf("inner without a session: %d", got)
		}
		if got := call(false, "/assets/none.css", false); got == 429 {
			t.Fatal("assets are counted")
		}
	}
	limited := 0
	for range 150 {
		if call(false, "/v1/me", true) == 429 {
			limited++
		}
	}
	if limited < 40 {
		t.Errorf("%d of 150 were too many from outside", limited)
	}
}

type writer struct {
	h      http.Header
	status int
}

func newWriter() *writer { return &writer{http.Header{}, 200} }

func (w *writer) Header() http.Header         { return w.h }
func (w *writer) WriteHeader(status int)      { w.status = status }
func (w *writer) Write(p []byte) (int, error) { return len(p), nil }

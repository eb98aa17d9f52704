package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	mohor "github.com/mohor-sign/mohor/sdk/go"
)

// hooked is an application that follows docs/api.md.
type hooked struct {
	url    string
	status int

	mu     sync.Mutex
	secret string
	header string
	body   []byte
	now    func() time.Time
	events []mohor.WebhookEvent
	bad    int
}

func listen(t *testing.T, g *gatewaytest.Gateway) *hooked {
	t.Helper()
	a := &hooked{now: g.Clock.Now, status: http.StatusNoContent}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.header = r.Header.Get("Mohor-Signature")
		a.body, _ = io.ReadAll(r.Body)
		e, err := mohor.VerifyWebhook(a.header, a.body, a.secret, a.now())
		if err != nil || r.URL.Path != "/hook" {
			a.bad++
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		a.events = append(a.events, e)
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, "a-word-of-the-receiver")
	}))
	t.Cleanup(s.Close)
	a.url = s.URL + "/hook"
	return a
}

// last gives the only event that came since.
func (a *hooked) last(t *testing.T, g *gatewaytest.Gateway) mohor.WebhookEvent {
	t.Helper()
	if err := gateway.DeliverEvents(t.Context(), g.Server); err != nil {
		t.Fatal(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.events) != 1 || a.bad != 0 {
		t.Fatalf("%d events, %d refused: %+v", len(a.events), a.bad, a.events)
	}
	e := a.events[0]
	a.events = nil
	return e
}

// From the address to the last event, as an administrator and an application see it.
func TestWebhooksByHTTP(t *testing.T) {
	g := gatewaytest.New(t)
	a := listen(t, g)
	jdn := reader(t, g, enrol.Appointment{Role: enrol.JDN, From: time.Now().Add(-time.Minute)})
	app := "/v1/admin/apps/" + g.Dev.ClientID
	want(t, jdn.do(http.MethodGet, app+"/webhook", nil), 404, "not_found")
	want(t, jdn.do(http.MethodPost, app+"/webhook/test", nil), 404, "not_found")
	want(t, jdn.do(http.MethodPost, "/v1/admin/apps/nobody/webhook", map[string]string{"url": a.url}), 404, "not_found")
	for _, url := range []string{"", "http://10.0.0.1/", "https://user@agency.example/", "https://169.254.169.254/", "https://agency.example:22/", "https://2130706433/"} {
		want(t, jdn.do(http.MethodPost, app+"/webhook", map[string]string{"url": url}), 422, "webhook_invalid")
	}
	want(t, jdn.do(http.MethodPost, app+"/webhook", map[string]any{"url": a.url, "overlap_hours": 169}), 400, "invalid_request")
	want(t, g.Do(http.MethodPost, app+"/webhook", "", map[string]string{"url": a.url}), 401, "unauthenticated") // no app does
	made := jdn.do(http.MethodPost, app+"/webhook", map[string]string{"url": a.url})
	want(t, made, 200, "")
	a.secret = made.Text("secret")
	if made.Text("url") != a.url || !strings.HasPrefix(a.secret, "mwh_") || made.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s", made.Raw)
	}
	ping := jdn.do(http.MethodPost, app+"/webhook/test", nil)
	want(t, ping, 202, "")
	if e := a.last(t, g); e.ID != ping.Text("event_id") || e.Type != enrol.WebhookPing || string(e.Data) != "{}" {
		t.Errorf("%+v", e)
	}
	docsVerify(t, a)

	tx, code := g.Ask(map[string]any{"format": "CMS", "documents": []map[string]any{{"name": "SURAT RAHSIA", "data": []byte("a letter")}}})
	want(t, tx, 201, "")
	want(t, g.Confirm(tx, code, nil), 200, "")
	ended(t, a.last(t, g), "transaction.signed", tx.Text("transaction_id"), "SIGNED")
	if text := string(a.body); strings.Contains(text, "SURAT") || strings.Contains(text, g.Dev.Officers[0].IC) || strings.Contains(text, g.Dev.Officers[0].Name) {
		t.Errorf("a person is told of: %s", text)
	}
	tx, _ = g.Ask(map[string]any{"format": "CMS", "documents": []map[string]any{{"name": "b", "data": []byte("b")}}})
	g.Clock.Advance(31 * time.Minute)
	if err := gateway.ExpireOverdue(g.Server, t.Context()); err != nil {
		t.Fatal(err)
	}
	expired := a.last(t, g)
	ended(t, expired, "transaction.expired", tx.Text("transaction_id"), "EXPIRED")
	looked(t, g, a, jdn, app, expired.ID)
}

func ended(t *testing.T, e mohor.WebhookEvent, kind, transaction, status string) {
	t.Helper()
	var o struct {
		Transaction string `json:"transaction_id"`
		Status      string `json:"status"`
	}
	if err := json.Unmarshal(e.Data, &o); err != nil || e.Type != kind || o.Transaction != transaction || o.Status != status {
		t.Errorf("%s %s, %v", e.Type, e.Data, err)
	}
}

// looked: failures, what is shown of them, once more by hand, another secret, the end.
func looked(t *testing.T, g *gatewaytest.Gateway, a *hooked, jdn *browser, app, event string) {
	t.Helper()
	a.status = http.StatusInternalServerError
	jdn = logged(t, g, "740404105557", enrol.Appointment{Role: enrol.JDN, From: time.Now().Add(-time.Minute)})
	ping := jdn.do(http.MethodPost, app+"/webhook/test", nil)
	want(t, ping, 202, "")
	for range 6 {
		a.last(t, g)
		g.Clock.Advance(8 * time.Hour)
	}
	jdn = logged(t, g, "730404105559", enrol.Appointment{Role: enrol.JDN, From: time.Now().Add(-time.Minute)})
	dead := jdn.do(http.MethodGet, app+"/deliveries?state=DEAD", nil)
	want(t, dead, 200, "")
	list, _ := dead.Body["deliveries"].([]any)
	if len(list) != 1 || list[0].(map[string]any)["event_id"] != ping.Text("event_id") || list[0].(map[string]any)["tries"] != 6.0 || list[0].(map[string]any)["last_status"] != 500.0 ||
		strings.Contains(string(dead.Raw), "word-of-the") {
		t.Errorf("%s", dead.Raw)
	}
	a.status = http.StatusOK
	for _, id := range []string{ping.Text("event_id"), event} {
		want(t, jdn.do(http.MethodPost, app+"/deliveries/"+id+"/redeliver", nil), 202, "")
		if e := a.last(t, g); e.ID != id {
			t.Errorf("redelivered %s as %s", id, e.ID)
		}
	}
	want(t, jdn.do(http.MethodPost, app+"/deliveries/ev_none/redeliver", nil), 404, "not_found")
	// A page behind a page.
	first := jdn.do(http.MethodGet, app+"/deliveries?limit=2", nil)
	page, _ := first.Body["deliveries"].([]any)
	second := jdn.do(http.MethodGet, app+"/deliveries?limit=2&after="+fmt.Sprint(page[1].(map[string]any)["event_id"]), nil)
	if rest, _ := second.Body["deliveries"].([]any); len(page) != 2 || len(rest) != 2 || strings.Contains(string(second.Raw), fmt.Sprint(page[1].(map[string]any)["event_id"])) {
		t.Errorf("%s\n%s", first.Raw, second.Raw)
	}
	// Another secret for the same address; the receiver still has the old one.
	again := jdn.do(http.MethodPost, app+"/webhook", map[string]any{})
	want(t, again, 200, "")
	if again.Text("secret") == a.secret || again.Text("url") != a.url {
		t.Errorf("%s", again.Raw)
	}
	want(t, jdn.do(http.MethodPost, app+"/webhook/test", nil), 202, "")
	a.last(t, g)
	if strings.Count(a.header, "v1=") != 2 {
		t.Errorf("%s", a.header)
	}
	if r := jdn.do(http.MethodGet, app+"/webhook", nil); r.Status != 200 || r.Text("url") != a.url || r.Text("old_secret_until") == "" || strings.Contains(string(r.Raw), "mwh_") {
		t.Errorf("%s", r.Raw)
	}
	old := a.secret
	a.secret = again.Text("secret")
	want(t, jdn.do(http.MethodPost, app+"/webhook/test", nil), 202, "")
	a.last(t, g)

	// A SAP of all its systems makes another secret, and changes no address.
	sap := logged(t, g, "710202105553", enrol.Appointment{Role: enrol.SAP, System: g.Dev.System, From: time.Now().Add(-time.Minute)})
	want(t, sap.do(http.MethodPost, app+"/webhook", map[string]any{"url": a.url + "2"}), 403, "webhook_registered")
	want(t, sap.do(http.MethodPost, app+"/webhook", map[string]any{"overlap_hours": 0}), 200, "")
	other := logged(t, g, "720303105551", enrol.Appointment{Role: enrol.SAP, System: "SPEKS", From: time.Now().Add(-time.Minute)})
	for _, path := range []string{"/webhook", "/deliveries"} {
		want(t, other.do(http.MethodGet, app+path, nil), 403, "forbidden")
	}
	want(t, other.do(http.MethodDelete, app+"/webhook", nil), 403, "forbidden")
	want(t, jdn.do(http.MethodDelete, app+"/webhook", nil), 204, "")
	want(t, jdn.do(http.MethodGet, app+"/webhook", nil), 404, "not_found")
	if log := g.Log.String(); strings.Contains(log, old) || strings.Contains(log, a.secret) || strings.Contains(log, "word-of-the") {
		t.Error("the log tells a secret, or what a receiver answered")
	}
	raw, err := os.ReadFile(filepath.Join(g.Dir, "mohor.db"))
	if err != nil || strings.Contains(string(raw), old) || strings.Contains(string(raw), a.secret) || strings.Contains(string(raw), "word-of-the") {
		t.Errorf("the database has a secret, or what a receiver answered: %v", err)
	}
}

// docsVerify runs the lines of docs/api.md on what came last.
func docsVerify(t *testing.T, a *hooked) {
	t.Helper()
	gatewaytest.Tool(t, "openssl")
	page, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "<!-- verify-webhook -->\n```sh\n")
	script, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("docs/api.md has no lines that verify a webhook")
	}
	dir := t.TempDir()
	run := func(header, secret string, body []byte) string {
		if err := os.WriteFile(filepath.Join(dir, "body.json"), body, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("sh", "-c", script)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "SIGNATURE="+header, "SECRET="+secret, "DONE="+filepath.Join(dir, "done"))
		out, _ := cmd.CombinedOutput()
		return strings.TrimSpace(string(out))
	}
	e, err := mohor.VerifyWebhook(a.header, a.body, a.secret, a.now())
	if err != nil {
		t.Fatal(err)
	}
	right, _, _ := strings.Cut(a.header, ",")
	mark := strings.TrimPrefix(a.header, right)
	for _, c := range []struct{ what, header, secret, body, want string }{
		{"altered", a.header, a.secret, string(a.body) + " ", "refused: signature"},
		{"another secret", a.header, a.secret + "x", string(a.body), "refused: signature"},
		{"no header", "", a.secret, string(a.body), "refused: old"},
		{"an old one", "t=1767225600" + mark, a.secret, string(a.body), "refused: old"},
		{"no signature", right, a.secret, string(a.body), "refused: signature"},
		{"the right one", a.header, a.secret, string(a.body), "new: " + e.ID},
		{"the same again", a.header, a.secret, string(a.body), "known: " + e.ID},
		{"with two", right + ",v1=" + strings.Repeat("0", 64) + mark, a.secret, string(a.body), "known: " + e.ID},
	} {
		if got := run(c.header, c.secret, []byte(c.body)); got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

// logged logs in another administrator.
func logged(t *testing.T, g *gatewaytest.Gateway, ic string, x enrol.Appointment) *browser {
	t.Helper()
	o := enrol.Officer{IC: ic, Name: "PENTADBIR " + ic[:4], Email: ic + "@janm.gov.my"}
	_, code, err := g.Server.Accounts.CreateAdministrator(t.Context(), enrol.Actor{Name: "cli:test"}, o, x)
	if err != nil {
		t.Fatal(err)
	}
	return administrator(t, g, ic, string(code.Reveal()))
}

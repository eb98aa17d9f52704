package gateway_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// configured is the channels of a file in which the template's are replaced.
func configured(t *testing.T, channels string) (gateway.Config, error) {
	t.Helper()
	raw, err := gateway.RenderConfig(gateway.InitOptions{Listen: "127.0.0.1:0", BaseURL: "http://localhost", PublicURL: "http://localhost", Database: "mohor.db",
		TokenLabel: "t", Organization: "O", CAKey: "ECDSA-P256", PolicyOID: "2.25.1", ResendAfter: "1m", PerHour: 10, PerDay: 30})
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(raw), "\nchannels:\n")
	_, after, found := strings.Cut(rest, "\nca:\n")
	if !found {
		t.Fatal("the template has no channels")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, gateway.ConfigFile), []byte(before+"\n"+channels+"\nca:\n"+after), 0o600); err != nil {
		t.Fatal(err)
	}
	return gateway.LoadConfig(dir)
}

func TestChannelConfig(t *testing.T) {
	for _, c := range []struct {
		channels         string
		igfmas, everyone string
		wrong            string // the field and what it must be
	}{
		{"", "push email", "push email", ""}, // a file of an earlier release
		{"channels: {email: deny}", "push", "push", ""},
		{"channels: {prefer: [email, push]}", "email push", "email push", ""},
		{"channels: {prefer: [email]}", "email", "email", ""},
		{"channels: {systems: {IGFMAS: {email: deny}}}", "push", "push email", ""},
		{"channels: {email: deny, systems: {IGFMAS: {email: allow, prefer: [email, push]}}}", "email push", "push", ""},
		{"channels: {email: sometimes}", "", "", "channels.email must be allow or deny"},
		{"channels: {prefer: []}", "", "", "channels.prefer must be channels in the order"},
		{"channels: {prefer: [email, sms]}", "", "", "channels.prefer must be channels in the order"},
		{"channels: {prefer: [email, push, email]}", "", "", "channels.prefer must be channels in the order"},
		{"channels: {systems: {IGFMAS: {email: no}}}", "", "", "channels.systems.IGFMAS.email must be allow or deny"},
		{"channels: {sms: allow}", "", "", "field sms not found"},
	} {
		got, err := configured(t, c.channels)
		if c.wrong != "" {
			if !errors.Is(err, gateway.ErrConfig) || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%s: %v; want %s", c.channels, err, c.wrong)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", c.channels, err)
		}
		if a, b := strings.Join(gateway.ChannelsOf(&got.Channels, "IGFMAS"), " "), strings.Join(gateway.ChannelsOf(&got.Channels, "X"), " "); a != c.igfmas || b != c.everyone {
			t.Errorf("%s: %q for IGFMAS and %q for others; want %q and %q", c.channels, a, b, c.igfmas, c.everyone)
		}
	}
}

// An agency that denies e-mail: nobody is sent a code, and everybody is told why.
func TestChannelDenied(t *testing.T) {
	g := gatewaytest.New(t)
	system := g.Dev.System
	medium := func() map[string]any {
		r := g.Do("GET", "/v1/officers/"+g.Dev.Officers[0].IC+"/medium", "", nil, "Accept-Language", "en")
		want(t, r, 200, "")
		return r.Body
	}
	ask := func(channel, language string) *gatewaytest.Reply {
		b := raw("satu")
		b["ic"], b["system"], b["channel"] = g.Dev.Officers[0].IC, system, channel
		return g.Do("POST", "/v1/transactions", "", b, "Accept-Language", language)
	}
	refused := func(channel, language, detail string) {
		t.Helper()
		r := ask(channel, language)
		want(t, r, 409, "channel_unavailable")
		if r.Text("detail") != detail || r.Text("field") != "channel" {
			t.Errorf("channel %s in %s: %s", channel, language, r.Raw)
		}
	}
	if m := medium(); m["can_sign"] != true || !reflect.DeepEqual(m["media"].([]any)[0].(map[string]any)["channels"], []any{"email"}) {
		t.Errorf("medium: %v", m)
	}
	refused("push", "en", "The officer has nothing registered for push. Available: email.")
	refused("push", "ms", "Pegawai tidak mendaftarkan apa-apa bagi push. Yang tersedia: email.")
	tx, _ := g.Ask(raw("satu"))
	want(t, tx, 201, "")

	g.Stop()
	path := filepath.Join(g.Dir, gateway.ConfigFile)
	c, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	denied := strings.Replace(string(c), "\n  systems: {}\n", "\n  systems: {"+system+": {email: deny}}\n", 1)
	if denied == string(c) {
		t.Fatal("the configuration has no systems")
	}
	if err := os.WriteFile(path, []byte(denied), 0o600); err != nil {
		t.Fatal(err)
	}
	g.Start()
	mark := g.Server.Mailbox.Mark()
	refused("email", "en", "The agency's policy does not allow codes by e-mail for this system. Ask the agency administrator.")
	refused("email", "ms", "Polisi agensi tidak membenarkan kod melalui e-mel bagi sistem ini. Hubungi pentadbir agensi.")
	refused("auto", "en", "Of the channels that the agency's policy allows for this system, none reaches the officer. Ask the agency administrator.")
	refused("auto", "ms", "Tiada saluran yang dibenarkan oleh polisi agensi bagi sistem ini sampai kepada pegawai. Hubungi pentadbir agensi.")
	g.Clock.Advance(10 * time.Second)
	want(t, g.Do("POST", "/v1/transactions/"+tx.Text("transaction_id")+"/otp", "", nil), 409, "channel_unavailable")
	if g.Server.Mailbox.Mark() != mark {
		t.Error("a code was mailed")
	}
	if m := medium(); m["can_sign"] != false || m["status"] != "ISSUED" || !strings.Contains(m["next_step"].(string), "administrator") ||
		!reflect.DeepEqual(m["media"].([]any)[0].(map[string]any)["channels"], []any{}) {
		t.Errorf("medium: %v", m)
	}
}

// A screen that was refreshed knows the transaction's id and its app's key, no
// more, and goes on with the code that is in the officer's mail.
func TestRefreshedScreenResumes(t *testing.T) {
	g := gatewaytest.New(t)
	tx, code := g.Ask(raw("satu", "dua"))
	path := "/v1/transactions/" + tx.Text("transaction_id")
	refresh := func() *gatewaytest.Reply {
		t.Helper()
		r := g.Do("GET", path, "", nil)
		want(t, r, 200, "")
		return r
	}
	same := refresh()
	if !reflect.DeepEqual(same.Body, tx.Body) {
		t.Errorf("the refreshed screen shows\n%s\nthe first showed\n%s", same.Raw, tx.Raw)
	}
	o, _ := same.Body["otp"].(map[string]any)
	for _, member := range []string{"nonce", "fingerprint", "root", "expires_at"} {
		if same.Text(member) == "" {
			t.Errorf("no %s: %s", member, same.Raw)
		}
	}
	for _, member := range []string{"channel", "sent_to", "expires_at", "resend_after"} {
		if s, _ := o[member].(string); s == "" || strings.Contains(s, g.Dev.Officers[0].Email) {
			t.Errorf("%s is %q", member, s)
		}
	}
	if same.Body["count"] != 2.0 || len(same.Body["documents"].([]any)) != 2 || o["attempts_left"] != 3.0 || strings.Contains(string(same.Raw), code) {
		t.Errorf("refreshed: %s", same.Raw)
	}
	mark := g.Server.Mailbox.Mark()
	want(t, g.Confirm(same, otherCode(code), nil), 403, "otp_wrong")
	if left := refresh().Body["otp"].(map[string]any)["attempts_left"]; left != 2.0 {
		t.Errorf("after a wrong code %v tries are left", left)
	}
	if g.Server.Mailbox.Mark() != mark {
		t.Error("refreshing sent another code")
	}
	_, _, key, err := g.Server.Apps.Register(t.Context(), "test", otherApp())
	if err != nil {
		t.Fatal(err)
	}
	want(t, g.Do("GET", path, "", nil, "X-API-Key", string(key.Reveal())), 404, "not_found")

	// Another window asks for a new code: the first goes on with it after a refresh.
	g.Clock.Advance(6 * time.Second)
	want(t, g.Do("POST", path+"/otp", "", nil), 200, "")
	fresh := g.Code(g.Dev.Officers[0].Email, mark)
	want(t, g.Confirm(same, fresh, nil), 403, "nonce_mismatch")
	again := refresh()
	if again.Text("nonce") == same.Text("nonce") || again.Body["otp"].(map[string]any)["attempts_left"] != 3.0 {
		t.Errorf("after a new code: %s", again.Raw)
	}
	want(t, g.Confirm(again, fresh, map[string]any{"root": again.Text("root")}), 200, "")
	if done := refresh(); done.Text("nonce") != "" || done.Body["otp"] != nil || done.Body["documents"] != nil || done.Text("status") != "SIGNED" {
		t.Errorf("once signed: %s", done.Raw)
	}

	// The gateway forgets the code in a restart; the screen goes on with a new one.
	tx, code = g.Ask(raw("tiga"))
	path = "/v1/transactions/" + tx.Text("transaction_id")
	g.Stop()
	g.Start()
	want(t, g.Confirm(refresh(), code, nil), 410, "otp_expired")
	g.Clock.Advance(6 * time.Second)
	mark = g.Server.Mailbox.Mark()
	want(t, g.Do("POST", path+"/otp", "", nil), 200, "")
	code = g.Code(g.Dev.Officers[0].Email, mark)
	want(t, g.Confirm(refresh(), code, nil), 200, "")
}

// What strangers can ask. Some routes take an identity card number: the first steps of a log-in and
// of a forgotten password, how far an officer or a candidate is, and the pages that ask these. That
// they tell nothing of people who are known is shown by TestLogInTellsNothing, TestForgottenPassword,
// TestStatusTellsAStrangerNothing, TestPublicCandidate and, of the pages, TestStrangersAnswersAreAlike.
// Whoever adds another shows the same.
func TestRoutesWithoutAnApp(t *testing.T) {
	g := gatewaytest.New(t)
	strangers := []string{"GET /", "GET /assets/*", "GET /ca/chain.pem", "GET /ca/{name}", "GET /candidate", "GET /crl/{name}", "GET /dev/administrators", "GET /dev/mailbox", "GET /dev/mailbox.json", "GET /docs",
		"GET /e/{token}", "GET /healthz", "GET /help", "GET /help/manual", "GET /help/manual/admin", "GET /help/privacy", "GET /help/trust", "GET /join", "GET /login", "GET /login/code",
		"GET /login/forgotten", "GET /login/forgotten/reset", "GET /ocsp/*", "GET /openapi-3.0.json", "GET /openapi-3.0.yaml", "GET /openapi.json", "GET /openapi.yaml", "GET /r/{token}", "GET /readyz",
		"GET /s/{id}", "GET /scan", "GET /setup", "GET /setup/done", "GET /sign/{token}", "GET /sign/{token}/documents/{index}", "GET /sign/{token}/logo", "GET /sign/{token}/progress", "GET /status", "GET /verify", "POST /candidate",
		"POST /e/{token}", "POST /join", "POST /login", "POST /login/code", "POST /login/forgotten", "POST /login/forgotten/reset", "POST /login/passkey", "POST /login/passkey/begin", "POST /logout",
		"POST /oauth2/token", "POST /ocsp", "POST /r/{token}", "POST /s/{id}", "POST /s/{id}/content", "POST /setup", "POST /setup/complete", "POST /sign/{token}", "POST /sign/{token}/cancel", "POST /sign/{token}/code", "POST /sign/{token}/confirm",
		"POST /status", "POST /tsa", "POST /v1/account", "POST /v1/password/forgotten", "POST /v1/password/{id}/reset", "POST /v1/public/candidate", "POST /v1/public/certificates/{id}/content", "POST /v1/public/status", "POST /v1/public/verify",
		"POST /v1/sessions", "POST /v1/sessions/webauthn", "POST /v1/sessions/{id}/code", "POST /v1/sessions/{id}/webauthn", "POST /v1/setup", "POST /v1/setup/complete", "POST /verify"}
	routes, ok := g.Server.Handler().(chi.Routes)
	if !ok {
		t.Fatalf("the handler is %T", g.Server.Handler())
	}
	var found []string
	within := 0
	err := chi.Walk(routes, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if strings.HasPrefix(route, "/portal") || strings.HasPrefix(route, "/admin") { // pages: without a session they show the log-in, or that the form is not theirs
			g.Clock.Advance(time.Second) // strangers are bounded
			path := filled(route)
			q, err := http.NewRequestWithContext(t.Context(), method, g.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r, err := http.DefaultTransport.RoundTrip(q)
			if err != nil {
				t.Fatal(err)
			}
			if _ = r.Body.Close(); r.StatusCode != 403 && (r.StatusCode != 303 || !strings.HasPrefix(r.Header.Get("Location"), "/login")) {
				t.Errorf("%s %s: %d", method, route, r.StatusCode)
			}
			return nil
		}
		if !strings.HasPrefix(route, "/v1/") || strings.HasPrefix(route, "/v1/sessions") || strings.HasPrefix(route, "/v1/setup") || strings.HasPrefix(route, "/v1/account") || strings.HasPrefix(route, "/v1/password") || strings.HasPrefix(route, "/v1/public") {
			if strings.HasPrefix(route, "/assets/") {
				route = "/assets/*"
			}
			if method != http.MethodHead { // each is a GET, too
				found = append(found, method+" "+route)
			}
			return nil
		}
		// Everything else needs an app, or a session, before it looks at anything.
		within++
		path := strings.NewReplacer("{ic}", g.Dev.Officers[0].IC, "{id}", "x", "{serial}", "1").Replace(route)
		g.Clock.Advance(time.Second) // strangers are bounded
		r := g.Do(method, path, "", nil, "X-API-Key", "")
		if method == http.MethodHead && r.Status == 401 { // it has no body
			return nil
		}
		want(t, r, 401, "unauthenticated")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	found = slices.Compact(found) // the assets
	if !slices.Equal(found, strangers) || within < 15 {
		t.Errorf("routes without an app: %q; want %q; %d with one", found, strangers, within)
	}
}

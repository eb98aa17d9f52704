package gateway_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/gateway"
)

// Whoever asks how far somebody is learns nothing; who is known is mailed it, seldom.
func TestStatusTellsAStrangerNothing(t *testing.T) {
	m := newMinistry(t)
	_, code := m.confirmed(t)
	stranger := newBrowser(t, m.Gateway)
	const unknown = "820101145679"
	mails := func(to string) []string {
		var all []struct{ Subject, Text string }
		r := m.Do(http.MethodGet, "/dev/mailbox.json?to="+to, "", nil)
		if err := json.Unmarshal(r.Raw, &all); err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, x := range all {
			if strings.HasPrefix(x.Subject, "Status permohonan") {
				out = append(out, x.Text)
			}
		}
		return out
	}
	settled := func() { // the postman has nothing left to do
		t.Helper()
		if err := gateway.Deliver(t.Context(), m.Server); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(ic string) string {
		t.Helper()
		r := stranger.do(http.MethodPost, "/v1/public/status", map[string]string{"ic": ic})
		want(t, r, 202, "")
		return string(r.Raw)
	}
	settled()
	before := m.Server.Mailbox.Mark()
	if a, b := ask(newcomerIC), ask(unknown); a != b {
		t.Errorf("known: %s\nunknown: %s", a, b)
	}
	settled()
	if n := m.Server.Mailbox.Mark() - before; n != 1 {
		t.Fatalf("%d mails", n)
	}
	got := mails(newcomerMail)
	if len(got) != 1 || !strings.Contains(got[0], "Menunggu permohonan anda") || !strings.Contains(got[0], "Waits for your application") || !strings.Contains(got[0], "(SA atau AP) JANM") || strings.Contains(got[0], code) || strings.Contains(got[0], newcomerIC) || strings.Contains(got[0], "http") {
		t.Fatalf("%q", got)
	}
	// Again: the same words, and no mail before a quarter of an hour.
	for range 3 {
		if ask(newcomerIC) != ask(unknown) {
			t.Error("asked again, known and unknown answer otherwise")
		}
	}
	settled()
	if n := len(mails(newcomerMail)); n != 1 {
		t.Errorf("%d mails in a quarter of an hour", n)
	}
	m.Clock.Advance(15*time.Minute + time.Second)
	b := m.officer(t, code)
	want(t, b.do(http.MethodPost, "/v1/me/application", application(code)), 201, "")
	ask(newcomerIC)
	settled()
	if got := mails(newcomerMail); len(got) != 2 || !strings.Contains(got[0], "Menunggu agensi") {
		t.Errorf("%d: %q", len(got), got)
	}
	want(t, stranger.do(http.MethodPost, "/v1/public/status", map[string]string{"ic": "12"}), 400, "invalid_request")
	want(t, stranger.do(http.MethodPost, "/v1/public/status", map[string]string{"ic": newcomerIC, "email": newcomerMail}), 400, "invalid_request")

	limited := false
	for k := 0; k < 80 && !limited; k++ {
		limited = stranger.do(http.MethodPost, "/v1/public/status", map[string]string{"ic": unknown}).Status == 429
	}
	if !limited {
		t.Error("an address may ask for ever")
	}
	// Nobody behind it is kept from a log-in by that.
	want(t, stranger.do(http.MethodPost, "/v1/sessions", map[string]string{"ic": unknown, "password": officerPassword}), 202, "")
	// One event for each mail, none of who is nobody.
	made := events(t, m.Gateway, "officer.status")
	for _, e := range made {
		if e.object != "officer:"+newcomerIC || e.actor != "anonymous" {
			t.Errorf("%+v", e)
		}
	}
	if len(made) != 2 || strings.Contains(m.Log.String(), newcomerIC) {
		t.Errorf("%d events", len(made))
	}
}

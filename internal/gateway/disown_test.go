package gateway_test

import (
	"bytes"
	"html"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// leads finds the link of the newest mail: alone on a line of the text, and
// the only one of the HTML.
func leads(t *testing.T, g *gatewaytest.Gateway) (path string) {
	t.Helper()
	m, ok := g.Server.Mailbox.Latest(g.Dev.Officers[0].Email)
	if !ok {
		t.Fatal("no mail")
	}
	text := regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(g.URL)+`(/r/[A-Za-z0-9_-]{22})$`).FindAllStringSubmatch(m.Text, -1)
	hrefs := regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(m.HTML, -1)
	if len(text) != 1 || len(hrefs) != 1 || html.UnescapeString(hrefs[0][1]) != g.URL+text[0][1] {
		t.Fatalf("the text leads to %q, the HTML to %q", text, hrefs)
	}
	return text[0][1]
}

// visit is a browser on the gateway's own page.
func visit(g *gatewaytest.Gateway, method, path string) *gatewaytest.Reply {
	return g.Do(method, path, "", nil, "X-API-Key", "", "Sec-Fetch-Site", "same-origin", "Origin", "null")
}

// From the mail to the cancelled transaction, and when it is too late.
func TestThisWasNotMe(t *testing.T) {
	g := gatewaytest.New(t)
	tx, code := g.Ask(raw("Surat rahsia Ahmad"))
	path := leads(t, g)
	page := visit(g, "GET", path)
	if page.Status != 200 {
		t.Fatalf("%d %s", page.Status, page.Raw)
	}
	for _, want := range []string{"iGFMAS (kotak pasir)", tx.Text("fingerprint"), `<form class="act" method="post">`} {
		if !bytes.Contains(page.Raw, []byte(want)) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, no := range []string{"Surat", "rahsia", g.Dev.Officers[0].IC, "SITI", "siti", code, path[3:], tx.Text("nonce"), tx.Text("transaction_id")} {
		if bytes.Contains(page.Raw, []byte(no)) {
			t.Errorf("the page tells %q", no)
		}
	}
	if r := g.Do("POST", path, "", nil, "X-API-Key", "", "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"); r.Status != http.StatusForbidden {
		t.Errorf("another site: %d", r.Status)
	}
	if got := g.Do("GET", "/v1/transactions/"+tx.Text("transaction_id"), "", nil).Text("status"); got != "WAITING" {
		t.Fatalf("looking made it %s", got)
	}
	done := visit(g, "POST", path)
	if done.Status != 200 || !bytes.Contains(done.Raw, []byte("Tiada apa-apa ditandatangani")) || !bytes.Contains(done.Raw, []byte(done.Header.Get("X-Request-Id"))) {
		t.Fatalf("%d %s", done.Status, done.Raw)
	}
	if got := g.Do("GET", "/v1/transactions/"+tx.Text("transaction_id"), "", nil).Text("status"); got != "CANCELLED" {
		t.Errorf("it is %s", got)
	}
	want(t, g.Confirm(tx, code, nil), 409, "transaction_cancelled")
	again, unknown := visit(g, "POST", path), visit(g, "GET", "/r/AAECAwQFBgcICQoLDA0ODw")
	if again.Status != 404 || unknown.Status != 404 || !bytes.Equal(again.Raw, unknown.Raw) {
		t.Errorf("used %d, unknown %d: %s", again.Status, unknown.Status, again.Raw)
	}

	// Too late: the signature stands, the alarm is louder.
	tx, code = g.Ask(raw("satu"))
	want(t, g.Confirm(tx, code, nil), 200, "")
	late := leads(t, g)
	if done := visit(g, "POST", late); done.Status != 200 || !bytes.Contains(done.Raw, []byte("Terlewat: permintaan ini sudah disahkan")) {
		t.Errorf("%d %s", done.Status, done.Raw)
	}
	for verdict, n := range map[string]int{"accepted": 1, "refused": 1, "noted": 0} {
		got := 0
		for _, e := range events(t, g, "transaction.disown") {
			if e.actor == "officer:link" && e.verdict == verdict {
				got++
			}
		}
		if got != n {
			t.Errorf("%d alarms %s, want %d", got, verdict, n)
		}
	}
	log := g.Log.String()
	for _, line := range []string{`level=WARN msg="an officer says: this was not me; nothing was signed" request_id=` + done.Header.Get("X-Request-Id"), `level=ERROR msg="an officer says: this was not me, and PIN and code were accepted; revoke the certificate"`} {
		if strings.Count(log, line) != 1 {
			t.Errorf("not once in the log: %s", line)
		}
	}

	// Requests that no route takes do not log a live link either.
	tx, _ = g.Ask(raw("dua"))
	want(t, tx, 201, "")
	live := leads(t, g)
	want(t, g.Do("PUT", live, "", nil), 405, "method_not_allowed")
	want(t, g.Do("GET", live+"/x", "", nil), 404, "not_found")
	if r := visit(g, "GET", live); r.Status != 200 {
		t.Errorf("the live link: %d", r.Status)
	}
	g.Stop()
	for _, token := range []string{path[3:], late[3:], live[3:]} {
		if strings.Contains(g.Log.String(), token) {
			t.Error("a link's token is in the log")
		}
		holds := 0
		err := filepath.WalkDir(g.Dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if bytes.Contains(b, []byte(token)) {
				holds++
			}
			return err
		})
		if err != nil || holds != 0 {
			t.Errorf("%d files hold a link's token, %v", holds, err)
		}
	}
}

// Whoever tries tokens is slowed down like anybody without an app.
func TestTokensAreNotTriedFast(t *testing.T) {
	g := gatewaytest.New(t)
	for k := range 200 {
		switch r := visit(g, "POST", "/r/AAECAwQFBgcICQoLDA0ODw"); {
		case r.Status == http.StatusTooManyRequests && k >= 50:
			return
		case r.Status != 404:
			t.Fatalf("try %d: %d", k, r.Status)
		}
	}
	t.Error("200 tries at once were all answered")
}

package gateway_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// wayBack is where a page leads in the end, nil for nowhere.
func wayBack(t *testing.T, r *gatewaytest.Reply) url.Values {
	t.Helper()
	m := regexp.MustCompile(`<a class="button" href="([^"]*)"`).FindSubmatch(r.Raw)
	if m == nil {
		return nil
	}
	u, err := url.Parse(html.UnescapeString(string(m[1])))
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

// However a transaction ends, the page says so and leads back with the status.
func TestHostedSigningEnds(t *testing.T) {
	g := gatewaytest.New(t)
	key := hostedApp(t, g)
	begin := func() (*gatewaytest.Reply, string, *surfer, *gatewaytest.Reply) {
		t.Helper()
		ask := raw("satu")
		ask["redirect_uri"], ask["state"] = callback, "s 1"
		tx, code := asked(t, g, key, ask)
		s := newSurfer(t, g)
		return tx, code, s, s.enter(tx.Text("signing_url"))
	}
	leads := func(r *gatewaytest.Reply, tx *gatewaytest.Reply, status string) {
		t.Helper()
		if q := wayBack(t, r); q.Get("status") != status || q.Get("transaction_id") != tx.Text("transaction_id") || q.Get("state") != "s 1" {
			t.Errorf("back with %v, want %s", q, status)
		}
	}
	formFor := func(page *gatewaytest.Reply, address, deed string) url.Values {
		return formOf(page, ` action="`+strings.TrimPrefix(address, g.URL)+deed+`"`)
	}

	tx, code, s, page := begin()
	address := tx.Text("signing_url")
	if r := s.send("POST", address+"/cancel", formFor(page, address, "/cancel")); r.Status != http.StatusSeeOther {
		t.Fatalf("%d", r.Status)
	}
	end := s.send("GET", address, nil)
	got(t, end, 200, "DIBATALKAN")
	leads(end, tx, "CANCELLED")
	// What comes later changes nothing.
	if r := s.confirm(page, address, pin(g), code); r.Status != http.StatusSeeOther {
		t.Errorf("confirming what was cancelled: %d", r.Status)
	}
	got(t, s.send("GET", address, nil), 200, "DIBATALKAN")

	// The app cancels, and time runs out.
	tx, _, s, _ = begin()
	want(t, g.Do("DELETE", "/v1/transactions/"+tx.Text("transaction_id"), "", nil, "X-API-Key", key), 204, "")
	leads(s.send("GET", tx.Text("signing_url"), nil), tx, "CANCELLED")
	tx, code, s, page = begin()
	g.Clock.Advance(6 * time.Minute)
	got(t, s.confirm(page, tx.Text("signing_url"), pin(g), code), 410, "Kod OTP telah luput; minta kod baharu")
	g.Clock.Advance(25 * time.Minute)
	end = s.send("GET", tx.Text("signing_url"), nil)
	got(t, end, 200, "TAMAT TEMPOH")
	leads(end, tx, "EXPIRED")

	// Tries run out: another code, and the form of before is of no use.
	tx, code, s, page = begin()
	address = tx.Text("signing_url")
	first := page
	for left := 2; left >= 0; left-- {
		page = s.confirm(page, address, pin(g), other(code))
		got(t, page, 403, "Kod OTP salah", fmt.Sprintf("Baki cubaan: %d.", left))
	}
	got(t, s.confirm(page, address, pin(g), code), 403, "minta kod baharu", `href="#code"`, `id="code"`, "Kod itu tidak boleh digunakan lagi")
	got(t, s.send("POST", address+"/code", formFor(page, address, "/code")), 429, "Cuba lagi selepas")
	g.Clock.Advance(6 * time.Second)
	mark := g.Server.Mailbox.Mark()
	if r := s.send("POST", address+"/code", formFor(page, address, "/code")); r.Status != http.StatusSeeOther {
		t.Fatalf("%d %s", r.Status, r.Raw)
	}
	newer := g.Code(g.Dev.Officers[0].Email, mark)
	got(t, s.confirm(first, address, pin(g), newer), 403, "Kod telah diganti")
	if r := s.confirm(s.send("GET", address, nil), address, pin(g), newer); r.Status != http.StatusSeeOther {
		t.Errorf("the newer code: %d %.300s", r.Status, r.Raw)
	}
	leads(s.send("GET", address, nil), tx, "SIGNED")

	// The app's address was taken off the list meanwhile: no way there.
	tx, _, s, page = begin()
	address = tx.Text("signing_url")
	if _, err := opened(t, g).Exec("UPDATE apps SET redirect_uris = '[]' WHERE id = 'laman'"); err != nil {
		t.Fatal(err)
	}
	s.send("POST", address+"/cancel", formFor(page, address, "/cancel"))
	end = s.send("GET", address, nil)
	if wayBack(t, end) != nil || strings.Contains(string(end.Raw), "igfmas.example") {
		t.Errorf("a way back: %v", wayBack(t, end))
	}

	// The app was stopped meanwhile.
	tx, code = asked(t, g, key, raw("satu"))
	s = newSurfer(t, g)
	address = tx.Text("signing_url")
	page = s.enter(address)
	for _, state := range []string{"SUSPENDED", "ACTIVE"} {
		if _, err := opened(t, g).Exec("UPDATE apps SET state = ? WHERE id = 'laman'", state); err != nil {
			t.Fatal(err)
		}
		if state == "SUSPENDED" {
			got(t, s.confirm(page, address, pin(g), code), 403, "telah dihentikan")
			got(t, s.send("POST", address+"/code", formFor(page, address, "/code")), 403, "telah dihentikan")
		} else if r := s.confirm(page, address, pin(g), code); r.Status != http.StatusSeeOther { // it cost no try
			t.Errorf("control: %d %.300s", r.Status, r.Raw)
		}
	}

	// The PIN is locked in the end: nothing can be filled in, and the time is Malaysian.
	ask := raw("satu")
	tx, code = asked(t, g, key, ask)
	s = newSurfer(t, g)
	page = s.enter(tx.Text("signing_url"))
	for range 2 {
		page = s.confirm(page, tx.Text("signing_url"), "bukan-pin-ini", code)
	}
	tx, code = asked(t, g, key, raw("dua"))
	s = newSurfer(t, g)
	page = s.enter(tx.Text("signing_url"))
	for range 3 {
		page = s.confirm(page, tx.Text("signing_url"), "bukan-pin-ini", code)
	}
	got(t, page, 403, "PIN DIKUNCI", "MYT", "Baki cubaan: 0.")
	end = s.send("GET", tx.Text("signing_url"), nil)
	got(t, end, 200, "PIN DIKUNCI", "Anda boleh menutup halaman ini")
	if strings.Contains(string(end.Raw), `name="pin"`) {
		t.Error("a locked PIN is asked for")
	}
}

// A batch is listed fifty at a time, and the page goes on until all is signed.
func TestHostedSigningOfABatch(t *testing.T) {
	g := gatewaytest.New(t)
	key := hostedApp(t, g)
	b := g.Do("POST", "/v1/batches", "", map[string]any{"name": "Pukal", "kind": "digest"}, "X-API-Key", key)
	want(t, b, 201, "")
	var lines strings.Builder
	for k := range 120 {
		fmt.Fprintf(&lines, `{"name":"baucar-%03d","digest":{"alg":"SHA-256","value":"%s"}}`+"\n", k, base64.StdEncoding.EncodeToString(make([]byte, 32)))
	}
	path := "/v1/batches/" + b.Text("batch_id")
	want(t, g.Do("POST", path+"/items", "application/x-ndjson", []byte(lines.String()), "X-API-Key", key), 200, "")
	sealed := g.Do("POST", path+"/seal", "", map[string]any{}, "X-API-Key", key)
	want(t, sealed, 200, "")
	tx, code := asked(t, g, key, map[string]any{"format": "RAW", "batch_id": b.Text("batch_id"), "redirect_uri": callback})
	address := tx.Text("signing_url")
	s := newSurfer(t, g)
	page := s.enter(address)
	seen := map[string]bool{}
	for next, pages := page, 1; ; pages++ {
		for _, m := range regexp.MustCompile(`baucar-\d{3}`).FindAllString(string(next.Raw), -1) {
			seen[m] = true
		}
		more := regexp.MustCompile(`href="[^"]*(\?after=\d+)#dokumen"`).FindSubmatch(next.Raw)
		if more == nil {
			if pages != 3 || len(seen) != 120 {
				t.Errorf("%d pages list %d documents", pages, len(seen))
			}
			break
		}
		next = s.send("GET", address+string(more[1]), nil)
		got(t, next, 200, sealed.Text("fingerprint"), ">120<")
	}
	if r := s.confirm(page, address, pin(g), code); r.Status != http.StatusSeeOther {
		t.Fatalf("%d %.300s", r.Status, r.Raw)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		r := s.send("GET", address, nil)
		if strings.Contains(string(r.Raw), "TELAH DITANDATANGANI") {
			got(t, r, 200, "SIGNATURE INFORMATION")
			if q := wayBack(t, r); q.Get("status") != "SIGNED" || q.Has("state") {
				t.Errorf("back with %v", q)
			}
			return
		}
		got(t, r, 200, "SEDANG DITANDATANGANI", `<meta http-equiv="refresh" content="3">`, "<progress")
		if time.Now().After(deadline) {
			t.Fatal("it does not end")
		}
		g.Clock.Advance(time.Second)
	}
}

// PIN, code, and what opens a page are in no log, audit, file or answer.
func TestSigningPageLeavesNoTrace(t *testing.T) {
	g := gatewaytest.New(t)
	key := hostedApp(t, g)
	const canary = "K4n4ri-laman-99"
	ask := raw("satu")
	ask["redirect_uri"], ask["state"] = callback, "keadaan-K4n4ri"
	ask["ic"], ask["system"] = g.Dev.Officers[0].IC, g.Dev.System
	mark := g.Server.Mailbox.Mark()
	tx := g.Do("POST", "/v1/transactions", "", ask, "X-API-Key", key, "Idempotency-Key", "sekali")
	want(t, tx, 201, "")
	code := g.Code(g.Dev.Officers[0].Email, mark)
	address := tx.Text("signing_url")
	s := newSurfer(t, g)
	page := s.enter(address)
	base, _ := url.Parse(g.URL)
	session := s.c.Jar.Cookies(base)[0].Value
	replies := []*gatewaytest.Reply{page, s.confirm(page, address, canary, other(code)), newSurfer(t, g).confirm(page, address, canary, code),
		s.send("POST", address+"/confirm", url.Values{"pin": {canary}, "otp": {code}}), s.send("POST", address+"/elsewhere", url.Values{"pin": {canary}}), s.send("PUT", address, url.Values{"pin": {canary}}),
		s.confirm(page, address, strings.Repeat(canary, 40), code), s.confirm(page, address, canary, canary)}
	page = s.send("GET", address, nil)
	replies = append(replies, s.confirm(page, address, canary, code))
	page = s.send("GET", address, nil)
	replies = append(replies, s.confirm(page, address, pin(g), code), s.send("GET", address, nil))
	got(t, replies[len(replies)-1], 200, "TELAH DITANDATANGANI")
	for k, r := range replies {
		for header, values := range r.Header {
			if v := strings.Join(values, " "); strings.Contains(v, canary) || strings.Contains(v, session) {
				t.Errorf("answer %d tells it in %s", k, header)
			}
		}
		if strings.Contains(string(r.Raw), canary) || strings.Contains(string(r.Raw), session) || strings.Contains(string(r.Raw), `value="`+code) {
			t.Errorf("answer %d tells it", k)
		}
	}
	db := opened(t, g)
	var details string
	if err := db.QueryRow("SELECT group_concat(detail || object) FROM audit_events").Scan(&details); err != nil {
		t.Fatal(err)
	}
	g.Stop()
	log := g.Log.String()
	secrets := map[string]string{"PIN": canary, "token": strings.TrimPrefix(address, g.URL+"/sign/"), "session": session, "state": "keadaan-K4n4ri", "control": tx.Text("transaction_id")}
	found := map[string]int{}
	err := filepath.WalkDir(g.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for name, secret := range secrets {
			if bytes.Contains(b, []byte(secret)) {
				found[name]++
			}
		}
		return err
	})
	if err != nil || found["control"] == 0 {
		t.Fatalf("found %v, %v", found, err)
	}
	for name, secret := range secrets {
		if name != "control" && (found[name] != 0 || strings.Contains(log, secret) || strings.Contains(details, secret)) {
			t.Errorf("the %s is in %d files, in the log %v, in the audit %v", name, found[name], strings.Contains(log, secret), strings.Contains(details, secret))
		}
	}
	if hasWord([]byte(log), code) {
		t.Error("the code is in the log")
	}
}

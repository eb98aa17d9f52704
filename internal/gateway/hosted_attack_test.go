package gateway_test

import (
	"html"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/store/storetest"
)

// Only what was registered is an address to go back to: nothing is normalised, and nothing is
// near enough.
func TestRedirectURITable(t *testing.T) {
	g := gatewaytest.New(t)
	key := hostedApp(t, g, "https://igfmas.example/kembali", "https://igfmas.example:8443/Sah/terima")
	near := []string{
		"http://igfmas.example/kembali", "HTTPS://igfmas.example/kembali", "https:igfmas.example/kembali", "https:/igfmas.example/kembali", "//igfmas.example/kembali", "igfmas.example/kembali", "/kembali",
		"ftp://igfmas.example/kembali", "javascript://igfmas.example/kembali%0aalert(1)", "data:text/html,https://igfmas.example/kembali", "https://IGFMAS.example/kembali", "https://igfmas.example./kembali",
		"https://igfmas.example:443/kembali", "https://igfmas.example:/kembali", "https://igfmas.example:8443/kembali", "https://igfmas.example:80/kembali", "https://www.igfmas.example/kembali",
		"https://igfmas.example.evil.example/kembali", "https://evil.example/https://igfmas.example/kembali", "https://igfmas.examplf/kembali", "https://xigfmas.example/kembali",
		"https://igfmas.example@evil.example/kembali", "https://user@igfmas.example/kembali", "https://user:pass@igfmas.example/kembali", "https://evil.example#@igfmas.example/kembali", "https://evil.example?@igfmas.example/kembali",
		"https://igfmas.example/kembali/", "https://igfmas.example/Kembali", "https://igfmas.example//kembali", "https://igfmas.example/./kembali", "https://igfmas.example/x/../kembali", "https://igfmas.example/kembali/..",
		"https://igfmas.example/kembali/../evil", "https://igfmas.example/%6bembali", "https://igfmas.example/kembali%2f", "https://igfmas.example/kembali%00", "https://igfmas.example/kembali%20", "https://igfmas.example/kembali ",
		" https://igfmas.example/kembali", "https://igfmas.example/kembali\t", "https://igfmas.example/kembali\n", "https://igfmas.example/kembali\r\nLocation: https://evil.example", "https://igfmas.example/kembali\u200b",
		"https://igfmas.example/kembali?", "https://igfmas.example/kembali?x=1", "https://igfmas.example/kembali?modul=AP&x=1", "https://igfmas.example/kembali?modul=ap", "https://igfmas.example/kembali?modul=AP&", "https://igfmas.example/kembali?next=https://evil.example",
		"https://igfmas.example/kembali#", "https://igfmas.example/kembali#x", `https://igfmas.example\kembali`, `https:\\igfmas.example\kembali`, `https://evil.example\@igfmas.example/kembali`, `https://igfmas.example/kembali\..`,
		"https://igfmаs.example/kembali", "https://igfmas。example/kembali", "https://xn--igfms-e4d.example/kembali", "https://ｉgfmas.example/kembali", "https://igfmas.example/ｋembali", "https://igfmas.example/kemba\u0301li",
		"https://igfmas.example;/kembali", "https://igfmas.example,evil.example/kembali", "https://[::1]/kembali", "https://127.0.0.1/kembali", "https://igfmas.example/*", "https://*/kembali", "*", "https://igfmas.example:8443/sah/terima",
	}
	for _, uri := range near {
		ask := raw("satu")
		ask["ic"], ask["system"], ask["redirect_uri"] = g.Dev.Officers[0].IC, g.Dev.System, uri
		mark := g.Server.Mailbox.Mark()
		r := g.Do("POST", "/v1/transactions", "", ask, "X-API-Key", key)
		if r.Status != 400 || r.Code() != "invalid_request" || r.Text("field") != "redirect_uri" || g.Server.Mailbox.Mark() != mark {
			t.Errorf("%q: %d %s", uri, r.Status, r.Raw)
		}
	}
	if len(near) < 60 {
		t.Errorf("%d payloads", len(near))
	}
	for _, uri := range []string{"https://igfmas.example/kembali", "https://igfmas.example:8443/Sah/terima", callback} { // control
		ask := raw("satu")
		ask["redirect_uri"], ask["state"] = uri, strings.Repeat("ü", 500)
		if tx, _ := asked(t, g, key, ask); tx.Text("signing_url") == "" {
			t.Errorf("%s: %s", uri, tx.Raw)
		}
	}
	ask := raw("satu")
	ask["ic"], ask["system"] = g.Dev.Officers[0].IC, g.Dev.System
	for field, change := range map[string]map[string]any{"state": {"state": "tanpa alamat"}, "redirect_uri": {"redirect_uri": "https://igfmas.example/kembali"}} {
		body, k := map[string]any{}, key
		for _, m := range []map[string]any{ask, change} {
			for name, v := range m {
				body[name] = v
			}
		}
		if field == "redirect_uri" {
			k = string(g.Dev.APIKey.Reveal()) // another app's address
		}
		if r := g.Do("POST", "/v1/transactions", "", body, "X-API-Key", k); r.Status != 400 || r.Text("field") != field {
			t.Errorf("%s: %d %s", field, r.Status, r.Raw)
		}
	}
}

// still checks that a transaction waits with all its tries.
func still(t *testing.T, g *gatewaytest.Gateway, key string, tx *gatewaytest.Reply, what string) {
	t.Helper()
	r := g.Do("GET", "/v1/transactions/"+tx.Text("transaction_id"), "", nil, "X-API-Key", key)
	if otp, _ := r.Body["otp"].(map[string]any); r.Text("status") != "WAITING" || otp["attempts_left"] != 3.0 || r.Text("nonce") != tx.Text("nonce") {
		t.Errorf("%s: %s", what, r.Raw)
	}
}

// What another site, another browser or another transaction's page sends does nothing.
func TestSigningPageForgeries(t *testing.T) {
	g := gatewaytest.New(t)
	key := hostedApp(t, g)
	tx, code := asked(t, g, key, raw("satu"))
	address := tx.Text("signing_url")
	s := newSurfer(t, g)
	gate := s.send("GET", address, nil)
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, {"Sec-Fetch-Site", "same-site", "Origin", "http://evil.127.0.0.1"}, {"Sec-Fetch-Site", "", "Origin", "https://evil.example"}, {"Sec-Fetch-Site", "", "Origin", "null"}} {
		if r := s.send("POST", address, formOf(gate, ""), header...); r.Status != 403 || len(r.Header.Values("Set-Cookie")) != 0 {
			t.Errorf("opening from %v: %d", header, r.Status)
		}
	}
	if r := s.send("POST", address, url.Values{}); r.Status != 403 {
		t.Errorf("opening without the button: %d", r.Status)
	}
	page := s.enter(address)
	form := formOf(page, ` action="`+strings.TrimPrefix(address, g.URL)+`/confirm"`)
	form.Set("pin", pin(g))
	form.Set("otp", code)
	with := func(change ...string) url.Values {
		f := url.Values{}
		for k, v := range form {
			f[k] = v
		}
		for k := 0; k < len(change); k += 2 {
			f.Set(change[k], change[k+1])
		}
		return f
	}
	tx2, _ := asked(t, g, key, raw("dua"))
	page2 := s.enter(tx2.Text("signing_url")) // in the same browser
	form2 := formOf(page2, ` action="`+strings.TrimPrefix(tx2.Text("signing_url"), g.URL)+`/confirm"`)
	thief := newSurfer(t, g)
	tx3, _ := asked(t, g, key, raw("tiga"))
	thief.enter(tx3.Text("signing_url"))

	for name, c := range map[string]struct {
		from   *surfer
		method string
		form   url.Values
		header []string
		status int
	}{
		"another site":             {s, "POST", form, []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 403},
		"a sister site":            {s, "POST", form, []string{"Sec-Fetch-Site", "same-site", "Origin", "https://x.gov.my"}, 403},
		"an old browser":           {s, "POST", form, []string{"Sec-Fetch-Site", "", "Origin", "https://evil.example"}, 403},
		"no form token":            {s, "POST", with("form", ""), nil, 403},
		"an invented one":          {s, "POST", with("form", strings.Repeat("A", 43)), nil, 403},
		"that of another page":     {s, "POST", with("form", form2.Get("form")), nil, 403},
		"no cookie":                {newSurfer(t, g), "POST", form, nil, 403},
		"another browser's cookie": {thief, "POST", form, nil, 403},
		"GET":                      {s, "GET", nil, nil, 405},
		"HEAD":                     {s, "HEAD", nil, nil, 405},
		"PUT":                      {s, "PUT", form, nil, 405},
		"too long":                 {s, "POST", with("pin", strings.Repeat("9", 20<<10)), nil, 403},
	} {
		for _, deed := range []string{"/confirm", "/code", "/cancel"} {
			if r := c.from.send(c.method, address+deed, c.form, c.header...); r.Status != c.status {
				t.Errorf("%s, %s: %d, want %d: %.200s", name, deed, r.Status, c.status, r.Raw)
			}
		}
		still(t, g, key, tx, name)
	}
	for name, f := range map[string]url.Values{
		"the root of another transaction": with("root", form2.Get("root")), "no root": with("root", ""), "a root that is none": with("root", "AAAA"),
		"the nonce of another transaction": with("nonce", form2.Get("nonce")), "no nonce": with("nonce", ""),
	} {
		if r := s.send("POST", address+"/confirm", f); r.Status != 403 {
			t.Errorf("%s: %d %.200s", name, r.Status, r.Raw)
		}
		still(t, g, key, tx, name)
	}
	if r := s.send("POST", address+"/confirm", form); r.Status != http.StatusSeeOther {
		t.Errorf("control: %d %.300s", r.Status, r.Raw)
	}
}

// A page belongs to the browser that opened it, under a session that nobody else chose, and
// ends with its transaction.
func TestSigningPageIsForOneBrowser(t *testing.T) {
	g := gatewaytest.New(t)
	key := hostedApp(t, g)
	tx, _ := asked(t, g, key, raw("satu"))
	address := tx.Text("signing_url")
	base, _ := url.Parse(g.URL)

	// Two at once: one has it.
	var wg sync.WaitGroup
	surfers, gates, opened := make([]*surfer, 8), make([]*gatewaytest.Reply, 8), make([]*gatewaytest.Reply, 8)
	for k := range surfers {
		surfers[k] = newSurfer(t, g)
		gates[k] = surfers[k].send("GET", address, nil)
	}
	for k, gate := range gates {
		wg.Go(func() { opened[k] = surfers[k].send("POST", address, formOf(gate, "")) })
	}
	wg.Wait()
	var owner, loser *surfer
	for k, r := range opened {
		switch r.Status {
		case http.StatusSeeOther:
			if owner != nil {
				t.Error("two browsers have the page")
			}
			owner = surfers[k]
		case http.StatusConflict:
			got(t, r, 409, "HALAMAN INI TELAH DIBUKA DI PELAYAR LAIN")
			loser = surfers[k]
		default:
			t.Errorf("%d %.200s", r.Status, r.Raw)
		}
	}
	if owner == nil || loser == nil {
		t.Fatal("nobody has the page")
	}
	got(t, owner.send("GET", address, nil), 200, "Cap jari")
	got(t, owner.send("GET", address, nil), 200, "Cap jari") // it can be reloaded
	got(t, loser.send("GET", address, nil), 409, "PELAYAR LAIN")

	// What a browser was planted with counts for nothing.
	tx, _ = asked(t, g, key, raw("dua"))
	address = tx.Text("signing_url")
	cookies := owner.c.Jar.Cookies(base)
	if len(cookies) != 1 || len(cookies[0].Value) != 43 {
		t.Fatalf("cookies: %v", cookies)
	}
	victim, thief := newSurfer(t, g), newSurfer(t, g)
	gate := victim.send("GET", address, nil)
	r := victim.send("POST", address, formOf(gate, ""))
	set := r.Header.Get("Set-Cookie")
	name, rest, _ := strings.Cut(set, "=")
	value, flags, _ := strings.Cut(rest, ";")
	if flags != " Path=/; Max-Age=6000; HttpOnly; SameSite=Lax" {
		t.Errorf("flags: %q", flags)
	}
	// The same button pressed twice is the same browser; without what the page gave it is not.
	again := victim.send("POST", address, formOf(gate, ""))
	if again.Status != http.StatusSeeOther || again.Header.Get("Set-Cookie") != set {
		t.Errorf("the second press: %d", again.Status)
	}
	planted := "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	tx3, _ := asked(t, g, key, raw("tiga"))
	for _, v := range []*surfer{victim, thief} {
		v.c.Jar.SetCookies(base, []*http.Cookie{{Name: name, Value: planted, Path: "/"}})
	}
	for _, s := range []*surfer{victim, thief} {
		got(t, s.send("GET", address, nil), 409, "PELAYAR LAIN")
	}
	fresh := victim.enter(tx3.Text("signing_url"))
	got(t, fresh, 200, "Cap jari")
	for _, c := range victim.c.Jar.Cookies(base) {
		if c.Name != name && (c.Value == planted || c.Value == value) {
			t.Error("a session was used again")
		}
	}

	// Ended before anybody opened it: nothing to see.
	for _, end := range []func(path string){
		func(path string) { want(t, g.Do("DELETE", path, "", nil, "X-API-Key", key), 204, "") },
		func(string) { g.Clock.Advance(31 * time.Minute) },
	} {
		tx, _ := asked(t, g, key, raw("empat"))
		end("/v1/transactions/" + tx.Text("transaction_id"))
		for _, s := range []*surfer{owner, newSurfer(t, g)} {
			got(t, s.send("GET", tx.Text("signing_url"), nil), 404, "TIDAK BOLEH DIGUNAKAN")
			got(t, s.send("POST", tx.Text("signing_url"), url.Values{"seed": {"AAECAwQFBgcICQoLDA0ODw"}}), 404, "TIDAK BOLEH DIGUNAKAN")
		}
	}
	for _, path := range []string{"/sign/x", "/sign/AAECAwQFBgcICQoLDA0ODw", "/sign/" + strings.Repeat("A", 300)} {
		got(t, newSurfer(t, g).send("GET", path, nil), 404, "TIDAK BOLEH DIGUNAKAN")
	}
}

// ours are the scripts of pages: modules among the assets, without a word of their own.
var ours = regexp.MustCompile(`<script type="module" src="/assets/[a-z./]+-[A-Za-z0-9_-]{12}\.js"></script>`)

// Nothing may frame, cache, or be told of any of these answers.
func TestSigningPageHeaders(t *testing.T) {
	g := gatewaytest.New(t)
	key := hostedApp(t, g)
	tx, code := asked(t, g, key, raw("satu"))
	address := tx.Text("signing_url")
	s := newSurfer(t, g)
	gate := s.send("GET", address, nil)
	page := s.enter(address)
	replies := map[string]*gatewaytest.Reply{"gate": gate, "page": page, "wrong": s.confirm(page, address, pin(g), other(code)), "elsewhere": newSurfer(t, g).send("GET", address, nil),
		"unknown": s.send("GET", "/sign/AAECAwQFBgcICQoLDA0ODw", nil), "forged": s.send("POST", address+"/confirm", url.Values{}), "document": s.send("GET", address+"/documents/0", nil), "logo": s.send("GET", address+"/logo", nil)}
	for name, r := range replies {
		csp := r.Header.Get("Content-Security-Policy")
		for _, directive := range []string{"default-src 'none'", "frame-ancestors 'none'"} {
			if !strings.Contains(csp, directive) {
				t.Errorf("%s: policy %q", name, csp)
			}
		}
		// Scripts are files of this gateway's, or there are none.
		if strings.Contains(strings.ReplaceAll(csp, "script-src 'self';", ""), "script") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") {
			t.Errorf("%s: policy %q", name, csp)
		}
		for header, value := range map[string]string{"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Robots-Tag": "noindex, nofollow", "Cross-Origin-Opener-Policy": "same-origin"} {
			if r.Header.Get(header) != value {
				t.Errorf("%s: %s is %q", name, header, r.Header.Get(header))
			}
		}
		for _, no := range []string{"<script", "onclick", "onload", "style=", "javascript:"} {
			if strings.Contains(ours.ReplaceAllString(string(r.Raw), ""), no) {
				t.Errorf("%s holds %q", name, no)
			}
		}
	}
}

// What changed after it was shown is not signed, and not shown either.
func TestSigningPageHashSwap(t *testing.T) {
	g := gatewaytest.New(t)
	key := hostedApp(t, g)
	up := g.Do("POST", "/v1/documents?name=x.pdf", "application/pdf", storetest.PDF("Baucar 1"), "X-API-Key", key)
	swaps := map[string]func(tx *gatewaytest.Reply){
		"another digest in the row": func(tx *gatewaytest.Reply) {
			_, err := opened(t, g).Exec("UPDATE items SET digest = ? WHERE batch_id = (SELECT batch_id FROM transactions WHERE id = ?)", make([]byte, 32), tx.Text("transaction_id"))
			if err != nil {
				t.Fatal(err)
			}
		},
		"another root in the row": func(tx *gatewaytest.Reply) {
			_, err := opened(t, g).Exec("UPDATE transactions SET root = ? WHERE id = ?", make([]byte, 32), tx.Text("transaction_id"))
			if err != nil {
				t.Fatal(err)
			}
		},
		"other bytes in the file": func(*gatewaytest.Reply) {
			path := filepath.Join(g.Dir, "blobs", "document", up.Text("document_id"))
			if err := os.WriteFile(path, storetest.PDF("Baucar 2"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	}
	for _, name := range []string{"another digest in the row", "another root in the row", "other bytes in the file"} {
		tx, code := asked(t, g, key, map[string]any{"format": "PADES", "documents": []any{map[string]any{"document_id": up.Text("document_id")}}})
		address := tx.Text("signing_url")
		s := newSurfer(t, g)
		page := s.enter(address)
		swaps[name](tx)
		if name != "another root in the row" {
			got(t, s.send("GET", address+"/documents/0", nil), 403, "Dokumen tidak sama")
		}
		got(t, s.confirm(page, address, pin(g), code), 403, "Belum ditandatangani")
		status := g.Do("GET", "/v1/transactions/"+tx.Text("transaction_id"), "", nil, "X-API-Key", key)
		if status.Text("status") == "SIGNED" {
			t.Errorf("%s: signed", name)
		}
	}
}

// Of many submits at once one signs; the others are shown that it was.
func TestSigningPageParallelSubmits(t *testing.T) {
	g := gatewaytest.New(t)
	key := hostedApp(t, g)
	tx, code := asked(t, g, key, raw("satu"))
	address := tx.Text("signing_url")
	s := newSurfer(t, g)
	page := s.enter(address)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			// 409 for one whose form was overtaken while it was judged.
			if r := s.confirm(page, address, pin(g), code); r.Status != http.StatusSeeOther && r.Status != http.StatusConflict {
				t.Errorf("%d %.300s", r.Status, r.Raw)
			}
		})
	}
	wg.Wait()
	got(t, s.send("GET", address, nil), 200, "TELAH DITANDATANGANI")
	n := 0
	for _, e := range events(t, g, "signer.authorize") {
		if e.verdict == "accepted" {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d authorisations", n)
	}
}

// Whatever the page shows is text.
func TestSigningPageShowsText(t *testing.T) {
	g := gatewaytest.New(t)
	key := hostedApp(t, g)
	payloads := []string{
		`<script>alert(1)</script>`, `"><script>alert(1)</script>`, `'><img src=x onerror=alert(1)>`, `<img src=x onerror=alert(1)>`, `<svg/onload=alert(1)>`, `<svg><script>alert(1)</script></svg>`, `<body onload=alert(1)>`,
		`<iframe src=javascript:alert(1)>`, `<a href=javascript:alert(1)>x</a>`, `javascript:alert(1)`, `data:text/html,<script>alert(1)</script>`, `<math><mi xlink:href=javascript:alert(1)>`, `</title><script>alert(1)</script>`,
		`</textarea><script>alert(1)</script>`, `</style><script>alert(1)</script>`, `<style>*{background:url(//evil)}</style>`, `<link rel=stylesheet href=//evil>`, `<meta http-equiv=refresh content=0;url=//evil>`, `<base href=//evil>`,
		`<form action=//evil><input name=pin>`, `" autofocus onfocus=alert(1) x="`, `' onmouseover='alert(1)`, "`onerror=alert(1)", `{{.}}`, `{{define "x"}}`, `&lt;script&gt;alert(1)&lt;/script&gt;`, `&#60;script&#62;`, `%3Cscript%3E`,
		`<!--<script>`, `]]><script>`, `<scr<script>ipt>`, `<ScRiPt>alert(1)</sCrIpT>`, "\u202e<script>", `<details open ontoggle=alert(1)>`, `<object data=//evil>`, `<template><script>`,
	}
	described(t, g, payloads[0], "sijil")
	shown := 0
	for k, x := range payloads {
		ask := raw(x, x+"2")
		ask["data_header"], ask["role"], ask["redirect_uri"], ask["state"] = x, x, callback, x
		if len(x) > 64 {
			ask["role"] = x[:60]
		}
		ask["ic"], ask["system"] = g.Dev.Officers[0].IC, g.Dev.System
		if _, err := opened(t, g).Exec("UPDATE systems SET title = ?", x); err != nil {
			t.Fatal(err)
		}
		g.Clock.Advance(time.Second) // nobody is as fast as this test
		tx := g.Do("POST", "/v1/transactions", "", ask, "X-API-Key", key)
		if tx.Status != 201 && tx.Text("field") != "" {
			continue // refused at the door, as control characters are
		}
		want(t, tx, 201, "")
		shown++
		s := newSurfer(t, g)
		page := s.enter(tx.Text("signing_url"))
		cancelled := s.send("POST", tx.Text("signing_url")+"/cancel", formOf(page, ` action="`+strings.TrimPrefix(tx.Text("signing_url"), g.URL)+`/cancel"`))
		if cancelled.Status != http.StatusSeeOther {
			t.Fatalf("%d %s", cancelled.Status, cancelled.Raw)
		}
		for name, r := range map[string]*gatewaytest.Reply{"page": page, "end": s.send("GET", tx.Text("signing_url"), nil)} {
			if r.Status != 200 {
				t.Fatalf("%d %.300s", r.Status, r.Raw)
			}
			text := strings.ReplaceAll(ours.ReplaceAllString(string(r.Raw), ""), `<details class="more small">`, "")
			if strings.ContainsAny(x, `<>"'`) && strings.Contains(text, x) {
				t.Errorf("payload %d stands in the %s as it is", k, name)
			}
			for _, tag := range []string{"<script", "<img src=x", "<iframe", "<body onload", "<svg/onload", "<base", "<object", "<math", "<template", "<details", "<style", "<textarea", ` onfocus=alert(1) x=""`, "//evil>"} {
				if strings.Contains(strings.ToLower(text), tag) {
					t.Errorf("payload %d makes %q in the %s", k, tag, name)
				}
			}
			if !strings.Contains(html.UnescapeString(text), x) {
				t.Errorf("payload %d is not shown in the %s", k, name)
			}
		}
	}
	if shown < 30 {
		t.Errorf("%d payloads were shown", shown)
	}
}

//go:build !race

package journeys_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	_ "modernc.org/sqlite"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/internal/sandbox"
	"github.com/mohor-sign/mohor/store/storetest"
)

// planted is what was done with the payloads of one kind of field.
type planted struct {
	Accepted, Refused int
	Texts             []string `json:"texts"` // accepted ones, as they were given
}

// evil are the sixty payloads and a few that mark an element.
func evil() []string {
	return append(payloads(), `<i data-serang>x</i>`, `" data-serang="x`, `' data-serang='x`, ` data-serang `, `<a href="//evil.example" data-serang>Sahkan</a>`)
}

// planter puts payloads wherever the API takes a text that a page shows.
type planter struct {
	t       *testing.T
	g       *gatewaytest.Gateway
	o       sandbox.DevOfficer
	session string
	done    map[string]*planted
}

func (p *planter) did(field, text string, r *gatewaytest.Reply) bool {
	x := p.done[field]
	if x == nil {
		x = &planted{Texts: []string{}}
		p.done[field] = x
	}
	if r.Status >= 500 {
		p.t.Errorf("%s with %q: %d %s", field, text, r.Status, r.Raw)
	}
	if r.Status >= 300 {
		x.Refused++
		return false
	}
	x.Accepted++
	x.Texts = append(x.Texts, text)
	return true
}

// own asks as the officer's session.
func (p *planter) own(method, path, contentType string, body any) *gatewaytest.Reply {
	p.g.Clock.Advance(2e9)
	return p.g.Do(method, path, contentType, body, "X-API-Key", "", "Cookie", "mohor-session="+p.session, "Sec-Fetch-Site", "same-origin")
}

// login opens a session of a browser that calls itself agent, and gives its cookie.
func (p *planter) login(agent string) (string, *gatewaytest.Reply) {
	p.g.Clock.Advance(60e9)
	mark := p.g.Server.Mailbox.Mark()
	r := p.g.Do(http.MethodPost, "/v1/sessions", "", map[string]string{"ic": p.o.IC, "password": string(p.o.Password.Reveal())}, "X-API-Key", "")
	if r.Status != http.StatusAccepted {
		p.t.Fatalf("%s", r.Raw)
	}
	r = p.g.Do(http.MethodPost, "/v1/sessions/"+r.Text("session_id")+"/code", "", map[string]string{"code": p.g.Code(p.o.Email, mark), "token": "cookie"}, "X-API-Key", "", "User-Agent", agent)
	for _, c := range (&http.Response{Header: r.Header}).Cookies() {
		if c.Name == "mohor-session" {
			return c.Value, r
		}
	}
	return "", r
}

// sent says whether a header can be sent at all.
func sent(s string) bool { return !strings.ContainsAny(s, "\r\n\x00") }

// plant does it, and gives the signing pages to look at.
func (p *planter) plant() (pages []string) {
	g, all := p.g, evil()
	p.session, _ = p.login("Mozilla/5.0")
	var later []func() // signing pages do not live long
	for k, text := range all {
		if r := p.own(http.MethodPost, "/v1/documents?name="+url.QueryEscape(text+".pdf"), "application/pdf", storetest.PDF(fmt.Sprint(k))); p.did("document", text, r) && k < 4 {
			pages = append(pages, "/portal/sign/"+r.Text("document_id"))
		}
		p.did("batch", text, p.own(http.MethodPost, "/v1/batches", "", map[string]string{"name": text, "kind": "ecert"}))
		_, _, key, err := g.Server.Apps.Register(p.t.Context(), "test", enrol.App{ID: fmt.Sprintf("serang%d", k), Name: text, Systems: []string{g.Dev.System}, Grants: []string{enrol.GrantRAW, enrol.GrantSign}, PINEntry: enrol.PINHosted, RedirectURIs: []string{"https://igfmas.example/kembali"}, Rate: 1000})
		app := string(key.Reveal())
		if p.did("app", text, &gatewaytest.Reply{Status: map[bool]int{true: 201, false: 400}[err == nil]}); err != nil {
			app = string(g.Dev.APIKey.Reveal())
		}
		digest := map[string]string{"alg": "SHA-256", "value": "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="}
		ask := map[string]any{"ic": p.o.IC, "system": g.Dev.System, "format": "RAW", "documents": []any{map[string]any{"name": "Baucar", "digest": digest}}, "redirect_uri": "https://igfmas.example/kembali"}
		try := func(field string, change func(map[string]any)) (out *gatewaytest.Reply) {
			body := map[string]any{}
			for name, v := range ask {
				body[name] = v
			}
			change(body)
			g.Clock.Advance(15e9)
			r := g.Do(http.MethodPost, "/v1/transactions", "", body, "X-API-Key", app)
			p.did(field, text, r)
			return r
		}
		try("document of an app", func(b map[string]any) { b["documents"] = []any{map[string]any{"name": text, "digest": digest}} })
		try("data header", func(b map[string]any) { b["data_header"] = text })
		if k%8 == 0 { // one of the system's own, or nothing
			try("process", func(b map[string]any) { b["process"] = text })
			try("role", func(b map[string]any) { b["process"], b["role"] = "BAUCAR", text })
		}
		try("state", func(b map[string]any) { b["state"] = text })
		if k%6 == 0 || k >= len(all)-5 {
			later = append(later, func() {
				r := try("signing page", func(b map[string]any) {
					b["documents"], b["data_header"] = []any{map[string]any{"name": text, "digest": digest}}, text
				})
				if at := r.Text("signing_url"); at != "" {
					pages = append(pages, at)
				}
			})
		}
		if sent(text) && k%3 == 0 {
			_, r := p.login(text)
			p.did("user agent", text, r)
		}
	}
	for _, f := range later {
		f()
	}
	return pages
}

// Nothing that somebody can have stored is more than text in a page, in either language.
func TestJourneyStoredText(t *testing.T) {
	g := gatewaytest.New(t)
	p := &planter{t: t, g: g, o: g.Dev.Officers[0], done: map[string]*planted{}}
	pages := p.plant()
	texts := map[string][]string{}
	total, refused := 0, 0
	for field, x := range p.done {
		texts[field] = x.Texts
		total, refused = total+x.Accepted, refused+x.Refused
		t.Logf("%-20s %2d accepted, %2d refused", field, x.Accepted, x.Refused)
	}
	r := run(t, g, "attack", given{"part": "stored", "session": p.session, "pages": pages, "texts": texts}, nil)
	t.Logf("%d payloads, %d texts stored, %d refused; %v pages looked at, %v seen as text, %v active", len(evil()), total, refused, r["pages"], r["seen"], r["active"])
	if r["active"] != 0.0 || total < 200 {
		t.Errorf("%v are active of %d", r["active"], total)
	}
}

// changes are the events that changed something; refusals and what is only looked at are left out.
func changes(g *gatewaytest.Gateway) (out []string, err error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(g.Dir, "mohor.db")+"?mode=ro")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	rows, err := db.Query("SELECT action, verdict FROM audit_events ORDER BY seq")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var action, verdict string
		if err := rows.Scan(&action, &verdict); err != nil {
			return nil, err
		}
		out = append(out, action+" "+verdict)
	}
	return out, rows.Err()
}

// foreign is another site, which does what it can with a browser that is logged in here.
func foreign(g *gatewaytest.Gateway, forms []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		switch r.URL.Path {
		case "/frames":
			for k, path := range strings.Split(r.URL.Query().Get("paths"), ",") {
				_, _ = fmt.Fprintf(w, `<iframe name="f%d" src="%s%s"></iframe><object data="%s%s"></object>`, k, g.URL, path, g.URL, path)
			}
		case "/forms":
			k := 0
			for _, path := range forms {
				for _, kind := range []string{"application/x-www-form-urlencoded", "multipart/form-data", "text/plain"} {
					_, _ = fmt.Fprintf(w, `<iframe name="t%d"></iframe><form method="post" target="t%d" action="%s%s?_method=DELETE" enctype="%s"><input name="form" value="x"><input name="pin" value="1"><input name="_method" value="DELETE"><input name="id" value="x"><input name="sure" value="1"></form>`, k, k, g.URL, path, kind)
					k++
				}
			}
		default:
			_, _ = io.WriteString(w, "<!DOCTYPE html><title>x</title>")
		}
	})
}

// Another site can neither frame a page nor send a form in the name of who is logged in; and a walk
// over all links changes nothing.
func TestJourneyForeignSite(t *testing.T) {
	g := gatewaytest.New(t)
	forms := []string{"/logout", "/login", "/login/code", "/login/forgotten", "/join", "/status", "/verify", "/candidate", "/portal/again", "/portal/sign", "/portal/batches", "/portal/application", "/portal/application/withdraw",
		"/portal/certificate/pin", "/portal/certificate/revoke", "/portal/certificate/suspend", "/portal/certificate/remove", "/portal/certificate/renew", "/portal/profile/email", "/portal/profile/email/cancel", "/portal/profile/phone",
		"/portal/profile/password", "/portal/profile/passkeys", "/portal/profile/passkeys/drop", "/portal/profile/sessions/end", "/portal/profile/sessions/others", "/portal/profile/delete", "/portal/profile/delete/code", "/v1/transactions", "/v1/batches", "/v1/me/password"}
	site := httptest.NewServer(foreign(g, forms))
	defer site.Close()
	at := strings.Replace(site.URL, "127.0.0.1", "localhost", 1)
	signing := hosted(t, g, "serang")
	var before []string
	r := run(t, g, "attack", given{"part": "foreign", "evil": at, "forms": forms, "signing": signing}, acts{
		"before": func(json.RawMessage) (any, error) {
			var err error
			before, err = changes(g)
			return len(before), err
		},
		"same": func(json.RawMessage) (any, error) {
			after, err := changes(g)
			if err != nil {
				return nil, err
			}
			var added []string
			for _, e := range after[len(before):] {
				// What is only read is on record, too.
				if action, verdict, _ := strings.Cut(e, " "); verdict != "refused" && !strings.HasSuffix(action, ".read") && action != "officer.lookup" && action != "subject.export" {
					added = append(added, e)
				}
			}
			return added, nil
		},
	})
	t.Logf("%v requests of another site, %v frames, %v links followed", r["requests"], r["frames"], r["links"])
}

// found names the files below a folder that hold a text, in UTF-8 or UTF-16.
func found(dir string, texts map[string]string) (out []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for name, text := range texts {
			var wide []byte
			for _, u := range utf16.Encode([]rune(text)) {
				wide = append(wide, byte(u), byte(u>>8))
			}
			// The browser remembers what was typed as a user's name, as it was set to; whoever sits at it can have it forget that.
			if of := strings.TrimPrefix(path, dir); name == "IC" && (strings.HasPrefix(of, "/Default/Login Data") || strings.HasPrefix(of, "/Default/Web Data") || bytes.Contains(b, []byte("i\x00c\x00")) && strings.HasPrefix(of, "/Default/Sessions/")) {
				continue
			}
			if text != "" && (bytes.Contains(b, []byte(text)) || bytes.Contains(b, wide)) {
				at := max(bytes.Index(b, []byte(text)), bytes.Index(b, wide))
				out = append(out, fmt.Sprintf("%s in %s: %q", name, strings.TrimPrefix(path, dir), bytes.ReplaceAll(b[max(0, at-120):min(len(b), at+80)], []byte{0}, nil)))
			}
		}
		return nil
	})
	return out, err
}

// A browser that somebody uses after the officer shows nothing: not behind Back, not on its disk; and
// what is secret is in no address, no storage and no log.
func TestJourneyLeftBrowser(t *testing.T) {
	g := gatewaytest.New(t)
	o := g.Dev.Officers[0]
	profile, file := t.TempDir(), filepath.Join(t.TempDir(), "surat.pdf")
	if err := os.WriteFile(file, storetest.PDF("surat"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := run(t, g, "attack", given{"part": "left", "profile": profile, "file": file}, nil)
	code, _ := r["code"].(string)
	secrets := map[string]string{"PIN": string(o.PIN.Reveal()), "password": string(o.Password.Reveal())}
	if len(code) != 6 {
		t.Fatalf("no code was typed: %v", r)
	}
	for name, text := range secrets {
		if strings.Contains(g.Log.String(), text) {
			t.Errorf("the %s is in the log", name)
		}
	}
	texts := map[string]string{"PIN": secrets["PIN"], "password": secrets["password"], "IC": o.IC, "name": o.Name, "address": o.Email}
	hits, err := found(profile, texts)
	if err != nil || len(hits) > 0 {
		t.Errorf("%v: on the disk: %q", err, hits)
	}
	// The search finds what is there.
	if hits, err := found(profile, map[string]string{"address": "/portal/history"}); err != nil || len(hits) == 0 {
		t.Errorf("%v: nothing of the visit is on the disk", err)
	}
}

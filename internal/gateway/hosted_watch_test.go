package gateway_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/storetest"
)

// An app that opens its officers' pages itself, which could show them a copy, stands in the audit,
// the log and what the doctor says; an officer's browser does not.
func TestAppsThatOpenPagesAreSeen(t *testing.T) {
	g := gatewaytest.New(t)
	g.Stop()
	configure(t, g, "\n  trusted: []\n", "\n  trusted: [127.0.0.1/32]\n")
	g.Start()
	key := hostedApp(t, g)
	ask := raw("satu")
	ask["ic"], ask["system"] = g.Dev.Officers[0].IC, g.Dev.System
	opened := func(app, browser string) string {
		t.Helper()
		tx := g.Do("POST", "/v1/transactions", "", ask, "X-API-Key", key, "X-Forwarded-For", app)
		want(t, tx, 201, "")
		s := newSurfer(t, g)
		address := tx.Text("signing_url")
		if r := s.send("POST", address, formOf(s.send("GET", address, nil), ""), "X-Forwarded-For", browser); r.Status != http.StatusSeeOther {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
		g.Clock.Advance(time.Minute)
		return tx.Text("transaction_id")
	}
	doctor := func() (out string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		nothing := func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, "false") }
		gateway.Diagnose(ctx, gateway.DoctorOptions{Dir: g.Dir, Now: g.Clock.Now, Part: nothing, Report: func(f gateway.Finding) {
			if f.Area == "signing pages" {
				out += f.Level + " " + f.What + "\n"
			}
		}})
		return out
	}
	opened("198.51.100.7", "203.0.113.9")
	if out := doctor(); !strings.HasPrefix(out, "OK ") || strings.Contains(g.Log.String(), "the address of the app") {
		t.Errorf("of an officer's browser: %s", out)
	}
	tx := opened("198.51.100.7", "198.51.100.7")
	if out := doctor(); !strings.HasPrefix(out, "WARNING in 7 days 1 signing pages of the app laman ") {
		t.Errorf("of the app itself: %s", out)
	}
	if n := strings.Count(g.Log.String(), `level=WARN msg="a signing page was opened from the address of the app that asked for it"`); n != 1 || !strings.Contains(g.Log.String(), "transaction="+tx+" app=laman") {
		t.Errorf("%d times in the log", n)
	}
	for _, e := range events(t, g, "page.open") {
		if strings.Contains(e.detail, `"same_address_as":"transaction.create"`) != (e.object == tx) {
			t.Errorf("%+v", e)
		}
	}
	g.Clock.Advance(8 * 24 * time.Hour)
	if out := doctor(); !strings.HasPrefix(out, "OK ") {
		t.Errorf("later: %s", out)
	}
}

// Whatever a page does not take from a browser is in the audit, with its transaction; nothing of
// it costs a try.
func TestRefusedConfirmationsOfPagesAreAudited(t *testing.T) {
	g := gatewaytest.New(t)
	key := hostedApp(t, g)
	tx, code := asked(t, g, key, raw("satu"))
	address := tx.Text("signing_url")
	s := newSurfer(t, g)
	unopened := newSurfer(t, g).send("POST", address+"/confirm", url.Values{"form": {"x"}})
	got(t, unopened, 403)
	page := s.enter(address)
	form := func(change ...string) url.Values {
		f := formOf(page, ` action="`+strings.TrimPrefix(address, g.URL)+`/confirm"`)
		f.Set("pin", pin(g))
		f.Set("otp", code)
		for k := 0; k < len(change); k += 2 {
			f.Set(change[k], change[k+1])
		}
		return f
	}
	thief := newSurfer(t, g)
	own := thief.forged(address)
	for _, c := range []struct {
		what           string
		from           *surfer
		path           string
		form           url.Values
		status         int
		action, reason string
		header         []string
	}{
		{"no cookie", newSurfer(t, g), "/confirm", form(), 403, "page.form", "not a form of this page in this browser", nil},
		{"another site", s, "/confirm", form(), 403, "page.form", "not a form of this page in this browser", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}},
		{"a session of its own making", thief, "/confirm", form("form", own), 409, "signer.authorize", "the page was opened in another browser", nil},
		{"the same, for a code", thief, "/code", form("form", own), 409, "otp.resend", "the page was opened in another browser", nil},
		{"the same, to cancel", thief, "/cancel", form("form", own), 409, "transaction.cancel", "the page was opened in another browser", nil},
		{"no nonce", s, "/confirm", form("nonce", ""), 403, "signer.authorize", "nonce", nil},
		{"another nonce", s, "/confirm", form("nonce", strings.Repeat("A", 43)+"="), 403, "signer.authorize", "nonce", nil},
		{"no root", s, "/confirm", form("root", "AAAA"), 403, "signer.authorize", "documents", nil},
		{"sent before", s, "/confirm", form("tries", "2"), 409, "signer.authorize", "the form was sent before", nil},
	} {
		before := len(events(t, g, c.action))
		r := c.from.send("POST", address+c.path, c.form, append([]string{"X-Request-Id", "req-" + strings.ReplaceAll(c.what[:7], " ", "-")}, c.header...)...)
		if r.Status != c.status {
			t.Errorf("%s: %d %.200s", c.what, r.Status, r.Raw)
		}
		list := events(t, g, c.action)
		if len(list) != before+1 {
			t.Errorf("%s: %d events", c.what, len(list)-before)
			continue
		}
		if e := list[before]; e.verdict != "refused" || e.object != tx.Text("transaction_id") || !strings.Contains(e.detail, c.reason) || !strings.Contains(e.detail, `"agent":"Surfer/1"`) {
			t.Errorf("%s: %+v", c.what, e)
		}
		still(t, g, key, tx, c.what)
	}
	// Nobody's page: nothing is written.
	all := func() (n int) {
		for _, action := range []string{"page.form", "page.open", "signer.authorize", "otp.resend", "transaction.cancel"} {
			n += len(events(t, g, action))
		}
		return n
	}
	before, nowhere := all(), "/sign/AAECAwQFBgcICQoLDA0ODw"
	own = thief.forged(nowhere)
	for _, path := range []string{"", "/confirm", "/code", "/cancel"} {
		for _, proof := range []string{"x", own} {
			thief.send("POST", nowhere+path, form("form", proof, "seed", "AAECAwQFBgcICQoLDA0ODw"))
		}
	}
	if n := all() - before; n != 0 {
		t.Errorf("%d events about a page that is none", n)
	}
	if r := s.send("POST", address+"/confirm", form()); r.Status != http.StatusSeeOther {
		t.Errorf("control: %d %.300s", r.Status, r.Raw)
	}
}

// watched are blobs of which one is large, slow, and counts what is read of it.
type watched struct {
	signer.Blobs
	size   int64
	reads  atomic.Int64
	opened chan context.Context // of each request that begins to read
	wait   func(ctx context.Context)
	closed chan struct{}
}

func (w *watched) Open(ctx context.Context, _ string) (signer.Blob, error) {
	return &watchedBlob{w, ctx, sync.OnceFunc(func() { w.opened <- ctx; w.wait(ctx) })}, nil
}

type watchedBlob struct {
	w     *watched
	ctx   context.Context
	begin func()
}

func (b *watchedBlob) ReadAt(p []byte, _ int64) (int, error) {
	b.begin()
	b.w.reads.Add(1)
	return len(p), nil
}
func (b *watchedBlob) Size() int64 { return b.w.size }
func (b *watchedBlob) Close() error {
	b.w.closed <- struct{}{}
	return nil
}

// Whoever asks for documents as often as they can takes no more than some processors, and nothing
// once they have gone; nothing of that was shown.
func TestDocumentsAreHashedForWhoIsThere(t *testing.T) {
	g := gatewaytest.New(t)
	key := hostedApp(t, g)
	up := g.Do("POST", "/v1/documents?name=x.pdf", "application/pdf", storetest.PDF("Baucar 1"), "X-API-Key", key)
	tx, _ := asked(t, g, key, map[string]any{"format": "PADES", "documents": []any{map[string]any{"document_id": up.Text("document_id")}}})
	address := tx.Text("signing_url")
	s := newSurfer(t, g)
	s.enter(address)
	w := &watched{Blobs: g.Server.Signer.Blobs, size: 256 << 20, opened: make(chan context.Context, 100), closed: make(chan struct{}, 100), wait: func(ctx context.Context) { <-ctx.Done() }}
	g.Server.Signer.Blobs = w
	ctx, leave := context.WithCancel(t.Context())
	places := max(1, runtime.GOMAXPROCS(0)/2)
	var wg sync.WaitGroup
	for range places {
		wg.Go(func() {
			q, err := http.NewRequestWithContext(ctx, "GET", address+"/documents/0", nil)
			if err == nil {
				_, err = s.c.Do(q) //nolint:bodyclose // there is none
			}
			if err == nil {
				t.Error("an answer")
			}
		})
	}
	for range places {
		<-w.opened
	}
	busy := s.send("GET", address+"/documents/0", nil)
	got(t, busy, 503, "Gerbang terlalu sibuk")
	if busy.Header.Get("Retry-After") == "" || len(w.opened) != 0 {
		t.Errorf("%v, %d more are read", busy.Header, len(w.opened))
	}
	<-w.closed // its own
	leave()
	wg.Wait()
	for range places {
		<-w.closed
	}
	if n := w.reads.Load(); n != int64(places) {
		t.Errorf("%d reads for %d who had gone", n, places)
	}
	if n := len(events(t, g, "page.document")); n != 0 {
		t.Errorf("%d documents were shown", n)
	}
	g.Server.Signer.Blobs = w.Blobs
	got(t, s.send("GET", address+"/documents/0", nil), 200)
	if n := len(events(t, g, "page.document")); n != 1 {
		t.Errorf("%d documents were shown", n)
	}
}

// forged gives the browser a session that it made up for a page, and returns the form's proof
// that belongs to it.
func (s *surfer) forged(address string) string {
	s.t.Helper()
	token := []byte(address[len(address)-22:])
	base, err := url.Parse(s.base)
	if err != nil {
		s.t.Fatal(err)
	}
	const session = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	sum := sha256.Sum256(token)
	s.c.Jar.SetCookies(base, []*http.Cookie{{Name: "mohor-sign-" + base64.RawURLEncoding.EncodeToString(sum[:9]), Value: session, Path: "/"}})
	mac := hmac.New(sha256.New, []byte(session))
	mac.Write(append([]byte("mohor signing form v1\n"), token...))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

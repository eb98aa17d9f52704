package joining_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/joining"
	"github.com/mohor-sign/mohor/web/page"
)

const (
	goodToken = "AAECAwQFBgcICQoLDA0ODw"
	otherID   = "AAAAAAAAAAAAAAAAAAAAAA"
	hostName  = "sign.gov.my"
)

var noon = time.Date(2026, 4, 30, 4, 9, 54, 0, time.UTC)

func site(log *slog.Logger) *page.Site {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &page.Site{Title: "Jabatan Pembangunan Kemahiran", Log: log, Now: func() time.Time { return noon.Add(time.Hour) }}
}

// desk is joining.Disowner in memory.
type desk struct {
	asked      map[string]joining.Asked
	err        error
	log        *slog.Logger
	looks      []string
	disowned   []string
	requestIDs []string
}

func (d *desk) Asked(_ context.Context, token string) (joining.Asked, error) {
	d.looks = append(d.looks, token)
	a, ok := d.asked[token]
	if d.err == nil && !ok {
		return a, joining.ErrUnknown
	}
	return a, d.err
}

func (d *desk) Disown(_ context.Context, token, requestID string) (joining.Asked, error) {
	a, ok := d.asked[token]
	if d.err != nil || !ok {
		return a, errors.Join(d.err, joining.ErrUnknown)
	}
	d.disowned, d.requestIDs = append(d.disowned, token), append(d.requestIDs, requestID)
	delete(d.asked, token)
	if a.State == joining.AskedWaiting {
		a.State = joining.AskedEnded
	}
	return a, nil
}

func officer(state string) *desk {
	return &desk{asked: map[string]joining.Asked{goodToken: {System: "iGFMAS", Count: 7, Fingerprint: "7QK2-M9XD", SentAt: noon, State: state}}}
}

// ask sends a request as a browser on our own page does; header replaces.
func ask(d *desk, method, token string, header ...string) *httptest.ResponseRecorder {
	r := chi.NewRouter()
	joining.Routes(r, site(d.log), joining.Links{Disown: d})
	q := httptest.NewRequest(method, "/r/"+token, nil)
	q.Host = hostName
	for k := 0; k+1 < len(header); k += 2 {
		q.Header.Set(header[k], header[k+1])
	}
	w := httptest.NewRecorder()
	w.Header().Set("X-Request-Id", "req-77")
	r.ServeHTTP(w, q)
	return w
}

func holds(t *testing.T, page string, all ...string) {
	t.Helper()
	for _, want := range all {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

// Looking changes nothing; the button acts once.
func TestOnlyTheButtonDisowns(t *testing.T) {
	d := officer(joining.AskedWaiting)
	for range 3 {
		w := ask(d, "GET", goodToken, "Sec-Fetch-Site", "cross-site") // from a web mail
		if w.Code != 200 {
			t.Fatalf("got %d %s", w.Code, w.Body)
		}
		holds(t, w.Body.String(), "iGFMAS", "7QK2-M9XD", "30 April 2026, 12:09:54 MYT", `<form class="act" method="post">`, "Bukan saya: batalkan dan laporkan")
		if ask(d, "HEAD", goodToken).Code != 200 {
			t.Error("HEAD refused")
		}
	}
	if len(d.disowned) != 0 {
		t.Fatal("looking disowned")
	}
	w := ask(d, "POST", goodToken, "Sec-Fetch-Site", "same-origin", "Origin", "null") // Referrer-Policy: no-referrer makes it null
	if w.Code != 200 || len(d.disowned) != 1 || d.requestIDs[0] != "req-77" {
		t.Fatalf("got %d, %v: %s", w.Code, d, w.Body)
	}
	holds(t, w.Body.String(), "Tiada apa-apa ditandatangani", "7QK2-M9XD", "req-77")
	if strings.Contains(w.Body.String(), "<form") {
		t.Error("the button is there again")
	}
	for _, method := range []string{"POST", "GET"} { // pressed twice, or reloaded
		if w := ask(d, method, goodToken, "Sec-Fetch-Site", "same-origin"); w.Code != 404 {
			t.Errorf("%s again: %d", method, w.Code)
		}
	}
	if len(d.disowned) != 1 {
		t.Error("disowned twice")
	}
}

func TestTooLateSaysWhatToDo(t *testing.T) {
	d := officer(joining.AskedConfirmed)
	holds(t, ask(d, "GET", goodToken).Body.String(), "sudah disahkan dengan PIN dan kod", "Bukan saya: laporkan")
	page := ask(d, "POST", goodToken).Body.String()
	holds(t, page, "Terlewat", "sijil digital anda dibatalkan", "Tukar kata laluan e-mel", "req-77", "7QK2-M9XD")
	if strings.Contains(page, "Tiada apa-apa ditandatangani") {
		t.Error("the page says that nothing was signed")
	}
	d = officer(joining.AskedEnded)
	holds(t, ask(d, "GET", goodToken).Body.String(), "Bukan saya: laporkan")
	holds(t, ask(d, "POST", goodToken).Body.String(), "Tiada apa-apa ditandatangani")
}

func TestNoOtherSiteDisowns(t *testing.T) {
	for name, header := range map[string][]string{
		"cross-site":  {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"},
		"same site":   {"Sec-Fetch-Site", "same-site", "Origin", "https://other.gov.my"},
		"old browser": {"Origin", "https://evil.example"},
		"null origin": {"Origin", "null"},
	} {
		d := officer(joining.AskedWaiting)
		known := ask(d, "POST", goodToken, header...)
		if known.Code != 403 || len(d.disowned) != 0 {
			t.Errorf("%s: %d, disowned %v", name, known.Code, d.disowned)
		}
		if unknown := ask(d, "POST", otherID, header...); unknown.Code != 403 || unknown.Body.String() != known.Body.String() {
			t.Errorf("%s: known and unknown answer differently", name)
		}
	}
	for _, header := range [][]string{{"Sec-Fetch-Site", "same-origin"}, {"Origin", "http://" + hostName}, nil} {
		d := officer(joining.AskedWaiting)
		if w := ask(d, "POST", goodToken, header...); w.Code != 200 || len(d.disowned) != 1 {
			t.Errorf("%v: %d", header, w.Code)
		}
	}
	d := officer(joining.AskedWaiting)
	for _, method := range []string{"PUT", "DELETE", "PATCH"} {
		if w := ask(d, method, goodToken); w.Code != 405 {
			t.Errorf("%s: %d", method, w.Code)
		}
	}
	if len(d.disowned) != 0 {
		t.Error("another method disowned")
	}
}

// Unknown, used and malformed tokens get the same bytes, and are looked up alike.
func TestDeadLinksAnswerAlike(t *testing.T) {
	d := officer(joining.AskedWaiting)
	first := ask(d, "GET", otherID)
	if first.Code != 404 || strings.Contains(first.Body.String(), otherID) {
		t.Fatalf("got %d %s", first.Code, first.Body)
	}
	ask(d, "POST", goodToken) // used from now on
	n := len(d.looks)
	tokens := []string{goodToken, "x", "AAECAwQFBgcICQoLDA0ODx", "%3Cscript%3Ealert(1)%3C", "..%2f..%2fetc", strings.Repeat("A", 5000), "%00", "%0d%0aX:%20y"}
	for _, token := range tokens {
		for _, method := range []string{"GET", "POST"} {
			w := ask(d, method, token)
			if w.Code != first.Code || w.Body.String() != first.Body.String() || w.Header().Get("Content-Type") != first.Header().Get("Content-Type") || w.Header().Get("Set-Cookie") != "" {
				t.Errorf("%s %.20q answers otherwise: %d", method, token, w.Code)
			}
		}
	}
	if len(d.looks)-n != len(tokens) {
		t.Errorf("%d of %d tokens were looked up", len(d.looks)-n, len(tokens))
	}
}

func TestDisownAnswersAreHardened(t *testing.T) {
	var log bytes.Buffer
	for name, make := range map[string]func() *httptest.ResponseRecorder{
		"form": func() *httptest.ResponseRecorder { d := officer(joining.AskedWaiting); return ask(d, "GET", goodToken) },
		"done": func() *httptest.ResponseRecorder {
			d := officer(joining.AskedWaiting)
			return ask(d, "POST", goodToken)
		},
		"too late": func() *httptest.ResponseRecorder {
			d := officer(joining.AskedConfirmed)
			return ask(d, "POST", goodToken)
		},
		"unknown": func() *httptest.ResponseRecorder { d := officer(joining.AskedWaiting); return ask(d, "GET", otherID) },
		"forbidden": func() *httptest.ResponseRecorder {
			d := officer(joining.AskedWaiting)
			return ask(d, "POST", goodToken, "Sec-Fetch-Site", "cross-site")
		},
		"failing": func() *httptest.ResponseRecorder {
			d := officer(joining.AskedWaiting)
			d.err, d.log = errors.New("database is away: rahsia"), slog.New(slog.NewTextHandler(&log, nil))
			w := ask(d, "GET", goodToken)
			if w.Code != 503 || w.Header().Get("Retry-After") == "" {
				t.Errorf("failing: %d", w.Code)
			}
			return w
		},
	} {
		w := make()
		for header, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
			"X-Content-Type-Options":  "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Robots-Tag": "noindex, nofollow",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Content-Type": "text/html; charset=utf-8",
		} {
			if got := w.Header().Get(header); got != want {
				t.Errorf("%s: %s is %q", name, header, got)
			}
		}
		page := w.Body.String()
		for _, bad := range []string{"<script>", "<style", " style=", " onclick", "javascript:", "https://", "<iframe", goodToken, "rahsia", "SITI", "<input"} {
			if strings.Contains(page, bad) {
				t.Errorf("%s: the page holds %q", name, bad)
			}
		}
		holds(t, page, `<html lang="ms">`, "Ini bukan saya – ", "<h1>", `<main id="isi"`, `href="?lang=en"`)
	}
	if strings.Contains(log.String(), goodToken) || !strings.Contains(log.String(), "req-77") {
		t.Errorf("log: %s", &log)
	}
}

func TestDisownPageEscapes(t *testing.T) {
	d := officer(joining.AskedWaiting)
	bad := `"><script>alert(1)</script>`
	d.asked[goodToken] = joining.Asked{System: bad, Fingerprint: bad, State: joining.AskedWaiting}
	for _, method := range []string{"GET", "POST"} {
		page := ask(d, method, goodToken).Body.String()
		if strings.Contains(page, "<script>alert") || !regexp.MustCompile(`&lt;script`).MatchString(page) {
			t.Errorf("%s: %s", method, page)
		}
	}
}

// The other language says the same of each state, and where to change back tells no token.
func TestDisownSpeaksEnglish(t *testing.T) {
	for state, words := range map[string][2]string{joining.AskedWaiting: {"Not me: cancel and report", "Nothing was signed"}, joining.AskedEnded: {"Not me: report", "Nothing was signed"},
		joining.AskedConfirmed: {"already confirmed with PIN and code", "have your certificate revoked"}} {
		d := officer(state)
		for k, method := range []string{"GET", "POST"} {
			page := ask(d, method, goodToken, "Cookie", "mohor-lang=en").Body.String()
			holds(t, page, `<html lang="en">`, words[k], `href="?lang=ms"`)
			if strings.Contains(page, goodToken) || strings.Contains(page, "Bukan saya") {
				t.Errorf("%s %s: %s", state, method, page)
			}
		}
	}
}

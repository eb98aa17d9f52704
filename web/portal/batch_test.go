package portal_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/page"
	"github.com/mohor-sign/mohor/web/portal"
)

// said answers like the API, by method and path without its query; other requests are not found.
type said map[string]any

func (s said) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v, ok := s[r.Method+" "+r.URL.Path]
	if !ok {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		v = map[string]any{"title": "TIADA", "code": "not_found"}
	}
	_ = json.NewEncoder(w).Encode(v) // into memory
}

func shop(t *testing.T, api http.Handler) http.Handler {
	t.Helper()
	r := chi.NewRouter()
	portal.Routes(r, &page.Site{API: api, Title: "Mohor", Log: slog.New(slog.DiscardHandler), Now: time.Now, Return: "http://mohor.test/portal/return", MaxUpload: 1 << 20}, nil)
	return r
}

func visit(h http.Handler, lang, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.AddCookie(&http.Cookie{Name: "mohor-session", Value: "x"})
	r.AddCookie(&http.Cookie{Name: "mohor-lang", Value: lang})
	for k := 0; k+1 < len(header); k += 2 {
		r.Header.Set(header[k], header[k+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// raw is a name of the catalogues where its words should be.
var raw = regexp.MustCompile(`\bbatch\.[a-z]+[.A-Za-z_-]*`)

// Every state of every kind of batch has a page in both languages, with words for all that is on it, and
// what a list or a name holds is text in it.
func TestBatchInEachState(t *testing.T) {
	const evil = `<script>x</script>`
	at := time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC)
	for _, kind := range []string{"ecert", "pdf", "digest"} {
		for _, status := range []string{"OPEN", "SEALED", "SIGNING", "PAUSED", "NEEDS_AUTHORISATION", "SIGNED", "SIGNED_WITH_REFUSALS", "CANCELLED", "EXPIRED"} {
			for n := range 2 {
				b := map[string]any{"batch_id": "ba_x", "name": evil, "kind": kind, "status": status, "count": 3 * n, "signed": n, "refused": n, "pending": n, "refused_rows": n, "fingerprint": "7K3M-Q0ZV",
					"rate": 0.5, "eta": time.Now().Add(3 * time.Hour), "started_at": at, "finished_at": at.Add(125 * time.Second), "created_at": at}
				h := shop(t, said{
					"GET /v1/me": map[string]any{"ic": "800101149999", "name": evil, "kind": "officer"}, "GET /v1/me/batches": map[string]any{"batches": []any{b}, "next": "z"}, "GET /v1/batches/ba_x": b,
					"GET /v1/batches/ba_x/refused": map[string]any{"refused": []any{map[string]any{"row": 2, "column": evil, "name": evil, "code": "row_ic_invalid", "detail": "sebab / a / b " + evil + " / reason / a / b " + evil}}},
					"GET /v1/batches/ba_x/items":   map[string]any{"items": []any{map[string]any{"index": 0, "name": evil, "state": []string{"refused", "claimed"}[n], "code": "no", "detail": evil}}, "next": 0},
					"GET /v1/me/certificate":       map[string]any{"can_sign": n == 1, "next_step": evil, "media": []any{map[string]any{"medium": "ROAMING_OTP", "status": "ACTIVE", "system": evil}, map[string]any{"medium": "ROAMING_OTP", "status": "ACTIVE", "system": "B"}}},
					"GET /v1/me/transactions":      map[string]any{"transactions": []any{map[string]any{"transaction_id": "tx", "status": "WAITING", "batch_id": "ba_x", "created_at": at}}},
				})
				for _, lang := range []string{"ms", "en"} {
					for _, path := range []string{"/portal/batches", "/portal/batches?after=z", "/portal/batches/ba_x", "/portal/batches/ba_x?cari=" + "%3Cscript%3Ex", "/portal/batches/ba_x/items", "/portal/batches/ba_x/progress?as=" + status, "/portal/batches/ba_x/progress?as="} {
						w := visit(h, lang, path)
						body := w.Body.String()
						if what := fmt.Sprint(kind, " ", status, " ", n, " ", lang, " ", path); w.Code != http.StatusOK {
							t.Errorf("%s: %d", what, w.Code)
						} else if m := raw.FindString(body); m != "" && m != "batch.js" || strings.Contains(body, "<script>x") {
							t.Errorf("%s: %q in %s", what, m, body)
						}
					}
				}
			}
		}
	}
	// What the API says in both languages at once is shown in one, strokes and all.
	h := shop(t, said{"GET /v1/me": map[string]any{"ic": "1", "name": "A"}, "GET /v1/batches/ba_x": map[string]any{"batch_id": "ba_x", "kind": "ecert", "status": "OPEN", "refused_rows": 1, "name": "N"},
		"GET /v1/batches/ba_x/refused": map[string]any{"refused": []any{map[string]any{"row": 2, "code": "row_x", "detail": "kelompok A / B ada / batch A / B has"}}}})
	for lang, text := range map[string]string{"ms": ">kelompok A / B ada<", "en": ">batch A / B has<"} {
		if body := visit(h, lang, "/portal/batches/ba_x").Body.String(); !strings.Contains(body, text) {
			t.Errorf("no %q in %s", text, body)
		}
	}
}

// A session that ends while a page follows the work leads to the log-in, and from there back to the page,
// not to a part of it.
func TestFollowingWithoutSession(t *testing.T) {
	h := shop(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"title":"x","code":"unauthenticated"}`)
	}))
	w := visit(h, "ms", "/portal/batches/ba_x/progress?as=SIGNING", "HX-Request", "true", "HX-Current-URL", "http://example.com/portal/batches/ba_x")
	if to := w.Header().Get("HX-Redirect"); to != "/login?next=%2Fportal%2Fbatches%2Fba_x" {
		t.Errorf("%d to %q", w.Code, to)
	}
	// The script that reads events follows nothing: they end with the one for which it loads the page anew.
	w = visit(h, "ms", "/portal/batches/ba_x/events?as=SIGNING", "HX-Request", "true")
	if kind := w.Header().Get("Content-Type"); w.Code != http.StatusOK || kind != "text/event-stream" || w.Body.String() != "event: done\ndata: \n\n" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d, %s: %q", w.Code, kind, w.Body)
	}
	if w := visit(h, "ms", "/portal/batches/ba_x/events?as=SIGNING"); w.Code != http.StatusSeeOther || !strings.HasPrefix(w.Header().Get("Location"), "/login") {
		t.Errorf("events as a page: %d to %q", w.Code, w.Header().Get("Location"))
	}
}

// Both examples of a list can be had, and nothing else under such a name.
func TestExampleLists(t *testing.T) {
	h := shop(t, said{"GET /v1/me": map[string]any{"ic": "1", "name": "A"}})
	for kind, begin := range map[string]string{"csv": "\ufeffnama,no_kp", "xlsx": "PK"} {
		w := visit(h, "ms", "/portal/batches/contoh."+kind)
		if !strings.HasPrefix(w.Body.String(), begin) || !strings.Contains(w.Header().Get("Content-Disposition"), "attachment") {
			t.Errorf("%s: %d %v %.80s", kind, w.Code, w.Header(), w.Body)
		}
	}
	if w := visit(h, "ms", "/portal/batches/contoh.exe"); w.Code != http.StatusNotFound {
		t.Errorf("exe: %d", w.Code)
	}
}

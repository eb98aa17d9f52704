package manual_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/manual"
	"github.com/mohor-sign/mohor/web/page"
)

// Each step and picture of the manual is there, in both languages.
func TestManualIsWhole(t *testing.T) {
	r := chi.NewRouter()
	page.AssetRoutes(r)
	manual.Routes(r, &page.Site{Title: "Mohor", Log: slog.New(slog.DiscardHandler), Now: time.Now})
	for path, least := range map[string]int{manual.Path: 10, manual.AdminPath: 0} { // pictures
		for _, lang := range []string{"ms", "en"} {
			q := httptest.NewRequest(http.MethodGet, path, nil)
			q.AddCookie(&http.Cookie{Name: "mohor-lang", Value: lang})
			w := httptest.NewRecorder()
			r.ServeHTTP(w, q)
			body, _ := io.ReadAll(w.Body)
			text := string(body)
			if w.Code != 200 || strings.Contains(text, ">manual.") || strings.Contains(text, `alt="manual.`) || strings.Count(text, "<figure>") < least || strings.Count(text, "<section id=") < 10 {
				t.Errorf("%s, %s: %d, %d pictures, %d chapters; words are missing: %v", path, lang, w.Code, strings.Count(text, "<figure>"), strings.Count(text, "<section id="), strings.Contains(text, ">manual."))
			}
		}
	}
}

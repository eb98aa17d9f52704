package web

import (
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"
)

// strays shows browsers a page where there is none, or one that only takes forms: reloaded, or in
// another language, after a form was refused. Whatever else asks gets the answer that r had for it
// before.
func (s *site) strays(r chi.Router) {
	mux, ok := r.(*chi.Mux)
	if !ok {
		return
	}
	missing := s.pages.Pages(http.HandlerFunc(s.pages.NotFound))
	or := func(before http.HandlerFunc, page func(*http.Request) bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/v1/") || !strings.Contains(r.Header.Get("Accept"), "text/html") || !page(r) {
				before(w, r)
				return
			}
			missing.ServeHTTP(w, r)
		}
	}
	r.NotFound(or(mux.NotFoundHandler(), func(*http.Request) bool { return true }))
	r.MethodNotAllowed(or(mux.MethodNotAllowedHandler(), func(r *http.Request) bool {
		return r.Method == http.MethodGet || r.Method == http.MethodHead
	}))
}

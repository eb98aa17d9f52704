package web

import (
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"
)

// strays shows browsers a page where there is none; whatever else asks gets the answer that r had
// for it before.
func (s *site) strays(r chi.Router) {
	mux, ok := r.(*chi.Mux)
	if !ok {
		return
	}
	before := mux.NotFoundHandler()
	missing := s.pages.Pages(http.HandlerFunc(s.pages.NotFound))
	r.NotFound(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/") || !strings.Contains(r.Header.Get("Accept"), "text/html") {
			before(w, r)
			return
		}
		missing.ServeHTTP(w, r)
	})
}

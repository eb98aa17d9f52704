package web

import "net/http"

// notice is a page with a sign and a few words.
type notice struct {
	Tone, WordMS, WordEN, MS, EN string
}

// private keeps answers out of caches and search engines.
func private(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Robots-Tag", "noindex, nofollow")
		next.ServeHTTP(w, r)
	})
}

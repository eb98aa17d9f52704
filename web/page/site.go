// Package page is what all pages have in common: the frame around them with its
// style, their parts, the words in both languages, and the way in which pages
// ask the JSON API.
//
// A page is a client of the API within the process. It has the rights of the
// browser that asks for it and no others: what the API refuses, no page can do.
package page

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/go-chi/chi/v5"
)

// Site is what pages need to be shown, and to ask the API.
type Site struct {
	// API answers requests for /v1/ paths within the process; it may be the very router
	// that the pages are on.
	API http.Handler
	// Inner marks the context of a request that a page makes, so that it is not counted
	// as another visit; nil marks nothing.
	Inner func(context.Context) context.Context
	// SecureCookies: browsers reach the pages by https.
	SecureCookies bool
	// Sandbox marks every page: nothing made here is valid.
	Sandbox bool
	Title   string // of the service or agency
	// Return is the address to which signing pages lead back (redirect_uri), MaxUpload the most
	// bytes of an upload.
	Return    string
	MaxUpload int64
	Log       *slog.Logger
	Now       func() time.Time
	// OpenSigning opens the signing page at an address for the browser of r; see [Site.Sign].
	OpenSigning func(w http.ResponseWriter, r *http.Request, address string) error
}

// policy is the Content-Security-Policy of pages: nothing inline, nothing from elsewhere,
// no frames. Pictures and previews are made in the page (data:, blob:).
const policy = "default-src 'none'; script-src 'self'%s; style-src 'self'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"

// Inert is the policy of what is no page of ours: it may do nothing.
const Inert = "default-src 'none'; frame-ancestors 'none'; sandbox"

// Pages is the middleware of all pages: headers, language, and forms of other sites, which
// are refused before anything is read of them.
func (s *Site) Pages(next http.Handler) http.Handler { return s.PagesDenying(s.Stray)(next) }

// PagesDenying is Pages where deny answers forms of other sites.
func (s *Site) PagesDenying(deny http.HandlerFunc) func(http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(s.visited(deny))
	return func(next http.Handler) http.Handler { return Protect(cross.Handler(s.visited(next))) }
}

// Protect sets what every answer carries: nothing from elsewhere may run or be shown, and
// nobody may frame it.
func Protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", strings.ReplaceAll(policy, "%s", ""))
		h.Set("X-Frame-Options", "DENY") // for browsers that know no frame-ancestors
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		next.ServeHTTP(w, r)
	})
}

// Camera is [Protect]'s exception for the page that reads QR codes: its camera, and the
// compiling of WebAssembly.
func Camera(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", strings.ReplaceAll(policy, "%s", " 'wasm-unsafe-eval'"))
		w.Header().Set("Permissions-Policy", "camera=(self), geolocation=(), microphone=()")
		next.ServeHTTP(w, r)
	})
}

// Private keeps answers out of caches and search engines: all that is about somebody.
func Private(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Robots-Tag", "noindex, nofollow")
		next.ServeHTTP(w, r)
	})
}

// Show answers with a whole page, made in memory: what cannot be made is not half sent.
func (s *Site) Show(w http.ResponseWriter, r *http.Request, status int, c templ.Component) {
	b := templ.GetBuffer()
	defer templ.ReleaseBuffer(b)
	if err := c.Render(r.Context(), b); err != nil {
		s.Log.ErrorContext(r.Context(), "page could not be made", "request_id", requestID(w), "error", err)
		http.Error(w, "Ralat dalaman / Internal error", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Add("Vary", "Cookie")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-cache")
	}
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // an error means that the reader has gone
}

// Failed shows why a page cannot be shown: an error of [Site.Call], or any other, whose words
// are logged and not shown. A session that has ended leads to the log-in.
func (s *Site) Failed(w http.ResponseWriter, r *http.Request, err error) {
	var p *Problem
	switch {
	case r.Context().Err() != nil: // nobody is there
	case errors.As(err, &p) && p.Status == http.StatusUnauthorized:
		s.LogIn(w, r)
	case errors.As(err, &p) && p.Status < 500:
		retryAfter(w, p)
		s.Show(w, r, p.Status, Message(Notice{Tone: Bad, Word: p.Title, Text: p.Detail}))
	default:
		if p == nil {
			s.Log.ErrorContext(r.Context(), "a page could not be shown", "request_id", requestID(w), "error", err)
		}
		w.Header().Set("Retry-After", "5")
		s.Show(w, r, http.StatusServiceUnavailable, Message(Notice{Tone: Wait, Word: T(r.Context(), "page.later"), Text: T(r.Context(), "page.later.text", "Request", requestID(w))}))
	}
}

// NotFound is the page of an address that there is not.
func (s *Site) NotFound(w http.ResponseWriter, r *http.Request) {
	s.Show(w, r, http.StatusNotFound, Message(Notice{Tone: Wait, Word: T(r.Context(), "page.missing"), Text: T(r.Context(), "page.missing.text")}))
}

// Stray answers a form that no page of ours made for this browser.
func (s *Site) Stray(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	s.Show(w, r, http.StatusForbidden, Message(Notice{Tone: Bad, Word: T(r.Context(), "page.stray"), Text: T(r.Context(), "page.stray.text")}))
}

// See answers a form that was taken: the browser goes on to path, an address of ours.
func See(w http.ResponseWriter, r *http.Request, path string) {
	if htmx(r) {
		w.Header().Set("HX-Redirect", path)
		w.WriteHeader(http.StatusOK)
		return
	}
	http.Redirect(w, r, path, http.StatusSeeOther)
}

// Sign answers a form that has just made a transaction for who is logged in: the browser goes to
// its signing page, already opened, for it is the first to be there. To be called by the POST that
// made the transaction, with the signing_url that the API answered:
//
//	d.Sign(w, r, made.SigningURL)
//
// Where the page cannot be opened now the browser goes there all the same: the page has a button.
func (s *Site) Sign(w http.ResponseWriter, r *http.Request, signingURL string) {
	u, err := url.Parse(signingURL)
	if err != nil || !strings.HasPrefix(u.Path, "/sign/") {
		s.Failed(w, r, errors.New("opening a signing page: the API gave no address of one"))
		return
	}
	if s.OpenSigning != nil {
		if err := s.OpenSigning(w, r, u.Path); err != nil {
			s.Log.WarnContext(r.Context(), "a signing page was not opened for its own browser", "request_id", requestID(w), "error", err)
		}
	}
	See(w, r, u.Path)
}

// htmx says whether a script of ours asks, and takes a part of a page.
func htmx(r *http.Request) bool { return r.Header.Get("HX-Request") == "true" }

func requestID(w http.ResponseWriter) string { return w.Header().Get("X-Request-Id") }

// Param is a part of the address.
func Param(r *http.Request, name string) string { return chi.URLParam(r, name) }

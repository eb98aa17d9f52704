// Package web serves the pages: the landing page, the verification page of an
// eCertificate, the page "this was not me", the page on which officers sign, and
// the API reference. They are plain HTML in Malay with English beside it, made
// on the server from embedded templates; nothing fetched from elsewhere, no cookie
// but the signing page's, and no script but one of a few lines, which sends the
// secret behind the # of a certificate's address.
//
// What a page says about a certificate is never better than what the record
// proves: the word SAH needs both the record's status and a signature that
// verified ([Conclude]). Personal data is limited to a masked name.
package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/internal/myt"
	"github.com/mohor-sign/mohor/web/page"
	"github.com/mohor-sign/mohor/web/portal"
	"github.com/mohor-sign/mohor/web/public"
)

// ErrUnknown is returned by [Disowner] for what nobody issued.
var ErrUnknown = errors.New("no such record")

// Config is what the pages need.
type Config struct {
	Records public.Records
	// Disown judges the links of mails with codes; nil: there is no such page.
	Disown Disowner
	// Confirm judges the links of mails to officers being enrolled; nil: no such page.
	Confirm Confirmer
	// Signing is what is confirmed here; nil: there is no such page.
	Signing Signing
	// SecureCookies: browsers reach the pages by https.
	SecureCookies bool
	// API answers requests for /v1/ paths within the process, Inner marks those that pages make;
	// API nil: there are no pages for people who log in.
	API   http.Handler
	Inner func(context.Context) context.Context
	// OpenAPI returns the OpenAPI 3.1 document in JSON. It is asked when the
	// reference is first read, and may not change afterwards.
	OpenAPI func() []byte
	// Sandbox marks every page: nothing made here is valid.
	Sandbox bool
	Title   string           // of the service or agency; "" means "Mohor"
	Links   public.Links     // all empty: the API's own
	Log     *slog.Logger     // internal failures; nil drops them
	Now     func() time.Time // time of a check, as printed; nil means time.Now
}

//go:embed templates
var templates embed.FS

//go:embed assets/mohor.css
var stylesheet []byte

// styleURL changes with the content, so that it can be cached for good.
var styleURL = func() string {
	sum := sha256.Sum256(stylesheet)
	return "/assets/mohor-" + base64.RawURLEncoding.EncodeToString(sum[:9]) + ".css"
}()

var pages = template.Must(template.New("").Funcs(template.FuncMap{"myt": myt.Format, "stamp": myt.Stamp, "inc": func(n int) int { return n + 1 },
	"say": func(tone, wordMS, wordEN, ms, en string) notice { return notice{tone, wordMS, wordEN, ms, en} }}).ParseFS(templates, "templates/*.tmpl"))

// site holds the configuration and the reference once it is made.
type site struct {
	Config
	pages     *page.Site
	reference reference
}

// Routes adds GET and HEAD of /, /docs, /s/{id} and the assets to r, POST of /s/{id}, and
// with [Config.Disown] GET, HEAD and POST of /r/{token}, with [Config.Confirm] of /e/{token},
// with [Config.Signing] those below /sign/{token}.
func Routes(r chi.Router, c Config) {
	if c.Title == "" {
		c.Title = "Mohor"
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &site{Config: c}
	all := r
	r = r.With(protect)
	for path, h := range map[string]http.HandlerFunc{styleURL: serveStyle} {
		r.Get(path, h)
		r.Head(path, h)
	}
	if s.Disown != nil {
		s.disownRoutes(r)
	}
	if s.Confirm != nil {
		s.confirmRoutes(r)
	}
	if s.Signing != nil {
		s.signingRoutes(r)
	}
	p := &page.Site{API: s.API, Inner: s.Inner, SecureCookies: s.SecureCookies, Sandbox: s.Sandbox, Title: s.Title, Log: s.Log, Now: s.Now}
	s.pages = p
	page.AssetRoutes(all)
	public.Routes(all, p, s.Records, s.Links)
	all.With(p.Pages).Get("/docs", s.docs)
	all.With(p.Pages).Head("/docs", s.docs)
	if s.API != nil {
		portal.Routes(all, p)
	}
	s.strays(all)
}

// protect sets what every answer carries. Nothing may run or be framed.
func protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'")
		h.Set("X-Frame-Options", "DENY") // for browsers that know no frame-ancestors
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		next.ServeHTTP(w, r)
	})
}

func serveStyle(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(stylesheet))
}

// frame is what every template gets.
type frame struct {
	Title   string
	Style   string
	Sandbox bool
	Data    any
}

// render makes a whole page in memory: what cannot be made is not half sent.
func (s *site) render(name string, data any) ([]byte, error) {
	var page bytes.Buffer
	err := pages.ExecuteTemplate(&page, name, frame{Title: s.Title, Style: styleURL, Sandbox: s.Sandbox, Data: data})
	return page.Bytes(), err
}

func (s *site) show(w http.ResponseWriter, status int, name string, data any) {
	page, err := s.render(name, data)
	if err != nil {
		s.Log.Error("page could not be made", "page", name, "error", err)
		http.Error(w, "Ralat dalaman / Internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(page) // an error means that the reader has gone
}

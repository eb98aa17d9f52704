// Package web serves the pages: the landing page, the verification page of an
// eCertificate, the page "this was not me", and the API reference. They are plain
// HTML in Malay with English beside it, made on the server from embedded templates;
// nothing fetched from elsewhere, no cookie, and no script but one of a few lines,
// which sends the secret behind the # of a certificate's address. The page on which
// officers sign ([signing]) and the portal are packages of their own.
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
	"github.com/mohor-sign/mohor/web/joining"
	"github.com/mohor-sign/mohor/web/page"
	"github.com/mohor-sign/mohor/web/portal"
	"github.com/mohor-sign/mohor/web/signing"
)

// ErrUnknown is returned by [Records] and [Signing] for what nobody issued.
var ErrUnknown = errors.New("no such record")

// Record is what is publicly known of one eCertificate.
type Record struct {
	ID          string // 16 bytes in base64url, 22 characters
	Number      string // certificate number, "S102251979"
	Status      string // the record's own word, see Conclude
	Programme   string // NOSS code, "TP-021-3:2013"
	Centre      string // accredited centre
	Batch       string
	MonthYear   string    // "072021"
	NameMasked  string    // never the full name
	Verdict     string    // of the signature: VALID, INVALID, INDETERMINATE, or "" when not checked
	SignedAt    time.Time // zero: not signed yet
	Signer      string
	Fingerprint string // as the signatory saw it, XXXX-XXXX
}

// Records finds what is publicly known of certificates.
type Records interface {
	// CertificateRecord returns the record with this id (22 characters of
	// base64url, already checked for form), or ErrUnknown: also when secret is not
	// the one that the record asks for. secret is what somebody typed, "" for
	// nothing. Any other error is shown as "try again later", never with its
	// words. Concurrent calls are usual; the answer should take as long for
	// unknown ids and wrong secrets as for known ones.
	CertificateRecord(ctx context.Context, id, secret string) (Record, error)
}

// Links are shown on the landing page; an empty one is left out. When all are
// empty, the routes of the API are shown: /ca/root.cer, /ca/chain.pem,
// /crl/issuing.crl and, in a sandbox, /dev/mailbox.
type Links struct {
	CRL             string // of the issuing CA, DER
	RootCertificate string // DER
	Chain           string // PEM
	Mailbox         string // sandbox only
}

// Config is what the pages need.
type Config struct {
	Records Records
	// Disown judges the links of mails with codes; nil: there is no such page.
	Disown joining.Disowner
	// Confirm judges the links of mails to officers being enrolled; nil: no such page.
	Confirm joining.Confirmer
	// Signing is what is confirmed on the signing page; nil: there is no such page.
	Signing signing.Signing
	// SecureCookies: browsers reach the pages by https.
	SecureCookies bool
	// API answers requests for /v1/ paths within the process, Inner marks those that pages make;
	// API nil: there are no pages for people who log in.
	API   http.Handler
	Inner func(context.Context) context.Context
	// Return is the address to which signing pages lead back, MaxUpload the most bytes of an upload.
	Return    string
	MaxUpload int64
	// OpenAPI returns the OpenAPI 3.1 document in JSON. It is asked when the
	// reference is first read, and may not change afterwards.
	OpenAPI func() []byte
	// Sandbox marks every page: nothing made here is valid.
	Sandbox bool
	Title   string // of the service or agency; "" means "Mohor"
	Links   Links
	Log     *slog.Logger     // internal failures; nil drops them
	Now     func() time.Time // time of a check, as printed; nil means time.Now
}

//go:embed templates
var templates embed.FS

//go:embed assets/mohor.css
var stylesheet []byte

// recordScript sends the secret that a QR code has behind the #, which no browser
// sends by itself.
//
//go:embed assets/record.js
var recordScript []byte

var recordScriptURL = func() string {
	sum := sha256.Sum256(recordScript)
	return "/assets/record-" + base64.RawURLEncoding.EncodeToString(sum[:9]) + ".js"
}()

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
	reference reference
}

// Routes adds GET and HEAD of /, /docs, /s/{id} and the assets to r, POST of /s/{id}, and
// with [Config.Disown] GET, HEAD and POST of /r/{token}, with [Config.Confirm] of /e/{token},
// with [Config.Signing] those below /sign/{token}.
func Routes(r chi.Router, c Config) {
	if c.Title == "" {
		c.Title = "Mohor"
	}
	if c.Links == (Links{}) {
		c.Links = Links{CRL: "/crl/issuing.crl", RootCertificate: "/ca/root.cer", Chain: "/ca/chain.pem"}
		if c.Sandbox {
			c.Links.Mailbox = "/dev/mailbox"
		}
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
	for path, h := range map[string]http.HandlerFunc{"/": s.landing, "/docs": s.docs, "/s/{id}": s.certificate, styleURL: serveStyle, recordScriptURL: serveRecordScript} {
		r.Get(path, h)
		r.Head(path, h)
	}
	r.Post("/s/{id}", s.opened)
	p := &page.Site{API: s.API, Inner: s.Inner, SecureCookies: s.SecureCookies, Sandbox: s.Sandbox, Title: s.Title, Return: s.Return, MaxUpload: s.MaxUpload, Log: s.Log, Now: s.Now}
	page.AssetRoutes(all)
	if s.Signing != nil {
		signing.Routes(all, p, s.Signing)
	}
	joining.Routes(all, p, joining.Links{Confirm: s.Confirm, Disown: s.Disown})
	if s.API != nil {
		portal.Routes(all, p)
	}
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

func serveRecordScript(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(recordScript))
}

func (s *site) landing(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "public, max-age=300")
	s.show(w, http.StatusOK, "landing", s.Links)
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

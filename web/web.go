// Package web puts the pages together: those for everybody (web/public), for officers
// who join (web/joining), sign (web/signing) and log in (web/portal), and the API
// reference, which is here. All stand in the frame of web/page.
package web

import (
	"bytes"
	"context"
	"embed"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/console"
	"github.com/mohor-sign/mohor/web/joining"
	"github.com/mohor-sign/mohor/web/manual"
	"github.com/mohor-sign/mohor/web/page"
	"github.com/mohor-sign/mohor/web/portal"
	"github.com/mohor-sign/mohor/web/public"
	"github.com/mohor-sign/mohor/web/signing"
)

// Config is what the pages need.
type Config struct {
	Records public.Records
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
	// Images are the security images that the log-in shows; nil: it shows none.
	Images portal.Images
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

var pages = template.Must(template.ParseFS(templates, "templates/*.tmpl"))

// site holds the configuration and the reference once it is made.
type site struct {
	Config
	pages     *page.Site
	reference reference
}

// Routes adds all pages and their assets to r: those of the configuration's parts that are there.
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
	p := &page.Site{API: c.API, Inner: c.Inner, SecureCookies: c.SecureCookies, Sandbox: c.Sandbox, Title: c.Title, Return: c.Return, MaxUpload: c.MaxUpload, Log: c.Log, Now: c.Now}
	s := &site{Config: c, pages: p}
	s.strays(r) // first: routers within r take its answers over
	page.AssetRoutes(r)
	if c.Signing != nil {
		signing.Routes(r, p, c.Signing)
	}
	joining.Routes(r, p, joining.Links{Confirm: c.Confirm, Disown: c.Disown})
	public.Routes(r, p, c.Records, c.Links)
	manual.Routes(r, p)
	book := r.With(p.Pages)
	book.Get("/docs", s.docs)
	book.Head("/docs", s.docs)
	if c.API != nil {
		portal.Routes(r, p, c.Images)
		console.Routes(r, p)
	}
}

// render makes the reference in memory.
func (s *site) render(name string, data any) ([]byte, error) {
	var out bytes.Buffer
	err := pages.ExecuteTemplate(&out, name, data)
	return out.Bytes(), err
}

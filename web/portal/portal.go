// Package portal serves the pages of an officer who logs in: what waits, the
// certificate, signing of PDFs and of eCertificates in bulk, what was signed.
// They do nothing but ask the JSON API in the officer's name.
package portal

import (
	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/page"
)

// desk is the portal at work.
type desk struct {
	*page.Site
	images Images
}

// Routes adds /login, /logout and all below /portal. images is nil where the log-in shows none.
func Routes(r chi.Router, s *page.Site, images Images) {
	d := &desk{s, images}
	r = r.With(s.Pages, page.Private)
	d.loginRoutes(r)
	d.setupRoutes(r)
	r.Get(batchesPath+"/{id}/events", d.batchEvents) // it tells by itself that a session has ended
	r = r.With(s.SignedIn)
	r.Get("/portal", d.home)
	d.accountRoutes(r)
	d.documentRoutes(r)
	d.batchRoutes(r)
	d.historyRoutes(r)
	d.certificateRoutes(r)
	d.profileRoutes(r)
	d.factorRoutes(r)
}

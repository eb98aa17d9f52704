// Package portal serves the pages of an officer who logs in: what waits, the
// certificate, signing of PDFs and of eCertificates in bulk, what was signed.
// They do nothing but ask the JSON API in the officer's name.
package portal

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/page"
)

// desk is the portal at work.
type desk struct{ *page.Site }

// Routes adds /login, /logout and all below /portal.
func Routes(r chi.Router, s *page.Site) {
	d := &desk{s}
	r = r.With(s.Pages, page.Private)
	r.Get(page.LoginPath, d.login)
	r.Post(page.LoginPath, s.Form(d.begin))
	r.Get(codePath, d.code)
	r.Post(codePath, s.Form(d.finish))
	r.Post("/logout", s.Form(d.logout))
	r = r.With(s.SignedIn)
	r.Get("/portal", d.home)
}

func (d *desk) home(w http.ResponseWriter, r *http.Request) {
	d.Show(w, r, http.StatusOK, home())
}

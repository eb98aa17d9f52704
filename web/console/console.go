// Package console serves the administrators' pages: its first page, and those of the areas
// below it. They do nothing but ask the JSON API in the administrator's name.
package console

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/console/apps"
	"github.com/mohor-sign/mohor/web/console/health"
	"github.com/mohor-sign/mohor/web/console/office"
	"github.com/mohor-sign/mohor/web/console/people"
	"github.com/mohor-sign/mohor/web/console/queue"
	"github.com/mohor-sign/mohor/web/console/reports"
	"github.com/mohor-sign/mohor/web/console/works"
	"github.com/mohor-sign/mohor/web/page"
)

// front is the console's first page.
type front struct{ *page.Site }

// Routes adds all below /admin.
func Routes(r chi.Router, s *page.Site) {
	f := front{s}
	r = r.With(s.Pages, page.Private, s.SignedIn, s.Administrators)
	r.Get(page.ConsolePath, f.home)
	queue.Routes(r, s)
	people.Routes(r, s)
	office.Routes(r, s)
	apps.Routes(r, s)
	works.Routes(r, s)
	health.Routes(r, s)
	reports.Routes(r, s)
}

func (f front) home(w http.ResponseWriter, r *http.Request) {
	f.Show(w, r, http.StatusOK, home(f.Said(w, r)))
}

// Package console serves the administrators' pages: its first page, and those of the areas
// below it. They do nothing but ask the JSON API in the administrator's name.
package console

import (
	"net/http"
	"net/url"
	"slices"

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

// front is the console's first page.
type front struct{ *page.Site }

// scope is a system or agency that the person looks after, or all of them, with what waits there.
type scope struct {
	System string `json:"system"`
	Agency string `json:"agency"`
	Queues []line `json:"queues"`
}

// line is what waits for one step.
type line struct {
	Name    string   `json:"name"`
	Waiting int      `json:"waiting"`
	More    bool     `json:"more"`
	Can     []string `json:"can"`
}

// mine says whether it is the person whose step a queue waits for.
func (l *line) mine() bool {
	step := l.Name
	if step == "rekey" {
		step = "rekey/confirm"
	}
	return slices.Contains(l.Can, step)
}

// count is how much waits, in words.
func (l *line) count() string {
	if l.More {
		return page.Number(l.Waiting) + "+"
	}
	return page.Number(l.Waiting)
}

// own are the queues that wait for the person.
func (s *scope) own() (out []line) {
	for _, l := range s.Queues {
		if l.mine() {
			out = append(out, l)
		}
	}
	return out
}

// path leads to a queue of the scope.
func (s *scope) path(tab string) string {
	key := "all"
	switch {
	case s.System != "":
		key = "s:" + s.System
	case s.Agency != "":
		key = "a:" + s.Agency
	}
	return "/admin/queue?" + url.Values{"scope": {key}, "tab": {tab}}.Encode()
}

func (f front) home(w http.ResponseWriter, r *http.Request) {
	var work struct {
		Scopes []scope `json:"scopes"`
	}
	if err := f.Call(r, http.MethodGet, "/v1/admin/work", nil, &work); err != nil {
		f.Failed(w, r, err)
		return
	}
	f.Show(w, r, http.StatusOK, home(f.Said(w, r), work.Scopes))
}

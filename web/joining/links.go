package joining

import (
	"context"
	"errors"
	"net/http"

	"github.com/a-h/templ"
	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/page"
)

// linked has the headers and the language of pages, and answers another site's form with no. Who
// knows the token of a link needs no other proof to press the button, and without one the
// page can be had as often as mail scanners like. No answer repeats the token: pages of both
// languages come from a form that is posted to where it is.
func (d *desk) linked(r chi.Router, no templ.Component) chi.Router {
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { d.Show(w, r, http.StatusForbidden, no) }))
	return r.With(d.Linked, cross.Handler)
}

// confirmRoutes adds GET, HEAD and POST of /e/{token}. Programs that scan mail follow
// every link: only the button acts, and the page before it is the same for any token.
func (d *desk) confirmRoutes(r chi.Router) {
	r = d.linked(r, confirmStray())
	ask := func(w http.ResponseWriter, r *http.Request) { d.Show(w, r, http.StatusOK, confirmAsk()) }
	r.Get("/e/{token}", ask)
	r.Head("/e/{token}", ask)
	r.Post("/e/{token}", d.confirm)
}

func (d *desk) confirm(w http.ResponseWriter, r *http.Request) {
	id := w.Header().Get("X-Request-Id")
	err := d.Confirm.ConfirmAddress(context.WithoutCancel(r.Context()), page.Param(r, "token"), id)
	switch {
	case errors.Is(err, ErrUnknown):
		d.Show(w, r, http.StatusNotFound, confirmUnknown())
	case err != nil:
		d.Log.ErrorContext(r.Context(), "a link that confirms an address could not be judged", "request_id", id, "error", err)
		w.Header().Set("Retry-After", "30")
		d.Show(w, r, http.StatusServiceUnavailable, confirmLater())
	default:
		d.Show(w, r, http.StatusOK, confirmDone())
	}
}

// disownPage is a transaction as shown, before or after the button.
type disownPage struct {
	Asked
	Done      bool
	Reference string // request id, to be told on the telephone
}

// disownRoutes adds GET, HEAD and POST of /r/{token}. Only POST acts, and not
// for another site's page.
func (d *desk) disownRoutes(r chi.Router) {
	r = d.linked(r, disownStray())
	r.Get("/r/{token}", d.asked)
	r.Head("/r/{token}", d.asked)
	r.Post("/r/{token}", d.disown)
}

func (d *desk) asked(w http.ResponseWriter, r *http.Request) {
	a, err := d.Disown.Asked(r.Context(), page.Param(r, "token"))
	d.showAsked(w, r, disownPage{Asked: a}, err)
}

func (d *desk) disown(w http.ResponseWriter, r *http.Request) {
	id := w.Header().Get("X-Request-Id")
	// Who closes the page after pressing the button has reported all the same.
	a, err := d.Disown.Disown(context.WithoutCancel(r.Context()), page.Param(r, "token"), id)
	d.showAsked(w, r, disownPage{Asked: a, Done: true, Reference: id}, err)
}

func (d *desk) showAsked(w http.ResponseWriter, r *http.Request, p disownPage, err error) {
	switch {
	case errors.Is(err, ErrUnknown):
		d.Show(w, r, http.StatusNotFound, disownUnknown())
	case err != nil:
		d.Log.ErrorContext(r.Context(), "a link \"this was not me\" could not be judged", "request_id", w.Header().Get("X-Request-Id"), "error", err)
		w.Header().Set("Retry-After", "30")
		d.Show(w, r, http.StatusServiceUnavailable, disownLater())
	default:
		d.Show(w, r, http.StatusOK, disownShown(p))
	}
}

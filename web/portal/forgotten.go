package portal

import (
	"net/http"
	"net/url"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/page"
)

const (
	forgottenPath = "/login/forgotten"
	resetPath     = "/login/forgotten/reset"
	// resetCookie names a request for another password until it is done; it opens nothing.
	resetCookie = "reset"
)

func (d *desk) forgottenRoutes(r chi.Router) {
	r.Get(forgottenPath, d.forgotten)
	r.Post(forgottenPath, d.Form(d.askReset))
	r.Get(resetPath, d.reset)
	r.Post(resetPath, d.Form(d.doReset))
}

func (d *desk) forgotten(w http.ResponseWriter, r *http.Request) {
	d.Show(w, r, http.StatusOK, forgotten(attempt{}))
}

// askReset answers alike for everybody.
func (d *desk) askReset(w http.ResponseWriter, r *http.Request) {
	a := attempt{IC: plainIC(r)}
	var begun struct {
		ID        string    `json:"reset_id"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	if a.Faults = missing(r.Context(), map[string]string{"ic": a.IC}, "ic"); a.Faults != nil {
		d.Show(w, r, http.StatusUnprocessableEntity, forgotten(a))
		return
	}
	err := d.Call(r, http.MethodPost, "/v1/password/forgotten", map[string]string{"ic": a.IC}, &begun)
	if p := page.Of(err); p != nil && p.Status < 500 {
		a.Faults = page.FaultsOf(r.Context(), p, map[string]string{"ic": "ic"})
		d.tooMany(w, p, &a)
		d.Show(w, r, p.Status, forgotten(a))
		return
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	d.keep(w, resetCookie, begun.ID, begun.ExpiresAt)
	page.See(w, r, resetPath)
}

func (d *desk) reset(w http.ResponseWriter, r *http.Request) {
	id, until := d.kept(r, resetCookie)
	if id == "" {
		page.See(w, r, forgottenPath)
		return
	}
	d.Show(w, r, http.StatusOK, reset(attempt{Until: until}))
}

func (d *desk) doReset(w http.ResponseWriter, r *http.Request) {
	id, until := d.kept(r, resetCookie)
	a := attempt{Until: until}
	given := secrets(r, "code", "password", "pin")
	if id == "" {
		a.Ended = true
		d.Show(w, r, http.StatusGone, reset(a))
		return
	}
	if a.Faults = missing(r.Context(), given, "code", "password"); a.Faults != nil {
		d.Show(w, r, http.StatusUnprocessableEntity, reset(a))
		return
	}
	in := map[string]string{"code": digits(given["code"]), "password": given["password"]}
	if given["pin"] != "" {
		in["pin"] = given["pin"]
	}
	var done struct {
		State  string `json:"state"`
		Detail string `json:"detail"`
	}
	err := d.Call(r, http.MethodPost, "/v1/password/"+url.PathEscape(id)+"/reset", in, &done)
	if p := page.Of(err); p != nil && p.Status < 500 {
		a.Faults = page.FaultsOf(r.Context(), p, map[string]string{"otp_wrong": "code", "code": "code", "password_refused": "password", "password": "password",
			"pin_wrong": "pin", "pin_locked": "pin", "pin_missing": "pin", "pin": "pin", "certificate_missing_pin": "pin"})
		a.Ended = codeEnded(p.Code)
		d.tooMany(w, p, &a)
		d.Show(w, r, p.Status, reset(a))
		return
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	http.SetCookie(w, d.Cookie(resetCookie, "", -1))
	if done.State != "DONE" {
		d.Show(w, r, http.StatusOK, resetWaits(done.Detail))
		return
	}
	// The officer's own sessions have ended; the browser's may be somebody else's.
	if err := d.leave(w, r); err != nil {
		d.Log.WarnContext(r.Context(), "the session of a browser in which a password was reset could not be ended", "error", err)
		d.Forget(w, r)
	}
	d.Say(w, "account.said.reset")
	page.See(w, r, page.LoginPath)
}

package portal

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/page"
)

const (
	codePath = "/login/code"
	// loginCookie names a log-in until its second step; it opens nothing.
	loginCookie = "login"
)

func (d *desk) loginRoutes(r chi.Router) {
	r.Get(page.LoginPath, d.login)
	r.Post(page.LoginPath, d.Form(d.begin))
	r.Get(codePath, d.code)
	r.Post(codePath, d.Form(d.finish))
	r.Post("/logout", d.Form(d.logout))
}

// attempt is the first form of a log-in as it is shown again.
type attempt struct {
	IC, Next string
	Faults   page.Faults
}

func (d *desk) login(w http.ResponseWriter, r *http.Request) {
	if d.CookieValue(r, "session") != "" && d.Call(r, http.MethodGet, "/v1/me", nil, nil) == nil {
		page.See(w, r, page.Next(r))
		return
	}
	d.Show(w, r, http.StatusOK, login(attempt{Next: page.Next(r)}))
}

// begin is the first step: the API answers alike for known and unknown people.
func (d *desk) begin(w http.ResponseWriter, r *http.Request) {
	a := attempt{IC: strings.Join(strings.FieldsFunc(r.PostForm.Get("ic"), func(c rune) bool { return c == ' ' || c == '-' }), ""), Next: page.Next(r)}
	password := r.PostForm.Get("password")
	r.PostForm.Del("password")
	var begun struct {
		ID        string    `json:"session_id"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	err := d.Call(r, http.MethodPost, "/v1/sessions", map[string]string{"ic": a.IC, "password": password}, &begun)
	if p := page.Of(err); p != nil && p.Status < 500 {
		a.Faults = page.FaultsOf(r.Context(), p, map[string]string{"ic": "ic", "password": "password"})
		d.Show(w, r, p.Status, login(a))
		return
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	http.SetCookie(w, d.Cookie(loginCookie, begun.ID, max(1, int(begun.ExpiresAt.Sub(d.Now()).Seconds()))))
	page.See(w, r, codePath+"?"+url.Values{"next": {a.Next}}.Encode())
}

func (d *desk) code(w http.ResponseWriter, r *http.Request) {
	if d.CookieValue(r, loginCookie) == "" {
		d.LogIn(w, r)
		return
	}
	d.Show(w, r, http.StatusOK, code(attempt{Next: page.Next(r)}))
}

// finish is the second step. The session is new: nothing that the browser had before counts in it.
func (d *desk) finish(w http.ResponseWriter, r *http.Request) {
	a := attempt{Next: page.Next(r)}
	given := strings.Join(strings.Fields(r.PostForm.Get("code")), "")
	r.PostForm.Del("code")
	err := d.CallFor(w, r, http.MethodPost, "/v1/sessions/"+url.PathEscape(d.CookieValue(r, loginCookie))+"/code", map[string]string{"code": given}, nil)
	if p := page.Of(err); p != nil && p.Status < 500 {
		a.Faults = page.FaultsOf(r.Context(), p, map[string]string{"code": "code", "otp_wrong": "code"})
		d.Show(w, r, p.Status, code(a))
		return
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	http.SetCookie(w, d.Cookie(loginCookie, "", -1))
	http.SetCookie(w, d.Cookie("form", "", -1))
	page.See(w, r, a.Next)
}

// logout ends the session. Who has none any more is logged out already.
func (d *desk) logout(w http.ResponseWriter, r *http.Request) {
	err := d.CallFor(w, r, http.MethodDelete, "/v1/me/sessions/current", nil, nil)
	if p := page.Of(err); err != nil && (p == nil || p.Status != http.StatusUnauthorized) {
		d.Failed(w, r, err)
		return
	}
	http.SetCookie(w, d.Cookie("session", "", -1))
	page.See(w, r, page.LoginPath)
}

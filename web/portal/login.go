package portal

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/page"
)

const (
	codePath    = "/login/code"
	passkeyPath = "/login/passkey"
	// loginCookie names a log-in until its second step, and its end; it opens nothing.
	loginCookie = "login"
)

// Images finds the security image of who has logged in before in a browser. The API has no such
// operation, so that no program can ask for it.
type Images interface {
	// LoginImage gives the name of the image of the officer whose device's token this is, "" for
	// none or an unknown device. It may be called by anybody, at any time, with any token.
	LoginImage(ctx context.Context, device string) (string, error)
}

func (d *desk) loginRoutes(r chi.Router) {
	r.Get(page.LoginPath, d.login)
	r.Post(page.LoginPath, d.Form(d.begin))
	r.Get(codePath, d.code)
	r.Post(codePath, d.Form(d.finish))
	r.Post(passkeyPath+"/begin", d.Form(d.beginPasskey))
	r.Post(passkeyPath, d.Form(d.finishPasskey))
	r.Post("/logout", d.Form(d.logout))
	d.forgottenRoutes(r)
}

// attempt is a form of a log-in as it is shown again.
type attempt struct {
	IC, Next string
	Faults   page.Faults
	Said     string
	Image    string
	Wait     time.Time // until when nothing is taken; zero: now
	Until    time.Time // of the code
	Ended    bool      // the code is of no more use
}

func (d *desk) login(w http.ResponseWriter, r *http.Request) {
	if d.CookieValue(r, "session") != "" && d.Call(r, http.MethodGet, "/v1/me", nil, nil) == nil {
		page.See(w, r, page.Next(r))
		return
	}
	d.showLogin(w, r, http.StatusOK, attempt{Next: page.Next(r), Said: d.Said(w, r)})
}

func (d *desk) showLogin(w http.ResponseWriter, r *http.Request, status int, a attempt) {
	at := page.LoginPath
	if a.Next != page.Portal {
		at = inQuery(at, "next", a.Next)
	}
	page.Returning(r, at) // as it was asked for: a script has this address shown
	if device := d.CookieValue(r, "device"); device != "" && d.images != nil {
		image, err := d.images.LoginImage(r.Context(), device)
		if err != nil {
			d.Log.WarnContext(r.Context(), "the security image could not be found", "error", err)
		}
		a.Image = image
	}
	d.Show(w, r, status, login(a))
}

// tooMany makes the attempt one that waits.
func (d *desk) tooMany(w http.ResponseWriter, p *page.Problem, a *attempt) {
	if p.Status == http.StatusTooManyRequests {
		seconds := max(p.RetryAfter, 1)
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		a.Faults, a.Wait = nil, d.Now().Add(time.Duration(seconds)*time.Second)
	}
}

// plainIC is what was typed without what people put between the digits.
func plainIC(r *http.Request) string {
	return strings.Join(strings.FieldsFunc(r.PostForm.Get("ic"), func(c rune) bool { return c == ' ' || c == '-' }), "")
}

// begin is the first step: the API answers alike for known and unknown people.
func (d *desk) begin(w http.ResponseWriter, r *http.Request) {
	a := attempt{IC: plainIC(r), Next: page.Next(r)}
	secret := secrets(r, "password")
	if a.Faults = missing(r.Context(), map[string]string{"ic": a.IC, "password": secret["password"]}, "ic", "password"); a.Faults != nil {
		d.showLogin(w, r, http.StatusUnprocessableEntity, a)
		return
	}
	var begun struct {
		ID        string    `json:"session_id"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	err := d.Call(r, http.MethodPost, "/v1/sessions", map[string]string{"ic": a.IC, "password": secret["password"]}, &begun)
	if p := page.Of(err); p != nil && p.Status < 500 {
		a.Faults = page.FaultsOf(r.Context(), p, map[string]string{"ic": "ic", "password": "password"})
		d.tooMany(w, p, &a)
		d.showLogin(w, r, p.Status, a)
		return
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	d.keep(w, loginCookie, begun.ID, begun.ExpiresAt)
	page.See(w, r, inQuery(codePath, "next", a.Next))
}

// keep has the browser remember what a code is for, and until when.
func (d *desk) keep(w http.ResponseWriter, cookie, id string, until time.Time) {
	http.SetCookie(w, d.Cookie(cookie, id+"."+strconv.FormatInt(until.Unix(), 10), max(1, int(until.Sub(d.Now()).Seconds()))))
}

// kept is what [desk.keep] kept.
func (d *desk) kept(r *http.Request, cookie string) (id string, until time.Time) {
	id, end, _ := strings.Cut(d.CookieValue(r, cookie), ".")
	n, err := strconv.ParseInt(end, 10, 64)
	if err != nil {
		return "", time.Time{}
	}
	return id, time.Unix(n, 0)
}

// missing names the fields that have to be filled in and were not.
func missing(ctx context.Context, values map[string]string, names ...string) (out page.Faults) {
	for _, n := range names {
		if values[n] == "" {
			out = append(out, page.Fault{Field: n, Text: page.T(ctx, "account.missing."+n)})
		}
	}
	return out
}

func (d *desk) code(w http.ResponseWriter, r *http.Request) {
	id, until := d.kept(r, loginCookie)
	if id == "" {
		d.LogIn(w, r)
		return
	}
	d.Show(w, r, http.StatusOK, code(attempt{Next: page.Next(r), Until: until}))
}

// finish is the second step. The session is new: nothing that the browser had before counts in it.
func (d *desk) finish(w http.ResponseWriter, r *http.Request) {
	id, until := d.kept(r, loginCookie)
	a := attempt{Next: page.Next(r), Until: until}
	given := digits(secrets(r, "code")["code"])
	page.Returning(r, inQuery(codePath, "next", a.Next))
	if id == "" {
		a.Ended = true
		d.Show(w, r, http.StatusGone, code(a))
		return
	}
	err := d.CallFor(w, r, http.MethodPost, "/v1/sessions/"+url.PathEscape(id)+"/code", map[string]string{"code": given}, nil)
	if p := page.Of(err); p != nil && p.Status < 500 {
		a.Faults = page.FaultsOf(r.Context(), p, map[string]string{"code": "code", "otp_wrong": "code"})
		a.Ended = codeEnded(p.Code)
		d.tooMany(w, p, &a)
		d.Show(w, r, p.Status, code(a))
		return
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	d.entered(w, r, a.Next)
}

// codeEnded says whether a problem leaves a code that is of no more use.
func codeEnded(problem string) bool {
	switch problem {
	case "otp_expired", "otp_attempts_exhausted", "otp_already_used":
		return true
	}
	return false
}

// entered clears what led to the session, and goes on.
func (d *desk) entered(w http.ResponseWriter, r *http.Request, next string) {
	http.SetCookie(w, d.Cookie(loginCookie, "", -1))
	http.SetCookie(w, d.Cookie("form", "", -1))
	page.See(w, r, next)
}

// ceremony is what the browser is asked to do with a passkey.
type ceremony struct {
	ID      string          `json:"session_id"`
	Options json.RawMessage `json:"options"`
}

// beginPasskey answers passkey.js.
func (d *desk) beginPasskey(w http.ResponseWriter, r *http.Request) {
	d.ceremony(w, r, "/v1/sessions/webauthn")
}

func (d *desk) ceremony(w http.ResponseWriter, r *http.Request, path string) {
	var begun ceremony
	status, out := http.StatusOK, any(&begun)
	if err := d.Call(r, http.MethodPost, path, nil, &begun); err != nil {
		p := page.Of(err)
		if p == nil {
			d.Log.ErrorContext(r.Context(), "a passkey could not be asked for", "error", err)
			p = &page.Problem{Status: http.StatusServiceUnavailable, Title: page.T(r.Context(), "page.later")}
		}
		status, out = p.Status, map[string]string{"detail": page.FaultsOf(r.Context(), p, nil)[0].Text}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(out) // an error means that the browser has gone
}

// finishPasskey takes what the browser made of it.
func (d *desk) finishPasskey(w http.ResponseWriter, r *http.Request) {
	a := attempt{Next: page.Next(r)}
	in := map[string]any{"credential": rawJSON(r.PostForm.Get("credential"))}
	err := d.CallFor(w, r, http.MethodPost, "/v1/sessions/"+url.PathEscape(r.PostForm.Get("session_id"))+"/webauthn", in, nil)
	if p := page.Of(err); p != nil && p.Status < 500 {
		a.Faults = page.FaultsOf(r.Context(), p, nil)
		if p.Status != http.StatusTooManyRequests { // whatever it was, there are two ways on
			a.Faults[0].Text += " " + page.T(r.Context(), "login.passkey.else")
		}
		d.tooMany(w, p, &a)
		d.showLogin(w, r, p.Status, a)
		return
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	d.entered(w, r, a.Next)
}

// rawJSON is text if it is JSON, else null.
func rawJSON(text string) json.RawMessage {
	if !json.Valid([]byte(text)) {
		return json.RawMessage("null")
	}
	return json.RawMessage(text)
}

// logout ends the session. Who has none any more is logged out already.
func (d *desk) logout(w http.ResponseWriter, r *http.Request) {
	if err := d.leave(w, r); err != nil {
		d.Failed(w, r, err)
		return
	}
	d.Say(w, "account.said.out")
	page.See(w, r, page.LoginPath)
}

// leave ends the session, and has the browser forget all but what keep names ([page.Site.Forget]).
func (d *desk) leave(w http.ResponseWriter, r *http.Request, keep ...string) error {
	err := d.CallFor(w, r, http.MethodDelete, "/v1/me/sessions/current", nil, nil)
	if p := page.Of(err); err != nil && (p == nil || p.Status != http.StatusUnauthorized) {
		return err
	}
	d.Forget(w, r, keep...)
	return nil
}

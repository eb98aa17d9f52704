package portal

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/page"
)

const (
	profilePath  = "/portal/profile"
	emailPath    = profilePath + "/email"
	phonePath    = profilePath + "/phone"
	passwordPath = profilePath + "/password"
	passkeysPath = profilePath + "/passkeys"
	sessionsPath = profilePath + "/sessions"
	exportPath   = profilePath + "/export"
	deletePath   = profilePath + "/delete"
)

func (d *desk) profileRoutes(r chi.Router) {
	r.Get(profilePath, d.profile)
	r.Get(emailPath, d.Fresh(d.email))
	r.Post(emailPath, d.Form(d.changeEmail))
	r.Post(emailPath+"/cancel", d.Form(d.cancelEmail))
	r.Get(phonePath, d.Fresh(d.phone))
	r.Post(phonePath, d.Form(d.changePhone))
	r.Get(phonePath+"/code", d.phoneCode)
	r.Post(phonePath+"/code", d.Form(d.confirmPhone))
	r.Get(passwordPath, d.password)
	r.Post(passwordPath, d.Form(d.changePassword))
	r.Get(passkeysPath, d.Fresh(d.passkeys))
	r.Post(passkeysPath, d.Form(d.addPasskey))
	r.Post(passkeysPath+"/begin", d.Form(d.startPasskey))
	r.Post(passkeysPath+"/drop", d.Form(d.dropPasskey))
	r.Post(sessionsPath+"/end", d.Form(d.endSession))
	r.Post(sessionsPath+"/others", d.Form(d.endOthers))
	r.Get(exportPath, d.Fresh(d.export))
	r.Get(exportPath+"/file", d.exportFile)
	r.Get(deletePath, d.Fresh(d.deletion))
	r.Post(deletePath, d.Form(d.askDeletion))
	r.Get(deletePath+"/code", d.deletionCode)
	r.Post(deletePath+"/code", d.Form(d.confirmDeletion))
}

type session struct {
	ID        string     `json:"session_id"`
	Current   bool       `json:"current"`
	Method    string     `json:"method"`
	Token     string     `json:"token"`
	Address   string     `json:"address"`
	Agent     string     `json:"agent"`
	CreatedAt time.Time  `json:"created_at"`
	SeenAt    time.Time  `json:"seen_at"`
	ExpiresAt *time.Time `json:"expires_at"`
}

type passkey struct {
	ID        string     `json:"id"`
	Label     string     `json:"label"`
	CreatedAt time.Time  `json:"created_at"`
	UsedAt    *time.Time `json:"used_at"`
}

// change is one of the address that codes go to.
type change struct {
	ID      string     `json:"change_id"`
	State   string     `json:"state"`
	Old     string     `json:"old_email"`
	New     string     `json:"new_email"`
	Until   time.Time  `json:"until"`
	OldAt   *time.Time `json:"old_confirmed_at"`
	NewAt   *time.Time `json:"new_confirmed_at"`
	OldMail string     `json:"old_reply"`
	NewMail string     `json:"new_reply"`
}

// self is what the profile shows.
type self struct {
	Said     string
	Mobile   string
	Own      ownCertificate
	Sessions []session
	Passkeys []passkey
	Change   *change // under way
	Officer  bool    // registered as one: administrators who sign nothing have no number and no address change
}

// optional takes a refusal that only says that somebody is not registered as an officer.
func optional(err error) error {
	if p := page.Of(err); p != nil && (p.Status == http.StatusNotFound || p.Status == http.StatusForbidden) {
		return nil
	}
	return err
}

func (d *desk) profile(w http.ResponseWriter, r *http.Request) {
	s := self{}
	err := d.Call(r, http.MethodGet, "/v1/me/certificate", nil, &s.Own)
	s.Officer = page.Who(r.Context()).Kind == "officer" || s.Own.Status != "NOT_REGISTERED"
	if err == nil {
		var list struct {
			Sessions []session `json:"sessions"`
			Passkeys []passkey `json:"passkeys"`
		}
		err = d.Call(r, http.MethodGet, "/v1/me/sessions", nil, &list)
		if err == nil {
			err = d.Call(r, http.MethodGet, "/v1/me/passkeys", nil, &list)
		}
		s.Sessions, s.Passkeys = list.Sessions, list.Passkeys
	}
	s.Own.Ways = slices.Compact(s.Own.Ways) // of several keys for one system
	if err == nil && s.Officer {
		var phone struct {
			Mobile string `json:"mobile"`
		}
		if err = optional(d.Call(r, http.MethodGet, "/v1/me/phone", nil, &phone)); err == nil {
			s.Mobile = phone.Mobile
			s.Change, err = d.pendingChange(r)
		}
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	s.Said = d.Said(w, r)
	d.Show(w, r, http.StatusOK, profile(&s))
}

func (d *desk) pendingChange(r *http.Request) (*change, error) {
	var list struct {
		Changes []change `json:"changes"`
	}
	err := optional(d.Call(r, http.MethodGet, "/v1/me/email", nil, &list))
	for k := range list.Changes {
		if list.Changes[k].State == "PENDING" {
			return &list.Changes[k], err
		}
	}
	return nil, err
}

// entry is a form of the profile, as it is shown and shown again.
type entry struct {
	Value  string
	Faults page.Faults
	Until  time.Time // of a code
	Ended  bool      // the code is of no more use
	PIN    bool      // it is proved by the PIN, else by the password
	Keys   []passkey
	Change *change
	Loss   loss
}

// loss is what the end of an account takes with it.
type loss struct {
	ID        string    `json:"confirmation_id"`
	ExpiresAt time.Time `json:"expires_at"`
	Ends      []struct {
		System string `json:"system"`
		Medium string `json:"medium"`
		Serial string `json:"serial_number"`
	} `json:"ends"`
	Withdrawn []string `json:"withdrawn"`
}

func (d *desk) email(w http.ResponseWriter, r *http.Request) {
	c, err := d.pendingChange(r)
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	d.Show(w, r, http.StatusOK, email(&entry{Change: c}))
}

func (d *desk) changeEmail(w http.ResponseWriter, r *http.Request) {
	e := &entry{Value: strings.TrimSpace(r.PostForm.Get("email"))}
	if e.Faults = missing(r.Context(), map[string]string{"email": e.Value}, "email"); e.Faults != nil {
		d.Show(w, r, http.StatusUnprocessableEntity, email(e))
		return
	}
	err := d.Call(r, http.MethodPost, "/v1/me/email", map[string]string{"email": e.Value}, nil)
	if err != nil {
		d.Refused(w, r, err, map[string]string{"email": "email", "email_invalid": "email", "email_same": "email", "email_typo": "email", "personal_mail": "email"}, e.again(email))
		return
	}
	d.Say(w, "account.said.email")
	page.See(w, r, profilePath)
}

// again shows the form with what was wrong.
func (e *entry) again(form func(*entry) templ.Component) func(page.Faults) templ.Component {
	return func(f page.Faults) templ.Component {
		e.Faults = f
		return form(e)
	}
}

func (d *desk) cancelEmail(w http.ResponseWriter, r *http.Request) {
	d.done(w, r, d.Call(r, http.MethodDelete, "/v1/me/email/"+url.PathEscape(r.PostForm.Get("id")), nil, nil), "email-cancelled")
}

// done answers what needs no form of its own.
func (d *desk) done(w http.ResponseWriter, r *http.Request, err error, said string) {
	switch p := page.Of(err); {
	case p != nil && p.Code == "session_not_fresh":
		d.Show(w, r, http.StatusForbidden, page.Stale(profilePath))
	case err != nil:
		d.Failed(w, r, err)
	default:
		d.Say(w, "account.said."+said)
		page.See(w, r, profilePath)
	}
}

func (d *desk) phone(w http.ResponseWriter, r *http.Request) {
	d.Show(w, r, http.StatusOK, phone(&entry{}))
}

// Cookies that name what a mailed code is for; they open nothing.
const (
	phoneCookie  = "phone"
	deleteCookie = "delete"
)

func (d *desk) changePhone(w http.ResponseWriter, r *http.Request) {
	e := &entry{Value: strings.TrimSpace(r.PostForm.Get("mobile"))}
	var begun loss
	if err := d.Call(r, http.MethodPost, "/v1/me/phone", map[string]string{"mobile": e.Value}, &begun); err != nil {
		d.Refused(w, r, err, map[string]string{"mobile": "mobile", "mobile_invalid": "mobile"}, e.again(phone))
		return
	}
	d.keep(w, phoneCookie, begun.ID+"~"+url.QueryEscape(e.Value), begun.ExpiresAt)
	page.See(w, r, phonePath+"/code")
}

// phoneAsked is the number that a code was mailed for.
func (d *desk) phoneAsked(r *http.Request) (id, mobile string, until time.Time) {
	both, until := d.kept(r, phoneCookie)
	id, mobile, _ = strings.Cut(both, "~")
	mobile, _ = url.QueryUnescape(mobile)
	return id, mobile, until
}

func (d *desk) phoneCode(w http.ResponseWriter, r *http.Request) {
	id, mobile, until := d.phoneAsked(r)
	if id == "" {
		page.See(w, r, phonePath)
		return
	}
	d.Show(w, r, http.StatusOK, phoneCode(&entry{Value: mobile, Until: until}))
}

func (d *desk) confirmPhone(w http.ResponseWriter, r *http.Request) {
	id, mobile, until := d.phoneAsked(r)
	e := &entry{Value: mobile, Until: until}
	in := map[string]string{"code": digits(secrets(r, "code")["code"]), "mobile": mobile}
	if d.coded(w, r, "/v1/me/phone/", id, in, e, phoneCode) {
		http.SetCookie(w, d.Cookie(phoneCookie, "", -1))
		d.Say(w, "account.said.phone")
		page.See(w, r, profilePath)
	}
}

// coded confirms something by its mailed code; it has answered when it gives false.
func (d *desk) coded(w http.ResponseWriter, r *http.Request, path, id string, in any, e *entry, form func(*entry) templ.Component) bool {
	if id == "" {
		e.Ended = true
		d.Show(w, r, http.StatusGone, form(e))
		return false
	}
	if err := d.CallFor(w, r, http.MethodPost, path+url.PathEscape(id)+"/confirm", in, nil); err != nil {
		if p := page.Of(err); p != nil {
			e.Ended = codeEnded(p.Code)
		}
		d.Refused(w, r, err, map[string]string{"code": "code", "otp_wrong": "code"}, e.again(form))
		return false
	}
	return true
}

func (d *desk) password(w http.ResponseWriter, r *http.Request) {
	d.Show(w, r, http.StatusOK, password(&entry{}))
}

func (d *desk) changePassword(w http.ResponseWriter, r *http.Request) {
	e := &entry{}
	in := secrets(r, "old", "new", "again")
	e.Faults = missing(r.Context(), in, "old", "new", "again")
	if e.Faults == nil && in["new"] != in["again"] {
		e.Faults = page.Faults{{Field: "again", Text: page.T(r.Context(), "account.differs")}}
	}
	if e.Faults != nil {
		d.Show(w, r, http.StatusUnprocessableEntity, password(e))
		return
	}
	if err := d.CallFor(w, r, http.MethodPost, "/v1/me/password", map[string]string{"old": in["old"], "new": in["new"]}, nil); err != nil {
		d.Refused(w, r, err, map[string]string{"old": "old", "new": "new", "password_wrong": "old", "password_refused": "new"}, e.again(password))
		return
	}
	d.Forget(w, r) // the session has ended with all others
	d.Say(w, "account.said.password")
	page.See(w, r, page.LoginPath)
}

func (d *desk) passkeys(w http.ResponseWriter, r *http.Request) {
	d.Show(w, r, http.StatusOK, addPasskey(&entry{Value: device(r.Context(), r.UserAgent())}))
}

func (d *desk) startPasskey(w http.ResponseWriter, r *http.Request) {
	d.ceremony(w, r, "/v1/me/passkeys/begin")
}

func (d *desk) addPasskey(w http.ResponseWriter, r *http.Request) {
	e := &entry{Value: strings.TrimSpace(r.PostForm.Get("label"))}
	in := map[string]any{"session_id": r.PostForm.Get("session_id"), "label": e.Value, "credential": rawJSON(r.PostForm.Get("credential"))}
	if err := d.Call(r, http.MethodPost, "/v1/me/passkeys", in, nil); err != nil {
		d.Refused(w, r, err, map[string]string{"label": "label"}, e.again(addPasskey))
		return
	}
	d.Say(w, "account.said.passkey")
	page.See(w, r, profilePath)
}

func (d *desk) dropPasskey(w http.ResponseWriter, r *http.Request) {
	d.done(w, r, d.Call(r, http.MethodDelete, "/v1/me/passkeys/"+url.PathEscape(r.PostForm.Get("id")), nil, nil), "passkey-gone")
}

func (d *desk) endSession(w http.ResponseWriter, r *http.Request) {
	err := d.CallFor(w, r, http.MethodDelete, "/v1/me/sessions/"+url.PathEscape(r.PostForm.Get("id")), nil, nil)
	if p := page.Of(err); p != nil && p.Status == http.StatusNotFound { // it has ended meanwhile
		err = nil
	}
	if id := r.PostForm.Get("id"); err == nil && (id == "current" || id == page.Who(r.Context()).Session.ID) {
		d.Forget(w, r)
	}
	d.done(w, r, err, "session")
}

func (d *desk) endOthers(w http.ResponseWriter, r *http.Request) {
	d.done(w, r, d.Call(r, http.MethodDelete, "/v1/me/sessions", nil, nil), "others")
}

func (d *desk) export(w http.ResponseWriter, r *http.Request) {
	d.Show(w, r, http.StatusOK, export())
}

func (d *desk) exportFile(w http.ResponseWriter, r *http.Request) {
	if d.Now().Sub(page.Who(r.Context()).Session.CreatedAt) > page.FreshFor {
		page.See(w, r, exportPath)
		return
	}
	d.Relay(w, r, "/v1/me/export")
}

// signatory says whether a PIN can prove who it is.
func (d *desk) signatory(r *http.Request) (bool, error) {
	var own ownCertificate
	err := d.Call(r, http.MethodGet, "/v1/me/certificate", nil, &own)
	return own.signs() != nil, err
}

func (d *desk) deletion(w http.ResponseWriter, r *http.Request) {
	pin, err := d.signatory(r)
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	d.Show(w, r, http.StatusOK, deletion(&entry{PIN: pin}))
}

func (d *desk) askDeletion(w http.ResponseWriter, r *http.Request) {
	given := secrets(r, "proof")
	e := &entry{Value: r.PostForm.Get("sure")}
	var err error
	if e.PIN, err = d.signatory(r); err != nil {
		d.Failed(w, r, err)
		return
	}
	if e.Faults = missing(r.Context(), map[string]string{"proof": given["proof"], "sure": e.Value}, "proof", "sure"); e.Faults != nil {
		d.Show(w, r, http.StatusUnprocessableEntity, deletion(e))
		return
	}
	kind := map[bool]string{true: "pin", false: "password"}[e.PIN]
	if err := d.Call(r, http.MethodPost, "/v1/me/deletion", map[string]string{kind: given["proof"]}, &e.Loss); err != nil {
		d.Refused(w, r, err, map[string]string{"pin_wrong": "proof", "pin_missing": "proof", "password_wrong": "proof", "pin": "proof", "password": "proof"}, e.again(deletion))
		return
	}
	d.keep(w, deleteCookie, e.Loss.ID, e.Loss.ExpiresAt)
	page.See(w, r, deletePath+"/code")
}

func (d *desk) deletionCode(w http.ResponseWriter, r *http.Request) {
	id, until := d.kept(r, deleteCookie)
	if id == "" {
		page.See(w, r, deletePath)
		return
	}
	d.Show(w, r, http.StatusOK, deletionCode(&entry{Until: until}))
}

func (d *desk) confirmDeletion(w http.ResponseWriter, r *http.Request) {
	id, until := d.kept(r, deleteCookie)
	e := &entry{Until: until}
	if d.coded(w, r, "/v1/me/deletion/", id, map[string]string{"code": digits(secrets(r, "code")["code"])}, e, deletionCode) {
		d.Forget(w, r)
		d.Say(w, "account.said.deleted")
		page.See(w, r, page.LoginPath)
	}
}

// device says what a browser calls itself, as people call it.
func device(ctx context.Context, agent string) string {
	find := func(names ...[2]string) string {
		for _, n := range names {
			if strings.Contains(agent, n[0]) {
				return n[1]
			}
		}
		return ""
	}
	browser := find([2]string{"Edg/", "Microsoft Edge"}, [2]string{"OPR/", "Opera"}, [2]string{"SamsungBrowser", "Samsung Internet"}, [2]string{"Firefox/", "Firefox"}, [2]string{"FxiOS", "Firefox"},
		[2]string{"Chrome/", "Chrome"}, [2]string{"CriOS", "Chrome"}, [2]string{"Safari/", "Safari"})
	system := find([2]string{"Windows", "Windows"}, [2]string{"iPhone", "iPhone"}, [2]string{"iPad", "iPad"}, [2]string{"Android", "Android"}, [2]string{"Mac OS X", "Mac"}, [2]string{"CrOS", "ChromeOS"}, [2]string{"Linux", "Linux"})
	switch {
	case browser != "" && system != "":
		return page.T(ctx, "account.device", "Browser", browser, "System", system)
	case agent != "":
		return agent
	}
	return page.T(ctx, "account.device.unknown")
}

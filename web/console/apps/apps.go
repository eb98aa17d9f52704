// Package apps serves the console's pages of the applications that ask for signatures, with their
// credentials and webhooks, and of the ICT systems that they speak for.
package apps

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/internal/myt"
	"github.com/mohor-sign/mohor/web/page"
)

const (
	appsPath    = "/admin/apps"
	systemsPath = "/admin/systems"
)

// desk is the area at work.
type desk struct{ *page.Site }

// Routes adds its pages to r, whose visitors are administrators in a role that the menu lets in.
func Routes(r chi.Router, s *page.Site) {
	d := &desk{s}
	// both adds a page with a form: the form is posted to its own address, which a log-in anew
	// comes back to.
	both := func(path string, get, post http.HandlerFunc) {
		r.Get(path, get)
		r.Post(path, d.Form(post))
	}
	const one = appsPath + "/{id}"
	r.Get(appsPath, d.list)
	both(appsPath+"/new", d.Fresh(d.newApp), d.register)
	r.Get(one, d.show)
	both(one+"/change", d.Fresh(d.changing), d.change)
	both(one+"/confirm", d.Fresh(d.proposed), d.confirm)
	for _, turn := range []string{"suspend", "resume", "end"} {
		ask := d.turning(turn)
		if turn != "suspend" {
			ask = d.Fresh(ask)
		}
		both(one+"/"+turn, ask, d.turn(turn))
	}
	both(one+"/credentials/new", d.Fresh(d.newCredential), d.addCredential)
	both(one+"/credentials/{credential}/revoke", d.revoking, d.revoke)
	both(one+"/credentials/{credential}/confirm", d.Fresh(d.confirmingCredential), d.confirmCredential)
	d.webhookRoutes(r, both)
	d.systemRoutes(r, both)
}

// registration is what an app may do, as the API has it.
type registration struct {
	Name         string   `json:"name"`
	Systems      []string `json:"systems"`
	Grants       []string `json:"grants"`
	PINEntry     string   `json:"pin_entry"`
	Rate         float64  `json:"rate"`
	RedirectURIs []string `json:"redirect_uris"`
	Webhook      string   `json:"webhook"`
	MTLS         bool     `json:"mtls"`
}

// made says who made what a second person confirms.
type made struct {
	By     string `json:"by"`
	ByName string `json:"by_name"`
	Yours  bool   `json:"yours"`
}

// who names who made it.
func (m *made) who(ctx context.Context) string {
	switch {
	case m.Yours:
		return page.T(ctx, "apps.you")
	case m.ByName != "":
		return m.ByName
	case strings.HasPrefix(m.By, "cli:"):
		return page.T(ctx, "apps.machine")
	case m.By == "":
		return page.T(ctx, "apps.gateway")
	}
	return m.By
}

// app is one as the API shows it.
type app struct {
	ID string `json:"app_id"`
	registration
	State     string    `json:"state"`
	CreatedAt time.Time `json:"created_at"`
	Proposal  *struct {
		ID string `json:"proposal_id"`
		made
		registration
	} `json:"proposal"`
	Credentials []credential `json:"credentials"`
	// Of a list.
	Live     int        `json:"credentials_live"`
	Awaiting int        `json:"credentials_awaiting"`
	EndsAt   *time.Time `json:"credential_ends_at"`
	LastUsed string     `json:"last_used"`
}

func (a *app) path() string { return appsPath + "/" + url.PathEscape(a.ID) }

// api is the app's address in the API.
func apiOf(id string) string { return "/v1/admin/apps/" + url.PathEscape(id) }

// toBe is the registration as it is, or as it is to be.
func (a *app) toBe() registration {
	if a.Proposal != nil {
		return a.Proposal.registration
	}
	return a.registration
}

// tone of an app's state.
func (a *app) tone() string {
	return map[string]string{"ACTIVE": page.Good, "PROPOSED": page.Wait, "SUSPENDED": page.Bad}[a.State]
}

// decides says whether who is logged in acts for all of some systems: what the API refuses to others
// is not offered to them.
func decides(ctx context.Context, systems ...string) bool {
	if page.HasRole(ctx, "JDN") {
		return true
	}
	return page.HasRole(ctx, "SAP") && !slices.ContainsFunc(systems, func(code string) bool {
		return !slices.ContainsFunc(page.Who(ctx).Appointments, func(a page.Appointment) bool { return a.Role == "SAP" && a.System == code })
	})
}

// central says whether who is logged in is of JDN.
func central(ctx context.Context) bool { return page.HasRole(ctx, "JDN") }

// find reads the app of the address; where that cannot be, the answer is given.
func (d *desk) find(w http.ResponseWriter, r *http.Request) (*app, bool) {
	a := &app{}
	if err := d.Call(r, http.MethodGet, apiOf(page.Param(r, "id")), nil, a); err != nil {
		d.Failed(w, r, err)
		return nil, false
	}
	return a, true
}

// listing is a page of the list.
type listing struct {
	Said                string
	System, State, Text string
	After               string
	Apps, Awaiting      []app
	Next                string
	Systems             []system
}

const pageOfApps = 50

// query is the list's address behind an app.
func (l *listing) query(after string) string {
	q := url.Values{}
	for name, v := range map[string]string{"system": l.System, "state": l.State, "q": l.Text, "after": after} {
		if v != "" {
			q.Set(name, v)
		}
	}
	if len(q) == 0 {
		return appsPath
	}
	return appsPath + "?" + q.Encode()
}

func (l *listing) narrowed() bool { return l.System+l.State+l.Text != "" }

func (d *desk) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	l := &listing{System: q.Get("system"), State: q.Get("state"), Text: strings.TrimSpace(q.Get("q")), After: q.Get("after")}
	ask := url.Values{"limit": {strconv.Itoa(pageOfApps)}}
	for name, v := range map[string]string{"system": l.System, "state": l.State, "q": l.Text, "after": l.After} {
		if v != "" {
			ask.Set(name, v)
		}
	}
	var found struct {
		Apps []app  `json:"apps"`
		Next string `json:"next"`
	}
	err := d.Call(r, http.MethodGet, "/v1/admin/apps?"+ask.Encode(), nil, &found)
	if err == nil {
		l.Apps, l.Next = found.Apps, found.Next
		l.Systems, err = d.readSystems(r)
	}
	if err == nil && !l.narrowed() && l.After == "" {
		found.Apps = nil
		err = d.Call(r, http.MethodGet, "/v1/admin/apps?awaits=true&limit=20", nil, &found)
		l.Awaiting = found.Apps
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	l.Said = d.Said(w, r)
	d.Show(w, r, http.StatusOK, list(l))
}

func (d *desk) show(w http.ResponseWriter, r *http.Request) {
	if a, ok := d.find(w, r); ok {
		d.Show(w, r, http.StatusOK, show(a, d.Said(w, r)))
	}
}

// asked is a page that asks for a reason, or for nothing but a yes.
type asked struct {
	App    *app
	Of     *credential
	What   string // "suspend", "resume", "end", "revoke", "confirm"
	Reason string
	Faults page.Faults
}

func (x *asked) again(form func(*asked) templ.Component) func(page.Faults) templ.Component {
	return func(f page.Faults) templ.Component {
		x.Faults = f
		return form(x)
	}
}

func (d *desk) turning(what string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if a, ok := d.find(w, r); ok {
			d.Show(w, r, http.StatusOK, turn(&asked{App: a, What: what}))
		}
	}
}

func (d *desk) turn(what string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a, ok := d.find(w, r)
		if !ok {
			return
		}
		x := &asked{App: a, What: what, Reason: strings.TrimSpace(r.PostForm.Get("reason"))}
		if err := d.Call(r, http.MethodPost, apiOf(a.ID)+"/"+what, map[string]string{"reason": x.Reason}, nil); err != nil {
			d.Refused(w, r, err, map[string]string{"reason": "reason", "reason_missing": "reason"}, x.again(turn))
			return
		}
		d.Say(w, "apps.said."+what)
		page.See(w, r, a.path())
	}
}

func (d *desk) proposed(w http.ResponseWriter, r *http.Request) {
	if a, ok := d.find(w, r); ok {
		if a.Proposal == nil {
			page.See(w, r, a.path())
			return
		}
		d.Show(w, r, http.StatusOK, confirming(&asked{App: a}))
	}
}

// confirm confirms the proposal that was seen: one made since is refused, and shown.
func (d *desk) confirm(w http.ResponseWriter, r *http.Request) {
	id := page.Param(r, "id")
	err := d.Call(r, http.MethodPost, apiOf(id)+"/confirm", map[string]string{"proposal_id": r.PostForm.Get("proposal")}, nil)
	if err == nil {
		d.Say(w, "apps.said.confirmed")
		page.See(w, r, appsPath+"/"+url.PathEscape(id))
		return
	}
	a, ok := d.find(w, r)
	if !ok {
		return
	}
	x := &asked{App: a}
	d.Refused(w, r, err, nil, x.again(confirming))
}

// difference is a line of what is proposed beside what is now.
type difference struct {
	Name     string
	Now, New []string
	Changed  bool
}

// differences are all that a proposal can change; of an app that was never in force nothing is now.
func (a *app) differences(ctx context.Context) []difference {
	was, n := lines(ctx, &a.registration), lines(ctx, &a.Proposal.registration)
	for k := range n {
		if n[k].Now = was[k].New; a.State == "PROPOSED" {
			n[k].Now = nil
		}
		n[k].Changed = !slices.Equal(n[k].Now, n[k].New)
	}
	return n
}

// lines are a registration in words.
func lines(ctx context.Context, x *registration) []difference {
	var grants []string
	for _, g := range allGrants {
		if slices.Contains(x.Grants, g) {
			grants = append(grants, page.T(ctx, "apps.grant."+g))
		}
	}
	mtls := "apps.mtls.no"
	if x.MTLS {
		mtls = "apps.mtls.yes"
	}
	var hook []string
	if x.Webhook != "" {
		hook = []string{x.Webhook}
	}
	return []difference{
		{Name: page.T(ctx, "apps.name"), New: []string{x.Name}},
		{Name: page.T(ctx, "apps.systems"), New: x.Systems},
		{Name: page.T(ctx, "apps.grants"), New: grants},
		{Name: page.T(ctx, "apps.pin"), New: []string{page.T(ctx, "apps.pin."+x.PINEntry)}},
		{Name: page.T(ctx, "apps.rate"), New: []string{page.T(ctx, "apps.rate.value", "Rate", rate(x.Rate))}},
		{Name: page.T(ctx, "apps.uris"), New: x.RedirectURIs},
		{Name: page.T(ctx, "apps.webhook"), New: hook},
		{Name: page.T(ctx, "apps.mtls"), New: []string{page.T(ctx, mtls)}},
	}
}

func rate(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// day reads a date of a form as the instant at which it begins in Malaysia.
func day(text string) (time.Time, error) {
	return time.ParseInLocation(time.DateOnly, text, myt.Zone)
}

// dayUTC is a date of the API's in words.
func dayUTC(ctx context.Context, text string) string {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return text
	}
	return page.Day(ctx, t)
}

func has(list []string, v string) bool { return slices.Contains(list, v) }

func (a *app) granted(g string) bool { return slices.Contains(a.Grants, g) }

// powerful says whether an app has, or is to have, what a second person confirms whoever asks for it.
func (a *app) powerful() bool {
	power := func(x *registration) bool { return x.PINEntry == "app" || slices.ContainsFunc(x.Grants, second) }
	return power(&a.registration) || a.Proposal != nil && power(&a.Proposal.registration)
}

package apps

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"github.com/mohor-sign/mohor/web/page"
)

// allGrants are what an app may be granted, those with power last.
var allGrants = []string{"sign", "lookup", "verify", "RAW", "pades_digest", "csc_explicit"}

// second says whether a grant awaits a second person, whoever asks for it.
func second(grant string) bool { return slices.Contains(allGrants[3:], grant) }

// form is an app's registration as it is filled in.
type form struct {
	ID string
	registration
	RateText, URIText string
	Was               *app     // nil: a new one
	Offered           []system // to choose from
	Faults            page.Faults
}

func (f *form) again(faults page.Faults) templ.Component {
	f.Faults = faults
	return edit(f)
}

// filled is the form with what an app is to be.
func filled(a *app) *form {
	f := &form{Was: a, ID: a.ID, registration: a.toBe()}
	f.RateText, f.URIText = rate(f.Rate), strings.Join(f.RedirectURIs, "\n")
	return f
}

// choices are the systems that who is logged in acts for, and those that the app has already.
func (d *desk) choices(r *http.Request, chosen []string) ([]system, error) {
	all, err := d.readSystems(r)
	return slices.DeleteFunc(all, func(s system) bool {
		return !decides(r.Context(), s.Code) && !slices.Contains(chosen, s.Code)
	}), err
}

func (d *desk) newApp(w http.ResponseWriter, r *http.Request) {
	f := &form{registration: registration{Grants: allGrants[:3], PINEntry: "hosted"}, RateText: "50"}
	var err error
	if f.Offered, err = d.choices(r, nil); err != nil {
		d.Failed(w, r, err)
		return
	}
	if len(f.Offered) == 1 {
		f.registration.Systems = []string{f.Offered[0].Code}
	}
	d.Show(w, r, http.StatusOK, edit(f))
}

// typed is what was filled in, with what is plainly missing.
func typed(r *http.Request) *form {
	v := r.PostForm
	f := &form{ID: strings.TrimSpace(v.Get("app_id")), RateText: strings.TrimSpace(v.Get("rate")), URIText: v.Get("redirect_uris")}
	f.registration = registration{Name: strings.TrimSpace(v.Get("name")), Systems: append([]string{}, v["systems"]...), Grants: append([]string{}, v["grants"]...), PINEntry: v.Get("pin_entry"),
		Webhook: strings.TrimSpace(v.Get("webhook")), MTLS: v.Get("mtls") != "", RedirectURIs: []string{}}
	for line := range strings.Lines(f.URIText) {
		if line = strings.TrimSpace(line); line != "" {
			f.RedirectURIs = append(f.RedirectURIs, line)
		}
	}
	return f
}

// check finds what is missing; the rest is the API's to judge.
func (f *form) check(ctx context.Context) {
	miss := func(field string, missing bool) {
		if missing {
			f.Faults = append(f.Faults, page.Fault{Field: field, Text: page.T(ctx, "apps.missing."+field)})
		}
	}
	miss("app_id", f.ID == "")
	miss("name", f.Name == "")
	miss("systems", len(f.registration.Systems) == 0)
	miss("grants", len(f.Grants) == 0)
	var err error
	f.Rate, err = strconv.ParseFloat(f.RateText, 64)
	miss("rate", err != nil)
}

var appFields = map[string]string{"app_id": "app_id", "app_exists": "app_id", "name": "name", "systems": "systems", "grants": "grants", "pin_entry": "pin_entry", "rate": "rate", "redirect_uris": "redirect_uris",
	"webhook": "webhook", "mtls": "mtls"}

func (d *desk) register(w http.ResponseWriter, r *http.Request) {
	f := typed(r)
	var err error
	if f.Offered, err = d.choices(r, f.registration.Systems); err != nil {
		d.Failed(w, r, err)
		return
	}
	if f.check(r.Context()); f.Faults != nil {
		d.Show(w, r, http.StatusUnprocessableEntity, edit(f))
		return
	}
	in := struct {
		ID string `json:"app_id"`
		registration
	}{f.ID, f.registration}
	a := &app{}
	if err := d.Call(r, http.MethodPost, "/v1/admin/apps", in, a); err != nil {
		d.Refused(w, r, err, appFields, f.again)
		return
	}
	d.taken(w, r, a, "apps.said.registered")
}

// taken goes to the app's page and says what became of a form.
func (d *desk) taken(w http.ResponseWriter, r *http.Request, a *app, said string) {
	if a.Proposal != nil {
		said = "apps.said.proposed"
	}
	d.Say(w, said)
	page.See(w, r, a.path())
}

func (d *desk) changing(w http.ResponseWriter, r *http.Request) {
	a, ok := d.find(w, r)
	if !ok {
		return
	}
	f := filled(a)
	var err error
	if f.Offered, err = d.choices(r, f.registration.Systems); err != nil {
		d.Failed(w, r, err)
		return
	}
	d.Show(w, r, http.StatusOK, edit(f))
}

func (d *desk) change(w http.ResponseWriter, r *http.Request) {
	was, ok := d.find(w, r)
	if !ok {
		return
	}
	f := typed(r)
	f.Was, f.ID = was, was.ID
	var err error
	if f.Offered, err = d.choices(r, f.registration.Systems); err != nil {
		d.Failed(w, r, err)
		return
	}
	if f.check(r.Context()); f.Faults != nil {
		d.Show(w, r, http.StatusUnprocessableEntity, edit(f))
		return
	}
	a := &app{}
	if err := d.Call(r, http.MethodPatch, apiOf(was.ID), f.registration, a); err != nil {
		d.Refused(w, r, err, appFields, f.again)
		return
	}
	d.taken(w, r, a, "apps.said.changed")
}

// anchor is the address of an app's page by its id.
func anchor(id string) string { return appsPath + "/" + url.PathEscape(id) }

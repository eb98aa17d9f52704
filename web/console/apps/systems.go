package apps

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/internal/myt"
	"github.com/mohor-sign/mohor/web/page"
)

func (d *desk) systemRoutes(r chi.Router, both func(string, http.HandlerFunc, http.HandlerFunc)) {
	const one = systemsPath + "/{code}"
	r.Get(systemsPath, d.systems)
	both(systemsPath+"/new", d.newSystem, d.addSystem)
	r.Get(one, d.system)
	both(one+"/change", d.changingSystem, d.changeSystem)
	r.Get(one+"/logo", d.choosingLogo)
	r.Post(one+"/logo", d.Upload(d.setLogo))
	r.Post(one+"/logo/remove", d.Form(d.dropLogo))
	both(one+"/tokens", d.endingTokens, d.endTokens)
}

// system is an ICT system as the API shows it; in a list without its notice and logo.
type system struct {
	Code           string     `json:"system"`
	Title          string     `json:"title"`
	Agency         string     `json:"agency"`
	TokenEnds      *time.Time `json:"token_ends"`
	Notice         string     `json:"notice"`
	HeaderTemplate string     `json:"header_template"`
	LogoType       string     `json:"logo_type"`
	Logo           []byte     `json:"logo"`
}

func (s *system) path() string { return systemsPath + "/" + url.PathEscape(s.Code) }

func apiSystem(code string) string { return "/v1/admin/systems/" + url.PathEscape(code) }

// picture is the logo as an address within the page.
func (s *system) picture() string {
	if len(s.Logo) == 0 {
		return ""
	}
	return "data:" + s.LogoType + ";base64," + base64.StdEncoding.EncodeToString(s.Logo)
}

// tokens is what the system does with tokens: "on", "ends" (from a day to come) or "off".
func (s *system) tokens(now time.Time) string {
	switch {
	case s.TokenEnds == nil:
		return "on"
	case now.Before(*s.TokenEnds):
		return "ends"
	}
	return "off"
}

func tokenTone(state string) string {
	return map[string]string{"on": page.Wait, "ends": page.Info, "off": page.Good}[state]
}

// readSystems are all ICT systems.
func (d *desk) readSystems(r *http.Request) ([]system, error) {
	var out struct {
		Systems []system `json:"systems"`
	}
	err := d.Call(r, http.MethodGet, "/v1/admin/systems", nil, &out)
	return out.Systems, err
}

// systemOf reads the system of the address; where that cannot be, the answer is given.
func (d *desk) systemOf(w http.ResponseWriter, r *http.Request) (*system, bool) {
	s := &system{}
	if err := d.Call(r, http.MethodGet, apiSystem(page.Param(r, "code")), nil, s); err != nil {
		d.Failed(w, r, err)
		return nil, false
	}
	return s, true
}

func (d *desk) systems(w http.ResponseWriter, r *http.Request) {
	all, err := d.readSystems(r)
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	// What one decides about comes first.
	slices.SortStableFunc(all, func(a, b system) int {
		x, y := decides(r.Context(), a.Code), decides(r.Context(), b.Code)
		switch {
		case x == y:
			return strings.Compare(a.Code, b.Code)
		case x:
			return -1
		}
		return 1
	})
	d.Show(w, r, http.StatusOK, systems(all, d.Said(w, r)))
}

// systemPage is a system with what else is known of it.
type systemPage struct {
	system
	Said    string
	Apps    []app
	Hidden  bool // apps and tokens are not for who asks
	Officer int  // who hold tokens
}

func (d *desk) system(w http.ResponseWriter, r *http.Request) {
	s, ok := d.systemOf(w, r)
	if !ok {
		return
	}
	x := &systemPage{system: *s}
	var held struct {
		Officers int `json:"officers"`
	}
	var found struct {
		Apps []app `json:"apps"`
	}
	err := d.Call(r, http.MethodGet, apiSystem(s.Code)+"/tokens", nil, &held)
	if p := page.Of(err); p != nil && p.Status == http.StatusForbidden { // a SAP of another system
		x.Hidden, err = true, nil
	} else if err == nil {
		err = d.Call(r, http.MethodGet, "/v1/admin/apps?"+url.Values{"system": {s.Code}, "limit": {"100"}}.Encode(), nil, &found)
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	x.Apps, x.Officer, x.Said = found.Apps, held.Officers, d.Said(w, r)
	d.Show(w, r, http.StatusOK, showSystem(x))
}

// try is a header read by a template.
type try struct {
	Fits   bool   `json:"fits"`
	Amount string `json:"amount"`
	Parts  []part `json:"parts"`
	Rest   string `json:"rest"`
}

type part struct {
	Field string `json:"field"`
	Want  string `json:"want"`
	Got   string `json:"got"`
}

// verdict is what a try came to: "fits", "any" (there is no template), "differs", "longer" or "people" (it names
// two numbers that are not one).
func (t *try) verdict() string {
	switch {
	case t.Fits && len(t.Parts) == 0:
		return "any"
	case t.Fits:
		return "fits"
	case slices.ContainsFunc(t.Parts, func(p part) bool { return p.Got == "" }):
		return "differs"
	case t.Rest != "":
		return "longer"
	}
	return "people"
}

// nameless says whether no part reads the officer's number.
func (t *try) nameless() bool {
	return len(t.Parts) > 0 && !slices.ContainsFunc(t.Parts, func(p part) bool { return p.Field == "ic" })
}

// at says whether the part is where the header differs.
func (t *try) at(k int) bool { return t.Parts[k].Got == "" && (k == 0 || t.Parts[k-1].Got != "") }

// systemForm is what the signing page shows of a system, as it is filled in.
type systemForm struct {
	System                           *system
	Title, Notice, Template, Example string
	Tried                            *try
	Faults                           page.Faults
}

func (f *systemForm) again(faults page.Faults) templ.Component {
	f.Faults = faults
	return editSystem(f)
}

func (d *desk) changingSystem(w http.ResponseWriter, r *http.Request) {
	if s, ok := d.systemOf(w, r); ok {
		d.Show(w, r, http.StatusOK, editSystem(&systemForm{System: s, Title: s.Title, Notice: s.Notice, Template: s.HeaderTemplate}))
	}
}

// changeSystem saves the form, or with the other button reads an example of a header by the template
// that is typed, and shows the form again.
func (d *desk) changeSystem(w http.ResponseWriter, r *http.Request) {
	s, ok := d.systemOf(w, r)
	if !ok {
		return
	}
	v := r.PostForm
	f := &systemForm{System: s, Title: strings.TrimSpace(v.Get("title")), Notice: v.Get("notice"), Template: strings.TrimSpace(v.Get("header_template")), Example: strings.TrimSpace(v.Get("example"))}
	places := map[string]string{"title": "title", "notice": "notice", "header_template": "header_template", "data_header": "example"}
	if v.Get("do") == "try" {
		f.Tried = &try{}
		in := map[string]string{"header_template": f.Template, "data_header": f.Example}
		if err := d.Call(r, http.MethodPost, apiSystem(s.Code)+"/header", in, f.Tried); err != nil {
			f.Tried = nil
			d.Refused(w, r, err, places, f.again)
			return
		}
		d.Show(w, r, http.StatusOK, editSystem(f))
		return
	}
	in := map[string]string{"title": f.Title, "notice": f.Notice, "header_template": f.Template}
	if err := d.Call(r, http.MethodPatch, apiSystem(s.Code), in, nil); err != nil {
		d.Refused(w, r, err, places, f.again)
		return
	}
	d.Say(w, "apps.said.system")
	page.See(w, r, s.path())
}

// logoForm is the form with a picture.
type logoForm struct {
	System *system
	Faults page.Faults
}

func (f *logoForm) again(faults page.Faults) templ.Component {
	f.Faults = faults
	return editLogo(f)
}

func (d *desk) choosingLogo(w http.ResponseWriter, r *http.Request) {
	if s, ok := d.systemOf(w, r); ok {
		d.Show(w, r, http.StatusOK, editLogo(&logoForm{System: s}))
	}
}

// maxPicture is what is read of a picture before the API judges it: more than it takes.
const maxPicture = 1 << 20

func (d *desk) setLogo(w http.ResponseWriter, r *http.Request, u *page.Upload) {
	s, ok := d.systemOf(w, r)
	if !ok {
		return
	}
	f := &logoForm{System: s}
	if u.File == nil {
		d.Show(w, r, http.StatusUnprocessableEntity, f.again(page.Faults{{Field: "logo", Text: page.T(r.Context(), "apps.missing.logo")}}))
		return
	}
	b, err := io.ReadAll(io.LimitReader(u.File, maxPicture))
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	kind := http.DetectContentType(b)
	if kind != "image/png" && kind != "image/jpeg" {
		d.Show(w, r, http.StatusUnprocessableEntity, f.again(page.Faults{{Field: "logo", Text: page.T(r.Context(), "apps.logo.wrong")}}))
		return
	}
	a, err := d.Ask(r, http.MethodPut, apiSystem(s.Code)+"/logo", kind, strings.NewReader(string(b)))
	if err == nil {
		err = a.Decode(nil)
	}
	if err != nil {
		d.Refused(w, r, err, map[string]string{"logo": "logo", "body": "logo"}, f.again)
		return
	}
	d.Say(w, "apps.said.logo")
	page.See(w, r, s.path())
}

func (d *desk) dropLogo(w http.ResponseWriter, r *http.Request) {
	code := page.Param(r, "code")
	if err := d.Call(r, http.MethodDelete, apiSystem(code)+"/logo", nil, nil); err != nil {
		d.Failed(w, r, err)
		return
	}
	d.Say(w, "apps.said.logo-gone")
	page.See(w, r, (&system{Code: code}).path())
}

// tokenForm asks from when a system takes no more tokens.
type tokenForm struct {
	System *system
	Held   int
	Day    string
	Faults page.Faults
}

func (f *tokenForm) again(faults page.Faults) templ.Component {
	f.Faults = faults
	return editTokens(f)
}

func (d *desk) tokensOf(w http.ResponseWriter, r *http.Request) (*tokenForm, bool) {
	s, ok := d.systemOf(w, r)
	if !ok {
		return nil, false
	}
	var held struct {
		Officers int `json:"officers"`
	}
	if err := d.Call(r, http.MethodGet, apiSystem(s.Code)+"/tokens", nil, &held); err != nil {
		d.Failed(w, r, err)
		return nil, false
	}
	f := &tokenForm{System: s, Held: held.Officers}
	if s.TokenEnds != nil {
		f.Day = s.TokenEnds.In(myt.Zone).Format(time.DateOnly)
	}
	return f, true
}

func (d *desk) endingTokens(w http.ResponseWriter, r *http.Request) {
	if f, ok := d.tokensOf(w, r); ok {
		d.Show(w, r, http.StatusOK, editTokens(f))
	}
}

func (d *desk) endTokens(w http.ResponseWriter, r *http.Request) {
	f, ok := d.tokensOf(w, r)
	if !ok {
		return
	}
	in, said := map[string]any{"from": nil}, "apps.said.tokens-on"
	if r.PostForm.Get("do") != "on" {
		f.Day = strings.TrimSpace(r.PostForm.Get("day"))
		t, err := day(f.Day)
		if err != nil {
			d.Show(w, r, http.StatusUnprocessableEntity, f.again(page.Faults{{Field: "day", Text: page.T(r.Context(), "apps.missing.day")}}))
			return
		}
		in["from"], said = t.UTC(), "apps.said.tokens-off"
	}
	if err := d.Call(r, http.MethodPut, apiSystem(f.System.Code)+"/token-ends", in, nil); err != nil {
		d.Refused(w, r, err, map[string]string{"from": "day"}, f.again)
		return
	}
	d.Say(w, said)
	page.See(w, r, f.System.path())
}

// newSystemForm registers an ICT system.
type newSystemForm struct {
	Code, Title, Agency string
	Agencies            []page.Option
	Faults              page.Faults
}

func (f *newSystemForm) again(faults page.Faults) templ.Component {
	f.Faults = faults
	return addSystem(f)
}

// offices fills in the agencies to choose from.
func (d *desk) offices(w http.ResponseWriter, r *http.Request, f *newSystemForm) bool {
	var out struct {
		Agencies []struct{ Agency, Name string } `json:"agencies"`
	}
	if err := d.Call(r, http.MethodGet, "/v1/admin/agencies", nil, &out); err != nil {
		d.Failed(w, r, err)
		return false
	}
	f.Agencies = []page.Option{{Text: page.T(r.Context(), "apps.sys.choose")}}
	for _, a := range out.Agencies {
		f.Agencies = append(f.Agencies, page.Option{Value: a.Agency, Text: a.Agency + " – " + a.Name})
	}
	return true
}

func (d *desk) newSystem(w http.ResponseWriter, r *http.Request) {
	f := &newSystemForm{}
	if d.offices(w, r, f) {
		d.Show(w, r, http.StatusOK, addSystem(f))
	}
}

func (f *newSystemForm) check(ctx context.Context) {
	for _, x := range []struct{ field, value string }{{"code", f.Code}, {"title", f.Title}, {"agency", f.Agency}} {
		if x.value == "" {
			f.Faults = append(f.Faults, page.Fault{Field: x.field, Text: page.T(ctx, "apps.missing.sys."+x.field)})
		}
	}
}

func (d *desk) addSystem(w http.ResponseWriter, r *http.Request) {
	v := r.PostForm
	f := &newSystemForm{Code: strings.TrimSpace(v.Get("code")), Title: strings.TrimSpace(v.Get("title")), Agency: v.Get("agency")}
	if !d.offices(w, r, f) {
		return
	}
	all, err := d.readSystems(r)
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	f.check(r.Context())
	// The API puts a system in the place of another of its code, with its token date.
	if slices.ContainsFunc(all, func(s system) bool { return strings.EqualFold(s.Code, f.Code) }) {
		f.Faults = append(f.Faults, page.Fault{Field: "code", Text: page.T(r.Context(), "apps.sys.exists")})
	}
	if f.Faults != nil {
		d.Show(w, r, http.StatusUnprocessableEntity, addSystem(f))
		return
	}
	if err := d.Call(r, http.MethodPut, apiSystem(f.Code), map[string]string{"title": f.Title, "agency": f.Agency}, nil); err != nil {
		d.Refused(w, r, err, map[string]string{"system": "code", "title": "title", "agency": "agency"}, f.again)
		return
	}
	d.Say(w, "apps.said.system-new")
	page.See(w, r, (&system{Code: f.Code}).path())
}

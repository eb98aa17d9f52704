package people

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/mohor-sign/mohor/internal/myt"
	"github.com/mohor-sign/mohor/web/page"
)

// A deed is something that is done about an officer, on a page of its own.
type deed struct {
	name   string // of its address, its words, and of the kind of help
	may    string // the kind of help, where that is another word
	danger bool
	status []string // whose certificates it is about; none: it is about no certificate
	whole  bool     // it may be about all systems at once
	fields []string // besides "system": "reason", "at", "when", "agency", "email", "why", "id"
	reason []string // revocation reasons to choose from
	api    func(r *http.Request, s *sheet) (method, path string, body any)
	places map[string]string // fields of the API, or codes, by the form's
}

// sheet is a deed's page.
type sheet struct {
	D        *deed
	P        *person
	Values   map[string]string
	Systems  []page.Option
	Agencies []page.Option
	Request  *request // that it is about
	Change   *change
	Faults   page.Faults
}

func officerAPI(s *sheet, below string) string {
	return "/v1/admin/officers/" + url.PathEscape(s.P.IC) + "/" + below
}

// post is an API call under the officer's address with some values of the form.
func post(below string, names ...string) func(*http.Request, *sheet) (string, string, any) {
	return func(_ *http.Request, s *sheet) (string, string, any) {
		body := map[string]string{}
		for _, n := range names {
			form, api, renamed := strings.Cut(n, ">")
			if !renamed {
				api = form
			}
			if v := s.Values[form]; v != "" {
				body[api] = v
			}
		}
		return http.MethodPost, officerAPI(s, below), body
	}
}

// allDeeds are all that the pages offer.
func allDeeds() []deed {
	can := []string{"ACTIVE", "SUSPENDED"}
	return []deed{
		{name: "revoke", danger: true, status: can, fields: []string{"reason", "when", "at", "why"}, reason: []string{"keyCompromise", "affiliationChanged", "superseded", "cessationOfOperation", "privilegeWithdrawn", "unspecified"},
			api: post("certificate/revoke", "system", "reason", "why", "at")},
		{name: "suspend", danger: true, status: []string{"ACTIVE"}, fields: []string{"why"}, api: post("certificate/suspend", "system", "why")},
		{name: "release", status: []string{"SUSPENDED"}, fields: []string{"why"}, api: post("certificate/release", "system", "why")},
		{name: "replace", danger: true, status: can, fields: []string{"reason", "why"}, reason: []string{"keyCompromise", "superseded", "unspecified"}, api: post("certificate/replace", "system", "reason", "why")},
		{name: "retire", danger: true, status: can, whole: true, fields: []string{"when", "at", "why"}, api: post("retire", "system", "why", "at")},
		{name: "transfer", danger: true, status: can, fields: []string{"agency", "when", "at", "why"}, api: post("transfer", "system", "agency", "why", "at")},
		{name: "unlock", fields: []string{"why"}, api: post("unlock", "why>reason"), places: map[string]string{"reason": "why"}},
		{name: "unlock_login", fields: []string{"why"}, api: post("unlock-login", "why>reason"), places: map[string]string{"reason": "why"}},
		{name: "email", fields: []string{"email"}, api: post("email", "email")},
		{name: "vouch", fields: []string{"id", "why"}, places: map[string]string{"reason": "why"}, api: func(_ *http.Request, s *sheet) (string, string, any) {
			return http.MethodPost, "/v1/admin/address-changes/" + url.PathEscape(s.Values["id"]) + "/vouch", map[string]string{"reason": s.Values["why"]}
		}},
		{name: "email_cancel", may: "email", fields: []string{"id"}, api: func(_ *http.Request, s *sheet) (string, string, any) {
			return http.MethodDelete, "/v1/admin/address-changes/" + url.PathEscape(s.Values["id"]), nil
		}},
		{name: "delete", danger: true, fields: []string{"why"}, api: post("deletion", "why>reason"), places: map[string]string{"reason": "why"}},
		{name: "request", may: "confirm", danger: true, fields: []string{"id", "why"}, places: map[string]string{"how": "why", "reason_missing": "why"}, api: func(_ *http.Request, s *sheet) (string, string, any) {
			return http.MethodPost, "/v1/admin/officer-requests/" + url.PathEscape(s.Values["id"]) + "/confirm", map[string]string{"how": s.Values["why"]}
		}},
		{name: "request_cancel", may: "confirm", fields: []string{"id"}, api: func(_ *http.Request, s *sheet) (string, string, any) {
			return http.MethodDelete, "/v1/admin/officer-requests/" + url.PathEscape(s.Values["id"]), nil
		}},
	}
}

func (x *deed) has(field string) bool { return has(x.fields, field) }

// help is the kind of help that it is.
func (x *deed) help() string {
	if x.may != "" {
		return x.may
	}
	return x.name
}

// sheet reads what a deed's page shows; nil when the answer was given already.
func (d desk) sheet(w http.ResponseWriter, r *http.Request, x *deed) *sheet {
	p := d.find(w, r)
	if p == nil {
		return nil
	}
	s := &sheet{D: x, P: p, Values: map[string]string{}}
	from := r.URL.Query()
	if r.Method == http.MethodPost {
		from = r.PostForm
	}
	for _, f := range append([]string{"system"}, x.fields...) {
		s.Values[f] = strings.TrimSpace(from.Get(f))
	}
	ctx := r.Context()
	if x.whole {
		s.Systems = append(s.Systems, page.Option{Value: "", Text: page.T(ctx, "people.system.all")})
	}
	for _, h := range p.living(x.status...) {
		s.Systems = append(s.Systems, page.Option{Value: h.System, Text: h.System, Hint: page.T(ctx, "people.system.hint", "Serial", h.Serial, "Status", page.T(ctx, "people.status."+h.KeyStatus))})
	}
	if s.Values["system"] == "" && len(s.Systems) == 1 {
		s.Values["system"] = s.Systems[0].Value
	}
	if s.Values["when"] == "" {
		s.Values["when"] = "now"
	}
	if x.has("agency") {
		var err error
		if _, s.Agencies, err = d.registry(r); err != nil {
			d.Failed(w, r, err)
			return nil
		}
	}
	for k := range p.Requests {
		if q := &p.Requests[k]; q.ID == s.Values["id"] && q.State == "PENDING" {
			s.Request = q
		}
	}
	for k := range p.Changes {
		if p.Changes[k].ID == s.Values["id"] {
			s.Change = &p.Changes[k]
		}
	}
	return s
}

// stuck says why a deed cannot be begun, "" when it can.
func (s *sheet) stuck(ctx context.Context) string {
	switch {
	case !has(s.P.May, s.D.help()):
		return page.T(ctx, "people.stuck.may")
	case len(s.D.status) > 0 && len(s.Systems) == 0, s.D.whole && len(s.Systems) == 1:
		return page.T(ctx, "people.stuck.certificate")
	case s.D.has("id") && s.Request == nil && s.Change == nil:
		return page.T(ctx, "people.stuck.done")
	}
	return ""
}

func (d desk) showDeed(x *deed) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s := d.sheet(w, r, x); s != nil {
			d.Show(w, r, http.StatusOK, deedPage(s))
		}
	}
}

func (d desk) doDeed(x *deed) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := d.sheet(w, r, x)
		if s == nil {
			return
		}
		page.Returning(r, r.URL.RequestURI())
		shown := s.Values["at"]
		if s.Faults = s.missing(r.Context()); len(s.Faults) == 0 {
			s.Faults = s.moment(r.Context(), d.Now())
		}
		if len(s.Faults) > 0 {
			s.Values["at"] = shown
			d.Show(w, r, http.StatusUnprocessableEntity, deedPage(s))
			return
		}
		method, path, body := x.api(r, s)
		var done struct {
			Request string `json:"request_id"`
		}
		if err := d.Call(r, method, path, body, &done); err != nil {
			s.Values["at"] = shown
			d.Refused(w, r, err, s.places(), func(f page.Faults) templ.Component {
				s.Faults = f
				return deedPage(s)
			})
			return
		}
		said := x.name
		switch {
		case x.name == "revoke" && done.Request != "":
			said = "asked"
		case s.Values["at"] != "":
			said = "later"
		case x.name == "request" && s.Request != nil:
			said = "request_" + strings.ToLower(s.Request.Kind)
		}
		d.Say(w, "people.said."+said)
		page.See(w, r, at(s.P.IC))
	}
}

// places are the fields of the form that the API's faults belong to.
func (s *sheet) places() map[string]string {
	out := map[string]string{"system": "system", "why": "why", "agency": "agency", "email": "email", "at": "at", "reason": "reason", "reason_missing": "why", "date_invalid": "at", "revocation_reason": "reason",
		"body.why": "why", "body.reason": "reason", "body.email": "email", "emel": "email", "email_same": "email"}
	for k, v := range s.D.places {
		out[k] = v
		out["body."+k] = v
	}
	return out
}

// missing are the fields that were left empty.
func (s *sheet) missing(ctx context.Context) (out page.Faults) {
	need := func(field string) {
		if s.Values[field] == "" {
			out = append(out, page.Fault{Field: field, Text: page.T(ctx, "people.missing."+field)})
		}
	}
	if len(s.D.status) > 0 && !s.D.whole {
		need("system")
	}
	for _, f := range s.D.fields {
		switch {
		case f == "id" || f == "when":
		case f != "at":
			need(f)
		case s.Values["when"] == "later":
			need("at")
		}
	}
	return out
}

// moment makes of the day and time of the form, in Malaysian time, what the API takes.
func (s *sheet) moment(ctx context.Context, now time.Time) page.Faults {
	if s.Values["when"] != "later" {
		s.Values["at"] = ""
		return nil
	}
	t, err := time.ParseInLocation("2006-01-02T15:04", s.Values["at"], myt.Zone)
	if err != nil || !t.After(now) {
		return page.Faults{{Field: "at", Text: page.T(ctx, "people.wrong.at")}}
	}
	s.Values["at"] = t.UTC().Format(time.RFC3339)
	return nil
}

// export asks for the reason of a person's request, exported gives all that is kept about that person.
func (d desk) export(w http.ResponseWriter, r *http.Request) {
	if p := d.find(w, r); p != nil {
		d.Show(w, r, http.StatusOK, exportPage(p, "", nil))
	}
}

func (d desk) exported(w http.ResponseWriter, r *http.Request) {
	p := d.find(w, r)
	if p == nil {
		return
	}
	why := strings.TrimSpace(r.PostForm.Get("why"))
	a, err := d.Ask(r, http.MethodPost, "/v1/admin/officers/"+p.IC+"/export", "application/json", strings.NewReader(asJSON("reason", why)))
	if err == nil {
		err = a.Decode(nil)
	}
	if err != nil {
		d.Refused(w, r, err, map[string]string{"reason_missing": "why", "reason": "why"}, func(f page.Faults) templ.Component { return exportPage(p, why, f) })
		return
	}
	for _, name := range []string{"Content-Type", "Content-Disposition"} {
		w.Header().Set(name, a.Header.Get(name))
	}
	w.Header().Set("Content-Security-Policy", page.Inert)
	_, _ = w.Write(a.Body) // an error means that the reader has gone
}

package portal

import (
	"bytes"
	"context"
	"encoding/pem"
	"net/http"
	"net/url"
	"strings"

	"github.com/a-h/templ"
	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/page"
)

const (
	certificatePath = "/portal/certificate"
	pinPath         = certificatePath + "/pin"
	forgotPath      = certificatePath + "/forgotten"
	rekeyPath       = certificatePath + "/rekey"
	renewPath       = certificatePath + "/renew"
	suspendPath     = certificatePath + "/suspend"
	revokePath      = certificatePath + "/revoke"
	replacePath     = certificatePath + "/replace"
	addPath         = certificatePath + "/add"
	removePath      = certificatePath + "/remove"
	filePath        = certificatePath + "/file"
)

// sheet is a form about one certificate.
type sheet struct {
	System string
	M      *medium // that it is about; nil where it is about none
	Own    ownCertificate
	Under  applications
	Others []system // for which there is no certificate yet
	Faults page.Faults
	Values map[string]string // what was chosen, no secrets
	Title  string            // of the system
}

type system struct {
	Code   string `json:"system"`
	Title  string `json:"title"`
	Medium string `json:"medium"`
	Status string `json:"status"`
	Serial string `json:"serial_number"`
}

// deed is something an officer does to a certificate: a page with a form, and the API's operation.
type deed struct {
	path   string
	page   func(*sheet) templ.Component
	fresh  bool // only after a log-in of a moment ago
	none   bool // there need not be a certificate
	fields []string
	hidden []string // secrets; those in must have to be filled in
	must   []string
	places map[string]string
	do     func(r *http.Request, s *sheet, secret map[string]string) error
	said   string
	next   string // certificatePath if empty
}

func (d *desk) certificateRoutes(r chi.Router) {
	r.Get(certificatePath, d.certificate)
	r.Get(filePath, d.certificateFile)
	for _, x := range d.deeds() {
		show, do := d.showDeed(&x), d.doDeed(&x)
		if x.fresh {
			show = d.Fresh(show)
		}
		r.Get(x.path, show)
		r.Post(x.path, d.Form(do))
	}
}

// keyring is what the page of all certificates shows.
type keyring struct {
	Said    string
	Own     ownCertificate
	Under   applications
	Systems map[string]system
	More    bool // there are systems without a certificate
}

func (d *desk) systems(r *http.Request) (map[string]system, []system, error) {
	var all struct {
		Systems []system `json:"systems"`
	}
	if err := d.Call(r, http.MethodGet, "/v1/me/systems", nil, &all); err != nil {
		return nil, nil, err
	}
	named := make(map[string]system, len(all.Systems))
	var others []system
	for _, s := range all.Systems {
		named[s.Code] = s
		if s.Medium == "" {
			others = append(others, s)
		}
	}
	return named, others, nil
}

func (d *desk) certificate(w http.ResponseWriter, r *http.Request) {
	k := keyring{}
	var others []system
	var err error
	if k.Own, k.Under, err = d.certificates(r); err == nil {
		k.Systems, others, err = d.systems(r)
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	k.Said, k.More = d.Said(w, r), len(others) > 0
	d.Show(w, r, http.StatusOK, certificate(&k))
}

// certificateFile hands out a certificate with those above it.
func (d *desk) certificateFile(w http.ResponseWriter, r *http.Request) {
	own, _, err := d.certificates(r)
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	m := own.key(r.URL.Query().Get("key"))
	if m == nil {
		d.NotFound(w, r)
		return
	}
	var b bytes.Buffer
	for _, der := range append([][]byte{m.Certificate.DER}, m.Certificate.Chain...) {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der}) // into memory
	}
	h := w.Header()
	h.Set("Content-Type", "application/x-pem-file")
	h.Set("Content-Disposition", `attachment; filename="`+m.Certificate.Serial+`.pem"`)
	h.Set("Content-Security-Policy", page.Inert)
	_, _ = w.Write(b.Bytes()) // an error means that the browser has gone
}

// key finds a certificate by its credential.
func (c *ownCertificate) key(credential string) *medium {
	for k := range c.Media {
		if m := &c.Media[k]; m.Certificate != nil && m.Credential == credential {
			return m
		}
	}
	return nil
}

// sheet is what a deed's page is made of; it has answered when it gives nil.
func (d *desk) sheet(w http.ResponseWriter, r *http.Request, x *deed) *sheet {
	q := r.URL.Query()
	s := &sheet{System: q.Get("system"), Values: map[string]string{}}
	var named map[string]system
	var err error
	if s.Own, s.Under, err = d.certificates(r); err == nil {
		named, s.Others, err = d.systems(r)
	}
	if err != nil {
		d.Failed(w, r, err)
		return nil
	}
	if key := q.Get("key"); key != "" {
		if s.M = s.Own.key(key); s.M != nil {
			s.System = s.M.System
		}
	} else {
		s.M = s.Own.of(s.System)
	}
	if s.M == nil && !x.none {
		d.NotFound(w, r)
		return nil
	}
	if s.Title = named[s.System].Title; s.Title == "" {
		s.Title = s.System
	}
	return s
}

func (d *desk) showDeed(x *deed) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s := d.sheet(w, r, x); s != nil {
			d.Show(w, r, http.StatusOK, x.page(s))
		}
	}
}

func (d *desk) doDeed(x *deed) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		secret := secrets(r, x.hidden...)
		s := d.sheet(w, r, x)
		if s == nil {
			return
		}
		page.Returning(r, r.URL.RequestURI())
		given := map[string]string{}
		for _, f := range x.fields {
			s.Values[f] = strings.TrimSpace(r.PostForm.Get(f))
			given[f] = s.Values[f]
		}
		for f, v := range secret {
			given[f] = v
		}
		if s.Faults = missing(r.Context(), given, x.must...); s.Faults != nil {
			d.Show(w, r, http.StatusUnprocessableEntity, x.page(s))
			return
		}
		if err := x.do(r, s, secret); err != nil {
			d.Refused(w, r, err, x.places, func(f page.Faults) templ.Component {
				s.Faults = f
				return x.page(s)
			})
			return
		}
		if x.said != "" {
			d.Say(w, "account.said."+x.said)
		}
		next := certificatePath
		if x.next != "" {
			next = x.next + "?" + url.Values{"system": {s.System}}.Encode()
		}
		page.See(w, r, next)
	}
}

// newPIN are the fields that what is wrong with a new PIN belongs to.
func newPIN(old, pin, again string) map[string]string {
	out := map[string]string{"old_pin": old, "pin_wrong": old, "pin_locked": "", "new_pin": pin, "new_pin_again": again, "pin_again": again, "pins_differ": again, "link_invalid": "code", "code": "code"}
	for _, code := range []string{"refused", "too_short", "too_long", "sequence", "repeated", "date", "common", "character", "holds_ic", "holds_name"} {
		out["pin_"+code] = pin
	}
	return out
}

// why is what an order's reason says, in the words that the officer chose.
func why(r *http.Request, order, reason string) string {
	if !page.Has(r.Context(), "mycert."+order+"."+reason) { // nobody could choose it
		return ""
	}
	return page.T(r.Context(), "mycert."+order+"."+reason)
}

// deeds are all that the portal offers.
func (d *desk) deeds() []deed {
	post := func(r *http.Request, path string, in any) error {
		return d.Call(r, http.MethodPost, "/v1/me/"+path, in, nil)
	}
	return []deed{
		{path: pinPath, page: changePIN, hidden: []string{"old_pin", "new_pin", "new_pin_again"}, must: []string{"old_pin", "new_pin", "new_pin_again"}, places: newPIN("old_pin", "new_pin", "new_pin_again"), said: "pin",
			do: func(r *http.Request, s *sheet, in map[string]string) error {
				in["credential_id"] = s.M.Credential
				return post(r, "pin", in)
			}},
		{path: forgotPath, page: forgotPIN, next: rekeyPath, said: "rekey-mailed",
			do: func(r *http.Request, s *sheet, _ map[string]string) error {
				return post(r, "pin/forgotten", map[string]string{"system": s.System})
			}},
		{path: rekeyPath, page: rekey, none: true, hidden: []string{"code", "new_pin", "new_pin_again"}, must: []string{"code", "new_pin", "new_pin_again"}, places: newPIN("", "new_pin", "new_pin_again"), said: "rekey",
			do: func(r *http.Request, _ *sheet, in map[string]string) error {
				return post(r, "pin/rekey", map[string]string{"code": strings.ToUpper(digits(in["code"])), "pin": in["new_pin"], "pin_again": in["new_pin_again"]})
			}},
		{path: renewPath, page: renew, hidden: []string{"old_pin", "new_pin", "new_pin_again"}, must: []string{"old_pin"}, places: newPIN("old_pin", "new_pin", "new_pin_again"), said: "renewed",
			do: func(r *http.Request, s *sheet, in map[string]string) error {
				body := map[string]string{"system": s.System, "pin": in["old_pin"]}
				if in["new_pin"] != "" || in["new_pin_again"] != "" {
					body["new_pin"], body["new_pin_again"] = in["new_pin"], in["new_pin_again"]
				}
				return post(r, "certificate/renew", body)
			}},
		{path: suspendPath, page: suspend, fresh: true, fields: []string{"reason"}, must: []string{"reason"}, said: "suspended",
			do: func(r *http.Request, s *sheet, _ map[string]string) error {
				return post(r, "certificate/suspend", map[string]string{"system": s.System, "why": why(r, "hold", s.Values["reason"])})
			}},
		{path: revokePath, page: revoke, fresh: true, fields: []string{"reason", "sure"}, must: []string{"reason", "sure"}, said: "revoked",
			do: func(r *http.Request, s *sheet, _ map[string]string) error {
				return post(r, "certificate/revoke", map[string]string{"system": s.System, "reason": s.Values["reason"], "why": why(r, "end", s.Values["reason"])})
			}},
		{path: replacePath, page: replace, fresh: true, fields: []string{"reason", "sure"}, must: []string{"reason", "sure"}, said: "replaced",
			do: func(r *http.Request, s *sheet, _ map[string]string) error {
				return post(r, "certificate/replace", map[string]string{"system": s.System, "reason": s.Values["reason"], "why": why(r, "end", s.Values["reason"])})
			}},
		{path: addPath, page: addSystem, fresh: true, none: true, fields: []string{"other", "declaration"}, hidden: []string{"old_pin", "new_pin", "new_pin_again"}, must: []string{"other", "old_pin", "new_pin", "new_pin_again", "declaration"},
			places: newPIN("old_pin", "new_pin", "new_pin_again"), said: "added",
			do: func(r *http.Request, s *sheet, in map[string]string) error {
				body := map[string]string{"system": s.Values["other"], "pin": in["old_pin"], "new_pin": in["new_pin"], "new_pin_again": in["new_pin_again"], "declaration": s.Under.Declaration.Version}
				if m := s.Own.signs(); m != nil {
					body["from"] = m.System
				}
				return post(r, "systems", body)
			}},
		{path: removePath, page: removeSystem, fresh: true, fields: []string{"sure"}, hidden: []string{"proof"}, must: []string{"proof", "sure"},
			places: map[string]string{"pin_wrong": "proof", "pin_missing": "proof", "password_wrong": "proof", "pin": "proof", "password": "proof"}, said: "removed",
			do: func(r *http.Request, s *sheet, in map[string]string) error {
				kind := "password"
				if s.M.live() {
					kind = "pin"
				}
				return post(r, "systems/"+url.PathEscape(s.System)+"/remove", map[string]string{kind: in["proof"]})
			}},
	}
}

func reasons(ctx context.Context, order string, names ...string) []page.Option {
	out := make([]page.Option, len(names))
	for k, n := range names {
		out[k] = page.Option{Value: n, Text: page.T(ctx, "mycert."+order+"."+n)}
	}
	return out
}

func choices(ctx context.Context, systems []system) []page.Option {
	out := []page.Option{{Text: page.T(ctx, "mycert.add.choose")}}
	for _, s := range systems {
		text := s.Title
		if s.Title != s.Code {
			text += " (" + s.Code + ")"
		}
		out = append(out, page.Option{Value: s.Code, Text: text})
	}
	return out
}

// renewLead says what a renewal is now: done at once, or asked for.
func renewLead(ctx context.Context, s *sheet) string {
	if s.M.ending(page.Now(ctx)) {
		return page.T(ctx, "mycert.renew.lead")
	}
	return page.T(ctx, "mycert.renew.early")
}

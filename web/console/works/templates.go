package works

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/mohor-sign/mohor/web/page"
)

// version is one of the templates' versions.
type version struct {
	Number    int64      `json:"version"`
	Template  string     `json:"template"`
	State     string     `json:"state"`
	Reason    string     `json:"reason"`
	Own       bool       `json:"own"`
	At        time.Time  `json:"proposed_at"`
	DecidedAt *time.Time `json:"decided_at"`
	Changes   []struct {
		Field string `json:"field"`
		Was   string `json:"was"`
		Is    string `json:"is"`
	} `json:"changes"`
}

func (v *version) path() string { return fmt.Sprintf("%s/versions/%d", templatesPath, v.Number) }

// looks are all templates.
type looks struct {
	Version   int64 `json:"version"`
	Templates []struct {
		Name    string `json:"name"`
		Level   string `json:"level"`
		MS      string `json:"ms"`
		EN      string `json:"en"`
		Changed bool   `json:"changed"`
	} `json:"templates"`
	Versions []version `json:"versions"`

	said string
}

// waiting is the version that awaits confirmation, or nil.
func (l *looks) waiting() *version {
	k := slices.IndexFunc(l.Versions, func(v version) bool { return v.State == "PROPOSED" })
	if k < 0 {
		return nil
	}
	return &l.Versions[k]
}

// look is a template as it can be changed.
type look struct {
	Name    string `json:"name"`
	Level   string `json:"level"`
	Version int64  `json:"version"`
	Texts   []struct {
		Key          string `json:"key"`
		MS           string `json:"ms"`
		EN           string `json:"en"`
		ConfiguredMS string `json:"configured_ms"`
		ConfiguredEN string `json:"configured_en"`
	} `json:"texts"`
	Places []place `json:"places"`
	Crest  string  `json:"crest"`
}

type place struct {
	Layout  string  `json:"layout"`
	Element string  `json:"element"`
	X       float64 `json:"x"`
	Y       float64 `json:"y"`
	Width   float64 `json:"width"`
	Height  float64 `json:"height"`
}

// point is a millimetre in points; people measure paper in millimetres.
const point = 72 / 25.4

// millimetres writes points in millimetres, to a tenth.
func millimetres(points float64) string {
	return strconv.FormatFloat(math.Round(points/point*10)/10, 'f', -1, 64)
}

// draft is a template's form as it was typed.
type draft struct {
	look
	typed   url.Values
	faults  page.Faults
	picture string // of a preview without scripts: a data: address
	stale   bool   // the log-in is too old to propose
	edits   bool   // who looks at it may propose
}

// value is what was typed into a field, or what it has.
func (d *draft) value(field, otherwise string) string {
	if d.typed != nil {
		return d.typed.Get(field)
	}
	return otherwise
}

func (d *draft) ticked(field string) bool { return d.typed.Get(field) == "1" }

func textField(language, key string) string { return "t." + language + "." + key }

func placeField(p *place, axis string) string { return "p." + p.Layout + "." + p.Element + "." + axis }

func (l *look) path() string { return templatesPath + "/" + url.PathEscape(l.Name) }

// labelOf is what a text is, in words; its key where nobody gave it any.
func labelOf(ctx context.Context, key string) string {
	if page.Has(ctx, "works.text."+key) {
		return page.T(ctx, "works.text."+key)
	}
	return key
}

// groups are the texts by where they stand: names of keys that begin each, in order.
func (l *look) groups() (out []group) {
	in := map[string]int{}
	for _, g := range []group{{Name: "signatory"}, {Name: "head"}, {Name: "body"}, {Name: "law"}, {Name: "scan"}, {Name: "units"}, {Name: "foot"}, {Name: "other"}} {
		in[g.Name] = len(out)
		out = append(out, g)
	}
	for k := range l.Texts {
		g := in[groupOf(l.Texts[k].Key)]
		out[g].At = append(out[g].At, k)
	}
	return slices.DeleteFunc(out, func(g group) bool { return len(g.At) == 0 })
}

// group is some texts of a form.
type group struct {
	Name string
	At   []int // indexes of the texts
}

func groupOf(key string) string {
	for _, g := range []struct{ begins, name string }{{"sign", "signatory"}, {"heading", "head"}, {"level", "head"}, {"department", "head"}, {"ministry", "head"}, {"country", "head"}, {"author", "head"},
		{"number_", "body"}, {"certify", "body"}, {"ic_", "body"}, {"award", "body"}, {"centre_", "body"}, {"batch_", "body"}, {"date_", "body"}, {"photo", "body"},
		{"law", "law"}, {"scan", "scan"}, {"qr", "scan"}, {"unit", "units"}, {"footer", "foot"}} {
		if strings.HasPrefix(key, g.begins) {
			return g.name
		}
	}
	return "other"
}

func (d *desk) templates(w http.ResponseWriter, r *http.Request) {
	var l looks
	if err := d.Call(r, http.MethodGet, "/v1/admin/ecert-templates", nil, &l); err != nil {
		d.Failed(w, r, err)
		return
	}
	l.said = d.Said(w, r)
	d.Show(w, r, http.StatusOK, templatesPage(&l))
}

func lookAPI(r *http.Request) string {
	return "/v1/admin/ecert-templates/" + url.PathEscape(page.Param(r, "name"))
}

// read makes the form of a template.
func (d *desk) read(r *http.Request) (*draft, error) {
	f := &draft{edits: page.HasRole(r.Context(), "JDN")}
	return f, d.Call(r, http.MethodGet, lookAPI(r), nil, &f.look)
}

func (d *desk) template(w http.ResponseWriter, r *http.Request) {
	show := func(w http.ResponseWriter, r *http.Request) {
		f, err := d.read(r)
		if err != nil {
			d.Failed(w, r, err)
			return
		}
		d.Show(w, r, http.StatusOK, templatePage(f))
	}
	if page.HasRole(r.Context(), "JDN") {
		show = d.Fresh(show) // before anything is typed
	}
	show(w, r)
}

// maxCrest is the most bytes of a crest that are read; the API bounds it.
const maxCrest = 1<<20 + 1

// typed reads a template's form: what the API is to be asked with, and the form to show again.
func (d *desk) typed(r *http.Request, u *page.Upload) (*draft, map[string]any, error) {
	f, err := d.read(r)
	if err != nil {
		return nil, nil, err
	}
	f.typed = u.Values
	ask := map[string]any{}
	var texts, places []map[string]any
	for _, t := range f.Texts {
		ms, en := strings.TrimSpace(u.Values.Get(textField("ms", t.Key))), strings.TrimSpace(u.Values.Get(textField("en", t.Key)))
		if ms != t.MS || en != t.EN {
			texts = append(texts, map[string]any{"key": t.Key, "ms": ms, "en": en})
		}
	}
	for k := range f.Places {
		p := &f.Places[k]
		x, y := u.Values.Get(placeField(p, "x")), u.Values.Get(placeField(p, "y"))
		if x == millimetres(p.X) && y == millimetres(p.Y) {
			continue // as it was: no rounding creeps in
		}
		var to [2]float64
		for i, v := range []string{x, y} {
			if to[i], err = strconv.ParseFloat(strings.ReplaceAll(v, ",", "."), 64); err != nil || math.IsNaN(to[i]) || math.Abs(to[i]) > 1000 {
				f.faults = append(f.faults, page.Fault{Field: placeField(p, [2]string{"x", "y"}[i]), Text: page.T(r.Context(), "works.place.number")})
			}
		}
		places = append(places, map[string]any{"layout": p.Layout, "element": p.Element, "x": to[0] * point, "y": to[1] * point})
	}
	if len(texts) > 0 {
		ask["texts"] = texts
	}
	if len(places) > 0 {
		ask["places"] = places
	}
	if u.Values.Get("drop_crest") == "1" {
		ask["drop_crest"] = true
	}
	if u.File != nil {
		crest, err := io.ReadAll(io.LimitReader(u.File, maxCrest))
		if err != nil {
			return nil, nil, fmt.Errorf("reading a crest: %w", err)
		}
		if len(crest) > 0 {
			ask["crest"] = base64.StdEncoding.EncodeToString(crest)
		}
	}
	if n, err := strconv.ParseInt(u.Values.Get("version"), 10, 64); err == nil {
		f.Version = n
	}
	ask["version"] = f.Version
	return f, ask, nil
}

// fields are the form's names for what the API calls a field.
func (f *draft) fields() map[string]string {
	out := map[string]string{"crest": "crest", "reason": "reason", "reason_missing": "reason"}
	for _, t := range f.Texts {
		for _, in := range []string{"ms", "en"} {
			out["texts."+in+"."+t.Key] = textField(in, t.Key)
		}
	}
	for k := range f.Places {
		p := &f.Places[k]
		out["places."+p.Layout+"."+p.Element] = placeField(p, "x")
	}
	return out
}

// sampled adds what a preview is to show.
func sampled(ask map[string]any, v url.Values) {
	ask["language"], ask["format"], ask["page"] = "ms", "png", 1
	if v.Get("language") == "en" {
		ask["language"] = "en"
	}
	if v.Get("page") == "2" {
		ask["page"] = 2
	}
	if level := v.Get("level"); level != "" {
		ask["level"] = level
	}
	for _, name := range []string{"long", "units", "photo"} {
		ask[name] = v.Get(name) == "1"
	}
}

// draw asks for a preview: a picture, or its *page.Problem.
func (d *desk) draw(r *http.Request, name string, ask map[string]any) ([]byte, error) {
	b, err := json.Marshal(ask)
	if err != nil {
		return nil, fmt.Errorf("encoding a draft: %w", err)
	}
	a, err := d.Ask(r, http.MethodPost, "/v1/admin/ecert-templates/"+url.PathEscape(name)+"/preview", "application/json", bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	if a.Status >= 400 {
		return nil, a.Decode(nil)
	}
	return a.Body, nil
}

// draft answers a script that follows the typing: with a picture, or with what is wrong.
func (d *desk) draft(w http.ResponseWriter, r *http.Request, u *page.Upload) {
	f, ask, err := d.typed(r, u)
	if err == nil && len(f.faults) == 0 {
		sampled(ask, u.Values)
		var picture []byte
		if picture, err = d.draw(r, f.Name, ask); err == nil {
			w.Header().Set("Content-Type", "image/png")
			_, _ = w.Write(picture) // an error means that the reader has gone
			return
		}
	}
	faults, status := page.Faults{}, http.StatusUnprocessableEntity
	if f != nil {
		faults = f.faults
	}
	if p := page.Of(err); p != nil {
		faults, status = page.FaultsOf(r.Context(), p, f.places()), p.Status
	} else if err != nil {
		d.Failed(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(faults) // as above
}

// places is fields, also of no form.
func (f *draft) places() map[string]string {
	if f == nil {
		return nil
	}
	return f.fields()
}

// preview is the same without scripts: the form again, with a picture.
func (d *desk) preview(w http.ResponseWriter, r *http.Request, u *page.Upload) {
	f, ask, err := d.typed(r, u)
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	sampled(ask, u.Values)
	status := http.StatusOK
	if len(f.faults) == 0 {
		picture, err := d.draw(r, f.Name, ask)
		if p := page.Of(err); p != nil && p.Status < 500 {
			f.faults, status = page.FaultsOf(r.Context(), p, f.fields()), p.Status
		} else if err != nil {
			d.Failed(w, r, err)
			return
		}
		if picture != nil {
			f.picture = "data:image/png;base64," + base64.StdEncoding.EncodeToString(picture)
		}
	} else {
		status = http.StatusUnprocessableEntity
	}
	d.Show(w, r, status, templatePage(f))
}

func (d *desk) propose(w http.ResponseWriter, r *http.Request, u *page.Upload) {
	f, ask, err := d.typed(r, u)
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	if len(f.faults) > 0 {
		d.Show(w, r, http.StatusUnprocessableEntity, templatePage(f))
		return
	}
	ask["reason"] = u.Values.Get("reason")
	var v version
	err = d.Call(r, http.MethodPost, lookAPI(r)+"/proposals", ask, &v)
	if err == nil {
		d.Say(w, "works.said.proposed")
		page.See(w, r, v.path())
		return
	}
	if p := page.Of(err); p != nil && p.Code == "session_not_fresh" {
		// Here it is not left: all that was typed would be gone.
		f.stale = true
		f.faults = page.FaultsOf(r.Context(), p, nil)
		d.Show(w, r, http.StatusForbidden, templatePage(f))
		return
	}
	d.Refused(w, r, err, f.fields(), func(faults page.Faults) templ.Component { f.faults = faults; return templatePage(f) })
}

// sample is a picture of a template as it is, or of a version of it.
func (d *desk) sample(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	ask := map[string]any{}
	sampled(ask, q)
	if n, err := strconv.ParseInt(q.Get("version"), 10, 64); err == nil && n >= 0 {
		ask["version"] = n
	}
	picture, err := d.draw(r, page.Param(r, "name"), ask)
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "image/png")
	_, _ = w.Write(picture) // as above
}

func versionAPI(r *http.Request) string {
	return "/v1/admin/ecert-versions/" + url.PathEscape(page.Param(r, "version"))
}

func (d *desk) version(w http.ResponseWriter, r *http.Request) {
	var v version
	if err := d.Call(r, http.MethodGet, versionAPI(r), nil, &v); err != nil {
		d.Failed(w, r, err)
		return
	}
	d.Show(w, r, http.StatusOK, versionPage(&v, "", d.Said(w, r), nil))
}

func (d *desk) decide(w http.ResponseWriter, r *http.Request) {
	what, reason := page.Param(r, "what"), r.PostForm.Get("reason")
	var in any
	if what == "reject" {
		in = map[string]string{"reason": reason}
	}
	err := d.Call(r, http.MethodPost, versionAPI(r)+"/"+what, in, nil)
	if err == nil {
		d.Say(w, "works.said."+what)
		page.See(w, r, templatesPath)
		return
	}
	var v version
	if rerr := d.Call(r, http.MethodGet, versionAPI(r), nil, &v); rerr != nil {
		d.Failed(w, r, errors.Join(err, rerr))
		return
	}
	if p := page.Of(err); p != nil && p.Code == "session_not_fresh" {
		d.Show(w, r, http.StatusForbidden, page.Stale(v.path()))
		return
	}
	d.Refused(w, r, err, map[string]string{"reason": "reason", "reason_missing": "reason"}, func(f page.Faults) templ.Component { return versionPage(&v, reason, "", f) })
}

// fieldName is a changed field in words: "Perakuan (BM)".
func fieldName(ctx context.Context, field string) string {
	p := strings.Split(field, ".")
	switch {
	case len(p) == 4 && p[1] == "texts":
		level := ""
		if p[0] != "umum" {
			level = strings.ToUpper(strings.ReplaceAll(p[0], "-", " ")) + ": "
		}
		return level + labelOf(ctx, p[3]) + " (" + page.T(ctx, "works.language."+p[2]) + ")"
	case len(p) == 4:
		return page.T(ctx, "works.element."+p[3]) + " (" + page.T(ctx, "works.layout") + " " + p[2] + ")"
	}
	return page.T(ctx, "works.crest")
}

// fieldValue is what a changed field has, in words: places in millimetres.
func fieldValue(ctx context.Context, field, v string) string {
	if strings.Contains(field, ".places.") {
		x, y, ok := strings.Cut(v, ", ")
		fx, err := strconv.ParseFloat(x, 64)
		fy, err2 := strconv.ParseFloat(y, 64)
		if ok && err == nil && err2 == nil {
			return page.T(ctx, "works.place.at", "X", millimetres(fx), "Y", millimetres(fy))
		}
	}
	if v == "" && strings.HasSuffix(field, ".crest") {
		return page.T(ctx, "works.crest.none")
	}
	return v
}

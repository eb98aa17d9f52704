package web

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/a-h/templ"

	"github.com/mohor-sign/mohor/web/page"
)

// reference is the API reference without the frame around it, made once.
type reference struct {
	mu    sync.Mutex
	inner string
}

// docs answers GET /docs. The frame is of the visit, so that the tag is that of the whole page.
func (s *site) docs(w http.ResponseWriter, r *http.Request) {
	inner, err := s.makeReference()
	if err != nil {
		s.Log.ErrorContext(r.Context(), "API reference could not be made", "error", err)
		w.Header().Set("Retry-After", "60")
		s.pages.Show(w, r, http.StatusServiceUnavailable, page.Message(page.Notice{Tone: page.Wait, Word: page.T(r.Context(), "public.later"), Text: page.T(r.Context(), "docs.later")}))
		return
	}
	whole := templ.GetBuffer()
	defer templ.ReleaseBuffer(whole)
	if err := book(inner).Render(r.Context(), whole); err != nil {
		s.pages.Failed(w, r, fmt.Errorf("rendering the frame of the API reference: %w", err))
		return
	}
	sum := sha256.Sum256(whole.Bytes())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Add("Vary", "Cookie")
	w.Header().Set("ETag", `"`+base64.RawURLEncoding.EncodeToString(sum[:12])+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(whole.Bytes()))
}

func (s *site) makeReference() (string, error) {
	ref := &s.reference
	ref.mu.Lock()
	defer ref.mu.Unlock()
	if ref.inner != "" {
		return ref.inner, nil
	}
	if s.OpenAPI == nil {
		return "", errors.New("no OpenAPI document")
	}
	doc, err := parseDocument(s.OpenAPI())
	if err != nil {
		return "", err
	}
	made, err := s.render("reference", doc.outline())
	if err != nil {
		return "", fmt.Errorf("rendering API reference: %w", err)
	}
	ref.inner = string(made)
	return ref.inner, nil
}

// outline is the document as the template shows it.
type outline struct {
	Title, Version string
	Description    []paragraph
	Servers        []string
	Auth           []string
	Groups         []group
	Problem        []field     // members of a problem document
	Codes          []errorCode // its stable codes
}

type group struct {
	ID, Name    string
	Description []paragraph
	Operations  []operation
}

type operation struct {
	ID, Method, Path, Summary string
	Description               []paragraph
	Deprecated                bool
	Security                  string
	Parameters                []field
	Bodies                    []body
	Answers, Failures         []answer
	Codes                     []errorCode
}

type body struct {
	MediaType string
	Required  bool
	About     []paragraph
	Fields    []field
	Sample    string
}

type answer struct {
	Status      string
	Description []paragraph
	Headers     []field
	Bodies      []body
}

func (d *document) outline() outline {
	o := outline{Title: d.Info.Title, Version: d.Info.Version, Description: prose(d.Info.Description), Codes: d.Codes}
	for _, s := range d.Servers {
		o.Servers = append(o.Servers, s.URL)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Components.SecuritySchemes)) {
		o.Auth = append(o.Auth, d.Components.SecuritySchemes[name].words(name))
	}
	o.Groups = d.groups(func(problem *schema) {
		if o.Problem == nil {
			o.Problem = d.flatten(problem)
		}
	})
	if o.Codes == nil {
		o.Codes = enumerated(o.Groups)
	}
	return o
}

// enumerated collects the codes named by operations when there is no list.
func enumerated(groups []group) (out []errorCode) {
	seen := map[string]bool{}
	for _, g := range groups {
		for _, op := range g.Operations {
			for _, c := range op.Codes {
				if !seen[c.Code] {
					seen[c.Code] = true
					out = append(out, c)
				}
			}
		}
	}
	return out
}

func (s securityScheme) words(name string) string {
	switch s.Type {
	case "oauth2":
		for _, flow := range slices.Sorted(maps.Keys(s.Flows)) {
			return "OAuth 2.0 " + flow + ": POST " + s.Flows[flow].TokenURL + " → Authorization: Bearer …"
		}
		return "OAuth 2.0"
	case "apiKey":
		if s.In == "cookie" {
			return "Cookie: " + s.Name + "=…"
		}
		return "API key: " + s.Name + ": … (" + s.In + ")"
	case "http":
		if strings.EqualFold(s.Scheme, "basic") {
			return "HTTP Basic: Authorization: Basic …"
		}
		return "HTTP " + s.Scheme + ": Authorization: " + s.Scheme + " …"
	}
	return name
}

// groups collects the operations under their first tag, tags in the
// document's order. problem hears of the schema of each problem document.
func (d *document) groups(problem func(*schema)) []group {
	byTag := map[string][]operation{}
	ids := slugs{}
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		item := d.Paths[path]
		for _, m := range []struct {
			method string
			op     *apiOperation
		}{{"GET", item.Get}, {"POST", item.Post}, {"PUT", item.Put}, {"PATCH", item.Patch}, {"DELETE", item.Delete}, {"HEAD", item.Head}, {"OPTIONS", item.Options}} {
			if m.op == nil {
				continue
			}
			tag := "Lain-lain / Other"
			if len(m.op.Tags) > 0 {
				tag = m.op.Tags[0]
			}
			out := d.operation(m.op, item.Parameters, problem)
			out.Method, out.Path = m.method, path
			out.ID = ids.unique("op-" + cmp.Or(m.op.OperationID, m.method+path))
			byTag[tag] = append(byTag[tag], out)
		}
	}
	var groups []group
	add := func(name, description string) {
		if ops := byTag[name]; ops != nil {
			groups = append(groups, group{ids.unique("tag-" + name), name, prose(description), ops})
			delete(byTag, name)
		}
	}
	for _, t := range d.Tags {
		add(t.Name, t.Description)
	}
	for _, name := range slices.Sorted(maps.Keys(byTag)) {
		add(name, "")
	}
	return groups
}

func (d *document) operation(op *apiOperation, shared []*parameter, problem func(*schema)) operation {
	out := operation{Summary: op.Summary, Description: prose(op.Description), Deprecated: op.Deprecated, Codes: op.Codes}
	requirements := op.Security
	if requirements == nil {
		requirements = d.Security
	}
	var either []string
	for _, r := range requirements {
		either = append(either, strings.Join(slices.Sorted(maps.Keys(r)), " + "))
	}
	out.Security = strings.Join(either, " | ")
	for _, p := range slices.Concat(shared, op.Parameters) {
		if p != nil && p.Ref != "" {
			p = d.Components.Parameters[component(p.Ref, "parameters")]
		}
		if p != nil {
			out.Parameters = append(out.Parameters, d.parameter(p.Name, p.In, p))
		}
	}
	if b := op.RequestBody; b != nil {
		if b.Ref != "" {
			b = d.Components.RequestBodies[component(b.Ref, "requestBodies")]
		}
		if b != nil {
			out.Bodies = d.bodies(b.Content, b.Required)
			if len(out.Bodies) > 0 {
				out.Bodies[0].About = prose(b.Description)
			}
		}
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		d.answer(&out, status, op.Responses[status], problem)
	}
	return out
}

// parameter shows a parameter or header; in is where it goes.
func (d *document) parameter(name, in string, p *parameter) field {
	d.steps = 0
	s, _ := d.resolve(p.Schema)
	if s == nil {
		s = &schema{}
	}
	kind := d.kind(p.Schema, 0)
	if in != "" {
		kind = in + ", " + kind
	}
	description := p.Description
	if description == "" {
		description = s.Description
	}
	n := notes(s)
	if len(p.Example) > 0 {
		n = append(n, "contoh / example "+plain(p.Example))
	}
	return field{Name: name, Type: kind, Required: p.Required, Deprecated: p.Deprecated, Description: prose(description), Notes: n}
}

// answer adds a response: failures, whose body is a problem document, are
// listed shortly.
func (d *document) answer(out *operation, status string, r *response, problem func(*schema)) {
	if r != nil && r.Ref != "" {
		r = d.Components.Responses[component(r.Ref, "responses")]
	}
	if r == nil {
		return
	}
	a := answer{Status: status, Description: prose(r.Description)}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		h := r.Headers[name]
		if h != nil && h.Ref != "" {
			h = d.Components.Headers[component(h.Ref, "headers")]
		}
		if h != nil {
			a.Headers = append(a.Headers, d.parameter(name, "", h))
		}
	}
	if m, ok := r.Content["application/problem+json"]; ok {
		problem(m.Schema)
		out.Failures = append(out.Failures, a)
		return
	}
	a.Bodies = d.bodies(r.Content, false)
	for _, b := range a.Bodies {
		for i := range b.Fields {
			b.Fields[i].Required = false // it is a word to whoever sends a body
		}
	}
	out.Answers = append(out.Answers, a)
}

func (d *document) bodies(content map[string]mediaType, required bool) (out []body) {
	for _, kind := range slices.Sorted(maps.Keys(content)) {
		m := content[kind]
		b := body{MediaType: kind, Required: required, Fields: d.flatten(m.Schema)}
		if strings.HasSuffix(kind, "json") {
			b.Sample = d.sample(m)
		}
		out = append(out, b)
	}
	return out
}

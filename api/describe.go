package api

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

const (
	typeProblem = "application/problem+json"
	typeJSON    = "application/json"
)

// describe completes the OpenAPI document when all operations are there: of each it
// says what all have in common (headers, errors with their codes) and gives examples.
func describe(doc *huma.OpenAPI) {
	d := &describer{doc: doc, meanings: map[string]errorCode{}, finer: finerCodes()}
	for _, c := range codes() {
		d.meanings[c.Code] = c
	}
	d.components()
	for path, item := range doc.Paths {
		for _, o := range operationsOf(item) {
			d.operation(path, o)
		}
	}
	doc.Extensions = map[string]any{"x-error-codes": codes(), "x-finer-codes": finerCodes()}
}

func operationsOf(item *huma.PathItem) []*huma.Operation {
	return slices.DeleteFunc([]*huma.Operation{item.Get, item.Head, item.Post, item.Put, item.Patch, item.Delete}, func(o *huma.Operation) bool { return o == nil })
}

type describer struct {
	doc      *huma.OpenAPI
	meanings map[string]errorCode
	finer    map[string]int // finerCodes
}

// components are what operations refer to.
func (d *describer) components() {
	c := d.doc.Components
	text := func(pattern string) *huma.Schema { return &huma.Schema{Type: huma.TypeString, Pattern: pattern} }
	c.Parameters = map[string]*huma.Param{
		"Accept-Language": {Name: "Accept-Language", In: "header", Description: "The first language named decides: en for English, anything else for Malay", Schema: text(""), Example: "ms"},
		"X-Request-Id":    {Name: "X-Request-Id", In: "header", Description: "Up to 64 letters, digits, hyphens, underscores and points are echoed; of anything else a new one is made", Schema: text(""), Example: "7f3a-42"},
		"Idempotency-Key": {Name: "Idempotency-Key", In: "header", Description: "Repeats the answer of the same request for 24 hours. It is the caller's own: others' keys do not meet it", Schema: text("^[!-~]{1,128}$"), Example: "bayaran-2026-04-30-0001"},
	}
	c.Headers = map[string]*huma.Header{
		"X-Request-Id":     {Description: "Of this request; say it when you report an error", Required: true, Schema: text(""), Example: "7f3a-42"},
		"Retry-After":      {Description: "Seconds to wait", Required: true, Schema: &huma.Schema{Type: huma.TypeInteger, Minimum: new(1.0)}, Example: 5},
		"Content-Language": {Description: "Of title and detail", Required: true, Schema: &huma.Schema{Type: huma.TypeString, Enum: []any{"ms", "en"}}, Example: "ms"},
		"WWW-Authenticate": {Description: "How to authenticate (RFC 6750, Section 3)", Required: true, Schema: text(""), Example: `Bearer realm="mohor"`},
	}
	c.Examples, c.Responses = map[string]*huma.Example{}, map[string]*huma.Response{}
	problem := func(e errorCode, title, detail string) map[string]any {
		p := map[string]any{"type": "urn:mohor:problem:" + e.Code, "title": title, "status": e.Status, "instance": "7f3a-42", "code": e.Code}
		if detail != "" {
			p["detail"] = detail
		}
		if e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable {
			p["retry_after"] = 5
		}
		return p
	}
	for _, e := range codes() {
		ms, en := "", ""
		if e.Code == "internal_error" {
			ms, en = internalMS, internalEN
		}
		c.Examples[e.Code] = &huma.Example{Summary: e.MS, Value: problem(e, e.MS, ms)}
		c.Examples[e.Code+".en"] = &huma.Example{Summary: e.EN, Value: problem(e, e.EN, en)}
	}
}

func (d *describer) operation(path string, o *huma.Operation) {
	kind := kindOf(path)
	d.headers(o)
	d.problems(kind, o)
	if o.Security == nil {
		o.Security = []map[string][]string{{}}
	}
	for _, p := range o.Parameters {
		if p.Ref == "" && p.Example == nil && p.Schema != nil && p.Schema.Default == nil {
			p.Example = parameterExample(path, p)
		}
	}
	id := o.OperationID
	if o.RequestBody != nil {
		d.bodyExample(o.RequestBody.Content, requestExamples()[id], true)
		for kind, m := range o.RequestBody.Content {
			if text := uploadExamples()[id+" "+kind]; text != "" && m.Example == nil {
				m.Example = text
			}
		}
	}
	for status, r := range o.Responses {
		if r.Ref != "" {
			continue
		}
		if r.Headers == nil {
			r.Headers = map[string]*huma.Header{}
		}
		for _, name := range headersOf(status) {
			r.Headers[name] = &huma.Header{Ref: "#/components/headers/" + name}
		}
		if status[0] == '2' {
			delete(r.Headers, "Retry-After") // of an operation's other answers
			delete(r.Headers, "WWW-Authenticate")
			written := answerExamples()[id+"."+status]
			if written == nil {
				written = answerExamples()[id]
			}
			d.bodyExample(r.Content, written, false)
		}
	}
}

// generalHeaders is how many request headers every operation takes.
const generalHeaders = 2

// headers are the request headers that every operation of a kind takes.
func (d *describer) headers(o *huma.Operation) {
	// What a handler reads of the protocol itself is no parameter (OpenAPI 3.1, Section 4.8.12.1).
	o.Parameters = slices.DeleteFunc(o.Parameters, func(p *huma.Param) bool {
		return p.In == "header" && (p.Name == "Content-Type" || p.Name == "Authorization")
	})
	names := []string{"Accept-Language", "X-Request-Id"} // as many as generalHeaders says
	if repeatable(o) {
		names = append(names, "Idempotency-Key")
	}
	for _, name := range names {
		o.Parameters = append(o.Parameters, &huma.Param{Ref: "#/components/parameters/" + name})
	}
}

// problems lists what an operation can be refused with, by status and code.
func (d *describer) problems(kind string, o *huma.Operation) {
	all := d.codesOf(kind, o)
	for status, r := range o.Responses {
		if status >= "400" && r.Content[typeProblem] != nil && r.Content[typeJSON] == nil {
			delete(o.Responses, status)
		}
	}
	byStatus := map[int][]string{}
	for _, code := range all {
		status := d.status(code)
		byStatus[status] = append(byStatus[status], code)
	}
	for status, list := range byStatus {
		key := strconv.Itoa(status)
		if own := o.Responses[key]; own != nil { // the protocol's own answer with this status
			d.refuse(own, status, list)
		} else {
			o.Responses[key] = d.refusal(status, list)
		}
		if o.Method == http.MethodHead { // RFC 9110, Section 9.3.2: as GET, without the content
			r := *o.Responses[key]
			if r.Ref != "" {
				r = *d.doc.Components.Responses[strings.TrimPrefix(r.Ref, "#/components/responses/")]
			}
			r.Content = nil
			o.Responses[key] = &r
		}
	}
	if o.Extensions == nil {
		o.Extensions = map[string]any{}
	}
	o.Extensions["x-error-codes"] = all
}

// maxShared is how many codes a response has that operations share.
const maxShared = 3

// refusal is the response of a status with these codes; short ones are shared.
func (d *describer) refusal(status int, list []string) *huma.Response {
	r := &huma.Response{Content: map[string]*huma.MediaType{}, Headers: map[string]*huma.Header{"Content-Language": {Ref: "#/components/headers/Content-Language"}}}
	for _, name := range headersOf(strconv.Itoa(status)) {
		r.Headers[name] = &huma.Header{Ref: "#/components/headers/" + name}
	}
	d.refuse(r, status, list)
	if len(list) > maxShared {
		return r
	}
	name := strings.Join(list, ".")
	d.doc.Components.Responses[name] = r
	return &huma.Response{Ref: "#/components/responses/" + name}
}

// refuse adds problems with these codes to a response.
func (d *describer) refuse(r *huma.Response, status int, list []string) {
	r.Description = http.StatusText(status) + ": " + strings.Join(list, ", ")
	m := &huma.MediaType{Schema: &huma.Schema{Ref: "#/components/schemas/Problem"}, Examples: map[string]*huma.Example{}}
	for _, code := range list {
		if _, main := d.meanings[code]; main {
			m.Examples[code] = &huma.Example{Ref: "#/components/examples/" + code}
			m.Examples[code+".en"] = &huma.Example{Ref: "#/components/examples/" + code + ".en"}
		}
	}
	r.Content[typeProblem] = m
}

// headersOf are the headers that every answer with a status has.
func headersOf(status string) []string {
	switch status {
	case "401":
		return []string{"X-Request-Id", "WWW-Authenticate"}
	case "429", "503":
		return []string{"X-Request-Id", "Retry-After"}
	}
	return []string{"X-Request-Id"}
}

// status is the HTTP status of a code; 0 for one that there is not.
func (d *describer) status(code string) int {
	if e, main := d.meanings[code]; main {
		return e.Status
	}
	return d.finer[code]
}

// codesOf are all codes that an operation can answer with, sorted by status and name.
func (d *describer) codesOf(kind string, o *huma.Operation) []string {
	set := map[string]bool{"internal_error": true}
	add := func(codes string) {
		for _, c := range strings.Fields(codes) {
			set[c] = true
		}
	}
	if len(o.Parameters) > generalHeaders || o.RequestBody != nil {
		add("invalid_request")
	}
	if kind != "anybody" {
		add("invalid_request busy store_unavailable hsm_unavailable")
	}
	add("rate_limited")
	switch kind {
	case "app":
		add("unauthenticated forbidden")
	case "person", "administrator":
		add("unauthenticated forbidden")
	case "visitor":
		add("forbidden")
	}
	if repeatable(o) {
		add("idempotency_conflict request_in_progress request_done")
	}
	if o.RequestBody != nil && kind != "anybody" {
		add("too_large")
	}
	statuses, _ := o.Metadata[declared].([]int)
	for _, s := range statuses {
		add(map[int]string{400: "invalid_request", 404: "not_found", 413: "too_large", 503: "hsm_unavailable"}[s])
		if s == 422 && kind != "app" {
			add("not_accepted")
		}
	}
	add(operationCodes()[o.OperationID])
	out := slices.Collect(maps.Keys(set))
	slices.SortFunc(out, func(a, b string) int {
		if x, y := d.status(a), d.status(b); x != y {
			return x - y
		}
		return strings.Compare(a, b)
	})
	return out
}

// bodyExample gives a JSON body its example: the one that is written down, else one made
// of the names of its members.
func (d *describer) bodyExample(content map[string]*huma.MediaType, written any, request bool) {
	m := content[typeJSON]
	if m == nil || m.Schema == nil || m.Example != nil || m.Examples != nil {
		return
	}
	if m.Example = written; written == nil {
		m.Example = d.example(m.Schema, "", request, 0)
	}
}

// maxExample bounds the nesting of an example.
const maxExample = 8

// example makes an example of a schema; name is that of the member it is for. In a request
// only what must be there is given.
func (d *describer) example(s *huma.Schema, name string, request bool, depth int) any {
	if s.Ref != "" {
		s = d.doc.Components.Schemas.SchemaFromRef(s.Ref)
	}
	if s == nil || depth > maxExample {
		return nil
	}
	if len(s.Examples) > 0 {
		return s.Examples[0]
	}
	if s.Type == "" && name == "credential" {
		return object{"id": "3q2-7wABAgMEBQYH", "type": "public-key"} // PublicKeyCredential.toJSON()
	}
	if v, ok := vocabulary()[name]; ok && fits(v, s) {
		return v
	}
	if len(s.Enum) > 0 {
		return s.Enum[0]
	}
	switch s.Type {
	case huma.TypeObject:
		out := map[string]any{}
		for _, key := range slices.Sorted(maps.Keys(s.Properties)) {
			if request && !slices.Contains(s.Required, key) {
				continue
			}
			out[key] = d.example(s.Properties[key], key, request, depth+1)
		}
		return out
	case huma.TypeArray:
		return []any{d.example(s.Items, strings.TrimSuffix(name, "s"), request, depth+1)}
	case huma.TypeInteger, huma.TypeNumber:
		if s.Minimum != nil {
			return *s.Minimum
		}
		return 1
	case huma.TypeBoolean:
		return false
	case huma.TypeString:
		switch s.Format {
		case "date-time":
			return exampleTime
		case "date":
			return exampleTime[:len("2006-01-02")]
		}
	}
	return fmt.Sprintf("<%s>", name) // a test finds these
}

// fits tells a word of the vocabulary from another member of the same name.
func fits(v any, s *huma.Schema) bool {
	switch v := v.(type) {
	case string:
		return s.Type == huma.TypeString && s.Format == "" && (len(s.Enum) == 0 || slices.Contains(s.Enum, any(v)))
	case []any:
		return s.Type == huma.TypeArray && s.Items.Type == huma.TypeString
	case float64, int:
		return s.Type == huma.TypeInteger || s.Type == huma.TypeNumber
	case bool:
		return s.Type == huma.TypeBoolean
	}
	return s.Type == ""
}

package web

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// Bounds of what one body shows.
const (
	maxFieldDepth = 7
	maxFields     = 300
	maxSample     = 12   // nesting of a sample body
	maxSteps      = 5000 // schemas looked at for one table or sample
)

// field is one line of a body's table.
type field struct {
	Name        string // "documents[].digest"
	Depth       int
	Type        string // "string (date-time)", "array of object"
	Required    bool
	Deprecated  bool
	Description []paragraph
	Notes       []string // enum, bounds, default
}

// resolve follows references; nil when there is nothing to show, when they
// turn in a circle, or when too much was looked at already. name is that of
// the last component met.
func (d *document) resolve(s *schema) (out *schema, name string) {
	if d.steps++; d.steps > maxSteps {
		return nil, ""
	}
	for range maxFollow {
		if s == nil || s.Ref == "" {
			return s, name
		}
		name = component(s.Ref, "schemas")
		s = d.Components.Schemas[name]
	}
	return nil, ""
}

// component returns the name in "#/components/<kind>/<name>", or "".
func component(ref, kind string) string {
	name, ok := strings.CutPrefix(ref, "#/components/"+kind+"/")
	if !ok {
		return ""
	}
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
}

// flattener turns a schema into lines.
type flattener struct {
	doc    *document
	fields []field
	open   []string // components being shown: a circle ends there
}

func (d *document) flatten(s *schema) []field {
	d.steps = 0
	f := flattener{doc: d}
	f.members("", s, 0)
	return f.fields
}

// members adds the properties of s, of the items of s and of what s is made of.
func (f *flattener) members(prefix string, s *schema, depth int) {
	s, name := f.doc.resolve(s)
	if s == nil || depth > maxFieldDepth || name != "" && slices.Contains(f.open, name) {
		return
	}
	if name != "" {
		f.open = append(f.open, name)
		defer func() { f.open = f.open[:len(f.open)-1] }()
	}
	for _, part := range slices.Concat(s.AllOf, s.OneOf, s.AnyOf) {
		f.members(prefix, part, depth+1)
	}
	if s.Items != nil {
		f.members(prefix+"[]", s.Items, depth)
	}
	for _, key := range propertyNames(s) {
		if len(f.fields) >= maxFields {
			return
		}
		f.property(prefix, key, s, depth)
	}
	if s.AdditionalProperties != nil && !s.AdditionalProperties.boolean {
		f.members(join(prefix, "*"), s.AdditionalProperties, depth+1)
	}
}

func (f *flattener) property(prefix, key string, parent *schema, depth int) {
	given := parent.Properties[key]
	p, _ := f.doc.resolve(given)
	if p == nil {
		p = &schema{}
	}
	// A description beside a reference is about this use of it.
	description := p.Description
	if given != nil && given.Description != "" {
		description = given.Description
	}
	name := join(prefix, key)
	f.fields = append(f.fields, field{
		Name: name, Depth: depth, Type: f.doc.kind(given, 0), Required: slices.Contains(parent.Required, key),
		Deprecated: p.Deprecated, Description: prose(description), Notes: notes(p),
	})
	f.members(name, given, depth+1)
}

func join(prefix, key string) string {
	if prefix == "" {
		return key
	}
	return prefix + "." + key
}

// propertyNames: the required ones first, each group by name; huma's $schema
// is left out.
func propertyNames(s *schema) []string {
	names := slices.DeleteFunc(slices.Collect(maps.Keys(s.Properties)), func(n string) bool { return n == "$schema" })
	slices.SortFunc(names, func(a, b string) int {
		ra, rb := slices.Contains(s.Required, a), slices.Contains(s.Required, b)
		if ra != rb {
			if ra {
				return -1
			}
			return 1
		}
		return cmp.Compare(a, b)
	})
	return names
}

// kind words the type of s.
func (d *document) kind(s *schema, depth int) string {
	s, _ = d.resolve(s)
	if s == nil || depth > maxFollow {
		return "any"
	}
	var names []string
	for _, t := range s.Type {
		switch {
		case t == "array":
			t = "array of " + d.kind(s.Items, depth+1)
		case t == "string" && s.ContentEncoding != "":
			t += " (" + s.ContentEncoding + ")"
		case t != "null" && t != "object" && s.Format != "":
			t += " (" + s.Format + ")"
		}
		names = append(names, t)
	}
	if len(names) == 0 {
		for _, part := range slices.Concat(s.AllOf, s.OneOf, s.AnyOf) {
			if k := d.kind(part, depth+1); !slices.Contains(names, k) {
				names = append(names, k)
			}
		}
	}
	if len(names) == 0 {
		return "any"
	}
	return strings.Join(names, " | ")
}

// notes words enum, bounds, pattern and default.
func notes(s *schema) (out []string) {
	add := func(label string, v string) {
		if v != "" {
			out = append(out, label+" "+v)
		}
	}
	if len(s.Enum) > 0 {
		values := make([]string, 0, len(s.Enum))
		for _, v := range s.Enum {
			values = append(values, plain(v))
		}
		out = append(out, strings.Join(values, " · "))
	}
	add("=", plain(s.Const))
	add("≥", s.Minimum.String())
	add(">", s.ExclusiveMinimum.String())
	add("≤", s.Maximum.String())
	add("<", s.ExclusiveMaximum.String())
	add("", bounds(s.MinLength, s.MaxLength, "aksara / characters"))
	add("", bounds(s.MinItems, s.MaxItems, "item / items"))
	add("pattern", s.Pattern)
	add("lalai / default", plain(s.Default))
	if s.ReadOnly {
		out = append(out, "baca sahaja / read only")
	}
	if s.WriteOnly {
		out = append(out, "tulis sahaja / write only")
	}
	for i := range out {
		out[i] = strings.TrimSpace(out[i])
	}
	return out
}

func bounds(low, high *int, unit string) string {
	number := func(n int) string { p, _ := json.Marshal(n); return string(p) }
	switch {
	case low != nil && high != nil && *low == *high:
		return number(*low) + " " + unit
	case low != nil && high != nil:
		return number(*low) + "–" + number(*high) + " " + unit
	case low != nil && *low > 0:
		return "≥ " + number(*low) + " " + unit
	case high != nil:
		return "≤ " + number(*high) + " " + unit
	}
	return ""
}

// plain shows a JSON value, a string without its quotes.
func plain(v json.RawMessage) string {
	var s string
	if json.Unmarshal(v, &s) == nil {
		return s
	}
	return string(v)
}

// sample is an example body in JSON: the one given, else one made from the
// schema's examples, defaults and types; "" when there is nothing to show.
func (d *document) sample(m mediaType) string {
	d.steps = 0
	given := m.Example
	for _, key := range slices.Sorted(maps.Keys(m.Examples)) {
		if given == nil {
			given = m.Examples[key].Value
		}
	}
	if given == nil {
		v := d.value(m.Schema, 0)
		if v == nil {
			return ""
		}
		given, _ = json.Marshal(v)
	}
	var out bytes.Buffer
	if json.Indent(&out, given, "", "  ") != nil {
		return ""
	}
	return out.String()
}

// value makes a sample value for s.
func (d *document) value(s *schema, depth int) any {
	s, _ = d.resolve(s)
	if s == nil || depth > maxSample {
		return nil
	}
	for _, v := range slices.Concat([]json.RawMessage{s.Example}, s.Examples, []json.RawMessage{s.Const, s.Default}, s.Enum) {
		if len(v) > 0 {
			return v
		}
	}
	for _, part := range slices.Concat(s.OneOf, s.AnyOf, s.AllOf) {
		if v := d.value(part, depth+1); v != nil {
			return v
		}
	}
	kind := ""
	for _, t := range s.Type {
		if t != "null" {
			kind = t
			break
		}
	}
	switch kind {
	case "object":
		return d.object(s, depth)
	case "array":
		if v := d.value(s.Items, depth+1); v != nil {
			return []any{v}
		}
		return []any{}
	case "integer", "number":
		if s.Minimum != "" {
			return json.RawMessage(s.Minimum)
		}
		return 1
	case "boolean":
		return false
	case "string":
		if s.Format == "date-time" {
			return "2026-04-30T04:09:54Z"
		}
		return "…"
	}
	return nil
}

// object shows the required properties and those with an example.
func (d *document) object(s *schema, depth int) any {
	out := map[string]any{}
	for _, key := range propertyNames(s) {
		p, _ := d.resolve(s.Properties[key])
		if p == nil || !slices.Contains(s.Required, key) && len(p.Example) == 0 && len(p.Examples) == 0 {
			continue
		}
		if v := d.value(p, depth+1); v != nil {
			out[key] = v
		}
	}
	if len(out) == 0 && depth == 0 {
		return nil
	}
	return out
}

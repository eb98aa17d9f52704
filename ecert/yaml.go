package ecert

import (
	"errors"
	"fmt"
	"reflect"
	"sort"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// A TemplateError says which file of the templates is wrong, where, and what to do.
type TemplateError struct {
	File  string // below the folder, "layouts/certificate.yaml"
	Line  int    // 0: the file as a whole
	Field string // "elements[3].size"; "" for none
	Fault string
}

// Error is one line: file, line, field, and what to do about it.
func (e *TemplateError) Error() string {
	where := e.File
	if e.Line > 0 {
		where += ":" + strconv.Itoa(e.Line)
	}
	if e.Field != "" {
		where += ": " + e.Field
	}
	return where + ": " + e.Fault
}

// Bounds of a file of the templates.
const (
	maxTemplateFile  = 256 << 10 // bytes
	maxTemplateDepth = 12
	maxTemplateItems = 400 // of one list or mapping
)

// readYAML reads one document into v, a pointer to a struct. It is strict: a key
// that v does not know, one that stands twice, an anchor, another kind of value
// are faults with their line. yaml.v3 loses the line where a type reads itself,
// which is why it does not do this.
func readYAML(file string, b []byte, v any) error {
	if len(b) > maxTemplateFile {
		return &TemplateError{file, 0, "", fmt.Sprintf("the file has %d bytes, at most %d are read", len(b), maxTemplateFile)}
	}
	d := yaml.NewDecoder(strings.NewReader(string(b)))
	var doc, more yaml.Node
	if err := d.Decode(&doc); err != nil {
		return &TemplateError{file, 0, "", "not YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")}
	}
	if err := d.Decode(&more); err == nil || len(doc.Content) != 1 {
		return &TemplateError{file, 0, "", "more than one YAML document; keep one"}
	}
	y := yamlReader{file}
	return y.read(doc.Content[0], reflect.ValueOf(v).Elem(), "", 0)
}

type yamlReader struct{ file string }

func (y yamlReader) fault(n *yaml.Node, field, fault string) error {
	return &TemplateError{y.file, n.Line, field, fault}
}

// placed is embedded by what wants to know its line.
type placed struct{ line int }

func (p *placed) place(line int) { p.line = line }

func (y yamlReader) read(n *yaml.Node, v reflect.Value, field string, depth int) error {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return y.fault(n, field, "anchors and aliases are not read; write the value out")
	case depth > maxTemplateDepth || len(n.Content) > 2*maxTemplateItems:
		return y.fault(n, field, "too deep or too long")
	}
	if p, ok := v.Addr().Interface().(interface{ place(int) }); ok {
		p.place(n.Line)
	}
	switch v.Kind() {
	case reflect.Struct:
		return y.mapping(n, field, func(key, value *yaml.Node, at string) error {
			f, ok := yamlField(v, key.Value)
			if !ok {
				return y.fault(key, at, "unknown; the keys here are "+strings.Join(yamlKeys(v.Type()), ", "))
			}
			return y.read(value, f, at, depth+1)
		})
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		return y.mapping(n, field, func(key, value *yaml.Node, at string) error {
			e := reflect.New(v.Type().Elem()).Elem()
			if err := y.read(value, e, at, depth+1); err != nil {
				return err
			}
			v.SetMapIndex(reflect.ValueOf(key.Value).Convert(v.Type().Key()), e)
			return nil
		})
	case reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			return y.fault(n, field, "must be a list")
		}
		v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
		for i, c := range n.Content {
			if err := y.read(c, v.Index(i), fmt.Sprintf("%s[%d]", field, i), depth+1); err != nil {
				return err
			}
		}
		return nil
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return y.read(n, v.Elem(), field, depth)
	}
	return y.scalar(n, v, field)
}

func (y yamlReader) mapping(n *yaml.Node, field string, each func(key, value *yaml.Node, at string) error) error {
	if n.Kind != yaml.MappingNode {
		return y.fault(n, field, "must be keys with values")
	}
	seen := map[string]bool{}
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i]
		at := key.Value
		if field != "" {
			at = field + "." + at
		}
		if key.Kind != yaml.ScalarNode || key.Anchor != "" {
			return y.fault(key, field, "a key must be a plain word")
		}
		if seen[key.Value] {
			return y.fault(key, at, "stands twice; keep one")
		}
		seen[key.Value] = true
		if err := each(key, n.Content[i+1], at); err != nil {
			return err
		}
	}
	return nil
}

func (y yamlReader) scalar(n *yaml.Node, v reflect.Value, field string) error {
	if n.Kind != yaml.ScalarNode {
		return y.fault(n, field, "must be one value")
	}
	switch v.Kind() {
	case reflect.String:
		if n.Tag == "!!null" {
			return y.fault(n, field, `nothing here; write "" for an empty text`)
		}
		v.SetString(n.Value)
	case reflect.Float64:
		f, err := strconv.ParseFloat(n.Value, 64)
		if err != nil || f != f || f < -10000 || f > 10000 || (n.Tag != "!!int" && n.Tag != "!!float") {
			return y.fault(n, field, fmt.Sprintf("%q is not a number between -10000 and 10000", n.Value))
		}
		v.SetFloat(f)
	case reflect.Int:
		k, err := strconv.Atoi(n.Value)
		if err != nil || k < 0 || k > 10000 {
			return y.fault(n, field, fmt.Sprintf("%q is not a whole number from 0 to 10000", n.Value))
		}
		v.SetInt(int64(k))
	default:
		return errors.New("no such kind of value in templates")
	}
	return nil
}

// yamlName is the key of a struct's field; embedded ones have none.
func yamlName(f reflect.StructField) string {
	if f.Anonymous || !f.IsExported() {
		return ""
	}
	return f.Tag.Get("yaml")
}

func yamlField(v reflect.Value, key string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if name := yamlName(v.Type().Field(i)); name != "" && name == key {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func yamlKeys(t reflect.Type) (keys []string) {
	for i := range t.NumField() {
		if name := yamlName(t.Field(i)); name != "" {
			keys = append(keys, name)
		}
	}
	sort.Strings(keys)
	return keys
}

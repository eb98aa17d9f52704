package verify

import (
	"encoding/xml"
	"errors"
	"io"
	"maps"
	"strings"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// maxMetadata bounds the metadata streams compared, in decoded bytes.
const maxMetadata = 1 << 20

// metadata compares the document's XMP metadata (ISO 32000-2, Section 14.3.2),
// which writers bring up to date with every save: who saved it last, and when,
// may change, everything else not.
func (c *comparison) metadata(then, now syntax.Value) error {
	if equal(then, now) && (now.Kind != syntax.Reference || !c.changed[uint32(now.Int)]) {
		return nil
	}
	a, err := c.properties(c.old, then)
	if err != nil {
		return err
	}
	b, err := c.properties(c.v.file, now)
	if err != nil {
		return err
	}
	if a == nil || b == nil || !maps.Equal(a, b) {
		c.bad("catalog.Metadata")
		return nil
	}
	c.fine("catalog.Metadata")
	return nil
}

// properties flattens a metadata stream: how often each text occurs under each
// path of names. It is nil when there is no stream or it cannot be read.
func (c *comparison) properties(f *syntax.File, v syntax.Value) (map[string]int, error) {
	o, err := f.Resolve(v)
	if err != nil {
		return nil, err
	}
	if o.Data == 0 || !o.Value.Key("Type").IsName("Metadata") || !o.Value.Key("Subtype").IsName("XML") {
		return nil, nil
	}
	for _, e := range o.Value.Dict {
		switch e.Key {
		case "Type", "Subtype", "Length", "Filter", "DecodeParms":
		default:
			return nil, nil
		}
	}
	r, err := f.Stream(o)
	if err != nil {
		return nil, ignoreRefusal(err)
	}
	out, err := flatten(io.LimitReader(r, maxMetadata))
	return out, ignoreRefusal(err)
}

// ignoreRefusal drops faults of the document, which the caller sees by the
// missing result.
func ignoreRefusal(err error) error {
	var refused *syntax.Error
	var bad *xml.SyntaxError
	if errors.As(err, &refused) || errors.As(err, &bad) || damaged(err) {
		return nil
	}
	return err
}

func flatten(r io.Reader) (map[string]int, error) {
	d := xml.NewDecoder(r)
	out := make(map[string]int)
	var path []string
	note := func(name, text string) {
		if text = strings.TrimSpace(text); text != "" && len(path) < syntax.MaxDepth {
			out[strings.Join(path, ">")+">"+name+"="+text]++
		}
	}
	skip := 0 // depth inside of a property that may change
	for {
		t, err := d.Token()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if skip > 0 || volatile(t.Name) {
				skip++
				continue
			}
			path = append(path, t.Name.Space+" "+t.Name.Local)
			for _, a := range t.Attr {
				// Prefixes are notation, and x:xmptk names the writer's toolkit.
				if !volatile(a.Name) && a.Name.Space != "xmlns" && a.Name.Local != "xmlns" && a.Name.Local != "xmptk" {
					note("@"+a.Name.Space+" "+a.Name.Local, a.Value)
				}
			}
		case xml.EndElement:
			if skip > 0 {
				skip--
				continue
			}
			path = path[:len(path)-1]
		case xml.CharData:
			if skip == 0 {
				note("", string(t))
			}
		}
		if len(path) > syntax.MaxDepth {
			return nil, io.ErrUnexpectedEOF
		}
	}
}

// volatile says whether a property is about the last save.
func volatile(n xml.Name) bool {
	switch n.Space {
	case "http://ns.adobe.com/xap/1.0/":
		return n.Local == "ModifyDate" || n.Local == "MetadataDate"
	case "http://ns.adobe.com/pdf/1.3/":
		return n.Local == "Producer"
	case "http://ns.adobe.com/xap/1.0/mm/":
		return n.Local == "InstanceID" || n.Local == "History"
	}
	return false
}

package verify

import (
	"context"
	"crypto/sha256"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// Bounds of the metadata streams compared, in decoded bytes: of all, and of a
// name with its space, which is resolved anew each time it occurs.
const (
	maxMetadata = 1 << 20
	maxName     = 1 << 10
)

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
// path of names, by hash. It is nil when there is no stream or it cannot be read.
func (c *comparison) properties(f *syntax.File, v syntax.Value) (map[property]int, error) {
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
	out, err := flatten(c.v.ctx, io.LimitReader(r, maxMetadata))
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

// property is the hash of a path of names, or of one and a text.
type property [sha256.Size]byte

func (p property) below(kind, space, name string) property {
	h := sha256.New()
	h.Write(p[:])
	fmt.Fprintf(h, "%s %d %s %s", kind, len(space), space, name)
	return property(h.Sum(nil))
}

func flatten(ctx context.Context, r io.Reader) (map[property]int, error) {
	d := xml.NewDecoder(r)
	out := make(map[property]int)
	path := []property{{}}
	items := []int{0} // of an array, at each depth of path
	note := func(at property, text string) {
		if text = strings.TrimSpace(text); text != "" && len(path) <= syntax.MaxDepth {
			out[at.below("text", "", text)]++
		}
	}
	long := func(n xml.Name) bool { return len(n.Space)+len(n.Local) > maxName }
	skip := 0 // depth inside of a property that may change
	for n := 0; ; n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
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
			if long(t.Name) || slices.ContainsFunc(t.Attr, func(a xml.Attr) bool { return long(a.Name) }) {
				return nil, io.ErrUnexpectedEOF
			}
			at := path[len(path)-1].below("element", t.Name.Space, t.Name.Local)
			if t.Name.Local == "li" { // which text is in which language, and their order
				items[len(items)-1]++
				at = at.below("item", "", strconv.Itoa(items[len(items)-1]))
			}
			path, items = append(path, at), append(items, 0)
			for _, a := range t.Attr {
				// Prefixes are notation, and x:xmptk names the writer's toolkit.
				if !volatile(a.Name) && a.Name.Space != "xmlns" && a.Name.Local != "xmlns" && a.Name.Local != "xmptk" {
					note(at.below("attribute", a.Name.Space, a.Name.Local), a.Value)
				}
			}
		case xml.EndElement:
			if skip > 0 {
				skip--
				continue
			}
			path, items = path[:len(path)-1], items[:len(items)-1]
		case xml.CharData:
			if skip == 0 {
				note(path[len(path)-1], string(t))
			}
		}
		if len(path) > syntax.MaxDepth+1 {
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

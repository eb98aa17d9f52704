package pdf

import (
	"fmt"
	"strings"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// document looks at the catalog, the form and the trailer.
func (s *scan) document() error {
	catalog := s.d.tree.Catalog
	s.d.surface(func(code string) { s.report(code, catalog.Num, 0) })
	if s.value(s.d.form.Dict.Key("NeedAppearances")).Int == 1 {
		s.report("need_appearances", s.d.form.Object.Num, 0)
	}
	if s.f.Trailer().Value.Key("Encrypt").Kind != syntax.Null {
		s.report("encrypted", 0, 0)
	}
	properties := s.value(catalog.Value.Key("OCProperties"))
	if properties.Kind != syntax.Dictionary {
		return nil
	}
	s.report("optional_content", catalog.Num, 0)
	// ISO 32000-2, Table 99: groups are off, or turned on and off by events.
	d := s.value(properties.Key("D"))
	if len(s.value(d.Key("OFF")).Array) > 0 || s.value(d.Key("BaseState")).IsName("OFF") || len(s.value(d.Key("AS")).Array) > 0 {
		s.report("optional_content_hidden", catalog.Num, 0)
	}
	return nil
}

// signatures finds the dictionaries that are signatures, and whether the last
// one covers the file.
func (s *scan) signatures() error {
	var end int64
	note := func(v syntax.Value, holder uint32) error {
		o, err := s.resolve(v)
		if err != nil {
			return err
		}
		if v.Kind == syntax.Reference {
			holder = o.Num
		}
		s.signed[holder] = true
		if r := s.value(o.Value.Key("ByteRange")).Array; len(r) == 4 {
			end = max(end, r[2].Int+r[3].Int)
		}
		return nil
	}
	for _, field := range s.d.form.Fields {
		if field.V.Kind == syntax.Null {
			continue
		}
		s.report("already_signed", field.Object.Num, 0)
		if err := note(field.V, field.Object.Num); err != nil {
			return err
		}
	}
	for _, e := range s.d.perms.Dict {
		if err := note(e.Value, s.d.tree.Catalog.Num); err != nil {
			return err
		}
	}
	if end > 0 && end < s.f.Size()-2 { // an end of line may follow
		s.report("changed_after_signature", 0, 0)
	}
	return nil
}

// walk looks at every object reachable from the trailer. The pages were looked
// at before, so that what is on them is told of the page.
func (s *scan) walk() error {
	s.push(s.f.Trailer().Value, 0)
	for steps := 0; len(s.queue) > 0; steps++ {
		if steps%1024 == 0 && s.ctx.Err() != nil {
			return fmt.Errorf("scanning document: %w", s.ctx.Err())
		}
		t := s.queue[len(s.queue)-1]
		s.queue = s.queue[:len(s.queue)-1]
		o, err := s.f.Load(t.num, t.gen)
		if err != nil {
			if err := s.unreadable(err); err != nil {
				return err
			}
			continue
		}
		if err := s.object(o, t.page); err != nil {
			return err
		}
	}
	return nil
}

// object looks at an object and queues those it refers to.
func (s *scan) object(o *syntax.Object, page int) error {
	if err := s.extent(o); err != nil {
		return err
	}
	if o.Data != 0 && o.Value.Key("F").Kind != syntax.Null {
		s.report("external_stream", o.Num, page)
	}
	s.examine(o.Value, o.Num, page)
	s.push(o.Value, page)
	return nil
}

// extent notes where the object lies.
func (s *scan) extent(o *syntax.Object) error {
	if o.Compressed || o.Num == 0 || o.Value.End == 0 {
		return nil
	}
	e := extent{o.Value.Start, o.Value.End, o.Num}
	if o.Data != 0 {
		length, err := s.resolve(o.Value.Key("Length"))
		if err != nil {
			return err
		}
		if n := length.Value.Int; n >= 0 && n <= s.f.Size()-o.Data {
			e.end = o.Data + n
		}
	}
	s.extents = append(s.extents, e)
	return nil
}

// push queues the objects a value refers to.
func (s *scan) push(v syntax.Value, page int) {
	switch v.Kind {
	case syntax.Reference:
		// Under another generation it means null, but not to all readers.
		if gen, used := s.f.InUse(uint32(v.Int)); used && s.reached.add(uint32(v.Int)) {
			s.queue = append(s.queue, task{uint32(v.Int), gen, page})
		}
	case syntax.Array:
		for i := range v.Array {
			s.push(v.Array[i], page)
		}
	case syntax.Dictionary:
		for i := range v.Dict {
			s.push(v.Dict[i].Value, page)
		}
	}
}

// examine looks at the dictionaries of a value.
func (s *scan) examine(v syntax.Value, num uint32, page int) {
	for i := range v.Array {
		s.examine(v.Array[i], num, page)
	}
	if v.Kind != syntax.Dictionary {
		return
	}
	for i := range v.Dict {
		e := &v.Dict[i]
		if e.Value.Kind == syntax.Null {
			continue
		}
		s.entry(v, e, num, page)
		if k := e.Value.Kind; k == syntax.Array || k == syntax.Dictionary {
			s.examine(e.Value, num, page)
		}
	}
}

// entry looks at one entry of a dictionary d.
func (s *scan) entry(d syntax.Value, e *syntax.Entry, num uint32, page int) {
	report := func(code string) { s.report(code, num, page) }
	switch e.Key {
	case "S":
		if code := action(d, s.value(e.Value)); code != "" {
			report(code)
		}
	case "JS":
		report("javascript")
	case "AA":
		report("additional_actions")
	case "XFA":
		report("xfa")
	case "EF":
		report("embedded_files")
	case "FS":
		if s.value(e.Value).IsName("URL") {
			report("external_reference")
		}
	case "F", "UF":
		if d.Key("Type").IsName("Filespec") && d.Key("EF").Kind == syntax.Null {
			report("external_reference")
		}
	case "Ref":
		if d.Key("Subtype").IsName("Form") {
			report("external_reference")
		}
	case "OPI":
		report("external_reference")
	case "Alternates":
		if d.Key("Subtype").IsName("Image") {
			report("alternate_image")
		}
	case "TR", "TR2":
		t := s.value(e.Value)
		if !t.IsName("Identity") && !t.IsName("Default") && d.Key("G").Kind == syntax.Null {
			report("transfer_function")
		}
	case "ByteRange":
		if !s.signed[num] {
			report("byte_range_lookalike")
		}
	case "Linearized":
		s.linear = true
	case "Subtype":
		switch name := s.value(e.Value); string(name.Bytes) {
		case "RichMedia", "Sound", "Movie", "Screen", "3D":
			if d.Key("Rect").Kind != syntax.Null {
				report("multimedia")
			}
		case "Type1", "MMType1", "TrueType", "Type3", "CIDFontType0", "CIDFontType2":
			if code := s.font(d, string(name.Bytes)); code != "" {
				report(code)
			}
		}
	}
}

// action is the code of an action dictionary (ISO 32000-2, Section 12.6.4).
// Other dictionaries have an /S too, but not what the action needs.
func action(d, kind syntax.Value) string {
	has := func(keys ...string) bool {
		for _, k := range keys {
			if d.Key(k).Kind != syntax.Null {
				return true
			}
		}
		return false
	}
	switch string(kind.Bytes) {
	case "JavaScript":
		return "javascript"
	case "Launch":
		if has("F", "Win", "Mac", "Unix") {
			return "launch"
		}
	case "SubmitForm":
		return "submit_form"
	case "ImportData":
		return "import_data"
	case "GoToR", "GoToE", "Thread":
		if has("F", "T") {
			return "goto_remote"
		}
	case "URI":
		if has("URI") {
			return "uri"
		}
	case "Rendition", "RichMediaExecute", "GoTo3DView", "Movie", "Sound":
		return "multimedia"
	case "Hide", "SetOCGState":
		return "hide_action"
	}
	return ""
}

// font is the code of a font whose look depends on the viewer.
func (s *scan) font(d syntax.Value, subtype string) string {
	if subtype == "Type3" {
		return "type3_font"
	}
	if !s.value(d.Key("Type")).IsName("Font") {
		return ""
	}
	descriptor := s.value(d.Key("FontDescriptor"))
	for _, k := range []string{"FontFile", "FontFile2", "FontFile3"} {
		if descriptor.Key(k).Kind != syntax.Null {
			return ""
		}
	}
	name := string(s.value(d.Key("BaseFont")).Bytes)
	for _, standard := range strings.Fields("Courier Helvetica Times-Roman Times-Bold Times-Italic Times-BoldItalic Symbol ZapfDingbats") {
		if name == standard || strings.HasPrefix(name, standard+"-") && standard != "Symbol" {
			return "" // every viewer has a font of the same widths
		}
	}
	return "font_not_embedded"
}

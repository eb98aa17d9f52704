package pdf

import (
	"fmt"
	"strings"

	"github.com/mohor-sign/mohor/pdf/content"
	"github.com/mohor-sign/mohor/pdf/syntax"
)

// Flags of an annotation (ISO 32000-2, Table 167).
const (
	flagHidden       = 1 << 1
	flagPrint        = 1 << 2
	flagNoView       = 1 << 5
	flagToggleNoView = 1 << 8
)

// annotation is one that is shown on a page.
type annotation struct {
	num    uint32
	box    [4]float64 // points as displayed
	paints bool
	over   bool // stands over text by its nature: links, highlights
}

// pages queues the pages with their annotations, and looks at the latter.
func (s *scan) pages() error {
	for _, p := range s.d.tree.Pages {
		s.reached.add(p.Num)
	}
	for i, p := range s.d.tree.Pages {
		if i%256 == 0 && s.ctx.Err() != nil {
			return fmt.Errorf("scanning document: %w", s.ctx.Err())
		}
		o, err := s.f.Load(p.Num, p.Gen)
		if err != nil {
			if err := s.unread(err); err != nil {
				return err
			}
			continue
		}
		annots, err := s.resolve(o.Value.Key("Annots"))
		if err != nil {
			return err
		}
		if err := s.annotations(p, o, annots.Value.Array, i+1); err != nil {
			return err
		}
		s.push(annots.Value, i+1)
		if err := s.object(o, i+1); err != nil {
			return err
		}
	}
	return nil
}

func (s *scan) annotations(p syntax.Page, page *syntax.Object, annots []syntax.Value, number int) error {
	if len(annots) == 0 {
		return nil
	}
	g, err := s.f.Geometry(p, page)
	if err != nil {
		return s.unread(err)
	}
	var shown []annotation
	paints := false
	for _, v := range annots {
		if s.ctx.Err() != nil {
			return fmt.Errorf("scanning document: %w", s.ctx.Err())
		}
		o, err := s.resolve(v)
		if err != nil {
			return err
		}
		if o.Value.Kind != syntax.Dictionary {
			continue
		}
		a, ok, err := s.annotation(o, g, number)
		if err != nil {
			return err
		}
		if ok {
			shown = append(shown, a)
			paints = paints || a.paints && !a.over
		}
	}
	s.overlaps(shown, number)
	if !paints {
		return nil
	}
	if s.content++; s.content > maxContent {
		s.incomplete()
		return nil
	}
	contents, err := s.reader.Page(page, g)
	if err != nil {
		return err
	}
	if contents.Damage != nil {
		s.incomplete()
	}
	s.covered(shown, contents.Chars, number)
	return nil
}

// annotation looks at one annotation. ok is false for those that have no place
// or are not shown.
func (s *scan) annotation(o *syntax.Object, g syntax.Geometry, page int) (a annotation, ok bool, err error) {
	v := o.Value
	subtype := string(s.value(v.Key("Subtype")).Bytes)
	r, err := rectangle(s.f, v.Key("Rect"))
	if err != nil {
		return a, false, s.unread(err)
	}
	if subtype == "Popup" || r[2]-r[0] <= 0 || r[3]-r[1] <= 0 {
		return a, false, nil
	}
	report := func(code string) { s.report(code, o.Num, page) }
	flags := s.value(v.Key("F")).Int
	if flags&(flagHidden|flagNoView|flagToggleNoView) != 0 {
		report("annotation_hidden")
		return a, false, nil
	}
	a = annotation{num: o.Num, box: onPage(g, r)}
	switch subtype {
	case "Link":
		a.over = true
		return a, true, nil
	case "Highlight", "Underline", "StrikeOut", "Squiggly":
		a.over = true
	}
	if flags&flagPrint == 0 {
		report("annotation_not_printed")
	}
	for _, k := range []string{"CA", "ca"} {
		if c := s.value(v.Key(k)); (c.Kind == syntax.Integer || c.Kind == syntax.Real) && c.Real < 0.1 {
			report("annotation_transparent")
		}
	}
	if s.value(s.value(v.Key("MK")).Key("BG")).Kind == syntax.Array {
		a.paints = true
	}
	form, err := s.appearance(o, page)
	if err != nil || form == nil {
		return a, true, err
	}
	if s.content++; s.content > maxContent {
		s.incomplete()
		return a, true, nil
	}
	contents, err := s.reader.Form(form)
	if err != nil {
		return a, true, err
	}
	a.paints = a.paints || contents.Paints
	if subtype == "Widget" {
		s.fieldValue(v, form, contents, func() { report("field_value_differs") })
	}
	return a, true, nil
}

// appearance returns the normal appearance stream, nil when there is none.
func (s *scan) appearance(o *syntax.Object, page int) (*syntax.Object, error) {
	ap := s.value(o.Value.Key("AP"))
	normal, err := s.resolve(ap.Key("N"))
	if err != nil {
		return nil, err
	}
	button := s.inherited(o.Value, "FT").IsName("Btn")
	if (ap.Key("R").Kind != syntax.Null || ap.Key("D").Kind != syntax.Null) && !button {
		s.report("appearance_changes", o.Num, page)
	}
	if normal.Data == 0 && normal.Value.Kind == syntax.Dictionary {
		state := s.value(o.Value.Key("AS"))
		chosen := normal.Value.Key(string(state.Bytes))
		// Buttons that are off need none.
		if state.Kind != syntax.Name || chosen.Kind == syntax.Null && string(state.Bytes) != "Off" {
			s.report("appearance_state", o.Num, page)
		}
		if normal, err = s.resolve(chosen); err != nil {
			return nil, err
		}
		if normal.Data == 0 {
			return nil, nil
		}
	}
	if normal.Data == 0 {
		s.report("appearance_missing", o.Num, page)
		return nil, nil
	}
	return normal, nil
}

// inherited looks for an attribute of a field in the field and its ancestors.
func (s *scan) inherited(field syntax.Value, name string) syntax.Value {
	for range 8 {
		if v := s.value(field.Key(name)); v.Kind != syntax.Null {
			return v
		}
		field = s.value(field.Key("Parent"))
	}
	return syntax.Value{}
}

// fieldValue compares the value of a text or choice field with the text shown.
func (s *scan) fieldValue(field syntax.Value, form *syntax.Object, shown *content.Contents, differs func()) {
	kind := s.inherited(field, "FT")
	const password = 1 << 13
	if !kind.IsName("Tx") && !kind.IsName("Ch") || s.inherited(field, "Ff").Int&password != 0 || shown.Damage != nil {
		return
	}
	v := s.inherited(field, "V")
	if v.Kind != syntax.String && v.Kind != syntax.Null {
		return
	}
	var b strings.Builder
	for _, c := range shown.Chars {
		if c.Text == "" {
			return // a font that does not say what it shows
		}
		b.WriteString(squeeze(c.Text))
	}
	text, value := b.String(), squeeze(syntax.Text(v.Bytes))
	fonts := s.value(s.value(form.Value.Key("Resources")).Key("Font"))
	if text == "" && value != "" && len(fonts.Dict) == 0 {
		return // the font is in the form's default resources
	}
	if text != value && !(kind.IsName("Ch") && strings.Contains(text, value)) {
		differs()
	}
}

// overlaps reports annotations that cover more than half of another.
func (s *scan) overlaps(shown []annotation, page int) {
	if len(shown) > maxOnPage {
		s.incomplete()
		shown = shown[:maxOnPage]
	}
	size := func(b [4]float64) float64 { return max(0, b[2]-b[0]) * max(0, b[3]-b[1]) }
	for i, a := range shown {
		for _, b := range shown[:i] {
			if a.over || b.over {
				continue
			}
			both := [4]float64{max(a.box[0], b.box[0]), max(a.box[1], b.box[1]), min(a.box[2], b.box[2]), min(a.box[3], b.box[3])}
			if size(both) > 0.5*min(size(a.box), size(b.box)) {
				s.report("annotations_overlap", a.num, page)
			}
		}
	}
}

// covered reports annotations that paint over text of the page.
func (s *scan) covered(shown []annotation, chars []content.Char, page int) {
	for _, a := range shown {
		if !a.paints || a.over {
			continue
		}
		for _, c := range chars {
			x, y := (c.Box[0]+c.Box[2])/2, (c.Box[1]+c.Box[3])/2
			if !c.Invisible && squeeze(c.Text) != "" && x > a.box[0] && x < a.box[2] && y > a.box[1] && y < a.box[3] {
				s.report("annotation_covers_text", a.num, page)
				break
			}
		}
	}
}

// onPage converts a rectangle in user space to the page as displayed.
func onPage(g syntax.Geometry, r [4]float64) [4]float64 {
	left, bottom, right, top := g.Crop[0], g.Crop[1], g.Crop[2], g.Crop[3]
	switch g.Rotate {
	case 90:
		r = [4]float64{r[1] - bottom, right - r[2], r[3] - bottom, right - r[0]}
	case 180:
		r = [4]float64{right - r[2], top - r[3], right - r[0], top - r[1]}
	case 270:
		r = [4]float64{top - r[3], r[0] - left, top - r[1], r[2] - left}
	default:
		r = [4]float64{r[0] - left, r[1] - bottom, r[2] - left, r[3] - bottom}
	}
	for i := range r {
		r[i] *= g.UserUnit
	}
	return r
}

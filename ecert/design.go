package ecert

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mohor-sign/mohor/pdf/font"
)

// builtinFonts are the typefaces every layout may name, in the order of their
// resources: Mohor Serif in three cuts, Open Sans in two.
var builtinFonts = []string{"serif", "serif-bold", "serif-italic", "sans", "sans-bold"}

var builtinFaces = []func() (*font.Face, error){font.Serif, font.SerifBold, font.SerifItalic, font.Sans, font.SansBold}

// design is a layout in the words of a language and a level, for certificates
// with or without units and photo: what does not depend on the candidate is
// already written.
type design struct {
	layout      *layoutFile
	colours     map[string]rgb
	fonts       map[string]typeface
	pages       [2][]piece // the first page, and the one units go on to
	forms       [][]byte   // art, as compressed content streams
	art         []*element // of each form
	photo       *element
	units       *unitTable
	nodes       [2][]node // tagged content of the pages, by MCID
	overleaf    int       // the piece of the second page before which its units are drawn, -1 for none
	table       int       // where among the first page's nodes the units stand
	pictures    []string  // assets, in the order of their resources
	inSet       map[string]map[rune]bool
	variable    map[string]bool // typefaces that set what a candidate brings
	title, lang string
	author      string
	sandbox     bool
}

// node is a piece of tagged content (ISO 32000-2, 14.7).
type node struct {
	role string
	alt  string
	box  [4]float64
}

// piece is one element, ready as far as it can be.
type piece struct {
	*element
	static []byte // ready; nil: it depends on the candidate
	end    float64
	text   string // expanded, with field marks
	label  string
	rows   []factRow
	mcid   int // of the first of its tags; -1 for none
	after  int // index of the piece it stands below, -1
}

type factRow struct {
	label, text string
	steps       []step
}

// lacking is a character that a typeface has not.
type lacking struct {
	font string
	char rune
}

func (l *lacking) Error() string {
	return fmt.Sprintf("typeface %s lacks %q (%U)", l.font, l.char, l.char)
}

// undrawn is where in the templates something cannot be drawn, and why.
type undrawn struct {
	*TemplateError
	cause error
}

// Unwrap gives both.
func (u undrawn) Unwrap() []error { return []error{u.TemplateError, u.cause} }

// makeDesign compiles a level's layout.
func (t *Templates) makeDesign(in Language, level Level, units, photo, sandbox bool) (*design, error) {
	name := t.Layout(level, in, units)
	l := t.layouts[name]
	d := &design{layout: l, colours: map[string]rgb{}, fonts: map[string]typeface{}, inSet: map[string]map[rune]bool{}, variable: map[string]bool{},
		lang: string(in), author: t.languages[in].Author, table: -1, sandbox: sandbox}
	for name, v := range l.Colours {
		d.colours[name], _ = parseColour(v) // checked when read
	}
	if err := d.loadFonts(t); err != nil {
		return nil, err
	}
	heading, _ := t.text(in, level, "heading")
	word, _ := t.text(in, level, "level")
	d.title = strings.TrimSpace(heading + " " + word)
	have := func(cond string) bool {
		switch cond {
		case "units":
			return units
		case "photo":
			return photo
		}
		s, _ := t.text(in, level, cond)
		return s != ""
	}
	for i := range l.Elements {
		e := &l.Elements[i]
		if e.If != "" && !have(e.If) || e.Not != "" && have(e.Not) || e.Kind == "photo" && !photo || e.Kind == "units" && !units {
			continue
		}
		for page, on := range [2]bool{e.Pages != "next", e.Pages == "next" || e.Pages == "all"} {
			if on {
				if err := d.add(t, in, level, page, e); err != nil {
					return nil, undrawn{&TemplateError{"layouts/" + name + ".yaml", e.line, fmt.Sprintf("elements[%d]", i), err.Error()}, err}
				}
			}
		}
	}
	if units && d.units == nil {
		return nil, fmt.Errorf("%w: layout %s has no place for Competency Units", ErrCandidate, name)
	}
	if photo && d.photo == nil {
		return nil, fmt.Errorf("%w: layout %s has no place for a photo", ErrCandidate, name)
	}
	if sandbox {
		d.addMark()
	}
	d.overleaf = slices.IndexFunc(d.pages[1], func(p piece) bool { return d.units != nil && p.Kind == "text" && p.Y > 0 && p.Y < d.units.NextTo })
	return d, nil
}

func (d *design) loadFonts(t *Templates) error {
	for i, name := range builtinFonts {
		face, err := builtinFaces[i]()
		if err != nil {
			return fmt.Errorf("loading typeface: %w", err)
		}
		d.fonts[name] = typeface{face, fmt.Sprintf("F%d", i)}
	}
	for i, name := range slices.Sorted(maps.Keys(d.layout.Fonts)) {
		d.fonts[name] = typeface{t.faces[d.layout.Fonts[name]], fmt.Sprintf("F%d", len(builtinFonts)+i)}
	}
	return nil
}

// uses notes the characters a typeface must have, and refuses those it lacks.
func (d *design) uses(fontName, s string) error {
	set := d.inSet[fontName]
	if set == nil {
		set = map[rune]bool{}
		d.inSet[fontName] = set
	}
	mark := false
	for _, r := range s {
		switch {
		case mark:
			mark = false
		case r == fieldMark:
			mark = true
			d.variable[fontName] = true
			d.variable["serif-bold"] = true // in whose place it stands for letters that it lacks
		case !d.fonts[fontName].Has(r):
			return &lacking{fontName, r}
		default:
			set[r] = true
		}
	}
	set[' '] = true
	return nil
}

// add compiles one element for a page.
func (d *design) add(t *Templates, in Language, level Level, page int, e *element) error {
	expand := func(s string) string {
		out, _ := t.expand(in, level, s) // checked when read
		return out
	}
	p := piece{element: e, mcid: -1, after: -1, text: expand(e.Value)}
	if e.Label != nil {
		p.label = expand(e.Label.Value)
		if err := d.uses(e.Label.Font, p.label); err != nil {
			return err
		}
	}
	if e.Font != "" {
		if err := d.uses(e.Font, p.text); err != nil {
			return err
		}
	}
	if e.After != "" {
		p.after = slices.IndexFunc(d.pages[page], func(q piece) bool { return q.Name == e.After })
	}
	switch e.Kind {
	case "text":
		p.mcid = d.tag(page, e.Tag, "P")
		d.prepareText(page, &p)
	case "facts":
		p.mcid = len(d.nodes[page])
		for _, r := range e.Rows {
			d.tag(page, "", "P")
			row := factRow{expand(r.Label), expand(r.Value), steps(r.Steps)}
			if err := d.uses(e.Label.Font, row.label); err != nil {
				return err
			}
			if err := d.uses(e.Font, row.text); err != nil {
				return err
			}
			p.rows = append(p.rows, row)
		}
	case "units":
		if err := d.addUnits(e, expand); err != nil {
			return err
		}
		d.table = len(d.nodes[0])
	case "photo":
		d.photo = e
		p.mcid = d.figure(page, expand(e.Alt), [4]float64{e.X, e.Y, e.X + e.Width, e.Y + e.Height})
	case "qr":
		p.mcid = d.figure(page, expand(e.Alt), [4]float64{e.X, e.Y, e.X + e.Width, e.Y + e.Width})
	case "image":
		d.addImage(t, page, &p, expand(e.Alt))
	case "signature":
		return nil // nothing is drawn; a visible signature will be
	default:
		return d.addArt(t, page, &p)
	}
	d.pages[page] = append(d.pages[page], p)
	return nil
}

// tag gives a piece of content its place in the structure.
func (d *design) tag(page int, role, usual string) int {
	if role == "" {
		role = usual
	}
	if role == "artifact" {
		return -1
	}
	d.nodes[page] = append(d.nodes[page], node{role: role})
	return len(d.nodes[page]) - 1
}

func (d *design) figure(page int, alt string, box [4]float64) int {
	d.nodes[page] = append(d.nodes[page], node{"Figure", alt, box})
	return len(d.nodes[page]) - 1
}

// prepareText writes a text that does not depend on the candidate.
func (d *design) prepareText(page int, p *piece) {
	if strings.ContainsRune(p.text, fieldMark) || p.after >= 0 && d.pages[page][p.after].static == nil {
		return
	}
	var c canvas
	ends := make([]float64, len(d.pages[page])+1)
	if p.after >= 0 {
		ends[p.after] = d.pages[page][p.after].end
	}
	p.end = d.drawText(&c, p, ends, &values{})
	p.static = c.b
}

func (d *design) addImage(t *Templates, page int, p *piece, alt string) {
	at := slices.Index(d.pictures, p.Image)
	if at < 0 {
		at = len(d.pictures)
		d.pictures = append(d.pictures, p.Image)
	}
	x, y, w, h := t.pictures[p.Image].inside(p.X, p.Y, p.Width, p.Height)
	if alt != "" {
		p.mcid = d.figure(page, alt, [4]float64{x, y, x + w, y + h})
	}
	var c canvas
	c.tagged(p.mcid, "Figure", func() { c.image(fmt.Sprintf("P%d", at), x, y, w, h) })
	p.static = c.b
}

// addArt draws ornament. Rules are short enough to stand in every page; the rest
// goes into forms, several neighbours into one.
func (d *design) addArt(t *Templates, page int, p *piece) error {
	var c canvas
	e, colour, accent := p.element, d.colours[p.Colour], d.colours[p.Accent]
	switch e.Kind {
	case "rule":
		c.artifact(func() {
			c.stroke(colour)
			c.line(e.X, e.X+e.Width, e.Y, e.Weight)
		})
		p.static = c.b
		d.pages[page] = append(d.pages[page], *p)
		return nil
	case "seal":
		if err := d.uses("serif-bold", p.text+" •"); err != nil {
			return err
		}
	}
	key := artKey{e, p.text}
	drawn, ok := t.art.Load(key)
	if !ok {
		content, err := d.drawArt(p, colour, accent)
		if err != nil {
			return err
		}
		drawn, _ = t.art.LoadOrStore(key, content)
	}
	d.place(page, p, drawn.(*art))
	return nil
}

// art is ornament as a content stream, and that compressed. Certificates of all
// levels share it, and to draw it takes longer than all else.
type art struct{ packed []byte }

type artKey struct {
	*element
	text string
}

func (d *design) drawArt(p *piece, colour, accent rgb) (*art, error) {
	c := canvas{[]byte("1 J 1 j\n")}
	switch e := p.element; e.Kind {
	case "frame":
		c.frame(colour, accent)
	case "rosette":
		c.watermark(e.X, e.Y, e.Radius, colour)
	case "seal":
		c.seal(d.fonts["serif-bold"], e.X, e.Y, e.Radius, p.text, colour, accent, d.colours[e.Fill])
	case "wave":
		c.stroke(colour)
		c.op("w", 0.3)
		n := max(1, int(e.Width/18))
		c.wave(e.X, e.Y+e.Height/2, e.Width/float64(n), e.Height/2, n)
	}
	packed, err := compress(c.b)
	return &art{packed}, err
}

// place puts art into the page. An element that both pages show is kept once.
func (d *design) place(page int, p *piece, drawn *art) {
	at := slices.Index(d.art, p.element)
	if at < 0 {
		at = len(d.art)
		d.art = append(d.art, p.element)
		d.forms = append(d.forms, drawn.packed)
	}
	var c canvas
	c.artifact(func() { c.b = fmt.Appendf(c.b, "/A%d Do\n", at) })
	p.static = c.b
	d.pages[page] = append(d.pages[page], *p)
}

// addMark puts the sandbox's marking behind the text of each page, over the art
// that comes first.
func (d *design) addMark() {
	const mark = "SANDBOX – TIDAK SAH / NOT VALID"
	_ = d.uses("serif-bold", mark) // the built-in typeface has all of it
	for page := range d.pages {
		if len(d.pages[page]) == 0 {
			continue
		}
		mcid := d.tag(page, "", "P")
		var c canvas
		c.tagged(mcid, "P", func() { c.b = append(c.b, "/Mark Do\n"...) })
		at := slices.IndexFunc(d.pages[page], func(p piece) bool { return !slices.Contains(d.art, p.element) })
		at = max(at, 0)
		d.pages[page] = slices.Insert(d.pages[page], at, piece{element: &element{}, static: c.b, mcid: mcid, after: -1})
		for i := range d.pages[page] {
			if p := &d.pages[page][i]; p.after >= at {
				p.after++
			}
		}
	}
}

package ecert

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/mohor-sign/mohor/pdf/font"
)

// Look is what an administrator changes of templates without touching their files: words, the
// places of a few elements, a crest in the place of the drawn seal. What it does not name stays as
// the templates have it. It is kept as JSON.
type Look struct {
	// Texts are those of a language, by key; "author" is the issuing department of the metadata.
	Texts map[Language]map[string]string `json:"texts,omitempty"`
	// Levels are texts that certificates of one level have for themselves.
	Levels map[Language]map[Level]map[string]string `json:"levels,omitempty"`
	// Places are by layout and kind of element (see [MovableKinds]).
	Places map[string]map[string]Place `json:"places,omitempty"`
	// Crest is a PNG or JPEG of at most 1 MiB.
	Crest []byte `json:"crest,omitempty"`
}

// Place is the lower left corner of an element, in points from that of the page.
type Place struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// Box is where an element stands.
type Box struct {
	Place
	Width, Height float64
}

// MovableKinds are the elements that a Look may move; of each layout the first of the kind.
func MovableKinds() []string { return []string{"seal", "photo", "signature", "qr"} }

// Levels are the kinds of certificates, in the order of the guide.
func Levels() []Level { return slices.Clone(levels) }

// ErrLook is what each [LookError] is.
var ErrLook = errors.New("look of certificates refused")

// LookError says what of a Look cannot be, and where: "texts.ms.certify", "places.certificate.qr",
// "crest".
type LookError struct{ Field, MS, EN string }

// Error is the fault in English.
func (e *LookError) Error() string { return e.Field + ": " + e.EN }

// Unwrap gives ErrLook.
func (e *LookError) Unwrap() error { return ErrLook }

// authorKey is the key of the metadata's author among the texts of a Look.
const authorKey = "author"

// maxLookText bounds one text in characters, minEdge is how near the edge of the paper an element
// may come: 5 mm, which printers reach.
const (
	maxLookText = 200
	minEdge     = 14.2
)

// With returns the templates as l changes them. What cannot be drawn is a *LookError. A text that
// no template has any more is passed over: the configuration may have changed since.
func (t *Templates) With(l Look) (*Templates, error) {
	raw, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("encoding the look of certificates: %w", err)
	}
	n := &Templates{languages: map[Language]*languageFile{}, layouts: map[string]*layoutFile{}, pictures: maps.Clone(t.pictures), faces: t.faces, sources: t.sources,
		sum: sha256.Sum256(append(t.sum[:], raw...))}
	for in, f := range t.languages {
		c := &languageFile{f.Author, maps.Clone(f.Texts), map[string]map[string]string{}}
		for level, own := range f.Certificates {
			c.Certificates[level] = maps.Clone(own)
		}
		n.languages[in] = c
	}
	for name, f := range t.layouts {
		n.layouts[name] = &layoutFile{f.Colours, f.Fonts, slices.Clone(f.Elements)}
	}
	if err := n.setWords(&l); err != nil {
		return nil, err
	}
	if err := n.move(&l); err != nil {
		return nil, err
	}
	if err := n.setCrest(l.Crest); err != nil {
		return nil, err
	}
	if err := n.check(); err != nil {
		return nil, undrawable(err)
	}
	return n, nil
}

// undrawable says what cannot be drawn, and where in the templates that stands; what the templates
// say of themselves is for who looks after their files.
func undrawable(err error) *LookError {
	ms, en := "Sijil tidak dapat dilukis seperti ini", "The certificate cannot be drawn like this"
	var lacks *lacking
	if errors.As(err, &lacks) {
		ms += fmt.Sprintf(": fon %s tiada aksara %q, gantikan aksara itu", lacks.font, lacks.char)
		en += fmt.Sprintf(": the typeface %s lacks the character %q, take another", lacks.font, lacks.char)
	}
	var bad *TemplateError
	if errors.As(err, &bad) {
		atMS, atEN := bad.File, bad.File
		if bad.Line > 0 {
			atMS, atEN = fmt.Sprintf("%s, baris %d", bad.File, bad.Line), fmt.Sprintf("%s, line %d", bad.File, bad.Line)
		}
		if bad.Field != "" {
			atMS, atEN = atMS+" ("+bad.Field+")", atEN+" ("+bad.Field+")"
		}
		ms, en = ms+". Tempatnya dalam templat: "+atMS, en+". The place in the templates: "+atEN
	}
	return &LookError{"", ms + ".", en + "."}
}

func (t *Templates) setWords(l *Look) error {
	face, err := font.Serif()
	if err != nil {
		return fmt.Errorf("loading typeface: %w", err)
	}
	for in, texts := range l.Texts {
		f := t.languages[in]
		if f == nil {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(texts)) {
			if err := lookText(face, fmt.Sprintf("texts.%s.%s", in, key), texts[key]); err != nil {
				return err
			}
			if _, ok := f.Texts[key]; ok {
				f.Texts[key] = texts[key]
			}
		}
		if v, ok := texts[authorKey]; ok {
			f.Author = v
			if v == "" {
				return &LookError{fmt.Sprintf("texts.%s.%s", in, authorKey), "Beri nama jabatan yang mengeluarkan sijil.", "Give the name of the issuing department."}
			}
		}
	}
	for in, byLevel := range l.Levels {
		for _, level := range slices.Sorted(maps.Keys(byLevel)) {
			own := t.languages[in]
			if own == nil || own.Certificates[string(level)] == nil {
				continue
			}
			for _, key := range slices.Sorted(maps.Keys(byLevel[level])) {
				v, at := byLevel[level][key], fmt.Sprintf("texts.%s.%s", in, key)
				if err := lookText(face, at, v); err != nil {
					return err
				}
				switch _, known := t.text(in, level, key); {
				case key == "heading" && v == "":
					return &LookError{at, "Sijil mesti ada tajuk.", "A certificate must have a heading."}
				case known && key != "layout" && key != "modular":
					own.Certificates[string(level)][key] = v
				}
			}
		}
	}
	return nil
}

// lookText refuses what would not print as it was typed.
func lookText(face *font.Face, field, s string) error {
	switch n := utf8.RuneCountInString(s); {
	case !utf8.ValidString(s) || n > maxLookText:
		return &LookError{field, fmt.Sprintf("Teks ini melebihi %d aksara.", maxLookText), fmt.Sprintf("This text has more than %d characters.", maxLookText)}
	case !norm.NFC.IsNormalString(s) || s != strings.TrimSpace(s):
		return &LookError{field, "Buang ruang di hujung teks.", "Take away the spaces at the ends."}
	}
	for _, r := range s {
		if !face.Has(r) {
			return &LookError{field, fmt.Sprintf("Fon sijil tiada aksara %q.", r), fmt.Sprintf("The certificate's typeface lacks the character %q.", r)}
		}
	}
	return nil
}

// Boxes are where the movable elements of a layout stand, by kind.
func (t *Templates) Boxes(layout string) map[string]Box {
	out := map[string]Box{}
	l := t.layouts[layout]
	if l == nil {
		return out
	}
	for _, kind := range MovableKinds() {
		if i := movable(l, kind); i >= 0 {
			out[kind] = l.Elements[i].box()
		}
	}
	return out
}

// LayoutNames are those of all layouts, in order.
func (t *Templates) LayoutNames() []string { return slices.Sorted(maps.Keys(t.layouts)) }

// crestFile is the name of a look's crest among the pictures; no file of a folder is called so.
const crestFile = "crest"

// movable finds the element of a kind; a crest is where the seal was.
func movable(l *layoutFile, kind string) int {
	return slices.IndexFunc(l.Elements, func(e element) bool {
		return e.Kind == kind || kind == "seal" && e.Kind == "image" && e.Image == crestFile
	})
}

func (e *element) box() Box {
	switch {
	case e.Radius != 0:
		return Box{Place{e.X - e.Radius, e.Y - e.Radius}, 2 * e.Radius, 2 * e.Radius}
	case e.Kind == "qr":
		return Box{Place{e.X, e.Y}, e.Width, e.Width}
	}
	return Box{Place{e.X, e.Y}, e.Width, e.Height}
}

func (b Box) meets(o Box) bool {
	return b.X < o.X+o.Width && o.X < b.X+b.Width && b.Y < o.Y+o.Height && o.Y < b.Y+b.Height
}

// move puts elements where l has them.
func (t *Templates) move(l *Look) error {
	for _, name := range slices.Sorted(maps.Keys(l.Places)) {
		layout := t.layouts[name]
		if layout == nil {
			continue
		}
		for _, kind := range MovableKinds() {
			to, given := l.Places[name][kind]
			i := movable(layout, kind)
			if !given || i < 0 {
				continue
			}
			e, at := &layout.Elements[i], "places."+name+"."+kind
			b := e.box()
			// Written so that NaN is refused, too.
			if !(to.X >= minEdge && to.Y >= minEdge && to.X+b.Width <= pageWidth-minEdge && to.Y+b.Height <= pageHeight-minEdge) {
				return &LookError{at, "Unsur ini keluar daripada halaman, atau kurang 5 mm dari tepinya.", "This element leaves the page, or is less than 5 mm from its edge."}
			}
			e.X, e.Y = e.X+to.X-b.X, e.Y+to.Y-b.Y
		}
		boxes := t.Boxes(name)
		for i, kind := range MovableKinds() {
			for _, other := range MovableKinds()[:i] {
				a, one := boxes[kind]
				b, two := boxes[other]
				if one && two && a.meets(b) {
					return &LookError{"places." + name + "." + kind, "Unsur ini bertindih dengan unsur lain yang boleh dialih.", "This element covers another one that can be moved."}
				}
			}
		}
	}
	return nil
}

// setCrest puts a picture where the layouts have the drawn seal.
func (t *Templates) setCrest(crest []byte) error {
	if len(crest) == 0 {
		return nil
	}
	if len(crest) > maxAsset {
		return &LookError{"crest", "Imej melebihi 1 MiB.", "The picture has more than 1 MiB."}
	}
	p, err := newPicture(crest)
	if err != nil {
		return &LookError{"crest", "Imej mesti PNG atau JPEG yang tidak rosak, paling banyak 4 juta piksel.", "The picture must be a sound PNG or JPEG of at most 4 million pixels."}
	}
	t.pictures[crestFile] = p
	for _, l := range t.layouts {
		for i := range l.Elements {
			if e := &l.Elements[i]; e.Kind == "seal" {
				b := e.box()
				l.Elements[i] = element{placed: e.placed, Kind: "image", Name: e.Name, Pages: e.Pages, If: e.If, Not: e.Not, Image: crestFile, X: b.X, Y: b.Y, Width: b.Width, Height: b.Height}
			}
		}
	}
	return nil
}

// Words are the texts of a language that all certificates share, by key, the author among them.
func (t *Templates) Words(in Language) map[string]string {
	out := maps.Clone(t.languages[in].Texts)
	out[authorKey] = t.languages[in].Author
	return out
}

// Own are the texts that certificates of a level have for themselves, in either language, and those
// of all that tell levels apart.
func (t *Templates) Own(in Language, level Level) map[string]string {
	out := map[string]string{}
	for _, l := range t.languages {
		for key := range l.Certificates[string(level)] {
			out[key] = ""
		}
	}
	for _, key := range []string{"heading", "level", "award"} {
		out[key] = ""
	}
	for key := range out {
		s, ok := t.text(in, level, key)
		if out[key] = s; !ok || key == "layout" || key == "modular" {
			delete(out, key)
		}
	}
	return out
}

// With returns a renderer of the templates as l changes them; a *LookError when they cannot be drawn.
func (r *Renderer) With(l Look) (*Renderer, error) {
	t, err := r.templates.With(l)
	if err != nil {
		return nil, err
	}
	n, err := NewRenderer(Options{Sandbox: r.sandbox, Templates: t})
	if err != nil {
		return nil, undrawable(err)
	}
	return n, nil
}

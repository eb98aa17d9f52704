// Package content reads content streams of PDF pages, forms and appearances:
// which characters they show, and where (ISO 32000-2, Sections 8 and 9).
//
// It is made for hostile files: operators, characters and forms in forms are
// bounded, damage is passed over. It is not a renderer: clipping, optional
// content and what is painted over a text are not looked at.
package content

import (
	"errors"
	"fmt"
	"io"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// Bounds of what is read of one page.
const (
	MaxBytes     = 32 << 20 // decoded content, that of forms included each time they are drawn
	MaxOperators = 2 << 20  // those that look for a resource count costly times
	costly       = 16
	MaxChars     = 1 << 20
	MaxText      = 8 << 20 // bytes of what the characters stand for
	maxForms     = 20_000  // drawn
	maxNested    = 16      // forms within forms
	maxStack     = 256
	maxFonts     = 512
)

// Char is a character code shown.
type Char struct {
	// Text is what the code stands for, mostly one character, in UTF-8. Empty
	// when the font does not say.
	Text string
	// Box is the rectangle around it, from descender to ascender: left, bottom,
	// right, top in points from the lower left corner of the CropBox as
	// displayed.
	Box [4]float64
	// Size is the height of the font in points as displayed.
	Size float64
	// Invisible characters are not painted: text rendering modes 3 and 7.
	Invisible bool
}

// Contents is what a content stream shows.
type Contents struct {
	Chars []Char // in the order they are painted
	// Paints says whether an area is filled, or an image drawn.
	Paints bool
	// Damage is the first thing that could not be read, a bound included.
	Damage error
}

// Page reads the content of a page. g is its Geometry. The error is one of the
// underlying reader.
func (r *Reader) Page(page *syntax.Object, g syntax.Geometry) (*Contents, error) {
	r.reset()
	f := r.f
	resources, err := inherited(f, page.Value, "Resources")
	if err != nil {
		return r.out, r.damage(err)
	}
	var b []byte
	contents, err := f.Resolve(page.Value.Key("Contents"))
	if err != nil {
		return r.out, r.damage(err)
	}
	parts := []*syntax.Object{contents}
	if contents.Value.Kind == syntax.Array {
		parts = parts[:0]
		for _, v := range contents.Value.Array {
			part, err := f.Resolve(v)
			if err == nil {
				parts = append(parts, part)
			} else if err := r.damage(err); err != nil {
				return nil, err
			}
		}
	}
	for _, part := range parts {
		data, err := r.data(part)
		if err != nil {
			return nil, err
		}
		b = append(append(b, data...), '\n')
	}
	err = r.run(b, resources, state{matrix: display(g), scale: 1}, 0)
	return r.out, err
}

// Form reads the content of a form XObject, such as an appearance stream, in
// its own space.
func (r *Reader) Form(form *syntax.Object) (*Contents, error) {
	r.reset()
	err := r.form(form, syntax.Value{}, state{matrix: matrix{1, 0, 0, 1, 0, 0}, scale: 1}, 0)
	return r.out, err
}

// display maps user space to points from the lower left corner of the CropBox
// as displayed.
func display(g syntax.Geometry) matrix {
	u := g.UserUnit
	left, bottom, right, top := g.Crop[0]*u, g.Crop[1]*u, g.Crop[2]*u, g.Crop[3]*u
	switch g.Rotate {
	case 90:
		return matrix{0, -u, u, 0, -bottom, right}
	case 180:
		return matrix{-u, 0, 0, -u, right, top}
	case 270:
		return matrix{0, u, -u, 0, top, -left}
	}
	return matrix{u, 0, 0, u, -left, -bottom}
}

// inherited looks for an attribute in a page and its ancestors.
func inherited(f *syntax.File, node syntax.Value, key string) (syntax.Value, error) {
	for range syntax.MaxDepth {
		if v := node.Key(key); v.Kind != syntax.Null {
			o, err := f.Resolve(v)
			if err != nil {
				return v, err
			}
			return o.Value, nil
		}
		parent, err := f.Resolve(node.Key("Parent"))
		if err != nil {
			return syntax.Value{}, err
		}
		node = parent.Value
	}
	return syntax.Value{}, nil
}

// Reader reads pages and forms of one file, and remembers its fonts. Its
// methods must not be called concurrently.
type Reader struct {
	f     *syntax.File
	fonts map[uint32]*font

	// Of the page or form being read.
	out       *Contents
	bytes     int
	operators int
	forms     int
	text      int  // bytes
	stopped   bool // at a bound
}

// NewReader returns a Reader of the file.
func NewReader(f *syntax.File) *Reader { return &Reader{f: f} }

func (r *Reader) reset() {
	*r = Reader{f: r.f, fonts: r.fonts, out: &Contents{}}
	if r.fonts == nil || len(r.fonts) >= maxFonts {
		r.fonts = make(map[uint32]*font)
	}
}

// damage notes what is wrong with the document and returns other errors.
func (r *Reader) damage(err error) error {
	var own *syntax.Error
	if err == nil || !errors.As(err, &own) {
		return err
	}
	if r.out.Damage == nil {
		r.out.Damage = err
	}
	r.stopped = r.stopped || errors.Is(err, syntax.ErrTooLarge)
	return nil
}

// data returns decoded data of a stream, empty where there are none.
func (r *Reader) data(o *syntax.Object) ([]byte, error) {
	if o.Data == 0 {
		return nil, nil
	}
	in, err := r.f.Stream(o)
	if err != nil {
		return nil, r.damage(err)
	}
	b, err := io.ReadAll(io.LimitReader(in, int64(MaxBytes-r.bytes)+1))
	if r.bytes += len(b); r.bytes > MaxBytes {
		err = syntax.Errorf(syntax.ErrTooLarge, o.Data, "content of more than %d bytes", MaxBytes)
	}
	if err != nil {
		if err := r.damage(err); err != nil {
			return nil, fmt.Errorf("reading content: %w", err)
		}
	}
	return b, nil
}

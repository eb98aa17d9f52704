package content

import (
	"bytes"
	"io"
	"math"
	"strings"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// font says what character codes mean and how wide they are. Lengths are in
// parts of the font size.
type font struct {
	simple   bool
	vertical bool
	texts    [256]string        // of a simple font
	codes    *cmap              // of a composite font, nil for two bytes a code
	unicode  *cmap              // /ToUnicode
	widths   map[uint32]float64 // by code of a simple font, by CID of a composite one
	standard *[95]uint16        // widths of a standard font
	fallback float64            // width of the others
	missing  float64            // the descriptor's /MissingWidth
	program  syntax.Value       // the descriptor's /FontFile, of a Type 1 font
	down     float64            // advance of a vertical font, negative
	ascent   float64
	descent  float64
}

// glyph is one code of a string.
type glyph struct {
	code        uint32
	n           int // bytes
	text        string
	width, down float64
}

// maxWidths bounds the widths kept of a font.
const maxWidths = 1 << 16

// font reads a font, or remembers it. A damaged one has no text.
func (r *Reader) font(ref syntax.Value) (*font, error) {
	if ref.Kind == syntax.Reference {
		if f, ok := r.fonts[uint32(ref.Int)]; ok {
			return f, nil
		}
	}
	o, err := r.f.Resolve(ref)
	if err != nil {
		return nil, r.damage(err)
	}
	var f *font
	if d := o.Value; d.Kind == syntax.Dictionary && len(r.fonts) < maxFonts {
		f = &font{ascent: 0.9, descent: -0.21, fallback: 0.5, down: -1, widths: make(map[uint32]float64)}
		err = f.read(r.f, d)
	}
	if ref.Kind == syntax.Reference {
		r.fonts[uint32(ref.Int)] = f
	}
	return f, r.damage(err)
}

func (f *font) read(file *syntax.File, d syntax.Value) error {
	unicode, err := file.Resolve(d.Key("ToUnicode"))
	if err != nil {
		return err
	}
	if unicode.Data != 0 {
		if f.unicode, err = readCMap(file, unicode); err != nil {
			return err
		}
	}
	if d.Key("Subtype").IsName("Type0") {
		return f.readComposite(file, d)
	}
	f.simple = true
	return f.readSimple(file, d)
}

// readSimple reads Type1, TrueType and Type3 fonts (ISO 32000-2, Section 9.6).
func (f *font) readSimple(file *syntax.File, d syntax.Value) error {
	base, err := file.Resolve(d.Key("BaseFont"))
	if err != nil {
		return err
	}
	unit := 0.001
	if d.Key("Subtype").IsName("Type3") {
		m, err := file.Resolve(d.Key("FontMatrix"))
		if err != nil {
			return err
		}
		if m, ok := six(m.Value.Array); ok {
			unit = math.Abs(m[0])
		}
	}
	if err := f.describe(file, d.Key("FontDescriptor"), unit); err != nil {
		return err
	}
	first, err := file.Resolve(d.Key("FirstChar"))
	if err != nil {
		return err
	}
	widths, err := file.Resolve(d.Key("Widths"))
	if err != nil {
		return err
	}
	for i, w := range widths.Value.Array {
		if i > 255 {
			break
		}
		o, err := file.Resolve(w)
		if err != nil {
			return err
		}
		f.widths[uint32(first.Value.Int)+uint32(i)] = o.Value.Real * unit
	}
	name := string(base.Value.Bytes)
	if len(f.widths) > 0 {
		f.fallback = f.missing
	} else if f.standard = standardWidths(name); f.standard == nil {
		f.fallback = 0.6
	}
	return f.readEncoding(file, d.Key("Encoding"), name)
}

// describe takes what it needs from a font descriptor.
func (f *font) describe(file *syntax.File, ref syntax.Value, unit float64) error {
	d, err := file.Resolve(ref)
	if err != nil {
		return err
	}
	number := func(key string) float64 {
		o, e := file.Resolve(d.Value.Key(key))
		if e != nil {
			err = e
			return 0
		}
		return o.Value.Real * unit
	}
	if a := number("Ascent"); a > 0.3 && a < 2 {
		f.ascent = a
	}
	if a := number("Descent"); a < 0 && a > -1 {
		f.descent = a
	}
	f.missing = number("MissingWidth")
	f.program = d.Value.Key("FontFile")
	return err
}

// readComposite reads Type0 fonts (ISO 32000-2, Section 9.7). Of the
// predefined CMaps only the identities are known.
func (f *font) readComposite(file *syntax.File, d syntax.Value) error {
	encoding, err := file.Resolve(d.Key("Encoding"))
	if err != nil {
		return err
	}
	switch {
	case encoding.Data != 0:
		if f.codes, err = readCMap(file, encoding); err != nil {
			return err
		}
		f.vertical = encoding.Value.Key("WMode").Int == 1
	case encoding.Value.Kind == syntax.Name:
		f.vertical = strings.HasSuffix(string(encoding.Value.Bytes), "-V")
	}
	list, err := file.Resolve(d.Key("DescendantFonts"))
	if err != nil || len(list.Value.Array) == 0 {
		return err
	}
	cid, err := file.Resolve(list.Value.Array[0])
	if err != nil {
		return err
	}
	if err := f.describe(file, cid.Value.Key("FontDescriptor"), 0.001); err != nil {
		return err
	}
	f.fallback = 1
	if w, err := file.Resolve(cid.Value.Key("DW")); err != nil {
		return err
	} else if w.Value.Kind != syntax.Null {
		f.fallback = w.Value.Real / 1000
	}
	if w, err := file.Resolve(cid.Value.Key("DW2")); err != nil {
		return err
	} else if len(w.Value.Array) == 2 {
		f.down = w.Value.Array[1].Real / 1000
	}
	return f.readW(file, cid.Value.Key("W"))
}

// readW reads the widths of CIDs (ISO 32000-2, Section 9.7.4.3).
func (f *font) readW(file *syntax.File, ref syntax.Value) error {
	w, err := file.Resolve(ref)
	if err != nil {
		return err
	}
	a := w.Value.Array
	for len(a) >= 2 && len(f.widths) < maxWidths {
		second, err := file.Resolve(a[1])
		if err != nil {
			return err
		}
		if second.Value.Kind == syntax.Array {
			for i, v := range second.Value.Array {
				f.widths[uint32(a[0].Int)+uint32(i)] = v.Real / 1000
			}
			a = a[2:]
			continue
		}
		if len(a) < 3 {
			break
		}
		for c := a[0].Int; c <= second.Value.Int && len(f.widths) < maxWidths; c++ {
			f.widths[uint32(c)] = a[2].Real / 1000
		}
		a = a[3:]
	}
	return nil
}

// readEncoding fills texts (ISO 32000-2, Section 9.6.5).
func (f *font) readEncoding(file *syntax.File, ref syntax.Value, name string) error {
	o, err := file.Resolve(ref)
	if err != nil {
		return err
	}
	base := o.Value
	if base.Kind == syntax.Dictionary {
		b, err := file.Resolve(base.Key("BaseEncoding"))
		if err != nil {
			return err
		}
		base = b.Value
	}
	f.texts = encoding(string(base.Bytes))
	if base.Kind == syntax.Null {
		if err := f.builtIn(file); err != nil {
			return err
		}
	}
	differences, err := file.Resolve(o.Value.Key("Differences"))
	if err != nil {
		return err
	}
	code := 0
	for _, v := range differences.Value.Array {
		if v.Kind == syntax.Integer {
			code = int(v.Int)
		} else if v.Kind == syntax.Name {
			if code >= 0 && code < 256 {
				f.texts[code] = glyphText(string(v.Bytes))
			}
			code++
		}
	}
	return nil
}

// builtIn takes the encoding out of an embedded Type 1 font, whose first part is
// text: dup 58 /period put.
func (f *font) builtIn(file *syntax.File) error {
	o, err := file.Resolve(f.program)
	if err != nil || o.Data == 0 {
		return err
	}
	in, err := file.Stream(o)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(io.LimitReader(in, 16<<10))
	if err != nil {
		return err
	}
	_, b, found := bytes.Cut(b, []byte("/Encoding"))
	if !found || bytes.HasPrefix(bytes.TrimSpace(b), []byte("StandardEncoding")) {
		return nil
	}
	f.texts = [256]string{}
	l := &lexer{b: b}
	for range 1 << 12 {
		word, args, ok := l.next(nil)
		if !ok || word == "def" || word == "readonly" {
			return nil
		}
		if word == "put" && len(args) == 2 && args[0].Kind == syntax.Integer && args[0].Int >= 0 && args[0].Int < 256 {
			f.texts[args[0].Int] = glyphText(string(args[1].Bytes))
		}
	}
	return nil
}

// decode reads the code at the start of a string.
func (f *font) decode(b []byte) glyph {
	g := glyph{n: 1, code: uint32(b[0]), down: f.down}
	cid := g.code
	if !f.simple {
		if f.codes != nil {
			g.code, g.n = f.codes.next(b)
			cid = f.codes.cid(g.code, g.n)
		} else if len(b) > 1 {
			g.code, g.n = uint32(b[0])<<8|uint32(b[1]), 2
			cid = g.code
		}
	}
	if f.unicode != nil {
		g.text = f.unicode.text(g.code, g.n)
	}
	if g.text == "" && f.simple {
		g.text = f.texts[g.code]
	}
	if w, ok := f.widths[cid]; ok {
		g.width = w
	} else if f.standard != nil {
		g.width = standardWidth(f.standard, g.text)
	} else {
		g.width = f.fallback
	}
	return g
}

// readCMap reads an embedded CMap.
func readCMap(file *syntax.File, o *syntax.Object) (*cmap, error) {
	in, err := file.Stream(o)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(in, maxCMap))
	if err != nil {
		return nil, err
	}
	return parseCMap(b), nil
}

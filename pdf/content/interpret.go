package content

import (
	"math"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// matrix is a transformation (ISO 32000-2, Section 8.3.4).
type matrix [6]float64

// times is the transformation m followed by n.
func (m matrix) times(n matrix) matrix {
	return matrix{
		m[0]*n[0] + m[1]*n[2], m[0]*n[1] + m[1]*n[3],
		m[2]*n[0] + m[3]*n[2], m[2]*n[1] + m[3]*n[3],
		m[4]*n[0] + m[5]*n[2] + n[4], m[4]*n[1] + m[5]*n[3] + n[5],
	}
}

func (m matrix) apply(x, y float64) (float64, float64) {
	return x*m[0] + y*m[2] + m[4], x*m[1] + y*m[3] + m[5]
}

// state is the part of the graphics state that places text.
type state struct {
	matrix       matrix // current transformation matrix, to points as displayed
	font         *font
	size         float64
	char, word   float64 // Tc, Tw
	scale        float64 // Tz by 100
	leading      float64 // TL
	rise         float64 // Ts
	mode         int64   // Tr
	text, origin matrix  // Tm, Tlm
}

// run interprets content.
func (r *Reader) run(b []byte, resources syntax.Value, s state, depth int) error {
	l := &lexer{b: b}
	var stack []state
	var operands []syntax.Value
	for {
		operator, args, ok := l.next(operands)
		if !ok || r.stopped {
			return nil
		}
		operands = args
		switch operator {
		case "gs", "Do", "Tf":
			r.operators += costly
		}
		if r.operators++; r.operators > MaxOperators {
			return r.damage(syntax.Errorf(syntax.ErrTooLarge, -1, "more than %d operators of content", MaxOperators))
		}
		switch operator {
		case "q":
			if len(stack) < maxStack {
				stack = append(stack, s)
			}
		case "Q":
			if n := len(stack); n > 0 {
				s, stack = stack[n-1], stack[:n-1]
			}
		case "cm":
			if m, ok := six(args); ok {
				s.matrix = m.times(s.matrix)
			}
		case "BI":
			l.skipImage()
			r.out.Paints = true
		case "f", "F", "f*", "B", "B*", "b", "b*", "sh":
			r.out.Paints = true
		case "gs":
			if err := r.graphics(&s, resources, args); err != nil {
				return err
			}
		case "Do":
			if err := r.draw(resources, args, s, depth); err != nil {
				return err
			}
		case "Tf":
			if err := r.setFont(&s, resources, args); err != nil {
				return err
			}
		default:
			r.textOperator(&s, operator, args)
			if len(r.out.Chars) > MaxChars {
				return r.damage(syntax.Errorf(syntax.ErrTooLarge, -1, "more than %d characters", MaxChars))
			}
			if r.text > MaxText {
				return r.damage(syntax.Errorf(syntax.ErrTooLarge, -1, "more than %d bytes of text", MaxText))
			}
		}
	}
}

// textOperator does the operators of ISO 32000-2, Tables 103, 106 and 107.
func (r *Reader) textOperator(s *state, operator string, args []syntax.Value) {
	n := func(i int) float64 {
		if i < len(args) {
			return args[i].Real
		}
		return 0
	}
	switch operator {
	case "BT":
		s.text = matrix{1, 0, 0, 1, 0, 0}
		s.origin = s.text
	case "Tc":
		s.char = n(0)
	case "Tw":
		s.word = n(0)
	case "Tz":
		s.scale = n(0) / 100
	case "TL":
		s.leading = n(0)
	case "Ts":
		s.rise = n(0)
	case "Tr":
		s.mode = int64(n(0))
	case "Td":
		s.move(n(0), n(1))
	case "TD":
		s.leading = -n(1)
		s.move(n(0), n(1))
	case "Tm":
		if m, ok := six(args); ok {
			s.text, s.origin = m, m
		}
	case "T*":
		s.move(0, -s.leading)
	case "Tj", "'":
		if operator == "'" {
			s.move(0, -s.leading)
		}
		if len(args) > 0 {
			r.show(s, args[0].Bytes)
		}
	case `"`:
		s.word, s.char = n(0), n(1)
		s.move(0, -s.leading)
		if len(args) > 2 {
			r.show(s, args[2].Bytes)
		}
	case "TJ":
		if len(args) == 0 {
			return
		}
		for _, v := range args[0].Array {
			if v.Kind == syntax.String {
				r.show(s, v.Bytes)
			} else {
				s.advance(-v.Real / 1000 * s.size)
			}
		}
	}
}

func six(args []syntax.Value) (m matrix, ok bool) {
	if len(args) < 6 {
		return m, false
	}
	for i := range m {
		m[i] = args[i].Real
	}
	return m, true
}

func (s *state) move(x, y float64) {
	s.origin = matrix{1, 0, 0, 1, x, y}.times(s.origin)
	s.text = s.origin
}

// advance moves along the writing direction, in unscaled text space.
func (s *state) advance(d float64) {
	m := matrix{1, 0, 0, 1, d * s.scale, 0}
	if s.font != nil && s.font.vertical {
		m = matrix{1, 0, 0, 1, 0, d}
	}
	s.text = m.times(s.text)
}

// show notes the characters of a string (ISO 32000-2, Section 9.4.4).
func (r *Reader) show(s *state, b []byte) {
	f := s.font
	if f == nil || s.size == 0 {
		return
	}
	for len(b) > 0 && len(r.out.Chars) <= MaxChars && r.text <= MaxText {
		g := f.decode(b)
		r.text += len(g.text)
		b = b[g.n:]
		to := matrix{s.size * s.scale, 0, 0, s.size, 0, s.rise}.times(s.text).times(s.matrix)
		x0, x1 := 0.0, g.width
		y0, y1 := f.descent, f.ascent
		if f.vertical {
			x0, x1 = -g.width/2, g.width/2
			y0, y1 = g.down, 0
		}
		box := [4]float64{math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)}
		for _, c := range [][2]float64{{x0, y0}, {x1, y0}, {x0, y1}, {x1, y1}} {
			x, y := to.apply(c[0], c[1])
			box = [4]float64{min(box[0], x), min(box[1], y), max(box[2], x), max(box[3], y)}
		}
		if usable(box) {
			r.out.Chars = append(r.out.Chars, Char{
				Text: g.text, Box: box, Size: math.Hypot(to[2], to[3]), Invisible: s.mode == 3 || s.mode == 7,
			})
		}
		d := g.width*s.size + s.char
		if f.vertical {
			d = g.down*s.size + s.char
		}
		if g.n == 1 && g.code == ' ' {
			d += s.word
		}
		s.advance(d)
	}
}

func usable(box [4]float64) bool {
	for _, v := range box {
		if math.IsNaN(v) || math.Abs(v) > 1e7 {
			return false
		}
	}
	return true
}

// resource finds a named resource.
func (r *Reader) resource(resources syntax.Value, kind string, args []syntax.Value) (*syntax.Object, syntax.Value, error) {
	if len(args) == 0 {
		return nil, syntax.Value{}, nil
	}
	group, err := r.f.Resolve(resources.Key(kind))
	if err != nil {
		return nil, syntax.Value{}, r.damage(err)
	}
	v := group.Value.Key(string(args[0].Bytes))
	o, err := r.f.Resolve(v)
	if err != nil {
		return nil, syntax.Value{}, r.damage(err)
	}
	return o, v, nil
}

// graphics takes the font out of an ExtGState.
func (r *Reader) graphics(s *state, resources syntax.Value, args []syntax.Value) error {
	o, _, err := r.resource(resources, "ExtGState", args)
	if o == nil || err != nil {
		return err
	}
	v := o.Value.Key("Font")
	if len(v.Array) != 2 {
		return nil
	}
	s.size = v.Array[1].Real
	s.font, err = r.font(v.Array[0])
	return err
}

func (r *Reader) setFont(s *state, resources syntax.Value, args []syntax.Value) error {
	if len(args) < 2 {
		return nil
	}
	group, err := r.f.Resolve(resources.Key("Font"))
	if err != nil {
		return r.damage(err)
	}
	s.size = args[1].Real
	s.font, err = r.font(group.Value.Key(string(args[0].Bytes)))
	return err
}

// draw interprets a form XObject.
func (r *Reader) draw(resources syntax.Value, args []syntax.Value, s state, depth int) error {
	o, _, err := r.resource(resources, "XObject", args)
	if o == nil || err != nil {
		return err
	}
	if !o.Value.Key("Subtype").IsName("Form") {
		r.out.Paints = true
		return nil
	}
	return r.form(o, resources, s, depth+1)
}

// form interprets a form with its matrix, and resources of its own unless it
// is so old that it has none.
func (r *Reader) form(o *syntax.Object, resources syntax.Value, s state, depth int) error {
	if r.forms++; depth > maxNested || r.forms > maxForms {
		return r.damage(syntax.Errorf(syntax.ErrTooLarge, o.Value.Start, "more than %d forms, or %d in each other", maxForms, maxNested))
	}
	own, err := r.f.Resolve(o.Value.Key("Resources"))
	if err != nil {
		return r.damage(err)
	}
	if own.Value.Kind == syntax.Dictionary {
		resources = own.Value
	}
	m, err := r.f.Resolve(o.Value.Key("Matrix"))
	if err != nil {
		return r.damage(err)
	}
	if m, ok := six(m.Value.Array); ok {
		s.matrix = m.times(s.matrix)
	}
	b, err := r.data(o)
	if err != nil || r.stopped {
		return err
	}
	return r.run(b, resources, s, depth)
}

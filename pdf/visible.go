package pdf

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// Visible is the appearance of a signature: who signed and some lines of text
// in a box, laid out by a Template. It is drawn with embedded typefaces and as
// vectors, and the same values give the same bytes.
type Visible struct {
	// Page counts from 1; -1 is the last page. With an Anchor, 0 is any page.
	Page int
	// X, Y, Width and Height are in points from the lower left corner of the
	// CropBox as displayed, rotation applied. The rectangle must lie inside.
	X, Y, Width, Height float64
	// Anchor, unless empty, is a text on the page from whose lower left corner
	// X and Y count, found as by Document.Find with Occurrence; when both are 0
	// the box stands just above the text, or below it where there is no room.
	// The box is moved inside the CropBox where it would leave it.
	Anchor     string
	Occurrence int
	// Name is the signatory, set larger and bolder than Lines.
	Name string
	// Lines are at most MaxLines texts in UTF-8. They and the Name are wrapped
	// and shrunk until they fit, never cut; what does not fit in 3 points is
	// refused.
	Lines []string
	// Image goes where the template wants one.
	Image *Image
	// QR is text for the template's QR code, at most MaxQR bytes.
	QR string
	// Template lays the parts out. The zero Template is the one named standard.
	Template Template
}

// appearance is what an appearance depends on besides the Visible.
type appearance struct {
	width, height float64 // of the box in points, as displayed
	unit          float64 // points of a user space unit
	turn          int     // degrees the content is turned counterclockwise in user space
	archive       archive
}

// appear adds the appearance of a new field to the increment and returns the
// widget's entries.
func (v *Visible) appear(c *increment, g syntax.Geometry, a archive) (string, error) {
	if err := v.check(); err != nil {
		return "", err
	}
	if err := v.inside(g); err != nil {
		return "", err
	}
	num, err := v.form(c, appearance{v.Width, v.Height, g.UserUnit, g.Rotate, a})
	if err != nil {
		return "", err
	}
	r := v.rectangle(g)
	turn := ""
	if g.Rotate != 0 {
		turn = fmt.Sprintf("/MK<</R %d>>", g.Rotate)
	}
	return fmt.Sprintf("/Rect[%s %s %s %s]/AP<</N %d 0 R>>%s", number(r[0]), number(r[1]), number(r[2]), number(r[3]), num, turn), nil
}

// appearIn adds the appearance of an existing widget to the increment and
// returns the value of the widget's /AP. The widget's own /Rect decides size
// and place, which those of v do not; so does its /MK /R, and where there is
// none the text stands upright on the page as displayed.
func (v *Visible) appearIn(c *increment, g syntax.Geometry, widget *syntax.Object, a archive) (string, error) {
	if err := v.check(); err != nil {
		return "", err
	}
	r, err := rectangle(c.file, widget.Value.Key("Rect"))
	if err != nil {
		return "", err
	}
	w, h := (r[2]-r[0])*g.UserUnit, (r[3]-r[1])*g.UserUnit
	if w < 1 || h < 1 {
		return "", refuse("the field has no area on its page")
	}
	turn := g.Rotate
	mk, err := c.file.Resolve(widget.Value.Key("MK"))
	if err != nil {
		return "", fmt.Errorf("reading field: %w", err)
	}
	own, err := c.file.Resolve(mk.Value.Key("R"))
	if err != nil {
		return "", fmt.Errorf("reading field: %w", err)
	}
	if own.Value.Kind == syntax.Integer && own.Value.Int%90 == 0 {
		turn = int((own.Value.Int%360 + 360) % 360)
	}
	if turn%180 != 0 {
		w, h = h, w
	}
	num, err := v.form(c, appearance{w, h, g.UserUnit, turn, a})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("<</N %d 0 R>>", num), nil
}

// invisible returns the entries of a widget without a place. PDF/A-1 wants an
// appearance of every field (ISO 19005-1, 6.9).
func invisible(c *increment, a archive) (string, error) {
	if a.part != 1 {
		return "/Rect[0 0 0 0]", nil
	}
	num, err := c.reserve(1)
	if err != nil {
		return "", err
	}
	c.add(num, []byte("<</Type/XObject/Subtype/Form/BBox[0 0 0 0]/Resources<<>>/Length 0>>\nstream\n\nendstream"))
	return fmt.Sprintf("/Rect[0 0 0 0]/AP<</N %d 0 R>>", num), nil
}

// form adds the form XObject that draws v and returns its number.
func (v *Visible) form(c *increment, a appearance) (uint32, error) {
	p := &painter{c: c, archive: a.archive}
	if err := v.draw(p, a.width, a.height); err != nil {
		return 0, err
	}
	if err := p.embedFonts(); err != nil {
		return 0, err
	}
	num, err := c.reserve(1)
	if err != nil {
		return 0, err
	}
	s := 1 / a.unit
	w, h := a.width*s, a.height*s
	// The annotation algorithm (ISO 32000-2, Section 12.5.5) moves the turned
	// box onto /Rect, so the matrix has no translation.
	matrix := map[int]string{0: "1 0 0 1", 90: "0 1 -1 0", 180: "-1 0 0 -1", 270: "0 -1 1 0"}[a.turn]
	content := p.b.Bytes()
	var b bytes.Buffer
	fmt.Fprintf(&b, "<</Type/XObject/Subtype/Form/BBox[0 0 %s %s]/Matrix[%s 0 0]/Resources<<%s>>/Length %d>>\nstream\n",
		number(w), number(h), matrix, p.resources(), len(content)+len(scale(s)))
	b.WriteString(scale(s))
	b.Write(content)
	b.WriteString("\nendstream")
	c.add(num, b.Bytes())
	return num, nil
}

// scale makes the content stream count in points.
func scale(s float64) string {
	if s == 1 {
		return ""
	}
	return fmt.Sprintf("%s 0 0 %s 0 0 cm\n", number(s), number(s))
}

// check looks at everything but the place.
func (v *Visible) check() error {
	if len(v.Lines) > MaxLines {
		return refuse("more than %d lines", MaxLines)
	}
	if len(v.QR) > MaxQR {
		return refuse("QR code of more than %d bytes", MaxQR)
	}
	for _, text := range append([]string{v.Name, v.QR}, v.Lines...) {
		if err := checkText(text); err != nil {
			return err
		}
	}
	return v.Template.check(v)
}

// inside refuses a box that is not on the page.
func (v *Visible) inside(g syntax.Geometry) error {
	for _, n := range []float64{v.X, v.Y, v.Width, v.Height} {
		if math.IsNaN(n) || math.IsInf(n, 0) || n < 0 {
			return refuse("place of the appearance")
		}
	}
	w, h := displayed(g)
	const slack = 0.01
	if v.Width < 1 || v.Height < 1 || v.X+v.Width > w+slack || v.Y+v.Height > h+slack {
		const mm = 25.4 / 72
		return syntax.Refusal(ErrOptions, fmt.Sprintf("appearance outside of the page, which is %s × %s points (%.0f × %.0f mm)", number(w), number(h), w*mm, h*mm),
			fmt.Sprintf("rupa tandatangan di luar halaman, yang berukuran %s × %s point (%.0f × %.0f mm)", number(w), number(h), w*mm, h*mm))
	}
	return nil
}

// displayed is the size of the CropBox as displayed, in points.
func displayed(g syntax.Geometry) (w, h float64) {
	w, h = (g.Crop[2]-g.Crop[0])*g.UserUnit, (g.Crop[3]-g.Crop[1])*g.UserUnit
	if g.Rotate%180 != 0 {
		w, h = h, w
	}
	return w, h
}

// rectangle converts the place as displayed to user space.
func (v *Visible) rectangle(g syntax.Geometry) [4]float64 {
	s := 1 / g.UserUnit
	x, y, w, h := v.X*s, v.Y*s, v.Width*s, v.Height*s
	left, bottom, right, top := g.Crop[0], g.Crop[1], g.Crop[2], g.Crop[3]
	switch g.Rotate {
	case 90:
		return [4]float64{right - y - h, bottom + x, right - y, bottom + x + w}
	case 180:
		return [4]float64{right - x - w, top - y - h, right - x, top - y}
	case 270:
		return [4]float64{left + y, top - x - w, left + y + h, top - x}
	}
	return [4]float64{left + x, bottom + y, left + x + w, bottom + y + h}
}

// rectangle reads a rectangle in normal order (ISO 32000-2, Section 7.9.5).
func rectangle(f *syntax.File, v syntax.Value) (r [4]float64, err error) {
	o, err := f.Resolve(v)
	if err != nil {
		return r, fmt.Errorf("reading rectangle: %w", err)
	}
	if len(o.Value.Array) != 4 {
		return r, syntax.Errorf(ErrInvalid, v.Start, "malformed rectangle")
	}
	for i, e := range o.Value.Array {
		n, err := f.Resolve(e)
		if err != nil {
			return r, fmt.Errorf("reading rectangle: %w", err)
		}
		if k := n.Value.Kind; k != syntax.Integer && k != syntax.Real || math.Abs(n.Value.Real) > 1e7 {
			return r, syntax.Errorf(ErrInvalid, v.Start, "malformed rectangle")
		}
		r[i] = n.Value.Real
	}
	return [4]float64{min(r[0], r[2]), min(r[1], r[3]), max(r[0], r[2]), max(r[1], r[3])}, nil
}

// number writes at most six decimals.
func number(f float64) string {
	s := strings.TrimRight(strconv.FormatFloat(f, 'f', 6, 64), "0")
	s = strings.TrimSuffix(s, ".")
	if s == "-0" || s == "" {
		return "0"
	}
	return s
}

package pdf

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/mohor-sign/mohor/pdf/font"
	"github.com/mohor-sign/mohor/pdf/syntax"
)

// Bounds and measures of an appearance, in points.
const (
	MaxLines = 20
	largest  = 12.0 // font size
	smallest = 3.0
	padding  = 3.0
	leading  = 1.25 // line height by font size
)

// Visible is the appearance of a signature: lines of text in a light frame.
type Visible struct {
	// Page counts from 1; -1 is the last page.
	Page int
	// X, Y, Width and Height are in points from the lower left corner of the
	// CropBox as displayed, rotation applied. The rectangle must lie inside.
	X, Y, Width, Height float64
	// Lines are at most MaxLines texts in UTF-8, set in one size of at most 12
	// points so that all fit. When they do not fit in 3 points they are refused.
	Lines []string
}

// appear adds the appearance stream and its font to the increment and returns
// the widget's entries.
func (v *Visible) appear(c *increment, g syntax.Geometry) (string, error) {
	if err := v.check(g); err != nil {
		return "", err
	}
	content, resources, err := v.content(c)
	if err != nil {
		return "", err
	}
	num, err := c.reserve(1)
	if err != nil {
		return "", err
	}
	s := 1 / g.UserUnit
	w, h := v.Width*s, v.Height*s
	// The annotation algorithm (ISO 32000-2, Section 12.5.5) moves the turned
	// box onto /Rect, so the matrix has no translation.
	matrix := map[int]string{0: "1 0 0 1", 90: "0 1 -1 0", 180: "-1 0 0 -1", 270: "0 -1 1 0"}[g.Rotate]
	var b bytes.Buffer
	fmt.Fprintf(&b, "<</Type/XObject/Subtype/Form/BBox[0 0 %s %s]/Matrix[%s 0 0]/Resources<<%s>>/Length %d>>\nstream\n",
		number(w), number(h), matrix, resources, len(content)+len(scale(s)))
	b.WriteString(scale(s))
	b.Write(content)
	b.WriteString("\nendstream")
	c.add(num, b.Bytes())
	r := v.rectangle(g)
	turn := ""
	if g.Rotate != 0 {
		turn = fmt.Sprintf("/MK<</R %d>>", g.Rotate)
	}
	return fmt.Sprintf("/Rect[%s %s %s %s]/AP<</N %d 0 R>>%s", number(r[0]), number(r[1]), number(r[2]), number(r[3]), num, turn), nil
}

// scale makes the content stream count in points.
func scale(s float64) string {
	if s == 1 {
		return ""
	}
	return fmt.Sprintf("%s 0 0 %s 0 0 cm\n", number(s), number(s))
}

func (v *Visible) check(g syntax.Geometry) error {
	for _, n := range []float64{v.X, v.Y, v.Width, v.Height} {
		if math.IsNaN(n) || math.IsInf(n, 0) || n < 0 {
			return refuse("place of the appearance")
		}
	}
	w, h := (g.Crop[2]-g.Crop[0])*g.UserUnit, (g.Crop[3]-g.Crop[1])*g.UserUnit
	if g.Rotate%180 != 0 {
		w, h = h, w
	}
	const slack = 0.01
	if v.Width < 1 || v.Height < 1 || v.X+v.Width > w+slack || v.Y+v.Height > h+slack {
		return refuse("appearance outside of the page, which is %s × %s points", number(w), number(h))
	}
	if len(v.Lines) > MaxLines {
		return refuse("more than %d lines", MaxLines)
	}
	for _, line := range v.Lines {
		if err := checkText(line); err != nil {
			return err
		}
	}
	return nil
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

// content draws frame and text in points from the lower left corner.
func (v *Visible) content(c *increment) (content []byte, resources string, err error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "q 0.7 G 0.5 w 0.25 0.25 %s %s re S Q", number(v.Width-0.5), number(v.Height-0.5))
	text := strings.Join(v.Lines, "")
	if text == "" {
		return b.Bytes(), "", nil
	}
	face, err := font.Sans()
	if err != nil {
		return nil, "", fmt.Errorf("loading font: %w", err)
	}
	objects, type0, err := face.Embed(text, int(c.next))
	if err != nil {
		return nil, "", fmt.Errorf("embedding font: %w", err)
	}
	first, err := c.reserve(len(objects))
	if err != nil {
		return nil, "", err
	}
	for i, o := range objects {
		c.add(first+uint32(i), o)
	}
	size, err := v.size(face)
	if err != nil {
		return nil, "", err
	}
	line := size * leading
	// The block of lines is centred between top and bottom.
	free := v.Height - float64(len(v.Lines))*line
	y := v.Height - free/2 - (line-size*(face.Ascent()-face.Descent()))/2 - size*face.Ascent()
	fmt.Fprintf(&b, "\nBT /F1 %s Tf 0 g", number(size))
	for i, s := range v.Lines {
		fmt.Fprintf(&b, "\n1 0 0 1 %s %s Tm <%x> Tj", number(padding), number(y-float64(i)*line), face.Encode(s))
	}
	b.WriteString(" ET")
	return b.Bytes(), fmt.Sprintf("/Font<</F1 %d 0 R>>", type0), nil
}

// size is the largest font size in which all lines fit.
func (v *Visible) size(face *font.Face) (float64, error) {
	size := min(largest, (v.Height-2*padding)/(float64(len(v.Lines))*leading))
	for _, s := range v.Lines {
		if w := face.Width(s, 1); w > 0 {
			size = min(size, (v.Width-2*padding)/w)
		}
	}
	if size < smallest {
		return 0, refuse("the lines do not fit the appearance")
	}
	return size, nil
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

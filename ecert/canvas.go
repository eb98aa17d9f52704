package ecert

import (
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/mohor-sign/mohor/pdf/font"
)

// typeface is a face and its name in the page's /Resources.
type typeface struct {
	*font.Face
	res string
}

// rgb is a colour in DeviceRGB, components 0 to 1.
type rgb [3]float64

// canvas writes the operators of a content stream (ISO 32000-2, 8 and 9).
// Lengths are points.
type canvas struct{ b []byte }

// op writes numbers, rounded to hundredths, and an operator.
func (c *canvas) op(operator string, numbers ...float64) {
	for _, v := range numbers {
		c.b = appendNumber(c.b, v, 100)
		c.b = append(c.b, ' ')
	}
	c.b = append(c.b, operator...)
	c.b = append(c.b, '\n')
}

// matrix concatenates a transformation, whose first four numbers need more
// places than a position.
func (c *canvas) matrix(m [6]float64, operator string) {
	for i, v := range m {
		scale := 100000.0
		if i > 3 {
			scale = 1000
		}
		c.b = appendNumber(c.b, v, scale)
		c.b = append(c.b, ' ')
	}
	c.b = append(c.b, operator...)
	c.b = append(c.b, '\n')
}

func appendNumber(b []byte, v, scale float64) []byte {
	v = math.Round(v*scale) / scale
	if v == 0 {
		return append(b, '0') // not "-0"
	}
	return strconv.AppendFloat(b, v, 'f', -1, 64)
}

func (c *canvas) fill(colour rgb)   { c.op("rg", colour[:]...) }
func (c *canvas) stroke(colour rgb) { c.op("RG", colour[:]...) }

// line draws a horizontal rule.
func (c *canvas) line(x1, x2, y, width float64) {
	c.op("w", width)
	c.op("m", x1, y)
	c.op("l", x2, y)
	c.op("S")
}

// text shows s with its baseline starting at x, y. track is added after each
// character.
func (c *canvas) text(f typeface, size, track, x, y float64, s string) {
	c.b = append(c.b, "BT/"...)
	c.b = append(c.b, f.res...)
	c.b = append(c.b, ' ')
	c.op("Tf", size)
	c.op("Tc", track)
	c.op("Td", x, y)
	c.b = f.AppendTJ(c.b, s)
	c.b = append(c.b, "TJ ET\n"...)
}

// centred shows s centred on x.
func (c *canvas) centred(f typeface, size, track, x, y float64, s string) {
	c.text(f, size, track, x-breadth(f, size, track, s)/2, y, s)
}

// breadth is the width of s without the space after its last character.
func breadth(f typeface, size, track float64, s string) float64 {
	return f.KernedWidth(s, size) + track*float64(max(0, utf8.RuneCountInString(s)-1))
}

// circle adds a circle to the path (four Bézier curves).
func (c *canvas) circle(x, y, r float64) {
	const k = 0.5522847498
	c.op("m", x+r, y)
	c.op("c", x+r, y+k*r, x+k*r, y+r, x, y+r)
	c.op("c", x-k*r, y+r, x-r, y+k*r, x-r, y)
	c.op("c", x-r, y-k*r, x-k*r, y-r, x, y-r)
	c.op("c", x+k*r, y-r, x+r, y-k*r, x+r, y)
	c.op("h")
}

// artifact marks what f draws as none of the document's content (ISO 32000-2,
// 14.8.2.2).
func (c *canvas) artifact(f func()) {
	c.b = append(c.b, "/Artifact BMC\n"...)
	f()
	c.b = append(c.b, "EMC\n"...)
}

// tagged marks what f draws as the content of a structure element (ISO 32000-2,
// 14.7.5); with mcid -1 as an artifact.
func (c *canvas) tagged(mcid int, role string, f func()) {
	if mcid < 0 {
		c.artifact(f)
		return
	}
	c.b = append(c.b, '/')
	c.b = append(c.b, role...)
	c.b = append(c.b, "<</MCID "...)
	c.b = strconv.AppendInt(c.b, int64(mcid), 10)
	c.b = append(c.b, ">>BDC\n"...)
	f()
	c.b = append(c.b, "EMC\n"...)
}

// image shows an image XObject in a rectangle.
func (c *canvas) image(res string, x, y, w, h float64) {
	c.op("q")
	c.matrix([6]float64{w, 0, 0, h, x, y}, "cm")
	c.b = append(c.b, '/')
	c.b = append(c.b, res...)
	c.b = append(c.b, " Do\n"...)
	c.op("Q")
}

// sandboxMark draws the marking of certificates that certify nothing. It stands
// behind the text, in plain colours: transparency is one thing less for a viewer to
// get wrong.
func (c *canvas) sandboxMark(bold typeface) {
	const mark = "SANDBOX – TIDAK SAH / NOT VALID"
	c.op("q")
	c.fill(blush)
	c.matrix([6]float64{0.62, 0.7846, -0.7846, 0.62, middle + 34, 432}, "cm")
	c.b = append(c.b, "/Span<</ActualText"...)
	c.b = appendTextString(c.b, mark)
	c.b = append(c.b, ">>BDC\n"...)
	c.centred(bold, 35, 0.8, 0, 0, mark) // clear of the QR code and its quiet zone
	c.b = append(c.b, "EMC\n"...)
	c.op("Q")
	c.fill(red)
	width := breadth(bold, 10.5, 0.6, mark)
	c.op("re", middle-width/2-12, 782.5, width+24, 17)
	c.op("f")
	c.fill(white)
	c.centred(bold, 10.5, 0.6, middle, 787.5, mark)
}

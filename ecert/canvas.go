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

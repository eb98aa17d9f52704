package ecert

import (
	"math"
	"strings"
)

var (
	white = rgb{1, 1, 1}
	black = rgb{0, 0, 0}
	red   = rgb{0.75, 0.10, 0.12}
	blush = rgb{0.975, 0.865, 0.87}
)

// ring is one of the waves that interlace in a rosette: at angle t its radius
// is base + swing*cos(t*lobes + phase), with a second, faster swing on top.
type ring struct {
	base, swing, phase float64
	fine               float64
}

// rosette draws rings of the given number of lobes around x, y. One sector is
// written and repeated under a rotation, so that the stream compresses.
func (c *canvas) rosette(x, y, scale float64, lobes int, rings []ring) {
	const points = 18
	sector := 2 * math.Pi / float64(lobes)
	c.op("q")
	c.matrix([6]float64{1, 0, 0, 1, x, y}, "cm")
	var one canvas
	for _, r := range rings {
		for i := range points + 1 {
			t := sector * float64(i) / points
			rad := scale * (r.base + r.swing*math.Cos(t*float64(lobes)+r.phase) + r.fine*math.Cos(3*t*float64(lobes)-r.phase))
			operator := "l"
			if i == 0 {
				operator = "m"
			}
			one.op(operator, rad*math.Cos(t), rad*math.Sin(t))
		}
	}
	one.op("S")
	turn := [6]float64{math.Cos(sector), math.Sin(sector), -math.Sin(sector), math.Cos(sector), 0, 0}
	for range lobes {
		c.b = append(c.b, one.b...)
		c.matrix(turn, "cm")
	}
	c.op("Q")
}

// rings makes n interlaced waves.
func rings(n int, base, swing, fine float64) []ring {
	out := make([]ring, n)
	for i := range out {
		out[i] = ring{base, swing, 2 * math.Pi * float64(i) / float64(n), fine}
	}
	return out
}

// wave draws a guilloche band of n cells from x, y to the right, half as high
// as amplitude above and below.
func (c *canvas) wave(x, y, cell, amplitude float64, n int) {
	const points, threads = 14, 4
	var one canvas
	for k := range threads {
		phase := 2 * math.Pi * float64(k) / threads
		for i := range points + 1 {
			t := 2 * math.Pi * float64(i) / points
			v := amplitude * (0.78*math.Sin(t+phase) + 0.22*math.Sin(3*t-phase))
			operator := "l"
			if i == 0 {
				operator = "m"
			}
			one.op(operator, cell*float64(i)/points, v)
		}
	}
	one.op("S")
	c.op("q")
	c.matrix([6]float64{1, 0, 0, 1, x, y}, "cm")
	for range n {
		c.b = append(c.b, one.b...)
		c.matrix([6]float64{1, 0, 0, 1, cell, 0}, "cm")
	}
	c.op("Q")
}

// frame draws the border: two rules with guilloche between, a rosette in each
// corner.
func (c *canvas) frame(colour, accent rgb) {
	const outer, band, across, up = 25.0, 15.0, 40, 58
	x1, y1, x2, y2 := outer, outer, pageWidth-outer, pageHeight-outer
	c.stroke(colour)
	c.op("w", 1.1)
	c.op("re", x1, y1, x2-x1, y2-y1)
	c.op("S")
	c.op("w", 0.35)
	for _, d := range []float64{2.6, band + 2.6} {
		c.op("re", x1+d, y1+d, x2-x1-2*d, y2-y1-2*d)
	}
	c.op("S")
	c.stroke(accent)
	c.op("w", 0.9)
	c.op("re", x1+band+5.4, y1+band+5.4, x2-x1-2*band-10.8, y2-y1-2*band-10.8)
	c.op("S")

	c.stroke(colour)
	c.op("w", 0.28)
	mid := 2.6 + band/2
	gap := mid + 9.0 // clear of the corner rosettes
	width, height := (x2-x1-2*gap)/across, (y2-y1-2*gap)/up
	for _, y := range []float64{y1 + mid, y2 - mid} {
		c.wave(x1+gap, y, width, band/2-1.2, across)
	}
	for _, x := range []float64{x1 + mid, x2 - mid} {
		c.op("q")
		c.matrix([6]float64{0, 1, -1, 0, x, y1 + gap}, "cm")
		c.wave(0, 0, height, band/2-1.2, up)
		c.op("Q")
	}
	for _, x := range []float64{x1 + mid, x2 - mid} {
		for _, y := range []float64{y1 + mid, y2 - mid} {
			c.fill(white)
			c.circle(x, y, 12.4)
			c.op("f")
			c.stroke(accent)
			c.op("w", 0.6)
			c.circle(x, y, 12.4)
			c.op("S")
			c.stroke(colour)
			c.op("w", 0.25)
			c.rosette(x, y, 10.6, 12, rings(4, 0.66, 0.32, 0.02))
			c.fill(accent)
			c.circle(x, y, 2.1)
			c.op("f")
		}
	}
}

// watermark draws the rosette behind the text.
func (c *canvas) watermark(x, y, r float64, colour rgb) {
	c.stroke(colour)
	c.op("w", 0.45)
	c.rosette(x, y, r, 36, rings(6, 0.86, 0.11, 0.025))
	c.rosette(x, y, r, 24, rings(6, 0.58, 0.13, 0.03))
	c.rosette(x, y, r, 12, rings(6, 0.27, 0.14, 0.02))
}

// petal adds one petal of the flower, pointing up, of length 1.
func (c *canvas) petal() {
	c.op("m", 0, 0.1)
	c.op("c", 0.12, 0.22, 0.5, 0.5, 0.44, 0.78)
	c.op("c", 0.4, 0.94, 0.2, 1.06, 0, 0.94)
	c.op("c", -0.2, 1.06, -0.4, 0.94, -0.44, 0.78)
	c.op("c", -0.5, 0.5, -0.12, 0.22, 0, 0.1)
	c.op("h")
}

// seal draws the emblem: a scalloped disc, a ring of lettering, guilloche and a
// five-petalled flower. It is nobody's coat of arms.
func (c *canvas) seal(f typeface, x, y, r float64, around string, colour, accent, ground rgb) {
	c.fill(ground)
	c.circle(x, y, r*0.985)
	c.op("f")
	c.stroke(accent)
	c.op("w", 0.3)
	c.rosette(x, y, r, 60, rings(3, 0.955, 0.045, 0))
	c.op("w", 0.8)
	c.circle(x, y, r*0.885)
	c.circle(x, y, r*0.665)
	c.op("S")
	c.op("w", 0.3)
	c.circle(x, y, r*0.86)
	c.circle(x, y, r*0.69)
	c.op("S")
	first, rest, _ := strings.Cut(around, " • ")
	c.fill(colour)
	c.around(f, x, y, r*0.735, r*0.118, first, " • "+rest+" • ")
	c.stroke(accent)
	c.op("w", 0.22)
	c.rosette(x, y, r*0.655, 20, rings(5, 0.76, 0.21, 0.02))
	c.fill(ground)
	c.circle(x, y, r*0.40)
	c.op("f")
	c.stroke(accent)
	c.op("w", 0.5)
	c.circle(x, y, r*0.40)
	c.op("S")
	for i := range 5 {
		a := 2 * math.Pi * float64(i) / 5
		m := r * 0.35
		c.op("q")
		c.matrix([6]float64{m * math.Cos(a), m * math.Sin(a), -m * math.Sin(a), m * math.Cos(a), x, y}, "cm")
		c.fill(colour)
		c.stroke(ground)
		c.op("w", 0.05)
		c.petal()
		c.op("B")
		c.op("w", 0.03)
		for _, lean := range []float64{-0.17, 0, 0.17} {
			c.op("m", lean*0.3, 0.3)
			c.op("l", lean, 0.78-math.Abs(lean)*0.6)
		}
		c.op("S")
		c.op("Q")
	}
	c.fill(accent)
	c.circle(x, y, r*0.062)
	c.op("f")
}

// around sets s on a circle of radius r, spread over the whole of it, with the
// middle of its first part above. /ActualText keeps it one text for extraction
// (ISO 32000-2, 14.9.4).
func (c *canvas) around(f typeface, x, y, r, size float64, first, rest string) {
	s := first + rest
	total := f.Width(s, size)
	extra := (2*math.Pi*r - total) / float64(len([]rune(s)))
	c.b = append(c.b, "/Span<</ActualText"...)
	c.b = appendTextString(c.b, s)
	c.b = append(c.b, ">>BDC\nBT/"...)
	c.b = append(c.b, f.res...)
	c.b = append(c.b, ' ')
	c.op("Tf", size)
	at := 0.0
	start := math.Pi/2 + (f.Width(first, size)+extra*float64(len([]rune(first))))/2/r
	for _, ch := range s {
		w := f.Width(string(ch), size)
		a := start - (at+w/2+extra/2)/r
		rot := a - math.Pi/2
		px := x + r*math.Cos(a) - w/2*math.Cos(rot)
		py := y + r*math.Sin(a) - w/2*math.Sin(rot)
		c.matrix([6]float64{math.Cos(rot), math.Sin(rot), -math.Sin(rot), math.Cos(rot), px, py}, "Tm")
		c.b = f.AppendTJ(c.b, string(ch))
		c.b = append(c.b, "TJ\n"...)
		at += w + extra
	}
	c.b = append(c.b, "ET\nEMC\n"...)
}

package ecert

import (
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"rsc.io/qr"
)

// values are what stands in the place of fields, in their order.
type values [10]string

func valuesOf(c *Candidate, host string) *values {
	return &values{c.Name, c.IC.Dashed(), c.Number, c.ProgrammeCode, c.ProgrammeName, c.CentreName, c.CentreCode, c.Batch, c.MonthYear(), host}
}

// put replaces the field marks of an expanded text.
func (v *values) put(s string) string {
	if strings.IndexByte(s, fieldMark) < 0 {
		return s
	}
	if len(s) == 2 {
		return v[s[1]-'A']
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == fieldMark {
			i++
			b.WriteString(v[s[i]-'A'])
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// face is the typeface for a text: that of the layout, or the built-in one for a
// name in letters that an installation's own lacks.
func (d *design) face(name, s string) typeface {
	f := d.fonts[name]
	if f.res <= "F4" && len(f.res) == 2 { // ours have what a Reader accepts
		return f
	}
	for _, r := range s {
		if !f.Has(r) {
			return d.fonts["serif-bold"]
		}
	}
	return f
}

func steps(list []stepFile) []step {
	out := make([]step, len(list))
	for i, s := range list {
		out[i] = step{s.Lines, s.Size, s.Least}
	}
	return out
}

// setting is how a text is to be fitted.
func (e *element) setting() []step {
	if len(e.Steps) > 0 {
		return steps(e.Steps)
	}
	return []step{{1, e.Size, 2}}
}

func (e *element) leading(size float64) float64 {
	if e.Leading != 0 {
		return e.Leading * size
	}
	return 1.22 * size
}

// at is where a block's text of the given width begins.
func (e *element) at(width float64) float64 {
	switch e.Align {
	case "centre":
		return e.X + (e.Width-width)/2
	case "right":
		return e.X + e.Width - width
	}
	return e.X
}

// first is the baseline of the first line.
func (p *piece) first(ends []float64) float64 {
	if p.after >= 0 {
		return ends[p.after] - p.Gap
	}
	return p.Y
}

// drawText sets a text and returns its last baseline.
func (d *design) drawText(c *canvas, p *piece, ends []float64, v *values) float64 {
	s := v.put(p.text)
	f := d.face(p.Font, s)
	lead := 0.0
	label := typeface{}
	if p.Label != nil {
		label = d.fonts[p.Label.Font]
		lead = breadth(label, p.Label.Size, 0, p.label) + p.Label.Gap
	}
	track := p.Track
	b := fit(f, s, p.Width-lead-track*float64(utf8.RuneCountInString(s)), p.setting()...)
	leading := p.leading(b.size)
	y := p.first(ends)
	if p.Anchor == "middle" {
		y += leading * float64(len(b.lines)-1) / 2
	}
	role := p.Tag
	if role == "" {
		role = "P"
	}
	c.tagged(p.mcid, role, func() {
		if p.Label != nil {
			x := p.at(lead + breadth(f, b.size, track, b.lines[0]))
			c.fill(d.colours[p.Label.Colour])
			c.text(label, p.Label.Size, 0, x, y, p.label)
			c.fill(d.colours[p.Colour])
			c.text(f, b.size, track, x+lead, y, b.lines[0])
			for i, l := range b.lines[1:] {
				c.text(f, b.size, track, x+lead, y-leading*float64(i+1), l)
			}
			return
		}
		c.fill(d.colours[p.Colour])
		c.whole(b, s, func() {
			for i, l := range b.lines {
				c.text(f, b.size, track, p.at(breadth(f, b.size, track, l)), y-leading*float64(i), l)
			}
		})
	})
	return y - leading*float64(len(b.lines)-1)
}

// whole gives a text that had to be cut within a word, where no space is, as one
// to who extracts it (ISO 32000-2, 14.9.4).
func (c *canvas) whole(b block, s string, f func()) {
	if len(b.lines) < 2 || strings.Join(b.lines, " ") == s {
		f()
		return
	}
	c.b = append(c.b, "/Span<</ActualText"...)
	c.b = appendTextString(c.b, s)
	c.b = append(c.b, ">>BDC\n"...)
	f()
	c.b = append(c.b, "EMC\n"...)
}

// drawFacts sets labelled values, the labels right-aligned before x, and returns
// the last baseline.
func (d *design) drawFacts(c *canvas, p *piece, ends []float64, v *values) float64 {
	y := p.first(ends)
	label := d.fonts[p.Label.Font]
	last := y
	for i, r := range p.rows {
		s := v.put(r.text)
		f := d.face(p.Font, s)
		b := fit(f, s, p.Width, r.steps...)
		c.tagged(p.mcid+i, "P", func() {
			c.fill(d.colours[p.Label.Colour])
			c.text(label, p.Label.Size, 0, p.X-p.Label.Gap-breadth(label, p.Label.Size, 0, r.label), y, r.label)
			c.fill(d.colours[p.Colour])
			c.whole(b, s, func() {
				for k, l := range b.lines {
					if k > 0 {
						y -= b.size * 1.15
					}
					c.text(f, b.size, 0.1, p.X, y, l)
				}
			})
		})
		last = y
		y -= p.leading(p.Size)
	}
	return last
}

// drawQR sets the code as an image mask: what is not black stays as it is.
func (c *canvas) drawQR(p *piece, code *qr.Code) {
	c.tagged(p.mcid, "Figure", func() {
		c.fill(black)
		c.op("q")
		c.matrix([6]float64{p.Width, 0, 0, p.Width, p.X, p.Y}, "cm")
		c.b = append(c.b, "BI/W "...)
		c.b = appendNumber(c.b, float64(code.Size), 1)
		c.b = append(c.b, "/H "...)
		c.b = appendNumber(c.b, float64(code.Size), 1)
		c.b = append(c.b, "/IM true/BPC 1/D[1 0]/F/AHx ID "...)
		row := make([]byte, (code.Size+7)/8)
		for y := range code.Size {
			clear(row)
			for x := range code.Size {
				if code.Black(x, y) {
					row[x/8] |= 0x80 >> (x % 8)
				}
			}
			c.b = hex.AppendEncode(c.b, row)
		}
		c.b = append(c.b, ">\nEI Q\n"...)
	})
}

// drawPhoto shows the candidate's picture whole, in the middle of its box, with a
// fine rule around.
func (d *design) drawPhoto(c *canvas, p *piece, m *picture) {
	c.tagged(p.mcid, "Figure", func() {
		x, y, w, h := m.inside(p.X, p.Y, p.Width, p.Height)
		c.image("Photo", x, y, w, h)
		if p.Colour != "" {
			c.stroke(d.colours[p.Colour])
			c.op("w", 0.6)
			c.op("re", x, y, w, h)
			c.op("S")
		}
	})
}

// sheet is one certificate being drawn.
type sheet struct {
	v     *values
	code  *qr.Code
	photo *picture
	units []Unit
	rows  [2]int // units on each page
}

// draw writes the content streams of the pages. The second is nil where all is on
// the first.
func (d *design) draw(s *sheet) (content [2][]byte) {
	var left unitRows
	for page := range d.pages {
		if page == 1 && s.rows[1] == 0 {
			break
		}
		c := canvas{make([]byte, 0, 16<<10)}
		ends := make([]float64, len(d.pages[page]))
		for i := range d.pages[page] {
			p := &d.pages[page][i]
			if page == 1 && i == d.overleaf {
				d.units.draw(d, &c, left, 1)
			}
			switch {
			case p.static != nil:
				c.b = append(c.b, p.static...)
				ends[i] = p.end
			case p.Kind == "text":
				ends[i] = d.drawText(&c, p, ends, s.v)
			case p.Kind == "facts":
				ends[i] = d.drawFacts(&c, p, ends, s.v)
			case p.Kind == "qr":
				c.drawQR(p, s.code)
			case p.Kind == "photo":
				d.drawPhoto(&c, p, s.photo)
			case p.Kind == "units":
				left = d.units.fit(d, p.first(ends), s.units)
				s.rows = left.pages
				d.units.draw(d, &c, left, 0)
			}
		}
		if page == 1 && d.overleaf < 0 {
			d.units.draw(d, &c, left, 1)
		}
		content[page] = c.b
	}
	return content
}

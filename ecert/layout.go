package ecert

import (
	"encoding/hex"

	"rsc.io/qr"
)

// The place kept for a visible signature, in points from the lower left corner
// of the page, and the rule below it.
const (
	signatureX, signatureY          = 327.0, 140.0
	signatureWidth, signatureHeight = 186.0, 52.0
	signatureRule                   = 128.0
)

// SignatureArea returns the rectangle kept free for the appearance of a visible
// signature: left, bottom, width and height in points, from the lower left
// corner of page 1. The certificate is complete without one.
func SignatureArea() (x, y, width, height float64) {
	return signatureX, signatureY, signatureWidth, signatureHeight
}

// QRArea returns the square of the QR code, without its quiet zone: left,
// bottom and side in points, from the lower left corner of page 1.
func QRArea() (x, y, side float64) { return qrX, qrY, qrSide }

const (
	textWidth = 436.0 // of the centred texts
	qrSide    = 66.0
	qrX, qrY  = 82.0, 128.0
)

// fonts are the typefaces of a page.
type fonts struct{ regular, bold, italic typeface }

// head draws what stands before the text on all certificates of a language.
func (c *canvas) head(f fonts, w *words) {
	c.b = append(c.b, "1 J 1 j\n"...)
	c.watermark(middle, 432)
	c.frame()
	c.seal(f.bold, middle, 722, 41, w.department, w.country)

	c.fill(navy)
	c.centred(f.bold, 13, 1, middle, 656, w.department)
	c.centred(f.regular, 10, 0.8, middle, 641, w.ministry)
	c.centred(f.regular, 8.5, 0.7, middle, 628.5, w.country)
}

// foot draws what follows the text on all certificates of a language.
func (c *canvas) foot(f fonts, w *words) {
	c.fill(ink)
	c.centred(f.italic, 9.6, 0.05, middle, 251, w.legal[0])
	c.centred(f.italic, 9.6, 0.05, middle, 238.5, w.legal[1])

	c.stroke(pale)
	c.op("w", 0.3)
	c.wave(signatureX+3, signatureY+signatureHeight/2, 18, 20, 10)
	c.fill(bronze)
	right := signatureX + signatureWidth/2
	c.centred(f.regular, 6.8, 0.55, right, signatureRule+4.5, w.signed)
	c.stroke(navy)
	c.line(signatureX, signatureX+signatureWidth, signatureRule, 0.7)
	c.fill(navy)
	c.centred(f.bold, 10.5, 0.1, right, signatureRule-14, w.signatory[0])
	c.centred(f.regular, 10.5, 0.1, right, signatureRule-27, w.signatory[1])

	c.fill(grey)
	c.centred(f.regular, 6.8, 0.1, middle, 66.5, w.footer[0])
	c.centred(f.regular, 6.8, 0.1, middle, 57.5, w.footer[1])
}

// sandboxMark draws the marking of certificates that certify nothing.
func (c *canvas) sandboxMark(f fonts) {
	const mark = "SANDBOX – TIDAK SAH / NOT VALID"
	c.op("q")
	c.fill(red)
	c.b = append(c.b, "/Faint gs\n"...)
	c.matrix([6]float64{0.62, 0.7846, -0.7846, 0.62, middle + 34, 432}, "cm")
	c.b = append(c.b, "/Span<</ActualText"...)
	c.b = appendTextString(c.b, mark)
	c.b = append(c.b, ">>BDC\n"...)
	c.centred(f.bold, 35, 0.8, 0, 0, mark) // clear of the QR code and its quiet zone
	c.b = append(c.b, "EMC\n"...)
	c.op("Q")
	c.fill(red)
	width := breadth(f.bold, 10.5, 0.6, mark)
	c.op("re", middle-width/2-12, 782.5, width+24, 17)
	c.op("f")
	c.fill(rgb{1, 1, 1})
	c.centred(f.bold, 10.5, 0.6, middle, 787.5, mark)
}

// compose draws what is this certificate's own.
func (c *canvas) compose(f fonts, w *words, cand *Candidate, code *qr.Code, origin string) {
	t := w.titles[cand.Level]
	c.fill(grey)
	label := w.numberLabel + "  "
	size := 9.0
	x := pageWidth - 62 - breadth(f.bold, size+1, 0.3, cand.Number) - breadth(f.italic, size, 0, label)
	c.text(f.italic, size, 0, x, 768, label)
	c.fill(ink)
	c.text(f.bold, size+1, 0.3, x+breadth(f.italic, size, 0, label), 768, cand.Number)

	c.fill(navy)
	heading := fit(f.regular, t.heading, 430, step{1, 34, 10})
	c.centred(f.regular, heading.size, 0.3, middle, 583, heading.lines[0])
	if t.level != "" {
		c.level(f.bold, t.level)
	}

	c.fill(ink)
	c.centred(f.italic, 13, 0.1, middle, 524, w.certify)
	c.fill(navy)
	name := fit(f.bold, cand.Name, textWidth, step{1, 25, 16.5}, step{2, 20, 14}, step{3, 16, 11}, step{3, 16, 6})
	baseline := c.stack(f.bold, name, 481, 0.2)
	c.fill(ink)
	icWidth := breadth(f.italic, 12, 0, w.icLabel+"  ")
	x = middle - (icWidth+breadth(f.regular, 13, 0.4, cand.IC.Dashed()))/2
	c.text(f.italic, 12, 0, x, baseline-25, w.icLabel+"  ")
	c.text(f.regular, 13, 0.4, x+icWidth, baseline-25, cand.IC.Dashed())

	c.centred(f.italic, 12, 0.05, middle, 409, t.award)
	c.fill(navy)
	programme := fit(f.bold, cand.ProgrammeName, textWidth, step{1, 17, 13}, step{2, 15, 11}, step{3, 12, 8}, step{3, 12, 5})
	baseline = c.stack(f.bold, programme, 375, 0.1)
	c.fill(ink)
	noss := fit(f.regular, cand.ProgrammeCode, textWidth, step{1, 12, 5})
	c.centred(f.regular, noss.size, 0.4, middle, baseline-17, noss.lines[0])

	c.details(f, w, cand)
	c.verification(f, w, code, origin)
}

// level sets the level between two short rules.
func (c *canvas) level(f typeface, s string) {
	const y = 558.0
	half := breadth(f, 13, 1, s)/2 + 12
	c.fill(bronze)
	c.centred(f, 13, 1, middle, y, s)
	c.stroke(gold)
	c.line(middle-half-52, middle-half, y+4, 0.8)
	c.line(middle+half, middle+half+52, y+4, 0.8)
}

// stack sets the lines of a block around y and returns the last baseline.
func (c *canvas) stack(f typeface, b block, y, track float64) float64 {
	leading := b.size * 1.22
	y += leading * float64(len(b.lines)-1) / 2
	for i, l := range b.lines {
		c.centred(f, b.size, track, middle, y-leading*float64(i), l)
	}
	return y - leading*float64(len(b.lines)-1)
}

// details sets centre, batch and date as labelled values in two columns.
func (c *canvas) details(f fonts, w *words, cand *Candidate) {
	const gutter, valueWidth = 202.0, 300.0
	centre := fit(f.regular, cand.CentreName+" ("+cand.CentreCode+")", valueWidth, step{1, 11, 10}, step{2, 10.5, 9}, step{3, 9.5, 7}, step{3, 9.5, 4})
	batch := fit(f.regular, cand.Batch, valueWidth, step{1, 11, 9}, step{2, 9, 4})
	y := 317.0
	c.stroke(gold)
	c.line(middle-110, middle+110, y+17, 0.5)
	for _, row := range []struct {
		label string
		value block
	}{
		{w.centreLabel, centre}, {w.batchLabel, batch}, {w.dateLabel, block{[]string{cand.MonthYear()}, 11}},
	} {
		c.fill(grey)
		c.text(f.italic, 10.5, 0, gutter-10-breadth(f.italic, 10.5, 0, row.label), y, row.label)
		c.fill(ink)
		for i, l := range row.value.lines {
			if i > 0 {
				y -= row.value.size * 1.15
			}
			c.text(f.regular, row.value.size, 0.1, gutter, y, l)
		}
		y -= 15.5
	}
}

// verification draws the QR code and how to use it.
func (c *canvas) verification(f fonts, w *words, code *qr.Code, origin string) {
	c.fill(rgb{0, 0, 0})
	c.op("q")
	c.matrix([6]float64{qrSide, 0, 0, qrSide, qrX, qrY}, "cm")
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
	c.fill(grey)
	const at = qrX + qrSide + 9
	c.text(f.regular, 7.4, 0.05, at, qrY+qrSide-7, w.scan[0])
	c.text(f.regular, 7.4, 0.05, at, qrY+qrSide-18, w.scan[1])
	c.fill(navy)
	address := fit(f.bold, origin, 142, step{1, 8, 6.5}, step{2, 7.5, 6}, step{4, 6.5, 5}, step{5, 6.5, 4})
	for i, l := range address.lines {
		c.text(f.bold, address.size, 0.05, at, qrY+qrSide-29-float64(i)*address.size*1.15, l)
	}
}

package pdf

import (
	"bytes"
	"fmt"
	"math"
	"strings"

	"github.com/mohor-sign/mohor/pdf/font"
	"rsc.io/qr"
)

// painter collects the content of an appearance, in points from the lower left
// corner of its box, and the resources it uses.
type painter struct {
	c       *increment
	archive archive
	b       bytes.Buffer
	used    [2]strings.Builder // text set in the regular and in the bold face
	fonts   string
	images  string
}

// area is a rectangle of the box.
type area struct{ x, y, w, h float64 }

func (p *painter) op(operator string, numbers ...float64) {
	for _, n := range numbers {
		p.b.WriteString(number(n))
		p.b.WriteByte(' ')
	}
	p.b.WriteString(operator)
	p.b.WriteByte('\n')
}

func (p *painter) resources() string {
	s := p.archive.colours()
	if p.fonts != "" {
		s += "/Font<<" + p.fonts + ">>"
	}
	return s + p.images
}

// ink sets the colour of what is filled, with g and rg, or drawn, with G and RG.
func (p *painter) ink(c [3]uint8, grey, rgb string) {
	if c[0] == c[1] && c[1] == c[2] {
		p.op(grey, float64(c[0])/255)
		return
	}
	p.op(rgb, float64(c[0])/255, float64(c[1])/255, float64(c[2])/255)
}

// draw lays v out in a box of the size given.
func (v *Visible) draw(p *painter, w, h float64) error {
	t := v.Template
	if t.Background {
		p.op("g", 1)
		p.op("re", 0, 0, w, h)
		p.op("f")
	}
	pad := p.border(t, w, h)
	room := area{pad, pad, w - 2*pad, h - 2*pad}
	name := v.Name
	for _, side := range []struct {
		part Part
		left bool
	}{{t.Left, true}, {t.Right, false}} {
		width, err := v.side(p, side.part, side.left, room)
		if err != nil {
			return err
		}
		if side.part == PartName {
			name = ""
		}
		room.w -= width
		if side.left {
			room.x += width
		}
	}
	texts := make([]text, 0, len(v.Lines)+1)
	if name != "" {
		texts = append(texts, text{s: name, bold: true, scale: bigger})
	}
	for _, s := range v.Lines {
		texts = append(texts, text{s: s, scale: 1})
	}
	return p.texts(texts, room, t, largest)
}

// border draws the border and returns the padding inside.
func (p *painter) border(t Template, w, h float64) float64 {
	frame := func(inset, width float64) {
		p.op("w", width)
		p.op("re", inset, inset, w-2*inset, h-2*inset)
		p.op("S")
	}
	switch t.Border {
	case BorderLight:
		p.op("q")
		if t.Ink == ([3]uint8{}) {
			p.op("G", 0.7)
		} else {
			p.ink(t.Ink, "G", "RG")
		}
		frame(0.25, 0.5)
		p.op("Q")
	case BorderDouble:
		p.op("q")
		p.ink(t.Ink, "G", "RG")
		frame(0.6, 1.2)
		frame(2.5, 0.4)
		p.op("Q")
		return padding + 2.5
	}
	return padding
}

// side draws a part at a side of the room and returns the width it takes.
func (v *Visible) side(p *painter, part Part, left bool, room area) (float64, error) {
	at := room
	switch part {
	case PartName:
		at.w = 0.42*room.w - padding
		if err := p.texts([]text{{s: v.Name, bold: true, scale: 1}}, at, v.Template, 1.5*largest); err != nil {
			return 0, err
		}
		p.op("q")
		p.op("G", 0.7)
		p.op("w", 0.5)
		p.op("m", at.x+at.w+padding, room.y)
		p.op("l", at.x+at.w+padding, room.y+room.h)
		p.op("S")
		p.op("Q")
	case PartImage:
		aspect := float64(v.Image.width) / float64(v.Image.height)
		share := 0.4
		if v.Template.Left != PartNone && v.Template.Right != PartNone {
			share = 0.28
		}
		at.w = min(share*room.w, room.h*aspect)
		height := at.w / aspect
		at.y += (room.h - height) / 2
		at.h = height
		if !left {
			at.x = room.x + room.w - at.w
		}
		if err := p.image(v.Image, at); err != nil {
			return 0, err
		}
	case PartQR:
		at.w = min(room.h, 0.45*room.w)
		at.y += (room.h - at.w) / 2
		if !left {
			at.x = room.x + room.w - at.w
		}
		if err := p.qr(v.QR, at); err != nil {
			return 0, err
		}
	default:
		return 0, nil
	}
	return at.w + 2*padding, nil
}

func (p *painter) image(m *Image, at area) error {
	num, err := m.embed(p.c, p.archive.opaque())
	if err != nil {
		return err
	}
	p.images = fmt.Sprintf("/XObject<</I %d 0 R>>", num)
	p.op("q")
	p.op("cm", at.w, 0, 0, at.h, at.x, at.y)
	p.b.WriteString("/I Do\n")
	p.op("Q")
	return nil
}

// qr draws a QR code (ISO/IEC 18004) with error correction level M on white,
// as one path: a rectangle for each run of dark modules.
func (p *painter) qr(s string, at area) error {
	code, err := qr.Encode(s, qr.M)
	if err != nil {
		return refuse("text does not fit a QR code")
	}
	side := at.w / float64(code.Size+2*quietZone)
	if side < module {
		return refuse("QR code too small to be read: %s points of a module", number(math.Floor(side*100)/100))
	}
	p.op("q")
	p.op("g", 1)
	p.op("re", at.x, at.y, at.w, at.w)
	p.op("f")
	p.op("g", 0)
	p.op("cm", side, 0, 0, side, at.x+quietZone*side, at.y+quietZone*side)
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			from := x
			for x < code.Size && code.Black(x, y) {
				x++
			}
			if x > from {
				p.op("re", float64(from), float64(code.Size-1-y), float64(x-from), 1)
			}
		}
	}
	p.op("f")
	p.op("Q")
	return nil
}

// texts sets the texts in the area, centred between top and bottom.
func (p *painter) texts(texts []text, at area, t Template, most float64) error {
	faces, err := newFaces()
	if err != nil {
		return err
	}
	lines, size, err := fit(faces, texts, at.w, at.h, most)
	if err != nil || len(lines) == 0 {
		return err
	}
	height := 0.0
	for _, l := range lines {
		height += l.scale * size * leading
	}
	p.b.WriteString("BT\n")
	p.ink(t.Ink, "g", "rg")
	y := at.y + at.h - (at.h-height)/2
	last := ""
	for _, l := range lines {
		face := faces.face(l.bold)
		points := l.scale * size
		line := points * leading
		base := y - (line-points*(face.Ascent()-face.Descent()))/2 - points*face.Ascent()
		y -= line
		if l.s == "" {
			continue
		}
		if font := fmt.Sprintf("/F%d %s Tf\n", 1+which(l.bold), number(points)); font != last {
			p.b.WriteString(font)
			last = font
		}
		p.used[which(l.bold)].WriteString(l.s)
		x := at.x
		if t.Align == AlignCentre {
			x += (at.w - face.KernedWidth(l.s, points)) / 2
		}
		p.b.WriteString("1 0 0 1 ")
		p.op("Tm", x, base)
		p.b.Write(face.AppendTJ(nil, l.s))
		p.b.WriteString(" TJ\n")
	}
	p.b.WriteString("ET\n")
	return nil
}

// faces are the regular and the bold typeface of appearances.
type faces [2]*font.Face

func newFaces() (f faces, err error) {
	if f[0], err = font.Sans(); err == nil {
		f[1], err = font.SansBold()
	}
	if err != nil {
		err = fmt.Errorf("loading font: %w", err)
	}
	return f, err
}

func (f faces) face(bold bool) *font.Face { return f[which(bold)] }

func which(bold bool) int {
	if bold {
		return 1
	}
	return 0
}

// embedFonts adds the typefaces with the letters that were set.
func (p *painter) embedFonts() error {
	faces, err := newFaces()
	if err != nil {
		return err
	}
	for i, face := range faces {
		if p.used[i].Len() == 0 {
			continue
		}
		embed := face.Embed
		if p.archive.part == 1 {
			embed = face.EmbedCIDSet
		}
		objects, type0, err := embed(p.used[i].String(), int(p.c.next))
		if err != nil {
			return fmt.Errorf("embedding font: %w", err)
		}
		first, err := p.c.reserve(len(objects))
		if err != nil {
			return err
		}
		for k, o := range objects {
			p.c.add(first+uint32(k), o)
		}
		p.fonts += fmt.Sprintf("/F%d %d 0 R", 1+i, type0)
	}
	return nil
}

package pdf

import (
	"maps"
	"slices"
)

// Bounds and measures of an appearance, in points.
const (
	MaxLines  = 20
	MaxQR     = 300  // bytes
	largest   = 12.0 // font size of lines
	smallest  = 3.0
	readable  = 5.5 // below, names are broken rather than set smaller
	poor      = 4.0 // below, words are
	pleasant  = 7.5 // from here on lines are not wrapped to be set larger
	padding   = 3.0
	leading   = 1.25 // line height by font size
	bigger    = 1.35 // size of the name by that of the lines below it
	module    = 0.75 // smallest side of a module of a QR code
	quietZone = 2    // modules around it, besides the padding
)

// Part is what stands at a side of the lines.
type Part string

// The parts. PartName is for Template.Left alone.
const (
	PartNone  Part = ""
	PartName  Part = "name"
	PartImage Part = "image"
	PartQR    Part = "qr"
)

// Align is where the lines start.
type Align string

// The alignments.
const (
	AlignLeft   Align = ""
	AlignCentre Align = "centre"
)

// Border is the line around the box.
type Border string

// The borders.
const (
	BorderLight  Border = ""
	BorderNone   Border = "none"
	BorderDouble Border = "double"
)

// Template says how an appearance is laid out: the lines in the middle, headed
// by the name unless that stands at the left, and a part at either side.
type Template struct {
	Left, Right Part
	Align       Align
	Border      Border
	// Background paints the box white, over what is on the page.
	Background bool
	// Ink is the colour of text and border, red, green, blue; black when zero.
	Ink [3]uint8
}

func templates() map[string]Template {
	return map[string]Template{
		"standard":  {},
		"plain":     {Border: BorderNone},
		"name-left": {Left: PartName},
		"image":     {Left: PartImage},
		"qr":        {Right: PartQR},
		"image-qr":  {Left: PartImage, Right: PartQR},
		"stamp":     {Align: AlignCentre, Border: BorderDouble, Ink: [3]uint8{28, 52, 148}},
	}
}

// TemplateNamed returns the template of a name out of TemplateNames; the empty
// name is standard.
func TemplateNamed(name string) (Template, bool) {
	if name == "" {
		name = "standard"
	}
	t, ok := templates()[name]
	return t, ok
}

// TemplateNames lists the templates that have a name: image, image-qr,
// name-left, plain, qr, stamp, standard.
func TemplateNames() []string { return slices.Sorted(maps.Keys(templates())) }

// check refuses a template whose parts v does not have.
func (t Template) check(v *Visible) error {
	for _, p := range []Part{t.Left, t.Right} {
		switch {
		case p == PartImage && v.Image == nil, p == PartQR && v.QR == "", p == PartName && v.Name == "":
			return refuse("the template needs a part which is missing: %s", p)
		case p != PartNone && p != PartName && p != PartImage && p != PartQR:
			return refuse("unknown part of a template")
		}
	}
	if t.Right == PartName || t.Left == t.Right && t.Left != PartNone {
		return refuse("part of a template in a wrong place")
	}
	if t.Align != AlignLeft && t.Align != AlignCentre || t.Border != BorderLight && t.Border != BorderNone && t.Border != BorderDouble {
		return refuse("unknown word in a template")
	}
	return nil
}

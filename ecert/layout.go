package ecert

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The page, A4 portrait, in points.
const (
	pageWidth  = 595.28
	pageHeight = 841.89
	middle     = pageWidth / 2
)

// layoutFile is layouts/NAME.yaml: what stands where. Lengths are points, places
// are from the lower left corner of the page.
type layoutFile struct {
	Colours  map[string]string `yaml:"colours"`  // "#14254C"
	Fonts    map[string]string `yaml:"fonts"`    // own typefaces: file in assets
	Elements []element         `yaml:"elements"` // in reading order
}

// element is something on the page. Which keys it takes depends on the kind.
type element struct {
	placed
	Kind  string `yaml:"kind"`
	Name  string `yaml:"name"`  // that others stand below
	Pages string `yaml:"pages"` // first, next or all
	If    string `yaml:"if"`    // drawn when the certificate has this
	Not   string `yaml:"unless"`
	Tag   string `yaml:"tag"` // H1, H2, P, artifact

	X      float64 `yaml:"x"`
	Y      float64 `yaml:"y"`
	Width  float64 `yaml:"width"`
	Height float64 `yaml:"height"`
	After  string  `yaml:"after"` // an element above; gap is from its last baseline to the first here
	Gap    float64 `yaml:"gap"`
	Align  string  `yaml:"align"`  // left, centre, right
	Anchor string  `yaml:"anchor"` // what y is: first, the first baseline, or middle of the lines

	Value   string     `yaml:"value"`
	Font    string     `yaml:"font"`
	Size    float64    `yaml:"size"`
	Steps   []stepFile `yaml:"steps"`
	Track   float64    `yaml:"track"`   // after each character
	Leading float64    `yaml:"leading"` // of the size, 1.22
	Label   *labelFile `yaml:"label"`
	Rows    []rowFile  `yaml:"rows"`
	Heads   []string   `yaml:"heads"` // of the units' columns
	More    string     `yaml:"more"`  // below units that go on overleaf

	Colour string  `yaml:"colour"`
	Accent string  `yaml:"accent"`
	Fill   string  `yaml:"fill"`
	Weight float64 `yaml:"weight"` // of lines
	Radius float64 `yaml:"radius"`
	Image  string  `yaml:"image"`
	Alt    string  `yaml:"alt"`
	Bottom float64 `yaml:"bottom"` // units end above
	NextY  float64 `yaml:"next_y"` // of units overleaf
	NextTo float64 `yaml:"next_bottom"`
}

// stepFile is a way to set a text that is too long for the one before.
type stepFile struct {
	Lines int     `yaml:"lines"`
	Size  float64 `yaml:"size"`
	Least float64 `yaml:"least"` // smallest size of this way; of the last, no limit
}

// labelFile is a small text before another on its line.
type labelFile struct {
	Value  string  `yaml:"value"`
	Font   string  `yaml:"font"`
	Size   float64 `yaml:"size"`
	Colour string  `yaml:"colour"`
	Gap    float64 `yaml:"gap"`
}

// rowFile is a labelled value of facts.
type rowFile struct {
	placed
	Label string     `yaml:"label"`
	Value string     `yaml:"value"`
	Steps []stepFile `yaml:"steps"`
}

// Keys that each kind takes beside kind, name, pages, if and unless; those with a
// star are required.
var kindKeys = map[string]string{
	"text":      "value* font* size steps x* width* y after gap align anchor track leading label colour* tag",
	"facts":     "rows* label* font* size* x* width* y after gap leading colour*",
	"units":     "heads* font* steps* x* width* y after gap bottom* next_y* next_bottom* colour* accent* label* more",
	"rule":      "x* y* width* colour* weight*",
	"frame":     "colour* accent*",
	"rosette":   "x* y* radius* colour*",
	"seal":      "x* y* radius* value* colour* accent* fill*",
	"wave":      "x* y* width* height* colour*",
	"image":     "image* x* y* width* height* alt",
	"photo":     "x* y* width* height* alt* colour",
	"qr":        "x* y* width* alt*",
	"signature": "x* y* width* height*",
}

// fields are what of a candidate can stand in a value; host is where the QR code
// leads.
var fields = []string{"name", "ic", "number", "noss", "programme", "centre", "centre_code", "batch", "month_year", "host"}

// conditions depend on the candidate; the others are texts of the language.
var conditions = []string{"units", "photo"}

type templateCheck struct{ file string }

func (t templateCheck) fault(line int, field, format string, args ...any) error {
	return &TemplateError{t.file, line, field, fmt.Sprintf(format, args...)}
}

// check says what in a layout cannot be right whatever the language.
func (l *layoutFile) check(file string) error {
	t := templateCheck{file}
	for name, v := range l.Colours {
		if _, err := parseColour(v); err != nil {
			return t.fault(0, "colours."+name, "%q is not a colour; write it as \"#14254C\"", v)
		}
	}
	if len(l.Elements) == 0 {
		return t.fault(0, "elements", "nothing is on the page")
	}
	count := map[string]int{}
	for i := range l.Elements {
		e := &l.Elements[i]
		at := fmt.Sprintf("elements[%d]", i)
		if err := e.check(t, l, at, l.Elements[:i]); err != nil {
			return err
		}
		if e.Pages == "" || e.Pages == "first" {
			count[e.Kind]++
		}
		if e.Kind == "text" && strings.Contains(e.Value, "{name}") && e.If == "" && e.Not == "" {
			count["name"]++
		}
		if strings.Contains(e.Value, "{number}") && e.If == "" && e.Not == "" {
			count["number"]++
		}
	}
	for _, need := range []string{"name", "number"} {
		if count[need] == 0 {
			return t.fault(0, "elements", "no text shows {%s} on every certificate; add one", need)
		}
	}
	if count["qr"] != 1 || count["signature"] != 1 {
		return t.fault(0, "elements", "the first page needs one element of kind qr and one of kind signature")
	}
	if count["units"] > 1 || count["photo"] > 1 {
		return t.fault(0, "elements", "at most one element of kind units and one of kind photo")
	}
	return nil
}

func (e *element) check(t templateCheck, l *layoutFile, at string, before []element) error {
	keys, ok := kindKeys[e.Kind]
	if !ok {
		kinds := make([]string, 0, len(kindKeys))
		for k := range kindKeys {
			kinds = append(kinds, k)
		}
		slices.Sort(kinds)
		return t.fault(e.line, at+".kind", "%q is not a kind; the kinds are %s", e.Kind, strings.Join(kinds, ", "))
	}
	if err := e.checkKeys(t, at, strings.Fields(keys)); err != nil {
		return err
	}
	for key, choice := range map[string]struct{ have, of string }{
		"pages": {e.Pages, "first next all"}, "align": {e.Align, "left centre right"}, "anchor": {e.Anchor, "first middle"},
		"tag": {e.Tag, "H1 H2 P artifact"},
	} {
		if choice.have != "" && !slices.Contains(strings.Fields(choice.of), choice.have) {
			return t.fault(e.line, at+"."+key, "%q is not one of %s", choice.have, choice.of)
		}
	}
	if e.Pages != "" && e.Pages != "first" && slices.Contains([]string{"qr", "signature", "units", "photo"}, e.Kind) {
		return t.fault(e.line, at+".pages", "%s stands on the first page; take this key away", e.Kind)
	}
	if e.Name != "" && slices.ContainsFunc(before, func(b element) bool { return b.Name == e.Name }) {
		return t.fault(e.line, at+".name", "%q stands twice", e.Name)
	}
	if err := e.checkPlace(t, at, before); err != nil {
		return err
	}
	for key, c := range map[string]string{"colour": e.Colour, "accent": e.Accent, "fill": e.Fill, "label.colour": e.labelled().Colour} {
		if _, ok := l.Colours[c]; c != "" && !ok {
			return t.fault(e.line, at+"."+key, "%q is not one of the layout's colours", c)
		}
	}
	for key, f := range map[string]string{"font": e.Font, "label.font": e.labelled().Font} {
		if _, own := l.Fonts[f]; f != "" && !own && !slices.Contains(builtinFonts, f) {
			return t.fault(e.line, at+"."+key, "%q is neither one of %s nor one of the layout's fonts", f, strings.Join(builtinFonts, ", "))
		}
	}
	return e.checkText(t, at)
}

func (e *element) labelled() labelFile {
	if e.Label == nil {
		return labelFile{}
	}
	return *e.Label
}

func (e *element) checkPlace(t templateCheck, at string, before []element) error {
	if e.After != "" {
		i := slices.IndexFunc(before, func(b element) bool { return b.Name == e.After })
		if i < 0 || before[i].Kind != "text" && before[i].Kind != "facts" {
			return t.fault(e.line, at+".after", "no text or facts named %q stands before it", e.After)
		}
		b := before[i]
		if (b.If != "" || b.Not != "") && (b.If != e.If || b.Not != e.Not) || b.Pages != e.Pages {
			return t.fault(e.line, at+".after", "%q is not on the page whenever this is; give both the same pages, if and unless", e.After)
		}
		if e.Y != 0 {
			return t.fault(e.line, at+".y", "give y or after, not both")
		}
	}
	if e.After == "" && e.Y == 0 && slices.Contains([]string{"text", "facts", "units"}, e.Kind) {
		return t.fault(e.line, at+".y", "missing; give y, or after and gap")
	}
	left, right, low, high := e.X, e.X+e.Width, e.Y, e.Y+e.Height
	if e.Radius != 0 {
		left, right, low, high = e.X-e.Radius, e.X+e.Radius, e.Y-e.Radius, e.Y+e.Radius
	}
	if left < 0 || right > pageWidth+0.01 || low < 0 || high > pageHeight || e.Width < 0 || e.Height < 0 || e.Bottom < 0 || e.NextTo < 0 || e.NextY > pageHeight {
		return t.fault(e.line, at, "it reaches beyond the page of %g by %g points", pageWidth, pageHeight)
	}
	if e.Kind == "qr" && e.Width < 57 {
		return t.fault(e.line, at+".width", "a QR code of %g points cannot be scanned from paper; at least 57 (20 mm)", e.Width)
	}
	if e.Kind == "units" && (e.NextY-e.NextTo < 300 || e.Y != 0 && e.Y-e.Bottom < 60) {
		return t.fault(e.line, at, "no room for the units: next_y must be 300 points above next_bottom, and y 60 above bottom")
	}
	return nil
}

func (e *element) checkText(t templateCheck, at string) error {
	if e.Kind == "text" && (e.Size != 0) == (len(e.Steps) > 0) {
		return t.fault(e.line, at, "give size or steps")
	}
	if e.Size < 0 || e.Size > 80 || e.Kind != "text" && slices.Contains(strings.Fields(kindKeys[e.Kind]), "size*") && e.Size < 4 || e.Kind == "text" && e.Size != 0 && e.Size < 4 {
		return t.fault(e.line, at+".size", "a size is from 4 to 80 points")
	}
	if e.Leading != 0 && (e.Leading < 0.9 || e.Leading > 3) {
		return t.fault(e.line, at+".leading", "from 0.9 to 3 of the size")
	}
	if e.Label != nil && (e.Label.Font == "" || e.Label.Colour == "" || e.Label.Size < 4 || e.Label.Size > 80) {
		return t.fault(e.line, at+".label", "needs font, colour and a size from 4 to 80")
	}
	if e.Kind == "units" && len(e.Heads) != 3 {
		return t.fault(e.line, at+".heads", "three: above the place, the code and the title")
	}
	if err := checkSteps(t, e.line, at, e.Steps); err != nil {
		return err
	}
	for k, r := range e.Rows {
		if r.Label == "" || r.Value == "" || len(r.Steps) == 0 {
			return t.fault(r.line, fmt.Sprintf("%s.rows[%d]", at, k), "needs label, value and steps")
		}
		if err := checkSteps(t, r.line, fmt.Sprintf("%s.rows[%d]", at, k), r.Steps); err != nil {
			return err
		}
	}
	return nil
}

func checkSteps(t templateCheck, line int, at string, steps []stepFile) error {
	if len(steps) > 8 {
		return t.fault(line, at+".steps", "at most 8")
	}
	for i, s := range steps {
		if s.Lines < 1 || s.Lines > 12 || s.Least < 2 || s.Size < s.Least || s.Size > 80 {
			return t.fault(line, fmt.Sprintf("%s.steps[%d]", at, i), "lines from 1 to 12, least from 2, size from least to 80")
		}
	}
	return nil
}

// checkKeys refuses keys that an element of the kind would pass over, and asks for
// those it needs.
func (e *element) checkKeys(t templateCheck, at string, keys []string) error {
	have := e.keys()
	for _, k := range keys {
		if name, need := strings.CutSuffix(k, "*"); need && !have[name] {
			return t.fault(e.line, at+"."+name, "missing; %s needs it", e.Kind)
		}
	}
	for name := range have {
		if !slices.Contains(keys, name) && !slices.Contains(keys, name+"*") {
			return t.fault(e.line, at+"."+name, "%s does nothing with it; take it away", e.Kind)
		}
	}
	return nil
}

// keys are those with a value.
func (e *element) keys() map[string]bool {
	have := map[string]bool{}
	for name, set := range map[string]bool{
		"tag": e.Tag != "", "x": e.X != 0, "y": e.Y != 0, "width": e.Width != 0, "height": e.Height != 0, "after": e.After != "", "gap": e.Gap != 0,
		"align": e.Align != "", "anchor": e.Anchor != "", "value": e.Value != "", "font": e.Font != "", "size": e.Size != 0, "steps": e.Steps != nil,
		"track": e.Track != 0, "leading": e.Leading != 0, "label": e.Label != nil, "rows": e.Rows != nil, "heads": e.Heads != nil, "more": e.More != "",
		"colour": e.Colour != "", "accent": e.Accent != "", "fill": e.Fill != "", "weight": e.Weight != 0, "radius": e.Radius != 0,
		"image": e.Image != "", "alt": e.Alt != "", "bottom": e.Bottom != 0, "next_y": e.NextY != 0, "next_bottom": e.NextTo != 0,
	} {
		if set {
			have[name] = true
		}
	}
	return have
}

// parseColour reads "#14254C".
func parseColour(s string) (rgb, error) {
	v, err := strconv.ParseUint(strings.TrimPrefix(s, "#"), 16, 32)
	if err != nil || len(s) != 7 || s[0] != '#' {
		return rgb{}, fmt.Errorf("reading colour %q", s)
	}
	part := func(shift uint) float64 { return float64(v>>shift&0xFF) / 255 }
	return rgb{part(16), part(8), part(0)}, nil
}

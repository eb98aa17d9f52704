package signer

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/internal/myt"
	"github.com/mohor-sign/mohor/pdf"
)

// Template is how visible signatures look, under a name the administrator gave.
type Template struct {
	// Style is the built-in template whose layout it has; "" is standard.
	Style string
	// Language of the lines: "ms-en" or "", Malay with English; "ms"; "en".
	Language string
	// Lines in their order: name, which stands first, title, time, reason,
	// location, serial. None: name, title, time, reason. What the transaction does
	// not say is left out.
	Lines []string
	// Image is at the left; nil for none.
	Image *pdf.Image
	// QR is an https address in a QR code at the right; "" for none.
	QR string
}

// ErrTemplate: an appearance is not what it was when the transaction was made.
var ErrTemplate = errors.New("the template of the signature was changed")

// Templates are the appearances that can be asked for: those that are built in,
// name-left, plain, stamp and standard, and those added. nil has the former.
type Templates struct{ own map[string]template }

// template is a Template that was checked. The hash of one that is built in is
// empty.
type template struct {
	Template
	layout pdf.Template
	hash   string
}

func builtIn() []string { return []string{"name-left", "plain", "stamp", "standard"} }

func usual() []string { return []string{"name", "title", "time", "reason"} }

// Names lists what can be asked for, sorted.
func (t *Templates) Names() []string {
	names := builtIn()
	if t != nil {
		names = slices.AppendSeq(names, maps.Keys(t.own))
	}
	slices.Sort(names)
	return names
}

// find returns the template of a name; the empty name is standard.
func (t *Templates) find(name string) (template, bool) {
	if name == "" {
		name = "standard"
	}
	if t != nil {
		if own, ok := t.own[name]; ok {
			return own, true
		}
	}
	layout, ok := pdf.TemplateNamed(name)
	return template{Template: Template{Lines: usual()}, layout: layout}, ok && slices.Contains(builtIn(), name)
}

// Of is the template of a name, one of Names, with everything that was left to the usual filled in.
func (t *Templates) Of(name string) (Template, bool) {
	found, ok := t.find(name)
	if found.Style == "" {
		found.Style = name
	}
	if found.Language == "" {
		found.Language = bilingual
	}
	return found.Template, ok
}

// Label is the words with which a line of a template begins, or of which it consists.
func (t *Templates) Label(name, line string) string {
	found, _ := t.find(name)
	if line == "name" || line == "time" {
		return ""
	}
	return found.label(line)
}

// templateName is small enough for a URL, a command line and a table.
var templateName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// Add adds a template. Its errors name the member that is wrong.
func (t *Templates) Add(name string, own Template) error {
	if _, taken := t.find(name); taken || !templateName.MatchString(name) {
		return errors.New("the name must be 1 to 32 of a-z, 0-9 and -, and not that of another template")
	}
	if own.Style == "" {
		own.Style = "standard"
	}
	if own.Language == "" {
		own.Language = bilingual
	}
	if len(own.Lines) == 0 {
		own.Lines = usual()
	}
	layout, _ := pdf.TemplateNamed(own.Style)
	switch i := slices.Index(own.Lines, "name"); {
	case !slices.Contains(builtIn(), own.Style):
		return fmt.Errorf("style must be one of %s", strings.Join(builtIn(), ", "))
	case own.Language != bilingual && own.Language != "ms" && own.Language != "en":
		return fmt.Errorf("language must be %s, ms or en", bilingual)
	case i > 0:
		return errors.New("lines must have the name first")
	case layout.Left == pdf.PartName && i < 0:
		return fmt.Errorf("lines must have the name in the style %s", own.Style)
	case layout.Left != pdf.PartNone && own.Image != nil:
		return fmt.Errorf("image must not be set in the style %s: the name is in its place", own.Style)
	}
	seen := map[string]bool{}
	for _, line := range own.Lines {
		if _, known := labels()[line]; !known || seen[line] {
			return fmt.Errorf("lines must be of %s, each once", strings.Join(slices.Sorted(maps.Keys(labels())), ", "))
		}
		seen[line] = true
	}
	if own.QR != "" {
		if u, err := url.Parse(own.QR); err != nil || u.Scheme != "https" || u.Host == "" || len(own.QR) > pdf.MaxQR || u.String() != own.QR {
			return fmt.Errorf("qr must be an https address of at most %d bytes", pdf.MaxQR)
		}
		layout.Right = pdf.PartQR
	}
	if own.Image != nil {
		layout.Left = pdf.PartImage
	}
	hash, err := own.hash()
	if err != nil {
		return err
	}
	if t.own == nil {
		t.own = map[string]template{}
	}
	t.own[name] = template{own, layout, hash}
	return nil
}

// hash is over everything that shows: hexadecimal, the first 128 bits of SHA-256.
func (t *Template) hash() (string, error) {
	picture := ""
	if t.Image != nil {
		sum := t.Image.Sum()
		picture = hex.EncodeToString(sum[:])
	}
	text, err := json.Marshal(map[string]any{"v": 1, "style": t.Style, "language": t.Language, "lines": t.Lines, "image": picture, "qr": t.QR})
	if err != nil {
		return "", fmt.Errorf("encoding template: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16]), nil
}

// visibles are all appearances that o asks for.
func (o *Options) visibles() iter.Seq[*Visible] {
	return func(yield func(*Visible) bool) {
		if o.Visible != nil && !yield(o.Visible) {
			return
		}
		for _, own := range o.Each {
			if own.Visible != nil && !yield(own.Visible) {
				return
			}
		}
	}
}

// pin notes in o what the templates it names are now, so that code and intent
// are bound to what will be drawn.
func (t *Templates) pin(o *Options) error {
	for v := range o.visibles() {
		found, known := t.find(v.Template)
		if !known {
			return fmt.Errorf("%w: no template %q", pdf.ErrOptions, v.Template)
		}
		v.TemplateHash = found.hash
	}
	return nil
}

// same is ErrTemplate when a template that o names is not what it was.
func (t *Templates) same(o *Options) error {
	for v := range o.visibles() {
		if _, err := t.pinned(v); err != nil {
			return err
		}
	}
	return nil
}

// pinned finds the template that v was made with, or ErrTemplate.
func (t *Templates) pinned(v *Visible) (template, error) {
	found, known := t.find(v.Template)
	if !known || found.hash != v.TemplateHash {
		return found, fmt.Errorf("%w: %s", ErrTemplate, v.Template)
	}
	return found, nil
}

// bilingual is Malay with English.
const bilingual = "ms-en"

// labels are the words of each line, Malay and English.
func labels() map[string][2]string {
	return map[string][2]string{
		"name":     {},
		"title":    {"Ditandatangani secara digital", "Digitally signed"},
		"time":     {},
		"reason":   {"Tujuan", "Reason"},
		"location": {"Tempat", "Location"},
		"serial":   {"No. Siri", "Serial No."},
	}
}

// label is the words of a line in the template's language.
func (t *template) label(line string) string {
	words := labels()[line]
	switch t.Language {
	case "ms":
		return words[0]
	case "en":
		return words[1]
	}
	return words[0] + " / " + words[1]
}

// visible draws the appearance v asks for, of the certificate c.
func (t *template) visible(v *Visible, own *PAdES, c *Credential, at time.Time) *pdf.Visible {
	out := &pdf.Visible{Page: v.Page, X: v.X, Y: v.Y, Width: v.Width, Height: v.Height, Anchor: v.Anchor, Template: t.layout, Image: t.Image, QR: t.QR}
	for _, line := range t.Lines {
		value := map[string]string{"reason": own.Reason, "location": own.Location, "serial": grouped(c.Certificate.SerialNumber.String())}[line]
		switch {
		case line == "name":
			out.Name = c.Certificate.Subject.CommonName
		case line == "title":
			out.Lines = append(out.Lines, t.label(line))
		case line == "time":
			out.Lines = append(out.Lines, at.In(myt.Zone).Format("02/01/2006 15:04:05")+" MYT")
		case value != "":
			out.Lines = append(out.Lines, t.label(line)+": "+value)
		}
	}
	return out
}

// grouped sets a space after every four digits: a number of 39 digits in one
// word would set all other lines too small to read.
func grouped(digits string) string {
	var b strings.Builder
	for k, d := range digits {
		if k > 0 && k%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(d)
	}
	return b.String()
}

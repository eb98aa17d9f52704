package page

import (
	"context"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// menu is the portal's.
var menu = []struct{ name, path string }{
	{"home", "/portal"}, {"sign", "/portal/sign"}, {"batches", "/portal/batches"}, {"history", "/portal/history"}, {"certificate", "/portal/certificate"}, {"profile", "/portal/profile"},
}

// homeOf is where the service's name leads.
func homeOf(ctx context.Context) string {
	switch p := Who(ctx); {
	case p == nil:
		return "/"
	case p.Kind == "administrator":
		return ConsolePath
	}
	return Portal
}

// staleAt is the place of a page that asks for a log-in.
func staleAt(ctx context.Context) string {
	if p := Who(ctx); p != nil && p.Kind == "administrator" {
		return "console"
	}
	return "profile"
}

// placeName is the place's name in the menus.
func placeName(place string) string {
	if inConsole(place) {
		return "page.door." + place
	}
	return "page.menu." + place
}

// switched is the address of this page in the other language.
func switched(ctx context.Context, language string) string {
	path := visitOf(ctx).path
	if path == "" { // the very address at hand, which the page does not repeat
		return "?lang=" + language
	}
	u, err := url.Parse(path)
	if err != nil {
		return "/?lang=" + language
	}
	q := u.Query()
	q.Set("lang", language)
	u.RawQuery = q.Encode()
	return u.RequestURI()
}

// Tones of notices and tags.
const (
	Good = "good"
	Bad  = "bad"
	Wait = "wait"
	Info = "info"
)

// Notice is a verdict in a word, with a text that says what it means and what to do.
type Notice struct {
	Tone string // Good, Bad, Wait, Info
	Word string
	Text string
}

// Input is a field of a form.
type Input struct {
	ID, Label string // ID is its name too
	Hint      string
	Type      string // "text" if empty
	Value     string // never a secret's
	Error     string
	Complete  string // autocomplete, "off" if empty
	Mode      string // inputmode
	Max       int    // characters
	Width     int    // characters that it is wide, 0: the whole line
	Optional  bool
	Focus     bool // the first field of a page with nothing else to read
	Lines     int  // more than one: a text area
}

// describedBy names what explains the field.
func (i *Input) describedBy() string {
	switch {
	case i.Hint != "" && i.Error != "":
		return i.ID + "-hint " + i.ID + "-error"
	case i.Error != "":
		return i.ID + "-error"
	case i.Hint != "":
		return i.ID + "-hint"
	}
	return ""
}

// Option is one of several to choose from.
type Option struct{ Value, Text, Hint string }

// Faults are what was wrong with a form: for each field its text. The field "" is about the
// whole form.
type Faults []Fault

// Fault is what is wrong with one field.
type Fault struct{ Field, Text string }

// Of is what is wrong with a field, "" for nothing.
func (f Faults) Of(field string) string {
	for _, x := range f {
		if x.Field == field {
			return x.Text
		}
	}
	return ""
}

// FaultsOf is what the API found wrong. places gives for its fields, and for codes of problems that
// name none, the fields of the form; what has no place is about the whole form.
func FaultsOf(ctx context.Context, p *Problem, places map[string]string) Faults {
	var out Faults
	for _, e := range p.Errors {
		out = append(out, Fault{places[e.Field], sentence(e.Detail)})
	}
	if len(out) > 0 {
		return out
	}
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	if p.AttemptsLeft != nil {
		text += " " + T(ctx, "page.left", "Count", *p.AttemptsLeft)
	}
	place := places[p.Field]
	if p.Field == "" {
		place = places[p.Code]
	}
	return append(out, Fault{place, sentence(text)})
}

// sentence begins with a capital letter.
func sentence(text string) string {
	first, n := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[n:]
}

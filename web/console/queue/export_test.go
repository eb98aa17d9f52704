package queue

import (
	"io"
	"net/url"
)

// What tests see of lists and of the rollout.
type (
	Sheet    = sheet
	Fault    = fault
	Progress = progress
	Piece    = piece
)

var (
	Open          = open
	Unpack        = unpack
	ErrUnreadable = errUnreadable
)

// Shown is how many refused rows a page shows.
const Shown = shown

func (s *sheet) Pack() string                             { return s.pack() }
func (s *sheet) Mend(form url.Values)                     { s.mend(form) }
func (s *sheet) Only(keep map[int]bool) *sheet            { return s.only(keep) }
func (s *sheet) Write(w io.Writer, refused []fault) error { return s.write(w, refused) }
func (p *progress) Bar() []piece                          { return p.bar() }
func (p *progress) Share() int64                          { return p.share() }

// Place is a row as the page of refused rows shows it.
type Place struct {
	Row, Faults int
	Gap         bool
}

// Places are the rows that are shown of a list in which so many are refused, and how many are not.
func Places(s *sheet, count int, refused []fault) (out []Place, left int) {
	m := &mending{sheet: s, report: report{Count: count, Refused: refused}}
	for _, p := range m.places() {
		out = append(out, Place{p.Row, len(p.Faults), p.Gap})
	}
	return out, m.left()
}

// Turn is the page of a rollout of so many rows that an address asks for: how many are shown, and
// the addresses of the first and the next; false where there is no such page.
func Turn(count int, query url.Values) (shown int, first, next string, ok bool) {
	c := &chart{Rows: make([]progress, count), Choice: chosen(query)}
	ok = c.turn()
	return len(c.Shown), c.first(), c.next(), ok
}

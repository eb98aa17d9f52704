package ecert

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"rsc.io/qr"

	"github.com/mohor-sign/mohor/internal/mykad"
	"github.com/mohor-sign/mohor/pdf/font"
)

// ErrCandidate is wrapped by the errors of Render for a candidate or an address
// no certificate can be drawn from. Candidates from a Reader do not cause it.
var ErrCandidate = errors.New("candidate not printable")

// maxURL is the greatest length of the address in the QR code, in bytes. At
// this length (version 10, correction level M) a module is 0.4 mm wide.
const maxURL = 213

// Options are the choices of an installation.
type Options struct {
	// Sandbox marks each page SANDBOX – TIDAK SAH / NOT VALID.
	Sandbox bool
}

// Renderer draws certificates. It is safe for concurrent use.
type Renderer struct {
	sandbox bool
	fonts   fonts
	shared  map[Language]*[3]prefix // each with more letters than the one before
	writers sync.Pool               // of *zlib.Writer
}

// NewRenderer builds the parts all certificates share, some milliseconds' work.
func NewRenderer(o Options) (*Renderer, error) {
	r := &Renderer{sandbox: o.Sandbox, shared: map[Language]*[3]prefix{}}
	for _, f := range []struct {
		to   *typeface
		res  string
		load func() (*font.Face, error)
	}{{&r.fonts.regular, "R", font.Serif}, {&r.fonts.bold, "B", font.SerifBold}, {&r.fonts.italic, "I", font.SerifItalic}} {
		face, err := f.load()
		if err != nil {
			return nil, fmt.Errorf("loading typeface: %w", err)
		}
		*f.to = typeface{face, f.res}
	}
	for _, l := range []Language{Malay, English} {
		r.shared[l] = new([3]prefix)
		for i, letters := range []string{r.letters(0x7F), r.letters(0x180), r.letters(0x2600)} {
			p, err := r.newPrefix(o, l, letters)
			if err != nil {
				return nil, fmt.Errorf("building shared objects: %w", err)
			}
			r.shared[l][i] = p
		}
	}
	return r, nil
}

// letters are the characters below end that both the upright faces have, and
// typographic quotes. Nearly all names need ASCII alone, and the certificates
// of the others are larger.
func (r *Renderer) letters(end rune) string {
	b := []rune("–’‘•")
	for c := ' '; c < end; c++ {
		if r.fonts.regular.Has(c) && r.fonts.bold.Has(c) {
			b = append(b, c)
		}
	}
	return string(b)
}

// Render returns the certificate of c as a PDF file. address is what the QR
// code leads to: an absolute http or https URL of at most 213 ASCII bytes, whose
// scheme and host are printed beside the code. Errors about c or address wrap
// ErrCandidate.
func (r *Renderer) Render(c Candidate, address string) ([]byte, error) {
	w, ok := c.Language.words()
	if !ok {
		return nil, fmt.Errorf("%w: language %q", ErrCandidate, c.Language)
	}
	if err := r.check(&c, w); err != nil {
		return nil, err
	}
	origin, err := originOf(address)
	if err != nil {
		return nil, err
	}
	code, err := qr.Encode(address, qr.M)
	if err != nil {
		return nil, fmt.Errorf("%w: encoding QR code: %w", ErrCandidate, err)
	}
	cv := canvas{make([]byte, 0, 16<<10)}
	cv.b = append(cv.b, "/Head Do\n"...)
	cv.compose(r.fonts, w, &c, code, origin)
	cv.b = append(cv.b, "/Foot Do\n"...)
	if r.sandbox {
		cv.b = append(cv.b, "/Mark Do\n"...)
	}

	sets := r.shared[c.Language]
	p := &sets[0]
	for i := 1; i < len(sets) && !p.covers(c.Name, c.ProgrammeCode, c.ProgrammeName, c.CentreCode, c.CentreName, c.Batch); i++ {
		p = &sets[i]
	}
	t := w.titles[c.Level]
	title := strings.TrimSpace(t.heading+" "+t.level) + " " + c.Number + " – " + c.Name
	commitment, err := Commitment(c, address)
	if err != nil {
		return nil, err
	}
	return r.finish(p, cv.b, title, c.Language, commitment)
}

// check refuses what the Reader would have refused.
func (r *Renderer) check(c *Candidate, w *words) error {
	if _, err := mykad.Parse(string(c.IC)); err != nil {
		return fmt.Errorf("%w: reading IC: %w", ErrCandidate, err)
	}
	if _, ok := w.titles[c.Level]; !ok {
		return fmt.Errorf("%w: level %q", ErrCandidate, c.Level)
	}
	if c.Month < time.January || c.Month > time.December || c.Year < 1970 || c.Year > 2099 {
		return fmt.Errorf("%w: month %d of year %d", ErrCandidate, c.Month, c.Year)
	}
	for _, f := range []struct {
		field int
		text  string
	}{
		{fieldName, c.Name}, {fieldNumber, c.Number}, {fieldProgrammeCode, c.ProgrammeCode}, {fieldProgrammeName, c.ProgrammeName},
		{fieldCentreCode, c.CentreCode}, {fieldCentreName, c.CentreName}, {fieldBatch, c.Batch},
	} {
		column := columnNames[f.field][0]
		if n := utf8.RuneCountInString(f.text); n == 0 || n > maxRunes[f.field] {
			return fmt.Errorf("%w: %d characters in %s", ErrCandidate, n, column)
		}
		clean, wrong := printableText(r.fonts.regular.Face, f.text)
		if wrong >= 0 || !utf8.ValidString(f.text) {
			return fmt.Errorf("%w: character %U in %s", ErrCandidate, wrong, column)
		}
		if clean != f.text {
			return fmt.Errorf("%w: text of %s not normalised", ErrCandidate, column)
		}
	}
	return nil
}

// originOf returns scheme and host of an address, with a slash at the end.
func originOf(address string) (string, error) {
	if len(address) > maxURL {
		return "", fmt.Errorf("%w: address of %d bytes, at most %d", ErrCandidate, len(address), maxURL)
	}
	for _, b := range []byte(address) {
		if b <= ' ' || b > '~' {
			return "", fmt.Errorf("%w: byte %#02x in address", ErrCandidate, b)
		}
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", fmt.Errorf("%w: reading address: %w", ErrCandidate, err)
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return "", fmt.Errorf("%w: address without http(s) and host", ErrCandidate)
	}
	return u.Scheme + "://" + u.Host + "/", nil
}

// finish writes the file: the shared objects, then content, Info, XMP,
// cross-reference table and trailer.
func (r *Renderer) finish(p *prefix, content []byte, title string, l Language, commitment [16]byte) ([]byte, error) {
	packed, err := r.compress(content)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(p.bytes)+len(packed)+len(p.xref)+4096)
	out = append(out, p.bytes...)
	first := p.objects + 1 // the content's number
	offsets := [3]int{}
	offsets[0] = len(out)
	out = fmt.Appendf(out, "%d 0 obj\n<</Length %d/Filter/FlateDecode>>\nstream\n", first, len(packed))
	out = append(out, packed...)
	out = append(out, "\nendstream\nendobj\n"...)
	offsets[1] = len(out)
	out = fmt.Appendf(out, "%d 0 obj\n<</Title", first+1)
	out = appendTextString(out, title)
	out = append(out, "/Author"...)
	out = appendTextString(out, author(l))
	out = append(out, "/Producer(Mohor)>>\nendobj\n"...)
	offsets[2] = len(out)
	xmp := appendXMP(nil, title, author(l), l)
	out = fmt.Appendf(out, "%d 0 obj\n<</Type/Metadata/Subtype/XML/Length %d>>\nstream\n", first+2, len(xmp))
	out = append(out, xmp...)
	out = append(out, "\nendstream\nendobj\n"...)

	h := sha256.New()
	h.Write(p.digest[:])
	h.Write(out[len(p.bytes):])
	id := h.Sum(nil)[:16]
	start := len(out)
	out = fmt.Appendf(out, "xref\n0 %d\n", first+3)
	out = append(out, p.xref...)
	for _, at := range offsets {
		out = fmt.Appendf(out, "%010d 00000 n \n", at)
	}
	return fmt.Appendf(out, "trailer\n<</Size %d/Root 1 0 R/Info %d 0 R/ID[<%X><%X>]>>\nstartxref\n%d\n%%%%EOF\n",
		first+3, first+1, commitment, id, start), nil
}

func (r *Renderer) compress(data []byte) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(len(data)/2 + 64)
	w, ok := r.writers.Get().(*zlib.Writer)
	if ok {
		w.Reset(&b)
	} else {
		w = zlib.NewWriter(&b)
	}
	if _, err := w.Write(data); err != nil {
		return nil, fmt.Errorf("compressing stream: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compressing stream: %w", err)
	}
	r.writers.Put(w)
	return b.Bytes(), nil
}

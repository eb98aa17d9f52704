package ecert

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
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
	// Templates say what certificates look like; nil: those that come with the program.
	Templates *Templates
}

// Renderer draws certificates. It is safe for concurrent use.
type Renderer struct {
	sandbox   bool
	templates *Templates
	tiers     [3]string // letters, each set with more than the one before
	upright   *font.Face
	writers   sync.Pool // of *zlib.Writer

	mu       sync.RWMutex
	designs  map[designKey]*design
	prefixes map[prefixKey]*prefix
}

type designKey struct {
	language     Language
	level        Level
	units, photo bool
}

type prefixKey struct {
	*design
	rows [2]int
	tier int
}

// maxPrefixes bounds the beginnings of files kept in memory, some 45 kB each.
const maxPrefixes = 256

// NewRenderer compiles the templates, some milliseconds' work; a text that its
// typeface cannot set is an error.
func NewRenderer(o Options) (*Renderer, error) {
	r := &Renderer{sandbox: o.Sandbox, templates: o.Templates, designs: map[designKey]*design{}, prefixes: map[prefixKey]*prefix{}}
	if r.templates == nil {
		var err error
		if r.templates, err = LoadTemplates(""); err != nil {
			return nil, err
		}
	}
	regular, err := font.Serif()
	if err != nil {
		return nil, fmt.Errorf("loading typeface: %w", err)
	}
	bold, err := font.SerifBold()
	if err != nil {
		return nil, fmt.Errorf("loading typeface: %w", err)
	}
	r.upright = regular
	for i, end := range []rune{0x7F, 0x180, 0x2600} {
		r.tiers[i] = letters(regular, bold, end)
	}
	// With units and photo only where there is a place for them: others refuse their candidates.
	for _, l := range []Language{Malay, English} {
		for _, level := range levels {
			for _, k := range []designKey{{l, level, false, false}, {l, level, true, false}, {l, level, false, true}, {l, level, true, true}} {
				if _, err := r.design(k); err != nil && !errors.Is(err, ErrCandidate) {
					return nil, err
				}
			}
		}
	}
	return r, nil
}

// letters are the characters below end that both the upright faces have, and
// typographic quotes. Nearly all names need ASCII alone, and the certificates
// of the others are larger.
func letters(regular, bold *font.Face, end rune) string {
	b := []rune("–’‘•")
	for c := ' '; c < end; c++ {
		if regular.Has(c) && bold.Has(c) {
			b = append(b, c)
		}
	}
	return string(b)
}

// Templates are those the certificates are drawn from.
func (r *Renderer) Templates() *Templates { return r.templates }

// SignatureArea returns the rectangle kept free for the appearance of a visible
// signature: left, bottom, width and height in points, from the lower left
// corner of page 1. The certificate is complete without one.
func (r *Renderer) SignatureArea(l Level, in Language, modular bool) (x, y, width, height float64) {
	e := r.element(l, in, modular, "signature")
	return e.X, e.Y, e.Width, e.Height
}

// QRArea returns the square of the QR code, without its quiet zone: left,
// bottom and side in points, from the lower left corner of page 1.
func (r *Renderer) QRArea(l Level, in Language, modular bool) (x, y, side float64) {
	e := r.element(l, in, modular, "qr")
	return e.X, e.Y, e.Width
}

func (r *Renderer) element(l Level, in Language, modular bool, kind string) element {
	layout := r.templates.layouts[r.templates.Layout(l, in, modular)]
	return layout.Elements[slices.IndexFunc(layout.Elements, func(e element) bool { return e.Kind == kind })]
}

// design compiles a layout once.
func (r *Renderer) design(k designKey) (*design, error) {
	r.mu.RLock()
	d := r.designs[k]
	r.mu.RUnlock()
	if d != nil {
		return d, nil
	}
	d, err := r.templates.makeDesign(k.language, k.level, k.units, k.photo, r.sandbox)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if first := r.designs[k]; first != nil {
		return first, nil // by another goroutine meanwhile
	}
	r.designs[k] = d
	return d, nil
}

// prefix makes the shared beginning of a file once. Which goroutine does makes no
// difference to its bytes.
func (r *Renderer) prefix(k prefixKey) (*prefix, error) {
	r.mu.RLock()
	p := r.prefixes[k]
	r.mu.RUnlock()
	if p != nil {
		return p, nil
	}
	p, err := r.newPrefix(k.design, k.rows, r.tiers[k.tier])
	if err != nil {
		return nil, fmt.Errorf("building shared objects: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.prefixes) >= maxPrefixes {
		clear(r.prefixes)
	}
	r.prefixes[k] = p
	return p, nil
}

// Page is a certificate in two parts: what it shares with others, not to be
// changed, and its own.
type Page struct {
	Shared, Own []byte
	shared      *prefix
}

// Sum is the SHA-256 of the file. The shared part was hashed when it was made.
func (p Page) Sum() []byte {
	h := sha256.New()
	if c, err := p.shared.hash.Clone(); err == nil {
		h = c
	} else {
		h.Write(p.Shared)
	}
	h.Write(p.Own)
	return h.Sum(nil)
}

// Bytes is the file.
func (p Page) Bytes() []byte { return slices.Concat(p.Shared, p.Own) }

// Render is Draw with both parts as one file.
func (r *Renderer) Render(c Candidate, address string, photo []byte) ([]byte, error) {
	p, err := r.Draw(c, address, photo)
	if err != nil {
		return nil, err
	}
	return p.Bytes(), nil
}

// Draw returns the certificate of c as a PDF file. address is what the QR
// code leads to: an absolute http or https URL of at most 213 ASCII bytes, whose
// scheme and host are printed beside the code. photo is the picture c names by
// its SHA-256, nil without one. Errors about c, address or photo wrap
// ErrCandidate.
func (r *Renderer) Draw(c Candidate, address string, photo []byte) (Page, error) {
	if err := r.check(&c); err != nil {
		return Page{}, err
	}
	host, err := originOf(address)
	if err != nil {
		return Page{}, err
	}
	s := &sheet{v: valuesOf(&c, host), units: c.Units}
	if s.photo, err = photoOf(&c, photo); err != nil {
		return Page{}, err
	}
	if s.code, err = qr.Encode(address, qr.M); err != nil {
		return Page{}, fmt.Errorf("%w: encoding QR code: %w", ErrCandidate, err)
	}
	d, err := r.design(designKey{c.Language, c.Level, len(c.Units) > 0, s.photo != nil})
	if err != nil {
		return Page{}, err
	}
	content := d.draw(s)
	p, err := r.prefixFor(d, s, &c)
	if err != nil {
		return Page{}, err
	}
	commitment, err := Commitment(c, address)
	if err != nil {
		return Page{}, err
	}
	own, err := r.finish(p, d, content, s.photo, d.title+" "+c.Number+" – "+c.Name, commitment)
	return Page{p.bytes, own, p}, err
}

// prefixFor takes the least set of letters that has those of the candidate.
func (r *Renderer) prefixFor(d *design, s *sheet, c *Candidate) (*prefix, error) {
	for tier := 0; ; tier++ {
		p, err := r.prefix(prefixKey{d, s.rows, tier})
		if err != nil || tier == len(r.tiers)-1 {
			return p, err
		}
		covered := p.covers(c.Name, c.ProgrammeCode, c.ProgrammeName, c.CentreCode, c.CentreName, c.Batch)
		for _, u := range c.Units {
			covered = covered && p.covers(u.Code, u.Title)
		}
		if covered {
			return p, nil
		}
	}
}

// photoOf checks that a picture is the candidate's.
func photoOf(c *Candidate, photo []byte) (*picture, error) {
	switch sum := sha256.Sum256(photo); {
	case c.Photo == "" && len(photo) == 0:
		return nil, nil
	case c.Photo != hex.EncodeToString(sum[:]):
		return nil, fmt.Errorf("%w: the photo is not the candidate's", ErrCandidate)
	case len(photo) > maxAsset:
		return nil, fmt.Errorf("%w: photo of %d bytes, at most %d", ErrCandidate, len(photo), maxAsset)
	}
	m, err := newJPEG(photo)
	if err != nil {
		return nil, fmt.Errorf("%w: photo: %w", ErrCandidate, err)
	}
	return m, nil
}

// check refuses what the Reader would have refused.
func (r *Renderer) check(c *Candidate) error {
	if c.Language != Malay && c.Language != English {
		return fmt.Errorf("%w: language %q", ErrCandidate, c.Language)
	}
	if _, err := mykad.Parse(string(c.IC)); err != nil {
		return fmt.Errorf("%w: reading IC: %w", ErrCandidate, err)
	}
	if !slices.Contains(levels, c.Level) {
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
		if err := r.checkText(column, f.text); err != nil {
			return err
		}
	}
	if len(c.Units) > MaxUnits {
		return fmt.Errorf("%w: %d Competency Units, at most %d", ErrCandidate, len(c.Units), MaxUnits)
	}
	for _, u := range c.Units {
		if n, m := utf8.RuneCountInString(u.Code), utf8.RuneCountInString(u.Title); n == 0 || n > 40 || m == 0 || m > 160 {
			return fmt.Errorf("%w: Competency Unit with a code of %d and a title of %d characters", ErrCandidate, n, m)
		}
		if err := errors.Join(r.checkText("unit", u.Code), r.checkText("unit", u.Title)); err != nil {
			return err
		}
	}
	return nil
}

func (r *Renderer) checkText(column, s string) error {
	clean, wrong := printableText(r.upright, s)
	if wrong >= 0 || !utf8.ValidString(s) {
		return fmt.Errorf("%w: character %U in %s", ErrCandidate, wrong, column)
	}
	if clean != s {
		return fmt.Errorf("%w: text of %s not normalised", ErrCandidate, column)
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

// finish writes what follows the shared objects: content, photo, Info, XMP,
// cross-reference table and trailer.
func (r *Renderer) finish(p *prefix, d *design, content [2][]byte, photo *picture, title string, commitment [16]byte) ([]byte, error) {
	out := make([]byte, 0, len(content[0])+len(content[1])+len(p.xref)+4096)
	var offsets []int
	number := p.objects
	begin := func() {
		number++
		offsets = append(offsets, len(p.bytes)+len(out))
		out = fmt.Appendf(out, "%d 0 obj\n", number)
	}
	for _, c := range content {
		if c == nil {
			continue
		}
		packed, err := r.pack(c)
		if err != nil {
			return nil, err
		}
		begin()
		out = fmt.Appendf(out, "<</Length %d/Filter/FlateDecode>>\nstream\n", len(packed))
		out = append(out, packed...)
		out = append(out, "\nendstream\nendobj\n"...)
	}
	if photo != nil {
		begin()
		out = append(photo.append(out), "\nendobj\n"...)
	}
	begin()
	out = append(out, "<</Title"...)
	out = appendTextString(out, title)
	out = append(out, "/Author"...)
	out = appendTextString(out, d.author)
	out = append(out, "/Producer(Mohor)>>\nendobj\n"...)
	begin()
	xmp := appendXMP(nil, title, d.author, d.lang)
	out = fmt.Appendf(out, "<</Type/Metadata/Subtype/XML/Length %d>>\nstream\n", len(xmp))
	out = append(out, xmp...)
	out = append(out, "\nendstream\nendobj\n"...)

	h := sha256.New()
	h.Write(p.digest[:])
	h.Write(out)
	id := h.Sum(nil)[:16]
	start := len(p.bytes) + len(out)
	out = fmt.Appendf(out, "xref\n0 %d\n", number+1)
	out = append(out, p.xref...)
	for _, at := range offsets {
		out = fmt.Appendf(out, "%010d 00000 n \n", at)
	}
	return fmt.Appendf(out, "trailer\n<</Size %d/Root 1 0 R/Info %d 0 R/ID[<%X><%X>]>>\nstartxref\n%d\n%%%%EOF\n",
		number+1, number-1, commitment, id, start), nil
}

// compress is for what is made once and shared: as small as can be.
func compress(data []byte) ([]byte, error) {
	w, err := zlib.NewWriterLevel(nil, zlib.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("compressing stream: %w", err)
	}
	return deflate(w, data)
}

// pack is for what each certificate has of its own: fast.
func (r *Renderer) pack(data []byte) ([]byte, error) {
	w, ok := r.writers.Get().(*zlib.Writer)
	if !ok {
		var err error
		if w, err = zlib.NewWriterLevel(nil, packLevel); err != nil {
			return nil, fmt.Errorf("compressing stream: %w", err)
		}
	}
	out, err := deflate(w, data)
	r.writers.Put(w)
	return out, err
}

// packLevel takes a third of the time of the usual level for a tenth more bytes.
const packLevel = zlib.BestSpeed

func deflate(w *zlib.Writer, data []byte) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(len(data)/2 + 64)
	w.Reset(&b)
	if _, err := w.Write(data); err != nil {
		return nil, fmt.Errorf("compressing stream: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compressing stream: %w", err)
	}
	return b.Bytes(), nil
}

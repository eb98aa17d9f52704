// Package font reads TrueType faces, measures text in them and embeds subsets
// of them in PDF files.
//
// A face is embedded as a Type0 font over a CIDFontType2 with the encoding
// Identity-H (ISO 32000-2, 9.7): a character code is two bytes, big-endian, and
// is the glyph's index in the face. Subsetting keeps the indices, so what Encode
// returned before a subset was chosen stays right as long as the subset holds
// those characters. Text is normalised to NFC first; there is no shaping, hence
// only scripts whose letters stand side by side: Latin with its diacritics,
// Greek, Cyrillic.
//
// Faces with outlines in `glyf` are accepted, those in CFF are not. A face is
// untrusted input: each offset and count is checked, and no allocation exceeds
// a small multiple of the file.
package font

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf16"

	"golang.org/x/text/unicode/norm"
)

// ErrFont is wrapped by the errors of Parse and Embed for a face that is
// damaged or of a kind not supported.
var ErrFont = errors.New("font not usable")

// maxFile bounds a font file, in bytes.
const maxFile = 32 << 20

// Face is a parsed TrueType face. It keeps a reference to the bytes given to
// Parse, which must not change, and is safe for concurrent use.
type Face struct {
	tables  map[string][]byte
	cmap    cmap
	latin   [0x250]uint16 // the cmap's answers for the most used characters
	adv     []uint16      // advance widths in font units, one per glyph
	glyphs  int
	missing uint16 // stands for characters the face lacks
	kerns   []pairTable

	unitsPerEm          int
	ascent, descent     int
	capHeight           int
	bbox                [4]int
	italicAngle         float64
	fixedPitch, serifed bool
	longLoca            bool
	weight              int
	name                string

	mu     sync.Mutex
	recent map[string]*embedded
}

// Parse reads a TrueType file (sfnt version 0x00010000 or 'true').
// Its error wraps ErrFont.
func Parse(ttf []byte) (*Face, error) {
	f := &Face{}
	if err := f.directory(ttf); err != nil {
		return nil, fmt.Errorf("%w: reading table directory: %w", ErrFont, err)
	}
	steps := []struct {
		table string
		size  int // least number of bytes
		read  func([]byte) error
	}{
		{"head", 54, f.readHead},
		{"maxp", 6, f.readMaxp},
		{"hhea", 36, f.readHhea},
		{"hmtx", 0, f.readHmtx},
		{"loca", 0, f.checkLoca},
		{"glyf", 0, func([]byte) error { return nil }},
		{"cmap", 4, f.readCmap},
	}
	for _, s := range steps {
		t, ok := f.tables[s.table]
		if !ok || len(t) < s.size {
			return nil, fmt.Errorf("%w: table %s missing or short", ErrFont, s.table)
		}
		if err := s.read(t); err != nil {
			return nil, fmt.Errorf("%w: reading table %s: %w", ErrFont, s.table, err)
		}
	}
	f.readOS2(f.tables["OS/2"])
	f.readPost(f.tables["post"])
	f.readName(f.tables["name"])
	f.kerns = readKerning(f.tables["GPOS"])
	for r := range f.latin {
		f.latin[r] = f.cmap.lookup(rune(r), f.glyphs)
	}
	for _, r := range []rune{0xFFFD, '?', ' '} {
		if f.missing = f.cmap.lookup(r, f.glyphs); f.missing != 0 {
			break
		}
	}
	return f, nil
}

func (f *Face) directory(d []byte) error {
	if len(d) < 12 || len(d) > maxFile {
		return fmt.Errorf("file of %d bytes", len(d))
	}
	if v := binary.BigEndian.Uint32(d); v != 0x00010000 && v != 0x74727565 {
		return fmt.Errorf("sfnt version %#08x", v)
	}
	n := int(binary.BigEndian.Uint16(d[4:]))
	if n > 128 || len(d) < 12+16*n {
		return fmt.Errorf("%d tables", n)
	}
	f.tables = make(map[string][]byte, n)
	for i := range n {
		e := d[12+16*i:]
		tag := string(e[:4])
		off, size := uint64(binary.BigEndian.Uint32(e[8:])), uint64(binary.BigEndian.Uint32(e[12:]))
		if off+size > uint64(len(d)) {
			return fmt.Errorf("table %q outside file", tag)
		}
		if _, twice := f.tables[tag]; twice {
			return fmt.Errorf("table %q twice", tag)
		}
		f.tables[tag] = d[off : off+size : off+size]
	}
	return nil
}

func (f *Face) readHead(t []byte) error {
	f.unitsPerEm = int(binary.BigEndian.Uint16(t[18:]))
	if f.unitsPerEm < 16 || f.unitsPerEm > 16384 {
		return fmt.Errorf("%d units per em", f.unitsPerEm)
	}
	for i := range f.bbox {
		f.bbox[i] = int(int16(binary.BigEndian.Uint16(t[36+2*i:])))
	}
	switch format := binary.BigEndian.Uint16(t[50:]); format {
	case 0:
	case 1:
		f.longLoca = true
	default:
		return fmt.Errorf("loca format %d", format)
	}
	return nil
}

func (f *Face) readMaxp(t []byte) error {
	f.glyphs = int(binary.BigEndian.Uint16(t[4:]))
	if f.glyphs == 0 {
		return errors.New("no glyphs")
	}
	return nil
}

func (f *Face) readHhea(t []byte) error {
	f.ascent = int(int16(binary.BigEndian.Uint16(t[4:])))
	f.descent = int(int16(binary.BigEndian.Uint16(t[6:])))
	f.capHeight = f.ascent
	return nil
}

func (f *Face) readHmtx(t []byte) error {
	n := int(binary.BigEndian.Uint16(f.tables["hhea"][34:]))
	if n == 0 || n > f.glyphs || len(t) < 4*n {
		return fmt.Errorf("%d metrics in %d bytes", n, len(t))
	}
	f.adv = make([]uint16, f.glyphs)
	for g := range f.adv {
		f.adv[g] = binary.BigEndian.Uint16(t[4*min(g, n-1):])
	}
	return nil
}

func (f *Face) readOS2(t []byte) {
	f.weight = 400
	if len(t) < 72 {
		return
	}
	f.weight = int(binary.BigEndian.Uint16(t[4:]))
	class := t[30]
	f.serifed = class >= 1 && class <= 7
	f.ascent = int(int16(binary.BigEndian.Uint16(t[68:])))
	f.descent = int(int16(binary.BigEndian.Uint16(t[70:])))
	if len(t) >= 90 && binary.BigEndian.Uint16(t) >= 2 {
		f.capHeight = int(int16(binary.BigEndian.Uint16(t[88:])))
	}
}

func (f *Face) readPost(t []byte) {
	if len(t) < 16 {
		return
	}
	f.italicAngle = float64(int32(binary.BigEndian.Uint32(t[4:]))) / 65536
	f.fixedPitch = binary.BigEndian.Uint32(t[12:]) != 0
}

// readName takes the PostScript name (name ID 6) from a Windows or Macintosh
// record, reduced to the characters a PDF name needs no escape for.
func (f *Face) readName(t []byte) {
	f.name = "Unnamed"
	if len(t) < 6 {
		return
	}
	n, base := int(binary.BigEndian.Uint16(t[2:])), int(binary.BigEndian.Uint16(t[4:]))
	for i := 0; i < n && 6+12*(i+1) <= len(t); i++ {
		e := t[6+12*i:]
		size, off := int(binary.BigEndian.Uint16(e[8:])), base+int(binary.BigEndian.Uint16(e[10:]))
		if binary.BigEndian.Uint16(e[6:]) != 6 || size > 126 || off+size > len(t) {
			continue
		}
		raw := string(t[off : off+size])
		if binary.BigEndian.Uint16(e) != 1 { // all platforms but Macintosh use UTF-16BE
			u := make([]uint16, size/2)
			for k := range u {
				u[k] = binary.BigEndian.Uint16(t[off+2*k:])
			}
			raw = string(utf16.Decode(u))
		}
		clean := strings.Map(func(r rune) rune {
			if r == '-' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
				return r
			}
			return -1
		}, raw)
		if clean != "" {
			f.name = clean
			return
		}
	}
}

// Has reports whether the face has a glyph for r.
func (f *Face) Has(r rune) bool { return f.index(r) != 0 }

func (f *Face) index(r rune) uint16 {
	if r >= 0 && int(r) < len(f.latin) {
		return f.latin[r]
	}
	return f.cmap.lookup(r, f.glyphs)
}

// glyph is index with the replacement glyph for what the face lacks.
func (f *Face) glyph(r rune) uint16 {
	if g := f.index(r); g != 0 {
		return g
	}
	return f.missing
}

// Encode returns s as character codes of the embedded font, two bytes each,
// for the operand of Tj or TJ. Characters the face lacks become U+FFFD, or `?`
// where the face lacks that as well.
func (f *Face) Encode(s string) []byte { return f.AppendEncode(nil, s) }

// AppendEncode appends Encode(s) to dst.
func (f *Face) AppendEncode(dst []byte, s string) []byte {
	for _, r := range norm.NFC.String(s) {
		dst = binary.BigEndian.AppendUint16(dst, f.glyph(r))
	}
	return dst
}

// Width returns the advance width of s set in size points, in points, as Tj
// sets it: without kerning or character spacing.
func (f *Face) Width(s string, size float64) float64 {
	sum := 0
	for _, r := range norm.NFC.String(s) {
		sum += int(f.adv[f.glyph(r)])
	}
	return float64(sum) * size / float64(f.unitsPerEm)
}

// Ascent returns the typographic ascender above the baseline for size 1.
func (f *Face) Ascent() float64 { return float64(f.ascent) / float64(f.unitsPerEm) }

// Descent returns the typographic descender for size 1. It is negative below
// the baseline.
func (f *Face) Descent() float64 { return float64(f.descent) / float64(f.unitsPerEm) }

// CapHeight returns the height of capital letters for size 1.
func (f *Face) CapHeight() float64 { return float64(f.capHeight) / float64(f.unitsPerEm) }

// Name returns the face's PostScript name.
func (f *Face) Name() string { return f.name }

package font

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"golang.org/x/text/unicode/norm"
)

// Embed returns the indirect objects that embed the subset of the face which
// sets used: objs[i] is the body, without `obj` and `endobj`, of object number
// first+i, generation 0; type0 is the number of the font dictionary to put in
// /Resources /Font. Streams are Flate compressed, the bytes are a function of
// face, used's set of characters and first. The ToUnicode map makes each glyph
// the lowest of the characters of used that share it. Its error wraps ErrFont,
// or says that an argument is out of range.
//
// ISO 32000-2, 9.7.4 (CIDFonts), 9.8 (font descriptors), 9.9 (embedded font
// programs), 9.10.3 (ToUnicode).
func (f *Face) Embed(used string, first int) (objs [][]byte, type0 int, err error) {
	return f.embed(used, first, false)
}

// EmbedCIDSet is Embed with a /CIDSet, which PDF/A-1 wants of a subset (ISO
// 19005-1, 6.3.5) and later parts advise against.
func (f *Face) EmbedCIDSet(used string, first int) (objs [][]byte, type0 int, err error) {
	return f.embed(used, first, true)
}

func (f *Face) embed(used string, first int, set bool) (objs [][]byte, type0 int, err error) {
	if first < 1 || first > 8388607-6 {
		return nil, 0, errors.New("first object number out of range")
	}
	s, err := f.embedded(used)
	if err != nil {
		return nil, 0, err
	}
	cidSet := ""
	if set {
		cidSet = fmt.Sprintf("/CIDSet %d 0 R", first+5)
	}
	objs = [][]byte{
		fmt.Appendf(nil, "<</Type/Font/Subtype/Type0/BaseFont/%s/Encoding/Identity-H/DescendantFonts[%d 0 R]/ToUnicode %d 0 R>>",
			s.name, first+1, first+4),
		fmt.Appendf(nil, "<</Type/Font/Subtype/CIDFontType2/BaseFont/%s/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>/FontDescriptor %d 0 R/DW %d/W%s/CIDToGIDMap/Identity>>",
			s.name, first+2, f.perMille(int(f.adv[0])), s.widths),
		f.descriptor(s.name, first+3, cidSet),
		s.file,
		s.unicode,
	}
	if set {
		objs = append(objs, s.cidSet)
	}
	return objs, first, nil
}

// embedded is what of an embedded subset does not depend on object numbers.
type embedded struct {
	name                          string
	widths, file, unicode, cidSet []byte
}

// maxRecent bounds the subsets a face remembers: those of the letters of one
// signatory's appearance, drawn in document after document.
const maxRecent = 32

// embedded makes a subset, or takes it from the recent ones. The bytes it
// shares are never changed.
func (f *Face) embedded(used string) (*embedded, error) {
	chars := f.characters(used)
	key := chars.key()
	f.mu.Lock()
	s := f.recent[key]
	f.mu.Unlock()
	if s != nil {
		return s, nil
	}
	s, err := f.makeSubset(chars)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.recent) >= maxRecent || f.recent == nil {
		f.recent = make(map[string]*embedded)
	}
	f.recent[key] = s
	return s, nil
}

func (f *Face) makeSubset(chars charMap) (*embedded, error) {
	glyphs, err := f.closure(chars)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFont, err)
	}
	program, err := f.subset(glyphs)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFont, err)
	}
	shown := slices.Sorted(maps.Keys(chars))
	s := &embedded{name: f.subsetName(glyphs), widths: f.widths(shown)}
	if s.file, err = stream(program, fmt.Sprintf("/Length1 %d", len(program))); err != nil {
		return nil, err
	}
	if s.unicode, err = stream(toUnicode(shown, chars), ""); err != nil {
		return nil, err
	}
	s.cidSet, err = stream(cidSet(glyphs), "")
	return s, err
}

// cidSet has a bit for each glyph, the highest of the first byte for CID 0
// (ISO 32000-1, Table 124).
func cidSet(glyphs []uint16) []byte {
	bits := make([]byte, glyphs[len(glyphs)-1]/8+1)
	for _, g := range glyphs {
		bits[g/8] |= 0x80 >> (g % 8)
	}
	return bits
}

// charMap has the character each glyph stands for.
type charMap map[uint16]rune

// key tells character maps apart.
func (c charMap) key() string {
	b := make([]byte, 0, 6*len(c))
	for _, g := range slices.Sorted(maps.Keys(c)) {
		b = binary.BigEndian.AppendUint16(b, g)
		b = binary.BigEndian.AppendUint32(b, uint32(c[g]))
	}
	return string(b)
}

// characters returns the glyphs of used with the character each stands for.
func (f *Face) characters(used string) charMap {
	chars := charMap{}
	for _, r := range norm.NFC.String(used) {
		g := f.glyph(r)
		if f.index(r) == 0 {
			r = 0xFFFD
		}
		if old, ok := chars[g]; !ok || r < old {
			chars[g] = r
		}
	}
	return chars
}

// subsetName prefixes the face's name with six letters that depend on the
// subset (ISO 32000-2, 9.9.2).
func (f *Face) subsetName(glyphs []uint16) string {
	h := sha256.New()
	for _, g := range glyphs {
		h.Write([]byte{byte(g >> 8), byte(g)})
	}
	tag := h.Sum(nil)[:6]
	for i := range tag {
		tag[i] = 'A' + tag[i]%26
	}
	return string(tag) + "+" + f.name
}

// perMille converts font units to thousandths of the em, rounded.
func (f *Face) perMille(v int) int {
	v *= 2000
	if v < 0 {
		return -((-v/f.unitsPerEm + 1) / 2)
	}
	return (v/f.unitsPerEm + 1) / 2
}

// widths returns the W array for the sorted glyphs: one run per row of
// neighbours.
func (f *Face) widths(glyphs []uint16) []byte {
	w := []byte{'['}
	for i, g := range glyphs {
		if i == 0 || glyphs[i-1] != g-1 {
			if i > 0 {
				w = append(w, ']')
			}
			w = strconv.AppendInt(w, int64(g), 10)
			w = append(w, '[')
		} else {
			w = append(w, ' ')
		}
		w = strconv.AppendInt(w, int64(f.perMille(int(f.adv[g]))), 10)
	}
	if len(glyphs) > 0 {
		w = append(w, ']')
	}
	return append(w, ']')
}

func (f *Face) descriptor(name string, file int, more string) []byte {
	flags := 1 << 5 // non-symbolic
	if f.fixedPitch {
		flags |= 1 << 0
	}
	if f.serifed {
		flags |= 1 << 1
	}
	if f.italicAngle != 0 {
		flags |= 1 << 6
	}
	// A face does not say how thick its stems are; the usual estimate from the
	// weight class serves the only purpose, choosing a substitute.
	stem := 10 + 220*(max(50, min(f.weight, 950))-50)/900
	return fmt.Appendf(nil, "<</Type/FontDescriptor/FontName/%s/Flags %d/FontBBox[%d %d %d %d]/ItalicAngle %s/Ascent %d/Descent %d/CapHeight %d/StemV %d/FontFile2 %d 0 R%s>>",
		name, flags,
		f.perMille(f.bbox[0]), f.perMille(f.bbox[1]), f.perMille(f.bbox[2]), f.perMille(f.bbox[3]),
		strconv.FormatFloat(f.italicAngle, 'f', -1, 64),
		f.perMille(f.ascent), f.perMille(f.descent), f.perMille(f.capHeight), stem, file, more)
}

// toUnicode writes the CMap from codes to UTF-16BE, at most 100 entries a
// section (Adobe Technical Note #5014).
func toUnicode(glyphs []uint16, chars charMap) []byte {
	var b bytes.Buffer
	b.WriteString("/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n" +
		"/CIDSystemInfo<</Registry(Adobe)/Ordering(UCS)/Supplement 0>>def\n" +
		"/CMapName/Adobe-Identity-UCS def\n/CMapType 2 def\n" +
		"1 begincodespacerange\n<0000><FFFF>\nendcodespacerange\n")
	for part := range slices.Chunk(glyphs, 100) {
		fmt.Fprintf(&b, "%d beginbfchar\n", len(part))
		for _, g := range part {
			if r := chars[g]; r > 0xFFFF {
				r -= 0x10000
				fmt.Fprintf(&b, "<%04X><%04X%04X>\n", g, 0xD800+r>>10, 0xDC00+r&0x3FF)
			} else {
				fmt.Fprintf(&b, "<%04X><%04X>\n", g, r)
			}
		}
		b.WriteString("endbfchar\n")
	}
	b.WriteString("endcmap\nCMapName currentdict /CMap defineresource pop\nend\nend\n")
	return b.Bytes()
}

// stream returns data as a Flate stream object with extra entries.
func stream(data []byte, extra string) ([]byte, error) {
	var z bytes.Buffer
	w, err := zlib.NewWriterLevel(&z, zlib.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("compressing stream: %w", err)
	}
	if _, err := w.Write(data); err != nil {
		return nil, fmt.Errorf("compressing stream: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compressing stream: %w", err)
	}
	out := fmt.Appendf(nil, "<</Length %d/Filter/FlateDecode%s>>\nstream\n", z.Len(), extra)
	out = append(out, z.Bytes()...)
	return append(out, "\nendstream"...), nil
}

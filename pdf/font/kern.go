package font

import (
	"encoding/binary"
	"sort"
	"strconv"

	"golang.org/x/text/unicode/norm"
)

// maxPairTables bounds the kerning subtables kept of one face, maxSteps the
// records read to find them.
const (
	maxPairTables = 256
	maxSteps      = 1 << 16
)

// pairTable is a pair adjustment subtable of GPOS (OpenType, GPOS lookup type
// 2), read where it lies. Only the first glyph's horizontal advance is used.
type pairTable struct {
	data   []byte
	lookup int // subtables of one lookup: the first that applies decides
}

// readKerning finds the pair adjustments of the feature kern, for any script.
// The older table kern is not read: Open Sans, which has only that one, stays
// unkerned.
// A face whose GPOS is damaged has fewer pairs, or none.
func readKerning(gpos []byte) []pairTable {
	features, lookups := at16(gpos, 6), at16(gpos, 8)
	steps := 0
	next := func() bool { steps++; return steps < maxSteps }
	wanted := map[int]bool{}
	for i := 0; i < u16(features, 0) && next(); i++ {
		if rec := 2 + 6*i; rec+6 <= len(features) && string(features[rec:rec+4]) == "kern" {
			feature := at16(features, rec+4)
			for k := 0; k < u16(feature, 2) && next(); k++ {
				wanted[u16(feature, 4+2*k)] = true
			}
		}
	}
	var found []pairTable
	for i := 0; i < u16(lookups, 0) && next(); i++ {
		if !wanted[i] {
			continue
		}
		lookup := at16(lookups, 2+2*i)
		for k := 0; k < u16(lookup, 4) && len(found) < maxPairTables && next(); k++ {
			kind, sub := u16(lookup, 0), at16(lookup, 6+2*k)
			if kind == 9 && len(sub) >= 8 { // extension positioning
				kind = u16(sub, 2)
				sub = tail(sub, uint64(binary.BigEndian.Uint32(sub[4:])))
			}
			if kind == 2 && len(sub) >= 10 {
				found = append(found, pairTable{sub, i})
			}
		}
	}
	return found
}

// u16 returns the number at byte p of t, 0 outside it.
func u16(t []byte, p int) int {
	if p < 0 || p+2 > len(t) {
		return 0
	}
	return int(binary.BigEndian.Uint16(t[p:]))
}

// at16 follows the 16-bit offset at byte p of t.
func at16(t []byte, p int) []byte { return tail(t, uint64(u16(t, p))) }

func tail(t []byte, off uint64) []byte {
	if off == 0 || off >= uint64(len(t)) {
		return nil
	}
	return t[off:]
}

// kern returns what is added to the advance of l before r, in font units.
func (f *Face) kern(l, r uint16) int {
	sum, done := 0, -1
	for _, t := range f.kerns {
		if t.lookup == done {
			continue
		}
		if v, ok := t.adjust(l, r); ok {
			sum += v
			done = t.lookup
		}
	}
	return sum
}

func (t pairTable) adjust(l, r uint16) (int, bool) {
	i, ok := covered(at16(t.data, 2), l)
	if !ok {
		return 0, false
	}
	first, second := u16(t.data, 4), u16(t.data, 6)
	if first&0x0004 == 0 { // no XAdvance
		return 0, false
	}
	skip := 2 * (first&1 + first>>1&1) // XPlacement, YPlacement
	size := valueSize(first) + valueSize(second)
	switch u16(t.data, 0) {
	case 1:
		set := at16(t.data, 10+2*i)
		n := u16(set, 0)
		k := sort.Search(n, func(k int) bool { return u16(set, 2+k*(2+size)) >= int(r) })
		if p := 2 + k*(2+size); k < n && p+2+size <= len(set) && u16(set, p) == int(r) {
			return int(int16(u16(set, p+2+skip))), true
		}
	case 2:
		c1, c2 := class(at16(t.data, 8), l), class(at16(t.data, 10), r)
		n1, n2 := u16(t.data, 12), u16(t.data, 14)
		if c1 < n1 && c2 < n2 {
			return int(int16(u16(t.data, 16+(c1*n2+c2)*size+skip))), true
		}
	}
	return 0, false
}

// valueSize is the size in bytes of a ValueRecord of the given format.
func valueSize(format int) int {
	n := 0
	for ; format != 0; format &= format - 1 {
		n += 2
	}
	return n
}

// covered returns g's index in a Coverage table.
func covered(t []byte, g uint16) (int, bool) {
	n := u16(t, 2)
	switch u16(t, 0) {
	case 1:
		i := sort.Search(n, func(i int) bool { return u16(t, 4+2*i) >= int(g) })
		return i, i < n && 4+2*i+2 <= len(t) && u16(t, 4+2*i) == int(g)
	case 2:
		i := sort.Search(n, func(i int) bool { return u16(t, 4+6*i+2) >= int(g) })
		p := 4 + 6*i
		if i < n && p+6 <= len(t) && u16(t, p) <= int(g) {
			return u16(t, p+4) + int(g) - u16(t, p), true
		}
	}
	return 0, false
}

// class returns g's class in a ClassDef table, 0 when it has none.
func class(t []byte, g uint16) int {
	switch u16(t, 0) {
	case 1:
		if i := int(g) - u16(t, 2); i >= 0 && i < u16(t, 4) {
			return u16(t, 6+2*i)
		}
	case 2:
		n := u16(t, 2)
		i := sort.Search(n, func(i int) bool { return u16(t, 4+6*i+2) >= int(g) })
		if p := 4 + 6*i; i < n && u16(t, p) <= int(g) {
			return u16(t, p+4)
		}
	}
	return 0
}

// AppendTJ appends the operand of TJ that shows s kerned: an array of hexadecimal
// strings and adjustments. The codes are those of Encode.
func (f *Face) AppendTJ(dst []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	dst = append(dst, '[', '<')
	last, some := uint16(0), false
	for _, r := range norm.NFC.String(s) {
		g := f.glyph(r)
		if some {
			if k := f.perMille(f.kern(last, g)); k != 0 {
				dst = append(dst, '>')
				dst = strconv.AppendInt(dst, int64(-k), 10)
				dst = append(dst, '<')
			}
		}
		dst = append(dst, digits[g>>12], digits[g>>8&15], digits[g>>4&15], digits[g&15])
		last, some = g, true
	}
	return append(dst, '>', ']')
}

// KernedWidth returns the advance width of s in points as AppendTJ sets it in
// size points.
func (f *Face) KernedWidth(s string, size float64) float64 {
	sum := 0
	last, some := uint16(0), false
	for _, r := range norm.NFC.String(s) {
		g := f.glyph(r)
		sum += int(f.adv[g])
		if some {
			sum += f.kern(last, g)
		}
		last, some = g, true
	}
	return float64(sum) * size / float64(f.unitsPerEm)
}

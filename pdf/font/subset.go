package font

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Flags of a component of a composite glyph (OpenType, table glyf).
const (
	argsAreWords     = 0x0001
	haveScale        = 0x0008
	moreComponents   = 0x0020
	haveXYScale      = 0x0040
	haveTwoByTwo     = 0x0080
	haveInstructions = 0x0100
)

// maxDepth bounds the nesting of composite glyphs.
const maxDepth = 8

func (f *Face) checkLoca(t []byte) error {
	width := 2
	if f.longLoca {
		width = 4
	}
	if len(t) < width*(f.glyphs+1) {
		return errors.New("shorter than its glyphs")
	}
	return nil
}

// outline returns the description of glyph g in glyf; empty for a blank glyph.
func (f *Face) outline(g uint16) ([]byte, error) {
	loca, glyf := f.tables["loca"], f.tables["glyf"]
	var from, to uint64
	if f.longLoca {
		from, to = uint64(binary.BigEndian.Uint32(loca[4*int(g):])), uint64(binary.BigEndian.Uint32(loca[4*int(g)+4:]))
	} else {
		from, to = 2*uint64(binary.BigEndian.Uint16(loca[2*int(g):])), 2*uint64(binary.BigEndian.Uint16(loca[2*int(g)+2:]))
	}
	if from > to || to > uint64(len(glyf)) {
		return nil, fmt.Errorf("glyph %d outside glyf", g)
	}
	if d := glyf[from:to]; len(d) == 0 || len(d) >= 10 {
		return d, nil
	}
	return nil, fmt.Errorf("glyph %d shorter than its header", g)
}

// components calls visit for each component of a composite outline with the
// component's glyph, and returns the length of all component records.
func components(d []byte, visit func(flagsAt int, g uint16)) (int, error) {
	p := 10
	for {
		if p+4 > len(d) {
			return 0, errors.New("composite glyph cut short")
		}
		flags, g := binary.BigEndian.Uint16(d[p:]), binary.BigEndian.Uint16(d[p+2:])
		visit(p, g)
		p += 6
		if flags&argsAreWords != 0 {
			p += 2
		}
		switch {
		case flags&haveScale != 0:
			p += 2
		case flags&haveXYScale != 0:
			p += 4
		case flags&haveTwoByTwo != 0:
			p += 8
		}
		if p > len(d) {
			return 0, errors.New("composite glyph cut short")
		}
		if flags&moreComponents == 0 {
			return p, nil
		}
	}
}

func composite(d []byte) bool { return len(d) >= 10 && int16(binary.BigEndian.Uint16(d)) < 0 }

// closure returns the glyphs given, glyph 0 and all their components, sorted.
func (f *Face) closure(used map[uint16]rune) ([]uint16, error) {
	depth := map[uint16]int{0: 0}
	queue := []uint16{0}
	for g := range used {
		if _, seen := depth[g]; !seen {
			depth[g] = 0
			queue = append(queue, g)
		}
	}
	for len(queue) > 0 {
		g := queue[0]
		queue = queue[1:]
		d, err := f.outline(g)
		if err != nil {
			return nil, err
		}
		if !composite(d) {
			continue
		}
		if depth[g] == maxDepth {
			return nil, fmt.Errorf("glyph %d nested deeper than %d", g, maxDepth)
		}
		bad := false
		if _, err := components(d, func(_ int, c uint16) {
			if int(c) >= f.glyphs {
				bad = true
			} else if _, seen := depth[c]; !seen {
				depth[c] = depth[g] + 1
				queue = append(queue, c)
			}
		}); err != nil || bad {
			return nil, fmt.Errorf("glyph %d has a damaged component", g)
		}
	}
	glyphs := make([]uint16, 0, len(depth))
	for g := range depth {
		glyphs = append(glyphs, g)
	}
	slices.Sort(glyphs)
	return glyphs, nil
}

// strip returns an outline without its instructions: the subset carries no
// programs (fpgm, prep, cvt) they could use.
func strip(d []byte) ([]byte, error) {
	if composite(d) {
		out := slices.Clone(d)
		end, err := components(d, func(at int, _ uint16) { out[at] &^= haveInstructions >> 8 })
		if err != nil {
			return nil, err
		}
		return out[:end], nil
	}
	p := 10 + 2*int(int16(binary.BigEndian.Uint16(d)))
	if p+2 > len(d) {
		return nil, errors.New("glyph cut short")
	}
	n := int(binary.BigEndian.Uint16(d[p:]))
	if p+2+n > len(d) {
		return nil, errors.New("instructions cut short")
	}
	out := append(slices.Clone(d[:p]), 0, 0)
	return append(out, d[p+2+n:]...), nil
}

// subset returns a TrueType file that holds the given glyphs (sorted, closed
// under components) at their old indices and nothing after the last of them.
func (f *Face) subset(glyphs []uint16) ([]byte, error) {
	count := int(glyphs[len(glyphs)-1]) + 1
	loca := make([]byte, 0, 4*(count+1))
	hmtx := make([]byte, 0, 4*count)
	var glyf []byte
	next := 0
	for g := range count {
		loca = binary.BigEndian.AppendUint32(loca, uint32(len(glyf)))
		if int(glyphs[next]) != g {
			hmtx = append(hmtx, 0, 0, 0, 0)
			continue
		}
		next++
		hmtx = binary.BigEndian.AppendUint16(hmtx, f.adv[g])
		d, err := f.outline(uint16(g))
		if err != nil {
			return nil, err
		}
		if len(d) == 0 {
			hmtx = append(hmtx, 0, 0)
			continue
		}
		if d, err = strip(d); err != nil {
			return nil, fmt.Errorf("stripping glyph %d: %w", g, err)
		}
		hmtx = append(hmtx, f.bearing(g)...)
		glyf = append(glyf, d...)
		for len(glyf)%4 != 0 {
			glyf = append(glyf, 0)
		}
	}
	loca = binary.BigEndian.AppendUint32(loca, uint32(len(glyf)))

	head := slices.Clone(f.tables["head"][:54])
	copy(head[8:], []byte{0, 0, 0, 0})       // checkSumAdjustment, set by assemble
	binary.BigEndian.PutUint16(head[50:], 1) // long loca
	hhea := slices.Clone(f.tables["hhea"][:36])
	binary.BigEndian.PutUint16(hhea[34:], uint16(count))
	maxp := make([]byte, 32)
	copy(maxp, f.tables["maxp"])
	binary.BigEndian.PutUint16(maxp[4:], uint16(count))
	for _, at := range []int{16, 18, 20, 22, 24, 26} { // twilight points, storage, functions, stack, instructions
		binary.BigEndian.PutUint16(maxp[at:], 0)
	}
	binary.BigEndian.PutUint16(maxp[14:], 1) // maxZones: no twilight zone
	return assemble([]table{
		{"glyf", glyf}, {"head", head}, {"hhea", hhea}, {"hmtx", hmtx}, {"loca", loca}, {"maxp", maxp},
	}), nil
}

// bearing returns the two bytes of glyph g's left side bearing.
func (f *Face) bearing(g int) []byte {
	hmtx := f.tables["hmtx"]
	n := int(binary.BigEndian.Uint16(f.tables["hhea"][34:]))
	at := 4*g + 2
	if g >= n {
		at = 4*n + 2*(g-n)
	}
	if at+2 > len(hmtx) {
		return []byte{0, 0}
	}
	return hmtx[at : at+2]
}

type table struct {
	tag  string
	data []byte
}

// assemble writes an sfnt file of the tables, which must be sorted by tag.
func assemble(tables []table) []byte {
	n := len(tables)
	pow, log := 1, 0
	for pow*2 <= n {
		pow, log = pow*2, log+1
	}
	out := binary.BigEndian.AppendUint32(nil, 0x00010000)
	for _, v := range []int{n, 16 * pow, log, 16 * (n - pow)} {
		out = binary.BigEndian.AppendUint16(out, uint16(v))
	}
	off, headAt := 12+16*n, 0
	for _, t := range tables {
		if t.tag == "head" {
			headAt = off
		}
		out = append(out, t.tag...)
		out = binary.BigEndian.AppendUint32(out, checksum(t.data))
		out = binary.BigEndian.AppendUint32(out, uint32(off))
		out = binary.BigEndian.AppendUint32(out, uint32(len(t.data)))
		off += (len(t.data) + 3) &^ 3
	}
	for _, t := range tables {
		out = append(out, t.data...)
		for len(out)%4 != 0 {
			out = append(out, 0)
		}
	}
	binary.BigEndian.PutUint32(out[headAt+8:], 0xB1B0AFBA-checksum(out))
	return out
}

func checksum(d []byte) uint32 {
	var sum uint32
	for ; len(d) >= 4; d = d[4:] {
		sum += binary.BigEndian.Uint32(d)
	}
	if len(d) > 0 {
		var last [4]byte
		copy(last[:], d)
		sum += binary.BigEndian.Uint32(last[:])
	}
	return sum
}

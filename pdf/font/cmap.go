package font

import (
	"encoding/binary"
	"errors"
	"sort"
)

// cmap is a Unicode character map kept as the ranges of its subtable.
type cmap struct {
	ranges []cmapRange // by start, not overlapping
	ids    []byte      // glyphIdArray of format 4, and what follows
}

// cmapRange maps start..end. With at < 0 glyph = char + delta, otherwise the
// glyph is the 16-bit number at byte at + 2*(char-start) of ids, plus delta
// where that is not 0.
type cmapRange struct {
	start, end rune
	delta      int
	at         int
}

// readCmap takes the best Unicode subtable: full repertoire (format 12) before
// the Basic Multilingual Plane (format 4).
func (f *Face) readCmap(t []byte) error {
	n := int(binary.BigEndian.Uint16(t[2:]))
	best, bestRank := []byte(nil), 0
	for i := 0; i < n && 4+8*(i+1) <= len(t); i++ {
		e := t[4+8*i:]
		platform, encoding := binary.BigEndian.Uint16(e), binary.BigEndian.Uint16(e[2:])
		off := uint64(binary.BigEndian.Uint32(e[4:]))
		if off+16 > uint64(len(t)) {
			continue
		}
		sub := t[off:]
		rank := 0
		switch format := binary.BigEndian.Uint16(sub); {
		case format == 12 && (platform == 3 && encoding == 10 || platform == 0):
			rank = 2
		case format == 4 && (platform == 3 && encoding == 1 || platform == 0):
			rank = 1
		}
		if rank > bestRank {
			best, bestRank = sub, rank
		}
	}
	switch bestRank {
	case 2:
		return f.cmap.readFormat12(best)
	case 1:
		return f.cmap.readFormat4(best)
	}
	return errors.New("no Unicode subtable of format 4 or 12")
}

func (c *cmap) readFormat4(t []byte) error {
	size := int(binary.BigEndian.Uint16(t[2:]))
	if size > len(t) || size < 16 {
		size = len(t) // some files have a wrong length in a table that ends the file
	}
	t = t[:size]
	n := int(binary.BigEndian.Uint16(t[6:])) / 2
	if 16+8*n > len(t) {
		return errors.New("format 4 shorter than its segments")
	}
	ends, starts := t[14:], t[16+2*n:]
	deltas, offsets := t[16+4*n:], t[16+6*n:]
	c.ids = t
	c.ranges = make([]cmapRange, 0, n)
	for i := range n {
		r := cmapRange{
			start: rune(binary.BigEndian.Uint16(starts[2*i:])),
			end:   rune(binary.BigEndian.Uint16(ends[2*i:])),
			delta: int(binary.BigEndian.Uint16(deltas[2*i:])),
			at:    -1,
		}
		if o := int(binary.BigEndian.Uint16(offsets[2*i:])); o != 0 {
			r.at = 16 + 6*n + 2*i + o
		}
		c.ranges = append(c.ranges, r)
	}
	return c.check()
}

func (c *cmap) readFormat12(t []byte) error {
	n := uint64(binary.BigEndian.Uint32(t[12:]))
	if 16+12*n > uint64(len(t)) {
		return errors.New("format 12 shorter than its groups")
	}
	c.ranges = make([]cmapRange, 0, n)
	for i := range int(n) {
		g := t[16+12*i:]
		start, end := binary.BigEndian.Uint32(g), binary.BigEndian.Uint32(g[4:])
		glyph := binary.BigEndian.Uint32(g[8:])
		if end > 0x10FFFF || glyph > 0xFFFF {
			return errors.New("format 12 group out of range")
		}
		c.ranges = append(c.ranges, cmapRange{rune(start), rune(end), int(glyph) - int(start), -1})
	}
	return c.check()
}

func (c *cmap) check() error {
	last := rune(-1)
	for _, r := range c.ranges {
		if r.start <= last || r.end < r.start {
			return errors.New("character ranges out of order")
		}
		last = r.end
	}
	return nil
}

// lookup returns the glyph of r, 0 when there is none below glyphs.
func (c *cmap) lookup(r rune, glyphs int) uint16 {
	i := sort.Search(len(c.ranges), func(i int) bool { return c.ranges[i].end >= r })
	if i == len(c.ranges) || r < c.ranges[i].start {
		return 0
	}
	e := c.ranges[i]
	g := 0
	if e.at < 0 {
		g = int(r) + e.delta
		if c.ids != nil {
			g &= 0xFFFF // format 4 counts modulo 65536
		}
	} else if p := e.at + 2*int(r-e.start); p+2 <= len(c.ids) {
		if g = int(binary.BigEndian.Uint16(c.ids[p:])); g != 0 {
			g = (g + e.delta) & 0xFFFF
		}
	}
	if g < 0 || g >= glyphs {
		return 0
	}
	return uint16(g)
}

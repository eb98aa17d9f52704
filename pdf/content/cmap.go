package content

import (
	"cmp"
	"slices"
	"unicode/utf16"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// Bounds of a CMap.
const (
	maxCMap   = 4 << 20 // bytes
	maxRanges = 1 << 17
	maxUnits  = 256 // of the text of a code, each of 16 bits: ligatures and the like need few
)

// cmap maps character codes to CIDs or text (ISO 32000-2, Sections 9.7.5 and
// 9.10.3).
type cmap struct {
	spaces []space
	cids   []mapping // sorted by bytes and first code
	texts  []mapping
}

// space is a codespace range.
type space struct {
	n          int
	first, end uint32
}

// mapping maps codes of n bytes from first to end.
type mapping struct {
	n          int
	first, end uint32
	cid        uint32
	text       []uint16 // its last unit counts up with the code
	texts      []string // one each instead
}

func parseCMap(b []byte) *cmap {
	c := &cmap{}
	l := &lexer{b: b}
	for {
		operator, args, ok := l.next(nil)
		if !ok || len(c.cids)+len(c.texts) > maxRanges {
			break
		}
		switch operator {
		case "endcodespacerange":
			for i := 0; i+1 < len(args) && len(c.spaces) < 256; i += 2 {
				c.spaces = append(c.spaces, space{len(args[i].Bytes), number(args[i].Bytes), number(args[i+1].Bytes)})
			}
		case "endbfchar", "endcidchar":
			for i := 0; i+1 < len(args); i += 2 {
				c.add(args[i], args[i], args[i+1])
			}
		case "endbfrange", "endcidrange":
			for i := 0; i+2 < len(args); i += 3 {
				c.add(args[i], args[i+1], args[i+2])
			}
		}
	}
	for _, list := range [][]mapping{c.cids, c.texts} {
		slices.SortStableFunc(list, func(a, b mapping) int {
			return cmp.Or(a.n-b.n, cmp.Compare(a.first, b.first))
		})
	}
	return c
}

func (c *cmap) add(first, end, to syntax.Value) {
	if first.Kind != syntax.String || end.Kind != syntax.String || len(first.Bytes) == 0 || len(first.Bytes) > 4 {
		return
	}
	m := mapping{n: len(first.Bytes), first: number(first.Bytes), end: number(end.Bytes)}
	if m.end < m.first {
		return
	}
	switch to.Kind {
	case syntax.Integer:
		m.cid = uint32(to.Int)
		c.cids = append(c.cids, m)
		return
	case syntax.String:
		m.text = units(to.Bytes)
	case syntax.Array:
		for _, v := range to.Array {
			m.texts = append(m.texts, string(utf16.Decode(units(v.Bytes))))
		}
	}
	c.texts = append(c.texts, m)
}

// number reads up to four bytes, big-endian.
func number(b []byte) (n uint32) {
	for _, c := range b[:min(4, len(b))] {
		n = n<<8 | uint32(c)
	}
	return n
}

func units(b []byte) []uint16 {
	if len(b) == 1 {
		return []uint16{uint16(b[0])}
	}
	b = b[:min(len(b), 2*maxUnits)]
	out := make([]uint16, 0, len(b)/2)
	for i := 0; i+1 < len(b); i += 2 {
		out = append(out, uint16(b[i])<<8|uint16(b[i+1]))
	}
	return out
}

// next reads the code at the start of b by the codespace ranges.
func (c *cmap) next(b []byte) (code uint32, n int) {
	for n := 1; n <= min(4, len(b)); n++ {
		code = number(b[:n])
		for _, s := range c.spaces {
			if s.n == n && within(s, code) {
				return code, n
			}
		}
	}
	n = min(2, len(b))
	return number(b[:n]), n
}

// within compares byte by byte.
func within(s space, code uint32) bool {
	for shift := 0; shift < 8*s.n; shift += 8 {
		c := code >> shift & 0xFF
		if c < s.first>>shift&0xFF || c > s.end>>shift&0xFF {
			return false
		}
	}
	return true
}

// find returns the last mapping that starts at or before the code, if it goes
// that far.
func find(list []mapping, code uint32, n int) *mapping {
	i, _ := slices.BinarySearchFunc(list, code, func(m mapping, code uint32) int {
		if m.n < n || m.n == n && m.first <= code {
			return -1
		}
		return 1
	})
	if i == 0 || list[i-1].n != n || code > list[i-1].end {
		return nil
	}
	return &list[i-1]
}

func (c *cmap) cid(code uint32, n int) uint32 {
	if m := find(c.cids, code, n); m != nil {
		return m.cid + code - m.first
	}
	return 0
}

// text is what ToUnicode says of a code. Some producers write codes of simple
// fonts with two bytes.
func (c *cmap) text(code uint32, n int) string {
	m := find(c.texts, code, n)
	if m == nil && n == 1 {
		m = find(c.texts, code, 2)
	}
	if m == nil {
		return ""
	}
	at := code - m.first
	if m.texts != nil {
		if int64(at) < int64(len(m.texts)) {
			return m.texts[at]
		}
		return ""
	}
	if len(m.text) == 0 {
		return ""
	}
	u := slices.Clone(m.text)
	u[len(u)-1] += uint16(at)
	return string(utf16.Decode(u))
}

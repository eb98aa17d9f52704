package syntax

import (
	"bytes"
	"cmp"
	"slices"
	"sort"
)

// entry is one cross-reference entry: two bits of kind; then 16 bits of
// generation and 40 bits of offset, or 24 bits of index and 24 bits of object
// stream number.
type entry uint64

const (
	unset uint64 = iota
	free
	inFile
	inStream
)

const offsetBits = 40

func (e entry) kind() uint64   { return uint64(e) >> 62 }
func (e entry) offset() int64  { return int64(e & (1<<offsetBits - 1)) }
func (e entry) gen() uint16    { return uint16(e >> offsetBits) }
func (e entry) stream() uint32 { return uint32(e & (1<<24 - 1)) }
func (e entry) index() int     { return int(e >> 24 & (1<<24 - 1)) }

func fileEntry(off int64, gen uint16) entry {
	return entry(inFile<<62 | uint64(gen)<<offsetBits | uint64(off))
}

func streamEntry(stream uint32, index int64) entry {
	return entry(inStream<<62 | uint64(index)<<24 | uint64(stream))
}

const (
	blockBits = 6
	blockSize = 1 << blockBits
)

// table maps object numbers to entries, in blocks made on demand.
type table struct {
	blocks []*[blockSize]entry
	max    uint32 // largest number in use
}

func (t *table) at(num uint32) entry {
	if i := int(num >> blockBits); i < len(t.blocks) && t.blocks[i] != nil {
		return t.blocks[i][num&(blockSize-1)]
	}
	return 0
}

func (t *table) set(num uint32, e entry) {
	i := int(num >> blockBits)
	for i >= len(t.blocks) {
		t.blocks = append(t.blocks, nil)
	}
	if t.blocks[i] == nil {
		t.blocks[i] = new([blockSize]entry)
	}
	t.blocks[i][num&(blockSize-1)] = e
	if k := e.kind(); k == inFile || k == inStream {
		t.max = max(t.max, num)
	}
}

// section holds the entries of a cross-reference table until its trailer says
// whether it is a hybrid file's.
type section struct {
	runs    []run
	entries []entry
}

// run is a subsection: its first object number, and where its entries are.
type run struct {
	first    uint32
	at, next int
}

func (s *section) each(fn func(num uint32, e entry) error) error {
	for _, r := range s.runs {
		for i, e := range s.entries[r.at:r.next] {
			if err := fn(r.first+uint32(i), e); err != nil {
				return err
			}
		}
	}
	return nil
}

// find returns the entry of an object. The runs must be in order.
func (s *section) find(num uint32) entry {
	i := sort.Search(len(s.runs), func(i int) bool { return s.runs[i].first > num }) - 1
	if i < 0 || int(num-s.runs[i].first) >= s.runs[i].next-s.runs[i].at {
		return 0
	}
	return s.entries[s.runs[i].at+int(num-s.runs[i].first)]
}

// count bounds cross-reference entries before anything is kept of them.
func (f *File) count(num int64, at int64) error {
	if num < 0 || num > MaxObjects {
		return invalid(at, "object number out of bounds in cross-reference section")
	}
	if f.entries++; f.entries > maxEntries || int64(f.entries) > f.size+freeEntries {
		return tooLarge(at, "more than %d cross-reference entries", f.entries-1)
	}
	return nil
}

// put gives an object its entry unless a newer section did. Object 0 is always
// free (ISO 32000-2, Section 7.5.4).
func (f *File) put(num uint32, e entry) {
	if num == 0 {
		e = entry(free << 62)
	}
	if f.table.at(num) == 0 {
		f.table.set(num, e)
	}
}

// once notes an object of the section. One that comes twice is refused:
// readers differ in which entry they take.
func (f *File) once(num uint32, at int64) error {
	if !f.seen.add(num) {
		return invalid(at, "object %d twice in one cross-reference section", num)
	}
	return nil
}

// readChain reads all cross-reference sections, the newest first (ISO
// 32000-2, Sections 7.5.4, 7.5.8).
func (f *File) readChain(start int64) error {
	places := make(map[int64]bool)
	newer := int64(-1)
	for off := start; ; {
		if places[off] {
			return invalid(off+f.base, "cycle of cross-reference sections")
		}
		places[off] = true
		trailer, end, err := f.readSection(off, places)
		if err != nil {
			return err
		}
		if err := f.revision(off, newer, end); err != nil {
			return err
		}
		newer = off
		if f.trailer == nil {
			f.trailer = trailer
			f.streams = trailer.Data != 0
			if err := f.checkTrailer(); err != nil {
				return err
			}
			f.limit = int64(f.ObjectCount())
		}
		if err := f.sameEncryption(trailer); err != nil {
			return err
		}
		prev := trailer.Value.Key("Prev")
		if prev.Kind == Null {
			break
		}
		if prev.Kind != Integer || prev.Int < 0 {
			return invalid(prev.Start, "malformed /Prev")
		}
		off = prev.Int
	}
	f.seen = nil
	if n := f.ObjectCount(); f.table.max >= n {
		return invalid(f.trailer.Value.Start, "object %d is not below /Size %d", f.table.max, n)
	}
	return nil
}

func (f *File) checkTrailer() error {
	t := f.trailer.Value
	if n := t.Key("Size"); n.Kind != Integer || n.Int < 1 || n.Int > MaxObjects+1 {
		return invalid(t.Start, "malformed /Size in trailer")
	}
	if root := t.Key("Root"); root.Kind != Reference || root.Int >= t.Key("Size").Int {
		return invalid(t.Start, "no /Root in trailer")
	}
	return nil
}

// sameEncryption refuses an older trailer with another /Encrypt: what was
// written with it would be read with the wrong key. The trailer of the main
// section of a linearized file needs none.
func (f *File) sameEncryption(older *Object) error {
	a, b := f.trailer.Value.Key("Encrypt"), older.Value.Key("Encrypt")
	if b.Kind == Null || a.Kind == Reference && b.Kind == Reference && a.Int == b.Int && a.Gen == b.Gen {
		return nil
	}
	if a.Kind != b.Kind || !bytes.Equal(f.trailer.Raw(a), older.Raw(b)) {
		return invalid(b.Start, "encryption differs between revisions")
	}
	return nil
}

// readSection reads the section at off, with its /XRefStm. It returns the
// trailer and where it, or the stream's data, end.
func (f *File) readSection(off int64, places map[int64]bool) (*Object, int64, error) {
	if f.sections++; f.sections > MaxSections {
		return nil, 0, tooLarge(off, "more than %d cross-reference sections", MaxSections)
	}
	isTable := false
	var next int64
	err := f.look(off+f.base, func(p *parser) (err error) {
		if p.blank(); p.pos < len(p.buf) && p.buf[p.pos] == '%' {
			return invalid(p.at(), "cross-reference section expected")
		}
		isTable, err = p.keyword("xref")
		next = p.at()
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	clear(f.seen)
	if !isTable {
		trailer, err := f.xrefStream(off+f.base, nil)
		if err != nil {
			return nil, 0, err
		}
		return trailer, trailer.Data + trailer.Value.Key("Length").Int, nil
	}
	s := &section{}
	trailer, err := f.xrefTable(next, s)
	if err != nil {
		return nil, 0, err
	}
	err = s.each(func(num uint32, _ entry) error { return f.once(num, off+f.base) })
	if err != nil {
		return nil, 0, err
	}
	if stm := trailer.Value.Key("XRefStm"); stm.Kind != Null {
		return trailer, trailer.Value.End, f.mergeHybrid(s, stm, places)
	}
	return trailer, trailer.Value.End, s.each(func(num uint32, e entry) error { f.put(num, e); return nil })
}

// mergeHybrid merges a table with its /XRefStm (ISO 32000-2, Section
// 7.5.8.4): what the table has in use, then the stream, which gives the objects
// hidden from readers that know no streams, then what the table calls free. An
// object in use in both would differ between old and new readers and is refused.
func (f *File) mergeHybrid(s *section, stm Value, places map[int64]bool) error {
	if stm.Kind != Integer || stm.Int < 0 || places[stm.Int] {
		return invalid(stm.Start, "malformed /XRefStm")
	}
	places[stm.Int] = true
	err := s.each(func(num uint32, e entry) error {
		if e.kind() != free {
			f.put(num, e)
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(s.runs, func(a, b run) int { return cmp.Compare(a.first, b.first) })
	clear(f.seen)
	if _, err := f.xrefStream(stm.Int+f.base, s); err != nil {
		return err
	}
	return s.each(func(num uint32, e entry) error { f.put(num, e); return nil })
}

// xrefTable reads the subsections behind the keyword xref and the trailer.
func (f *File) xrefTable(start int64, s *section) (*Object, error) {
	for off := start; ; {
		var first, count, next int64
		done := false
		err := f.look(off, func(p *parser) (err error) {
			line := p.pos
			if done, err = p.keyword("trailer"); done || err != nil {
				next = p.at()
				return err
			}
			if p.pos = line; off == start {
				p.blank()
			}
			first, count, err = p.subsection()
			next = p.at()
			return err
		})
		if err != nil {
			return nil, err
		}
		if done {
			o := &Object{}
			err := f.parse(next, func(p *parser) (err error) {
				o.Value, err = p.value(0)
				o.src, o.base = p.buf, p.base
				return err
			})
			if err != nil {
				return nil, err
			}
			if o.Value.Kind != Dictionary {
				return nil, invalid(off, "trailer is no dictionary")
			}
			return o, nil
		}
		if f.subs++; f.subs > maxSubs {
			return nil, tooLarge(off, "more than %d cross-reference subsections", maxSubs)
		}
		if off, err = f.subsection(next, first, count, s); err != nil {
			return nil, err
		}
	}
}

// subsection reads the line before the entries: first number and count with a
// space between (ISO 32000-2, Section 7.5.4). Some readers search the file for
// objects where it looks otherwise, and may find others.
func (p *parser) subsection() (first, count int64, err error) {
	line := p.at()
	if p.pos < len(p.buf) && !isDigit(p.buf[p.pos]) {
		return 0, 0, invalid(line, "malformed cross-reference subsection")
	}
	if first, err = p.natural(); err != nil {
		return 0, 0, err
	}
	if p.pos++; p.pos < len(p.buf) && (p.buf[p.pos-1] != ' ' || !isDigit(p.buf[p.pos])) {
		return 0, 0, invalid(line, "malformed cross-reference subsection")
	}
	if count, err = p.natural(); err != nil {
		return 0, 0, err
	}
	if p.pos+3 > len(p.buf) {
		return 0, 0, p.short()
	}
	if p.buf[p.pos] == ' ' {
		p.pos++
	}
	switch c := p.buf[p.pos]; {
	case c == '\r' && p.buf[p.pos+1] == '\n':
		p.pos += 2
	case c == '\r', c == '\n':
		p.pos++
	default:
		return 0, 0, invalid(line, "malformed cross-reference subsection")
	}
	return first, count, nil
}

// subsection reads count entries of 20 bytes (ISO 32000-2, Section 7.5.4).
func (f *File) subsection(off, first, count int64, s *section) (int64, error) {
	if first > MaxObjects || count > MaxObjects || count*20 > f.size-off+1 {
		return 0, invalid(off, "cross-reference subsection out of bounds")
	}
	if count == 0 {
		return off, nil
	}
	s.runs = append(s.runs, run{first: uint32(first), at: len(s.entries), next: len(s.entries) + int(count)})
	s.entries = slices.Grow(s.entries, int(min(count, maxEntries)))
	var b []byte
	for i := range count {
		if len(b) == 0 {
			b = f.space()
			b = b[:min(count-i, int64(len(b)/20))*20]
			n := min(int64(len(b)), f.size-off-20*i)
			if err := f.readAt(b[:n], off+20*i); err != nil {
				return 0, err
			}
			if n < int64(len(b)) {
				b[n] = '\n' // the file ends here; the trailer will be missed
			}
		}
		pos, ok1 := digits(b[:10])
		gen, ok2 := digits(b[11:16])
		eol := string(b[18:20])
		if !ok1 || !ok2 || b[10] != ' ' || b[16] != ' ' || gen > 65535 ||
			(eol != " \n" && eol != " \r" && eol != "\r\n") {
			return 0, invalid(off+20*i, "malformed cross-reference entry")
		}
		e := entry(free << 62)
		switch {
		case b[17] == 'n' && pos == 0: // where the header is: some producers mean free
		case b[17] == 'n':
			e = fileEntry(pos, uint16(gen))
		case b[17] != 'f':
			return 0, invalid(off+20*i, "malformed cross-reference entry")
		}
		b = b[20:]
		if err := f.count(first+i, off+20*i); err != nil {
			return 0, err
		}
		s.entries = append(s.entries, e)
	}
	return off + 20*count, nil
}

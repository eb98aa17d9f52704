package syntax

import (
	"bufio"
	"io"
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

// table maps object numbers to entries, in blocks made on demand.
type table struct {
	blocks []*[1024]entry
	max    uint32 // largest number in use
}

func (t *table) at(num uint32) entry {
	if i := int(num >> 10); i < len(t.blocks) && t.blocks[i] != nil {
		return t.blocks[i][num&1023]
	}
	return 0
}

func (t *table) set(num uint32, e entry) {
	i := int(num >> 10)
	for i >= len(t.blocks) {
		t.blocks = append(t.blocks, nil)
	}
	if t.blocks[i] == nil {
		t.blocks[i] = new([1024]entry)
	}
	t.blocks[i][num&1023] = e
	if k := e.kind(); k == inFile || k == inStream {
		t.max = max(t.max, num)
	}
}

// section collects the entries of one cross-reference section, so that they
// can be checked before they go behind those of newer sections.
type section struct {
	nums    []uint32
	entries []entry
}

func (f *File) add(s *section, num int64, e entry, at int64) error {
	if num < 0 || num > MaxObjects {
		return invalid(at, "object number out of bounds in cross-reference section")
	}
	if f.entries++; f.entries > MaxObjects || int64(f.entries) > f.size+freeEntries {
		return tooLarge(at, "more than %d cross-reference entries", f.entries-1)
	}
	s.nums = append(s.nums, uint32(num))
	s.entries = append(s.entries, e)
	return nil
}

// merge puts the entries behind those of newer sections. An object twice in
// one section is refused: readers differ in which one they take.
func (f *File) merge(s *section, at int64, only func(entry) bool) error {
	var own table
	for i, num := range s.nums {
		if only != nil && !only(s.entries[i]) {
			continue
		}
		if own.at(num) != 0 {
			return invalid(at, "object %d twice in one cross-reference section", num)
		}
		own.set(num, s.entries[i])
		if f.table.at(num) == 0 {
			f.table.set(num, s.entries[i])
		}
	}
	return nil
}

// readChain reads all cross-reference sections, the newest first (ISO
// 32000-2, Sections 7.5.4, 7.5.8).
func (f *File) readChain(start int64) error {
	seen := make(map[int64]bool)
	newer := int64(-1)
	for off := start; ; {
		if seen[off] {
			return invalid(off+f.base, "cycle of cross-reference sections")
		}
		seen[off] = true
		trailer, err := f.readSection(off, seen)
		if err != nil {
			return err
		}
		end := trailer.Value.End
		if trailer.Data != 0 {
			end = trailer.Data + trailer.Value.Key("Length").Int
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
		if e := trailer.Value.Key("Encrypt"); e.Kind != Null {
			return Errorf(ErrEncrypted, e.Start, "document is encrypted")
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

// readSection reads the section at off, with its /XRefStm.
func (f *File) readSection(off int64, seen map[int64]bool) (*Object, error) {
	if f.sections++; f.sections > MaxSections {
		return nil, tooLarge(off, "more than %d cross-reference sections", MaxSections)
	}
	isTable := false
	var next int64
	err := f.parse(off+f.base, func(p *parser) (err error) {
		if p.blank(); p.pos < len(p.buf) && p.buf[p.pos] == '%' {
			return invalid(p.at(), "cross-reference section expected")
		}
		isTable, err = p.keyword("xref")
		next = p.at()
		return err
	})
	if err != nil {
		return nil, err
	}
	s := &section{}
	if !isTable {
		trailer, err := f.xrefStream(off+f.base, s)
		if err != nil {
			return nil, err
		}
		return trailer, f.merge(s, off+f.base, nil)
	}
	trailer, err := f.xrefTable(next, s)
	if err != nil {
		return nil, err
	}
	stm := trailer.Value.Key("XRefStm")
	if stm.Kind == Null {
		return trailer, f.merge(s, off+f.base, nil)
	}
	return trailer, f.mergeHybrid(s, off, stm, seen)
}

// mergeHybrid merges a table with its /XRefStm (ISO 32000-2, Section
// 7.5.8.4): the stream gives the objects the table calls free. An object in
// use in both would differ between old and new readers and is refused. Some
// readers never see hidden objects, so Load refuses those too.
func (f *File) mergeHybrid(s *section, off int64, stm Value, seen map[int64]bool) error {
	if stm.Kind != Integer || stm.Int < 0 || seen[stm.Int] {
		return invalid(stm.Start, "malformed /XRefStm")
	}
	seen[stm.Int] = true
	hidden := &section{}
	if _, err := f.xrefStream(stm.Int+f.base, hidden); err != nil {
		return err
	}
	var inUse table
	for i, num := range s.nums {
		if s.entries[i].kind() != free {
			inUse.set(num, s.entries[i])
		}
	}
	for i, num := range hidden.nums {
		if e := inUse.at(num); e != 0 && hidden.entries[i].kind() != free && e != hidden.entries[i] {
			return invalid(stm.Int+f.base, "object %d differs between table and /XRefStm", num)
		}
	}
	used := func(e entry) bool { return e.kind() != free }
	unused := func(e entry) bool { return e.kind() == free }
	if err := f.merge(s, off+f.base, used); err != nil {
		return err
	}
	for i, num := range hidden.nums {
		if used(hidden.entries[i]) && f.table.at(num) == 0 {
			f.hidden.add(num)
		}
	}
	if err := f.merge(hidden, stm.Int+f.base, used); err != nil {
		return err
	}
	return f.merge(s, off+f.base, unused)
}

// xrefTable reads the subsections behind the keyword xref and the trailer.
func (f *File) xrefTable(off int64, s *section) (*Object, error) {
	for {
		o := &Object{}
		var first, count int64
		done := false
		err := f.parse(off, func(p *parser) (err error) {
			if done, err = p.keyword("trailer"); err != nil {
				return err
			}
			if done {
				o.Value, err = p.value(0)
				o.src, o.base = p.buf, p.base
				return err
			}
			if first, err = p.natural(); err != nil {
				return err
			}
			if count, err = p.natural(); err != nil {
				return err
			}
			err = p.skip()
			off = p.at()
			return err
		})
		if err != nil {
			return nil, err
		}
		if done {
			if o.Value.Kind != Dictionary {
				return nil, invalid(off, "trailer is no dictionary")
			}
			return o, nil
		}
		if f.subs++; f.subs > maxSubs {
			return nil, tooLarge(off, "more than %d cross-reference subsections", maxSubs)
		}
		if off, err = f.subsection(off, first, count, s); err != nil {
			return nil, err
		}
	}
}

// subsection reads count entries of 20 bytes (ISO 32000-2, Section 7.5.4).
func (f *File) subsection(off, first, count int64, s *section) (int64, error) {
	if first > MaxObjects || count > MaxObjects || count*20 > f.size-off+1 {
		return 0, invalid(off, "cross-reference subsection out of bounds")
	}
	r := bufio.NewReaderSize(io.NewSectionReader(f.r, off, f.size-off), int(min(64<<10, max(16, count*20))))
	var b [20]byte
	for i := range count {
		n, err := io.ReadFull(r, b[:])
		if err == io.ErrUnexpectedEOF && n == 19 {
			b[19] = '\n' // the file ends here; the trailer will be missed
		} else if err != nil {
			return 0, readError(err, off)
		}
		pos, ok1 := digits(b[:10])
		gen, ok2 := digits(b[11:16])
		eol := string(b[18:])
		if !ok1 || !ok2 || b[10] != ' ' || b[16] != ' ' || gen > 65535 ||
			(eol != " \n" && eol != " \r" && eol != "\r\n") {
			return 0, invalid(off+20*i, "malformed cross-reference entry")
		}
		e := entry(free << 62)
		switch {
		case b[17] == 'n':
			e = fileEntry(pos, uint16(gen))
		case b[17] != 'f':
			return 0, invalid(off+20*i, "malformed cross-reference entry")
		}
		if err := f.add(s, first+i, e, off+20*i); err != nil {
			return 0, err
		}
	}
	return off + 20*count, nil
}

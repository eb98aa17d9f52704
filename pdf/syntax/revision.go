package syntax

// Section is one revision of the file as its cross-reference data tell it
// (ISO 32000-2, Section 7.5.6).
type Section struct {
	// Offset is the number behind startxref, as written in the file.
	Offset int64
	// End is the first byte behind the revision: behind its %%EOF and the end
	// of line after it, if there is one.
	End int64
}

// Sections returns the revisions of the file, the newest first. A
// cross-reference section without a startxref of its own makes no revision:
// the two sections of a linearized file are one.
func (f *File) Sections() []Section { return f.revisions }

// At returns the file as it was when it had end bytes. The revision must be
// complete: with its own startxref and end-of-file marker. Password and bounds
// are those of f: what a revision reads counts as read by f.
func (f *File) At(end int64) (*File, error) {
	if end < 0 || end > f.size {
		return nil, invalid(end, "place outside of the file")
	}
	old := &File{r: f.r, size: end, work: f.work, objects: f.objects, password: f.password}
	if err := old.open(); err != nil {
		return nil, err
	}
	return old, nil
}

// Objects calls yield with number and generation of each object in use, in
// ascending order, until it returns false.
func (f *File) Objects(yield func(num uint32, gen uint16) bool) {
	for i, block := range f.table.blocks {
		if block == nil {
			continue
		}
		for k, e := range block {
			num := uint32(i<<blockBits | k)
			switch e.kind() {
			case inFile:
				if !yield(num, e.gen()) {
					return
				}
			case inStream:
				if !yield(num, 0) {
					return
				}
			}
		}
	}
}

// revision notes the revision a section ends, if one. The section's trailer or
// stream data ends at the offset; newer is the offset of the section read
// before.
func (f *File) revision(own, newer, at int64) error {
	var start, end int64
	err := f.look(at, func(p *parser) error {
		for _, word := range []string{"endstream", "endobj"} {
			if _, err := p.keyword(word); err != nil {
				return err
			}
		}
		found, err := p.keyword("startxref")
		if err != nil || !found {
			return err
		}
		start, end, err = p.place()
		return err
	})
	if refused(err) {
		return nil
	}
	// The first page's section of a linearized file comes before the one its
	// /Prev names, and the startxref behind the latter names the former.
	if err != nil || end == 0 || start != own && (start != newer || newer > own) {
		return err
	}
	if n := len(f.revisions); n == 0 || f.revisions[n-1].End > end {
		f.revisions = append(f.revisions, Section{Offset: start, End: end})
	}
	return nil
}

// place reads what is behind startxref: a number, on which no comment may lie
// as most readers do not expect one, and the marker.
func (p *parser) place() (start, end int64, err error) {
	if p.blank(); p.pos < len(p.buf) && p.buf[p.pos] == '%' {
		return 0, 0, invalid(p.at(), "number expected behind startxref")
	}
	if start, err = p.natural(); err != nil {
		return 0, 0, err
	}
	end, err = p.marker()
	return start, end, err
}

// marker reads %%EOF after white space, with the end of line behind it, and
// returns the offset behind.
func (p *parser) marker() (int64, error) {
	const eof = "%%EOF"
	if p.blank(); p.pos+len(eof)+2 > len(p.buf) && !p.eof {
		return 0, errShort
	}
	if len(p.buf)-p.pos < len(eof) || string(p.buf[p.pos:p.pos+len(eof)]) != eof {
		return 0, invalid(p.at(), "no end-of-file marker")
	}
	p.pos += len(eof)
	if p.pos < len(p.buf) && p.buf[p.pos] == '\r' {
		p.pos++
	}
	if p.pos < len(p.buf) && p.buf[p.pos] == '\n' {
		p.pos++
	}
	return p.at(), nil
}

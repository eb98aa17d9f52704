package syntax

import (
	"bufio"
	"fmt"
	"io"
	"slices"
)

// xrefStream reads a cross-reference stream (ISO 32000-2, Section 7.5.8), that
// of a hybrid file behind a table. What describes it must be direct: there is
// no way yet to find other objects.
func (f *File) xrefStream(off int64, table *section) (*Object, error) {
	o, err := f.objectAt(off)
	if err != nil {
		return nil, fmt.Errorf("reading cross-reference stream: %w", err)
	}
	d := o.Value
	if o.Data == 0 || !d.Key("Type").IsName("XRef") {
		return nil, invalid(off, "cross-reference section expected")
	}
	var w [3]int
	widths := d.Key("W")
	if len(widths.Array) != 3 {
		return nil, invalid(d.Start, "malformed /W")
	}
	for i, v := range widths.Array {
		if v.Kind != Integer || v.Int < 0 || v.Int > 8 {
			return nil, invalid(widths.Start, "malformed /W")
		}
		w[i] = int(v.Int)
	}
	if w[0] > 4 || w[1] == 0 { // some readers take no more for a type
		return nil, invalid(widths.Start, "malformed /W")
	}
	size := d.Key("Size")
	index := []Value{{Kind: Integer}, size}
	if v := d.Key("Index"); v.Kind == Array {
		index = v.Array
	} else if v.Kind != Null {
		return nil, invalid(v.Start, "malformed /Index")
	}
	for _, key := range []string{"Length", "Filter", "DecodeParms"} {
		if v := d.Key(key); !direct(v) {
			return nil, invalid(v.Start, "indirect /%s of a cross-reference stream", key)
		}
	}
	r, err := f.Stream(o)
	if err != nil {
		return nil, err
	}
	return o, f.xrefRows(r, w, index, table, off)
}

// direct says whether there is no reference in v.
func direct(v Value) bool {
	for _, e := range v.Dict {
		if !direct(e.Value) {
			return false
		}
	}
	return v.Kind != Reference && !slices.ContainsFunc(v.Array, func(e Value) bool { return !direct(e) })
}

func (f *File) xrefRows(r io.Reader, w [3]int, index []Value, table *section, at int64) error {
	if len(index)%2 != 0 {
		return invalid(at, "malformed /Index")
	}
	rows := bufio.NewReader(r)
	buf := make([]byte, w[0]+w[1]+w[2])
	for ; len(index) > 0; index = index[2:] {
		first, count := index[0], index[1]
		if first.Kind != Integer || count.Kind != Integer || first.Int < 0 || count.Int < 0 || first.Int > MaxObjects || count.Int > MaxObjects {
			return invalid(at, "malformed /Index")
		}
		if f.subs++; f.subs > maxSubs {
			return tooLarge(at, "more than %d cross-reference subsections", maxSubs)
		}
		for i := range count.Int {
			if _, err := io.ReadFull(rows, buf); err != nil {
				return readError(err, at)
			}
			e, err := xrefRow(buf, w, at)
			if err != nil {
				return err
			}
			if err := f.count(first.Int+i, at); err != nil {
				return err
			}
			if err := f.row(uint32(first.Int+i), e, table, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// row takes one entry of a stream.
func (f *File) row(num uint32, e entry, table *section, at int64) error {
	if err := f.once(num, at); err != nil {
		return err
	}
	if table != nil {
		own := table.find(num)
		if own.kind() == inFile {
			if e.kind() != free && e != own {
				return invalid(at, "object %d differs between table and /XRefStm", num)
			}
			return nil
		}
	}
	f.put(num, e)
	return nil
}

func xrefRow(row []byte, w [3]int, at int64) (entry, error) {
	field := func(n int) (v uint64) {
		for _, c := range row[:n] {
			v = v<<8 | uint64(c)
		}
		row = row[n:]
		return v
	}
	kind := uint64(1)
	if w[0] > 0 {
		kind = field(w[0])
	}
	a, b := field(w[1]), field(w[2])
	switch kind {
	case 0:
		if a >= 1<<offsetBits || b > 65535 {
			return 0, invalid(at, "cross-reference entry out of bounds")
		}
		return entry(free << 62), nil
	case 1:
		if a >= 1<<offsetBits || b > 65535 {
			return 0, invalid(at, "cross-reference entry out of bounds")
		}
		return fileEntry(int64(a), uint16(b)), nil
	case 2:
		if a > MaxObjects || b > MaxObjects {
			return 0, invalid(at, "cross-reference entry out of bounds")
		}
		return streamEntry(uint32(a), int64(b)), nil
	}
	// Others are null (Table 18), to some readers damage that makes them search.
	return 0, invalid(at, "cross-reference entry of unknown type")
}

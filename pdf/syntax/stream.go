package syntax

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
)

// readError tells damage of the document from errors of the reader below.
func readError(err error, at int64) error {
	var corrupt flate.CorruptInputError
	switch {
	case err == io.EOF, err == io.ErrUnexpectedEOF:
		return invalid(at, "unexpected end of data")
	case errors.As(err, &corrupt), errors.Is(err, zlib.ErrChecksum), errors.Is(err, zlib.ErrHeader), errors.Is(err, zlib.ErrDictionary):
		return invalid(at, "damaged compressed data")
	}
	var own *Error
	if errors.As(err, &own) {
		return err
	}
	return fmt.Errorf("reading document: %w", err)
}

// Stream returns a reader of the decoded data of a stream object: FlateDecode,
// LZWDecode, ASCIIHexDecode, ASCII85Decode and RunLengthDecode with predictors
// (ISO 32000-2, Section 7.4). Other filters are refused with ErrUnsupported. At
// most MaxStream bytes are read, and MaxInflated from the streams of one file.
func (f *File) Stream(o *Object) (io.Reader, error) {
	if o.Data == 0 {
		return nil, invalid(o.Value.Start, "object %d is no stream", o.Num)
	}
	return f.streamData(o)
}

// streamData returns a reader of the decoded data of a stream. Filters: none
// or FlateDecode with or without a PNG predictor (ISO 32000-2, Section 7.4.4).
func (f *File) streamData(o *Object) (io.Reader, error) {
	length, err := f.resolve(o.Value.Key("Length"))
	if err != nil {
		return nil, err
	}
	if length.Kind != Integer || length.Int < 0 || length.Int > f.size-o.Data {
		return nil, invalid(o.Data, "malformed /Length of stream")
	}
	err = f.parse(o.Data+length.Int, func(p *parser) error {
		ok, err := p.keyword("endstream")
		if err == nil && !ok {
			err = invalid(p.at(), "endstream expected")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	raw := io.NewSectionReader(f.r, o.Data, length.Int)
	filter, parms := o.Value.Key("Filter"), o.Value.Key("DecodeParms")
	if filter.Kind == Array {
		if len(filter.Array) > 1 {
			return nil, Errorf(ErrUnsupported, filter.Start, "several filters of a structural stream")
		}
		if parms.Kind == Array && len(parms.Array) > 0 {
			parms = parms.Array[0]
		}
		if len(filter.Array) == 1 {
			filter = filter.Array[0]
		} else {
			filter = Value{}
		}
	}
	if filter.Kind == Null {
		return &meter{r: raw, f: f, at: o.Data}, nil
	}
	if !filter.IsName("FlateDecode") {
		return nil, Errorf(ErrUnsupported, filter.Start, "filter of a structural stream")
	}
	z, err := zlib.NewReader(raw)
	if err != nil {
		return nil, readError(err, o.Data)
	}
	return predict(&meter{r: z, f: f, at: o.Data}, parms)
}

// meter bounds the decoded data of one stream and of the file.
type meter struct {
	r  io.Reader
	f  *File
	at int64
	n  int64
}

func (m *meter) Read(b []byte) (int, error) {
	n, err := m.r.Read(b)
	m.n += int64(n)
	m.f.work.inflated += int64(n)
	if m.n > MaxStream || m.f.work.inflated > MaxInflated {
		return 0, tooLarge(m.at, "stream inflates beyond the bound")
	}
	return n, err
}

// predict undoes a predictor (ISO 32000-2, Section 7.4.4.4).
func predict(r io.Reader, parms Value) (io.Reader, error) {
	number := func(key string, otherwise int64) (int64, bool) {
		v := parms.Key(key)
		if v.Kind == Null {
			return otherwise, true
		}
		return v.Int, v.Kind == Integer && v.Int > 0 && v.Int <= maxColumns
	}
	if parms.Kind != Null && parms.Kind != Dictionary {
		return nil, Errorf(ErrUnsupported, parms.Start, "indirect decode parameters of a structural stream")
	}
	predictor, ok1 := number("Predictor", 1)
	colors, ok2 := number("Colors", 1)
	bits, ok3 := number("BitsPerComponent", 8)
	columns, ok4 := number("Columns", 1)
	if !ok1 || !ok2 || !ok3 || !ok4 || colors > 32 || bits > 16 {
		return nil, invalid(parms.Start, "malformed decode parameters")
	}
	if predictor == 1 {
		return r, nil
	}
	if predictor < 10 || predictor > 15 {
		return nil, Errorf(ErrUnsupported, parms.Start, "predictor %d", predictor)
	}
	row := (colors*bits*columns + 7) / 8
	if row > maxColumns {
		return nil, tooLarge(parms.Start, "predictor row of %d bytes", row)
	}
	return &png{r: r, at: parms.Start, unit: int(max(1, colors*bits/8)), now: make([]byte, row+1), before: make([]byte, row+1)}, nil
}

// png undoes the PNG filters row by row (PNG, Section 9).
type png struct {
	r           io.Reader
	at          int64
	unit        int    // bytes of a pixel
	now, before []byte // a row with its filter type in front
	rest        []byte // of now, not yet handed out
}

func (d *png) Read(b []byte) (int, error) {
	if len(d.rest) == 0 {
		d.now, d.before = d.before, d.now
		if _, err := io.ReadFull(d.r, d.now); err != nil {
			return 0, err
		}
		if err := d.undo(); err != nil {
			return 0, err
		}
		d.rest = d.now[1:]
	}
	n := copy(b, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

func (d *png) undo() error {
	now, up := d.now[1:], d.before[1:]
	for i := range now {
		var left, corner byte
		if i >= d.unit {
			left, corner = now[i-d.unit], up[i-d.unit]
		}
		switch d.now[0] {
		case 0:
		case 1:
			now[i] += left
		case 2:
			now[i] += up[i]
		case 3:
			now[i] += byte((int(left) + int(up[i])) / 2)
		case 4:
			now[i] += paeth(left, up[i], corner)
		default:
			return invalid(d.at, "unknown predictor of a row")
		}
	}
	return nil
}

func paeth(a, b, c byte) byte {
	distance := func(x byte) int {
		d := int(a) + int(b) - int(c) - int(x)
		return max(d, -d)
	}
	pa, pb, pc := distance(a), distance(b), distance(c)
	if pa <= pb && pa <= pc {
		return a
	}
	if pb <= pc {
		return b
	}
	return c
}

// xrefStream reads a cross-reference stream (ISO 32000-2, Section 7.5.8).
func (f *File) xrefStream(off int64, s *section) (*Object, error) {
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
	if w[1] == 0 {
		return nil, invalid(widths.Start, "malformed /W")
	}
	size := d.Key("Size")
	index := []Value{{Kind: Integer}, size}
	if v := d.Key("Index"); v.Kind == Array {
		index = v.Array
	} else if v.Kind != Null {
		return nil, invalid(v.Start, "malformed /Index")
	}
	if d.Key("Length").Kind == Reference {
		return nil, invalid(d.Start, "indirect /Length of a cross-reference stream")
	}
	r, err := f.streamData(o)
	if err != nil {
		return nil, err
	}
	return o, f.xrefRows(r, w, index, s, off)
}

func (f *File) xrefRows(r io.Reader, w [3]int, index []Value, s *section, at int64) error {
	if len(index)%2 != 0 {
		return invalid(at, "malformed /Index")
	}
	buf := make([]byte, w[0]+w[1]+w[2])
	for ; len(index) > 0; index = index[2:] {
		first, count := index[0], index[1]
		if first.Kind != Integer || count.Kind != Integer || first.Int < 0 || count.Int < 0 || first.Int > MaxObjects || count.Int > MaxObjects {
			return invalid(at, "malformed /Index")
		}
		for i := range count.Int {
			if _, err := io.ReadFull(r, buf); err != nil {
				return readError(err, at)
			}
			e, err := xrefRow(buf, w, at)
			if err != nil {
				return err
			}
			if err := f.add(s, first.Int+i, e, at); err != nil {
				return err
			}
		}
	}
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
	return entry(free << 62), nil // type 0; others are null (Table 18)
}

// objectStream is a decoded object stream (ISO 32000-2, Section 7.5.7).
type objectStream struct {
	num   uint32
	at    int64
	first int64
	nums  []uint32
	offs  []int64
	data  []byte
}

// compressed returns an object of an object stream.
func (f *File) compressed(num uint32, e entry) (*Object, error) {
	s, err := f.objectStream(e.stream())
	if err != nil {
		return nil, fmt.Errorf("reading object %d: %w", num, err)
	}
	i := e.index()
	if i >= len(s.nums) || s.nums[i] != num {
		return nil, invalid(s.at, "object %d not where it should be in object stream", num)
	}
	p := parser{buf: s.data, pos: int(s.first + s.offs[i]), eof: true, limit: f.limit}
	from := p.pos
	v, err := p.value(0)
	if f.work.read += int64(p.pos - from); f.work.read > maxRead {
		return nil, tooLarge(s.at, "more than %d bytes of objects", maxRead)
	}
	if err != nil {
		return nil, invalid(s.at, "malformed object %d in object stream", num)
	}
	return &Object{Num: num, Value: v, Compressed: true, src: s.data}, nil
}

func (f *File) objectStream(num uint32) (*objectStream, error) {
	for i, s := range f.cache {
		if s.num == num {
			copy(f.cache[1:i+1], f.cache[:i])
			f.cache[0] = s
			return s, nil
		}
	}
	e := f.table.at(num)
	if e.kind() != inFile {
		return nil, invalid(-1, "object stream %d does not exist", num)
	}
	if f.loading++; f.loading > 4 { // the /Length may be in another object stream
		return nil, invalid(-1, "object streams need each other")
	}
	defer func() { f.loading-- }()
	o, err := f.Load(num, e.gen())
	if err != nil {
		return nil, err
	}
	s, err := f.decodeObjectStream(o)
	if err != nil {
		return nil, err
	}
	f.remember(s)
	return s, nil
}

func (f *File) decodeObjectStream(o *Object) (*objectStream, error) {
	d := o.Value
	n, first := d.Key("N"), d.Key("First")
	if o.Data == 0 || !d.Key("Type").IsName("ObjStm") || n.Kind != Integer || first.Kind != Integer {
		return nil, invalid(d.Start, "object stream expected")
	}
	r, err := f.streamData(o)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	if _, err := buf.ReadFrom(r); err != nil {
		return nil, readError(err, o.Data)
	}
	s := &objectStream{num: o.Num, at: o.Data, first: first.Int, data: buf.Bytes()}
	size := int64(len(s.data))
	if first.Int < 0 || first.Int > size || n.Int < 0 || n.Int > first.Int/2+1 {
		return nil, invalid(d.Start, "malformed object stream")
	}
	p := parser{buf: s.data[:first.Int], eof: true}
	for range n.Int {
		num, err := p.natural()
		if err != nil {
			return nil, invalid(o.Data, "malformed object stream")
		}
		off, err := p.natural()
		if err != nil || num > MaxObjects || off >= size-first.Int {
			return nil, invalid(o.Data, "malformed object stream")
		}
		s.nums = append(s.nums, uint32(num))
		s.offs = append(s.offs, off)
	}
	return s, nil
}

// remember keeps a few decoded object streams, the newest first.
func (f *File) remember(s *objectStream) {
	f.cache = append([]*objectStream{s}, f.cache...)
	total := 0
	for i, c := range f.cache {
		if total += len(c.data); i > 0 && (i >= cacheStream || total > cacheBytes) {
			f.cache = f.cache[:i]
			break
		}
	}
}

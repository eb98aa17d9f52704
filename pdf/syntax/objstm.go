package syntax

import (
	"fmt"
	"io"
	"slices"
)

// objectStream is a decoded object stream (ISO 32000-2, Section 7.5.7). Its
// /Extends says nothing about where objects are.
type objectStream struct {
	num   uint32
	at    int64
	first int64
	nums  []uint32
	offs  []uint32
	data  []byte
	used  int64 // when, in calls of objectStream
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
	p := parser{buf: s.data, pos: int(s.first) + int(s.offs[i]), eof: true, limit: f.limit, stack: &f.stack}
	from := p.pos
	v, err := p.value(0)
	f.unstack()
	if err := f.work.parsed(p.pos-from, p.values, s.at); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("reading object %d of object stream %d: %w", num, s.num, place(err, s.at))
	}
	return &Object{Num: num, Value: v, Compressed: true, src: s.data, values: p.values}, nil
}

// place names the stream as the place of an error in its data.
func place(err error, at int64) error {
	if e, ok := err.(*Error); ok { //nolint:errorlint // the parser does not wrap
		return &Error{Code: e.Code, Offset: at, Detail: e.Detail}
	}
	return err
}

func (f *File) objectStream(num uint32) (*objectStream, error) {
	f.clock++
	if s := f.cache[num]; s != nil {
		s.used = f.clock
		return s, nil
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
	kind, err := f.resolve(d.Key("Type"))
	if err != nil {
		return nil, err
	}
	n, err := f.resolve(d.Key("N"))
	if err != nil {
		return nil, err
	}
	first, err := f.resolve(d.Key("First"))
	if err != nil {
		return nil, err
	}
	if o.Data == 0 || !kind.IsName("ObjStm") || n.Kind != Integer || first.Kind != Integer {
		return nil, invalid(d.Start, "object stream expected")
	}
	r, err := f.Stream(o)
	if err != nil {
		return nil, err
	}
	data, err := f.all(r, o.Data)
	if err != nil {
		return nil, err
	}
	s := &objectStream{num: o.Num, at: o.Data, first: first.Int, data: data, used: f.clock}
	if first.Int < 0 || first.Int > int64(len(data)) || n.Int < 0 || n.Int > first.Int/2+1 {
		return nil, invalid(d.Start, "malformed object stream")
	}
	if err := f.work.parsed(int(first.Int), 2*int(n.Int), o.Data); err != nil {
		return nil, err
	}
	return s, s.header(int(n.Int))
}

// header reads the numbers and places of the objects.
func (s *objectStream) header(n int) error {
	p := parser{buf: s.data[:s.first], eof: true}
	for range n {
		num, err := p.natural()
		if err != nil {
			return invalid(s.at, "malformed object stream")
		}
		off, err := p.natural()
		if err != nil || num > MaxObjects || off >= int64(len(s.data))-s.first {
			return invalid(s.at, "malformed object stream")
		}
		s.nums = append(s.nums, uint32(num))
		s.offs = append(s.offs, uint32(off))
	}
	// Readers that look for the number alone could find another object.
	sorted := slices.Clone(s.nums)
	slices.Sort(sorted)
	if len(slices.Compact(sorted)) != n {
		return invalid(s.at, "object twice in one object stream")
	}
	return nil
}

// all reads an object stream in pieces, so that no more than twice its bytes
// are ever held.
func (f *File) all(r io.Reader, at int64) ([]byte, error) {
	var pieces [][]byte
	total := 0
	for size := 16 << 10; ; size = min(2*size, 4<<20) {
		b := make([]byte, size)
		n, err := io.ReadFull(r, b)
		if total += n; total > maxObjectStream {
			return nil, tooLarge(at, "object stream inflates to more than %d bytes", maxObjectStream)
		}
		pieces = append(pieces, b[:n])
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return slices.Concat(pieces...), nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// remember keeps the object streams used last.
func (f *File) remember(s *objectStream) {
	if f.cache == nil {
		f.cache = make(map[uint32]*objectStream)
	}
	f.cache[s.num] = s
	f.cached += s.cost()
	for len(f.cache) > 1 && (f.cached > cacheBytes || len(f.cache) > cacheStreams) {
		oldest := s
		for _, c := range f.cache {
			if c.used < oldest.used {
				oldest = c
			}
		}
		if oldest == s {
			return
		}
		delete(f.cache, oldest.num)
		f.cached -= oldest.cost()
	}
}

// cost is what keeping the stream takes, in bytes.
func (s *objectStream) cost() int { return len(s.data) + 8*len(s.nums) + 256 }

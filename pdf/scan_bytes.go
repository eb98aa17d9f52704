package pdf

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// leftovers looks at the objects in use that nothing reaches.
func (s *scan) leftovers() error {
	var found error
	n := 0
	s.f.Objects(func(num uint32, gen uint16) bool {
		if n++; n%1024 == 0 && s.ctx.Err() != nil {
			found = fmt.Errorf("scanning document: %w", s.ctx.Err())
			return false
		}
		if !s.reached.add(num) {
			return true
		}
		o, err := s.f.Load(num, gen)
		if err != nil {
			found = s.unread(err)
			return found == nil
		}
		if found = s.extent(o); found != nil {
			return false
		}
		if o.Value.Key("ByteRange").Kind != syntax.Null && !s.signed[num] {
			s.report("byte_range_lookalike", num, 0)
		}
		if o.Value.Key("Linearized").Kind != syntax.Null {
			s.linear = true
		}
		if s.shows(o) {
			s.report("unreferenced_object", num, 0)
		}
		return true
	})
	return found
}

// shows says whether an object could be part of what a document shows.
func (s *scan) shows(o *syntax.Object) bool {
	kind := string(s.value(o.Value.Key("Type")).Bytes)
	switch kind {
	case "Page", "Pages", "Catalog", "Font", "FontDescriptor", "XObject", "Annot", "Sig", "DocTimeStamp", "ExtGState", "Action":
		return true
	case "":
	default:
		return false // XRef, ObjStm, Metadata, StructElem …
	}
	for _, k := range []string{"Kids", "Contents", "AP", "FT", "JS", "BaseFont", "FontName"} {
		if o.Value.Key(k).Kind != syntax.Null {
			return true
		}
	}
	// The hint stream of a linearized file is reached by its offset alone.
	return o.Data != 0 && !(s.linear && o.Value.Key("S").Kind == syntax.Integer)
}

// candidate is what looks like the start of an object.
type candidate struct {
	num   uint32
	gen   uint16
	value int64 // where its value starts
}

// raw reads all bytes of the file once. It looks for the key of a signature
// where there is none, and for objects in places the file does not tell of.
func (s *scan) raw() error {
	slices.SortFunc(s.extents, func(a, b extent) int { return cmp.Compare(a.start, b.start) })
	starts := make(map[int64]bool, len(s.extents))
	for _, e := range s.extents {
		starts[e.start] = true
	}
	var unknown []candidate
	const before, behind = 32, 256 // bytes of context
	b := make([]byte, before+buffer+behind)
	for off := int64(0); off < s.f.Size(); off += buffer {
		if err := s.ctx.Err(); err != nil {
			return fmt.Errorf("scanning document: %w", err)
		}
		from := max(0, off-before)
		n, err := s.d.r.ReadAt(b[:min(int64(len(b)), s.f.Size()-from)], from)
		if err != nil && err != io.EOF {
			return fmt.Errorf("reading document: %w", err)
		}
		window := b[:n]
		own := func(at int) bool { return from+int64(at) >= off && from+int64(at) < off+buffer }
		each(window, "/ByteRange", func(at int) {
			if num, _ := s.within(from + int64(at)); own(at) && !s.signed[num] {
				s.report("byte_range_lookalike", num, 0)
			}
		})
		each(window, "obj", func(at int) {
			if !own(at) || len(unknown) >= maxCandidates {
				return
			}
			if _, inside := s.within(from + int64(at)); inside {
				return
			}
			if c, ok := header(window, at, from); ok && !starts[c.value] {
				unknown = append(unknown, c)
			}
		})
	}
	return s.earlier(unknown)
}

func each(b []byte, word string, found func(at int)) {
	for at := 0; ; at += len(word) {
		i := bytes.Index(b[at:], []byte(word))
		if i < 0 {
			return
		}
		at += i
		found(at)
	}
}

// within finds the object an offset lies in.
func (s *scan) within(off int64) (num uint32, inside bool) {
	i, _ := slices.BinarySearchFunc(s.extents, off+1, func(e extent, off int64) int { return cmp.Compare(e.start, off) })
	if i > 0 && off < s.extents[i-1].end {
		return s.extents[i-1].num, true
	}
	return 0, false
}

// header reads the numbers before the word obj. Structural objects that need
// not be listed are passed over.
func header(b []byte, at int, base int64) (c candidate, ok bool) {
	fields := bytes.Fields(b[max(0, at-24):at])
	if len(fields) < 2 || at == 0 || bytes.HasSuffix(b[:at], []byte("end")) {
		return c, false
	}
	num, err1 := strconv.ParseUint(string(digitsAtEnd(fields[len(fields)-2])), 10, 23)
	gen, err2 := strconv.ParseUint(string(fields[len(fields)-1]), 10, 16)
	if err1 != nil || err2 != nil {
		return c, false
	}
	p := at + len("obj")
	for p < len(b) && bytes.IndexByte([]byte(" \r\n\t\f\x00"), b[p]) >= 0 {
		p++
	}
	head, _, _ := bytes.Cut(b[p:min(len(b), p+200)], []byte("stream"))
	if bytes.Contains(head, []byte("/XRef")) || bytes.Contains(head, []byte("/Linearized")) {
		return c, false
	}
	return candidate{uint32(num), uint16(gen), base + int64(p)}, true
}

func digitsAtEnd(b []byte) []byte {
	i := len(b)
	for i > 0 && b[i-1] >= '0' && b[i-1] <= '9' {
		i--
	}
	return b[i:]
}

// earlier tells objects of earlier revisions from those no revision lists.
func (s *scan) earlier(unknown []candidate) error {
	if len(unknown) >= maxCandidates {
		s.incomplete()
	}
	sections := s.f.Sections()
	for i, section := range sections {
		if i == 0 || len(unknown) == 0 {
			continue
		}
		if i > maxEarlier {
			s.incomplete()
			break
		}
		old, err := s.f.At(section.End)
		if err != nil {
			if err := s.unread(err); err != nil {
				return err
			}
			continue
		}
		rest := unknown[:0]
		for _, c := range unknown {
			o, err := old.Load(c.num, c.gen)
			if err == nil && !o.Compressed && o.Value.End != 0 && o.Value.Start == c.value {
				s.report("earlier_versions", 0, 0)
				continue
			}
			rest = append(rest, c)
		}
		unknown = rest
	}
	for _, c := range unknown {
		s.report("unlisted_object", c.num, 0)
	}
	return nil
}

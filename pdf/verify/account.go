package verify

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// extent is a part of the file that a revision explains: an object from the
// start of its value to the end of it or of its data, or a cross-reference
// section up to the end of the revision.
type extent struct {
	start, end int64
	num        uint32
	gen        uint16
	section    bool
	stream     bool
}

// account checks that the bytes a revision added are its objects and its
// cross-reference data and nothing else. Other bytes are those of a revision
// that was left out, or wait for readers that search instead of following
// cross-references. It returns what is wrong, "" for nothing. changed are the
// objects it added or changed.
func (v *verifier) account(then, now *syntax.File, from, to int64, changed []uint32) (string, error) {
	extents, fault, err := v.extents(then, now, from, changed)
	if err != nil || fault != "" {
		return fault, err
	}
	at, last := from, extent{section: true}
	for _, e := range extents {
		if e.start < at {
			return fmt.Sprintf("objects overlap at byte %d", e.start), nil
		}
		ok, err := v.between(at, last, e)
		if err != nil {
			return "", err
		}
		if !ok {
			return fmt.Sprintf("bytes %d to %d belong to no object", at, e.start), nil
		}
		at, last = e.end, e
	}
	if at != to {
		return fmt.Sprintf("bytes %d to %d belong to no object", at, to), nil
	}
	return "", nil
}

// extents lists what a revision added behind a place, in order.
func (v *verifier) extents(then, now *syntax.File, from int64, changed []uint32) (out []extent, fault string, err error) {
	sections := now.Sections()
	if len(sections) == 0 {
		return nil, "no cross-reference section", nil
	}
	own := extent{start: sections[0].Offset + now.Base(), end: sections[0].End, section: true}
	if fault, err := v.dangling(then, now, now.Trailer()); fault != "" || err != nil {
		return nil, fault, err
	}
	gens := make(map[uint32]uint16, len(changed))
	for _, num := range changed {
		if gen, used := now.InUse(num); used {
			gens[num] = gen
		}
	}
	for num, gen := range gens {
		if err := v.ctx.Err(); err != nil {
			return nil, "", err
		}
		o, err := v.load(now, num, gen)
		if err != nil {
			return nil, "", err
		}
		if fault, err := v.dangling(then, now, o); fault != "" || err != nil {
			return nil, fault, err
		}
		if o.Compressed {
			continue
		}
		e := extent{start: o.Value.Start, end: o.Value.End, num: num, gen: gen, stream: o.Data != 0}
		if e.stream {
			length, err := now.Resolve(o.Value.Key("Length"))
			if err != nil {
				return nil, "", err
			}
			e.end = o.Data + length.Value.Int
		}
		switch {
		case e.start < from:
			return nil, fmt.Sprintf("object %d lies in an older revision", num), nil
		case e.start < own.start || e.start >= own.end: // a cross-reference stream is its own section
			out = append(out, e)
		}
	}
	out = append(out, own)
	slices.SortFunc(out, func(a, b extent) int {
		if a.start < b.start {
			return -1
		}
		return 1
	})
	return out, "", nil
}

// dangling finds a reference in an object that a revision added or changed to
// an object that does not exist, unless the object had it before. It means
// null, but some readers then search the file for objects and find others.
func (v *verifier) dangling(then, now *syntax.File, o *syntax.Object) (string, error) {
	var had map[reference]bool
	for ref := range references(o.Value) {
		if gen, used := now.InUse(ref.num); used && gen == ref.gen {
			continue
		}
		if had == nil {
			had = make(map[reference]bool)
			before := then.Trailer()
			if o != now.Trailer() {
				gen, _ := then.InUse(o.Num)
				var err error
				if before, err = v.load(then, o.Num, gen); err != nil {
					return "", err
				}
			}
			for ref := range references(before.Value) {
				had[ref] = true
			}
		}
		if !had[ref] {
			return fmt.Sprintf("a reference to object %d, which does not exist", ref.num), nil
		}
	}
	return "", nil
}

type reference struct {
	num uint32
	gen uint16
}

// references yields the references in a value.
func references(v syntax.Value) iter.Seq[reference] {
	return func(yield func(reference) bool) { refer(v, yield) }
}

func refer(v syntax.Value, yield func(reference) bool) bool {
	if v.Kind == syntax.Reference {
		return yield(reference{uint32(v.Int), v.Gen})
	}
	for i := range v.Array {
		if !refer(v.Array[i], yield) {
			return false
		}
	}
	for i := range v.Dict {
		if !refer(v.Dict[i].Value, yield) {
			return false
		}
	}
	return true
}

// load is Load without reading signatures, which are large, again.
func (v *verifier) load(f *syntax.File, num uint32, gen uint16) (*syntax.Object, error) {
	for _, s := range v.signed {
		if s.owner != nil && s.owner.Num == num && s.owner.Gen == gen && v.file.Same(f, num) {
			return s.owner, nil
		}
	}
	return f.Load(num, gen)
}

// between says whether the bytes between two extents are the end of the first
// and the beginning of the second, with white space and comments.
func (v *verifier) between(at int64, last, next extent) (bool, error) {
	const most = 64 << 10
	if next.start-at > most {
		return false, nil
	}
	b := make([]byte, next.start-at)
	if n, err := v.r.ReadAt(b, at); n != len(b) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return false, fmt.Errorf("reading document: %w", err)
	}
	var words [][]byte
	for _, line := range bytes.FieldsFunc(b, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if i := bytes.IndexByte(line, '%'); i >= 0 {
			line = line[:i]
		}
		words = append(words, bytes.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' || r == '\f' || r == 0 })...)
	}
	var want []string
	if last.stream {
		want = append(want, "endstream")
	}
	if !last.section {
		want = append(want, "endobj")
	}
	if !next.section {
		want = append(want, fmt.Sprint(next.num), fmt.Sprint(next.gen), "obj")
	}
	return slices.EqualFunc(words, want, func(a []byte, b string) bool {
		return string(bytes.TrimLeft(a, "0")) == b || string(a) == b
	}), nil
}

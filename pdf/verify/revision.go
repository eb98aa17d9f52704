package verify

import (
	"crypto"
	"errors"
	"slices"

	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/syntax"
)

// signed is a field with a value: a signature or a document time-stamp.
type signed struct {
	field syntax.Field
	node  *node
	stamp bool           // /Type /DocTimeStamp
	dict  syntax.Value   // the signature dictionary
	owner *syntax.Object // which holds it
	position
	rules  rules
	old    *syntax.File // the revision signed, alone
	hash   crypto.Hash
	digest []byte
	// broken: what was found leaves nothing to be judged by cryptography.
	broken bool
	// shown: the field has an area on a page.
	shown bool
	// changes are what later revisions changed, faults those that may not be;
	// annotated: annotations among them, as a certification permits.
	changes, faults []string
	proofs          []string // those of the changes that are evidence
	annotated       bool
	filled          bool // form fields among them
	// filledAfter is the end of the last revision after which a form was filled
	// in, 0 for none.
	filledAfter int64
	out         *findings

	cms         *cms.SignedData
	token       *cms.Timestamp
	report      *Signature
	stampReport *Timestamp
}

// maxChanges bounds the changes named in a report.
const maxChanges = 100

// change notes a change of a later revision.
func (s *signed) change(path string, fault bool) {
	list := &s.changes
	if fault {
		list = &s.faults
	}
	if len(*list) < maxChanges && !slices.Contains(*list, path) {
		*list = append(*list, path)
	}
}

// arrange puts the signatures into the order in which they were made and
// checks that each lies behind the one before.
func (v *verifier) arrange() {
	slices.SortStableFunc(v.signed, func(a, b *signed) int {
		switch {
		case a.end < b.end:
			return -1
		case a.end > b.end:
			return 1
		}
		return 0
	})
	var last *signed
	for _, s := range v.signed {
		if s.broken {
			continue
		}
		if last != nil && s.gap < last.end {
			s.fail("byte_range_malformed", "starts before the end of the signature before")
			continue
		}
		last = s
	}
}

// revision opens the document as it was when it was signed: a revision that is
// complete, that the newest one builds upon, and in which the same field has
// the same signature. Anything else is a signature put where it was not made.
func (v *verifier) revision(s *signed) error {
	old := v.file
	if s.end != v.size {
		var err error
		if old, err = v.file.At(s.end); err != nil {
			return s.refuse(err, "revision_incomplete")
		}
	}
	sections := old.Sections()
	start, _ := old.Xref()
	if len(sections) == 0 || sections[0].End != s.end || sections[0].Offset != start {
		s.fail("revision_incomplete", "the byte range does not end where a revision does")
		return nil
	}
	if !slices.ContainsFunc(v.file.Sections(), func(n syntax.Section) bool { return n.Offset == start }) {
		s.fail("revision_incomplete", "later revisions do not build upon the one signed")
		return nil
	}
	if old != v.file {
		same, err := v.heldBy(old, s)
		if err != nil {
			return s.refuse(err, "revision_incomplete")
		}
		if !same {
			s.fail("signature_moved", "")
			return nil
		}
	}
	s.old = old
	return nil
}

// heldBy says whether the field tree of a revision leads to the field of s,
// under the same name, and from there to the same signature.
func (v *verifier) heldBy(old *syntax.File, s *signed) (bool, error) {
	ref := s.node.ref
	o, err := old.Load(uint32(ref.Int), ref.Gen)
	if err != nil {
		return false, err
	}
	if same, err := v.sameSignature(old, o.Value.Key("V"), s); !same || err != nil {
		return false, err
	}
	for n := s.node; n != nil; n = n.parent {
		var holder syntax.Value
		key := "Kids"
		if n.parent != nil {
			p, err := old.Load(uint32(n.parent.ref.Int), n.parent.ref.Gen)
			if err != nil {
				return false, err
			}
			holder = p.Value
		} else if holder, err = formOf(old); err != nil {
			return false, err
		} else {
			key = "Fields"
		}
		refs, err := old.Resolve(holder.Key(key))
		if err != nil {
			return false, err
		}
		if !slices.ContainsFunc(refs.Value.Array, func(e syntax.Value) bool { return equal(e, n.ref) }) {
			return false, nil
		}
		o, err := old.Load(uint32(n.ref.Int), n.ref.Gen)
		if err != nil {
			return false, err
		}
		t, err := old.Resolve(o.Value.Key("T"))
		if err != nil {
			return false, err
		}
		if t.Value.Kind == syntax.String && syntax.Text(t.Value.Bytes) != n.part {
			return false, nil
		}
	}
	return true, nil
}

// sameSignature says whether a revision reads the signature from the bytes from
// which the newest one does.
func (v *verifier) sameSignature(old *syntax.File, value syntax.Value, s *signed) (bool, error) {
	if value.Kind == syntax.Reference && equal(value, s.field.V) && s.owner.Num == uint32(value.Int) && v.file.Same(old, s.owner.Num) {
		return true, nil
	}
	o, err := old.Resolve(value)
	if err != nil {
		return false, err
	}
	dict := o.Value
	contents, now := dict.Key("Contents"), s.dict.Key("Contents")
	return contents.Kind == syntax.String && contents.Start == now.Start && contents.End == now.End && dict.Start == s.dict.Start && dict.End == s.dict.End, nil
}

// formOf returns the form dictionary of a revision.
func formOf(f *syntax.File) (syntax.Value, error) {
	catalog, err := f.Resolve(f.Trailer().Value.Key("Root"))
	if err != nil {
		return syntax.Value{}, err
	}
	form, err := f.Resolve(catalog.Value.Key("AcroForm"))
	if err != nil {
		return syntax.Value{}, err
	}
	return form.Value, nil
}

// fail adds a finding that leaves nothing to be judged.
func (s *signed) fail(code, detail string) {
	s.broken = true
	s.out.find(code, detail)
}

// refuse makes a fault of the document a finding; other errors go on.
func (s *signed) refuse(err error, code string) error {
	var refused *syntax.Error
	var own malformed
	switch {
	case errors.As(err, &refused) && (refused.Code == string(syntax.ErrTooLarge) || refused.Code == string(syntax.ErrUnsupported)):
		return err // of the document as a whole
	case errors.As(err, &refused), errors.As(err, &own):
		s.fail(code, err.Error())
		return nil
	}
	return err
}

// equal compares two values. References are equal when they name the same
// object; what they lead to is another matter.
func equal(a, b syntax.Value) bool {
	if a.Kind != b.Kind || len(a.Array) != len(b.Array) {
		return false
	}
	switch a.Kind {
	case syntax.Bool, syntax.Integer:
		return a.Int == b.Int
	case syntax.Real:
		return a.Real == b.Real
	case syntax.Reference:
		return a.Int == b.Int && a.Gen == b.Gen
	case syntax.String, syntax.Name:
		return string(a.Bytes) == string(b.Bytes)
	case syntax.Array:
		for i := range a.Array {
			if !equal(a.Array[i], b.Array[i]) {
				return false
			}
		}
	case syntax.Dictionary:
		return len(differ(a, b)) == 0
	}
	return true
}

// differ returns the keys under which two dictionaries differ. An entry that
// is null is none (ISO 32000-2, Section 7.3.7).
func differ(a, b syntax.Value) (keys []string) {
	inA, inB := byKey(a), byKey(b)
	for _, e := range a.Dict {
		if !equal(e.Value, inB(e.Key)) {
			keys = append(keys, e.Key)
		}
	}
	for _, e := range b.Dict {
		if e.Value.Kind != syntax.Null && inA(e.Key).Kind == syntax.Null {
			keys = append(keys, e.Key)
		}
	}
	return keys
}

// byKey looks entries up, in large dictionaries by an index.
func byKey(v syntax.Value) func(string) syntax.Value {
	if len(v.Dict) <= 32 {
		return v.Key
	}
	index := make(map[string]syntax.Value, len(v.Dict))
	for _, e := range v.Dict {
		index[e.Key] = e.Value
	}
	return func(key string) syntax.Value { return index[key] }
}

package syntax

import (
	"cmp"
	"slices"
)

// Kind is the type of a Value (ISO 32000-2, Section 7.3).
type Kind uint8

// The kinds of values. A stream is an Object whose Data is set and whose
// value is a Dictionary.
const (
	Null Kind = iota
	Bool
	Integer
	Real
	String
	Name
	Array
	Dictionary
	Reference
)

// Value is one parsed value. Start and End give the bytes it was read from:
// offsets in the file, or in the decoded object stream for a compressed
// Object.
type Value struct {
	Kind  Kind
	Hex   bool    // a String written between < and >
	Gen   uint16  // Reference: generation number
	Int   int64   // Integer; Bool 0 or 1; Reference: object number
	Real  float64 // Real, and Integer too
	Bytes []byte  // String and Name, decoded
	Array []Value // Array
	Dict  []Entry // Dictionary, in file order, keys distinct
	Start int64
	End   int64
}

// Entry is one key and value of a dictionary.
type Entry struct {
	Key      string // decoded, without the solidus
	KeyStart int64  // offset of the solidus
	Value    Value
}

// Key returns the value of a dictionary key, Null when it is absent or v is
// no dictionary.
func (v Value) Key(name string) Value {
	for i := range v.Dict {
		if v.Dict[i].Key == name {
			return v.Dict[i].Value
		}
	}
	return Value{}
}

// IsName says whether v is the name given, without the solidus.
func (v Value) IsName(name string) bool {
	return v.Kind == Name && string(v.Bytes) == name
}

// Object is an indirect object.
type Object struct {
	Num   uint32
	Gen   uint16
	Value Value
	// Data is the offset in the file of the first byte of stream data, 0 when
	// the object is no stream.
	Data int64
	// Compressed objects live in an object stream. Their generation is 0.
	Compressed bool

	src    []byte // the bytes the value was read from
	base   int64  // offset of src
	values int    // in it
}

// Raw returns the bytes v was read from. v must belong to o, whose memory it
// shares.
func (o *Object) Raw(v Value) []byte {
	lo, hi := v.Start-o.base, v.End-o.base
	if lo < 0 || hi < lo || hi > int64(len(o.src)) {
		return nil
	}
	return o.src[lo:hi]
}

// Splice replaces the bytes from Start to End, in the offsets of Value, by
// With. Start equal to End inserts.
type Splice struct {
	Start, End int64
	With       []byte
}

// Rewrite returns the bytes of the object's value with the splices done. All
// other bytes stay as they are. The splices must be in ascending order and
// must not overlap; those at one place are done in the order given.
func (o *Object) Rewrite(splices []Splice) ([]byte, error) {
	var out []byte
	at := o.Value.Start
	for _, s := range splices {
		if s.Start < at || s.End < s.Start || s.End > o.Value.End {
			return nil, invalid(-1, "edits of object %d overlap", o.Num)
		}
		out = append(out, o.Raw(Value{Start: at, End: s.Start})...)
		out = append(out, s.With...)
		at = s.End
	}
	return append(out, o.Raw(Value{Start: at, End: o.Value.End})...), nil
}

// kept is about what keeping the object takes, in bytes.
func (o *Object) kept() int {
	const perValue = 112
	return max(len(o.src), window) + perValue*o.values // others may share the window
}

// sortSplices puts splices in order; those at one place stay as they are.
func sortSplices(s []Splice) {
	slices.SortStableFunc(s, func(a, b Splice) int { return cmp.Compare(a.Start, b.Start) })
}

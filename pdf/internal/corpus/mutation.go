package corpus

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// Mutation is a signed document someone tampered with. No verifier may call
// it valid.
type Mutation struct {
	Class, Name string
	Data        []byte
	// Unprotected: only certificates that are not the signer's, or a time-stamp,
	// changed. Nothing protects them: where they are spare the document is still
	// valid, perhaps at a lower level.
	Unprotected bool
}

// The classes of mutations, in the order of tables. The first five are those
// of pdf-insecurity.org.
const (
	IncrementalSaving = "incremental saving"   // a revision changes what was signed
	UniversalForgery  = "universal forgery"    // parts of the signature are gone or malformed
	Wrapping          = "signature wrapping"   // the signed bytes move away
	ShadowAttack      = "shadow"               // what was prepared before signing shows afterwards
	Certification     = "certification attack" // annotations and fields over certified pages
	EvidenceMisuse    = "misuse of DSS"        // changes that hide among evidence
	Damage            = "flipped bit"          // one bit, anywhere
	Spare             = "flipped bit in certificates and time-stamps"
	Exchange          = "exchange"        // signatures of other documents, or moved
	Remainder         = "cut or appended" // bytes missing or added
)

// Classes are all classes.
func Classes() []string {
	return []string{IncrementalSaving, UniversalForgery, Wrapping, ShadowAttack, Certification, EvidenceMisuse, Damage, Spare, Exchange, Remainder}
}

// Mutations tampers with a document of which the last signature or document
// time-stamp covers all, with that one and with the first signature. other is another document signed by the same signer, in
// the same way.
func Mutations(signed, other []byte) ([]Mutation, error) {
	t, err := open(signed)
	if err != nil {
		return nil, fmt.Errorf("reading signed document: %w", err)
	}
	o, err := open(other)
	if err != nil {
		return nil, fmt.Errorf("reading other document: %w", err)
	}
	first := t.at(0)
	return slices.Concat(t.incrementalSaving(), t.universalForgery(), t.wrapping(), t.remapping(), t.annotations(), t.evidence(), t.damage(), t.exchange(o), t.remainder(other), first.universalForgery()), nil
}

// target is a signed document taken apart.
type target struct {
	b          []byte
	file       *syntax.File
	tree       *syntax.Tree
	form       *syntax.Form
	page       *syntax.Object // the first
	content    uint32         // number of its content stream, 0 when there is none
	font       uint32         // number of a font it uses, 0
	signature                 // what is tampered with
	signatures []signature    // all, in the order of their ends
	next       int            // free object number
	layout     layout
	prev       int
}

// signature is a signature field with a value.
type signature struct {
	field, sig           *syntax.Object
	gap, resume, end     int // of the byte range
	rangeStart, rangeEnd int // of /ByteRange's value
}

// at is the target with one of its signatures chosen.
func (t *target) at(i int) *target {
	other := *t
	other.signature = t.signatures[i]
	return &other
}

var errNoSignature = errors.New("no signature to tamper with")

func open(b []byte) (t *target, err error) {
	t = &target{b: b}
	if t.file, err = syntax.Open(bytes.NewReader(b), int64(len(b))); err != nil {
		return nil, err
	}
	if t.tree, err = t.file.Tree(); err != nil {
		return nil, err
	}
	if t.form, err = t.file.Form(t.tree.Catalog); err != nil {
		return nil, err
	}
	if t.page, err = t.file.Load(t.tree.Pages[0].Num, t.tree.Pages[0].Gen); err != nil {
		return nil, err
	}
	for _, f := range t.form.Fields {
		if f.V.Kind != syntax.Reference {
			continue
		}
		sig, err := t.file.Resolve(f.V)
		if err != nil {
			return nil, err
		}
		if r := sig.Value.Key("ByteRange"); len(r.Array) == 4 {
			t.signatures = append(t.signatures, signature{f.Object, sig, int(r.Array[1].Int), int(r.Array[2].Int), int(r.Array[2].Int + r.Array[3].Int), int(r.Start), int(r.End)})
		}
	}
	if len(t.signatures) == 0 {
		return nil, errNoSignature
	}
	slices.SortFunc(t.signatures, func(a, b signature) int { return a.end - b.end })
	t.signature = t.signatures[len(t.signatures)-1]
	if v := t.page.Value.Key("Contents"); v.Kind == syntax.Reference {
		t.content = uint32(v.Int)
	}
	if fonts, err := t.file.Resolve(t.resources().Key("Font")); err == nil && len(fonts.Value.Dict) > 0 {
		t.font = uint32(fonts.Value.Dict[0].Value.Int)
	}
	t.next = int(t.file.ObjectCount())
	offset, streams := t.file.Xref()
	t.prev = int(offset)
	trailer := t.file.Trailer()
	t.layout = layout{streams: streams, size: t.next, root: string(trailer.Raw(trailer.Value.Key("Root")))}
	for _, e := range trailer.Value.Dict {
		if e.Key == "ID" || e.Key == "Info" || e.Key == "Encrypt" {
			t.layout.trailer += "/" + e.Key + " " + string(trailer.Raw(e.Value))
		}
	}
	return t, nil
}

// resources are those of the first page, own or inherited.
func (t *target) resources() syntax.Value {
	at := t.page
	for range 50 {
		r, err := t.file.Resolve(at.Value.Key("Resources"))
		if err == nil && r.Value.Kind == syntax.Dictionary {
			return r.Value
		}
		if at, err = t.file.Resolve(at.Value.Key("Parent")); err != nil {
			break
		}
	}
	return syntax.Value{}
}

// set returns the body of an object with a key set: "" removes it.
func set(o *syntax.Object, key, value string) string {
	d := o.Value
	for _, e := range d.Dict {
		if e.Key == key {
			s := syntax.Splice{Start: e.KeyStart, End: e.Value.End, With: []byte("/" + key + " " + value)}
			if value == "" {
				s.With = nil
			}
			out, err := o.Rewrite([]syntax.Splice{s})
			if err != nil {
				return ""
			}
			return string(out)
		}
	}
	out, err := o.Rewrite([]syntax.Splice{{Start: d.End - 2, End: d.End - 2, With: []byte("/" + key + " " + value)}})
	if err != nil {
		return ""
	}
	return string(out)
}

// of makes the object of a revision from one of the document.
func of(o *syntax.Object, body string) object {
	return object{num: int(o.Num), gen: int(o.Gen), body: body}
}

// revise appends a revision in the kind of the document's sections.
func (t *target) revise(objects ...object) []byte {
	return section(slices.Clone(t.b), t.layout, t.prev, objects)
}

// change is what a revision changes.
type change struct {
	name    string
	objects []object
}

// carried appends the change in each way a revision can be written.
func (t *target) carried(c change) []Mutation {
	table, stream, rolled := t.layout, t.layout, t.layout
	table.streams, stream.streams = false, true
	rolled.streams = true
	var packed []object
	var members []object
	for _, o := range c.objects {
		if o.gen == 0 && !o.free && !strings.Contains(o.body, "\nstream\n") {
			members = append(members, o)
		} else {
			packed = append(packed, o)
		}
	}
	if len(members) > 0 {
		packed = append(packed, pack(t.next+50, "", members...)...)
	}
	body := func() []byte {
		b := slices.Clone(t.b)
		for _, o := range c.objects {
			if !o.free {
				b = fmt.Appendf(b, "%d %d obj\n%s\nendobj\n", o.num, o.gen, o.body)
			}
		}
		return b
	}
	m := func(how string, b []byte) Mutation {
		return Mutation{Class: IncrementalSaving, Name: c.name + ", " + how, Data: b}
	}
	at := len(t.b)
	var alone []Mutation
	if b := body(); len(b) > at { // not free entries alone
		alone = []Mutation{m("body only", b)}
	}
	return append(alone, []Mutation{
		m("table", section(slices.Clone(t.b), table, t.prev, c.objects)),
		m("stream", section(slices.Clone(t.b), stream, t.prev, c.objects)),
		m("object stream", section(slices.Clone(t.b), rolled, t.prev, packed)),
		m("two revisions", twice(t, table, c.objects)),
		m("no xref", fmt.Appendf(body(), "trailer\n<</Size %d/Root %s/Prev %d>>\nstartxref\n%d\n%%%%EOF\n", t.next+60, t.layout.root, t.prev, at)),
		m("no trailer", fmt.Appendf(body(), "xref\n0 1\n0000000000 65535 f \nstartxref\n%d\n%%%%EOF\n", at)),
		m("former startxref", fmt.Appendf(body(), "startxref\n%d\n%%%%EOF\n", t.prev)),
		m("startxref 0", fmt.Appendf(body(), "startxref\n0\n%%%%EOF\n")),
	}...)
}

// twice makes the change and then an empty revision.
func twice(t *target, l layout, objects []object) []byte {
	b := section(slices.Clone(t.b), l, t.prev, objects)
	return section(b, l, lastXref(b), []object{obj(t.next+70, "null")})
}

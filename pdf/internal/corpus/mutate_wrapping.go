package corpus

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// wrapping: the second signed part moves behind content of the attacker's.
func (t *target) wrapping() []Mutation {
	var out []Mutation
	add := func(name string, b []byte) { out = append(out, Mutation{Class: Wrapping, Name: name, Data: b}) }
	contents := string(t.b[t.gap:t.resume])
	for _, filler := range []string{" ", "\x00", "%"} {
		for _, whole := range []bool{false, true} {
			if b := t.moved(filler, whole); b != nil {
				add(fmt.Sprintf("second part moved, filler %q, dictionary replaced: %v", filler, whole), b)
			}
		}
	}
	der := strings.TrimRight(contents[1:len(contents)-1], "0")
	if len(der)%2 == 1 {
		der += "0"
	}
	room := len(contents) - 2 - len(der)
	inGap := func(text string) []byte {
		if len(text) > room {
			return nil
		}
		return t.put(t.gap+1+len(der), fmt.Sprintf("%s%s", text, strings.Repeat("0", room-len(text))))
	}
	for _, c := range []struct{ name, text string }{
		{"string ends early", ">/X<"},
		{"reason in the gap", ">/Reason(Lulus)/X<"},
		{"second byte range in the gap", fmt.Sprintf(">/ByteRange[0 %d %d %d]/X<", t.gap, t.resume, t.end-t.resume)},
		{"second contents in the gap", ">/Contents<3000>/X<"},
		{"dictionary ends in the gap", ">>>endobj 99 0 obj<</X<"},
		{"comment in contents", "%\n"},
		{"spaces in contents", "    "},
		{"end of line in contents", "\r\n\r\n"},
		{"padding not zero", "00FF00"},
		{"second DER in padding", "3003020101"},
		{"letters in padding", "GG"},
		{"padding with a comment and a bracket", ">%\n<"},
	} {
		if b := inGap(c.text); b != nil {
			add(c.name, b)
		}
	}
	same := string(t.b[t.rangeStart:t.rangeEnd])
	dict := "<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached/M(D:20260101000000Z)/ByteRange " + same + "/Contents " + contents + ">>"
	fresh := fmt.Sprintf("%d 0 R", t.next)
	page := of(t.page, set(t.page, "Rotate", "90"))
	add("copy of the dictionary", t.revise(of(t.sig, dict), page))
	add("copy as a new object", t.revise(of(t.field, set(t.field, "V", fresh)), obj(t.next, dict), page))
	add("copy as a direct value", t.revise(of(t.field, set(t.field, "V", dict)), page))
	add("copy of the very bytes", t.revise(of(t.sig, string(t.sig.Raw(t.sig.Value))), page))
	add("copy in another field", t.revise(append(t.formEntry("Fields", t.fieldsAnd(fresh)), obj(t.next, "<</FT/Sig/T(Lain)/V "+t.ref()+">>"))...))
	add("copy in a stray widget", t.revise(of(t.page, set(t.page, "Annots", "["+fresh+"]")), obj(t.next, "<</Type/Annot/Subtype/Widget/Rect[0 0 9 9]/FT/Sig/T(Lain)/V "+t.ref()+">>")))
	return out
}

// ref is a reference to the signature dictionary.
func (t *target) ref() string { return fmt.Sprintf("%d %d R", t.sig.Num, t.sig.Gen) }

// moved puts a cross-reference table of the attacker's where the signed
// startxref points, behind the gap, and the second signed part behind that.
// Its signature dictionary has a byte range with the new place.
func (t *target) moved(filler string, replace bool) []byte {
	if t.prev < t.resume || t.end != len(t.b) {
		return nil
	}
	b := slices.Clone(t.b[:t.resume])
	b = append(b, strings.Repeat(filler, t.prev-len(b)-1)...)
	b = append(b, '\n')
	page := of(t.page, set(t.page, "Contents", fmt.Sprintf("%d 0 R", t.next)))
	content := stm(t.next, "", forged)
	// The size of the table decides where the objects lie, and those where the
	// second part does.
	var objects []object
	build := func(second int) []byte {
		objects = []object{page, content}
		if replace {
			objects = append(objects, of(t.sig, set(t.sig, "ByteRange", fmt.Sprintf("[0 %010d %010d %010d]", t.gap, second, t.end-t.resume))))
		}
		table := func(offsets []int) []byte {
			out := []byte("xref\n")
			for i, o := range objects {
				out = fmt.Appendf(out, "%d 1\n%010d %05d n \n", o.num, offsets[i], o.gen)
			}
			return fmt.Appendf(out, "trailer\n<</Size %d/Root %s/Prev %d%s>>\n", t.next+1, t.layout.root, t.before(), t.layout.trailer)
		}
		head := len(table(make([]int, len(objects))))
		var bodies []byte
		var offsets []int
		for _, o := range objects {
			offsets = append(offsets, len(b)+head+len(bodies))
			bodies = fmt.Appendf(bodies, "%d %d obj\n%s\nendobj\n", o.num, o.gen, o.body)
		}
		return slices.Concat(b, table(offsets), bodies)
	}
	front := build(0)
	front = build(len(front))
	return append(front, t.b[t.resume:]...)
}

// before is the section the newest one names.
func (t *target) before() int { return int(t.file.Trailer().Value.Key("Prev").Int) }

// remainder: bytes cut off or added.
func (t *target) remainder(other []byte) []Mutation {
	var out []Mutation
	add := func(name string, b []byte) { out = append(out, Mutation{Class: Remainder, Name: name, Data: b}) }
	for _, n := range []int{1, 2, 7, 20, 100, 1000, len(t.b) - t.resume, len(t.b) - t.gap, len(t.b) / 2} {
		if n < len(t.b) && (n > 1 || t.end == len(t.b)) { // else that is an end of line nobody signed
			add(fmt.Sprintf("%d bytes cut", n), t.b[:len(t.b)-n])
		}
	}
	for _, c := range []struct{ name, text string }{
		{"space", " "},
		{"line", "\n"},
		{"zero", "\x00"},
		{"comment", "% komen\n"},
		{"zeros", strings.Repeat("\x00", 4096)},
		{"end of file", "%%EOF\n"},
		{"startxref", fmt.Sprintf("startxref\n%d\n%%%%EOF\n", t.prev)},
		{"another document", string(plain())},
		{"another signed document", string(other)},
		{"itself", string(t.b)},
		{"archive", "PK\x03\x04 arkib"},
		{"object", fmt.Sprintf("%d 0 obj\nnull\nendobj\n", t.next)},
	} {
		add("appended: "+c.name, append(bytes.Clone(t.b), c.text...))
		add("prefixed: "+c.name, append([]byte(c.text), t.b...))
	}
	add("a byte inserted", slices.Insert(bytes.Clone(t.b), 15, ' '))
	add("a byte removed", slices.Delete(bytes.Clone(t.b), 10, 11))
	add("first part doubled", slices.Concat(t.b[:t.gap], t.b))
	return out
}

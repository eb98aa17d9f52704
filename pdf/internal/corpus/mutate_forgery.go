package corpus

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// universalForgery: parts of the signature are missing or malformed, in place
// where they fit, and by a revision.
func (t *target) universalForgery() []Mutation {
	var out []Mutation
	add := func(name string, b []byte) { out = append(out, Mutation{Class: UniversalForgery, Name: name, Data: b}) }
	a, b, n := t.gap, t.resume, t.end-t.resume
	for _, v := range []struct{ name, value string }{
		{"absent", ""},
		{"null", "null"},
		{"empty", "[]"},
		{"one number", "[0]"},
		{"two numbers", fmt.Sprintf("[0 %d]", t.end)},
		{"three numbers", fmt.Sprintf("[0 %d %d]", a, b)},
		{"five numbers", fmt.Sprintf("[0 %d %d %d 0]", a, b, n)},
		{"six numbers", fmt.Sprintf("[0 %d %d %d %d 0]", a, b, n, t.end)},
		{"zeros", "[0 0 0 0]"},
		{"negative", "[0 -1 -1 -1]"},
		{"negative length", fmt.Sprintf("[0 %d %d -%d]", a, b, n)},
		{"negative start", fmt.Sprintf("[-1 %d %d %d]", a, b, n)},
		{"reals", fmt.Sprintf("[0 %d.0 %d %d]", a, b, n)},
		{"strings", fmt.Sprintf("[(0) (%d) (%d) (%d)]", a, b, n)},
		{"names", "[/A /B /C /D]"},
		{"nulls", "[null null null null]"},
		{"nested", fmt.Sprintf("[[0 %d %d %d]]", a, b, n)},
		{"dictionary", "<</A 1>>"},
		{"indirect", "1 0 R"},
		{"to come", fmt.Sprintf("%d 0 R", t.next)},
		{"starts at 1", fmt.Sprintf("[1 %d %d %d]", a, b, n)},
		{"overlapping", fmt.Sprintf("[0 %d %d %d]", b, a, t.end-a)},
		{"touching", fmt.Sprintf("[0 %d %d %d]", a, a, t.end-a)},
		{"whole file", fmt.Sprintf("[0 %d %d 0]", t.end, t.end)},
		{"no second part", fmt.Sprintf("[0 %d %d 0]", a, b)},
		{"no first part", fmt.Sprintf("[0 0 %d %d]", b, n)},
		{"reversed", fmt.Sprintf("[%d %d 0 %d]", b, n, a)},
		{"huge", fmt.Sprintf("[0 %d %d 9223372036854775807]", a, b)},
		{"overflow", fmt.Sprintf("[0 %d 9223372036854775807 %d]", a, n)},
		{"gap wider by two", fmt.Sprintf("[0 %d %d %d]", a-1, b+1, n-1)},
		{"gap wider by 80", fmt.Sprintf("[0 %d %d %d]", a-40, b+40, n-40)},
		{"gap narrower", fmt.Sprintf("[0 %d %d %d]", a+1, b-1, n+1)},
		{"shifted", fmt.Sprintf("[0 %d %d %d]", a-1, b, n)},
		{"shortened", fmt.Sprintf("[0 %d %d %d]", a, b, n-1)},
		{"lengthened", fmt.Sprintf("[0 %d %d %d]", a, b, n+1)},
		{"true", "true"},
		{"digits run together", fmt.Sprintf("[0%d%d%d]", a, b, n)},
	} {
		if width := t.rangeEnd - t.rangeStart; v.value != "" && len(v.value) <= width {
			add("/ByteRange in place: "+v.name, t.put(t.rangeStart, fmt.Sprintf("%-*s", width, v.value)))
		}
		add("/ByteRange: "+v.name, t.revise(of(t.sig, set(t.sig, "ByteRange", v.value))))
	}
	contents := string(t.b[a:b])
	der, _ := hex.DecodeString(contents[1 : len(contents)-1])
	for _, v := range []struct{ name, value string }{
		{"absent", ""},
		{"null", "null"},
		{"empty", "<>"},
		{"empty literal", "()"},
		{"one zero", "<00>"},
		{"zeros", "<" + strings.Repeat("0", len(contents)-2) + ">"},
		{"name", "/X"},
		{"number", "0"},
		{"array", "[" + contents + "]"},
		{"literal", literal(der)},
		{"odd digits", contents[:len(contents)-2] + ">"},
		{"shorter", contents[:len(contents)/2/2*2-1] + ">"},
		{"longer", contents[:len(contents)-1] + "00>"},
		{"spaces", "<" + strings.Repeat(" ", len(contents)-2) + ">"},
		{"space between", contents[:9] + " " + contents[9:]},
		{"indirect", fmt.Sprintf("%d 0 R", t.next)},
		{"copy", contents},
		{"dictionary", "<</A" + contents + ">>"},
		{"true", "true"},
		{"empty sequence", "<3000>"},
		{"indefinite", "<3080" + contents[5:]},
	} {
		add("/Contents: "+v.name, t.revise(of(t.sig, set(t.sig, "Contents", v.value)), obj(t.next, contents)))
	}
	for _, v := range []string{strings.Repeat("0", len(contents)-2), strings.Repeat(" ", len(contents)-2), strings.Repeat("F", len(contents)-2), "3000" + strings.Repeat("0", len(contents)-6), "3080" + contents[5:len(contents)-1]} {
		add("/Contents in place: "+v[:4], t.put(a+1, v))
	}
	for _, v := range []struct{ key, value string }{
		{"V", ""},
		{"V", "null"},
		{"V", "/Sig"},
		{"V", "7"},
		{"V", "(teks)"},
		{"V", "[]"},
		{"V", "<<>>"},
		{"V", fmt.Sprintf("%d 0 R", t.next+5)},
		{"V", fmt.Sprintf("%d %d R", t.page.Num, t.page.Gen)},
		{"V", string(t.sig.Raw(t.sig.Value))}, {"FT", ""}, {"FT", "/Tx"}, {"FT", "/Btn"}, {"FT", "null"}, {"T", ""}, {"Kids", "[]"},
	} {
		add(fmt.Sprintf("field /%s %.12s", v.key, v.value), t.revise(of(t.field, set(t.field, v.key, v.value)), obj(t.next, "null")))
	}
	for _, v := range []struct{ key, value string }{
		{"Type", "/DocTimeStamp"},
		{"Type", "/Page"},
		{"Type", "null"},
		{"Filter", ""},
		{"Filter", "/Sebarang"},
		{"SubFilter", ""},
		{"SubFilter", "null"},
		{"SubFilter", "/adbe.x509.rsa_sha1"},
		{"SubFilter", "/adbe.pkcs7.sha1"},
		{"SubFilter", "/ETSI.RFC3161"},
		{"SubFilter", "/Sebarang"},
		{"Cert", contents},
		{"Reference", "[<</TransformMethod/DocMDP/TransformParams<</P 3>>>>]"},
		{"Changes", "[0 0 0]"},
	} {
		add(fmt.Sprintf("signature /%s %.12s", v.key, v.value), t.revise(of(t.sig, set(t.sig, v.key, v.value))))
	}
	add("signature is null", t.revise(of(t.sig, "null")))
	add("signature is a stream", t.revise(of(t.sig, "<</Length 1>>\nstream\nx\nendstream")))
	add("signature is free", t.revise(object{num: int(t.sig.Num), gen: int(t.sig.Gen) + 1, free: true}))
	add("signature in object stream", section(slices.Clone(t.b), layout{streams: true, size: t.next, root: t.layout.root, trailer: t.layout.trailer}, t.prev, pack(t.next, "", obj(int(t.sig.Num), string(t.sig.Raw(t.sig.Value))))))
	return out
}

// put overwrites bytes.
func (t *target) put(at int, text string) []byte {
	b := bytes.Clone(t.b)
	copy(b[at:], text)
	return b
}

// literal writes bytes as a literal string.
func literal(b []byte) string {
	var s strings.Builder
	s.WriteByte('(')
	for _, c := range b {
		fmt.Fprintf(&s, "\\%03o", c)
	}
	return s.String() + ")"
}

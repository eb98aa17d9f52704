package corpus

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// truncated cuts documents at every kind of place.
func truncated() []Case {
	table, stream := plain(stm(6, "", "x")), write(layout{trailer: ids, streams: true}, with()...)
	var cases []Case
	for _, c := range []struct {
		name string
		b    []byte
		at   string
		plus int
	}{
		{"in-header", table, "%PDF-1.7", 5}, {"after-header", table, "%PDF-1.7", 9},
		{"in-object-header", table, "2 0 obj", 3},
		{"in-dictionary", table, "/Kids[3 0", 6},
		{"in-name", table, "/Resources", 4},
		{"before-endobj", table, "endobj", 0},
		{"in-stream-data", table, "Halaman", 3}, {"before-endstream", table, "endstream", 0},
		{"before-xref", table, "xref\n0 7", 0},
		{"in-xref-keyword", table, "xref\n0 7", 2},
		{"in-subsection-header", table, "xref\n0 7", 6},
		{"in-entry", table, "65535 f", 3},
		{"after-entries", table, "trailer", 0}, {"in-trailer", table, "/Root 1 0 R", 7}, {"after-trailer", table, "startxref", 0},
		{"after-startxref", table, "startxref\n", 10},
		{"in-number", table, "startxref\n", 12},
		{"before-eof", table, "%%EOF", 0},
		{"in-eof", table, "%%EOF", 3},
		{"stream-in-xref-dictionary", stream, "/Type/XRef", 7},
		{"stream-in-xref-data", stream, "endstream", -20},
		{"stream-before-eof", stream, "%%EOF", 0},
	} {
		cases = append(cases, bad(c.name, c.b[:bytes.LastIndex(c.b, []byte(c.at))+c.plus]))
	}
	return group("broken-truncated", append(cases, bad("empty", nil), bad("one-byte", []byte("%")), bad("no-pdf", []byte("Ini bukan PDF\n")), bad("header-alone", []byte("%PDF-1.7\n%%EOF\n")),
		bad("html", []byte("<html>%PDF-1.7 startxref 5 %%EOF")), bad("version-9", bytes.Replace(table, []byte("PDF-1.7"), []byte("PDF-9.7"), 1)),
		bad("header-far", append(bytes.Repeat([]byte("j"), 1100), table...)), bad("header-missing", bytes.Replace(table, []byte("%PDF-"), []byte("%PDX-"), 1)))...)
}

// brokenXref: cross-reference data that is wrong or means several things.
func brokenXref() []Case {
	b := plain()
	at := lastXref(b)
	// start is a document whose last startxref says something else.
	start := func(n any) []byte {
		return swap(b, fmt.Sprintf("startxref\n%d\n", at), fmt.Sprintf("startxref\n%v\n", n))
	}
	trailer := func(old, with string) []byte { return swap(b, old, with) }
	off := func(num int) int { return bytes.Index(b, fmt.Appendf(nil, "%d 0 obj", num)) }
	entry := func(num, to int) []byte {
		return swap(b, fmt.Sprintf("%010d 00000 n", off(num)), fmt.Sprintf("%010d 00000 n", to))
	}
	prev := func(v string) []byte { return trailer("/Size 6", "/Size 6/Prev "+v) }
	loop := update(b, layout{trailer: ids}, withPage("/Rotate 0"))
	longer := update(loop, layout{trailer: ids}, withPage("/Rotate 0"))
	chain := b
	for range 1100 {
		chain = update(chain, layout{trailer: ids})
	}
	hyb := hybrid(false)
	return group("broken-xref",
		either("start-one-less", start(at-1)), bad("start-one-more", start(at+1)), bad("start-in-object", start(20)), bad("start-at-object", start(off(3))),
		bad("start-beyond", start(99999999)),
		bad("start-huge", start("999999999999999999999999999999")),
		bad("start-negative", start(-1)),
		bad("start-0", start(0)),
		bad("start-real", start("17.5")),
		bad("start-name", start("/X")), bad("start-twice", start(fmt.Sprintf("%d %d", at, at))),
		bad("entry-other-object", entry(3, off(1))),
		bad("entry-off-by-one", entry(3, off(3)+1)),
		bad("entry-in-stream", entry(3, off(4)+30)),
		bad("entry-beyond", entry(3, 9999999999)),
		bad("entry-zero", entry(3, 0)), bad("entry-generation", swap(b, fmt.Sprintf("%010d 00000 n", off(3)), fmt.Sprintf("%010d 00001 n", off(3)))),
		bad("catalog-generation", trailer("/Root 1 0 R", "/Root 1 1 R")), bad("object-number-differs", swap(b, "3 0 obj", "9 0 obj")),
		bad("entry-19-bytes", bytes.ReplaceAll(b, []byte(" n \n"), []byte(" n\n"))),
		bad("entry-type", swap(b, " n \n", " x \n")),
		bad("entry-no-digits", swap(b, "00000 n", "0000- n")),
		bad("entry-twice", swap(b, "trailer", fmt.Sprintf("3 1\n%010d 00000 n \ntrailer", off(3)))),
		bad("entry-twice-differs", swap(b, "trailer", fmt.Sprintf("3 1\n%010d 00000 n \ntrailer", off(4)))),
		bad("count-short", swap(b, "xref\n0 6", "xref\n0 5")),
		bad("count-long", swap(b, "xref\n0 6", "xref\n0 7")),
		bad("count-huge", swap(b, "xref\n0 6", "xref\n0 99999999999")),
		bad("first-negative", swap(b, "xref\n0 6", "xref\n-1 6")), bad("first-huge", swap(b, "xref\n0 6", "xref\n8388605 6")),
		bad("no-trailer", swap(b, "trailer", "trialer")), bad("trailer-array", swap(b, "trailer\n<<", "trailer\n[<<")),
		bad("no-root", trailer("/Root 1 0 R", "")),
		bad("root-direct", trailer("/Root 1 0 R", "/Root"+catalog)),
		bad("root-null", trailer("/Root 1 0 R", "/Root null")),
		bad("root-page", trailer("/Root 1 0 R", "/Root 3 0 R")),
		bad("root-beyond", trailer("/Root 1 0 R", "/Root 6 0 R")),
		bad("root-stream", trailer("/Root 1 0 R", "/Root 4 0 R")),
		bad("root-twice", trailer("/Root 1 0 R", "/Root 1 0 R/Root 1 0 R")),
		bad("root-escaped-twice", trailer("/Root 1 0 R", "/Root 1 0 R/Ro#6ft 3 0 R")),
		bad("no-size", trailer("/Size 6", "")),
		bad("size-0", trailer("/Size 6", "/Size 0")),
		bad("size-negative", trailer("/Size 6", "/Size -6")),
		bad("size-small", trailer("/Size 6", "/Size 3")),
		bad("size-huge", trailer("/Size 6", "/Size 99999999999999999999")),
		bad("size-real", trailer("/Size 6", "/Size 6.0")),
		bad("size-indirect", trailer("/Size 6", "/Size 5 0 R")),
		bad("id-number", trailer("/ID[<00112233445566778899AABBCCDDEEFF><", "/ID[7<")), bad("id-one", trailer("<00112233445566778899AABBCCDDEEFF>]", "]")),
		bad("prev-self", prev(fmt.Sprint(at))),
		bad("prev-negative", prev("-1")),
		bad("prev-beyond", prev("99999999")),
		bad("prev-nowhere", prev("3")),
		bad("prev-real", prev("17.0")),
		bad("prev-indirect", prev("5 0 R")), bad("prev-name", prev("/X")),
		bad("prev-loop", bytes.Replace(loop, []byte("trailer\n<</Size 6"), fmt.Appendf(nil, "trailer\n<</Size 6/Prev %d", lastXref(loop)), 1)),
		bad("prev-loop-of-three", bytes.Replace(longer, []byte("trailer\n<</Size 6"), fmt.Appendf(nil, "trailer\n<</Size 6/Prev %d", lastXref(longer)), 1)),
		bad("prev-chain-1100", chain, syntax.ErrTooLarge, syntax.ErrInvalid),
		bad("hybrid-differs", hybrid(true)),
		bad("hybrid-beyond", swap(hyb, "/XRefStm ", "/XRefStm 9")),
		bad("hybrid-self", swap(hyb, fmt.Sprintf("/XRefStm %d", bytes.LastIndex(hyb, []byte("7 0 obj"))), fmt.Sprintf("/XRefStm %d", lastXref(hyb)))),
		bad("hybrid-negative", swap(hyb, "/XRefStm ", "/XRefStm -")), bad("hybrid-name", swap(hyb, "/XRefStm ", "/XRefStm/")),
		bad("ambiguous-base", ambiguous()),
		either("starts-at-1", swap(b, "xref\n0 6", "xref\n1 6")),
		either("linearization-lie", plain(obj(6, "<</Linearized 1/L 1/H[9 9]/O 3/E 9/N 1/T 9>>"))),
	)
}

// ambiguous has seven bytes before the header and a cross-reference section
// at the offset given both when they are counted and when they are not.
func ambiguous() []byte {
	b := []byte("sampah\n%PDF-1.7\n")
	at := len(b)
	b = append(b, "xref   xref\n0 1\n0000000000 65535 f \ntrailer\n<</Size 6/Root 1 0 R>>\n"...)
	return fmt.Appendf(b, "startxref\n%d\n%%%%EOF\n", at)
}

// brokenStreams: cross-reference streams and object streams.
func brokenStreams() []Case {
	b := write(layout{trailer: ids, streams: true}, with()...)
	edit := func(old, with string) []byte { return swap(b, old, with) }
	f := write(layout{trailer: ids, streams: true, filter: true}, with()...)
	fedit := func(old, with string) []byte { return swap(f, old, with) }
	os := func(dict string, head string) []byte {
		members := []object{{num: 1, packed: 6}, {num: 2, packed: 6}}
		members = append(members, obj(3, page), stm(4, "", text), obj(5, font), stm(6, dict, head))
		return write(layout{trailer: ids, streams: true}, members...)
	}
	body := catalog + "\n" + pages
	head := fmt.Sprintf("1 0 2 %d ", len(catalog)+1)
	dict := func(n, first any) string { return fmt.Sprintf("/Type/ObjStm/N %v/First %v", n, first) }
	return group("broken-streams",
		bad("type", edit("/Type/XRef", "/Type/XRaf")),
		bad("w-missing", edit("/W[1 4 2]", "")),
		bad("w-short", edit("/W[1 4 2]", "/W[1 4]")),
		bad("w-long", edit("/W[1 4 2]", "/W[1 4 2 0]")),
		bad("w-huge", edit("/W[1 4 2]", "/W[1 999999999 2]")),
		bad("w-overflow", edit("/W[1 4 2]", "/W[9223372036854775807 1 1]")),
		bad("w-negative", edit("/W[1 4 2]", "/W[1 -4 2]")),
		bad("w-zero", edit("/W[1 4 2]", "/W[0 0 0]")),
		bad("w-real", edit("/W[1 4 2]", "/W[1 4.0 2]")), bad("w-nine", edit("/W[1 4 2]", "/W[9 9 9]")), bad("w-other", edit("/W[1 4 2]", "/W[2 4 1]")),
		bad("index-odd", edit("/Index[0 7]", "/Index[0 7 1]")),
		bad("index-negative", edit("/Index[0 7]", "/Index[-1 7]")),
		bad("index-huge", edit("/Index[0 7]", "/Index[0 8388607]")),
		bad("index-overflow", edit("/Index[0 7]", "/Index[9223372036854775807 7]")),
		bad("index-twice", edit("/Index[0 7]", "/Index[0 4 3 3]")),
		bad("index-long", edit("/Index[0 7]", "/Index[0 8]")),
		bad("index-name", edit("/Index[0 7]", "/Index/X")),
		bad("index-shifted", edit("/Index[0 7]", "/Index[100 7]")),
		bad("length-long", edit("/Length 49", "/Length 9999")),
		bad("length-short", edit("/Length 49", "/Length 20")),
		bad("length-negative", edit("/Length 49", "/Length -1")),
		bad("length-huge", edit("/Length 49", "/Length 99999999999999")),
		bad("length-missing", edit("/Length 49", "")),
		bad("length-indirect", edit("/Length 49", "/Length 5 0 R")),
		bad("length-self", edit("/Length 49", "/Length 6 0 R")),
		bad("filter-unknown", edit("/Length 49", "/Filter/Sebarang/Length 49"), syntax.ErrUnsupported, syntax.ErrInvalid),
		bad("filter-image", edit("/Length 49", "/Filter/DCTDecode/Length 49"), syntax.ErrUnsupported, syntax.ErrInvalid),
		bad("filter-no-deflate", edit("/Length 49", "/Filter/FlateDecode/Length 49")),
		either("filter-crypt", edit("/Length 49", "/Filter/Crypt/Length 49")),
		bad("external", edit("/Length 49", "/F(lain.pdf)/Length 49"), syntax.ErrUnsupported),
		bad("predictor-unknown", fedit("/Predictor 12", "/Predictor 99"), syntax.ErrUnsupported, syntax.ErrInvalid),
		bad("predictor-none", fedit("/Predictor 12", "/Predictor 1")),
		bad("columns-0", fedit("/Columns 7", "/Columns 0")),
		bad("columns-negative", fedit("/Columns 7", "/Columns -7")),
		bad("columns-huge", fedit("/Columns 7", "/Columns 9999999999")),
		bad("columns-wrong", fedit("/Columns 7", "/Columns 6")),
		bad("colors-huge", fedit("/Columns 7", "/Columns 7/Colors 1000000000")),
		bad("bits-huge", fedit("/Columns 7", "/Columns 7/BitsPerComponent 1000000000")),
		bad("columns-large", fedit("/Columns 7", "/Columns 1000000"), syntax.ErrInvalid, syntax.ErrTooLarge),
		bad("deflate-damaged", damage(f, "stream\n", 12)), either("deflate-checksum", damage(f, "\nendstream", -2)),
		good("object-stream-control", os(dict(2, len(head)), head+body)),
		bad("n-too-many", os(dict(3, len(head)), head+body)),
		bad("n-negative", os(dict(-1, len(head)), head+body)),
		bad("n-huge", os(dict("9999999999", len(head)), head+body)),
		bad("n-less", os(dict(1, len(head)), head+body)),
		bad("n-missing", os(fmt.Sprintf("/Type/ObjStm/First %d", len(head)), head+body)),
		bad("first-huge", os(dict(2, "9999999999"), head+body)),
		bad("first-negative", os(dict(2, -1), head+body)),
		bad("first-short", os(dict(2, 3), head+body)),
		bad("object-stream-type", os(strings.Replace(dict(2, len(head)), "ObjStm", "ObjStn", 1), head+body)),
		bad("object-stream-external", os(dict(2, len(head))+"/F(lain.pdf)", head+body), syntax.ErrUnsupported),
		bad("object-stream-external-indirect", os(dict(2, len(head))+"/F 5 0 R", head+body), syntax.ErrUnsupported),
		bad("external-indirect", edit("/Length 49", "/F 5 0 R/Length 49"), syntax.ErrUnsupported),
		bad("offsets-beyond", os(dict(2, 10), "1 0 2 9999 "[:10]+body)),
		bad("offsets-negative", os(dict(2, 9), "1 -1 2 5 "+body)),
		bad("numbers-differ", os(dict(2, len(head)), strings.Replace(head, "1 0", "3 0", 1)+body)),
		bad("member-malformed", os(dict(2, len(head)), head+"<</Type/Catalog/Pages 2 0 R   \n"+pages)),
		bad("member-header", os(dict(2, len(head)), head+"1 0 obj"+body)),
		bad("itself", selfContained()),
		bad("each-in-the-other", mutual()),
		bad("length-inside", lengthInside()),
		bad("in-missing-stream", write(layout{trailer: ids, streams: true}, object{num: 1, packed: 77}, obj(2, pages), obj(3, page))),
		bad("in-table-object", write(layout{trailer: ids, streams: true}, object{num: 1, packed: 2}, obj(2, pages), obj(3, page))),
	)
}

// damage flips a byte at a distance from the last mark.
func damage(b []byte, mark string, plus int) []byte {
	b = bytes.Clone(b)
	at := bytes.LastIndex(b, []byte(mark))
	if plus > 0 {
		at += len(mark)
	}
	b[at+plus] ^= 0x55
	return b
}

// selfContained: the object stream is said to be within itself.
func selfContained() []byte {
	return write(layout{trailer: ids, streams: true}, object{num: 1, packed: 6}, object{num: 6, packed: 6}, obj(2, pages), obj(3, page))
}

// mutual: two object streams, each within the other.
func mutual() []byte {
	return write(layout{trailer: ids, streams: true}, object{num: 1, packed: 6}, object{num: 6, packed: 7}, object{num: 7, packed: 6}, obj(2, pages), obj(3, page))
}

// lengthInside: the length of an object stream is one of its objects.
func lengthInside() []byte {
	head := "1 0 8 30 "
	data := head + catalog + "\n" + "99"
	return write(layout{trailer: ids, streams: true}, object{num: 1, packed: 6}, object{num: 8, packed: 6}, obj(2, pages), obj(3, page),
		obj(6, fmt.Sprintf("<</Type/ObjStm/N 2/First %d/Length 8 0 R>>\nstream\n%s\nendstream", len(head), data)))
}

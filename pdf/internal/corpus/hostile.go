package corpus

import (
	"fmt"
	"strings"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// brokenTrees: page trees, forms and catalogs that are none.
func brokenTrees() []Case {
	tree := func(root string, more ...object) []byte { return plain(append(more, obj(2, root))...) }
	leaf := "<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>"
	form := func(entries string, more ...object) []byte {
		return plain(append(more, withCatalog("/AcroForm<<"+entries+">>"))...)
	}
	deep := func(n int, format string, last string) []object {
		var out []object
		for i := range n {
			out = append(out, obj(10+i, fmt.Sprintf(format, 11+i)))
		}
		return append(out, obj(10+n, last))
	}
	both := []syntax.Sentinel{syntax.ErrInvalid, syntax.ErrTooLarge}
	return group("broken-trees",
		bad("no-pages-entry", plain(obj(1, "<</Type/Catalog>>"))),
		bad("pages-direct", plain(obj(1, "<</Type/Catalog/Pages"+pages+">>"))),
		bad("pages-null", plain(obj(1, "<</Type/Catalog/Pages 60 0 R>>"), obj(99, "null"))),
		bad("catalog-type", plain(obj(1, "<</Type/Katalog/Pages 2 0 R>>"))),
		bad("catalog-array", plain(obj(1, "[1 2 3]"))),
		bad("catalog-null", plain(obj(1, "null"))),
		bad("catalog-is-reference-loop", plain(obj(1, "6 0 R"), obj(6, "1 0 R"))),
		bad("zero-pages", tree("<</Type/Pages/Count 0/Kids[]>>")),
		bad("no-kids", tree("<</Type/Pages/Count 0>>")),
		bad("kids-number", tree("<</Type/Pages/Count 1/Kids 7>>")),
		bad("kids-direct", tree("<</Type/Pages/Count 1/Kids["+leaf+"]>>")),
		bad("kids-missing", tree("<</Type/Pages/Count 1/Kids[60 0 R]>>", obj(99, "null"))), bad("kids-null", tree("<</Type/Pages/Count 1/Kids[null]>>")),
		bad("cycle", tree("<</Type/Pages/Count 1/Kids[3 0 R 2 0 R]>>")),
		bad("cycle-of-two", tree("<</Type/Pages/Count 1/Kids[6 0 R]>>", obj(6, "<</Type/Pages/Count 1/Kids[2 0 R]>>"))),
		bad("page-twice", tree("<</Type/Pages/Count 2/Kids[3 0 R 3 0 R]>>")),
		bad("count-wrong", tree("<</Type/Pages/Count 7/Kids[3 0 R]>>")),
		bad("count-negative", tree("<</Type/Pages/Count -1/Kids[3 0 R]>>")),
		bad("count-huge", tree("<</Type/Pages/Count 99999999999999999999/Kids[3 0 R]>>")),
		bad("count-missing", tree("<</Type/Pages/Kids[3 0 R]>>")),
		bad("page-with-kids", tree(pages, withPage("/Kids[]"))),
		bad("page-type", tree(pages, obj(3, strings.Replace(page, "/Type/Page", "/Type/Paje", 1)))),
		bad("page-stream", tree(pages, stm(3, "/Type/Page", "x"))),
		either("pages-type", tree("<</Count 1/Kids[3 0 R]>>")),
		bad("deep-200", plain(append(deep(200, "<</Type/Pages/Count 1/Kids[%d 0 R]>>", leaf), obj(1, "<</Type/Catalog/Pages 10 0 R>>"))...), both...),
		bad("wide-loop", tree("<</Type/Pages/Count 1/Kids["+strings.Repeat("6 0 R ", 1000)+"]>>", obj(6, "<</Type/Pages/Count 1/Kids["+strings.Repeat("7 0 R ", 1000)+"]>>"), obj(7, leaf))),
		bad("annots-number", plain(withPage("/Annots 7"))),
		bad("annots-dictionary", plain(withPage("/Annots<<>>"))),
		bad("annots-loop", plain(withPage("/Annots 6 0 R"), obj(6, "7 0 R"), obj(7, "6 0 R"))),
		bad("acroform-array", plain(withCatalog("/AcroForm[]"))),
		bad("acroform-stream", plain(withCatalog("/AcroForm 4 0 R"))),
		bad("fields-number", form("/Fields 7")),
		bad("fields-direct", form("/Fields[<</T(a)>>]")),
		bad("field-cycle", form("/Fields[7 0 R]", obj(7, "<</T(a)/Kids[7 0 R]>>"))),
		bad("field-cycle-of-two", form("/Fields[7 0 R]", obj(7, "<</T(a)/Kids[8 0 R]>>"), obj(8, "<</T(b)/Kids[7 0 R]>>"))),
		bad("field-twice", form("/Fields[7 0 R 7 0 R]", obj(7, "<</T(a)/FT/Tx>>"))),
		bad("fields-deep", form("/Fields[10 0 R]", deep(500, "<</T(a)/Kids[%d 0 R]>>", "<</T(b)/FT/Tx>>")...), both...),
		bad("field-name-long", form("/Fields[7 0 R]", obj(7, "<</FT/Tx/T("+strings.Repeat("n", 1<<20)+")>>")), both...),
		bad("field-value-to-come", form("/Fields[7 0 R]", obj(7, "<</FT/Sig/T(S)/V 8 0 R>>"))),
		bad("field-to-come", form("/Fields[8 0 R]", obj(7, "null"))),
		bad("perms-to-come", plain(withCatalog("/Perms<</DocMDP 6 0 R>>"))),
		bad("certified-no-changes", form("/SigFlags 3/Fields[7 0 R]", obj(7, "<</FT/Sig/T(S)/V 8 0 R/Subtype/Widget/Rect[0 0 0 0]>>"), obj(8, certification)), syntax.ErrInvalid, syntax.ErrCertified, syntax.ErrUnsupported),
		either("inner-count-wrong", plain(obj(2, "<</Type/Pages/Count 1/Kids[6 0 R]>>"), obj(6, "<</Type/Pages/Parent 2 0 R/Count 9/Kids[3 0 R]>>"))),
		either("parent-wrong", plain(obj(3, strings.Replace(page, "2 0 R", "5 0 R", 1)))),
		either("no-media-box", plain(obj(3, "<</Type/Page/Parent 2 0 R>>"))),
		either("type-indirect", plain(obj(3, strings.Replace(page, "/Type/Page", "/Type 6 0 R", 1)), obj(6, "/Page"))),
	)
}

const certification = "<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/adbe.pkcs7.detached/ByteRange[0 1 2 3]/Contents<00>" +
	"/Reference[<</Type/SigRef/TransformMethod/DocMDP/TransformParams<</Type/TransformParams/P 1/V/1.2>>>>]>>"

// brokenSyntax: values that are none, or that readers take differently.
func brokenSyntax() []Case {
	dict := func(text string) []byte { return plain(obj(3, text)) }
	entry := func(text string) []byte { return plain(withPage(text)) }
	both := []syntax.Sentinel{syntax.ErrInvalid, syntax.ErrTooLarge}
	return group("broken-syntax",
		bad("key-twice", entry("/Type/Page")),
		bad("key-twice-escaped", entry("/#54ype/Page")),
		bad("key-twice-catalog", plain(withCatalog("/Pages 2 0 R"))),
		bad("key-twice-nested", entry("/X<</A 1/A 2>>")),
		bad("dictionary-open", dict(strings.TrimSuffix(page, ">>"))),
		bad("dictionary-odd", entry("/X")),
		bad("dictionary-key-number", entry("7 7")),
		bad("array-open", entry("/X[1 2 3")),
		bad("string-open", entry("/X(abc")),
		bad("hex-open", entry("/X<41")),
		bad("hex-letters", entry("/X<4G>")),
		bad("keyword-unknown", entry("/X tru")),
		bad("number-double-sign", entry("/X --1")),
		bad("number-two-points", entry("/X 1.2.3")),
		bad("brace", entry("/X{1}")),
		bad("close-bracket", entry("]")), bad("endobj-missing", swap(plain(), "endobj\n4 0 obj", "endobk\n4 0 obj")),
		bad("table-on-one-line", swap(plain(), "\n0000000000 65535 f \n", " 0000000000 65535 f \n")),
		bad("stream-no-eol", swap(write(layout{trailer: ids, streams: true}, with()...), "\nstream\n", "\nstream ")),
		bad("name-bad-escape", entry("/X/A#G0"), syntax.ErrInvalid),
		bad("arrays-100000-deep", entry("/X"+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)), both...),
		bad("dictionaries-100000-deep", entry("/X"+strings.Repeat("<</A", 100_000)+" 1"+strings.Repeat(">>", 100_000)), both...),
		bad("values-300000", entry("/X["+strings.Repeat("0 ", 300_000)+"]"), both...),
		bad("number-of-million-digits", entry("/X "+strings.Repeat("9", 1<<20)), both...),
		bad("comment-without-end", swap(plain(), "trailer\n<<", "trailer%<<"), both...),
		either("name-of-1MB", entry("/X/"+strings.Repeat("n", 1<<20))),
		either("parentheses-100000-deep", entry("/X"+strings.Repeat("(", 100_000)+strings.Repeat(")", 100_000))),
	)
}

// Bombs returns the documents to be refused that try to exhaust who reads
// them. Those that are Heavy are to be tried under limits.
func Bombs() []Case {
	any := []syntax.Sentinel{syntax.ErrInvalid, syntax.ErrTooLarge, syntax.ErrUnsupported}
	gigabyte := zeros(1000)
	rows := zeros(63)
	xref := func(w, index, parms, data string) []byte {
		b := fmt.Appendf(nil, "%%PDF-1.7\n")
		at := len(b)
		return fmt.Appendf(b, "1 0 obj\n<</Type/XRef/W%s/Index%s/Size 8388607/Root 1 0 R/Filter/FlateDecode%s/Length %d>>\nstream\n%s\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n", w, index, parms, len(data), data, at)
	}
	packed := func(data string, dict string) []byte {
		return write(layout{trailer: ids, streams: true}, object{num: 1, packed: 6}, obj(2, pages), obj(3, page), stm(6, "/Type/ObjStm/N 1/First 4/Filter/FlateDecode"+dict, data))
	}
	twice := deflate(gigabyte)
	many := []object{obj(1, catalog), obj(2, "")}
	var kids strings.Builder
	for i := range 60 {
		head := fmt.Sprintf("%d 0 ", 1000+i)
		data := deflateMany(head, 1, strings.Repeat(" ", 1<<20), 8, "<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>", 1)
		many = append(many, object{num: 1000 + i, packed: 100 + i}, stm(100+i, fmt.Sprintf("/Type/ObjStm/N 1/First %d/Filter/FlateDecode", len(head)), data))
		fmt.Fprintf(&kids, " %d 0 R", 1000+i)
	}
	many[1] = obj(2, "<</Type/Pages/Count 60/Kids["+kids.String()+"]>>")
	cases := group("bombs",
		bad("xref-stream-1GB", xref("[1 4 2]", "[0 8388607]", "", gigabyte), any...),
		bad("xref-stream-9-million-rows", xref("[1 4 2]", "[0 8388607]", "", rows), any...),
		bad("xref-stream-empty-rows", xref("[0 1 0]", "[0 8388607]", "", gigabyte), any...),
		bad("xref-stream-many-sections", xref("[0 1 0]", "["+strings.Repeat("0 8388606 ", 20_000)+"]", "", gigabyte), any...),
		bad("xref-stream-predictor", xref("[1 4 2]", "[0 8388607]", "/DecodeParms<</Predictor 12/Columns 1048575>>", gigabyte), any...),
		bad("xref-stream-row-wide", xref("[1 4 2]", "[0 8388607]", "/DecodeParms<</Predictor 15/Columns 1048575/Colors 32/BitsPerComponent 16>>", gigabyte), any...),
		bad("object-stream-1GB", packed(gigabyte, ""), any...),
		bad("object-stream-predictor", packed(gigabyte, "/DecodeParms<</Predictor 12/Columns 1000000>>"), any...),
		bad("object-stream-twice-deflated", write(layout{trailer: ids, streams: true}, object{num: 1, packed: 6}, obj(2, pages), obj(3, page), stm(6, "/Type/ObjStm/N 1/First 4/Filter[/FlateDecode/FlateDecode]", twice)), any...),
		bad("object-stream-64-filters", write(layout{trailer: ids, streams: true}, object{num: 1, packed: 6}, obj(2, pages), obj(3, page), stm(6, "/Type/ObjStm/N 1/First 4/Filter["+strings.Repeat("/FlateDecode", 64)+"]", twice)), any...),
		bad("object-stream-lzw", write(layout{trailer: ids, streams: true}, object{num: 1, packed: 6}, obj(2, pages), obj(3, page), stm(6, "/Type/ObjStm/N 1/First 4/Filter/LZWDecode", strings.Repeat("\x80\x00\x00", 1000))), any...),
		bad("object-stream-run-length", write(layout{trailer: ids, streams: true}, object{num: 1, packed: 6}, obj(2, pages), obj(3, page), stm(6, "/Type/ObjStm/N 1/First 4/Filter/RunLengthDecode", strings.Repeat("\x81\x00", 1<<20))), any...),
		bad("object-streams-480MB-in-all", write(layout{trailer: ids, streams: true}, many...), any...),
		bad("object-stream-n-million", write(layout{trailer: ids, streams: true}, object{num: 1, packed: 6}, obj(2, pages), obj(3, page), flate(6, "/Type/ObjStm/N 8000000/First 33000000", strings.Repeat("1 0 ", 8<<20)+catalog)), any...),
		bad("comments-20MB", plain(withPage(strings.Repeat("%\n", 10<<20))), any...),
		bad("spaces-40MB", plain(withPage(strings.Repeat(" ", 40<<20))), any...),
		bad("string-40MB", plain(withPage("/X("+strings.Repeat("s", 40<<20)+")")), any...),
		bad("hex-40MB", plain(withPage("/X<"+strings.Repeat("0", 40<<20)+">")), any...),
		bad("comments-in-trailer-20MB", write(layout{trailer: strings.Repeat("%\n", 10<<20)}, with()...), any...),
		bad("table-8-million-entries", hugeTable(8_000_000), any...),
		bad("table-subsections", manySubsections(300_000), any...),
		either("table-free-entries", hugeFree(400_000)),
		bad("fields-200000", manyFields(200_000), any...), bad("pages-300000", manyPages(300_000, 1000), any...),
	)
	for i := range cases {
		cases[i].Heavy = true
	}
	return append(cases, Sparses()...)
}

// Sparses returns the bombs that are not held in memory.
func Sparses() []Case {
	any := []syntax.Sentinel{syntax.ErrInvalid, syntax.ErrTooLarge, syntax.ErrUnsupported}
	return group("bombs",
		Case{Name: "sparse-claims-4GB", Sparse: claims(4 << 30), Refusals: any},
		Case{Name: "sparse-12GB", Sparse: sparse(12 << 30), Refusals: any},
		Case{Name: "sparse-spaces-1GB", Sparse: &Sparse{size: 1 << 30, chunks: []chunk{{0, []byte("%PDF-1.7\n")}, {1<<30 - 30, []byte("startxref\n10\n%%EOF\n")}}}, Refusals: any},
		Case{Name: "sparse-nothing", Sparse: &Sparse{size: 1 << 30}, Refusals: any},
	)
}

// hugeTable claims entries that are not there.
func hugeTable(n int) []byte {
	b := []byte("%PDF-1.7\n")
	return fmt.Appendf(b, "xref\n0 %d\n0000000000 65535 f \ntrailer\n<</Size %d/Root 1 0 R>>\nstartxref\n9\n%%%%EOF\n", n, n)
}

func manySubsections(n int) []byte {
	b := plain()
	at := lastXref(b)
	var s strings.Builder
	for range n {
		s.WriteString("7 0\n")
	}
	return []byte(string(b[:at]) + strings.Replace(string(b[at:]), "xref\n0 6\n", "xref\n"+s.String()+"0 6\n", 1))
}

func hugeFree(n int) []byte {
	b := plain()
	at := lastXref(b)
	return []byte(string(b[:at]) + strings.Replace(string(b[at:]), "xref\n", fmt.Sprintf("xref\n100 %d\n", n)+strings.Repeat("0000000000 00000 f \n", n), 1))
}

// claims is a short document whose offsets and lengths are about size bytes.
func claims(size int64) *Sparse {
	b := plain(obj(4, fmt.Sprintf("<</Length %d>>\nstream\nx\nendstream", size)))
	b = swap(b, "trailer\n<</Size 6", fmt.Sprintf("trailer\n<</Size 6/Prev %d", size))
	return &Sparse{size: int64(len(b)), chunks: []chunk{{0, b}}}
}

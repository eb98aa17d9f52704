package corpus

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// xrefKinds: each way to find objects (ISO 32000-2, Sections 7.5.4, 7.5.7 and
// 7.5.8).
func xrefKinds() []Case {
	l := layout{trailer: ids}
	in := func(change func(*layout), objects ...object) []byte {
		l := l
		change(&l)
		return write(l, objects...)
	}
	packed := slices.Concat([]object{stm(4, "", text)}, pack(6, "", obj(1, catalog), obj(2, pages), obj(3, page), obj(5, font)))
	annotated := slices.Concat([]object{stm(4, "", text)}, pack(6, "", withCatalog("/AcroForm 8 0 R"), obj(2, pages), withPage("/Annots 9 0 R"), obj(5, font),
		obj(8, "<</Fields 10 0 R>>"), obj(9, "[11 0 R]"), obj(10, "[11 0 R]"), obj(11, "<</Type/Annot/Subtype/Widget/FT/Tx/T(nama)/Rect[9 9 99 29]/P 3 0 R>>")))
	extended := slices.Concat([]object{stm(4, "", text)}, pack(6, "/Extends 7 0 R", obj(1, catalog), obj(3, page)), pack(7, "", obj(2, pages), obj(5, font)))
	return group("xref",
		good("table", in(func(*layout) {}, with()...)),
		good("table-crlf-entries", in(func(l *layout) { l.entryEOL = "\r\n" }, with()...)),
		good("table-cr-entries", in(func(l *layout) { l.entryEOL = " \r" }, with()...)),
		good("table-gaps", in(func(*layout) {}, with(obj(40, "null"), obj(8000, "[1 2 3]"))...)),
		good("table-largest-number", in(func(*layout) {}, with(obj(8_000_000, "null"))...)),
		good("table-empty-subsection", swap(in(func(*layout) {}, with()...), "xref\n0 6\n", "xref\n0 0\n0 6\n")),
		good("table-free-list", in(func(*layout) {}, with(object{num: 6, gen: 7, free: true}, object{num: 7, gen: 65535, free: true})...)),
		good("table-size-beyond", swap(in(func(*layout) {}, with()...), "/Size 6", "/Size 4711")),
		good("generations", in(func(l *layout) { l.root = "1 3 R" },
			object{num: 1, gen: 3, body: "<</Type/Catalog/Pages 2 1 R>>"}, object{num: 2, gen: 1, body: "<</Type/Pages/Count 1/Kids[3 9 R]>>"},
			object{num: 3, gen: 9, body: strings.Replace(page, "2 0 R", "2 1 R", 1)}, stm(4, "", text), obj(5, font))),
		good("stream", in(func(l *layout) { l.streams = true }, with()...)),
		good("stream-predictor", in(func(l *layout) { l.streams, l.filter = true, true }, with()...)),
		good("stream-wide", in(func(l *layout) { l.streams, l.widths = true, [3]int{1, 8, 4} }, with()...)),
		good("stream-narrow", in(func(l *layout) { l.streams, l.widths = true, [3]int{1, 2, 2} }, with()...)),
		good("stream-no-type-column", in(func(l *layout) { l.streams, l.widths = true, [3]int{0, 2, 0} }, with(withPage("/First true"))...)),
		good("stream-gaps", in(func(l *layout) { l.streams = true }, with(obj(40, "null"), obj(8000, "[1 2 3]"))...)),
		good("object-stream", in(func(l *layout) { l.streams = true }, packed...)),
		good("object-stream-form", in(func(l *layout) { l.streams = true }, annotated...)),
		good("object-stream-extends", in(func(l *layout) { l.streams, l.filter = true, true }, extended...)),
		good("object-stream-cr", in(func(l *layout) { l.streams, l.eol = true, "\r" }, packed...)),
		good("hybrid", hybrid(false)),
		good("hybrid-update", update(hybrid(false), layout{trailer: ids}, withPage("/Rotate 0"))),
	)
}

// hybrid makes a hybrid file (ISO 32000-2, Section 7.5.8.4): object 6 is found
// by readers of cross-reference streams alone. With clash the stream also
// says something else about the page.
func hybrid(clash bool) []byte {
	b := []byte("%PDF-1.5\n%\xE2\xE3\xCF\xD3\n")
	var rows []row
	put := func(o object) {
		rows = append(rows, row{o.num, 1, len(b), 0})
		b = fmt.Appendf(b, "%d 0 obj\n%s\nendobj\n", o.num, o.body)
	}
	for _, o := range with() {
		put(o)
	}
	other := len(b)
	put(stm(6, "", strings.Replace(text, "Halaman", "Palsu", 1)))
	hidden := []row{rows[5]}
	rows[5] = row{6, 0, 0, 0}
	if clash {
		hidden = append(hidden, row{4, 1, other, 0})
	}
	l := layout{size: 8}.or()
	stream := len(b)
	b = xrefStream(b, l, "", append(hidden, row{7, 1, stream, 0}))
	rows = append(rows, row{0, 0, 0, 65535}, row{7, 1, stream, 0})
	at := len(b)
	b = xrefTable(b, l, rows)
	return fmt.Appendf(b, "trailer\n<</Size 8/Root 1 0 R/XRefStm %d%s>>\nstartxref\n%d\n%%%%EOF\n", stream, ids, at)
}

// updates: incremental updates (ISO 32000-2, Section 7.5.6).
func updates() []Case {
	l := layout{trailer: ids}
	s := layout{trailer: ids, streams: true}
	first := plain(obj(6, "<</Note(lama)>>"))
	many := first
	for i := range 30 {
		many = update(many, l, obj(6, fmt.Sprintf("<</Note(%d)>>", i)))
	}
	deleted := update(first, l, object{num: 6, gen: 1, free: true})
	resurrected := update(deleted, l, object{num: 6, gen: 1, body: "<</Note(hidup semula)>>"}, withPage("/Annots[]/PieceInfo 6 1 R"))
	return group("updates",
		good("one", update(first, l, withPage("/Rotate 0"))),
		good("thirty", many),
		good("deleted", deleted),
		good("resurrected", resurrected),
		good("deleted-page", update(update(plain(obj(2, strings.Replace(pages, "1/Kids[", "2/Kids[6 0 R ", 1)), obj(6, "<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>")),
			l, obj(2, pages), object{num: 6, gen: 1, free: true}), l, withPage("/Rotate 0"))),
		good("new-catalog-object", update(first, layout{trailer: ids, root: "9 0 R"}, obj(9, catalog))),
		good("streams", update(write(s, with()...), s, withPage("/Rotate 0"))),
		good("stream-on-table", update(first, s, withPage("/Rotate 0"))),
		good("table-on-stream", update(write(s, with()...), l, withPage("/Rotate 0"))),
		good("out-of-object-stream", update(write(s, slices.Concat([]object{stm(4, "", text)}, pack(6, "", obj(1, catalog), obj(2, pages), obj(3, page), obj(5, font)))...), s, withPage("/Rotate 0"))),
		good("empty-update", update(first, l)),
		good("no-eol-between", append(bytes.TrimRight(first, "\n"), update(first, l, withPage("/Rotate 0"))[len(first)-1:]...)),
	)
}

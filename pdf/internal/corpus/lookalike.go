package corpus

import (
	"fmt"
	"strings"
)

// placeholder is what signers that search for the room they made look for: a
// dictionary of the attacker's own with an empty /ByteRange and /Contents.
func placeholder(byteRange string, zeros int) string {
	return "/Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached/Name(PENYERANG)/Reason(Lulus)/M(D:20200101000000Z)\n/ByteRange " + byteRange +
		"\n/Contents <" + strings.Repeat("0", zeros) + ">"
}

// lookAlikes: documents with bytes that look like room for a signature. Only
// offsets that were computed hold here.
func lookAlikes() []Case {
	var cases []Case
	blank := fmt.Sprintf("[0 %30s]", "")
	for _, c := range [][2]string{
		{"stars", placeholder("[0 ********** ********** **********]", 16384)},
		{"spaces", placeholder(blank, 8192)},
		{"zeros", placeholder("[0 0000000000 0000000000 0000000000]", 30000)},
		{"numbers", placeholder("[0 9999999999 9999999999 9999999999]", 4096)},
	} {
		name, p := c[0], c[1]
		// The stars are no PDF syntax: only where nobody parses them.
		if name != "stars" {
			cases = append(cases, good(name+"-unreferenced", plain(obj(6, "<<"+p+">>"))),
				good(name+"-annotation", plain(withPage("/Annots[7 0 R]"), obj(7, "<</Type/Annot/Subtype/Link/Rect[0 0 9 9]/Border[0 0 0]/X<<"+p+">>>>"))),
				good(name+"-piece-info", plain(withPage("/PieceInfo<</X<<"+p+">>>>"))),
				good(name+"-trailer", write(layout{trailer: ids + "/X<<" + p + ">>"}, with()...)))
		}
		cases = append(cases,
			good(name+"-string", plain(withPage("/X("+p+")"))),
			good(name+"-comment", plain(obj(3, strings.Replace(page, "/Parent", "%"+strings.ReplaceAll(p, "\n", " ")+"\n/Parent", 1)))),
			good(name+"-stream", plain(stm(6, "", p))),
			good(name+"-unparsed", plain(obj(6, "<<"+p+">>"))),
			good(name+"-info", write(layout{trailer: ids + "/Info 6 0 R"}, with(obj(6, "<</Title("+p+")>>"))...)),
			good(name+"-after-header", write(layout{header: "%PDF-1.7\n%" + strings.ReplaceAll(p, "\n", " ") + "\n", trailer: ids}, with()...)),
			good(name+"-twice", plain(stm(6, "", p+p), withPage("/X("+p+")"))))
	}
	later := func(text string) []byte { return append(plain(), text...) }
	return append(group("look-alikes", cases...), group("look-alikes",
		good("after-eof", later("%"+strings.ReplaceAll(placeholder(blank, 800), "\n", " ")+"\n")),
		good("object-number-to-come", plain(obj(6, "(7 0 obj <<"+placeholder(blank, 100)+">> endobj)"))),
		good("field-name", plain(withCatalog("/AcroForm<</Fields[7 0 R]>>"), obj(7, "<</FT/Tx/T(/ByteRange [0 1 2 3]/Contents<00>)>>"))),
		good("own-format", plain(obj(6, "(<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached\n/ByteRange "+blank+"\n/Contents <"+strings.Repeat("0", 5000)+">\n/M(D:20260101000000Z)\n>>)"))),
	)...)
}

// large: documents whose size is the difficulty.
func large() []Case {
	return group("large",
		good("pages-5000", manyPages(5000, 0)),
		good("pages-5000-nested", manyPages(5000, 50)),
		good("pages-100000", manyPages(100_000, 100)),
		good("fields-10000", manyFields(10_000)),
		good("annots-20000", plain(withPage("/Annots["+strings.Repeat("6 0 R ", 20_000)+"]"), obj(6, "<</Type/Annot/Subtype/Link/Rect[0 0 9 9]/Border[0 0 0]>>"))),
		good("stream-20MB", plain(stm(6, "", strings.Repeat("0123456789abcdef", 20<<16)))),
		Case{Name: "sparse-1GB", Sparse: sparse(1 << 30)},
		Case{Name: "sparse-8GB", Sparse: sparse(8 << 30)},
	)
}

// manyPages makes n pages, in branches of the width given.
func manyPages(n, width int) []byte {
	objects := []object{obj(1, catalog), stm(4, "", text), obj(5, font)}
	var root strings.Builder
	kids := &root
	var branch strings.Builder
	parent, next := 2, 10
	for i := range n {
		if width > 0 && i%width == 0 {
			parent, next = next, next+1
			fmt.Fprintf(&root, " %d 0 R", parent)
			branch.Reset()
			kids = &branch
		}
		fmt.Fprintf(kids, " %d 0 R", next)
		objects = append(objects, obj(next, fmt.Sprintf("<</Type/Page/Parent %d 0 R/Contents 4 0 R>>", parent)))
		next++
		if width > 0 && (i%width == width-1 || i == n-1) {
			objects = append(objects, obj(parent, fmt.Sprintf("<</Type/Pages/Parent 2 0 R/Count %d/Kids[%s]>>", i%width+1, branch.String())))
		}
	}
	objects = append(objects, obj(2, fmt.Sprintf("<</Type/Pages/Count %d/Kids[%s]/MediaBox[0 0 595 842]/Resources<</Font<</F0 5 0 R>>>>>>", n, root.String())))
	return write(layout{trailer: ids}, objects...)
}

func manyFields(n int) []byte {
	var refs strings.Builder
	objects := with()
	for i := range n {
		fmt.Fprintf(&refs, " %d 0 R", 10+i)
		objects = append(objects, obj(10+i, fmt.Sprintf("<</FT/Tx/T(medan%d)/V(%d)>>", i, i)))
	}
	objects = append(objects, obj(7, "<</Fields["+refs.String()+"]>>"))
	objects[0] = withCatalog("/AcroForm 7 0 R")
	return write(layout{trailer: ids}, objects...)
}

// sparse is a document whose fourth object is a stream that fills it up.
func sparse(size int64) *Sparse {
	head := fmt.Appendf(nil, "%%PDF-1.7\n%%\xE2\xE3\xCF\xD3\n")
	var offsets []int64
	for _, o := range with(stm(4, "", text)) {
		offsets = append(offsets, int64(len(head)))
		head = fmt.Appendf(head, "%d 0 obj\n%s\nendobj\n", o.num, o.body)
	}
	tail := "\nendstream\nendobj\nxref\n0 7\n0000000000 65535 f \n"
	offsets = append(offsets, int64(len(head)))
	for _, off := range offsets {
		tail += fmt.Sprintf("%010d 00000 n \n", off)
	}
	length := size - int64(len(head)) - 600
	head = fmt.Appendf(head, "6 0 obj\n<</Length %d>>\nstream\n", length)
	at := int64(len(head)) + length
	tail += fmt.Sprintf("trailer\n<</Size 7/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n", ids, at+int64(strings.Index(tail, "xref\n0")))
	return &Sparse{size: at + int64(len(tail)), chunks: []chunk{{0, head}, {at, []byte(tail)}}}
}

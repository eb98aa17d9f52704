package corpus

import (
	"bytes"
	"fmt"
	"strings"
)

// syntaxKinds: legal ways to write the same document (ISO 32000-2, Sections
// 7.2, 7.3 and 7.5.2).
func syntaxKinds() []Case {
	var cases []Case
	for _, v := range []string{"1.0", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "2.0"} {
		cases = append(cases, good("version-"+v, write(layout{header: "%PDF-" + v + "\n%\xE2\xE3\xCF\xD3\n", trailer: ids}, with()...)))
	}
	in := func(change func(*layout), objects ...object) []byte {
		l := layout{trailer: ids}
		change(&l)
		return write(l, with(objects...)...)
	}
	whole := plain()
	eol := func(s string) func(*layout) {
		return func(l *layout) { l.eol, l.header = s, strings.ReplaceAll("%PDF-1.7\n%\xE2\xE3\xCF\xD3\n", "\n", s) }
	}
	return append(group("syntax", cases...), group("syntax",
		good("version-in-catalog", plain(withCatalog("/Version/2.0"))),
		good("no-binary-comment", in(func(l *layout) { l.header = "%PDF-1.4\n" })),
		good("lf", in(eol("\n"))),
		good("crlf", in(eol("\r\n"))),
		good("cr", in(eol("\r"))),
		good("cr-only", in(func(l *layout) { eol("\r")(l); l.entryEOL = " \r" })),
		good("mixed-eol", update(in(eol("\r\n")), layout{trailer: ids, eol: "\r"}, withPage("/Rotate 0"))),
		good("no-final-eol", bytes.TrimRight(whole, "\n")),
		good("final-crlf", append(bytes.TrimRight(whole, "\n"), "\r\n"...)),
		good("final-cr", append(bytes.TrimRight(whole, "\n"), '\r')),
		good("final-spaces", append(bytes.Clone(whole), "   \t\r\n\n\n"...)),
		good("junk-after", append(bytes.Clone(whole), "<!-- dimuat turun -->\n\x00\x00\x00"...)),
		good("zeros-after", append(bytes.Clone(whole), make([]byte, 900)...)),
		good("junk-before-absolute", in(func(l *layout) { l.header = "sampah\r\n%PDF-1.7\n%\xE2\xE3\xCF\xD3\n" })),
		good("junk-before-relative", append([]byte("sampah\r\n"), whole...)),
		good("comments", commented()),
		good("comments-in-trailer", swap(whole, "<</Size 6", "% komen >>\n<<% lagi\r/Size % enam\n6 %\n")),
		good("comment-before-startxref", swap(whole, "startxref", "%komen\nstartxref")),
		good("space-in-trailer", swap(swap(whole, "<</Size 6", "\t \f<< \n\n /Size\t\t6\r\n"), "R/ID[", "R\n\n\n/ID\x00[ ")),
		good("trailer-on-one-line", swap(whole, "trailer\n<<", "trailer<<")),
		good("trailer-keys-unknown", swap(whole, "trailer\n<<", "trailer\n<</DocChecksum /ABC/Nested<</A[1<</B 2>>]>>")),
		good("objects-on-one-line", in(func(l *layout) { l.eol = " " }, stm(4, "", text))),
		good("space-before-objects", in(func(l *layout) { l.before = "\n \n\t" })),
		good("names-escaped", plain(obj(3, strings.NewReplacer("/Parent", "/P#61rent", "/Type/Page", "/Type/#50age", "/Contents", "/Content#73").Replace(page)))),
		good("odd-values", plain(withPage("/A(a\\)\\(b\\053\\\r\nc(d(e)f)\\q)/B<4 1 4>/C/ /D[+1 -.5 4. 00012 -0 .002]/E null/F true/G<</H<</I[[[]]]>>>>/J()/K<>/L#20M 1"))),
		good("long-string", plain(withPage("/A("+strings.Repeat("panjang ", 20_000)+")"))),
		good("strings-like-structure", plain(withPage("/A(\nendobj\nxref\n0 1\ntrailer<</Size 1>>\nstartxref\n0\n%%EOF\n1 0 obj)/B<< /C(>>)>>"))),
		good("no-id", write(layout{}, with()...)),
		good("id-empty", write(layout{trailer: "/ID[<><>]"}, with()...)),
		good("id-indirect", write(layout{trailer: "/ID 6 0 R"}, with(obj(6, "[(abcdefghijklmnop)(\\(\\)\\\\23456789012345)]"))...)),
		good("info", write(layout{trailer: ids + "/Info 6 0 R"}, with(obj(6, "<</Title(Surat \\(salinan\\))/Producer<FEFF004D00610077006100720021>/CreationDate(D:20260101120000+08'00')>>"))...)),
		good("empty-streams", plain(stm(6, "", ""), stm(7, "", ""), withPage("/PieceInfo 6 0 R"))),
		good("length-forward", plain(obj(4, fmt.Sprintf("<</Length 6 0 R>>\nstream\n%s\nendstream", text)), obj(6, fmt.Sprint(len(text))))),
		good("no-eol-before-endstream", plain(obj(4, fmt.Sprintf("<</Length %d>>\nstream\n%sendstream", len(text), text)))),
		good("endstream-in-data", plain(stm(6, "", "endstream\nendobj\n7 0 obj\n<<>>\nendobj\n"))),
		good("contents-array", plain(obj(3, strings.Replace(page, "4 0 R", "[4 0 R 6 0 R 7 0 R]", 1)), stm(6, "", "q Q"), flate(7, "", "q Q"))),
	)...)
}

// commented has comments between all tokens that may have them.
func commented() []byte {
	c := func(s string) string {
		return strings.NewReplacer("<<", "<<%a>>\n", ">>", "%(b\n>>", "[", "[%]\n", " 0 R", " 0%\nR%obj endobj\n").Replace(s)
	}
	objects := []object{obj(1, c(catalog)), obj(2, c(pages)), obj(3, c(page)), stm(4, "%c\n", text), obj(5, c(font))}
	for i := range objects[:3] {
		objects[i].body = "%d\n" + objects[i].body + "%e\r%f\n"
	}
	return write(layout{trailer: "%g\n" + ids + "%h\n", before: "%i stream\n"}, objects...)
}

package pdftest

import (
	"bytes"
	"fmt"
	"strings"
)

// Writer makes a classic PDF file, object by object.
type Writer struct {
	buf     bytes.Buffer
	offsets map[int]int
	max     int
	// Junk goes before the header.
	Junk string
}

// Object writes an indirect object of generation 0.
func (w *Writer) Object(num int, body string) {
	w.start()
	w.offsets[num] = w.buf.Len()
	w.max = max(w.max, num)
	fmt.Fprintf(&w.buf, "%d 0 obj\n%s\nendobj\n", num, body)
}

// Stream writes a stream without a filter.
func (w *Writer) Stream(num int, dict, data string) {
	w.Object(num, fmt.Sprintf("<<%s/Length %d>>\nstream\n%s\nendstream", dict, len(data), data))
}

func (w *Writer) start() {
	if w.offsets == nil {
		w.offsets = make(map[int]int)
		w.buf.WriteString(w.Junk + "%PDF-1.7\n%\xE2\xE3\xCF\xD3\n")
	}
}

// Close writes cross-reference table and trailer. Object 1 is the catalog.
func (w *Writer) Close(trailer string) []byte {
	w.start()
	at := w.buf.Len()
	fmt.Fprintf(&w.buf, "xref\n0 %d\n0000000000 65535 f \n", w.max+1)
	for i := 1; i <= w.max; i++ {
		if off, ok := w.offsets[i]; ok {
			fmt.Fprintf(&w.buf, "%010d 00000 n \n", off)
		} else {
			w.buf.WriteString("0000000000 00000 f \n")
		}
	}
	fmt.Fprintf(&w.buf, "trailer\n<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n", w.max+1, trailer, at)
	return w.buf.Bytes()
}

// Font is object 3 of Document.
const Font = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"

// Shape is how a Document is made. Texts are entries of dictionaries.
type Shape struct {
	Pages   int    // 1 when 0
	Padding int    // bytes of an unused stream
	Catalog string // entries of the catalog
	Page    string // entries of the first page
	Root    string // entries of the page tree's root
	Trailer string
	Junk    string
	Extra   map[int]string // objects from 1000 on
}

// Document makes a small document: a page says "Halaman n".
func Document(s Shape) []byte {
	w := &Writer{Junk: s.Junk}
	n := max(1, s.Pages)
	w.Object(1, "<</Type/Catalog/Pages 2 0 R"+s.Catalog+">>")
	var kids strings.Builder
	for i := range n {
		fmt.Fprintf(&kids, " %d 0 R", 10+2*i)
	}
	w.Object(2, fmt.Sprintf("<</Type/Pages/Count %d/Kids[%s]/MediaBox[0 0 595 842]/Resources<</Font<</F0 3 0 R>>>>%s>>", n, kids.String(), s.Root))
	w.Object(3, Font)
	if s.Padding > 0 {
		w.Stream(4, "", strings.Repeat("padding\n", s.Padding/8))
	}
	for i := range n {
		extra := ""
		if i == 0 {
			extra = s.Page
		}
		w.Object(10+2*i, fmt.Sprintf("<</Type/Page/Parent 2 0 R/Contents %d 0 R%s>>", 11+2*i, extra))
		w.Stream(11+2*i, "", fmt.Sprintf("BT /F0 24 Tf 72 700 Td (Halaman %d) Tj ET", i+1))
	}
	for num, body := range s.Extra {
		w.Object(num, body)
	}
	trailer := s.Trailer
	if trailer == "" {
		trailer = "/Info 3 0 R/ID[<00112233445566778899AABBCCDDEEFF><00112233445566778899AABBCCDDEEFF>]"
	}
	return w.Close(trailer)
}

// Hybrid makes a hybrid file (ISO 32000-2, Section 7.5.8.4). Its page is
// object 3 or 4. The other arguments are the entries of object 4 in the table
// and in the cross-reference stream; FOUR and THREE stand for places.
func Hybrid(page int, tableEntry, entry string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.5\n")
	offs := map[int]int{}
	object := func(n int, body string) {
		offs[n] = b.Len()
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", n, body)
	}
	object(1, "<</Type/Catalog/Pages 2 0 R>>")
	object(2, fmt.Sprintf("<</Type/Pages/Count 1/Kids[%d 0 R]/MediaBox[0 0 595 842]>>", page))
	object(3, "<</Type/Page/Parent 2 0 R/Other true>>")
	object(4, "<</Type/Page/Parent 2 0 R>>")
	at := func(n int) string { return string([]byte{1, byte(offs[n] >> 8), byte(offs[n]), 0}) }
	entry = strings.NewReplacer("FOUR", at(4), "THREE", at(3)).Replace(entry)
	object(5, fmt.Sprintf("<</Type/XRef/W[1 2 1]/Index[4 1]/Size 6/Length 4>>\nstream\n%s\nendstream", entry))
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 6\n0000000000 65535 f \n")
	for n := 1; n < 6; n++ {
		if n == 4 {
			b.WriteString(strings.ReplaceAll(tableEntry, "FOUR", fmt.Sprintf("%010d", offs[4])))
			continue
		}
		fmt.Fprintf(&b, "%010d 00000 n \n", offs[n])
	}
	fmt.Fprintf(&b, "trailer\n<</Size 6/Root 1 0 R/XRefStm %d>>\nstartxref\n%d\n%%%%EOF", offs[5], xref)
	return b.Bytes()
}

package verify_test

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
	"github.com/mohor-sign/mohor/pdf/verify"
)

const reviewForm = "/Type/XObject/Subtype/Form/BBox[0 0 595 842]/Resources<</Font<</F0 5 0 R>>>>"

func reviewText(text string) string { return "BT /F0 24 Tf 72 600 Td (" + text + ") Tj ET" }

// TestPageIsNoDictionaryOfXObjects: a page serves as the dictionary in which
// another looks its XObjects up, and its /Annots is the one drawn.
func TestPageIsNoDictionaryOfXObjects(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	o := verify.Options{Roots: p.Roots()}
	w := &pdftest.Writer{}
	w.Object(1, "<</Type/Catalog/Pages 2 0 R>>")
	w.Object(2, "<</Type/Pages/Count 2/Kids[3 0 R 7 0 R]/MediaBox[0 0 595 842]>>")
	w.Object(3, "<</Type/Page/Parent 2 0 R/Contents 4 0 R/Resources<</Font<</F0 5 0 R>>/XObject 7 0 R>>>>")
	w.Stream(4, "", "BT /F0 24 Tf 72 700 Td (Bayar) Tj ET /Annots Do")
	w.Object(5, pdftest.Font)
	w.Stream(6, reviewForm, reviewText("RM 100"))
	w.Object(7, "<</Type/Page/Parent 2 0 R/Annots 6 0 R>>")
	for _, certify := range []int{0, 1} {
		signed := p.Sign(t, w.Close(""), pdf.Options{Field: "Pengarah", Certify: certify})
		mustPass(t, signed, o)
		b := supersede(signed, map[int]numbered{
			7:    {0, "<</Type/Page/Parent 2 0 R/Annots 2000 0 R>>"},
			2000: {0, fmt.Sprintf("<<%s/Length 60>>\nstream\n%-60s\nendstream", reviewForm, reviewText("RM 1,000,000"))},
		})
		mustNotPass(t, fmt.Sprint("other /Annots drawn, certify ", certify), b, o)
	}
}

// TestFieldIsNoDictionaryOfXObjects: an empty signature field serves as a
// dictionary of XObjects; a stranger's stamp in it sets the /M that is drawn.
func TestFieldIsNoDictionaryOfXObjects(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	stranger := pdftest.NewAuthorities(t, pdftest.New(t, cms.ECDSA, crypto.SHA256, nil))
	o := verify.Options{Roots: p.Roots()}
	for _, kind := range []string{"XObject", "Font"} {
		w := &pdftest.Writer{}
		w.Object(1, "<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[7 0 R]>>>>")
		w.Object(2, "<</Type/Pages/Count 1/Kids[3 0 R]/MediaBox[0 0 595 842]>>")
		old := "6 0 R"
		if kind == "XObject" {
			w.Object(3, "<</Type/Page/Parent 2 0 R/Contents 4 0 R/Resources<</Font<</F0 5 0 R>>/XObject 7 0 R>>>>")
			w.Stream(4, "", "BT /F0 24 Tf 72 700 Td (Bayar) Tj ET /M Do")
			w.Stream(6, reviewForm, reviewText("RM 100"))
		} else {
			w.Object(3, "<</Type/Page/Parent 2 0 R/Contents 4 0 R/Resources<</Font 7 0 R>>>>")
			w.Stream(4, "", "BT /M 24 Tf 72 700 Td (Bayar RM 100) Tj ET")
			old = "5 0 R"
		}
		w.Object(5, pdftest.Font)
		w.Object(7, "<</FT/Sig/T(cap)/M "+old+">>")
		signed := p.Sign(t, w.Close(""), pdf.Options{Field: "Pengarah", Certify: 1})
		mustPass(t, signed, o)
		other := fmt.Sprintf("<<%s/Length 60>>\nstream\n%-60s\nendstream", reviewForm, reviewText("RM 1,000,000"))
		if kind == "Font" {
			other = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding<</Type/Encoding/Differences[48/nine/nine]>>>>"
		}
		b := seal(t, stranger, supersede(signed, map[int]numbered{
			7:    {0, "<</FT/Sig/T(cap)/M 2001 0 R/V 2000 0 R>>"},
			2000: {0, stampBody()},
			2001: {0, other},
		}))
		mustNotPass(t, "other /M as "+kind, b, o)
	}
}

// TestCatalogIsNoDictionaryOfFonts: the catalog serves as a dictionary of fonts,
// and its /Extensions as the font.
func TestCatalogIsNoDictionaryOfFonts(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	o := verify.Options{Roots: p.Roots()}
	w := &pdftest.Writer{}
	w.Object(1, "<</Type/Catalog/Pages 2 0 R/Extensions<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding<</Type/Encoding>>>>>>")
	w.Object(2, "<</Type/Pages/Count 1/Kids[3 0 R]/MediaBox[0 0 595 842]>>")
	w.Object(3, "<</Type/Page/Parent 2 0 R/Contents 4 0 R/Resources<</Font 1 0 R>>>>")
	w.Stream(4, "", "BT /Extensions 24 Tf 72 700 Td (Bayar RM 100) Tj ET")
	signed := p.Sign(t, w.Close(""), pdf.Options{Field: "Pengarah", Certify: 1})
	mustPass(t, signed, o)
	cat := catalogIn(t, signed)
	b := supersede(signed, map[int]numbered{
		1: {0, strings.Replace(cat, "<</Type/Encoding>>", "<</Type/Encoding/Differences[48/nine/nine]>>", 1)}})
	mustNotPass(t, "other encoding", b, o)
}

// TestFreeObjectUnderAnotherGeneration: an object that does not exist is
// referred to under a generation; readers that ignore it find the new object.
func TestFreeObjectUnderAnotherGeneration(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	o := verify.Options{Roots: p.Roots()}
	w := &pdftest.Writer{}
	w.Object(1, "<</Type/Catalog/Pages 2 0 R>>")
	w.Object(2, "<</Type/Pages/Count 1/Kids[3 0 R]/MediaBox[0 0 595 842]>>")
	w.Object(3, "<</Type/Page/Parent 2 0 R/Contents[4 0 R 6 1 R]/Resources<</Font<</F0 5 0 R>>>>>>")
	w.Stream(4, "", "BT /F0 24 Tf 72 700 Td (Bayar RM 100) Tj ET")
	w.Object(5, pdftest.Font)
	w.Object(7, "null")
	signed := p.Sign(t, w.Close(""), pdf.Options{Field: "Pengarah", Certify: 1})
	mustPass(t, signed, o)
	b := supersede(signed, map[int]numbered{6: {0, fmt.Sprintf("<</Length 60>>\nstream\n%-60s\nendstream", reviewText(",000,000"))}})
	mustNotPass(t, "object under another generation", b, o)
}

// reviewLinearized has cross-reference data of its own behind a first object
// that calls the document of a length linearized: readers start from them when
// it is the document's.
func reviewLinearized(length int) []byte {
	var b bytes.Buffer
	at := map[int]int{}
	b.WriteString("%PDF-1.7\n")
	fmt.Fprintf(&b, "9 0 obj\n<</Linearized 1/L %010d/H[500 10]/O 3/E 1000/N 1/T 1>>\nendobj\n", length)
	first := b.Len()
	table := func(content int) string {
		s := "xref\n0 10\n0000000000 65535 f \n"
		for _, off := range []int{at[1], at[2], at[3], at[content], at[5], 0, 0, 0, 9} {
			if off == 0 {
				s += "0000000000 00000 f \n"
				continue
			}
			s += fmt.Sprintf("%010d 00000 n \n", off)
		}
		return s
	}
	b.WriteString(table(4) + "trailer\n<</Size 10/Root 1 0 R>>\nstartxref\n0\n%%EOF\n")
	object := func(n int, body string) {
		at[n] = b.Len()
		fmt.Fprintf(&b, "%2d 0 obj\n%s\nendobj\n", n%10, body)
	}
	stream := func(n int, text string) {
		object(n, fmt.Sprintf("<</Length %d>>\nstream\n%s\nendstream", len(text), text))
	}
	object(1, "<</Type/Catalog/Pages 2 0 R>>")
	object(2, "<</Type/Pages/Count 1/Kids[3 0 R]/MediaBox[0 0 595 842]>>")
	object(3, "<</Type/Page/Parent 2 0 R/Contents 4 0 R/Resources<</Font<</F0 5 0 R>>>>>>")
	stream(4, reviewText("Bayar RM 100"))
	object(5, pdftest.Font)
	stream(14, reviewText("Bayar RM 1,000,000"))
	main := b.Len()
	fmt.Fprintf(&b, "%strailer\n<</Size 10/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", table(4), main)
	out := b.Bytes()
	copy(out[first:], table(14))
	return out
}

// signFor signs a document linearized for a length, as a signer would that does
// not care: ours refuses, so it learns of the length when it is too late.
func signFor(t *testing.T, p *pdftest.PKI, length int) []byte {
	t.Helper()
	document := reviewLinearized(0)
	d, err := pdf.Open(bytes.NewReader(document), int64(len(document)))
	if err != nil {
		t.Fatal(err)
	}
	prepared, err := d.Prepare(pdf.Options{Field: "Pengarah", Certify: 2, Time: pdftest.Now(), ContentsSize: p.Builder(t).Size()})
	if err != nil {
		t.Fatal(err)
	}
	copy(document, reviewLinearized(length))
	digest, _, err := prepared.Digest(p.Hash)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := prepared.Complete(&out, p.CMS(t, digest)); err != nil {
		t.Fatal(err)
	}
	if _, err := pdf.Open(bytes.NewReader(reviewLinearized(out.Len())), int64(len(document))); !errors.Is(err, pdf.ErrInvalid) {
		t.Errorf("linearized for %d bytes, of which %d are here: %v", out.Len(), len(document), err)
	}
	return out.Bytes()
}

// TestDocumentDoesNotBecomeLinearized: a revision, of nothing at all, gives the
// document the length it claims for a linearized one.
func TestDocumentDoesNotBecomeLinearized(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	o := verify.Options{Roots: p.Roots()}
	two := func(length int) (signed, b []byte) {
		signed = signFor(t, p, length)
		return signed, supersede(signed, map[int]numbered{2000: {0, "null"}})
	}
	one, b := two(0)
	signed, b := two(len(b))
	mustPass(t, signed, o)
	mustNotPass(t, "linearized by a later revision", b, o)
	signed, _ = two(len(one))
	mustNotPass(t, "linearized by the signature", signed, o)
}

// TestLinearizedPageStays: readers find the pages of a linearized document by
// its hints, not in the page tree.
func TestLinearizedPageStays(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	o := verify.Options{Roots: p.Roots()}
	page := "<</Type/Page/Parent 2 0 R/Contents 11 0 R/Resources<</Font<</F0 3 0 R>>>>/MediaBox[0 0 595 842]>>"
	signed := p.Sign(t, pdftest.Document(pdftest.Shape{Extra: map[int]string{1000: page, 1001: "<</Linearized 1/O 1000>>"}}), pdf.Options{Field: "Pengarah", Certify: 1})
	mustPass(t, signed, o)
	content := numbered{0, fmt.Sprintf("<</Length 60>>\nstream\n%-60s\nendstream", reviewText("Bayar RM 1,000,000"))}
	other := strings.Replace(page, "11 0 R", "2000 0 R", 1)
	for _, num := range []int{1000, 1500} {
		for _, body := range []string{other, strings.Replace(other, "/Type/Page", "", 1)} {
			mustNotPass(t, "page outside of the tree", supersede(signed, map[int]numbered{num: {0, body}, 2000: content}), o)
		}
	}
}

// TestPageKeepsItsOwnAnnotations: some readers let pages inherit /Annots.
func TestPageKeepsItsOwnAnnotations(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	o := verify.Options{Roots: p.Roots()}
	w := &pdftest.Writer{}
	w.Object(1, "<</Type/Catalog/Pages 2 0 R>>")
	w.Object(2, "<</Type/Pages/Count 2/Kids[3 0 R 4 0 R]/MediaBox[0 0 595 842]/Annots[6 0 R]>>")
	w.Object(3, "<</Type/Page/Parent 2 0 R/Annots[]>>")
	w.Object(4, "<</Type/Page/Parent 2 0 R/Annots[]>>")
	w.Object(6, "<</Type/Annot/Subtype/Stamp/F 4/Rect[0 0 595 842]>>")
	signed := p.Sign(t, w.Close(""), pdf.Options{Field: "Pengarah", Certify: 1})
	mustPass(t, signed, o)
	mustNotPass(t, "own /Annots left out", supersede(signed, map[int]numbered{4: {0, "<</Type/Page/Parent 2 0 R>>"}}), o)
}

// reviewShadow has another content behind the one in force, which only readers
// find that search the file instead of following its cross-reference data.
func reviewShadow() []byte {
	w := &pdftest.Writer{}
	w.Object(1, "<</Type/Catalog/Pages 2 0 R>>")
	w.Object(2, "<</Type/Pages/Count 2/Kids[6 0 R 3 0 R]/MediaBox[0 0 595 842]>>")
	w.Object(3, "<</Type/Page/Parent 2 0 R/Contents 4 0 R/Resources<</Font<</F0 5 0 R>>>>>>")
	w.Stream(4, "", reviewText("Bayar RM 100"))
	w.Object(5, pdftest.Font)
	w.Object(6, "<</Type/Page/Parent 2 0 R>>")
	w.Object(7, "<</R 13 0 R>>")
	w.Object(8, "<</R 0>>")
	w.Stream(14, "", reviewText("Bayar RM 1,000,000"))
	b := w.Close("")
	at := bytes.Index(b, []byte("\n14 0 obj")) + 1
	b = bytes.Replace(b, fmt.Appendf(nil, "%010d 00000 n", at), []byte("0000000000 00000 f"), 1)
	b[at] = ' '
	return b
}

// TestReferencesLeadSomewhere: at a reference to what does not exist Poppler
// gives the cross-reference data up and searches the file for objects.
func TestReferencesLeadSomewhere(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	stranger := pdftest.NewAuthorities(t, pdftest.New(t, cms.ECDSA, crypto.SHA256, nil))
	o := verify.Options{Roots: p.Roots()}
	signed := p.Sign(t, reviewShadow(), pdf.Options{Field: "Pengarah", Certify: 2})
	cat := catalogIn(t, signed)
	page := string(regexp.MustCompile(`(?s).*\n6 0 obj\s*(<<.*?>>)\s*endobj`).FindSubmatch(signed)[1])
	page = regexp.MustCompile(`/Annots ?\[`).ReplaceAllString(page, "/Annots[2001 0 R ")
	with := func(extra string) []byte {
		return seal(t, stranger, supersede(signed, map[int]numbered{
			1:    {0, regexp.MustCompile(`/Fields ?\[([^\]]*)\]`).ReplaceAllString(cat, "/Fields[$1 2001 0 R]")},
			6:    {0, page},
			2000: {0, stampBody()},
			2001: {0, "<</Type/Annot/Subtype/Widget/Rect[0 0 0 0]/FT/Sig/T(cap)/V 2000 0 R" + extra + ">>"},
		}))
	}
	mustPass(t, with("/MK<<>>"), o)
	mustPass(t, with("/MK 8 0 R"), o)
	mustNotPass(t, "no such object, behind another", with("/MK 7 0 R"), o)
	mustNotPass(t, "no such object", with("/MK 1500 0 R"), o)
	mustNotPass(t, "no such generation", with("/Border 5 1 R"), o)
	b := supersede(signed, map[int]numbered{2000: {0, "null"}})
	at := bytes.LastIndex(b, []byte("trailer\n<<")) + len("trailer\n<<")
	mustNotPass(t, "trailer", append(append(bytes.Clone(b[:at]), "/X 1500 0 R"...), b[at:]...), o)
}

// TestCrossReferencesAreRead: where cross-reference data are not as readers
// expect them they search the file for objects.
func TestCrossReferencesAreRead(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	o := verify.Options{Roots: p.Roots()}
	signed := p.Sign(t, reviewShadow(), pdf.Options{Field: "Pengarah", Certify: 2})
	b := supersede(signed, map[int]numbered{1000: {0, "null"}, 2000: {0, "null"}})
	mustPass(t, b, o)
	at := bytes.LastIndex(b, []byte("\nxref\n")) + 1
	for from, with := range map[string][]string{
		"xref\n1000 1\n": {"xref\n%\n1000 1\n", "xref\n1000 %\n1\n", "xref\n1000 1 %\n", "xref\n1000\n1\n", "xref\n1000 1 ", "xref\n1000 1\n\n", "xref\n1000  1\n"},
		"2000 1\n":       {"\n2000 1\n", "%\n2000 1\n"},
		"startxref\n":    {"startxref %\n", "startxref\n%\n"},
	} {
		for _, w := range with {
			mustNotPass(t, fmt.Sprintf("%q", w), append(bytes.Clone(b[:at]), strings.Replace(string(b[at:]), from, w, 1)...), o)
		}
	}
	link := regexp.MustCompile(`(?s)/ID.*/Prev \d+`).Find(b[at:])
	one := bytes.Index(b[len(signed):], []byte("1000 0 obj")) + len(signed)
	stream := func(widths [3]int, kind, place, gen int) []byte {
		var data []byte
		for _, row := range [][3]int{{1, one, 0}, {kind, place, gen}, {1, at, 0}} {
			for i, n := range row {
				for k := widths[i] - 1; k >= 0; k-- {
					data = append(data, byte(n>>(8*k)))
				}
			}
		}
		head := bytes.Clone(b[:at])
		return fmt.Appendf(head, "2001 0 obj\n<</Type/XRef/W[%d %d %d]/Index[1000 1 1500 1 2001 1]/Size 3000/Root 1 0 R%s/Length %d>>\nstream\n%s\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n",
			widths[0], widths[1], widths[2], link, len(data), data, len(head))
	}
	at = bytes.LastIndex(b[:at], []byte("2000 0 obj")) // where the stream will lie
	for _, c := range []struct {
		widths           [3]int
		kind, place, gen int
	}{{[3]int{1, 4, 2}, 0, 0, 0}, {[3]int{5, 4, 2}, 0, 0, 0}, {[3]int{1, 4, 2}, 3, 0, 0}, {[3]int{1, 8, 2}, 0, -1, 0}, {[3]int{1, 4, 8}, 0, 0, -1}} {
		if c.widths == [3]int{1, 4, 2} && c.kind == 0 {
			mustPass(t, stream(c.widths, c.kind, c.place, c.gen), o)
			continue
		}
		mustNotPass(t, fmt.Sprint("stream ", c), stream(c.widths, c.kind, c.place, c.gen), o)
	}
}

// TestMetadataKeepsItsLanguages: the titles in two languages change places.
func TestMetadataKeepsItsLanguages(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	o := verify.Options{Roots: p.Roots()}
	xmp := func(a, b string) string {
		text := `<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title><rdf:Alt>` +
			`<rdf:li xml:lang="x-default">` + a + `</rdf:li><rdf:li xml:lang="ms">` + b + `</rdf:li></rdf:Alt></dc:title></rdf:Description></rdf:RDF></x:xmpmeta>`
		return fmt.Sprintf("<</Type/Metadata/Subtype/XML/Length %d>>\nstream\n%s\nendstream", len(text), text)
	}
	signed := p.Sign(t, pdftest.Document(pdftest.Shape{Catalog: "/Metadata 1000 0 R", Extra: map[int]string{1000: xmp("Lulus", "Tolak")}}), pdf.Options{Field: "Pengarah", Certify: 1})
	mustPass(t, signed, o)
	mustNotPass(t, "titles exchanged", supersede(signed, map[int]numbered{1000: {0, xmp("Tolak", "Lulus")}}), o)
}

// TestOrphansAreNamed: objects nobody sees are still something that was added.
func TestOrphansAreNamed(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	add := map[int]numbered{2000: {0, "<</Length 5>>\nstream\nsulit\nendstream"}, 2001: {0, "[2000 0 R]"},
		2002: {0, "<</Type/ObjStm/N 0/First 0/Length 5>>\nstream\nsulit\nendstream"}, 2003: {0, "<</Type/XRef/Size 1/W[1 1 1]/Length 5>>\nstream\nsulit\nendstream"}}
	for certify, want := range map[int]verify.Verdict{0: verify.Valid, 1: verify.Invalid, 2: verify.Valid} {
		signed := p.Sign(t, pdftest.Document(pdftest.Shape{}), pdf.Options{Certify: certify})
		r := check(t, supersede(signed, add), verify.Options{Roots: p.Roots()})
		var named []string
		for num := 2000; num < 2004; num++ {
			named = append(named, fmt.Sprintf("object %d, to which nothing leads", num))
		}
		if r.Verdict != want || !slices.Equal(r.Signatures[0].Changes, named) {
			t.Errorf("certified %d: %s, %q", certify, r.Verdict, r.Signatures[0].Changes)
		}
		// An entry of the trailer that nobody reads leads nowhere.
		b := supersede(signed, add)
		at := bytes.LastIndex(b, []byte("trailer\n<<")) + len("trailer\n<<")
		b = append(append(bytes.Clone(b[:at]), "/Sulit 2001 0 R"...), b[at:]...)
		if r := check(t, b, verify.Options{Roots: p.Roots()}); r.Verdict != want || !slices.Equal(r.Signatures[0].Changes, named) {
			t.Errorf("certified %d, named in the trailer: %s, %q", certify, r.Verdict, r.Signatures[0].Changes)
		}
		for b, unchanged := range map[*verify.Report]bool{r: false, check(t, signed, verify.Options{Roots: p.Roots()}): true} {
			var text bytes.Buffer
			if err := b.WriteText(&text, "x.pdf"); err != nil || strings.Contains(text.String(), "unchanged") != unchanged {
				t.Errorf("certified %d: %s, %v", certify, text.String(), err)
			}
		}
	}
}

// TestEvidenceLeavesUnchanged: what proves a signature changes nothing of the
// document; another signature does.
func TestEvidenceLeavesUnchanged(t *testing.T) {
	h := newHouse(t, cms.ECDSA)
	lta := h.extend(h.stamped(pdftest.Document(pdftest.Shape{}), pdf.Options{}), pdf.LevelLTA, false)
	for what, c := range map[string]struct {
		document  []byte
		unchanged bool
	}{
		"B-LTA":            {lta, true},
		"renewed":          {h.extend(lta, pdf.LevelLTA, true), true},
		"signed once more": {h.Sign(t, lta, pdf.Options{}), false},
	} {
		r := check(t, c.document, h.options())
		var text bytes.Buffer
		if err := r.WriteText(&text, "x.pdf"); err != nil || r.Verdict != verify.Valid || strings.Contains(text.String(), "unchanged") != c.unchanged {
			t.Errorf("%s: %s, %v", what, text.String(), err)
		}
	}
}

package verify_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"fmt"
	"regexp"
	"sort"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
	"github.com/mohor-sign/mohor/pdf/verify"
)

// overlay is a white sheet with other words.
var overlay = "<</Type/XObject/Subtype/Form/BBox[0 0 595 842]/Resources<</Font<</F0 3 0 R>>>>/Length 78>>\nstream\n" +
	fmt.Sprintf("%-78s", "1 g 0 0 595 842 re f 0 g BT /F0 48 Tf 72 400 Td (PALSU) Tj ET") + "\nendstream"

// numbered is an object and its generation.
type numbered struct {
	gen  int
	body string
}

// supersede appends a revision of objects with generations.
func supersede(document []byte, objects map[int]numbered) []byte {
	m := regexp.MustCompile(`startxref\s+(\d+)\s+%%EOF\s*$`).FindSubmatch(document)
	tr := regexp.MustCompile(`/ID\s*(\[\s*<[^\]]*\])`).FindAllSubmatch(document, -1)
	id := ""
	if len(tr) > 0 {
		id = "/ID" + string(tr[len(tr)-1][1])
	}
	info := ""
	if bytes.Contains(document, []byte("/Info 3 0 R")) {
		info = "/Info 3 0 R"
	}
	out := bytes.Clone(document)
	var xref strings.Builder
	var nums []int
	for n := range objects {
		nums = append(nums, n)
	}
	sort.Ints(nums)
	for i, num := range nums {
		o := objects[num]
		if i == 0 || nums[i-1] != num-1 {
			run := 1
			for i+run < len(nums) && nums[i+run] == num+run {
				run++
			}
			fmt.Fprintf(&xref, "%d %d\n", num, run)
		}
		fmt.Fprintf(&xref, "%010d %05d n \n", len(out), o.gen)
		out = fmt.Appendf(out, "%d %d obj\n%s\nendobj\n", num, o.gen, o.body)
	}
	at := len(out)
	return fmt.Appendf(out, "xref\n%strailer\n<</Size 3000/Root 1 0 R%s%s/Prev %s>>\nstartxref\n%d\n%%%%EOF\n", xref.String(), info, id, m[1], at)
}

// seal fills in the document time-stamp of the last revision.
func seal(t *testing.T, a *pdftest.Authorities, b []byte) []byte {
	at := bytes.LastIndex(b, []byte("/Contents<"))
	start := at + len("/Contents")
	end := start + bytes.IndexByte(b[start:], '>') + 1
	br := bytes.LastIndex(b, []byte("[0 AAAAAAAAAA BBBBBBBBBB CCCCCCCCCC]"))
	copy(b[br:], fmt.Sprintf("[0 %10d %10d %10d]", start, end, len(b)-end))
	h := sha256.New()
	h.Write(b[:start])
	h.Write(b[end:])
	tok, err := a.Timestamp(context.Background(), crypto.SHA256, h.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	copy(b[start+1:], fmt.Sprintf("%X", tok))
	return b
}

const stampDict = "<</Type/DocTimeStamp/Filter/Adobe.PPKLite/SubFilter/ETSI.RFC3161/ByteRange[0 AAAAAAAAAA BBBBBBBBBB CCCCCCCCCC]/Contents<"

func stampBody() string { return stampDict + strings.Repeat("0", 16000) + ">>>" }

// catalogIn returns the newest catalog.
func catalogIn(t *testing.T, signed []byte) string {
	all := regexp.MustCompile(`(?s)\n1 0 obj\s*(<<.*?>>)\s*endobj`).FindAllSubmatch(signed, -1)
	return string(all[len(all)-1][1])
}

func mustNotPass(t *testing.T, name string, b []byte, o verify.Options) {
	t.Helper()
	if r := check(t, b, o); r.Verdict == verify.Valid {
		t.Errorf("%s: VALID", name)
	}
}

// mustPass is the control: the document without the attack.
func mustPass(t *testing.T, b []byte, o verify.Options) {
	t.Helper()
	if r := check(t, b, o); r.Verdict != verify.Valid {
		t.Fatalf("control: %s", describe(r))
	}
}

// TestFormMayNotMoveOntoContent: the form takes the object of a page's content
// or font, which is then gone.
func TestFormMayNotMoveOntoContent(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	for _, certify := range []int{0, 1} {
		signed := p.Sign(t, pdftest.Document(pdftest.Shape{}), pdf.Options{Field: "Pengarah", Certify: certify})
		o := verify.Options{Roots: p.Roots()}
		mustPass(t, signed, o)
		cat := catalogIn(t, signed)
		form := regexp.MustCompile(`/AcroForm ?(<<.*?>>|\d+ 0 R)`).FindStringSubmatch(cat)
		body := form[1]
		if strings.HasSuffix(body, " R") {
			body = string(regexp.MustCompile(`(?s)\n` + strings.Fields(body)[0] + ` 0 obj\s*(<<.*?>>)\s*endobj`).FindSubmatch(signed)[1])
		}
		mustNotPass(t, fmt.Sprint("form over content, certify ", certify), supersede(signed, map[int]numbered{
			1:  {0, strings.Replace(cat, form[1], " 11 0 R", 1)},
			11: {0, body},
		}), o)
		mustNotPass(t, "form over content gen 1", supersede(signed, map[int]numbered{
			1:  {0, strings.Replace(cat, form[1], " 11 1 R", 1)},
			11: {1, body},
		}), o)
		mustNotPass(t, "form over resource font", supersede(signed, map[int]numbered{
			1: {0, strings.Replace(cat, form[1], " 3 0 R", 1)},
			3: {0, body},
		}), o)
	}
}

// TestFormMayNotMoveOntoResources: a form made so that it is a dictionary of
// XObjects too comes to lie where a page looks for such a one: in place of
// another, or where there was none.
func TestFormMayNotMoveOntoResources(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	o := verify.Options{Roots: p.Roots()}
	for _, absent := range []bool{false, true} {
		for _, direct := range []bool{false, true} {
			const entries = "/X 6 0 R/SigFlags 3"
			form := "<</Fields[]" + entries + ">>"
			if !direct {
				form = "9 0 R"
			}
			w := &pdftest.Writer{}
			w.Object(1, "<</Type/Catalog/Pages 2 0 R/AcroForm "+form+">>")
			w.Object(2, "<</Type/Pages/Count 1/Kids[3 0 R]/MediaBox[0 0 595 842]>>")
			w.Object(3, "<</Type/Page/Parent 2 0 R/Contents 4 0 R/Resources<</Font<</F0 5 0 R>>/XObject 7 0 R>>>>")
			w.Stream(4, "", "BT /F0 24 Tf 72 700 Td (Bayar RM 100) Tj ET /X Do /AP Do")
			w.Object(5, pdftest.Font)
			w.Stream(6, "/Type/XObject/Subtype/Form/BBox[0 0 595 842]/Resources<</Font<</F0 5 0 R>>>>", "1 g 0 0 595 842 re f 0 g BT /F0 24 Tf 72 700 Td (Bayar RM 100,000) Tj ET")
			if !absent {
				w.Object(7, "<</X 8 0 R>>")
			}
			w.Stream(8, "/Type/XObject/Subtype/Form/BBox[0 0 1 1]", " ")
			w.Object(9, "<</Fields[]"+entries+">>")
			signed := p.Sign(t, w.Close(""), pdf.Options{Field: "Pengarah", Certify: 1})
			mustPass(t, signed, o)
			fields := regexp.MustCompile(`/Fields ?\[[^\]]*\]`).FindAllString(string(signed), -1)
			form = "<<" + fields[len(fields)-1] + entries + ">>"
			cat := catalogIn(t, signed)
			at, end := strings.Index(cat, "/AcroForm"), strings.Index(cat, "9 0 R")
			if direct {
				end = at + strings.Index(cat[at:], ">>") - len("9 0 R") + 2
			}
			moved := cat[:at] + "/AcroForm 7 0 R" + cat[end+len("9 0 R"):]
			name := fmt.Sprintf("absent %v, direct %v", absent, direct)
			mustNotPass(t, name, supersede(signed, map[int]numbered{1: {0, moved}, 7: {0, form}}), o)
			if !direct {
				mustNotPass(t, name+", by way of the old one", supersede(signed, map[int]numbered{9: {0, "7 0 R"}, 7: {0, form}}), o)
			}
			// A number nothing refers to is none the page looks for.
			moved = strings.Replace(moved, "/AcroForm 7 0 R", "/AcroForm 2000 0 R", 1)
			mustPass(t, supersede(signed, map[int]numbered{1: {0, moved}, 2000: {0, form}}), o)
		}
	}
}

// TestFieldMayNotTakeANumberReferredTo: the field of a stranger's document
// time-stamp comes to lie where a page looks for its XObjects.
func TestFieldMayNotTakeANumberReferredTo(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	stranger := pdftest.NewAuthorities(t, pdftest.New(t, cms.ECDSA, crypto.SHA256, nil))
	o := verify.Options{Roots: p.Roots()}
	signed := p.Sign(t, pdftest.Document(pdftest.Shape{Page: "/Group 1500 0 R", Extra: map[int]string{1600: "null"}}), pdf.Options{Field: "Pengarah"})
	cat := catalogIn(t, signed)
	with := func(num int) []byte {
		return seal(t, stranger, supersede(signed, map[int]numbered{
			1:    {0, regexp.MustCompile(`/Fields ?\[([^\]]*)\]`).ReplaceAllString(cat, fmt.Sprintf("/Fields[$1 %d 0 R]", num))},
			num:  {0, "<</FT/Sig/T(cap)/V 2000 0 R/AP 2002 0 R>>"},
			2000: {0, stampBody()},
			2002: {0, overlay},
		}))
	}
	mustNotPass(t, "field where there was none", with(1500), o)
	mustPass(t, with(1501), o)
}

// TestFieldMayNotTakeANumberInUse: a document time-stamp's field takes the
// number of a content under another generation.
func TestFieldMayNotTakeANumberInUse(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	stranger := pdftest.NewAuthorities(t, pdftest.New(t, cms.ECDSA, crypto.SHA256, nil))
	for _, certify := range []int{0, 1} {
		signed := p.Sign(t, pdftest.Document(pdftest.Shape{}), pdf.Options{Field: "Pengarah", Certify: certify})
		o := verify.Options{Roots: p.Roots()}
		cat := catalogIn(t, signed)
		b := seal(t, stranger, supersede(signed, map[int]numbered{
			1:    {0, regexp.MustCompile(`/Fields ?\[([^\]]*)\]`).ReplaceAllString(cat, "/Fields[$1 11 1 R]")},
			11:   {1, "<</FT/Sig/T(cap)/V 2000 0 R>>"},
			2000: {0, stampBody()},
		}))
		mustNotPass(t, fmt.Sprint("field over content, certify ", certify), b, o)
	}
}

// TestStampMayNotFillAVisibleField: a stranger's document time-stamp fills the
// visible field kept for another officer.
func TestStampMayNotFillAVisibleField(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	stranger := pdftest.NewAuthorities(t, pdftest.New(t, cms.ECDSA, crypto.SHA256, nil))
	document := pdftest.Document(pdftest.Shape{Catalog: "/AcroForm<</SigFlags 1/Fields[1000 0 R]>>", Page: "/Annots[1000 0 R]", Extra: map[int]string{
		1000: "<</Type/Annot/Subtype/Widget/FT/Sig/T(KetuaPengarah)/F 4/P 10 0 R/Rect[50 50 500 300]>>"}})
	for _, certify := range []int{0, 1} {
		signed := p.Sign(t, document, pdf.Options{Field: "Pengarah", Certify: certify})
		o := verify.Options{Roots: p.Roots()}
		mustPass(t, signed, o)
		b := seal(t, stranger, supersede(signed, map[int]numbered{
			1000: {0, "<</Type/Annot/Subtype/Widget/FT/Sig/T(KetuaPengarah)/F 4/P 10 0 R/Rect[50 50 500 300]/V 2000 0 R/AP<</N 2002 0 R>>>>"},
			2000: {0, stampBody()},
			2002: {0, overlay},
		}))
		mustNotPass(t, fmt.Sprint("stamp in empty visible field, certify ", certify), b, o)
	}
}

// TestStampMayNotShowInPrint: a stranger's document time-stamp covers the page
// in print alone (NoView and Print).
func TestStampMayNotShowInPrint(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	stranger := pdftest.NewAuthorities(t, pdftest.New(t, cms.ECDSA, crypto.SHA256, nil))
	for _, certify := range []int{0, 1} {
		signed := p.Sign(t, pdftest.Document(pdftest.Shape{}), pdf.Options{Field: "Pengarah", Certify: certify})
		o := verify.Options{Roots: p.Roots()}
		cat := catalogIn(t, signed)
		pages := regexp.MustCompile(`(?s)\n10 0 obj\s*(<<.*?>>)\s*endobj`).FindAllSubmatch(signed, -1)
		page := string(pages[len(pages)-1][1])
		if strings.Contains(page, "/Annots") {
			page = regexp.MustCompile(`/Annots ?\[([^\]]*)\]`).ReplaceAllString(page, "/Annots[$1 2001 0 R]")
		} else {
			page = strings.TrimSuffix(page, ">>") + "/Annots[2001 0 R]>>"
		}
		b := seal(t, stranger, supersede(signed, map[int]numbered{
			1:    {0, regexp.MustCompile(`/Fields ?\[([^\]]*)\]`).ReplaceAllString(cat, "/Fields[$1 2001 0 R]")},
			10:   {0, page},
			2000: {0, stampBody()},
			2001: {0, "<</Type/Annot/Subtype/Widget/FT/Sig/T(cap)/V 2000 0 R/P 10 0 R/F 36/Rect[0 0 595 842]/AP<</N 2002 0 R>>>>"},
			2002: {0, overlay},
		}))
		mustNotPass(t, fmt.Sprint("stamp shown in print, certify ", certify), b, o)
	}
}

// TestInfoMayNotBeLeftOut: the title changes behind a reference, in a revision
// with another identifier.
func TestInfoMayNotBeLeftOut(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	document := pdftest.Document(pdftest.Shape{Trailer: "/Info 1001 0 R", Extra: map[int]string{1000: "(Surat lulus)", 1001: "<</Title 1000 0 R/Author(A)>>"}})
	signed := p.Sign(t, document, pdf.Options{Field: "Pengarah"})
	o := verify.Options{Roots: p.Roots()}
	mustPass(t, signed, o)
	b := supersede(signed, map[int]numbered{1000: {0, "(Surat tolak)"}})
	b = bytes.Replace(b, []byte("/Size 3000/Root 1 0 R/Prev"), []byte("/Size 3000/Root 1 0 R/Info 1001 0 R/Prev"), 1)
	mustNotPass(t, "title behind a reference", b, o)
}

// TestInfoMayNotChangeBehindReferences: the trailer stays, the title it leads to
// does not.
func TestInfoMayNotChangeBehindReferences(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	document := pdftest.Document(pdftest.Shape{Trailer: "/Info 1001 0 R/ID[<00112233445566778899AABBCCDDEEFF><00112233445566778899AABBCCDDEEFF>]",
		Extra: map[int]string{1000: "(Surat lulus)", 1001: "<</Title 1000 0 R/Author(A)>>"}})
	signed := p.Sign(t, document, pdf.Options{Field: "Pengarah"})
	o := verify.Options{Roots: p.Roots()}
	ids := regexp.MustCompile(`/ID ?\[[^\]]*\]`).FindAll(signed, -1)
	b := supersede(signed, map[int]numbered{1000: {0, "(Surat tolak)"}})
	b = bytes.Replace(b, []byte("/Size 3000/Root 1 0 R"), []byte("/Size 3000/Root 1 0 R/Info 1001 0 R"), 1)
	if !bytes.Contains(b[len(signed):], []byte("/ID")) {
		b = bytes.Replace(b, []byte("/Info 1001 0 R/Prev"), append(append([]byte("/Info 1001 0 R"), ids[len(ids)-1]...), []byte("/Prev")...), 1)
	}
	mustNotPass(t, "title behind a reference", b, o)
}

// TestStrangerMayNotVouchForAFilledForm: a form filled in after a certification
// is signed by somebody nobody trusts.
func TestStrangerMayNotVouchForAFilledForm(t *testing.T) {
	p, other := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil), pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	document := pdftest.Document(pdftest.Shape{Catalog: "/AcroForm<</Fields[1000 0 R]>>", Page: "/Annots[1000 0 R]", Extra: map[int]string{
		1000: "<</Type/Annot/Subtype/Widget/FT/Tx/T(jumlah)/F 4/P 10 0 R/Rect[50 50 500 300]>>"}})
	signed := p.Sign(t, document, pdf.Options{Field: "Pengarah", Certify: 2})
	filled := supersede(signed, map[int]numbered{
		1000: {0, "<</Type/Annot/Subtype/Widget/FT/Tx/T(jumlah)/F 4/P 10 0 R/Rect[50 50 500 300]/V(RM 1,000,000)/AP<</N 2002 0 R>>>>"},
		2002: {0, overlay}})
	o := verify.Options{Roots: p.Roots()}
	if r := check(t, p.Sign(t, filled, pdf.Options{}), o); r.Signatures[0].Verdict != verify.Valid {
		t.Fatalf("control: %s", describe(r))
	}
	if r := check(t, other.Sign(t, filled, pdf.Options{}), o); r.Signatures[0].Verdict == verify.Valid {
		t.Error("the first signature is VALID")
	}
}

// TestNothingElseMayChange: what a signature covers without being on a page.
func TestNothingElseMayChange(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	stranger := pdftest.NewAuthorities(t, pdftest.New(t, cms.ECDSA, crypto.SHA256, nil))
	document := pdftest.Document(pdftest.Shape{Catalog: "/OCProperties<</OCGs[1002 0 R]/D 1001 0 R>>/Names 1003 0 R", Page: "/Annots 1004 0 R/Group 1005 0 R", Extra: map[int]string{
		1001: "<</Order[]>>", 1002: "<</Type/OCG/Name(a)>>", 1003: "<</Dests<<>>>>", 1004: "[]", 1005: "<</S/Transparency>>"}})
	signed := p.Sign(t, document, pdf.Options{Field: "Pengarah"})
	o := verify.Options{Roots: p.Roots()}
	mustPass(t, signed, o)
	cat := catalogIn(t, signed)
	for name, objects := range map[string]map[int]numbered{
		"OCProperties":                     {1001: {0, "<</Order[]/OFF[1002 0 R]>>"}},
		"Names":                            {1003: {0, "<</Dests<<>>/JavaScript<<>>>>"}},
		"inherited resources":              {2: {0, "<</Type/Pages/Count 1/Kids[10 0 R]/MediaBox[0 0 595 842]/Resources<</Font<</F0 1002 0 R>>>>>>"}},
		"content under another generation": {11: {1, "<</Length 1>>\nstream\n \nendstream"}},
		"content freed into a new null":    {11: {0, "null"}},
		"DSS at the content":               {1: {0, cat[:len(cat)-2] + "/DSS 11 0 R>>"}, 11: {0, "<</Certs[]>>"}},
		"NeedAppearances":                  {1: {0, string(bytes.Replace([]byte(cat), []byte("/SigFlags 3"), []byte("/SigFlags 3/NeedAppearances true"), 1))}},
		"XFA":                              {1: {0, string(bytes.Replace([]byte(cat), []byte("/SigFlags 3"), []byte("/SigFlags 3/XFA 2000 0 R"), 1))}, 2000: {0, "[]"}},
		"lower version":                    {1: {0, cat[:len(cat)-2] + "/Version/1.4>>"}},
		"font":                             {3: {0, "<</Type/Font/Subtype/Type1/BaseFont/Symbol>>"}},
	} {
		mustNotPass(t, name, supersede(signed, objects), o)
	}
	// A stranger's stamp beside a change, and two stamps on one object.
	b := seal(t, stranger, supersede(signed, map[int]numbered{
		1:    {0, string(bytes.Replace([]byte(cat), []byte("/Fields["), []byte("/Fields[2001 0 R "), 1))},
		2000: {0, stampBody()}, 2001: {0, "<</FT/Sig/T(cap)/V 2000 0 R>>"}, 1001: {0, "<</Order[]/OFF[1002 0 R]>>"}}))
	mustNotPass(t, "whitewash by a stamp", b, o)
	b = seal(t, stranger, supersede(signed, map[int]numbered{1001: {0, "<</Order[]/OFF[1002 0 R]>>"},
		1:    {0, string(bytes.Replace([]byte(cat), []byte("/Fields["), []byte("/Fields[2001 0 R 2002 0 R "), 1))},
		2000: {0, stampBody()}, 2001: {0, "<</FT/Sig/T(cap)/V 2000 0 R>>"}, 2002: {0, "<</FT/Sig/T(cap2)/V 2000 0 R>>"}}))
	mustNotPass(t, "two fields, one stamp", b, o)
	// A stamp's kid takes the page's font under another generation.
	b = seal(t, stranger, supersede(signed, map[int]numbered{
		1:    {0, string(bytes.Replace([]byte(cat), []byte("/Fields["), []byte("/Fields[2001 0 R "), 1))},
		2000: {0, stampBody()}, 2001: {0, "<</FT/Sig/T(cap)/V 2000 0 R/Kids[1005 1 R]>>"}, 1005: {1, "<</Parent 2001 0 R>>"}}))
	mustNotPass(t, "a stamp's kid over the page's group", b, o)
}

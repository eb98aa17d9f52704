package pdf_test

import (
	"context"
	"crypto"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
)

// widget is a page entry with one annotation, object 1000.
const widget = "/Annots[1000 0 R]"

// odd are the documents a scan must say something of: those whose name has the
// same word before the colon must be told by that code.
func odd() map[string][]byte {
	plain := func(s pdftest.Shape) []byte { return pdftest.Document(s) }
	catalog := func(entries string) []byte { return plain(pdftest.Shape{Catalog: entries}) }
	annot := func(body string, more ...string) []byte {
		extra := map[int]string{1000: "<</Type/Annot/P 10 0 R" + body + ">>"}
		for i, m := range more {
			extra[1001+i] = m
		}
		return plain(pdftest.Shape{Page: widget, Extra: extra})
	}
	stream := func(dict, data string) string {
		return fmt.Sprintf("<<%s/Length %d>>\nstream\n%s\nendstream", dict, len(data), data)
	}
	form := func(resources, data string) string {
		return stream("/Type/XObject/Subtype/Form/BBox[0 0 99 99]/Resources<<"+resources+">>", data)
	}
	field := func(entries, value string, more ...string) []byte {
		extra := map[int]string{1000: "<</Type/Annot/Subtype/Widget/FT/Tx/T(a)/F 4/P 10 0 R/Rect[9 9 99 99]" + entries + "/V(" + value + ")>>"}
		for i, m := range more {
			extra[1001+i] = m
		}
		return plain(pdftest.Shape{Page: widget, Catalog: "/AcroForm<</Fields[1000 0 R]>>", Extra: extra})
	}
	extra := func(body string) []byte { return plain(pdftest.Shape{Extra: map[int]string{1000: body}}) }
	link := func(action string) []byte { return annot("/Subtype/Link/Rect[9 9 99 99]/A<<" + action + ">>") }
	out := map[string][]byte{
		"javascript: name tree":      catalog("/Names<</JavaScript<</Names[(a)<</S/JavaScript/JS(app.alert)>>]>>>>"),
		"javascript: open":           catalog("/OpenAction<</S/JavaScript/JS(a)>>"),
		"javascript: link":           link("/S/JavaScript/JS(a)"),
		"javascript: next":           link("/S/GoTo/D[10 0 R/Fit]/Next[<</S/JavaScript/JS(a)>>]"),
		"javascript: escaped":        link("/#53/Java#53cript/J#53(a)"),
		"javascript: field":          field("/AA<</K<</S/JavaScript/JS(a)>>>>", ""),
		"javascript: outline":        plain(pdftest.Shape{Catalog: "/Outlines 1000 0 R", Extra: map[int]string{1000: "<</First 1001 0 R>>", 1001: "<</Title(a)/A<</S/JavaScript/JS(a)>>>>"}}),
		"javascript: rendition":      link("/S/Rendition/OP 0/JS(a)"),
		"open_action: indirect":      plain(pdftest.Shape{Catalog: "/OpenAction 1000 0 R", Extra: map[int]string{1000: "<</S/GoTo/D[10 0 R/Fit]>>"}}),
		"additional_actions: page":   plain(pdftest.Shape{Page: "/AA<</O<</S/Named/N/Print>>>>"}),
		"additional_actions: doc":    catalog("/AA<</WC<</S/Named/N/Print>>>>"),
		"additional_actions: annot":  annot("/Subtype/Link/Rect[9 9 99 99]/AA<</E<</S/Named/N/Print>>>>"),
		"launch: link":               link("/S/Launch/F(cmd.exe)"),
		"launch: windows":            link("/S/Launch/Win<</F(cmd.exe)>>"),
		"submit_form: link":          link("/S/SubmitForm/F<</FS/URL/F(http://example.test)>>"),
		"import_data: link":          link("/S/ImportData/F(a.fdf)"),
		"goto_remote: link":          link("/S/GoToR/F(a.pdf)/D[0/Fit]"),
		"goto_remote: embedded":      link("/S/GoToE/T<</R/C/N(a)>>/D[0/Fit]"),
		"hide_action: link":          link("/S/Hide/T(a)"),
		"hide_action: layers":        link("/S/SetOCGState/State[/OFF]"),
		"uri: link":                  link("/S/URI/URI(http://example.test)"),
		"multimedia: sound":          annot("/Subtype/Sound/Rect[9 9 99 99]"),
		"multimedia: movie":          annot("/Subtype/Movie/Rect[9 9 99 99]"),
		"multimedia: rich":           annot("/Subtype/RichMedia/Rect[9 9 99 99]"),
		"multimedia: action":         link("/S/Movie/T(a)"),
		"xfa: array":                 catalog("/AcroForm<</Fields[]/XFA[(a)3 0 R]>>"),
		"need_appearances: form":     catalog("/AcroForm<</Fields[]/NeedAppearances true>>"),
		"embedded_files: tree":       catalog("/Names<</EmbeddedFiles<</Names[]>>>>"),
		"embedded_files: attachment": annot("/Subtype/FileAttachment/F 4/Rect[9 9 99 99]/FS<</Type/Filespec/F(a)/EF<</F 1001 0 R>>>>", stream("", "x")),
		"external_stream: content":   plain(pdftest.Shape{Page: "/B[1000 0 R]", Extra: map[int]string{1000: stream("/F(other.txt)", "")}}),
		"external_reference: file":   annot("/Subtype/FileAttachment/F 4/Rect[9 9 99 99]/FS<</Type/Filespec/F(a)>>"),
		"external_reference: url":    annot("/Subtype/FileAttachment/F 4/Rect[9 9 99 99]/FS<</FS/URL/F(http://example.test)>>"),
		"external_reference: xobject": plain(pdftest.Shape{Page: "/Resources<</XObject<</X 1000 0 R>>>>",
			Extra: map[int]string{1000: stream("/Subtype/Form/BBox[0 0 1 1]/Ref<</F(a.pdf)/Page 0>>", "")}}),
		"external_reference: opi":         plain(pdftest.Shape{Page: "/Resources<</XObject<</X 1000 0 R>>>>", Extra: map[int]string{1000: stream("/Subtype/Form/BBox[0 0 1 1]/OPI<</2.0<</F(a)>>>>", "")}}),
		"alternate_image: printed":        plain(pdftest.Shape{Page: "/Resources<</XObject<</X 1000 0 R>>>>", Extra: map[int]string{1000: stream("/Subtype/Image/Width 1/Height 1/BitsPerComponent 8/ColorSpace/DeviceGray/Alternates[<</Image 3 0 R/DefaultForPrinting true>>]", "x")}}),
		"annotation_hidden: hidden":       annot("/Subtype/Stamp/F 6/Rect[9 9 99 99]"),
		"annotation_hidden: no view":      annot("/Subtype/Stamp/F 36/Rect[9 9 99 99]"),
		"annotation_hidden: toggle":       annot("/Subtype/Stamp/F 260/Rect[9 9 99 99]"),
		"annotation_not_printed: stamp":   annot("/Subtype/Stamp/F 0/Rect[9 9 99 99]"),
		"annotation_transparent: stamp":   annot("/Subtype/Square/F 4/CA 0/Rect[9 9 99 99]"),
		"annotations_overlap: two":        plain(pdftest.Shape{Page: "/Annots[1000 0 R 1001 0 R]", Extra: map[int]string{1000: "<</Subtype/Stamp/F 4/Rect[9 9 99 99]>>", 1001: "<</Subtype/Stamp/F 4/Rect[90 90 19 9]>>"}}),
		"annotation_covers_text: image":   annot("/Subtype/Stamp/F 4/Rect[60 690 300 730]/AP<</N 1001 0 R>>", form("", "1 g 0 0 99 99 re f")),
		"annotation_covers_text: colour":  annot("/Subtype/Widget/FT/Tx/F 4/Rect[60 690 300 730]/MK<</BG[1]>>/AP<</N 1001 0 R>>", form("", "")),
		"appearance_changes: rollover":    annot("/Subtype/Stamp/F 4/Rect[9 9 99 99]/AP<</N 1001 0 R/R 1002 0 R>>", form("", ""), form("", "0 0 9 9 re f")),
		"appearance_missing: stamp":       annot("/Subtype/Stamp/F 4/Rect[9 9 99 99]"),
		"appearance_state: unknown":       annot("/Subtype/Widget/FT/Btn/F 4/Rect[9 9 99 99]/AS/Ya/AP<</N<</Tidak 1001 0 R>>>>", form("", "")),
		"appearance_state: none":          annot("/Subtype/Stamp/F 4/Rect[9 9 99 99]/AP<</N<</Ya 1001 0 R>>>>", form("", "")),
		"field_value_differs: text":       field("/AP<</N 1001 0 R>>", "RM 100", form("/Font<</F 3 0 R>>", "BT /F 9 Tf (RM 900) Tj ET")),
		"field_value_differs: blank":      field("/AP<</N 1001 0 R>>", "RM 100", form("/Font<</F 3 0 R>>", "")),
		"field_value_differs: none":       field("/AP<</N 1001 0 R>>", "", form("/Font<</F 3 0 R>>", "BT /F 9 Tf (RM 900) Tj ET")),
		"unreferenced_object: page":       extra("<</Type/Page/Parent 2 0 R>>"),
		"unreferenced_object: catalog":    extra("<</Type/Catalog/Pages 2 0 R>>"),
		"unreferenced_object: content":    extra(stream("", "BT /F0 24 Tf 72 700 Td (RM 900) Tj ET")),
		"unreferenced_object: font":       extra(pdftest.Font),
		"unreferenced_object: form":       extra(form("", "")),
		"unreferenced_object: annotation": extra("<</Subtype/Widget/FT/Tx/T(a)>>"),
		"byte_range_lookalike: string":    catalog("/X(/ByteRange[0 ********** ********** **********]/Contents<0000>)"),
		"byte_range_lookalike: stream":    plain(pdftest.Shape{Page: "/B[1000 0 R]", Extra: map[int]string{1000: stream("", "<</Type/Sig/ByteRange[0 1 2 3]>>")}}),
		"byte_range_lookalike: object":    extra("<</Type/Sig/Byte#52ange[0 1 2 3]/Contents<00>>>"),
		"byte_range_lookalike: reachable": catalog("/X<</Type/Sig/Byte#52ange[0 1 2 3]/Contents<00>>>"),
		"byte_range_lookalike: comment":   append(plain(pdftest.Shape{}), "%/ByteRange[0 1 2 3]\n"...),
		"font_not_embedded: arial":        plain(pdftest.Shape{Page: "/Resources<</Font<</F0<</Type/Font/Subtype/TrueType/BaseFont/Arial/FontDescriptor<</Type/FontDescriptor/FontName/Arial>>>>>>>>"}),
		"font_not_embedded: cid":          plain(pdftest.Shape{Page: "/Resources<</Font<</F0<</Type/Font/Subtype/Type0/BaseFont/A/Encoding/Identity-H/DescendantFonts[<</Type/Font/Subtype/CIDFontType2/BaseFont/A>>]>>>>>>"}),
		"type3_font: page":                plain(pdftest.Shape{Page: "/Resources<</Font<</F0<</Type/Font/Subtype/Type3/FontMatrix[1 0 0 1 0 0]/CharProcs<<>>>>>>>>"}),
		"transfer_function: state":        plain(pdftest.Shape{Page: "/Resources<</ExtGState<</G<</TR<</FunctionType 2/N 1/Domain[0 1]>>>>>>>>"}),
		"optional_content: layers":        catalog("/OCProperties<</OCGs[]/D<<>>>>"),
		"optional_content_hidden: off":    catalog("/OCProperties<</OCGs[3 0 R]/D<</OFF[3 0 R]>>>>"),
		"optional_content_hidden: print":  catalog("/OCProperties<</OCGs[]/D<</AS[<</Event/Print/Category[/Print]/OCGs[]>>]>>>>"),
		"scan_incomplete: damaged":        plain(pdftest.Shape{Catalog: "/X 1000 0 R", Extra: map[int]string{1000: "<</A/B"}}),
	}
	document := plain(pdftest.Shape{})
	shadow := "77 0 obj\n<</Type/Page/Parent 2 0 R>>\nendobj\n"
	out["unlisted_object: before the header"] = plain(pdftest.Shape{Junk: shadow})
	at := strings.LastIndex(string(document), "xref\n0 ")
	out["unlisted_object: between objects"] = fmt.Appendf(nil, "%s%s%s%d\n%%%%EOF\n", document[:at], shadow,
		document[at:strings.LastIndex(string(document), "startxref")+10], at+len(shadow))
	out["earlier_versions: replaced"] = update(document, 11, "<</Length 4>>\nstream\nBT ET\nendstream")
	return out
}

// update appends a revision that replaces an object.
func update(document []byte, num int, body string) []byte {
	s := string(document)
	prev := s[strings.LastIndex(s, "startxref\n")+10 : strings.LastIndex(s, "\n%%EOF")]
	at := len(s)
	s += fmt.Sprintf("%d 0 obj\n%s\nendobj\n", num, body)
	xref := len(s)
	trailer := s[strings.LastIndex(s, "trailer\n<<")+10:]
	trailer = trailer[:strings.Index(trailer, ">>\nstartxref")]
	trailer = regexp.MustCompile(`/Prev \d+`).ReplaceAllString(trailer, "")
	return []byte(s + fmt.Sprintf("xref\n%d 1\n%010d 00000 n \ntrailer\n<<%s/Prev %s>>\nstartxref\n%d\n%%%%EOF\n", num, at, trailer, prev, xref))
}

func scan(t testing.TB, b []byte) pdf.Findings {
	t.Helper()
	found, err := open(t, b).Scan(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestScanFinds(t *testing.T) {
	flagged := 0
	documents := odd()
	for name, document := range documents {
		t.Run(name, func(t *testing.T) {
			want, _, _ := strings.Cut(name, ":")
			found := scan(t, document)
			if !found.Has(want) {
				t.Errorf("found %+v", found)
				return
			}
			flagged++
			for _, f := range found {
				if f.Text("en") == "" || f.Text("ms") == "" || f.Text("ms") == f.Text("en") {
					t.Errorf("no text of %s", f.Code)
				}
			}
		})
	}
	t.Logf("%d of %d flagged", flagged, len(documents))
	for _, code := range pdf.FindingCodes() {
		tried := slices.ContainsFunc(slices.Collect(maps.Keys(documents)), func(name string) bool { return strings.HasPrefix(name, code+":") })
		if !tried && !slices.Contains([]string{"encrypted", "already_signed", "changed_after_signature"}, code) {
			t.Errorf("no document has %s", code)
		}
	}
}

func TestScanOfSigned(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	document := pdftest.Document(pdftest.Shape{})
	signed := p.Sign(t, document, pdf.Options{Visible: &pdf.Visible{Page: 1, X: 50, Y: 50, Width: 200, Height: 60, Lines: []string{"Siti"}}})
	a := pdftest.NewAuthorities(t, p)
	archived := extend(t, stamped(t, a, document, pdf.Options{Certify: 2}), pdf.LevelLTA, a.Services())
	for name, b := range map[string][]byte{"signed": signed, "B-LTA": archived, "twice": p.Sign(t, signed, pdf.Options{})} {
		for _, f := range scan(t, b) {
			if f.Severity != pdf.Info {
				t.Errorf("%s: %+v", name, f)
			}
		}
	}
	if !scan(t, signed).Has("already_signed") {
		t.Error("signature not seen")
	}
	if found := scan(t, update(signed, 11, "<</Length 4>>\nstream\nBT ET\nendstream")); !found.Has("changed_after_signature") || found.Has("byte_range_lookalike") {
		t.Errorf("after a change: %+v", found)
	}
}

func TestScanRaisesNoFalseAlarm(t *testing.T) {
	printed := func(html string) []byte {
		b, err := os.ReadFile(pdftest.Print(t, html))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	voucher, err := os.ReadFile("../examples/voucher.pdf")
	if err != nil {
		t.Fatal(err)
	}
	for name, document := range map[string][]byte{
		"plain":   pdftest.Document(pdftest.Shape{Pages: 3}),
		"archive": pdftest.Archive(t, 1),
		"voucher": voucher,
		"printed": printed("<h1>Baucar</h1><p>RM 100.00</p>"),
		"field": pdftest.Document(pdftest.Shape{Page: widget, Catalog: "/AcroForm<</Fields[1000 0 R]>>", Extra: map[int]string{
			1000: "<</Subtype/Widget/FT/Tx/T(a)/F 4/Rect[9 9 99 99]/V(RM 100)/AP<</N 1001 0 R>>>>",
			1001: "<</Subtype/Form/BBox[0 0 9 9]/Resources<</Font<</F 3 0 R>>>>/Length 25>>\nstream\nBT /F 9 Tf (RM 100) Tj ET\nendstream"}}),
	} {
		for _, f := range scan(t, document) {
			if f.Severity != pdf.Info {
				t.Errorf("%s: %+v", name, f)
			}
		}
	}
}

func TestScanOfManyPages(t *testing.T) {
	document := pdftest.Document(pdftest.Shape{Pages: 5000})
	d := open(t, document)
	start := time.Now()
	if _, err := d.Scan(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Logf("5,000 pages in %v", time.Since(start))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := open(t, document).Scan(ctx); err == nil {
		t.Error("went on when cancelled")
	}
}

func BenchmarkScan5000Pages(b *testing.B) {
	d := open(b, pdftest.Document(pdftest.Shape{Pages: 5000}))
	for b.Loop() {
		if _, err := d.Scan(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

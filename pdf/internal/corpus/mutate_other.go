package corpus

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/syntax"
)

// annotations: what a certification for form filling or comments (DocMDP 2, 3)
// seems to permit, over what was certified.
func (t *target) annotations() []Mutation {
	var out []Mutation
	add := func(name string, objects ...object) {
		out = append(out, Mutation{Class: Certification, Name: name, Data: t.revise(objects...)})
	}
	n := t.next
	annotate := func(refs string) object { return of(t.page, set(t.page, "Annots", t.annotsAnd(refs))) }
	fresh := fmt.Sprintf("%d 0 R", n)
	look := stm(n+1, "/Type/XObject/Subtype/Form/BBox[0 0 595 842]/Resources<</Font<</F0<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>", "1 g 0 0 595 842 re f 0 g "+forged)
	ap := fmt.Sprintf("/AP<</N %d 0 R>>", n+1)
	for _, kind := range []string{"FreeText", "Stamp", "Redact", "Square", "Circle", "Ink", "Line", "Highlight", "Caret", "Polygon", "Watermark", "Screen", "3D", "FileAttachment", "Popup", "Link", "PrinterMark", "Sebarang"} {
		add("annotation /"+kind, annotate(fresh), obj(n, "<</Type/Annot/Subtype/"+kind+"/Rect[0 0 595 842]/F 4/Contents(RM 9,999,999)"+ap+">>"), look)
	}
	add("annotation without /Type", annotate(fresh), obj(n, "<</Subtype/FreeText/Rect[0 0 595 842]/DA(/Helv 40 Tf)/Contents(RM 9,999,999)>>"))
	add("annotations replaced", of(t.page, set(t.page, "Annots", "["+fresh+"]")), obj(n, "<</Type/Annot/Subtype/Stamp/Rect[0 0 595 842]"+ap+">>"), look)
	add("annotations gone", of(t.page, set(t.page, "Annots", "")))
	widget := "/Type/Annot/Subtype/Widget/FT/Sig/T(Kedua)/Rect[0 0 595 842]/F 4" + ap
	field := func(v string, more ...object) []object {
		return slices.Concat(t.formEntry("Fields", t.fieldsAnd(fresh)), []object{annotate(fresh), obj(n, "<<"+widget+v+">>"), look}, more)
	}
	add("empty signature field over the page", field("")...)
	add("signature that is none", field(fmt.Sprintf("/V %d 0 R", n+2), obj(n+2, "<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached/ByteRange[0 1 2 3]/Contents<00>>>"))...)
	add("signature without contents", field(fmt.Sprintf("/V %d 0 R", n+2), obj(n+2, "<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached>>"))...)
	add("signature with the value of the first", field("/V "+t.ref())...)
	add("signature field on no page", slices.Concat(t.formEntry("Fields", t.fieldsAnd(fresh)), []object{obj(n, "<<"+widget+">>"), look})...)
	add("text field over the page", slices.Concat(t.formEntry("Fields", t.fieldsAnd(fresh)), []object{annotate(fresh), obj(n, strings.Replace("<<"+widget+"/V(x)>>", "/FT/Sig", "/FT/Tx", 1)), look})...)
	add("button with an icon over the page", slices.Concat(t.formEntry("Fields", t.fieldsAnd(fresh)), []object{annotate(fresh), obj(n, strings.Replace("<<"+widget+"/Ff 65536>>", "/FT/Sig", "/FT/Btn", 1)), look})...)
	return out
}

// annotsAnd is the page's /Annots with one more.
func (t *target) annotsAnd(more string) string {
	o, err := t.file.Resolve(t.page.Value.Key("Annots"))
	if err != nil || o.Value.Kind != syntax.Array {
		return "[" + more + "]"
	}
	if o.Num == 0 {
		o = t.page
	}
	v, _ := t.file.Resolve(t.page.Value.Key("Annots"))
	return strings.TrimSuffix(string(o.Raw(v.Value)), "]") + " " + more + "]"
}

// evidence: revisions that look like those of evidence (/DSS), and are not.
func (t *target) evidence() []Mutation {
	var out []Mutation
	add := func(name string, objects ...object) {
		out = append(out, Mutation{Class: EvidenceMisuse, Name: name, Data: t.revise(objects...)})
	}
	n := t.next
	inCatalog := func(dss string, more ...object) []object {
		c := t.tree.Catalog
		return append(more, of(c, set(c, "DSS", dss)))
	}
	cert := stm(n, "", "bukan sijil")
	if t.content != 0 {
		add("content stream as a certificate", inCatalog(fmt.Sprintf("<</Type/DSS/Certs[%d 0 R]>>", t.content), stm(int(t.content), "", forged))...)
		add("content stream as revocation data", inCatalog(fmt.Sprintf("<</Type/DSS/CRLs[%d 0 R]>>", t.content), stm(int(t.content), "", forged))...)
		add("content stream in /VRI", inCatalog(fmt.Sprintf("<</Type/DSS/VRI<</AA<</Cert[%d 0 R]>>>>>>", t.content), stm(int(t.content), "", forged))...)
	}
	add("page below /DSS", inCatalog(fmt.Sprintf("<</Type/DSS/X %d 0 R>>", t.page.Num), of(t.page, set(t.page, "Rotate", "90")))...)
	add("page as /VRI", inCatalog(fmt.Sprintf("<</Type/DSS/VRI %d 0 R>>", t.page.Num), of(t.page, set(t.page, "Rotate", "90")))...)
	add("evidence and a page", append(inCatalog(fmt.Sprintf("<</Type/DSS/Certs[%d 0 R]>>", n), cert), of(t.page, set(t.page, "Rotate", "90")))...)
	add("evidence and the signature field", append(inCatalog(fmt.Sprintf("<</Type/DSS/Certs[%d 0 R]>>", n), cert), of(t.field, set(t.field, "Rect", "[0 0 595 842]")))...)
	c := t.tree.Catalog
	dss := fmt.Sprintf("<</Type/DSS/Certs[%d 0 R]>>", n)
	withDSS := func(key, value string) object {
		return of(c, strings.TrimSuffix(strings.TrimSpace(set(c, key, value)), ">>")+"/DSSx 1>>")
	}
	add("evidence and an open action", cert, of(c, set(withEntry(c, "DSS", dss), "OpenAction", "<</S/JavaScript/JS(x)>>")))
	add("evidence and layers", cert, of(c, set(withEntry(c, "DSS", dss), "OCProperties", "<</OCGs[]/D<<>>>>")))
	add("almost /DSS", withDSS("Lang", "(ms)"))
	add("evidence is an annotation", append(inCatalog(dss, obj(n, "<</Type/Annot/Subtype/FreeText/Rect[0 0 595 842]/Contents(RM 9)>>")), of(t.page, set(t.page, "Annots", t.annotsAnd(fmt.Sprintf("%d 0 R", n)))))...)
	return out
}

// withEntry is an object with an entry, parsed again.
func withEntry(o *syntax.Object, key, value string) *syntax.Object {
	b := plain(obj(1, set(o, key, value)))
	f, err := syntax.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return o
	}
	again, err := f.Load(1, 0)
	if err != nil || again.Value.Kind != syntax.Dictionary {
		return o
	}
	return again
}

// damage flips bits: everywhere in what the signature covers and in its value.
func (t *target) damage() []Mutation {
	var out []Mutation
	flip := func(region string, at int, spare bool) {
		m := Mutation{Class: Damage, Name: fmt.Sprintf("%s, byte %d", region, at), Data: bytes.Clone(t.b), Unprotected: spare}
		if spare {
			m.Class = Spare
		}
		m.Data[at] ^= 1
		out = append(out, m)
	}
	spread := func(region string, from, to, n int) {
		for i := range n {
			flip(region, from+(to-from-1)*i/max(n-1, 1), false)
		}
	}
	spread("first part", 0, t.gap, 40)
	spread("signature dictionary", int(t.sig.Value.Start), t.gap, 20)
	spread("second part", t.resume, t.end, 40)
	der, spare := t.protection()
	for i := range 200 {
		at := (2*len(der) - 1) * i / 199
		flip("CMS", t.gap+1+at, spare(at/2))
	}
	if padding := t.gap + 1 + 2*len(der); padding < t.resume-1 {
		spread("padding", padding, t.resume-1, 10)
	}
	flip("bracket", t.gap, false)
	flip("bracket", t.resume-1, false)
	return out
}

// protection says which bytes of the signature value nothing protects: the
// certificates, but the signer's where no /DSS has another copy, and what
// follows the signature.
func (t *target) protection() (der []byte, spare func(int) bool) {
	value, err := hex.DecodeString(string(t.b[t.gap+1 : t.resume-1]))
	if err != nil || len(value) < 4 {
		return nil, func(int) bool { return true }
	}
	der = value[:min(len(value), 4+int(value[2])<<8+int(value[3]))]
	var signer *x509.Certificate
	var others []*x509.Certificate
	end := len(der)
	if sd, err := cms.Parse(der); err == nil {
		signer, others = sd.Certificate, sd.Others
		end = bytes.LastIndex(der, sd.SignatureValue()) + len(sd.SignatureValue())
	} else if ts, err := cms.ParseTimestamp(der); err == nil {
		signer, others = ts.Certificate, ts.Others
	}
	if signer != nil && t.tree.Catalog.Value.Key("DSS").Kind != syntax.Null {
		others = append(others, signer)
	}
	return der, func(at int) bool {
		for _, c := range others {
			if i := bytes.Index(der, c.Raw); i >= 0 && at >= i && at < i+len(c.Raw) {
				return true
			}
		}
		return at >= end
	}
}

// exchange: values of another document's signature.
func (t *target) exchange(o *target) []Mutation {
	var out []Mutation
	add := func(name string, b []byte) { out = append(out, Mutation{Class: Exchange, Name: name, Data: b}) }
	foreign := string(o.b[o.gap:o.resume])
	if len(foreign) == t.resume-t.gap {
		add("contents of another document", t.put(t.gap, foreign))
	}
	n := t.next
	fresh := fmt.Sprintf("%d 0 R", n)
	dict := string(o.sig.Raw(o.sig.Value))
	add("dictionary of another document", t.revise(of(t.sig, dict)))
	add("dictionary of another document, new object", t.revise(of(t.field, set(t.field, "V", fresh)), obj(n, dict)))
	add("contents of another document, revision", t.revise(of(t.sig, set(t.sig, "Contents", foreign))))
	add("value of another document in a new field", t.revise(append(t.formEntry("Fields", t.fieldsAnd(fresh)), obj(n, fmt.Sprintf("<</FT/Sig/T(Lain)/V %d 0 R>>", n+1)), obj(n+1, dict))...))
	if n := len(t.signatures); n > 1 {
		var objects []object
		for i, s := range t.signatures {
			next := t.signatures[(i+1)%n].field
			objects = append(objects, of(s.field, set(s.field, "V", string(next.Raw(next.Value.Key("V"))))))
		}
		add("values of the fields exchanged", t.revise(objects...))
		first := t.signatures[0].field
		add("first signature removed", t.revise(of(first, set(first, "V", ""))))
	}
	return out
}

// remapping: a cross-reference section alone that leads elsewhere.
func (t *target) remapping() []Mutation {
	var out []Mutation
	add := func(name string, b []byte) { out = append(out, Mutation{Class: ShadowAttack, Name: name, Data: b}) }
	bare := func(trailer string, entries ...row) []byte {
		b := slices.Clone(t.b)
		at := len(b)
		if len(entries) == 0 {
			entries = []row{{0, 0, 0, 65535}}
		}
		b = xrefTable(b, layout{}.or(), entries)
		return fmt.Appendf(b, "trailer\n<</Size %d%s%s>>\nstartxref\n%d\n%%%%EOF\n", t.next, trailer, t.layout.trailer, at)
	}
	root := "/Root " + t.layout.root
	link := fmt.Sprintf("/Prev %d", t.prev)
	place := bytes.Index(t.b, fmt.Appendf(nil, "%d %d obj", t.page.Num, t.page.Gen))
	add("no former section", bare(root, row{int(t.page.Num), 1, max(place, 0), int(t.page.Gen)}))
	if before := t.before(); before > 0 {
		add("signed section left out", bare(fmt.Sprintf("%s/Prev %d", root, before)))
	}
	add("page leads to the catalog", bare(root+link, row{int(t.page.Num), 1, max(bytes.Index(t.b, fmt.Appendf(nil, "%d 0 obj", t.tree.Catalog.Num)), 0), 0}))
	add("page is free", bare(root+link, row{int(t.page.Num), 0, 0, int(t.page.Gen) + 1}))
	add("catalog is the page", bare(fmt.Sprintf("/Root %d %d R%s", t.page.Num, t.page.Gen, link)))
	add("no root", bare(link))
	if t.content != 0 {
		add("content is free", bare(root+link, row{int(t.content), 0, 0, 1}))
	}
	return out
}

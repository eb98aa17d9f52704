package ecert

import (
	"bytes"
	"crypto/sha256"
	"encoding/xml"
	"errors"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"
	"unicode/utf16"
)

// prefix is the beginning of a file: header and the objects that do not depend
// on the candidate, with their cross-reference entries.
type prefix struct {
	bytes   []byte
	xref    []byte // entries 0 to objects
	objects int
	letters map[rune]bool // that the subsets contain
	digest  [sha256.Size]byte
	hash    hash.Cloner // has taken bytes in
}

func (p *prefix) covers(texts ...string) bool {
	for _, s := range texts {
		for _, c := range s {
			if (c < ' ' || c > '~') && !p.letters[c] {
				return false
			}
		}
	}
	return true
}

// builder numbers objects. Those of the certificate follow on the shared ones.
type builder struct {
	objects [][]byte
}

func (b *builder) add(body []byte) int {
	b.objects = append(b.objects, body)
	return len(b.objects)
}

func (b *builder) reserve() int { return b.add(nil) }

// pages is the number of pages of a design with these rows of units.
func pagesOf(rows [2]int) int {
	if rows[1] > 0 {
		return 2
	}
	return 1
}

// newPrefix serialises the shared objects for a number of units on each page and a
// set of letters.
func (r *Renderer) newPrefix(d *design, rows [2]int, letters string) (*prefix, error) {
	var b builder
	catalog, tree := b.reserve(), b.reserve()
	var pages [2]int
	for i := range pagesOf(rows) {
		pages[i] = b.reserve()
	}
	fonts, err := d.embed(&b, letters)
	if err != nil {
		return nil, err
	}
	objects, err := r.addXObjects(&b, d, fonts)
	if err != nil {
		return nil, err
	}
	profile, err := compress(sRGBProfile())
	if err != nil {
		return nil, err
	}
	icc := b.add(append(fmt.Appendf(nil, "<</N 3/Length %d/Filter/FlateDecode>>\nstream\n", len(profile)), append(profile, "\nendstream"...)...))
	structure := d.addStructure(&b, pages, rows)

	// From here on nothing is added: what follows is the certificate's own.
	next := len(b.objects) + 1
	kids := ""
	for i := range pagesOf(rows) {
		b.objects[pages[i]-1] = fmt.Appendf(nil, "<</Type/Page/Parent %d 0 R/MediaBox[0 0 %g %g]/Contents %d 0 R/StructParents %d/Tabs/S/Resources<</ProcSet[/PDF/Text/ImageB/ImageC]/Font<<%s>>/XObject<<%s",
			tree, pageWidth, pageHeight, next, i, fonts, objects)
		if d.photo != nil && i == 0 {
			b.objects[pages[i]-1] = fmt.Appendf(b.objects[pages[i]-1], "/Photo %d 0 R", next+pagesOf(rows))
		}
		b.objects[pages[i]-1] = append(b.objects[pages[i]-1], ">>>>>>"...)
		kids += fmt.Sprintf("%d 0 R ", pages[i])
		next++
	}
	if d.photo != nil {
		next++
	}
	b.objects[tree-1] = fmt.Appendf(nil, "<</Type/Pages/Kids[%s]/Count %d>>", strings.TrimSpace(kids), pagesOf(rows))
	b.objects[catalog-1] = fmt.Appendf(nil, "<</Type/Catalog/Version/1.7/Pages %d 0 R/Lang(%s)/Metadata %d 0 R/MarkInfo<</Marked true>>/StructTreeRoot %d 0 R/ViewerPreferences<</DisplayDocTitle true>>"+
		"/OutputIntents[<</Type/OutputIntent/S/GTS_PDFA1/OutputConditionIdentifier(sRGB)/Info(sRGB IEC 61966-2-1)/DestOutputProfile %d 0 R>>]>>", tree, d.lang, next+1, structure, icc)

	p := &prefix{objects: len(b.objects), letters: map[rune]bool{}}
	p.bytes = append(p.bytes, "%PDF-1.7\n%\xE2\xE3\xCF\xD3\n"...)
	p.xref = append(p.xref, "0000000000 65535 f \n"...)
	for i, body := range b.objects {
		p.xref = fmt.Appendf(p.xref, "%010d 00000 n \n", len(p.bytes))
		p.bytes = fmt.Appendf(p.bytes, "%d 0 obj\n%s\nendobj\n", i+1, body)
	}
	for _, c := range letters {
		p.letters[c] = true
	}
	h, ok := sha256.New().(hash.Cloner)
	if !ok {
		return nil, errors.New("SHA-256 cannot go on from a state")
	}
	h.Write(p.bytes)
	p.hash, p.digest = h, [sha256.Size]byte(h.Sum(nil))
	return p, nil
}

// embed adds the typefaces that the design uses and returns the entries of /Font.
// One that sets nothing of a candidate's has only the letters of its texts.
func (d *design) embed(b *builder, letters string) (resources string, err error) {
	for _, name := range slices.Sorted(maps.Keys(d.fonts)) {
		f := d.fonts[name]
		used := ""
		if d.variable[name] {
			used = letters
		}
		for _, c := range slices.Sorted(maps.Keys(d.inSet[name])) {
			used += string(c)
		}
		if used == "" {
			continue
		}
		have := strings.Map(func(c rune) rune {
			if f.Has(c) {
				return c
			}
			return -1
		}, used)
		objs, type0, err := f.Embed(have, len(b.objects)+1)
		if err != nil {
			return "", fmt.Errorf("embedding typeface: %w", err)
		}
		b.objects = append(b.objects, objs...)
		resources += fmt.Sprintf("/%s %d 0 R", f.res, type0)
	}
	return resources, nil
}

// addXObjects adds art, pictures and the sandbox's marking and returns the entries
// of /XObject.
func (r *Renderer) addXObjects(b *builder, d *design, fonts string) (resources string, err error) {
	form := func(name string, packed []byte) {
		// packed is shared with other designs: it is copied, not appended to.
		n := b.add(slices.Concat(fmt.Appendf(nil, "<</Type/XObject/Subtype/Form/BBox[0 0 %g %g]/Resources<</Font<<%s>>>>/Length %d/Filter/FlateDecode>>\nstream\n",
			pageWidth, pageHeight, fonts, len(packed)), packed, []byte("\nendstream")))
		resources += fmt.Sprintf("/%s %d 0 R", name, n)
	}
	for i, packed := range d.forms {
		form(fmt.Sprintf("A%d", i), packed)
	}
	for i, name := range d.pictures {
		resources += fmt.Sprintf("/P%d %d 0 R", i, b.add(r.templates.pictures[name].append(nil)))
	}
	if d.sandbox {
		var mark canvas
		mark.sandboxMark(d.fonts["serif-bold"])
		packed, err := compress(mark.b)
		if err != nil {
			return "", err
		}
		form("Mark", packed)
	}
	return resources, nil
}

// addStructure adds the structure tree (ISO 32000-2, 14.7) and returns the number
// of its root.
func (d *design) addStructure(b *builder, pages, rows [2]int) int {
	root, document := b.reserve(), b.reserve()
	var parents [2][]int // structure elements by MCID
	elem := func(role string, parent, page, mcid int, more string) int {
		n := b.add(fmt.Appendf(nil, "<</Type/StructElem/S/%s/P %d 0 R/Pg %d 0 R/K %d%s>>", role, parent, pages[page], mcid, more))
		parents[page] = append(parents[page], n)
		return n
	}
	refs := func(list []int) string {
		var s strings.Builder
		for _, n := range list {
			fmt.Fprintf(&s, "%d 0 R ", n)
		}
		return "[" + strings.TrimSpace(s.String()) + "]"
	}
	var kids, trs []int
	table := 0
	addRows := func(page int) {
		if rows[page] == 0 {
			return
		}
		if table == 0 {
			table = b.reserve()
			kids = append(kids, table)
		}
		for i := range rows[page] + 1 {
			tr := b.reserve()
			role, more := "TD", ""
			if i == 0 {
				role, more = "TH", "/A<</O/Table/Scope/Column>>"
			}
			var cells []int
			for range 3 {
				cells = append(cells, elem(role, tr, page, len(parents[page]), more))
			}
			b.objects[tr-1] = fmt.Appendf(nil, "<</Type/StructElem/S/TR/P %d 0 R/K%s>>", table, refs(cells))
			trs = append(trs, tr)
		}
	}
	for page := range pagesOf(rows) {
		before := len(kids)
		for i, n := range d.nodes[page] {
			more := ""
			if n.role == "Figure" {
				more = string(appendTextString([]byte("/Alt"), n.alt)) + fmt.Sprintf("/A<</O/Layout/Placement/Block/BBox[%.2f %.2f %.2f %.2f]>>", n.box[0], n.box[1], n.box[2], n.box[3])
			}
			kids = append(kids, elem(n.role, document, page, i, more))
		}
		// The cells' tags come after the others; in reading they stand where the table does.
		at := len(kids)
		addRows(page)
		if page == 0 && d.table >= 0 && len(kids) > at {
			kids = slices.Insert(kids[:at], before+d.table, table)
		}
	}
	if table != 0 {
		b.objects[table-1] = fmt.Appendf(nil, "<</Type/StructElem/S/Table/P %d 0 R/K%s>>", document, refs(trs))
	}
	b.objects[document-1] = fmt.Appendf(nil, "<</Type/StructElem/S/Document/P %d 0 R/K%s>>", root, refs(kids))
	nums := ""
	for page := range pagesOf(rows) {
		nums += fmt.Sprintf("%d%s", page, refs(parents[page]))
	}
	tree := b.add([]byte("<</Nums[" + nums + "]>>"))
	b.objects[root-1] = fmt.Appendf(nil, "<</Type/StructTreeRoot/K %d 0 R/ParentTree %d 0 R/ParentTreeNextKey 2>>", document, tree)
	return root
}

// appendTextString writes a text string (ISO 32000-2, 7.9.2.2) as UTF-16BE in
// hexadecimal.
func appendTextString(dst []byte, s string) []byte {
	dst = append(dst, "<FEFF"...)
	for _, u := range utf16.Encode([]rune(s)) {
		dst = fmt.Appendf(dst, "%04X", u)
	}
	return append(dst, '>')
}

// appendXMP writes the metadata packet (ISO 16684-1). It holds what Info holds.
func appendXMP(dst []byte, title, author, lang string) []byte {
	escape := func(s string) string {
		var b bytes.Buffer
		xml.EscapeText(&b, []byte(s)) // a bytes.Buffer returns no error
		return b.String()
	}
	return append(dst, strings.NewReplacer("TITLE", escape(title), "AUTHOR", escape(author), "LANG", lang).Replace(
		"<?xpacket begin=\"\uFEFF\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n"+
			`<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">`+
			`<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:pdf="http://ns.adobe.com/pdf/1.3/" xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/">`+
			`<pdfaid:part>2</pdfaid:part><pdfaid:conformance>B</pdfaid:conformance>`+
			`<dc:format>application/pdf</dc:format>`+
			`<dc:title><rdf:Alt><rdf:li xml:lang="x-default">TITLE</rdf:li></rdf:Alt></dc:title>`+
			`<dc:creator><rdf:Seq><rdf:li>AUTHOR</rdf:li></rdf:Seq></dc:creator>`+
			`<dc:language><rdf:Bag><rdf:li>LANG</rdf:li></rdf:Bag></dc:language>`+
			`<pdf:Producer>Mohor</pdf:Producer></rdf:Description></rdf:RDF></x:xmpmeta>`+
			"\n<?xpacket end=\"r\"?>")...)
}

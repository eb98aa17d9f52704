package ecert

import (
	"bytes"
	"crypto/sha256"
	"encoding/xml"
	"fmt"
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

// Object numbers of the shared part. Each typeface takes five.
const (
	objCatalog = 1 + iota
	objPages
	objPage
	objHead
	objFoot
	objFonts
)

// newPrefix serialises the shared objects for a language and a set of letters.
func (r *Renderer) newPrefix(o Options, l Language, letters string) (prefix, error) {
	w, ok := l.words()
	if !ok {
		return prefix{}, fmt.Errorf("language %q", l)
	}
	var head, foot canvas
	head.head(r.fonts, w)
	foot.foot(r.fonts, w)
	var objects [][]byte
	names := ""
	for i, f := range []typeface{r.fonts.regular, r.fonts.bold, r.fonts.italic} {
		used := letters
		if f == r.fonts.italic {
			used = w.italics()
		}
		objs, type0, err := f.Embed(used, objFonts+5*i)
		if err != nil {
			return prefix{}, fmt.Errorf("embedding typeface: %w", err)
		}
		objects = append(objects, objs...)
		names += fmt.Sprintf("/%s %d 0 R", f.res, type0)
	}
	content := objFonts + len(objects)
	resources := fmt.Sprintf("<</Font<<%s>>/ExtGState<</Faint<</ca 0.16>>>>>>", names)
	headForm, err := r.form(head.b, resources)
	if err != nil {
		return prefix{}, err
	}
	footForm, err := r.form(foot.b, resources)
	if err != nil {
		return prefix{}, err
	}
	forms := fmt.Sprintf("/Head %d 0 R/Foot %d 0 R", objHead, objFoot)
	if o.Sandbox {
		var mark canvas
		mark.sandboxMark(r.fonts)
		markForm, err := r.form(mark.b, resources)
		if err != nil {
			return prefix{}, err
		}
		forms += fmt.Sprintf("/Mark %d 0 R", content)
		objects = append(objects, markForm)
		content++
	}
	objects = append([][]byte{
		fmt.Appendf(nil, "<</Type/Catalog/Version/1.7/Pages %d 0 R/Lang(%s)/Metadata %d 0 R/ViewerPreferences<</DisplayDocTitle true>>>>", objPages, l, content+2),
		fmt.Appendf(nil, "<</Type/Pages/Kids[%d 0 R]/Count 1>>", objPage),
		fmt.Appendf(nil, "<</Type/Page/Parent %d 0 R/MediaBox[0 0 %g %g]/Contents %d 0 R/Resources<</Font<<%s>>/XObject<<%s>>>>>>",
			objPages, pageWidth, pageHeight, content, names, forms),
		headForm,
		footForm,
	}, objects...)

	p := prefix{objects: len(objects), letters: map[rune]bool{}}
	p.bytes = append(p.bytes, "%PDF-1.7\n%\xE2\xE3\xCF\xD3\n"...)
	p.xref = append(p.xref, "0000000000 65535 f \n"...)
	for i, body := range objects {
		p.xref = fmt.Appendf(p.xref, "%010d 00000 n \n", len(p.bytes))
		p.bytes = fmt.Appendf(p.bytes, "%d 0 obj\n%s\nendobj\n", i+1, body)
	}
	for _, c := range letters {
		p.letters[c] = true
	}
	p.digest = sha256.Sum256(p.bytes)
	return p, nil
}

// form returns a form XObject over the whole page.
func (r *Renderer) form(content []byte, resources string) ([]byte, error) {
	packed, err := r.compress(content)
	if err != nil {
		return nil, err
	}
	out := fmt.Appendf(nil, "<</Type/XObject/Subtype/Form/BBox[0 0 %g %g]/Resources%s/Length %d/Filter/FlateDecode>>\nstream\n",
		pageWidth, pageHeight, resources, len(packed))
	out = append(out, packed...)
	return append(out, "\nendstream"...), nil
}

// italics are the texts set in italic, none of which the candidate brings.
func (w *words) italics() string {
	s := w.numberLabel + w.certify + w.icLabel + w.centreLabel + w.batchLabel + w.dateLabel + w.legal[0] + w.legal[1] + " "
	for _, t := range w.titles {
		s += t.award
	}
	return s
}

// author is the issuing department, in capitals only on the page.
func author(l Language) string {
	if l == English {
		return "Department of Skills Development, Malaysia"
	}
	return "Jabatan Pembangunan Kemahiran, Malaysia"
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
func appendXMP(dst []byte, title, author string, l Language) []byte {
	escape := func(s string) string {
		var b bytes.Buffer
		xml.EscapeText(&b, []byte(s)) // a bytes.Buffer returns no error
		return b.String()
	}
	return append(dst, strings.NewReplacer("TITLE", escape(title), "AUTHOR", escape(author), "LANG", string(l)).Replace(
		"<?xpacket begin=\"\uFEFF\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n"+
			`<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">`+
			`<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:pdf="http://ns.adobe.com/pdf/1.3/">`+
			`<dc:format>application/pdf</dc:format>`+
			`<dc:title><rdf:Alt><rdf:li xml:lang="x-default">TITLE</rdf:li></rdf:Alt></dc:title>`+
			`<dc:creator><rdf:Seq><rdf:li>AUTHOR</rdf:li></rdf:Seq></dc:creator>`+
			`<dc:language><rdf:Bag><rdf:li>LANG</rdf:li></rdf:Bag></dc:language>`+
			`<pdf:Producer>Mohor</pdf:Producer></rdf:Description></rdf:RDF></x:xmpmeta>`+
			"\n<?xpacket end=\"r\"?>")...)
}

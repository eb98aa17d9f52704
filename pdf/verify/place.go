package verify

import (
	"fmt"
	"time"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// position is where a signature lies in the file.
type position struct {
	gap, resume, end int64 // the byte range is 0…gap and resume…end
	der              []byte
}

// locate checks the signature dictionary the field's /V reaches and its place
// in the file (ISO 32000-2, Section 12.8.1). It returns nil when a reason was
// found that makes the rest meaningless.
func (v *verifier) locate(f syntax.Field, s *Signature) (*position, error) {
	o := f.Object
	dict := f.V
	if f.V.Kind == syntax.Reference {
		var err error
		if o, err = v.file.Resolve(f.V); err != nil {
			return nil, err
		}
		dict = o.Value
	}
	if dict.Kind != syntax.Dictionary || o.Compressed || o.Data != 0 {
		s.find("signature_malformed", "value of the field is no dictionary in the file itself")
		return nil, nil
	}
	if t := dict.Key("Type"); t.Kind != syntax.Null && !t.IsName("Sig") {
		if t.IsName("DocTimeStamp") {
			s.find("pdf_unsupported", "document time-stamp")
		} else {
			s.find("signature_malformed", "/Type")
		}
		return nil, nil
	}
	p, detail := byteRange(dict.Key("ByteRange"), v.size)
	if p == nil {
		s.find("byte_range_malformed", detail)
		return nil, nil
	}
	contents := dict.Key("Contents")
	if contents.Kind != syntax.String || !contents.Hex || !pureHex(o.Raw(contents)) {
		s.find("signature_malformed", "/Contents is no plain hexadecimal string")
		return nil, nil
	}
	if p.gap != contents.Start || p.resume != contents.End {
		s.find("gap_not_contents", fmt.Sprintf("gap %d to %d, /Contents %d to %d", p.gap, p.resume, contents.Start, contents.End))
		return nil, nil
	}
	s.Covers = p.end == v.size
	if !s.Covers {
		s.find("changed_after", fmt.Sprintf("%d bytes after the signed revision", v.size-p.end))
	}
	if p.der, detail = trim(contents.Bytes); p.der == nil {
		s.find("cms_malformed", detail)
		return nil, nil
	}
	if !dict.Key("SubFilter").IsName("ETSI.CAdES.detached") {
		s.find("not_pades", "/SubFilter")
		if !dict.Key("SubFilter").IsName("adbe.pkcs7.detached") {
			return nil, nil
		}
	}
	s.claimed(dict.Key("M"), v.options.Now)
	return p, nil
}

// byteRange reads [0 gap resume length]: four direct integers.
func byteRange(v syntax.Value, size int64) (*position, string) {
	if v.Kind != syntax.Array || len(v.Array) != 4 {
		return nil, "not an array of four"
	}
	var n [4]int64
	for i, e := range v.Array {
		if e.Kind != syntax.Integer || e.Int < 0 || e.Int > size {
			return nil, "not four integers within the file"
		}
		n[i] = e.Int
	}
	if n[0] != 0 {
		return nil, "does not start at 0"
	}
	if n[1] == 0 || n[1] >= n[2] {
		return nil, "parts overlap or touch"
	}
	if n[3] == 0 || n[3] > size-n[2] {
		return nil, "ends outside of the file"
	}
	return &position{gap: n[1], resume: n[2], end: n[2] + n[3]}, ""
}

// pureHex says whether raw is < hex digits in pairs >, with nothing else.
func pureHex(raw []byte) bool {
	if len(raw) < 4 || len(raw)%2 != 0 || raw[0] != '<' || raw[len(raw)-1] != '>' {
		return false
	}
	for _, c := range raw[1 : len(raw)-1] {
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F') {
			return false
		}
	}
	return true
}

// trim cuts the padding behind the outermost DER value, which must be zeros.
func trim(b []byte) ([]byte, string) {
	if len(b) < 2 || b[0] != 0x30 || b[1] == 0x80 {
		return nil, "no DER sequence"
	}
	size, header := int(b[1]), 2
	if b[1] > 0x80 {
		n := int(b[1] & 0x7F)
		if n > 4 || len(b) < 2+n {
			return nil, "length of DER"
		}
		size = 0
		for _, c := range b[2 : 2+n] {
			size = size<<8 | int(c)
		}
		header += n
	}
	if size > len(b)-header {
		return nil, "DER longer than /Contents"
	}
	for _, c := range b[header+size:] {
		if c != 0 {
			return nil, "bytes behind the DER are not zero"
		}
	}
	return b[:header+size], ""
}

// claimed reads /M (ISO 32000-2, Section 7.9.4).
func (s *Signature) claimed(m syntax.Value, now time.Time) {
	t, ok := date(string(m.Bytes))
	if m.Kind != syntax.String || !ok {
		s.find("signing_time_missing", "")
		return
	}
	s.SignedAt = &t
	if t.After(now.Add(skew)) {
		s.find("signing_time_future", "")
	}
}

// date reads D:YYYYMMDDHHmmSS followed by Z, Z00'00' or ±HH'mm with or
// without a last apostrophe.
func date(s string) (time.Time, bool) {
	for _, layout := range []string{"D:20060102150405Z", "D:20060102150405Z00'00'", "D:20060102150405-07'00'", "D:20060102150405-07'00"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// stray looks for signatures the form does not lead to: widgets on pages, and
// usage rights in the catalog.
func (v *verifier) stray(tree *syntax.Tree, form *syntax.Form) (bool, error) {
	perms, err := v.file.Resolve(tree.Catalog.Value.Key("Perms"))
	if err != nil {
		return false, err
	}
	for _, e := range perms.Value.Dict {
		if e.Key != "DocMDP" {
			return true, nil
		}
	}
	for _, p := range tree.Pages {
		if err := v.ctx.Err(); err != nil {
			return false, err
		}
		page, err := v.file.Load(p.Num, p.Gen)
		if err != nil {
			return false, err
		}
		annots, err := v.file.Resolve(page.Value.Key("Annots"))
		if err != nil {
			return false, err
		}
		for _, a := range annots.Value.Array {
			if a.Kind == syntax.Reference && form.Has(uint32(a.Int)) {
				continue
			}
			found, err := v.signatureWidget(a)
			if found || err != nil {
				return found, err
			}
		}
	}
	return false, nil
}

// signatureWidget says whether an annotation outside of the field tree belongs
// to a signature field with a value.
func (v *verifier) signatureWidget(a syntax.Value) (bool, error) {
	var kind, value bool
	for range 16 {
		o, err := v.file.Resolve(a)
		if err != nil {
			return false, err
		}
		ft, err := v.file.Resolve(o.Value.Key("FT"))
		if err != nil {
			return false, err
		}
		kind = kind || ft.Value.IsName("Sig")
		value = value || o.Value.Key("V").Kind != syntax.Null
		if a = o.Value.Key("Parent"); a.Kind != syntax.Reference {
			break
		}
	}
	return kind && value, nil
}

package verify

import (
	"encoding/hex"
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
// in the file (ISO 32000-2, Section 12.8.1).
func (v *verifier) locate(s *signed) error {
	s.owner = s.field.Object
	s.dict = s.field.V
	if s.field.V.Kind == syntax.Reference {
		var err error
		if s.owner, err = v.file.Resolve(s.field.V); err != nil {
			return err
		}
		s.dict = s.owner.Value
	}
	if s.dict.Kind != syntax.Dictionary || s.owner.Compressed || s.owner.Data != 0 {
		s.fail("signature_malformed", "value of the field is no dictionary in the file itself")
		return nil
	}
	if t := s.dict.Key("Type"); t.IsName("DocTimeStamp") {
		s.stamp = true
	} else if t.Kind != syntax.Null && !t.IsName("Sig") {
		s.fail("signature_malformed", "/Type")
		return nil
	}
	p, detail := byteRange(s.dict.Key("ByteRange"), v.size)
	if p == nil {
		s.fail("byte_range_malformed", detail)
		return nil
	}
	s.position = *p
	contents := s.dict.Key("Contents")
	raw := s.owner.Raw(contents)
	value, plain := pairs(raw)
	if contents.Kind != syntax.String || !contents.Hex || !plain {
		s.fail("signature_malformed", "/Contents is no plain hexadecimal string")
		return nil
	}
	if p.gap != contents.Start || p.resume != contents.End {
		s.fail("gap_not_contents", fmt.Sprintf("gap %d to %d, /Contents %d to %d", p.gap, p.resume, contents.Start, contents.End))
		return nil
	}
	if s.der, detail = trim(value); s.der == nil {
		s.fail("cms_malformed", detail)
		return nil
	}
	sub := s.dict.Key("SubFilter")
	switch {
	case s.stamp && sub.IsName("ETSI.RFC3161"), !s.stamp && sub.IsName("ETSI.CAdES.detached"):
	case !s.stamp && sub.IsName("adbe.pkcs7.detached"):
		s.out.find("not_pades", "/SubFilter")
	default:
		s.fail("not_pades", "/SubFilter")
	}
	return nil
}

// shows says whether a field has an area on a page, displayed or printed.
func (v *verifier) shows(n *node) (bool, error) {
	o, err := v.file.Load(uint32(n.ref.Int), n.ref.Gen)
	if err != nil {
		return false, err
	}
	rect, err := v.file.Resolve(o.Value.Key("Rect"))
	if err != nil {
		return false, err
	}
	var r [4]float64
	for i, e := range rect.Value.Array {
		number, err := v.file.Resolve(e)
		if err != nil {
			return false, err
		}
		if i < len(r) {
			r[i] = number.Value.Real
		}
	}
	flags, err := v.file.Resolve(o.Value.Key("F"))
	if err != nil {
		return false, err
	}
	const hidden = 1 << 1 // ISO 32000-2, Table 167; what is not viewed may be printed
	if r[0] != r[2] && r[1] != r[3] && flags.Value.Int&hidden == 0 {
		return true, nil
	}
	for _, kid := range n.kids {
		if found, err := v.shows(kid); found || err != nil {
			return found, err
		}
	}
	return false, nil
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

// pairs decodes < hex digits in pairs >, with nothing else. In encrypted
// documents too /Contents is plain.
func pairs(raw []byte) ([]byte, bool) {
	if len(raw) < 4 || len(raw)%2 != 0 || raw[0] != '<' || raw[len(raw)-1] != '>' {
		return nil, false
	}
	value := make([]byte, len(raw)/2-1)
	_, err := hex.Decode(value, raw[1:len(raw)-1])
	return value, err == nil
}

// trim cuts the padding behind the outermost value in BER, which must be zeros.
func trim(b []byte) ([]byte, string) {
	if len(b) < 2 || b[0] != 0x30 {
		return nil, "no DER sequence"
	}
	end, ok := element(b, 0)
	if !ok {
		return nil, "DER longer than /Contents"
	}
	for _, c := range b[end:] {
		if c != 0 {
			return nil, "bytes behind the DER are not zero"
		}
	}
	return b[:end], ""
}

// element returns the size of the value in BER at the start of b (X.690,
// Section 8.1). Only indefinite lengths are looked into.
func element(b []byte, depth int) (size int, ok bool) {
	const deepest = 32
	if depth > deepest || len(b) < 2 || b[0]&0x1F == 0x1F {
		return 0, false
	}
	length, header := int(b[1]), 2
	switch {
	case b[1] == 0x80:
		for at := 2; ; {
			if at+2 > len(b) {
				return 0, false
			}
			if b[at] == 0 && b[at+1] == 0 {
				return at + 2, true
			}
			n, ok := element(b[at:], depth+1)
			if !ok {
				return 0, false
			}
			at += n
		}
	case b[1] > 0x80:
		n := int(b[1] & 0x7F)
		if n > 4 || len(b) < 2+n {
			return 0, false
		}
		length, header = 0, 2+n
		for _, c := range b[2:header] {
			length = length<<8 | int(c)
		}
	}
	return header + length, length <= len(b)-header
}

// claimed reads /M (ISO 32000-2, Section 7.9.4).
func (s *signed) claimed(now time.Time) time.Time {
	m := s.dict.Key("M")
	t, ok := date(string(m.Bytes))
	if m.Kind != syntax.String || !ok {
		s.out.find("signing_time_missing", "")
		return time.Time{}
	}
	if t.After(now.Add(skew)) {
		s.out.find("signing_time_future", "")
	}
	return t
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

// strays looks for signatures the form does not lead to: widgets on pages, and
// entries of the catalog's /Perms.
func (v *verifier) strays(report *Report) error {
	perms, err := v.file.Resolve(v.tree.Catalog.Value.Key("Perms"))
	if err != nil {
		return err
	}
	for _, e := range perms.Value.Dict {
		certified := false
		for i, s := range v.signed {
			// A certification is the first signature of the document.
			certified = certified || i == 0 && e.Key == "DocMDP" && s.rules.certifies && equal(e.Value, s.field.V)
		}
		if !certified {
			report.find("stray_signature", "/Perms /"+e.Key)
		}
	}
	if v.roles.stray {
		report.find("stray_signature", "")
	}
	return nil
}

// strayWidget says whether one of a page's annotations belongs to a signature
// field with a value but not to the field tree.
func (v *verifier) strayWidget(annots []syntax.Value) (bool, error) {
	for _, a := range annots {
		if a.Kind == syntax.Reference && v.form.Has(uint32(a.Int)) {
			continue
		}
		if found, err := v.signatureWidget(a); found || err != nil {
			return found, err
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

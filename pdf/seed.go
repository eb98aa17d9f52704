package pdf

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"strings"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// Bits of /Ff in a seed value dictionary and in its /Cert (ISO 32000-2, Tables
// 237 and 238), which make the entry with the same name a constraint.
const (
	seedFilter = 1 << iota
	seedSubFilter
	seedV
	seedReasons
	seedLegalAttestation
	seedAddRevInfo
	seedDigestMethod
	seedLockDocument
	seedAppearanceFilter
	seedKnown = 1<<iota - 1
)

const (
	certSubject = 1 << iota
	certIssuer
	certOID
	certSubjectDN
	_
	certKeyUsage
	certURL
	certKnown = 1<<iota - 1
)

// seeds holds the seed values of a field while they are checked.
type seeds struct {
	d    *Document
	o    *Options
	t    *target
	dict syntax.Value
	ff   int64
	// hashes are the only ones allowed, nil when any is.
	hashes []crypto.Hash
	err    error
}

// seeds checks the options against the seed value dictionary of an existing
// field (ISO 32000-2, Section 12.7.5.5): every required constraint holds, or
// the signature is refused naming it. Those that are not required are wishes,
// which an unattended signer does not follow. It returns the hashes allowed,
// nil when any is.
func (d *Document) seeds(t *target, o *Options) ([]crypto.Hash, error) {
	if t.field == nil {
		return nil, nil
	}
	v := t.field.Object.Value.Key("SV")
	sv, err := d.file.Resolve(v)
	if err != nil {
		return nil, err
	}
	if sv.Value.Kind == syntax.Null {
		return nil, nil
	}
	if sv.Value.Kind != syntax.Dictionary {
		return nil, syntax.Errorf(ErrInvalid, v.Start, "malformed seed values")
	}
	s := &seeds{d: d, o: o, t: t, dict: sv.Value}
	s.ff = s.flags(sv.Value)
	if s.ff&^seedKnown != 0 {
		return nil, s.unsupported("of an unknown kind")
	}
	for _, check := range []func() error{s.encoding, s.reason, s.digest, s.mdp, s.timestamp, s.certificate} {
		if err := check(); err != nil {
			return nil, err
		}
		if s.err != nil {
			return nil, s.err
		}
	}
	return s.hashes, nil
}

func (s *seeds) unsupported(name string) error {
	return syntax.Errorf(ErrUnsupported, s.dict.Start, "the field requires a seed value %s", name)
}

func (s *seeds) refuse(name string) error {
	return refuse("the field's seed value %s is not met", name)
}

// resolve keeps the first error, which the caller of the checks returns.
func (s *seeds) resolve(v syntax.Value) syntax.Value {
	o, err := s.d.file.Resolve(v)
	if err != nil {
		if s.err == nil {
			s.err = err
		}
		return syntax.Value{}
	}
	return o.Value
}

func (s *seeds) key(name string) syntax.Value { return s.resolve(s.dict.Key(name)) }

// flags reads /Ff. What is no number might demand anything.
func (s *seeds) flags(dict syntax.Value) int64 {
	ff := s.resolve(dict.Key("Ff"))
	if ff.Kind == syntax.Integer {
		return ff.Int
	}
	if ff.Kind != syntax.Null && s.err == nil {
		s.err = syntax.Errorf(ErrInvalid, ff.Start, "malformed seed values")
	}
	return 0
}

// list returns the strings or names of an array, or the value alone.
func (s *seeds) list(v syntax.Value) [][]byte {
	v = s.resolve(v)
	if v.Kind == syntax.String || v.Kind == syntax.Name {
		return [][]byte{v.Bytes}
	}
	var out [][]byte
	for _, e := range v.Array {
		out = append(out, s.resolve(e).Bytes)
	}
	return out
}

func (s *seeds) encoding() error {
	if s.ff&seedFilter != 0 && !s.key("Filter").IsName("Adobe.PPKLite") {
		return s.unsupported("/Filter")
	}
	if s.ff&seedV != 0 && s.key("V").Real > 3 {
		return s.unsupported("/V")
	}
	if s.ff&seedAppearanceFilter != 0 {
		return s.unsupported("/AppearanceFilter")
	}
	if s.ff&seedLegalAttestation != 0 {
		return s.unsupported("/LegalAttestation")
	}
	// The data would have to be in the signature itself.
	if s.ff&seedAddRevInfo != 0 && s.key("AddRevInfo").Int == 1 {
		return s.unsupported("/AddRevInfo")
	}
	if s.ff&seedSubFilter == 0 {
		return nil
	}
	for _, name := range s.list(s.dict.Key("SubFilter")) {
		switch string(name) {
		case s.o.SubFilter:
			return nil
		case SubFilterPAdES, SubFilterPKCS7: // the first one known is to be used
			return s.refuse("/SubFilter " + string(name))
		}
	}
	return s.unsupported("/SubFilter")
}

// reason: an empty list, or a single full stop, asks for no reason at all.
func (s *seeds) reason() error {
	if s.ff&seedReasons == 0 {
		return nil
	}
	var reasons []string
	for _, b := range s.list(s.dict.Key("Reasons")) {
		reasons = append(reasons, syntax.Text(b))
	}
	if len(reasons) == 0 || len(reasons) == 1 && reasons[0] == "." {
		reasons = []string{""}
	}
	if !slices.Contains(reasons, s.o.Reason) {
		return s.refuse("/Reasons")
	}
	return nil
}

func (s *seeds) digest() error {
	if s.ff&seedDigestMethod == 0 {
		return nil
	}
	s.hashes = []crypto.Hash{} // not nil
	for _, b := range s.list(s.dict.Key("DigestMethod")) {
		for name, h := range map[string]crypto.Hash{"SHA256": crypto.SHA256, "SHA384": crypto.SHA384, "SHA512": crypto.SHA512} {
			if string(b) == name {
				s.hashes = append(s.hashes, h)
			}
		}
	}
	if len(s.hashes) == 0 {
		return s.unsupported("/DigestMethod")
	}
	if s.o.Hash != 0 && !slices.Contains(s.hashes, s.o.Hash) {
		return s.refuse("/DigestMethod")
	}
	return nil
}

// mdp has no bit: when there, it says which kind of signature it must be.
func (s *seeds) mdp() error {
	if mdp := s.key("MDP"); mdp.Kind == syntax.Dictionary {
		if p := s.resolve(mdp.Key("P")); p.Kind != syntax.Null && p.Int != int64(s.o.Certify) {
			return s.refuse("/MDP")
		}
	}
	if s.ff&seedLockDocument == 0 {
		return nil
	}
	locked := s.o.Certify == noChanges || s.t.permission == noChanges
	switch v := s.key("LockDocument"); {
	case v.IsName("auto"), v.IsName("true") && locked, v.IsName("false") && !locked:
		return nil
	default:
		return s.refuse("/LockDocument")
	}
}

// timestamp does not care for the /URL: it is the document's, not ours.
func (s *seeds) timestamp() error {
	if s.flags(s.key("TimeStamp"))&1 != 0 && s.o.Level.rank() < LevelT.rank() {
		return s.refuse("/TimeStamp")
	}
	return nil
}

// certificate checks what the field asks of the certificate (ISO 32000-2,
// Table 238). /URL says where to get one and asks nothing of it.
func (s *seeds) certificate() error {
	cert := s.key("Cert")
	ff := s.flags(cert)
	if ff&^(certKnown&^(1<<4)) != 0 {
		return s.unsupported("/Cert of an unknown kind")
	}
	if ff&^certURL == 0 {
		return nil
	}
	if len(s.o.Certificates) == 0 {
		return refuse("the field asks for certain certificates: Certificates missing")
	}
	leaf := s.o.Certificates[0]
	for _, c := range []struct {
		bit  int64
		name string
		met  func() bool
	}{
		{certSubject, "Subject", func() bool { return s.anyOf(cert.Key("Subject"), leaf) }},
		{certIssuer, "Issuer", func() bool { return s.anyOf(cert.Key("Issuer"), s.o.Certificates...) }},
		{certOID, "OID", func() bool { return s.policies(cert.Key("OID"), leaf) }},
		{certSubjectDN, "SubjectDN", func() bool { return s.subject(cert.Key("SubjectDN"), leaf) }},
		{certKeyUsage, "KeyUsage", func() bool { return s.usage(cert.Key("KeyUsage"), leaf) }},
	} {
		if ff&c.bit != 0 && !c.met() {
			return s.refuse("/Cert /" + c.name)
		}
	}
	return nil
}

// anyOf says whether one of the certificates is listed, in DER.
func (s *seeds) anyOf(v syntax.Value, certs ...*x509.Certificate) bool {
	for _, der := range s.list(v) {
		for _, c := range certs {
			if bytes.Equal(der, c.Raw) {
				return true
			}
		}
	}
	return false
}

// policies says whether the certificate has all the policies listed.
func (s *seeds) policies(v syntax.Value, c *x509.Certificate) bool {
	for _, want := range s.list(v) {
		if !slices.ContainsFunc(c.Policies, func(p x509.OID) bool { return p.String() == string(want) }) {
			return false
		}
	}
	return true
}

// attributes are the keys of /SubjectDN besides dotted numbers.
func attribute(key string) string {
	return map[string]string{
		"cn": "2.5.4.3", "sn": "2.5.4.4", "serialnumber": "2.5.4.5", "c": "2.5.4.6", "l": "2.5.4.7", "st": "2.5.4.8",
		"street": "2.5.4.9", "o": "2.5.4.10", "ou": "2.5.4.11", "t": "2.5.4.12", "title": "2.5.4.12",
		"e": "1.2.840.113549.1.9.1", "email": "1.2.840.113549.1.9.1", "dc": "0.9.2342.19200300.100.1.25",
	}[strings.ToLower(key)]
}

// subject says whether the subject has all attributes of one of the
// dictionaries.
func (s *seeds) subject(v syntax.Value, c *x509.Certificate) bool {
	has := func(key, value string) bool {
		oid := key
		if _, err := x509.ParseOID(key); err != nil {
			oid = attribute(key)
		}
		for _, a := range c.Subject.Names {
			if text, ok := a.Value.(string); ok && a.Type.String() == oid && text == value {
				return true
			}
		}
		return false
	}
	for _, e := range s.resolve(v).Array {
		met := true
		for _, a := range s.resolve(e).Dict {
			met = met && has(a.Key, syntax.Text(s.resolve(a.Value).Bytes))
		}
		if met {
			return true
		}
	}
	return false
}

// usage says whether the key usage fits one of the patterns: a character for
// each bit of RFC 5280, Section 4.2.1.3, in its order: 1 must be set, 0 must
// not, X may.
func (s *seeds) usage(v syntax.Value, c *x509.Certificate) bool {
	var bits asn1.BitString
	for _, e := range c.Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 15}) {
			if _, err := asn1.Unmarshal(e.Value, &bits); err != nil {
				return false
			}
		}
	}
	for _, pattern := range s.list(v) {
		met := true
		for i, want := range pattern {
			met = met && (want == 'X' || want == byte('0'+bits.At(i)))
		}
		if met {
			return true
		}
	}
	return false
}

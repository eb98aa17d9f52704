package cms

import (
	"bytes"
	"crypto"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// MaxSize bounds a SignedData, in bytes.
const MaxSize = 1 << 20

// maxDigests bounds the digest algorithms a SignedData lists.
const maxDigests = 16

// ErrMalformed: not a SignedData of the profile of this package.
var ErrMalformed = errors.New("malformed CMS")

// ErrDigest: the message-digest attribute is not the document's digest, or the
// imprint of a time-stamp not the digest of what it should be over.
var ErrDigest = errors.New("message digest differs")

// ErrCertificateMissing: the signer's certificate is neither embedded nor
// among those given. It comes with ErrMalformed.
var ErrCertificateMissing = errors.New("signer's certificate is missing")

// ErrSigningCertificate: signing-certificate-v2, or signing-certificate, names
// another certificate.
var ErrSigningCertificate = errors.New("signing certificate attribute does not match")

// ErrSigningCertificateMissing: there is no signing-certificate-v2 attribute.
var ErrSigningCertificateMissing = errors.New("signing certificate attribute is missing")

// SignedData is a parsed signature with one signer. Nothing in it is checked
// but its form; see Verify. What is unsigned in it anybody can have added. It
// may share memory with what was parsed.
type SignedData struct {
	// Certificate is the signer's certificate, found by the identifier the
	// signer gave. Others are the rest of the embedded certificates, without
	// those that crypto/x509 cannot read.
	Certificate *x509.Certificate
	Others      []*x509.Certificate
	// Unread are the DER of embedded certificates that cannot be read.
	Unread [][]byte
	// Hash is SHA256, SHA384, SHA512, or SHA1 or MD5, which Verify refuses.
	Hash      crypto.Hash
	Algorithm Algorithm
	// MessageDigest is the attribute's value.
	MessageDigest []byte
	// HasSigningTime says that a signing-time attribute is there, which PAdES
	// forbids. SigningTime is its value, zero when it is missing or unreadable.
	// HasUnsigned says that there are unsigned attributes.
	HasSigningTime, HasUnsigned bool
	SigningTime                 time.Time
	// SigningCertificateV1 says that there is a signing-certificate attribute
	// with a SHA-1 hash (RFC 2634, Section 5.4), beside -v2 or in its place.
	SigningCertificateV1 bool
	// Signed and Unsigned are the types of all attributes, in their order.
	Signed, Unsigned []asn1.ObjectIdentifier
	// Commitments are the commitment types the signer claims, SignaturePolicy
	// the identifier of the policy, nil without one (ETSI EN 319 122-1,
	// Sections 5.2.3 and 5.2.9).
	Commitments     []asn1.ObjectIdentifier
	SignaturePolicy asn1.ObjectIdentifier
	// Timestamps are the DER of the time-stamp tokens over SignatureValue
	// (RFC 3161, Appendix A), unsigned, as ParseTimestamp reads them.
	Timestamps [][]byte
	// Revocation is what the SignedData brings along.
	Revocation Revocation

	embedded         []*x509.Certificate
	salt             int
	signedAttrs      []byte // with tag SET
	signature        []byte
	digestAlgorithm  []byte // AlgorithmIdentifiers, for CMSAlgorithmProtection
	signatureAlg     []byte
	certID, certIDv2 *certID
}

// Revocation are revocation data in DER: OCSPResponse (RFC 6960) and
// CertificateList (RFC 5280), from the crls field (RFC 5940) and from the
// attribute adbe-revocationInfoArchival (ISO 32000-2, Section 12.8.3.3.2).
// Nothing in them is checked.
type Revocation struct {
	OCSPs, CRLs [][]byte
}

func malformed(what string) error { return fmt.Errorf("%w: %s", ErrMalformed, what) }

// Parse reads one ContentInfo with SignedData (RFC 5652, Sections 3, 5),
// without trailing bytes: content detached, exactly one signer, signed
// attributes. It may be in BER, but for the signed attributes. known are
// certificates among which the signer's is looked for when it is not embedded.
// Errors wrap ErrMalformed or ErrAlgorithm.
func Parse(der []byte, known ...*x509.Certificate) (*SignedData, error) {
	sd, _, err := parse(der, oidData, known)
	return sd, err
}

// parse reads a SignedData with a type of content. The content is nil for
// oidData, which is detached, and the octets of the content otherwise.
func parse(in []byte, contentType asn1.ObjectIdentifier, known []*x509.Certificate) (d *SignedData, content []byte, err error) {
	der, err := toDER(in)
	if err != nil {
		return nil, nil, err
	}
	sd, err := openContentInfo(der)
	if err != nil {
		return nil, nil, err
	}
	var version int
	var algorithms, encap, certs, crls, signers cryptobyte.String
	var hasCerts, hasCRLs bool
	if !sd.ReadASN1Integer(&version) || version < 1 || version > 5 || version == 2 ||
		!sd.ReadASN1(&algorithms, cbasn1.SET) ||
		!sd.ReadASN1(&encap, cbasn1.SEQUENCE) ||
		!sd.ReadOptionalASN1(&certs, &hasCerts, cbasn1.Tag(0).Constructed().ContextSpecific()) ||
		!sd.ReadOptionalASN1(&crls, &hasCRLs, cbasn1.Tag(1).Constructed().ContextSpecific()) ||
		!sd.ReadASN1(&signers, cbasn1.SET) || len(sd) != 0 {
		return nil, nil, malformed("SignedData")
	}
	if content, err = readContent(encap, contentType); err != nil {
		return nil, nil, err
	}
	d = &SignedData{}
	all, err := d.readCertificates(certs, known)
	if err != nil {
		return nil, nil, err
	}
	d.embedded = all
	if err := d.readRevocationChoices(crls); err != nil {
		return nil, nil, err
	}
	if err := d.readSigner(signers, contentType, all, known); err != nil {
		return nil, nil, err
	}
	// RFC 5652, Section 5.3: the signed attributes are in DER, whatever the
	// rest is in.
	if &der[0] != &in[0] && !bytes.Contains(in, d.signedAttrs[1:]) {
		return nil, nil, malformed("signed attributes are not in DER")
	}
	if err := listed(algorithms, d.Hash); err != nil {
		return nil, nil, err
	}
	return d, content, nil
}

// openContentInfo returns what is inside of the SignedData.
func openContentInfo(der []byte) (sd cryptobyte.String, err error) {
	in := cryptobyte.String(der)
	var info, content cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !in.ReadASN1(&info, cbasn1.SEQUENCE) || len(in) != 0 ||
		!info.ReadASN1ObjectIdentifier(&oid) || !oid.Equal(oidSignedData) ||
		!info.ReadASN1(&content, cbasn1.Tag(0).Constructed().ContextSpecific()) || len(info) != 0 ||
		!content.ReadASN1(&sd, cbasn1.SEQUENCE) || len(content) != 0 {
		return nil, malformed("no SignedData")
	}
	return sd, nil
}

func readContent(encap cryptobyte.String, contentType asn1.ObjectIdentifier) ([]byte, error) {
	var oid asn1.ObjectIdentifier
	if !encap.ReadASN1ObjectIdentifier(&oid) || !oid.Equal(contentType) {
		return nil, malformed("content is not of the type expected")
	}
	if contentType.Equal(oidData) {
		if len(encap) != 0 {
			return nil, malformed("content is not detached")
		}
		return nil, nil
	}
	var explicit, octets cryptobyte.String
	if !encap.ReadASN1(&explicit, cbasn1.Tag(0).Constructed().ContextSpecific()) || len(encap) != 0 ||
		!explicit.ReadASN1(&octets, cbasn1.OCTET_STRING) || len(explicit) != 0 {
		return nil, malformed("content")
	}
	return octets, nil
}

// listed asks for the signer's hash among the digest algorithms (RFC 5652,
// Section 5.1).
func listed(algorithms cryptobyte.String, h crypto.Hash) error {
	found := false
	for n := 0; len(algorithms) > 0; n++ {
		var one cryptobyte.String
		if n == maxDigests || !algorithms.ReadASN1Element(&one, cbasn1.SEQUENCE) {
			return malformed("digest algorithms")
		}
		got, err := readHash(&one)
		found = found || err == nil && got == h
	}
	if !found {
		return malformed("digest algorithm of the signer is not listed")
	}
	return nil
}

// readCertificates reads CertificateSet. Attribute certificates are passed
// over, and so is what crypto/x509 cannot read: it helps nobody. What is known
// is not parsed again.
func (d *SignedData) readCertificates(certs cryptobyte.String, known []*x509.Certificate) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for n := 0; len(certs) > 0; n++ {
		var raw cryptobyte.String
		var tag cbasn1.Tag
		if n == maxCertificates || !certs.ReadAnyASN1Element(&raw, &tag) {
			return nil, malformed("certificates")
		}
		if i := slices.IndexFunc(known, func(c *x509.Certificate) bool { return bytes.Equal(c.Raw, raw) }); i >= 0 {
			all = append(all, known[i])
		} else if c, err := x509.ParseCertificate(raw); tag == cbasn1.SEQUENCE && err == nil {
			all = append(all, c)
		} else {
			d.Unread = append(d.Unread, raw)
		}
	}
	return all, nil
}

func (d *SignedData) readSigner(signers cryptobyte.String, contentType asn1.ObjectIdentifier, all, known []*x509.Certificate) error {
	var si cryptobyte.String
	if !signers.ReadASN1(&si, cbasn1.SEQUENCE) || len(signers) != 0 {
		return malformed("not exactly one signer")
	}
	var version int
	if !si.ReadASN1Integer(&version) || version != 1 && version != 3 {
		return malformed("version of signer")
	}
	found, err := d.readIdentifier(&si, version, all, known)
	if err != nil {
		return err
	}
	before := si
	if d.Hash, err = readHash(&si); err != nil {
		return err
	}
	d.digestAlgorithm = before[:len(before)-len(si)]
	var attrs, unsigned cryptobyte.String
	if !si.ReadASN1Element(&attrs, cbasn1.Tag(0).Constructed().ContextSpecific()) {
		return malformed("no signed attributes")
	}
	d.signedAttrs = append([]byte{byte(cbasn1.SET)}, attrs[1:]...)
	before = si
	if d.Algorithm, d.salt, err = readSignatureAlgorithm(&si, d.Hash); err != nil {
		return err
	}
	d.signatureAlg = before[:len(before)-len(si)]
	var signature cryptobyte.String
	if !si.ReadASN1(&signature, cbasn1.OCTET_STRING) ||
		!si.ReadOptionalASN1(&unsigned, &d.HasUnsigned, cbasn1.Tag(1).Constructed().ContextSpecific()) || len(si) != 0 {
		return malformed("signer")
	}
	d.signature = signature
	if err := d.readUnsignedAttributes(unsigned); err != nil {
		return err
	}
	if err := d.readSignedAttributes(contentType); err != nil {
		return err
	}
	return d.choose(found)
}

// readIdentifier returns the certificates that answer to the signer's
// identifier: embedded ones, or else known ones. The other embedded ones become
// Others.
func (d *SignedData) readIdentifier(si *cryptobyte.String, version int, all, known []*x509.Certificate) ([]*x509.Certificate, error) {
	var match func(*x509.Certificate) bool
	var id cryptobyte.String
	serial := new(big.Int)
	if version == 1 {
		var name cryptobyte.String
		if !si.ReadASN1(&id, cbasn1.SEQUENCE) || !id.ReadASN1Element(&name, cbasn1.SEQUENCE) ||
			!id.ReadASN1Integer(serial) || len(id) != 0 {
			return nil, malformed("signer identifier")
		}
		match = func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawIssuer, name) && c.SerialNumber.Cmp(serial) == 0
		}
	} else {
		if !si.ReadASN1(&id, cbasn1.Tag(0).ContextSpecific()) {
			return nil, malformed("signer identifier")
		}
		match = func(c *x509.Certificate) bool { return len(id) > 0 && bytes.Equal(c.SubjectKeyId, id) }
	}
	var found []*x509.Certificate
	for _, c := range all {
		if match(c) {
			found = append(found, c)
		} else {
			d.Others = append(d.Others, c)
		}
	}
	for i := 0; i < len(known) && len(all) == len(d.Others); i++ {
		if match(known[i]) {
			found = append(found, known[i])
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, ErrCertificateMissing)
	}
	return found, nil
}

// choose takes the signer's certificate from those that answer to its
// identifier. Where several do, as those of a key certified again, the signing
// certificate attribute has to tell.
func (d *SignedData) choose(found []*x509.Certificate) error {
	for _, c := range found {
		switch {
		case len(found) > 1 && !c.Equal(found[0]) && d.certID == nil && d.certIDv2 == nil:
			return malformed("signer identifier is ambiguous")
		case d.Certificate == nil, !d.named(d.Certificate) && d.named(c):
			d.Certificate = c
		}
	}
	for _, c := range found {
		if !c.Equal(d.Certificate) {
			d.Others = append(d.Others, c)
		}
	}
	return nil
}

// named says whether the signing certificate attributes name c, or are absent.
func (d *SignedData) named(c *x509.Certificate) bool {
	return (d.certID == nil || d.certID.names(c)) && (d.certIDv2 == nil || d.certIDv2.names(c))
}

// selfContained says whether the signer's certificate is embedded.
func (d *SignedData) selfContained() bool {
	return slices.ContainsFunc(d.embedded, d.Certificate.Equal)
}

// SignatureValue returns the signature, which time-stamps are over.
func (d *SignedData) SignatureValue() []byte { return d.signature }

// Verify checks the signature over a content with the digest given: the
// message digest (ErrDigest), the key's signature over the signed attributes
// (ErrSignature, ErrKey), the hash (ErrAlgorithm) and signing-certificate-v2
// (ErrSigningCertificate, ErrSigningCertificateMissing), in this order. It does
// not judge the certificate.
func (d *SignedData) Verify(contentDigest []byte) error {
	if err := d.verify(contentDigest); err != nil {
		return err
	}
	if d.certIDv2 == nil {
		return ErrSigningCertificateMissing
	}
	return nil
}

// verify is Verify which does not mind that signing-certificate-v2 is missing.
func (d *SignedData) verify(contentDigest []byte) error {
	if subtle.ConstantTimeCompare(d.MessageDigest, contentDigest) != 1 {
		return ErrDigest
	}
	h := d.Hash.New()
	h.Write(d.signedAttrs)
	if err := verifyKey(d.Certificate, d.Algorithm, d.Hash, d.salt, h.Sum(nil), d.signature); err != nil {
		return err
	}
	if weak(d.Hash) {
		return fmt.Errorf("signature with %v: %w", d.Hash, ErrAlgorithm)
	}
	if !d.named(d.Certificate) {
		return ErrSigningCertificate
	}
	return nil
}

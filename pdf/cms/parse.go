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

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// MaxSize bounds a SignedData, in bytes.
const MaxSize = 1 << 20

// maxAttributes bounds the signed and the unsigned attributes of a signer.
const maxAttributes = 64

// ErrMalformed: not a SignedData in strict DER of the profile of this package.
var ErrMalformed = errors.New("malformed CMS")

// ErrDigest: the message-digest attribute is not the document's digest.
var ErrDigest = errors.New("message digest differs")

// ErrSigningCertificate: signing-certificate-v2 names another certificate.
var ErrSigningCertificate = errors.New("signing certificate attribute does not match")

// ErrSigningCertificateMissing: there is no signing-certificate-v2 attribute.
var ErrSigningCertificateMissing = errors.New("signing certificate attribute is missing")

// SignedData is a parsed signature with one signer. Nothing in it is checked
// but its form; see Verify.
type SignedData struct {
	// Certificate is the signer's certificate, found by the identifier the
	// signer gave. Others are the rest of the embedded certificates.
	Certificate *x509.Certificate
	Others      []*x509.Certificate
	Hash        crypto.Hash
	Algorithm   Algorithm
	// MessageDigest is the attribute's value.
	MessageDigest []byte
	// HasSigningTime says that a signing-time attribute is there, which PAdES
	// forbids. HasUnsigned says that there are unsigned attributes.
	HasSigningTime, HasUnsigned bool

	salt        int
	signedAttrs []byte // with tag SET
	signature   []byte
	essHash     crypto.Hash // 0 without the attribute
	essDigest   []byte
	essIssuer   []byte // Name, nil when absent
	essSerial   *big.Int
}

func malformed(what string) error { return fmt.Errorf("%w: %s", ErrMalformed, what) }

// Parse reads one ContentInfo with SignedData (RFC 5652, Sections 3, 5) in
// DER, without trailing bytes: content detached, exactly one signer, digest
// algorithm of the SHA-2 family. Errors wrap ErrMalformed.
func Parse(der []byte) (*SignedData, error) {
	if len(der) > MaxSize {
		return nil, malformed("too large")
	}
	in := cryptobyte.String(der)
	var info, content, sd cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !in.ReadASN1(&info, cbasn1.SEQUENCE) || len(in) != 0 ||
		!info.ReadASN1ObjectIdentifier(&oid) || !oid.Equal(oidSignedData) ||
		!info.ReadASN1(&content, cbasn1.Tag(0).Constructed().ContextSpecific()) || len(info) != 0 ||
		!content.ReadASN1(&sd, cbasn1.SEQUENCE) || len(content) != 0 {
		return nil, malformed("no SignedData")
	}
	out := &SignedData{}
	var version int
	var algorithms, encap, certs, crls, signers cryptobyte.String
	var hasCerts, hasCRLs bool
	if !sd.ReadASN1Integer(&version) || version != 1 && version != 3 ||
		!sd.ReadASN1(&algorithms, cbasn1.SET) ||
		!sd.ReadASN1(&encap, cbasn1.SEQUENCE) ||
		!sd.ReadOptionalASN1(&certs, &hasCerts, cbasn1.Tag(0).Constructed().ContextSpecific()) ||
		!sd.ReadOptionalASN1(&crls, &hasCRLs, cbasn1.Tag(1).Constructed().ContextSpecific()) ||
		!sd.ReadASN1(&signers, cbasn1.SET) || len(sd) != 0 {
		return nil, malformed("SignedData")
	}
	if !encap.ReadASN1ObjectIdentifier(&oid) || !oid.Equal(oidData) || len(encap) != 0 {
		return nil, malformed("content is not detached data")
	}
	all, err := readCertificates(certs)
	if err != nil {
		return nil, err
	}
	if err := out.readSigner(signers, all); err != nil {
		return nil, err
	}
	if listed, ok := readHash(&algorithms); !ok || listed != out.Hash || len(algorithms) != 0 {
		return nil, malformed("digest algorithms")
	}
	return out, nil
}

func readCertificates(certs cryptobyte.String) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for len(certs) > 0 {
		var raw cryptobyte.String
		if len(all) == maxCertificates || !certs.ReadASN1Element(&raw, cbasn1.SEQUENCE) {
			return nil, malformed("certificates")
		}
		c, err := x509.ParseCertificate(raw)
		if err != nil {
			return nil, malformed("certificate")
		}
		all = append(all, c)
	}
	return all, nil
}

func (d *SignedData) readSigner(signers cryptobyte.String, all []*x509.Certificate) error {
	var si cryptobyte.String
	if !signers.ReadASN1(&si, cbasn1.SEQUENCE) || len(signers) != 0 {
		return malformed("not exactly one signer")
	}
	var version int
	if !si.ReadASN1Integer(&version) || version != 1 && version != 3 {
		return malformed("version of signer")
	}
	if err := d.readIdentifier(&si, version, all); err != nil {
		return err
	}
	var ok bool
	if d.Hash, ok = readHash(&si); !ok {
		return malformed("digest algorithm")
	}
	var attrs, unsigned cryptobyte.String
	if !si.ReadASN1Element(&attrs, cbasn1.Tag(0).Constructed().ContextSpecific()) {
		return malformed("no signed attributes")
	}
	d.signedAttrs = append([]byte{byte(cbasn1.SET)}, attrs[1:]...)
	if d.Algorithm, d.salt, ok = readSignatureAlgorithm(&si, d.Hash); !ok {
		return malformed("signature algorithm")
	}
	var signature cryptobyte.String
	if !si.ReadASN1(&signature, cbasn1.OCTET_STRING) ||
		!si.ReadOptionalASN1(&unsigned, &d.HasUnsigned, cbasn1.Tag(1).Constructed().ContextSpecific()) || len(si) != 0 {
		return malformed("signer")
	}
	d.signature = signature
	if d.HasUnsigned {
		if _, err := readAttributes(unsigned, false); err != nil {
			return err
		}
	}
	return d.readSignedAttributes()
}

// readIdentifier finds the signer's certificate. Two that answer to the same
// identifier are refused.
func (d *SignedData) readIdentifier(si *cryptobyte.String, version int, all []*x509.Certificate) error {
	var match func(*x509.Certificate) bool
	var id cryptobyte.String
	serial := new(big.Int)
	if version == 1 {
		var name cryptobyte.String
		if !si.ReadASN1(&id, cbasn1.SEQUENCE) || !id.ReadASN1Element(&name, cbasn1.SEQUENCE) ||
			!id.ReadASN1Integer(serial) || len(id) != 0 {
			return malformed("signer identifier")
		}
		match = func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawIssuer, name) && c.SerialNumber.Cmp(serial) == 0
		}
	} else {
		if !si.ReadASN1(&id, cbasn1.Tag(0).ContextSpecific()) {
			return malformed("signer identifier")
		}
		match = func(c *x509.Certificate) bool { return len(id) > 0 && bytes.Equal(c.SubjectKeyId, id) }
	}
	for _, c := range all {
		switch {
		case !match(c):
			d.Others = append(d.Others, c)
		case d.Certificate != nil:
			return malformed("signer identifier is ambiguous")
		default:
			d.Certificate = c
		}
	}
	if d.Certificate == nil {
		return malformed("signer's certificate is not embedded")
	}
	return nil
}

type rawAttribute struct {
	oid    asn1.ObjectIdentifier
	values cryptobyte.String
}

// readAttributes reads attributes. Signed ones must be in the order of DER and
// of different types (RFC 5652, Section 5.3).
func readAttributes(in cryptobyte.String, signed bool) ([]rawAttribute, error) {
	var out []rawAttribute
	var last []byte
	for len(in) > 0 {
		var element, seq cryptobyte.String
		if len(out) == maxAttributes || !in.ReadASN1Element(&element, cbasn1.SEQUENCE) {
			return nil, malformed("attributes")
		}
		if signed && last != nil && bytes.Compare(last, element) >= 0 {
			return nil, malformed("signed attributes are not in the order of DER")
		}
		last = element
		var a rawAttribute
		if !element.ReadASN1(&seq, cbasn1.SEQUENCE) || !seq.ReadASN1ObjectIdentifier(&a.oid) ||
			!seq.ReadASN1(&a.values, cbasn1.SET) || len(seq) != 0 || len(a.values) == 0 {
			return nil, malformed("attribute")
		}
		for _, other := range out {
			if signed && other.oid.Equal(a.oid) {
				return nil, malformed("signed attribute twice")
			}
		}
		out = append(out, a)
	}
	return out, nil
}

func (d *SignedData) readSignedAttributes() error {
	set := cryptobyte.String(d.signedAttrs)
	var body cryptobyte.String
	if !set.ReadASN1(&body, cbasn1.SET) {
		return malformed("signed attributes")
	}
	attrs, err := readAttributes(body, true)
	if err != nil {
		return err
	}
	contentType := false
	for _, a := range attrs {
		v := a.values
		switch {
		case a.oid.Equal(oidContentType):
			var oid asn1.ObjectIdentifier
			if !v.ReadASN1ObjectIdentifier(&oid) || len(v) != 0 || !oid.Equal(oidData) {
				return malformed("content type")
			}
			contentType = true
		case a.oid.Equal(oidMessageDigest):
			var digest cryptobyte.String
			if !v.ReadASN1(&digest, cbasn1.OCTET_STRING) || len(v) != 0 {
				return malformed("message digest")
			}
			d.MessageDigest = digest
		case a.oid.Equal(oidSigningTime):
			d.HasSigningTime = true
		case a.oid.Equal(oidSigningCertV2):
			if err := d.readSigningCertificate(v); err != nil {
				return err
			}
		}
	}
	if !contentType || len(d.MessageDigest) != d.Hash.Size() {
		return malformed("content type or message digest missing")
	}
	return nil
}

// readSigningCertificate reads the first ESSCertIDv2, which names the signer's
// certificate (RFC 5035, Section 3).
func (d *SignedData) readSigningCertificate(v cryptobyte.String) error {
	var attr, ids, id, issuerSerial, digest cryptobyte.String
	if !v.ReadASN1(&attr, cbasn1.SEQUENCE) || len(v) != 0 ||
		!attr.ReadASN1(&ids, cbasn1.SEQUENCE) || !ids.ReadASN1(&id, cbasn1.SEQUENCE) {
		return malformed("signing certificate")
	}
	d.essHash = crypto.SHA256
	if id.PeekASN1Tag(cbasn1.SEQUENCE) {
		var ok bool
		if d.essHash, ok = readHash(&id); !ok {
			return malformed("hash of signing certificate")
		}
	}
	var has bool
	if !id.ReadASN1(&digest, cbasn1.OCTET_STRING) ||
		!id.ReadOptionalASN1(&issuerSerial, &has, cbasn1.SEQUENCE) || len(id) != 0 {
		return malformed("signing certificate")
	}
	d.essDigest = digest
	if !has {
		return nil
	}
	var names, directory, name cryptobyte.String
	d.essSerial = new(big.Int)
	if !issuerSerial.ReadASN1(&names, cbasn1.SEQUENCE) || !issuerSerial.ReadASN1Integer(d.essSerial) || len(issuerSerial) != 0 ||
		!names.ReadASN1(&directory, cbasn1.Tag(4).Constructed().ContextSpecific()) || len(names) != 0 ||
		!directory.ReadASN1Element(&name, cbasn1.SEQUENCE) || len(directory) != 0 {
		return malformed("issuer of signing certificate")
	}
	d.essIssuer = name
	return nil
}

// Verify checks the signature over a content with the digest given: the
// message digest (ErrDigest), the key's signature over the signed attributes
// (ErrSignature, ErrKey) and signing-certificate-v2 (ErrSigningCertificate,
// ErrSigningCertificateMissing), in this order. It does not judge the certificate.
func (d *SignedData) Verify(contentDigest []byte) error {
	if subtle.ConstantTimeCompare(d.MessageDigest, contentDigest) != 1 {
		return ErrDigest
	}
	h := d.Hash.New()
	h.Write(d.signedAttrs)
	if err := verifyKey(d.Certificate, d.Algorithm, d.Hash, d.salt, h.Sum(nil), d.signature); err != nil {
		return err
	}
	return d.checkSigningCertificate()
}

func (d *SignedData) checkSigningCertificate() error {
	if d.essHash == 0 {
		return ErrSigningCertificateMissing
	}
	h := d.essHash.New()
	h.Write(d.Certificate.Raw)
	if !bytes.Equal(h.Sum(nil), d.essDigest) {
		return ErrSigningCertificate
	}
	if d.essSerial != nil && (d.essSerial.Cmp(d.Certificate.SerialNumber) != 0 || !bytes.Equal(d.essIssuer, d.Certificate.RawIssuer)) {
		return ErrSigningCertificate
	}
	return nil
}

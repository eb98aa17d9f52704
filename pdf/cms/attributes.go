package cms

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

const (
	// maxAttributes bounds the signed and the unsigned attributes of a signer.
	maxAttributes = 64
	// maxTimestamps bounds the tokens of a signer: each costs its reader a
	// signature to check.
	maxTimestamps = 16
	// maxRevocations bounds the OCSP responses and the CRLs, each.
	maxRevocations = 64
)

var (
	oidTimestampToken      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 14}
	oidSignaturePolicy     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 15}
	oidCommitmentType      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 16}
	oidAlgorithmProtection = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 52}
	oidRevocationArchival  = asn1.ObjectIdentifier{1, 2, 840, 113583, 1, 1, 8}
	oidOCSPResponse        = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 16, 2}
)

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

func (d *SignedData) readSignedAttributes(contentType asn1.ObjectIdentifier) error {
	set := cryptobyte.String(d.signedAttrs)
	var body cryptobyte.String
	if !set.ReadASN1(&body, cbasn1.SET) {
		return malformed("signed attributes")
	}
	attrs, err := readAttributes(body, true)
	if err != nil {
		return err
	}
	hasType := false
	for _, a := range attrs {
		d.Signed = append(d.Signed, a.oid)
		v := a.values
		switch {
		case a.oid.Equal(oidContentType):
			var oid asn1.ObjectIdentifier
			if !v.ReadASN1ObjectIdentifier(&oid) || len(v) != 0 || !oid.Equal(contentType) {
				return malformed("content type")
			}
			hasType = true
		case a.oid.Equal(oidMessageDigest):
			var digest cryptobyte.String
			if !v.ReadASN1(&digest, cbasn1.OCTET_STRING) || len(v) != 0 {
				return malformed("message digest")
			}
			d.MessageDigest = digest
		case a.oid.Equal(oidSigningTime):
			d.HasSigningTime = true
			d.SigningTime = readTime(v)
		case a.oid.Equal(oidSigningCert):
			d.SigningCertificateV1 = true
			d.certID, err = readSigningCertificate(v, crypto.SHA1)
		case a.oid.Equal(oidSigningCertV2):
			d.certIDv2, err = readSigningCertificate(v, crypto.SHA256)
		case a.oid.Equal(oidAlgorithmProtection):
			err = d.checkAlgorithmProtection(v)
		default:
			d.readClaim(a)
		}
		if err != nil {
			return err
		}
	}
	if !hasType || len(d.MessageDigest) != d.Hash.Size() {
		return malformed("content type or message digest missing")
	}
	return nil
}

// readTime reads a signing-time (RFC 5652, Section 11.3).
func readTime(v cryptobyte.String) (t time.Time) {
	if !v.PeekASN1Tag(cbasn1.UTCTime) {
		_ = v.ReadASN1GeneralizedTime(&t)
	} else {
		_ = v.ReadASN1UTCTime(&t)
	}
	return t.UTC()
}

// readClaim reads attributes the validity of the signature does not depend on.
// What cannot be read is passed over: its type is in Signed.
func (d *SignedData) readClaim(a rawAttribute) {
	v := a.values
	switch {
	case a.oid.Equal(oidCommitmentType):
		for len(v) > 0 {
			var seq cryptobyte.String
			var oid asn1.ObjectIdentifier
			if !v.ReadASN1(&seq, cbasn1.SEQUENCE) || !seq.ReadASN1ObjectIdentifier(&oid) {
				return
			}
			d.Commitments = append(d.Commitments, oid)
		}
	case a.oid.Equal(oidSignaturePolicy):
		var seq cryptobyte.String
		if v.ReadASN1(&seq, cbasn1.SEQUENCE) {
			_ = seq.ReadASN1ObjectIdentifier(&d.SignaturePolicy)
		}
	case a.oid.Equal(oidRevocationArchival):
		d.readArchival(v)
	}
}

func (d *SignedData) readUnsignedAttributes(in cryptobyte.String) error {
	attrs, err := readAttributes(in, false)
	if err != nil {
		return err
	}
	for _, a := range attrs {
		d.Unsigned = append(d.Unsigned, a.oid)
		switch {
		case a.oid.Equal(oidTimestampToken):
			for v := a.values; len(v) > 0; {
				var token cryptobyte.String
				if len(d.Timestamps) == maxTimestamps || !v.ReadASN1Element(&token, cbasn1.SEQUENCE) {
					return malformed("time-stamp attribute")
				}
				d.Timestamps = append(d.Timestamps, token)
			}
		case a.oid.Equal(oidRevocationArchival): // where time-stamp tokens have it
			d.readArchival(a.values)
		}
	}
	return nil
}

// checkAlgorithmProtection compares the algorithms with those that are signed
// (RFC 6211, Section 3).
func (d *SignedData) checkAlgorithmProtection(v cryptobyte.String) error {
	var seq, signature cryptobyte.String
	if !v.ReadASN1(&seq, cbasn1.SEQUENCE) || len(v) != 0 {
		return malformed("CMS algorithm protection")
	}
	before := seq
	if !seq.SkipASN1(cbasn1.SEQUENCE) {
		return malformed("CMS algorithm protection")
	}
	digest := before[:len(before)-len(seq)]
	if !seq.ReadASN1(&signature, cbasn1.Tag(1).Constructed().ContextSpecific()) || len(seq) != 0 {
		return malformed("CMS algorithm protection")
	}
	own := cryptobyte.String(d.signatureAlg)
	var ownSignature cryptobyte.String
	if !own.ReadASN1(&ownSignature, cbasn1.SEQUENCE) {
		return malformed("signature algorithm")
	}
	if h, err := readHash(&digest); err != nil || h != d.Hash || !bytes.Equal(signature, ownSignature) && !sameBut(signature, ownSignature) {
		return malformed("CMS algorithm protection does not match")
	}
	return nil
}

// sameBut says whether two bodies of AlgorithmIdentifier differ only in NULL
// and absent parameters, which mean the same.
func sameBut(a, b cryptobyte.String) bool {
	var oidA, oidB asn1.ObjectIdentifier
	return a.ReadASN1ObjectIdentifier(&oidA) && b.ReadASN1ObjectIdentifier(&oidB) && oidA.Equal(oidB) &&
		nullOrAbsent(a) && nullOrAbsent(b)
}

// certID is the first ESSCertID or ESSCertIDv2, which names the signer's
// certificate (RFC 5035, Sections 3 and 5).
type certID struct {
	hash   crypto.Hash
	digest []byte
	issuer []byte // Name, nil when absent
	serial *big.Int
}

// readSigningCertificate reads SigningCertificateV2, and SigningCertificate
// where h, the hash by default, is SHA-1.
func readSigningCertificate(v cryptobyte.String, h crypto.Hash) (*certID, error) {
	var attr, ids, id, issuerSerial, digest cryptobyte.String
	if !v.ReadASN1(&attr, cbasn1.SEQUENCE) || len(v) != 0 ||
		!attr.ReadASN1(&ids, cbasn1.SEQUENCE) || !ids.ReadASN1(&id, cbasn1.SEQUENCE) {
		return nil, malformed("signing certificate")
	}
	out := &certID{hash: h}
	if h != crypto.SHA1 && id.PeekASN1Tag(cbasn1.SEQUENCE) {
		var err error
		if out.hash, err = readHash(&id); err != nil {
			return nil, err
		}
		if weak(out.hash) {
			return nil, malformed("hash of signing certificate")
		}
	}
	var has bool
	if !id.ReadASN1(&digest, cbasn1.OCTET_STRING) ||
		!id.ReadOptionalASN1(&issuerSerial, &has, cbasn1.SEQUENCE) || len(id) != 0 {
		return nil, malformed("signing certificate")
	}
	out.digest = digest
	if !has {
		return out, nil
	}
	var names, directory, name cryptobyte.String
	out.serial = new(big.Int)
	if !issuerSerial.ReadASN1(&names, cbasn1.SEQUENCE) || !issuerSerial.ReadASN1Integer(out.serial) || len(issuerSerial) != 0 ||
		!names.ReadASN1(&directory, cbasn1.Tag(4).Constructed().ContextSpecific()) || len(names) != 0 ||
		!directory.ReadASN1Element(&name, cbasn1.SEQUENCE) || len(directory) != 0 {
		return nil, malformed("issuer of signing certificate")
	}
	out.issuer = name
	return out, nil
}

func (id *certID) names(c *x509.Certificate) bool {
	h := id.hash.New()
	h.Write(c.Raw)
	return bytes.Equal(h.Sum(nil), id.digest) &&
		(id.serial == nil || id.serial.Cmp(c.SerialNumber) == 0 && bytes.Equal(id.issuer, c.RawIssuer))
}

// readArchival reads RevocationInfoArchival (ISO 32000-2, Section
// 12.8.3.3.2). Unreadable revocation data are none.
func (d *SignedData) readArchival(v cryptobyte.String) {
	var seq cryptobyte.String
	if !v.ReadASN1(&seq, cbasn1.SEQUENCE) {
		return
	}
	for i, list := range []*[][]byte{&d.Revocation.CRLs, &d.Revocation.OCSPs} {
		var explicit, all, one cryptobyte.String
		var has bool
		if !seq.ReadOptionalASN1(&explicit, &has, cbasn1.Tag(i).Constructed().ContextSpecific()) {
			return
		}
		_ = has && explicit.ReadASN1(&all, cbasn1.SEQUENCE)
		for len(*list) < maxRevocations && all.ReadASN1Element(&one, cbasn1.SEQUENCE) {
			*list = append(*list, one)
		}
	}
}

// readRevocationChoices reads RevocationInfoChoices (RFC 5652, Section 10.2.1):
// CRLs and, as OtherRevocationInfoFormat, OCSP responses (RFC 5940, Section 2).
func (d *SignedData) readRevocationChoices(in cryptobyte.String) error {
	for n := 0; len(in) > 0; n++ {
		var element, other, response cryptobyte.String
		var tag cbasn1.Tag
		var oid asn1.ObjectIdentifier
		if n == maxRevocations || !in.ReadAnyASN1Element(&element, &tag) {
			return malformed("revocation information")
		}
		if tag == cbasn1.SEQUENCE {
			d.Revocation.CRLs = append(d.Revocation.CRLs, element)
		} else if element.ReadASN1(&other, cbasn1.Tag(1).Constructed().ContextSpecific()) &&
			other.ReadASN1ObjectIdentifier(&oid) && oid.Equal(oidOCSPResponse) &&
			other.ReadASN1Element(&response, cbasn1.SEQUENCE) {
			d.Revocation.OCSPs = append(d.Revocation.OCSPs, response)
		}
	}
	return nil
}

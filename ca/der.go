package ca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha1"
	_ "crypto/sha256" // SHA-256
	_ "crypto/sha512" // SHA-384, SHA-512
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Object identifiers of time-stamps and OCSP.
var (
	oidSignedData      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidContentType     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidTSTInfo         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	oidSigningCertV2   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
	oidOCSPBasic       = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}
	oidOCSPNonce       = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}
	oidOCSPNoCheck     = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}
	oidTimeStamping    = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}
	oidExtKeyUsage     = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidSHA1            = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	oidSHA256          = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidSHA384          = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}
	oidSHA512          = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}
	oidSHA256WithRSA   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}
	oidECDSAWithSHA256 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
	oidECDSAWithSHA384 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}
	oidECDSAWithSHA512 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}
)

// Tags of this page: context-specific, constructed and not.
func constructed(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific().Constructed() }
func primitive(n uint8) cbasn1.Tag   { return cbasn1.Tag(n).ContextSpecific() }

// hashOf finds the hash of an AlgorithmIdentifier; 0 for one not known here.
func hashOf(oid asn1.ObjectIdentifier) crypto.Hash {
	switch {
	case oid.Equal(oidSHA1):
		return crypto.SHA1
	case oid.Equal(oidSHA256):
		return crypto.SHA256
	case oid.Equal(oidSHA384):
		return crypto.SHA384
	case oid.Equal(oidSHA512):
		return crypto.SHA512
	}
	return 0
}

func addHash(b *cryptobyte.Builder, h crypto.Hash) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		switch h {
		case crypto.SHA1:
			b.AddASN1ObjectIdentifier(oidSHA1)
			b.AddASN1NULL() // as everybody writes it, RFC 6960's examples included
		case crypto.SHA256:
			b.AddASN1ObjectIdentifier(oidSHA256)
		case crypto.SHA384:
			b.AddASN1ObjectIdentifier(oidSHA384)
		case crypto.SHA512:
			b.AddASN1ObjectIdentifier(oidSHA512)
		default:
			b.SetError(fmt.Errorf("digest algorithm %v not supported", h))
		}
	})
}

// readAlgorithm reads an AlgorithmIdentifier whose parameters, if any, are NULL.
func readAlgorithm(s *cryptobyte.String, oid *asn1.ObjectIdentifier) bool {
	var alg cryptobyte.String
	if !s.ReadASN1(&alg, cbasn1.SEQUENCE) || !alg.ReadASN1ObjectIdentifier(oid) {
		return false
	}
	var null cryptobyte.String
	return alg.Empty() || alg.ReadASN1(&null, cbasn1.NULL) && null.Empty() && alg.Empty()
}

// scheme is how the key of a unit signs.
type scheme struct {
	hash crypto.Hash
	alg  x509.SignatureAlgorithm
	oid  asn1.ObjectIdentifier
	null bool // parameters are NULL, RFC 4055, Section 5
	max  int  // bytes of the longest signature
}

func schemeOf(pub crypto.PublicKey) (scheme, error) {
	switch key := pub.(type) {
	case *rsa.PublicKey:
		return scheme{crypto.SHA256, x509.SHA256WithRSA, oidSHA256WithRSA, true, key.Size()}, nil
	case *ecdsa.PublicKey:
		// Ecdsa-Sig-Value: two INTEGERs, each perhaps with a zero in front.
		n := (key.Curve.Params().BitSize + 7) / 8
		switch n {
		case 32:
			return scheme{crypto.SHA256, x509.ECDSAWithSHA256, oidECDSAWithSHA256, false, 2*(n+3) + 2}, nil
		case 48:
			return scheme{crypto.SHA384, x509.ECDSAWithSHA384, oidECDSAWithSHA384, false, 2*(n+3) + 2}, nil
		case 66:
			return scheme{crypto.SHA512, x509.ECDSAWithSHA512, oidECDSAWithSHA512, false, 2*(n+3) + 3}, nil
		}
	}
	return scheme{}, errors.New("choosing a signature algorithm: the key is neither RSA nor P-256, P-384 or P-521")
}

func (s scheme) add(b *cryptobyte.Builder) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(s.oid)
		if s.null {
			b.AddASN1NULL()
		}
	})
}

func digestOf(h crypto.Hash, data []byte) []byte {
	x := h.New()
	x.Write(data)
	return x.Sum(nil)
}

// keyHash hashes the bits of a certificate's subjectPublicKey (RFC 6960, Section 4.1.1).
func keyHash(h crypto.Hash, c *x509.Certificate) ([]byte, error) {
	var info, alg, bits cryptobyte.String
	s := cryptobyte.String(c.RawSubjectPublicKeyInfo)
	var key asn1.BitString
	if !s.ReadASN1(&info, cbasn1.SEQUENCE) || !info.ReadASN1(&alg, cbasn1.SEQUENCE) || !info.ReadASN1BitString(&key) {
		return nil, fmt.Errorf("reading the public key of %q: not a SubjectPublicKeyInfo", c.Subject.CommonName)
	}
	bits = key.Bytes
	if h == crypto.SHA1 {
		sum := sha1.Sum(bits)
		return sum[:], nil
	}
	return digestOf(h, bits), nil
}

// TimeUnit is what times in tokens are cut to.
const TimeUnit = time.Millisecond

// addFineTime writes a GeneralizedTime to the millisecond, without zeros at its end (RFC
// 3161, Section 2.4.2).
func addFineTime(b *cryptobyte.Builder, t time.Time) {
	b.AddASN1(cbasn1.GeneralizedTime, func(b *cryptobyte.Builder) {
		b.AddBytes([]byte(t.UTC().Truncate(TimeUnit).Format("20060102150405.999Z")))
	})
}

// addTime writes a GeneralizedTime in whole seconds, which every reader takes.
func addTime(b *cryptobyte.Builder, t time.Time) { b.AddASN1GeneralizedTime(t.UTC()) }

// setOf encodes a DER SET OF: elements in the order of their encodings (X.690, Section 11.6).
func setOf(tag cbasn1.Tag, elements ...[]byte) ([]byte, error) {
	slices.SortFunc(elements, bytes.Compare)
	var b cryptobyte.Builder
	b.AddASN1(tag, func(b *cryptobyte.Builder) {
		for _, e := range elements {
			b.AddBytes(e)
		}
	})
	return b.Bytes()
}

// build is one element as bytes.
func build(tag cbasn1.Tag, f cryptobyte.BuilderContinuation) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(tag, f)
	return b.Bytes()
}

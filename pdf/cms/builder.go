// Package cms builds and checks the SignedData of PAdES signatures and the
// time-stamp tokens in them.
//
// It builds CMS (RFC 5652) in DER, detached, with one signer and the signed
// attributes content-type, message-digest and signing-certificate-v2 (RFC
// 5035), with signing-time in CAdES and without in PAdES, as ETSI EN 319 122-1
// and EN 319 142-1 ask, and adds tokens (RFC 3161).
// It never touches a private key: the builder gives the bytes to be hashed and
// signed, and takes the signature.
//
// It reads what others make too, BER and weak algorithms included, so that it
// can be judged, but is strict where security depends on it: one signer, no
// attribute twice, signed attributes in DER, nothing behind the end. Its
// methods Verify do not judge certificates: package verify does.
package cms

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// maxCertificates bounds the certificates of a SignedData.
const maxCertificates = 32

// Builder makes SignedData for one certificate. It is immutable.
type Builder struct {
	cert  *x509.Certificate
	certs []*x509.Certificate // it and those to embed, as parsed
	id    hashID
	alg   Algorithm
	// What is the same in every SignedData, in DER: the attributes content-type
	// and signing-certificate-v2, the fields before signerInfos, those of
	// SignerInfo before the signed attributes, and the one behind them.
	contentType, signingCert, head, signer, signatureAlg []byte
	signingTime                                          []byte // nil without

	longest []byte // SignedData there can be
}

// New returns a builder for signatures of cert's key. chain are certificates
// to embed besides cert, each once: the intermediates; the root may be among
// them. h is the
// hash of the document, of the signed attributes and of RSA-PSS: SHA256,
// SHA384 or SHA512. The error wraps ErrKey when cert's key does not fit alg.
func New(cert *x509.Certificate, chain []*x509.Certificate, h crypto.Hash, alg Algorithm) (*Builder, error) {
	if cert == nil {
		return nil, errors.New("no certificate")
	}
	id, err := byHash(h)
	if err != nil {
		return nil, err
	}
	if err := checkKey(cert, alg); err != nil {
		return nil, err
	}
	certs := [][]byte{cert.Raw}
	for _, c := range chain {
		if c == nil {
			return nil, errors.New("no certificate in chain")
		}
		certs = append(certs, c.Raw)
	}
	if len(certs) > maxCertificates {
		return nil, fmt.Errorf("chain of more than %d certificates", maxCertificates)
	}
	slices.SortFunc(certs, bytes.Compare) // SET OF in DER: X.690, Section 11.6
	b := &Builder{cert: cert, certs: append([]*x509.Certificate{cert}, chain...), id: id, alg: alg}
	if err := b.encodeParts(slices.CompactFunc(certs, bytes.Equal)); err != nil {
		return nil, fmt.Errorf("encoding certificate: %w", err)
	}
	return b, nil
}

// encodeParts encodes what is the same in every SignedData, and the longest.
func (b *Builder) encodeParts(certs [][]byte) (err error) {
	var head, signer, signatureAlg cryptobyte.Builder
	head.AddASN1Int64(1)
	head.AddASN1(cbasn1.SET, func(out *cryptobyte.Builder) { addAlgorithm(out, b.id.oid, false) })
	head.AddASN1(cbasn1.SEQUENCE, func(out *cryptobyte.Builder) { out.AddASN1ObjectIdentifier(oidData) })
	head.AddASN1(cbasn1.Tag(0).Constructed().ContextSpecific(), func(out *cryptobyte.Builder) {
		for _, c := range certs {
			out.AddBytes(c)
		}
	})
	signer.AddASN1Int64(1)
	signer.AddASN1(cbasn1.SEQUENCE, func(out *cryptobyte.Builder) { // IssuerAndSerialNumber
		out.AddBytes(b.cert.RawIssuer)
		out.AddASN1BigInt(b.cert.SerialNumber)
	})
	addAlgorithm(&signer, b.id.oid, false)
	addSignatureAlgorithm(&signatureAlg, b.alg, b.id)
	contentType := attribute(oidContentType, func(v *cryptobyte.Builder) { v.AddASN1ObjectIdentifier(oidData) })
	for part, from := range map[*[]byte]*cryptobyte.Builder{&b.contentType: contentType, &b.signingCert: attribute(oidSigningCertV2, b.signingCertificate),
		&b.head: &head, &b.signer: &signer, &b.signatureAlg: &signatureAlg} {
		if *part, err = from.Bytes(); err != nil {
			return err
		}
	}
	return b.measure()
}

// measure makes the longest SignedData there can be.
func (b *Builder) measure() error {
	// A DER ECDSA signature is at most twice the field size plus a leading
	// zero and a header each, and its own header.
	longest := 2*(66+3) + 3
	if key, ok := b.cert.PublicKey.(*rsa.PublicKey); ok {
		longest = key.Size()
	}
	attrs, err := b.SignedAttributes(make([]byte, b.id.hash.Size()))
	if err == nil {
		b.longest, err = b.encode(attrs, make([]byte, longest))
	}
	return err
}

// WithSigningTime returns a builder that adds the attribute signing-time, in UTC with
// seconds (RFC 5652, Section 11.3). CAdES baseline signatures have it (ETSI EN 319
// 122-1, Section 6.3); those in a PDF must not.
func (b *Builder) WithSigningTime(at time.Time) (*Builder, error) {
	at = at.UTC().Truncate(time.Second)
	if at.Year() < 1950 || at.Year() > 9999 {
		return nil, errors.New("signing time out of bounds")
	}
	out := *b
	var err error
	out.signingTime, err = attribute(oidSigningTime, func(v *cryptobyte.Builder) {
		if at.Year() < 2050 {
			v.AddASN1UTCTime(at)
		} else {
			v.AddASN1GeneralizedTime(at)
		}
	}).Bytes()
	if err == nil {
		err = out.measure()
	}
	if err != nil {
		return nil, fmt.Errorf("encoding signing time: %w", err)
	}
	return &out, nil
}

// SignedAttributes returns the DER of the signed attributes as SET OF (RFC
// 5652, Section 5.4). What the key signs is the hash of exactly these bytes.
// contentDigest is the digest of the ByteRange or of the detached content. There is
// a signing-time only WithSigningTime: in PAdES /M has it (EN 319 142-1, Section 6.3).
func (b *Builder) SignedAttributes(contentDigest []byte) ([]byte, error) {
	if len(contentDigest) != b.id.hash.Size() {
		return nil, fmt.Errorf("digest of %d bytes, %d expected", len(contentDigest), b.id.hash.Size())
	}
	messageDigest, err := attribute(oidMessageDigest, func(v *cryptobyte.Builder) { v.AddASN1OctetString(contentDigest) }).Bytes()
	if err != nil {
		return nil, fmt.Errorf("encoding signed attributes: %w", err)
	}
	attributes := [][]byte{b.contentType, messageDigest, b.signingCert}
	if b.signingTime != nil {
		attributes = append(attributes, b.signingTime)
	}
	slices.SortFunc(attributes, bytes.Compare)
	var out cryptobyte.Builder
	out.AddASN1(cbasn1.SET, func(out *cryptobyte.Builder) { out.AddBytes(slices.Concat(attributes...)) })
	return out.Bytes()
}

func attribute(oid []int, value func(*cryptobyte.Builder)) *cryptobyte.Builder {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddASN1(cbasn1.SET, value)
	})
	return &b
}

// signingCertificate writes SigningCertificateV2 (RFC 5035, Section 3). The
// hash algorithm is absent when it is the default, SHA-256.
func (b *Builder) signingCertificate(out *cryptobyte.Builder) {
	h := b.id.hash.New()
	h.Write(b.cert.Raw)
	out.AddASN1(cbasn1.SEQUENCE, func(out *cryptobyte.Builder) {
		out.AddASN1(cbasn1.SEQUENCE, func(out *cryptobyte.Builder) {
			out.AddASN1(cbasn1.SEQUENCE, func(out *cryptobyte.Builder) {
				if b.id.hash != crypto.SHA256 {
					addAlgorithm(out, b.id.oid, false)
				}
				out.AddASN1OctetString(h.Sum(nil))
				out.AddASN1(cbasn1.SEQUENCE, func(out *cryptobyte.Builder) { // IssuerSerial
					out.AddASN1(cbasn1.SEQUENCE, func(out *cryptobyte.Builder) { // GeneralNames
						out.AddASN1(cbasn1.Tag(4).Constructed().ContextSpecific(), func(out *cryptobyte.Builder) {
							out.AddBytes(b.cert.RawIssuer)
						})
					})
					out.AddASN1BigInt(b.cert.SerialNumber)
				})
			})
		})
	})
}

// Assemble returns the ContentInfo for /Contents. signedAttrs are the bytes
// SignedAttributes returned, signature is the key's answer: the RSA signature,
// or ECDSA-Sig-Value in DER. The signature is checked; the error wraps
// ErrSignature when it does not verify.
func (b *Builder) Assemble(signedAttrs, signature []byte) ([]byte, error) {
	h := b.id.hash.New()
	h.Write(signedAttrs)
	if err := verifyKey(b.cert, b.alg, b.id.hash, rsa.PSSSaltLengthEqualsHash, h.Sum(nil), signature); err != nil {
		return nil, err
	}
	return b.encode(signedAttrs, signature)
}

// AssembleVerified is Assemble for a signature that its maker has verified with the public key of
// the builder's certificate: the public-key operation is not made again. What it returns was parsed
// and compared with what it was made of: contentDigest is the one given to SignedAttributes.
func (b *Builder) AssembleVerified(signedAttrs, signature, contentDigest []byte) ([]byte, error) {
	der, err := b.encode(signedAttrs, signature)
	if err != nil {
		return nil, err
	}
	d, err := Parse(der, b.certs...)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(d.signedAttrs, signedAttrs) || !bytes.Equal(d.signature, signature) || !d.Certificate.Equal(b.cert) || d.Algorithm != b.alg || d.Hash != b.id.hash {
		return nil, ErrSignature
	}
	switch {
	case subtle.ConstantTimeCompare(d.MessageDigest, contentDigest) != 1:
		return nil, ErrDigest
	case d.certIDv2 == nil:
		return nil, ErrSigningCertificateMissing
	case !d.named(d.Certificate):
		return nil, ErrSigningCertificate
	}
	return der, nil
}

func (b *Builder) encode(signedAttrs, signature []byte) ([]byte, error) {
	if len(signedAttrs) == 0 || signedAttrs[0] != byte(cbasn1.SET) {
		return nil, errors.New("signed attributes are no SET")
	}
	return contentInfo(len(b.longest), b.head, func(out *cryptobyte.Builder) {
		out.AddBytes(b.signer)
		out.AddUint8(0xA0) // [0] IMPLICIT in the place of SET
		out.AddBytes(signedAttrs[1:])
		out.AddBytes(b.signatureAlg)
		out.AddASN1OctetString(signature)
	})
}

// contentInfo encodes a SignedData from its fields before signerInfos and its
// only SignerInfo. room is a guess at its size.
func contentInfo(room int, head []byte, signer func(*cryptobyte.Builder)) ([]byte, error) {
	out := cryptobyte.NewBuilder(make([]byte, 0, room))
	out.AddASN1(cbasn1.SEQUENCE, func(out *cryptobyte.Builder) {
		out.AddASN1ObjectIdentifier(oidSignedData)
		out.AddASN1(cbasn1.Tag(0).Constructed().ContextSpecific(), func(out *cryptobyte.Builder) {
			out.AddASN1(cbasn1.SEQUENCE, func(out *cryptobyte.Builder) {
				out.AddBytes(head)
				out.AddASN1(cbasn1.SET, func(out *cryptobyte.Builder) { out.AddASN1(cbasn1.SEQUENCE, signer) })
			})
		})
	})
	return out.Bytes()
}

// Size returns an upper bound in bytes of what Assemble returns.
func (b *Builder) Size() int { return len(b.longest) }

// SizeWith returns an upper bound in bytes of what AddTimestamp makes of it
// with a token of tokenSize bytes.
func (b *Builder) SizeWith(tokenSize int) int {
	if tokenSize < 0 || tokenSize > MaxSize {
		return 0
	}
	der, err := insertUnsigned(b.longest, timestampAttribute(make([]byte, tokenSize)))
	if err != nil {
		return 0
	}
	return len(der)
}

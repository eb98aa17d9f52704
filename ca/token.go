package ca

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// tstInfo is what a token says (RFC 3161, Section 2.4.2).
type tstInfo struct {
	policy   []byte // contents of the OBJECT IDENTIFIER
	imprint  []byte // MessageImprint, as in the request
	serial   *big.Int
	at       time.Time
	accuracy time.Duration
	nonce    []byte // contents of the INTEGER; nil for none
}

func (i *tstInfo) encode() ([]byte, error) {
	return build(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		addRaw(b, cbasn1.OBJECT_IDENTIFIER, i.policy)
		b.AddBytes(i.imprint)
		b.AddASN1BigInt(i.serial)
		addFineTime(b, i.at)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(i.accuracy / time.Second)) })
		if i.nonce != nil {
			addRaw(b, cbasn1.INTEGER, i.nonce)
		}
	})
}

func messageImprint(h crypto.Hash, digest []byte) ([]byte, error) {
	return build(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		addHash(b, h)
		b.AddASN1OctetString(digest)
	})
}

func addRaw(b *cryptobyte.Builder, tag cbasn1.Tag, contents []byte) {
	b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(contents) })
}

// attributes are the signed ones: content type, message digest and
// signing-certificate-v2 (RFC 5816), as the SET OF that is signed. No signing time:
// the token says when.
func (u *unit) attributes(info []byte) ([]byte, error) {
	content, err := build(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidContentType)
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidTSTInfo) })
	})
	if err != nil {
		return nil, err
	}
	digest, err := build(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidMessageDigest)
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { b.AddASN1OctetString(digestOf(u.scheme.hash, info)) })
	})
	if err != nil {
		return nil, err
	}
	cert, err := build(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidSigningCertV2)
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // SigningCertificateV2
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // certs
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // ESSCertIDv2; SHA-256 is the default
						b.AddASN1OctetString(digestOf(crypto.SHA256, u.cert.Raw))
					})
				})
			})
		})
	})
	if err != nil {
		return nil, err
	}
	return setOf(cbasn1.SET, content, digest, cert)
}

// signedData wraps a signed TSTInfo into a ContentInfo (RFC 5652, Section 5).
func (u *unit) signedData(info, attributes, signature []byte, certs []*x509.Certificate) ([]byte, error) {
	return build(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidSignedData)
		b.AddASN1(constructed(0), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(3) // the content is not id-data
				b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { addHash(b, u.scheme.hash) })
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(oidTSTInfo)
					b.AddASN1(constructed(0), func(b *cryptobyte.Builder) { b.AddASN1OctetString(info) })
				})
				if len(certs) > 0 {
					var raw [][]byte
					for _, c := range certs {
						raw = append(raw, c.Raw)
					}
					set, err := setOf(constructed(0), raw...)
					if err != nil {
						b.SetError(err)
					}
					b.AddBytes(set)
				}
				b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { u.signerInfo(b, attributes, signature) })
			})
		})
	})
}

func (u *unit) signerInfo(b *cryptobyte.Builder, attributes, signature []byte) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(u.cert.RawIssuer)
			b.AddASN1BigInt(u.cert.SerialNumber)
		})
		addHash(b, u.scheme.hash)
		// RFC 5652, Section 5.4: signed as a SET OF, sent as [0].
		b.AddBytes(append([]byte{byte(constructed(0))}, attributes[1:]...))
		u.scheme.add(b)
		b.AddASN1OctetString(signature)
	})
}

// token signs what info says.
func (u *unit) token(info *tstInfo, certs []*x509.Certificate) ([]byte, error) {
	content, err := info.encode()
	if err != nil {
		return nil, fmt.Errorf("encoding time-stamp: %w", err)
	}
	attributes, err := u.attributes(content)
	if err != nil {
		return nil, fmt.Errorf("encoding time-stamp: %w", err)
	}
	signature, err := u.sign(attributes)
	if err != nil {
		return nil, err
	}
	token, err := u.signedData(content, attributes, signature, certs)
	if err != nil {
		return nil, fmt.Errorf("encoding time-stamp: %w", err)
	}
	return token, nil
}

package cms

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// AddTimestamp returns signedData with token as an unsigned attribute of its
// signer (RFC 3161, Appendix A; ETSI EN 319 122-1, Section 5.3), besides those
// that are there. Nothing else changes but the lengths around it. signedData
// must be in DER. The token must embed its certificate, verify and be over the
// signature value; errors are those of Parse, ParseTimestamp and its Verify.
func AddTimestamp(signedData, token []byte) ([]byte, error) {
	out, _, err := Stamp(signedData, token)
	return out, err
}

// Stamp is AddTimestamp which returns the token too, read and verified. Embedded
// certificates that are among parsed are not parsed again.
func Stamp(signedData, token []byte, parsed ...*x509.Certificate) ([]byte, *Timestamp, error) {
	der, err := toDER(signedData)
	if err != nil {
		return nil, nil, err
	}
	if &der[0] != &signedData[0] {
		return nil, nil, malformed("not in DER")
	}
	sd, err := Parse(der, parsed...)
	if err == nil && !sd.selfContained() { // it would be known to us alone
		err = fmt.Errorf("%w: %w", ErrMalformed, ErrCertificateMissing)
	}
	if err != nil {
		return nil, nil, err
	}
	if token, err = toDER(token); err != nil {
		return nil, nil, fmt.Errorf("reading time-stamp: %w", err)
	}
	ts, err := ParseTimestamp(token, parsed...)
	if err == nil && !ts.Embedded() {
		err = fmt.Errorf("%w: %w", ErrMalformed, ErrCertificateMissing)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading time-stamp: %w", err)
	}
	h := ts.Hash.New()
	h.Write(sd.signature)
	if err := ts.Verify(h.Sum(nil)); err != nil {
		return nil, nil, fmt.Errorf("checking time-stamp: %w", err)
	}
	out, err := insertUnsigned(der, timestampAttribute(token))
	if err == nil && len(out) > MaxSize {
		return nil, nil, malformed("too large")
	}
	return out, ts, err
}

func timestampAttribute(token []byte) *cryptobyte.Builder {
	return attribute(oidTimestampToken, func(b *cryptobyte.Builder) { b.AddBytes(token) })
}

// insertUnsigned puts an attribute among the unsigned ones. Each of the values
// it lies in is the last of the one around, so that the rest is copied.
func insertUnsigned(der []byte, attr *cryptobyte.Builder) ([]byte, error) {
	added, err := attr.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encoding unsigned attribute: %w", err)
	}
	sd, err := openContentInfo(der)
	if err != nil {
		return nil, err
	}
	front, signers, ok := splitLast(sd)
	var signer, unsigned cryptobyte.String
	if !ok || !signers.ReadASN1(&signer, cbasn1.SEQUENCE) {
		return nil, malformed("signer")
	}
	kept := []byte(signer)
	attrs := [][]byte{added}
	const unsignedTag = cbasn1.Tag(0xA1) // [1] IMPLICIT SET
	if head, last, ok := splitLast(signer); ok && cbasn1.Tag(signer[len(head)]) == unsignedTag {
		kept = head
		for len(last) > 0 && last.ReadASN1Element(&unsigned, cbasn1.SEQUENCE) {
			attrs = append(attrs, unsigned)
		}
	}
	slices.SortFunc(attrs, bytes.Compare) // SET OF in DER: X.690, Section 11.6
	return contentInfo(len(der)+len(added)+64, front, func(out *cryptobyte.Builder) {
		out.AddBytes(kept)
		out.AddASN1(unsignedTag, func(out *cryptobyte.Builder) {
			for _, a := range attrs {
				out.AddBytes(a)
			}
		})
	})
}

// splitLast cuts off the last element and returns its content.
func splitLast(in cryptobyte.String) (front []byte, content cryptobyte.String, ok bool) {
	all := in
	for len(in) > 0 {
		front = all[:len(all)-len(in)]
		var tag cbasn1.Tag
		if !in.ReadAnyASN1(&content, &tag) {
			return nil, nil, false
		}
	}
	return front, content, front != nil
}

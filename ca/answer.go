package ca

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"

	"github.com/mohor-sign/mohor/pdf/revocation"
)

func encodeOCSPRequest(id *certID, nonce []byte) ([]byte, error) {
	return build(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(id.raw) })
			})
			b.AddASN1(constructed(2), func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { addNonce(b, nonce) })
			})
		})
	})
}

// checkOCSP verifies an OCSPResponse of another's responder (RFC 6960, Section 3.2)
// and gives its end. It may say "revoked".
func checkOCSP(der []byte, id *certID, nonce []byte, issuer *x509.Certificate, now time.Time) (next time.Time, err error) {
	got, err := ocsp.ParseResponse(der, issuer)
	if err != nil {
		return next, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	// What ocsp leaves out: which issuer is meant, the nonce, and whether the
	// responder may speak for the issuer. Responses that carry more than one
	// certificate's status are not made for us.
	if err := checkAsked(der, id, nonce); err != nil {
		return next, err
	}
	if got.SerialNumber.Cmp(id.serial) != 0 {
		return next, fmt.Errorf("%w: it is about another certificate", ErrAnswer)
	}
	if r := got.Certificate; r != nil && !revocation.MayAnswer(r, issuer, now) {
		return next, fmt.Errorf("%w: %q is not now an OCSP responder of the issuer", ErrAnswer, r.Subject.CommonName)
	}
	switch {
	case got.Status != ocsp.Good && got.Status != ocsp.Revoked:
		return next, fmt.Errorf("%w: the responder does not know the certificate", ErrAnswer)
	case got.ThisUpdate.After(now.Add(skew)) || got.ProducedAt.After(now.Add(skew)):
		return next, fmt.Errorf("%w: it is from the future", ErrAnswer)
	}
	return fresh(got.ThisUpdate, got.NextUpdate, now)
}

// fresh gives the end of an answer that has not ended.
func fresh(thisUpdate, next, now time.Time) (time.Time, error) {
	if next.IsZero() {
		next = thisUpdate.Add(endless)
	}
	if !now.Before(next) {
		return next, fmt.Errorf("%w: it ended %s", ErrAnswer, next.UTC().Format(time.RFC3339))
	}
	return next, nil
}

// checkAsked reads a response as far as its one CertID and its nonce. A responder
// may ignore a nonce (RFC 8954, Section 2.1), not answer with another.
func checkAsked(der []byte, id *certID, nonce []byte) error {
	bad := fmt.Errorf("%w: not a basic OCSP response about one certificate", ErrAnswer)
	s := cryptobyte.String(der)
	var outer, status, wrap, response, octets, basic, data, producedAt, singles, single, exts cryptobyte.String
	var oid asn1.ObjectIdentifier
	var has bool
	if !s.ReadASN1(&outer, cbasn1.SEQUENCE) || !outer.ReadASN1(&status, cbasn1.ENUM) || !outer.ReadASN1(&wrap, constructed(0)) ||
		!wrap.ReadASN1(&response, cbasn1.SEQUENCE) || !response.ReadASN1ObjectIdentifier(&oid) || !response.ReadASN1(&octets, cbasn1.OCTET_STRING) ||
		!octets.ReadASN1(&basic, cbasn1.SEQUENCE) || !basic.ReadASN1(&data, cbasn1.SEQUENCE) ||
		!data.SkipOptionalASN1(constructed(0)) || !data.SkipOptionalASN1(constructed(1)) || !data.SkipOptionalASN1(constructed(2)) ||
		!data.ReadASN1(&producedAt, cbasn1.GeneralizedTime) || !data.ReadASN1(&singles, cbasn1.SEQUENCE) ||
		!singles.ReadASN1(&single, cbasn1.SEQUENCE) || !singles.Empty() || !data.ReadOptionalASN1(&exts, &has, constructed(1)) {
		return bad
	}
	about, ok := readCertID(&single)
	if !ok {
		return bad
	}
	if about.hash != id.hash || !bytes.Equal(about.name, id.name) || !bytes.Equal(about.key, id.key) || about.serial.Cmp(id.serial) != 0 {
		return fmt.Errorf("%w: it is about another certificate", ErrAnswer)
	}
	if !has {
		return nil
	}
	got, err := readNonce(exts)
	if err != nil {
		return bad
	}
	if got != nil && !bytes.Equal(got, nonce) {
		return fmt.Errorf("%w: it answers another request", ErrAnswer)
	}
	return nil
}

// checkCRL verifies another CA's CRL (RFC 5280, Section 6.3) as one that is
// complete for cert and gives its end. It may list cert.
func checkCRL(der []byte, cert, issuer *x509.Certificate, now time.Time) (next time.Time, err error) {
	l, err := x509.ParseRevocationList(der)
	if err != nil {
		return next, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	if !bytes.Equal(l.RawIssuer, cert.RawIssuer) {
		return next, fmt.Errorf("%w: it is another CA's", ErrAnswer)
	}
	if err := l.CheckSignatureFrom(issuer); err != nil {
		return next, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	if err := revocation.Covers(l, cert); err != nil {
		return next, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	if l.ThisUpdate.After(now.Add(skew)) {
		return next, fmt.Errorf("%w: it is from the future", ErrAnswer)
	}
	return fresh(l.ThisUpdate, l.NextUpdate, now)
}

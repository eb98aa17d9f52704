package ca

import (
	"context"
	"crypto/x509"
	"fmt"
)

// Revocation gives what shows whether cert, which issuer signed, was revoked, in
// DER: an OCSPResponse for what our issuing CA issued and the root's CRL for the
// issuing CA itself, made here and never fetched; for certificates of other CAs
// what Others finds. Exactly one of ocsp and crl is set. Whether it says "revoked"
// is for the caller to read. ErrUnknown for our root, which nothing shows.
func (a *Authority) Revocation(ctx context.Context, cert, issuer *x509.Certificate) (ocsp, crl []byte, err error) {
	switch {
	case cert.Equal(a.certs[Root]):
		return nil, nil, fmt.Errorf("answering for the root: %w", ErrUnknown)
	case issuer.Equal(a.certs[Issuing]):
		ocsp, err = a.OCSP(ctx, cert, issuer)
		return ocsp, nil, err
	case issuer.Equal(a.certs[Root]):
		c, err := a.CRL(ctx, Root)
		return nil, c.DER, err
	case a.Others != nil:
		return a.Others.Revocation(ctx, cert, issuer)
	}
	return nil, nil, fmt.Errorf("answering for a certificate of %q: %w", issuer.Subject.CommonName, ErrUnknown)
}

package ca

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"
)

// Revocation gives what shows whether cert, which issuer signed, was revoked, in
// DER: an OCSPResponse for what our issuing CAs issued and a root's CRL for the
// issuing CAs themselves, made here and never fetched; for certificates of other
// CAs what Others finds. Exactly one of ocsp and crl is set. Whether it says
// "revoked" is for the caller to read. ErrUnknown for a root of ours, which nothing
// shows.
func (a *Authorities) Revocation(ctx context.Context, cert, issuer *x509.Certificate) (ocsp, crl []byte, err error) {
	return a.RevocationSince(ctx, cert, issuer, time.Time{})
}

// RevocationSince is Revocation which does not take an answer of ours whose
// thisUpdate is before since, nor an OCSPResponse of others that was asked for before.
// A CRL is as old as it is.
func (a *Authorities) RevocationSince(ctx context.Context, cert, issuer *x509.Certificate, since time.Time) (ocsp, crl []byte, err error) {
	by, ours := a.set.Load().by(issuer)
	if !ours {
		by, ours = a.fresh().by(issuer)
	}
	switch {
	case ours && by.Parent == "" && cert.Equal(issuer):
		return nil, nil, fmt.Errorf("answering for the root: %w", ErrUnknown)
	case ours && by.Parent != "":
		ocsp, err = a.ocspSince(ctx, cert, issuer, since)
		return ocsp, nil, err
	case ours:
		c, err := a.CRL(ctx, by.Name)
		return nil, c.DER, err
	case a.Others != nil:
		return a.Others.RevocationSince(ctx, cert, issuer, since)
	}
	return nil, nil, fmt.Errorf("answering for a certificate of %q: %w", issuer.Subject.CommonName, ErrUnknown)
}

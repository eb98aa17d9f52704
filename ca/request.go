package ca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
)

// checkRequest gives the key of a request (PKCS #10, RFC 2986) that its own key has
// signed and that asks for o's name and nothing else.
func checkRequest(o Officer, request []byte) (crypto.PublicKey, error) {
	bad := func(why string) error { return fmt.Errorf("%w: %s", ErrRequest, why) }
	r, err := x509.ParseCertificateRequest(request)
	if err != nil {
		return nil, bad("it is not PKCS #10")
	}
	if err := r.CheckSignature(); err != nil {
		return nil, bad("it is not signed by its key")
	}
	subject, err := o.Subject()
	if err != nil {
		return nil, fmt.Errorf("encoding subject: %w", err)
	}
	switch {
	case !bytes.Equal(r.RawSubject, subject):
		return nil, bad("its subject is not the one on record")
	case len(r.Extensions) > 0:
		return nil, bad("it asks for extensions")
	}
	return r.PublicKey, nil
}

// issued gives the certificate that a credential has; nil when it has none.
func (a *Authorities) issued(ctx context.Context, credential string, pub crypto.PublicKey) (*x509.Certificate, error) {
	row, err := a.records.CertificateOf(ctx, credential)
	switch {
	case errors.Is(err, ErrUnknown):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("looking for the certificate of %s: %w", credential, err)
	case row.Status == Revoked:
		return nil, fmt.Errorf("certifying %s: %w", credential, ErrRevoked)
	case row.Status == Suspended:
		return nil, fmt.Errorf("certifying %s: %w", credential, ErrSuspended)
	}
	cert, err := x509.ParseCertificate(row.DER)
	if err != nil {
		return nil, fmt.Errorf("parsing certificate %s: %w", row.Serial, err)
	}
	if !fits(cert, pub) {
		return nil, fmt.Errorf("certifying %s: %w", credential, ErrExists)
	}
	return cert, nil
}

// Issue implements enrol.Issuer: the certificate is IssueOfficer's for the key of the
// request, or that of another CA where External says so.
func (a *Authorities) Issue(ctx context.Context, actor string, o Officer, request []byte) (*x509.Certificate, []*x509.Certificate, error) {
	pub, err := checkRequest(o, request)
	if err != nil {
		return nil, nil, err
	}
	unlock, err := a.issuing.Lock(ctx, o.Credential)
	if err != nil {
		return nil, nil, err
	}
	defer unlock()
	cert, err := a.issued(ctx, o.Credential, pub)
	switch {
	case err != nil:
		return nil, nil, err
	case cert == nil && a.External != nil:
		return a.fromExternal(ctx, actor, o, request, pub)
	case cert == nil:
		cert, err = a.IssueOfficer(ctx, actor, o, pub)
	}
	if err != nil {
		return nil, nil, err
	}
	chain, err := a.Above(ctx, cert)
	return cert, chain, err
}

// fromExternal has the other CA issue, or gives what another gateway has just got of it.
func (a *Authorities) fromExternal(ctx context.Context, actor string, o Officer, request []byte, pub crypto.PublicKey) (*x509.Certificate, []*x509.Certificate, error) {
	cert, chain, err := a.External.issue(ctx, actor, o, request, pub)
	if !errors.Is(err, errOvertaken) {
		return cert, chain, err
	}
	there, ierr := a.issued(ctx, o.Credential, pub)
	if there == nil {
		return nil, nil, errors.Join(err, ierr) // and gone again
	}
	chain, err = a.Above(ctx, there)
	return there, chain, err
}

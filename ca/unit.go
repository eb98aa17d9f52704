package ca

import (
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Names of the units below the issuing CA that answer strangers; they are also
// the labels of their keys.
const (
	TSA       = "tsa"  // time-stamp unit, RFC 3161
	Responder = "ocsp" // OCSP responder, RFC 6960
)

// ErrNoUnit: the time-stamp unit or OCSP responder has no certificate that may be
// used now. Renew makes it, or says why it does not.
var ErrNoUnit = errors.New("no usable certificate for it")

// unit is a certified key that signs tokens or answers.
type unit struct {
	name   string
	cert   *x509.Certificate
	key    crypto.Signer
	scheme scheme
}

// sign signs data and believes the signature only when it verifies.
func (u *unit) sign(data []byte) ([]byte, error) {
	sig, err := u.key.Sign(nil, digestOf(u.scheme.hash, data), u.scheme.hash)
	if err != nil {
		return nil, fmt.Errorf("signing with the %s key: %w", u.name, err)
	}
	if err := u.cert.CheckSignature(u.scheme.alg, data, sig); err != nil {
		return nil, fmt.Errorf("checking the signature of the %s key: %w", u.name, err)
	}
	return sig, nil
}

// usable is ErrNoUnit unless the unit's certificate is valid at t and still
// active in the register, which another process may have changed.
func (a *Authority) usable(ctx context.Context, name string, t time.Time) (*unit, error) {
	u := a.units[name].Load()
	if u == nil {
		return nil, fmt.Errorf("looking for the %s certificate: %w", name, ErrNoUnit)
	}
	if t.Before(u.cert.NotBefore) || t.After(u.cert.NotAfter) {
		return nil, fmt.Errorf("looking for the %s certificate: it is not valid at %s: %w", name, t.Format(time.RFC3339), ErrNoUnit)
	}
	row, err := a.records.CertificateBySerial(ctx, u.cert.SerialNumber.String())
	if err != nil {
		return nil, fmt.Errorf("reading the %s certificate: %w", name, err)
	}
	if row.Status != Active {
		return nil, fmt.Errorf("looking for the %s certificate: it is %s: %w", name, row.Status, ErrNoUnit)
	}
	return u, nil
}

// Renew sees to it that time-stamp unit and OCSP responder have certificates of
// enough remaining life for their keys, which must exist, and says which it made:
// one year left for the time-stamp unit, so that every token can be verified that
// long, and half its life for the responder. Call it at start and about daily.
//
// A key of which a certificate was revoked is not certified again: its unit is off
// until the key is replaced.
func (a *Authority) Renew(ctx context.Context) (made, off []string, err error) {
	var errs []error
	for _, name := range []string{TSA, Responder} {
		fresh, err := a.renew(ctx, name)
		switch {
		case errors.Is(err, ErrRevoked):
			off = append(off, name)
		case err != nil:
			errs = append(errs, fmt.Errorf("renewing the %s certificate: %w", name, err))
		case fresh:
			made = append(made, "certificate "+name)
		}
	}
	return made, off, errors.Join(errs...)
}

func (a *Authority) renew(ctx context.Context, name string) (fresh bool, err error) {
	key, err := a.keys.Signer(ctx, name)
	if err != nil {
		return false, err
	}
	if err := a.unrevoked(ctx, name, key.Public()); err != nil {
		a.units[name].Store(nil)
		return false, err
	}
	if err := a.loadUnit(ctx, name); err != nil {
		return false, err
	}
	now := a.now()
	if u := a.units[name].Load(); u != nil {
		left := u.cert.NotAfter.Sub(now)
		enough := min(365*24*time.Hour, a.profile.TSA/2)
		if name == Responder {
			enough = a.profile.Responder / 2
		}
		// One that ends with the issuing CA cannot be made to last longer.
		if left > enough || !u.cert.NotAfter.Before(a.certs[Issuing].NotAfter) {
			return false, nil
		}
	}
	cert, err := a.issueUnit(ctx, name, key.Public())
	if err != nil {
		return false, err
	}
	return true, a.setUnit(name, cert, key)
}

// unrevoked is ErrRevoked when a certificate of this key was revoked.
func (a *Authority) unrevoked(ctx context.Context, name string, pub crypto.PublicKey) error {
	rows, err := a.records.RevokedBy(ctx, Issuing)
	if err != nil {
		return fmt.Errorf("listing revoked certificates: %w", err)
	}
	for _, row := range rows {
		if row.Credential != "authority:"+name {
			continue
		}
		c, err := x509.ParseCertificate(row.DER)
		if err != nil {
			return fmt.Errorf("parsing certificate %s: %w", row.Serial, err)
		}
		if fits(c, pub) {
			return fmt.Errorf("%w: %s, of the key %q in the token", ErrRevoked, row.Serial, name)
		}
	}
	return nil
}

// fits says whether the certificate is for the key.
func fits(c *x509.Certificate, pub crypto.PublicKey) bool {
	k, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(pub)
}

// loadUnit reads a unit's newest active certificate, if there is one.
func (a *Authority) loadUnit(ctx context.Context, name string) error {
	row, err := a.records.AuthorityCertificate(ctx, name)
	if errors.Is(err, ErrUnknown) {
		a.units[name].Store(nil)
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the %s certificate: %w", name, err)
	}
	if u := a.units[name].Load(); u != nil && slices.Equal(u.cert.Raw, row.DER) {
		return nil
	}
	cert, err := x509.ParseCertificate(row.DER)
	if err != nil {
		return fmt.Errorf("parsing the %s certificate: %w", name, err)
	}
	key, err := a.keys.Signer(ctx, name)
	if err != nil {
		return err
	}
	return a.setUnit(name, cert, key)
}

func (a *Authority) setUnit(name string, cert *x509.Certificate, key crypto.Signer) error {
	if !fits(cert, key.Public()) {
		return fmt.Errorf("checking the %s certificate: it does not belong to the key %q in the token", name, name)
	}
	// A row put there by somebody else would spoil everything stamped from then on.
	if err := cert.CheckSignatureFrom(a.certs[Issuing]); err != nil {
		return fmt.Errorf("checking the %s certificate: %w", name, err)
	}
	s, err := schemeOf(key.Public())
	if err != nil {
		return err
	}
	a.units[name].Store(&unit{name, cert, key, s})
	return nil
}

// issueUnit certifies a unit's key.
func (a *Authority) issueUnit(ctx context.Context, name string, pub crypto.PublicKey) (*x509.Certificate, error) {
	subject, cn, err := a.authoritySubject(name)
	if err != nil {
		return nil, fmt.Errorf("encoding subject: %w", err)
	}
	keyID, err := keyIdentifier(pub)
	if err != nil {
		return nil, err
	}
	now := a.now().UTC().Truncate(time.Second)
	t := &x509.Certificate{RawSubject: subject, SubjectKeyId: keyID, NotBefore: now.Add(-time.Minute), BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature}
	switch name {
	case TSA:
		t.NotAfter = now.Add(a.profile.TSA)
		t.KeyUsage |= x509.KeyUsageContentCommitment
		// RFC 3161, Section 2.3: this purpose alone, and critical, which x509 does
		// not make it by itself.
		purpose, err := asn1.Marshal([]asn1.ObjectIdentifier{oidTimeStamping})
		if err != nil {
			return nil, fmt.Errorf("encoding extended key usage: %w", err)
		}
		t.ExtraExtensions = []pkix.Extension{{Id: oidExtKeyUsage, Critical: true, Value: purpose}}
		a.addresses(t, Issuing)
	case Responder:
		t.NotAfter = now.Add(a.profile.Responder)
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
		// RFC 6960, Section 4.2.2.2.1: nobody asks whether it was revoked, so it is
		// short-lived and needs no addresses.
		t.ExtraExtensions = []pkix.Extension{{Id: oidOCSPNoCheck, Value: asn1.NullBytes}}
	}
	issuer := a.certs[Issuing]
	if t.NotAfter.After(issuer.NotAfter) {
		t.NotAfter = issuer.NotAfter
	}
	if err := a.policy(t); err != nil {
		return nil, err
	}
	return a.issue(ctx, "gateway", Certificate{Issuer: Issuing, Subject: cn, Credential: "authority:" + name}, t, issuer, pub)
}

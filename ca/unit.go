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
	"strings"
	"sync/atomic"
	"time"
)

// Names of the units that answer strangers; they are also the labels of their keys.
// The responder's key has a certificate of each issuing CA: that of another than
// Issuing is called Responder + "@" + its name.
const (
	TSA       = "tsa"  // time-stamp unit, RFC 3161
	Responder = "ocsp" // OCSP responder, RFC 6960
)

// responder is the unit that answers for an issuing CA.
func responder(issuer string) string {
	if issuer == Issuing {
		return Responder
	}
	return Responder + "@" + issuer
}

// keyOf is the label of a unit's key.
func keyOf(unit string) string {
	label, _, _ := strings.Cut(unit, "@")
	return label
}

// unitNames are all units: one for time-stamps, and a responder for each issuing CA.
func (a *Authorities) unitNames() []string {
	names := []string{TSA}
	for _, x := range a.set.Load().list {
		if x.Parent != "" {
			names = append(names, responder(x.Name))
		}
	}
	return names
}

// unit is nil when there is none of that name with a certificate.
func (a *Authorities) unit(name string) *unit {
	u, _ := a.units.Load(name)
	found, _ := u.(*unit)
	return found
}

// issuerOf is the authority that certifies a unit from now on.
func (a *Authorities) issuerOf(name string) (string, *x509.Certificate) {
	s := a.set.Load()
	issuer := s.live(Issuing).Name
	if keyOf(name) == Responder {
		if _, of, other := strings.Cut(name, "@"); other {
			issuer = of
		} else {
			issuer = Issuing
		}
	}
	return issuer, s.certs[issuer]
}

// ErrNoUnit: the time-stamp unit or OCSP responder has no certificate that may be
// used now. Renew makes it, or says why it does not.
var ErrNoUnit = errors.New("no usable certificate for it")

// unit is a certified key that signs tokens or answers.
type unit struct {
	name   string
	issuer string // name of the authority that certified it
	cert   *x509.Certificate
	key    crypto.Signer
	scheme scheme
	size   atomic.Int64 // of its largest token, once TokenSize has made one up
}

// sign signs data. [Keys] have verified what they give, with the key that the certificate was
// compared with when the unit was loaded.
func (u *unit) sign(data []byte) ([]byte, error) {
	sig, err := u.key.Sign(nil, digestOf(u.scheme.hash, data), u.scheme.hash)
	if err != nil {
		return nil, fmt.Errorf("signing with the %s key: %w", u.name, err)
	}
	return sig, nil
}

// usable is ErrNoUnit unless the unit's certificate is valid at t and still
// active in the register, which another process may have changed.
func (a *Authorities) usable(ctx context.Context, name string, t time.Time) (*unit, error) {
	u := a.unit(name)
	if u == nil {
		// Another process may have made the authority, and its responder.
		if err := a.loadUnit(ctx, name); err != nil {
			return nil, err
		}
		u = a.unit(name)
	}
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
func (a *Authorities) Renew(ctx context.Context) (made, off []string, err error) {
	if err := a.Refresh(ctx); err != nil {
		return nil, nil, err
	}
	var errs []error
	for _, name := range a.unitNames() {
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

func (a *Authorities) renew(ctx context.Context, name string) (fresh bool, err error) {
	key, err := a.keys.Signer(ctx, keyOf(name))
	if err != nil {
		return false, err
	}
	if err := a.unrevoked(ctx, name, key.Public()); err != nil {
		a.units.Delete(name)
		return false, err
	}
	if err := a.loadUnit(ctx, name); err != nil {
		return false, err
	}
	now := a.now()
	by, issuer := a.issuerOf(name)
	if issuer == nil {
		return false, nil // its CA is being made
	}
	if u := a.unit(name); u != nil {
		left := u.cert.NotAfter.Sub(now)
		enough := min(365*24*time.Hour, a.profile.TSA/2)
		if keyOf(name) == Responder {
			enough = a.profile.Responder / 2
		}
		// One that ends with its CA cannot be made to last longer; one that a revoked CA
		// issued is worth nothing once another issues in its place.
		orphan := u.issuer != by && a.standing(ctx, u.issuer, a.set.Load().certs[u.issuer]) != nil
		if left > enough && !orphan || u.issuer == by && !u.cert.NotAfter.Before(issuer.NotAfter) {
			return false, nil
		}
	}
	if err := a.standing(ctx, by, issuer); errors.Is(err, ErrUnavailable) {
		return false, nil // until another CA issues in its place
	} else if err != nil {
		return false, err
	}
	cert, err := a.issueUnit(ctx, name, by, issuer, key.Public())
	if err != nil {
		return false, err
	}
	return true, a.setUnit(name, by, cert, key)
}

// unrevoked is ErrRevoked when a certificate of this key was revoked.
func (a *Authorities) unrevoked(ctx context.Context, name string, pub crypto.PublicKey) error {
	var rows []Certificate
	for _, x := range a.set.Load().list {
		if x.Parent == "" {
			continue
		}
		more, err := a.records.RevokedBy(ctx, x.Name)
		if err != nil {
			return fmt.Errorf("listing revoked certificates: %w", err)
		}
		rows = append(rows, more...)
	}
	for _, row := range rows {
		if keyOf(row.Credential) != "authority:"+keyOf(name) {
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
func (a *Authorities) loadUnit(ctx context.Context, name string) error {
	row, err := a.records.AuthorityCertificate(ctx, name)
	if errors.Is(err, ErrUnknown) {
		a.units.Delete(name)
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the %s certificate: %w", name, err)
	}
	if u := a.unit(name); u != nil && slices.Equal(u.cert.Raw, row.DER) {
		return nil
	}
	cert, err := x509.ParseCertificate(row.DER)
	if err != nil {
		return fmt.Errorf("parsing the %s certificate: %w", name, err)
	}
	key, err := a.keys.Signer(ctx, keyOf(name))
	if err != nil {
		return err
	}
	return a.setUnit(name, row.Issuer, cert, key)
}

func (a *Authorities) setUnit(name, issuer string, cert *x509.Certificate, key crypto.Signer) error {
	if !fits(cert, key.Public()) {
		return fmt.Errorf("checking the %s certificate: it does not belong to the key %q in the token", name, name)
	}
	// A row put there by somebody else would spoil everything stamped from then on.
	by := a.set.Load().certs[issuer]
	if by == nil {
		return fmt.Errorf("checking the %s certificate: %w: authority %q", name, ErrUnknown, issuer)
	}
	if err := cert.CheckSignatureFrom(by); err != nil {
		return fmt.Errorf("checking the %s certificate: %w", name, err)
	}
	s, err := schemeOf(key.Public())
	if err != nil {
		return err
	}
	a.units.Store(name, &unit{name: name, issuer: issuer, cert: cert, key: key, scheme: s})
	return nil
}

// issueUnit certifies a unit's key.
func (a *Authorities) issueUnit(ctx context.Context, name, by string, issuer *x509.Certificate, pub crypto.PublicKey) (*x509.Certificate, error) {
	x, _ := a.set.Load().find(by)
	subject, cn, err := a.authoritySubject(keyOf(name), x.Training)
	if err != nil {
		return nil, fmt.Errorf("encoding subject: %w", err)
	}
	keyID, err := keyIdentifier(pub)
	if err != nil {
		return nil, err
	}
	now := a.now().UTC().Truncate(time.Second)
	t := &x509.Certificate{RawSubject: subject, SubjectKeyId: keyID, NotBefore: now.Add(-time.Minute), BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature}
	switch keyOf(name) {
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
		a.addresses(t, by, true)
	case Responder:
		t.NotAfter = now.Add(a.profile.Responder)
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
		// RFC 6960, Section 4.2.2.2.1: nobody asks whether it was revoked, so it is
		// short-lived and needs no addresses.
		t.ExtraExtensions = []pkix.Extension{{Id: oidOCSPNoCheck, Value: asn1.NullBytes}}
	}
	if t.NotAfter.After(issuer.NotAfter) {
		t.NotAfter = issuer.NotAfter
	}
	if err := a.policy(t); err != nil {
		return nil, err
	}
	return a.issue(ctx, "gateway", Certificate{Issuer: by, Subject: cn, Credential: "authority:" + name}, t, issuer, pub)
}

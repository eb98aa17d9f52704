// Package revocation says what a revocation list or an OCSP response may be
// believed about: the rules that parsers of certificates leave to their users.
// Who collects evidence, who verifies and who asks others use the same ones.
package revocation

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// ErrScope: the list does not speak of all revocations of certificates like the
// one in question.
var ErrScope = errors.New("the revocation list does not cover the certificate")

// Covers returns nil when a list that does not name the certificate says that
// it is not revoked: it has no critical extension, as lists of changes have,
// but an issuing distribution point (RFC 5280, Section 5.2.5) within the scope
// of which the certificate falls, and no entry has one, as those of indirect
// lists have. Otherwise the error wraps ErrScope. Signature, issuer and times
// are the caller's to check.
func Covers(crl *x509.RevocationList, cert *x509.Certificate) error {
	for _, e := range crl.Extensions {
		switch {
		case e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 28}):
			if !inScope(e.Value, cert) {
				return fmt.Errorf("%w: it is of another distribution point or kind", ErrScope)
			}
		case e.Critical:
			return fmt.Errorf("%w: it has the critical extension %v", ErrScope, e.Id)
		}
	}
	for i := range crl.RevokedCertificateEntries {
		for _, e := range crl.RevokedCertificateEntries[i].Extensions {
			if e.Critical {
				return fmt.Errorf("%w: an entry has the critical extension %v", ErrScope, e.Id)
			}
		}
	}
	return nil
}

// inScope reads IssuingDistributionPoint.
func inScope(der cryptobyte.String, cert *x509.Certificate) bool {
	var idp cryptobyte.String
	if !der.ReadASN1(&idp, cbasn1.SEQUENCE) || len(der) != 0 {
		return false
	}
	for len(idp) > 0 {
		var v cryptobyte.String
		var tag cbasn1.Tag
		if !idp.ReadAnyASN1(&v, &tag) {
			return false
		}
		set := len(v) != 1 || v[0] != 0
		switch tag {
		case cbasn1.Tag(0).Constructed().ContextSpecific():
			if !atPoint(v, cert) {
				return false
			}
		case cbasn1.Tag(1).ContextSpecific(): // onlyContainsUserCerts
			if set && cert.IsCA {
				return false
			}
		case cbasn1.Tag(2).ContextSpecific(): // onlyContainsCACerts
			if set && !cert.IsCA {
				return false
			}
		case cbasn1.Tag(4).ContextSpecific(), cbasn1.Tag(5).ContextSpecific(): // indirect, attribute certificates
			if set {
				return false
			}
		default: // some reasons, or what nobody knows
			return false
		}
	}
	return true
}

// atPoint says whether one of the distribution point's addresses is one of the
// certificate's.
func atPoint(name cryptobyte.String, cert *x509.Certificate) bool {
	var full cryptobyte.String
	if !name.ReadASN1(&full, cbasn1.Tag(0).Constructed().ContextSpecific()) || len(name) != 0 {
		return false
	}
	for len(full) > 0 {
		var v cryptobyte.String
		var tag cbasn1.Tag
		if !full.ReadAnyASN1(&v, &tag) {
			return false
		}
		if tag == cbasn1.Tag(6).ContextSpecific() && slices.Contains(cert.CRLDistributionPoints, string(v)) {
			return true
		}
	}
	return false
}

// MayAnswer says whether a certificate is the issuer's own, or that of a
// responder which the issuer lets answer, valid at a time (RFC 6960, Section
// 4.2.2.2). That the issuer signed it, and its own revocation, are the
// caller's to check.
func MayAnswer(responder, issuer *x509.Certificate, at time.Time) bool {
	return responder.Equal(issuer) || slices.Contains(responder.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) &&
		bytes.Equal(responder.RawIssuer, issuer.RawSubject) && !at.Before(responder.NotBefore) && !at.After(responder.NotAfter)
}

// NoCheck says whether a responder's certificate needs no evidence of its own:
// id-pkix-ocsp-nocheck (RFC 6960, Section 4.2.2.2.1).
func NoCheck(c *x509.Certificate) bool {
	for _, e := range c.Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}) {
			return true
		}
	}
	return false
}

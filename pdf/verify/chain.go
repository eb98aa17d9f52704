package verify

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"time"

	"github.com/mohor-sign/mohor/pdf/cms"
)

// judge checks the signer's certificate: usage, times, path, revocation.
func (s *Signature) judge(sd *cms.SignedData, o Options) {
	cert := sd.Certificate
	if !meantForDocuments(cert) {
		s.find("key_usage", "")
	}
	if o.Now.Before(cert.NotBefore) || o.Now.After(cert.NotAfter) {
		s.find("certificate_expired", "")
	}
	if s.SignedAt != nil && (s.SignedAt.Before(cert.NotBefore) || s.SignedAt.After(cert.NotAfter)) {
		s.find("signed_outside_validity", "")
	}
	roots := o.Roots
	if roots == nil {
		roots = x509.NewCertPool() // nil would be the machine's roots
	}
	others := x509.NewCertPool()
	for _, c := range append(sd.Others[:len(sd.Others):len(sd.Others)], o.Intermediates...) {
		others.AddCert(c)
	}
	// An expired certificate has its reason above; the path is looked for at
	// the last moment it was valid, for the sake of revocation.
	at := o.Now
	if at.After(cert.NotAfter) {
		at = cert.NotAfter
	}
	chains, err := cert.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: others, CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		s.find("chain_unknown", err.Error())
		return
	}
	s.revocation(chains, o)
}

// meantForDocuments asks for digitalSignature or nonRepudiation (RFC 5280,
// Section 4.2.1.3), no CA, and, where extended usages are given, one that is
// about documents or people rather than machines alone.
func meantForDocuments(c *x509.Certificate) bool {
	if c.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0 || c.IsCA {
		return false
	}
	if len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 {
		return true
	}
	for _, u := range c.ExtKeyUsage {
		switch u {
		case x509.ExtKeyUsageAny, x509.ExtKeyUsageEmailProtection, x509.ExtKeyUsageClientAuth:
			return true
		}
	}
	for _, oid := range c.UnknownExtKeyUsage {
		for _, known := range []asn1.ObjectIdentifier{
			{1, 3, 6, 1, 5, 5, 7, 3, 36},       // id-kp-documentSigning, RFC 9336
			{1, 3, 6, 1, 4, 1, 311, 10, 3, 12}, // Microsoft document signing
			{1, 2, 840, 113583, 1, 1, 5},       // Adobe authentic documents trust
		} {
			if oid.Equal(known) {
				return true
			}
		}
	}
	return false
}

// revocation looks the path's certificates up in the lists.
func (s *Signature) revocation(chains [][]*x509.Certificate, o Options) {
	if len(o.CRLs) == 0 {
		return
	}
	s.Revocation = Revocation{Source: "CRL", Status: "unknown"}
	for _, chain := range chains {
		for i := 0; i+1 < len(chain); i++ {
			status, at := lookUp(chain[i], chain[i+1], o)
			if status == "revoked" {
				s.Revocation = Revocation{Source: "CRL", Status: status, At: at}
				s.find("certificate_revoked", chain[i].Subject.String())
				return
			}
			if i == 0 && status == "good" {
				s.Revocation = Revocation{Source: "CRL", Status: status, At: at}
			}
		}
	}
	if s.Revocation.Status == "unknown" {
		s.find("revocation_unknown", "no current list of the issuer")
	}
}

// lookUp searches the lists of issuer for a certificate (RFC 5280, Section
// 6.3). An old or partial list can say "revoked", never "good".
func lookUp(cert, issuer *x509.Certificate, o Options) (status string, at *time.Time) {
	status = "unknown"
	for _, crl := range o.CRLs {
		if !bytes.Equal(crl.RawIssuer, cert.RawIssuer) || crl.CheckSignatureFrom(issuer) != nil {
			continue
		}
		for _, e := range crl.RevokedCertificateEntries {
			const removeFromCRL = 8
			if e.SerialNumber.Cmp(cert.SerialNumber) == 0 && e.ReasonCode != removeFromCRL {
				return "revoked", &e.RevocationTime
			}
		}
		current := !crl.ThisUpdate.After(o.Now.Add(skew)) && o.Now.Before(crl.NextUpdate)
		if current && complete(crl) && (at == nil || crl.ThisUpdate.After(*at)) {
			status, at = "good", &crl.ThisUpdate
		}
	}
	return status, at
}

// complete says whether a list has no critical extension: those make it a
// delta, indirect or limited to a part.
func complete(crl *x509.RevocationList) bool {
	for _, e := range crl.Extensions {
		if e.Critical {
			return false
		}
	}
	return true
}

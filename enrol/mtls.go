package enrol

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"time"
)

// bindsTo says whether an app is bound to the certificate of a connection: by its SHA-256 (RFC
// 8705, Section 2.2), or by its subject where a configured CA issued it for clients (Section
// 2.1). Whoever speaks TLS has proved to hold its key.
func (s *Apps) bindsTo(ctx context.Context, app string, certs []*x509.Certificate, now time.Time) (bool, error) {
	if len(certs) == 0 || now.Before(certs[0].NotBefore) || now.After(certs[0].NotAfter) {
		return false, nil
	}
	all, err := s.Records.AppCredentials(ctx, app)
	if err != nil {
		return false, fmt.Errorf("reading certificates of the app: %w", err)
	}
	hash, subject := sha256.Sum256(certs[0].Raw), ""
	if s.issued(certs, now) {
		subject = SubjectOf(certs[0])
	}
	for _, c := range all {
		if c.Kind != KindCertificate || !c.live(now) {
			continue
		}
		if c.Public == "" && c.Hash == hash || c.Public != "" && c.Public == subject {
			return true, nil
		}
	}
	return false, nil
}

// issued says whether one of the configured CAs issued the first certificate, for clients.
func (s *Apps) issued(certs []*x509.Certificate, now time.Time) bool {
	if s.ClientCAs == nil {
		return false
	}
	between := x509.NewCertPool()
	for _, c := range certs[1:] {
		between.AddCert(c)
	}
	_, err := certs[0].Verify(x509.VerifyOptions{Roots: s.ClientCAs, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return err == nil
}

// SubjectOf is a certificate's subject as a string (RFC 4514); "" for one without.
func SubjectOf(c *x509.Certificate) string {
	var name pkix.RDNSequence
	if rest, err := asn1.Unmarshal(c.RawSubject, &name); err != nil || len(rest) > 0 {
		return ""
	}
	return name.String()
}

package api

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/mohor-sign/mohor/audit"
)

// origin notes where a request comes from: the address for every event of the audit, and the
// client's certificate. The header in which a proxy hands that on is taken from everybody else.
func (s *server) origin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := audit.WithOrigin(r.Context(), &audit.Origin{Address: s.peer(r)})
		if certs := s.clientCertificate(r); certs != nil {
			ctx = context.WithValue(ctx, keyCertificates, certs)
		}
		if s.CertificateHeader != "" {
			r.Header.Del(s.CertificateHeader)
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// certificatesOf is the client's certificate, the leaf first; nil for none.
func certificatesOf(ctx context.Context) []*x509.Certificate {
	certs, _ := ctx.Value(keyCertificates).([]*x509.Certificate)
	return certs
}

// clientCertificate is that of the connection, or what a trusted proxy says: the certificate of
// such a connection is the proxy's own.
func (s *server) clientCertificate(r *http.Request) []*x509.Certificate {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err == nil && s.trusted(at.Addr().Unmap()) {
		said := r.Header.Values(s.CertificateHeader)
		if s.CertificateHeader == "" || len(said) != 1 {
			return nil
		}
		if c := forwarded(said[0]); c != nil {
			return []*x509.Certificate{c}
		}
		return nil
	}
	if r.TLS == nil {
		return nil
	}
	return r.TLS.PeerCertificates
}

// forwarded reads a certificate from a header: a byte sequence of DER (RFC 9440, Section 2), or
// PEM with percent signs as nginx writes $ssl_client_escaped_cert. nil for anything else.
func forwarded(v string) *x509.Certificate {
	var der []byte
	if inner, ok := strings.CutPrefix(v, ":"); ok && strings.HasSuffix(inner, ":") {
		der, _ = base64.StdEncoding.Strict().DecodeString(strings.TrimSuffix(inner, ":")) // none is no certificate
	} else if text, err := url.PathUnescape(v); err == nil {
		block, rest := pem.Decode([]byte(text))
		if block == nil || block.Type != "CERTIFICATE" || strings.TrimSpace(string(rest)) != "" {
			return nil
		}
		der = block.Bytes
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	return c
}

package api_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/api"
)

// A certificate in a header is believed from a trusted proxy alone, and reaches no handler.
func TestForwardedCertificates(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issue := func(cn string) *x509.Certificate {
		x := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: cn}, NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, x, x, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	app, own := issue("app"), issue("proxy")
	rfc9440 := ":" + base64.StdEncoding.EncodeToString(app.Raw) + ":"
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: app.Raw}))
	const proxy, stranger = "10.0.0.1:4000", "192.0.2.7:4000"
	for what, c := range map[string]struct {
		peer, name string
		values     []string
		tls        *x509.Certificate
		want       string
	}{
		"RFC 9440":                           {proxy, "Client-Cert", []string{rfc9440}, nil, "app"},
		"nginx":                              {proxy, "Client-Cert", []string{url.PathEscape(text)}, nil, "app"},
		"the proxy's own beside it":          {proxy, "Client-Cert", []string{rfc9440}, own, "app"},
		"the proxy's own alone":              {proxy, "Client-Cert", nil, own, ""},
		"the proxy's own, no header":         {proxy, "", nil, own, ""},
		"empty":                              {proxy, "Client-Cert", []string{""}, nil, ""},
		"two":                                {proxy, "Client-Cert", []string{rfc9440, rfc9440}, nil, ""},
		"rubbish":                            {proxy, "Client-Cert", []string{":AAAA:"}, nil, ""},
		"not base64":                         {proxy, "Client-Cert", []string{":%%%:"}, nil, ""},
		"two in one":                         {proxy, "Client-Cert", []string{url.PathEscape(text + text)}, nil, ""},
		"a key":                              {proxy, "Client-Cert", []string{url.PathEscape("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")}, nil, ""},
		"from a stranger":                    {stranger, "Client-Cert", []string{rfc9440}, nil, ""},
		"from a stranger with one":           {stranger, "Client-Cert", []string{rfc9440}, own, "proxy"},
		"from a stranger, through a header":  {stranger, "", []string{rfc9440}, nil, ""},
		"through a header nobody configured": {proxy, "", []string{rfc9440}, nil, ""},
	} {
		r := httptest.NewRequest(http.MethodGet, "/v1/verify", nil)
		r.RemoteAddr = c.peer
		r.Header.Set("X-Forwarded-For", "10.0.0.1")
		for _, v := range c.values {
			r.Header.Add("Client-Cert", v)
		}
		if c.tls != nil {
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c.tls}}
		}
		got, seen := "", ""
		api.Origin(api.Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, CertificateHeader: c.name}, func(certs []*x509.Certificate, header string) {
			if seen = header; len(certs) > 0 {
				got = certs[0].Subject.CommonName
			}
		}).ServeHTTP(httptest.NewRecorder(), r)
		if got != c.want || c.name != "" && seen != "" {
			t.Errorf("%s: %q, header %q", what, got, seen)
		}
	}
}

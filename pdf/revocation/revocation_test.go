package revocation_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/pdf/revocation"
)

const point = "http://ca.example/issuing.crl"

// tlv is one DER value of up to 127 bytes.
func tlv(tag byte, parts ...[]byte) []byte {
	out := []byte{tag, 0}
	for _, p := range parts {
		out = append(out, p...)
	}
	out[1] = byte(len(out) - 2)
	return out
}

func TestCovers(t *testing.T) {
	user := &x509.Certificate{CRLDistributionPoints: []string{"ldap://other", point}}
	authority := &x509.Certificate{IsCA: true, CRLDistributionPoints: []string{point}}
	yes, no := []byte{0xff}, []byte{0}
	name := func(s string) []byte { return tlv(0xa0, tlv(0xa0, tlv(0x86, []byte(s)))) }
	idp := func(fields ...[]byte) []pkix.Extension {
		return []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: tlv(0x30, fields...)}}
	}
	for what, c := range map[string]struct {
		extensions      []pkix.Extension
		user, authority bool
	}{
		"nothing said":               {nil, true, true},
		"its point":                  {idp(name(point)), true, true},
		"another point":              {idp(name(point + "2")), false, false},
		"its point among others":     {idp(tlv(0xa0, tlv(0xa0, tlv(0x86, []byte("http://x")), tlv(0x86, []byte(point))))), true, true},
		"its point as another kind":  {idp(tlv(0xa0, tlv(0xa0, tlv(0x82, []byte(point))))), false, false},
		"a name of no point":         {idp(tlv(0xa0)), false, false},
		"a point without names":      {idp(tlv(0xa0, tlv(0xa0))), false, false},
		"a relative name":            {idp(tlv(0xa0, tlv(0xa1, []byte{0x31, 0}))), false, false},
		"two names of the point":     {idp(tlv(0xa0, tlv(0xa0, tlv(0x86, []byte(point))), tlv(0xa0))), false, false},
		"users":                      {idp(name(point), tlv(0x81, yes)), true, false},
		"users, said to be not":      {idp(tlv(0x81, no)), true, true},
		"users, in a way nobody has": {idp(tlv(0x81, nil)), true, false},
		"authorities":                {idp(tlv(0x82, yes)), false, true},
		"some reasons":               {idp(tlv(0x83, []byte{1, 0x40})), false, false},
		"indirect":                   {idp(tlv(0x84, yes)), false, false},
		"attribute certificates":     {idp(tlv(0x85, yes)), false, false},
		"a field nobody knows":       {idp(tlv(0x86, yes)), false, false},
		"empty":                      {idp(), true, true},
		"cut":                        {[]pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Value: []byte{0x30, 2, 0x81}}}, false, false},
		"with something behind":      {[]pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Value: []byte{0x30, 0, 0}}}, false, false},
		"a list of changes":          {[]pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}}, false, false},
		"an extension to be ignored": {[]pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 46}, Value: []byte{0x30, 0}}}, true, true},
	} {
		crl := &x509.RevocationList{Extensions: c.extensions}
		for cert, want := range map[*x509.Certificate]bool{user: c.user, authority: c.authority} {
			if err := revocation.Covers(crl, cert); (err == nil) != want || err != nil && !errors.Is(err, revocation.ErrScope) {
				t.Errorf("%s, CA %v: %v", what, cert.IsCA, err)
			}
		}
	}
	// RFC 5280, Section 5.3.3: the certificate issuer of an indirect list's entry.
	crl := &x509.RevocationList{RevokedCertificateEntries: []x509.RevocationListEntry{{Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 21}}}}}}
	if err := revocation.Covers(crl, user); err != nil {
		t.Errorf("an entry with a reason: %v", err)
	}
	crl.RevokedCertificateEntries[0].Extensions[0].Critical = true
	if err := revocation.Covers(crl, user); !errors.Is(err, revocation.ErrScope) {
		t.Errorf("an entry with a critical extension: %v", err)
	}
}

func TestMayAnswer(t *testing.T) {
	at := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	issuer := &x509.Certificate{Raw: []byte("issuer"), RawSubject: []byte("the issuer")}
	responder := func(edit func(c *x509.Certificate)) *x509.Certificate {
		c := &x509.Certificate{Raw: []byte("responder"), RawIssuer: issuer.RawSubject, NotBefore: at, NotAfter: at,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}}
		edit(c)
		return c
	}
	for what, c := range map[string]struct {
		responder *x509.Certificate
		want      bool
	}{
		"the issuer":        {issuer, true},
		"its responder":     {responder(func(*x509.Certificate) {}), true},
		"one without leave": {responder(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }), false},
		"another's":         {responder(func(c *x509.Certificate) { c.RawIssuer = []byte("another") }), false},
		"not yet valid":     {responder(func(c *x509.Certificate) { c.NotBefore = at.Add(1) }), false},
		"no longer valid":   {responder(func(c *x509.Certificate) { c.NotAfter = at.Add(-1) }), false},
	} {
		if got := revocation.MayAnswer(c.responder, issuer, at); got != c.want {
			t.Errorf("%s: %v", what, got)
		}
	}
	if revocation.NoCheck(issuer) || !revocation.NoCheck(&x509.Certificate{Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}}}}) {
		t.Error("id-pkix-ocsp-nocheck is not read")
	}
}

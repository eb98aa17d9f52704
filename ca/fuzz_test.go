package ca_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"

	"github.com/mohor-sign/mohor/ca"
)

// Whatever is asked, an OCSPResponse is the answer, and one that says "successful" is
// signed by the responder.
func FuzzOCSPReply(f *testing.F) {
	a := current(f)
	for _, c := range []*x509.Certificate{a.Certificate(ca.TSA), a.Certificate(ca.Root)} {
		request, err := ocsp.CreateRequest(c, a.Certificate(ca.Issuing), nil)
		must(f, err)
		f.Add(request)
		f.Add(append(request, 0))
	}
	f.Fuzz(func(t *testing.T, request []byte) {
		reply, _, err := a.OCSPReply(ctx, request)
		if err != nil && len(reply) == 0 {
			return
		}
		_, err = ocsp.ParseResponse(reply, a.Certificate(ca.Issuing))
		var said ocsp.ResponseError
		if err != nil && !errors.As(err, &said) {
			t.Errorf("%x is answered with %x: %v", request, reply, err)
		}
	})
}

// Whatever is asked, a TimeStampResp is the answer.
func FuzzTimestampReply(f *testing.F) {
	a := current(f)
	imprint := append([]byte{0x30, 0x2f, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 0x04, 0x20}, make([]byte, 32)...)
	for _, rest := range [][]byte{nil, {0x01, 0x01, 0xff}, {0x02, 0x01, 0x07}, {0x06, 0x04, 0x88, 0x37, 0x98, 0x59, 0x02, 0x01, 0x07, 0x01, 0x01, 0xff}} {
		body := append(append([]byte{0x02, 0x01, 0x01}, imprint...), rest...)
		f.Add(append([]byte{0x30, byte(len(body))}, body...))
	}
	f.Fuzz(func(t *testing.T, query []byte) {
		reply, err := a.TimestampReply(ctx, query)
		if err != nil && len(reply) == 0 {
			return
		}
		var outer, status cryptobyte.String
		var n int
		if s := cryptobyte.String(reply); !s.ReadASN1(&outer, cbasn1.SEQUENCE) || !s.Empty() || !outer.ReadASN1(&status, cbasn1.SEQUENCE) || !status.ReadASN1Integer(&n) || n < 0 || n > 5 || (n == 0) == outer.Empty() {
			t.Errorf("%x is answered with %x", query, reply)
		}
	})
}

// A request is certified only when it is the officer's: her name, its own key's signature.
func FuzzRequest(f *testing.F) {
	a := bootstrapped(f, nil)
	o := asked("cr_fuzz")
	f.Add(request(f, o, key(f), nil))
	f.Add(request(f, asked("other"), key(f), func(r *x509.CertificateRequest) { r.DNSNames = []string{"a.example"} }))
	f.Fuzz(func(t *testing.T, der []byte) {
		c, _, err := a.Issue(ctx, "test", o, der)
		if err != nil {
			return
		}
		subject, err := o.Subject()
		must(t, err)
		r, err := x509.ParseCertificateRequest(der)
		if err != nil || r.CheckSignature() != nil || !bytes.Equal(r.RawSubject, subject) || !bytes.Equal(c.RawSubjectPublicKeyInfo, r.RawSubjectPublicKeyInfo) {
			t.Errorf("%x was certified", der)
		}
	})
}

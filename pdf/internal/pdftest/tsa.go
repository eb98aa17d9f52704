package pdftest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
)

// Authorities are a time-stamping authority and responders for the
// certificates of a PKI. They implement pdf.Timestamper and pdf.Revocation.
type Authorities struct {
	*PKI
	TSA, Responder       *x509.Certificate
	TSAKey, ResponderKey crypto.Signer
	// Clock gives the time of tokens and answers, Now when nil.
	Clock func() time.Time
	// Room is what TokenSize says, 8 KiB when 0.
	Room int
	// More are certificates that tokens carry besides.
	More []*x509.Certificate
	// Stamps and Asked count the calls; Err makes them fail.
	Stamps, Asked atomic.Int32
	Err           error
	// Points are where Announce says that lists are.
	Points []string
	// CRLs makes all answers lists.
	CRLs bool
}

// NewAuthorities makes the certificates: both are issued by the PKI's issuer,
// the responder's with id-pkix-ocsp-nocheck.
func NewAuthorities(t testing.TB, p *PKI) *Authorities {
	t.Helper()
	a := &Authorities{PKI: p, TSAKey: NewKey(t, cms.ECDSA), ResponderKey: NewKey(t, cms.ECDSA)}
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		t.Fatal(err)
	}
	leaf := func(name string, serial int64, more pkix.Extension) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name, Country: []string{"MY"}},
			NotBefore: Now().Add(-24 * time.Hour), NotAfter: Now().Add(200 * time.Hour),
			KeyUsage: x509.KeyUsageDigitalSignature, ExtraExtensions: []pkix.Extension{more},
		}
	}
	a.TSA = Issue(t, leaf("Test TSA", 3, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}), p.Issuer, a.TSAKey, p.IssuerKey)
	responder := leaf("Test OCSP", 4, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}, Value: asn1.NullBytes})
	responder.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
	a.Responder = Issue(t, responder, p.Issuer, a.ResponderKey, p.IssuerKey)
	return a
}

// Announce issues the certificates of signer and authority again, with an
// address of a responder, where nobody answers: pyHanko looks at embedded
// answers only of such certificates, pdfsig does not trust them.
func (a *Authorities) Announce(t testing.TB) {
	t.Helper()
	again := func(c *x509.Certificate, key crypto.Signer) *x509.Certificate {
		template := *c
		template.SignatureAlgorithm, template.OCSPServer = x509.UnknownSignatureAlgorithm, []string{"http://127.0.0.1:9/"}
		template.CRLDistributionPoints = a.Points
		for _, e := range c.Extensions {
			if e.Critical { // the extended key usage must stay so
				template.ExtraExtensions = append(template.ExtraExtensions, e)
			}
		}
		return Issue(t, &template, a.Issuer, key, a.IssuerKey)
	}
	a.Signer, a.TSA = again(a.Signer, a.Key), again(a.TSA, a.TSAKey)
}

func (a *Authorities) now() time.Time {
	if a.Clock != nil {
		return a.Clock()
	}
	return Now()
}

// TokenSize implements pdf.Timestamper.
func (a *Authorities) TokenSize() int {
	if a.Room != 0 {
		return a.Room
	}
	return 8 << 10
}

// Timestamp implements pdf.Timestamper.
func (a *Authorities) Timestamp(_ context.Context, h crypto.Hash, digest []byte) ([]byte, error) {
	serial := a.Stamps.Add(1)
	if a.Err != nil {
		return nil, a.Err
	}
	if h != crypto.SHA256 {
		return nil, errors.New("only SHA-256")
	}
	return a.token(digest, int64(serial))
}

// Revocation implements pdf.Revocation: lists of the root, OCSP of the issuer.
func (a *Authorities) Revocation(_ context.Context, cert, issuer *x509.Certificate) (pdf.Answer, error) {
	a.Asked.Add(1)
	if a.Err != nil {
		return pdf.Answer{}, a.Err
	}
	this, next := a.now(), a.now().Add(time.Hour)
	if a.CRLs || bytes.Equal(issuer.Raw, a.Root.Raw) {
		key := a.IssuerKey
		if bytes.Equal(issuer.Raw, a.Root.Raw) {
			key = a.RootKey
		}
		der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(this.Unix()), ThisUpdate: this, NextUpdate: next}, issuer, key)
		return pdf.Answer{CRL: der}, err
	}
	der, err := a.answer(cert.SerialNumber)
	return pdf.Answer{OCSP: der}, err
}

// answer is that of the issuer's responder: good.
func (a *Authorities) answer(serial *big.Int) ([]byte, error) {
	return ocsp.CreateResponse(a.Issuer, a.Responder, ocsp.Response{
		Status: ocsp.Good, SerialNumber: serial, ThisUpdate: a.now(), NextUpdate: a.now().Add(time.Hour), Certificate: a.Responder,
	}, a.ResponderKey)
}

// Services are what pdf.Extend works with.
func (a *Authorities) Services() pdf.Services {
	return pdf.Services{Timestamper: a, Revocation: a, Roots: a.Roots(), Now: a.now}
}

type algorithm struct{ Algorithm asn1.ObjectIdentifier }

type attributeValue struct {
	Type   asn1.ObjectIdentifier
	Values []asn1.RawValue `asn1:"set"`
}

// token makes a time-stamp token (RFC 3161, RFC 5816).
func (a *Authorities) token(digest []byte, serial int64) ([]byte, error) {
	sha := asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	type imprint struct {
		Hash   algorithm
		Digest []byte
	}
	info, err := asn1.Marshal(struct {
		Version int
		Policy  asn1.ObjectIdentifier
		Imprint imprint
		Serial  int64
		Time    time.Time `asn1:"generalized"`
	}{1, asn1.ObjectIdentifier{1, 2, 3, 4, 1}, imprint{algorithm{sha}, digest}, serial, a.now()})
	if err != nil {
		return nil, err
	}
	attrs, err := a.tokenAttributes(info)
	if err != nil {
		return nil, err
	}
	toSign := sha256.Sum256(append([]byte{0x31}, attrs[1:]...))
	signature, err := a.TSAKey.Sign(rand.Reader, toSign[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	type content struct {
		Type  asn1.ObjectIdentifier
		Value []byte `asn1:"explicit,tag:0"`
	}
	type issuerAndSerial struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}
	type signer struct {
		Version   int
		ID        issuerAndSerial
		Digest    algorithm
		Attrs     asn1.RawValue
		Algorithm algorithm
		Signature []byte
	}
	certs := [][]byte{a.TSA.Raw, a.Issuer.Raw}
	for _, c := range a.More {
		certs = append(certs, c.Raw)
	}
	slices.SortFunc(certs, bytes.Compare)
	return asn1.Marshal(struct {
		Type    asn1.ObjectIdentifier
		Content any `asn1:"explicit,tag:0"`
	}{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}, struct {
		Version int
		Digests []algorithm `asn1:"set"`
		Content content
		Certs   asn1.RawValue
		Signers []signer `asn1:"set"`
	}{3, []algorithm{{sha}}, content{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}, info},
		asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: slices.Concat(certs...)},
		[]signer{{1, issuerAndSerial{asn1.RawValue{FullBytes: a.TSA.RawIssuer}, a.TSA.SerialNumber}, algorithm{sha},
			asn1.RawValue{FullBytes: append([]byte{0xA0}, attrs[1:]...)}, algorithm{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}, signature}}}})
}

// tokenAttributes are the signed attributes as SET.
func (a *Authorities) tokenAttributes(info []byte) ([]byte, error) {
	content, certificate := sha256.Sum256(info), sha256.Sum256(a.TSA.Raw)
	type certID struct{ Hash []byte }
	type signingCertificate struct{ Certs []certID }
	var attrs []attributeValue
	for _, e := range []struct {
		oid   asn1.ObjectIdentifier
		value any
	}{
		{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}},
		{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}, content[:]},
		{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}, signingCertificate{[]certID{{certificate[:]}}}},
	} {
		der, err := asn1.Marshal(e.value)
		if err != nil {
			return nil, err
		}
		attrs = append(attrs, attributeValue{e.oid, []asn1.RawValue{{FullBytes: der}}})
	}
	return asn1.MarshalWithParams(attrs, "set") // sorted, as DER wants
}

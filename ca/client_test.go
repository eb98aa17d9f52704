package ca_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/internal/dialguard"
)

// abroad is another CA with its servers on this machine.
type abroad struct {
	url   string
	hits  atomic.Int64
	now   time.Time
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	leaf  *x509.Certificate
	serve http.HandlerFunc // for /ocsp and /crl
}

func newAbroad(t testing.TB) *abroad {
	t.Helper()
	// ocsp.CreateResponse says "produced now" by the clock of the machine.
	x := &abroad{now: time.Now().UTC().Truncate(time.Second)}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x.hits.Add(1)
		_, _ = io.Copy(io.Discard, r.Body) // or a client that hangs up is not noticed
		x.serve(w, r)
	}))
	t.Cleanup(s.Close)
	x.url = s.URL
	x.cert, x.key = x.issue(t, "Another CA", nil)
	x.leaf, _ = x.issue(t, "leaf", func(c *x509.Certificate) {
		c.OCSPServer = []string{"ldap://ldap.example", x.url + "/ocsp"}
		c.CRLDistributionPoints = []string{x.url + "/crl"}
	})
	return x
}

// issue makes a certificate under x, or x's own.
func (x *abroad) issue(t testing.TB, cn string, edit func(*x509.Certificate)) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	k := key(t)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(t, err)
	c := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: cn}, NotBefore: x.now.Add(-time.Hour), NotAfter: x.now.Add(24 * time.Hour), BasicConstraintsValid: true}
	parent, by := x.cert, x.key
	if edit != nil {
		edit(c)
	}
	if parent == nil {
		c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
		parent, by = c, k
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, k.Public(), by)
	must(t, err)
	c, err = x509.ParseCertificate(der)
	must(t, err)
	return c, k
}

func (x *abroad) clock() time.Time { return x.now }

func (x *abroad) client() *ca.Client {
	return ca.NewClient(dialguard.New(dialguard.Config{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Timeout: 20 * time.Second}), x.clock)
}

// send answers with a body of a type.
func send(contentType string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(body)
	}
}

// response makes an answer; the CA signs it itself unless by is given.
func (x *abroad) response(t testing.TB, edit func(*ocsp.Response), by *x509.Certificate, k *ecdsa.PrivateKey) []byte {
	t.Helper()
	r := ocsp.Response{Status: ocsp.Good, SerialNumber: x.leaf.SerialNumber, ThisUpdate: x.now.Add(-time.Minute), NextUpdate: x.now.Add(4 * time.Hour)}
	if by == nil {
		by, k = x.cert, x.key
	} else {
		r.Certificate = by
	}
	if edit != nil {
		edit(&r)
	}
	der, err := ocsp.CreateResponse(x.cert, by, r, k)
	must(t, err)
	return der
}

// Our own responder, asked over HTTP as another would be: with a nonce.
func TestClientAsksAResponder(t *testing.T) {
	var other *authority
	var hits atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		request, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Content-Type") != "application/ocsp-request" {
			t.Errorf("%v, %v", err, r.Header)
		}
		reply, _, err := other.OCSPReply(ctx, request)
		if err != nil {
			t.Error(err)
		}
		send("application/ocsp-response", reply)(w, r)
	}))
	defer s.Close()
	other = bootstrapped(t, func(p *ca.Profile) { p.PublicURL = s.URL })
	c, issuing := other.officer(t), other.Certificate(ca.Issuing)
	a := bootstrapped(t, nil)
	a.Others = ca.NewClient(dialguard.New(dialguard.Config{Hosts: []string{"127.0.0.1"}}), other.clock)
	der, crl, err := a.Revocation(ctx, c, issuing)
	must(t, err)
	if r, err := ocsp.ParseResponseForCert(der, c, issuing); err != nil || r.Status != ocsp.Good || crl != nil {
		t.Errorf("%+v, %v", r, err)
	}
	// Kept, for half of the hour it has.
	if again, _, err := a.Revocation(ctx, c, issuing); err != nil || !bytes.Equal(again, der) || hits.Load() != 1 {
		t.Errorf("asked again: %d requests, %v", hits.Load(), err)
	}
	// One that was asked for before a time is not for those who want it of then.
	since := other.now.Add(time.Second)
	if again, _, err := a.RevocationSince(ctx, c, issuing, other.now); err != nil || !bytes.Equal(again, der) || hits.Load() != 1 {
		t.Errorf("asked for then: %d requests, %v", hits.Load(), err)
	}
	other.now = since
	if again, _, err := a.RevocationSince(ctx, c, issuing, since); err != nil || bytes.Equal(again, der) || hits.Load() != 2 {
		t.Errorf("asked for before: %d requests, %v", hits.Load(), err)
	}
	hits.Store(1)
	must(t, other.Revoke(ctx, "test", c.SerialNumber.String(), 1))
	other.now = other.now.Add(31 * time.Minute)
	der, _, err = a.Revocation(ctx, c, issuing)
	must(t, err)
	if r, err := ocsp.ParseResponseForCert(der, c, issuing); err != nil || r.Status != ocsp.Revoked || hits.Load() != 2 {
		t.Errorf("%+v, %d requests, %v", r, hits.Load(), err)
	}
	// A certificate that the issuer did not issue sends nobody anywhere.
	if _, _, err := a.Revocation(ctx, c, a.Certificate(ca.TSA)); err == nil || hits.Load() != 2 {
		t.Errorf("another issuer: %v, %d requests", err, hits.Load())
	}
}

func TestClientJudgesOCSP(t *testing.T) {
	x := newAbroad(t)
	delegate := func(edit func(*x509.Certificate)) (*x509.Certificate, *ecdsa.PrivateKey) {
		return x.issue(t, "responder", func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
			if edit != nil {
				edit(c)
			}
		})
	}
	right, rightKey := delegate(nil)
	server, serverKey := delegate(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	late, lateKey := delegate(func(c *x509.Certificate) { c.NotAfter = x.now.Add(-time.Minute) })
	y := newAbroad(t)
	y.leaf = x.leaf
	foreign, foreignKey := y.issue(t, "responder", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning} })
	// About x's serial number under y's name, but signed by x: one key may serve two CAs.
	confused, err := ocsp.CreateResponse(y.cert, x.cert, ocsp.Response{SerialNumber: x.leaf.SerialNumber, ThisUpdate: x.now, NextUpdate: x.now.Add(time.Hour)}, x.key)
	must(t, err)
	set := func(f func(r *ocsp.Response)) []byte { return x.response(t, f, nil, nil) }
	for name, c := range map[string]struct {
		der  []byte
		good bool
	}{
		"by the CA":              {x.response(t, nil, nil, nil), true},
		"revoked":                {set(func(r *ocsp.Response) { r.Status, r.RevokedAt = ocsp.Revoked, x.now.Add(-time.Hour) }), true},
		"certID with SHA-256":    {set(func(r *ocsp.Response) { r.IssuerHash = crypto.SHA256 }), false},
		"by a responder":         {x.response(t, nil, right, rightKey), true},
		"by a server":            {x.response(t, nil, server, serverKey), false},
		"by one that ended":      {x.response(t, nil, late, lateKey), false},
		"by another's responder": {x.response(t, nil, foreign, foreignKey), false},
		"by another":             {y.response(t, nil, nil, nil), false},
		"of another issuer":      {confused, false},
		"unknown":                {set(func(r *ocsp.Response) { r.Status = ocsp.Unknown }), false},
		"other serial number":    {set(func(r *ocsp.Response) { r.SerialNumber = big.NewInt(9) }), false},
		"ended":                  {set(func(r *ocsp.Response) { r.ThisUpdate, r.NextUpdate = x.now.Add(-2*time.Hour), x.now }), false},
		"of the future":          {set(func(r *ocsp.Response) { r.ThisUpdate = x.now.Add(6 * time.Minute) }), false},
		"no end, new":            {set(func(r *ocsp.Response) { r.NextUpdate = time.Time{} }), true},
		"no end, old":            {set(func(r *ocsp.Response) { r.ThisUpdate, r.NextUpdate = x.now.Add(-time.Hour), time.Time{} }), false},
		"refusal":                {[]byte{0x30, 3, 10, 1, 6}, false},
		"empty":                  {nil, false},
		"text":                   {[]byte("<html>"), false},
		"cut":                    {x.response(t, nil, nil, nil)[:100], false},
		"too long":               {make([]byte, 65<<10), false},
		"changed":                {flip(x.response(t, nil, nil, nil)), false},
	} {
		x.serve = send("application/ocsp-response", c.der)
		der, err := x.client().OCSP(ctx, x.leaf, x.cert)
		if c.good != (err == nil) || c.good != (der != nil) || c.good && !bytes.Equal(der, c.der) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A nonce that is not ours: an answer made for somebody else.
	other := bootstrapped(t, func(p *ca.Profile) { p.PublicURL = x.url })
	officer := other.officer(t)
	old, _, err := other.OCSPReply(ctx, ocspQuery(t, octets(1, 2, 3, 4), about(t, crypto.SHA1, officer.SerialNumber, other.Certificate(ca.Issuing))))
	must(t, err)
	x.serve = send("application/ocsp-response", old)
	if _, err := ca.NewClient(dialguard.New(dialguard.Config{Hosts: []string{"127.0.0.1"}}), other.clock).OCSP(ctx, officer, other.Certificate(ca.Issuing)); !errors.Is(err, ca.ErrAnswer) {
		t.Errorf("an answer to another request: %v", err)
	}
	x.serve = send("text/html", x.response(t, nil, nil, nil))
	if _, err := x.client().OCSP(ctx, x.leaf, x.cert); !errors.Is(err, dialguard.ErrAnswer) {
		t.Errorf("another type: %v", err)
	}
}

func flip(der []byte) []byte { der[len(der)-20] ^= 1; return der }

// crl makes a list; the parts are its own and its one entry's extensions.
func (x *abroad) crl(t testing.TB, edit func(*x509.RevocationList)) []byte {
	t.Helper()
	l := &x509.RevocationList{Number: big.NewInt(3), ThisUpdate: x.now.Add(-time.Minute), NextUpdate: x.now.Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(5), RevocationTime: x.now}}}
	if edit != nil {
		edit(l)
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, x.cert, x.key)
	must(t, err)
	return der
}

func TestClientJudgesCRLs(t *testing.T) {
	x, y := newAbroad(t), newAbroad(t)
	idp := func(value ...byte) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: append([]byte{0x30, byte(len(value))}, value...)}}
		}
	}
	point := func(url string) func(*x509.RevocationList) {
		name := append([]byte{0x86, byte(len(url))}, url...)
		return idp(append([]byte{0xa0, byte(len(name) + 2), 0xa0, byte(len(name))}, name...)...)
	}
	for name, c := range map[string]struct {
		der  []byte
		good bool
	}{
		"plain":            {x.crl(t, nil), true},
		"of users":         {x.crl(t, idp(0x81, 1, 0xff)), true},
		"of CAs":           {x.crl(t, idp(0x82, 1, 0xff)), false},
		"of some reasons":  {x.crl(t, idp(0x83, 2, 6, 0x40)), false},
		"indirect":         {x.crl(t, idp(0x84, 1, 0xff)), false},
		"of attributes":    {x.crl(t, idp(0x85, 1, 0xff)), false},
		"of its point":     {x.crl(t, point(x.url+"/crl")), true},
		"of another point": {x.crl(t, point(x.url+"/crl2")), false},
		"unreadable point": {x.crl(t, idp(0x30)), false},
		"delta": {x.crl(t, func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}}
		}), false},
		"entry of another issuer": {x.crl(t, func(l *x509.RevocationList) {
			l.RevokedCertificateEntries[0].ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 29}, Critical: true, Value: []byte{0x30, 0}}}
		}), false},
		"ended":                      {x.crl(t, func(l *x509.RevocationList) { l.NextUpdate = x.now }), false},
		"of the future":              {x.crl(t, func(l *x509.RevocationList) { l.ThisUpdate = x.now.Add(6 * time.Minute) }), false},
		"another's of the same name": {y.crl(t, nil), false},
		"text":                       {[]byte("-----BEGIN X509 CRL-----"), false},
		"changed":                    {flip(x.crl(t, nil)), false},
		"too long":                   {make([]byte, 1<<20+1), false},
	} {
		x.serve = send("application/pkix-crl", c.der)
		der, err := x.client().CRL(ctx, x.leaf, x.cert)
		if c.good != (err == nil) || c.good != (der != nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// In place of OCSP that gives nothing.
	list := x.crl(t, nil)
	x.serve = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ocsp" {
			http.Error(w, "no", http.StatusBadGateway)
			return
		}
		send("application/pkix-crl", list)(w, r)
	}
	o, l, err := x.client().Revocation(ctx, x.leaf, x.cert)
	if err != nil || o != nil || !bytes.Equal(l, list) {
		t.Errorf("%x, %x, %v", o, l, err)
	}
	if _, _, err := x.client().Revocation(ctx, x.cert, x.cert); !errors.Is(err, ca.ErrUnknown) {
		t.Errorf("a certificate without addresses: %v", err)
	}
}

// A certificate may name our own machine; nobody goes there. A redirect leads
// nowhere, and a slow or endless server is left.
func TestClientGoesNowhereElse(t *testing.T) {
	x, inner := newAbroad(t), newAbroad(t)
	inner.serve = send("application/ocsp-response", inner.response(t, nil, nil, nil))
	x.serve = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, inner.url, http.StatusTemporaryRedirect)
	}
	if _, _, err := x.client().Revocation(ctx, x.leaf, x.cert); !errors.Is(err, dialguard.ErrAnswer) || inner.hits.Load() != 0 {
		t.Errorf("a redirect: %v, %d requests", err, inner.hits.Load())
	}
	x.hits.Store(0)
	if _, _, err := ca.NewClient(dialguard.New(dialguard.Config{}), x.clock).Revocation(ctx, x.leaf, x.cert); !errors.Is(err, dialguard.ErrAddress) || x.hits.Load() != 0 {
		t.Errorf("this machine: %v, %d requests", err, x.hits.Load())
	}
	many, _ := x.issue(t, "many", func(c *x509.Certificate) { c.OCSPServer = strings.Fields(strings.Repeat(x.url+"/ocsp ", 50)) })
	x.serve = func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusNotFound) }
	if _, err := x.client().OCSP(ctx, many, x.cert); err == nil || x.hits.Load() != 3 {
		t.Errorf("fifty addresses: %v, %d requests", err, x.hits.Load())
	}
	for name, h := range map[string]http.HandlerFunc{
		"silent": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"slow": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/ocsp-response")
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
	} {
		x := newAbroad(t)
		x.serve = h
		start := time.Now()
		c := ca.NewClient(dialguard.New(dialguard.Config{Hosts: []string{"127.0.0.1"}, Timeout: 200 * time.Millisecond}), x.clock)
		if _, err := c.OCSP(ctx, x.leaf, x.cert); err == nil || time.Since(start) > 10*time.Second {
			t.Errorf("%s: %v in %v", name, err, time.Since(start))
		}
	}
}

// Twenty who ask at once make one request; one who gives up spoils it for nobody.
func TestClientAsksOnce(t *testing.T) {
	x := newAbroad(t)
	der := x.response(t, nil, nil, nil)
	asked, goOn := make(chan struct{}), make(chan struct{})
	x.serve = func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-goOn
		send("application/ocsp-response", der)(w, r)
	}
	c := ca.NewClient(dialguard.New(dialguard.Config{Hosts: []string{"127.0.0.1"}, Timeout: time.Minute}), x.clock)
	impatient, giveUp := context.WithCancel(ctx)
	first := make(chan error, 1)
	go func() {
		_, err := c.OCSP(impatient, x.leaf, x.cert)
		first <- err
	}()
	<-asked
	giveUp()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the one who gave up: %v", err)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if got, err := c.OCSP(ctx, x.leaf, x.cert); err != nil || !bytes.Equal(got, der) {
				t.Error(err)
			}
		})
	}
	close(goOn)
	wg.Wait()
	if n := x.hits.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestRemoteTSA(t *testing.T) {
	other := bootstrapped(t, nil)
	edit := func(query, reply []byte) []byte { return reply }
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Content-Type") != "application/timestamp-query" {
			t.Errorf("%v, %v", err, r.Header)
		}
		reply, err := other.TimestampReply(ctx, q)
		if err != nil {
			t.Error(err)
		}
		send("application/timestamp-reply", edit(q, reply))(w, r)
	}))
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(other.Certificate(ca.Root))
	clock := other.now
	remote := &ca.RemoteTSA{URL: s.URL, HTTP: dialguard.New(dialguard.Config{Hosts: []string{"127.0.0.1"}}), Roots: roots, Now: func() time.Time { return clock }}
	digest := make([]byte, 48)
	token, err := remote.Timestamp(ctx, crypto.SHA384, digest)
	if err != nil || len(token) == 0 || len(token) > remote.TokenSize() {
		t.Fatal(len(token), err)
	}
	refused := func(name string, want error) {
		t.Helper()
		if token, err := remote.Timestamp(ctx, crypto.SHA384, digest); !errors.Is(err, want) || token != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	clock = other.now.Add(6 * time.Minute)
	refused("another time", ca.ErrAnswer)
	clock = other.now
	var kept []byte
	edit = func(_, reply []byte) []byte { kept = bytes.Clone(reply); return reply }
	_, err = remote.Timestamp(ctx, crypto.SHA384, digest)
	must(t, err)
	edit = func(_, _ []byte) []byte { return kept }
	refused("another's nonce", ca.ErrAnswer)
	edit = func(query, _ []byte) []byte {
		reply, err := other.TimestampReply(ctx, bytes.Replace(query, make([]byte, 48), bytes.Repeat([]byte{1}, 48), 1))
		if err != nil {
			t.Error(err)
		}
		return reply
	}
	refused("another digest", ca.ErrAnswer)
	edit = func(_, reply []byte) []byte { reply[len(reply)-3] ^= 1; return reply }
	refused("changed", ca.ErrAnswer)
	edit = func(query, _ []byte) []byte {
		query[4] = 2
		reply, _ := other.TimestampReply(ctx, query)
		return reply
	}
	refused("a rejection", ca.ErrAnswer)
	edit = func(_, _ []byte) []byte { return make([]byte, 65<<10) }
	refused("too long", dialguard.ErrAnswer)
	edit = func(_, reply []byte) []byte { return reply }
	remote.Size = 500
	refused("longer than there is room", ca.ErrAnswer)
	remote.Size, remote.Roots = 0, x509.NewCertPool()
	refused("of no root of ours", ca.ErrAnswer)
	remote.Roots, remote.HTTP = roots, dialguard.New(dialguard.Config{})
	refused("this machine", dialguard.ErrAddress)
}

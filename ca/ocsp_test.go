package ca_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"

	"github.com/mohor-sign/mohor/ca"
)

// answered parses an answer of ours and checks its signature.
func answered(t testing.TB, a *authority, der []byte) *ocsp.Response {
	t.Helper()
	r, err := ocsp.ParseResponse(der, a.Certificate(ca.Issuing))
	must(t, err)
	if r.Certificate == nil || !r.Certificate.Equal(a.Certificate(ca.Responder)) {
		t.Fatal("another responder's certificate is inside")
	}
	return r
}

// ocspQuery is an OCSPRequest with a nonce extension of that value, if any.
func ocspQuery(t testing.TB, nonce []byte, certs ...ocsp.Request) []byte {
	t.Helper()
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, c := range certs {
					der, err := c.Marshal()
					must(t, err)
					// OCSPRequest, TBSRequest, requestList: four octets of header less each.
					s := cryptobyte.String(der)
					for range 3 {
						if !s.ReadASN1(&s, cbasn1.SEQUENCE) {
							t.Fatal("reading request")
						}
					}
					b.AddBytes(s)
				}
			})
			if nonce != nil {
				b.AddASN1(cbasn1.Tag(2).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { addExtension(b, "1.3.6.1.5.5.7.48.1.2", false, nonce) })
				})
			}
		})
	})
	return b.BytesOrPanic()
}

func addExtension(b *cryptobyte.Builder, dotted string, critical bool, value []byte) {
	oid, err := x509.ParseOID(dotted)
	if err != nil {
		b.SetError(err)
		return
	}
	raw, _ := oid.MarshalBinary()
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes(raw) })
		if critical {
			b.AddASN1Boolean(true)
		}
		b.AddASN1OctetString(value)
	})
}

func octets(b ...byte) []byte {
	if len(b) > 127 {
		return append([]byte{4, 0x81, byte(len(b))}, b...)
	}
	return append([]byte{4, byte(len(b))}, b...)
}

// about asks about a serial number of issuer.
func about(t testing.TB, h crypto.Hash, serial *big.Int, issuer *x509.Certificate) ocsp.Request {
	t.Helper()
	der, err := ocsp.CreateRequest(&x509.Certificate{SerialNumber: serial}, issuer, &ocsp.RequestOptions{Hash: h})
	must(t, err)
	r, err := ocsp.ParseRequest(der)
	must(t, err)
	return *r
}

func TestOCSP(t *testing.T) {
	a := bootstrapped(t, nil)
	issuing := a.Certificate(ca.Issuing)
	one, two := a.officer(t), a.officer(t)
	der, err := a.OCSP(ctx, one, issuing)
	must(t, err)
	r := answered(t, a, der)
	now := a.now.UTC().Truncate(time.Second)
	if r.Status != ocsp.Good || r.SerialNumber.Cmp(one.SerialNumber) != 0 || !r.ThisUpdate.Equal(now) || !r.ProducedAt.Equal(now) || !r.NextUpdate.Equal(now.Add(time.Hour)) || r.IssuerHash != crypto.SHA1 {
		t.Errorf("answer %+v", r)
	}
	// Kept for half of its time.
	signs := 0
	a.keys.OnAuthority = func(name string) error { signs++; return nil }
	a.now = a.now.Add(29 * time.Minute)
	if again, err := a.OCSP(ctx, one, issuing); err != nil || !bytes.Equal(again, der) || signs != 0 {
		t.Errorf("after 29 minutes: the same %v, %d signatures, %v", bytes.Equal(again, der), signs, err)
	}
	a.now = a.now.Add(time.Minute)
	if again, err := a.OCSP(ctx, one, issuing); err != nil || bytes.Equal(again, der) || signs != 1 {
		t.Errorf("after 30 minutes: the same %v, %d signatures, %v", bytes.Equal(again, der), signs, err)
	}
	// Nor does one do that was made before the time it is wanted of.
	signs = 0
	der, _, err = a.RevocationSince(ctx, one, issuing, a.now.Truncate(time.Second))
	must(t, err)
	a.now = a.now.Add(time.Second)
	again, _, err := a.RevocationSince(ctx, one, issuing, a.now.Truncate(time.Second))
	if r := answered(t, a, again); err != nil || bytes.Equal(again, der) || signs != 1 || r.ThisUpdate.Before(a.now.Truncate(time.Second)) {
		t.Errorf("of a second later: %d signatures, %v", signs, err)
	}
	if same, _, err := a.RevocationSince(ctx, one, issuing, a.now.Truncate(time.Second)); err != nil || !bytes.Equal(same, again) || signs != 1 {
		t.Errorf("of the same second: %d signatures, %v", signs, err)
	}
	// A revocation shows at once, whoever made it; the other's answer stays.
	_, err = a.OCSP(ctx, two, issuing)
	must(t, err)
	b, err := ca.Load(ctx, a.shape, a.keys, a.db, a.clock)
	must(t, err)
	must(t, b.Revoke(ctx, "test", one.SerialNumber.String(), 4))
	der, err = a.OCSP(ctx, one, issuing)
	must(t, err)
	if r := answered(t, a, der); r.Status != ocsp.Revoked || !r.RevokedAt.Equal(a.now.UTC().Truncate(time.Second)) || r.RevocationReason != 4 {
		t.Errorf("answer %+v", r)
	}
	signs = 0
	if der, err := a.OCSP(ctx, two, issuing); err != nil || signs != 0 || answered(t, a, der).Status != ocsp.Good {
		t.Errorf("the other: %d signatures, %v", signs, err)
	}
	// What is not ours to answer for.
	stranger := bootstrapped(t, nil)
	for name, pair := range map[string][2]*x509.Certificate{
		"the issuing CA":           {issuing, a.Certificate(ca.Root)},
		"another's issuer":         {stranger.officer(t), stranger.Certificate(ca.Issuing)},
		"another's, called ours":   {stranger.officer(t), issuing},
		"the root":                 {a.Certificate(ca.Root), a.Certificate(ca.Root)},
		"the root, called issuing": {a.Certificate(ca.Root), issuing},
	} {
		if _, err := a.OCSP(ctx, pair[0], pair[1]); !errors.Is(err, ca.ErrUnknown) {
			t.Errorf("%s: %v", name, err)
		}
	}
	a.keys.OnAuthority = func(string) error { return errDead }
	a.now = a.now.Add(time.Hour)
	if _, err := a.OCSP(ctx, two, issuing); !errors.Is(err, errDead) {
		t.Errorf("a dead token: %v", err)
	}
}

// Those who ask at once for the same wait for one signature.
func TestOCSPAtOnce(t *testing.T) {
	a := bootstrapped(t, nil)
	c := a.officer(t)
	var signs atomic.Int64
	signing, goOn := make(chan struct{}), make(chan struct{})
	a.keys.OnAuthority = func(string) error {
		if signs.Add(1) == 1 {
			close(signing)
			<-goOn
		}
		return nil
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := a.OCSP(ctx, c, a.Certificate(ca.Issuing)); err != nil {
				t.Error(err)
			}
		})
	}
	<-signing
	close(goOn)
	wg.Wait()
	if n := signs.Load(); n != 1 {
		t.Errorf("%d signatures", n)
	}
}

func TestOCSPReplies(t *testing.T) {
	a := bootstrapped(t, nil)
	issuing, c := a.Certificate(ca.Issuing), a.officer(t)
	ask := func(der []byte) (int, []byte) {
		t.Helper()
		reply, _, err := a.OCSPReply(ctx, der)
		must(t, err)
		if len(reply) < 5 {
			t.Fatalf("reply %x", reply)
		}
		var outer struct {
			Status asn1.Enumerated
			Rest   asn1.RawValue `asn1:"optional,explicit,tag:0"`
		}
		if rest, err := asn1.Unmarshal(reply, &outer); err != nil || len(rest) != 0 {
			t.Fatal(err)
		}
		return int(outer.Status), reply
	}
	known := about(t, crypto.SHA1, c.SerialNumber, issuing)
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		status, reply := ask(ocspQuery(t, nil, about(t, h, c.SerialNumber, issuing)))
		if status != 0 {
			t.Errorf("%v: status %d", h, status)
			continue
		}
		if r := answered(t, a, reply); r.Status != ocsp.Good || r.IssuerHash != h {
			t.Errorf("%v: %+v", h, r)
		}
	}
	// Unknown: never issued, or only reserved.
	_, err := a.IssueOfficer(ctx, "test", ca.Officer{IC: ic, Name: name, Credential: "cr_2"}, nil)
	if err == nil {
		t.Fatal("a certificate without a key")
	}
	a.keys.OnAuthority = func(string) error { return errDead }
	_, err = a.IssueOfficer(ctx, "test", ca.Officer{IC: ic, Name: name, Credential: "cr_2"}, key(t).Public())
	a.keys.OnAuthority = nil
	left := reserved(t, a)
	if !errors.Is(err, errDead) || len(left) != 1 {
		t.Fatal(err, left)
	}
	n, _ := new(big.Int).SetString(left[0], 10)
	for _, serial := range []*big.Int{big.NewInt(7), big.NewInt(-7), n, a.Certificate(ca.Root).SerialNumber, issuing.SerialNumber} {
		status, reply := ask(ocspQuery(t, nil, about(t, crypto.SHA1, serial, issuing)))
		if status != 0 || answered(t, a, reply).Status != ocsp.Unknown {
			t.Errorf("%v: status %d", serial, status)
		}
	}
	other := bootstrapped(t, nil).Certificate(ca.Issuing)
	many := make([]ocsp.Request, 17)
	for k := range many {
		many[k] = known
	}
	unheard := known
	unheard.IssuerKeyHash = make([]byte, 20)
	for name, x := range map[string]struct {
		der  []byte
		want int
	}{
		"of the root":        {ocspQuery(t, nil, about(t, crypto.SHA1, issuing.SerialNumber, a.Certificate(ca.Root))), 6},
		"of another CA":      {ocspQuery(t, nil, about(t, crypto.SHA256, c.SerialNumber, other)), 6},
		"one of another CA":  {ocspQuery(t, nil, known, about(t, crypto.SHA1, c.SerialNumber, other)), 6},
		"another key":        {ocspQuery(t, nil, unheard), 6},
		"none":               {ocspQuery(t, nil), 1},
		"sixteen":            {ocspQuery(t, nil, many[:16]...), 0},
		"seventeen":          {ocspQuery(t, nil, many...), 1},
		"empty nonce":        {ocspQuery(t, octets(), known), 1},
		"long nonce":         {ocspQuery(t, octets(make([]byte, 129)...), known), 1},
		"bare nonce":         {ocspQuery(t, []byte{1, 2, 3, 4}, known), 1},
		"empty":              {nil, 1},
		"text":               {[]byte("hello"), 1},
		"trailing":           {append(ocspQuery(t, nil, known), 0), 1},
		"too long":           {make([]byte, ca.MaxOCSPRequest+1), 1},
		"critical extension": {bytes.Replace(ocspQuery(t, octets(1, 2, 3, 4, 5, 6, 7), known), []byte{0x2b, 6, 1, 5, 5, 7, 0x30, 1, 2, 4, 9, 4, 7}, []byte{0x2b, 6, 1, 5, 5, 7, 0x30, 1, 9, 1, 1, 0xff, 4}, 1), 1},
	} {
		if got, reply := ask(x.der); got != x.want {
			t.Errorf("%s: status %d, want %d (%x)", name, got, x.want, reply)
		}
	}
	// Several are answered together, in their order.
	two := a.officer(t)
	must(t, a.Revoke(ctx, "test", two.SerialNumber.String(), 1))
	_, reply := ask(ocspQuery(t, nil, known, about(t, crypto.SHA256, two.SerialNumber, issuing)))
	for c, want := range map[*x509.Certificate]int{c: ocsp.Good, two: ocsp.Revoked} {
		if r, err := ocsp.ParseResponseForCert(reply, c, issuing); err != nil || r.Status != want {
			t.Errorf("%v, %v", r, err)
		}
	}
	// Nonces of 1 to 128 octets (RFC 9654) come back, and such answers are not kept.
	for _, n := range []int{1, 32, 33, 127, 128} {
		nonce := octets(bytes.Repeat([]byte{0xa5}, n)...)
		before := ocspQuery(t, nonce, known)
		_, reply := ask(before)
		length := []byte{byte(len(nonce))}
		if len(nonce) > 127 {
			length = []byte{0x81, byte(len(nonce))}
		}
		if answered(t, a, reply); !bytes.Contains(reply, slices.Concat([]byte{0x2b, 6, 1, 5, 5, 7, 0x30, 1, 2, 4}, length, nonce)) {
			t.Errorf("a nonce of %d octets does not come back", n)
		}
		_, fresh, err := a.OCSPReply(ctx, before)
		if err != nil || fresh != (ca.Freshness{}) {
			t.Errorf("an answer with a nonce may be kept %v, %v", fresh, err)
		}
	}
	for now := a.now.UTC().Truncate(time.Second); a.now.Before(now.Add(time.Minute)); a.now = a.now.Add(20 * time.Second) {
		if _, fresh, err := a.OCSPReply(ctx, ocspQuery(t, nil, known)); err != nil || !fresh.ThisUpdate.Equal(now) || !fresh.Until.Equal(now.Add(30*time.Minute)) {
			t.Errorf("an answer without a nonce may be kept %v, %v", fresh, err)
		}
	}
	a.keys.OnAuthority = func(string) error { return errDead }
	if reply, _, err := a.OCSPReply(ctx, ocspQuery(t, octets(1), known)); !errors.Is(err, errDead) || !bytes.Equal(reply, []byte{0x30, 3, 10, 1, 2}) {
		t.Errorf("a dead token: %x, %v", reply, err)
	}
	a.keys.OnAuthority = nil
	der := ocspQuery(t, octets(1, 2, 3), known)
	for n := range der {
		for _, bit := range []byte{1, 0x80} {
			bad := bytes.Clone(der)
			bad[n] ^= bit
			if _, _, err := a.OCSPReply(ctx, bad); err != nil {
				t.Errorf("changed at %d: %v", n, err)
			}
		}
	}
}

// OpenSSL asks and judges: good, revoked with time and reason, unknown.
func TestOpenSSLAsksOCSP(t *testing.T) {
	a := current(t)
	f := files{t, t.TempDir()}
	root, issuing := f.pem("root.pem", a.Certificate(ca.Root)), f.pem("issuing.pem", a.Certificate(ca.Issuing))
	good, bad := a.officer(t), a.officer(t)
	must(t, a.Revoke(ctx, "test", bad.SerialNumber.String(), 1))
	judge := func(hash string, nonce string, args ...string) string {
		t.Helper()
		q := filepath.Join(f.dir, "q.der")
		args = append([]string{"ocsp", hash, "-issuer", issuing}, args...)
		if out, err := run(t, "openssl", append(args, nonce, "-reqout", q)...); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		der, err := os.ReadFile(q)
		must(t, err)
		reply, _, err := a.OCSPReply(ctx, der)
		must(t, err)
		out, err := run(t, "openssl", append(args, "-no_nonce", "-reqin", q, "-respin", f.der("r.der", reply), "-CAfile", root, "-verify_other", issuing)...)
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return out
	}
	for _, hash := range []string{"-sha1", "-sha256"} {
		for _, nonce := range []string{"-nonce", "-no_nonce"} {
			out := judge(hash, nonce, "-cert", f.pem("good.pem", good), "-cert", f.pem("bad.pem", bad), "-serial", "12345")
			for _, want := range []string{"Response verify OK", "good.pem: good", "bad.pem: revoked", "Reason: keyCompromise", "12345: unknown", "Revocation Time: " + a.now.UTC().Format("Jan")} {
				if !strings.Contains(out, want) {
					t.Errorf("%s %s: no %q in\n%s", hash, nonce, want, out)
				}
			}
			for _, not := range []string{"WARNING", "rror"} {
				if strings.Contains(out, not) {
					t.Errorf("%s %s:\n%s", hash, nonce, out)
				}
			}
		}
	}
	// In process, without a request.
	der, err := a.OCSP(ctx, good, a.Certificate(ca.Issuing))
	must(t, err)
	out, err := run(t, "openssl", "ocsp", "-issuer", issuing, "-cert", filepath.Join(f.dir, "good.pem"), "-respin", f.der("r.der", der), "-CAfile", root)
	if err != nil || !strings.Contains(out, "Response verify OK") || !strings.Contains(out, "good.pem: good") {
		t.Errorf("%v\n%s", err, out)
	}
}

// A chain has OCSP for the leaf, and a CRL for the issuing CA.
func TestRevocation(t *testing.T) {
	a := bootstrapped(t, nil)
	root, issuing := a.Certificate(ca.Root), a.Certificate(ca.Issuing)
	for _, c := range []*x509.Certificate{a.officer(t), a.Certificate(ca.TSA), a.Certificate(ca.Responder)} {
		der, crl, err := a.Revocation(ctx, c, issuing)
		must(t, err)
		if r := answered(t, a, der); crl != nil || r.SerialNumber.Cmp(c.SerialNumber) != 0 || r.Status != ocsp.Good {
			t.Errorf("%s: %+v", c.Subject, r)
		}
	}
	der, crl, err := a.Revocation(ctx, issuing, root)
	must(t, err)
	l, err := x509.ParseRevocationList(crl)
	must(t, err)
	if der != nil || l.CheckSignatureFrom(root) != nil {
		t.Error("the issuing CA's list")
	}
	other := bootstrapped(t, nil)
	for name, pair := range map[string][2]*x509.Certificate{"the root": {root, root}, "another's": {other.officer(t), other.Certificate(ca.Issuing)}} {
		if o, l, err := a.Revocation(ctx, pair[0], pair[1]); !errors.Is(err, ca.ErrUnknown) || o != nil || l != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func BenchmarkOCSP(b *testing.B) {
	a := bootstrapped(b, nil)
	c, issuing := a.officer(b), a.Certificate(ca.Issuing)
	for _, nonce := range [][]byte{nil, octets(1, 2, 3, 4)} {
		q := ocspQuery(b, nonce, about(b, crypto.SHA1, c.SerialNumber, issuing))
		b.Run(fmt.Sprintf("nonce=%v", nonce != nil), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := a.OCSPReply(ctx, q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

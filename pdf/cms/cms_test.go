package cms_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
)

func TestRoundTrip(t *testing.T) {
	for _, alg := range []cms.Algorithm{cms.RSAPKCS1, cms.RSAPSS, cms.ECDSA} {
		for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
			t.Run(fmt.Sprint(alg, h), func(t *testing.T) {
				p := pdftest.New(t, alg, h, nil)
				digest := bytes.Repeat([]byte{0xA5}, h.Size())
				der := p.CMS(t, digest)
				if n := p.Builder(t).Size(); len(der) > n || len(der) < n-160 {
					t.Errorf("Size says %d, CMS has %d bytes", n, len(der))
				}
				sd, err := cms.Parse(der)
				if err != nil {
					t.Fatal(err)
				}
				if sd.Algorithm != alg || sd.Hash != h || !sd.Certificate.Equal(p.Signer) || len(sd.Others) != 1 || sd.HasSigningTime || sd.HasUnsigned {
					t.Errorf("%+v", sd)
				}
				if err := sd.Verify(digest); err != nil {
					t.Error(err)
				}
				digest[3] ^= 1
				if err := sd.Verify(digest); !errors.Is(err, cms.ErrDigest) {
					t.Errorf("other digest: %v", err)
				}
			})
		}
	}
}

func TestSignedAttributesAreDeterministic(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	a, err1 := p.Builder(t).SignedAttributes(make([]byte, 32))
	b, err2 := p.Builder(t).SignedAttributes(make([]byte, 32))
	if err1 != nil || err2 != nil || !bytes.Equal(a, b) || a[0] != 0x31 {
		t.Errorf("%v %v\n%x\n%x", err1, err2, a, b)
	}
	if _, err := p.Builder(t).SignedAttributes(make([]byte, 20)); err == nil {
		t.Error("digest of 20 bytes accepted")
	}
}

func TestAssembleRefusesWrongSignature(t *testing.T) {
	p := pdftest.New(t, cms.RSAPKCS1, crypto.SHA256, nil)
	b := p.Builder(t)
	attrs, err := b.SignedAttributes(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Assemble(attrs, make([]byte, 256)); !errors.Is(err, cms.ErrSignature) {
		t.Errorf("got %v", err)
	}
}

// Of a signature that was verified, all but its number is compared again.
func TestAssembleVerifiedComparesWhatItMade(t *testing.T) {
	for _, alg := range []cms.Algorithm{cms.RSAPKCS1, cms.RSAPSS, cms.ECDSA} {
		p := pdftest.New(t, alg, crypto.SHA256, nil)
		b, digest := p.Builder(t), bytes.Repeat([]byte{7}, 32)
		attrs, err := b.SignedAttributes(digest)
		if err != nil {
			t.Fatal(err)
		}
		opts := crypto.SignerOpts(crypto.SHA256)
		if alg == cms.RSAPSS {
			opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
		}
		sig, err := p.Key.Sign(rand.Reader, sum(crypto.SHA256, attrs), opts)
		if err != nil {
			t.Fatal(err)
		}
		der, err := b.AssembleVerified(attrs, sig, digest)
		if err != nil {
			t.Fatal(err)
		}
		if sd, err := cms.Parse(der); err != nil || sd.Verify(digest) != nil {
			t.Errorf("%v: %v", alg, err)
		}
		if _, err := b.AssembleVerified(attrs, sig, make([]byte, 32)); !errors.Is(err, cms.ErrDigest) {
			t.Errorf("%v, another digest: %v", alg, err)
		}
		if _, err := b.AssembleVerified(attrs[:len(attrs)-1], sig, digest); err == nil {
			t.Errorf("%v: cut attributes accepted", alg)
		}
		twin := *p
		template := *p.Signer
		template.NotAfter = template.NotAfter.Add(-1e9)
		twin.Signer = pdftest.Issue(t, &template, p.Issuer, p.Key, p.IssuerKey)
		if _, err := twin.Builder(t).AssembleVerified(attrs, sig, digest); !errors.Is(err, cms.ErrSigningCertificate) {
			t.Errorf("%v, the attributes of another certificate: %v", alg, err)
		}
	}
}

func BenchmarkAssemble(b *testing.B) {
	p := pdftest.New(b, cms.ECDSA, crypto.SHA256, nil)
	builder, digest := p.Builder(b), make([]byte, 32)
	attrs, err := builder.SignedAttributes(digest)
	if err != nil {
		b.Fatal(err)
	}
	sig, err := p.Key.Sign(rand.Reader, sum(crypto.SHA256, attrs), crypto.SHA256)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("and verify", func(b *testing.B) {
		for b.Loop() {
			if _, err := builder.Assemble(attrs, sig); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("verified before", func(b *testing.B) {
		for b.Loop() {
			if _, err := builder.AssembleVerified(attrs, sig, digest); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func TestKeysThatDoNotFitAreRefused(t *testing.T) {
	rsaPKI := pdftest.New(t, cms.RSAPSS, crypto.SHA256, nil)
	ecPKI := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak := &x509.Certificate{PublicKey: &p224.PublicKey}
	short := &x509.Certificate{PublicKey: &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}}
	for name, c := range map[string]struct {
		cert *x509.Certificate
		alg  cms.Algorithm
	}{
		"RSA key, ECDSA":    {rsaPKI.Signer, cms.ECDSA},
		"EC key, RSA":       {ecPKI.Signer, cms.RSAPKCS1},
		"EC key, PSS":       {ecPKI.Signer, cms.RSAPSS},
		"P-224":             {weak, cms.ECDSA},
		"RSA-1024":          {short, cms.RSAPKCS1},
		"unknown algorithm": {rsaPKI.Signer, "RSA"},
	} {
		if _, err := cms.New(c.cert, nil, crypto.SHA256, c.alg); !errors.Is(err, cms.ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := cms.New(ecPKI.Signer, nil, crypto.SHA1, cms.ECDSA); err == nil {
		t.Error("SHA-1 accepted")
	}
}

// TestSigningCertificateMustMatch: another certificate of the same name,
// serial number and key does not do.
func TestSigningCertificateMustMatch(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	twin := *p
	template := *p.Signer
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.NotAfter = template.NotAfter.Add(-1e9)
	twin.Signer = pdftest.Issue(t, &template, p.Issuer, p.Key, p.IssuerKey)
	digest := make([]byte, 32)
	attrs, err := p.Builder(t).SignedAttributes(digest)
	if err != nil {
		t.Fatal(err)
	}
	h := crypto.SHA256.New()
	h.Write(attrs)
	sig, err := p.Key.Sign(rand.Reader, h.Sum(nil), crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	der, err := twin.Builder(t).Assemble(attrs, sig)
	if err != nil {
		t.Fatal(err)
	}
	sd, err := cms.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	if err := sd.Verify(digest); !errors.Is(err, cms.ErrSigningCertificate) {
		t.Errorf("got %v", err)
	}
}

func TestVerifyRaw(t *testing.T) {
	digest := bytes.Repeat([]byte{9}, 32)
	for _, alg := range []cms.Algorithm{cms.RSAPKCS1, cms.RSAPSS, cms.ECDSA} {
		p := pdftest.New(t, alg, crypto.SHA256, nil)
		var opts crypto.SignerOpts = crypto.SHA256
		if alg == cms.RSAPSS {
			opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
		}
		sig, err := p.Key.Sign(rand.Reader, digest, opts)
		if err != nil {
			t.Fatal(err)
		}
		if err := cms.VerifyRaw(p.Signer, alg, digest, sig); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
		other := bytes.Repeat([]byte{8}, 32)
		for name, err := range map[string]error{
			"digest": cms.VerifyRaw(p.Signer, alg, other, sig),
			"length": cms.VerifyRaw(p.Signer, alg, digest[:20], sig),
			"cut":    cms.VerifyRaw(p.Signer, alg, digest, sig[:len(sig)-1]),
			"empty":  cms.VerifyRaw(p.Signer, alg, digest, nil),
		} {
			if !errors.Is(err, cms.ErrSignature) {
				t.Errorf("%s, %s: %v", alg, name, err)
			}
		}
	}
}

func TestParseIsStrict(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	der := p.CMS(t, make([]byte, 32))
	for name, b := range map[string][]byte{
		"nothing": nil, "trailing": append(bytes.Clone(der), 0), "cut": der[:len(der)-1],
		"large": make([]byte, cms.MaxSize+1), "certificate": p.Signer.Raw,
	} {
		if _, err := cms.Parse(b); !errors.Is(err, cms.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// No byte of it can change and still be believed, but for the embedded
	// issuer, which the path check covers.
	at := bytes.Index(der, p.Issuer.Raw)
	for i := range der {
		if i >= at && i < at+len(p.Issuer.Raw) {
			continue
		}
		der[i] ^= 1
		sd, err := cms.Parse(der)
		if err == nil {
			err = sd.Verify(make([]byte, 32))
		}
		if err == nil {
			t.Errorf("byte %d of %d flipped: accepted", i, len(der))
		}
		der[i] ^= 1
	}
}

func FuzzCMSParse(f *testing.F) {
	for _, alg := range []cms.Algorithm{cms.RSAPSS, cms.ECDSA} {
		p := pdftest.New(f, alg, crypto.SHA384, nil)
		f.Add(p.CMS(f, make([]byte, 48)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		sd, err := cms.Parse(b)
		if err != nil {
			if !errors.Is(err, cms.ErrMalformed) && !errors.Is(err, cms.ErrAlgorithm) {
				t.Errorf("untyped error: %v", err)
			}
			return
		}
		if sd.Certificate == nil || len(sd.MessageDigest) != sd.Hash.Size() {
			t.Errorf("half parsed: %+v", sd)
		}
		_ = sd.Verify(sd.MessageDigest)
	})
}

// CAdES says the time itself; the rest is the same, and Size still holds.
func TestSigningTime(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA384, nil)
	digest := bytes.Repeat([]byte{0xA5}, 48)
	for _, at := range []time.Time{time.Date(2026, 1, 31, 8, 0, 0, 5e8, time.FixedZone("MYT", 8*3600)), time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC)} {
		b, err := p.Builder(t).WithSigningTime(at)
		if err != nil {
			t.Fatal(err)
		}
		attrs, err := b.SignedAttributes(digest)
		if err != nil {
			t.Fatal(err)
		}
		h := crypto.SHA384.New()
		h.Write(attrs)
		sig, err := p.Key.Sign(rand.Reader, h.Sum(nil), crypto.SHA384)
		if err != nil {
			t.Fatal(err)
		}
		der, err := b.Assemble(attrs, sig)
		if err != nil || len(der) > b.Size() || b.Size() <= p.Builder(t).Size() || b.SizeWith(1000) < len(der)+1000 {
			t.Fatalf("%d of %d bytes, %d with a time-stamp: %v", len(der), b.Size(), b.SizeWith(1000), err)
		}
		sd, err := cms.Parse(der)
		if err != nil {
			t.Fatal(err)
		}
		if err := sd.Verify(digest); err != nil || !sd.HasSigningTime || !sd.SigningTime.Equal(at.Truncate(time.Second)) {
			t.Errorf("%v, %v for %v", err, sd.SigningTime, at)
		}
	}
	if _, err := p.Builder(t).WithSigningTime(time.Time{}); err == nil {
		t.Error("the year 1 is a signing time")
	}
}

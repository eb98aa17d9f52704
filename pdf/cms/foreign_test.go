package cms_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
)

// protection is the attribute of RFC 6211.
func protection(digestAlg, sigAlg []byte) []byte {
	return attr([]int{1, 2, 840, 113549, 1, 9, 52}, seq(digestAlg, append([]byte{0xA1}, sigAlg[1:]...)))
}

// pssParams writes RSASSA-PSS-params of SHA-256 hash, an MGF1 hash and a salt.
func pssParams(hash, mgf asn1.ObjectIdentifier, salt int64, more ...[]byte) []byte {
	return seq(oid(oidPSS), seq(append([][]byte{
		wrap(0xA0, seq(oid(hash))), wrap(0xA1, seq(oid(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}), seq(oid(mgf)))), wrap(0xA2, integer(salt)),
	}, more...)...))
}

// TestForeignSignatures goes through what other signers write.
func TestForeignSignatures(t *testing.T) {
	p, ec := pdftest.New(t, cms.RSAPKCS1, crypto.SHA256, nil), pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	digest := bytes.Repeat([]byte{6}, 32)
	v1, v2 := certV1(p.Signer), certV2(p.Signer)
	sha256ID, sha1ID, rsaID := seq(oid(oidSHA256)), seq(oid(oidSHA1), []byte{5, 0}), seq(oid(oidRSA), []byte{5, 0})
	sha1 := func(f foreign) foreign {
		f.hash, f.digestAlg, f.digest = crypto.SHA1, sha1ID, digest[:20]
		return f
	}
	pss := func(salt int, alg []byte) foreign {
		return foreign{digest: digest, signed: [][]byte{v2}, sigAlg: alg, pss: &rsa.PSSOptions{SaltLength: salt, Hash: crypto.SHA256}}
	}
	for name, c := range map[string]struct {
		f     foreign
		parse error
		check error
	}{
		"plain":                     {f: foreign{digest: digest, signed: [][]byte{v2}}},
		"certificate not named":     {f: foreign{digest: digest}, check: cms.ErrSigningCertificateMissing},
		"v1":                        {f: foreign{digest: digest, signed: [][]byte{v1}}, check: cms.ErrSigningCertificateMissing},
		"v1 of another":             {f: foreign{digest: digest, signed: [][]byte{certV1(p.Root), v2}}, check: cms.ErrSigningCertificate},
		"v2 of another":             {f: foreign{digest: digest, signed: [][]byte{certV2(p.Root)}}, check: cms.ErrSigningCertificate},
		"attributes out of order":   {f: foreign{digest: digest, signed: [][]byte{v2}, unsorted: true}, parse: cms.ErrMalformed},
		"attribute twice":           {f: foreign{digest: digest, signed: [][]byte{v2, certV2(p.Root)}}, parse: cms.ErrMalformed},
		"certificate twice":         {f: foreign{digest: digest, signed: [][]byte{v2}, certs: [][]byte{p.Signer.Raw, p.Signer.Raw}}},
		"attribute certificate":     {f: foreign{digest: digest, signed: [][]byte{v2}, certs: [][]byte{p.Signer.Raw, wrap(0xA2, integer(1))}}},
		"certificate unreadable":    {f: foreign{digest: digest, signed: [][]byte{v2}, certs: [][]byte{p.Signer.Raw, seq(integer(1))}}},
		"no certificate":            {f: foreign{digest: digest, signed: [][]byte{v2}, certs: [][]byte{}}, parse: cms.ErrCertificateMissing},
		"SHA-1":                     {f: sha1(foreign{signed: [][]byte{v2}}), check: cms.ErrAlgorithm},
		"SHA-1, sha1WithRSA":        {f: sha1(foreign{signed: [][]byte{v2}, sigAlg: seq(oid(oidSHA1RSA), []byte{5, 0})}), check: cms.ErrAlgorithm},
		"MD5":                       {f: foreign{digest: digest[:16], hash: crypto.MD5, digestAlg: seq(oid(oidMD5), []byte{5, 0}), signed: [][]byte{v2}}, check: cms.ErrAlgorithm},
		"digest of another hash":    {f: foreign{digest: digest, signed: [][]byte{v2}, sigAlg: seq(oid(oidSHA1RSA), []byte{5, 0})}, parse: cms.ErrMalformed},
		"unknown digest":            {f: foreign{digest: digest, hash: crypto.SHA256, digestAlg: seq(oid(asn1.ObjectIdentifier{1, 2, 3})), signed: [][]byte{v2}}, parse: cms.ErrAlgorithm},
		"Ed25519":                   {f: foreign{digest: digest, signed: [][]byte{v2}, sigAlg: seq(oid(oidEd25519))}, parse: cms.ErrAlgorithm},
		"PSS":                       {f: pss(32, pssParams(oidSHA256, oidSHA256, 32))},
		"PSS, other salt":           {f: pss(20, pssParams(oidSHA256, oidSHA256, 20))},
		"PSS, no salt":              {f: pss(0, pssParams(oidSHA256, oidSHA256, 0)), parse: cms.ErrAlgorithm},
		"PSS, trailer":              {f: pss(32, pssParams(oidSHA256, oidSHA256, 32, wrap(0xA3, integer(1))))},
		"PSS, other trailer":        {f: pss(32, pssParams(oidSHA256, oidSHA256, 32, wrap(0xA3, integer(2)))), parse: cms.ErrMalformed},
		"PSS, salt not as said":     {f: pss(32, pssParams(oidSHA256, oidSHA256, 20)), check: cms.ErrSignature},
		"PSS, other MGF1":           {f: pss(32, pssParams(oidSHA256, oidSHA1, 32)), parse: cms.ErrAlgorithm},
		"PSS, other hash":           {f: pss(32, pssParams(oidSHA1, oidSHA256, 32)), parse: cms.ErrMalformed},
		"PSS, defaults, SHA-256":    {f: pss(32, seq(oid(oidPSS), seq())), parse: cms.ErrMalformed},
		"PSS, defaults, SHA-1":      {f: sha1(foreign{signed: [][]byte{v2}, sigAlg: seq(oid(oidPSS), seq()), pss: &rsa.PSSOptions{SaltLength: 20, Hash: crypto.SHA1}}), check: cms.ErrAlgorithm},
		"protected":                 {f: foreign{digest: digest, signed: [][]byte{v2, protection(sha256ID, rsaID)}}},
		"protected, NULL or absent": {f: foreign{digest: digest, signed: [][]byte{v2, protection(seq(oid(oidSHA256), []byte{5, 0}), seq(oid(oidRSA)))}}},
		"other digest protected":    {f: foreign{digest: digest, signed: [][]byte{v2, protection(sha1ID, rsaID)}}, parse: cms.ErrMalformed},
		"other signature protected": {f: foreign{digest: digest, signed: [][]byte{v2, protection(sha256ID, seq(oid(oidEd25519)))}}, parse: cms.ErrMalformed},
		"MAC protected":             {f: foreign{digest: digest, signed: [][]byte{v2, attr([]int{1, 2, 840, 113549, 1, 9, 52}, seq(sha256ID, wrap(0xA2, oid(oidRSA))))}}, parse: cms.ErrMalformed},
	} {
		sd, err := cms.Parse(c.f.der(t, p))
		if !errors.Is(err, c.parse) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil || c.parse != nil {
			continue
		}
		if err := sd.Verify(c.f.digestOr(digest)); !errors.Is(err, c.check) {
			t.Errorf("%s: %v", name, err)
		}
		if sd.SigningCertificateV1 != (name == "v1" || name == "v1 of another") {
			t.Errorf("%s: SigningCertificateV1 %v", name, sd.SigningCertificateV1)
		}
		other := bytes.Clone(c.f.digestOr(digest))
		other[0]++
		if err := sd.Verify(other); !errors.Is(err, cms.ErrDigest) {
			t.Errorf("%s, other digest: %v", name, err)
		}
	}
	if _, err := cms.Parse(foreign{digest: digest, certs: [][]byte{}}.der(t, ec), p.Issuer, ec.Signer); err != nil {
		t.Errorf("certificate given: %v", err)
	}
}

// TestSeveralCertificatesOfTheSigner: where one more answers to the signer's
// identifier, the attribute decides.
func TestSeveralCertificatesOfTheSigner(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	template := *p.Signer
	template.NotAfter = template.NotAfter.Add(-time.Hour)
	again := pdftest.Issue(t, &template, p.Issuer, p.Key, p.IssuerKey)
	digest := make([]byte, 32)
	for _, certs := range [][][]byte{{p.Signer.Raw, again.Raw}, {again.Raw, p.Signer.Raw}, {again.Raw, p.Signer.Raw, again.Raw}} {
		sd, err := cms.Parse(foreign{digest: digest, signed: [][]byte{certV2(again)}, certs: certs}.der(t, p))
		if err != nil || sd.Verify(digest) != nil || !sd.Certificate.Equal(again) || len(sd.Others) != 1 || !sd.Others[0].Equal(p.Signer) {
			t.Errorf("%v %+v", err, sd)
		}
		if _, err := cms.Parse(foreign{digest: digest, certs: certs}.der(t, p)); !errors.Is(err, cms.ErrMalformed) {
			t.Errorf("not named: %v", err)
		}
		sd, err = cms.Parse(foreign{digest: digest, signed: [][]byte{certV2(p.Root)}, certs: certs}.der(t, p))
		if err != nil || !errors.Is(sd.Verify(digest), cms.ErrSigningCertificate) {
			t.Errorf("another named: %v", err)
		}
	}
	bare := foreign{digest: digest, signed: [][]byte{certV2(again)}, certs: [][]byte{p.Root.Raw}}.der(t, p)
	sd, err := cms.Parse(bare, p.Signer, again, p.Issuer)
	if err != nil || sd.Verify(digest) != nil || !sd.Certificate.Equal(again) {
		t.Errorf("given: %v %+v", err, sd)
	}
}

func (f foreign) digestOr(d []byte) []byte {
	if f.digest != nil {
		return f.digest
	}
	return d
}

// TestEvidenceAndClaims: what a signer brings along is found.
func TestEvidenceAndClaims(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	crl, response := p.CRL(t).Raw, seq(wrap(10, []byte{0}))
	archive := func(parts ...[]byte) []byte { return attr([]int{1, 2, 840, 113583, 1, 1, 8}, seq(parts...)) }
	digest := make([]byte, 32)
	tsa := authority(t, cms.ECDSA)
	stamp := token(t, tsa, digest)
	other := seq(integer(5))
	der := foreign{
		digest: digest,
		signed: [][]byte{
			certV2(p.Signer), archive(wrap(0xA0, seq(crl)), wrap(0xA1, seq(response, response))),
			attr(smime(16), seq(oid(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 6, 1}))),
			attr(smime(15), seq(oid(asn1.ObjectIdentifier{1, 2, 3, 9}), seq(seq(oid(oidSHA256)), octets(nil)))),
			attr(smime(20), stamp), attr([]int{1, 2, 840, 113549, 1, 9, 5}, wrap(0x17, []byte("260301120000Z"))),
		},
		unsigned: [][]byte{attr(smime(14), stamp, other), attr(smime(24), seq()), attr(smime(14), stamp), archive(wrap(0xA1, seq(response)))},
		crls:     append(append(bytes.Clone(crl), wrap(0xA1, oid(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 16, 2}), response)...), wrap(0xA1, oid(oidData), response)...),
	}.der(t, p)
	sd, err := cms.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	if err := sd.Verify(digest); err != nil {
		t.Error(err)
	}
	if len(sd.Revocation.CRLs) != 2 || len(sd.Revocation.OCSPs) != 4 || !bytes.Equal(sd.Revocation.CRLs[1], crl) || !bytes.Equal(sd.Revocation.OCSPs[3], response) {
		t.Errorf("%d CRLs, %d OCSP responses", len(sd.Revocation.CRLs), len(sd.Revocation.OCSPs))
	}
	if len(sd.Timestamps) != 3 || !bytes.Equal(sd.Timestamps[0], stamp) || !bytes.Equal(sd.Timestamps[1], other) || !bytes.Equal(sd.Timestamps[2], stamp) {
		t.Errorf("time-stamps %x", sd.Timestamps)
	}
	if len(sd.Signed) != 8 || len(sd.Unsigned) != 4 || !sd.HasUnsigned || sd.Unsigned[1].String() != "1.2.840.113549.1.9.16.2.24" {
		t.Errorf("%v\n%v", sd.Signed, sd.Unsigned)
	}
	if len(sd.Commitments) != 1 || sd.Commitments[0].String() != "1.2.840.113549.1.9.16.6.1" || sd.SignaturePolicy.String() != "1.2.3.9" {
		t.Errorf("%v %v", sd.Commitments, sd.SignaturePolicy)
	}
	if !sd.HasSigningTime || !sd.SigningTime.Equal(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)) {
		t.Errorf("signing time %v", sd.SigningTime)
	}
	// Evidence nobody can read is none, and makes nothing malformed.
	sd, err = cms.Parse(foreign{digest: digest, signed: [][]byte{certV2(p.Signer), archive(integer(1)), attr(smime(15), []byte{5, 0}), attr(smime(16), integer(4))}}.der(t, p))
	if err != nil || sd.Verify(digest) != nil || len(sd.Revocation.CRLs)+len(sd.Revocation.OCSPs)+len(sd.Commitments) != 0 || sd.SignaturePolicy != nil {
		t.Errorf("%v %+v", err, sd)
	}
	many := make([][]byte, 0, 17)
	for range 17 {
		many = append(many, stamp)
	}
	if _, err := cms.Parse(foreign{digest: digest, unsigned: [][]byte{attr(smime(14), many...)}}.der(t, p)); !errors.Is(err, cms.ErrMalformed) {
		t.Errorf("17 time-stamps: %v", err)
	}
}

// TestSignatureOfOpenSSL: openssl cms signs as others do, by key identifier,
// with and without CAdES attributes.
func TestSignatureOfOpenSSL(t *testing.T) {
	for _, alg := range []cms.Algorithm{cms.RSAPKCS1, cms.ECDSA} {
		p := pdftest.New(t, alg, crypto.SHA256, func(c *x509.Certificate) { c.SubjectKeyId = []byte{9, 8, 7} })
		o := newOpenSSL(t, p, "")
		data := bytes.Repeat([]byte("document\n"), 10_000)
		in, out := pdftest.Write(t, "data", data), filepath.Join(t.TempDir(), "cms")
		for name, c := range map[string]struct {
			args []string
			want error
		}{
			"CAdES":              {[]string{"-cades"}, nil},
			"CAdES, SHA-512":     {[]string{"-cades", "-md", "sha512"}, nil},
			"by key identifier":  {[]string{"-cades", "-keyid"}, nil},
			"not detached":       {[]string{"-cades", "-stream"}, cms.ErrMalformed},
			"not CAdES":          {[]string{"-nosmimecap"}, cms.ErrSigningCertificateMissing},
			"SHA-1":              {[]string{"-cades", "-md", "sha1"}, cms.ErrAlgorithm},
			"without attributes": {[]string{"-noattr"}, cms.ErrMalformed},
		} {
			args := append([]string{"cms", "-sign", "-binary", "-outform", "DER", "-in", in, "-out", out, "-signer", o.dir + "/tsa.pem", "-inkey", o.dir + "/key.pem", "-certfile", o.dir + "/chain.pem"}, c.args...)
			if said, err := pdftest.Run(t, "openssl", args...); err != nil {
				t.Fatalf("%s: %v\n%s", name, err, said)
			}
			der, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			sd, err := cms.Parse(der)
			if err == nil {
				err = sd.Verify(sum(sd.Hash, data))
			}
			if !errors.Is(err, c.want) {
				t.Errorf("%s, %s: %v", alg, name, err)
			}
			if err == nil && (!sd.HasSigningTime || time.Since(sd.SigningTime) > time.Minute || len(sd.Others) != 2) {
				t.Errorf("%s, %s: %+v", alg, name, sd)
			}
		}
	}
}

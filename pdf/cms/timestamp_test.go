package cms_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digitorus/timestamp"

	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
)

// opensslTSA is an authority run by openssl ts.
type opensslTSA struct {
	dir    string
	config string
	pki    *pdftest.PKI
}

func newOpenSSL(t testing.TB, p *pdftest.PKI, settings string) *opensslTSA {
	t.Helper()
	o := &opensslTSA{dir: t.TempDir(), pki: p}
	key, err := x509.MarshalPKCS8PrivateKey(p.Key)
	if err != nil {
		t.Fatal(err)
	}
	block := func(c *x509.Certificate) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	o.config = "[tsa]\nserial=" + o.dir + "/serial\nsigner_cert=" + o.dir + "/tsa.pem\ncerts=" + o.dir + "/chain.pem\n" +
		"signer_key=" + o.dir + "/key.pem\ndefault_policy=1.2.3.4.1\nother_policies=1.2.3.4.2\ndigests=sha1,sha256,sha384,sha512\n" + settings
	for name, b := range map[string][]byte{
		"key.pem":   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		"tsa.pem":   block(p.Signer),
		"chain.pem": append(block(p.Issuer), block(p.Root)...),
		"root.pem":  block(p.Root),
		"serial":    []byte("7A01\n"),
		"conf":      []byte(o.config),
	} {
		if err := os.WriteFile(filepath.Join(o.dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// answer has a request answered.
func (o *opensslTSA) answer(t testing.TB, request []byte) []byte {
	t.Helper()
	in, out := pdftest.Write(t, "q.tsq", request), filepath.Join(t.TempDir(), "r.tsr")
	if said, err := pdftest.Run(t, "openssl", "ts", "-reply", "-config", o.dir+"/conf", "-section", "tsa", "-queryfile", in, "-out", out); err != nil {
		t.Fatalf("openssl ts: %v\n%s", err, said)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTimestampOfOpenSSL(t *testing.T) {
	for name, c := range map[string]struct {
		alg      cms.Algorithm
		h        crypto.Hash
		settings string
		v1       bool
		accuracy time.Duration
	}{
		"RSA, SHA-512":     {cms.RSAPKCS1, crypto.SHA512, "signer_digest=sha512\naccuracy=secs:1, millisecs:500, microsecs:100\nclock_precision_digits=6\nordering=yes\ntsa_name=yes\ness_cert_id_chain=yes\ness_cert_id_alg=sha256\n", false, 1500100 * time.Microsecond},
		"RSA, ESS SHA-1":   {cms.RSAPKCS1, crypto.SHA256, "signer_digest=sha256\ness_cert_id_alg=sha1\n", true, 0},
		"RSA, ESS SHA-512": {cms.RSAPKCS1, crypto.SHA256, "signer_digest=sha256\ness_cert_id_alg=sha512\naccuracy=secs:60\n", false, time.Minute},
		"P-256, SHA-384":   {cms.ECDSA, crypto.SHA384, "signer_digest=sha384\naccuracy=millisecs:20\ness_cert_id_alg=sha384\n", false, 20 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			tsa := newOpenSSL(t, authority(t, c.alg), c.settings)
			digest := sum(c.h, []byte("message"))
			nonce := new(big.Int).Lsh(big.NewInt(-0x7A01), 40)
			nonce.Neg(nonce)
			request, err := cms.TimestampRequest(c.h, digest, nonce, asn1.ObjectIdentifier{1, 2, 3, 4, 2}, true)
			if err != nil {
				t.Fatal(err)
			}
			response := tsa.answer(t, request)
			token, err := cms.ParseTimestampResponse(response)
			if err != nil {
				t.Fatal(err)
			}
			ts, err := cms.ParseTimestamp(token)
			if err != nil {
				t.Fatal(err)
			}
			if err := ts.Verify(digest); err != nil {
				t.Error(err)
			}
			if ts.Nonce.Cmp(nonce) != 0 || ts.Policy.String() != "1.2.3.4.2" || ts.Serial.Int64() != 0x7A02 || ts.Hash != c.h ||
				!bytes.Equal(ts.Imprint, digest) || ts.Accuracy != c.accuracy || ts.Ordering != strings.Contains(c.settings, "ordering") ||
				ts.SigningCertificateV1 != c.v1 || (ts.TSA != nil) != strings.Contains(c.settings, "tsa_name") ||
				!ts.Certificate.Equal(tsa.pki.Signer) || len(ts.Others) != 2 || !ts.ForTimestamps() {
				t.Errorf("%+v", ts)
			}
			if d := time.Since(ts.Time); d < -time.Second || d > time.Minute || ts.Time.Location() != time.UTC {
				t.Errorf("time %v", ts.Time)
			}
			digest[0] ^= 1
			if err := ts.Verify(digest); !errors.Is(err, cms.ErrDigest) {
				t.Errorf("other imprint: %v", err)
			}
			// The judges among each other.
			other, err := timestamp.ParseResponse(response)
			if err != nil || !other.Time.Equal(ts.Time) || other.SerialNumber.Cmp(ts.Serial) != 0 || other.Accuracy != ts.Accuracy {
				t.Errorf("digitorus/timestamp: %v %+v", err, other)
			}
		})
	}
}

// TestTimestampWithoutCertificate: the certificate is given by the caller.
func TestTimestampWithoutCertificate(t *testing.T) {
	tsa := newOpenSSL(t, authority(t, cms.RSAPKCS1), "signer_digest=sha256\ness_cert_id_alg=sha256\n")
	digest := sum(crypto.SHA256, []byte("message"))
	request, err := cms.TimestampRequest(crypto.SHA256, digest, nil, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	token, err := cms.ParseTimestampResponse(tsa.answer(t, request))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cms.ParseTimestamp(token); !errors.Is(err, cms.ErrCertificateMissing) || !errors.Is(err, cms.ErrMalformed) {
		t.Errorf("got %v", err)
	}
	if _, err := cms.ParseTimestamp(token, tsa.pki.Root); !errors.Is(err, cms.ErrCertificateMissing) {
		t.Errorf("another certificate: %v", err)
	}
	ts, err := cms.ParseTimestamp(token, tsa.pki.Root, tsa.pki.Signer)
	if err != nil {
		t.Fatal(err)
	}
	if err := ts.Verify(digest); err != nil || ts.Nonce != nil || len(ts.Others) != 0 {
		t.Errorf("%v %+v", err, ts)
	}
	signature := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	if _, err := cms.AddTimestamp(signature.CMS(t, digest), token); !errors.Is(err, cms.ErrCertificateMissing) {
		t.Errorf("added: %v", err)
	}
}

func TestTimestampOfDigitorus(t *testing.T) {
	for _, alg := range []cms.Algorithm{cms.RSAPKCS1, cms.ECDSA} {
		for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
			tsa := authority(t, alg)
			digest := sum(h, []byte("message"))
			request, err := cms.TimestampRequest(h, digest, big.NewInt(9), asn1.ObjectIdentifier{1, 2, 3}, true)
			if err != nil {
				t.Fatal(err)
			}
			r, err := timestamp.ParseRequest(request)
			if err != nil || r.HashAlgorithm != h || !bytes.Equal(r.HashedMessage, digest) || r.Nonce.Int64() != 9 || !r.TSAPolicyOID.Equal(asn1.ObjectIdentifier{1, 2, 3}) || !r.Certificates {
				t.Fatalf("%v %+v", err, r)
			}
			made := timestamp.Timestamp{
				HashAlgorithm: h, HashedMessage: digest, Time: pdftest.Now(), Policy: r.TSAPolicyOID, Nonce: r.Nonce,
				Accuracy: time.Second, Ordering: true, Qualified: true, AddTSACertificate: true, Certificates: []*x509.Certificate{tsa.Issuer},
			}
			response, err := made.CreateResponseWithOpts(tsa.Signer, tsa.Key, h)
			if err != nil {
				t.Fatal(err)
			}
			token, err := cms.ParseTimestampResponse(response)
			if err != nil {
				t.Fatal(err)
			}
			ts, err := cms.ParseTimestamp(token)
			if err != nil {
				t.Fatal(err)
			}
			if err := ts.Verify(digest); err != nil || !ts.Time.Equal(made.Time) || ts.Accuracy != time.Second || !ts.Ordering || ts.Nonce.Int64() != 9 {
				t.Errorf("%v %v: %v %+v", alg, h, err, ts)
			}
		}
	}
}

func TestTimestampRequestRefusesWrongDigest(t *testing.T) {
	if _, err := cms.TimestampRequest(crypto.SHA1, make([]byte, 20), nil, nil, true); !errors.Is(err, cms.ErrAlgorithm) {
		t.Errorf("SHA-1: %v", err)
	}
	if _, err := cms.TimestampRequest(crypto.SHA256, make([]byte, 20), nil, nil, true); err == nil {
		t.Error("20 bytes of SHA-256")
	}
}

func TestTimestampRefusal(t *testing.T) {
	response, err := timestamp.CreateErrorResponse(timestamp.Rejection, timestamp.UnacceptedPolicy)
	if err != nil {
		t.Fatal(err)
	}
	_, err = cms.ParseTimestampResponse(response)
	var refused *cms.TimestampRefusal
	if !errors.As(err, &refused) || refused.Status != 2 || refused.Failure != "unacceptedPolicy" || refused.Text != "" {
		t.Errorf("%v", err)
	}
	text := "bad\x00policy\x1b[31m " + string(rune(0x202E)) + strings.Repeat("é", 300)
	response = seq(seq(integer(2), seq(wrap(0x0C, []byte(text)), wrap(0x0C, []byte("more"))), []byte{3, 2, 5, 0x20}))
	_, err = cms.ParseTimestampResponse(response)
	if !errors.As(err, &refused) || refused.Failure != "badRequest" || len([]rune(refused.Text)) != 200 ||
		!strings.HasPrefix(refused.Text, "bad policy [31m ééé") || strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x202E }) {
		t.Errorf("%q", err)
	}
	// openssl says the same of a policy it does not have.
	tsa := newOpenSSL(t, authority(t, cms.ECDSA), "signer_digest=sha256\n")
	request, err := cms.TimestampRequest(crypto.SHA256, make([]byte, 32), nil, asn1.ObjectIdentifier{1, 2, 9}, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = cms.ParseTimestampResponse(tsa.answer(t, request)); !errors.As(err, &refused) || refused.Failure != "unacceptedPolicy" || refused.Text == "" {
		t.Errorf("%v", err)
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "granted, no token": seq(seq(integer(0))), "text": []byte("<html>busy</html>"),
		"trailing": append(bytes.Clone(response), 0), "more": seq(seq(integer(0)), seq(), seq()),
	} {
		if _, err := cms.ParseTimestampResponse(b); !errors.Is(err, cms.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTimestampForms goes through what a token may and may not say.
func TestTimestampForms(t *testing.T) {
	tsa := authority(t, cms.ECDSA)
	imprint := sum(crypto.SHA256, []byte("message"))
	const at = "20260301120000Z"
	extension := func(critical ...byte) []byte {
		flag := []byte(nil)
		if critical != nil {
			flag = wrap(1, critical)
		}
		return wrap(0xA1, seq(oid(asn1.ObjectIdentifier{1, 2, 3}), flag, octets([]byte("x"))))
	}
	v2 := [][]byte{certV2(tsa.Signer)}
	wrong := bytes.Clone(imprint)
	wrong[5]++
	sha1Imprint := bytes.Replace(tstInfo(make([]byte, 32), at), seq(seq(oid(oidSHA256), []byte{5, 0}), octets(make([]byte, 32))), seq(seq(oid(oidSHA1), []byte{5, 0}), octets(make([]byte, 20))), 1)
	sha1Imprint = seq(sha1Imprint[2:])
	for name, c := range map[string]struct {
		f     foreign
		parse error
		check error
	}{
		"plain":                  {f: foreign{content: tstInfo(imprint, at), signed: v2}},
		"fraction":               {f: foreign{content: tstInfo(imprint, "20260301120000.123456789Z"), signed: v2}},
		"fraction of ten digits": {f: foreign{content: tstInfo(imprint, "20260301120000.1234567891Z"), signed: v2}, parse: cms.ErrMalformed},
		"dot without fraction":   {f: foreign{content: tstInfo(imprint, "20260301120000.Z"), signed: v2}, parse: cms.ErrMalformed},
		"comma":                  {f: foreign{content: tstInfo(imprint, "20260301120000,5Z"), signed: v2}, parse: cms.ErrMalformed},
		"letters":                {f: foreign{content: tstInfo(imprint, "20260301120000.x1Z"), signed: v2}, parse: cms.ErrMalformed},
		"no seconds":             {f: foreign{content: tstInfo(imprint, "202603011200Z"), signed: v2}, parse: cms.ErrMalformed},
		"local time":             {f: foreign{content: tstInfo(imprint, "20260301120000"), signed: v2}, parse: cms.ErrMalformed},
		"offset":                 {f: foreign{content: tstInfo(imprint, "20260301120000+0800"), signed: v2}, parse: cms.ErrMalformed},
		"30 February":            {f: foreign{content: tstInfo(imprint, "20260230120000Z"), signed: v2}, parse: cms.ErrMalformed},
		"accuracy":               {f: foreign{content: tstInfo(imprint, at, seq(integer(1), wrap(0x80, []byte{5}))), signed: v2}},
		"accuracy of 1,000 ms":   {f: foreign{content: tstInfo(imprint, at, seq(wrap(0x80, []byte{3, 0xE8}))), signed: v2}, parse: cms.ErrMalformed},
		"accuracy below 0":       {f: foreign{content: tstInfo(imprint, at, seq(wrap(2, []byte{0xFF}))), signed: v2}, parse: cms.ErrMalformed},
		"ordering false":         {f: foreign{content: tstInfo(imprint, at, wrap(1, []byte{0})), signed: v2}},
		"extension":              {f: foreign{content: tstInfo(imprint, at, extension()), signed: v2}},
		"extension, critical":    {f: foreign{content: tstInfo(imprint, at, extension(0xFF)), signed: v2}, parse: cms.ErrMalformed},
		"extension, false":       {f: foreign{content: tstInfo(imprint, at, extension(0)), signed: v2}},
		"something else":         {f: foreign{content: tstInfo(imprint, at, octets(nil)), signed: v2}, parse: cms.ErrMalformed},
		"trailing bytes":         {f: foreign{content: append(tstInfo(imprint, at), 0), signed: v2}, parse: cms.ErrMalformed},
		"imprint too short":      {f: foreign{content: tstInfo(imprint[:31], at), signed: v2}, parse: cms.ErrMalformed},
		"imprint of SHA-1":       {f: foreign{content: sha1Imprint, signed: v2}, parse: cms.ErrAlgorithm},
		"other imprint":          {f: foreign{content: tstInfo(wrong, at), signed: v2}, check: cms.ErrDigest},
		"certificate not named":  {f: foreign{content: tstInfo(imprint, at)}, check: cms.ErrSigningCertificateMissing},
		"v1":                     {f: foreign{content: tstInfo(imprint, at), signed: [][]byte{certV1(tsa.Signer)}}},
		"v1 of another":          {f: foreign{content: tstInfo(imprint, at), signed: [][]byte{certV1(tsa.Issuer)}}, check: cms.ErrSigningCertificate},
		"v1 of another, v2":      {f: foreign{content: tstInfo(imprint, at), signed: [][]byte{certV1(tsa.Issuer), certV2(tsa.Signer)}}, check: cms.ErrSigningCertificate},
		"v1, v2":                 {f: foreign{content: tstInfo(imprint, at), signed: [][]byte{certV1(tsa.Signer), certV2(tsa.Signer)}}},
		"signing-time":           {f: foreign{content: tstInfo(imprint, at), signed: append(v2, attr([]int{1, 2, 840, 113549, 1, 9, 5}, wrap(0x17, []byte("260301120000Z"))))}},
		"detached":               {f: foreign{digest: imprint, signed: v2}, parse: cms.ErrMalformed},
		"by key identifier":      {f: foreign{content: tstInfo(imprint, at), signed: v2, bySKI: true}},
	} {
		ts, err := cms.ParseTimestamp(c.f.der(t, tsa))
		if !errors.Is(err, c.parse) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && c.parse == nil {
			if err := ts.Verify(imprint); !errors.Is(err, c.check) {
				t.Errorf("%s: %v", name, err)
			}
			if ts.SigningCertificateV1 != (name == "v1" || name == "v1 of another") {
				t.Errorf("%s: SigningCertificateV1 %v", name, ts.SigningCertificateV1)
			}
			if name == "fraction" && ts.Time.Nanosecond() != 123456789 {
				t.Errorf("%v", ts.Time)
			}
		}
	}
}

func TestForTimestamps(t *testing.T) {
	usage := func(critical bool, oids ...asn1.ObjectIdentifier) []pkix.Extension {
		var all [][]byte
		for _, o := range oids {
			all = append(all, oid(o))
		}
		return []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: critical, Value: seq(all...)}}
	}
	stamping, mail, odd := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 4}, asn1.ObjectIdentifier{1, 2, 3}
	for name, c := range map[string]struct {
		extensions []pkix.Extension
		want       bool
	}{
		"critical": {usage(true, stamping), true}, "not critical": {usage(false, stamping), false}, "none": {nil, false},
		"and mail": {usage(true, stamping, mail), false}, "and another": {usage(true, stamping, odd), false}, "mail": {usage(true, mail), false},
	} {
		p := pdftest.New(t, cms.ECDSA, crypto.SHA256, func(c2 *x509.Certificate) { c2.ExtraExtensions = c.extensions })
		ts, err := cms.ParseTimestamp(token(t, p, make([]byte, 32)))
		if err != nil || ts.ForTimestamps() != c.want {
			t.Errorf("%s: %v %v", name, err, ts.ForTimestamps())
		}
	}
}

func FuzzTimestamp(f *testing.F) {
	for _, alg := range []cms.Algorithm{cms.RSAPKCS1, cms.ECDSA} {
		f.Add(token(f, authority(f, alg), make([]byte, 32)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ts, err := cms.ParseTimestamp(b)
		if err != nil {
			if !errors.Is(err, cms.ErrMalformed) && !errors.Is(err, cms.ErrAlgorithm) {
				t.Errorf("untyped error: %v", err)
			}
			return
		}
		if ts.Certificate == nil || len(ts.Imprint) != ts.Hash.Size() || ts.Time.IsZero() || ts.Serial == nil || ts.Policy == nil {
			t.Errorf("half parsed: %+v", ts)
		}
		_ = ts.Verify(ts.Imprint)
		_ = ts.ForTimestamps()
	})
}

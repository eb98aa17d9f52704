// Package pdftest gives the tests of pdf and its sub-packages documents, keys
// and certificates made at run time, and outside judges.
package pdftest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
)

// Now is the time tests claim to sign at: the day the certificates are made.
func Now() time.Time { return time.Now().UTC().Truncate(time.Second) }

// PKI is a root, an intermediate and a signer.
type PKI struct {
	Root, Issuer, Signer *x509.Certificate
	RootKey, IssuerKey   crypto.Signer
	Key                  crypto.Signer
	Algorithm            cms.Algorithm
	Hash                 crypto.Hash
}

// NewKey makes an RSA-2048 or a P-256 key.
func NewKey(t testing.TB, alg cms.Algorithm) crypto.Signer {
	t.Helper()
	if alg == cms.ECDSA {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// New makes a PKI. tweak, when not nil, changes the signer's template.
func New(t testing.TB, alg cms.Algorithm, h crypto.Hash, tweak func(*x509.Certificate)) *PKI {
	t.Helper()
	p := &PKI{Algorithm: alg, Hash: h, RootKey: NewKey(t, cms.ECDSA), IssuerKey: NewKey(t, cms.ECDSA), Key: NewKey(t, alg)}
	ca := func(name string, serial int64) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name, Country: []string{"MY"}},
			NotBefore: Now().Add(-48 * time.Hour), NotAfter: Now().Add(240 * time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}
	}
	root := ca("Test Root", 1)
	p.Root = Issue(t, root, root, p.RootKey, p.RootKey)
	p.Issuer = Issue(t, ca("Test Issuer", 2), p.Root, p.IssuerKey, p.RootKey)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(0x7A0001), Subject: pkix.Name{CommonName: "SITI BINTI AHMAD", SerialNumber: "800101145678"},
		NotBefore: Now().Add(-24 * time.Hour), NotAfter: Now().Add(120 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment,
	}
	if tweak != nil {
		tweak(leaf)
	}
	p.Signer = Issue(t, leaf, p.Issuer, p.Key, p.IssuerKey)
	return p
}

// Issue makes one certificate.
func Issue(t testing.TB, template, parent *x509.Certificate, subject, issuer crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, subject.Public(), issuer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Roots returns the root as a pool.
func (p *PKI) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.Root)
	return pool
}

// CRL makes a list of the issuer that revokes the serials given.
func (p *PKI) CRL(t testing.TB, revoked ...*big.Int) *x509.RevocationList {
	t.Helper()
	template := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: Now().Add(-time.Hour), NextUpdate: Now().Add(time.Hour)}
	for _, n := range revoked {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: n, RevocationTime: Now().Add(-time.Minute)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, p.Issuer, p.IssuerKey)
	if err != nil {
		t.Fatal(err)
	}
	crl, err := x509.ParseRevocationList(der)
	if err != nil {
		t.Fatal(err)
	}
	return crl
}

// Builder returns the CMS builder of the signer.
func (p *PKI) Builder(t testing.TB) *cms.Builder {
	t.Helper()
	b, err := cms.New(p.Signer, []*x509.Certificate{p.Issuer}, p.Hash, p.Algorithm)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// CMS signs a content digest.
func (p *PKI) CMS(t testing.TB, digest []byte) []byte {
	t.Helper()
	b := p.Builder(t)
	attrs, err := b.SignedAttributes(digest)
	if err != nil {
		t.Fatal(err)
	}
	h := p.Hash.New()
	h.Write(attrs)
	var opts crypto.SignerOpts = p.Hash
	if p.Algorithm == cms.RSAPSS {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: p.Hash}
	}
	sig, err := p.Key.Sign(rand.Reader, h.Sum(nil), opts)
	if err != nil {
		t.Fatal(err)
	}
	der, err := b.Assemble(attrs, sig)
	if err != nil {
		t.Fatal(err)
	}
	if len(der) > b.Size() {
		t.Fatalf("CMS of %d bytes, Size says %d", len(der), b.Size())
	}
	return der
}

// Sign signs a document with the whole path: open, prepare, digest, complete.
func (p *PKI) Sign(t testing.TB, document []byte, o pdf.Options) []byte {
	t.Helper()
	if o.Time.IsZero() {
		o.Time = Now()
	}
	if o.ContentsSize == 0 {
		o.ContentsSize = p.Builder(t).Size()
	}
	d, err := pdf.Open(bytes.NewReader(document), int64(len(document)))
	if err != nil {
		t.Fatal(err)
	}
	prepared, err := d.Prepare(o)
	if err != nil {
		t.Fatal(err)
	}
	digest, _, err := prepared.Digest(p.Hash)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	n, err := prepared.Complete(&out, p.CMS(t, digest))
	if err != nil {
		t.Fatal(err)
	}
	if n != int64(out.Len()) {
		t.Fatalf("Complete says %d bytes, wrote %d", n, out.Len())
	}
	return out.Bytes()
}

// RequireTool skips a test that needs a missing program, or fails it where
// MOHOR_TEST_REQUIRE is all.
func RequireTool(t testing.TB, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("MOHOR_TEST_REQUIRE") == "all" {
			t.Fatalf("%s is required: %v", name, err)
		}
		t.Skipf("%s is not installed", name)
	}
}

// Run runs a program and returns what it printed on both outputs.
func Run(t testing.TB, name string, args ...string) (string, error) {
	t.Helper()
	RequireTool(t, name)
	out, err := exec.Command(name, args...).CombinedOutput()
	return string(out), err
}

// Write puts bytes into a file of the test's directory.
func Write(t testing.TB, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// PEM writes a certificate to a file.
func PEM(t testing.TB, c *x509.Certificate) string {
	t.Helper()
	return Write(t, "cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

// NSS makes a certificate database that trusts the root.
func (p *PKI) NSS(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for _, args := range [][]string{
		{"-N", "-d", dir, "--empty-password"},
		{"-A", "-d", dir, "-n", "root", "-t", "C,C,C", "-i", PEM(t, p.Root)},
	} {
		if out, err := Run(t, "certutil", args...); err != nil {
			t.Fatalf("certutil: %v\n%s", err, out)
		}
	}
	return dir
}

package pdfbench

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
)

// pki is a root, an issuer, a signer and a time-stamp unit, on disk.
type pki struct {
	kind                        string
	keyPath, certPath, rootPath string
	now                         time.Time
	root, issuer, tsa           *x509.Certificate
	rootKey, issuerKey, tsaKey  crypto.Signer
}

func newKey(kind string) (crypto.Signer, error) {
	switch kind {
	case "RSA-2048":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "P-256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	return nil, fmt.Errorf("unknown kind of key %q", kind)
}

func newPKI(dir, kind string, now time.Time) (*pki, error) {
	p := &pki{kind: kind, now: now, keyPath: filepath.Join(dir, kind+".key"), certPath: filepath.Join(dir, kind+".pem"), rootPath: filepath.Join(dir, kind+"-root.pem")}
	var keys [4]crypto.Signer
	for i := range keys {
		var err error
		if keys[i], err = newKey(kind); err != nil {
			return nil, err
		}
	}
	p.rootKey, p.issuerKey, p.tsaKey = keys[0], keys[1], keys[2]
	serial := int64(0)
	issue := func(name string, parent *x509.Certificate, subject, issuer crypto.Signer, change func(*x509.Certificate)) (*x509.Certificate, error) {
		serial++
		c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name, Country: []string{"MY"}},
			NotBefore: now.Add(-time.Hour), NotAfter: now.Add(30 * 24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment}
		change(c)
		if parent == nil {
			parent = c
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, subject.Public(), issuer)
		if err != nil {
			return nil, err
		}
		return x509.ParseCertificate(der)
	}
	authority := func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	}
	stamps := func(c *x509.Certificate) {
		c.KeyUsage = x509.KeyUsageDigitalSignature
		c.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 37}, Critical: true, Value: []byte{0x30, 0x0A, 6, 8, 0x2B, 6, 1, 5, 5, 7, 3, 8}}}
	}
	var err error
	var leaf *x509.Certificate
	if p.root, err = issue("Bench Root", nil, p.rootKey, p.rootKey, authority); err == nil {
		if p.issuer, err = issue("Bench Issuer", p.root, p.issuerKey, p.rootKey, authority); err == nil {
			if p.tsa, err = issue("Bench TSA", p.issuer, p.tsaKey, p.issuerKey, stamps); err == nil {
				leaf, err = issue("SITI BINTI AHMAD", p.issuer, keys[3], p.issuerKey, func(*x509.Certificate) {})
			}
		}
	}
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(keys[3])
	if err != nil {
		return nil, err
	}
	return p, errors.Join(
		writePEM(p.keyPath, "PRIVATE KEY", der),
		writePEM(p.certPath, "CERTIFICATE", leaf.Raw, p.issuer.Raw),
		writePEM(p.rootPath, "CERTIFICATE", p.root.Raw))
}

func writePEM(path, kind string, ders ...[]byte) error {
	var b bytes.Buffer
	for _, der := range ders {
		if err := pem.Encode(&b, &pem.Block{Type: kind, Bytes: der}); err != nil {
			return err
		}
	}
	return os.WriteFile(path, b.Bytes(), 0o600)
}

func readPKI(keyPath, certPath string) (crypto.Signer, []*x509.Certificate, error) {
	b, err := os.ReadFile(keyPath)
	if err != nil {
		return nil, nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, nil, errors.New("no key")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, nil, errors.New("key cannot sign")
	}
	certs, err := readCertificates(certPath)
	return signer, certs, err
}

func readCertificates(path string) (certs []*x509.Certificate, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, errors.New("no certificate")
	}
	return certs, nil
}

func readRoots(path string) (*x509.CertPool, error) {
	certs, err := readCertificates(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, c := range certs {
		pool.AddCert(c)
	}
	return pool, nil
}

// WriteDocument makes a document of five pages and about size bytes, most of
// which are a stream, as a scan has them.
func WriteDocument(path string, size int64) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	at := int64(0)
	var offsets []int64
	put := func(format string, args ...any) {
		n, _ := fmt.Fprintf(w, format, args...) // Flush tells
		at += int64(n)
	}
	object := func(body string, args ...any) {
		offsets = append(offsets, at)
		put("%d 0 obj\n"+body+"\nendobj\n", append([]any{len(offsets)}, args...)...)
	}
	put("%%PDF-1.7\n%%\xE2\xE3\xCF\xD3\n")
	object("<</Type/Catalog/Pages 2 0 R>>")
	object("<</Type/Pages/Count 5/Kids[4 0 R 6 0 R 8 0 R 10 0 R 12 0 R]/MediaBox[0 0 595 842]/Resources<</Font<</F0 3 0 R>>>>>>")
	object("<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>")
	for i := range 5 {
		text := fmt.Sprintf("BT /F0 24 Tf 72 700 Td (Halaman %d) Tj ET", i+1)
		object("<</Type/Page/Parent 2 0 R/Contents %d 0 R>>", 5+2*i)
		object("<</Length %d>>\nstream\n%s\nendstream", len(text), text)
	}
	offsets = append(offsets, at)
	length := max(0, size-at-700)
	put("%d 0 obj\n<</Length %d>>\nstream\n", len(offsets), length)
	// Bytes of which none repeats soon: file systems and memory may share others.
	n, err := io.CopyN(w, &noise{}, length)
	at += n
	if err != nil {
		return err
	}
	put("\nendstream\nendobj\n")
	start := at
	put("xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, off := range offsets {
		put("%010d 00000 n \n", off)
	}
	put("trailer\n<</Size %d/Root 1 0 R/ID[<00112233445566778899AABBCCDDEEFF><00112233445566778899AABBCCDDEEFF>]>>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, start)
	return w.Flush()
}

// noise is an endless stream of bytes, the same each time.
type noise struct{ state uint64 }

func (n *noise) Read(b []byte) (int, error) {
	for i := range b {
		n.state = n.state*6364136223846793005 + 1442695040888963407
		b[i] = byte(n.state >> 56)
	}
	return len(b), nil
}

// signedDocument makes a document to be verified: B-B or B-LTA.
func (p *pki) signedDocument(ctx context.Context, path string, size int64, archive bool) error {
	if err := WriteDocument(path, size); err != nil {
		return err
	}
	t := Task{Document: path, Key: p.keyPath, Certificates: p.certPath, Now: p.now}
	s, err := newSigner(t)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	d, err := pdf.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return err
	}
	o := s.options()
	if archive {
		o.Level, o.ContentsSize = pdf.LevelT, o.ContentsSize+p.TokenSize()
	}
	prepared, err := d.Prepare(o)
	if err != nil {
		return err
	}
	digest, _, err := prepared.Digest(crypto.SHA256)
	if err != nil {
		return err
	}
	der, err := s.value(digest)
	if err != nil {
		return err
	}
	if archive {
		if der, err = p.stampValue(ctx, der); err != nil {
			return err
		}
	}
	var out bytes.Buffer
	if _, err := prepared.Complete(&out, der); err != nil {
		return err
	}
	if archive {
		roots := x509.NewCertPool()
		roots.AddCert(p.root)
		services := pdf.Services{Timestamper: p, Revocation: p, Roots: roots, Now: func() time.Time { return p.now }}
		signed := bytes.Clone(out.Bytes())
		if _, err := pdf.Extend(ctx, bytes.NewReader(signed), int64(len(signed)), pdf.LevelLTA, services, &out); err != nil {
			return err
		}
	}
	return os.WriteFile(path, out.Bytes(), 0o600)
}

// stampValue adds a signature time-stamp.
func (p *pki) stampValue(ctx context.Context, der []byte) ([]byte, error) {
	sd, err := cms.Parse(der)
	if err != nil {
		return nil, err
	}
	imprint := sha256.Sum256(sd.SignatureValue())
	token, err := p.Timestamp(ctx, crypto.SHA256, imprint[:])
	if err != nil {
		return nil, err
	}
	return cms.AddTimestamp(der, token)
}

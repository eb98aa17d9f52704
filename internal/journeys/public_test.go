//go:build !race

package journeys_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/store/storetest"
)

// inert is what would do something if a page took it for more than text.
const inert = `<img src=x onerror="alert(1)"><b>SITI</b>`

// The pages that anybody may open, in both languages, on a phone and on a desktop: documents of
// all kinds are verified, a certificate is downloaded, a candidate asks.
func TestJourneyPublic(t *testing.T) {
	g := gatewaytest.New(t)
	record := certificate(t, g)
	waiting := g.Do("POST", "/v1/batches", "", map[string]string{"name": "Kelompok", "kind": "ecert"}).Text("batch_id")
	if r := g.Do("POST", "/v1/batches/"+waiting+"/items", "text/csv", []byte("no_kp,nama,no_sijil,kod_program,nama_program,tahap,kod_pusat,nama_pusat,kelompok,tahun,bahasa\n"+
		"800101149002,ALI BIN ABU,S102200002,TP-021-3:2013,PENYELENGGARAAN,SKM 3,L01234,PUSAT LATIHAN,2026/01,072026,ms\n")); r.Status != http.StatusOK {
		t.Fatalf("%s", r.Raw)
	}
	// Each address may ask five times a minute about certificates, and twenty times for a verdict.
	run(t, g, "public", given{"record": record, "documents": documents(t, g)}, nil)
}

// documents are files that somebody may have, by name.
func documents(t *testing.T, g *gatewaytest.Gateway) map[string]string {
	t.Helper()
	plain := storetest.PDF("Baucar 1")
	signed := bySystem(t, g, plain)
	changed := bytes.Clone(signed)
	changed = bytes.Replace(changed, []byte("Baucar 1"), []byte("Baucar 9"), 1)
	if bytes.Equal(changed, signed) {
		t.Fatal("nothing was changed")
	}
	stranger := byStranger(t, g.Clock.Now(), plain)
	out := map[string]string{
		"valid": stored(t, "baucar.pdf", signed), "changed": stored(t, "baucar.pdf", changed), "stranger": stored(t, "surat.pdf", stranger), "several": stored(t, "dua.pdf", byStranger(t, g.Clock.Now(), signed)),
		"unsigned": stored(t, `<b>tiada<b> "tandatangan".pdf`, plain), "nopdf": stored(t, "gambar.pdf", []byte("GIF89a"+strings.Repeat("x", 200))), "damaged": stored(t, "rosak.pdf", append([]byte("%PDF-1.7\n"), bytes.Repeat([]byte("x"), 5000)...)),
		"large": stored(t, "besar.pdf", append([]byte("%PDF-1.7\n"), make([]byte, 26<<20)...)),
	}
	locked := filepath.Join(t.TempDir(), "kunci.pdf")
	if said, err := exec.Command(gatewaytest.Tool(t, "qpdf"), "--encrypt", "buka", "milik", "256", "--", stored(t, "asal.pdf", plain), locked).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	out["encrypted"] = locked
	return out
}

// bySystem is the document with a signature of the sandbox's officer.
func bySystem(t *testing.T, g *gatewaytest.Gateway, document []byte) []byte {
	t.Helper()
	up := g.Do("POST", "/v1/documents?name=baucar.pdf", "application/pdf", document)
	tx, code := g.Ask(map[string]any{"format": "PADES", "documents": []any{map[string]any{"document_id": up.Text("document_id")}}})
	if r := g.Confirm(tx, code, nil); r.Status != http.StatusOK {
		t.Fatalf("%s", r.Raw)
	}
	signed := g.Do("GET", "/v1/documents/"+up.Text("document_id")+"/content?version=signed", "", nil)
	if signed.Status != http.StatusOK || !bytes.HasPrefix(signed.Raw, []byte("%PDF-")) {
		t.Fatalf("%d %.200s", signed.Status, signed.Raw)
	}
	return signed.Raw
}

// byStranger is the document with a signature by a certificate that nobody here knows, with names
// that try to be more than text.
func byStranger(t *testing.T, now time.Time, document []byte) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: inert, Organization: []string{inert}}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	builder, err := cms.New(c, nil, crypto.SHA256, cms.ECDSA)
	if err != nil {
		t.Fatal(err)
	}
	d, err := pdf.Open(bytes.NewReader(document), int64(len(document)))
	if err != nil {
		t.Fatal(err)
	}
	prepared, err := d.Prepare(pdf.Options{Time: now, ContentsSize: builder.Size(), Name: inert, Reason: inert, Location: inert, Field: inert})
	if err != nil {
		t.Fatal(err)
	}
	digest, _, err := prepared.Digest(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	attributes, err := builder.SignedAttributes(digest)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(attributes)
	value, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if der, err = builder.Assemble(attributes, value); err != nil {
		t.Fatal(err)
	}
	var whole bytes.Buffer
	if _, err := prepared.Complete(&whole, der); err != nil {
		t.Fatal(err)
	}
	return whole.Bytes()
}

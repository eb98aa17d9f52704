// Package pades signs PDFs that stay with the caller: only the digest of a document with
// room for a signature goes to the gateway, and only the signature comes back.
//
//	officer, err := client.Officer(ctx, ic)
//	medium := officer.Credential("IGFMAS", "")
//	p, err := pades.Prepare(file, size, medium.Certificate, pades.LevelT, pdf.Options{Reason: "Perakuan 1"})
//	t, err := client.CreateTransaction(ctx, mohor.Ask{IC: ic, System: "IGFMAS", CredentialID: medium.CredentialID,
//		Format: mohor.PADES, PAdES: &mohor.PAdES{Level: p.Level()}, Documents: []mohor.Document{{Name: "Baucar 1", Digest: p.Digest()}}})
//	// the officer gives PIN and code
//	err = p.Embed(out, t.Signatures[0].Signature)
//
// The gateway cannot see such a document: what the officer reads of it is the name and
// the fingerprint, and that it is the document meant is the application's word. Levels
// above B-T need the gateway to have the document.
package pades

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	mohor "github.com/mohor-sign/mohor/sdk/go"
)

// Levels that can be reached with a document's digest alone.
const (
	LevelB = pdf.LevelB
	LevelT = pdf.LevelT
)

// tokenRoom is what is reserved for a time-stamp, in bytes: those of a unit with an
// RSA-4096 key and its chain take about 6,000.
const tokenRoom = 12 << 10

// Errors of Embed.
var (
	// ErrSignature: what came is not that certificate's signature over this digest.
	ErrSignature = errors.New("not the signature of this document")
	// ErrChanged: the document is not as it was prepared.
	ErrChanged = errors.New("the document was changed since it was prepared")
)

// Prepared is a document with room for a signature. It holds what will be appended, not
// the document, which must stay readable and unchanged until it is embedded. Its methods
// may be called repeatedly, not concurrently.
type Prepared struct {
	p              *pdf.Prepared
	signer         *x509.Certificate
	level          pdf.Level
	hash           crypto.Hash
	byteRange, was []byte
}

// Prepare makes room in a PDF of size bytes for a signature with the officer's certificate
// as the gateway's look-up shows it. level is LevelB or LevelT. Of o everything may be
// empty: Time is now and Hash SHA-256 then; ContentsSize is never less than what is
// needed. What cannot be signed is refused as by pdf.Open and pdf.Document.Prepare, with a
// *pdf.Error. A document that needs a password is opened by the caller, see PrepareDocument.
func Prepare(r io.ReaderAt, size int64, c *mohor.Certificate, level pdf.Level, o pdf.Options) (*Prepared, error) {
	doc, err := pdf.Open(r, size)
	if err != nil {
		return nil, err
	}
	return PrepareDocument(doc, c, level, o)
}

// PrepareDocument is Prepare for a document that is open.
func PrepareDocument(doc *pdf.Document, c *mohor.Certificate, level pdf.Level, o pdf.Options) (*Prepared, error) {
	if level != LevelB && level != LevelT {
		return nil, fmt.Errorf("level %q needs the document with the gateway: a digest alone becomes B-B or B-T", level)
	}
	if c == nil {
		return nil, errors.New("no certificate of the officer")
	}
	certificates, err := parse(c)
	if err != nil {
		return nil, err
	}
	if o.Hash == 0 {
		o.Hash = crypto.SHA256
	}
	if o.Time.IsZero() {
		o.Time = time.Now()
	}
	if o.Name == "" {
		o.Name = certificates[0].Subject.CommonName
	}
	o.SubFilter, o.Level, o.Certificates = pdf.SubFilterPAdES, level, certificates
	need, err := room(certificates, o.Hash, level)
	if err != nil {
		return nil, err
	}
	o.ContentsSize = max(o.ContentsSize, need)
	out := &Prepared{signer: certificates[0], level: level, hash: o.Hash}
	if out.p, err = doc.Prepare(o); err != nil {
		return nil, err
	}
	out.byteRange, out.was, err = out.p.Digest(o.Hash)
	if err != nil {
		return nil, err
	}
	return out, nil
}

// parse reads the officer's certificate and those above it.
func parse(c *mohor.Certificate) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for _, der := range append([][]byte{c.DER}, c.Chain...) {
		x, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("reading the officer's certificate: %w", err)
		}
		out = append(out, x)
	}
	return out, nil
}

// room is the most that the gateway's signature can take, in bytes, whichever algorithm
// fits the key.
func room(certificates []*x509.Certificate, h crypto.Hash, level pdf.Level) (int, error) {
	alg := cms.ECDSA
	if _, is := certificates[0].PublicKey.(*rsa.PublicKey); is {
		alg = cms.RSAPSS // its parameters take more than those of PKCS #1
	}
	b, err := cms.New(certificates[0], certificates[1:], h, alg)
	if err != nil {
		return 0, fmt.Errorf("measuring the signature: %w", err)
	}
	if level == LevelT {
		return b.SizeWith(tokenRoom), nil
	}
	return b.Size(), nil
}

// Level is the level prepared for, in the API's word.
func (p *Prepared) Level() string { return string(p.level) }

// Digest is what the officer authorises and the gateway signs: that of the document as it
// will be, apart from the signature itself (ISO 32000-2, Section 12.8.1).
func (p *Prepared) Digest() mohor.Digest {
	name := map[crypto.Hash]string{crypto.SHA256: "SHA-256", crypto.SHA384: "SHA-384", crypto.SHA512: "SHA-512"}[p.hash]
	return mohor.Digest{Alg: name, Value: bytes.Clone(p.byteRange)}
}

// Embed writes the signed document: the original bytes and what is appended. signature is
// the DER that the gateway answered. It and the document are checked before a byte is
// written: ErrSignature, ErrChanged. Certificates and revocation are for a verifier to
// judge.
func (p *Prepared) Embed(w io.Writer, signature []byte) error {
	sd, err := cms.Parse(signature)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if err := sd.Verify(p.byteRange); err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if !sd.Certificate.Equal(p.signer) {
		return fmt.Errorf("%w: another certificate", ErrSignature)
	}
	// Two claims of the time in one signature are what PAdES forbids (ETSI EN 319 142-1,
	// Section 6.3), and a missing time-stamp is another level.
	if sd.HasSigningTime || (len(sd.Timestamps) > 0) != (p.level == LevelT) {
		return fmt.Errorf("%w: not of level %s", ErrSignature, p.level)
	}
	now, was, err := p.p.Digest(p.hash)
	if err != nil {
		return err
	}
	if !bytes.Equal(now, p.byteRange) || !bytes.Equal(was, p.was) {
		return ErrChanged
	}
	_, err = p.p.Complete(w, signature)
	return err
}

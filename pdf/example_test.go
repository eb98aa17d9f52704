package pdf_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"io"
	"testing"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
)

// TestDigestLeavesDocumentStays signs a document of another machine: prepared
// there, forgotten, and prepared again when the signature has come.
func TestDigestLeavesDocumentStays(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	jury := pdftest.NewJury(t, p.Root)
	document := fields(nil)
	o := pdf.Options{Time: pdftest.Now(), Field: "Pengarah", Visible: inField("Siti"), ContentsSize: p.Builder(t).Size(), Certify: 2}
	prepare := func() *pdf.Prepared {
		d, err := pdf.Open(bytes.NewReader(document), int64(len(document)))
		if err != nil {
			t.Fatal(err)
		}
		prepared, err := d.Prepare(o)
		if err != nil {
			t.Fatal(err)
		}
		return prepared
	}
	digest, original, err := prepare().Digest(crypto.SHA256) // leaves the machine
	if err != nil {
		t.Fatal(err)
	}
	if sha256.Sum256(document) != [32]byte(original) {
		t.Error("not the digest of the document")
	}
	der := p.CMS(t, digest) // comes back
	var increment bytes.Buffer
	if _, err := prepare().Append(&increment, der); err != nil {
		t.Fatal(err)
	}
	jury.Judge(t, pdftest.Evidence{Original: document, Signed: append(bytes.Clone(document), increment.Bytes()...), Visible: true})
}

// A signature of level B-LTA: the key is used once, for the CMS of the digest.
func Example() {
	// sign is done by whoever has the key; package cms makes the DER.
	type signer func(digest []byte) (der []byte, err error)
	run := func(ctx context.Context, r io.ReaderAt, size int64, o pdf.Options, sign signer, s pdf.Services, w io.Writer) error {
		doc, err := pdf.Open(r, size)
		if err != nil {
			return err
		}
		o.Level = pdf.LevelLTA
		o.ContentsSize = 4<<10 + s.Timestamper.TokenSize() // cms.Builder.Size says how much
		prepared, err := doc.Prepare(o)
		if err != nil {
			return err
		}
		digest, _, err := prepared.Digest(crypto.SHA256)
		if err != nil {
			return err
		}
		der, err := sign(digest)
		if err != nil {
			return err
		}
		signed, err := cms.Parse(der)
		if err != nil {
			return err
		}
		imprint := sha256.Sum256(signed.SignatureValue())
		token, err := s.Timestamper.Timestamp(ctx, crypto.SHA256, imprint[:])
		if err != nil {
			return err
		}
		if der, err = cms.AddTimestamp(der, token); err != nil { // B-T
			return err
		}
		if _, err := prepared.Complete(w, der); err != nil {
			return err
		}
		if r, size, err = prepared.Signed(der); err != nil {
			return err
		}
		_, err = pdf.Extend(ctx, r, size, pdf.LevelLTA, s, w) // behind it
		return err
	}
	_ = run
}

package pdf_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
)

// lying answers about another certificate than it was asked.
type lying struct {
	services      pdf.Revocation
	about, issuer *x509.Certificate
}

func (l lying) Revocation(ctx context.Context, _, _ *x509.Certificate) (pdf.Answer, error) {
	return l.services.Revocation(ctx, l.about, l.issuer)
}

// What is remembered of one document serves the next, and only what was verified,
// for the roots and the time it was verified for.
func TestMemory(t *testing.T) {
	a := pdftest.NewAuthorities(t, pdftest.New(t, cms.ECDSA, crypto.SHA256, nil))
	a.Announce(t)
	s := a.Services()
	s.Memory = &pdf.Memory{}
	document := pdftest.Document(pdftest.Shape{})
	signed := stamped(t, a, document, pdf.Options{})
	for range 3 {
		archive := extend(t, signed, pdf.LevelLTA, s)
		ours(t, a.Root, archive, pdf.LevelLTA)
		r := pdftest.PyHanko(t, []*x509.Certificate{a.Root}, archive)[0]
		if len(r.Signatures) != 2 || r.Signatures[0].ADES != "OK" {
			t.Errorf("pyHanko: %+v", r)
		}
	}
	if n := len(s.Memory.Certificates()); n < 4 { // signatory, authority, issuer, root
		t.Errorf("%d certificates are remembered", n)
	}
	refused := func(what string, s pdf.Services, document []byte) {
		t.Helper()
		if n, err := pdf.Extend(context.Background(), bytes.NewReader(document), int64(len(document)), pdf.LevelLT, s, io.Discard); err == nil {
			t.Errorf("%s: %d bytes", what, n)
		}
	}
	// Other roots.
	stranger := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	other := s
	other.Roots = x509.NewCertPool()
	other.Roots.AddCert(stranger.Root)
	other.TSARoots = other.Roots
	refused("another's roots", other, signed)
	// A time when the path is not valid any more.
	later := s
	later.Now = func() time.Time { return a.Signer.NotAfter.Add(time.Hour) }
	b := pdftest.NewAuthorities(t, a.PKI)
	b.Clock = later.Now
	later.Timestamper = b
	refused("a path that ended", later, a.Sign(t, document, pdf.Options{}))
	// Answers of which none is about the certificate; with what was remembered of the
	// right ones they are not taken either.
	lies := s
	lies.Revocation = lying{s.Revocation, a.Issuer, a.Root}
	refused("an answer about another", lies, signed)
	broken := s
	broken.Revocation = failing{}
	refused("no answer", broken, signed)
}

type failing struct{}

func (failing) Revocation(context.Context, *x509.Certificate, *x509.Certificate) (pdf.Answer, error) {
	return pdf.Answer{}, errors.New("no answer")
}

// counting counts the bytes read of a document.
type counting struct {
	*bytes.Reader
	n int64
}

func (c *counting) ReadAt(b []byte, off int64) (int, error) {
	n, err := c.Reader.ReadAt(b, off)
	c.n += int64(n)
	return n, err
}

// A document that was hashed to be signed is not hashed again for what is appended
// to it, and everybody finds the time-stamp over all of it good.
func TestSignedDocumentIsNotHashedAgain(t *testing.T) {
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384} {
		a := pdftest.NewAuthorities(t, pdftest.New(t, cms.ECDSA, h, nil))
		a.Announce(t)
		const ballast = 8 << 20
		whole := pdftest.Document(pdftest.Shape{Padding: ballast})
		r := &counting{Reader: bytes.NewReader(whole)}
		d, err := pdf.Open(r, int64(len(whole)))
		if err != nil {
			t.Fatal(err)
		}
		p, err := d.Prepare(pdf.Options{Time: pdftest.Now()})
		if err != nil {
			t.Fatal(err)
		}
		toSign, original, err := p.Digest(h)
		if want := sha256.Sum256(whole); err != nil || !bytes.Equal(original, want[:]) {
			t.Fatalf("%v, the digest of the original is %x", err, original)
		}
		if again, same, err := p.Digest(h); err != nil || !bytes.Equal(again, toSign) || !bytes.Equal(same, original) {
			t.Errorf("another digest the second time, %v", err)
		}
		der := a.CMS(t, toSign)
		before := r.n
		signed, size, err := p.Signed(der)
		if err != nil {
			t.Fatal(err)
		}
		var more bytes.Buffer
		if _, err := pdf.Extend(context.Background(), signed, size, pdf.LevelT, a.Services(), &more); err != nil {
			t.Fatal(err)
		}
		if n := r.n - before; n > ballast/8 {
			t.Errorf("%v: %d bytes were read again", h, n)
		}
		var out bytes.Buffer
		if _, err := p.Complete(&out, der); err != nil {
			t.Fatal(err)
		}
		stamped := append(out.Bytes(), more.Bytes()...)
		ours(t, a.Root, stamped, pdf.LevelT)
		report := pdftest.PyHanko(t, []*x509.Certificate{a.Root}, stamped)[0]
		if len(report.Signatures) != 2 || !report.Signatures[0].Intact || !report.Signatures[1].Intact || !report.Signatures[1].Valid {
			t.Errorf("pyHanko: %+v", report)
		}
	}
}

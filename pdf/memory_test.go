package pdf_test

import (
	"bytes"
	"context"
	"crypto"
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

package pdf_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
)

// growing makes tokens larger by some bytes at each of a number of calls.
type growing struct {
	*pdftest.Authorities
	t         testing.TB
	by, times int
}

func (g *growing) Timestamp(ctx context.Context, h crypto.Hash, digest []byte) ([]byte, error) {
	if g.times > 0 {
		g.times--
		padding := pkix.Extension{Id: asn1.ObjectIdentifier{2, 999, 1}, Value: make([]byte, g.by)}
		g.More = append(g.More, pdftest.Issue(g.t, &x509.Certificate{SerialNumber: big.NewInt(int64(100 + len(g.More))), NotBefore: pdftest.Now().Add(-time.Hour),
			NotAfter: pdftest.Now().Add(time.Hour), ExtraExtensions: []pkix.Extension{padding}}, g.Issuer, g.TSAKey, g.IssuerKey))
	}
	return g.Authorities.Timestamp(ctx, h, digest)
}

// TestTimestampOutgrowsItsRoom: another token is asked for, with room for what
// came; a service whose tokens never fit is at fault, not the document.
func TestTimestampOutgrowsItsRoom(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	document := pdftest.Document(pdftest.Shape{})
	for _, by := range []int{10, 3_000, 20_000} {
		for times, want := range map[int]int32{0: 2, 1: 2, 2: 3, 3: 0} { // tokens
			a := pdftest.NewAuthorities(t, p)
			a.CRLs = true
			signed := stamped(t, a, document, pdf.Options{Certify: 1})
			a.Room = 100
			a.Stamps.Store(0)
			s := a.Services()
			s.Timestamper = &growing{a, t, by, times}
			var out bytes.Buffer
			n, err := pdf.Extend(context.Background(), bytes.NewReader(signed), int64(len(signed)), pdf.LevelLTA, s, &out)
			if want == 0 {
				var refused *pdf.Error
				if err == nil || errors.As(err, &refused) || n != 0 || out.Len() != 0 || a.Stamps.Load() != 3 {
					t.Errorf("%d bytes at each of %d calls: %v after %d tokens, %d bytes written", by, times, err, a.Stamps.Load(), out.Len())
				}
				continue
			}
			if err != nil || a.Stamps.Load() != want {
				t.Errorf("%d bytes at each of %d calls: %v after %d tokens, want %d", by, times, err, a.Stamps.Load(), want)
				continue
			}
			ours(t, a.Root, append(signed, out.Bytes()...), pdf.LevelLTA)
		}
	}
}

package verify_test

import (
	"bytes"
	"testing"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
	"github.com/mohor-sign/mohor/pdf/verify"
)

// TestLevelsByDocumentTimestamp: a signature whose time-stamp is one of the
// document is at B-LT when the document has the evidence for both.
func TestLevelsByDocumentTimestamp(t *testing.T) {
	h := newHouse(t, cms.ECDSA)
	signed := h.Sign(t, pdftest.Document(pdftest.Shape{}), pdf.Options{Certify: 1})
	b := h.extend(signed, pdf.LevelT, false)
	// Evidence for the signatory alone: that of the same signature, made before
	// it had a time-stamp.
	alone := func(document []byte) []byte {
		d, err := pdf.Open(bytes.NewReader(document), int64(len(document)))
		if err != nil {
			t.Fatal(err)
		}
		var e pdf.Evidence
		for i, c := range []int{0, 1} {
			cert, issuer := h.Signer, h.Issuer
			if c == 1 {
				cert, issuer = h.Issuer, h.Root
			}
			a, err := h.Revocation(t.Context(), cert, issuer)
			if err != nil {
				t.Fatal(err)
			}
			if e.Certificates = append(e.Certificates, cert.Raw); i == 0 {
				e.OCSPs = append(e.OCSPs, a.OCSP)
			} else {
				e.CRLs = append(e.CRLs, a.CRL)
			}
		}
		u, err := d.AddEvidence(map[string]pdf.Evidence{"Signature1": e})
		if err != nil {
			t.Fatal(err)
		}
		out := bytes.NewBuffer(bytes.Clone(document))
		if _, err := u.Append(out); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	for name, c := range map[string]struct {
		document []byte
		level    string
	}{
		"time-stamp":                              {b, "B-T"},
		"time-stamp, evidence of the signatory":   {alone(b), "B-T"},
		"time-stamp, evidence":                    {h.extend(b, pdf.LevelLT, false), "B-LT"},
		"time-stamp, evidence, time-stamp":        {h.extend(b, pdf.LevelLTA, false), "B-LTA"},
		"evidence of the signatory, a time-stamp": {h.extend(alone(signed), pdf.LevelT, false), "B-LTA"},
	} {
		r := check(t, c.document, h.options())
		s := r.Signatures[0]
		if r.Verdict != verify.Valid || s.Level != c.level || s.TimeSource != "timestamp" || !s.SignedAt.Equal(*r.Timestamps[0].Time) {
			t.Errorf("%s: %s %s by %s at %v %s", name, r.Verdict, s.Level, s.TimeSource, s.SignedAt, describe(r))
		}
	}
}

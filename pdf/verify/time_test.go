package verify_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
	"github.com/mohor-sign/mohor/pdf/verify"
)

// list makes a CRL of the issuer that revokes a serial number at a time.
func (h *house) list(serial *big.Int, revoked, issued time.Time) *x509.RevocationList {
	h.t.Helper()
	template := &x509.RevocationList{Number: big.NewInt(7), ThisUpdate: issued, NextUpdate: issued.Add(time.Hour)}
	if serial != nil {
		template.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: serial, RevocationTime: revoked}}
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, h.Issuer, h.IssuerKey)
	if err != nil {
		h.t.Fatal(err)
	}
	crl, err := x509.ParseRevocationList(der)
	if err != nil {
		h.t.Fatal(err)
	}
	return crl
}

// TestTimesAndRevocation: what a time-stamp proves outlives revocation and
// expiry, what is only claimed does not.
func TestTimesAndRevocation(t *testing.T) {
	h := newHouse(t, cms.ECDSA)
	now := pdftest.Now()
	document := pdftest.Document(pdftest.Shape{})
	b := h.Sign(t, document, pdf.Options{})
	stamped := h.stamped(document, pdf.Options{})
	long := h.extend(stamped, pdf.LevelLT, false)
	archive := h.extend(long, pdf.LevelLTA, false)
	signer, tsa := h.Signer.SerialNumber, h.TSA.SerialNumber
	hour := func(n int) time.Time { return now.Add(time.Duration(n) * time.Hour) }
	for name, c := range map[string]struct {
		document []byte
		at       time.Time
		lists    []*x509.RevocationList
		want     string
	}{
		"B-B":                             {b, now, []*x509.RevocationList{h.list(nil, now, now)}, "VALID "},
		"B-B, revoked before":             {b, now, []*x509.RevocationList{h.list(signer, hour(-2), now)}, "INVALID certificate_revoked"},
		"B-B, revoked after the claim":    {b, hour(3), []*x509.RevocationList{h.list(signer, hour(2), hour(3))}, "INDETERMINATE revoked_no_proof"},
		"B-B, old list":                   {b, hour(3), []*x509.RevocationList{h.list(nil, now, now)}, "INDETERMINATE revocation_unknown"},
		"B-B, list of tomorrow":           {b, now, []*x509.RevocationList{h.list(nil, now, hour(24))}, "INDETERMINATE revocation_unknown"},
		"B-B, expired":                    {b, hour(130), []*x509.RevocationList{h.list(nil, now, hour(130))}, "INDETERMINATE certificate_expired revocation_unknown"},
		"B-T, revoked later":              {stamped, hour(3), []*x509.RevocationList{h.list(signer, hour(2), hour(3))}, "VALID "},
		"B-T, revoked before":             {stamped, hour(3), []*x509.RevocationList{h.list(signer, hour(-2), hour(3))}, "INVALID certificate_revoked"},
		"B-T, expired":                    {stamped, hour(130), []*x509.RevocationList{h.list(nil, now, hour(100)), h.list(nil, now, hour(130))}, "VALID "},
		"B-T, authority revoked":          {stamped, hour(3), []*x509.RevocationList{h.list(tsa, hour(2), hour(3))}, "VALID "},
		"B-T, authority revoked, expired": {stamped, hour(130), []*x509.RevocationList{h.list(tsa, hour(2), hour(119)), h.list(tsa, hour(2), hour(130))}, "INDETERMINATE certificate_expired revocation_unknown"},
		"B-LT, alone":                     {long, now, nil, "VALID "},
		"B-LTA, alone":                    {archive, now, nil, "VALID "},
		"B-LTA, signer revoked later":     {archive, hour(3), []*x509.RevocationList{h.list(signer, hour(2), hour(3))}, "VALID "},
		"B-LT, newer list":                {long, now.Add(20 * time.Minute), []*x509.RevocationList{h.list(nil, now.Add(10*time.Minute), hour(3))}, "VALID "},
		"B-LTA, newer list":               {archive, hour(3), []*x509.RevocationList{h.list(nil, hour(2), hour(3))}, "VALID "},
		"B-LTA, expired":                  {archive, hour(130), []*x509.RevocationList{h.list(nil, now, hour(130))}, "VALID "},
	} {
		o := verify.Options{Roots: h.Roots(), Now: c.at, CRLs: c.lists}
		r := check(t, c.document, o)
		if got := string(r.Verdict) + " " + codes(r); got != c.want {
			t.Errorf("%s: %s, want %s %s", name, got, c.want, describe(r))
		}
		// What is in the document makes its level, whatever else is known.
		if level, _, _ := strings.Cut(name, ","); strings.HasPrefix(level, "B-L") && r.Signatures[0].Level != level {
			t.Errorf("%s: level %s", name, r.Signatures[0].Level)
		}
	}
	if r := check(t, b, verify.Options{Roots: h.Roots(), Now: now, RequireRevocation: true}); codes(r) != "revocation_unknown revocation_unknown" || r.SubIndication != "TRY_LATER" {
		t.Errorf("nothing known: %s %s", codes(r), r.SubIndication)
	}
	other := newHouse(t, cms.ECDSA)
	o := h.options()
	o.TSARoots = other.Roots()
	if r := check(t, archive, o); r.Verdict != verify.Valid || r.Signatures[0].Level != "B-B" || r.Timestamps[0].Verdict != verify.Indeterminate {
		t.Errorf("authority not trusted: %s, level %s", r.Verdict, r.Signatures[0].Level)
	}
}

// TestTimestampRootsAreForTimestamps: who is trusted to say when says nothing of who
// signed, whatever else is known of the signatory's chain.
func TestTimestampRootsAreForTimestamps(t *testing.T) {
	h, ours := newHouse(t, cms.ECDSA), newHouse(t, cms.ECDSA)
	document := pdftest.Document(pdftest.Shape{})
	digest := make([]byte, 32)
	der := h.CMS(t, digest)
	for name, roots := range map[string]*x509.CertPool{"others": ours.Roots(), "none": nil} {
		o := verify.Options{Roots: roots, TSARoots: h.Roots(), Now: pdftest.Now(), Intermediates: []*x509.Certificate{h.Issuer, h.Root}, CRLs: []*x509.RevocationList{h.list(nil, pdftest.Now(), pdftest.Now())}}
		for level, signed := range map[string][]byte{"B-B": h.Sign(t, document, pdf.Options{}), "B-T": h.stamped(document, pdf.Options{})} {
			r := check(t, signed, o)
			if r.Verdict != verify.Indeterminate || !strings.Contains(codes(r), "chain_unknown") {
				t.Errorf("%s, roots: %s: %s %s", level, name, r.Verdict, codes(r))
			}
			for _, stamp := range r.Signatures[0].Timestamps {
				if stamp.Verdict != verify.Valid {
					t.Errorf("%s, roots: %s: the time-stamp is %s", level, name, stamp.Verdict)
				}
			}
		}
		if s := verify.Detached(digest, der, o); s.Verdict != verify.Indeterminate || s.Reasons[0].Code != "chain_unknown" {
			t.Errorf("detached, roots: %s: %s %+v", name, s.Verdict, s.Reasons)
		}
	}
}

// TestResponders judges who answers, and about whom.
func TestResponders(t *testing.T) {
	h, other := newHouse(t, cms.ECDSA), newHouse(t, cms.ECDSA)
	b := h.Sign(t, pdftest.Document(pdftest.Shape{}), pdf.Options{})
	now := pdftest.Now()
	respond := func(issuer, responder *x509.Certificate, key crypto.Signer, change func(*ocsp.Response)) []byte {
		r := ocsp.Response{Status: ocsp.Good, SerialNumber: h.Signer.SerialNumber, ThisUpdate: now, NextUpdate: now.Add(time.Hour), Certificate: responder}
		if change != nil {
			change(&r)
		}
		der, err := ocsp.CreateResponse(issuer, responder, r, key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	for name, c := range map[string]struct {
		der  []byte
		want string
	}{
		"delegated":         {respond(h.Issuer, h.Responder, h.ResponderKey, nil), "good"},
		"issuer itself":     {respond(h.Issuer, h.Issuer, h.IssuerKey, nil), "good"},
		"revoked":           {respond(h.Issuer, h.Responder, h.ResponderKey, func(r *ocsp.Response) { r.Status, r.RevokedAt = ocsp.Revoked, now.Add(-time.Hour) }), "revoked"},
		"unknown":           {respond(h.Issuer, h.Responder, h.ResponderKey, func(r *ocsp.Response) { r.Status = ocsp.Unknown }), "unknown"},
		"another serial":    {respond(h.Issuer, h.Responder, h.ResponderKey, func(r *ocsp.Response) { r.SerialNumber = big.NewInt(99) }), "unknown"},
		"expired":           {respond(h.Issuer, h.Responder, h.ResponderKey, func(r *ocsp.Response) { r.ThisUpdate, r.NextUpdate = now.Add(-3*time.Hour), now.Add(-2*time.Hour) }), "unknown"},
		"future":            {respond(h.Issuer, h.Responder, h.ResponderKey, func(r *ocsp.Response) { r.ThisUpdate, r.NextUpdate = now.Add(3*time.Hour), now.Add(4*time.Hour) }), "unknown"},
		"signer's own":      {respond(h.Issuer, h.Signer, h.Key, nil), "unknown"},
		"time-stamp unit":   {respond(h.Issuer, h.TSA, h.TSAKey, nil), "unknown"},
		"another issuer":    {respond(other.Issuer, other.Responder, other.ResponderKey, nil), "unknown"},
		"another responder": {respond(h.Issuer, other.Responder, other.ResponderKey, nil), "unknown"},
		"garbage":           {[]byte{0x30, 3, 10, 1, 0}, "unknown"},
		"nothing":           {nil, "unknown"},
	} {
		o := verify.Options{Roots: h.Roots(), Now: now, Fetch: answering(c.der)}
		r := check(t, b, o)
		if got := r.Signatures[0].Revocation.Status; got != c.want || (r.Verdict == verify.Valid) != (c.want == "good") {
			t.Errorf("%s: %s, %s", name, got, r.Verdict)
		}
	}
}

func answering(der []byte) func(context.Context, *x509.Certificate, *x509.Certificate) ([]byte, []byte, error) {
	return func(context.Context, *x509.Certificate, *x509.Certificate) ([]byte, []byte, error) {
		return der, nil, nil
	}
}

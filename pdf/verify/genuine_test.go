package verify_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/corpus"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
	"github.com/mohor-sign/mohor/pdf/verify"
)

// house signs, stamps and extends.
type house struct {
	*pdftest.Authorities
	t testing.TB
}

func newHouse(t testing.TB, alg cms.Algorithm) *house {
	a := pdftest.NewAuthorities(t, pdftest.New(t, alg, crypto.SHA256, nil))
	now := pdftest.Now() // for the whole test
	a.Clock = func() time.Time { return now }
	return &house{a, t}
}

func (h *house) options() verify.Options {
	return verify.Options{Roots: h.Roots(), Now: h.Clock(), RequireRevocation: true, Fetch: h.fetch}
}

// Sign signs at the house's time, however long the test takes.
func (h *house) Sign(t testing.TB, document []byte, o pdf.Options) []byte {
	t.Helper()
	o.Time = h.Clock()
	return h.Authorities.Sign(t, document, o)
}

func (h *house) fetch(ctx context.Context, cert, issuer *x509.Certificate) (ocsp, crl []byte, err error) {
	a, err := h.Revocation(ctx, cert, issuer)
	return a.OCSP, a.CRL, err
}

// stamped signs a document with a time-stamp (B-T).
func (h *house) stamped(document []byte, o pdf.Options) []byte {
	h.t.Helper()
	d, err := pdf.Open(bytes.NewReader(document), int64(len(document)))
	if err != nil {
		h.t.Fatal(err)
	}
	o.Time, o.Level = h.Clock(), pdf.LevelT
	o.ContentsSize = h.Builder(h.t).Size() + h.TokenSize()
	p, err := d.Prepare(o)
	if err != nil {
		h.t.Fatal(err)
	}
	digest, _, err := p.Digest(h.Hash)
	if err != nil {
		h.t.Fatal(err)
	}
	der := h.CMS(h.t, digest)
	sd, err := cms.Parse(der)
	if err != nil {
		h.t.Fatal(err)
	}
	imprint := sha256.Sum256(sd.SignatureValue())
	token, err := h.Timestamp(context.Background(), crypto.SHA256, imprint[:])
	if err != nil {
		h.t.Fatal(err)
	}
	if der, err = cms.AddTimestamp(der, token); err != nil {
		h.t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := p.Complete(&out, der); err != nil {
		h.t.Fatal(err)
	}
	return out.Bytes()
}

func (h *house) extend(document []byte, level pdf.Level, renew bool) []byte {
	h.t.Helper()
	var out bytes.Buffer
	s := h.Services()
	s.Renew = renew
	if _, err := pdf.Extend(context.Background(), bytes.NewReader(document), int64(len(document)), level, s, &out); err != nil {
		h.t.Fatal(err)
	}
	return append(bytes.Clone(document), out.Bytes()...)
}

// made is a genuine document with what is to be said of it.
type made struct {
	name     string
	document []byte
	levels   string // of its signatures
}

func mark(page int, x float64) *pdf.Visible {
	return &pdf.Visible{Page: page, X: x, Y: 60, Width: 120, Height: 40, Lines: []string{"Ditandatangani secara digital"}}
}

// genuine makes documents of every level, certified and signed several times.
func (h *house) genuine(document []byte) []made {
	sign := func(b []byte, o pdf.Options) []byte { return h.Sign(h.t, b, o) }
	b := sign(document, pdf.Options{})
	t := h.stamped(document, pdf.Options{})
	lt := h.extend(t, pdf.LevelLT, false)
	lta := h.extend(lt, pdf.LevelLTA, false)
	two := sign(sign(document, pdf.Options{Visible: mark(1, 40)}), pdf.Options{Visible: mark(1, 240)})
	three := sign(two, pdf.Options{Field: "Pengarah"})
	certified := sign(document, pdf.Options{Certify: 2, Visible: mark(1, 40)})
	out := []made{
		{"B-B", b, "B-B"}, {"B-T", t, "B-T"}, {"B-LT", lt, "B-LT"}, {"B-LTA", lta, "B-LTA"},
		{"B-LTA renewed", h.extend(lta, pdf.LevelLTA, true), "B-LTA"},
		{"visible", sign(document, pdf.Options{Visible: mark(1, 40)}), "B-B"},
		{"two signatures", two, "B-B B-B"}, {"three signatures", three, "B-B B-B B-B"},
		{"three signatures, B-LTA", h.extend(three, pdf.LevelLTA, false), "B-LTA B-LTA B-LTA"},
		{"signed after B-LTA", h.stamped(lta, pdf.Options{}), "B-LTA B-LT"},
		{"certified 2", certified, "B-B"},
		{"certified 2, signed", sign(certified, pdf.Options{}), "B-B B-B"},
		{"certified 2, B-LTA", h.extend(certified, pdf.LevelLTA, false), "B-LTA"},
		{"certified 1, B-LTA", h.extend(sign(document, pdf.Options{Certify: 1}), pdf.LevelLTA, false), "B-LTA"},
		{"certified 3, signed", sign(sign(document, pdf.Options{Certify: 3}), pdf.Options{}), "B-B B-B"},
		{"locked, signed", sign(sign(document, pdf.Options{Lock: &pdf.Lock{Action: pdf.LockInclude, Fields: []string{"Nama"}}}), pdf.Options{}), "B-B B-B"},
	}
	return out
}

func TestGenuineDocumentsAreValid(t *testing.T) {
	for _, alg := range []cms.Algorithm{cms.ECDSA, cms.RSAPKCS1} {
		h := newHouse(t, alg)
		for _, m := range h.genuine(pdftest.Document(pdftest.Shape{Pages: 3})) {
			r := check(t, m.document, h.options())
			var levels []string
			for _, s := range r.Signatures {
				levels = append(levels, s.Level)
			}
			if r.Verdict != verify.Valid || strings.Join(levels, " ") != m.levels || r.Indication != "TOTAL-PASSED" {
				t.Errorf("%s %s: %s %s, levels %s: %s", alg, m.name, r.Verdict, codes(r), levels, describe(r))
			}
		}
	}
}

// describe shows reasons with their details, and changes.
func describe(r *verify.Report) string {
	var b strings.Builder
	reasons := func(of string, list []verify.Reason) {
		for _, reason := range list {
			fmt.Fprintf(&b, "\n  %s: %s %s", of, reason.Code, reason.Detail)
		}
	}
	reasons("document", r.Reasons)
	for _, s := range r.Signatures {
		reasons(s.Field, s.Reasons)
		fmt.Fprintf(&b, "\n  %s: changes %q", s.Field, s.Changes)
		for _, ts := range s.Timestamps {
			reasons(s.Field+" time-stamp", ts.Reasons)
		}
	}
	for _, ts := range r.Timestamps {
		reasons(ts.Field, ts.Reasons)
	}
	return b.String()
}

// TestMutationsAreNotValid tampers with genuine documents in all the ways of
// the corpus.
func TestMutationsAreNotValid(t *testing.T) {
	h := newHouse(t, cms.ECDSA)
	one, other := h.genuine(pdftest.Document(pdftest.Shape{Pages: 3})), h.genuine(pdftest.Document(pdftest.Shape{Pages: 2}))
	counts := map[string]int{}
	for i, m := range one {
		mutations, err := corpus.Mutations(m.document, other[i].document)
		if err != nil {
			t.Fatalf("%s: %v", m.name, err)
		}
		o := h.options()
		control := check(t, m.document, o)
		for _, mutation := range mutations {
			counts[mutation.Class]++
			r := check(t, mutation.Data, o)
			if r.Verdict == verify.Valid && !harmless(m.document, mutation.Data) && !(mutation.Class == corpus.Spare && spared(t, control, r)) {
				t.Errorf("%s, %s: %s is VALID %s", m.name, mutation.Class, mutation.Name, describe(r))
			}
		}
	}
	for _, s := range corpus.Shadows() {
		for name, o := range map[string]pdf.Options{"": {}, "certified 2": {Certify: 2}, "certified 3": {Certify: 3}} {
			signed := h.Sign(t, s.Document, o)
			if r := check(t, signed, h.options()); r.Verdict != verify.Valid {
				t.Errorf("%s, %s: control is %s %s", s.Name, name, r.Verdict, codes(r))
			}
			tampered, err := s.Tamper(signed)
			if err != nil {
				t.Fatalf("%s: %v", s.Name, err)
			}
			counts[corpus.ShadowAttack]++
			if r := check(t, tampered, h.options()); r.Verdict == verify.Valid {
				t.Errorf("%s, %s is VALID %s", s.Name, name, describe(r))
			}
		}
	}
	for _, class := range corpus.Classes() {
		if counts[class] == 0 {
			t.Errorf("no mutation of class %s", class)
		}
		t.Logf("%-22s %6d", class, counts[class])
	}
}

// spared: a bit flipped in what CMS leaves unsigned, as versions and
// certificates that nobody needs, and nothing else is said than before, or a
// time-stamp is called something else, and so there is one less.
func spared(t *testing.T, before, after *verify.Report) bool {
	for i, s := range after.Signatures {
		if len(s.Timestamps) < len(before.Signatures[i].Timestamps) {
			return true
		}
	}
	a, err1 := json.Marshal(before)
	b, err2 := json.Marshal(after)
	return err1 == nil && err2 == nil && bytes.Equal(a, b)
}

// harmless: the case of hexadecimal digits differs, or the last line of what
// no signature covers has lost its end.
func harmless(document, mutated []byte) bool {
	return bytes.EqualFold(document, mutated) || bytes.Equal(document, append(bytes.Clone(mutated), '\n')) && bytes.HasSuffix(mutated, []byte("%%EOF"))
}

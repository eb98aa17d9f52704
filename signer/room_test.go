package signer_test

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/pdf/verify"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store"
	"github.com/mohor-sign/mohor/store/storetest"
)

// forgetful is a register in which the time-stamp unit's certificate is gone.
type forgetful struct{ *store.DB }

func (f forgetful) AuthorityCertificate(ctx context.Context, name string) (ca.Certificate, error) {
	if name == ca.TSA {
		return ca.Certificate{}, ca.ErrUnknown
	}
	return f.DB.AuthorityCertificate(ctx, name)
}

// replaced is the authority with another certificate of its time-stamp unit,
// larger by more bytes or a little less.
func (h *house) replaced(t testing.TB, more int) *ca.Authorities {
	t.Helper()
	p := storetest.Profile()
	p.PublicURL += "/" + strings.Repeat("x", more/3-1) // it is there three times
	a, err := ca.Load(ctx, p, h.Keys, forgetful{h.DB}, h.Clock.Now)
	must(t, err)
	_, _, err = a.Renew(ctx)
	must(t, err)
	return a
}

// replacing is an authority whose unit gets its new certificate when it is
// first asked for a token; with an outage that token fails.
type replacing struct {
	*services
	next   *ca.Authorities
	outage bool
	sizes  []int
}

func (r *replacing) Timestamp(ctx context.Context, h crypto.Hash, digest []byte) ([]byte, error) {
	if r.next != nil {
		r.Authorities, r.next = r.next, nil
		if r.outage {
			return nil, errOutage
		}
	}
	token, err := r.services.Timestamp(ctx, h, digest)
	r.sizes = append(r.sizes, len(token))
	return token, err
}

// TestTokenOutgrowsItsRoom: the unit's new certificate makes tokens larger
// than the room a signature was made with. The key is used once, the document
// gets to its level, and the time told is that which the document proves.
func TestTokenOutgrowsItsRoom(t *testing.T) {
	for _, level := range []string{"B-T", "B-LT", "B-LTA"} {
		for _, more := range []int{10, 900, 3_000, 20_000} {
			for certify, outage := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/outage=%v/certify=%d", level, more, outage, certify), func(t *testing.T) {
					outgrown(t, level, more, outage, certify)
				})
			}
		}
	}
}

func outgrown(t *testing.T, level string, more int, outage bool, certify int) {
	h := newHouse(t)
	r := &replacing{services: h.serve(t), next: h.replaced(t, more), outage: outage}
	if grown := r.next.TokenSize() - r.TokenSize(); grown < more-8 || grown > more+32 {
		t.Fatalf("the token grew by %d bytes, not %d", grown, more)
	}
	h.s.Timestamps, h.s.Revocation = r, r
	a := h.pdfs(t, storetest.PDF("satu"))
	a.Options.Level, a.Options.Certify = level, certify
	items, files := h.signed(t, a)
	if len(files) != 1 {
		t.Fatalf("refused: %+v", items)
	}
	if n := h.Keys.Signs.Load(); n != 1 {
		t.Errorf("the officer's key was used %d times", n)
	}
	report := h.verdict(t, files[0], nil)
	s := report.Signatures[0]
	if report.Verdict != verify.Valid || s.Level != level || s.TimeSource != "timestamp" || !s.SignedAt.Equal(items[0].Timestamp.Truncate(time.Second)) {
		t.Errorf("%s %s by %s at %v, told %v: %+v %+v", report.Verdict, s.Level, s.TimeSource, s.SignedAt, items[0].Timestamp, report.Reasons, s.Reasons)
	}
	own, document := 1, 0
	if more > 1000 {
		own, document = 0, 1
	}
	if level == "B-LTA" {
		document++
	}
	if len(s.Timestamps) != own || len(report.Timestamps) != document {
		t.Errorf("%d time-stamps of the signature, %d of the document", len(s.Timestamps), len(report.Timestamps))
	}
	if want := 1 + document; len(r.sizes) != want {
		t.Errorf("%d tokens asked for, want %d", len(r.sizes), want)
	}
}

// TestNoRoomAndNoNewField: a document in which its owner permits no new field
// takes no time-stamp either. It waits, and the next authorisation makes room.
func TestNoRoomAndNoNewField(t *testing.T) {
	h := newHouse(t)
	r := &replacing{services: h.serve(t), next: h.replaced(t, 3_000)}
	h.s.Timestamps, h.s.Revocation = r, r
	document := encrypt(t, with("/AcroForm<</Fields[6 0 R]>>", "<</FT/Sig/T(a)>>"), "", "--modify=form")
	a := h.pdfs(t, document)
	a.Options.Level, a.Options.Field = "B-T", "a"
	auth := h.authorize(t, a)
	docs, err := h.s.Claim(ctx, auth, 1)
	must(t, err)
	for range 2 {
		out, err := signOne(h.s, auth, docs[0])
		if !errors.Is(err, signer.ErrTimestamp) || out.Refused != nil {
			t.Fatalf("%v, refused %v", err, out.Refused)
		}
	}
	if n := h.Keys.Signs.Load(); n != 1 {
		t.Errorf("the officer's key was used %d times", n)
	}
	a = h.pdfs(t, document)
	a.Options.Level, a.Options.Field = "B-T", "a"
	_, files := h.signed(t, a)
	if report := h.verdict(t, files[0], nil); report.Verdict != verify.Valid || report.Signatures[0].Level != "B-T" {
		t.Errorf("%+v", report)
	}
}

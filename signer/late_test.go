package signer_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/storetest"
)

// content is what a blob holds, "" when there is none.
func (h *house) content(t testing.TB, blob string) string {
	t.Helper()
	b, err := h.blobs.Open(ctx, blob)
	if err != nil {
		return ""
	}
	defer b.Close()
	whole, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	must(t, err)
	return string(whole)
}

// Who comes too late with a signed file, because somebody else was authorised for it meanwhile,
// replaces nothing and leaves nothing.
func TestLateSignatureReplacesNothing(t *testing.T) {
	h := newHouse(t)
	a := h.authorize(t, h.pdfs(t, storetest.PDF("satu"), storetest.PDF("dua"), storetest.PDF("tiga")))
	claimed, err := h.s.Claim(ctx, a, 3)
	must(t, err)
	early, err := signOne(h.s, a, claimed[0])
	must(t, err)
	must(t, h.s.Abandon(ctx, a.Intent, signer.ErrDeadline)) // as Sweep does

	again := h.Ask(0)
	again.Documents, again.Batch, again.Options = nil, a.Request.Batch, signer.Options{Format: signer.PADES}
	b := h.authorize(t, again)
	must(t, h.run(b))
	var files []string
	for _, it := range h.items(t, a.Request) {
		files = append(files, h.content(t, it.SignedBlob))
	}
	late, err := signOne(h.s, a, claimed[1])
	must(t, err)
	if _, err := h.s.Complete(ctx, a, []signer.Outcome{late}); !errors.Is(err, signer.ErrFence) {
		t.Fatalf("completing too late: %v", err)
	}
	inHand, err := signOne(h.s, a, claimed[2])
	must(t, err)
	if err := h.s.Discard(ctx, a, []signer.Outcome{inHand}, signer.ErrFence); !errors.Is(err, signer.ErrFence) {
		t.Errorf("discarding: %v", err)
	}
	for k, it := range h.items(t, a.Request) {
		if it.State != batch.ItemSigned || files[k] == "" || h.content(t, it.SignedBlob) != files[k] {
			t.Errorf("document %d is %s, and its file another", k, it.State)
		}
	}
	for what, o := range map[string]signer.Outcome{"before it was abandoned": early, "after that": late, "and never stored": inHand} {
		if h.content(t, o.Blob) != "" {
			t.Errorf("what was signed %s is still there", what)
		}
	}
}

// CMS says the time of the intent, not that of the question; who goes on with the intent after a crash
// signs the same.
func TestSigningTimeIsTheIntents(t *testing.T) {
	h, _ := withShares(t)
	ask := h.sealed(t, 2)
	ask.Options = signer.Options{Format: signer.CMS}
	r, f := h.prepare(t, ask)
	h.Clock.Advance(4 * time.Minute)
	a, err := h.s.Authorize(ctx, f)
	must(t, err)
	if !a.Intent.CreatedAt.Equal(r.CreatedAt.Add(4 * time.Minute)) {
		t.Fatalf("asked at %s, authorised at %s", r.CreatedAt, a.Intent.CreatedAt)
	}
	at := func(o signer.Outcome) time.Time {
		t.Helper()
		sd, err := cms.Parse(o.Signature)
		must(t, err)
		return sd.SigningTime
	}
	claimed, err := h.s.Claim(ctx, a, 2)
	must(t, err)
	before, err := signOne(h.s, a, claimed[1])
	must(t, err)
	h.crash(t, a)
	h.Clock.Advance(time.Minute)
	a = h.recovers(t)
	claimed, err = h.s.Claim(ctx, a, 2)
	must(t, err)
	after, err := signOne(h.s, a, claimed[1])
	must(t, err)
	if want := r.CreatedAt.Add(4 * time.Minute); !at(before).Equal(want) || !at(after).Equal(want) {
		t.Errorf("signed at %s, and after a crash at %s; want %s", at(before), at(after), want)
	}
}

package signer_test

import (
	"testing"
	"time"

	"github.com/mohor-sign/mohor/signer"
)

// An authorisation whose run was lost ends at its deadline, and not before.
func TestSweepEndsLostAuthorisations(t *testing.T) {
	h := newHouse(t)
	r, f := h.prepare(t, h.Ask(2))
	a, err := h.s.Authorize(ctx, f)
	must(t, err)
	must(t, a.Close())
	status := func() signer.Status {
		got, err := h.s.Request(ctx, r.App, r.ID)
		must(t, err)
		return got.Status
	}
	h.Clock.Advance(a.Intent.Deadline.Sub(h.Clock.Now()) - time.Second)
	if n, err := h.s.Sweep(ctx); n != 0 || err != nil || status() != signer.Signing {
		t.Fatalf("before the deadline: %d, %v, %s", n, err, status())
	}
	h.Clock.Advance(time.Second)
	if n, err := h.s.Sweep(ctx); n != 1 || err != nil || status() != signer.NeedsAuthorisation {
		t.Fatalf("at the deadline: %d, %v, %s", n, err, status())
	}
	if n, err := h.s.Sweep(ctx); n != 0 || err != nil {
		t.Fatalf("again: %d, %v", n, err)
	}
}

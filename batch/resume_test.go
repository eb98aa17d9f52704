package batch_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/storetest"
)

// An orderly stop leaves a batch for the next start, when there is one half of
// its activation elsewhere and time left; whatever it leaves, no key stays open.
func TestStopLeavesABatchForTheNextStart(t *testing.T) {
	for what, c := range map[string]struct {
		left  bool
		alter func(h *house, s *storetest.Shares)
	}{
		"time enough":                   {true, func(*house, *storetest.Shares) {}},
		"the deadline is near":          {false, func(h *house, _ *storetest.Shares) { h.Clock.Advance(10*time.Minute + 30*time.Second) }},
		"no place for shares":           {false, func(h *house, _ *storetest.Shares) { h.s.Shares = nil }},
		"the share could not be stored": {false, func(h *house, s *storetest.Shares) { s.Fail = func(string, bool) error { return errAway } }},
	} {
		t.Run(what, func(t *testing.T) {
			h := newHouse(t)
			shares := storetest.NewShares(h.Clock.Now)
			h.s.Shares = shares
			if what != "the deadline is near" {
				c.alter(h, shares)
			}
			id := h.sealed(t, 40)
			a := h.authorize(t, id)
			run, stop := context.WithCancel(ctx)
			defer stop()
			h.hook(11, func() error {
				if what == "the deadline is near" {
					c.alter(h, shares)
				}
				stop()
				return nil
			})
			if err := batch.NewRunner(h.s, 1, 1, quiet).Run(run, a); !errors.Is(err, batch.ErrShutdown) {
				t.Errorf("%v, want %v", err, batch.ErrShutdown)
			}
			if n := h.Keys.Live.Load(); n != 0 {
				t.Errorf("%d keys are open", n)
			}
			want := map[bool]signer.Status{true: signer.Signing, false: signer.NeedsAuthorisation}[c.left]
			if got := h.status(t, a); got != want || (shares.Len() == 1) != c.left {
				t.Fatalf("the transaction is %s with %d shares", got, shares.Len())
			}
			if !c.left {
				h.settled(t, id, -1)
				return
			}
			records := storetest.Chain(t, h.DB)
			if last := records[len(records)-1]; last.Action != "signer.leave" || last.Detail["intent"] != a.Intent.ID {
				t.Errorf("the last record is %+v", last.Event)
			}
			h.Keys.OnSign = nil
			resumed, abandoned, err := h.s.Recover(ctx)
			if err != nil || len(resumed) != 1 || abandoned != 0 {
				t.Fatalf("%d resumed, %d abandoned, %v", len(resumed), abandoned, err)
			}
			must(t, batch.NewRunner(h.s, 4, 8, quiet).Run(ctx, resumed[0]))
			h.settled(t, id, 40)
			if h.Keys.Opens.Load() != 1 || h.status(t, a) != signer.Signed || shares.Len() != 0 {
				t.Errorf("%d PINs, %s, %d shares", h.Keys.Opens.Load(), h.status(t, a), shares.Len())
			}
		})
	}
}

// seen gives away the context of the first claim.
type seen struct {
	storetest.Records
	run chan context.Context
}

func (s *seen) Claim(ctx context.Context, run signer.Run, n int) ([]signer.Claimed, error) {
	select {
	case s.run <- ctx:
	default:
	}
	return s.Records.Claim(ctx, run, n)
}

// Cancelling while signing stops after the document in work and destroys the
// key and both halves of its activation.
func TestCancelWhileSigning(t *testing.T) {
	h := newHouse(t)
	shares := storetest.NewShares(h.Clock.Now)
	records := &seen{Records: h.DB, run: make(chan context.Context, 1)}
	h.s = h.Signer(records, h.blobs)
	h.s.Shares = shares
	id := h.sealed(t, 40)
	a := h.authorize(t, id)
	runner := batch.NewRunner(h.s, 1, 1, quiet)
	started := make(chan struct{})
	h.hook(11, func() error {
		close(started)
		<-(<-records.run).Done() // the cancellation has reached the run
		return nil
	})
	runner.Start(a)
	<-started
	wants := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	wants("another app", runner.Cancel(ctx, "other", a.Request.ID, "r"), signer.ErrUnknown)
	must(t, runner.Cancel(ctx, h.App.ID, a.Request.ID, "r"))
	b := h.batch(t, id)
	if b.Status != batch.NeedsAuthorisation || b.Signed < 10 || b.Signed > 11 || h.status(t, a) != signer.NeedsAuthorisation || shares.Len() != 0 {
		t.Errorf("%+v, %s, %d shares", b, h.status(t, a), shares.Len())
	}
	h.settled(t, id, int(b.Signed))
	chain := storetest.Chain(t, h.DB)
	asked, last := false, chain[len(chain)-1]
	for _, r := range chain {
		asked = asked || r.Action == "transaction.cancel" && r.Object == a.Request.ID && r.Actor == "app:"+h.App.ID
	}
	if !asked || last.Action != "signer.abandon" || last.Detail["reason"] != signer.ErrCancelled.Error() {
		t.Errorf("asked for in the audit: %v; the last record is %+v", asked, last.Event)
	}
	wants("cancelling again", runner.Cancel(ctx, h.App.ID, a.Request.ID, "r"), signer.ErrFinished)
	runner.Shutdown()

	// One that waits is cancelled as ever, one that is signed is not.
	r, _, err := h.s.Prepare(ctx, h.ask(id))
	must(t, err)
	must(t, runner.Cancel(ctx, h.App.ID, r.ID, "r"))
	if got, err := h.s.Request(ctx, h.App.ID, r.ID); err != nil || got.Status != signer.Cancelled {
		t.Errorf("%s, %v", got.Status, err)
	}
	rest := h.authorize(t, id)
	must(t, runner.Run(ctx, rest))
	wants("a signed one", runner.Cancel(ctx, h.App.ID, rest.Request.ID, "r"), otp.ErrUsed)
}

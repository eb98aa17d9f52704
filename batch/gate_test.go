package batch_test

import (
	"context"
	"crypto"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/signer"
)

// Who waits is let in by turns of the batches, whatever one of them has waiting.
func TestGateTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := batch.NewGate(2)
		large, small, other := &batch.Lane{}, &batch.Lane{}, &batch.Lane{}
		var order []string
		inside := make(chan string)
		enter := func(l *batch.Lane, name string) {
			go func() {
				if g.Enter(t.Context(), l) == nil {
					inside <- name
				}
			}()
			synctest.Wait()
		}
		for range 2 {
			enter(large, "large")
		}
		for range 6 {
			enter(large, "large")
		}
		enter(small, "small")
		enter(small, "small")
		enter(other, "other")
		for range 2 {
			<-inside
		}
		select {
		case <-inside:
			t.Fatal("three were let in by a gate for two")
		default:
		}
		for range 9 {
			g.Leave()
			order = append(order, <-inside)
		}
		if want := []string{"large", "small", "other", "large", "small", "large", "large", "large", "large"}; !slices.Equal(order, want) {
			t.Errorf("let in: %v", order)
		}
		g.Leave()
		g.Leave()
		if free, idle := g.Idle(); free != 2 || !idle {
			t.Errorf("%d places free, idle %v", free, idle)
		}
	})
}

// Who gives up takes no place, also when it was just given one.
func TestGateForgetsWhoGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := batch.NewGate(1)
		a, b := &batch.Lane{}, &batch.Lane{}
		if err := g.Enter(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error, 2)
		for range 2 {
			go func() { gone <- g.Enter(ctx, b) }()
		}
		synctest.Wait()
		cancel()
		for range 2 {
			if err := <-gone; err == nil {
				t.Error("who gave up was let in")
			}
		}
		in := make(chan error)
		go func() { in <- g.Enter(t.Context(), b) }()
		synctest.Wait()
		g.Leave()
		if err := <-in; err != nil {
			t.Error(err)
		}
		g.Leave()
		if free, idle := g.Idle(); free != 1 || !idle {
			t.Errorf("%d places free, idle %v", free, idle)
		}
	})
}

// held is a time-stamp service that answers when it is let.
type held struct {
	*ca.Authorities
	asked chan struct{}
	let   chan struct{}
}

func (s *held) Timestamp(ctx context.Context, h crypto.Hash, digest []byte) ([]byte, error) {
	s.asked <- struct{}{}
	<-s.let
	return s.Authorities.Timestamp(ctx, h, digest)
}

// A batch that waits for time-stamps holds up no other.
func TestOthersGoOnWhileTimeStampsAreWaitedFor(t *testing.T) {
	h := newHouse(t)
	_, _, err := h.CA.Renew(ctx)
	must(t, err)
	s := &held{h.CA, make(chan struct{}, 100), make(chan struct{})}
	h.s.Timestamps = s
	r := batch.NewRunner(h.s, 2, 8, quiet)
	defer r.Shutdown()
	let := sync.OnceFunc(func() { close(s.let) })
	defer let() // before Shutdown waits
	slow, quick := h.sealed(t, 8), h.sealed(t, 20)
	ask := h.ask(slow)
	ask.Options = signer.Options{Format: signer.CMS, PAdES: signer.PAdES{Level: "B-T"}}
	q, c, err := h.s.Prepare(ctx, ask)
	must(t, err)
	a, err := h.s.Authorize(ctx, h.Confirm(q, c))
	must(t, err)
	r.Start(a)
	for range 2 * 2 { // each place of the gate has a parcel that waits, two documents of it at once
		<-s.asked
	}
	r.Start(h.authorize(t, quick))
	eventually(t, "the quick one waits", func() bool { return h.batch(t, quick).Status == batch.Signed })
	if b := h.batch(t, slow); b.Status != batch.Signing || b.Signed != 0 {
		t.Errorf("the slow one is %s, %d signed", b.Status, b.Signed)
	}
	let()
	eventually(t, "the slow one does not go on", func() bool { return h.batch(t, slow).Status == batch.Signed })
}

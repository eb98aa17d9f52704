package batch_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/mohor-sign/mohor/batch"
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

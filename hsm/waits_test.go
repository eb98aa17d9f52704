package hsm_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mohor-sign/mohor/hsm"
)

func TestBulkPlaces(t *testing.T) {
	for _, c := range []struct{ places, derivations, cores, want int }{
		{6, 0, 2, 6}, {6, 1, 2, 0}, {6, 2, 2, 0}, {3, 1, 1, 0}, {24, 1, 8, 18}, {24, 3, 8, 6}, {24, 4, 8, 0}, {24, 100, 8, 0}, {45, 2, 64, 42},
	} {
		if got := hsm.BulkPlaces(c.places, c.derivations, c.cores); got != c.want {
			t.Errorf("%d of %d places with %d key derivations on %d cores, want %d", got, c.places, c.derivations, c.cores, c.want)
		}
	}
}

// Bulk work goes on when the last key derivation has ended, and slowly while they never end.
func TestBulkWorkGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := hsm.NewWaits()
		took := func(ctx context.Context) time.Duration {
			began := time.Now()
			w.GiveWay(ctx)
			return time.Since(began)
		}
		if d := took(t.Context()); d != 0 {
			t.Errorf("waited %v for nobody", d)
		}
		for range 200 { // more than any machine has cores for
			w.Begin()
		}
		go func() {
			<-time.After(30 * time.Millisecond)
			for range 200 {
				w.End()
			}
		}()
		if d := took(t.Context()); d != 30*time.Millisecond {
			t.Errorf("waited %v for key derivations of 30 ms", d)
		}
		if d := took(t.Context()); d != 0 {
			t.Errorf("waited %v after they had ended", d)
		}
		for range 200 {
			w.Begin()
		}
		for range 3 {
			if d := took(t.Context()); d != hsm.GiveWayFor {
				t.Errorf("waited %v for key derivations without end", d)
			}
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if d := took(gone); d != 0 {
			t.Errorf("waited %v for nobody's signature", d)
		}
	})
}

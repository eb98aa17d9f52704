package hsm

import (
	"context"
	"runtime"
	"sync"
	"time"
)

// giveWayFor is how long bulk work gives way for one signature, at most: it goes on, slowly, however
// many people sign.
const giveWayFor = 100 * time.Millisecond

// waits counts the key derivations under way: for each, somebody waits. It takes a core for as long as
// dozens of signatures do, and what goes with it takes another.
type waits struct {
	mu    sync.Mutex
	n     int
	ended chan struct{} // closed when one ends; nil while nobody looks
}

func (w *waits) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n++
}

func (w *waits) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n--
	if w.ended != nil {
		close(w.ended)
		w.ended = nil
	}
}

// busy gives the number, and what is closed when it falls.
func (w *waits) busy() (int, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended == nil && w.n > 0 {
		w.ended = make(chan struct{})
	}
	return w.n, w.ended
}

// bulkPlaces is how many of the places for bulk work are its while that many key derivations run: two
// cores are not theirs for each.
func bulkPlaces(places, derivations, cores int) int {
	return max(0, places*(cores-2*derivations)/cores)
}

// giveWay waits while bulk work has all the places that are its.
func (w *waits) giveWay(ctx context.Context, p *pool) {
	var timer *time.Timer
	for {
		n, ended := w.busy()
		if n == 0 || len(p.bulk) < bulkPlaces(cap(p.bulk), n, runtime.NumCPU()) {
			return
		}
		if timer == nil {
			timer = time.NewTimer(giveWayFor)
			defer timer.Stop()
		}
		select {
		case <-ended:
		case <-timer.C:
			return
		case <-ctx.Done(): // the pool says so
			return
		}
	}
}

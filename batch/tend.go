package batch

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/mohor-sign/mohor/signer"
)

// beatsOfLease is how many signs of life a run gives in the time of one lease.
const beatsOfLease = 6

// keep gives signs of life of a's run until ctx ends, and ends it when others took the run for
// dead, the transaction was stopped, at any node, its deadline has passed, or the lease is over and
// the database cannot be asked: then nobody knows whose the documents are.
func (r *Runner) keep(ctx context.Context, a *signer.Authorization, end context.CancelCauseFunc) {
	every := a.Run.Lease / beatsOfLease
	look := min(r.Look, every)
	tick := time.NewTicker(look)
	defer tick.Stop()
	var beaten time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !r.Signer.Now().Before(a.Intent.Deadline) {
			end(signer.ErrDeadline)
			return
		}
		asking, cancel := context.WithTimeout(ctx, a.Run.Lease/4)
		var st signer.RunState
		var err error
		if time.Since(beaten) >= every || a.Expired() {
			began := time.Now()
			if st, err = r.Signer.Beat(asking, a); err == nil {
				beaten = began
			}
		} else {
			st, err = r.Signer.Records.State(asking, a.Run)
		}
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && st.Stopped:
			end(signer.ErrCancelled)
			return
		case errors.Is(err, signer.ErrDone):
			return // what is in hand, if anything, is told by its own commit
		case errors.Is(err, signer.ErrLease), errors.Is(err, signer.ErrFence):
			end(err)
			return
		case err != nil && a.Expired():
			r.Log.Error("a batch is left: its lease could not be extended", "transaction", a.Request.ID, "error", err)
			end(signer.ErrLease)
			return
		case err != nil:
			r.Log.Warn("extending the lease of a batch", "transaction", a.Request.ID, "error", err)
		}
	}
}

// joinAgain is how long after a look at a batch that others run this process looks again.
const joinAgain = 30 * time.Second

// takeOverTries is how often a batch that nobody runs is tried before it needs the officer, where
// what is in the way may pass.
const takeOverTries = 10

// Tend goes on with what other nodes have left, and helps with what they are at, until ctx ends: it
// looks about once in every, each node at its own time.
func (r *Runner) Tend(ctx context.Context, every time.Duration) {
	tried, failed := make(map[string]time.Time), make(map[string]int)
	t := signer.Tending{Own: r.runsHere, Tried: func(intent string) bool {
		for id, at := range tried {
			if time.Since(at) >= joinAgain {
				delete(tried, id)
			}
		}
		_, again := tried[intent]
		if !again {
			tried[intent] = time.Now()
		}
		return again
	}, Later: func(intent string) bool {
		if failed[intent]++; failed[intent] <= takeOverTries {
			return true
		}
		delete(failed, intent)
		return false
	}}
	for {
		timer := time.NewTimer(every*3/4 + rand.N(every/2))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		if t.Join = 0; r.room() {
			t.Join = 2 * r.Chunk
		}
		resumed, n, err := r.Signer.Tend(ctx, t)
		if err != nil && ctx.Err() == nil {
			r.Log.Error("looking for batches to go on with", "error", err)
		}
		if n > 0 {
			r.Log.Warn("nobody ran these authorisations any more; their documents need a new PIN and code", "count", n)
		}
		for _, a := range resumed {
			r.Log.Info("a batch goes on here", "transaction", a.Request.ID, "batch", a.Request.Batch)
			r.Start(a)
		}
	}
}

func (r *Runner) runsHere(transaction string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.runs[transaction] != nil
}

// room says whether another batch would begin at once.
func (r *Runner) room() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.runs) < r.Batches
}

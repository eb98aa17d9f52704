package batch

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"time"

	"github.com/mohor-sign/mohor/signer"
)

// run signs until all of a's documents have their outcome, here or at other nodes. Who waits for a
// turn shares the gate with other batches; for others somebody waits.
func (r *Runner) run(ctx context.Context, a *signer.Authorization, patience time.Duration, place *turn) error {
	st := &stage{Runner: r, a: a, patience: patience, place: place}
	if place.turns != nil {
		st.lane, st.after = &lane{}, &lane{}
	}
	for {
		done, err := st.sign(ctx)
		if done || errors.Is(err, signer.ErrDone) {
			return nil
		}
		if err != nil {
			return err
		}
		// Other nodes have the rest in hand. What they lose is pending again when their lease is
		// over, and so is what was claimed here with the answer lost.
		if err := r.pause(ctx, r.Look); err != nil {
			return context.Cause(ctx)
		}
		if err := r.insist(ctx, a, func(ctx context.Context) error { return r.Signer.Requeue(ctx, a) }); err != nil {
			return err
		}
	}
}

// stage signs what is pending, with workers of its own.
type stage struct {
	*Runner
	a        *signer.Authorization
	patience time.Duration
	lane     *lane // nil: does not wait for other batches
	after    *lane // where what is to be finished waits
	place    *turn // the feeder's, and given up in a pause
}

// sign claims, signs and stores until nothing is pending. done says that the last document of all
// was stored by it.
func (st *stage) sign(ctx context.Context) (done bool, err error) {
	r, a := st.Runner, st.a
	work := make(chan []signer.Claimed)
	results := make(chan []signer.Outcome, r.Chunk/a.Parcel()+1)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	var workers sync.WaitGroup
	workers.Go(func() {
		defer close(work)
		st.feed(ctx, work, cancel)
	})
	for range min(r.Width, int(a.Request.Count)) {
		workers.Go(func() {
			for docs := range work {
				out, err := st.persist(ctx, docs)
				if len(out) > 0 {
					results <- out
				}
				if err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	go func() {
		workers.Wait()
		close(results)
	}()

	for out := range results {
		chunk := r.gather(out, results)
		d, err := r.store(ctx, a, chunk, st.patience, st.persist)
		if err != nil {
			cancel(err)
			var left []signer.Outcome
			for out := range results { // let the workers end
				left = append(left, out...)
			}
			return false, r.Signer.Discard(context.WithoutCancel(ctx), a, left, err)
		}
		// From here on this chunk is signed, whatever happens next.
		done = done || d
	}
	if done {
		return true, nil // whatever the feeder found after the last document was stored
	}
	return false, context.Cause(ctx)
}

// complete stores outcomes, also when ctx has ended: they are signatures made. A database that
// is away is waited for, as long as the run is alive; outcomes whose commit was answered to nobody are
// not stored twice.
func (r *Runner) complete(ctx context.Context, a *signer.Authorization, chunk []signer.Outcome) (done bool, err error) {
	whole := context.WithoutCancel(ctx)
	err = r.insist(ctx, a, func(context.Context) (err error) {
		done, err = r.Signer.Complete(whole, a, chunk)
		return err
	})
	return done, err
}

// insist does again, for Outage and while a's run is alive, what the database did not take.
func (r *Runner) insist(ctx context.Context, a *signer.Authorization, do func(context.Context) error) error {
	began := time.Now()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := do(ctx)
		if !signer.Transient(err) || time.Since(began)+pause > r.Outage || ctx.Err() != nil || a.Expired() {
			return err
		}
		if pause == firstPause {
			r.Log.Warn("waiting for the database", "transaction", a.Request.ID, "error", err)
		}
		if r.pause(ctx, pause) != nil {
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

// pause waits; the error is that of ctx.
func (r *Runner) pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// one is run for a lone signature, which needs nobody beside it.
func (r *Runner) one(ctx context.Context, a *signer.Authorization, patience time.Duration) error {
	claimed, err := r.Signer.Claim(ctx, a, 1)
	if err != nil {
		return err
	}
	if len(claimed) == 0 {
		return signer.ErrFence
	}
	st := &stage{Runner: r, a: a, patience: patience}
	out, err := st.persist(ctx, claimed)
	if err != nil {
		return err
	}
	done, err := r.store(ctx, a, [][]signer.Outcome{out}, patience, st.persist)
	if err == nil && !done {
		err = signer.ErrFence
	}
	return err
}

// persist signs documents as soon as the HSM lets it: what it did not give out does not exist, so
// the same digests are tried again.
func (st *stage) persist(ctx context.Context, docs []signer.Claimed) ([]signer.Outcome, error) {
	r, a, began := st.Runner, st.a, time.Now()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		out, panicked, err := st.inTurn(ctx, docs)
		if panicked && len(docs) > 1 {
			return st.oneByOne(ctx, docs)
		}
		if !temporary(err) || time.Since(began)+pause > st.patience {
			return out, err
		}
		if pause == firstPause {
			r.Log.Warn("waiting for the HSM, the time-stamping authority or the store of documents", "transaction", a.Request.ID, "index", docs[0].Index, "error", err)
		}
		if err := r.pause(ctx, pause); err != nil {
			return out, err // it was not the HSM that ended this
		}
	}
}

// inTurn signs documents when there is a place for them, one for all: they are signed one after
// another. While it waits for the HSM, or for a time-stamping authority, others have that.
func (st *stage) inTurn(ctx context.Context, docs []signer.Claimed) (out []signer.Outcome, panicked bool, err error) {
	if st.lane == nil {
		return st.try(ctx, docs, nil)
	}
	if err := st.gate.enter(ctx, st.lane); err != nil {
		return nil, false, err
	}
	leave := st.gate.leave
	defer func() { leave() }()
	return st.try(ctx, docs, func() {
		leave()
		leave = func() {}
		if st.late.enter(ctx, st.after) == nil { // else ctx has ended, and who is asked notices that
			leave = st.late.leave
		}
	})
}

// oneByOne finds out over which of docs signing panicked. With an error it gives what was signed before.
func (st *stage) oneByOne(ctx context.Context, docs []signer.Claimed) (out []signer.Outcome, err error) {
	for k := range docs {
		one, err := st.persist(ctx, docs[k:k+1])
		out = append(out, one...)
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// Pauses between two tries of the HSM or the database.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
)

// errPanicked refuses a document whose handling panicked.
var errPanicked = errors.New("internal error")

// try keeps a panic over one document from ending every other batch: when it is
// alone the document is refused, the log has the stack and not the value.
func (st *stage) try(ctx context.Context, docs []signer.Claimed, made func()) (out []signer.Outcome, panicked bool, err error) {
	r, a, first := st.Runner, st.a, docs[0]
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		stack := debug.Stack()
		if p, beside := v.(*signer.Panic); beside {
			stack = p.Stack
		}
		r.Log.Error("signing panicked", "transaction", a.Request.ID, "index", first.Index, "documents", len(docs), "stack", string(stack))
		if out, panicked, err = nil, true, nil; len(docs) == 1 {
			out = []signer.Outcome{{Index: first.Index, Attempt: first.Attempt, Refused: errPanicked}}
		}
	}()
	out, err = r.Signer.Sign(ctx, a, docs, made)
	return out, false, err
}

// feed claims and hands out documents until none is left or ctx ends. Workers
// that stopped early are the reason for the select. While the batch is paused it only asks.
func (st *stage) feed(ctx context.Context, work chan<- []signer.Claimed, cancel context.CancelCauseFunc) {
	r, a := st.Runner, st.a
	for {
		if st.place.take(ctx) != nil {
			return
		}
		var claimed []signer.Claimed
		err := r.insist(ctx, a, func(ctx context.Context) (err error) {
			claimed, err = r.Signer.Claim(ctx, a, r.Chunk)
			return err
		})
		if errors.Is(err, signer.ErrPaused) {
			st.place.give()
			if r.pause(ctx, r.Look) != nil {
				return
			}
			continue
		}
		if err != nil {
			cancel(err)
			return
		}
		more := len(claimed) == r.Chunk
		for each := (len(claimed) + r.Width - 1) / r.Width; len(claimed) > 0; {
			n := parcel(claimed, min(each, a.Parcel()))
			select {
			case work <- claimed[:n]:
				claimed = claimed[n:]
			case <-ctx.Done():
				return
			}
		}
		if !more {
			return
		}
	}
}

// togetherBytes bounds what is signed together, for it is in memory together.
const togetherBytes = 1 << 20

// parcel says how many of the next documents are signed together, at most as many as each: few are
// better signed side by side.
func parcel(docs []signer.Claimed, each int) int {
	size := docs[0].Size
	for n := 1; ; n++ {
		if n == min(len(docs), each) || size+docs[n].Size > togetherBytes {
			return n
		}
		size += docs[n].Size
	}
}

// gatherFor is how long what is signed waits for more to be stored with it.
const gatherFor = 100 * time.Millisecond

// gather takes what comes, until it is a chunk or nothing comes any more: a commit costs much the
// same whatever is in it, and others wait for theirs meanwhile. A single signature is the last one and
// stored at once.
func (r *Runner) gather(first []signer.Outcome, results <-chan []signer.Outcome) [][]signer.Outcome {
	chunk := [][]signer.Outcome{first}
	enough := time.NewTimer(gatherFor)
	defer enough.Stop()
	for n := len(first); n < r.Chunk; {
		select {
		case out, ok := <-results:
			if !ok {
				return chunk
			}
			chunk = append(chunk, out)
			n += len(out)
		case <-enough.C:
			return chunk
		}
	}
	return chunk
}

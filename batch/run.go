package batch

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/signer"
)

// Runner signs what an authorisation covers: it claims documents a chunk at a
// time, signs them in Width goroutines, and stores finished ones together.
type Runner struct {
	Signer *signer.Signer
	Width  int // documents in work at once
	Chunk  int // most documents claimed or stored at once
	Log    *slog.Logger
	// Patience is how long Run waits for an HSM that is away or too busy.
	Patience time.Duration

	base context.Context // ends at Shutdown
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu   sync.Mutex
	runs map[string]*running // started and not ended, by transaction
}

// running is a run in the background.
type running struct {
	app   string
	stop  context.CancelCauseFunc
	ended chan struct{}
	err   error // how, after ended
}

// ErrShutdown is why a run ended early when the gateway stopped.
var ErrShutdown = errors.New("gateway is stopping")

// NewRunner makes a runner; width and chunk are at least 1.
func NewRunner(s *signer.Signer, width, chunk int, log *slog.Logger) *Runner {
	r := &Runner{Signer: s, Width: max(1, width), Chunk: max(1, chunk), Log: log, Patience: 10 * time.Second, runs: make(map[string]*running)}
	r.base, r.stop = context.WithCancel(context.Background())
	return r
}

// Start runs the authorisation in the background until it is done, fails or
// the runner is shut down.
func (r *Runner) Start(a *signer.Authorization) {
	id := a.Request.ID
	if a.Unresumable != nil {
		r.Log.Warn("a stop of this batch will need the officer again", "transaction", id, "batch", a.Request.Batch, "error", a.Unresumable)
	}
	ctx, stop := context.WithCancelCause(r.base)
	run := &running{app: a.Request.App, stop: stop, ended: make(chan struct{})}
	r.mu.Lock()
	r.runs[id] = run
	r.mu.Unlock()
	r.wg.Go(func() {
		defer close(run.ended)
		defer stop(nil)
		// Nobody waits: an HSM that is away is waited for until the deadline, which Sign minds.
		if run.err = r.finish(ctx, a, signer.MaxIntent); run.err != nil {
			r.Log.Error("batch stopped", "transaction", id, "batch", a.Request.Batch, "error", run.err)
		}
		r.mu.Lock()
		delete(r.runs, id)
		r.mu.Unlock()
	})
}

// Cancel ends a transaction of app. One that waits is cancelled, see
// [signer.Signer.Cancel]. One that signs in the background stops after the
// documents in work: what was signed stays, the rest needs a new authorisation,
// the key and its activation are destroyed when Cancel returns nil.
func (r *Runner) Cancel(ctx context.Context, app, id, requestID string) error {
	r.mu.Lock()
	run := r.runs[id]
	r.mu.Unlock()
	if run == nil || run.app != app {
		return r.Signer.Cancel(ctx, app, id, requestID)
	}
	err := r.Signer.Records.Audit(ctx, audit.Event{At: r.Signer.Now(), Actor: "app:" + app, Action: "transaction.cancel", Object: id,
		Verdict: audit.Noted, RequestID: requestID, Detail: map[string]string{"while": "signing"}})
	if err != nil {
		return err
	}
	run.stop(signer.ErrCancelled)
	select {
	case <-run.ended:
		if errors.Is(run.err, signer.ErrCancelled) {
			return nil
		}
		return r.Signer.Cancel(ctx, app, id, requestID) // something else ended it first
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Shutdown stops background runs after the documents in work and waits for
// them. What they had not signed is for the next start to resume, or needs a
// new authorisation. No Start may follow.
func (r *Runner) Shutdown() {
	r.stop()
	r.wg.Wait()
}

// Run signs everything a covers and closes it. When it cannot finish, what was
// stored stays stored and the rest is left as "needs authorisation"; the error
// says why. Cancelling ctx is one reason; its cause says which. Somebody waits
// for Run, so it waits for an HSM that is away or too busy no longer than
// Patience.
func (r *Runner) Run(ctx context.Context, a *signer.Authorization) error {
	return r.finish(ctx, a, r.Patience)
}

func (r *Runner) finish(ctx context.Context, a *signer.Authorization, patience time.Duration) error {
	err := r.run(ctx, a, patience)
	if err == nil {
		return a.Close()
	}
	// Only a run that nothing else stopped may go on after the next start.
	orderly := ctx.Err() != nil && errors.Is(err, context.Canceled)
	if cause := context.Cause(ctx); errors.Is(cause, signer.ErrCancelled) {
		err, orderly = cause, false
	} else if orderly {
		err = ErrShutdown
	}
	err = errors.Join(err, a.Close())
	ctx = context.WithoutCancel(ctx)
	if orderly {
		left, lerr := r.Signer.Leave(ctx, a)
		if err = errors.Join(err, lerr); left {
			return err
		}
	}
	// The same call that recovers after a crash.
	return errors.Join(err, r.Signer.Abandon(ctx, a.Intent, err))
}

func (r *Runner) run(ctx context.Context, a *signer.Authorization, patience time.Duration) error {
	if a.Request.Count == 1 {
		return r.one(ctx, a, patience)
	}
	persist := func(ctx context.Context, d signer.Claimed) (signer.Outcome, error) {
		return r.persist(ctx, a, d, patience)
	}
	work := make(chan signer.Claimed)
	results := make(chan signer.Outcome, r.Chunk)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	var workers sync.WaitGroup
	workers.Go(func() {
		defer close(work)
		r.feed(ctx, a, work, cancel)
	})
	for range r.Width {
		workers.Go(func() {
			for d := range work {
				out, err := persist(ctx, d)
				if err != nil {
					cancel(err)
					return
				}
				results <- out
			}
		})
	}
	go func() {
		workers.Wait()
		close(results)
	}()

	done := false
	for out := range results {
		chunk := r.gather(out, results)
		// Results are stored even when ctx has ended: they are signatures made.
		d, err := r.store(ctx, a, chunk, patience, persist)
		if err != nil {
			cancel(err)
			var left []signer.Outcome
			for out := range results { // let the workers end
				left = append(left, out)
			}
			return r.Signer.Discard(context.WithoutCancel(ctx), a, left, err)
		}
		// From here on this chunk is signed, whatever happens next.
		done = done || d
	}
	if done {
		return nil // whatever the feeder found after the last document was stored
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return signer.ErrFence
}

// one is run for one document, which needs nobody beside it.
func (r *Runner) one(ctx context.Context, a *signer.Authorization, patience time.Duration) error {
	claimed, err := r.Signer.Claim(ctx, a, 1)
	if err != nil {
		return err
	}
	if len(claimed) == 0 {
		return signer.ErrFence
	}
	persist := func(ctx context.Context, d signer.Claimed) (signer.Outcome, error) {
		return r.persist(ctx, a, d, patience)
	}
	out, err := persist(ctx, claimed[0])
	if err != nil {
		return err
	}
	done, err := r.store(ctx, a, []signer.Outcome{out}, patience, persist)
	if err == nil && !done {
		err = signer.ErrFence
	}
	return err
}

// persist signs a document as soon as the HSM lets it: what it did not give out does not exist, so
// the same digest is tried again.
func (r *Runner) persist(ctx context.Context, a *signer.Authorization, d signer.Claimed, patience time.Duration) (signer.Outcome, error) {
	began := time.Now()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		out, err := r.sign(ctx, a, d)
		if !temporary(err) || time.Since(began)+pause > patience {
			return out, err
		}
		if pause == firstPause {
			r.Log.Warn("waiting for the HSM, the time-stamping authority or the store of documents", "transaction", a.Request.ID, "index", d.Index, "error", err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return out, ctx.Err() // it was not the HSM that ended this
		}
	}
}

// Pauses between two tries of the HSM.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
)

// errPanicked refuses a document whose handling panicked.
var errPanicked = errors.New("internal error")

// sign keeps a panic over one document from ending every other batch: the
// document is refused, the log has the stack and not the value.
func (r *Runner) sign(ctx context.Context, a *signer.Authorization, d signer.Claimed) (out signer.Outcome, err error) {
	defer func() {
		if recover() != nil {
			r.Log.Error("signing panicked", "transaction", a.Request.ID, "index", d.Index, "stack", string(debug.Stack()))
			out, err = signer.Outcome{Index: d.Index, Attempt: d.Attempt, Refused: errPanicked}, nil
		}
	}()
	return r.Signer.Sign(ctx, a, d)
}

// feed claims and hands out documents until none is left or ctx ends. Workers
// that stopped early are the reason for the select.
func (r *Runner) feed(ctx context.Context, a *signer.Authorization, work chan<- signer.Claimed, cancel context.CancelCauseFunc) {
	for {
		claimed, err := r.Signer.Claim(ctx, a, r.Chunk)
		if err != nil {
			cancel(err)
			return
		}
		for _, d := range claimed {
			select {
			case work <- d:
			case <-ctx.Done():
				return
			}
		}
		if len(claimed) < r.Chunk {
			return // there were no more, and no more come
		}
	}
}

// gatherFor is how long what is signed waits for more to be stored with it.
const gatherFor = 100 * time.Millisecond

// gather takes what comes, up to a chunk or until nothing comes any more: a commit costs much the
// same whatever is in it, and others wait for theirs meanwhile. A single signature is the last one and
// stored at once.
func (r *Runner) gather(first signer.Outcome, results <-chan signer.Outcome) []signer.Outcome {
	chunk := []signer.Outcome{first}
	enough := time.NewTimer(gatherFor)
	defer enough.Stop()
	for len(chunk) < r.Chunk {
		select {
		case out, ok := <-results:
			if !ok {
				return chunk
			}
			chunk = append(chunk, out)
		case <-enough.C:
			return chunk
		}
	}
	return chunk
}

package batch

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/mohor-sign/mohor/signer"
)

// Runner signs what an authorisation covers: it claims documents a chunk at a
// time, signs them in Width goroutines, and stores finished ones together.
type Runner struct {
	Signer *signer.Signer
	Width  int // parcels of documents before the HSM at once, of all batches; twice as many are finished
	Chunk  int // most documents claimed at once; so many, and what is left of the last parcel, are stored at once
	Log    *slog.Logger
	// Patience is how long Run waits for an HSM that is away or too busy.
	Patience time.Duration
	// Outage is how long a claim or a commit that the database does not take is tried again.
	Outage time.Duration
	// Look is how often a run looks whether it is to stop or to go on.
	Look time.Duration
	// Batches is how many batches are signed at once; the next ones wait. Read at the first Start.
	Batches int

	gate  gate          // to the HSM
	late  gate          // to time-stamps and revocation data
	turns chan struct{} // of batches
	once  sync.Once

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

// Load is how many batches this runner has begun and not ended, and how many of them wait for
// their turn.
func (r *Runner) Load() (begun, waiting int) {
	r.once.Do(func() { r.turns = make(chan struct{}, max(1, r.Batches)) })
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.runs), max(0, len(r.runs)-len(r.turns))
}

// ErrShutdown is why a run ended early when the gateway stopped.
var ErrShutdown = errors.New("gateway is stopping")

// NewRunner makes a runner; width and chunk are at least 1. What else differs from the defaults is set
// before it is used.
func NewRunner(s *signer.Signer, width, chunk int, log *slog.Logger) *Runner {
	r := &Runner{Signer: s, Width: max(1, width), Chunk: max(1, chunk), Log: log, Patience: 10 * time.Second, Look: time.Second, Batches: 8, runs: make(map[string]*running)}
	r.gate.free, r.late.free = r.Width, 2*r.Width
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
	r.once.Do(func() { r.turns = make(chan struct{}, max(1, r.Batches)) })
	r.wg.Go(func() {
		defer close(run.ended)
		defer stop(nil)
		// Nobody waits: an HSM that is away is waited for until the deadline, which Sign minds.
		if run.err = r.finish(ctx, a, signer.MaxIntent, r.turns); run.err != nil {
			r.Log.Error("batch stopped", "transaction", id, "batch", a.Request.Batch, "error", run.err)
		}
		r.mu.Lock()
		if r.runs[id] == run {
			delete(r.runs, id)
		}
		r.mu.Unlock()
	})
}

// Cancel ends a transaction of app. One that waits is cancelled, see
// [signer.Signer.Cancel]. One that signs in the background stops, at every node, after the
// documents in work: what was signed stays, the rest needs a new authorisation,
// the key and its activation are destroyed when Cancel returns nil. A node that does not answer
// loses what it has in work.
func (r *Runner) Cancel(ctx context.Context, app, id, requestID string) error {
	stopping, err := r.Signer.Stop(ctx, app, id, requestID)
	if err != nil || !stopping {
		return err
	}
	r.mu.Lock()
	run := r.runs[id]
	r.mu.Unlock()
	if run != nil {
		run.stop(signer.ErrCancelled)
		select {
		case <-run.ended:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	enough, tick := time.NewTimer(stopWithin), time.NewTicker(firstPause)
	defer enough.Stop()
	defer tick.Stop()
	for {
		t, err := r.Signer.Request(ctx, app, id)
		switch {
		case err != nil:
			return err
		case t.Status == signer.NeedsAuthorisation && t.Ended == signer.ErrCancelled.Error():
			return nil
		case t.Status != signer.Signing: // something else ended it first
			return r.Signer.Cancel(ctx, app, id, requestID)
		}
		select {
		case <-tick.C:
		case <-enough.C:
			if err := r.Signer.Stopped(ctx, id); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// stopWithin is how long Cancel waits for other nodes to stop.
const stopWithin = 5 * time.Second

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
	return r.finish(ctx, a, r.Patience, nil)
}

// finish runs a, after its turn where turns are kept, and ends it.
func (r *Runner) finish(ctx context.Context, a *signer.Authorization, patience time.Duration, turns chan struct{}) error {
	err := r.alive(ctx, a, patience, turns)
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
	if ends(err) { // for all who run it
		// The same call that recovers after a crash.
		return errors.Join(err, r.Signer.Abandon(ctx, a.Intent, err))
	}
	return errors.Join(err, r.Signer.Quit(ctx, a, err))
}

// ends says whether an error is about the authorisation itself, and not about the process that
// found it.
func ends(err error) bool {
	for _, known := range []error{signer.ErrDocuments, signer.ErrDeadline, signer.ErrCertificateRevoked, signer.ErrCertificateOnHold} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// alive runs a with signs of life from the first moment, when it is its turn.
func (r *Runner) alive(ctx context.Context, a *signer.Authorization, patience time.Duration, turns chan struct{}) error {
	if a.Run.ID == "" {
		return r.one(ctx, a, patience)
	}
	ctx, end := context.WithCancelCause(ctx)
	var keeper sync.WaitGroup
	keeper.Go(func() { r.keep(ctx, a, end) })
	defer keeper.Wait()
	defer end(nil)
	place := &turn{turns: turns}
	defer place.give()
	return r.run(ctx, a, patience, place)
}

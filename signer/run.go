package signer

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/ident"
)

// DefaultLease is how long a run counts as alive without a sign of life.
const DefaultLease = 30 * time.Second

func (s *Signer) lease() time.Duration {
	if s.Lease > 0 {
		return s.Lease
	}
	return DefaultLease
}

// newRun makes the id of a run of this process.
func (s *Signer) newRun() string { return s.prefix() + ident.New("ru", 16) }

func (s *Signer) prefix() string { return s.Node + "." }

// extend notes a sign of life that was given after began: the lease that it was answered with ends no
// sooner than one from then.
func (a *Authorization) extend(began time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.until = began.Add(a.Run.Lease)
	if a.beaten != nil {
		close(a.beaten)
	}
	a.beaten = make(chan struct{})
}

// Expired says that the lease of a's run is over, as far as this process knows.
func (a *Authorization) Expired() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !time.Now().Before(a.until)
}

// held waits until a's run is known to be alive; a lone signature's ends for good.
func (a *Authorization) held(ctx context.Context) error {
	for {
		a.mu.Lock()
		alive, beaten := time.Now().Before(a.until), a.beaten
		a.mu.Unlock()
		if alive {
			return nil
		}
		if a.Run.ID == "" {
			return ErrLease
		}
		select {
		case <-beaten:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// leasedKey is an opened key that is used only while its run is alive: a process that was stopped,
// or cut off from the database, may have lost its documents to another.
type leasedKey struct {
	Key
	a *Authorization
}

// SignAll implements Key.
func (k leasedKey) SignAll(ctx context.Context, digests [][]byte, opts crypto.SignerOpts) ([][]byte, error) {
	if err := k.a.held(ctx); err != nil {
		return nil, err
	}
	// What is under way in the HSM is not cut off: it would be made, and lost.
	return k.Key.SignAll(context.WithoutCancel(ctx), digests, opts)
}

// Beat gives a sign of life of a's run, and says how it stands with its intent: ErrLease when
// others took the run for dead, ErrFence when the intent is closed.
func (s *Signer) Beat(ctx context.Context, a *Authorization) (RunState, error) {
	began := time.Now()
	st, err := s.Records.Beat(ctx, a.Run)
	if err == nil {
		a.extend(began)
	}
	return st, err
}

// Requeue gives back what a's run has claimed and lost: the answer to a claim, perhaps. Nothing may be
// in hand.
func (s *Signer) Requeue(ctx context.Context, a *Authorization) error {
	return s.Records.Requeue(ctx, a.Run)
}

func (s *Signer) left(a *Authorization, why error) audit.Event {
	return audit.Event{At: s.Now(), Actor: "gateway", Action: "signer.leave", Object: a.Request.ID, Verdict: audit.Noted,
		Detail: map[string]string{"intent": a.Intent.ID, "reason": reason(why)}}
}

func (s *Signer) abandoned(in *Intent, why error) audit.Event {
	return audit.Event{At: s.Now(), Actor: "gateway", Action: "signer.abandon", Object: in.Transaction, Verdict: audit.Noted,
		Detail: map[string]string{"intent": in.ID, "reason": reason(why)}}
}

// Quit ends a's run for a reason that is this process's own. Where others go on with the intent,
// or may, it stays open: after ErrLease and ErrFence also when it can be resumed. Else it is abandoned, see
// [Signer.Abandon]. The caller closes a.
func (s *Signer) Quit(ctx context.Context, a *Authorization, why error) error {
	alone := s.abandoned(&a.Intent, why)
	last := &alone
	if (errors.Is(why, ErrLease) || errors.Is(why, ErrFence)) && s.resumable(&a.Intent) && s.Now().Before(a.Intent.Deadline) {
		last = nil
	}
	others, err := s.Records.EndRun(ctx, a.Run, s.left(a, why), last)
	if err == nil && !others && last != nil {
		s.dropShare(ctx, &a.Intent)
	}
	return err
}

// resumable says whether an intent had both halves of its activation.
func (s *Signer) resumable(in *Intent) bool { return s.Shares != nil && len(in.Activation) > 0 }

// Stop ends a transaction of app. One that waits is cancelled, see [Signer.Cancel], as is whatever
// cannot be stopped: then stopping is false. The runs of one that signs in the background, wherever
// they are, are asked to stop.
func (s *Signer) Stop(ctx context.Context, app, id, requestID string) (stopping bool, err error) {
	r, err := s.Request(ctx, app, id)
	if err != nil || r.Status != Signing || r.Implicit {
		return false, s.Cancel(ctx, app, id, requestID)
	}
	err = s.Records.Stop(ctx, id, audit.Event{At: s.Now(), Actor: "app:" + app, Action: "transaction.cancel", Object: id,
		Verdict: audit.Noted, RequestID: requestID, Detail: map[string]string{"while": "signing"}})
	if errors.Is(err, ErrFinished) { // meanwhile
		return false, s.Cancel(ctx, app, id, requestID)
	}
	return err == nil, err
}

// Stopped abandons the open intent of a transaction that was to stop and has not: its runs are
// elsewhere and do not answer. What they have in hand is discarded. The transaction may be closed
// already.
func (s *Signer) Stopped(ctx context.Context, id string) error {
	open, err := s.Records.OpenIntents(ctx)
	if err != nil {
		return fmt.Errorf("listing open intents: %w", err)
	}
	for _, in := range open {
		if in.Transaction == id {
			return s.Abandon(ctx, in, ErrCancelled)
		}
	}
	return nil
}

// Transient says that an error of the database may be gone at the next try: it is none that
// somebody decides on.
func Transient(err error) bool {
	var broken *audit.BrokenError
	return err != nil && reason(err) == "internal error" && !errors.Is(err, ErrPaused) && !errors.As(err, &broken)
}

// Tending says which open intents a process may join that others run.
type Tending struct {
	// Join is the least number of unclaimed documents with which it does; 0: never.
	Join int
	// Own says whether this process has a run of a transaction, however it stands with its lease.
	Own func(transaction string) bool
	// Tried notes that an intent is looked at, and says whether it was just before.
	Tried func(intent string) bool
	// Later says whether an intent that could not be resumed, for a reason that may pass, is to be
	// tried again; nil: no.
	Later func(intent string) bool
}

// Recover deals with what a crash or a stop left open, at a start; see Tend. Where no other
// gateway can have the database, nobody runs anything.
func (s *Signer) Recover(ctx context.Context) (resumed []*Authorization, abandoned int, err error) {
	if err := s.Records.EndRuns(ctx); err != nil {
		return nil, 0, fmt.Errorf("ending the leases of the last run: %w", err)
	}
	return s.Tend(ctx, Tending{Own: func(string) bool { return false }})
}

// Tend deals with open intents that nobody runs, and joins those that others run. The keys were
// in the memory of another process: an intent whose activation is whole, and whose documents and
// credential are as they were, is resumed. Any other is abandoned, with the reason, when nobody
// runs it, and let alone while somebody does. An intent whose seal does not verify was not written
// by the gateway; it is closed as well and said. The caller runs what is resumed, or closes it.
func (s *Signer) Tend(ctx context.Context, t Tending) (resumed []*Authorization, abandoned int, err error) {
	open, err := s.Records.OpenIntents(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("listing open intents: %w", err)
	}
	for _, in := range open {
		if t.Own(in.Transaction) {
			continue
		}
		if in.Held {
			a, err := s.join(ctx, in, t)
			if err != nil {
				return resumed, abandoned, err
			}
			if a != nil {
				resumed = append(resumed, a)
			}
			continue
		}
		a, why := s.takeOver(ctx, in)
		if errors.Is(why, errSeal) {
			return resumed, abandoned, why
		}
		if why == nil {
			resumed = append(resumed, a)
			continue
		}
		passing := errors.Is(why, ErrKeysUnavailable) || errors.Is(why, ErrBusy) || Transient(why)
		if errors.Is(why, ErrFence) || passing && t.Later != nil && t.Later(in.ID) {
			continue // others ended it meanwhile, or the HSM or a store may be back soon
		}
		others, err := s.Records.EndRun(ctx, Run{Intent: in.ID}, audit.Event{}, new(s.abandoned(&in, why)))
		if err != nil {
			return resumed, abandoned, fmt.Errorf("abandoning intent %s: %w", in.ID, err)
		}
		if !others {
			s.dropShare(ctx, &in)
			abandoned++
		}
	}
	return resumed, abandoned, nil
}

// errSeal: the seal of an intent could not be judged.
var errSeal = errors.New("verifying the seal of an intent")

// takeOver verifies an intent's seal and resumes it.
func (s *Signer) takeOver(ctx context.Context, in Intent) (*Authorization, error) {
	if err := s.VerifySeal(ctx, in); err != nil {
		if errors.Is(err, ErrDocuments) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", errSeal, err)
	}
	return s.resume(ctx, in)
}

// join resumes an intent beside those who run it, where that is worth its while; nil where it is not,
// or cannot be: that is no reason to end what others do.
func (s *Signer) join(ctx context.Context, in Intent, t Tending) (*Authorization, error) {
	if t.Join == 0 || !s.resumable(&in) || in.Stopped || !s.Now().Before(in.Deadline) {
		return nil, nil
	}
	alive, err := s.Records.Runs(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	for _, id := range alive {
		if strings.HasPrefix(id, s.prefix()) {
			return nil, nil // this process's own
		}
	}
	if n, err := s.Records.Unclaimed(ctx, in.Batch, t.Join); err != nil || n < t.Join || t.Tried(in.ID) {
		return nil, err
	}
	a, err := s.takeOver(ctx, in)
	if err != nil {
		return nil, nil //nolint:nilerr // what is to be said of it is in the audit
	}
	return a, nil
}

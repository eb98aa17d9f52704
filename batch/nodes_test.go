package batch_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/storetest"
)

// node is what a gateway does with its database: how much it stored, and whether that answers.
type node struct {
	storetest.Records
	stored atomic.Int64
	deaf   atomic.Bool  // Beat and State get no answer
	beats  atomic.Int64 // answered
}

func (n *node) Complete(ctx context.Context, intent string, out []signer.Outcome, now time.Time, ev audit.Event) (bool, error) {
	done, err := n.Records.Complete(ctx, intent, out, now, ev)
	if err == nil {
		n.stored.Add(int64(len(out)))
	}
	return done, err
}

func (n *node) Beat(ctx context.Context, run signer.Run) (signer.RunState, error) {
	if n.deaf.Load() {
		return signer.RunState{}, errAway
	}
	st, err := n.Records.Beat(ctx, run)
	if err == nil {
		n.beats.Add(1)
	}
	return st, err
}

func (n *node) State(ctx context.Context, run signer.Run) (signer.RunState, error) {
	if n.deaf.Load() {
		return signer.RunState{}, errAway
	}
	return n.Records.State(ctx, run)
}

// gateway is a signer on the house's database, with a name and shares of its own or none.
func (h *house) gateway(name string, shares signer.Shares, lease time.Duration) (*node, *signer.Signer) {
	n := &node{Records: h.DB}
	s := h.Signer(n, h.blobs)
	s.Node, s.Shares, s.Lease = name, shares, lease
	return n, s
}

func runner(s *signer.Signer, width, chunk int) *batch.Runner {
	r := batch.NewRunner(s, width, chunk, quiet)
	r.Look = 5 * time.Millisecond
	return r
}

func never(string) bool { return false }

// tends lets a gateway look for work once.
func tends(t *testing.T, s *signer.Signer, join int) (resumed []*signer.Authorization, abandoned int) {
	t.Helper()
	resumed, abandoned, err := s.Tend(ctx, signer.Tending{Join: join, Own: never, Tried: never})
	must(t, err)
	return resumed, abandoned
}

func TestTwoGatewaysShareABatch(t *testing.T) {
	h := newHouse(t)
	shares := storetest.NewShares(h.Clock.Now)
	one, first := h.gateway("a", shares, 0)
	two, second := h.gateway("b", shares, 0)
	_, third := h.gateway("c", nil, 0)
	h.s = first
	id := h.sealed(t, 400)
	a := h.authorize(t, id)
	var mu sync.Mutex
	used, joined := map[string]int{}, make(chan struct{})
	h.Keys.OnSign = func(_ signer.Credential, digest []byte) error {
		<-joined
		mu.Lock()
		defer mu.Unlock()
		used[string(digest)]++
		return nil
	}
	ended := make(chan error)
	go func() { ended <- runner(first, 2, 5).Run(ctx, a) }()
	// A gateway without Redis lets it alone, as does the one that runs it.
	for _, s := range []*signer.Signer{third, first} {
		if resumed, abandoned := tends(t, s, 1); len(resumed)+abandoned != 0 {
			t.Errorf("%d resumed, %d abandoned", len(resumed), abandoned)
		}
	}
	if resumed, abandoned := tends(t, second, 1000); len(resumed)+abandoned != 0 {
		t.Errorf("of fewer documents than are worth while: %d resumed, %d abandoned", len(resumed), abandoned)
	}
	resumed, abandoned := tends(t, second, 100)
	if len(resumed) != 1 || abandoned != 0 {
		t.Fatalf("%d resumed, %d abandoned", len(resumed), abandoned)
	}
	go func() { ended <- runner(second, 2, 5).Run(ctx, resumed[0]) }()
	close(joined)
	for range 2 {
		must(t, <-ended)
	}
	for _, it := range h.items(t, id) {
		if used[string(it.Digest)] != 1 {
			t.Errorf("document %d was signed %d times", it.Index, used[string(it.Digest)])
		}
	}
	if a, b := one.stored.Load(), two.stored.Load(); a == 0 || b == 0 || a+b != 400 {
		t.Errorf("one stored %d, the other %d", a, b)
	}
	if h.status(t, a) != signer.Signed || h.Keys.Opens.Load() != 1 || shares.Len() != 0 {
		t.Errorf("%s after %d PINs, %d shares", h.status(t, a), h.Keys.Opens.Load(), shares.Len())
	}
	h.settled(t, id, 400)
}

// Who cannot say that he lives signs no more, and his key is destroyed; another goes on.
func TestRunEndsWithItsLease(t *testing.T) {
	for _, redis := range []bool{true, false} {
		h := newHouse(t)
		var shares signer.Shares
		if redis {
			shares = storetest.NewShares(h.Clock.Now)
		}
		n, s := h.gateway("a", shares, 5*time.Second)
		h.s = s
		id := h.sealed(t, 60)
		a := h.authorize(t, id)
		deaf := make(chan struct{})
		h.hook(11, func() error { n.deaf.Store(true); close(deaf); return nil })
		// Nothing more is claimed, so that only the lease ends it.
		ended := make(chan error)
		r := runner(s, 1, 5)
		go func() { ended <- r.Run(ctx, a) }()
		select {
		case <-deaf:
		case err := <-ended:
			t.Fatalf("ended before it was deaf: %v", err)
		}
		must(t, h.DB.PauseBatch(ctx, id, audit.Event{At: h.Clock.Now(), Action: "pause"}))
		if err := <-ended; !errors.Is(err, signer.ErrLease) {
			t.Errorf("ended with %v", err)
		}
		if k := h.Keys.Live.Load(); k != 0 {
			t.Errorf("%d keys are open", k)
		}
		if !redis {
			if got := h.status(t, a); got != signer.NeedsAuthorisation {
				t.Errorf("nobody can go on, and the transaction is %s", got)
			}
			continue
		}
		if b := h.batch(t, id); b.Status != batch.Paused || h.status(t, a) != signer.Signing {
			t.Errorf("%+v", b)
		}
		must(t, h.DB.ResumeBatch(ctx, id, audit.Event{At: h.Clock.Now(), Action: "again"}))
		_, other := h.gateway("b", shares, 0)
		resumed, abandoned := tends(t, other, 0)
		if len(resumed) != 1 || abandoned != 0 {
			t.Fatalf("%d resumed, %d abandoned", len(resumed), abandoned)
		}
		must(t, runner(other, 2, 5).Run(ctx, resumed[0]))
		h.settled(t, id, 60)
	}
}

// A run gives signs of life while it waits for its turn and in a pause, and goes on after both; the
// deadline ends it in a pause, too.
func TestBatchesWaitAndPause(t *testing.T) {
	h := newHouse(t)
	n, s := h.gateway("a", nil, 2*time.Second)
	h.s = s
	ids := []string{h.sealed(t, 8), h.sealed(t, 8), h.sealed(t, 8)}
	var all []*signer.Authorization
	for _, id := range ids {
		all = append(all, h.authorize(t, id))
	}
	hold := make(chan struct{})
	h.Keys.OnSign = func(signer.Credential, []byte) error { <-hold; return nil }
	r := runner(s, 2, 4)
	r.Batches = 1
	must(t, h.DB.PauseBatch(ctx, ids[2], audit.Event{At: h.Clock.Now(), Action: "pause"}))
	until := func(what string, is func() bool) {
		t.Helper()
		eventually(t, what, is)
	}
	// One that is paused keeps nobody from his turn.
	r.Start(all[2])
	until("nobody gives signs of life in a pause", func() bool { return n.beats.Load() > 2 })
	for _, a := range all[:2] {
		r.Start(a)
	}
	until("nobody gives signs of life", func() bool { return n.beats.Load() > 8 })
	claimed := 0
	for _, id := range ids {
		items, err := h.DB.Items(ctx, id, batch.Claimed, -1, 100)
		must(t, err)
		if len(items) > 0 {
			claimed++
		}
	}
	if claimed != 1 {
		t.Errorf("%d batches are in work, want 1", claimed)
	}
	close(hold)
	until("the second has no turn", func() bool {
		return h.batch(t, ids[0]).Status == batch.Signed && h.batch(t, ids[1]).Status == batch.Signed
	})

	if n := h.Keys.Signs.Load(); n != 16 {
		t.Errorf("a key was used %d times for 16 documents", n)
	}
	h.Clock.Advance(time.Hour)
	until("the deadline does not end a pause", func() bool { return h.status(t, all[2]) == signer.NeedsAuthorisation })
	if b := h.batch(t, ids[2]); b.Status != batch.NeedsAuthorisation || b.Pending != 8 {
		t.Errorf("%+v", b)
	}
	r.Shutdown()
	if k := h.Keys.Live.Load(); k != 0 {
		t.Errorf("%d keys are open", k)
	}
}

// An app pauses, resumes and tries again what is its own, where there is such a thing; the audit has
// what was wanted and what became of it.
func TestPauseAndRetryAreAudited(t *testing.T) {
	h := newHouse(t)
	id := h.sealed(t, 3)
	change := func(want error, do func(context.Context, string, string, string) (batch.Batch, error), app string) {
		t.Helper()
		if _, err := do(ctx, app, id, "r"); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
		records := storetest.Chain(t, h.DB)
		verdict := audit.Accepted
		if want != nil {
			verdict = audit.Refused
		}
		if last := records[len(records)-1]; last.Verdict != verdict || last.Object != id || last.Actor != "app:"+app {
			t.Errorf("the last record is %+v", last.Event)
		}
	}
	retry := func(ctx context.Context, app, id, r string) (batch.Batch, error) {
		return h.svc.Retry(ctx, app, id, []uint32{1}, r)
	}
	change(batch.ErrNotSigning, h.svc.Pause, h.App.ID)
	a := h.authorize(t, id)
	change(batch.ErrUnknown, h.svc.Pause, "other")
	change(batch.ErrNotPaused, h.svc.Resume, h.App.ID)
	change(nil, h.svc.Pause, h.App.ID)
	change(batch.ErrLive, retry, h.App.ID)
	change(nil, h.svc.Resume, h.App.ID)
	h.hook(2, func() error { panic("at the second") })
	must(t, batch.NewRunner(h.s, 1, 1, quiet).Run(ctx, a))
	change(batch.ErrUnknown, retry, "other")
	change(nil, retry, h.App.ID)
	h.Keys.OnSign = nil
	again := h.authorize(t, id)
	if again.Request.Count != 1 {
		t.Errorf("the officer is asked for %d documents", again.Request.Count)
	}
	must(t, batch.NewRunner(h.s, 1, 1, quiet).Run(ctx, again))
	if b := h.batch(t, id); b.Status != batch.Signed || h.status(t, a) != signer.SignedWithRefusals || h.status(t, again) != signer.Signed {
		t.Errorf("%+v, %s, %s", b, h.status(t, a), h.status(t, again))
	}
	change(batch.ErrNotRefused, retry, h.App.ID)
	h.settled(t, id, 3)
}

package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
)

// joined is a second run of an intent.
func (h *House) joined(t *testing.T, in signer.Intent, id string) signer.Run {
	t.Helper()
	run := signer.Run{Intent: in.ID, ID: id, Lease: 30 * time.Second}
	must(t, h.DB.Resume(context.Background(), run, h.ev("resume", in.ID)))
	return run
}

func outcome(c signer.Claimed) signer.Outcome {
	return signer.Outcome{Index: c.Index, Attempt: c.Attempt, Signature: []byte("s")}
}

func runLeases(t *testing.T, h *House) {
	ctx := context.Background()
	r, in := h.signing(t, "tx", 10)
	a := RunOf(in)
	mine, err := h.DB.Claim(ctx, a, 2)
	must(t, err)
	b := h.joined(t, in, "ru_b")
	theirs, err := h.DB.Claim(ctx, b, 3)
	must(t, err)
	if len(mine) != 2 || len(theirs) != 3 || theirs[0].Index != 2 {
		t.Fatalf("claimed %d and %d, the second from %d", len(mine), len(theirs), theirs[0].Index)
	}
	if ids, err := h.DB.Runs(ctx, in.ID); err != nil || !slices.Equal(ids, []string{"ru_b", a.ID}) && !slices.Equal(ids, []string{a.ID, "ru_b"}) {
		t.Errorf("runs: %v, %v", ids, err)
	}
	h.Clock.Advance(20 * time.Second)
	_, err = h.DB.Beat(ctx, a)
	must(t, err)
	h.Clock.Advance(20 * time.Second)
	// One gave a sign of life, the other did not: what that had is handed out again.
	if ids, err := h.DB.Runs(ctx, in.ID); err != nil || !slices.Equal(ids, []string{a.ID}) {
		t.Errorf("runs: %v, %v", ids, err)
	}
	more, err := h.DB.Claim(ctx, a, 100)
	must(t, err)
	if len(more) != 8 || more[0].Index != 2 || more[0].Attempt != 2 || more[7].Attempt != 1 {
		t.Errorf("claimed again: %d, the first %+v", len(more), more[0])
	}
	_, err = h.DB.Complete(ctx, in.ID, []signer.Outcome{outcome(theirs[0])}, h.Clock.Now(), h.ev("complete", in.ID))
	wants(t, "an outcome of who was taken for dead", err, signer.ErrFence)
	_, err = h.DB.Beat(ctx, b)
	wants(t, "its sign of life", err, signer.ErrLease)
	_, err = h.DB.State(ctx, b)
	wants(t, "its look", err, signer.ErrLease)
	_, err = h.DB.Claim(ctx, b, 1)
	wants(t, "its claim", err, signer.ErrLease)
	// A lease that is over ends nothing while nobody has taken what its run had.
	h.Clock.Advance(time.Minute)
	if open, err := h.DB.OpenIntents(ctx); err != nil || len(open) != 1 || open[0].Held {
		t.Errorf("open intents: %+v, %v", open, err)
	}
	_, err = h.DB.Beat(ctx, a)
	must(t, err)
	if open, err := h.DB.OpenIntents(ctx); err != nil || len(open) != 1 || !open[0].Held {
		t.Errorf("open intents: %+v, %v", open, err)
	}
	_, err = h.DB.Complete(ctx, in.ID, []signer.Outcome{outcome(mine[0]), outcome(more[0])}, h.Clock.Now(), h.ev("complete", in.ID))
	must(t, err)
	must(t, h.DB.Requeue(ctx, a))
	if items, err := h.DB.Items(ctx, r.Batch, "pending", -1, 100); err != nil || len(items) != 8 {
		t.Errorf("%d are pending after all were given back, %v", len(items), err)
	}
	if n, err := h.DB.Unclaimed(ctx, r.Batch, 5); err != nil || n != 5 {
		t.Errorf("%d, %v", n, err)
	}
}

func runEnds(t *testing.T, h *House) {
	ctx := context.Background()
	r, in := h.signing(t, "tx", 6)
	a, b := RunOf(in), h.joined(t, in, "ru_b")
	_, err := h.DB.Claim(ctx, a, 2)
	must(t, err)
	kept, err := h.DB.Claim(ctx, b, 1)
	must(t, err)
	alone := h.ev("abandon", in.ID)
	if others, err := h.DB.EndRun(ctx, a, h.ev("leave", in.ID), &alone); err != nil || !others {
		t.Errorf("others go on: %v, %v", others, err)
	}
	h.is(t, r, signer.Signing, "SIGNING")
	if items, err := h.DB.Items(ctx, r.Batch, "pending", -1, 9); err != nil || len(items) != 5 {
		t.Errorf("%d are pending, %v", len(items), err)
	}
	_, err = h.DB.Complete(ctx, in.ID, []signer.Outcome{outcome(kept[0])}, h.Clock.Now(), h.ev("complete", in.ID))
	must(t, err)
	// Somebody who runs nothing ends nothing, and one whose lease is over is nobody.
	if others, err := h.DB.EndRun(ctx, signer.Run{Intent: in.ID}, h.ev("", ""), &alone); err != nil || !others {
		t.Errorf("others go on: %v, %v", others, err)
	}
	h.is(t, r, signer.Signing, "SIGNING")
	if others, err := h.DB.EndRun(ctx, b, h.ev("leave", in.ID), nil); err != nil || others {
		t.Errorf("the last one left: %v, %v", others, err)
	}
	h.is(t, r, signer.Signing, "SIGNING")
	h.joined(t, in, "ru_c")
	h.Clock.Advance(time.Minute)
	if others, err := h.DB.EndRun(ctx, signer.Run{Intent: in.ID}, h.ev("", ""), &alone); err != nil || others {
		t.Errorf("nobody is alive: %v, %v", others, err)
	}
	h.is(t, r, signer.NeedsAuthorisation, "NEEDS_AUTHORISATION")
	_, err = h.DB.EndRun(ctx, b, h.ev("leave", in.ID), &alone)
	must(t, err)
	if l, a := h.events(t, "leave"), h.events(t, "abandon"); l != 2 || a != 1 {
		t.Errorf("%d events of leaving, %d of abandoning", l, a)
	}
}

// Claims of several at once: each document has one holder, and all are handed out.
func runsAtOnce(t *testing.T, h *House) {
	ctx := context.Background()
	_, in := h.signing(t, "tx", 120)
	runs := []signer.Run{RunOf(in), h.joined(t, in, "ru_b"), h.joined(t, in, "ru_c"), h.joined(t, in, "ru_d")}
	var mu sync.Mutex
	var wg sync.WaitGroup
	holders, by := map[uint32]int{}, map[string]int{}
	for _, run := range runs {
		wg.Go(func() {
			for {
				got, err := h.DB.Claim(ctx, run, 7)
				if err == nil {
					_, err = h.DB.Beat(ctx, run)
				}
				if err != nil {
					t.Errorf("%s: %v", run.ID, err)
					return
				}
				mu.Lock()
				for _, c := range got {
					holders[c.Index]++
					by[run.ID]++
				}
				all := len(holders) == 120
				mu.Unlock()
				if all {
					return
				}
			}
		})
	}
	wg.Wait()
	for k, n := range holders {
		if n != 1 {
			t.Errorf("document %d has %d holders", k, n)
		}
	}
	if len(holders) != 120 {
		t.Errorf("%d of 120 were handed out: %v", len(holders), by)
	}
}

func pauses(t *testing.T, h *House) {
	ctx := context.Background()
	r, in := h.signing(t, "tx", 4)
	run := RunOf(in)
	got, err := h.DB.Claim(ctx, run, 1)
	must(t, err)
	wants(t, "resuming what is not paused", h.DB.ResumeBatch(ctx, r.Batch, h.ev("again", "")), batch.ErrNotPaused)
	must(t, h.DB.PauseBatch(ctx, r.Batch, h.ev("pause", "")))
	wants(t, "pausing twice", h.DB.PauseBatch(ctx, r.Batch, h.ev("pause", "")), batch.ErrNotSigning)
	_, err = h.DB.Claim(ctx, run, 1)
	wants(t, "a claim in a pause", err, signer.ErrPaused)
	if st, err := h.DB.Beat(ctx, run); err != nil || !st.Paused || st.Stopped {
		t.Errorf("%+v, %v", st, err)
	}
	_, err = h.DB.Complete(ctx, in.ID, []signer.Outcome{outcome(got[0])}, h.Clock.Now(), h.ev("complete", in.ID))
	must(t, err)
	h.is(t, r, signer.Signing, "PAUSED")
	// Another process goes on with the pause.
	other := h.joined(t, in, "ru_b")
	_, err = h.DB.Claim(ctx, other, 1)
	wants(t, "its claim in the pause", err, signer.ErrPaused)
	must(t, h.DB.ResumeBatch(ctx, r.Batch, h.ev("again", "")))
	got, err = h.DB.Claim(ctx, other, 9)
	if err != nil || len(got) != 3 {
		t.Fatalf("%d claimed after the pause, %v", len(got), err)
	}
	must(t, h.DB.PauseBatch(ctx, r.Batch, h.ev("pause", "")))
	for _, c := range got {
		_, err = h.DB.Complete(ctx, in.ID, []signer.Outcome{outcome(c)}, h.Clock.Now(), h.ev("complete", in.ID))
		must(t, err)
	}
	h.is(t, r, signer.Signed, "SIGNED") // nothing was left to wait for
	if p, a := h.events(t, "pause"), h.events(t, "again"); p != 2 || a != 1 {
		t.Errorf("%d events of pauses, %d of their ends", p, a)
	}
	r, in = h.signing(t, "tx2", 2)
	must(t, h.DB.PauseBatch(ctx, r.Batch, h.ev("pause", "")))
	must(t, h.DB.Abandon(ctx, in.ID, h.ev("abandon", in.ID)))
	h.is(t, r, signer.NeedsAuthorisation, "NEEDS_AUTHORISATION")
}

func stops(t *testing.T, h *House) {
	ctx := context.Background()
	r, in := h.signing(t, "tx", 3)
	run := RunOf(in)
	got, err := h.DB.Claim(ctx, run, 1)
	must(t, err)
	for range 2 {
		must(t, h.DB.Stop(ctx, r.ID, h.ev("stop", r.ID)))
	}
	_, err = h.DB.Claim(ctx, run, 1)
	wants(t, "a claim of what was stopped", err, signer.ErrCancelled)
	if st, err := h.DB.State(ctx, run); err != nil || !st.Stopped {
		t.Errorf("%+v, %v", st, err)
	}
	wants(t, "joining it", h.DB.Resume(ctx, signer.Run{Intent: in.ID, ID: "ru_b"}, h.ev("resume", "")), signer.ErrCancelled)
	_, err = h.DB.Complete(ctx, in.ID, []signer.Outcome{outcome(got[0])}, h.Clock.Now(), h.ev("complete", in.ID))
	must(t, err)
	must(t, h.DB.Abandon(ctx, in.ID, h.ev("abandon", in.ID)))
	wants(t, "stopping what has ended", h.DB.Stop(ctx, r.ID, h.ev("stop", r.ID)), signer.ErrFinished)
}

// Refused documents are signed under another authorisation, which is of them alone.
func retries(t *testing.T, h *House) {
	ctx := context.Background()
	r, in := h.signing(t, "tx", 4)
	wants(t, "a batch that is signed", h.DB.RetryItems(ctx, r.Batch, nil, h.ev("retry", "")), batch.ErrLive)
	got, err := h.DB.Claim(ctx, RunOf(in), 9)
	must(t, err)
	refused := func(c signer.Claimed) signer.Outcome {
		return signer.Outcome{Index: c.Index, Attempt: c.Attempt, Refused: errors.New("x")}
	}
	chunk := []signer.Outcome{refused(got[1]), outcome(got[0]), refused(got[2]), refused(got[3])}
	_, err = h.DB.Complete(ctx, in.ID, chunk, h.Clock.Now(), h.ev("complete", in.ID))
	must(t, err)
	h.is(t, r, signer.SignedWithRefusals, "SIGNED_WITH_REFUSALS")
	for what, items := range map[string][]uint32{"a signed one": {0, 1}, "none there": {9}, "one twice": {1, 1}} {
		wants(t, what, h.DB.RetryItems(ctx, r.Batch, items, h.ev("retry", "")), batch.ErrItem)
	}
	h.is(t, r, signer.SignedWithRefusals, "SIGNED_WITH_REFUSALS")
	must(t, h.DB.RetryItems(ctx, r.Batch, []uint32{1, 2}, h.ev("retry", "")))
	// Whoever heard no answer and asks again is not told that another has the chunk: it would remove the file.
	if done, err := h.DB.Complete(ctx, in.ID, chunk, h.Clock.Now(), h.ev("complete", in.ID)); err != nil || !done {
		t.Errorf("the chunk again, after a retry: %t, %v", done, err)
	}
	wants(t, "again at once", h.DB.RetryItems(ctx, r.Batch, nil, h.ev("retry", "")), batch.ErrNotRefused)
	again := func(id string, end func(signer.Claimed) signer.Outcome) *signer.Request {
		t.Helper()
		n := *r
		n.ID, n.Implicit = id, false
		must(t, h.DB.CreateRequest(ctx, &n, nil, h.ev("create", id), nil))
		must(t, h.DB.StoreChallenge(ctx, h.challenge(id, 1), otp.DefaultPolicy(), h.ev("issue", id)))
		in, err := h.intent(&n, 1)
		must(t, err)
		got, err := h.DB.Claim(ctx, RunOf(in), 9)
		must(t, err)
		var out []signer.Outcome
		for _, c := range got {
			if c.Index == 0 || c.Attempt < 2 {
				t.Errorf("claimed again: %+v", c)
			}
			out = append(out, end(c))
		}
		done, err := h.DB.Complete(ctx, in.ID, out, h.Clock.Now(), h.ev("complete", in.ID))
		if err != nil || !done {
			t.Errorf("%s: %v, %v", id, done, err)
		}
		return &n
	}
	// The transaction answers for its own documents, the batch for all.
	h.is(t, again("tx2", outcome), signer.Signed, "SIGNED_WITH_REFUSALS")
	must(t, h.DB.RetryItems(ctx, r.Batch, nil, h.ev("retry", "")))
	h.is(t, again("tx3", refused), signer.Failed, "SIGNED_WITH_REFUSALS")
	must(t, h.DB.RetryItems(ctx, r.Batch, nil, h.ev("retry", "")))
	h.is(t, again("tx4", outcome), signer.Signed, "SIGNED")
	wants(t, "nothing refused", h.DB.RetryItems(ctx, r.Batch, nil, h.ev("retry", "")), batch.ErrNotRefused)
	if n := h.events(t, "retry"); n != 3 {
		t.Errorf("%d events of 3 tries", n)
	}
}

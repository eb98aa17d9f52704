package batch_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
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

// sealed is a sealed batch of n digests.
func (h *house) sealed(t testing.TB, n int) string {
	t.Helper()
	id := h.create(t, batch.Digest)
	_, err := h.svc.AddDigests(ctx, h.App.ID, id, "r", lines(0, n))
	must(t, err)
	_, err = h.svc.Seal(ctx, h.App.ID, id, false, "r")
	must(t, err)
	return id
}

// authorize gets PIN and code for what is pending in a batch.
func (h *house) authorize(t testing.TB, id string) *signer.Authorization {
	t.Helper()
	r, c, err := h.s.Prepare(ctx, h.ask(id))
	must(t, err)
	a, err := h.s.Authorize(ctx, h.Confirm(r, c))
	must(t, err)
	return a
}

func (h *house) status(t testing.TB, a *signer.Authorization) signer.Status {
	t.Helper()
	r, err := h.s.Request(ctx, a.Request.App, a.Request.ID)
	must(t, err)
	return r.Status
}

// eventually waits until something is so.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	over, tick := time.After(time.Minute), time.NewTicker(2*time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-over:
			t.Fatal(what)
		case <-tick.C:
		}
	}
}

// settled checks that a run, however it ended, left nothing half-done.
func (h *house) settled(t testing.TB, id string, signed int) {
	t.Helper()
	if h.Keys.Live.Load() != 0 {
		t.Errorf("%d keys are open", h.Keys.Live.Load())
	}
	open, err := h.DB.OpenIntents(ctx)
	if err != nil || len(open) != 0 {
		t.Errorf("open intents: %+v, %v", open, err)
	}
	n := 0
	states := map[string]int{}
	for _, it := range h.items(t, id) {
		states[it.State]++
		switch {
		case it.State == batch.ItemSigned && len(it.Signature) > 0:
			n++
		case it.State != batch.Pending && it.State != batch.ItemRefused, len(it.Signature) > 0:
			t.Errorf("document %d is %s with a signature of %d bytes", it.Index, it.State, len(it.Signature))
		}
	}
	if signed >= 0 && n != signed {
		t.Errorf("%d documents are signed, want %d", n, signed)
	}
	if b := h.batch(t, id); int(b.Signed) != states[batch.ItemSigned] || int(b.Refused) != states[batch.ItemRefused] {
		t.Errorf("the batch counts %d signed and %d refused, its documents are %v", b.Signed, b.Refused, states)
	}
	storetest.Chain(t, h.DB)
}

func TestRunSignsEachOnce(t *testing.T) {
	for _, c := range []struct{ width, chunk int }{{1, 1}, {4, 16}, {16, 3}, {0, 0}} {
		h := newHouse(t)
		id := h.sealed(t, 150)
		a := h.authorize(t, id)
		var mu sync.Mutex
		used := map[string]int{}
		h.Keys.OnSign = func(_ signer.Credential, digest []byte) error {
			mu.Lock()
			defer mu.Unlock()
			used[string(digest)]++
			return nil
		}
		must(t, batch.NewRunner(h.s, c.width, c.chunk, quiet).Run(ctx, a))
		pub := a.Credential.Certificate.PublicKey.(*ecdsa.PublicKey)
		for _, it := range h.items(t, id) {
			if used[string(it.Digest)] != 1 || !ecdsa.VerifyASN1(pub, it.Digest, it.Signature) {
				t.Errorf("width %d, chunk %d: document %d was signed %d times", c.width, c.chunk, it.Index, used[string(it.Digest)])
			}
		}
		b := h.batch(t, id)
		if len(used) != 150 || b.Status != batch.Signed || b.Signed != 150 || b.Pending != 0 || h.status(t, a) != signer.Signed || b.StartedAt.IsZero() || b.FinishedAt.IsZero() {
			t.Errorf("width %d, chunk %d: %d digests, %+v", c.width, c.chunk, len(used), b)
		}
		h.settled(t, id, 150)
		must(t, h.DB.Close())
	}
}

// hook makes the nth use of a key do something.
func (h *house) hook(n int, do func() error) {
	var mu sync.Mutex
	uses := 0
	h.Keys.OnSign = func(signer.Credential, []byte) error {
		mu.Lock()
		defer mu.Unlock()
		if uses++; uses == n {
			return do()
		}
		return nil
	}
}

var errAway = errors.New("token removed")

// An HSM that goes away for a moment is waited for: nobody is asked for a PIN again.
func TestRunWaitsForTheHSM(t *testing.T) {
	for _, away := range []error{signer.ErrKeysUnavailable, signer.ErrBusy} {
		h := newHouse(t)
		id := h.sealed(t, 20)
		a := h.authorize(t, id)
		var uses atomic.Int64
		h.Keys.OnSign = func(signer.Credential, []byte) error {
			if n := uses.Add(1); n >= 7 && n < 10 {
				return away
			}
			return nil
		}
		must(t, batch.NewRunner(h.s, 2, 4, quiet).Run(ctx, a))
		if b := h.batch(t, id); b.Signed != 20 || uses.Load() != 23 {
			t.Errorf("%v: %d signed with %d uses of the key", away, b.Signed, uses.Load())
		}
		h.settled(t, id, 20)
	}
}

// Whatever ends a run early: what was stored stays, the rest waits for a new
// PIN and code, which sign exactly the rest.
func TestRunThatCannotFinish(t *testing.T) {
	for what, c := range map[string]struct {
		want   error
		reason string
		at     func(h *house, cancel context.CancelFunc) error
	}{
		"the HSM goes":               {errAway, "internal error", func(*house, context.CancelFunc) error { return errAway }},
		"the HSM is said to be gone": {signer.ErrKeysUnavailable, signer.ErrKeysUnavailable.Error(), func(*house, context.CancelFunc) error { return signer.ErrKeysUnavailable }},
		"the deadline passes": {signer.ErrDeadline, signer.ErrDeadline.Error(), func(h *house, _ context.CancelFunc) error {
			h.Clock.Advance(24 * time.Hour)
			return nil
		}},
		"the gateway stops": {batch.ErrShutdown, "", func(_ *house, cancel context.CancelFunc) error {
			cancel()
			return nil
		}},
	} {
		t.Run(what, func(t *testing.T) {
			h := newHouse(t)
			id := h.sealed(t, 40)
			a := h.authorize(t, id)
			run, cancel := context.WithCancel(ctx)
			defer cancel()
			h.hook(11, func() error { return c.at(h, cancel) })
			r := batch.NewRunner(h.s, 1, 1, quiet)
			r.Patience = 0
			if err := r.Run(run, a); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			b := h.batch(t, id)
			if b.Signed < 10 || b.Signed > 12 || b.Signed+b.Pending != 40 || b.Status != batch.NeedsAuthorisation || h.status(t, a) != signer.NeedsAuthorisation {
				t.Errorf("%+v, the transaction is %s", b, h.status(t, a))
			}
			h.settled(t, id, int(b.Signed))
			records := storetest.Chain(t, h.DB)
			if last := records[len(records)-1]; last.Action != "signer.abandon" || c.reason != "" && last.Detail["reason"] != c.reason {
				t.Errorf("the last record is %+v", last.Event)
			}
			h.Keys.OnSign = nil
			uses := h.Keys.Signs.Load()
			again := h.authorize(t, id)
			if again.Request.Count != 40-b.Signed {
				t.Errorf("the officer is asked for %d of %d", again.Request.Count, 40-b.Signed)
			}
			must(t, batch.NewRunner(h.s, 4, 8, quiet).Run(ctx, again))
			if h.Keys.Signs.Load()-uses != int64(40-b.Signed) {
				t.Errorf("%d uses of the key for %d documents", h.Keys.Signs.Load()-uses, 40-b.Signed)
			}
			h.settled(t, id, 40)
			if b := h.batch(t, id); b.Status != batch.Signed || h.status(t, a) != signer.NeedsAuthorisation || h.status(t, again) != signer.Signed {
				t.Errorf("%+v", b)
			}
		})
	}
}

// A fault in one document does not end the others.
func TestRunGoesOnAfterAPanic(t *testing.T) {
	h := newHouse(t)
	id := h.sealed(t, 10)
	a := h.authorize(t, id)
	fourth := h.items(t, id)[3].Digest
	h.Keys.OnSign = func(_ signer.Credential, digest []byte) error {
		if bytes.Equal(digest, fourth) {
			panic("the PIN is " + storetest.PIN)
		}
		return nil
	}
	must(t, batch.NewRunner(h.s, 1, 5, quiet).Run(ctx, a))
	b := h.batch(t, id)
	if b.Signed != 9 || b.Refused != 1 || b.Status != batch.SignedWithRefusals {
		t.Errorf("%+v", b)
	}
	for _, it := range h.items(t, id) {
		if it.State == batch.ItemRefused && (it.Code != "internal_error" || it.Detail != "") {
			t.Errorf("refused with %q, %q", it.Code, it.Detail)
		}
	}
	h.settled(t, id, 9)
}

func TestStartAndShutdown(t *testing.T) {
	h := newHouse(t)
	runner := batch.NewRunner(h.s, 2, 4, quiet)
	first := h.sealed(t, 5)
	done := h.authorize(t, first)
	var once sync.Once
	stopped := make(chan struct{})
	runner.Start(done)
	ids := []string{h.sealed(t, 60), h.sealed(t, 60)}
	var all []*signer.Authorization
	for _, id := range ids {
		all = append(all, h.authorize(t, id))
	}
	h.Keys.OnSign = func(signer.Credential, []byte) error {
		once.Do(func() {
			go func() {
				runner.Shutdown()
				close(stopped)
			}()
		})
		return nil
	}
	for _, a := range all {
		runner.Start(a)
	}
	<-stopped
	// Shutdown has waited: nothing goes on behind it.
	uses := h.Keys.Signs.Load()
	for k, id := range ids {
		b := h.batch(t, id)
		if got := h.status(t, all[k]); got != signer.Signed && got != signer.NeedsAuthorisation || b.Signed+b.Pending != 60 || (got == signer.Signed) != (b.Pending == 0) {
			t.Errorf("%s, %+v", got, b)
		}
		h.settled(t, id, int(b.Signed))
	}
	if h.Keys.Signs.Load() != uses {
		t.Error("a key was used after Shutdown")
	}
	must(t, h.DB.Close())
}

// failing loses the answer of one call, or does not do it.
type failing struct {
	storetest.Records
	mu     sync.Mutex
	left   int
	after  bool
	method string
}

func (f *failing) hit(method string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if method != f.method {
		return false
	}
	f.left--
	return f.left == 0
}

func (f *failing) Claim(ctx context.Context, run signer.Run, n int) ([]signer.Claimed, error) {
	hit := f.hit("Claim")
	if hit && !f.after {
		return nil, errAway
	}
	out, err := f.Records.Claim(ctx, run, n)
	if hit {
		return nil, errAway
	}
	return out, err
}

func (f *failing) Complete(ctx context.Context, intent string, out []signer.Outcome, now time.Time, ev audit.Event) (bool, error) {
	hit := f.hit("Complete")
	if hit && !f.after {
		return false, errAway
	}
	done, err := f.Records.Complete(ctx, intent, out, now, ev)
	if hit {
		return false, errAway
	}
	return done, err
}

// Every place in a run where the database may fail, both ways: a document is
// signed when its row says so, and never by two authorisations.
func TestRunWithDatabaseFaults(t *testing.T) {
	for _, method := range []string{"Claim", "Complete"} {
		for nth := 1; nth <= 4; nth++ {
			for _, after := range []bool{false, true} {
				h := newHouse(t)
				id := h.sealed(t, 12)
				a := h.authorize(t, id)
				s := h.Signer(&failing{Records: h.DB, left: nth, after: after, method: method}, h.blobs)
				err := batch.NewRunner(s, 2, 3, quiet).Run(ctx, a)
				b := h.batch(t, id)
				if err != nil && !errors.Is(err, errAway) {
					t.Errorf("%s %d, done %v: %v", method, nth, after, err)
				}
				if (b.Pending == 0) != (b.Status == batch.Signed) || b.Signed+b.Pending != 12 {
					t.Errorf("%s %d, done %v: %+v", method, nth, after, b)
				}
				h.settled(t, id, int(b.Signed))
				if b.Status == batch.Signed {
					continue
				}
				if b.Status != batch.NeedsAuthorisation || err == nil {
					t.Errorf("%s %d, done %v: %+v, %v", method, nth, after, b, err)
				}
				must(t, batch.NewRunner(h.s, 2, 3, quiet).Run(ctx, h.authorize(t, id)))
				h.settled(t, id, 12)
			}
		}
	}
}

// While a batch is being signed its progress is counted by the commits, and counted anew by each authorisation.
func TestProgressIsCounted(t *testing.T) {
	h := newHouse(t)
	id := h.sealed(t, 20)
	signed := 0
	for _, n := range []int{5, 3} {
		a := h.authorize(t, id)
		for range n {
			claimed, err := h.s.Claim(ctx, a, 1)
			must(t, err)
			out, err := h.s.Sign(ctx, a, claimed, nil)
			must(t, err)
			if signed == 6 {
				out[0].Signature, out[0].Refused = nil, errors.New("refused")
			}
			_, err = h.s.Complete(ctx, a, out)
			must(t, err)
			signed++
			if b := h.batch(t, id); b.Status != batch.Signing || int(b.Signed+b.Refused) != signed || int(b.Pending) != 20-signed || (b.Refused == 1) != (signed > 6) {
				t.Errorf("after %d: %s, %d signed, %d refused, %d pending", signed, b.Status, b.Signed, b.Refused, b.Pending)
			}
		}
		must(t, h.s.Abandon(ctx, a.Intent, signer.ErrDeadline))
		must(t, a.Close())
	}
	if b := h.batch(t, id); b.Status != batch.NeedsAuthorisation || b.Signed != 7 || b.Refused != 1 || b.Pending != 12 {
		t.Errorf("%+v", b)
	}
}

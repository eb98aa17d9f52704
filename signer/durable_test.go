package signer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/storetest"
)

// flaky are blobs that are durable after Sync alone, and a disk that fails now and then: of what
// it could not sync nothing is left.
type flaky struct {
	signer.Blobs
	mu       sync.Mutex
	durable  map[string]bool
	syncs    int
	written  int
	failSync func(n int) bool
	failPut  func(n int) bool
}

func (f *flaky) Stage(ctx context.Context, id string, write func(io.Writer) error) (int64, error) {
	f.mu.Lock()
	f.written++
	fail := f.failPut != nil && f.failPut(f.written)
	delete(f.durable, id)
	f.mu.Unlock()
	if fail {
		return 0, fmt.Errorf("%w: no room", signer.ErrStoreUnavailable)
	}
	return f.Blobs.Stage(ctx, id, write)
}

func (f *flaky) Sync(ctx context.Context, ids ...string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(ids) == 0 {
		return nil
	}
	if f.syncs++; f.failSync != nil && f.failSync(f.syncs) {
		err := fmt.Errorf("%w: input/output error", signer.ErrStoreUnavailable)
		for _, id := range ids {
			err = errors.Join(err, f.Blobs.Remove(ctx, id))
		}
		return err
	}
	for _, id := range ids {
		f.durable[id] = true
	}
	return f.Blobs.Sync(ctx, ids...)
}

// watchedRecords sees to it that no row names a file before it is durable.
type watchedRecords struct {
	signer.Records
	t *testing.T
	f *flaky
}

func (w *watchedRecords) Complete(ctx context.Context, intent string, out []signer.Outcome, at time.Time, ev audit.Event) (bool, error) {
	w.f.mu.Lock()
	for _, o := range out {
		if o.Blob != "" && !w.f.durable[signer.PackOf(o.Blob)] {
			w.t.Errorf("a row names %s, which a crash may take back", o.Blob)
		}
	}
	w.f.mu.Unlock()
	return w.Records.Complete(ctx, intent, out, at, ev)
}

// What the disk could not keep is signed again, with one use of the key for each document; a disk
// without room is waited for.
func TestDiskThatFailsMeanwhile(t *testing.T) {
	for name, c := range map[string]struct {
		docs              int
		failSync, failPut func(n int) bool
	}{
		"sync of the first chunk":   {10, func(n int) bool { return n == 1 }, nil},
		"every other sync":          {10, func(n int) bool { return n%2 == 1 }, nil},
		"sync of a lone document":   {1, func(n int) bool { return n == 1 }, nil},
		"no room for some":          {10, nil, func(n int) bool { return n > 3 && n < 8 }},
		"no room, and then no sync": {10, func(n int) bool { return n == 1 }, func(n int) bool { return n > 10 && n < 13 }},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			var files [][]byte
			for k := range c.docs {
				files = append(files, storetest.PDF(fmt.Sprint(k)))
			}
			r, conf := h.prepare(t, h.pdfs(t, files...))
			f := &flaky{Blobs: h.blobs, durable: map[string]bool{}, failSync: c.failSync, failPut: c.failPut}
			h.s.Blobs, h.s.Records = f, &watchedRecords{h.s.Records, t, f}
			a, err := h.s.Authorize(ctx, conf)
			must(t, err)
			before := h.Keys.Signs.Load()
			must(t, batch.NewRunner(h.s, 3, 4, quiet).Run(ctx, a))
			if n := h.Keys.Signs.Load() - before; n != int64(c.docs) {
				t.Errorf("the key was used %d times for %d documents", n, c.docs)
			}
			for _, it := range h.items(t, r) {
				if it.State != batch.ItemSigned {
					t.Errorf("document %d is %s", it.Index, it.State)
					continue
				}
				if got := h.content(t, it.SignedBlob); int64(len(got)) != it.SignedSize || !strings.HasPrefix(got, string(files[it.Index])) || !strings.HasSuffix(strings.TrimSpace(got), "%%EOF") {
					t.Errorf("document %d is cut off", it.Index)
				}
			}
		})
	}
}

// A disk that does not come back ends the run; nothing is called signed, and a new PIN and code
// sign it all.
func TestDiskThatStaysBroken(t *testing.T) {
	h := newHouse(t)
	ask := h.pdfs(t, storetest.PDF("a"), storetest.PDF("b"))
	r, conf := h.prepare(t, ask)
	f := &flaky{Blobs: h.blobs, durable: map[string]bool{}, failSync: func(int) bool { return true }}
	h.s.Blobs = f
	a, err := h.s.Authorize(ctx, conf)
	must(t, err)
	runner := batch.NewRunner(h.s, 2, 2, quiet)
	runner.Patience = 0
	if err := runner.Run(ctx, a); !errors.Is(err, signer.ErrNotDurable) || !errors.Is(err, signer.ErrStoreUnavailable) {
		t.Errorf("the run ended with %v", err)
	}
	for _, it := range h.items(t, r) {
		if it.State == batch.ItemSigned || it.SignedBlob != "" {
			t.Errorf("document %d is %s", it.Index, it.State)
		}
	}
	f.failSync = nil
	h.Clock.Advance(time.Minute)
	ask.Documents, ask.Batch = nil, r.Batch
	must(t, h.run(h.authorize(t, ask)))
	for _, it := range h.items(t, r) {
		if it.State != batch.ItemSigned || int64(len(h.content(t, it.SignedBlob))) != it.SignedSize {
			t.Errorf("document %d is %s", it.Index, it.State)
		}
	}
}

// A completion that is asked for again, since nobody heard its answer, syncs nothing again: a disk
// that fails meanwhile takes no file that a row names.
func TestCompletedAgainIsNotSyncedAgain(t *testing.T) {
	h := newHouse(t)
	r, conf := h.prepare(t, h.pdfs(t, storetest.PDF("a"), storetest.PDF("b"), storetest.PDF("c")))
	f := &flaky{Blobs: h.blobs, durable: map[string]bool{}}
	h.s.Blobs = f
	a, err := h.s.Authorize(ctx, conf)
	must(t, err)
	claimed, err := h.s.Claim(ctx, a, 3)
	must(t, err)
	var out []signer.Outcome
	for _, d := range claimed {
		o, err := signOne(h.s, a, d)
		must(t, err)
		out = append(out, o)
	}
	if done, err := h.s.Complete(ctx, a, out); err != nil || !done {
		t.Fatal(done, err)
	}
	before := f.syncs
	f.failSync = func(int) bool { return true }
	if done, err := h.s.Complete(ctx, a, out); err != nil || !done || f.syncs != before {
		t.Errorf("again: %t, %v, %d syncs more", done, err, f.syncs-before)
	}
	must(t, a.Close())
	for _, it := range h.items(t, r) {
		if it.State != batch.ItemSigned || int64(len(h.content(t, it.SignedBlob))) != it.SignedSize {
			t.Errorf("document %d is %s", it.Index, it.State)
		}
	}
}

package batch_test

import (
	"archive/zip"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store"
	"github.com/mohor-sign/mohor/store/storetest"
)

func TestProofOfAnItem(t *testing.T) {
	h := newHouse(t)
	open := h.batch(t, h.create(t, batch.Digest))
	if _, _, err := h.svc.Proof(ctx, open, 0); !errors.Is(err, batch.ErrNotSealed) {
		t.Errorf("of an open batch: %v", err)
	}
	b := h.batch(t, h.sealed(t, 600))
	for _, k := range []uint32{0, 1, 255, 256, 511, 512, 599} {
		it, p, err := h.svc.Proof(ctx, b, k)
		if err != nil || it.Index != k || it.Name == "" {
			t.Fatalf("item %d: %+v, %v", k, it, err)
		}
		if err := p.Verify(it.Leaf(), b.Root); err != nil || p.Count != 600 {
			t.Errorf("item %d: %v", k, err)
		}
	}
	if _, _, err := h.svc.Proof(ctx, b, 600); !errors.Is(err, batch.ErrUnknown) {
		t.Errorf("behind the last: %v", err)
	}
}

// Rows that somebody has edited get no proof: neither before the tree is remembered nor after.
func TestNoProofOfEditedRows(t *testing.T) {
	for what, asked := range map[string]bool{"asked for the first time": false, "asked before": true} {
		t.Run(what, func(t *testing.T) {
			db, path := storetest.SQLite(t)
			h := newHouseOn(t, db)
			b := h.batch(t, h.sealed(t, 300))
			if asked {
				_, _, err := h.svc.Proof(ctx, b, 299)
				must(t, err)
			}
			edit(t, path, `UPDATE items SET digest = zeroblob(32) WHERE idx = 270`)
			if _, _, err := h.svc.Proof(ctx, b, 299); !errors.Is(err, signer.ErrDocuments) {
				t.Errorf("a proof in the same block: %v", err)
			}
			if err := h.svc.Archive(ctx, b, io.Discard); !errors.Is(err, signer.ErrDocuments) {
				t.Errorf("the archive: %v", err)
			}
			edit(t, path, `DELETE FROM items WHERE idx = 3`)
			if _, _, err := h.svc.Proof(ctx, b, 2); !errors.Is(err, signer.ErrDocuments) {
				t.Errorf("a proof beside a missing row: %v", err)
			}
		})
	}
}

// edit changes a database past the gateway.
func edit(t testing.TB, path, change string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(15000)")
	must(t, err)
	_, err = db.Exec(change)
	must(t, errors.Join(err, db.Close()))
}

// counted counts the rows that are read for trees.
type counted struct {
	batch.Queue
	rows int
}

func (c *counted) Leaves(ctx context.Context, id string, after int64, limit int) ([]signer.Document, error) {
	out, err := c.Queue.Leaves(ctx, id, after, limit)
	c.rows += len(out)
	return out, err
}

// The tree of a batch is read once, then a block for each proof.
func TestTreesAreRemembered(t *testing.T) {
	h := newHouse(t)
	q := &counted{Queue: h.DB}
	h.svc.Queue = q
	b := h.batch(t, h.sealed(t, 1000))
	for k, want := range []int{1000 + 256, 256, 256} {
		q.rows = 0
		if _, _, err := h.svc.Proof(ctx, b, uint32(10+k)); err != nil || q.rows != want {
			t.Errorf("proof %d: %d rows, want %d, %v", k, q.rows, want, err)
		}
	}
}

// Detached signatures stand in files beside the manifest; what is RAW in the manifest alone.
func TestArchiveOfDetachedSignatures(t *testing.T) {
	for _, format := range []string{signer.CMS, signer.RAW} {
		t.Run(format, func(t *testing.T) {
			h := newHouse(t)
			b := h.batch(t, h.sealed(t, 3))
			ask := h.ask(b.ID)
			ask.Options = signer.Options{Format: format}
			r, c, err := h.s.Prepare(ctx, ask)
			must(t, err)
			a, err := h.s.Authorize(ctx, h.Confirm(r, c))
			must(t, err)
			must(t, batch.NewRunner(h.s, 2, 2, quiet).Run(ctx, a))
			var out bytes.Buffer
			must(t, h.svc.Archive(ctx, h.batch(t, b.ID), &out))
			zr, err := zip.NewReader(bytes.NewReader(out.Bytes()), int64(out.Len()))
			must(t, err)
			files := map[string][]byte{}
			for _, f := range zr.File {
				rc, err := f.Open()
				must(t, err)
				files[f.Name], err = io.ReadAll(rc)
				must(t, errors.Join(err, rc.Close()))
			}
			var m batch.Manifest
			must(t, json.Unmarshal(files["manifest.json"], &m))
			if want := map[string]int{signer.CMS: 4, signer.RAW: 1}[format]; len(files) != want || len(m.Items) != 3 {
				t.Fatalf("%d files, %d lines", len(files), len(m.Items))
			}
			for _, it := range m.Items {
				proves(t, &m, &it)
				if it.Signature == "" || it.Format != format || it.Verdict != batch.Verified || (it.Level == "B-B") != (format == signer.CMS) {
					t.Errorf("%+v", it)
				}
				if format == signer.CMS && (it.File == "" || len(files[it.File]) == 0) {
					t.Errorf("file %q is not there", it.File)
				}
			}
		})
	}
}

// seenQueue looks at the heap now and then.
type seenQueue struct {
	*shelf
	looks int
	peak  uint64
}

func (w *seenQueue) Items(ctx context.Context, id, state string, after int64, limit int) ([]batch.Item, error) {
	if w.looks++; w.looks%40 == 0 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		w.peak = max(w.peak, m.HeapAlloc)
	}
	return w.shelf.Items(ctx, id, state, after, limit)
}

// An archive of 100,000 files takes what the ZIP's own directory takes, some hundred bytes a file; the
// manifest of 90 MB is never in memory.
func TestArchiveInLittleMemory(t *testing.T) {
	s := &shelf{items: 100_000, page: []byte("%PDF-1.7\n")}
	b := s.sealed()
	w := &seenQueue{shelf: s}
	svc := s.service(t, 1)
	svc.Queue = w
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	size := &count{}
	must(t, svc.Archive(ctx, b, size))
	const most = 50 << 20
	if w.looks < 390 || w.peak > before.HeapAlloc+most {
		t.Errorf("%d MB more than the %d MB before, at %d looks", (w.peak-before.HeapAlloc)>>20, before.HeapAlloc>>20, w.looks)
	}
	t.Logf("%d MB beside the %d MB before; %d MB written", (w.peak-min(w.peak, before.HeapAlloc))>>20, before.HeapAlloc>>20, size.n>>20)
}

type count struct{ n int64 }

func (c *count) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// Who hangs up stops the work, also between two files.
func TestArchiveEndsWithItsReader(t *testing.T) {
	s := &shelf{items: 5000, page: []byte("%PDF-1.7\n")}
	w := &seenQueue{shelf: s}
	svc := s.service(t, 1)
	svc.Queue = &gone{w}
	c, cancel := context.WithCancel(ctx)
	b := s.sealed()
	cancel()
	if err := svc.Archive(c, b, io.Discard); !errors.Is(err, context.Canceled) || w.looks > 0 {
		t.Errorf("after the request ended: %v, %d looks", err, w.looks)
	}
}

// gone reads as a database does: not once ctx has ended.
type gone struct{ *seenQueue }

func (g *gone) Items(ctx context.Context, id, state string, after int64, limit int) ([]batch.Item, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return g.seenQueue.Items(ctx, id, state, after, limit)
}

func TestRate(t *testing.T) {
	began := time.Date(2026, 7, 1, 8, 0, 0, 0, time.UTC)
	at := func(s float64) time.Time { return began.Add(time.Duration(s * float64(time.Second))) }
	for what, c := range map[string]struct {
		commits []batch.Commit
		now     float64
		want    float64
	}{
		"nothing yet":                 {nil, 3, 0},
		"one commit":                  {[]batch.Commit{{at(2), 50}}, 2.5, 25},
		"steady":                      {[]batch.Commit{{at(10), 50}, {at(11), 50}, {at(12), 50}}, 12.5, 50},
		"the first is only the start": {[]batch.Commit{{at(10), 900}, {at(12), 10}}, 12, 5},
		"slow, and on its way":        {[]batch.Commit{{at(0), 1}, {at(20), 1}, {at(40), 1}}, 70, 0.05},
		"stopped long ago":            {[]batch.Commit{{at(0), 50}, {at(1), 50}}, 101, 50. / 101},
		"a clock that went back":      {[]batch.Commit{{at(5), 50}}, -10, 10},
		"all at once":                 {[]batch.Commit{{began, 50}}, 0, 0},
	} {
		if got := batch.Rate(c.commits, began, at(c.now)); got < c.want-1e-9 || got > c.want+1e-9 {
			t.Errorf("%s: %v, want %v", what, got, c.want)
		}
	}
}

// Trees are remembered up to a size, also when many ask at once.
func TestTreesAreBuiltOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{items: 2000, page: []byte("%PDF-1.7\n")}
		q := &slow{shelf: s}
		svc := s.service(t, 1)
		svc.Queue = q
		b := s.sealed()
		errs := make(chan error, 20)
		for k := range cap(errs) {
			go func() {
				_, _, err := svc.Proof(t.Context(), b, uint32(k))
				errs <- err
			}()
		}
		for range cap(errs) {
			must(t, <-errs)
		}
		if q.first != 1 {
			t.Errorf("the tree was read %d times", q.first)
		}
	})
}

// slow takes its time, and counts how often a tree is read from its beginning to its second block.
type slow struct {
	*shelf
	first int
}

func (s *slow) Leaves(ctx context.Context, id string, after int64, limit int) ([]signer.Document, error) {
	if after == signer.Block-1 {
		s.first++
	}
	time.Sleep(time.Second)
	return s.shelf.Leaves(ctx, id, after, limit)
}

func (s *slow) Item(ctx context.Context, id string, index uint32) (batch.Item, error) {
	items, err := s.shelf.Items(ctx, id, "", int64(index)-1, 1)
	return items[0], err
}

var _ batch.Queue = (*store.DB)(nil)

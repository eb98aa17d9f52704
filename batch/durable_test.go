package batch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/storetest"
)

// awayBlobs are blobs that are durable after Sync alone, and fail where they are told to.
type awayBlobs struct {
	signer.Blobs
	mu      sync.Mutex
	durable map[string]bool
	syncs   int
	fails   string // "", "write", "read" or "sync"
}

var errStoreAway = fmt.Errorf("%w: it is away", signer.ErrStoreUnavailable)

func (f *awayBlobs) Create(ctx context.Context, id string, write func(io.Writer) error) (int64, error) {
	n, err := f.Stage(ctx, id, write)
	if err == nil {
		err = f.Sync(ctx, id)
	}
	return n, err
}

func (f *awayBlobs) Stage(ctx context.Context, id string, write func(io.Writer) error) (int64, error) {
	return f.Blobs.Stage(ctx, id, func(w io.Writer) error {
		if f.fails == "write" {
			w = awayWriter{}
		}
		return write(w)
	})
}

type awayWriter struct{}

func (awayWriter) Write([]byte) (int, error) { return 0, errStoreAway }

func (f *awayBlobs) Open(ctx context.Context, id string) (signer.Blob, error) {
	b, err := f.Blobs.Open(ctx, id)
	if err == nil && f.fails == "read" {
		b = awayBlob{b}
	}
	return b, err
}

type awayBlob struct{ signer.Blob }

func (awayBlob) ReadAt([]byte, int64) (int, error) { return 0, errStoreAway }

func (f *awayBlobs) Sync(ctx context.Context, ids ...string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.syncs++
	if f.fails == "sync" {
		return errStoreAway
	}
	for _, id := range ids {
		f.durable[id] = true
	}
	return f.Blobs.Sync(ctx, ids...)
}

// durableQueue sees to it that no row names a file before it is durable.
type durableQueue struct {
	batch.Queue
	batch.Documents
	t testing.TB
	f *awayBlobs
}

func (q *durableQueue) check(id string) {
	q.f.mu.Lock()
	defer q.f.mu.Unlock()
	if !q.f.durable[id] {
		q.t.Errorf("a row names %s, which a crash may take back", id)
	}
}

func (q *durableQueue) AddItems(ctx context.Context, id string, items []batch.Item, refused []batch.Refusal, ev audit.Event) error {
	for _, it := range items {
		q.check(it.Blob)
	}
	return q.Queue.AddItems(ctx, id, items, refused, ev)
}

func (q *durableQueue) PutDocument(ctx context.Context, d batch.Document, ev audit.Event) error {
	q.check(d.Blob)
	return q.Documents.PutDocument(ctx, d, ev)
}

// What is taken in is durable before a row names it, all of an upload with one sync; a store that
// is away refuses the upload whole, and is never taken for a fault of a document.
func TestUploadsAreDurable(t *testing.T) {
	h := newHouse(t)
	f := &awayBlobs{Blobs: h.blobs, durable: map[string]bool{}}
	q := &durableQueue{h.DB, h.DB, t, f}
	h.svc.Blobs, h.svc.Queue = f, q
	id := h.create(t, batch.PDF)
	files := archive(t, "a.pdf", storetest.PDF("a"), "b.pdf", storetest.PDF("b"), "c.pdf", storetest.PDF("c"))
	upload := func() error {
		_, _, err := h.svc.Upload(ctx, q, h.App.ID, "surat.pdf", "r", bytes.NewReader(storetest.PDF("surat")), secret.Text{})
		return err
	}
	for _, f.fails = range []string{"write", "read", "sync"} {
		h.refuses(t, "a ZIP without "+f.fails, id, signer.ErrStoreUnavailable, func() error {
			_, err := h.addPDFs(id, files)
			if errors.Is(err, batch.ErrInput) {
				t.Errorf("%s: the upload is blamed: %v", f.fails, err)
			}
			return err
		})
		h.refuses(t, "a PDF without "+f.fails, "", signer.ErrStoreUnavailable, upload)
		if n := h.stored(t); n != 0 {
			t.Errorf("%s: %d files are left", f.fails, n)
		}
	}
	f.fails, f.syncs = "", 0
	if got, err := h.addPDFs(id, files); err != nil || got.Accepted != 3 || len(got.Refused) > 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if f.syncs != 1 {
		t.Errorf("%d syncs of one upload", f.syncs)
	}
	must(t, upload())
}

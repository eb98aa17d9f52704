//go:build !race

package batch_test

import (
	"context"
	"io"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/ecert"
)

// rowsOf makes rows of a list while they are read.
type rowsOf struct {
	next, end int
	left      []byte
	make      func(k int) string
}

func (r *rowsOf) Read(p []byte) (int, error) {
	for len(r.left) < len(p) && r.next < r.end {
		r.left = append(r.left, r.make(r.next)...)
		r.next++
	}
	n := copy(p, r.left)
	if r.left = append(r.left[:0], r.left[n:]...); n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// heap watches how much memory is in use while numbers are looked for.
type heap struct {
	batch.Queue
	most uint64
}

func (h *heap) Elsewhere(ctx context.Context, id string, numbers []string) (map[string]batch.Elsewhere, error) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	h.most = max(h.most, m.HeapAlloc)
	return h.Queue.Elsewhere(ctx, id, numbers)
}

// A list of as many rows as may be is judged in little memory; one quote at its end refuses all of it,
// and nothing of it stays.
func TestMillionRows(t *testing.T) {
	h := newHouse(t)
	h.svc.MaxUpload = 1 << 30
	watch := &heap{Queue: h.DB}
	h.svc.Queue = watch
	id := h.create(t, batch.Ecert)
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	h.refuses(t, "a quote at the end of a million rows", id, ecert.ErrCSV, func() error {
		_, err := h.svc.AddCandidates(ctx, h.App.ID, id, "r", io.MultiReader(strings.NewReader(header), &rowsOf{end: ecert.MaxRows, make: func(k int) string {
			ic := "900101145678"
			if k%1000 == 0 {
				ic = "x" // a thousand rows are refused, and kept in pages until it is known that all are
			}
			return row("ALI BIN ABU "+strconv.Itoa(k), ic, "S"+strconv.Itoa(10_000_000+k))
		}}, strings.NewReader(`"`)))
		return err
	})
	if n := h.stored(t); n != 0 || len(h.items(t, id)) != 0 {
		t.Errorf("%d blobs, %d items", n, len(h.items(t, id)))
	}
	if rows, err := h.DB.RefusedRows(ctx, id, -1, 10); err != nil || len(rows) != 0 {
		t.Errorf("refused rows of a refused upload: %v, %v", rows, err)
	}
	if used := int64(watch.most) - int64(before.HeapAlloc); used > 130<<20 {
		t.Errorf("%d MB were in use", used>>20)
	}
	if watch.most == 0 {
		t.Error("nobody has looked")
	}
}

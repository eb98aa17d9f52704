package batch_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/ecert"
	"github.com/mohor-sign/mohor/signer"
)

type timed struct {
	batch.Queue
	d []time.Duration
	c time.Duration
}

func (w *timed) Stage(ctx context.Context, id, up string, p batch.Page) error {
	t := time.Now()
	err := w.Queue.Stage(ctx, id, up, p)
	w.d = append(w.d, time.Since(t))
	return err
}

func rss(t *testing.T) string {
	p, _ := os.ReadFile("/proc/self/status")
	for _, l := range bytes.Split(p, []byte("\n")) {
		if bytes.HasPrefix(l, []byte("VmHWM")) {
			return string(l)
		}
	}
	return ""
}

func TestZZDigests(t *testing.T) {
	h := newHouse(t)
	h.svc.MaxUpload = 1 << 30
	w := &timed{Queue: h.DB}
	h.svc.Queue = w
	id := h.create(t, batch.Digest)
	n, _ := strconv.Atoi(os.Getenv("N"))
	start := time.Now()
	got, err := h.svc.AddDigests(ctx, h.App.ID, id, "r", &rowsOf{end: n, make: line})
	must(t, err)
	slices.Sort(w.d)
	fmt.Println("digests", got.Accepted, time.Since(start), "stage median", w.d[len(w.d)/2], "max", w.d[len(w.d)-1], "p99", w.d[len(w.d)*99/100], rss(t), runtime.NumGoroutine())
	start = time.Now()
	b, err := h.svc.Seal(ctx, h.App.ID, id, false, "r")
	must(t, err)
	fmt.Println("seal", b.Count, time.Since(start), rss(t))
}

func TestZZEcert(t *testing.T) {
	h := newHouse(t)
	h.svc.MaxUpload = 1 << 30
	var err error
	h.svc.Renderer, err = ecert.NewRenderer(ecert.Options{Sandbox: true})
	must(t, err)
	w := &timed{Queue: h.DB}
	h.svc.Queue = w
	if os.Getenv("NOBLOBS") != "" {
		h.svc.Blobs = nowhere{h.svc.Blobs}
	}
	id := h.create(t, batch.Ecert)
	n, _ := strconv.Atoi(os.Getenv("N"))
	start := time.Now()
	got, err := h.svc.AddCandidates(ctx, h.App.ID, id, "r", io.MultiReader(strings.NewReader(header), &rowsOf{end: n, make: func(k int) string {
		return row("ALI BIN ABU "+strconv.Itoa(k), "900101145678", "S"+strconv.Itoa(10_000_000+k))
	}}))
	must(t, err)
	slices.Sort(w.d)
	fmt.Println("ecert", got.Accepted, time.Since(start), "stage median", w.d[len(w.d)/2], "max", w.d[len(w.d)-1], "p99", w.d[len(w.d)*99/100], rss(t))
}

type nowhere struct{ signer.Blobs }

func (nowhere) Create(_ context.Context, _ string, write func(io.Writer) error) (int64, error) {
	return 0, write(io.Discard)
}

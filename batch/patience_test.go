package batch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/color"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/ecert"
	"github.com/mohor-sign/mohor/store/storetest"
)

// However many rows name a picture, good or bad, it is decoded once.
func TestPhotosAreDecodedOnce(t *testing.T) {
	h := newHouse(t)
	var err error
	h.svc.Renderer, err = ecert.NewRenderer(ecert.Options{Sandbox: true})
	must(t, err)
	good := picture(t, 1900, 1900, color.RGBA{200, 0, 0, 255})
	cut := append(bytes.Clone(good[:len(good)/2]), 0xFF, 0xD9)
	const rows = 60
	var list strings.Builder
	list.WriteString(strings.Replace(header, "\n", ",foto\n", 1))
	for k := range rows {
		photo := []string{"a.jpg", "copy.jpg", "cut.jpg"}[k%3]
		list.WriteString(strings.Replace(row("ALI", ic, "S10000"+string(rune('0'+k/10))+string(rune('0'+k%10))), "\n", ","+photo+"\n", 1))
	}
	zipped := archive(t, "senarai.csv", []byte(list.String()), "a.jpg", good, "copy.jpg", good, "cut.jpg", cut)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, err := h.svc.AddZIP(ctx, h.App.ID, h.create(t, batch.Ecert), "r", bytes.NewReader(zipped))
	runtime.ReadMemStats(&after)
	must(t, err)
	if got.Accepted != 1 || got.RefusedCount != rows-1 {
		t.Errorf("%+v", got)
	}
	for _, r := range got.Refused {
		if r.Code != ecert.CodePhotoInvalid {
			t.Errorf("%+v", r)
		}
	}
	// A decoded picture is five megabytes or more.
	if n := (after.TotalAlloc - before.TotalAlloc) >> 20; n > rows*5/2 {
		t.Errorf("%d MB for two pictures", n)
	}
}

// asked counts the questions for numbers.
type asked struct {
	batch.Queue
	n int
}

func (a *asked) Elsewhere(ctx context.Context, id string, numbers []string) (map[string]batch.Elsewhere, error) {
	a.n++
	return a.Queue.Elsewhere(ctx, id, numbers)
}

// A list is not judged to its end for a sender who has gone.
func TestJudgingEndsWithItsSender(t *testing.T) {
	h := newHouse(t)
	id := h.create(t, batch.Ecert)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	q := &asked{Queue: h.DB}
	h.svc.Queue = q
	list := io.MultiReader(strings.NewReader(header+row("ALI", ic, "S1000001")), leaving(cancel))
	if _, err := h.svc.AddCandidates(ctx, h.App.ID, id, "r", list); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if q.n != 0 {
		t.Error("the list was judged to its end")
	}
}

// settling sees each question for numbers.
type settling struct {
	batch.Queue
	at func(n int)
	n  int
}

func (s *settling) Elsewhere(ctx context.Context, id string, numbers []string) (map[string]batch.Elsewhere, error) {
	s.n++
	s.at(s.n)
	return s.Queue.Elsewhere(ctx, id, numbers)
}

// other is a gateway beside h's.
func (h *house) other(q batch.Queue) *batch.Service {
	return &batch.Service{Queue: q, Blobs: h.svc.Blobs, TempDir: h.svc.TempDir, MaxUpload: h.svc.MaxUpload, MaxPDF: h.svc.MaxPDF, Now: h.svc.Now}
}

// An upload lives as long as it judges, also good rows.
func TestUploadLivesWhileItJudges(t *testing.T) {
	h := newHouse(t)
	id := h.create(t, batch.Ecert)
	var list strings.Builder
	list.WriteString(header + row("", ic, "S1000000"))
	for k := 1; k < 2000; k++ {
		list.WriteString(row("ALI", ic, fmt.Sprint("S", 1000000+k)))
	}
	list.WriteString("x\n") // refuses the list whole, and no page is drawn
	seen := ""
	h.svc.Queue = &settling{Queue: h.DB, at: func(n int) {
		h.Clock.Advance(90 * time.Second)
		must(t, h.other(h.DB).Sweep(ctx))
		b := h.batch(t, id)
		if n > 1 && b.Intake == "" || n > 2 && b.Intake != seen {
			t.Errorf("after %d rows: %q holds the batch, before %q", 500*n, b.Intake, seen)
		}
		seen = b.Intake
	}}
	h.refuses(t, "a list with a bad end", id, ecert.ErrCSV, func() error {
		_, err := h.svc.AddCandidates(ctx, h.App.ID, id, "r", strings.NewReader(list.String()))
		return err
	})
	if b := h.batch(t, id); b.Intake != "" || b.RefusedRows != 0 || seen == "" {
		t.Errorf("%+v, %q", b, seen)
	}
}

// lapsing is a queue whose list of dead uploads is old when it is read.
type lapsing struct {
	batch.Queue
	meanwhile func()
}

func (l *lapsing) LapsedIntakes(ctx context.Context) (map[string]string, error) {
	dead, err := l.Queue.LapsedIntakes(ctx)
	l.meanwhile()
	return dead, err
}

// waking is the queue of an upload that sleeps before its last step.
type waking struct {
	batch.Queue
	at func(commit func())
}

func (w *waking) CommitIntake(ctx context.Context, id, upload string, first uint32, items, refused int, ev audit.Event) (err error) {
	w.at(func() { err = w.Queue.CommitIntake(ctx, id, upload, first, items, refused, ev) })
	return err
}

// Who was taken for dead and wakes before it is buried keeps what it took in; later it is told that
// another is at work, and nothing of it is left.
func TestUploadWakes(t *testing.T) {
	for _, buried := range []bool{false, true} {
		h := newHouse(t)
		id := h.create(t, batch.PDF)
		h.svc.Now = func() time.Time { h.Clock.Advance(21 * time.Second); return h.Clock.Now() } // each file is a page
		h.svc.Queue = &waking{Queue: h.DB, at: func(commit func()) {
			h.Clock.Advance(time.Hour)
			meanwhile := commit
			if buried {
				meanwhile = func() {}
			}
			must(t, h.other(&lapsing{Queue: h.DB, meanwhile: meanwhile}).Sweep(ctx))
			if buried {
				commit()
			}
		}}
		a := storetest.PDF("a")
		_, err := h.addPDFs(id, archive(t, "a.pdf", a, "b.pdf", a, "c.pdf", a))
		want, files := error(nil), 3
		if buried {
			want, files = batch.ErrIntake, 0
		}
		if n := len(h.items(t, id)); !errors.Is(err, want) || n != files || h.stored(t) != files || h.batch(t, id).Intake != "" {
			t.Errorf("buried %v: %v, %d items, %d files", buried, err, n, h.stored(t))
		}
	}
}

// leaving is the end of an upload at which its sender goes.
type leaving func()

func (l leaving) Read([]byte) (int, error) { l(); return 0, io.EOF }

// Who sends for long finds the batch as others have left it: behind what they added, or sealed.
func TestUploadFindsTheBatchAsItIs(t *testing.T) {
	h := newHouse(t)
	id := h.create(t, batch.PDF)
	elsewhere := h.other(h.DB)
	late := func(meanwhile func()) (batch.Intake, error) {
		r := io.MultiReader(bytes.NewReader(archive(t, "late.pdf", storetest.PDF("late"))), leaving(meanwhile))
		return h.svc.AddPDFs(ctx, h.App.ID, id, "r", r)
	}
	got, err := late(func() {
		_, err := elsewhere.AddPDFs(ctx, h.App.ID, id, "r", bytes.NewReader(archive(t, "a.pdf", storetest.PDF("a"), "b.pdf", storetest.PDF("b"))))
		must(t, err)
	})
	if n := len(h.items(t, id)); err != nil || got.Accepted != 1 || n != 3 || h.stored(t) != 3 {
		t.Errorf("%+v, %v; %d items, %d files", got, err, n, h.stored(t))
	}
	_, err = late(func() {
		_, err := elsewhere.Seal(ctx, h.App.ID, id, false, "r")
		must(t, err)
	})
	if !errors.Is(err, batch.ErrSealed) || h.stored(t) != 3 {
		t.Errorf("sealed meanwhile: %v; %d files", err, h.stored(t))
	}
}

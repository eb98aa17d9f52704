package batch_test

import (
	"bytes"
	"context"
	"errors"
	"image/color"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/ecert"
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

// leaving is the end of an upload at which its sender goes.
type leaving func()

func (l leaving) Read([]byte) (int, error) { l(); return 0, io.EOF }

package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store"
	"github.com/mohor-sign/mohor/store/storetest"
	"github.com/mohor-sign/mohor/store/storetest/disktest"
)

func TestBlobs(t *testing.T) {
	storetest.RunBlobs(t, 3<<20, func(t *testing.T) (signer.Blobs, func() []string) {
		b, dir := blobs(t)
		return b, func() []string { return files(t, dir) }
	})
}

// A disk that could not keep a file may say of the next sync that all is well: it is not asked.
// The file is gone, and must be written anew.
func TestFailedSyncIsNotBelievedTwice(t *testing.T) {
	ctx := context.Background()
	for _, n := range []int{1, 10} { // one by one, and together
		b, dir := blobs(t)
		var ids []string
		for k := range n {
			ids = append(ids, fmt.Sprintf("signed/%d", k))
			if _, err := b.Stage(ctx, ids[k], text("first")); err != nil {
				t.Fatal(err)
			}
		}
		b.BreakStaged()
		for range 2 {
			if err := b.Sync(ctx, ids...); err == nil {
				t.Errorf("%d files: the sync was believed", n)
			}
		}
		if err := b.Sync(ctx, ids[0]); err == nil {
			t.Error("the sync of one of them was believed")
		}
		if _, err := b.Open(ctx, ids[0]); !errors.Is(err, store.ErrNoBlob) {
			t.Errorf("what is not durable: %v", err)
		}
		if got := files(t, dir); len(got) > 0 {
			t.Errorf("left: %q", got)
		}
		if _, err := b.Stage(ctx, ids[0], text("second")); err != nil {
			t.Fatal(err)
		}
		if err := b.Sync(ctx, ids[0]); err != nil || readBlob(t, b, ids[0]) != "second" {
			t.Errorf("written anew: %v", err)
		}
	}
}

// Files that are synced before anybody asks, as there are many, are lost as others are.
func TestManyStaged(t *testing.T) {
	ctx := context.Background()
	b, dir := blobs(t)
	stage := func(k int) string {
		id := fmt.Sprintf("signed/%d", k)
		if _, err := b.Stage(ctx, id, text(id)); err != nil {
			t.Fatal(err)
		}
		return id
	}
	var ids []string
	for k := range 500 {
		ids = append(ids, stage(k))
	}
	b.BreakStaged()
	for k := range 500 {
		ids = append(ids, stage(500+k))
	}
	if n := b.Staged(); n > 512 {
		t.Errorf("%d files are open", n)
	}
	if err := b.Sync(ctx, ids[990:]...); err != nil {
		t.Error(err)
	}
	if err := b.Sync(ctx, ids[:990]...); err == nil {
		t.Error("all are called durable")
	}
	for _, id := range ids[:500] {
		if err := b.Sync(ctx, id); err == nil {
			t.Fatalf("%s is called durable", id)
		}
	}
	if err := b.Remove(ctx, "signed"); err != nil {
		t.Fatal(err)
	}
	if n := b.Staged(); n != 0 {
		t.Errorf("%d files are open", n)
	}
	if got := files(t, dir); len(got) > 0 {
		t.Errorf("%d left", len(got))
	}
}

// What a crash left of a file that was being written goes with it.
func TestRemoveTakesTheUnfinished(t *testing.T) {
	b, dir := blobs(t)
	if err := os.MkdirAll(filepath.Join(dir, "signed"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "signed", "1.part"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.Remove(context.Background(), "signed/1"); err != nil {
		t.Fatal(err)
	}
	if got := files(t, dir); len(got) > 0 {
		t.Errorf("left: %q", got)
	}
}

// A disk without room, for bytes or for names, has what it had, and takes more when there is some.
func TestDiskFull(t *testing.T) {
	for options, size := range map[string]int{"size=1m": 100 << 10, "size=1m,nr_inodes=12": 1} {
		t.Run(options, func(t *testing.T) {
			ctx, dir := context.Background(), disktest.Small(t, options)
			b, err := store.OpenBlobs(dir)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { b.Close() })
			whole := strings.Repeat("x", size)
			n := 0
			for ; err == nil; n++ {
				_, err = b.Create(ctx, fmt.Sprintf("a/%d", n), text(whole))
			}
			if n--; n < 5 || !errors.Is(err, signer.ErrStoreUnavailable) {
				t.Fatalf("after %d: %v", n, err)
			}
			if _, err := b.Stage(ctx, "b/1", text(strings.Repeat("x", 1<<20))); !errors.Is(err, signer.ErrStoreUnavailable) {
				t.Errorf("more than there is room for: %v", err)
			}
			if got := files(t, dir); len(got) != n {
				t.Errorf("%d files of %d: %q", len(got), n, got)
			}
			for k := range n {
				if readBlob(t, b, fmt.Sprintf("a/%d", k)) != whole {
					t.Errorf("file %d is cut off", k)
				}
			}
			if err := b.Remove(ctx, "a"); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Create(ctx, "b/1", text(whole)); err != nil || readBlob(t, b, "b/1") != whole {
				t.Errorf("with room again: %v", err)
			}
		})
	}
}

// What one file costs, of a chunk of 50 of 30 KiB: synced each by itself, and together.
func BenchmarkBlobs(b *testing.B) {
	page := bytes.Repeat([]byte{1}, 30<<10)
	write := func(w io.Writer) error { _, err := w.Write(page); return err }
	ctx := context.Background()
	for name, together := range map[string]bool{"each": false, "together": true} {
		b.Run(name, func(b *testing.B) {
			s, err := store.OpenBlobs(filepath.Join(b.TempDir(), "blobs"))
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			var chunk []string
			for k := range b.N {
				id := fmt.Sprintf("signed/%d", k)
				if together {
					_, err = s.Stage(ctx, id, write)
					chunk = append(chunk, id)
				} else {
					_, err = s.Create(ctx, id, write)
				}
				if len(chunk) == 50 {
					err = errors.Join(err, s.Sync(ctx, chunk...))
					chunk = chunk[:0]
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			if err := s.Sync(ctx, chunk...); err != nil {
				b.Fatal(err)
			}
		})
	}
}

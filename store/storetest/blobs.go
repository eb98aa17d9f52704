package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/mohor-sign/mohor/signer"
)

// writes gives a blob's writer bytes, in pieces of any size.
func writes(b []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		for len(b) > 0 {
			n := min(len(b), 1+rand.IntN(300_000))
			if k, err := w.Write(b[:n]); err != nil || k != n {
				return fmt.Errorf("%d of %d bytes: %w", k, n, err)
			}
			b = b[n:]
		}
		return nil
	}
}

// ReadBlob is all of a blob.
func ReadBlob(t *testing.T, b signer.Blobs, id string) []byte {
	t.Helper()
	f, err := b.Open(context.Background(), id)
	must(t, err)
	defer f.Close()
	p := make([]byte, f.Size())
	if n, err := f.ReadAt(p, 0); n != len(p) || err != nil && err != io.EOF {
		t.Fatalf("%s: %d of %d bytes, %v", id, n, len(p), err)
	}
	return p
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

// RunBlobs is what every store of documents passes. large is how many bytes its largest document
// has, more than it writes or reads at once; all lists the ids in it.
func RunBlobs(t *testing.T, large int, open func(t *testing.T) (b signer.Blobs, all func() []string)) {
	for name, test := range map[string]func(*testing.T, signer.Blobs, func() []string){
		"whole": func(t *testing.T, b signer.Blobs, all func() []string) { blobsWhole(t, b, all, large) },
		"read":  func(t *testing.T, b signer.Blobs, _ func() []string) { blobsRead(t, b, large) },
		"ids":   blobsIDs, "remove": blobsRemove, "sync": blobsSync, "ends": func(t *testing.T, b signer.Blobs, all func() []string) { blobsEnd(t, b, all, large) },
	} {
		t.Run(name, func(t *testing.T) {
			b, all := open(t)
			test(t, b, all)
		})
	}
}

var errWriter = errors.New("the writer's own")

// blobsWhole: a blob is there whole or not at all, whichever way it was written.
func blobsWhole(t *testing.T, b signer.Blobs, all func() []string, large int) {
	ctx := context.Background()
	create := map[string]func(context.Context, string, func(io.Writer) error) (int64, error){"create": b.Create, "stage": b.Stage}
	for name, create := range create {
		id := name + "/b/c"
		for _, n := range []int{0, 1, 100_000, large, 2} { // each in the place of the one before
			want := random(n)
			got, err := create(ctx, id, writes(want))
			if err != nil || got != int64(n) || !bytes.Equal(ReadBlob(t, b, id), want) {
				t.Errorf("%s of %d bytes: %d, %v, or it reads back differently", name, n, got, err)
			}
		}
		for _, n := range []int{0, 10, large} {
			broken := func(w io.Writer) error { return errors.Join(writes(random(n))(w), errWriter) }
			if _, err := create(ctx, name+"/new", broken); !errors.Is(err, errWriter) || errors.Is(err, signer.ErrStoreUnavailable) {
				t.Errorf("%s: a writer's error became %v", name, err)
			}
			if _, err := b.Open(ctx, name+"/new"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: half a blob: %v", name, err)
			}
			// One that exists stays as it was.
			if _, err := create(ctx, id, broken); !errors.Is(err, errWriter) || !bytes.Equal(ReadBlob(t, b, id), random(2)) {
				t.Errorf("%s: a failed replacement changed the blob, or %v", name, err)
			}
		}
	}
	if got := all(); strings.Join(got, " ") != "create/b/c stage/b/c" {
		t.Errorf("left: %q", got)
	}
}

// blobsRead: any range, several readers at once, and one version.
func blobsRead(t *testing.T, b signer.Blobs, large int) {
	ctx, want := context.Background(), random(large)
	_, err := b.Create(ctx, "r/1", writes(want))
	must(t, err)
	f, err := b.Open(ctx, "r/1")
	must(t, err)
	defer f.Close()
	if f.Size() != int64(large) {
		t.Fatalf("size %d", f.Size())
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				off := rand.IntN(large)
				p := make([]byte, rand.IntN(300_000))
				n, err := f.ReadAt(p, int64(off))
				if k := min(len(p), large-off); n != k || !bytes.Equal(p[:n], want[off:off+n]) || k < len(p) && err != io.EOF || k == len(p) && err != nil && err != io.EOF {
					t.Errorf("%d bytes at %d of %d: %d, %v", len(p), off, large, n, err)
				}
			}
		})
	}
	wg.Wait()
	if n, err := f.ReadAt(make([]byte, 1), int64(large)); n != 0 || err != io.EOF {
		t.Errorf("behind the end: %d, %v", n, err)
	}
	if _, err := f.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("before the beginning")
	}
	// What was opened is never mixed with what replaced it.
	held, err := b.Open(ctx, "r/1")
	must(t, err)
	defer held.Close()
	_, err = b.Create(ctx, "r/1", writes(bytes.Repeat([]byte{1}, large)))
	must(t, err)
	p := make([]byte, large)
	if n, err := held.ReadAt(p, 0); (err == nil || err == io.EOF) && n != large || !bytes.Equal(p[:n], want[:n]) {
		t.Errorf("a replaced blob: %d bytes, %v", n, err)
	}
}

// blobsIDs: what is no name, or would lead elsewhere, is refused.
func blobsIDs(t *testing.T, b signer.Blobs, all func() []string) {
	ctx := context.Background()
	for _, id := range []string{"", ".", "..", "/a", "a/", "a//b", "../a", "a/..", "a/../../b", "./a", "a/./b"} {
		if _, err := b.Create(ctx, id, writes([]byte("x"))); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q was written: %v", id, err)
		}
		if _, err := b.Stage(ctx, id, writes([]byte("x"))); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q was staged: %v", id, err)
		}
		if _, err := b.Open(ctx, id); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q was opened: %v", id, err)
		}
		if err := b.Remove(ctx, id); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q was removed: %v", id, err)
		}
	}
	if got := all(); len(got) > 0 {
		t.Errorf("there are %q", got)
	}
}

// blobsRemove: a blob, or what is in a folder; not what has a name that begins alike.
func blobsRemove(t *testing.T, b signer.Blobs, all func() []string) {
	ctx := context.Background()
	for _, id := range []string{"original/a/0", "original/a/1", "original/a/b/2", "original/ab/0", "original/a.x", "document/x", "document/x.password"} {
		_, err := b.Create(ctx, id, writes([]byte(id)))
		must(t, err)
	}
	if _, err := b.Stage(ctx, "original/a/staged", writes([]byte("x"))); err != nil {
		t.Fatal(err)
	}
	for range 2 { // what is not there is no error
		for _, id := range []string{"document/x", "original/a", "original/none", "none"} {
			must(t, b.Remove(ctx, id))
		}
	}
	if got := all(); strings.Join(got, " ") != "document/x.password original/a.x original/ab/0" {
		t.Errorf("left: %q", got)
	}
	if _, err := b.Open(ctx, "document/x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was removed: %v", err)
	}
	if _, err := b.Open(ctx, "original"); !errors.Is(err, fs.ErrNotExist) { // a folder is no blob
		t.Errorf("a folder: %v", err)
	}
}

// blobsSync: of many and of few, twice, while others write and sync.
func blobsSync(t *testing.T, b signer.Blobs, all func() []string) {
	ctx := context.Background()
	must(t, b.Sync(ctx))
	var wg sync.WaitGroup
	for k, n := range []int{1, 3, 50, 600} {
		wg.Go(func() {
			var ids []string
			for i := range n {
				ids = append(ids, fmt.Sprintf("signed/%d/%d", k, i))
				if _, err := b.Stage(ctx, ids[i], writes(random(100+i))); err != nil {
					t.Error(err)
				}
			}
			for range 2 {
				if err := b.Sync(ctx, ids...); err != nil {
					t.Errorf("%d blobs: %v", n, err)
				}
			}
		})
	}
	wg.Wait()
	if got := all(); len(got) != 654 {
		t.Errorf("%d blobs", len(got))
	}
	if got := ReadBlob(t, b, "signed/3/599"); !bytes.Equal(got, random(699)) {
		t.Error("a blob is another")
	}
}

// blobsEnd: whoever gives up leaves nothing.
func blobsEnd(t *testing.T, b signer.Blobs, all func() []string, large int) {
	for _, n := range []int{1, large} {
		ctx, cancel := context.WithCancel(context.Background())
		_, err := b.Create(ctx, "e/1", func(w io.Writer) error {
			err := writes(random(n))(w)
			cancel()
			return errors.Join(err, ctx.Err())
		})
		if !errors.Is(err, context.Canceled) || errors.Is(err, signer.ErrStoreUnavailable) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if got := all(); len(got) > 0 {
		t.Errorf("left: %q", got)
	}
}

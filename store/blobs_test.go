package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mohor-sign/mohor/store"
)

func blobs(t *testing.T) (*store.Blobs, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data", "blobs")
	b, err := store.OpenBlobs(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b, dir
}

// files lists every file below dir.
func files(t *testing.T, dir string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			out = append(out, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

func readBlob(t *testing.T, b *store.Blobs, id string) string {
	t.Helper()
	f, err := b.Open(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return string(p)
}

func TestBlobsAreWholeOrNotThere(t *testing.T) {
	ctx := context.Background()
	b, dir := blobs(t)
	big := strings.Repeat("0123456789", 100_000)
	if n, err := b.Create(ctx, "a/b/c", text(big)); err != nil || n != int64(len(big)) {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if readBlob(t, b, "a/b/c") != big {
		t.Error("the blob reads back differently")
	}
	boom := errors.New("boom")
	broken := func(w io.Writer) error {
		if _, err := io.WriteString(w, big+"half of it"); err != nil {
			return err
		}
		return boom
	}
	if _, err := b.Create(ctx, "a/new", broken); !errors.Is(err, boom) {
		t.Errorf("a writer's error became %v", err)
	}
	if _, err := b.Open(ctx, "a/new"); !errors.Is(err, store.ErrNoBlob) {
		t.Errorf("half a blob: %v", err)
	}
	// One that exists stays as it was.
	if _, err := b.Create(ctx, "a/b/c", broken); !errors.Is(err, boom) {
		t.Error(err)
	}
	if readBlob(t, b, "a/b/c") != big {
		t.Error("a failed replacement changed the blob")
	}
	if got := files(t, dir); len(got) != 1 || got[0] != "a/b/c" {
		t.Errorf("files left: %q", got)
	}
	if _, err := b.Create(ctx, "a/b/c", text("second")); err != nil || readBlob(t, b, "a/b/c") != "second" {
		t.Errorf("replacing: %v", err)
	}
	if _, err := b.Create(ctx, "empty", text("")); err != nil || readBlob(t, b, "empty") != "" {
		t.Errorf("an empty blob: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, "a", "b", "c"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if info, err = os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the folder %v, %v", info.Mode(), err)
	}
}

func TestBlobsStayInTheirFolder(t *testing.T) {
	ctx := context.Background()
	b, dir := blobs(t)
	outside := filepath.Join(filepath.Dir(dir), "outside")
	if err := os.WriteFile(outside, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Dir(dir), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"../outside", "a/../../outside", "a/../../../outside", "link/outside", outside, "../blobs2/x", "..", "", "."} {
		if _, err := b.Create(ctx, id, text("ours")); err == nil {
			t.Errorf("%q was written", id)
		}
		if f, err := b.Open(ctx, id); err == nil {
			if _, err := f.ReadAt(make([]byte, 1), 0); err == nil {
				t.Errorf("%q was read", id)
			}
			f.Close()
		}
	}
	if p, err := os.ReadFile(outside); err != nil || string(p) != "theirs" {
		t.Errorf("the file outside is %q, %v", p, err)
	}
	if got := files(t, filepath.Dir(dir)); len(got) != 2 { // outside and the link
		t.Errorf("files: %q", got)
	}
}

func TestRemoveBlobs(t *testing.T) {
	ctx := context.Background()
	b, dir := blobs(t)
	for _, id := range []string{"original/a/0", "original/a/1", "original/ab/0", "document/x"} {
		if _, err := b.Create(ctx, id, text(id)); err != nil {
			t.Fatal(err)
		}
	}
	outside := filepath.Join(filepath.Dir(dir), "outside")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // what is not there is no error
		for _, id := range []string{"document/x", "original/a", "original/none", "none"} {
			if err := b.Remove(ctx, id); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		}
	}
	for _, id := range []string{"../outside", "original/../../outside", outside, "..", "."} {
		if err := b.Remove(ctx, id); err == nil {
			t.Errorf("%q was removed", id)
		}
	}
	if got := files(t, filepath.Dir(dir)); len(got) != 2 || got[0] != "blobs/original/ab/0" || got[1] != "outside" {
		t.Errorf("left: %q", got)
	}
}

func TestOpenBlobsRefusesAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.OpenBlobs(path); err == nil {
		t.Error("a file was opened as a folder")
	}
	b, _ := blobs(t)
	if _, err := b.Create(context.Background(), "a", text("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Create(context.Background(), "a/b", text("x")); err == nil {
		t.Error("a blob was made below another")
	}
}

// Folders that are kept open are those that are there: one that was removed, by whom ever, is made again.
func TestFoldersThatGoMeanwhile(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	b, err := store.OpenBlobs(filepath.Join(dir, "blobs"))
	must(t, err)
	read := func(id string) string {
		f, err := b.Open(ctx, id)
		if err != nil {
			return err.Error()
		}
		defer f.Close()
		p := make([]byte, f.Size())
		_, err = f.ReadAt(p, 0)
		if err != nil && !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		return string(p)
	}
	for _, remove := range []func(folder string) error{
		func(folder string) error { return b.Remove(ctx, folder) },
		func(folder string) error { return os.RemoveAll(filepath.Join(dir, "blobs", folder)) },
	} {
		for k := range 40 { // more than are kept open
			id := fmt.Sprintf("signed/ba_%d/1", k)
			_, err := b.Create(ctx, id, text(id))
			must(t, err)
		}
		for k := range 40 {
			if id := fmt.Sprintf("signed/ba_%d/1", k); read(id) != id {
				t.Errorf("%s is %q", id, read(id))
			}
		}
		must(t, remove("signed/ba_39"))
		if got := read("signed/ba_39/1"); !strings.Contains(got, "missing") {
			t.Errorf("removed, and %q", got)
		}
		_, err := b.Create(ctx, "signed/ba_39/2", text("again"))
		must(t, err)
		if got := read("signed/ba_39/2"); got != "again" {
			t.Errorf("written again, and %q", got)
		}
		must(t, remove("signed"))
	}
	var wg sync.WaitGroup
	for w := range 4 { // who uses a folder that another closes has it opened anew
		wg.Go(func() {
			for k := range 200 {
				id := fmt.Sprintf("signed/ba_%d/%d", (k*7+w)%33, w)
				if _, err := b.Stage(ctx, id, text(id)); err != nil || read(id) != id {
					t.Errorf("%s: %v, %q", id, err, read(id))
				}
			}
		})
	}
	wg.Wait()
	must(t, b.Close())
	if _, err := b.Open(ctx, "signed/ba_1/1"); err == nil {
		t.Error("a closed store opens")
	}
}

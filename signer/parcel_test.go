package signer_test

import (
	"context"
	"crypto"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/storetest"
)

// signedFiles are what lies in the folder of signed documents, below dir.
func signedFiles(t *testing.T, dir string) (files []string) {
	t.Helper()
	must(t, filepath.WalkDir(filepath.Join(dir, "blobs", "signed"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(filepath.Join(dir, "blobs"), path)
			files = append(files, filepath.ToSlash(rel))
		}
		return err
	}))
	slices.Sort(files)
	return files
}

// named are the files that rows name.
func named(items []batch.Item) (files []string) {
	for _, it := range items {
		files = append(files, signer.PackOf(it.SignedBlob))
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// Small signed documents share files, a document that is alone has its own, and what an attempt left
// that came to nothing goes when the first of it is signed again.
func TestDocumentsShareFiles(t *testing.T) {
	dir := t.TempDir()
	h := newHouse(t)
	h.blobs = batch.NewPacks(openBlobs(t, dir))
	h.s = h.Signer(nil, h.blobs)
	files := [][]byte{storetest.PDF("0"), storetest.PDF("1"), storetest.PDF(strings.Repeat("large", 300_000)), storetest.PDF("3"), storetest.PDF("4")}
	ask := h.pdfs(t, files...)
	r, f := h.prepare(t, ask)
	auth, err := h.s.Authorize(ctx, f)
	must(t, err)
	claimed, err := h.s.Claim(ctx, auth, 5)
	must(t, err)
	lost, err := h.s.Sign(ctx, auth, claimed[:2], nil) // and never stored
	must(t, err)
	if lost[0].Blob == lost[1].Blob || signer.PackOf(lost[0].Blob) != signer.PackOf(lost[1].Blob) {
		t.Errorf("signed as %s and %s", lost[0].Blob, lost[1].Blob)
	}
	must(t, h.s.Abandon(ctx, auth.Intent, signer.ErrDeadline))
	must(t, auth.Close())

	again := ask
	again.Documents, again.Batch = nil, r.Batch
	auth = h.authorize(t, again)
	must(t, batch.NewRunner(h.s, 1, 5, quiet).Run(ctx, auth))
	items := h.items(t, r)
	for k, it := range items {
		got := h.content(t, it.SignedBlob)
		if it.State != batch.ItemSigned || int64(len(got)) != it.SignedSize || !strings.HasPrefix(got, string(files[k])) || !strings.HasSuffix(strings.TrimSpace(got), "%%EOF") {
			t.Errorf("document %d is %s, %d bytes of %d in %s", k, it.State, len(got), it.SignedSize, it.SignedBlob)
		}
	}
	folder := "signed/" + r.Batch + "/"
	want := []string{folder + "0-2", folder + "2-2", folder + "3-2"} // 0 and 1 are one parcel, 2 is too large for one
	if got := named(items); !slices.Equal(got, want) {
		t.Errorf("rows name %q; want %q", got, want)
	}
	if got := signedFiles(t, dir); !slices.Equal(got, want) {
		t.Errorf("the folder has %q; want %q", got, want)
	}
	if strings.Contains(items[2].SignedBlob, "#") {
		t.Errorf("a document alone in its file is %s", items[2].SignedBlob)
	}
}

// A shared file is its parts, one after another, and nothing else; what is beyond its end is no part.
func TestPartsAreWhatTheyWere(t *testing.T) {
	h := newHouse(t)
	r, f := h.prepare(t, h.pdfs(t, storetest.PDF("satu"), storetest.PDF("dua")))
	auth, err := h.s.Authorize(ctx, f)
	must(t, err)
	must(t, batch.NewRunner(h.s, 1, 2, quiet).Run(ctx, auth))
	items := h.items(t, r)
	pack := signer.PackOf(items[0].SignedBlob)
	if want := signer.SignedPart(pack, 0, items[0].SignedSize); items[0].SignedBlob != want {
		t.Fatalf("signed as %s; want %s", items[0].SignedBlob, want)
	}
	whole := h.content(t, pack)
	if whole != h.content(t, items[0].SignedBlob)+h.content(t, items[1].SignedBlob) {
		t.Error("the file is not its parts")
	}
	beyond := signer.SignedPart(pack, int64(len(whole))-1, 2)
	if _, err := h.blobs.Open(ctx, beyond); err == nil {
		t.Errorf("%s opens", beyond)
	}
}

// uneasy is a time-stamp service that fails, or panics, at some requests.
type uneasy struct {
	*services
	asked atomic.Int64
	fails func(n int64) error
}

func (u *uneasy) Timestamp(ctx context.Context, h crypto.Hash, digest []byte) ([]byte, error) {
	if err := u.fails(u.asked.Add(1)); err != nil {
		return nil, err
	}
	return u.services.Timestamp(ctx, h, digest)
}

// Where some time-stamps cannot be had at once, what was had for the other documents of a parcel is
// kept: the key is used once for each, and no authority is asked again.
func TestParcelsGoOnWhereTheyWere(t *testing.T) {
	for name, c := range map[string]struct {
		format, level string
		each          int64 // time-stamps of a document
	}{"CMS": {signer.CMS, "B-T", 1}, "PAdES": {signer.PADES, "B-T", 1}, "with evidence": {signer.PADES, "B-LTA", 2}} {
		t.Run(name, func(t *testing.T) {
			const docs = 16
			h := newHouse(t)
			failed := atomic.Int64{}
			u := &uneasy{services: h.serve(t), fails: func(n int64) error {
				if n%5 == 0 {
					failed.Add(1)
					return errOutage
				}
				return nil
			}}
			h.s.Timestamps = u
			var files [][]byte
			for k := range docs {
				files = append(files, storetest.PDF(fmt.Sprint(k)))
			}
			ask := h.pdfs(t, files...)
			if c.format == signer.CMS {
				ask = h.Ask(docs)
				ask.Options.Format = signer.CMS
			}
			ask.Options.Level = c.level
			r, f := h.prepare(t, ask)
			auth, err := h.s.Authorize(ctx, f)
			must(t, err)
			before := h.Keys.Signs.Load()
			must(t, batch.NewRunner(h.s, 2, 50, quiet).Run(ctx, auth))
			for _, it := range h.items(t, r) {
				if it.State != batch.ItemSigned || it.Level != c.level {
					t.Errorf("document %d is %s at %s", it.Index, it.State, it.Level)
				}
			}
			if n := h.Keys.Signs.Load() - before; n != docs {
				t.Errorf("the key was used %d times for %d documents", n, docs)
			}
			// One that has evidence asks for its first time-stamp once, and for the last one again when that failed.
			if n, most := u.asked.Load(), docs*c.each+failed.Load(); n != most || failed.Load() == 0 {
				t.Errorf("%d time-stamps were asked for, of which %d failed; want %d", n, failed.Load(), most)
			}
		})
	}
}

// A panic over a document of a parcel, also in the goroutine beside the one that signs, ends no more than
// that document: the others are signed one by one.
func TestPanicInAParcel(t *testing.T) {
	for name, c := range map[string]struct {
		fails          func(n int64) error
		signed, denied int
	}{
		"once":   {func(n int64) error { return panicAt(n == 2) }, 4, 0},
		"always": {func(int64) error { return panicAt(true) }, 0, 4},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.s.Timestamps = &uneasy{services: h.serve(t), fails: c.fails}
			ask := h.pdfs(t, storetest.PDF("0"), storetest.PDF("1"), storetest.PDF("2"), storetest.PDF("3"))
			ask.Options.Level = "B-T"
			r, f := h.prepare(t, ask)
			auth, err := h.s.Authorize(ctx, f)
			must(t, err)
			must(t, batch.NewRunner(h.s, 1, 50, quiet).Run(ctx, auth))
			states := map[string]int{}
			for _, it := range h.items(t, r) {
				states[it.State]++
			}
			if states[batch.ItemSigned] != c.signed || states[batch.ItemRefused] != c.denied {
				t.Errorf("%v; want %d signed and %d refused", states, c.signed, c.denied)
			}
		})
	}
}

func panicAt(now bool) error {
	if now {
		panic("of a time-stamp")
	}
	return nil
}

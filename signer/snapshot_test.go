package signer_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/storetest"
)

// fickle is a blob store in the hands of an attacker: once armed, the first
// evil reads of a document come from another file of the same size.
type fickle struct {
	signer.Blobs
	armed bool
	evil  int
	other []byte
}

type fickleBlob struct {
	signer.Blob
	f *fickle
}

func (f *fickle) Open(ctx context.Context, id string) (signer.Blob, error) {
	b, err := f.Blobs.Open(ctx, id)
	if err != nil || !f.armed || strings.HasPrefix(id, "signed/") {
		return b, err
	}
	return &fickleBlob{b, f}, nil
}

// ReadAt implements io.ReaderAt.
func (b *fickleBlob) ReadAt(p []byte, off int64) (int, error) {
	if b.f.evil > 0 {
		b.f.evil--
		return bytes.NewReader(b.f.other).ReadAt(p, off)
	}
	return b.Blob.ReadAt(p, off)
}

// Whenever the stored bytes change under the signer, either nothing is signed,
// or exactly what was authorised is: nothing of the other file gets into the
// increment.
func TestBlobsThatChangeBetweenReads(t *testing.T) {
	for name, size := range map[string]int{"in memory": 10, "in a file": 2 << 20} {
		original := storetest.PDF(strings.Repeat("a", size))
		other := bytes.Replace(original, []byte("/Contents 5 0 R"), []byte("/Contents 4 0 R"), 1)
		if bytes.Equal(original, other) {
			t.Fatal("the other file is no other")
		}
		signed := 0
		for evil := range 5 {
			h := newHouse(t)
			f := &fickle{Blobs: h.blobs, evil: evil, other: other}
			h.s = h.Signer(nil, f)
			h.s.TempDir = t.TempDir()
			r, c := h.prepare(t, h.pdfs(t, original))
			auth, err := h.s.Authorize(ctx, c)
			must(t, err)
			f.armed = true
			err = h.run(auth)
			if errors.Is(err, signer.ErrDocuments) {
				continue
			}
			if err != nil {
				t.Fatalf("%s, %d evil reads: %v", name, evil, err)
			}
			signed++
			b, err := h.blobs.Open(ctx, h.items(t, r)[0].SignedBlob)
			must(t, err)
			whole, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
			must(t, errors.Join(err, b.Close()))
			if !bytes.HasPrefix(whole, original) || strings.Contains(string(whole[len(original):]), "/Contents 4 0 R") {
				t.Errorf("%s, %d evil reads: the other file was signed", name, evil)
			}
		}
		if signed == 0 || signed == 5 {
			t.Errorf("%s: %d of 5 were signed: the attack or its control did not happen", name, signed)
		}
	}
}

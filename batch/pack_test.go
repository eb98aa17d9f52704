package batch_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/ecert"
	"github.com/mohor-sign/mohor/signer"
)

// TestPackHoldsAnUpload: one file, each certificate whole, and nothing else than
// what was written can be read by moving the numbers.
func TestPackHoldsAnUpload(t *testing.T) {
	h := newHouse(t)
	draws(t, h)
	id := h.create(t, batch.Ecert)
	list := header
	for i, name := range []string{"ALI BIN ABU", "SITI BINTI ALI", "ŞAHİN ÇELİK"} {
		list += row(name, "900101145678", "S100000"+string(rune('1'+i)))
	}
	if got, err := h.svc.AddCandidates(ctx, h.App.ID, id, "r", strings.NewReader(list)); err != nil || got.Accepted != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	files := 0
	must(t, fs.WalkDir(os.DirFS(h.dir), ".", func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files++
		}
		return err
	}))
	items := h.items(t, id)
	if files != 1 || len(items) != 3 || signer.PackOf(items[0].Blob) != signer.PackOf(items[2].Blob) {
		t.Fatalf("%d files for %d items, %s", files, len(items), items[0].Blob)
	}
	var total int64
	for _, it := range items {
		b, err := h.packs.Open(ctx, it.Blob)
		must(t, err)
		whole, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
		must(t, err)
		if sum := sha256.Sum256(whole); !bytes.Equal(sum[:], it.Digest) || it.Size != int64(len(whole)) {
			t.Errorf("item %d: %d bytes, %d written, or other bytes", it.Index, len(whole), it.Size)
		}
		total += it.Size
		// In pieces, across the seam too, as a reader of PDF does.
		for _, step := range []int{1 << 12, 997} {
			var again []byte
			for at := 0; at < len(whole); at += step {
				p := make([]byte, step)
				n, err := b.ReadAt(p, int64(at))
				if err != nil && (err != io.EOF || at+n != len(whole)) {
					t.Fatal(err)
				}
				again = append(again, p[:n]...)
			}
			if !bytes.Equal(again, whole) {
				t.Errorf("item %d differs in pieces of %d", it.Index, step)
			}
		}
		if n, err := b.ReadAt(make([]byte, 1), b.Size()); n != 0 || err != io.EOF {
			t.Errorf("behind the end: %d, %v", n, err)
		}
	}
	pack, err := h.blobs.Open(ctx, signer.PackOf(items[0].Blob))
	must(t, err)
	if pack.Size() >= total*9/10 {
		t.Errorf("%d bytes for certificates of %d: nothing is shared", pack.Size(), total)
	}
	must(t, pack.Close())

	name := signer.PackOf(items[0].Blob)
	for _, wrong := range []string{
		"#0+1/1+99999999", "#0+0/0+5", "#-1+5/0+5", "#0", "#0+5/5+5/5+5", "#00+5/5+5", "#0+5/5+5.password", "#281474976710655+5/0+5", "#0+999999999999/0+1", "#", "#a+b/c+d",
	} {
		if b, err := h.packs.Open(ctx, name+wrong); err == nil {
			t.Errorf("%s opens %d bytes", wrong, b.Size())
		}
	}
	if _, err := h.packs.Open(ctx, "original/none/pack#0+5/5+5"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no pack: %v", err)
	}
}

// TestPreview: it is what will be signed, also when the numbers in the name of a
// blob were written over in the database.
func TestPreview(t *testing.T) {
	h := newHouse(t)
	draws(t, h)
	id := h.create(t, batch.Ecert)
	_, err := h.svc.AddCandidates(ctx, h.App.ID, id, "r", strings.NewReader(header+row("ALI BIN ABU", "900101145678", "S1000001")+row("SITI BINTI ALI", "900101145678", "S1000002")))
	must(t, err)
	items := h.items(t, id)
	b, err := h.svc.Preview(ctx, h.App.ID, id, 1)
	must(t, err)
	if sum := sha256.Sum256(b); !bytes.Equal(sum[:], items[1].Digest) {
		t.Error("the preview is not what will be signed")
	}
	if _, err := h.svc.Preview(ctx, h.App.ID, id, 2); !errors.Is(err, batch.ErrUnknown) {
		t.Errorf("no such item: %v", err)
	}
	if _, err := h.svc.Preview(ctx, "another", id, 1); !errors.Is(err, batch.ErrUnknown) {
		t.Errorf("another app's: %v", err)
	}
	if _, err := h.svc.Preview(ctx, h.App.ID, h.create(t, batch.Digest), 0); !errors.Is(err, batch.ErrKind) {
		t.Errorf("of digests: %v", err)
	}
	moved := &batch.Service{Queue: swapped{h.svc.Queue}, Blobs: h.packs, Now: h.svc.Now}
	if _, err := moved.Preview(ctx, h.App.ID, id, 1); !errors.Is(err, signer.ErrDocuments) {
		t.Errorf("another's bytes: %v", err)
	}
	h.Clock.Advance(time.Hour)
	for some := true; some; {
		var err error
		some, err = h.DB.ExpireBatch(ctx, h.Clock.Now(), h.Clock.Now())
		must(t, err)
	}
	if _, err := h.svc.Preview(ctx, h.App.ID, id, 1); !errors.Is(err, batch.ErrUnknown) {
		t.Errorf("of an expired batch: %v", err)
	}
}

// swapped gives each item the blob of the first.
type swapped struct{ batch.Queue }

func (s swapped) Items(ctx context.Context, id, state string, after int64, limit int) ([]batch.Item, error) {
	items, err := s.Queue.Items(ctx, id, state, -1, 10)
	if err != nil || after+1 >= int64(len(items)) {
		return nil, err
	}
	it := items[after+1]
	it.Blob = items[0].Blob
	return []batch.Item{it}, nil
}

// TestRecordNeedsItsSecret: the row alone does not say whose certificate it is.
func TestRecordNeedsItsSecret(t *testing.T) {
	c := ecert.Candidate{Name: "ALI BIN ABU", Number: "S1000001"}
	r, err := batch.NewRecord(c)
	must(t, err)
	other, err := batch.NewRecord(c)
	must(t, err)
	if len(r.ID) != 22 || len(r.Secret) != 22 || r.ID == other.ID || r.Secret == other.Secret || bytes.Contains(r.Sealed, []byte("ALI")) || r.Fragment() != "#"+r.Secret {
		t.Fatalf("record %+v", r)
	}
	got, err := batch.OpenRecord(r.ID, r.Secret, r.Sealed)
	if err != nil || got.Name != c.Name {
		t.Fatalf("%+v, %v", got, err)
	}
	changed := bytes.Clone(r.Sealed)
	changed[len(changed)-1] ^= 1
	for what, try := range map[string]struct {
		id, secret string
		sealed     []byte
	}{
		"another secret": {r.ID, other.Secret, r.Sealed}, "another id": {other.ID, r.Secret, r.Sealed}, "no record": {r.ID, r.Secret, nil}, "changed": {r.ID, r.Secret, changed},
		"no secret": {r.ID, "", r.Sealed}, "short": {r.ID, r.Secret[:21], r.Sealed}, "zeros": {r.ID, strings.Repeat("A", 22), r.Sealed}, "empty": {r.ID, r.Secret, []byte{}},
	} {
		if got, err := batch.OpenRecord(try.id, try.secret, try.sealed); !errors.Is(err, batch.ErrUnknown) || got.Name != "" {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	text, err := r.MarshalText()
	must(t, err)
	var again batch.Record
	if err := again.UnmarshalText(text); err != nil || again.Secret != r.Secret || again.Candidate.Name != c.Name {
		t.Errorf("%+v, %v", again, err)
	}
	// As releases before wrote it.
	var old batch.Record
	if err := old.UnmarshalText([]byte(`{"Row":2,"Name":"ALI BIN ABU","Number":"S1000001"}`)); err != nil || old.Secret != "" || old.Fragment() != "" || old.Candidate.Name != c.Name {
		t.Errorf("%+v, %v", old, err)
	}
}

func draws(t testing.TB, h *house) {
	t.Helper()
	var err error
	h.svc.Renderer, err = ecert.NewRenderer(ecert.Options{Sandbox: true})
	must(t, err)
}

// Documents that share a blob are read with one look at it, as a bucket wants; what was written anew or
// removed is not told from memory.
func TestPartsAreReadTogether(t *testing.T) {
	h := newHouse(t)
	looked := &looked{Blobs: h.blobs}
	packs := batch.NewPacks(looked)
	write := func(content string) {
		_, err := packs.Stage(ctx, "signed/ba/0-1", func(w io.Writer) error {
			_, err := io.WriteString(w, content)
			return err
		})
		must(t, err)
	}
	read := func(at, size int64) string {
		f, err := packs.Open(ctx, signer.SignedPart("signed/ba/0-1", at, size))
		if err != nil {
			return err.Error()
		}
		defer f.Close()
		p := make([]byte, f.Size())
		if n, err := f.ReadAt(p, 0); n != len(p) {
			t.Errorf("%d bytes of %d, %v", n, len(p), err)
		}
		return string(p)
	}
	large := strings.Repeat("x", 1<<20)
	write("satu" + "dua" + large + "akhir")
	for _, c := range []struct {
		at, size int64
		want     string
	}{{0, 4, "satu"}, {4, 3, "dua"}, {7, 1 << 20, large}, {7 + 1<<20, 5, "akhir"}, {4, 3, "dua"}} {
		if got := read(c.at, c.size); got != c.want {
			t.Errorf("%d bytes at %d are %.20q", c.size, c.at, got)
		}
	}
	if looked.opened.Load() > 4 { // the first, what follows it, what is too large for that, what follows again
		t.Errorf("the blob was opened %d times", looked.opened.Load())
	}
	if got := read(7+1<<20, 6); !strings.Contains(got, "unexpected EOF") {
		t.Errorf("beyond the end: %.40q", got)
	}
	write(strings.Repeat("12345678", 8))
	before := looked.opened.Load()
	for k := range int64(8) {
		if got := read(8*k, 8); got != "12345678" {
			t.Errorf("part %d is %q", k, got)
		}
	}
	if n := looked.opened.Load() - before; n != 2 {
		t.Errorf("eight parts, one after another, are %d looks at their blob; want 2", n)
	}
	write("lain" + "nya")
	if got := read(0, 4); got != "lain" {
		t.Errorf("written anew, and %q", got)
	}
	must(t, packs.Remove(ctx, "signed/ba"))
	if got := read(0, 4); !strings.Contains(got, "missing") {
		t.Errorf("removed, and %q", got)
	}
}

// looked counts what is opened.
type looked struct {
	signer.Blobs
	opened atomic.Int64
}

func (l *looked) Open(ctx context.Context, id string) (signer.Blob, error) {
	l.opened.Add(1)
	return l.Blobs.Open(ctx, id)
}

package storetest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/archive"
	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store"
)

// tenYears is the active period of the tests.
const tenYears = 10

// signed makes a transaction over n documents with bytes, and signs it. All but the first share a file.
func (h *House) signed(t *testing.T, blobs *store.Blobs, id string, n int) *signer.Request {
	t.Helper()
	for k := range n {
		_, err := blobs.Create(context.Background(), fmt.Sprintf("b/%d", k), func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "document %d", k)
			return err
		})
		must(t, err)
	}
	r, in := h.signing(t, id, n)
	got, err := h.DB.Claim(context.Background(), RunOf(in), n)
	must(t, err)
	var out []signer.Outcome
	for _, c := range got {
		name, times := fmt.Sprintf("signed/%s/%d", r.Batch, min(c.Index, 1)), 1
		if c.Index > 0 {
			times = n - 1
		}
		_, err := blobs.Create(context.Background(), name, func(w io.Writer) error {
			_, err := io.WriteString(w, strings.Repeat("signed", times))
			return err
		})
		must(t, err)
		if c.Index > 0 {
			name = signer.SignedPart(name, 6*int64(c.Index-1), 6)
		}
		out = append(out, signer.Outcome{Index: c.Index, Attempt: c.Attempt, Signature: []byte("signature"), Blob: name, Size: 6})
	}
	done, err := h.DB.Complete(context.Background(), in.ID, out, h.Clock.Now(), h.ev("complete", in.ID))
	must(t, err)
	if !done {
		t.Fatal("not complete")
	}
	return r
}

// parts opens parts of shared files, too, and all else as it was.
type parts struct{ archive.Blobs }

func (p parts) Open(ctx context.Context, id string) (signer.Blob, error) {
	return batch.NewPacks(opener{b: p.Blobs}).Open(ctx, id)
}

// opener is a store that is only opened from.
type opener struct {
	signer.Blobs
	b archive.Blobs
}

func (o opener) Open(ctx context.Context, id string) (signer.Blob, error) { return o.b.Open(ctx, id) }

// archiver is one over the House, whose clock says what is old.
func (h *House) archiver(t *testing.T, records archive.Records, blobs archive.Blobs, dir string) *archive.Archiver {
	t.Helper()
	seal, err := h.Keys.Signer(context.Background(), "seal")
	must(t, err)
	return &archive.Archiver{Records: records, Blobs: parts{blobs}, MAC: MAC("archive key"), Seal: seal, Public: seal.Public().(*ecdsa.PublicKey), Dir: dir, Now: h.Clock.Now,
		Before: h.Clock.Now().AddDate(-tenYears, 0, 0), Actor: "test", Judge: func(context.Context, *archive.Archive, func(batch, why string)) error { return nil }}
}

func (h *House) blobs(t *testing.T) *store.Blobs {
	t.Helper()
	blobs, err := store.OpenBlobs(filepath.Join(t.TempDir(), "blobs"))
	must(t, err)
	t.Cleanup(func() { _ = blobs.Close() })
	return blobs
}

func ignore(archive.Info) error { return nil }

// archives: what is old goes, what is not stays, and what went is in the file.
func archives(t *testing.T, h *House) {
	ctx, blobs, dir := context.Background(), h.blobs(t), t.TempDir()
	old := h.signed(t, blobs, "tx_old", 3)
	left := "signed/" + old.Batch + "/0-1" // what a crash left of an attempt
	_, err := blobs.Create(ctx, left, func(w io.Writer) error { _, err := io.WriteString(w, "signed, and not stored"); return err })
	must(t, err)
	h.Clock.Advance(9 * 365 * 24 * time.Hour)
	young := h.request(t, "tx_young", 1)
	a := h.archiver(t, h.DB.Archives(), blobs, dir)
	must(t, a.Run(ctx, func(archive.Info) error { t.Error("archived before its time"); return nil }))
	h.Clock.Advance(2 * 365 * 24 * time.Hour)
	a = h.archiver(t, h.DB.Archives(), blobs, dir)
	var in archive.Info
	must(t, a.Run(ctx, func(x archive.Info) error { in = x; return nil }))
	if in.Transactions != 1 || in.Signatures != 3 || in.Newest.IsZero() {
		t.Fatalf("archived %+v", in)
	}
	_, err = h.DB.Request(ctx, old.ID)
	wants(t, "the archived transaction", err, signer.ErrUnknown)
	if _, err := blobs.Open(ctx, left); !errors.Is(err, store.ErrNoBlob) {
		t.Errorf("what a crash left is still there: %v", err)
	}
	if _, err := h.DB.Request(ctx, young.ID); err != nil {
		t.Errorf("a young one: %v", err)
	}
	if _, err := blobs.Open(ctx, "b/0"); err != nil { // of an upload that is not registered, so nobody's to remove
		t.Error(err)
	}
	for _, file := range []string{"/0", "/1"} {
		if _, err := blobs.Open(ctx, "signed/"+old.Batch+file); !errors.Is(err, store.ErrNoBlob) {
			t.Errorf("the signed document %s is still there: %v", file, err)
		}
	}
	arch := h.openArchive(t, in.ID, dir)
	must(t, arch.Check(ctx))
	cases := 0
	must(t, arch.Cases(func(c *archive.Case) error {
		cases++
		e := c.Intents[0].Evidence
		if c.Batch.ID != old.Batch || c.Transactions[0].IC != IC || len(e.Chain) != 2 || len(e.CRLs) == 0 {
			t.Errorf("case %+v", c)
		}
		for _, name := range append(append([]string{e.Certificate}, e.Chain...), e.CRLs...) {
			if der, err := arch.Read(name, 1<<20); err != nil || len(der) == 0 {
				t.Errorf("%s: %v", name, err)
			}
		}
		n := 0
		must(t, arch.Items(c.Batch.ID, func(it *archive.Item) error {
			body, err := arch.Read("blobs/"+it.Blob, 100)
			if want := fmt.Sprintf("document %d", n); string(body) != want || err != nil || string(it.Signature) != "signature" {
				t.Errorf("item %+v has %q, %v", it, body, err)
			}
			n++
			return nil
		}))
		if n != 3 {
			t.Errorf("%d items", n)
		}
		return nil
	}))
	if cases != 1 || h.events(t, "archive.store") != 1 {
		t.Errorf("%d cases, %d events", cases, h.events(t, "archive.store"))
	}
	Chain(t, h.DB)
}

func (h *House) openArchive(t *testing.T, id, dir string) *archive.Archive {
	t.Helper()
	raw, err := os.ReadFile(archive.Path(dir, id))
	must(t, err)
	seal, err := h.Keys.Signer(context.Background(), "seal")
	must(t, err)
	arch, err := archive.Open(context.Background(), bytes.NewReader(raw), int64(len(raw)), MAC("archive key"), seal.Public().(*ecdsa.PublicKey))
	must(t, err)
	return arch
}

var errCrash = errors.New("the process ends here")

// crashing ends at the n-th step, before it or, with after, when it is done.
type crashing struct {
	archive.Records
	archive.Blobs
	crypto.Signer
	n     int
	after bool
	step  int
}

func (c *crashing) do(f func() error) error {
	if c.step++; c.step < c.n {
		return f()
	}
	if c.step > c.n || !c.after {
		return errCrash
	}
	return errors.Join(f(), errCrash)
}

func (c *crashing) Begin(ctx context.Context, id string, ev audit.Event) error {
	return c.do(func() error { return c.Records.Begin(ctx, id, ev) })
}

func (c *crashing) Abort(ctx context.Context, id string, ev audit.Event) error {
	return c.do(func() error { return c.Records.Abort(ctx, id, ev) })
}

func (c *crashing) Case(ctx context.Context, batch string, before time.Time) (x archive.Case, p []archive.Proof, err error) {
	err = c.do(func() error { x, p, err = c.Records.Case(ctx, batch, before); return err })
	return x, p, err
}

func (c *crashing) Items(ctx context.Context, batch string, after int64, limit int) (x []archive.Item, err error) {
	err = c.do(func() error { x, err = c.Records.Items(ctx, batch, after, limit); return err })
	return x, err
}

func (c *crashing) Commit(ctx context.Context, in archive.Info, cases []archive.Case, before time.Time, ev audit.Event) error {
	return c.do(func() error { return c.Records.Commit(ctx, in, cases, before, ev) })
}

func (c *crashing) Removals(ctx context.Context, limit int) (x []archive.Removal, err error) {
	err = c.do(func() error { x, err = c.Records.Removals(ctx, limit); return err })
	return x, err
}

func (c *crashing) Removed(ctx context.Context, r archive.Removal) error {
	return c.do(func() error { return c.Records.Removed(ctx, r) })
}

func (c *crashing) Remove(ctx context.Context, id string) error {
	return c.do(func() error { return c.Blobs.Remove(ctx, id) })
}

func (c *crashing) Open(ctx context.Context, id string) (b signer.Blob, err error) {
	err = c.do(func() error { b, err = c.Blobs.Open(ctx, id); return err })
	return b, err
}

func (c *crashing) Sign(r io.Reader, digest []byte, o crypto.SignerOpts) (sig []byte, err error) {
	err = c.do(func() error { sig, err = c.Signer.Sign(r, digest, o); return err })
	return sig, err
}

// archivesCrash ends the run at each step, before and after it: there are always the live
// rows with their documents or an archive that checks, and the next run goes on to the same end.
func archivesCrash(t *testing.T, h *House) {
	ctx, blobs, dir := context.Background(), h.blobs(t), t.TempDir()
	crashes := 0
	for n := 1; ; n++ {
		ended := false
		for _, after := range []bool{false, true} {
			id := fmt.Sprintf("tx_%d_%v", n, after)
			r := h.signed(t, blobs, id, 2)
			h.Clock.Advance(11 * 365 * 24 * time.Hour)
			a := h.archiver(t, nil, nil, dir)
			c := &crashing{Records: h.DB.Archives(), Blobs: parts{blobs}, Signer: a.Seal, n: n, after: after}
			a.Records, a.Blobs, a.Seal = c, c, c
			err := a.Run(ctx, ignore)
			if err != nil && !errors.Is(err, errCrash) {
				t.Fatal(err)
			}
			if err != nil {
				crashes++
			}
			ended = ended || err == nil
			h.somewhere(t, r, blobs, dir)
			must(t, h.archiver(t, h.DB.Archives(), blobs, dir).Run(ctx, ignore))
			if _, err := h.DB.Request(ctx, r.ID); !errors.Is(err, signer.ErrUnknown) {
				t.Errorf("step %d: still live after the next run: %v", n, err)
			}
			h.somewhere(t, r, blobs, dir)
			h.tidy(t, dir)
		}
		if ended {
			break
		}
	}
	if crashes < 20 {
		t.Errorf("only %d crashes", crashes)
	}
	Chain(t, h.DB)
}

// somewhere: a signature is live with its documents, or in an archive that checks.
func (h *House) somewhere(t *testing.T, r *signer.Request, blobs *store.Blobs, dir string) {
	t.Helper()
	ctx := context.Background()
	if _, err := h.DB.Request(ctx, r.ID); err == nil {
		items, err := h.DB.Items(ctx, r.Batch, "", -1, 10)
		must(t, err)
		for _, it := range items {
			if f, err := blobs.Open(ctx, it.Blob); err != nil {
				t.Errorf("live, and its document is gone: %v", err)
			} else {
				must(t, f.Close())
			}
		}
		if len(items) != 2 {
			t.Errorf("live with %d items", len(items))
		}
		return
	}
	list, err := h.DB.Archives().Archives(ctx, "", 1000)
	must(t, err)
	for _, in := range list {
		if in.State != archive.Stored {
			continue
		}
		found := false
		arch := h.openArchive(t, in.ID, dir)
		must(t, arch.Cases(func(c *archive.Case) error { found = found || c.Batch.ID == r.Batch; return nil }))
		if found {
			must(t, arch.Check(ctx))
			return
		}
	}
	t.Errorf("%s is neither live nor in an archive", r.ID)
}

// tidy: each file is a stored archive's, and each stored archive has a file.
func (h *House) tidy(t *testing.T, dir string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	must(t, err)
	list, err := h.DB.Archives().Archives(context.Background(), "", 1000)
	must(t, err)
	for _, in := range list {
		if in.State != archive.Stored {
			t.Errorf("archive %s is %s", in.ID, in.State)
		}
	}
	if len(files) != len(list) {
		t.Errorf("%d files of %d archives", len(files), len(list))
	}
	left, err := h.DB.Archives().Removals(context.Background(), 10)
	must(t, err)
	if len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
}

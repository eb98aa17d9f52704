package batch_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/ecert"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store"
	"github.com/mohor-sign/mohor/store/storetest"
)

var (
	ctx   = context.Background()
	quiet = slog.New(slog.NewTextHandler(io.Discard, nil))
)

// house takes batches in and signs them, on SQLite with keys in memory.
type house struct {
	*storetest.House
	svc   *batch.Service
	s     *signer.Signer
	blobs *store.Blobs
	packs *batch.Packs
	temp  string
	dir   string
}

func newHouse(t testing.TB) *house {
	t.Helper()
	db, _ := storetest.SQLite(t)
	return newHouseOn(t, db)
}

func newHouseOn(t testing.TB, db *store.DB) *house {
	t.Helper()
	dir := t.TempDir()
	h := &house{House: storetest.NewHouse(t, db), temp: filepath.Join(dir, "temp"), dir: filepath.Join(dir, "blobs")}
	must(t, os.Mkdir(h.temp, 0o700))
	var err error
	h.blobs, err = store.OpenBlobs(h.dir)
	must(t, err)
	t.Cleanup(func() { h.blobs.Close() })
	h.packs = batch.NewPacks(h.blobs)
	h.svc = &batch.Service{Queue: db, Blobs: h.packs, RecordURL: func(id string) string { return "https://x.example/s/" + id }, TempDir: h.temp,
		MaxUpload: 4 << 20, MaxPDF: 1 << 20, Now: h.Clock.Now}
	h.s = h.Signer(nil, h.packs)
	return h
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (h *house) create(t testing.TB, kind string) string {
	t.Helper()
	b, err := h.svc.Create(ctx, h.App.ID, "Kelompok Julai", kind, "r")
	must(t, err)
	return b.ID
}

func (h *house) batch(t testing.TB, id string) batch.Batch {
	t.Helper()
	b, err := h.svc.Batch(ctx, h.App.ID, id)
	must(t, err)
	return b
}

func (h *house) items(t testing.TB, id string) []batch.Item {
	t.Helper()
	items, err := h.DB.Items(ctx, id, "", -1, 10_000)
	must(t, err)
	return items
}

// refuses wants the error, exactly one refusal in the audit, and no change of
// the batch.
func (h *house) refuses(t testing.TB, what, id string, want error, call func() error) {
	t.Helper()
	var before batch.Batch
	if id != "" {
		before = h.batch(t, id)
	}
	n := h.verdicts(t, audit.Refused)
	if err := call(); !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
	if got := h.verdicts(t, audit.Refused); got != n+1 {
		t.Errorf("%s: %d refusals are in the audit, want 1", what, got-n)
	}
	if id != "" && h.batch(t, id) != before {
		t.Errorf("%s changed the batch: %+v, was %+v", what, h.batch(t, id), before)
	}
	if left, err := os.ReadDir(h.temp); err != nil || len(left) != 0 {
		t.Errorf("%s: %d temporary files are left, %v", what, len(left), err)
	}
}

func (h *house) verdicts(t testing.TB, verdict string) (n int) {
	t.Helper()
	for _, r := range storetest.Chain(t, h.DB) {
		if r.Verdict == verdict {
			n++
		}
	}
	return n
}

func line(k int) string {
	sum := sha256.Sum256(fmt.Append(nil, k))
	return fmt.Sprintf(`{"name":"dokumen %d","digest":{"alg":"SHA-256","value":%q},"reference":"R%d"}`+"\n", k, base64.StdEncoding.EncodeToString(sum[:]), k)
}

func lines(from, n int) io.Reader {
	var b strings.Builder
	for k := from; k < from+n; k++ {
		b.WriteString(line(k))
	}
	return strings.NewReader(b.String())
}

// archive makes a ZIP of the files, in order.
func archive(t testing.TB, files ...any) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for k := 0; k < len(files); k += 2 {
		f, err := w.Create(files[k].(string))
		must(t, err)
		_, err = f.Write(files[k+1].([]byte))
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

func TestCreate(t *testing.T) {
	h := newHouse(t)
	for _, name := range []string{"A", "Kelompok \"1\" é 陳", strings.Repeat("é", 120)} {
		b, err := h.svc.Create(ctx, h.App.ID, name, batch.PDF, "r")
		must(t, err)
		if got := h.batch(t, b.ID); got.Name != name || got.Status != batch.Open || got.Kind != batch.PDF || got.App != h.App.ID || got.Next != 0 {
			t.Errorf("%+v", got)
		}
	}
	for _, name := range []string{"", strings.Repeat("é", 121), "a\nb", "a\x00", "a\u202eb", "\xff", "a\u200b"} {
		h.refuses(t, fmt.Sprintf("name %q", name), "", batch.ErrName, func() error {
			_, err := h.svc.Create(ctx, h.App.ID, name, batch.PDF, "r")
			return err
		})
	}
	for _, kind := range []string{"", "PDF", "transaction"} {
		h.refuses(t, "kind "+kind, "", batch.ErrKind, func() error {
			_, err := h.svc.Create(ctx, h.App.ID, "x", kind, "r")
			return err
		})
	}
}

// What one app has, another one does not even hear of.
func TestAppsDoNotSeeEachOther(t *testing.T) {
	h := newHouse(t)
	id := h.create(t, batch.Digest)
	for what, call := range map[string]func() error{
		"intake": func() error { _, err := h.svc.AddDigests(ctx, "other", id, "r", lines(0, 1)); return err },
		"seal":   func() error { _, err := h.svc.Seal(ctx, "other", id, true, "r"); return err },
		"cancel": func() error { return h.svc.Cancel(ctx, "other", id, "r") },
		"none":   func() error { return h.svc.Cancel(ctx, h.App.ID, "ba_none", "r") },
	} {
		h.refuses(t, what, id, batch.ErrUnknown, call)
	}
	if _, err := h.svc.Batch(ctx, "other", id); !errors.Is(err, batch.ErrUnknown) {
		t.Errorf("reading: %v", err)
	}
}

func TestDigests(t *testing.T) {
	h := newHouse(t)
	id := h.create(t, batch.Digest)
	add := func(r io.Reader) (batch.Intake, error) { return h.svc.AddDigests(ctx, h.App.ID, id, "r", r) }
	got, err := add(io.MultiReader(lines(0, 2), strings.NewReader("\n  \n"), lines(2, 1)))
	if err != nil || got.Accepted != 3 || len(got.Refused) != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	d512 := base64.StdEncoding.EncodeToString(make([]byte, 64))
	got, err = add(strings.NewReader(`{"name":"n","digest":{"alg":"SHA-512","value":"` + d512 + `"}}`)) // no line end
	if err != nil || got.Accepted != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	for k, it := range h.items(t, id) {
		if int(it.Index) != k || it.State != batch.Pending || it.Check() != nil {
			t.Errorf("item %+v", it)
		}
	}
	if it := h.items(t, id)[1]; it.Name != "dokumen 1" || it.Reference != "R1" || fmt.Sprintf("%x", it.Digest) != fmt.Sprintf("%x", sha256.Sum256([]byte("1"))) {
		t.Errorf("item %+v", it)
	}
	d := base64.StdEncoding.EncodeToString(make([]byte, 32))
	next := 4
	for what, bad := range map[string]string{
		"no JSON":            "x",
		"an array":           "[]",
		"an unknown field":   `{"name":"n","digest":{"alg":"SHA-256","value":"` + d + `"},"x":1}`,
		"no name":            `{"digest":{"alg":"SHA-256","value":"` + d + `"}}`,
		"a name of controls": `{"name":"a\u0007","digest":{"alg":"SHA-256","value":"` + d + `"}}`,
		"a direction mark":   `{"name":"a\u202eb","digest":{"alg":"SHA-256","value":"` + d + `"}}`,
		"a long name":        `{"name":"` + strings.Repeat("n", 201) + `","digest":{"alg":"SHA-256","value":"` + d + `"}}`,
		"SHA-1":              `{"name":"n","digest":{"alg":"SHA-1","value":"` + d + `"}}`,
		"no algorithm":       `{"name":"n","digest":{"value":"` + d + `"}}`,
		"another length":     `{"name":"n","digest":{"alg":"SHA-384","value":"` + d + `"}}`,
		"no base64":          `{"name":"n","digest":{"alg":"SHA-256","value":"!"}}`,
		"no digest":          `{"name":"n"}`,
		"two on a line":      `{"name":"n","digest":{"alg":"SHA-256","value":"` + d + `"}}{"name":"m","digest":{"alg":"SHA-256","value":"` + d + `"}}`,
		"a long line":        `{"name":"` + strings.Repeat("n", 17<<10),
		"spare bits":         `{"name":"n","digest":{"alg":"SHA-256","value":"` + d[:42] + "B=" + `"}}`,
	} {
		// A bad line is refused as a row: the others are taken in, and sealing asks about it.
		got, err := add(io.MultiReader(lines(10, 2), strings.NewReader(bad+"\n"), lines(12, 1)))
		if err != nil || got.Accepted != 3 || got.RefusedCount != 1 || len(got.Refused) != 1 || got.Refused[0].Row != 3 || !strings.HasPrefix(got.Refused[0].Code, "row_") || got.Refused[0].Detail == "" {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
		if next += 3; len(h.items(t, id)) != next {
			t.Errorf("%s: %d items, want %d", what, len(h.items(t, id)), next)
		}
	}
	for what, bad := range map[string]string{"text": "x\n", "an array": "[]\n", "a PDF": "%PDF-1.7\n"} {
		h.refuses(t, what+" from the first line on", id, batch.ErrInput, func() error { _, err := add(io.MultiReader(strings.NewReader(bad), lines(0, 1))); return err })
	}
	h.refuses(t, "another kind", id, batch.ErrKind, func() error {
		_, err := h.svc.AddPDFs(ctx, h.App.ID, id, "r", bytes.NewReader(archive(t, "a.pdf", storetest.PDF("a"))))
		return err
	})
	h.refuses(t, "too much", id, batch.ErrTooLarge, func() error {
		_, err := add(io.LimitReader(endless{}, h.svc.MaxUpload+1))
		return err
	})
	h.refuses(t, "a connection that breaks", id, errBroken, func() error {
		_, err := add(io.MultiReader(lines(0, 1), brokenReader{}))
		return err
	})
}

var errBroken = errors.New("connection reset")

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errBroken }

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for k := range p {
		p[k] = '\n'
	}
	return len(p), nil
}

func TestSealAndCancel(t *testing.T) {
	h := newHouse(t)
	id := h.create(t, batch.Digest)
	seal := func(accept bool) error { _, err := h.svc.Seal(ctx, h.App.ID, id, accept, "r"); return err }
	h.refuses(t, "empty", id, batch.ErrEmpty, func() error { return seal(true) })
	_, err := h.svc.AddDigests(ctx, h.App.ID, id, "r", lines(0, 5))
	must(t, err)
	b, err := h.svc.Seal(ctx, h.App.ID, id, false, "r")
	must(t, err)
	var tree signer.Tree
	for _, it := range h.items(t, id) {
		tree.Add(it.Leaf())
	}
	if n, root := tree.Root(); b.Status != batch.Sealed || b.Count != n || b.Root != root || n != 5 {
		t.Errorf("sealed %+v", b)
	}
	h.refuses(t, "sealing twice", id, batch.ErrSealed, func() error { return seal(true) })
	h.refuses(t, "one more", id, batch.ErrSealed, func() error { _, err := h.svc.AddDigests(ctx, h.App.ID, id, "r", lines(5, 1)); return err })
	r, _, err := h.s.Prepare(ctx, h.ask(id))
	must(t, err)
	h.refuses(t, "cancelling while an officer is asked", id, batch.ErrLive, func() error { return h.svc.Cancel(ctx, h.App.ID, id, "r") })
	must(t, h.s.Cancel(ctx, r.App, r.ID, "r"))
	must(t, h.svc.Cancel(ctx, h.App.ID, id, "r"))
	if b := h.batch(t, id); b.Status != batch.Cancelled {
		t.Errorf("%+v", b)
	}
	h.refuses(t, "cancelling twice", id, batch.ErrSealed, func() error { return h.svc.Cancel(ctx, h.App.ID, id, "r") })
	// Nobody signs what was cancelled.
	if r, c, err := h.s.Prepare(ctx, h.ask(id)); err == nil {
		if a, err := h.s.Authorize(ctx, h.Confirm(r, c)); err == nil {
			a.Close()
			t.Error("a cancelled batch was authorised")
		}
	}
}

// ask asks the officer to sign a batch.
func (h *house) ask(id string) signer.Ask {
	a := h.Ask(0)
	a.Documents, a.Batch = nil, id
	return a
}

// Uploads at the same time each get their own places.
func TestParallelUploads(t *testing.T) {
	h := newHouse(t)
	id := h.create(t, batch.Digest)
	errs := make(chan error, 20)
	for k := range cap(errs) {
		go func() {
			_, err := h.svc.AddDigests(ctx, h.App.ID, id, "r", lines(100*k, 10))
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	items := h.items(t, id)
	if len(items) != 200 || h.batch(t, id).Next != 200 {
		t.Errorf("%d items", len(items))
	}
	names := map[string]bool{}
	for k, it := range items {
		if int(it.Index) != k || names[it.Name] {
			t.Errorf("item %d: %+v", k, it.Document)
		}
		names[it.Name] = true
	}
	// An upload that waits gives up with its client.
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := h.svc.AddDigests(gone, h.App.ID, id, "r", lines(0, 1)); err == nil {
		t.Error("an upload without a client was taken in")
	}
	if n := len(h.items(t, id)); n != 200 {
		t.Errorf("%d items", n)
	}
}

// Two gateways take the first lists of one batch at once: whoever comes too late takes nothing
// away from the other.
func TestFirstUploadsAtTwoGateways(t *testing.T) {
	h := newHouse(t)
	var err error
	h.svc.Renderer, err = ecert.NewRenderer(ecert.Options{Sandbox: true})
	must(t, err)
	other := &batch.Service{Queue: h.svc.Queue, Blobs: h.svc.Blobs, Renderer: h.svc.Renderer, RecordURL: h.svc.RecordURL, TempDir: h.svc.TempDir, MaxPDF: h.svc.MaxPDF, MaxUpload: h.svc.MaxUpload, Now: h.svc.Now}
	id := h.create(t, batch.Ecert)
	// It has seen an empty batch, and drawn its certificate, when the other one is taken in.
	other.Queue = &late{h.DB, func() {
		_, err := h.svc.AddCandidates(ctx, h.App.ID, id, "r", strings.NewReader(header+row("SITI", "900101145678", "S1000001")))
		must(t, err)
	}}
	if _, err := other.AddCandidates(ctx, h.App.ID, id, "r", strings.NewReader(header+row("SITI", "900101145678", "S1000002"))); !errors.Is(err, batch.ErrIntake) {
		t.Errorf("both have the first index: %v", err)
	}
	items := h.items(t, id)
	if len(items) != 1 {
		t.Fatalf("%d items", len(items))
	}
	b, err := h.svc.Blobs.Open(ctx, items[0].Blob)
	if err != nil {
		t.Fatalf("a file that was taken in: %v", err)
	}
	must(t, b.Close())
}

// late is a queue to which somebody else adds first.
type late struct {
	batch.Queue
	first func()
}

func (l *late) AddItems(ctx context.Context, id string, items []batch.Item, refused []batch.Refusal, ev audit.Event) error {
	l.first()
	return l.Queue.AddItems(ctx, id, items, refused, ev)
}

const header = "nama,no_kp,no_sijil,kod_program,nama_program,tahap,kod_pusat,pusat,batch,tahun,bahasa\n"

func row(name, ic, number string) string {
	return fmt.Sprintf("%s,%s,%s,TP-021-3:2013,PEMBUATAN MAKANAN,SKM 3,L01,PUSAT CONTOH,2021/07,072021,ms\n", name, ic, number)
}

func TestCandidates(t *testing.T) {
	h := newHouse(t)
	var err error
	h.svc.Renderer, err = ecert.NewRenderer(ecert.Options{Sandbox: true})
	must(t, err)
	id := h.create(t, batch.Ecert)
	add := func(s string) (batch.Intake, error) {
		return h.svc.AddCandidates(ctx, h.App.ID, id, "r", strings.NewReader(s))
	}
	got, err := add(header + row("ALI BIN ABU", "900101145678", "S1000001") + row("", "900101145678", "S1000002") + row("SITI", "90010114", "S1000003") +
		row("=CMD()", "900101145678", "S1000004") + row("ABU", "900101145678", "S1000001"))
	must(t, err)
	if got.Accepted != 2 || len(got.Refused) != 3 {
		t.Fatalf("%+v", got)
	}
	for k, want := range []batch.Refusal{{Row: 3, Column: "nama", Code: ecert.CodeFieldMissing}, {Row: 4, Column: "no_kp", Code: ecert.CodeICInvalid}, {Row: 6, Column: "no_sijil", Code: ecert.CodeNumberDuplicate}} {
		if r := got.Refused[k]; r.Row != want.Row || r.Column != want.Column || r.Code != want.Code {
			t.Errorf("refused %+v, want %+v", r, want)
		}
	}
	// A number that an earlier upload had.
	got, err = add(header + row("LAIN", "900101145678", "S1000004") + row("LAGI", "900101145678", "S1000005"))
	if err != nil || got.Accepted != 1 || len(got.Refused) != 1 || got.Refused[0].Code != ecert.CodeNumberDuplicate {
		t.Errorf("%+v, %v", got, err)
	}
	items := h.items(t, id)
	if len(items) != 3 || h.batch(t, id).RefusedRows != 4 {
		t.Fatalf("%d items, %+v", len(items), h.batch(t, id))
	}
	ids := map[string]bool{}
	for k, it := range items {
		if int(it.Index) != k || it.Record == nil || len(it.Record.ID) != 22 || ids[it.Record.ID] || it.Name != it.Record.Candidate.Number+" "+it.Record.Candidate.Name {
			t.Errorf("item %+v", it)
		}
		ids[it.Record.ID] = true
		b, err := h.packs.Open(ctx, it.Blob)
		must(t, err)
		p, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
		must(t, errors.Join(err, b.Close()))
		if sum := sha256.Sum256(p); !bytes.Equal(sum[:], it.Digest) || int64(len(p)) != it.Size || !bytes.HasPrefix(p, []byte("%PDF-")) {
			t.Errorf("document %d: its bytes are not those of its digest", k)
		}
		if found, err := h.DB.ItemByRecord(ctx, it.Record.ID); err != nil || found.Index != it.Index {
			t.Errorf("by record: %+v, %v", found, err)
		}
	}
	h.refuses(t, "a file that is no list", id, ecert.ErrCSV, func() error { _, err := add("\x00\x01"); return err })
	h.refuses(t, "a quote that does not end", id, ecert.ErrCSV, func() error {
		_, err := add(header + row("ALI", "900101145678", "S1000009") + "\"")
		return err
	})
	if n := len(h.items(t, id)); n != 3 {
		t.Errorf("%d items after refused uploads", n)
	}
	h.refuses(t, "refused rows", id, batch.ErrRefusedRows, func() error { _, err := h.svc.Seal(ctx, h.App.ID, id, false, "r"); return err })
	if b, err := h.svc.Seal(ctx, h.App.ID, id, true, "r"); err != nil || b.Count != 3 {
		t.Errorf("%+v, %v", b, err)
	}
}

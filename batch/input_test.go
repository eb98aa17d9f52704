package batch_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/ecert"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/storetest"
)

// Who sent an upload that is refused whole is told what is wrong with it, in both languages, and never more of it
// than a file's name that can be printed.
func TestUploadsRefusedWholeSayWhy(t *testing.T) {
	h := newHouse(t)
	list, a := []byte(header), storetest.PDF("a")
	zipped := func(kind string, files ...any) func() error {
		id := h.create(t, kind)
		return func() error {
			_, err := h.svc.AddZIP(ctx, h.App.ID, id, "r", bytes.NewReader(archive(t, files...)))
			return err
		}
	}
	pdf := func(f batch.File) func() error {
		id := h.create(t, batch.PDF)
		return func() error {
			_, err := h.svc.AddPDF(ctx, h.App.ID, id, "r", f, bytes.NewReader(a))
			return err
		}
	}
	digests := h.create(t, batch.Digest)
	for what, x := range map[string]struct {
		call          func() error
		en, ms, field string
	}{
		"an unexpected file":       {zipped(batch.Ecert, "a.csv", list, "x\u202e/a\x1b\""+strings.Repeat("n", 300)+".exe", a), `"x/a\"` + strings.Repeat("n", 100), "bukan senarai", ""},
		"two lists":                {zipped(batch.Ecert, "a.csv", list, "b.csv", list), `two lists, "a.csv" and "b.csv"`, "dua senarai", ""},
		"two pictures of one name": {zipped(batch.Ecert, "a.csv", list, "x/a.jpg", a, "y/a.jpg", a), `named "a.jpg"`, "dua gambar", ""},
		"no list":                  {zipped(batch.Ecert, "a.jpg", a), "no list", "tiada senarai", ""},
		"two manifests":            {zipped(batch.PDF, "manifest.csv", list, "manifest.json", list, "a.pdf", a), `two manifests, "manifest.csv" and "manifest.json"`, "dua manifes", ""},
		"NDJSON that is none": {func() error {
			_, err := h.svc.AddDigests(ctx, h.App.ID, digests, "r", strings.NewReader("name,digest\n"))
			return err
		}, "does not begin with a JSON object", "tidak bermula", ""},
		"a name":      {pdf(batch.File{Name: "a\x00"}), "name must have 1 to 200", "name mesti 1 hingga 200", "name"},
		"a reference": {pdf(batch.File{Name: "a", Reference: "\u202e"}), "reference must have 1 to 200", "reference mesti", "reference"},
		"a payee":     {pdf(batch.File{Name: "a", Payment: signer.Payment{Payee: strings.Repeat("x", 121)}}), "payee must have 1 to 120", "payee mesti", "payee"},
	} {
		err := x.call()
		var said *batch.InputError
		if !errors.As(err, &said) || !errors.Is(err, batch.ErrInput) {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if !strings.Contains(said.EN, x.en) || !strings.Contains(said.MS, x.ms) || said.Field != x.field || len(said.EN) > 400 || strings.ContainsAny(said.EN+said.MS, "\x00\x1b\u202e") {
			t.Errorf("%s: %+v", what, said)
		}
	}
}

// However a manifest is named, its amounts are never lost in silence.
func TestManifestNames(t *testing.T) {
	a := storetest.PDF("a")
	const rows, object = "fail,jumlah\na.pdf,1.50\n", `[{"file":"a.pdf","amount":"1.50"}]`
	for name, text := range map[string]string{"manifest.csv": rows, "Manifest.csv": rows, "MANIFEST.CSV": rows, "MANIFEST.JSON": object, "Manifest.Json": object} {
		h := newHouse(t)
		id := h.create(t, batch.PDF)
		got, err := h.addPDFs(id, archive(t, name, []byte(text), "a.pdf", a))
		must(t, err)
		n := 0
		for p, err := range h.DB.Payments(ctx, id) {
			if n++; err != nil || p.Amount != "1.50" {
				t.Errorf("%s: %+v, %v", name, p, err)
			}
		}
		if n != 1 || got.Accepted != 1 || got.RefusedCount != 0 {
			t.Errorf("%s: %d payments, %+v", name, n, got)
		}
	}
	h := newHouse(t)
	id := h.create(t, batch.PDF)
	for what, names := range map[string][]string{"in a folder": {"Folder/manifest.csv"}, "of Windows": {`Folder\Manifest.CSV`}, "JSON": {"a/b/MANIFEST.json"}, "beside one at the root": {"manifest.csv", "Folder/manifest.csv"}, "two": {"manifest.csv", "Manifest.csv"}} {
		files := []any{"a.pdf", a}
		for _, name := range names {
			files = append(files, name, []byte(rows))
		}
		h.refuses(t, what, id, batch.ErrInput, func() error {
			_, err := h.addPDFs(id, archive(t, files...))
			var said *batch.InputError
			if !errors.As(err, &said) || !strings.Contains(said.EN, "manifest") || !strings.Contains(said.MS, "manifes") {
				t.Errorf("%s: %v", what, err)
			}
			return err
		})
	}
	got, err := h.addPDFs(id, archive(t, "a.pdf", a, "__MACOSX/._manifest.csv", []byte("x"), "manifest.csv", []byte(rows)))
	if err != nil || got.Accepted != 1 || got.RefusedCount != 0 {
		t.Errorf("what macOS adds: %+v, %v", got, err)
	}
}

// manyEntries is a ZIP of one empty file, named n times; it announces no more than the lowest 16 bits.
func manyEntries(n int) []byte {
	var b bytes.Buffer
	b.WriteString("PK\x03\x04" + strings.Repeat("\x00", 26))
	for range n {
		b.WriteString("PK\x01\x02" + strings.Repeat("\x00", 42))
	}
	end := append([]byte("PK\x05\x06"), make([]byte, 18)...)
	binary.LittleEndian.PutUint16(end[8:], uint16(n))
	binary.LittleEndian.PutUint16(end[10:], uint16(n))
	binary.LittleEndian.PutUint32(end[12:], uint32(46*n))
	binary.LittleEndian.PutUint32(end[16:], 30)
	b.Write(end)
	return b.Bytes()
}

// A directory of more files than an upload has is not built, whatever it announces.
func TestZIPOfTooManyFiles(t *testing.T) {
	read := func(p []byte, limit int) (int, error) { return batch.ReadZIP(bytes.NewReader(p), int64(len(p)), limit) }
	for _, n := range []int{1, 2, 500, 50_000} {
		if got, err := read(manyEntries(n), n); err != nil || got != n {
			t.Errorf("%d files: %d, %v", n, got, err)
		}
		if _, err := read(manyEntries(n), n-1); !errors.Is(err, batch.ErrTooLarge) {
			t.Errorf("one too many of %d: %v", n, err)
		}
	}
	large := manyEntries(200_000)
	if n := testing.AllocsPerRun(1, func() {
		if _, err := read(large, 1000); !errors.Is(err, batch.ErrTooLarge) {
			t.Error(err)
		}
	}); n > 20_000 {
		t.Errorf("%v pieces of memory for what is refused", n)
	}
}

// A manifest's size, and that of each of its texts, is bounded before it is in memory.
func TestLargeManifest(t *testing.T) {
	h := newHouse(t)
	h.svc.MaxUpload = 1 << 30
	id := h.create(t, batch.PDF)
	long := strings.Repeat("x", 64<<20)
	for what, text := range map[string]string{
		"a long text": `[{"file":"` + long + `"}]`, "an unknown member": `[{"file":"a.pdf","x":"` + long + `"}]`, "spaces": `[{"file":"a.pdf"}` + strings.Repeat(" ", 64<<20) + `]`, "spaces at the end": `[]` + strings.Repeat(" ", 64<<20),
	} {
		zipped := archive(t, "manifest.json", []byte(text), "a.pdf", storetest.PDF("a"))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		h.refuses(t, what, id, ecert.ErrCSV, func() error { _, err := h.addPDFs(id, zipped); return err })
		runtime.ReadMemStats(&after)
		if n := (after.TotalAlloc - before.TotalAlloc) >> 20; n > 32 {
			t.Errorf("%s: %d MB", what, n)
		}
	}
	got, err := h.addPDFs(id, archive(t, "manifest.json", []byte(`[{"file":"a.pdf","title":"`+strings.Repeat("y", 15<<10)+`"}]`), "a.pdf", storetest.PDF("a")))
	if err != nil || got.Accepted != 0 || got.RefusedCount != 1 || got.Refused[0].Code != ecert.CodeFieldInvalid || got.Refused[0].Column != "title" {
		t.Errorf("a title of 15 kB: %+v, %v", got, err)
	}
	h.refuses(t, "257 MiB", id, batch.ErrTooLarge, func() error {
		_, err := h.addPDFs(id, archive(t, "manifest.csv", make([]byte, 257<<20)))
		return err
	})
}

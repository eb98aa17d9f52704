package batch_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/batch"
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

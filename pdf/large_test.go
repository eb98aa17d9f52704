package pdf_test

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/corpus"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
)

// TestMemoryDoesNotGrowWithTheDocument signs a file of 64 MB.
func TestMemoryDoesNotGrowWithTheDocument(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	path := pdftest.Write(t, "large.pdf", pdftest.Document(pdftest.Shape{Padding: 64 << 20}))
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := sign(t, p, f, info.Size(), io.Discard); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 2<<20 {
		t.Errorf("%d bytes allocated for a file of %d", n, info.Size())
	}
}

func sign(t testing.TB, p *pdftest.PKI, r io.ReaderAt, size int64, w io.Writer) error {
	d, err := pdf.Open(r, size)
	if err != nil {
		return err
	}
	prepared, err := d.Prepare(pdf.Options{Time: time.Unix(1_800_000_000, 0), ContentsSize: 4096})
	if err != nil {
		return err
	}
	digest, _, err := prepared.Digest(p.Hash)
	if err != nil {
		return err
	}
	_, err = prepared.Complete(w, p.CMS(t, digest))
	return err
}

// TestManyPagesAreFast opens a document of 20,000 pages.
func TestManyPagesAreFast(t *testing.T) {
	document := pdftest.Document(pdftest.Shape{Pages: 20000})
	start := time.Now()
	d, err := pdf.Open(bytes.NewReader(document), int64(len(document)))
	if err != nil || d.Pages() != 20000 {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 60*time.Second {
		t.Errorf("took %v", took)
	}
	signed := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil).Sign(t, document, pdf.Options{Visible: &pdf.Visible{Page: -1, Width: 99, Height: 50, Lines: []string{"akhir"}}})
	if !bytes.Contains(signed[len(document):], []byte("40008 0 obj")) {
		t.Error("the last page was not annotated")
	}
}

// TestJunkBeforeHeader signs documents with bytes before the header, in both
// ways of counting offsets.
func TestJunkBeforeHeader(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	nss := p.NSS(t)
	plain := pdftest.Document(pdftest.Shape{})
	for name, document := range map[string][]byte{
		"relative": append([]byte("junk\r\n"), plain...),
		"absolute": pdftest.Document(pdftest.Shape{Junk: "junk\r\n"}),
	} {
		t.Run(name, func(t *testing.T) {
			out, _ := pdftest.Run(t, "pdfsig", "-nssdir", nss, pdftest.Write(t, "signed.pdf", p.Sign(t, document, pdf.Options{})))
			if !strings.Contains(out, "Signature is Valid") || !strings.Contains(out, "Total document signed") {
				t.Errorf("pdfsig: %s", out)
			}
		})
	}
}

// TestChromiumDocument signs what a browser prints.
func TestChromiumDocument(t *testing.T) {
	dir := t.TempDir()
	page := pdftest.Write(t, "page.html", []byte("<h1>Surat kelulusan</h1><p>Nama: Siti binti Ahmad — ✓</p>"))
	out := filepath.Join(dir, "out.pdf")
	if text, err := pdftest.Run(t, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+dir, "--print-to-pdf="+out, "file://"+page); err != nil {
		t.Fatalf("chromium: %v\n%s", err, text)
	}
	document, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	p := pdftest.New(t, cms.RSAPSS, crypto.SHA256, nil)
	judge(t, p, pdftest.NewJury(t, p.Root), document, p.Sign(t, document, pdf.Options{Reason: "Diluluskan"}))
}

func FuzzOpen(f *testing.F) {
	for _, c := range slices.Concat(corpus.Good(), corpus.Broken()) {
		if c.Sparse == nil && len(c.Data) <= 64<<10 {
			f.Add(c.Data)
		}
	}
	f.Add(pdftest.Document(pdftest.Shape{Catalog: form, Page: "/Annots[1000 0 R]", Extra: map[int]string{1000: "<</FT/Tx/T(nama)>>"}}))
	f.Add(pdftest.Document(signedField("/Perms<</DocMDP 1001 0 R>>", "")))
	f.Add([]byte("%PDF-1.5\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Count 1/Kids[3 0 R]/MediaBox[0 0 9 9]>>endobj " +
		"3 0 obj<</Type/Page>>endobj\n4 0 obj<</Type/XRef/Size 5/Root 1 0 R/W[1 1 1]/Length 15>>stream\n" +
		"\x00\x00\x00\x01\x09\x00\x01\x31\x00\x01\x79\x00\x01\x95\x00\nendstream endobj\nstartxref\n149\n%%EOF"))
	f.Fuzz(func(t *testing.T, b []byte) {
		start := time.Now()
		prepared, err := attempt(b, pdf.Options{Visible: &pdf.Visible{Page: 1, Width: 5, Height: 5}})
		var refused *pdf.Error
		if err != nil && !errors.As(err, &refused) {
			t.Errorf("untyped error: %v", err)
		}
		if err == nil {
			var out bytes.Buffer
			if _, err := prepared.Complete(&out, []byte{0x30, 0}); err != nil {
				t.Error(err)
			}
			if !bytes.HasPrefix(out.Bytes(), b) {
				t.Error("document is not a prefix")
			}
			if d, err := pdf.Open(bytes.NewReader(out.Bytes()), int64(out.Len())); err != nil || len(d.Signatures()) == 0 {
				t.Errorf("what was prepared does not open: %v", err)
			}
		}
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("took %v", d)
		}
	})
}

func benchmark(b *testing.B, size int, alg cms.Algorithm, visible bool) {
	p := pdftest.New(b, alg, crypto.SHA256, nil)
	document := pdftest.Document(pdftest.Shape{Pages: 5, Padding: size})
	o := pdf.Options{Time: time.Unix(1_800_000_000, 0), ContentsSize: p.Builder(b).Size()}
	if visible {
		o.Visible = &pdf.Visible{Page: 1, Width: 200, Height: 60, Lines: []string{"Ditandatangani secara digital oleh", "SITI BINTI AHMAD"}}
	}
	b.SetBytes(int64(len(document)))
	b.ReportAllocs()
	for b.Loop() {
		d, err := pdf.Open(bytes.NewReader(document), int64(len(document)))
		if err != nil {
			b.Fatal(err)
		}
		prepared, err := d.Prepare(o)
		if err != nil {
			b.Fatal(err)
		}
		digest, _, err := prepared.Digest(p.Hash)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := prepared.Complete(io.Discard, p.CMS(b, digest)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	for _, size := range []int{100 << 10, 1 << 20, 100 << 20} {
		for _, alg := range []cms.Algorithm{cms.ECDSA, cms.RSAPKCS1} {
			b.Run(fmt.Sprintf("%dKB/%s", size>>10, alg), func(b *testing.B) { benchmark(b, size, alg, false) })
		}
	}
	b.Run("100KB/visible", func(b *testing.B) { benchmark(b, 100<<10, cms.ECDSA, true) })
}

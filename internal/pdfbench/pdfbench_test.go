package pdfbench

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkVerify is what a contender does, for profiles.
func BenchmarkVerify(b *testing.B) {
	for _, what := range []string{VerifyB, VerifyLTA} {
		for _, kind := range []string{"RSA-2048", "P-256"} {
			b.Run(what+"/"+kind, func(b *testing.B) {
				p, err := newPKI(b.TempDir(), kind, time.Now())
				if err != nil {
					b.Fatal(err)
				}
				path := filepath.Join(b.TempDir(), "signed.pdf")
				if err := p.signedDocument(context.Background(), path, small, what == VerifyLTA); err != nil {
					b.Fatal(err)
				}
				do, _, err := Task{What: what, Document: path, Certificates: p.rootPath, Now: p.now}.worker()
				if err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				for b.Loop() {
					if err := do(context.Background()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// TestFloorSigns: what the floor does is all there is to a signature.
func TestFloorSigns(t *testing.T) {
	dir := t.TempDir()
	for _, kind := range []string{"RSA-2048", "P-256"} {
		p, err := newPKI(dir, kind, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		document, output := filepath.Join(dir, "document.pdf"), filepath.Join(dir, "signed.pdf")
		if err := WriteDocument(document, small); err != nil {
			t.Fatal(err)
		}
		var sizes []int64
		for _, what := range []string{FloorWhole, SignWhole} {
			do, operations, err := Task{What: what, Document: document, Output: output, Key: p.keyPath, Certificates: p.certPath, Now: p.now}.worker()
			if err != nil {
				t.Fatal(err)
			}
			before := operations()
			for range 5 { // signatures of P-256 differ in length
				if err := do(t.Context()); err != nil {
					t.Fatal(err)
				}
				judge, _, err := Task{What: VerifyB, Document: output, Certificates: p.rootPath, Now: p.now}.worker()
				if err != nil {
					t.Fatal(err)
				}
				if err := judge(t.Context()); err != nil {
					t.Errorf("%s with %s: %v", what, kind, err)
				}
			}
			if n := operations() - before; n != 5 {
				t.Errorf("%s with %s used the key %d times for 5 documents", what, kind, n)
			}
			info, err := os.Stat(output)
			if err != nil {
				t.Fatal(err)
			}
			sizes = append(sizes, info.Size())
		}
		if sizes[0] != sizes[1] {
			t.Errorf("%s: the floor writes %d bytes, signing %d", kind, sizes[0], sizes[1])
		}
	}
}

// BenchmarkSign is BenchmarkVerify for those that sign.
func BenchmarkSign(b *testing.B) {
	for _, size := range []int64{small, 1 << 20} {
		for _, kind := range []string{"RSA-2048", "P-256"} {
			for _, what := range []string{Floor, CheckValue, Sign} {
				b.Run(Size(size)+"/"+kind+"/"+what, func(b *testing.B) {
					dir := b.TempDir()
					p, err := newPKI(dir, kind, time.Now())
					if err != nil {
						b.Fatal(err)
					}
					path := filepath.Join(dir, "document.pdf")
					if err := WriteDocument(path, size); err != nil {
						b.Fatal(err)
					}
					do, _, err := Task{What: what, Document: path, Output: "/dev/null", Key: p.keyPath, Certificates: p.certPath, Now: p.now}.worker()
					if err != nil {
						b.Fatal(err)
					}
					b.ReportAllocs()
					for b.Loop() {
						if err := do(context.Background()); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}

package pdfbench

import (
	"context"
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

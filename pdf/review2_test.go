package pdf_test

import (
	"context"
	"testing"

	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
)

// TestScanIsNotMisledByGenerations: a reference under another generation is
// found before the one that counts.
func TestScanIsNotMisledByGenerations(t *testing.T) {
	b := pdftest.Document(pdftest.Shape{Catalog: "/Odd[1000 9 R]/Names<</Dests 1000 9 R>>/OpenAction 1000 0 R",
		Extra: map[int]string{1000: "<</S/JavaScript/JS(app.alert)>>"}})
	found, err := open(t, b).Scan(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if !found.Has("javascript") {
		t.Errorf("not found: %v", found)
	}
}

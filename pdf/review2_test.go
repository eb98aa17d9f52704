package pdf_test

import (
	"context"
	"testing"

	"github.com/mohor-sign/mohor/pdf"
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

// TestUnreadableObjectIsADanger: an object which readers take and the scan
// cannot read may hold anything.
func TestUnreadableObjectIsADanger(t *testing.T) {
	b := pdftest.Document(pdftest.Shape{Catalog: "/OpenAction 1000 0 R",
		Extra: map[int]string{1000: "<</S/JavaScript/JS(app.alert)/X 1/X 2>>"}})
	found, err := open(t, b).Scan(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if found.Worst() != pdf.Danger {
		t.Errorf("no more than %s: %v", found.Worst(), found)
	}
}

package pdftest

import "testing"

// Print lets Chromium print HTML and returns the path of the PDF file.
func Print(t testing.TB, html string) string {
	t.Helper()
	out := Write(t, "printed.pdf", nil)
	said, err := Run(t, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer", "--print-to-pdf="+out,
		"file://"+Write(t, "page.html", []byte("<!doctype html><meta charset=utf-8>"+html)))
	if err != nil {
		t.Fatalf("chromium: %v\n%s", err, said)
	}
	return out
}

package syntax_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
)

// qpdf converts a document.
func qpdf(t testing.TB, document []byte, args ...string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out.pdf")
	args = append(args, "--static-id", pdftest.Write(t, "in.pdf", document), out)
	if text, err := pdftest.Run(t, "qpdf", args...); err != nil {
		t.Fatalf("qpdf: %v\n%s", err, text)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

package syntax_test

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"testing"

	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
	"github.com/mohor-sign/mohor/pdf/syntax"
)

// harmless fails the test for errors that are no refusals.
func harmless(t *testing.T, err error) {
	t.Helper()
	var refused *syntax.Error
	if err != nil && !errors.As(err, &refused) {
		t.Errorf("untyped error: %v", err)
	}
}

// FuzzValue parses a value, and the text of it again.
func FuzzValue(f *testing.F) {
	for _, s := range []string{"[1 2 R 3 0 R<</A(b\\051)/#41<4 1>>>]", "(a(b)\\\r\n\\7)%c\n", "-.5", "<</Length 3>>stream\nabc\nendstream"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, tree, err := open(pdftest.Document(pdftest.Shape{Catalog: "/X " + string(b) + "\n"}))
		harmless(t, err)
		if err != nil {
			return
		}
		raw := tree.Catalog.Raw(tree.Catalog.Value.Key("X"))
		_, again, err := open(pdftest.Document(pdftest.Shape{Catalog: "/X " + string(raw)}))
		if err != nil {
			t.Fatalf("%q, from %q: %v", raw, b, err)
		}
		if got := again.Catalog.Raw(again.Catalog.Value.Key("X")); !bytes.Equal(got, raw) {
			t.Errorf("%q became %q", raw, got)
		}
	})
}

// FuzzFile reads all of a file: cross-reference data, objects, streams,
// revisions.
func FuzzFile(f *testing.F) {
	plain := pdftest.Document(pdftest.Shape{})
	f.Add(plain)
	f.Add(revised(f, plain, "", map[int]string{3: "<<>>", 20: "(new)"}))
	f.Add(pdftest.Hybrid(4, "0000000000 65535 f \n", "FOUR"))
	if _, err := exec.LookPath("qpdf"); err == nil {
		f.Add(qpdf(f, plain, "--object-streams=generate"))
		f.Add(qpdf(f, plain, "--linearize"))
		f.Add(encrypted(f, secrets(), "", "o", []string{"256"}))
		f.Add(encrypted(f, secrets(), "", "o", []string{"128", "--use-aes=n"}, "--object-streams=disable"))
	}
	f.Fuzz(func(t *testing.T, b []byte) { harmless(t, bounded(b)) })
}

// FuzzObjectStream reads an object stream with any data, in a file that is right.
func FuzzObjectStream(f *testing.F) {
	three := "1 0 2 31 3 89 "
	f.Add(3, len(three), []byte(three+objects))
	f.Add(1, 4, []byte("1 0 5 0 R"))
	f.Fuzz(func(t *testing.T, n, first int, data []byte) {
		harmless(t, bounded(xrefStream("/W[1 2 1]/Size 7/Index[0 6]", rows, fmt.Sprintf("/N %d/First %d", n, first), string(data))))
	})
}

// FuzzSeal encrypts a body and reads it back.
func FuzzSeal(f *testing.F) {
	pdftest.RequireTool(f, "qpdf")
	var files []*syntax.File
	var documents [][]byte
	for _, name := range []string{"RC4-40", "AES-128", "AES-256"} {
		b := encrypted(f, secrets(), "", "o", encryptions[name], "--object-streams=disable")
		file, err := unlock(b, "")
		if err != nil {
			f.Fatal(err)
		}
		files, documents = append(files, file), append(documents, b)
	}
	f.Add([]byte("rahsia"), []byte("data"))
	f.Add([]byte(""), bytes.Repeat([]byte{16}, 4096))
	f.Fuzz(func(t *testing.T, text, data []byte) {
		for i, file := range files {
			body := fmt.Appendf(nil, "<</ByteRange[]/Contents<%x>/X[<%x>]/Length %d>>\nstream\n%s\nendstream", text, text, len(data), data)
			sealed, err := file.Seal(file.ObjectCount(), 0, body)
			if err != nil {
				t.Fatal(err)
			}
			again, err := unlock(revisedEncrypted(file, documents[i], sealed), "")
			if err != nil {
				t.Fatal(err)
			}
			o, err := again.Load(file.ObjectCount(), 0)
			if err != nil {
				t.Fatal(err)
			}
			if got := o.Value.Key("X").Array[0].Bytes; !bytes.Equal(got, text) || !bytes.Equal(o.Value.Key("Contents").Bytes, text) {
				t.Errorf("%q became %q", text, got)
			}
			r, err := again.Stream(o)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if _, err := out.ReadFrom(r); err != nil || !bytes.Equal(out.Bytes(), data) {
				t.Errorf("%q became %q: %v", data, out.Bytes(), err)
			}
		}
	})
}

// revisedEncrypted appends one object with the next number.
func revisedEncrypted(f *syntax.File, document, body []byte) []byte {
	b := bytes.NewBuffer(bytes.Clone(document))
	n := f.ObjectCount()
	at := b.Len()
	fmt.Fprintf(b, "%d 0 obj\n%s\nendobj\n", n, body)
	xref := b.Len()
	prev, _ := f.Xref()
	trailer := f.Trailer()
	fmt.Fprintf(b, "xref\n%d 1\n%010d 00000 n \ntrailer\n<</Size %d/Prev %d", n, at, n+1, prev)
	for _, key := range []string{"Root", "Encrypt", "ID"} {
		fmt.Fprintf(b, "/%s %s", key, trailer.Raw(trailer.Value.Key(key)))
	}
	fmt.Fprintf(b, ">>\nstartxref\n%d\n%%%%EOF\n", xref)
	return b.Bytes()
}

package syntax_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
	"github.com/mohor-sign/mohor/pdf/syntax"
)

// bounded opens a hostile document and reads all it can: pages, form, each
// object, each stream, each revision. It returns the first error.
func bounded(b []byte) error {
	f, err := syntax.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return err
	}
	first := readAll(f)
	for _, s := range f.Sections() {
		old, err := f.At(s.End)
		if err == nil {
			err = readAll(old)
		}
		if first == nil {
			first = err
		}
	}
	return first
}

func readAll(f *syntax.File) (first error) {
	note := func(err error) {
		if first == nil {
			first = err
		}
	}
	tree, err := f.Tree()
	note(err)
	if err == nil {
		_, err = f.Form(tree.Catalog)
		note(err)
	}
	for num, gen := range f.Objects {
		o, err := f.Load(num, gen)
		note(err)
		if err != nil || o.Data == 0 {
			continue
		}
		r, err := f.Stream(o)
		note(err)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
			note(err)
		}
	}
	return first
}

// many makes a document with n objects like this one, of which the catalog
// knows nothing.
func many(n int, body string) []byte {
	w := &pdftest.Writer{}
	w.Object(1, "<</Type/Catalog/Pages 2 0 R>>")
	w.Object(2, "<</Type/Pages/Count 1/Kids[3 0 R]>>")
	w.Object(3, "<</Type/Page/MediaBox[0 0 9 9]>>")
	for i := range n {
		w.Object(4+i, body)
	}
	return w.Close("")
}

func stream(dict, data string) string {
	return fmt.Sprintf("<<%s/Length %d>>\nstream\n%s\nendstream", dict, len(data), data)
}

func fields(n int, body string) []byte {
	w := &pdftest.Writer{}
	var refs strings.Builder
	for i := range n {
		fmt.Fprintf(&refs, "%d 0 R ", 4+i)
	}
	w.Object(1, "<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields["+refs.String()+"]>>>>")
	w.Object(2, "<</Type/Pages/Count 1/Kids[3 0 R]>>")
	w.Object(3, "<</Type/Page/MediaBox[0 0 9 9]>>")
	for i := range n {
		w.Object(4+i, strings.ReplaceAll(body, "#", fmt.Sprint(i)))
	}
	return w.Close("")
}

// xrefOnly is a document of one cross-reference stream with n entries, each
// step numbers apart.
func xrefOnly(t testing.TB, n, step int) []byte {
	rows := deflate(t, bytes.Repeat([]byte{1, 0, 9}, n))
	index := fmt.Sprintf("0 %d", n)
	if step > 1 {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "%d 1 ", i*step)
		}
		index = b.String()
	}
	object := fmt.Sprintf("1 0 obj\n<</Type/XRef/Root 1 0 R/Size 8388608/W[1 2 0]/Index[%s]/Filter/FlateDecode/Length %d>>\nstream\n%s\nendstream\nendobj\n", index, len(rows), rows)
	head := "%PDF-1.5\n" + strings.Repeat("%padding\n", 500_000)
	return []byte(head + object + fmt.Sprintf("startxref\n%d\n%%%%EOF\n", len(head)))
}

func boxes(n int, box string) []byte {
	w := &pdftest.Writer{}
	w.Object(1, "<</Type/Catalog/Pages 2 0 R>>")
	var refs strings.Builder
	for i := range n {
		fmt.Fprintf(&refs, "%d 0 R ", 3+2*i)
	}
	w.Object(2, fmt.Sprintf("<</Type/Pages/Count %d/Kids[%s]>>", n, refs.String()))
	for i := range n {
		w.Object(3+2*i, fmt.Sprintf("<</Type/Pages/Count 1/Kids[%d 0 R]/MediaBox%s>>", 4+2*i, box))
		w.Object(4+2*i, "<</Type/Page>>")
	}
	return w.Close("")
}

func keys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "/k%d 0", i)
	}
	return "<<" + b.String() + ">>"
}

// sections is a document of n revisions that each write the page anew.
func sections(n int) []byte {
	b := bytes.NewBuffer(pdftest.Document(pdftest.Shape{Pages: 300}))
	prev := bytes.LastIndex(b.Bytes(), []byte("xref\n0"))
	for range n {
		at := b.Len()
		b.WriteString("10 0 obj\n<</Type/Page/Parent 2 0 R>>\nendobj\n")
		xref := b.Len()
		fmt.Fprintf(b, "xref\n10 1\n%010d 00000 n \ntrailer\n<</Size 700/Root 1 0 R/Prev %d>>\nstartxref\n%d\n%%%%EOF\n", at, prev, xref)
		prev = xref
	}
	return b.Bytes()
}

// A stream of any size of dictionary is read, wherever a window of the reader
// ends in it.
func TestStreamDictionariesOfAllSizes(t *testing.T) {
	data := bytes.Repeat([]byte{16}, 5000)
	for n := 0; n < 6000; n += 7 {
		body := fmt.Sprintf("<</Length %d/X<%s>>>\nstream\n%s\nendstream", len(data), strings.Repeat("00", n/2), data)
		f, _, err := open(pdftest.Document(pdftest.Shape{Extra: map[int]string{1000: body}}))
		if err != nil {
			t.Fatal(err)
		}
		o, err := f.Load(1000, 0)
		if err != nil {
			t.Fatalf("dictionary of about %d bytes: %v", n, err)
		}
		r, err := f.Stream(o)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("dictionary of about %d bytes: %d bytes of data, %v", n, len(got), err)
		}
	}
}

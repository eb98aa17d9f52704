package syntax_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
	"github.com/mohor-sign/mohor/pdf/syntax"
)

// revised appends a revision to a document: objects and entries of the trailer.
func revised(t testing.TB, document []byte, trailer string, objects map[int]string) []byte {
	t.Helper()
	f, err := syntax.Open(bytes.NewReader(document), int64(len(document)))
	if err != nil {
		t.Fatal(err)
	}
	prev, _ := f.Xref()
	b := bytes.NewBuffer(bytes.Clone(document))
	var entries bytes.Buffer
	size := int(f.ObjectCount())
	for num, body := range objects {
		fmt.Fprintf(&entries, "%d 1\n%010d 00000 n \n", num, b.Len())
		fmt.Fprintf(b, "%d 0 obj\n%s\nendobj\n", num, body)
		size = max(size, num+1)
	}
	fmt.Fprintf(b, "xref\n%strailer\n<</Size %d/Root 1 0 R/Prev %d%s>>\nstartxref\n%d\n%%%%EOF\n", entries.String(), size, prev, trailer, b.Len())
	return b.Bytes()
}

func TestSectionsAreTheRevisions(t *testing.T) {
	first := pdftest.Document(pdftest.Shape{})
	second := revised(t, first, "", map[int]string{3: "<</Second true>>"})
	third := revised(t, second, "", map[int]string{3: "<</Third true>>", 20: "(new)"})
	f, _, err := open(third)
	if err != nil {
		t.Fatal(err)
	}
	sections := f.Sections()
	if len(sections) != 3 {
		t.Fatalf("%d revisions, want 3", len(sections))
	}
	for i, want := range [][]byte{third, second, first} {
		s := sections[i]
		if s.End != int64(len(want)) || !bytes.HasPrefix(third[s.Offset:], []byte("xref")) {
			t.Errorf("revision %d: %+v, want end %d", i, s, len(want))
		}
		old, err := f.At(s.End)
		if err != nil {
			t.Fatal(err)
		}
		o, err := old.Load(3, 0)
		if err != nil {
			t.Fatal(err)
		}
		key := []string{"Third", "Second", "Type"}[i]
		if o.Value.Key(key).Kind == syntax.Null {
			t.Errorf("revision %d: object 3 is %s", i, o.Raw(o.Value))
		}
		in := map[uint32]bool{}
		for num, gen := range old.Objects {
			if in[num] = true; gen != 0 {
				t.Errorf("object %d of generation %d", num, gen)
			}
		}
		if in[20] != (i == 0) || !in[1] || in[4] {
			t.Errorf("revision %d has objects %v", i, in)
		}
	}
	for range f.Objects {
		break
	}
	for _, end := range []int64{-1, 0, int64(len(first)) - 7, int64(len(third)) + 1} {
		if _, err := f.At(end); !errors.Is(err, syntax.ErrInvalid) {
			t.Errorf("at %d: %v", end, err)
		}
	}
}

// TestLinearizedFileIsOneRevision: its two sections are not.
func TestLinearizedFileIsOneRevision(t *testing.T) {
	for _, args := range [][]string{{"--linearize"}, {"--linearize", "--object-streams=generate"}} {
		document := qpdf(t, pdftest.Document(pdftest.Shape{Pages: 3}), args...)
		f, _, err := open(document)
		if err != nil {
			t.Fatal(err)
		}
		if s := f.Sections(); len(s) != 1 || s[0].End != int64(len(document)) {
			t.Errorf("%v: %+v of %d bytes", args, s, len(document))
		}
	}
}

//go:build !race

package syntax_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

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

// TestHostileFilesAreCheap: seconds and memory are bounded whatever a file does.
func TestHostileFilesAreCheap(t *testing.T) {
	bomb := deflate(t, make([]byte, 60<<20))
	double := deflate(t, []byte(deflate(t, make([]byte, 60<<20))))
	runs := strings.Repeat("\x81\x00", 400<<10) + "\x80"
	flat := "[" + strings.Repeat("0 ", 130_000) + "]"
	for name, document := range map[string]func() []byte{
		"bombs":          func() []byte { return many(40, stream("/Filter/FlateDecode", bomb)) },
		"bombs in bombs": func() []byte { return many(40, stream("/Filter[/FlateDecode/FlateDecode]", double)) },
		"predicted bombs": func() []byte {
			return many(40, stream("/Filter/FlateDecode/DecodeParms<</Predictor 15/Columns 1>>", bomb))
		},
		"tiff bombs": func() []byte {
			return many(40, stream("/Filter/FlateDecode/DecodeParms<</Predictor 2/Columns 1>>", bomb))
		},
		"runs":              func() []byte { return many(40, stream("/Filter/RunLengthDecode", runs)) },
		"zeros in base 85":  func() []byte { return many(40, stream("/Filter/ASCII85Decode", strings.Repeat("z", 2<<20)+"~>")) },
		"object streams":    func() []byte { return many(200, stream("/Type/ObjStm/N 1/First 4/Filter/FlateDecode", bomb)) },
		"many values":       func() []byte { return many(100, flat) },
		"deep values":       func() []byte { return many(100, strings.Repeat(strings.Repeat("[", 60)+strings.Repeat("]", 60), 2000)) },
		"many small":        func() []byte { return many(1_000_000, "0") },
		"kept values":       func() []byte { return fields(100, "<</FT/Sig/T(#)/X"+flat+">>") },
		"kept strings":      func() []byte { return fields(60, "<</FT/Sig/T(#)/X("+strings.Repeat("x", 1<<20)+")>>") },
		"kept names":        func() []byte { return fields(90_000, "<</T("+strings.Repeat("x", 900)+"#)>>") },
		"boxes":             func() []byte { return boxes(80, flat) },
		"dense entries":     func() []byte { return xrefOnly(t, 8_000_000, 1) },
		"sparse entries":    func() []byte { return xrefOnly(t, 120_000, 69) },
		"comment":           func() []byte { return many(1, strings.Repeat("%x\n", 8<<20)+"0") },
		"names":             func() []byte { return many(20, "<<"+strings.Repeat("/a#41 0", 500_000)+">>") },
		"keys":              func() []byte { return many(20, keys(80_000)) },
		"lines of revision": func() []byte { return sections(1000) },
	} {
		t.Run(name, func(t *testing.T) {
			b := document()
			runtime.GC()
			stop, peak := make(chan struct{}), make(chan uint64)
			go watch(stop, peak)
			var before runtime.MemStats
			runtime.ReadMemStats(&before)
			start := cpu(t)
			err := bounded(b)
			took := cpu(t) - start
			close(stop)
			used := int64(<-peak) - int64(before.HeapAlloc)
			var refused *syntax.Error
			if err != nil && !errors.As(err, &refused) {
				t.Errorf("untyped error: %v", err)
			}
			t.Logf("%4d MB file: %v, %d MB: %v", len(b)>>20, took.Round(time.Millisecond), used>>20, err)
			if took > 5*time.Second {
				t.Errorf("took %v", took)
			}
			if used > 256<<20 {
				t.Errorf("%d MB", used>>20)
			}
		})
	}
}

// cpu is the processor time of the process: the machine may be busy.
func cpu(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// watch sends the largest heap seen.
func watch(stop chan struct{}, peak chan uint64) {
	var most uint64
	for {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapAlloc)
		select {
		case <-stop:
			peak <- most
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
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

// TestManyPagesOpenFast: 5,000 pages, with classic objects and object streams.
func TestManyPagesOpenFast(t *testing.T) {
	plain := pdftest.Document(pdftest.Shape{Pages: 5000})
	for name, document := range map[string][]byte{"classic": plain, "streams": qpdf(t, plain, "--object-streams=generate")} {
		best := time.Hour
		for range 5 {
			start := cpu(t)
			if _, tree, err := open(document); err != nil || len(tree.Pages) != 5000 {
				t.Fatal(err)
			}
			best = min(best, cpu(t)-start)
		}
		t.Logf("%s: %v", name, best)
		if best > 50*time.Millisecond {
			t.Errorf("%s: 5,000 pages open in %v", name, best)
		}
	}
}

//go:build !race

package syntax_test

import (
	"errors"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
	"github.com/mohor-sign/mohor/pdf/syntax"
)

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

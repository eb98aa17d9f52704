//go:build !race

package verify_test

import (
	"bytes"
	"compress/zlib"
	"crypto"
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
	"github.com/mohor-sign/mohor/pdf/verify"
)

// cost is what a check takes: processor time of the process, for the machine
// may be busy, and memory allocated.
func cost(t *testing.T, document []byte) (time.Duration, uint64) {
	t.Helper()
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := used()
	check(t, document, verify.Options{})
	took := used() - start
	runtime.ReadMemStats(&after)
	allocated := after.TotalAlloc - before.TotalAlloc
	t.Logf("%d kB: %v, %d MB", len(document)>>10, took.Round(time.Millisecond), allocated>>20)
	return took, allocated
}

func deflated(entries string, b []byte) string {
	var out bytes.Buffer
	w, _ := zlib.NewWriterLevel(&out, zlib.BestCompression)
	w.Write(b)
	w.Close()
	return fmt.Sprintf("<<%s/Filter/FlateDecode/Length %d>>\nstream\n%s\nendstream", entries, out.Len(), out.Bytes())
}

// TestMetadataIsCheapToCompare: long names around many texts, and a long name
// of a space that short ones stand for.
func TestMetadataIsCheapToCompare(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	const entries = "/Type/Metadata/Subtype/XML"
	document := pdftest.Document(pdftest.Shape{Catalog: "/Metadata 1000 0 R", Extra: map[int]string{1000: deflated(entries, []byte("<a/>"))}})
	signed := p.Sign(t, document, pdf.Options{Field: "Pengarah"})
	nested := func(name int) string {
		var open, end strings.Builder
		for i := range 40 {
			fmt.Fprintf(&open, "<a%d%s>", i, strings.Repeat("x", name))
			fmt.Fprintf(&end, "</a%d%s>", 39-i, strings.Repeat("x", name))
		}
		for i := range 18_000 {
			fmt.Fprintf(&open, "<a>%d</a>", i)
		}
		return open.String() + end.String()
	}
	for name, packet := range map[string]string{
		"long names":  nested(10_000),
		"names":       nested(1000),
		"long spaces": `<a xmlns:b="` + strings.Repeat("x", 500_000) + `">` + strings.Repeat("<b:c>d</b:c>", 40_000) + "</a>",
		"spaces":      `<a xmlns:b="` + strings.Repeat("x", 1000) + `">` + strings.Repeat("<b:c>d</b:c>", 80_000) + "</a>",
		"attributes":  "<a" + strings.Repeat(` b="c"`, 150_000) + "/>",
	} {
		t.Run(name, func(t *testing.T) {
			took, allocated := cost(t, supersede(signed, map[int]numbered{1000: {0, deflated(entries, []byte(packet))}}))
			if took > 5*time.Second || allocated > 256<<20 {
				t.Error("not cheap")
			}
		})
	}
}

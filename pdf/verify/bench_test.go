package verify_test

import (
	"bytes"
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
	"github.com/mohor-sign/mohor/pdf/verify"
)

func BenchmarkVerify(b *testing.B) {
	for _, alg := range []cms.Algorithm{cms.ECDSA, cms.RSAPKCS1} {
		h := newHouse(b, alg)
		document := pdftest.Document(pdftest.Shape{Pages: 5, Padding: 80 << 10})
		archive := h.extend(h.stamped(document, pdf.Options{}), pdf.LevelLTA, false)
		for name, d := range map[string][]byte{"B-B": h.Sign(b, document, pdf.Options{}), "B-LTA": archive} {
			b.Run(string(alg)+"/"+name, func(b *testing.B) {
				o := h.options()
				o.Fetch, o.RequireRevocation = nil, name == "B-LTA"
				b.SetBytes(int64(len(d)))
				b.ReportAllocs()
				began := processorTime(b)
				for b.Loop() {
					r, err := verify.Verify(context.Background(), bytes.NewReader(d), int64(len(d)), o)
					if err != nil || r.Verdict != verify.Valid || r.Signatures[0].Level != name {
						b.Fatalf("%v %+v", err, r)
					}
				}
				b.ReportMetric(float64((processorTime(b)-began).Microseconds())/float64(b.N), "cpu-us/op")
			})
		}
	}
}

// processorTime is what the process has used, its garbage collector included.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

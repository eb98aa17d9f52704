package signer_test

import (
	"crypto/rand"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/batch"
)

// cpu is what this process has used so far.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLevels signs the same 100 KB documents as batches of B-B and of
// B-LTA by turns. ratio is documents a second of B-LTA ÷ those of B-B,
// cpu-ratio the same of processor time, which neighbours and disks disturb less.
func BenchmarkLevels(b *testing.B) {
	const count = 100
	padding := make([]byte, 100_000)
	if _, err := rand.Read(padding); err != nil {
		b.Fatal(err)
	}
	document := with("", fmt.Sprintf("<</Length %d>>\nstream\n%s\nendstream", len(padding), padding))
	for _, algorithm := range []string{"ECDSA-P256", "RSA-2048"} {
		b.Run(algorithm, func(b *testing.B) {
			h := newHouse(b)
			h.serve(b)
			credential := h.Issue(b, algorithm).ID
			took, used := map[string]time.Duration{}, map[string]time.Duration{}
			for b.Loop() {
				for _, level := range []string{"B-B", "B-LTA"} {
					b.StopTimer()
					documents := make([][]byte, count)
					for k := range documents {
						documents[k] = document
					}
					a := h.pdfs(b, documents...)
					a.Credential, a.Options.Level = credential, level
					_, f := h.prepare(b, a)
					auth, err := h.s.Authorize(ctx, f)
					must(b, err)
					b.StartTimer()
					began, before := time.Now(), cpu(b)
					must(b, batch.NewRunner(h.s, 4, 50, quiet).Run(ctx, auth))
					took[level] += time.Since(began)
					used[level] += cpu(b) - before
					b.StopTimer()
					if err := h.blobs.Remove(ctx, "signed"); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
			}
			for level, d := range took {
				b.ReportMetric(float64(b.N*count)/d.Seconds(), level+"/s")
				b.ReportMetric(float64(used[level].Microseconds())/float64(b.N*count), level+"-cpu-µs")
			}
			b.ReportMetric(took["B-B"].Seconds()/took["B-LTA"].Seconds(), "ratio")
			b.ReportMetric(used["B-B"].Seconds()/used["B-LTA"].Seconds(), "cpu-ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

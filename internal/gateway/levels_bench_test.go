package gateway_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// BenchmarkLevels signs the same documents at B-B and at B-LTA by turns, with the
// token's keys and our own time-stamp unit. ratio is documents a second of B-LTA ÷
// those of B-B.
func BenchmarkLevels(b *testing.B) {
	const count = 100
	g := gatewaytest.New(b)
	document, err := os.ReadFile(filepath.Join("..", "..", "examples", "voucher.pdf"))
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range g.Dev.Officers[0].Credentials {
		b.Run(c.Key, func(b *testing.B) {
			took := make(map[string]time.Duration)
			for b.Loop() {
				for _, level := range []string{"B-B", "B-LTA"} {
					b.StopTimer()
					var ids []string
					for range count {
						r := g.Do(http.MethodPost, "/v1/documents?name=baucar.pdf", "application/pdf", document)
						if r.Status != http.StatusCreated {
							b.Fatalf("%d %s", r.Status, r.Raw)
						}
						ids = append(ids, r.Text("document_id"))
					}
					ask := pades(ids...)
					ask["credential_id"], ask["pades"] = c.CredentialID, map[string]any{"level": level}
					tx, code := g.Ask(ask)
					b.StartTimer()
					began := time.Now()
					if done := g.Confirm(tx, code, nil); done.Status != http.StatusOK {
						b.Fatalf("%d %s", done.Status, done.Raw)
					}
					took[level] += time.Since(began)
				}
			}
			for level, d := range took {
				b.ReportMetric(float64(b.N*count)/d.Seconds(), fmt.Sprintf("%s/s", level))
			}
			b.ReportMetric(took["B-B"].Seconds()/took["B-LTA"].Seconds(), "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

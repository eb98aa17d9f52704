//go:build !race

package gateway_test

import (
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/gateway"
)

func TestLimitOfABatch(t *testing.T) {
	cores, ms := float64(runtime.NumCPU()), time.Millisecond
	for _, c := range []struct {
		raw, verify, floor, page time.Duration
		disk                     float64
		each                     float64 // ms of processor time
		capped                   bool
	}{
		{ms, ms / 2, 0, 0, 0, 1.5, false},              // digests: nothing is written
		{ms, ms / 2, 2 * ms, 0, 1e6, 3, false},         // the least pass verifies, too
		{ms, ms / 2, 2 * ms, ms, 1e6, 4, false},        // with its page
		{ms, ms / 2, 2 * ms, 0, 7, cores / 7e-3, true}, // the disk is slower
	} {
		got, capped := gateway.LimitOf(c.raw, c.verify, c.floor, c.page, c.disk)
		if want := cores / c.each * 1000; math.Abs(got-want) > 1e-6*want || capped != c.capped {
			t.Errorf("%+v: %v a second, by the disk: %t; want %v", c, got, capped, want)
		}
	}
}

func TestTargetsOfABatch(t *testing.T) {
	q := func(v float64) gateway.Quartiles { return gateway.Quartiles{Median: v, Q1: v, Q3: v} }
	for _, c := range []struct {
		r    gateway.BatchReport
		want map[string]bool
	}{
		{gateway.BatchReport{Kind: "digest", Key: "RSA-2048", Level: "B-B", Batches: []gateway.BatchRun{{OfRaw: q(0.91)}}}, map[string]bool{"digests by raw C_Sign": true}},
		{gateway.BatchReport{Kind: "digest", Key: "ECDSA-P256", Level: "B-B", Batches: []gateway.BatchRun{{OfRaw: q(0.3)}}}, map[string]bool{}},
		{gateway.BatchReport{Kind: "pdf", Key: "RSA-2048", Level: "B-B", Size: 100 << 10, Batches: []gateway.BatchRun{{Share: q(0.7)}}}, map[string]bool{"PDFs by the limit": false}},
		{gateway.BatchReport{Kind: "pdf", Key: "ECDSA-P256", Level: "B-B", Size: 100 << 10, Batches: []gateway.BatchRun{{Share: q(0.7)}}}, map[string]bool{"PDFs by the limit": true}},
		{gateway.BatchReport{Kind: "pdf", Key: "RSA-2048", Level: "B-B", Size: 10 << 20, Batches: []gateway.BatchRun{{Share: q(0.7)}}}, map[string]bool{}},
		{gateway.BatchReport{Kind: "pdf", Key: "RSA-2048", Level: "B-LTA", Size: 100 << 10, Batches: []gateway.BatchRun{{Documents: 5, PerSecond: q(29)}, {Documents: 5, PerSecond: q(100)}}}, map[string]bool{"B-LTA by B-B": false}},
		{gateway.BatchReport{Kind: "ecert", Key: "RSA-2048", Level: "B-B", Parts: []gateway.BatchPart{{What: "page of an eCertificate", CPU: q(0.5)}},
			Batches: []gateway.BatchRun{{Documents: 100_000, PerSecond: q(95), Peak: 151 << 20}, {Documents: 10_000, PerSecond: q(100)}}},
			map[string]bool{"pages a core-second": true, "rate by that of a tenth": true, "peak RSS of the gateway": false}},
	} {
		gateway.JudgeBatch(&c.r)
		got := map[string]bool{}
		for _, x := range c.r.Targets {
			got[x.What] = x.Met
		}
		if len(got) != len(c.want) {
			t.Errorf("%s, %s, %s: %+v", c.r.Kind, c.r.Key, c.r.Level, c.r.Targets)
		}
		for what, met := range c.want {
			if is, ok := got[what]; !ok || is != met {
				t.Errorf("%s, %s, %s: %q met: %t, found: %t", c.r.Kind, c.r.Key, c.r.Level, what, is, ok)
			}
		}
	}
}

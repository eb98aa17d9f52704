//go:build !race

package gateway_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/store/ephemeral/redistest"
	"github.com/mohor-sign/mohor/store/storetest/pgtest"
)

func TestCostOfASignature(t *testing.T) {
	slice := func(ops int, each time.Duration) []hsm.Slice {
		return []hsm.Slice{{Ops: ops, Took: time.Second, CPU: time.Duration(ops) * each}}
	}
	kdf, mac := slice(50, 20*time.Millisecond), slice(100, 10*time.Microsecond)
	raw, verified, used := slice(100, 600*time.Microsecond), slice(100, 50*time.Microsecond), slice(100, 1650*time.Microsecond)
	for _, c := range []struct {
		documents        int
		total            time.Duration
		kdf, hsm, beyond float64
		met              bool
	}{
		{1, 24 * time.Millisecond, 20, 0.6 + 1 + 0.03, 24 - 20 - 1.63, false},
		{1, 23 * time.Millisecond, 20, 1.63, 1.37, true},
		{1000, time.Millisecond, 0.02, 0.6 + 1.03/1000, 1 - 0.02 - 0.60103, true},
	} {
		ops := 4 * c.documents
		got := gateway.CostOf(c.documents, slice(ops, c.total), kdf, mac, raw, verified, used, []time.Duration{time.Duration(ops) * c.total / 4})
		want := []float64{float64(c.total) / 1e6, float64(c.total) / 4e6, c.kdf, c.hsm, c.beyond}
		for k, q := range []gateway.Quartiles{got.Total, got.Gateway, got.KDF, got.HSM, got.Beyond} {
			if math.Abs(q.Median-want[k]) > 1e-6 {
				t.Errorf("%d documents, part %d: %v, want %v", c.documents, k, q.Median, want[k])
			}
		}
		if got.Met != c.met || got.Target != 2 {
			t.Errorf("%d documents: %+v", c.documents, got)
		}
	}
}

func TestSteadyRatio(t *testing.T) {
	round := func(ms ...float64) map[string][]float64 {
		return map[string][]float64{"transaction": ms[:1], "signature": ms[1:]}
	}
	s := gateway.JudgeSteady([]map[string][]float64{round(1, 2, 30), round(1, 2, 10)}, []map[string][]float64{round(1, 2, 10), round(1, 2, 5)})
	if s.Ratio != 3 || s.Ratios.Q1 != 2.25 || s.Ratios.Q3 != 2.75 || !s.Met || s.Target != 4 {
		t.Errorf("%+v", s)
	}
	if n := len(s.With); n != 3 || s.With[2].Request != "any" || s.With[2].Count != 6 || s.With[2].P99 != 30 || s.With[0].Count != 2 || s.Without[1].P50 != 2 {
		t.Errorf("with %+v, without %+v", s.With, s.Without)
	}
	if s := gateway.JudgeSteady([]map[string][]float64{round(1, 41)}, []map[string][]float64{round(1, 10)}); s.Met {
		t.Errorf("met with %+v", s)
	}
}

func TestProcessorTimeOfAnother(t *testing.T) {
	const stat = "4711 (a (b) c) S 1 4711 4711 0 -1 4194560 9 8 7 6 123 45 3 2 20 0 9 0 100 200 300"
	if got, err := gateway.ParseStat([]byte(stat)); err != nil || got != 1680*time.Millisecond {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "4711 (a) S 1 2 3", "4711 (a) S 1 4711 4711 0 -1 4194560 9 8 7 6 x 45 3"} {
		if got, err := gateway.ParseStat([]byte(bad)); err == nil {
			t.Errorf("%q is %v", bad, got)
		}
	}
}

// The program measures what it says on both pairs of stores, by HTTP; what it finds is not for a test
// to say.
func TestBenchAPI(t *testing.T) {
	pgtest.Need(t)
	pg, redis := pgtest.Start(t), redistest.Start(t)
	address, err := pg.Database(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o := gateway.BenchOptions{Slices: 1, Slice: 20 * time.Millisecond, Sessions: []int{2}, Now: time.Now, Report: func(string, int, int) {}}
	a := gateway.APIBench{Rounds: 1, Documents: 60, Rate: 4, Database: address, Redis: redis.Address}
	r, err := gateway.BenchAPI(t.Context(), o, a)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != 34 || len(r.API.Costs) != 8 || len(r.API.Steady) != 2 {
		t.Fatalf("%d rows, %+v", len(r.Rows), r.API)
	}
	asked := 0
	for _, row := range r.Rows {
		for _, l := range row.Latency {
			asked++
			if l.Count < 1 || l.P50 <= 0 || l.P50 > l.P95 || l.P95 > l.P99 {
				t.Errorf("row %q: %+v", row.What, l)
			}
		}
	}
	if asked != 26 {
		t.Errorf("%d latencies, want that of media and two of each kind of transaction", asked)
	}
	for _, c := range r.API.Costs {
		if c.Total.Median <= 0 || c.KDF.Median <= 0 || c.HSM.Median <= 0 || c.Documents != 1 && c.Documents != 1000 {
			t.Errorf("cost %+v", c)
		}
	}
	for _, s := range r.API.Steady {
		if s.Ratio <= 0 || s.BatchPerSecond.Median <= 0 || s.With[0].Count < 1 || s.Without[0].Count < 1 {
			t.Errorf("steady %+v", s)
		}
	}
	for _, bad := range []gateway.APIBench{{Rounds: -1}, {Rounds: 1}, {Rounds: 1, Documents: 1, Rate: 1e6}} {
		if _, err := gateway.BenchAPI(t.Context(), o, bad); !errors.Is(err, gateway.ErrConfig) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

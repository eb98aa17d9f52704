package gateway_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/internal/mykad"
)

func TestQuartiles(t *testing.T) {
	for _, c := range []struct {
		v    []float64
		want gateway.Quartiles
	}{
		{[]float64{7}, gateway.Quartiles{Median: 7, Q1: 7, Q3: 7}},
		{[]float64{4, 1, 3, 2, 5}, gateway.Quartiles{Median: 3, Q1: 2, Q3: 4}},
		{[]float64{1, 2, 3, 4}, gateway.Quartiles{Median: 2.5, Q1: 1.75, Q3: 3.25}},
	} {
		if got := gateway.QuartilesOf(c.v); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.v, got, c.want)
		}
	}
}

func TestTargets(t *testing.T) {
	for _, c := range []struct {
		of      string
		q       gateway.Quartiles
		target  float64
		met, by bool
	}{
		{"rate", gateway.Quartiles{Q1: 0.98, Median: 0.99, Q3: 1}, 0.97, true, true},
		{"rate", gateway.Quartiles{Q1: 0.96, Median: 0.97, Q3: 0.98}, 0.97, true, false},
		{"rate", gateway.Quartiles{Q1: 0.90, Median: 0.91, Q3: 0.92}, 0.97, false, false},
		{"time", gateway.Quartiles{Q1: 1, Median: 1.05, Q3: 1.1}, 1.1, true, true},
		{"time", gateway.Quartiles{Q1: 1, Median: 1.05, Q3: 1.11}, 1.1, false, false},
	} {
		r := gateway.BenchRow{RatioOf: c.of, Ratio: &c.q, Target: c.target}
		if gateway.Judge(&r); *r.Met != c.met || *r.MetThroughout != c.by {
			t.Errorf("%s %+v: met %t, throughout %t", c.of, c.q, *r.Met, *r.MetThroughout)
		}
	}
	r := gateway.BenchRow{RatioOf: "rate", Ratio: &gateway.Quartiles{}}
	if gateway.Judge(&r); r.Met != nil {
		t.Error("a row without a target met it")
	}
}

func TestSlope(t *testing.T) {
	x, y := make([]float64, 100), make([]float64, 100)
	for k := range x {
		x[k], y[k] = float64(k), 50+240*float64(k)
	}
	if at, upper := gateway.SlopeOf(x, y); math.Abs(at-240) > 1e-9 || math.Abs(upper-240) > 1e-6 {
		t.Errorf("a line: %v, at most %v", at, upper)
	}
	for k := range y {
		y[k] = float64(k%2) * 1000 // noise about nothing
	}
	if at, upper := gateway.SlopeOf(x, y); math.Abs(at) > 1 || upper < at || upper > 10 {
		t.Errorf("noise: %v, at most %v", at, upper)
	}
	if at, upper := gateway.SlopeOf(x[:1], y[:1]); at != 0 || upper != 0 {
		t.Errorf("one sample: %v, at most %v", at, upper)
	}
}

func TestBenchOfficersHaveNumbers(t *testing.T) {
	seen := map[string]int{}
	for k := 0; k < 10_000*365*27; k += 997 {
		ic := gateway.BenchIC(k)
		if _, err := mykad.Parse(ic); err != nil {
			t.Fatalf("officer %d: %q: %v", k, ic, err)
		}
		if was, ok := seen[ic]; ok {
			t.Fatalf("officers %d and %d are both %s", was, k, ic)
		}
		seen[ic] = k
	}
}

// A folder that was not made to be measured is left as it is.
func TestBenchRefusesInstallations(t *testing.T) {
	g := gatewaytest.New(t)
	o := gateway.BenchOptions{Slices: 1, Slice: time.Millisecond, Sessions: []int{1}, Data: g.Dir, Now: time.Now}
	if _, err := gateway.BenchKeys(t.Context(), o, 2); !errors.Is(err, gateway.ErrConfig) {
		t.Errorf("officers in an installation: %v", err)
	}
	if _, err := gateway.ProbeStart(t.Context(), g.Dir, time.Now); !errors.Is(err, gateway.ErrConfig) {
		t.Errorf("an installation was probed: %v", err)
	}
}

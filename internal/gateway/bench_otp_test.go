//go:build !race

package gateway_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/store/ephemeral/redistest"
	"github.com/mohor-sign/mohor/store/storetest/pgtest"
)

func TestWelch(t *testing.T) {
	// By hand: means 3 and 6, variances 2.5 and 10, five of each: −3 / √2.5.
	if got := gateway.Welch([]float64{1, 2, 3, 4, 5}, []float64{2, 4, 6, 8, 10}); math.Abs(got+3/math.Sqrt(2.5)) > 1e-12 {
		t.Errorf("t is %v", got)
	}
	if got := gateway.Welch([]float64{1, 1}, []float64{1, 1}); got != 0 {
		t.Errorf("where nothing varies t is %v", got)
	}
	r := rand.New(rand.NewPCG(1, 2))
	took := make([][]float64, 6)
	sample := func(slower float64) {
		for k := range took {
			took[k] = nil
			for range 5000 {
				x := 13 + r.NormFloat64()
				if r.IntN(100) == 0 {
					x += 5000 * r.Float64() // somebody else's work
				}
				if k == 5 {
					x += slower
				}
				took[k] = append(took[k], x)
			}
		}
	}
	sample(0)
	if rows, worst := gateway.CompareTimes(took); worst > 4.5 || len(rows) != 6 || rows[5].Place != 6 || math.Abs(rows[0].Median-13) > 0.2 {
		t.Errorf("where there is nothing to see: %v, %+v", worst, rows)
	}
	sample(0.2)
	if rows, worst := gateway.CompareTimes(took); worst < 4.5 || math.Abs(rows[5].Cropped) < 4.5 {
		t.Errorf("a fifth of a microsecond was not seen: %v, %+v", worst, rows)
	}
}

// The program measures what it says on both pairs of stores; what it finds is not
// for a test to say.
func TestBenchOTP(t *testing.T) {
	pgtest.Need(t)
	pg, redis := pgtest.Start(t), redistest.Start(t)
	address, err := pg.Database(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o := gateway.BenchOptions{Slices: 2, Sessions: []int{3}, Now: time.Now, Report: func(string, int, int) {}}
	r, err := gateway.BenchOTP(t.Context(), o, gateway.OTPBench{Codes: 10, Samples: 50, Database: address, Redis: redis.Address})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"bare commit, memory and SQLite", "challenge, memory and SQLite", "redemption, memory and SQLite",
		"bare commit, Redis and PostgreSQL", "challenge, Redis and PostgreSQL", "redemption, Redis and PostgreSQL"}
	if len(r.Rows) != len(want) {
		t.Fatalf("rows %+v", r.Rows)
	}
	for k, row := range r.Rows {
		if row.What != want[k] || row.Sessions != 3 || row.PerSecond.Q1 <= 0 || (k%3 == 0) != (row.Ratio == nil) {
			t.Errorf("row %d: %+v", k, row)
		}
	}
	if n := len(redis.Client.Keys(t.Context(), "*:code:*").Val()); n != 0 {
		t.Errorf("%d codes are left in Redis: they were redeemed", n)
	}
	if r.Timing == nil || r.Timing.Samples != 50 || len(r.Timing.Rows) != 6 || r.Timing.Target != 4.5 {
		t.Errorf("timing %+v", r.Timing)
	}
	for _, bad := range []gateway.OTPBench{{}, {Codes: 1 << 20}, {Codes: 1, Samples: -1}, {Codes: 1, Redis: "redis.example:6379"}} {
		if _, err := gateway.BenchOTP(t.Context(), o, bad); !errors.Is(err, gateway.ErrConfig) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

package gateway

import (
	"context"
	"fmt"
	"math"

	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/apiload"
)

// Steady is interactive signing, at even intervals whatever became of what was asked before, with a
// batch beside it and without, in turn. Latencies count from when a request was due.
type Steady struct {
	Stores    string  `json:"stores"`
	Rate      float64 `json:"requests_per_second"` // a transaction and its signature are two
	Algorithm string  `json:"algorithm"`
	Rounds    int     `json:"rounds"`
	Documents int     `json:"documents"`
	// BatchPerSecond is signatures of the batch a second, while there was interactive signing.
	BatchPerSecond Quartiles `json:"batch_per_second"`
	// With and Without a batch beside it, by request and then of all, over all rounds.
	With    []Latency `json:"with_batch"`
	Without []Latency `json:"without_batch"`
	// Ratio is the 99th percentile of all requests with the batch by that without, Rounds of them
	// apart in Ratios. Target bounds Ratio.
	Ratio  float64   `json:"p99_ratio"`
	Ratios Quartiles `json:"p99_ratios"`
	Target float64   `json:"target"`
	Met    bool      `json:"met"`
}

const (
	// steadyTarget is how much longer the slowest requests may take beside a batch.
	steadyTarget = 4
	// anyRequest names all kinds of requests together.
	anyRequest = "any"
)

// officers is how many are asked in turn at a steady rate: as many transactions are under way at once
// when each takes two seconds.
func (a *APIBench) officers() int {
	if a.Rounds == 0 {
		return 0
	}
	return int(math.Ceil(a.Rate))
}

// taken is the latencies of slices.
type taken []map[string][]float64

// of is all of one request, or of any.
func (t taken) of(request string) (all []float64) {
	for _, m := range t {
		for is, ms := range m {
			if is == request || request == anyRequest {
				all = append(all, ms...)
			}
		}
	}
	return all
}

func (t taken) latencies() (out []Latency) {
	for _, request := range []string{apiload.TransactionRequest, apiload.SignatureRequest, anyRequest} {
		out = append(out, latency(request, t.of(request)))
	}
	return out
}

// steady has a batch prepared, signed beside interactive signing, and then as much of that alone.
func (g *apiBench) steady(ctx context.Context, a *APIBench) (Steady, error) {
	s := Steady{Stores: g.stores, Rate: a.Rate, Algorithm: string(hsm.RSA2048), Rounds: a.Rounds, Documents: a.Documents}
	task := apiload.Task{DevFile: g.dev, Key: s.Algorithm, Documents: 1, AtOnce: a.officers(), Rate: a.Rate}
	var with, without taken
	var rates []float64
	for round := range a.Rounds {
		if err := ctx.Err(); err != nil {
			return s, err
		}
		if _, err := g.load.Do(apiload.Task{Kind: apiload.Prepare, DevFile: g.dev, Key: s.Algorithm, Documents: a.Documents}); err != nil {
			return s, fmt.Errorf("preparing a batch: %w", err)
		}
		task.Kind, task.Batch, task.Seconds = apiload.Steady, true, 0
		beside, err := g.load.Do(task)
		if err != nil {
			return s, fmt.Errorf("signing beside a batch: %w", err)
		}
		task.Batch, task.Seconds = false, beside.BatchSeconds
		apart, err := g.load.Do(task)
		if err != nil {
			return s, fmt.Errorf("signing without a batch: %w", err)
		}
		with, without = append(with, beside.Latency), append(without, apart.Latency)
		rates = append(rates, float64(a.Documents)/beside.BatchSeconds)
		g.Report("interactive signing beside a batch, "+g.stores, round+1, a.Rounds)
	}
	s.BatchPerSecond = quartiles(rates)
	s.judge(with, without)
	return s, nil
}

func (s *Steady) judge(with, without taken) {
	p99 := func(t taken) float64 { return apiload.Percentile(t.of(anyRequest), 0.99) }
	var ratios []float64
	for k := range with {
		ratios = append(ratios, p99(with[k:k+1])/p99(without[k:k+1]))
	}
	s.With, s.Without, s.Ratios = with.latencies(), without.latencies(), quartiles(ratios)
	s.Ratio, s.Target = p99(with)/p99(without), steadyTarget
	s.Met = s.Ratio <= s.Target
}

package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mohor-sign/mohor/hsm"
)

// Soak is what a long run of opening, signing and destroying did to the process's memory.
type Soak struct {
	What         string  `json:"what"`
	Algorithm    string  `json:"algorithm"`
	Ops          int     `json:"ops"`
	RecycleAfter int     `json:"recycle_after"` // 0: the module was never initialised again
	Seconds      float64 `json:"seconds"`
	PerSecond    float64 `json:"per_second"`
	Samples      int     `json:"samples"`

	// VmRSS, in bytes, after Go's own garbage was given back: when a tenth was done, at the end,
	// and the most between.
	Start int64 `json:"rss_start"`
	End   int64 `json:"rss_end"`
	Peak  int64 `json:"rss_peak"`
	// Slope is that of the line of least squares through the samples after the first tenth, in
	// bytes for each operation, UpperSlope the upper end of its 95 % interval.
	Slope      float64 `json:"rss_slope_per_op"`
	UpperSlope float64 `json:"rss_slope_per_op_upper"`
	// Target bounds UpperSlope.
	Target float64 `json:"target"`
	Met    bool    `json:"met"`
}

// What an operation may leave behind, in bytes: what SoftHSM is known to keep of a destroyed key
// and some, or next to nothing when the module is initialised again from time to time.
const (
	leakTarget     = 400
	recycledTarget = 16
	soakSamples    = 200
)

// BenchSoak opens, signs with and destroys a P-256 key ops times, without the key derivation.
func BenchSoak(ctx context.Context, o BenchOptions, ops int) (BenchReport, error) {
	if ops < 1 || o.RecycleAfter < 0 {
		return BenchReport{}, fmt.Errorf("%w: %d operations, initialised again after %d", ErrConfig, ops, o.RecycleAfter)
	}
	return o.within(ctx, func(b *bench, r *BenchReport) error {
		s, err := b.soak(ctx, ops)
		r.Soak = &s
		return err
	})
}

func (b *bench) soak(ctx context.Context, ops int) (Soak, error) {
	s := Soak{What: "open, sign, destroy, key derivation left out", Algorithm: string(hsm.ECDSAP256), Ops: ops, RecycleAfter: b.RecycleAfter, Target: leakTarget}
	if b.RecycleAfter > 0 {
		s.Target = recycledTarget
	}
	u, err := newUse(ctx, b.fast, b.kek, hsm.ECDSAP256)
	if err != nil {
		return s, err
	}
	var at, rss []float64
	start := time.Now()
	step := max(1, ops/soakSamples)
	for done := 0; done < ops; {
		n := min(step, ops-done)
		if err := times(ctx, n, u.sign); err != nil {
			return s, err
		}
		done += n
		debug.FreeOSMemory()
		now, _, err := memory()
		if err != nil {
			return s, err
		}
		b.Report("soak", done, ops)
		if 10*done < ops {
			continue
		}
		at, rss = append(at, float64(done)), append(rss, float64(now))
		s.End, s.Peak = now, max(s.Peak, now)
	}
	s.Seconds = time.Since(start).Seconds()
	s.PerSecond = float64(ops) / s.Seconds
	s.Samples, s.Start = len(rss), int64(rss[0])
	s.Slope, s.UpperSlope = slope(at, rss)
	s.Met = s.UpperSlope <= s.Target
	return s, nil
}

// reopen closes database and module, which is finalized because nobody else in this process has it,
// runs between and opens both again.
func (b *bench) reopen(ctx context.Context, between func() error) error {
	if err := b.Close(); err != nil {
		return err
	}
	if err := between(); err != nil {
		return err
	}
	again, err := openBench(ctx, b.BenchOptions, b.Dir)
	if err == nil {
		*b = *again
	}
	return err
}

// times calls f n times, on all cores.
func times(ctx context.Context, n int, f func(context.Context, int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	workers := runtime.NumCPU()
	for w := range workers {
		group.Go(func() error {
			for range (n + w) / workers {
				if err := errors.Join(ctx.Err(), f(ctx, w)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// slope fits a line by least squares and gives its slope and the upper end of the 95 % interval.
func slope(x, y []float64) (at, upper float64) {
	n := float64(len(x))
	var mx, my, sxx, sxy, rest float64
	for k := range x {
		mx, my = mx+x[k]/n, my+y[k]/n
	}
	for k := range x {
		sxx += (x[k] - mx) * (x[k] - mx)
		sxy += (x[k] - mx) * (y[k] - my)
	}
	if len(x) < 3 || sxx == 0 {
		return 0, 0
	}
	at = sxy / sxx
	for k := range x {
		d := y[k] - my - at*(x[k]-mx)
		rest += d * d
	}
	return at, at + 1.96*math.Sqrt(rest/(n-2)/sxx)
}

// memory gives VmRSS and RssAnon of this process in bytes, as Linux counts them. The first has the
// pages of the database that readers have mapped, once for each, which the kernel may take back at
// any time; the second is what the process alone needs.
func memory() (resident, private int64, err error) {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, 0, fmt.Errorf("reading memory in use: %w", err)
	}
	for line := range bytes.Lines(raw) {
		var kib int64
		if n, _ := fmt.Sscanf(string(line), "VmRSS: %d kB", &kib); n == 1 {
			resident = kib << 10
		}
		if n, _ := fmt.Sscanf(string(line), "RssAnon: %d kB", &kib); n == 1 {
			private = kib << 10
		}
	}
	if resident == 0 || private == 0 {
		return 0, 0, errors.New("reading memory in use: /proc/self/status does not say")
	}
	return resident, private, nil
}

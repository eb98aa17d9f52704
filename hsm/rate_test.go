package hsm_test

import (
	"context"
	"crypto"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/secret"
)

func TestMeasure(t *testing.T) {
	var called [3]atomic.Int64
	s, err := hsm.Measure(t.Context(), 3, time.Nanosecond, func(_ context.Context, worker int) error {
		called[worker].Add(1)
		return nil
	})
	if err != nil || s.Took <= 0 || s.PerSecond() <= 0 {
		t.Errorf("%+v, %v", s, err)
	}
	total := 0
	for worker := range called {
		n := int(called[worker].Load())
		if n == 0 {
			t.Errorf("worker %d did nothing", worker)
		}
		total += n
	}
	if s.Ops != total {
		t.Errorf("%d counted, %d done", s.Ops, total)
	}
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		workers int
		d       time.Duration
		want    error
	}{"no worker": {0, time.Second, hsm.ErrInput}, "no time": {1, 0, hsm.ErrInput}, "an hour": {1, time.Hour, hsm.ErrInput}, "an error": {2, time.Minute, broken}} {
		if _, err := hsm.Measure(t.Context(), c.workers, c.d, func(context.Context, int) error { return broken }); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSignBench(t *testing.T) {
	m := open(t)
	a := newAttacker(t)
	keys, sessions := a.sessionKeys(t), a.sessions(t)
	for _, alg := range []hsm.Algorithm{hsm.ECDSAP256, hsm.RSA2048} {
		b, err := m.NewSignBench(t.Context(), firstKEK, alg, 3)
		if err != nil {
			t.Fatal(err)
		}
		for name, f := range map[string]func(context.Context, int) error{"Raw": b.Raw, "Pooled": b.Pooled, "Unverified": b.Unverified, "Sign": b.Sign, "Verify": b.Verify} {
			if s, err := hsm.Measure(t.Context(), 3, 10*time.Millisecond, f); err != nil || s.Ops < 3 {
				t.Errorf("%s %s: %+v, %v", alg, name, s, err)
			}
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	// What the pool keeps open stays, at most its eight; nothing of the bench does.
	if n := a.sessionKeys(t); n != keys {
		t.Errorf("%d keys left, want %d", n, keys)
	}
	if n := a.sessions(t); n > sessions+8 {
		t.Errorf("%d sessions left, were %d", n, sessions)
	}
	if _, err := m.NewSignBench(t.Context(), firstKEK, hsm.ECDSAP256, 0); !errors.Is(err, hsm.ErrInput) {
		t.Errorf("no sessions: %v", err)
	}
	if _, err := m.NewSignBench(t.Context(), firstKEK, "DSA", 1); !errors.Is(err, hsm.ErrInput) {
		t.Errorf("DSA: %v", err)
	}
}

// The key derivation is left out only where nobody signs, and what is sealed so is of no use
// elsewhere; nor does it open what was sealed in earnest, right PIN or not.
func TestBenchLeavesOfficersKeysAlone(t *testing.T) {
	earnest := config(t)
	earnest.Bench = true
	if _, err := hsm.Open(t.Context(), earnest); !errors.Is(err, hsm.ErrInput) {
		t.Errorf("bench on the token of an installation: %v", err)
	}
	cfg := config(t)
	cfg.TokenLabel = hsm.BenchLabel + fresh(t)
	if _, err := hsm.CreateToken(t.Context(), cfg, secret.New(soPIN)); err != nil {
		t.Fatal(err)
	}
	label := func(c *hsm.Config) { c.TokenLabel = cfg.TokenLabel }
	m := open(t, label)
	bench := open(t, label, func(c *hsm.Config) { c.Bench = true })
	for name, pair := range map[string][2]*hsm.Module{"sealed in earnest": {m, bench}, "sealed by a bench": {bench, m}} {
		s, pub := generate(t, pair[0], hsm.ECDSAP256)
		k := unseal(t, pair[0], hsm.ECDSAP256, s, pub)
		if _, err := k.Sign(t.Context(), make([]byte, 32), crypto.SHA256); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := k.Close(); err != nil {
			t.Error(err)
		}
		if _, err := pair[1].Unseal(t.Context(), binding(hsm.ECDSAP256), s, pub, pin(officerPIN), soon()); !errors.Is(err, hsm.ErrWrongPIN) {
			t.Errorf("%s, opened by the other: %v", name, err)
		}
		if _, err := pair[0].Unseal(t.Context(), binding(hsm.ECDSAP256), s, pub, pin("not-"+officerPIN), soon()); !errors.Is(err, hsm.ErrWrongPIN) {
			t.Errorf("%s, wrong PIN: %v", name, err)
		}
	}
}

package hsm

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mohor-sign/mohor/internal/secret"
)

// maxSlice bounds one measurement.
const maxSlice = time.Minute

// Slice is what was done in one stretch of time.
type Slice struct {
	Ops  int
	Took time.Duration // by the clock
	CPU  time.Duration // of this process, in user and kernel mode (getrusage)
}

// PerSecond is the rate of a slice.
func (s Slice) PerSecond() float64 { return float64(s.Ops) / s.Took.Seconds() }

// CPUPerOp is the processor time of one operation.
func (s Slice) CPUPerOp() time.Duration { return s.CPU / time.Duration(max(1, s.Ops)) }

// Measure calls f over and over in as many goroutines as there are workers, at least once in each,
// until d (at most a minute) is over, and counts. The first error ends it. f learns which worker
// it is, from 0.
func Measure(ctx context.Context, workers int, d time.Duration, f func(ctx context.Context, worker int) error) (Slice, error) {
	if workers < 1 || workers > maxSessions || d <= 0 || d > maxSlice {
		return Slice{}, fmt.Errorf("%w: %d workers for %v", ErrInput, workers, d)
	}
	counts := make([]int, workers)
	group, ctx := errgroup.WithContext(ctx)
	cpu, start := ProcessorTime(), time.Now()
	for i := range workers {
		group.Go(func() error {
			n := 0 // not in counts: neighbours would share a cache line
			defer func() { counts[i] = n }()
			for time.Since(start) < d || n == 0 {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := f(ctx, i); err != nil {
					return err
				}
				n++
			}
			return nil
		})
	}
	err := group.Wait()
	s := Slice{Took: time.Since(start), CPU: ProcessorTime() - cpu}
	for _, n := range counts {
		s.Ops += n
	}
	return s, err
}

// ProcessorTime is what this process has used since it began; 0 where it cannot be known.
func ProcessorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// SignBench signs the same digest with a key of nobody, each time as far as the method says, so
// that what the pool, the key and the verification add to C_Sign can be told apart. It competes
// with everything else that uses the module. Close it before the Module.
type SignBench struct {
	link      *link
	key       *localKey
	whole     *Key
	job       signing
	own       []*session // of Raw, none of which is in the pool
	digest    []byte
	signature []byte
}

// NewSignBench makes a key of alg under kek, as [Module.Canary] does, and opens that many sessions (1 to
// 1,024) for Raw. Making an RSA-4096 key takes seconds.
func (m *Module) NewSignBench(ctx context.Context, kek string, alg Algorithm, sessions int) (b *SignBench, err error) {
	if err := alg.check(); err != nil {
		return nil, err
	}
	if sessions < 1 || sessions > maxSessions {
		return nil, fmt.Errorf("%w: %d sessions", ErrInput, sessions)
	}
	w, pub, err := m.generate(ctx, kek, alg)
	if err != nil {
		return nil, err
	}
	key, err := m.unwrap(ctx, w, pub, Use{Until: time.Now().Add(MaxUse)})
	if err != nil {
		return nil, err
	}
	local := key.opened.(*localKey)
	b = &SignBench{link: local.link, key: local, whole: key, digest: make([]byte, crypto.SHA256.Size())}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	for range sessions {
		s, err := b.link.pool.open()
		if err != nil {
			return nil, err
		}
		b.own = append(b.own, s)
	}
	if b.job, err = newSigning(pub, b.digest, crypto.SHA256); err != nil {
		return nil, err
	}
	b.signature, err = key.Sign(ctx, b.digest, crypto.SHA256)
	return b, err
}

// Close destroys the key and closes the sessions of Raw.
func (b *SignBench) Close() error {
	for _, s := range b.own {
		b.link.pool.closeSession(s)
	}
	b.own = nil
	return b.whole.Close()
}

// Raw is C_SignInit and C_Sign in a session that no other worker has: what all else is compared
// with.
func (b *SignBench) Raw(_ context.Context, worker int) error {
	_, err := b.own[worker].raw(b.key.handle, b.job)
	return err
}

// Pooled is Raw in a session that is taken from the pool and given back.
func (b *SignBench) Pooled(ctx context.Context, _ int) error {
	return b.link.pool.do(ctx, func(s *session) error {
		_, err := s.raw(b.key.handle, b.job)
		return err
	})
}

// Unverified is [Key.Sign] but for the verification.
func (b *SignBench) Unverified(ctx context.Context, _ int) error {
	job, err := newSigning(b.key.public, b.digest, crypto.SHA256)
	if err != nil {
		return err
	}
	job.verify = func([]byte) error { return nil }
	_, _, err = b.key.sign(ctx, job)
	return err
}

// Sign is [Key.Sign] with a key that stays open, as a batch uses it.
func (b *SignBench) Sign(ctx context.Context, _ int) error {
	_, err := b.whole.Sign(ctx, b.digest, crypto.SHA256)
	return err
}

// Verify is the verification alone. It does not ask the module.
func (b *SignBench) Verify(context.Context, int) error { return b.job.verify(b.signature) }

// RawSignRate is [SignBench.Raw] for d, at most a minute, in that many sessions at once. It holds a
// place in the pool, so that Close of the Module waits for it.
func (m *Module) RawSignRate(ctx context.Context, kek string, alg Algorithm, sessions int, d time.Duration) (perSecond float64, err error) {
	b, err := m.NewSignBench(ctx, kek, alg, sessions)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	var s Slice
	err = b.link.pool.doAs(ctx, work{limit: -1}, func(*session) error {
		s, err = Measure(ctx, sessions, d, b.Raw)
		return err
	})
	if err != nil {
		return 0, err
	}
	return s.PerSecond(), nil
}

// unstretched takes the place of Argon2id under [Config.Bench].
func unstretched(pin secret.Text, salt []byte) []byte {
	mac := hmac.New(sha256.New, salt)
	mac.Write([]byte("mohor bench, not for keys of anybody\x00"))
	mac.Write(pin.Reveal())
	return mac.Sum(nil)
}

package hsm

import (
	"context"
	"crypto"
	"fmt"
	"time"

	"github.com/miekg/pkcs11"
	"golang.org/x/sync/errgroup"
)

// RawSignRate measures how many C_Sign a second the module makes with a key of alg in that many
// sessions at once, for d, without the verification that Sign adds: the figure targets are set
// against. It competes with everything else that uses the module.
func (m *Module) RawSignRate(ctx context.Context, alg Algorithm, sessions int, d time.Duration) (perSecond float64, err error) {
	if err := alg.check(); err != nil {
		return 0, err
	}
	if sessions < 1 || sessions > maxSessions || d <= 0 || d > time.Minute {
		return 0, fmt.Errorf("%w: %d sessions for %v", ErrInput, sessions, d)
	}
	l, err := m.use()
	if err != nil {
		return 0, err
	}
	// The place in the pool is held to the end, so that Close waits.
	err = l.pool.doAs(ctx, work{limit: -1}, func(s *session) error {
		mechanism, public, private := officerPair(alg)
		pub, key, err := s.p11.GenerateKeyPair(s.handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}, public, private)
		if err != nil {
			return fmt.Errorf("generating pair: %w", err)
		}
		defer s.destroy(pub)
		defer s.destroy(key)
		public0, err := s.publicKey(alg, pub)
		if err != nil {
			return err
		}
		job, err := newSigning(public0, make([]byte, crypto.SHA256.Size()), crypto.SHA256)
		if err != nil {
			return err
		}
		perSecond, err = l.pool.rate(ctx, key, job, sessions, d)
		return err
	})
	return perSecond, err
}

// rate signs in sessions of its own until d is over.
func (p *pool) rate(ctx context.Context, key pkcs11.ObjectHandle, job signing, sessions int, d time.Duration) (float64, error) {
	own := make([]*session, 0, sessions)
	defer func() {
		for _, s := range own {
			p.closeSession(s)
		}
	}()
	for range sessions {
		s, err := p.open()
		if err != nil {
			return 0, err
		}
		own = append(own, s)
	}
	counts := make([]int, sessions)
	start := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for i, s := range own {
		group.Go(func() error {
			for time.Since(start) < d {
				if err := ctx.Err(); err != nil {
					return err
				}
				if _, err := s.raw(key, job); err != nil {
					return err
				}
				counts[i]++
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	total := 0
	for _, n := range counts {
		total += n
	}
	return float64(total) / time.Since(start).Seconds(), nil
}

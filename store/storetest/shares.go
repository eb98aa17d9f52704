package storetest

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/signer"
)

// Shares keeps shares in memory; it implements signer.Shares.
type Shares struct {
	// Fail, when set, is asked before each call is done (done false) and after
	// it; its error is the answer.
	Fail func(call string, done bool) error

	now func() time.Time
	mu  sync.Mutex
	m   map[string]kept
}

type kept struct {
	share secret.Text
	until time.Time
}

// NewShares makes an empty Shares on a clock.
func NewShares(now func() time.Time) *Shares {
	return &Shares{now: now, m: make(map[string]kept)}
}

func (s *Shares) do(call string, f func() error) error {
	if s.Fail != nil {
		if err := s.Fail(call, false); err != nil {
			return err
		}
	}
	s.mu.Lock()
	err := f()
	s.mu.Unlock()
	if err == nil && s.Fail != nil {
		err = s.Fail(call, true)
	}
	return err
}

// Put implements signer.Shares.
func (s *Shares) Put(_ context.Context, intent string, share secret.Text, ttl time.Duration) error {
	return s.do("Put", func() error {
		if ttl <= 0 {
			return signer.ErrDeadline
		}
		s.m[intent] = kept{share.Copy(), s.now().Add(ttl)}
		return nil
	})
}

// Load implements signer.Shares.
func (s *Shares) Load(_ context.Context, intent string) (share secret.Text, err error) {
	err = s.do("Load", func() error {
		k, ok := s.m[intent]
		if !ok || !s.now().Before(k.until) {
			return signer.ErrNoShare
		}
		share = k.share.Copy()
		return nil
	})
	if err != nil {
		share = secret.Text{}
	}
	return share, err
}

// Drop implements signer.Shares.
func (s *Shares) Drop(_ context.Context, intent string) error {
	return s.do("Drop", func() error {
		delete(s.m, intent)
		return nil
	})
}

// Len is how many shares are kept.
func (s *Shares) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.m)
}

// RunShares is what every place for shares passes; s must be empty.
func RunShares(t *testing.T, s signer.Shares) {
	ctx := context.Background()
	share := func(fill byte) secret.Text { return secret.NewBytes(bytes.Repeat([]byte{fill}, 32)) }
	holds := func(intent string, fill byte) {
		t.Helper()
		got, err := s.Load(ctx, intent)
		if err != nil || !bytes.Equal(got.Reveal(), share(fill).Reveal()) {
			t.Errorf("%s: %d bytes, %v", intent, got.Len(), err)
		}
		got.Wipe() // a copy: the next reader finds it
	}
	gone := func(intent string) {
		t.Helper()
		if got, err := s.Load(ctx, intent); !errors.Is(err, signer.ErrNoShare) || got.Len() != 0 {
			t.Errorf("%s: %d bytes, %v, want %v", intent, got.Len(), err, signer.ErrNoShare)
		}
	}
	gone("in_1")
	must(t, s.Drop(ctx, "in_1"))
	given := share(1)
	must(t, s.Put(ctx, "in_1", given, time.Hour))
	given.Wipe()
	must(t, s.Put(ctx, "in_2", share(2), time.Hour))
	holds("in_1", 1)
	holds("in_1", 1)
	must(t, s.Put(ctx, "in_1", share(3), time.Hour))
	holds("in_1", 3)
	must(t, s.Drop(ctx, "in_1"))
	gone("in_1")
	holds("in_2", 2)
	for _, ttl := range []time.Duration{0, -time.Second} {
		if err := s.Put(ctx, "in_3", share(1), ttl); err == nil {
			t.Errorf("a share is kept for %v", ttl)
		}
		gone("in_3")
	}
}

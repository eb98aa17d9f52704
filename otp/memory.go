package otp

import (
	"context"
	"sync"
	"time"
)

// MemoryCodes is the embedded [Codes]: one process, lost on restart. Use
// [NewMemoryCodes].
type MemoryCodes struct {
	now func() time.Time
	mu  sync.Mutex
	m   map[string]memoryCode
	// swept is when expired codes were last removed, so that memory follows
	// the number of live codes.
	swept time.Time
}

type memoryCode struct {
	mac     []byte
	tries   int
	expires time.Time
}

// NewMemoryCodes makes an empty store that reads the time from now.
func NewMemoryCodes(now func() time.Time) *MemoryCodes {
	return &MemoryCodes{now: now, m: map[string]memoryCode{}}
}

// Put implements Codes.
func (s *MemoryCodes) Put(_ context.Context, key string, mac []byte, ttl time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if now.Sub(s.swept) > time.Minute {
		for k, c := range s.m {
			if !now.Before(c.expires) {
				delete(s.m, k)
			}
		}
		s.swept = now
	}
	s.m[key] = memoryCode{mac: append([]byte(nil), mac...), expires: now.Add(ttl)}
	return nil
}

// Find implements Codes.
func (s *MemoryCodes) Find(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.m[key]; !ok || !s.now().Before(c.expires) {
		return ErrExpired
	}
	return nil
}

// Try implements Codes.
func (s *MemoryCodes) Try(_ context.Context, key string, limit int) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.m[key]
	switch {
	case !ok || !s.now().Before(c.expires):
		return nil, ErrExpired
	case c.tries >= limit:
		return nil, ErrAttempts
	}
	c.tries++
	s.m[key] = c
	return c.mac, nil
}

// Drop implements Codes.
func (s *MemoryCodes) Drop(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, key)
	return nil
}

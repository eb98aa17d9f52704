package ephemeral

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/signer"
)

// Shares implements signer.Shares: PREFIX:share:INTENT, which Redis itself
// ends at the intent's deadline.
type Shares struct{ *Redis }

func (s Shares) name(intent string) string { return s.prefix + "share:" + intent }

// Put implements signer.Shares.
func (s Shares) Put(ctx context.Context, intent string, share secret.Text, ttl time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if ttl < time.Millisecond { // to the driver, 0 is for ever
		return fmt.Errorf("keeping share in Redis: %w", signer.ErrDeadline)
	}
	if err := s.client.Set(ctx, s.name(intent), share.Reveal(), ttl).Err(); err != nil {
		return fmt.Errorf("keeping share in Redis: %w", discreet(err))
	}
	return nil
}

// Load implements signer.Shares.
func (s Shares) Load(ctx context.Context, intent string) (secret.Text, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	b, err := s.client.Get(ctx, s.name(intent)).Bytes()
	if errors.Is(err, redis.Nil) {
		return secret.Text{}, signer.ErrNoShare
	}
	if err != nil {
		return secret.Text{}, fmt.Errorf("%w: reading share from Redis: %w", signer.ErrNoShare, discreet(err))
	}
	return secret.NewBytes(b), nil
}

// Drop implements signer.Shares.
func (s Shares) Drop(ctx context.Context, intent string) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if err := s.client.Del(ctx, s.name(intent)).Err(); err != nil {
		return fmt.Errorf("dropping share in Redis: %w", discreet(err))
	}
	return nil
}

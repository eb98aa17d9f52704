package ephemeral

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mohor-sign/mohor/otp"
)

// Codes implements otp.Codes: PREFIX:code:KEY is a hash of the MAC and the
// comparisons counted, which Redis itself ends with the code. A replica that is
// behind, or a server that lost its memory, may forget a code or a count: the
// database is the arbiter of both.
type Codes struct {
	*Redis
	// Alone keeps what Redis did not take, and is asked first. It is this
	// process's own: at another gateway such a code is [otp.ErrExpired], or
	// [otp.ErrCodesUnavailable] while Redis is away.
	Alone otp.Codes
}

var (
	putCode = redis.NewScript(`redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'mac', ARGV[1], 'tries', 0)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1`)

	// The count goes up with the look, in one step: two that look at once are
	// two comparisons.
	tryCode = redis.NewScript(`local mac = redis.call('HGET', KEYS[1], 'mac')
if not mac then return '' end
if redis.call('HINCRBY', KEYS[1], 'tries', 1) > tonumber(ARGV[1]) then return 'spent' end
return mac`)
)

func (c Codes) run(ctx context.Context, s *redis.Script, key string, args ...any) *redis.Cmd {
	return s.Run(ctx, c.client, []string{c.prefix + "code:" + key}, args...)
}

// Put implements otp.Codes. It waits two seconds for Redis, and not at all when
// Redis gave no answer in the last second.
func (c Codes) Put(ctx context.Context, key string, mac []byte, ttl time.Duration) error {
	if !c.resting() {
		asking, cancel := context.WithTimeout(ctx, wait)
		err := c.run(asking, putCode, key, mac, max(1, ttl.Milliseconds())).Err()
		cancel()
		if err == nil {
			return nil
		}
		c.leave()
	}
	return c.Alone.Put(ctx, key, mac, ttl)
}

// Try implements otp.Codes.
func (c Codes) Try(ctx context.Context, key string, limit int) ([]byte, error) {
	if mac, err := c.Alone.Try(ctx, key, limit); !errors.Is(err, otp.ErrExpired) {
		return mac, err
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	got, err := c.run(ctx, tryCode, key, limit).Text()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, otp.ErrExpired
	case err != nil:
		return nil, fmt.Errorf("%w: reading code from Redis: %w", otp.ErrCodesUnavailable, discreet(err))
	case got == "":
		return nil, otp.ErrExpired
	case got == "spent":
		return nil, otp.ErrAttempts
	}
	return []byte(got), nil
}

// Drop implements otp.Codes.
func (c Codes) Drop(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	err := c.Alone.Drop(ctx, key)
	if rerr := c.client.Del(ctx, c.prefix+"code:"+key).Err(); rerr != nil {
		return errors.Join(err, fmt.Errorf("%w: dropping code in Redis: %w", otp.ErrCodesUnavailable, discreet(rerr)))
	}
	return err
}

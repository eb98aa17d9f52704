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

	// Counting nothing is a write, too: where tryCode could not count, as on a
	// replica or in a full memory, this fails as well, before a try is reserved.
	findCode = redis.NewScript(`if not redis.call('HGET', KEYS[1], 'mac') then return 0 end
redis.call('HINCRBY', KEYS[1], 'tries', 0)
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

// patience is how long Redis is waited for by those who can do without: an eighth
// when it gave no answer in the last second. Perhaps only a rate was not counted in
// time, and other gateways know nothing of what Redis does not take.
func (c Codes) patience() time.Duration {
	if c.resting() {
		return wait / 8
	}
	return wait
}

// Put implements otp.Codes.
func (c Codes) Put(ctx context.Context, key string, mac []byte, ttl time.Duration) error {
	asking, cancel := context.WithTimeout(ctx, c.patience())
	defer cancel()
	if err := c.run(asking, putCode, key, mac, max(1, ttl.Milliseconds())).Err(); err != nil {
		if ctx.Err() == nil { // not only whoever asked went away
			c.leave()
		}
		return c.Alone.Put(ctx, key, mac, ttl)
	}
	return c.Alone.Drop(ctx, key)
}

// Find implements otp.Codes.
func (c Codes) Find(ctx context.Context, key string) error {
	if err := c.Alone.Find(ctx, key); !errors.Is(err, otp.ErrExpired) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	switch found, err := c.run(ctx, findCode, key).Int(); {
	case err != nil:
		return fmt.Errorf("%w: looking for code in Redis: %w", otp.ErrCodesUnavailable, discreet(err))
	case found == 0:
		return otp.ErrExpired
	}
	return nil
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
	ctx, cancel := context.WithTimeout(ctx, c.patience())
	defer cancel()
	err := c.Alone.Drop(ctx, key)
	if rerr := c.client.Del(ctx, c.prefix+"code:"+key).Err(); rerr != nil {
		return errors.Join(err, fmt.Errorf("%w: dropping code in Redis: %w", otp.ErrCodesUnavailable, discreet(rerr)))
	}
	return err
}

package ephemeral

import (
	"context"
	"time"

	"github.com/go-redis/redis_rate/v10"
)

// limitWait is how long a limiter waits for an answer.
const limitWait = wait / 8

// Limits counts requests for all nodes together. Use [NewLimits].
type Limits struct {
	*Redis
	limiter *redis_rate.Limiter
}

// NewLimits makes a limiter over r.
func NewLimits(r *Redis) *Limits {
	return &Limits{Redis: r, limiter: redis_rate.NewLimiter(r.client)}
}

// Take takes one request of key at so many a second, with bursts of two
// seconds; wait is the time after which one is free. An error means that Redis
// did not answer, or did not in the last second: who asks must count alone.
func (l *Limits) Take(ctx context.Context, key string, perSecond float64) (wait time.Duration, ok bool, err error) {
	if l.resting() {
		return 0, false, errResting
	}
	asking, cancel := context.WithTimeout(ctx, limitWait)
	defer cancel()
	// Rates below one a second are so many in a longer period.
	limit := redis_rate.Limit{Rate: int(perSecond), Period: time.Second, Burst: max(1, int(2*perSecond))}
	if perSecond < 1 {
		limit = redis_rate.Limit{Rate: 1, Period: time.Duration(float64(time.Second) / perSecond), Burst: 1}
	}
	r, err := l.limiter.Allow(asking, l.prefix+"rate:"+key, limit)
	if err != nil {
		if ctx.Err() == nil { // not only whoever asked went away
			l.leave()
		}
		return 0, false, discreet(err)
	}
	return max(r.RetryAfter, 0), r.Allowed > 0, nil
}

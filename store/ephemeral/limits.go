package ephemeral

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/go-redis/redis_rate/v10"
)

// Of a limiter of rates: how long an answer is waited for, and how long Redis is
// left alone after it gave none.
const (
	limitWait = 250 * time.Millisecond
	limitRest = time.Second
)

// Limits counts requests for all nodes together. Use [NewLimits].
type Limits struct {
	limiter *redis_rate.Limiter
	prefix  string
	rest    atomic.Int64 // nothing is asked before this time
}

// NewLimits makes a limiter over r.
func NewLimits(r *Redis) *Limits {
	return &Limits{limiter: redis_rate.NewLimiter(r.client), prefix: r.prefix + "rate:"}
}

// Take takes one request of key at so many a second, with bursts of two
// seconds; wait is the time after which one is free. An error means that Redis
// did not answer, or did not in the last second: who asks must count alone.
func (l *Limits) Take(ctx context.Context, key string, perSecond float64) (wait time.Duration, ok bool, err error) {
	if time.Now().UnixNano() < l.rest.Load() {
		return 0, false, errResting
	}
	ctx, cancel := context.WithTimeout(ctx, limitWait)
	defer cancel()
	// Rates below one a second are so many in a longer period.
	limit := redis_rate.Limit{Rate: int(perSecond), Period: time.Second, Burst: max(1, int(2*perSecond))}
	if perSecond < 1 {
		limit = redis_rate.Limit{Rate: 1, Period: time.Duration(float64(time.Second) / perSecond), Burst: 1}
	}
	r, err := l.limiter.Allow(ctx, l.prefix+key, limit)
	if err != nil {
		l.rest.Store(time.Now().Add(limitRest).UnixNano())
		return 0, false, discreet(err)
	}
	return max(r.RetryAfter, 0), r.Allowed > 0, nil
}

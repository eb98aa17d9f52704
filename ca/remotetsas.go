package ca

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"sync"
	"time"

	"github.com/mohor-sign/mohor/pdf/cms"
)

// ErrOpen: a server failed several times in a row and is not asked for a while.
var ErrOpen = errors.New("not asked after failures in a row")

// RemoteTSAs are time-stamp units of others in the order of preference, of which one
// answer is enough. One that fails three times in a row is left out: for 15 s at
// first, and twice as long, up to 5 minutes, each time that the one request which
// then tries it fails, give or take a quarter, so that gateways do not come back at
// once. Of each no more than its Parallel are asked at a time; the others wait in
// line. Make it with NewRemoteTSAs; it may be used by several
// goroutines.
type RemoteTSAs struct {
	// Own stamps when none of the others does; nil: nobody. Set before use.
	Own interface {
		Timestamp(ctx context.Context, h crypto.Hash, digest []byte) ([]byte, error)
		TokenSize() int
	}
	// Report, unless nil, is told when a server is left out, with the reason, and with
	// nil when it serves again. Set before use.
	Report func(server string, err error)

	now     func() time.Time
	servers []*breaker
}

// Bounds of a breaker.
const (
	breakAfter = 3
	leastBreak = 15 * time.Second
	mostBreak  = 5 * time.Minute
)

// defaultParallel is modest: whoever runs a unit for many gives each caller little.
const defaultParallel = 4

// NewRemoteTSAs makes a client of several units. now should have a monotonic
// reading.
func NewRemoteTSAs(now func() time.Time, units ...*RemoteTSA) *RemoteTSAs {
	r := &RemoteTSAs{now: now}
	for _, u := range units {
		r.servers = append(r.servers, &breaker{tsa: u, slots: make(chan struct{}, cmp.Or(u.Parallel, defaultParallel))})
	}
	return r
}

// Server is a unit as those who asked it last have seen it.
type Server struct {
	Host string
	Out  bool      // left out now
	Good time.Time // of its last token; zero for none
}

// Seen lists the units in their order.
func (r *RemoteTSAs) Seen() []Server {
	list := make([]Server, len(r.servers))
	for k, b := range r.servers {
		b.mu.Lock()
		list[k] = Server{b.name(), b.wait > 0, b.good}
		b.mu.Unlock()
	}
	return list
}

// TokenSize is the largest of all.
func (r *RemoteTSAs) TokenSize() int {
	most := 0
	for _, b := range r.servers {
		most = max(most, b.tsa.TokenSize())
	}
	if r.Own != nil {
		most = max(most, r.Own.TokenSize())
	}
	return most
}

// Timestamp gives the token of the first unit that makes one which verifies, as
// RemoteTSA.Timestamp does. Its error has the reasons of all.
func (r *RemoteTSAs) Timestamp(ctx context.Context, h crypto.Hash, digest []byte) ([]byte, error) {
	if _, err := cms.TimestampRequest(h, digest, nil, nil, true); err != nil { // no server's fault
		return nil, fmt.Errorf("encoding time-stamp request: %w", err)
	}
	var errs []error
	for _, b := range r.servers {
		token, err := r.ask(ctx, b, h, digest)
		if err != nil && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil {
			return token, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", b.name(), err))
	}
	if r.Own != nil {
		token, err := r.Own.Timestamp(ctx, h, digest)
		if err == nil {
			return token, nil
		}
		errs = append(errs, fmt.Errorf("own unit: %w", err))
	}
	return nil, errors.Join(errs...)
}

// ask has one server stamp, when it is its turn.
func (r *RemoteTSAs) ask(ctx context.Context, b *breaker, h crypto.Hash, digest []byte) ([]byte, error) {
	select {
	case b.slots <- struct{}{}:
		defer func() { <-b.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ok, trial := b.admit(r.now())
	if !ok {
		return nil, ErrOpen
	}
	token, err := b.tsa.Timestamp(ctx, h, digest)
	if err != nil && ctx.Err() != nil { // the caller's haste says nothing about it
		b.leave(trial)
		return nil, err
	}
	if changed := b.settle(r.now(), trial, err); changed && r.Report != nil {
		r.Report(b.name(), err)
	}
	return token, err
}

// breaker keeps requests from a server that fails (closed, open, half-open), and
// from one that has as many as it may.
type breaker struct {
	tsa   *RemoteTSA
	slots chan struct{} // one for each request under way

	mu       sync.Mutex
	failures int       // in a row
	until    time.Time // when open: nobody before
	wait     time.Duration
	trying   bool // one request tries whether it serves again
	good     time.Time
}

// name is the server without what its address may hold besides.
func (b *breaker) name() string {
	u, err := url.Parse(b.tsa.URL)
	if err != nil {
		return "unreadable address"
	}
	return u.Host
}

// admit says whether a request may go to the server, and whether it is the one that
// tries an open breaker; settle or leave follows.
func (b *breaker) admit(now time.Time) (ok, trial bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.wait == 0 {
		return true, false
	}
	if b.trying || now.Before(b.until) {
		return false, false
	}
	b.trying = true
	return true, true
}

// leave ends a request of which nothing was learned.
func (b *breaker) leave(trial bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trying = b.trying && !trial
}

// settle notes how a request ended and says whether the server is left out, or
// serves again, from now on. A request that began before a server was left out
// changes nothing by failing.
func (b *breaker) settle(now time.Time, trial bool, err error) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		changed = b.wait > 0
		b.failures, b.wait, b.good = 0, 0, now
		b.trying = b.trying && !trial
		return changed
	}
	switch {
	case trial:
		b.trying, b.wait = false, min(2*max(b.wait, leastBreak), mostBreak)
	case b.wait > 0:
		return false
	default:
		if b.failures++; b.failures < breakAfter {
			return false
		}
		b.wait, changed = leastBreak, true
	}
	b.until = now.Add(b.wait*3/4 + rand.N(b.wait/2))
	return changed
}

package hsm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/pkcs11"
)

// session is one PKCS#11 session. Whoever took it from the pool is its only user.
type session struct {
	p11    *pkcs11.Ctx
	handle pkcs11.SessionHandle
	active bool // an operation was started and did not end well: not for the next holder
	keys   int  // live session objects this session made, which would die with it; under pool.mu
}

// place is room for one session. Its holder is the only user of s; the watchdog looks at the rest.
type place struct {
	s     *session     // nil: opened by the next holder, so the pool never shrinks
	since atomic.Int64 // when the work under way began, as time since pool.began; 0: none
	limit atomic.Int64 // nanoseconds it may take; 0: any
}

// start notes when work began and how long it may take.
func (pl *place) start(w work, limit time.Duration, began time.Time) {
	switch {
	case w.limit > 0:
		limit = w.limit
	case w.limit < 0:
		limit = 0
	}
	pl.limit.Store(int64(limit))
	pl.since.Store(int64(time.Since(began)))
}

func longest(places []*place, began time.Time) (past time.Duration, ok bool) {
	now := int64(time.Since(began))
	for _, pl := range places {
		since, limit := pl.since.Load(), pl.limit.Load()
		if since == 0 || limit == 0 {
			continue
		}
		if d := time.Duration(now - since - limit); d > past && pl.since.Load() == since { // not another's limit
			past, ok = d, true
		}
	}
	return past, ok
}

// work says what a session is wanted for.
type work struct {
	bulk  bool          // leave the reserved sessions alone
	limit time.Duration // how long it may take; 0: Config.CallTimeout, negative: any
}

// otherFaults in a row, with no success between, count as the loss of the module.
const otherFaults = 4

// pool hands sessions out one holder at a time.
type pool struct {
	p11    *pkcs11.Ctx
	slot   uint
	wait   time.Duration
	limit  time.Duration
	all    []*place
	free   chan *place
	bulk   chan struct{} // as many places as bulk work may hold
	began  time.Time
	lost   func(error) // hears that the module is gone; does not block
	others atomic.Int32

	refused atomic.Int64 // who found no session in time

	mu      sync.Mutex
	doomed  []pkcs11.ObjectHandle // to be destroyed by the next holder of any session
	dooms   atomic.Int32          // len(doomed), to be read without mu
	retired map[*session]struct{} // out of the pool, open for the sake of their keys
	shut    bool                  // all sessions are closed; the module may be gone

	closed chan struct{} // closed when close begins
	once   sync.Once
}

func newPool(p11 *pkcs11.Ctx, slot uint, cfg Config, lost func(error)) *pool {
	p := &pool{
		p11: p11, slot: slot, wait: cfg.AcquireTimeout, limit: cfg.CallTimeout, lost: lost,
		free:    make(chan *place, cfg.Sessions),
		bulk:    make(chan struct{}, cfg.Sessions-cfg.Interactive),
		began:   time.Now().Add(-time.Second), // so that no time since is 0
		retired: make(map[*session]struct{}),
		closed:  make(chan struct{}),
	}
	for range cfg.Sessions {
		pl := &place{}
		p.all = append(p.all, pl)
		p.free <- pl
	}
	return p
}

func (p *pool) open() (*session, error) {
	h, err := p.p11.OpenSession(p.slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return nil, fmt.Errorf("opening session: %w", err)
	}
	return &session{p11: p.p11, handle: h}, nil
}

// take waits for a free place, at most p.wait in all.
func (p *pool) take(ctx context.Context, bulk bool) (*place, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case <-p.closed:
		return nil, errRetired
	default:
	}
	var timer *time.Timer
	if bulk {
		select {
		case p.bulk <- struct{}{}:
		default:
			timer = time.NewTimer(p.wait)
			defer timer.Stop()
			select {
			case p.bulk <- struct{}{}:
			case <-p.closed:
				return nil, errRetired
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-timer.C:
				p.refused.Add(1)
				return nil, fmt.Errorf("%w: no session in %v", ErrBusy, p.wait)
			}
		}
	}
	select {
	case pl := <-p.free:
		return pl, nil
	default:
	}
	if timer == nil {
		timer = time.NewTimer(p.wait)
		defer timer.Stop()
	}
	var err error
	select {
	case pl := <-p.free:
		return pl, nil
	case <-p.closed:
		err = errRetired
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
		p.refused.Add(1)
		err = fmt.Errorf("%w: no session in %v", ErrBusy, p.wait)
	}
	if bulk {
		<-p.bulk
	}
	return nil, err
}

// give puts a place back; whoever waits for the pool to come to rest waits for this.
func (p *pool) give(pl *place, bulk bool) {
	pl.since.Store(0)
	p.free <- pl
	if bulk {
		<-p.bulk
	}
}

// fill opens what is not open of the sessions that are free, and counts those that there are. A module
// that has fewer to give than was configured says so here.
func (p *pool) fill() (open int) {
	var mine []*place
	defer func() {
		for _, pl := range mine {
			p.free <- pl
		}
	}()
	for range p.all {
		select {
		case pl := <-p.free:
			mine = append(mine, pl)
		default: // in use: it is open, or about to be
			open++
			continue
		}
		pl := mine[len(mine)-1]
		if pl.s == nil {
			pl.start(work{}, p.limit, p.began)
			s, err := p.open()
			pl.since.Store(0)
			if err != nil {
				continue
			}
			pl.s = s
		}
		open++
	}
	return open
}

// do runs f with a session of its own, for interactive work.
func (p *pool) do(ctx context.Context, f func(*session) error) error {
	return p.doAs(ctx, work{}, f)
}

// doAs runs f with a session of its own. If f finds the session dead or dirty, it runs once more
// with a new one: those answers mean that nothing was done. What says that the module is gone, and
// what goes on saying nothing of use, gives up the link.
func (p *pool) doAs(ctx context.Context, w work, f func(*session) error) (err error) {
	pl, err := p.take(ctx, w.bulk)
	if err != nil {
		return err
	}
	pl.start(w, p.limit, p.began)
	keep := false
	defer func() { // also when f panics
		if !keep {
			p.discard(pl.s)
			pl.s = nil
		}
		p.give(pl, w.bulk)
	}()
	for again := true; ; again = false {
		if pl.s == nil {
			if pl.s, err = p.open(); err != nil {
				return p.judge(err)
			}
		}
		err = f(pl.s)
		switch classify(err) {
		case faultNone:
			if p.dooms.Load() > 0 {
				p.sweep(pl.s)
			}
			if p.others.Load() != 0 {
				p.others.Store(0)
			}
			keep = !pl.s.active
			return nil
		case faultInput, faultObject:
			keep = !pl.s.active
			return err
		case faultSession:
			if again {
				p.discard(pl.s)
				pl.s = nil
				continue
			}
		}
		return p.judge(err)
	}
}

// judge marks an error, and gives up the link when it says, or repeats, that the module is gone.
func (p *pool) judge(err error) error {
	gone := false
	switch classify(err) {
	case faultModule, faultSession:
		gone = true
	case faultOther:
		gone = p.others.Add(1) >= otherFaults
	case faultNotModule:
		switch {
		case errors.Is(err, ErrUnavailable):
			gone = true
		case errors.Is(err, ErrBadSignature):
			gone = p.others.Add(1) >= otherFaults
		}
	}
	err = unavailable(err)
	if gone {
		p.lost(err)
	}
	return err
}

// longest gives how far the slowest work under way is past its limit; ok when any is.
func (p *pool) longest() (past time.Duration, ok bool) { return longest(p.all, p.began) }

// discard takes s out of the pool: closes it, or leaves that to the last of its keys.
func (p *pool) discard(s *session) {
	if s == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.keys > 0 {
		p.retired[s] = struct{}{}
		return
	}
	p.closeSession(s)
}

// closeSession closes a session nobody holds. It may be dead already: then there is nothing to do.
func (p *pool) closeSession(s *session) { _ = p.p11.CloseSession(s.handle) }

// adopt notes that s made a session object which is to live on. Called by the holder of s.
func (p *pool) adopt(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.keys++
}

// disown is the reverse, when the object is destroyed or doomed.
func (p *pool) disown(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.keys--
	if _, retired := p.retired[s]; retired && s.keys == 0 && !p.shut {
		delete(p.retired, s)
		p.closeSession(s)
	}
}

// doom leaves an object for the next holder of a session to destroy.
func (p *pool) doom(h pkcs11.ObjectHandle) {
	p.mu.Lock()
	p.doomed = append(p.doomed, h)
	p.dooms.Store(int32(len(p.doomed)))
	p.mu.Unlock()
}

// sweep destroys what was doomed. An object that is gone already was the aim.
func (p *pool) sweep(s *session) {
	p.mu.Lock()
	doomed := p.doomed
	p.doomed = nil
	p.dooms.Store(0)
	p.mu.Unlock()
	for _, h := range doomed {
		_ = p.p11.DestroyObject(s.handle, h)
	}
}

// close refuses new work, waits for all sessions to come back, at most wait (0: however long), and
// closes them, and with them all session objects. On an error calls are still under way and the
// module must not be finalized. It is called once.
func (p *pool) close(wait time.Duration) error {
	p.once.Do(func() { close(p.closed) })
	var late <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		late = timer.C
	}
	for range p.all {
		select {
		case <-p.free:
		case <-late:
			return errors.New("closing sessions: a call into the module is still under way")
		}
	}
	// Not before all are back: a session that is closed takes keys with it that another is using.
	for _, pl := range p.all {
		if pl.s != nil {
			p.sweep(pl.s)
			p.closeSession(pl.s)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = true
	for s := range p.retired {
		p.closeSession(s)
	}
	return nil
}

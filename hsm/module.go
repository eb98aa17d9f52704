package hsm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Module is an open, logged-in token. Its methods may be called from several goroutines.
type Module struct {
	cfg    Config
	kdf    chan struct{} // places for key derivations
	waits  waits
	canary atomic.Pointer[canaryKey]
	watch  *watchdog

	link atomic.Pointer[link] // nil while there is none

	mu         sync.Mutex
	closed     bool
	cause      error         // why there is no link; nil while it is only being renewed
	up         chan struct{} // closed when there is a link again, or never will be
	generation int           // of links
	stop       chan struct{} // closed by Close
	recovering sync.WaitGroup
}

// Open loads the module, finds the token and logs in, trying the PIN once: [ErrTokenPIN],
// [ErrNoToken], [ErrNoModule], [ErrUnavailable]. Keys are found when they are first used, so a
// token without keys opens; [Module.EnsureKeys] makes them. Open does not test the module; see
// [Module.SelfTest].
func Open(ctx context.Context, cfg Config) (*Module, error) {
	cfg, err := cfg.completed()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	cfg.PIN = cfg.PIN.Copy()
	cfg.Services.PIN = cfg.Services.PIN.Copy()
	m := &Module{cfg: cfg, kdf: make(chan struct{}, cfg.KDFConcurrency), stop: make(chan struct{}), up: make(chan struct{}), generation: 1}
	m.watch = newWatchdog(cfg.CallTimeout, m.hung)
	l, err := m.connect()
	if err != nil {
		m.watch.stop()
		m.wipe()
		return nil, fmt.Errorf("opening token %q: %w", cfg.TokenLabel, err)
	}
	m.install(l)
	return m, nil
}

// connect makes a link under the eyes of the watchdog.
func (m *Module) connect() (l *link, err error) {
	m.watch.guard(func() { l, err = connect(m.cfg, m.lose) })
	return l, err
}

// install makes l the link everyone uses. It is called with m.mu held, or before m is shared.
func (m *Module) install(l *link) {
	m.watch.look(l)
	m.link.Store(l)
	close(m.up)
}

// BulkSessions opens the sessions that the module has to give, and returns how many of them are for
// keys opened with [Use.Bulk]: all but Config.Interactive, at least 1. Errors as of any use of the
// module.
func (m *Module) BulkSessions(ctx context.Context) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	l, err := m.use()
	if err != nil {
		return 0, err
	}
	open := l.pool.fill()
	if open == 0 {
		return 0, fmt.Errorf("%w: it gives no session", ErrUnavailable)
	}
	return max(1, open-m.cfg.Interactive), nil
}

func (m *Module) wipe() {
	m.cfg.PIN.Wipe()
	m.cfg.Services.PIN.Wipe()
}

// Close waits for calls under way, at most AcquireTimeout for each kind, then destroys all opened
// keys, logs out and unloads the module, unless another Module of this process uses it. With an
// error the module stays loaded, because a call has not come back from it. Closing twice gives
// [ErrClosed].
func (m *Module) Close() error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return ErrClosed
	}
	m.closed = true
	l := m.link.Swap(nil)
	m.mu.Unlock()
	close(m.stop)
	defer m.watch.stop()
	if l == nil {
		return m.endRecovery()
	}
	m.watch.look(nil)
	if err := l.close(m.cfg.AcquireTimeout); err != nil {
		return err
	}
	m.recovering.Wait() // of a link lost before this one
	m.wipe()            // not before: services would offer an empty one
	return nil
}

// endRecovery waits until a recovery has noticed that the Module is closed.
func (m *Module) endRecovery() error {
	done := make(chan struct{})
	go func() {
		m.recovering.Wait()
		m.wipe()
		close(done)
	}()
	timer := time.NewTimer(m.cfg.AcquireTimeout)
	defer timer.Stop()
	select {
	case <-done:
		return nil
	case <-timer.C:
		return errors.New("closing module: a call into the module is still under way")
	}
}

// use gives the present link. While the module is lost it refuses at once; while it is only being
// initialised again it waits, at most AcquireTimeout.
func (m *Module) use() (*link, error) {
	if l := m.link.Load(); l != nil {
		return l, nil
	}
	timer := time.NewTimer(m.cfg.AcquireTimeout)
	defer timer.Stop()
	for {
		m.mu.Lock()
		l, closed, cause, up := m.link.Load(), m.closed, m.cause, m.up
		m.mu.Unlock()
		switch {
		case closed:
			return nil, ErrClosed
		case l != nil:
			return l, nil
		case cause != nil:
			return nil, fmt.Errorf("%w: being recovered: %w", ErrUnavailable, cause)
		}
		select {
		case <-up:
		case <-m.stop:
		case <-timer.C:
			return nil, fmt.Errorf("%w: module is being initialised again", ErrBusy)
		}
	}
}

// with runs f with a session of the present link.
func (m *Module) with(ctx context.Context, w work, f func(*link, *session) error) error {
	return m.over(func(l *link) error {
		return l.pool.doAs(ctx, w, func(s *session) error { return f(l, s) })
	})
}

// links is how many links may be given up, each before anything was done over it, until that is an
// error.
const links = 8

// over runs f over the present link, and over the next one when that was given up before f did
// anything.
func (m *Module) over(f func(*link) error) error {
	for try := 1; ; try++ {
		l, err := m.use()
		if err != nil {
			return err
		}
		if err = f(l); try == links || !errors.Is(err, errRetired) {
			return err
		}
	}
}

// lose gives up l because of cause, unless that is done already: the breaker opens. From here on
// callers are refused without asking the module, until a recovery has proved that it works.
func (m *Module) lose(l *link, cause error) {
	if m.cfg.NoRecovery {
		return
	}
	if m.give(l, cause) {
		m.cfg.Log.Error("module lost", "generation", m.Generation(), "error", cause)
	}
}

// count notes that the module made an object which it may remember for good.
func (m *Module) count(l *link) {
	if n := m.cfg.RecycleAfter; l.opened.Add(1) == int64(n) && n > 0 {
		m.recycle(l)
	}
}

// recycle gives up l because it has opened so many keys that the module should forget them.
func (m *Module) recycle(l *link) {
	if m.give(l, nil) {
		m.cfg.Log.Info("initialising module again", "generation", m.Generation(), "opened keys", l.opened.Load())
	}
}

func (m *Module) give(l *link, cause error) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || m.link.Load() != l {
		return false
	}
	m.link.Store(nil)
	m.cause, m.up = cause, make(chan struct{})
	if errors.Is(cause, ErrTokenPIN) { // refused when sessions were renewed: not offered again
		m.recovering.Go(func() {
			l.rest()
			m.watch.look(nil)
			m.watch.guard(l.finalize)
		})
		return true
	}
	m.recovering.Go(func() { m.recover(l, cause != nil) })
	return true
}

// Generation counts the connections made with the token: 1 after Open, one more after each
// recovery or recycling. Handles of an earlier one are worth nothing.
func (m *Module) Generation() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.generation
}

// The pause between two tries to recover grows from the one to the other.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 5 * time.Second
)

// recover finalizes the module, initialises it, finds the token by its label, logs in, finds the
// keys and makes a trial signature, again and again until all of that works. A refused token PIN
// ends it for good: tokens lock.
func (m *Module) recover(old *link, lost bool) {
	began := time.Now()
	old.rest() // its calls are still watched
	m.watch.look(nil)
	m.watch.guard(old.finalize)
	for pause, try := firstPause, 1; ; try++ {
		l, err := m.connect()
		if err == nil {
			if err = m.trial(l); err == nil && m.resume(l) {
				if lost {
					m.cfg.Log.Warn("module recovered", "generation", m.Generation(), "after", time.Since(began).Round(time.Millisecond), "tries", try)
				}
				return
			}
			l.rest()
			m.watch.guard(l.finalize)
		}
		if m.ended(err) {
			return
		}
		select {
		case <-m.stop:
			return
		case <-time.After(pause/2 + rand.N(pause)):
		}
		pause = min(2*pause, lastPause)
	}
}

// ended says whether there is no use in trying again; err becomes what callers are told.
func (m *Module) ended(err error) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return true
	}
	first := m.cause == nil
	m.cause = err
	if first {
		close(m.up) // whoever waits for a renewal is told that it failed
		m.up = make(chan struct{})
	}
	if errors.Is(err, ErrTokenPIN) {
		m.cfg.Log.Error("token PIN refused: it is not tried again; restart with the right PIN", "error", err)
		return true
	}
	return false
}

// trial finds out whether officers' keys can be used over l, as far as that is known here.
func (m *Module) trial(l *link) error {
	c := m.canary.Load()
	if c == nil {
		return nil
	}
	m.watch.look(l)
	err := l.try(context.Background(), c)
	if errors.Is(err, ErrNoKey) && l.hasPepper(context.Background()) == nil {
		// The KEK was retired since: the token is ours all the same.
		m.canary.CompareAndSwap(c, nil)
		return nil
	}
	return err
}

// resume makes l the link everyone uses, unless the Module was closed.
func (m *Module) resume(l *link) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	m.generation++
	m.cause = nil
	m.install(l)
	return true
}

// hung opens the breaker for good, as far as this process can know: no call into a hung module can
// be ended. Should it come back all the same, the recovery that waits for it goes on.
func (m *Module) hung(what string) {
	err := fmt.Errorf("%w: %s", ErrUnavailable, what)
	m.cfg.Log.Error("module hangs", "what", what)
	if l := m.link.Load(); l != nil {
		m.lose(l, err)
	}
	if m.cfg.OnHang != nil {
		m.cfg.OnHang(what)
	}
}

// take waits for a place in a semaphore, at most wait (0: however long); give it back by receiving.
func take(ctx context.Context, places chan struct{}, wait time.Duration, what string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case places <- struct{}{}:
		return nil
	default:
	}
	var late <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-late:
		return fmt.Errorf("%w: no %s in %v", ErrBusy, what, wait)
	}
}

package hsm

import (
	"context"
	"errors"
	"fmt"
	"sync"
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

// pool hands sessions out one holder at a time. It holds places, not sessions: nil is a place
// whose session is opened by its next holder, so the pool never shrinks.
type pool struct {
	p11    *pkcs11.Ctx
	slot   uint
	wait   time.Duration
	size   int
	places chan *session

	mu      sync.Mutex
	doomed  []pkcs11.ObjectHandle // to be destroyed by the next holder of any session
	retired map[*session]struct{} // out of the pool, open for the sake of their keys
	shut    bool                  // all sessions are closed; the module may be gone

	closed chan struct{} // closed when close begins
	once   sync.Once
}

func newPool(p11 *pkcs11.Ctx, slot uint, size int, wait time.Duration) *pool {
	p := &pool{
		p11: p11, slot: slot, wait: wait, size: size,
		places:  make(chan *session, size),
		retired: make(map[*session]struct{}),
		closed:  make(chan struct{}),
	}
	for range size {
		p.places <- nil
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

// place waits for a free place, at most p.wait.
func (p *pool) place(ctx context.Context) (*session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case <-p.closed:
		return nil, ErrClosed
	default:
	}
	select {
	case s := <-p.places:
		return s, nil
	default:
	}
	timer := time.NewTimer(p.wait)
	defer timer.Stop()
	select {
	case s := <-p.places:
		return s, nil
	case <-p.closed:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		return nil, fmt.Errorf("%w: no session in %v", ErrBusy, p.wait)
	}
}

// do runs f with a session of its own. If f finds the session dead or dirty, it runs once more
// with a new one: those answers mean that nothing was done.
func (p *pool) do(ctx context.Context, f func(*session) error) (err error) {
	s, err := p.place(ctx)
	if err != nil {
		return err
	}
	keep := false
	defer func() { // also when f panics
		if !keep {
			p.discard(s)
			s = nil
		}
		p.places <- s
	}()
	for attempt := range 2 {
		if s == nil {
			if s, err = p.open(); err != nil {
				return unavailable(err)
			}
		}
		err = f(s)
		switch classify(err) {
		case faultNone:
			p.sweep(s)
			keep = !s.active
			return nil
		case faultInput, faultObject:
			keep = !s.active
			return err
		case faultSession:
			if attempt == 0 {
				p.discard(s)
				s = nil
				continue
			}
		}
		return unavailable(err)
	}
	return unavailable(err)
}

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
	p.mu.Unlock()
}

// sweep destroys what was doomed. An object that is gone already was the aim.
func (p *pool) sweep(s *session) {
	p.mu.Lock()
	doomed := p.doomed
	p.doomed = nil
	p.mu.Unlock()
	for _, h := range doomed {
		_ = p.p11.DestroyObject(s.handle, h)
	}
}

// close waits for all sessions to come back, at most p.wait, and closes them, and with them all
// session objects. On an error calls are still under way and the module must not be finalized.
// It is called once.
func (p *pool) close() error {
	p.once.Do(func() { close(p.closed) })
	timer := time.NewTimer(p.wait)
	defer timer.Stop()
	for range p.size {
		select {
		case s := <-p.places:
			if s != nil {
				p.sweep(s)
				p.closeSession(s)
			}
		case <-timer.C:
			return errors.New("closing sessions: a call into the module is still under way")
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

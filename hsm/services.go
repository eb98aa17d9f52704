package hsm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThalesGroup/crypto11"
	"github.com/miekg/pkcs11"
)

// services is the token as crypto11 sees it: a log-in, and the signing keys that live there.
//
// crypto11 puts a session back into its pool whatever happened to it, so a session that died
// fails every later call that gets it. After such a fault the whole crypto11 context is replaced.
type services struct {
	module string
	token  Token
	wait   time.Duration
	limit  time.Duration
	lost   func(error)
	began  time.Time
	// free has as many places as crypto11 has sessions. Holding one is holding a session;
	// holding all of them means that crypto11 is at rest.
	all      []*place
	free     chan *place
	retired  chan struct{} // closed when nobody is to begin anything any more
	retiring sync.Once
	renewing sync.Mutex

	mu         sync.Mutex
	ctx        *crypto11.Context
	generation int
	signers    map[string]crypto11.Signer
	refused    bool // the token refused the PIN once: never offer it again
}

func newServices(cfg Config, lost func(error)) (*services, error) {
	n := max(2, cfg.Sessions/4)
	s := &services{module: cfg.Module, token: Token{cfg.TokenLabel, cfg.PIN}, wait: cfg.AcquireTimeout, limit: cfg.CallTimeout,
		lost: lost, began: time.Now().Add(-time.Second), free: make(chan *place, n), retired: make(chan struct{})}
	if cfg.Services.Label != "" {
		s.token = cfg.Services
	}
	for range n {
		pl := &place{}
		s.all = append(s.all, pl)
		s.free <- pl
	}
	err := s.configure()
	switch {
	case errors.Is(err, pkcs11.Error(pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED)):
		// Left by a link whose end failed; crypto11 wants to do it itself.
		err = s.reset(func(p11 *pkcs11.Ctx) error { return p11.Finalize() })
	case errors.Is(err, pkcs11.Error(pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED)):
		// Another Module of this process has it open, and we have just finalized it.
		err = s.reset(func(p11 *pkcs11.Ctx) error { return p11.Initialize() })
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// reset does something to the module as a whole and tries again.
func (s *services) reset(f func(*pkcs11.Ctx) error) error {
	p11 := pkcs11.New(s.module)
	if p11 == nil {
		return fmt.Errorf("%w at %q: not loadable as PKCS#11", ErrNoModule, s.module)
	}
	defer p11.Destroy()
	if err := f(p11); err != nil {
		return unavailable(err)
	}
	return s.configure()
}

// configure opens a crypto11 context, which logs in unless this process is logged in already.
func (s *services) configure() error {
	conf := &crypto11.Config{
		Path:            s.module,
		TokenLabel:      s.token.Label,
		Pin:             string(s.token.PIN.Reveal()),
		MaxSessions:     len(s.all) + 1, // one holds the log-in
		PoolWaitTimeout: s.wait,         // never comes into play: places are as many
	}
	ctx, err := crypto11.Configure(conf)
	conf.Pin = "" // crypto11 keeps conf
	if err == nil {
		s.ctx = ctx
		s.generation++
		s.signers = make(map[string]crypto11.Signer)
		return nil
	}
	var rv pkcs11.Error
	if errors.As(err, &rv) {
		return loginError(rv)
	}
	// crypto11 does not name its other reasons; look for ourselves.
	lib, loadErr := load(s.module)
	if loadErr != nil {
		return loadErr
	}
	defer lib.release()
	if _, _, findErr := findToken(lib.p11, s.token.Label); findErr != nil {
		return findErr
	}
	return err
}

// close waits, at most wait, until crypto11 is at rest and closes it.
func (s *services) close(wait time.Duration) error {
	if err := s.retire(wait); err != nil {
		return err
	}
	return s.ctx.Close()
}

// retire is rest for good: whoever waits is sent to the next link.
func (s *services) retire(wait time.Duration) error {
	s.retiring.Do(func() { close(s.retired) })
	return s.rest(context.Background(), wait)
}

// abandon lets go of a crypto11 that is at rest and whose module was finalized.
func (s *services) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.ctx.Close()
}

// rest takes all places, so that nobody uses crypto11; wait 0 is however long that takes.
func (s *services) rest(ctx context.Context, wait time.Duration) error {
	var held []*place
	for range s.all {
		pl, err := s.acquire(ctx, wait, nil, "end of signatures under way")
		if err != nil {
			s.release(held...)
			return err
		}
		held = append(held, pl)
	}
	return nil
}

// acquire waits for a place, at most wait (0: however long), and no longer when retired is closed.
func (s *services) acquire(ctx context.Context, wait time.Duration, retired <-chan struct{}, what string) (*place, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case <-retired:
		return nil, errRetired
	default:
	}
	var late <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case pl := <-s.free:
		return pl, nil
	case <-retired:
		return nil, errRetired
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-late:
		return nil, fmt.Errorf("%w: no %s in %v", ErrBusy, what, wait)
	}
}

func (s *services) release(places ...*place) {
	for _, pl := range places {
		s.free <- pl
	}
}

// longest is as pool.longest.
func (s *services) longest() (past time.Duration, ok bool) { return longest(s.all, s.began) }

// do runs f beside at most as many others as crypto11 has sessions. After a fault that crypto11
// would keep, it replaces the context and runs f once more; what says that the module is gone
// gives up the link.
func (s *services) do(ctx context.Context, w work, f func(*crypto11.Context) error) error {
	for again := true; ; again = false {
		generation, err := s.once(ctx, w, f)
		switch classify(err) {
		case faultSession, faultObject:
		case faultModule:
			if !errors.Is(err, ckrNotLoggedIn) {
				return s.gone(err)
			}
		default:
			return unavailable(err)
		}
		if !again {
			return s.gone(err)
		}
		if err := s.renew(ctx, generation); err != nil {
			return s.gone(fmt.Errorf("renewing sessions: %w", err))
		}
	}
}

func (s *services) gone(err error) error {
	err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	s.lost(err)
	return err
}

func (s *services) once(ctx context.Context, w work, f func(*crypto11.Context) error) (generation int, err error) {
	pl, err := s.acquire(ctx, s.wait, s.retired, "session")
	if err != nil {
		return 0, err
	}
	pl.start(w, s.limit, s.began)
	defer func() {
		pl.since.Store(0)
		s.release(pl)
	}()
	s.mu.Lock()
	c := s.ctx
	generation = s.generation
	s.mu.Unlock()
	return generation, f(c)
}

// renew replaces the context, unless somebody else did since.
func (s *services) renew(ctx context.Context, generation int) error {
	s.renewing.Lock() // two that wait for each other's places would wait for ever
	defer s.renewing.Unlock()
	s.mu.Lock()
	done := s.generation != generation
	s.mu.Unlock()
	if done {
		return nil
	}
	if err := s.rest(ctx, s.wait); err != nil {
		return err
	}
	defer func() { s.release(s.all...) }()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused {
		return ErrTokenPIN
	}
	old := s.ctx
	if err := s.configure(); err != nil {
		s.refused = errors.Is(err, ErrTokenPIN)
		return err
	}
	return old.Close()
}

// signer gives crypto11's signer for a label, found once per context.
func (s *services) signer(c *crypto11.Context, label string) (crypto11.Signer, error) {
	s.mu.Lock()
	k := s.signers[label]
	s.mu.Unlock()
	if k != nil {
		return k, nil
	}
	found, err := c.FindKeyPairs(nil, []byte(label))
	if err != nil {
		return nil, fmt.Errorf("finding key pair %q: %w", label, err)
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("%w: %q", ErrNoKey, label)
	case 1:
	default:
		return nil, fmt.Errorf("%w: %d key pairs labelled %q", ErrKeyPolicy, len(found), label)
	}
	s.mu.Lock()
	s.signers[label] = found[0]
	s.mu.Unlock()
	return found[0], nil
}

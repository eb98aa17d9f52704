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

// services is the token as crypto11 sees it: the log-in, and the signing keys that live there.
//
// crypto11 puts a session back into its pool whatever happened to it, so a session that died
// fails every later call that gets it. After such a fault the whole crypto11 context is replaced.
type services struct {
	cfg  Config
	wait time.Duration
	// permits has as many places as crypto11 has sessions. Holding one is holding a session;
	// holding all of them means that crypto11 is at rest.
	permits chan struct{}

	mu         sync.Mutex
	ctx        *crypto11.Context
	generation int
	signers    map[string]crypto11.Signer
	refused    bool // the token refused the PIN once: never offer it again
}

func newServices(cfg Config) (*services, error) {
	s := &services{cfg: cfg, wait: cfg.AcquireTimeout, permits: make(chan struct{}, max(2, cfg.Sessions/4))}
	if err := s.configure(); err != nil {
		return nil, err
	}
	return s, nil
}

// configure opens a crypto11 context, which logs in unless this process is logged in already.
func (s *services) configure() error {
	conf := &crypto11.Config{
		Path:            s.cfg.Module,
		TokenLabel:      s.cfg.TokenLabel,
		Pin:             string(s.cfg.PIN.Reveal()),
		MaxSessions:     cap(s.permits) + 1, // one holds the log-in
		PoolWaitTimeout: s.wait,             // never comes into play: permits are as many
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
	lib, loadErr := load(s.cfg.Module)
	if loadErr != nil {
		return loadErr
	}
	defer lib.release()
	if _, _, findErr := findToken(lib.p11, s.cfg.TokenLabel); findErr != nil {
		return findErr
	}
	return err
}

// close waits until crypto11 is at rest and closes it.
func (s *services) close() error {
	if err := s.rest(context.Background()); err != nil {
		return err
	}
	return s.ctx.Close()
}

// rest takes all permits, so that nobody uses crypto11.
func (s *services) rest(ctx context.Context) error {
	for n := range cap(s.permits) {
		if err := take(ctx, s.permits, s.wait, "end of signatures under way"); err != nil {
			s.release(n)
			return err
		}
	}
	return nil
}

func (s *services) release(n int) {
	for range n {
		<-s.permits
	}
}

// do runs f beside at most as many others as crypto11 has sessions. After a fault that crypto11
// would keep, it replaces the context and runs f once more.
func (s *services) do(ctx context.Context, f func(*crypto11.Context) error) error {
	for again := true; ; again = false {
		generation, err := s.once(ctx, f)
		switch classify(err) {
		case faultSession, faultObject:
		case faultModule:
			if !errors.Is(err, ckrNotLoggedIn) {
				return unavailable(err)
			}
		default:
			return err
		}
		if !again {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if err := s.renew(ctx, generation); err != nil {
			return fmt.Errorf("%w: renewing sessions: %w", ErrUnavailable, err)
		}
	}
}

func (s *services) once(ctx context.Context, f func(*crypto11.Context) error) (generation int, err error) {
	if err := take(ctx, s.permits, s.wait, "session"); err != nil {
		return 0, err
	}
	defer s.release(1)
	s.mu.Lock()
	c := s.ctx
	generation = s.generation
	s.mu.Unlock()
	return generation, f(c)
}

// renew replaces the context, unless somebody else did since.
func (s *services) renew(ctx context.Context, generation int) error {
	if err := s.rest(ctx); err != nil {
		return err
	}
	defer s.release(cap(s.permits))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation != generation {
		return nil
	}
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

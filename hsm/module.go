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

// Module is an open, logged-in token. Its methods may be called from several goroutines.
type Module struct {
	cfg    Config
	kdf    chan struct{} // places for key derivations
	canary atomic.Pointer[canaryKey]

	mu   sync.RWMutex
	link *link // nil when closed
}

// link is one connection with the token. All that a recovery must throw away is in here: sessions,
// the log-in and every handle.
type link struct {
	p11      *pkcs11.Ctx
	slot     uint
	pool     *pool
	services *services

	mu      sync.Mutex
	handles map[string]pkcs11.ObjectHandle // secret keys by label
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
	l, err := connect(cfg)
	if err != nil {
		cfg.PIN.Wipe()
		return nil, fmt.Errorf("opening token %q: %w", cfg.TokenLabel, err)
	}
	return &Module{cfg: cfg, kdf: make(chan struct{}, cfg.KDFConcurrency), link: l}, nil
}

// connect makes a link. crypto11 goes first: it insists on initialising the module itself, while
// we can live with finding it initialised.
func connect(cfg Config) (*link, error) {
	services, err := newServices(cfg)
	if err != nil {
		return nil, err
	}
	lib, err := load(cfg.Module)
	if err != nil {
		return nil, errors.Join(err, services.close())
	}
	// crypto11 takes the first token of that label; two are refused here.
	slot, _, err := findToken(lib.p11, cfg.TokenLabel)
	if err != nil {
		lib.release()
		return nil, errors.Join(err, services.close())
	}
	return &link{
		p11:      lib.p11,
		slot:     slot,
		pool:     newPool(lib.p11, slot, cfg.Sessions, cfg.AcquireTimeout),
		services: services,
		handles:  make(map[string]pkcs11.ObjectHandle),
	}, nil
}

// Close waits for calls under way, at most AcquireTimeout for each kind, then destroys all opened
// keys, logs out and unloads the module, unless another Module of this process uses it. With an
// error the module stays loaded, because a call has not come back from it. Closing twice gives
// [ErrClosed].
func (m *Module) Close() error {
	m.mu.Lock()
	l := m.link
	m.link = nil
	m.mu.Unlock()
	if l == nil {
		return ErrClosed
	}
	if err := l.pool.close(); err != nil {
		return err
	}
	if err := l.services.close(); err != nil {
		return err
	}
	l.p11.Destroy()
	m.cfg.PIN.Wipe() // not before: services would offer an empty one
	return nil
}

// use gives the present link.
func (m *Module) use() (*link, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.link == nil {
		return nil, ErrClosed
	}
	return m.link, nil
}

// take waits for a place in a semaphore, at most wait; give it back by receiving.
func take(ctx context.Context, places chan struct{}, wait time.Duration, what string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case places <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return fmt.Errorf("%w: no %s in %v", ErrBusy, what, wait)
	}
}

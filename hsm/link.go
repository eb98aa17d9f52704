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

// link is one connection with the token. All that a recovery must throw away is in here: sessions,
// the log-in and every handle.
type link struct {
	p11      *pkcs11.Ctx
	slot     uint
	login    pkcs11.SessionHandle // held open, so that the log-in and token handles live on
	pool     *pool
	other    *pool // sessions of the services' token, to look for keys; nil when that is the same
	services *services
	opened   atomic.Int64 // keys made and unwrapped, which the module may remember for good

	mu      sync.Mutex
	handles map[string]pkcs11.ObjectHandle // secret keys by label
	said    *Gauge                         // what the token says it is; nil before it was asked
}

// connect makes a link. crypto11 goes first: it insists on initialising the module itself, while
// we can live with finding it initialised.
func connect(cfg Config, lost func(*link, error)) (*link, error) {
	l := &link{handles: make(map[string]pkcs11.ObjectHandle)}
	hear := func(err error) { lost(l, err) }
	var err error
	if l.services, err = newServices(cfg, hear); err != nil {
		return nil, err
	}
	other, err := l.attach(cfg)
	if err != nil {
		return nil, errors.Join(err, l.services.close(cfg.AcquireTimeout))
	}
	l.pool = newPool(l.p11, l.slot, cfg, hear)
	if cfg.Services.Label != "" {
		cfg.Sessions, cfg.Interactive = 2, 1
		l.other = newPool(l.p11, other, cfg, hear)
	}
	return l, nil
}

// attach finds the custody token, logs in if crypto11 has not, and finds the services' token.
func (l *link) attach(cfg Config) (other uint, err error) {
	lib, err := load(cfg.Module)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			lib.release()
		}
	}()
	// crypto11 takes the first token of that label; two are refused here.
	if l.slot, _, err = findToken(lib.p11, cfg.TokenLabel); err != nil {
		return 0, err
	}
	if cfg.Services.Label != "" {
		if other, _, err = findToken(lib.p11, cfg.Services.Label); err != nil {
			return 0, err
		}
	}
	l.p11 = lib.p11
	if l.login, err = lib.p11.OpenSession(l.slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION); err != nil {
		return 0, fmt.Errorf("opening session: %w", unavailable(err))
	}
	err = lib.p11.Login(l.login, pkcs11.CKU_USER, string(cfg.PIN.Reveal()))
	if err != nil && !errors.Is(err, pkcs11.Error(pkcs11.CKR_USER_ALREADY_LOGGED_IN)) {
		return 0, loginError(err)
	}
	return other, nil
}

// close ends a link whose module works: waits for calls under way, at most wait for each kind,
// destroys all session objects, logs out, and unloads the module unless another Module of this
// process uses it.
func (l *link) close(wait time.Duration) error {
	if err := l.pool.close(wait); err != nil {
		return err
	}
	if l.other != nil {
		if err := l.other.close(wait); err != nil {
			return err
		}
	}
	_ = l.p11.CloseSession(l.login)
	if err := l.services.close(wait); err != nil {
		return err
	}
	l.p11.Destroy()
	return nil
}

// rest and finalize end a link whose module has lost its mind, or is to forget what it knows. rest
// waits for calls under way however long they take, for finalizing beneath one of them is a crash.
func (l *link) rest() {
	_ = l.pool.close(0)
	if l.other != nil {
		_ = l.other.close(0)
	}
	_ = l.services.retire(0)
}

// finalize is C_Finalize; what the module says to it does not matter.
func (l *link) finalize() {
	_ = l.p11.Finalize()
	l.services.abandon()
	l.p11.Destroy()
}

// onServices runs f with a session of the token that holds the signing keys.
func (l *link) onServices(ctx context.Context, f func(*session) error) error {
	if l.other != nil {
		return l.other.do(ctx, f)
	}
	return l.pool.do(ctx, f)
}

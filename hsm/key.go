package hsm

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/mohor-sign/mohor/internal/secret"
)

// Key is an officer's key, opened: a session object in the module. Its methods may be called from
// several goroutines. Close it as soon as what was authorised is signed.
type Key struct {
	public crypto.PublicKey
	opened opened
}

// opened is a key opened in this process ([Module]) or in another ([Process]).
type opened interface {
	signDigests(ctx context.Context, digests [][]byte, opts crypto.SignerOpts) ([][]byte, error)
	activation(ctx context.Context, context []byte, until time.Time) (share secret.Text, sealed []byte, err error)
	close() error
}

// Public gives the public key that Unseal was given.
func (k *Key) Public() crypto.PublicKey { return k.public }

// Sign signs a digest (SHA-256, SHA-384 or SHA-512). RSA keys make PKCS #1 v1.5 signatures (RFC
// 8017, Section 8.2), or PSS (Section 8.1) when opts is an [rsa.PSSOptions] with a salt as long as
// the digest; ECDSA signatures are DER (RFC 3279, Section 2.2.3). The signature is verified before
// it is returned; a wrong one is thrown away and made once more. Errors: [ErrInput], [ErrBusy],
// [ErrUnavailable], [ErrBadSignature], [ErrClosed], and those of ctx; after any of them no
// signature was given out, and the same digest may be signed again.
func (k *Key) Sign(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	sigs, err := k.opened.signDigests(ctx, [][]byte{digest}, opts)
	if err != nil {
		return nil, err
	}
	return sigs[0], nil
}

// SignAll is Sign of each of one to [MaxDigests] digests, one after another: with a [Process], one
// message there and one back. With an error it gives the signatures made before that, and no other
// was given out.
func (k *Key) SignAll(ctx context.Context, digests [][]byte, opts crypto.SignerOpts) ([][]byte, error) {
	if len(digests) == 0 || len(digests) > MaxDigests {
		return nil, fmt.Errorf("%w: %d digests at once", ErrInput, len(digests))
	}
	return k.opened.signDigests(ctx, digests, opts)
}

// MaxDigests bounds what SignAll takes: it is not interrupted, and whoever waits for the key to be closed
// waits for all of it.
const MaxDigests = 64

// Close waits for signatures under way and destroys the key in the module. If no session comes
// free in AcquireTimeout the next holder of one destroys it. Closing again does nothing.
func (k *Key) Close() error { return k.opened.close() }

// localKey is an opened key of a Module in this process.
type localKey struct {
	module *Module
	public crypto.PublicKey
	work   work
	until  time.Time
	expiry *time.Timer

	mu      sync.RWMutex // held for reading while signing
	wrapped wrapped      // to unwrap it again if the session that holds it dies
	link    *link        // on which handle is worth something
	handle  pkcs11.ObjectHandle
	owner   *session // made the object, which dies with it
	closed  bool
}

// unwrap makes the session object. Called before k is shared, or with k.mu held.
func (k *localKey) unwrap(ctx context.Context) error {
	return k.module.with(ctx, k.work, func(l *link, s *session) error {
		return l.withSecret(s, kekSpec(k.wrapped.kek), func(kek pkcs11.ObjectHandle) error {
			h, err := s.unwrap(kek, k.wrapped)
			if err != nil {
				return err
			}
			l.pool.adopt(s)
			k.link, k.handle, k.owner = l, h, s
			k.module.count(l)
			return nil
		})
	})
}

func (k *localKey) signDigests(ctx context.Context, digests [][]byte, opts crypto.SignerOpts) ([][]byte, error) {
	sigs := make([][]byte, 0, len(digests))
	for _, digest := range digests {
		sig, err := k.signDigest(ctx, digest, opts)
		if err != nil {
			return sigs, err
		}
		sigs = append(sigs, sig)
	}
	return sigs, nil
}

func (k *localKey) signDigest(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	job, err := newSigning(k.public, digest, opts)
	if err != nil {
		return nil, err
	}
	var sig []byte
	var at spot
	for retired, lost, wrong := 0, 0, 0; ; {
		sig, at, err = k.sign(ctx, job)
		switch {
		case errors.Is(err, errRetired) && retired < links:
			retired++
		case classify(err) == faultObject && lost < 2: // the session that held the object is gone
			lost++
		case errors.Is(err, ErrBadSignature) && wrong < 1:
			wrong++
			continue
		default:
			return sig, k.judge(at, err)
		}
		if err := k.again(ctx, at); err != nil {
			return nil, err
		}
	}
}

// judge gives up the link over which a key dies again and again.
func (k *localKey) judge(at spot, err error) error {
	if classify(err) == faultObject {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
		k.module.lose(at.link, err)
	}
	return err
}

// spot is where a key was when it was used.
type spot struct {
	link   *link
	handle pkcs11.ObjectHandle
}

func (k *localKey) sign(ctx context.Context, job signing) (sig []byte, at spot, err error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.closed {
		return nil, at, ErrClosed
	}
	at = spot{k.link, k.handle}
	if k.work.bulk {
		k.module.waits.giveWay(ctx, at.link.pool)
	}
	err = at.link.pool.doAs(ctx, k.work, func(s *session) (err error) {
		sig, err = s.sign(at.handle, job)
		return err
	})
	return sig, at, err
}

// again unwraps anew, unless another goroutine did.
func (k *localKey) again(ctx context.Context, dead spot) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return ErrClosed
	}
	if (spot{k.link, k.handle}) != dead {
		return nil
	}
	before := k.owner
	if err := k.unwrap(ctx); err != nil {
		return err
	}
	dead.link.pool.disown(before)
	return nil
}

func (k *localKey) close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil
	}
	k.closed = true
	if k.expiry != nil {
		k.expiry.Stop()
	}
	clear(k.wrapped.blob)
	p := k.link.pool
	defer p.disown(k.owner)
	err := p.do(context.Background(), func(s *session) error { return p.p11.DestroyObject(s.handle, k.handle) })
	switch {
	case err == nil, classify(err) == faultObject, errors.Is(err, errRetired):
		return nil // destroyed, or gone with its session or its link
	}
	p.doom(k.handle)
	if errors.Is(err, ErrBusy) || errors.Is(err, ErrUnavailable) {
		return nil // the next holder of a session destroys it, or the recovery all there are
	}
	return fmt.Errorf("destroying officer key: %w", err)
}

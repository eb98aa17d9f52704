package hsm

import (
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"

	"github.com/miekg/pkcs11"

	"github.com/mohor-sign/mohor/internal/secret"
)

// wrapped is a private key as it left the module: RFC 5649 under a KEK, without the PIN's seal.
type wrapped struct {
	blob      []byte
	kek       string
	mechanism uint
	algorithm Algorithm
}

// Generate makes an officer's key pair in the module and seals the private key under the officer's
// PIN and the binding. Before it returns it opens the result as [Module.Unseal] would, signs and
// verifies, so that no key is certified that cannot be used. Errors: [ErrInput], [ErrNoKey] before
// EnsureKeys, [ErrBusy], [ErrUnavailable], [ErrBadSignature].
//
// While the private key is wrapped, for less than a millisecond, it is an extractable (though
// sensitive) session object that no other process can see.
func (m *Module) Generate(ctx context.Context, b Binding, pin secret.Text) (SealedKey, crypto.PublicKey, error) {
	if err := b.check(); err != nil {
		return SealedKey{}, nil, err
	}
	if pin.Len() == 0 {
		return SealedKey{}, nil, fmt.Errorf("%w: no PIN", ErrInput)
	}
	w, pub, err := m.generate(ctx, b.Algorithm)
	if err != nil {
		return SealedKey{}, nil, fmt.Errorf("generating officer key: %w", err)
	}
	defer clear(w.blob)
	s, err := m.seal(ctx, b, w, pin)
	if err != nil {
		return SealedKey{}, nil, fmt.Errorf("sealing officer key: %w", err)
	}
	if err := m.prove(ctx, b, s, pub, pin); err != nil {
		return SealedKey{}, nil, fmt.Errorf("proving officer key: %w", err)
	}
	return s, pub, nil
}

// generate makes a pair and wraps the private half; neither half stays in the module.
func (m *Module) generate(ctx context.Context, a Algorithm) (w wrapped, pub crypto.PublicKey, err error) {
	l, err := m.use()
	if err != nil {
		return w, nil, err
	}
	spec := kekSpec(m.cfg.KEK)
	err = l.pool.do(ctx, func(s *session) error {
		return l.withSecret(s, spec, func(kek pkcs11.ObjectHandle) error {
			mechanism, public, private := officerPair(a)
			pubHandle, key, err := s.p11.GenerateKeyPair(s.handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}, public, private)
			if err != nil {
				return fmt.Errorf("generating pair: %w", err)
			}
			defer s.destroy(pubHandle)
			defer s.destroy(key)
			if pub, err = s.publicKey(a, pubHandle); err != nil {
				return err
			}
			w = wrapped{kek: spec.label, algorithm: a}
			w.blob, w.mechanism, err = s.wrap(kek, key)
			return err
		})
	})
	return w, pub, err
}

// destroy destroys a session object; if it cannot, the session must go, and the object with it.
func (s *session) destroy(h pkcs11.ObjectHandle) {
	if err := s.p11.DestroyObject(s.handle, h); err != nil {
		s.active = true
	}
}

// wrap takes a key out, by the standard's mechanism or by SoftHSM's name for it.
func (s *session) wrap(kek, key pkcs11.ObjectHandle) (blob []byte, mechanism uint, err error) {
	for _, mechanism = range []uint{ckmAESKeyWrapKWP, pkcs11.CKM_AES_KEY_WRAP_PAD} {
		blob, err = s.p11.WrapKey(s.handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}, kek, key)
		if !errors.Is(err, pkcs11.Error(pkcs11.CKR_MECHANISM_INVALID)) {
			break
		}
	}
	if err != nil {
		return nil, 0, fmt.Errorf("wrapping key: %w", err)
	}
	return blob, mechanism, nil
}

// unwrap makes a session object of a wrapped key, as the KEK's template commands.
func (s *session) unwrap(kek pkcs11.ObjectHandle, w wrapped) (pkcs11.ObjectHandle, error) {
	h, err := s.p11.UnwrapKey(s.handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(w.mechanism, nil)}, kek, w.blob, unwrapAs(w.algorithm))
	if err != nil {
		return 0, fmt.Errorf("unwrapping key: %w", err)
	}
	return h, nil
}

// prove opens a sealed key the way it will be opened, by way of its stored form, and signs.
func (m *Module) prove(ctx context.Context, b Binding, s SealedKey, pub crypto.PublicKey, pin secret.Text) error {
	text, err := s.MarshalText()
	if err != nil {
		return err
	}
	var stored SealedKey
	if err := stored.UnmarshalText(text); err != nil {
		return err
	}
	key, err := m.Unseal(ctx, b, stored, pub, pin)
	if err != nil {
		return err
	}
	digest := make([]byte, crypto.SHA256.Size())
	_, err = rand.Read(digest)
	if err == nil {
		_, err = key.Sign(ctx, digest, crypto.SHA256)
	}
	return errors.Join(err, key.Close())
}

// Unseal opens an officer's key for signing. pub is the public key from its certificate. Errors:
// [ErrWrongPIN] when the seal does not open, which is for the caller to count; [ErrInput] for a
// binding, sealed key or public key that cannot be right; [ErrBusy] and [ErrUnavailable], which
// say nothing about the PIN; [ErrNoKey] when the token lacks the KEK or the pepper.
//
// Whether the binding's version is the last one is for the caller to know.
func (m *Module) Unseal(ctx context.Context, b Binding, s SealedKey, pub crypto.PublicKey, pin secret.Text) (*Key, error) {
	if !b.Algorithm.matches(pub) {
		return nil, fmt.Errorf("%w: public key is not %s", ErrInput, string(b.Algorithm))
	}
	w, err := m.open(ctx, b, s, pin)
	if err != nil {
		return nil, err
	}
	return m.unwrap(ctx, w, pub)
}

func (m *Module) unwrap(ctx context.Context, w wrapped, pub crypto.PublicKey) (*Key, error) {
	l, err := m.use()
	if err != nil {
		return nil, err
	}
	k := &Key{link: l, wrapped: w, public: pub}
	if err := k.unwrap(ctx); err != nil {
		return nil, err
	}
	return k, nil
}

// ChangePIN seals a key under another PIN, with the KDF parameters in force, and gives the binding
// with the next version. The key itself stays the same. The result is proved as in
// [Module.Generate]; [ErrWrongPIN] is about the old PIN. The caller stores the new sealed key and
// the new version together.
func (m *Module) ChangePIN(ctx context.Context, b Binding, s SealedKey, pub crypto.PublicKey, old, new secret.Text) (Binding, SealedKey, error) {
	if !b.Algorithm.matches(pub) {
		return b, SealedKey{}, fmt.Errorf("%w: public key is not %s", ErrInput, string(b.Algorithm))
	}
	w, err := m.open(ctx, b, s, old)
	if err != nil {
		return b, SealedKey{}, err
	}
	defer clear(w.blob)
	next := b
	next.Version++
	if err := next.check(); err != nil { // versions ran out
		return b, SealedKey{}, err
	}
	sealed, err := m.seal(ctx, next, w, new)
	if err != nil {
		return b, SealedKey{}, fmt.Errorf("sealing officer key: %w", err)
	}
	if err := m.prove(ctx, next, sealed, pub, new); err != nil {
		return b, SealedKey{}, fmt.Errorf("proving officer key: %w", err)
	}
	return next, sealed, nil
}

// Key is an officer's key, opened: a session object in the module. Its methods may be called from
// several goroutines. Close it as soon as what was authorised is signed.
type Key struct {
	link   *link
	public crypto.PublicKey

	mu      sync.RWMutex // held for reading while signing
	wrapped wrapped      // to unwrap it again if the session that holds it dies
	handle  pkcs11.ObjectHandle
	owner   *session // made the object, which dies with it
	closed  bool
}

// Public gives the public key that Unseal was given.
func (k *Key) Public() crypto.PublicKey { return k.public }

// unwrap makes the session object. Called before k is shared, or with k.mu held.
func (k *Key) unwrap(ctx context.Context) error {
	return k.link.pool.do(ctx, func(s *session) error {
		return k.link.withSecret(s, kekSpec(k.wrapped.kek), func(kek pkcs11.ObjectHandle) error {
			h, err := s.unwrap(kek, k.wrapped)
			if err != nil {
				return err
			}
			k.link.pool.adopt(s)
			k.handle, k.owner = h, s
			return nil
		})
	})
}

// Sign signs a digest (SHA-256, SHA-384 or SHA-512). RSA keys make PKCS #1 v1.5 signatures (RFC
// 8017, Section 8.2), or PSS (Section 8.1) when opts is an [rsa.PSSOptions] with a salt as long as
// the digest; ECDSA signatures are DER (RFC 3279, Section 2.2.3). The signature is verified before
// it is returned. Errors: [ErrInput], [ErrBusy], [ErrUnavailable], [ErrBadSignature], [ErrClosed],
// and those of ctx; after any of them no signature was given out.
func (k *Key) Sign(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	job, err := newSigning(k.public, digest, opts)
	if err != nil {
		return nil, err
	}
	sig, handle, err := k.sign(ctx, job)
	if classify(err) != faultObject {
		return sig, err
	}
	// The session that held the object is gone, and the object with it.
	if err := k.again(ctx, handle); err != nil {
		return nil, err
	}
	sig, _, err = k.sign(ctx, job)
	if classify(err) == faultObject {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return sig, err
}

func (k *Key) sign(ctx context.Context, job signing) (sig []byte, handle pkcs11.ObjectHandle, err error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.closed {
		return nil, 0, ErrClosed
	}
	err = k.link.pool.do(ctx, func(s *session) (err error) {
		sig, err = s.sign(k.handle, job)
		return err
	})
	return sig, k.handle, err
}

// again unwraps anew, unless another goroutine did.
func (k *Key) again(ctx context.Context, dead pkcs11.ObjectHandle) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return ErrClosed
	}
	if k.handle != dead {
		return nil
	}
	before := k.owner
	if err := k.unwrap(ctx); err != nil {
		return err
	}
	k.link.pool.disown(before)
	return nil
}

// Close waits for signatures under way and destroys the key in the module. If no session comes
// free in AcquireTimeout the next holder of one destroys it. Closing again does nothing.
func (k *Key) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil
	}
	k.closed = true
	clear(k.wrapped.blob)
	p := k.link.pool
	defer p.disown(k.owner)
	err := p.do(context.Background(), func(s *session) error { return p.p11.DestroyObject(s.handle, k.handle) })
	switch {
	case err == nil, classify(err) == faultObject, errors.Is(err, ErrClosed):
		return nil // destroyed, or gone with its session or the Module
	}
	p.doom(k.handle)
	if errors.Is(err, ErrBusy) {
		return nil
	}
	return fmt.Errorf("destroying officer key: %w", err)
}

package hsm

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/mohor-sign/mohor/internal/secret"
)

// wrapped is a private key as it left the module: RFC 5649 under a KEK, without the PIN's seal.
type wrapped struct {
	blob      []byte
	kek       string
	mechanism uint
	parameter []byte // of the mechanism; RFC 5649 has none
	without   []uint // attributes a module under examination does not know
	algorithm Algorithm
}

// Generate makes an officer's key pair in the module, wraps the private key by the KEK of that label
// and seals it under the officer's PIN and the binding. Before it returns it opens the result as [Module.Unseal] would and signs,
// so that no key is certified that cannot be used: what it signs is a certificate request (PKCS #10, RFC 2986), by which a CA
// sees that the subject holds the key. subject is the DER of its Name; nil for an empty one. Errors: [ErrInput], [ErrNoKey] before
// EnsureKeys, [ErrBusy], [ErrUnavailable], [ErrBadSignature].
//
// While the private key is wrapped, for less than a millisecond, it is an extractable (though
// sensitive) session object that no other process can see.
func (m *Module) Generate(ctx context.Context, kek string, b Binding, subject []byte, pin secret.Text) (SealedKey, *x509.CertificateRequest, error) {
	if err := b.check(); err != nil {
		return SealedKey{}, nil, err
	}
	if pin.Len() == 0 {
		return SealedKey{}, nil, fmt.Errorf("%w: no PIN", ErrInput)
	}
	w, pub, err := m.generate(ctx, kek, b.Algorithm)
	if err != nil {
		return SealedKey{}, nil, fmt.Errorf("generating officer key: %w", err)
	}
	defer clear(w.blob)
	s, err := m.seal(ctx, b, w, pin)
	if err != nil {
		return SealedKey{}, nil, fmt.Errorf("sealing officer key: %w", err)
	}
	var request *x509.CertificateRequest
	err = m.prove(ctx, b, s, pub, pin, func(k *Key) (err error) {
		request, err = newRequest(ctx, k, subject)
		return err
	})
	if err != nil {
		return SealedKey{}, nil, fmt.Errorf("proving officer key: %w", err)
	}
	return s, request, nil
}

// newRequest has a key sign a request for its own certificate.
func newRequest(ctx context.Context, k *Key, subject []byte) (*x509.CertificateRequest, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{RawSubject: subject}, requestSigner{ctx, k})
	if err != nil {
		return nil, fmt.Errorf("signing certificate request: %w", err)
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("%w: subject of the certificate request: %w", ErrInput, err)
	}
	return request, nil
}

// requestSigner is an opened key as crypto/x509 takes it, for one call.
type requestSigner struct {
	ctx context.Context
	*Key
}

func (s requestSigner) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.Key.Sign(s.ctx, digest, opts)
}

// generate makes a pair and wraps the private half; neither half stays in the module.
func (m *Module) generate(ctx context.Context, label string, a Algorithm) (w wrapped, pub crypto.PublicKey, err error) {
	if err := checkKEK(label); err != nil {
		return w, nil, err
	}
	spec := kekSpec(label)
	err = m.with(ctx, work{limit: slowCalls * m.cfg.CallTimeout}, func(l *link, s *session) error {
		m.count(l)
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

// by is the mechanism that unwraps it.
func (w wrapped) by() *pkcs11.Mechanism {
	if w.parameter == nil {
		return pkcs11.NewMechanism(w.mechanism, nil)
	}
	return pkcs11.NewMechanism(w.mechanism, w.parameter)
}

// as is the template it unwraps with.
func (w wrapped) as() []*pkcs11.Attribute { return known(unwrapAs(w.algorithm), w.without) }

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
	h, err := s.p11.UnwrapKey(s.handle, []*pkcs11.Mechanism{w.by()}, kek, w.blob, w.as())
	if err != nil {
		return 0, fmt.Errorf("unwrapping key: %w", err)
	}
	return h, nil
}

// prove opens a sealed key the way it will be opened, by way of its stored form, and has sign use it.
func (m *Module) prove(ctx context.Context, b Binding, s SealedKey, pub crypto.PublicKey, pin secret.Text, sign func(*Key) error) error {
	text, err := s.MarshalText()
	if err != nil {
		return err
	}
	var stored SealedKey
	if err := stored.UnmarshalText(text); err != nil {
		return err
	}
	key, err := m.Unseal(ctx, b, stored, pub, pin, Use{Until: time.Now().Add(time.Minute)})
	if err != nil {
		return err
	}
	return errors.Join(sign(key), key.Close())
}

// Use says what an opened key is for.
type Use struct {
	// Bulk is work nobody waits for: it leaves Config.Interactive sessions to others.
	Bulk bool
	// Until is when the key destroys itself, whoever forgot to close it: the deadline of what was
	// authorised. It must be set, and less than MaxUse away.
	Until time.Time
}

// MaxUse is the longest time a key may stay open.
const MaxUse = 24 * time.Hour

func (u Use) check() error {
	if left := time.Until(u.Until); left <= 0 || left > MaxUse {
		return fmt.Errorf("%w: key to be open until %v", ErrInput, u.Until)
	}
	return nil
}

// Unseal opens an officer's key for signing. pub is the public key from its certificate. Errors:
// [ErrWrongPIN] when the seal does not open, which is for the caller to count; [ErrInput] for a
// binding, sealed key, public key or use that cannot be right; [ErrBusy] and [ErrUnavailable],
// which say nothing about the PIN; [ErrNoKey] when the token lacks the KEK or the pepper.
//
// Whether the binding's version is the last one is for the caller to know.
func (m *Module) Unseal(ctx context.Context, b Binding, s SealedKey, pub crypto.PublicKey, pin secret.Text, u Use) (*Key, error) {
	if !b.Algorithm.matches(pub) {
		return nil, fmt.Errorf("%w: public key is not %s", ErrInput, string(b.Algorithm))
	}
	if err := u.check(); err != nil {
		return nil, err
	}
	w, err := m.open(ctx, b, s, pin)
	if err != nil {
		return nil, err
	}
	return m.unwrap(ctx, w, pub, u)
}

// unwrap takes w over: it is wiped with the key.
func (m *Module) unwrap(ctx context.Context, w wrapped, pub crypto.PublicKey, u Use) (*Key, error) {
	k := &localKey{module: m, wrapped: w, public: pub, work: work{bulk: u.Bulk}, until: u.Until}
	if err := k.unwrap(ctx); err != nil {
		clear(w.blob)
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.expiry = time.AfterFunc(time.Until(u.Until), func() { _ = k.close() })
	return &Key{pub, k}, nil
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
	err = m.prove(ctx, next, sealed, pub, new, func(k *Key) error {
		digest := make([]byte, crypto.SHA256.Size())
		if _, err := rand.Read(digest); err != nil {
			return err
		}
		_, err := k.Sign(ctx, digest, crypto.SHA256)
		return err
	})
	if err != nil {
		return b, SealedKey{}, fmt.Errorf("proving officer key: %w", err)
	}
	return next, sealed, nil
}

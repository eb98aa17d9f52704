package hsm

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"regexp"

	"github.com/ThalesGroup/crypto11"
	"github.com/miekg/pkcs11"
)

var signerLabel = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// privateFlags are what the private half of a signing key is and stays.
func privateFlags() map[uint]bool {
	return map[uint]bool{
		pkcs11.CKA_TOKEN: true, pkcs11.CKA_PRIVATE: true,
		pkcs11.CKA_SENSITIVE: true, pkcs11.CKA_EXTRACTABLE: false,
		pkcs11.CKA_MODIFIABLE: false, pkcs11.CKA_COPYABLE: false,
		pkcs11.CKA_SIGN: true, pkcs11.CKA_DECRYPT: false,
		pkcs11.CKA_UNWRAP: false, pkcs11.CKA_DERIVE: false,
	}
}

func publicFlags() map[uint]bool {
	return map[uint]bool{
		pkcs11.CKA_TOKEN: true, pkcs11.CKA_PRIVATE: false, pkcs11.CKA_MODIFIABLE: false,
		pkcs11.CKA_VERIFY: true, pkcs11.CKA_ENCRYPT: false, pkcs11.CKA_WRAP: false,
	}
}

func attributeSet(label string, id []byte, flags map[uint]bool) (crypto11.AttributeSet, error) {
	set, err := crypto11.NewAttributeSetWithIDAndLabel(id, []byte(label))
	if err != nil {
		return nil, err
	}
	for attribute, on := range flags {
		if err := set.Set(attribute, on); err != nil {
			return nil, err
		}
	}
	return set, nil
}

// EnsureSigner makes a signing key pair in the token, for a CA, OCSP responder, time-stamp unit or
// the audit seal, unless the label (1 to 64 of a-z 0-9 . _ -) has one. A pair that is there and of
// another algorithm, or less guarded than EnsureSigner would have made it, gives [ErrKeyPolicy];
// so does a private key without its public half. A public key alone is what an interruption
// leaves: it is removed and a pair made.
func (m *Module) EnsureSigner(ctx context.Context, label string, alg Algorithm) (made bool, err error) {
	if err := checkSignerLabel(label); err != nil {
		return false, err
	}
	if err := alg.check(); err != nil {
		return false, err
	}
	l, err := m.use()
	if err != nil {
		return false, err
	}
	err = l.onServices(ctx, func(s *session) error { return s.clearHalf(label) })
	switch {
	case err == nil:
		signer, err := m.signer(ctx, label)
		if err != nil {
			return false, err
		}
		if !alg.matches(signer.Public()) {
			return false, fmt.Errorf("%w: %q is not %s", ErrKeyPolicy, label, alg)
		}
		return false, nil
	case !errors.Is(err, ErrNoKey):
		return false, err
	}
	slow := work{limit: slowCalls * m.cfg.CallTimeout}
	if err := l.services.do(ctx, slow, func(c *crypto11.Context) error { return makePair(c, label, alg) }); err != nil {
		return false, fmt.Errorf("making key pair %q: %w", label, err)
	}
	_, err = m.signer(ctx, label)
	return true, err
}

func checkSignerLabel(label string) error {
	if !signerLabel.MatchString(label) || kekLabel.MatchString(label) {
		return fmt.Errorf("%w: key label %q", ErrInput, label)
	}
	return nil
}

func makePair(c *crypto11.Context, label string, alg Algorithm) error {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return err
	}
	public, err := attributeSet(label, id, publicFlags())
	if err != nil {
		return err
	}
	private, err := attributeSet(label, id, privateFlags())
	if err != nil {
		return err
	}
	if n := alg.bits(); n != 0 {
		_, err = c.GenerateRSAKeyPairWithAttributes(public, private, n)
		return err
	}
	curve, _ := alg.curve()
	_, err = c.GenerateECDSAKeyPairWithAttributes(public, private, curve)
	return err
}

// clearHalf removes a public key that has no private one, and gives ErrNoKey when there is no pair.
func (s *session) clearHalf(label string) error {
	private, err := s.find(pkcs11.CKO_PRIVATE_KEY, label)
	if err != nil {
		return err
	}
	public, err := s.find(pkcs11.CKO_PUBLIC_KEY, label)
	if err != nil {
		return err
	}
	if len(private) > 0 {
		return s.checkPair(label, private, public)
	}
	for _, h := range public {
		if err := s.p11.DestroyObject(s.handle, h); err != nil {
			return fmt.Errorf("removing public key %q without a private one: %w", label, err)
		}
	}
	return fmt.Errorf("%w: %q", ErrNoKey, label)
}

func (s *session) checkPair(label string, private, public []pkcs11.ObjectHandle) error {
	if len(private) != 1 || len(public) != 1 {
		return fmt.Errorf("%w: %d private and %d public keys labelled %q", ErrKeyPolicy, len(private), len(public), label)
	}
	return s.checkFlags(private[0], label, privateFlags())
}

// Signer gives a signing key of the token: [ErrNoKey] when there is none, [ErrKeyPolicy] when it is
// not guarded as [Module.EnsureSigner] would have made it.
//
// The signer takes SHA-256, SHA-384 and SHA-512 digests; RSA keys sign PKCS #1 v1.5, or PSS with
// [rsa.PSSOptions] and a salt as long as the digest; ECDSA signatures are DER. It may be used from
// several goroutines, waits at most AcquireTimeout for a session ([ErrBusy]), verifies each
// signature before it returns it ([ErrBadSignature]), and ignores the random source.
func (m *Module) Signer(label string) (crypto.Signer, error) {
	if err := checkSignerLabel(label); err != nil {
		return nil, err
	}
	return m.signer(context.Background(), label)
}

func (m *Module) signer(ctx context.Context, label string) (*serviceSigner, error) {
	k := &serviceSigner{m: m, label: label}
	err := m.over(func(l *link) error {
		err := l.onServices(ctx, func(s *session) error { return s.findPair(label) })
		if err != nil {
			return err
		}
		return l.services.do(ctx, work{}, func(c *crypto11.Context) error {
			signer, err := l.services.signer(c, label)
			if err == nil {
				k.public = signer.Public()
			}
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return k, nil
}

// findPair looks for a pair and at how it is guarded.
func (s *session) findPair(label string) error {
	private, err := s.find(pkcs11.CKO_PRIVATE_KEY, label)
	if err != nil {
		return err
	}
	if len(private) == 0 {
		return fmt.Errorf("%w: %q", ErrNoKey, label)
	}
	public, err := s.find(pkcs11.CKO_PUBLIC_KEY, label)
	if err != nil {
		return err
	}
	return s.checkPair(label, private, public)
}

// serviceSigner is a key by its label, so that it outlives crypto11's contexts.
type serviceSigner struct {
	m      *Module
	label  string
	public crypto.PublicKey
}

func (k *serviceSigner) Public() crypto.PublicKey { return k.public }

func (k *serviceSigner) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) (sig []byte, err error) {
	job, err := newSigning(k.public, digest, opts)
	if err != nil {
		return nil, err
	}
	input := digest
	if _, ok := k.public.(*ecdsa.PublicKey); ok {
		input = job.input // cut to the order of the curve
	}
	err = k.m.over(func(l *link) error {
		return l.services.do(context.Background(), work{}, func(c *crypto11.Context) error {
			signer, err := l.services.signer(c, k.label)
			if err == nil {
				sig, err = signer.Sign(rand.Reader, input, opts)
			}
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("signing with %q: %w", k.label, err)
	}
	// crypto11 has encoded an ECDSA signature already.
	if err := job.verify(sig); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadSignature, err)
	}
	return sig, nil
}

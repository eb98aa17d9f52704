package hsm

import (
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"
)

// canaryKey is a key of nobody, wrapped and held in memory, to see whether the module works.
type canaryKey struct {
	wrapped wrapped
	public  crypto.PublicKey
}

// Canary takes an ECDSA P-256 key of its own through what a signature takes: unwrap, sign, verify,
// destroy; and makes one HMAC. About 1 ms on SoftHSM. Its errors are those of [Key.Sign] and
// [Module.MAC]; a nil error means that officers' keys could be used a moment ago. It is also how
// a loss is noticed when nobody signs. The key is wrapped by kek, and made anew when kek is another
// one than the last time: after a rotation the new KEK is what must work, and the old one may be
// retired.
func (m *Module) Canary(ctx context.Context, kek string) error {
	c := m.canary.Load()
	if c == nil || c.wrapped.kek != kek {
		w, pub, err := m.generate(ctx, kek, ECDSAP256)
		if err != nil {
			return fmt.Errorf("making canary key: %w", err)
		}
		c = &canaryKey{w, pub}
		m.canary.Store(c)
	}
	return m.with(ctx, work{}, func(l *link, s *session) error {
		m.count(l) // made every few seconds for years
		return l.sing(s, c)
	})
}

// try is the canary over a link that is not in use yet.
func (l *link) try(ctx context.Context, c *canaryKey) error {
	return l.pool.do(ctx, func(s *session) error { return l.sing(s, c) })
}

func (l *link) sing(s *session, c *canaryKey) error {
	digest := make([]byte, crypto.SHA256.Size())
	if _, err := rand.Read(digest); err != nil {
		return err
	}
	job, err := newSigning(c.public, digest, crypto.SHA256)
	if err != nil {
		return err
	}
	err = l.withSecret(s, kekSpec(c.wrapped.kek), func(kek pkcs11.ObjectHandle) error {
		h, err := s.unwrap(kek, c.wrapped)
		if err != nil {
			return fmt.Errorf("opening canary key: %w", err)
		}
		_, err = s.sign(h, job)
		if derr := s.p11.DestroyObject(s.handle, h); derr != nil {
			s.active = true
			err = errors.Join(err, derr)
		}
		if err != nil {
			return fmt.Errorf("signing with canary key: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return l.withSecret(s, macSpec(pepperKey), func(pepper pkcs11.ObjectHandle) error {
		_, err := s.raw(pepper, signing{mechanism: pkcs11.NewMechanism(pkcs11.CKM_SHA256_HMAC, nil), input: digest})
		return err
	})
}

// hasPepper tells a token of ours from another of the same label.
func (l *link) hasPepper(ctx context.Context) error {
	return l.pool.do(ctx, func(s *session) error {
		_, err := l.secret(s, macSpec(pepperKey))
		return err
	})
}

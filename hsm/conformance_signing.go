package hsm

import (
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/miekg/pkcs11"
	"golang.org/x/sync/errgroup"
)

// pace is how many times something is timed.
const pace = 15

// median times f a few times.
func median(f func() error) (time.Duration, error) {
	var took []time.Duration
	for range pace {
		started := time.Now()
		if err := f(); err != nil {
			return 0, err
		}
		took = append(took, time.Since(started))
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

func milliseconds(d time.Duration) string {
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}

// sessionPair makes a pair of session objects that can sign and nothing else.
func (c *conformance) sessionPair(s *session, alg Algorithm) (key pkcs11.ObjectHandle, pub crypto.PublicKey, took time.Duration, err error) {
	mechanism, public, private := officerPair(alg)
	i := slices.IndexFunc(private, func(a *pkcs11.Attribute) bool { return a.Type == pkcs11.CKA_EXTRACTABLE })
	private[i] = no(pkcs11.CKA_EXTRACTABLE)
	started := time.Now()
	pubHandle, key, err := c.p11.GenerateKeyPair(s.handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}, public, known(private, c.without))
	took = time.Since(started)
	if err != nil {
		return 0, nil, 0, fmt.Errorf("generating pair: %w", err)
	}
	defer s.destroy(pubHandle)
	pub, err = s.publicKey(alg, pubHandle)
	return key, pub, took, err
}

func signatureRow(alg Algorithm) func(*conformance, *session) (string, error) {
	return func(c *conformance, s *session) (string, error) {
		key, pub, made, err := c.sessionPair(s, alg)
		if err != nil {
			return "", err
		}
		defer s.destroy(key)
		took, err := median(func() error { return signOnce(s, key, pub, crypto.SHA256) })
		if err != nil {
			return "", err
		}
		return "generation " + milliseconds(made) + ", signature and its verification " + milliseconds(took), nil
	}
}

func (c *conformance) rowPSS(s *session) (string, error) {
	key, pub, _, err := c.sessionPair(s, RSA2048)
	if err != nil {
		return "", err
	}
	defer s.destroy(key)
	return "", signOnce(s, key, pub, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
}

// custodyRow takes a key the way of an officer's, without the PIN's seal.
func custodyRow(alg Algorithm) func(*conformance, *session) (string, error) {
	return func(c *conformance, s *session) (string, error) {
		kek, err := c.kek(s)
		if err != nil {
			return "", err
		}
		w, pub, how, err := c.wrapped(s, kek, alg)
		if err != nil {
			return "", err
		}
		if how != "" {
			return "", errors.New("neither 0x210B nor 0x210A wraps it")
		}
		took, err := median(func() error {
			key, err := s.unwrap(kek, w)
			if err != nil {
				return err
			}
			return errors.Join(signOnce(s, key, pub, crypto.SHA256), c.p11.DestroyObject(s.handle, key))
		})
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("mechanism 0x%X, %d bytes, %s each time", w.mechanism, len(w.blob), milliseconds(took)), nil
	}
}

// anyKey is a signing key of any kind the module can make.
func (c *conformance) anyKey(s *session) (key pkcs11.ObjectHandle, pub crypto.PublicKey, err error) {
	for _, alg := range []Algorithm{ECDSAP256, RSA2048} {
		if key, pub, _, err = c.sessionPair(s, alg); err == nil {
			return key, pub, nil
		}
	}
	return 0, nil, err
}

// rowParallel signs with one key from many threads, each with a session of its own, as a batch does.
func (c *conformance) rowParallel(s *session) (string, error) {
	key, pub, err := c.anyKey(s)
	if err != nil {
		return "", err
	}
	defer s.destroy(key)
	var all []*session
	defer func() {
		for _, other := range all {
			_ = c.p11.CloseSession(other.handle)
		}
	}()
	for range sessionsAtOnce() {
		other, err := c.session()
		if err != nil {
			return "", fmt.Errorf("opening session %d: %w", len(all)+1, err)
		}
		all = append(all, other)
	}
	var group errgroup.Group
	for _, other := range all {
		group.Go(func() error {
			for range 25 {
				if err := signOnce(other, key, pub, crypto.SHA256); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return fmt.Sprintf("%d sessions", len(all)), group.Wait()
}

// rowSessionEnd: a key must not outlive the session that made it (PKCS#11 v2.40, Section 4.1).
func (c *conformance) rowSessionEnd(s *session) (string, error) {
	other, err := c.session()
	if err != nil {
		return "", err
	}
	key, pub, err := c.anyKey(other)
	if err != nil {
		return "", errors.Join(err, c.p11.CloseSession(other.handle))
	}
	if err := c.p11.CloseSession(other.handle); err != nil {
		return "", fmt.Errorf("closing session: %w", err)
	}
	if err := signOnce(s, key, pub, crypto.SHA256); err == nil {
		s.destroy(key)
		return "", unsafely("a session object still signs after its session was closed")
	}
	return "", nil
}

// rowDestroyed: whether a handle dies at once, and does not take the module with it.
func (c *conformance) rowDestroyed(s *session) (string, error) {
	key, pub, err := c.anyKey(s)
	if err != nil {
		return "", err
	}
	if err := signOnce(s, key, pub, crypto.SHA256); err != nil {
		return "", err
	}
	if err := c.p11.DestroyObject(s.handle, key); err != nil {
		return "", fmt.Errorf("destroying key: %w", err)
	}
	if err := signOnce(s, key, pub, crypto.SHA256); err == nil {
		return "", unsafely("a destroyed key still signs")
	} else if fault := classify(err); fault != faultObject {
		return "answers " + explain(err), nil
	}
	return "", nil
}

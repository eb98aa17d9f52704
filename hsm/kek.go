package hsm

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/miekg/pkcs11"
)

var kekLabel = regexp.MustCompile(`^mohor-kek-[1-9][0-9]{0,5}$`)

// checkKEK: a KEK is labelled "mohor-kek-" and a number from 1 to 999,999.
func checkKEK(label string) error {
	if !kekLabel.MatchString(label) {
		return fmt.Errorf("%w: KEK label %q", ErrInput, label)
	}
	return nil
}

// MakeKEK makes another KEK ("mohor-kek-" and a number) in the token, for a rotation. Unlike
// [Module.EnsureKeys] it takes no key that is there, whatever its flags ([ErrKeyExists]): somebody
// with the log-in may have put one there whose value is known. What it made says CKA_LOCAL, or
// MakeKEK gives [ErrKeyPolicy] and destroys it.
func (m *Module) MakeKEK(ctx context.Context, label string) error {
	if err := checkKEK(label); err != nil {
		return err
	}
	l, err := m.use()
	if err != nil {
		return err
	}
	spec := kekSpec(label)
	err = l.pool.do(ctx, func(s *session) error {
		if err := s.vacant(label); err != nil {
			return err
		}
		if err := s.makeSecret(spec); err != nil {
			return err
		}
		h, err := s.findSecret(spec)
		if err != nil {
			return err
		}
		if err := s.checkFlags(h, label, map[uint]bool{pkcs11.CKA_LOCAL: true}); err != nil {
			return errors.Join(err, s.p11.DestroyObject(s.handle, h))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("making key %q: %w", label, err)
	}
	return nil
}

// vacant is ErrKeyExists when the token has a secret key of that label.
func (s *session) vacant(label string) error {
	found, err := s.find(pkcs11.CKO_SECRET_KEY, label)
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("%w: %q", ErrKeyExists, label)
	}
	return err
}

// DestroyKEK destroys every key of a KEK's label in the token; that there is none is no error.
// What the KEK wrapped never opens again.
func (m *Module) DestroyKEK(ctx context.Context, label string) error {
	if err := checkKEK(label); err != nil {
		return err
	}
	l, err := m.use()
	if err != nil {
		return err
	}
	l.mu.Lock()
	delete(l.handles, label)
	l.mu.Unlock()
	err = l.pool.do(ctx, func(s *session) error {
		found, err := s.find(pkcs11.CKO_SECRET_KEY, label)
		if err != nil {
			return err
		}
		for _, h := range found {
			if err := s.p11.DestroyObject(s.handle, h); err != nil {
				return err
			}
		}
		return s.vacant(label)
	})
	if err != nil {
		return fmt.Errorf("destroying key %q: %w", label, err)
	}
	return nil
}

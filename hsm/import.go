package hsm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"

	"github.com/miekg/pkcs11"
)

// Import puts a key of 32 bytes into the token (C_CreateObject), as [Module.EnsureKeys] would have
// made it but for CKA_LOCAL, which is false: the KEK of that label ("mohor-kek-" and a number), or
// one of "mohor-pepper", "mohor-code", "mohor-intent" and "mohor-idempotency". [ErrKeyExists] when
// there is one; [ErrKeyPolicy] when the module made something else of it, which is destroyed.
//
// The key passes through this process's memory, and the module's; wiping it is the caller's.
func (m *Module) Import(ctx context.Context, label string, key []byte) error {
	var spec keySpec
	switch secretKind(label) {
	case "KEK":
		spec = kekSpec(label)
	case "HMAC":
		spec = macSpec(MACKey(label))
	default:
		return fmt.Errorf("%w: no key to import is labelled %q", ErrInput, label)
	}
	if len(key) != 32 {
		return fmt.Errorf("%w: key %q of %d bytes", ErrInput, label, len(key))
	}
	l, err := m.use()
	if err != nil {
		return err
	}
	err = l.pool.do(ctx, func(s *session) error {
		if err := s.vacant(label); err != nil {
			return err
		}
		h, err := s.importSecret(spec, key)
		if err != nil {
			return err
		}
		if _, err := s.findSecret(spec); err != nil {
			return errors.Join(err, s.p11.DestroyObject(s.handle, h))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("importing key %q: %w", label, err)
	}
	return nil
}

// importSecret makes a token object that is never, not for a moment, less guarded than it stays.
func (s *session) importSecret(spec keySpec, key []byte) (pkcs11.ObjectHandle, error) {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return 0, err
	}
	template := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, spec.keyType),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, spec.label),
		pkcs11.NewAttribute(pkcs11.CKA_ID, id),
		pkcs11.NewAttribute(pkcs11.CKA_VALUE, key),
	}
	for attribute, on := range spec.flags {
		if attribute != pkcs11.CKA_MODIFIABLE {
			template = append(template, pkcs11.NewAttribute(attribute, on))
		}
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	if spec.unwrap {
		template = append(template, arrayAttribute(&pin, pkcs11.CKA_UNWRAP_TEMPLATE, unwrapTemplate()))
	}
	// Last: SoftHSM sets attributes in this order, and none after this one.
	return s.p11.CreateObject(s.handle, append(template, no(pkcs11.CKA_MODIFIABLE)))
}

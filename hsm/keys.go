package hsm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"

	"github.com/miekg/pkcs11"
)

// MACKey names an HMAC-SHA-256 key in the token.
type MACKey string

// The HMAC keys [Module.MAC] can use. The pepper is not among them: with it, whoever can ask for
// a MAC could try officers' PINs.
const (
	CodeKey        MACKey = "mohor-code"        // one-time codes
	IntentKey      MACKey = "mohor-intent"      // seals of intents
	IdempotencyKey MACKey = "mohor-idempotency" // fingerprints of requests
	pepperKey      MACKey = "mohor-pepper"      // officers' PINs
)

// keySpec says how a secret key in the token is made, and what it must be when found.
type keySpec struct {
	label     string
	mechanism uint
	keyType   uint
	flags     map[uint]bool
	unwrap    bool // carries CKA_UNWRAP_TEMPLATE
}

// guarded are the flags every secret key of ours has; use adds what it may be used for.
func guarded(use ...uint) map[uint]bool {
	flags := map[uint]bool{
		pkcs11.CKA_TOKEN: true, pkcs11.CKA_PRIVATE: true,
		pkcs11.CKA_SENSITIVE: true, pkcs11.CKA_EXTRACTABLE: false,
		pkcs11.CKA_MODIFIABLE: false, pkcs11.CKA_COPYABLE: false,
		pkcs11.CKA_ENCRYPT: false, pkcs11.CKA_DECRYPT: false,
		pkcs11.CKA_SIGN: false, pkcs11.CKA_VERIFY: false,
		pkcs11.CKA_WRAP: false, pkcs11.CKA_UNWRAP: false, pkcs11.CKA_DERIVE: false,
	}
	for _, u := range use {
		flags[u] = true
	}
	return flags
}

func kekSpec(label string) keySpec {
	return keySpec{label, pkcs11.CKM_AES_KEY_GEN, pkcs11.CKK_AES, guarded(pkcs11.CKA_WRAP, pkcs11.CKA_UNWRAP), true}
}

func macSpec(key MACKey) keySpec {
	return keySpec{string(key), pkcs11.CKM_GENERIC_SECRET_KEY_GEN, pkcs11.CKK_GENERIC_SECRET, guarded(pkcs11.CKA_SIGN, pkcs11.CKA_VERIFY), false}
}

func specs(kek string) []keySpec {
	return []keySpec{kekSpec(kek), macSpec(pepperKey), macSpec(CodeKey), macSpec(IntentKey), macSpec(IdempotencyKey)}
}

// EnsureKeys makes the secret keys the gateway needs and the token lacks (the KEK of that label,
// pepper, code, intent and idempotency keys, 256 bits each) and gives the labels of those it made.
// Keys that are there, made in the token or imported ([Module.Import]), are checked:
// [ErrKeyPolicy] when one is not as EnsureKeys would have made it, or there are two. Run again
// after an interruption it makes what is missing. Whether a key that is there is the one that
// ought to be is for the caller to know; see [Module.Keys].
//
// Keys made here cannot leave the token. Losing the pepper or a KEK loses the officers' keys; a
// backup of the token itself is the operator's.
func (m *Module) EnsureKeys(ctx context.Context, kek string) (made []string, err error) {
	if err := checkKEK(kek); err != nil {
		return nil, err
	}
	for _, spec := range specs(kek) {
		err := m.with(ctx, work{limit: slowCalls * m.cfg.CallTimeout}, func(_ *link, s *session) error {
			_, err := s.findSecret(spec)
			if !errors.Is(err, ErrNoKey) {
				return err
			}
			if err := s.makeSecret(spec); err != nil {
				return fmt.Errorf("making key %q: %w", spec.label, err)
			}
			made = append(made, spec.label)
			// Found again, so that a module which did not do as told is found out here, and so
			// are two processes doing this at once.
			_, err = s.findSecret(spec)
			return err
		})
		if err != nil {
			return made, err
		}
	}
	return made, nil
}

func (s *session) makeSecret(spec keySpec) error {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return err
	}
	template := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, spec.keyType),
		pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, 32),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, spec.label),
		pkcs11.NewAttribute(pkcs11.CKA_ID, id),
	}
	for attribute, on := range spec.flags {
		template = append(template, pkcs11.NewAttribute(attribute, on))
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	if spec.unwrap {
		template = append(template, arrayAttribute(&pin, pkcs11.CKA_UNWRAP_TEMPLATE, unwrapTemplate()))
	}
	_, err := s.p11.GenerateKey(s.handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(spec.mechanism, nil)}, template)
	return err
}

// findSecret finds a key and checks its flags.
func (s *session) findSecret(spec keySpec) (pkcs11.ObjectHandle, error) {
	found, err := s.find(pkcs11.CKO_SECRET_KEY, spec.label)
	if err != nil {
		return 0, err
	}
	switch len(found) {
	case 0:
		return 0, fmt.Errorf("%w: %q", ErrNoKey, spec.label)
	case 1:
	default:
		return 0, fmt.Errorf("%w: %d keys labelled %q", ErrKeyPolicy, len(found), spec.label)
	}
	attrs, err := s.p11.GetAttributeValue(s.handle, found[0], []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, nil)})
	if err != nil {
		return 0, fmt.Errorf("reading attributes of key %q: %w", spec.label, err)
	}
	if string(attrs[0].Value) != string(pkcs11.NewAttribute(0, spec.keyType).Value) {
		return 0, fmt.Errorf("%w: %q is of another type", ErrKeyPolicy, spec.label)
	}
	return found[0], s.checkFlags(found[0], spec.label, spec.flags)
}

// find gives the token objects of a class and label, at most 16.
func (s *session) find(class uint, label string) ([]pkcs11.ObjectHandle, error) {
	err := s.p11.FindObjectsInit(s.handle, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, class),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, label),
		yes(pkcs11.CKA_TOKEN),
	})
	if err != nil {
		return nil, fmt.Errorf("finding key %q: %w", label, err)
	}
	s.active = true
	found, _, err := s.p11.FindObjects(s.handle, 16)
	if err != nil {
		return nil, fmt.Errorf("finding key %q: %w", label, err)
	}
	if err := s.p11.FindObjectsFinal(s.handle); err != nil {
		return nil, fmt.Errorf("finding key %q: %w", label, err)
	}
	s.active = false
	return found, nil
}

// checkFlags compares the boolean attributes of an object with what they must be.
func (s *session) checkFlags(h pkcs11.ObjectHandle, label string, flags map[uint]bool) error {
	for attribute, want := range flags {
		attrs, err := s.p11.GetAttributeValue(s.handle, h, []*pkcs11.Attribute{pkcs11.NewAttribute(attribute, nil)})
		if err != nil {
			return fmt.Errorf("reading attribute 0x%X of key %q: %w", attribute, label, err)
		}
		if v := attrs[0].Value; len(v) != 1 || (v[0] != 0) != want {
			return fmt.Errorf("%w: attribute 0x%X of %q is not %t", ErrKeyPolicy, attribute, label, want)
		}
	}
	return nil
}

// secret gives the handle of a key, found once per link.
func (l *link) secret(s *session, spec keySpec) (pkcs11.ObjectHandle, error) {
	l.mu.Lock()
	h, ok := l.handles[spec.label]
	l.mu.Unlock()
	if ok {
		return h, nil
	}
	h, err := s.findSecret(spec)
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	l.handles[spec.label] = h
	l.mu.Unlock()
	return h, nil
}

// withSecret runs f with a key; a handle that died is found anew, once.
func (l *link) withSecret(s *session, spec keySpec, f func(pkcs11.ObjectHandle) error) error {
	for again := true; ; again = false {
		h, err := l.secret(s, spec)
		if errors.Is(err, ErrNoKey) && !again {
			// It was there a moment ago: the token was taken away.
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if err != nil {
			return err
		}
		err = f(h)
		if classify(err) != faultObject || s.active {
			return err
		}
		if !again {
			return fmt.Errorf("%w: %v", ErrUnavailable, err) // not to be taken for a handle of the caller's
		}
		l.mu.Lock()
		delete(l.handles, spec.label)
		l.mu.Unlock()
	}
}

// MAC gives HMAC-SHA-256 (FIPS 198-1) of data under a key of the token: 32 bytes.
func (m *Module) MAC(ctx context.Context, key MACKey, data []byte) ([]byte, error) {
	switch key {
	case CodeKey, IntentKey, IdempotencyKey:
		return m.mac(ctx, key, data)
	}
	return nil, fmt.Errorf("%w: MAC key %q", ErrInput, string(key))
}

func (m *Module) mac(ctx context.Context, key MACKey, data []byte) (sum []byte, err error) {
	job := signing{mechanism: pkcs11.NewMechanism(pkcs11.CKM_SHA256_HMAC, nil), input: data}
	err = m.with(ctx, work{}, func(l *link, s *session) error {
		return l.withSecret(s, macSpec(key), func(h pkcs11.ObjectHandle) error {
			sum, err = s.raw(h, job)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("making HMAC with %q: %w", string(key), err)
	}
	if len(sum) != 32 {
		return nil, fmt.Errorf("%w: HMAC-SHA-256 of %d bytes", ErrBadSignature, len(sum))
	}
	return sum, nil
}

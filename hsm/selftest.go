package hsm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/pkcs11"
)

// SelfTest attacks the module with the log-in this process has, and gives [ErrUnsafeModule], with
// all that was found, when it gives way:
//
//   - the KEK, the pepper or an HMAC key can be read, changed (C_SetAttributeValue) or copied
//     (C_CopyObject), or the KEK used to encrypt, decrypt or sign;
//   - a wrapped key can be unwrapped extractable, non-sensitive, modifiable, for decryption, as a
//     token object or as a secret key, by saying so or by saying nothing, or an unwrapped one be read, changed, copied or wrapped;
//   - an altered or shortened wrapped key unwraps.
//
// Then it runs [Module.Canary]. kek is the KEK to attack, the one new keys are wrapped by. It needs
// the keys of [Module.EnsureKeys], takes a few
// milliseconds, and leaves nothing behind in a module that resists. To be run before every start.
func (m *Module) SelfTest(ctx context.Context, kek string) error {
	w, pub, err := m.generate(ctx, kek, ECDSAP256)
	if err != nil {
		return fmt.Errorf("generating a key to attack: %w", err)
	}
	a := &attack{}
	err = m.with(ctx, work{limit: slowCalls * m.cfg.CallTimeout}, func(_ *link, s *session) error {
		*a = attack{s: s}
		defer func() { s.active = true }() // whatever it was left in, nobody is to have this session
		for _, spec := range specs(kek) {
			h, err := s.findSecret(spec)
			if err != nil {
				return err
			}
			a.key(spec, h)
			if spec.unwrap {
				a.wrapping(h, w)
			}
		}
		return a.stopped
	})
	if err != nil {
		return fmt.Errorf("testing module: %w", err)
	}
	if len(a.found) > 0 {
		return fmt.Errorf("%w: %w", ErrUnsafeModule, errors.Join(a.found...))
	}
	m.canary.Store(&canaryKey{w, pub})
	return m.Canary(ctx, kek)
}

// attack collects what the module let happen.
type attack struct {
	s       *session
	found   []error
	stopped error // the module went away: nothing was proved
}

// refused notes an attack that worked. An error that says the module or session is lost proves
// nothing, and ends the test.
func (a *attack) refused(err error, format string, args ...any) bool {
	switch classify(err) {
	case faultNone:
		a.found = append(a.found, fmt.Errorf(format, args...))
		return false
	case faultSession:
		a.stopped = errors.Join(a.stopped, err)
	case faultModule:
		// CKR_GENERAL_ERROR and the like is how some modules refuse; the canary, which comes
		// last, tells whether they are alive.
	}
	return true
}

// key attacks a secret key in the token.
func (a *attack) key(spec keySpec, h pkcs11.ObjectHandle) {
	a.unreadable(h, spec.label, pkcs11.CKA_VALUE)
	changes := []*pkcs11.Attribute{
		yes(pkcs11.CKA_EXTRACTABLE), no(pkcs11.CKA_SENSITIVE), yes(pkcs11.CKA_MODIFIABLE), yes(pkcs11.CKA_COPYABLE),
		yes(pkcs11.CKA_DECRYPT), yes(pkcs11.CKA_ENCRYPT), yes(pkcs11.CKA_DERIVE), yes(pkcs11.CKA_SIGN), yes(pkcs11.CKA_UNWRAP),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, spec.label),
	}
	a.unchangeable(h, spec.label, changes)
	if !spec.unwrap {
		return
	}
	// What is wrapped under a key must not come out by decrypting with it.
	p, s := a.s.p11, a.s
	for _, mechanism := range []*pkcs11.Mechanism{
		pkcs11.NewMechanism(pkcs11.CKM_AES_ECB, nil),
		pkcs11.NewMechanism(pkcs11.CKM_AES_CBC, make([]byte, 16)),
		pkcs11.NewMechanism(pkcs11.CKM_AES_CBC_PAD, make([]byte, 16)),
	} {
		a.reset(a.refused(p.DecryptInit(s.handle, []*pkcs11.Mechanism{mechanism}, h), "%q decrypts with mechanism 0x%X", spec.label, mechanism.Mechanism),
			func() error { _, err := p.Decrypt(s.handle, make([]byte, 16)); return err })
		a.reset(a.refused(p.EncryptInit(s.handle, []*pkcs11.Mechanism{mechanism}, h), "%q encrypts with mechanism 0x%X", spec.label, mechanism.Mechanism),
			func() error { _, err := p.Encrypt(s.handle, make([]byte, 16)); return err })
	}
	mac := []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_CMAC, nil)}
	a.reset(a.refused(p.SignInit(s.handle, mac, h), "%q signs", spec.label),
		func() error { _, err := p.Sign(s.handle, make([]byte, 16)); return err })
}

// reset ends an operation that should not have begun; how it ends does not matter.
func (a *attack) reset(refused bool, end func() error) {
	if !refused {
		_ = end()
	}
}

func (a *attack) unreadable(h pkcs11.ObjectHandle, label string, attribute uint) {
	attrs, err := a.s.p11.GetAttributeValue(a.s.handle, h, []*pkcs11.Attribute{pkcs11.NewAttribute(attribute, nil)})
	if err == nil && len(attrs[0].Value) == 0 {
		return // said nothing
	}
	a.refused(err, "%q can be read", label)
}

// unchangeable tries each change in place and in a copy.
func (a *attack) unchangeable(h pkcs11.ObjectHandle, label string, changes []*pkcs11.Attribute) {
	for _, c := range changes {
		err := a.s.p11.SetAttributeValue(a.s.handle, h, []*pkcs11.Attribute{c})
		a.refused(err, "attribute 0x%X of %q can be changed", c.Type, label)
		a.uncopyable(h, label, c, no(pkcs11.CKA_TOKEN))
	}
	a.uncopyable(h, label, no(pkcs11.CKA_TOKEN))
}

func (a *attack) uncopyable(h pkcs11.ObjectHandle, label string, template ...*pkcs11.Attribute) {
	c, err := a.s.p11.CopyObject(a.s.handle, h, template)
	if !a.refused(err, "%q can be copied with attribute 0x%X", label, template[0].Type) {
		a.s.destroy(c)
	}
}

// wrapping attacks what the KEK wraps.
func (a *attack) wrapping(kek pkcs11.ObjectHandle, w wrapped) {
	for _, deviation := range []*pkcs11.Attribute{
		yes(pkcs11.CKA_EXTRACTABLE), no(pkcs11.CKA_SENSITIVE), yes(pkcs11.CKA_TOKEN), no(pkcs11.CKA_PRIVATE),
		yes(pkcs11.CKA_MODIFIABLE), yes(pkcs11.CKA_COPYABLE), yes(pkcs11.CKA_DECRYPT), yes(pkcs11.CKA_UNWRAP),
		yes(pkcs11.CKA_DERIVE), pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
	} {
		template := unwrapAs(w.algorithm)
		i := slices.IndexFunc(template, func(t *pkcs11.Attribute) bool { return t.Type == deviation.Type })
		left, wanted := slices.Delete(slices.Clone(template), i, i+1), template[i]
		template[i] = deviation
		if deviation.Type == pkcs11.CKA_CLASS {
			template[0] = pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_GENERIC_SECRET)
		}
		a.unwrap(kek, w, template, "wrapped key unwraps with another attribute 0x%X", deviation.Type)
		a.unwrapLeft(kek, w, left, wanted)
	}
	for i := range w.blob {
		altered := w
		altered.blob = slices.Clone(w.blob)
		altered.blob[i] ^= 1
		a.unwrap(kek, altered, nil, "wrapped key unwraps with byte %d altered", i)
	}
	short := w
	short.blob = w.blob[:len(w.blob)-8]
	a.unwrap(kek, short, nil, "wrapped key unwraps shortened")
	a.unwrapped(kek, w)
}

// unwrap tries a template, or our own when it is nil.
func (a *attack) unwrap(kek pkcs11.ObjectHandle, w wrapped, template []*pkcs11.Attribute, format string, args ...any) {
	var h pkcs11.ObjectHandle
	var err error
	if template == nil {
		h, err = a.s.unwrap(kek, w)
	} else {
		h, err = a.s.p11.UnwrapKey(a.s.handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(w.mechanism, nil)}, kek, w.blob, template)
	}
	if !a.refused(err, format, args...) {
		a.s.destroy(h)
	}
}

// unwrapLeft leaves an attribute out. The module may refuse, or fill in what the KEK's template or
// the standard's default says (PKCS#11 v2.40, Section 4.10), as long as that is what was wanted.
func (a *attack) unwrapLeft(kek pkcs11.ObjectHandle, w wrapped, left []*pkcs11.Attribute, wanted *pkcs11.Attribute) {
	p, s := a.s.p11, a.s
	h, err := p.UnwrapKey(s.handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(w.mechanism, nil)}, kek, w.blob, left)
	if err != nil {
		a.refused(err, "")
		return
	}
	defer s.destroy(h)
	attrs, err := p.GetAttributeValue(s.handle, h, []*pkcs11.Attribute{pkcs11.NewAttribute(wanted.Type, nil)})
	if err != nil || !bytes.Equal(attrs[0].Value, wanted.Value) {
		a.found = append(a.found, fmt.Errorf("wrapped key unwraps otherwise when attribute 0x%X is left out", wanted.Type))
	}
}

// unwrapped attacks a key unwrapped as it should be.
func (a *attack) unwrapped(kek pkcs11.ObjectHandle, w wrapped) {
	h, err := a.s.unwrap(kek, w)
	if err != nil {
		a.stopped = errors.Join(a.stopped, err)
		return
	}
	defer a.s.destroy(h)
	a.unreadable(h, "unwrapped key", pkcs11.CKA_VALUE)
	a.unchangeable(h, "unwrapped key", []*pkcs11.Attribute{
		yes(pkcs11.CKA_EXTRACTABLE), no(pkcs11.CKA_SENSITIVE), yes(pkcs11.CKA_DECRYPT), yes(pkcs11.CKA_MODIFIABLE),
	})
	_, _, err = a.s.wrap(kek, h)
	a.refused(err, "unwrapped key can be wrapped again")
}

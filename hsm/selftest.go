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
//     (C_CopyObject), or wrapped by another key, or the KEK used to encrypt, decrypt, derive or sign;
//   - a wrapped key can be unwrapped extractable, non-sensitive, modifiable, for decryption, as a
//     token object or as a secret key, by saying so or by saying nothing, or an unwrapped one be read,
//     changed, copied or wrapped, or is not what was asked for;
//   - an altered, shortened or lengthened wrapped key unwraps.
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
	a.guarded(spec, h)
	a.unwrappable(h, spec.label)
	if spec.unwrap {
		a.unusable(spec.label, h)
	}
}

// guarded tries to change a secret key, in place and in a copy.
func (a *attack) guarded(spec keySpec, h pkcs11.ObjectHandle) {
	changes := []*pkcs11.Attribute{
		yes(pkcs11.CKA_EXTRACTABLE), no(pkcs11.CKA_SENSITIVE), yes(pkcs11.CKA_MODIFIABLE), yes(pkcs11.CKA_COPYABLE),
		yes(pkcs11.CKA_DECRYPT), yes(pkcs11.CKA_ENCRYPT), yes(pkcs11.CKA_DERIVE), yes(pkcs11.CKA_SIGN), yes(pkcs11.CKA_UNWRAP),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, spec.label),
	}
	if spec.unwrap {
		changes = append(changes, pkcs11.NewAttribute(pkcs11.CKA_UNWRAP_TEMPLATE, []byte{}))
	}
	a.unchangeable(h, spec.label, changes)
}

// unusable: what is wrapped under a key must not come out by decrypting with it. The wrapping
// mechanisms are among those tried, since PKCS#11 v3.0, Section 6.13, has them for C_Decrypt too.
func (a *attack) unusable(label string, h pkcs11.ObjectHandle) {
	p, s := a.s.p11, a.s
	block := make([]byte, 16)
	for _, mechanism := range []*pkcs11.Mechanism{
		pkcs11.NewMechanism(pkcs11.CKM_AES_ECB, nil),
		pkcs11.NewMechanism(pkcs11.CKM_AES_CBC, block),
		pkcs11.NewMechanism(pkcs11.CKM_AES_CBC_PAD, block),
		pkcs11.NewMechanism(pkcs11.CKM_AES_CTR, append([]byte{128, 0, 0, 0, 0, 0, 0, 0}, block...)), // CK_AES_CTR_PARAMS
		pkcs11.NewMechanism(pkcs11.CKM_AES_KEY_WRAP, nil),
		pkcs11.NewMechanism(pkcs11.CKM_AES_KEY_WRAP_PAD, nil),
		pkcs11.NewMechanism(ckmAESKeyWrapKWP, nil),
	} {
		a.reset(a.refused(p.DecryptInit(s.handle, []*pkcs11.Mechanism{mechanism}, h), "%q decrypts with mechanism 0x%X", label, mechanism.Mechanism),
			func() error { _, err := p.Decrypt(s.handle, block); return err })
		a.reset(a.refused(p.EncryptInit(s.handle, []*pkcs11.Mechanism{mechanism}, h), "%q encrypts with mechanism 0x%X", label, mechanism.Mechanism),
			func() error { _, err := p.Encrypt(s.handle, block); return err })
	}
	mac := []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_CMAC, nil)}
	a.reset(a.refused(p.SignInit(s.handle, mac, h), "%q signs", label),
		func() error { _, err := p.Sign(s.handle, block); return err })
	// A key derived from it is its digest.
	derived, err := p.DeriveKey(s.handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_SHA256_KEY_DERIVATION, nil)}, h, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY), pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_GENERIC_SECRET),
		pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, 32), no(pkcs11.CKA_TOKEN), yes(pkcs11.CKA_EXTRACTABLE), no(pkcs11.CKA_SENSITIVE),
	})
	if !a.refused(err, "%q derives keys", label) {
		s.destroy(derived)
	}
}

// unwrappable makes a key of the attacker's, which could be one whose value is known, and tries to
// take h out under it.
func (a *attack) unwrappable(h pkcs11.ObjectHandle, label string) {
	p, s := a.s.p11, a.s
	own, err := p.GenerateKey(s.handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_KEY_GEN, nil)}, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, 32), no(pkcs11.CKA_TOKEN), yes(pkcs11.CKA_WRAP), yes(pkcs11.CKA_EXTRACTABLE), no(pkcs11.CKA_SENSITIVE),
	})
	if err != nil {
		return // the module does not let anybody have such a key
	}
	defer s.destroy(own)
	for _, mechanism := range []uint{ckmAESKeyWrapKWP, pkcs11.CKM_AES_KEY_WRAP_PAD, pkcs11.CKM_AES_KEY_WRAP, pkcs11.CKM_AES_ECB} {
		_, err := p.WrapKey(s.handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}, own, h)
		a.refused(err, "%q can be wrapped by another key with mechanism 0x%X", label, mechanism)
	}
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
	a.refused(err, "%s of %q can be read", attributeName(attribute), label)
}

// unchangeable tries each change in place and in a copy.
func (a *attack) unchangeable(h pkcs11.ObjectHandle, label string, changes []*pkcs11.Attribute) {
	for _, c := range changes {
		err := a.s.p11.SetAttributeValue(a.s.handle, h, []*pkcs11.Attribute{c})
		a.refused(err, "%s of %q can be changed", attributeName(c.Type), label)
		a.uncopyable(h, label, c, no(pkcs11.CKA_TOKEN))
	}
	a.uncopyable(h, label, no(pkcs11.CKA_TOKEN))
}

func (a *attack) uncopyable(h pkcs11.ObjectHandle, label string, template ...*pkcs11.Attribute) {
	c, err := a.s.p11.CopyObject(a.s.handle, h, template)
	if !a.refused(err, "%q can be copied with another %s", label, attributeName(template[0].Type)) {
		a.s.destroy(c)
	}
}

// wrapping attacks what the KEK wraps.
func (a *attack) wrapping(kek pkcs11.ObjectHandle, w wrapped) {
	a.template(kek, w)
	a.altered(kek, w)
	a.unwrapped(kek, w)
}

// template tries to unwrap a key as something else than CKA_UNWRAP_TEMPLATE says.
func (a *attack) template(kek pkcs11.ObjectHandle, w wrapped) {
	for _, deviation := range []*pkcs11.Attribute{
		yes(pkcs11.CKA_EXTRACTABLE), no(pkcs11.CKA_SENSITIVE), yes(pkcs11.CKA_TOKEN), no(pkcs11.CKA_PRIVATE),
		yes(pkcs11.CKA_MODIFIABLE), yes(pkcs11.CKA_COPYABLE), yes(pkcs11.CKA_DECRYPT), yes(pkcs11.CKA_UNWRAP),
		yes(pkcs11.CKA_DERIVE), pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
	} {
		template := w.as()
		i := slices.IndexFunc(template, func(t *pkcs11.Attribute) bool { return t.Type == deviation.Type })
		if i < 0 {
			continue
		}
		left, wanted := slices.Delete(slices.Clone(template), i, i+1), template[i]
		template[i] = deviation
		if deviation.Type == pkcs11.CKA_CLASS {
			template[0] = pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_GENERIC_SECRET)
		}
		a.unwrap(kek, w, template, "wrapped key unwraps with another %s", attributeName(deviation.Type))
		a.unwrapLeft(kek, w, left, wanted)
	}
}

// altered tries blobs that are not as the KEK made them.
func (a *attack) altered(kek pkcs11.ObjectHandle, w wrapped) {
	try := func(blob []byte, format string, args ...any) {
		altered := w
		altered.blob = blob
		a.unwrap(kek, altered, nil, format, args...)
	}
	for i := range w.blob {
		blob := slices.Clone(w.blob)
		blob[i] ^= 1
		try(blob, "wrapped key unwraps with byte %d altered", i)
	}
	try(w.blob[:len(w.blob)-8], "wrapped key unwraps shortened")
	try(append(slices.Clone(w.blob), make([]byte, 8)...), "wrapped key unwraps lengthened")
}

// unwrap tries a template, or our own when it is nil.
func (a *attack) unwrap(kek pkcs11.ObjectHandle, w wrapped, template []*pkcs11.Attribute, format string, args ...any) {
	var h pkcs11.ObjectHandle
	var err error
	if template == nil {
		h, err = a.s.unwrap(kek, w)
	} else {
		h, err = a.s.p11.UnwrapKey(a.s.handle, []*pkcs11.Mechanism{w.by()}, kek, w.blob, template)
	}
	if !a.refused(err, format, args...) {
		a.s.destroy(h)
	}
}

// unwrapLeft leaves an attribute out. The module may refuse, or fill in what the KEK's template or
// the standard's default says (PKCS#11 v2.40, Section 4.10), as long as that is what was wanted.
func (a *attack) unwrapLeft(kek pkcs11.ObjectHandle, w wrapped, left []*pkcs11.Attribute, wanted *pkcs11.Attribute) {
	p, s := a.s.p11, a.s
	h, err := p.UnwrapKey(s.handle, []*pkcs11.Mechanism{w.by()}, kek, w.blob, left)
	if err != nil {
		a.refused(err, "")
		return
	}
	defer s.destroy(h)
	attrs, err := p.GetAttributeValue(s.handle, h, []*pkcs11.Attribute{pkcs11.NewAttribute(wanted.Type, nil)})
	if err != nil || !bytes.Equal(attrs[0].Value, wanted.Value) {
		a.found = append(a.found, fmt.Errorf("wrapped key unwraps otherwise when %s is left out", attributeName(wanted.Type)))
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
	const label = "unwrapped key"
	for _, part := range w.algorithm.privateParts() {
		a.unreadable(h, label, part)
	}
	for _, want := range known(unwrapTemplate(), w.without) {
		attrs, err := a.s.p11.GetAttributeValue(a.s.handle, h, []*pkcs11.Attribute{pkcs11.NewAttribute(want.Type, nil)})
		if err == nil && !bytes.Equal(attrs[0].Value, want.Value) {
			a.found = append(a.found, fmt.Errorf("%s has another %s than was asked for", label, attributeName(want.Type)))
		}
	}
	a.unwrappable(h, label)
	a.unchangeable(h, label, []*pkcs11.Attribute{
		yes(pkcs11.CKA_EXTRACTABLE), no(pkcs11.CKA_SENSITIVE), yes(pkcs11.CKA_DECRYPT), yes(pkcs11.CKA_MODIFIABLE),
	})
	_, _, err = a.s.wrap(kek, h)
	a.refused(err, "unwrapped key can be wrapped again")
}

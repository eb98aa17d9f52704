package hsm_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/mohor-sign/mohor/hsm"
)

func yes(a uint) *pkcs11.Attribute { return pkcs11.NewAttribute(a, true) }
func no(a uint) *pkcs11.Attribute  { return pkcs11.NewAttribute(a, false) }

func mechanism(m uint, parameter any) []*pkcs11.Mechanism {
	return []*pkcs11.Mechanism{pkcs11.NewMechanism(m, parameter)}
}

// wrapOwn makes an extractable key of the attacker's and wraps it by the KEK: a blob whose
// plaintext is of the same kind as an officer's key.
func (a attacker) wrapOwn(t *testing.T, kek pkcs11.ObjectHandle) []byte {
	t.Helper()
	pub, key, err := a.p11.GenerateKeyPair(a.s, mechanism(pkcs11.CKM_EC_KEY_PAIR_GEN, nil),
		[]*pkcs11.Attribute{no(pkcs11.CKA_TOKEN), pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07})},
		[]*pkcs11.Attribute{no(pkcs11.CKA_TOKEN), yes(pkcs11.CKA_SIGN), yes(pkcs11.CKA_EXTRACTABLE)})
	if err != nil {
		t.Fatal(err)
	}
	defer a.p11.DestroyObject(a.s, pub)
	defer a.p11.DestroyObject(a.s, key)
	blob, err := a.p11.WrapKey(a.s, mechanism(pkcs11.CKM_AES_KEY_WRAP_PAD, nil), kek, key)
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

func (a attacker) kek(t *testing.T) pkcs11.ObjectHandle {
	t.Helper()
	found := a.find(t, pkcs11.CKO_SECRET_KEY, "mohor-kek-1")
	if len(found) != 1 {
		t.Fatalf("%d KEKs", len(found))
	}
	return found[0]
}

// A logged-in attacker can unwrap a blob as what the KEK's template says, and as nothing else.
func TestLoggedInAttackerCannotUnwrapReadable(t *testing.T) {
	open(t)
	a := newAttacker(t)
	kek := a.kek(t)
	blob := a.wrapOwn(t, kek)
	template := func(deviation *pkcs11.Attribute) (full []*pkcs11.Attribute) {
		for _, at := range []*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY), pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_EC),
			no(pkcs11.CKA_TOKEN), yes(pkcs11.CKA_PRIVATE), yes(pkcs11.CKA_SENSITIVE), no(pkcs11.CKA_EXTRACTABLE),
			no(pkcs11.CKA_COPYABLE), yes(pkcs11.CKA_SIGN), no(pkcs11.CKA_SIGN_RECOVER), no(pkcs11.CKA_DECRYPT),
			no(pkcs11.CKA_UNWRAP), no(pkcs11.CKA_DERIVE), no(pkcs11.CKA_MODIFIABLE),
		} {
			if deviation != nil && at.Type == deviation.Type {
				at = deviation
			}
			full = append(full, at)
		}
		return full
	}
	unwrap := func(attrs []*pkcs11.Attribute) (pkcs11.ObjectHandle, error) {
		return a.p11.UnwrapKey(a.s, mechanism(pkcs11.CKM_AES_KEY_WRAP_PAD, nil), kek, blob, attrs)
	}
	for _, deviation := range []*pkcs11.Attribute{
		yes(pkcs11.CKA_EXTRACTABLE), no(pkcs11.CKA_SENSITIVE), yes(pkcs11.CKA_TOKEN), no(pkcs11.CKA_PRIVATE),
		yes(pkcs11.CKA_COPYABLE), yes(pkcs11.CKA_DECRYPT), yes(pkcs11.CKA_UNWRAP), yes(pkcs11.CKA_DERIVE), yes(pkcs11.CKA_MODIFIABLE),
	} {
		if _, err := unwrap(template(deviation)); err != pkcs11.Error(pkcs11.CKR_TEMPLATE_INCONSISTENT) {
			t.Errorf("attribute 0x%X changed: %v, want 0xD1", deviation.Type, err)
		}
		var without []*pkcs11.Attribute
		for _, at := range template(nil) {
			if at.Type != deviation.Type {
				without = append(without, at)
			}
		}
		h, err := unwrap(without)
		if err == pkcs11.Error(pkcs11.CKR_TEMPLATE_INCONSISTENT) {
			continue
		}
		// SoftHSM fills in its own defaults for CKA_TOKEN and CKA_PRIVATE: they must be ours.
		if err != nil || deviation.Type != pkcs11.CKA_TOKEN && deviation.Type != pkcs11.CKA_PRIVATE {
			t.Errorf("attribute 0x%X left out: %v, want 0xD1", deviation.Type, err)
			continue
		}
		v, err := a.p11.GetAttributeValue(a.s, h, []*pkcs11.Attribute{pkcs11.NewAttribute(deviation.Type, nil)})
		if err != nil || bytes.Equal(v[0].Value, deviation.Value) {
			t.Errorf("attribute 0x%X left out: it is %v, %v", deviation.Type, v, err)
		}
		a.p11.DestroyObject(a.s, h)
	}
	secret := template(pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY))
	secret[1] = pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_GENERIC_SECRET)
	if _, err := unwrap(secret); err == nil {
		t.Error("unwraps as a secret key")
	}
	// The control: as it should be it unwraps, and then nothing more can be had of it.
	h, err := unwrap(template(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer a.p11.DestroyObject(a.s, h)
	if v, err := a.p11.GetAttributeValue(a.s, h, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_VALUE, nil)}); err == nil {
		t.Errorf("private value read: %x", v[0].Value)
	}
	if _, err := a.p11.WrapKey(a.s, mechanism(pkcs11.CKM_AES_KEY_WRAP_PAD, nil), kek, h); err != pkcs11.Error(pkcs11.CKR_KEY_UNEXTRACTABLE) {
		t.Errorf("wrapping again: %v, want 0x6A", err)
	}
	for _, at := range []*pkcs11.Attribute{yes(pkcs11.CKA_EXTRACTABLE), no(pkcs11.CKA_SENSITIVE), yes(pkcs11.CKA_DECRYPT)} {
		if a.p11.SetAttributeValue(a.s, h, []*pkcs11.Attribute{at}) == nil {
			t.Errorf("attribute 0x%X changed", at.Type)
		}
	}
	if _, err := a.p11.CopyObject(a.s, h, []*pkcs11.Attribute{no(pkcs11.CKA_TOKEN)}); err == nil {
		t.Error("copied")
	}
}

func TestLoggedInAttackerCannotUseOrChangeServiceKeys(t *testing.T) {
	m := open(t)
	if _, err := m.EnsureSigner(t.Context(), "attacked", hsm.ECDSAP256); err != nil {
		t.Fatal(err)
	}
	a := newAttacker(t)
	kek := a.kek(t)
	for _, c := range []struct {
		mech      uint
		parameter any
	}{{pkcs11.CKM_AES_ECB, nil}, {pkcs11.CKM_AES_CBC, make([]byte, 16)}, {pkcs11.CKM_AES_CBC_PAD, make([]byte, 16)}} {
		if a.p11.DecryptInit(a.s, mechanism(c.mech, c.parameter), kek) == nil {
			t.Errorf("KEK decrypts with 0x%X", c.mech)
		}
		if a.p11.EncryptInit(a.s, mechanism(c.mech, c.parameter), kek) == nil {
			t.Errorf("KEK encrypts with 0x%X", c.mech)
		}
	}
	objects := map[string]pkcs11.ObjectHandle{"KEK": kek}
	for _, label := range []string{"mohor-pepper", "mohor-code", "mohor-intent", "mohor-idempotency"} {
		objects[label] = a.find(t, pkcs11.CKO_SECRET_KEY, label)[0]
	}
	objects["attacked"] = a.find(t, pkcs11.CKO_PRIVATE_KEY, "attacked")[0]
	for name, h := range objects {
		if v, err := a.p11.GetAttributeValue(a.s, h, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_VALUE, nil)}); err == nil {
			t.Errorf("%s read: %x", name, v[0].Value)
		}
		for _, at := range []*pkcs11.Attribute{
			yes(pkcs11.CKA_DECRYPT), yes(pkcs11.CKA_EXTRACTABLE), no(pkcs11.CKA_SENSITIVE), yes(pkcs11.CKA_MODIFIABLE),
			yes(pkcs11.CKA_COPYABLE), pkcs11.NewAttribute(pkcs11.CKA_UNWRAP_TEMPLATE, []byte{}), pkcs11.NewAttribute(pkcs11.CKA_LABEL, "x"),
		} {
			if a.p11.SetAttributeValue(a.s, h, []*pkcs11.Attribute{at}) == nil {
				t.Errorf("%s: attribute 0x%X changed", name, at.Type)
			}
			if _, err := a.p11.CopyObject(a.s, h, []*pkcs11.Attribute{at, no(pkcs11.CKA_TOKEN)}); err == nil {
				t.Errorf("%s: copied with attribute 0x%X", name, at.Type)
			}
		}
	}
}

// What was sealed is of no use in the database: not the wrapped key itself, and not for the KEK.
func TestSealedBlobDoesNotUnwrap(t *testing.T) {
	m := open(t)
	s, _ := generate(t, m, hsm.ECDSAP256)
	a := newAttacker(t)
	kek := a.kek(t)
	for _, blob := range [][]byte{s.Blob, s.Blob[12:], s.Blob[12 : len(s.Blob)-16]} {
		h, err := a.p11.UnwrapKey(a.s, mechanism(s.Mechanism, nil), kek, blob, []*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY), pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_EC),
			no(pkcs11.CKA_TOKEN), yes(pkcs11.CKA_PRIVATE), yes(pkcs11.CKA_SENSITIVE), no(pkcs11.CKA_EXTRACTABLE),
			no(pkcs11.CKA_COPYABLE), yes(pkcs11.CKA_SIGN), no(pkcs11.CKA_SIGN_RECOVER), no(pkcs11.CKA_DECRYPT),
			no(pkcs11.CKA_UNWRAP), no(pkcs11.CKA_DERIVE), no(pkcs11.CKA_MODIFIABLE),
		})
		if err == nil {
			t.Errorf("%d bytes unwrap to object %d", len(blob), h)
		}
	}
	again, _ := generate(t, m, hsm.ECDSAP256)
	if bytes.Equal(s.Salt, again.Salt) || bytes.Equal(s.Blob[:12], again.Blob[:12]) {
		t.Error("salt or nonce repeats")
	}
}

func TestSelfTest(t *testing.T) {
	m := open(t)
	a := newAttacker(t)
	keys, secrets := len(a.find(t, pkcs11.CKO_PRIVATE_KEY, "")), len(a.find(t, pkcs11.CKO_SECRET_KEY, ""))
	if err := m.SelfTest(t.Context(), firstKEK); err != nil {
		t.Fatal(err)
	}
	if err := m.Canary(t.Context(), firstKEK); err != nil {
		t.Fatal(err)
	}
	if k, s := len(a.find(t, pkcs11.CKO_PRIVATE_KEY, "")), len(a.find(t, pkcs11.CKO_SECRET_KEY, "")); k != keys || s != secrets {
		t.Errorf("left %d private and %d secret keys", k-keys, s-secrets)
	}
}

// A KEK made by another tool, without the guards, is not used.
func TestWeakKEKIsRefused(t *testing.T) {
	m := open(t)
	a := newAttacker(t)
	weak := func(label string, more ...*pkcs11.Attribute) {
		t.Helper()
		template := append([]*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_LABEL, label), pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, 32),
			yes(pkcs11.CKA_TOKEN), yes(pkcs11.CKA_PRIVATE), yes(pkcs11.CKA_WRAP), yes(pkcs11.CKA_UNWRAP),
			yes(pkcs11.CKA_SENSITIVE), no(pkcs11.CKA_EXTRACTABLE), no(pkcs11.CKA_DERIVE),
			no(pkcs11.CKA_SIGN), no(pkcs11.CKA_VERIFY),
		}, more...)
		h, err := a.p11.GenerateKey(a.s, mechanism(pkcs11.CKM_AES_KEY_GEN, nil), template)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { a.p11.DestroyObject(a.s, h) })
	}
	guards := []*pkcs11.Attribute{no(pkcs11.CKA_ENCRYPT), no(pkcs11.CKA_DECRYPT), no(pkcs11.CKA_MODIFIABLE), no(pkcs11.CKA_COPYABLE)}
	for i, label := range []string{"mohor-kek-100", "mohor-kek-101", "mohor-kek-102", "mohor-kek-103"} {
		more := append([]*pkcs11.Attribute(nil), guards...)
		more[i] = yes(more[i].Type)
		weak(label, more...)
		if _, err := m.EnsureKeys(t.Context(), label); !errors.Is(err, hsm.ErrKeyPolicy) {
			t.Errorf("with attribute 0x%X: %v", more[i].Type, err)
		}
	}
	// Flags cannot show that the template is missing; the self-test can.
	weak("mohor-kek-104", guards...)
	if err := m.SelfTest(t.Context(), "mohor-kek-104"); !errors.Is(err, hsm.ErrUnsafeModule) {
		t.Errorf("KEK without a template: %v", err)
	}
	// Two keys of one label: no telling which is ours.
	weak("mohor-kek-105", guards...)
	weak("mohor-kek-105", guards...)
	if _, err := m.EnsureKeys(t.Context(), "mohor-kek-105"); !errors.Is(err, hsm.ErrKeyPolicy) {
		t.Errorf("two KEKs: %v", err)
	}
	if err := m.SelfTest(t.Context(), firstKEK); err != nil {
		t.Errorf("the real KEK: %v", err)
	}
}

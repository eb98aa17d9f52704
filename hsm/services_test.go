package hsm_test

import (
	"crypto"
	"crypto/ecdsa"
	"errors"
	"slices"
	"testing"

	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/secret"
)

// TestServiceKeysInATokenOfTheirOwn: signing keys are made and found there, officers' keys and HMACs
// are not, and a lost module brings back both.
func TestServiceKeysInATokenOfTheirOwn(t *testing.T) {
	services := hsm.Token{Label: "services-" + fresh(t), PIN: secret.New("service-pin-42")}
	open(t) // the token for custody
	own := config(t)
	own.TokenLabel, own.PIN = services.Label, services.PIN
	if created, err := hsm.CreateToken(t.Context(), own, secret.New(soPIN)); err != nil || !created {
		t.Fatalf("CreateToken = %t, %v", created, err)
	}
	m := open(t, func(c *hsm.Config) { c.Services = services })
	if err := m.SelfTest(t.Context(), firstKEK); err != nil {
		t.Fatal(err)
	}
	label := "apart-" + fresh(t)
	if made, err := m.EnsureSigner(t.Context(), label, hsm.ECDSAP256); err != nil || !made {
		t.Fatalf("EnsureSigner = %t, %v", made, err)
	}
	if _, err := open(t).Signer(label); !errors.Is(err, hsm.ErrNoKey) {
		t.Errorf("the key is in the token for custody: %v", err)
	}
	signer, err := m.Signer(label)
	if err != nil {
		t.Fatal(err)
	}
	sign := func() error {
		sig, err := signer.Sign(nil, make([]byte, 32), crypto.SHA256)
		if err == nil && !ecdsa.VerifyASN1(signer.Public().(*ecdsa.PublicKey), make([]byte, 32), sig) {
			t.Error("signature does not verify")
		}
		return err
	}
	if err := sign(); err != nil {
		t.Fatal(err)
	}
	keys, err := m.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{label, firstKEK, "mohor-pepper"} {
		if !slices.ContainsFunc(keys, func(k hsm.KeyInfo) bool { return k.Label == want && k.Fault == "" && k.Check != "" }) {
			t.Errorf("%q is not listed: %+v", want, keys)
		}
	}
	s, pub := generate(t, m, hsm.ECDSAP256)
	k := unseal(t, m, hsm.ECDSAP256, s, pub)
	if err := newAttacker(t).p11.Finalize(); err != nil {
		t.Fatal(err)
	}
	eventually(t, sign)
	eventually(t, func() error {
		_, err := k.Sign(t.Context(), make([]byte, 32), crypto.SHA256)
		return err
	})
	if err := k.Close(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*hsm.Config){
		"the same token": func(c *hsm.Config) { c.Services = hsm.Token{Label: c.TokenLabel, PIN: services.PIN} },
		"no PIN":         func(c *hsm.Config) { c.Services = hsm.Token{Label: services.Label} },
		"no such token":  func(c *hsm.Config) { c.Services = hsm.Token{Label: "nobody", PIN: services.PIN} },
	} {
		cfg := config(t)
		change(&cfg)
		if m, err := hsm.Open(t.Context(), cfg); !errors.Is(err, hsm.ErrInput) && !errors.Is(err, hsm.ErrNoToken) {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
}

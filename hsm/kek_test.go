package hsm_test

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/ceremony"
	"github.com/mohor-sign/mohor/internal/secret"
)

// token opens a token of its own, without keys.
func token(t *testing.T) *hsm.Module {
	t.Helper()
	cfg := config(t)
	cfg.TokenLabel = "mohor-" + fresh(t)
	if created, err := hsm.CreateToken(t.Context(), cfg, secret.New(soPIN)); err != nil || !created {
		t.Fatalf("CreateToken = %t, %v", created, err)
	}
	m, err := hsm.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func keys(t *testing.T, m *hsm.Module) map[string]hsm.KeyInfo {
	t.Helper()
	all, err := m.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	by := make(map[string]hsm.KeyInfo)
	for _, k := range all {
		by[k.Label] = k
	}
	if len(by) != len(all) {
		t.Errorf("a label twice in %v", all)
	}
	return by
}

// A new KEK is made while keys are generated and opened under the old one: nothing fails, and
// both open. A retired one opens nothing.
func TestRotationUnderLoad(t *testing.T) {
	m := token(t)
	if _, err := m.EnsureKeys(t.Context(), firstKEK); err != nil {
		t.Fatal(err)
	}
	const next = "mohor-kek-2"
	var kek atomic.Value
	kek.Store(firstKEK)
	var wg sync.WaitGroup
	done, underOld, underNew := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var old, new sync.Once
	var failed, made atomic.Int64
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				label := kek.Load().(string)
				err := generateAndSign(context.Background(), m, label)
				made.Add(1)
				if err != nil {
					failed.Add(1)
					t.Errorf("under %s: %v", label, err)
				}
				if label == next {
					new.Do(func() { close(underNew) })
				} else {
					old.Do(func() { close(underOld) })
				}
			}
		})
	}
	s, pub := generate(t, m, hsm.ECDSAP256)
	<-underOld
	if err := m.MakeKEK(t.Context(), next); err != nil {
		t.Error(err)
	}
	if err := m.SelfTest(t.Context(), next); err != nil {
		t.Error(err)
	}
	kek.Store(next)
	<-underNew
	after, request, err := m.Generate(t.Context(), next, binding(hsm.ECDSAP256), nil, pin(officerPIN))
	if err != nil {
		t.Fatal(err)
	}
	unseal(t, m, hsm.ECDSAP256, s, pub)
	unseal(t, m, hsm.ECDSAP256, after, request.PublicKey)
	close(done)
	wg.Wait()
	if failed.Load() != 0 || s.KEK != firstKEK || after.KEK != next {
		t.Errorf("%d of %d failed; keys are wrapped by %s and %s", failed.Load(), made.Load(), s.KEK, after.KEK)
	}
	changed, sealed, err := m.ChangePIN(t.Context(), binding(hsm.ECDSAP256), s, pub, pin(officerPIN), pin("another-pin-1"))
	if err != nil || sealed.KEK != firstKEK || changed.Version != 2 {
		t.Errorf("ChangePIN: under %s, version %d, %v", sealed.KEK, changed.Version, err)
	}
	for range 2 { // the second time there is nothing to destroy
		if err := m.DestroyKEK(t.Context(), firstKEK); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.Unseal(t.Context(), binding(hsm.ECDSAP256), s, pub, pin(officerPIN), soon()); !errors.Is(err, hsm.ErrNoKey) {
		t.Errorf("opening under a retired KEK: %v", err)
	}
	unseal(t, m, hsm.ECDSAP256, after, request.PublicKey)
	if err := m.Canary(t.Context(), next); err != nil {
		t.Error(err)
	}
}

func generateAndSign(ctx context.Context, m *hsm.Module, kek string) error {
	s, request, err := m.Generate(ctx, kek, binding(hsm.ECDSAP256), nil, pin(officerPIN))
	if err != nil {
		return err
	}
	pub := request.PublicKey
	k, err := m.Unseal(ctx, binding(hsm.ECDSAP256), s, pub, pin(officerPIN), soon())
	if err != nil {
		return err
	}
	_, err = k.Sign(ctx, make([]byte, 32), crypto.SHA256)
	return errors.Join(err, k.Close())
}

// A KEK that somebody put into the token is not taken by a rotation, however well it is guarded.
func TestMakeKEKAdoptsNothing(t *testing.T) {
	m := token(t)
	if err := m.Import(t.Context(), "mohor-kek-7", make([]byte, 32)); err != nil {
		t.Fatal(err)
	}
	before := keys(t, m)["mohor-kek-7"]
	if err := m.MakeKEK(t.Context(), "mohor-kek-7"); !errors.Is(err, hsm.ErrKeyExists) {
		t.Errorf("MakeKEK: %v", err)
	}
	if after := keys(t, m)["mohor-kek-7"]; after != before || after.Local {
		t.Errorf("%+v became %+v", before, after)
	}
	for _, label := range []string{"", "mohor-kek-0", "mohor-kek-01", "mohor-pepper", "kek"} {
		if err := m.MakeKEK(t.Context(), label); !errors.Is(err, hsm.ErrInput) {
			t.Errorf("making %q: %v", label, err)
		}
		if err := m.DestroyKEK(t.Context(), label); !errors.Is(err, hsm.ErrInput) {
			t.Errorf("destroying %q: %v", label, err)
		}
		if _, err := m.EnsureKeys(t.Context(), label); !errors.Is(err, hsm.ErrInput) {
			t.Errorf("ensuring %q: %v", label, err)
		}
		if _, _, err := m.Generate(t.Context(), label, binding(hsm.ECDSAP256), nil, pin(officerPIN)); !errors.Is(err, hsm.ErrInput) {
			t.Errorf("generating under %q: %v", label, err)
		}
	}
}

// The check values of the token are those that software computes from the same keys, the guards
// are those of keys made in the token, and the self-test finds nothing.
func TestImportedKeys(t *testing.T) {
	m := token(t)
	labels := []string{firstKEK, "mohor-pepper", "mohor-code", "mohor-intent", "mohor-idempotency"}
	want := make(map[string]string)
	for k, label := range labels {
		key := sha256.Sum256([]byte(label))
		if err := m.Import(t.Context(), label, key[:]); err != nil {
			t.Fatal(err)
		}
		var err error
		if want[label], err = ceremony.CheckValue(label, key[:]); err != nil {
			t.Fatal(err)
		}
		if err := m.Import(t.Context(), label, key[:]); !errors.Is(err, hsm.ErrKeyExists) {
			t.Errorf("%d: again: %v", k, err)
		}
	}
	if made, err := m.EnsureKeys(t.Context(), firstKEK); err != nil || len(made) != 0 {
		t.Errorf("EnsureKeys = %v, %v", made, err)
	}
	if err := m.SelfTest(t.Context(), firstKEK); err != nil {
		t.Error(err)
	}
	got := keys(t, m)
	for _, label := range labels {
		if k := got[label]; k.Check != want[label] || k.Local || k.Fault != "" {
			t.Errorf("%+v, want check value %s", k, want[label])
		}
	}
	if err := m.Import(t.Context(), "mohor-kek-2", make([]byte, 31)); !errors.Is(err, hsm.ErrInput) {
		t.Errorf("31 bytes: %v", err)
	}
	if err := m.Import(t.Context(), "audit-seal", make([]byte, 32)); !errors.Is(err, hsm.ErrInput) {
		t.Errorf("a signing key: %v", err)
	}
}

// Check values are the same each time, differ between keys, and name what cannot be used.
func TestCheckValues(t *testing.T) {
	m := token(t)
	if _, err := m.EnsureKeys(t.Context(), firstKEK); err != nil {
		t.Fatal(err)
	}
	if _, err := m.EnsureSigner(t.Context(), "audit-seal", hsm.ECDSAP256); err != nil {
		t.Fatal(err)
	}
	before := keys(t, m)
	seen := make(map[string]string)
	for label, k := range before {
		if len(k.Check) != 16 || !k.Local || k.Fault != "" || seen[k.Check] != "" {
			t.Errorf("%+v; %q has that check value", k, seen[k.Check])
		}
		seen[k.Check] = label
	}
	signer, err := m.Signer("audit-seal")
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(der); before["audit-seal"].Check != hex.EncodeToString(sum[:8]) || before["audit-seal"].Kind != "ECDSA-P256" {
		t.Errorf("%+v", before["audit-seal"])
	}
	if len(before) != 6 || before[firstKEK].Kind != "KEK" || before["mohor-pepper"].Kind != "HMAC" {
		t.Errorf("%+v", before)
	}
	closed := token(t)
	if _, err := closed.EnsureKeys(t.Context(), firstKEK); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if keys, err := closed.Keys(ctx); err == nil {
		t.Errorf("cancelled: %v", keys)
	}
	// Another KEK under the old label has another value.
	if err := m.DestroyKEK(t.Context(), firstKEK); err != nil {
		t.Fatal(err)
	}
	if err := m.MakeKEK(t.Context(), firstKEK); err != nil {
		t.Fatal(err)
	}
	after := keys(t, m)
	if after[firstKEK].Check == before[firstKEK].Check || after["mohor-pepper"] != before["mohor-pepper"] {
		t.Errorf("%+v became %+v", before, after)
	}
}

// Two keys of a label, or one that is less guarded, have a fault instead of a check value.
func TestCheckValuesOfWeakKeys(t *testing.T) {
	m := open(t)
	a := newAttacker(t)
	for range 2 {
		h, err := a.p11.GenerateKey(a.s, mechanism(pkcs11.CKM_AES_KEY_GEN, nil), []*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_LABEL, "mohor-kek-300"), pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, 32), yes(pkcs11.CKA_TOKEN), yes(pkcs11.CKA_PRIVATE)})
		if err != nil {
			t.Fatal(err)
		}
		if k := keys(t, m)["mohor-kek-300"]; k.Check != "" || !strings.Contains(k.Fault, hsm.ErrKeyPolicy.Error()) {
			t.Errorf("%+v", k)
		}
		t.Cleanup(func() { a.p11.DestroyObject(a.s, h) })
	}
	if err := m.DestroyKEK(t.Context(), "mohor-kek-300"); err != nil {
		t.Error(err)
	}
	if k, there := keys(t, m)["mohor-kek-300"]; there {
		t.Errorf("destroyed, and there: %+v", k)
	}
}

// What was sealed on one token opens and signs on another that was restored from any three of
// five shares.
func TestRestoredTokenSigns(t *testing.T) {
	first := token(t)
	master, err := ceremony.Mix([][]byte{[]byte("a component of a custodian")})
	if err != nil {
		t.Fatal(err)
	}
	labels := []string{firstKEK, "mohor-pepper", "mohor-code", "mohor-intent", "mohor-idempotency"}
	put := func(m *hsm.Module, from *ceremony.Master) {
		t.Helper()
		for _, label := range labels {
			key, err := from.Key(label)
			if err == nil {
				err = m.Import(t.Context(), label, key)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	put(first, master)
	shares, err := master.Split(3, []string{"A", "B", "C", "D", "E"})
	if err != nil {
		t.Fatal(err)
	}
	s, pub := generate(t, first, hsm.RSA2048)

	second := token(t)
	again, err := ceremony.Combine([]*ceremony.Share{shares[4], shares[0], shares[2]})
	if err != nil {
		t.Fatal(err)
	}
	put(second, again)
	k, err := second.Unseal(t.Context(), binding(hsm.RSA2048), s, pub, pin(officerPIN), soon())
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if _, err := k.Sign(t.Context(), make([]byte, 32), crypto.SHA256); err != nil { // verified inside
		t.Error(err)
	}
	// Control: a token with keys of its own opens nothing.
	third := token(t)
	if _, err := third.EnsureKeys(t.Context(), firstKEK); err != nil {
		t.Fatal(err)
	}
	if _, err := third.Unseal(t.Context(), binding(hsm.RSA2048), s, pub, pin(officerPIN), soon()); !errors.Is(err, hsm.ErrWrongPIN) {
		t.Errorf("another token: %v", err)
	}
}

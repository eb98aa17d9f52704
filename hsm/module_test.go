package hsm_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/mohor-sign/mohor/hsm"

	"github.com/mohor-sign/mohor/internal/secret"
)

func TestCreateTokenIsIdempotent(t *testing.T) {
	m := open(t)
	cfg := config(t)
	for range 2 { // beside an open Module
		if created, err := hsm.CreateToken(t.Context(), cfg, pin(soPIN)); err != nil || created {
			t.Errorf("CreateToken = %t, %v", created, err)
		}
	}
	if _, err := m.MAC(t.Context(), hsm.CodeKey, nil); err != nil {
		t.Errorf("after CreateToken: %v", err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if created, err := hsm.CreateToken(t.Context(), cfg, pin(soPIN)); err != nil || created {
		t.Errorf("CreateToken = %t, %v", created, err)
	}
	cfg.PIN = pin("another-pin")
	if _, err := hsm.CreateToken(t.Context(), cfg, pin(soPIN)); !errors.Is(err, hsm.ErrTokenPIN) {
		t.Errorf("other PIN: %v", err)
	}
	if _, err := hsm.Open(t.Context(), cfg); !errors.Is(err, hsm.ErrTokenPIN) {
		t.Errorf("Open with other PIN: %v", err)
	}
	if err := open(t).Canary(t.Context(), firstKEK); err != nil { // the keys are still there
		t.Error(err)
	}
}

// A token whose user PIN was never set is what an interruption leaves.
func TestCreateTokenCompletesHalf(t *testing.T) {
	open(t).Close()
	cfg := config(t)
	cfg.TokenLabel = "half-" + fresh(t)
	p11 := pkcs11.New(cfg.Module)
	if err := p11.Initialize(); err != nil {
		t.Fatal(err)
	}
	slots, err := p11.GetSlotList(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range slots {
		if info, err := p11.GetTokenInfo(s); err == nil && info.Flags&pkcs11.CKF_TOKEN_INITIALIZED == 0 {
			if err := p11.InitToken(s, soPIN, cfg.TokenLabel); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	p11.Finalize()
	p11.Destroy()
	if _, err := hsm.CreateToken(t.Context(), cfg, pin("wrong-so-pin")); !errors.Is(err, hsm.ErrTokenPIN) {
		t.Errorf("wrong SO PIN: %v", err)
	}
	for _, want := range []bool{true, false} {
		if created, err := hsm.CreateToken(t.Context(), cfg, pin(soPIN)); err != nil || created != want {
			t.Errorf("CreateToken = %t, %v, want %t", created, err, want)
		}
	}
}

// A new token has no keys; what needs one says so, and EnsureKeys makes all of them.
func TestTokenWithoutKeys(t *testing.T) {
	open(t)
	cfg := config(t)
	cfg.TokenLabel = "empty-" + fresh(t)
	if created, err := hsm.CreateToken(t.Context(), cfg, pin(soPIN)); err != nil || !created {
		t.Fatalf("CreateToken = %t, %v", created, err)
	}
	m, err := hsm.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	_, _, generated := m.Generate(t.Context(), firstKEK, binding(hsm.ECDSAP256), nil, pin(officerPIN))
	_, mac := m.MAC(t.Context(), hsm.CodeKey, nil)
	for name, err := range map[string]error{"Generate": generated, "MAC": mac, "SelfTest": m.SelfTest(t.Context(), firstKEK), "Canary": m.Canary(t.Context(), firstKEK)} {
		if !errors.Is(err, hsm.ErrNoKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	want := "[mohor-kek-1 mohor-pepper mohor-code mohor-intent mohor-idempotency]"
	if made, err := m.EnsureKeys(t.Context(), firstKEK); err != nil || fmt.Sprint(made) != want {
		t.Errorf("EnsureKeys = %v, %v", made, err)
	}
	if err := m.SelfTest(t.Context(), firstKEK); err != nil {
		t.Error(err)
	}
	// Its officers' keys are no other token's, although the labels are the same.
	s, pub := generate(t, m, hsm.ECDSAP256)
	if _, err := open(t).Unseal(t.Context(), binding(hsm.ECDSAP256), s, pub, pin(officerPIN), soon()); !errors.Is(err, hsm.ErrWrongPIN) {
		t.Errorf("on another token: %v", err)
	}
}

// Somebody else in the process finalizes the module: all is gone, which is said, and not taken for
// a wrong PIN.
func TestFinalizedModuleIsUnavailable(t *testing.T) {
	m := open(t, func(c *hsm.Config) { c.NoRecovery = true })
	if _, err := m.EnsureSigner(t.Context(), "finalized", hsm.ECDSAP256); err != nil {
		t.Fatal(err)
	}
	signer, err := m.Signer("finalized")
	if err != nil {
		t.Fatal(err)
	}
	s, pub := generate(t, m, hsm.ECDSAP256)
	k := unseal(t, m, hsm.ECDSAP256, s, pub)
	if err := newAttacker(t).p11.Finalize(); err != nil {
		t.Fatal(err)
	}
	_, signed := k.Sign(t.Context(), make([]byte, 32), crypto.SHA256)
	_, served := signer.Sign(nil, make([]byte, 32), crypto.SHA256)
	_, mac := m.MAC(t.Context(), hsm.CodeKey, nil)
	_, unsealed := m.Unseal(t.Context(), binding(hsm.ECDSAP256), s, pub, pin(officerPIN), soon())
	for name, err := range map[string]error{
		"Sign": signed, "Signer": served, "MAC": mac, "Unseal": unsealed, "Canary": m.Canary(t.Context(), firstKEK), "SelfTest": m.SelfTest(t.Context(), firstKEK),
	} {
		if !errors.Is(err, hsm.ErrUnavailable) || errors.Is(err, hsm.ErrUnsafeModule) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := m.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := open(t).Canary(t.Context(), firstKEK); err != nil {
		t.Errorf("after opening again: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	open(t)
	text := filepath.Join(t.TempDir(), "text.so")
	if err := os.WriteFile(text, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*hsm.Config)
		want   error
	}{
		"no token":       {func(c *hsm.Config) { c.TokenLabel = "nobody" }, hsm.ErrNoToken},
		"no module":      {func(c *hsm.Config) { c.Module = "/nowhere/lib.so" }, hsm.ErrNoModule},
		"a directory":    {func(c *hsm.Config) { c.Module = "/usr/lib" }, hsm.ErrNoModule},
		"not a library":  {func(c *hsm.Config) { c.Module = text }, hsm.ErrNoModule},
		"no PIN":         {func(c *hsm.Config) { c.PIN = secret.Text{} }, hsm.ErrInput},
		"no label":       {func(c *hsm.Config) { c.TokenLabel = "" }, hsm.ErrInput},
		"long label":     {func(c *hsm.Config) { c.TokenLabel = strings.Repeat("x", 33) }, hsm.ErrInput},
		"sessions":       {func(c *hsm.Config) { c.Sessions = 5000 }, hsm.ErrInput},
		"key derivation": {func(c *hsm.Config) { c.KDF.MemoryKiB = 1 }, hsm.ErrInput},
	} {
		cfg := config(t)
		c.change(&cfg)
		if m, err := hsm.Open(t.Context(), cfg); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				m.Close()
			}
		}
	}
}

func TestEnsureKeysIsIdempotent(t *testing.T) {
	m := open(t)
	if made, err := m.EnsureKeys(t.Context(), firstKEK); err != nil || len(made) != 0 {
		t.Errorf("EnsureKeys = %v, %v", made, err)
	}
	// A missing key is made, and the others left alone.
	before, err := m.MAC(t.Context(), hsm.IntentKey, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	a := newAttacker(t)
	if err := a.p11.DestroyObject(a.s, a.find(t, pkcs11.CKO_SECRET_KEY, "mohor-idempotency")[0]); err != nil {
		t.Fatal(err)
	}
	if made, err := m.EnsureKeys(t.Context(), firstKEK); err != nil || len(made) != 1 || made[0] != "mohor-idempotency" {
		t.Errorf("EnsureKeys = %v, %v", made, err)
	}
	after, err := m.MAC(t.Context(), hsm.IntentKey, []byte("x"))
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("MAC %x, then %x, %v", before, after, err)
	}
	if _, err := m.MAC(t.Context(), hsm.IdempotencyKey, []byte("x")); err != nil {
		t.Errorf("with the new key: %v", err)
	}
}

func TestMAC(t *testing.T) {
	m := open(t)
	seen := map[string]string{}
	for _, key := range []hsm.MACKey{hsm.CodeKey, hsm.IntentKey, hsm.IdempotencyKey} {
		for _, data := range []string{"", "x", strings.Repeat("x", 100_000)} {
			sum, err := m.MAC(t.Context(), key, []byte(data))
			if err != nil || len(sum) != 32 {
				t.Fatalf("MAC = %x, %v", sum, err)
			}
			name := fmt.Sprintf("%s %d", key, len(data))
			if other, ok := seen[string(sum)]; ok {
				t.Errorf("%s and %s are the same", name, other)
			}
			seen[string(sum)] = name
		}
	}
	for _, key := range []hsm.MACKey{"", "mohor-pepper", "mohor-kek-1"} {
		if _, err := m.MAC(t.Context(), key, nil); !errors.Is(err, hsm.ErrInput) {
			t.Errorf("key %q: %v", key, err)
		}
	}
}

func TestSigner(t *testing.T) {
	m := open(t)
	for _, a := range []hsm.Algorithm{hsm.RSA2048, hsm.ECDSAP256, hsm.ECDSAP384} {
		label := "ca-" + fresh(t)
		if _, err := m.Signer(label); !errors.Is(err, hsm.ErrNoKey) {
			t.Errorf("%s before it is made: %v", label, err)
		}
		for _, want := range []bool{true, false} {
			if made, err := m.EnsureSigner(t.Context(), label, a); err != nil || made != want {
				t.Fatalf("%s: EnsureSigner = %t, %v", label, made, err)
			}
		}
		if _, err := m.EnsureSigner(t.Context(), label, hsm.RSA3072); !errors.Is(err, hsm.ErrKeyPolicy) {
			t.Errorf("%s as RSA-3072: %v", label, err)
		}
		k, err := m.Signer(label)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
		der, err := x509.CreateCertificate(nil, template, template, k.Public(), k)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		if err := cert.CheckSignatureFrom(cert); err != nil {
			t.Errorf("%s: %v", label, err)
		}
		if _, err := k.Sign(nil, make([]byte, 64), crypto.SHA512); err != nil {
			t.Errorf("%s with SHA-512: %v", label, err)
		}
		if _, err := k.Sign(nil, make([]byte, 20), crypto.SHA1); !errors.Is(err, hsm.ErrInput) {
			t.Errorf("%s with SHA-1: %v", label, err)
		}
		if pub, ok := k.Public().(*rsa.PublicKey); ok {
			opts := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
			sig, err := k.Sign(nil, make([]byte, 32), opts)
			if err != nil {
				t.Fatal(err)
			}
			if err := rsa.VerifyPSS(pub, crypto.SHA256, make([]byte, 32), sig, opts); err != nil {
				t.Error(err)
			}
		}
	}
	for _, label := range []string{"", "mohor-kek-1", "CA", "a b", strings.Repeat("x", 65)} {
		if _, err := m.EnsureSigner(t.Context(), label, hsm.ECDSAP256); !errors.Is(err, hsm.ErrInput) {
			t.Errorf("label %q: %v", label, err)
		}
	}
}

// Half a pair: a public key alone is replaced, a private key alone is not touched.
func TestEnsureSignerCompletesHalf(t *testing.T) {
	m := open(t)
	label := "half-" + fresh(t)
	if _, err := m.EnsureSigner(t.Context(), label, hsm.ECDSAP256); err != nil {
		t.Fatal(err)
	}
	a := newAttacker(t)
	destroy := func(class uint) {
		t.Helper()
		if err := a.p11.DestroyObject(a.s, a.find(t, class, label)[0]); err != nil {
			t.Fatal(err)
		}
	}
	destroy(pkcs11.CKO_PRIVATE_KEY)
	if made, err := m.EnsureSigner(t.Context(), label, hsm.ECDSAP256); err != nil || !made {
		t.Errorf("public key alone: %t, %v", made, err)
	}
	if n := len(a.find(t, pkcs11.CKO_PUBLIC_KEY, label)); n != 1 {
		t.Errorf("%d public keys", n)
	}
	destroy(pkcs11.CKO_PUBLIC_KEY)
	if _, err := m.EnsureSigner(t.Context(), label, hsm.ECDSAP256); !errors.Is(err, hsm.ErrKeyPolicy) {
		t.Errorf("private key alone: %v", err)
	}
	if n := len(a.find(t, pkcs11.CKO_PRIVATE_KEY, label)); n != 1 {
		t.Errorf("%d private keys", n)
	}
}

// Every session of the process dies: pool, opened keys and service keys come back by themselves.
func TestLostSessionsAreReplaced(t *testing.T) {
	m := open(t)
	if _, err := m.EnsureSigner(t.Context(), "survivor", hsm.ECDSAP256); err != nil {
		t.Fatal(err)
	}
	signer, err := m.Signer("survivor")
	if err != nil {
		t.Fatal(err)
	}
	s, pub := generate(t, m, hsm.ECDSAP256)
	k := unseal(t, m, hsm.ECDSAP256, s, pub)
	a := newAttacker(t)
	for round := range 3 {
		if _, err := signer.Sign(nil, make([]byte, 32), crypto.SHA256); err != nil { // so that crypto11 has a session to lose
			t.Fatal(err)
		}
		if n := a.closeOthers(t); n < 3 {
			t.Fatalf("closed %d sessions only", n)
		}
		if n := a.sessionKeys(t); n != 0 {
			t.Fatalf("%d session keys outlived their sessions", n)
		}
		if _, err := k.Sign(t.Context(), make([]byte, 32), crypto.SHA256); err != nil {
			t.Errorf("round %d: opened key: %v", round, err)
		}
		if _, err := signer.Sign(nil, make([]byte, 32), crypto.SHA256); err != nil {
			t.Errorf("round %d: service key: %v", round, err)
		}
		for range 20 { // more than there are sessions
			if _, err := m.MAC(t.Context(), hsm.CodeKey, nil); err != nil {
				t.Errorf("round %d: MAC: %v", round, err)
			}
		}
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
	if n := a.sessionKeys(t); n != 0 {
		t.Errorf("%d keys left", n)
	}
}

// The session that made a key was discarded after an error: the key lives on, and goes when closed.
func TestKeyOutlivesDiscardedSession(t *testing.T) {
	m := open(t, func(c *hsm.Config) { c.Sessions = 1 })
	s, pub := generate(t, m, hsm.ECDSAP256)
	k := unseal(t, m, hsm.ECDSAP256, s, pub)
	_, foreign := generate(t, m, hsm.ECDSAP256)
	bad := unseal(t, m, hsm.ECDSAP256, s, foreign)
	a := newAttacker(t)
	before := a.sessions(t)
	for range 3 { // each wrong signature discards the one session there is
		if _, err := bad.Sign(t.Context(), make([]byte, 32), crypto.SHA256); !errors.Is(err, hsm.ErrBadSignature) {
			t.Fatal(err)
		}
		if n := a.sessionKeys(t); n != 2 {
			t.Fatalf("%d session keys, want 2", n)
		}
		if _, err := k.Sign(t.Context(), make([]byte, 32), crypto.SHA256); err != nil {
			t.Fatal(err)
		}
		// The first, which made the keys, is kept for their sake; the others were closed.
		if n := a.sessions(t); n != before+1 {
			t.Errorf("%d sessions, want %d", n, before+1)
		}
	}
	bad.Close()
	if n := a.sessions(t); n != before+1 {
		t.Errorf("one key closed: %d sessions, want %d", n, before+1)
	}
	k.Close()
	if n := a.sessions(t); n != before {
		t.Errorf("both keys closed: %d sessions, want %d", n, before)
	}
	if n := a.sessionKeys(t); n != 0 {
		t.Errorf("%d keys left", n)
	}
}

func TestBusyPool(t *testing.T) {
	m := open(t, func(c *hsm.Config) { c.Sessions, c.AcquireTimeout = 1, 20*time.Millisecond })
	other := open(t)
	s, pub := generate(t, other, hsm.ECDSAP256)
	k := unseal(t, m, hsm.ECDSAP256, s, pub)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { // RawSignRate holds the one session until it is told to stop
		_, err := m.RawSignRate(ctx, firstKEK, hsm.ECDSAP256, 1, time.Minute)
		done <- err
	}()
	deadline := time.After(10 * time.Second)
	for busy := false; !busy; {
		_, err := m.MAC(t.Context(), hsm.CodeKey, nil)
		busy = errors.Is(err, hsm.ErrBusy)
		select {
		case <-deadline:
			t.Fatalf("never busy: %v", err)
		default:
		}
	}
	if _, err := k.Sign(t.Context(), make([]byte, 32), crypto.SHA256); !errors.Is(err, hsm.ErrBusy) {
		t.Errorf("Sign: %v", err)
	}
	a := newAttacker(t)
	before := a.sessionKeys(t)
	if err := k.Close(); err != nil {
		t.Errorf("Close of a key: %v", err)
	}
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := m.MAC(t.Context(), hsm.CodeKey, nil); err != nil {
		t.Fatal(err)
	}
	// RawSignRate's key is gone, and the one closed meanwhile was destroyed by the next caller.
	if n := a.sessionKeys(t); n != before-2 {
		t.Errorf("%d session keys, want %d", n, before-2)
	}
}

func TestClosedModule(t *testing.T) {
	m := open(t, func(c *hsm.Config) { c.Sessions = 1 })
	keep := open(t) // the module stays initialised
	if _, err := m.EnsureSigner(t.Context(), "closed", hsm.ECDSAP256); err != nil {
		t.Fatal(err)
	}
	signer, err := m.Signer("closed")
	if err != nil {
		t.Fatal(err)
	}
	s, pub := generate(t, m, hsm.ECDSAP256)
	k := unseal(t, m, hsm.ECDSAP256, s, pub)
	// A key that is open in a session out of the pool.
	_, foreign := generate(t, m, hsm.ECDSAP256)
	bad := unseal(t, m, hsm.ECDSAP256, s, foreign)
	if _, err := bad.Sign(t.Context(), make([]byte, 32), crypto.SHA256); !errors.Is(err, hsm.ErrBadSignature) {
		t.Fatal(err)
	}
	a := newAttacker(t)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if n := a.sessionKeys(t); n != 0 {
		t.Errorf("%d session keys outlived the Module", n)
	}
	_, signed := k.Sign(t.Context(), make([]byte, 32), crypto.SHA256)
	_, served := signer.Sign(nil, make([]byte, 32), crypto.SHA256)
	_, mac := m.MAC(t.Context(), hsm.CodeKey, nil)
	for name, err := range map[string]error{"Sign": signed, "Signer": served, "MAC": mac, "Close": m.Close(), "Canary": m.Canary(t.Context(), firstKEK)} {
		if !errors.Is(err, hsm.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := errors.Join(k.Close(), bad.Close()); err != nil {
		t.Error(err)
	}
	if err := keep.Canary(t.Context(), firstKEK); err != nil {
		t.Errorf("the other Module: %v", err)
	}
}

func TestSecretPrintsRedacted(t *testing.T) {
	const canary = "K4n4ri-9182"
	text := pin(canary)
	type holder struct {
		Public  secret.Text
		private secret.Text
		deep    *struct{ s []secret.Text }
	}
	h := holder{text, text, &struct{ s []secret.Text }{[]secret.Text{text}}}
	cfg := hsm.Config{PIN: text}
	sealed := hsm.SealedKey{Blob: []byte(canary)}
	var out strings.Builder
	for _, v := range []any{text, &text, h, &h, *h.deep, cfg, &cfg, []secret.Text{text}, map[string]secret.Text{"pin": text}, sealed, &sealed} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%T"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		fmt.Fprintln(&out, v)
		fmt.Fprintln(&out, fmt.Errorf("wrapped: %v", v))
		for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(handler).Info("message", "value", v)
		}
	}
	for _, v := range []any{text, h, cfg} {
		fmt.Fprintf(&out, "%p\n", v) // calls no methods
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	printed := out.String()
	for _, form := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), fmt.Sprint([]byte(canary)), fmt.Sprintf("%#v", []byte(canary)), strings.Trim(fmt.Sprint([]byte(canary)), "[]")} {
		if strings.Contains(printed, form) {
			t.Errorf("%q was printed", form)
		}
	}
	if !strings.Contains(printed, "[redacted]") {
		t.Error("nothing was redacted")
	}
	copied := text
	text.Wipe()
	if copied.Len() != 0 || text.Len() != 0 {
		t.Error("Wipe left something")
	}
	raw := []byte(canary)
	secret.NewBytes(raw).Wipe()
	if !bytes.Equal(raw, make([]byte, len(raw))) {
		t.Errorf("Wipe left %q", raw)
	}
	(secret.Text{}).Wipe()
}

// What fails says nothing of PINs.
func TestErrorsDoNotTellPINs(t *testing.T) {
	m := open(t)
	const wrong = "K4n4ri-9182"
	s, pub := generate(t, m, hsm.ECDSAP256)
	_, unsealed := m.Unseal(t.Context(), binding(hsm.ECDSAP256), s, pub, pin(wrong), soon())
	_, _, changed := m.ChangePIN(t.Context(), binding(hsm.ECDSAP256), s, pub, pin(wrong), pin(wrong))
	m.Close()
	cfg := config(t)
	cfg.PIN = pin(wrong)
	_, opened := hsm.Open(t.Context(), cfg)
	_, created := hsm.CreateToken(t.Context(), cfg, pin(wrong))
	for name, err := range map[string]error{"Unseal": unsealed, "ChangePIN": changed, "Open": opened, "CreateToken": created} {
		if err == nil || strings.Contains(err.Error(), wrong) || strings.Contains(err.Error(), tokenPIN) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRawSignRate(t *testing.T) {
	m := open(t)
	rate, err := m.RawSignRate(t.Context(), firstKEK, hsm.ECDSAP256, 2, 50*time.Millisecond)
	if err != nil || rate <= 0 {
		t.Errorf("RawSignRate = %v, %v", rate, err)
	}
	if _, err := m.RawSignRate(t.Context(), firstKEK, hsm.ECDSAP256, 0, time.Second); !errors.Is(err, hsm.ErrInput) {
		t.Errorf("no sessions: %v", err)
	}
}

package hsm_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/hsm"

	"github.com/mohor-sign/mohor/internal/secret"
)

const officerPIN = "12345678"

func pin(s string) secret.Text { return secret.New(s) }

func binding(a hsm.Algorithm) hsm.Binding {
	return hsm.Binding{Officer: "officer-1", KeyID: "key-1", Algorithm: a, Version: 1}
}

// generate makes an officer's key under officerPIN.
func generate(t testing.TB, m *hsm.Module, a hsm.Algorithm) (hsm.SealedKey, crypto.PublicKey) {
	t.Helper()
	s, request, err := m.Generate(t.Context(), firstKEK, binding(a), nil, pin(officerPIN))
	if err != nil {
		t.Fatal(err)
	}
	pub := request.PublicKey
	return s, pub
}

func unseal(t testing.TB, m *hsm.Module, a hsm.Algorithm, s hsm.SealedKey, pub crypto.PublicKey) *hsm.Key {
	t.Helper()
	k, err := m.Unseal(t.Context(), binding(a), s, pub, pin(officerPIN), soon())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

func TestEachAlgorithmSigns(t *testing.T) {
	m := open(t)
	digest256, digest384, digest512 := sha256.Sum256([]byte("x")), sha512.Sum384([]byte("x")), sha512.Sum512([]byte("x"))
	digests := map[crypto.Hash][]byte{crypto.SHA256: digest256[:], crypto.SHA384: digest384[:], crypto.SHA512: digest512[:]}
	for _, a := range []hsm.Algorithm{hsm.RSA2048, hsm.RSA3072, hsm.RSA4096, hsm.ECDSAP256, hsm.ECDSAP384} {
		t.Run(string(a), func(t *testing.T) {
			s, pub := generate(t, m, a)
			k := unseal(t, m, a, s, pub)
			for hash, digest := range digests {
				sig, err := k.Sign(t.Context(), digest, hash)
				if err != nil {
					t.Fatal(err)
				}
				switch pub := pub.(type) {
				case *ecdsa.PublicKey:
					if !ecdsa.VerifyASN1(pub, digest, sig) {
						t.Errorf("%v: signature does not verify", hash)
					}
				case *rsa.PublicKey:
					if err := rsa.VerifyPKCS1v15(pub, hash, digest, sig); err != nil {
						t.Errorf("%v: %v", hash, err)
					}
					opts := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
					sig, err := k.Sign(t.Context(), digest, opts)
					if err != nil {
						t.Fatal(err)
					}
					if err := rsa.VerifyPSS(pub, hash, digest, sig, opts); err != nil {
						t.Errorf("PSS %v: %v", hash, err)
					}
				}
			}
			text, err := s.MarshalText()
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("blob %d bytes, stored form %d bytes, mechanism 0x%X", len(s.Blob), len(text), s.Mechanism)
		})
	}
}

// The last word on a signature is not ours.
func TestOpenSSLVerifies(t *testing.T) {
	requireTool(t, "openssl")
	m := open(t)
	dir := t.TempDir()
	data := []byte("Surat Pekeliling")
	digest := sha256.Sum256(data)
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := write("data", data)
	for _, a := range []hsm.Algorithm{hsm.RSA2048, hsm.ECDSAP256} {
		s, pub := generate(t, m, a)
		k := unseal(t, m, a, s, pub)
		der, err := x509.MarshalPKIXPublicKey(pub)
		if err != nil {
			t.Fatal(err)
		}
		key := write("pub.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		verify := func(sig []byte, more ...string) {
			t.Helper()
			args := append([]string{"dgst", "-sha256", "-verify", key, "-signature", write("sig", sig)}, more...)
			out, err := exec.Command("openssl", append(args, file)...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), "Verified OK") {
				t.Errorf("%s: openssl: %v\n%s", a, err, out)
			}
		}
		sig, err := k.Sign(t.Context(), digest[:], crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		verify(sig)
		if a != hsm.RSA2048 {
			continue
		}
		sig, err = k.Sign(t.Context(), digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
		if err != nil {
			t.Fatal(err)
		}
		verify(sig, "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32")
	}
}

func TestUnsealRefusesWrongPIN(t *testing.T) {
	m := open(t)
	s, pub := generate(t, m, hsm.ECDSAP256)
	for _, wrong := range []string{"12345679", "1234567", "123456789", " 12345678"} {
		if _, err := m.Unseal(t.Context(), binding(hsm.ECDSAP256), s, pub, pin(wrong), soon()); !errors.Is(err, hsm.ErrWrongPIN) {
			t.Errorf("PIN %q: %v", wrong, err)
		}
	}
	if _, err := m.Unseal(t.Context(), binding(hsm.ECDSAP256), s, pub, secret.Text{}, soon()); !errors.Is(err, hsm.ErrInput) {
		t.Errorf("no PIN: %v", err)
	}
	unseal(t, m, hsm.ECDSAP256, s, pub)
}

// A row moved to another officer, to another key, or kept from an earlier version does not open.
func TestUnsealRefusesOtherBinding(t *testing.T) {
	m := open(t)
	s, pub := generate(t, m, hsm.ECDSAP256)
	other, otherPub := generate(t, m, hsm.ECDSAP384)
	for name, change := range map[string]func(*hsm.Binding){
		"officer":       func(b *hsm.Binding) { b.Officer = "officer-2" },
		"key id":        func(b *hsm.Binding) { b.KeyID = "key-2" },
		"version":       func(b *hsm.Binding) { b.Version++ },
		"shifted names": func(b *hsm.Binding) { b.Officer, b.KeyID = "officer-1k", "ey-1" },
	} {
		b := binding(hsm.ECDSAP256)
		change(&b)
		if _, err := m.Unseal(t.Context(), b, s, pub, pin(officerPIN), soon()); !errors.Is(err, hsm.ErrWrongPIN) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := m.Unseal(t.Context(), binding(hsm.ECDSAP384), s, otherPub, pin(officerPIN), soon()); !errors.Is(err, hsm.ErrWrongPIN) {
		t.Errorf("other algorithm: %v", err)
	}
	if _, err := m.Unseal(t.Context(), binding(hsm.ECDSAP256), s, otherPub, pin(officerPIN), soon()); !errors.Is(err, hsm.ErrInput) {
		t.Errorf("public key of another algorithm: %v", err)
	}
	// Parts of one row in another.
	mixed := s
	mixed.Salt = other.Salt
	if _, err := m.Unseal(t.Context(), binding(hsm.ECDSAP256), mixed, pub, pin(officerPIN), soon()); !errors.Is(err, hsm.ErrWrongPIN) {
		t.Errorf("salt of another: %v", err)
	}
}

func TestUnsealRefusesAlteredKey(t *testing.T) {
	m := open(t)
	s, pub := generate(t, m, hsm.ECDSAP256)
	for i := range s.Blob {
		altered := s
		altered.Blob = bytes.Clone(s.Blob)
		altered.Blob[i] ^= 0x40
		if _, err := m.Unseal(t.Context(), binding(hsm.ECDSAP256), altered, pub, pin(officerPIN), soon()); !errors.Is(err, hsm.ErrWrongPIN) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
	for name, c := range map[string]struct {
		change func(*hsm.SealedKey)
		want   error
	}{
		"parameters":         {func(s *hsm.SealedKey) { s.KDF.Time++ }, hsm.ErrWrongPIN},
		"mechanism":          {func(s *hsm.SealedKey) { s.Mechanism = 0x210A + 0x210B - s.Mechanism }, hsm.ErrWrongPIN},
		"KEK":                {func(s *hsm.SealedKey) { s.KEK = "mohor-kek-9" }, hsm.ErrWrongPIN},
		"truncated":          {func(s *hsm.SealedKey) { s.Blob = s.Blob[:len(s.Blob)-1] }, hsm.ErrWrongPIN},
		"KEK of another use": {func(s *hsm.SealedKey) { s.KEK = "mohor-pepper" }, hsm.ErrInput},
		"greedy parameters":  {func(s *hsm.SealedKey) { s.KDF.MemoryKiB = 1 << 30 }, hsm.ErrInput},
		"other mechanism":    {func(s *hsm.SealedKey) { s.Mechanism = 0x1082 }, hsm.ErrInput},
		"no blob":            {func(s *hsm.SealedKey) { s.Blob = nil }, hsm.ErrInput},
		"no salt":            {func(s *hsm.SealedKey) { s.Salt = nil }, hsm.ErrInput},
	} {
		altered := s
		c.change(&altered)
		if _, err := m.Unseal(t.Context(), binding(hsm.ECDSAP256), altered, pub, pin(officerPIN), soon()); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Another officer's public key in the certificate: the key opens, but no signature gets out.
func TestSignRefusesForeignPublicKey(t *testing.T) {
	m := open(t)
	s, _ := generate(t, m, hsm.ECDSAP256)
	_, foreign := generate(t, m, hsm.ECDSAP256)
	k := unseal(t, m, hsm.ECDSAP256, s, foreign)
	if sig, err := k.Sign(t.Context(), make([]byte, 32), crypto.SHA256); !errors.Is(err, hsm.ErrBadSignature) || sig != nil {
		t.Errorf("Sign = %x, %v", sig, err)
	}
}

func TestSealedKeyText(t *testing.T) {
	m := open(t)
	s, pub := generate(t, m, hsm.ECDSAP256)
	text, err := s.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var back hsm.SealedKey
	if err := back.UnmarshalText(text); err != nil {
		t.Fatal(err)
	}
	unseal(t, m, hsm.ECDSAP256, back, pub)
	for _, bad := range []string{
		"", "null", "[]", "{}", `{"v":1}`,
		strings.Replace(string(text), `"v":1`, `"v":2`, 1),
		strings.Replace(string(text), `"mech":`, `"mech":9`, 1),
		string(text) + "x",
		string(text) + strings.Repeat(" ", 16<<10),
	} {
		before := back
		if err := back.UnmarshalText([]byte(bad)); !errors.Is(err, hsm.ErrInput) {
			t.Errorf("%.40q: %v", bad, err)
		}
		if !bytes.Equal(before.Blob, back.Blob) {
			t.Errorf("%.40q: changed the key it was read into", bad)
		}
	}
	if _, err := (hsm.SealedKey{}).MarshalText(); !errors.Is(err, hsm.ErrInput) {
		t.Errorf("zero key: %v", err)
	}
}

func TestChangePIN(t *testing.T) {
	m := open(t)
	costlier := open(t, func(c *hsm.Config) { c.KDF.Time = 2 })
	s, pub := generate(t, m, hsm.RSA2048)
	b := binding(hsm.RSA2048)
	if _, _, err := m.ChangePIN(t.Context(), b, s, pub, pin("87654321"), pin("new-pin-1")); !errors.Is(err, hsm.ErrWrongPIN) {
		t.Fatalf("wrong old PIN: %v", err)
	}
	next, changed, err := costlier.ChangePIN(t.Context(), b, s, pub, pin(officerPIN), pin("new-pin-1"))
	if err != nil {
		t.Fatal(err)
	}
	if next.Version != 2 || next.Officer != b.Officer || next.KeyID != b.KeyID || changed.KDF.Time != 2 {
		t.Errorf("binding %+v, KDF %+v", next, changed.KDF)
	}
	k, err := m.Unseal(t.Context(), next, changed, pub, pin("new-pin-1"), soon())
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if _, err := k.Sign(t.Context(), make([]byte, 32), crypto.SHA256); err != nil {
		t.Error(err)
	}
	for name, try := range map[string]func() (*hsm.Key, error){
		"old PIN":     func() (*hsm.Key, error) { return m.Unseal(t.Context(), next, changed, pub, pin(officerPIN), soon()) },
		"old version": func() (*hsm.Key, error) { return m.Unseal(t.Context(), b, changed, pub, pin("new-pin-1"), soon()) },
		"rolled back": func() (*hsm.Key, error) { return m.Unseal(t.Context(), next, s, pub, pin(officerPIN), soon()) },
	} {
		if _, err := try(); !errors.Is(err, hsm.ErrWrongPIN) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSignChecksInput(t *testing.T) {
	m := open(t)
	s, pub := generate(t, m, hsm.RSA2048)
	k := unseal(t, m, hsm.RSA2048, s, pub)
	es, epub := generate(t, m, hsm.ECDSAP256)
	ek := unseal(t, m, hsm.ECDSAP256, es, epub)
	for name, c := range map[string]struct {
		k      *hsm.Key
		digest int
		opts   crypto.SignerOpts
	}{
		"no options":          {k, 32, nil},
		"no digest algorithm": {k, 32, crypto.Hash(0)},
		"SHA-1":               {k, 20, crypto.SHA1},
		"short":               {k, 31, crypto.SHA256},
		"long":                {k, 64, crypto.SHA256},
		"empty":               {ek, 0, crypto.SHA256},
		"PSS salt":            {k, 32, &rsa.PSSOptions{SaltLength: 20, Hash: crypto.SHA256}},
		"PSS auto":            {k, 32, &rsa.PSSOptions{Hash: crypto.SHA256}},
		"PSS with ECDSA":      {ek, 32, &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256}},
	} {
		if sig, err := c.k.Sign(t.Context(), make([]byte, c.digest), c.opts); !errors.Is(err, hsm.ErrInput) || sig != nil {
			t.Errorf("%s: %x, %v", name, sig, err)
		}
	}
	for name, b := range map[string]hsm.Binding{
		"zero":         {},
		"no officer":   {KeyID: "k", Algorithm: hsm.ECDSAP256, Version: 1},
		"no key id":    {Officer: "o", Algorithm: hsm.ECDSAP256, Version: 1},
		"no version":   {Officer: "o", KeyID: "k", Algorithm: hsm.ECDSAP256},
		"no algorithm": {Officer: "o", KeyID: "k", Version: 1},
		"RSA-1024":     {Officer: "o", KeyID: "k", Version: 1, Algorithm: "RSA-1024"},
		"long":         {Officer: strings.Repeat("o", 257), KeyID: "k", Algorithm: hsm.ECDSAP256, Version: 1},
		"not UTF-8":    {Officer: "\xff", KeyID: "k", Algorithm: hsm.ECDSAP256, Version: 1},
	} {
		if _, _, err := m.Generate(t.Context(), firstKEK, b, nil, pin(officerPIN)); !errors.Is(err, hsm.ErrInput) {
			t.Errorf("binding %s: %v", name, err)
		}
	}
}

// Several digests at once: signatures in their order, here and in another process, and those before one
// that cannot be had.
func TestSignAll(t *testing.T) {
	p, _ := openProcess(t)
	for name, m := range map[string]interface {
		Generate(context.Context, string, hsm.Binding, []byte, secret.Text) (hsm.SealedKey, *x509.CertificateRequest, error)
		Unseal(context.Context, hsm.Binding, hsm.SealedKey, crypto.PublicKey, secret.Text, hsm.Use) (*hsm.Key, error)
	}{"module": open(t), "process": p} {
		b := binding(hsm.ECDSAP256)
		s, request, err := m.Generate(t.Context(), firstKEK, b, nil, pin(officerPIN))
		if err != nil {
			t.Fatal(err)
		}
		k, err := m.Unseal(t.Context(), b, s, request.PublicKey, pin(officerPIN), soon())
		if err != nil {
			t.Fatal(err)
		}
		digests := make([][]byte, hsm.MaxDigests)
		for i := range digests {
			sum := sha256.Sum256([]byte{byte(i)})
			digests[i] = sum[:]
		}
		sigs, err := k.SignAll(t.Context(), digests, crypto.SHA256)
		if err != nil || len(sigs) != len(digests) {
			t.Fatalf("%s: %d signatures, %v", name, len(sigs), err)
		}
		for i, sig := range sigs {
			if !ecdsa.VerifyASN1(request.PublicKey.(*ecdsa.PublicKey), digests[i], sig) {
				t.Errorf("%s: signature %d is not of its digest", name, i)
			}
		}
		for what, some := range map[string][][]byte{"none": nil, "too many": append(digests, digests[0]), "one short": {digests[0], digests[1][:31]}} {
			if sigs, err := k.SignAll(t.Context(), some, crypto.SHA256); !errors.Is(err, hsm.ErrInput) || len(sigs) > 1 {
				t.Errorf("%s, %s: %d signatures, %v", name, what, len(sigs), err)
			}
		}
		if err := k.Close(); err != nil {
			t.Error(err)
		}
		if sigs, err := k.SignAll(t.Context(), digests, crypto.SHA256); !errors.Is(err, hsm.ErrClosed) || len(sigs) != 0 {
			t.Errorf("%s, closed: %d signatures, %v", name, len(sigs), err)
		}
	}
}

func TestConcurrentSigning(t *testing.T) {
	m := open(t, func(c *hsm.Config) { c.Sessions = 4 })
	s, pub := generate(t, m, hsm.ECDSAP256)
	shared := unseal(t, m, hsm.ECDSAP256, s, pub)
	if _, err := m.EnsureSigner(t.Context(), "concurrent", hsm.ECDSAP256); err != nil {
		t.Fatal(err)
	}
	signer, err := m.Signer("concurrent")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 10 {
				digest := make([]byte, 32)
				rand.Read(digest)
				sig, err := shared.Sign(t.Context(), digest, crypto.SHA256)
				if err != nil || !ecdsa.VerifyASN1(pub.(*ecdsa.PublicKey), digest, sig) {
					t.Errorf("shared key: %v", err)
				}
				own, err := m.Unseal(t.Context(), binding(hsm.ECDSAP256), s, pub, pin(officerPIN), soon())
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := own.Sign(t.Context(), digest, crypto.SHA256); err != nil {
					t.Errorf("own key: %v", err)
				}
				if err := own.Close(); err != nil {
					t.Error(err)
				}
				if _, err := m.MAC(t.Context(), hsm.IntentKey, digest); err != nil {
					t.Error(err)
				}
				if _, err := signer.Sign(nil, digest, crypto.SHA256); err != nil {
					t.Errorf("service key: %v", err)
				}
			}
		})
	}
	wg.Wait()
}

func TestCloseDestroysKey(t *testing.T) {
	m := open(t)
	a := newAttacker(t)
	before := a.sessionKeys(t)
	s, pub := generate(t, m, hsm.ECDSAP256)
	if n := a.sessionKeys(t); n != before {
		t.Errorf("Generate left %d private keys in the module", n-before)
	}
	k := unseal(t, m, hsm.ECDSAP256, s, pub)
	if n := a.sessionKeys(t); n != before+1 {
		t.Fatalf("%d session keys, want %d", n, before+1)
	}
	for range 2 {
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n := a.sessionKeys(t); n != before {
		t.Errorf("%d session keys after Close, want %d", n, before)
	}
	if _, err := k.Sign(t.Context(), make([]byte, 32), crypto.SHA256); !errors.Is(err, hsm.ErrClosed) {
		t.Errorf("Sign after Close: %v", err)
	}
}

func TestCancelledContext(t *testing.T) {
	m := open(t)
	s, pub := generate(t, m, hsm.ECDSAP256)
	k := unseal(t, m, hsm.ECDSAP256, s, pub)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, generated := m.Generate(ctx, firstKEK, binding(hsm.ECDSAP256), nil, pin(officerPIN))
	_, unsealed := m.Unseal(ctx, binding(hsm.ECDSAP256), s, pub, pin(officerPIN), soon())
	_, signed := k.Sign(ctx, make([]byte, 32), crypto.SHA256)
	_, mac := m.MAC(ctx, hsm.CodeKey, nil)
	_, keys := m.EnsureKeys(ctx, firstKEK)
	_, opened := hsm.Open(ctx, config(t))
	for name, err := range map[string]error{
		"Generate": generated, "Unseal": unsealed, "Sign": signed, "MAC": mac, "EnsureKeys": keys,
		"Open": opened, "SelfTest": m.SelfTest(ctx, firstKEK), "Canary": m.Canary(ctx, firstKEK),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A key derivation takes its place for as long as it runs; others wait, and not for ever.
func TestKeyDerivationIsBounded(t *testing.T) {
	m := open(t, func(c *hsm.Config) {
		c.KDF = hsm.KDFParams{MemoryKiB: 64 << 10, Time: 16, Threads: 1} // about a second
		c.KDFConcurrency = 1
		c.AcquireTimeout = 10 * time.Millisecond
	})
	cheap := open(t)
	s, pub := generate(t, cheap, hsm.ECDSAP256)
	slow := s
	slow.KDF = hsm.KDFParams{MemoryKiB: 64 << 10, Time: 16, Threads: 1}
	const callers = 4
	errs := make(chan error, callers)
	for range callers {
		go func() {
			_, err := m.Unseal(t.Context(), binding(hsm.ECDSAP256), slow, pub, pin(officerPIN), soon())
			errs <- err
		}()
	}
	busy := 0
	for range callers {
		if err := <-errs; errors.Is(err, hsm.ErrBusy) {
			busy++
		} else if !errors.Is(err, hsm.ErrWrongPIN) {
			t.Error(err)
		}
	}
	if busy != callers-1 {
		t.Errorf("%d of %d were told to come back, want %d", busy, callers, callers-1)
	}
}

// The request that comes with a key is signed by it and names the subject it was asked for.
func TestGenerateSignsARequest(t *testing.T) {
	m := open(t)
	subject, err := asn1.Marshal(pkix.Name{Country: []string{"MY"}, CommonName: "NUR AISYAH", SerialNumber: "900101145678"}.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []hsm.Algorithm{hsm.RSA2048, hsm.ECDSAP256, hsm.ECDSAP384} {
		s, request, err := m.Generate(t.Context(), firstKEK, binding(a), subject, pin(officerPIN))
		if err != nil {
			t.Fatal(err)
		}
		if err := request.CheckSignature(); err != nil || !bytes.Equal(request.RawSubject, subject) || len(request.Extensions) != 0 {
			t.Errorf("%s: %v, %s", a, err, request.Subject)
		}
		if _, err := unseal(t, m, a, s, request.PublicKey).Sign(t.Context(), make([]byte, 32), crypto.SHA256); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
	if _, _, err := m.Generate(t.Context(), firstKEK, binding(hsm.ECDSAP256), []byte("no name"), pin(officerPIN)); !errors.Is(err, hsm.ErrInput) {
		t.Errorf("a subject that is no Name: %v", err)
	}
}

//go:build !race

package gateway_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"

	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// Threats, row 29: a thief has every file of the database and of SoftHSM, and neither the token PIN
// nor officers' PINs.
func TestStolenFilesYieldNothing(t *testing.T) {
	tool := gatewaytest.Tool(t, "pkcs11-tool")
	g := gatewaytest.New(t)
	tx, code := g.Ask(raw("baucar"))
	want(t, g.Confirm(tx, code, nil), 200, "")
	keys := sealedKeys(t, g)
	g.Stop()
	tokens := filepath.Dir(os.Getenv("SOFTHSM2_CONF"))
	module, err := hsm.DefaultModule()
	if err != nil {
		t.Fatal(err)
	}

	// The token shows public keys to anyone, and everything to no wrong PIN.
	config, err := os.ReadFile(filepath.Join(g.Dir, "mohor.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(config), "\n  label: \"")
	label, _, _ := strings.Cut(rest, "\"")
	ask := func(args ...string) (string, error) {
		out, err := exec.Command(tool, append([]string{"--module", module, "--token-label", label}, args...)...).CombinedOutput()
		return string(out), err
	}
	if out, err := ask("-O"); err != nil || !strings.Contains(out, "Public Key Object") || strings.Contains(out, "Private Key Object") || strings.Contains(out, "Secret Key Object") {
		t.Errorf("without a PIN: %v\n%s", err, out)
	}
	for _, pin := range []string{"1234", "12345678", label, strings.Repeat("0", 32)} {
		if out, err := ask("-O", "--login", "--pin", pin); err == nil || strings.Contains(out, "Secret Key Object") {
			t.Errorf("with the PIN %q: %v\n%s", pin, err, out)
		}
	}
	right, err := os.ReadFile(filepath.Join(g.Dir, "secrets", "token.pin"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := ask("-O", "--login", "--pin", strings.TrimSpace(string(right))); err != nil || !strings.Contains(out, "Secret Key Object") {
		t.Fatalf("control: %v\n%s", err, out)
	}

	// No file has a private key in the clear.
	if found := privateKeys(t, tokens, filepath.Join(g.Dir, "mohor.db"), filepath.Join(g.Dir, "mohor.db-wal")); len(found) != 0 {
		t.Errorf("private keys in %v", found)
	}
	planted := filepath.Join(t.TempDir(), "planted")
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(planted, append([]byte("....."), der...), 0o600); err != nil {
		t.Fatal(err)
	}
	if len(privateKeys(t, planted)) != 1 {
		t.Error("control: the planted key was not found")
	}

	// A sealed key does not open without the pepper, even to somebody who knows its PIN.
	for _, s := range keys {
		for _, pin := range []string{"12345678", string(g.PIN().Reveal())} {
			if s.openWithoutPepper(t, pin) {
				t.Errorf("a sealed key opens with %q and no token", pin)
			}
		}
	}
}

// privateKeys gives the files with something that parses as a private key, at any place.
func privateKeys(t *testing.T, roots ...string) (found []string) {
	t.Helper()
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			for i := 0; err == nil && i+4 < len(b); i++ {
				if b[i] == 0x30 && isPrivateKey(b[i:]) {
					found = append(found, path)
					break
				}
			}
			return err
		})
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	return found
}

// isPrivateKey is for a DER SEQUENCE that begins as PKCS #8, PKCS #1 or SEC 1 do: an INTEGER 0 or 1.
func isPrivateKey(b []byte) bool {
	n, head := int(b[1]), 2
	switch {
	case n == 0x81 && len(b) > 3:
		n, head = int(b[2]), 3
	case n == 0x82 && len(b) > 4:
		n, head = int(binary.BigEndian.Uint16(b[2:])), 4
	case n >= 0x80:
		return false
	}
	if n < 30 || head+n > len(b) || !bytes.HasPrefix(b[head:], []byte{2, 1, 0}) && !bytes.HasPrefix(b[head:], []byte{2, 1, 1}) {
		return false
	}
	der := b[:head+n]
	if _, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return true
	}
	if _, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return true
	}
	_, err := x509.ParseECPrivateKey(der)
	return err == nil
}

// stolenKey is a sealed key as the database has it, with its binding.
type stolenKey struct {
	officer, id, algorithm string
	version                uint32
	text                   struct {
		KEK  string `json:"kek"`
		Mech uint   `json:"mech"`
		KDF  struct {
			M, T uint32
			P    uint8
		} `json:"kdf"`
		Salt, Blob []byte
	}
}

func sealedKeys(t *testing.T, g *gatewaytest.Gateway) (keys []stolenKey) {
	t.Helper()
	rows, err := opened(t, g).QueryContext(t.Context(), "SELECT ic, id, algorithm, version, sealed FROM credentials")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var k stolenKey
		var sealed []byte
		if err := rows.Scan(&k.officer, &k.id, &k.algorithm, &k.version, &sealed); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(sealed, &k.text); err != nil || len(k.text.Blob) < 64 || len(k.text.Salt) != 16 {
			t.Fatalf("%s: %v", sealed, err)
		}
		keys = append(keys, k)
	}
	if err := rows.Err(); err != nil || len(keys) < 4 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	return keys
}

// openWithoutPepper tries the keys that somebody could make who has read the code.
func (k *stolenKey) openWithoutPepper(t *testing.T, pin string) bool {
	t.Helper()
	stretched := argon2.IDKey([]byte(pin), k.text.Salt, k.text.KDF.T, k.text.KDF.M, k.text.KDF.P, 32)
	mac := hmac.New(sha256.New, make([]byte, 32))
	mac.Write(stretched)
	var aad []byte
	for _, field := range []string{"mohor officer key binding v1", k.officer, k.id, k.algorithm, k.text.KEK, string(k.text.Salt)} {
		aad = binary.BigEndian.AppendUint32(aad, uint32(len(field)))
		aad = append(aad, field...)
	}
	aad = binary.BigEndian.AppendUint32(aad, k.version)
	aad = binary.BigEndian.AppendUint64(aad, uint64(k.text.Mech))
	aad = binary.BigEndian.AppendUint32(aad, k.text.KDF.M)
	aad = append(binary.BigEndian.AppendUint32(aad, k.text.KDF.T), k.text.KDF.P)
	for _, from := range [][]byte{stretched, mac.Sum(nil), []byte(pin)} {
		key, err := hkdf.Key(sha256.New, from, k.text.Salt, "mohor officer key seal v1", 32)
		if err != nil {
			t.Fatal(err)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			t.Fatal(err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := aead.Open(nil, nil, k.text.Blob, aad); err == nil {
			return true
		}
	}
	return false
}

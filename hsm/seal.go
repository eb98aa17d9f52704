package hsm

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"unicode/utf8"

	"github.com/miekg/pkcs11"
	"golang.org/x/crypto/argon2"

	"github.com/mohor-sign/mohor/internal/secret"
)

// ckmAESKeyWrapKWP is RFC 5649 in PKCS#11 v3.0, Section 2.12; CKM_AES_KEY_WRAP_PAD does nearly the same
// in SoftHSM.
const ckmAESKeyWrapKWP = 0x210B

const (
	saltSize     = 16   // RFC 9106, Section 3.1
	maxBlob      = 8192 // RSA-4096 takes about 2,450
	minBlob      = 64
	maxText      = 16 << 10
	maxBound     = 256 // bytes of each name in a Binding
	sealInfo     = "mohor officer key seal v1"
	bindingLabel = "mohor officer key binding v1"
)

// Binding says whose key a sealed key is. It is not stored in the SealedKey: the caller keeps it
// where it belongs and must bring the same one, or the seal does not open.
type Binding struct {
	Officer   string // 1 to 256 bytes of UTF-8
	KeyID     string // 1 to 256 bytes of UTF-8
	Algorithm Algorithm
	Version   uint32 // from 1; one more at each change of the seal
}

func (b Binding) check() error {
	for _, name := range []string{b.Officer, b.KeyID} {
		if name == "" || len(name) > maxBound || !utf8.ValidString(name) {
			return fmt.Errorf("%w: officer or key id in binding", ErrInput)
		}
	}
	if b.Version == 0 {
		return fmt.Errorf("%w: version 0 in binding", ErrInput)
	}
	return b.Algorithm.check()
}

// SealedKey is an officer's private key as it is stored: wrapped by the KEK, then sealed under
// the PIN. It is stored and read back as a whole with MarshalText and UnmarshalText: about 360
// bytes for ECDSA, 1,900 for RSA-2048, 3,500 for RSA-4096. It prints as "[redacted]".
type SealedKey struct {
	KEK       string    // label of the key that wrapped it
	Mechanism uint      // CKM_AES_KEY_WRAP_KWP (0x210B) or CKM_AES_KEY_WRAP_PAD (0x210A)
	KDF       KDFParams // what the PIN went through
	Salt      []byte    // 16 bytes
	Blob      []byte    // 12-byte nonce, AES-256-GCM of the wrapped PKCS #8 key, 16-byte tag
}

// Format prints "[redacted]" for every verb.
func (SealedKey) Format(f fmt.State, _ rune) { secret.Text{}.Format(f, 0) }

// LogValue is "[redacted]".
func (SealedKey) LogValue() slog.Value { return secret.Text{}.LogValue() }

// sealedText is the stored form.
type sealedText struct {
	Format    int       `json:"v"`
	KEK       string    `json:"kek"`
	Mechanism uint      `json:"mech"`
	KDF       KDFParams `json:"kdf"`
	Salt      []byte    `json:"salt"`
	Blob      []byte    `json:"blob"`
}

// MarshalText gives the stored form, a JSON object in ASCII with a format number in it.
func (s SealedKey) MarshalText() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return json.Marshal(sealedText{1, s.KEK, s.Mechanism, s.KDF, s.Salt, s.Blob})
}

// UnmarshalText reads the stored form; [ErrInput] when it is not one, or longer than 16 KiB.
func (s *SealedKey) UnmarshalText(text []byte) error {
	if len(text) > maxText {
		return fmt.Errorf("%w: sealed key of %d bytes", ErrInput, len(text))
	}
	var t sealedText
	if err := json.Unmarshal(text, &t); err != nil {
		return fmt.Errorf("%w: sealed key is no JSON object of its kind", ErrInput)
	}
	if t.Format != 1 {
		return fmt.Errorf("%w: sealed key of format %d", ErrInput, t.Format)
	}
	read := SealedKey{t.KEK, t.Mechanism, t.KDF, t.Salt, t.Blob}
	if err := read.check(); err != nil {
		return err
	}
	*s = read
	return nil
}

func (s SealedKey) check() error {
	switch {
	case !kekLabel.MatchString(s.KEK):
		return fmt.Errorf("%w: KEK label in sealed key", ErrInput)
	case s.Mechanism != pkcs11.CKM_AES_KEY_WRAP_PAD && s.Mechanism != ckmAESKeyWrapKWP:
		return fmt.Errorf("%w: mechanism 0x%X in sealed key", ErrInput, s.Mechanism)
	case len(s.Salt) != saltSize:
		return fmt.Errorf("%w: salt of %d bytes in sealed key", ErrInput, len(s.Salt))
	case len(s.Blob) < minBlob || len(s.Blob) > maxBlob:
		return fmt.Errorf("%w: blob of %d bytes in sealed key", ErrInput, len(s.Blob))
	}
	return s.KDF.check()
}

// aad is what is authenticated with the blob: the binding, and all of the sealed key that is not
// the blob, each field with its length in front.
func (s SealedKey) aad(b Binding) []byte {
	var out []byte
	for _, field := range []string{bindingLabel, b.Officer, b.KeyID, string(b.Algorithm), s.KEK, string(s.Salt)} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(field)))
		out = append(out, field...)
	}
	out = binary.BigEndian.AppendUint32(out, b.Version)
	out = binary.BigEndian.AppendUint64(out, uint64(s.Mechanism))
	out = binary.BigEndian.AppendUint32(out, s.KDF.MemoryKiB)
	out = binary.BigEndian.AppendUint32(out, s.KDF.Time)
	return append(out, s.KDF.Threads)
}

// sealer gives the AES-256-GCM of a PIN and a sealed key's salt and parameters.
func (m *Module) sealer(ctx context.Context, s SealedKey, pin secret.Text) (cipher.AEAD, error) {
	stretched, err := m.stretch(ctx, s, pin)
	if err != nil {
		return nil, err
	}
	defer clear(stretched)
	peppered, err := m.mac(ctx, pepperKey, stretched)
	if err != nil {
		return nil, err
	}
	defer clear(peppered)
	return deriveAEAD(peppered, s.Salt, sealInfo)
}

// deriveAEAD gives AES-256-GCM under HKDF-SHA256 (RFC 5869) of a secret.
func deriveAEAD(from, salt []byte, info string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, from, salt, info, 32)
	if err != nil {
		return nil, fmt.Errorf("deriving seal key: %w", err)
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("preparing seal: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// stretch runs Argon2id, beside at most KDFConcurrency others.
func (m *Module) stretch(ctx context.Context, s SealedKey, pin secret.Text) ([]byte, error) {
	if pin.Len() == 0 {
		return nil, fmt.Errorf("%w: no PIN", ErrInput)
	}
	if err := s.KDF.check(); err != nil {
		return nil, err
	}
	if m.cfg.Bench {
		return unstretched(pin, s.Salt), nil
	}
	if err := take(ctx, m.kdf, m.cfg.AcquireTimeout, "place for a key derivation"); err != nil {
		return nil, err
	}
	defer func() { <-m.kdf }()
	m.waits.begin()
	defer m.waits.end()
	return argon2.IDKey(pin.Reveal(), s.Salt, s.KDF.Time, s.KDF.MemoryKiB, s.KDF.Threads, 32), nil
}

// seal seals a wrapped key under a PIN, with a new salt and the parameters in force.
func (m *Module) seal(ctx context.Context, b Binding, w wrapped, pin secret.Text) (SealedKey, error) {
	s := SealedKey{KEK: w.kek, Mechanism: w.mechanism, KDF: m.cfg.KDF, Salt: make([]byte, saltSize)}
	if _, err := rand.Read(s.Salt); err != nil {
		return SealedKey{}, fmt.Errorf("making salt: %w", err)
	}
	aead, err := m.sealer(ctx, s, pin)
	if err != nil {
		return SealedKey{}, err
	}
	s.Blob = aead.Seal(nil, nil, w.blob, s.aad(b))
	return s, s.check()
}

// open is the reverse: ErrWrongPIN when the tag does not fit.
func (m *Module) open(ctx context.Context, b Binding, s SealedKey, pin secret.Text) (wrapped, error) {
	if err := b.check(); err != nil {
		return wrapped{}, err
	}
	if err := s.check(); err != nil {
		return wrapped{}, err
	}
	aead, err := m.sealer(ctx, s, pin)
	if err != nil {
		return wrapped{}, err
	}
	blob, err := aead.Open(nil, nil, s.Blob, s.aad(b))
	if err != nil {
		return wrapped{}, ErrWrongPIN
	}
	return wrapped{blob: blob, kek: s.KEK, mechanism: s.Mechanism, algorithm: b.Algorithm}, nil
}

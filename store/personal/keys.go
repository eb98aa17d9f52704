// Package personal keeps what is said of people encrypted in the database. Columns that
// hold it have types of this package ([IC], [Name], [Bytes] …): connections of a
// [Connector] seal values of these types on their way to the database and open them on
// their way back, so that nothing else has to think of it, and a value that somebody
// forgot to give its type does not compile.
//
// What is looked up or joined by equality is sealed with AES-SIV (RFC 5297), which gives
// equal values equal ciphertexts; all else with AES-256-GCM under random nonces. The kind
// of a value is authenticated with it: a name does not open as an address. Within a kind
// it does: rows are copied and joined by the database itself. Empty values stay empty.
package personal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
)

// Errors of reading and writing personal columns.
var (
	// ErrLocked: the key is not there yet; see [Lock.Unlock].
	ErrLocked = errors.New("personal fields are locked: their key was not opened")
	// ErrSealed: a value was edited, belongs to another column, or was sealed under another key.
	ErrSealed = errors.New("a personal field does not open: it was edited, moved, or sealed under another key")
	// ErrClear: a value is not encrypted. Nobody believes it.
	ErrClear = errors.New("a personal field is not encrypted")
)

// KeySize is the length of the key from which all others are derived, in bytes.
const KeySize = 32

// Keys seals and opens values. It may be used by several goroutines.
type Keys struct {
	siv siv
	gcm cipher.AEAD
	id  string
}

// NewKeys derives the keys from one of [KeySize] bytes: HKDF-SHA256 (RFC 5869). At most
// 2^32 values may be sealed under it (NIST SP 800-38D, Section 8.3).
func NewKeys(key []byte) (*Keys, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("deriving keys of personal fields: the key has %d bytes, not %d", len(key), KeySize)
	}
	raw, err := hkdf.Key(sha256.New, key, nil, "mohor personal fields v1", 64+32+16)
	if err != nil {
		return nil, fmt.Errorf("deriving keys of personal fields: %w", err)
	}
	defer clear(raw)
	k := &Keys{id: hex.EncodeToString(raw[96:])}
	if k.siv, err = newSIV(raw[:64]); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(raw[64:96])
	if err == nil {
		k.gcm, err = cipher.NewGCMWithRandomNonce(block)
	}
	if err != nil {
		return nil, fmt.Errorf("preparing AES-GCM: %w", err)
	}
	return k, nil
}

// ID tells keys apart and says nothing of them: 32 hexadecimal digits.
func (k *Keys) ID() string { return k.id }

// What stands in front of sealed values. In text, base64url follows.
const (
	textSIV = "~siv1:"
	textGCM = "~gcm1:"
	byteGCM = "\xffmohor\x01g"
)

// IsSealed says whether a stored text or bytes look sealed.
func IsSealed(s string) bool {
	return strings.HasPrefix(s, textSIV) || strings.HasPrefix(s, textGCM) || strings.HasPrefix(s, byteGCM)
}

func (k *Keys) sealText(plain string, as kind) string {
	if as.equal {
		return textSIV + base64.RawURLEncoding.EncodeToString(k.siv.seal([]byte(plain), []byte(as.name)))
	}
	return textGCM + base64.RawURLEncoding.EncodeToString(k.gcm.Seal(nil, nil, []byte(plain), []byte(as.name)))
}

func (k *Keys) sealBytes(plain []byte, as kind) []byte {
	return k.gcm.Seal([]byte(byteGCM), nil, plain, []byte(as.name))
}

// open is the reverse of both.
func (k *Keys) open(sealed string, as kind) (plain []byte, err error) {
	ok := false
	switch {
	case as.equal && strings.HasPrefix(sealed, textSIV):
		raw, derr := base64.RawURLEncoding.DecodeString(sealed[len(textSIV):])
		if derr == nil {
			plain, ok = k.siv.open(raw, []byte(as.name))
		}
	case !as.equal && strings.HasPrefix(sealed, textGCM):
		raw, derr := base64.RawURLEncoding.DecodeString(sealed[len(textGCM):])
		if derr == nil {
			plain, derr = k.gcm.Open(nil, nil, raw, []byte(as.name))
			ok = derr == nil
		}
	case !as.equal && strings.HasPrefix(sealed, byteGCM):
		plain, err = k.gcm.Open(nil, nil, []byte(sealed[len(byteGCM):]), []byte(as.name))
		ok = err == nil
	}
	if !ok {
		return nil, fmt.Errorf("%w (%s)", ErrSealed, as.name)
	}
	return plain, nil
}

// Lock is shared by the connections of a database: before [Lock.Unlock] they give and take
// no personal value but the empty one.
type Lock struct{ keys atomic.Pointer[Keys] }

// Unlock has personal values sealed and opened from now on.
func (l *Lock) Unlock(k *Keys) { l.keys.Store(k) }

// Keys gives the keys; [ErrLocked] before Unlock.
func (l *Lock) Keys() (*Keys, error) {
	if k := l.keys.Load(); k != nil {
		return k, nil
	}
	return nil, ErrLocked
}

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

// byteMark stands in front of sealed bytes. Sealed text begins with "~", the name of its kind and
// ":", and goes on in base64url.
const byteMark = "\xffmohor\x01g"

// IsSealed says whether a stored text looks sealed.
func IsSealed(s string) bool {
	_, _, ok := parse(s)
	return ok
}

// parse takes a sealed text apart.
func parse(s string) (as kind, body string, ok bool) {
	if len(s) == 0 || s[0] != '~' {
		return kind{}, "", false
	}
	name, body, _ := strings.Cut(s[1:], ":")
	as, ok = kindOf(name)
	return as, body, ok
}

func (k *Keys) sealText(plain string, as kind) string {
	var raw []byte
	if as.equal {
		raw = k.siv.seal([]byte(plain), []byte(as.name))
	} else {
		raw = k.gcm.Seal(nil, nil, []byte(plain), []byte(as.name))
	}
	return "~" + as.name + ":" + base64.RawURLEncoding.EncodeToString(raw)
}

func (k *Keys) openText(body string, as kind) (plain string, ok bool) {
	// base64 skips these, and no look-up by equality does.
	if strings.ContainsAny(body, "\r\n") {
		return "", false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil {
		return "", false
	}
	if as.equal {
		raw, ok = k.siv.open(raw, []byte(as.name))
		return string(raw), ok
	}
	raw, err = k.gcm.Open(nil, nil, raw, []byte(as.name))
	return string(raw), err == nil
}

func (k *Keys) sealBytes(plain []byte) []byte {
	return k.gcm.Seal([]byte(byteMark), nil, plain, []byte(bytesKind))
}

func (k *Keys) openBytes(body []byte) (plain []byte, ok bool) {
	plain, err := k.gcm.Open(nil, nil, body, []byte(bytesKind))
	return plain, err == nil
}

// Seal gives the stored form of a text of a kind ("ic", "name" …), and Open the reverse, as
// connections do it; "" and false for a kind that there is not, and what does not open.
func (k *Keys) Seal(name, plain string) string {
	if as, ok := kindOf(name); ok {
		return k.sealText(plain, as)
	}
	return ""
}

// Open is the reverse of Seal.
func (k *Keys) Open(stored string) (plain string, ok bool) {
	as, body, ok := parse(stored)
	if !ok {
		return "", false
	}
	return k.openText(body, as)
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

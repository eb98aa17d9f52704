package ceremony

import (
	"crypto/aes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// CheckValue computes in software what the HSM's check value of a key must be,
// 16 hexadecimal digits. KEKs ("mohor-kek-…") only wrap: SHA-256 of the RFC 5649
// wrapping of a key that everybody knows. All other keys make HMAC-SHA-256 of a
// fixed text. Both are cut to 8 bytes.
func CheckValue(label string, key []byte) (string, error) {
	if !strings.HasPrefix(label, "mohor-kek-") {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte("mohor key check value v1"))
		return hex.EncodeToString(mac.Sum(nil)[:8]), nil
	}
	blob, err := wrap(key, []byte("mohor KEK check value, version 1"))
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(blob)
	return hex.EncodeToString(sum[:8]), nil
}

// wrap is AES Key Wrap with Padding (RFC 5649, Section 4.1).
func wrap(kek, key []byte) ([]byte, error) {
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, fmt.Errorf("wrapping: %w", err)
	}
	// The alternative initial value, Section 3: a constant and the length.
	out := binary.BigEndian.AppendUint32([]byte{0xA6, 0x59, 0x59, 0xA6}, uint32(len(key)))
	out = append(out, key...)
	for len(out)%8 != 0 {
		out = append(out, 0)
	}
	if len(out) == 16 {
		block.Encrypt(out, out)
		return out, nil
	}
	// RFC 3394, Section 2.2.1.
	var b [16]byte
	n := len(out)/8 - 1
	copy(b[:8], out)
	for j := range 6 {
		for i := 1; i <= n; i++ {
			copy(b[8:], out[8*i:])
			block.Encrypt(b[:], b[:])
			copy(out[8*i:], b[8:])
			binary.BigEndian.PutUint64(b[:8], binary.BigEndian.Uint64(b[:8])^uint64(n*j+i))
		}
	}
	copy(out, b[:8])
	return out, nil
}

package personal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"fmt"
)

// siv is AES-SIV (RFC 5297): deterministic authenticated encryption. Equal values under
// equal associated data have equal ciphertexts, which is all that one learns of them.
type siv struct{ mac, ctr cipher.Block }

// newSIV takes the two AES keys of Section 2.1 one behind the other: 32, 48 or 64 bytes.
func newSIV(key []byte) (siv, error) {
	half := len(key) / 2
	mac, err := aes.NewCipher(key[:half])
	if err != nil {
		return siv{}, fmt.Errorf("preparing AES-SIV: %w", err)
	}
	ctr, err := aes.NewCipher(key[half:])
	if err != nil {
		return siv{}, fmt.Errorf("preparing AES-SIV: %w", err)
	}
	return siv{mac, ctr}, nil
}

// seal gives the synthetic IV and the ciphertext behind it. Section 2.6.
func (s siv) seal(plain []byte, ad ...[]byte) []byte {
	v := s.s2v(plain, ad)
	out := make([]byte, aes.BlockSize+len(plain))
	copy(out, v[:])
	s.stream(v).XORKeyStream(out[aes.BlockSize:], plain)
	return out
}

// open is the reverse; ok is false when the value is not what was sealed. Section 2.7.
func (s siv) open(sealed []byte, ad ...[]byte) (plain []byte, ok bool) {
	if len(sealed) < aes.BlockSize {
		return nil, false
	}
	v := [aes.BlockSize]byte(sealed)
	plain = make([]byte, len(sealed)-aes.BlockSize)
	s.stream(v).XORKeyStream(plain, sealed[aes.BlockSize:])
	want := s.s2v(plain, ad)
	return plain, subtle.ConstantTimeCompare(v[:], want[:]) == 1
}

// stream is the counter mode of Section 2.5: two bits of the IV are cleared.
func (s siv) stream(v [aes.BlockSize]byte) cipher.Stream {
	v[8] &= 0x7f
	v[12] &= 0x7f
	return cipher.NewCTR(s.ctr, v[:])
}

// s2v is Section 2.4.
func (s siv) s2v(plain []byte, ad [][]byte) [aes.BlockSize]byte {
	d := s.cmac(make([]byte, aes.BlockSize))
	for _, a := range ad {
		d = double(d)
		sum := s.cmac(a)
		subtle.XORBytes(d[:], d[:], sum[:])
	}
	if len(plain) >= aes.BlockSize {
		t := append([]byte(nil), plain...)
		end := t[len(t)-aes.BlockSize:]
		subtle.XORBytes(end, end, d[:])
		return s.cmac(t)
	}
	d = double(d)
	padded := pad(plain)
	subtle.XORBytes(d[:], d[:], padded[:])
	return s.cmac(d[:])
}

// cmac is AES-CMAC (NIST SP 800-38B, RFC 4493).
func (s siv) cmac(m []byte) (x [aes.BlockSize]byte) {
	var zero [aes.BlockSize]byte
	s.mac.Encrypt(zero[:], zero[:])
	subkey := double(zero)
	for len(m) > aes.BlockSize {
		subtle.XORBytes(x[:], x[:], m[:aes.BlockSize])
		s.mac.Encrypt(x[:], x[:])
		m = m[aes.BlockSize:]
	}
	var last [aes.BlockSize]byte
	if len(m) == aes.BlockSize {
		copy(last[:], m)
	} else {
		last, subkey = pad(m), double(subkey)
	}
	subtle.XORBytes(x[:], x[:], last[:])
	subtle.XORBytes(x[:], x[:], subkey[:])
	s.mac.Encrypt(x[:], x[:])
	return x
}

// pad fills a short block: one bit, then zeros.
func pad(m []byte) (b [aes.BlockSize]byte) {
	b[copy(b[:], m)] = 0x80
	return b
}

// double multiplies by x in GF(2^128), in constant time.
func double(b [aes.BlockSize]byte) (d [aes.BlockSize]byte) {
	for k := range b {
		d[k] = b[k] << 1
		if k+1 < len(b) {
			d[k] |= b[k+1] >> 7
		}
	}
	d[len(d)-1] ^= 0x87 & -(b[0] >> 7)
	return d
}

package personal

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// RFC 5297, Appendix A.
func TestSIVVectors(t *testing.T) {
	for name, c := range map[string]struct {
		key, plain, want string
		ad               []string
	}{
		"A.1": {"fffefdfc fbfaf9f8 f7f6f5f4 f3f2f1f0 f0f1f2f3 f4f5f6f7 f8f9fafb fcfdfeff", "11223344 55667788 99aabbcc ddee",
			"85632d07 c6e8f37f 950acd32 0a2ecc93 40c02b96 90c4dc04 daef7f6a fe5c", []string{"10111213 14151617 18191a1b 1c1d1e1f 20212223 24252627"}},
		"A.2": {"7f7e7d7c 7b7a7978 77767574 73727170 40414243 44454647 48494a4b 4c4d4e4f",
			"74686973 20697320 736f6d65 20706c61 696e7465 78742074 6f20656e 63727970 74207573 696e6720 5349562d 414553",
			"7bdb6e3b 432667eb 06f4d14b ff2fbd0f cb900f2f ddbe4043 26601965 c889bf17 dba77ceb 094fa663 b7a3f748 ba8af829 ea64ad54 4a272e9c 485b62a3 fd5c0d",
			[]string{"00112233 44556677 8899aabb ccddeeff deaddada deaddada ffeeddcc bbaa9988 77665544 33221100", "10203040 50607080 90a0", "09f91102 9d74e35b d84156c5 635688c0"}},
	} {
		s, err := newSIV(unhex(t, c.key))
		if err != nil {
			t.Fatal(err)
		}
		var ad [][]byte
		for _, a := range c.ad {
			ad = append(ad, unhex(t, a))
		}
		sealed := s.seal(unhex(t, c.plain), ad...)
		if !bytes.Equal(sealed, unhex(t, c.want)) {
			t.Errorf("%s: %x", name, sealed)
		}
		if plain, ok := s.open(sealed, ad...); !ok || !bytes.Equal(plain, unhex(t, c.plain)) {
			t.Errorf("%s opens as %x, %v", name, plain, ok)
		}
		for k := range sealed {
			sealed[k] ^= 1
			if _, ok := s.open(sealed, ad...); ok {
				t.Errorf("%s opens with byte %d changed", name, k)
			}
			sealed[k] ^= 1
		}
		if _, ok := s.open(sealed, ad[1:]...); ok {
			t.Errorf("%s opens without a part of its associated data", name)
		}
		if _, ok := s.open(sealed[:15], ad...); ok {
			t.Errorf("%s: 15 bytes open", name)
		}
	}
	if _, err := newSIV(make([]byte, 40)); err == nil {
		t.Error("a key of 40 bytes is taken")
	}
}

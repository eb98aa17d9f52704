package hsm_test

import (
	"bytes"
	"encoding/asn1"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/mohor-sign/mohor/hsm"
)

// The encoding is the one of encoding/asn1, for all numbers, the shortest and zero included.
func TestDERSignature(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.Custom(func(t *rapid.T) []byte {
			n := rapid.SliceOfN(rapid.Byte(), 48, 48).Draw(t, "bytes")
			clear(n[:rapid.IntRange(0, 48).Draw(t, "leading zeros")])
			return n
		})
		r, s := number.Draw(t, "r"), number.Draw(t, "s")
		want, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(r), new(big.Int).SetBytes(s)})
		if err != nil {
			t.Fatal(err)
		}
		if got := hsm.DERSignature(r, s); !bytes.Equal(got, want) {
			t.Fatalf("%x; want %x", got, want)
		}
	})
}

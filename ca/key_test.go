package ca_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/ca"
)

func prime(t testing.TB, bits int) *big.Int {
	t.Helper()
	p, err := rand.Prime(rand.Reader, bits)
	must(t, err)
	return p
}

func product(a, b *big.Int) *big.Int { return new(big.Int).Mul(a, b) }

// next is the first prime above n.
func next(n *big.Int) *big.Int {
	p := new(big.Int).Add(n, big.NewInt(2))
	for !p.ProbablyPrime(20) {
		p.Add(p, big.NewInt(2))
	}
	return p
}

// rocaPrime is made as the faulty library made primes of RSA-2048 (CVE-2017-15361):
// k·M + (65537^a mod M), M the product of the first 126 primes. With outside, the
// second term is no power of 65537, and the prime as good as any.
func rocaPrime(t testing.TB, outside bool) *big.Int {
	t.Helper()
	m, count := big.NewInt(1), 0
	for p := int64(2); count < 126; p++ {
		if big.NewInt(p).ProbablyPrime(0) {
			m.Mul(m, big.NewInt(p))
			count++
		}
	}
	least := new(big.Int).Div(new(big.Int).Lsh(big.NewInt(3), 1022), m) // the modulus has 2048 bits
	for {
		k, err := rand.Int(rand.Reader, new(big.Int).Div(least, big.NewInt(4)))
		must(t, err)
		a, err := rand.Int(rand.Reader, m)
		must(t, err)
		term := new(big.Int).Exp(big.NewInt(65537), a, m)
		if outside {
			term = a
		}
		p := product(k.Add(k, least), m)
		if p.Add(p, term).ProbablyPrime(20) && p.BitLen() == 1024 {
			return p
		}
	}
}

func TestCheckKey(t *testing.T) {
	good := rsaKey(t).Public().(*rsa.PublicKey)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(t, err)
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	must(t, err)
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	must(t, err)
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	for what, pub := range map[string]crypto.PublicKey{
		"RSA-2048": good, "ECDSA-P256": key(t).Public(), "ECDSA-P384": p384.Public(), "a large exponent": &rsa.PublicKey{N: good.N, E: 1<<31 - 1},
		// As ROCA's, but for the fault.
		"k·M plus anything": &rsa.PublicKey{N: product(rocaPrime(t, true), rocaPrime(t, true)), E: 65537},
	} {
		if err := ca.CheckKey(pub); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	p := prime(t, 1024)
	x, y := elliptic.P256().Params().Gx, elliptic.P256().Params().Gy
	on := func(c elliptic.Curve, x, y *big.Int) crypto.PublicKey {
		//lint:ignore SA1019 nothing else makes a broken point
		return &ecdsa.PublicKey{Curve: c, X: x, Y: y}
	}
	point := func(x, y *big.Int) crypto.PublicKey { return on(elliptic.P256(), x, y) }
	one := big.NewInt(1)
	for what, c := range map[string]struct {
		pub crypto.PublicKey
		why string
	}{
		"RSA-1024":         {short.Public(), "one of"},
		"a bit too long":   {&rsa.PublicKey{N: new(big.Int).Add(new(big.Int).Lsh(one, 2048), one), E: 65537}, "one of"},
		"exponent 3":       {&rsa.PublicKey{N: good.N, E: 3}, "exponent"},
		"exponent 65535":   {&rsa.PublicKey{N: good.N, E: 65535}, "exponent"},
		"an even exponent": {&rsa.PublicKey{N: good.N, E: 65538}, "exponent"},
		"an even modulus":  {&rsa.PublicKey{N: new(big.Int).Sub(good.N, one), E: 65537}, "small factor"},
		"factor 4093":      {&rsa.PublicKey{N: product(big.NewInt(4093), new(big.Int).Add(new(big.Int).Lsh(one, 2036), one)), E: 65537}, "small factor"},
		"neighbours":       {&rsa.PublicKey{N: product(p, next(p)), E: 65537}, "too close"},
		"a square":         {&rsa.PublicKey{N: product(p, p), E: 65537}, "too close"},
		"ROCA":             {&rsa.PublicKey{N: product(rocaPrime(t, false), rocaPrime(t, false)), E: 65537}, "ROCA"},
		"no modulus":       {&rsa.PublicKey{E: 65537}, "one of"},
		"P-224":            {p224.Public(), "one of"},
		"P-521":            {p521.Public(), "one of"},
		"Ed25519":          {edwards, "one of"},
		"no key":           {nil, "one of"},
		"infinity":         {point(new(big.Int), new(big.Int)), "no point"},
		"off the curve":    {point(x, new(big.Int).Add(y, one)), "no point"},
		"out of range":     {point(new(big.Int).Add(x, elliptic.P256().Params().P), y), "no point"},
		"below zero":       {point(new(big.Int).Neg(x), y), "no point"},
		"of another curve": {point(elliptic.P384().Params().Gx, elliptic.P384().Params().Gy), "no point"},
		"no curve":         {on(nil, x, y), "one of"},
	} {
		if err := ca.CheckKey(c.pub); !errors.Is(err, ca.ErrWeakKey) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// The fingerprint is not found by chance.
func TestROCAFingerprintIsRare(t *testing.T) {
	for range 300 {
		n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 2048))
		must(t, err)
		n.SetBit(n.SetBit(n, 2047, 1), 0, 1)
		if err := ca.CheckKey(&rsa.PublicKey{N: n, E: 65537}); err != nil && strings.Contains(err.Error(), "ROCA") {
			t.Errorf("%x: %v", n, err)
		}
	}
}

func BenchmarkCheckKey(b *testing.B) {
	k := rsaKey(b).Public()
	for b.Loop() {
		must(b, ca.CheckKey(k))
	}
}

// weak is RSA with the exponent 3.
var weak = rsa.PublicKey{N: new(big.Int).SetBit(new(big.Int).SetBit(new(big.Int), 2047, 1), 0, 1), E: 3}

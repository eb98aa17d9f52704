package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// Why a key is not certified.
var (
	ErrWeakKey      = errors.New("weak public key")
	ErrDuplicateKey = errors.New("public key has a certificate of another holder")
)

// keyKinds are the kinds of key that may be certified, as the HSM names them.
func keyKinds() []string {
	return []string{"RSA-2048", "RSA-3072", "RSA-4096", "ECDSA-P256", "ECDSA-P384"}
}

// keyKind is the name of a key's kind, "" for one that is none of keyKinds.
func keyKind(pub crypto.PublicKey) string {
	name := ""
	switch k := pub.(type) {
	case *rsa.PublicKey:
		if k.N != nil {
			name = fmt.Sprint("RSA-", k.N.BitLen())
		}
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			name = "ECDSA-P256"
		case elliptic.P384():
			name = "ECDSA-P384"
		}
	}
	if !slices.Contains(keyKinds(), name) {
		return ""
	}
	return name
}

// CheckKey is ErrWeakKey, saying why, unless pub may be certified: RSA of 2048, 3072
// or 4096 bits whose modulus shows none of the known faults of generators, with an
// odd exponent of at least 65537 (NIST SP 800-56B, Section 6.2), or a point of P-256
// or P-384 (SP 800-56A, Section 5.6.2.3). It takes about a millisecond.
func CheckKey(pub crypto.PublicKey) error {
	weak := func(why string) error { return fmt.Errorf("%w: %s", ErrWeakKey, why) }
	if keyKind(pub) == "" {
		return weak("it must be one of " + strings.Join(keyKinds(), ", "))
	}
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		// It refuses coordinates out of range, points off the curve and infinity. Both
		// curves have prime order: every other point generates all of it.
		if _, err := k.ECDH(); err != nil {
			return weak("it is no point of its curve")
		}
	case *rsa.PublicKey:
		switch {
		case k.E < 65537 || k.E%2 == 0:
			return weak("its exponent must be odd and at least 65537")
		case smallFactor(k.N):
			return weak("its modulus has a small factor")
		case roca(k.N):
			return weak("its modulus has the fingerprint of CVE-2017-15361 (ROCA)")
		case closePrimes(k.N):
			return weak("the primes of its modulus are too close together")
		}
	}
	return nil
}

// smallFactor finds a factor below 4096.
func smallFactor(n *big.Int) bool {
	var composite [4096]bool
	product := big.NewInt(1)
	for p := int64(2); p < 4096; p++ {
		if composite[p] {
			continue
		}
		product.Mul(product, big.NewInt(p))
		for q := p * p; q < 4096; q += p {
			composite[q] = true
		}
	}
	return product.GCD(nil, nil, product, n).Cmp(big.NewInt(1)) != 0
}

// roca finds moduli whose primes are k·M + (65537^a mod M), M a product of the first
// primes: modulo each of them the modulus is a power of 65537 (Nemec et al., The
// Return of Coppersmith's Attack, 2017, Section 2). Another modulus passes for one
// once in 2^27 or less often.
func roca(n *big.Int) bool {
	for p := int64(3); p <= 167; p += 2 {
		if !big.NewInt(p).ProbablyPrime(0) { // exact below 2^64
			continue
		}
		rest := new(big.Int).Mod(n, big.NewInt(p)).Int64()
		power, found := int64(1), false
		for range p {
			found = found || power == rest
			power = power * 65537 % p
		}
		if !found {
			return false
		}
	}
	return true
}

// closePrimes finds moduli that Fermat's method factors in a hundred steps, as those
// of generators that took the next prime for the second (CVE-2022-26320).
func closePrimes(n *big.Int) bool {
	a := new(big.Int).Sqrt(n)
	// Squares modulo 64, a bit each: four of five numbers are seen to be none.
	var squares uint64
	for k := range 64 {
		squares |= 1 << (k * k % 64)
	}
	var b2, b, low big.Int
	mask := big.NewInt(63)
	for range 100 {
		b2.Sub(b2.Mul(a, a), n)
		if b2.Sign() >= 0 && squares>>low.And(&b2, mask).Uint64()&1 == 1 {
			b.Sqrt(&b2)
			if b.Mul(&b, &b).Cmp(&b2) == 0 {
				return true
			}
		}
		a.Add(a, big.NewInt(1))
	}
	return false
}

// samplePublicKey is a key of a kind that CheckKey lets pass; nobody has its private
// half.
func samplePublicKey(kind string) (crypto.PublicKey, error) {
	curves := map[string]elliptic.Curve{"ECDSA-P256": elliptic.P256(), "ECDSA-P384": elliptic.P384()}
	if c := curves[kind]; c != nil {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("making a sample key: %w", err)
		}
		return k.Public(), nil
	}
	var bits uint
	if _, err := fmt.Sscanf(kind, "RSA-%d", &bits); err != nil {
		return nil, fmt.Errorf("making a sample key: of kind %q: %w", kind, err)
	}
	for {
		n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), bits))
		if err != nil {
			return nil, fmt.Errorf("making a sample key: %w", err)
		}
		k := &rsa.PublicKey{N: n.SetBit(n, int(bits)-1, 1), E: 65537}
		if CheckKey(k) == nil {
			return k, nil
		}
	}
}

// KeyHash identifies a key in the register: SHA-256 of its SubjectPublicKeyInfo in DER.
func KeyHash(spki []byte) []byte {
	sum := sha256.Sum256(spki)
	return sum[:]
}

// Conflict says why a certificate may not come beside others of its key: to
// ErrDuplicateKey when another holder has one, ErrRevoked when one was revoked, and
// ErrExists when the holder has one of this subject that has not ended. The units
// and CAs of the installation, which are certified again with their keys on purpose,
// are one holder each.
func Conflict(c Certificate, others []Certificate) error {
	for _, o := range others {
		switch {
		case o.Serial == c.Serial || o.Status == Reserved:
		case keyOf(o.Credential) != keyOf(c.Credential):
			return fmt.Errorf("%w: %s", ErrDuplicateKey, o.Serial)
		case strings.HasPrefix(c.Credential, authorityPrefix):
		case o.Status == Revoked:
			return fmt.Errorf("%w: %s, of the same key", ErrRevoked, o.Serial)
		case o.Subject == c.Subject && o.NotAfter.After(c.NotBefore):
			return fmt.Errorf("%w: %s", ErrExists, o.Serial)
		}
	}
	return nil
}

// authorityPrefix stands before the names of CAs and units where officers'
// certificates have the id of a credential.
const authorityPrefix = "authority:"

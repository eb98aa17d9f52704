package hsm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/asn1"
	"fmt"
	"math/big"

	"github.com/miekg/pkcs11"
)

// Algorithm names a kind of key pair, as the API does.
type Algorithm string

// The algorithms a key can have.
const (
	RSA2048   Algorithm = "RSA-2048"
	RSA3072   Algorithm = "RSA-3072"
	RSA4096   Algorithm = "RSA-4096"
	ECDSAP256 Algorithm = "ECDSA-P256" // secp256r1
	ECDSAP384 Algorithm = "ECDSA-P384" // secp384r1
)

// Object identifiers of the curves (RFC 5480, Section 2.1.1.1), in DER as CKA_EC_PARAMS wants.
var (
	oidP256 = []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}
	oidP384 = []byte{0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22}
)

// bits is the modulus length of an RSA algorithm, or 0.
func (a Algorithm) bits() int {
	switch a {
	case RSA2048:
		return 2048
	case RSA3072:
		return 3072
	case RSA4096:
		return 4096
	}
	return 0
}

// curve is the curve of an ECDSA algorithm and its identifier, or nil.
func (a Algorithm) curve() (elliptic.Curve, []byte) {
	switch a {
	case ECDSAP256:
		return elliptic.P256(), oidP256
	case ECDSAP384:
		return elliptic.P384(), oidP384
	}
	return nil, nil
}

func (a Algorithm) check() error {
	if c, _ := a.curve(); c == nil && a.bits() == 0 {
		return fmt.Errorf("%w: algorithm %q", ErrInput, string(a))
	}
	return nil
}

// matches tells whether pub is a key of algorithm a.
func (a Algorithm) matches(pub crypto.PublicKey) bool {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return pub != nil && pub.N != nil && pub.N.BitLen() == a.bits()
	case *ecdsa.PublicKey:
		c, _ := a.curve()
		return pub != nil && c != nil && pub.Curve == c
	}
	return false
}

func (a Algorithm) keyType() uint {
	if a.bits() != 0 {
		return pkcs11.CKK_RSA
	}
	return pkcs11.CKK_EC
}

// privateParts are the attributes that hold a private key.
func (a Algorithm) privateParts() []uint {
	if a.bits() != 0 {
		return []uint{pkcs11.CKA_PRIVATE_EXPONENT, pkcs11.CKA_PRIME_1, pkcs11.CKA_PRIME_2, pkcs11.CKA_EXPONENT_1, pkcs11.CKA_EXPONENT_2, pkcs11.CKA_COEFFICIENT}
	}
	return []uint{pkcs11.CKA_VALUE}
}

// pairGen gives the mechanism that makes a pair, and what the public half adds to its template.
func (a Algorithm) pairGen() (mechanism uint, public []*pkcs11.Attribute) {
	if n := a.bits(); n != 0 {
		return pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, []*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_MODULUS_BITS, n),
			pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}),
		}
	}
	_, oid := a.curve()
	return pkcs11.CKM_EC_KEY_PAIR_GEN, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, oid)}
}

// publicKey reads the public half of a pair.
func (s *session) publicKey(a Algorithm, h pkcs11.ObjectHandle) (crypto.PublicKey, error) {
	if a.bits() != 0 {
		attrs, err := s.p11.GetAttributeValue(s.handle, h, []*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_MODULUS, nil),
			pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, nil),
		})
		if err != nil {
			return nil, fmt.Errorf("reading public key: %w", err)
		}
		e := new(big.Int).SetBytes(attrs[1].Value)
		pub := &rsa.PublicKey{N: new(big.Int).SetBytes(attrs[0].Value), E: int(e.Int64())}
		if !a.matches(pub) || !e.IsInt64() || pub.E != 65537 {
			return nil, fmt.Errorf("reading public key: not %s with exponent 65537", a)
		}
		return pub, nil
	}
	attrs, err := s.p11.GetAttributeValue(s.handle, h, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_EC_POINT, nil)})
	if err != nil {
		return nil, fmt.Errorf("reading public key: %w", err)
	}
	// CKA_EC_POINT is the point in a DER OCTET STRING; some modules leave the wrapping out. A
	// bare point starts with 04 too, but then does not parse to its end as an OCTET STRING.
	point := attrs[0].Value
	var inner []byte
	if rest, err := asn1.Unmarshal(point, &inner); err == nil && len(rest) == 0 {
		point = inner
	}
	c, _ := a.curve()
	pub, err := ecdsa.ParseUncompressedPublicKey(c, point)
	if err != nil {
		return nil, fmt.Errorf("reading public key: %w", err)
	}
	return pub, nil
}

package cms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	_ "crypto/sha256" // SHA-256
	_ "crypto/sha512" // SHA-384, SHA-512
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Algorithm is a signature scheme.
type Algorithm string

// The schemes, under their names in the wire contract.
const (
	RSAPKCS1 Algorithm = "RSA-PKCS1" // RSASSA-PKCS1-v1_5, RFC 8017, Section 8.2
	RSAPSS   Algorithm = "RSA-PSS"   // RSASSA-PSS with MGF1 of the same hash, RFC 8017, Section 8.1
	ECDSA    Algorithm = "ECDSA"     // FIPS 186-5, signature in DER
)

// ErrSignature: the signature is not one of that key over that digest.
var ErrSignature = errors.New("signature does not verify")

// ErrKey: the certificate's key does not fit the algorithm or is too weak: RSA
// below 2048 or above 8192 bits, a curve other than P-256, P-384 and P-521.
var ErrKey = errors.New("key not usable with this algorithm")

var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidContentType   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningTime   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
	oidSigningCertV2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
	oidRSA           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidMGF1          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}
	oidPSS           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
)

// hashID is a hash with its identifiers: its own, with RSA, with ECDSA (RFC
// 5754, Sections 2 and 3).
type hashID struct {
	hash                    crypto.Hash
	oid, withRSA, withECDSA asn1.ObjectIdentifier
}

func hashes() [3]hashID {
	sha2 := func(n int) asn1.ObjectIdentifier {
		return asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, n}
	}
	rsa := func(n int) asn1.ObjectIdentifier {
		return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, n}
	}
	ec := func(n int) asn1.ObjectIdentifier {
		return asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, n}
	}
	return [3]hashID{
		{crypto.SHA256, sha2(1), rsa(11), ec(2)},
		{crypto.SHA384, sha2(2), rsa(12), ec(3)},
		{crypto.SHA512, sha2(3), rsa(13), ec(4)},
	}
}

func byHash(h crypto.Hash) (hashID, error) {
	for _, id := range hashes() {
		if id.hash == h {
			return id, nil
		}
	}
	return hashID{}, fmt.Errorf("digest algorithm %v not supported", h)
}

// VerifyRaw checks a bare signature over a digest of SHA-256, SHA-384 or
// SHA-512, told apart by its length. RSA-PSS salts have the digest's length.
// Errors wrap ErrSignature or ErrKey.
func VerifyRaw(cert *x509.Certificate, alg Algorithm, digest, sig []byte) error {
	var h crypto.Hash
	switch len(digest) {
	case 32:
		h = crypto.SHA256
	case 48:
		h = crypto.SHA384
	case 64:
		h = crypto.SHA512
	default:
		return fmt.Errorf("digest of %d bytes: %w", len(digest), ErrSignature)
	}
	return verifyKey(cert, alg, h, rsa.PSSSaltLengthEqualsHash, digest, sig)
}

func verifyKey(cert *x509.Certificate, alg Algorithm, h crypto.Hash, salt int, digest, sig []byte) error {
	if err := checkKey(cert, alg); err != nil {
		return err
	}
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		var err error
		if alg == RSAPSS {
			err = rsa.VerifyPSS(key, h, digest, sig, &rsa.PSSOptions{SaltLength: salt, Hash: h})
		} else {
			err = rsa.VerifyPKCS1v15(key, h, digest, sig)
		}
		if err != nil {
			return ErrSignature
		}
		return nil
	case *ecdsa.PublicKey:
		if !ecdsa.VerifyASN1(key, digest, sig) {
			return ErrSignature
		}
		return nil
	}
	return ErrKey
}

func checkKey(cert *x509.Certificate, alg Algorithm) error {
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if n := key.N.BitLen(); (alg == RSAPKCS1 || alg == RSAPSS) && n >= 2048 && n <= 8192 {
			return nil
		}
	case *ecdsa.PublicKey:
		if alg == ECDSA && key.Curve != nil {
			switch key.Curve.Params().BitSize {
			case 256, 384, 521:
				return nil
			}
		}
	}
	return ErrKey
}

// addAlgorithm writes an AlgorithmIdentifier, with NULL parameters if asked.
func addAlgorithm(b *cryptobyte.Builder, oid asn1.ObjectIdentifier, null bool) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		if null {
			b.AddASN1NULL()
		}
	})
}

// addSignatureAlgorithm writes the signer's AlgorithmIdentifier. The
// parameters of RSASSA-PSS are those of RFC 4055, Section 3.1.
func addSignatureAlgorithm(b *cryptobyte.Builder, alg Algorithm, id hashID) {
	switch alg {
	case RSAPKCS1:
		addAlgorithm(b, id.withRSA, true)
		return
	case ECDSA:
		addAlgorithm(b, id.withECDSA, false)
		return
	}
	explicit := func(n uint8) cbasn1.Tag { return cbasn1.Tag(n).Constructed().ContextSpecific() }
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidPSS)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { addAlgorithm(b, id.oid, true) })
			b.AddASN1(explicit(1), func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(oidMGF1)
					addAlgorithm(b, id.oid, true)
				})
			})
			b.AddASN1(explicit(2), func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(id.hash.Size())) })
		})
	})
}

// readAlgorithm reads an AlgorithmIdentifier; params is the rest behind the
// identifier.
func readAlgorithm(s *cryptobyte.String) (oid asn1.ObjectIdentifier, params cryptobyte.String, ok bool) {
	var seq cryptobyte.String
	if !s.ReadASN1(&seq, cbasn1.SEQUENCE) || !seq.ReadASN1ObjectIdentifier(&oid) {
		return nil, nil, false
	}
	return oid, seq, true
}

// readHash reads a digest AlgorithmIdentifier with absent or NULL parameters.
func readHash(s *cryptobyte.String) (crypto.Hash, bool) {
	oid, params, ok := readAlgorithm(s)
	if !ok || !nullOrAbsent(params) {
		return 0, false
	}
	for _, id := range hashes() {
		if id.oid.Equal(oid) {
			return id.hash, true
		}
	}
	return 0, false
}

func nullOrAbsent(params cryptobyte.String) bool {
	return len(params) == 0 || len(params) == 2 && params[0] == 5 && params[1] == 0
}

// readSignatureAlgorithm reads the signer's AlgorithmIdentifier, which must
// agree with the digest algorithm.
func readSignatureAlgorithm(s *cryptobyte.String, h crypto.Hash) (alg Algorithm, salt int, ok bool) {
	oid, params, ok := readAlgorithm(s)
	if !ok {
		return "", 0, false
	}
	id, err := byHash(h)
	if err != nil {
		return "", 0, false
	}
	switch {
	case oid.Equal(id.withRSA), oid.Equal(oidRSA):
		return RSAPKCS1, 0, nullOrAbsent(params)
	case oid.Equal(id.withECDSA):
		return ECDSA, 0, len(params) == 0
	case oid.Equal(oidPSS):
		salt, ok = readPSS(params, h)
		return RSAPSS, salt, ok
	}
	return "", 0, false
}

// readPSS reads RSASSA-PSS-params, whose hashes must be the digest's. The
// defaults are SHA-1 and so never right.
func readPSS(params cryptobyte.String, h crypto.Hash) (salt int, ok bool) {
	explicit := func(n uint8) cbasn1.Tag { return cbasn1.Tag(n).Constructed().ContextSpecific() }
	var seq, hashField, mgfField, saltField cryptobyte.String
	if !params.ReadASN1(&seq, cbasn1.SEQUENCE) || len(params) != 0 ||
		!seq.ReadASN1(&hashField, explicit(0)) || !seq.ReadASN1(&mgfField, explicit(1)) ||
		!seq.ReadASN1(&saltField, explicit(2)) {
		return 0, false
	}
	if got, ok := readHash(&hashField); !ok || got != h || len(hashField) != 0 {
		return 0, false
	}
	oid, mgf, ok := readAlgorithm(&mgfField)
	if !ok || !oid.Equal(oidMGF1) || len(mgfField) != 0 {
		return 0, false
	}
	if got, ok := readHash(&mgf); !ok || got != h || len(mgf) != 0 {
		return 0, false
	}
	if !saltField.ReadASN1Integer(&salt) || len(saltField) != 0 || salt < h.Size() || salt > 128 {
		return 0, false
	}
	return salt, len(seq) == 0 // trailerField is 1 by default and so absent in DER
}

package cms

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	_ "crypto/md5" // to recognise what must not be believed
	"crypto/rsa"
	_ "crypto/sha1"   // likewise, and for signing-certificate of RFC 2634
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

// ErrAlgorithm: an algorithm this package does not know, or one that proves
// nothing any more: SHA-1 and MD5.
var ErrAlgorithm = errors.New("algorithm not supported or too weak")

var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidContentType   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningTime   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
	oidSigningCert   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 12}
	oidSigningCertV2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
	oidRSA           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidMGF1          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}
	oidPSS           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
)

// hashID is a hash with its identifiers: its own, with RSA, with ECDSA (RFC
// 3370, Sections 2 and 3; RFC 5754, Sections 2 and 3).
type hashID struct {
	hash                    crypto.Hash
	oid, withRSA, withECDSA asn1.ObjectIdentifier
}

var hashIDs = [...]hashID{
	sha2(crypto.SHA256, 1, 11, 2),
	sha2(crypto.SHA384, 2, 12, 3),
	sha2(crypto.SHA512, 3, 13, 4),
	{crypto.SHA1, asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5}, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}},
	{crypto.MD5, asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 5}, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 4}, nil},
}

func sha2(h crypto.Hash, n, rsa, ec int) hashID {
	return hashID{
		h, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, n},
		asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, rsa}, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, ec},
	}
}

// weak says whether collisions of h are within reach.
func weak(h crypto.Hash) bool { return h == crypto.SHA1 || h == crypto.MD5 }

// byHash finds the identifiers of a hash that is fit for use.
func byHash(h crypto.Hash) (hashID, error) {
	for _, id := range hashIDs {
		if id.hash == h && !weak(h) {
			return id, nil
		}
	}
	return hashID{}, fmt.Errorf("digest algorithm %v: %w", h, ErrAlgorithm)
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
func readHash(s *cryptobyte.String) (crypto.Hash, error) {
	oid, params, ok := readAlgorithm(s)
	if !ok || !nullOrAbsent(params) {
		return 0, malformed("digest algorithm")
	}
	for i := range hashIDs {
		if hashIDs[i].oid.Equal(oid) {
			return hashIDs[i].hash, nil
		}
	}
	return 0, fmt.Errorf("digest algorithm %v: %w", oid, ErrAlgorithm)
}

func nullOrAbsent(params cryptobyte.String) bool {
	return len(params) == 0 || len(params) == 2 && params[0] == 5 && params[1] == 0
}

// readSignatureAlgorithm reads the signer's AlgorithmIdentifier, which must
// agree with the digest algorithm h. salt is that of RSA-PSS in bytes.
func readSignatureAlgorithm(s *cryptobyte.String, h crypto.Hash) (alg Algorithm, salt int, err error) {
	oid, params, ok := readAlgorithm(s)
	if !ok {
		return "", 0, malformed("signature algorithm")
	}
	if oid.Equal(oidPSS) {
		salt, err := readPSS(params, h)
		return RSAPSS, salt, err
	}
	alg, of := RSAPKCS1, h
	if !oid.Equal(oidRSA) {
		if alg, of = byOID(oid); of == 0 {
			return "", 0, fmt.Errorf("signature algorithm %v: %w", oid, ErrAlgorithm)
		}
	}
	if of != h || !nullOrAbsent(params) {
		return "", 0, malformed("signature algorithm does not agree with the digest algorithm")
	}
	return alg, 0, nil
}

// byOID finds a signature algorithm that names its hash. The hash is 0 when
// there is none.
func byOID(oid asn1.ObjectIdentifier) (Algorithm, crypto.Hash) {
	for i := range hashIDs {
		switch {
		case oid.Equal(hashIDs[i].withRSA):
			return RSAPKCS1, hashIDs[i].hash
		case oid.Equal(hashIDs[i].withECDSA):
			return ECDSA, hashIDs[i].hash
		}
	}
	return "", 0
}

// maxSalt bounds the salt of RSA-PSS: what fits a key of 8192 bits.
const maxSalt = 1024

// readPSS reads RSASSA-PSS-params (RFC 4055, Section 3.1), whose hashes must
// be the digest's. What is absent has to do with SHA-1.
func readPSS(params cryptobyte.String, h crypto.Hash) (salt int, err error) {
	explicit := func(n uint8) cbasn1.Tag { return cbasn1.Tag(n).Constructed().ContextSpecific() }
	var seq, hashField, mgfField, saltField, trailer cryptobyte.String
	var hasHash, hasMGF, hasSalt, hasTrailer bool
	if len(params) > 0 && !params.ReadASN1(&seq, cbasn1.SEQUENCE) || len(params) != 0 ||
		!seq.ReadOptionalASN1(&hashField, &hasHash, explicit(0)) || !seq.ReadOptionalASN1(&mgfField, &hasMGF, explicit(1)) ||
		!seq.ReadOptionalASN1(&saltField, &hasSalt, explicit(2)) || !seq.ReadOptionalASN1(&trailer, &hasTrailer, explicit(3)) ||
		len(seq) != 0 || hasTrailer && !bytes.Equal(trailer, []byte{2, 1, 1}) {
		return 0, malformed("parameters of RSASSA-PSS")
	}
	of, mgf, salt := crypto.SHA1, crypto.SHA1, 20
	if hasHash {
		if of, err = readHash(&hashField); err != nil || len(hashField) != 0 {
			return 0, cmp.Or(err, malformed("hash of RSASSA-PSS"))
		}
	}
	if hasMGF {
		oid, inner, ok := readAlgorithm(&mgfField)
		if !ok || len(mgfField) != 0 {
			return 0, malformed("mask generation of RSASSA-PSS")
		}
		if !oid.Equal(oidMGF1) {
			return 0, fmt.Errorf("mask generation %v: %w", oid, ErrAlgorithm)
		}
		if mgf, err = readHash(&inner); err != nil || len(inner) != 0 {
			return 0, cmp.Or(err, malformed("mask generation of RSASSA-PSS"))
		}
	}
	if hasSalt && (!saltField.ReadASN1Integer(&salt) || len(saltField) != 0 || salt < 0 || salt > maxSalt) {
		return 0, malformed("salt of RSASSA-PSS")
	}
	if salt == 0 { // to crypto/rsa 0 means whatever length is found
		return 0, fmt.Errorf("RSASSA-PSS without salt: %w", ErrAlgorithm)
	}
	if of != h {
		return 0, malformed("signature algorithm does not agree with the digest algorithm")
	}
	if mgf != h {
		return 0, fmt.Errorf("RSASSA-PSS of %v with MGF1 of %v: %w", h, mgf, ErrAlgorithm)
	}
	return salt, nil
}

package hsm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"fmt"
	"slices"

	"github.com/miekg/pkcs11"
)

// digestInfo holds what precedes the digest in PKCS #1 v1.5 (RFC 8017, Section 9.2, note 1). Its
// keys are the digests this package signs at all.
var digestInfo = map[crypto.Hash]struct {
	prefix    []byte
	mechanism uint
	mgf       uint
}{
	crypto.SHA256: {[]byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}, pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256},
	crypto.SHA384: {[]byte{0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0x04, 0x30}, pkcs11.CKM_SHA384, pkcs11.CKG_MGF1_SHA384},
	crypto.SHA512: {[]byte{0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00, 0x04, 0x40}, pkcs11.CKM_SHA512, pkcs11.CKG_MGF1_SHA512},
}

// signing is one signature to be made: what to ask of the module and how to judge the answer.
type signing struct {
	mechanism *pkcs11.Mechanism
	input     []byte
	encode    func(raw []byte) ([]byte, error)
	verify    func(sig []byte) error
}

// newSigning checks everything that can be wrong about a request, so that an error of the module
// is never the caller's fault.
func newSigning(pub crypto.PublicKey, digest []byte, opts crypto.SignerOpts) (signing, error) {
	if opts == nil {
		return signing{}, fmt.Errorf("%w: no signer options", ErrInput)
	}
	hash := opts.HashFunc()
	info, ok := digestInfo[hash]
	if !ok {
		return signing{}, fmt.Errorf("%w: digest algorithm %v", ErrInput, hash)
	}
	if len(digest) != hash.Size() {
		return signing{}, fmt.Errorf("%w: %d bytes are no %v digest", ErrInput, len(digest), hash)
	}
	digest = slices.Clone(digest)
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		if _, ok := opts.(*rsa.PSSOptions); ok {
			return signing{}, fmt.Errorf("%w: PSS with an ECDSA key", ErrInput)
		}
		return ecdsaSigning(pub, digest), nil
	case *rsa.PublicKey:
		if pss, ok := opts.(*rsa.PSSOptions); ok {
			return pssSigning(pub, digest, hash, info.mechanism, info.mgf, pss.SaltLength)
		}
		return signing{
			mechanism: pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS, nil),
			input:     slices.Concat(info.prefix, digest),
			encode:    asItIs,
			verify:    func(sig []byte) error { return rsa.VerifyPKCS1v15(pub, hash, digest, sig) },
		}, nil
	}
	return signing{}, fmt.Errorf("%w: public key of type %T", ErrInput, pub)
}

// pssSigning takes a salt as long as the digest (rsa.PSSSaltLengthEqualsHash, or that number) and
// nothing else: that is what RFC 8017, Section 9.1, recommends and what verifiers accept.
func pssSigning(pub *rsa.PublicKey, digest []byte, hash crypto.Hash, mechanism, mgf uint, salt int) (signing, error) {
	if salt != rsa.PSSSaltLengthEqualsHash && salt != hash.Size() {
		return signing{}, fmt.Errorf("%w: PSS salt length %d", ErrInput, salt)
	}
	opts := &rsa.PSSOptions{SaltLength: hash.Size(), Hash: hash}
	return signing{
		mechanism: pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_PSS, pkcs11.NewPSSParams(mechanism, mgf, uint(hash.Size()))),
		input:     digest,
		encode:    asItIs,
		verify:    func(sig []byte) error { return rsa.VerifyPSS(pub, hash, digest, sig, opts) },
	}, nil
}

// ecdsaSigning gives the module the leftmost bits of the digest (FIPS 186-5, Section 6.4.1), which
// not all modules cut off themselves, and turns its r‖s into DER (RFC 3279, Section 2.2.3).
func ecdsaSigning(pub *ecdsa.PublicKey, digest []byte) signing {
	size := (pub.Curve.Params().N.BitLen() + 7) / 8
	return signing{
		mechanism: pkcs11.NewMechanism(pkcs11.CKM_ECDSA, nil),
		input:     digest[:min(len(digest), size)],
		encode: func(raw []byte) ([]byte, error) {
			if len(raw) != 2*size {
				return nil, fmt.Errorf("%d bytes are no r and s", len(raw))
			}
			return derSignature(raw[:size], raw[size:]), nil
		},
		verify: func(der []byte) error { return verifyECDSA(pub, digest, der) },
	}
}

// derSignature encodes big-endian r and s, of up to 60 bytes each, as Ecdsa-Sig-Value (RFC 3279,
// Section 2.2.3). Reflection in encoding/asn1 takes five per cent of what the module takes for
// the whole signature.
func derSignature(r, s []byte) []byte {
	der := make([]byte, 2, 2+2*(3+len(r)))
	for _, n := range [][]byte{r, s} {
		for len(n) > 1 && n[0] == 0 {
			n = n[1:]
		}
		der = append(der, 0x02, byte(len(n)))
		if n[0] >= 0x80 { // it would be negative
			der[len(der)-1]++
			der = append(der, 0)
		}
		der = append(der, n...)
	}
	der[0], der[1] = 0x30, byte(len(der)-2)
	return der
}

// asItIs is the encoding of RSA signatures.
func asItIs(raw []byte) ([]byte, error) { return raw, nil }

func verifyECDSA(pub *ecdsa.PublicKey, digest, der []byte) error {
	if !ecdsa.VerifyASN1(pub, digest, der) {
		return fmt.Errorf("ECDSA signature does not verify")
	}
	return nil
}

// raw makes the signature without looking at it.
func (s *session) raw(key pkcs11.ObjectHandle, job signing) ([]byte, error) {
	if err := s.p11.SignInit(s.handle, []*pkcs11.Mechanism{job.mechanism}, key); err != nil {
		return nil, fmt.Errorf("starting signature: %w", err)
	}
	s.active = true
	raw, err := s.p11.Sign(s.handle, job.input)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	s.active = false
	return raw, nil
}

// sign makes, encodes and verifies a signature.
func (s *session) sign(key pkcs11.ObjectHandle, job signing) ([]byte, error) {
	raw, err := s.raw(key, job)
	if err != nil {
		return nil, err
	}
	sig, err := job.encode(raw)
	if err == nil {
		err = job.verify(sig)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadSignature, err)
	}
	return sig, nil
}

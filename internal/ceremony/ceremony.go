// Package ceremony makes the secret keys of an installation that can be made
// again: from a master secret that custodians hold in shares. It is pure: it
// computes, and does no I/O.
//
//	machine's randomness, components ─HKDF─> master ─HKDF, label─> KEK, pepper, …
//	                                           │
//	                                           └─Shamir, m of n─> one share a custodian
//
// The master secret is a scalar of ristretto255 (RFC 9496), about 252 bits. It
// is shared after Shamir, with Feldman's commitments, so that a share can be
// checked by itself. Commitments hide the secret as well as discrete logarithms
// are hard, and a passphrase does not cover them: shares belong in safes.
package ceremony

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/secretsharing"
)

// Bounds of a ceremony.
const (
	MaxCustodians = 16
	MinComponent  = 16   // bytes of a custodian's component
	MaxComponent  = 4096 // bytes
)

// Errors a caller decides by.
var (
	// ErrShare: the share was edited, damaged, or never was one.
	ErrShare = errors.New("ceremony: share is damaged or edited")
	// ErrPassphrase: the passphrase does not open the share.
	ErrPassphrase = errors.New("ceremony: wrong passphrase of share")
	// ErrTooFew: fewer different shares than the threshold.
	ErrTooFew = errors.New("ceremony: not enough different shares")
	// ErrMixed: the shares come from different ceremonies.
	ErrMixed = errors.New("ceremony: shares of different ceremonies")
	// ErrInput: the arguments cannot be right.
	ErrInput = errors.New("ceremony: invalid input")
)

const (
	mixSalt = "mohor ceremony master v1"
	keySalt = "mohor ceremony key v1"
	ristLen = 32 // bytes of a scalar or an element
)

var curve = group.Ristretto255

// Master is the secret all keys of a ceremony come from.
type Master struct{ scalar group.Scalar }

// Mix makes a master secret of the machine's randomness and the custodians'
// components, each 16 to 4,096 bytes. Whoever does not know all of them learns
// nothing about it: one good component, or the machine's, suffices.
func Mix(components [][]byte) (*Master, error) {
	machine := make([]byte, 32)
	if _, err := rand.Read(machine); err != nil {
		return nil, fmt.Errorf("reading the machine's randomness: %w", err)
	}
	defer clear(machine)
	return mix(machine, components)
}

// mix is HKDF-Extract (RFC 5869, Section 2.2) over all inputs, each with its
// length in front, and hash_to_field of ristretto255-SHA512 (RFC 9497, Section 4.1).
func mix(machine []byte, components [][]byte) (*Master, error) {
	var all []byte
	defer func() { clear(all[:cap(all)]) }()
	size := 4 + len(machine)
	for k, c := range components {
		if len(c) < MinComponent || len(c) > MaxComponent {
			return nil, fmt.Errorf("%w: component %d has %d bytes; it must have %d to %d", ErrInput, k+1, len(c), MinComponent, MaxComponent)
		}
		size += 4 + len(c)
	}
	all = make([]byte, 0, size) // never grown: no copy stays behind
	for _, c := range append([][]byte{machine}, components...) {
		all = binary.BigEndian.AppendUint32(all, uint32(len(c)))
		all = append(all, c...)
	}
	extracted, err := hkdf.Extract(sha256.New, all, []byte(mixSalt))
	if err != nil {
		return nil, fmt.Errorf("mixing components: %w", err)
	}
	defer clear(extracted)
	m := &Master{curve.HashToScalar(extracted, []byte(mixSalt))}
	if m.scalar.IsZero() {
		return nil, errors.New("mixing components: the result is zero")
	}
	return m, nil
}

// Key derives the 32-byte key of a label: HKDF-SHA-256 (RFC 5869) of the
// scalar's 32 bytes (RFC 9496, Section 4.4), salt "mohor ceremony key v1", the
// label as info.
func (m *Master) Key(label string) ([]byte, error) {
	secret, err := m.scalar.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("encoding master secret: %w", err)
	}
	defer clear(secret)
	key, err := hkdf.Key(sha256.New, secret, []byte(keySalt), label, 32)
	if err != nil {
		return nil, fmt.Errorf("deriving key %q: %w", label, err)
	}
	return key, nil
}

// Wipe overwrites the scalar. Copies that circl's polynomial made, and those of
// the stack and of registers, cannot be reached.
func (m *Master) Wipe() { m.scalar.SetUint64(0) }

// Split makes a share for each custodian; any threshold of them, 2 to n, give
// the secret back, and fewer say nothing about it. Names have 1 to 64 printable
// characters and differ.
func (m *Master) Split(threshold int, custodians []string) ([]*Share, error) {
	n := len(custodians)
	if threshold < 2 || threshold > n || n > MaxCustodians {
		return nil, fmt.Errorf("%w: %d of %d shares; the threshold must be at least 2, the custodians at most %d", ErrInput, threshold, n, MaxCustodians)
	}
	seen := make(map[string]bool)
	for _, name := range custodians {
		if !goodName(name) || seen[name] {
			return nil, fmt.Errorf("%w: custodian %q: names have 1 to 64 printable characters and differ", ErrInput, name)
		}
		seen[name] = true
	}
	sharing := secretsharing.New(rand.Reader, uint(threshold-1), m.scalar)
	var commitments []byte
	for _, c := range sharing.CommitSecret() {
		b, err := c.MarshalBinary()
		if err != nil {
			return nil, fmt.Errorf("encoding commitment: %w", err)
		}
		commitments = append(commitments, b...)
	}
	var out []*Share
	for k, s := range sharing.Share(uint(n)) {
		value, err := s.Value.MarshalBinary()
		s.Value.SetUint64(0)
		if err != nil {
			return nil, fmt.Errorf("encoding share: %w", err)
		}
		out = append(out, &Share{Custodian: custodians[k], Index: k + 1, Threshold: threshold, Shares: n, commitments: commitments, value: value})
	}
	return out, nil
}

// Combine gives the master secret back. Shares must have been opened
// ([Share.Open]); more than the threshold may be given, and one given twice
// counts once. Errors: [ErrTooFew], [ErrMixed], [ErrShare].
func Combine(shares []*Share) (*Master, error) {
	if len(shares) == 0 {
		return nil, fmt.Errorf("%w: none", ErrTooFew)
	}
	first := shares[0]
	seen := make(map[int]bool)
	var points []secretsharing.Share
	defer func() {
		for _, p := range points {
			p.Value.SetUint64(0)
		}
	}()
	for _, s := range shares {
		if !bytes.Equal(s.commitments, first.commitments) || s.Threshold != first.Threshold || s.Shares != first.Shares {
			return nil, fmt.Errorf("%w: %q is of ceremony %s, %q of %s", ErrMixed, first.Custodian, first.Ceremony(), s.Custodian, s.Ceremony())
		}
		if seen[s.Index] {
			continue
		}
		seen[s.Index] = true
		p, err := s.point()
		if err != nil {
			return nil, err
		}
		points = append(points, p)
	}
	if len(points) < first.Threshold {
		return nil, fmt.Errorf("%w: %d of the %d needed", ErrTooFew, len(points), first.Threshold)
	}
	secret, err := secretsharing.Recover(uint(first.Threshold-1), points)
	if err != nil {
		return nil, fmt.Errorf("combining shares: %w", err)
	}
	commitments, err := first.committed()
	if err != nil {
		return nil, err
	}
	if !curve.NewElement().MulGen(secret).IsEqual(commitments[0]) {
		return nil, fmt.Errorf("%w: they do not give the secret they are shares of", ErrShare)
	}
	return &Master{secret}, nil
}

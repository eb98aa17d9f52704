package signer

import (
	"crypto"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// hashIDs are the alg octets of a leaf.
var hashIDs = map[crypto.Hash]byte{crypto.SHA256: 1, crypto.SHA384: 2, crypto.SHA512: 3}

// Leaf is SHA-256(0x00 ‖ index u32 ‖ len(name) u16 ‖ name ‖ alg u8 ‖ digest),
// big-endian; alg is 1, 2, 3 for SHA-256, -384, -512.
func (d *Document) Leaf() [32]byte {
	b := make([]byte, 0, 8+len(d.Name)+len(d.Digest))
	b = append(b, 0x00)
	b = binary.BigEndian.AppendUint32(b, d.Index)
	b = binary.BigEndian.AppendUint16(b, uint16(len(d.Name)))
	b = append(b, d.Name...)
	b = append(b, hashIDs[d.Hash])
	b = append(b, d.Digest...)
	return sha256.Sum256(b)
}

// Tree folds leaves into the Merkle tree hash of RFC 9162, Section 2.1.1, one
// leaf at a time: memory is one node for each level.
type Tree struct {
	nodes []node // subtrees of falling size
	n     uint32
}

type node struct {
	size uint32
	hash [32]byte
}

// Add appends a leaf hash.
func (t *Tree) Add(leaf [32]byte) {
	t.n++
	t.nodes = append(t.nodes, node{1, leaf})
	for k := len(t.nodes); k > 1 && t.nodes[k-1].size == t.nodes[k-2].size; k-- {
		t.nodes[k-2] = node{2 * t.nodes[k-1].size, join(t.nodes[k-2].hash, t.nodes[k-1].hash)}
		t.nodes = t.nodes[:k-1]
	}
}

// Root returns the count and the root; the root of no leaves is SHA-256 of the
// empty string.
func (t *Tree) Root() (count uint32, root [32]byte) {
	if t.n == 0 {
		return 0, sha256.Sum256(nil)
	}
	h := t.nodes[len(t.nodes)-1].hash
	for k := len(t.nodes) - 2; k >= 0; k-- {
		h = join(t.nodes[k].hash, h)
	}
	return t.n, h
}

func join(l, r [32]byte) [32]byte {
	var b [65]byte
	b[0] = 0x01
	copy(b[1:], l[:])
	copy(b[33:], r[:])
	return sha256.Sum256(b[:])
}

// Fingerprint is the first 40 bits of root in Crockford base 32, XXXX-XXXX:
// what mail and signing page both show.
func Fingerprint(root [32]byte) string {
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	v := uint64(root[0])<<32 | uint64(root[1])<<24 | uint64(root[2])<<16 | uint64(root[3])<<8 | uint64(root[4])
	var s [8]byte
	for k := 7; k >= 0; k-- {
		s[k] = alphabet[v&31]
		v >>= 5
	}
	return string(s[:4]) + "-" + string(s[4:])
}

// Check refuses a document that cannot have a leaf: name over 65,535 bytes,
// unknown hash, digest of another length.
func (d *Document) Check() error {
	if len(d.Name) > 0xFFFF || len(d.Name) == 0 {
		return fmt.Errorf("checking document %d: name must have 1 to 65,535 bytes", d.Index)
	}
	if hashIDs[d.Hash] == 0 || len(d.Digest) != d.Hash.Size() {
		return fmt.Errorf("checking document %d: digest does not fit its algorithm", d.Index)
	}
	return nil
}

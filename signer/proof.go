package signer

import (
	"errors"
	"fmt"
	"math/bits"
)

// ErrProof: a document is not shown to be under a root.
var ErrProof = errors.New("inclusion proof does not lead to the root")

// MaxPath is how many hashes an inclusion proof has at most: a count has 32 bits.
const MaxPath = 32

// Proof shows that a leaf is the one at Index of a tree with Count leaves: the inclusion path of
// RFC 9162, Section 2.1.3, from the leaf's sibling up, 32 bytes each, ⌈log2 Count⌉ at most.
type Proof struct {
	Index, Count uint32
	Path         [][32]byte
}

// Verify returns nil when leaf ([Document.Leaf]) and path give root, else [ErrProof]
// (RFC 9162, Section 2.1.3.2). The root must be known from elsewhere: whoever makes a proof can
// make a root for it.
func (p *Proof) Verify(leaf, root [32]byte) error {
	if p.Index >= p.Count {
		return fmt.Errorf("%w: index %d of %d", ErrProof, p.Index, p.Count)
	}
	fn, sn, r := p.Index, p.Count-1, leaf
	for _, h := range p.Path {
		if sn == 0 {
			return fmt.Errorf("%w: the path is too long", ErrProof)
		}
		if fn&1 == 1 || fn == sn {
			r = join(h, r)
			for fn&1 == 0 && fn != 0 {
				fn, sn = fn>>1, sn>>1
			}
		} else {
			r = join(r, h)
		}
		fn, sn = fn>>1, sn>>1
	}
	if sn != 0 {
		return fmt.Errorf("%w: the path is too short", ErrProof)
	}
	if r != root {
		return ErrProof
	}
	return nil
}

// Block is how many leaves an [Outline] does not keep one by one. A power of two, so that each block
// is a subtree.
const Block = 256

// Outline is a [Tree] from which proofs can be had: of each block of leaves it keeps the root, and
// all above, 96 bytes a block at most. The leaves of a block are given again when a proof in it is wanted.
type Outline struct {
	open   Tree // the block being filled
	n      uint32
	levels [][][32]byte // levels[0] are the blocks' roots; nil until built
	blocks [][32]byte
}

// Add appends a leaf hash.
func (o *Outline) Add(leaf [32]byte) {
	o.open.Add(leaf)
	o.n++
	o.levels = nil
	if o.open.n == Block {
		_, root := o.open.Root()
		o.blocks, o.open = append(o.blocks, root), Tree{}
	}
}

// Root returns the count and the root, as [Tree.Root].
func (o *Outline) Root() (count uint32, root [32]byte) {
	if o.n == 0 {
		return o.open.Root()
	}
	o.build()
	return o.n, o.levels[len(o.levels)-1][0]
}

// build hashes what stands above the blocks. From here on, until the next Add, reading does not
// change the outline.
func (o *Outline) build() {
	if o.levels != nil {
		return
	}
	roots := o.blocks
	if o.open.n > 0 {
		_, root := o.open.Root()
		roots = append(roots[:len(roots):len(roots)], root)
	}
	o.levels = levels(roots)
}

// Size is how many bytes of hashes it keeps.
func (o *Outline) Size() (n int) {
	n = 32 * len(o.blocks)
	for k, row := range o.levels {
		if k > 0 || len(row) > len(o.blocks) { // the lowest may be the blocks themselves
			n += 32 * len(row)
		}
	}
	return n
}

// Subtree is a block of an [Outline] with its leaves.
type Subtree struct {
	o      *Outline
	first  uint32
	levels [][][32]byte
}

// Subtree takes all leaves of the block that begins at first, a multiple of [Block]; [ErrProof] when
// they are not those that were added. Once Root was called, many may do so at a time.
func (o *Outline) Subtree(first uint32, leaves [][32]byte) (*Subtree, error) {
	if first%Block != 0 || first >= o.n || len(leaves) != int(min(Block, o.n-first)) {
		return nil, fmt.Errorf("%w: %d leaves from %d of %d", ErrProof, len(leaves), first, o.n)
	}
	o.build()
	t := &Subtree{o, first, levels(leaves)}
	if t.levels[len(t.levels)-1][0] != o.levels[0][first/Block] {
		return nil, fmt.Errorf("%w: a leaf is not the one that was added", ErrProof)
	}
	return t, nil
}

// Proof is that of the leaf at index, which must be in the block.
func (t *Subtree) Proof(index uint32) Proof {
	path := up(make([][32]byte, 0, bits.Len32(t.o.n-1)), t.levels, index-t.first)
	return Proof{Index: index, Count: t.o.n, Path: up(path, t.o.levels, t.first/Block)}
}

// levels are the nodes of a tree from its leaves to its root. A node without a sibling is its own
// parent, which makes of it the tree of RFC 9162, whose left subtrees are full.
func levels(leaves [][32]byte) [][][32]byte {
	out := [][][32]byte{leaves}
	for row := leaves; len(row) > 1; out = append(out, row) {
		next := make([][32]byte, (len(row)+1)/2)
		for k := range next {
			if next[k] = row[2*k]; 2*k+1 < len(row) {
				next[k] = join(row[2*k], row[2*k+1])
			}
		}
		row = next
	}
	return out
}

// up appends the siblings on the way from a leaf of levels to their root.
func up(path [][32]byte, levels [][][32]byte, at uint32) [][32]byte {
	for _, row := range levels {
		if sibling := at ^ 1; int(sibling) < len(row) {
			path = append(path, row[sibling])
		}
		at >>= 1
	}
	return path
}

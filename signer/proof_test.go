package signer_test

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/mohor-sign/mohor/signer"
)

// text is RFC 9162, Section 2.1.3.1, word for word, over the leaf hashes of someLeaves, some of whose
// subtrees it remembers.
type text struct {
	leaves [][32]byte
	seen   map[[2]int][32]byte
}

func (x *text) hash(from, to int) [32]byte {
	h, ok := x.seen[[2]int{from, to}]
	if !ok {
		h = mth(x.leaves[from:to])
		x.seen[[2]int{from, to}] = h
	}
	return h
}

func (x *text) path(m, from, to int) [][32]byte {
	n := to - from
	if n == 1 {
		return nil
	}
	k := 1
	for 2*k < n {
		k *= 2
	}
	if m < k {
		return append(x.path(m, from, from+k), x.hash(from+k, to))
	}
	return append(x.path(m-k, from+k, to), x.hash(from, from+k))
}

func path(m int, leaves [][32]byte) [][32]byte {
	return (&text{leaves, map[[2]int][32]byte{}}).path(m, 0, len(leaves))
}

func someLeaves(n int) [][32]byte {
	leaves := make([][32]byte, n)
	for k := range leaves {
		leaves[k] = sha256.Sum256(binary.BigEndian.AppendUint32(nil, uint32(k)))
	}
	return leaves
}

func outline(leaves [][32]byte) *signer.Outline {
	o := new(signer.Outline)
	for _, l := range leaves {
		o.Add(l)
	}
	return o
}

func block(leaves [][32]byte, index int) [][32]byte {
	first := index - index%signer.Block
	return leaves[first:min(first+signer.Block, len(leaves))]
}

func prove(t interface{ Fatal(...any) }, o *signer.Outline, leaves [][32]byte, index int) signer.Proof {
	tree, err := o.Subtree(uint32(index-index%signer.Block), block(leaves, index))
	if err != nil {
		t.Fatal(err)
	}
	return tree.Proof(uint32(index))
}

// Every index of every size to 300, which is more than a block, against the text of the RFC.
func TestProofsAreThoseOfRFC9162(t *testing.T) {
	all := someLeaves(300)
	rfc := &text{all, map[[2]int][32]byte{}}
	for n := 1; n <= len(all); n++ {
		leaves := all[:n]
		o, root := outline(leaves), mth(leaves)
		if count, got := o.Root(); int(count) != n || got != root {
			t.Fatalf("%d leaves: count %d, root %x; want %x", n, count, got, root)
		}
		for k := range leaves {
			p := prove(t, o, leaves, k)
			if want := rfc.path(k, 0, n); !slices.Equal(p.Path, want) {
				t.Fatalf("leaf %d of %d: %x, want %x", k, n, p.Path, want)
			}
			if len(p.Path) > bits.Len(uint(n-1)) {
				t.Errorf("leaf %d of %d: %d hashes", k, n, len(p.Path))
			}
			if err := p.Verify(leaves[k], root); err != nil {
				t.Fatalf("leaf %d of %d: %v", k, n, err)
			}
		}
	}
}

func TestProofsOfBigTrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		leaves := someLeaves(rapid.IntRange(1, 1500).Draw(t, "size"))
		o := outline(leaves)
		_, root := o.Root()
		if root != mth(leaves) {
			t.Fatalf("%d leaves: root %x", len(leaves), root)
		}
		for range 3 {
			k := rapid.IntRange(0, len(leaves)-1).Draw(t, "index")
			p := prove(t, o, leaves, k)
			if err := p.Verify(leaves[k], root); err != nil || !slices.Equal(p.Path, path(k, leaves)) {
				t.Fatalf("leaf %d of %d: %v", k, len(leaves), err)
			}
		}
	})
}

// Whatever is not leaf, index, count, path and root of one tree is refused.
func TestProofRefusesWhatDoesNotBelongToIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		leaves := someLeaves(rapid.IntRange(2, 700).Draw(t, "size"))
		o, root := outline(leaves), mth(leaves)
		k := rapid.IntRange(0, len(leaves)-1).Draw(t, "index")
		p, leaf := prove(t, o, leaves, k), leaves[k]
		bit := rapid.IntRange(0, 255).Draw(t, "bit")
		flip := func(h [32]byte) [32]byte { h[bit/8] ^= 1 << (bit % 8); return h }
		refused := func(what string, p signer.Proof, leaf, root [32]byte) {
			if err := p.Verify(leaf, root); !errors.Is(err, signer.ErrProof) {
				t.Errorf("%s: %v", what, err)
			}
		}
		refused("another leaf", p, flip(leaf), root)
		refused("another root", p, leaf, flip(root))
		other := p
		other.Path = slices.Clone(p.Path)
		at := rapid.IntRange(0, len(p.Path)-1).Draw(t, "hash")
		other.Path[at] = flip(other.Path[at])
		refused("a hash changed", other, leaf, root)
		other.Path = p.Path[:len(p.Path)-1]
		refused("a hash missing", other, leaf, root)
		other.Path = append(slices.Clone(p.Path), flip(root))
		refused("a hash more", other, leaf, root)
		other.Path = slices.Insert(slices.Clone(p.Path), at, leaf)
		refused("a hash inserted", other, leaf, root)
		other = p
		other.Index = rapid.Uint32().Filter(func(i uint32) bool { return i != p.Index }).Draw(t, "other index")
		refused("another index", other, leaf, root)
		other = p
		other.Count = uint32(k)
		refused("an index behind the last", other, leaf, root)
		refused("no proof", signer.Proof{}, leaf, root)
		// A size for which the path has another length; one of the same shape gives the same hashes, and
		// is bound by the seal and not by the path (RFC 9162, Section 2.1.3.2).
		other.Count = 4 * p.Count
		refused("another size", other, leaf, root)
		refused("a node taken for a leaf", signer.Proof{Index: p.Index / 2, Count: (p.Count + 1) / 2, Path: p.Path[1:]}, leaf, root)
	})
}

// An outline answers for the leaves that it was given, and for no others.
func TestOutlineRefusesOtherLeaves(t *testing.T) {
	leaves := someLeaves(600)
	o := outline(leaves)
	for what, give := range map[string]struct {
		first  uint32
		leaves [][32]byte
	}{
		"behind the end":   {768, block(leaves, 599)},
		"no leaves":        {0, nil},
		"too few":          {256, block(leaves, 300)[1:]},
		"not a block":      {1, leaves[1:257]},
		"those of another": {256, block(leaves, 0)},
		"in other order":   {0, append(slices.Clone(leaves[1:256]), leaves[0])},
	} {
		if _, err := o.Subtree(give.first, give.leaves); !errors.Is(err, signer.ErrProof) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// It grows: what was asked before does not disturb.
	before := prove(t, o, leaves, 599)
	more := someLeaves(601)
	o.Add(more[600])
	after := prove(t, o, more, 599)
	if err := before.Verify(leaves[599], mth(leaves)); err != nil {
		t.Error(err)
	}
	if err := after.Verify(leaves[599], mth(more)); err != nil {
		t.Error(err)
	}
}

// What an outline keeps of 100,000 leaves is small, whatever is asked of it.
func TestOutlineIsSmall(t *testing.T) {
	leaves := someLeaves(100_000)
	o := outline(leaves)
	o.Root()
	if n := o.Size(); n > 96*(100_000/signer.Block+2) {
		t.Errorf("%d bytes for 100,000 leaves", n)
	}
	p := prove(t, o, leaves, 99_999)
	if err := p.Verify(leaves[99_999], mth(leaves)); err != nil || len(p.Path) > 17 {
		t.Errorf("%d hashes, %v", len(p.Path), err)
	}
}

func FuzzProof(f *testing.F) {
	f.Add(uint32(1), uint32(3), make([]byte, 64))
	leaf := sha256.Sum256([]byte("leaf"))
	f.Fuzz(func(t *testing.T, index, count uint32, raw []byte) {
		p := signer.Proof{Index: index, Count: count}
		for ; len(raw) >= 32; raw = raw[32:] {
			p.Path = append(p.Path, [32]byte(raw))
		}
		if err := p.Verify(leaf, [32]byte{1}); err == nil {
			t.Fatalf("%+v leads to a root that nobody can have", p)
		}
	})
}

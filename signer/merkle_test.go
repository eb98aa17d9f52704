package signer_test

import (
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/mohor-sign/mohor/signer"
)

// mth is RFC 9162, Section 2.1.1, word for word, over leaf hashes.
func mth(leaves [][32]byte) [32]byte {
	switch n := len(leaves); n {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return leaves[0]
	default:
		k := 1 // the largest power of two smaller than n
		for 2*k < n {
			k *= 2
		}
		l, r := mth(leaves[:k]), mth(leaves[k:])
		return sha256.Sum256(append(append([]byte{1}, l[:]...), r[:]...))
	}
}

func TestTreeIsThatOfRFC9162(t *testing.T) {
	var leaves [][32]byte
	var grown signer.Tree
	for n := range 71 {
		var tree signer.Tree
		for _, l := range leaves {
			tree.Add(l)
		}
		want := mth(leaves)
		if count, root := tree.Root(); int(count) != n || root != want {
			t.Errorf("%d leaves: count %d, root %x; want %x", n, count, root, want)
		}
		if _, root := grown.Root(); root != want { // asking does not disturb
			t.Errorf("%d leaves, grown: root %x; want %x", n, root, want)
		}
		leaf := sha256.Sum256([]byte{byte(n)})
		leaves = append(leaves, leaf)
		grown.Add(leaf)
	}
	rapid.Check(t, func(t *rapid.T) {
		var tree signer.Tree
		var leaves [][32]byte
		for _, l := range rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 32, 32), 0, 300).Draw(t, "leaves") {
			leaves = append(leaves, [32]byte(l))
			tree.Add([32]byte(l))
		}
		if n, root := tree.Root(); int(n) != len(leaves) || root != mth(leaves) {
			t.Fatalf("%d leaves: root %x", n, root)
		}
	})
}

// Computed with Python's hashlib and struct from the encoding of the contract.
func TestLeafIsPinned(t *testing.T) {
	abc256, abc512 := sha256.Sum256([]byte("abc")), crypto.SHA512.New()
	abc512.Write([]byte("abc"))
	for _, c := range []struct {
		d    signer.Document
		want string
	}{
		{signer.Document{Index: 7, Name: "baucar 1.pdf", Hash: crypto.SHA256, Digest: abc256[:]}, "c42f4e1f692aa9b530a11dbaa358137d617a881a3a58009a33ca83d179d535bf"},
		{signer.Document{Index: 0x01020304, Name: "Å", Hash: crypto.SHA512, Digest: abc512.Sum(nil)}, "66d0260ae0699517cfbea309e341d2d6846a628594418837086dcc314fa9b307"},
	} {
		if leaf := c.d.Leaf(); hex.EncodeToString(leaf[:]) != c.want {
			t.Errorf("%q: %x, want %s", c.d.Name, leaf, c.want)
		}
		// What is not authorised does not matter.
		c.d.Blob, c.d.Size, c.d.DocumentID, c.d.Reference = "b", 1, "d", "r"
		if leaf := c.d.Leaf(); hex.EncodeToString(leaf[:]) != c.want {
			t.Errorf("%q with handles: %x", c.d.Name, leaf)
		}
	}
}

func TestLeavesOfDifferentDocumentsDiffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) signer.Document {
			h := rapid.SampledFrom([]crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512}).Draw(t, label+" hash")
			return signer.Document{Index: rapid.Uint32Range(0, 3).Draw(t, label+" index"), Name: rapid.StringMatching("[ab]{1,3}").Draw(t, label+" name"), Hash: h,
				Digest: []byte(strings.Repeat(rapid.SampledFrom([]string{"a", "b"}).Draw(t, label+" digest"), h.Size()))}
		}
		a, b := draw("a"), draw("b")
		same := a.Index == b.Index && a.Name == b.Name && a.Hash == b.Hash && string(a.Digest) == string(b.Digest)
		if (a.Leaf() == b.Leaf()) != same {
			t.Fatalf("%+v and %+v", a, b)
		}
	})
}

func TestFingerprintIsPinned(t *testing.T) {
	for in, want := range map[string]string{"0123456789": "04HM-ASW9", "fedcba9876": "ZVEB-N63P", "0000000000": "0000-0000", "ffffffffff": "ZZZZ-ZZZZ", "0000000001": "0000-0001", "8000000000": "G000-0000"} {
		p, err := hex.DecodeString(in)
		if err != nil {
			t.Fatal(err)
		}
		root := [32]byte{31: 0xEE}
		copy(root[:], p)
		if got := signer.Fingerprint(root); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestCheckRefusesWhatHasNoLeaf(t *testing.T) {
	good := signer.Document{Name: "n", Hash: crypto.SHA384, Digest: make([]byte, 48)}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for name, edit := range map[string]func(*signer.Document){
		"no name":        func(d *signer.Document) { d.Name = "" },
		"a long name":    func(d *signer.Document) { d.Name = strings.Repeat("n", 0x10000) },
		"no hash":        func(d *signer.Document) { d.Hash = 0 },
		"SHA-1":          func(d *signer.Document) { d.Hash, d.Digest = crypto.SHA1, make([]byte, 20) },
		"SHA3-256":       func(d *signer.Document) { d.Hash, d.Digest = crypto.SHA3_256, make([]byte, 32) },
		"a short digest": func(d *signer.Document) { d.Digest = d.Digest[:47] },
		"a long digest":  func(d *signer.Document) { d.Digest = append(d.Digest, 0) },
		"no digest":      func(d *signer.Document) { d.Digest = nil },
	} {
		d := good
		d.Digest = append([]byte(nil), good.Digest...)
		edit(&d)
		if err := d.Check(); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	longest := good
	longest.Name = strings.Repeat("n", 0xFFFF)
	if err := longest.Check(); err != nil {
		t.Error(err)
	}
}

func ExampleFingerprint() {
	var t signer.Tree
	_, root := t.Root()
	fmt.Println(signer.Fingerprint(root))
	// Output: WERC-8GMR
}

package mohor_test

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	mohor "github.com/mohor-sign/mohor/sdk/go"
	"github.com/mohor-sign/mohor/signer"
)

// The client believes the proofs that the gateway makes, and none that says something else.
func TestProofsOfTheGateway(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hash := rapid.SampledFrom([]crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512}).Draw(t, "alg")
		docs := make([]signer.Document, rapid.IntRange(1, 600).Draw(t, "count"))
		leaves := make([][32]byte, len(docs))
		var o signer.Outline
		for k := range docs {
			h := hash.New()
			fmt.Fprint(h, k)
			docs[k] = signer.Document{Index: uint32(k), Name: fmt.Sprint("dokumen é ", k), Hash: hash, Digest: h.Sum(nil)}
			leaves[k] = docs[k].Leaf()
			o.Add(leaves[k])
		}
		_, root := o.Root()
		k := rapid.IntRange(0, len(docs)-1).Draw(t, "index")
		first := k - k%signer.Block
		tree, err := o.Subtree(uint32(first), leaves[first:min(first+signer.Block, len(leaves))])
		if err != nil {
			t.Fatal(err)
		}
		made := func() *mohor.Proof {
			p := &mohor.Proof{Index: k, Count: len(docs), Name: docs[k].Name, Digest: mohor.Digest{Alg: hash.String(), Value: slices.Clone(docs[k].Digest)}}
			for _, h := range tree.Proof(uint32(k)).Path {
				p.Path = append(p.Path, slices.Clone(h[:]))
			}
			return p
		}
		if err := made().Verify(root[:]); err != nil {
			t.Fatalf("%d of %d: %v", k, len(docs), err)
		}
		if mohor.FingerprintOf(root[:]) != signer.Fingerprint(root) {
			t.Errorf("fingerprint %s, want %s", mohor.FingerprintOf(root[:]), signer.Fingerprint(root))
		}
		for what, change := range map[string]func(p *mohor.Proof){
			"another name": func(p *mohor.Proof) { p.Name += "x" }, "another digest": func(p *mohor.Proof) { p.Digest.Value[0] ^= 1 }, "another algorithm": func(p *mohor.Proof) { p.Digest.Alg = "SHA-1" },
			"another index": func(p *mohor.Proof) { p.Index++ }, "an index below zero": func(p *mohor.Proof) { p.Index = -1 }, "a count beyond 32 bits": func(p *mohor.Proof) { p.Count = 1 << 32 },
			"one hash more": func(p *mohor.Proof) { p.Path = append(p.Path, make([]byte, 32)) }, "a short hash": func(p *mohor.Proof) { p.Path = append(p.Path, []byte{1}) },
		} {
			p := made()
			change(p)
			if err := p.Verify(root[:]); !errors.Is(err, mohor.ErrProof) {
				t.Errorf("%s: %v", what, err)
			}
		}
		other := sha256.Sum256(root[:])
		for what, root := range map[string][]byte{"another root": other[:], "no root": nil, "half of it": root[:16], "more": bytes.Repeat(root[:], 2)} {
			if err := made().Verify(root); !errors.Is(err, mohor.ErrProof) {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
	if mohor.FingerprintOf([]byte{1}) != "" {
		t.Error("a fingerprint of nothing")
	}
}

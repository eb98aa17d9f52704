package batch

import (
	"context"
	"fmt"
	"sync"

	"github.com/mohor-sign/mohor/internal/keylock"
	"github.com/mohor-sign/mohor/signer"
)

// keptHashes bounds, in bytes, what is remembered of the trees of sealed batches: 37 KB of 100,000
// documents.
const keptHashes = 4 << 20

// outlines remembers the trees of batches that proofs were asked for. A sealed batch does not change.
type outlines struct {
	build keylock.Locks // one a batch

	mu    sync.Mutex
	kept  map[string]*signer.Outline
	order []string // the one that was made first comes first
	size  int
}

func (o *outlines) of(id string) *signer.Outline {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.kept[id]
}

func (o *outlines) keep(id string, t *signer.Outline) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.kept == nil {
		o.kept = make(map[string]*signer.Outline)
	}
	o.kept[id], o.order, o.size = t, append(o.order, id), o.size+t.Size()
	for o.size > keptHashes && len(o.order) > 1 {
		o.size -= o.kept[o.order[0]].Size()
		delete(o.kept, o.order[0])
		o.order = o.order[1:]
	}
}

// outline is the tree of a sealed batch, from its rows when nobody has asked of late.
// signer.ErrDocuments when these do not give the root that was sealed.
func (s *Service) outline(ctx context.Context, b *Batch) (*signer.Outline, error) {
	if t := s.outlines.of(b.ID); t != nil {
		return t, nil
	}
	unlock, err := s.outlines.build.Lock(ctx, b.ID)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if t := s.outlines.of(b.ID); t != nil {
		return t, nil // somebody was faster
	}
	t := new(signer.Outline)
	for first := int64(0); first < int64(b.Count); first += signer.Block {
		leaves, err := s.leaves(ctx, b, uint32(first))
		if err != nil {
			return nil, err
		}
		for _, l := range leaves {
			t.Add(l)
		}
	}
	if n, root := t.Root(); n != b.Count || root != b.Root {
		return nil, fmt.Errorf("%w: the rows of batch %s do not give its root", signer.ErrDocuments, b.ID)
	}
	s.outlines.keep(b.ID, t)
	return t, nil
}

// Intact returns nil when a sealed batch's rows give the root that was sealed, else
// signer.ErrDocuments.
func (s *Service) Intact(ctx context.Context, b Batch) error {
	_, err := s.outline(ctx, &b)
	return err
}

// leaves are those of the block that begins at first.
func (s *Service) leaves(ctx context.Context, b *Batch, first uint32) ([][32]byte, error) {
	docs, err := s.Queue.Leaves(ctx, b.ID, int64(first)-1, signer.Block)
	if err != nil {
		return nil, err
	}
	out := make([][32]byte, len(docs))
	for k := range docs {
		if docs[k].Index != first+uint32(k) {
			return nil, fmt.Errorf("%w: document %d of batch %s is missing", signer.ErrDocuments, first+uint32(k), b.ID)
		}
		out[k] = docs[k].Leaf()
	}
	return out, nil
}

// Proof returns an item of a sealed batch and what shows that it is in it. ErrNotSealed; ErrUnknown
// when there is no such item; signer.ErrDocuments when the rows are not those that were sealed.
func (s *Service) Proof(ctx context.Context, b Batch, index uint32) (it Item, p signer.Proof, err error) {
	if b.Count == 0 {
		return it, p, ErrNotSealed
	}
	if index >= b.Count {
		return it, p, ErrUnknown
	}
	t, err := s.outline(ctx, &b)
	if err != nil {
		return it, p, err
	}
	if it, err = s.Queue.Item(ctx, b.ID, index); err != nil {
		return it, p, err
	}
	first := index - index%signer.Block
	leaves, err := s.leaves(ctx, &b, first)
	if err != nil {
		return it, p, err
	}
	tree, err := t.Subtree(first, leaves)
	if err == nil && it.Leaf() != leaves[index-first] {
		err = signer.ErrProof
	}
	if err != nil {
		return it, p, fmt.Errorf("%w: %w", signer.ErrDocuments, err)
	}
	return it, tree.Proof(index), nil
}

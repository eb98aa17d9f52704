package batch

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/mohor-sign/mohor/ecert"
	"github.com/mohor-sign/mohor/signer"
)

// Looks are versions of how eCertificates look. What a version is never changes.
type Looks interface {
	// CurrentLook is the version in force, 0 for the configuration.
	CurrentLook(ctx context.Context) (int64, error)
	// LookOf is what a version changes, JSON of [ecert.Look], or ErrUnknown.
	LookOf(ctx context.Context, number int64) ([]byte, error)
}

// Filter chooses batches for an administrator, the newest first; those of single transactions are
// not among them.
type Filter struct {
	Apps   []string // theirs alone; nil: of all
	App    string   // of all: this one's alone; "" for any
	Status Status   // "" for any
	Before signer.Newest
	Limit  int // at most 200
}

// Signatory is who was asked last to sign a batch.
type Signatory struct {
	Transaction, IC, Name, System string
	Status                        signer.Status
}

// Register is what administrators ask of batches.
type Register interface {
	// BatchesFor lists batches with their counts.
	BatchesFor(ctx context.Context, f Filter) ([]Batch, error)
	// Signatory is ErrUnknown where nobody was asked yet.
	Signatory(ctx context.Context, id string) (Signatory, error)
}

// drawn keeps what draws the versions used last.
type drawn struct {
	mu   sync.Mutex
	kept map[int64]*ecert.Renderer
}

// maxDrawn bounds them: each has its typefaces and ornament in memory.
const maxDrawn = 4

// Draws returns what draws certificates in a version; an error of its templates is an
// *ecert.LookError.
func (s *Service) Draws(ctx context.Context, version int64) (*ecert.Renderer, error) {
	if version == 0 || s.Looks == nil {
		return s.Renderer, nil
	}
	s.drawn.mu.Lock()
	defer s.drawn.mu.Unlock()
	if r := s.drawn.kept[version]; r != nil {
		return r, nil
	}
	look, err := s.LookOf(ctx, version)
	if err != nil {
		return nil, err
	}
	r, err := s.Renderer.With(look)
	if err != nil {
		return nil, err
	}
	if s.drawn.kept == nil || len(s.drawn.kept) >= maxDrawn {
		s.drawn.kept = map[int64]*ecert.Renderer{}
	}
	s.drawn.kept[version] = r
	return r, nil
}

// LookOf is what a version of the templates changes; 0 changes nothing.
func (s *Service) LookOf(ctx context.Context, version int64) (l ecert.Look, err error) {
	if version == 0 {
		return l, nil
	}
	raw, err := s.Looks.LookOf(ctx, version)
	if err == nil {
		err = json.Unmarshal(raw, &l)
	}
	if err != nil {
		return l, fmt.Errorf("reading version %d of the templates: %w", version, err)
	}
	return l, nil
}

// pin notes in a new batch which templates its certificates are drawn from: those of its first list
// and those of its last look the same, whatever is confirmed meanwhile.
func (s *Service) pin(ctx context.Context, b *Batch) error {
	if b.Kind != Ecert || s.Looks == nil {
		return nil
	}
	var err error
	if b.Look, err = s.Looks.CurrentLook(ctx); err != nil {
		return err
	}
	r, err := s.Draws(ctx, b.Look)
	if err != nil {
		return err
	}
	sum := r.Templates().Sum()
	b.LookSum = hex.EncodeToString(sum[:])
	return nil
}

// rendererOf is what a batch was pinned to; ErrLook when the configuration behind it was changed
// since, so that it cannot be drawn any more.
func (s *Service) rendererOf(ctx context.Context, b *Batch) (*ecert.Renderer, error) {
	r, err := s.Draws(ctx, b.Look)
	if err != nil || b.LookSum == "" {
		return r, err
	}
	if sum := r.Templates().Sum(); hex.EncodeToString(sum[:]) != b.LookSum {
		return nil, ErrLook
	}
	return r, nil
}

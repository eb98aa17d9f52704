package batch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/mohor-sign/mohor/signer"
)

// Preview returns the certificate of an item as it will be signed, byte for byte, as
// soon as it was taken in: it is drawn once. ErrUnknown when there is no such batch
// or item, or the batch was cancelled or has expired, ErrKind when the batch is not one of eCertificates; signer.ErrDocuments
// when the stored bytes are not those that were taken in.
func (s *Service) Preview(ctx context.Context, app, id string, index uint32) ([]byte, error) {
	b, err := s.Batch(ctx, app, id)
	switch {
	case err != nil:
		return nil, err
	case b.Kind != Ecert:
		return nil, fmt.Errorf("%w: it takes %s", ErrKind, b.Kind)
	case b.Status == Cancelled, b.Status == Expired:
		return nil, ErrUnknown
	}
	items, err := s.Queue.Items(ctx, id, "", int64(index)-1, 1)
	if err != nil {
		return nil, err
	}
	if len(items) != 1 || items[0].Index != index {
		return nil, ErrUnknown
	}
	blob, err := s.Blobs.Open(ctx, items[0].Blob)
	if err != nil {
		return nil, fmt.Errorf("opening certificate: %w", err)
	}
	defer blob.Close()
	page, err := io.ReadAll(io.NewSectionReader(blob, 0, blob.Size()))
	if err != nil {
		return nil, fmt.Errorf("reading certificate: %w", err)
	}
	if sum := sha256.Sum256(page); !bytes.Equal(sum[:], items[0].Digest) {
		return nil, signer.ErrDocuments
	}
	return page, nil
}

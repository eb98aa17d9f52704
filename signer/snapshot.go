package signer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/mohor-sign/mohor/internal/spool"
)

// inMemory is the largest document, in bytes, whose private copy is kept in
// memory.
const inMemory = 1 << 20

// snapshot is a private copy of a stored document. Everything that is parsed,
// hashed and written into the signed file comes from it, so that whoever can
// change blobs has nothing to change between one look and the next.
type snapshot struct {
	io.ReaderAt
	size int64
	sum  [32]byte // SHA-256
	file *os.File // an unlinked file, for large documents
}

// copyBlob copies a blob while hashing it.
func (s *Signer) copyBlob(ctx context.Context, id string) (*snapshot, error) {
	blob, err := s.Blobs.Open(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("opening document: %w", err)
	}
	defer blob.Close()
	c := &snapshot{size: blob.Size()}
	h := sha256.New()
	src := io.TeeReader(io.NewSectionReader(blob, 0, c.size), h)
	if c.size <= inMemory {
		b := make([]byte, c.size)
		if _, err := io.ReadFull(src, b); err != nil {
			return nil, fmt.Errorf("copying document: %w", err)
		}
		c.ReaderAt = bytes.NewReader(b)
	} else {
		if c.file, err = spool.File(s.TempDir); err != nil {
			return nil, fmt.Errorf("copying document: %w", full(err))
		}
		n, err := io.Copy(c.file, src)
		if err == nil && n != c.size {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("copying document: %w", full(err)), c.file.Close())
		}
		c.ReaderAt = c.file
	}
	c.sum = [32]byte(h.Sum(nil))
	return c, nil
}

// full marks the error of a disk without room: nothing is wrong with the document.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrStoreUnavailable, err)
	}
	return err
}

// Close frees the copy.
func (c *snapshot) Close() error {
	if c.file == nil {
		return nil
	}
	return c.file.Close()
}

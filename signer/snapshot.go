package signer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"
	"sync"
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
	hash hash.Hash // SHA-256, of all of it
	file *os.File  // an unlinked file, for large documents
	held *[]byte   // of the pool, for the others
}

// Held implements [pdf.Held]: nil for a document in a file.
func (c *snapshot) Held() []byte {
	if c.held == nil {
		return nil
	}
	return *c.held
}

// memory is what private copies were held in: of a batch, one after another.
var memory = sync.Pool{New: func() any { return new([]byte) }}

// copyBlob copies a blob while hashing it.
func (s *Signer) copyBlob(ctx context.Context, id string) (*snapshot, error) {
	blob, err := s.Blobs.Open(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("opening document: %w", err)
	}
	defer blob.Close()
	c := &snapshot{size: blob.Size(), hash: sha256.New()}
	src := io.NewSectionReader(blob, 0, c.size)
	if c.size <= inMemory {
		c.held = memory.Get().(*[]byte)
		*c.held = slices.Grow((*c.held)[:0], int(c.size))[:c.size]
		if _, err := io.ReadFull(src, *c.held); err != nil {
			return nil, errors.Join(fmt.Errorf("copying document: %w", err), c.Close())
		}
		_, _ = c.hash.Write(*c.held) // never fails
		c.ReaderAt = bytes.NewReader(*c.held)
	} else {
		if c.file, err = spool.File(s.TempDir); err != nil {
			return nil, fmt.Errorf("copying document: %w", full(err))
		}
		n, err := io.Copy(c.file, io.TeeReader(src, c.hash))
		if err == nil && n != c.size {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("copying document: %w", full(err)), c.file.Close())
		}
		c.ReaderAt = c.file
	}
	return c, nil
}

// full marks the error of a disk without room: nothing is wrong with the document.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrStoreUnavailable, err)
	}
	return err
}

// Close frees the copy: nothing may read of it any more.
func (c *snapshot) Close() error {
	if c.held != nil {
		memory.Put(c.held)
		c.held, c.ReaderAt = nil, nil
	}
	if c.file == nil {
		return nil
	}
	return c.file.Close()
}

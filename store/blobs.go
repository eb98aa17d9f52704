package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/mohor-sign/mohor/signer"
)

// ErrNoBlob means a document's bytes are not there. It wraps fs.ErrNotExist.
var ErrNoBlob = fmt.Errorf("document bytes are missing: %w", fs.ErrNotExist)

// Blobs keeps documents in a directory. A blob is written to a temporary file,
// synced, renamed, and its directory synced: it is there whole or not at all.
type Blobs struct{ root *os.Root }

// OpenBlobs opens the directory, making it (mode 0700) when it is absent.
func OpenBlobs(dir string) (*Blobs, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening blob directory: %w", err)
	}
	r, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening blob directory: %w", err)
	}
	return &Blobs{root: r}, nil
}

// Close closes the directory.
func (b *Blobs) Close() error { return b.root.Close() }

type blob struct {
	*os.File
	size int64
}

func (b *blob) Size() int64 { return b.size }

// Open implements signer.Blobs.
func (b *Blobs) Open(_ context.Context, id string) (signer.Blob, error) {
	f, err := b.root.Open(filepath.FromSlash(id))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = ErrNoBlob
		}
		return nil, fmt.Errorf("opening blob: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening blob: %w", err), f.Close())
	}
	return &blob{f, st.Size()}, nil
}

// Create implements signer.Blobs.
func (b *Blobs) Create(_ context.Context, id string, write func(io.Writer) error) (size int64, err error) {
	path := filepath.FromSlash(id)
	dir := filepath.Dir(path)
	if err := b.makeDir(dir); err != nil {
		return 0, fmt.Errorf("making blob directory: %w", err)
	}
	// One writer a blob (the claim's fence), so the name needs no randomness.
	tmp := path + ".part"
	f, err := b.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, fmt.Errorf("creating blob: %w", err)
	}
	w := bufio.NewWriterSize(f, 64<<10)
	if err = write(w); err == nil {
		err = w.Flush()
	}
	if err == nil {
		size, err = f.Seek(0, io.SeekCurrent)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = b.root.Rename(tmp, path)
	}
	if err != nil {
		return 0, errors.Join(fmt.Errorf("writing blob: %w", err), b.root.Remove(tmp))
	}
	// From here on the file has its name; the name itself is durable after this.
	if err := b.syncDir(dir); err != nil {
		return 0, fmt.Errorf("writing blob: %w", err)
	}
	return size, nil
}

// Remove implements signer.Blobs.
func (b *Blobs) Remove(_ context.Context, id string) error {
	path := filepath.FromSlash(id)
	if err := b.root.RemoveAll(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing blob: %w", err)
	}
	return nil
}

// makeDir makes dir and its parents, each synced into its parent.
func (b *Blobs) makeDir(dir string) error {
	if _, err := b.root.Stat(dir); err == nil {
		return nil
	}
	at := "."
	for part := range strings.SplitSeq(dir, string(filepath.Separator)) {
		next := filepath.Join(at, part)
		if err := b.root.Mkdir(next, 0o700); err == nil {
			if err := b.syncDir(at); err != nil {
				return err
			}
		} else if !errors.Is(err, fs.ErrExist) {
			return err
		}
		at = next
	}
	return nil
}

func (b *Blobs) syncDir(dir string) error {
	f, err := b.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

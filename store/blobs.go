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
	"sync"
	"syscall"

	"github.com/mohor-sign/mohor/signer"
)

// ErrNoBlob means a document's bytes are not there. It wraps fs.ErrNotExist.
var ErrNoBlob = fmt.Errorf("document bytes are missing: %w", fs.ErrNotExist)

// Blobs keeps documents in a directory. A blob is written to a temporary file that is then
// renamed: it is there whole or not at all. Only what was synced, too, survives a crash of the
// machine whole; see [Blobs.Sync].
type Blobs struct {
	root *os.Root

	mu      sync.Mutex
	closed  bool
	folders map[string]*os.Root // some that were used
	written map[string]int64    // bytes of signed files, by folder
	opened  uint64              // files opened for writing
	staged  []stagedFile        // the oldest first
	// settled is what became of files that were synced before they were asked for, or could
	// not be synced; until they are asked for, removed or written again.
	settled map[string]error
	// settling are files that are being synced unasked; closed when settled says how it went.
	settling map[string]chan struct{}
}

// OpenBlobs opens the directory, making it (mode 0700) when it is absent.
func OpenBlobs(dir string) (*Blobs, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening blob directory: %w", err)
	}
	r, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening blob directory: %w", err)
	}
	return &Blobs{root: r, folders: map[string]*os.Root{}, written: map[string]int64{}, settled: map[string]error{}, settling: map[string]chan struct{}{}}, nil
}

// Close closes the directory. What was staged and not synced is not durable.
func (b *Blobs) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(func(string) bool { return true })
	b.closed = true
	b.dropFolders(func(string) bool { return true })
	return b.root.Close()
}

// blobPath is a blob's path in the folder.
func blobPath(id string) (string, error) {
	if !fs.ValidPath(id) || id == "." {
		return "", fmt.Errorf("blob %q: %w", id, fs.ErrInvalid)
	}
	return filepath.FromSlash(id), nil
}

// away marks errors of a disk that is full, or broken, as those of a store that may be had
// again: nothing is wrong with the document.
func away(err error) error {
	for _, known := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EROFS, syscall.EMFILE, syscall.ENFILE} {
		if errors.Is(err, known) {
			return fmt.Errorf("%w: %w", signer.ErrStoreUnavailable, err)
		}
	}
	return err
}

type blob struct {
	*os.File
	size int64
}

func (b *blob) Size() int64 { return b.size }

// ReadAt implements io.ReaderAt.
func (b *blob) ReadAt(p []byte, off int64) (int, error) {
	n, err := b.File.ReadAt(p, off)
	return n, away(err)
}

// Open implements signer.Blobs.
func (b *Blobs) Open(_ context.Context, id string) (signer.Blob, error) {
	path, err := blobPath(id)
	if err != nil {
		return nil, fmt.Errorf("opening blob: %w", err)
	}
	var f *os.File
	err = b.in(path, func(folder *os.Root, name string) error {
		f, err = folder.Open(name)
		return err
	})
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = ErrNoBlob
		}
		return nil, fmt.Errorf("opening blob: %w", away(err))
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = ErrNoBlob
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening blob: %w", away(err)), f.Close())
	}
	return &blob{f, st.Size()}, nil
}

// writers are reused: one for each file would be most of the garbage of writing small ones.
var writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 64<<10) }}

// Create implements signer.Blobs.
func (b *Blobs) Create(ctx context.Context, id string, write func(io.Writer) error) (size int64, err error) {
	if size, err = b.Stage(ctx, id, write); err != nil {
		return 0, err
	}
	return size, b.Sync(ctx, id)
}

// Stage implements signer.Blobs.
func (b *Blobs) Stage(_ context.Context, id string, write func(io.Writer) error) (size int64, err error) {
	path, err := blobPath(id)
	if err != nil {
		return 0, fmt.Errorf("creating blob: %w", err)
	}
	// One writer a blob (the claim's fence), so the name needs no randomness.
	b.mu.Lock()
	b.opened++
	order := b.opened
	b.mu.Unlock()
	var f *os.File
	create := func(folder *os.Root, name string) (err error) {
		f, err = folder.OpenFile(name+part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		return err
	}
	err = b.in(path, create)
	if errors.Is(err, fs.ErrNotExist) { // the first one of its folder
		if err := b.makeDir(filepath.Dir(path)); err != nil {
			return 0, fmt.Errorf("making blob directory: %w", away(err))
		}
		err = b.in(path, create)
	}
	if err != nil {
		return 0, fmt.Errorf("creating blob: %w", away(err))
	}
	w := writers.Get().(*bufio.Writer)
	defer writers.Put(w)
	w.Reset(f)
	if err = write(w); err == nil {
		err = w.Flush()
	}
	if err == nil {
		size, err = f.Seek(0, io.SeekCurrent)
	}
	if err == nil {
		err = b.in(path, func(folder *os.Root, name string) error { return folder.Rename(name+part, name) })
	}
	if err != nil {
		return 0, errors.Join(fmt.Errorf("writing blob: %w", away(err)), f.Close(), b.root.Remove(path+part))
	}
	b.stage(stagedFile{f, id, order, size})
	return size, nil
}

// part ends the names of files that are being written.
const part = ".part"

// Remove implements signer.Blobs.
func (b *Blobs) Remove(_ context.Context, id string) error {
	path, err := blobPath(id)
	if err != nil {
		return fmt.Errorf("removing blob: %w", err)
	}
	b.forget(id)
	// With what a crash left of one that was being written.
	for _, p := range []string{path, path + part} {
		if err := b.root.RemoveAll(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing blob: %w", away(err))
		}
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

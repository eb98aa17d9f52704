package batch

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/mohor-sign/mohor/signer"
)

// watchedReader keeps the error that ended it, to tell an upload that broke off from a store that
// could not take it.
type watchedReader struct {
	r   io.Reader
	err error
}

func (w *watchedReader) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

// watchedBlob keeps the first error of reading a blob, to tell a document that is broken from a
// store that could not give it.
type watchedBlob struct {
	signer.Blob
	mu  sync.Mutex
	err error
}

func (w *watchedBlob) ReadAt(p []byte, off int64) (int, error) {
	n, err := w.Blob.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.err == nil {
			w.err = fmt.Errorf("reading a stored document: %w", err)
		}
	}
	return n, err
}

func (w *watchedBlob) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Package spool keeps what is too large for memory in files without a name: nobody else opens
// one, and it is gone when it is closed or the process ends.
package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// What is the sender's doing; all else that fails is this machine's.
var (
	ErrInput    = errors.New("unreadable input")
	ErrTooLarge = errors.New("upload too large")
)

// File is an empty one in dir, or where the system has such files if dir is "".
func File(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "mohor-*")
	if err != nil {
		return nil, fmt.Errorf("making a temporary file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("removing a temporary file's name: %w", err), f.Close())
	}
	return f, nil
}

// Copy is a File with all of r in it, read from its beginning, and its size in bytes. ErrTooLarge:
// there is more than limit; ErrInput: r failed before its end.
func Copy(dir string, r io.Reader, limit int64) (*os.File, int64, error) {
	f, err := File(dir)
	if err != nil {
		return nil, 0, err
	}
	n, err := io.Copy(f, &source{io.LimitReader(r, limit+1)})
	if err == nil && n > limit {
		err = fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("spooling upload: %w", err), f.Close())
	}
	return f, n, nil
}

// source tells errors of a reader from those of the file.
type source struct{ io.Reader }

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%w: %w", ErrInput, err)
	}
	return n, err
}

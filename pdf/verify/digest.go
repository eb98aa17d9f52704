package verify

import (
	"crypto"
	"errors"
	"fmt"
	"hash"
	"io"
)

// digests hashes the byte ranges of all signatures that name the hash in one
// pass. All start at byte 0, and each gap lies behind the end of the signature
// before: the state at a gap is cloned for the rest of its range, which is the
// signature's own revision, while the pass goes on through it.
func (v *verifier) digests(h crypto.Hash) error {
	var whole hash.Cloner
	at := int64(0)
	for _, s := range v.signed {
		if s.hash != h || s.broken {
			continue
		}
		if whole == nil {
			var ok bool
			if whole, ok = h.New().(hash.Cloner); !ok {
				return fmt.Errorf("hash %v cannot be cloned", h)
			}
		}
		if err := v.copy(whole, at, s.gap); err != nil {
			return err
		}
		at = s.gap
		own, err := whole.Clone()
		if err != nil {
			return fmt.Errorf("cloning digest: %w", err)
		}
		if err := v.copy(own, s.resume, s.end); err != nil {
			return err
		}
		s.digest = own.Sum(nil)
	}
	return nil
}

// copy writes the bytes of the file from start to end.
func (v *verifier) copy(w io.Writer, start, end int64) error {
	if v.buffer == nil {
		v.buffer = make([]byte, min(32<<10, v.size))
	}
	for at := start; at < end; {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		b := v.buffer[:min(int64(len(v.buffer)), end-at)]
		if n, err := v.r.ReadAt(b, at); n != len(b) {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("reading document: %w", err)
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		at += int64(len(b))
	}
	return nil
}

package archive

import (
	"bufio"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"sync"
)

// A sealed file is a line "mohor archive v1 ID", then the ZIP in pieces of 64 KiB, the
// last one shorter, each under AES-256-GCM with its number, and whether it is the last, as
// nonce: pieces cannot be changed, moved, left out or cut off. A key seals one file, once.
const (
	piece    = 64 << 10
	overhead = 16 // GCM's tag
	maxLine  = 128
)

func header(id string) string { return Format + " " + id + "\n" }

func sealer(ctx context.Context, m MAC, id string) (cipher.AEAD, error) {
	key, err := m.MAC(ctx, []byte("mohor archive v1\n"+id))
	if err != nil {
		return nil, fmt.Errorf("making a key of the HSM's: %w", err)
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("making a key of the HSM's: %w", err)
	}
	return cipher.NewGCM(block)
}

func nonce(n int64, last bool) []byte {
	out := make([]byte, 12)
	binary.BigEndian.PutUint64(out, uint64(n))
	if last {
		out[11] = 1
	}
	return out
}

// sealing seals what is written to it.
type sealing struct {
	w    io.Writer
	aead cipher.AEAD
	head []byte
	n    int64
	buf  []byte
	out  []byte
}

func newSealing(ctx context.Context, w io.Writer, m MAC, id string) (*sealing, error) {
	aead, err := sealer(ctx, m, id)
	if err != nil {
		return nil, err
	}
	s := &sealing{w: w, aead: aead, head: []byte(header(id)), buf: make([]byte, 0, piece), out: make([]byte, 0, piece+overhead)}
	_, err = w.Write(s.head)
	return s, err
}

func (s *sealing) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		// A full piece waits until it is known whether it is the last.
		if len(s.buf) == piece {
			if err := s.flush(false); err != nil {
				return n, err
			}
		}
		k := min(piece-len(s.buf), len(p))
		s.buf, p, n = append(s.buf, p[:k]...), p[k:], n+k
	}
	return n, nil
}

func (s *sealing) flush(last bool) error {
	s.out = s.aead.Seal(s.out[:0], nonce(s.n, last), s.buf, s.head)
	s.n++
	s.buf = s.buf[:0]
	_, err := s.w.Write(s.out)
	return err
}

func (s *sealing) Close() error { return s.flush(true) }

// opened reads a sealed file anywhere; it implements io.ReaderAt.
type opened struct {
	r      io.ReaderAt
	aead   cipher.AEAD
	head   []byte
	pieces int64
	size   int64 // of the content

	mu    sync.Mutex
	at    int64 // the piece in plain; -1: none
	plain []byte
	box   []byte
}

func unseal(ctx context.Context, r io.ReaderAt, size int64, m MAC) (*opened, string, error) {
	line, err := bufio.NewReader(io.NewSectionReader(r, 0, min(size, maxLine))).ReadString('\n')
	id, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), Format+" ")
	if err != nil || !ok || line != header(id) {
		return nil, "", fmt.Errorf("%w: it does not begin like one", ErrBroken)
	}
	body := size - int64(len(line))
	o := &opened{r: r, head: []byte(line), pieces: (body + piece + overhead - 1) / (piece + overhead), at: -1, box: make([]byte, piece+overhead)}
	if o.size = body - o.pieces*overhead; o.pieces < 1 || o.size < 0 || (body-1)%(piece+overhead)+1 < overhead {
		return nil, "", fmt.Errorf("%w: it is cut off", ErrBroken)
	}
	if o.aead, err = sealer(ctx, m, id); err != nil {
		return nil, "", err
	}
	return o, id, nil
}

func (o *opened) ReadAt(p []byte, off int64) (n int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for n < len(p) {
		if off >= o.size {
			return n, io.EOF
		}
		k := off / piece
		if k != o.at {
			if err := o.load(k); err != nil {
				return n, err
			}
		}
		c := copy(p[n:], o.plain[off%piece:])
		n, off = n+c, off+int64(c)
	}
	return n, nil
}

func (o *opened) load(k int64) error {
	o.at = -1
	last := k == o.pieces-1
	box := o.box
	if last {
		box = box[:o.size-k*piece+overhead]
	}
	if _, err := o.r.ReadAt(box, int64(len(o.head))+k*(piece+overhead)); err != nil && err != io.EOF {
		return fmt.Errorf("reading archive: %w", err)
	}
	plain, err := o.aead.Open(o.plain[:0], nonce(k, last), box, o.head)
	if err != nil {
		return fmt.Errorf("%w: piece %d", ErrBroken, k+1)
	}
	o.plain, o.at = plain, k
	return nil
}

package pdf

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"slices"
	"sync"
)

// buffer is the size of reads of the document.
const buffer = 32 << 10

// buffers are reused: one for each document would be most of the garbage of
// signing a small one.
var buffers = sync.Pool{New: func() any { return new([buffer]byte) }}

// Digest reads the document once, or what was appended to it since the Digest of
// the document that Signed and Update.Updated are of. It returns the digest over the ByteRange
// (ISO 32000-2, Section 12.8.1), to be signed as CMS message digest, and the
// SHA-256 of the document as it was before. The caller compares the latter
// with what was authorised: it is how a document changed since then is noticed.
// h is SHA256, SHA384 or SHA512.
func (p *Prepared) Digest(h crypto.Hash) (byteRange, original []byte, err error) {
	if h != crypto.SHA256 && h != crypto.SHA384 && h != crypto.SHA512 {
		return nil, nil, refuse("digest algorithm %v", h)
	}
	if p.hashes != nil && !slices.Contains(p.hashes, h) {
		return nil, nil, refuse("the field's seed value /DigestMethod is not met")
	}
	before, from := begun(p.r, p.size)
	var signed hash.Hash
	w := io.Writer(before)
	if h != crypto.SHA256 {
		before, from, signed = sha256.New(), 0, h.New()
		w = io.MultiWriter(before, signed)
	}
	if err := p.copyOriginal(w, from); err != nil {
		return nil, nil, err
	}
	if c, ok := before.(hash.Cloner); ok {
		p.read, _ = c.Clone() // nil: it is read again
	}
	original = before.Sum(nil) // leaves the state, which goes on below
	if signed == nil {
		signed = before
	}
	signed.Write(p.increment[:p.gap])
	signed.Write(p.increment[p.end:])
	return signed.Sum(nil), original, nil
}

// DigestAfter is Digest of SHA-256 for a document that the caller has hashed already: original is
// a SHA-256 that was given these size bytes and nothing else, and is not to be used afterwards.
// The caller has compared what it gave with what was authorised.
func (p *Prepared) DigestAfter(original hash.Hash, size int64) ([]byte, error) {
	if size != p.size || original.Size() != sha256.Size {
		return nil, refuse("a digest of %d bytes for a document of %d", size, p.size)
	}
	if p.hashes != nil && !slices.Contains(p.hashes, crypto.SHA256) {
		return nil, refuse("the field's seed value /DigestMethod is not met")
	}
	original.Write(p.increment[:p.gap])
	original.Write(p.increment[p.end:])
	return original.Sum(nil), nil
}

// Held is a document whose bytes are in memory: they need not be read piece by piece.
type Held interface {
	// Held returns all of them, or nil. They are not to be changed.
	Held() []byte
}

// Complete writes the signed document: the original bytes and the increment
// with the DER in /Contents, padded with zeros. It returns the number of bytes
// written. When the DER does not fit it returns ErrOptions with the size needed
// and writes nothing: never sign a second time for that, but complete it
// without its time-stamp and time-stamp the document (Document.AddTimestamp, or
// Extend). It does not look at the document's bytes again: verify the result
// before believing it.
func (p *Prepared) Complete(w io.Writer, cms []byte) (int64, error) {
	if err := p.fits(cms); err != nil {
		return 0, err
	}
	counter := &counter{w: w}
	if err := p.copyOriginal(counter, 0); err != nil {
		return counter.n, err
	}
	_, err := p.Append(counter, cms)
	return counter.n, err
}

// Append writes what Complete writes behind the original bytes: for documents
// that stay where they are.
func (p *Prepared) Append(w io.Writer, cms []byte) (int64, error) {
	if err := p.fits(cms); err != nil {
		return 0, err
	}
	gap := p.increment[p.gap+1 : p.end-1]
	rest := gap[hex.Encode(gap, cms):]
	for k := range rest { // where a longer one was before
		rest[k] = '0'
	}
	n, err := w.Write(p.increment)
	if err != nil {
		return int64(n), fmt.Errorf("writing signed document: %w", err)
	}
	return int64(n), nil
}

// Room is the number of bytes of DER reserved, the most that Complete takes.
func (p *Prepared) Room() int { return (p.end - p.gap - 2) / 2 }

func (p *Prepared) fits(cms []byte) error {
	if room := p.Room(); len(cms) > room {
		return refuse("signature of %d bytes, room for %d", len(cms), room)
	}
	if len(cms) == 0 {
		return refuse("no signature")
	}
	return nil
}

// Signed returns the signed document without writing it, to be verified or
// extended first: what Complete writes, and its size.
func (p *Prepared) Signed(cms []byte) (io.ReaderAt, int64, error) {
	var b bytes.Buffer
	b.Grow(len(p.increment))
	if _, err := p.Append(&b, cms); err != nil {
		return nil, 0, err
	}
	r := &joined{p.r, p.size, b.Bytes(), p.read}
	return r, r.size + int64(len(r.tail)), nil
}

// joined is a document with bytes appended.
type joined struct {
	r    io.ReaderAt
	size int64
	tail []byte
	read hash.Cloner // SHA-256 over the document; nil when that is not known
}

// begun returns the SHA-256 over as much of the beginning of a document as was hashed
// before, and how much that is: a signed document is not hashed anew for what is
// appended to it.
func begun(r io.ReaderAt, size int64) (hash.Hash, int64) {
	for {
		j, ok := r.(*joined)
		if !ok {
			return sha256.New(), 0
		}
		if j.read != nil && j.size <= size {
			if h, err := j.read.Clone(); err == nil {
				return h, j.size
			}
		}
		r = j.r
	}
}

// ReadAt reads from the document, the tail, or both.
func (j *joined) ReadAt(b []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	if head := j.size - off; head > 0 {
		part := b[:min(head, int64(len(b)))]
		if n, err = j.r.ReadAt(part, off); n < len(part) {
			return n, err
		}
		b, off = b[n:], off+int64(n)
		if len(b) == 0 {
			return n, nil
		}
	}
	m := 0
	if at := off - j.size; at < int64(len(j.tail)) {
		m = copy(b, j.tail[at:])
	}
	if m < len(b) {
		return n + m, io.EOF
	}
	return n + m, nil
}

// copyOriginal copies the document from an offset on.
func (p *Prepared) copyOriginal(w io.Writer, from int64) error {
	if h, ok := p.r.(Held); ok && int64(len(h.Held())) == p.size {
		if _, err := w.Write(h.Held()[from:]); err != nil {
			return fmt.Errorf("copying document: %w", err)
		}
		return nil
	}
	b := buffers.Get().(*[buffer]byte)
	defer buffers.Put(b)
	// The wrapper keeps io.CopyBuffer from going round the buffer.
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{io.NewSectionReader(p.r, from, p.size-from)}, b[:])
	if err != nil {
		return fmt.Errorf("copying document: %w", err)
	}
	if n != p.size-from {
		return fmt.Errorf("copying document: %w", io.ErrUnexpectedEOF)
	}
	return nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

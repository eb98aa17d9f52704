package pdf

import (
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
)

// buffer is the size of reads of the document.
const buffer = 128 << 10

// Digest reads the document once. It returns the digest over the ByteRange
// (ISO 32000-2, Section 12.8.1), to be signed as CMS message digest, and the
// SHA-256 of the document as it was before. The caller compares the latter
// with what was authorised: it is how a document changed since then is noticed.
// h is SHA256, SHA384 or SHA512.
func (p *Prepared) Digest(h crypto.Hash) (byteRange, original []byte, err error) {
	if h != crypto.SHA256 && h != crypto.SHA384 && h != crypto.SHA512 {
		return nil, nil, refuse("digest algorithm %v", h)
	}
	before := sha256.New()
	var signed hash.Hash
	w := io.Writer(before)
	if h != crypto.SHA256 {
		signed = h.New()
		w = io.MultiWriter(before, signed)
	}
	if err := p.copyOriginal(w); err != nil {
		return nil, nil, err
	}
	original = before.Sum(nil) // leaves the state, which goes on below
	if signed == nil {
		signed = before
	}
	signed.Write(p.increment[:p.gap])
	signed.Write(p.increment[p.end:])
	return signed.Sum(nil), original, nil
}

// Complete writes the signed document: the original bytes and the increment
// with the DER in /Contents, padded with zeros. It returns the number of bytes
// written. When the DER does not fit it returns ErrOptions and writes
// nothing. It does not look at the document's bytes again: verify the result
// before believing it.
func (p *Prepared) Complete(w io.Writer, cms []byte) (int64, error) {
	if room := (p.end - p.gap - 2) / 2; len(cms) > room {
		return 0, refuse("signature of %d bytes, room for %d", len(cms), room)
	}
	if len(cms) == 0 {
		return 0, refuse("no signature")
	}
	counter := &counter{w: w}
	if err := p.copyOriginal(counter); err != nil {
		return counter.n, err
	}
	at := p.gap + 1
	hexadecimal := hex.AppendEncode(make([]byte, 0, 2*len(cms)), cms)
	for _, b := range [][]byte{p.increment[:at], hexadecimal, p.increment[at+len(hexadecimal):]} {
		if _, err := counter.Write(b); err != nil {
			return counter.n, fmt.Errorf("writing signed document: %w", err)
		}
	}
	return counter.n, nil
}

func (p *Prepared) copyOriginal(w io.Writer) error {
	b := make([]byte, min(buffer, p.size))
	// The wrapper keeps io.CopyBuffer from going round the buffer.
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{io.NewSectionReader(p.r, 0, p.size)}, b)
	if err != nil {
		return fmt.Errorf("copying document: %w", err)
	}
	if n != p.size {
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

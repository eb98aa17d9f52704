package mohor

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// wiped is a request's body with secrets in it. It is overwritten when nobody holds it any
// more: neither the call nor a try, whose transport may go on reading after its answer
// (see http.RoundTripper). What net/http and TLS have buffered is beyond reach.
type wiped struct {
	b       []byte
	holders atomic.Int32
}

// newWiped takes ownership of b; the call holds it.
func newWiped(b []byte) *wiped {
	w := &wiped{b: b}
	w.holders.Store(1)
	return w
}

func (w *wiped) release() {
	if w.holders.Add(-1) == 0 {
		clear(w.b)
	}
}

// reader is for one try, which holds the body until it closes it.
func (w *wiped) reader() *wipedReader {
	w.holders.Add(1)
	return &wipedReader{Reader: bytes.NewReader(w.b), release: sync.OnceFunc(w.release)}
}

type wipedReader struct {
	*bytes.Reader
	release func()
}

// Close implements io.Closer.
func (r *wipedReader) Close() error {
	r.release()
	return nil
}

// appendQuoted appends a secret as JSON text, without a copy of it elsewhere. dst has room for
// six bytes for each of the secret's, and two.
func appendQuoted(dst []byte, s Secret) []byte {
	dst = append(dst, '"')
	for rest := s.Reveal(); len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < ' ':
			dst = fmt.Appendf(dst, `\u%04x`, r)
		default:
			dst = utf8.AppendRune(dst, r)
		}
		rest = rest[n:]
	}
	return append(dst, '"')
}

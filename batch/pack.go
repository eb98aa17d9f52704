package batch

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/mohor-sign/mohor/ecert"
	"github.com/mohor-sign/mohor/signer"
)

// A pack is the certificates of one upload in one blob: what many share once, what
// is each one's own behind it. A certificate's blob is then a name such as
//
//	original/ba_…/up_…/pack#0+44012/44012+3870
//
// that is, 44012 bytes from 0 and 3870 from 44012. Whoever moves these numbers in
// the database gives a certificate other bytes, and those have another digest than
// the one authorised. Signed documents share blobs, too: see [signer.SignedPart].

// packWriter writes a pack.
type packWriter struct {
	w    io.Writer
	name string
	n    int64
	// Shared parts by their address: the renderer keeps each once.
	shared map[*byte]span
}

type span struct{ at, size int64 }

func newPackWriter(w io.Writer, name string) *packWriter {
	return &packWriter{w: w, name: name, shared: map[*byte]span{}}
}

// add writes a certificate and returns the name of its blob.
func (p *packWriter) add(page ecert.Page) (blob string, size int64, err error) {
	first, known := p.shared[&page.Shared[0]]
	if !known {
		first = span{p.n, int64(len(page.Shared))}
		if err := copyAll(p.w, page.Shared); err != nil {
			return "", 0, err
		}
		p.n += first.size
		p.shared[&page.Shared[0]] = first
	}
	own := span{p.n, int64(len(page.Own))}
	if err := copyAll(p.w, page.Own); err != nil {
		return "", 0, err
	}
	p.n += own.size
	return fmt.Sprintf("%s#%d+%d/%d+%d", p.name, first.at, first.size, own.at, own.size), first.size + own.size, nil
}

// parsePart reads the name of a part of a pack: one or two spans.
func parsePart(blob string) (pack string, parts []span, ok bool) {
	pack, rest, found := strings.Cut(blob, "#")
	if !found {
		return "", nil, false
	}
	texts := strings.Split(rest, "/")
	if len(texts) > 2 {
		return "", nil, false
	}
	parts = make([]span, len(texts))
	for i, s := range texts {
		at, size, found := strings.Cut(s, "+")
		for _, f := range []struct {
			text string
			to   *int64
		}{{at, &parts[i].at}, {size, &parts[i].size}} {
			v, err := strconv.ParseUint(f.text, 10, 48)
			if err != nil || strconv.FormatUint(v, 10) != f.text {
				return "", nil, false
			}
			*f.to = int64(v)
		}
		if !found || parts[i].size == 0 || parts[i].size > maxPart {
			return "", nil, false
		}
	}
	return pack, parts, true
}

const (
	maxPart = 64 << 20 // bytes of one part; a certificate has some 50 kB
	// maxShared bounds the shared parts kept in memory, some 45 kB each.
	maxShared = 64
	// A window is what is read of a blob that signed documents share: the one that is asked for, and
	// when that follows another, more, for then somebody reads the batch, and a bucket is not to be asked for each.
	windowSize = 1 << 20
	windows    = 4
)

// window is some of a blob, and not changed.
type window struct {
	pack string
	at   int64
	b    []byte
}

// Packs opens the parts of packs beside whole blobs. It is safe for concurrent use.
type Packs struct {
	signer.Blobs

	mu      sync.Mutex
	shared  map[string][]byte
	windows []window // the last one used is the last
}

// NewPacks wraps the store that packs are in.
func NewPacks(b signer.Blobs) *Packs { return &Packs{Blobs: b, shared: map[string][]byte{}} }

// Open implements signer.Blobs. The bytes of a part are those that were written,
// in one piece.
func (p *Packs) Open(ctx context.Context, id string) (signer.Blob, error) {
	pack, parts, ok := parsePart(id)
	if !ok {
		return p.Blobs.Open(ctx, id)
	}
	if len(parts) == 1 {
		own, err := p.signed(ctx, pack, parts[0])
		if err != nil {
			return nil, fmt.Errorf("opening %s: %w", id, err)
		}
		return &part{nil, own}, nil
	}
	f, err := p.Blobs.Open(ctx, pack)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for _, s := range parts {
		if s.at+s.size > f.Size() {
			return nil, fmt.Errorf("opening %s: the pack has %d bytes: %w", id, f.Size(), io.ErrUnexpectedEOF)
		}
	}
	first, err := p.sharedPart(f, pack, parts[0])
	if err != nil {
		return nil, err
	}
	own := make([]byte, parts[1].size)
	if _, err := f.ReadAt(own, parts[1].at); err != nil && err != io.EOF {
		return nil, fmt.Errorf("reading %s: %w", id, err)
	}
	return &part{first, own}, nil
}

// signed reads one of the documents that share a blob.
func (p *Packs) signed(ctx context.Context, pack string, s span) ([]byte, error) {
	if own := p.seen(pack, s); own != nil {
		return own, nil
	}
	f, err := p.Blobs.Open(ctx, pack)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if s.at+s.size > f.Size() {
		return nil, fmt.Errorf("%s has %d bytes: %w", pack, f.Size(), io.ErrUnexpectedEOF)
	}
	w := window{pack, s.at, make([]byte, s.size)}
	if p.follows(pack, s) {
		w.b = make([]byte, min(max(s.size, windowSize), f.Size()-s.at))
	}
	if n, err := f.ReadAt(w.b, w.at); n < len(w.b) {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.windows = append(p.windows, w); len(p.windows) > windows {
		p.windows = slices.Delete(p.windows, 0, 1)
	}
	return w.b[:s.size:s.size], nil
}

// follows says whether who asks for a part has had the one before it.
func (p *Packs) follows(pack string, s span) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.windows, func(w window) bool { return w.pack == pack && w.at+int64(len(w.b)) == s.at })
}

// seen finds a document in what was read before; nil when it is not there.
func (p *Packs) seen(pack string, s span) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k := len(p.windows) - 1; k >= 0; k-- {
		w := p.windows[k]
		if from := s.at - w.at; w.pack == pack && from >= 0 && from+s.size <= int64(len(w.b)) {
			p.windows = append(slices.Delete(p.windows, k, k+1), w)
			return w.b[from : from+s.size : from+s.size]
		}
	}
	return nil
}

// forget drops what was read of a blob, or of all in a folder.
func (p *Packs) forget(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.windows = slices.DeleteFunc(p.windows, func(w window) bool { return w.pack == id || strings.HasPrefix(w.pack, id+"/") })
}

// Stage implements signer.Blobs.
func (p *Packs) Stage(ctx context.Context, id string, write func(io.Writer) error) (int64, error) {
	p.forget(id)
	return p.Blobs.Stage(ctx, id, write)
}

// Sync implements signer.Blobs. A pack is durable before a part of it has a name.
func (p *Packs) Sync(ctx context.Context, ids ...string) error {
	whole := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return strings.Contains(id, "#") })
	return p.Blobs.Sync(ctx, whole...)
}

// Remove implements signer.Blobs. A part goes with its pack.
func (p *Packs) Remove(ctx context.Context, id string) error {
	p.forget(id)
	return p.Blobs.Remove(ctx, id)
}

// sharedPart reads what many certificates begin with. Whoever signs one hashes
// these bytes as they are in memory.
func (p *Packs) sharedPart(f signer.Blob, pack string, s span) ([]byte, error) {
	key := fmt.Sprintf("%s#%d+%d", pack, s.at, s.size)
	p.mu.Lock()
	b := p.shared[key]
	p.mu.Unlock()
	if b != nil {
		return b, nil
	}
	b = make([]byte, s.size)
	if _, err := f.ReadAt(b, s.at); err != nil && err != io.EOF {
		return nil, fmt.Errorf("reading %s: %w", key, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.shared) >= maxShared {
		clear(p.shared)
	}
	p.shared[key] = b
	return b, nil
}

// part is one certificate of a pack, in memory.
type part struct{ first, own []byte }

func (p *part) Size() int64  { return int64(len(p.first) + len(p.own)) }
func (p *part) Close() error { return nil }

// ReadAt implements io.ReaderAt.
func (p *part) ReadAt(b []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	if off < int64(len(p.first)) {
		n = copy(b, p.first[off:])
	}
	if rest := off + int64(n) - int64(len(p.first)); rest >= 0 && rest < int64(len(p.own)) {
		n += copy(b[n:], p.own[rest:])
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/minio/minio-go/v7"

	"github.com/mohor-sign/mohor/signer"
)

const (
	// blockSize is how much is read at once, in bytes: who parses a PDF reads a few bytes here
	// and there.
	blockSize = 1 << 20
	// mostBlocks are kept of an open object.
	mostBlocks = 8
)

// object is an open blob: blocks of one version of it.
type object struct {
	b    *Blobs
	ctx  context.Context
	key  string
	etag string
	size int64

	mu     sync.Mutex
	blocks []block // the last used at the end
}

type block struct {
	at    int64
	bytes []byte
}

// Open implements signer.Blobs.
func (b *Blobs) Open(ctx context.Context, id string) (signer.Blob, error) {
	key, err := b.key(id)
	if err != nil {
		return nil, fmt.Errorf("opening blob: %w", err)
	}
	o := &object{b: b, ctx: ctx, key: key}
	first, err := o.read(0)
	if err != nil {
		return nil, fmt.Errorf("opening blob: %w", err)
	}
	o.blocks = append(o.blocks, block{0, first})
	return o, nil
}

// Size implements signer.Blob.
func (o *object) Size() int64 { return o.size }

// Close implements signer.Blob.
func (o *object) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.blocks = nil
	return nil
}

// ReadAt implements io.ReaderAt.
func (o *object) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, errors.New("reading blob: negative offset")
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for n < len(p) {
		if off >= o.size {
			return n, io.EOF
		}
		at := off - off%blockSize
		bytes, err := o.block(at)
		if err != nil {
			return n, fmt.Errorf("reading blob: %w", err)
		}
		k := copy(p[n:], bytes[off-at:])
		n, off = n+k, off+int64(k)
	}
	return n, nil
}

// block is that at an offset, from the store if need be.
func (o *object) block(at int64) ([]byte, error) {
	k := slices.IndexFunc(o.blocks, func(b block) bool { return b.at == at })
	if k >= 0 {
		found := o.blocks[k]
		o.blocks = append(slices.Delete(o.blocks, k, k+1), found)
		return found.bytes, nil
	}
	bytes, err := o.read(at)
	if err != nil {
		return nil, err
	}
	if len(o.blocks) == mostBlocks {
		o.blocks = slices.Delete(o.blocks, 0, 1)
	}
	o.blocks = append(o.blocks, block{at, bytes})
	return bytes, nil
}

// read gets a block; of what breaks off on the way, again.
func (o *object) read(at int64) (bytes []byte, err error) {
	for range tries {
		var again bool
		if bytes, again, err = o.request(at); err == nil || !again {
			return bytes, err
		}
	}
	return nil, err
}

func (o *object) request(at int64) (bytes []byte, again bool, err error) {
	ctx, cancel := context.WithTimeout(o.ctx, within)
	defer cancel()
	var opts minio.GetObjectOptions
	if err := opts.SetRange(at, at+blockSize-1); err != nil {
		return nil, false, err
	}
	if o.etag != "" {
		if err := opts.SetMatchETag(o.etag); err != nil {
			return nil, false, err
		}
	}
	body, info, header, err := o.b.core.GetObject(ctx, o.b.bucket, o.key, opts)
	if r := minio.ToErrorResponse(err); at == 0 && (r.Code == minio.InvalidRange || r.StatusCode == http.StatusRequestedRangeNotSatisfiable) {
		return nil, false, o.empty(ctx)
	}
	if err != nil {
		return nil, false, o.b.failed(o.ctx, "reading", err)
	}
	defer body.Close()
	size, ok := total(header, at)
	switch {
	case !ok:
		return nil, false, fmt.Errorf("%w: %s does not give ranges of objects", signer.ErrStoreUnavailable, o.b.where)
	case info.ETag == "":
		return nil, false, fmt.Errorf("%w: %s gives no ETag", signer.ErrStoreUnavailable, o.b.where)
	case o.etag != "" && (info.ETag != o.etag || size != o.size):
		return nil, false, errReplaced // and the store does not know If-Match
	}
	o.etag, o.size = info.ETag, size
	bytes = make([]byte, min(blockSize, size-at))
	if _, err := io.ReadFull(body, bytes); err != nil {
		return nil, o.ctx.Err() == nil, o.b.failed(o.ctx, "reading", err)
	}
	return bytes, false, nil
}

// empty opens an object of which no range can be had, since it has no bytes.
func (o *object) empty(ctx context.Context) error {
	info, err := o.b.core.StatObject(ctx, o.b.bucket, o.key, minio.StatObjectOptions{})
	if err != nil {
		return o.b.failed(o.ctx, "reading", err)
	}
	if info.Size != 0 {
		return errReplaced
	}
	return nil
}

// total is the size of the whole object in an answer that begins at an offset.
func total(h http.Header, at int64) (size int64, ok bool) {
	text, ranged := strings.CutPrefix(h.Get("Content-Range"), "bytes ")
	if !ranged { // all of it
		size, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
		return size, err == nil && at == 0
	}
	span, all, _ := strings.Cut(text, "/")
	from, _, _ := strings.Cut(span, "-")
	start, err := strconv.ParseInt(from, 10, 64)
	size, serr := strconv.ParseInt(all, 10, 64)
	return size, err == nil && serr == nil && start == at && size > at
}

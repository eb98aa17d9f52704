// Package s3 keeps documents in a bucket of an S3-compatible store, as store.Blobs does in a
// folder. An object is a blob, its key the prefix and the blob's id.
package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/signer"
)

const (
	// partSize is how much of a document is in memory while it is written, in bytes: the whole
	// of a smaller one, a part of a larger. 10,000 parts, the most there may be, are 80 GB.
	partSize = 8 << 20
	// tries is how often a request is made before the store counts as away, with pauses of at
	// most a second between; within bounds all of them.
	tries  = 4
	within = time.Minute
	// maxKey bounds a key in bytes, as S3 does.
	maxKey = 1024
)

// Config says where the bucket is.
type Config struct {
	// Endpoint is http(s)://host or http(s)://host:port.
	Endpoint string
	Bucket   string
	Region   string
	// Prefix stands before every key as it is: "" or ending in a slash.
	Prefix string
	// PathStyle has the bucket in the path and not in the host's name.
	PathStyle bool
	AccessKey string
	SecretKey secret.Text
	// RootCAs are trusted for the endpoint's certificate; nil: the system's.
	RootCAs *x509.CertPool
}

// Blobs keeps documents in a bucket; see [signer.Blobs]. A blob is one object that appears when
// all of it was taken, and is durable then as far as the store says so; Sync has nothing to do.
type Blobs struct {
	core      *minio.Core
	transport *http.Transport
	bucket    string
	prefix    string
	where     string // for errors
}

// Open prepares the way to the bucket; nothing is asked of it yet.
func Open(c Config) (*Blobs, error) {
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("opening S3 store: the endpoint must be http(s)://host[:port]")
	}
	t := &http.Transport{
		DialContext:     (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.RootCAs}, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: 20 * time.Second, ExpectContinueTimeout: 5 * time.Second,
		MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second,
		DisableCompression: true, // bytes are to come as they went
	}
	lookup := minio.BucketLookupDNS
	if c.PathStyle {
		lookup = minio.BucketLookupPath
	}
	core, err := minio.NewCore(u.Host, &minio.Options{Creds: credentials.NewStaticV4(c.AccessKey, string(c.SecretKey.Reveal()), ""), Secure: u.Scheme == "https",
		Transport: t, Region: c.Region, BucketLookup: lookup, MaxRetries: tries})
	if err != nil {
		return nil, fmt.Errorf("opening S3 store: %w", err)
	}
	return &Blobs{core: core, transport: t, bucket: c.Bucket, prefix: c.Prefix, where: fmt.Sprintf("bucket %q at %s", c.Bucket, u.Host)}, nil
}

// Close closes connections that nobody uses.
func (b *Blobs) Close() error {
	b.transport.CloseIdleConnections()
	return nil
}

func (b *Blobs) key(id string) (string, error) {
	if !fs.ValidPath(id) || id == "." || len(b.prefix)+len(id) > maxKey {
		return "", fmt.Errorf("blob %q: %w", id, fs.ErrInvalid)
	}
	return b.prefix + id, nil
}

// Create implements signer.Blobs.
func (b *Blobs) Create(ctx context.Context, id string, write func(io.Writer) error) (size int64, err error) {
	key, err := b.key(id)
	if err != nil {
		return 0, fmt.Errorf("creating blob: %w", err)
	}
	u := &upload{b: b, ctx: ctx, key: key}
	if err = write(u); err != nil && u.err == nil {
		err = fmt.Errorf("writing blob: %w", err)
	} else if err = u.err; err == nil {
		err = u.finish()
	}
	if err != nil {
		return 0, errors.Join(err, u.abort())
	}
	return u.size, nil
}

// Stage implements signer.Blobs: it is Create.
func (b *Blobs) Stage(ctx context.Context, id string, write func(io.Writer) error) (int64, error) {
	return b.Create(ctx, id, write)
}

// Sync implements signer.Blobs: what the store has taken it keeps.
func (b *Blobs) Sync(context.Context, ...string) error { return nil }

// upload gathers what is written into one request, or into parts.
type upload struct {
	b    *Blobs
	ctx  context.Context
	key  string
	id   string // of an upload in parts; "": none was begun
	part bytes.Buffer
	done []minio.CompletePart
	size int64
	err  error // of the store
}

func (u *upload) Write(p []byte) (n int, err error) {
	for len(p) > 0 && u.err == nil {
		k := min(len(p), partSize-u.part.Len())
		u.part.Write(p[:k])
		p, n = p[k:], n+k
		u.size += int64(k)
		if len(p) > 0 { // more than a part: this one can go
			u.err = u.send()
		}
	}
	return n, u.err
}

// send uploads the part that is full.
func (u *upload) send() (err error) {
	ctx, cancel := context.WithTimeout(u.ctx, within)
	defer cancel()
	if u.id == "" {
		if u.id, err = u.b.core.NewMultipartUpload(ctx, u.b.bucket, u.key, minio.PutObjectOptions{ContentType: content}); err != nil {
			return u.b.failed(u.ctx, "beginning an upload", err)
		}
	}
	n := len(u.done) + 1
	sum := sha256.Sum256(u.part.Bytes())
	got, err := u.b.core.PutObjectPart(ctx, u.b.bucket, u.key, u.id, n, bytes.NewReader(u.part.Bytes()), int64(u.part.Len()),
		minio.PutObjectPartOptions{Sha256Hex: hex.EncodeToString(sum[:]), DisableContentSha256: true})
	if err != nil {
		return u.b.failed(u.ctx, "uploading a part", err)
	}
	u.done = append(u.done, minio.CompletePart{PartNumber: n, ETag: got.ETag})
	u.part.Reset()
	return nil
}

// content is the type of all objects: they are for nobody's browser.
const content = "application/octet-stream"

// finish makes the object appear.
func (u *upload) finish() error {
	ctx, cancel := context.WithTimeout(u.ctx, within)
	defer cancel()
	if u.id == "" {
		sum := sha256.Sum256(u.part.Bytes())
		_, err := u.b.core.PutObject(ctx, u.b.bucket, u.key, bytes.NewReader(u.part.Bytes()), int64(u.part.Len()), "", hex.EncodeToString(sum[:]),
			minio.PutObjectOptions{ContentType: content, DisableContentSha256: true}) // by chunks: the whole one is there
		if err != nil {
			return u.b.failed(u.ctx, "storing", err)
		}
		return nil
	}
	if err := u.send(); err != nil {
		return err
	}
	_, err := u.b.core.CompleteMultipartUpload(ctx, u.b.bucket, u.key, u.id, u.done, minio.PutObjectOptions{})
	if err != nil {
		return u.b.failed(u.ctx, "ending an upload", err)
	}
	u.id = ""
	return nil
}

// abort frees the parts of an upload that will not be ended; what it cannot reach Tidy finds.
func (u *upload) abort() error {
	if u.id == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(u.ctx), within/4)
	defer cancel()
	err := u.b.core.AbortMultipartUpload(ctx, u.b.bucket, u.key, u.id)
	if err != nil && minio.ToErrorResponse(err).Code != minio.NoSuchUpload {
		return u.b.failed(ctx, "ending an upload", err)
	}
	return nil
}

// Remove implements signer.Blobs.
func (b *Blobs) Remove(ctx context.Context, id string) error {
	key, err := b.key(id)
	if err != nil {
		return fmt.Errorf("removing blob: %w", err)
	}
	list, stop := context.WithCancel(ctx)
	defer stop() // of the listing, when a deletion fails
	for o := range b.core.ListObjectsIter(list, b.bucket, minio.ListObjectsOptions{Prefix: key + "/", Recursive: true}) {
		if o.Err != nil {
			return b.failed(ctx, "listing", o.Err)
		}
		if err := b.remove(ctx, o.Key); err != nil {
			return err
		}
	}
	return b.remove(ctx, key)
}

func (b *Blobs) remove(ctx context.Context, key string) error {
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := b.core.RemoveObject(limited, b.bucket, key, minio.RemoveObjectOptions{}); err != nil && !absent(err) {
		return b.failed(ctx, "removing", err)
	}
	return nil
}

// Tidy ends uploads in parts that were begun before that time and not ended, as by a gateway that
// was killed, and says how many. Their parts cost room that no listing of objects shows.
func (b *Blobs) Tidy(ctx context.Context, before time.Time) (n int, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for u := range b.core.ListIncompleteUploads(ctx, b.bucket, b.prefix, true) {
		if u.Err != nil {
			return n, b.failed(ctx, "listing uploads", u.Err)
		}
		if !u.Initiated.Before(before) || !strings.HasPrefix(u.Key, b.prefix) {
			continue
		}
		if err := b.core.AbortMultipartUpload(ctx, b.bucket, u.Key, u.UploadID); err != nil && minio.ToErrorResponse(err).Code != minio.NoSuchUpload {
			return n, b.failed(ctx, "ending an upload", err)
		}
		n++
	}
	return n, nil
}

// Kept says what keeps removed documents in the bucket after all: versions, a lock on objects.
// "" for nothing, or when the store does not say.
func (b *Blobs) Kept(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, within/4)
	defer cancel()
	if v, err := b.core.GetBucketVersioning(ctx, b.bucket); err == nil && v.Enabled() {
		return "versions of objects are kept (versioning)"
	}
	if on, _, _, _, err := b.core.GetObjectLockConfig(ctx, b.bucket); err == nil && on == "Enabled" {
		return "objects are locked (object lock)"
	}
	return ""
}

// Probe writes, reads and removes an object of the given name below the prefix.
func (b *Blobs) Probe(ctx context.Context, id string) error {
	const text = "mohor was here"
	if _, err := b.Create(ctx, id, func(w io.Writer) error { _, err := io.WriteString(w, text); return err }); err != nil {
		return err
	}
	f, err := b.Open(ctx, id)
	if err != nil {
		return err
	}
	defer f.Close()
	got := make([]byte, 5)
	if _, err := f.ReadAt(got, 6); err != nil {
		return err
	}
	if f.Size() != int64(len(text)) || string(got) != text[6:11] {
		return fmt.Errorf("%w: %s gave back other bytes than it was given", signer.ErrStoreUnavailable, b.where)
	}
	if err := b.Remove(ctx, id); err != nil {
		return err
	}
	if _, err := b.Open(ctx, id); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s has what was removed: %w", signer.ErrStoreUnavailable, b.where, err)
	}
	return nil
}

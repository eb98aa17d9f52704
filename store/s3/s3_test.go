package s3_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/s3"
	"github.com/mohor-sign/mohor/store/s3/s3test"
	"github.com/mohor-sign/mohor/store/storetest"
)

// large is three parts of an upload.
const large = 20 << 20

func open(t testing.TB, c s3.Config) *s3.Blobs {
	t.Helper()
	b, err := s3.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// objects lists the keys in the bucket, and uploads that were not ended.
func objects(t testing.TB, s *s3test.Server, prefix string) (ids []string) {
	t.Helper()
	ctx, c := context.Background(), s.Client(t)
	for o := range c.ListObjectsIter(ctx, s.Bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		if !strings.HasSuffix(o.Key, "/") { // a folder of the server's file system
			ids = append(ids, strings.TrimPrefix(o.Key, prefix))
		}
	}
	for u := range c.ListIncompleteUploads(ctx, s.Bucket, prefix, true) {
		if u.Err != nil {
			t.Fatal(u.Err)
		}
		ids = append(ids, "unfinished "+u.Key)
	}
	slices.Sort(ids)
	return ids
}

func TestS3(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *s3test.Server{"http": s3test.Start, "https": s3test.StartTLS} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			n := 0
			storetest.RunBlobs(t, large, func(t *testing.T) (signer.Blobs, func() []string) {
				n++
				c := s.Config()
				c.Prefix = fmt.Sprintf("test %d/é/", n)
				b := open(t, c)
				if err := b.Probe(context.Background(), "probe"); err != nil {
					t.Fatal(err)
				}
				return b, func() []string { return objects(t, s, c.Prefix) }
			})
		})
	}
}

func put(t testing.TB, b signer.Blobs, id, text string) error {
	t.Helper()
	_, err := b.Create(context.Background(), id, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
	return err
}

// Errors say what to do, never a secret, and that the store, not the document, is to blame.
func TestS3SaysWhatIsWrong(t *testing.T) {
	s := s3test.Start(t)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for want, change := range map[string]func(*s3.Config){
		"make the bucket":   func(c *s3.Config) { c.Bucket = "another" },
		"does not know":     func(c *s3.Config) { c.AccessKey = "nobody" },
		"another key":       func(c *s3.Config) { c.SecretKey = secret.New("not the secret") },
		"s3.endpoint right": func(c *s3.Config) { c.Endpoint = gone.URL },
		"server gave HTTP":  func(c *s3.Config) { c.Endpoint = strings.Replace(c.Endpoint, "http:", "https:", 1) },
	} {
		c := s.Config()
		change(&c)
		b := open(t, c)
		ctx := context.Background()
		_, oerr := b.Open(ctx, "x")
		for doing, err := range map[string]error{"create": put(t, b, "x", "y"), "open": oerr, "remove": b.Remove(ctx, "x"), "probe": b.Probe(ctx, "p")} {
			if !errors.Is(err, signer.ErrStoreUnavailable) || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), c.Bucket) {
				t.Errorf("%s: %v, want %q", doing, err, want)
			}
			if err != nil && (strings.Contains(err.Error(), s3test.SecretKey) || strings.Contains(err.Error(), "not the secret")) {
				t.Errorf("the error has the secret: %v", err)
			}
		}
	}
	if _, err := open(t, s.Config()).Open(context.Background(), "none"); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, signer.ErrStoreUnavailable) {
		t.Errorf("no such object: %v", err)
	}
	if _, err := s3.Open(s3.Config{Endpoint: "s3.example", Bucket: "b"}); err == nil {
		t.Error("an endpoint without a scheme was taken")
	}
}

// A server that is trusted by nobody gets neither documents nor signatures of requests.
func TestS3TrustsItsCAAlone(t *testing.T) {
	c := s3test.StartTLS(t).Config()
	c.RootCAs = nil
	if err := put(t, open(t, c), "x", "y"); !errors.Is(err, signer.ErrStoreUnavailable) || !strings.Contains(err.Error(), "certificate") {
		t.Error(err)
	}
}

// between counts requests on their way to the server, and breaks some.
func between(t *testing.T, s *s3test.Server, broken func(n int64, w http.ResponseWriter, r *http.Request) bool) (endpoint string, n *atomic.Int64) {
	t.Helper()
	target, err := url.Parse(s.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	n = new(atomic.Int64)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host }}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if k := n.Add(1); broken == nil || !broken(k, w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(web.Close)
	return web.URL, n
}

// Bytes here and there cost a request for each MiB, not for each of them.
func TestS3ReadsAhead(t *testing.T) {
	s := s3test.Start(t)
	endpoint, n := between(t, s, nil)
	c := s.Config()
	c.Endpoint = endpoint
	b := open(t, c)
	if err := put(t, b, "x", strings.Repeat("0123456789abcdef", 6<<16)); err != nil { // 6 MiB
		t.Fatal(err)
	}
	n.Store(0)
	f, err := b.Open(context.Background(), "x")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := make([]byte, 16)
	for range 3 {
		for off := f.Size() - 16; off >= 0; off -= 4 << 10 {
			if _, err := f.ReadAt(p, off); err != nil || string(p) != "0123456789abcdef" {
				t.Fatalf("%q, %v", p, err)
			}
		}
	}
	if n.Load() != 6 {
		t.Errorf("%d requests", n.Load())
	}
}

// Answers that break off, and servers that are busy, are asked again.
func TestS3AsksAgain(t *testing.T) {
	s := s3test.Start(t)
	endpoint, n := between(t, s, func(n int64, w http.ResponseWriter, r *http.Request) bool {
		switch n % 3 {
		case 1:
			http.Error(w, "busy", http.StatusServiceUnavailable)
		case 2:
			w.Header().Set("Content-Length", "1000")
			if r.Method == http.MethodGet {
				w.Header().Set("ETag", `"x"`)
				w.Header().Set("Content-Range", "bytes 0-999/1000")
			}
			_, _ = io.WriteString(w, "half")
			panic(http.ErrAbortHandler)
		default:
			return false
		}
		return true
	})
	c := s.Config()
	c.Endpoint = endpoint
	b := open(t, c)
	if err := put(t, b, "x", "all of it"); err != nil {
		t.Fatal(err)
	}
	if got := storetest.ReadBlob(t, b, "x"); string(got) != "all of it" {
		t.Errorf("%q", got)
	}
	if err := b.Remove(context.Background(), "x"); err != nil {
		t.Error(err)
	}
	if n.Load() < 9 {
		t.Errorf("%d requests: nothing was broken", n.Load())
	}
}

// An object that somebody replaces is not read on, whether or not the server knows If-Match.
func TestS3ReadsOneVersion(t *testing.T) {
	s := s3test.Start(t)
	b := open(t, s.Config())
	if err := put(t, b, "x", strings.Repeat("a", 3<<20)); err != nil {
		t.Fatal(err)
	}
	f, err := b.Open(context.Background(), "x")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := put(t, b, "x", strings.Repeat("b", 3<<20)); err != nil {
		t.Fatal(err)
	}
	replaced(t, f)

	var n atomic.Int64
	careless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		at := n.Add(1) - 1
		w.Header().Set("ETag", fmt.Sprintf(`"version %d"`, at))
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", 2*at<<20, (2*at+1)<<20-1, 3<<20))
		w.Header().Set("Last-Modified", time.Unix(1, 0).UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(make([]byte, 1<<20))
	}))
	defer careless.Close()
	c := s.Config()
	c.Endpoint = careless.URL
	if f, err = open(t, c).Open(context.Background(), "x"); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	replaced(t, f)
}

func replaced(t *testing.T, f signer.Blob) {
	t.Helper()
	if n, err := f.ReadAt(make([]byte, 1), 2<<20); n > 0 || err == nil || !strings.Contains(err.Error(), "replaced") {
		t.Errorf("%d, %v", n, err)
	}
}

// What a killed gateway left of an upload goes after a while, and what is under way stays.
func TestS3Tidies(t *testing.T) {
	s := s3test.Start(t)
	ctx, core := context.Background(), minio.Core{Client: s.Client(t)}
	for _, key := range []string{"ours/a", "ours/b/c", "theirs/a"} {
		if _, err := core.NewMultipartUpload(ctx, s.Bucket, key, minio.PutObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	c := s.Config()
	c.Prefix = "ours/"
	b := open(t, c)
	if n, err := b.Tidy(ctx, time.Now().Add(-time.Hour)); n != 0 || err != nil {
		t.Errorf("new ones: %d, %v", n, err)
	}
	if n, err := b.Tidy(ctx, time.Now().Add(time.Hour)); n != 2 || err != nil {
		t.Errorf("old ones: %d, %v", n, err)
	}
	if got := objects(t, s, ""); len(got) != 1 || got[0] != "unfinished theirs/a" {
		t.Errorf("left: %q", got)
	}
}

// A store that cannot take more, in the middle of a document, has none of it.
func TestS3WithoutRoom(t *testing.T) {
	s := s3test.Start(t)
	full := func(_ int64, w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("partNumber") != "2" {
			return false
		}
		w.WriteHeader(http.StatusInsufficientStorage)
		_, _ = io.WriteString(w, `<Error><Code>XMinioStorageFull</Code></Error>`)
		return true
	}
	endpoint, _ := between(t, s, full)
	c := s.Config()
	c.Endpoint = endpoint
	b := open(t, c)
	if err := put(t, b, "x", strings.Repeat("a", large)); !errors.Is(err, signer.ErrStoreUnavailable) || !strings.Contains(err.Error(), "make room") {
		t.Error(err)
	}
	if got := objects(t, s, ""); len(got) > 0 {
		t.Errorf("left: %q", got)
	}
	if _, err := os.Stat(filepath.Join(s.Folder, "x")); err == nil {
		t.Error("there is a file")
	}
}

// A bucket that keeps what is removed is told of.
func TestS3KeepsVersions(t *testing.T) {
	s := s3test.Start(t)
	b, ctx := open(t, s.Config()), context.Background()
	if kept := b.Kept(ctx); kept != "" {
		t.Errorf("an ordinary bucket: %q", kept)
	}
	if err := s.Client(t).EnableVersioning(ctx, s.Bucket); err != nil {
		t.Fatal(err)
	}
	if kept := b.Kept(ctx); !strings.Contains(kept, "versions") {
		t.Errorf("a bucket with versions: %q", kept)
	}
	// It serves all the same, but for what it keeps.
	if err := b.Probe(ctx, "probe"); err != nil {
		t.Error(err)
	}
}

// What a document costs in memory does not depend on its size.
func TestS3NeedsNoMoreMemoryForMore(t *testing.T) {
	var taken int64
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("ETag", `"x"`)
		switch q := r.URL.Query(); {
		case q.Has("uploads"):
			_, _ = io.WriteString(w, "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>")
		case q.Has("partNumber"):
			taken += n
		default:
			_, _ = io.WriteString(w, `<CompleteMultipartUploadResult><Bucket>documents</Bucket><ETag>"x"</ETag></CompleteMultipartUploadResult>`)
		}
	}))
	defer sink.Close()
	b := open(t, s3.Config{Endpoint: sink.URL, Bucket: "documents", Region: "us-east-1", PathStyle: true, AccessKey: "a", SecretKey: secret.New("b")})
	cost := func(megabytes int) uint64 {
		taken = 0
		page := make([]byte, 1<<20)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := b.Create(context.Background(), "x", func(w io.Writer) (err error) {
			for range megabytes {
				_, werr := w.Write(page)
				err = errors.Join(err, werr)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if taken != int64(megabytes)<<20 {
			t.Errorf("%d bytes arrived", taken)
		}
		return after.TotalAlloc - before.TotalAlloc
	}
	few, many := cost(20), cost(420)
	if many > few+16<<20 {
		t.Errorf("20 MiB allocate %d KiB, 420 MiB %d", few>>10, many>>10)
	}
}

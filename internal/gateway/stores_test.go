package gateway_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/s3/s3test"
	"github.com/mohor-sign/mohor/store/storetest"
	"github.com/mohor-sign/mohor/store/storetest/disktest"
)

// edited starts the gateway again with lines of mohor.yaml replaced.
func edited(t *testing.T, g *gatewaytest.Gateway, pairs ...string) {
	t.Helper()
	g.Stop()
	editConfig(t, g.Dir, pairs...)
	g.Start()
}

func editConfig(t *testing.T, dir string, pairs ...string) {
	t.Helper()
	path := filepath.Join(dir, "mohor.yaml")
	conf, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for k := 0; k < len(pairs); k += 2 {
		if !bytes.Contains(conf, []byte(pairs[k])) {
			t.Fatalf("mohor.yaml has no %q", pairs[k])
		}
		conf = bytes.Replace(conf, []byte(pairs[k]), []byte(pairs[k+1]), 1)
	}
	if err := os.WriteFile(path, conf, 0o600); err != nil {
		t.Fatal(err)
	}
}

// bucket is the part of mohor.yaml that puts documents into the bucket.
func bucket(t *testing.T, dir string, s *s3test.Server) []string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "secrets", "s3.key"), []byte(s3test.SecretKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{`blobs: "blobs"`, `blobs: ""`, "\n  endpoint: \"\"\n  bucket: \"\"", fmt.Sprintf("\n  endpoint: %q\n  bucket: %q", s.Endpoint, s.Bucket),
		`prefix: ""`, `prefix: "mohor/"`, `access_key: ""`, fmt.Sprintf("access_key: %q", s3test.AccessKey), `secret_key_file: ""`, `secret_key_file: "secrets/s3.key"`}
}

// vouchers is a ZIP of n PDFs.
func vouchers(t *testing.T, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := zip.NewWriter(&b)
	for k := range n {
		w, err := zw.Create(fmt.Sprintf("baucar %03d.pdf", k))
		if err == nil {
			_, err = w.Write(storetest.PDF(fmt.Sprintf("Baucar %d", k)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func openVouchers(t *testing.T, g *gatewaytest.Gateway) string {
	t.Helper()
	r := g.Do("POST", "/v1/batches", "", map[string]string{"name": "Baucar", "kind": "pdf"})
	want(t, r, 201, "")
	return r.Text("batch_id")
}

// signVouchers seals and confirms a batch, and waits until nobody signs it any more.
func signVouchers(t *testing.T, g *gatewaytest.Gateway, id string, n int) {
	t.Helper()
	want(t, g.Do("POST", "/v1/batches/"+id+"/seal", "", nil), 200, "")
	tx, code := g.Ask(map[string]any{"format": "PADES", "batch_id": id})
	want(t, tx, 201, "")
	want(t, g.Confirm(tx, code, nil), 202, "")
	if b := finish(t, g, id); b.Text("status") != "SIGNED" || b.Body["signed"] != float64(n) {
		t.Fatalf("batch: %s\n%s", b.Raw, g.Log)
	}
}

// allWhole verifies every signed document of a batch: n, each its own, none cut off.
func allWhole(t *testing.T, g *gatewaytest.Gateway, id string, n int) {
	t.Helper()
	archive := g.Do("GET", "/v1/batches/"+id+"/archive", "", nil)
	zr, err := zip.NewReader(bytes.NewReader(archive.Raw), int64(len(archive.Raw)))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, f := range zr.File {
		if !strings.HasSuffix(f.Name, ".pdf") {
			continue
		}
		rc, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		file, err := io.ReadAll(rc)
		if err != nil {
			t.Fatal(err)
		}
		original := storetest.PDF(fmt.Sprintf("Baucar %d", seen))
		if v := judge(t, g, file); !bytes.HasPrefix(file, original) || !strings.Contains(v, "Signature is Valid.") || !strings.Contains(v, "Total document signed") {
			t.Errorf("%s: %s", f.Name, v)
		}
		seen++
	}
	if seen != n {
		t.Errorf("%d of %d signed documents", seen, n)
	}
}

// stages counts what is staged, calls before the nth, and says of each that the store refuses.
type stages struct {
	signer.Blobs
	n       atomic.Int64
	nth     int64
	before  func()
	refused chan error
	once    sync.Once
}

func (s *stages) Stage(ctx context.Context, id string, write func(io.Writer) error) (int64, error) {
	if s.n.Add(1) == s.nth {
		s.before()
	}
	n, err := s.Blobs.Stage(ctx, id, write)
	if errors.Is(err, signer.ErrStoreUnavailable) {
		s.once.Do(func() { s.refused <- err })
	}
	return n, err
}

// during has the store fail while a batch is signed, and mended as soon as that was noticed.
func during(t *testing.T, g *gatewaytest.Gateway, nth int64, before, mend func()) {
	t.Helper()
	s := &stages{Blobs: g.Server.Signer.Blobs, nth: nth, before: before, refused: make(chan error, 1)}
	g.Server.Signer.Blobs = s
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case err := <-s.refused:
			t.Logf("the store said: %v", err)
			mend()
		case <-t.Context().Done():
			t.Error("the store never refused")
		}
	}()
	t.Cleanup(func() { <-ended })
}

// Documents in a bucket are taken in, signed, shown and removed; a start and the doctor try it.
func TestDocumentsInABucket(t *testing.T) {
	s := s3test.StartTLS(t)
	g := gatewaytest.New(t)
	edited(t, g, append(bucket(t, g.Dir, s), "certificate; empty: the system's CAs.\n  ca_file: \"\"\n\n# Redis", fmt.Sprintf("certificate; empty: the system's CAs.\n  ca_file: %q\n\n# Redis", s.CAFile))...)
	id := openVouchers(t, g)
	const n = 60
	want(t, g.Do("POST", "/v1/batches/"+id+"/items", "application/zip", vouchers(t, n)), 200, "")
	signVouchers(t, g, id, n)
	allWhole(t, g, id, n)
	keys := func() (keys []string) {
		for o := range s.Client(t).ListObjectsIter(t.Context(), s.Bucket, minio.ListObjectsOptions{Recursive: true}) {
			if o.Err != nil {
				t.Fatal(o.Err)
			}
			if !strings.HasSuffix(o.Key, "/") {
				keys = append(keys, o.Key)
			}
		}
		return keys
	}
	// One of each original and some of what is signed, in parcels; all below the prefix, and nothing in the folder.
	got := keys()
	signed := len(got) - n
	if signed < n/8 || signed > n/2 || slices.ContainsFunc(got, func(k string) bool { return !strings.HasPrefix(k, "mohor/") }) {
		t.Errorf("%d objects: %q", len(got), got)
	}
	up := g.Do("POST", "/v1/documents?name=x.pdf", "application/pdf", storetest.PDF("surat"))
	want(t, up, 201, "")
	cancelled := openVouchers(t, g)
	want(t, g.Do("POST", "/v1/batches/"+cancelled+"/items", "application/zip", vouchers(t, 3)), 200, "")
	want(t, g.Do("DELETE", "/v1/batches/"+cancelled, "", nil), 204, "")
	if got := keys(); len(got) != n+signed+1 {
		t.Errorf("%d objects: a batch that was cancelled stays, or more than that goes", len(got))
	}

	find := func() (found []gateway.Finding) {
		gateway.Diagnose(t.Context(), gateway.DoctorOptions{Dir: g.Dir, Now: g.Clock.Now, Part: noPart, Report: func(f gateway.Finding) {
			if strings.HasPrefix(f.What, "bucket ") || strings.HasPrefix(f.What, "documents cannot") {
				found = append(found, f)
			}
		}})
		return found
	}
	if found := find(); len(found) != 1 || found[0].Level != gateway.DoctorOK {
		t.Errorf("the doctor: %v", found)
	}
	s.Kill(t)
	// Away: the answer says so, and no row is left behind.
	away := g.Do("POST", "/v1/documents?name=x.pdf", "application/pdf", storetest.PDF("surat"))
	want(t, away, 503, "store_unavailable")
	if away.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	want(t, g.Do("GET", "/v1/documents/"+up.Text("document_id")+"/content?version=original", "", nil), 503, "store_unavailable")
	if found := find(); len(found) != 1 || found[0].Level != gateway.DoctorFault || strings.Contains(fmt.Sprint(found), s3test.SecretKey) {
		t.Errorf("the doctor of a store that is away: %v", found)
	}
	s.Run(t)
	want(t, g.Do("POST", "/v1/documents?name=x.pdf", "application/pdf", storetest.PDF("surat")), 201, "")
	if strings.Contains(g.Log.String(), s3test.SecretKey) {
		t.Error("the log has the secret")
	}
}

// noPart is a part that looks at nothing.
func noPart(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, "true") }

// A store that is killed while a batch is signed, and comes back, costs time and nothing else.
func TestBatchOutlivesItsBucket(t *testing.T) {
	s := s3test.Start(t)
	g := gatewaytest.New(t)
	edited(t, g, bucket(t, g.Dir, s)...)
	id := openVouchers(t, g)
	const n = 80
	want(t, g.Do("POST", "/v1/batches/"+id+"/items", "application/zip", vouchers(t, n)), 200, "")
	during(t, g, 4, func() { s.Kill(t) }, func() { s.Run(t) })
	signVouchers(t, g, id, n)
	allWhole(t, g, id, n)
}

// On a disk that is full an upload is refused whole; a batch waits for room, and goes on.
func TestFullDisk(t *testing.T) {
	for name, c := range map[string]struct {
		options string
		fill    func(dir string) error
		n       int
	}{
		"bytes": {"size=1m", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 2<<20), 0o600)
		}, 20},
		"inodes": {"size=4m,nr_inodes=100", func(dir string) (err error) {
			for k := 0; err == nil; k++ {
				err = os.WriteFile(filepath.Join(dir, "ballast", fmt.Sprint(k)), nil, 0o600)
			}
			return err
		}, 20},
	} {
		t.Run(name, func(t *testing.T) {
			disk := disktest.Small(t, c.options)
			fill := func() {
				if err := os.MkdirAll(filepath.Join(disk, "ballast"), 0o700); err != nil && name == "inodes" {
					t.Error(err)
				}
				if name == "bytes" {
					_ = os.Remove(filepath.Join(disk, "ballast"))
				}
				if err := c.fill(disk); err == nil {
					t.Error("the disk is not full")
				}
			}
			g := gatewaytest.New(t)
			edited(t, g, `blobs: "blobs"`, fmt.Sprintf("blobs: %q", disk))
			room := func() {
				if err := os.RemoveAll(filepath.Join(disk, "ballast")); err != nil {
					t.Error(err)
				}
			}
			id := openVouchers(t, g)
			fill()
			want(t, g.Do("POST", "/v1/batches/"+id+"/items", "application/zip", vouchers(t, c.n)), 503, "store_unavailable")
			want(t, g.Do("POST", "/v1/documents?name=x.pdf", "application/pdf", storetest.PDF("surat")), 503, "store_unavailable")
			if b := g.Do("GET", "/v1/batches/"+id, "", nil); b.Body["count"] != 0.0 {
				t.Errorf("a part was taken in: %s", b.Raw)
			}
			room()
			if left := under(t, disk); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
			want(t, g.Do("POST", "/v1/batches/"+id+"/items", "application/zip", vouchers(t, c.n)), 200, "")
			during(t, g, 2, fill, room)
			signVouchers(t, g, id, c.n)
			allWhole(t, g, id, c.n)
		})
	}
}

// under lists the files below a folder.
func under(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestStoreOfDocumentsIsConfigured(t *testing.T) {
	g := gatewaytest.New(t)
	g.Stop()
	good, err := os.ReadFile(filepath.Join(g.Dir, "mohor.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		pairs []string
		want  string // "" for none
	}{
		"a bucket":             {bucket(t, g.Dir, &s3test.Server{Endpoint: "https://s3.agency.gov.my:9000", Bucket: "mohor"}), ""},
		"none":                 {[]string{`blobs: "blobs"`, `blobs: ""`}, "blobs and s3.endpoint must be set, one of them"},
		"both":                 {append(bucket(t, g.Dir, &s3test.Server{Endpoint: "https://s3.agency.gov.my", Bucket: "mohor"}), `blobs: ""`, `blobs: "blobs"`), "one of them"},
		"in the clear":         {bucket(t, g.Dir, &s3test.Server{Endpoint: "http://s3.agency.gov.my", Bucket: "mohor"}), "s3.endpoint must be https"},
		"no scheme":            {bucket(t, g.Dir, &s3test.Server{Endpoint: "s3.agency.gov.my", Bucket: "mohor"}), "s3.endpoint must be https://host"},
		"a path":               {bucket(t, g.Dir, &s3test.Server{Endpoint: "https://s3.agency.gov.my/mohor", Bucket: "mohor"}), "s3.endpoint must be https://host"},
		"no bucket":            {bucket(t, g.Dir, &s3test.Server{Endpoint: "https://s3.agency.gov.my"}), "s3.bucket, region, access_key and secret_key_file must be set"},
		"prefix":               {append(bucket(t, g.Dir, &s3test.Server{Endpoint: "https://s3.agency.gov.my", Bucket: "mohor"}), `prefix: "mohor/"`, `prefix: "mohor"`), "s3.prefix must be"},
		"prefix that goes up":  {append(bucket(t, g.Dir, &s3test.Server{Endpoint: "https://s3.agency.gov.my", Bucket: "mohor"}), `prefix: "mohor/"`, `prefix: "../"`), "s3.prefix must be"},
		"something else in it": {[]string{"  path_style: true", "  path_style: true\n  secret_key: x"}, "field secret_key not found"},
	} {
		if err := os.WriteFile(filepath.Join(g.Dir, "mohor.yaml"), good, 0o600); err != nil {
			t.Fatal(err)
		}
		editConfig(t, g.Dir, c.pairs...)
		conf, err := gateway.LoadConfig(g.Dir)
		if c.want == "" && (err != nil || conf.S3.SecretKeyFile != filepath.Join(g.Dir, "secrets", "s3.key")) || c.want != "" && (!errors.Is(err, gateway.ErrConfig) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Files of earlier versions say nothing of buckets.
	before, rest, _ := strings.Cut(string(good), "\n# Instead of blobs, a bucket")
	_, after, _ := strings.Cut(rest, "\n# Redis")
	if err := os.WriteFile(filepath.Join(g.Dir, "mohor.yaml"), []byte(before+"\n# Redis"+after), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := gateway.LoadConfig(g.Dir); err != nil {
		t.Error(err)
	}
}

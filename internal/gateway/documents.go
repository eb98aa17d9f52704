package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store"
	"github.com/mohor-sign/mohor/store/s3"
)

// documentStore is where documents are: a folder or a bucket.
type documentStore interface {
	signer.Blobs
	io.Closer
}

// S3Config says in which bucket documents are.
type S3Config struct {
	Endpoint      string `yaml:"endpoint"`
	Bucket        string `yaml:"bucket"`
	Region        string `yaml:"region"`
	Prefix        string `yaml:"prefix"`
	PathStyle     bool   `yaml:"path_style"`
	AccessKey     string `yaml:"access_key"`
	SecretKeyFile string `yaml:"secret_key_file"`
	CAFile        string `yaml:"ca_file"`
}

// defaultS3 is what a file does not say.
func defaultS3() S3Config { return S3Config{Region: "us-east-1", PathStyle: true} }

func (c *S3Config) configured() bool { return c.Endpoint != "" }

// checkDocuments returns the field that cannot be right and what it must be.
func (c *Config) checkDocuments() (field, want string) {
	s := &c.S3
	if s.configured() == (c.Blobs != "") {
		return "blobs and s3.endpoint", "set, one of them"
	}
	if !s.configured() {
		return "", ""
	}
	u, err := url.Parse(s.Endpoint)
	if err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return "s3.endpoint", "https://host or https://host:port"
	}
	if port := u.Port(); u.Scheme == "http" {
		if port == "" {
			port = "80"
		}
		if !loopback(u.Hostname() + ":" + port) {
			return "s3.endpoint", "https, unless it is a loopback address: documents travel there"
		}
	}
	switch {
	case s.Bucket == "" || s.Region == "" || s.AccessKey == "" || s.SecretKeyFile == "":
		return "s3.bucket, region, access_key and secret_key_file", "set"
	case s.Prefix != "" && (!strings.HasSuffix(s.Prefix, "/") || !fs.ValidPath(strings.TrimSuffix(s.Prefix, "/")) || len(s.Prefix) > 200):
		return "s3.prefix", "empty, or a name that ends in a slash, such as mohor/"
	case s.CAFile != "" && u.Scheme != "https":
		return "s3.endpoint", "https for s3.ca_file"
	}
	return "", ""
}

// openDocuments opens the folder, or prepares the way to the bucket.
func (c *Config) openDocuments() (documentStore, error) {
	if !c.S3.configured() {
		return store.OpenBlobs(c.Blobs)
	}
	return c.S3.open()
}

func (c *S3Config) open() (*s3.Blobs, error) {
	secret, err := readSecret(c.SecretKeyFile)
	if err != nil {
		return nil, err
	}
	defer secret.Wipe()
	roots, err := certPool(c.CAFile)
	if err != nil {
		return nil, err
	}
	return s3.Open(s3.Config{Endpoint: c.Endpoint, Bucket: c.Bucket, Region: c.Region, Prefix: c.Prefix, PathStyle: c.PathStyle,
		AccessKey: c.AccessKey, SecretKey: secret, RootCAs: roots})
}

// proveDocuments writes, reads and removes an object of a bucket.
func proveDocuments(ctx context.Context, d documentStore) error {
	b, ok := d.(*s3.Blobs)
	if !ok {
		return nil
	}
	if err := b.Probe(ctx, "probe/"+ident.New("pr", 10)); err != nil {
		return fmt.Errorf("testing the store of documents: %w", err)
	}
	return nil
}

// unfinishedFor is how long an upload to a bucket may be under way.
const unfinishedFor = 24 * time.Hour

// tidy ends uploads to a bucket that a gateway began and did not live to end.
func (s *Server) tidy(ctx context.Context) error {
	b, ok := s.blobs.(*s3.Blobs)
	if !ok {
		return nil
	}
	n, err := b.Tidy(ctx, time.Now().Add(-unfinishedFor)) // by the store's clock
	if n > 0 {
		s.log.Info("ended uploads of documents that were not finished", "count", n)
	}
	return err
}

// bucket: it can be reached and used, and keeps nothing that is removed.
func (d *doctor) bucket(ctx context.Context) {
	c := &d.config.S3
	const why = "no document can be taken in, signed or shown; the gateway refuses to start"
	d.private(c.SecretKeyFile, "whoever reads the key reads every document", false)
	b, err := c.open()
	if err != nil {
		d.fault("the bucket cannot be used: "+cause(err), why, "put the key of s3.access_key into s3.secret_key_file, mode 0600, and the CA's certificate into s3.ca_file")
		return
	}
	defer b.Close()
	ctx, cancel := context.WithTimeout(ctx, d.Patience)
	defer cancel()
	if err := proveDocuments(ctx, b); err != nil {
		fix := "correct s3 in " + d.path(ConfigFile) + ", or have the store mended"
		if errors.Is(err, context.DeadlineExceeded) {
			fix = "see that the store is up and can be reached from here"
		}
		d.fault("documents cannot be stored: "+err.Error(), why, fix)
		return
	}
	d.ok("bucket %s: an object was written, read and removed", c.Bucket)
	if kept := b.Kept(ctx); kept != "" {
		d.warning("bucket "+c.Bucket+": "+kept, "documents that retention removes, with what they say of people, stay there", "switch it off, or have a lifecycle rule remove old versions")
	}
}

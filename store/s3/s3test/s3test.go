// Package s3test runs versitygw, a server of S3, for tests: on the loopback, its objects files in
// a folder of the test.
package s3test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/store/s3"
)

// What every server of tests knows its callers by.
const (
	AccessKey = "mohor-test"
	SecretKey = "a secret of no other use"
	Region    = "us-east-1"
)

// patience bounds the wait for a server to answer.
const patience = 30 * time.Second

// Server is a versitygw. Its address and its objects stay the same over Kill and Run.
type Server struct {
	Endpoint string // http(s)://host:port
	Bucket   string
	Roots    *x509.CertPool // of a server that speaks TLS
	CAFile   string
	// Folder has the objects as files, by key.
	Folder string

	bin  string
	args []string
	cmd  *exec.Cmd
}

// Start runs a server with an empty bucket until the test ends. A missing binary skips the test,
// and fails it where everything is required.
func Start(t testing.TB) *Server { return start(t, false) }

// StartTLS is Start of a server with a certificate of a CA of its own.
func StartTLS(t testing.TB) *Server { return start(t, true) }

func start(t testing.TB, secure bool) *Server {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	bin := filepath.Join(filepath.Dir(here), "..", "..", "..", "bin", "versitygw")
	if _, err := os.Stat(bin); err != nil {
		if os.Getenv("MOHOR_TEST_REQUIRE") == "all" {
			t.Fatalf("versitygw is missing (make versitygw): %v", err)
		}
		t.Skipf("versitygw is missing (make versitygw): %v", err)
	}
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := l.Addr().String()
	must(t, l.Close())
	s := &Server{Endpoint: "http://" + address, Bucket: "documents", bin: bin, args: []string{"--quiet", "--port", address}}
	if secure {
		s.Endpoint = "https://" + address
		s.certify(t, dir)
	}
	root, side, versions := filepath.Join(dir, "root"), filepath.Join(dir, "side"), filepath.Join(dir, "versions")
	s.Folder = filepath.Join(root, s.Bucket)
	for _, d := range []string{root, side, versions} {
		must(t, os.Mkdir(d, 0o700))
	}
	// Attributes in files: not every file system has them.
	s.args = append(s.args, "posix", "--sidecar", side, "--versioning-dir", versions, root)
	s.Run(t)
	t.Cleanup(func() { s.Kill(t) })
	must(t, s.Client(t).MakeBucket(context.Background(), s.Bucket, minio.MakeBucketOptions{Region: Region}))
	return s
}

// Config is how to open the bucket.
func (s *Server) Config() s3.Config {
	return s3.Config{Endpoint: s.Endpoint, Bucket: s.Bucket, Region: Region, PathStyle: true, AccessKey: AccessKey, SecretKey: secret.New(SecretKey), RootCAs: s.Roots}
}

// Client asks the server past the product.
func (s *Server) Client(t testing.TB) *minio.Client {
	t.Helper()
	o := &minio.Options{Creds: credentials.NewStaticV4(AccessKey, SecretKey, ""), Region: Region, BucketLookup: minio.BucketLookupPath}
	if s.Roots != nil {
		tr, err := minio.DefaultTransport(true)
		must(t, err)
		tr.TLSClientConfig.RootCAs = s.Roots
		o.Transport, o.Secure = tr, true
	}
	c, err := minio.New(s.Endpoint[len("http://")+boolInt(o.Secure):], o)
	must(t, err)
	return c
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Run starts the server and waits until it answers.
func (s *Server) Run(t testing.TB) {
	t.Helper()
	s.cmd = exec.Command(s.bin, s.args...)
	s.cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+AccessKey, "ROOT_SECRET_KEY="+SecretKey)
	must(t, s.cmd.Start())
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := s.Client(t)
	for {
		if _, err := c.ListBuckets(ctx); err == nil {
			return
		} else if ctx.Err() != nil {
			t.Fatalf("versitygw does not answer: %v", err)
		}
	}
}

// Kill ends the server at once.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have ended
	_ = s.cmd.Wait()
	s.cmd = nil
}

// certify makes the server's certificate, its own CA.
func (s *Server) certify(t testing.TB, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	now := time.Now()
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "S3 of a test"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	must(t, err)
	c, err = x509.ParseCertificate(der)
	must(t, err)
	s.Roots = x509.NewCertPool()
	s.Roots.AddCert(c)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return path
	}
	s.CAFile = write("s3.crt", "CERTIFICATE", der)
	s.args = append(s.args, "--cert", s.CAFile, "--key", write("s3.key", "PRIVATE KEY", private))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(fmt.Errorf("S3 for the test: %w", err))
	}
}

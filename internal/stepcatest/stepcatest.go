// Package stepcatest runs smallstep's step-ca for tests, below a root that is made
// for it: the other CA that a real installation might have.
package stepcatest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// Server is a step-ca with a root and an issuing CA, on this machine. It serves its
// CRL over http, beside that of the root.
type Server struct {
	URL       string // https
	CRL       string // address of the issuing CA's revocation list
	Root      *x509.Certificate
	RootsFile string // Root, PEM
	// Provisioner is the private key of the provisioner "mohor", and KeyFile its PEM.
	Provisioner *ecdsa.PrivateKey
	KeyFile     string
	HTTP        *http.Client // trusts Root alone

	bin, dir string
	config   map[string]any
	cmd      *exec.Cmd
	done     chan struct{}
}

// New prepares a server that does not run yet. A missing binary skips the test, and
// fails it where everything is required.
func New(t testing.TB) *Server {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	bin := os.Getenv("MOHOR_STEPCA")
	if bin == "" {
		bin = filepath.Join(filepath.Dir(here), "..", "..", "bin", "step-ca")
	}
	if _, err := os.Stat(bin); err != nil {
		if os.Getenv("MOHOR_TEST_REQUIRE") == "all" {
			t.Fatalf("step-ca is missing (make stepca): %v", err)
		}
		t.Skipf("step-ca is missing (make stepca): %v", err)
	}
	s := &Server{bin: bin, dir: t.TempDir()}
	address, plain := free(t), free(t)
	s.URL, s.CRL = "https://"+address, "http://"+plain+"/1.0/crl"
	issuing, key := s.hierarchy(t)
	s.write(t, "issuing.crt", "CERTIFICATE", issuing.Raw)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	s.write(t, "issuing.key", "PRIVATE KEY", der)
	s.RootsFile = s.write(t, "root.crt", "CERTIFICATE", s.Root.Raw)
	s.Provisioner, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err = x509.MarshalECPrivateKey(s.Provisioner)
	must(t, err)
	s.KeyFile = s.write(t, "provisioner.key", "EC PRIVATE KEY", der)
	pool := x509.NewCertPool()
	pool.AddCert(s.Root)
	s.HTTP = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	t.Cleanup(s.HTTP.CloseIdleConnections)
	s.config = map[string]any{
		"root": s.RootsFile, "crt": filepath.Join(s.dir, "issuing.crt"), "key": filepath.Join(s.dir, "issuing.key"),
		"address": address, "insecureAddress": plain, "dnsNames": []string{"127.0.0.1"},
		"db":  map[string]any{"type": "bbolt", "dataSource": filepath.Join(s.dir, "db")},
		"crl": map[string]any{"enabled": true, "generateOnRevoke": true, "cacheDuration": "24h", "idpURL": s.CRL},
	}
	return s
}

// hierarchy makes a root, whose CRL it serves, and an issuing CA below it.
func (s *Server) hierarchy(t testing.TB) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	now := time.Now().UTC()
	make := func(cn string, serial int64, parent *x509.Certificate, by *ecdsa.PrivateKey, crl []string) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(t, err)
		c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{Country: []string{"MY"}, Organization: []string{"CA LAIN"}, CommonName: cn},
			NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
			CRLDistributionPoints: crl}
		if parent == nil {
			parent, by = c, key
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), by)
		must(t, err)
		c, err = x509.ParseCertificate(der)
		must(t, err)
		return c, key
	}
	root, rootKey := make("Other Root", 1, nil, nil, nil)
	crl, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: now.Add(-time.Minute), NextUpdate: now.AddDate(0, 6, 0)}, root, rootKey)
	must(t, err)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/pkix-crl")
		_, _ = w.Write(crl)
	}))
	t.Cleanup(web.Close)
	s.Root = root
	return make("Other Issuing CA", 2, root, rootKey, []string{web.URL + "/root.crl"})
}

// Start runs the server with that entry of authority.provisioners, until Stop or the
// end of the test. It keeps its data.
func (s *Server) Start(t testing.TB, provisioner []byte) {
	t.Helper()
	s.config["authority"] = map[string]any{"provisioners": []json.RawMessage{provisioner}}
	config, err := json.Marshal(s.config)
	must(t, err)
	path := filepath.Join(s.dir, "ca.json")
	must(t, os.WriteFile(path, config, 0o600))
	var log bytes.Buffer
	s.cmd, s.done = exec.Command(s.bin, path), make(chan struct{})
	s.cmd.Env = append(os.Environ(), "STEPPATH="+s.dir, "HOME="+s.dir)
	s.cmd.Stdout, s.cmd.Stderr = &log, &log
	must(t, s.cmd.Start())
	go func(cmd *exec.Cmd, done chan struct{}) {
		_ = cmd.Wait() // it is killed
		close(done)
	}(s.cmd, s.done)
	t.Cleanup(s.Stop)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		select {
		case <-tick.C:
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/health", nil)
			must(t, err)
			if resp, err := s.HTTP.Do(r); err == nil {
				_ = resp.Body.Close()
				tick.Stop()
				return
			}
		case <-s.done:
			t.Fatalf("step-ca ended: %s", log.String())
		case <-ctx.Done():
			s.Stop()
			t.Fatalf("step-ca does not serve: %s", log.String())
		}
	}
}

// Stop kills the server.
func (s *Server) Stop() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill() // unless it has ended
		<-s.done
		s.cmd = nil
	}
	s.HTTP.CloseIdleConnections()
}

func (s *Server) write(t testing.TB, name, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return path
}

// free is an address on this machine that nobody listens on.
func free(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return fmt.Sprint(l.Addr())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Command pdfsign-bench signs the same document over and over with
// digitorus/pdfsign, as a contender of `mohor bench pdf`. It is a module of
// its own: the product needs nothing of it.
package main

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/digitorus/pdfsign"
)

type task struct {
	Document     string `json:"document"`
	Output       string `json:"output"`
	Key          string `json:"key"`
	Certificates string `json:"certificates"`
	Token        *token `json:"token"` // in the place of Key
}

type slice struct {
	Documents  int     `json:"documents"`
	Seconds    float64 `json:"seconds"`
	CPU        float64 `json:"cpu_seconds"`
	Allocs     uint64  `json:"allocs"`
	Bytes      uint64  `json:"bytes"`
	Operations int64   `json:"operations"`
	Peak       int64   `json:"peak_rss"`
	Err        string  `json:"err,omitempty"`
}

type counting struct {
	crypto.Signer
	n int64
}

func (c *counting) Sign(r io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	c.n++
	return c.Signer.Sign(r, digest, o)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "pdfsign-bench:", err)
		os.Exit(1)
	}
}

func run() error {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	var t task
	if err := in.Decode(&t); err != nil {
		return err
	}
	if err := out.Encode(slice{Peak: peak()}); err != nil {
		return err
	}
	key, certs, err := read(t)
	if err != nil {
		return err
	}
	for {
		var turn struct{ Seconds float64 }
		if err := in.Decode(&turn); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		s, err := measure(t, key, certs, turn.Seconds)
		if err != nil {
			s = slice{Err: err.Error()}
		}
		if err := out.Encode(s); err != nil {
			return err
		}
	}
}

func measure(t task, key *counting, certs []*x509.Certificate, length float64) (s slice, err error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	used, calls, begin := cpu(), key.n, time.Now()
	for s.Documents == 0 || time.Since(begin).Seconds() < length {
		if err := sign(t, key, certs); err != nil {
			return s, err
		}
		s.Documents++
	}
	s.Seconds, s.CPU, s.Operations = time.Since(begin).Seconds(), cpu()-used, key.n-calls
	runtime.ReadMemStats(&after)
	s.Allocs, s.Bytes, s.Peak = after.Mallocs-before.Mallocs, after.TotalAlloc-before.TotalAlloc, peak()
	return s, nil
}

func sign(t task, key crypto.Signer, certs []*x509.Certificate) (err error) {
	f, err := os.Open(t.Document)
	if err != nil {
		return err
	}
	out, err := os.Create(t.Output)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	defer func() { err = errors.Join(err, out.Close(), f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	d, err := pdfsign.Open(f, info.Size())
	if err != nil {
		return err
	}
	d.Sign(key, certs[0]).CertificateChains([][]*x509.Certificate{certs}).Digest(crypto.SHA256).Format(pdfsign.PAdES_B).Type(pdfsign.ApprovalSignature)
	_, err = d.Write(out)
	return err
}

func read(t task) (*counting, []*x509.Certificate, error) {
	b, err := os.ReadFile(t.Certificates)
	if err != nil {
		return nil, nil, err
	}
	var certs []*x509.Certificate
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, nil, err
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, nil, errors.New("no certificate")
	}
	key, err := signer(t, certs[0])
	return &counting{Signer: key}, certs, err
}

// signer is the key of the file or of the token.
func signer(t task, cert *x509.Certificate) (crypto.Signer, error) {
	if t.Token != nil {
		return t.Token.open(cert)
	}
	b, err := os.ReadFile(t.Key)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, errors.New("no key")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("key cannot sign")
	}
	return signer, nil
}

func cpu() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

func peak() int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, line, _ := strings.Cut(string(b), "VmHWM:")
	var kB int64
	if _, err := fmt.Sscan(line, &kB); err != nil {
		return 0
	}
	return kB << 10
}

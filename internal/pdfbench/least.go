package pdfbench

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/mohor-sign/mohor/pdf"
)

// Least is what nobody can do without for one document, but for the use of the private key: the
// document read and hashed, SignedData assembled and its signature value verified, document and
// increment written. See [NewLeast].
type Least struct {
	passes []*least
	// Check verifies a signature value by itself, which a pass does too.
	Check func() error
}

// NewLeast prepares passes over document for that many workers, with a key of kind ("RSA-2048" or
// "P-256") of its own. Keys and what the passes write are in dir. As the document is always the same,
// so is its signature, and the key is used once.
func NewLeast(dir, kind, document string, now time.Time, workers int) (*Least, error) {
	p, err := newPKI(dir, kind, now)
	if err != nil {
		return nil, fmt.Errorf("making %s keys: %w", kind, err)
	}
	f, err := os.Open(document)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	d, err := pdf.Open(f, info.Size())
	if err != nil {
		return nil, err
	}
	l := &Least{}
	for k := range workers {
		s, err := newSigner(Task{Document: document, Output: filepath.Join(dir, fmt.Sprintf("least-%d.pdf", k)), Key: p.keyPath, Certificates: p.certPath, Now: now})
		if err != nil {
			return nil, err
		}
		pass, err := s.least(d, info.Size(), true)
		if err != nil {
			return nil, err
		}
		var signature []byte
		pass.make = func(digest []byte) ([]byte, error) {
			attrs, err := s.builder.SignedAttributes(digest)
			if err != nil {
				return nil, err
			}
			if signature == nil {
				sum := sha256.Sum256(attrs)
				if signature, err = s.key.Sign(rand.Reader, sum[:], crypto.SHA256); err != nil {
					return nil, err
				}
			}
			return s.builder.Assemble(attrs, signature)
		}
		l.passes = append(l.passes, pass)
		if k == 0 {
			check, _, err := s.checker()
			if err != nil {
				return nil, err
			}
			l.Check = func() error { return check(context.Background()) }
		}
	}
	if len(l.passes) == 0 {
		return nil, errors.New("no workers")
	}
	return l, nil
}

// Pass does it once, for a worker from 0. A worker does one at a time.
func (l *Least) Pass(worker int) error { return l.passes[worker].run() }

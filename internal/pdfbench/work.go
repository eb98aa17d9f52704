package pdfbench

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/verify"
)

// counting counts what a key is asked to do.
type counting struct {
	crypto.Signer
	n atomic.Int64
}

func (c *counting) Sign(r io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	c.n.Add(1)
	return c.Signer.Sign(r, digest, o)
}

// worker makes what a task does with one document.
func (t Task) worker() (do func(context.Context) error, operations func() int64, err error) {
	none := func() int64 { return 0 }
	if t.What == VerifyB || t.What == VerifyLTA {
		do, err := t.verifier()
		return do, none, err
	}
	s, err := newSigner(t)
	if err != nil {
		return nil, nil, err
	}
	switch t.What {
	case Sign:
		return func(context.Context) error { return s.sign(false) }, s.key.n.Load, nil
	case SignWhole:
		return func(context.Context) error { return s.sign(true) }, s.key.n.Load, nil
	case CheckValue:
		return s.checker()
	case Floor, FloorWhole:
		return s.floor(t.What == FloorWhole)
	}
	return nil, nil, fmt.Errorf("unknown task %q", t.What)
}

type signer struct {
	task    Task
	key     *counting
	cert    *x509.Certificate
	alg     cms.Algorithm
	builder *cms.Builder
}

func newSigner(t Task) (*signer, error) {
	key, certs, err := readPKI(t.Key, t.Certificates)
	if err != nil {
		return nil, err
	}
	s := &signer{task: t, key: &counting{Signer: key}, cert: certs[0], alg: cms.ECDSA}
	if _, ok := key.Public().(*rsa.PublicKey); ok {
		s.alg = cms.RSAPKCS1
	}
	s.builder, err = cms.New(certs[0], certs[1:], crypto.SHA256, s.alg)
	return s, err
}

func (s *signer) options() pdf.Options {
	return pdf.Options{Time: s.task.Now, ContentsSize: s.builder.Size()}
}

// value makes the CMS of a digest.
func (s *signer) value(digest []byte) ([]byte, error) {
	attrs, err := s.builder.SignedAttributes(digest)
	if err != nil {
		return nil, err
	}
	h := sha256.Sum256(attrs)
	signature, err := s.key.Sign(rand.Reader, h[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	return s.builder.Assemble(attrs, signature)
}

// sign is the whole path, from opening the file to the last byte written.
func (s *signer) sign(whole bool) (err error) {
	f, err := os.Open(s.task.Document)
	if err != nil {
		return err
	}
	out, err := os.Create(s.task.Output)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	defer func() { err = errors.Join(err, out.Close(), f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	d, err := pdf.Open(f, info.Size())
	if err != nil {
		return err
	}
	prepared, err := d.Prepare(s.options())
	if err != nil {
		return err
	}
	digest, _, err := prepared.Digest(crypto.SHA256)
	if err != nil {
		return err
	}
	der, err := s.value(digest)
	if err != nil {
		return err
	}
	write := prepared.Append
	if whole {
		write = prepared.Complete
	}
	_, err = write(out, der)
	return err
}

// floor does what nobody can do without: it reads and hashes the document,
// makes one CMS signature and writes the increment, of which all but the CMS is
// made once and for all. What it writes is a signed document.
func (s *signer) floor(whole bool) (func(context.Context) error, func() int64, error) {
	f, err := os.Open(s.task.Document)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	d, err := pdf.Open(f, info.Size())
	if err != nil {
		return nil, nil, err
	}
	l, err := s.least(d, info.Size(), whole)
	if err != nil {
		return nil, nil, err
	}
	return func(context.Context) error { return l.run() }, s.key.n.Load, nil
}

// least makes the increment of d once and for all.
func (s *signer) least(d *pdf.Document, size int64, whole bool) (*least, error) {
	prepared, err := d.Prepare(s.options())
	if err != nil {
		return nil, err
	}
	der, err := s.value(make([]byte, sha256.Size))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if _, err := prepared.Append(&b, der); err != nil {
		return nil, err
	}
	gap := bytes.Index(b.Bytes(), []byte("/Contents <")) + len("/Contents ")
	end := gap + bytes.IndexByte(b.Bytes()[gap:], '>') + 1
	return &least{signer: s, whole: whole, increment: b.Bytes(), gap: gap, end: end, size: size, buffer: make([]byte, 128<<10), make: s.value}, nil
}

type least struct {
	*signer
	whole     bool
	increment []byte
	gap, end  int // the /Contents string, < and > included
	size      int64
	buffer    []byte
	make      func(digest []byte) ([]byte, error) // the CMS
}

func (l *least) run() (err error) {
	f, err := os.Open(l.task.Document)
	if err != nil {
		return err
	}
	out, err := os.Create(l.task.Output)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	defer func() { err = errors.Join(err, out.Close(), f.Close()) }()
	h := sha256.New()
	for at := int64(0); at < l.size; {
		n, err := f.ReadAt(l.buffer[:min(int64(len(l.buffer)), l.size-at)], at)
		if n == 0 {
			return err
		}
		h.Write(l.buffer[:n])
		at += int64(n)
	}
	h.Write(l.increment[:l.gap])
	h.Write(l.increment[l.end:])
	der, err := l.make(h.Sum(nil))
	if err != nil {
		return err
	}
	// An earlier signature may have been longer.
	for i := l.gap + 1 + hex.Encode(l.increment[l.gap+1:], der); i < l.end-1; i++ {
		l.increment[i] = '0'
	}
	if l.whole {
		for at := int64(0); at < l.size; {
			n, err := f.ReadAt(l.buffer[:min(int64(len(l.buffer)), l.size-at)], at)
			if n == 0 {
				return err
			}
			if _, err := out.Write(l.buffer[:n]); err != nil {
				return err
			}
			at += int64(n)
		}
	}
	_, err = out.Write(l.increment)
	return err
}

// checker verifies one signature value, which making a CMS does each time.
func (s *signer) checker() (func(context.Context) error, func() int64, error) {
	digest := sha256.Sum256([]byte("mohor"))
	signature, err := s.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, nil, err
	}
	return func(context.Context) error { return cms.VerifyRaw(s.cert, s.alg, digest[:], signature) }, func() int64 { return 0 }, nil
}

func (t Task) verifier() (func(context.Context) error, error) {
	roots, err := readRoots(t.Certificates)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(t.Document)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	want := "B-B"
	if t.What == VerifyLTA {
		want = "B-LTA"
	}
	return func(ctx context.Context) error {
		r, err := verify.Verify(ctx, f, info.Size(), verify.Options{Roots: roots, Now: t.Now})
		if err != nil {
			return err
		}
		if r.Verdict != verify.Valid || r.Signatures[0].Level != want {
			return fmt.Errorf("%s: %+v", r.Verdict, r)
		}
		return nil
	}, nil
}

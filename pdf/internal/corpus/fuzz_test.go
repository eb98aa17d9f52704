package corpus_test

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/corpus"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
	"github.com/mohor-sign/mohor/pdf/syntax"
	"github.com/mohor-sign/mohor/pdf/verify"
)

// longest is the largest document used as a seed, in bytes.
const longest = 64 << 10

func seeds(f *testing.F) {
	f.Helper()
	for _, c := range slices.Concat(corpus.Good(), corpus.Broken()) {
		if c.Sparse == nil && len(c.Data) <= longest {
			f.Add(c.Data)
		}
	}
}

// quick fails a test that hangs.
func quick(t *testing.T, begin time.Time) {
	t.Helper()
	if d := time.Since(begin); d > 10*time.Second*slower {
		t.Errorf("took %v", d)
	}
}

// FuzzStructure reads all there is in a file: sections, objects, streams,
// page tree, form, and the revisions before.
func FuzzStructure(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		begin := time.Now()
		if err := readAll(b); err != nil && !isRefusal(err) {
			t.Errorf("untyped error: %v", err)
		}
		quick(t, begin)
	})
}

func readAll(b []byte) error {
	f, err := syntax.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return err
	}
	var failed error
	for _, s := range f.Sections()[:min(len(f.Sections()), 3)] {
		old, err := f.At(s.End)
		if err == nil {
			_, err = old.Tree()
		}
		failed = errors.Join(failed, err)
	}
	n := 0
	f.Objects(func(num uint32, gen uint16) bool {
		o, err := f.Load(num, gen)
		if err == nil && o.Data != 0 {
			var r io.Reader
			if r, err = f.Stream(o); err == nil {
				_, err = io.Copy(io.Discard, io.LimitReader(r, 1<<20))
			}
		}
		if err != nil && !isRefusal(err) {
			failed = errors.Join(failed, err)
		}
		n++
		return n < 200
	})
	tree, err := f.Tree()
	if err != nil {
		return errors.Join(failed, err)
	}
	_, err = f.Form(tree.Catalog)
	return errors.Join(failed, err)
}

// FuzzDocument asks for a verdict on any bytes: they are never VALID, since
// nobody is trusted.
func FuzzDocument(f *testing.F) {
	seeds(f)
	p := pdftest.New(f, cms.ECDSA, crypto.SHA256, nil)
	signed := p.Sign(f, corpus.Base(1), pdf.Options{})
	all, err := corpus.Mutations(signed, p.Sign(f, corpus.Base(2), pdf.Options{}))
	if err != nil {
		f.Fatal(err)
	}
	for _, m := range all {
		f.Add(m.Data)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		begin := time.Now()
		r, err := verify.Verify(context.Background(), bytes.NewReader(b), int64(len(b)), verify.Options{Now: time.Unix(1_800_000_000, 0)})
		if err != nil || r.Verdict == verify.Valid {
			t.Errorf("%v %+v", err, r)
		}
		quick(t, begin)
	})
}

// FuzzMutations edits a file somebody tampered with: cuts bytes at a place
// and puts others there. Nothing makes it VALID but to undo it.
func FuzzMutations(f *testing.F) {
	p := pdftest.New(f, cms.ECDSA, crypto.SHA256, nil)
	signed, other := p.Sign(f, corpus.Base(1), pdf.Options{}), p.Sign(f, corpus.Base(2), pdf.Options{})
	all, err := corpus.Mutations(signed, other)
	if err != nil {
		f.Fatal(err)
	}
	for i := range all {
		f.Add(uint16(i), uint16(0), uint16(0), []byte(nil))
	}
	roots := p.Roots()
	f.Fuzz(func(t *testing.T, which, at, cut uint16, put []byte) {
		m := all[int(which)%len(all)]
		start := min(int(at), len(m.Data))
		end := min(start+int(cut), len(m.Data))
		b := slices.Concat(m.Data[:start], put, m.Data[end:])
		begin := time.Now()
		r, err := verify.Verify(context.Background(), bytes.NewReader(b), int64(len(b)), verify.Options{Roots: roots, Now: pdftest.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict == verify.Valid && !m.Unprotected && !bytes.EqualFold(b, signed) {
			t.Errorf("VALID: %s: %s, with %d bytes at %d made %q", m.Class, m.Name, end-start, start, put)
		}
		quick(t, begin)
	})
}

// Package corpus makes PDF files for tests: odd but legal ones, broken and
// hostile twins, and mutations of signed files in the ways published attacks
// work. Everything is made from constants, so the same case has the same
// bytes in every run.
package corpus

import (
	"bytes"
	"io"
	"slices"
	"strings"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// Case is one document.
type Case struct {
	// Name is unique. Group is the kind of file it stands for in tables.
	Name, Group string
	Data        []byte
	// Sparse, when set, is the document in place of Data: too large to hold.
	Sparse *Sparse
	// Refusals are the codes of which one must refuse the document; none for a
	// document that must be signed, and signed right.
	Refusals []syntax.Sentinel
	// Either: readers may refuse the document or sign it right.
	Either bool
	// Field is the signature field to sign, empty for a new one.
	Field string
	// Blind is a judge who does not find a signature in such a field.
	Blind string
	// Heavy cases are bombs: they are tried under limits.
	Heavy bool
}

// Open returns a reader of the document and its size in bytes.
func (c Case) Open() (io.ReaderAt, int64) {
	if c.Sparse != nil {
		return c.Sparse, c.Sparse.Size()
	}
	return bytes.NewReader(c.Data), int64(len(c.Data))
}

// Good returns the documents to be signed, the small ones first.
func Good() []Case {
	return slices.Concat(xrefKinds(), updates(), syntaxKinds(), structures(), forms(), lookAlikes(), large())
}

// Broken returns the documents to be refused and those where either will do.
func Broken() []Case {
	return slices.Concat(truncated(), brokenXref(), brokenStreams(), brokenTrees(), brokenSyntax())
}

// group sets the group of cases.
func group(name string, cases ...Case) []Case {
	for i := range cases {
		cases[i].Group = name
		cases[i].Name = name + "/" + cases[i].Name
	}
	return cases
}

// good and bad make cases.
func good(name string, b []byte) Case { return Case{Name: name, Data: b} }

func bad(name string, b []byte, codes ...syntax.Sentinel) Case {
	if len(codes) == 0 {
		codes = []syntax.Sentinel{syntax.ErrInvalid}
	}
	return Case{Name: name, Data: b, Refusals: codes}
}

func either(name string, b []byte) Case { return Case{Name: name, Data: b, Either: true} }

// swap replaces the only or last occurrence of a text; a case that would
// change nothing is a mistake in this package.
func swap(b []byte, old, with string) []byte {
	i := bytes.LastIndex(b, []byte(old))
	if i < 0 {
		panic("corpus: no " + old)
	}
	return slices.Concat(b[:i], []byte(with), b[i+len(old):])
}

// Sparse is a document of zeros but for some chunks.
type Sparse struct {
	size   int64
	chunks []chunk
}

type chunk struct {
	at int64
	b  []byte
}

// Size is the number of bytes.
func (s *Sparse) Size() int64 { return s.size }

// ReadAt gives spaces where there is no chunk.
func (s *Sparse) ReadAt(b []byte, off int64) (int, error) {
	if off >= s.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), s.size-off))
	copy(b[:n], strings.Repeat(" ", min(n, 4096)))
	for have := min(n, 4096); have < n; have *= 2 {
		copy(b[have:n], b[:have])
	}
	for _, c := range s.chunks {
		from, to := max(c.at, off), min(c.at+int64(len(c.b)), off+int64(n))
		if from < to {
			copy(b[from-off:to-off], c.b[from-c.at:to-c.at])
		}
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

package corpus_test

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/corpus"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
	"github.com/mohor-sign/mohor/pdf/verify"
)

var write = flag.Bool("write", false, "write the tables into docs")

// document writes or keeps a table of docs.
func document(t *testing.T, name, head, table string) {
	t.Helper()
	t.Logf("\n%s", table)
	if !*write || t.Failed() {
		return
	}
	text := head + "\nMade by `go test ./pdf/internal/corpus -write`.\n\n" + table
	if err := os.WriteFile(filepath.Join("..", "..", "..", "docs", name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestNamesAreDistinctAndBytesTheSame(t *testing.T) {
	seen := map[string]bool{}
	again := slices.Concat(corpus.Good(), corpus.Broken())
	for i, c := range slices.Concat(corpus.Good(), corpus.Broken()) {
		if seen[c.Name] && len(c.Refusals) == 0 {
			t.Errorf("%s twice", c.Name)
		}
		seen[c.Name] = true
		if !bytes.Equal(c.Data, again[i].Data) {
			t.Errorf("%s has other bytes the second time", c.Name)
		}
	}
	t.Logf("%d documents", len(seen))
}

// sign signs a document as it is done elsewhere, and returns the refusal.
func sign(t *testing.T, p *pdftest.PKI, r io.ReaderAt, size int64, o pdf.Options, w io.Writer) error {
	t.Helper()
	d, err := pdf.Open(r, size)
	if err != nil {
		return err
	}
	o.Time, o.ContentsSize = pdftest.Now(), p.Builder(t).Size()
	prepared, err := d.Prepare(o)
	if err != nil {
		return err
	}
	digest, _, err := prepared.Digest(p.Hash)
	if err != nil {
		return err
	}
	_, err = prepared.Complete(w, p.CMS(t, digest))
	return err
}

// tally counts what judges say of a group of documents.
type tally struct {
	documents, signed int
	ok, unable        map[string]int
}

// TestCorpusSigned signs each document that can be signed, without and with
// an appearance, and lets every judge look at what came out.
func TestCorpusSigned(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	s := &session{p: p, jury: pdftest.NewJury(t, p.Root), groups: map[string]*tally{}}
	for _, c := range slices.Concat(corpus.Good(), corpus.Broken(), throughQPDF(t)) {
		if len(c.Refusals) > 0 || c.Sparse != nil {
			continue
		}
		if s.groups[c.Group] == nil {
			s.groups[c.Group] = &tally{ok: map[string]int{}, unable: map[string]int{}}
			s.order = append(s.order, c.Group)
		}
		s.groups[c.Group].documents++
		t.Run(c.Name, func(t *testing.T) { s.document(t, c) })
	}
	document(t, "pdf-judges.md", `# Signed documents and their judges

Each kind of document that pdf/internal/corpus makes is signed without and with
an appearance, and every judge looks at the result: our verifier (mohor), Poppler
and NSS (pdfsig), qpdf, MuPDF (mutool), OpenSSL, pyHanko. The bytes of the
document must be the beginning of the signed one (prefix), text and renderings
of its pages must be what they were, but for the page with the appearance.
The numbers are of results accepted; "unread" are documents a judge could not
read before they were signed either, or was not asked about because of their
size. Documents of the groups "broken" are those that may be refused or signed.
`, s.table())
}

type session struct {
	p      *pdftest.PKI
	jury   *pdftest.Jury
	groups map[string]*tally
	order  []string
}

func (s *session) document(t *testing.T, c corpus.Case) {
	look := &pdf.Visible{Page: 1, Width: 90, Height: 40, Name: "Siti"}
	if strings.HasSuffix(c.Name, "box-tiny") {
		look = &pdf.Visible{Page: 1, Width: 2, Height: 2}
	}
	if c.Field != "" { // which has its place
		look = &pdf.Visible{Name: "Siti"}
	}
	for _, v := range []*pdf.Visible{nil, look} {
		var out bytes.Buffer
		err := sign(t, s.p, bytes.NewReader(c.Data), int64(len(c.Data)), pdf.Options{Field: c.Field, Visible: v}, &out)
		if c.Either && isRefusal(err) {
			continue
		}
		if err != nil {
			t.Errorf("refused: %v", err)
			continue
		}
		g := s.groups[c.Group]
		g.signed++
		e := pdftest.Evidence{Original: c.Data, Signed: out.Bytes(), Visible: v != nil || c.Field != "", Page: 1, Quick: strings.HasPrefix(c.Name, "large/pages")}
		verdicts := s.jury.Verdicts(t, e)
		verdicts["mohor"] = mohor(t, s.p, out.Bytes())
		if c.Blind != "" {
			verdicts[c.Blind] = pdftest.Unable
		}
		for _, name := range slices.Sorted(maps.Keys(verdicts)) {
			switch objection := verdicts[name]; objection {
			case "":
				g.ok[name]++
			case pdftest.Unable:
				g.unable[name]++
				t.Logf("%s cannot read it before it is signed", name)
			default:
				t.Errorf("%s (visible: %v): %s", name, v != nil, objection)
			}
		}
	}
}

// mohor is our own verdict.
func mohor(t *testing.T, p *pdftest.PKI, signed []byte) string {
	t.Helper()
	r, err := verify.Verify(context.Background(), bytes.NewReader(signed), int64(len(signed)), verify.Options{Roots: p.Roots(), Now: pdftest.Now()})
	if err != nil {
		return err.Error()
	}
	if r.Verdict != verify.Valid {
		return fmt.Sprintf("%s %+v %+v", r.Verdict, r.Reasons, r.Signatures)
	}
	return ""
}

func isRefusal(err error) bool {
	var refused *pdf.Error
	return errors.As(err, &refused)
}

func (s *session) table() string {
	judges := append([]string{"mohor"}, pdftest.Judges()...)
	var b strings.Builder
	fmt.Fprintf(&b, "| kind of file | documents | signed | %s |\n|---|---:|---:|%s\n", strings.Join(judges, " | "), strings.Repeat("---:|", len(judges)))
	sum := tally{ok: map[string]int{}, unable: map[string]int{}}
	line := func(name string, g *tally) {
		fmt.Fprintf(&b, "| %s | %d | %d |", name, g.documents, g.signed)
		for _, j := range judges {
			fmt.Fprintf(&b, " %d", g.ok[j])
			if n := g.unable[j]; n > 0 {
				fmt.Fprintf(&b, " (%d unread)", n)
			}
			b.WriteString(" |")
		}
		b.WriteByte('\n')
	}
	for _, name := range s.order {
		g := s.groups[name]
		line(name, g)
		sum.documents, sum.signed = sum.documents+g.documents, sum.signed+g.signed
		for _, j := range judges {
			sum.ok[j] += g.ok[j]
			sum.unable[j] += g.unable[j]
		}
	}
	line("**all**", &sum)
	return b.String()
}

// throughQPDF has what another writer makes of documents: linearized and
// encrypted ones.
func throughQPDF(t *testing.T) []corpus.Case {
	t.Helper()
	sources := map[string][]byte{}
	for _, c := range corpus.Good() {
		switch c.Name {
		case "pages/unbalanced", "forms/direct", "xref/object-stream-form":
			sources[strings.ReplaceAll(c.Name, "/", "-")] = c.Data
		}
	}
	var out []corpus.Case
	for _, q := range []struct {
		group, name string
		args        []string
	}{
		{"linearized", "table", []string{"--linearize", "--object-streams=disable"}},
		{"linearized", "streams", []string{"--linearize", "--object-streams=generate"}},
		{"encrypted", "rc4-40", []string{"--allow-weak-crypto", "--encrypt", "", "owner", "40", "--"}},
		{"encrypted", "rc4-128", []string{"--allow-weak-crypto", "--encrypt", "", "owner", "128", "--use-aes=n", "--"}},
		{"encrypted", "aes-128", []string{"--encrypt", "", "owner", "128", "--use-aes=y", "--"}},
		{"encrypted", "aes-128-clear-metadata", []string{"--encrypt", "", "owner", "128", "--use-aes=y", "--cleartext-metadata", "--"}},
		{"encrypted", "aes-256", []string{"--encrypt", "", "owner", "256", "--"}},
		{"encrypted", "aes-256-r5", []string{"--allow-weak-crypto", "--encrypt", "", "owner", "256", "--force-R5", "--"}},
		{"encrypted", "aes-256-streams", []string{"--object-streams=generate", "--encrypt", "", "owner", "256", "--"}},
		{"encrypted", "aes-256-linearized", []string{"--linearize", "--encrypt", "", "owner", "256", "--"}},
	} {
		for _, name := range slices.Sorted(maps.Keys(sources)) {
			out = append(out, corpus.Case{Group: q.group, Name: q.group + "/" + q.name + "-" + name, Data: qpdf(t, sources[name], q.args...)})
		}
	}
	return out
}

func qpdf(t *testing.T, b []byte, args ...string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "out.pdf")
	args = append(args, "--deterministic-id", pdftest.Write(t, "in.pdf", b), path)
	if slices.Contains(args, "--encrypt") {
		args[len(args)-3] = "--static-id"
	}
	if out, err := pdftest.Run(t, "qpdf", args...); err != nil {
		t.Fatalf("qpdf: %v\n%s", err, out)
	}
	out, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSparseDocumentsAreSigned: what cannot be held in memory. The verifier
// reads the document and the increment as one.
func TestSparseDocumentsAreSigned(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	for _, c := range corpus.Good() {
		if c.Sparse == nil || c.Sparse.Size() > 2<<30 {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			r, size := c.Open()
			tail := &tailWriter{skip: size}
			if err := sign(t, p, r, size, pdf.Options{}, tail); err != nil {
				t.Fatal(err)
			}
			whole := &joined{r, size, tail.kept.Bytes()}
			report, err := verify.Verify(context.Background(), whole, size+int64(tail.kept.Len()), verify.Options{Roots: p.Roots(), Now: pdftest.Now()})
			if err != nil || report.Verdict != verify.Valid {
				t.Errorf("%v %+v", err, report)
			}
		})
	}
}

// tailWriter keeps what is written behind the first bytes.
type tailWriter struct {
	skip int64
	kept bytes.Buffer
}

func (w *tailWriter) Write(b []byte) (int, error) {
	n := min(w.skip, int64(len(b)))
	w.skip -= n
	w.kept.Write(b[n:])
	return len(b), nil
}

// joined reads a document and what was appended.
type joined struct {
	r    io.ReaderAt
	size int64
	tail []byte
}

func (j *joined) ReadAt(b []byte, off int64) (n int, err error) {
	if off < j.size {
		part := b[:min(int64(len(b)), j.size-off)]
		if n, err = j.r.ReadAt(part, off); err != nil && err != io.EOF || len(part) == len(b) {
			return n, err
		}
	}
	m, err := bytes.NewReader(j.tail).ReadAt(b[n:], off+int64(n)-j.size)
	return n + m, err
}

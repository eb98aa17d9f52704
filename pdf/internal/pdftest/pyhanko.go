package pdftest

import (
	"bufio"
	"crypto/x509"
	_ "embed" // the script
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

//go:embed pyhanko.py
var pyHankoScript string

// PyHankoReport is what pyHanko says of a file. Error tells why it could not
// be read; Strict whether it could under pyHanko's strict rules of syntax.
type PyHankoReport struct {
	Error      string
	Strict     bool
	Signatures []PyHankoSignature
}

// PyHankoSignature is what pyHanko says of a signature or document
// time-stamp, in the words of its own API. ADES is the indication of ETSI EN
// 319 102-1, Section 5.6.3 (5.3 without a signature time-stamp), found with
// the evidence in the file alone: "OK" or a subindication. Revocation is
// asked for when there is a DSS.
type PyHankoSignature struct {
	Field, Type   string
	BottomLine    bool `json:"bottom_line"`
	Valid, Intact bool
	Trusted       bool
	Coverage      string // "ENTIRE_FILE", "ENTIRE_REVISION" …
	Modification  string // "NONE", "LTA_UPDATES", "FORM_FILLING", "ANNOTATIONS", "OTHER"
	DocMDPOK      *bool  `json:"docmdp_ok"`
	SeedValueOK   *bool  `json:"seed_value_ok"`
	Timestamp     *bool  // nil without a signature time-stamp
	ADES          string
	ADESDetail    string `json:"ades_detail"`
	Error         string
	Detail        string // what about the modification was suspicious
}

// pyHanko is a running process.
type pyHanko struct {
	mu    sync.Mutex
	in    io.WriteCloser
	out   *bufio.Reader
	roots [][]byte
}

type pyHankoRequest struct {
	File     string   `json:"file"`
	Roots    [][]byte `json:"roots"`
	Password string   `json:"password,omitempty"`
}

// PyHanko lets pyHanko judge files with the roots trusted, in one process.
func PyHanko(t testing.TB, roots []*x509.Certificate, files ...[]byte) []PyHankoReport {
	t.Helper()
	p := startPyHanko(t, roots)
	out := make([]PyHankoReport, len(files))
	for i, b := range files {
		out[i] = p.judge(t, Write(t, "signed.pdf", b), "")
	}
	return out
}

// RequirePyHanko returns the Python that has pyHanko: bin/pyhanko of the tree,
// where `make pyhanko` puts it. Without it the test is skipped, or fails where
// MOHOR_TEST_REQUIRE is all.
func RequirePyHanko(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
	python := filepath.Join(dir, "bin", "pyhanko", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		if os.Getenv("MOHOR_TEST_REQUIRE") == "all" {
			t.Fatalf("pyHanko is required (make pyhanko): %v", err)
		}
		t.Skip("pyHanko is not installed (make pyhanko)")
	}
	return python
}

func startPyHanko(t testing.TB, roots []*x509.Certificate) *pyHanko {
	t.Helper()
	cmd := exec.Command(RequirePyHanko(t), "-c", pyHankoScript)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("pyHanko: %v", err)
		}
	})
	p := &pyHanko{in: in, out: bufio.NewReader(out)}
	for _, c := range roots {
		p.roots = append(p.roots, c.Raw)
	}
	return p
}

func (p *pyHanko) judge(t testing.TB, path, password string) (r PyHankoReport) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := json.NewEncoder(p.in).Encode(pyHankoRequest{File: path, Roots: p.roots, Password: password}); err != nil {
		t.Fatalf("pyHanko: %v", err)
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		t.Fatalf("pyHanko: %v", err)
	}
	if err := json.Unmarshal(line, &r); err != nil {
		t.Fatalf("pyHanko: %v: %s", err, line)
	}
	return r
}

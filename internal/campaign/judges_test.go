//go:build !race

package campaign_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"flag"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

var (
	certificates = flag.Int("campaign.certificates", 42, "eCertificates in the batch that others judge")
	judged       = flag.Int("campaign.judged", 20, "how many of them others judge, chosen at random")
)

// TestJudges has pdfsig and pyHanko judge certificates of a batch, chosen at random, and pdftotext read
// the names on all of them that are awkward to print.
func TestJudges(t *testing.T) {
	for _, name := range []string{"certutil", "pdfsig", "pdftotext"} {
		gatewaytest.Tool(t, name)
	}
	hanko := startPyHanko(t)
	r := newRigWith(t, &rig{})
	b := r.newList(t, *certificates)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	res := result{refusals: map[string]int{}}
	if !r.insist(ctx, t, b, &res) {
		t.Fatalf("the batch is %s, %v", r.status(ctx, b), res.refusals)
	}
	complain(t, result{violations: r.wrongFiles(t, b)})
	files := r.archived(t, b)
	root := r.root(t)
	nss := t.TempDir()
	rootFile := filepath.Join(nss, "root.pem")
	must(t, os.WriteFile(rootFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}), 0o600))
	for _, args := range [][]string{{"-N", "--empty-password"}, {"-A", "-n", "root", "-t", "CT,C,C", "-a", "-i", rootFile}} {
		if out, err := exec.CommandContext(ctx, "certutil", append(args, "-d", "sql:"+nss)...).CombinedOutput(); err != nil {
			t.Fatalf("certutil: %v: %s", err, out)
		}
	}
	numbers := slices.Sorted(maps.Keys(files))
	rand.Shuffle(len(numbers), func(i, k int) { numbers[i], numbers[k] = numbers[k], numbers[i] })
	read := map[string]int{}
	path := filepath.Join(t.TempDir(), "certificate.pdf")
	for _, number := range numbers[:min(*judged, len(numbers))] {
		must(t, os.WriteFile(path, unzipped(t, files[number]), 0o600))
		out, err := exec.CommandContext(ctx, "pdfsig", "-nssdir", "sql:"+nss, path).CombinedOutput()
		for _, said := range []string{"Signature is Valid.", "Certificate is Trusted.", "Total document signed"} {
			if err != nil || strings.Count(string(out), said) != 1 {
				t.Errorf("%s: pdfsig: %v: %s", number, err, out)
				break
			}
		}
		hanko.judge(t, path, root.Raw)
		read[b.rows[number]]++
		r.reads(ctx, t, path, b.rows[number])
	}
	// Every name, also those that were not among the chosen.
	for _, number := range numbers {
		if name := b.rows[number]; read[name] == 0 {
			read[name]++
			must(t, os.WriteFile(path, unzipped(t, files[number]), 0o600))
			r.reads(ctx, t, path, name)
		}
	}
	t.Logf("%d of %d certificates judged, %d names read", min(*judged, len(numbers)), len(numbers), len(read))
	if len(read) != min(len(awkward), *certificates) {
		t.Errorf("%d names of %d were printed", len(read), len(awkward))
	}
}

// reads demands that a name is in the text of a certificate, as it was given but for where it wraps.
func (r *rig) reads(ctx context.Context, t *testing.T, path, name string) {
	t.Helper()
	out, err := exec.CommandContext(ctx, "pdftotext", "-enc", "UTF-8", path, "-").Output()
	if text := strings.Join(strings.Fields(string(out)), " "); err != nil || !strings.Contains(text, name) {
		t.Errorf("%q is not in the text: %v, %.600q", name, err, text)
	}
}

// hanko is pyHanko, asked as the tests of package pdf ask it.
type hanko struct {
	in  *json.Encoder
	out *bufio.Reader
}

func startPyHanko(t *testing.T) *hanko {
	t.Helper()
	python := filepath.Join("..", "..", "bin", "pyhanko", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		gatewaytest.Require(t, "pyHanko (make pyhanko)")
	}
	script, err := os.ReadFile(filepath.Join("..", "..", "pdf", "internal", "pdftest", "pyhanko.py"))
	must(t, err)
	cmd := exec.Command(python, "-c", string(script)) // beside its own file, pyHanko would not be found
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		must(t, in.Close())
		must(t, cmd.Wait())
	})
	return &hanko{json.NewEncoder(in), bufio.NewReader(out)}
}

// judge demands that pyHanko finds one signature, valid, trusted and over the whole file.
func (h *hanko) judge(t *testing.T, path string, root []byte) {
	t.Helper()
	must(t, h.in.Encode(map[string]any{"file": path, "roots": []string{base64.StdEncoding.EncodeToString(root)}}))
	line, err := h.out.ReadBytes('\n')
	must(t, err)
	var said struct {
		Error      string
		Signatures []struct {
			BottomLine bool `json:"bottom_line"`
			Valid      bool
			Intact     bool
			Trusted    bool
			Coverage   string
		}
	}
	must(t, json.Unmarshal(line, &said))
	if len(said.Signatures) != 1 {
		t.Errorf("pyHanko: %s", line)
		return
	}
	if s := said.Signatures[0]; said.Error != "" || !s.BottomLine || !s.Valid || !s.Intact || !s.Trusted || s.Coverage != "ENTIRE_FILE" {
		t.Errorf("pyHanko: %s", line)
	}
}

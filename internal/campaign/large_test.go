package campaign_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	largeSize = flag.Int64("campaign.megabytes", 24, "size of the large PDF")
	// A gateway at rest has some 90 MB.
	largeMemory = flag.Int64("campaign.memory", 300, "most memory of a gateway that signs it, in megabytes")
)

// largePDF writes a PDF of one page with a stream of so many bytes in it.
func largePDF(w io.Writer, size int64) error {
	b := bufio.NewWriterSize(w, 1<<20)
	at, offsets := int64(0), []int64{}
	write := func(text string) {
		n, _ := b.WriteString(text) // Flush gives its error
		at += int64(n)
	}
	object := func(text string) { offsets = append(offsets, at); write(text) }
	write("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	object("1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n")
	object("2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n")
	object("3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</XObject<</I 4 0 R>>>>>>endobj\n")
	object(fmt.Sprintf("4 0 obj<</Type/XObject/Subtype/Image/Width 1024/Height %d/ColorSpace/DeviceGray/BitsPerComponent 8/Length %d>>stream\n", size>>10, size))
	line := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for left := size; left > 0; left -= int64(len(line)) {
		n, _ := b.Write(line[:min(left, int64(len(line)))])
		at += int64(n)
	}
	write("\nendstream endobj\n")
	start := at
	write("xref\n0 5\n0000000000 65535 f \n")
	for _, o := range offsets {
		write(fmt.Sprintf("%010d 00000 n \n", o))
	}
	write(fmt.Sprintf("trailer<</Size 5/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", start))
	return b.Flush()
}

// A large PDF goes up, is signed and comes down in the memory of a small one; of one that is cut
// off on its way nothing stays.
func TestLargePDF(t *testing.T) {
	r := newRig(t, false)
	r.stop(t)
	path := filepath.Join(r.dir, "mohor.yaml")
	conf, err := os.ReadFile(path)
	must(t, err)
	for name, value := range map[string]int64{"pdf_megabytes": *largeSize + 1, "upload_megabytes": *largeSize + 1} {
		var lines []string
		for line := range strings.Lines(string(conf)) {
			if strings.HasPrefix(strings.TrimSpace(line), name+":") {
				line = fmt.Sprintf("  %s: %d\n", name, value)
			}
			lines = append(lines, line)
		}
		conf = []byte(strings.Join(lines, ""))
	}
	must(t, os.WriteFile(path, conf, 0o600))
	r.start(t)
	r.client.Timeout = 10 * time.Minute
	blobs := r.files(t)

	// Cut off in the middle.
	if status := r.uploadLarge(t, "", *largeSize<<19); status != 0 {
		t.Errorf("half an upload: %d", status)
	}
	began := time.Now()
	var doc struct {
		ID string `json:"document_id"`
	}
	var raw bytes.Buffer
	if status := r.uploadLargeTo(t, "besar", -1, &raw); status != http.StatusCreated {
		t.Fatalf("upload: %d %s", status, raw.Bytes())
	}
	must(t, json.Unmarshal(raw.Bytes(), &doc))
	up := time.Since(began)
	if n := r.files(t); n != blobs+1 {
		t.Errorf("%d files of documents, want %d: half an upload stayed", n, blobs+1)
	}
	began = time.Now()
	o := r.dev.Officers[0]
	asked := time.Now()
	var tx confirmation
	ask := map[string]any{"ic": o.IC, "system": r.dev.System, "format": "PADES", "documents": []any{map[string]string{"document_id": doc.ID}}, "credential_id": r.credential()}
	if status, err := r.do(t.Context(), "POST", "/v1/transactions", ask, &tx); err != nil || status != 201 {
		t.Fatalf("asking: %d, %v", status, err)
	}
	code, err := r.code(t.Context(), o.Email, asked)
	must(t, err)
	if status, err := r.do(t.Context(), "POST", "/v1/transactions/"+tx.ID+"/sign", map[string]string{"nonce": tx.Nonce, "pin": string(o.PIN.Reveal()), "otp": code}, nil); err != nil || status != 200 {
		t.Fatalf("signing: %d, %v", status, err)
	}
	signed := time.Since(began)
	began = time.Now()
	sum, size := r.downloadLarge(t, "/v1/documents/"+doc.ID+"/content?version=original")
	h := sha256.New()
	must(t, largePDF(h, *largeSize<<20))
	if sum != hex.EncodeToString(h.Sum(nil)) {
		t.Error("the original came back otherwise")
	}
	if _, n := r.downloadLarge(t, "/v1/documents/"+doc.ID+"/content"); n <= size {
		t.Errorf("the signed one has %d bytes, the original %d", n, size)
	}
	down := time.Since(began)
	peak := r.peak(t)
	if peak > *largeMemory {
		t.Errorf("%d MB of memory, want at most %d", peak, *largeMemory)
	}
	t.Logf("%d MB: up in %v, signed in %v, down twice in %v; at most %d MB of memory", *largeSize, up.Round(time.Millisecond), signed.Round(time.Millisecond), down.Round(time.Millisecond), peak)
	r.stop(t)
	if n := r.done(t, "document.upload"); n != 1 {
		t.Errorf("%d uploads in the audit", n)
	}
}

func (r *rig) uploadLarge(t *testing.T, key string, cut int64) int {
	return r.uploadLargeTo(t, key, cut, io.Discard)
}

// uploadLargeTo uploads the PDF, or its beginning, and gives the status of the answer; 0 is none.
func (r *rig) uploadLargeTo(t *testing.T, key string, cut int64, out io.Writer) int {
	t.Helper()
	in, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		var to io.Writer = w
		if cut >= 0 {
			to = &cutting{w, cut, cancel}
		}
		w.CloseWithError(largePDF(to, *largeSize<<20)) //nolint:errcheck // it has none
	}()
	req, err := http.NewRequestWithContext(ctx, "POST", r.dev.BaseURL+"/v1/documents?name=besar.pdf", in)
	must(t, err)
	req.Header.Set("X-API-Key", string(r.dev.APIKey.Reveal()))
	req.Header.Set("Content-Type", "application/pdf")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, err = io.Copy(out, resp.Body)
	must(t, err)
	return resp.StatusCode
}

// cutting ends a connection after so many bytes.
type cutting struct {
	w    io.Writer
	left int64
	end  func()
}

func (c *cutting) Write(p []byte) (int, error) {
	if c.left -= int64(len(p)); c.left < 0 {
		c.end()
		return 0, io.ErrClosedPipe
	}
	return c.w.Write(p)
}

// downloadLarge is slow at first, and gives SHA-256 in hex and size.
func (r *rig) downloadLarge(t *testing.T, path string) (sum string, n int64) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", r.dev.BaseURL+path, nil)
	must(t, err)
	req.Header.Set("X-API-Key", string(r.dev.APIKey.Reveal()))
	resp, err := r.client.Do(req)
	must(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Fatalf("%s: %d", path, resp.StatusCode)
	}
	h := sha256.New()
	pause := time.NewTimer(300 * time.Millisecond) // the gateway waits, and keeps nothing
	<-pause.C
	n, err = io.Copy(h, resp.Body)
	must(t, err)
	return hex.EncodeToString(h.Sum(nil)), n
}

// files counts the files of uploaded documents, and what is spooled.
func (r *rig) files(t *testing.T) (n int) {
	t.Helper()
	for _, dir := range []string{"blobs", "tmp"} {
		err := filepath.WalkDir(filepath.Join(r.dir, dir), func(_ string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				n++
			}
			return err
		})
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	return n
}

// peak is the most memory that the gateway's process had, in megabytes.
func (r *rig) peak(t *testing.T) int64 {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.child.cmd.Process.Pid))
	must(t, err)
	for line := range strings.Lines(string(raw)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(v)[0], 10, 64)
			must(t, err)
			return kb >> 10
		}
	}
	t.Fatal("no VmHWM")
	return 0
}

package batch_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/signer"
)

// shelf is a batch of many documents that are all alike, and takes in what comes.
type shelf struct {
	batch.Queue
	signer.Blobs
	items int
	page  []byte
	size  int64 // of a signed document; what is behind page is zeros
	taken int
}

func (s *shelf) Batch(context.Context, string) (batch.Batch, error) {
	return batch.Batch{ID: "ba", App: "a", Kind: batch.PDF, Status: batch.Open}, nil
}

func (s *shelf) Items(_ context.Context, _, _ string, after int64, limit int) (out []batch.Item, err error) {
	for k := after + 1; k < int64(s.items) && len(out) < limit; k++ {
		out = append(out, batch.Item{State: batch.ItemSigned, SignedBlob: "signed", SignedAt: time.Unix(1<<30, 0),
			Document: signer.Document{Index: uint32(k), Name: fmt.Sprintf("surat %d", k), Hash: crypto.SHA256, Digest: make([]byte, 32)}})
	}
	return out, nil
}

func (s *shelf) AddItems(_ context.Context, _ string, items []batch.Item, refused []batch.Refusal, _ audit.Event) error {
	if len(refused) > 0 {
		return fmt.Errorf("refused: %v", refused[0])
	}
	s.taken += len(items)
	return nil
}

func (s *shelf) ClaimIntake(context.Context, string, string) error { return nil }

func (s *shelf) Stage(_ context.Context, _, _ string, p batch.Page) error {
	return s.AddItems(context.Background(), "", p.Items, p.Refused, audit.Event{})
}

func (s *shelf) CommitIntake(_ context.Context, _, _ string, _ uint32, items, _ int, _ audit.Event) error {
	if items != s.taken {
		return fmt.Errorf("%d items of %d", items, s.taken)
	}
	return nil
}

func (s *shelf) Audit(context.Context, audit.Event) error { return nil }

type zeros struct {
	*bytes.Reader
	size int64
}

func (z *zeros) Size() int64  { return z.size }
func (z *zeros) Close() error { return nil }
func (z *zeros) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < z.Reader.Size() {
		_, _ = z.Reader.ReadAt(p, off) // its end is not ours
	}
	if left := z.size - off; int64(len(p)) > left {
		return int(max(0, left)), io.EOF
	}
	return len(p), nil
}

func (s *shelf) Open(context.Context, string) (signer.Blob, error) {
	return &zeros{bytes.NewReader(s.page), max(s.size, int64(len(s.page)))}, nil
}

func (s *shelf) Create(_ context.Context, _ string, write func(io.Writer) error) (int64, error) {
	return int64(len(s.page)), write(io.Discard)
}

func (s *shelf) Remove(context.Context, string) error                    { return nil }
func (s *shelf) SealPassword(context.Context, string, secret.Text) error { return nil }
func (s *shelf) service(t *testing.T, megabytes int64) *batch.Service {
	return &batch.Service{Queue: s, Blobs: s, Passwords: s, TempDir: t.TempDir(), MaxUpload: megabytes << 20, MaxPDF: megabytes << 20, Now: time.Now}
}

// Archives of more files, and more bytes, than the old ZIP can count: others' readers find all.
func TestArchivesInZIP64(t *testing.T) {
	python, unzip := tool(t, "python3"), tool(t, "unzip")
	page := []byte("%PDF-1.7\n")
	rows := map[string]*shelf{"70,000 files": {items: 70_000, page: page}, "control: a few of them": {items: 3, page: page}}
	if os.Getenv(bigVariable) != "" {
		rows["a file beyond 4 GiB"] = &shelf{items: 1, page: page, size: 4<<30 + 7}
		rows["files beyond 4 GiB"] = &shelf{items: 3, page: page, size: 1500 << 20}
	}
	for what, s := range rows {
		t.Run(what, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.zip")
			f, err := os.Create(path)
			must(t, err)
			must(t, s.service(t, 1).Archive(t.Context(), batch.Batch{ID: "ba"}, &holes{f: f}))
			must(t, f.Close())
			defer os.Remove(path)
			script := `import sys, zipfile
z = zipfile.ZipFile(sys.argv[1])
assert z.testzip() is None
print(len(z.infolist()), sum(i.file_size for i in z.infolist() if i.filename != "manifest.json"))`
			out, err := exec.Command(python, "-c", script, path).CombinedOutput()
			if want := fmt.Sprintf("%d %d\n", s.items+1, int64(s.items)*max(s.size, int64(len(s.page)))); err != nil || string(out) != want {
				t.Errorf("python: %s, want %s, %v", out, want, err)
			}
			if out, err := exec.Command(unzip, "-tqq", path).CombinedOutput(); err != nil {
				t.Errorf("unzip: %v: %.2000s", err, out)
			}
		})
	}
}

// bigVariable has the rows of many gigabytes run, which take minutes and no room on the disk.
const bigVariable = "MOHOR_TEST_GIGABYTES"

// holes writes what is zero as a hole, so that a file of gigabytes takes no room.
type holes struct {
	f  *os.File
	at int64
}

func (h *holes) Write(p []byte) (n int, err error) {
	if strings.Trim(string(p), "\x00") != "" {
		_, err = h.f.WriteAt(p, h.at)
	}
	h.at += int64(len(p))
	return len(p), err
}

// A ZIP of more files than the old format can count is taken in.
func TestIntakeOfZIP64(t *testing.T) {
	page := smallest()
	s := &shelf{page: page}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	const many = 66_000
	for k := range many {
		f, err := w.Create(fmt.Sprintf("surat-%d.pdf", k))
		must(t, err)
		_, err = f.Write(page)
		must(t, err)
	}
	must(t, w.Close())
	got, err := s.service(t, 256).AddPDFs(t.Context(), "a", "ba", "r", &b)
	if err != nil || got.Accepted != many || s.taken != many {
		t.Errorf("%d of %d taken in, %v", got.Accepted, many, err)
	}
}

// tool is the path of a program.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("MOHOR_TEST_REQUIRE") == "all" {
		t.Fatalf("%s is required", name)
	} else if err != nil {
		t.Skipf("%s is missing", name)
	}
	return path
}

// smallest is a PDF of one empty page.
func smallest() []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n")
	var at []int
	for k, o := range []string{"<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1>>", "<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Resources<<>>>>"} {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj%sendobj\n", k+1, o)
	}
	start := b.Len()
	b.WriteString("xref\n0 4\n0000000000 65535 f \n")
	for _, x := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", x)
	}
	fmt.Fprintf(&b, "trailer<</Size 4/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", start)
	return b.Bytes()
}

package batch_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/ecert"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/storetest"
)

func (h *house) addPDFs(id string, p []byte) (batch.Intake, error) {
	return h.svc.AddPDFs(ctx, h.App.ID, id, "r", bytes.NewReader(p))
}

// stored counts the blobs.
func (h *house) stored(t testing.TB) (n int) {
	t.Helper()
	must(t, filepath.WalkDir(h.dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	}))
	return n
}

func TestPDFs(t *testing.T) {
	h := newHouse(t)
	id := h.create(t, batch.PDF)
	a, b := storetest.PDF("a"), storetest.PDF("b", "b2")
	got, err := h.addPDFs(id, archive(t, "sub/", []byte{}, "sub/a.pdf", a, "bad.pdf", []byte("not a PDF"), "sub/a.pdf", b, "big.pdf", append(bytes.Clone(a), make([]byte, 1<<20)...)))
	must(t, err)
	if got.Accepted != 2 || len(got.Refused) != 2 || got.Refused[0].Name != "bad.pdf" || got.Refused[0].Row != 3 || got.Refused[0].Code != string(pdf.ErrInvalid) ||
		got.Refused[1].Name != "big.pdf" || got.Refused[1].Code != string(pdf.ErrTooLarge) {
		t.Errorf("%+v", got)
	}
	got, err = h.addPDFs(id, archive(t, "c.pdf", a))
	if err != nil || got.Accepted != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	for k, want := range [][]byte{a, b, a} {
		it := h.items(t, id)[k]
		sum := sha256.Sum256(want)
		blob, err := h.blobs.Open(ctx, it.Blob)
		must(t, err)
		p, err := io.ReadAll(io.NewSectionReader(blob, 0, blob.Size()))
		must(t, errors.Join(err, blob.Close()))
		if int(it.Index) != k || !bytes.Equal(it.Digest, sum[:]) || !bytes.Equal(p, want) || it.Size != int64(len(want)) {
			t.Errorf("item %d: %+v", k, it.Document)
		}
	}
	for what, bad := range map[string][]byte{
		"no ZIP":         []byte("no ZIP"),
		"nothing":        nil,
		"a cut one":      archive(t, "a.pdf", a)[:100],
		"a damaged file": damaged(t, a),
		"shared bytes":   shared(t, a),
	} {
		h.refuses(t, what, id, batch.ErrInput, func() error { _, err := h.addPDFs(id, bad); return err })
	}
	var told *batch.InputError
	if _, err := h.addPDFs(id, []byte("no ZIP")); !errors.As(err, &told) || !strings.Contains(told.EN, "no ZIP that can be read") || !strings.Contains(told.MS, "bukan ZIP yang boleh dibaca") {
		t.Errorf("no ZIP is told as %v", err)
	}
	got, err = h.addPDFs(id, archive(t, "a\x07.pdf", a, strings.Repeat("n", 201), a))
	if err != nil || got.Accepted != 0 || len(got.Refused) != 2 || got.Refused[0].Name != "a.pdf" || got.Refused[1].Code != ecert.CodeFieldInvalid {
		t.Errorf("names of controls, long names: %+v, %v", got, err)
	}
	h.refuses(t, "a bomb", id, batch.ErrTooLarge, func() error {
		_, err := h.addPDFs(id, archive(t, "a.pdf", a, "bomb.pdf", make([]byte, h.svc.MaxUpload+1)))
		return err
	})
	h.refuses(t, "many that are large together", id, batch.ErrTooLarge, func() error {
		half := make([]byte, h.svc.MaxUpload/2+1)
		_, err := h.addPDFs(id, archive(t, "a.pdf", half, "b.pdf", half))
		return err
	})
}

// damaged is a ZIP whose file does not have its checksum.
func damaged(t testing.TB, content []byte) []byte {
	p := archive(t, "a.pdf", content)
	at := bytes.LastIndex(p, []byte("PK\x01\x02"))
	p[at+16] ^= 1 // CRC-32 in the central directory
	if at = bytes.Index(p, []byte("PK\x07\x08")); at > 0 {
		p[at+4] ^= 1 // and in the data descriptor
	}
	return p
}

// shared is a ZIP with two entries over the same bytes.
func shared(t testing.TB, content []byte) []byte {
	t.Helper()
	p := archive(t, "a.pdf", content)
	at := bytes.LastIndex(p, []byte("PK\x01\x02"))
	end := bytes.LastIndex(p, []byte("PK\x05\x06"))
	entry := bytes.Clone(p[at:end])
	out := append(bytes.Clone(p[:end]), entry...)
	tail := bytes.Clone(p[end:])
	binary.LittleEndian.PutUint16(tail[8:], 2)
	binary.LittleEndian.PutUint16(tail[10:], 2)
	binary.LittleEndian.PutUint32(tail[12:], uint32(2*len(entry)))
	out = append(out, tail...)
	r, err := zip.NewReader(bytes.NewReader(out), int64(len(out)))
	if err != nil || len(r.File) != 2 {
		t.Fatalf("the ZIP is not what it should be: %v", err)
	}
	return out
}

// A first upload that is refused leaves no bytes behind.
func TestRefusedUploadLeavesNothing(t *testing.T) {
	h := newHouse(t)
	id := h.create(t, batch.PDF)
	h.refuses(t, "a bad second file", id, batch.ErrInput, func() error {
		p := archive(t, "a.pdf", storetest.PDF("a"), "b.pdf", storetest.PDF("b"))
		p[bytes.LastIndex(p, []byte("PK\x01\x02"))+16] ^= 1 // the second file's checksum
		_, err := h.addPDFs(id, p)
		return err
	})
	if n := h.stored(t); n != 0 {
		t.Errorf("%d blobs are left", n)
	}
	_, err := h.addPDFs(id, archive(t, "a.pdf", storetest.PDF("a")))
	must(t, err)
	if n := h.stored(t); n != 1 {
		t.Errorf("%d blobs", n)
	}
	must(t, h.svc.Cancel(ctx, h.App.ID, id, "r"))
	if n := h.stored(t); n != 0 {
		t.Errorf("%d blobs are left of a cancelled batch", n)
	}
}

func TestUpload(t *testing.T) {
	h := newHouse(t)
	p := storetest.PDF("satu", "dua")
	d, _, err := h.svc.Upload(ctx, h.DB, h.App.ID, "surat.pdf", "r", bytes.NewReader(p), secret.Text{})
	must(t, err)
	sum := sha256.Sum256(p)
	if got, err := h.DB.Document(ctx, d.ID); err != nil || got.Pages != 2 || got.Size != int64(len(p)) || !bytes.Equal(got.Digest, sum[:]) || got.App != h.App.ID || got.Name != "surat.pdf" {
		t.Errorf("%+v, %v", got, err)
	}
	before := h.stored(t)
	for what, c := range map[string]struct {
		name string
		p    []byte
		want error
	}{
		"a name":  {"", p, batch.ErrInput},
		"no PDF":  {"a", []byte("no"), pdf.ErrInvalid},
		"nothing": {"a", nil, pdf.ErrInvalid},
		"large":   {"a", append(bytes.Clone(p), make([]byte, 1<<20)...), pdf.ErrTooLarge},
	} {
		h.refuses(t, what, "", c.want, func() error {
			_, _, err := h.svc.Upload(ctx, h.DB, h.App.ID, c.name, "r", bytes.NewReader(c.p), secret.Text{})
			return err
		})
	}
	if n := h.stored(t); n != before {
		t.Errorf("%d blobs of refused uploads are left", n-before)
	}
}

// passwords counts what was sealed.
type passwords struct{ sealed int }

func (p *passwords) SealPassword(context.Context, string, secret.Text) error {
	p.sealed++
	return nil
}

// A document refused for what is in it leaves no password behind.
func TestRefusedUploadSealsNoPassword(t *testing.T) {
	h := newHouse(t)
	kept := &passwords{}
	h.svc.Passwords, h.svc.Refuse = kept, pdf.Danger
	const password = "kata-laluan-22"
	plain := storetest.PDF("satu")
	script := bytes.Replace(plain, []byte("/Type/Catalog"), []byte("/Type/Catalog/OpenAction<</S/JavaScript/JS(app.alert\\(1\\))>>"), 1)
	if bytes.Equal(plain, script) {
		t.Fatal("no script was put in")
	}
	upload := func(document []byte) error {
		_, _, err := h.svc.Upload(ctx, h.DB, h.App.ID, "surat.pdf", "r", bytes.NewReader(encrypt(t, document, password)), secret.New(password))
		return err
	}
	before := h.stored(t)
	h.refuses(t, "a script", "", pdf.ErrUnsafe, func() error { return upload(script) })
	if kept.sealed != 0 || h.stored(t) != before {
		t.Errorf("refused: %d passwords sealed, %d blobs left", kept.sealed, h.stored(t)-before)
	}
	must(t, upload(plain))
	if kept.sealed != 1 {
		t.Errorf("control: %d passwords sealed", kept.sealed)
	}
}

// encrypt is the document behind a user password.
func encrypt(t testing.TB, document []byte, password string) []byte {
	t.Helper()
	qpdf, err := exec.LookPath("qpdf")
	if err != nil {
		if os.Getenv("MOHOR_TEST_REQUIRE") == "all" {
			t.Fatal("qpdf is required")
		}
		t.Skip("qpdf is missing")
	}
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.pdf"), filepath.Join(dir, "out.pdf")
	must(t, os.WriteFile(in, document, 0o600))
	// The script has moved offsets, about which it warns.
	text, err := exec.Command(qpdf, "--warning-exit-0", "--encrypt", password, "owner", "256", "--", in, out).CombinedOutput()
	if err != nil {
		t.Fatalf("qpdf: %v\n%s", err, text)
	}
	b, err := os.ReadFile(out)
	must(t, err)
	return b
}

func TestArchive(t *testing.T) {
	h := newHouse(t)
	id := h.create(t, batch.PDF)
	// The appearance is for page 2: the document with one page is refused, the
	// others go on.
	_, err := h.addPDFs(id, archive(t, "../../etc/passwd", storetest.PDF("a", "a2"), "satu muka.pdf", storetest.PDF("b"), "c.pdf", storetest.PDF("c", "c2")))
	must(t, err)
	_, err = h.svc.Seal(ctx, h.App.ID, id, false, "r")
	must(t, err)
	ask := h.ask(id)
	ask.Options = signer.Options{Format: signer.PADES, PAdES: signer.PAdES{Level: "B-B", Visible: &signer.Visible{Page: 2, X: 50, Y: 50, Width: 200, Height: 50}}}
	r, c, err := h.s.Prepare(ctx, ask)
	must(t, err)
	a, err := h.s.Authorize(ctx, h.Confirm(r, c))
	must(t, err)
	must(t, batch.NewRunner(h.s, 2, 2, quiet).Run(ctx, a))
	b := h.batch(t, id)
	if b.Status != batch.SignedWithRefusals || b.Signed != 2 || b.Refused != 1 || b.Pending != 0 {
		t.Errorf("%+v", b)
	}
	var out bytes.Buffer
	must(t, h.svc.Archive(ctx, b, &out))
	zr, err := zip.NewReader(bytes.NewReader(out.Bytes()), int64(out.Len()))
	must(t, err)
	files := map[string][]byte{}
	var names []string
	for _, f := range zr.File {
		rc, err := f.Open()
		must(t, err)
		files[f.Name], err = io.ReadAll(rc)
		must(t, errors.Join(err, rc.Close()))
		names = append(names, f.Name)
		if strings.Contains(f.Name, "/") || strings.Contains(f.Name, "..") {
			t.Errorf("file %q leaves its folder", f.Name)
		}
	}
	if len(names) != 3 || names[2] != "manifest.json" {
		t.Fatalf("files %q", names)
	}
	var m batch.Manifest
	must(t, json.Unmarshal(files["manifest.json"], &m))
	if m.Batch != id || m.Count != 3 || m.Fingerprint != signer.Fingerprint(b.Root) || m.Status != batch.SignedWithRefusals || len(m.Items) != 3 {
		t.Errorf("manifest %+v", m)
	}
	for _, it := range m.Items {
		proves(t, &m, &it)
		if it.Index == 1 {
			if it.Verdict != batch.NoGood || it.State != batch.ItemRefused || it.Code == "" || it.File != "" || it.SHA256 != "" {
				t.Errorf("the refused one: %+v", it)
			}
			continue
		}
		sum := sha256.Sum256(files[it.File])
		if it.State != batch.ItemSigned || it.SHA256 != hex.EncodeToString(sum[:]) || it.SignedAt == "" || it.Digest == it.SHA256 || it.Verdict != batch.Verified || it.Level != "B-B" || it.Format != signer.PADES {
			t.Errorf("a signed one: %+v", it)
		}
	}
	if err := h.svc.Archive(ctx, b, brokenWriter{}); !errors.Is(err, errBroken) {
		t.Errorf("a client that goes away: %v", err)
	}
}

// proves wants the line of a manifest to lead to its root, and no other to do so.
func proves(t testing.TB, m *batch.Manifest, it *batch.ManifestItem) {
	t.Helper()
	digest, err := hex.DecodeString(it.Digest)
	must(t, err)
	root, err := base64.StdEncoding.DecodeString(m.Root)
	must(t, err)
	d := signer.Document{Index: it.Index, Name: it.Name, Hash: crypto.SHA256, Digest: digest}
	p := signer.Proof{Index: it.Index, Count: m.Count}
	for _, h := range it.Proof {
		p.Path = append(p.Path, [32]byte(h))
	}
	if err := p.Verify(d.Leaf(), [32]byte(root)); err != nil || it.Alg != "SHA-256" {
		t.Errorf("item %d: %v", it.Index, err)
	}
	d.Name += "x"
	if err := p.Verify(d.Leaf(), [32]byte(root)); !errors.Is(err, signer.ErrProof) {
		t.Errorf("item %d under another name: %v", it.Index, err)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestFileName(t *testing.T) {
	for in, want := range map[string]string{"a.pdf": "00008-a.pdf", "../x": "00008-___x.pdf", "": "00008-.pdf", "é 陳.pdf": "00008-é_陳.pdf", strings.Repeat("a", 100): "00008-" + strings.Repeat("a", 80) + ".pdf",
		strings.Repeat("陳", 40): "00008-" + strings.Repeat("陳", 26) + ".pdf", "CON": "00008-CON.pdf", "a\x00\u202eb\\c:d": "00008-a__b_c_d.pdf", "\xff.pdf": "00008-_.pdf"} {
		it := batch.Item{Document: signer.Document{Index: 7, Name: in}}
		if got := batch.FileName(&it, ".pdf"); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	it := batch.Item{Document: signer.Document{Name: "n", Reference: "S1000001"}}
	if got := batch.FileName(&it, ".p7s"); got != "00001-S1000001.p7s" {
		t.Errorf("%q", got)
	}
}

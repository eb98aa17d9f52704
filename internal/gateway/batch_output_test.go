package gateway_test

import (
	"archive/zip"
	"bufio"
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/archive"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/storetest"
)

// pdfBatch is a sealed batch of PDFs; the second has one page, the others two.
func pdfBatch(t *testing.T, g *gatewaytest.Gateway, n int) (path string) {
	t.Helper()
	var z bytes.Buffer
	w := zip.NewWriter(&z)
	for k := range n {
		f, err := w.Create(fmt.Sprintf("surat-%d.pdf", k))
		if err != nil {
			t.Fatal(err)
		}
		pages := []string{fmt.Sprint("satu ", k), "dua"}
		if k == 1 {
			pages = pages[:1]
		}
		if _, err := f.Write(storetest.PDF(pages...)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b := g.Do("POST", "/v1/batches", "", map[string]string{"name": "Surat Julai", "kind": "pdf"})
	want(t, b, 201, "")
	path = "/v1/batches/" + b.Text("batch_id")
	want(t, g.Do("POST", path+"/items", "application/zip", z.Bytes()), 200, "")
	want(t, g.Do("POST", path+"/seal", "", nil), 200, "")
	return path
}

// onPage2 signs a batch with an appearance on page 2, which the second document does not have.
func onPage2(t *testing.T, g *gatewaytest.Gateway, path string) {
	t.Helper()
	tx, code := g.Ask(map[string]any{"format": "PADES", "batch_id": strings.TrimPrefix(path, "/v1/batches/"), "pades": map[string]any{"level": "B-B", "visible": map[string]any{"page": 2, "x": 50, "y": 50, "width": 200, "height": 50}}})
	want(t, tx, 201, "")
	want(t, g.Confirm(tx, code, nil), 202, "")
	if b := finish(t, g, strings.TrimPrefix(path, "/v1/batches/")); b.Text("status") != "SIGNED_WITH_REFUSALS" {
		t.Fatalf("batch: %s", b.Raw)
	}
}

func TestItemsOfABatch(t *testing.T) {
	g := gatewaytest.New(t)
	path := pdfBatch(t, g, 3)
	want(t, g.Do("GET", path+"/items/0/content", "", nil), 409, "not_signed")
	sealed := g.Do("GET", path, "", nil)
	if needs, _ := sealed.Body["needs"].(map[string]any); needs["action"] != "authorise" || !strings.Contains(fmt.Sprint(needs["message"]), "PIN dan kod") {
		t.Errorf("a sealed batch: %s", sealed.Raw)
	}
	onPage2(t, g, path)

	// How it went.
	b := g.Do("GET", path, "", nil)
	if by, _ := b.Body["refused_by_code"].(map[string]any); by["invalid_request"] != 1.0 || len(by) != 1 || b.Body["needs"] != nil || b.Body["eta"] != nil {
		t.Errorf("a batch that is done: %s", b.Raw)
	}

	// Content of each, whole and in part, for its app alone.
	whole := g.Do("GET", path+"/items/0/content", "", nil)
	want(t, whole, 200, "")
	tag := whole.Header.Get("ETag")
	if !bytes.HasPrefix(whole.Raw, []byte("%PDF-")) || whole.Header.Get("Content-Type") != "application/pdf" || tag == "" || !strings.Contains(whole.Header.Get("Content-Disposition"), "surat-0 (signed).pdf") {
		t.Errorf("content: %v, %.20q", whole.Header, whole.Raw)
	}
	if part := g.Do("GET", path+"/items/0/content", "", nil, "Range", "bytes=10-19"); part.Status != 206 || !bytes.Equal(part.Raw, whole.Raw[10:20]) {
		t.Errorf("a part: %d, %q", part.Status, part.Raw)
	}
	if same := g.Do("GET", path+"/items/0/content", "", nil, "If-None-Match", tag); same.Status != 304 || len(same.Raw) != 0 {
		t.Errorf("the same again: %d", same.Status)
	}
	if head := g.Do("HEAD", path+"/items/0/content", "", nil); head.Status != 200 || head.Header.Get("ETag") != tag || head.Header.Get("Content-Length") != fmt.Sprint(len(whole.Raw)) {
		t.Errorf("head: %d, %v", head.Status, head.Header)
	}
	want(t, g.Do("GET", path+"/items/1/content", "", nil), 409, "not_signed")
	want(t, g.Do("GET", path+"/items/3/content", "", nil), 404, "not_found")
	want(t, g.Do("GET", path+"/items/-1/content", "", nil), 400, "invalid_request")
	want(t, g.Do("GET", path+"/items/4294967296/proof", "", nil), 400, "invalid_request")
	want(t, g.Do("GET", path+"/items/3/proof", "", nil), 404, "not_found")

	// The proof of each, refused ones too, computed from what the answer says alone.
	for k := range 3 {
		r := g.Do("GET", fmt.Sprintf("%s/items/%d/proof", path, k), "", nil)
		want(t, r, 200, "")
		var p struct {
			Index  uint32 `json:"index"`
			Name   string `json:"name"`
			Digest struct {
				Value []byte `json:"value"`
			} `json:"digest"`
			Count uint32   `json:"count"`
			Root  []byte   `json:"root"`
			Path  [][]byte `json:"path"`
		}
		if err := json.Unmarshal(r.Raw, &p); err != nil {
			t.Fatal(err)
		}
		proof := signer.Proof{Index: p.Index, Count: p.Count}
		for _, h := range p.Path {
			proof.Path = append(proof.Path, [32]byte(h))
		}
		d := signer.Document{Index: p.Index, Name: p.Name, Hash: crypto.SHA256, Digest: p.Digest.Value}
		if err := proof.Verify(d.Leaf(), [32]byte(p.Root)); err != nil || r.Text("fingerprint") != sealed.Text("fingerprint") || base64.StdEncoding.EncodeToString(p.Root) != sealed.Text("root") {
			t.Errorf("proof of %d: %v: %s", k, err, r.Raw)
		}
		if sum := sha256.Sum256(storetest.PDF(fmt.Sprint("satu ", k), "dua")); k != 1 && (!bytes.Equal(sum[:], p.Digest.Value) || k == 0 && !bytes.HasPrefix(whole.Raw, storetest.PDF("satu 0", "dua"))) {
			t.Errorf("item %d is not what was sent in", k)
		}
	}
	open := g.Do("POST", "/v1/batches", "", map[string]string{"name": "Terbuka", "kind": "pdf"})
	want(t, g.Do("GET", "/v1/batches/"+open.Text("batch_id")+"/items/0/proof", "", nil), 409, "batch_not_sealed")
}

// Detached signatures are given out by what they are.
func TestContentOfDetachedSignatures(t *testing.T) {
	g := gatewaytest.New(t)
	for format, mediaType := range map[string]string{"CMS": "application/pkcs7-signature", "RAW": "application/octet-stream"} {
		b := g.Do("POST", "/v1/batches", "", map[string]string{"name": "Cincang", "kind": "digest"})
		path := "/v1/batches/" + b.Text("batch_id")
		line, err := json.Marshal(digestRef("satu"))
		if err != nil {
			t.Fatal(err)
		}
		want(t, g.Do("POST", path+"/items", "application/x-ndjson", line), 200, "")
		want(t, g.Do("POST", path+"/seal", "", nil), 200, "")
		tx, code := g.Ask(map[string]any{"format": format, "batch_id": b.Text("batch_id")})
		want(t, g.Confirm(tx, code, nil), 202, "")
		finish(t, g, b.Text("batch_id"))
		r := g.Do("GET", path+"/items/0/content", "", nil)
		item := g.Do("GET", path+"/items", "", nil).Body["items"].([]any)[0].(map[string]any)
		if r.Status != 200 || r.Header.Get("Content-Type") != mediaType || base64.StdEncoding.EncodeToString(r.Raw) != item["signature"] {
			t.Errorf("%s: %d, %v", format, r.Status, r.Header)
		}
	}
}

// A stream that was cut goes on behind the refusal that was told last, and tells the others.
func TestEventsGoOnWhereTheyWereCut(t *testing.T) {
	g := gatewaytest.New(t)
	path := pdfBatch(t, g, 2)
	onPage2(t, g, path)
	events := func(last string) (names, ids []string) {
		r := g.Do("GET", path+"/events", "", nil, "Last-Event-ID", last)
		want(t, r, 200, "")
		for s := bufio.NewScanner(bytes.NewReader(r.Raw)); s.Scan(); {
			if name, is := strings.CutPrefix(s.Text(), "event: "); is {
				names = append(names, name)
			}
			if id, is := strings.CutPrefix(s.Text(), "id: "); is {
				ids = append(ids, id)
			}
		}
		return names, ids
	}
	for last, told := range map[string]int{"": 1, "0": 1, "1": 0, "x": 1, "-1": 1, "99999999999999999999999": 1} {
		names, ids := events(last)
		if len(ids) != told || told == 1 && ids[0] != "1" || len(names) != told+1 || names[told] != "done" {
			t.Errorf("behind %q: %q, ids %q", last, names, ids)
		}
	}
}

// The officer reads how a batch ended; single signatures tell nothing, and who does not want it gets
// no mail.
func TestMailAtTheEndOfABatch(t *testing.T) {
	g := gatewaytest.New(t)
	if err := gateway.Deliver(t.Context(), g.Server); err != nil { // what was told before
		t.Fatal(err)
	}
	path := pdfBatch(t, g, 3)
	onPage2(t, g, path)
	if err := gateway.Deliver(t.Context(), g.Server); err != nil {
		t.Fatal(err)
	}
	m, ok := g.Server.Mailbox.Latest(g.Dev.Officers[0].Email)
	if !ok || !strings.HasPrefix(m.Text, "Kelompok anda selesai, ada dokumen ditolak\nYour batch is done, with documents refused\n") ||
		!strings.Contains(m.Text, "Kelompok / Batch: “Surat Julai”\nDokumen / Documents: 3\nDitandatangani / Signed: 2\nDitolak / Refused: 1\n") || m.Code != "" {
		t.Errorf("the mail:\n%s", m.Text)
	}
	t.Log("\n" + m.Text)
	if dir := os.Getenv("MOHOR_TEST_SHOW"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, "mail.html"), []byte(m.HTML), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(t, g, "SELECT COUNT(*) FROM notices"); n != 0 {
		t.Errorf("%d notices are left", n)
	}
}

// A batch that nobody comes for expires, and its documents go; the app is told of both.
func TestBatchExpires(t *testing.T) {
	g := gatewaytest.New(t)
	path := pdfBatch(t, g, 2)
	id := strings.TrimPrefix(path, "/v1/batches/")
	folder := filepath.Join(g.Server.Config.Blobs, "original", id)
	if n := filesBelow(t, folder); n != 2 {
		t.Fatalf("%d files", n)
	}
	g.Clock.Advance(29 * 24 * time.Hour)
	if err := g.Server.Expunge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := g.Do("GET", path, "", nil).Text("status"); s != "SEALED" {
		t.Errorf("a day before its time it is %s", s)
	}
	g.Clock.Advance(25 * time.Hour)
	if err := g.Server.Expunge(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := g.Do("GET", path, "", nil)
	if n := filesBelow(t, folder); b.Text("status") != "EXPIRED" || b.Text("fingerprint") == "" || b.Body["needs"] != nil || n != 0 {
		t.Errorf("after it: %s; %d files", b.Raw, n)
	}
	late, _ := g.Ask(map[string]any{"format": "PADES", "batch_id": id})
	want(t, late, http.StatusConflict, "transaction_finished")
	want(t, g.Do("DELETE", path, "", nil), 409, "batch_sealed")
	want(t, g.Do("GET", path+"/items/0/proof", "", nil), 200, "")
	want(t, g.Do("GET", path+"/archive", "", nil), 409, "not_signed")
	if r := g.Do("GET", path+"/events", "", nil); !strings.Contains(string(r.Raw), "event: done") {
		t.Errorf("its stream: %s", r.Raw)
	}
}

// A batch that was given up goes to the archive with the others, though its documents are gone; one
// that was signed before it expired keeps what was signed.
func TestGivenUpBatchesAreArchived(t *testing.T) {
	g := gatewaytest.New(t)
	expired, cancelled := pdfBatch(t, g, 2), pdfBatch(t, g, 2)
	want(t, g.Do("DELETE", cancelled, "", nil), 204, "")
	onPage2(t, g, pdfBatch(t, g, 3))
	g.Clock.Advance(31 * 24 * time.Hour)
	if err := g.Server.Expunge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := g.Do("GET", expired, "", nil).Text("status"); s != "EXPIRED" {
		t.Fatal(s)
	}
	g.Clock.Advance(11 * year)
	var in archive.Info
	if err := g.Server.RunArchive(t.Context(), "cli:test", func(x archive.Info) error { in = x; return nil }); err != nil {
		t.Fatal(err)
	}
	if n := count(t, g, "SELECT COUNT(*) FROM batches"); n != 0 || in.Signatures != 2 {
		t.Errorf("%d batches are left; archived %+v", n, in)
	}
}

func filesBelow(t *testing.T, folder string) (n int) {
	t.Helper()
	err := filepath.WalkDir(folder, func(_ string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && !e.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

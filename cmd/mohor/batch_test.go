package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mohor-sign/mohor/signer"
)

// stage is a gateway that shows a batch.
func stage(t *testing.T, status string, events func(w http.ResponseWriter, r *http.Request)) (flags []string) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/batches/ba_x", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, batchIn(status, 3, 2)) })
	mux.HandleFunc("GET /v1/batches/ba_x/items", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"items":[{"index":4,"name":"surat\u001b[2J.pdf","code":"pdf_encrypted","detail":"it needs a password"},{"index":11,"name":"b.pdf","code":"pdf_invalid"}]}`)
	})
	mux.HandleFunc("GET /v1/batches/ba_x/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		events(w, r)
	})
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("mak_made_up_for_this_test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"--server", serveHTTP(t, mux), "--key-file", key}
}

func batchIn(status string, signed, refused int) string {
	needs := ""
	if status == "NEEDS_AUTHORISATION" {
		needs = `,"needs":{"action":"authorise","message":"Buat transaksi baharu."}`
	}
	return fmt.Sprintf(`{"batch_id":"ba_x","name":"Julai","kind":"pdf","status":%q,"count":5,"signed":%d,"refused":%d,"pending":%d,"rate":12.3456,"eta":"2026-07-01T08:00:40Z","fingerprint":"7XGP-QK4M","refused_by_code":{"pdf_invalid":%d}%s}`,
		status, signed, refused, 5-signed-refused, refused, needs)
}

func TestBatchStatus(t *testing.T) {
	at := func() time.Time { return time.Date(2026, 7, 1, 8, 0, 0, 0, time.UTC) }
	none := func(http.ResponseWriter, *http.Request) {}
	for status, c := range map[string]struct {
		exit int
		says []string
	}{
		"SIGNED_WITH_REFUSALS": {3, []string{"documents    5: 3 signed, 2 refused, 0 left\n", "refused      2 [pdf_invalid]\n", "refused: 2\n      5  surat?[2J.pdf  [pdf_encrypted]  it needs a password\n     12  b.pdf"}},
		"SIGNING":              {0, []string{"rate         12.3 a second, done in 40s\n"}},
		"NEEDS_AUTHORISATION":  {1, []string{"needs        Buat transaksi baharu.\n"}},
		"EXPIRED":              {1, []string{"status       EXPIRED\n"}},
	} {
		var out, errs bytes.Buffer
		exit := runAt(t.Context(), append([]string{"batch", "status", "ba_x"}, stage(t, status, none)...), strings.NewReader(""), &out, &errs, at)
		if exit != c.exit || errs.Len() != 0 {
			t.Errorf("%s: exit %d, want %d: %s", status, exit, c.exit, &errs)
		}
		for _, want := range c.says {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s lacks %q:\n%s", status, want, &out)
			}
		}
	}
}

// Plain lines with rate and end, then what was refused.
func TestBatchIsFollowed(t *testing.T) {
	flags := stage(t, "SIGNED_WITH_REFUSALS", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "event: progress\ndata: %s\n\nid: 1\nevent: refused\ndata: {\"index\":2,\"name\":\"c.pdf\",\"code\":\"pdf_invalid\"}\n\nevent: done\ndata: %s\n\n", batchIn("SIGNING", 2, 0), batchIn("SIGNED_WITH_REFUSALS", 4, 1))
	})
	var out, errs bytes.Buffer
	at := func() time.Time { return time.Date(2026, 7, 1, 8, 0, 0, 0, time.UTC) }
	exit := runAt(t.Context(), append([]string{"batch", "status", "--follow", "ba_x"}, flags...), strings.NewReader(""), &out, &errs, at)
	if want := "mohor: signing 2 of 5, 12.3 a second, done in 40s\nmohor: signing 5 of 5\n"; exit != 3 || errs.String() != want {
		t.Errorf("exit %d: %q, want %q", exit, errs.String(), want)
	}
	if !strings.Contains(out.String(), "refused: 1\n      3  c.pdf  [pdf_invalid]") {
		t.Errorf("%s", &out)
	}
}

// Ctrl-C ends the command, not the batch, and says how to look again.
func TestCtrlCLeavesTheBatch(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	flags := stage(t, "SIGNING", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "event: progress\ndata: %s\n\n", batchIn("SIGNING", 2, 0))
		_ = http.NewResponseController(w).Flush()
		cancel()
		<-r.Context().Done()
	})
	var out, errs bytes.Buffer
	exit := run(ctx, append([]string{"batch", "status", "--follow", "ba_x"}, flags...), strings.NewReader(""), &out, &errs)
	if exit != 130 || !strings.Contains(errs.String(), "mohor: the gateway goes on with batch ba_x\nmohor: hint: look again: mohor batch status --follow ba_x\n") || strings.Contains(errs.String(), "canceled") {
		t.Errorf("exit %d: %s", exit, &errs)
	}
}

// packing is an archive of a batch, in which tests change something.
type packing struct {
	items []map[string]any
	files map[string][]byte
	count int
	root  []byte
	edit  func(manifest []byte) []byte // its text
}

func packed3(t *testing.T) *packing {
	t.Helper()
	p := &packing{files: map[string][]byte{}, count: 3}
	var o signer.Outline
	var docs []signer.Document
	for k := range 3 {
		sum := sha256.Sum256(fmt.Append(nil, "before ", k))
		docs = append(docs, signer.Document{Index: uint32(k), Name: fmt.Sprintf("surat %d", k), Hash: crypto.SHA256, Digest: sum[:]})
		o.Add(docs[k].Leaf())
	}
	_, root := o.Root()
	p.root = root[:]
	tree, err := o.Subtree(0, [][32]byte{docs[0].Leaf(), docs[1].Leaf(), docs[2].Leaf()})
	if err != nil {
		t.Fatal(err)
	}
	for k, d := range docs {
		var path [][]byte
		for _, h := range tree.Proof(uint32(k)).Path {
			path = append(path, h[:])
		}
		it := map[string]any{"index": k, "name": d.Name, "state": "signed", "format": "PADES", "alg": "SHA-256", "digest": hex.EncodeToString(d.Digest), "size": len("before 0"), "proof": path}
		if k < 2 {
			name := fmt.Sprintf("%05d-surat.pdf", k+1)
			p.files[name] = fmt.Appendf(nil, "before %d and its signature", k)
			sum := sha256.Sum256(p.files[name])
			it["file"], it["file_sha256"] = name, hex.EncodeToString(sum[:])
		} else {
			it["state"] = "refused"
		}
		p.items = append(p.items, it)
	}
	return p
}

// swap puts another file in the place of an item's.
func (p *packing) swap(k int, content []byte) {
	sum := sha256.Sum256(content)
	p.files[p.items[k]["file"].(string)], p.items[k]["file_sha256"] = content, hex.EncodeToString(sum[:])
}

// cmdArchived packs a file as the signed one of a batch of one, whose document were its first bytes:
// archived FILE.pdf BYTES OUT.zip; -1 for all bytes, and then what is in the archive has an update more.
func cmdArchived(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: archived FILE.pdf BYTES OUT.zip")
	}
	file := []byte(ts.ReadFile(args[0]))
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	if n < 0 {
		n, file = len(file), updated(ts, file)
	}
	digest, sum := sha256.Sum256(file[:n]), sha256.Sum256(file)
	d := signer.Document{Name: "surat", Hash: crypto.SHA256, Digest: digest[:]}
	root := d.Leaf()
	p := &packing{files: map[string][]byte{"00001-surat.pdf": file}, count: 1, root: root[:], items: []map[string]any{{"index": 0, "name": d.Name, "state": "signed", "format": "PADES",
		"alg": "SHA-256", "digest": hex.EncodeToString(digest[:]), "size": n, "proof": [][]byte{}, "file": "00001-surat.pdf", "file_sha256": hex.EncodeToString(sum[:])}}}
	ts.Check(p.save(ts.MkAbs(args[2])))
}

// updated is a PDF with an update that changes nothing.
func updated(ts *testscript.TestScript, file []byte) []byte {
	trailer := bytes.LastIndex(file, []byte("trailer"))
	last := regexp.MustCompile(`startxref\s+(\d+)\s+%%EOF\s*$`).FindSubmatch(file)
	if trailer < 0 || last == nil {
		ts.Fatalf("it has no trailer")
	}
	dict, _, _ := bytes.Cut(file[trailer:], []byte("startxref"))
	dict = regexp.MustCompile(`/Prev \d+`).ReplaceAll(dict, nil)
	dict = bytes.Replace(dict, []byte("<<"), fmt.Appendf(nil, "<< /Prev %s ", last[1]), 1)
	return fmt.Appendf(file, "xref\n0 0\n%sstartxref\n%d\n%%%%EOF\n", dict, len(file))
}

func (p *packing) write(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "a.zip")
	if err := p.save(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func (p *packing) save(path string) error {
	text, err := json.Marshal(struct {
		Batch string           `json:"batch_id"`
		Name  string           `json:"name"`
		Count int              `json:"count"`
		Root  []byte           `json:"root"`
		Items []map[string]any `json:"items"`
	}{"ba_x", "n", p.count, p.root, p.items})
	if err != nil {
		return err
	}
	if p.edit != nil {
		text = p.edit(text)
	}
	p.files["manifest.json"] = text
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for name, content := range p.files {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(content)
		}
		if err != nil {
			return err
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, out.Bytes(), 0o600)
}

func TestVerifyArchiveFindsChanges(t *testing.T) {
	const first = "00001-surat.pdf"
	fingerprint := signer.Fingerprint([32]byte(packed3(t).root))
	for what, c := range map[string]struct {
		change func(p *packing)
		flags  []string
		exit   int
		says   string
	}{
		"nothing":           {nil, nil, 3, "INCOMPLETE  "},
		"the right batch":   {nil, []string{"--fingerprint", strings.ToLower(fingerprint)}, 3, "not shown to be signed: 3 documents"},
		"another batch":     {nil, []string{"--fingerprint", "0000-0000"}, 1, ""},
		"a byte of a file":  {func(p *packing) { p.files[first][0] ^= 1 }, nil, 1, "00001-surat.pdf is not the file that was archived"},
		"a file is gone":    {func(p *packing) { delete(p.files, first) }, nil, 1, "00001-surat.pdf is missing"},
		"a file more":       {func(p *packing) { p.files["../x"] = nil }, nil, 1, "WRONG  ../x: the manifest does not name it"},
		"a name":            {func(p *packing) { p.items[0]["name"] = "surat 9" }, nil, 1, "the inclusion proof does not lead to the root"},
		"a digest":          {func(p *packing) { p.items[0]["digest"] = strings.Repeat("00", 32) }, nil, 1, "the inclusion proof does not lead to the root"},
		"the order":         {func(p *packing) { slices.Reverse(p.items) }, nil, 1, "it stands in the place of document 1"},
		"the last one":      {func(p *packing) { p.items = p.items[:2] }, nil, 1, "it has 2 documents, and says 3"},
		"the last, said so": {func(p *packing) { p.items, p.count = p.items[:2], 2 }, nil, 1, "the inclusion proof does not lead to the root"},
		"another's file": {func(p *packing) {
			p.items[0]["file"], p.items[0]["file_sha256"] = p.items[1]["file"], p.items[1]["file_sha256"]
		}, nil, 1, "it is another document: its digest differs"},
		"no items and no root":    {func(p *packing) { p.items, p.count, p.root = nil, 0, nil }, nil, 1, ""},
		"said to be refused":      {func(p *packing) { p.items[0]["state"] = "refused"; delete(p.items[0], "file"); delete(p.files, first) }, nil, 3, "1 not checked; documents: 2 refused, 0 not signed"},
		"said to wait":            {func(p *packing) { p.items[0]["state"] = "pending"; delete(p.items[0], "file"); delete(p.files, first) }, nil, 3, "1 not checked; documents: 1 refused, 1 not signed"},
		"signed without a file":   {func(p *packing) { p.items[0]["file"] = ""; delete(p.files, first) }, nil, 1, "it has no signature"},
		"RAW without a signature": {func(p *packing) { p.items[0]["file"], p.items[0]["format"] = "", "RAW"; delete(p.files, first) }, nil, 1, "it has no signature"},
		"RAW": {func(p *packing) {
			p.items[0]["file"], p.items[0]["format"], p.items[0]["signature"] = "", "RAW", []byte{1}
			delete(p.files, first)
		}, nil, 3, "2 not checked"},
		"the original":                     {func(p *packing) { p.swap(0, []byte("before 0")) }, nil, 1, "it is not signed"},
		"the original, without a size":     {func(p *packing) { p.swap(0, []byte("before 0")); delete(p.items[0], "size") }, nil, 1, "it is not signed"},
		"the original, said to be shorter": {func(p *packing) { p.swap(0, []byte("before 0")); p.items[0]["size"] = 7 }, nil, 1, "it is another document: its digest differs"},
		"another's root behind":            {func(p *packing) { p.edit = last(`"root":"AAAA"`) }, nil, 1, ""},
		"the same in capitals":             {func(p *packing) { p.edit = last(`"ROOT":"AAAA"`) }, nil, 1, ""},
		"items twice":                      {func(p *packing) { p.edit = last(`"items":[]`) }, nil, 1, ""},
		"two names":                        {func(p *packing) { p.edit = swap(`"name":"surat 1"`, `"Name":"surat 9","name":"surat 1"`) }, nil, 1, ""},
		"two keys deep down":               {func(p *packing) { p.edit = last(`"x":[{"a":{"b":1,"b":2}}]`) }, nil, 1, ""},
		"another manifest behind":          {func(p *packing) { p.edit = func(m []byte) []byte { return append(m, m...) } }, nil, 1, ""},
		"the count behind": {func(p *packing) {
			p.edit = func(m []byte) []byte { return last(`"count":3`)(swap(`"count":3,`, ``)(m)) }
		}, nil, 1, ""},
	} {
		p := packed3(t)
		if c.change != nil {
			c.change(p)
		}
		var out, errs bytes.Buffer
		exit := run(t.Context(), append([]string{"verify", "archive", "--no-signatures", p.write(t)}, c.flags...), strings.NewReader(""), &out, &errs)
		if exit != c.exit || !strings.Contains(out.String(), c.says) || exit != 0 && strings.HasPrefix(out.String(), "VALID") {
			t.Errorf("%s: exit %d: %s%s", what, exit, &out, &errs)
		}
	}
}

// last adds to the end of a manifest.
func last(more string) func([]byte) []byte {
	return func(m []byte) []byte { return append(bytes.TrimSuffix(m, []byte("}")), ","+more+"}"...) }
}

func swap(old, by string) func([]byte) []byte {
	return func(m []byte) []byte { return bytes.Replace(m, []byte(old), []byte(by), 1) }
}

func TestVerifyProof(t *testing.T) {
	p := packed3(t)
	dir := t.TempDir()
	write := func(name string, v any) string {
		text, is := v.([]byte)
		if !is {
			var err error
			if text, err = json.Marshal(v); err != nil {
				t.Fatal(err)
			}
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	proof := func(change map[string]any) string {
		digest := sha256.Sum256([]byte("before 1"))
		v := map[string]any{"batch_id": "ba_x", "index": 1, "name": "surat 1", "digest": map[string]any{"alg": "SHA-256", "value": digest[:]}, "size": 8, "count": 3, "root": p.root, "path": p.items[1]["proof"]}
		for k, x := range change {
			v[k] = x
		}
		return write("proof.json", v)
	}
	original, signed, other := write("a.pdf", []byte("before 1")), write("b.pdf", p.files["00002-surat.pdf"]), write("c.pdf", []byte("before 2"))
	known := "--fingerprint=" + signer.Fingerprint([32]byte(p.root))
	for what, c := range map[string]struct {
		change map[string]any
		args   []string
		exit   int
	}{
		"the proof alone": {nil, []string{known}, 0}, "with the document": {nil, []string{known, original}, 0}, "with the signed one": {nil, []string{known, signed}, 0},
		"with another": {nil, []string{known, other}, 1}, "another root": {nil, []string{"--root=" + strings.Repeat("A", 43) + "="}, 1}, "no root": {nil, nil, 1}, "no such root": {nil, []string{"--root=x"}, 1},
		"another index": {map[string]any{"index": 2}, []string{known}, 1}, "another name": {map[string]any{"name": "surat 2"}, []string{known}, 1}, "a root of its own": {map[string]any{"root": make([]byte, 32)}, []string{known}, 1},
		"a size beyond the file": {map[string]any{"size": 1 << 40}, []string{known, signed}, 1},
	} {
		var out, errs bytes.Buffer
		exit := run(t.Context(), append([]string{"verify", "proof", proof(c.change)}, c.args...), strings.NewReader(""), &out, &errs)
		if exit != c.exit || (exit == 0) != strings.HasPrefix(out.String(), "INCLUDED  document 2 of 3: surat 1\n") {
			t.Errorf("%s: exit %d: %s%s", what, exit, &out, &errs)
		}
	}
}

package gateway_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

func otherApp() enrol.App {
	return enrol.App{ID: "lain", Name: "Sistem lain", Systems: []string{"LAIN"}, Grants: []string{enrol.GrantRAW}, PINEntry: enrol.PINInApp}
}

func voucher(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "examples", "voucher.pdf"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// upload stores a PDF and returns its id.
func upload(t *testing.T, g *gatewaytest.Gateway, pdf []byte) string {
	t.Helper()
	r := g.Do("POST", "/v1/documents?name=baucar.pdf", "application/pdf", pdf)
	want(t, r, 201, "")
	return r.Text("document_id")
}

func pades(ids ...string) map[string]any {
	var docs []any
	for _, id := range ids {
		docs = append(docs, map[string]any{"document_id": id})
	}
	return map[string]any{"format": "PADES", "documents": docs}
}

// judge has pdfsig say what it thinks of a file, trusting our root alone.
func judge(t *testing.T, g *gatewaytest.Gateway, pdf []byte) string {
	t.Helper()
	return judgeBy(t, filepath.Join(g.Dir, "root.pem"), pdf)
}

// judgeBy has pdfsig trust the one root in a PEM file.
func judgeBy(t *testing.T, root string, pdf []byte) string {
	t.Helper()
	pdfsig, certutil := gatewaytest.Tool(t, "pdfsig"), gatewaytest.Tool(t, "certutil")
	dir := t.TempDir()
	file := filepath.Join(dir, "x.pdf")
	if err := os.WriteFile(file, pdf, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-N", "--empty-password"}, {"-A", "-n", "root", "-t", "CT,C,C", "-a", "-i", root}} {
		if out, err := exec.Command(certutil, append(args, "-d", "sql:"+dir)...).CombinedOutput(); err != nil {
			t.Fatalf("certutil: %v: %s", err, out)
		}
	}
	out, err := exec.Command(pdfsig, "-nssdir", "sql:"+dir, file).CombinedOutput()
	if err != nil {
		t.Fatalf("pdfsig: %v: %s", err, out)
	}
	return string(out)
}

func TestVoucherSignedVisibly(t *testing.T) {
	g := gatewaytest.New(t)
	original := voucher(t)
	id := upload(t, g, original)
	want(t, g.Do("GET", "/v1/documents/"+id+"/content", "", nil), 409, "not_signed")
	for _, cr := range g.Dev.Officers[0].Credentials {
		ask := pades(id)
		ask["credential_id"] = cr.CredentialID
		ask["pades"] = map[string]any{"level": "B-B", "reason": "Perakuan 1", "visible": map[string]any{"page": "last", "x": 51, "y": 119, "width": 241, "height": 97}}
		tx, code := g.Ask(ask)
		want(t, tx, 201, "")
		done := g.Confirm(tx, code, nil)
		want(t, done, 200, "")
		signed := g.Do("GET", done.Body["signatures"].([]any)[0].(map[string]any)["content_url"].(string), "", nil)
		want(t, signed, 200, "")
		if !bytes.HasPrefix(signed.Raw, original) {
			t.Error("the original bytes were touched")
		}
		verdict := judge(t, g, signed.Raw)
		for _, line := range []string{"Signature is Valid.", "Certificate is Trusted.", "Total document signed"} {
			if !strings.Contains(verdict, line) {
				t.Errorf("%s: pdfsig does not say %q:\n%s", cr.Key, line, verdict)
			}
		}
		v := g.Do("POST", "/v1/verify", "application/pdf", signed.Raw)
		if v.Text("verdict") != "VALID" {
			t.Errorf("our verdict: %s", v.Raw)
		}
		if v := g.Do("POST", "/v1/verify", "application/pdf", append(bytes.Clone(signed.Raw), "\n% more\n"...)); v.Text("verdict") == "VALID" {
			t.Errorf("a file with bytes behind the signature is VALID: %s", v.Raw)
		}
		flipped := bytes.Clone(signed.Raw)
		flipped[len(original)/2] ^= 1
		if v := g.Do("POST", "/v1/verify", "application/pdf", flipped); v.Text("verdict") == "VALID" {
			t.Errorf("a changed file is VALID: %s", v.Raw)
		}
		// A signed document is taken for another signature.
		want(t, g.Do("POST", "/v1/documents?name=x.pdf", "application/pdf", signed.Raw), 201, "")
	}
	if again := g.Do("GET", "/v1/documents/"+id+"/content?version=original", "", nil); !bytes.Equal(again.Raw, original) {
		t.Error("the original cannot be had back")
	}
}

func TestUnsignablePDFs(t *testing.T) {
	g := gatewaytest.New(t)
	qpdf := gatewaytest.Tool(t, "qpdf")
	dir := t.TempDir()
	enc := filepath.Join(dir, "enc.pdf")
	if out, err := exec.Command(qpdf, "--encrypt", "user", "owner", "256", "--", filepath.Join("..", "..", "examples", "voucher.pdf"), enc).CombinedOutput(); err != nil {
		t.Fatalf("qpdf: %v: %s", err, out)
	}
	encrypted, err := os.ReadFile(enc)
	if err != nil {
		t.Fatal(err)
	}
	good := voucher(t)
	for name, c := range map[string]struct {
		body   []byte
		status int
		code   string
	}{
		"not a PDF":  {[]byte("MZ this is a program"), 422, "pdf_invalid"},
		"empty":      {[]byte{}, 422, "pdf_invalid"},
		"truncated":  {good[:len(good)/2], 422, "pdf_invalid"},
		"no xref":    {bytes.Replace(good, []byte("startxref"), []byte("startxxxx"), 1), 422, "pdf_invalid"},
		"encrypted":  {encrypted, 422, "pdf_encrypted"},
		"wrong type": {nil, 400, "invalid_request"},
	} {
		contentType := "application/pdf"
		if name == "wrong type" {
			contentType, c.body = "text/plain", good
		}
		r := g.Do("POST", "/v1/documents?name=x.pdf", contentType, c.body)
		if r.Status != c.status || r.Code() != c.code || r.Text("detail") == "" {
			t.Errorf("%s: got %d %q: %s", name, r.Status, r.Code(), r.Raw)
		}
	}
	locked := g.Do("POST", "/v1/documents?name=x.pdf", "application/pdf", encrypted, "X-PDF-Password", "user")
	want(t, locked, 201, "")
	want(t, g.Do("GET", "/v1/documents/"+locked.Text("document_id"), "", nil), 422, "pdf_encrypted")
	want(t, g.Do("GET", "/v1/documents/"+locked.Text("document_id"), "", nil, "X-PDF-Password", "user"), 200, "")
	// A certified document is taken, and refused when another signature is asked
	// for, before any code is sent.
	id := upload(t, g, good)
	certify := pades(id)
	certify["pades"] = map[string]any{"level": "B-B", "certify": 1}
	tx, code := g.Ask(certify)
	want(t, g.Confirm(tx, code, nil), 200, "")
	signed := g.Do("GET", "/v1/documents/"+id+"/content", "", nil).Raw
	up := g.Do("POST", "/v1/documents?name=dua.pdf", "application/pdf", signed)
	if fields, _ := up.Body["signatures"].([]any); up.Status != 201 || len(fields) != 1 || fields[0] != "Signature1" {
		t.Errorf("signatures of a signed upload: %s", up.Raw)
	}
	second := up.Text("document_id")
	mark := g.Server.Mailbox.Mark()
	r, _ := g.Ask(pades(second))
	want(t, r, 422, "pdf_certified_no_changes")
	if r.Text("field") != "documents[0]" || g.Server.Mailbox.Mark() != mark {
		t.Errorf("field %q, or a code was sent", r.Text("field"))
	}
}

// The stored bytes change after the code was sent: nothing is signed.
func TestChangedDocumentIsNotSigned(t *testing.T) {
	g := gatewaytest.New(t)
	id := upload(t, g, voucher(t))
	tx, code := g.Ask(pades(id))
	path := filepath.Join(g.Dir, "blobs", "document", id)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(b, []byte("Skia"), []byte("Skib"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, g.Confirm(tx, code, nil), 403, "documents_mismatch")
	if r := g.Do("GET", "/v1/transactions/"+tx.Text("transaction_id"), "", nil); r.Text("status") != "NEEDS_AUTHORISATION" {
		t.Errorf("status %s", r.Raw)
	}
	want(t, g.Do("GET", "/v1/documents/"+id+"/content", "", nil), 409, "not_signed")
}

const header = "no_kp,nama,no_sijil,kod_program,nama_program,tahap,kod_pusat,nama_pusat,kelompok,tahun,bahasa\n"

func line(n int, name string) string {
	return fmt.Sprintf("800101149%03d,%s,S1022%05d,TP-021-3:2013,PENYELENGGARAAN,SKM 3,L01234,PUSAT LATIHAN,2026/01,072026,ms\n", n%1000, name, n)
}

// newBatch opens a batch and adds a CSV to it.
func newBatch(t *testing.T, g *gatewaytest.Gateway, csv string) (string, *gatewaytest.Reply) {
	t.Helper()
	b := g.Do("POST", "/v1/batches", "", map[string]string{"name": "Kelompok", "kind": "ecert"})
	want(t, b, 201, "")
	return b.Text("batch_id"), g.Do("POST", "/v1/batches/"+b.Text("batch_id")+"/items", "text/csv", []byte(csv))
}

func TestBadCandidateLists(t *testing.T) {
	g := gatewaytest.New(t)
	for name, csv := range map[string]string{
		"wrong column":     strings.Replace(header, "nama,", "warna,", 1) + line(1, "ALI"),
		"missing column":   strings.Replace(header, ",bahasa", "", 1) + strings.Replace(line(1, "ALI"), ",ms", "", 1),
		"10 MB field":      header + line(1, strings.Repeat("A", 10<<20)),
		"unbalanced quote": header + line(1, `"ALI`),
		"two encodings":    header + line(1, "JOSÉ \xff"),
		"NUL":              header + line(1, "ALI\x00"),
		"empty":            "",
	} {
		id, r := newBatch(t, g, csv)
		if r.Status != 422 || r.Code() != "csv_invalid" || r.Text("detail") == "" {
			t.Errorf("%s: got %d %q: %.300s", name, r.Status, r.Code(), r.Raw)
		}
		if b := g.Do("GET", "/v1/batches/"+id, "", nil); b.Body["count"] != 0.0 {
			t.Errorf("%s: something was taken in: %s", name, b.Raw)
		}
	}
	id, r := newBatch(t, g, header+line(1, "ALI BIN ABU")+strings.Replace(line(2, "X"), "800101149002", "801301149002", 1)+line(1, "ALI LAIN")+line(3, "")+line(4, "=1+1"))
	want(t, r, 200, "")
	if r.Body["accepted"] != 2.0 {
		t.Fatalf("accepted: %s", r.Raw)
	}
	var codes []string
	for _, x := range r.Body["refused"].([]any) {
		m := x.(map[string]any)
		codes = append(codes, fmt.Sprintf("%v %v %v", m["row"], m["column"], m["code"]))
	}
	if got := strings.Join(codes, "; "); got != "3 no_kp row_ic_invalid; 4 no_sijil row_number_duplicate; 5 nama row_field_missing" {
		t.Errorf("refused: %s", got)
	}
	// A second upload with the same number is refused, too.
	r = g.Do("POST", "/v1/batches/"+id+"/items", "text/csv", []byte(header+line(1, "ALI BIN ABU")))
	if r.Body["accepted"] != 0.0 || !bytes.Contains(r.Raw, []byte("row_number_duplicate")) {
		t.Errorf("the same number again: %s", r.Raw)
	}
	want(t, g.Do("POST", "/v1/batches/"+id+"/seal", "", nil), 409, "batch_has_refused_rows")
	want(t, g.Do("POST", "/v1/transactions", "", map[string]any{"ic": g.Dev.Officers[0].IC, "system": g.Dev.System, "format": "PADES", "batch_id": id}), 409, "batch_not_sealed")
	want(t, g.Do("POST", "/v1/batches/"+id+"/seal", "", map[string]bool{"accept_refused": true}), 200, "")
	want(t, g.Do("POST", "/v1/batches/"+id+"/items", "text/csv", []byte(header+line(9, "ABU"))), 409, "batch_sealed")
	empty := g.Do("POST", "/v1/batches", "", map[string]string{"name": "Kosong", "kind": "ecert"})
	want(t, g.Do("POST", "/v1/batches/"+empty.Text("batch_id")+"/seal", "", nil), 409, "batch_empty")
}

// finish waits until a batch stops signing.
func finish(t *testing.T, g *gatewaytest.Gateway, id string) *gatewaytest.Reply {
	t.Helper()
	r := g.Do("GET", "/v1/batches/"+id+"/events", "", nil) // ends with the batch
	if !strings.Contains(string(r.Raw), "event: done") {
		t.Fatalf("the stream did not end with done: %.500s", r.Raw)
	}
	return g.Do("GET", "/v1/batches/"+id, "", nil)
}

func TestBatchOfCertificates(t *testing.T) {
	g := gatewaytest.New(t)
	names := []string{"SITI NURHALIZA BINTI TARUDIN", "SUBRAMANIAM A/L PERIASAMY", "D'CRUZ @ MARIE", "JÜRGEN ÅSE ÇELIK", strings.Repeat("PANJANG ", 7) + "SEKALI"}
	csv := header
	for k, n := range names {
		csv += line(k, n)
	}
	id, r := newBatch(t, g, csv)
	want(t, r, 200, "")
	sealed := g.Do("POST", "/v1/batches/"+id+"/seal", "", nil)
	want(t, sealed, 200, "")
	tx, code := g.Ask(map[string]any{"format": "PADES", "batch_id": id})
	want(t, tx, 201, "")
	if tx.Text("fingerprint") != sealed.Text("fingerprint") || tx.Body["count"] != float64(len(names)) {
		t.Fatalf("transaction %s\nbatch %s", tx.Raw, sealed.Raw)
	}
	busy, _ := g.Ask(map[string]any{"format": "PADES", "batch_id": id})
	want(t, busy, 409, "batch_busy")
	want(t, g.Confirm(tx, code, nil), 202, "")
	if b := finish(t, g, id); b.Text("status") != "SIGNED" || b.Body["signed"] != float64(len(names)) {
		t.Fatalf("batch: %s", b.Raw)
	}
	archive := g.Do("GET", "/v1/batches/"+id+"/archive", "", nil)
	zr, err := zip.NewReader(bytes.NewReader(archive.Raw), int64(len(archive.Raw)))
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Items []struct {
			Index     int    `json:"index"`
			File      string `json:"file"`
			RecordURL string `json:"record_url"`
		} `json:"items"`
	}
	files := map[string][]byte{}
	for _, f := range zr.File {
		rc, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(rc); err != nil {
			t.Fatal(err)
		}
		files[f.Name] = b.Bytes()
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil || len(manifest.Items) != len(names) {
		t.Fatalf("manifest: %v: %s", err, files["manifest.json"])
	}
	pdftotext := gatewaytest.Tool(t, "pdftotext")
	for k, it := range manifest.Items {
		file := filepath.Join(t.TempDir(), "c.pdf")
		if err := os.WriteFile(file, files[it.File], 0o600); err != nil {
			t.Fatal(err)
		}
		text, err := exec.Command(pdftotext, file, "-").Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(strings.Fields(string(text)), " "); !strings.Contains(got, strings.TrimSpace(names[k])) {
			t.Errorf("certificate %d does not say %q: %s", k, names[k], got)
		}
		if v := judge(t, g, files[it.File]); !strings.Contains(v, "Signature is Valid.") || !strings.Contains(v, "Certificate is Trusted.") || !strings.Contains(v, "Total document signed") {
			t.Errorf("certificate %d: %s", k, v)
		}
	}
	// The page behind the QR code.
	path, secret, _ := strings.Cut(strings.TrimPrefix(manifest.Items[1].RecordURL, g.URL), "#")
	post := func(path, kind, body, accept string) *gatewaytest.Reply {
		return g.Do("POST", path, kind, []byte(body), "X-API-Key", "", "Accept", accept)
	}
	const form = "application/x-www-form-urlencoded"
	page := post(path, form, "secret="+secret, "text/html")
	if page.Status != 200 || !bytes.Contains(page.Raw, []byte("S102200001")) || !bytes.Contains(page.Raw, []byte("SAH")) || bytes.Contains(page.Raw, []byte("SUBRAMANIAM A/L PERIASAMY")) {
		t.Errorf("public page: %d %s", page.Status, page.Raw)
	}
	if pasted := post(path, form, "secret="+url.QueryEscape(manifest.Items[1].RecordURL), "text/html"); pasted.Status != 200 {
		t.Errorf("the whole address pasted: %d", pasted.Status)
	}
	state := post(path, "application/json", `{"secret":"`+secret+`"}`, "application/json")
	if state.Text("status") != "SAH" || state.Text("verdict") != "VALID" || state.Text("number") != "S102200001" {
		t.Errorf("public record: %s", state.Raw)
	}
	// Without the right secret a certificate that is there and one that is not are alike.
	_, other, _ := strings.Cut(manifest.Items[0].RecordURL, "#")
	for _, accept := range []string{"text/html", "application/json"} {
		none := "/s/AAAAAAAAAAAAAAAAAAAAAA"
		if a, b := g.Do("GET", path, "", nil, "X-API-Key", "", "Accept", accept), g.Do("GET", none, "", nil, "X-API-Key", "", "Accept", accept); a.Status != b.Status || !bytes.Equal(a.Raw, b.Raw) || bytes.Contains(a.Raw, []byte("S102200001")) {
			t.Errorf("%s: GET tells a record from none: %d %s\n%d %s", accept, a.Status, a.Raw, b.Status, b.Raw)
		}
		want := post(none, form, "secret="+secret, accept)
		for _, wrong := range []string{other, "", strings.ToLower(secret), secret + "A", strings.Repeat("x", 300), "AAAAAAAAAAAAAAAAAAAAAA"} {
			if got := post(path, form, "secret="+wrong, accept); got.Status != 404 || got.Status != want.Status || !bytes.Equal(got.Raw, want.Raw) {
				t.Errorf("%s, secret %.30q: %d %s", accept, wrong, got.Status, got.Raw)
			}
		}
	}
}

// The gateway stops in the middle: what was signed stays, the rest needs a new
// PIN and code, none is signed twice.
func TestBatchGoesOnAfterAStop(t *testing.T) {
	g := gatewaytest.New(t)
	var lines bytes.Buffer
	const n = 3000
	for k := range n {
		d := digestRef(fmt.Sprint("dokumen ", k))
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(append(b, '\n'))
	}
	b := g.Do("POST", "/v1/batches", "", map[string]string{"name": "Cincang", "kind": "digest"})
	id := b.Text("batch_id")
	want(t, g.Do("POST", "/v1/batches/"+id+"/items", "application/x-ndjson", lines.Bytes()), 200, "")
	sealed := g.Do("POST", "/v1/batches/"+id+"/seal", "", nil)
	want(t, sealed, 200, "")
	// RSA, so that there is time to stop it.
	tx, code := g.Ask(map[string]any{"format": "RAW", "batch_id": id, "credential_id": g.Dev.Officers[0].Credentials[0].CredentialID})
	want(t, g.Confirm(tx, code, nil), 202, "")
	for signed := 0.0; signed == 0; { // the runner is at work: this ends
		signed, _ = g.Do("GET", "/v1/batches/"+id, "", nil).Body["signed"].(float64)
	}
	g.Stop() // the runner ends after the documents in work
	g.Start()
	before := g.Do("GET", "/v1/batches/"+id, "", nil)
	if before.Text("status") != "NEEDS_AUTHORISATION" {
		t.Fatalf("the stop came too late or too early: %s", before.Raw)
	}
	if r := g.Do("GET", "/v1/transactions/"+tx.Text("transaction_id"), "", nil); r.Text("status") != "NEEDS_AUTHORISATION" {
		t.Errorf("transaction: %s", r.Raw)
	}
	want(t, g.Confirm(tx, code, nil), 409, "transaction_finished")
	first := signatures(t, g, id)
	tx, code = g.Ask(map[string]any{"format": "RAW", "batch_id": id, "credential_id": g.Dev.Officers[0].Credentials[1].CredentialID})
	want(t, tx, 201, "")
	if int(tx.Body["count"].(float64)) != n-len(first) || (len(first) > 0) == (tx.Text("root") == sealed.Text("root")) || tx.Text("batch_root") != sealed.Text("root") {
		t.Errorf("after %d signed: %s", len(first), tx.Raw)
	}
	want(t, g.Confirm(tx, code, nil), 202, "")
	if done := finish(t, g, id); done.Text("status") != "SIGNED" || done.Body["signed"] != float64(n) {
		t.Fatalf("batch: %s", done.Raw)
	}
	all := signatures(t, g, id)
	for k, sig := range first {
		if all[k] != sig {
			t.Fatalf("item %v was signed twice", k)
		}
	}
	if len(all) != n {
		t.Fatalf("%d signatures", len(all))
	}
}

// signatures lists what is signed in a batch, by index.
func signatures(t *testing.T, g *gatewaytest.Gateway, id string) map[float64]string {
	t.Helper()
	out := map[float64]string{}
	for after := -1.0; ; {
		r := g.Do("GET", fmt.Sprintf("/v1/batches/%s/items?state=signed&limit=1000&after=%d", id, int(after)), "", nil)
		want(t, r, 200, "")
		items := r.Body["items"].([]any)
		for _, x := range items {
			m := x.(map[string]any)
			after = m["index"].(float64)
			out[after] = m["signature"].(string)
		}
		if len(items) < 1000 {
			return out
		}
	}
}

func TestVerifyDetachedSignatures(t *testing.T) {
	g := gatewaytest.New(t)
	for _, cr := range g.Dev.Officers[0].Credentials {
		cert := base64.StdEncoding.EncodeToString(certificate(t, g, cr.CredentialID).Raw)
		for _, format := range []string{"RAW", "CMS"} {
			ask := raw("satu")
			ask["format"], ask["credential_id"] = format, cr.CredentialID
			tx, code := g.Ask(ask)
			done := g.Confirm(tx, code, nil)
			want(t, done, 200, "")
			body := map[string]any{"format": format, "data": base64.StdEncoding.EncodeToString([]byte("satu")), "signature": done.Body["signatures"].([]any)[0].(map[string]any)["signature"]}
			if format == "RAW" {
				body["certificate"] = cert
			}
			if v := g.Do("POST", "/v1/verify", "", body); v.Text("verdict") != "VALID" {
				t.Errorf("%s %s: %s", cr.Key, format, v.Raw)
			}
			body["data"] = base64.StdEncoding.EncodeToString([]byte("dua"))
			if v := g.Do("POST", "/v1/verify", "", body); v.Text("verdict") != "INVALID" {
				t.Errorf("%s %s over other data: %s", cr.Key, format, v.Raw)
			}
		}
	}
}

// The hash of a CMS signature is its own to name.
func TestVerifyDetachedWithAnotherHash(t *testing.T) {
	g := gatewaytest.New(t)
	sum := sha512.Sum384([]byte("satu"))
	given := map[string]any{"alg": "SHA-384", "value": base64.StdEncoding.EncodeToString(sum[:])}
	tx, code := g.Ask(map[string]any{"format": "CMS", "documents": []map[string]any{{"name": "a", "digest": given}}})
	done := g.Confirm(tx, code, nil)
	want(t, done, 200, "")
	body := map[string]any{"format": "CMS", "signature": done.Body["signatures"].([]any)[0].(map[string]any)["signature"]}
	check := func(field string, v any, status int, verdict string) {
		t.Helper()
		delete(body, "data")
		delete(body, "digest")
		body[field] = v
		if r := g.Do("POST", "/v1/verify", "", body); r.Status != status || r.Text("verdict") != verdict {
			t.Errorf("%s: %s", field, r.Raw)
		}
	}
	check("data", base64.StdEncoding.EncodeToString([]byte("satu")), 200, "VALID")
	check("data", base64.StdEncoding.EncodeToString([]byte("dua")), 200, "INVALID")
	check("digest", given, 200, "VALID")
	other := sha256.Sum256([]byte("satu"))
	check("digest", map[string]any{"alg": "SHA-256", "value": base64.StdEncoding.EncodeToString(other[:])}, 400, "")
}

func TestHealthAndPublicPages(t *testing.T) {
	g := gatewaytest.New(t)
	for path, text := range map[string]string{"/healthz": `"ok"`, "/readyz": `"crl":"ok"`, "/": "KOTAK PASIR – TIDAK SAH", "/docs": "/v1/transactions", "/openapi.json": `"3.1.0"`, "/dev/mailbox": "<html", "/ca/chain.pem": "BEGIN CERTIFICATE"} {
		r := g.Do("GET", path, "", nil, "X-API-Key", "")
		if r.Status != 200 || !bytes.Contains(r.Raw, []byte(text)) {
			t.Errorf("%s: %d, without %q", path, r.Status, text)
		}
		if r.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", path, r.Header)
		}
	}
	want(t, g.Do("GET", "/nowhere", "", nil), 404, "not_found")
	want(t, g.Do("PUT", "/healthz", "", nil), 405, "method_not_allowed")
	if r := g.Do("GET", "/dev/mailbox.json", "", nil, "X-Forwarded-For", "203.0.113.9"); r.Status != http.StatusForbidden {
		t.Errorf("mailbox through a proxy: %d", r.Status)
	}
}

// Two apps: neither sees anything of the other.
func TestAppsAreApart(t *testing.T) {
	g := gatewaytest.New(t)
	id := upload(t, g, voucher(t))
	tx, _ := g.Ask(raw("satu"))
	b := g.Do("POST", "/v1/batches", "", map[string]string{"name": "Kelompok", "kind": "digest"})
	_, _, key, err := g.Server.Apps.Register(t.Context(), "test", otherApp())
	if err != nil {
		t.Fatal(err)
	}
	as := []string{"X-API-Key", string(key.Reveal())}
	for _, path := range []string{"GET /v1/documents/" + id + "/content?version=original", "GET /v1/transactions/" + tx.Text("transaction_id"), "DELETE /v1/transactions/" + tx.Text("transaction_id"),
		"POST /v1/transactions/" + tx.Text("transaction_id") + "/otp", "GET /v1/batches/" + b.Text("batch_id"), "POST /v1/batches/" + b.Text("batch_id") + "/seal",
		"GET /v1/batches/" + b.Text("batch_id") + "/items", "GET /v1/batches/" + b.Text("batch_id") + "/archive", "DELETE /v1/batches/" + b.Text("batch_id"),
		"GET /v1/officers/" + g.Dev.Officers[0].IC + "/medium"} {
		method, url, _ := strings.Cut(path, " ")
		if r := g.Do(method, url, "", nil, as...); r.Status != 404 || r.Code() != "not_found" {
			t.Errorf("%s: %d %s", path, r.Status, r.Raw)
		}
	}
	want(t, g.Do("POST", "/v1/transactions/"+tx.Text("transaction_id")+"/sign", "", map[string]string{"nonce": tx.Text("nonce"), "pin": "12345678", "otp": "123456"}, as...), 404, "not_found")
	ask := pades(id)
	ask["ic"], ask["system"] = g.Dev.Officers[0].IC, "LAIN"
	want(t, g.Do("POST", "/v1/transactions", "", ask, as...), 404, "not_found")
}

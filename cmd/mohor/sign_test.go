package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A key was used: what came of it can be had although it cannot be written.
func TestSignedDocumentThatCannotBeWrittenCanBeFetched(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	mux := http.NewServeMux()
	answer := func(pattern, body string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, body) })
	}
	answer("POST /v1/documents", `{"document_id":"doc_1"}`)
	answer("POST /v1/transactions", `{"transaction_id":"txn_1","nonce":"n"}`)
	mux.HandleFunc("POST /v1/transactions/txn_1/sign", func(w http.ResponseWriter, r *http.Request) {
		if err := os.Remove(out); err != nil { // the folder goes while the officer types
			t.Error(err)
		}
		_, _ = io.WriteString(w, `{"transaction_id":"txn_1","signatures":[{"document_id":"doc_1","content_url":"/v1/documents/doc_1/content"}],"signature_information":{}}`)
	})
	answer("GET /v1/documents/doc_1/content", "%PDF-")
	server := serveHTTP(t, mux)
	files := map[string]string{"key": "mak_made_up_for_this_test\n", "pin": "made-up-pin\n", "surat.pdf": "%PDF-"}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(out, 0o700); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), []string{"sign", "--server", server, "--data", dir, "--key-file", filepath.Join(dir, "key"), "--pin-file", filepath.Join(dir, "pin"),
		"--ic", "800101149901", "--system", "IGFMAS", "--out", filepath.Join(out, "x.pdf"), filepath.Join(dir, "surat.pdf")}, strings.NewReader("123456\n"), &stdout, &stderr)
	if status != 1 || stdout.Len() > 0 {
		t.Errorf("status %d, stdout %q", status, stdout.String())
	}
	for _, want := range []string{"mohor: the document is signed (transaction txn_1), but: writing ", "mohor: hint: fetch it, with the app's key: curl ", server + "/v1/documents/doc_1/content\n"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("%q is not in\n%s", want, stderr.String())
		}
	}
}

package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
)

// Of an export that tells of a broken chain the command says what is proved and what is not, and fails.
func TestAuditVerifyTellsWhatOfAnExportIsBroken(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	seal, file := filepath.Join(dir, "audit-seal.pem"), filepath.Join(dir, "export.jsonl")
	if err := os.WriteFile(seal, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	var raw bytes.Buffer
	x, err := audit.NewExporter(&raw, audit.ExportHeader{At: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	var r audit.Record
	for k := range 7 {
		r = audit.Next(r.Seq, r.Hash, bytes.Repeat([]byte{1}, audit.SaltSize), audit.Event{At: time.Now(), Action: "x"})
		if k == 4 {
			err = x.Broken(&audit.BrokenError{Seq: 5, What: "it does not open"}, true)
		} else {
			err = x.Record(&r, k != 2)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	head, err := audit.SignHead(key, r.Seq, r.Hash, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Head(head); err != nil {
		t.Fatal(err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, raw.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	exit := run(t.Context(), []string{"audit", "verify", file, "--seal", seal}, strings.NewReader(""), &out, &errs)
	want := "export NOT whole: the chain is broken at 1 places\n  record 5: it does not open; it was asked for, and is not in the export\n" +
		"proved: 2 records, each unchanged and linked to one of 1 signed heads\nnot proved: 3 records, unchanged but with no signed head behind them: 1-2, 4\n"
	if exit == 0 || out.String() != want || !strings.Contains(errs.String(), "audit chain broken at record 5") {
		t.Errorf("%d\n%s\n%s", exit, out.String(), errs.String())
	}
}

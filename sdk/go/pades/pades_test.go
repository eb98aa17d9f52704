package pades_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/pdf"
	mohor "github.com/mohor-sign/mohor/sdk/go"
	"github.com/mohor-sign/mohor/sdk/go/pades"
)

// house is a gateway with a caller.
type house struct {
	*gatewaytest.Gateway
	client *mohor.Client
	root   *x509.Certificate
}

func newHouse(t *testing.T) *house {
	t.Helper()
	g := gatewaytest.New(t)
	c, err := mohor.New(g.URL, mohor.APIKey(g.Dev.APIKey))
	if err != nil {
		t.Fatal(err)
	}
	chain, err := c.Chain(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &house{g, c, chain[len(chain)-1]}
}

// medium is the officer's with this kind of key.
func (h *house) medium(t *testing.T, alg string) *mohor.Medium {
	t.Helper()
	o, err := h.client.Officer(t.Context(), h.Dev.Officers[0].IC)
	if err != nil {
		t.Fatal(err)
	}
	for k := range o.Media {
		if o.Media[k].Key.Alg == alg {
			return &o.Media[k]
		}
	}
	t.Fatalf("no %s key", alg)
	return nil
}

// sign has the officer sign the digests of prepared documents.
func (h *house) sign(t *testing.T, m *mohor.Medium, algorithm string, docs ...*pades.Prepared) []mohor.Signature {
	t.Helper()
	ask := mohor.Ask{IC: h.Dev.Officers[0].IC, System: h.Dev.System, CredentialID: m.CredentialID, Format: mohor.PADES, Algorithm: algorithm}
	for k, p := range docs {
		ask.Documents = append(ask.Documents, mohor.Document{Name: fmt.Sprintf("Baucar %d", k), Digest: p.Digest(), PAdES: &mohor.PAdES{Level: p.Level()}})
	}
	mark := h.Server.Mailbox.Mark()
	tx, err := h.client.CreateTransaction(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	code := mohor.NewSecret(h.Code(h.Dev.Officers[0].Email, mark))
	if tx, err = h.client.Sign(t.Context(), tx.ID, mohor.Confirmation{Nonce: tx.Nonce, PIN: h.PIN(), OTP: code, Root: tx.Root}); err != nil {
		t.Fatal(err)
	}
	if len(tx.Signatures) != len(docs) {
		t.Fatalf("%d signatures", len(tx.Signatures))
	}
	return tx.Signatures
}

func voucher(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile("../../../examples/voucher.pdf")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func prepare(t *testing.T, file []byte, m *mohor.Medium, level pdf.Level, o pdf.Options) *pades.Prepared {
	t.Helper()
	p, err := pades.Prepare(bytes.NewReader(file), int64(len(file)), m.Certificate, level, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// judge has the gateway, pdfsig and pyHanko look at a signed file.
func (h *house) judge(t *testing.T, signed []byte, levels ...pdf.Level) {
	t.Helper()
	r, err := h.client.VerifyPDF(t.Context(), bytes.NewReader(signed), mohor.Secret{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Verdict != "VALID" || len(r.Signatures) != len(levels) {
		t.Fatalf("the gateway says %+v", r)
	}
	for k, want := range levels {
		if s := r.Signatures[k]; s.Level != string(want) {
			t.Errorf("signature %d is of level %s, want %s: %+v", k, s.Level, want, s)
		}
	}
	path := filepath.Join(t.TempDir(), "signed.pdf")
	if err := os.WriteFile(path, signed, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(gatewaytest.Tool(t, "pdfsig"), "-nocert", path).CombinedOutput()
	if err != nil || strings.Count(string(out), "Signature is Valid.") != len(levels) || !strings.Contains(string(out), "ETSI.CAdES.detached") {
		t.Errorf("pdfsig: %v\n%s", err, out)
	}
	h.pyHanko(t, path, levels)
}

// pyHanko is asked as package pdf's own tests do.
func (h *house) pyHanko(t *testing.T, path string, levels []pdf.Level) {
	t.Helper()
	python, err := filepath.Abs("../../../bin/pyhanko/bin/python")
	if err == nil {
		_, err = os.Stat(python)
	}
	if err != nil {
		gatewaytest.Require(t, "pyHanko (make pyhanko)")
	}
	ask, err := json.Marshal(map[string]any{"file": path, "roots": [][]byte{h.root.Raw}})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-P", "../../../pdf/internal/pdftest/pyhanko.py")
	cmd.Stdin = bytes.NewReader(append(ask, '\n'))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	var r struct {
		Error      string
		Signatures []struct {
			Valid, Intact, Trusted bool
			Timestamp              *bool
			ADES                   string
		}
	}
	if err != nil || json.Unmarshal(out, &r) != nil || len(r.Signatures) != len(levels) {
		t.Fatalf("pyHanko: %v\n%s", err, out)
	}
	for k, s := range r.Signatures {
		if !s.Valid || !s.Intact || !s.Trusted || s.ADES != "OK" || (s.Timestamp != nil && *s.Timestamp) != (levels[k] == pades.LevelT) {
			t.Errorf("pyHanko of signature %d: %s", k, out)
		}
	}
}

// The document never leaves the caller, and what comes out is PAdES to everybody.
func TestDocumentsStayWithTheCaller(t *testing.T) {
	h := newHouse(t)
	original := voucher(t)
	for _, c := range []struct {
		key, algorithm string
		level          pdf.Level
		o              pdf.Options
	}{
		{"RSA-2048", "", pades.LevelB, pdf.Options{Reason: "Perakuan 1"}},
		{"RSA-2048", "RSA-PSS", pades.LevelT, pdf.Options{Hash: crypto.SHA512}},
		{"ECDSA-P256", "", pades.LevelT, pdf.Options{Field: "Pegawai.Satu", Hash: crypto.SHA384, Certify: 2}},
	} {
		t.Run(c.key+" "+c.algorithm+" "+string(c.level), func(t *testing.T) {
			m := h.medium(t, c.key)
			c.o.Time = h.Clock.Now()
			p := prepare(t, original, m, c.level, c.o)
			var out bytes.Buffer
			if err := p.Embed(&out, h.sign(t, m, c.algorithm, p)[0].Signature); err != nil {
				t.Fatal(err)
			}
			if !bytes.HasPrefix(out.Bytes(), original) {
				t.Error("the original bytes were changed")
			}
			h.judge(t, out.Bytes(), c.level)
		})
	}
}

// One PIN and code for several documents, and a second signature in one of them, which
// the gateway is given and so can bring to any level.
func TestSeveralAndAgain(t *testing.T) {
	h := newHouse(t)
	m := h.medium(t, "ECDSA-P256")
	one := prepare(t, voucher(t), m, pades.LevelB, pdf.Options{Time: h.Clock.Now()})
	two := prepare(t, voucher(t), m, pades.LevelT, pdf.Options{Time: h.Clock.Now(), Location: "Putrajaya"})
	s := h.sign(t, m, "", one, two)
	var out bytes.Buffer
	for what, err := range map[string]error{"the other document's": two.Embed(&out, s[0].Signature), "none": two.Embed(&out, nil), "half": two.Embed(&out, s[1].Signature[:100])} {
		if !errors.Is(err, pades.ErrSignature) || out.Len() > 0 {
			t.Errorf("%s signature: %v, %d bytes written", what, err, out.Len())
		}
	}
	if err := two.Embed(&out, s[1].Signature); err != nil {
		t.Fatal(err)
	}
	h.Clock.Advance(time.Minute)
	again := prepare(t, out.Bytes(), m, pades.LevelB, pdf.Options{Time: h.Clock.Now()})
	var twice bytes.Buffer
	if err := again.Embed(&twice, h.sign(t, m, "", again)[0].Signature); err != nil {
		t.Fatal(err)
	}
	h.judge(t, twice.Bytes(), pades.LevelT, pades.LevelB)
}

func TestPrepareRefuses(t *testing.T) {
	h := newHouse(t)
	m := h.medium(t, "RSA-2048")
	file := voucher(t)
	for _, level := range []pdf.Level{"", pdf.LevelLT, pdf.LevelLTA} {
		if _, err := pades.Prepare(bytes.NewReader(file), int64(len(file)), m.Certificate, level, pdf.Options{}); err == nil || !strings.Contains(err.Error(), "needs the document with the gateway") {
			t.Errorf("level %q: %v", level, err)
		}
	}
	if _, err := pades.Prepare(bytes.NewReader(file), int64(len(file)), nil, pades.LevelB, pdf.Options{}); err == nil {
		t.Error("prepared for nobody")
	}
	if _, err := pades.Prepare(bytes.NewReader(file[:100]), 100, m.Certificate, pades.LevelB, pdf.Options{}); !errors.Is(err, pdf.ErrInvalid) {
		t.Errorf("half a file: %v", err)
	}
	p := prepare(t, file, m, pades.LevelB, pdf.Options{Time: h.Clock.Now()})
	s := h.sign(t, m, "", p)
	file[len(file)/2] ^= 1
	var out bytes.Buffer
	if err := p.Embed(&out, s[0].Signature); !errors.Is(err, pades.ErrChanged) || out.Len() > 0 {
		t.Errorf("changed document: %v, %d bytes written", err, out.Len())
	}
}

package pdf_test

import (
	"bytes"
	"context"
	"crypto"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
	"github.com/mohor-sign/mohor/pdf/verify"
)

// judge lets every judge look at a signed document: our verifier, pdfsig with
// the root trusted, qpdf, openssl and mutool.
func judge(t *testing.T, p *pdftest.PKI, nss string, original, signed []byte) {
	t.Helper()
	if !bytes.HasPrefix(signed, original) {
		t.Fatal("original bytes are not a prefix of the signed document")
	}
	path := pdftest.Write(t, "signed.pdf", signed)
	report, err := verify.Verify(context.Background(), bytes.NewReader(signed), int64(len(signed)), verify.Options{Roots: p.Roots(), Now: pdftest.Now()})
	if err != nil || report.Verdict != verify.Valid || report.Signatures[0].Level != "B-B" {
		t.Errorf("verify: %v %+v", err, report)
	}
	out, err := pdftest.Run(t, "pdfsig", "-nssdir", nss, path)
	if err != nil || strings.Count(out, "Signature #") != 1 {
		t.Errorf("pdfsig: %v\n%s", err, out)
	}
	for _, want := range []string{"Signature is Valid", "Certificate is Trusted", "Total document signed", "ETSI.CAdES.detached", "SITI BINTI AHMAD"} {
		if !strings.Contains(out, want) {
			t.Errorf("pdfsig does not say %q:\n%s", want, out)
		}
	}
	if out, err := pdftest.Run(t, "qpdf", "--check", path); err != nil {
		before, _ := pdftest.Run(t, "qpdf", "--check", pdftest.Write(t, "original.pdf", original))
		if strings.Count(out, "WARNING") > strings.Count(before, "WARNING") || strings.Contains(out, "ERROR") {
			t.Errorf("qpdf: %v\n%s", err, out)
		}
	}
	if out, err := pdftest.Run(t, "mutool", "info", path); err != nil || strings.Contains(out, "repair") || strings.Contains(out, "error") {
		t.Errorf("mutool: %v\n%s", err, out)
	}
	openssl(t, p, signed)
	sameText(t, original, path)
}

// openssl checks the CMS as OpenSSL sees it.
func openssl(t *testing.T, p *pdftest.PKI, signed []byte) {
	t.Helper()
	a, b, content, der := parts(t, signed)
	if b != len(signed)-(len(content)-a) {
		t.Fatalf("byte range %d %d of %d", a, b, len(signed))
	}
	out, err := pdftest.Run(t, "openssl", "cms", "-verify", "-cades", "-binary", "-inform", "DER", "-purpose", "any",
		"-in", pdftest.Write(t, "sig.der", der), "-content", pdftest.Write(t, "content", content),
		"-CAfile", pdftest.PEM(t, p.Root), "-out", os.DevNull)
	if err != nil {
		t.Errorf("openssl: %v\n%s", err, out)
	}
}

// parts takes the last byte range of a file apart. Tests may search.
func parts(t testing.TB, signed []byte) (a, b int, content, der []byte) {
	t.Helper()
	all := regexp.MustCompile(`/ByteRange \[0 (\d+) +(\d+) +(\d+) *\]`).FindAllSubmatch(signed, -1)
	if len(all) == 0 {
		t.Fatal("no /ByteRange")
	}
	m := all[len(all)-1]
	a, _ = strconv.Atoi(string(m[1]))
	b, _ = strconv.Atoi(string(m[2]))
	n, _ := strconv.Atoi(string(m[3]))
	content = append(append([]byte{}, signed[:a]...), signed[b:b+n]...)
	if _, err := fmt.Sscanf(string(signed[a+1:b-1]), "%x", &der); err != nil {
		t.Fatal(err)
	}
	size := 4 + int(der[2])<<8 + int(der[3])
	return a, b, content, der[:size]
}

func sameText(t *testing.T, original []byte, signed string) {
	t.Helper()
	before, err := pdftest.Run(t, "pdftotext", pdftest.Write(t, "before.pdf", original), "-")
	if err != nil {
		t.Fatalf("pdftotext: %v", err)
	}
	after, err := pdftest.Run(t, "pdftotext", signed, "-")
	if err != nil || before != after {
		t.Errorf("pdftotext: %v\n%q\n%q", err, before, after)
	}
}

func TestSignaturesHoldWithEveryAlgorithm(t *testing.T) {
	for _, alg := range []cms.Algorithm{cms.RSAPKCS1, cms.RSAPSS, cms.ECDSA} {
		for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
			t.Run(fmt.Sprintf("%s/%v", alg, h), func(t *testing.T) {
				p := pdftest.New(t, alg, h, nil)
				document := pdftest.Document(pdftest.Shape{Pages: 2})
				signed := p.Sign(t, document, pdf.Options{Name: "Siti binti Ahmad", Reason: "Lulus (muktamad) \\", Location: "Putrajaya – Aras 3"})
				judge(t, p, p.NSS(t), document, signed)
			})
		}
	}
}

// qpdf converts a document.
func qpdf(t *testing.T, document []byte, args ...string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out.pdf")
	args = append(args, "--static-id", pdftest.Write(t, "in.pdf", document), out)
	if text, err := pdftest.Run(t, "qpdf", args...); err != nil {
		t.Fatalf("qpdf: %v\n%s", err, text)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const form = "/AcroForm<</Fields[1000 0 R]/DA(/Helv 0 Tf 0 g)/DR<</Font<</Helv 3 0 R>>>>/Custom#20Key <ABC>% keep\n>>"

func shapes(t *testing.T) map[string][]byte {
	plain := pdftest.Document(pdftest.Shape{Pages: 3})
	withForm := pdftest.Shape{Catalog: form, Page: "/Annots[1000 0 R]",
		Extra: map[int]string{1000: "<</Type/Annot/Subtype/Widget/FT/Tx/T(nama)/V(x)/Rect[10 10 100 30]/P 10 0 R>>"}}
	indirect := pdftest.Shape{Catalog: "/AcroForm 1001 0 R", Page: "/Annots 1003 0 R", Extra: map[int]string{
		1000: "<</Type/Annot/Subtype/Widget/FT/Tx/T(Signature1)/Rect[10 10 100 30]/P 10 0 R>>",
		1001: "<</Fields 1002 0 R/SigFlags 0/NeedAppearances false>>", 1002: "[1000 0 R]", 1003: "[1000 0 R]"}}
	return map[string][]byte{
		"classic":         plain,
		"no-id":           pdftest.Document(pdftest.Shape{Trailer: " "}),
		"no-eol-at-end":   bytes.TrimRight(plain, "\n"),
		"object-streams":  qpdf(t, plain, "--object-streams=generate"),
		"linearized":      qpdf(t, plain, "--linearize"),
		"linearized-objs": qpdf(t, plain, "--linearize", "--object-streams=generate"),
		"form-direct":     pdftest.Document(withForm),
		"form-indirect":   pdftest.Document(indirect),
		"form-objstm":     qpdf(t, pdftest.Document(indirect), "--object-streams=generate"),
		"hybrid":          pdftest.Hybrid(3, "0000000000 65535 f \n", "FOUR"),
		"null-entries":    pdftest.Document(pdftest.Shape{Catalog: "/AcroForm null", Page: "/Annots null"}),
		"empty-field": pdftest.Document(pdftest.Shape{Catalog: "/AcroForm<</Fields[1000 0 R]>>", Page: "/Annots[1000 0 R]",
			Extra: map[int]string{1000: "<</Type/Annot/Subtype/Widget/FT/Sig/T(Pengarah)/Rect[10 10 100 30]/F 4/P 10 0 R>>"}}),
		// The value of this /ByteRange is no PDF syntax; signing must not care.
		"placeholder-injection": pdftest.Document(pdftest.Shape{Extra: map[int]string{
			1000: "<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached/Name(PENYERANG)\n/ByteRange [0 ********** ********** **********]\n/Contents<" + strings.Repeat("0", 30000) + ">>>",
		}}),
		"placeholder-in-content": pdftest.Document(pdftest.Shape{Page: "/X(/ByteRange [0                                 ]\n/Contents <" + strings.Repeat("0", 20000) + ">)"}),
	}
}

func TestSignaturesHoldInEveryShape(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	nss := p.NSS(t)
	for name, document := range shapes(t) {
		t.Run(name, func(t *testing.T) {
			for _, v := range []*pdf.Visible{nil, {Page: 1, X: 300, Y: 40, Width: 200, Height: 60, Lines: []string{"Ditandatangani secara digital oleh", "SITI BINTI AHMAD"}}} {
				o := pdf.Options{Visible: v}
				if name == "empty-field" {
					if o.Field = "Pengarah"; v != nil {
						o.Field = ""
					}
				}
				signed := p.Sign(t, document, o)
				if v == nil {
					judge(t, p, nss, document, signed)
					continue
				}
				path := pdftest.Write(t, "signed.pdf", signed)
				if out, err := pdftest.Run(t, "pdfsig", "-nssdir", nss, path); err != nil || !strings.Contains(out, "Total document signed") {
					t.Errorf("pdfsig: %v\n%s", err, out)
				}
				if out, err := pdftest.Run(t, "pdftotext", "-f", "1", "-l", "1", path, "-"); err != nil || !strings.Contains(out, "SITI BINTI AHMAD") {
					t.Errorf("pdftotext: %v\n%s", err, out)
				}
			}
		})
	}
}

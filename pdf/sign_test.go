package pdf_test

import (
	"bytes"
	"context"
	"crypto"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
	"github.com/mohor-sign/mohor/pdf/verify"
)

// judge lets our verifier and the jury look at a signed document.
func judge(t *testing.T, p *pdftest.PKI, j *pdftest.Jury, original, signed []byte) {
	t.Helper()
	report, err := verify.Verify(context.Background(), bytes.NewReader(signed), int64(len(signed)), verify.Options{Roots: p.Roots(), Now: pdftest.Now()})
	if err != nil || report.Verdict != verify.Valid || report.Signatures[0].Level != "B-B" {
		t.Errorf("verify: %v %+v", err, report)
	}
	j.Judge(t, pdftest.Evidence{Original: original, Signed: signed, Visible: bytes.Contains(original, []byte("(Pengarah)"))})
}

func TestSignaturesHoldWithEveryAlgorithm(t *testing.T) {
	for _, alg := range []cms.Algorithm{cms.RSAPKCS1, cms.RSAPSS, cms.ECDSA} {
		for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
			t.Run(fmt.Sprintf("%s/%v", alg, h), func(t *testing.T) {
				p := pdftest.New(t, alg, h, nil)
				document := pdftest.Document(pdftest.Shape{Pages: 2})
				signed := p.Sign(t, document, pdf.Options{Name: "Siti binti Ahmad", Reason: "Lulus (muktamad) \\", Location: "Putrajaya – Aras 3"})
				judge(t, p, pdftest.NewJury(t, p.Root), document, signed)
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
		"empty-field-free": pdftest.Document(pdftest.Shape{Catalog: "/AcroForm<</Fields[1000 0 R]>>",
			Extra: map[int]string{1000: "<</Type/Annot/Subtype/Widget/FT/Sig/T(Pengarah)/V 7 0 R/Rect[10 10 100 30]/F 4/P 10 0 R>>"}}),
		// The value of this /ByteRange is no PDF syntax; signing must not care.
		"placeholder-injection": pdftest.Document(pdftest.Shape{Extra: map[int]string{
			1000: "<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached/Name(PENYERANG)\n/ByteRange [0 ********** ********** **********]\n/Contents<" + strings.Repeat("0", 30000) + ">>>",
		}}),
		"placeholder-in-content": pdftest.Document(pdftest.Shape{Page: "/X(/ByteRange [0                                 ]\n/Contents <" + strings.Repeat("0", 20000) + ">)"}),
	}
}

func TestSignaturesHoldInEveryShape(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	jury := pdftest.NewJury(t, p.Root)
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
					judge(t, p, jury, document, signed)
					continue
				}
				jury.Judge(t, pdftest.Evidence{Original: document, Signed: signed, Visible: true, Page: 1})
				path := pdftest.Write(t, "signed.pdf", signed)
				if out, err := pdftest.Run(t, "pdftotext", "-f", "1", "-l", "1", path, "-"); err != nil || !strings.Contains(out, "SITI BINTI AHMAD") {
					t.Errorf("pdftotext: %v\n%s", err, out)
				}
			}
		})
	}
}

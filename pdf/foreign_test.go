package pdf_test

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
)

// foreign signs as others do: certified with P 2, or with adbe.pkcs7.detached
// and a signing-time attribute.
const foreign = `
import sys
from pyhanko.sign import fields, signers
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
key, cert, issuer, document, out, kind = sys.argv[1:]
signer = signers.SimpleSigner.load(key, cert, ca_chain_files=[issuer])
pades = kind == 'certified'
meta = signers.PdfSignatureMetadata(
    field_name='Foreign', md_algorithm='sha256', certify=pades, docmdp_permissions=fields.MDPPerm.FILL_FORMS,
    subfilter=fields.SigSeedSubFilter.PADES if pades else fields.SigSeedSubFilter.ADOBE_PKCS7_DETACHED)
with open(document, 'rb') as i, open(out, 'wb') as o:
    signers.sign_pdf(IncrementalPdfFileWriter(i), meta, signer=signer, output=o)
`

func TestForeignSignaturesAreExtendedAndFollowed(t *testing.T) {
	python := pdftest.RequirePyHanko(t)
	a := pdftest.NewAuthorities(t, pdftest.New(t, cms.RSAPKCS1, crypto.SHA256, nil))
	a.CRLs = true
	jury := pdftest.NewJury(t, a.Root)
	der, err := x509.MarshalPKCS8PrivateKey(a.Key)
	if err != nil {
		t.Fatal(err)
	}
	key := pdftest.Write(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	document := pdftest.Document(pdftest.Shape{})
	for _, kind := range []string{"certified", "adbe"} {
		t.Run(kind, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "foreign.pdf")
			cmd := exec.Command(python, "-c", foreign, key, pdftest.PEM(t, a.Signer), pdftest.PEM(t, a.Issuer), pdftest.Write(t, "in.pdf", document), out, kind)
			if text, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("pyHanko: %v\n%s", err, text)
			}
			signed, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			signed = stamped(t, a, signed, pdf.Options{})
			archive := extend(t, signed, pdf.LevelLTA, a.Services())
			if again := extend(t, archive, pdf.LevelLTA, a.Services()); len(again) != len(archive) {
				t.Errorf("%d bytes added again", len(again)-len(archive))
			}
			// pyHanko wants a time-stamp in each signature for its indication.
			jury.Judge(t, pdftest.Evidence{Original: document, Signed: archive, Signatures: 4, ADES: "-"})
		})
	}
}

package pdf_test

import (
	"crypto"
	"crypto/x509"
	"os/exec"
	"regexp"
	"slices"
	"testing"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
)

// pyHankoSigns has pyHanko sign a field visibly and say what it thinks of what
// that changed behind the first signature.
const pyHankoSigns = `
import datetime, logging, sys
from asn1crypto import keys, x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign import signers
from pyhanko.stamp import TextStampStyle
from pyhanko_certvalidator.registry import SimpleCertificateStore

logging.disable(logging.CRITICAL)
key = ec.generate_private_key(ec.SECP256R1())
name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, 'pyHanko')])
now = datetime.datetime.now(datetime.timezone.utc)
cert = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(1)).sign(key, hashes.SHA256())
signer = signers.SimpleSigner(asn1.Certificate.load(cert.public_bytes(Encoding.DER)),
    keys.PrivateKeyInfo.load(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())), SimpleCertificateStore())
with open(sys.argv[1], 'rb') as f:
    out = signers.PdfSigner(signers.PdfSignatureMetadata(field_name=sys.argv[2]), signer, stamp_style=TextStampStyle()).sign_pdf(IncrementalPdfFileWriter(f))
first = PdfFileReader(out).embedded_signatures[0]
first.compute_integrity_info()
print(first.diff_result)
`

// replaced finds the objects that pyHanko sees replaced for no reason it knows.
var replaced = regexp.MustCompile(`(?m)^ - Reference\(idnum=(\d+), `)

// TestPyHankoKnowsNoReasonForSplitWidgets: pyHanko finds fields by their /T, and
// lets neither /Kids of a field nor a widget below it change, so that a
// signature that shows itself where field and widget are two objects makes the
// earlier ones suspicious, its own such signatures too. What needs no change of
// the widget it accepts. Should this fail, pyHanko has learned it: docs/pdf.md.
func TestPyHankoKnowsNoReasonForSplitWidgets(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	first := p.Sign(t, fields(nil), pdf.Options{Field: "Jabatan.Ketua"})
	shown := p.Sign(t, first, pdf.Options{Field: "Setiausaha", Visible: inField("HALIM BIN OTHMAN")})
	ours(t, p.Root, shown, pdf.LevelB)
	files := [][]byte{
		shown,
		p.Sign(t, first, pdf.Options{Field: "Setiausaha"}),
		p.Sign(t, first, pdf.Options{Field: "Pengarah", Visible: inField("HALIM BIN OTHMAN")}),
	}
	for k, report := range pdftest.PyHanko(t, []*x509.Certificate{p.Root}, files...) {
		if len(report.Signatures) != 2 || report.Signatures[1].Modification != "NONE" || !report.Signatures[1].BottomLine {
			t.Fatalf("file %d: %+v", k, report)
		}
		if one := report.Signatures[0]; one.BottomLine != (k > 0) || !one.Intact {
			t.Errorf("file %d: %+v", k, one)
		} else if k == 0 && !slices.Equal(numbers(one.Detail), []string{"1002"}) {
			t.Errorf("pyHanko objects to more than the widget: %s", one.Detail)
		}
	}
	out, err := exec.Command(pdftest.RequirePyHanko(t), "-c", pyHankoSigns, pdftest.Write(t, "first.pdf", first), "Setiausaha").CombinedOutput()
	if err != nil || !slices.Contains(numbers(string(out)), "1002") {
		t.Errorf("pyHanko on its own signature: %s, %v", out, err)
	}
}

func numbers(detail string) (found []string) {
	for _, m := range replaced.FindAllStringSubmatch(detail, -1) {
		found = append(found, m[1])
	}
	return found
}

package verify_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
	"github.com/mohor-sign/mohor/pdf/verify"
)

// foreign signs in several ways, one file each.
const foreign = `
import sys, asyncio
from pyhanko.sign import fields, signers, timestamps
from pyhanko.sign.fields import SigFieldSpec, MDPPerm, SigSeedSubFilter, FieldMDPSpec, FieldMDPAction
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils import generic
from pyhanko.stamp import TextStampStyle
from pyhanko_certvalidator import ValidationContext
from pyhanko.keys import load_cert_from_pemder, load_private_key_from_pemder
from pyhanko_certvalidator.registry import SimpleCertificateStore
from io import BytesIO
key, cert, issuer, tsakey, tsacert, root, document, folder, *crls = sys.argv[1:]
signer = signers.SimpleSigner.load(key, cert, ca_chain_files=[issuer])
store = SimpleCertificateStore(); store.register(load_cert_from_pemder(issuer))
tsa = timestamps.DummyTimeStamper(load_cert_from_pemder(tsacert), load_private_key_from_pemder(tsakey, None), certs_to_embed=store)
def trust():
    return ValidationContext(trust_roots=[load_cert_from_pemder(root)], other_certs=[load_cert_from_pemder(issuer)], allow_fetching=False, crls=[open(c, 'rb').read() for c in crls], revocation_mode='hard-fail')
PADES = SigSeedSubFilter.PADES
def sign(data, name, stamp=None, box=None, **more):
    w = IncrementalPdfFileWriter(BytesIO(data))
    spec = SigFieldSpec(name, on_page=0, box=box, field_mdp_spec=more.pop('lock', None))
    meta = signers.PdfSignatureMetadata(field_name=name, md_algorithm='sha256', subfilter=PADES, **more)
    style = TextStampStyle(stamp_text='Ditandatangani oleh %(signer)s') if box else None
    out = signers.PdfSigner(meta, signer=signer, timestamper=stamp, new_field_spec=spec, stamp_style=style).sign_pdf(w)
    return out.getvalue()
def write(name, data):
    open(folder + '/' + name + '.pdf', 'wb').write(data)
d = open(document, 'rb').read()
a = sign(d, 'A'); write('B-B', a)
write('visible', sign(d, 'A', box=(20, 20, 220, 80)))
b = sign(a, 'B', box=(20, 20, 220, 80)); write('two', b)
write('three', sign(b, 'C'))
write('B-T', sign(d, 'A', tsa))
lt = sign(d, 'A', tsa, embed_validation_info=True, validation_context=trust()); write('B-LT', lt)
lta = sign(d, 'A', tsa, embed_validation_info=True, use_pades_lta=True, validation_context=trust()); write('B-LTA', lta)
write('B-LTA, then B-LTA', sign(lta, 'B', tsa, embed_validation_info=True, use_pades_lta=True, validation_context=trust()))
out = BytesIO(lta)
signers.PdfTimeStamper(tsa).update_archival_timestamp_chain(PdfFileReader(out), trust(), in_place=True); write('B-LTA renewed', out.getvalue())
c = sign(d, 'A', certify=True, docmdp_permissions=MDPPerm.FILL_FORMS); write('certified', c)
write('certified, signed', sign(c, 'B'))
write('certified 1', sign(d, 'A', certify=True, docmdp_permissions=MDPPerm.NO_CHANGES))
write('locked, signed', sign(sign(d, 'A', lock=FieldMDPSpec(FieldMDPAction.INCLUDE, fields=['Nama'])), 'B'))
w = IncrementalPdfFileWriter(BytesIO(d))
fields.append_signature_field(w, SigFieldSpec('X', on_page=0, box=(20, 20, 220, 80)))
fields.append_signature_field(w, SigFieldSpec('Y', on_page=0, box=(20, 120, 220, 180)))
e = BytesIO(); w.write(e); e = sign(e.getvalue(), 'X', box=(20, 20, 220, 80)); write('prepared field', e)
write('prepared fields', sign(e, 'Y', box=(20, 120, 220, 180)))
`

// TestForeignSignaturesAreValid: what pyHanko and pdfsig sign is no false alarm.
func TestForeignSignaturesAreValid(t *testing.T) {
	python := pdftest.RequirePyHanko(t)
	h := newHouse(t, cms.RSAPKCS1)
	tsa, tsaKey := h.unit() // pyHanko's own stamps with RSA alone
	pkcs8 := func(key any) string {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return pdftest.Write(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	folder := t.TempDir()
	args := []string{"-c", foreign, pkcs8(h.Key), pdftest.PEM(t, h.Signer), pdftest.PEM(t, h.Issuer), pkcs8(tsaKey), pdftest.PEM(t, tsa), pdftest.PEM(t, h.Root),
		pdftest.Write(t, "in.pdf", informed()), folder}
	for _, issuer := range []*x509.Certificate{h.Issuer, h.Root} {
		h.CRLs = true
		a, err := h.Revocation(t.Context(), issuer, issuer)
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, pdftest.Write(t, "list.crl", a.CRL))
	}
	if text, err := exec.Command(python, args...).CombinedOutput(); err != nil {
		t.Fatalf("pyHanko: %v\n%s", err, text)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.pdf"))
	if err != nil || len(files) < 15 {
		t.Fatalf("%v, %d files", err, len(files))
	}
	for _, file := range files {
		signed, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		h.judge(strings.TrimSuffix(filepath.Base(file), ".pdf"), signed)
		h.judge(filepath.Base(file)+" followed by ours", h.follow(signed))
	}
}

// informed is a document with information that writers bring up to date.
func informed() []byte {
	const xmp = `<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="Penulis" xmp:ModifyDate="2026-01-01T00:00:00Z"><dc:title><rdf:Alt><rdf:li xml:lang="x-default">Surat</rdf:li></rdf:Alt></dc:title></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>`
	return pdftest.Document(pdftest.Shape{Pages: 2, Catalog: "/Metadata 1001 0 R", Trailer: "/Info 1000 0 R/ID[<0011><0022>]", Extra: map[int]string{
		1000: "<</Title(Surat)/Creator(Penulis)/Producer(Pencetak)/ModDate(D:20260101000000Z)>>",
		1001: fmt.Sprintf("<</Type/Metadata/Subtype/XML/Length %d>>\nstream\n%s\nendstream", len(xmp), xmp),
	}})
}

// TestSignaturesOfPDFSig: poppler signs twice, with adbe.pkcs7.detached. That is
// all there is to say against it.
func TestSignaturesOfPDFSig(t *testing.T) {
	for _, tool := range []string{"pdfsig", "certutil", "openssl", "pk12util"} {
		pdftest.RequireTool(t, tool)
	}
	h := newHouse(t, cms.RSAPKCS1)
	nss := h.NSS(t)
	der, err := x509.MarshalPKCS8PrivateKey(h.Key)
	if err != nil {
		t.Fatal(err)
	}
	key := pdftest.Write(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	p12, out := filepath.Join(nss, "signer.p12"), filepath.Join(nss, "one.pdf")
	run := func(name string, args ...string) {
		t.Helper()
		if text, err := pdftest.Run(t, name, args...); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, text)
		}
	}
	run("openssl", "pkcs12", "-export", "-out", p12, "-inkey", key, "-in", pdftest.PEM(t, h.Signer), "-certfile", pdftest.PEM(t, h.Issuer), "-name", "signer", "-passout", "pass:")
	run("pk12util", "-i", p12, "-d", nss, "-W", "", "-K", "")
	for i, from := range []string{pdftest.Write(t, "in.pdf", informed()), out} {
		to := filepath.Join(nss, []string{"one.pdf", "two.pdf"}[i])
		run("pdfsig", "-nssdir", nss, "-nocert", "-nick", "signer", "-add-signature", from, to)
		signed, err := os.ReadFile(to)
		if err != nil {
			t.Fatal(err)
		}
		o := h.options()
		o.Now = pdftest.Now()
		for _, s := range check(t, signed, o).Signatures {
			for _, reason := range s.Reasons {
				if reason.Code != "not_pades" && reason.Code != "signing_certificate_missing" {
					t.Errorf("%s: %s %s, changes %q", to, reason.Code, reason.Detail, s.Changes)
				}
			}
		}
	}
}

// unit makes another time-stamping unit, with an RSA key.
func (h *house) unit() (*x509.Certificate, crypto.Signer) {
	key := pdftest.NewKey(h.t, cms.RSAPKCS1)
	template := *h.TSA
	template.ExtKeyUsage, template.SignatureAlgorithm, template.PublicKey = nil, 0, nil
	for _, e := range h.TSA.Extensions {
		if e.Critical && e.Id.String() == "2.5.29.37" {
			template.ExtraExtensions = append(template.ExtraExtensions, e)
		}
	}
	return pdftest.Issue(h.t, &template, h.Issuer, key, h.IssuerKey), key
}

// follow adds a signature of ours where one is permitted.
func (h *house) follow(signed []byte) []byte {
	d, err := pdf.Open(bytes.NewReader(signed), int64(len(signed)))
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := d.Prepare(pdf.Options{Time: h.Clock()}); err != nil {
		return signed
	}
	return h.extend(h.stamped(signed, pdf.Options{}), pdf.LevelLTA, false)
}

// judge wants a document to be VALID at the level its name begins with.
func (h *house) judge(name string, signed []byte) {
	h.t.Helper()
	o := h.options()
	o.Now = pdftest.Now() // others have clocks of their own
	r := check(h.t, signed, o)
	level, _, _ := strings.Cut(strings.TrimSuffix(name, ".pdf"), " ")
	level = strings.TrimSuffix(strings.TrimSuffix(level, ","), ".pdf")
	if r.Verdict != verify.Valid || strings.HasPrefix(name, "B-") && !strings.Contains(name, "followed") && r.Signatures[0].Level != level {
		h.t.Errorf("%s: %s, level %s %s", name, r.Verdict, r.Signatures[0].Level, describe(r))
	}
}

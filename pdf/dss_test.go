package pdf_test

import (
	"bytes"
	"crypto"
	"crypto/sha1" //nolint:gosec // the name of a signature in /VRI
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
)

func sequence(t *testing.T, n int) []byte {
	t.Helper()
	der, err := asn1.Marshal([]string{strings.Repeat("x", n)})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func addEvidence(t *testing.T, document []byte, evidence map[string]pdf.Evidence) []byte {
	t.Helper()
	d, err := pdf.Open(bytes.NewReader(document), int64(len(document)))
	if err != nil {
		t.Fatal(err)
	}
	u, err := d.AddEvidence(evidence)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if n, err := u.Append(&out); err != nil || n != int64(out.Len()) {
		t.Fatal(n, err)
	}
	if _, size := u.Updated(); size != int64(len(document)+out.Len()) {
		t.Errorf("Updated says %d bytes", size)
	}
	return out.Bytes()
}

func TestEvidenceIsAddedOnce(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	list := sequence(t, 20_000) // stored compressed
	first := pdf.Evidence{Certificates: [][]byte{p.Signer.Raw, p.Issuer.Raw}, CRLs: [][]byte{list}}
	second := pdf.Evidence{Certificates: [][]byte{p.Issuer.Raw, p.Root.Raw}, OCSPs: [][]byte{sequence(t, 9)}, CRLs: [][]byte{list}}
	for name, catalog := range map[string]string{
		"none":      "",
		"null":      "/DSS null",
		"empty":     "/DSS<<>>",
		"direct":    "/DSS<</Certs[1011 0 R]/VRI<</0000000000000000000000000000000000000000<<>>>>>>",
		"reference": "/DSS 1010 0 R",
	} {
		t.Run(name, func(t *testing.T) {
			document := pdftest.Document(pdftest.Shape{Catalog: catalog, Extra: map[int]string{
				1010: "<</Type/DSS/Certs 1012 0 R/VRI 1013 0 R/Own(kept)>>", 1012: "[1011 0 R]", 1013: "<<>>",
				1011: fmt.Sprintf("<</Length %d>>\nstream\n%s\nendstream", len(p.Issuer.Raw), p.Issuer.Raw)}})
			document = p.Sign(t, document, pdf.Options{Certify: 1})
			one := addEvidence(t, document, map[string]pdf.Evidence{"Signature1": first})
			document = append(document, one...)
			streams := func(b []byte) int { return bytes.Count(b, []byte("\nendstream")) }
			want := 3
			if strings.Contains(catalog, "1") {
				want = 2 // the issuer is there
			}
			if streams(one) != want || len(one) > 3000 {
				t.Errorf("%d streams in %d bytes", streams(one), len(one))
			}
			if again := addEvidence(t, document, map[string]pdf.Evidence{"Signature1": first}); len(again) != 0 {
				t.Errorf("%d bytes for nothing new", len(again))
			}
			// Nothing about the signature itself: its entry stays.
			two := addEvidence(t, document, map[string]pdf.Evidence{"Signature1": second, "": first})
			if streams(two) != 2 || bytes.Contains(two, []byte("/Cert[")) {
				t.Errorf("second update:\n%s", two)
			}
			part := pdftest.Parts(t, nil, document)[0]
			contents, err := hex.DecodeString(string(document[part.Gap+1 : part.Resume-1]))
			if err != nil {
				t.Fatal(err)
			}
			if key := fmt.Sprintf("/%X ", sha1.Sum(contents)); !bytes.Contains(one, []byte(key)) || !bytes.Contains(one, []byte("<</Cert[")) {
				t.Errorf("no %s in\n%s", key, one)
			}
			path := pdftest.Write(t, "dss.pdf", append(document, two...))
			if out, err := pdftest.Run(t, "qpdf", "--check", path); err != nil {
				t.Errorf("qpdf: %v\n%s", err, out)
			}
		})
	}
}

func TestRefusedEvidence(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	evidence := map[string]pdf.Evidence{"": {Certificates: [][]byte{p.Root.Raw}}}
	for name, c := range map[string]struct {
		catalog  string
		evidence map[string]pdf.Evidence
		want     error
	}{
		"no dictionary":   {"/DSS 7", evidence, pdf.ErrInvalid},
		"no stream":       {"/DSS<</Certs[3 0 R]>>", evidence, pdf.ErrInvalid},
		"direct element":  {"/DSS<</CRLs[<<>>]>>", evidence, pdf.ErrInvalid},
		"no array":        {"/DSS<</Certs 7>>", evidence, pdf.ErrInvalid},
		"many":            {"/DSS<</Certs[" + strings.Repeat("11 0 R ", 5000) + "]>>", evidence, pdf.ErrTooLarge},
		"no such field":   {"", map[string]pdf.Evidence{"x": evidence[""]}, pdf.ErrOptions},
		"no DER":          {"", map[string]pdf.Evidence{"": {OCSPs: [][]byte{[]byte("x")}}}, pdf.ErrOptions},
		"nothing":         {"", map[string]pdf.Evidence{"": {CRLs: [][]byte{nil}}}, pdf.ErrOptions},
		"malformed names": {"/DSS<</VRI[]>>/AcroForm<</Fields[1000 0 R]>>", map[string]pdf.Evidence{"S": evidence[""]}, pdf.ErrInvalid},
	} {
		document := pdftest.Document(pdftest.Shape{Catalog: c.catalog, Extra: map[int]string{1000: "<</FT/Sig/T(S)/V<</Contents<3000>>>>>"}})
		d, err := pdf.Open(bytes.NewReader(document), int64(len(document)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.AddEvidence(c.evidence); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestRefusedTimestamps(t *testing.T) {
	for name, c := range map[string]struct {
		document []byte
		size     int
		want     error
	}{
		"no size":      {pdftest.Document(pdftest.Shape{}), 0, pdf.ErrOptions},
		"large":        {pdftest.Document(pdftest.Shape{}), pdf.MaxContents + 1, pdf.ErrOptions},
		"usage rights": {pdftest.Document(signedField("/Perms<</UR3 1001 0 R>>", "")), 100, pdf.ErrUnsupported},
		"locked":       {pdftest.Document(signedField("", "/Reference[<</TransformMethod/FieldMDP/TransformParams<</Action/All>>>>]")), 100, nil},
	} {
		d, err := pdf.Open(bytes.NewReader(c.document), int64(len(c.document)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.PrepareTimestamp(c.size); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestElementEndsWhereBERSays(t *testing.T) {
	long := append([]byte{0x30, 0x82, 0x01, 0x00}, make([]byte, 256)...)
	for _, c := range []struct {
		in   []byte
		want int
	}{
		{[]byte{0x30, 0, 0, 0}, 2},
		{[]byte{0x30, 2, 5, 0, 0, 0}, 4},
		{append(long, 0, 0), 260},
		{long[:200], 0},
		{[]byte{0x30, 0x80, 5, 0, 0x24, 0x80, 4, 1, 7, 0, 0, 0, 0, 0, 0}, 13},
		{[]byte{0x30, 0x80, 5, 0, 0}, 0},
		{[]byte{0x30, 0x80, 0x1F, 0x81, 0x01, 1, 9, 0, 0, 0}, 9},
		{[]byte{0x30, 0x85, 1, 1, 1, 1, 1}, 0},
		{[]byte{0x30, 0x84, 1}, 0},
		{[]byte{0x3F, 0x81, 0x81}, 0},
		{bytes.Repeat([]byte{0x30, 0x80}, 1000), 0},
		{[]byte{0x30}, 0},
		{nil, 0},
	} {
		if n, ok := pdf.Element(c.in); n != c.want || ok != (n > 0) {
			t.Errorf("%.20x: %d %v, want %d", c.in, n, ok, c.want)
		}
	}
}

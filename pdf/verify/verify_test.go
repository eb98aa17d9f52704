package verify_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
	"github.com/mohor-sign/mohor/pdf/verify"
)

func check(t testing.TB, document []byte, o verify.Options) *verify.Report {
	t.Helper()
	if o.Now.IsZero() {
		o.Now = pdftest.Now()
	}
	r, err := verify.Verify(context.Background(), bytes.NewReader(document), int64(len(document)), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// codes lists all reason codes of a report.
func codes(r *verify.Report) string {
	var out []string
	for _, reason := range r.Reasons {
		out = append(out, reason.Code)
	}
	for _, s := range r.Signatures {
		for _, reason := range s.Reasons {
			if reason.MS == "" || reason.EN == "" {
				out = append(out, "no text for")
			}
			out = append(out, reason.Code)
		}
	}
	return strings.Join(out, " ")
}

type byteRange struct{ at, end, a, b, n int }

// find locates the byte range of the only signature. Tests may search.
func find(t testing.TB, signed []byte) byteRange {
	t.Helper()
	m := regexp.MustCompile(`/ByteRange (\[0 (\d+) +(\d+) +(\d+) *\])`).FindSubmatchIndex(signed)
	if m == nil {
		t.Fatal("no byte range")
	}
	number := func(i int) int {
		n, _ := strconv.Atoi(string(signed[m[i]:m[i+1]]))
		return n
	}
	return byteRange{m[2], m[3], number(4), number(6), number(8)}
}

// revise appends a revision with the objects given.
func revise(t testing.TB, document []byte, objects map[int]string) []byte {
	t.Helper()
	m := regexp.MustCompile(`startxref\s+(\d+)\s+%%EOF\s*$`).FindSubmatch(document)
	out := bytes.Clone(document)
	var xref strings.Builder
	for num, body := range objects {
		fmt.Fprintf(&xref, "%d 1\n%010d 00000 n \n", num, len(out))
		out = fmt.Appendf(out, "%d 0 obj\n%s\nendobj\n", num, body)
	}
	at := len(out)
	return fmt.Appendf(out, "xref\n%strailer\n<</Size 3000/Root 1 0 R/Prev %s>>\nstartxref\n%d\n%%%%EOF\n", xref.String(), m[1], at)
}

func TestValidSignature(t *testing.T) {
	p := pdftest.New(t, cms.RSAPSS, crypto.SHA256, nil)
	signed := p.Sign(t, pdftest.Document(pdftest.Shape{}), pdf.Options{Field: "Pengarah"})
	r := check(t, signed, verify.Options{Roots: p.Roots()})
	s := r.Signatures[0]
	if r.Verdict != verify.Valid || s.Field != "Pengarah" || s.Level != "B-B" || !s.Covers || s.SignedAt == nil ||
		!strings.Contains(s.Signer, "SITI BINTI AHMAD") || s.Revocation.Status != "not_checked" || len(s.Reasons) != 0 {
		t.Errorf("%+v", r)
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"verdict":"VALID"`, `"reasons":[]`, `"certificate":"MII`, `"time_source":"claimed"`, `"changes_after":[]`,
		`"covers_whole_document":true`, `"revocation":{"source":"","status":"not_checked","at":null}`, `"signed_at":"2`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("JSON lacks %s:\n%s", want, b)
		}
	}
}

// TestManipulatedDocumentsAreNeverValid mutates a signed document in the ways
// that fooled validators before (pdf-insecurity.org: ISA, USF, SWA).
func TestManipulatedDocumentsAreNeverValid(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	signed := p.Sign(t, pdftest.Document(pdftest.Shape{}), pdf.Options{Reason: strings.Repeat("sebab ", 10), ContentsSize: 4096})
	if r := check(t, signed, verify.Options{Roots: p.Roots()}); r.Verdict != verify.Valid {
		t.Fatalf("control: %+v", r)
	}
	br := find(t, signed)
	contents := string(signed[br.a:br.b])
	ranged := func(text string) []byte { // USF: another /ByteRange in place
		out := bytes.Clone(signed)
		copy(out[br.at:br.end], fmt.Sprintf("%-*s", br.end-br.at, text))
		return out
	}
	put := func(at int, text string) []byte {
		out := bytes.Clone(signed)
		copy(out[at:], text)
		return out
	}
	reason := bytes.Index(signed, []byte("/Reason(sebab"))
	dict := func(byteRange, contents string) string {
		return "<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached/M(D:20260101000000Z)/ByteRange " + byteRange + "/Contents " + contents + ">>"
	}
	same := string(signed[br.at:br.end])
	evil := "<</Type/Page/Parent 2 0 R/Contents 3 0 R/Annots[13 0 R]>>"
	field := func(v string) string {
		return "<</Type/Annot/Subtype/Widget/FT/Sig/T(Signature1)/F 132/P 10 0 R/V " + v + "/Rect[0 0 0 0]>>"
	}
	for name, c := range map[string]struct {
		document []byte
		verdict  verify.Verdict
		code     string
	}{
		"spaces appended":         {append(bytes.Clone(signed), "  \n"...), verify.Indeterminate, "bytes_after"},
		"ISA: page replaced":      {revise(t, signed, map[int]string{10: evil}), verify.Invalid, "changed_after"},
		"ISA: catalog replaced":   {revise(t, signed, map[int]string{1: "<</Type/Catalog/Pages 2 0 R>>"}), verify.Indeterminate, "no_signature"},
		"ISA: no xref":            {append(bytes.Clone(signed), "10 0 obj "+evil+" endobj\nstartxref\n0\n%%EOF\n"...), verify.Invalid, "pdf_invalid"},
		"ISA: no trailer":         {append(bytes.Clone(signed), "10 0 obj "+evil+" endobj\n"...), verify.Invalid, "changed_after"},
		"USF: null":               {ranged("null"), verify.Invalid, "byte_range_malformed"},
		"USF: empty":              {ranged("[]"), verify.Invalid, "byte_range_malformed"},
		"USF: zeros":              {ranged("[0 0 0 0]"), verify.Invalid, "byte_range_malformed"},
		"USF: negative":           {ranged("[0 -1 -1 -1]"), verify.Invalid, "byte_range_malformed"},
		"USF: whole file":         {ranged(fmt.Sprintf("[0 %d 0 0]", len(signed))), verify.Invalid, "byte_range_malformed"},
		"USF: reals":              {ranged(fmt.Sprintf("[0 %d.0 %d %d]", br.a, br.b, br.n)), verify.Invalid, "byte_range_malformed"},
		"USF: names":              {ranged("[/A /B /C /D]"), verify.Invalid, "byte_range_malformed"},
		"USF: five":               {ranged(fmt.Sprintf("[0 %d %d %d 0]", br.a, br.b, br.n)), verify.Invalid, "byte_range_malformed"},
		"USF: indirect":           {ranged("3 0 R"), verify.Invalid, "byte_range_malformed"},
		"USF: starts at 1":        {ranged(fmt.Sprintf("[1 %d %d %d]", br.a, br.b, br.n)), verify.Invalid, "byte_range_malformed"},
		"USF: overflow":           {ranged(fmt.Sprintf("[0 %d %d 9223372036854775807]", br.a, br.b)), verify.Invalid, "byte_range_malformed"},
		"USF: overlapping":        {ranged(fmt.Sprintf("[0 %d %d %d]", br.b, br.a, len(signed)-br.a)), verify.Invalid, "byte_range_malformed"},
		"shifted start":           {ranged(fmt.Sprintf("[0 %d %d %d]", br.a-1, br.b, br.n)), verify.Invalid, "gap_not_contents"},
		"shifted end":             {ranged(fmt.Sprintf("[0 %d %d %d]", br.a, br.b+1, br.n-1)), verify.Invalid, "gap_not_contents"},
		"wide gap":                {ranged(fmt.Sprintf("[0 %d %d %d]", br.a-40, br.b+40, br.n-40)), verify.Invalid, "gap_not_contents"},
		"shortened":               {ranged(fmt.Sprintf("[0 %d %d %d]", br.a, br.b, br.n-5)), verify.Invalid, "revision_incomplete"},
		"SWA: copy of dict":       {revise(t, signed, map[int]string{12: dict(same, contents), 10: evil}), verify.Invalid, "gap_not_contents"},
		"SWA: new object":         {revise(t, signed, map[int]string{2000: dict(same, contents), 13: field("2000 0 R")}), verify.Invalid, "gap_not_contents"},
		"SWA: direct value":       {revise(t, signed, map[int]string{13: field(dict(same, contents))}), verify.Invalid, "gap_not_contents"},
		"USF: no contents":        {revise(t, signed, map[int]string{12: dict(same, "null")}), verify.Invalid, "signature_malformed"},
		"USF: empty contents":     {revise(t, signed, map[int]string{12: dict(same, "<>")}), verify.Invalid, "signature_malformed"},
		"USF: contents elsewhere": {revise(t, signed, map[int]string{12: dict(same, "2000 0 R"), 2000: contents}), verify.Invalid, "signature_malformed"},
		"USF: value is null":      {revise(t, signed, map[int]string{13: field("null")}), verify.Indeterminate, "no_signature"},
		"USF: value is name":      {revise(t, signed, map[int]string{13: field("/Sig")}), verify.Invalid, "signature_malformed"},
		"second field": {revise(t, signed, map[int]string{1: "<</Type/Catalog/Pages 2 0 R/AcroForm<</SigFlags 3/Fields[13 0 R 2000 0 R]>>>>",
			2000: "<</FT/Sig/T(Lain)/V 12 0 R>>"}), verify.Invalid, "byte_range_malformed"},
		"stray widget": {revise(t, signed, map[int]string{10: "<</Type/Page/Parent 2 0 R/Annots[13 0 R 2000 0 R]>>",
			2000: "<</Subtype/Widget/FT/Sig/T(Lain)/V 12 0 R>>"}), verify.Invalid, "stray_signature"},
		"duplicate byte range": {put(reason, "/ByteRange[0 1 2 3]/R("), verify.Invalid, "pdf_invalid"},
		"duplicate contents":   {put(reason, "/Contents<3000>/Reas("), verify.Invalid, "pdf_invalid"},
		"escaped duplicate":    {put(reason, "/Content#73<3000>/R("), verify.Invalid, "pdf_invalid"},
		"other reason":         {put(reason, "/Reason(LULUS"), verify.Invalid, "digest_mismatch"},
		"garbage in padding":   {put(br.b-20, "4D"), verify.Invalid, "cms_malformed"},
		"spaces in contents":   {put(br.b-20, "  "), verify.Invalid, "signature_malformed"},
		"comment in contents":  {put(br.b-20, "%\n"), verify.Invalid, "pdf_invalid"},
		"early end of string":  {put(br.b-20, ">/"), verify.Invalid, ""},
		"null CMS":             {put(br.a+1, strings.Repeat("0", br.b-br.a-2)), verify.Invalid, "cms_malformed"},
		"null page text":       {put(bytes.Index(signed, []byte("Halaman")), "Palsu  "), verify.Invalid, "digest_mismatch"},
		"truncated":            {signed[:len(signed)-1], verify.Invalid, "byte_range_malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			if bytes.Equal(c.document, signed) {
				t.Fatal("the mutation changes nothing")
			}
			r := check(t, c.document, verify.Options{Roots: p.Roots()})
			if r.Verdict != c.verdict || !strings.Contains(codes(r), c.code) {
				t.Errorf("%s, %s; want %s, %s", r.Verdict, codes(r), c.verdict, c.code)
			}
		})
	}
}

func TestEveryFlippedBitIsSeen(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	signed := p.Sign(t, pdftest.Document(pdftest.Shape{}), pdf.Options{})
	br := find(t, signed)
	b := bytes.Clone(signed)
	for i := range b {
		for _, bit := range []byte{0x01, 0x10, 0x80} {
			b[i] ^= bit
			if r := check(t, b, verify.Options{Roots: p.Roots()}); r.Verdict == verify.Valid {
				t.Errorf("byte %d (gap %d to %d) with bit %x flipped is VALID", i, br.a, br.b, bit)
			}
			b[i] ^= bit
		}
		if t.Failed() {
			return
		}
	}
}

func TestCertificatesAreJudged(t *testing.T) {
	document := pdftest.Document(pdftest.Shape{})
	now := pdftest.Now()
	for name, c := range map[string]struct {
		tweak   func(*x509.Certificate)
		time    time.Time
		now     time.Time
		verdict verify.Verdict
		code    string
	}{
		"control":        {verdict: verify.Valid},
		"nonRepudiation": {tweak: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageContentCommitment }, verdict: verify.Valid},
		"document signing": {tweak: func(c *x509.Certificate) {
			c.UnknownExtKeyUsage = append(c.UnknownExtKeyUsage, []int{1, 3, 6, 1, 5, 5, 7, 3, 36})
		}, verdict: verify.Valid},
		"encryption only": {tweak: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }, verdict: verify.Indeterminate, code: "key_usage"},
		"no key usage":    {tweak: func(c *x509.Certificate) { c.KeyUsage = 0 }, verdict: verify.Indeterminate, code: "key_usage"},
		"server":          {tweak: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, verdict: verify.Indeterminate, code: "key_usage"},
		"authority":       {tweak: func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }, verdict: verify.Indeterminate, code: "key_usage"},
		"expired now":     {now: now.Add(150 * time.Hour), verdict: verify.Indeterminate, code: "certificate_expired"},
		"signed before":   {time: now.Add(-30 * time.Hour), verdict: verify.Indeterminate, code: "signed_outside_validity"},
		"signed tomorrow": {time: now.Add(24 * time.Hour), verdict: verify.Indeterminate, code: "signing_time_future"},
	} {
		t.Run(name, func(t *testing.T) {
			p := pdftest.New(t, cms.ECDSA, crypto.SHA256, c.tweak)
			signed := p.Sign(t, document, pdf.Options{Time: c.time})
			r := check(t, signed, verify.Options{Roots: p.Roots(), Now: c.now})
			if r.Verdict != c.verdict || codes(r) != c.code {
				t.Errorf("%s, %q; want %s, %q", r.Verdict, codes(r), c.verdict, c.code)
			}
		})
	}
	p, other := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil), pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	signed := p.Sign(t, document, pdf.Options{})
	for name, pool := range map[string]*x509.CertPool{"nil": nil, "empty": x509.NewCertPool(), "another root of the same name": other.Roots()} {
		if r := check(t, signed, verify.Options{Roots: pool}); r.Verdict != verify.Indeterminate || codes(r) != "chain_unknown" {
			t.Errorf("%s: %s, %s", name, r.Verdict, codes(r))
		}
	}
}

func TestRevocationLists(t *testing.T) {
	p, other := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil), pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	signed := p.Sign(t, pdftest.Document(pdftest.Shape{}), pdf.Options{})
	serial := p.Signer.SerialNumber
	later := pdftest.Now().Add(2 * time.Hour) // the lists have expired
	for name, c := range map[string]struct {
		crl     *x509.RevocationList
		now     time.Time
		verdict verify.Verdict
		status  string
	}{
		"good":           {p.CRL(t, big.NewInt(5)), time.Time{}, verify.Valid, "good"},
		"revoked":        {p.CRL(t, big.NewInt(5), serial), time.Time{}, verify.Invalid, "revoked"},
		"old":            {p.CRL(t), later, verify.Indeterminate, "unknown"},
		"old, revoked":   {p.CRL(t, serial), later, verify.Invalid, "revoked"},
		"another issuer": {other.CRL(t, serial), time.Time{}, verify.Indeterminate, "unknown"},
	} {
		r := check(t, signed, verify.Options{Roots: p.Roots(), Now: c.now, CRLs: []*x509.RevocationList{c.crl}})
		if r.Verdict != c.verdict || r.Signatures[0].Revocation.Status != c.status {
			t.Errorf("%s: %s %+v", name, r.Verdict, r.Signatures[0].Revocation)
		}
	}
}

func TestDocumentsWithoutJudgement(t *testing.T) {
	for name, c := range map[string]struct {
		document []byte
		verdict  verify.Verdict
		code     string
	}{
		"no signature": {pdftest.Document(pdftest.Shape{}), verify.Indeterminate, "no_signature"},
		"empty":        {nil, verify.Invalid, "pdf_invalid"},
		"no PDF":       {[]byte("PK\x03\x04 not a PDF"), verify.Invalid, "pdf_invalid"},
		"encrypted":    {pdftest.Document(pdftest.Shape{Trailer: "/Encrypt 3 0 R"}), verify.Indeterminate, "pdf_encrypted"},
	} {
		if r := check(t, c.document, verify.Options{}); r.Verdict != c.verdict || codes(r) != c.code {
			t.Errorf("%s: %s %s", name, r.Verdict, codes(r))
		}
	}
	document := pdftest.Document(pdftest.Shape{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := verify.Verify(ctx, bytes.NewReader(document), int64(len(document)), verify.Options{Now: time.Now()}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := verify.Verify(context.Background(), bytes.NewReader(document), int64(len(document)), verify.Options{}); err == nil {
		t.Error("no time of the check, no error")
	}
}

func TestDetached(t *testing.T) {
	p := pdftest.New(t, cms.RSAPKCS1, crypto.SHA384, nil)
	digest := bytes.Repeat([]byte{7}, 48)
	der := p.CMS(t, digest)
	if s := verify.Detached(digest, der, verify.Options{Roots: p.Roots(), Now: pdftest.Now()}); s.Verdict != verify.Valid {
		t.Errorf("%+v", s)
	}
	digest[0]++
	if s := verify.Detached(digest, der, verify.Options{Roots: p.Roots(), Now: pdftest.Now()}); s.Verdict != verify.Invalid || s.Reasons[0].Code != "digest_mismatch" {
		t.Errorf("%+v", s)
	}
	if s := verify.Detached(digest, append(der, 0), verify.Options{Roots: p.Roots(), Now: pdftest.Now()}); s.Verdict != verify.Invalid || s.Reasons[0].Code != "cms_malformed" {
		t.Errorf("%+v", s)
	}
}

// FuzzVerify edits a signed document: it cuts bytes at a place, puts others
// there and appends some. Whatever comes out is not VALID, unless only the
// case of hexadecimal digits in /Contents changed.
func FuzzVerify(f *testing.F) {
	p := pdftest.New(f, cms.ECDSA, crypto.SHA256, nil)
	signed := p.Sign(f, pdftest.Document(pdftest.Shape{}), pdf.Options{ContentsSize: 3000})
	br := find(f, signed)
	f.Add(uint16(br.at), uint16(br.end-br.at), []byte("[0 0 0 0]"), []byte(nil))
	f.Add(uint16(br.b-8), uint16(4), []byte("3000"), []byte(nil))
	f.Add(uint16(0), uint16(0), []byte(nil), []byte("10 0 obj<<>>endobj\nxref\n0 0\ntrailer<</Size 14/Root 1 0 R/Prev 0>>\nstartxref\n0\n%%EOF"))
	f.Fuzz(func(t *testing.T, at, cut uint16, put, appended []byte) {
		start := min(int(at), len(signed))
		end := min(start+int(cut), len(signed))
		b := append(append(append(bytes.Clone(signed[:start]), put...), signed[end:]...), appended...)
		began := time.Now()
		r := check(t, b, verify.Options{Roots: p.Roots()})
		if d := time.Since(began); d > 20*time.Second {
			t.Errorf("took %v", d)
		}
		if r.Verdict == verify.Valid && !bytes.EqualFold(b, signed) {
			t.Errorf("VALID after %d bytes at %d became %q, and %q was appended", end-start, start, put, appended)
		}
	})
}

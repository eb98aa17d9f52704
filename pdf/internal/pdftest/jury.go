package pdftest

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Jury is the outside judges of signed documents: pdfsig (poppler, NSS), qpdf,
// mutool (MuPDF), openssl and pyHanko, with the same roots trusted.
type Jury struct {
	nss, roots string
	pyHanko    *pyHanko
}

// Judges are the names of the judges, in the order of their sessions.
func Judges() []string {
	return []string{"prefix", "pdfsig", "qpdf", "mutool", "openssl", "pyHanko", "text", "rendering"}
}

// Evidence is what a Jury judges.
type Evidence struct {
	Original []byte // the document before the first signature
	Signed   []byte
	// Signatures is the number of signatures and document time-stamps
	// appended to Original, 1 when 0.
	Signatures int
	// Uncovered: evidence lies behind the last of them (B-LT).
	Uncovered bool
	// Visible: a signature has an appearance, or fills a field that had a
	// place, for which MuPDF draws a mark while it is empty: text and
	// renderings may differ on Page, or anywhere when that is 0.
	Visible bool
	Page    int
	// Password opens an encrypted document; "" is the empty user password.
	Password string
	// Quick documents have many pages: only the first and the last one are
	// looked at, and pyHanko is not asked.
	Quick bool
	// ADES is what pyHanko is to say of each signature, "OK" when empty; "-"
	// does not ask.
	ADES string
}

// Unable is the objection of a judge who could not read the document before
// it was signed either.
const Unable = "cannot read the original"

// NewJury starts the judges. Missing ones skip the test, or fail it where
// MOHOR_TEST_REQUIRE is all.
func NewJury(t testing.TB, roots ...*x509.Certificate) *Jury {
	t.Helper()
	for _, name := range []string{"certutil", "pdfsig", "qpdf", "mutool", "openssl", "pdftotext"} {
		RequireTool(t, name)
	}
	j := &Jury{nss: t.TempDir(), pyHanko: startPyHanko(t, roots)}
	if out, err := Run(t, "certutil", "-N", "-d", j.nss, "--empty-password"); err != nil {
		t.Fatalf("certutil: %v\n%s", err, out)
	}
	var all []byte
	for i, c := range roots {
		if out, err := Run(t, "certutil", "-A", "-d", j.nss, "-n", fmt.Sprint("root", i), "-t", "C,C,C", "-i", PEM(t, c)); err != nil {
			t.Fatalf("certutil: %v\n%s", err, out)
		}
		all = append(all, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	j.roots = Write(t, "roots.pem", all)
	return j
}

// Judge fails the test for each objection of a judge who can read the original.
func (j *Jury) Judge(t testing.TB, e Evidence) {
	t.Helper()
	for name, objection := range j.Verdicts(t, e) {
		if objection != "" && objection != Unable {
			t.Errorf("%s: %s", name, objection)
		}
	}
}

// Verdicts returns for each judge what it objects to, "" when nothing.
func (j *Jury) Verdicts(t testing.TB, e Evidence) map[string]string {
	t.Helper()
	e.Signatures = max(e.Signatures, 1)
	original, signed := Write(t, "original.pdf", e.Original), Write(t, "signed.pdf", e.Signed)
	out := map[string]string{
		"pdfsig":    j.pdfsig(t, e, signed),
		"qpdf":      qpdfCheck(t, e, original, signed),
		"mutool":    mutoolInfo(t, e, original, signed),
		"openssl":   j.openssl(t, e),
		"pyHanko":   j.pyHankoSays(t, e, original, signed),
		"text":      sameText(t, e, original, signed),
		"rendering": sameRendering(t, e, original, signed),
		"prefix":    "",
	}
	if !bytes.HasPrefix(e.Signed, e.Original) {
		out["prefix"] = "original bytes are not a prefix of the signed document"
	}
	return out
}

func (j *Jury) pdfsig(t testing.TB, e Evidence, path string) string {
	args := []string{"-nssdir", j.nss}
	if e.Password != "" {
		args = append(args, "-upw", e.Password)
	}
	out, err := Run(t, "pdfsig", append(args, path)...)
	// It knows no document time-stamps. Of several signatures with the same
	// certificate it trusts only the first for sure: NSS forgets issuers.
	known := e.Signatures
	for _, p := range Parts(t, e.Original, e.Signed) {
		if p.Timestamp {
			known--
		}
	}
	switch {
	case err != nil:
		return fmt.Sprintf("%v\n%s", err, out)
	case strings.Count(out, "Signature Validation:") != e.Signatures: // empty fields are listed too
		return fmt.Sprintf("%d signatures expected\n%s", e.Signatures, out)
	case strings.Count(out, "Signature is Valid") != known, !strings.Contains(out, "Certificate is Trusted"), strings.Contains(out, "Untrusted"),
		!e.Uncovered && !strings.Contains(out, "Total document signed"):
		return out
	}
	return ""
}

// PyHanko lets pyHanko judge a file.
func (j *Jury) PyHanko(t testing.TB, signed []byte, password string) PyHankoReport {
	t.Helper()
	return j.pyHanko.judge(t, Write(t, "signed.pdf", signed), password)
}

func (j *Jury) pyHankoSays(t testing.TB, e Evidence, original, path string) string {
	if e.Quick {
		return Unable
	}
	r := j.pyHanko.judge(t, path, e.Password)
	if r.Error != "" {
		if before := j.pyHanko.judge(t, original, e.Password); before.Error != "" {
			return Unable
		}
	}
	if r.Error != "" || len(r.Signatures) != e.Signatures {
		return fmt.Sprintf("%d signatures expected: %+v", e.Signatures, r)
	}
	want := e.ADES
	if want == "" {
		want = "OK"
	}
	last := false
	for _, s := range r.Signatures {
		no := s.DocMDPOK != nil && !*s.DocMDPOK || s.SeedValueOK != nil && !*s.SeedValueOK || s.Timestamp != nil && !*s.Timestamp
		if !s.BottomLine || !s.Valid || !s.Intact || !s.Trusted || no || s.Type == "Sig" && want != "-" && s.ADES != want {
			return fmt.Sprintf("%+v", s)
		}
		if s.Coverage != "ENTIRE_FILE" && s.Coverage != "ENTIRE_REVISION" {
			return fmt.Sprintf("%+v", s)
		}
		last = last || s.Coverage == "ENTIRE_FILE"
	}
	if !last && !e.Uncovered {
		return fmt.Sprintf("no signature covers the file: %+v", r)
	}
	return ""
}

// qpdfCheck allows what qpdf warned of before.
func qpdfCheck(t testing.TB, e Evidence, original, signed string) string {
	out, err := Run(t, "qpdf", "--password="+e.Password, "--check", signed)
	if err == nil {
		return ""
	}
	before, _ := Run(t, "qpdf", "--password="+e.Password, "--check", original)
	if strings.Count(out, "WARNING") > strings.Count(before, "WARNING") || strings.Contains(out, "ERROR") && !strings.Contains(before, "ERROR") {
		return fmt.Sprintf("%v\n%s", err, out)
	}
	return ""
}

func mutoolInfo(t testing.TB, e Evidence, original, signed string) string {
	out, err := Run(t, "mutool", "info", "-p", e.Password, signed)
	if err == nil && !strings.Contains(out, "repair") && !strings.Contains(out, "error") {
		return ""
	}
	before, broken := Run(t, "mutool", "info", "-p", e.Password, original)
	if (err == nil) == (broken == nil) && strings.Contains(before, "repair") == strings.Contains(out, "repair") &&
		strings.Count(out, "error") <= strings.Count(before, "error") {
		return ""
	}
	return fmt.Sprintf("%v\n%s", err, out)
}

// Part is a signature as it lies in a file.
type Part struct {
	Gap, Resume, End int // the byte range is 0…Gap and Resume…End
	Timestamp        bool
	Content, DER     []byte
}

// Parts takes the signatures appended to a document apart, in the order of
// their places. Tests may search.
func Parts(t testing.TB, original, signed []byte) []Part {
	t.Helper()
	var out []Part
	for _, m := range regexp.MustCompile(`/ByteRange ?\[0 (\d+) +(\d+) +(\d+) *\]`).FindAllSubmatchIndex(signed[len(original):], -1) {
		number := func(i int) int {
			n, _ := strconv.Atoi(string(signed[len(original)+m[i] : len(original)+m[i+1]]))
			return n
		}
		p := Part{Gap: number(2), Resume: number(4)}
		p.End = p.Resume + number(6)
		if p.Gap >= p.Resume || p.End > len(signed) || p.Gap < len(original) {
			continue // part of the document that was copied
		}
		p.Timestamp = bytes.Contains(signed[max(p.Gap-400, len(original)):p.Gap], []byte("ETSI.RFC3161"))
		p.Content = append(bytes.Clone(signed[:p.Gap]), signed[p.Resume:p.End]...)
		der, err := hex.DecodeString(string(signed[p.Gap+1 : p.Resume-1]))
		if err != nil || len(der) < 4 || der[0] != 0x30 || der[1] != 0x82 {
			t.Fatalf("no DER at %d: %v", p.Gap, err)
		}
		p.DER = der[:4+int(der[2])<<8+int(der[3])]
		out = append(out, p)
	}
	return out
}

// openssl checks each CMS and token as OpenSSL sees it.
func (j *Jury) openssl(t testing.TB, e Evidence) string {
	parts := Parts(t, e.Original, e.Signed)
	if len(parts) != e.Signatures {
		return fmt.Sprintf("%d signatures found, %d expected", len(parts), e.Signatures)
	}
	if last := parts[len(parts)-1]; last.End != len(e.Signed) && !e.Uncovered {
		return fmt.Sprintf("the last one covers %d of %d bytes", last.End, len(e.Signed))
	}
	for i, p := range parts {
		var out string
		var err error
		if der := Write(t, "sig.der", p.DER); p.Timestamp {
			h := crypto.SHA256.New()
			h.Write(p.Content)
			out, err = Run(t, "openssl", "ts", "-verify", "-token_in", "-in", der, "-digest", hex.EncodeToString(h.Sum(nil)), "-CAfile", j.roots)
		} else {
			out, err = Run(t, "openssl", "cms", "-verify", "-cades", "-binary", "-inform", "DER", "-purpose", "any",
				"-in", der, "-content", Write(t, "content", p.Content), "-CAfile", j.roots, "-out", os.DevNull)
		}
		if err != nil {
			return fmt.Sprintf("signature %d: %v\n%s", i+1, err, out)
		}
	}
	return ""
}

// sameText compares the text of the pages: all of them, or with a visible
// signature those without one.
func sameText(t testing.TB, e Evidence, original, signed string) string {
	text := func(path string) ([]string, error) {
		args := []string{"-q", "-upw", e.Password, path, "-"}
		if e.Quick {
			args = append([]string{"-l", "1"}, args...)
		}
		out, err := Run(t, "pdftotext", args...)
		return strings.Split(out, "\f"), err
	}
	return same(e, text, original, signed)
}

// sameRendering compares digests of the pages drawn at 36 dpi.
func sameRendering(t testing.TB, e Evidence, original, signed string) string {
	draw := func(path string) ([]string, error) {
		args := []string{"draw", "-q", "-p", e.Password, "-r", "36", "-s", "5", path}
		if e.Quick {
			args = append(args, "1,N")
		}
		out, err := Run(t, "mutool", args...)
		pages := regexp.MustCompile(`[0-9a-f]{32}`).FindAllString(out, -1)
		if len(pages) == 0 && err == nil {
			err = errors.New("nothing was drawn")
		}
		return pages, err
	}
	return same(e, draw, original, signed)
}

func same(e Evidence, look func(string) ([]string, error), original, signed string) string {
	before, err := look(original)
	if err != nil {
		return Unable
	}
	after, err := look(signed)
	if err != nil {
		return err.Error()
	}
	return samePages(e, before, after)
}

func samePages(e Evidence, before, after []string) string {
	if len(before) != len(after) {
		return fmt.Sprintf("%d pages before, %d after", len(before), len(after))
	}
	for i := range before {
		if before[i] != after[i] && !(e.Visible && (e.Page == 0 || e.Page == i+1)) {
			return fmt.Sprintf("page %d differs:\n%s\n%s", i+1, before[i], after[i])
		}
	}
	return ""
}

package font_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/pdf/font"
)

var faces = map[string]func() (*font.Face, error){
	"Sans": font.Sans, "SansBold": font.SansBold,
	"Serif": font.Serif, "SerifBold": font.SerifBold, "SerifItalic": font.SerifItalic,
}

// requireTool returns the path of a program, skips without it, and fails
// without it where MOHOR_TEST_REQUIRE=all.
func requireTool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("MOHOR_TEST_REQUIRE") == "all" {
			t.Fatalf("%s is required: %v", name, err)
		}
		t.Skipf("%s not installed", name)
	}
	return path
}

func face(t *testing.T, name string) *font.Face {
	t.Helper()
	f, err := faces[name]()
	if err != nil {
		t.Fatalf("parsing %s: %v", name, err)
	}
	return f
}

// latinExtendedA is every printable character of Latin-1 and Latin Extended-A
// but U+0149, which Unicode deprecates and Mohor Serif leaves out.
func latinExtendedA() string {
	var b strings.Builder
	for r := rune(0x20); r < 0x180; r++ {
		if r < 0x7F || r > 0xA0 && r != 0xAD && r != 0x149 {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func TestFacesCoverLatinExtendedA(t *testing.T) {
	for name := range faces {
		f := face(t, name)
		for _, r := range latinExtendedA() + "–—‘’“”•…ẠạỒồ" {
			if !f.Has(r) {
				t.Errorf("%s lacks %U %c", name, r, r)
			}
		}
		for _, r := range []rune{0, '\n', 0x4E2D, 0x202E, 0x10FFFF, -1} {
			if f.Has(r) {
				t.Errorf("%s claims to have %U", name, r)
			}
		}
		if a, d, c := f.Ascent(), f.Descent(), f.CapHeight(); a < 0.6 || a > 1.3 || d > -0.1 || d < -0.5 || c < 0.5 || c > 0.8 {
			t.Errorf("%s: ascent %.3f, descent %.3f, cap height %.3f", name, a, d, c)
		}
	}
}

func TestWidthAndEncode(t *testing.T) {
	f := face(t, "Sans")
	if w := f.Width("MMM", 10); w < 24 || w > 30 {
		t.Errorf("three M of 10 points are %.2f points wide", w)
	}
	if f.Width("", 10) != 0 || len(f.Encode("")) != 0 {
		t.Error("the empty string has a width or codes")
	}
	if a, b := f.Encode("é"), f.Encode("e\u0301"); !bytes.Equal(a, b) || len(a) != 2 {
		t.Errorf("composed %x, decomposed %x", a, b)
	}
	if a, b := f.Encode("中"), f.Encode("\uFFFD"); !bytes.Equal(a, b) {
		t.Errorf("missing character is %x, replacement character %x", a, b)
	}
	if got := f.Encode("ab"); len(got) != 4 || bytes.Equal(got[:2], got[2:]) {
		t.Errorf("ab is encoded as %x", got)
	}
}

func TestKerning(t *testing.T) {
	for _, name := range []string{"Serif", "SerifBold", "SerifItalic"} {
		f := face(t, name)
		if plain, kerned := f.Width("AV", 1000), f.KernedWidth("AV", 1000); kerned > plain-20 || kerned < plain-200 {
			t.Errorf("%s: AV is %.0f wide, kerned %.0f", name, plain, kerned)
		}
		if plain, kerned := f.Width("HH", 1000), f.KernedWidth("HH", 1000); kerned != plain {
			t.Errorf("%s: HH is %.0f wide, kerned %.0f", name, plain, kerned)
		}
		got := string(f.AppendTJ([]byte("x"), "HAV"))
		e := fmt.Sprintf("%X", f.Encode("HAV"))
		if !strings.HasPrefix(got, "x[<"+e[:8]+">") || !strings.HasSuffix(got, "<"+e[8:]+">]") {
			t.Errorf("%s: %s for codes %s", name, got, e)
		}
		if got := string(f.AppendTJ(nil, "")); got != "[<>]" {
			t.Errorf("%s: %s for nothing", name, got)
		}
	}
}

// document puts the embedded font and one line of text per string on a page.
func document(t testing.TB, f *font.Face, used string, lines []string) []byte {
	t.Helper()
	const first = 5
	objs, type0, err := f.Embed(used, first)
	if err != nil {
		t.Fatalf("embedding: %v", err)
	}
	var c bytes.Buffer
	c.WriteString("BT /F 12 Tf 36 800 Td 14 TL\n")
	for _, l := range lines {
		fmt.Fprintf(&c, "<%X> Tj T*\n", f.Encode(l))
	}
	c.WriteString("ET")
	all := [][]byte{
		[]byte("<</Type/Catalog/Pages 2 0 R>>"),
		[]byte("<</Type/Pages/Kids[3 0 R]/Count 1>>"),
		fmt.Appendf(nil, "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F %d 0 R>>>>>>", type0),
		fmt.Appendf(nil, "<</Length %d>>\nstream\n%s\nendstream", c.Len(), c.Bytes()),
	}
	all = append(all, objs...)
	out := []byte("%PDF-1.7\n")
	var xref strings.Builder
	for i, o := range all {
		fmt.Fprintf(&xref, "%010d 00000 n \n", len(out))
		out = fmt.Appendf(out, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	return fmt.Appendf(out, "xref\n0 %d\n0000000000 65535 f \n%strailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n",
		len(all)+1, xref.String(), len(all)+1, len(out))
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(requireTool(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

func TestEmbeddedTextIsExtractedAgain(t *testing.T) {
	lines := []string{
		"NUR 'AISYAH D'CRUZ BINTI MUHAMMAD A/L S. @ ŽOFIA",
		"ĀāĂăĄąĆćĈĉĊċČčĎďĐđĒēĔĕĖėĘęĚěĜĝĞğĠġĢģĤĥĦħĨĩĪīĬĭĮįİı",
		"ĴĵĶķĸĹĺĻļĽľĿŀŁłŃńŅņŇňŊŋŌōŎŏŐőŒœŔŕŖŗŘřŚśŜŝŞşŠšŢţŤť",
		"ŦŧŨũŪūŬŭŮůŰűŲųŴŵŶŷŸŹźŻżŽž NGUYỄN THỊ ÉÀÇÑÜß “q” – 1/2",
	}
	for name := range faces {
		f := face(t, name)
		path := filepath.Join(t.TempDir(), name+".pdf")
		pdf := document(t, f, strings.Join(lines, ""), lines)
		if err := os.WriteFile(path, pdf, 0o600); err != nil {
			t.Fatal(err)
		}
		run(t, "qpdf", "--check", path)
		if got := run(t, "pdftotext", "-raw", "-enc", "UTF-8", path, "-"); strings.TrimSpace(got) != strings.Join(lines, "\n") {
			t.Errorf("%s: pdftotext gives\n%s", name, got)
		}
		if got := run(t, "mutool", "draw", "-F", "txt", path); !strings.Contains(got, strings.Join(lines, "\n")) {
			t.Errorf("%s: mutool gives\n%s", name, got)
		}
		fonts := strings.Split(strings.TrimSpace(run(t, "pdffonts", path)), "\n")
		if fields := strings.Fields(fonts[len(fonts)-1]); len(fonts) != 3 || strings.Join(fields[1:7], " ") != "CID TrueType Identity-H yes yes yes" {
			t.Errorf("%s: pdffonts gives %q", name, fonts)
		}
	}
}

func TestEmbedIsDeterministicAndSmall(t *testing.T) {
	for name := range faces {
		var prior [][]byte
		for range 3 {
			objs, type0, err := face(t, name).Embed("Sijil Kemahiran Malaysia 0123456789", 10)
			if err != nil {
				t.Fatal(err)
			}
			if type0 != 10 || len(objs) != 5 {
				t.Fatalf("type0 %d, %d objects", type0, len(objs))
			}
			if prior != nil && !bytes.Equal(bytes.Join(prior, nil), bytes.Join(objs, nil)) {
				t.Errorf("%s: two calls differ", name)
			}
			prior = objs
		}
		if n := len(bytes.Join(prior, nil)); n > 8000 {
			t.Errorf("%s: 30 characters take %d bytes", name, n)
		}
	}
	f := face(t, "Sans")
	for _, first := range []int{0, -1, 1 << 23} {
		if _, _, err := f.Embed("a", first); err == nil {
			t.Errorf("first object number %d accepted", first)
		}
	}
	if _, _, err := f.Embed("", 1); err != nil {
		t.Errorf("embedding nothing: %v", err)
	}
}

func TestParseRefusesDamagedFaces(t *testing.T) {
	good, err := os.ReadFile("assets/MohorSerif-Regular.ttf")
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"nothing": nil, "short": good[:11], "no tables": good[:12], "OTTO": append([]byte("OTTO"), good[4:]...),
		"half a file": good[:len(good)/2], "text": []byte(strings.Repeat("not a font ", 100)),
	} {
		if _, err := font.Parse(bad); !errors.Is(err, font.ErrFont) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	b, err := os.ReadFile("testdata/tiny.ttf")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		face, err := font.Parse(b)
		if err != nil {
			if !errors.Is(err, font.ErrFont) {
				t.Fatalf("error %v does not wrap ErrFont", err)
			}
			return
		}
		const s = "Åb ﬁ\u0301中"
		face.Width(s, 12)
		face.Encode(s)
		face.KernedWidth("AVÁ", 12)
		if objs, _, err := face.Embed(s, 1); err == nil && len(objs) != 5 {
			t.Fatalf("%d objects", len(objs))
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		if _, err := font.Serif(); err != nil {
			b.Fatal(err)
		}
	}
}

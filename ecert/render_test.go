package ecert_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rsc.io/qr"

	"github.com/mohor-sign/mohor/ecert"
	"github.com/mohor-sign/mohor/internal/mykad"
)

const address = "https://sahkan.example.gov.my/s/3Jt9Kq0ZxW7cLm2PfRvYdB#Yk7TqLz0hXr3VnMwE9sCaG"

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

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	var errs bytes.Buffer
	cmd := exec.Command(requireTool(t, name), args...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", name, err, out, errs.String())
	}
	return string(out)
}

func renderer(t testing.TB, o ecert.Options) *ecert.Renderer {
	t.Helper()
	r, err := ecert.NewRenderer(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// render writes a certificate into a file and returns its path.
func render(t testing.TB, r *ecert.Renderer, c ecert.Candidate, address string) string {
	t.Helper()
	b, err := r.Render(c, address, nil)
	if err != nil {
		t.Fatalf("%s: %v", c.Name, err)
	}
	path := filepath.Join(t.TempDir(), c.Number+".pdf")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func candidate() ecert.Candidate {
	return ecert.Candidate{
		Row: 2, Name: "NUR AISYAH BINTI MOHD YUSOF", IC: "010228991234", Number: "S102251979",
		ProgrammeCode: "TP-021-3:2013", ProgrammeName: "PEMBUATAN MAKANAN", Level: ecert.SKM3,
		CentreCode: "L01", CentreName: "PUSAT CONTOH", Batch: "2021/07", Month: time.July, Year: 2021, Language: ecert.Malay,
	}
}

// text is what pdftotext extracts, white space made single spaces.
func text(t *testing.T, path string) string {
	t.Helper()
	return strings.Join(strings.Fields(run(t, "pdftotext", "-raw", "-enc", "UTF-8", path, "-")), " ")
}

func TestRenderedTextIsExtractedAgain(t *testing.T) {
	r := renderer(t, ecert.Options{})
	for _, c := range exampleCandidates(t) {
		got := text(t, render(t, r, c, address))
		for _, want := range []string{
			" " + c.Name + " ", " " + c.IC.Dashed() + " ", " " + c.Number + " ", " " + c.ProgrammeName + " ", " " + c.ProgrammeCode + " ",
			" " + c.CentreName + " (" + c.CentreCode + ") ", " " + c.Batch + " ", " " + c.MonthYear() + " ", "652]", "https://sahkan.example.gov.my/",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("row %d: %q is not in %q", c.Row, want, got)
			}
		}
		if strings.Contains(got, "SANDBOX") || strings.Contains(got, "\uFFFD") {
			t.Errorf("row %d: %q", c.Row, got)
		}
	}
}

func TestRenderedFormulasStayText(t *testing.T) {
	r := renderer(t, ecert.Options{})
	for _, f := range formulas {
		c := candidate()
		c.Name = strings.TrimSpace(f)
		path := render(t, r, c, address)
		if got := text(t, path); !strings.Contains(got, " "+c.Name+" ") {
			t.Errorf("%q is not in %q", c.Name, got)
		}
		run(t, "qpdf", "--check", path)
		if info := run(t, "pdfinfo", path); !strings.Contains(info, " – "+c.Name+"\n") {
			t.Errorf("title of %q: %s", c.Name, info)
		}
		if meta := run(t, "pdfinfo", "-meta", path); strings.Contains(meta, "<script>") {
			t.Errorf("XMP of %q: %s", c.Name, meta)
		}
	}
}

func TestWordsOfLanguageAndLevel(t *testing.T) {
	r := renderer(t, ecert.Options{})
	for _, tt := range []struct {
		level  ecert.Level
		ms, en string
	}{
		{ecert.SKM1, "Sijil Kemahiran Malaysia TAHAP 1", "Malaysian Skills Certificate LEVEL 1"},
		{ecert.SKM2, "Sijil Kemahiran Malaysia TAHAP 2", "Malaysian Skills Certificate LEVEL 2"},
		{ecert.SKM3, "Sijil Kemahiran Malaysia TAHAP 3", "Malaysian Skills Certificate LEVEL 3"},
		{ecert.DKM, "Diploma Kemahiran Malaysia TAHAP 4", "Malaysian Skills Diploma LEVEL 4"},
		{ecert.DLKM, "Diploma Lanjutan Kemahiran Malaysia TAHAP 5", "Malaysian Skills Advanced Diploma LEVEL 5"},
		{ecert.PC, "Penyata Pencapaian ", "Statement of Achievement "},
		{ecert.VTO, "Sijil Pegawai Latihan Vokasional VTO", "Vocational Training Officer Certificate VTO"},
		{ecert.VTE, "Sijil Eksekutif Latihan Vokasional VTE", "Vocational Training Executive Certificate VTE"},
		{ecert.VTM, "Sijil Pengurus Latihan Vokasional VTM", "Vocational Training Manager Certificate VTM"},
	} {
		for l, want := range map[ecert.Language][]string{
			ecert.Malay:   {tt.ms, "Dengan ini disahkan bahawa", "No. Kad Pengenalan", "JABATAN PEMBANGUNAN KEMAHIRAN", "JULAI 2021", "seksyen 34 Akta Pembangunan Kemahiran Kebangsaan 2006 [Akta 652]", "DITANDATANGANI SECARA DIGITAL Ketua Pengarah Pembangunan Kemahiran"},
			ecert.English: {tt.en, "This is to certify that", "Identity Card No.", "DEPARTMENT OF SKILLS DEVELOPMENT", "JULY 2021", "section 34 of the National Skills Development Act 2006 [Act 652]", "DIGITALLY SIGNED Director General of Skills Development"},
		} {
			c := candidate()
			c.Level, c.Language = tt.level, l
			path := render(t, r, c, address)
			got := text(t, path)
			for _, w := range want {
				if !strings.Contains(got, w) {
					t.Errorf("%s in %s: %q is not in %q", tt.level, l, w, got)
				}
			}
			if b, err := os.ReadFile(path); err != nil || !bytes.Contains(b, []byte("/Lang("+string(l)+")")) {
				t.Errorf("%s in %s: no /Lang, %v", tt.level, l, err)
			}
		}
	}
}

// worstCandidates fill every field to its limit.
func worstCandidates() []ecert.Candidate {
	var out []ecert.Candidate
	for i, s := range []string{"W", "MMMMMMM ", "ŴẄ", "BIN ", "A/L @ ", "i"} {
		fill := func(n int) string {
			r := []rune(strings.Repeat(s, n))[:n]
			r[n-1] = 'W'
			return string(r)
		}
		c := candidate()
		c.Name, c.ProgrammeName, c.ProgrammeCode = fill(120), fill(200), fill(40)
		c.CentreName, c.CentreCode, c.Batch = fill(160), fill(40), fill(40)
		c.Number = fmt.Sprintf("W%019d", i)
		c.Level, c.Language = ecert.DLKM, ecert.Malay
		out = append(out, c)
	}
	return out
}

var wordBox = regexp.MustCompile(`<word xMin="([-.\d]+)" yMin="([-.\d]+)" xMax="([-.\d]+)" yMax="([-.\d]+)">([^<]*)<`)

func TestNothingIsCut(t *testing.T) {
	r := renderer(t, ecert.Options{})
	long := "https://" + strings.Repeat("w", 60) + "." + strings.Repeat("m", 60) + ".gov.my/s/" + strings.Repeat("X", 70)
	for _, c := range append(worstCandidates(), exampleCandidates(t)[90:]...) {
		path := render(t, r, c, long)
		words := wordBox.FindAllStringSubmatch(run(t, "pdftotext", "-bbox", path, "-"), -1)
		if len(words) < 40 {
			t.Fatalf("%d words", len(words))
		}
		for _, w := range words {
			x1, _ := strconv.ParseFloat(w[1], 64)
			x2, _ := strconv.ParseFloat(w[3], 64)
			if x1 < 47 || x2 > 595.28-47 {
				t.Errorf("%s: %q reaches from %.1f to %.1f", c.Name, w[5], x1, x2)
			}
		}
		squeeze := func(s string) string { return strings.ReplaceAll(s, " ", "") }
		got := squeeze(text(t, path))
		for _, want := range []string{c.Name, c.ProgrammeName, c.ProgrammeCode, c.CentreName, c.Batch} {
			if !strings.Contains(got, squeeze(want)) {
				t.Errorf("%q is not in %q", want, got)
			}
		}
	}
}

func TestRenderedFileIsSound(t *testing.T) {
	for _, o := range []ecert.Options{{}, {Sandbox: true}} {
		r := renderer(t, o)
		for _, c := range append(worstCandidates(), exampleCandidates(t)[85:95]...) {
			path := render(t, r, c, address)
			run(t, "qpdf", "--check", path)
			fonts := strings.Split(strings.TrimSpace(run(t, "pdffonts", path)), "\n")[2:]
			if len(fonts) != 3 {
				t.Errorf("fonts: %q", fonts)
			}
			for _, f := range fonts {
				if !strings.Contains(f, "CID TrueType      Identity-H       yes yes yes") {
					t.Errorf("font not embedded: %s", f)
				}
			}
			info := run(t, "pdfinfo", path)
			for _, want := range []string{"Pages:           1\n", "A4)", "PDF version:     1.7\n", "JavaScript:      no\n", "Metadata Stream: yes\n", c.Number} {
				if !strings.Contains(info, want) {
					t.Errorf("pdfinfo does not say %q:\n%s", want, info)
				}
			}
		}
	}
}

func TestMuPDFDrawsTheName(t *testing.T) {
	c := exampleCandidates(t)[6]
	path := render(t, renderer(t, ecert.Options{}), c, address)
	if got := run(t, "mutool", "draw", "-F", "txt", path); !strings.Contains(got, c.Name) {
		t.Errorf("%q is not in\n%s", c.Name, got)
	}
}

func TestSandboxIsMarked(t *testing.T) {
	for _, l := range []ecert.Language{ecert.Malay, ecert.English} {
		c := candidate()
		c.Language = l
		got := text(t, render(t, renderer(t, ecert.Options{Sandbox: true}), c, address))
		if strings.Count(got, "SANDBOX – TIDAK SAH / NOT VALID") != 2 || !strings.Contains(got, c.Name) {
			t.Errorf("%s: %q", l, got)
		}
	}
}

// gray reads a binary PGM.
func gray(t *testing.T, b []byte) (width, height int, pixels []byte) {
	t.Helper()
	var depth int
	if _, err := fmt.Sscanf(string(b[:min(len(b), 40)]), "P5\n%d %d\n%d\n", &width, &height, &depth); err != nil {
		t.Fatal(err)
	}
	return width, height, b[len(b)-width*height:]
}

func TestQRCodeIsDrawnRight(t *testing.T) {
	for _, o := range []ecert.Options{{}, {Sandbox: true}} {
		path := render(t, renderer(t, o), candidate(), address)
		const dpi = 300
		width, height, pixels := gray(t, []byte(run(t, "pdftoppm", "-r", strconv.Itoa(dpi), "-gray", "-singlefile", path)))
		code, err := qr.Encode(address, qr.M)
		if err != nil {
			t.Fatal(err)
		}
		dark := func(x, y float64) bool { // points from the lower left
			return pixels[(height-1-int(y*dpi/72))*width+int(x*dpi/72)] < 128
		}
		left, bottom, side := renderer(t, o).QRArea(ecert.SKM3, ecert.Malay, false)
		module := side / float64(code.Size)
		for y := range code.Size {
			for x := range code.Size {
				if dark(left+module*(float64(x)+0.5), bottom+side-module*(float64(y)+0.5)) != code.Black(x, y) {
					t.Fatalf("module %d, %d is wrong", x, y)
				}
			}
		}
		for i := -4 * module; i < side+4*module; i += module {
			for _, d := range []float64{-3.9 * module, -0.6 * module, side + 0.6*module} {
				if dark(left+d, bottom+i) || dark(left+i, bottom+d) {
					t.Fatalf("quiet zone broken at %.1f, %.1f", i, d)
				}
			}
		}
		if zbar, err := exec.LookPath("zbarimg"); err == nil {
			png := filepath.Join(t.TempDir(), "page")
			run(t, "pdftoppm", "-r", "150", "-png", "-singlefile", path, png)
			if out, err := exec.Command(zbar, "-q", "--raw", png+".png").Output(); err != nil || strings.TrimSpace(string(out)) != address {
				t.Errorf("zbarimg reads %q, %v", out, err)
			}
		}
	}
}

func TestRenderIsDeterministicAndConcurrent(t *testing.T) {
	list := exampleCandidates(t)
	first, second := renderer(t, ecert.Options{}), renderer(t, ecert.Options{})
	want := make([][]byte, len(list))
	for i, c := range list {
		b, err := first.Render(c, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		want[i] = b
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for k := range list {
				i := (k*7 + w*31) % len(list)
				if b, err := second.Render(list[i], address, nil); err != nil || !bytes.Equal(b, want[i]) {
					t.Errorf("row %d differs, %v", list[i].Row, err)
				}
			}
		})
	}
	wg.Wait()
	for i, b := range want[1:] {
		if bytes.Equal(b, want[i]) {
			t.Errorf("rows %d and %d are the same file", i+2, i+3)
		}
	}
	if n := len(want[0]); n > 48_000 {
		t.Errorf("a plain certificate has %d bytes", n)
	}
}

func TestRenderRefusesWhatItCannotPrint(t *testing.T) {
	r := renderer(t, ecert.Options{})
	for name, change := range map[string]func(*ecert.Candidate){
		"no name":      func(c *ecert.Candidate) { c.Name = "" },
		"long name":    func(c *ecert.Candidate) { c.Name = strings.Repeat("A", 121) },
		"Chinese name": func(c *ecert.Candidate) { c.Name = "陳" },
		"line end":     func(c *ecert.Candidate) { c.Name = "A\nB" },
		"not UTF-8":    func(c *ecert.Candidate) { c.Name = "A\xFF" },
		"decomposed":   func(c *ecert.Candidate) { c.Name = "E\u0301" },
		"direction":    func(c *ecert.Candidate) { c.CentreName = "A\u202EB" },
		"IC":           func(c *ecert.Candidate) { c.IC = mykad.Number("123") },
		"level":        func(c *ecert.Candidate) { c.Level = "SKM 9" },
		"language":     func(c *ecert.Candidate) { c.Language = "fr" },
		"month":        func(c *ecert.Candidate) { c.Month = 13 },
		"year":         func(c *ecert.Candidate) { c.Year = 12 },
		"nothing":      func(c *ecert.Candidate) { *c = ecert.Candidate{} },
	} {
		c := candidate()
		change(&c)
		if b, err := r.Render(c, address, nil); !errors.Is(err, ecert.ErrCandidate) || b != nil {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
	for _, a := range []string{
		"", "sahkan.gov.my", "javascript:alert(1)", "https://", "https:///x", "https://u@h/x", "https://h/\n", "https://h/é",
		"https://h/ x", "ftp://h/", "https://h/" + strings.Repeat("x", 300), "https://h/%zz",
	} {
		if _, err := r.Render(candidate(), a, nil); !errors.Is(err, ecert.ErrCandidate) {
			t.Errorf("address %q: %v", a, err)
		}
	}
}

func TestSignatureAreaIsFree(t *testing.T) {
	x, y, w, h := renderer(t, ecert.Options{}).SignatureArea(ecert.SKM3, ecert.Malay, false)
	if x < 50 || y < 50 || x+w > 545 || w < 150 || h < 40 {
		t.Errorf("area %.0f %.0f %.0f %.0f", x, y, w, h)
	}
	path := render(t, renderer(t, ecert.Options{}), candidate(), address)
	for _, m := range wordBox.FindAllStringSubmatch(run(t, "pdftotext", "-bbox", path, "-"), -1) {
		x1, _ := strconv.ParseFloat(m[1], 64)
		y2, _ := strconv.ParseFloat(m[4], 64)
		if x1 > x && 841.89-y2 > y+1 && 841.89-y2 < y+h {
			t.Errorf("%q stands in the area", m[5])
		}
	}
}

func BenchmarkRender(b *testing.B) {
	r := renderer(b, ecert.Options{})
	list := exampleCandidates(b)
	i, size := 0, 0
	for b.Loop() {
		out, err := r.Render(list[i%len(list)], address, nil)
		if err != nil {
			b.Fatal(err)
		}
		size += len(out)
		i++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pages/s")
	b.ReportMetric(float64(size)/float64(b.N), "B/page")
}

package ecert_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mohor-sign/mohor/ecert"
)

func pngFile(t testing.TB) []byte {
	t.Helper()
	m := image.NewNRGBA(image.Rect(0, 0, 40, 12))
	for x := range 40 {
		m.Set(x, 6, color.NRGBA{20, 30, 120, 200})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func jpegFile(t testing.TB) (file []byte, sum string) {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, 70, 90))
	for i := range m.Pix {
		m.Pix[i] = byte(i * 7)
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	h := sha256.Sum256(b.Bytes())
	return b.Bytes(), hex.EncodeToString(h[:])
}

// awkwardNames are names as they are, and as they might be.
var awkwardNames = strings.Split(strings.TrimSpace(`
ALI
NG
Ö
MUTHU A/L RAMASAMY
LETCHUMI A/P SUBRAMANIAM
SITI@FATIMAH BINTI ABDULLAH
AHMAD @ MOHAMED BIN OMAR
NUR 'AIN BINTI HASSAN
NUR ‘AIN BINTI HASSAN
NUR ’AIN BINTI HASSAN
D'SILVA, ANTHONY
O'BRIEN MACDONALD
JEAN-PIERRE ST. JOHN
DATO' SRI HAJI ABD. RAHMAN B. ISMAIL
TUAN SYED PUTRA BIN SYED OSMAN AL-HABSHI
AWANGKU MUHAMMAD BIN PG. HJ. DAMIT
DAYANG KU' AZIZAH BT. PG. MD. SALLEH
JUGAH ANAK BARIENG
LIM AH KAU @ LIM AH KOW
TAN (CHEN) MEI LING
WONG MEI-LING, GRACE
K. SARASWATHY D/O KUPPUSAMY
RAJ S/O SINGH
GURPREET KAUR A/P HARBHAJAN SINGH
ÉLODIE ÇELİK ŞAHİN
JOSÉ MARÍA NÚÑEZ
ZOË BRONTË
ANDRÉ FRANÇOIS
ÅSA ÖSTERBERG
ŁUKASZ WÓJCIK
DVOŘÁK ŠTĚPÁN
NGUYỄN
FAISAL BIN MOHD. FAUZI (DR.)
ABU BAKAR BIN ABU BAKAR @ ABU
X
MD. NOOR & SONS
100% HALAL
=CMD|' /C calc'!A0
+60123456789
-ALI
@SITI
"ALI"
ALI; DROP TABLE ITEMS;--
<SCRIPT>ALERT(1)</SCRIPT>
(ALI) BIN (ABU)
ALI \ ABU
[ALI] {ABU}
ALI/ABU
ALI % ABU
ALI #1
ALI: ABU
ALI… ABU
ALI – ABU
ALI • ABU
WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW
MUHAMMADNURAMIRULHAKIMIZZATFIRDAUSSHAHRULNIZAM BIN ABDULLAH
iiiiii llllll
Mohd Ali bin Abu
mohd ali
ABDUL RAHMAN BIN MOHAMED YUSOFF AL-HAJ BIN TUAN GURU HAJI IBRAHIM BIN TUAN GURU HAJI ABDUL KADIR AL-FATANI BIN MOHAMED
SRI SARASWATHY GAYATHRI DEVI A/P SUBRAMANIAM RAMASAMY PILLAI VENKATESWARAN CHANDRASEKARAN
ĀĒĪŌŪ ĂĔĬŎŬ
ĦĸŁŊŒŦ
ΑΛΙ
АЛИ
`), "\n")

// TestAwkwardNamesAreExtracted: what pdftotext and mutool read is the name, in the
// order of reading. Those that the typeface lacks are refused instead.
func TestAwkwardNamesAreExtracted(t *testing.T) {
	r := renderer(t, ecert.Options{})
	drawn := 0
	for i, name := range awkwardNames {
		c := candidate()
		c.Name = name
		if i%2 == 1 {
			c.Language = ecert.English
		}
		if i%3 == 1 {
			c.Units = units(1 + i%ecert.MaxUnits)
		}
		b, err := r.Render(c, address, nil)
		if err != nil {
			if !errors.Is(err, ecert.ErrCandidate) || !strings.Contains(err.Error(), "character U+") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		drawn++
		path := filepath.Join(t.TempDir(), "c.pdf")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		for tool, got := range map[string]string{
			"raw": run(t, "pdftotext", "-raw", "-enc", "UTF-8", path, "-"), "layout": run(t, "pdftotext", "-layout", "-enc", "UTF-8", path, "-"), "mutool": run(t, "mutool", "draw", "-F", "txt", path),
		} {
			flat := strings.Join(strings.Fields(got), " ")
			// This mutool passes over /ActualText where a word had to be cut.
			if longest(name) > 34 && tool == "mutool" {
				if !strings.Contains(strings.ReplaceAll(flat, " ", ""), strings.ReplaceAll(name, " ", "")) {
					t.Errorf("%s: %q is not in %q", tool, name, flat)
				}
				continue
			}
			if !strings.Contains(flat, " "+name+" ") {
				t.Errorf("%s: %q is not in %q", tool, name, flat)
			}
			at := 0
			for _, next := range []string{c.Number, "MALAYSIA", name, c.IC.Dashed(), c.ProgrammeName, c.ProgrammeCode, c.CentreName, c.Batch, "652]"} {
				k := strings.Index(flat[at:], next)
				if k < 0 && tool != "layout" {
					t.Errorf("%s of %s: %q does not come after what is before it: %q", tool, name, next, flat)
					break
				}
				at += max(k, 0)
			}
			for k, u := range c.Units {
				if want := fmt.Sprintf("%d %s %s", k+1, u.Code, u.Title); tool == "raw" && !strings.Contains(flat, want) {
					t.Errorf("%s: unit %q is not in %q", tool, want, flat)
				}
			}
		}
	}
	if len(awkwardNames) < 60 || drawn < 58 {
		t.Errorf("%d of %d names drawn", drawn, len(awkwardNames))
	}
}

// longest is the number of characters of a text's longest word.
func longest(s string) (n int) {
	for _, w := range strings.Fields(s) {
		n = max(n, utf8.RuneCountInString(w))
	}
	return n
}

func units(n int) (out []ecert.Unit) {
	for i := range n {
		out = append(out, ecert.Unit{Code: fmt.Sprintf("TP-021-3:2013-C%02d", i+1), Title: fmt.Sprintf("PENYEDIAAN BAHAN %c", 'A'+i)})
	}
	return out
}

var pageCount = regexp.MustCompile(`Pages: +(\d)`)

// TestUnits: a few stand on the page, many go on overleaf, none is lost.
func TestUnitsAreDrawn(t *testing.T) {
	r := renderer(t, ecert.Options{})
	for n, pages := range map[int]string{1: "1", 6: "1", 24: "2"} {
		for _, long := range []bool{false, true} {
			c := candidate()
			c.Level, c.Units = ecert.PC, units(n)
			if long {
				c = worstCandidates()[1]
				c.Units = units(n)
				for i := range c.Units {
					c.Units[i].Title = strings.Repeat("PENGENDALIAN MESIN ", 8)[:140] + fmt.Sprintf("%02d", i)
				}
				if n == 6 {
					pages = "2"
				}
			}
			path := render(t, r, c, address)
			if got := pageCount.FindStringSubmatch(run(t, "pdfinfo", path)); got == nil || got[1] != pages {
				t.Errorf("%d units, long %v: %q pages, want %s", n, long, got, pages)
			}
			got := text(t, path)
			for i, u := range c.Units {
				if strings.Count(got, u.Code+" ") != 1 || !strings.Contains(got, u.Title) {
					t.Errorf("%d units, long %v: unit %d is not there once", n, long, i+1)
				}
			}
			boxes(t, path, c.Name)
			run(t, "qpdf", "--check", path)
		}
	}
	c := candidate()
	for what, us := range map[string][]ecert.Unit{
		"too many": units(ecert.MaxUnits + 1), "no code": {{Title: "A"}}, "no title": {{Code: "A"}}, "long": {{Code: strings.Repeat("A", 41), Title: "A"}},
		"control": {{Code: "A", Title: "A\nB"}},
	} {
		c.Units = us
		if _, err := r.Render(c, address, nil); !errors.Is(err, ecert.ErrCandidate) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// boxes checks that all words are within the frame and none stands on another.
func boxes(t *testing.T, path, what string) {
	t.Helper()
	type box struct {
		x1, y1, x2, y2 float64
		text           string
	}
	for _, page := range strings.Split(run(t, "pdftotext", "-bbox", path, "-"), "<page ")[1:] {
		var all []box
		for _, m := range wordBox.FindAllStringSubmatch(page, -1) {
			var b box
			for i, to := range []*float64{&b.x1, &b.y1, &b.x2, &b.y2} {
				if _, err := fmt.Sscan(m[i+1], to); err != nil {
					t.Fatal(err)
				}
			}
			b.text = m[5]
			if b.x1 < 47 || b.x2 > 595.28-47 || b.y1 < 40 || b.y2 > 841.89-47 {
				t.Errorf("%s: %q at %.0f %.0f %.0f %.0f is outside the frame", what, b.text, b.x1, b.y1, b.x2, b.y2)
			}
			// The boxes reach from ascender to descender; capitals fill the middle.
			h := b.y2 - b.y1
			b.y1, b.y2 = b.y1+0.28*h, b.y2-0.28*h
			for _, o := range all {
				if b.x1 < o.x2-0.5 && o.x1 < b.x2-0.5 && b.y1 < o.y2 && o.y1 < b.y2 && b.y1 > 150 {
					t.Errorf("%s: %q stands on %q", what, b.text, o.text)
				}
			}
			all = append(all, b)
		}
	}
}

func TestNothingStandsOnAnother(t *testing.T) {
	r := renderer(t, ecert.Options{})
	for _, c := range append(worstCandidates(), candidate(), exampleCandidates(t)[3]) {
		for _, n := range []int{0, 2, ecert.MaxUnits} {
			c.Units = units(n)
			boxes(t, render(t, r, c, address), fmt.Sprintf("%.30s with %d units", c.Name, n))
		}
	}
}

func TestPhoto(t *testing.T) {
	r := renderer(t, ecert.Options{})
	file, sum := jpegFile(t)
	c := candidate()
	c.Photo = sum
	b, err := r.Render(c, address, file)
	if err != nil || !bytes.Contains(b, file) {
		t.Fatalf("the picture is not in the certificate: %v", err)
	}
	path := filepath.Join(t.TempDir(), "c.pdf")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if images := run(t, "pdfimages", "-list", path); !strings.Contains(images, "jpeg") {
		t.Errorf("%s", images)
	}
	if tree := run(t, "pdfinfo", "-struct-text", path); !strings.Contains(tree, "Figure") || !strings.Contains(tree, "Table") == (len(c.Units) > 0) || !strings.Contains(tree, "NUR AISYAH") {
		t.Errorf("structure: %s", tree)
	}
	other := append(bytes.Clone(file), 0)
	damaged := bytes.Clone(file[:len(file)/2])
	h := sha256.Sum256(damaged)
	for what, try := range map[string]struct {
		sum   string
		photo []byte
	}{
		"another": {sum, other}, "none": {sum, nil}, "not named": {"", file}, "damaged": {hex.EncodeToString(h[:]), damaged},
	} {
		c.Photo = try.sum
		if _, err := r.Render(c, address, try.photo); !errors.Is(err, ecert.ErrCandidate) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestPageInTwoParts: many share the first, and the sum is that of the whole.
func TestPageInTwoParts(t *testing.T) {
	r := renderer(t, ecert.Options{})
	var first ecert.Page
	for i, name := range []string{"ALI BIN ABU", "SITI BINTI ALI"} {
		c := candidate()
		c.Name = name
		p, err := r.Draw(c, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(p.Bytes()); !bytes.Equal(p.Sum(), sum[:]) {
			t.Error("the sum is another's")
		}
		if i == 0 {
			first = p
		} else if &first.Shared[0] != &p.Shared[0] || bytes.Equal(first.Own, p.Own) {
			t.Error("the two do not share their beginning")
		}
		if len(p.Own) > 6<<10 {
			t.Errorf("%d bytes of its own", len(p.Own))
		}
	}
}

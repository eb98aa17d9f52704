package pdf_test

import (
	"bytes"
	"crypto"
	"encoding/xml"
	"errors"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
)

func open(t testing.TB, b []byte) *pdf.Document {
	t.Helper()
	d, err := pdf.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// word is what pdftotext says of one.
type word struct {
	Text string  `xml:",chardata"`
	XMin float64 `xml:"xMin,attr"`
	YMin float64 `xml:"yMin,attr"`
	XMax float64 `xml:"xMax,attr"`
	YMax float64 `xml:"yMax,attr"`
	page int
	high float64 // of the page
}

func popplerWords(t *testing.T, path string) []word {
	t.Helper()
	out := t.TempDir() + "/words.html"
	if said, err := pdftest.Run(t, "pdftotext", "-bbox", "-cropbox", path, out); err != nil {
		t.Fatalf("pdftotext: %v\n%s", err, said)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var html struct {
		Pages []struct {
			Height float64 `xml:"height,attr"`
			Words  []word  `xml:"word"`
		} `xml:"body>doc>page"`
	}
	b = bytes.Map(func(r rune) rune {
		if r < ' ' && r != '\n' {
			return '?'
		}
		return r
	}, b)
	d := xml.NewDecoder(bytes.NewReader(b))
	d.Strict, d.Entity = false, xml.HTMLEntity
	if err := d.Decode(&html); err != nil {
		t.Fatal(err)
	}
	var words []word
	for i, p := range html.Pages {
		for _, w := range p.Words {
			w.page, w.high = i+1, p.Height
			words = append(words, w)
		}
	}
	return words
}

// compareWords finds each word that pdftotext sees once, and says how many of
// how many are where it sees them.
func compareWords(t *testing.T, path string) (same, all int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	words := popplerWords(t, path)
	text := strings.Builder{}
	for _, w := range words {
		text.WriteString(w.Text)
	}
	joined := text.String()
	for _, w := range words {
		if len(w.Text) < 4 || strings.Count(joined, w.Text) != 1 {
			continue
		}
		all++
		at, err := open(t, b).Find(w.Text, pdf.FindOptions{})
		if err != nil {
			t.Logf("%s: page %d %q: %v", path, w.page, w.Text, err)
			continue
		}
		size := w.YMax - w.YMin
		middle := w.high - (w.YMin+w.YMax)/2
		if at.Page != w.page || math.Abs(at.X-w.XMin) > 0.25*size+1 || math.Abs(at.X+at.Width-w.XMax) > 0.35*size+1 || math.Abs(at.Y+at.Height/2-middle) > 0.3*size+1 {
			t.Logf("%s: %q at %+v, pdftotext %+v", path, w.Text, at, w)
			continue
		}
		same++
	}
	return same, all
}

// TestFindAgreesWithPoppler looks for each word of documents of several
// producers. MOHOR_PDFS may name more files.
func TestFindAgreesWithPoppler(t *testing.T) {
	chromium := pdftest.Print(t, "<p>Jabatan Akauntan Negara Malaysia</p><table><tr><td>Amaun<td style='letter-spacing:3px'>Tandatangan pegawai</table>"+
		"<p style='font-size:30pt;transform:rotate(90deg);width:200pt;margin:120pt'>berpusing</p><p style='font-family:serif'>Nur’ain Dato’ Kéramat</p>")
	paths := append([]string{"../examples/voucher.pdf", chromium,
		pdftest.Write(t, "standard.pdf", pdftest.Document(pdftest.Shape{})),
		pdftest.Write(t, "archive.pdf", pdftest.Archive(t, 2)),
	}, strings.Fields(os.Getenv("MOHOR_PDFS"))...)
	for _, path := range paths {
		same, all := compareWords(t, path)
		t.Logf("%s: %d of %d words", path, same, all)
		if same < all-all/50 || all == 0 {
			t.Errorf("%s: only %d of %d words are where pdftotext sees them", path, same, all)
		}
	}
}

// texts makes a document with one page of this content. Font /D has names of
// its own for its codes.
func texts(page, content string) []byte {
	w := &pdftest.Writer{}
	w.Object(1, "<</Type/Catalog/Pages 2 0 R>>")
	w.Object(2, "<</Type/Pages/Count 1/Kids[4 0 R]/MediaBox[0 0 595 842]/Resources<</Font<</H 3 0 R/D 6 0 R>>/XObject<</X 7 0 R>>>>>>")
	w.Object(3, "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>")
	w.Object(4, "<</Type/Page/Parent 2 0 R/Contents[5 0 R]"+page+">>")
	w.Stream(5, "", content)
	w.Object(6, "<</Type/Font/Subtype/Type1/BaseFont/Courier/Encoding<</Differences[1/T/a/n/d/eacute/uni20AC/f_i]>>>>")
	w.Stream(7, "/Type/XObject/Subtype/Form/BBox[0 0 999 999]/Matrix[2 0 0 2 10 20]/Resources<</Font<</H 3 0 R>>>>", "BT /H 10 Tf 100 50 Td (Borang) Tj ET")
	return w.Close("")
}

func TestFind(t *testing.T) {
	for name, c := range map[string]struct {
		page, content, text string
		o                   pdf.FindOptions
		want                pdf.Place // Page 0: not found
	}{
		"plain":             {"", "BT /H 10 Tf 100 700 Td (Tandatangan:) Tj ET", "Tandatangan:", pdf.FindOptions{}, pdf.Place{Page: 1, X: 100, Y: 697.9, Width: 61.71}},
		"split":             {"", "BT /H 10 Tf 100 700 Td [(Tan)-20(da)30(ta)]TJ (ngan) Tj ET", "Tandatangan", pdf.FindOptions{}, pdf.Place{Page: 1, X: 100, Y: 697.9}},
		"white space":       {"", "BT /H 10 Tf 100 700 Td (Nama) Tj 200 0 Td (pegawai) Tj ET", "Nama   pegawai", pdf.FindOptions{}, pdf.Place{Page: 1, X: 100, Y: 697.9}},
		"lines":             {"", "BT /H 10 Tf 12 TL 100 700 Td (Ketua) Tj T* (Pengarah) Tj ET", "Ketua Pengarah", pdf.FindOptions{}, pdf.Place{Page: 1, X: 100, Y: 685.9}},
		"quotes":            {"", `BT /H 10 Tf 12 TL 100 700 Td (a) ' 1 2 (Pengarah) " ET`, "Pengarah", pdf.FindOptions{}, pdf.Place{Page: 1, X: 100, Y: 673.9}},
		"out of order":      {"", "BT /H 10 Tf 150 700 Td (gawai) Tj -50 0 Td (Nama pe) Tj ET", "Nama pegawai", pdf.FindOptions{}, pdf.Place{Page: 1, X: 100, Y: 697.9}},
		"hexadecimal":       {"", "BT /H 10 Tf 1 0 0 1 100 700 Tm <54 61 6E 64 61> Tj ET", "Tanda", pdf.FindOptions{}, pdf.Place{Page: 1, X: 100, Y: 697.9}},
		"names":             {"", "BT /D 10 Tf 100 700 Td <0102030405060701> Tj ET", "Tandé€fiT", pdf.FindOptions{}, pdf.Place{Page: 1, X: 100, Y: 697.9, Width: 48}},
		"form":              {"", "q 1 0 0 1 5 6 cm /X Do Q", "Borang", pdf.FindOptions{}, pdf.Place{Page: 1, X: 215, Y: 121.8}},
		"behind an image":   {"", "BI /W 2 /H 1 /BPC 8 /CS /G ID \xffEI EI BT /H 10 Tf 100 700 Td (Imej) Tj ET", "Imej", pdf.FindOptions{}, pdf.Place{Page: 1, X: 100, Y: 697.9}},
		"scaled":            {"", "BT /H 1 Tf 50 Tz 20 0 0 20 100 700 Tm (Skala) Tj ET", "Skala", pdf.FindOptions{}, pdf.Place{Page: 1, X: 100, Y: 695.8, Width: 25.01}},
		"turned":            {"/Rotate 90", "BT /H 10 Tf 0 1 -1 0 300 100 Tm (Pusing) Tj ET", "Pusing", pdf.FindOptions{}, pdf.Place{Page: 1, X: 100, Y: 292.9}},
		"cropped":           {"/CropBox[50 60 500 800]", "BT /H 10 Tf 100 700 Td (Tanda) Tj ET", "Tanda", pdf.FindOptions{}, pdf.Place{Page: 1, X: 50, Y: 637.9}},
		"user unit":         {"/UserUnit 2", "BT /H 10 Tf 100 300 Td (Tanda) Tj ET", "Tanda", pdf.FindOptions{}, pdf.Place{Page: 1, X: 200, Y: 595.8}},
		"painted twice":     {"", "BT /H 10 Tf 100 700 Td (Tebal) Tj .3 0 Td (Tebal) Tj ET", "Tebal", pdf.FindOptions{}, pdf.Place{Page: 1, X: 100, Y: 697.9}},
		"second":            {"", "BT /H 10 Tf 100 600 Td (Tarikh) Tj 0 100 Td (Tarikh) Tj ET", "Tarikh", pdf.FindOptions{Occurrence: 2}, pdf.Place{Page: 1, X: 100, Y: 597.9}},
		"last page":         {"", "BT /H 10 Tf 100 700 Td (Tanda) Tj ET", "Tanda", pdf.FindOptions{Page: -1}, pdf.Place{Page: 1, X: 100, Y: 697.9}},
		"ambiguous":         {"", "BT /H 10 Tf 100 600 Td (Tarikh) Tj 0 100 Td (Tarikh) Tj ET", "Tarikh", pdf.FindOptions{}, pdf.Place{}},
		"third of two":      {"", "BT /H 10 Tf 100 600 Td (Tarikh) Tj 0 100 Td (Tarikh) Tj ET", "Tarikh", pdf.FindOptions{Occurrence: 3}, pdf.Place{}},
		"other case":        {"", "BT /H 10 Tf 100 600 Td (Tarikh) Tj ET", "TARIKH", pdf.FindOptions{}, pdf.Place{}},
		"invisible":         {"", "BT 3 Tr /H 10 Tf 100 600 Td (Tarikh) Tj ET", "Tarikh", pdf.FindOptions{}, pdf.Place{}},
		"outside":           {"/CropBox[0 0 50 50]", "BT /H 10 Tf 100 600 Td (Tarikh) Tj ET", "Tarikh", pdf.FindOptions{}, pdf.Place{}},
		"in an inline data": {"", "BI /W 9 /H 1 ID (Tarikh) Tj EI", "Tarikh", pdf.FindOptions{}, pdf.Place{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := open(t, texts(c.page, c.content)).Find(c.text, c.o)
			if c.want.Page == 0 {
				if !errors.Is(err, pdf.ErrAnchor) {
					t.Errorf("got %+v, %v", got, err)
				}
				return
			}
			if err != nil || got.Page != c.want.Page || math.Abs(got.X-c.want.X) > 0.5 || math.Abs(got.Y-c.want.Y) > 0.5 ||
				c.want.Width != 0 && math.Abs(got.Width-c.want.Width) > 0.5 {
				t.Errorf("got %+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}

func TestFindIsBounded(t *testing.T) {
	w := &pdftest.Writer{}
	w.Object(1, "<</Type/Catalog/Pages 2 0 R>>")
	w.Object(2, "<</Type/Pages/Count 1/Kids[4 0 R]/MediaBox[0 0 595 842]>>")
	w.Object(4, "<</Type/Page/Parent 2 0 R/Contents 5 0 R/Resources<</XObject<</X 7 0 R>>>>>>")
	w.Stream(5, "", strings.Repeat("/X Do ", 100))
	// Each form draws itself a hundred times.
	w.Stream(7, "/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 7 0 R>>>>", strings.Repeat("/X Do ", 100)+strings.Repeat("[", 5000))
	start := time.Now()
	_, err := open(t, w.Close("")).Find("apa", pdf.FindOptions{})
	if !errors.Is(err, pdf.ErrAnchor) {
		t.Error(err)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
}

// TestAnchorIsNotCovered places an appearance by a text alone: it stands on the
// text as displayed, or hangs below one at the top of the page.
func TestAnchorIsNotCovered(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	for name, c := range map[string]struct {
		page, content string
		below         bool
	}{
		"upright": {"", "BT /H 10 Tf 100 700 Td 1 g (Tandatangan:) Tj ET", false},
		"turned":  {"/Rotate 90", "BT /H 10 Tf 0 1 -1 0 300 100 Tm 1 g (Tandatangan:) Tj ET", false},
		"top":     {"", "BT /H 10 Tf 100 800 Td 1 g (Tandatangan:) Tj ET", true},
	} {
		t.Run(name, func(t *testing.T) {
			b := texts(c.page, c.content)
			at, err := open(t, b).Find("Tandatangan:", pdf.FindOptions{})
			if err != nil {
				t.Fatal(err)
			}
			want := [4]float64{at.X, at.Y + at.Height, at.X + 180, at.Y + at.Height + 70}
			if c.below {
				want[1], want[3] = at.Y-70, at.Y
			}
			_, _, frame, _ := render(t, p.Sign(t, b, pdf.Options{Visible: &pdf.Visible{Anchor: "Tandatangan:", Width: 180, Height: 70, Lines: []string{"MMMM"}}}))
			for i := range want {
				if math.Abs(frame[i]-want[i]) > 1.1 {
					t.Fatalf("frame %v, want %v", frame, want)
				}
			}
		})
	}
}

func TestAnchorIsThePlace(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	v := &pdf.Visible{Anchor: "Tandatangan:", X: 0, Y: -80, Width: 180, Height: 70, Lines: []string{"MMMM"}}
	signed := p.Sign(t, texts("", "BT /H 10 Tf 100 700 Td 1 g (Tandatangan:) Tj ET"), pdf.Options{Visible: v})
	_, _, frame, _ := render(t, signed)
	for i, want := range [4]float64{100, 617.9, 280, 687.9} {
		if math.Abs(frame[i]-want) > 1.1 {
			t.Fatalf("frame %v", frame)
		}
	}
	missing := *v
	missing.Anchor = "Tiada"
	_, err := open(t, texts("", "")).Prepare(pdf.Options{Time: pdftest.Now(), Visible: &missing})
	if !errors.Is(err, pdf.ErrAnchor) || err.(*pdf.Error).Code != "anchor_not_found" {
		t.Errorf("got %v", err)
	}
}

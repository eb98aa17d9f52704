package pdf_test

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
)

// render draws the first page at 144 dpi and returns the boxes around all that
// is not white and around what is nearly black, in points from the lower left
// corner of the page as displayed.
func render(t *testing.T, signed []byte) (width, height float64, frame, ink [4]float64) {
	t.Helper()
	stem := filepath.Join(t.TempDir(), "page")
	out, err := pdftest.Run(t, "pdftoppm", "-gray", "-r", "144", "-cropbox", "-singlefile", "-aa", "no", "-aaVector", "no", pdftest.Write(t, "signed.pdf", signed), stem)
	if err != nil {
		t.Fatalf("pdftoppm: %v\n%s", err, out)
	}
	b, err := os.ReadFile(stem + ".pgm")
	if err != nil {
		t.Fatal(err)
	}
	var w, h, depth int
	if _, err := fmt.Sscanf(string(b[:32]), "P5\n%d %d\n%d\n", &w, &h, &depth); err != nil {
		t.Fatal(err)
	}
	pixels := b[len(b)-w*h:]
	box := func(below byte) [4]float64 {
		r := [4]float64{math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)}
		for i, c := range pixels {
			if c < below {
				x, y := float64(i%w)/2, float64(h-i/w)/2
				r = [4]float64{min(r[0], x), min(r[1], y-0.5), max(r[2], x+0.5), max(r[3], y)}
			}
		}
		return r
	}
	return float64(w) / 2, float64(h) / 2, box(250), box(60)
}

func TestAppearanceIsWhereItWasAskedFor(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	for _, rotate := range []int{0, 90, 180, 270, -90} {
		for _, c := range []struct {
			name, page, root string
			unit             float64
		}{
			{"plain", "", "", 1},
			{"cropped", "/CropBox[100 50 500 700]", "", 1},
			{"inherited", "", "/CropBox[500 700 30 20]", 1},
			{"larger-crop", "/CropBox[-50 -50 900 900]", "", 1},
			{"user-unit", "/UserUnit 2", "", 2},
		} {
			t.Run(fmt.Sprintf("%s/%d", c.name, rotate), func(t *testing.T) {
				w := &pdftest.Writer{}
				w.Object(1, "<</Type/Catalog/Pages 2 0 R>>")
				w.Object(2, fmt.Sprintf("<</Type/Pages/Count 1/Kids[4 0 R]/MediaBox[0 0 595 842]/Rotate %d%s>>", rotate, c.root))
				w.Object(4, "<</Type/Page/Parent 2 0 R"+c.page+">>")
				v := &pdf.Visible{Page: -1, X: 30, Y: 60, Width: 180, Height: 80, Lines: []string{"MMMMMMMM", "", "", ""}}
				signed := p.Sign(t, w.Close(""), pdf.Options{Visible: v})
				_, _, frame, ink := render(t, signed)
				want := [4]float64{v.X, v.Y, v.X + v.Width, v.Y + v.Height}
				if c.unit != 1 { // poppler draws user space units
					for i := range want {
						want[i] /= c.unit
					}
				}
				for i := range want {
					if math.Abs(frame[i]-want[i]) > 1.1 {
						t.Fatalf("frame %v, want %v", frame, want)
					}
				}
				middle := (want[1] + want[3]) / 2
				if ink[1] < middle || ink[2]-ink[0] < 3*(ink[3]-ink[1]) || ink[0] > want[0]+6 {
					t.Errorf("text %v is not upright at the upper left of %v", ink, want)
				}
			})
		}
	}
}

func TestAppearanceThatDoesNotFitIsRefused(t *testing.T) {
	document := pdftest.Document(pdftest.Shape{})
	long := string(bytes.Repeat([]byte("panjang "), 100))
	for name, v := range map[string]pdf.Visible{
		"no page":      {Page: 2, Width: 10, Height: 10},
		"page 0":       {Page: 0, Width: 10, Height: 10},
		"negative":     {Page: 1, X: -1, Width: 10, Height: 10},
		"too wide":     {Page: 1, X: 500, Width: 100, Height: 10},
		"too high":     {Page: 1, Y: 800, Width: 100, Height: 50},
		"not a number": {Page: 1, X: math.NaN(), Width: 100, Height: 50},
		"no area":      {Page: 1},
		"long line":    {Page: 1, Width: 100, Height: 50, Lines: []string{long}},
		"many lines":   {Page: 1, Width: 100, Height: 50, Lines: make([]string, 21)},
		"control":      {Page: 1, Width: 100, Height: 50, Lines: []string{"a\nb"}},
		"not UTF-8":    {Page: 1, Width: 100, Height: 50, Lines: []string{"\xff"}},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := pdf.Open(bytes.NewReader(document), int64(len(document)))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Prepare(pdf.Options{Time: pdftest.Now(), Visible: &v}); !errors.Is(err, pdf.ErrOptions) {
				t.Errorf("got %v", err)
			}
		})
	}
}

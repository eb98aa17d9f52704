package pdf_test

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
)

// names as they are in certificates of Malaysians.
var signatories = []string{
	"SITI BINTI AHMAD",
	"MUTHUSAMY A/L KRISHNAN @ JOSEPH ANAK BARTHOLOMEW PUTERA SUBRAMANIAM",
	"TENGKU DATO’ SERI NUR'AIN BALQIS BINTI TENGKU MOHD SHAHRIZAT AL-HAJ (BERSARA)",
	"DR. THERÈSE A/P D'CRUZ",
	strings.Repeat("PANJANGSEKALI", 7),
}

func TestTemplatesShowEverything(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	for style, v := range looks(t) {
		for i, name := range signatories {
			for _, box := range [][2]float64{{200, 60}, {130, 120}} {
				v := *v
				v.Name, v.Width, v.Height = name, box[0], box[1]
				v.Lines = append(v.Lines, "Tujuan / Reason: Kelulusan bayaran")
				signed := p.Sign(t, pdftest.Document(pdftest.Shape{}), pdf.Options{Visible: &v})
				text, err := pdftest.Run(t, "pdftotext", "-raw", pdftest.Write(t, "signed.pdf", signed), "-")
				if err != nil {
					t.Fatalf("pdftotext: %v\n%s", err, text)
				}
				got := strings.Join(strings.Fields(text), "")
				for _, want := range append([]string{name}, v.Lines...) {
					if !strings.Contains(got, strings.Join(strings.Fields(want), "")) {
						t.Errorf("%s, %d, %v: %q is not in %q", style, i, box, want, text)
					}
				}
				_, _, frame, _ := render(t, signed)
				if frame[0] < v.X-1 || frame[1] < v.Y-1 || frame[2] > 300 && frame[2] > v.X+v.Width+1 {
					t.Errorf("%s, %d, %v: drawn outside of the box: %v", style, i, box, frame)
				}
			}
		}
	}
}

func TestQRCodeCanBeRead(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	for _, rotate := range []int{0, 90} {
		for _, text := range []string{"https://example.test/v/7F3K-9Q2M", strings.Repeat("Mohor 0123456789 ", 8)} {
			v := looks(t)["qr"]
			v.QR, v.Height, v.Width = text, 70, 220
			signed := p.Sign(t, pdftest.Document(pdftest.Shape{Page: fmt.Sprintf("/Rotate %d", rotate)}), pdf.Options{Visible: v})
			stem := filepath.Join(t.TempDir(), "page")
			if out, err := pdftest.Run(t, "pdftoppm", "-png", "-r", "200", "-singlefile", pdftest.Write(t, "signed.pdf", signed), stem); err != nil {
				t.Fatalf("pdftoppm: %v\n%s", err, out)
			}
			out, err := pdftest.Run(t, "zbarimg", "-q", "--raw", stem+".png")
			if err != nil || !strings.HasSuffix(strings.TrimSpace(out), strings.TrimSpace(text)) {
				t.Errorf("rotated by %d: %q, %v", rotate, out, err)
			}
		}
	}
}

func TestTemplatesAreDeterministic(t *testing.T) {
	document := pdftest.Document(pdftest.Shape{})
	for name := range looks(t) {
		sign := func() []byte {
			v := looks(t)[name]
			prepared, err := open(t, document).Prepare(pdf.Options{Time: pdftest.Now().Truncate(24 * 3600e9), Visible: v})
			if err != nil {
				t.Fatal(err)
			}
			digest, _, err := prepared.Digest(crypto.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			return digest
		}
		if !bytes.Equal(sign(), sign()) {
			t.Errorf("%s differs from one time to the next", name)
		}
	}
}

func TestTemplatesThatCannotBe(t *testing.T) {
	picture, err := pdf.NewImage(scrawl(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]pdf.Visible{
		"no image":         {Template: pdf.Template{Left: pdf.PartImage}},
		"no name":          {Template: pdf.Template{Left: pdf.PartName}},
		"no QR":            {Template: pdf.Template{Right: pdf.PartQR}},
		"name at right":    {Template: pdf.Template{Right: pdf.PartName}, Name: "a"},
		"image twice":      {Template: pdf.Template{Left: pdf.PartImage, Right: pdf.PartImage}, Image: picture},
		"unknown part":     {Template: pdf.Template{Left: "kiri"}},
		"unknown border":   {Template: pdf.Template{Border: "tebal"}},
		"unknown align":    {Template: pdf.Template{Align: "kanan"}},
		"QR too long":      {Template: pdf.Template{Right: pdf.PartQR}, QR: strings.Repeat("a", pdf.MaxQR+1)},
		"QR too small":     {Template: pdf.Template{Right: pdf.PartQR}, QR: strings.Repeat("a", pdf.MaxQR)},
		"no room for text": {Name: strings.Repeat("PANJANG ", 120)},
	} {
		v.Page, v.Width, v.Height = 1, 100, 40
		if _, err := open(t, pdftest.Document(pdftest.Shape{})).Prepare(pdf.Options{Time: pdftest.Now(), Visible: &v}); !errors.Is(err, pdf.ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, ok := pdf.TemplateNamed("tiada"); ok {
		t.Error("a template of any name")
	}
}

func TestImagesThatAreRefused(t *testing.T) {
	var large bytes.Buffer
	if err := png.Encode(&large, image.NewGray(image.Rect(0, 0, 4096, 1025))); err != nil {
		t.Fatal(err)
	}
	jpeg := photograph(t)
	// Four components: the frame header says so, and it is enough to look there.
	cmyk := bytes.Clone(jpeg)
	if i := bytes.Index(cmyk, []byte{0xFF, 0xC0}); i < 0 {
		t.Fatal("no frame header")
	} else {
		frame := append([]byte{0xFF, 0xC0, 0, 20, 8, 0, 160, 0, 120, 4}, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0, 4, 0x11, 0)
		cmyk = append(append(bytes.Clone(cmyk[:i]), frame...), cmyk[i+19:]...)
	}
	for name, b := range map[string][]byte{
		"empty":       nil,
		"text":        []byte("bukan imej"),
		"cut PNG":     scrawl(t)[:300],
		"cut JPEG":    jpeg[:len(jpeg)/2],
		"four colour": cmyk,
		"many pixels": large.Bytes(),
		"many bytes":  make([]byte, pdf.MaxImage+1),
		"GIF":         []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"),
	} {
		if _, err := pdf.NewImage(b); !errors.Is(err, pdf.ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAlphaIsKept looks through a picture, and at white below it in PDF/A-1.
func TestAlphaIsKept(t *testing.T) {
	m := image.NewNRGBA(image.Rect(0, 0, 2, 1))
	m.SetNRGBA(0, 0, color.NRGBA{A: 255})
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	picture, err := pdf.NewImage(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	v := &pdf.Visible{Page: 1, X: 50, Y: 50, Width: 200, Height: 60, Image: picture, Lines: []string{"A"}, Template: pdf.Template{Left: pdf.PartImage}}
	if !bytes.Contains(p.Sign(t, pdftest.Document(pdftest.Shape{}), pdf.Options{Visible: v}), []byte("/SMask ")) {
		t.Error("no soft mask")
	}
	signed := p.Sign(t, pdftest.Archive(t, 1), pdf.Options{Visible: v})
	if bytes.Contains(signed, []byte("/SMask")) {
		t.Error("transparency in PDF/A-1")
	}
}

func TestAppearanceOfAnExistingField(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	for _, c := range []struct {
		rotate int
		mk     string
		want   [4]float64
	}{
		{0, "", [4]float64{100, 600, 300, 680}},
		{90, "", [4]float64{600, 295, 680, 495}},
		{270, "/MK<</R 270>>", [4]float64{162, 100, 242, 300}},
		{180, "/MK<</R 180>>", [4]float64{295, 162, 495, 242}},
	} {
		document := pdftest.Document(pdftest.Shape{
			Page: fmt.Sprintf("/Annots[1000 0 R]/Rotate %d", c.rotate), Catalog: "/AcroForm<</Fields[1000 0 R]>>",
			Extra: map[int]string{1000: "<</Type/Annot/Subtype/Widget/FT/Sig/T(A)/F 4/P 10 0 R/Rect[300 680 100 600]" + c.mk + ">>"},
		})
		signed := p.Sign(t, document, pdf.Options{Field: "A", Visible: &pdf.Visible{Lines: []string{"MMMMMMMM", "", "", ""}}})
		_, _, frame, ink := render(t, signed)
		// The page says "Halaman 1" elsewhere: look at the frame alone where it
		// does not reach further.
		for i := range frame {
			if i >= 2 && frame[i] < c.want[i]-1.1 || i < 2 && frame[i] > c.want[i]+1.1 {
				t.Fatalf("rotated by %d: frame %v, want %v", c.rotate, frame, c.want)
			}
		}
		if math.IsInf(ink[0], 0) {
			t.Error("no ink")
		}
	}
}

func BenchmarkPrepareVisible(b *testing.B) {
	document := pdftest.Document(pdftest.Shape{Padding: 100 << 10})
	for _, n := range []string{"invisible", "standard", "qr"} {
		b.Run(n, func(b *testing.B) {
			o := pdf.Options{Time: pdftest.Now(), Visible: looks(b)[n]}
			for b.Loop() {
				if _, err := open(b, document).Prepare(o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

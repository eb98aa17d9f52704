package pdf_test

import (
	"crypto"
	"fmt"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
)

// looks are appearances with every part there is.
func looks(t testing.TB) map[string]*pdf.Visible {
	t.Helper()
	picture, err := pdf.NewImage(scrawl(t))
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]*pdf.Visible)
	for _, name := range pdf.TemplateNames() {
		template, _ := pdf.TemplateNamed(name)
		out[name] = &pdf.Visible{
			Page: -1, X: 72, Y: 300, Width: 200, Height: 60, Template: template,
			Name: "SITI BINTI AHMAD", QR: "https://example.test/7F3K-9Q2M", Image: picture,
			Lines: []string{"Ditandatangani secara digital oleh / Digitally signed by", "02/01/2026 15:04:05 MYT"},
		}
	}
	photo, err := pdf.NewImage(photograph(t))
	if err != nil {
		t.Fatal(err)
	}
	jpeg := *out["image"]
	jpeg.Image, jpeg.Template.Background = photo, true
	out["jpeg"] = &jpeg
	return out
}

func TestArchivesStayArchives(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	a := pdftest.NewAuthorities(t, p)
	looks := looks(t)
	looks["invisible"] = nil
	var names, paths []string
	for part := 1; part <= 3; part++ {
		document := pdftest.Archive(t, part)
		names = append(names, fmt.Sprintf("PDF/A-%db unsigned", part))
		paths = append(paths, pdftest.Write(t, "archive.pdf", document))
		for name, v := range looks {
			names = append(names, fmt.Sprintf("PDF/A-%db %s", part, name))
			paths = append(paths, pdftest.Write(t, "archive.pdf", p.Sign(t, document, pdf.Options{Visible: v, Reason: "Lulus"})))
		}
		names = append(names, fmt.Sprintf("PDF/A-%db B-LTA", part))
		long := extend(t, stamped(t, a, document, pdf.Options{Visible: looks["standard"], Certify: 2}), pdf.LevelLTA, a.Services())
		paths = append(paths, pdftest.Write(t, "archive.pdf", long))
	}
	for i, verdict := range pdftest.VeraPDF(t, paths...) {
		if !strings.HasPrefix(verdict, "PASS "+names[i][len("PDF/A-"):len("PDF/A-1b")]+" ") {
			t.Errorf("%s: %s", names[i], verdict)
		}
	}
}

//go:build !race

package pdf_test

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/ecert"
	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
)

// certificates are eCertificates of all kinds in both languages, plain, with units,
// with more units than a page holds and a photo, for a sandbox or not.
func certificates(t *testing.T) (names []string, files [][]byte) {
	t.Helper()
	picture := photograph(t)
	sum := sha256.Sum256(picture)
	for _, sandbox := range []bool{false, true} {
		r, err := ecert.NewRenderer(ecert.Options{Sandbox: sandbox})
		if err != nil {
			t.Fatal(err)
		}
		for i, level := range []ecert.Level{ecert.SKM1, ecert.SKM2, ecert.SKM3, ecert.DKM, ecert.DLKM, ecert.PC, ecert.VTO, ecert.VTE, ecert.VTM} {
			for k, lang := range []ecert.Language{ecert.Malay, ecert.English} {
				for shape, units := range []int{0, 3, ecert.MaxUnits} {
					if sandbox != ((i+k+shape)%3 == 0) { // each shape of a kind once
						continue
					}
					c := ecert.Candidate{Row: 2, Name: "NUR ‘AISYAH ÉLODIE A/P D'SILVA @ ŞAHİN", IC: "010228991234", Number: "S102251979", ProgrammeCode: "TP-021-3:2013",
						ProgrammeName: "PEMBUATAN MAKANAN", Level: level, CentreCode: "L01", CentreName: "PUSAT CONTOH", Batch: "2021/07", Month: time.July, Year: 2021, Language: lang}
					for u := range units {
						c.Units = append(c.Units, ecert.Unit{Code: fmt.Sprintf("TP-021-3:2013-C%02d", u+1), Title: strings.Repeat("PENYEDIAAN BAHAN ", 1+u%5) + "Š"})
					}
					var photo []byte
					if shape != 1 {
						c.Photo, photo = hex.EncodeToString(sum[:]), picture
					}
					b, err := r.Render(c, "https://sahkan.example.gov.my/s/3Jt9Kq0ZxW7cLm2PfRvYdB#Yk7TqLz0hXr3VnMwE9sCaG", photo)
					if err != nil {
						t.Fatal(err)
					}
					names, files = append(names, fmt.Sprintf("%s %s, %d units, sandbox %v", level, lang, units, sandbox)), append(files, b)
				}
			}
		}
	}
	return names, files
}

// TestCertificatesAreArchives: PDF/A-2b before a signature, with one that is seen,
// and with all that B-LTA adds.
func TestCertificatesAreArchives(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	a := pdftest.NewAuthorities(t, p)
	look := looks(t)["standard"]
	names, files := certificates(t)
	var paths, what []string
	for i, b := range files {
		paths, what = append(paths, pdftest.Write(t, "c.pdf", b)), append(what, names[i])
		if i%6 != 0 {
			continue
		}
		seen := *look
		seen.Page, seen.X, seen.Y, seen.Width, seen.Height = 1, 327, 140, 186, 52
		signed := p.Sign(t, b, pdf.Options{Visible: &seen})
		long := extend(t, stamped(t, a, b, pdf.Options{}), pdf.LevelLTA, a.Services())
		ours(t, a.Root, long, pdf.LevelLTA)
		if !bytes.HasPrefix(signed, b) || !bytes.HasPrefix(long, b) {
			t.Errorf("%s: signing changed the certificate", names[i])
		}
		paths, what = append(paths, pdftest.Write(t, "c.pdf", signed), pdftest.Write(t, "c.pdf", long)), append(what, names[i]+", signed", names[i]+", B-LTA")
	}
	for i, verdict := range pdftest.VeraPDF(t, paths...) {
		if !strings.HasPrefix(verdict, "PASS 2b ") {
			t.Errorf("%s: %s", what[i], verdict)
		}
	}
}

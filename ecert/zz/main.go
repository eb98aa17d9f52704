package main

import (
	"crypto/sha256"
	"bytes"
	"fmt"
	"encoding/hex"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/ecert"
)

func main() {
	var jb bytes.Buffer
	m := image.NewRGBA(image.Rect(0, 0, 350, 450))
	for y := range 450 {
		for x := range 350 {
			m.Set(x, y, color.RGBA{uint8(120 + x/4), uint8(150 + y/6), 220, 255})
			if (x-175)*(x-175)+(y-180)*(y-180) < 90*90 || y > 300 && x > 60 && x < 290 {
				m.Set(x, y, color.RGBA{90, 70, 60, 255})
			}
		}
	}
	jpeg.Encode(&jb, m, nil)
	sum := sha256.Sum256(jb.Bytes())
	base := ecert.Candidate{Row: 2, Name: "NUR AISYAH BINTI MOHD YUSOF", IC: "010228991234", Number: "S102251979",
		ProgrammeCode: "TP-021-3:2013", ProgrammeName: "PEMBUATAN MAKANAN", Level: ecert.SKM3,
		CentreCode: "L01", CentreName: "PUSAT CONTOH", Batch: "2021/07", Month: time.July, Year: 2021, Language: ecert.Malay}
	write := func(name string, o ecert.Options, change func(*ecert.Candidate)) {
		r, err := ecert.NewRenderer(o)
		if err != nil {
			panic(err)
		}
		c := base
		change(&c)
		var photo []byte
		if c.Photo != "" {
			photo = jb.Bytes()
		}
		b, err := r.Render(c, "https://sahkan.example.gov.my/s/3Jt9Kq0ZxW7cLm2PfRvYdB#Yk7TqLz0hXr3VnMwE9sCaG", photo)
		if err != nil {
			panic(err)
		}
		os.WriteFile("/tmp/E/out/"+name+".pdf", b, 0o600)
		fmt.Println(name, len(b))
	}
	units := func(n int, long bool) (out []ecert.Unit) {
		for i := range n {
			t := "PENYEDIAAN BAHAN MENTAH DAN PERALATAN"
			if long {
				t = strings.Repeat("PENGENDALIAN MESIN DAN PERALATAN PEMPROSESAN MAKANAN ", 4)[:159] + "X"
			}
			out = append(out, ecert.Unit{Code: fmt.Sprintf("TP-021-3:2013-C%02d", i+1), Title: t})
		}
		return
	}
	os.MkdirAll("/tmp/E/out", 0o700)
	write("plain", ecert.Options{}, func(c *ecert.Candidate) {})
	write("photo", ecert.Options{Sandbox: true}, func(c *ecert.Candidate) { c.Photo = hex.EncodeToString(sum[:]); c.Language = ecert.English; c.Level = ecert.DLKM; c.Name = "SITI@FATIMAH D'SILVA A/P RAMASAMY" })
	write("worst", ecert.Options{}, func(c *ecert.Candidate) {
		c.Name = strings.Repeat("MUHAMMAD A/L @ ", 8)
		c.Name = strings.TrimSpace(c.Name[:119]) + "X"
		c.ProgrammeName = strings.Repeat("PENGENDALIAN PERALATAN ", 9)[:199] + "X"
		c.CentreName = strings.Repeat("PUSAT LATIHAN ", 12)[:159] + "X"
	})
	write("pc6", ecert.Options{}, func(c *ecert.Candidate) { c.Level = ecert.PC; c.Units = units(6, false) })
	write("pc1", ecert.Options{Sandbox: true}, func(c *ecert.Candidate) { c.Level = ecert.PC; c.Units = units(1, false); c.Photo = hex.EncodeToString(sum[:]) })
	write("pc24", ecert.Options{}, func(c *ecert.Candidate) { c.Level = ecert.PC; c.Units = units(24, false); c.Language = ecert.English })
	write("skm24long", ecert.Options{Sandbox: true}, func(c *ecert.Candidate) {
		c.Units = units(24, true)
		c.Name = strings.Repeat("MUHAMMAD A/L @ ", 8)
		c.Name = strings.TrimSpace(c.Name[:119]) + "X"
		c.ProgrammeName = strings.Repeat("PENGENDALIAN PERALATAN ", 9)[:199] + "X"
		c.CentreName = strings.Repeat("PUSAT LATIHAN ", 12)[:159] + "X"
	})
}

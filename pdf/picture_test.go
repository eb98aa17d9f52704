package pdf_test

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"testing"
)

// scrawl is a picture of a signature: ink on nothing.
func scrawl(t testing.TB) []byte {
	t.Helper()
	m := image.NewNRGBA(image.Rect(0, 0, 360, 150))
	for i := range 9000 {
		s := float64(i) / 9000
		x := 20 + 320*s + 22*math.Cos(40*s)
		y := 75 + 50*math.Sin(26*s)*math.Cos(9*s) + 14*math.Sin(70*s)
		for dx := -2; dx <= 2; dx++ {
			for dy := -2; dy <= 2; dy++ {
				a := 255 - 50*(dx*dx+dy*dy)
				if a > int(m.NRGBAAt(int(x)+dx, int(y)+dy).A) {
					m.SetNRGBA(int(x)+dx, int(y)+dy, color.NRGBA{20, 30, 120, uint8(a)})
				}
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func photograph(t testing.TB) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, 120, 160))
	for y := range 160 {
		for x := range 120 {
			m.Set(x, y, color.RGBA{uint8(2 * x), uint8(y), 120, 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

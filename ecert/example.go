package ecert

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"time"

	"github.com/mohor-sign/mohor/internal/mykad"
)

// Sample chooses a made-up candidate.
type Sample struct {
	Language Language
	Level    Level
	// Long takes the longest names that lists bring; Units gives Competency Units, and with Long so
	// many that they go on overleaf; Photo a grey silhouette.
	Long, Units, Photo bool
}

// Example is a candidate who is nobody, for looking at a template, with the picture of it.
func Example(s Sample) (c Candidate, photo []byte, err error) {
	c = Candidate{Row: 2, Name: "AISYAH BINTI OMAR", IC: mykad.Number("800101149999"), Number: "CONTOH-0001", ProgrammeCode: "TP-021-3:2013",
		ProgrammeName: "Kimpalan Gas Tungsten Arka", Level: s.Level, CentreCode: "SLB-01", CentreName: "Institut Latihan Contoh", Batch: "2026/04", Month: time.April, Year: 2026, Language: s.Language}
	units := 3
	if s.Long {
		c.Name = "WAN NUR FATIMAH AZ-ZAHRA BINTI WAN MUHAMMAD ZULKARNAIN SHAH @ DATO' SERI HAJI WAN ABDUL RAHMAN AL-MANDILI"
		c.ProgrammeName = "Penyelenggaraan dan Pembaikan Sistem Hidraulik, Pneumatik dan Kawalan Elektronik bagi Jentera Pembuatan Automotif Berat dan Kenderaan Komersial"
		c.CentreName = "Institut Latihan Perindustrian dan Pusat Kecemerlangan Teknologi Tinggi Sultan Haji Ahmad Shah, Kampus Kuala Lipis, Pahang Darul Makmur"
		c.Batch, units = "2026/04/KHAS-PEMULIHAN-02", 18
	}
	for k := range map[bool]int{true: units}[s.Units] {
		c.Units = append(c.Units, Unit{fmt.Sprintf("TP-021-3:2013-C%02d", k+1), "Penyediaan bahan kerja dan pemeriksaan akhir mengikut spesifikasi"})
	}
	if !s.Photo {
		return c, nil, nil
	}
	if photo, err = silhouette(); err != nil {
		return c, nil, err
	}
	sum := sha256.Sum256(photo)
	c.Photo = hex.EncodeToString(sum[:])
	return c, photo, nil
}

// silhouette draws head and shoulders in grey.
func silhouette() ([]byte, error) {
	const w, h = 168, 216
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for k := range w * h {
		x, y := k%w, k/w
		shade := color.RGBA{0xE3, 0xE6, 0xEC, 0xFF}
		if dx, dy := x-w/2, y-84; dx*dx+dy*dy < 38*38 {
			shade = color.RGBA{0x9A, 0xA3, 0xB2, 0xFF}
		} else if dy := y - 216; dx*dx*80*80+dy*dy*66*66 < 80*80*66*66 {
			shade = color.RGBA{0x9A, 0xA3, 0xB2, 0xFF}
		}
		m.Set(x, y, shade)
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		return nil, fmt.Errorf("drawing a silhouette: %w", err)
	}
	return b.Bytes(), nil
}

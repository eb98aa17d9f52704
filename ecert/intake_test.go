package ecert_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mohor-sign/mohor/ecert"
)

func TestNOSSCodes(t *testing.T) {
	for _, x := range []struct {
		code, level string
		ok          bool
	}{
		{"TP-021-3:2013", "SKM 3", true}, {"tp-021-3:2013", "SKM 3", true}, {"L-020-1", "SKM 1", true}, {"M813-001-3:2020", "SKM 3", true}, {"C202-001-4:2017", "DKM", true}, {"I56-001-5:2019", "DLKM", true},
		{"TP-021-3:2013", "PC", true}, {"apa saja", "VTO", true}, {"Z-009-2:2015", "SKM 2", true},
		{"TP-021-3:2013", "SKM 2", false}, {"TP-021-3:2013", "DKM", false}, {"C202-001-4:2017", "DLKM", false}, {"TP-021-0:2013", "PC", false}, {"TP-021-6:2013", "PC", false},
		{"TP-21-3:2013", "SKM 3", false}, {"TP-021-3:13", "SKM 3", false}, {"TPXX-021-3:2013", "SKM 3", false}, {"M813-001-3", "SKM 3", false}, {"V813-001-3:2020", "SKM 3", false},
		{"TP-021-3:1989", "SKM 3", false}, {"TP-021-3:2022", "SKM 3", false}, {"TP-021-3:2013X", "SKM 3", false}, {"TP 021 3 2013", "SKM 3", false}, {"=1+1", "SKM 3", false},
	} {
		line := strings.Replace(strings.Replace(row("ALI", "900101991234", "S1000001"), "TP-021-3:2013", x.code, 1), "SKM 3", x.level, 1)
		got, refused, err := readAll(strings.NewReader(header + line))
		if err != nil || len(got)+len(refused) != 1 || (len(got) == 1) != x.ok || !x.ok && (refused[0].Code != ecert.CodeNOSSInvalid || refused[0].Column != "kod_program" || refused[0].DetailMS == "") {
			t.Errorf("%s of %s: %+v, %+v, %v", x.code, x.level, got, refused, err)
		}
	}
}

func TestUnits(t *testing.T) {
	head := strings.Replace(header, "\n", ",unit_1_kod,Unit 1 Nama,unit_2_code,unit_2_title\n", 1)
	line := func(level, units string) string {
		return head + strings.Replace(strings.Replace(row("ALI", "900101991234", "S1000001"), "SKM 3", level, 1), "\n", ","+units+"\n", 1)
	}
	got := one(t, line("PC", "C01,KEBERSIHAN,C02,\"PASTRI, ROTI\""))
	if len(got.Units) != 2 || got.Units[0] != (ecert.Unit{Code: "C01", Title: "KEBERSIHAN"}) || got.Units[1] != (ecert.Unit{Code: "C02", Title: "PASTRI, ROTI"}) {
		t.Errorf("%+v", got.Units)
	}
	if got := one(t, line("PC", "C01,KEBERSIHAN,,")); len(got.Units) != 1 {
		t.Errorf("%+v", got.Units)
	}
	if got := one(t, line("SKM 3", ",,,")); got.Units != nil {
		t.Errorf("%+v", got.Units)
	}
	for _, x := range []struct{ level, units, column, code string }{
		{"PC", "C01,,,", "Unit 1 Nama", ecert.CodeFieldMissing}, {"PC", ",KEBERSIHAN,,", "unit_1_kod", ecert.CodeFieldMissing}, {"PC", ",,C02,PASTRI", "unit_2_code", ecert.CodeFieldMissing},
		{"SKM 3", "C01,KEBERSIHAN,,", "unit_1_kod", ecert.CodeFieldInvalid}, {"PC", "C01,K\u202eX,,", "Unit 1 Nama", ecert.CodeFieldInvalid}, {"PC", strings.Repeat("C", 41) + ",K,,", "unit_1_kod", ecert.CodeFieldTooLong},
		{"PC", "C01," + strings.Repeat("K", 161) + ",,", "Unit 1 Nama", ecert.CodeFieldTooLong},
	} {
		_, refused, err := readAll(strings.NewReader(line(x.level, x.units)))
		if err != nil || len(refused) != 1 || refused[0].Column != x.column || refused[0].Code != x.code {
			t.Errorf("%s %q: %+v, %v", x.level, x.units, refused, err)
		}
	}
	for _, columns := range []string{"unit_1_kod", "unit_1_nama", "unit_1_kod,unit_1_nama,unit_1_code", "unit_2_kod,unit_2_nama", "unit_0_kod", "unit_25_kod,unit_25_nama", "unit_99_kod", "unit_kod"} {
		if _, _, err := readAll(strings.NewReader(strings.Replace(header, "\n", ","+columns+"\n", 1))); err == nil {
			t.Errorf("columns %s were taken", columns)
		}
	}
	var most strings.Builder
	for n := 1; n <= ecert.MaxUnits; n++ {
		fmt.Fprintf(&most, ",unit_%d_kod,unit_%d_nama", n, n)
	}
	if _, _, err := readAll(strings.NewReader(strings.Replace(header, "\n", most.String()+",foto\n", 1))); err != nil {
		t.Errorf("all columns that may be: %v", err)
	}
	f, err := os.Open("../examples/units.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, refused, err := readAll(f); err != nil || len(refused) != 0 || len(got) != 3 || len(got[0].Units) != 3 {
		t.Errorf("the example: %+v, %+v, %v", got, refused, err)
	}
}

// jpegOf is a picture; segments are put behind its beginning.
func jpegOf(t *testing.T, w, h int, segments ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewRGBA(image.Rect(0, 0, w, h)), nil); err != nil {
		t.Fatal(err)
	}
	out := bytes.Clone(b.Bytes()[:2])
	for _, s := range segments {
		out = append(out, s...)
	}
	return append(out, b.Bytes()[2:]...)
}

func exif(orientation byte) string {
	body := "Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00" + string(rune(orientation)) + "\x00\x00\x00\x00\x00\x00\x00" + "GPS: Putrajaya"
	return "\xff\xe1" + string([]byte{byte((len(body) + 2) >> 8), byte(len(body) + 2)}) + body
}

func TestCleanPhoto(t *testing.T) {
	plain := jpegOf(t, 120, 160)
	clean, err := ecert.CleanPhoto(plain)
	if err != nil || !bytes.Equal(clean, plain) {
		t.Fatalf("a plain picture changed: %d bytes of %d, %v", len(clean), len(plain), err)
	}
	noisy := append(jpegOf(t, 120, 160, exif(1), "\xff\xfe\x00\x08secret", "\xff\xed\x00\x06abcd", "\xff"), "<?php secret"...)
	if clean, err := ecert.CleanPhoto(noisy); err != nil || !bytes.Equal(clean, plain) {
		t.Errorf("what does not belong to the image: %d bytes, want %d, %v", len(clean), len(plain), err)
	}
	adobe := func(transform byte) string {
		return "\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + string([]byte{transform})
	}
	for what, x := range map[string]struct {
		raw  []byte
		want error
	}{
		"nothing": {nil, ecert.ErrPhotoFormat}, "text": {[]byte("a picture"), ecert.ErrPhotoFormat}, "PNG": {[]byte("\x89PNG\r\n\x1a\n"), ecert.ErrPhotoFormat}, "half": {plain[:len(plain)/2], ecert.ErrPhotoFormat},
		"lying": {jpegOf(t, 120, 160, exif(6)), ecert.ErrPhotoTurned}, "small": {jpegOf(t, 99, 160), ecert.ErrPhotoSides}, "wide": {jpegOf(t, 2001, 100), ecert.ErrPhotoSides},
		"large": {append(bytes.Clone(plain), make([]byte, ecert.MaxPhoto)...), ecert.ErrPhotoSize}, "RGB": {jpegOf(t, 120, 160, adobe(0)), ecert.ErrPhotoFormat},
		"arithmetic": {bytes.Replace(plain, []byte("\xff\xc0"), []byte("\xff\xc9"), 1), ecert.ErrPhotoFormat}, "a segment too long": {append(bytes.Clone(plain[:2]), "\xff\xe1\xff\xff"...), ecert.ErrPhotoFormat},
		"two frames": {jpegOf(t, 120, 160, string(plain[bytes.Index(plain, []byte("\xff\xc0")):bytes.Index(plain, []byte("\xff\xc4"))])), ecert.ErrPhotoFormat},
	} {
		if _, err := ecert.CleanPhoto(x.raw); err != x.want || ecert.PhotoMS(err) == "" {
			t.Errorf("%s: %v, want %v", what, err, x.want)
		}
	}
	if _, err := ecert.CleanPhoto(jpegOf(t, 120, 160, adobe(1))); err != nil {
		t.Errorf("Adobe's note of YCbCr: %v", err)
	}
	// Each scan is a pass over the whole picture: as many as a file may hold take minutes.
	sos := bytes.Index(plain, []byte("\xff\xda"))
	scans := func(n int) []byte {
		return append(append(bytes.Clone(plain[:sos]), bytes.Repeat(plain[sos:len(plain)-2], n)...), plain[len(plain)-2:]...)
	}
	if _, err := ecert.CleanPhoto(scans(64)); err != nil {
		t.Errorf("64 scans: %v", err)
	}
	if _, err := ecert.CleanPhoto(scans(65)); err != ecert.ErrPhotoFormat {
		t.Errorf("65 scans: %v", err)
	}
}

func FuzzCleanPhoto(f *testing.F) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 100, 100)), nil); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("\xff\xd8" + exif(6) + "\xff\xd9"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		clean, err := ecert.CleanPhoto(raw)
		if err != nil {
			return
		}
		again, err := ecert.CleanPhoto(clean)
		if err != nil || !bytes.Equal(again, clean) || len(clean) > len(raw) || bytes.Contains(clean, []byte("Exif\x00\x00")) {
			t.Fatalf("%d bytes, then %d, %v", len(clean), len(again), err)
		}
	})
}

// Whatever a file is, it is read or refused, and what is taken is text that can be printed.
func FuzzOpenReader(f *testing.F) {
	list := header + row("ALI", "900101991234", "S1000001")
	f.Add([]byte(list))
	f.Add([]byte(strings.ReplaceAll(list, ",", ";") + row("JOS\xc9", "900101991234", "S1000002")))
	f.Add(append([]byte("\xff\xfe"), utf16File(binary.LittleEndian, strings.ReplaceAll(list, ",", "\t"))[2:]...))
	f.Add([]byte("PK\x03\x04"))
	f.Fuzz(func(t *testing.T, file []byte) {
		rd, err := ecert.OpenReader(bytes.NewReader(file), int64(len(file)))
		for err == nil {
			var c ecert.Candidate
			var refused *ecert.Refusal
			if c, refused, err = rd.Next(); err == nil && refused == nil && (!utf8.ValidString(c.Name) || strings.ContainsAny(c.Name, "\n\r\x00\u202E\ufffd") || c.Number == "" || c.MonthYear() == "") {
				t.Fatalf("accepted %+v", c)
			}
		}
		if err != io.EOF && !errors.Is(err, ecert.ErrCSV) {
			t.Fatal(err)
		}
	})
}

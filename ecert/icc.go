package ecert

import (
	"bytes"
	"encoding/binary"
	"math"
)

// sRGBProfile is an ICC profile (ISO 15076-1, version 4.2) of the colours of IEC
// 61966-2-1, made from the numbers of that standard. PDF/A wants to know what
// DeviceRGB means (ISO 19005-2, 6.2.3).
func sRGBProfile() []byte {
	fixed := func(values ...float64) []byte { // s15Fixed16Number
		var b []byte
		for _, v := range values {
			b = binary.BigEndian.AppendUint32(b, uint32(int32(math.Round(v*65536))))
		}
		return b
	}
	kind := func(name string, body []byte) []byte { return append([]byte(name+"\x00\x00\x00\x00"), body...) }
	text := func(s string) []byte { // multiLocalizedUnicodeType with one record
		b := []byte("mluc\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x0CenUS")
		b = binary.BigEndian.AppendUint32(b, uint32(2*len(s)))
		b = binary.BigEndian.AppendUint32(b, 28)
		for _, c := range []byte(s) {
			b = append(b, 0, c)
		}
		return b
	}
	// The curve of sRGB: (aX+b)^g from d on, cX below (parametricCurveType 3).
	curve := kind("para", append([]byte{0, 3, 0, 0}, fixed(2.4, 1/1.055, 0.055/1.055, 1/12.92, 0.04045)...))
	tags := []struct {
		sign string
		data []byte
	}{
		{"desc", text("sRGB (IEC 61966-2-1)")},
		{"cprt", text("Public domain")},
		{"wtpt", kind("XYZ ", fixed(0.9642, 1, 0.8249))}, // the connection space's D50
		// From D65 to D50 by Bradford's method, as the primaries below.
		{"chad", kind("sf32", fixed(1.047882, 0.022919, -0.050217, 0.029587, 0.990484, -0.017079, -0.009247, 0.015069, 0.751678))},
		{"rXYZ", kind("XYZ ", fixed(0.436066, 0.222488, 0.013916))},
		{"gXYZ", kind("XYZ ", fixed(0.385147, 0.716873, 0.097076))},
		{"bXYZ", kind("XYZ ", fixed(0.143066, 0.060608, 0.714096))},
		{"rTRC", curve}, {"gTRC", curve}, {"bTRC", curve},
	}
	table, data := binary.BigEndian.AppendUint32(nil, uint32(len(tags))), []byte(nil)
	start := 128 + 4 + 12*len(tags)
	for i, t := range tags {
		at := start + len(data)
		if i > 0 && bytes.Equal(t.data, tags[i-1].data) {
			at = int(binary.BigEndian.Uint32(table[len(table)-8:])) // shared
		} else {
			data = append(data, t.data...)
			data = append(data, make([]byte, -len(data)&3)...)
		}
		table = append(table, t.sign...)
		table = binary.BigEndian.AppendUint32(table, uint32(at))
		table = binary.BigEndian.AppendUint32(table, uint32(len(t.data)))
	}
	head := make([]byte, 128)
	binary.BigEndian.PutUint32(head, uint32(start+len(data)))
	head[8], head[9] = 4, 0x20
	copy(head[12:], "mntrRGB XYZ ")
	copy(head[24:], []byte{0x07, 0xEA, 0, 1, 0, 1}) // made on 2026-01-01
	copy(head[36:], "acsp")
	copy(head[68:], fixed(0.9642, 1, 0.8249))
	return append(append(head, table...), data...)
}

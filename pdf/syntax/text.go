package syntax

import (
	"unicode/utf16"
	"unicode/utf8"
)

// Text decodes a text string to UTF-8: UTF-16BE or UTF-8 with a byte order
// mark, otherwise PDFDocEncoding (ISO 32000-2, Section 7.9.2.2).
func Text(b []byte) string {
	switch {
	case len(b) >= 2 && b[0] == 0xFE && b[1] == 0xFF:
		units := make([]uint16, 0, len(b)/2)
		for i := 2; i+1 < len(b); i += 2 {
			units = append(units, uint16(b[i])<<8|uint16(b[i+1]))
		}
		return string(utf16.Decode(units))
	case len(b) >= 3 && b[0] == 0xEF && b[1] == 0xBB && b[2] == 0xBF && utf8.Valid(b[3:]):
		return string(b[3:])
	}
	out := make([]rune, len(b))
	for i, c := range b {
		out[i] = docEncoding(c)
	}
	return string(out)
}

// What of PDFDocEncoding (ISO 32000-2, Table D.2) is not Latin-1, from 18 and
// from 80 hexadecimal.
var (
	docAccents = [8]rune{0x02D8, 0x02C7, 0x02C6, 0x02D9, 0x02DD, 0x02DB, 0x02DA, 0x02DC}
	docOthers  = [33]rune{
		0x2022, 0x2020, 0x2021, 0x2026, 0x2014, 0x2013, 0x0192, 0x2044, 0x2039, 0x203A, 0x2212,
		0x2030, 0x201E, 0x201C, 0x201D, 0x2018, 0x2019, 0x201A, 0x2122, 0xFB01, 0xFB02, 0x0141,
		0x0152, 0x0160, 0x0178, 0x017D, 0x0131, 0x0142, 0x0153, 0x0161, 0x017E, utf8.RuneError, 0x20AC,
	}
)

func docEncoding(c byte) rune {
	switch {
	case c >= 0x18 && c < 0x20:
		return docAccents[c-0x18]
	case c >= 0x80 && c <= 0xA0:
		return docOthers[c-0x80]
	case c == 0x7F, c == 0xAD:
		return utf8.RuneError
	}
	return rune(c)
}

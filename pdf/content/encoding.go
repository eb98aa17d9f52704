package content

import (
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/unicode/norm"
)

// encoding is a named encoding of simple fonts (ISO 32000-2, Annex D).
func encoding(name string) (texts [256]string) {
	var page *charmap.Charmap
	switch name {
	case "WinAnsiEncoding":
		page = charmap.Windows1252
	case "MacRomanEncoding":
		page = charmap.Macintosh
	default:
		for i := ' '; i < 0x7F; i++ {
			texts[i] = string(i)
		}
		texts['\''], texts['`'] = "’", "‘"
		for i, r := range []rune(standardHigh) {
			if r != ' ' {
				texts[0xA1+i] = string(r)
			}
		}
		texts[0xAE], texts[0xAF] = "fi", "fl"
		return texts
	}
	for i := range texts {
		if r := page.DecodeByte(byte(i)); i >= ' ' && r != 0xFFFD {
			texts[i] = string(r)
		}
	}
	return texts
}

// standardHigh is StandardEncoding from A1 to FB.
const standardHigh = "¡¢£⁄¥ƒ§¤'“«‹›   –†‡· ¶•‚„”»…‰ ¿ `´ˆ˜¯˘˙¨ ˚¸ ˝˛ˇ—                Æ ª    ŁØŒº     æ   ı  łøœß"

// glyphText is what a glyph name stands for: the Adobe Glyph List as far as
// Latin fonts need it.
func glyphText(name string) string {
	name, _, _ = strings.Cut(name, ".")
	if strings.Contains(name, "_") {
		out := ""
		for part := range strings.SplitSeq(name, "_") {
			out += glyphText(part)
		}
		return out
	}
	if len(name) == 1 && (name[0]|0x20 >= 'a' && name[0]|0x20 <= 'z') {
		return name
	}
	if s, ok := glyphNames()[name]; ok {
		return s
	}
	for _, prefix := range []string{"uni", "u"} {
		if hex, ok := strings.CutPrefix(name, prefix); ok && len(hex) >= 4 {
			if prefix == "uni" {
				hex = hex[:4]
			}
			if n, err := strconv.ParseUint(hex, 16, 21); err == nil {
				return string(rune(n))
			}
		}
	}
	if len(name) > 1 {
		if mark, ok := marks[name[1:]]; ok {
			return norm.NFC.String(name[:1] + mark)
		}
	}
	return ""
}

// marks are the accents of names such as eacute.
var marks = map[string]string{
	"grave": "\u0300", "acute": "\u0301", "circumflex": "\u0302", "tilde": "\u0303", "macron": "\u0304", "breve": "\u0306",
	"dotaccent": "\u0307", "dieresis": "\u0308", "ring": "\u030A", "hungarumlaut": "\u030B", "caron": "\u030C",
	"cedilla": "\u0327", "ogonek": "\u0328", "commaaccent": "\u0326",
}

var glyphNames = sync.OnceValue(func() map[string]string {
	m := make(map[string]string)
	fields := strings.Fields(glyphList)
	for i := 0; i+1 < len(fields); i += 2 {
		m[fields[i]] = fields[i+1]
	}
	m["space"], m["nbspace"] = " ", "\u00A0"
	return m
})

const glyphList = `exclam ! quotedbl " numbersign # dollar $ percent % ampersand & quotesingle ' parenleft ( parenright )
asterisk * plus + comma , hyphen - minus − period . slash / zero 0 one 1 two 2 three 3 four 4 five 5 six 6 seven 7 eight 8 nine 9
colon : semicolon ; less < equal = greater > question ? at @ bracketleft [ backslash \ bracketright ] asciicircum ^ underscore _
grave ` + "`" + ` braceleft { bar | braceright } asciitilde ~ exclamdown ¡ cent ¢ sterling £ fraction ⁄ yen ¥ florin ƒ section §
currency ¤ quotedblleft “ quotedblright ” guillemotleft « guillemotright » guilsinglleft ‹ guilsinglright › fi fi fl fl ff ff ffi ffi
ffl ffl endash – emdash — dagger † daggerdbl ‡ periodcentered · paragraph ¶ bullet • quotesinglbase ‚ quotedblbase „ quoteleft ‘
quoteright ’ ellipsis … perthousand ‰ questiondown ¿ acute ´ circumflex ˆ tilde ˜ macron ¯ breve ˘ dotaccent ˙ dieresis ¨ ring ˚
cedilla ¸ hungarumlaut ˝ ogonek ˛ caron ˇ AE Æ ae æ OE Œ oe œ Lslash Ł lslash ł Oslash Ø oslash ø dotlessi ı germandbls ß
ordfeminine ª ordmasculine º Eth Ð eth ð Thorn Þ thorn þ mu µ onesuperior ¹ twosuperior ² threesuperior ³ onehalf ½ onequarter ¼
threequarters ¾ degree ° plusminus ± multiply × divide ÷ logicalnot ¬ brokenbar ¦ copyright © registered ® trademark ™ Euro €
Dcroat Đ dcroat đ`

// standardWidths are the widths of the printable ASCII characters of a
// standard font (or of one that looks like it), in thousandths of the em; nil where
// all are 600.
func standardWidths(name string) *[95]uint16 {
	lower := strings.ToLower(name)
	bold := strings.Contains(lower, "bold")
	switch {
	case strings.Contains(lower, "courier"), strings.Contains(lower, "mono"):
		return nil
	case strings.Contains(lower, "times"), strings.Contains(lower, "serif"):
		if bold {
			return &timesBold
		}
		if strings.Contains(lower, "italic") {
			return &timesItalic
		}
		return &times
	case bold:
		return &helveticaBold
	}
	return &helvetica
}

// standardWidth looks at the letter below accents.
func standardWidth(widths *[95]uint16, text string) float64 {
	r, _ := utf8.DecodeRuneInString(norm.NFD.String(text))
	switch {
	case r == '’' || r == '‘':
		r = ','
	case r == '–':
		r = 'n'
	case r == '—' || r == '…' || r == '™' || r == '‰':
		return 1
	case r < ' ' || r >= 0x7F:
		return 0.556
	}
	return float64(widths[r-' ']) / 1000
}

var (
	helvetica = [95]uint16{278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278,
		556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556,
		1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556,
		333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584}
	helveticaBold = [95]uint16{278, 333, 474, 556, 556, 889, 722, 238, 333, 333, 389, 584, 278, 333, 278, 278,
		556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 333, 333, 584, 584, 584, 611,
		975, 722, 722, 722, 722, 667, 611, 778, 722, 278, 556, 722, 611, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 333, 278, 333, 584, 556,
		333, 556, 611, 556, 611, 556, 333, 611, 611, 278, 278, 556, 278, 889, 611, 611, 611, 611, 389, 556, 333, 611, 556, 778, 556, 556, 500, 389, 280, 389, 584}
	times = [95]uint16{250, 333, 408, 500, 500, 833, 778, 180, 333, 333, 500, 564, 250, 333, 250, 278,
		500, 500, 500, 500, 500, 500, 500, 500, 500, 500, 278, 278, 564, 564, 564, 444,
		921, 722, 667, 667, 722, 611, 556, 722, 722, 333, 389, 722, 611, 889, 722, 722, 556, 722, 667, 556, 611, 722, 722, 944, 722, 722, 611, 333, 278, 333, 469, 500,
		333, 444, 500, 444, 500, 444, 333, 500, 500, 278, 278, 500, 278, 778, 500, 500, 500, 500, 333, 389, 278, 500, 500, 722, 500, 500, 444, 480, 200, 480, 541}
	timesBold = [95]uint16{250, 333, 555, 500, 500, 1000, 833, 278, 333, 333, 500, 570, 250, 333, 250, 278,
		500, 500, 500, 500, 500, 500, 500, 500, 500, 500, 333, 333, 570, 570, 570, 500,
		930, 722, 667, 722, 722, 667, 611, 778, 778, 389, 500, 778, 667, 944, 722, 778, 611, 778, 722, 556, 667, 722, 722, 1000, 722, 722, 667, 333, 278, 333, 581, 500,
		333, 500, 556, 444, 556, 444, 333, 500, 556, 278, 333, 556, 278, 833, 556, 500, 556, 556, 444, 389, 333, 556, 500, 722, 500, 500, 444, 394, 220, 394, 520}
	timesItalic = [95]uint16{250, 333, 420, 500, 500, 833, 778, 214, 333, 333, 500, 675, 250, 333, 250, 278,
		500, 500, 500, 500, 500, 500, 500, 500, 500, 500, 333, 333, 675, 675, 675, 500,
		920, 611, 611, 667, 722, 611, 611, 722, 722, 333, 444, 667, 556, 833, 667, 722, 611, 722, 611, 500, 556, 722, 611, 833, 611, 556, 556, 389, 278, 389, 422, 500,
		333, 500, 500, 444, 500, 444, 278, 500, 500, 278, 278, 444, 278, 722, 500, 500, 500, 500, 389, 389, 278, 500, 444, 667, 444, 444, 389, 400, 275, 400, 541}
)

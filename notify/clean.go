package notify

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what is shown of a string that came from outside, in characters
// (a base character with its combining marks counts as one).
const (
	titleChars  = 60
	nameChars   = 60
	systemChars = 40
	titlesShown = 5
)

const (
	ellipsis   = "…"
	wordJoiner = "\u2060"
	maxMarks   = 2       // combining marks kept after one base character
	maxInput   = 4 << 10 // bytes looked at: the rest can never be shown
)

// MaskName keeps the first letter of each word of a person's name, for those who
// need not know whose it is.
func MaskName(name string) string {
	words := strings.Fields(name)
	for k, w := range words {
		runes := []rune(w)
		words[k] = string(runes[0]) + strings.Repeat("•", min(len(runes)-1, 6))
	}
	return strings.Join(words, " ")
}

// blank holds graphic characters that show nothing, beside those Unicode
// calls default-ignorable: BRAILLE PATTERN BLANK, MUSICAL SYMBOL NULL NOTEHEAD.
var blank = &unicode.RangeTable{
	R16: []unicode.Range16{{Lo: 0x2800, Hi: 0x2800, Stride: 1}},
	R32: []unicode.Range32{{Lo: 0x1D159, Hi: 0x1D159, Stride: 1}},
}

// clean makes one line of s that reads as it is written: controls, line and
// paragraph separators become a space; bidi controls, isolates and overrides,
// zero-width and other invisible characters, private-use and unassigned code
// points are removed; the curly quotes we put around it become straight; it
// is cut at limit characters, the last of them then being …. Invalid UTF-8
// becomes U+FFFD. The result holds no character below U+0020.
func clean(s string, limit int) string {
	if n := maxInput; len(s) > n {
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	var out []rune
	space := false // a space is owed before the next character
	marks := 0
	for _, r := range s {
		switch {
		case unicode.IsSpace(r), unicode.Is(unicode.Cc, r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			space, marks = len(out) > 0, 0
			continue
		case !visible(r):
			continue
		case unicode.Is(unicode.M, r):
			if marks++; marks > maxMarks || len(out) == 0 || space {
				continue
			}
		default:
			marks = 0
		}
		if space {
			out, space = append(out, ' '), false
		}
		out = append(out, straight(r))
	}
	return cut(out, limit)
}

func visible(r rune) bool {
	return unicode.IsGraphic(r) &&
		!unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) &&
		!unicode.Is(unicode.Variation_Selector, r) &&
		!unicode.Is(blank, r)
}

// straight keeps a title from closing the quotes around it.
func straight(r rune) rune {
	switch r {
	case '“', '”', '„', '‟', '〝', '〞', '〟', '＂':
		return '"'
	}
	return r
}

// cut keeps at most limit characters, combining marks not counted.
func cut(rs []rune, limit int) string {
	n, keep := 0, 0 // keep: where limit-1 characters end
	for i, r := range rs {
		if unicode.Is(unicode.M, r) {
			continue
		}
		if n == limit-1 {
			keep = i
		}
		if n++; n > limit {
			return strings.TrimRight(string(rs[:keep]), " ") + ellipsis
		}
	}
	return string(rs)
}

// unlink keeps mail programs from making a link, an address or a network path
// of s. They look for "scheme:", "www.", "label.label", "local@domain" and
// "\\host"; a WORD JOINER (U+2060: invisible, no break, not a letter of any
// host name) on both sides of the character in the middle breaks each of
// those patterns, in the text and in the HTML alternative, and does not
// change how the title looks. The full-width and ideographic forms, which
// IDNA maps to the same characters, are treated alike.
func unlink(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 16)
	prev := ' '
	for i, r := range s {
		next, _ := utf8.DecodeRuneInString(s[i+utf8.RuneLen(r):])
		if breaks(prev, r, next) {
			b.WriteString(wordJoiner)
			b.WriteRune(r)
			b.WriteString(wordJoiner)
		} else {
			b.WriteRune(r)
		}
		prev = r
	}
	return b.String()
}

// breaks says whether r, between prev and next, could be part of a link.
func breaks(prev, r, next rune) bool {
	switch r {
	case '@', '＠', '\\', '＼':
		return true
	case ':', '：':
		return next != ' ' && next != utf8.RuneError
	case '.', '。', '．', '｡', '․':
		return prev != ' ' && next != ' ' && next != utf8.RuneError
	}
	return false
}

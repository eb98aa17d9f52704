package pdf

import (
	"math"
	"strings"
	"unicode/utf8"
)

// text is a paragraph of an appearance, or one line of it.
type text struct {
	s     string
	bold  bool
	scale float64 // size by that of the lines
}

// linkers belong to the word after them in Malaysian names: a line never ends
// in one.
var linkers = map[string]bool{
	"BIN": true, "BINTI": true, "BT": true, "BTE": true, "B.": true, "BT.": true, "BTE.": true,
	"A/L": true, "A/P": true, "S/O": true, "D/O": true, "@": true, "ANAK": true, "AK": true, "AK.": true,
}

// fit wraps the texts so that they can be set as large as possible in an area
// of w × h points: on one line each where that is large enough, else wrapped
// between words, and only where that would be hard to read within words.
func fit(f faces, texts []text, w, h, most float64) ([]text, float64, error) {
	lines, size := texts, largestSize(f, texts, w, h, most)
	if size < pleasant {
		lines, size = wrapped(f, texts, false, lines, size, w, h, most)
	}
	if size < readable {
		lines, size = wrapped(f, texts, true, lines, size, w, h, most)
	}
	if size < smallest {
		return nil, 0, refuse("the lines do not fit the appearance")
	}
	return lines, size, nil
}

// largestSize is the size in which the lines fit as they are, in steps of a
// twentieth of a point.
func largestSize(f faces, lines []text, w, h, most float64) float64 {
	size, height := most, 0.0
	for _, l := range lines {
		height += l.scale * leading
		if width := f.face(l.bold).KernedWidth(l.s, l.scale); width > 0 {
			size = min(size, w/width)
		}
		size = min(size, most/l.scale*bigger)
	}
	if height > 0 {
		size = min(size, h/height)
	}
	return math.Floor(size*20) / 20
}

// wrapped looks for a larger size than that of the lines given, by wrapping.
func wrapped(f faces, texts []text, within bool, lines []text, size, w, h, most float64) ([]text, float64) {
	low, high := max(size, smallest), min(most, pleasant)
	for range 8 {
		middle := (low + high) / 2
		try := wrap(f, texts, within, w, middle)
		if got := largestSize(f, try, w, h, most); got >= middle {
			low = middle
			if got > size {
				lines, size = try, got
			}
		} else {
			high = middle
		}
	}
	if try := wrap(f, texts, within, w, smallest); size < smallest {
		if got := largestSize(f, try, w, h, most); got >= smallest {
			return try, got
		}
	}
	return lines, size
}

// wrap breaks texts into lines for a size.
func wrap(f faces, texts []text, within bool, w, size float64) []text {
	var out []text
	for _, t := range texts {
		face, points := f.face(t.bold), t.scale*size
		width := func(s string) float64 { return face.KernedWidth(s, points) }
		line := ""
		for _, word := range words(t.s) {
			if line != "" && width(line+" "+word) <= w {
				line += " " + word
				continue
			}
			if line != "" {
				out = append(out, text{line, t.bold, t.scale})
			}
			for within && width(word) > w {
				n := fitting(word, w, width)
				if n == len(word) {
					break
				}
				out = append(out, text{word[:n], t.bold, t.scale})
				word = word[n:]
			}
			line = word
		}
		out = append(out, text{line, t.bold, t.scale})
	}
	return out
}

// words splits at spaces and keeps linkers with the words after them.
func words(s string) []string {
	var out []string
	glue := false
	for _, word := range strings.Fields(s) {
		if glue {
			out[len(out)-1] += " " + word
		} else {
			out = append(out, word)
		}
		glue = linkers[strings.ToUpper(word)]
	}
	return out
}

// fitting is the length of the part of the word that is no wider than w, at
// least one character.
func fitting(word string, w float64, width func(string) float64) int {
	_, n := utf8.DecodeRuneInString(word)
	for i := range word {
		if i > 0 && width(word[:i]) > w {
			break
		}
		n = max(n, i)
	}
	return n
}

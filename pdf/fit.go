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

// How texts may be broken, the nicest way first.
const (
	keepNames  = iota // between words, but not behind a linker
	keepWords         // between words
	breakWords        // anywhere
)

// fit wraps the texts so that they can be set as large as possible in an area
// of w × h points: on one line each where that is large enough, else wrapped,
// within names and words only where it would be hard to read otherwise.
func fit(f faces, texts []text, w, h, most float64) ([]text, float64, error) {
	lines, size := texts, largestSize(f, texts, w, h, most)
	for how, enough := range []float64{pleasant, readable, poor} {
		if size < enough {
			lines, size = wrapped(f, texts, how, lines, size, w, h, most)
		}
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
func wrapped(f faces, texts []text, how int, lines []text, size, w, h, most float64) ([]text, float64) {
	low, high := max(size, smallest), min(most, pleasant)
	for range 8 {
		middle := (low + high) / 2
		try := wrap(f, texts, how, w, middle)
		if got := largestSize(f, try, w, h, most); got >= middle {
			low = middle
			if got > size {
				lines, size = try, got
			}
		} else {
			high = middle
		}
	}
	if try := wrap(f, texts, how, w, smallest); size < smallest {
		if got := largestSize(f, try, w, h, most); got >= smallest {
			return try, got
		}
	}
	return lines, size
}

// wrap breaks texts into lines for a size. The lines of one text are of about
// the same width.
func wrap(f faces, texts []text, how int, w, size float64) []text {
	var out []text
	for _, t := range texts {
		face, points := f.face(t.bold), t.scale*size
		width := func(s string) float64 { return face.KernedWidth(s, points) }
		pieces := words(t.s, how == keepNames)
		lines := fill(pieces, w, how, width)
		if low, high := 0.0, w; len(lines) > 1 && how != breakWords {
			for high-low > 1 {
				middle := (low + high) / 2
				if try := fill(pieces, middle, how, width); len(try) == len(lines) && widest(try, width) <= middle {
					lines, high = try, middle
				} else {
					low = middle
				}
			}
		}
		for _, line := range lines {
			out = append(out, text{line, t.bold, t.scale})
		}
	}
	return out
}

func widest(lines []string, width func(string) float64) float64 {
	w := 0.0
	for _, l := range lines {
		w = max(w, width(l))
	}
	return w
}

// fill sets words on lines no wider than w where that is possible.
func fill(words []string, w float64, how int, width func(string) float64) []string {
	var out []string
	line := ""
	for _, word := range words {
		if line != "" && width(line+" "+word) <= w {
			line += " " + word
			continue
		}
		if line != "" {
			out = append(out, line)
		}
		for how == breakWords && width(word) > w {
			n := fitting(word, w, width)
			if n == len(word) {
				break
			}
			out = append(out, word[:n])
			word = word[n:]
		}
		line = word
	}
	return append(out, line)
}

// words splits at spaces, but not before a stroke, and not behind a linker
// where names are to be kept.
func words(s string, names bool) []string {
	var out []string
	glue := false
	for _, word := range strings.Fields(s) {
		if glue || word == "/" && len(out) > 0 {
			out[len(out)-1] += " " + word
		} else {
			out = append(out, word)
		}
		glue = names && linkers[strings.ToUpper(word)]
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

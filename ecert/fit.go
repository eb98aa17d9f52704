package ecert

import (
	"strings"
	"unicode/utf8"
)

// step is one way to set a text: on up to lines lines, in size at most max. It
// is taken when a size of at least min is enough to fit.
type step struct {
	lines    int
	max, min float64
}

// linkers belong to the word after them: a line never ends in one.
var linkers = map[string]bool{
	"BIN": true, "BINTI": true, "BT": true, "BTE": true, "B.": true, "BT.": true, "BTE.": true,
	"A/L": true, "A/P": true, "S/O": true, "D/O": true, "@": true, "ANAK": true, "AK": true, "AK.": true,
}

// block is a text set on lines in one size.
type block struct {
	lines []string
	size  float64
}

// fit breaks s into lines no wider than width by the first step that works. The
// last step's min is not a limit: whatever is left is set smaller until it fits,
// so nothing is ever cut.
func fit(f typeface, s string, width float64, steps ...step) block {
	for i, st := range steps {
		last := i == len(steps)-1
		words := split(f, s, width/st.min*1000)
		lines, widest := balance(f, words, st.lines)
		size := min(st.max, width/widest*1000)
		if size >= st.min || last {
			return block{lines, size}
		}
	}
	return block{}
}

// word is a piece that is not broken; glued ones follow without a space.
type word struct {
	text  string
	width float64 // set in 1000 points
	glued bool
}

// split cuts s at its spaces, keeps linkers with their followers where the two
// are no wider than limit, and cuts words wider than limit anywhere.
func split(f typeface, s string, limit float64) []word {
	var out []word
	fields := strings.Fields(s)
	for i := 0; i < len(fields); i++ {
		w := fields[i]
		for linkers[strings.ToUpper(fields[i])] && i+1 < len(fields) && f.KernedWidth(w+" "+fields[i+1], 1000) <= limit {
			i++
			w += " " + fields[i]
		}
		glued := false
		for f.KernedWidth(w, 1000) > limit && utf8.RuneCountInString(w) > 1 {
			cut := 0
			for at := range w {
				if at > 0 && f.KernedWidth(w[:at], 1000) > limit {
					break
				}
				cut = at
			}
			if cut == 0 {
				_, cut = utf8.DecodeRuneInString(w)
			}
			out = append(out, word{w[:cut], f.KernedWidth(w[:cut], 1000), glued})
			w, glued = w[cut:], true
		}
		out = append(out, word{w, f.KernedWidth(w, 1000), glued})
	}
	return out
}

// balance sets words on at most n lines with the widest line as narrow as
// possible, and returns its width in 1000 points.
func balance(f typeface, words []word, n int) (lines []string, widest float64) {
	space := f.KernedWidth(" ", 1000)
	low, high := 1.0, 0.0
	for _, w := range words {
		low = max(low, w.width)
		high += w.width + space
	}
	high = max(low, high)
	if n > 1 {
		for high-low > 1 {
			if mid := (low + high) / 2; len(wrap(words, space, mid)) <= n {
				high = mid
			} else {
				low = mid
			}
		}
	}
	lines = wrap(words, space, high)
	widest = 1
	for _, l := range lines {
		widest = max(widest, f.KernedWidth(l, 1000))
	}
	return lines, widest
}

// wrap fills lines of the given width in order.
func wrap(words []word, space, width float64) []string {
	var lines []string
	used := 0.0
	for _, w := range words {
		sep, gap := " ", space
		if w.glued {
			sep, gap = "", 0
		}
		if len(lines) > 0 && used+gap+w.width <= width {
			lines[len(lines)-1] += sep + w.text
			used += gap + w.width
			continue
		}
		lines = append(lines, w.text)
		used = w.width
	}
	return lines
}

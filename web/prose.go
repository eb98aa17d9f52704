package web

import (
	"strconv"
	"strings"
)

// paragraph is a run of text with `code` in it. Of Markdown only blank lines
// and back quotes are understood; the rest stays as written.
type paragraph []span

type span struct {
	Code bool
	Text string
}

func prose(s string) (out []paragraph) {
	for block := range strings.SplitSeq(strings.ReplaceAll(s, "\r\n", "\n"), "\n\n") {
		if block = strings.TrimSpace(block); block == "" {
			continue
		}
		parts := strings.Split(block, "`")
		var p paragraph
		for i, text := range parts {
			if text == "" {
				continue
			}
			p = append(p, span{Code: i%2 == 1 && i < len(parts)-1, Text: text})
		}
		out = append(out, p)
	}
	return out
}

// slugs makes ids for anchors, each used once.
type slugs map[string]bool

func (ids slugs) unique(s string) string {
	base := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, s), "-")
	id := base
	for n := 2; ids[id]; n++ {
		id = base + "-" + strconv.Itoa(n)
	}
	ids[id] = true
	return id
}

package content

import (
	"bytes"
	"strconv"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// lexer reads operands and operators of a content stream or CMap. Damage is
// passed over, as readers do.
type lexer struct {
	b   []byte
	pos int
}

const (
	maxOperands = 1 << 16 // of one operator, those of arrays included
	maxNesting  = 16
)

func isSpace(c byte) bool {
	return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f' || c == 0
}

func isRegular(c byte) bool {
	return !isSpace(c) && bytes.IndexByte([]byte("()<>[]{}/%"), c) < 0
}

// next collects operands up to an operator. ok is false at the end. The
// operands are valid until the next call.
func (l *lexer) next(operands []syntax.Value) (operator string, out []syntax.Value, ok bool) {
	out = operands[:0]
	room := maxOperands
	for {
		l.blank()
		if l.pos >= len(l.b) {
			return "", out, false
		}
		v, word := l.value(0, &room)
		if word != "" {
			return word, out, true
		}
		if v.Kind != syntax.Null && room > 0 {
			out = append(out, v)
		}
	}
}

func (l *lexer) blank() {
	for l.pos < len(l.b) {
		switch c := l.b[l.pos]; {
		case isSpace(c):
			l.pos++
		case c == '%':
			for l.pos < len(l.b) && l.b[l.pos] != '\n' && l.b[l.pos] != '\r' {
				l.pos++
			}
		default:
			return
		}
	}
}

// value reads an operand, or a word that is none.
func (l *lexer) value(depth int, room *int) (v syntax.Value, word string) {
	*room--
	c := l.b[l.pos]
	switch {
	case c == '/':
		return l.name(), ""
	case c == '(':
		return l.literal(), ""
	case c == '<' && l.pos+1 < len(l.b) && l.b[l.pos+1] == '<':
		l.pos += 2
		return l.list(depth, ">>", room), ""
	case c == '<':
		return l.hex(), ""
	case c == '[':
		l.pos++
		return l.list(depth, "]", room), ""
	case !isRegular(c):
		l.pos++
		return v, ""
	}
	start := l.pos
	for l.pos < len(l.b) && isRegular(l.b[l.pos]) {
		l.pos++
	}
	run := l.b[start:l.pos]
	if c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' {
		return parseNumber(run), ""
	}
	switch string(run) {
	case "true", "false":
		return syntax.Value{Kind: syntax.Bool}, ""
	case "null":
		return v, ""
	}
	return v, string(run)
}

// parseNumber reads what numbers there are in files: 5, -.5, 1e3 is none.
func parseNumber(b []byte) syntax.Value {
	if n, err := strconv.ParseInt(string(b), 10, 64); err == nil {
		return syntax.Value{Kind: syntax.Integer, Int: n, Real: float64(n)}
	}
	for i, c := range b {
		if (c < '0' || c > '9') && c != '.' && (i > 0 || c != '-' && c != '+') {
			b = b[:i]
			break
		}
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		f = 0
	}
	return syntax.Value{Kind: syntax.Real, Real: f}
}

// list reads an array or a dictionary, whose keys and values alternate in Array.
func (l *lexer) list(depth int, end string, room *int) syntax.Value {
	out := syntax.Value{Kind: syntax.Array}
	if end == ">>" {
		out.Kind = syntax.Dictionary
	}
	for {
		l.blank()
		if l.pos >= len(l.b) {
			return out
		}
		if bytes.HasPrefix(l.b[l.pos:], []byte(end)) {
			l.pos += len(end)
			return out
		}
		if depth == maxNesting {
			l.pos++
			continue
		}
		if v, word := l.value(depth+1, room); word == "" && *room > 0 {
			out.Array = append(out.Array, v)
		}
	}
}

func (l *lexer) name() syntax.Value {
	l.pos++
	start := l.pos
	for l.pos < len(l.b) && isRegular(l.b[l.pos]) {
		l.pos++
	}
	name := l.b[start:l.pos]
	if bytes.IndexByte(name, '#') >= 0 {
		var out []byte
		for i := 0; i < len(name); i++ {
			if name[i] == '#' && i+2 < len(name) {
				if n, err := strconv.ParseUint(string(name[i+1:i+3]), 16, 8); err == nil {
					out = append(out, byte(n))
					i += 2
					continue
				}
			}
			out = append(out, name[i])
		}
		name = out
	}
	return syntax.Value{Kind: syntax.Name, Bytes: name}
}

func (l *lexer) hex() syntax.Value {
	out := []byte{}
	half, odd := byte(0), false
	for l.pos++; l.pos < len(l.b) && l.b[l.pos] != '>'; l.pos++ {
		n, err := strconv.ParseUint(string(l.b[l.pos:l.pos+1]), 16, 8)
		if err != nil {
			continue
		}
		if odd {
			out = append(out, half<<4|byte(n))
		}
		half, odd = byte(n), !odd
	}
	l.pos++
	if odd {
		out = append(out, half<<4)
	}
	return syntax.Value{Kind: syntax.String, Bytes: out}
}

// literal reads a string in parentheses (ISO 32000-2, Section 7.3.4.2).
func (l *lexer) literal() syntax.Value {
	out := []byte{}
	open := 1
	for l.pos++; l.pos < len(l.b); l.pos++ {
		c := l.b[l.pos]
		switch c {
		case '(':
			open++
		case ')':
			if open--; open == 0 {
				l.pos++
				return syntax.Value{Kind: syntax.String, Bytes: out}
			}
		case '\\':
			if l.pos++; l.pos < len(l.b) {
				out = l.escape(out)
			}
			continue
		}
		out = append(out, c)
	}
	return syntax.Value{Kind: syntax.String, Bytes: out}
}

func (l *lexer) escape(out []byte) []byte {
	c := l.b[l.pos]
	if i := bytes.IndexByte([]byte("nrtbf"), c); i >= 0 {
		return append(out, "\n\r\t\b\f"[i])
	}
	switch {
	case c == '\r' && l.pos+1 < len(l.b) && l.b[l.pos+1] == '\n':
		l.pos++
		return out
	case c == '\r' || c == '\n':
		return out
	case c >= '0' && c <= '7':
		n := int(c - '0')
		for k := 0; k < 2 && l.pos+1 < len(l.b) && l.b[l.pos+1] >= '0' && l.b[l.pos+1] <= '7'; k++ {
			l.pos++
			n = n<<3 | int(l.b[l.pos]-'0')
		}
		return append(out, byte(n))
	}
	return append(out, c)
}

// skipImage moves behind an inline image, whose BI was read (ISO 32000-2,
// Section 8.9.7). Where its data end is a guess: at an EI between white space
// with nothing binary behind it.
func (l *lexer) skipImage() {
	for {
		word, _, ok := l.next(nil)
		if !ok {
			return
		}
		if word == "ID" {
			break
		}
	}
	for l.pos+3 < len(l.b) {
		i := bytes.Index(l.b[l.pos:], []byte("EI"))
		if i < 0 {
			break
		}
		at := l.pos + i
		l.pos = at + 2
		if !isSpace(l.b[at-1]) || l.pos < len(l.b) && !isSpace(l.b[l.pos]) {
			continue
		}
		plain := true
		for _, c := range l.b[l.pos:min(len(l.b), l.pos+16)] {
			plain = plain && (c < 0x7F && c >= ' ' || isSpace(c) && c != 0)
		}
		if plain {
			return
		}
	}
	l.pos = len(l.b)
}

package syntax

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strconv"
)

// errShort says that the window ends before the value does.
var errShort = errors.New("window too short")

// parser reads values from a window of a file or from a decoded stream.
type parser struct {
	buf    []byte
	base   int64 // offset of buf[0]
	pos    int
	open   bool  // a hexadecimal string does not end in buf
	eof    bool  // buf reaches the end of the source
	limit  int64 // object numbers from here on may not be referred to; 0 for no limit
	values int
	top    int64  // largest object number referred to
	stack  *stack // may be nil
}

// stack has the elements of arrays and the entries of dictionaries that are not
// complete, so that complete ones take the memory they need and not twice that.
type stack struct {
	values  []Value
	entries []Entry
}

func (p *parser) at() int64 { return p.base + int64(p.pos) }

func (p *parser) short() error {
	if p.eof {
		return invalid(p.at(), "unexpected end")
	}
	return errShort
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f' || c == 0
}

func isDelimiter(c byte) bool {
	switch c {
	case '(', ')', '<', '>', '[', ']', '{', '}', '/', '%':
		return true
	}
	return false
}

func isRegular(c byte) bool { return !isSpace(c) && !isDelimiter(c) }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// skip moves over white space and comments (ISO 32000-2, Section 7.2.4) to a
// byte that is there.
func (p *parser) skip() error {
	comment := false
	for ; p.pos < len(p.buf); p.pos++ {
		c := p.buf[p.pos]
		switch {
		case comment:
			comment = c != '\n' && c != '\r'
		case c == '%':
			comment = true
		case !isSpace(c):
			return nil
		}
	}
	return p.short()
}

// regular returns the run of regular characters here. A run that touches the
// end of the window may go on behind it.
func (p *parser) regular() ([]byte, error) {
	start := p.pos
	for p.pos < len(p.buf) && isRegular(p.buf[p.pos]) {
		p.pos++
	}
	if p.pos == len(p.buf) && !p.eof {
		return nil, errShort
	}
	return p.buf[start:p.pos], nil
}

// keyword consumes word if it stands here after white space.
func (p *parser) keyword(word string) (bool, error) {
	if err := p.skip(); err != nil {
		return false, err
	}
	start := p.pos
	got, err := p.regular()
	if err != nil {
		return false, err
	}
	if string(got) != word {
		p.pos = start
		return false, nil
	}
	return true, nil
}

// natural reads an unsigned integer of at most 15 digits after white space.
func (p *parser) natural() (int64, error) {
	if err := p.skip(); err != nil {
		return 0, err
	}
	start := p.at()
	b, err := p.regular()
	if err != nil {
		return 0, err
	}
	n, ok := digits(b)
	if !ok {
		return 0, invalid(start, "number expected")
	}
	return n, nil
}

// digits converts 1 to 15 decimal digits.
func digits(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 15 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		if !isDigit(c) {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// value reads one value after white space.
func (p *parser) value(depth int) (Value, error) {
	if err := p.skip(); err != nil {
		return Value{}, err
	}
	if depth > MaxDepth {
		return Value{}, tooLarge(p.at(), "values nested deeper than %d", MaxDepth)
	}
	if p.values++; p.values > maxValues {
		return Value{}, tooLarge(p.at(), "object of more than %d values", maxValues)
	}
	start := p.at()
	v, err := p.dispatch(depth)
	v.Start, v.End = start, p.at()
	return v, err
}

func (p *parser) dispatch(depth int) (Value, error) {
	switch c := p.buf[p.pos]; {
	case c == '/':
		return p.name()
	case c == '(':
		return p.literal()
	case c == '[':
		return p.array(depth)
	case c == '<':
		if p.pos+1 == len(p.buf) {
			return Value{}, p.short()
		}
		if p.buf[p.pos+1] == '<' {
			return p.dictionary(depth)
		}
		return p.hex()
	case isDigit(c):
		return p.number(true)
	case c == '+' || c == '-' || c == '.':
		return p.number(false)
	}
	start := p.at()
	word, err := p.regular()
	if err != nil {
		return Value{}, err
	}
	switch string(word) {
	case "null":
		return Value{}, nil
	case "true":
		return Value{Kind: Bool, Int: 1}, nil
	case "false":
		return Value{Kind: Bool}, nil
	}
	return Value{}, invalid(start, "value expected")
}

// number reads an integer, a real or, where digits came first, a reference.
func (p *parser) number(reference bool) (Value, error) {
	start := p.at()
	b, err := p.regular()
	if err != nil {
		return Value{}, err
	}
	if n, ok := digits(b); ok {
		if reference && n <= MaxObjects {
			if v, ok, err := p.reference(n); ok || err != nil {
				return v, err
			}
		}
		return Value{Kind: Integer, Int: n, Real: float64(n)}, nil
	}
	dot := false
	for i, c := range b {
		switch {
		case isDigit(c), i == 0 && (c == '+' || c == '-'):
		case c == '.' && !dot:
			dot = true
		default:
			return Value{}, invalid(start, "malformed number")
		}
	}
	if len(b) > 64 {
		return Value{}, invalid(start, "number of more than 64 characters")
	}
	if !dot {
		n, err := strconv.ParseInt(string(b), 10, 64)
		if err != nil {
			return Value{}, invalid(start, "malformed integer")
		}
		return Value{Kind: Integer, Int: n, Real: float64(n)}, nil
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return Value{}, invalid(start, "malformed number")
	}
	return Value{Kind: Real, Real: f}, nil
}

// reference looks for "generation R" behind an object number.
func (p *parser) reference(num int64) (Value, bool, error) {
	back := p.pos
	undo := func() (Value, bool, error) {
		p.pos = back
		return Value{}, false, nil
	}
	if err := p.skip(); err != nil {
		if p.eof {
			return undo()
		}
		return Value{}, false, err
	}
	if !isDigit(p.buf[p.pos]) {
		return undo()
	}
	b, err := p.regular()
	if err != nil {
		return Value{}, false, err
	}
	gen, ok := digits(b)
	if !ok || gen > 65535 {
		return undo()
	}
	found, err := p.keyword("R")
	if err != nil && !p.eof {
		return Value{}, false, err
	}
	if !found {
		return undo()
	}
	if p.limit > 0 && num >= p.limit {
		return Value{}, false, invalid(p.at(), "reference to object %d, not below /Size %d", num, p.limit)
	}
	p.top = max(p.top, num)
	return Value{Kind: Reference, Int: num, Gen: uint16(gen)}, true, nil
}

func unhex(c byte) (byte, bool) {
	n := nibbles[c]
	return n - 1, n > 0
}

// nibbles has one more than the value of each hexadecimal digit.
var nibbles = [256]byte{
	'0': 1, '1': 2, '2': 3, '3': 4, '4': 5, '5': 6, '6': 7, '7': 8, '8': 9, '9': 10,
	'a': 11, 'b': 12, 'c': 13, 'd': 14, 'e': 15, 'f': 16,
	'A': 11, 'B': 12, 'C': 13, 'D': 14, 'E': 15, 'F': 16,
}

func (p *parser) name() (Value, error) {
	start := p.at()
	p.pos++
	b, err := p.regular()
	if err != nil {
		return Value{}, err
	}
	for i := range b {
		if b[i] == '#' {
			if b, err = unescapeName(b, start); err != nil {
				return Value{}, err
			}
			break
		}
	}
	return Value{Kind: Name, Bytes: b}, nil
}

// unescapeName replaces #xx (ISO 32000-2, Section 7.3.5).
func unescapeName(b []byte, at int64) ([]byte, error) {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '#' {
			out = append(out, b[i])
			continue
		}
		if i+2 >= len(b) {
			return nil, invalid(at, "malformed name")
		}
		hi, ok1 := unhex(b[i+1])
		lo, ok2 := unhex(b[i+2])
		if !ok1 || !ok2 || hi|lo == 0 {
			return nil, invalid(at, "malformed name")
		}
		out = append(out, hi<<4|lo)
		i += 2
	}
	return out, nil
}

func (p *parser) hex() (Value, error) {
	p.pos++
	n := bytes.IndexByte(p.buf[p.pos:], '>')
	if n < 0 { // what is malformed is told first
		for ; p.pos < len(p.buf); p.pos++ {
			if c := p.buf[p.pos]; nibbles[c] == 0 && !isSpace(c) {
				return Value{}, invalid(p.at(), "malformed hexadecimal string")
			}
		}
		p.open = true
		return Value{}, p.short()
	}
	in := p.buf[p.pos : p.pos+n]
	out := make([]byte, n/2+1)
	if m, err := hex.Decode(out, in); err == nil { // nothing but pairs
		p.pos += n + 1
		return Value{Kind: String, Hex: true, Bytes: out[:m]}, nil
	}
	var half byte
	odd := false
	out = out[:0]
	for _, c := range in {
		d, ok := unhex(c)
		switch {
		case ok && odd:
			out = append(out, half<<4|d)
			odd = false
		case ok:
			half, odd = d, true
		case !isSpace(c):
			return Value{}, invalid(p.at(), "malformed hexadecimal string")
		}
		p.pos++
	}
	if odd {
		out = append(out, half<<4)
	}
	p.pos++
	return Value{Kind: String, Hex: true, Bytes: out}, nil
}

// literal reads a string in parentheses (ISO 32000-2, Section 7.3.4.2).
func (p *parser) literal() (Value, error) {
	open := 0
	plain := true
	start := p.pos + 1
	for ; p.pos < len(p.buf); p.pos++ {
		switch p.buf[p.pos] {
		case '\\':
			plain = false
			p.pos++
		case '\r':
			plain = false
		case '(':
			open++
		case ')':
			if open--; open > 0 {
				continue
			}
			b := p.buf[start:p.pos]
			p.pos++
			if !plain {
				b = unescapeString(b)
			}
			return Value{Kind: String, Bytes: b}, nil
		}
	}
	p.pos = len(p.buf)
	return Value{}, p.short()
}

func unescapeString(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == '\r' { // an end of line reads as a line feed
			if i+1 < len(b) && b[i+1] == '\n' {
				i++
			}
			out = append(out, '\n')
			continue
		}
		if c != '\\' {
			out = append(out, c)
			continue
		}
		if i++; i == len(b) {
			break
		}
		switch c = b[i]; c {
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case '\n':
		case '\r':
			if i+1 < len(b) && b[i+1] == '\n' {
				i++
			}
		case '0', '1', '2', '3', '4', '5', '6', '7':
			n := int(c - '0')
			for k := 0; k < 2 && i+1 < len(b) && b[i+1] >= '0' && b[i+1] <= '7'; k++ {
				i++
				n = n<<3 | int(b[i]-'0')
			}
			out = append(out, byte(n))
		default:
			out = append(out, c)
		}
	}
	return out
}

// array reads [ … ].
func (p *parser) array(depth int) (Value, error) {
	if p.stack == nil {
		p.stack = new(stack)
	}
	base := len(p.stack.values)
	defer func() { p.stack.values = p.stack.values[:base] }()
	p.pos++
	for {
		if err := p.skip(); err != nil {
			return Value{Kind: Array}, err
		}
		if p.buf[p.pos] == ']' {
			p.pos++
			out := Value{Kind: Array}
			if n := len(p.stack.values) - base; n > 0 {
				out.Array = make([]Value, n)
				copy(out.Array, p.stack.values[base:])
			}
			return out, nil
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return Value{Kind: Array}, err
		}
		p.stack.values = append(p.stack.values, v)
	}
}

// dictionary reads << … >>. Readers differ in which of two equal keys they
// believe, so a dictionary that has them is refused.
func (p *parser) dictionary(depth int) (Value, error) {
	if p.stack == nil {
		p.stack = new(stack)
	}
	out, base := Value{Kind: Dictionary}, len(p.stack.entries)
	defer func() { p.stack.entries = p.stack.entries[:base] }()
	var seen map[string]bool // from here on a search through Dict is too slow
	p.pos += 2
	for {
		if err := p.skip(); err != nil {
			return out, err
		}
		c := p.buf[p.pos]
		if c == '>' {
			if p.pos+1 == len(p.buf) {
				return out, p.short()
			}
			if p.buf[p.pos+1] != '>' {
				return out, invalid(p.at(), "malformed dictionary")
			}
			p.pos += 2
			if n := len(p.stack.entries) - base; n > 0 {
				out.Dict = make([]Entry, n)
				copy(out.Dict, p.stack.entries[base:])
			}
			return out, nil
		}
		if c != '/' {
			return out, invalid(p.at(), "key expected in dictionary")
		}
		key := Entry{KeyStart: p.at()}
		name, err := p.name()
		if err != nil {
			return out, err
		}
		key.Key = string(name.Bytes)
		before := p.stack.entries[base:]
		if len(before) == 32 {
			seen = make(map[string]bool)
			for _, e := range before {
				seen[e.Key] = true
			}
		}
		duplicate := seen[key.Key]
		if seen == nil {
			for i := range before {
				duplicate = duplicate || before[i].Key == key.Key
			}
		} else {
			seen[key.Key] = true
		}
		if duplicate {
			return out, invalid(key.KeyStart, "key twice in one dictionary")
		}
		if key.Value, err = p.value(depth + 1); err != nil {
			return out, err
		}
		p.stack.entries = append(p.stack.entries, key)
	}
}

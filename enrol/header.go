package enrol

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Header is what the data headers of a system are made of; see [ParseHeader].
type Header struct {
	expr   *regexp.Regexp
	ics    []int // groups that must be the officer's
	amount int   // group; 0 for none
	parts  []headerPart
}

// headerPart is one part of a template, with what matches it.
type headerPart struct{ field, want, expr string }

// Parts of a header template.
const (
	HeaderText    = "text" // stands there as it is
	HeaderDigits  = "digits"
	HeaderLetters = "letters"
	HeaderAmount  = "amount"
	HeaderIC      = "ic"
)

// ReadPart is what a part of a template has read from a header.
type ReadPart struct {
	Field string // HeaderText …
	Want  string // as the template writes it
	Got   string // "" where it has read nothing
}

// maxHeader bounds a template in bytes, maxField a field of it in characters.
const (
	maxHeader = 200
	maxField  = 40
)

// ParseHeader reads a header template. It is fixed text, with fields in braces:
//
//	{digits:N}  N digits, {letters:N} N capital letters A to Z, N from 1 to 40
//	{amount}    1 to 15 digits, a point and 2 digits; at most once
//	{ic}        the officer's number, 12 digits
//
// "110FGOM{digits:11}A{amount}{ic}" is one of iGFMAS. Braces have no other use. Each field but
// the amount has one length and the amount one end, so a header fits in one way or in none.
// [ErrInvalid] says what is wrong.
func ParseHeader(template string) (*Header, error) {
	if template == "" || len(template) > maxHeader || strings.ContainsFunc(template, func(c rune) bool { return c < 0x20 || c > 0x7e }) {
		return nil, fmt.Errorf("%w: a header template has 1 to %d printable ASCII characters", ErrInvalid, maxHeader)
	}
	h, expr, groups, rest := &Header{}, "", 0, template
	for rest != "" {
		fixed, field, found := strings.Cut(rest, "{")
		expr += h.part(HeaderText, fixed, regexp.QuoteMeta(fixed))
		if strings.Contains(fixed, "}") {
			return nil, fmt.Errorf("%w: a brace is closed that was not opened", ErrInvalid)
		}
		if !found {
			break
		}
		if field, rest, found = strings.Cut(field, "}"); !found {
			return nil, fmt.Errorf("%w: a brace is not closed", ErrInvalid)
		}
		name, length, _ := strings.Cut(field, ":")
		groups++
		switch n, err := strconv.Atoi(length); {
		case field == "ic":
			expr, h.ics = expr+h.part(HeaderIC, "{ic}", `([0-9]{12})`), append(h.ics, groups)
		case field == "amount" && h.amount == 0:
			expr, h.amount = expr+h.part(HeaderAmount, "{amount}", `([0-9]{1,15}\.[0-9]{2})`), groups
		case (name == "digits" || name == "letters") && err == nil && n >= 1 && n <= maxField && strconv.Itoa(n) == length:
			expr += h.part(name, "{"+field+"}", fmt.Sprintf("([%s]{%d})", map[string]string{HeaderDigits: "0-9", HeaderLetters: "A-Z"}[name], n))
		default:
			return nil, fmt.Errorf("%w: {%s} is no field, or stands there twice", ErrInvalid, field)
		}
	}
	var err error
	if h.expr, err = regexp.Compile(`\A` + expr + `\z`); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return h, nil
}

// part notes a part of the template and gives its expression.
func (h *Header) part(field, want, expr string) string {
	if want != "" {
		h.parts = append(h.parts, headerPart{field, want, expr})
	}
	return expr
}

// Read says what each part of the template reads from a header, as far as it goes: the first part
// with nothing read is where the header differs, and rest is what stands there, or behind the last.
func (h *Header) Read(header string) (parts []ReadPart, rest string) {
	for k, p := range h.parts {
		parts = append(parts, ReadPart{Field: p.field, Want: p.want})
		m := regexp.MustCompile(`\A` + p.expr).FindString(header)
		if m == "" {
			for _, p := range h.parts[k+1:] {
				parts = append(parts, ReadPart{Field: p.field, Want: p.want})
			}
			break
		}
		parts[k].Got, header = m, header[len(m):]
	}
	return parts, header
}

// Fits says whether a data header is made so and names no other officer than ic, and which
// amount it names, without leading zeros ("29911.35"); "" for none.
func (h *Header) Fits(header, ic string) (amount string, ok bool) {
	m := h.expr.FindStringSubmatch(header)
	if m == nil {
		return "", false
	}
	for _, k := range h.ics {
		if m[k] != ic {
			return "", false
		}
	}
	if h.amount > 0 {
		amount = strings.TrimLeft(m[h.amount], "0")
		if strings.HasPrefix(amount, ".") {
			amount = "0" + amount
		}
	}
	return amount, true
}

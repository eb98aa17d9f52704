// Package mykad reads Malaysian identity card numbers (Nombor Kad Pengenalan).
//
// A number has twelve digits, YYMMDD PB NNNN: date of birth, place of birth,
// serial. The century is not part of it; 29 February is accepted for years
// that are leap years in this century or the last. Place codes are not judged:
// new ones are assigned, and birth abroad has codes of its own.
package mykad

import (
	"errors"
	"log/slog"
	"strings"
	"time"
)

// ErrInvalid is returned by Parse for anything but twelve ASCII digits that
// begin with a date.
var ErrInvalid = errors.New("not a twelve-digit identity card number with a valid date")

// Size is the number of digits.
const Size = 12

// Number is a valid number: twelve ASCII digits. It is personal data; logs
// print it masked.
type Number string

// Parse returns s as a Number, or ErrInvalid. Dashes and spaces are not
// accepted; see Clean.
func Parse(s string) (Number, error) {
	if len(s) != Size {
		return "", ErrInvalid
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return "", ErrInvalid
		}
	}
	// With the year 20YY 29 February is right for both centuries: 1900, the one
	// year where they differ, is nobody's year of birth.
	if _, err := time.Parse("20060102", "20"+s[:6]); err != nil {
		return "", ErrInvalid
	}
	return Number(s), nil
}

// Clean removes what people and spreadsheets put into a number: spaces around
// it, and hyphens or spaces in the two places of 900101-14-5678. Anything else
// stays, for Parse to refuse.
func Clean(s string) string {
	s = strings.TrimSpace(s)
	if len(s) == Size+2 && separator(s[6]) && s[9] == s[6] {
		return s[:6] + s[7:9] + s[10:]
	}
	return s
}

func separator(c byte) bool { return c == '-' || c == ' ' }

// Masked returns the last four digits behind eight bullets, in UTF-8.
func (n Number) Masked() string {
	if len(n) != Size {
		return strings.Repeat("•", Size)
	}
	return strings.Repeat("•", Size-4) + string(n[Size-4:])
}

// Dashed returns the number as it is printed, 900101-14-5678.
func (n Number) Dashed() string {
	if len(n) != Size {
		return string(n)
	}
	return string(n[:6] + "-" + n[6:8] + "-" + n[8:])
}

// LogValue implements slog.LogValuer with the masked number.
func (n Number) LogValue() slog.Value { return slog.StringValue(n.Masked()) }

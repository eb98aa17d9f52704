package otp

import (
	"errors"
	"regexp"
	"strings"
)

// What is wrong with a Total.
var (
	ErrAmount   = errors.New("amount is not decimal text of at most 15 digits, a point and 2 to 4 digits (MYR: 2)")
	ErrCurrency = errors.New("currency is not three capital letters")
)

// Total is what the documents amount to, as the application says: nobody here
// reads it out of them. Each total has one spelling, and one reading.
type Total struct {
	// Amount is decimal text, "29911.35": 1 to 15 digits without leading zeros, a
	// point and 2 to 4 digits; of MYR exactly 2, the sen. No sign: a minus is
	// overlooked, and a code authorises documents, not a direction of money; what
	// a credit note amounts to is as positive as the note says. Neither exponents
	// nor separators nor digits of other scripts.
	Amount   string `json:"amount"`
	Currency string `json:"currency"` // ISO 4217, alphabetic code
}

var (
	amount   = regexp.MustCompile(`\A(0|[1-9][0-9]{0,14})\.([0-9]{2,4})\z`)
	currency = regexp.MustCompile(`\A[A-Z]{3}\z`)
)

// Check returns ErrAmount or ErrCurrency.
func (t *Total) Check() error {
	if !currency.MatchString(t.Currency) {
		return ErrCurrency
	}
	if m := amount.FindStringSubmatch(t.Amount); m == nil || t.Currency == "MYR" && len(m[2]) != 2 {
		return ErrAmount
	}
	return nil
}

// String is the total as people in Malaysia read it, "RM 29,911.35"; of one that
// Check refuses it is "".
func (t *Total) String() string {
	if t.Check() != nil {
		return ""
	}
	whole, fraction, _ := strings.Cut(t.Amount, ".")
	for k := len(whole) - 3; k > 0; k -= 3 {
		whole = whole[:k] + "," + whole[k:]
	}
	sign := t.Currency
	if sign == "MYR" {
		sign = "RM"
	}
	return sign + " " + whole + "." + fraction
}

// MaxPayees is how many names of payees a message shows.
const MaxPayees = 3

// Payees is to whom the documents pay, as the application says.
type Payees struct {
	Count int      `json:"count"` // of different names
	First []string `json:"first"` // at most MaxPayees, in the order of the documents; 1 to 120 printable characters
}

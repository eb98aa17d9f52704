package signer

import (
	"crypto/sha256"
	"errors"
	"iter"
	"math/big"
	"regexp"
	"strings"

	"github.com/mohor-sign/mohor/otp"
)

// What is wrong with the amounts of a batch.
var (
	// ErrAmounts: some documents of a batch have an amount and others have none, or their sum has more digits than a total.
	ErrAmounts = errors.New("documents without an amount beside others with one")
	// ErrTotal: the app's total is not the sum of the amounts that it gave with the documents.
	ErrTotal = errors.New("total is not the sum of the documents")
)

// Payment is what one financial document is about, as the application says.
type Payment struct {
	Amount string // ringgit and sen, "29911.35", as ParseAmount gives it; "" for none
	Payee  string // 1 to 120 printable characters; "" for none
}

// ringgit is what people and spreadsheets write: the latter drop zeros at the end.
var ringgit = regexp.MustCompile(`\A(0|[1-9][0-9]{0,14})(?:\.([0-9]{1,2}))?\z`)

// ParseAmount reads decimal text of ringgit, without sign, separator, exponent or a third decimal, and
// gives it with two decimals.
func ParseAmount(s string) (string, bool) {
	m := ringgit.FindStringSubmatch(s)
	if m == nil {
		return "", false
	}
	return m[1] + "." + (m[2] + "00")[:2], true
}

// SumUp adds up payments, and counts whom they are to: nil for what none of them says. ErrAmounts.
func SumUp(payments iter.Seq2[Payment, error]) (*otp.Total, *otp.Payees, error) {
	var sum, sen big.Int
	amounts, all := 0, 0
	seen := map[[16]byte]struct{}{} // 16 bytes a payee, of whom there may be a million
	payees := &otp.Payees{}
	for p, err := range payments {
		if err != nil {
			return nil, nil, err
		}
		all++
		if p.Amount != "" {
			if own, ok := ParseAmount(p.Amount); !ok || own != p.Amount {
				return nil, nil, ErrDocuments // not written by us
			}
			sen.SetString(strings.Replace(p.Amount, ".", "", 1), 10)
			sum.Add(&sum, &sen)
			amounts++
		}
		if p.Payee == "" {
			continue
		}
		whole := sha256.Sum256([]byte(p.Payee))
		key := [16]byte(whole[:])
		if _, twice := seen[key]; twice {
			continue
		}
		seen[key] = struct{}{}
		if payees.Count++; len(payees.First) < otp.MaxPayees {
			payees.First = append(payees.First, p.Payee)
		}
	}
	if payees.Count == 0 {
		payees = nil
	}
	if amounts == 0 {
		return nil, payees, nil
	}
	text := sum.String()
	for len(text) < 3 {
		text = "0" + text
	}
	total := &otp.Total{Amount: text[:len(text)-2] + "." + text[len(text)-2:], Currency: "MYR"}
	if amounts < all || total.Check() != nil {
		return nil, nil, ErrAmounts
	}
	return total, payees, nil
}

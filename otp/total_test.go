package otp_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/otp"
)

func TestTotal(t *testing.T) {
	for _, c := range []struct {
		amount, currency string
		want             string
		err              error
	}{
		{"29911.35", "MYR", "RM 29,911.35", nil},
		{"0.00", "MYR", "RM 0.00", nil},
		{"7.50", "MYR", "RM 7.50", nil},
		{"999.99", "USD", "USD 999.99", nil},
		{"1000.00", "SGD", "SGD 1,000.00", nil},
		{"1234.567", "KWD", "KWD 1,234.567", nil},
		{"12.3456", "CLF", "CLF 12.3456", nil},
		{"999999999999999.99", "MYR", "RM 999,999,999,999,999.99", nil},
	} {
		total := otp.Total{Amount: c.amount, Currency: c.currency}
		if err := total.Check(); err != nil || total.String() != c.want {
			t.Errorf("%+v: %q, %v; want %q", total, total.String(), err, c.want)
		}
	}
	for _, amount := range []string{
		"", " ", "1", "1.", ".50", "1.5", "1.23456", "1.234", "1.2345", "007.00", "00.00", "-1.00", "+1.00", "−1.00", "(1.00)", "1,000.00", "1.000,00", "1 000.00", " 1.00", "1.00 ",
		"1.00\n", "\n1.00", "1.00\x00", "NaN", "Inf", "Infinity", "1e3", "1.00e3", "1E+9", "0x1p3", "1_000.00", "1000000000000000.00", "١٢.٣٤", "１２.３４", "1。00", "12\u202e.34", "\u206612.34\u2069",
		"12\u200b.34", "\ufeff1.00", "\xff1.00", "RM1.00", "1.00MYR", strings.Repeat("9", 10<<10), strings.Repeat("9", 10<<10) + ".00", "0." + strings.Repeat("0", 10<<10),
	} {
		total := otp.Total{Amount: amount, Currency: "MYR"}
		if err := total.Check(); !errors.Is(err, otp.ErrAmount) || total.String() != "" {
			t.Errorf("%.40q: %q, %v", amount, total.String(), err)
		}
	}
	for _, currency := range []string{"", "RM", "myr", "Myr", "MYRR", " MYR", "MYR ", "MYR\n", "M\u200bYR", "ＭＹＲ", "МYR", "M1R", "\u202eRYM", strings.Repeat("M", 10<<10)} {
		total := otp.Total{Amount: "1.00", Currency: currency}
		if err := total.Check(); !errors.Is(err, otp.ErrCurrency) || total.String() != "" {
			t.Errorf("%.40q: %q, %v", currency, total.String(), err)
		}
	}
}

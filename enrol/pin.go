package enrol

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/mohor-sign/mohor/internal/mykad"
	"github.com/mohor-sign/mohor/internal/secret"
)

// Bounds no PIN policy leaves.
const (
	MinPIN = 8  // characters; a thief of database and HSM login guesses at the HSM's speed
	MaxPIN = 64 // characters
)

// PINPolicy says which PINs an officer may choose: length and what a guesser
// tries first, no rules of composition (NIST SP 800-63B, Sections 3.1.1.2 and
// 3.2.2). The zero value is the default policy without the list of common PINs.
type PINPolicy struct {
	MinLength    int  // in characters (code points), never below MinPIN
	MaxLength    int  // in characters, never above MaxPIN; 0 is MaxPIN
	RefuseCommon bool // what stands in the list of common PINs
}

// DefaultPINPolicy is the one of docs/operating.md.
func DefaultPINPolicy() PINPolicy {
	return PINPolicy{MinLength: MinPIN, MaxLength: MaxPIN, RefuseCommon: true}
}

// PINError says why a PIN was refused and what to do, never the PIN. It is an
// ErrPINPolicy.
type PINError struct {
	// Reason is stable: pin_character, pin_too_short, pin_too_long, pin_repeated,
	// pin_sequence, pin_holds_ic, pin_date, pin_holds_name, pin_common.
	Reason string
	MS, EN string
}

func (e *PINError) Error() string { return e.MS + " / " + e.EN }

// Is reports that every PINError is an ErrPINPolicy.
func (e *PINError) Is(target error) bool { return target == ErrPINPolicy }

// Lengths are the least and the most characters of a PIN.
func (p PINPolicy) Lengths() (shortest, longest int) {
	shortest, longest = min(max(p.MinLength, MinPIN), MaxPIN), p.MaxLength
	if longest < shortest || longest > MaxPIN {
		longest = MaxPIN
	}
	return shortest, longest
}

// Check says whether o may have the PIN; a *PINError with the first reason when
// not. Fields of o that are empty are not looked for.
func (p PINPolicy) Check(pin secret.Text, o Officer) error {
	raw := string(pin.Reveal())
	shortest, longest := p.Lengths()
	n := utf8.RuneCountInString(raw)
	switch {
	case !utf8.ValidString(raw) || strings.ContainsFunc(raw, unprintable):
		return &PINError{"pin_character", "PIN mengandungi aksara yang tidak boleh ditaip semula: guna huruf, angka, tanda dan ruang biasa",
			"the PIN holds a character that cannot be typed again: use ordinary letters, digits, signs and spaces"}
	case n < shortest:
		return &PINError{"pin_too_short", fmt.Sprintf("PIN terlalu pendek: guna sekurang-kurangnya %d aksara", shortest),
			fmt.Sprintf("the PIN is too short: use at least %d characters", shortest)}
	case n > longest:
		return &PINError{"pin_too_long", fmt.Sprintf("PIN terlalu panjang: guna paling banyak %d aksara", longest),
			fmt.Sprintf("the PIN is too long: use at most %d characters", longest)}
	}
	whole := fold(raw)
	if err := simple(whole); err != nil {
		return err
	}
	digits := strings.Map(keepDigits, whole)
	switch {
	case fromIC(digits, o.IC):
		return &PINError{"pin_holds_ic", "PIN mengandungi No. Kad Pengenalan atau tarikh lahir anda: pilih sesuatu yang tidak diketahui orang lain",
			"the PIN holds your IC number or birth date: choose something that others do not know"}
	case isDate(whole, digits):
		return &PINError{"pin_date", "PIN ialah satu tarikh: tarikh mudah diteka, tambah beberapa perkataan",
			"the PIN is a date: dates are easily guessed, add some words"}
	}
	// What everybody knows of the officer does not count: the rest must stand
	// alone.
	rest := without(whole, o)
	if rest != whole && (utf8.RuneCountInString(rest) < shortest || simple(rest) != nil || p.RefuseCommon && common(rest)) {
		return &PINError{"pin_holds_name", "PIN mengandungi nama atau e-mel anda: tanpanya PIN ini terlalu mudah",
			"the PIN holds your name or e-mail address: without it the PIN is too simple"}
	}
	if p.RefuseCommon && common(whole) {
		return &PINError{"pin_common", "PIN ini dipilih ramai orang: guna beberapa perkataan yang tidak berkaitan",
			"many people choose this PIN: use several words that do not belong together"}
	}
	return nil
}

// unprintable: U+FFFD is, too, for it stands where a character was lost, and no
// certificate is issued with it.
func unprintable(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }

// fold makes alike what a guesser does not tell apart: forms of a character
// (Unicode NFKC) and case.
func fold(s string) string { return strings.ToLower(norm.NFKC.String(s)) }

func keepDigits(r rune) rune {
	if r >= '0' && r <= '9' {
		return r
	}
	return -1
}

func keepWord(r rune) rune {
	if unicode.IsLetter(r) || unicode.IsDigit(r) {
		return r
	}
	return -1
}

// simple finds patterns that need no dictionary.
func simple(s string) *PINError {
	r := []rune(s)
	if repeats(r) {
		return &PINError{"pin_repeated", "PIN mengulang aksara atau bahagian yang sama: pilih yang tidak berulang",
			"the PIN repeats the same characters or the same piece: choose one that does not"}
	}
	if runs(slices.Compact(slices.Clone(r))) || runs(r) {
		return &PINError{"pin_sequence", "PIN ialah turutan seperti 1234…, abcd… atau qwer…: pilih yang tidak mengikut turutan",
			"the PIN is a run such as 1234…, abcd… or qwer…: choose one that does not run on"}
	}
	return nil
}

// repeats: one or two different characters, or a piece shorter than a PIN may
// be, said again and again.
func repeats(r []rune) bool {
	kinds := map[rune]bool{}
	for _, c := range r {
		kinds[c] = true
	}
	if len(kinds) <= 2 {
		return true
	}
	for period := 1; period < MinPIN && 2*period <= len(r); period++ {
		same := true
		for k := period; same && k < len(r); k++ {
			same = r[k] == r[k-period]
		}
		if same {
			return true
		}
	}
	return false
}

// tracks are what fingers and children follow, forwards and backwards: digits
// past 9, the alphabet, the rows of a keyboard, its columns, and two rows in
// zigzag.
var tracks = []string{
	"012345678901234567890", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "asdfghjkl", "zxcvbnm",
	"1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p", "1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "!@#$%^&*()",
}

// runs: the whole is one or two runs along the tracks; the shorter of two has
// three characters at least.
func runs(r []rune) bool {
	if along(r) {
		return true
	}
	for k := 3; k+3 <= len(r); k++ {
		if along(r[:k]) && along(r[k:]) {
			return true
		}
	}
	return false
}

func along(r []rune) bool {
	back := slices.Clone(r)
	slices.Reverse(back)
	for _, t := range tracks {
		if strings.Contains(t, string(r)) || strings.Contains(t, string(back)) {
			return true
		}
	}
	return false
}

// fromIC: six or more digits that stand in the number or in the birth date as
// people write it, forwards or backwards, or nothing but its parts put together.
func fromIC(digits, ic string) bool {
	if _, err := mykad.Parse(ic); err != nil || len(digits) < 6 {
		return false
	}
	yy, mm, dd, place, serial := ic[:2], ic[2:4], ic[4:6], ic[6:8], ic[8:]
	known := []string{dd + mm + yy, mm + dd + yy}
	for k := 0; k+6 <= len(ic); k++ {
		known = append(known, ic[k:k+6])
	}
	for _, century := range []string{"19", "20"} {
		known = append(known, dd+mm+century+yy, century+yy+mm+dd, mm+dd+century+yy)
	}
	back := []byte(digits)
	slices.Reverse(back)
	for _, k := range known {
		if strings.Contains(digits, k) || strings.Contains(string(back), k) {
			return true
		}
	}
	return madeOf(digits, []string{"19" + yy, "20" + yy, yy, mm, dd, place, serial})
}

// madeOf says whether s is parts put together, in any order and number.
func madeOf(s string, parts []string) bool {
	reach := make([]bool, len(s)+1)
	reach[0] = true
	for k := range s {
		for _, p := range parts {
			if reach[k] && strings.HasPrefix(s[k:], p) {
				reach[k+len(p)] = true
			}
		}
	}
	return reach[len(s)]
}

// isDate: eight digits that are a day of 1900 to 2099, and separators.
func isDate(whole, digits string) bool {
	if len(digits) != 8 || strings.Trim(whole, "0123456789-/. ") != "" {
		return false
	}
	for _, layout := range []string{"02012006", "20060102", "01022006"} {
		if at, err := time.Parse(layout, digits); err == nil && at.Year() >= 1900 && at.Year() < 2100 {
			return true
		}
	}
	return false
}

// without removes the words of the officer's name and the parts of the e-mail
// address, four letters and longer.
func without(s string, o Officer) string {
	local, _, _ := strings.Cut(o.Email, "@")
	words := strings.FieldsFunc(fold(o.Name)+" "+fold(local), func(r rune) bool { return !unicode.IsLetter(r) })
	words = append(words, fold(local))
	// The longest first: a shorter one may be part of it.
	slices.SortFunc(words, func(a, b string) int { return len(b) - len(a) })
	for _, w := range words {
		if utf8.RuneCountInString(w) >= 4 {
			s = strings.ReplaceAll(s, w, "")
		}
	}
	return s
}

// commonList holds what people choose, folded, one a line, letters and digits
// only: our own list, Malay and English.
//
//go:embed common.txt
var commonList string

// common: the PIN without signs and spaces stands in the list, or what is left
// of it without digits at both ends, also with the usual digits and signs for
// letters.
func common(s string) bool {
	word := func(s string) string { return strings.Map(keepWord, s) }
	bare := strings.TrimFunc(s, func(r rune) bool { return !unicode.IsLetter(r) })
	plain := strings.NewReplacer("0", "o", "1", "i", "!", "i", "3", "e", "4", "a", "@", "a", "5", "s", "$", "s", "7", "t").Replace
	tries := []string{word(s), word(bare), word(plain(bare)), word(plain(strings.TrimRightFunc(s, func(r rune) bool { return !unicode.IsLetter(r) })))}
	for line := range strings.Lines(commonList) {
		if w := strings.TrimSuffix(line, "\n"); w != "" && slices.Contains(tries, w) {
			return true
		}
	}
	return false
}

package enrol_test

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"math/big"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
)

// chooser is who chooses PINs in these tests.
var chooser = enrol.Officer{IC: "790308145678", Name: "NORAINI BINTI OTHMAN", Email: "noraini.othman@jpk.example"}

// refusal is the reason, "" when the PIN is accepted.
func refusal(t testing.TB, p enrol.PINPolicy, pin string, o enrol.Officer) string {
	t.Helper()
	err := p.Check(secret.New(pin), o)
	if err == nil {
		return ""
	}
	var why *enrol.PINError
	if !errors.As(err, &why) || !errors.Is(err, enrol.ErrPINPolicy) || why.Reason == "" || why.MS == "" || why.EN == "" {
		t.Fatalf("an error without reason or words: %#v", err)
	}
	if len(pin) > 3 && strings.Contains(err.Error(), pin) {
		t.Errorf("the error repeats the PIN %q", pin)
	}
	return why.Reason
}

func TestPINPolicy(t *testing.T) {
	for want, pins := range map[string][]string{
		"": {
			"kuda-biru-77", "Rusa-Sambar-7", "kéy pässwörd", "hujan lebat petang tadi", "x9#Lq2!v", "71940263", "malaysia kuat kerja rajin", "陳大文和王小明同學", "🐘🐅🦌🐒🦜🐢🐍🦎",
			"noraini suka kuda biru", "tolong-othman-buka-pintu", "k7ya2pinqqw3", "aku makan 790 biji durian", strings.Repeat("ab", 31) + "xy",
		},
		"pin_too_short": {"", "1234567", "abc1234", "陳大文陳大文陳"},
		"pin_too_long":  {strings.Repeat("ab", 32) + "c", strings.Repeat("é", 65)},
		"pin_character": {"abcdefg\x00", "abcdefg\n", "\tabcdefgh", "abcdefg\u200b", "abcdefg\u202e", "abcdefgh\xff", "\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8"},
		"pin_repeated": {
			"aaaaaaaa", "00000000", "éééééééé", "🐘🐘🐘🐘🐘🐘🐘🐘", strings.Repeat("x", 64), "12341234", "abcabcabc", "12312312", "aaaaaaab", "baaaaaaa", "10101010", "11112222",
			"aAaAaAaA", strings.Repeat("ab", 32), "mohor12mohor12", "陳大文陳大文陳大", "kuda-kuda-kuda-",
		},
		"pin_sequence": {
			"12345678", "87654321", "98765432", "67890123", "01234567", "abcdefgh", "zyxwvuts", "ABCDEFGH", "qwertyui", "asdfghjkl", "lkjhgfdsa", "11223344", "aabbccddee", "112233445566", "1qaz2wsx",
			"1q2w3e4r", "qwer1234", "1234qwer", "abcd1234", "12344321", "abc12345", "!@#$%^&*", "１２３４５６７８", "AbCdEfGh", "111222333",
		},
		"pin_holds_ic": {
			"790308145678", "790308-14-5678", "x790308145678", "790308145678A", "876541803097", "a790308b", "Noraini790308", "08031979", "19790308", "08/03/1979", "8 Mac: 080379", "03081979 x",
			"79030814", "14790308", "08145678", "145678ab", "56780803", "1979-5678", "567856-7879", "79197903085678", "790a308b14", "803097 xy", "5678-1979-03",
		},
		"pin_date":       {"31122001", "19991231", "12312001", "31-12-2001", "2001.12.31", "01 01 1990"},
		"pin_holds_name": {"noraini1", "Noraini12345678", "NORAINI@OTHMAN", "noraini.othman", "othman2024!", "norainiothman", "OthmanNoraini99", "noraini-merdeka57", "noraini-77777777"},
		"pin_common": {
			"password", "Password1", "p@ssw0rd", "P4ssw0rd!!", "password123456", "katalaluan", "kata laluan", "Kata-Laluan-1", "merdeka57", "Merdeka1957!", "selamat123", "malaysia", "M@laysia2024", "1malaysia",
			"123malaysia123", "rahsia99", "R@hsia1234", "sayang88", "bismillah786", "iloveyou", "admin@123", "@dmin2025", "gpki2024", "mohor123", "igfmas#1", "eperolehan1", "14725836", "31415926", "qwerty99",
			"SELAMAT DATANG", "terima kasih", "pegawai1", "sila masuk", "5201314!", "harimaumalaya",
		},
	} {
		for _, pin := range pins {
			if got := refusal(t, enrol.DefaultPINPolicy(), pin, chooser); got != want {
				t.Errorf("%q: %q, want %q", pin, got, want)
			}
		}
	}
}

func TestPINPolicyIsSetButHasAFloor(t *testing.T) {
	strict, open := enrol.PINPolicy{MinLength: 12, MaxLength: 16}, enrol.PINPolicy{MinLength: 1, MaxLength: 1000}
	for _, c := range []struct {
		p         enrol.PINPolicy
		pin, want string
	}{
		{strict, "kuda-biru-7", "pin_too_short"}, {strict, "kuda-biru-77", ""}, {strict, "kuda-biru-77-aman", "pin_too_long"},
		{strict, "katalaluan2025", ""}, {open, "x9#Lq2!", "pin_too_short"}, {open, strings.Repeat("kuda-biru", 8), "pin_too_long"},
		{enrol.PINPolicy{}, "1234567", "pin_too_short"}, {enrol.PINPolicy{}, "12345678", "pin_sequence"}, {enrol.PINPolicy{}, "katalaluan", ""},
		{enrol.PINPolicy{MinLength: 70, MaxLength: 3}, strings.Repeat("kuda-biru", 7) + "x", ""},
	} {
		if got := refusal(t, c.p, c.pin, chooser); got != c.want {
			t.Errorf("%+v: %q: %q, want %q", c.p, c.pin, got, c.want)
		}
	}
	if err := enrol.DefaultPINPolicy().Check(secret.Text{}, chooser); !errors.Is(err, enrol.ErrPINPolicy) {
		t.Errorf("no PIN: %v", err)
	}
	// Without a number, name or address, nothing of theirs is looked for.
	for _, o := range []enrol.Officer{{}, {IC: "9"}, {IC: "900101"}, {IC: "999999999999"}, {Email: "@"}, {Name: "A B"}} {
		if got := refusal(t, enrol.DefaultPINPolicy(), "noraini-790308", o); got != "" {
			t.Errorf("%+v: %s", o, got)
		}
	}
}

// Whatever is given, an answer comes, and what is accepted keeps the bounds.
func TestPINPolicyNeverPanics(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := enrol.Officer{IC: rapid.OneOf(rapid.String(), rapid.StringMatching(`[0-9]{12}`)).Draw(t, "ic"), Name: rapid.String().Draw(t, "name"), Email: rapid.String().Draw(t, "email")}
		pin := rapid.OneOf(rapid.String(), rapid.StringMatching(`[0-9a-d]{0,70}`), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "pin")
		check(t, pin, o)
	})
}

func FuzzPINPolicy(f *testing.F) {
	f.Add("kuda-biru-77", "790308145678", "NORAINI", "n@x.example")
	f.Add("790308", "790308145678", "", "")
	f.Add("１２\xff", "1", "\xff", "@")
	f.Fuzz(func(t *testing.T, pin, ic, name, email string) {
		check(t, pin, enrol.Officer{IC: ic, Name: name, Email: email})
	})
}

func check(t interface{ Fatalf(string, ...any) }, pin string, o enrol.Officer) {
	err := enrol.DefaultPINPolicy().Check(secret.New(pin), o)
	n := utf8.RuneCountInString(pin)
	if err == nil && (n < enrol.MinPIN || n > enrol.MaxPIN || !utf8.ValidString(pin)) {
		t.Fatalf("%q was accepted", pin)
	}
	if err != nil && !errors.Is(err, enrol.ErrPINPolicy) {
		t.Fatalf("%q: %v", pin, err)
	}
}

// PINs that a machine chooses are not refused but by a very rare accident.
func TestRandomPINsPass(t *testing.T) {
	const n = 20_000
	letters, digits := 0, 0
	for range n {
		var b [8]byte
		_, _ = rand.Read(b[:])
		if refusal(t, enrol.DefaultPINPolicy(), strings.ToLower(base32.StdEncoding.EncodeToString(b[:])[:12]), chooser) != "" {
			letters++
		}
		d, err := rand.Int(rand.Reader, big.NewInt(1e12))
		must(t, err)
		if refusal(t, enrol.DefaultPINPolicy(), d.Text(10)+strings.Repeat("7", 12-len(d.Text(10))), chooser) != "" {
			digits++
		}
	}
	t.Logf("of %d random PINs of 12 characters %d in letters and digits and %d in digits alone were refused", n, letters, digits)
	if letters > 2 || digits > n/100 {
		t.Errorf("%d and %d of %d random PINs were refused", letters, digits, n)
	}
}

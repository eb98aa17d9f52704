package notify_test

import (
	"errors"
	"html"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/mohor-sign/mohor/internal/sandbox"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/notify"
	"github.com/mohor-sign/mohor/otp"
)

var codeLine = regexp.MustCompile(`(?m)^Kod / Code: (\d{6})$`)

// linkers are how mail programs find what they make clickable: schemes, www,
// host names under some top level, addresses, UNC paths.
var linkers = []*regexp.Regexp{
	regexp.MustCompile(`(?i)[a-z][a-z0-9+.-]*://`),
	regexp.MustCompile(`(?i)\b(mailto|tel|sms|javascript|data|file|http|https):\S`),
	regexp.MustCompile(`(?i)\bwww\.`),
	regexp.MustCompile(`[\pL\pN_-]+[.。．｡]\pL{2,}`),
	regexp.MustCompile(`[\pL\pN._%+-]+[@＠][\pL\pN]`),
	regexp.MustCompile(`\\\\[\pL\pN]`),
}

func links(s string) (found []string) {
	for _, re := range linkers {
		found = append(found, re.FindAllString(s, -1)...)
	}
	return found
}

// outside makes strings as an attacker would choose them.
func outside() *rapid.Generator[string] {
	pieces := rapid.SliceOfN(rapid.OneOf(
		rapid.SampledFrom([]string{
			"Kod / Code: 000000", "\nKod / Code: 111111\n", "\r\n\r\nKod / Code: 222222\r\n", "\u2028Kod / Code: 333333\u2029", "\x85Kod / Code: 444444\x85",
			"\vKod / Code: 555555\f", "\u202e", "\u2066", "\u2069", "\u200b", "\u200d", "\ufeff", "\u00ad", "\U000e0041", "\ufe0f", "\u3164", "\u2800",
			"”", "“", "\"", "'", "<", ">", "&", "</bdi>", "<script>alert(1)</script>", "<a href=http://evil.example>x</a>", "<!--", "-->", "{{.Code}}", "</td>",
			"http://evil.com/a", "https://jpk.gov.my@evil.com", "www.evil.com", "evil.com", "a@evil.com", `\\evil\share`, "mailto:a@b.my", "hXXp://evil。com", "tel:0380008000",
			"\r\nBcc: spy@evil.com\r\n", "=?utf-8?q?=0ABcc:_x?=", ".\r\n", "\r\n.\r\nMAIL FROM:<x@y>\r\n", "عقد", "電子印章", "e\u0301\u0301\u0301\u0301", "\xff\xfe", "\x00", " ", "…", "\\", ":", ".", "@",
		}),
		rapid.StringN(0, 8, 40), rapid.StringOfN(rapid.RuneFrom(nil, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Cc, unicode.Mn), 0, 4, -1),
		rapid.StringMatching(`[a-z]{1,6}[.:@/\\]{1,3}[a-z]{2,5}`),
	), 0, 12)
	return rapid.Custom(func(t *rapid.T) string { return strings.Join(pieces.Draw(t, "pieces"), "") })
}

func hostile(t *rapid.T) otp.Message {
	m := message()
	m.Titles = rapid.SliceOfN(outside(), 0, 7).Draw(t, "titles")
	m.Name, m.System = outside().Draw(t, "name"), "S"+outside().Draw(t, "system")
	m.Count = max(1, len(m.Titles)+rapid.IntRange(0, 3).Draw(t, "more"))
	m.Unseen, m.Hosted = rapid.Bool().Draw(t, "unseen"), rapid.Bool().Draw(t, "hosted")
	if rapid.Bool().Draw(t, "with total") {
		m.Total = &otp.Total{Amount: rapid.StringMatching(`[1-9][0-9]{0,14}\.[0-9]{2}`).Draw(t, "amount"), Currency: rapid.StringMatching(`[A-Z]{3}`).Draw(t, "currency")}
	}
	if rapid.Bool().Draw(t, "with payees") {
		m.Payees = &otp.Payees{Count: 9, First: []string{rapid.String().Draw(t, "payee")}}
	}
	m.Classified = rapid.Bool().Draw(t, "classified")
	m.Code = secret.New(rapid.StringMatching(`[0-9]{6}`).Draw(t, "code"))
	return m
}

// Whatever titles, names and systems hold, exactly one line gives a code, and
// it is the code; nothing becomes a link; nothing hides or turns the text.
func TestNoTitleForgesTheCode(t *testing.T) {
	mailer, box := post(t)
	rapid.Check(t, func(t *rapid.T) {
		m := hostile(t)
		code := string(m.Code.Reveal())
		mark := box.Mark()
		if err := mailer.SendCode(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		got, err := box.WaitFor(t.Context(), officer, mark)
		if err != nil {
			t.Fatal(err)
		}
		found := codeLine.FindAllStringSubmatch(got.Text, -1)
		if len(found) != 1 || found[0][1] != code || got.Code != code {
			t.Fatalf("found %q, want %s once, in\n%s", found, code, got.Text)
		}
		if box.Mark() != mark+1 {
			t.Fatal("one message became several")
		}
		honest(t, m, got)
	})
}

// honest checks what must hold for every message that arrived.
func honest(t *rapid.T, m otp.Message, got sandbox.Mail) {
	// The one link is ours, alone in its line and once in the HTML; but for it
	// there is nothing to follow.
	if n := strings.Count(got.Text, link); n != 1 || !strings.Contains(got.Text, "\n"+link+"\n") || strings.Count(got.Text, "://") != 1 {
		t.Fatalf("our link is there %d times in\n%s", n, got.Text)
	}
	if hrefs := regexp.MustCompile(`(?i)(?:href|src|action|background)\s*=\s*("[^"]*"|\S*)`).FindAllStringSubmatch(strings.Join(regexp.MustCompile(`<[^>]*>`).FindAllString(got.HTML, -1), ""), -1); len(hrefs) != 1 || hrefs[0][1] != `"`+link+`"` {
		t.Fatalf("the html leads to %q", hrefs)
	}
	if l := links(strings.Replace(got.Text, link, "", 1)); l != nil {
		t.Fatalf("mail programs would make links of %q in\n%s", l, got.Text)
	}
	if l := links(got.Subject); l != nil {
		t.Fatalf("mail programs would make links of %q in the subject", l)
	}
	if l := links(words(got.HTML)); l != nil {
		t.Fatalf("mail programs would make links of %q in the html", l)
	}
	for _, s := range []string{got.Subject, got.Text, got.HTML} {
		if i := strings.IndexFunc(s, deceptive); i >= 0 {
			t.Fatalf("deceptive character %U in\n%q", []rune(s[i:])[0], s)
		}
	}
	if strings.ContainsAny(got.Subject, "\r\n") || utf8.RuneCountInString(strings.ReplaceAll(got.Subject, "\u2060", "")) > 33+40*3 {
		t.Fatalf("subject %q", got.Subject)
	}
	// The titles make no element: the page's own are a fixed list.
	for _, tag := range regexp.MustCompile(`<[^>]*>`).FindAllString(got.HTML, -1) {
		name := strings.Trim(strings.Fields(strings.Trim(tag, "<>/"))[0], "/")
		if !slices.Contains([]string{"!DOCTYPE", "html", "head", "meta", "title", "body", "div", "p", "table", "tr", "td", "span", "a", "br", "bdi", "strong"}, name) {
			t.Fatalf("element %s", tag)
		}
	}
	for _, body := range []string{got.Text, words(got.HTML)} {
		if told := m.Total != nil && !m.Classified; strings.Contains(body, "kata sistem") != told || told && !strings.Contains(body, m.Total.String()) {
			t.Fatalf("total %v, classified %v, in\n%s", m.Total, m.Classified, body)
		}
	}
	for _, body := range []string{got.Text, words(got.HTML)} {
		if told := m.Payees != nil && !m.Classified; strings.Contains(body, "menurut sistem") != told {
			t.Fatalf("payees %v, classified %v, in\n%s", m.Payees, m.Classified, body)
		}
	}
	if m.Classified && strings.Contains(got.Text, "  - ") {
		t.Fatalf("a classified title travelled:\n%s", got.Text)
	}
	if strings.Count(got.Text, "\n") > 48 {
		t.Fatalf("a title made lines:\n%s", got.Text)
	}
}

// deceptive is true for characters that hide, turn or break text; WORD JOINER
// is the one we put in ourselves.
func deceptive(r rune) bool {
	return r != '\n' && r != 0x2060 && (unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) || r == 0x2800)
}

func words(page string) string {
	_, body, _ := strings.Cut(page, "<body")
	return html.UnescapeString(regexp.MustCompile(`(?s)<[^>]*>`).ReplaceAllString("<body"+body, " "))
}

func TestTitleCutting(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"sixty stay":         {strings.Repeat("a", 60), "“" + strings.Repeat("a", 60) + "”"},
		"sixty-one are cut":  {strings.Repeat("a", 61), "“" + strings.Repeat("a", 59) + "…”"},
		"runes, not bytes":   {strings.Repeat("印", 61), "“" + strings.Repeat("印", 59) + "…”"},
		"marks go along":     {strings.Repeat("e\u0301", 61), "“" + strings.Repeat("e\u0301", 59) + "…”"},
		"marks are bounded":  {"a" + strings.Repeat("\u0301", 50) + "b", "“a\u0301\u0301b”"},
		"space before …":     {strings.Repeat("a", 58) + " bcd", "“" + strings.Repeat("a", 58) + "…”"},
		"spaces collapse":    {" a \t\r\n\u00a0\u3000 b ", "“a b”"},
		"bidi removed":       {"gambar\u202efdp\u2066.exe", "“gambarfdp\u2060.\u2060exe”"},
		"quotes straightend": {"a” atau “b", `“a" atau "b”`},
		"nothing left":       {"\u200b\u202e\n", "“(tiada nama / unnamed 1)”"},
		"bad UTF-8":          {"a\xffb", "“a\uFFFDb”"},
		"sentence unchanged": {"Bil. 3: Mei (2026).", "“Bil. 3: Mei (2026).”"},
		"url":                {"https://evil.com", "“https\u2060:\u2060//evil\u2060.\u2060com”"},
		"address":            {"a@b.my", "“a\u2060@\u2060b\u2060.\u2060my”"},
		"a megabyte":         {strings.Repeat("\u200b", 1<<20) + "x", "“(tiada nama / unnamed 1)”"},
	} {
		m := message()
		m.Titles = []string{c.in}
		if got := deliver(t, m); !strings.Contains(got.Text, "  - "+c.want+"\n") {
			t.Errorf("%s: want %q in\n%s", name, c.want, got.Text)
		}
	}
}

func TestSendCodeRefusesHostileAddresses(t *testing.T) {
	mailer, box := post(t)
	for _, to := range []string{
		"", "siti", "@jpk.gov.my", "siti@", "siti@jpk.gov.my, spy@evil.com", "siti@jpk.gov.my\r\nBcc: spy@evil.com", "siti@jpk.gov.my\r\nRCPT TO:<spy@evil.com>",
		"Siti <siti@jpk.gov.my>", "<siti@jpk.gov.my>", `"a b"@jpk.gov.my`, "siti@[127.0.0.1]", "siti@jpk..gov.my", "siti@-jpk.gov.my", "siti@jpk.gov.my.", "síti@jpk.gov.my",
		"siti@jpk.gov.my> SIZE=1 BODY=8BITMIME", "siti\x00@jpk.gov.my", strings.Repeat("a", 65) + "@jpk.gov.my", "a@" + strings.Repeat("a.", 130) + "my", "siti@jpk.gov.my\n",
	} {
		m := message()
		m.To = to
		if err := mailer.SendCode(t.Context(), m); !errors.Is(err, notify.ErrAddress) || strings.Contains(err.Error(), "jpk") {
			t.Errorf("%q: got %v", to, err)
		}
	}
	if box.Mark() != 0 {
		t.Error("something was sent")
	}
}

func TestSendCodeRefusesUnfitMessages(t *testing.T) {
	mailer, box := post(t)
	for name, change := range map[string]func(*otp.Message){
		"five digits":      func(m *otp.Message) { m.Code = secret.New("48291") },
		"seven digits":     func(m *otp.Message) { m.Code = secret.New("4829137") },
		"letters":          func(m *otp.Message) { m.Code = secret.New("48291a") },
		"newline":          func(m *otp.Message) { m.Code = secret.New("482913\n") },
		"no code":          func(m *otp.Message) { m.Code = secret.Text{} },
		"no fingerprint":   func(m *otp.Message) { m.Fingerprint = "" },
		"long fingerprint": func(m *otp.Message) { m.Fingerprint = "7QK2-M9XD\nKod / Code: 111111" },
		"ambiguous letter": func(m *otp.Message) { m.Fingerprint = "7QK2-M9XO" },
		"no document":      func(m *otp.Message) { m.Count, m.Titles = 0, nil },
		"too many titles":  func(m *otp.Message) { m.Count = 1 },
		"no link":          func(m *otp.Message) { m.Link = secret.Text{} },
		"long link":        func(m *otp.Message) { m.Link = secret.New(linkToken + "A") },
		"link's newline":   func(m *otp.Message) { m.Link = secret.New(linkToken[:21] + "\n") },
		"link's quote":     func(m *otp.Message) { m.Link = secret.New(linkToken[:21] + "\"") },
		"no system":        func(m *otp.Message) { m.System = "\u200b" },
		"no expiry":        func(m *otp.Message) { m.Expires = time.Time{} },
	} {
		m := message()
		change(&m)
		err := mailer.SendCode(t.Context(), m)
		if !errors.Is(err, notify.ErrMessage) || strings.Contains(err.Error(), "48291") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if box.Mark() != 0 {
		t.Error("something was sent")
	}
}

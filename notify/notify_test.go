package notify_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/sandbox"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/notify"
	"github.com/mohor-sign/mohor/otp"
)

const (
	officer   = "siti@jpk.gov.my"
	linkToken = "AAECAwQFBgcICQoLDA0O-_"
	link      = "https://sign.gov.my/r/" + linkToken
)

var sentAt = time.Date(2026, 4, 30, 4, 9, 54, 0, time.UTC)

func message() otp.Message {
	return otp.Message{
		To: officer, Name: "Siti binti Ahmad", System: "iGFMAS", Count: 7,
		Titles:      []string{"Baucar bayaran 0411247A.pdf", "Arahan bayaran – Mei"},
		Fingerprint: "7QK2-M9XD", Code: secret.New("482913"), Expires: sentAt.Add(5 * time.Minute),
		Link: secret.New(linkToken),
	}
}

// post starts a mailbox and a mailer that delivers to it.
func post(t *testing.T) (*notify.Mailer, *sandbox.Mailbox) {
	t.Helper()
	box, err := sandbox.StartMailbox(time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Close() })
	return mailer(t, box.Addr(), func(*notify.Config) {}), box
}

func mailer(t *testing.T, addr string, change func(*notify.Config)) *notify.Mailer {
	t.Helper()
	ap := netip.MustParseAddrPort(addr)
	cfg := notify.Config{
		Host: ap.Addr().String(), Port: int(ap.Port()), TLS: notify.TLSNone,
		From: "Gerbang Tandatangan Digital <no-reply@sign.gov.my>", BaseURL: "https://sign.gov.my", Timeout: time.Minute,
	}
	change(&cfg)
	m, err := notify.New(cfg, func() time.Time { return sentAt })
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// deliver sends msg through SMTP and returns what arrived.
func deliver(t *testing.T, m otp.Message) sandbox.Mail {
	t.Helper()
	mailer, box := post(t)
	if err := mailer.SendCode(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got, ok := box.Latest(m.To)
	if !ok {
		t.Fatal("nothing arrived")
	}
	return got
}

func TestSendCodeTellsWhatIsSigned(t *testing.T) {
	got := deliver(t, message())
	if want := "Kod tandatangan / Signing code – iGFMAS"; got.Subject != want {
		t.Errorf("subject %q, want %q", got.Subject, want)
	}
	if got.Code != "482913" {
		t.Errorf("code %q in\n%s", got.Code, got.Text)
	}
	for _, want := range []string{
		"Kepada / To: Siti binti Ahmad\n", "Sistem / System: “iGFMAS”\n", "Dokumen / Documents: 7\n",
		"  - “Baucar bayaran 0411247A\u2060.\u2060pdf”\n", "  - “Arahan bayaran – Mei”\n", "  - dan 5 lagi / and 5 more\n",
		"Cap jari / Fingerprint: 7QK2-M9XD\nBandingkan dengan halaman tandatangan.", "Compare with the signing page.",
		"Sah sehingga / Valid until: 30/04/2026, 12:14:54 MYT\n",
		"INI BUKAN SAYA / THIS WAS NOT ME\nJangan beri kod ini kepada sesiapa.", "Do not give the code to anyone.", "\n" + link + "\n",
	} {
		if !strings.Contains(got.Text, want) {
			t.Errorf("text lacks %q:\n%s", want, got.Text)
		}
	}
	for _, want := range []string{">482913<", "7QK2-M9XD", "Arahan bayaran – Mei", "dan 5 lagi", "30/04/2026, 12:14:54 MYT", "“<bdi>iGFMAS</bdi>”", `<a href="` + link + `"`, "Ini bukan saya <span lang=\"en\">/ This was not me</span></a>"} {
		if !strings.Contains(got.HTML, want) {
			t.Errorf("html lacks %q", want)
		}
	}
	if strings.Contains(got.Text, "melihat kandungan") || strings.Contains(got.Text, "berperingkat") {
		t.Error("a plain PDF's message speaks of unseen or classified content")
	}
}

func TestSendCodeSaysContentUnseen(t *testing.T) {
	for _, classified := range []bool{false, true} {
		m := message()
		m.Unseen, m.Classified = true, classified
		got := deliver(t, m)
		for _, body := range []string{got.Text, got.HTML} {
			if !strings.Contains(body, "tidak melihat kandungan") || !strings.Contains(body, "The gateway has not seen the content") {
				t.Errorf("the reader is not told:\n%s", body)
			}
			if strings.Contains(body, "the titles above") == classified {
				t.Errorf("titles are spoken of, or not:\n%s", body)
			}
		}
	}
}

// Who confirms on the gateway's own page is told which that is, by a way that the app has no hand in.
func TestSendCodeTellsTheGenuinePage(t *testing.T) {
	for _, hosted := range []bool{false, true} {
		m := message()
		m.Hosted = hosted
		got := deliver(t, m)
		for _, body := range []string{got.Text, got.HTML} {
			body = strings.ReplaceAll(body, "\u2060", "") // so that it is no link
			for _, words := range []string{"sign.gov.my/sign/", "Beri PIN dan kod hanya pada halaman yang alamatnya bermula", "Give PIN and code only on a page whose address begins"} {
				if strings.Contains(body, words) != hosted {
					t.Errorf("hosted %v, %q:\n%s", hosted, words, body)
				}
			}
			if strings.Contains(body, "://sign.gov.my/sign/") {
				t.Error("it is a link")
			}
		}
	}
}

func TestSendCodeTellsTheTotal(t *testing.T) {
	m := message()
	m.Total = &otp.Total{Amount: "29911.35", Currency: "MYR"}
	got := deliver(t, m)
	if !strings.Contains(got.Text, "\nJumlah / Total: RM 29,911.35 (kata sistem / as the system says)\n\nCap jari") {
		t.Errorf("text:\n%s", got.Text)
	}
	if !strings.Contains(got.HTML, `<span style="font-weight:600">RM 29,911.35</span>`) || !strings.Contains(got.HTML, `kata sistem <span lang="en" style="opacity:.75">/ as the system says</span>`) {
		t.Errorf("html:\n%s", got.HTML)
	}
	if got := deliver(t, message()); strings.Contains(got.Text, "Jumlah") || strings.Contains(got.HTML, "Jumlah") {
		t.Error("a total is told that nobody gave")
	}
	m.Classified = true
	got = deliver(t, m)
	for _, body := range []string{got.Subject, got.Text, got.HTML} {
		if strings.Contains(body, "29") && strings.Contains(body, "911.35") || strings.Contains(body, "RM ") || strings.Contains(body, "Jumlah") {
			t.Errorf("a classified total travelled:\n%s", body)
		}
	}
	if !strings.Contains(got.Text, "titles and totals are not sent by e-mail") {
		t.Errorf("the reader is not told why:\n%s", got.Text)
	}
	m.Classified, m.Total = false, &otp.Total{Amount: "1.00\nKod / Code: 000000", Currency: "MYR"}
	mailer, box := post(t)
	if err := mailer.SendCode(t.Context(), m); !errors.Is(err, notify.ErrMessage) {
		t.Errorf("a forged total: %v", err)
	}
	if _, ok := box.Latest(officer); ok {
		t.Error("a forged total was sent")
	}
}

func TestSendCodeOfClassifiedHidesTitles(t *testing.T) {
	for _, unseen := range []bool{false, true} {
		m := message()
		m.Classified, m.Unseen = true, unseen
		got := deliver(t, m)
		for _, body := range []string{got.Subject, got.Text, got.HTML} {
			if strings.Contains(body, "Baucar") || strings.Contains(body, "Arahan") || strings.Contains(body, "lagi / and") {
				t.Errorf("unseen %v: a title travelled:\n%s", unseen, body)
			}
		}
		if !strings.Contains(got.Text, "Dokumen / Documents: 7\n") || got.Code == "" {
			t.Errorf("unseen %v: count or code missing:\n%s", unseen, got.Text)
		}
	}
}

func TestSendCodeShowsFiveTitles(t *testing.T) {
	m := message()
	m.Count, m.Titles = 12_000, nil
	for i := range 9 {
		m.Titles = append(m.Titles, "Sijil "+strconv.Itoa(i))
	}
	got := deliver(t, m)
	if !strings.Contains(got.Text, "“Sijil 4”") || strings.Contains(got.Text, "“Sijil 5”") || !strings.Contains(got.Text, "dan 11995 lagi / and 11995 more") {
		t.Errorf("got:\n%s", got.Text)
	}
}

// The bodies never name the PIN but to say it is never asked for, hold one
// link, and fetch nothing.
func TestSendCodeHasOneLinkAndNoRemoteContent(t *testing.T) {
	got := deliver(t, message())
	if n := strings.Count(got.Text, "PIN"); n != 2 {
		t.Errorf("the text names the PIN %d times", n)
	}
	if strings.Count(got.Text, link) != 1 || strings.Count(got.HTML, link) != 1 {
		t.Errorf("not one link in each of\n%s\n%s", got.Text, got.HTML)
	}
	for _, bad := range []string{"<a ", "href", "src=", "url(", "http", "<img", "<script", "<style", "<link", "@import"} {
		if strings.Contains(strings.ToLower(strings.Replace(got.HTML, `<a href="`+link, "", 1)), bad) {
			t.Errorf("html holds %q", bad)
		}
	}
	if l := links(strings.Replace(got.Text, link, "", 1)); l != nil {
		t.Errorf("mail programs would make links of %q", l)
	}
}

func TestSendCodeHeaders(t *testing.T) {
	raw := capture(t, func(m *notify.Mailer) error { return m.SendCode(t.Context(), message()) })
	head, _, _ := strings.Cut(raw, "\n\n")
	for name, want := range map[string]string{
		"Auto-Submitted":           `auto-generated`,
		"X-Auto-Response-Suppress": `All`,
		"Content-Language":         `ms, en`,
		"Date":                     `Thu, 30 Apr 2026 12:09:54 \+0800`,
		"Message-ID":               `<[0-9a-f]{32}@sign\.gov\.my>`,
		"From":                     `"Gerbang Tandatangan Digital" <no-reply@sign\.gov\.my>`,
		"To":                       `<siti@jpk\.gov\.my>`,
		"Mime-Version":             `1\.0`,
	} {
		if n := len(regexp.MustCompile(`(?mi)^`+name+`: `+want+`$`).FindAllString(head, -1)); n != 1 {
			t.Errorf("%s found %d times in\n%s", name, n, head)
		}
	}
	if strings.Contains(head, "482913") || regexp.MustCompile(`(?mi)^(user-agent|x-mailer):`).MatchString(head) {
		t.Errorf("the header says too much:\n%s", head)
	}
	if !strings.Contains(raw, "EHLO sign.gov.my\n") {
		t.Errorf("HELO names something else:\n%s", raw)
	}
}

func TestNewRefusesUnsafeSettings(t *testing.T) {
	good := notify.Config{Host: "mail.gov.my", Port: 587, TLS: notify.TLSStartTLS, From: "a@gov.my", BaseURL: "https://sign.gov.my"}
	if _, err := notify.New(good, time.Now); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*notify.Config){
		"no host":           func(c *notify.Config) { c.Host = "" },
		"host with port":    func(c *notify.Config) { c.Host = "mail.gov.my\r\nX" },
		"port 0":            func(c *notify.Config) { c.Port = 0 },
		"port 65536":        func(c *notify.Config) { c.Port = 65536 },
		"no tls word":       func(c *notify.Config) { c.TLS = "" },
		"opportunistic":     func(c *notify.Config) { c.TLS = "opportunistic" },
		"clear to a host":   func(c *notify.Config) { c.TLS = notify.TLSNone },
		"clear to a LAN":    func(c *notify.Config) { c.TLS, c.Host = notify.TLSNone, "10.0.0.5" },
		"user alone":        func(c *notify.Config) { c.Username = "u" },
		"password alone":    func(c *notify.Config) { c.Password = secret.New("p") },
		"from empty":        func(c *notify.Config) { c.From = "" },
		"from with newline": func(c *notify.Config) { c.From = "a@gov.my\r\nBcc: x@evil.com" },
		"from two":          func(c *notify.Config) { c.From = "a@gov.my, b@gov.my" },
		"no base URL":       func(c *notify.Config) { c.BaseURL = "" },
		"base URL of mail":  func(c *notify.Config) { c.BaseURL = "mailto:a@gov.my" },
		"base URL in part":  func(c *notify.Config) { c.BaseURL = "https://" },
		"base URL and /":    func(c *notify.Config) { c.BaseURL = "https://sign.gov.my/" },
		"base URL query":    func(c *notify.Config) { c.BaseURL = "https://sign.gov.my/?a=b" },
		"base URL newline":  func(c *notify.Config) { c.BaseURL = "https://sign.gov.my/a\nKod / Code: 111111\n" },
		"base URL quote":    func(c *notify.Config) { c.BaseURL = "https://sign.gov.my/\"" },
		"timeout negative":  func(c *notify.Config) { c.Timeout = -1 },
		"timeout an hour":   func(c *notify.Config) { c.Timeout = time.Hour },
	} {
		c := good
		change(&c)
		if _, err := notify.New(c, time.Now); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// capture plays a willing mail server and returns all the client said.
func capture(t *testing.T, send func(*notify.Mailer) error) string {
	t.Helper()
	said := make(chan string, 1)
	addr := server(t, func(c net.Conn) { said <- converse(c, func(string) string { return "" }) })
	if err := send(mailer(t, addr, func(*notify.Config) {})); err != nil {
		t.Fatal(err)
	}
	return <-said
}

// server accepts one connection on loopback and hands it to serve.
func server(t *testing.T, serve func(net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		serve(c)
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

// converse speaks SMTP: answer is asked first for each line (and for "." at
// the end of the data); "" means the usual consent.
func converse(c net.Conn, answer func(line string) string) string {
	var all strings.Builder
	say := func(s string) { _, _ = io.WriteString(c, s+"\r\n") }
	say("220 test ESMTP")
	r := newLineReader(c)
	inData := false
	for {
		line, err := r()
		if err != nil {
			return all.String()
		}
		all.WriteString(line + "\n")
		verb := strings.ToUpper(line)
		if inData && line != "." {
			continue
		}
		reply := answer(line)
		switch {
		case reply != "":
		case line == "." && inData:
			reply = "250 2.0.0 taken"
		case strings.HasPrefix(verb, "EHLO"):
			reply = "250-test\r\n250 ENHANCEDSTATUSCODES"
		case verb == "DATA":
			reply = "354 go on"
		case verb == "QUIT":
			say("221 bye")
			return all.String()
		default:
			reply = "250 2.0.0 ok"
		}
		inData = verb == "DATA" && strings.HasPrefix(reply, "354")
		say(reply)
	}
}

func newLineReader(c net.Conn) func() (string, error) {
	buf := make([]byte, 0, 4096)
	return func() (string, error) {
		for {
			if line, rest, ok := strings.Cut(string(buf), "\r\n"); ok {
				buf = []byte(rest)
				return line, nil
			}
			p := make([]byte, 4096)
			n, err := c.Read(p)
			if err != nil {
				return "", err
			}
			buf = append(buf, p[:n]...)
		}
	}
}

func TestSendCodeEndsWithContext(t *testing.T) {
	addr := server(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }) // says nothing, ever
	ctx, cancel := context.WithCancel(t.Context())
	m := mailer(t, addr, func(c *notify.Config) { c.Timeout = time.Minute })
	ended := make(chan error, 1)
	go func() { ended <- m.SendCode(ctx, message()) }()
	cancel()
	if err := <-ended; err == nil {
		t.Fatal("sent to a server that says nothing")
	}
}

package notify_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/emersion/go-smtp"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/notify"
)

// inbox is a mail server that takes everything, or answers RCPT with refuse.
type inbox struct {
	mu     sync.Mutex
	refuse *smtp.SMTPError
	mails  []string
}

func (b *inbox) NewSession(*smtp.Conn) (smtp.Session, error) { return b, nil }
func (b *inbox) Mail(string, *smtp.MailOptions) error        { return nil }
func (b *inbox) Reset()                                      {}
func (b *inbox) Logout() error                               { return nil }
func (b *inbox) Rcpt(to string, _ *smtp.RcptOptions) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse != nil {
		return b.refuse
	}
	return nil
}

func (b *inbox) Data(r io.Reader) error {
	p, err := io.ReadAll(r)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mails = append(b.mails, string(p))
	return err
}

func (b *inbox) last(t *testing.T) string {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.mails) == 0 {
		t.Fatal("nothing arrived")
	}
	return b.mails[len(b.mails)-1]
}

func (b *inbox) start(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := smtp.NewServer(b)
	s.Domain, s.MaxMessageBytes = "inbox.test", 1<<20
	s.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); _ = l.Close(); <-done })
	return l.Addr().String()
}

func notice(kind string, detail map[string]string) notify.Notice {
	return notify.Notice{ID: "no_abc234", Officer: "790308109903", Name: "Siti\nKod / Code: 000000", Email: officer, Kind: kind, Detail: detail, At: sentAt, Attempt: 1}
}

func TestNoticesTellWhatWasDone(t *testing.T) {
	until := sentAt.Add(15 * time.Minute).Format(time.RFC3339)
	for kind, c := range map[string]struct {
		detail map[string]string
		says   []string
	}{
		notify.PINLocked:         {map[string]string{"until": until}, []string{"PIN anda dikunci\nYour PIN was locked\n", "sehingga 30/04/2026, 12:24:54 MYT.", "until 30/04/2026, 12:24:54 MYT.", "Jika bukan anda", "If it was not you"}},
		notify.PINBlocked:        {nil, []string{"PIN anda disekat\nYour PIN was blocked\n", "Only an administrator", "Jika bukan anda"}},
		notify.PINChanged:        {map[string]string{"system": "IGFMAS"}, []string{"PIN anda telah ditukar\n", "Sistem / System: “IGFMAS”\n", "Jika bukan anda"}},
		notify.CertificateIssued: {map[string]string{"system": "evil.example", "serial": "1234", "until": until}, []string{"No. siri / Serial number: 1234\n", "“evil\u2060.\u2060example”", "If you did not apply for it"}},
	} {
		mailer, box := post(t)
		n := notice(kind, c.detail)
		if err := mailer.SendNotice(t.Context(), n); err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		got, _ := box.Latest(n.Email)
		for _, want := range append(c.says, "Masa / Time: 30/04/2026, 12:09:54 MYT\n", "Kepada / To: Siti Kod / Code: 000000\n", "tidak pernah meminta PIN") {
			if !strings.Contains(got.Text, want) {
				t.Errorf("%s: the text lacks %q:\n%s", kind, want, got.Text)
			}
		}
		// HTML breaks no line within a phrase, so the same sentences stand there.
		if !strings.Contains(got.HTML, "30/04/2026, 12:09:54 MYT") || strings.Contains(got.HTML, "href") || got.Code != "" || links(got.Text) != nil {
			t.Errorf("%s: code %q, links %q, html\n%s", kind, got.Code, links(got.Text), got.HTML)
		}
	}
	mailer, box := post(t)
	for name, n := range map[string]notify.Notice{
		"unknown kind": notice("x", nil), "no time": notice(notify.PINLocked, nil),
		"id that breaks the header": {ID: "x>\r\nBcc: a@b.my", Email: officer, Kind: notify.PINBlocked, At: sentAt},
	} {
		if err := mailer.SendNotice(t.Context(), n); !errors.Is(err, notify.ErrMessage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	n := notice(notify.PINBlocked, nil)
	n.Email = "no address"
	if err := mailer.SendNotice(t.Context(), n); !errors.Is(err, notify.ErrAddress) || box.Mark() != 0 {
		t.Errorf("no address: %v", err)
	}
}

// A notice that is sent twice is one message to a mail program.
func TestNoticeKeepsItsMessageID(t *testing.T) {
	b := &inbox{}
	m := mailer(t, b.start(t), func(*notify.Config) {})
	for range 2 {
		if err := m.SendNotice(t.Context(), notice(notify.PINBlocked, nil)); err != nil {
			t.Fatal(err)
		}
	}
	for _, mail := range b.mails {
		if !strings.Contains(mail, "Message-ID: <no_abc234@sign.gov.my>\r\n") {
			t.Errorf("got\n%s", mail)
		}
	}
	if len(b.mails) != 2 {
		t.Errorf("%d mails", len(b.mails))
	}
}

// dkimKeys are one of each kind that is accepted, with the DNS record.
func dkimKeys(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, e, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]crypto.Signer{"rsa": r, "ed25519": e}
}

func record(t *testing.T, kind string, key crypto.Signer) string {
	t.Helper()
	pub, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		var err error
		if pub, err = x509.MarshalPKIXPublicKey(key.Public()); err != nil {
			t.Fatal(err)
		}
	}
	return "v=DKIM1; k=" + kind + "; p=" + base64.StdEncoding.EncodeToString(pub)
}

// What arrives verifies with the library's verifier and with another one; one
// letter changed does not.
func TestDKIM(t *testing.T) {
	for kind, key := range dkimKeys(t) {
		b := &inbox{}
		m := mailer(t, b.start(t), func(c *notify.Config) {
			c.DKIM = &notify.DKIM{Domain: "gov.my", Selector: "mohor1", Key: key}
		})
		for what, send := range map[string]func() error{
			"code":   func() error { return m.SendCode(t.Context(), message()) },
			"notice": func() error { return m.SendNotice(t.Context(), notice(notify.PINBlocked, nil)) },
		} {
			if err := send(); err != nil {
				t.Fatalf("%s, %s: %v", kind, what, err)
			}
			got := b.last(t)
			txt := record(t, kind, key)
			options := &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
				if name != "mohor1._domainkey.gov.my" {
					return nil, fmt.Errorf("asked for %s", name)
				}
				return []string{txt}, nil
			}}
			check := func(mail string) error {
				v, err := dkim.VerifyWithOptions(strings.NewReader(mail), options)
				if err == nil && len(v) != 1 {
					err = fmt.Errorf("%d signatures", len(v))
				}
				if err == nil {
					err = v[0].Err
				}
				return err
			}
			if err := check(got); err != nil {
				t.Errorf("%s, %s: %v\n%s", kind, what, err, got)
			}
			for change, mail := range map[string]string{
				"subject":        strings.Replace(got, "Subject: ", "Subject: x", 1),
				"second From":    "From: x@evil.my\r\n" + got,
				"second Subject": "Subject: x\r\n" + got,
				"body":           strings.Replace(got, "PIN", "PlN", 1),
			} {
				if mail == got || check(mail) == nil {
					t.Errorf("%s, %s: a changed %s verifies", kind, what, change)
				}
			}
			pydkim(t, got, txt, true)
			pydkim(t, strings.Replace(got, "PIN", "PlN", 1), txt, false)
		}
	}
}

// pydkim judges with dkimpy (Debian's python3-dkim).
func pydkim(t *testing.T, mail, txt string, want bool) {
	t.Helper()
	const program = `import sys, dkim
sys.exit(0 if dkim.verify(sys.stdin.buffer.read(), dnsfunc=lambda *a, **k: sys.argv[1].encode()) else 3)`
	const python = "/usr/bin/python3" // Debian's, whatever else is in PATH
	if err := exec.Command(python, "-c", "import dkim, nacl.signing").Run(); err != nil {
		missing(t, "python3-dkim with python3-nacl")
	}
	c := exec.Command(python, "-c", program, txt)
	c.Stdin = strings.NewReader(mail)
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 3) {
		t.Fatalf("dkimpy: %v\n%s", err, out)
	}
	if (err == nil) != want {
		t.Errorf("dkimpy says %v, want %v\n%s", err == nil, want, mail)
	}
}

// missing skips, or fails when everything is required.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("MOHOR_TEST_REQUIRE") == "all" {
		t.Fatalf("%s is required and missing", what)
	}
	t.Skipf("%s is missing", what)
}

func TestDKIMSettingsAreChecked(t *testing.T) {
	keys := dkimKeys(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := notify.DKIM{Domain: "gov.my", Selector: "m1", Key: keys["rsa"]}
	base := notify.Config{Host: "mail.gov.my", Port: 587, TLS: notify.TLSStartTLS, From: "a@sign.gov.my", BaseURL: "https://sign.gov.my"}
	for want, change := range map[string]func(*notify.DKIM){
		"":                     func(*notify.DKIM) {},
		"no domain name":       func(d *notify.DKIM) { d.Domain = "gov my" },
		"no name of the DNS":   func(d *notify.DKIM) { d.Selector = "a;b" },
		"from sign.gov.my":     func(d *notify.DKIM) { d.Domain = "n.gov.my" },
		"that or one above":    func(d *notify.DKIM) { d.Domain = "ov.my" },
		"RSA of 1024 bits":     func(d *notify.DKIM) { d.Key = weak },
		"neither RSA nor Ed25": func(d *notify.DKIM) { d.Key = curve },
		"RSA nor Ed25519":      func(d *notify.DKIM) { d.Key = nil },
	} {
		c, d := base, good
		change(&d)
		c.DKIM = &d
		if _, err := notify.New(c, time.Now); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	pkcs8 := func(key any) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	for name, text := range map[string][]byte{"rsa": pkcs8(keys["rsa"]), "ed25519": pkcs8(keys["ed25519"]),
		"pkcs1": pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(keys["rsa"].(*rsa.PrivateKey))})} {
		if key, err := notify.ParseDKIMKey(text); err != nil || key == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for want, text := range map[string][]byte{"not PEM": []byte("x"), "RSA of 1024": pkcs8(weak), "neither RSA": pkcs8(curve), "without password": pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{1}}),
		"no key that can be read": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("secret bytes")})} {
		if _, err := notify.ParseDKIMKey(text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret bytes") {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// shelf is notify.Outbox with one notice in it, and what was done with it.
type shelf struct {
	n     *notify.Notice
	after time.Duration
	did   []string
	ev    audit.Event
	fail  error
}

func (s *shelf) ClaimNotice(context.Context, time.Duration) (notify.Notice, bool, error) {
	if s.n == nil || s.fail != nil {
		return notify.Notice{}, false, s.fail
	}
	n := *s.n
	s.n = nil
	return n, true, nil
}

func (s *shelf) DeferNotice(_ context.Context, _ notify.Notice, after time.Duration, reply string) error {
	s.after, s.did = after, append(s.did, strings.TrimSpace("deferred "+reply))
	return nil
}

func (s *shelf) FinishNotice(context.Context, notify.Notice) error {
	s.did = append(s.did, "finished")
	return nil
}

func (s *shelf) GiveUpNotice(_ context.Context, _ notify.Notice, ev audit.Event) error {
	s.did, s.ev = append(s.did, "given up"), ev
	return nil
}

func TestPostman(t *testing.T) {
	reply := func(code int) *smtp.SMTPError {
		return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: "no " + officer}
	}
	for name, c := range map[string]struct {
		refuse  *smtp.SMTPError
		attempt int
		age     time.Duration
		did     string
		pause   time.Duration
	}{
		"delivered":             {nil, 1, 0, "finished", 0},
		"for now":               {reply(451), 1, 0, "deferred 451 4.1.1", time.Minute},
		"for now, later":        {reply(451), 5, 4 * 24 * time.Hour, "deferred 451 4.1.1", 16 * time.Minute},
		"for now, often":        {reply(451), 40, 4 * 24 * time.Hour, "deferred 451 4.1.1", 4 * time.Hour},
		"for now, for too long": {reply(451), 40, 5 * 24 * time.Hour, "given up", 0},
		"for good":              {reply(550), 1, 0, "given up", 0},
	} {
		b := &inbox{refuse: c.refuse}
		n := notice(notify.PINBlocked, nil)
		n.Attempt = c.attempt
		s := &shelf{n: &n}
		p := &notify.Postman{Outbox: s, Mail: mailer(t, b.start(t), func(*notify.Config) {}), Now: func() time.Time { return sentAt.Add(c.age) }, Log: slog.New(slog.DiscardHandler)}
		if ok, err := p.Once(t.Context()); !ok || err != nil {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
		if got := strings.Join(s.did, ", "); got != c.did || s.after < c.pause*3/4 || s.after > c.pause*5/4+1 {
			t.Errorf("%s: %s after %v; want %s after about %v", name, got, s.after, c.did, c.pause)
		}
		if c.did == "given up" && (s.ev.Action != "notice.deliver" || s.ev.Verdict != audit.Refused || s.ev.Object != "officer:790308109903" || strings.Contains(fmt.Sprint(s.ev), officer)) {
			t.Errorf("%s: event %+v", name, s.ev)
		}
	}
	// A server that refuses us, not the message, is an operator's fault: the notice waits.
	addr := server(t, func(c net.Conn) {
		converse(c, func(line string) string {
			if strings.HasPrefix(line, "EHLO") || strings.HasPrefix(line, "HELO") {
				return "554 5.7.1 not you"
			}
			return ""
		})
	})
	n := notice(notify.PINBlocked, nil)
	s := &shelf{n: &n}
	p := &notify.Postman{Outbox: s, Mail: mailer(t, addr, func(*notify.Config) {}), Now: func() time.Time { return sentAt }, Log: slog.New(slog.DiscardHandler)}
	if _, err := p.Once(t.Context()); err != nil || len(s.did) != 1 || !strings.HasPrefix(s.did[0], "deferred 554") {
		t.Errorf("refused by name: %v, %v", s.did, err)
	}
	if ok, err := p.Once(t.Context()); ok || err != nil {
		t.Errorf("an empty outbox: %v, %v", ok, err)
	}
	s.fail = errors.New("database is away")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	p.Run(ctx) // ends with its context, whatever fails
}

// A real MTA, as an agency has it: what it queues for a local mailbox arrives
// whole and verifies; an unknown recipient is a 550 that it names.
func TestPostfix(t *testing.T) {
	if os.Getuid() != 0 {
		missing(t, "root (for postfix)")
	}
	postfix, err := exec.LookPath("/usr/sbin/postfix")
	if err != nil {
		missing(t, "postfix")
	}
	key := dkimKeys(t)["rsa"]
	addr, maildir := startPostfix(t, postfix, nil)
	m := mailer(t, addr, func(c *notify.Config) { c.DKIM = &notify.DKIM{Domain: "sign.gov.my", Selector: "m1", Key: key} })
	if err := m.SendCode(t.Context(), message()); err != nil {
		t.Fatal(err)
	}
	var got []byte
	deadline := time.After(2 * time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for got == nil {
		select {
		case <-deadline:
			log, _ := os.ReadFile(filepath.Join(filepath.Dir(maildir), "log"))
			t.Fatalf("nothing arrived\n%s", log)
		case <-tick.C:
		}
		if all, _ := filepath.Glob(filepath.Join(maildir, "new", "*")); len(all) == 1 {
			if got, err = os.ReadFile(all[0]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !regexp.MustCompile(`(?m)^Message-ID: <[0-9a-f]{32}@sign\.gov\.my>$`).Match(got) || !bytes.Contains(got, []byte("Return-Path: <no-reply@sign.gov.my>")) {
		t.Errorf("arrived as\n%s", got)
	}
	pydkim(t, strings.ReplaceAll(string(got), "\n", "\r\n"), record(t, "rsa", key), true)

	n := notice(notify.PINBlocked, nil)
	n.Email = "nobody@jpk.gov.my"
	var refused *notify.DeliveryError
	if err := m.SendNotice(t.Context(), n); !errors.As(err, &refused) || !refused.Permanent() || refused.Enhanced != "5.1.1" || strings.Contains(err.Error(), "nobody") {
		t.Errorf("an unknown recipient: %v", err)
	}
}

// startPostfix runs a postfix of its own on a loopback port, which knows the
// officer alone, and stops it with the test. more, if not nil, adds to main.cf and
// master.cf.
func startPostfix(t *testing.T, postfix string, more func(dir string) (settings, services []string)) (addr, maildir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "mohor-postfix-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	_ = l.Close()
	config, data, queue := filepath.Join(dir, "config"), filepath.Join(dir, "data"), filepath.Join(dir, "queue")
	run := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(config, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{config, data, queue, filepath.Join(dir, "mail")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run("chmod", "755", dir)
	run("chown", "postfix", data, filepath.Join(dir, "mail"))
	id := func(flag, name string) string {
		out, err := exec.Command("id", flag, name).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	var settings, added []string
	if more != nil {
		settings, added = more(dir)
	}
	write("main.cf", strings.Join(append([]string{
		"compatibility_level = 3.6", "queue_directory = " + queue, "data_directory = " + data, "maillog_file = " + filepath.Join(dir, "log"), "maillog_file_prefixes = " + dir,
		"inet_interfaces = loopback-only", "inet_protocols = ipv4", "myhostname = mx.test", "mydestination =", "mynetworks = 127.0.0.0/8", "multi_instance_name = postfix-" + filepath.Base(dir),
		"syslog_name = " + filepath.Base(dir), "default_database_type = texthash", "alias_maps =", "alias_database =", "virtual_mailbox_domains = jpk.gov.my", "virtual_mailbox_base = " + filepath.Join(dir, "mail"),
		"virtual_mailbox_maps = texthash:" + filepath.Join(config, "officers"), "virtual_uid_maps = static:" + id("-u", "postfix"), "virtual_gid_maps = static:" + id("-g", "postfix"),
		"virtual_minimum_uid = 1", "smtpd_relay_restrictions = reject_unauth_destination", "default_transport = error:no mail leaves a test",
	}, settings...), "\n")+"\n")
	write("officers", officer+" siti/\n")
	services := addr + " inet n - n - - smtpd\n"
	for _, s := range append([]string{"pickup unix n - n 60 1 pickup", "cleanup unix n - n - 0 cleanup", "qmgr unix n - n 300 1 qmgr", "rewrite unix - - n - - trivial-rewrite", "bounce unix - - n - 0 bounce",
		"defer unix - - n - 0 bounce", "trace unix - - n - 0 bounce", "error unix - - n - - error", "retry unix - - n - - error", "proxymap unix - - n - - proxymap", "virtual unix - n n - - virtual",
		"anvil unix - - n - 1 anvil", "tlsmgr unix - - n 1000? 1 tlsmgr", "scache unix - - n - 1 scache", "postlog unix-dgram n - n - 1 postlogd"}, added...) {
		services += s + "\n"
	}
	write("master.cf", services)
	run(postfix, "-c", config, "start")
	t.Cleanup(func() { run(postfix, "-c", config, "stop") })
	return addr, filepath.Join(dir, "mail", "siti")
}

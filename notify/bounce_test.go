package notify_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/mohor-sign/mohor/notify"
	"github.com/mohor-sign/mohor/otp"
)

var ours = otp.Envelope("tx_abcdefghijklmnopqrstuvwxyz", [otp.NonceSize]byte{1, 2, 3})

// report is a delivery report with these fields in its second part.
func report(fields string) string {
	return strings.ReplaceAll(`Return-Path: <>
From: MAILER-DAEMON@mx.test (Mail Delivery System)
To: no-reply@sign.gov.my
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
	boundary="b1"

This is a MIME-encapsulated message.

--b1
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you.

--b1
Content-Description: Delivery report
Content-Type: message/delivery-status

`+fields+`
--b1
Content-Type: text/rfc822-headers

Subject: Kod tandatangan

--b1--
`, "\n", "\r\n")
}

func whole(envelope, action, status string) string {
	return "Reporting-MTA: dns; mx.test\nOriginal-Envelope-Id: " + envelope + "\nArrival-Date: x\n\nFinal-Recipient: rfc822; siti@jpk.gov.my\nAction: " + action + "\nStatus: " + status + "\nDiagnostic-Code: smtp; 550 Baucar 482913\n"
}

func TestReadReport(t *testing.T) {
	good := whole(ours, "failed", "5.1.1")
	for name, c := range map[string]struct {
		mail string
		want notify.Report
	}{
		"failed":                 {report(good), notify.Report{Envelope: ours, Failed: true, Status: "5.1.1"}},
		"gave up":                {report(whole(ours, "Failed (at last)", "4.4.1 (no route)")), notify.Report{Envelope: ours, Failed: true, Status: "4.4.1"}},
		"delayed":                {report(whole(ours, "delayed", "4.0.0")), notify.Report{Envelope: ours}},
		"delivered":              {report(whole(ours, "delivered", "2.0.0")), notify.Report{Envelope: ours}},
		"an unknown action":      {report(whole(ours, "burnt", "5.1.1")), notify.Report{Envelope: ours}},
		"a comment":              {report(whole(ours, "delivered (not failed)", "2.0.0")), notify.Report{Envelope: ours}},
		"one of two recipients":  {report(good[:strings.Index(good, "Final")] + "Action: relayed\nStatus: 2.1.9\n\n\nAction: failed\nStatus: 5.2.2\n\nAction: failed\nStatus: 5.1.1\n"), notify.Report{Envelope: ours, Failed: true, Status: "5.2.2"}},
		"of a hop with SMTPUTF8": {strings.Replace(report(good), "message/delivery-status", "message/global-delivery-status", 1), notify.Report{Envelope: ours, Failed: true, Status: "5.1.1"}},
		"lines ended by LF":      {strings.ReplaceAll(report(good), "\r\n", "\n"), notify.Report{Envelope: ours, Failed: true, Status: "5.1.1"}},
		"names in other letters": {report(strings.NewReplacer("Original-Envelope-Id", "ORIGINAL-envelope-ID", "Action", "aCTION").Replace(good)), notify.Report{Envelope: ours, Failed: true, Status: "5.1.1"}},
	} {
		if got, err := notify.ReadReport(strings.NewReader(c.mail)); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
	}
	change := func(old, new string) string {
		t.Helper()
		all := report(good)
		if !strings.Contains(all, old) {
			t.Fatalf("no %q", old)
		}
		return strings.Replace(all, old, new, 1)
	}
	deep := strings.Replace(report(good), "Content-Type: message/delivery-status", "Content-Type: message/rfc822", 1)
	for name, mail := range map[string]string{
		"nothing":               "",
		"a letter":              "From: a@b.my\r\nSubject: hello\r\n\r\nhello\r\n",
		"no message":            "\x00\x01\x02",
		"another report":        change("delivery-status;", "disposition-notification;"),
		"mixed":                 change("multipart/report", "multipart/mixed"),
		"no boundary":           change("boundary=\"b1\"", "x=y"),
		"another boundary":      change("boundary=\"b1\"", "boundary=b2"),
		"a report in a letter":  "Content-Type: message/rfc822\r\n\r\n" + report(good),
		"fields a level deeper": deep,
		"no envelope":           report(strings.Replace(good, "Original-Envelope-Id", "X-Envelope-Id", 1)),
		"two envelopes":         change("Arrival-Date: x", "Original-Envelope-Id: "+ours),
		"envelope below":        report("Reporting-MTA: dns; x\n\nAction: failed\nStatus: 5.1.1\nOriginal-Envelope-Id: " + ours + "\n"),
		"hostile envelope":      report(whole("tx'; DROP TABLE code_sends; --", "failed", "5.1.1")),
		"long envelope":         report(whole(strings.Repeat("a", 101), "failed", "5.1.1")),
		"folded envelope":       report(whole(ours[:8]+"\n "+ours[8:], "failed", "5.1.1")),
		"empty envelope":        report(whole("", "failed", "5.1.1")),
		"failed, well":          report(whole(ours, "failed", "2.0.0")),
		"failed, no status":     change("Status: 5.1.1\r\n", ""),
		"two statuses":          change("Diagnostic-Code: ", "Status: 5.1.1\r\nDiagnostic-Code: "),
		"status in words":       report(whole(ours, "failed", "5.1.1\x1b[31m")),
		"status of the server":  report(whole(ours, "failed", "550")),
		"no recipient":          report("Original-Envelope-Id: " + ours + "\n"),
		"two parts of fields":   change("--b1\r\nContent-Type: text/rfc822-headers", "--b1\r\nContent-Type: message/delivery-status\r\n\r\n"+good+"\r\n--b1\r\nContent-Type: text/rfc822-headers"),
		"many parts":            change("--b1\r\n", strings.Repeat("--b1\r\n\r\nx\r\n", 9)+"--b1\r\n"),
		"cut short":             report(good)[:strings.Index(report(good), "Status: 5")],
		"many blocks":           report(good + strings.Repeat("\nAction: delivered\n", 100)),
		"large fields":          report(good + "X: " + strings.Repeat("x", 20<<10)),
		"too large":             report(good) + strings.Repeat("x", 256<<10),
		"malformed fields":      report("no field\n\n" + good),
		"a space before":        report(" " + good),
	} {
		got, err := notify.ReadReport(strings.NewReader(mail))
		if !errors.Is(err, notify.ErrNoReport) || got != (notify.Report{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		} else if strings.Contains(err.Error(), "482913") || strings.Contains(err.Error(), "DROP") {
			t.Errorf("%s: quoted: %v", name, err)
		}
	}
	if _, err := notify.ReadReport(failing{}); err == nil || errors.Is(err, notify.ErrNoReport) {
		t.Errorf("a pipe that breaks: %v", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("broken") }

// Whatever arrives, it is judged, and only digits and our own words come out of it.
func FuzzReadReport(f *testing.F) {
	f.Add([]byte(report(whole(ours, "failed", "5.1.1"))))
	f.Add([]byte(report(whole(ours, "delayed", "4.0.0"))))
	f.Add([]byte("Content-Type: multipart/report; report-type=delivery-status; boundary=\"=_\"\n\n--=_\nContent-Type: message/delivery-status\nContent-Transfer-Encoding: quoted-printable\n\nOriginal-Envelope-Id: a=2Eb\n\nAction: failed\nStatus: 5.0.0"))
	envelope, status := regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`), regexp.MustCompile(`^[45]\.[0-9]{1,3}\.[0-9]{1,3}$`)
	f.Fuzz(func(t *testing.T, p []byte) {
		got, err := notify.ReadReport(bytes.NewReader(p))
		switch {
		case err != nil && (!errors.Is(err, notify.ErrNoReport) || got != (notify.Report{})):
			t.Errorf("%+v, %v", got, err)
		case err == nil && (!envelope.MatchString(got.Envelope) || got.Failed != status.MatchString(got.Status) || !got.Failed && got.Status != ""):
			t.Errorf("%+v", got)
		}
	})
}

// dsnInbox is a mail server that offers DSN and keeps what was asked for.
type dsnInbox struct {
	inbox
	mail *smtp.MailOptions
	rcpt *smtp.RcptOptions
}

func (b *dsnInbox) NewSession(*smtp.Conn) (smtp.Session, error) { return b, nil }
func (b *dsnInbox) Mail(_ string, o *smtp.MailOptions) error    { b.mail = o; return nil }
func (b *dsnInbox) Rcpt(_ string, o *smtp.RcptOptions) error    { b.rcpt = o; return nil }

// A server that offers DSN is asked for reports of failures, without the body and
// under a name of ours; one that does not is told nothing it might refuse.
func TestSendCodeAsksForReports(t *testing.T) {
	for _, offered := range []bool{true, false} {
		b := &dsnInbox{}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := smtp.NewServer(b)
		s.Domain, s.EnableDSN = "inbox.test", offered
		s.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
		done := make(chan struct{})
		go func() { defer close(done); _ = s.Serve(l) }()
		msg := message()
		msg.Envelope = ours
		err = mailer(t, l.Addr().String(), func(*notify.Config) {}).SendCode(t.Context(), msg)
		_ = s.Close()
		<-done
		if err != nil || len(b.mails) != 1 {
			t.Fatalf("offered %v: %v, %d mails", offered, err, len(b.mails))
		}
		want := fmt.Sprint(smtp.DSNReturnHeaders, ours, []smtp.DSNNotify{smtp.DSNNotifyFailure})
		if !offered {
			want = fmt.Sprint("", "", []smtp.DSNNotify(nil))
		}
		if got := fmt.Sprint(b.mail.Return, b.mail.EnvelopeID, b.rcpt.Notify); got != want {
			t.Errorf("offered %v: asked for %s, want %s", offered, got, want)
		}
	}
	for _, bad := range []string{"a b", "a%sb", "a\r\nRSET", "a=b", "é", strings.Repeat("a", 101)} {
		msg := message()
		msg.Envelope = bad
		if err := mailer(t, "127.0.0.1:1", func(*notify.Config) {}).SendCode(t.Context(), msg); !errors.Is(err, notify.ErrMessage) {
			t.Errorf("envelope %q: %v", bad, err)
		}
	}
}

// A real MTA takes a code that it cannot deliver, and its report, by a pipe, names
// the code's envelope and does not hold the code. Where it does not offer DSN the
// report holds the whole message, and names nothing.
func TestPostfixBounces(t *testing.T) {
	if os.Getuid() != 0 {
		missing(t, "root (for postfix)")
	}
	postfix, err := exec.LookPath("/usr/sbin/postfix")
	if err != nil {
		missing(t, "postfix")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	plain := l.Addr().String()
	_ = l.Close()
	// The hop after postfix knows no DSN, and nobody.
	last, stop := crowd(t, func(c *net.TCPConn) {
		converse(c, func(line string) string {
			if strings.HasPrefix(line, "RCPT") {
				return "550 5.1.1 no such user, and 482913"
			}
			return ""
		})
	})
	t.Cleanup(stop)
	_, port, _ := net.SplitHostPort(last)
	var bounces string
	addr, maildir := startPostfix(t, postfix, func(dir string) (settings, services []string) {
		bounces = filepath.Join(dir, "bounces")
		transport, keep := filepath.Join(dir, "config", "transport"), filepath.Join(dir, "keep")
		for name, text := range map[string]string{transport: "gone.gov.my smtp:[127.0.0.1]:" + port + "\nsign.gov.my keep:\n", keep: "#!/bin/sh\ncd '" + bounces + "' && cat >new.$$ && mv new.$$ report.$$\n"} {
			if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(os.Mkdir(bounces, 0o755), os.Chmod(bounces, 0o777)); err != nil {
			t.Fatal(err)
		}
		return []string{"relay_domains = gone.gov.my", "transport_maps = texthash:" + transport},
			[]string{"smtp unix - - n - - smtp", "keep unix - n n - 1 pipe flags= user=nobody argv=" + keep, plain + " inet n - n - - smtpd -o smtpd_discard_ehlo_keywords=dsn"}
	})
	for _, c := range []struct {
		addr string
		dsn  bool
	}{{addr, true}, {plain, false}} {
		msg := message()
		msg.To, msg.Envelope = "siti@gone.gov.my", ours
		if err := mailer(t, c.addr, func(*notify.Config) {}).SendCode(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
		name := awaitFile(t, filepath.Join(bounces, "report.*"), filepath.Join(filepath.Dir(maildir), "log"))
		mail, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		got, err := notify.ReadReport(bytes.NewReader(mail))
		if !bytes.Contains(mail, []byte("\nMessage-ID: <")) || bytes.Contains(mail, []byte("UTF8SMTP")) {
			t.Errorf("no report on our message:\n%s", mail)
		}
		// The code's line, since the server's own words quote the digits.
		body := bytes.Contains(mail, []byte("Kod / Code: 482913"))
		if c.dsn && (err != nil || got != (notify.Report{Envelope: ours, Failed: true, Status: "5.1.1"}) || body || bytes.Contains(mail, []byte(linkToken))) {
			t.Errorf("%+v, %v, with the body: %v\n%s", got, err, body, mail)
		}
		if !c.dsn && (!errors.Is(err, notify.ErrNoReport) || !body) { // what it would be like
			t.Errorf("without DSN: %+v, %v, with the body: %v\n%s", got, err, body, mail)
		}
	}
}

// awaitFile waits for one file of that pattern.
func awaitFile(t *testing.T, pattern, log string) string {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-deadline:
			said, _ := os.ReadFile(log)
			t.Fatalf("nothing arrived\n%s", said)
		case <-tick.C:
		}
		if all, _ := filepath.Glob(pattern); len(all) == 1 {
			return all[0]
		}
	}
}

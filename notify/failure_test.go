package notify_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/notify"
)

// A server that refuses at each step and quotes everything it was sent.
func TestErrorsNeverQuoteTheMessage(t *testing.T) {
	const echo = "refused: Kod / Code: 482913 Baucar siti@jpk.gov.my katalaluan"
	for verb, want := range map[string]struct {
		status    int
		permanent bool
	}{"EHLO": {550, true}, "MAIL": {451, false}, "RCPT": {550, true}, "DATA": {554, true}, ".": {554, true}} {
		addr := server(t, func(c net.Conn) {
			converse(c, func(line string) string {
				if strings.HasPrefix(line, verb) || verb == "EHLO" && strings.HasPrefix(line, "HELO") {
					return fmt.Sprintf("%d %d.7.1 %s", want.status, want.status/100, echo)
				}
				return ""
			})
		})
		err := mailer(t, addr, func(*notify.Config) {}).SendCode(t.Context(), message())
		var refused *notify.DeliveryError
		if !errors.As(err, &refused) || refused.Status != want.status || refused.Permanent() != want.permanent {
			t.Errorf("%s: got %v", verb, err)
			continue
		}
		for _, word := range []string{"482913", "Baucar", "siti", "katalaluan", "refused"} {
			for e := err; e != nil; e = errors.Unwrap(e) {
				if strings.Contains(e.Error(), word) {
					t.Errorf("%s: the error quotes %q: %v", verb, word, e)
				}
			}
		}
	}
}

// The server took the message; what happens at QUIT is no failure.
func TestSendCodeIsDoneOnceAccepted(t *testing.T) {
	addr := server(t, func(c net.Conn) {
		converse(c, func(line string) string {
			if line == "QUIT" {
				_ = c.Close()
			}
			return ""
		})
	})
	if err := mailer(t, addr, func(*notify.Config) {}).SendCode(t.Context(), message()); err != nil {
		t.Fatal(err)
	}
}

// A server may be silent at any step; the delivery ends within its timeout.
func TestSendCodeIsBoundedInTime(t *testing.T) {
	for _, verb := range []string{"greeting", "EHLO", "MAIL", "RCPT", "DATA", "."} {
		addr := server(t, func(c net.Conn) {
			hang := func() { _, _ = io.Copy(io.Discard, c) }
			if verb == "greeting" {
				hang()
				return
			}
			converse(c, func(line string) string {
				if strings.HasPrefix(line, verb) {
					hang()
				}
				return ""
			})
		})
		m := mailer(t, addr, func(c *notify.Config) { c.Timeout = 80 * time.Millisecond })
		start := time.Now()
		err := m.SendCode(t.Context(), message())
		var failure *notify.DeliveryError
		if !errors.As(err, &failure) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got %v", verb, err)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("%s: took %v", verb, took)
		}
	}
}

// A server that never ends its answer takes a little memory, not all there is.
func TestSendCodeIsBoundedInSize(t *testing.T) {
	for _, verb := range []string{"greeting", "EHLO", "RCPT", "line"} {
		sent := make(chan int, 1)
		addr := server(t, func(c net.Conn) {
			flood := func() {
				line := strings.Repeat("250-"+strings.Repeat("x", 60)+"\r\n", 1000)
				if verb == "line" {
					line = strings.Repeat("x", 64_000)
				}
				for n := 0; ; n += len(line) {
					if _, err := io.WriteString(c, line); err != nil || n > 256<<20 {
						sent <- n
						return
					}
				}
			}
			if verb == "greeting" || verb == "line" {
				flood()
				return
			}
			converse(c, func(line string) string {
				if strings.HasPrefix(line, verb) {
					flood()
				}
				return ""
			})
		})
		err := mailer(t, addr, func(*notify.Config) {}).SendCode(t.Context(), message())
		var failure *notify.DeliveryError
		if !errors.As(err, &failure) || failure.Permanent() {
			t.Errorf("%s: got %v", verb, err)
		}
		// What the kernel holds on both sides is taken, too.
		if n := <-sent; n > 32<<20 {
			t.Errorf("%s: %d bytes were taken", verb, n)
		}
	}
}

func TestSendCodeToNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	var failure *notify.DeliveryError
	if err := mailer(t, addr, func(*notify.Config) {}).SendCode(t.Context(), message()); !errors.As(err, &failure) || failure.Err == nil {
		t.Fatalf("got %v", err)
	}
}

// relay is a mail server with TLS and a password, as an agency has it.
type relay struct {
	got  chan string
	user string
	pass string
}

func (r *relay) NewSession(*smtp.Conn) (smtp.Session, error) { return &relaySession{relay: r}, nil }

type relaySession struct {
	*relay
	known bool
}

func (s *relaySession) AuthMechanisms() []string { return []string{sasl.Plain} }
func (s *relaySession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, pass string) error {
		if s.known = user == s.user && pass == s.pass; !s.known {
			return errors.New("katalaluan salah: " + pass)
		}
		return nil
	}), nil
}
func (s *relaySession) Mail(string, *smtp.MailOptions) error {
	if !s.known {
		return smtp.ErrAuthRequired
	}
	return nil
}
func (s *relaySession) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (s *relaySession) Data(r io.Reader) error {
	p, err := io.ReadAll(r)
	s.got <- string(p)
	return err
}
func (s *relaySession) Reset()        {}
func (s *relaySession) Logout() error { return nil }

func TestSendCodeOverTLS(t *testing.T) {
	cert, roots := pki(t)
	for _, mode := range []string{notify.TLSStartTLS, notify.TLSImplicit} {
		r := &relay{got: make(chan string, 1), user: "mohor", pass: "rahsia-77"}
		addr := r.start(t, mode, cert)
		settings := func(c *notify.Config) {
			c.TLS, c.RootCAs, c.Username, c.Password = mode, roots, r.user, secret.New(r.pass)
		}
		if err := mailer(t, addr, settings).SendCode(t.Context(), message()); err != nil {
			t.Fatalf("%s: %v", mode, err)
		}
		if got := <-r.got; !strings.Contains(got, "Kod / Code: 482913\r\n") {
			t.Errorf("%s: got\n%s", mode, got)
		}
		err := mailer(t, addr, func(c *notify.Config) { settings(c); c.RootCAs = x509.NewCertPool() }).SendCode(t.Context(), message())
		var untrusted *tls.CertificateVerificationError
		if !errors.As(err, &untrusted) {
			t.Errorf("%s: a stranger's certificate: got %v", mode, err)
		}
		err = mailer(t, addr, func(c *notify.Config) { settings(c); c.Password = secret.New("lain-123") }).SendCode(t.Context(), message())
		if err == nil || strings.Contains(err.Error(), "lain-123") {
			t.Errorf("%s: a wrong password: got %v", mode, err)
		}
		if len(r.got) != 0 {
			t.Errorf("%s: a refused delivery arrived", mode)
		}
	}
}

// STARTTLS is required: a server (or somebody between) that does not offer it
// gets nothing.
func TestSendCodeNeverFallsBackToClear(t *testing.T) {
	said := make(chan string, 1)
	addr := server(t, func(c net.Conn) { said <- converse(c, func(string) string { return "" }) })
	err := mailer(t, addr, func(c *notify.Config) { c.TLS = notify.TLSStartTLS }).SendCode(t.Context(), message())
	if err == nil {
		t.Fatal("sent in clear")
	}
	if all := <-said; strings.Contains(all, "MAIL") {
		t.Fatalf("the server was told\n%s", all)
	}
}

func (r *relay) start(t *testing.T, mode string, cert tls.Certificate) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := smtp.NewServer(r)
	s.Domain, s.MaxMessageBytes = "relay.test", 1<<20
	s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	s.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	if mode == notify.TLSImplicit {
		l = tls.NewListener(l, s.TLSConfig)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return l.Addr().String()
}

// pki makes a certificate for 127.0.0.1 and the pool that trusts it.
func pki(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, roots
}

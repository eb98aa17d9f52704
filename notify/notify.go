// Package notify carries messages to officers. [Mailer] makes one delivery by
// SMTP (RFC 5321). [Courier], the otp.Sender of a gateway, queues codes in memory
// and tries until they expire: no code touches a disk. [Postman] delivers what
// holds no secret, from a durable [Outbox].
//
// What a code's message says comes partly from outside: document titles,
// names of officers and systems. They are hostile here. Each is made one
// clean line, bounded, quoted, kept from becoming a link, and shown at places
// where it cannot stand at the beginning of a line; so in the text alternative
// the expression
//
//	(?m)^Kod / Code: (\d{6})$
//
// matches exactly once and gives the code. The message holds one link, to the
// gateway's page "this was not me", which cancels and cannot sign; no other
// link, no remote content, and never a PIN; titles and total of classified documents
// stay out.
//
// Errors carry the step, the server's numeric reply codes and causes from the
// network, never the server's words (which may quote the message), the
// address, the code or the text.
package notify

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	netmail "net/mail"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/mohor-sign/mohor/internal/myt"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/otp"
)

// What a caller may decide on. A server's refusal is a *DeliveryError.
var (
	// ErrAddress: the officer's address is no plain local@domain in ASCII of
	// at most 254 bytes. Nothing was sent.
	ErrAddress = errors.New("not a deliverable e-mail address")
	// ErrMessage: the message lacks something or holds a malformed code,
	// fingerprint or count. Nothing was sent.
	ErrMessage = errors.New("message unfit to send")
)

// How the connection to the mail server is protected.
const (
	TLSNone     = "none"     // only to a server on this machine's loopback
	TLSStartTLS = "starttls" // RFC 3207, required: no falling back to plain text
	TLSImplicit = "implicit" // RFC 8314, Section 3.3; usually port 465
)

const (
	defaultTimeout = 10 * time.Second
	maxTimeout     = time.Minute
	maxConnections = 16
	maxAnswers     = 256 << 10 // bytes of one connection, with TLS's own
)

// Config says which mail server takes the messages.
type Config struct {
	Host string // name or address; with TLS its certificate must carry this name
	Port int    // 1-65535
	// Username and Password authenticate to the server (SCRAM-SHA-256, else
	// PLAIN, else LOGIN; the last two only over TLS or loopback). Empty: no
	// authentication.
	Username string
	Password secret.Text
	TLS      string         // TLSNone, TLSStartTLS or TLSImplicit
	RootCAs  *x509.CertPool // nil: the system's
	// From is the sender, "no-reply@agency.gov.my" or "Name <address>". Its
	// domain also names us in HELO and Message-ID, so that no machine's name
	// gets out.
	From string
	// BaseURL is where officers reach the gateway, "https://sign.agency.gov.my"
	// without a slash at the end: the one link of a message leads there.
	BaseURL string
	Timeout time.Duration // for one whole delivery; 0 means 10 s, at most 1 min
	DKIM    *DKIM         // nil: messages are not signed
}

// Mailer sends codes by e-mail. It is safe for concurrent use; at most 16
// deliveries run at once, others wait within their time.
type Mailer struct {
	cfg    Config
	from   *netmail.Address
	domain string
	now    func() time.Time
	slots  chan struct{}
	last   lastMail
}

var _ otp.Sender = (*Mailer)(nil)

// New checks cfg and returns a Mailer; it does not connect. now stamps the
// Date header.
func New(cfg Config, now func() time.Time) (*Mailer, error) {
	from, err := netmail.ParseAddress(cfg.From)
	if err != nil || !deliverable(from.Address) {
		return nil, fmt.Errorf("reading mail settings: from is no usable address")
	}
	from.Name = clean(from.Name, nameChars)
	switch {
	case cfg.Host == "" || strings.ContainsAny(cfg.Host, " \t\r\n/@"):
		return nil, errors.New("reading mail settings: host is missing or malformed")
	case cfg.Port < 1 || cfg.Port > 65535:
		return nil, errors.New("reading mail settings: port is not 1-65535")
	case cfg.Timeout < 0 || cfg.Timeout > maxTimeout:
		return nil, errors.New("reading mail settings: timeout is not 0-1m")
	case (cfg.Username == "") != (cfg.Password.Len() == 0):
		return nil, errors.New("reading mail settings: user name and password go together")
	}
	if u, err := url.Parse(cfg.BaseURL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.ContainsAny(cfg.BaseURL, " <>\"'?#") || strings.HasSuffix(cfg.BaseURL, "/") {
		return nil, errors.New("reading mail settings: base URL is not an http or https address without a slash at the end")
	}
	switch cfg.TLS {
	case TLSStartTLS, TLSImplicit:
	case TLSNone:
		// A code in clear on a wire is one factor of three given away.
		if !loopback(cfg.Host) {
			return nil, errors.New(`reading mail settings: tls "none" is only for a server on this machine (localhost)`)
		}
	default:
		return nil, errors.New(`reading mail settings: tls is not "none", "starttls" or "implicit"`)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	domain := from.Address[strings.LastIndexByte(from.Address, '@')+1:]
	if cfg.DKIM != nil {
		if err := cfg.DKIM.check(domain); err != nil {
			return nil, err
		}
	}
	return &Mailer{
		cfg: cfg, from: from, domain: domain,
		now: now, slots: make(chan struct{}, maxConnections),
	}, nil
}

// SendCode implements otp.Sender: it renders m in Malay and English, as text
// and as HTML, and hands it to the mail server. It returns nil when the server
// has accepted it; what a later hop reports, if the server offers DSN (RFC 3461),
// ReadReport reads. One attempt is made; a [Courier] makes more.
// Errors: ErrAddress, ErrMessage, *DeliveryError, or the context's.
func (m *Mailer) SendCode(ctx context.Context, msg otp.Message) error {
	if !deliverable(msg.To) {
		return ErrAddress
	}
	if msg.Envelope != "" && !envelope.MatchString(msg.Envelope) {
		return fmt.Errorf("%w: malformed envelope id", ErrMessage)
	}
	r, err := render(msg, m.cfg.BaseURL)
	if err != nil {
		return err
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // crypto/rand never fails (it ends the process)
	return m.send(ctx, msg.To, hex.EncodeToString(id[:]), msg.Envelope, r)
}

// SendNotice implements NoticeSender: one attempt, with errors as SendCode has
// them. Its Message-ID is n's own each time, so that a mail program shows a
// notice that came twice as one.
func (m *Mailer) SendNotice(ctx context.Context, n Notice) error {
	if !deliverable(n.Email) {
		return ErrAddress
	}
	r, err := renderNotice(n)
	if err != nil {
		return err
	}
	return m.send(ctx, n.Email, n.ID, "", r)
}

// send makes one delivery within the timeout and wipes r. With an envelope id it asks
// for a report should a later hop fail.
func (m *Mailer) send(ctx context.Context, to, id, envelope string, r *rendered) error {
	defer r.wipe()
	mime, err := m.compose(to, id, r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, m.cfg.Timeout)
	defer cancel()
	select {
	case m.slots <- struct{}{}:
		defer func() { <-m.slots }()
	case <-ctx.Done():
		return &DeliveryError{Step: "waiting for a connection", Err: ctx.Err()}
	}
	err = m.deliver(ctx, mime, envelope)
	m.last.note(m.now(), err)
	return err
}

// compose makes the MIME message: multipart/alternative of text and HTML.
func (m *Mailer) compose(to, id string, r *rendered) (*mail.Msg, error) {
	out := mail.NewMsg(mail.WithNoDefaultUserAgent())
	out.FromMailAddress(m.from)
	out.ToMailAddress(&netmail.Address{Address: to}) // no display name: less to forge with
	out.Subject(r.subject)
	out.SetDateWithValue(m.now().In(myt.Zone))
	out.SetMessageIDWithValue(id + "@" + m.domain)
	out.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834, Section 5
	out.SetGenHeader(mail.HeaderXAutoResponseSuppress, "All")
	out.SetGenHeader(mail.HeaderContentLang, "ms, en")
	out.SetBodyWriter(mail.TypeTextPlain, writer(r.text))
	out.AddAlternativeWriter(mail.TypeTextHTML, writer(r.html))
	if m.cfg.DKIM != nil {
		if err := m.cfg.DKIM.sign(out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func writer(p []byte) func(io.Writer) (int64, error) {
	return func(w io.Writer) (int64, error) {
		n, err := w.Write(p)
		return int64(n), err
	}
}

// deliver speaks SMTP on a connection of its own. However it ends, and when
// ctx ends, that connection is closed.
func (m *Mailer) deliver(ctx context.Context, msg *mail.Msg, envelope string) error {
	done := func() {}
	defer func() { done() }()
	opened := func(c net.Conn) {
		stop := context.AfterFunc(ctx, func() { _ = c.Close() })
		done = func() {
			stop()
			_ = c.Close()
		}
	}
	client, err := m.client(opened)
	if err != nil {
		return fmt.Errorf("preparing mail client: %w", err)
	}
	session, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return failed(ctx, "connecting to mail server", err)
	}
	if envelope != "" {
		// Sent only to a server that announces DSN (RFC 3461): failures alone are
		// reported, under our name, and never with the body, which holds the code.
		// The client knows RET and NOTIFY; ENVID goes with RET, in the same command.
		session.SetDSNMailReturnOption(string(mail.DSNMailReturnHeadersOnly) + " ENVID=" + envelope)
	}
	if err := client.SendWithSMTPClient(session, msg); err != nil && !msg.IsDelivered() {
		return failed(ctx, "handing over message", err)
	}
	// From here on the server has taken the message; a failing QUIT changes
	// nothing.
	_ = client.CloseWithSMTPClient(session)
	return nil
}

// terse is a connection whose other side may say only so much: the client
// collects an answer of many lines in memory until its last one.
type terse struct {
	net.Conn
	left int
}

func (c *terse) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errAnswer
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// client makes the SMTP client of one delivery; opened is told its connection.
func (m *Mailer) client(opened func(net.Conn)) (*mail.Client, error) {
	tlsConfig := &tls.Config{ServerName: m.cfg.Host, MinVersion: tls.VersionTLS12, RootCAs: m.cfg.RootCAs}
	options := []mail.Option{
		// The context is the bound; go-mail's own, per step, is behind it.
		mail.WithPort(m.cfg.Port), mail.WithTimeout(m.cfg.Timeout + time.Second), mail.WithHELO(m.domain),
		mail.WithTLSConfig(tlsConfig), mail.WithoutNoop(), mail.WithoutRset(), mail.WithDSNRcptNotifyType(mail.DSNRcptNotifyFailure),
		// Addresses and headers are ASCII. Asked for, SMTPUTF8 would have a later hop
		// without it return the message (RFC 6531, Section 3.2).
		mail.WithoutSMTPUTF8(),
		mail.WithDialContextFunc(func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			opened(c)
			c = &terse{Conn: c, left: maxAnswers}
			if m.cfg.TLS != TLSImplicit {
				return c, nil
			}
			t := tls.Client(c, tlsConfig)
			return t, t.HandshakeContext(ctx)
		}),
	}
	switch m.cfg.TLS {
	case TLSImplicit:
		options = append(options, mail.WithSSL())
	case TLSStartTLS:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	default:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	}
	if m.cfg.Username != "" {
		options = append(options, mail.WithUsername(m.cfg.Username), mail.WithPassword(string(m.cfg.Password.Reveal())),
			mail.WithOpportunisticSMTPAuth(mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthPlain, mail.SMTPAuthLogin))
	}
	return mail.NewClient(m.cfg.Host, options...)
}

// CheckAddress returns ErrAddress unless messages can be sent to s.
func CheckAddress(s string) error {
	if !deliverable(s) {
		return ErrAddress
	}
	return nil
}

func deliverable(s string) bool {
	return len(s) <= 254 && address.MatchString(s) && strings.LastIndexByte(s, '@') <= 64
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// Bounds of the mailbox.
const (
	maxMails      = 1000     // newest kept
	maxBytes      = 32 << 20 // of text and HTML over all mails
	maxMail       = 256 << 10
	maxRecipients = 10
	maxAddress    = 254
	sessionIdle   = 10 * time.Second
)

// Mail is one received message for one recipient. Text and HTML have LF line
// ends and are decoded to UTF-8.
type Mail struct {
	To         string // envelope recipient, in lower case
	Subject    string // RFC 2047 decoded
	ReceivedAt time.Time
	Text       string
	HTML       string
	// Code is the six digits of the only line "Kod / Code: NNNNNN" in Text, ""
	// when there is none or more than one.
	Code string

	number uint64 // counts up from 1
}

// Mailbox is an SMTP server on 127.0.0.1 that delivers nothing: the newest
// 1,000 mails stay in memory, older ones are forgotten. Safe for concurrent
// use.
type Mailbox struct {
	now      func() time.Time
	server   *smtp.Server
	listener net.Listener
	served   chan struct{} // closed when Serve has returned

	mu      sync.Mutex
	mails   []Mail // oldest first
	bytes   int
	last    uint64
	arrived chan struct{} // closed and replaced with each arrival
}

// StartMailbox listens on a free port of 127.0.0.1. now stamps arrivals; log
// hears of failing connections, never of contents. Close it at the end.
func StartMailbox(now func() time.Time, log *slog.Logger) (*Mailbox, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for sandbox mail: %w", err)
	}
	b := &Mailbox{now: now, listener: listener, served: make(chan struct{}), arrived: make(chan struct{})}
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{box: b}, nil }))
	s.Domain = "localhost"
	s.MaxMessageBytes, s.MaxRecipients = maxMail, maxRecipients
	s.ReadTimeout, s.WriteTimeout = sessionIdle, sessionIdle
	s.ErrorLog = smtpLog{log}
	b.server = s
	go func() {
		defer close(b.served)
		if err := s.Serve(listener); err != nil {
			log.Error("sandbox mail server stopped", "error", err)
		}
	}()
	return b, nil
}

// Addr is where it listens: "127.0.0.1:port".
func (b *Mailbox) Addr() string { return b.listener.Addr().String() }

// Close stops listening and drops open connections. The mails stay readable.
func (b *Mailbox) Close() error {
	err := b.server.Close()
	// A Close that comes before Serve has taken the listener leaves it open.
	_ = b.listener.Close()
	<-b.served
	if errors.Is(err, smtp.ErrServerClosed) {
		return nil // closed before
	}
	return err
}

// Latest returns the newest mail to the address (case does not matter).
func (b *Mailbox) Latest(to string) (Mail, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.newest(strings.ToLower(to), 0, func(*Mail) bool { return true })
}

// Mark returns the number of the newest mail of all, for [Mailbox.WaitFor].
func (b *Mailbox) Mark() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

// WaitFor returns the newest mail with a code to the address that arrived after
// mark, waiting for it until ctx ends. Take the mark before causing the mail; 0
// accepts any. It depends on no clock.
func (b *Mailbox) WaitFor(ctx context.Context, to string, mark uint64) (Mail, error) {
	to = strings.ToLower(to)
	for {
		b.mu.Lock()
		m, ok := b.newest(to, mark, func(m *Mail) bool { return m.Code != "" })
		arrived := b.arrived
		b.mu.Unlock()
		if ok {
			return m, nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return Mail{}, fmt.Errorf("waiting for mail: %w", ctx.Err())
		}
	}
}

// list returns the mails to the address ("" for all), newest first.
func (b *Mailbox) list(to string) []Mail {
	to = strings.ToLower(to)
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]Mail, 0, len(b.mails))
	for _, m := range slices.Backward(b.mails) {
		if to == "" || m.To == to {
			out = append(out, m)
		}
	}
	return out
}

func (b *Mailbox) newest(to string, after uint64, fits func(*Mail) bool) (Mail, bool) {
	for _, m := range slices.Backward(b.mails) {
		if m.number <= after {
			break
		}
		if m.To == to && fits(&m) {
			return m, true
		}
	}
	return Mail{}, false
}

func (b *Mailbox) deliver(to []string, m Mail) {
	m.ReceivedAt = b.now().UTC()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, rcpt := range to {
		b.last++
		m.To, m.number = rcpt, b.last
		b.mails = append(b.mails, m)
		b.bytes += m.size()
	}
	drop := 0
	for len(b.mails)-drop > maxMails || b.bytes > maxBytes {
		b.bytes -= b.mails[drop].size()
		drop++
	}
	b.mails = slices.Delete(b.mails, 0, drop)
	close(b.arrived)
	b.arrived = make(chan struct{})
}

func (m *Mail) size() int { return len(m.Subject) + len(m.Text) + len(m.HTML) }

// session receives the mails of one connection.
type session struct {
	box *Mailbox
	to  []string
}

// Mail implements smtp.Session. Any sender will do.
func (s *session) Mail(string, *smtp.MailOptions) error { return nil }

// Rcpt implements smtp.Session.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if len(to) > maxAddress {
		return &smtp.SMTPError{Code: 553, EnhancedCode: smtp.EnhancedCode{5, 1, 3}, Message: "address too long"}
	}
	s.to = append(s.to, strings.ToLower(to))
	return nil
}

// Data implements smtp.Session.
func (s *session) Data(r io.Reader) error {
	m, err := readMail(r)
	if err != nil {
		var refused *smtp.SMTPError // too large, from the server itself
		if errors.As(err, &refused) {
			return refused
		}
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "message cannot be read"}
	}
	s.box.deliver(s.to, m)
	return nil
}

// Reset implements smtp.Session.
func (s *session) Reset() { s.to = nil }

// Logout implements smtp.Session.
func (s *session) Logout() error { return nil }

// smtpLog hands the server's internal errors to slog.
type smtpLog struct{ log *slog.Logger }

// Printf implements smtp.Logger.
func (l smtpLog) Printf(format string, v ...any) {
	l.log.Warn("sandbox mail connection failed", "error", fmt.Sprintf(format, v...))
}

// Println implements smtp.Logger.
func (l smtpLog) Println(v ...any) {
	l.log.Warn("sandbox mail connection failed", "error", fmt.Sprint(v...))
}

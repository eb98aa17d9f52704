package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/mykad"
	"github.com/mohor-sign/mohor/notify"
	"github.com/mohor-sign/mohor/otp"
)

// mailGrace is how long deliveries under way may take when the gateway stops.
const mailGrace = 5 * time.Second

// maxAlarmTo bounds the notices of one alarm.
const maxAlarmTo = 10

// check returns the field that cannot be right and what it must be.
func (m *MailConfig) check() (field, want string) {
	if len(m.AlarmTo) > maxAlarmTo {
		return "mail.alarm_to", fmt.Sprintf("at most %d addresses; more are a mailing list's", maxAlarmTo)
	}
	for k, a := range m.AlarmTo {
		same := func(b string) bool { return strings.EqualFold(a, b) }
		if notify.CheckAddress(a) != nil || slices.ContainsFunc(m.AlarmTo[:k], same) {
			return fmt.Sprintf("mail.alarm_to[%d]", k), "an e-mail address such as sap@agency.gov.my, without a name, and no other's"
		}
	}
	return "", ""
}

// mailer is the way messages leave: to the sandbox's mailbox, or the mail server.
func (s *Server) mailer() (*notify.Mailer, error) {
	m := s.Config.Mail
	n := notify.Config{Host: m.Host, Port: m.Port, TLS: m.TLS, Username: m.Username, From: m.From}
	if s.Mailbox != nil {
		to := s.Mailbox.Addr()
		if s.sink != "" {
			to = s.sink
		}
		at, err := net.ResolveTCPAddr("tcp", to)
		if err != nil {
			return nil, fmt.Errorf("finding the mailbox: %w", err)
		}
		n = notify.Config{Host: at.IP.String(), Port: at.Port, TLS: notify.TLSNone, From: m.From}
	}
	if n.Host == "" {
		return nil, fmt.Errorf("%w: mail.host must be set: codes are sent by mail", ErrConfig)
	}
	if s.Mailbox == nil {
		var err error
		if m.PasswordFile != "" {
			if n.Password, err = readSecret(m.PasswordFile); err != nil {
				return nil, err
			}
		}
		if n.DKIM, err = m.DKIM.open(); err != nil {
			return nil, fmt.Errorf("%w: mail.dkim: %w", ErrConfig, err)
		}
	}
	n.BaseURL = s.Config.BaseURL
	mailer, err := notify.New(n, s.now)
	if err != nil {
		return nil, fmt.Errorf("%w: mail: %w", ErrConfig, err)
	}
	return mailer, nil
}

// open reads the key; nil when messages are not signed.
func (c *DKIMConfig) open() (*notify.DKIM, error) {
	if *c == (DKIMConfig{}) {
		return nil, nil
	}
	if c.Domain == "" || c.Selector == "" || c.KeyFile == "" {
		return nil, errors.New("domain, selector and key_file must be set together")
	}
	text, err := readSecret(c.KeyFile)
	if err != nil {
		return nil, err
	}
	defer text.Wipe()
	key, err := notify.ParseDKIMKey(text.Reveal())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.KeyFile, err)
	}
	return &notify.DKIM{Domain: c.Domain, Selector: c.Selector, Key: key}, nil
}

// CodeSend is a code that was sent to an officer, as administrators see it.
type CodeSend struct {
	Transaction string     `json:"transaction_id"` // or a log-in's, "lg_…"
	Channel     string     `json:"channel"`
	SentTo      string     `json:"sent_to"` // masked
	IssuedAt    time.Time  `json:"issued_at"`
	ExpiresAt   *time.Time `json:"expires_at,omitempty"`
	Used        bool       `json:"used"`            // a code of this transaction was
	State       string     `json:"state,omitempty"` // sent, deferred, refused, bounced; "" when it is not known
	Reply       string     `json:"reply,omitempty"` // the mail server's, in digits
	StateAt     *time.Time `json:"state_at,omitempty"`
}

// codesShown is how many codes an administrator sees.
const codesShown = 20

// CodeSends returns the newest codes sent to an officer of the installation in
// dir and what became of them, the newest first, also beside a running gateway.
// It needs the database alone; that it was asked, and by whom, is audited.
func CodeSends(ctx context.Context, dir, actor, ic string, now func() time.Time) (out []CodeSend, err error) {
	if _, err := mykad.Parse(ic); err != nil {
		return nil, errors.New("the IC must be 12 digits with a valid date")
	}
	c, err := LoadConfig(dir)
	if err != nil {
		return nil, err
	}
	db, err := c.openUnlocked(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	ev := audit.Event{At: now(), Actor: actor, Action: "officer.codes", Object: "officer:" + ic, Verdict: audit.Noted}
	if err := db.Audit(ctx, ev); err != nil {
		return nil, err
	}
	sends, err := db.CodeSends(ctx, ic, codesShown)
	for _, s := range sends {
		out = append(out, CodeSend{Transaction: s.Transaction, Channel: s.Channel, SentTo: s.SentTo, IssuedAt: s.IssuedAt, ExpiresAt: known(s.ExpiresAt),
			Used: s.Redeemed, State: s.Delivery.State, Reply: s.Delivery.Reply, StateAt: known(s.Delivery.At)})
	}
	return out, err
}

// ErrNoBounce: a message changes nothing, and would not later.
var ErrNoBounce = errors.New("nothing is recorded")

// settleTime is how long after its expiry what became of a code may still be stored.
const settleTime = time.Minute

// Bounce reads a delivery report (see [notify.ReadReport]) and records, also beside a
// running gateway, that the code it is about bounced, and says which one and why
// ("5.1.1"). It needs the database alone, and opens it only for what is well-formed.
// ErrNoBounce when the message is none that changes anything: anybody can send it,
// so the audit says nothing of it. Any other error: the same message may be read
// again later; among them is that the gateway has not stored yet that it sent the
// code.
func Bounce(ctx context.Context, dir, actor string, report io.Reader, now func() time.Time) (transaction, status string, err error) {
	r, err := notify.ReadReport(report)
	if errors.Is(err, notify.ErrNoReport) {
		return "", "", fmt.Errorf("%w: %w", ErrNoBounce, err)
	}
	if err != nil {
		return "", "", err
	}
	if !r.Failed {
		return "", "", fmt.Errorf("%w: the message is late or has arrived", ErrNoBounce)
	}
	c, err := LoadConfig(dir)
	if err != nil {
		return "", "", err
	}
	db, err := c.openUnlocked(ctx)
	if err != nil {
		return "", "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	s, err := db.SendByEnvelope(ctx, r.Envelope)
	at := now()
	switch {
	case errors.Is(err, otp.ErrUnknown):
		return "", "", fmt.Errorf("%w: no code has this envelope id", ErrNoBounce)
	case err != nil:
		return "", "", err
	case s.Delivery.State == otp.Sent:
	case (s.Delivery.State == "" || s.Delivery.State == otp.Deferred) && at.Before(s.ExpiresAt.Add(settleTime)):
		return "", "", fmt.Errorf("code of %s: it is not stored yet that it was sent", s.Transaction)
	default:
		return "", "", fmt.Errorf("%w: the code of %s is %q", ErrNoBounce, s.Transaction, s.Delivery.State)
	}
	ev := audit.Event{At: at, Actor: actor, Action: "otp.bounce", Object: s.Transaction, Verdict: audit.Noted,
		Detail: map[string]string{"officer": s.Officer, "channel": s.Channel, "reply": r.Status}}
	// Not "wanted" any more is no reason to keep silent: the help desk asks later, too.
	bounced := otp.Delivery{State: otp.Bounced, At: at, Reply: r.Status}
	if strings.HasPrefix(s.Transaction, "lg_") {
		_, err = db.LoginCodes().StoreDelivery(ctx, s.Transaction, s.Nonce, bounced, ev)
	} else {
		_, err = db.StoreDelivery(ctx, s.Transaction, s.Nonce, bounced, ev)
	}
	return s.Transaction, r.Status, err
}

// known is nil for the zero time.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

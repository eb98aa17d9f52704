// Package otp issues and checks one-time codes. A code is six decimal digits,
// lives a few minutes, may be tried three times and authorises one intent: it
// is bound to the transaction, the server's nonce, the officer, the key, the
// app, the signature options and the exact documents ([Binding]).
//
// The digits come from HOTP (RFC 4226) over a random secret that is dropped at
// once; what is kept is HMAC-SHA-256, made inside the HSM, over the binding,
// the nonce and the digits. The database ([Records]) is the arbiter of tries
// and single use; the MAC itself ([Codes]) may be lost at any time, which
// means "ask for a new code", never a second use or a fourth try.
package otp

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	pquerna "github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/secret"
)

// Digits is the length of a code, NonceSize that of a nonce in bytes.
const (
	Digits    = 6
	NonceSize = 16
)

// What a caller decides on. The API maps each to a stable code.
var (
	ErrUnknown        = errors.New("no code was issued for this transaction")
	ErrWrong          = errors.New("wrong code")
	ErrExpired        = errors.New("code expired")
	ErrAttempts       = errors.New("no tries left for this code")
	ErrUsed           = errors.New("code already used")
	ErrNonce          = errors.New("nonce is not the transaction's live one")
	ErrResendTooSoon  = errors.New("a new code was asked for too soon or too often")
	ErrTooManyCodes   = errors.New("too many unused codes for this officer")
	ErrNotSent        = errors.New("code could not be sent")
	ErrMACUnavailable = errors.New("code key unavailable")
	// ErrRefused: the next hop refused the officer's address or the message for good.
	ErrRefused = errors.New("message refused for good")
	// ErrCodesUnavailable: the store of live codes cannot be reached. What was
	// asked may be asked again.
	ErrCodesUnavailable = errors.New("code store unavailable")
)

// RetryError wraps ErrResendTooSoon or ErrTooManyCodes with the time to wait.
type RetryError struct {
	Err   error
	After time.Duration
}

func (e *RetryError) Error() string { return e.Err.Error() }
func (e *RetryError) Unwrap() error { return e.Err }

// Purposes of a code. It is in the MAC, and the message says it.
const (
	Sign  = "sign"
	Login = "login" // nothing but a log-in: no documents, no key
	// Deeds of people about themselves.
	Reset    = "reset"    // another log-in password
	Deletion = "deletion" // of the own account
	Phone    = "phone"    // another mobile number
)

// Binding is what a code authorises. Every field enters the MAC.
type Binding struct {
	Transaction string
	Officer     string   // IC, 12 digits
	Key         string   // credential id
	App         string   // app id
	Purpose     string   // Sign, Login …; a code for one purpose is refused for another
	Options     [32]byte // hash of the signature options
	Count       uint32   // number of documents
	Root        [32]byte // Merkle root over the documents
}

// Challenge is the live code of a transaction as the database keeps it; the
// digits are not in it.
type Challenge struct {
	Transaction string
	Officer     string
	Nonce       [NonceSize]byte
	Channel     string // by which the code travelled: "email", a key of Issuer.Senders
	SentTo      string // masked address, for showing
	IssuedAt    time.Time
	ExpiresAt   time.Time
	ResendAfter time.Time
	TriesLeft   int
	Sends       int // codes sent for this transaction, this one included
	Redeemed    bool
	// Link is SHA-256 of the token in the message's link ([Message]); a new
	// challenge has a new one. It is stored, and not read back.
	Link [sha256.Size]byte
}

// Policy holds the limits; see docs/operating.md for the reasons.
type Policy struct {
	TTL         time.Duration // at most 10 minutes (NIST SP 800-63B, Section 3.1.3.2)
	Tries       int
	ResendAfter time.Duration
	MaxSends    int // per transaction: the first and the resends
	PerHour     int // codes sent to one officer, or refused there, and not redeemed
	PerDay      int
}

// DefaultPolicy: 5 minutes, 3 tries, resend after 60 s and at most 3 times,
// 10 unredeemed codes an hour and 30 a day.
func DefaultPolicy() Policy {
	return Policy{TTL: 5 * time.Minute, Tries: 3, ResendAfter: time.Minute, MaxSends: 4, PerHour: 10, PerDay: 30}
}

// Own is the part of an officer's limit that each app has for itself: a fifth, at
// least one. Others that use up the officer's codes cannot take it away.
func (p Policy) Own(limit int) int { return max(1, limit/5) }

// Records is the database's part. Each call is durable when it returns.
type Records interface {
	// StoreChallenge makes c the transaction's only challenge, counts the send
	// against the officer's limits and appends ev, all in one transaction. It
	// sets c.Sends, c.TriesLeft and, by the clock that all nodes share, c's
	// times. It refuses with a *RetryError (ErrResendTooSoon when the
	// challenge it replaces is younger than its ResendAfter or was the last one
	// allowed; ErrTooManyCodes when the officer's limit is reached, and the
	// app's own part of it, see Policy.Own), with ErrUsed when the replaced one was
	// redeemed, and with another error when the transaction waits for no code any more.
	StoreChallenge(ctx context.Context, c *Challenge, p Policy, ev audit.Event) error
	// Withdraw ends c, which was not sent: it expires with its issue, and another
	// may follow at once. It no longer counts against any limit, unless it was
	// refused: then it counts against the officer's limits as one that was sent,
	// but not for another channel of the same transaction. ev is appended in the
	// same transaction. One that was replaced or redeemed meanwhile stays as it
	// is, and nothing is appended.
	Withdraw(ctx context.Context, c Challenge, refused bool, ev audit.Event) error
	// Challenge returns the transaction's challenge or ErrUnknown.
	Challenge(ctx context.Context, transaction string) (Challenge, error)
	// ReserveTry takes one try of the challenge with this nonce, in one
	// conditional update across all nodes: n tries are granted to exactly n
	// callers. ErrUsed when it was redeemed, ErrNonce when the nonce is another
	// one, ErrExpired when its time has passed by the clock that set it (which
	// costs no try), ErrAttempts when none is left.
	ReserveTry(ctx context.Context, transaction string, nonce [NonceSize]byte) (left int, err error)
	// StoreDelivery keeps what became of the message with the code issued under
	// nonce, and with Refused and Bounced appends ev in the same transaction. Sent,
	// Refused and Bounced are final: what is told later changes nothing, but that
	// Sent becomes Bounced, which nothing else does. wanted is false when nobody
	// can use that code any more: replaced, redeemed, or its transaction ended; with
	// Sent nobody asks.
	StoreDelivery(ctx context.Context, transaction string, nonce [NonceSize]byte, d Delivery, ev audit.Event) (wanted bool, err error)
}

// Codes keeps the MAC of the live code until it expires. Losing one is allowed.
// All methods may be called by several goroutines; an error that is none of
// those named here wraps ErrCodesUnavailable.
type Codes interface {
	// Put keeps mac under key for ttl, replacing what was there.
	Put(ctx context.Context, key string, mac []byte, ttl time.Duration) error
	// Find looks for a code and counts nothing: ErrExpired when there is none.
	Find(ctx context.Context, key string) error
	// Try counts one comparison and returns the MAC: ErrExpired when it is gone,
	// ErrAttempts when limit comparisons were counted before. It is a second
	// count beside the database's, so that whoever can reset rows there gains no
	// tries.
	Try(ctx context.Context, key string, limit int) ([]byte, error)
	// Drop forgets the key. Dropping an absent key is no error.
	Drop(ctx context.Context, key string) error
}

// MAC makes HMAC-SHA-256 with the code key inside the HSM: 32 bytes. Errors
// mean the HSM could not be reached; the caller may retry later.
type MAC interface {
	MAC(ctx context.Context, data []byte) ([]byte, error)
}

// Sender delivers a code out of band. It returns nil when the next hop has
// taken responsibility for the message or the Sender goes on trying until the
// code expires, and an error when the officer will not get it, which is
// ErrRefused when the next hop has judged address or message. It tells
// Message.Report what became of it. What it keeps after it has returned is a
// Copy.
type Sender interface {
	SendCode(ctx context.Context, m Message) error
}

// Message is what the officer reads. Titles come from outside and are hostile.
type Message struct {
	To          string // address
	Name        string // officer
	Purpose     string // of the binding; without Sign nothing below up to Code is set
	System      string // registered system name
	Unseen      bool   // the gateway has digests alone, and has not looked into the documents
	Hosted      bool   // PIN and code are given on the gateway's own page, and nowhere else
	Count       int
	Titles      []string // the first few document names
	Fingerprint string   // XXXX-XXXX, the signing page shows the same
	Total       *Total   // what the system says they amount to; nil when it did not
	Payees      *Payees  // to whom the system says they pay; nil when it did not
	Classified  bool     // neither titles nor total nor payees must travel
	Code        secret.Text
	Expires     time.Time
	// Link is the token of the link with which whoever gets the message says
	// "this was not me": 128 random bits, 22 characters of base64url. It cannot
	// sign; it ends the transaction.
	Link secret.Text
	// Issued is when, by the clock that set Expires, the code was made: their
	// difference is what is left, whatever the clock here says.
	Issued time.Time
	// Transaction is what the code is for. A later message for the same one takes
	// the place of an earlier one.
	Transaction string
	// Envelope is the message's own name towards the next hop; see [Envelope].
	Envelope string
	// Report is told what became of the message, also after SendCode has returned,
	// from any goroutine; nil when nobody wants to know. wanted is false when the
	// message is of no use any more.
	Report func(ctx context.Context, d Delivery) (wanted bool, err error)
}

// Issuer issues and checks codes. All fields are required.
type Issuer struct {
	Records Records
	Codes   Codes
	MAC     MAC
	Senders map[string]Sender // by channel: "email"
	Policy  Policy
}

// Issue makes a new nonce and code for b, replacing what was live before, and
// sends it by channel: m.Code, m.Link, m.Expires, m.Purpose and what delivery needs are filled in, code
// and link wiped when Issue returns: a Sender that keeps them copies them. sentTo is
// m.To as it may be shown. When the message cannot be delivered the code is dropped and
// withdrawn, and ErrNotSent returned; then another may be issued at once, by another
// channel.
func (i *Issuer) Issue(ctx context.Context, b Binding, channel, sentTo string, m Message, ev audit.Event) (Challenge, error) {
	sender, ok := i.Senders[channel]
	if !ok {
		return Challenge{}, fmt.Errorf("%w: there is no channel %q", ErrNotSent, channel)
	}
	c := Challenge{Transaction: b.Transaction, Officer: b.Officer, Channel: channel, SentTo: sentTo}
	if _, err := rand.Read(c.Nonce[:]); err != nil {
		return Challenge{}, fmt.Errorf("making nonce: %w", err)
	}
	code, err := newCode()
	if err != nil {
		return Challenge{}, fmt.Errorf("making code: %w", err)
	}
	defer code.Wipe()
	link := newLink()
	defer link.Wipe()
	c.Link = sha256.Sum256(link.Reveal())
	mac, err := i.MAC.MAC(ctx, b.message(&c, code.Reveal()))
	if err != nil {
		return Challenge{}, fmt.Errorf("%w: %w", ErrMACUnavailable, err)
	}
	// The row first: from here on the old code is dead, and the new one counts
	// against the limits until it is known not to have left.
	if err := i.Records.StoreChallenge(ctx, &c, i.Policy, ev); err != nil {
		return Challenge{}, err
	}
	key := c.codeKey()
	// A sender may go on when whoever asked has gone: then the code must be where all
	// nodes find it.
	if err := i.Codes.Put(context.WithoutCancel(ctx), key, mac, i.Policy.TTL); err != nil {
		return Challenge{}, errors.Join(fmt.Errorf("keeping code: %w", err), i.withdraw(ctx, c, false, ev))
	}
	m.Code, m.Link, m.Expires, m.Purpose = code, link, c.ExpiresAt, b.Purpose
	m.Issued, m.Transaction, m.Envelope, m.Report = c.IssuedAt, c.Transaction, Envelope(c.Transaction, c.Nonce), i.report(&c)
	if err := sender.SendCode(ctx, m); err != nil {
		_ = i.Codes.Drop(context.WithoutCancel(ctx), key) // the code went nowhere; losing it is allowed either way
		return Challenge{}, errors.Join(fmt.Errorf("%w: %w", ErrNotSent, err), i.withdraw(ctx, c, errors.Is(err, ErrRefused), ev))
	}
	return c, nil
}

// withdraw takes back what StoreChallenge recorded with ev.
func (i *Issuer) withdraw(ctx context.Context, c Challenge, refused bool, ev audit.Event) error {
	ev.Action, ev.Verdict = "otp.withdraw", audit.Noted
	if err := i.Records.Withdraw(context.WithoutCancel(ctx), c, refused, ev); err != nil {
		return fmt.Errorf("withdrawing code: %w", err)
	}
	return nil
}

// Check reserves a try and compares code with what was issued for b under
// nonce. It returns the tries left. Order: redeemed → ErrUsed; expired →
// ErrExpired (costs no try); no try left → ErrAttempts; different → ErrWrong.
// ErrCodesUnavailable costs none, unless the store of codes went in that moment.
// A nil error does not spend the code: the intent's transaction does.
func (i *Issuer) Check(ctx context.Context, b Binding, nonce [NonceSize]byte, code secret.Text) (left int, err error) {
	c, err := i.Records.Challenge(ctx, b.Transaction)
	if err != nil {
		return 0, err
	}
	switch {
	case c.Redeemed:
		return 0, ErrUsed
	case c.Nonce != nonce:
		return c.TriesLeft, ErrNonce
	case c.TriesLeft > 0:
		// A try is not spent on a code that nothing can be compared with. Whoever
		// asks learns no more than that, and with no try compares nothing.
		if err := i.Codes.Find(ctx, c.codeKey()); errors.Is(err, ErrCodesUnavailable) {
			return c.TriesLeft, err
		}
	}
	left, err = i.Records.ReserveTry(ctx, b.Transaction, nonce)
	if err != nil {
		return left, err
	}
	want, err := i.Codes.Try(ctx, c.codeKey(), i.Policy.Tries)
	if errors.Is(err, ErrExpired) {
		// Whoever redeems a code forgets it: perhaps somebody just did.
		if c, cerr := i.Records.Challenge(ctx, b.Transaction); cerr == nil && c.Redeemed {
			return 0, ErrUsed
		}
	}
	if err != nil {
		return left, err
	}
	got, err := i.MAC.MAC(ctx, b.message(&c, code.Reveal()))
	if err != nil {
		return left, fmt.Errorf("%w: %w", ErrMACUnavailable, err)
	}
	if !hmac.Equal(got, want) {
		return left, ErrWrong
	}
	return left, nil
}

// Forget drops the code of a challenge that was redeemed or cancelled.
func (i *Issuer) Forget(ctx context.Context, c Challenge) error {
	return i.Codes.Drop(ctx, c.codeKey())
}

// codeKey names the live code in Codes; with the nonce in it an old code can
// never be found again.
func (c *Challenge) codeKey() string { return fmt.Sprintf("otp:%s:%x", c.Transaction, c.Nonce) }

// message is the MAC's input: every field with its length before it, so that
// no two bindings share an encoding. The channel is among them, so that what the
// evidence says of it cannot be changed behind a live code.
func (b *Binding) message(c *Challenge, code []byte) []byte {
	out := []byte("mohor otp v2\n")
	add := func(p []byte) {
		out = binary.BigEndian.AppendUint32(out, uint32(len(p)))
		out = append(out, p...)
	}
	add([]byte(b.Transaction))
	add(c.Nonce[:])
	add([]byte(c.Channel))
	add([]byte(b.Officer))
	add([]byte(b.Key))
	add([]byte(b.App))
	add([]byte(b.Purpose))
	add(b.Options[:])
	add(binary.BigEndian.AppendUint32(nil, b.Count))
	add(b.Root[:])
	add(code)
	return out
}

// newLink returns 128 random bits in base64url.
func newLink() secret.Text {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails (it ends the process)
	return secret.NewBytes(base64.RawURLEncoding.AppendEncode(nil, b[:]))
}

// newCode returns six digits: HOTP with SHA-256 over 32 random bytes at a
// random counter, both forgotten at once (RFC 4226, Section 5.3).
func newCode() (secret.Text, error) {
	var seed [40]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return secret.Text{}, err
	}
	defer clear(seed[:])
	s, err := hotp.GenerateCodeCustom(
		base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(seed[:32]),
		binary.BigEndian.Uint64(seed[32:]),
		hotp.ValidateOpts{Digits: pquerna.DigitsSix, Algorithm: pquerna.AlgorithmSHA256})
	if err != nil {
		return secret.Text{}, err
	}
	return secret.New(s), nil
}

package otp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/audit"
)

// What became of a message.
const (
	Sent     = "sent"     // the next hop has taken responsibility for it; it may still bounce
	Deferred = "deferred" // not yet; it is tried again until the code expires
	Refused  = "refused"  // for good
	// Bounced: a later hop could not deliver what the next one had taken. The code
	// itself stays as it is: nobody has it, and the officer asks for another.
	Bounced = "bounced"
)

// Delivery says what became of the message with one code. It never holds the
// code, the address or a server's words.
type Delivery struct {
	State string    // Sent, Deferred, Refused or Bounced; "" while nothing is known
	At    time.Time // when it became known
	// Reply is the server's numeric answer, "550 5.1.1" (RFC 5321, Section 4.2,
	// and RFC 3463), with Bounced the status "5.1.1" alone; "" when none answered.
	Reply string
}

// Send is a code that was issued, as administrators see it.
type Send struct {
	Transaction string
	Officer     string // IC
	Nonce       [NonceSize]byte
	Channel     string
	SentTo      string // masked address
	IssuedAt    time.Time
	ExpiresAt   time.Time
	Redeemed    bool // a code of this transaction was used
	Delivery    Delivery
}

// Envelope is the envelope id (RFC 3461, Section 4.4) of the message with the code
// issued under nonce: the transaction, a dot, and 64 bits of SHA-256 over the nonce
// in hexadecimal. Strangers cannot guess it, and it tells them nothing; whoever was
// given the nonce, app and officer, can make it, which lets them say of their own
// message that it bounced.
func Envelope(transaction string, nonce [NonceSize]byte) string {
	sum := sha256.Sum256(append([]byte("mohor envelope v1\n"), nonce[:]...))
	return transaction + "." + hex.EncodeToString(sum[:8])
}

// Copy returns m with secrets of its own, for a Sender that works on it after
// SendCode has returned, when those of m are wiped. It keeps the first n titles.
// Wipe the copy.
func (m Message) Copy(n int) Message {
	m.Code, m.Link, m.Titles = m.Code.Copy(), m.Link.Copy(), slices.Clone(m.Titles[:min(n, len(m.Titles))])
	return m
}

// Wipe overwrites the secrets of m and of what shares them.
func (m Message) Wipe() {
	m.Code.Wipe()
	m.Link.Wipe()
}

// Size is about what m takes in memory, in bytes.
func (m Message) Size() int {
	n := 512 + len(m.To) + len(m.Name) + len(m.System) + len(m.Fingerprint)
	for _, t := range m.Titles {
		n += len(t) + 16
	}
	return n
}

// report is how a sender tells what became of the message for c.
func (i *Issuer) report(c *Challenge) func(context.Context, Delivery) (bool, error) {
	transaction, nonce, officer, channel := c.Transaction, c.Nonce, c.Officer, c.Channel
	return func(ctx context.Context, d Delivery) (bool, error) {
		ev := audit.Event{At: d.At, Actor: "gateway", Action: "otp.deliver", Object: transaction, Verdict: audit.Refused,
			Detail: map[string]string{"officer": officer, "channel": channel}}
		if d.Reply != "" {
			ev.Detail["reply"] = d.Reply
		}
		return i.Records.StoreDelivery(ctx, transaction, nonce, d, ev)
	}
}

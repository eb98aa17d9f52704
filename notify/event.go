package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/audit"
)

// Types of events. Data holds ids, counts and states; never a signature, a name, an IC
// or a title.
const (
	TransactionSigned             = "transaction.signed" // data: Outcome, as of all about transactions
	TransactionSignedWithRefusals = "transaction.signed_with_refusals"
	TransactionFailed             = "transaction.failed"
	TransactionExpired            = "transaction.expired"
	TransactionCancelled          = "transaction.cancelled"
	TransactionNeedsAuthorisation = "transaction.needs_authorisation"
	// Those about certificates are CertificateRevoked, CertificateSuspended and
	// CertificateReleased; data: CertificateState.
)

// Outcome is how a transaction ended. Counts are of documents.
type Outcome struct {
	Transaction string     `json:"transaction_id"`
	Status      string     `json:"status"`
	System      string     `json:"system"`
	Batch       string     `json:"batch_id,omitempty"` // of a transaction on one
	Count       int64      `json:"count"`
	Signed      int64      `json:"signed"`
	Refused     int64      `json:"refused"`
	CreatedAt   time.Time  `json:"created_at"`
	FinishedAt  *time.Time `json:"finished_at,omitempty"`
}

// CertificateState is what a certificate has become.
type CertificateState struct {
	Credential string `json:"credential_id"`
	System     string `json:"system"`
	Serial     string `json:"serial_number"` // decimal
	Status     string `json:"status"`        // ACTIVE, SUSPENDED, REVOKED
}

// Event is one to be delivered to the receiver of an app.
type Event struct {
	ID   string // "ev_…", the same at each try
	Type string
	App  string
	At   time.Time       // when it happened
	Data json.RawMessage // a JSON object

	URL   string
	Keys  [][]byte // generations of the secret that are good now, the newest first; see [enrol.WebhookSecret]
	Tries int      // that were made before
	Fence int64    // counts claims, from 1
}

// body is what is sent: the same bytes at each try.
func (e *Event) body() ([]byte, error) {
	b, err := json.Marshal(struct {
		ID   string          `json:"id"`
		Type string          `json:"type"`
		At   time.Time       `json:"created_at"`
		Data json.RawMessage `json:"data"`
	}{e.ID, e.Type, e.At.UTC(), e.Data})
	if err != nil {
		return nil, fmt.Errorf("encoding event: %w", err)
	}
	return b, nil
}

// Try is what came of one try.
type Try struct {
	State  string        // enrol.EventDelivered, EventPending (again after After) or EventDead
	Status int           // the receiver's HTTP status; 0 when it gave none
	Why    string        // "" or a word of [Webhooks]
	After  time.Duration // before the next
}

// EventOutbox keeps events until they are delivered. An event is put there in the
// transaction that does what it tells; each call here is durable when it returns nil.
// Several processes may empty one outbox: at least once, each event is sent. Those about
// one object are given out in their order, each behind the one before it is delivered
// or dead.
type EventOutbox interface {
	// Receivers are the apps with an event that is due, at most limit.
	Receivers(ctx context.Context, limit int) ([]string, error)
	// ClaimEvent returns the event of an app that has been due longest, which nobody else
	// gets until lease is over; false when none is due.
	ClaimEvent(ctx context.Context, app string, lease time.Duration) (Event, bool, error)
	// SettleEvent stores what came of a try, with ev when the event is dead. It changes
	// nothing when the event was claimed again since.
	SettleEvent(ctx context.Context, e Event, t Try, ev audit.Event) error
}

// Signature is the value of Mohor-Signature: t, the seconds since 1970, and for each
// secret v1, HMAC-SHA-256 (RFC 2104) in hexadecimal over t, a full stop and the body.
func Signature(at time.Time, body []byte, secrets ...[]byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	var b strings.Builder
	b.WriteString("t=" + t)
	for _, s := range secrets {
		h := hmac.New(sha256.New, s)
		h.Write([]byte(t + "."))
		h.Write(body)
		b.WriteString(",v1=" + hex.EncodeToString(h.Sum(nil)))
	}
	return b.String()
}

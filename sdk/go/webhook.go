package mohor

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ErrWebhook: a request is not one that the gateway sent to this receiver just now.
// Answer 400 and do nothing else.
var ErrWebhook = errors.New("not an authentic webhook")

// WebhookTolerance is how far the time of a webhook may be from the receiver's.
const WebhookTolerance = 5 * time.Minute

// WebhookEvent is what the gateway tells. It comes at least once: whoever acts on one
// remembers its ID for 30 days and answers a known one with 200 without acting again.
type WebhookEvent struct {
	ID        string          `json:"id"`   // the same at each try
	Type      string          `json:"type"` // "transaction.signed"; ignore those you do not know
	CreatedAt time.Time       `json:"created_at"`
	Data      json.RawMessage `json:"data"` // ids, counts, states; see docs/api.md
}

// VerifyWebhook checks a webhook and reads it: header is Mohor-Signature, body the
// request's bytes as they came, secret the text that was shown when the webhook was set.
// Any of the header's v1 values may be right, so that a secret can be changed without a
// gap: HMAC-SHA-256 (RFC 2104) in hexadecimal over the header's t, a full stop and the
// body. Any error is ErrWebhook.
func VerifyWebhook(header string, body []byte, secret string, now time.Time) (WebhookEvent, error) {
	refused := func(why string) (WebhookEvent, error) {
		return WebhookEvent{}, fmt.Errorf("%w: %s", ErrWebhook, why)
	}
	stamp, marks, ok := readSignature(header)
	if !ok || secret == "" {
		return refused("no Mohor-Signature that can be read, or no secret")
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return refused("its time cannot be read")
	}
	if d := now.Sub(time.Unix(seconds, 0)); d > WebhookTolerance || d < -WebhookTolerance {
		return refused("it is too old, or a clock is wrong")
	}
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(stamp + "."))
	h.Write(body)
	want, right := h.Sum(nil), false
	for _, m := range marks {
		right = hmac.Equal(m, want) || right
	}
	if !right {
		return refused("its signature is wrong")
	}
	var e WebhookEvent
	if err := json.Unmarshal(body, &e); err != nil || e.ID == "" || e.Type == "" {
		return refused("it is no event")
	}
	return e, nil
}

// readSignature reads "t=1767225600,v1=…"; schemes that are not v1 are for others.
func readSignature(header string) (stamp string, marks [][]byte, ok bool) {
	if len(header) > 1024 {
		return "", nil, false
	}
	for part := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			// Digits alone, and one time: what is signed is what is compared.
			if stamp != "" || value == "" || len(value) > 12 || strings.Trim(value, "0123456789") != "" {
				return "", nil, false
			}
			stamp = value
		case "v1":
			m, err := hex.DecodeString(value)
			if err != nil || len(m) != sha256.Size {
				return "", nil, false
			}
			marks = append(marks, m)
		}
	}
	return stamp, marks, stamp != "" && len(marks) > 0
}

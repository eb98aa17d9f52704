// Package secret holds values that must never be printed: PINs, one-time
// codes, token PINs, app secrets.
//
// A [Text] prints as [redacted] through fmt (every verb, nested anywhere),
// log/slog and encoding/json; the only way to its bytes is [Text.Reveal], which
// is easy to find in a review.
package secret

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Text is a short secret in memory. The zero value is empty. Copies share the
// same bytes, so one Wipe clears them all.
type Text struct {
	// A function, which prints as an address: inside an unexported field fmt
	// calls no methods, and would print a slice.
	at func() *[]byte
}

// New keeps a copy of s. A string cannot be wiped; prefer NewBytes where bytes
// are at hand.
func New(s string) Text { return NewBytes([]byte(s)) }

// NewBytes takes ownership of b.
func NewBytes(b []byte) Text { return Text{func() *[]byte { return &b }} }

// Reveal returns the secret's own bytes; the caller must not keep, print or
// change them.
func (t Text) Reveal() []byte {
	if t.at == nil {
		return nil
	}
	return *t.at()
}

// Len is the length in bytes.
func (t Text) Len() int { return len(t.Reveal()) }

// Copy is the same secret in memory of its own, for what must outlive a Wipe.
func (t Text) Copy() Text { return NewBytes(append([]byte(nil), t.Reveal()...)) }

// Wipe overwrites the bytes with zeros and empties the secret and its copies.
// It is a courtesy, not a guarantee: the runtime may have copied them. It must
// not run beside a use of the secret.
func (t Text) Wipe() {
	if t.at != nil {
		clear(*t.at())
		*t.at() = nil
	}
}

// Format implements fmt.Formatter: every verb prints the same.
func (t Text) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue implements slog.LogValuer.
func (t Text) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler: a secret never leaves through
// JSON or YAML.
func (t Text) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText implements encoding.TextUnmarshaler, for JSON strings.
func (t *Text) UnmarshalText(p []byte) error {
	*t = New(string(p))
	return nil
}

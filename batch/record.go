package batch

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mohor-sign/mohor/ecert"
)

// Record is what the public page answers about an eCertificate. Who asks must know
// the secret, which is in the certificate's QR code behind the #: no server is
// sent it by opening the address. The portal has the record sealed under it, and
// without it nothing.
type Record struct {
	ID     string // 16 random bytes, base64url without padding: 22 characters
	Secret string // the same; "" of an earlier release, whose page shows it to all
	// Sealed is the candidate under the secret; nil without one.
	Sealed    []byte
	Candidate ecert.Candidate
}

// Numbered is an eCertificate that was found by its number.
type Numbered struct {
	RecordID  string
	Candidate ecert.Candidate
	State     string // of the item
	Batch     Status
	SignedAt  time.Time
}

// NewRecord makes id and secret of a certificate and seals its record.
func NewRecord(c ecert.Candidate) (*Record, error) {
	var id, secret [16]byte
	_, _ = rand.Read(id[:]) // crypto/rand never fails (it ends the process)
	_, _ = rand.Read(secret[:])
	r := &Record{ID: base64.RawURLEncoding.EncodeToString(id[:]), Secret: base64.RawURLEncoding.EncodeToString(secret[:]), Candidate: c}
	aead, err := recordCipher(secret[:])
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encoding certificate record: %w", err)
	}
	r.Sealed = aead.Seal(nil, nil, text, []byte(r.ID))
	return r, nil
}

// Fragment is what the QR code's address has behind the path of the record.
func (r *Record) Fragment() string {
	if r.Secret == "" {
		return ""
	}
	return "#" + r.Secret
}

// errSecret says nothing of why.
var errSecret = errors.New("not the record's secret")

// OpenRecord reads what NewRecord sealed; ErrUnknown for another secret. With
// sealed nil it takes as long and says the same.
func OpenRecord(id, secret string, sealed []byte) (c ecert.Candidate, err error) {
	known := sealed != nil
	if !known {
		sealed = make([]byte, 400) // as long as most
	}
	key, err := base64.RawURLEncoding.Strict().DecodeString(secret)
	if err != nil || len(key) != 16 {
		key, known = make([]byte, 16), false
	}
	aead, err := recordCipher(key)
	if err != nil {
		return c, err
	}
	text, err := aead.Open(nil, nil, sealed, []byte(id))
	if err != nil || !known {
		return c, fmt.Errorf("%w: %w", ErrUnknown, errSecret)
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("reading certificate record: %w", err)
	}
	return c, nil
}

// recordCipher is AES-256-GCM under a key that only the secret gives (RFC 5869),
// with a random nonce before the ciphertext.
func recordCipher(secret []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "record", 32)
	if err != nil {
		return nil, fmt.Errorf("deriving the record's key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("preparing the record's cipher: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("preparing the record's cipher: %w", err)
	}
	return aead, nil
}

// recordText is a record in one column, which is encrypted under the token's key.
// The secret is in it so that the addresses can be given to the agency again.
type recordText struct {
	ecert.Candidate
	Secret string `json:",omitempty"`
}

// MarshalText keeps a record in one database column, as JSON.
func (r *Record) MarshalText() ([]byte, error) {
	return json.Marshal(recordText{r.Candidate, r.Secret})
}

// UnmarshalText reads what MarshalText wrote.
func (r *Record) UnmarshalText(p []byte) error {
	var t recordText
	if err := json.Unmarshal(p, &t); err != nil {
		return fmt.Errorf("reading certificate record: %w", err)
	}
	r.Candidate, r.Secret = t.Candidate, t.Secret
	return nil
}

// copyAll is how a pack writes: all or an error.
func copyAll(w io.Writer, parts ...[]byte) error {
	for _, p := range parts {
		if _, err := w.Write(p); err != nil {
			return fmt.Errorf("writing certificates: %w", err)
		}
	}
	return nil
}

package hsm

import (
	"context"
	"crypto"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/mohor-sign/mohor/internal/secret"
)

// ErrActivation: share, sealed activation, context and time are not those that were made together,
// the activation was altered, or its time is over.
var ErrActivation = errors.New("hsm: activation does not open")

// shareSize is the size of a share in bytes.
const shareSize = 32

const activationLabel = "mohor key activation v1"

// activation is what is sealed: everything that unwraps the key once more.
type activation struct {
	Format    int       `json:"v"`
	KEK       string    `json:"kek"`
	Mechanism uint      `json:"mech"`
	Algorithm Algorithm `json:"alg"`
	Blob      []byte    `json:"blob"`
}

// Activation splits an opened key in two, so that it can be opened again without its PIN until a
// time (to the second), by whoever brings both halves, the same context and the log-in of this
// token: share is 32 random bytes; sealed is the wrapped key under AES-256-GCM, with a key made of
// the share inside the module with the pepper, and context and time authenticated; about 200 bytes
// for ECDSA P-256, 1,750 for RSA-2048. Keep the halves in different places and destroy either to
// end it. The context should name what the key was opened for; it may be of any length. Every call
// makes another pair. [ErrClosed] when the key was closed; [ErrInput] when until is past or later
// than the key's own [Use.Until]; [ErrBusy], [ErrUnavailable].
//
// The module's part makes the time binding for whoever can only ask a [Process]: no activation
// outlasts the use it came from. It does not bind somebody who has the log-in itself.
func (k *Key) Activation(ctx context.Context, context []byte, until time.Time) (share secret.Text, sealed []byte, err error) {
	if err := (Use{Until: until}).check(); err != nil {
		return share, nil, err
	}
	return k.opened.activation(ctx, context, until)
}

func (k *localKey) activation(ctx context.Context, context []byte, until time.Time) (share secret.Text, sealed []byte, err error) {
	if until.Unix() > k.until.Unix() {
		return share, nil, fmt.Errorf("%w: activation to outlast its key", ErrInput)
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.closed {
		return share, nil, ErrClosed
	}
	plain, err := json.Marshal(activation{1, k.wrapped.kek, k.wrapped.mechanism, k.wrapped.algorithm, k.wrapped.blob})
	if err != nil {
		return share, nil, fmt.Errorf("encoding activation: %w", err)
	}
	defer clear(plain)
	key := make([]byte, shareSize)
	if _, err := rand.Read(key); err != nil {
		return share, nil, fmt.Errorf("making share: %w", err)
	}
	share = secret.NewBytes(key)
	aead, err := k.module.activationSealer(ctx, share)
	if err != nil {
		return share, nil, err
	}
	return share, aead.Seal(nil, nil, plain, activationAAD(context, until)), nil
}

// Reopen opens a key that [Key.Activation] split, for the same context, for u.Until, to the second.
// pub is the public key from its certificate. [ErrActivation] when the parts do not belong together
// or the time is over; [ErrInput] when the key is not of pub's kind; otherwise as [Module.Unseal]
// after the PIN.
func (m *Module) Reopen(ctx context.Context, share secret.Text, sealed, context []byte, pub crypto.PublicKey, u Use) (*Key, error) {
	if share.Len() != shareSize || len(sealed) > maxText || u.check() != nil {
		return nil, ErrActivation
	}
	aead, err := m.activationSealer(ctx, share)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, sealed, activationAAD(context, u.Until))
	if err != nil {
		return nil, ErrActivation
	}
	defer clear(plain)
	var a activation
	if err := json.Unmarshal(plain, &a); err != nil || a.Format != 1 || !kekLabel.MatchString(a.KEK) ||
		a.Mechanism != pkcs11.CKM_AES_KEY_WRAP_PAD && a.Mechanism != ckmAESKeyWrapKWP {
		return nil, ErrActivation
	}
	if !a.Algorithm.matches(pub) {
		return nil, fmt.Errorf("%w: public key is not %s", ErrInput, string(a.Algorithm))
	}
	return m.unwrap(ctx, wrapped{blob: a.Blob, kek: a.KEK, mechanism: a.Mechanism, algorithm: a.Algorithm}, pub, u)
}

// activationSealer gives the AES-256-GCM of a share. The label keeps what the pepper says here
// apart from what it says of a PIN, which is always 32 bytes.
func (m *Module) activationSealer(ctx context.Context, share secret.Text) (cipher.AEAD, error) {
	data := append([]byte(activationLabel), share.Reveal()...)
	defer clear(data)
	peppered, err := m.mac(ctx, pepperKey, data)
	if err != nil {
		return nil, err
	}
	defer clear(peppered)
	return deriveAEAD(peppered, nil, activationLabel)
}

// activationAAD is context and time behind our label, each with its length in front.
func activationAAD(context []byte, until time.Time) []byte {
	var out []byte
	for _, field := range [][]byte{[]byte(activationLabel), context} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(field)))
		out = append(out, field...)
	}
	return binary.BigEndian.AppendUint64(out, uint64(until.Unix()))
}

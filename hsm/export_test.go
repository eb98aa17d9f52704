package hsm

import (
	"context"
	"crypto"

	"github.com/mohor-sign/mohor/internal/secret"
)

// Opener gives a function that unwraps one officer's key again and again without its PIN, so that
// the module's part of a signature can be measured without the key derivation.
func (m *Module) Opener(ctx context.Context, b Binding, s SealedKey, pub crypto.PublicKey, pin secret.Text) (func() (*Key, error), error) {
	w, err := m.open(ctx, b, s, pin)
	if err != nil {
		return nil, err
	}
	return func() (*Key, error) {
		again := w
		again.blob = append([]byte(nil), w.blob...)
		return m.unwrap(ctx, again, pub)
	}, nil
}

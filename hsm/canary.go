package hsm

import (
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
)

// canaryKey is a key of nobody, wrapped and held in memory, to see whether the module works.
type canaryKey struct {
	wrapped wrapped
	public  crypto.PublicKey
}

// Canary takes an ECDSA P-256 key of its own through what a signature takes: unwrap, sign, verify,
// destroy; and makes one HMAC. About 1 ms on SoftHSM. Its errors are those of [Key.Sign] and
// [Module.MAC]; a nil error means that officers' keys could be used a moment ago.
func (m *Module) Canary(ctx context.Context) error {
	c := m.canary.Load()
	if c == nil {
		w, pub, err := m.generate(ctx, ECDSAP256)
		if err != nil {
			return fmt.Errorf("making canary key: %w", err)
		}
		c = &canaryKey{w, pub}
		m.canary.Store(c)
	}
	w := c.wrapped
	w.blob = append([]byte(nil), w.blob...) // closing the key clears it
	key, err := m.unwrap(ctx, w, c.public)
	if err != nil {
		return fmt.Errorf("opening canary key: %w", err)
	}
	digest := make([]byte, crypto.SHA256.Size())
	_, err = rand.Read(digest)
	if err == nil {
		_, err = key.Sign(ctx, digest, crypto.SHA256)
	}
	if err := errors.Join(err, key.Close()); err != nil {
		return fmt.Errorf("signing with canary key: %w", err)
	}
	_, err = m.mac(ctx, pepperKey, digest)
	return err
}

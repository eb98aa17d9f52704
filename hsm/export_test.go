package hsm

import (
	"context"
	"crypto"
	"time"

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
		return m.unwrap(ctx, again, pub, Use{Until: time.Now().Add(time.Hour)})
	}, nil
}

// HoldBulk holds a session as bulk work does until release is called.
func HoldBulk(t interface{ Fatal(...any) }, m *Module) (release func()) {
	l, err := m.use()
	if err != nil {
		t.Fatal(err)
	}
	pl, err := l.pool.take(context.Background(), true)
	if err != nil {
		t.Fatal(err)
	}
	return func() { l.pool.give(pl, true) }
}

// DERSignature is how r and s are encoded.
func DERSignature(r, s []byte) []byte { return derSignature(r, s) }

// Waits is what bulk work gives way to, with a pool of which nothing is taken.
type Waits struct {
	waits
	pool pool
}

// NewWaits has eight places for bulk work.
func NewWaits() *Waits { return &Waits{pool: pool{bulk: make(chan struct{}, 8)}} }

// Begin, End and GiveWay are those of a module.
func (w *Waits) Begin()                      { w.begin() }
func (w *Waits) End()                        { w.end() }
func (w *Waits) GiveWay(ctx context.Context) { w.giveWay(ctx, &w.pool) }

// What tests look at.
var BulkPlaces = bulkPlaces

// GiveWayFor is the longest wait for one signature.
const GiveWayFor = giveWayFor

// As gives a service key of a [Process] as it would be had another one been found under its label.
func As(s, other crypto.Signer) crypto.Signer {
	k := *s.(*remoteSigner)
	k.public, k.der = other.Public(), other.(*remoteSigner).der
	return &k
}

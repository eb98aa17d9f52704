package hsm

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/internal/secret"
)

// What travels between a [Process] and [ServeProcess], as net/rpc and gob carry it over a socket
// pair that nobody else can open. The types are aliases so that they need not be exported, and
// secrets are bare bytes here only.
type (
	wireOpen = struct {
		Config           []byte // as JSON, which leaves out PINs and functions
		PIN, ServicesPIN []byte
	}
	wireError = struct {
		Is   uint64 // one bit for each of wireErrors
		Text string // "" for no error
	}
	wireNothing = struct{}
	wireLabel   = struct {
		Label     string
		Algorithm Algorithm // of a key to be made
	}
	wireMade = struct {
		Made bool
		Err  wireError
	}
	wirePublic = struct {
		DER []byte // SubjectPublicKeyInfo
		Err wireError
	}
	wireKeys = struct {
		Keys []KeyInfo
		Err  wireError
	}
	wireCount = struct {
		N   int
		Err wireError
	}
	wireGauge = struct {
		Gauge Gauge
		Err   wireError
	}
	wireMAC = struct {
		Key  MACKey
		Data []byte
	}
	wireBytes = struct {
		Bytes []byte
		Err   wireError
	}
	wireSign = struct {
		Key     uint64 // of an opened key, or 0
		Label   string // of a service key
		Public  []byte // of a service key, SubjectPublicKeyInfo: it must be this one
		Digests [][]byte
		Hash    crypto.Hash
		PSS     bool
	}
	wireSignatures = struct {
		Signatures [][]byte // in the order of the digests; with an error those before it
		Err        wireError
	}
	wireUnseal = struct {
		Binding  Binding
		Sealed   []byte // SealedKey in its text form
		Public   []byte
		PIN, New []byte
		Use      Use
		KEK      string
		Subject  []byte // of the request for a certificate of a new key
	}
	wireReopen = struct {
		Share, Sealed, Context []byte
		Public                 []byte
		Use                    Use
	}
	wireKey = struct {
		Key           uint64
		Share, Sealed []byte // to open it again in another process
		Err           wireError
	}
	wireActivate = struct {
		Key     uint64
		Context []byte
		Until   time.Time
	}
	wireSealed = struct {
		Binding Binding
		Sealed  []byte
		Request []byte // of a new key
		Err     wireError
	}
)

// wireErrors are the errors that callers decide by. Their order is the protocol's.
var wireErrors = []error{
	ErrWrongPIN, ErrBusy, ErrUnavailable, ErrClosed, ErrInput, ErrNoKey, ErrKeyPolicy, ErrBadSignature,
	ErrKeyExists, ErrUnsafeModule, ErrNoToken, ErrTokenPIN, ErrNoModule, ErrActivation, errRetired, context.Canceled, context.DeadlineExceeded,
}

func toWire(err error) (w wireError) {
	if err == nil {
		return w
	}
	w.Text = err.Error()
	for i, is := range wireErrors {
		if errors.Is(err, is) {
			w.Is |= 1 << i
		}
	}
	return w
}

func fromWire(w wireError) error {
	if w.Text == "" && w.Is == 0 {
		return nil
	}
	return &remoteError{w}
}

// remoteError is an error of the other process: the same text, the same sentinels.
type remoteError struct{ wireError }

func (e *remoteError) Error() string { return e.Text }

// Is makes errors.Is find the sentinels.
func (e *remoteError) Is(target error) bool {
	for i, is := range wireErrors {
		if e.wireError.Is&(1<<i) != 0 && target == is {
			return true
		}
	}
	return false
}

func signOpts(w *wireSign) crypto.SignerOpts {
	if w.PSS {
		return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: w.Hash}
	}
	return w.Hash
}

// newWireSign checks what the other side would check, so that what it is asked makes sense.
func newWireSign(pub crypto.PublicKey, opts crypto.SignerOpts, digests ...[]byte) (*wireSign, error) {
	for _, digest := range digests {
		if _, err := newSigning(pub, digest, opts); err != nil {
			return nil, err
		}
	}
	_, pss := opts.(*rsa.PSSOptions)
	return &wireSign{Digests: digests, Hash: opts.HashFunc(), PSS: pss}, nil
}

func parsePublic(der []byte) (crypto.PublicKey, error) {
	pub, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("%w: public key", ErrInput)
	}
	return pub, nil
}

// revealed copies a secret for the wire; wipe it after use.
func revealed(t secret.Text) []byte { return slices.Clone(t.Reveal()) }

package hsm

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/rpc"
	"sync"

	"github.com/mohor-sign/mohor/internal/secret"
)

// HungStatus is the exit status of a process whose module hangs.
const HungStatus = 75 // EX_TEMPFAIL of sysexits.h

// ServeProcess is the other side of a [Process]: it opens the token that conn asks for, does what
// conn asks, and closes the token when conn ends. exit ends this process at once; it is called with
// [HungStatus] when the module hangs, since no call into it can be ended otherwise.
func ServeProcess(conn net.Conn, log *slog.Logger, exit func(status int)) error {
	d := &desk{log: log, exit: exit, keys: make(map[uint64]*Key), signers: make(map[string]deskSigner)}
	server := rpc.NewServer()
	if err := server.RegisterName("HSM", d); err != nil {
		return fmt.Errorf("registering: %w", err)
	}
	server.ServeConn(conn)
	d.mu.Lock()
	m := d.module
	d.mu.Unlock()
	if m == nil {
		return nil
	}
	return m.Close()
}

// desk takes calls. Its exported methods are those of net/rpc: the error they return is always
// nil, and what happened is in the reply.
type desk struct {
	log  *slog.Logger
	exit func(int)

	mu      sync.Mutex
	module  *Module
	keys    map[uint64]*Key
	last    uint64
	signers map[string]deskSigner // service keys, which outlive what becomes of the module
}

// deskSigner is a service key with its public half as SubjectPublicKeyInfo.
type deskSigner struct {
	crypto.Signer
	der []byte
}

// signer finds a service key in the token.
func (d *desk) signer(m *Module, label string) (s deskSigner, err error) {
	if s.Signer, err = m.Signer(label); err != nil {
		return s, err
	}
	if s.der, err = x509.MarshalPKIXPublicKey(s.Public()); err != nil {
		return s, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.signers[label] = s
	return s, nil
}

var errNotOpen = errors.New("hsm: process was not told which token to open")

func (d *desk) use() (*Module, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.module == nil {
		return nil, errNotOpen
	}
	return d.module, nil
}

// Open is [Open].
func (d *desk) Open(w *wireOpen, reply *wireError) error {
	var cfg Config
	if err := json.Unmarshal(w.Config, &cfg); err != nil {
		*reply = toWire(fmt.Errorf("%w: configuration", ErrInput))
		return nil
	}
	cfg.PIN, cfg.Services.PIN = secret.NewBytes(w.PIN), secret.NewBytes(w.ServicesPIN)
	defer cfg.PIN.Wipe()
	defer cfg.Services.PIN.Wipe()
	cfg.Log = d.log
	cfg.OnHang = func(string) { d.exit(HungStatus) }
	m, err := Open(context.Background(), cfg)
	if err == nil {
		d.mu.Lock()
		d.module = m
		d.mu.Unlock()
	}
	*reply = toWire(err)
	return nil
}

// Alive answers, and asks nothing of the module.
func (d *desk) Alive(_ *wireNothing, _ *wireNothing) error { return nil }

// run is what every method does around its own work.
func (d *desk) run(reply *wireError, f func(context.Context, *Module) error) error {
	m, err := d.use()
	if err == nil {
		err = f(context.Background(), m)
	}
	*reply = toWire(err)
	return nil
}

// MAC is [Module.MAC].
func (d *desk) MAC(w *wireMAC, reply *wireBytes) error {
	return d.run(&reply.Err, func(ctx context.Context, m *Module) (err error) {
		reply.Bytes, err = m.MAC(ctx, w.Key, w.Data)
		return err
	})
}

// Signer is [Module.Signer], for its public key.
func (d *desk) Signer(w *wireLabel, reply *wirePublic) error {
	return d.run(&reply.Err, func(_ context.Context, m *Module) error {
		s, err := d.signer(m, w.Label) // looked at anew, whatever was found before
		reply.DER = s.der
		return err
	})
}

// EnsureSigner is [Module.EnsureSigner].
func (d *desk) EnsureSigner(w *wireLabel, reply *wireMade) error {
	return d.run(&reply.Err, func(ctx context.Context, m *Module) (err error) {
		reply.Made, err = m.EnsureSigner(ctx, w.Label, w.Algorithm)
		return err
	})
}

// ServiceSign is the Sign of a [Module.Signer].
func (d *desk) ServiceSign(w *wireSign, reply *wireSignatures) error {
	return d.run(&reply.Err, func(_ context.Context, m *Module) (err error) {
		if len(w.Digests) != 1 {
			return fmt.Errorf("%w: %d digests", ErrInput, len(w.Digests))
		}
		d.mu.Lock()
		s, known := d.signers[w.Label]
		d.mu.Unlock()
		if !known { // asked for in an earlier process
			if s, err = d.signer(m, w.Label); err != nil {
				return err
			}
		}
		if !bytes.Equal(s.der, w.Public) { // its signatures would not be those of the certificate
			return fmt.Errorf("%w: another key is labelled %q now", ErrKeyPolicy, w.Label)
		}
		sig, err := s.Sign(nil, w.Digests[0], signOpts(w))
		if err == nil {
			reply.Signatures = [][]byte{sig}
		}
		return err
	})
}

// SelfTest is [Module.SelfTest].
func (d *desk) SelfTest(w *wireLabel, reply *wireError) error {
	return d.run(reply, func(ctx context.Context, m *Module) error { return m.SelfTest(ctx, w.Label) })
}

// Canary is [Module.Canary].
func (d *desk) Canary(w *wireLabel, reply *wireError) error {
	return d.run(reply, func(ctx context.Context, m *Module) error { return m.Canary(ctx, w.Label) })
}

// BulkSessions is [Module.BulkSessions].
func (d *desk) BulkSessions(_ *wireNothing, reply *wireCount) error {
	return d.run(&reply.Err, func(ctx context.Context, m *Module) (err error) {
		reply.N, err = m.BulkSessions(ctx)
		return err
	})
}

// Keys is [Module.Keys].
func (d *desk) Keys(_ *wireNothing, reply *wireKeys) error {
	return d.run(&reply.Err, func(ctx context.Context, m *Module) (err error) {
		reply.Keys, err = m.Keys(ctx)
		return err
	})
}

// Generate is [Module.Generate].
func (d *desk) Generate(w *wireUnseal, reply *wireSealed) error {
	return d.run(&reply.Err, func(ctx context.Context, m *Module) error {
		pin := secret.NewBytes(w.PIN)
		defer pin.Wipe()
		s, request, err := m.Generate(ctx, w.KEK, w.Binding, w.Subject, pin)
		if err != nil {
			return err
		}
		reply.Request = request.Raw
		reply.Sealed, err = s.MarshalText()
		return err
	})
}

// ChangePIN is [Module.ChangePIN].
func (d *desk) ChangePIN(w *wireUnseal, reply *wireSealed) error {
	return d.run(&reply.Err, func(ctx context.Context, m *Module) error {
		old, next := secret.NewBytes(w.PIN), secret.NewBytes(w.New)
		defer old.Wipe()
		defer next.Wipe()
		var s SealedKey
		if err := s.UnmarshalText(w.Sealed); err != nil {
			return err
		}
		pub, err := parsePublic(w.Public)
		if err != nil {
			return err
		}
		if reply.Binding, s, err = m.ChangePIN(ctx, w.Binding, s, pub, old, next); err != nil {
			return err
		}
		reply.Sealed, err = s.MarshalText()
		return err
	})
}

// processContext is what the activations that outlive this process are bound to.
var processContext = []byte("another process of the same gateway")

// Unseal is [Module.Unseal]. With the key goes what opens it again in the next process.
func (d *desk) Unseal(w *wireUnseal, reply *wireKey) error {
	return d.run(&reply.Err, func(ctx context.Context, m *Module) error {
		pin := secret.NewBytes(w.PIN)
		defer pin.Wipe()
		var s SealedKey
		if err := s.UnmarshalText(w.Sealed); err != nil {
			return err
		}
		pub, err := parsePublic(w.Public)
		if err != nil {
			return err
		}
		k, err := m.Unseal(ctx, w.Binding, s, pub, pin, w.Use)
		if err != nil {
			return err
		}
		return d.keep(ctx, k, w.Use, reply)
	})
}

// Reopen is [Module.Reopen].
func (d *desk) Reopen(w *wireReopen, reply *wireKey) error {
	return d.run(&reply.Err, func(ctx context.Context, m *Module) error {
		share := secret.NewBytes(w.Share)
		defer share.Wipe()
		pub, err := parsePublic(w.Public)
		if err != nil {
			return err
		}
		k, err := m.Reopen(ctx, share, w.Sealed, w.Context, pub, w.Use)
		if err != nil {
			return err
		}
		return d.keep(ctx, k, w.Use, reply)
	})
}

// keep gives an opened key a number.
func (d *desk) keep(ctx context.Context, k *Key, u Use, reply *wireKey) error {
	share, sealed, err := k.Activation(ctx, processContext, u.Until)
	if err != nil {
		return errors.Join(err, k.Close())
	}
	reply.Share, reply.Sealed = share.Reveal(), sealed
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last++
	d.keys[d.last] = k
	reply.Key = d.last
	return nil
}

func (d *desk) key(id uint64) (*Key, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.keys[id]
	if k == nil {
		return nil, ErrClosed
	}
	return k, nil
}

// Sign is [Key.SignAll].
func (d *desk) Sign(w *wireSign, reply *wireSignatures) error {
	return d.run(&reply.Err, func(ctx context.Context, _ *Module) error {
		k, err := d.key(w.Key)
		if err == nil {
			reply.Signatures, err = k.SignAll(ctx, w.Digests, signOpts(w))
		}
		return err
	})
}

// Activate is [Key.Activation].
func (d *desk) Activate(w *wireActivate, reply *wireKey) error {
	return d.run(&reply.Err, func(ctx context.Context, _ *Module) error {
		k, err := d.key(w.Key)
		if err != nil {
			return err
		}
		share, sealed, err := k.Activation(ctx, w.Context, w.Until)
		reply.Share, reply.Sealed = share.Reveal(), sealed
		return err
	})
}

// CloseKey is [Key.Close].
func (d *desk) CloseKey(w *wireSign, reply *wireError) error {
	return d.run(reply, func(context.Context, *Module) error {
		d.mu.Lock()
		k := d.keys[w.Key]
		delete(d.keys, w.Key)
		d.mu.Unlock()
		if k == nil {
			return nil
		}
		return k.Close()
	})
}

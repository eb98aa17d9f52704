package gateway

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/secret"
)

// token is what an installation needs of the HSM: *hsm.Module in this process,
// or *hsm.Process in another.
type token interface {
	MAC(ctx context.Context, key hsm.MACKey, data []byte) ([]byte, error)
	Signer(label string) (crypto.Signer, error)
	EnsureSigner(ctx context.Context, label string, alg hsm.Algorithm) (made bool, err error)
	Generate(ctx context.Context, kek string, b hsm.Binding, subject []byte, pin secret.Text) (hsm.SealedKey, *x509.CertificateRequest, error)
	Unseal(ctx context.Context, b hsm.Binding, s hsm.SealedKey, pub crypto.PublicKey, pin secret.Text, u hsm.Use) (*hsm.Key, error)
	Reopen(ctx context.Context, share secret.Text, sealed, context []byte, pub crypto.PublicKey, u hsm.Use) (*hsm.Key, error)
	ChangePIN(ctx context.Context, b hsm.Binding, s hsm.SealedKey, pub crypto.PublicKey, old, new secret.Text) (hsm.Binding, hsm.SealedKey, error)
	SelfTest(ctx context.Context, kek string) error
	Canary(ctx context.Context, kek string) error
	BulkSessions(ctx context.Context) (int, error)
	Gauge(ctx context.Context) (hsm.Gauge, error)
	Keys(ctx context.Context) ([]hsm.KeyInfo, error)
	Close() error
}

// openToken opens the token of a configuration in a process of its own, or in
// this one when there is no way to start one.
func openToken(ctx context.Context, c *Config, how serving) (token, error) {
	h, err := hsmConfig(c)
	if err != nil {
		return nil, err
	}
	defer h.PIN.Wipe()
	defer h.Services.PIN.Wipe()
	h.Log, h.NoRecovery = how.log, how.noRecovery
	var t token
	if how.process == nil {
		t, err = hsm.Open(ctx, h)
	} else {
		t, err = hsm.StartProcess(ctx, h, how.process)
	}
	if err != nil {
		return nil, c.Token.openError(err)
	}
	return t, nil
}

// TokenProcess is the process that holds the token for a serving gateway, which
// has started it with a socket at file descriptor 3. It ends with the gateway.
// exit ends it at once, for a module that hangs.
func TokenProcess(log *slog.Logger, exit func(status int)) error {
	if err := shield(); err != nil {
		return err
	}
	f := os.NewFile(3, "gateway")
	conn, err := net.FileConn(f)
	if err != nil {
		return fmt.Errorf("taking the gateway's socket (this command is started by the gateway alone): %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("taking the gateway's socket: %w", err)
	}
	return hsm.ServeProcess(conn, log, exit)
}

// watchEvery is how often an idle token is asked for a trial signature, which is
// how its loss is noticed before somebody wants to sign.
const watchEvery = 5 * time.Second

// watch makes trial signatures until ctx ends. The token's own recovery says
// what became of it; here only what it does not know is said.
func (s *Server) watch(ctx context.Context) {
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	failing := false
	s.watching.Store(true)
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		err := s.trial(ctx)
		if ctx.Err() != nil {
			return
		}
		if failed := err != nil; failed != failing {
			failing = failed
			if failed {
				s.log.Error("trial signature failed", "error", err)
			} else {
				s.log.Info("trial signatures succeed again")
			}
		}
	}
}

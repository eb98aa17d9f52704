package gateway

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/hsm"
)

// reservedLabels are names in the token that no authority can have.
func reservedLabels() []string { return append(unitNames(), sealKey) }

// AuthorityInfo is an authority as `mohor ca list` shows it.
type AuthorityInfo struct {
	Name      string    `json:"name"`
	Parent    string    `json:"parent,omitempty"`
	Subject   string    `json:"subject,omitempty"` // RFC 4514; empty while it is being made
	Key       string    `json:"key,omitempty"`
	Training  bool      `json:"training,omitempty"`
	Successor string    `json:"successor,omitempty"`
	NotAfter  time.Time `json:"not_after"`
	CRL       int64     `json:"crl_number"`
	CRLUntil  time.Time `json:"crl_next_update"`
}

// Authorities lists the CAs of the installation.
func (i *Installation) Authorities(ctx context.Context) (out []AuthorityInfo, err error) {
	for _, x := range i.ca.List() {
		info := AuthorityInfo{Name: x.Name, Parent: x.Parent, Training: x.Training, Successor: x.Successor}
		if c := i.ca.Certificate(x.Name); c != nil {
			info.Subject, info.NotAfter = c.Subject.String(), c.NotAfter
			info.Key = keyKind(c.PublicKey)
		}
		crl, err := i.db.LatestCRL(ctx, x.Name)
		if err != nil && !errors.Is(err, ca.ErrUnknown) {
			return nil, err
		}
		info.CRL, info.CRLUntil = crl.Number, crl.NextUpdate
		out = append(out, info)
	}
	return out, nil
}

// CreateAuthority makes a root or an issuing CA with its key in the token, and says
// what it made. The record comes first, so that a key of that name which somebody
// put into the token before is never taken up ([hsm.ErrKeyExists]). Run again after
// an interruption it completes what is there.
func (i *Installation) CreateAuthority(ctx context.Context, actor string, x ca.Authority) (made []string, err error) {
	ring := i.keyring()
	unlock, err := ring.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if slices.Contains(reservedLabels(), x.Name) {
		return nil, fmt.Errorf("%w: %q is the name of another key", ca.ErrInvalid, x.Name)
	}
	known := slices.ContainsFunc(i.ca.List(), func(a ca.Authority) bool { return a.Name == x.Name })
	if _, err := i.hsm.Signer(x.Name); !known && !errors.Is(err, hsm.ErrNoKey) {
		if err == nil {
			err = fmt.Errorf("%w: %q, which nobody recorded: find out who made it", hsm.ErrKeyExists, x.Name)
		}
		return nil, err
	}
	if err := i.ca.Record(ctx, actor, x); err != nil {
		return nil, err
	}
	fresh, err := i.hsm.EnsureSigner(ctx, x.Name, hsm.Algorithm(x.Algorithm))
	if err != nil {
		return nil, fmt.Errorf("making key %q: %w", x.Name, err)
	}
	if fresh {
		made = append(made, "key "+x.Name)
	}
	if _, err := ring.record(ctx, actor, "ca init"); err != nil {
		return made, err
	}
	more, err := i.ca.Create(ctx, actor, x)
	if made = append(made, more...); err != nil {
		return made, err
	}
	_, err = i.mirrorRoots()
	return made, err
}

// mirrorRoots writes the trusted roots where administrators find them.
func (i *Installation) mirrorRoots() (wrote bool, err error) {
	return mirror(filepath.Join(i.Dir, "root.pem"), 0o644, rootsPEM(i.ca))
}

func rootsPEM(a *ca.Authorities) (out []byte) {
	for _, x := range a.Trusted() {
		if x.Parent == "" {
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate(x.Name).Raw})...)
		}
	}
	return out
}

// keyKind is the algorithm of a public key, as the HSM names it; "" for another.
func keyKind(pub crypto.PublicKey) string {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return fmt.Sprint("RSA-", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA-P" + fmt.Sprint(k.Params().BitSize)
	}
	return ""
}

// Rollover has the authority next issue in the place of name from now on.
func (i *Installation) Rollover(ctx context.Context, actor, name, next string) error {
	return i.ca.Rollover(ctx, actor, name, next)
}

// CrossSign has another root certify an issuing CA.
func (i *Installation) CrossSign(ctx context.Context, actor, name, by string) (*x509.Certificate, error) {
	return i.ca.CrossSign(ctx, actor, name, by)
}

// Chain gives the certificates from an authority to its root, or to the root via
// that has cross-signed it; ca.ErrUnknown when there is no such chain.
func (i *Installation) Chain(ctx context.Context, name, via string) ([]*x509.Certificate, error) {
	chain := i.ca.Chain(name)
	if len(chain) == 0 {
		return nil, fmt.Errorf("looking for the authority %q: %w", name, ca.ErrUnknown)
	}
	if via == "" || len(chain) > 1 && chain[1].Equal(i.ca.Certificate(via)) {
		return chain, nil
	}
	row, err := i.db.CrossCertificate(ctx, name, via)
	if err != nil {
		return nil, fmt.Errorf("looking for a certificate of %q by %q: %w", name, via, err)
	}
	cross, err := x509.ParseCertificate(row.DER)
	if err != nil {
		return nil, fmt.Errorf("parsing certificate %s: %w", row.Serial, err)
	}
	return append([]*x509.Certificate{cross}, i.ca.Chain(via)...), nil
}

// CRL gives an authority's revocation list, made anew when it is time, or with
// publish in any case.
func (i *Installation) CRL(ctx context.Context, name string, publish bool) (ca.CRL, error) {
	if publish {
		if i.ca.Certificate(name) == nil || slices.Contains(unitNames(), name) {
			return ca.CRL{}, fmt.Errorf("looking for the authority %q: %w", name, ca.ErrUnknown)
		}
		return i.ca.PublishCRL(ctx, name)
	}
	return i.ca.CRL(ctx, name)
}

package gateway

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/ceremony"
	"github.com/mohor-sign/mohor/internal/secret"
)

// Shares is the master secret of a ceremony, put together from enough shares. Wipe it soon.
type Shares struct {
	Ceremony string // by which people tell ceremonies apart
	master   *ceremony.Master
}

// OpenShares reads share files and puts the secret together. passphrase is asked for the
// passphrase of each custodian whose share has one, which OpenShares wipes. The error names the
// file at fault.
func OpenShares(paths []string, passphrase func(custodian string) (secret.Text, error)) (*Shares, error) {
	var shares []*ceremony.Share
	defer func() {
		for _, s := range shares {
			s.Wipe()
		}
	}()
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("reading share: %w", err)
		}
		s, err := ceremony.ParseShare(text)
		clear(text)
		if err == nil && s.Sealed() {
			var p secret.Text
			if p, err = passphrase(s.Custodian); err == nil {
				err = s.Open(p)
				p.Wipe()
			}
		}
		if err != nil {
			return nil, fmt.Errorf("reading share %s: %w", path, err)
		}
		shares = append(shares, s)
	}
	master, err := ceremony.Combine(shares)
	if err != nil {
		return nil, err
	}
	return &Shares{shares[0].Ceremony(), master}, nil
}

// Wipe overwrites the secret; see ceremony.Master.Wipe for what it cannot reach.
func (s *Shares) Wipe() { s.master.Wipe() }

// check computes what the check value of a key must be.
func (s *Shares) check(label string) (string, error) {
	key, err := s.master.Key(label)
	if err != nil {
		return "", err
	}
	defer clear(key)
	return ceremony.CheckValue(label, key)
}

// put imports a key.
func (s *Shares) put(ctx context.Context, m *hsm.Module, label string) error {
	key, err := s.master.Key(label)
	if err != nil {
		return err
	}
	defer clear(key)
	return m.Import(ctx, label, key)
}

// fit is ErrTranscript unless the shares are those that the token's keys came from.
func (s *Shares) fit(keys []Key) error {
	want, err := s.check(pepper)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(keys, func(k Key) bool { return k.Label == pepper && k.Check == want }) {
		return fmt.Errorf("%w: the shares of ceremony %s are not those of this token's keys", ErrTranscript, s.Ceremony)
	}
	return nil
}

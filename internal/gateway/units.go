package gateway

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/signer"
)

// unitNames are the authority's units that answer strangers.
func unitNames() []string { return []string{ca.TSA, ca.Responder} }

// units sees before a start to the keys and certificates of time-stamp unit and
// OCSP responder. Init makes them; an installation of an earlier release lacks
// them. A start makes a key only where neither the records nor the register know
// of one: one that was lost is not replaced without a word.
func (i *Installation) units(ctx context.Context, log *slog.Logger) error {
	ring := i.keyring()
	records, err := ring.records(ctx)
	if err != nil {
		return err
	}
	var missing []string
	for _, name := range unitNames() {
		_, err := i.db.AuthorityCertificate(ctx, name)
		if err != nil && !errors.Is(err, ca.ErrUnknown) {
			return fmt.Errorf("reading the %s certificate: %w", name, err)
		}
		if _, recorded := records[name]; err != nil && !recorded {
			missing = append(missing, name)
		}
	}
	if err := i.makeUnitKeys(ctx, ring, missing); err != nil {
		return err
	}
	if len(missing) > 0 {
		log.Info("keys of time-stamp unit and OCSP responder were made", "keys", strings.Join(missing, " "))
	}
	return i.renewUnits(ctx, log)
}

// makeUnitKeys makes keys and puts them on record. Interrupted between the two, it
// finds the key the next time.
func (i *Installation) makeUnitKeys(ctx context.Context, ring *Keyring, names []string) error {
	made := make(map[string]bool)
	for _, name := range names {
		if _, err := i.hsm.EnsureSigner(ctx, name, serviceSigners(&i.Config)[name]); err != nil {
			return fmt.Errorf("making key %q: %w", name, err)
		}
		made[name] = true
	}
	if len(made) == 0 {
		return nil
	}
	keys, err := ring.keys(ctx)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if made[k.Label] && k.Check != "" {
			if err := i.db.AuditAll(ctx, ring.keyEvent("gateway", "start", k)); err != nil {
				return fmt.Errorf("recording key %q: %w", k.Label, err)
			}
		}
	}
	return nil
}

// renewUnits renews the units' certificates where it is time.
func (i *Installation) renewUnits(ctx context.Context, log *slog.Logger) error {
	made, off, err := i.ca.Renew(ctx)
	for _, m := range made {
		log.Info("made", "what", m)
	}
	for _, name := range off {
		log.Error("a certificate of this key was revoked: it is not used", "key", name)
	}
	return err
}

// renewEvery is how often certificates of units are looked at: often enough to
// try again many times before the shortest-lived ends.
const renewEvery = 6 * time.Hour

// renew keeps the units certified until ctx ends.
func (s *Server) renew(ctx context.Context) {
	t := time.NewTicker(renewEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if err := s.renewUnits(ctx, s.log); err != nil && ctx.Err() == nil {
			s.log.Error("renewing certificates of time-stamp unit and OCSP responder", "error", err)
		}
	}
}

// revocation is the authority as signer asks it; a pdf.Timestamper it is already.
type revocation struct{ a *ca.Authorities }

var (
	_ pdf.Timestamper   = (*ca.Authorities)(nil)
	_ signer.Revocation = revocation{}
)

// Revocation implements signer.Revocation.
func (r revocation) Revocation(ctx context.Context, cert, issuer *x509.Certificate, since time.Time) (pdf.Answer, error) {
	ocsp, crl, err := r.a.RevocationSince(ctx, cert, issuer, since)
	return pdf.Answer{OCSP: ocsp, CRL: crl}, err
}

package ca

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/mohor-sign/mohor/audit"
)

// PublishCRL makes and stores the authority's next CRL (RFC 5280, Section 5). When
// another process stored one meanwhile, that is the one.
func (a *Authorities) PublishCRL(ctx context.Context, name string) (CRL, error) {
	a.crlMu.Lock()
	defer a.crlMu.Unlock()
	return a.publish(ctx, name)
}

// CRL returns the current CRL. It is made anew when half of its time has passed, so
// that a mirror never holds an expired one, and when a status has changed since.
// ErrUnknown when there is no such authority.
func (a *Authorities) CRL(ctx context.Context, name string) (CRL, error) {
	if a.set.Load().certs[name] == nil && a.fresh().certs[name] == nil {
		return CRL{}, ErrUnknown
	}
	a.crlMu.Lock()
	defer a.crlMu.Unlock()
	c, current, err := a.current(ctx, name)
	if err != nil || current {
		return c, err
	}
	return a.publish(ctx, name)
}

// PublishedCRL returns the newest CRL that was published, without a signature:
// whoever keeps the installation running calls CRL, strangers' requests lead here.
// Only one that has ended is made anew. It also answers while the database cannot
// be written. ErrUnknown when there is no such authority.
func (a *Authorities) PublishedCRL(ctx context.Context, name string) (CRL, error) {
	if a.set.Load().certs[name] == nil && a.fresh().certs[name] == nil {
		return CRL{}, ErrUnknown
	}
	c, err := a.records.LatestCRL(ctx, name)
	if errors.Is(err, ErrUnknown) || err == nil && !a.now().Before(c.NextUpdate) {
		return a.CRL(ctx, name)
	}
	return c, err
}

// current reads the newest CRL and says whether it is young enough and holds all.
func (a *Authorities) current(ctx context.Context, name string) (c CRL, ok bool, err error) {
	c, err = a.records.LatestCRL(ctx, name)
	if errors.Is(err, ErrUnknown) {
		return c, false, nil
	}
	if err != nil || !a.now().Before(c.ThisUpdate.Add(c.NextUpdate.Sub(c.ThisUpdate)/2)) {
		return c, false, err
	}
	last, err := a.records.LastChange(ctx, name)
	return c, err == nil && c.Covers >= last, err
}

// publishTries bounds how often a CRL is made when other processes are faster and
// theirs lacks what this one must have.
const publishTries = 12

func (a *Authorities) publish(ctx context.Context, name string) (c CRL, err error) {
	for range publishTries {
		c, err = a.makeCRL(ctx, name)
		if !errors.Is(err, ErrExists) {
			return c, err
		}
		// Its number was taken meanwhile. That list was made just now: it will do if it
		// holds what changed before.
		if c, ok, err := a.current(ctx, name); err != nil || ok {
			return c, err
		}
	}
	return CRL{}, err
}

func (a *Authorities) makeCRL(ctx context.Context, name string) (CRL, error) {
	// In this order: what changes after the first question may be in the list, and is
	// then listed once more by the next.
	changes, err := a.records.LastChange(ctx, name)
	if err != nil {
		return CRL{}, fmt.Errorf("reading changes of status: %w", err)
	}
	last, err := a.records.LatestCRL(ctx, name)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return CRL{}, fmt.Errorf("reading the last CRL: %w", err)
	}
	revoked, err := a.records.Listed(ctx, name)
	if err != nil {
		return CRL{}, fmt.Errorf("listing revoked certificates: %w", err)
	}
	key, err := a.keys.Signer(ctx, name)
	if err != nil {
		return CRL{}, err
	}
	now := a.now().UTC().Truncate(time.Second)
	t := &x509.RevocationList{Number: big.NewInt(last.Number + 1), ThisUpdate: now, NextUpdate: now.Add(a.profile.CRLFor)}
	for _, c := range revoked {
		n, ok := new(big.Int).SetString(c.Serial, 10)
		if !ok {
			return CRL{}, fmt.Errorf("reading serial number %q of a revoked certificate: not decimal", c.Serial)
		}
		t.RevokedCertificateEntries = append(t.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: n, RevocationTime: c.RevokedAt, ReasonCode: c.Reason})
	}
	der, err := x509.CreateRevocationList(rand.Reader, t, a.set.Load().certs[name], key)
	if err != nil {
		return CRL{}, fmt.Errorf("signing the %s CRL: %w", name, err)
	}
	c := CRL{Issuer: name, Number: last.Number + 1, DER: der, ThisUpdate: t.ThisUpdate, NextUpdate: t.NextUpdate, Covers: changes}
	// Older lists are not kept: that they were there, and what they were, is in the audit.
	sum := sha256.Sum256(der)
	ev := audit.Event{At: now, Actor: "gateway", Action: "ca.crl", Object: name, Verdict: audit.Accepted,
		Detail: map[string]string{"number": fmt.Sprint(c.Number), "revoked": fmt.Sprint(len(revoked)), "sha256": hex.EncodeToString(sum[:]),
			"this_update": c.ThisUpdate.Format(time.RFC3339), "next_update": c.NextUpdate.Format(time.RFC3339)}}
	if err := a.records.StoreCRL(ctx, c, ev); err != nil {
		return CRL{}, fmt.Errorf("storing the %s CRL: %w", name, err)
	}
	return c, nil
}

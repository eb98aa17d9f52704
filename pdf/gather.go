package pdf

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/pdf/revocation"
)

// maxResponders bounds the paths of responders to answers about responders.
const maxResponders = 4

// skew is how much the clocks of a responder and of a time-stamping authority
// may differ.
const skew = 5 * time.Minute

// errMissing: the document lacks evidence, and nobody is to be asked.
var errMissing = errors.New("evidence is missing")

// gatherer collects the evidence for one signature.
type gatherer struct {
	x      *extender
	source Revocation // nil: only what the document holds
	known  []*x509.Certificate
	out    Evidence
	seen   map[string]bool
	fresh  *Evidence // fetched for all signatures of a document
}

// collect returns the evidence of each signature: what the document holds, and
// what the source, unless nil, has to add. Without one the error is errMissing
// when something is lacking.
func (x *extender) collect(ctx context.Context, seals []seal, source Revocation) (map[string]Evidence, error) {
	all := make(map[string]Evidence)
	fresh := &Evidence{}
	for i := range seals {
		s := &seals[i]
		g := &gatherer{x: x, source: source, seen: make(map[string]bool), fresh: fresh}
		g.known = slices.Concat(x.s.Intermediates, s.others, x.held)
		at, ok := x.time(s)
		if !ok {
			at = x.s.Now()
		}
		if s.signer != nil {
			if err := g.path(ctx, s.signer, x.s.Roots, at, 0); err != nil {
				return nil, fmt.Errorf("collecting evidence for signature %q: %w", s.field, err)
			}
		}
		for _, token := range s.tokens {
			g.known = append(g.known, token.Others...)
			if err := g.path(ctx, token.Certificate, x.s.TSARoots, token.Time, 0); err != nil {
				return nil, fmt.Errorf("collecting evidence for a time-stamp of signature %q: %w", s.field, err)
			}
		}
		all[s.field] = g.out
	}
	return all, nil
}

// intermediates are the certificates for paths.
func (g *gatherer) intermediates() *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range g.known {
		pool.AddCert(c)
	}
	return pool
}

// path collects the evidence for a certificate at a time and for all above it up to
// one of roots.
func (g *gatherer) path(ctx context.Context, leaf *x509.Certificate, roots *x509.CertPool, at time.Time, depth int) error {
	if g.seen[string(leaf.Raw)] {
		return nil
	}
	if depth > maxResponders {
		return fmt.Errorf("more than %d responders answer for each other", maxResponders)
	}
	chain, err := g.x.memory.path(leaf, roots, at, g.intermediates)
	if err != nil {
		return err
	}
	for i, cert := range chain {
		if g.seen[string(cert.Raw)] {
			continue
		}
		g.seen[string(cert.Raw)] = true
		g.out.Certificates = append(g.out.Certificates, cert.Raw)
		if i == len(chain)-1 { // the trust anchor
			break
		}
		if err := g.status(ctx, cert, chain[i+1], roots, at, depth); err != nil {
			return fmt.Errorf("status of certificate %x: %w", cert.SerialNumber, err)
		}
	}
	return nil
}

// status collects an answer about a certificate.
func (g *gatherer) status(ctx context.Context, cert, issuer *x509.Certificate, roots *x509.CertPool, at time.Time, depth int) error {
	answer, ok := g.held(cert, issuer, at)
	if !ok {
		if g.source == nil {
			return errMissing
		}
		var err error
		if answer, err = g.source.Revocation(ctx, cert, issuer); err != nil {
			return fmt.Errorf("asking: %w", err)
		}
		if len(answer.OCSP) == 0 && len(answer.CRL) == 0 {
			return errors.New("no answer")
		}
		g.fresh.OCSPs = append(g.fresh.OCSPs, answer.OCSP)
		g.fresh.CRLs = append(g.fresh.CRLs, answer.CRL)
	}
	if len(answer.CRL) > 0 {
		if _, err := g.x.memory.readCRL(answer.CRL, cert, issuer); err != nil {
			return err
		}
		g.out.CRLs = append(g.out.CRLs, answer.CRL)
	}
	if len(answer.OCSP) == 0 {
		return nil
	}
	response, err := g.x.memory.readOCSP(answer.OCSP, cert, issuer)
	if err != nil {
		return err
	}
	g.out.OCSPs = append(g.out.OCSPs, answer.OCSP)
	responder := response.Certificate
	if responder == nil || bytes.Equal(responder.Raw, issuer.Raw) {
		return nil
	}
	if revocation.NoCheck(responder) {
		if !g.seen[string(responder.Raw)] {
			g.seen[string(responder.Raw)] = true
			g.out.Certificates = append(g.out.Certificates, responder.Raw)
		}
		return nil
	}
	return g.path(ctx, responder, roots, response.ProducedAt, depth+1)
}

// held looks for an answer in the document, and among those fetched for it.
// Anybody may have put them there: what a verifier would not believe is passed
// over.
func (g *gatherer) held(cert, issuer *x509.Certificate, at time.Time) (Answer, bool) {
	current := func(this, next time.Time) bool {
		return !this.Before(at.Add(-skew)) || !next.IsZero() && !next.Before(at)
	}
	held := g.x.store.held
	for _, der := range slices.Concat(held.OCSPs, g.fresh.OCSPs) {
		if r, err := g.x.memory.readOCSP(der, cert, issuer); err == nil && current(r.ThisUpdate, r.NextUpdate) {
			return Answer{OCSP: der}, true
		}
	}
	for _, der := range slices.Concat(held.CRLs, g.fresh.CRLs) {
		if crl, err := g.x.memory.readCRL(der, cert, issuer); err == nil && current(crl.ThisUpdate, crl.NextUpdate) {
			return Answer{CRL: der}, true
		}
	}
	return Answer{}, false
}

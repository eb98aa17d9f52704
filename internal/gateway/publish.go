package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/mohor-sign/mohor/api"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/store"
)

// Pauses of the publisher: CRLs and revocations to come are looked at each
// publishEvery; what failed is tried again sooner.
const (
	publishEvery = time.Minute
	publishAgain = 5 * time.Second
)

// publisher does the revocations that are due and keeps every authority's CRL
// published. Gateways that share a database may all have one: of two that publish
// at once one takes the other's.
type publisher struct {
	ca  *ca.Authorities
	db  *store.DB
	now func() time.Time
	log *slog.Logger

	failures int              // steps since one went well
	numbers  map[string]int64 // of the CRLs seen, by authority; not nil
}

// run works until ctx ends.
func (p *publisher) run(ctx context.Context) {
	for pause := time.Duration(0); ; pause = p.step(ctx) {
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}

// step does what is to be done now and says when to come back.
func (p *publisher) step(ctx context.Context) time.Duration {
	if err := errors.Join(p.revoke(ctx), p.publish(ctx)); err != nil {
		if ctx.Err() == nil {
			p.log.Error("keeping CRLs published; trying again", "error", err)
		}
		p.failures++
		return min(publishAgain<<min(p.failures-1, 8), publishEvery)
	}
	p.failures = 0
	next, err := p.ca.ScheduledUntil(ctx, p.now().Add(publishEvery), 1)
	if err != nil || len(next) == 0 {
		return publishEvery
	}
	return max(next[0].At.Sub(p.now()), time.Second)
}

// revoke does what is due. Without it nothing that was interrupted may go on: see
// prove.
func (p *publisher) revoke(ctx context.Context) error {
	done, err := p.ca.RevokeDue(ctx)
	for _, s := range done {
		p.log.Info("certificate revoked as scheduled", "serial_number", s.Serial, "reason", ca.ReasonName(s.Reason), "due", s.At, "by", s.Actor)
		if late := p.now().Sub(s.At); late > publishEvery {
			p.log.Warn("the revocation is late", "serial_number", s.Serial, "late", late.Round(time.Second))
		}
	}
	return err
}

// publish makes the CRLs that are due and tells of those that are not made in time.
func (p *publisher) publish(ctx context.Context) error {
	if err := p.ca.Refresh(ctx); err != nil {
		return err
	}
	var errs []error
	for _, x := range p.ca.List() {
		c, err := p.ca.CRL(ctx, x.Name)
		switch {
		case errors.Is(err, ca.ErrUnknown) && p.ca.Certificate(x.Name) == nil: // being made
		case err != nil:
			errs = append(errs, err)
		default:
			if last, seen := p.numbers[x.Name]; seen && last != c.Number {
				p.log.Info("CRL published", "ca", x.Name, "number", c.Number, "until", c.NextUpdate)
			}
			p.numbers[x.Name] = c.Number
		}
	}
	if err := freshCRLs(ctx, p.ca, p.db, p.now()); err != nil {
		p.log.Error("CRL is stale", "error", err)
	}
	return errors.Join(errs...)
}

// staleCRL says whether three quarters of a CRL's life have passed: a new one was
// due at half of it.
func staleCRL(c ca.CRL, now time.Time) bool {
	return now.After(c.NextUpdate.Add(-c.NextUpdate.Sub(c.ThisUpdate) / 4))
}

// freshCRLs names the authorities whose newest CRL is stale. It is no reason to send
// an application to another gateway, which would have the same: hence ErrDegraded.
func freshCRLs(ctx context.Context, a *ca.Authorities, db *store.DB, now time.Time) error {
	var errs []error
	for _, x := range a.List() {
		if a.Certificate(x.Name) == nil {
			continue
		}
		c, err := db.LatestCRL(ctx, x.Name)
		switch {
		case err != nil:
			return fmt.Errorf("reading the %s CRL: %w", x.Name, err)
		case staleCRL(c, now):
			errs = append(errs, fmt.Errorf("%w: CRL %d of %s, which ends %s", api.ErrDegraded, c.Number, x.Name, c.NextUpdate.Format(time.RFC3339)))
		}
	}
	return errors.Join(errs...)
}

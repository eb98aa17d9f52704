package store

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// atOnce is how many of another CA's certificates are looked at together.
const atOnce = 1000

// ReserveExternal implements ca.ExternalRecords.
func (d *DB) ReserveExternal(ctx context.Context, c ca.Certificate, abandoned time.Time, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		// The write lock is held: another process asks either before this or after.
		old, err := certificate(q.CertificateOf(ctx, c.Credential))
		switch {
		case err == nil && old.Status == ca.Active:
			return ca.ErrExists
		case err != nil && !errors.Is(err, ca.ErrUnknown):
			return err
		}
		open, err := q.OpenExternal(ctx, c.Credential)
		if err != nil {
			return err
		}
		for _, o := range open {
			if instant(o.CreatedAt).After(abandoned) {
				return ca.ErrAsking
			}
			serial := o.Serial
			discard := audit.Event{At: ev.At, Actor: ev.Actor, Action: "ca.discard", Object: serial, Verdict: audit.Noted,
				Detail: map[string]string{"issuer": ca.ExternalIssuer, "reason": "asked for again"}}
			if err := putRevocation(ctx, q, serial, 0, ev.At, time.Time{}, discard); err != nil {
				return err
			}
		}
		return reserve(ctx, q, c, ev)
	})
}

// putRevocation puts a serial number among those that the other CA is to revoke,
// with its event, unless it is there.
func putRevocation(ctx context.Context, q *sqlc.Queries, serial string, reason int, at, told time.Time, ev audit.Event) error {
	n, err := q.PutExternalRevocation(ctx, sqlc.PutExternalRevocationParams{Serial: serial, Reason: int64(reason), CreatedAt: micros(at), ToldAt: micros(told)})
	if err != nil || n == 0 {
		return err
	}
	return appendEvent(ctx, q, ev)
}

// tellExternal puts a certificate of another CA, just revoked, among those that it is
// to revoke. The event is that of its revocation.
func tellExternal(ctx context.Context, q *sqlc.Queries, serial string, at time.Time, reason int) error {
	c, err := q.CertificateBySerial(ctx, serial)
	if err != nil || !ca.IsExternal(c.Issuer) {
		return err
	}
	_, err = q.PutExternalRevocation(ctx, sqlc.PutExternalRevocationParams{Serial: serial, Reason: int64(reason), CreatedAt: micros(at)})
	return err
}

// StoreExternal implements ca.ExternalRecords.
func (d *DB) StoreExternal(ctx context.Context, c ca.Certificate, chain []*x509.Certificate, ev audit.Event) error {
	var raw []byte
	for _, x := range chain {
		raw = append(raw, x.Raw...)
	}
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		if err := conflict(ctx, q, c); err != nil {
			return err
		}
		n, err := q.StoreExternal(ctx, sqlc.StoreExternalParams{Der: personal.Bytes{V: c.DER}, Issuer: c.Issuer, NotBefore: micros(c.NotBefore), NotAfter: micros(c.NotAfter), Serial: c.Serial})
		if err != nil {
			return err
		}
		if n != 1 {
			return ca.ErrUnknown
		}
		return q.PutExternalChain(ctx, sqlc.PutExternalChainParams{Issuer: c.Issuer, Chain: raw, CreatedAt: micros(ev.At)})
	})
}

// ExternalChain implements ca.ExternalRecords.
func (d *DB) ExternalChain(ctx context.Context, issuer string) ([]*x509.Certificate, error) {
	raw, err := d.q.ExternalChain(ctx, issuer)
	if err != nil {
		return nil, absent(err, ca.ErrUnknown)
	}
	chain, err := x509.ParseCertificates(bytes.Clone(raw))
	if err == nil && len(chain) == 0 {
		err = errors.New("it is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("parsing the certificates above those of %q: %w", issuer, err)
	}
	return chain, nil
}

// Discard implements ca.ExternalRecords.
func (d *DB) Discard(ctx context.Context, serial string, nothing bool, ev audit.Event) error {
	var told time.Time
	if nothing {
		told = ev.At
	}
	return d.tx(ctx, func(q *sqlc.Queries) error { return putRevocation(ctx, q, serial, 0, ev.At, told, ev) })
}

// StaleExternal implements ca.ExternalRecords.
func (d *DB) StaleExternal(ctx context.Context, before time.Time) ([]string, error) {
	return d.q.StaleExternal(ctx, sqlc.StaleExternalParams{Before: micros(before), Lim: atOnce})
}

// UntoldExternal implements ca.ExternalRecords.
func (d *DB) UntoldExternal(ctx context.Context) (out []ca.Certificate, err error) {
	rows, err := d.q.UntoldExternal(ctx, atOnce)
	for _, r := range rows {
		out = append(out, ca.Certificate{Serial: r.Serial, Reason: int(r.Reason)})
	}
	return out, err
}

// ToldExternal implements ca.ExternalRecords.
func (d *DB) ToldExternal(ctx context.Context, serial string, ev audit.Event) error {
	return d.tx(ctx, func(q *sqlc.Queries) error {
		n, err := q.ToldExternal(ctx, sqlc.ToldExternalParams{ToldAt: micros(ev.At), Serial: serial})
		if err != nil || n == 0 {
			return err
		}
		return appendEvent(ctx, q, ev)
	})
}

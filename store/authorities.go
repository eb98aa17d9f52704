package store

import (
	"context"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// CertificateOf implements ca.Records.
func (d *DB) CertificateOf(ctx context.Context, credential string) (ca.Certificate, error) {
	return certificate(d.q.CertificateOf(ctx, credential))
}

// CrossCertificate implements ca.Records.
func (d *DB) CrossCertificate(ctx context.Context, name, issuer string) (ca.Certificate, error) {
	return certificate(d.q.CrossCertificate(ctx, sqlc.CrossCertificateParams{CredentialID: "authority:" + name, Issuer: issuer}))
}

// Authorities implements ca.Records.
func (d *DB) Authorities(ctx context.Context) ([]ca.Authority, error) {
	rows, err := d.q.Authorities(ctx)
	if err != nil {
		return nil, err
	}
	var out []ca.Authority
	for _, r := range rows {
		out = append(out, ca.Authority{Name: r.Name, Parent: r.Parent, Algorithm: r.Algorithm, Training: r.Training != 0, Successor: r.Successor, CreatedAt: instant(r.CreatedAt)})
	}
	return out, nil
}

// PutAuthority implements ca.Records.
func (d *DB) PutAuthority(ctx context.Context, a ca.Authority, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		n, err := q.PutAuthority(ctx, sqlc.PutAuthorityParams{Name: a.Name, Parent: a.Parent, Algorithm: a.Algorithm, Training: flag(a.Training), CreatedAt: micros(ev.At)})
		if err == nil && n == 0 {
			err = ca.ErrExists
		}
		return err
	})
}

// Succeed implements ca.Records.
func (d *DB) Succeed(ctx context.Context, name, successor string, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		n, err := q.Succeed(ctx, sqlc.SucceedParams{Successor: successor, Name: name})
		if err == nil && n == 0 {
			err = ca.ErrExists
		}
		return err
	})
}

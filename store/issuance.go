package store

import (
	"context"
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// ReserveSerial implements ca.Records.
func (d *DB) ReserveSerial(ctx context.Context, c ca.Certificate, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error { return reserve(ctx, q, c, ev) })
}

// reserve inserts c unless it conflicts with the certificates of its key.
func reserve(ctx context.Context, q *sqlc.Queries, c ca.Certificate, ev audit.Event) error {
	if err := conflict(ctx, q, c); err != nil {
		return err
	}
	return q.ReserveSerial(ctx, sqlc.ReserveSerialParams{Serial: c.Serial, Issuer: c.Issuer, Subject: personal.DN{V: c.Subject, Public: ofAuthority(c.Credential)}, CredentialID: c.Credential, Der: personal.Bytes{},
		NotBefore: micros(c.NotBefore), NotAfter: micros(c.NotAfter), CreatedAt: micros(ev.At), KeyHash: notNull(c.Key), Intent: personal.Bytes{V: c.Intent, Public: ofAuthority(c.Credential)}})
}

// ofAuthority: a certificate of that credential is published, and read where no key of personal
// fields is at hand.
func ofAuthority(credential string) bool { return strings.HasPrefix(credential, "authority:") }

// StoreCertificate implements ca.Records.
func (d *DB) StoreCertificate(ctx context.Context, serial string, der []byte, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		c, err := certificate(q.CertificateBySerial(ctx, serial))
		if err != nil {
			return err
		}
		if err := conflict(ctx, q, c); err != nil {
			return err
		}
		n, err := q.StoreCertificate(ctx, sqlc.StoreCertificateParams{Der: personal.Bytes{V: der, Public: ofAuthority(c.Credential)}, Serial: serial})
		if err == nil && n != 1 {
			err = ca.ErrUnknown
		}
		return err
	})
}

// conflict judges c beside the certificates of its key; the write lock is held.
func conflict(ctx context.Context, q *sqlc.Queries, c ca.Certificate) error {
	others, err := byKey(ctx, q, c.Key)
	if err != nil {
		return err
	}
	return ca.Conflict(c, others)
}

// CertificatesByKey implements ca.Records.
func (d *DB) CertificatesByKey(ctx context.Context, key []byte) ([]ca.Certificate, error) {
	return byKey(ctx, d.q, key)
}

func byKey(ctx context.Context, q *sqlc.Queries, key []byte) ([]ca.Certificate, error) {
	if len(key) == 0 {
		return nil, nil
	}
	rows, err := q.CertificatesByKey(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("reading certificates of a key: %w", err)
	}
	out := make([]ca.Certificate, len(rows))
	for k, row := range rows {
		out[k], _ = certificate(row, nil) // it only fails for the error given
	}
	return out, nil
}

// hashKeys is the part of migration 11 that SQL cannot do: certificates of an earlier
// release get the hash of their key. It is done again with no effect.
func (d *DB) hashKeys(ctx context.Context) error {
	const page = 1000
	for after := ""; ; {
		rows, err := d.q.CertificatesWithoutKey(ctx, sqlc.CertificatesWithoutKeyParams{None: []byte{}, After: after, Lim: page})
		if err != nil || len(rows) == 0 { // as at every start but one: nothing is written
			return err
		}
		after = rows[len(rows)-1].Serial
		err = d.tx(ctx, func(q *sqlc.Queries) error {
			for _, r := range rows {
				c, err := x509.ParseCertificate(r.Der.V)
				if err != nil {
					continue // what nobody can read has no key
				}
				if err := q.SetCertificateKey(ctx, sqlc.SetCertificateKeyParams{KeyHash: ca.KeyHash(c.RawSubjectPublicKeyInfo), Serial: r.Serial}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("hashing keys of certificates: %w", err)
		}
	}
}

// notNull is b, empty where it is nil, which would be NULL.
func notNull(b []byte) []byte { return append([]byte{}, b...) }

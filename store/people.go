package store

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/notify"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// PutOfficer implements enrol.Records.
func (d *DB) PutOfficer(ctx context.Context, o enrol.Officer, system, medium string, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		if err := q.PutOfficer(ctx, sqlc.PutOfficerParams{Ic: personal.IC(o.IC), Name: personal.Name(o.Name), Email: personal.Address(o.Email), CreatedAt: micros(ev.At)}); err != nil {
			return err
		}
		return q.PutMedium(ctx, sqlc.PutMediumParams{Ic: personal.IC(o.IC), System: system, Medium: medium})
	})
}

// Officer implements enrol.Records.
func (d *DB) Officer(ctx context.Context, ic string) (enrol.Officer, []enrol.Medium, error) {
	return officerOf(ctx, d.q, ic)
}

func officerOf(ctx context.Context, q *sqlc.Queries, ic string) (enrol.Officer, []enrol.Medium, error) {
	o, err := q.Officer(ctx, personal.IC(ic))
	if err != nil {
		return enrol.Officer{}, nil, absent(err, enrol.ErrUnknown)
	}
	media, err := q.Media(ctx, personal.IC(ic))
	if err != nil {
		return enrol.Officer{}, nil, err
	}
	creds, err := q.CredentialsOf(ctx, personal.IC(ic))
	if err != nil {
		return enrol.Officer{}, nil, err
	}
	var out []enrol.Medium
	for _, m := range media {
		n := len(out)
		for _, c := range creds {
			if c.System == m.System {
				out = append(out, enrol.Medium{Medium: m.Medium, Status: m.Status, System: m.System, Credential: c.ID, Algorithm: c.Algorithm,
					KeyStatus: c.Status, Serial: c.Serial, DER: c.Der.V})
			}
		}
		if len(out) == n {
			out = append(out, enrol.Medium{Medium: m.Medium, Status: m.Status, System: m.System})
		}
	}
	return enrol.Officer{IC: string(o.Ic), Name: string(o.Name), Email: string(o.Email)}, out, nil
}

// PutCredential implements enrol.Records.
func (d *DB) PutCredential(ctx context.Context, c enrol.Credential, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		if err := d.putCredential(ctx, q, c, notify.CertificateIssued, ev); err != nil {
			return err
		}
		return appendEvent(ctx, q, keyVersion(ev, c.ID, int64(c.Version), c.Sealed))
	})
}

// putCredential stores a credential whose key is on record, or is put there with it.
func (d *DB) putCredential(ctx context.Context, q *sqlc.Queries, c enrol.Credential, notice string, ev audit.Event) error {
	// The write lock is held: a revocation is either before this or finds the key.
	cert, err := certificate(q.CertificateBySerial(ctx, c.Serial))
	switch {
	case err != nil:
		return err
	case cert.Status == ca.Revoked:
		return ca.ErrRevoked
	case cert.Status == ca.Suspended:
		return ca.ErrSuspended
	case cert.Status != ca.Active:
		return ca.ErrUnknown
	}
	err = q.PutCredential(ctx, sqlc.PutCredentialParams{ID: c.ID, Ic: personal.IC(c.IC), System: c.System, Algorithm: c.Algorithm, Version: int64(c.Version),
		Sealed: c.Sealed, Serial: c.Serial, Image: c.Image, CreatedAt: micros(c.CreatedAt), RemindAt: micros(enrol.NextReminder(cert.NotAfter, ev.At))})
	if err != nil {
		return err
	}
	if err := livesUnder(ctx, q, c.ID); err != nil {
		return err
	}
	return addNotice(ctx, q, c.IC, notice, ev.At, map[string]string{"system": c.System, "serial": c.Serial, "until": cert.NotAfter.UTC().Format(time.RFC3339)})
}

func certificate(c sqlc.Certificate, err error) (ca.Certificate, error) {
	if err != nil {
		return ca.Certificate{}, absent(err, ca.ErrUnknown)
	}
	return ca.Certificate{Serial: c.Serial, Issuer: c.Issuer, Subject: c.Subject.V, Credential: c.CredentialID, Status: c.Status, DER: c.Der.V,
		NotBefore: instant(c.NotBefore), NotAfter: instant(c.NotAfter), RevokedAt: instant(c.RevokedAt), Reason: int(c.Reason), Key: c.KeyHash, Intent: c.Intent.V}, nil
}

// commonName is the subject's in a certificate; "" in one that nobody can read.
func commonName(der []byte) string {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return ""
	}
	return c.Subject.CommonName
}

// CertificateBySerial implements ca.Records.
func (d *DB) CertificateBySerial(ctx context.Context, serial string) (ca.Certificate, error) {
	return certificate(d.q.CertificateBySerial(ctx, serial))
}

// AuthorityCertificate implements ca.Records.
func (d *DB) AuthorityCertificate(ctx context.Context, name string) (ca.Certificate, error) {
	return certificate(d.q.AuthorityCertificate(ctx, sqlc.AuthorityCertificateParams{Name: name, CredentialID: "authority:" + name}))
}

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/notify"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// PutOfficer implements enrol.Records.
func (d *DB) PutOfficer(ctx context.Context, o enrol.Officer, system, medium string, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		if err := q.PutOfficer(ctx, sqlc.PutOfficerParams{Ic: o.IC, Name: o.Name, Email: o.Email, CreatedAt: micros(ev.At)}); err != nil {
			return err
		}
		return q.PutMedium(ctx, sqlc.PutMediumParams{Ic: o.IC, System: system, Medium: medium})
	})
}

// Officer implements enrol.Records.
func (d *DB) Officer(ctx context.Context, ic string) (enrol.Officer, []enrol.Medium, error) {
	o, err := d.q.Officer(ctx, ic)
	if err != nil {
		return enrol.Officer{}, nil, absent(err, enrol.ErrUnknown)
	}
	media, err := d.q.Media(ctx, ic)
	if err != nil {
		return enrol.Officer{}, nil, err
	}
	creds, err := d.q.CredentialsOf(ctx, ic)
	if err != nil {
		return enrol.Officer{}, nil, err
	}
	var out []enrol.Medium
	for _, m := range media {
		n := len(out)
		for _, c := range creds {
			if c.System == m.System {
				out = append(out, enrol.Medium{Medium: m.Medium, Status: m.Status, System: m.System, Credential: c.ID, Algorithm: c.Algorithm,
					KeyStatus: c.Status, Serial: c.Serial, DER: c.Der})
			}
		}
		if len(out) == n {
			out = append(out, enrol.Medium{Medium: m.Medium, Status: m.Status, System: m.System})
		}
	}
	return enrol.Officer{IC: o.Ic, Name: o.Name, Email: o.Email}, out, nil
}

// PutCredential implements enrol.Records.
func (d *DB) PutCredential(ctx context.Context, c enrol.Credential, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		// The write lock is held: a revocation is either before this or finds the key.
		cert, err := certificate(q.CertificateBySerial(ctx, c.Serial))
		switch {
		case err != nil:
			return err
		case cert.Status == ca.Revoked:
			return ca.ErrRevoked
		case cert.Status != ca.Active:
			return ca.ErrUnknown
		}
		err = q.PutCredential(ctx, sqlc.PutCredentialParams{ID: c.ID, Ic: c.IC, System: c.System, Algorithm: c.Algorithm, Version: int64(c.Version),
			Sealed: c.Sealed, Serial: c.Serial, CreatedAt: micros(c.CreatedAt)})
		if err != nil {
			return err
		}
		if err := livesUnder(ctx, q, c.ID); err != nil {
			return err
		}
		err = addNotice(ctx, q, c.IC, notify.CertificateIssued, ev.At, map[string]string{"system": c.System, "serial": c.Serial, "until": cert.NotAfter.UTC().Format(time.RFC3339)})
		if err != nil {
			return err
		}
		return appendEvent(ctx, q, keyVersion(ev, c.ID, int64(c.Version), c.Sealed))
	})
}

// PutAdministrator implements enrol.Records.
func (d *DB) PutAdministrator(ctx context.Context, a enrol.Administrator, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		n, err := q.PutAdministrator(ctx, sqlc.PutAdministratorParams{Email: a.Email, Name: a.Name, Role: a.Role, CreatedAt: micros(ev.At)})
		if err == nil && n == 0 {
			err = enrol.ErrExists
		}
		return err
	})
}

// Administrators implements enrol.Records.
func (d *DB) Administrators(ctx context.Context) (int, error) {
	n, err := d.q.Administrators(ctx)
	return int(n), err
}

// PutApp implements enrol.Records.
func (d *DB) PutApp(ctx context.Context, a enrol.App, ev audit.Event) error {
	systems, err := json.Marshal(a.Systems)
	if err != nil {
		return err
	}
	grants, err := json.Marshal(a.Grants)
	if err != nil {
		return err
	}
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		n, err := q.PutApp(ctx, sqlc.PutAppParams{ID: a.ID, Name: a.Name, Systems: string(systems), Grants: string(grants), PinEntry: a.PINEntry,
			Rate: a.Rate, SecretHash: a.SecretHash[:], KeyHash: a.KeyHash[:], CreatedAt: micros(a.CreatedAt)})
		if err == nil && n == 0 {
			err = enrol.ErrExists
		}
		return err
	})
}

func app(row sqlc.App, err error) (enrol.App, error) {
	if err != nil {
		return enrol.App{}, absent(err, enrol.ErrUnknown)
	}
	a := enrol.App{ID: row.ID, Name: row.Name, PINEntry: row.PinEntry, Rate: row.Rate, CreatedAt: instant(row.CreatedAt)}
	if len(row.SecretHash) != 32 || len(row.KeyHash) != 32 {
		return enrol.App{}, fmt.Errorf("reading app %q: hashes must have 32 bytes", row.ID)
	}
	a.SecretHash, a.KeyHash = [32]byte(row.SecretHash), [32]byte(row.KeyHash)
	if err := errors.Join(json.Unmarshal([]byte(row.Systems), &a.Systems), json.Unmarshal([]byte(row.Grants), &a.Grants)); err != nil {
		return enrol.App{}, fmt.Errorf("reading app %q: %w", row.ID, err)
	}
	return a, nil
}

// AppByID implements enrol.Records.
func (d *DB) AppByID(ctx context.Context, id string) (enrol.App, error) {
	return app(d.q.AppByID(ctx, id))
}

// AppByKey implements enrol.Records.
func (d *DB) AppByKey(ctx context.Context, hash [32]byte) (enrol.App, error) {
	return app(d.q.AppByKey(ctx, hash[:]))
}

// PutToken implements enrol.Records; it also forgets expired ones.
func (d *DB) PutToken(ctx context.Context, hash [32]byte, app string, now, expires time.Time) error {
	return d.tx(ctx, func(q *sqlc.Queries) error {
		if err := q.DropTokens(ctx, micros(now)); err != nil {
			return err
		}
		return q.PutToken(ctx, sqlc.PutTokenParams{Hash: hash[:], AppID: app, ExpiresAt: micros(expires)})
	})
}

// AppByToken implements enrol.Records.
func (d *DB) AppByToken(ctx context.Context, hash [32]byte, now time.Time) (enrol.App, error) {
	id, err := d.q.TokenApp(ctx, sqlc.TokenAppParams{Hash: hash[:], Now: micros(now)})
	if err != nil {
		return enrol.App{}, absent(err, enrol.ErrUnknown)
	}
	return d.AppByID(ctx, id)
}

// ReserveSerial implements ca.Records.
func (d *DB) ReserveSerial(ctx context.Context, c ca.Certificate, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		return q.ReserveSerial(ctx, sqlc.ReserveSerialParams{Serial: c.Serial, Issuer: c.Issuer, Subject: c.Subject, CredentialID: c.Credential,
			Der: []byte{}, NotBefore: micros(c.NotBefore), NotAfter: micros(c.NotAfter), CreatedAt: micros(ev.At)})
	})
}

// StoreCertificate implements ca.Records.
func (d *DB) StoreCertificate(ctx context.Context, serial string, der []byte, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		n, err := q.StoreCertificate(ctx, sqlc.StoreCertificateParams{Der: der, Serial: serial})
		if err == nil && n != 1 {
			err = ca.ErrUnknown
		}
		return err
	})
}

func certificate(c sqlc.Certificate, err error) (ca.Certificate, error) {
	if err != nil {
		return ca.Certificate{}, absent(err, ca.ErrUnknown)
	}
	return ca.Certificate{Serial: c.Serial, Issuer: c.Issuer, Subject: c.Subject, Credential: c.CredentialID, Status: c.Status, DER: c.Der,
		NotBefore: instant(c.NotBefore), NotAfter: instant(c.NotAfter), RevokedAt: instant(c.RevokedAt), Reason: int(c.Reason)}, nil
}

// CertificateBySerial implements ca.Records.
func (d *DB) CertificateBySerial(ctx context.Context, serial string) (ca.Certificate, error) {
	return certificate(d.q.CertificateBySerial(ctx, serial))
}

// AuthorityCertificate implements ca.Records.
func (d *DB) AuthorityCertificate(ctx context.Context, name string) (ca.Certificate, error) {
	return certificate(d.q.AuthorityCertificate(ctx, "authority:"+name))
}

// Revoke implements ca.Records. The officer's key, if it is an officer's
// certificate, is destroyed in the same transaction.
func (d *DB) Revoke(ctx context.Context, serial string, at time.Time, reason int, ev audit.Event) error {
	err := d.do(ctx, ev, func(q *sqlc.Queries) error {
		n, err := q.RevokeCertificate(ctx, sqlc.RevokeCertificateParams{RevokedAt: micros(at), Reason: int64(reason), Serial: serial})
		if err != nil {
			return err
		}
		if n == 0 {
			if c, err := q.CertificateBySerial(ctx, serial); err != nil {
				return absent(err, ca.ErrUnknown)
			} else if c.Status == ca.Revoked {
				return ca.ErrRevoked
			}
			return ca.ErrUnknown
		}
		keys, err := q.RevokeCredential(ctx, serial)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if err := appendEvent(ctx, q, keyDestroyed(ev, k.ID, k.Version)); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		d.scrub(ctx)
	}
	return err
}

// RevokedBy implements ca.Records.
func (d *DB) RevokedBy(ctx context.Context, issuer string) ([]ca.Certificate, error) {
	rows, err := d.q.RevokedBy(ctx, issuer)
	if err != nil {
		return nil, err
	}
	out := make([]ca.Certificate, len(rows))
	for k, row := range rows {
		out[k], _ = certificate(row, nil) // it only fails for the error given
	}
	return out, nil
}

// LastRevocation implements ca.Records.
func (d *DB) LastRevocation(ctx context.Context, issuer string) (time.Time, error) {
	at, err := d.q.LastRevocation(ctx, issuer)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	return instant(at), err
}

// LatestCRL implements ca.Records.
func (d *DB) LatestCRL(ctx context.Context, issuer string) (ca.CRL, error) {
	c, err := d.q.LatestCRL(ctx, issuer)
	if err != nil {
		return ca.CRL{}, absent(err, ca.ErrUnknown)
	}
	return ca.CRL{Issuer: c.Issuer, Number: c.Number, DER: c.Der, ThisUpdate: instant(c.ThisUpdate), NextUpdate: instant(c.NextUpdate)}, nil
}

// StoreCRL implements ca.Records.
func (d *DB) StoreCRL(ctx context.Context, c ca.CRL, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		last, err := q.LatestCRL(ctx, c.Issuer)
		if err == nil && last.Number >= c.Number {
			return fmt.Errorf("storing CRL %d of %s: number %d exists", c.Number, c.Issuer, last.Number)
		}
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		return q.StoreCRL(ctx, sqlc.StoreCRLParams{Issuer: c.Issuer, Number: c.Number, Der: c.DER, ThisUpdate: micros(c.ThisUpdate), NextUpdate: micros(c.NextUpdate)})
	})
}

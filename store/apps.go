package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

var _ enrol.AppRecords = (*DB)(nil)

// lists are the columns of an app that are JSON.
func lists(a *enrol.App) (systems, grants, uris, proposal string, err error) {
	for _, c := range []struct {
		to *string
		v  any
	}{{&systems, a.Systems}, {&grants, a.Grants}, {&uris, a.RedirectURIs}} {
		b, jerr := json.Marshal(c.v)
		*c.to, err = string(b), errors.Join(err, jerr)
	}
	if a.Proposal != nil {
		b, jerr := json.Marshal(a.Proposal)
		proposal, err = string(b), errors.Join(err, jerr)
	}
	return systems, grants, uris, proposal, err
}

func proposer(a *enrol.App) personal.Actor {
	if a.Proposal == nil {
		return ""
	}
	return personal.Actor(a.Proposal.By)
}

// PutApp implements enrol.AppRecords.
func (d *DB) PutApp(ctx context.Context, a enrol.App, credentials []enrol.AppCredential, ev audit.Event) error {
	systems, grants, uris, proposal, err := lists(&a)
	if err != nil {
		return err
	}
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		// The two hashes are of a time when an app had one secret of each kind.
		n, err := q.PutApp(ctx, sqlc.PutAppParams{ID: a.ID, Name: a.Name, Systems: systems, Grants: grants, PinEntry: a.PINEntry, Rate: a.Rate,
			SecretHash: []byte{}, KeyHash: []byte(a.ID), CreatedAt: micros(a.CreatedAt), RedirectUris: uris, Webhook: a.Webhook, State: a.State, Mtls: flag(a.MTLS),
			Proposal: proposal, ProposedBy: proposer(&a), Person: sql.NullString{String: a.Person, Valid: a.Person != ""}})
		if err != nil {
			return err
		}
		if n == 0 {
			return enrol.ErrExists
		}
		for _, c := range credentials {
			if err := putAppCredential(ctx, q, &c); err != nil {
				return err
			}
		}
		return nil
	})
}

// SetApp implements enrol.AppRecords.
func (d *DB) SetApp(ctx context.Context, a enrol.App, awaits bool, ev audit.Event) error {
	systems, grants, uris, proposal, err := lists(&a)
	if err != nil {
		return err
	}
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		n, err := q.SetApp(ctx, sqlc.SetAppParams{Name: a.Name, Systems: systems, Grants: grants, PinEntry: a.PINEntry, Rate: a.Rate, RedirectUris: uris, Webhook: a.Webhook,
			State: a.State, Mtls: flag(a.MTLS), Proposal: proposal, ProposedBy: proposer(&a), ID: a.ID, Revision: a.Revision})
		switch {
		case err != nil:
			return err
		case n == 0:
			return enrol.ErrState
		case a.State == enrol.AppEnded:
			return q.DropEvents(ctx, a.ID)
		case awaits:
			return q.DoubtAppCredentials(ctx, a.ID)
		}
		return nil
	})
}

func app(row sqlc.App, err error) (enrol.App, error) {
	if err != nil {
		return enrol.App{}, absent(err, enrol.ErrUnknown)
	}
	a := enrol.App{ID: row.ID, Name: row.Name, PINEntry: row.PinEntry, Rate: row.Rate, Webhook: row.Webhook, State: row.State, MTLS: row.Mtls == 1, Revision: row.Revision,
		Person: row.Person.String, CreatedAt: instant(row.CreatedAt)}
	if row.Proposal != "" {
		a.Proposal = &enrol.AppProposal{By: string(row.ProposedBy)}
		err = json.Unmarshal([]byte(row.Proposal), a.Proposal)
	}
	err = errors.Join(err, json.Unmarshal([]byte(row.Systems), &a.Systems), json.Unmarshal([]byte(row.Grants), &a.Grants), json.Unmarshal([]byte(row.RedirectUris), &a.RedirectURIs))
	if err != nil {
		return enrol.App{}, fmt.Errorf("reading app %q: %w", row.ID, err)
	}
	return a, nil
}

func appCredential(c sqlc.AppCredential) enrol.AppCredential {
	out := enrol.AppCredential{ID: c.ID, App: c.AppID, Kind: c.Kind, Public: c.Public, Awaits: c.Awaits == 1, By: string(c.CreatedBy), CreatedAt: instant(c.CreatedAt),
		ExpiresAt: instant(c.ExpiresAt), RevokedAt: instant(c.RevokedAt), Replaces: c.Replaces, ReplacesUntil: instant(c.ReplacesUntil), LastUsed: instant(c.LastUsed)}
	copy(out.Hash[:], c.Hash)
	return out
}

// AppByID implements enrol.AppRecords.
func (d *DB) AppByID(ctx context.Context, id string) (enrol.App, error) {
	return app(d.q.AppByID(ctx, id))
}

// ListApps implements enrol.AppRecords.
func (d *DB) ListApps(ctx context.Context, after string, limit int) ([]enrol.App, error) {
	rows, err := d.q.Apps(ctx, sqlc.AppsParams{After: after, Lim: int64(limit)})
	out := make([]enrol.App, len(rows))
	for k, r := range rows {
		var aerr error
		out[k], aerr = app(r, nil)
		err = errors.Join(err, aerr)
	}
	return out, err
}

// SumAppCredentials implements enrol.AppRecords.
func (d *DB) SumAppCredentials(ctx context.Context, after, last string, now time.Time) (map[string]enrol.CredentialSum, error) {
	rows, err := d.q.AppCredentialSums(ctx, sqlc.AppCredentialSumsParams{Now: micros(now), After: after, Last: last})
	out := make(map[string]enrol.CredentialSum, len(rows))
	for _, r := range rows {
		out[r.AppID] = enrol.CredentialSum{Live: int(r.Live), Awaiting: int(r.Awaiting), EndsAt: instant(r.EndsAt), LastUsed: instant(r.LastUsed)}
	}
	return out, err
}

// AppBySecret implements enrol.AppRecords.
func (d *DB) AppBySecret(ctx context.Context, kind string, hash [32]byte) (enrol.App, enrol.AppCredential, error) {
	rows, err := d.q.AppByCredential(ctx, sqlc.AppByCredentialParams{Hash: hash[:], Kind: kind})
	if err != nil {
		return enrol.App{}, enrol.AppCredential{}, err // a database that is away knows nobody, and says nothing of it
	}
	if len(rows) != 1 {
		return enrol.App{}, enrol.AppCredential{}, enrol.ErrUnknown
	}
	a, err := app(rows[0].App, nil)
	return a, appCredential(rows[0].AppCredential), err
}

// AppCredentials implements enrol.AppRecords.
func (d *DB) AppCredentials(ctx context.Context, id string) ([]enrol.AppCredential, error) {
	rows, err := d.q.AppCredentials(ctx, id)
	out := make([]enrol.AppCredential, len(rows))
	for k, r := range rows {
		out[k] = appCredential(r)
	}
	return out, err
}

func putAppCredential(ctx context.Context, q *sqlc.Queries, c *enrol.AppCredential) error {
	hash := c.Hash[:]
	if c.Hash == [32]byte{} {
		hash = []byte{}
	}
	err := q.PutAppCredential(ctx, sqlc.PutAppCredentialParams{ID: c.ID, AppID: c.App, Kind: c.Kind, Hash: hash, Public: c.Public, Awaits: flag(c.Awaits), CreatedBy: personal.Actor(c.By),
		CreatedAt: micros(c.CreatedAt), ExpiresAt: micros(c.ExpiresAt), Replaces: c.Replaces, ReplacesUntil: micros(c.ReplacesUntil)})
	if err != nil || c.Awaits {
		return err
	}
	return inForce(ctx, q, c)
}

// inForce does what a credential brings with it: the end of the one it replaces, and, with a
// certificate, that nothing works without one.
func inForce(ctx context.Context, q *sqlc.Queries, c *enrol.AppCredential) error {
	if c.Kind == enrol.KindCertificate {
		if err := one(q.BindApp(ctx, c.App)); err != nil {
			return err
		}
	}
	if c.Replaces == "" {
		return nil
	}
	_, err := q.ExpireAppCredential(ctx, sqlc.ExpireAppCredentialParams{ExpiresAt: micros(c.ReplacesUntil), ID: c.Replaces, AppID: c.App})
	return err
}

// PutAppCredential implements enrol.AppRecords.
func (d *DB) PutAppCredential(ctx context.Context, c enrol.AppCredential, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error { return putAppCredential(ctx, q, &c) })
}

// ConfirmAppCredential implements enrol.AppRecords.
func (d *DB) ConfirmAppCredential(ctx context.Context, app, id string, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		if err := one(q.ConfirmAppCredential(ctx, sqlc.ConfirmAppCredentialParams{ID: id, AppID: app})); err != nil {
			return err
		}
		row, err := q.AppCredential(ctx, sqlc.AppCredentialParams{ID: id, AppID: app})
		if err != nil {
			return err
		}
		c := appCredential(row)
		return inForce(ctx, q, &c)
	})
}

// RevokeAppCredential implements enrol.AppRecords.
func (d *DB) RevokeAppCredential(ctx context.Context, app, id string, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		if err := one(q.RevokeAppCredential(ctx, sqlc.RevokeAppCredentialParams{RevokedAt: micros(ev.At), ID: id, AppID: app})); err != nil {
			return err
		}
		return q.DropTokensOf(ctx, id)
	})
}

// UsedAppCredential implements enrol.AppRecords.
func (d *DB) UsedAppCredential(ctx context.Context, id string, day time.Time) error {
	return d.tx(ctx, func(q *sqlc.Queries) error {
		return q.UsedAppCredential(ctx, sqlc.UsedAppCredentialParams{Day: micros(day), ID: id})
	})
}

// UseAssertion implements enrol.AppRecords.
func (d *DB) UseAssertion(ctx context.Context, app string, id [32]byte, now, until time.Time) error {
	return d.tx(ctx, func(q *sqlc.Queries) error {
		if err := q.DropAssertions(ctx, micros(now)); err != nil {
			return err
		}
		n, err := q.UseAssertion(ctx, sqlc.UseAssertionParams{AppID: app, ID: id[:], ExpiresAt: micros(until)})
		if err == nil && n == 0 {
			err = enrol.ErrExists
		}
		return err
	})
}

// PutToken implements enrol.AppRecords; it also forgets expired ones.
func (d *DB) PutToken(ctx context.Context, t enrol.AppToken, now time.Time) error {
	bound := t.Bound[:]
	if t.Bound == [32]byte{} {
		bound = []byte{}
	}
	return d.tx(ctx, func(q *sqlc.Queries) error {
		if err := q.DropTokens(ctx, micros(now)); err != nil {
			return err
		}
		return q.PutToken(ctx, sqlc.PutTokenParams{Hash: t.Hash[:], AppID: t.App, ExpiresAt: micros(t.ExpiresAt), CredentialID: t.Credential, Bound: bound})
	})
}

// AppByToken implements enrol.AppRecords.
func (d *DB) AppByToken(ctx context.Context, hash [32]byte, now time.Time) (enrol.App, enrol.AppCredential, [32]byte, error) {
	var bound [32]byte
	row, err := d.q.AppByToken(ctx, sqlc.AppByTokenParams{Hash: hash[:], Now: micros(now)})
	if err != nil {
		return enrol.App{}, enrol.AppCredential{}, bound, absent(err, enrol.ErrUnknown)
	}
	copy(bound[:], row.Bound)
	a, err := app(row.App, nil)
	return a, appCredential(row.AppCredential), bound, err
}

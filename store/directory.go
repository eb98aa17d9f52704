package store

import (
	"context"
	"fmt"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/store/sqlc"
)

var _ enrol.DirectoryRecords = (*DB)(nil)

// ChangedOfficers implements enrol.DirectoryRecords.
func (d *DB) ChangedOfficers(ctx context.Context, after int64, limit int) (list []enrol.DirectoryEntry, last int64, gone bool, err error) {
	last = after
	err = d.snapshot(ctx, func(q *sqlc.Queries) error {
		rows, err := q.ChangedOfficers(ctx, sqlc.ChangedOfficersParams{After: after, Lim: int64(limit)})
		if err != nil || len(rows) == 0 {
			return err
		}
		at := make(map[string]int, len(rows))
		list = make([]enrol.DirectoryEntry, 0, len(rows))
		for _, r := range rows {
			last = r.Seq
			if r.Ic == "" {
				gone = true
				continue
			}
			at[string(r.Ic)] = len(list)
			list = append(list, enrol.DirectoryEntry{Officer: enrol.Officer{IC: string(r.Ic), Name: string(r.Name), Email: string(r.Email)}})
		}
		ways, err := q.ChangedEnrolments(ctx, sqlc.ChangedEnrolmentsParams{After: after, Last: last})
		if err != nil {
			return err
		}
		for _, w := range ways {
			e := &list[at[string(w.Ic)]]
			e.Ways = append(e.Ways, enrol.Way{System: w.System, Agency: w.Agency, Office: w.Office, Phase: w.Phase, State: enrol.State(w.State), First: w.Kind == ""})
		}
		return holdings(ctx, q, after, last, list, at)
	})
	if err != nil {
		return nil, after, false, fmt.Errorf("reading changed officers: %w", err)
	}
	return list, last, gone, nil
}

// holdings adds the media, each with the newest certificate there is under it.
func holdings(ctx context.Context, q *sqlc.Queries, after, last int64, list []enrol.DirectoryEntry, at map[string]int) error {
	media, err := q.ChangedMedia(ctx, sqlc.ChangedMediaParams{After: after, Last: last})
	if err != nil {
		return err
	}
	for _, m := range media {
		e := &list[at[string(m.Ic)]]
		h := enrol.Holding{System: m.System, Medium: m.Medium, Status: m.Status}
		if m.Medium == enrol.RoamingOTP {
			h.Status = enrol.NoCertificate
		}
		e.Holdings = append(e.Holdings, h)
	}
	keys, err := q.ChangedCredentials(ctx, sqlc.ChangedCredentialsParams{After: after, Last: last})
	if err != nil {
		return err
	}
	for _, c := range keys { // the oldest first: the newest of a system stays
		e := &list[at[string(c.Ic)]]
		for k := range e.Holdings {
			if h := &e.Holdings[k]; h.System == c.System {
				h.Status, h.Serial, h.NotAfter = c.Status, c.Serial, instant(c.NotAfter)
			}
		}
	}
	return nil
}

// CertificateHolder implements enrol.DirectoryRecords.
func (d *DB) CertificateHolder(ctx context.Context, serial string) (ic, system string, err error) {
	h, err := d.q.HolderOf(ctx, serial)
	if err != nil {
		return "", "", absent(err, enrol.ErrUnknown)
	}
	return string(h.Ic), h.System, nil
}

// UnreachedOfficers implements enrol.DirectoryRecords.
func (d *DB) UnreachedOfficers(ctx context.Context) ([]string, error) {
	rows, err := d.q.UnreachedOfficers(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading whom no code reached: %w", err)
	}
	out := make([]string, len(rows))
	for k, ic := range rows {
		out[k] = string(ic)
	}
	return out, nil
}

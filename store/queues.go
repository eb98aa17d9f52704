package store

import (
	"context"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// Enrolments implements enrol.Enrolments.
func (d *DB) Enrolments(ctx context.Context, f enrol.Filter) ([]enrol.Enrolment, error) {
	all := sqlc.EnrolmentsParams{State: string(f.State), Office: f.Office, Phase: f.Phase, Kind: f.Kind, Until: micros(f.Until), AfterSince: micros(f.AfterSince), AfterID: f.AfterID, Lim: int64(f.Limit)}
	var out []enrol.Enrolment
	switch {
	case f.Agency != "":
		rows, err := d.q.AgencyEnrolments(ctx, sqlc.AgencyEnrolmentsParams{Agency: f.Agency, System: f.System, State: all.State, Office: all.Office, Phase: all.Phase, Kind: all.Kind,
			Until: all.Until, AfterSince: all.AfterSince, AfterID: all.AfterID, Lim: all.Lim})
		for k := range rows {
			out = append(out, enrolment(&rows[k].Enrolment, string(rows[k].Name), string(rows[k].Email)))
		}
		return out, err
	case f.System != "":
		rows, err := d.q.SystemEnrolments(ctx, sqlc.SystemEnrolmentsParams{System: f.System, State: all.State, Office: all.Office, Phase: all.Phase, Kind: all.Kind,
			Until: all.Until, AfterSince: all.AfterSince, AfterID: all.AfterID, Lim: all.Lim})
		for k := range rows {
			out = append(out, enrolment(&rows[k].Enrolment, string(rows[k].Name), string(rows[k].Email)))
		}
		return out, err
	}
	rows, err := d.q.Enrolments(ctx, all)
	for k := range rows {
		out = append(out, enrolment(&rows[k].Enrolment, string(rows[k].Name), string(rows[k].Email)))
	}
	return out, err
}

// CountEnrolments implements enrol.Enrolments.
func (d *DB) CountEnrolments(ctx context.Context, f enrol.Filter) (int, error) {
	all := sqlc.CountEnrolmentsParams{State: string(f.State), Office: f.Office, Phase: f.Phase, Kind: f.Kind, Until: micros(f.Until)}
	var n int64
	var err error
	switch {
	case f.Agency != "":
		n, err = d.q.CountAgencyEnrolments(ctx, sqlc.CountAgencyEnrolmentsParams{Agency: f.Agency, System: f.System, State: all.State, Office: all.Office, Phase: all.Phase, Kind: all.Kind, Until: all.Until})
	case f.System != "":
		n, err = d.q.CountSystemEnrolments(ctx, sqlc.CountSystemEnrolmentsParams{System: f.System, State: all.State, Office: all.Office, Phase: all.Phase, Kind: all.Kind, Until: all.Until})
	default:
		n, err = d.q.CountEnrolments(ctx, all)
	}
	return int(n), err
}

// Waiting implements enrol.Enrolments.
func (d *DB) Waiting(ctx context.Context, s enrol.Scope, state enrol.State, kind string, most int) (int, error) {
	var n int64
	var err error
	switch {
	case s.Agency != "":
		n, err = d.q.AgencyWaiting(ctx, sqlc.AgencyWaitingParams{Agency: s.Agency, State: string(state), Kind: kind, Most: int64(most)})
	case s.System != "":
		n, err = d.q.SystemWaiting(ctx, sqlc.SystemWaitingParams{System: s.System, State: string(state), Kind: kind, Most: int64(most)})
	default:
		n, err = d.q.Waiting(ctx, sqlc.WaitingParams{State: string(state), Kind: kind, Most: int64(most)})
	}
	return int(n), err
}

package store

import (
	"context"
	"fmt"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// reportPage is how many rows of a list are read at once.
const reportPage = 5000

// Report implements enrol.Enrolments. Lists are read page by page, so that no reader
// holds the write-ahead log for long; counts in one statement each.
func (d *DB) Report(ctx context.Context, r enrol.ReportRead, f func(row ...any) error) error {
	switch r.Name {
	case enrol.ReportUsers:
		rows, err := d.q.ReportUsers(ctx, sqlc.ReportUsersParams{Now: micros(r.Now), System: r.System, Agency: r.Agency})
		return each(rows, err, func(x *sqlc.ReportUsersRow) error { return f(x.Agency, x.System, x.Medium, x.Status, x.Users) })
	case enrol.ReportOfficers:
		return d.reportOfficers(ctx, &r, f)
	case enrol.ReportExpiring:
		return d.reportExpiring(ctx, &r, f)
	case enrol.ReportPending:
		rows, err := d.q.ReportPending(ctx, sqlc.ReportPendingParams{Day: micros(r.Now.AddDate(0, 0, -1)), Week: micros(r.Now.AddDate(0, 0, -7)), Month: micros(r.Now.AddDate(0, 0, -30)),
			System: r.System, Agency: r.Agency})
		return each(rows, err, func(x *sqlc.ReportPendingRow) error {
			return f(x.Agency, x.System, x.State, x.Pending, x.Day, x.Week, x.Month, x.Older, instant(x.Oldest))
		})
	case enrol.ReportSignatures:
		for k := 0; k+1 < len(r.Months); k++ {
			rows, err := d.q.ReportSignatures(ctx, sqlc.ReportSignaturesParams{Start: micros(r.Months[k]), Stop: micros(r.Months[k+1]), System: r.System, Agency: r.Agency})
			err = each(rows, err, func(x *sqlc.ReportSignaturesRow) error {
				return f(r.Months[k].Format("2006-01"), x.Agency, x.System, x.Officers, x.Authorisations, x.Signatures, x.Refused)
			})
			if err != nil {
				return err
			}
		}
		return nil
	case enrol.ReportWithoutAP:
		rows, err := d.q.ReportWithoutAP(ctx, sqlc.ReportWithoutAPParams{Now: micros(r.Now), Agency: r.Agency, System: r.System})
		return each(rows, err, func(x *sqlc.ReportWithoutAPRow) error {
			return f(x.Code, x.Name, x.Officers, x.Waiting, instant(x.Ended))
		})
	case enrol.ReportRollout:
		rows, err := d.q.ReportRollout(ctx, sqlc.ReportRolloutParams{Now: micros(r.Now), System: r.System, Agency: r.Agency})
		return each(rows, err, func(x *sqlc.ReportRolloutRow) error {
			return f(x.System, x.Phase, x.Agency, x.Office, x.Listed, x.Confirmed, x.Applied, x.Issued, x.Ready, x.Ended)
		})
	}
	return fmt.Errorf("reading report %q: %w", r.Name, enrol.ErrUnknown)
}

func each[T any](rows []T, err error, f func(*T) error) error {
	for k := range rows {
		if err == nil {
			err = f(&rows[k])
		}
	}
	return err
}

func (d *DB) reportOfficers(ctx context.Context, r *enrol.ReportRead, f func(row ...any) error) error {
	p := sqlc.ReportOfficersParams{Now: micros(r.Now), System: r.System, Agency: r.Agency, Lim: reportPage}
	for {
		rows, err := d.q.ReportOfficers(ctx, p)
		err = each(rows, err, func(x *sqlc.ReportOfficersRow) error {
			p.AfterIc, p.AfterSystem = x.Ic, x.System
			return f(x.Ic, x.Name, x.Agency, x.Office, x.System, x.Medium, x.Status, x.Serial, instant(x.NotAfter))
		})
		if err != nil || len(rows) < reportPage {
			return err
		}
	}
}

func (d *DB) reportExpiring(ctx context.Context, r *enrol.ReportRead, f func(row ...any) error) error {
	p := sqlc.ReportExpiringParams{Now: micros(r.Now), Until: micros(r.Until), System: r.System, Agency: r.Agency, Lim: reportPage}
	for {
		rows, err := d.q.ReportExpiring(ctx, p)
		err = each(rows, err, func(x *sqlc.ReportExpiringRow) error {
			p.AfterEnd, p.AfterSerial = x.NotAfter, x.Serial
			return f(x.Ic, x.Name, x.Agency, x.Office, x.System, x.Status, x.Serial, instant(x.NotAfter))
		})
		if err != nil || len(rows) < reportPage {
			return err
		}
	}
}

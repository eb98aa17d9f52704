package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// reportPage is how many rows of a list are read at once, at most.
const reportPage = 5000

// reportRows is as many of them as are wanted, and one more.
func reportRows(r *enrol.ReportRead) int64 {
	if r.Limit > 0 {
		return int64(min(reportPage, r.Limit+1))
	}
	return reportPage
}

// Report implements enrol.Enrolments for all but [enrol.ReportRollout]. Lists are read page by page, so that no reader
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
	case enrol.ReportDaily, enrol.ReportCalendar, enrol.ReportChannels, enrol.ReportRefusals:
		return d.reportTimes(ctx, &r, f)
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
	p := sqlc.ReportOfficersParams{Now: micros(r.Now), System: r.System, Agency: r.Agency, Lim: reportRows(r)}
	for {
		rows, err := d.q.ReportOfficers(ctx, p)
		err = each(rows, err, func(x *sqlc.ReportOfficersRow) error {
			p.AfterIc, p.AfterSystem = x.Ic, x.System
			return f(x.Ic, x.Name, x.Agency, x.Office, x.System, x.Medium, x.Status, x.Serial, instant(x.NotAfter))
		})
		if err != nil || int64(len(rows)) < p.Lim {
			return err
		}
	}
}

func (d *DB) reportExpiring(ctx context.Context, r *enrol.ReportRead, f func(row ...any) error) error {
	p := sqlc.ReportExpiringParams{Now: micros(r.Now), Until: micros(r.Until), System: r.System, Agency: r.Agency, Lim: reportRows(r)}
	for {
		rows, err := d.q.ReportExpiring(ctx, p)
		err = each(rows, err, func(x *sqlc.ReportExpiringRow) error {
			p.AfterEnd, p.AfterSerial = x.NotAfter, x.Serial
			return f(x.Ic, x.Name, x.Agency, x.Office, x.System, x.Status, x.Serial, instant(x.NotAfter))
		})
		if err != nil || int64(len(rows)) < p.Lim {
			return err
		}
	}
}

// zone is how much later it is in Malaysia than UTC, in microseconds: 8 hours, all year.
const zone = 8 * 3600 * 1_000_000

// periods adds up counts of days by longer times, and keeps the order they came in.
type periods struct {
	by    string
	keys  [][3]string
	sums  map[[3]string][]int64
	texts int // how many of a row's cells are texts, the time included
}

func newPeriods(by string, texts int) *periods {
	return &periods{by: by, sums: map[[3]string][]int64{}, texts: texts}
}

// of names the time that a day, counted from 1970, is part of.
func (p *periods) of(day int64) string {
	at := time.Unix(day*86400, 0).UTC()
	switch p.by {
	case enrol.ByMonth:
		return at.Format("2006-01")
	case enrol.ByWeek:
		at = at.AddDate(0, 0, -(int(at.Weekday())+6)%7)
	}
	return at.Format("2006-01-02")
}

func (p *periods) add(day int64, system, what string, counts ...int64) error {
	k := [3]string{p.of(day), system, what}
	if p.sums[k] == nil {
		p.keys, p.sums[k] = append(p.keys, k), make([]int64, len(counts))
	}
	for n, c := range counts {
		p.sums[k][n] += c
	}
	return nil
}

// each hands over the rows by time, system and what.
func (p *periods) each(f func(row ...any) error) error {
	slices.SortFunc(p.keys, func(a, b [3]string) int { return slices.Compare(a[:], b[:]) })
	for _, k := range p.keys {
		var row []any
		for _, text := range k[:p.texts] {
			row = append(row, text)
		}
		for _, n := range p.sums[k] {
			row = append(row, n)
		}
		if err := f(row...); err != nil {
			return err
		}
	}
	return nil
}

// reportTimes are the reports that count by day, week or month.
func (d *DB) reportTimes(ctx context.Context, r *enrol.ReportRead, f func(row ...any) error) error {
	start, stop := micros(r.From), micros(r.To)
	switch r.Name {
	case enrol.ReportDaily:
		p := newPeriods(enrol.ByDay, 2)
		rows, err := d.q.ReportDaily(ctx, sqlc.ReportDailyParams{Zone: zone, Start: start, Stop: stop, System: r.System, Agency: r.Agency})
		err = each(rows, err, func(x *sqlc.ReportDailyRow) error {
			return p.add(x.Day, x.System, "", x.Officers, x.Authorisations, x.Signatures, x.Refused)
		})
		if err != nil {
			return err
		}
		return p.each(f)
	case enrol.ReportCalendar:
		p := newPeriods(r.By, 2)
		rows, err := d.q.ReportCalendar(ctx, sqlc.ReportCalendarParams{Zone: zone, Now: start, Until: stop, System: r.System, Agency: r.Agency})
		err = each(rows, err, func(x *sqlc.ReportCalendarRow) error { return p.add(x.Day, x.System, "", x.Certificates) })
		if err != nil {
			return err
		}
		return p.each(f)
	case enrol.ReportChannels:
		p := newPeriods(r.By, 3)
		rows, err := d.q.ReportChannels(ctx, sqlc.ReportChannelsParams{Zone: zone, Start: start, Stop: stop, System: r.System, Agency: r.Agency})
		err = each(rows, err, func(x *sqlc.ReportChannelsRow) error {
			return p.add(x.Day, x.System, x.Channel, x.Codes, x.Delivered, x.Failed, x.Unknown, x.Used)
		})
		if err != nil {
			return err
		}
		return p.each(f)
	}
	return d.reportRefusals(ctx, r, start, stop, f)
}

// reportRefusals are of attempts, of documents in batches, and of rows of lists.
func (d *DB) reportRefusals(ctx context.Context, r *enrol.ReportRead, start, stop int64, f func(row ...any) error) error {
	p := newPeriods(r.By, 3)
	attempts, err := d.q.ReportRefusals(ctx, sqlc.ReportRefusalsParams{Zone: zone, Start: start, Stop: stop, System: r.System, Agency: r.Agency})
	err = each(attempts, err, func(x *sqlc.ReportRefusalsRow) error { return p.add(x.Day, x.System, x.Reason, x.Refusals) })
	if err != nil {
		return err
	}
	documents, err := d.q.ReportRefusedDocuments(ctx, sqlc.ReportRefusedDocumentsParams{Zone: zone, Start: start, Stop: stop, System: r.System, Agency: r.Agency})
	err = each(documents, err, func(x *sqlc.ReportRefusedDocumentsRow) error {
		return p.add(x.Day, x.System, "document:"+x.Reason, x.Refusals)
	})
	if err != nil {
		return err
	}
	rows, err := d.q.ReportRefusedRows(ctx, sqlc.ReportRefusedRowsParams{Zone: zone, Start: start, Stop: stop, System: r.System, Agency: r.Agency})
	err = each(rows, err, func(x *sqlc.ReportRefusedRowsRow) error { return p.add(x.Day, x.System, "row:"+x.Reason, x.Refusals) })
	if err != nil {
		return err
	}
	return p.each(f)
}

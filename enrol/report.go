package enrol

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/internal/myt"
	"github.com/mohor-sign/mohor/internal/table"
)

// Reporting is the action of reading a report.
const Reporting Action = "enrol.report"

// The reports.
const (
	ReportUsers      = "users"      // how many hold what, by agency, system, medium and status
	ReportOfficers   = "officers"   // who they are
	ReportExpiring   = "expiring"   // certificates that end within Days
	ReportPending    = "pending"    // open enrolments by state and age
	ReportSignatures = "signatures" // by month of their authorisation, of Months
	ReportWithoutAP  = "no-ap"      // agencies where nobody is AP
	ReportRollout    = "rollout"    // listed, confirmed, applied, issued, code channel ready: by phase and office
	ReportDaily      = "daily"      // signatures by day and system, of Days
	ReportCalendar   = "calendar"   // certificates that end within a year, By week or month and system
	ReportChannels   = "channels"   // what became of the codes that were sent, By day (of Days) or month (of Months)
	ReportRefusals   = "refusals"   // what was not signed and why, by month, of Months
)

// ReportQuery chooses a report and what of it.
type ReportQuery struct {
	Name string
	// System and Agency narrow it; "" is any. Who is appointed to one alone need not
	// name it.
	System, Agency string
	Days           int // of ReportExpiring and, today included, of days: 1 to 400, 0 means 30
	Months         int // of months, the current one included: 1 to 120, 0 means 12
	Limit          int // of JSON: rows, of which there may be "more"; 0: all
	// By is how long a row's time is: ByDay or ByMonth of ReportChannels, ByWeek or ByMonth of
	// ReportCalendar; "" means ByMonth.
	By string
}

// How long the time of a row is. A week begins on Monday.
const (
	ByDay   = "day"
	ByWeek  = "week"
	ByMonth = "month"
)

// period says whether a report has rows of such a time.
func period(report, by string) bool {
	switch by {
	case ByMonth:
		return true
	case ByWeek:
		return report == ReportCalendar
	case ByDay:
		return report == ReportChannels
	}
	return false
}

// ReportColumn is one column: its name in JSON, and in files the one that lists use.
type ReportColumn struct{ Name, MS string }

// ReportRead is what the register is asked for a report.
type ReportRead struct {
	Name, System, Agency string
	Now                  time.Time
	Until                time.Time // of ReportExpiring
	From, To             time.Time // of those with a By
	By                   string
	Months               []time.Time // of ReportSignatures: beginnings of months, and the end of the last
	Limit                int         // of lists: who reads will want no more; 0: all
}

// Report is a report that its reader may have; the audit tells of it already.
type Report struct {
	Columns []ReportColumn

	read  ReportRead
	desk  *Desk
	limit int
}

// columns are those of each report, in the order of its rows.
func columns(report string) (out []ReportColumn) {
	names := map[string][]string{
		ReportUsers:      {"agency", "system", "medium", "status", "users"},
		ReportOfficers:   {"ic", "name", "agency", "office", "system", "medium", "status", "serial_number", "not_after"},
		ReportExpiring:   {"ic", "name", "agency", "office", "system", "status", "serial_number", "not_after"},
		ReportPending:    {"agency", "system", "state", "pending", "up_to_1_day", "up_to_7_days", "up_to_30_days", "older", "oldest"},
		ReportSignatures: {"month", "agency", "system", "officers", "authorisations", "signatures", "refused"},
		ReportWithoutAP:  {"agency", "name", "officers", "waiting", "ended"},
		ReportDaily:      {"day", "system", "officers", "authorisations", "signatures", "refused"},
		ReportCalendar:   {"period", "system", "certificates"},
		ReportChannels:   {"period", "system", "channel", "codes", "delivered", "failed", "unknown", "used"},
		ReportRefusals:   {"period", "system", "reason", "refusals"},
		ReportRollout:    {"system", "phase", "agency", "office", "listed", "confirmed", "applied", "issued", "ready", "ended"},
	}[report]
	ms := map[string]string{"agency": "agensi", "system": "sistem", "medium": "medium", "status": "status", "users": "pengguna", "ic": "no_kp", "name": "nama",
		"office": "pejabat_perakaunan", "serial_number": "no_siri_sijil", "not_after": "tamat_tempoh", "state": "keadaan", "pending": "belum_selesai",
		"up_to_1_day": "hingga_1_hari", "up_to_7_days": "hingga_7_hari", "up_to_30_days": "hingga_30_hari", "older": "lebih_lama", "oldest": "sejak",
		"month": "bulan", "officers": "pegawai", "authorisations": "kebenaran", "signatures": "tandatangan", "refused": "ditolak", "waiting": "menunggu_pengesahan",
		"ended": "tamat", "phase": "fasa", "listed": "disenaraikan", "confirmed": "disahkan", "applied": "dimohon", "issued": "dikeluarkan", "ready": "saluran_kod_sedia",
		"day": "hari", "period": "tempoh", "certificates": "sijil", "channel": "saluran", "codes": "kod", "delivered": "diterima_pelayan", "failed": "gagal", "unknown": "belum_diketahui", "used": "digunakan",
		"reason": "sebab", "refusals": "penolakan"}
	for _, n := range names {
		out = append(out, ReportColumn{n, ms[n]})
	}
	return out
}

// Report authorises the reading of a report, within the scope of a, and puts it into the
// audit with its filter. Errors: ErrUnknown for a name that is none, ErrInput, ErrForbidden.
func (d *Desk) Report(ctx context.Context, a Actor, q ReportQuery) (*Report, error) {
	if q.Days == 0 {
		q.Days = 30
	}
	if q.Months == 0 {
		q.Months = 12
	}
	r := &Report{Columns: columns(q.Name), desk: d, limit: q.Limit, read: ReportRead{Name: q.Name, Now: d.Now(), Limit: q.Limit}}
	if r.Columns == nil {
		r.read.Name = "unknown" // what was typed is not for the audit
	}
	several := d.narrow(&a, &q)
	r.read.System, r.read.Agency = q.System, q.Agency
	o := object{name: "report:" + r.read.Name, system: q.System, agency: q.Agency, detail: map[string]string{"system": q.System, "agency": q.Agency}}
	switch q.Name {
	case ReportExpiring:
		o.detail["days"], r.read.Until = fmt.Sprint(q.Days), r.read.Now.AddDate(0, 0, q.Days)
	case ReportSignatures:
		o.detail["months"] = fmt.Sprint(q.Months)
	case ReportDaily, ReportCalendar, ReportChannels, ReportRefusals:
		r.read.span(&q, o.detail)
	}
	ev, no := ground(d.Now(), a, Reporting, o)
	switch {
	case !validScope(q.System) || !validScope(q.Agency): // before it enters the audit
		delete(ev.Detail, "system")
		delete(ev.Detail, "agency")
		no = entered("report_invalid", "system", "kod sistem atau agensi tidak sah", "a system or agency has a code of 1 to 32 letters, digits, - or _")
	case no != nil && several:
		no = entered("report_scope", "system", "namakan satu sistem atau agensi di bawah anda", "name one system or agency of yours")
	case no != nil:
	case r.Columns == nil:
		no = refusal("not_registered", ErrUnknown)
	case q.Days < 1 || q.Days > 400:
		no = entered("report_invalid", "days", "1 hingga 400 hari", "1 to 400 days")
	case q.Months < 1 || q.Months > 120:
		no = entered("report_invalid", "months", "1 hingga 120 bulan", "1 to 120 months")
	case q.By != "" && !period(q.Name, q.By):
		no = entered("report_invalid", "by", "laporan ini tiada tempoh itu", "this report has no such time")
	}
	if no != nil {
		return nil, d.refuse(ctx, ev, no)
	}
	here := r.read.Now.In(myt.Zone)
	for k := range q.Months + 1 {
		r.read.Months = append(r.read.Months, time.Date(here.Year(), here.Month()-time.Month(q.Months-1-k), 1, 0, 0, 0, 0, myt.Zone))
	}
	if err := d.Records.Audit(ctx, ev); err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	return r, nil
}

// span is the time a report is of, in Malaysian days and months.
func (r *ReportRead) span(q *ReportQuery, detail map[string]string) {
	here := r.Now.In(myt.Zone)
	midnight := func(months, days int) time.Time {
		return time.Date(here.Year(), here.Month()+time.Month(months), days, 0, 0, 0, 0, myt.Zone)
	}
	r.By, r.To = q.By, midnight(0, here.Day()+1)
	if r.By == "" {
		r.By = ByMonth
	}
	switch {
	case q.Name == ReportCalendar:
		r.From, r.To = r.Now, midnight(13, 1) // what is left of this month, and twelve whole ones
	case q.Name == ReportDaily || q.Name == ReportChannels && r.By == ByDay:
		r.By, r.From = ByDay, midnight(0, here.Day()+1-q.Days)
		detail["days"] = fmt.Sprint(q.Days)
	default:
		r.From = midnight(1-q.Months, 1)
		detail["months"] = fmt.Sprint(q.Months)
	}
}

func validScope(code string) bool { return code == "" || validID(code) }

// narrow fills in the scope of who has one alone and named none; several says that there
// are more.
func (d *Desk) narrow(a *Actor, q *ReportQuery) (several bool) {
	if q.System != "" || q.Agency != "" {
		return false
	}
	scopes := map[[2]string]bool{}
	for _, p := range a.Appointments {
		switch now := d.Now(); {
		case now.Before(p.From) || !p.Until.IsZero() && !now.Before(p.Until):
		case p.Role == JDN || p.Role == Auditor:
			return false
		case p.Role == SAP && p.System != "":
			scopes[[2]string{p.System, ""}] = true
		case (p.Role == SA || p.Role == AP) && p.Agency != "":
			scopes[[2]string{"", p.Agency}] = true
		}
	}
	if len(scopes) != 1 {
		return len(scopes) > 1
	}
	for s := range maps.Keys(scopes) {
		q.System, q.Agency = s[0], s[1]
	}
	return false
}

// Each hands over the rows: strings and int64s in the order of Columns. Times are
// RFC 3339 in Malaysian time.
func (r *Report) Each(ctx context.Context, f func(row ...any) error) error {
	read := r.desk.Records.Report
	if r.read.Name == ReportRollout {
		read = r.desk.rollout
	}
	err := read(ctx, r.read, func(row ...any) error {
		for k, cell := range row {
			if t, ok := cell.(time.Time); ok && t.IsZero() {
				row[k] = ""
			} else if ok {
				row[k] = t.In(myt.Zone).Format(time.RFC3339)
			}
		}
		return f(row...)
	})
	if err != nil {
		return fmt.Errorf("reading report %s: %w", r.read.Name, err)
	}
	return nil
}

// ReportFormats are what Write knows, the default first.
func ReportFormats() []string { return []string{"json", "csv", "xlsx"} }

// Write streams the report: CSV and XLSX with the Malay names of the columns, JSON as
// {"report", "at", "rows": [{…}]}. An error leaves w with a part of it.
func (r *Report) Write(ctx context.Context, w io.Writer, format string) error {
	switch format {
	case "csv", "xlsx":
		begin := table.NewCSVWriter
		if format == "xlsx" {
			begin = table.NewXLSXWriter
		}
		t, err := begin(w)
		if err != nil {
			return err
		}
		header := make([]any, len(r.Columns))
		for k, c := range r.Columns {
			header[k] = c.MS
		}
		if err := t.Row(header...); err != nil {
			return err
		}
		if err := r.Each(ctx, t.Row); err != nil {
			return err
		}
		return t.Close()
	case "json":
		return r.writeJSON(ctx, w)
	}
	return entered("report_invalid", "format", "json, csv atau xlsx", "json, csv or xlsx")
}

func (r *Report) writeJSON(ctx context.Context, w io.Writer) error {
	if _, err := fmt.Fprintf(w, `{"report":%q,"at":%q,"rows":[`, r.read.Name, r.read.Now.In(myt.Zone).Format(time.RFC3339)); err != nil {
		return err
	}
	rows, enough := 0, errors.New("enough")
	err := r.Each(ctx, func(row ...any) error {
		line := []byte{','}
		if rows == 0 {
			line = nil
		}
		if rows++; r.limit > 0 && rows > r.limit {
			return enough
		}
		for k, cell := range row {
			raw, err := json.Marshal(cell)
			if err != nil {
				return err
			}
			line = fmt.Appendf(line, "%s%q:%s", []string{"{", ","}[min(k, 1)], r.Columns[k].Name, raw)
		}
		_, err := w.Write(append(line, "}\n"...))
		return err
	})
	end := "]}\n"
	if errors.Is(err, enough) {
		end, err = "],\"more\":true}\n", nil
	}
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, end)
	return err
}

// Reports are the names of all reports, in order.
func Reports() []string {
	return slices.Clone([]string{ReportCalendar, ReportChannels, ReportDaily, ReportExpiring, ReportOfficers, ReportPending, ReportRefusals, ReportRollout, ReportSignatures, ReportUsers, ReportWithoutAP})
}

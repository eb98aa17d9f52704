// Package reports serves the console's pages of its area: reports, and the audit for auditors.
package reports

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/page"
)

// Addresses of the area.
const (
	reportsPath = "/admin/reports"
	auditPath   = "/admin/audit"
	looksPath   = "/admin/audit/looks"
)

// shownRows is how many rows of a report a page shows; a file has all.
const shownRows = 250

// desk serves the pages.
type desk struct{ *page.Site }

// Routes adds its pages to r, whose visitors are administrators in a role that the menu lets in.
func Routes(r chi.Router, s *page.Site) {
	d := desk{s}
	r.Get(reportsPath, d.reports)
	r.Get(reportsPath+"/{name}", d.report)
	r.Get(reportsPath+"/{name}/file", d.reportFile)
	r.Get(auditPath, d.search)
	r.Get(looksPath, d.looks)
	r.Get(auditPath+"/file", d.auditFile)
	r.Get(auditPath+"/{seq}", d.record)
}

// kind is a report: what narrows it, and how it is drawn.
type kind struct {
	name   string
	days   int      // most days that can be asked for, 0: it has none
	months int      // the same of months
	by     []string // lengths of a row's time
	labels string   // the column along the plot, "" for none
	series string   // the column that gives the colours, "" where each of values is one
	values []string
	// ahead: its times are to come.
	ahead bool
}

// kinds are the reports in the order of their cards.
func kinds() []kind {
	return []kind{
		{name: "daily", days: 92, labels: "day", series: "system", values: []string{"signatures"}},
		{name: "signatures", months: 36, labels: "month", series: "system", values: []string{"signatures"}},
		{name: "refusals", months: 24, labels: "period", series: "reason", values: []string{"refusals"}},
		{name: "channels", days: 92, months: 24, by: []string{"month", "day"}, labels: "period", series: "channel", values: []string{"codes"}},
		{name: "calendar", by: []string{"month", "week"}, labels: "period", series: "system", values: []string{"certificates"}, ahead: true},
		{name: "expiring", days: 400},
		{name: "pending", labels: "state", values: []string{"up_to_1_day", "up_to_7_days", "up_to_30_days", "older"}},
		{name: "rollout", labels: "phase", values: []string{"listed", "confirmed", "applied", "issued", "ready"}},
		{name: "users", labels: "status", series: "medium", values: []string{"users"}},
		{name: "officers"},
		{name: "no-ap"},
	}
}

func kindOf(name string) (kind, bool) {
	k := slices.IndexFunc(kinds(), func(k kind) bool { return k.name == name })
	if k < 0 {
		return kind{}, false
	}
	return kinds()[k], true
}

func (d desk) reports(w http.ResponseWriter, r *http.Request) {
	d.Show(w, r, http.StatusOK, reportCards())
}

// view is a report on its page.
type view struct {
	kind
	query  url.Values // what the address narrows it by, without what is no filter of it
	Rows   []map[string]any
	More   bool
	faults page.Faults
}

// filters are the fields of a report's address.
func (k *kind) filters(q url.Values) url.Values {
	out := url.Values{}
	for _, name := range []string{"system", "agency", "days", "months", "by"} {
		v := q.Get(name)
		if v == "" || name == "days" && k.days == 0 || name == "months" && k.months == 0 || name == "by" && len(k.by) == 0 {
			continue
		}
		out.Set(name, v)
	}
	return out
}

// place is an address with a query.
func place(path string, q url.Values) string {
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

func with(q url.Values, name, value string) url.Values {
	out := url.Values{}
	for k, v := range q {
		out[k] = v
	}
	out.Set(name, value)
	return out
}

func (d desk) report(w http.ResponseWriter, r *http.Request) {
	k, ok := kindOf(page.Param(r, "name"))
	if !ok {
		d.NotFound(w, r)
		return
	}
	v := &view{kind: k, query: k.filters(r.URL.Query())}
	q := with(v.query, "limit", strconv.Itoa(shownRows))
	err := d.Call(r, http.MethodGet, place("/v1/admin/reports/"+k.name, q), nil, v)
	if p := page.Of(err); p != nil && (p.Status == http.StatusUnprocessableEntity || p.Status == http.StatusBadRequest) {
		v.faults = page.FaultsOf(r.Context(), p, map[string]string{"system": "system", "agency": "agency", "days": "days", "months": "months", "by": "by"})
		d.Show(w, r, p.Status, reportPage(v))
		return
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	d.Show(w, r, http.StatusOK, reportPage(v))
}

func (d desk) reportFile(w http.ResponseWriter, r *http.Request) {
	k, ok := kindOf(page.Param(r, "name"))
	if format := r.URL.Query().Get("format"); !ok || format != "csv" && format != "xlsx" {
		d.NotFound(w, r)
		return
	}
	d.Relay(w, r, place("/v1/admin/reports/"+k.name, with(k.filters(r.URL.Query()), "format", r.URL.Query().Get("format"))))
}

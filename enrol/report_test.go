package enrol_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/store/storetest"
)

// Who reads what: the scope of an only appointment is the filter, a foreign one is
// refused, and both stand in the audit, with the filter, before anything is read.
func TestReportScope(t *testing.T) {
	o := newOffice(t)
	o.applied(t, newIC)
	jpk := o.row("790308109904")
	jpk.Agency, jpk.System, jpk.Officer.Name = "JPK", "EP", `=HYPERLINK("http://x")`
	_, err := o.Add(ctx, o.jdn, jpk)
	refused(t, "a name that is a formula", err, "field_invalid")
	jpk.Officer.Name = "CHONG"
	if _, err := o.Add(ctx, o.jdn, jpk); err != nil {
		t.Fatal(err)
	}
	actors := who(o.House.Clock.Now())
	two := actors["SAP"]
	two.Appointments = append([]enrol.Appointment{{Role: enrol.AP, Agency: "JPK", From: o.House.Clock.Now()}}, two.Appointments...)
	actors["two"] = two
	for _, c := range []struct {
		who            string
		system, agency string
		rows           int // pending
		code           string
	}{
		{who: "JDN", rows: 2}, {who: "AUDITOR", rows: 2}, {who: "operator", rows: 2},
		{who: "JDN", agency: "JPK", rows: 1}, {who: "JDN", system: "EP", agency: "JANM"},
		{who: "SAP", rows: 1}, {who: "SA", rows: 1}, {who: "AP, other agency", rows: 1},
		{who: "SAP", system: "EP", code: "forbidden"}, {who: "AP", agency: "JPK", code: "forbidden"}, {who: "AP", system: "EP", code: "forbidden"},
		{who: "AP of nothing", code: "forbidden"}, {who: "JDN, ended", code: "forbidden"}, {who: "officer", code: "forbidden"}, {who: "nobody", code: "forbidden"},
		{who: "two", code: "report_scope"}, {who: "two", agency: "JPK", rows: 1}, {who: "two", system: storetest.System, rows: 1}, {who: "two", system: "EP", code: "forbidden"},
		{who: "AP", agency: "' OR 1", code: "report_invalid"},
	} {
		what := fmt.Sprintf("%+v", c)
		before := len(storetest.Chain(t, o.House.DB))
		r, err := o.Report(ctx, actors[c.who], enrol.ReportQuery{Name: enrol.ReportPending, System: c.system, Agency: c.agency})
		chain := storetest.Chain(t, o.House.DB)
		if len(chain) != before+1 {
			t.Fatalf("%s: %d records", what, len(chain)-before)
		}
		last := chain[before]
		if c.code != "" {
			refused(t, what, err, c.code)
			if last.Verdict != audit.Refused || last.Action != "enrol.report" || strings.Contains(fmt.Sprint(last.Detail), "OR 1") {
				t.Errorf("%s: %+v", what, last)
			}
			continue
		}
		must(t, err)
		if last.Verdict != audit.Accepted || last.Object != "report:pending" || last.Detail["agency"] != c.agency && c.agency != "" {
			t.Errorf("%s: %+v", what, last)
		}
		n := 0
		must(t, r.Each(ctx, func(row ...any) error {
			if len(row) != len(r.Columns) {
				t.Errorf("%d cells in %d columns", len(row), len(r.Columns))
			}
			n++
			return nil
		}))
		if n != c.rows {
			t.Errorf("%s: %d rows", what, n)
		}
	}
	for what, q := range map[string]enrol.ReportQuery{"days": {Name: enrol.ReportExpiring, Days: 401}, "months": {Name: enrol.ReportSignatures, Months: -1}} {
		_, err := o.Report(ctx, o.jdn, q)
		refused(t, what, err, "report_invalid")
	}
	_, err = o.Report(ctx, o.jdn, enrol.ReportQuery{Name: "secret-name"})
	refused(t, "no such report", err, "not_registered")
	if chain := storetest.Chain(t, o.House.DB); chain[len(chain)-1].Object != "report:unknown" {
		t.Errorf("%+v", chain[len(chain)-1])
	}
	o.Records = faulty{records: o.House.DB, onAudit: errDead}
	if r, err := o.Report(ctx, o.jdn, enrol.ReportQuery{Name: enrol.ReportUsers}); r != nil || !errors.Is(err, errDead) {
		t.Errorf("a report without an audit: %v", err)
	}
}

// rows gives a report's rows as text.
func (o *office) rows(t testing.TB, q enrol.ReportQuery) (out []string) {
	t.Helper()
	r, err := o.Report(ctx, o.jdn, q)
	must(t, err)
	must(t, r.Each(ctx, func(row ...any) error {
		out = append(out, fmt.Sprint(row...))
		return nil
	}))
	return out
}

// What becomes of a renewal or a new key changes nothing about who was equipped; whoever
// is waiting for the agency counts as waiting.
func TestRolloutCountsFirstCertificates(t *testing.T) {
	o := newOffice(t)
	o.enrolled(t)
	rollout := enrol.ReportQuery{Name: enrol.ReportRollout}
	before := o.rows(t, rollout)
	o.House.Clock.Advance(time.Minute)
	id := o.forgotten(t)
	if got := o.rows(t, rollout); len(before) != 1 || !slices.Equal(got, before) {
		t.Errorf("with a new key under way %q, was %q", got, before)
	}
	if got := o.rows(t, enrol.ReportQuery{Name: enrol.ReportWithoutAP, Agency: "JANM"}); len(got) != 1 || !strings.HasPrefix(got[0], "JANMJabatan Akauntan Negara1 1") {
		t.Errorf("one officer, one waiting for an AP that is not there: %q", got)
	}
	must(t, o.Withdraw(ctx, me, id, "Sudah ingat PIN"))
	if got := o.rows(t, rollout); !slices.Equal(got, before) {
		t.Errorf("with the new key given up %q, was %q", got, before)
	}
}

// Every report in every format: as many cells as columns, times of Malaysia.
func TestReportFormats(t *testing.T) {
	o := newOffice(t)
	id := o.applied(t, newIC)
	must(t, o.Validate(ctx, o.ap, id))
	cert, err := o.Approve(ctx, o.jdn, id)
	must(t, err)
	for _, name := range enrol.Reports() {
		r, err := o.Report(ctx, o.jdn, enrol.ReportQuery{Name: name, Days: 400})
		must(t, err)
		for _, format := range enrol.ReportFormats() {
			var b bytes.Buffer
			must(t, r.Write(ctx, &b, format))
			head := map[string]string{"json": `{"report":"` + name, "csv": "\ufeff" + r.Columns[0].MS + ",", "xlsx": "PK"}[format]
			if !strings.HasPrefix(b.String(), head) {
				t.Errorf("%s as %s: %.60q", name, format, b.String())
			}
			var v struct {
				Rows []map[string]any `json:"rows"`
			}
			if format != "json" {
				continue
			}
			must(t, json.Unmarshal(b.Bytes(), &v))
			if name == enrol.ReportExpiring && (len(v.Rows) != 2 || !strings.Contains(b.String(), newIC) || v.Rows[0]["not_after"] != cert.NotAfter.In(time.FixedZone("", 8*3600)).Format(time.RFC3339)) {
				t.Errorf("%s", b.String())
			}
		}
	}
	r, err := o.Report(ctx, o.jdn, enrol.ReportQuery{Name: enrol.ReportUsers})
	must(t, err)
	refused(t, "no such format", r.Write(ctx, &bytes.Buffer{}, "pdf"), "report_invalid")
}

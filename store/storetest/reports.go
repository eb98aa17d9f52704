package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
)

// population puts some officers in every place that a report tells of.
func (h *House) population(t *testing.T) {
	t.Helper()
	ctx, db, now := context.Background(), h.DB, h.Clock.Now()
	for _, g := range []string{"JANM", "JPK"} {
		must(t, db.PutAgency(ctx, enrol.Agency{Code: g, Name: "Jabatan " + g}, h.ev("registry", g)))
	}
	for _, s := range []string{System, "EP"} {
		must(t, db.PutSystem(ctx, enrol.System{Code: s, Title: s, Agency: "JANM"}, h.ev("registry", s)))
	}
	enter := func(ic, system, agency, office, phase string, s enrol.State, age time.Duration) {
		e := enrol.Entry{Row: enrol.Row{Officer: enrol.Officer{IC: ic, Name: "P " + ic[8:], Email: "p@janm.example"}, Agency: agency, Office: office, System: system, Phase: phase, Medium: enrol.RoamingOTP},
			ID: fmt.Sprintf("en_%s_%s_%d", ic, system, age), State: s, At: now.Add(-age), By: "sap", Event: h.ev("list", ic)}
		if s == "" {
			e.ID, e.Medium = "", enrol.Token
		}
		must(t, db.AddEntries(ctx, []enrol.Entry{e}))
	}
	const day = 24 * time.Hour
	enter(IC, System, "JANM", "A", "1", enrol.Issued, 40*day)
	enter("790308100001", System, "JANM", "A", "1", enrol.Applied, 2*day)
	enter("790308100002", System, "JANM", "A", "1", enrol.Applied, time.Hour)
	enter("790308100003", System, "JANM", "B", "1", enrol.Confirming, 10*day)
	enter("790308100004", System, "JPK", "C", "2", enrol.Rejected, 9*day)
	enter("790308100004", System, "JPK", "C", "2", enrol.Listed, 31*day) // older, and open: the newest one counts
	enter("790308100005", "EP", "JPK", "C", "2", "", 0)

	_, in := h.signing(t, "tx", 3)
	got, err := db.Claim(ctx, RunOf(in), 3)
	must(t, err)
	var out []signer.Outcome
	for k, c := range got {
		o := signer.Outcome{Index: c.Index, Attempt: c.Attempt, Signature: []byte("s")}
		if k == 2 {
			o.Signature, o.Refused = nil, errors.New("x")
		}
		out = append(out, o)
	}
	_, err = db.Complete(ctx, in.ID, out, now, h.ev("complete", in.ID))
	must(t, err)

	boss := enrol.NewAccount(enrol.Officer{IC: "700101105554", Name: "MIMI", Email: "m@jdn.example"}, now)
	boss.Kind, boss.State = enrol.AdministratorAccount, enrol.AccountNew
	boss.Appointments = []enrol.Appointment{{ID: "ap_1", Role: enrol.AP, Agency: "JANM", From: now}, {ID: "ap_2", Role: enrol.AP, Agency: "JPK", From: now.Add(-day)},
		{ID: "ap_3", Role: enrol.SA, Agency: "JPK", From: now}}
	must(t, db.PutAdministrator(ctx, boss, [32]byte{7}, now.Add(day), h.ev("admin", "")))
	must(t, db.CompleteSetup(ctx, [32]byte{7}, []byte("p"), 1, now, h.ev("setup", "")))
	must(t, db.EndAppointment(ctx, enrol.Appointment{ID: "ap_2", Until: now}, h.ev("end", "")))
}

// report gives the rows as text.
func (h *House) report(t *testing.T, r enrol.ReportRead) []string {
	t.Helper()
	r.Now = h.Clock.Now()
	rows := []string{}
	read := func(f func(row ...any) error) error { return h.DB.Report(context.Background(), r, f) }
	if r.Name == enrol.ReportRollout { // from the directory
		d := &enrol.Desk{Registrar: h.Registrar, Records: h.DB}
		x, err := d.Report(context.Background(), enrol.Actor{Name: "cli:test"}, enrol.ReportQuery{Name: r.Name, System: r.System, Agency: r.Agency})
		must(t, err)
		read = func(f func(row ...any) error) error { return x.Each(context.Background(), f) }
	}
	must(t, read(func(row ...any) error {
		for k, cell := range row {
			if at, ok := cell.(time.Time); ok {
				row[k] = at.Format("2006-01-02")
			}
		}
		rows = append(rows, strings.TrimSuffix(fmt.Sprintln(row...), "\n"))
		return nil
	}))
	return rows
}

// timed are the reports that count by day, week and month, in Malaysia.
func (h *House) timed(t *testing.T, at, end time.Time) {
	t.Helper()
	here := func(t time.Time) time.Time { return t.UTC().Add(8 * time.Hour) }
	monday := here(end)
	for monday.Weekday() != time.Monday {
		monday = monday.AddDate(0, 0, -1)
	}
	span := enrol.ReportRead{From: at.Add(-time.Hour), To: at.Add(time.Hour), By: enrol.ByMonth}
	for _, c := range []struct {
		name, by, agency, system string
		to                       time.Time
		want                     string
	}{
		{name: enrol.ReportDaily, want: here(at).Format("2006-01-02") + " IGFMAS 1 1 2 1"},
		{name: enrol.ReportDaily, agency: "JPK"}, {name: enrol.ReportDaily, system: "EP"}, {name: enrol.ReportDaily, to: at.Add(-time.Minute)},
		{name: enrol.ReportCalendar, to: end.Add(time.Second), want: here(end).Format("2006-01") + " IGFMAS 1"},
		{name: enrol.ReportCalendar, to: end.Add(time.Second), by: enrol.ByWeek, want: monday.Format("2006-01-02") + " IGFMAS 1"},
		{name: enrol.ReportCalendar, to: end.Add(time.Second), agency: "JPK"}, {name: enrol.ReportCalendar, to: end},
		{name: enrol.ReportChannels, want: here(at).Format("2006-01") + " IGFMAS email 1 0 0 1 1"},
		{name: enrol.ReportChannels, by: enrol.ByDay, want: here(at).Format("2006-01-02") + " IGFMAS email 1 0 0 1 1"},
		{name: enrol.ReportChannels, agency: "JPK"},
		{name: enrol.ReportRefusals, want: here(at).Format("2006-01") + " IGFMAS document:internal_error 1"},
		{name: enrol.ReportRefusals, agency: "JPK"},
	} {
		r := span
		r.Name, r.Agency, r.System = c.name, c.agency, c.system
		if c.by != "" {
			r.By = c.by
		}
		if !c.to.IsZero() {
			r.To = c.to
		}
		if got := strings.Join(h.report(t, r), "|"); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

func reports(t *testing.T, h *House) {
	h.population(t)
	at := h.Clock.Now()
	c, err := h.DB.CertificateBySerial(context.Background(), h.Credential.Serial)
	must(t, err)
	ends, serial := c.NotAfter.Format("2006-01-02"), h.Credential.Serial
	name := h.Officer.Name
	months := []time.Time{at.AddDate(0, -1, 0), at, at.AddDate(0, 1, 0)}
	for _, c := range []struct {
		read enrol.ReportRead
		want []string
	}{
		{enrol.ReportRead{Name: enrol.ReportUsers}, []string{" EP TOKEN ACTIVE 1", "JANM IGFMAS ROAMING_OTP ACTIVE 1", "JANM IGFMAS ROAMING_OTP NEW 3", "JPK IGFMAS ROAMING_OTP NEW 1"}},
		{enrol.ReportRead{Name: enrol.ReportUsers, Agency: "JPK"}, []string{"JPK IGFMAS ROAMING_OTP NEW 1"}},
		{enrol.ReportRead{Name: enrol.ReportUsers, System: "EP"}, []string{" EP TOKEN ACTIVE 1"}},
		{enrol.ReportRead{Name: enrol.ReportOfficers, Agency: "JANM"}, []string{"790308100001 P 0001 JANM A IGFMAS ROAMING_OTP NEW  0001-01-01", "790308100002 P 0002 JANM A IGFMAS ROAMING_OTP NEW  0001-01-01",
			"790308100003 P 0003 JANM B IGFMAS ROAMING_OTP NEW  0001-01-01", IC + " " + name + " JANM A IGFMAS ROAMING_OTP ACTIVE " + serial + " " + ends}},
		{enrol.ReportRead{Name: enrol.ReportExpiring, Until: c.NotAfter}, []string{IC + " " + name + " JANM A IGFMAS ACTIVE " + serial + " " + ends}},
		{enrol.ReportRead{Name: enrol.ReportExpiring, Until: c.NotAfter.Add(-time.Second)}, nil},
		{enrol.ReportRead{Name: enrol.ReportExpiring, Until: c.NotAfter, Agency: "JPK"}, nil},
		{enrol.ReportRead{Name: enrol.ReportPending}, []string{"JANM IGFMAS APPLIED 2 1 1 0 0 " + at.AddDate(0, 0, -2).Format("2006-01-02"),
			"JANM IGFMAS CONFIRMING 1 0 0 1 0 " + at.AddDate(0, 0, -10).Format("2006-01-02"), "JPK IGFMAS LISTED 1 0 0 0 1 " + at.AddDate(0, 0, -31).Format("2006-01-02")}},
		{enrol.ReportRead{Name: enrol.ReportPending, System: "EP"}, nil},
		{enrol.ReportRead{Name: enrol.ReportSignatures, Months: months}, []string{at.Format("2006-01") + " JANM IGFMAS 1 1 2 1"}},
		{enrol.ReportRead{Name: enrol.ReportSignatures, Months: months[:2]}, nil},
		{enrol.ReportRead{Name: enrol.ReportSignatures, Months: months, Agency: "JPK"}, nil},
		{enrol.ReportRead{Name: enrol.ReportWithoutAP}, []string{"JPK Jabatan JPK 1 0 " + at.Format("2006-01-02")}},
		{enrol.ReportRead{Name: enrol.ReportWithoutAP, Agency: "JANM"}, nil},
		{enrol.ReportRead{Name: enrol.ReportWithoutAP, System: "EP"}, nil},
		{enrol.ReportRead{Name: enrol.ReportRollout}, []string{"IGFMAS 1 JANM A 3 3 3 1 1 0", "IGFMAS 1 JANM B 1 0 0 0 0 0", "IGFMAS 2 JPK C 1 0 0 0 0 1"}},
		{enrol.ReportRead{Name: enrol.ReportRollout, Agency: "JPK"}, []string{"IGFMAS 2 JPK C 1 0 0 0 0 1"}},
		{enrol.ReportRead{Name: enrol.ReportRollout, System: "EP"}, nil},
		{enrol.ReportRead{Name: enrol.ReportExpiring, Until: c.NotAfter, Limit: 1}, []string{IC + " " + name + " JANM A IGFMAS ACTIVE " + serial + " " + ends}},
	} {
		got := h.report(t, c.read)
		if c.read.Name == enrol.ReportOfficers { // in an order that says nothing
			slices.Sort(got)
		}
		if !slices.Equal(got, c.want) && len(got)+len(c.want) > 0 {
			t.Errorf("%+v:\n%q, want\n%q", c.read, got, c.want)
		}
	}
	h.timed(t, at, c.NotAfter)
	err = h.DB.Report(context.Background(), enrol.ReportRead{Name: "x"}, nil)
	wants(t, "no such report", err, enrol.ErrUnknown)
	stop := errors.New("stop")
	wants(t, "the reader's error", h.DB.Report(context.Background(), enrol.ReportRead{Name: enrol.ReportOfficers}, func(...any) error { return stop }), stop)

	// No code reached her: her channel is not ready. Revoked: neither is her certificate.
	for _, s := range []string{otp.Sent, otp.Bounced} {
		_, err = h.DB.StoreDelivery(context.Background(), "tx", [otp.NonceSize]byte{1}, otp.Delivery{State: s, At: at}, h.ev("deliver", "tx"))
		must(t, err)
	}
	if got := h.report(t, enrol.ReportRead{Name: enrol.ReportRollout}); got[0] != "IGFMAS 1 JANM A 3 3 3 1 0 0" {
		t.Errorf("with a bounced code: %q", got[0])
	}
	must(t, h.DB.Revoke(context.Background(), serial, at, 1, h.ev("revoke", serial)))
	if got := h.report(t, enrol.ReportRead{Name: enrol.ReportUsers, Agency: "JANM"}); got[1] != "JANM IGFMAS ROAMING_OTP REVOKED 1" {
		t.Errorf("after the revocation: %q", got)
	}
	if got := h.report(t, enrol.ReportRead{Name: enrol.ReportExpiring, Until: c.NotAfter}); len(got) != 0 {
		t.Errorf("a revoked one expires: %q", got)
	}
}

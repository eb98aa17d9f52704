package enrol_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/store/storetest"
)

func refusedAs(t testing.TB, err error, code string) {
	t.Helper()
	var no *enrol.Refusal
	if !errors.As(err, &no) || no.Code != code {
		t.Errorf("%v, want %s", err, code)
	}
}

// The life of administrators: proposed, confirmed by another, replaced, ended at a date.
func TestAdministratorsLife(t *testing.T) {
	p := newPeople(t, "")
	a, _ := p.administrator(t)
	second := p.successor(t)
	jdn := enrol.Actor{Name: "account:" + a.ID, IC: a.IC, Appointments: a.Appointments}
	for _, g := range []string{"JANM", "JPK"} {
		must(t, p.DB.PutAgency(ctx, enrol.Agency{Code: g, Name: g}, audit.Event{At: p.Clock.Now()}))
	}
	now := p.Clock.Now()
	person := enrol.Officer{IC: "790308109903", Name: "NORAINI", Email: "n@janm.example"}
	sa := enrol.Appointment{Role: enrol.SA, Agency: "JANM", From: now, Document: "JANM.100-1/1"}

	_, _, err := p.Appoint(ctx, jdn, boss, sa)
	refusedAs(t, err, "own_case")
	_, _, err = p.Appoint(ctx, jdn, person, enrol.Appointment{Role: enrol.AP, Agency: "JANM", From: now, Document: "JANM.100-1/1"})
	refusedAs(t, err, "forbidden")
	for field, bad := range map[string]enrol.Appointment{
		"document_missing": {Role: enrol.SA, Agency: "JANM", From: now, Document: "  x "},
		"agency_unknown":   {Role: enrol.SA, Agency: "KKM", From: now, Document: "D 1"},
		"system_unknown":   {Role: enrol.SAP, System: "NONE", From: now, Document: "D 1"},
		"date_invalid":     {Role: enrol.SA, Agency: "JANM", From: now.Add(-2 * time.Hour), Until: now, Document: "D 1"},
	} {
		_, _, err := p.Appoint(ctx, jdn, person, bad)
		refusedAs(t, err, field)
	}
	made, code, err := p.Appoint(ctx, jdn, person, sa)
	if err != nil || !strings.HasPrefix(string(code.Reveal()), "setup_") || made.Appointment.Awaits {
		t.Fatalf("%+v, %v", made, err)
	}
	_, _, err = p.Appoint(ctx, jdn, person, sa)
	refusedAs(t, err, "already_appointed")

	// The SA appoints the AP of the own agency, and nobody else.
	bySA := enrol.Actor{Name: "account:" + made.Account.ID, IC: person.IC, Appointments: []enrol.Appointment{made.Appointment}}
	ap := enrol.Appointment{Role: enrol.AP, Agency: "JANM", From: now, Document: "JANM.100-1/2"}
	_, _, err = p.Appoint(ctx, bySA, person, ap)
	refusedAs(t, err, "own_case")
	foreign := ap
	foreign.Agency = "JPK"
	_, _, err = p.Appoint(ctx, bySA, boss, foreign)
	refusedAs(t, err, "forbidden")
	if without, err := p.WithoutAP(ctx, jdn); err != nil || len(without) != 2 {
		t.Errorf("%+v, %v", without, err)
	}
	helper, code, err := p.Appoint(ctx, bySA, enrol.Officer{IC: "790308109904", Name: "AINI", Email: "a@janm.example"}, ap)
	must(t, err)
	seedAP, err := p.BeginSetup(ctx, code, "r")
	must(t, err)
	_, err = p.CompleteSetup(ctx, code, secret.New(bossPassword), secret.New(p.totp(t, seedAP, 0)), "r")
	must(t, err)
	if without, err := p.WithoutAP(ctx, jdn); err != nil || len(without) != 1 || without[0].Code != "JPK" {
		t.Errorf("%+v, %v", without, err)
	}
	if _, err := p.WithoutAP(ctx, enrol.Actor{Name: "officer:x", IC: storetest.IC}); !errors.Is(err, enrol.ErrForbidden) {
		t.Error(err)
	}
	if mine, err := p.Appointments(ctx, bySA, false); err != nil || len(mine) != 2 {
		t.Errorf("an SA sees %+v, %v", mine, err)
	}
	if all, err := p.Appointments(ctx, jdn, false); err != nil || len(all) != 4 {
		t.Errorf("JDN sees %d, %v", len(all), err)
	}

	// A date to come: the session goes on until then and not a moment longer.
	p.Clock.Advance(time.Minute)
	l := p.begin(t, "790308109904", bossPassword, "")
	until := p.Clock.Now().Add(10 * time.Minute)
	must(t, p.EndAppointment(ctx, bySA, helper.Appointment.ID, until, "JANM.100-1/3"))
	o, err := p.finish(l.ID, p.totp(t, seedAP, 0))
	must(t, err)
	p.Clock.Advance(10*time.Minute - time.Second)
	if who := p.holds(t, o, nil); len(who.Actor.Appointments) != 1 || !who.Session.ExpiresAt.Equal(until) {
		t.Errorf("%+v", who)
	}
	p.Clock.Advance(time.Second)
	p.holds(t, o, enrol.ErrUnknown)
	refusedAs(t, p.EndAppointment(ctx, bySA, helper.Appointment.ID, p.Clock.Now(), "JANM.100-1/3"), "not_registered")
	refusedAs(t, p.EndAppointment(ctx, bySA, "ap_none", p.Clock.Now(), "JANM.100-1/3"), "forbidden")
	refusedAs(t, p.EndAppointment(ctx, jdn, "ap_none", p.Clock.Now(), "JANM.100-1/3"), "not_registered")
	refusedAs(t, p.EndAppointment(ctx, bySA, made.Appointment.ID, p.Clock.Now(), "JANM.100-1/3"), "forbidden")

	// A central administrator takes two others.
	third, _, err := p.Appoint(ctx, jdn, enrol.Officer{IC: "790308109905", Name: "OMAR", Email: "o@jdn.example"}, enrol.Appointment{Role: enrol.JDN, From: p.Clock.Now(), Document: "JDN.1"})
	if err != nil || !third.Appointment.Awaits {
		t.Fatalf("%+v, %v", third, err)
	}
	if acct, _, err := p.DB.AccountByIC(ctx, "790308109905"); err != nil || len(acct.InForce(p.Clock.Now())) != 0 {
		t.Errorf("in force before it was confirmed: %+v, %v", acct, err)
	}
	refusedAs(t, p.Accounts.Confirm(ctx, jdn, third.Appointment.ID), "same_person")
	refusedAs(t, p.Accounts.Confirm(ctx, enrol.Actor{Name: "x", IC: "790308109905", Appointments: second.Appointments}, third.Appointment.ID), "own_case")
	refusedAs(t, p.Accounts.Confirm(ctx, bySA, third.Appointment.ID), "forbidden")
	must(t, p.Accounts.Confirm(ctx, second, third.Appointment.ID))
	refusedAs(t, p.Accounts.Confirm(ctx, second, third.Appointment.ID), "enrolment_changed")
	if acct, _, err := p.DB.AccountByIC(ctx, "790308109905"); err != nil || len(acct.InForce(p.Clock.Now())) != 1 {
		t.Errorf("%+v, %v", acct, err)
	}
	refusedAs(t, p.EndAccount(ctx, jdn, a.ID), "own_case")
	if _, _, err := p.CreateAdministrator(ctx, jdn, enrol.Officer{IC: "790308109906", Name: "X", Email: "x@y.example"}, enrol.Appointment{Role: enrol.SA, Agency: "JANM", From: p.Clock.Now()}); !errors.Is(err, enrol.ErrForbidden) {
		t.Errorf("a person made an administrator without a document: %v", err)
	}
	if got := len(p.refusals(t)); got < 12 {
		t.Errorf("%d refusals in the audit", got)
	}
}

func (p *people) refusals(t testing.TB) (out []audit.Record) {
	t.Helper()
	for _, r := range storetest.Chain(t, p.DB) {
		if r.Verdict == audit.Refused {
			out = append(out, r)
		}
	}
	return out
}

package enrol_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/store"
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
	jdn := enrol.Actor{Name: "account:" + a.ID, IC: a.IC, LoggedIn: p.Clock.Now(), Appointments: a.Appointments}
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
	old := sa
	old.From = now.Add(-25 * time.Hour)
	_, _, err = p.Appoint(ctx, jdn, person, old)
	refusedAs(t, err, "date_invalid")
	made, code, err := p.Appoint(ctx, jdn, person, sa)
	if err != nil || code.Len() != 0 || !made.Appointment.Awaits {
		t.Fatalf("%+v, %v", made, err)
	}
	refusedAs(t, p.Accounts.Confirm(ctx, jdn, made.Appointment.ID), "same_person")
	must(t, p.Accounts.Confirm(ctx, second, made.Appointment.ID))
	made.Appointment.Awaits = false
	_, _, err = p.Appoint(ctx, jdn, person, sa)
	refusedAs(t, err, "already_appointed")

	// The SA appoints the AP of the own agency, and nobody else.
	bySA := enrol.Actor{Name: "account:" + made.Account.ID, IC: person.IC, LoggedIn: p.Clock.Now(), Appointments: []enrol.Appointment{made.Appointment}}
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
	helper, none, err := p.Appoint(ctx, bySA, enrol.Officer{IC: "790308109904", Name: "AINI", Email: "a@janm.example"}, ap)
	if err != nil || none.Len() != 0 {
		t.Fatal(err)
	}
	// Whoever appointed the SA is one hand with it.
	refusedAs(t, p.Accounts.Confirm(ctx, jdn, helper.Appointment.ID), "same_person")
	must(t, p.Accounts.Confirm(ctx, second, helper.Appointment.ID))
	refusedAs(t, p.SendSetup(ctx, enrol.Actor{Name: "officer:x", IC: storetest.IC}, helper.Appointment.ID), "forbidden")
	code = p.mailed(t, "a@janm.example")
	refusedAs(t, p.SendSetup(ctx, second, helper.Appointment.ID), "resend_too_soon")
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
	if mine, err := p.Appointments(ctx, bySA, enrol.AppointmentFilter{}); err != nil || len(mine) != 2 {
		t.Errorf("an SA sees %+v, %v", mine, err)
	}
	if all, err := p.Appointments(ctx, jdn, enrol.AppointmentFilter{Limit: 100}); err != nil || len(all) != 4 {
		t.Errorf("JDN sees %d, %v", len(all), err)
	}

	// A date to come: the session goes on until then and not a moment longer.
	p.Clock.Advance(time.Minute)
	refusedAs(t, p.SendSetup(ctx, second, helper.Appointment.ID), "setup_done")
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
	bySA.LoggedIn, jdn.LoggedIn, second.LoggedIn = p.Clock.Now(), p.Clock.Now(), p.Clock.Now()
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
	refusedAs(t, p.Accounts.Confirm(ctx, enrol.Actor{Name: "x", IC: "790308109905", LoggedIn: p.Clock.Now(), Appointments: second.Appointments}, third.Appointment.ID), "own_case")
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

// mailed has the set-up codes that are due mailed, and gives the one that went to an address.
func (p *people) mailed(t testing.TB, to string) secret.Text {
	t.Helper()
	post := &postbox{}
	d := &enrol.Desk{Registrar: &enrol.Registrar{Records: p.DB, Now: p.Clock.Now}, Records: p.DB, Mail: post}
	for did, err := d.Once(ctx); did || err != nil; did, err = d.Once(ctx) {
		must(t, err)
	}
	for _, l := range post.letters {
		if l.Email == to && l.Setup {
			return secret.New(l.code)
		}
	}
	t.Fatalf("nothing went to %s: %+v", to, post.letters)
	return secret.Text{}
}

// settled keeps what is said of the mails of set-up codes.
type settled struct {
	*store.DB
	reply string
	due   time.Time
}

func (s *settled) SettleSetup(ctx context.Context, id string, attempts int, due time.Time, reply string) error {
	s.reply, s.due = reply, due
	return s.DB.SettleSetup(ctx, id, attempts, due, reply)
}

// What a network says of the inside is not kept with the mail of a set-up code.
func TestSetupMailsKeepDigitsAlone(t *testing.T) {
	for _, x := range []struct {
		err   error
		reply string
		again bool
	}{
		{answered("451 4.7.1"), "451 4.7.1", true},
		{errors.New("dial tcp 10.1.2.3:25: connection refused"), "no answer", true},
		{fmt.Errorf("to <n@janm.example>: %w", enrol.ErrUndeliverable), "cannot be delivered", false},
		{nil, "", false},
	} {
		p := newPeople(t, "")
		a, _ := p.administrator(t)
		second := p.successor(t)
		must(t, p.AskReset(ctx, enrol.Actor{Name: "account:" + a.ID, IC: a.IC, LoggedIn: p.Clock.Now(), Appointments: a.Appointments}, strings.TrimPrefix(second.Name, "account:"), "telephone lost"))
		third := enrol.Actor{Name: "account:third", IC: "790308109906", LoggedIn: p.Clock.Now(), Appointments: a.Appointments}
		must(t, p.ConfirmReset(ctx, third, strings.TrimPrefix(second.Name, "account:")))
		s := &settled{DB: p.DB, reply: "not asked"}
		d := &enrol.Desk{Registrar: &enrol.Registrar{Records: p.DB, Now: p.Clock.Now}, Records: s, Mail: &postbox{fail: x.err}}
		if did, err := d.Once(ctx); !did || err != nil || s.reply != x.reply || s.due.IsZero() == x.again {
			t.Errorf("%v: %v, %v: kept %q, again at %v", x.err, did, err, s.reply, s.due)
		}
	}
}

// An officer's account keeps password, sessions and address when it is appointed: the
// officer alone, freshly logged in, adds the second factor, and only then is an administrator.
func TestAnAppointmentTouchesNoProof(t *testing.T) {
	p := newPeople(t, "")
	a, _ := p.administrator(t)
	second := p.successor(t)
	jdn := enrol.Actor{Name: "account:" + a.ID, IC: a.IC, LoggedIn: p.Clock.Now(), Appointments: a.Appointments}
	must(t, p.DB.PutAgency(ctx, enrol.Agency{Code: "JANM", Name: "JANM"}, audit.Event{At: p.Clock.Now()}))
	officer, _, err := p.DB.Officer(ctx, storetest.IC)
	must(t, err)
	must(t, p.SetPassword(ctx, machine, officer, secret.New(goodPassword)))
	enter := func() enrol.Person {
		t.Helper()
		l := p.begin(t, officer.IC, goodPassword, "")
		o, err := p.finish(l.ID, p.codes.made[l.ID])
		must(t, err)
		return p.holds(t, o, nil)
	}
	who := enter()
	sa := enrol.Appointment{Role: enrol.SA, Agency: "JANM", From: p.Clock.Now(), Document: "JANM.100-1/1"}
	for what, bad := range map[string]enrol.Officer{"another name": {IC: officer.IC, Name: "ORANG LAIN", Email: officer.Email}, "another address": {IC: officer.IC, Name: officer.Name, Email: "thief@janm.example"}} {
		_, _, err := p.Appoint(ctx, jdn, bad, sa)
		if refusedAs(t, err, "person_conflict"); t.Failed() {
			t.Fatal(what)
		}
	}
	made, code, err := p.Appoint(ctx, jdn, officer, sa)
	if err != nil || code.Len() != 0 {
		t.Fatal(err)
	}
	_, err = p.BeginSecondFactor(ctx, enter())
	refusedAs(t, err, "not_appointed")
	must(t, p.Accounts.Confirm(ctx, second, made.Appointment.ID))
	if got, proofs, err := p.DB.Account(ctx, who.Account.ID); err != nil || got.Kind != enrol.OfficerAccount || got.State != enrol.AccountActive || got.Email != officer.Email || len(proofs.Password) == 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	who = enter()
	if len(who.Actor.Appointments) != 0 {
		t.Error("a mailed code made an administrator")
	}
	seed, err := p.BeginSecondFactor(ctx, who)
	must(t, err)
	if err := p.CompleteSecondFactor(ctx, who, secret.New("000000")); !errors.Is(err, enrol.ErrWrongCode) {
		t.Error(err)
	}
	p.Clock.Advance(enrol.FreshFor + time.Second)
	refusedAs(t, p.CompleteSecondFactor(ctx, who, secret.New(p.totp(t, seed, 0))), "session_not_fresh")
	who = enter()
	must(t, p.CompleteSecondFactor(ctx, who, secret.New(p.totp(t, seed, 0))))
	p.Clock.Advance(time.Minute)
	l := p.begin(t, officer.IC, goodPassword, "")
	if _, err := p.finish(l.ID, p.codes.made[l.ID]); !errors.Is(err, enrol.ErrWrongCode) {
		t.Errorf("a mailed code opens an administrator's session: %v", err)
	}
	o, err := p.finish(l.ID, p.totp(t, seed, 0))
	must(t, err)
	if who := p.holds(t, o, nil); len(who.Actor.Appointments) != 1 || who.Actor.Appointments[0].Role != enrol.SA {
		t.Errorf("%+v", who.Actor)
	}
	told := 0
	for {
		n, ok, err := p.DB.ClaimNotice(ctx, time.Hour)
		must(t, err)
		if !ok {
			break
		}
		if n.Kind == enrol.NoticeAccount && n.Email == officer.Email {
			told++
		}
	}
	if told != 3 { // proposed, confirmed, second factor
		t.Errorf("the officer was told %d times", told)
	}
}

// A lost second factor takes two: who asks, and another; the code goes to the own mailbox.
func TestAResetTakesTwo(t *testing.T) {
	p := newPeople(t, "")
	a, _ := p.administrator(t)
	second := p.successor(t)
	jdn := enrol.Actor{Name: "account:" + a.ID, IC: a.IC, LoggedIn: p.Clock.Now(), Appointments: a.Appointments}
	lost, code, err := p.CreateAdministrator(ctx, machine, enrol.Officer{IC: "790308109905", Name: "OMAR", Email: "o@jdn.example"}, enrol.Appointment{Role: enrol.AP, Agency: "JANM", From: p.Clock.Now()})
	must(t, err)
	seed, err := p.BeginSetup(ctx, code, "r")
	must(t, err)
	_, err = p.CompleteSetup(ctx, code, secret.New(bossPassword), secret.New(p.totp(t, seed, 0)), "r")
	must(t, err)

	if _, err := p.ResetAdministrator(ctx, jdn, lost.ID, ""); !errors.Is(err, enrol.ErrForbidden) {
		t.Errorf("a person got a set-up code: %v", err)
	}
	refusedAs(t, p.ConfirmReset(ctx, second, lost.ID), "enrolment_changed")
	refusedAs(t, p.AskReset(ctx, jdn, lost.ID, "x"), "reason_missing")
	refusedAs(t, p.AskReset(ctx, jdn, a.ID, "telephone lost"), "own_case")
	must(t, p.AskReset(ctx, jdn, lost.ID, "telephone lost, seen in person"))
	refusedAs(t, p.ConfirmReset(ctx, jdn, lost.ID), "same_person")
	p.begin(t, "790308109905", bossPassword, "")
	if got, proofs, err := p.DB.Account(ctx, lost.ID); err != nil || got.State != enrol.AccountActive || len(proofs.TOTP) == 0 {
		t.Errorf("one person reset an account: %+v, %v", got, err)
	}
	must(t, p.ConfirmReset(ctx, second, lost.ID))
	if got, proofs, err := p.DB.Account(ctx, lost.ID); err != nil || got.State != enrol.AccountNew || len(proofs.TOTP) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	code = p.mailed(t, "o@jdn.example")
	if _, err := p.BeginSetup(ctx, code, "r"); err != nil {
		t.Error(err)
	}
	p.Clock.Advance(enrol.SetupFor)
	if _, err := p.BeginSetup(ctx, code, "r"); !errors.Is(err, enrol.ErrUnknown) {
		t.Errorf("a code of yesterday: %v", err)
	}
	second.LoggedIn = p.Clock.Now()
	must(t, p.SendSetup(ctx, second, lost.Appointments[0].ID))
	if next := p.mailed(t, "o@jdn.example"); string(next.Reveal()) == string(code.Reveal()) {
		t.Error("the same code twice")
	}
	for _, r := range storetest.Chain(t, p.DB) {
		for _, v := range r.Detail {
			if strings.Contains(v, "setup_") {
				t.Errorf("a set-up code in the audit: %+v", r)
			}
		}
	}
}

// "Now" is when the appointment is ended, whatever the clock showed to whoever asked.
func TestAnAppointmentEndsNow(t *testing.T) {
	p := newPeople(t, "")
	p.Now = func() time.Time { p.Clock.Advance(time.Millisecond); return p.Clock.Now() }
	a, _, err := p.CreateAdministrator(ctx, machine, boss, enrol.Appointment{Role: enrol.AP, Agency: "JANM", From: p.Clock.Now()})
	must(t, err)
	must(t, p.EndAppointment(ctx, machine, a.Appointments[0].ID, time.Time{}, "JANM.100-1/3"))
	if _, x, err := p.DB.Appointment(ctx, a.Appointments[0].ID); err != nil || x.Until.IsZero() || x.Until.After(p.Clock.Now()) {
		t.Errorf("%+v, %v", x, err)
	}
}

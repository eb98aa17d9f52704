package enrol_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/store/storetest"
)

// Whoever listed an officer chose the mailbox, and neither validates nor approves.
func TestWhoeverListsDecidesNothing(t *testing.T) {
	for name, lister := range map[string]func(o *office) enrol.Actor{
		"a SAP": func(o *office) enrol.Actor { return o.sap },
		"a JDN": func(o *office) enrol.Actor { return o.jdn },
	} {
		o := newOffice(t)
		by := lister(o)
		e, err := o.Add(ctx, by, o.row(newIC))
		must(t, err)
		if e.State == enrol.Listed {
			must(t, o.Admit(ctx, o.jd2, e.ID))
		}
		o.once(t)
		_, err = o.Confirm(ctx, secret.New(o.post.last(t).link), "r")
		must(t, err)
		o.once(t)
		_, err = o.Apply(ctx, application(secret.New(o.post.last(t).code)))
		must(t, err)
		if name == "a SAP" {
			refused(t, name+" validates", o.Validate(ctx, by, e.ID), "same_person")
		}
		must(t, o.Validate(ctx, o.ap, e.ID))
		if name == "a JDN" {
			refused(t, name+" approves", second(o.Approve(ctx, by, e.ID)), "same_person")
		}
		other := o.jdn
		if by.Name == other.Name {
			other = enrol.Actor{Name: "account:third", IC: "700101105560", Appointments: o.jdn.Appointments}
		}
		must(t, second(o.Approve(ctx, other, e.ID)))
		o.sound(t)
	}
}

// Whoever asked or vouched for a change of address since the last certificate does not
// confirm the new key that is asked for from there.
func TestWhoeverVouchedForAnAddressConfirmsNoKey(t *testing.T) {
	o := newOffice(t)
	id := o.applied(t, newIC)
	must(t, o.Validate(ctx, o.ap, id))
	must(t, second(o.Approve(ctx, o.jdn, id)))
	herself := enrol.Actor{Name: "account:x", IC: newIC}
	o.post.letters = nil
	c, err := o.ChangeAddress(ctx, herself, newIC, "nora@janm.gov.my")
	must(t, err)
	_, next := o.links(t)
	must(t, o.Vouch(ctx, o.ap, c.ID, "old mailbox is closed"))
	_, err = o.Confirm(ctx, next, "r")
	must(t, err)
	e, err := o.ForgotPIN(ctx, herself, storetest.System)
	must(t, err)
	o.once(t)
	_, err = o.Rekey(ctx, herself, enrol.RekeyRequest{Code: secret.New(o.post.last(t).code), PIN: secret.New(goodPIN + "9"), PINAgain: secret.New(goodPIN + "9")})
	must(t, err)
	refused(t, "who vouched", second(o.ConfirmRekey(ctx, o.ap, e.ID, "Saya kenal dia")), "same_person")
	must(t, second(o.ConfirmRekey(ctx, o.sap, e.ID, "Saya kenal dia")))
}

// A listing that the officer had no part in gives the agency that it names no power.
func TestAListingAloneGivesNoScope(t *testing.T) {
	o := newOffice(t)
	id := o.applied(t, newIC)
	must(t, o.Validate(ctx, o.ap, id))
	must(t, second(o.Approve(ctx, o.jdn, id)))
	foreign := enrol.Actor{Name: "account:jpk", IC: "700101105556", Appointments: []enrol.Appointment{{Role: enrol.AP, Agency: "JPK"}}}
	row := o.row(newIC)
	row.Agency, row.System = "JPK", "EP"
	e, err := o.Add(ctx, enrol.Actor{Name: "account:sap", IC: "700101105561", Appointments: []enrol.Appointment{{Role: enrol.SAP, System: "EP"}}}, row)
	must(t, err)
	for _, what := range []string{"listed", "admitted"} {
		if what == "admitted" {
			must(t, o.Admit(ctx, o.jdn, e.ID))
		}
		for _, act := range []enrol.Action{enrol.SeeCodes, enrol.UnlockPIN, enrol.OpenDoor, enrol.AskAddress} {
			_, err := o.Permit(ctx, foreign, act, newIC)
			refused(t, what+": "+string(act), err, "forbidden")
			_, err = o.Permit(ctx, o.ap, act, newIC)
			must(t, err)
		}
		p, err := o.Lookup(ctx, foreign, newIC)
		must(t, err)
		if len(p.Enrolments) != 1 || p.Enrolments[0].ID != e.ID || p.Enrolments[0].Email != "" || len(p.Media) != 0 || p.Officer.Email != "" || p.Officer.Name == "" {
			t.Errorf("%s: who was named sees %+v", what, p)
		}
		if p, err := o.Lookup(ctx, o.ap, newIC); err != nil || p.Officer.Email == "" || len(p.Enrolments) != 1 || len(p.Media) != 1 || p.Media[0].System != storetest.System {
			t.Errorf("%s: the own agency sees %+v, %v", what, p, err)
		}
	}
	must(t, second(o.Confirm(ctx, secret.New(o.newest(t)), "r")))
	if p, err := o.Lookup(ctx, foreign, newIC); err != nil || p.Officer.Email == "" || len(p.Media) != 1 || p.Media[0].System != "EP" {
		t.Errorf("confirmed by the officer: %+v, %v", p, err)
	}
	// Somebody new is nobody else's.
	row.Officer.IC, row.Officer.Email = "880101145678", "baharu@jpk.example"
	_, err = o.Add(ctx, o.jdn, row)
	must(t, err)
	if p, err := o.Lookup(ctx, foreign, row.Officer.IC); err != nil || p.Officer.Email == "" || len(p.Media) != 1 {
		t.Errorf("somebody new: %+v, %v", p, err)
	}
}

// newest has what is due mailed, and gives the link that went last.
func (o *office) newest(t testing.TB) string {
	t.Helper()
	o.once(t)
	return o.post.last(t).link
}

// One event tells who unlocked a PIN and why, with the deed; refusals stand there, too.
func TestUnlockedPINIsOneEvent(t *testing.T) {
	o := newOffice(t)
	id := o.applied(t, newIC)
	must(t, o.Validate(ctx, o.ap, id))
	must(t, second(o.Approve(ctx, o.jdn, id)))
	for range 3 {
		if err := o.Desk.PINs.ProvePIN(ctx, enrol.Renew, newIC, storetest.System, "", secret.New("bukan-pin-ini-3"), "r"); err == nil {
			t.Fatal("a wrong PIN is right")
		}
	}
	refused(t, "no reason", second(o.UnlockPIN(ctx, o.ap, newIC, " x  ")), "reason_missing")
	refused(t, "herself", second(o.UnlockPIN(ctx, enrol.Actor{Name: "account:x", IC: newIC}, newIC, "MyKad dilihat")), "forbidden")
	was, err := o.UnlockPIN(ctx, o.ap, newIC, " MyKad dilihat ")
	if err != nil || was.Wrong != 3 || was.Blocked {
		t.Errorf("%+v, %v", was, err)
	}
	if was, err := o.UnlockPIN(ctx, o.ap, newIC, "MyKad dilihat"); err != nil || was != (enrol.PINCount{}) {
		t.Errorf("again: %+v, %v", was, err)
	}
	must(t, o.SeeCodes(ctx, o.ap, newIC))
	told := map[string]int{}
	for _, r := range storetest.Chain(t, o.House.DB) {
		if strings.HasPrefix(r.Action, "officer.") || r.Action == "signer.unlock" {
			told[r.Action+" "+string(r.Verdict)+" "+r.Detail["why"]]++
		}
	}
	if want := map[string]int{"officer.unlock refused ": 2, "officer.unlock accepted MyKad dilihat": 2, "officer.codes noted ": 1}; !maps.Equal(told, want) {
		t.Errorf("%v, want %v", told, want)
	}
}

// decides has the officer whose link the post has now apply, by whose mailbox that is, and
// wants no word in it from who chose the mailbox.
func (o *office) decides(t *testing.T, who enrol.Actor, id string) {
	t.Helper()
	_, err := o.Confirm(ctx, secret.New(o.post.last(t).link), "r")
	must(t, err)
	o.once(t)
	_, err = o.Apply(ctx, application(secret.New(o.post.last(t).code)))
	must(t, err)
	refused(t, "whoever chose the mailbox validates", o.Validate(ctx, who, id), "same_person")
	o.sound(t)
}

// The address is one for all of an officer's enrolments: whoever corrects it through one
// decides about none.
func TestWhoeverCorrectsThroughAnotherEnrolment(t *testing.T) {
	o := newOffice(t)
	sap := enrol.Actor{Name: "account:sapep", IC: "700101105561", Appointments: []enrol.Appointment{{Role: enrol.SAP, System: "EP"}}}
	first, err := o.Add(ctx, o.sap, o.row(newIC))
	must(t, err)
	must(t, o.Admit(ctx, o.jd2, first.ID))
	row := o.row(newIC)
	row.System = "EP"
	e, err := o.Add(ctx, sap, row)
	must(t, err)
	must(t, o.Admit(ctx, o.jd2, e.ID))
	o.once(t)
	o.once(t)
	must(t, o.Correct(ctx, o.ap, first.ID, "noraini2@janm.gov.my"))
	o.House.Clock.Advance(6 * time.Minute)
	must(t, o.Resend(ctx, o.ap, e.ID))
	o.post.letters = nil
	for len(o.post.letters) == 0 || o.post.last(t).System != "ePerolehan" {
		o.once(t)
	}
	o.decides(t, o.ap, e.ID)
	// A second AP, who chose nothing, may.
	must(t, o.Validate(ctx, enrol.Actor{Name: "account:ap2", IC: "700101105562", Appointments: o.ap.Appointments}, e.ID))
	must(t, second(o.Approve(ctx, o.jdn, e.ID)))
}

// A correction counts after the enrolment is withdrawn and the officer listed again.
func TestWhoeverCorrectedBeforeTheListing(t *testing.T) {
	o := newOffice(t)
	first, err := o.Add(ctx, o.sap, o.row(newIC))
	must(t, err)
	must(t, o.Admit(ctx, o.jd2, first.ID))
	o.once(t)
	must(t, o.Correct(ctx, o.ap, first.ID, "noraini2@janm.gov.my"))
	must(t, o.Withdraw(ctx, o.ap, first.ID, "tersilap"))
	row := o.row(newIC)
	row.Officer.Email = "noraini2@janm.gov.my"
	e, err := o.Add(ctx, o.sap, row)
	must(t, err)
	must(t, o.Admit(ctx, o.jd2, e.ID))
	for o.post.letters = nil; len(o.post.letters) == 0; {
		o.once(t)
	}
	o.decides(t, o.ap, e.ID)
}

// Whoever makes an officer by a token's row chose the mailbox as well.
func TestWhoeverListedTheToken(t *testing.T) {
	o := newOffice(t)
	both := o.sap
	both.Appointments = append(both.Appointments, enrol.Appointment{Role: enrol.SAP, System: "EP", From: o.House.Clock.Now().Add(-time.Hour)})
	row := o.row(newIC)
	row.System, row.Medium, row.Officer.Email = "EP", enrol.Token, "noraini2@janm.gov.my"
	_, err := o.Add(ctx, both, row)
	must(t, err)
	row.System, row.Medium = storetest.System, ""
	e, err := o.Add(ctx, o.jd2, row) // who was told of a conflict with any other address
	must(t, err)
	o.once(t)
	o.decides(t, both, e.ID)
}

// A transfer to come gives the agency that receives no power over the certificate there is.
func TestATransferGivesNoScopeYet(t *testing.T) {
	o := newOffice(t)
	id := o.applied(t, newIC)
	must(t, o.Validate(ctx, o.ap, id))
	must(t, second(o.Approve(ctx, o.jdn, id)))
	other := enrol.Actor{Name: "account:jpk", IC: "700101105556", Appointments: []enrol.Appointment{{Role: enrol.AP, Agency: "JPK"}}}
	order := enrol.StatusOrder{IC: newIC, System: storetest.System, Reason: "unspecified", Why: "sebab saya"}
	moving := enrol.StatusOrder{IC: newIC, System: storetest.System, Why: "bertukar", At: o.House.Clock.Now().Add(240 * time.Hour)}
	_, err := o.Transfer(ctx, o.ap, moving, "JPK")
	must(t, err)
	_, err = o.Revoke(ctx, other, order)
	refused(t, "revoked by the agency to come", err, "no_certificate")
	_, err = o.Suspend(ctx, other, order)
	refused(t, "suspended by the agency to come", err, "no_certificate")
	_, err = o.Revoke(ctx, o.ap, order)
	must(t, err)
}

// What JDN ordered the agency does not take back, and its own it does.
func TestWhatJDNOrderedStands(t *testing.T) {
	o := newOffice(t)
	id := o.applied(t, newIC)
	must(t, o.Validate(ctx, o.ap, id))
	must(t, second(o.Approve(ctx, o.jdn, id)))
	at := o.House.Clock.Now().Add(48 * time.Hour)
	order := func(reason, why string) enrol.StatusOrder {
		return enrol.StatusOrder{IC: newIC, System: storetest.System, Reason: reason, Why: why, At: at}
	}
	hold := order("", "siasatan dalaman")
	hold.At = time.Time{}
	for _, by := range []enrol.Actor{o.ap, o.jdn, o.ap} {
		own := by.Name == o.ap.Name
		out, err := o.Revoke(ctx, by, order("cessationOfOperation", "berhenti kerja"))
		must(t, err)
		_, err = o.Suspend(ctx, by, hold)
		must(t, err)
		if !own {
			refused(t, "the agency takes back JDN's revocation", o.Unschedule(ctx, o.ap, out.Serials[0], "tidak perlu"), "forbidden")
			later := order("cessationOfOperation", "belum lagi")
			later.At = at.Add(time.Hour)
			_, err = o.Revoke(ctx, o.ap, later)
			refused(t, "the agency puts JDN's revocation off", err, "forbidden")
			_, err = o.Release(ctx, o.sap, hold)
			refused(t, "the system takes back JDN's suspension", err, "forbidden")
		}
		must(t, o.Unschedule(ctx, by, out.Serials[0], "tidak perlu"))
		_, err = o.Release(ctx, by, hold)
		must(t, err)
	}
	o.sound(t)
}

// Nobody lifts a hold on herself.
func TestAHeldPersonLiftsNoHold(t *testing.T) {
	o := newOffice(t)
	k := &enrol.Kept{Records: o.House.DB, Keep: enrol.Keep{ActiveYears: 1, ArchiveYears: 1}, Now: o.House.Clock.Now}
	h, err := k.Hold(ctx, o.jdn, o.jd2.IC, "", "siasatan dalaman")
	must(t, err)
	refused(t, "the person held", k.Lift(ctx, o.jd2, h.ID, "tidak perlu lagi"), "own_case")
	must(t, k.Lift(ctx, o.jdn, h.ID, "siasatan tamat"))
}

package enrol_test

import (
	"maps"
	"strings"
	"testing"

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

package enrol_test

import (
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/store/storetest"
)

// certified is an office where two administrators revoke, with a certificate for newIC.
func certified(t *testing.T) (o *office, sa enrol.Actor, order enrol.StatusOrder) {
	t.Helper()
	o = newOffice(t)
	o.Desk.Policy.RevokeByTwo = true
	id := o.applied(t, newIC)
	must(t, o.Validate(ctx, o.ap, id))
	must(t, second(o.Approve(ctx, o.jdn, id)))
	sa = enrol.Actor{Name: "account:sa", IC: "700101105561", Appointments: []enrol.Appointment{{Role: enrol.SA, Agency: "JANM"}}}
	return o, sa, enrol.StatusOrder{IC: newIC, System: storetest.System, Reason: "cessationOfOperation", Why: "berhenti kerja semalam"}
}

func (o *office) standing(t *testing.T) string {
	t.Helper()
	held, err := o.House.DB.Held(ctx, newIC, storetest.System)
	must(t, err)
	return held[0].Status
}

// One asks, and the certificate is suspended at once; another's word revokes it.
func TestTwoRevokeACertificate(t *testing.T) {
	o, sa, order := certified(t)
	out, err := o.Revoke(ctx, o.ap, order)
	must(t, err)
	if out.Request == "" || o.standing(t) != "SUSPENDED" {
		t.Fatalf("%+v, %s", out, o.standing(t))
	}
	_, err = o.Revoke(ctx, sa, order)
	refused(t, "asked for twice", err, "request_pending")
	refused(t, "who asked confirms", o.ConfirmRequest(ctx, o.ap, out.Request, "saya pasti"), "same_person")
	twin := enrol.Actor{Name: "account:twin", IC: o.ap.IC, Appointments: o.ap.Appointments}
	refused(t, "another account of who asked", o.ConfirmRequest(ctx, twin, out.Request, "saya pasti"), "same_person")
	herself := enrol.Actor{Name: "account:x", IC: newIC, Appointments: sa.Appointments}
	refused(t, "the officer confirms", o.ConfirmRequest(ctx, herself, out.Request, "saya pasti"), "own_case")
	jpk := enrol.Actor{Name: "account:jpk", IC: "700101105556", Appointments: []enrol.Appointment{{Role: enrol.AP, Agency: "JPK"}}}
	refused(t, "another agency confirms", o.ConfirmRequest(ctx, jpk, out.Request, "saya pasti"), "forbidden")
	refused(t, "another agency confirms nothing", o.ConfirmRequest(ctx, jpk, "rq_none", "saya pasti"), "forbidden")
	refused(t, "another agency cancels", o.CancelRequest(ctx, jpk, out.Request), "forbidden")
	refused(t, "without a word", o.ConfirmRequest(ctx, sa, out.Request, "ok"), "reason_missing")
	if o.standing(t) != "SUSPENDED" {
		t.Fatal(o.standing(t))
	}
	for name, a := range map[string]enrol.Actor{"SA": sa, "SAP": o.sap, "JDN": o.jdn} {
		list, err := o.OpenRequests(ctx, a, time.Time{}, "", 10)
		must(t, err)
		if len(list) != 1 || list[0].ID != out.Request {
			t.Errorf("%s sees %v", name, list)
		}
	}
	if list, err := o.OpenRequests(ctx, jpk, time.Time{}, "", 10); err != nil || len(list) != 0 {
		t.Errorf("another agency sees %v, %v", list, err)
	}
	must(t, o.ConfirmRequest(ctx, sa, out.Request, "surat berhenti dilihat"))
	if o.standing(t) != "REVOKED" {
		t.Fatal(o.standing(t))
	}
	refused(t, "confirmed again", o.ConfirmRequest(ctx, sa, out.Request, "sekali lagi"), "enrolment_changed")
	told := map[string]string{}
	for _, r := range storetest.Chain(t, o.House.DB) {
		if r.Verdict == audit.Accepted {
			told[r.Action] = r.Actor
		}
	}
	if told["certificate.revoke.ask"] != o.ap.Name || told["certificate.suspend"] != o.ap.Name || told["certificate.revoke.confirm"] != sa.Name {
		t.Errorf("the audit: %v", told)
	}
	o.sound(t)
}

// Whoever confirmed, and was cut off before the CA heard of it, confirms again; one that was released
// meanwhile is not revoked by that.
func TestConfirmationThatWasCutOff(t *testing.T) {
	for _, released := range []bool{false, true} {
		o, sa, order := certified(t)
		out, err := o.Revoke(ctx, o.ap, order)
		must(t, err)
		held, err := o.House.DB.Held(ctx, newIC, storetest.System)
		must(t, err)
		ev := audit.Event{At: o.House.Clock.Now(), Actor: sa.Name, Action: "certificate.revoke.confirm", Object: "officer:" + newIC, Verdict: audit.Accepted}
		must(t, o.House.DB.PutOrder(ctx, enrol.Order{Serials: []string{held[0].Serial}, Reason: 5, Why: order.Why, Request: out.Request}, ev))
		if released {
			_, err := o.Release(ctx, sa, order)
			must(t, err)
			refused(t, "after a release", o.ConfirmRequest(ctx, sa, out.Request, "surat berhenti dilihat"), "enrolment_changed")
			o.House.Clock.Advance(time.Minute)
			_, err = o.Suspend(ctx, sa, order)
			must(t, err)
			refused(t, "suspended for another cause", o.ConfirmRequest(ctx, sa, out.Request, "surat berhenti dilihat"), "enrolment_changed")
			continue
		}
		refused(t, "who asked", o.ConfirmRequest(ctx, o.ap, out.Request, "surat berhenti dilihat"), "same_person")
		must(t, o.ConfirmRequest(ctx, sa, out.Request, "surat berhenti dilihat"))
		if o.standing(t) != "REVOKED" {
			t.Error(o.standing(t))
		}
		o.sound(t)
	}
}

// A replacement revokes, too: one person replaces what is compromised, and nothing else. That ends
// what was asked for.
func TestReplacementIsNoWayAroundTheSecond(t *testing.T) {
	o, sa, order := certified(t)
	for _, reason := range []string{"superseded", "unspecified"} {
		_, err := o.Replace(ctx, o.ap, newIC, storetest.System, reason, "sijil baharu")
		refused(t, reason, err, "revocation_reason")
	}
	if o.standing(t) != "ACTIVE" {
		t.Fatal(o.standing(t))
	}
	out, err := o.Revoke(ctx, o.ap, order)
	must(t, err)
	must(t, second(o.Replace(ctx, o.ap, newIC, storetest.System, "keyCompromise", "telefon dicuri")))
	refused(t, "asked for before", o.ConfirmRequest(ctx, sa, out.Request, "surat berhenti dilihat"), "enrolment_changed")
	o.sound(t)
}

// A request is about one certificate, and a release ends it whether or not it names the system.
func TestARequestIsAboutOneCertificate(t *testing.T) {
	o, sa, order := certified(t)
	any := order
	any.System = ""
	_, err := o.Revoke(ctx, o.ap, any)
	refused(t, "of all systems", err, "system_unknown")
	if o.standing(t) != "ACTIVE" {
		t.Fatal(o.standing(t))
	}
	out, err := o.Revoke(ctx, o.ap, order)
	must(t, err)
	must(t, second(o.Release(ctx, sa, any)))
	refused(t, "after a release", o.ConfirmRequest(ctx, sa, out.Request, "surat berhenti dilihat"), "enrolment_changed")
	if o.standing(t) != "ACTIVE" {
		t.Error(o.standing(t))
	}
	o.sound(t)
}

// An agency deletes nobody who holds another's certificate; JDN does, and officers by their own wish.
func TestDeletionLeavesOtherAgenciesTheirCertificates(t *testing.T) {
	o, sa, _ := certified(t)
	person := enrol.Officer{IC: newIC, Name: "AISYAH BINTI OMAR", Email: "aisyah@anm.gov.my"}
	must(t, o.House.Registrar.AddOfficer(ctx, "test", person, "EP"))
	_, _, err := o.House.Registrar.IssueCredential(ctx, "test", person, "EP", "ECDSA-P256", secret.New(storetest.PIN))
	must(t, err)
	q, err := o.AskDeletion(ctx, o.ap, newIC, "sudah bersara")
	must(t, err)
	refused(t, "by the agency", o.ConfirmRequest(ctx, sa, q.ID, "surat bersara dilihat"), "certificates_elsewhere")
	if o.standing(t) != "ACTIVE" {
		t.Fatal(o.standing(t))
	}
	must(t, o.ConfirmRequest(ctx, o.jdn, q.ID, "surat kedua-dua agensi dilihat"))
	if o.standing(t) != "REVOKED" {
		t.Error(o.standing(t))
	}
	storetest.Chain(t, o.House.DB)
}

// What may not wait does not: a compromised key, the officer's own wish, the operator of the machine.
func TestWhatNeverWaitsForASecondPerson(t *testing.T) {
	for name, by := range map[string]func(o *office, r *enrol.StatusOrder) enrol.Actor{
		"a compromised key": func(o *office, r *enrol.StatusOrder) enrol.Actor { r.Reason = "keyCompromise"; return o.ap },
		"the officer": func(_ *office, _ *enrol.StatusOrder) enrol.Actor {
			return enrol.Actor{Name: "officer:" + newIC, IC: newIC}
		},
		"the machine": func(_ *office, _ *enrol.StatusOrder) enrol.Actor { return enrol.Actor{Name: "cli:root"} },
	} {
		o, _, order := certified(t)
		out, err := o.Revoke(ctx, by(o, &order), order)
		must(t, err)
		if out.Request != "" || o.standing(t) != "REVOKED" {
			t.Errorf("%s: %+v, %s", name, out, o.standing(t))
		}
	}
}

// A request ends with what decides it otherwise: a release, or a revocation that may not wait.
func TestARequestEndsWithAnotherDecision(t *testing.T) {
	for name, do := range map[string]func(o *office, sa enrol.Actor, r enrol.StatusOrder) error{
		"release": func(o *office, sa enrol.Actor, r enrol.StatusOrder) error {
			_, err := o.Release(ctx, sa, r)
			return err
		},
		"compromise": func(o *office, sa enrol.Actor, r enrol.StatusOrder) error {
			r.Reason = "keyCompromise"
			_, err := o.Revoke(ctx, sa, r)
			return err
		},
	} {
		o, sa, order := certified(t)
		out, err := o.Revoke(ctx, o.ap, order)
		must(t, err)
		must(t, do(o, sa, order))
		r, err := o.House.DB.OfficerRequest(ctx, out.Request)
		must(t, err)
		if r.State != enrol.RequestCancelled {
			t.Errorf("%s: %s", name, r.State)
		}
		refused(t, name, o.ConfirmRequest(ctx, sa, out.Request, "surat berhenti dilihat"), "enrolment_changed")
		if want := map[string]string{"release": "ACTIVE", "compromise": "REVOKED"}[name]; o.standing(t) != want {
			t.Errorf("%s: %s", name, o.standing(t))
		}
		o.sound(t)
	}
	// Given up after a week: the certificate stays suspended, and it can be asked for again.
	o, sa, order := certified(t)
	out, err := o.Revoke(ctx, o.ap, order)
	must(t, err)
	o.House.Clock.Advance(8 * 24 * time.Hour)
	refused(t, "too late", o.ConfirmRequest(ctx, sa, out.Request, "surat berhenti dilihat"), "enrolment_changed")
	again, err := o.Revoke(ctx, sa, order)
	must(t, err)
	must(t, o.ConfirmRequest(ctx, o.ap, again.Request, "surat berhenti dilihat"))
	if o.standing(t) != "REVOKED" {
		t.Error(o.standing(t))
	}
}

package enrol_test

import (
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

// who are the actors of the matrix, as seen from an enrolment of the officer with IC
// storetest.IC for IGFMAS at agency JANM, validated by the person 700101105555.
func who(now time.Time) map[string]enrol.Actor {
	since := now.Add(-time.Hour)
	one := func(ic string, r enrol.Role, agency, system string) enrol.Actor {
		return enrol.Actor{Name: "account:" + ic, IC: ic, LoggedIn: now, Appointments: []enrol.Appointment{{Role: r, Agency: agency, System: system, From: since}}}
	}
	ended, future := one("700101105551", enrol.JDN, "", ""), one("700101105551", enrol.JDN, "", "")
	ended.Appointments[0].Until = now
	future.Appointments[0].From = now.Add(time.Second)
	return map[string]enrol.Actor{
		"JDN":               one("700101105551", enrol.JDN, "", ""),
		"JDN, validated it": one("700101105555", enrol.JDN, "", ""),
		"JDN, herself":      one(storetest.IC, enrol.JDN, "", ""),
		"JDN, ended":        ended,
		"JDN, in future":    future,
		"SAP":               one("700101105552", enrol.SAP, "", storetest.System),
		"SAP, herself":      one(storetest.IC, enrol.SAP, "", storetest.System),
		"SAP, other system": one("700101105552", enrol.SAP, "JANM", "EP"),
		"SA":                one("700101105553", enrol.SA, "JANM", ""),
		"SA, other agency":  one("700101105553", enrol.SA, "JPK", storetest.System),
		"AP":                one("700101105554", enrol.AP, "JANM", ""),
		"AP, herself":       one(storetest.IC, enrol.AP, "JANM", ""),
		"AP, other agency":  one("700101105554", enrol.AP, "JPK", ""),
		"AP of nothing":     one("700101105554", enrol.AP, "", ""),
		"AUDITOR":           one("700101105556", enrol.Auditor, "", ""),
		"unknown role":      one("700101105557", "ROOT", "JANM", storetest.System),
		"officer":           {Name: "officer:" + storetest.IC, IC: storetest.IC},
		"another officer":   {Name: "officer:700101105558", IC: "700101105558"},
		"operator":          {Name: "cli:root"},
		"JDN without IC":    {Name: "account:x", Appointments: []enrol.Appointment{{Role: enrol.JDN, From: since}}},
		"the gateway":       {Name: "gateway"},
		"a false gateway":   {Name: "gateway", IC: "700101105558"},
		"a false operator":  {Name: "cli:root", IC: "700101105558"},
		"nobody":            {},
	}
}

// The whole matrix: for each action exactly these actors are allowed, all others are
// refused with a code, and every verdict is in the audit.
func TestDecideMatrix(t *testing.T) {
	everyJDN := []string{"JDN", "JDN, validated it", "JDN, herself", "JDN without IC"}
	sap, agency := []string{"SAP", "SAP, herself"}, []string{"SA", "AP", "AP, herself"}
	all := slices.Concat(everyJDN, sap, agency)
	others := []string{"JDN", "JDN, validated it", "SAP", "SA", "AP"}
	allowed := map[enrol.Action][]string{
		enrol.Registry:  append([]string{"operator"}, everyJDN...),
		enrol.Check:     slices.Concat(everyJDN, sap, []string{"operator"}),
		enrol.List:      slices.Concat(everyJDN, sap, []string{"operator"}),
		enrol.Admit:     append([]string{"operator"}, everyJDN...),
		enrol.Read:      slices.Concat(all, []string{"operator", "AUDITOR", "officer"}),
		enrol.Reporting: slices.Concat(all, []string{"operator", "AUDITOR"}),
		enrol.ReadCopy:  others,
		enrol.Resend:    append([]string{"operator"}, all...),
		enrol.Correct:   others,
		enrol.Confirm:   {"officer"},
		enrol.Password:  {"officer"},
		enrol.Apply:     {"officer"},
		enrol.Validate:  {"SAP", "SA", "AP"},
		enrol.Return:    others,
		enrol.Reject:    others,
		enrol.Approve:   {"JDN"},
		enrol.Withdraw:  append([]string{"officer"}, all...),
		enrol.Mail:      {"the gateway"},
		enrol.Issue:     {"the gateway"},
		enrol.GiveBack:  {"the gateway"},
		enrol.Expire:    {"the gateway"},
		enrol.Renew:     {"officer"},
		enrol.Forgot:    {"officer"},
		enrol.NewKey:    {"officer"},
		enrol.Vouch:     {"SAP", "SA", "AP"},
		enrol.Replace:   append([]string{"officer"}, all...),
		enrol.Remind:    {"the gateway"},

		enrol.Administrators: append([]string{"operator", "SA", "AUDITOR"}, everyJDN...),
		enrol.ResetAccount:   {"JDN", "JDN, validated it", "operator"},
		enrol.ConfirmReset:   {"JDN", "JDN, validated it"},
		enrol.CancelReset:    {"JDN", "JDN, validated it"},
		enrol.EndOfAccount:   {"JDN", "JDN, validated it", "operator"},
		// SA alone appoints to AP: its own agency's, and not herself.
		enrol.Appointing(enrol.AP): {"SA", "operator"},
		enrol.Seconding(enrol.AP):  {"SA", "JDN", "JDN, validated it", "operator"},
		enrol.Ending(enrol.AP):     {"SA", "JDN", "JDN, validated it", "operator"},
	}
	for _, r := range []enrol.Role{enrol.JDN, enrol.SAP, enrol.SA, enrol.Auditor} {
		allowed[enrol.Appointing(r)] = []string{"JDN", "JDN, validated it", "operator"}
		allowed[enrol.Ending(r)], allowed[enrol.Seconding(r)] = allowed[enrol.Appointing(r)], allowed[enrol.Appointing(r)]
	}
	near := []string{"JDN", "JDN, validated it", "SA", "AP", "operator"}
	allowed[enrol.SeeCodes] = append([]string{"JDN, herself", "JDN without IC", "AP, herself"}, near...)
	mine := append([]string{"officer", "SAP, herself", "JDN, herself", "JDN without IC", "AP, herself"}, near[:4]...)
	allowed[enrol.AskAddress], allowed[enrol.CancelAddress] = mine, mine
	allowed[enrol.SeeAddress] = append([]string{"operator"}, mine...)
	allowed[enrol.ConfirmAddress] = []string{"officer", "JDN, herself", "SAP, herself", "AP, herself"}
	allowed[enrol.VouchAddress] = near[:4]
	allowed[enrol.Revocation] = append([]string{"officer", "operator"}, all...)
	allowed[enrol.Suspension] = allowed[enrol.Revocation]
	decided := []enrol.Action{enrol.Releasing, enrol.Unscheduling, enrol.Retirement, enrol.Transferring}
	for _, act := range decided {
		allowed[act] = append([]string{"operator"}, others...)
	}
	allowed[enrol.UnlockPIN], allowed[enrol.OpenDoor] = near, near
	allowed[enrol.PlaceHold] = append([]string{"operator"}, everyJDN...)
	allowed[enrol.ReadKept] = append([]string{"operator", "AUDITOR"}, everyJDN...)
	for _, act := range []enrol.Action{enrol.SearchAudit, enrol.ReadAudit, enrol.ExportAudit} {
		allowed[act] = append([]string{"AUDITOR"}, everyJDN...)
	}
	allowed[enrol.ExportSubject] = append([]string{"operator", "officer", "SAP, herself", "AP, herself"}, everyJDN...)
	for _, act := range []enrol.Action{enrol.LiftHold, enrol.Propose, enrol.Dispose, enrol.CancelDisposal} {
		allowed[act] = []string{"JDN", "JDN, validated it"}
	}
	allowed[enrol.SeeHealth] = append([]string{"operator", "AUDITOR"}, everyJDN...)
	allowed[enrol.SeeService] = slices.Concat(sap, agency)
	allowed[enrol.AcknowledgeAlarm] = everyJDN
	own := []enrol.Action{enrol.DeleteAccount, enrol.RemoveSystem, enrol.AddSystem, enrol.ChangePhone, enrol.SeePhone, enrol.ResetPassword}
	for _, act := range own {
		allowed[act] = []string{"officer", "JDN, herself", "SAP, herself", "AP, herself"}
	}
	allowed[enrol.AskDeletion], allowed[enrol.ConfirmDeletion], allowed[enrol.VouchPassword] = near[:4], near[:4], near[:4]
	allowed[enrol.CancelRequest] = append([]string{"JDN, herself", "JDN without IC", "AP, herself"}, near[:4]...)
	allowed[enrol.SeeRequests], allowed[enrol.AskRevocation], allowed[enrol.CancelRevocation] = all, all, all
	allowed[enrol.ConfirmRevocation] = others
	allowed[enrol.ReadApps] = slices.Concat(everyJDN, sap, []string{"operator", "AUDITOR"})
	allowed[enrol.SuspendApp] = slices.Concat(everyJDN, sap, []string{"operator"})
	allowed[enrol.RevokeAppCredential] = allowed[enrol.SuspendApp]
	allowed[enrol.ChangeSystem] = allowed[enrol.SuspendApp]
	allowed[enrol.TryHeader], allowed[enrol.SeeTokens] = allowed[enrol.ChangeSystem], allowed[enrol.ReadApps]
	// Not by "JDN without IC", who has not logged in just now.
	allowed[enrol.ResumeApp] = []string{"JDN", "JDN, validated it", "JDN, herself", "operator"}
	allowed[enrol.EndApp] = allowed[enrol.ResumeApp]
	allowed[enrol.ChangeApp] = append([]string{"SAP", "SAP, herself"}, allowed[enrol.ResumeApp]...)
	allowed[enrol.AddAppCredential] = allowed[enrol.ChangeApp]
	allowed[enrol.ConfirmApp] = []string{"JDN", "JDN, validated it"}
	allowed[enrol.ConfirmAppCredential] = allowed[enrol.ConfirmApp]
	allowed[enrol.SetWebhook], allowed[enrol.DropWebhook] = allowed[enrol.ChangeApp], allowed[enrol.ChangeApp]
	allowed[enrol.TestWebhook], allowed[enrol.Redeliver], allowed[enrol.SeeWebhook] = allowed[enrol.SuspendApp], allowed[enrol.SuspendApp], allowed[enrol.ReadApps]
	allowed[enrol.ReadBatches] = slices.Concat(everyJDN, sap, []string{"AUDITOR"})
	allowed[enrol.ReadLooks] = allowed[enrol.ReadBatches]
	for _, act := range []enrol.Action{enrol.PauseBatch, enrol.ResumeBatch, enrol.CancelBatch, enrol.RetryBatch} {
		allowed[act] = slices.Concat(everyJDN, sap)
	}
	allowed[enrol.ReadOutbox] = append([]string{"AUDITOR"}, everyJDN...)
	allowed[enrol.RetryLetter], allowed[enrol.DropLetter] = everyJDN, everyJDN
	for _, act := range []enrol.Action{enrol.ProposeLook, enrol.ConfirmLook, enrol.RejectLook} {
		allowed[act] = []string{"JDN", "JDN, validated it"}
	}
	// What nobody does about herself.
	byOthers := map[enrol.Action]bool{enrol.ProposeLook: true, enrol.ConfirmLook: true, enrol.RejectLook: true, enrol.LiftHold: true, enrol.Propose: true, enrol.Dispose: true, enrol.CancelDisposal: true, enrol.ConfirmReset: true, enrol.CancelReset: true, enrol.ConfirmApp: true, enrol.ConfirmAppCredential: true, enrol.ResetAccount: true, enrol.EndOfAccount: true}
	for _, r := range []enrol.Role{enrol.JDN, enrol.SAP, enrol.SA, enrol.AP, enrol.Auditor} {
		byOthers[enrol.Appointing(r)], byOthers[enrol.Seconding(r)], byOthers[enrol.Ending(r)] = r != enrol.AP, true, true
	}
	// The officer's own actions are hers also when she administers.
	for _, act := range []enrol.Action{enrol.Confirm, enrol.Apply, enrol.Password, enrol.Renew, enrol.Forgot, enrol.NewKey} {
		allowed[act] = append(allowed[act], "JDN, herself", "SAP, herself", "AP, herself")
	}
	code := func(act enrol.Action, name string) string {
		own := map[string]bool{"JDN, herself": true, "SAP, herself": true, "AP, herself": true}
		switch {
		case act == enrol.Approve && name == "JDN, validated it":
			return "same_person"
		case name == "JDN without IC" && slices.Contains([]enrol.Action{enrol.ChangeApp, enrol.AddAppCredential, enrol.ResumeApp, enrol.EndApp, enrol.SetWebhook, enrol.DropWebhook}, act):
			return "session_not_fresh"
		case own[name] && (slices.Contains(append([]enrol.Action{enrol.Return, enrol.Reject, enrol.Correct, enrol.ReadCopy, enrol.ConfirmRevocation}, decided...), act) ||
			(act == enrol.UnlockPIN || act == enrol.OpenDoor || act == enrol.VouchAddress || act == enrol.AskDeletion || act == enrol.ConfirmDeletion || act == enrol.VouchPassword) && name != "SAP, herself" || (act == enrol.Approve || byOthers[act]) && name == "JDN, herself" || (act == enrol.Validate || act == enrol.Vouch) && name != "JDN, herself"):
			return "own_case"
		}
		return "forbidden"
	}
	h := house(t)
	d := desk(h)
	e := enrol.Enrolment{ID: "en_x", IC: storetest.IC, System: storetest.System, Agency: "JANM", State: enrol.Validated, ValidatedIC: "700101105555"}
	if len(allowed) != len(enrol.Rules()) {
		t.Fatalf("the table has %d actions, the code %d", len(allowed), len(enrol.Rules()))
	}
	// Read once, at the end: the refusals are all that the audit got, each in its place.
	type record struct{ action, actor, code, what string }
	var told []record
	already := len(storetest.Chain(t, h.DB))
	for act, yes := range allowed {
		for name, a := range who(h.Clock.Now()) {
			ev, err := d.Decide(ctx, a, act, &e)
			what := fmt.Sprintf("%s by %s", act, name)
			if slices.Contains(yes, name) {
				if err != nil || ev.Verdict != audit.Accepted || ev.Actor != a.Name || ev.Action != string(act) || ev.Object != e.ID || ev.Detail["officer"] != e.IC {
					t.Errorf("%s: %v, %+v", what, err, ev)
				}
				continue
			}
			told = append(told, record{string(act), a.Name, code(act, name), what})
			var no *enrol.Refusal
			kind := enrol.ErrForbidden
			if code(act, name) == "session_not_fresh" {
				kind = enrol.ErrStale
			}
			if !errors.As(err, &no) || !errors.Is(err, kind) || no.Code != code(act, name) {
				t.Errorf("%s: %v, want %s", what, err, code(act, name))
			}
		}
	}
	chain := storetest.Chain(t, h.DB)[already:]
	if len(chain) != len(told) {
		t.Fatalf("%d refusals, %d records in the audit", len(told), len(chain))
	}
	for k, want := range told {
		if got := chain[k]; got.Verdict != audit.Refused || got.Action != want.action || got.Actor != want.actor || got.Detail["code"] != want.code {
			t.Errorf("%s: the audit has %+v", want.what, got)
		}
	}
}

// Who is appointed, ended or reset is said from a session that was just opened.
func TestAppointingNeedsAFreshLogIn(t *testing.T) {
	h := house(t)
	d := desk(h)
	jdn := who(h.Clock.Now())["JDN"]
	e := enrol.Enrolment{ID: "en_x", IC: storetest.IC, System: storetest.System, Agency: "JANM", State: enrol.Validated}
	h.Clock.Advance(enrol.FreshFor + time.Second)
	for _, act := range []enrol.Action{enrol.ResetAccount, enrol.ConfirmReset, enrol.EndOfAccount, enrol.Appointing(enrol.SA), enrol.Seconding(enrol.AP), enrol.Ending(enrol.AP)} {
		_, err := d.Decide(ctx, jdn, act, &e)
		refused(t, string(act), err, "session_not_fresh")
	}
	if _, err := d.Decide(ctx, jdn, enrol.Approve, &e); err != nil {
		t.Error(err)
	}
}

// What cannot be recorded is refused as well.
func TestDecideWithoutAudit(t *testing.T) {
	h := house(t)
	d := desk(h)
	d.Records = faulty{records: h.DB, onAudit: errDead}
	if _, err := d.Decide(ctx, enrol.Actor{Name: "x"}, enrol.Approve, &enrol.Enrolment{}); !errors.Is(err, enrol.ErrForbidden) || !errors.Is(err, errDead) {
		t.Error(err)
	}
}

// Every state has a way out or is an end, and nothing leads out of an end.
func TestSteps(t *testing.T) {
	open := []enrol.State{enrol.Listed, enrol.Confirming, enrol.Confirmed, enrol.Applied, enrol.Validated, enrol.Approved, enrol.Returned}
	for act, s := range enrol.Steps() {
		for _, from := range s.From {
			if !from.Open() {
				t.Errorf("%s leads out of %s", act, from)
			}
		}
		if _, ruled := enrol.Rules()[act]; !ruled {
			t.Errorf("nobody may %s", act)
		}
	}
	for _, s := range open {
		out := 0
		for _, step := range enrol.Steps() {
			if step.To != "" && slices.Contains(step.From, s) {
				out++
			}
		}
		if out < 2 || !s.Open() {
			t.Errorf("%s has %d ways out", s, out)
		}
	}
	for _, s := range []enrol.State{enrol.Issued, enrol.Rejected, enrol.Withdrawn, enrol.Expired} {
		if s.Open() || strings.ToUpper(string(s)) != string(s) {
			t.Errorf("%s is open", s)
		}
	}
}

package enrol_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/store/storetest"
)

// queue finds one by name in what somebody is told of a scope.
func queue(t *testing.T, w enrol.Work, name string) enrol.Queue {
	t.Helper()
	k := slices.IndexFunc(w.Queues, func(q enrol.Queue) bool { return q.Name == name })
	if k < 0 {
		t.Fatalf("no queue %q in %+v", name, w.Queues)
	}
	return w.Queues[k]
}

// Each sees the queues of what is theirs alone, and what their role may do there.
func TestWork(t *testing.T) {
	o := newOffice(t)
	o.waiting(t, 1003) // one of JPK
	_, err := o.Add(ctx, o.sap, o.row(newIC))
	must(t, err)
	work := func(a enrol.Actor) []enrol.Work {
		t.Helper()
		w, err := o.Work(ctx, a)
		must(t, err)
		return w
	}
	ap := func(agencies ...string) (a enrol.Actor) {
		a = enrol.Actor{Name: "account:x", IC: "700101105570"}
		for _, g := range agencies {
			a.Appointments = append(a.Appointments, enrol.Appointment{Role: enrol.AP, Agency: g})
		}
		return a
	}
	for what, c := range map[string]struct {
		by              enrol.Actor
		scope           enrol.Scope
		validate, admit int
		more            bool
		can, canAdmit   []enrol.Action
	}{
		"JDN":     {o.jdn, enrol.Scope{}, 1000, 1, true, []enrol.Action{enrol.Return, enrol.Reject, enrol.Withdraw}, []enrol.Action{enrol.Admit, enrol.Correct, enrol.Withdraw}},
		"SAP":     {o.sap, enrol.Scope{System: storetest.System}, 1000, 1, true, []enrol.Action{enrol.Validate, enrol.Return, enrol.Reject, enrol.Withdraw}, []enrol.Action{enrol.Correct, enrol.Withdraw}},
		"an AP":   {o.ap, enrol.Scope{Agency: "JANM"}, 1000, 1, true, []enrol.Action{enrol.Validate, enrol.Return, enrol.Reject, enrol.Withdraw}, []enrol.Action{enrol.Correct, enrol.Withdraw}},
		"of JPK":  {ap("JPK"), enrol.Scope{Agency: "JPK"}, 1, 0, false, []enrol.Action{enrol.Validate, enrol.Return, enrol.Reject, enrol.Withdraw}, []enrol.Action{enrol.Correct, enrol.Withdraw}},
		"auditor": {enrol.Actor{Name: "account:a", IC: "700101105571", Appointments: []enrol.Appointment{{Role: enrol.Auditor}}}, enrol.Scope{}, 1000, 1, true, nil, nil},
	} {
		all := work(c.by)
		if len(all) != 1 || all[0].Scope != c.scope {
			t.Fatalf("%s: %+v", what, all)
		}
		v, a := queue(t, all[0], "validate"), queue(t, all[0], "admit")
		if v.Waiting != c.validate || v.More != c.more || !slices.Equal(v.Can, c.can) || a.Waiting != c.admit || a.More || !slices.Equal(a.Can, c.canAdmit) {
			t.Errorf("%s: %+v, %+v", what, v, a)
		}
	}
	if two := work(ap("JPK", "JANM", "JPK")); len(two) != 2 || two[0].Agency != "JANM" || two[1].Agency != "JPK" {
		t.Errorf("%+v", two)
	}
	ended := ap("JANM")
	ended.Appointments[0].Until = o.House.Clock.Now()
	if none := work(ended); len(none) != 0 {
		t.Errorf("an ended appointment: %+v", none)
	}
	if none := work(enrol.Actor{Name: "officer:" + newIC, IC: newIC}); len(none) != 0 {
		t.Errorf("an officer: %+v", none)
	}
	must(t, o.House.DB.Accounted(ctx))
}

// A forgotten PIN waits in a queue of its own.
func TestWorkTellsRekeysApart(t *testing.T) {
	o := newOffice(t)
	o.enrolled(t)
	id := o.forgotten(t)
	w, err := o.Work(ctx, o.ap)
	must(t, err)
	if q := queue(t, w[0], "rekey"); q.Waiting != 1 || !slices.Equal(q.Can, []enrol.Action{enrol.Vouch, enrol.Reject, enrol.Withdraw}) {
		t.Errorf("%+v", q)
	}
	if q := queue(t, w[0], "validate"); q.Waiting != 0 {
		t.Errorf("%+v", q)
	}
	for kind, want := range map[string]int{"": 1, "REKEY": 1, enrol.NotRekey: 0, "FIRST": 0} {
		if l, n, err := o.Find(ctx, o.ap, enrol.Filter{State: enrol.Applied, Kind: kind}, true); err != nil || len(l) != want || n != want {
			t.Errorf("%q: %d found, %d counted, %v", kind, len(l), n, err)
		}
	}
	d, err := o.Open(ctx, o.ap, id)
	must(t, err)
	if can := steps(d.Can); can != "enrol.rekey.confirm enrol.reject enrol.withdraw" {
		t.Error(can)
	}
}

// steps are those that can be taken, and with a stroke those that this person cannot.
func steps(list []enrol.Possible) string {
	var out []string
	for _, p := range list {
		s := string(p.Action)
		if p.Not != nil {
			s += "/" + p.Not.Code
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

// What an enrolment says can be done is what can be done.
func TestOpenSaysWhatCanBeDone(t *testing.T) {
	o := newOffice(t)
	can := func(a enrol.Actor, id, want string) {
		t.Helper()
		d, err := o.Open(ctx, a, id)
		must(t, err)
		if got := steps(d.Can); got != want {
			t.Errorf("%s: %q, not %q", a.Name, got, want)
		}
	}
	e, err := o.Add(ctx, o.sap, o.row(newIC))
	must(t, err)
	can(o.jdn, e.ID, "enrol.admit enrol.correct enrol.withdraw")
	can(o.ap, e.ID, "enrol.correct enrol.withdraw")
	must(t, o.Admit(ctx, o.jdn, e.ID))
	can(o.ap, e.ID, "enrol.resend enrol.correct enrol.withdraw")
	o.once(t)
	can(o.ap, e.ID, "enrol.resend/resend_too_soon enrol.correct enrol.withdraw")
	must(t, o.Correct(ctx, o.ap, e.ID, "nora@janm.gov.my"))
	o.once(t)
	_, err = o.Confirm(ctx, secret.New(o.post.last(t).link), "r")
	must(t, err)
	o.once(t)
	_, err = o.Apply(ctx, application(secret.New(o.post.last(t).code)))
	must(t, err)
	can(o.sap, e.ID, "enrol.validate/same_person enrol.return enrol.reject enrol.withdraw")
	can(o.ap, e.ID, "enrol.validate/same_person enrol.return enrol.reject enrol.withdraw") // chose the address
	can(o.jdn, e.ID, "enrol.return enrol.reject enrol.withdraw")
	own := enrol.Actor{Name: "account:own", IC: newIC, Appointments: o.ap.Appointments}
	can(own, e.ID, "enrol.validate/own_case enrol.return/own_case enrol.reject/own_case enrol.withdraw")
	other := enrol.Actor{Name: "account:ap2", IC: "700101105580", Appointments: o.ap.Appointments}
	can(other, e.ID, "enrol.validate enrol.return enrol.reject enrol.withdraw")
	must(t, o.Validate(ctx, other, e.ID))
	both := enrol.Actor{Name: other.Name, IC: other.IC, Appointments: append(slices.Clone(other.Appointments), o.jdn.Appointments...)}
	can(both, e.ID, "enrol.approve/same_person enrol.return enrol.reject enrol.withdraw")
	can(o.jdn, e.ID, "enrol.approve enrol.return enrol.reject enrol.withdraw")
	must(t, second(o.Approve(ctx, o.jdn, e.ID)))
	can(o.jdn, e.ID, "")
	for _, r := range storetest.Chain(t, o.House.DB) {
		if r.Verdict == audit.Refused {
			t.Errorf("looking was refused something: %+v", r.Event)
		}
	}
}

// A list of one's own scope needs no name, and is narrowed by office and phase; whoever looks
// after several names one.
func TestFindWithinScope(t *testing.T) {
	o := newOffice(t)
	for k := range 6 {
		row := o.row(fmt.Sprintf("79030810991%d", k))
		row.Office, row.Phase = fmt.Sprintf("PTJ %d", k%2), fmt.Sprint(k%3)
		if k == 5 {
			row.Agency = "JPK"
		}
		_, err := o.Add(ctx, o.sap, row)
		must(t, err)
		o.House.Clock.Advance(time.Second)
	}
	found := func(a enrol.Actor, f enrol.Filter, want, count int) {
		t.Helper()
		f.State = enrol.Listed
		l, n, err := o.Find(ctx, a, f, true)
		must(t, err)
		if len(l) != want || n != count {
			t.Errorf("%+v: %d found, %d counted", f, len(l), n)
		}
		for _, e := range l {
			if a.Name == o.ap.Name && e.Agency != "JANM" {
				t.Errorf("an AP is shown %s of %s", e.ID, e.Agency)
			}
		}
	}
	found(o.ap, enrol.Filter{}, 5, 5)
	found(o.sap, enrol.Filter{}, 6, 6)
	found(o.jdn, enrol.Filter{}, 6, 6)
	found(o.sap, enrol.Filter{System: storetest.System, Agency: "JPK"}, 1, 1)
	found(o.ap, enrol.Filter{Office: "PTJ 1"}, 2, 2)
	found(o.ap, enrol.Filter{Office: "PTJ 0", Phase: "1"}, 1, 1)
	found(o.ap, enrol.Filter{Phase: "9"}, 0, 0)
	found(o.jdn, enrol.Filter{Limit: 2}, 2, 6)
	_, _, err := o.Find(ctx, o.ap, enrol.Filter{State: enrol.Listed, Agency: "JPK"}, true)
	refused(t, "another agency's", err, "forbidden")
	two := enrol.Actor{Name: "account:two", IC: "700101105590", Appointments: []enrol.Appointment{{Role: enrol.AP, Agency: "JANM"}, {Role: enrol.SA, Agency: "JPK"}}}
	_, _, err = o.Find(ctx, two, enrol.Filter{State: enrol.Listed}, false)
	refused(t, "several", err, "report_scope")
	found(two, enrol.Filter{Agency: "JPK"}, 1, 1)

	// All of one office, admitted at once; no reason is needed, and each is judged alone.
	now := o.House.Clock.Now()
	_, err = o.BulkAll(ctx, o.sap, enrol.Admit, enrol.BulkFilter{System: storetest.System, Office: "PTJ 1", Until: now, Count: 3}, "")
	refused(t, "a SAP admits", err, "forbidden")
	out, err := o.BulkAll(ctx, o.jdn, enrol.Admit, enrol.BulkFilter{Office: "PTJ 1", Until: now, Count: 3}, "")
	must(t, err)
	if len(out.Verdicts) != 3 || out.Remaining != 0 || out.Verdicts[0].State != enrol.Confirming {
		t.Errorf("%+v", out)
	}
	found(o.jdn, enrol.Filter{}, 3, 3)
	again, err := o.Bulk(ctx, o.jdn, enrol.Admit, []string{out.Verdicts[0].ID}, "")
	must(t, err)
	refused(t, "once more", again[0].Err, "enrolment_state")
	o.sound(t)
}

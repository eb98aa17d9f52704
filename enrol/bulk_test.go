package enrol_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/store/storetest"
)

// waiting puts n applications into the register, as far as their validation sees them:
// one is the AP's own, one of another agency.
func (o *office) waiting(t *testing.T, n int) []string {
	t.Helper()
	now := o.House.Clock.Now()
	ids, entries := make([]string, n), make([]enrol.Entry, n)
	for k := range n {
		row := o.row(fmt.Sprintf("7903%02d14%04d", 1+k%28, k))
		row.Medium = enrol.RoamingOTP
		switch k {
		case 7:
			row.Officer.IC = o.ap.IC
		case 11:
			row.Agency = "JPK"
		}
		ids[k] = fmt.Sprintf("en_%04d", k)
		entries[k] = enrol.Entry{Row: row, ID: ids[k], By: "test", State: enrol.Confirmed, At: now}
	}
	must(t, o.House.DB.AddEntries(ctx, entries))
	for k, id := range ids {
		f := &enrol.Filed{Credential: "cr_" + id, Algorithm: "ECDSA-P256", Version: 1, Sealed: []byte("s"), Request: []byte("r"), Form: []byte("f"), At: now}
		must(t, o.House.DB.Change(ctx, enrol.Change{ID: id, From: enrol.Confirmed, To: enrol.Applied, At: now.Add(time.Duration(k) * time.Microsecond), Filed: f, Event: entries[k].Event}))
	}
	o.House.Clock.Advance(time.Minute)
	return ids
}

func TestBulk(t *testing.T) {
	o := newOffice(t)
	ids := o.waiting(t, 1002)
	now := o.House.Clock.Now()
	all := enrol.BulkFilter{Agency: "JANM", Until: now, Count: 1001}
	const why = "Disemak dengan senarai jawatan 22/11"
	for what, c := range map[string]struct {
		by     enrol.Actor
		f      enrol.BulkFilter
		reason string
		code   string
	}{
		"no reason":        {o.ap, all, "ok", "reason_missing"},
		"another count":    {o.ap, enrol.BulkFilter{Agency: "JANM", Until: now, Count: 1000}, why, "count_differs"},
		"of times to come": {o.ap, enrol.BulkFilter{Agency: "JANM", Until: now.Add(time.Hour), Count: 1001}, why, "date_invalid"},
		"another agency":   {o.ap, enrol.BulkFilter{Agency: "JPK", Until: now, Count: 1}, why, "forbidden"},
		"all agencies":     {o.ap, enrol.BulkFilter{Until: now, Count: 1002}, why, "forbidden"},
		"by JDN":           {o.jdn, enrol.BulkFilter{Until: now, Count: 1002}, why, "forbidden"},
		"by nobody":        {enrol.Actor{Name: "officer:" + newIC, IC: newIC}, all, why, "forbidden"},
	} {
		out, err := o.BulkAll(ctx, c.by, enrol.Validate, c.f, c.reason)
		refused(t, what, err, c.code)
		if len(out.Verdicts) != 0 {
			t.Errorf("%s: %d done", what, len(out.Verdicts))
		}
	}
	if _, err := o.Bulk(ctx, o.ap, enrol.Validate, []string{ids[0], ids[0]}, why); err == nil {
		t.Error("one twice")
	}
	_, err := o.Bulk(ctx, o.ap, enrol.Validate, ids, why)
	refused(t, "too many", err, "bulk_size")
	if _, err := o.Bulk(ctx, o.ap, enrol.Withdraw, ids[:1], why); err == nil {
		t.Error("another step")
	}
	if e := o.state(t, ids[0]); e.State != enrol.Applied {
		t.Fatalf("something was done: %s", e.State)
	}

	// A thousand at once, the own one refused; then the rest.
	began := time.Now()
	out, err := o.BulkAll(ctx, o.ap, enrol.Validate, all, why)
	must(t, err)
	t.Logf("1,000 applications validated in %v", time.Since(began).Round(time.Millisecond))
	if len(out.Verdicts) != enrol.MaxBulk || out.Remaining != 2 || out.Next == nil {
		t.Fatalf("%d verdicts, %d remain", len(out.Verdicts), out.Remaining)
	}
	for _, v := range out.Verdicts {
		switch {
		case v.ID == ids[7]:
			refused(t, "the own one", v.Err, "own_case")
		case v.Err != nil || v.State != enrol.Validated:
			t.Fatalf("%s: %s %v", v.ID, v.State, v.Err)
		}
	}
	if _, err := o.BulkAll(ctx, o.ap, enrol.Validate, all, why); err == nil {
		t.Error("the same list again")
	}
	all.Count, all.AfterSince, all.AfterID = 2, out.Next.Since, out.Next.ID
	out, err = o.BulkAll(ctx, o.ap, enrol.Validate, all, why)
	if must(t, err); len(out.Verdicts) != 1 || out.Remaining != 1 || out.Next != nil {
		t.Errorf("%+v", out)
	}
	// By name: done before, of another agency, not there: each its own verdict.
	named, err := o.Bulk(ctx, o.ap, enrol.Validate, []string{ids[0], ids[11], "en_none"}, why)
	must(t, err)
	for k, code := range []string{"enrolment_state", "forbidden", "forbidden"} {
		refused(t, ids[k], named[k].Err, code)
	}
	if named[1].State != "" {
		t.Error("an AP learns the state of another agency's")
	}
	told := 0
	for _, r := range storetest.Chain(t, o.House.DB) {
		if r.Action == "enrol.validate" && r.Verdict == "accepted" && r.Detail["reason"] == why && r.Object != "enrolments" {
			told++
		}
	}
	if told != 1000 {
		t.Errorf("the audit tells of %d with the reason", told)
	}
}

// Approvals one by one go through the CA; one that refuses several in a row ends it.
func TestBulkApproval(t *testing.T) {
	o := newOffice(t)
	var ids []string
	for k := range 6 {
		ids = append(ids, o.applied(t, fmt.Sprintf("79030810990%d", k)))
	}
	done, err := o.Bulk(ctx, o.ap, enrol.Validate, ids, "Disemak di kaunter")
	if must(t, err); len(done) != 6 || done[5].Err != nil {
		t.Fatalf("%+v", done)
	}
	out, err := o.Bulk(ctx, o.jdn, enrol.Approve, ids[:2], "Surat JANM 1/2026")
	if must(t, err); len(out) != 2 || out[0].Err != nil || out[1].State != enrol.Issued {
		t.Fatalf("%+v", out)
	}
	real := o.CA
	o.CA = refusing{real, ca.ErrUnavailable}
	if out, err = o.Bulk(ctx, o.jdn, enrol.Approve, ids[1:4], "Surat JANM 1/2026"); err != nil || len(out) != 2 || out[1].State != enrol.Approved {
		t.Errorf("a CA that is away: %+v, %v", out, err)
	}
	o.CA = refusing{real, ca.ErrLint}
	if out, err = o.Bulk(ctx, o.jdn, enrol.Approve, ids[2:], "Surat JANM 1/2026"); err != nil || len(out) != 3 || out[2].State != enrol.Returned || o.state(t, ids[5]).State != enrol.Validated {
		t.Errorf("a CA that refuses all: %+v, %v", out, err)
	}
}

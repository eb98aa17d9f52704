package enrol_test

import (
	"testing"

	"github.com/mohor-sign/mohor/enrol"
)

// Many are approved, several at once and each decided by itself: one that is refused
// stops no other.
func TestManyAreApproved(t *testing.T) {
	o := newOffice(t)
	ics := []string{"790308109903", "790308109911", "790308109929", "790308109937", "790308109945", "790308109953"}
	ids := make([]string, len(ics))
	for k, ic := range ics {
		ids[k] = o.applied(t, ic)
		if k != 2 { // who is not validated
			if err := o.Validate(ctx, o.ap, ids[k]); err != nil {
				t.Fatal(err)
			}
		}
	}
	verdicts, err := o.Bulk(ctx, o.jdn, enrol.Approve, append(ids, "none"), "Disemak dengan senarai")
	if err != nil || len(verdicts) != len(ids)+1 {
		t.Fatal(len(verdicts), err)
	}
	for k, id := range ids {
		want := enrol.Issued
		if k == 2 {
			want = enrol.Applied
			refused(t, "not validated", verdicts[k].Err, "enrolment_state")
		} else if verdicts[k].Err != nil {
			t.Errorf("%s: %v", ics[k], verdicts[k].Err)
		}
		if e := o.state(t, id); e.State != want || verdicts[k].State != want || verdicts[k].ID != id {
			t.Errorf("%s is %s: %+v", ics[k], e.State, verdicts[k])
		}
	}
	if verdicts[len(ids)].Err == nil {
		t.Error("approved what there is not")
	}
	o.sound(t)
}

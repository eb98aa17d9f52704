package enrol_test

import (
	"context"
	"errors"
	"testing"

	"github.com/mohor-sign/mohor/enrol"
)

// Many are approved, each decided by itself: one that is refused stops no other.
func TestApproveAll(t *testing.T) {
	o := newOffice(t)
	ics := []string{"790308109903", "790308109911", "790308109929", "790308109937"}
	ids := make([]string, len(ics))
	for k, ic := range ics {
		ids[k] = o.applied(t, ic)
		if k != 2 { // who is not validated
			if err := o.Validate(ctx, o.ap, ids[k]); err != nil {
				t.Fatal(err)
			}
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for _, err := range o.ApproveAll(ended, o.jdn, ids) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("with a context that has ended: %v", err)
		}
	}
	errs := o.ApproveAll(ctx, o.jdn, append(ids, "none"))
	for k, id := range ids {
		want := enrol.Issued
		if k == 2 {
			want = enrol.Applied
			refused(t, "not validated", errs[k], "enrolment_state")
		} else if errs[k] != nil {
			t.Errorf("%s: %v", ics[k], errs[k])
		}
		if e := o.state(t, id); e.State != want {
			t.Errorf("%s is %s", ics[k], e.State)
		}
	}
	if errs[len(ids)] == nil {
		t.Error("approved what there is not")
	}
	if len(o.ApproveAll(ctx, o.jdn, nil)) != 0 {
		t.Error("errors for nobody")
	}
	o.sound(t)
}

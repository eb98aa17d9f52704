package enrol_test

import (
	"errors"
	"testing"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
)

// Who lists, who validates and who approves are three people, and none is the officer.
func TestSegregation(t *testing.T) {
	o := newOffice(t)
	e, err := o.Add(ctx, o.sap, o.row(newIC))
	must(t, err)
	must(t, o.Admit(ctx, o.jdn, e.ID))
	o.once(t)
	if _, err := o.Confirm(ctx, secret.New(o.post.last(t).link), "r"); err != nil {
		t.Fatal(err)
	}
	o.once(t)
	id, code := e.ID, secret.New(o.post.last(t).code)
	if _, err := o.Apply(ctx, application(code)); err != nil {
		t.Fatal(err)
	}
	people := who(o.House.Clock.Now())
	own := people["AP"]
	own.IC = newIC
	// The same person with another account and role is the same person.
	both := people["JDN"]
	both.IC = o.ap.IC
	refused(t, "the lister validates", o.Validate(ctx, o.sap, id), "same_person")
	refused(t, "the applicant validates", o.Validate(ctx, own, id), "own_case")
	refused(t, "JDN validates", o.Validate(ctx, o.jdn, id), "forbidden")
	refused(t, "another agency validates", o.Validate(ctx, people["AP, other agency"], id), "forbidden")
	must(t, o.Validate(ctx, o.ap, id))
	must(t, o.Return(ctx, o.jdn, id, "gambar tidak jelas"))
	o.once(t)
	o.Policy.MyKad = true
	_, err = o.Apply(ctx, application(secret.New(o.post.last(t).code)))
	refused(t, "without a copy", err, "mykad_missing")
	o.Policy.MyKad = false
	if _, err := o.Apply(ctx, application(secret.New(o.post.last(t).code))); err != nil {
		t.Fatal(err)
	}
	must(t, o.Validate(ctx, o.ap, id))
	_, err = o.Approve(ctx, both, id)
	refused(t, "the validator approves by another account", err, "same_person")
	own = people["JDN"]
	own.IC = newIC
	_, err = o.Approve(ctx, own, id)
	refused(t, "the applicant approves", err, "own_case")
	if _, err := o.Approve(ctx, o.jdn, id); err != nil {
		t.Error(err)
	}
}

// No agency's leave for personal addresses counts where the gateway allows none.
func TestOfficialMailOnly(t *testing.T) {
	o := newOffice(t)
	row := o.row(newIC)
	row.Agency, row.Officer.Email = "JPK", "noraini@gmail.com"
	o.Policy.OfficialOnly = true
	_, err := o.Add(ctx, o.jdn, row)
	var no *enrol.Refusal
	if !errors.As(err, &no) || no.Code != "personal_mail" && no.Code != "row_personal_mail" {
		t.Errorf("%v", err)
	}
	o.Policy.OfficialOnly = false
	if _, err := o.Add(ctx, o.jdn, row); err != nil {
		t.Error(err)
	}
}

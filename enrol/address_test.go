package enrol_test

import (
	"errors"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/store/storetest"
)

// letters mails what is due and gives the newest link to either address.
func (o *office) links(t testing.TB) (old, next secret.Text) {
	t.Helper()
	for did, err := o.Once(ctx); did; did, err = o.Once(ctx) {
		must(t, err)
	}
	for _, l := range o.post.letters {
		switch l.Change {
		case enrol.OldAddress:
			old = secret.New(l.link)
		case enrol.NewAddress:
			next = secret.New(l.link)
		}
	}
	return old, next
}

func (o *office) email(t testing.TB, ic string) string {
	t.Helper()
	p, _, err := o.House.DB.Officer(ctx, ic)
	must(t, err)
	return p.Email
}

// The address changes when both have confirmed, in either order, and not before; each
// link is good once and for a day.
func TestChangeOfAddress(t *testing.T) {
	o := newOffice(t)
	_, _ = o.confirmed(t, newIC)
	o.post.letters = nil
	herself := enrol.Actor{Name: "account:x", IC: newIC}
	other := enrol.Actor{Name: "account:y", IC: storetest.IC}
	_, err := o.ChangeAddress(ctx, other, newIC, "n@jpk.gov.my")
	refusedAs(t, err, "forbidden")
	for email, code := range map[string]string{"noraini@janm.gov.my": "email_same", "n@jpk.gov.mu": "email_typo", "n@gmail.com": "personal_mail", "nobody": "email_invalid"} {
		_, err = o.ChangeAddress(ctx, herself, newIC, email)
		refusedAs(t, err, code)
	}
	c, err := o.ChangeAddress(ctx, herself, newIC, "noraini@jpk.gov.my")
	must(t, err)
	_, err = o.ChangeAddress(ctx, o.ap, newIC, "thief@jpk.gov.my")
	refusedAs(t, err, "change_pending")
	old, next := o.links(t)
	_, err = o.Confirm(ctx, next, "r")
	must(t, err)
	if got := o.email(t, newIC); got != "noraini@janm.gov.my" {
		t.Errorf("changed by the new address alone: %s", got)
	}
	if _, err := o.Confirm(ctx, next, "r"); !errors.Is(err, enrol.ErrLink) {
		t.Errorf("a link was good twice: %v", err)
	}
	if list, err := o.AddressChanges(ctx, o.ap, newIC); err != nil || len(list) != 1 || list[0].State != enrol.ChangePending || list[0].NewAt.IsZero() || !list[0].OldAt.IsZero() {
		t.Errorf("the help desk sees %+v, %v", list, err)
	}
	_, err = o.Confirm(ctx, old, "r")
	must(t, err)
	if got := o.email(t, newIC); got != "noraini@jpk.gov.my" {
		t.Errorf("not changed: %s", got)
	}
	refusedAs(t, o.CancelAddressChange(ctx, herself, c.ID), "enrolment_changed")

	// Links end after a day, a change after a week, or when it is cancelled.
	c, err = o.ChangeAddress(ctx, o.ap, newIC, "noraini@janm.gov.my")
	must(t, err)
	old, next = o.links(t)
	o.House.Clock.Advance(24 * time.Hour)
	for _, link := range []secret.Text{old, next} {
		if _, err := o.Confirm(ctx, link, "r"); !errors.Is(err, enrol.ErrLink) {
			t.Errorf("an old link: %v", err)
		}
	}
	refusedAs(t, o.Vouch(ctx, o.ap, c.ID, "old mailbox is closed"), "same_person")
	must(t, o.CancelAddressChange(ctx, herself, c.ID))
	refusedAs(t, o.Vouch(ctx, o.jdn, c.ID, "old mailbox is closed"), "enrolment_changed")

	// A dead old address: an administrator who did not ask for it vouches.
	o.post.fail = enrol.ErrUndeliverable
	c, err = o.ChangeAddress(ctx, herself, newIC, "nora@janm.gov.my")
	must(t, err)
	_, _ = o.links(t)
	list, err := o.AddressChanges(ctx, o.ap, newIC)
	if err != nil || len(list) != 3 || list[0].OldReply == "" {
		t.Errorf("%+v, %v", list, err)
	}
	refusedAs(t, o.Vouch(ctx, herself, c.ID, "my mailbox is closed"), "forbidden")
	refusedAs(t, o.Vouch(ctx, o.ap, c.ID, "x"), "reason_missing")
	refusedAs(t, o.Vouch(ctx, o.ap, "ad_none", "old mailbox is closed"), "forbidden")
	must(t, o.Vouch(ctx, o.ap, c.ID, "old mailbox is closed"))
	refusedAs(t, o.Vouch(ctx, o.ap, c.ID, "old mailbox is closed"), "enrolment_changed")
	if got := o.email(t, newIC); got != "noraini@jpk.gov.my" {
		t.Errorf("changed without the new address: %s", got)
	}
	must(t, o.CancelAddressChange(ctx, o.ap, c.ID))
	o.post.fail = nil
	c, err = o.ChangeAddress(ctx, herself, newIC, "nora@janm.gov.my")
	must(t, err)
	_, next = o.links(t)
	must(t, o.Vouch(ctx, o.ap, c.ID, "old mailbox is closed"))
	_, err = o.Confirm(ctx, next, "r")
	must(t, err)
	if got := o.email(t, newIC); got != "nora@janm.gov.my" {
		t.Errorf("not changed: %s", got)
	}
}

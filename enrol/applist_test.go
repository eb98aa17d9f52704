package enrol_test

import (
	"slices"
	"testing"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/store/storetest"
)

// A list holds what was asked for of what the reader may see, and no more.
func TestAppsAreListedAsAsked(t *testing.T) {
	o := newOffice(t)
	apps, now := o.House.Apps, o.House.Clock.Now()
	other := enrol.Actor{Name: "account:ep", IC: "700101105588", LoggedIn: now, Appointments: []enrol.Appointment{{Role: enrol.SAP, System: "EP", From: now}}}
	for _, a := range []enrol.App{
		{ID: "a-lejar", Name: "Lejar Am", Systems: []string{storetest.System}},
		{ID: "b-dua", Name: "Dua Sistem", Systems: []string{storetest.System, "EP"}},
		{ID: "c-beli", Name: "Belian", Systems: []string{"EP"}},
		{ID: "d-kuasa", Name: "Kuasa", Systems: []string{"EP"}, Grants: []string{enrol.GrantRAW}},
	} {
		_, err := apps.Add(ctx, o.jdn, a)
		must(t, err)
	}
	_, err := apps.Change(ctx, other, "c-beli", func(a *enrol.App) { a.Name = "Belian Baharu" })
	must(t, err)
	key, secret, err := apps.AddCredential(ctx, o.sap, "a-lejar", enrol.NewCredential{Kind: enrol.KindKey})
	must(t, err)
	secret.Wipe()
	_, err = apps.Suspend(ctx, o.jdn, "b-dua", "cuba sahaja")
	must(t, err)

	found := func(by enrol.Actor, q enrol.AppQuery) (ids []string) {
		t.Helper()
		list, err := apps.List(ctx, by, q)
		must(t, err)
		for _, a := range list {
			ids = append(ids, a.ID)
		}
		return ids
	}
	house := o.House.App.ID
	for what, c := range map[string]struct {
		by   enrol.Actor
		q    enrol.AppQuery
		want []string
	}{
		"all of JDN":                {o.jdn, enrol.AppQuery{}, []string{"a-lejar", "b-dua", "c-beli", "d-kuasa", house}},
		"of the other's system":     {other, enrol.AppQuery{}, []string{"b-dua", "c-beli", "d-kuasa"}},
		"asked for what is not his": {other, enrol.AppQuery{System: storetest.System}, []string{"b-dua"}},
		"by system":                 {o.jdn, enrol.AppQuery{System: "EP"}, []string{"b-dua", "c-beli", "d-kuasa"}},
		"by state":                  {o.jdn, enrol.AppQuery{State: enrol.AppSuspended}, []string{"b-dua"}},
		"by name":                   {o.jdn, enrol.AppQuery{Text: "LEJAR"}, []string{"a-lejar"}},
		"by id":                     {o.jdn, enrol.AppQuery{Text: "c-b"}, []string{"c-beli"}},
		"awaiting":                  {o.jdn, enrol.AppQuery{Awaits: true}, []string{"a-lejar", "c-beli", "d-kuasa"}},
		"awaiting, of the other":    {other, enrol.AppQuery{Awaits: true}, []string{"c-beli", "d-kuasa"}},
		"a page":                    {o.jdn, enrol.AppQuery{Awaits: true, After: "a-lejar", Limit: 1}, []string{"c-beli"}},
	} {
		if got := found(c.by, c.q); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", what, got, c.want)
		}
	}

	list, err := apps.List(ctx, o.jdn, enrol.AppQuery{Text: "a-lejar"})
	if err != nil || list[0].Credentials != (enrol.CredentialSum{Awaiting: 1}) {
		t.Errorf("%+v, %v", list, err)
	}
	must(t, apps.ConfirmCredential(ctx, o.jdn, "a-lejar", key.ID))
	list, err = apps.List(ctx, o.jdn, enrol.AppQuery{Text: "a-lejar"})
	if err != nil || list[0].Credentials != (enrol.CredentialSum{Live: 1}) {
		t.Errorf("%+v, %v", list, err)
	}
	if got := found(o.jdn, enrol.AppQuery{Awaits: true}); !slices.Equal(got, []string{"c-beli", "d-kuasa"}) {
		t.Errorf("after the confirmation: %v", got)
	}
	// What has ended awaits nobody.
	_, err = apps.End(ctx, o.jdn, "d-kuasa", "tidak jadi")
	must(t, err)
	if got := found(o.jdn, enrol.AppQuery{Awaits: true}); !slices.Equal(got, []string{"c-beli"}) {
		t.Errorf("after the end: %v", got)
	}
}

package storetest

import (
	"bytes"
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/enrol"
)

// apps: an app is kept as it was given, listed in order, and changed by whoever has read it last.
func apps(t *testing.T, h *House) {
	ctx, db := context.Background(), h.DB
	got, err := db.AppByID(ctx, h.App.ID)
	if err != nil || !reflect.DeepEqual(got, h.App) {
		t.Errorf("app %+v, %v; want %+v", got, err, h.App)
	}
	_, err = db.AppByID(ctx, "nobody")
	wants(t, "a wrong id", err, enrol.ErrUnknown)

	a := enrol.App{ID: "a-second", Name: "S", Systems: []string{"A", "B"}, Grants: []string{enrol.GrantSign}, PINEntry: enrol.PINHosted, Rate: 3.5, CreatedAt: h.Clock.Now(),
		RedirectURIs: []string{"https://a.example/x?y=1"}, Webhook: "https://a.example/hook", State: enrol.AppProposed, MTLS: true,
		Proposal: &enrol.AppProposal{ID: "ap_1", By: "account:x", App: enrol.App{ID: "a-second", Name: "Other", Grants: []string{enrol.GrantRAW}}}}
	must(t, db.PutApp(ctx, a, nil, h.ev("app", a.ID)))
	if got, err := db.AppByID(ctx, a.ID); err != nil || !reflect.DeepEqual(got, a) {
		t.Errorf("app %+v, %v; want %+v", got, err, a)
	}
	old := a
	a.Name, a.State, a.Proposal, a.MTLS, a.RedirectURIs, a.Webhook, a.Rate, a.Systems = "Renamed", enrol.AppActive, nil, false, []string{}, "", 9, []string{"C"}
	must(t, db.SetApp(ctx, a, false, h.ev("app", a.ID)))
	a.Revision = 1
	if got, err := db.AppByID(ctx, a.ID); err != nil || !reflect.DeepEqual(got, a) {
		t.Errorf("after a change %+v, %v; want %+v", got, err, a)
	}
	wants(t, "a change of what is no more", db.SetApp(ctx, old, false, h.ev("app", a.ID)), enrol.ErrState)

	list, err := db.ListApps(ctx, "", 1)
	if err != nil || len(list) != 1 || list[0].ID != "a-second" {
		t.Errorf("first page %+v, %v", list, err)
	}
	if list, err = db.ListApps(ctx, "a-second", 10); err != nil || len(list) != 1 || list[0].ID != h.App.ID {
		t.Errorf("second page %+v, %v", list, err)
	}
}

// appCredentials: each is found by its own kind alone, waits for its confirmation, and ends.
func appCredentials(t *testing.T, h *House) {
	ctx, db, now := context.Background(), h.DB, h.Clock.Now()
	c := enrol.AppCredential{ID: "ac_1", App: h.App.ID, Kind: enrol.KindKey, Hash: [32]byte{1}, By: "account:x", CreatedAt: now}
	must(t, db.PutAppCredential(ctx, c, h.ev("add", c.ID)))
	a, got, err := db.AppBySecret(ctx, enrol.KindKey, c.Hash)
	if err != nil || a.ID != h.App.ID || got != c {
		t.Errorf("%+v %+v, %v", a, got, err)
	}
	_, _, err = db.AppBySecret(ctx, enrol.KindSecret, c.Hash)
	wants(t, "another kind", err, enrol.ErrUnknown)
	_, _, err = db.AppBySecret(ctx, enrol.KindJWT, [32]byte{})
	wants(t, "no hash", err, enrol.ErrUnknown)

	day := now.Truncate(24 * time.Hour)
	must(t, db.UsedAppCredential(ctx, c.ID, day))
	must(t, db.UsedAppCredential(ctx, c.ID, day.Add(-24*time.Hour)))
	if _, got, _ := db.AppBySecret(ctx, enrol.KindKey, c.Hash); !got.LastUsed.Equal(day) {
		t.Errorf("last used %v", got.LastUsed)
	}

	// One that awaits takes no other's place until it is confirmed, once.
	next := enrol.AppCredential{ID: "ac_2", App: h.App.ID, Kind: enrol.KindKey, Hash: [32]byte{2}, By: "account:x", CreatedAt: now, Awaits: true, Replaces: c.ID, ReplacesUntil: now.Add(time.Hour)}
	must(t, db.PutAppCredential(ctx, next, h.ev("add", next.ID)))
	if _, got, _ := db.AppBySecret(ctx, enrol.KindKey, c.Hash); !got.ExpiresAt.IsZero() {
		t.Errorf("the old one ends at %v before the new one is confirmed", got.ExpiresAt)
	}
	sum := func(at time.Time) enrol.CredentialSum {
		all, err := db.SumAppCredentials(ctx, "", h.App.ID, at)
		must(t, err)
		return all[h.App.ID]
	}
	if got := sum(now); got != (enrol.CredentialSum{Live: 4, Awaiting: 1, LastUsed: day.UTC()}) {
		t.Errorf("in sum %+v", got)
	}
	must(t, db.ConfirmAppCredential(ctx, h.App.ID, next.ID, h.ev("confirm", next.ID)))
	wants(t, "confirmed again", db.ConfirmAppCredential(ctx, h.App.ID, next.ID, h.ev("confirm", next.ID)), enrol.ErrUnknown)
	if _, got, _ := db.AppBySecret(ctx, enrol.KindKey, c.Hash); !got.ExpiresAt.Equal(now.Add(time.Hour)) {
		t.Errorf("the old one ends at %v", got.ExpiresAt)
	}
	if _, got, _ := db.AppBySecret(ctx, enrol.KindKey, next.Hash); got.Awaits || got.Replaces != c.ID {
		t.Errorf("confirmed %+v", got)
	}

	// A certificate in force binds the app.
	pin := enrol.AppCredential{ID: "ac_3", App: h.App.ID, Kind: enrol.KindCertificate, Public: "CN=x", CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
	must(t, db.PutAppCredential(ctx, pin, h.ev("add", pin.ID)))
	if a, err := db.AppByID(ctx, h.App.ID); err != nil || !a.MTLS {
		t.Errorf("not bound: %+v, %v", a, err)
	}
	wants(t, "another's credential", db.RevokeAppCredential(ctx, "nobody", pin.ID, h.ev("revoke", pin.ID)), enrol.ErrUnknown)
	must(t, db.RevokeAppCredential(ctx, h.App.ID, pin.ID, h.ev("revoke", pin.ID)))
	wants(t, "revoked again", db.RevokeAppCredential(ctx, h.App.ID, pin.ID, h.ev("revoke", pin.ID)), enrol.ErrUnknown)
	all, err := db.AppCredentials(ctx, h.App.ID)
	if err != nil || len(all) != 6 || all[2].RevokedAt.IsZero() || all[2].Public != "CN=x" {
		t.Errorf("%+v, %v", all, err)
	}
	if got := sum(now); got.Live != 5 || got.Awaiting != 0 || !got.EndsAt.Equal(now.Add(time.Hour)) {
		t.Errorf("in sum %+v", got)
	}
	if got := sum(now.Add(time.Hour)); got.Live != 4 || !got.EndsAt.IsZero() {
		t.Errorf("in sum, an hour later %+v", got)
	}
	if none, err := db.SumAppCredentials(ctx, h.App.ID, "zz", now); err != nil || len(none) != 0 {
		t.Errorf("behind the app %+v, %v", none, err)
	}
	id := [32]byte{9}
	must(t, db.UseAssertion(ctx, h.App.ID, id, now, now.Add(time.Minute)))
	wants(t, "an assertion again", db.UseAssertion(ctx, h.App.ID, id, now, now.Add(time.Minute)), enrol.ErrExists)
	must(t, db.UseAssertion(ctx, h.App.ID, id, now.Add(time.Minute), now.Add(2*time.Minute)))
}

func appTokens(t *testing.T, h *House) {
	ctx, db, now := context.Background(), h.DB, h.Clock.Now()
	c := enrol.AppCredential{ID: "ac_1", App: h.App.ID, Kind: enrol.KindSecret, Hash: [32]byte{1}, CreatedAt: now}
	must(t, db.PutAppCredential(ctx, c, h.ev("add", c.ID)))
	put := func(n byte, until time.Time) [32]byte {
		must(t, db.PutToken(ctx, enrol.AppToken{Hash: [32]byte{n}, Bound: [32]byte{n, n}, App: h.App.ID, Credential: c.ID, ExpiresAt: until}, now))
		return [32]byte{n}
	}
	token := put(7, now.Add(time.Hour))
	if a, got, bound, err := db.AppByToken(ctx, token, now.Add(time.Hour-time.Microsecond)); err != nil || a.ID != h.App.ID || got.ID != c.ID || bound != [32]byte{7, 7} {
		t.Errorf("by token: %+v %+v %x, %v", a, got, bound, err)
	}
	_, _, _, err := db.AppByToken(ctx, token, now.Add(time.Hour))
	wants(t, "an expired token", err, enrol.ErrUnknown)
	now = now.Add(2 * time.Hour)
	again := put(8, now.Add(time.Hour))
	_, _, _, err = db.AppByToken(ctx, token, h.Clock.Now()) // removed, whatever the clock says
	wants(t, "a token swept", err, enrol.ErrUnknown)
	must(t, db.RevokeAppCredential(ctx, h.App.ID, c.ID, h.ev("revoke", c.ID)))
	_, _, _, err = db.AppByToken(ctx, again, now)
	wants(t, "a token of a revoked credential", err, enrol.ErrUnknown)
}

func systems(t *testing.T, h *House) {
	ctx, db := context.Background(), h.DB
	must(t, db.PutAgency(ctx, enrol.Agency{Code: "JANM", Name: "JANM"}, h.ev("x", "")))
	must(t, db.PutSystem(ctx, enrol.System{Code: "NEW", Title: "T", Agency: "JANM"}, h.ev("x", "")))
	must(t, db.ShowSystem(ctx, enrol.System{Code: "NEW", Title: "T", Notice: enrol.NoticeToken, HeaderTemplate: "A{ic}"}, h.ev("x", "")))
	must(t, db.SetLogo(ctx, "NEW", []byte("png"), "image/png", h.ev("x", "")))
	must(t, db.PutSystem(ctx, enrol.System{Code: "NEW", Title: "T2", Agency: "JANM"}, h.ev("x", ""))) // touches nothing of that
	if s, err := db.System(ctx, "NEW"); err != nil || s.Title != "T2" || s.Notice != enrol.NoticeToken || s.HeaderTemplate != "A{ic}" || s.LogoType != "image/png" || !bytes.Equal(s.Logo, []byte("png")) {
		t.Errorf("system %+v, %v", s, err)
	}
	must(t, db.SetLogo(ctx, "NEW", nil, "", h.ev("x", "")))
	if s, err := db.System(ctx, "NEW"); err != nil || s.Logo != nil {
		t.Errorf("system %+v, %v", s, err)
	}
	_, err := db.System(ctx, "NONE")
	wants(t, "no such system", err, enrol.ErrUnknown)
	wants(t, "no such system's title", db.ShowSystem(ctx, enrol.System{Code: "NONE"}, h.ev("x", "")), enrol.ErrUnknown)
	wants(t, "no such system's logo", db.SetLogo(ctx, "NONE", nil, "", h.ev("x", "")), enrol.ErrUnknown)
}

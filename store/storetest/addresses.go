package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/enrol"
)

// addressChanges: one at a time, each side proved once, and both before it happens.
func addressChanges(t *testing.T, h *House) {
	ctx, db, now := context.Background(), h.DB, h.Clock.Now()
	o, _, err := db.Officer(ctx, IC)
	must(t, err)
	must(t, db.PutPassword(ctx, enrol.NewAccount(o, now), []byte{1}, h.ev("password", "")))
	c := enrol.AddressChange{ID: "ad_1", IC: IC, Old: o.Email, New: "new@x.example", AskedBy: "a", AskedIC: IC, AskedAt: now, Until: now.Add(time.Hour)}
	must(t, db.PutAddressChange(ctx, c, h.ev("ask", "")))
	twice := c
	twice.ID = "ad_2"
	wants(t, "a second one", db.PutAddressChange(ctx, twice, h.ev("ask", "")), enrol.ErrExists)

	got, ok, err := db.ClaimAddressChange(ctx, now, now.Add(time.Minute))
	if !ok || err != nil || got.ID != "ad_1" || got.Attempts != 1 || got.Name != o.Name {
		t.Fatalf("%+v %v %v", got, ok, err)
	}
	if _, ok, err := db.ClaimAddressChange(ctx, now, now.Add(time.Minute)); ok || err != nil {
		t.Errorf("claimed twice: %v", err)
	}
	stale := got
	stale.Attempts = 0
	wants(t, "a stale claim", db.PutAddressLink(ctx, stale, enrol.OldAddress, [32]byte{1}, now, h.ev("link", "")), enrol.ErrState)
	must(t, db.PutAddressLink(ctx, got, enrol.OldAddress, [32]byte{1}, now.Add(time.Minute), h.ev("link", "")))
	must(t, db.PutAddressLink(ctx, got, enrol.NewAddress, [32]byte{2}, now.Add(time.Minute), h.ev("link", "")))
	got.OldReply = "refused: 550"
	must(t, db.SettleAddressChange(ctx, got, time.Time{}))
	for n, want := range map[byte]string{1: enrol.OldAddress, 2: enrol.NewAddress} {
		if x, side, err := db.AddressChangeByLink(ctx, [32]byte{n}); err != nil || side != want || x.OldReply != "refused: 550" {
			t.Errorf("%+v %s %v", x, side, err)
		}
	}
	_, _, err = db.AddressChangeByLink(ctx, [32]byte{9})
	wants(t, "no such link", err, enrol.ErrUnknown)
	claimed, none := parallel(t, 10, func() error {
		_, err := db.ProveAddress(ctx, "ad_1", enrol.NewAddress, "p", h.ev("prove", ""))
		return err
	}, enrol.ErrState)
	if claimed != 1 || none != 9 {
		t.Errorf("a link was good %d times", claimed)
	}
	if o, _, err := db.Officer(ctx, IC); err != nil || o.Email != c.Old {
		t.Errorf("changed by one side: %+v, %v", o, err)
	}
	if done, err := db.ProveAddress(ctx, "ad_1", enrol.OldAddress, "ap", h.ev("prove", "")); !done || err != nil {
		t.Errorf("%v, %v", done, err)
	}
	if o, _, err := db.Officer(ctx, IC); err != nil || o.Email != c.New {
		t.Errorf("%+v, %v", o, err)
	}
	if acct, _, err := db.AccountByIC(ctx, IC); err != nil || acct.Email != c.New {
		t.Errorf("the account's address did not follow: %+v, %v", acct, err)
	}
	to := map[string]bool{}
	for _, n := range h.drain(t) {
		if n.Kind == enrol.NoticeAddressChanged {
			to[n.Email] = true
		}
	}
	if !to[c.Old] || !to[c.New] {
		t.Errorf("told: %v", to)
	}
	wants(t, "one that is done", db.CancelAddressChange(ctx, "ad_1", h.ev("cancel", "")), enrol.ErrState)
	// A forgotten one gives way; one whose address changed otherwise proves nothing.
	c.ID, c.Old = "ad_3", "elsewhere@x.example"
	must(t, db.PutAddressChange(ctx, c, h.ev("ask", "")))
	_, err = db.ProveAddress(ctx, "ad_3", enrol.NewAddress, "p", h.ev("prove", ""))
	must(t, err)
	_, err = db.ProveAddress(ctx, "ad_3", enrol.OldAddress, "p", h.ev("prove", ""))
	wants(t, "another old address", err, enrol.ErrState)
	next := c
	next.ID, next.AskedAt, next.Until = "ad_4", c.Until, c.Until.Add(time.Hour)
	must(t, db.PutAddressChange(ctx, next, h.ev("ask", "")))
	if list, err := db.AddressChangesOf(ctx, IC); err != nil || len(list) != 3 || list[0].ID != "ad_4" {
		t.Errorf("%+v, %v", list, err)
	}
	if x, err := db.AddressChange(ctx, "ad_3"); err != nil || x.State != enrol.ChangeExpired {
		t.Errorf("%+v, %v", x, err)
	}
}

package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/health"
	"github.com/mohor-sign/mohor/notify"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store"
)

// "This was not me" is told to each address once, with the deed.
func alarms(t *testing.T, h *House) {
	ctx := context.Background()
	h.drain(t)
	to := []string{"sap@jpk.example", "sa@jpk.example"}
	// told says that the outbox holds one notice for each address, and no other.
	told := func(r *signer.Request, outcome string) {
		t.Helper()
		want := map[string]string{"system": r.SystemName, "transaction": r.ID, "officer": notify.MaskName(h.Officer.Name), "count": fmt.Sprint(r.Count),
			"fingerprint": signer.Fingerprint(r.Root), "outcome": outcome}
		got := h.drain(t)
		if len(got) != len(to) {
			t.Fatalf("%d notices: %+v", len(got), got)
		}
		seen := map[string]bool{}
		for _, n := range got {
			seen[n.Email] = true
			if n.Kind != notify.TransactionDisowned || n.Officer != "" || n.Name != "" || n.ID == "" || !n.At.Equal(h.Clock.Now()) || !maps.Equal(n.Detail, want) {
				t.Errorf("notice %+v, want detail %v", n, want)
			}
		}
		if len(seen) != len(to) || !seen[to[0]] || !seen[to[1]] {
			t.Errorf("told %v", seen)
		}
	}
	none := func(what string) {
		t.Helper()
		if got := h.drain(t); len(got) != 0 {
			t.Errorf("%s: %+v", what, got)
		}
	}
	one, two, three, four := [32]byte{1}, [32]byte{2}, [32]byte{3}, [32]byte{4}
	r := h.request(t, "tx", 2)
	h.linked(t, "tx", 1, one)
	wants(t, "disowning what it is not", h.DB.Disown(ctx, one, signer.Signing, to, h.ev("disown", "tx")), signer.ErrFinished)
	wants(t, "disowning by an unknown link", h.DB.Disown(ctx, two, signer.Waiting, to, h.ev("disown", "tx")), signer.ErrUnknown)
	none("nothing was done")
	// Many at once: one deed, one notice for each address.
	granted, refused := parallel(t, 8, func() error { return h.DB.Disown(ctx, one, signer.Waiting, to, h.ev("disown", "tx")) }, signer.ErrUnknown)
	if granted != 1 || refused != 7 {
		t.Errorf("%d did it, %d were late", granted, refused)
	}
	told(r, notify.DisownedCancelled)

	r = h.request(t, "over", 1)
	h.linked(t, "over", 1, two)
	must(t, h.DB.CancelRequest(ctx, "over", signer.Cancelled, h.ev("cancel", "over")))
	must(t, h.DB.Disown(ctx, two, signer.Cancelled, to, h.ev("disown", "over")))
	told(r, notify.DisownedEnded)

	r = h.request(t, "signing", 1)
	h.linked(t, "signing", 1, three)
	if _, err := h.intent(r, 1); err != nil {
		t.Fatal(err)
	}
	must(t, h.DB.Disown(ctx, three, signer.Signing, to, h.ev("disown", "signing")))
	told(r, notify.DisownedConfirmed)

	// Nobody to tell: the deed is done all the same.
	r = h.request(t, "quiet", 1)
	h.linked(t, "quiet", 1, four)
	must(t, h.DB.Disown(ctx, four, signer.Waiting, nil, h.ev("disown", "quiet")))
	h.is(t, r, signer.Cancelled, "SEALED")
	none("nobody is to be told")

	// A transaction that ends otherwise leaves none of the notices behind.
	r = h.request(t, "undone", 1)
	h.linked(t, "undone", 1, one)
	err := h.DB.Together(ctx, func(db *store.DB) error {
		if err := db.Disown(ctx, one, signer.Waiting, to, h.ev("disown", "undone")); err != nil {
			return err
		}
		return errNone
	})
	if !errors.Is(err, errNone) {
		t.Errorf("together: %v", err)
	}
	h.is(t, r, signer.Waiting, "SEALED")
	none("it was rolled back")
	// An alarm does not wait behind the notices of a long list.
	must(t, h.DB.AuditLock(ctx, IC, signer.PINState{Blocked: true}, h.ev("lock", IC)))
	must(t, h.DB.Disown(ctx, one, signer.Waiting, to[:1], h.ev("disown", "undone")))
	if got := h.drain(t); len(got) != 2 || got[0].Kind != notify.TransactionDisowned || got[1].Kind != notify.PINBlocked {
		t.Errorf("in this order: %+v", got)
	}
	if n := h.events(t, "disown"); n != 5 {
		t.Errorf("%d events tell of 5 deeds", n)
	}
}

// Alarms of health: one for each check and gateway however many raise it, told once, cleared once,
// acknowledged once; an event's is raised with the event and ends when it is acknowledged.
func healthAlarms(t *testing.T, h *House) {
	ctx := context.Background()
	h.drain(t)
	now := h.Clock.Now()
	event := func(action, id string) audit.Event {
		return audit.Event{At: now, Actor: "account:ac_jdn", Action: action, Object: id, Verdict: audit.Noted, Detail: map[string]string{}}
	}
	raise := func(id, check, node string) {
		t.Helper()
		a := health.Alarm{ID: id, Check: check, Node: node, Code: "redis.fails", Args: map[string]string{"reason": "refused"}, RaisedAt: now}
		if err := h.DB.RaiseAlarm(ctx, a, event("alarm.raise", id)); err != nil {
			t.Fatal(err)
		}
	}
	open := func() (out []string) {
		t.Helper()
		list, err := h.DB.OpenAlarms(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range list {
			out = append(out, a.ID)
		}
		slices.Sort(out)
		return out
	}
	var wg sync.WaitGroup
	for k := range 4 { // gateways that see the same
		wg.Go(func() { raise(fmt.Sprint("al_shared", k), "crl", "") })
	}
	wg.Wait()
	raise("al_one", "redis", "gw1")
	raise("al_two", "redis", "gw2")
	raise("al_again", "redis", "gw1")
	if got := open(); len(got) != 3 || got[0] != "al_one" || got[2] != "al_two" {
		t.Fatalf("open: %v", got)
	}
	for range 2 {
		if err := h.DB.TellAlarms(ctx, []string{"jaga@jdn.example"}, now); err != nil {
			t.Fatal(err)
		}
	}
	mails := h.drain(t)
	if len(mails) != 3 || mails[0].Kind != notify.HealthAlarm || mails[0].Email != "jaga@jdn.example" || mails[0].Detail["en"] == "" || mails[0].Detail["ms"] == mails[0].Detail["en"] {
		t.Errorf("%d mails: %+v", len(mails), mails)
	}

	if err := h.DB.AcknowledgeAlarm(ctx, "al_one", "dilihat oleh jaga", event("alarm.acknowledge", "al_one")); err != nil {
		t.Fatal(err)
	}
	if err := h.DB.AcknowledgeAlarm(ctx, "al_one", "sekali lagi", event("alarm.acknowledge", "al_one")); !errors.Is(err, enrol.ErrState) {
		t.Errorf("twice: %v", err)
	}
	if err := h.DB.AcknowledgeAlarm(ctx, "al_none", "tiada", event("alarm.acknowledge", "al_none")); !errors.Is(err, enrol.ErrUnknown) {
		t.Errorf("none: %v", err)
	}
	// gw2 is never heard of again.
	if err := h.DB.ConfirmAlarms(ctx, "gw1", now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	gone, err := h.DB.DesertedAlarms(ctx, now.Add(time.Minute))
	if err != nil || len(gone) != 1 || gone[0].ID != "al_two" {
		t.Errorf("deserted: %+v, %v", gone, err)
	}
	for k, id := range []string{"al_one", "al_two", "al_two"} {
		ev := event("alarm.clear", id)
		ev.At = now.Add(time.Duration(k) * time.Second)
		if err := h.DB.ClearAlarm(ctx, id, ev); err != nil {
			t.Fatal(err)
		}
	}
	first, err := h.DB.ClearedAlarms(ctx, time.Time{}, "", 1)
	if err != nil || len(first) != 1 || first[0].ID != "al_two" || first[0].ClearedAt.IsZero() {
		t.Fatalf("%+v, %v", first, err)
	}
	second, err := h.DB.ClearedAlarms(ctx, first[0].ClearedAt, first[0].ID, 5)
	if err != nil || len(second) != 1 || second[0].ID != "al_one" || second[0].By != "account:ac_jdn" || second[0].Note != "dilihat oleh jaga" || second[0].Args["reason"] != "refused" {
		t.Errorf("%+v, %v", second, err)
	}
	raise("al_anew", "redis", "gw1") // it fails again

	for range 2 {
		ev := event("signer.alarm", "tx_changed")
		if err := h.DB.Audit(ctx, ev); err != nil {
			t.Fatal(err)
		}
	}
	list, err := h.DB.OpenAlarms(ctx)
	if err != nil || len(list) != 3 || list[2].Check != "signing" || list[2].Object != "tx_changed" {
		t.Fatalf("%+v, %v", list, err)
	}
	// One by one it is the same list, the parts' before the events'.
	next := health.Alarm{}
	for k := range list {
		one, err := h.DB.RaisedAlarms(ctx, next.Object != "", next.RaisedAt, next.ID, 1)
		if err != nil || len(one) != 1 || one[0].ID != list[k].ID {
			t.Fatalf("alarm %d: %+v, %v", k, one, err)
		}
		next = one[0]
	}
	if rest, err := h.DB.RaisedAlarms(ctx, true, next.RaisedAt, next.ID, 1); err != nil || len(rest) != 0 {
		t.Errorf("behind the last: %+v, %v", rest, err)
	}
	if err := h.DB.AcknowledgeAlarm(ctx, list[2].ID, "disiasat oleh JDN", event("alarm.acknowledge", list[2].ID)); err != nil {
		t.Fatal(err)
	}
	if got := open(); len(got) != 2 || got[0] != "al_anew" {
		t.Errorf("open: %v", got)
	}
}

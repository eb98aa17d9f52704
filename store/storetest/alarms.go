package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"

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

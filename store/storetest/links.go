package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
)

// linked gives a transaction a code whose message carries the link with token.
func (h *House) linked(t *testing.T, transaction string, nonce byte, token [32]byte) *otp.Challenge {
	t.Helper()
	c := h.challenge(transaction, nonce)
	c.Link = token
	must(t, h.DB.StoreChallenge(context.Background(), c, otp.Policy{TTL: time.Minute, Tries: 3, MaxSends: 4, PerHour: 1000, PerDay: 1000}, h.ev("issue", transaction)))
	return c
}

func links(t *testing.T, h *House) {
	ctx := context.Background()
	gone := func(what string, token [32]byte, since time.Time) {
		t.Helper()
		_, _, err := h.DB.Linked(ctx, token, since)
		wants(t, what, err, signer.ErrUnknown)
	}
	found := func(token [32]byte, id string, status signer.Status) {
		t.Helper()
		if r, at, err := h.DB.Linked(ctx, token, time.Time{}); err != nil || r.ID != id || r.Status != status || r.Officer != IC || r.Root == [32]byte{} || !at.Equal(h.Clock.Now()) {
			t.Errorf("%+v at %v, %v; want %s, %s", r, at, err, id, status)
		}
	}
	one, two, three := [32]byte{1}, [32]byte{2}, [32]byte{3}
	r := h.request(t, "tx", 1)
	// Two without a link are neither each other's nor anybody's.
	h.linked(t, "tx", 1, [32]byte{})
	h.request(t, "other", 1)
	h.linked(t, "other", 1, [32]byte{})
	gone("no link", [32]byte{}, time.Time{})
	gone("an unknown link", one, time.Time{})
	wants(t, "disowning by an unknown link", h.DB.Disown(ctx, one, signer.Waiting, nil, h.ev("disown", "tx")), signer.ErrUnknown)
	wants(t, "disowning by none", h.DB.Disown(ctx, [32]byte{}, signer.Waiting, nil, h.ev("disown", "tx")), signer.ErrUnknown)

	h.linked(t, "tx", 2, one)
	found(one, "tx", signer.Waiting)
	h.linked(t, "tx", 3, two) // a new code, a new link
	gone("a replaced link", one, time.Time{})
	wants(t, "disowning by a replaced link", h.DB.Disown(ctx, one, signer.Waiting, nil, h.ev("disown", "tx")), signer.ErrUnknown)
	found(two, "tx", signer.Waiting)
	if _, _, err := h.DB.Linked(ctx, two, r.ExpiresAt.Add(-time.Microsecond)); err != nil {
		t.Errorf("just in time: %v", err)
	}
	gone("too late", two, r.ExpiresAt)

	wants(t, "disowning what it is not", h.DB.Disown(ctx, two, signer.Signing, nil, h.ev("disown", "tx")), signer.ErrFinished)
	h.is(t, r, signer.Waiting, "SEALED")
	must(t, h.DB.Disown(ctx, two, signer.Waiting, nil, h.ev("disown", "tx")))
	h.is(t, r, signer.Cancelled, "SEALED")
	gone("a used link", two, time.Time{})
	wants(t, "disowning twice", h.DB.Disown(ctx, two, signer.Waiting, nil, h.ev("disown", "tx")), signer.ErrUnknown)
	_, err := h.intent(r, 3)
	wants(t, "an intent of what was disowned", err, signer.ErrFinished)

	// What is being signed stays so, and the link is used all the same.
	s := h.request(t, "signing", 1)
	h.linked(t, "signing", 1, three)
	_, err = h.intent(s, 1)
	must(t, err)
	found(three, "signing", signer.Signing)
	wants(t, "cancelling what is being signed", h.DB.Disown(ctx, three, signer.Waiting, nil, h.ev("disown", "signing")), signer.ErrFinished)
	must(t, h.DB.Disown(ctx, three, signer.Signing, nil, h.ev("disown", "signing")))
	h.is(t, s, signer.Signing, "SIGNING")
	gone("a link used too late", three, time.Time{})
	if n := h.events(t, "disown"); n != 2 {
		t.Errorf("%d events tell of 2 deeds", n)
	}
}

// Of a confirmation and "this was not me" at the same time exactly one wins.
func disownOrSign(t *testing.T, h *House) {
	ctx := context.Background()
	cancelled, signing := 0, 0
	for k := range 20 {
		id, token := fmt.Sprintf("tx_%d", k), [32]byte{1, byte(k)}
		r := h.request(t, id, 1)
		h.linked(t, id, 1, token)
		var disowned, confirmed error
		start := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { <-start; disowned = h.DB.Disown(ctx, token, signer.Waiting, nil, h.ev("disown", id)) })
		wg.Go(func() { <-start; _, confirmed = h.intent(r, 1) })
		close(start)
		wg.Wait()
		switch {
		case disowned == nil && errors.Is(confirmed, signer.ErrFinished):
			cancelled++
			h.is(t, r, signer.Cancelled, "SEALED")
		case confirmed == nil && errors.Is(disowned, signer.ErrFinished):
			signing++
			h.is(t, r, signer.Signing, "SIGNING")
		default:
			t.Errorf("round %d: disowned %v, confirmed %v", k, disowned, confirmed)
		}
	}
	if h.events(t, "disown") != cancelled || h.events(t, "intent") != signing {
		t.Errorf("%d and %d events tell of %d and %d deeds", h.events(t, "disown"), h.events(t, "intent"), cancelled, signing)
	}
}

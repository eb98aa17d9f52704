package signer_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/notify"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/storetest"
)

// A lock is told to the officer once, with the refusal that made it; a fifth
// PIN that is right locks nobody and tells nobody, although it was counted first.
func TestLocksAreTold(t *testing.T) {
	ctx, h := context.Background(), newHouse(t)
	told := func() (locks []string) {
		for {
			n, ok, err := h.DB.ClaimNotice(ctx, time.Hour)
			must(t, err)
			if !ok {
				return locks
			}
			if n.Kind == notify.PINLocked || n.Kind == notify.PINBlocked {
				locks = append(locks, n.Kind)
			}
		}
	}
	wrong := func(n int) {
		t.Helper()
		for range n {
			if _, err := h.s.ChangePIN(ctx, h.change("bukan-pin-lama", nextPIN)); !errors.Is(err, signer.ErrPINWrong) {
				t.Fatal(err)
			}
		}
	}
	wrong(4)
	if _, err := h.s.ChangePIN(ctx, h.change(storetest.PIN, nextPIN)); err != nil {
		t.Fatal(err)
	}
	if got := told(); len(got) != 0 {
		t.Fatalf("four wrong PINs and a right one are told as %v", got)
	}
	wrong(4)
	_, c, err := h.s.Prepare(ctx, h.Ask(1))
	must(t, err)
	_, err = h.s.Authorize(ctx, signer.Confirmation{App: h.App.ID, Nonce: c.Nonce, Transaction: c.Transaction, PIN: secret.New("bukan-pin"), Code: secret.New(h.Mail.Code())})
	wants(t, "the fifth wrong PIN", err, signer.ErrPINWrong)
	if left(err) != 0 {
		t.Errorf("%d tries left after the fifth", left(err))
	}
	if got := told(); len(got) != 1 || got[0] != notify.PINLocked {
		t.Errorf("a lock is told as %v", got)
	}
	if _, err := h.s.ChangePIN(ctx, h.change(nextPIN, storetest.PIN)); !errors.Is(err, signer.ErrPINLocked) {
		t.Error(err)
	}
	if got := told(); len(got) != 0 {
		t.Errorf("a try during the lock is told as %v", got)
	}
	h.Clock.Advance(15 * time.Minute)
	wrong(5)
	if got := told(); len(got) != 1 || got[0] != notify.PINBlocked {
		t.Errorf("a block is told as %v", got)
	}
}

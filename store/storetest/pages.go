package storetest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/mohor-sign/mohor/signer"
)

// pages: a request is found by its page's token, and one session opens it.
func pages(t *testing.T, h *House) {
	ctx := context.Background()
	r := h.request(t, "plain", 1)
	if back, err := h.DB.Request(ctx, r.ID); err != nil || back.Page != nil {
		t.Errorf("a page that nobody asked for: %+v, %v", back.Page, err)
	}
	state := "s=1 " + strings.Repeat("ü\x00\n", 100)
	token := [32]byte{7}
	hosted := *r
	hosted.ID, hosted.Batch, hosted.Page = "hosted", "hosted", &signer.Page{RedirectURI: "https://igfmas.example/kembali?modul=AP", State: state, Token: token}
	must(t, h.DB.CreateRequest(ctx, &hosted, h.Ask(1).Documents, h.ev("create", "hosted"), nil))
	twin := hosted
	twin.ID, twin.Batch = "twin", "twin"
	if err := h.DB.CreateRequest(ctx, &twin, h.Ask(1).Documents, h.ev("create", "twin"), nil); err == nil {
		t.Error("two pages with one token")
	}
	_, err := h.DB.Paged(ctx, [32]byte{8})
	wants(t, "an unknown token", err, signer.ErrUnknown)
	found, err := h.DB.Paged(ctx, token)
	if err != nil || found.ID != "hosted" || found.Page.RedirectURI != hosted.Page.RedirectURI || found.Page.State != state || found.Page.Token != token ||
		found.Page.Session != [32]byte{} || !found.Page.OpenedAt.IsZero() {
		t.Fatalf("%+v, %+v, %v", found, found.Page, err)
	}
	before := len(Chain(t, h.DB))
	var wg sync.WaitGroup
	won := make([]error, 8)
	for k := range won {
		wg.Go(func() { won[k] = h.DB.OpenPage(ctx, "hosted", [32]byte{byte(k + 1)}, h.ev("page.open", "hosted")) })
	}
	wg.Wait()
	winner := -1
	for k, err := range won {
		switch {
		case err == nil && winner < 0:
			winner = k
		case !errors.Is(err, signer.ErrElsewhere):
			t.Errorf("session %d: %v, after %d", k, err, winner)
		}
	}
	if winner < 0 {
		t.Fatal("nobody has the page")
	}
	found, err = h.DB.Request(ctx, "hosted")
	if err != nil || found.Page.Session != [32]byte{byte(winner + 1)} || !found.Page.OpenedAt.Equal(h.Clock.Now()) {
		t.Errorf("%+v, %v", found.Page, err)
	}
	if n := len(Chain(t, h.DB)) - before; n != 1 {
		t.Errorf("%d events of one opening", n)
	}
	wants(t, "opening what has no page", h.DB.OpenPage(ctx, "plain", [32]byte{1}, h.ev("page.open", "plain")), signer.ErrElsewhere)
}

package signer_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/storetest"
)

// A transaction with a page is confirmed there alone, by the browser that opened it.
func TestPageIsTheOnlyWay(t *testing.T) {
	h := newHouse(t)
	a := h.Ask(2)
	a.Page = &signer.Page{RedirectURI: "https://igfmas.example/", State: "s"}
	r, f := h.prepare(t, a)
	token := r.Page.Link
	if token.Len() != 22 || r.Page.Token != sha256.Sum256(token.Reveal()) || a.Page.Link.Len() != 0 {
		t.Fatalf("token of %d bytes", token.Len())
	}
	refused := func(what string, f signer.Confirmation, want error) {
		t.Helper()
		if _, err := h.s.Authorize(ctx, f); !errors.Is(err, want) {
			t.Errorf("%s: %v", what, err)
		}
		if c, err := h.DB.Challenge(ctx, r.ID); err != nil || c.TriesLeft != 3 || h.Keys.Opens.Load() != 0 {
			t.Errorf("%s: %+v, %v", what, c, err)
		}
	}
	visit := func(session string) *signer.Visit {
		return &signer.Visit{Token: token, Session: secret.New(session), Agent: "Surfer/1", RequestID: "req-9"}
	}
	at := func(v *signer.Visit) signer.Confirmation {
		f := f
		f.Visit = v
		return f
	}
	refused("the app", f, signer.ErrHosted)
	refused("nobody's page", at(visit("")), signer.ErrHosted)
	if _, err := h.s.Page(ctx, visit("")); !errors.Is(err, signer.ErrUnopened) {
		t.Fatal(err)
	}
	opened, err := h.s.OpenPage(ctx, *visit("planted"), secret.New("the page's random text"))
	must(t, err)
	session := opened.Session
	if session.Len() != 43 || strings.Contains(string(session.Reveal()), "planted") {
		t.Errorf("session of %d bytes", session.Len())
	}
	again, err := h.s.OpenPage(ctx, *visit(""), secret.New("the page's random text"))
	if err != nil || string(again.Session.Reveal()) != string(session.Reveal()) {
		t.Errorf("the second press: %v", err)
	}
	if _, err := h.s.OpenPage(ctx, *visit(""), secret.New("another")); !errors.Is(err, signer.ErrElsewhere) {
		t.Errorf("another browser: %v", err)
	}
	refused("another session", at(visit("planted")), signer.ErrHosted)
	other := visit(string(session.Reveal()))
	other.Token = secret.New("AAAAAAAAAAAAAAAAAAAAAA")
	refused("another page", at(other), signer.ErrHosted)
	auth, err := h.s.Authorize(ctx, at(visit(string(session.Reveal()))))
	must(t, err)
	must(t, auth.Close())

	// And a transaction without a page has none.
	plain, pf := h.prepare(t, h.Ask(1))
	pf.Visit = visit(string(session.Reveal()))
	if _, err := h.s.Authorize(ctx, pf); plain.Page != nil || !errors.Is(err, signer.ErrHosted) {
		t.Errorf("a page for what has none: %v", err)
	}
	verdicts := map[string]int{}
	for _, rec := range storetest.Chain(t, h.DB) {
		if rec.Action == "page.open" || rec.Action == "signer.authorize" {
			if rec.Detail["agent"] != "Surfer/1" && rec.Detail["reason"] != signer.ErrHosted.Error() {
				t.Errorf("%+v", rec.Event)
			}
			verdicts[rec.Action+" "+string(rec.Verdict)]++
		}
	}
	if verdicts["page.open "+string(audit.Accepted)] != 1 || verdicts["page.open "+string(audit.Refused)] != 1 || verdicts["signer.authorize "+string(audit.Refused)] != 5 {
		t.Errorf("audited: %v", verdicts)
	}
}

// A page ends with its transaction, but for the browser that has it: an hour later for that, too.
func TestPageEnds(t *testing.T) {
	for what, end := range map[string]func(h *house, r *signer.Request) error{
		"cancelled": func(h *house, r *signer.Request) error { return h.s.Cancel(ctx, r.App, r.ID, "req-3") },
		"expired": func(h *house, _ *signer.Request) error {
			h.Clock.Advance(31 * time.Minute)
			return nil
		},
	} {
		h := newHouse(t)
		a := h.Ask(1)
		a.Page = &signer.Page{}
		opened, _ := h.prepare(t, a)
		closed, _ := h.prepare(t, a)
		o, err := h.s.OpenPage(ctx, signer.Visit{Token: opened.Page.Link}, secret.New("seed"))
		must(t, err)
		must(t, end(h, opened))
		must(t, end(h, closed))
		at := &signer.Visit{Token: opened.Page.Link, Session: o.Session}
		if r, err := h.s.Page(ctx, at); err != nil || r.Status == signer.Waiting {
			t.Errorf("%s: %+v, %v", what, r, err)
		}
		for _, v := range []*signer.Visit{{Token: closed.Page.Link}, {Token: opened.Page.Link}, {Token: opened.Page.Link, Session: secret.New("x")}} {
			if _, err := h.s.Page(ctx, v); !errors.Is(err, signer.ErrUnknown) {
				t.Errorf("%s, a stranger: %v", what, err)
			}
		}
		if _, err := h.s.OpenPage(ctx, signer.Visit{Token: closed.Page.Link}, secret.New("seed")); !errors.Is(err, signer.ErrUnknown) {
			t.Errorf("%s, opening it: %v", what, err)
		}
		if _, _, err := h.s.ResendFrom(ctx, *at); err == nil {
			t.Errorf("%s: a code was sent", what)
		}
		if err := h.s.CancelFrom(ctx, *at); err == nil {
			t.Errorf("%s: cancelled again", what)
		}
		h.Clock.Advance(61 * time.Minute)
		if _, err := h.s.Page(ctx, at); !errors.Is(err, signer.ErrUnknown) {
			t.Errorf("%s, an hour later: %v", what, err)
		}
	}
}

// An app that opens a page itself is told of: whoever comes from where the transaction was asked
// for, but not from an address that says nothing of who is behind it.
func TestPageOpenedByItsApp(t *testing.T) {
	for _, c := range []struct {
		asked, opened string
		told          bool
		person        string
	}{
		{asked: "198.51.100.7", opened: "198.51.100.7", person: "account:ac_x"},
		{"198.51.100.7", "198.51.100.7", true, ""}, {"198.51.100.7", "198.51.100.8", false, ""},
		{"2001:db8::1", "2001:db8::ffff", true, ""}, {"2001:db8::1", "2001:db8:0:1::1", false, ""},
		{"10.0.0.5", "10.0.0.5", false, ""}, {"127.0.0.1", "127.0.0.1", false, ""}, {"::1", "::1", false, ""},
		{"", "", false, ""}, {"198.51.100.7", "", false, ""}, {"", "198.51.100.7", false, ""},
	} {
		h := newHouse(t)
		h.s.Proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}
		from := func(address string) context.Context {
			return audit.WithOrigin(ctx, &audit.Origin{Address: address, Person: c.person})
		}
		a := h.Ask(1)
		a.Page = &signer.Page{}
		r, _, err := h.s.Prepare(from(c.asked), a)
		must(t, err)
		v := signer.Visit{Token: r.Page.Link}
		for press := range 2 {
			o, err := h.s.OpenPage(from(c.opened), v, secret.New("seed"))
			must(t, err)
			if o.FromApp != (c.told && press == 0) || !o.Until.Equal(r.ExpiresAt.Add(time.Hour+h.s.IntentBase+h.s.IntentPerDocument)) {
				t.Errorf("%+v, press %d: %+v", c, press, o)
			}
		}
		events, err := h.DB.Accepted(ctx, r.ID, "page.open")
		if err != nil || len(events) != 1 || (events[0].Detail["same_address_as"] == "transaction.create") != c.told {
			t.Errorf("%+v: %+v, %v", c, events, err)
		}
		apps, err := h.DB.PagesOfApps(ctx, h.Clock.Now().Add(-time.Second))
		if err != nil || len(apps) != map[bool]int{true: 1}[c.told] || c.told && apps[r.App] != 1 {
			t.Errorf("%+v: %v, %v", c, apps, err)
		}
		if apps, err = h.DB.PagesOfApps(ctx, h.Clock.Now().Add(time.Second)); err != nil || len(apps) != 0 {
			t.Errorf("%+v, later: %v, %v", c, apps, err)
		}
	}
}

// What is refused at a page is written; what no page has is not, for anybody can make up an address.
func TestRefusalsAtPagesAreWritten(t *testing.T) {
	h := newHouse(t)
	a := h.Ask(1)
	a.Page = &signer.Page{}
	r, _ := h.prepare(t, a)
	elsewhere := signer.Visit{Token: r.Page.Link, Session: secret.New("planted"), Agent: "Surfer/1", RequestID: "req-9"}
	_, err := h.s.OpenPage(ctx, signer.Visit{Token: r.Page.Link}, secret.New("seed"))
	must(t, err)
	for action, deed := range map[string]func(v signer.Visit) error{
		"page.open":          func(v signer.Visit) error { _, err := h.s.OpenPage(ctx, v, secret.New("x")); return err },
		"otp.resend":         func(v signer.Visit) error { _, _, err := h.s.ResendFrom(ctx, v); return err },
		"transaction.cancel": func(v signer.Visit) error { return h.s.CancelFrom(ctx, v) },
		"page.form":          func(v signer.Visit) error { return h.s.RefusePage(ctx, v, "page.form", signer.ErrElsewhere) },
	} {
		before := len(storetest.Chain(t, h.DB))
		if err := deed(signer.Visit{Token: secret.New("AAAAAAAAAAAAAAAAAAAAAA"), Session: secret.New("x")}); !errors.Is(err, signer.ErrUnknown) {
			t.Errorf("%s without a page: %v", action, err)
		}
		if n := len(storetest.Chain(t, h.DB)); n != before {
			t.Errorf("%s without a page: %d events", action, n-before)
		}
		if err := deed(elsewhere); !errors.Is(err, signer.ErrElsewhere) {
			t.Errorf("%s: %v", action, err)
		}
		chain := storetest.Chain(t, h.DB)
		if last := chain[len(chain)-1]; len(chain) != before+1 || last.Action != action || last.Verdict != audit.Refused || last.Object != r.ID || last.Detail["agent"] != "Surfer/1" || last.Detail["reason"] != signer.ErrElsewhere.Error() || last.RequestID != "req-9" {
			t.Errorf("%s: %d events, the last %+v", action, len(chain)-before, last.Event)
		}
	}
}

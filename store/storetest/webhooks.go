package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/notify"
	"github.com/mohor-sign/mohor/signer"
)

const receiver = "https://hooks.agency.example/mohor"

func (h *House) webhook(t *testing.T, app string, generation byte, oldUntil time.Time) {
	t.Helper()
	must(t, h.DB.SetWebhook(context.Background(), app, receiver, []byte{generation}, oldUntil, h.ev("app.webhook", "app:"+app)))
}

// told empties an app's outbox.
func (h *House) told(t *testing.T, app string) (out []notify.Event) {
	t.Helper()
	for {
		e, ok, err := h.DB.ClaimEvent(context.Background(), app, time.Minute)
		must(t, err)
		if !ok {
			return out
		}
		must(t, h.DB.SettleEvent(context.Background(), e, notify.Try{State: enrol.EventDelivered, Status: 200}, audit.Event{}))
		out = append(out, e)
	}
}

// Every way in which a transaction can end is told to its app once, in the commit that
// ends it, without anything of a person.
func webhookEvents(t *testing.T, h *House) {
	ctx := context.Background()
	h.request(t, "tx_before", 1)
	must(t, h.DB.CancelRequest(ctx, "tx_before", signer.Cancelled, h.ev("sign.cancel", "tx_before")))
	h.webhook(t, h.App.ID, 1, time.Time{})
	is := func(what, transaction, kind string, want notify.Outcome) {
		t.Helper()
		got := h.told(t, h.App.ID)
		if len(got) != 1 || got[0].Type != kind || got[0].App != h.App.ID || got[0].URL != receiver || !got[0].At.Equal(h.Clock.Now()) {
			t.Fatalf("%s: %+v", what, got)
		}
		var o notify.Outcome
		must(t, json.Unmarshal(got[0].Data, &o))
		if o.FinishedAt == nil || o.CreatedAt.IsZero() {
			t.Errorf("%s: %s", what, got[0].Data)
		}
		o.FinishedAt, o.CreatedAt = nil, time.Time{}
		want.Transaction, want.System = transaction, System
		if o != want {
			t.Errorf("%s: %+v, want %+v", what, o, want)
		}
		for _, secret := range []string{IC, "NOR'AINI", "baucar", "iGFMAS", `"sig"`, "c2ln", `"ref"`, "noraini"} {
			if strings.Contains(string(got[0].Data), secret) {
				t.Errorf("%s: %s tells %q", what, got[0].Data, secret)
			}
		}
	}
	if got := h.told(t, h.App.ID); len(got) != 0 {
		t.Errorf("told of what was before: %+v", got)
	}
	for _, c := range []struct {
		kind    string
		status  signer.Status
		refused int
	}{{notify.TransactionSigned, signer.Signed, 0}, {notify.TransactionSignedWithRefusals, signer.SignedWithRefusals, 1}, {notify.TransactionFailed, signer.Failed, 3}} {
		id := "tx_" + string(c.status)
		_, in := h.signing(t, id, 3)
		claimed, err := h.DB.Claim(ctx, RunOf(in), 3)
		must(t, err)
		for k, d := range claimed {
			o := signer.Outcome{Index: d.Index, Attempt: d.Attempt, Signature: []byte("sig"), Blob: "b", Size: 1}
			if k < c.refused {
				o = signer.Outcome{Index: d.Index, Attempt: d.Attempt, Refused: errors.New("x")}
			}
			if got := h.told(t, h.App.ID); len(got) != 0 {
				t.Errorf("told before the end: %+v", got)
			}
			_, err := h.DB.Complete(ctx, in.ID, []signer.Outcome{o}, h.Clock.Now(), h.ev("complete", in.ID))
			must(t, err)
		}
		is(id, id, c.kind, notify.Outcome{Status: string(c.status), Count: 3, Signed: int64(3 - c.refused), Refused: int64(c.refused)})
	}
	// Abandoned, with one of two documents signed.
	_, in := h.signing(t, "tx_abandoned", 2)
	claimed, err := h.DB.Claim(ctx, RunOf(in), 1)
	must(t, err)
	_, err = h.DB.Complete(ctx, in.ID, []signer.Outcome{{Index: 0, Attempt: claimed[0].Attempt, Signature: []byte("sig"), Blob: "b", Size: 1}}, h.Clock.Now(), h.ev("complete", in.ID))
	must(t, err)
	for range 2 {
		must(t, h.DB.Abandon(ctx, in.ID, h.ev("abandon", in.ID)))
	}
	is("abandoned", "tx_abandoned", notify.TransactionNeedsAuthorisation, notify.Outcome{Status: string(signer.NeedsAuthorisation), Count: 2, Signed: 1})

	h.request(t, "tx_cancelled", 1)
	must(t, h.DB.CancelRequest(ctx, "tx_cancelled", signer.Cancelled, h.ev("sign.cancel", "tx_cancelled")))
	wants(t, "twice", h.DB.CancelRequest(ctx, "tx_cancelled", signer.Cancelled, h.ev("sign.cancel", "tx_cancelled")), signer.ErrFinished)
	is("cancelled", "tx_cancelled", notify.TransactionCancelled, notify.Outcome{Status: string(signer.Cancelled), Count: 1})

	h.request(t, "tx_disowned", 1)
	h.linked(t, "tx_disowned", 1, [32]byte{7})
	must(t, h.DB.Disown(ctx, [32]byte{7}, signer.Waiting, nil, h.ev("disown", "tx_disowned")))
	is("disowned", "tx_disowned", notify.TransactionCancelled, notify.Outcome{Status: string(signer.Cancelled), Count: 1})

	h.expiries(t, is)

	// With the certificate ends what waits for it, and each is told.
	h.request(t, "tx_revoked", 1)
	must(t, h.DB.Suspend(ctx, h.Credential.Serial, h.Clock.Now(), 6, h.ev("suspend", h.Credential.Serial)))
	must(t, h.DB.Release(ctx, h.Credential.Serial, h.ev("release", h.Credential.Serial)))
	h.Clock.Advance(time.Second)
	must(t, h.DB.Revoke(ctx, h.Credential.Serial, h.Clock.Now(), 1, h.ev("revoke", h.Credential.Serial)))
	var kinds []string
	for _, e := range h.told(t, h.App.ID) {
		kinds = append(kinds, e.Type)
		var c notify.CertificateState
		must(t, json.Unmarshal(e.Data, &c))
		status := map[string]string{notify.CertificateSuspended: ca.Suspended, notify.CertificateReleased: ca.Active, notify.CertificateRevoked: ca.Revoked}[e.Type]
		if want := (notify.CertificateState{Credential: h.Credential.ID, System: System, Serial: h.Credential.Serial, Status: status}); status != "" && c != want {
			t.Errorf("%s: %+v", e.Type, c)
		}
	}
	slices.Sort(kinds)
	if want := []string{notify.CertificateReleased, notify.CertificateRevoked, notify.CertificateSuspended, notify.TransactionCancelled}; !slices.Equal(kinds, want) {
		t.Errorf("told of %q, want %q", kinds, want)
	}
	// What was not committed is not told.
	second := h.Issue(t, "ECDSA-P256")
	h.Credential = second
	h.request(t, "tx_late", 1)
	broken := audit.Event{At: h.Clock.Now(), Actor: "x\xff", Action: "sign.cancel", Object: "tx_late"}
	if err := h.DB.CancelRequest(ctx, "tx_none", signer.Cancelled, broken); err == nil {
		t.Error("cancelled what is not there")
	}
	if got := h.told(t, h.App.ID); len(got) != 0 {
		t.Errorf("told of what did not happen: %+v", got)
	}
}

// expiries: by a sweep though nobody asks, and by another transaction on the batch.
func (h *House) expiries(t *testing.T, is func(what, transaction, kind string, want notify.Outcome)) {
	t.Helper()
	ctx := context.Background()
	h.request(t, "tx_expired", 1)
	h.Clock.Advance(30*time.Minute - time.Microsecond)
	if n, more, err := h.DB.ExpireOverdue(ctx, h.Clock.Now()); n != 0 || more || err != nil {
		t.Errorf("early: %d, %v", n, err)
	}
	h.Clock.Advance(time.Microsecond)
	for _, want := range []int{1, 0} {
		if n, more, err := h.DB.ExpireOverdue(ctx, h.Clock.Now()); n != want || more || err != nil {
			t.Errorf("%d expired, want %d, %v", n, want, err)
		}
	}
	is("expired", "tx_expired", notify.TransactionExpired, notify.Outcome{Status: string(signer.Expired), Count: 1})
	if r, err := h.DB.Request(ctx, "tx_expired"); err != nil || r.Status != signer.Expired || h.events(t, "transaction.expire") != 1 {
		t.Errorf("%s, %v", r.Status, err)
	}
	r := h.request(t, "tx_batch", 1)
	h.Clock.Advance(time.Hour)
	n := *r
	n.ID, n.Implicit, n.CreatedAt, n.ExpiresAt = "tx_next", false, h.Clock.Now(), h.Clock.Now().Add(30*time.Minute)
	must(t, h.DB.CreateRequest(ctx, &n, nil, h.ev("create", n.ID), nil))
	is("expired by the next", "tx_batch", notify.TransactionExpired, notify.Outcome{Status: string(signer.Expired), Count: 1})
	must(t, h.DB.CancelRequest(ctx, "tx_next", signer.Failed, h.ev("sign.cancel", "tx_next")))
	is("failed", "tx_next", notify.TransactionFailed, notify.Outcome{Status: string(signer.Failed), Count: 1, Batch: n.Batch})
	for k := range 450 {
		h.request(t, fmt.Sprintf("tx_many_%d", k), 1)
	}
	h.Clock.Advance(time.Hour)
	total := 0
	for more := true; more; {
		var k int
		var err error
		k, more, err = h.DB.ExpireOverdue(ctx, h.Clock.Now())
		must(t, err)
		total += k
	}
	if got := h.told(t, h.App.ID); total != 450 || len(got) != 450 {
		t.Errorf("%d expired, %d told", total, len(got))
	}
}

// webhookOfEnded: an app that has ended is told nothing any more, and nothing waits for it.
func webhookOfEnded(t *testing.T, h *House) {
	ctx := context.Background()
	h.webhook(t, h.App.ID, 1, time.Time{})
	pending := func(want int64) {
		t.Helper()
		if n, _, _, err := h.DB.Backlog(ctx); err != nil || n != want {
			t.Errorf("%d events wait, want %d, %v", n, want, err)
		}
	}
	end := func(id string) {
		h.request(t, id, 1)
		must(t, h.DB.CancelRequest(ctx, id, signer.Cancelled, h.ev("sign.cancel", id)))
	}
	end("tx_1")
	pending(1)
	a, err := h.DB.AppByID(ctx, h.App.ID)
	must(t, err)
	a.State = enrol.AppSuspended
	must(t, h.DB.SetApp(ctx, a, false, h.ev("app.suspend", a.ID)))
	end("tx_2")
	pending(2) // it may be resumed
	a.State, a.Revision = enrol.AppEnded, a.Revision+1
	must(t, h.DB.SetApp(ctx, a, false, h.ev("app.end", a.ID)))
	pending(0)
	end("tx_3")
	must(t, h.DB.Suspend(ctx, h.Credential.Serial, h.Clock.Now(), 6, h.ev("suspend", h.Credential.Serial)))
	pending(0)
	if all, err := h.DB.Deliveries(ctx, a.ID, enrol.EventDropped, "", 9); err != nil || len(all) != 2 {
		t.Errorf("%+v, %v", all, err)
	}
}

func webhookOutbox(t *testing.T, h *House) {
	ctx := context.Background()
	other, _, _, err := h.Apps.Register(ctx, "test", enrol.App{ID: "other", Name: "Other", Systems: []string{"OTHER"}, PINEntry: enrol.PINHosted})
	must(t, err)
	add := func(app, id string) error {
		return h.DB.AddEvent(ctx, app, id, enrol.WebhookPing, json.RawMessage(`{}`), h.ev("app.webhook.test", "app:"+app))
	}
	wants(t, "an event of an app without webhook", add(other.ID, "ev_0"), enrol.ErrUnknown)
	wants(t, "dropping none", h.DB.DropWebhook(ctx, other.ID, h.ev("x", "x")), enrol.ErrUnknown)
	wants(t, "a webhook of nobody", h.DB.SetWebhook(ctx, "nobody", receiver, []byte{1}, time.Time{}, h.ev("x", "x")), enrol.ErrUnknown)
	_, err = h.DB.Webhook(ctx, other.ID)
	wants(t, "no webhook", err, enrol.ErrUnknown)
	h.webhook(t, h.App.ID, 1, time.Time{})
	h.webhook(t, other.ID, 9, time.Time{})
	receivers := func(want ...string) {
		t.Helper()
		if got, err := h.DB.Receivers(ctx, 10); err != nil || !slices.Equal(got, want) {
			t.Errorf("receivers %q, want %q, %v", got, want, err)
		}
	}
	claim := func(app string, want bool) notify.Event {
		t.Helper()
		e, ok, err := h.DB.ClaimEvent(ctx, app, time.Minute)
		if err != nil || ok != want {
			t.Fatalf("claimed %v, %v; want %v", ok, err, want)
		}
		return e
	}
	receivers()
	must(t, add(h.App.ID, "ev_1"))
	receivers(h.App.ID)
	claim(other.ID, false)
	first := claim(h.App.ID, true)
	receivers()
	claim(h.App.ID, false) // leased
	h.Clock.Advance(time.Minute)
	again := claim(h.App.ID, true)
	if again.ID != "ev_1" || first.Fence != 1 || again.Fence != 2 || again.Tries != 0 || string(again.Data) != "{}" || len(again.Keys) != 1 {
		t.Errorf("after the lease %+v, before %+v", again, first)
	}
	// Whoever lost the lease changes nothing.
	dead := h.ev("webhook.deliver", "app:"+h.App.ID)
	for _, state := range []string{enrol.EventDelivered, enrol.EventDead, enrol.EventPending} {
		must(t, h.DB.SettleEvent(ctx, first, notify.Try{State: state}, dead))
	}
	is := func(id, state string, tries, status int, why string) {
		t.Helper()
		list, err := h.DB.Deliveries(ctx, h.App.ID, "", "", 100)
		must(t, err)
		k := slices.IndexFunc(list, func(d enrol.Delivery) bool { return d.ID == id })
		if k < 0 || list[k].State != state || list[k].Tries != tries || list[k].Status != status || list[k].Why != why || (list[k].NextAt != nil) != (state == enrol.EventPending) || (list[k].TriedAt != nil) != (tries > 0) {
			t.Errorf("%s: %+v", id, list)
		}
	}
	is("ev_1", enrol.EventPending, 0, 0, "")
	must(t, h.DB.SettleEvent(ctx, again, notify.Try{State: enrol.EventPending, Status: 503, Why: "status", After: time.Hour}, dead))
	is("ev_1", enrol.EventPending, 1, 503, "status")
	h.Clock.Advance(time.Hour - time.Microsecond)
	receivers()
	h.Clock.Advance(time.Microsecond)
	last := claim(h.App.ID, true)
	must(t, h.DB.SettleEvent(ctx, last, notify.Try{State: enrol.EventDead, Why: "timeout"}, dead))
	is("ev_1", enrol.EventDead, 2, 0, "timeout")
	if n := h.events(t, "webhook.deliver"); n != 1 || last.Tries != 1 {
		t.Errorf("%d events tell of one that is dead", n)
	}
	if pending, gone, _, err := h.DB.Backlog(ctx); pending != 0 || gone != 1 || err != nil {
		t.Errorf("backlog %d, %d, %v", pending, gone, err)
	}
	// By hand, once more; not by another app's name.
	wants(t, "another app's event", h.DB.Redeliver(ctx, other.ID, "ev_1", h.ev("x", "x")), enrol.ErrUnknown)
	must(t, h.DB.Redeliver(ctx, h.App.ID, "ev_1", h.ev("app.webhook.redeliver", "app:"+h.App.ID)))
	if got := h.told(t, h.App.ID); len(got) != 1 || got[0].ID != "ev_1" || got[0].Tries != 0 {
		t.Errorf("delivered again: %+v", got)
	}
	is("ev_1", enrol.EventDelivered, 1, 200, "")
	h.order(t)
	h.secrets(t, claim)

	// An app that is suspended is told nothing, until it is not.
	a, err := h.DB.AppByID(ctx, h.App.ID)
	must(t, err)
	a.State = enrol.AppSuspended
	must(t, h.DB.SetApp(ctx, a, false, h.ev("app.suspend", "app:"+a.ID)))
	must(t, add(h.App.ID, "ev_suspended"))
	receivers()
	a, err = h.DB.AppByID(ctx, h.App.ID)
	must(t, err)
	a.State = enrol.AppActive
	must(t, h.DB.SetApp(ctx, a, false, h.ev("app.resume", "app:"+a.ID)))
	receivers(h.App.ID)
	// Removed: what waits is dropped, and no more comes.
	must(t, h.DB.DropWebhook(ctx, h.App.ID, h.ev("app.webhook.drop", "app:"+h.App.ID)))
	is("ev_suspended", enrol.EventDropped, 0, 0, "")
	receivers()
	wants(t, "sending it once more", h.DB.Redeliver(ctx, h.App.ID, "ev_1", h.ev("x", "x")), enrol.ErrUnknown)
	if a, err := h.DB.AppByID(ctx, h.App.ID); err != nil || a.Webhook != "" {
		t.Errorf("%+v, %v", a, err)
	}
	// After thirty days nothing is left.
	h.Clock.Advance(31 * day)
	n, _, err := h.DB.Expunge(ctx, keep(), h.ev("retention.expunge", ""))
	if list, lerr := h.DB.Deliveries(ctx, h.App.ID, "", "", 100); err != nil || lerr != nil || n.Events < 10 || len(list) != 0 {
		t.Errorf("%+v, %d left, %v", n, len(list), errors.Join(err, lerr))
	}
}

// order: events about one thing wait for the one before; others do not. Many claimers get
// each event once.
func (h *House) order(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	serial := h.Credential.Serial
	must(t, h.DB.Suspend(ctx, serial, h.Clock.Now(), 6, h.ev("suspend", serial)))
	h.Clock.Advance(time.Second)
	must(t, h.DB.Release(ctx, serial, h.ev("release", serial)))
	h.request(t, "tx_order", 1)
	must(t, h.DB.CancelRequest(ctx, "tx_order", signer.Cancelled, h.ev("sign.cancel", "tx_order")))
	e, _, err := h.DB.ClaimEvent(ctx, h.App.ID, time.Minute)
	must(t, err)
	if rest := h.told(t, h.App.ID); e.Type != notify.CertificateSuspended || len(rest) != 1 || rest[0].Type != notify.TransactionCancelled {
		t.Errorf("during the first %s: %+v", e.Type, rest)
	}
	must(t, h.DB.SettleEvent(ctx, e, notify.Try{State: enrol.EventPending, After: 3 * time.Hour, Why: "timeout"}, audit.Event{}))
	if rest := h.told(t, h.App.ID); len(rest) != 0 {
		t.Errorf("behind the first: %+v", rest)
	}
	h.Clock.Advance(3 * time.Hour)
	if rest := h.told(t, h.App.ID); len(rest) != 2 || rest[0].Type != notify.CertificateSuspended || rest[1].Type != notify.CertificateReleased {
		t.Errorf("in the end: %+v", rest)
	}

	for k := range 10 {
		must(t, h.DB.AddEvent(ctx, h.App.ID, fmt.Sprintf("ev_many_%d", k), enrol.WebhookPing, json.RawMessage(`{}`), h.ev("x", "x")))
	}
	got := make(chan string, 20)
	granted, refused := parallel(t, 20, func() error {
		e, ok, err := h.DB.ClaimEvent(ctx, h.App.ID, time.Minute)
		if err == nil && !ok {
			err = errNone
		}
		if ok {
			got <- e.ID
		}
		return err
	}, errNone)
	close(got)
	seen := map[string]bool{}
	for id := range got {
		seen[id] = true
	}
	if granted != 10 || refused != 10 || len(seen) != 10 {
		t.Errorf("20 claims of 10: %d granted, %d refused, %d different", granted, refused, len(seen))
	}
	h.pages(t)
	h.Clock.Advance(time.Minute)
	h.told(t, h.App.ID)
}

// pages: the newest first, each event once.
func (h *House) pages(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	all, err := h.DB.Deliveries(ctx, h.App.ID, "", "", 100)
	must(t, err)
	var paged []enrol.Delivery
	for after := ""; ; {
		page, err := h.DB.Deliveries(ctx, h.App.ID, "", after, 3)
		must(t, err)
		paged = append(paged, page...)
		if len(page) < 3 {
			break
		}
		after = page[2].ID
	}
	newest := slices.IsSortedFunc(all, func(a, b enrol.Delivery) int { return b.CreatedAt.Compare(a.CreatedAt) })
	if len(all) < 13 || !newest || !slices.EqualFunc(all, paged, func(a, b enrol.Delivery) bool { return a.ID == b.ID }) {
		t.Errorf("%d at once, %d in pages", len(all), len(paged))
	}
	if pending, err := h.DB.Deliveries(ctx, h.App.ID, enrol.EventPending, "", 100); err != nil || len(pending) != 10 {
		t.Errorf("%d pending, %v", len(pending), err)
	}
	if foreign, err := h.DB.Deliveries(ctx, "other", "", all[0].ID, 100); err != nil || len(foreign) != 0 {
		t.Errorf("behind another app's: %+v, %v", foreign, err)
	}
}

// secrets: two are good while one takes the other's place.
func (h *House) secrets(t *testing.T, claim func(app string, want bool) notify.Event) {
	t.Helper()
	ctx := context.Background()
	until := h.Clock.Now().Add(24 * time.Hour)
	h.webhook(t, h.App.ID, 2, until)
	must(t, h.DB.AddEvent(ctx, h.App.ID, "ev_rotated", enrol.WebhookPing, json.RawMessage(`{}`), h.ev("x", "x")))
	is := func(want ...byte) {
		t.Helper()
		e := claim(h.App.ID, true)
		var got []byte
		for _, k := range e.Keys {
			got = append(got, k...)
		}
		if !slices.Equal(got, want) {
			t.Errorf("generations %v, want %v", got, want)
		}
		w, err := h.DB.Webhook(ctx, h.App.ID)
		if err != nil || w.URL != receiver || (w.OldUntil != nil) != (len(want) == 2) {
			t.Errorf("%+v, %v", w, err)
		}
		must(t, h.DB.SettleEvent(ctx, e, notify.Try{State: enrol.EventPending, Why: "timeout"}, audit.Event{}))
	}
	is(2, 1)
	h.Clock.Advance(24*time.Hour - time.Microsecond)
	is(2, 1)
	h.Clock.Advance(time.Microsecond)
	is(2)
	h.webhook(t, h.App.ID, 3, time.Time{}) // at once, for the one before is known to somebody
	is(3)
	h.told(t, h.App.ID)
}

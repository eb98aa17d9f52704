package storetest

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
)

// request stores a waiting transaction over n bare digests in a batch of its
// own, as Prepare would.
func (h *House) request(t *testing.T, id string, n int) *signer.Request {
	t.Helper()
	r := &signer.Request{ID: id, App: h.App.ID, SystemName: "iGFMAS", Officer: IC, System: System, DataHeader: "H", Process: "P", Role: "R", Class: "terhad",
		Credential: h.Credential.ID, Batch: "ba_" + id, Implicit: true, Status: signer.Waiting, Count: uint32(n), CreatedAt: h.Clock.Now(), ExpiresAt: h.Clock.Now().Add(30 * time.Minute),
		Options: signer.Options{Format: signer.RAW, Algorithm: signer.ECDSA, Time: "2026-07-01T01:00:00Z", PAdES: signer.PAdES{Visible: &signer.Visible{Page: -1, X: 1.5, Width: 2}}}}
	var t0 signer.Tree
	docs := h.Ask(n).Documents
	for k := range docs {
		docs[k].DocumentID, docs[k].Reference, docs[k].Size, docs[k].Blob = fmt.Sprintf("do_%d", k), "ref", 5, fmt.Sprintf("b/%d", k)
		t0.Add(docs[k].Leaf())
	}
	_, r.Root = t0.Root()
	_, hash, err := r.Options.Canonical()
	must(t, err)
	r.OptionsHash = hash
	must(t, h.DB.CreateRequest(context.Background(), r, docs, h.ev("create", r.ID), nil))
	return r
}

// A request about which nobody may be asked is not made, nor is the event that tells of it.
func firstCode(t *testing.T, h *House) {
	ctx := context.Background()
	like := h.request(t, "like", 1)
	p := otp.DefaultPolicy()
	p.PerHour = 2
	ask := func(id string) error {
		r := *like
		r.ID, r.Batch = id, "ba_"+id
		return h.DB.CreateRequest(ctx, &r, h.Ask(1).Documents, h.ev("create-asked", id), &signer.FirstCode{Challenge: h.challenge(id, 1), Policy: p, Event: h.ev("issue", id)})
	}
	for n := range p.PerHour {
		id := fmt.Sprintf("tx%d", n)
		must(t, ask(id))
		if c, err := h.DB.Challenge(ctx, id); err != nil || c.Sends != 1 || c.TriesLeft != 3 || !c.ExpiresAt.Equal(h.Clock.Now().Add(p.TTL)) {
			t.Errorf("%s has the code %+v, %v", id, c, err)
		}
		if r, err := h.DB.Request(ctx, id); err != nil || r.Status != signer.Waiting {
			t.Errorf("%s is %s, %v", id, r.Status, err)
		}
	}
	wants(t, "one code too many", ask("no"), otp.ErrTooManyCodes)
	_, err := h.DB.Request(ctx, "no")
	wants(t, "its request", err, signer.ErrUnknown)
	_, err = h.DB.Challenge(ctx, "no")
	wants(t, "its code", err, otp.ErrUnknown)
	if created, issued := h.events(t, "create-asked"), h.events(t, "issue"); created != 2 || issued != 2 {
		t.Errorf("%d and %d events tell of 2 requests", created, issued)
	}
}

func (h *House) challenge(transaction string, nonce byte) *otp.Challenge {
	return &otp.Challenge{Transaction: transaction, Officer: IC, Nonce: [otp.NonceSize]byte{nonce}, Channel: "email", SentTo: "n•••@x"}
}

// intent records an intent for r under the challenge with this nonce.
// Activation is what stands in for the sealed half of a key: as long as that of
// an RSA-2048 key.
var Activation = strings.Repeat("sealed half.", 145)

func (h *House) intent(r *signer.Request, nonce byte) (signer.Intent, error) {
	in := signer.Intent{ID: fmt.Sprintf("in_%s_%d", r.ID, nonce), Transaction: r.ID, Credential: r.Credential, Batch: r.Batch, Root: r.Root, Count: r.Count,
		OptionsHash: r.OptionsHash, CreatedAt: h.Clock.Now(), Deadline: h.Clock.Now().Add(10 * time.Minute), Seal: []byte("seal"),
		Activation: []byte(Activation), Run: "ru_" + r.ID, Lease: 30 * time.Second}
	_, err := h.DB.RecordIntent(context.Background(), in, [otp.NonceSize]byte{nonce}, IC, 0, h.ev("intent", in.ID))
	return in, err
}

// RunOf is the run that an intent began with.
func RunOf(in signer.Intent) signer.Run {
	return signer.Run{Intent: in.ID, ID: in.Run, Lease: cmp.Or(in.Lease, 30*time.Second)}
}

// signing is a transaction over n documents whose intent is recorded.
func (h *House) signing(t *testing.T, id string, n int) (*signer.Request, signer.Intent) {
	t.Helper()
	r := h.request(t, id, n)
	must(t, h.DB.StoreChallenge(context.Background(), h.challenge(id, 1), otp.DefaultPolicy(), h.ev("issue", id)))
	in, err := h.intent(r, 1)
	must(t, err)
	return r, in
}

// is checks the states of a transaction and its batch.
func (h *House) is(t *testing.T, r *signer.Request, status signer.Status, batch string) {
	t.Helper()
	got, err := h.DB.Request(context.Background(), r.ID)
	must(t, err)
	b, err := h.DB.Batch(context.Background(), r.Batch)
	must(t, err)
	if got.Status != status || string(b.Status) != batch {
		t.Errorf("transaction %s, batch %s; want %s and %s", got.Status, b.Status, status, batch)
	}
}

func challengeLimits(t *testing.T, h *House) {
	ctx, p := context.Background(), otp.DefaultPolicy()
	send := func(tx string, nonce byte) error {
		c := h.challenge(tx, nonce)
		err := h.DB.StoreChallenge(ctx, c, p, h.ev("issue", tx))
		if err == nil && c.Sends == 0 {
			t.Error("the send was not counted")
		}
		return err
	}
	refused := func(what string, err, want error, after time.Duration) {
		t.Helper()
		var retry *otp.RetryError
		if !errors.Is(err, want) || !errors.As(err, &retry) || retry.After != after {
			t.Errorf("%s: %v, retry %+v; want %v after %v", what, err, retry, want, after)
		}
	}
	for k := range 40 {
		h.request(t, fmt.Sprintf("tx%d", k), 1)
	}
	must(t, send("tx0", 1))
	h.Clock.Advance(time.Minute - time.Second)
	refused("a resend too soon", send("tx0", 2), otp.ErrResendTooSoon, time.Second)
	h.Clock.Advance(time.Second)
	for n := byte(2); n <= 4; n++ {
		must(t, send("tx0", n))
		h.Clock.Advance(time.Minute)
	}
	refused("a fourth resend", send("tx0", 5), otp.ErrResendTooSoon, p.TTL)
	if c, err := h.DB.Challenge(ctx, "tx0"); err != nil || c.Nonce[0] != 4 || c.Sends != 4 || c.TriesLeft != 3 {
		t.Errorf("a refused resend left %+v, %v", c, err)
	}
	for k := 1; k <= 6; k++ { // 4 so far
		must(t, send(fmt.Sprintf("tx%d", k), 1))
	}
	refused("the eleventh code in an hour", send("tx7", 1), otp.ErrTooManyCodes, time.Hour)
	if _, err := h.DB.Challenge(ctx, "tx7"); !errors.Is(err, otp.ErrUnknown) {
		t.Errorf("a refused code left a challenge: %v", err)
	}
	// Redeemed ones do not count: four of them belonged to tx0.
	r, err := h.DB.Request(ctx, "tx0")
	must(t, err)
	if _, err := h.intent(&r, 4); err != nil {
		t.Fatal(err)
	}
	wants(t, "a resend after the code was redeemed", send("tx0", 9), otp.ErrUsed)
	for k := 7; k <= 10; k++ {
		must(t, send(fmt.Sprintf("tx%d", k), 1))
	}
	refused("the eleventh unredeemed code", send("tx11", 1), otp.ErrTooManyCodes, time.Hour)
	sent := 10
	for next := 11; sent < 30; { // the hour passes, the day does not
		h.Clock.Advance(time.Hour)
		for n := 0; n < 10; n, next, sent = n+1, next+1, sent+1 {
			must(t, send(fmt.Sprintf("tx%d", next), 1))
		}
	}
	h.Clock.Advance(time.Hour)
	refused("the thirty-first code in a day", send("tx31", 1), otp.ErrTooManyCodes, 24*time.Hour)
	h.Clock.Advance(24 * time.Hour)
	must(t, send("tx31", 1))
	if n := h.events(t, "issue"); n != 4+6+4+20+1 {
		t.Errorf("%d events tell of 35 sends", n)
	}
}

// One app that uses up an officer's codes does not keep another's from it.
func challengeFair(t *testing.T, h *House) {
	ctx, p := context.Background(), otp.DefaultPolicy()
	other, _, _, err := h.Apps.Register(ctx, "test", enrol.App{ID: "eperolehan", Name: "ePerolehan", Systems: []string{System}, Grants: []string{enrol.GrantRAW}, PINEntry: enrol.PINInApp})
	must(t, err)
	first, n := h.App, 0
	sends := func(app enrol.App, most int) (sent int) {
		t.Helper()
		h.App = app
		for range most {
			n++
			r := h.request(t, fmt.Sprintf("tx%d", n), 1)
			err := h.DB.StoreChallenge(ctx, h.challenge(r.ID, 1), p, h.ev("issue", r.ID))
			if errors.Is(err, otp.ErrTooManyCodes) {
				return sent
			}
			must(t, err)
			sent++
		}
		return sent
	}
	if got := sends(first, 20); got != p.PerHour {
		t.Errorf("the only app sent %d codes in an hour, want %d", got, p.PerHour)
	}
	if got := sends(other, 20); got != 2 {
		t.Errorf("another app then sent %d, want 2", got)
	}
	if got := sends(first, 1); got != 0 {
		t.Error("the first app then sent one more")
	}
	for range 4 { // the day's limit, which the first app alone would reach in 3 hours
		h.Clock.Advance(time.Hour)
		sends(first, 20)
	}
	if got := sends(other, 20); got != 4 { // six in this day
		t.Errorf("when the day was used up another app sent %d, want 4", got)
	}
	h.Clock.Advance(time.Hour)
	if got := sends(other, 20) + sends(first, 20); got != 0 {
		t.Errorf("when its own part was used up, too, %d more were sent", got)
	}
	if p.Own(1) != 1 || p.Own(10) != 2 || p.Own(30) != 6 {
		t.Errorf("own parts: %d %d %d", p.Own(1), p.Own(10), p.Own(30))
	}
}

// A code that was not sent is dead and counts against nothing.
func withdraw(t *testing.T, h *House) {
	ctx, p := context.Background(), otp.DefaultPolicy()
	p.PerHour, p.MaxSends = 1, 2
	r := h.request(t, "tx", 1)
	send := func(nonce byte) (*otp.Challenge, error) {
		c := h.challenge("tx", nonce)
		return c, h.DB.StoreChallenge(ctx, c, p, h.ev("issue", "tx"))
	}
	for nonce := byte(1); nonce <= 5; nonce++ { // no limit is in the way, of time or number
		c, err := send(nonce)
		must(t, err)
		must(t, h.DB.Withdraw(ctx, *c, false, h.ev("withdraw", "tx")))
		got, err := h.DB.Challenge(ctx, "tx")
		if err != nil || got.Sends != 0 || got.TriesLeft != 0 || !got.ExpiresAt.Equal(c.IssuedAt) || !got.ResendAfter.Equal(c.IssuedAt) || got.Nonce != c.Nonce {
			t.Errorf("withdrawn: %+v, %v", got, err)
		}
		_, err = h.DB.ReserveTry(ctx, "tx", c.Nonce)
		wants(t, "a try of a withdrawn code", err, otp.ErrExpired)
	}
	old, err := send(6)
	must(t, err)
	if _, err := send(7); !errors.Is(err, otp.ErrResendTooSoon) {
		t.Errorf("after one that was sent: %v", err)
	}
	// Too late: it was replaced, or redeemed.
	h.Clock.Advance(time.Hour)
	c, err := send(8)
	must(t, err)
	must(t, h.DB.Withdraw(ctx, *old, true, h.ev("withdraw", "tx")))
	if got, err := h.DB.Challenge(ctx, "tx"); err != nil || got != *c || got.Sends != 2 {
		t.Errorf("another's withdrawal left %+v, %v", got, err)
	}
	_, err = h.intent(r, 8)
	must(t, err)
	must(t, h.DB.Withdraw(ctx, *c, false, h.ev("withdraw", "tx")))
	if got, err := h.DB.Challenge(ctx, "tx"); err != nil || !got.Redeemed || got.TriesLeft != 3 {
		t.Errorf("withdrawn after it was redeemed: %+v, %v", got, err)
	}
	if n := h.events(t, "withdraw"); n != 5 {
		t.Errorf("%d events tell of 5 withdrawals", n)
	}
}

// A code that the next hop refused is as dead, and counts as one that was sent:
// nobody repeats without end. Another channel of the same transaction is not kept
// waiting, and a code that was used in the end clears them.
func withdrawRefused(t *testing.T, h *House) {
	ctx, p := context.Background(), otp.DefaultPolicy()
	p.PerHour = 3
	send := func(tx, channel string, nonce byte) (*otp.Challenge, error) {
		c := h.challenge(tx, nonce)
		c.Channel = channel
		return c, h.DB.StoreChallenge(ctx, c, p, h.ev("issue", tx))
	}
	refuse := func(tx string, nonce byte) {
		t.Helper()
		c, err := send(tx, "email", nonce)
		must(t, err)
		must(t, h.DB.Withdraw(ctx, *c, true, h.ev("withdraw", tx)))
		_, err = h.DB.ReserveTry(ctx, tx, c.Nonce)
		wants(t, "a try of a refused code", err, otp.ErrExpired)
	}
	full := func(what, tx, channel string) {
		t.Helper()
		_, err := send(tx, channel, 99)
		wants(t, what, err, otp.ErrTooManyCodes)
	}
	r := h.request(t, "tx", 1)
	h.request(t, "tx2", 1)
	refuse("tx2", 1)
	refuse("tx", 2)
	refuse("tx", 3) // at once, until the limit is reached
	full("the fourth to the dead address", "tx", "email")
	full("in another transaction", "tx2", "email")
	c, err := send("tx", "push", 4) // 1 of tx2, itself, and not those of tx by mail
	if err != nil || c.Sends != 1 {
		t.Fatalf("by another channel: %+v, %v", c, err)
	}
	// Sent and refused ones are one number.
	full("by a third channel when it was used up", "tx2", "push")
	if _, err := h.intent(r, 4); err != nil {
		t.Fatal(err)
	}
	refuse("tx2", 5)
	refuse("tx2", 6)
	full("after those of tx were cleared", "tx2", "email")
	h.Clock.Advance(time.Hour)
	refuse("tx2", 7)
	if n := h.events(t, "withdraw"); n != 6 {
		t.Errorf("%d events tell of 6 withdrawals", n)
	}
}

func challengeReplaced(t *testing.T, h *House) {
	ctx := context.Background()
	_, err := h.DB.Challenge(ctx, "tx")
	wants(t, "no challenge", err, otp.ErrUnknown)
	_, err = h.DB.ReserveTry(ctx, "tx", [otp.NonceSize]byte{})
	wants(t, "a try without a challenge", err, otp.ErrUnknown)
	r := h.request(t, "tx", 1)
	first := h.challenge("tx", 1)
	must(t, h.DB.StoreChallenge(ctx, first, otp.DefaultPolicy(), h.ev("issue", "tx")))
	if got, err := h.DB.Challenge(ctx, "tx"); err != nil || got != *first {
		t.Errorf("kept %+v, %v; want %+v", got, err, first)
	}
	if left, err := h.DB.ReserveTry(ctx, "tx", first.Nonce); err != nil || left != 2 {
		t.Errorf("a try: %d left, %v", left, err)
	}
	h.Clock.Advance(time.Minute)
	second := h.challenge("tx", 2)
	must(t, h.DB.StoreChallenge(ctx, second, otp.DefaultPolicy(), h.ev("issue", "tx")))
	if got, err := h.DB.Challenge(ctx, "tx"); err != nil || got != *second || got.Sends != 2 || got.TriesLeft != 3 {
		t.Errorf("kept %+v, %v; want %+v", got, err, second)
	}
	_, err = h.DB.ReserveTry(ctx, "tx", first.Nonce)
	wants(t, "a try of the old code", err, otp.ErrNonce)
	_, err = h.intent(r, 1)
	wants(t, "an intent under the old nonce", err, otp.ErrNonce)
	_, err = h.intent(r, 2)
	must(t, err)
	_, err = h.DB.ReserveTry(ctx, "tx", second.Nonce)
	wants(t, "a try of a redeemed code", err, otp.ErrUsed)
}

// A resend that was judged while the transaction still waited, and is stored after
// somebody ended it, sends nothing: a code that cannot be used, with a new link
// behind an alarm that was raised already.
func challengeEnded(t *testing.T, h *House) {
	ctx := context.Background()
	for id, end := range map[string]func() error{
		"cancelled": func() error { return h.DB.CancelRequest(ctx, "cancelled", signer.Cancelled, h.ev("end", "cancelled")) },
		"expired":   func() error { return h.DB.CancelRequest(ctx, "expired", signer.Expired, h.ev("end", "expired")) },
		"disowned":  func() error { return h.DB.Disown(ctx, [32]byte{1}, signer.Waiting, nil, h.ev("end", "disowned")) },
	} {
		h.request(t, id, 1)
		link := [32]byte{}
		if id == "disowned" {
			link[0] = 1
		}
		h.linked(t, id, 1, link)
		must(t, end())
		c := h.challenge(id, 2)
		c.Link = [32]byte{2}
		wants(t, "a code for what is "+id, h.DB.StoreChallenge(ctx, c, otp.Policy{TTL: time.Minute, Tries: 3, MaxSends: 4, PerHour: 9, PerDay: 9}, h.ev("issue", id)), signer.ErrFinished)
		if got, err := h.DB.Challenge(ctx, id); err != nil || got.Nonce[0] != 1 {
			t.Errorf("%s: the challenge is %+v, %v", id, got, err)
		}
		_, _, err := h.DB.Linked(ctx, c.Link, time.Time{})
		wants(t, "a new link to what is "+id, err, signer.ErrUnknown)
	}
	if n := h.events(t, "issue"); n != 3 {
		t.Errorf("%d events tell of 3 codes", n)
	}
}

func reserveTry(t *testing.T, h *House) {
	ctx := context.Background()
	h.request(t, "tx", 1)
	c := h.challenge("tx", 1)
	must(t, h.DB.StoreChallenge(ctx, c, otp.DefaultPolicy(), h.ev("issue", "tx")))
	granted, refused := parallel(t, 50, func() error {
		_, err := h.DB.ReserveTry(ctx, "tx", c.Nonce)
		return err
	}, otp.ErrAttempts)
	if granted != 3 || refused != 47 {
		t.Errorf("50 parallel tries: %d granted, %d refused", granted, refused)
	}
	if got, err := h.DB.Challenge(ctx, "tx"); err != nil || got.TriesLeft != 0 {
		t.Errorf("%d tries left, %v", got.TriesLeft, err)
	}
}

func credential(t *testing.T, h *House) {
	ctx, db := context.Background(), h.DB
	c, err := db.Credential(ctx, IC, System, "")
	if err != nil || c.ID != h.Credential.ID || c.Officer != IC || c.OfficerName != h.Officer.Name || c.Email != h.Officer.Email || c.Status != "ACTIVE" || c.Version != 1 ||
		c.Algorithm != "ECDSA-P256" || len(c.Chain) != 2 || c.Certificate.CheckSignatureFrom(c.Chain[0]) != nil || c.Chain[0].CheckSignatureFrom(c.Chain[1]) != nil {
		t.Fatalf("%+v, %v", c, err)
	}
	_, err = db.Credential(ctx, "880101145678", System, "")
	wants(t, "an unknown officer", err, signer.ErrUnknownOfficer)
	_, err = db.Credential(ctx, IC, "OTHER", "")
	wants(t, "another system", err, signer.ErrUnknownOfficer)
	_, err = db.Credential(ctx, IC, System, "cr_none")
	wants(t, "an unknown credential", err, signer.ErrNoCredential)
	must(t, db.PutOfficer(ctx, h.Officer, "TOK", enrol.Token, h.ev("put", IC)))
	var medium *signer.MediumError
	if _, err = db.Credential(ctx, IC, "TOK", ""); !errors.Is(err, signer.ErrMedium) || !errors.As(err, &medium) || medium.Medium != enrol.Token {
		t.Errorf("another medium: %v", err)
	}
	must(t, db.PutOfficer(ctx, h.Officer, "NEW", enrol.RoamingOTP, h.ev("put", IC)))
	_, err = db.Credential(ctx, IC, "NEW", "")
	wants(t, "no credential", err, signer.ErrNoCredential)
	_, err = db.Credential(ctx, IC, "NEW", c.ID)
	wants(t, "a credential of another system", err, signer.ErrNoCredential)
	other := enrol.Officer{IC: "880101145678", Name: "B", Email: "b@jpk.example"}
	must(t, db.PutOfficer(ctx, other, System, enrol.RoamingOTP, h.ev("put", other.IC)))
	_, err = db.Credential(ctx, other.IC, System, c.ID)
	wants(t, "a credential of another officer", err, signer.ErrNoCredential)

	h.Clock.Advance(time.Second)
	second := h.Issue(t, "ECDSA-P256")
	must(t, h.CA.Revoke(ctx, "test", h.Credential.Serial, 1))
	if c, err = db.Credential(ctx, IC, System, ""); err != nil || c.ID != second.ID {
		t.Errorf("after the first was revoked: %s, %v", c.ID, err)
	}
	if c, err = db.Credential(ctx, IC, System, h.Credential.ID); err != nil || c.Status != "REVOKED" {
		t.Errorf("the revoked one: %s, %v", c.Status, err)
	}
}

func oneLive(t *testing.T, h *House) {
	ctx := context.Background()
	r := h.request(t, "tx", 2)
	got, err := h.DB.Request(ctx, "tx")
	must(t, err)
	if _, hash, err := got.Options.Canonical(); err != nil || hash != r.OptionsHash || *got.Options.Visible != *r.Options.Visible {
		t.Errorf("options came back as %+v", got.Options)
	}
	got.Options, r.Options = signer.Options{}, signer.Options{}
	if !reflect.DeepEqual(got, *r) {
		t.Errorf("kept %+v, want %+v", got, *r)
	}
	_, err = h.DB.Request(ctx, "tx_none")
	wants(t, "an unknown transaction", err, signer.ErrUnknown)
	var docs []signer.Document
	for d, err := range h.DB.Pending(ctx, r.Batch) {
		must(t, err)
		docs = append(docs, d)
	}
	if len(docs) != 2 || docs[1].Index != 1 || docs[1].Name != "baucar-1" || docs[1].Hash != crypto.SHA256 || len(docs[1].Digest) != sha256.Size || docs[1].Blob != "b/1" ||
		docs[1].DocumentID != "do_1" || docs[1].Reference != "ref" || docs[1].Size != 5 {
		t.Errorf("pending: %+v", docs)
	}

	again := func(id string) error {
		n := *r
		n.ID, n.Implicit, n.CreatedAt, n.ExpiresAt = id, false, h.Clock.Now(), h.Clock.Now().Add(time.Minute)
		return h.DB.CreateRequest(ctx, &n, nil, h.ev("create", id), nil)
	}
	wants(t, "a second live transaction", again("tx2"), signer.ErrBatchBusy)
	h.Clock.Advance(30*time.Minute - time.Microsecond)
	wants(t, "a second live transaction", again("tx2"), signer.ErrBatchBusy)
	h.Clock.Advance(time.Microsecond) // the first has run out
	must(t, again("tx2"))
	if got, err = h.DB.Request(ctx, "tx"); err != nil || got.Status != signer.Expired {
		t.Errorf("the first is %s, %v", got.Status, err)
	}
	if n := h.events(t, "transaction.expire"); n != 1 {
		t.Errorf("%d events tell of one transaction that ran out", n)
	}
	h.Clock.Advance(time.Hour)
	k := 2
	won, busy := parallel(t, 1, func() error { return again("tx3") }, signer.ErrBatchBusy)
	if won != 1 || busy != 0 {
		t.Fatalf("tx3: %d, %d", won, busy)
	}
	h.Clock.Advance(time.Hour)
	ids := make(chan string, 50)
	for range 50 {
		k++
		ids <- fmt.Sprintf("p%d", k)
	}
	if won, busy = parallel(t, 50, func() error { return again(<-ids) }, signer.ErrBatchBusy); won != 1 || busy != 49 {
		t.Errorf("50 parallel transactions on one batch: %d created, %d refused", won, busy)
	}
}

func recordIntent(t *testing.T, h *House) {
	r := h.request(t, "tx", 1)
	must(t, h.DB.StoreChallenge(context.Background(), h.challenge("tx", 1), otp.DefaultPolicy(), h.ev("issue", "tx")))
	ids := make(chan string, 50)
	for k := range 50 {
		ids <- fmt.Sprintf("in_%d", k)
	}
	won, used := parallel(t, 50, func() error {
		in := signer.Intent{ID: <-ids, Transaction: r.ID, Credential: r.Credential, Batch: r.Batch, Root: r.Root, Count: 1, CreatedAt: h.Clock.Now(), Deadline: h.Clock.Now(), Seal: []byte{1}}
		_, err := h.DB.RecordIntent(context.Background(), in, [otp.NonceSize]byte{1}, IC, 0, h.ev("intent", in.ID))
		return err
	}, otp.ErrUsed)
	if won != 1 || used != 49 || h.events(t, "intent") != 1 {
		t.Errorf("50 parallel redemptions: %d won, %d refused, %d events", won, used, h.events(t, "intent"))
	}
	open, err := h.DB.OpenIntents(context.Background())
	if err != nil || len(open) != 1 || open[0].Transaction != "tx" {
		t.Errorf("open intents: %+v, %v", open, err)
	}
	h.is(t, r, signer.Signing, "SIGNING")
}

func recordIntentWhole(t *testing.T, h *House) {
	ctx := context.Background()
	_, err := h.DB.CountPIN(ctx, IC, signer.DefaultPINPolicy(), h.Clock.Now())
	must(t, err)
	r := h.request(t, "tx", 1)
	_, err = h.intent(r, 1)
	wants(t, "an intent without a challenge", err, otp.ErrUsed)
	must(t, h.DB.StoreChallenge(ctx, h.challenge("tx", 1), otp.DefaultPolicy(), h.ev("issue", "tx")))
	must(t, h.DB.CancelRequest(ctx, "tx", signer.Cancelled, h.ev("cancel", "tx")))
	_, err = h.intent(r, 1)
	wants(t, "an intent of a cancelled transaction", err, signer.ErrFinished)
	// Nothing of the refused call is left: neither the spent code nor the
	// cleared counter nor an event.
	if c, err := h.DB.Challenge(ctx, "tx"); err != nil || c.Redeemed {
		t.Errorf("the code was spent without an intent: %+v, %v", c, err)
	}
	if st, err := h.DB.PINState(ctx, IC); err != nil || st.Total != 1 {
		t.Errorf("the PIN counter was cleared without an intent: %+v, %v", st, err)
	}
	if open, err := h.DB.OpenIntents(ctx); err != nil || len(open) != 0 || h.events(t, "intent") != 0 {
		t.Errorf("an intent was left: %+v, %v", open, err)
	}
	r, in := h.signing(t, "tx2", 1)
	if st, err := h.DB.PINState(ctx, IC); err != nil || st != (signer.PINState{}) {
		t.Errorf("the PIN counter after a right PIN: %+v, %v", st, err)
	}
	open, err := h.DB.OpenIntents(ctx)
	if err != nil || len(open) != 1 {
		t.Fatalf("open intents: %+v, %v", open, err)
	}
	got := open[0]
	if !bytes.Equal(got.Seal, in.Seal) || !got.CreatedAt.Equal(in.CreatedAt) || !got.Deadline.Equal(in.Deadline) {
		t.Errorf("kept %+v, want %+v", got, in)
	}
	if !got.Held || got.Stopped {
		t.Errorf("held %v, stopped %v", got.Held, got.Stopped)
	}
	got.Seal, in.Seal, got.CreatedAt, got.Deadline = nil, nil, in.CreatedAt, in.Deadline
	got.Held, in.Run, in.Lease = false, "", 0
	if fmt.Sprint(got) != fmt.Sprint(in) {
		t.Errorf("kept %+v, want %+v", got, in)
	}
	h.is(t, r, signer.Signing, "SIGNING")
}

func claims(t *testing.T, h *House) {
	ctx := context.Background()
	r, in := h.signing(t, "tx", 10)
	claim := func(n int) []signer.Claimed {
		t.Helper()
		got, err := h.DB.Claim(ctx, RunOf(in), n)
		must(t, err)
		return got
	}
	_, err := h.DB.Claim(ctx, RunOf(signer.Intent{ID: "in_none"}), 1)
	wants(t, "a claim without an intent", err, signer.ErrUnknown)
	first := claim(4)
	seen := map[uint32]bool{}
	for _, c := range append(first, claim(100)...) {
		if seen[c.Index] || c.Attempt != 1 || c.Name != fmt.Sprintf("baucar-%d", c.Index) || len(c.Digest) != 32 {
			t.Errorf("claimed %+v, seen %v", c, seen[c.Index])
		}
		seen[c.Index] = true
	}
	if len(first) != 4 || len(seen) != 10 || len(claim(1)) != 0 {
		t.Errorf("%d, then %d documents were claimed of 10", len(first), len(seen))
	}
	complete := func(out ...signer.Outcome) error {
		_, err := h.DB.Complete(ctx, in.ID, out, h.Clock.Now(), h.ev("complete", in.ID))
		return err
	}
	good := signer.Outcome{Index: 0, Attempt: 1, Signature: []byte("s")}
	stale := signer.Outcome{Index: 1, Attempt: 2, Signature: []byte("s")}
	unknown := signer.Outcome{Index: 99, Attempt: 1, Signature: []byte("s")}
	wants(t, "another attempt", complete(good, stale), signer.ErrFence)
	wants(t, "an index that is not there", complete(good, unknown), signer.ErrFence)
	wants(t, "a refusal of another attempt", complete(good, signer.Outcome{Index: 1, Attempt: 0, Refused: errors.New("x")}), signer.ErrFence)
	if items, err := h.DB.Items(ctx, r.Batch, "signed", -1, 100); err != nil || len(items) != 0 || h.events(t, "complete") != 0 {
		t.Errorf("a fenced call stored %d items, %v", len(items), err)
	}
	must(t, complete(good))
	// Its answer may be lost: who asks again is told the same, and nothing is done twice.
	must(t, complete(good))
	if n := h.events(t, "complete"); n != 1 {
		t.Errorf("%d events tell of one completion", n)
	}
	wants(t, "an outcome twice, with another", complete(stale, good), signer.ErrFence)
	_, err = h.DB.Complete(ctx, "in_none", nil, h.Clock.Now(), h.ev("complete", ""))
	wants(t, "no such intent", err, signer.ErrUnknown)

	// Taken over: what the first run claimed is another attempt's now.
	must(t, h.DB.Abandon(ctx, in.ID, h.ev("abandon", in.ID)))
	wants(t, "an outcome after abandoning", complete(signer.Outcome{Index: 1, Attempt: 1, Signature: []byte("s")}), signer.ErrFence)
	_, err = h.DB.Claim(ctx, RunOf(in), 1)
	wants(t, "a claim after abandoning", err, signer.ErrFence)
	n := *r
	n.ID, n.Implicit = "tx2", false
	must(t, h.DB.CreateRequest(ctx, &n, nil, h.ev("create", n.ID), nil))
	must(t, h.DB.StoreChallenge(ctx, h.challenge("tx2", 1), otp.DefaultPolicy(), h.ev("issue", n.ID)))
	in2, err := h.intent(&n, 1)
	must(t, err)
	got, err := h.DB.Claim(ctx, RunOf(in2), 100)
	if err != nil || len(got) != 9 || got[0].Index != 1 || got[0].Attempt != 2 {
		t.Fatalf("the second run claimed %+v, %v", got, err)
	}
	in.ID = in2.ID
	wants(t, "the first run's outcome", complete(signer.Outcome{Index: 1, Attempt: 1, Signature: []byte("s")}), signer.ErrFence)
	must(t, complete(signer.Outcome{Index: 1, Attempt: 2, Signature: []byte("s")}))
}

func completeRevoked(t *testing.T, h *House) {
	ctx := context.Background()
	r, in := h.signing(t, "tx", 2)
	got, err := h.DB.Claim(ctx, RunOf(in), 2)
	must(t, err)
	out := []signer.Outcome{{Index: got[0].Index, Attempt: got[0].Attempt, Signature: []byte("s")}}
	if done, err := h.DB.Complete(ctx, in.ID, out, h.Clock.Now(), h.ev("complete", in.ID)); err != nil || done {
		t.Fatalf("%v, %v", done, err)
	}
	must(t, h.DB.Revoke(ctx, h.Credential.Serial, h.Clock.Now(), 1, h.ev("revoke", "")))
	out = []signer.Outcome{{Index: got[1].Index, Attempt: got[1].Attempt, Signature: []byte("s")}}
	done, err := h.DB.Complete(ctx, in.ID, out, h.Clock.Now(), h.ev("complete", in.ID))
	if !errors.Is(err, signer.ErrCertificateRevoked) || done {
		t.Errorf("after the revocation: %v, %v", done, err)
	}
	if items, err := h.DB.Items(ctx, r.Batch, "signed", -1, 9); err != nil || len(items) != 1 || items[0].Index != got[0].Index {
		t.Errorf("signed: %+v, %v", items, err)
	}
	if n := h.events(t, "complete"); n != 1 {
		t.Errorf("%d completions are in the audit", n)
	}
}

func completeEnds(t *testing.T, h *House) {
	ctx := context.Background()
	for _, c := range []struct {
		id      string
		refused int // of 3
		status  signer.Status
		batch   string
	}{
		{"all", 0, signer.Signed, "SIGNED"},
		{"some", 1, signer.SignedWithRefusals, "SIGNED_WITH_REFUSALS"},
		{"none", 3, signer.Failed, "SIGNED_WITH_REFUSALS"},
	} {
		r, in := h.signing(t, c.id, 3)
		got, err := h.DB.Claim(ctx, RunOf(in), 3)
		must(t, err)
		at := h.Clock.Now().Add(time.Second)
		for k, d := range got {
			o := signer.Outcome{Index: d.Index, Attempt: d.Attempt}
			if k < c.refused {
				o.Refused = errors.New("not for the row: secret detail")
			} else {
				o.Signature, o.Blob, o.Size = []byte("sig"), "signed/x", 7
				o.Level = "B-T"
			}
			done, err := h.DB.Complete(ctx, in.ID, []signer.Outcome{o}, at, h.ev("complete", in.ID))
			if err != nil || done != (k == 2) {
				t.Fatalf("%s: outcome %d: done %v, %v", c.id, k, done, err)
			}
		}
		h.is(t, r, c.status, c.batch)
		b, err := h.DB.Batch(ctx, r.Batch)
		if err != nil || b.Signed != uint32(3-c.refused) || b.Refused != uint32(c.refused) || b.Pending != 0 || !b.FinishedAt.Equal(at) || b.StartedAt.IsZero() {
			t.Errorf("%s: batch %+v, %v", c.id, b, err)
		}
		items, err := h.DB.Items(ctx, r.Batch, "", -1, 9)
		must(t, err)
		for k, it := range items {
			switch {
			case k < c.refused && (it.State != "refused" || it.Code != "internal_error" || it.Detail != "" || len(it.Signature) != 0):
				t.Errorf("%s: refused item %+v", c.id, it)
			case k >= c.refused && (it.State != "signed" || string(it.Signature) != "sig" || it.SignedBlob != "signed/x" || it.SignedSize != 7 || it.Level != "B-T" || !it.SignedAt.Equal(at)):
				t.Errorf("%s: signed item %+v", c.id, it)
			}
		}
		// Closed: neither again nor abandoned.
		_, err = h.DB.Complete(ctx, in.ID, nil, at, h.ev("complete", in.ID))
		wants(t, "completing a finished intent", err, signer.ErrFence)
		must(t, h.DB.Abandon(ctx, in.ID, h.ev("abandon", in.ID)))
		h.is(t, r, c.status, c.batch)
	}
	if open, err := h.DB.OpenIntents(ctx); err != nil || len(open) != 0 || h.events(t, "abandon") != 0 {
		t.Errorf("open intents: %+v, %v", open, err)
	}
}

func abandon(t *testing.T, h *House) {
	ctx := context.Background()
	r, in := h.signing(t, "tx", 2)
	got, err := h.DB.Claim(ctx, RunOf(in), 1)
	must(t, err)
	for range 3 {
		must(t, h.DB.Abandon(ctx, in.ID, h.ev("abandon", in.ID)))
	}
	wants(t, "abandoning nothing", h.DB.Abandon(ctx, "in_none", h.ev("abandon", "")), signer.ErrUnknown)
	if n := h.events(t, "abandon"); n != 1 {
		t.Errorf("%d events tell of one abandonment", n)
	}
	h.is(t, r, signer.NeedsAuthorisation, "NEEDS_AUTHORISATION")
	if items, err := h.DB.Items(ctx, r.Batch, "pending", -1, 9); err != nil || len(items) != 2 || items[0].Index != got[0].Index {
		t.Errorf("pending: %+v, %v", items, err)
	}
	if open, err := h.DB.OpenIntents(ctx); err != nil || len(open) != 0 {
		t.Errorf("open intents: %+v, %v", open, err)
	}
	// The code is spent all the same.
	_, err = h.intent(r, 1)
	wants(t, "the code of an abandoned intent", err, otp.ErrUsed)
}

func cancelRequest(t *testing.T, h *House) {
	ctx := context.Background()
	for _, status := range []signer.Status{signer.Cancelled, signer.Expired, signer.Failed} {
		r := h.request(t, string(status), 1)
		must(t, h.DB.CancelRequest(ctx, r.ID, status, h.ev("cancel", r.ID)))
		wants(t, "ending twice", h.DB.CancelRequest(ctx, r.ID, signer.Cancelled, h.ev("cancel", r.ID)), signer.ErrFinished)
		if got, err := h.DB.Request(ctx, r.ID); err != nil || got.Status != status || !got.FinishedAt.Equal(h.Clock.Now()) {
			t.Errorf("%s: %+v, %v", status, got, err)
		}
	}
	r, _ := h.signing(t, "signing", 1)
	wants(t, "cancelling what is being signed", h.DB.CancelRequest(ctx, r.ID, signer.Cancelled, h.ev("cancel", r.ID)), signer.ErrFinished)
	h.is(t, r, signer.Signing, "SIGNING")
	if n := h.events(t, "cancel"); n != 3 {
		t.Errorf("%d events tell of 3 ends", n)
	}
	must(t, h.DB.Audit(ctx, audit.Event{At: h.Clock.Now(), Action: "lone"}))
	if h.events(t, "lone") != 1 {
		t.Error("a lone event was lost")
	}
}

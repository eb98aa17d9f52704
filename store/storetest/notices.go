package storetest

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/notify"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
)

func deliveries(t *testing.T, h *House) {
	ctx := context.Background()
	h.request(t, "tx", 1)
	first := h.challenge("tx", 1)
	must(t, h.DB.StoreChallenge(ctx, first, otp.DefaultPolicy(), h.ev("issue", "tx")))
	store := func(nonce byte, state, reply string, want bool) {
		t.Helper()
		wanted, err := h.DB.StoreDelivery(ctx, "tx", [otp.NonceSize]byte{nonce}, otp.Delivery{State: state, At: h.Clock.Now(), Reply: reply}, h.ev("deliver", "tx"))
		if err != nil || wanted != want {
			t.Errorf("%s: wanted %v, %v; want %v", state, wanted, err, want)
		}
	}
	// is says what administrators read of the newest codes.
	is := func(want ...otp.Delivery) {
		t.Helper()
		sends, err := h.DB.CodeSends(ctx, IC, 10)
		must(t, err)
		if len(sends) != len(want) {
			t.Fatalf("%d codes, want %d: %+v", len(sends), len(want), sends)
		}
		for k, s := range sends {
			if s.Transaction != "tx" || s.Channel != "email" || s.SentTo != "n•••@x" || !s.ExpiresAt.Equal(s.IssuedAt.Add(5*time.Minute)) {
				t.Errorf("code %d: %+v", k, s)
			}
			if s.Delivery != want[k] {
				t.Errorf("code %d: %+v, want %+v", k, s.Delivery, want[k])
			}
		}
	}
	is(otp.Delivery{})
	store(1, otp.Deferred, "451 4.7.1", true)
	is(otp.Delivery{State: otp.Deferred, At: h.Clock.Now(), Reply: "451 4.7.1"})
	h.Clock.Advance(time.Second)
	store(1, otp.Sent, "", true)
	sent := otp.Delivery{State: otp.Sent, At: h.Clock.Now()}
	is(sent)
	// Sent is final: what a slower node tells later changes nothing.
	h.Clock.Advance(time.Second)
	store(1, otp.Deferred, "", true)
	store(1, otp.Refused, "550", true)
	is(sent)
	if n := h.events(t, "deliver"); n != 0 {
		t.Errorf("%d events tell of a refusal that was none", n)
	}
	// A resend has a state of its own; the first message is of no use any more.
	h.Clock.Advance(time.Minute)
	must(t, h.DB.StoreChallenge(ctx, h.challenge("tx", 2), otp.DefaultPolicy(), h.ev("issue", "tx")))
	store(1, otp.Deferred, "", false)
	store(2, otp.Refused, "550 5.1.1", true)
	refused := otp.Delivery{State: otp.Refused, At: h.Clock.Now(), Reply: "550 5.1.1"}
	is(refused, sent)
	store(2, otp.Refused, "550 5.1.1", true)
	store(9, otp.Refused, "550", false) // nobody's nonce
	if n := h.events(t, "deliver"); n != 1 {
		t.Errorf("%d events tell of one refusal", n)
	}
	must(t, h.DB.CancelRequest(ctx, "tx", signer.Cancelled, h.ev("cancel", "tx")))
	store(2, otp.Deferred, "", false)
	is(refused, sent)

	r := h.request(t, "tx2", 1)
	must(t, h.DB.StoreChallenge(ctx, h.challenge("tx2", 1), otp.DefaultPolicy(), h.ev("issue", "tx2")))
	if _, err := h.intent(r, 1); err != nil {
		t.Fatal(err)
	}
	if wanted, err := h.DB.StoreDelivery(ctx, "tx2", [otp.NonceSize]byte{1}, otp.Delivery{State: otp.Deferred}, audit.Event{}); wanted || err != nil {
		t.Errorf("the message of a redeemed code is wanted: %v, %v", wanted, err)
	}
	if sends, err := h.DB.CodeSends(ctx, IC, 1); err != nil || len(sends) != 1 || sends[0].Transaction != "tx2" || !sends[0].Redeemed {
		t.Errorf("the newest code: %+v, %v", sends, err)
	}
}

// What was sent may bounce, once; nothing else becomes "bounced", and what bounced
// stays so.
func bounces(t *testing.T, h *House) {
	ctx := context.Background()
	h.request(t, "tx", 1)
	store := func(nonce byte, state, reply string) {
		t.Helper()
		_, err := h.DB.StoreDelivery(ctx, "tx", [otp.NonceSize]byte{nonce}, otp.Delivery{State: state, At: h.Clock.Now(), Reply: reply}, h.ev("bounce", "tx"))
		must(t, err)
	}
	is := func(nonce byte, state, reply string, events int) {
		t.Helper()
		s, err := h.DB.SendByEnvelope(ctx, otp.Envelope("tx", [otp.NonceSize]byte{nonce}))
		must(t, err)
		if s.Transaction != "tx" || s.Officer != IC || s.Nonce != [otp.NonceSize]byte{nonce} || s.Delivery.State != state || s.Delivery.Reply != reply {
			t.Errorf("%+v, want %s %s", s, state, reply)
		}
		if n := h.events(t, "bounce"); n != events {
			t.Errorf("%d events, want %d", n, events)
		}
	}
	for k, was := range []string{"", otp.Deferred, otp.Refused} {
		nonce := byte(k + 1)
		must(t, h.DB.StoreChallenge(ctx, h.challenge("tx", nonce), otp.DefaultPolicy(), h.ev("issue", "tx")))
		h.Clock.Advance(time.Minute)
		if was != "" {
			store(nonce, was, "x")
		}
	}
	store(1, otp.Bounced, "5.1.1")
	is(1, "", "", 1) // the refusal
	store(2, otp.Bounced, "5.1.1")
	is(2, otp.Deferred, "x", 1)
	store(3, otp.Bounced, "5.1.1")
	is(3, otp.Refused, "x", 1)
	store(1, otp.Sent, "")
	store(2, otp.Sent, "")
	store(1, otp.Bounced, "5.1.1")
	at := h.Clock.Now()
	is(1, otp.Bounced, "5.1.1", 2)
	is(2, otp.Sent, "", 2) // another code of the same transaction
	h.Clock.Advance(time.Second)
	for _, late := range []string{otp.Bounced, otp.Sent, otp.Deferred, otp.Refused} {
		store(1, late, "5.2.2")
		is(1, otp.Bounced, "5.1.1", 2)
	}
	if s, err := h.DB.SendByEnvelope(ctx, otp.Envelope("tx", [otp.NonceSize]byte{1})); err != nil || !s.Delivery.At.Equal(at) {
		t.Errorf("bounced at %v, %v; want %v", s.Delivery.At, err, at)
	}
	right := otp.Envelope("tx", [otp.NonceSize]byte{1})
	for _, forged := range []string{"", ".", "tx", "tx.", right[:len(right)-1], right + "0", "tx.0000000000000000", "tx2" + right[2:], otp.Envelope("tx", [otp.NonceSize]byte{})} {
		_, err := h.DB.SendByEnvelope(ctx, forged)
		wants(t, "envelope "+forged, err, otp.ErrUnknown)
	}
}

// drain empties the outbox.
func (h *House) drain(t *testing.T) (out []notify.Notice) {
	t.Helper()
	for {
		n, ok, err := h.DB.ClaimNotice(context.Background(), time.Minute)
		must(t, err)
		if !ok {
			return out
		}
		must(t, h.DB.FinishNotice(context.Background(), n))
		out = append(out, n)
	}
}

func noticesOfDeeds(t *testing.T, h *House) {
	ctx := context.Background()
	h.drain(t)
	second := h.Issue(t, "ECDSA-P256")
	must(t, h.DB.Reseal(ctx, second.ID, 1, []byte("sealed anew"), h.ev("change", second.ID)))
	until := h.Clock.Now().Add(15 * time.Minute)
	must(t, h.DB.AuditLock(ctx, IC, signer.PINState{LockedUntil: until}, h.ev("lock", IC)))
	must(t, h.DB.AuditLock(ctx, IC, signer.PINState{LockedUntil: until, Blocked: true}, h.ev("lock", IC)))
	cert, err := h.DB.CertificateBySerial(ctx, second.Serial)
	must(t, err)
	want := map[string]map[string]string{
		notify.CertificateIssued: {"system": System, "serial": second.Serial, "until": cert.NotAfter.Format(time.RFC3339)},
		notify.PINChanged:        {"system": System},
		notify.PINLocked:         {"until": until.UTC().Format(time.RFC3339)},
		notify.PINBlocked:        nil,
	}
	for _, n := range h.drain(t) {
		if n.Officer != IC || n.Name != h.Officer.Name || n.Email != h.Officer.Email || n.ID == "" || n.At.IsZero() || n.Attempt != 1 || !maps.Equal(n.Detail, want[n.Kind]) {
			t.Errorf("notice %+v, want detail %v", n, want[n.Kind])
		}
		delete(want, n.Kind)
	}
	if len(want) > 0 {
		t.Errorf("no notice of %v", want)
	}
	if n := h.events(t, "lock"); n != 2 {
		t.Errorf("%d events tell of two locks", n)
	}
	// What was not done is not told.
	if err := h.DB.Reseal(ctx, second.ID, 1, []byte("late"), h.ev("change", second.ID)); err == nil {
		t.Fatal("resealed twice from one version")
	}
	if left := h.drain(t); len(left) > 0 {
		t.Errorf("a deed that failed is told: %+v", left)
	}
}

func outbox(t *testing.T, h *House) {
	ctx := context.Background()
	h.drain(t)
	claim := func(want bool) notify.Notice {
		t.Helper()
		n, ok, err := h.DB.ClaimNotice(ctx, time.Minute)
		if err != nil || ok != want {
			t.Fatalf("claimed %v, %v; want %v", ok, err, want)
		}
		return n
	}
	claim(false)
	lock := func() {
		t.Helper()
		must(t, h.DB.AuditLock(ctx, IC, signer.PINState{Blocked: true}, h.ev("lock", IC)))
	}
	lock()
	first := claim(true)
	claim(false) // leased
	h.Clock.Advance(time.Minute)
	again := claim(true)
	if again.ID != first.ID || again.Attempt != 2 {
		t.Errorf("after the lease %+v, before %+v", again, first)
	}
	// Whoever lost the lease changes nothing.
	must(t, h.DB.FinishNotice(ctx, first))
	must(t, h.DB.DeferNotice(ctx, first, 0, "451"))
	must(t, h.DB.GiveUpNotice(ctx, first, h.ev("give up", IC)))
	claim(false)
	must(t, h.DB.DeferNotice(ctx, again, time.Hour, "451 4.3.0"))
	h.Clock.Advance(time.Hour - time.Microsecond)
	claim(false)
	h.Clock.Advance(time.Microsecond)
	last := claim(true)
	if last.ID != first.ID || last.Attempt != 3 {
		t.Errorf("after an hour %+v", last)
	}
	must(t, h.DB.GiveUpNotice(ctx, last, h.ev("give up", IC)))
	h.Clock.Advance(24 * time.Hour)
	claim(false)
	if n := h.events(t, "give up"); n != 1 {
		t.Errorf("%d events tell of one notice given up", n)
	}
	// Each of many claimers gets another one; none is given out twice.
	for range 10 {
		lock()
	}
	got := make(chan string, 20)
	granted, refused := parallel(t, 20, func() error {
		n, ok, err := h.DB.ClaimNotice(ctx, time.Minute)
		if err == nil && !ok {
			err = errNone
		}
		if ok {
			got <- n.ID
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
}

var errNone = errors.New("nothing is due")

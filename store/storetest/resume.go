package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
)

// RecordedIntent is an open intent over two documents, with an activation.
func RecordedIntent(t *testing.T, h *House) signer.Intent {
	t.Helper()
	_, in := h.signing(t, "tx", 2)
	return in
}

// activations are those of open intents.
func (h *House) activations(t *testing.T) (out []string) {
	t.Helper()
	open, err := h.DB.OpenIntents(context.Background())
	must(t, err)
	for _, in := range open {
		out = append(out, string(in.Activation))
	}
	return out
}

func resume(t *testing.T, h *House) {
	ctx := context.Background()
	r, in := h.signing(t, "tx", 5)
	other := signer.Run{Intent: in.ID, ID: "ru_other", Lease: 30 * time.Second}
	old, err := h.DB.Claim(ctx, RunOf(in), 2)
	must(t, err)
	out := func(c signer.Claimed) []signer.Outcome {
		return []signer.Outcome{{Index: c.Index, Attempt: c.Attempt, Signature: []byte("s")}}
	}
	_, err = h.DB.Complete(ctx, in.ID, out(old[0]), h.Clock.Now(), h.ev("complete", in.ID))
	must(t, err)
	h.Clock.Advance(time.Minute)
	must(t, h.DB.Resume(ctx, other, h.ev("resume", in.ID)))
	h.is(t, r, signer.Signing, "SIGNING")
	if got := h.activations(t); len(got) != 1 || got[0] != Activation {
		t.Errorf("after resuming: %d activations", len(got))
	}
	_, err = h.DB.Complete(ctx, in.ID, out(old[1]), h.Clock.Now(), h.ev("complete", in.ID))
	wants(t, "who had claimed before", err, signer.ErrFence)
	_, err = h.DB.Claim(ctx, RunOf(in), 1)
	wants(t, "a claim of a run that was taken for dead", err, signer.ErrLease)
	got, err := h.DB.Claim(ctx, other, 10)
	if err != nil || len(got) != 4 {
		t.Fatalf("%d claimed after resuming, %v", len(got), err)
	}
	for _, c := range got {
		_, err = h.DB.Complete(ctx, in.ID, out(c), h.Clock.Now(), h.ev("complete", in.ID))
		must(t, err)
	}
	h.is(t, r, signer.Signed, "SIGNED")
	_, err = h.DB.Claim(ctx, other, 1)
	wants(t, "a claim when all is signed", err, signer.ErrDone)
	_, err = h.DB.Beat(ctx, other)
	wants(t, "a sign of life when all is signed", err, signer.ErrDone)
	wants(t, "a finished intent", h.DB.Resume(ctx, other, h.ev("resume", in.ID)), signer.ErrFence)
	wants(t, "no such intent", h.DB.Resume(ctx, signer.Run{Intent: "in_none"}, h.ev("resume", "")), signer.ErrUnknown)

	_, in = h.signing(t, "tx2", 2)
	_, err = h.DB.Claim(ctx, RunOf(in), 1)
	must(t, err)
	h.Clock.Advance(time.Minute)
	must(t, h.DB.Revoke(ctx, h.Credential.Serial, h.Clock.Now(), 1, h.ev("revoke", "")))
	wants(t, "a revoked certificate", h.DB.Resume(ctx, signer.Run{Intent: in.ID, ID: "ru_third", Lease: time.Minute}, h.ev("resume", in.ID)), signer.ErrCertificateRevoked)
	if got, err := h.DB.Claim(ctx, RunOf(in), 10); err != nil || len(got) != 1 {
		t.Errorf("a refused call released claims: %d, %v", len(got), err)
	}
	if n := h.events(t, "resume"); n != 1 {
		t.Errorf("%d events tell of one resumption", n)
	}
	must(t, h.DB.Abandon(ctx, in.ID, h.ev("abandon", in.ID)))
	if n := len(h.activations(t)); n != 0 {
		t.Errorf("%d activations at the end", n)
	}
}

func authorised(t *testing.T, h *House) {
	ctx := context.Background()
	r, in := h.signing(t, "tx", 6)
	finds := func(in signer.Intent) (done string) {
		t.Helper()
		next := uint32(0)
		docs := h.Ask(6).Documents
		for d, err := range h.DB.Authorised(ctx, in) {
			must(t, err)
			for next < d.Index {
				done += "." // not of this intent
				next++
			}
			next++
			if want := docs[d.Index]; d.Leaf() != want.Leaf() || d.Blob != fmt.Sprintf("b/%d", d.Index) {
				t.Errorf("document %d: %+v", d.Index, d)
			}
			if d.Done {
				done += "x"
			} else {
				done += "o"
			}
		}
		return done
	}
	if got := finds(in); got != "oooooo" {
		t.Errorf("at first: %s", got)
	}
	got, err := h.DB.Claim(ctx, RunOf(in), 4)
	must(t, err)
	_, err = h.DB.Complete(ctx, in.ID, []signer.Outcome{{Index: 0, Attempt: got[0].Attempt, Signature: []byte("s")}, {Index: 2, Attempt: got[2].Attempt, Refused: errors.New("x")}},
		h.Clock.Now(), h.ev("complete", in.ID))
	must(t, err)
	if got := finds(in); got != "xoxooo" {
		t.Errorf("midway: %s", got)
	}
	must(t, h.DB.Abandon(ctx, in.ID, h.ev("abandon", in.ID)))
	// The next intent is for the rest.
	n := *r
	n.ID, n.Implicit = "tx2", false
	must(t, h.DB.CreateRequest(ctx, &n, nil, h.ev("create", n.ID), nil))
	must(t, h.DB.StoreChallenge(ctx, h.challenge("tx2", 1), otp.DefaultPolicy(), h.ev("issue", n.ID)))
	in2, err := h.intent(&n, 1)
	must(t, err)
	got, err = h.DB.Claim(ctx, RunOf(in2), 1)
	must(t, err)
	_, err = h.DB.Complete(ctx, in2.ID, []signer.Outcome{{Index: got[0].Index, Attempt: got[0].Attempt, Signature: []byte("s")}}, h.Clock.Now(), h.ev("complete", in2.ID))
	must(t, err)
	if got := finds(in2); got != ".x.ooo" {
		t.Errorf("the rest: %s", got)
	}
}

func accepted(t *testing.T, h *House) {
	ctx := context.Background()
	for k, verdict := range []string{audit.Accepted, audit.Refused, audit.Accepted, audit.Noted} {
		must(t, h.DB.Audit(ctx, audit.Event{At: h.Clock.Now(), Action: "a", Object: "o", Verdict: verdict, Detail: map[string]string{"n": fmt.Sprint(k)}}))
		must(t, h.DB.Audit(ctx, audit.Event{At: h.Clock.Now(), Action: "b", Object: "o", Verdict: verdict}))
		must(t, h.DB.Audit(ctx, audit.Event{At: h.Clock.Now(), Action: "a", Object: "p", Verdict: verdict}))
	}
	got, err := h.DB.Accepted(ctx, "o", "a")
	if err != nil || len(got) != 2 || got[0].Detail["n"] != "0" || got[1].Detail["n"] != "2" || !got[0].At.Equal(h.Clock.Now()) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := h.DB.Accepted(ctx, "none", "a"); err != nil || len(got) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

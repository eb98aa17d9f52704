package signer_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/storetest"
)

// withShares is a house whose batches can be resumed.
func withShares(t testing.TB) (*house, *storetest.Shares) {
	t.Helper()
	h := newHouse(t)
	s := storetest.NewShares(h.Clock.Now)
	h.s.Shares = s
	return h, s
}

// sealed is a question about a sealed batch of n digests.
func (h *house) sealed(t testing.TB, n int) signer.Ask {
	t.Helper()
	a := h.Ask(n)
	id := fmt.Sprintf("ba_%d", h.Clock.Now().UnixNano())
	var tree signer.Tree
	var items []batch.Item
	for _, d := range a.Documents {
		tree.Add(d.Leaf())
		items = append(items, batch.Item{Document: d})
	}
	count, root := tree.Root()
	ev := audit.Event{At: h.Clock.Now(), Action: "test"}
	must(t, h.DB.CreateBatch(ctx, batch.Batch{ID: id, App: h.App.ID, Name: "b", Kind: batch.Digest, Status: batch.Open, CreatedAt: h.Clock.Now()}, ev))
	must(t, h.DB.AddItems(ctx, id, items, nil, ev))
	must(t, h.DB.Seal(ctx, id, count, root, false, ev))
	a.Documents, a.Batch = nil, id
	return a
}

// crash is the end of a process that held a: what was claimed stays claimed.
func (h *house) crash(t testing.TB, a *signer.Authorization) {
	t.Helper()
	must(t, a.Close()) // the memory is gone, and the key in it
	shares := h.s.Shares
	h.restart(t)
	h.s.Shares = shares
}

// sign completes n documents of a, and claims one more.
func (h *house) sign(t testing.TB, a *signer.Authorization, n int) signer.Claimed {
	t.Helper()
	claimed, err := h.s.Claim(ctx, a, n+1)
	if err != nil || len(claimed) != n+1 {
		t.Fatalf("%d claimed, %v", len(claimed), err)
	}
	var out []signer.Outcome
	for _, d := range claimed[:n] {
		o, err := signOne(h.s, a, d)
		must(t, err)
		out = append(out, o)
	}
	if done, err := h.s.Complete(ctx, a, out); err != nil || done {
		t.Fatalf("%v, %v", done, err)
	}
	return claimed[n]
}

// recovers wants one intent resumed.
func (h *house) recovers(t testing.TB) *signer.Authorization {
	t.Helper()
	resumed, abandoned, err := h.s.Recover(ctx)
	if err != nil || len(resumed) != 1 || abandoned != 0 {
		t.Fatalf("%d resumed, %d abandoned, %v", len(resumed), abandoned, err)
	}
	t.Cleanup(func() { resumed[0].Close() })
	return resumed[0]
}

// ended checks that nothing of an activation is left.
func (h *house) ended(t testing.TB, what string, shares *storetest.Shares) {
	t.Helper()
	if n := shares.Len(); n != 0 {
		t.Errorf("%s: %d shares are kept", what, n)
	}
	var n int
	must(t, h.raw(t).QueryRow("SELECT count(*) FROM intents WHERE activation IS NOT NULL").Scan(&n))
	if n != 0 {
		t.Errorf("%s: %d activations are kept", what, n)
	}
	if n := h.Keys.Live.Load(); n != 0 {
		t.Errorf("%s: %d keys are open", what, n)
	}
}

// A batch goes on after a crash, again and again, with one PIN, one code and
// one intent; each document is signed by whoever stores it, once.
func TestBatchResumesAfterCrashes(t *testing.T) {
	h, shares := withShares(t)
	a := h.authorize(t, h.sealed(t, 20))
	r, first := a.Request, a.Intent
	if a.Unresumable != nil || len(first.Activation) == 0 || shares.Len() != 1 {
		t.Fatalf("%v, an activation of %d bytes, %d shares", a.Unresumable, len(first.Activation), shares.Len())
	}
	for k := range 3 {
		inHand := h.sign(t, a, 4)
		dead, before := a, h.s
		h.crash(t, a)
		h.Clock.Advance(10 * time.Second)
		a = h.recovers(t)
		if a.Intent.ID != first.ID || !a.Intent.Deadline.Equal(first.Deadline) {
			t.Errorf("resumed as %+v", a.Intent)
		}
		// The process that was thought dead cannot store what it has in hand.
		_, err := before.Complete(ctx, dead, []signer.Outcome{{Index: inHand.Index, Attempt: inHand.Attempt, Signature: []byte("s")}})
		wants(t, "the dead process", err, signer.ErrFence)
		_, err = signOne(before, dead, inHand)
		wants(t, "the dead process", err, signer.ErrDeadline)
		// What has its outcome is not signed again.
		done := inHand
		done.Index, done.Document = 0, h.Ask(1).Documents[0]
		_, err = signOne(h.s, a, done)
		wants(t, "a document that is signed", err, signer.ErrSpent)
		records := storetest.Chain(t, h.DB)
		last := records[len(records)-1]
		for last.Verdict == audit.Refused { // the dead process's
			records = records[:len(records)-1]
			last = records[len(records)-1]
		}
		if last.Action != "signer.resume" || last.Detail["intent"] != first.ID || last.Detail["done"] != fmt.Sprint(4*(k+1)) || last.Detail["left"] != fmt.Sprint(20-4*(k+1)) {
			t.Errorf("the audit says %+v", last.Event)
		}
	}
	must(t, h.run(a))
	for _, it := range h.items(t, r) {
		if it.State != batch.ItemSigned {
			t.Errorf("document %d is %s", it.Index, it.State)
		}
	}
	if h.Keys.Opens.Load() != 1 || h.Mail.Sent() != 1 || h.Keys.Signs.Load() != 20 {
		t.Errorf("%d PINs, %d codes, %d uses of the key", h.Keys.Opens.Load(), h.Mail.Sent(), h.Keys.Signs.Load())
	}
	var n int
	must(t, h.raw(t).QueryRow("SELECT count(*) FROM intents WHERE state = 'finished'").Scan(&n))
	if got, err := h.s.Request(ctx, r.App, r.ID); err != nil || got.Status != signer.Signed || n != 1 {
		t.Errorf("%s, %d finished intents, %v", got.Status, n, err)
	}
	h.ended(t, "after the end", shares)
	if resumed, abandoned, err := h.s.Recover(ctx); err != nil || len(resumed)+abandoned != 0 {
		t.Errorf("after the end: %d, %d, %v", len(resumed), abandoned, err)
	}
}

// A single signature ends with its request: nothing of its key is kept.
func TestSingleSignatureKeepsNoActivation(t *testing.T) {
	h, shares := withShares(t)
	a := h.authorize(t, h.Ask(3))
	if len(a.Intent.Activation) != 0 || a.Unresumable != nil {
		t.Errorf("an activation of %d bytes, %v", len(a.Intent.Activation), a.Unresumable)
	}
	must(t, a.Close())
	h.ended(t, "a single signature", shares)
	resumed, abandoned, err := h.s.Recover(ctx)
	if err != nil || len(resumed) != 0 || abandoned != 1 {
		t.Errorf("%d, %d, %v", len(resumed), abandoned, err)
	}
}

// Whatever was changed while nobody looked: nothing is signed, the rest needs
// PIN and code, and the reason is in the audit.
func TestNothingElseIsResumed(t *testing.T) {
	h0, _ := withShares(t)
	other := h0.authorize(t, h0.sealed(t, 2)).Intent.Activation
	alarm := signer.ErrDocuments.Error()
	cases := map[string]struct {
		reason string
		do     func(t *testing.T, h *house, s *storetest.Shares)
	}{
		"Redis lost it": {signer.ErrNoShare.Error(), func(t *testing.T, h *house, s *storetest.Shares) {
			for _, in := range must1(h.DB.OpenIntents(ctx)) {
				must(t, s.Drop(ctx, in.ID))
			}
		}},
		"Redis is away": {"internal error", func(_ *testing.T, _ *house, s *storetest.Shares) {
			s.Fail = func(string, bool) error { return errFault }
		}},
		"another share": {signer.ErrActivation.Error(), func(t *testing.T, h *house, s *storetest.Shares) {
			for _, in := range must1(h.DB.OpenIntents(ctx)) {
				share := must1(s.Load(ctx, in.ID))
				share.Reveal()[0] ^= 1
				must(t, s.Put(ctx, in.ID, share, time.Hour))
			}
		}},
		"no place for shares any more": {"gateway restarted", func(_ *testing.T, h *house, _ *storetest.Shares) { h.s.Shares = nil }},
		"the deadline": {signer.ErrDeadline.Error(), func(t *testing.T, h *house, s *storetest.Shares) {
			h.Clock.Advance(must1(h.DB.OpenIntents(ctx))[0].Deadline.Sub(h.Clock.Now()))
		}},
		"revoked": {signer.ErrCertificateRevoked.Error(), func(t *testing.T, h *house, _ *storetest.Shares) {
			must(t, h.DB.Revoke(ctx, h.Credential.Serial, h.Clock.Now(), 1, audit.Event{At: h.Clock.Now(), Action: "revoke"}))
		}},
		"the HSM is away": {signer.ErrKeysUnavailable.Error(), func(_ *testing.T, h *house, _ *storetest.Shares) {
			h.Keys.OnOpen = func(signer.Credential) error { return signer.ErrKeysUnavailable }
		}},
	}
	for statement, reason := range map[string]string{
		"UPDATE credentials SET status = 'SUSPENDED'":                                                              signer.ErrCertificateOnHold.Error(),
		"UPDATE credentials SET version = version + 1":                                                             signer.ErrKeyVersion.Error(),
		"UPDATE credentials SET sealed = x'00'":                                                                    signer.ErrKeyVersion.Error(),
		"UPDATE credentials SET algorithm = 'RSA-2048'":                                                            signer.ErrActivation.Error(),
		"UPDATE intents SET activation = NULL":                                                                     "gateway restarted",
		"UPDATE intents SET activation = x'00'":                                                                    signer.ErrActivation.Error(),
		fmt.Sprintf("UPDATE intents SET activation = x'%x'", other):                                                signer.ErrActivation.Error(),
		"UPDATE intents SET deadline = deadline + 1000000":                                                         alarm,
		"UPDATE intents SET root = zeroblob(32)":                                                                   alarm,
		"UPDATE intents SET count = count + 1":                                                                     alarm,
		"UPDATE intents SET seal = zeroblob(32)":                                                                   alarm,
		"UPDATE transactions SET root = zeroblob(32)":                                                              alarm,
		"UPDATE transactions SET count = 2":                                                                        alarm,
		"UPDATE transactions SET options = sealed('note', replace(opened(options), 'RAW', 'CMS'))":                 alarm,
		"UPDATE transactions SET options_hash = zeroblob(32)":                                                      alarm,
		"UPDATE transactions SET status = 'NEEDS_AUTHORISATION'":                                                   alarm,
		"UPDATE transactions SET batch_id = 'ba_x'":                                                                alarm,
		"UPDATE transactions SET credential_id = 'cr_x'":                                                           alarm,
		"UPDATE transactions SET ic = sealed('ic', '880101145678')":                                                signer.ErrUnknownOfficer.Error(),
		"UPDATE items SET name = name || 'x' WHERE idx = 7":                                                        alarm,
		"UPDATE items SET digest = zeroblob(32) WHERE idx = 7":                                                     alarm,
		"UPDATE items SET hash = 6 WHERE idx = 7":                                                                  alarm,
		"UPDATE items SET idx = 99 WHERE idx = 7":                                                                  alarm,
		"DELETE FROM items WHERE idx = 7":                                                                          alarm,
		inserted:                                                                                                   alarm,
		"UPDATE items SET name = name || 'x' WHERE idx = 0":                                                        alarm, // signed already
		"UPDATE items SET digest = zeroblob(32) WHERE idx = 0":                                                     alarm,
		"UPDATE items SET intent_id = 'in_x' WHERE idx = 0":                                                        alarm,
		"UPDATE items SET state = 'pending' WHERE idx = 0":                                                         alarm, // to be signed twice
		"UPDATE items SET state = 'claimed' WHERE idx = 0":                                                         alarm,
		"UPDATE items SET state = 'refused' WHERE idx = 3":                                                         alarm, // in hand when it stopped
		"UPDATE items SET state = 'signed', intent_id = '' WHERE idx = 7":                                          alarm,
		"UPDATE items SET state = 'signed', signature = x'00' WHERE idx = 3":                                       alarm,
		"UPDATE items SET state = 'signed', intent_id = (SELECT id FROM intents), signature = x'00' WHERE idx = 7": alarm,
		"DELETE FROM audit_events WHERE action = 'signer.complete'":                                                alarm,
	} {
		cases[statement] = struct {
			reason string
			do     func(t *testing.T, h *house, s *storetest.Shares)
		}{reason, func(t *testing.T, h *house, _ *storetest.Shares) {
			db := h.raw(t)
			db.SetMaxOpenConns(1)
			if _, err := db.Exec("PRAGMA foreign_keys = OFF"); err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}}
	}
	for what, c := range cases {
		t.Run(what, func(t *testing.T) {
			h, shares := withShares(t)
			a := h.authorize(t, h.sealed(t, 10))
			h.sign(t, a, 3)
			h.crash(t, a)
			signs := h.Keys.Signs.Load()
			c.do(t, h, shares)
			resumed, abandoned, err := h.s.Recover(ctx)
			if err != nil || len(resumed) != 0 || abandoned != 1 {
				t.Fatalf("%d resumed, %d abandoned, %v", len(resumed), abandoned, err)
			}
			if h.Keys.Signs.Load() != signs || h.Keys.Live.Load() != 0 {
				t.Errorf("%d uses of the key, %d open", h.Keys.Signs.Load()-signs, h.Keys.Live.Load())
			}
			var events []audit.Event
			_ = h.DB.AuditRecords(ctx, 0, func(r audit.Record) error { events = append(events, r.Event); return nil })
			if last := events[len(events)-1]; last.Action != "signer.abandon" || last.Detail["reason"] != c.reason {
				t.Errorf("the audit says %s, %q, want %q", last.Action, last.Detail["reason"], c.reason)
			}
			said := slices.ContainsFunc(events, func(ev audit.Event) bool { return ev.Action == "signer.alarm" && ev.Verdict == audit.Refused })
			if sealed := strings.HasPrefix(what, "UPDATE intents"); said != ((c.reason == alarm || c.reason == signer.ErrKeyVersion.Error()) && !sealed) {
				t.Errorf("an alarm was raised: %v", said)
			}
			shares.Fail = nil
			if h.s.Shares != nil && what != "Redis is away" {
				h.ended(t, what, shares)
			}
		})
	}
}

func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Redis fails at each call, not doing it or losing its answer: the batch is
// signed all the same, and what cannot be resumed says so.
func TestShareFaultsBothWays(t *testing.T) {
	for _, call := range []string{"Put", "Load", "Drop"} {
		for _, after := range []bool{false, true} {
			what := fmt.Sprintf("%s, done %v", call, after)
			h, shares := withShares(t)
			shares.Fail = func(c string, done bool) error {
				if c == call && done == after {
					return errFault
				}
				return nil
			}
			a := h.authorize(t, h.sealed(t, 10))
			records := storetest.Chain(t, h.DB)
			want := map[bool]string{true: "no", false: "yes"}[call == "Put"]
			if got := records[len(records)-1].Detail["resumable"]; got != want || (a.Unresumable != nil) != (call == "Put") {
				t.Errorf("%s: resumable %s, %v", what, got, a.Unresumable)
			}
			h.sign(t, a, 3)
			h.crash(t, a)
			resumed, abandoned, err := h.s.Recover(ctx)
			if err != nil || len(resumed)+abandoned != 1 || (len(resumed) == 1) != (call == "Drop") {
				t.Fatalf("%s: %d resumed, %d abandoned, %v", what, len(resumed), abandoned, err)
			}
			if len(resumed) == 0 {
				again := h.Ask(0)
				again.Documents, again.Batch = nil, a.Request.Batch
				resumed = append(resumed, h.authorize(t, again))
			}
			must(t, h.run(resumed[0]))
			for _, it := range h.items(t, a.Request) {
				if it.State != batch.ItemSigned {
					t.Errorf("%s: document %d is %s", what, it.Index, it.State)
				}
			}
			if h.Keys.Signs.Load() != 10 || h.Keys.Live.Load() != 0 {
				t.Errorf("%s: %d uses of the key, %d open", what, h.Keys.Signs.Load(), h.Keys.Live.Load())
			}
		}
	}
}

// The intent cannot be committed, or its answer is lost: no half is left.
func TestNoActivationWithoutIntent(t *testing.T) {
	for _, after := range []bool{false, true} {
		h, shares := withShares(t)
		f := &faultRecords{Records: h.DB, method: "RecordIntent", nth: 1, after: after, calls: map[string]int{}}
		_, confirm := h.prepare(t, h.sealed(t, 5))
		h.s.Records = f
		put := false
		shares.Fail = func(call string, done bool) error {
			put = put || call == "Put" && done && f.calls["RecordIntent"] == 0
			return nil
		}
		if _, err := h.s.Authorize(ctx, confirm); !errors.Is(err, errFault) {
			t.Fatal(err)
		}
		if !put {
			t.Error("the share was not there before the intent")
		}
		h.ended(t, fmt.Sprintf("done %v", after), shares)
	}
}

// resumeFaults fails what only a resumption calls.
type resumeFaults struct{ *faultRecords }

func (f resumeFaults) Authorised(ctx context.Context, in signer.Intent) iter.Seq2[signer.Authorised, error] {
	return func(yield func(signer.Authorised, error) bool) {
		if err := f.do("Authorised", func() error { return nil }); err != nil {
			yield(signer.Authorised{}, err)
			return
		}
		f.Records.Authorised(ctx, in)(yield)
	}
}

func (f resumeFaults) Accepted(ctx context.Context, object, action string) ([]audit.Event, error) {
	return value(f.faultRecords, "Accepted", func() ([]audit.Event, error) { return f.Records.Accepted(ctx, object, action) })
}

func (f resumeFaults) Resume(ctx context.Context, run signer.Run, ev audit.Event) error {
	return f.do("Resume", func() error { return f.Records.Resume(ctx, run, ev) })
}

func (f resumeFaults) Moment(ctx context.Context, do func(signer.Records) error) error {
	return f.Records.Moment(ctx, func(now signer.Records) error {
		at := &faultRecords{Records: now.(storetest.Records), method: f.method, nth: f.nth, after: f.after, calls: map[string]int{}}
		return do(resumeFaults{at})
	})
}

func TestResumeWithDatabaseFaults(t *testing.T) {
	for _, method := range []string{"Request", "Credential", "Authorised", "Accepted", "Resume", "OpenIntents"} {
		for _, after := range []bool{false, true} {
			what := fmt.Sprintf("%s, done %v", method, after)
			h, shares := withShares(t)
			a := h.authorize(t, h.sealed(t, 6))
			h.sign(t, a, 2)
			h.crash(t, a)
			h.s.Records = resumeFaults{&faultRecords{Records: h.DB, method: method, nth: 1, after: after, calls: map[string]int{}}}
			resumed, abandoned, err := h.s.Recover(ctx)
			switch {
			case method == "OpenIntents" && !errors.Is(err, errFault),
				method != "OpenIntents" && err != nil,
				method != "OpenIntents" && (len(resumed) != 0 || abandoned != 1):
				t.Errorf("%s: %d resumed, %d abandoned, %v", what, len(resumed), abandoned, err)
			}
			if method != "OpenIntents" {
				h.ended(t, what, shares)
			}
			if h.Keys.Signs.Load() != 2 || h.Keys.Live.Load() != 0 {
				t.Errorf("%s: %d uses of the key, %d open", what, h.Keys.Signs.Load(), h.Keys.Live.Load())
			}
		}
	}
}

// An officer's certificate is revoked between the look at it and the commit.
func TestRevokedWhileResuming(t *testing.T) {
	h, shares := withShares(t)
	a := h.authorize(t, h.sealed(t, 6))
	h.crash(t, a)
	h.Keys.OnOpen = func(signer.Credential) error {
		return h.DB.Revoke(ctx, h.Credential.Serial, h.Clock.Now(), 1, audit.Event{At: h.Clock.Now(), Action: "revoke"})
	}
	resumed, abandoned, err := h.s.Recover(ctx)
	if err != nil || len(resumed) != 0 || abandoned != 1 || h.Keys.Signs.Load() != 0 {
		t.Fatalf("%d resumed, %d abandoned, %v", len(resumed), abandoned, err)
	}
	h.ended(t, "revoked", shares)
}

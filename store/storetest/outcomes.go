package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/archive"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/notify"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
)

// sealed is a sealed batch of n documents that have bytes.
func (h *House) sealed(t *testing.T, id string, n int) (root [32]byte) {
	t.Helper()
	ctx := context.Background()
	h.batch(t, id, batch.PDF)
	list := items(0, n)
	var tree signer.Tree
	for k := range list {
		list[k].Blob = fmt.Sprintf("original/%s/%d", id, k)
		tree.Add(list[k].Leaf())
	}
	must(t, h.DB.AddItems(ctx, id, list, nil, h.ev("intake", id)))
	_, root = tree.Root()
	must(t, h.DB.Seal(ctx, id, uint32(n), root, false, h.ev("seal", id)))
	return root
}

// asked is a transaction that waits on a sealed batch.
func (h *House) asked(t *testing.T, id, batch, class string, n int) *signer.Request {
	t.Helper()
	r := h.request(t, "like_"+id, 1)
	must(t, h.DB.CancelRequest(context.Background(), r.ID, signer.Cancelled, h.ev("x", r.ID)))
	b, err := h.DB.Batch(context.Background(), batch)
	must(t, err)
	r.ID, r.Batch, r.Implicit, r.Class, r.Count, r.Root = id, batch, false, class, uint32(n), b.Root
	must(t, h.DB.CreateRequest(context.Background(), r, nil, h.ev("create", id), nil))
	return r
}

// begunOn is one that has PIN and code.
func (h *House) begunOn(t *testing.T, id, batch, class string, n int) signer.Intent {
	t.Helper()
	r := h.asked(t, id, batch, class, n)
	must(t, h.DB.StoreChallenge(context.Background(), h.challenge(id, 1), otp.DefaultPolicy(), h.ev("issue", id)))
	in, err := h.intent(r, 1)
	must(t, err)
	return in
}

var errNoGood = errors.New("no good")

// outcomes stores what became of the next documents, in the order of the claims: true is signed.
func (h *House) outcomes(t *testing.T, in signer.Intent, signed ...bool) {
	t.Helper()
	claimed, err := h.DB.Claim(context.Background(), RunOf(in), len(signed))
	must(t, err)
	var out []signer.Outcome
	for k, d := range claimed {
		o := signer.Outcome{Index: d.Index, Attempt: d.Attempt, Signature: []byte("sig"), Blob: "signed/x", Size: 1}
		if !signed[k] {
			o = signer.Outcome{Index: d.Index, Attempt: d.Attempt, Refused: errNoGood}
		}
		out = append(out, o)
	}
	slices.Reverse(out) // as they come
	_, err = h.DB.Complete(context.Background(), in.ID, out, h.Clock.Now(), h.ev("complete", in.ID))
	must(t, err)
}

func batchOutcomes(t *testing.T, h *House) {
	ctx, db := context.Background(), h.DB
	root := h.sealed(t, "ba", 7)
	if it, err := db.Item(ctx, "ba", 3); err != nil || it.Index != 3 || it.Name != "d3" || it.Blob != "original/ba/3" || it.State != batch.Pending {
		t.Errorf("item 3: %+v, %v", it, err)
	}
	_, err := db.Item(ctx, "ba", 7)
	wants(t, "an item that is not there", err, batch.ErrUnknown)
	docs, err := db.Leaves(ctx, "ba", 1, 2)
	if err != nil || len(docs) != 2 || docs[0].Index != 2 || docs[1].Index != 3 {
		t.Errorf("leaves: %+v, %v", docs, err)
	}
	docs, err = db.Leaves(ctx, "ba", -1, 100)
	must(t, err)
	var tree signer.Tree
	for k := range docs {
		tree.Add(docs[k].Leaf())
	}
	if _, got := tree.Root(); got != root {
		t.Errorf("the leaves give %x, want %x", got, root)
	}

	in := h.begunOn(t, "tx", "ba", "", 7)
	refusals := func(after int64, limit int) (out [][2]int64) {
		t.Helper()
		list, err := db.Refusals(ctx, "ba", after, limit)
		must(t, err)
		for _, it := range list {
			if it.Code != "internal_error" || it.Name != fmt.Sprintf("d%d", it.Index) {
				t.Errorf("a refusal: %+v", it)
			}
			out = append(out, [2]int64{int64(it.Index), it.Refusal})
		}
		return out
	}
	began := h.Clock.Now()
	h.outcomes(t, in, true, false, false) // refuses 2, then 1
	h.Clock.Advance(time.Second)
	if got := refusals(0, 10); !slices.Equal(got, [][2]int64{{2, 1}, {1, 2}}) {
		t.Errorf("refusals %v", got)
	}
	h.outcomes(t, in, true, true)
	if got := refusals(2, 10); len(got) != 0 {
		t.Errorf("nothing was refused since: %v", got)
	}
	h.outcomes(t, in, false)
	if got := refusals(1, 1); !slices.Equal(got, [][2]int64{{1, 2}}) {
		t.Errorf("one from the middle: %v", got)
	}
	if got := refusals(2, 10); !slices.Equal(got, [][2]int64{{5, 3}}) {
		t.Errorf("the newest: %v", got)
	}
	if by, err := db.RefusedBy(ctx, "ba"); err != nil || !maps.Equal(by, map[string]uint32{"internal_error": 3}) {
		t.Errorf("refused by code: %v, %v", by, err)
	}
	if c, err := db.Commits(ctx, "ba", 100); err != nil || len(c) != 2 || c[0].Items != 1 || c[1].Items != 2 || !c[0].At.Equal(began) || !c[1].At.Equal(began.Add(time.Second)) {
		t.Errorf("commits %+v, %v", c, err)
	}
	if c, err := db.Commits(ctx, "ba", 2); err != nil || len(c) != 1 || c[0].Items != 2 {
		t.Errorf("the last two items: %+v, %v", c, err)
	}
	if s, err := db.Signings(ctx, "ba"); err != nil || len(s) != 1 || s[in.ID].Format != signer.RAW {
		t.Errorf("signings %+v, %v", s, err)
	}
	if it, err := db.Item(ctx, "ba", 0); err != nil || it.Intent != in.ID || it.State != batch.ItemSigned {
		t.Errorf("item 0: %+v, %v", it, err)
	}
}

// What nobody comes for ends, with what waits on it and what was not signed; all else stays.
func batchExpires(t *testing.T, h *House) {
	ctx, db := context.Background(), h.DB
	start := h.Clock.Now()
	h.batch(t, "ba_open", batch.Digest)
	h.sealed(t, "ba_sealed", 2)
	h.sealed(t, "ba_half", 3)
	in := h.begunOn(t, "tx_half", "ba_half", "", 3)
	h.outcomes(t, in, true, false)
	must(t, db.Abandon(ctx, in.ID, h.ev("abandon", in.ID)))
	h.sealed(t, "ba_signing", 2)
	h.begunOn(t, "tx_signing", "ba_signing", "", 2)
	h.sealed(t, "ba_gone", 1)
	must(t, db.CancelBatch(ctx, "ba_gone", h.ev("cancel", "ba_gone")))
	h.sealed(t, "ba_asked", 1)
	single := h.request(t, "tx_single", 1)
	h.Clock.Advance(20 * 24 * time.Hour)
	h.batch(t, "ba_young", batch.Digest)
	h.asked(t, "tx_asked", "ba_asked", "", 1) // nobody confirms it
	h.Clock.Advance(time.Hour)

	expire := func(before time.Time) (n int) {
		t.Helper()
		for {
			some, err := db.ExpireBatch(ctx, before, h.Clock.Now())
			must(t, err)
			if !some {
				return n
			}
			n++
		}
	}
	removals := func() (out []string) {
		t.Helper()
		list, err := db.Archives().Removals(ctx, 1000)
		must(t, err)
		for _, r := range list {
			if r.Kind != archive.BlobFile {
				t.Errorf("removal of %+v", r)
			}
			out = append(out, r.Name)
		}
		return out
	}
	is := func(want map[string]batch.Status) {
		t.Helper()
		for id, status := range want {
			if b, err := db.Batch(ctx, id); err != nil || b.Status != status {
				t.Errorf("%s is %s, want %s, %v", id, b.Status, status, err)
			}
		}
	}
	if n := expire(start); n != 0 || len(removals()) != 0 {
		t.Errorf("%d expired before their time", n)
	}
	if n := expire(start.Add(24 * time.Hour)); n != 3 || h.events(t, "batch.expire") != 3 {
		t.Errorf("%d expired, want 3; %d events", n, h.events(t, "batch.expire"))
	}
	is(map[string]batch.Status{"ba_open": batch.Expired, "ba_sealed": batch.Expired, "ba_half": batch.Expired, "ba_signing": batch.Signing, "ba_gone": batch.Cancelled,
		"ba_asked": batch.Sealed, "ba_young": batch.Open, single.Batch: batch.Sealed})
	want := []string{"original/ba_half/1", "original/ba_half/1.password", "original/ba_half/2", "original/ba_half/2.password", "original/ba_open", "original/ba_sealed"}
	if got := removals(); !slices.Equal(got, want) {
		t.Errorf("removals %q, want %q", got, want)
	}
	if it, err := db.Item(ctx, "ba_half", 0); err != nil || it.State != batch.ItemSigned || it.SignedBlob == "" {
		t.Errorf("what was signed: %+v, %v", it, err)
	}
	// It is over: nobody signs it any more.
	wants(t, "cancelling an expired batch", db.CancelBatch(ctx, "ba_sealed", h.ev("cancel", "ba_sealed")), batch.ErrSealed)
	wants(t, "adding to one", db.AddItems(ctx, "ba_open", items(0, 1), nil, h.ev("intake", "ba_open")), batch.ErrSealed)
	r := h.asked(t, "tx_late", "ba_sealed", "", 2)
	must(t, db.StoreChallenge(ctx, h.challenge("tx_late", 1), otp.DefaultPolicy(), h.ev("issue", "tx_late")))
	_, err := h.intent(r, 1)
	wants(t, "an intent on one", err, signer.ErrFinished)

	// With a batch ends the transaction that waits on it.
	h.webhook(t, h.App.ID, 1, time.Time{})
	if n := expire(h.Clock.Now().Add(-time.Minute)); n != 2 {
		t.Errorf("%d expired, want 2", n)
	}
	is(map[string]batch.Status{"ba_asked": batch.Expired, "ba_young": batch.Expired, "ba_signing": batch.Signing})
	if r, err := db.Request(ctx, "tx_asked"); err != nil || r.Status != signer.Expired {
		t.Errorf("the transaction on it is %s, %v", r.Status, err)
	}
	if got := h.told(t, h.App.ID); len(got) != 1 || got[0].Type != notify.TransactionExpired {
		t.Errorf("told %+v", got)
	}
}

// The officer of a batch is told once how it ended, in the commit that ended it.
func batchNotices(t *testing.T, h *House) {
	ctx, db := context.Background(), h.DB
	h.drain(t)
	told := func(what string, want map[string]string) {
		t.Helper()
		list := h.drain(t)
		if want == nil {
			if len(list) != 0 {
				t.Errorf("%s: told %+v", what, list)
			}
			return
		}
		if len(list) != 1 || list[0].Kind != notify.BatchEnded || list[0].Officer != IC || list[0].Email == "" {
			t.Errorf("%s: told %+v", what, list)
			return
		}
		want["system"], want["fingerprint"] = "iGFMAS", list[0].Detail["fingerprint"]
		if !maps.Equal(list[0].Detail, want) {
			t.Errorf("%s: %v, want %v", what, list[0].Detail, want)
		}
	}
	h.sealed(t, "ba", 3)
	in := h.begunOn(t, "tx", "ba", "terbuka", 3)
	h.outcomes(t, in, true, false)
	told("before the end", nil)
	for range 2 {
		ev := h.ev("abandon", in.ID)
		ev.Detail = map[string]string{"reason": signer.ErrCertificateOnHold.Error()}
		must(t, db.Abandon(ctx, in.ID, ev))
	}
	told("stopped", map[string]string{"batch": "Kelompok ba", "status": "NEEDS_AUTHORISATION", "count": "3", "signed": "1", "refused": "1", "why": notify.StoppedByCertificate})
	in = h.begunOn(t, "tx2", "ba", "sulit", 1)
	h.outcomes(t, in, true)
	told("the rest, classified", map[string]string{"status": "SIGNED", "count": "1", "signed": "1", "refused": "0", "why": ""})
	h.sealed(t, "ba_bad", 1)
	h.outcomes(t, h.begunOn(t, "tx3", "ba_bad", "", 1), false)
	told("none signed", map[string]string{"batch": "Kelompok ba_bad", "status": "FAILED", "count": "1", "signed": "0", "refused": "1", "why": ""})
	// Single signatures tell their own story, and so does what was never confirmed.
	_, in = h.signing(t, "tx_single", 2)
	h.outcomes(t, in, true, true)
	h.sealed(t, "ba_no", 1)
	h.asked(t, "tx_no", "ba_no", "", 1)
	must(t, db.CancelRequest(ctx, "tx_no", signer.Cancelled, h.ev("cancel", "tx_no")))
	told("a single one, and one nobody confirmed", nil)
}

// Whatever is done with a batch keeps it from then on.
func batchTouched(t *testing.T, h *House) {
	ctx, db := context.Background(), h.DB
	half := func(id string) { // one is signed, one refused
		h.sealed(t, id, 2)
		h.outcomes(t, h.begunOn(t, "tx_"+id, id, "", 2), true, false)
	}
	kept := map[string]func(id string){
		"an upload": func(id string) { must(t, db.AddItems(ctx, id, items(0, 1), nil, h.ev("intake", id))) },
		"one in pages": func(id string) {
			must(t, db.ClaimIntake(ctx, id, "up"))
			must(t, db.Stage(ctx, id, "up", batch.Page{Items: items(0, 1)}))
			must(t, db.CommitIntake(ctx, id, "up", 0, 1, 0, h.ev("intake", id)))
		},
		"a page": func(id string) {
			must(t, db.ClaimIntake(ctx, id, "up"))
			must(t, db.Stage(ctx, id, "up", batch.Page{Items: items(0, 1)}))
		},
		"sealing":   func(id string) { must(t, db.Seal(ctx, id, 0, [32]byte{1}, false, h.ev("seal", id))) },
		"a request": nil, "its end": nil, "being signed": nil, "a retry": nil,
	}
	ids := map[string]string{}
	for what := range kept {
		id := fmt.Sprintf("ba_%d", len(ids))
		ids[what] = id
		switch what {
		case "a request", "its end", "being signed":
			h.sealed(t, id, 1)
		case "a retry":
			half(id)
		default:
			h.batch(t, id, batch.Digest)
		}
	}
	h.asked(t, "tx_ended", ids["its end"], "", 1)
	h.sealed(t, "ba_left", 1)
	h.Clock.Advance(40 * 24 * time.Hour)
	kept["a request"] = func(id string) {
		h.asked(t, "tx_new", id, "", 1)
	}
	kept["its end"] = func(string) {
		must(t, db.CancelRequest(ctx, "tx_ended", signer.Cancelled, h.ev("cancel", "tx_ended")))
	}
	kept["being signed"] = func(id string) {
		in := h.begunOn(t, "tx_begun", id, "", 1)
		must(t, db.PauseBatch(ctx, id, h.ev("pause", id)))
		must(t, db.ResumeBatch(ctx, id, h.ev("resume", id)))
		must(t, db.Abandon(ctx, in.ID, h.ev("abandon", in.ID)))
	}
	kept["a retry"] = func(id string) { must(t, db.RetryItems(ctx, id, nil, h.ev("retry", id))) }
	for what, do := range kept {
		do(ids[what])
	}
	touched := h.Clock.Now()
	h.Clock.Advance(time.Hour) // no upload is alive
	for range 20 {
		if _, err := db.ExpireBatch(ctx, touched, h.Clock.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := db.Batch(ctx, "ba_left"); err != nil || b.Status != batch.Expired {
		t.Errorf("what nobody touched is %s, %v", b.Status, err)
	}
	for what, id := range ids {
		if b, err := db.Batch(ctx, id); err != nil || b.Status == batch.Expired {
			t.Errorf("%s did not keep a batch: %s, %v", what, b.Status, err)
		}
	}
	// Nor does one end into which an upload comes, however long ago it was touched.
	h.batch(t, "ba_fed", batch.Digest)
	must(t, db.ClaimIntake(ctx, "ba_fed", "up"))
	later := h.Clock.Now().Add(time.Second)
	n := 0
	for some, err := db.ExpireBatch(ctx, later, later); some; some, err = db.ExpireBatch(ctx, later, later) {
		must(t, err)
		n++
	}
	if b, err := db.Batch(ctx, "ba_fed"); err != nil || b.Status != batch.Open || n == 0 {
		t.Errorf("%d expired; a batch in intake is %s, %v", n, b.Status, err)
	}
	h.Clock.Advance(time.Hour)
	if some, err := db.ExpireBatch(ctx, later, h.Clock.Now()); err != nil || !some {
		t.Errorf("when the upload is dead: %v, %v", some, err)
	}
	if b, err := db.Batch(ctx, "ba_fed"); err != nil || b.Status != batch.Expired {
		t.Errorf("when the upload is dead the batch is %s, %v", b.Status, err)
	}
}

// Of certificates in packs what goes is the pack, once, when none of it is signed.
func batchPacks(t *testing.T, h *House) {
	ctx, db := context.Background(), h.DB
	for _, id := range []string{"ba_expired", "ba_cancelled"} {
		h.batch(t, id, batch.Ecert)
		list := items(0, 6)
		var tree signer.Tree
		for k := range list { // two uploads of two, and two files
			list[k].Blob = fmt.Sprintf("original/%s/up_%d/pack#0+9/%d+7", id, k/2, 9+k)
			if k >= 4 {
				list[k].Blob = fmt.Sprintf("original/%s/%d", id, k)
			}
			tree.Add(list[k].Leaf())
		}
		must(t, db.AddItems(ctx, id, list, nil, h.ev("intake", id)))
		_, root := tree.Root()
		must(t, db.Seal(ctx, id, 6, root, false, h.ev("seal", id)))
		in := h.begunOn(t, "tx_"+id, id, "", 6)
		h.outcomes(t, in, true)
		must(t, db.Abandon(ctx, in.ID, h.ev("abandon", in.ID)))
	}
	h.sealed(t, "ba_none", 2)
	must(t, db.CancelBatch(ctx, "ba_none", h.ev("cancel", "ba_none"))) // its caller removes all
	must(t, db.CancelBatch(ctx, "ba_cancelled", h.ev("cancel", "ba_cancelled")))
	h.Clock.Advance(time.Hour)
	if some, err := db.ExpireBatch(ctx, h.Clock.Now(), h.Clock.Now()); err != nil || !some {
		t.Fatal(some, err)
	}
	list, err := db.Archives().Removals(ctx, 1000)
	must(t, err)
	var got, want []string
	for _, r := range list {
		got = append(got, r.Name)
	}
	for _, id := range []string{"ba_cancelled", "ba_expired"} {
		want = append(want, "original/"+id+"/4", "original/"+id+"/4.password", "original/"+id+"/5", "original/"+id+"/5.password", "original/"+id+"/up_1/pack")
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("removals %q, want %q", got, want)
	}
}

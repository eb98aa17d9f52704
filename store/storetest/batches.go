package storetest

import (
	"bytes"
	"context"
	"crypto"
	"fmt"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/signer"
)

func (h *House) batch(t *testing.T, id, kind string) {
	t.Helper()
	must(t, h.DB.CreateBatch(context.Background(), batch.Batch{ID: id, App: h.App.ID, Name: "Kelompok " + id, Kind: kind, Status: batch.Open, CreatedAt: h.Clock.Now()}, h.ev("create", id)))
}

func items(first, n int) (out []batch.Item) {
	for k := first; k < first+n; k++ {
		out = append(out, batch.Item{State: batch.Pending, Document: signer.Document{Index: uint32(k), Name: fmt.Sprintf("d%d", k), Hash: crypto.SHA512, Digest: bytes.Repeat([]byte{byte(k)}, 64), Reference: "r"}})
	}
	return out
}

func batchIntake(t *testing.T, h *House) {
	ctx, db := context.Background(), h.DB
	_, err := db.Batch(ctx, "ba")
	wants(t, "an unknown batch", err, batch.ErrUnknown)
	h.batch(t, "ba", batch.Digest)
	add := func(id string, items []batch.Item, refused ...batch.Refusal) error {
		return db.AddItems(ctx, id, items, refused, h.ev("intake", id))
	}
	must(t, add("ba", items(0, 3)))
	wants(t, "items that do not follow", add("ba", items(5, 1)), batch.ErrSealed)
	wants(t, "items taken in before", add("ba", items(0, 3)), batch.ErrSealed)
	must(t, add("ba", items(3, 2), batch.Refusal{Row: 4, Column: "nama", Name: "X", Code: "row_field_missing", Detail: "d"}))
	must(t, add("ba", nil, batch.Refusal{Row: 1, Code: "row_ic_invalid"}))
	wants(t, "a batch that is not there", add("ba_none", nil), batch.ErrUnknown)
	// Two items with one certificate number: the whole upload is refused.
	twins := items(5, 2)
	for k := range twins {
		twins[k].Record = &batch.Record{ID: fmt.Sprintf("rec%d", k)}
		twins[k].Record.Candidate.Number = "S1000001"
	}
	if err := add("ba", twins); err == nil {
		t.Error("one certificate number was taken in twice")
	}
	must(t, add("ba", twins[:1]))
	if n, err := db.Numbers(ctx, "ba"); err != nil || len(n) != 1 || !n["S1000001"] {
		t.Errorf("numbers: %v, %v", n, err)
	}
	if it, err := db.ItemByRecord(ctx, "rec0"); err != nil || it.Index != 5 || it.State != batch.Pending || it.Record.Candidate.Number != "S1000001" {
		t.Errorf("by record: %+v, %v", it, err)
	}
	_, err = db.ItemByRecord(ctx, "rec1")
	wants(t, "a record of a refused upload", err, batch.ErrUnknown)

	b, err := db.Batch(ctx, "ba")
	if err != nil || b.Next != 6 || b.Pending != 6 || b.RefusedRows != 2 || b.Status != batch.Open || b.Kind != batch.Digest || b.App != h.App.ID || !b.CreatedAt.Equal(h.Clock.Now()) {
		t.Errorf("batch %+v, %v", b, err)
	}
	page, err := db.Items(ctx, "ba", "", 1, 2)
	if err != nil || len(page) != 2 || page[0].Index != 2 || page[1].Index != 3 || page[0].Hash != crypto.SHA512 || len(page[0].Digest) != 64 || page[0].Reference != "r" {
		t.Errorf("a page: %+v, %v", page, err)
	}

	root := [32]byte{9}
	wants(t, "sealing with refused rows", db.Seal(ctx, "ba", 6, root, false, h.ev("seal", "ba")), batch.ErrRefusedRows)
	wants(t, "sealing another count", db.Seal(ctx, "ba", 5, root, true, h.ev("seal", "ba")), batch.ErrSealed)
	wants(t, "sealing nothing", db.Seal(ctx, "ba_none", 5, root, true, h.ev("seal", "ba")), batch.ErrUnknown)
	must(t, db.Seal(ctx, "ba", 6, root, true, h.ev("seal", "ba")))
	wants(t, "sealing twice", db.Seal(ctx, "ba", 6, root, true, h.ev("seal", "ba")), batch.ErrSealed)
	wants(t, "adding to a sealed batch", add("ba", items(6, 1)), batch.ErrSealed)
	if b, err = db.Batch(ctx, "ba"); err != nil || b.Status != batch.Sealed || b.Count != 6 || b.Root != root {
		t.Errorf("sealed %+v, %v", b, err)
	}
	if h.events(t, "seal") != 1 || h.events(t, "intake") != 4 {
		t.Errorf("%d seals and %d uploads are in the audit", h.events(t, "seal"), h.events(t, "intake"))
	}
}

func batchCancel(t *testing.T, h *House) {
	ctx, db := context.Background(), h.DB
	h.batch(t, "ba", batch.Digest)
	cancel := func(id string) error { return db.CancelBatch(ctx, id, h.ev("cancel", id)) }
	must(t, cancel("ba"))
	wants(t, "cancelling twice", cancel("ba"), batch.ErrSealed)
	r := h.request(t, "tx", 1)
	wants(t, "a live transaction", cancel(r.Batch), batch.ErrLive)
	must(t, db.CancelRequest(ctx, "tx", signer.Cancelled, h.ev("x", "tx")))
	must(t, cancel(r.Batch))
	r, in := h.signing(t, "tx2", 1)
	wants(t, "a batch that is being signed", cancel(r.Batch), batch.ErrLive)
	must(t, db.Abandon(ctx, in.ID, h.ev("x", "")))
	must(t, cancel(r.Batch))
	if b, err := db.Batch(ctx, r.Batch); err != nil || b.Status != batch.Cancelled || h.events(t, "cancel") != 3 {
		t.Errorf("%s, %v; %d events", b.Status, err, h.events(t, "cancel"))
	}
}

func documents(t *testing.T, h *House) {
	ctx, db := context.Background(), h.DB
	d := batch.Document{ID: "do_0", App: h.App.ID, Name: "n", Size: 5, Pages: 2, Digest: bytes.Repeat([]byte{1}, 32), Blob: "document/do_0", CreatedAt: h.Clock.Now()}
	must(t, db.PutDocument(ctx, d, h.ev("upload", d.ID)))
	if err := db.PutDocument(ctx, d, h.ev("upload", d.ID)); err == nil {
		t.Error("a document was stored twice")
	}
	if got, err := db.Document(ctx, d.ID); err != nil || fmt.Sprint(got) != fmt.Sprint(d) {
		t.Errorf("%+v, %v; want %+v", got, err, d)
	}
	_, err := db.Document(ctx, "do_none")
	wants(t, "an unknown document", err, batch.ErrUnknown)
	_, _, err = db.SignedDocument(ctx, d.ID)
	wants(t, "an unsigned document", err, batch.ErrNotSigned)
	for k, id := range []string{"tx1", "tx2"} { // both have do_0 as their first
		_, in := h.signing(t, id, 1)
		_, err := db.Claim(ctx, RunOf(in), 1)
		must(t, err)
		o := signer.Outcome{Attempt: 1, Blob: fmt.Sprintf("signed/%d", k), Size: int64(10 + k)}
		if _, err := db.Complete(ctx, in.ID, []signer.Outcome{o}, h.Clock.Now(), h.ev("x", "")); err != nil {
			t.Fatal(err)
		}
		if blob, size, err := db.SignedDocument(ctx, d.ID); err != nil || blob != o.Blob || size != o.Size {
			t.Errorf("signed: %s %d, %v; want %s", blob, size, err, o.Blob)
		}
		h.Clock.Advance(time.Second)
	}
}

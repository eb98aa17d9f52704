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
	wants(t, "items that do not follow", add("ba", items(5, 1)), batch.ErrIntake)
	wants(t, "items taken in before", add("ba", items(0, 3)), batch.ErrIntake)
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
	if n, err := db.Elsewhere(ctx, "bb", []string{"S1000001", "S1000002"}); err != nil || len(n) != 1 || n["S1000001"].Batch != "Kelompok ba" || n["S1000001"].App != h.App.ID {
		t.Errorf("numbers: %v, %v", n, err)
	}
	if n, err := db.Elsewhere(ctx, "ba", []string{"S1000001"}); err != nil || len(n) != 0 {
		t.Errorf("numbers of the batch itself: %v, %v", n, err)
	}
	if rows, err := db.RefusedRows(ctx, "ba", 0, 10); err != nil || len(rows) != 1 || rows[0].Row != 1 || rows[0].Code != "row_ic_invalid" {
		t.Errorf("refused rows: %+v, %v", rows, err)
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

// batchPages: an upload in pages is there whole or not at all.
func batchPages(t *testing.T, h *House) {
	ctx, db := context.Background(), h.DB
	h.batch(t, "ba", batch.PDF)
	h.batch(t, "bb", batch.Ecert)
	ev := h.ev("intake", "ba")
	none := func(what string) {
		t.Helper()
		b, err := db.Batch(ctx, "ba")
		must(t, err)
		page, err := db.Items(ctx, "ba", "", -1, 10)
		must(t, err)
		pending, err := db.Items(ctx, "ba", batch.Pending, -1, 10)
		must(t, err)
		rows, err := db.RefusedRows(ctx, "ba", -1, 10)
		must(t, err)
		for _, err := range db.Payments(ctx, "ba") {
			t.Errorf("%s: a payment is seen, %v", what, err)
		}
		if b.Pending+b.Next+b.RefusedRows != 0 || len(page)+len(pending)+len(rows) != 0 {
			t.Errorf("%s: seen are %+v, %d items, %d pending, %d rows", what, b, len(page), len(pending), len(rows))
		}
	}
	page := func(first int) batch.Page {
		p := batch.Page{Items: items(first, 3), FirstRow: uint32(first / 3), Refused: []batch.Refusal{{Row: first, Code: "row_ic_invalid"}}}
		for k := range p.Items {
			p.Items[k].Amount, p.Items[k].Payee = "1.50", "ALI"
		}
		return p
	}
	wants(t, "a page without a claim", db.Stage(ctx, "ba", "up_1", page(0)), batch.ErrIntake)
	wants(t, "a page of no batch", db.Stage(ctx, "ba_none", "up_1", page(0)), batch.ErrUnknown)
	wants(t, "claiming nothing", db.ClaimIntake(ctx, "ba_none", "up_1"), batch.ErrUnknown)
	must(t, db.ClaimIntake(ctx, "ba", "up_1"))
	wants(t, "a second upload", db.ClaimIntake(ctx, "ba", "up_2"), batch.ErrIntake)
	must(t, db.Stage(ctx, "ba", "up_1", page(0)))
	must(t, db.Stage(ctx, "ba", "up_1", page(3)))
	none("pages")
	wants(t, "sealing meanwhile", db.Seal(ctx, "ba", 0, [32]byte{}, true, ev), batch.ErrIntake)
	wants(t, "a small upload meanwhile", db.AddItems(ctx, "ba", items(0, 1), nil, ev), batch.ErrIntake)
	if dead, err := db.LapsedIntakes(ctx); err != nil || len(dead) != 0 {
		t.Errorf("dead uploads: %v, %v", dead, err)
	}

	// The upload dies: the next one finds nothing of it.
	h.Clock.Advance(time.Hour)
	if dead, err := db.LapsedIntakes(ctx); err != nil || dead["ba"] != "up_1" {
		t.Errorf("dead uploads: %v, %v", dead, err)
	}
	must(t, db.ClaimIntake(ctx, "ba", "up_2"))
	wants(t, "a page of who was taken for dead", db.Stage(ctx, "ba", "up_1", page(6)), batch.ErrIntake)
	wants(t, "its end", db.CommitIntake(ctx, "ba", "up_1", 0, 6, 2, ev), batch.ErrIntake)
	must(t, db.DropIntake(ctx, "ba", "up_1")) // of who holds nothing: nothing
	must(t, db.Stage(ctx, "ba", "up_2", page(0)))
	none("pages of the second")
	must(t, db.DropIntake(ctx, "ba", "up_2"))
	none("an upload that was given up")
	must(t, db.ClaimIntake(ctx, "ba", "up_3"))
	must(t, db.Stage(ctx, "ba", "up_3", page(0)))
	must(t, db.CommitIntake(ctx, "ba", "up_3", 0, 3, 1, ev))
	b, err := db.Batch(ctx, "ba")
	rows, rerr := db.RefusedRows(ctx, "ba", -1, 10)
	if err != nil || rerr != nil || b.Next != 3 || b.Pending != 3 || b.RefusedRows != 1 || b.Intake != "" || len(rows) != 1 {
		t.Errorf("taken in: %+v, %v, %v, %v", b, err, rows, rerr)
	}
	n := 0
	for p, err := range db.Payments(ctx, "ba") {
		if n++; err != nil || p.Amount != "1.50" || p.Payee != "ALI" {
			t.Errorf("payment %+v, %v", p, err)
		}
	}
	if n != 3 {
		t.Errorf("%d payments", n)
	}

	// A number is of one batch, also between two uploads at once; a cancelled one has none.
	numbered := func(id string) batch.Page {
		p := batch.Page{Items: items(0, 1)}
		p.Items[0].Record = &batch.Record{ID: "rec" + id}
		p.Items[0].Record.Candidate.Number = "S1000001"
		return p
	}
	h.batch(t, "bc", batch.Ecert)
	must(t, db.ClaimIntake(ctx, "bb", "up_4"))
	must(t, db.Stage(ctx, "bb", "up_4", numbered("4")))
	if seen, err := db.Elsewhere(ctx, "bc", []string{"S1000001"}); err != nil || len(seen) != 0 {
		t.Errorf("a number that was not taken in: %v, %v", seen, err)
	}
	if _, err := db.ItemByRecord(ctx, "rec4"); err == nil {
		t.Error("the public page has a certificate that was not taken in")
	}
	must(t, db.ClaimIntake(ctx, "bc", "up_5"))
	wants(t, "the number at once", db.Stage(ctx, "bc", "up_5", numbered("5")), batch.ErrIntake)
	must(t, db.CancelBatch(ctx, "bb", h.ev("cancel", "bb")))
	wants(t, "a page of a cancelled batch", db.Stage(ctx, "bb", "up_4", numbered("4b")), batch.ErrSealed)
	must(t, db.DropIntake(ctx, "bb", "up_4"))
	must(t, db.Stage(ctx, "bc", "up_5", numbered("5")))

	// Who buries an upload has it first, and the upload no more.
	wants(t, "the rest of one that lives", db.InheritIntake(ctx, "bc", "up_5", "up_6"), batch.ErrIntake)
	must(t, db.CancelBatch(ctx, "bc", h.ev("cancel", "bc")))
	h.Clock.Advance(time.Hour)
	wants(t, "the rest of one that is not there", db.InheritIntake(ctx, "bc", "up_4", "up_6"), batch.ErrIntake)
	must(t, db.InheritIntake(ctx, "bc", "up_5", "up_6"))
	wants(t, "the rest, twice", db.InheritIntake(ctx, "bc", "up_5", "up_7"), batch.ErrIntake)
	must(t, db.DropIntake(ctx, "bc", "up_5"))
	if b, err := db.Batch(ctx, "bc"); err != nil || b.Intake != "up_6" {
		t.Errorf("%+v, %v", b, err)
	}
	must(t, db.DropIntake(ctx, "bc", "up_6"))
	if b, err := db.Batch(ctx, "bc"); err != nil || b.Intake != "" {
		t.Errorf("%+v, %v", b, err)
	}
}

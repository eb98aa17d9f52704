package storetest

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/signer"
)

// own: a person's own app is kept with its person, once, and listed with no others; what an officer
// was asked, and an app has in batches, is given page by page, the newest first.
func own(t *testing.T, h *House) {
	ctx, db := context.Background(), h.DB
	person := enrol.NewAccount(enrol.Officer{IC: IC, Name: "MIMI", Email: "m@x.example"}, h.Clock.Now())
	must(t, db.PutPassword(ctx, person, []byte("one"), h.ev("password", IC)))
	a := enrol.App{ID: enrol.OwnApp(person.ID), Name: "Portal", Systems: []string{}, Grants: []string{enrol.GrantSign}, PINEntry: enrol.PINHosted, Rate: 1, CreatedAt: h.Clock.Now(),
		RedirectURIs: []string{}, State: enrol.AppActive, Person: person.ID}
	must(t, db.PutApp(ctx, a, nil, h.ev("app", a.ID)))
	if got, err := db.AppByID(ctx, a.ID); err != nil || !reflect.DeepEqual(got, a) {
		t.Errorf("%+v, %v; want %+v", got, err, a)
	}
	wants(t, "the same again", db.PutApp(ctx, a, nil, h.ev("app", a.ID)), enrol.ErrExists)
	second := a
	second.ID = "me_other"
	if err := db.PutApp(ctx, second, nil, h.ev("app", second.ID)); err == nil {
		t.Error("a second app of one person was stored")
	}
	list, err := db.ListApps(ctx, "", 100)
	if err != nil || len(list) != 1 || list[0].ID != h.App.ID {
		t.Errorf("apps %+v, %v", list, err)
	}

	var ids []string
	for k := range 5 {
		if k != 2 { // two of one moment
			h.Clock.Advance(time.Second)
		}
		ba := fmt.Sprint("ba", k)
		h.sealed(t, ba, 2)
		ids = append(ids, h.asked(t, fmt.Sprint("tx", k), ba, "", 2).ID)
	}
	var seen []string
	for q := (signer.Mine{Officer: IC, Limit: 2, Status: signer.Waiting}); ; {
		page, err := db.OwnTransactions(ctx, q)
		must(t, err)
		for _, x := range page {
			if seen = append(seen, x.ID); x.BatchName != "Kelompok "+x.Batch || x.Count != 2 || x.App != h.App.ID || x.Status != signer.Waiting {
				t.Errorf("%+v", x)
			}
		}
		if len(page) < q.Limit {
			break
		}
		q.Before = signer.Newest{At: page[1].CreatedAt, ID: page[1].ID}
	}
	if got, want := fmt.Sprint(seen), fmt.Sprint([]string{ids[4], ids[3], ids[2], ids[1], ids[0]}); got != want {
		t.Errorf("transactions %s, want %s", got, want)
	}
	if none, err := db.OwnTransactions(ctx, signer.Mine{Officer: "990101145678", Limit: 2}); err != nil || len(none) != 0 {
		t.Errorf("another officer's: %+v, %v", none, err)
	}
	if at, err := db.Intended(ctx, ids[0]); err != nil || !at.IsZero() {
		t.Errorf("intended %v, %v", at, err)
	}
	must(t, db.CancelRequest(ctx, ids[1], signer.Cancelled, h.ev("cancel", ids[1])))
	must(t, db.CancelBatch(ctx, "ba1", h.ev("cancel", "ba1")))

	first, err := db.BatchesOf(ctx, h.App.ID, false, signer.Newest{}, 3)
	must(t, err)
	if len(first) != 3 || first[0].ID != "ba4" || first[0].Pending != 2 || first[0].Status != batch.Sealed || first[2].ID != "ba2" {
		t.Errorf("batches %+v", first)
	}
	rest, err := db.BatchesOf(ctx, h.App.ID, true, signer.Newest{At: first[2].CreatedAt, ID: first[2].ID}, 3)
	if err != nil || len(rest) != 1 || rest[0].ID != "ba0" {
		t.Errorf("those that wait behind: %+v, %v", rest, err)
	}
	traces, err := db.Traces(ctx, ids[1], 10)
	if err != nil || len(traces) != 2 || traces[0].Action != "create" || traces[1].Action != "cancel" || traces[0].Seq >= traces[1].Seq || traces[0].At.IsZero() {
		t.Errorf("traces %+v, %v", traces, err)
	}
	_, err = db.SecurityImage(ctx, "990101145678")
	wants(t, "nobody's picture", err, enrol.ErrUnknown)
	if found, err := db.ByNumber(ctx, "S1"); err != nil || len(found) != 0 {
		t.Errorf("%+v, %v", found, err)
	}
}

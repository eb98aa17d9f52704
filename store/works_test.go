package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/notify"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/storetest"
)

// A letter that was given up is not due, is seen with the server's reply, tried again once somebody
// says so, given up once more, and dropped; what was read before a try changes nothing after it.
func TestLettersThatWereGivenUp(t *testing.T) {
	db, _ := storetest.SQLite(t)
	h := storetest.NewHouse(t, db)
	ctx, at := t.Context(), h.Clock.Now()
	event := func(action string) audit.Event {
		return audit.Event{At: at, Actor: "account:a", Action: action, Verdict: audit.Accepted, Detail: map[string]string{"reply": "550"}}
	}
	for { // what making the house has left
		n, ok, err := db.ClaimNotice(ctx, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		if err := db.FinishNotice(ctx, n); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.AuditLock(ctx, storetest.IC, signer.PINState{Blocked: true}, event("pin.lock")); err != nil {
		t.Fatal(err)
	}
	give := func() {
		t.Helper()
		h.Clock.Advance(time.Second)
		n, ok, err := db.ClaimNotice(ctx, time.Minute)
		if err != nil || !ok || n.Kind != notify.PINBlocked {
			t.Fatalf("%+v, %v, %v", n, ok, err)
		}
		if err := db.GiveUpNotice(ctx, n, event("notice.deliver")); err != nil {
			t.Fatal(err)
		}
	}
	give()
	if _, ok, err := db.ClaimNotice(ctx, time.Minute); ok || err != nil {
		t.Fatalf("a letter that was given up is due: %v, %v", ok, err)
	}
	list, err := db.Letters(ctx, enrol.LetterQuery{State: enrol.LetterFailed, Limit: 10})
	if err != nil || len(list) != 1 || list[0].Reply != "550" || list[0].IC != storetest.IC || list[0].State != enrol.LetterFailed {
		t.Fatalf("%+v, %v", list, err)
	}
	counts, err := db.LettersByKind(ctx)
	if err != nil || len(counts) != 1 || counts[0].Failed != 1 || counts[0].Waiting+counts[0].Deferred != 0 {
		t.Errorf("%+v, %v", counts, err)
	}
	if err := db.RetryLetter(ctx, list[0], event("notice.retry")); err != nil {
		t.Fatal(err)
	}
	give()
	if err := db.DropLetter(ctx, list[0], event("notice.drop")); !errors.Is(err, enrol.ErrState) {
		t.Errorf("dropping what was tried since: %v", err)
	}
	l, err := db.Letter(ctx, list[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.DropLetter(ctx, l, event("notice.drop")); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Letter(ctx, l.ID); !errors.Is(err, enrol.ErrUnknown) {
		t.Errorf("a dropped letter: %v", err)
	}
}

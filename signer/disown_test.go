package signer_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/notify"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/storetest"
)

// alarms are the events "transaction.disown".
func (h *house) alarms(t testing.TB) (out []audit.Event) {
	t.Helper()
	for _, rec := range storetest.Chain(t, h.DB) {
		if rec.Action == "transaction.disown" {
			out = append(out, rec.Event)
		}
	}
	return out
}

// noticed empties the outbox and counts the notices to administrators.
func (h *house) noticed(t testing.TB) (count int) {
	t.Helper()
	for {
		n, ok, err := h.DB.ClaimNotice(ctx, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return count
		}
		if n.Kind == notify.TransactionDisowned {
			count++
		}
	}
}

func TestDisownCancelsOnce(t *testing.T) {
	h := newHouse(t)
	r, f := h.prepare(t, h.Ask(2))
	link := h.Mail.Link()
	for range 3 {
		got, at, err := h.s.Asked(ctx, link)
		if err != nil || got.ID != r.ID || got.Status != signer.Waiting || !at.Equal(h.Clock.Now()) {
			t.Fatalf("%+v at %v, %v", got, at, err)
		}
	}
	if len(h.alarms(t)) != 0 {
		t.Fatal("looking is no alarm")
	}
	got, _, err := h.s.Disown(ctx, link, "req-9")
	if err != nil || got.ID != r.ID || got.Status != signer.Cancelled || got.Confirmed() {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, _, err := h.s.Disown(ctx, link, "req-9"); !errors.Is(err, signer.ErrUnknown) {
		t.Errorf("again: %v", err)
	}
	if _, _, err := h.s.Asked(ctx, link); !errors.Is(err, signer.ErrUnknown) {
		t.Errorf("looking again: %v", err)
	}
	a := h.alarms(t)
	if len(a) != 1 || a[0].Verdict != audit.Accepted || a[0].Actor != "officer:link" || a[0].Object != r.ID || a[0].RequestID != "req-9" ||
		a[0].Detail["officer"] != storetest.IC || a[0].Detail["status"] != "WAITING" || a[0].Detail["fingerprint"] != signer.Fingerprint(r.Root) || a[0].Detail["count"] != "2" {
		t.Errorf("alarms %+v", a)
	}
	// PIN and code are right, and of no use.
	if _, err := h.s.Authorize(ctx, f); !errors.Is(err, signer.ErrCancelled) || h.Keys.Opens.Load() != 0 {
		t.Errorf("%v, %d keys opened", err, h.Keys.Opens.Load())
	}
	ch, err := h.DB.Challenge(ctx, r.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.s.Codes.Check(ctx, otp.Binding{Transaction: r.ID}, ch.Nonce, f.Code); !errors.Is(err, otp.ErrExpired) {
		t.Errorf("the code was not dropped: %v", err)
	}
}

func TestDisownTooLateIsALouderAlarm(t *testing.T) {
	h := newHouse(t)
	a := h.authorize(t, h.Ask(1))
	defer a.Close()
	got, _, err := h.s.Disown(ctx, h.Mail.Link(), "req-9")
	if err != nil || got.Status != signer.Signing || !got.Confirmed() {
		t.Fatalf("%+v, %v", got, err)
	}
	if e := h.alarms(t); len(e) != 1 || e[0].Verdict != audit.Refused || e[0].Detail["reason"] == "" || e[0].Detail["status"] != "SIGNING" {
		t.Errorf("alarms %+v", e)
	}
	if r, err := h.s.Request(ctx, a.Request.App, a.Request.ID); err != nil || r.Status != signer.Signing {
		t.Errorf("the transaction is %s, %v", r.Status, err)
	}

	// One that the app has cancelled: an alarm, and nothing to do.
	r, _ := h.prepare(t, h.Ask(1))
	if err := h.s.Cancel(ctx, r.App, r.ID, ""); err != nil {
		t.Fatal(err)
	}
	if got, _, err := h.s.Disown(ctx, h.Mail.Link(), ""); err != nil || got.Confirmed() {
		t.Errorf("%+v, %v", got, err)
	}
	if e := h.alarms(t); len(e) != 2 || e[1].Verdict != audit.Noted {
		t.Errorf("alarms %+v", e)
	}
}

func TestLinksDie(t *testing.T) {
	h := newHouse(t)
	r, _ := h.prepare(t, h.Ask(1))
	old := h.Mail.Link()
	h.Clock.Advance(time.Minute)
	if _, _, err := h.s.Resend(ctx, r.App, r.ID, "", ""); err != nil {
		t.Fatal(err)
	}
	for what, token := range map[string]secret.Text{"replaced": old, "none": {}, "made up": secret.New("AAECAwQFBgcICQoLDA0ODw"), "cut": secret.NewBytes(h.Mail.Link().Reveal()[:21])} {
		if _, _, err := h.s.Disown(ctx, token, ""); !errors.Is(err, signer.ErrUnknown) {
			t.Errorf("%s: %v", what, err)
		}
	}
	h.Clock.Advance(r.ExpiresAt.Add(24*time.Hour - time.Second).Sub(h.Clock.Now()))
	if _, _, err := h.s.Asked(ctx, h.Mail.Link()); err != nil {
		t.Errorf("within a day: %v", err)
	}
	h.Clock.Advance(time.Second)
	if _, _, err := h.s.Disown(ctx, h.Mail.Link(), ""); !errors.Is(err, signer.ErrUnknown) {
		t.Errorf("after a day: %v", err)
	}
	if len(h.alarms(t)) != 0 {
		t.Error("dead links are alarms")
	}
}

// PIN and code against "this was not me": one of them, never both or neither.
func TestDisownOrAuthorize(t *testing.T) {
	h := newHouse(t)
	cancelled, confirmed := 0, 0
	for round := range 20 {
		r, f := h.prepare(t, h.Ask(1))
		link := h.Mail.Link()
		var wg sync.WaitGroup
		var a *signer.Authorization
		var authErr, disownErr error
		var got *signer.Request
		start, opened := make(chan struct{}), make(chan struct{})
		release := sync.OnceFunc(func() { close(opened) })
		// At the same time, or when the key is opened and the commit near.
		h.Keys.OnOpen = func(signer.Credential) error { release(); return nil }
		if round%2 == 0 {
			release()
		}
		wg.Go(func() { <-start; a, authErr = h.s.Authorize(ctx, f); release() })
		wg.Go(func() { <-start; <-opened; got, _, disownErr = h.s.Disown(ctx, link, "") })
		close(start)
		wg.Wait()
		now, err := h.s.Request(ctx, r.App, r.ID)
		switch {
		case err != nil || disownErr != nil:
			t.Fatalf("%v, %v", err, disownErr)
		case authErr == nil && now.Status == signer.Signing && got.Confirmed():
			confirmed++
			a.Close()
			if err := h.s.Abandon(ctx, a.Intent, errFault); err != nil {
				t.Fatal(err)
			}
		case authErr != nil && now.Status == signer.Cancelled && !got.Confirmed():
			cancelled++
			if !errors.Is(authErr, signer.ErrCancelled) && !errors.Is(authErr, signer.ErrFinished) && !errors.Is(authErr, otp.ErrExpired) {
				t.Errorf("refused with %v", authErr)
			}
		default:
			t.Fatalf("%s; authorize %v, disown %+v", now.Status, authErr, got)
		}
		h.Clock.Advance(7 * time.Minute) // below the limit of codes an hour
	}
	if h.Keys.Live.Load() != 0 || len(h.alarms(t)) != 20 || h.pin(t) != (signer.PINState{}) {
		t.Errorf("%d keys are open, %d alarms, counter %+v", h.Keys.Live.Load(), len(h.alarms(t)), h.pin(t))
	}
	t.Logf("%d cancelled, %d confirmed", cancelled, confirmed)
}

// meanwhile does something between reading a link and using it.
type meanwhile struct {
	storetest.Records
	do func()
}

func (m *meanwhile) Linked(ctx context.Context, token [32]byte, since time.Time) (signer.Request, time.Time, error) {
	r, at, err := m.Records.Linked(ctx, token, since)
	m.do()
	return r, at, err
}

func TestDisownOvertaken(t *testing.T) {
	h := newHouse(t)
	_, f := h.prepare(t, h.Ask(1))
	once := sync.OnceFunc(func() {
		a, err := h.s.Authorize(ctx, f)
		if err != nil {
			t.Fatal(err)
		}
		a.Close()
	})
	got, _, err := h.Signer(&meanwhile{h.DB, once}, h.blobs).Disown(ctx, h.Mail.Link(), "")
	if err != nil || !got.Confirmed() {
		t.Errorf("%+v, %v", got, err)
	}
	if e := h.alarms(t); len(e) != 1 || e[0].Verdict != audit.Refused {
		t.Errorf("alarms %+v", e)
	}
}

// A database that fails before or after the commit: never done and unaudited.
func TestDisownUnderFaults(t *testing.T) {
	for _, method := range []string{"Linked", "Disown"} {
		for _, after := range []bool{false, true} {
			h := newHouse(t)
			r, _ := h.prepare(t, h.Ask(1))
			s := h.Signer(&faultRecords{Records: h.DB, method: method, nth: 1, after: after, calls: map[string]int{}}, h.blobs)
			s.AlarmTo = []string{"sap@jpk.example"}
			if _, _, err := s.Disown(ctx, h.Mail.Link(), ""); !errors.Is(err, errFault) {
				t.Errorf("%s: %v", method, err)
			}
			done := method == "Disown" && after
			got, err := h.DB.Request(ctx, r.ID)
			if err != nil || (got.Status == signer.Cancelled) != done || (len(h.alarms(t)) == 1) != done {
				t.Errorf("%s, after %v: %s, %v, %d alarms", method, after, got.Status, err, len(h.alarms(t)))
			}
			if _, _, err := s.Disown(ctx, h.Mail.Link(), ""); done != errors.Is(err, signer.ErrUnknown) || !done && err != nil {
				t.Errorf("%s, after %v: again: %v", method, after, err)
			}
			// However often it is tried, one notice and one event.
			if n := h.noticed(t); n != 1 || len(h.alarms(t)) != 1 {
				t.Errorf("%s, after %v: %d notices, %d alarms", method, after, n, len(h.alarms(t)))
			}
		}
	}
}

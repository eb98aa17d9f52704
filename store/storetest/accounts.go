package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/otp"
)

func accounts(t *testing.T, h *House) {
	ctx, db, now := context.Background(), h.DB, h.Clock.Now()
	person := enrol.NewAccount(enrol.Officer{IC: "820101145678", Name: "MIMI", Email: "m@x.example"}, now)
	_, _, err := db.AccountByIC(ctx, person.IC)
	wants(t, "nobody", err, enrol.ErrUnknown)
	must(t, db.PutPassword(ctx, person, []byte("one"), h.ev("password", person.IC)))
	must(t, db.OpenSession(ctx, h.login(t, person.ID), enrol.Session{ID: "se_1", Account: person.ID, Method: "m", Address: "a", CreatedAt: now}, [32]byte{1}, 0, h.ev("open", "")))
	again := enrol.NewAccount(enrol.Officer{IC: person.IC, Name: "OTHER", Email: "o@x.example"}, now)
	must(t, db.PutPassword(ctx, again, []byte("two"), h.ev("password", person.IC)))
	got, proofs, err := db.AccountByIC(ctx, person.IC)
	if err != nil || got.ID != person.ID || got.Name != "MIMI" || got.State != enrol.AccountActive || string(proofs.Password) != "two" || proofs.Epoch != 1 || len(proofs.TOTP) != 0 {
		t.Errorf("%+v %+v %v", got, proofs, err)
	}
	_, err = db.Session(ctx, [32]byte{1})
	wants(t, "a session of the old password", err, enrol.ErrUnknown)

	// Somebody whose account has ended becomes an administrator, and keeps the account; a
	// living one is not touched.
	until := now.Add(time.Hour)
	boss := enrol.NewAccount(enrol.Officer{IC: person.IC, Name: "MIMI", Email: "m@jdn.example"}, now)
	boss.Kind, boss.State, boss.Appointments = enrol.AdministratorAccount, enrol.AccountNew, []enrol.Appointment{{Role: enrol.AP, Agency: "JPK", From: now}}
	wants(t, "a living account", db.PutAdministrator(ctx, boss, [32]byte{7}, until, h.ev("admin", "")), enrol.ErrExists)
	must(t, db.EndAccount(ctx, person.ID, h.ev("gone", "")))
	must(t, db.PutAdministrator(ctx, boss, [32]byte{7}, until, h.ev("admin", "")))
	wants(t, "twice", db.PutAdministrator(ctx, boss, [32]byte{8}, until, h.ev("admin", "")), enrol.ErrExists)
	got, proofs, err = db.BySetup(ctx, [32]byte{7}, now)
	if err != nil || got.ID != person.ID || got.Kind != enrol.AdministratorAccount || got.State != enrol.AccountNew || len(proofs.Password) != 0 || len(got.Appointments) != 1 || !got.Appointments[0].From.Equal(now) {
		t.Errorf("%+v %+v %v", got, proofs, err)
	}
	wants(t, "a password before the set-up", db.PutPassword(ctx, again, []byte("three"), h.ev("password", "")), enrol.ErrUnknown)
	_, _, err = db.BySetup(ctx, [32]byte{7}, until)
	wants(t, "an expired set-up", err, enrol.ErrUnknown)
	must(t, db.PutTOTP(ctx, [32]byte{7}, []byte("sealed"), now, h.ev("totp", "")))
	wants(t, "an expired set-up", db.PutTOTP(ctx, [32]byte{7}, []byte("x"), until, h.ev("totp", "")), enrol.ErrUnknown)
	done, lost := parallel(t, 20, func() error {
		return db.CompleteSetup(ctx, [32]byte{7}, []byte("three"), 50, now, h.ev("setup", ""))
	}, enrol.ErrUnknown)
	if done != 1 || lost != 19 || h.events(t, "setup") != 1 {
		t.Errorf("a set-up code was good %d times, %d events", done, h.events(t, "setup"))
	}

	// A time step is accepted once, and a log-in used once.
	step := func(step int64) error {
		return db.OpenSession(ctx, h.login(t, person.ID), enrol.Session{ID: time.Now().String(), Account: person.ID, CreatedAt: now}, [32]byte{byte(step)}, step, h.ev("open", ""))
	}
	wants(t, "the step of the set-up", step(50), enrol.ErrUsed)
	must(t, step(51))
	wants(t, "the step again", step(51), enrol.ErrUsed)
	l := h.login(t, person.ID)
	n := byte(100)
	once, refused := parallel(t, 20, func() error {
		return db.OpenSession(ctx, l, enrol.Session{ID: "se_once", Account: person.ID, CreatedAt: now}, [32]byte{n}, 0, h.ev("open", ""))
	}, enrol.ErrUsed)
	if once != 1 || refused != 19 {
		t.Errorf("a log-in opened %d sessions", once)
	}
	_, _, err = db.LoginOf(ctx, l.ID, "password")
	wants(t, "a used log-in", err, enrol.ErrUsed)
	_, _, err = db.LoginOf(ctx, l.ID, "webauthn")
	wants(t, "another purpose", err, enrol.ErrUnknown)
	if list, err := db.Sessions(ctx, person.ID, now.Add(-time.Hour)); err != nil || len(list) != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	must(t, db.Touch(ctx, [32]byte{100}, now.Add(time.Minute)))
	if s, err := db.Session(ctx, [32]byte{100}); err != nil || !s.SeenAt.Equal(now.Add(time.Minute)) || !s.CreatedAt.Equal(now) {
		t.Errorf("%+v, %v", s, err)
	}
	h.passkeys(t, person.ID)

	h.appointments(t, person.ID)
	h.hands(t)
	if list, err := db.Sessions(ctx, person.ID, now.Add(-time.Hour)); err != nil || len(list) != 0 {
		t.Errorf("sessions after a role ended: %+v, %v", list, err)
	}
	before := h.events(t, "end")
	wants(t, "an appointment nobody has", db.EndAppointment(ctx, enrol.Appointment{ID: "ap_none", Until: now}, h.ev("end", "")), enrol.ErrUnknown)
	must(t, db.EndAccount(ctx, person.ID, h.ev("gone", "")))
	wants(t, "ended twice", db.EndAccount(ctx, person.ID, h.ev("gone", "")), enrol.ErrUnknown)
	wants(t, "a log-in to an ended account", db.OpenSession(ctx, h.login(t, person.ID), enrol.Session{ID: "se_x", Account: person.ID, CreatedAt: now}, [32]byte{200}, 0, h.ev("open", "")), enrol.ErrUsed)
	if h.events(t, "end") != before {
		t.Error("what did not happen was recorded")
	}
	must(t, db.PutAdministrator(ctx, boss, [32]byte{9}, until, h.ev("admin", ""))) // appointed again
	if got, _, err := db.Account(ctx, person.ID); err != nil || got.State != enrol.AccountNew || len(got.Appointments) != 4 {
		t.Errorf("%+v, %v", got, err)
	}
}

// appointments leaves the account, to which AP of JPK was appointed, without any in force.
func (h *House) appointments(t *testing.T, id string) {
	t.Helper()
	ctx, db, now := context.Background(), h.DB, h.Clock.Now()
	got, _, err := db.Account(ctx, id)
	must(t, err)
	ap := got.Appointments[0]
	wants(t, "the same once more", db.PutAppointment(ctx, enrol.Account{ID: id}, enrol.Appointment{ID: "ap_2", Role: enrol.AP, Agency: "JPK", From: now}, h.ev("x", "")), enrol.ErrExists)
	ap.Until, ap.EndDocument, ap.EndedBy = now.Add(time.Second), "JPK.7", "somebody"
	must(t, db.EndAppointment(ctx, ap, h.ev("end", "")))
	wants(t, "ended twice", db.EndAppointment(ctx, ap, h.ev("end", "")), enrol.ErrUnknown)
	if of, x, err := db.Appointment(ctx, ap.ID); err != nil || of.ID != id || x.EndDocument != "JPK.7" || x.EndedBy != "somebody" || !x.Until.Equal(ap.Until) || x.ID == "" {
		t.Errorf("%+v, %v", x, err)
	}
	_, _, err = db.Appointment(ctx, "ap_none")
	wants(t, "nobody's appointment", err, enrol.ErrUnknown)

	// Of two central administrators each can end the other, and one stays.
	jdn := enrol.Appointment{ID: "ap_jdn", Role: enrol.JDN, From: now, Document: "D1", By: "x", ByIC: "1", Awaits: true}
	must(t, db.PutAppointment(ctx, enrol.Account{ID: id}, jdn, h.ev("x", "")))
	if _, x, err := db.Appointment(ctx, "ap_jdn"); err != nil || !x.Awaits || x.Document != "D1" || x.By != "x" || x.ByIC != "1" {
		t.Errorf("%+v, %v", x, err)
	}
	must(t, db.ConfirmAppointment(ctx, "ap_jdn", h.ev("confirm", "")))
	wants(t, "confirmed twice", db.ConfirmAppointment(ctx, "ap_jdn", h.ev("confirm", "")), enrol.ErrUnknown)
	jdn.Until = now.Add(time.Minute)
	wants(t, "the last JDN", db.EndAppointment(ctx, jdn, h.ev("x", "")), enrol.ErrLastJDN)
	wants(t, "the account of the last JDN", db.EndAccount(ctx, id, h.ev("x", "")), enrol.ErrLastJDN)
	other := enrol.NewAccount(enrol.Officer{IC: "700202105432", Name: "LIM", Email: "l@x.example"}, now)
	other.Kind, other.State, other.Appointments = enrol.AdministratorAccount, enrol.AccountNew, []enrol.Appointment{{ID: "ap_jdn2", Role: enrol.JDN, From: now}}
	must(t, db.PutAdministrator(ctx, other, [32]byte{21}, now.Add(time.Hour), h.ev("x", "")))
	wants(t, "another who cannot log in yet", db.EndAppointment(ctx, jdn, h.ev("x", "")), enrol.ErrLastJDN)
	must(t, db.CompleteSetup(ctx, [32]byte{21}, []byte("p"), 1, now, h.ev("x", "")))
	ends := []enrol.Appointment{jdn, {ID: "ap_jdn2", Until: now.Add(time.Minute)}}
	next := make(chan enrol.Appointment, len(ends))
	for _, x := range ends {
		next <- x
	}
	done, kept := parallel(t, 2, func() error { return db.EndAppointment(ctx, <-next, h.ev("x", "")) }, enrol.ErrLastJDN)
	if done != 1 || kept != 1 {
		t.Errorf("%d of two ended at once", done)
	}
	// A third takes over from whoever stayed.
	third := enrol.NewAccount(enrol.Officer{IC: "700202105433", Name: "OOI", Email: "o@x.example"}, now)
	third.Kind, third.State, third.Appointments = enrol.AdministratorAccount, enrol.AccountNew, []enrol.Appointment{{ID: "ap_jdn3", Role: enrol.JDN, From: now}}
	must(t, db.PutAdministrator(ctx, third, [32]byte{22}, now.Add(time.Hour), h.ev("x", "")))
	must(t, db.CompleteSetup(ctx, [32]byte{22}, []byte("p"), 1, now, h.ev("x", "")))
	if err := db.EndAppointment(ctx, jdn, h.ev("x", "")); err != nil && !errors.Is(err, enrol.ErrUnknown) {
		t.Error(err)
	}
	must(t, db.PutAppointment(ctx, enrol.Account{ID: id}, enrol.Appointment{Role: enrol.Auditor, From: now}, h.ev("x", "")))
}

// login stores a new one.
func (h *House) login(t *testing.T, account string) enrol.Login {
	t.Helper()
	h.logins++
	l := enrol.Login{ID: "lg_" + string(rune('a'+h.logins/26)) + string(rune('a'+h.logins%26)), Account: account, Subject: "ic:x", ExpiresAt: h.Clock.Now().Add(time.Minute)}
	must(t, h.DB.PutLogin(context.Background(), l, "password", "data"))
	return l
}

func (h *House) passkeys(t *testing.T, account string) {
	t.Helper()
	ctx, db, now := context.Background(), h.DB, h.Clock.Now()
	k := enrol.Passkey{ID: []byte{1, 0, 255}, Label: "L", Data: []byte(`{"x":1}`), SignCount: 3, CreatedAt: now}
	must(t, db.PutPasskey(ctx, h.login(t, account), k, h.ev("key", "")))
	wants(t, "the same passkey", db.PutPasskey(ctx, h.login(t, account), k, h.ev("key", "")), enrol.ErrExists)
	for count, want := range map[uint32]error{3: enrol.ErrUsed, 2: enrol.ErrUsed, 0: enrol.ErrUsed} {
		k.SignCount = count
		wants(t, "a count that did not grow", db.UsePasskey(ctx, k), want)
	}
	k.SignCount, k.UsedAt = 4, now
	used, copies := parallel(t, 10, func() error { return db.UsePasskey(ctx, k) }, enrol.ErrUsed)
	if list, err := db.Passkeys(ctx, account); err != nil || used != 1 || copies != 9 || len(list) != 1 || list[0].SignCount != 4 || !list[0].UsedAt.Equal(now) || string(list[0].ID) != string(k.ID) {
		t.Errorf("%d uses of one count; %+v, %v", used, list, err)
	}
	without := enrol.Passkey{ID: []byte{2}, Label: "no counter", Data: []byte("{}"), CreatedAt: now}
	must(t, db.PutPasskey(ctx, h.login(t, account), without, h.ev("key", "")))
	must(t, db.UsePasskey(ctx, without))
	wants(t, "another's passkey", db.DropPasskey(ctx, "ac_other", without.ID, "", h.ev("drop", "")), enrol.ErrUnknown)
	must(t, db.DropPasskey(ctx, account, without.ID, "se_once", h.ev("drop", "")))
	wants(t, "a removed passkey", db.UsePasskey(ctx, without), enrol.ErrUsed)
}

func loginFailures(t *testing.T, h *House) {
	ctx, db, now := context.Background(), h.DB, h.Clock.Now()
	delay := func(n int) time.Duration {
		if n < 5 {
			return 0
		}
		return time.Minute
	}
	counted, late := parallel(t, 50, func() error { return db.CountFailure(ctx, "ic:1", now, delay) }, enrol.ErrThrottled)
	if counted != 5 || late != 45 {
		t.Errorf("%d of 50 parallel tries were counted, %d held up", counted, late)
	}
	var e *enrol.ThrottledError
	if err := db.CountFailure(ctx, "ic:1", now.Add(20*time.Second), delay); !errors.As(err, &e) || e.After != 40*time.Second {
		t.Errorf("%v, %+v", err, e)
	}
	must(t, db.CountFailure(ctx, "ic:2", now, delay))
	must(t, db.CountFailure(ctx, "ic:1", now.Add(time.Minute), delay))
	must(t, db.DropLogins(ctx, now.Add(6*24*time.Hour)))
	wants(t, "after six days", db.CountFailure(ctx, "ic:1", now.Add(time.Minute), delay), enrol.ErrThrottled)
	must(t, db.DropLogins(ctx, now.Add(8*24*time.Hour)))
	must(t, db.CountFailure(ctx, "ic:1", now.Add(time.Minute), delay))
	must(t, db.ForgetFailures(ctx, "ic:1"))
	for _, subject := range []string{"ic:1", "device:ac_1", "device:ac_11"} {
		must(t, db.CountFailure(ctx, subject, now, func(int) time.Duration { return time.Hour }))
	}
	ev := audit.Event{At: now, Actor: "t", Action: "t", Verdict: audit.Accepted}
	for _, want := range []bool{true, false} {
		if cleared, err := db.ClearFailures(ctx, ev, "ic:1", "device:ac_1"); err != nil || cleared != want {
			t.Errorf("cleared %v, %v", cleared, err)
		}
	}
	must(t, db.CountFailure(ctx, "device:ac_1", now, delay))
	wants(t, "another account's device", db.CountFailure(ctx, "device:ac_11", now, delay), enrol.ErrThrottled)
	must(t, db.CountFailure(ctx, "ic:2", now, delay))
	if cleared, err := db.ClearFailures(ctx, ev, "ic:2"); err != nil || !cleared {
		t.Errorf("without an account: %v, %v", cleared, err)
	}
	wants(t, "after clearing without an account", db.CountFailure(ctx, "device:ac_11", now, delay), enrol.ErrThrottled)
}

// loginCodes: what otp.Records promises, for the codes of log-ins.
func loginCodes(t *testing.T, h *House) {
	ctx, codes, p := context.Background(), h.DB.LoginCodes(), otp.DefaultPolicy()
	l := h.login(t, "")
	before := len(Chain(t, h.DB))
	_, err := codes.Challenge(ctx, l.ID)
	wants(t, "before a code", err, otp.ErrUnknown)
	c := &otp.Challenge{Transaction: l.ID, Nonce: [otp.NonceSize]byte{1}, Channel: "none"}
	must(t, codes.StoreChallenge(ctx, c, p, audit.Event{}))
	if c.TriesLeft != 3 || c.ExpiresAt.Sub(c.IssuedAt) != p.TTL {
		t.Errorf("%+v", c)
	}
	wants(t, "a second code", codes.StoreChallenge(ctx, &otp.Challenge{Transaction: l.ID, Nonce: [otp.NonceSize]byte{2}}, p, audit.Event{}), otp.ErrUsed)
	wants(t, "a code of nothing", codes.StoreChallenge(ctx, &otp.Challenge{Transaction: "lg_none"}, p, audit.Event{}), otp.ErrUsed)
	_, err = codes.ReserveTry(ctx, l.ID, [otp.NonceSize]byte{2})
	wants(t, "another nonce", err, otp.ErrNonce)
	ok, none := parallel(t, 50, func() error { _, err := codes.ReserveTry(ctx, l.ID, c.Nonce); return err }, otp.ErrAttempts)
	if ok != 3 || none != 47 {
		t.Errorf("%d tries granted", ok)
	}
	late := &otp.Challenge{Transaction: h.login(t, "").ID, Nonce: [otp.NonceSize]byte{3}}
	must(t, codes.StoreChallenge(ctx, late, p, audit.Event{}))
	if wanted, err := codes.StoreDelivery(ctx, late.Transaction, late.Nonce, otp.Delivery{State: otp.Sent, At: h.Clock.Now()}, audit.Event{}); !wanted || err != nil {
		t.Errorf("wanted %v, %v", wanted, err)
	}
	if wanted, err := codes.StoreDelivery(ctx, "lg_none", late.Nonce, otp.Delivery{State: otp.Sent}, audit.Event{}); wanted || err != nil {
		t.Errorf("wanted %v, %v", wanted, err)
	}
	h.Clock.Advance(p.TTL)
	_, err = codes.ReserveTry(ctx, late.Transaction, late.Nonce)
	wants(t, "an expired code", err, otp.ErrExpired)
	gone := &otp.Challenge{Transaction: h.login(t, "").ID, Nonce: [otp.NonceSize]byte{4}}
	must(t, codes.StoreChallenge(ctx, gone, p, audit.Event{}))
	must(t, codes.Withdraw(ctx, *gone, false, audit.Event{}))
	_, err = codes.ReserveTry(ctx, gone.Transaction, gone.Nonce)
	wants(t, "a withdrawn code", err, otp.ErrExpired)
	if len(Chain(t, h.DB)) != before {
		t.Error("codes that strangers ask for are in the chain")
	}
}

// hands: a proposal touches nothing that somebody logs in with, and two people make it count.
func (h *House) hands(t *testing.T) {
	t.Helper()
	ctx, db, now := context.Background(), h.DB, h.Clock.Now()
	o := enrol.Officer{IC: "700202105440", Name: "SITI", Email: "s@x.example"}
	a := enrol.NewAccount(o, now)
	must(t, db.PutPassword(ctx, a, []byte("mine"), h.ev("password", "")))
	must(t, db.OpenSession(ctx, h.login(t, a.ID), enrol.Session{ID: "se_siti", Account: a.ID, Method: "m", CreatedAt: now}, [32]byte{70}, 0, h.ev("open", "")))
	x := enrol.Appointment{ID: "ap_siti", Role: enrol.SA, Agency: "JPK", From: now, By: "account:ac_by", ByIC: "700202105441", Awaits: true}
	must(t, db.PutAppointment(ctx, a, x, h.ev("x", "")))
	if hand, err := db.Hand(ctx, o.IC); err != nil || len(hand) != 0 {
		t.Errorf("a proposal makes one hand: %v, %v", hand, err)
	}
	must(t, db.ConfirmAppointment(ctx, x.ID, h.ev("x", "")))
	if got, p, err := db.Account(ctx, a.ID); err != nil || got.Kind != enrol.OfficerAccount || got.State != enrol.AccountActive || string(p.Password) != "mine" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := db.Session(ctx, [32]byte{70}); err != nil {
		t.Errorf("an appointment ended a session: %v", err)
	}
	of, err := db.Hand(ctx, o.IC)
	must(t, err)
	by, err := db.Hand(ctx, x.ByIC)
	must(t, err)
	if len(of) != 1 || of[0] != x.By || len(by) != 1 || by[0] != "account:"+a.ID {
		t.Errorf("%v, %v", of, by)
	}
	must(t, db.PutOwnTOTP(ctx, a.ID, []byte("seed"), h.ev("x", "")))
	wants(t, "another seed", db.PutSecondFactor(ctx, a.ID, []byte("other"), 5, h.ev("x", "")), enrol.ErrUnknown)
	must(t, db.PutSecondFactor(ctx, a.ID, []byte("seed"), 5, h.ev("x", "")))
	wants(t, "a second time", db.PutSecondFactor(ctx, a.ID, []byte("seed"), 6, h.ev("x", "")), enrol.ErrUnknown)
	wants(t, "a seed for an administrator", db.PutOwnTOTP(ctx, a.ID, []byte("seed"), h.ev("x", "")), enrol.ErrUnknown)
	_, err = db.Session(ctx, [32]byte{70})
	wants(t, "a session without the second factor", err, enrol.ErrUnknown)

	// A reset takes two, and its code is made when it is mailed, by one of many.
	wants(t, "a code before it", db.AskSetup(ctx, a.ID, now, now, h.ev("x", "")), enrol.ErrState)
	wants(t, "nobody asked", db.ConfirmReset(ctx, a.ID, "account:one", h.ev("x", "")), enrol.ErrUnknown)
	ask := h.ev("x", "")
	ask.Actor = "account:one"
	must(t, db.AskReset(ctx, a.ID, "rang up", ask))
	if list, err := db.Resets(ctx, ask.At.Add(-time.Second)); err != nil || len(list) != 1 || list[0].Account.ID != a.ID || list[0].By != "account:one" || list[0].Why != "rang up" || !list[0].At.Equal(ask.At) {
		t.Errorf("%+v, %v", list, err)
	}
	if list, err := db.Resets(ctx, ask.At); err != nil || len(list) != 0 {
		t.Errorf("after its time %+v, %v", list, err)
	}
	wants(t, "the wish of nobody", db.CancelReset(ctx, a.ID, "account:two", h.ev("x", "")), enrol.ErrUnknown)
	must(t, db.CancelReset(ctx, a.ID, "account:one", h.ev("x", "")))
	wants(t, "a wish that was cancelled", db.ConfirmReset(ctx, a.ID, "account:one", h.ev("x", "")), enrol.ErrUnknown)
	must(t, db.AskReset(ctx, a.ID, "rang up", ask))
	if who, at, err := db.ResetAsked(ctx, a.ID); err != nil || who != "account:one" || !at.Equal(ask.At) {
		t.Errorf("%s, %v, %v", who, at, err)
	}
	wants(t, "somebody else's wish", db.ConfirmReset(ctx, a.ID, "account:two", h.ev("x", "")), enrol.ErrUnknown)
	must(t, db.ConfirmReset(ctx, a.ID, "account:one", h.ev("x", "")))
	if got, p, err := db.Account(ctx, a.ID); err != nil || got.State != enrol.AccountNew || len(p.Password)+len(p.TOTP) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	due, tries, ok, err := db.ClaimSetup(ctx, now.Add(time.Second), now.Add(time.Minute))
	if err != nil || !ok || due.ID != a.ID || due.Email != o.Email || tries != 1 {
		t.Fatalf("%+v, %d, %v", due, tries, err)
	}
	if _, _, ok, err := db.ClaimSetup(ctx, now.Add(time.Second), now.Add(time.Minute)); ok || err != nil {
		t.Errorf("claimed twice: %v", err)
	}
	wants(t, "behind the fence", db.PutSetup(ctx, a.ID, 2, [32]byte{71}, now, now.Add(time.Hour), h.ev("x", "")), enrol.ErrState)
	must(t, db.PutSetup(ctx, a.ID, 1, [32]byte{71}, now, now.Add(time.Hour), h.ev("x", "")))
	must(t, db.SettleSetup(ctx, a.ID, 1, time.Time{}, ""))
	wants(t, "another at once", db.AskSetup(ctx, a.ID, now, now.Add(-time.Minute), h.ev("x", "")), enrol.ErrThrottled)
	if got, _, err := db.BySetup(ctx, [32]byte{71}, now); err != nil || got.ID != a.ID {
		t.Errorf("%+v, %v", got, err)
	}

	// Who has no account is proposed with one that nobody can log in to.
	p := enrol.NewAccount(enrol.Officer{IC: "700202105442", Name: "BARU", Email: "b@x.example"}, now)
	p.State, p.Appointments = enrol.AccountNew, []enrol.Appointment{{ID: "ap_baru", Role: enrol.AP, Agency: "JPK", From: now, By: "account:" + a.ID, ByIC: o.IC, Awaits: true}}
	must(t, db.PutProposed(ctx, p, h.ev("x", "")))
	wants(t, "proposed twice", db.PutProposed(ctx, p, h.ev("x", "")), enrol.ErrExists)
	if _, _, ok, err := db.ClaimSetup(ctx, now.Add(time.Second), now.Add(time.Minute)); ok || err != nil {
		t.Errorf("a code before the confirmation: %v", err)
	}
	must(t, db.ConfirmAppointment(ctx, "ap_baru", h.ev("x", "")))
	if due, _, ok, err := db.ClaimSetup(ctx, now.Add(time.Second), now.Add(time.Minute)); !ok || err != nil || due.ID != p.ID {
		t.Errorf("no code after it: %v", err)
	}
}

package store_test

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store"
	"github.com/mohor-sign/mohor/store/storetest"
)

// changes is every audited change of the store, each such that it would succeed
// in the house as it is: in is open with all of its items claimed,
// waiting has its code.
func changes(h *storetest.House, waiting *signer.Request, in signer.Intent, out []signer.Outcome) map[string]func(context.Context) error {
	db, now := h.DB, h.Clock.Now()
	ev := audit.Event{At: now, Action: "test"}
	// The house's certificate is told to its officer; without the claim giving up changes nothing.
	notice, _, _ := db.ClaimNotice(context.Background(), time.Hour)
	// Only what was sent can bounce.
	sent, _ := db.Challenge(context.Background(), in.Transaction)
	_, _ = db.StoreDelivery(context.Background(), sent.Transaction, sent.Nonce, otp.Delivery{State: otp.Sent, At: now}, ev)
	person := appointed(db, now)
	begun := enrol.Login{ID: "lg_1", Account: person.ID}
	return map[string]func(context.Context) error{
		"OpenSession": func(ctx context.Context) error {
			return db.OpenSession(ctx, begun, enrol.Session{ID: "se_2", Account: person.ID}, [32]byte{2}, 2, ev)
		},
		"PutPasskey": func(ctx context.Context) error {
			return db.PutPasskey(ctx, begun, enrol.Passkey{ID: []byte{2}, Data: []byte{1}}, ev)
		},
		"ResetAdministrator": func(ctx context.Context) error {
			return db.ResetAdministrator(ctx, person.ID, "", [32]byte{3}, now, ev)
		},
		"PutAppointment": func(ctx context.Context) error {
			return db.PutAppointment(ctx, person, enrol.Appointment{Role: enrol.Auditor, From: now}, ev)
		},
		"PutProposed": func(ctx context.Context) error {
			return db.PutProposed(ctx, enrol.Account{ID: "ac_p", IC: "2", Kind: enrol.OfficerAccount, State: enrol.AccountNew, Appointments: []enrol.Appointment{{Role: enrol.AP, From: now}}}, ev)
		},
		"AskReset":           func(ctx context.Context) error { return db.AskReset(ctx, person.ID, "rang up", ev) },
		"ConfirmAppointment": func(ctx context.Context) error { return db.ConfirmAppointment(ctx, "ap_2", ev) },
		"CloseSessions": func(ctx context.Context) error {
			_, err := db.CloseSessions(ctx, person.ID, "", ev)
			return err
		},
		"Audit":       func(ctx context.Context) error { return db.Audit(ctx, ev) },
		"CreateBatch": func(ctx context.Context) error { return db.CreateBatch(ctx, batch.Batch{ID: "ba2", App: h.App.ID}, ev) },
		"AddItems": func(ctx context.Context) error {
			return db.AddItems(ctx, "ba", []batch.Item{{Document: signer.Document{Name: "n", Digest: []byte{1}}}}, []batch.Refusal{{Row: 1}}, ev)
		},
		"Seal":        func(ctx context.Context) error { return db.Seal(ctx, "ba", 0, [32]byte{}, false, ev) },
		"CancelBatch": func(ctx context.Context) error { return db.CancelBatch(ctx, "ba", ev) },
		"PutDocument": func(ctx context.Context) error {
			return db.PutDocument(ctx, batch.Document{ID: "d", App: h.App.ID, Digest: []byte{1}}, ev)
		},
		"BeginKEK":        func(ctx context.Context) error { return db.BeginKEK(ctx, "mohor-kek-8", ev) },
		"BeginRetirement": func(ctx context.Context) error { return db.BeginRetirement(ctx, "mohor-kek-9", ev) },
		"PutOfficer":      func(ctx context.Context) error { return db.PutOfficer(ctx, enrol.Officer{IC: "1"}, "S", "M", ev) },
		"PutAdmin": func(ctx context.Context) error {
			return db.PutAdministrator(ctx, enrol.Account{ID: "ac_x", Email: "e"}, [32]byte{}, time.Time{}, ev)
		},
		"PutPassword": func(ctx context.Context) error {
			return db.PutPassword(ctx, enrol.Account{ID: "ac_y", IC: "1"}, []byte{1}, ev)
		},
		"EndAccount": func(ctx context.Context) error { return db.EndAccount(ctx, person.ID, ev) },
		"EndAppointment": func(ctx context.Context) error {
			x := person.Appointments[0]
			x.Until = now
			return db.EndAppointment(ctx, x, ev)
		},
		"Leave": func(ctx context.Context) error {
			_, err := db.Leave(ctx, enrol.Leaving{IC: storetest.IC, At: now}, ev)
			return err
		},
		"PutRequest": func(ctx context.Context) error {
			return db.PutRequest(ctx, enrol.OfficerRequest{ID: "rq_1", Kind: enrol.RequestDelete, IC: storetest.IC, AskedAt: now}, begun.ID, enrol.NoticeDeletionAsked, ev)
		},
		"PutPhone":      func(ctx context.Context) error { return db.PutPhone(ctx, storetest.IC, "019", begun, ev) },
		"CloseSession":  func(ctx context.Context) error { return db.CloseSession(ctx, person.ID, "se_1", ev) },
		"PutApp":        func(ctx context.Context) error { return db.PutApp(ctx, enrol.App{ID: "new"}, nil, ev) },
		"ReserveSerial": func(ctx context.Context) error { return db.ReserveSerial(ctx, ca.Certificate{Serial: "1"}, ev) },
		"Revoke":        func(ctx context.Context) error { return db.Revoke(ctx, h.Credential.Serial, now, 1, ev) },
		"Suspend":       func(ctx context.Context) error { return db.Suspend(ctx, h.Credential.Serial, now, 6, ev) },
		"Schedule": func(ctx context.Context) error {
			return db.ScheduleRevocation(ctx, ca.Scheduled{Serial: h.Credential.Serial, At: now, Reason: 5}, ev)
		},
		"StoreCRL": func(ctx context.Context) error {
			return db.StoreCRL(ctx, ca.CRL{Issuer: ca.Issuing, Number: 99, DER: []byte{1}}, ev)
		},
		"StoreChallenge": func(ctx context.Context) error {
			return db.StoreChallenge(ctx, &otp.Challenge{Transaction: waiting.ID, IssuedAt: now.AddDate(1, 0, 0)}, otp.DefaultPolicy(), ev)
		},
		"Withdraw": func(ctx context.Context) error {
			c, err := db.Challenge(ctx, waiting.ID)
			if err != nil {
				return err
			}
			return db.Withdraw(ctx, c, false, ev)
		},
		"StoreDelivery": func(ctx context.Context) error {
			c, err := db.Challenge(ctx, waiting.ID)
			if err != nil {
				return err
			}
			_, err = db.StoreDelivery(ctx, waiting.ID, c.Nonce, otp.Delivery{State: otp.Refused, At: now}, ev)
			return err
		},
		"StoreDelivery of a bounce": func(ctx context.Context) error {
			_, err := db.StoreDelivery(ctx, sent.Transaction, sent.Nonce, otp.Delivery{State: otp.Bounced, At: now}, ev)
			return err
		},
		"AuditLock": func(ctx context.Context) error {
			return db.AuditLock(ctx, storetest.IC, signer.PINState{Blocked: true}, ev)
		},
		"GiveUpNotice": func(ctx context.Context) error { return db.GiveUpNotice(ctx, notice, ev) },
		"Disown": func(ctx context.Context) error {
			return db.Disown(ctx, sha256.Sum256(h.Mail.Link().Reveal()), signer.Waiting, []string{"sap@jpk.example"}, ev)
		},
		"CancelRequest": func(ctx context.Context) error { return db.CancelRequest(ctx, waiting.ID, signer.Cancelled, ev) },
		"PutCredential": func(ctx context.Context) error {
			return db.PutCredential(ctx, enrol.Credential{ID: "cr", IC: storetest.IC, Sealed: []byte{1}, Serial: h.Credential.Serial}, ev)
		},
		"Reseal": func(ctx context.Context) error { return db.Reseal(ctx, h.Credential.ID, 1, []byte{1}, ev) },
		"UnlockPIN": func(ctx context.Context) error {
			_, err := db.UnlockPIN(ctx, storetest.IC, ev)
			return err
		},
		"CreateRequest": func(ctx context.Context) error {
			r := *waiting
			r.ID, r.Batch = "tx_new", "ba_new"
			return db.CreateRequest(ctx, &r, h.Ask(1).Documents, ev, &signer.FirstCode{Challenge: &otp.Challenge{Transaction: r.ID, Officer: r.Officer, Channel: "email"}, Policy: otp.DefaultPolicy(), Event: ev})
		},
		"RecordIntent": func(ctx context.Context) error {
			n := in
			n.ID, n.Transaction, n.Batch = "in_new", waiting.ID, waiting.Batch
			c, err := db.Challenge(ctx, waiting.ID)
			if err != nil {
				return err
			}
			_, err = db.RecordIntent(ctx, n, c.Nonce, storetest.IC, 1, ev)
			return err
		},
		"Complete": func(ctx context.Context) error {
			_, err := db.Complete(ctx, in.ID, out, now, ev)
			return err
		},
		"Abandon": func(ctx context.Context) error { return db.Abandon(ctx, in.ID, ev) },
	}
}

// appointed makes somebody with an appointment, a session and a log-in begun. A second
// call changes nothing.
func appointed(db *store.DB, now time.Time) enrol.Account {
	ctx, ev := context.Background(), audit.Event{At: now, Action: "test"}
	a := enrol.Account{ID: "ac_1", IC: "2", Kind: enrol.AdministratorAccount, Appointments: []enrol.Appointment{{ID: "ap_1", Role: enrol.AP, Agency: "JANM", From: now}, {ID: "ap_2", Role: enrol.Auditor, From: now, Awaits: true}}}
	if _, _, err := db.Account(ctx, a.ID); err == nil {
		return a
	}
	for _, err := range []error{
		db.PutAdministrator(ctx, a, [32]byte{1}, now.Add(time.Hour), ev),
		db.CompleteSetup(ctx, [32]byte{1}, []byte{1}, 1, now, ev),
		db.PutLogin(ctx, enrol.Login{ID: "lg_0"}, "password", ""),
		db.OpenSession(ctx, enrol.Login{ID: "lg_0"}, enrol.Session{ID: "se_1", Account: a.ID}, [32]byte{1}, 0, ev),
		db.PutLogin(ctx, enrol.Login{ID: "lg_1", Account: a.ID}, "password", ""),
	} {
		if err != nil {
			panic(err) // the test cannot begin
		}
	}
	return a
}

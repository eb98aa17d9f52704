package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
)

// leaving: everything of an officer ends together, once, and the second person's word and
// the mailed code are spent with it.
func leaving(t *testing.T, h *House) {
	ctx, db, now := context.Background(), h.DB, h.Clock.Now()
	must(t, db.PutPassword(ctx, enrol.NewAccount(h.Officer, now), []byte("hash"), h.ev("password", "")))
	acct, proofs, err := db.AccountByIC(ctx, IC)
	must(t, err)
	must(t, db.OpenSession(ctx, h.login(t, acct.ID), enrol.Session{ID: "se_1", Account: acct.ID, CreatedAt: now}, [32]byte{1}, 0, h.ev("open", "")))
	must(t, db.PutAgency(ctx, enrol.Agency{Code: "JANM", Name: "J"}, h.ev("registry", "")))
	must(t, db.PutSystem(ctx, enrol.System{Code: "EP", Title: "E", Agency: "JANM"}, h.ev("registry", "")))
	wants(t, "the end of tokens of no system", db.EndTokens(ctx, "NONE", now, h.ev("tokens", "")), enrol.ErrUnknown)
	must(t, db.EndTokens(ctx, "EP", now, h.ev("tokens", "")))
	if s, err := db.Systems(ctx); err != nil || len(s) != 1 || !s[0].TokenEnds.Equal(now) || s[0].Title != "E" {
		t.Errorf("%+v, %v", s, err)
	}

	// The telephone.
	_, _, err = db.Phone(ctx, IC)
	wants(t, "no telephone", err, enrol.ErrUnknown)
	l := h.login(t, acct.ID)
	must(t, db.PutPhone(ctx, IC, "019-1", l, h.ev("phone", "")))
	wants(t, "a spent code", db.PutPhone(ctx, IC, "019-2", l, h.ev("phone", "")), enrol.ErrUsed)
	must(t, db.PutPhone(ctx, IC, "019-3", h.login(t, acct.ID), h.ev("phone", "")))
	if m, at, err := db.Phone(ctx, IC); err != nil || m != "019-3" || !at.Equal(now) {
		t.Errorf("%s %v, %v", m, at, err)
	}

	// A forgotten password: once, and not over one that is newer.
	reset := enrol.OfficerRequest{ID: "rq_1", Kind: enrol.RequestReset, IC: IC, Account: acct.ID, Epoch: proofs.Epoch, Password: []byte("other"), AskedBy: "a", AskedIC: IC, AskedAt: now, Until: now.Add(time.Hour)}
	must(t, db.PutRequest(ctx, reset, h.login(t, acct.ID).ID, enrol.NoticePasswordAsked, h.ev("ask", "")))
	second := reset
	second.ID = "rq_2"
	wants(t, "a second one", db.PutRequest(ctx, second, "", "", h.ev("ask", "")), enrol.ErrExists)
	wants(t, "another epoch", db.ResetPassword(ctx, acct.ID, proofs.Epoch+1, []byte("x"), "", "rq_1", h.ev("reset", "")), enrol.ErrUsed)
	if r, err := db.OfficerRequest(ctx, "rq_1"); err != nil || r.State != enrol.RequestPending || string(r.Password) != "other" {
		t.Errorf("half of it was done: %+v, %v", r, err)
	}
	won, lost := parallel(t, 5, func() error {
		return db.ResetPassword(ctx, acct.ID, proofs.Epoch, reset.Password, "", "rq_1", h.ev("reset", ""))
	}, enrol.ErrState)
	if _, p, err := db.AccountByIC(ctx, IC); err != nil || won != 1 || lost != 4 || string(p.Password) != "other" || p.Epoch != proofs.Epoch+1 {
		t.Errorf("%d won, %d lost: %+v, %v", won, lost, p, err)
	}
	if r, err := db.OfficerRequest(ctx, "rq_1"); err != nil || r.State != enrol.RequestDone || len(r.Password) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := db.Session(ctx, [32]byte{1}); !errors.Is(err, enrol.ErrUnknown) {
		t.Errorf("the session lives: %v", err)
	}
	_, err = db.OfficerRequest(ctx, "rq_none")
	wants(t, "no request", err, enrol.ErrUnknown)

	// An application under way, another's request in time, and a certificate that is being
	// issued, which holds everything up.
	second.ID, second.Kind, second.Password = "rq_3", enrol.RequestDelete, nil
	must(t, db.PutRequest(ctx, second, "", enrol.NoticeDeletionAsked, h.ev("ask", "")))
	must(t, db.OpenSession(ctx, h.login(t, acct.ID), enrol.Session{ID: "se_2", Account: acct.ID, CreatedAt: now}, [32]byte{2}, 0, h.ev("open", "")))
	id := h.list(t, IC, "EP", enrol.Confirmed, time.Time{})
	_, err = h.file(t, id, enrol.Confirmed, 1)
	must(t, err)
	move := func(from, to enrol.State) {
		must(t, db.Change(ctx, enrol.Change{ID: id, From: from, To: to, At: now, Event: h.ev("move", id)}))
	}
	move(enrol.Applied, enrol.Validated)
	move(enrol.Validated, enrol.Approved)
	all := enrol.Leaving{IC: IC, Request: "rq_3", At: now}
	_, err = db.Leave(ctx, all, h.ev("leave", ""))
	wants(t, "while a certificate is issued", err, enrol.ErrExists)
	if c, err := db.CertificateBySerial(ctx, h.Credential.Serial); err != nil || c.Status != ca.Active {
		t.Errorf("half of it was done: %+v, %v", c, err)
	}
	if r, _ := db.OfficerRequest(ctx, "rq_3"); r.State != enrol.RequestPending {
		t.Errorf("half of it was done: %+v", r)
	}
	move(enrol.Approved, enrol.Returned)
	if _, err = h.file(t, id, enrol.Returned, 2); err != nil {
		t.Fatal(err)
	}

	// One system alone, then all.
	if serials, err := db.Leave(ctx, enrol.Leaving{IC: IC, System: "EP", At: now}, h.ev("leave", "")); err != nil || len(serials) != 0 {
		t.Errorf("%v, %v", serials, err)
	}
	if e, err := db.Enrolment(ctx, id); err != nil || e.State != enrol.Withdrawn {
		t.Errorf("%+v, %v", e, err)
	}
	if got, _, _, err := db.Application(ctx, id); err != nil || len(got.Sealed)+len(got.Copy) != 0 {
		t.Errorf("the key is there: %+v, %v", got, err)
	}
	if _, media, err := db.Officer(ctx, IC); err != nil || len(media) != 1 || media[0].System != System || media[0].KeyStatus != "ACTIVE" {
		t.Errorf("%+v, %v", media, err)
	}
	serials, err := db.Leave(ctx, all, h.ev("leave", ""))
	if err != nil || len(serials) != 1 || serials[0] != h.Credential.Serial {
		t.Fatalf("%v, %v", serials, err)
	}
	_, err = db.Leave(ctx, all, h.ev("leave", ""))
	wants(t, "the same request again", err, enrol.ErrState)
	if c, err := db.CertificateBySerial(ctx, h.Credential.Serial); err != nil || c.Status != ca.Revoked || c.Reason != ca.ReasonCode("cessationOfOperation") {
		t.Errorf("%+v, %v", c, err)
	}
	if a, p, err := db.AccountByIC(ctx, IC); err != nil || a.State != enrol.AccountDeleted || len(p.Password) != 0 {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := db.Session(ctx, [32]byte{2}); !errors.Is(err, enrol.ErrUnknown) {
		t.Errorf("the session lives: %v", err)
	}
	if o, media, err := db.Officer(ctx, IC); err != nil || o.Name != h.Officer.Name || len(media) != 0 {
		t.Errorf("%+v %+v, %v", o, media, err)
	}
	if _, _, err := db.Phone(ctx, IC); !errors.Is(err, enrol.ErrUnknown) {
		t.Errorf("the telephone is kept: %v", err)
	}
	must(t, db.Accounted(ctx))
	// Who comes back sets a password again.
	must(t, db.PutPassword(ctx, enrol.NewAccount(h.Officer, now), []byte("hash"), h.ev("password", "")))
	if a, _, err := db.AccountByIC(ctx, IC); err != nil || a.State != enrol.AccountActive || a.ID != acct.ID {
		t.Errorf("%+v, %v", a, err)
	}
}

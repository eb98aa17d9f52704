package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/notify"
	"github.com/mohor-sign/mohor/signer"
)

// begun begins an enrolment of a kind for the House's credential and brings it to APPROVED
// in one call; its certificate, with that serial number, is active.
func (h *House) begun(t *testing.T, kind enrol.Kind, serial string) enrol.Change {
	t.Helper()
	ctx, now, before := context.Background(), h.Clock.Now(), h.events(t, "begin")
	e := enrol.Enrolment{ID: "en_" + serial, IC: IC, System: System, Agency: "JANM", Office: "o", Kind: kind, Replaces: h.Credential.ID, State: enrol.Confirmed, Since: now, ListedBy: "me", ListedAt: now}
	f := enrol.Filed{Credential: "cr_" + serial, Algorithm: "ECDSA-P256", Version: 1, Sealed: []byte("sealed " + serial), Request: []byte("request"), Form: []byte("form"), At: now}
	must(t, h.DB.Begin(ctx, e, h.ev("begin", e.ID), enrol.Change{ID: e.ID, From: enrol.Confirmed, To: enrol.Applied, At: now, Filed: &f, Event: h.ev("never", e.ID)},
		enrol.Change{ID: e.ID, From: enrol.Applied, To: enrol.Approved, At: now, ActorIC: IC, Event: h.ev("never", e.ID)}))
	wants(t, "a second one", h.DB.Begin(ctx, enrol.Enrolment{ID: "en_x", IC: IC, System: System, Agency: "JANM", Kind: kind, State: enrol.Confirmed}, h.ev("begin", "en_x")), enrol.ErrExists)
	if got, err := h.DB.Enrolment(ctx, e.ID); err != nil || got.Kind != kind || got.Replaces != h.Credential.ID || got.State != enrol.Approved || got.ApprovedIC != IC || h.events(t, "begin") != before+1 || h.events(t, "never") != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	must(t, h.DB.ReserveSerial(ctx, ca.Certificate{Serial: serial, Issuer: ca.Issuing, Subject: "x", Credential: f.Credential, NotBefore: now, NotAfter: now.Add(20 * 24 * time.Hour)}, h.ev("reserve", serial)))
	must(t, h.DB.StoreCertificate(ctx, serial, []byte{1}, h.ev("store", serial)))
	c := enrol.Credential{ID: f.Credential, IC: IC, System: System, Algorithm: f.Algorithm, Version: 1, Sealed: f.Sealed, Serial: serial, CreatedAt: now}
	return enrol.Change{ID: e.ID, From: enrol.Approved, To: enrol.Issued, At: now, Credential: &c, Supersede: &enrol.Supersede{Credential: h.Credential.ID, Revoke: kind == enrol.Rekey}, Event: h.ev("issue", e.ID)}
}

// What is replaced ends in the transaction that stores what takes its place, or not at all.
func supersede(t *testing.T, h *House) {
	ctx, db := context.Background(), h.DB
	h.list(t, newcomer, System, enrol.Listed, time.Time{}) // agency and system
	old := h.Credential.Serial
	due := h.Clock.Now().Add(24 * time.Hour)
	must(t, db.ScheduleRevocation(ctx, ca.Scheduled{Serial: old, At: due, Reason: 5, Actor: "t", CreatedAt: h.Clock.Now()}, h.ev("schedule", old)))
	held, err := db.Held(ctx, IC, System)
	if err != nil || len(held) != 1 || held[0].Credential != h.Credential.ID || held[0].Serial != old || held[0].Status != "ACTIVE" || held[0].Subject != h.Officer.Name || !held[0].EndsAt.Equal(due) || held[0].NotAfter.IsZero() {
		t.Errorf("%+v, %v", held, err)
	}
	issue := h.begun(t, enrol.Renewal, "77")
	// Suspended: nothing of it.
	must(t, db.Suspend(ctx, old, h.Clock.Now(), 6, h.ev("suspend", old)))
	wants(t, "in the place of a suspended one", db.Change(ctx, issue), enrol.ErrReplaced)
	must(t, db.Release(ctx, old, h.ev("release", old)))
	h.drain(t)
	must(t, db.Change(ctx, issue))
	must(t, db.Accounted(ctx))
	if c, err := db.Credential(ctx, IC, System, h.Credential.ID); err != nil || c.Status != "SUPERSEDED" || len(c.Sealed) != 0 {
		t.Errorf("%s with %d bytes, %v", c.Status, len(c.Sealed), err)
	}
	if row, err := db.CertificateBySerial(ctx, old); err != nil || row.Status != ca.Active {
		t.Errorf("the old certificate is %s, %v", row.Status, err)
	}
	if s, err := db.ScheduledRevocations(ctx, due, 9); err != nil || len(s) != 1 || s[0].Serial != "77" {
		t.Errorf("to be revoked: %+v, %v", s, err)
	}
	if held, err = db.Held(ctx, IC, System); err != nil || len(held) != 1 || held[0].Serial != "77" {
		t.Errorf("%+v, %v", held, err)
	}
	if got := h.drain(t); len(got) != 1 || got[0].Kind != notify.CertificateRenewed {
		t.Errorf("%+v", got)
	}
	wants(t, "twice", db.Change(ctx, issue), enrol.ErrState)
}

func supersedeRevoked(t *testing.T, h *House) {
	ctx, db := context.Background(), h.DB
	h.list(t, newcomer, System, enrol.Listed, time.Time{})
	must(t, func() error {
		_, err := db.CountPIN(ctx, IC, signer.PINPolicy{LockAfter: 1, LockFor: time.Hour, BlockAfter: 1}, h.Clock.Now())
		return err
	}())
	issue := h.begun(t, enrol.Rekey, "78")
	must(t, db.Change(ctx, issue))
	if c, err := db.Credential(ctx, IC, System, h.Credential.ID); err != nil || c.Status != "REVOKED" || len(c.Sealed) != 0 {
		t.Errorf("%s with %d bytes, %v", c.Status, len(c.Sealed), err)
	}
	if row, err := db.CertificateBySerial(ctx, h.Credential.Serial); err != nil || row.Status != ca.Revoked || row.Reason != 4 {
		t.Errorf("the old certificate is %s %d, %v", row.Status, row.Reason, err)
	}
	if n, err := db.LastChange(ctx, ca.Issuing); err != nil || n != 1 {
		t.Errorf("the issuer's changes: %d, %v", n, err)
	}
	if st, err := db.PINState(ctx, IC); err != nil || st != (signer.PINState{}) {
		t.Errorf("%+v, %v", st, err)
	}
	must(t, db.Accounted(ctx))

	// The new key is given up after its certificate was made: that is revoked.
	h.Clock.Advance(time.Second)
	h.Credential.ID = issue.Credential.ID
	issue = h.begun(t, enrol.Renewal, "79")
	must(t, db.Change(ctx, enrol.Change{ID: issue.ID, From: enrol.Approved, To: enrol.Rejected, At: h.Clock.Now(), Event: h.ev("reject", issue.ID)}))
	if row, err := db.CertificateBySerial(ctx, "79"); err != nil || row.Status != ca.Revoked {
		t.Errorf("the orphan is %s, %v", row.Status, err)
	}
	must(t, db.Accounted(ctx))
}

func reminders(t *testing.T, h *House) {
	ctx, db := context.Background(), h.DB
	held, err := db.Held(ctx, IC, System)
	must(t, err)
	first := enrol.NextReminder(held[0].NotAfter, h.Clock.Now())
	_, err = db.DueReminder(ctx, first.Add(-time.Microsecond))
	wants(t, "before it is due", err, enrol.ErrUnknown)
	r, err := db.DueReminder(ctx, first)
	if err != nil || r.Credential != h.Credential.ID || r.IC != IC || r.System != System || r.Status != "ACTIVE" || r.Serial != h.Credential.Serial || !r.Due.Equal(first) || !r.NotAfter.Equal(held[0].NotAfter) {
		t.Fatalf("%+v, %v", r, err)
	}
	h.drain(t)
	ev := h.ev("remind", r.Credential)
	ev.Detail = map[string]string{"days": "30"}
	next := enrol.NextReminder(r.NotAfter, first)
	must(t, db.Remind(ctx, r, next, false, ev))
	wants(t, "twice", db.Remind(ctx, r, next, false, ev), enrol.ErrState)
	if got := h.drain(t); len(got) != 1 || got[0].Kind != notify.CertificateEnding || got[0].Detail["days"] != "30" || got[0].Officer != IC {
		t.Errorf("%+v", got)
	}
	_, err = db.DueReminder(ctx, first)
	wants(t, "after it", err, enrol.ErrUnknown)
	r, err = db.DueReminder(ctx, next)
	must(t, err)
	must(t, db.Remind(ctx, r, time.Time{}, true, ev))
	if got := h.drain(t); len(got) != 0 || h.events(t, "remind") != 2 {
		t.Errorf("a silent one told %+v", got)
	}
	if _, err = db.DueReminder(ctx, r.NotAfter.Add(time.Hour)); !errors.Is(err, enrol.ErrUnknown) {
		t.Errorf("after the last: %v", err)
	}
}

// Each change of a certificate tells its officer, in its own transaction.
func certificateNotices(t *testing.T, h *House) {
	ctx, db, serial, now := context.Background(), h.DB, h.Credential.Serial, h.Clock.Now()
	h.drain(t)
	must(t, db.Suspend(ctx, serial, now, 6, h.ev("suspend", serial)))
	must(t, db.Release(ctx, serial, h.ev("release", serial)))
	s := ca.Scheduled{Serial: serial, At: now.Add(time.Hour), Reason: 3, Actor: "t", CreatedAt: now}
	must(t, db.ScheduleRevocation(ctx, s, h.ev("schedule", serial)))
	must(t, db.UnscheduleRevocation(ctx, serial, h.ev("unschedule", serial)))
	wants(t, "nothing scheduled", db.UnscheduleRevocation(ctx, serial, h.ev("unschedule", serial)), ca.ErrUnknown)
	must(t, db.Revoke(ctx, serial, now, 5, h.ev("revoke", serial)))
	wants(t, "revoked twice", db.Revoke(ctx, serial, now, 5, h.ev("revoke", serial)), ca.ErrRevoked)
	told := map[string]notify.Notice{}
	for _, n := range h.drain(t) {
		told[n.Kind] = n
	}
	for _, kind := range []string{notify.CertificateSuspended, notify.CertificateReleased, notify.RevocationScheduled, notify.RevocationCancelled, notify.CertificateRevoked} {
		if n := told[kind]; n.Officer != IC || n.Detail["serial"] != serial || n.Detail["system"] != System {
			t.Errorf("%s: %+v", kind, n)
		}
	}
	if len(told) != 5 || told[notify.CertificateRevoked].Detail["reason"] != "5" || told[notify.RevocationScheduled].Detail["until"] != s.At.UTC().Format(time.RFC3339) {
		t.Errorf("%+v", told)
	}
}

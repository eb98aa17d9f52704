package storetest

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/signer"
)

func suspension(t *testing.T, h *House) {
	ctx, db, serial, id := context.Background(), h.DB, h.Credential.Serial, h.Credential.ID
	since := h.Clock.Now()
	is := func(what, status string, reason, histories int, changes int64) {
		t.Helper()
		row, err := db.CertificateBySerial(ctx, serial)
		must(t, err)
		c := h.history(t)
		if row.Status != status || c.Status != status || row.Reason != reason || row.RevokedAt.IsZero() != (status == ca.Active) || len(c.History) != histories {
			t.Errorf("%s: certificate %+v, credential %s, history %+v", what, row, c.Status, c.History)
		}
		if !row.RevokedAt.IsZero() && !row.RevokedAt.Equal(since) {
			t.Errorf("%s: since %v, want %v", what, row.RevokedAt, since)
		}
		if status != ca.Revoked && !bytes.Equal(c.Sealed, h.Credential.Sealed) {
			t.Errorf("%s: the key is gone", what)
		}
		if n, err := db.LastChange(ctx, ca.Issuing); err != nil || n != changes {
			t.Errorf("%s: %d changes, want %d, %v", what, n, changes, err)
		}
		listed, err := db.RevokedBy(ctx, ca.Issuing)
		if err != nil || len(listed) != 1 && status != ca.Active || len(listed) != 0 && status == ca.Active {
			t.Errorf("%s: listed %+v, %v", what, listed, err)
		}
	}
	wants(t, "releasing an active one", db.Release(ctx, serial, h.ev("release", serial)), ca.ErrActive)
	wants(t, "suspending the unknown", db.Suspend(ctx, "1", since, 6, h.ev("suspend", "1")), ca.ErrUnknown)
	must(t, db.Suspend(ctx, serial, since, 6, h.ev("suspend", serial)))
	is("suspended", ca.Suspended, 6, 2, 1)
	wants(t, "suspending twice", db.Suspend(ctx, serial, h.Clock.Now(), 6, h.ev("suspend", serial)), ca.ErrSuspended)
	wants(t, "another PIN meanwhile", db.Reseal(ctx, id, 1, []byte("x"), h.ev("change", id)), signer.ErrCertificateOnHold)
	wants(t, "a key for a suspended certificate", db.PutCredential(ctx, enrol.Credential{ID: "cr_2", IC: IC, System: System, Version: 1, Sealed: []byte("x"), Serial: serial}, h.ev("put", "cr_2")), ca.ErrSuspended)
	must(t, db.Release(ctx, serial, h.ev("release", serial)))
	is("released", ca.Active, 0, 3, 2)
	h.Clock.Advance(time.Hour)
	since = h.Clock.Now()
	must(t, db.Suspend(ctx, serial, since, 6, h.ev("suspend", serial)))
	h.Clock.Advance(time.Hour)
	must(t, db.Revoke(ctx, serial, h.Clock.Now(), 4, h.ev("revoke", serial)))
	is("revoked while suspended", ca.Revoked, 4, 5, 4)
	wants(t, "releasing a revoked one", db.Release(ctx, serial, h.ev("release", serial)), ca.ErrRevoked)
	wants(t, "suspending a revoked one", db.Suspend(ctx, serial, since, 6, h.ev("suspend", serial)), ca.ErrRevoked)
	wants(t, "revoking it again", db.Revoke(ctx, serial, since, 1, h.ev("revoke", serial)), ca.ErrRevoked)
	is("for good", ca.Revoked, 4, 5, 4)
	if h.events(t, "suspend") != 2 || h.events(t, "release") != 1 || h.events(t, "revoke") != 1 {
		t.Error("deeds and events differ")
	}
}

// Of suspensions, releases and a revocation at once each status change counts once.
func suspensionAtOnce(t *testing.T, h *House) {
	ctx, serial := context.Background(), h.Credential.Serial
	won, lost := parallel(t, 20, func() error { return h.DB.Suspend(ctx, serial, h.Clock.Now(), 6, h.ev("suspend", serial)) }, ca.ErrSuspended)
	if won != 1 || lost != 19 {
		t.Errorf("suspending: %d won, %d lost", won, lost)
	}
	won, lost = parallel(t, 20, func() error { return h.DB.Release(ctx, serial, h.ev("release", serial)) }, ca.ErrActive)
	if won != 1 || lost != 19 {
		t.Errorf("releasing: %d won, %d lost", won, lost)
	}
	won, _ = parallel(t, 20, func() error {
		err := h.DB.Revoke(ctx, serial, h.Clock.Now(), 1, h.ev("revoke", serial))
		if err != nil {
			return err
		}
		if err := h.DB.Release(ctx, serial, h.ev("release", serial)); !errors.Is(err, ca.ErrRevoked) {
			t.Errorf("releasing what was revoked: %v", err)
		}
		return nil
	}, ca.ErrRevoked)
	if n, err := h.DB.LastChange(ctx, ca.Issuing); won != 1 || n != 3 || err != nil {
		t.Errorf("revoking: %d won, %d changes, %v", won, n, err)
	}
}

func scheduled(t *testing.T, h *House) {
	ctx, db, serial, now := context.Background(), h.DB, h.Credential.Serial, h.Clock.Now()
	s := ca.Scheduled{Serial: serial, At: now.Add(time.Hour), Reason: 5, Actor: "admin:a", CreatedAt: now}
	wants(t, "scheduling the unknown", db.ScheduleRevocation(ctx, ca.Scheduled{Serial: "1", At: s.At}, h.ev("schedule", "1")), ca.ErrUnknown)
	wants(t, "dropping nothing", db.UnscheduleRevocation(ctx, serial, h.ev("unschedule", serial)), ca.ErrUnknown)
	must(t, db.ScheduleRevocation(ctx, s, h.ev("schedule", serial)))
	later := s
	later.At, later.Actor = s.At.Add(time.Hour), "admin:b"
	must(t, db.ScheduleRevocation(ctx, later, h.ev("schedule", serial)))
	for until, want := range map[time.Duration]int{0: 0, 2*time.Hour - time.Microsecond: 0, 2 * time.Hour: 1} {
		if got, err := db.ScheduledRevocations(ctx, now.Add(until), 9); err != nil || len(got) != want || want == 1 && got[0] != later {
			t.Errorf("until %v: %+v, %v", until, got, err)
		}
	}
	wants(t, "what was put off", db.RevokeScheduled(ctx, s, now, h.ev("revoke", serial)), ca.ErrUnknown)
	must(t, db.UnscheduleRevocation(ctx, serial, h.ev("unschedule", serial)))
	wants(t, "what was dropped", db.RevokeScheduled(ctx, later, now, h.ev("revoke", serial)), ca.ErrUnknown)
	if c := h.history(t); c.Status != ca.Active || h.events(t, "revoke") != 0 {
		t.Fatalf("it is %s", c.Status)
	}
	must(t, db.ScheduleRevocation(ctx, s, h.ev("schedule", serial)))
	won, lost := parallel(t, 20, func() error { return db.RevokeScheduled(ctx, s, s.At, h.ev("revoke", serial)) }, ca.ErrUnknown)
	if row, err := db.CertificateBySerial(ctx, serial); err != nil || won != 1 || lost != 19 || row.Status != ca.Revoked || row.Reason != 5 || !row.RevokedAt.Equal(s.At) || h.events(t, "revoke") != 1 {
		t.Errorf("%d won, %d lost: %+v, %v", won, lost, row, err)
	}
	wants(t, "scheduling it again", db.ScheduleRevocation(ctx, s, h.ev("schedule", serial)), ca.ErrRevoked)
	// One that is revoked before its time is not scheduled any more.
	other := h.Issue(t, "ECDSA-P256")
	s.Serial = other.Serial
	must(t, db.ScheduleRevocation(ctx, s, h.ev("schedule", s.Serial)))
	must(t, db.Revoke(ctx, s.Serial, now, 1, h.ev("revoke", s.Serial)))
	if got, err := db.ScheduledRevocations(ctx, now.AddDate(1, 0, 0), 9); err != nil || len(got) != 0 {
		t.Errorf("left: %+v, %v", got, err)
	}
}

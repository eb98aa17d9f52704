package storetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
)

// ev is an event of the suite.
func (h *House) ev(action, object string) audit.Event {
	return audit.Event{At: h.Clock.Now(), Actor: "test", Action: action, Object: object, Verdict: audit.Accepted, RequestID: "r", Detail: map[string]string{"k": "v"}}
}

// events counts the records of an action.
func (h *House) events(t *testing.T, action string) (n int) {
	t.Helper()
	for _, r := range Chain(t, h.DB) {
		if r.Action == action {
			n++
		}
	}
	return n
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func countPIN(t *testing.T, h *House) {
	ctx, p := context.Background(), signer.DefaultPINPolicy()
	start := h.Clock.Now()
	count := func(row, total int, locked, blocked bool) {
		t.Helper()
		st, err := h.DB.CountPIN(ctx, IC, p, h.Clock.Now())
		if err != nil || st.InARow != row || st.Total != total || st.LockedUntil.IsZero() == locked || st.Blocked != blocked {
			t.Fatalf("counted %+v, %v; want %d in a row of %d, locked %v, blocked %v", st, err, row, total, locked, blocked)
		}
		if kept, err := h.DB.PINState(ctx, IC); err != nil || kept != st {
			t.Fatalf("kept %+v, %v; the answer was %+v", kept, err, st)
		}
	}
	for n := 1; n <= 4; n++ {
		count(n, n, false, false)
	}
	count(5, 5, true, false)
	var locked *signer.LockedError
	refused := func(until time.Time) {
		t.Helper()
		before, _ := h.DB.PINState(ctx, IC)
		_, err := h.DB.CountPIN(ctx, IC, p, h.Clock.Now())
		if !errors.As(err, &locked) || !errors.Is(err, signer.ErrPINLocked) || !locked.Until.Equal(until) {
			t.Fatalf("a locked PIN: %v, want locked until %v", err, until)
		}
		if after, _ := h.DB.PINState(ctx, IC); after != before {
			t.Fatalf("a refused try was counted: %+v then %+v", before, after)
		}
	}
	refused(start.Add(15 * time.Minute))
	h.Clock.Advance(15*time.Minute - time.Microsecond)
	refused(start.Add(15 * time.Minute))
	h.Clock.Advance(time.Microsecond) // the lock has run out, the total stays
	for n := 6; n <= 9; n++ {
		count(n-5, n, false, false)
	}
	count(5, 10, true, true)
	h.Clock.Advance(365 * 24 * time.Hour)
	refused(time.Time{})
	if _, err := h.DB.CountPIN(ctx, "000000000000", p, start); !errors.Is(err, signer.ErrUnknownOfficer) {
		t.Errorf("an unknown officer: %v", err)
	}
	if _, err := h.DB.PINState(ctx, "000000000000"); !errors.Is(err, signer.ErrUnknownOfficer) {
		t.Errorf("an unknown officer: %v", err)
	}
}

func uncountPIN(t *testing.T, h *House) {
	ctx, p := context.Background(), signer.DefaultPINPolicy()
	wants(t, "an unknown officer", h.DB.UncountPIN(ctx, "000000000000", p), signer.ErrUnknownOfficer)
	must(t, h.DB.UncountPIN(ctx, IC, p)) // nothing to take back
	is := func(want signer.PINState) {
		t.Helper()
		if st, err := h.DB.PINState(ctx, IC); err != nil || st != want {
			t.Errorf("counter %+v, %v; want %+v", st, err, want)
		}
	}
	is(signer.PINState{})
	count := func(n int) {
		t.Helper()
		for range n {
			_, err := h.DB.CountPIN(ctx, IC, p, h.Clock.Now())
			must(t, err)
		}
	}
	count(5)
	lock := h.Clock.Now().Add(p.LockFor)
	is(signer.PINState{InARow: 5, Total: 5, LockedUntil: lock})
	must(t, h.DB.UncountPIN(ctx, IC, p))
	is(signer.PINState{InARow: 4, Total: 4})
	count(1)
	h.Clock.Advance(p.LockFor)
	count(5)
	is(signer.PINState{InARow: 5, Total: 10, LockedUntil: h.Clock.Now().Add(p.LockFor), Blocked: true})
	must(t, h.DB.UncountPIN(ctx, IC, p))
	is(signer.PINState{InARow: 4, Total: 9})
}

func countPINParallel(t *testing.T, h *House) {
	granted, locked := parallel(t, 200, func() error {
		_, err := h.DB.CountPIN(context.Background(), IC, signer.DefaultPINPolicy(), h.Clock.Now())
		return err
	}, signer.ErrPINLocked)
	if granted != 5 || locked != 195 {
		t.Errorf("200 parallel tries: %d granted, %d locked; want 5 and 195", granted, locked)
	}
}

// parallel starts n calls at once and counts those that succeed and those that
// answer refusal; another error fails t.
func parallel(t *testing.T, n int, call func() error, refusal ...error) (ok, refused int) {
	t.Helper()
	start, errs := make(chan struct{}), make(chan error, n)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			<-start
			errs <- call()
		})
	}
	close(start)
	wg.Wait()
	close(errs)
	for err := range errs {
		switch {
		case err == nil:
			ok++
		case slices.ContainsFunc(refusal, func(r error) bool { return errors.Is(err, r) }):
			refused++
		default:
			t.Error(err)
		}
	}
	return ok, refused
}

func people(t *testing.T, h *House) {
	ctx, db := context.Background(), h.DB
	o, media, err := db.Officer(ctx, IC)
	if err != nil || o != h.Officer || len(media) != 1 {
		t.Fatalf("officer %+v, media %+v, %v", o, media, err)
	}
	if m := media[0]; m.Medium != enrol.RoamingOTP || m.System != System || m.Credential != h.Credential.ID || m.KeyStatus != "ACTIVE" || m.Serial != h.Credential.Serial || len(m.DER) == 0 {
		t.Errorf("medium %+v", m)
	}
	_, _, err = db.Officer(ctx, "880101145678")
	wants(t, "an unknown officer", err, enrol.ErrUnknown)
	must(t, db.PutOfficer(ctx, enrol.Officer{IC: IC, Name: "NOR'AINI", Email: "n@jpk.example"}, "EPEROLEHAN", enrol.SoftCert, h.ev("put", IC)))
	if o, media, err = db.Officer(ctx, IC); err != nil || o.Name != "NOR'AINI" || len(media) != 2 {
		t.Errorf("after a second medium: %+v %+v %v", o, media, err)
	}

	wants(t, "the same app", db.PutApp(ctx, h.App, nil, h.ev("app", h.App.ID)), enrol.ErrExists)
}

// keysOfCertificates: a key belongs to one holder, and what was reserved at once is
// released once.
func keysOfCertificates(t *testing.T, h *House) {
	t.Helper()
	ctx, db, now := context.Background(), h.DB, h.Clock.Now()
	row := func(serial, credential string) ca.Certificate {
		return ca.Certificate{Serial: serial, Issuer: "keys", Subject: "CN=x", Credential: credential, Key: []byte("a key"), Intent: []byte{4, 2}, NotBefore: now, NotAfter: now.Add(time.Hour)}
	}
	reserve := func(c ca.Certificate) error { return db.ReserveSerial(ctx, c, h.ev("reserve", c.Serial)) }
	release := func(c ca.Certificate) error {
		return db.StoreCertificate(ctx, c.Serial, []byte{1}, h.ev("store", c.Serial))
	}
	first, second, stranger := row("901", "cr_k"), row("902", "cr_k"), row("903", "cr_s")
	for _, c := range []ca.Certificate{first, second, stranger} {
		must(t, reserve(c))
	}
	if got, err := db.CertificateBySerial(ctx, "901"); err != nil || !bytes.Equal(got.Intent, first.Intent) || !bytes.Equal(got.Key, first.Key) {
		t.Errorf("reserved: %+v, %v", got, err)
	}
	if got, err := db.CertificatesByKey(ctx, first.Key); err != nil || len(got) != 0 {
		t.Errorf("%d certificates of a key that is only reserved, %v", len(got), err)
	}
	must(t, release(first))
	wants(t, "releasing the same twice", release(second), ca.ErrExists)
	wants(t, "releasing another's key", release(stranger), ca.ErrDuplicateKey)
	wants(t, "reserving the same again", reserve(row("904", "cr_k")), ca.ErrExists)
	wants(t, "reserving another's key", reserve(row("905", "cr_s")), ca.ErrDuplicateKey)
	if got, err := db.CertificatesByKey(ctx, first.Key); err != nil || len(got) != 1 || got[0].Serial != "901" || len(got[0].Intent) != 0 {
		t.Errorf("certificates of the key: %+v, %v", got, err)
	}
	must(t, db.Revoke(ctx, "901", now, 1, h.ev("revoke", "901")))
	wants(t, "reserving a revoked key", reserve(row("906", "cr_k")), ca.ErrRevoked)
	if got, err := db.CertificatesByKey(ctx, nil); err != nil || got != nil {
		t.Errorf("of no key: %+v, %v", got, err)
	}
}

func certificates(t *testing.T, h *House) {
	ctx, db, now := context.Background(), h.DB, h.Clock.Now()
	c := ca.Certificate{Serial: "170141183460469231731687303715884105727", Issuer: ca.Issuing, Subject: "CN=x", Credential: "cr_x", NotBefore: now, NotAfter: now.Add(time.Hour)}
	must(t, db.ReserveSerial(ctx, c, h.ev("reserve", c.Serial)))
	if err := db.ReserveSerial(ctx, c, h.ev("reserve", c.Serial)); err == nil {
		t.Error("a serial number was reserved twice")
	}
	if got, err := db.CertificateBySerial(ctx, c.Serial); err != nil || got.Status != ca.Reserved || len(got.DER) != 0 || !got.NotAfter.Equal(c.NotAfter) {
		t.Errorf("reserved: %+v, %v", got, err)
	}
	wants(t, "revoking a reserved one", db.Revoke(ctx, c.Serial, now, 1, h.ev("revoke", c.Serial)), ca.ErrUnknown)
	must(t, db.StoreCertificate(ctx, c.Serial, []byte{1, 2}, h.ev("store", c.Serial)))
	wants(t, "storing twice", db.StoreCertificate(ctx, c.Serial, []byte{3}, h.ev("store", c.Serial)), ca.ErrUnknown)
	if got, err := db.CertificateBySerial(ctx, c.Serial); err != nil || got.Status != ca.Active || !bytes.Equal(got.DER, []byte{1, 2}) {
		t.Errorf("stored: %+v, %v", got, err)
	}
	_, err := db.CertificateBySerial(ctx, "1")
	wants(t, "an unknown serial", err, ca.ErrUnknown)

	at := now.Add(time.Second)
	must(t, db.Revoke(ctx, c.Serial, at, 1, h.ev("revoke", c.Serial)))
	wants(t, "revoking twice", db.Revoke(ctx, c.Serial, at, 1, h.ev("revoke", c.Serial)), ca.ErrRevoked)
	wants(t, "revoking the unknown", db.Revoke(ctx, "1", at, 1, h.ev("revoke", "1")), ca.ErrUnknown)
	if n := h.events(t, "revoke"); n != 1 {
		t.Errorf("%d events tell of one revocation", n)
	}
	keysOfCertificates(t, h)
	rows, err := db.RevokedBy(ctx, ca.Issuing)
	if err != nil || len(rows) != 1 || rows[0].Serial != c.Serial || rows[0].Reason != 1 || !rows[0].RevokedAt.Equal(at) {
		t.Errorf("revoked: %+v, %v", rows, err)
	}
	if n, err := db.LastChange(ctx, ca.Issuing); err != nil || n != 1 {
		t.Errorf("after one revocation: %d changes, %v", n, err)
	}
	if n, err := db.LastChange(ctx, ca.Root); err != nil || n != 0 {
		t.Errorf("of the root: %d changes, %v", n, err)
	}
	full, err := db.RevokedBy(ctx, ca.Issuing)
	must(t, err)
	short, err := db.Listed(ctx, ca.Issuing)
	if err != nil || len(short) != len(full) || len(full) == 0 || short[0].Serial != full[0].Serial || !short[0].RevokedAt.Equal(full[0].RevokedAt) || short[0].Reason != full[0].Reason {
		t.Errorf("listed %+v of %+v, %v", short, full, err)
	}
	if rows, err := db.RevokedBy(ctx, ca.Root); err != nil || len(rows) != 0 {
		t.Errorf("revoked by the root: %+v, %v", rows, err)
	}

	last, err := db.LatestCRL(ctx, ca.Issuing)
	must(t, err)
	for _, n := range []int64{last.Number, last.Number - 1} {
		wants(t, "a CRL whose number is not above the last",
			db.StoreCRL(ctx, ca.CRL{Issuer: ca.Issuing, Number: n, DER: []byte{1}, ThisUpdate: now, NextUpdate: now}, h.ev("crl", "")), ca.ErrExists)
	}
	must(t, db.StoreCRL(ctx, ca.CRL{Issuer: ca.Issuing, Number: last.Number + 1, DER: []byte{9}, ThisUpdate: now, NextUpdate: at, Covers: 7}, h.ev("crl", "")))
	if c, err := db.LatestCRL(ctx, ca.Issuing); err != nil || c.Number != last.Number+1 || !bytes.Equal(c.DER, []byte{9}) || !c.NextUpdate.Equal(at) || c.Covers != 7 {
		t.Errorf("newest CRL: %+v, %v", c, err)
	}
	_, err = db.LatestCRL(ctx, "nobody")
	wants(t, "no CRL", err, ca.ErrUnknown)
	_, err = db.AuthorityCertificate(ctx, "nobody")
	wants(t, "no authority", err, ca.ErrUnknown)
}

func replies(t *testing.T, h *House) {
	ctx, db, now := context.Background(), h.DB, h.Clock.Now()
	begin := func(app, key string, at time.Time) (fresh bool, status int, body string) {
		t.Helper()
		fresh, _, kept, status, headers, b, err := db.BeginReply(ctx, app, key, []byte("fp"), at)
		if err != nil || string(kept) != "fp" || status != 0 && headers != "h" {
			t.Fatalf("fresh %v, fingerprint %q, headers %q, %v", fresh, kept, headers, err)
		}
		return fresh, status, string(b)
	}
	if fresh, _, _ := begin("a", "k", now); !fresh {
		t.Fatal("a new key was known")
	}
	if fresh, status, _ := begin("a", "k", now); fresh || status != 0 {
		t.Fatalf("a running request: fresh %v, status %d", fresh, status)
	}
	if fresh, _, _ := begin("b", "k", now); !fresh {
		t.Error("another app's key is not its own")
	}
	must(t, db.FinishReply(ctx, "a", "k", now.Add(time.Second), 500, "", nil)) // another claim's
	must(t, db.FinishReply(ctx, "a", "k", now, 201, "h", []byte("answer")))
	must(t, db.LeaveReply(ctx, "b", "k", now.Add(-time.Second))) // another claim's
	if fresh, _, _ := begin("b", "k", now); fresh {
		t.Error("another claim was left")
	}
	must(t, db.LeaveReply(ctx, "b", "k", now))
	if fresh, _, _ := begin("b", "k", now.Add(time.Microsecond)); !fresh {
		t.Error("a claim that was left is not to be had")
	}
	first, others := parallel(t, 50, func() error {
		fresh, _, _, _, _, _, err := db.BeginReply(ctx, "a", "race", []byte("fp"), now)
		if err == nil && !fresh {
			err = errTaken
		}
		return err
	}, errTaken)
	if first != 1 || others != 49 {
		t.Errorf("50 parallel requests with one key: %d ran", first)
	}
	h.Clock.Advance(24 * time.Hour)
	if fresh, status, body := begin("a", "k", h.Clock.Now()); fresh || status != 201 || body != "answer" {
		t.Errorf("kept: fresh %v, %d %q", fresh, status, body)
	}
	h.Clock.Advance(time.Microsecond)
	if fresh, _, _ := begin("a", "k", h.Clock.Now()); !fresh {
		t.Error("an answer was kept for more than 24 hours")
	}
}

// A request that was cut off is found as such, with what it did, by the same request alone. Whatever
// the gateways' clocks say, how long that takes the database's does.
func repliesCutOff(t *testing.T, h *House) {
	ctx, db, now := context.Background(), h.DB, h.Clock.Now()
	begin := func(print string, at time.Time) (fresh bool, object string) {
		t.Helper()
		fresh, object, _, _, _, _, err := db.BeginReply(ctx, "a", "k", []byte(print), at)
		must(t, err)
		return fresh, object
	}
	event := func(verdict, object string) audit.Event {
		return audit.Event{At: now, Actor: "app:a", Action: "batch.create", Object: object, Verdict: verdict}
	}
	begin("fp", now)
	claimed := db.ClaimedReply(ctx, "a", "k", now)
	must(t, db.Audit(claimed, event(audit.Refused, "ba_refused")))
	must(t, db.Audit(claimed, event(audit.Noted, "ba_noted")))
	for _, skew := range []time.Duration{-time.Hour, 31 * time.Second, time.Hour} {
		if fresh, _ := begin("fp", now.Add(skew)); fresh {
			t.Errorf("a gateway whose clock is %s off took a request that runs for dead", skew)
		}
	}
	h.Clock.Advance(30 * time.Second)
	if fresh, _ := begin("fp", h.Clock.Now()); fresh {
		t.Error("a request that runs was taken for dead")
	}
	h.Clock.Advance(-20 * time.Second)
	must(t, db.ExtendReply(ctx, "a", "k", now))
	h.Clock.Advance(30 * time.Second)
	if fresh, _ := begin("fp", h.Clock.Now()); fresh {
		t.Error("a request that said it runs was taken for dead")
	}
	h.Clock.Advance(time.Microsecond)
	late := now.Add(-time.Minute) // by a clock that is behind
	if fresh, _ := begin("other", late); fresh {
		t.Error("another request took the claim of a dead one")
	}
	if fresh, object := begin("fp", late); !fresh || object != "" {
		t.Errorf("what a dead gateway left: fresh %v, %q", fresh, object)
	}
	// The first one was not dead after all: from here on it changes nothing.
	head := func() int64 {
		t.Helper()
		seq, _, err := db.AuditHead(ctx)
		must(t, err)
		return seq
	}
	was := head()
	if err := db.CreateBatch(claimed, batch.Batch{ID: "ba_twice", App: h.App.ID, Name: "x", Kind: batch.Digest, Status: batch.Open, CreatedAt: now}, event(audit.Accepted, "ba_twice")); err == nil {
		t.Error("two requests of one key made something")
	}
	if _, err := db.Batch(ctx, "ba_twice"); !errors.Is(err, batch.ErrUnknown) || head() != was {
		t.Errorf("what was refused is there: %v, %d events", err, head()-was)
	}
	claimed = db.ClaimedReply(ctx, "a", "k", late)
	must(t, db.CreateBatch(claimed, batch.Batch{ID: "ba_once", App: h.App.ID, Name: "x", Kind: batch.Digest, Status: batch.Open, CreatedAt: now}, event(audit.Accepted, "ba_once")))
	must(t, db.LeaveReply(ctx, "a", "k", now)) // another claim's
	if fresh, _ := begin("fp", late); fresh {
		t.Error("another claim was left")
	}
	must(t, db.LeaveReply(ctx, "a", "k", late))
	if fresh, object := begin("fp", late); !fresh || object != "ba_once" {
		t.Errorf("what was done before it was left: fresh %v, %q", fresh, object)
	}
	// Whoever was taken for dead changes nothing more, not even to undo; a refusal is told.
	must(t, db.LeaveReply(ctx, "a", "k", late))
	taken, _ := begin("fp", late.Add(time.Second))
	was = head()
	for _, verdict := range []string{audit.Accepted, audit.Noted} {
		if err := db.Audit(claimed, event(verdict, "ba_once")); err == nil || head() != was || !taken {
			t.Errorf("%s by whom the claim was taken from: %v, taken %v", verdict, err, taken)
		}
	}
	must(t, db.Audit(claimed, event(audit.Refused, "ba_once")))
	must(t, db.Audit(db.ClaimedReply(claimed, "", "", time.Time{}), event(audit.Accepted, "ba_once")))
}

var errTaken = errors.New("taken")

func meta(t *testing.T, h *House) {
	ctx := context.Background()
	if v, err := h.DB.Meta(ctx, "x"); v != "" || err != nil {
		t.Fatalf("%q, %v", v, err)
	}
	must(t, h.DB.PutMeta(ctx, "x", "1"))
	must(t, h.DB.PutMeta(ctx, "x", "2"))
	if v, err := h.DB.Meta(ctx, "x"); v != "1" || err != nil {
		t.Errorf("a fact was overwritten: %q, %v", v, err)
	}
	must(t, h.DB.Ping(ctx))
}

// Ids of requests that no engine's text can be are unknown like others, and a
// refusal that names one is audited.
func strangeText(t *testing.T, h *House) {
	ctx := context.Background()
	for _, id := range []string{"\x00", "tx\x00", "\xff", "\xc0\x80"} {
		_, err := h.DB.Request(ctx, id)
		wants(t, "a transaction", err, signer.ErrUnknown)
		_, err = h.DB.Challenge(ctx, id)
		wants(t, "a challenge", err, otp.ErrUnknown)
		_, err = h.DB.Credential(ctx, IC, id, "")
		wants(t, "a system", err, signer.ErrUnknownOfficer)
		_, err = h.DB.Credential(ctx, IC, System, id)
		wants(t, "a credential", err, signer.ErrNoCredential)
		_, err = h.DB.Document(ctx, id)
		wants(t, "a document", err, batch.ErrUnknown)
		_, err = h.Apps.BySecret(ctx, id, "x", nil)
		wants(t, "an app", err, enrol.ErrUnknown)
		must(t, h.DB.Audit(ctx, h.ev("strange", id)))
	}
	if n := h.events(t, "strange"); n != 4 {
		t.Errorf("%d events tell of 4 refusals", n)
	}
	Chain(t, h.DB)
}

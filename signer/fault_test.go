package signer_test

import (
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/storetest"
)

var errFault = errors.New("connection reset")

// faultRecords fails one call: the nth of a method, before it is done or after.
type faultRecords struct {
	storetest.Records
	method string
	nth    int
	after  bool

	mu    sync.Mutex
	calls map[string]int
	fired bool
}

func (f *faultRecords) do(method string, call func() error) error {
	f.mu.Lock()
	f.calls[method]++
	fire := method == f.method && f.calls[method] == f.nth
	f.fired = f.fired || fire
	f.mu.Unlock()
	if fire && !f.after {
		return errFault
	}
	err := call()
	if fire {
		return errFault
	}
	return err
}

func value[T any](f *faultRecords, method string, call func() (T, error)) (out T, err error) {
	err = f.do(method, func() (err error) {
		out, err = call()
		return err
	})
	if err != nil {
		var zero T
		return zero, err
	}
	return out, nil
}

func (f *faultRecords) Credential(ctx context.Context, ic, system, id string) (signer.Credential, error) {
	return value(f, "Credential", func() (signer.Credential, error) { return f.Records.Credential(ctx, ic, system, id) })
}
func (f *faultRecords) Certificate(ctx context.Context, credential string) (*x509.Certificate, error) {
	return value(f, "Certificate", func() (*x509.Certificate, error) { return f.Records.Certificate(ctx, credential) })
}
func (f *faultRecords) PINState(ctx context.Context, ic string) (signer.PINState, error) {
	return value(f, "PINState", func() (signer.PINState, error) { return f.Records.PINState(ctx, ic) })
}
func (f *faultRecords) CreateRequest(ctx context.Context, r *signer.Request, docs []signer.Document, ev audit.Event, code *signer.FirstCode) error {
	return f.do("CreateRequest", func() error { return f.Records.CreateRequest(ctx, r, docs, ev, code) })
}
func (f *faultRecords) Request(ctx context.Context, id string) (signer.Request, error) {
	return value(f, "Request", func() (signer.Request, error) { return f.Records.Request(ctx, id) })
}
func (f *faultRecords) Pending(ctx context.Context, batch string) iter.Seq2[signer.Document, error] {
	return func(yield func(signer.Document, error) bool) {
		more := true
		err := f.do("Pending", func() error {
			for d, err := range f.Records.Pending(ctx, batch) {
				if more = yield(d, err); !more {
					return nil
				}
			}
			return nil
		})
		if err != nil && more {
			yield(signer.Document{}, err)
		}
	}
}
func (f *faultRecords) CancelRequest(ctx context.Context, id string, status signer.Status, ev audit.Event) error {
	return f.do("CancelRequest", func() error { return f.Records.CancelRequest(ctx, id, status, ev) })
}
func (f *faultRecords) Linked(ctx context.Context, token [32]byte, since time.Time) (r signer.Request, at time.Time, err error) {
	err = f.do("Linked", func() error { r, at, err = f.Records.Linked(ctx, token, since); return err })
	return r, at, err
}
func (f *faultRecords) Disown(ctx context.Context, token [32]byte, was signer.Status, tell []string, ev audit.Event) error {
	return f.do("Disown", func() error { return f.Records.Disown(ctx, token, was, tell, ev) })
}
func (f *faultRecords) CountPIN(ctx context.Context, ic string, p signer.PINPolicy, now time.Time) (signer.PINState, error) {
	return value(f, "CountPIN", func() (signer.PINState, error) { return f.Records.CountPIN(ctx, ic, p, now) })
}
func (f *faultRecords) UncountPIN(ctx context.Context, ic string, p signer.PINPolicy) error {
	return f.do("UncountPIN", func() error { return f.Records.UncountPIN(ctx, ic, p) })
}
func (f *faultRecords) UnlockPIN(ctx context.Context, ic string, ev audit.Event) (signer.PINState, error) {
	return value(f, "UnlockPIN", func() (signer.PINState, error) { return f.Records.UnlockPIN(ctx, ic, ev) })
}
func (f *faultRecords) Reseal(ctx context.Context, credential string, from uint32, sealed []byte, ev audit.Event) error {
	return f.do("Reseal", func() error { return f.Records.Reseal(ctx, credential, from, sealed, ev) })
}
func (f *faultRecords) RecordIntent(ctx context.Context, in signer.Intent, nonce [otp.NonceSize]byte, officer string, n int, ev audit.Event) ([]signer.Claimed, error) {
	return value(f, "RecordIntent", func() ([]signer.Claimed, error) { return f.Records.RecordIntent(ctx, in, nonce, officer, n, ev) })
}
func (f *faultRecords) Claim(ctx context.Context, run signer.Run, n int) ([]signer.Claimed, error) {
	return value(f, "Claim", func() ([]signer.Claimed, error) { return f.Records.Claim(ctx, run, n) })
}
func (f *faultRecords) Complete(ctx context.Context, intent string, out []signer.Outcome, now time.Time, ev audit.Event) (bool, error) {
	return value(f, "Complete", func() (bool, error) { return f.Records.Complete(ctx, intent, out, now, ev) })
}
func (f *faultRecords) Abandon(ctx context.Context, intent string, ev audit.Event) error {
	return f.do("Abandon", func() error { return f.Records.Abandon(ctx, intent, ev) })
}
func (f *faultRecords) EndRun(ctx context.Context, run signer.Run, ev audit.Event, alone *audit.Event) (bool, error) {
	return value(f, "EndRun", func() (bool, error) { return f.Records.EndRun(ctx, run, ev, alone) })
}
func (f *faultRecords) OpenIntents(ctx context.Context) ([]signer.Intent, error) {
	return value(f, "OpenIntents", func() ([]signer.Intent, error) { return f.Records.OpenIntents(ctx) })
}
func (f *faultRecords) Audit(ctx context.Context, ev audit.Event) error {
	return f.do("Audit", func() error { return f.Records.Audit(ctx, ev) })
}
func (f *faultRecords) StoreChallenge(ctx context.Context, c *otp.Challenge, p otp.Policy, ev audit.Event) error {
	return f.do("StoreChallenge", func() error { return f.Records.StoreChallenge(ctx, c, p, ev) })
}
func (f *faultRecords) Withdraw(ctx context.Context, c otp.Challenge, refused bool, ev audit.Event) error {
	return f.do("Withdraw", func() error { return f.Records.Withdraw(ctx, c, refused, ev) })
}
func (f *faultRecords) Challenge(ctx context.Context, tx string) (otp.Challenge, error) {
	return value(f, "Challenge", func() (otp.Challenge, error) { return f.Records.Challenge(ctx, tx) })
}
func (f *faultRecords) ReserveTry(ctx context.Context, tx string, nonce [otp.NonceSize]byte) (int, error) {
	return value(f, "ReserveTry", func() (int, error) { return f.Records.ReserveTry(ctx, tx, nonce) })
}

// cycle is one signing cycle on a house whose database may fail, with what
// must hold at every moment watched from outside.
type cycle struct {
	*house
	t      *testing.T
	faults *faultRecords
	db     *sql.DB      // somebody else's eyes
	signed atomic.Int64 // uses of the key
}

func (c *cycle) number(query string, args ...any) (n int) {
	c.t.Helper()
	if err := c.db.QueryRow(query, args...).Scan(&n); err != nil {
		c.t.Fatalf("%s: %v", query, err)
	}
	return n
}

// watch looks at the database at the moment a key is opened or used.
func (c *cycle) watch() {
	c.Keys.OnOpen = func(signer.Credential) error {
		if c.number("SELECT MAX(pin_total) FROM officers") < 1 {
			c.t.Error("a PIN was tried before it was counted")
		}
		return nil
	}
	c.Keys.OnSign = func(_ signer.Credential, digest []byte) error {
		c.signed.Add(1)
		if c.number(`SELECT count(*) FROM intents n JOIN items i ON i.batch_id = n.batch_id JOIN challenges c ON c.transaction_id = n.transaction_id
			WHERE n.state = 'open' AND i.digest = ? AND c.redeemed = 1`, digest) != 1 {
			c.t.Error("a key was used without a committed intent naming the digest")
		}
		return nil
	}
}

// asked runs one call of the app or the officer; a refusal must be in the audit.
func (c *cycle) asked(what string, call func() error) error {
	c.t.Helper()
	const refusals = "SELECT count(*) FROM audit_events WHERE verdict = 'refused'"
	before := c.number(refusals)
	err := call()
	after := c.number(refusals)
	switch {
	case err == nil && after != before:
		c.t.Errorf("%s succeeded with a refusal in the audit", what)
	case err != nil && after == before && !errors.Is(err, audit.ErrNotRecorded):
		c.t.Errorf("%s was refused (%v) without a word in the audit", what, err)
	}
	return err
}

// attempt authorises; an authorisation must rest on a committed intent.
func (c *cycle) attempt(what string, f signer.Confirmation) *signer.Authorization {
	c.t.Helper()
	var a *signer.Authorization
	err := c.asked(what, func() (err error) {
		a, err = c.s.Authorize(ctx, f)
		return err
	})
	if err != nil {
		return nil
	}
	if c.number("SELECT count(*) FROM intents WHERE id = ? AND state = 'open'", a.Intent.ID) != 1 {
		c.t.Errorf("%s: authorised without a committed intent", what)
	}
	return a
}

// run goes through a whole cycle as app and officer would, trying again once
// where a fault came in between.
func (c *cycle) run() {
	var r *signer.Request
	var ch *otp.Challenge
	for range 2 {
		if c.asked("prepare", func() (err error) {
			r, ch, err = c.s.Prepare(ctx, c.Ask(3))
			return err
		}) == nil {
			break
		}
	}
	if r == nil {
		c.t.Fatal("two attempts to prepare failed")
	}
	c.Clock.Advance(time.Minute)
	for range 2 {
		if c.asked("resend", func() error {
			_, again, err := c.s.Resend(ctx, r.App, r.ID, "", "r")
			if err == nil {
				ch = again
			}
			return err
		}) == nil {
			break
		}
		c.Clock.Advance(time.Minute)
	}
	f := c.Confirm(r, ch)
	right := c.Mail.Code()
	bad := f
	bad.Code = secret.New(wrong(right))
	if c.attempt("a wrong code", bad) != nil {
		c.t.Error("a wrong code was accepted")
	}
	bad = f
	bad.Code, bad.PIN = secret.New(right), secret.New("wrong-pin-1")
	if c.attempt("a wrong PIN", bad) != nil {
		c.t.Error("a wrong PIN was accepted")
	}
	var all []*signer.Authorization
	for range 3 { // the right one, and two that come again whatever the answer was
		f.Code, f.PIN = secret.New(right), secret.New(storetest.PIN)
		if a := c.attempt("the right PIN and code", f); a != nil {
			all = append(all, a)
		}
	}
	if len(all) > 1 {
		c.t.Errorf("one code gave %d authorisations", len(all))
	}
	for _, a := range all {
		if err := c.house.run(a); err != nil && !errors.Is(err, errFault) && !errors.Is(err, signer.ErrFence) {
			c.t.Errorf("running: %v", err)
		}
	}
	c.invariants(false)

	// The machine is started again, the database is well.
	c.restart(c.t)
	if _, _, err := c.s.Recover(ctx); err != nil {
		c.t.Errorf("recovering: %v", err)
	}
	c.invariants(true)
	f.Code, f.PIN = secret.New(right), secret.New(storetest.PIN)
	if a, err := c.s.Authorize(ctx, f); err == nil {
		a.Close()
		c.t.Error("the code was accepted after a restart")
	}
}

// invariants checks what must hold after every fault; settled says that
// nothing may be half-done any more.
func (c *cycle) invariants(settled bool) {
	c.t.Helper()
	for what, query := range map[string]string{
		"signed items without an intent":         "SELECT count(*) FROM items WHERE state = 'signed' AND intent_id NOT IN (SELECT id FROM intents)",
		"signed items without a signature":       "SELECT count(*) FROM items WHERE state = 'signed' AND length(coalesce(signature, '')) = 0",
		"signatures of items not signed":         "SELECT count(*) FROM items WHERE state <> 'signed' AND signature IS NOT NULL",
		"codes spent without an intent":          "SELECT count(*) FROM challenges WHERE redeemed = 1 AND transaction_id NOT IN (SELECT transaction_id FROM intents)",
		"intents whose code is not spent":        "SELECT count(*) FROM intents WHERE transaction_id NOT IN (SELECT transaction_id FROM challenges WHERE redeemed = 1)",
		"signed transactions with work left":     "SELECT count(*) FROM transactions t JOIN items i ON i.batch_id = t.batch_id WHERE t.status = 'SIGNED' AND i.state <> 'signed'",
		"finished intents with work left":        "SELECT count(*) FROM intents n JOIN items i ON i.batch_id = n.batch_id WHERE n.state = 'finished' AND i.state <> 'signed'",
		"intents that differ from their request": "SELECT count(*) FROM intents n JOIN transactions t ON t.id = n.transaction_id WHERE n.root <> t.root OR n.count <> t.count OR n.batch_id <> t.batch_id",
		"transactions signed beyond the audit":   `SELECT (SELECT count(*) FROM intents) - (SELECT count(*) FROM audit_events WHERE action = 'signer.authorize' AND verdict = 'accepted')`,
	} {
		if n := c.number(query); n != 0 {
			c.t.Errorf("%d %s", n, what)
		}
	}
	if n := c.number("SELECT count(*) FROM items WHERE state = 'signed'"); int64(n) > c.signed.Load() {
		c.t.Errorf("%d items are signed after %d uses of the key", n, c.signed.Load())
	}
	if n := c.Keys.Live.Load(); n != 0 {
		c.t.Errorf("%d keys are open", n)
	}
	storetest.Chain(c.t, c.DB)
	if !settled {
		return
	}
	for what, query := range map[string]string{
		"open intents":            "SELECT count(*) FROM intents WHERE state = 'open'",
		"transactions in signing": "SELECT count(*) FROM transactions WHERE status = 'SIGNING'",
		"claimed items":           "SELECT count(*) FROM items WHERE state = 'claimed'",
		"abandoned intents whose request does not need authorisation": `SELECT count(*) FROM intents n JOIN transactions t ON t.id = n.transaction_id
			WHERE n.state = 'abandoned' AND t.status <> 'NEEDS_AUTHORISATION'`,
	} {
		if n := c.number(query); n != 0 {
			c.t.Errorf("%d %s after a restart", n, what)
		}
	}
}

// Every call of the database in the cycle fails once, in both ways.
func TestEveryDatabaseFaultBothWays(t *testing.T) {
	dir := t.TempDir()
	db := storetest.OpenSQLite(t, filepath.Join(dir, "template.db"))
	template := storetest.NewHouse(t, db)
	must(t, db.Close())

	once := func(t *testing.T, f *faultRecords) *cycle {
		h := &house{path: filepath.Join(t.TempDir(), "mohor.db")}
		copyFile(t, filepath.Join(dir, "template.db"), h.path)
		h.House = template.Restart(t, openDB(t, h.path))
		h.Mail = &storetest.Mailbox{}
		f.Records, f.calls = h.DB, map[string]int{}
		h.s = h.Signer(f, nil)
		c := &cycle{house: h, t: t, faults: f, db: h.raw(t)}
		c.watch()
		c.run()
		return c
	}
	control := &faultRecords{}
	c := once(t, control)
	if n := c.number("SELECT count(*) FROM items WHERE state = 'signed'"); n != 3 || c.signed.Load() != 3 {
		t.Fatalf("without a fault %d items are signed with %d uses of the key, want 3", n, c.signed.Load())
	}
	cases := 0
	for method, n := range control.calls {
		for nth := 1; nth <= n; nth++ {
			for _, after := range []bool{false, true} {
				cases++
				t.Run(fmt.Sprintf("%s %d done %v", method, nth, after), func(t *testing.T) {
					f := &faultRecords{method: method, nth: nth, after: after}
					once(t, f)
					// How often the feeder claims depends on the workers.
					if !f.fired && method != "Claim" && method != "Complete" {
						t.Error("the fault was not injected")
					}
				})
			}
		}
	}
	t.Logf("%d faults", cases)
	for _, method := range []string{"Credential", "CreateRequest", "Request", "Pending", "CountPIN", "RecordIntent", "Claim", "Complete", "Audit", "Challenge", "ReserveTry"} {
		if control.calls[method] == 0 {
			t.Errorf("%s is not called in a cycle", method)
		}
	}
}

package signer_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
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

func TestAuthorizeThenSign(t *testing.T) {
	h := newHouse(t)
	r, f := h.prepare(t, h.Ask(3))
	f.Root = r.Root[:]
	for _, d := range h.Ask(3).Documents {
		f.Digests = append(f.Digests, d.Digest)
	}
	a, err := h.s.Authorize(ctx, f)
	if err != nil {
		t.Fatal(err)
	}
	if a.Intent.Transaction != r.ID || a.Intent.Root != r.Root || a.Intent.Count != 3 || a.Intent.OptionsHash != r.OptionsHash || a.Intent.Credential != h.Credential.ID ||
		!a.Intent.Deadline.Equal(h.Clock.Now().Add(10*time.Minute+6*time.Second)) || len(a.Intent.Seal) != 32 {
		t.Errorf("intent %+v", a.Intent)
	}
	if got, err := h.s.Request(ctx, r.App, r.ID); err != nil || got.Status != signer.Signing {
		t.Errorf("%s, %v", got.Status, err)
	}
	claimed, err := h.s.Claim(ctx, a, 10)
	if err != nil || len(claimed) != 3 {
		t.Fatalf("%d claimed, %v", len(claimed), err)
	}
	var out []signer.Outcome
	for _, d := range claimed {
		o, err := signOne(h.s, a, d)
		if err != nil {
			t.Fatal(err)
		}
		if !ecdsa.VerifyASN1(a.Credential.Certificate.PublicKey.(*ecdsa.PublicKey), d.Digest, o.Signature) {
			t.Errorf("the signature of document %d does not verify", d.Index)
		}
		out = append(out, o)
	}
	if got, err := h.s.Request(ctx, r.App, r.ID); err != nil || got.Status != signer.Signing {
		t.Errorf("before the commit it is %s, %v", got.Status, err)
	}
	if done, err := h.s.Complete(ctx, a, out); err != nil || !done {
		t.Fatalf("%v, %v", done, err)
	}
	if got, err := h.s.Request(ctx, r.App, r.ID); err != nil || got.Status != signer.Signed || h.Keys.Signs.Load() != 3 {
		t.Errorf("%s, %v, %d uses of the key", got.Status, err, h.Keys.Signs.Load())
	}
	if err := errors.Join(a.Close(), a.Close()); err != nil || h.Keys.Live.Load() != 0 {
		t.Errorf("%v, %d keys are open", err, h.Keys.Live.Load())
	}
	if h.refusals(t) != 0 || h.pin(t) != (signer.PINState{}) {
		t.Errorf("%d refusals, counter %+v", h.refusals(t), h.pin(t))
	}
	want := map[string]bool{"transaction.create": true, "otp.issue": true, "signer.authorize": true, "signer.complete": true}
	for _, rec := range storetest.Chain(t, h.DB) {
		if rec.Verdict == audit.Accepted {
			delete(want, rec.Action)
		}
	}
	if len(want) != 0 {
		t.Errorf("not in the audit: %v", want)
	}
}

// The order of judgement: each refusal leaves tries and PIN as the contract
// says, is audited once, and uses no key.
func TestAuthorizeRefusesInOrder(t *testing.T) {
	h := newHouse(t)
	r, right := h.prepare(t, h.Ask(2))
	code := string(right.Code.Reveal())
	refuse := func(what string, want error, tries int, edit func(f *signer.Confirmation)) error {
		t.Helper()
		f := right
		f.Code, f.PIN = secret.New(code), secret.New(storetest.PIN)
		edit(&f)
		var err error
		h.refuses(t, what, want, func() error {
			var a *signer.Authorization
			if a, err = h.s.Authorize(ctx, f); err == nil {
				a.Close()
			}
			return err
		})
		if got := h.tries(t, r); got != tries {
			t.Errorf("%s: %d tries are left, want %d", what, got, tries)
		}
		return err
	}
	badCode := func(f *signer.Confirmation) { f.Code = secret.New(wrong(code)) }
	badPIN := func(f *signer.Confirmation) { f.PIN = secret.New("wrong-pin-1") }
	docs := h.Ask(2).Documents

	refuse("another app", signer.ErrUnknown, 3, func(f *signer.Confirmation) { f.App = "other" })
	refuse("an unknown transaction", signer.ErrUnknown, 3, func(f *signer.Confirmation) { f.Transaction = "tx_none" })
	refuse("a wrong nonce with all else wrong", otp.ErrNonce, 3, func(f *signer.Confirmation) { f.Nonce[0] ^= 1; badCode(f); badPIN(f); f.Root = []byte{1} })
	refuse("another root", signer.ErrDocuments, 3, func(f *signer.Confirmation) { f.Root = make([]byte, 32); badCode(f) })
	refuse("a short root", signer.ErrDocuments, 3, func(f *signer.Confirmation) { f.Root = r.Root[:31] })
	refuse("one digest of two", signer.ErrDocuments, 3, func(f *signer.Confirmation) { f.Digests = [][]byte{docs[0].Digest} })
	refuse("three digests of two", signer.ErrDocuments, 3, func(f *signer.Confirmation) { f.Digests = [][]byte{docs[0].Digest, docs[1].Digest, docs[1].Digest} })
	refuse("digests in another order", signer.ErrDocuments, 3, func(f *signer.Confirmation) { f.Digests = [][]byte{docs[1].Digest, docs[0].Digest} })

	must(t, func() error {
		for range 5 {
			if _, err := h.DB.CountPIN(ctx, storetest.IC, signer.DefaultPINPolicy(), h.Clock.Now()); err != nil {
				return err
			}
		}
		return nil
	}())
	err := refuse("a locked PIN with a right code", signer.ErrPINLocked, 3, func(*signer.Confirmation) {})
	var locked *signer.LockedError
	if !errors.As(err, &locked) || !locked.Until.Equal(h.Clock.Now().Add(15*time.Minute)) {
		t.Errorf("locked: %v", err)
	}
	h.edit(t, "UPDATE officers SET pin_in_a_row = 0, pin_total = 0, pin_locked_until = 0")

	opens := h.Keys.Opens.Load()
	if err = refuse("a wrong code and a wrong PIN", otp.ErrWrong, 2, func(f *signer.Confirmation) { badCode(f); badPIN(f) }); left(err) != 2 {
		t.Errorf("a wrong code: %d left", left(err))
	}
	if h.pin(t) != (signer.PINState{}) || h.Keys.Opens.Load() != opens {
		t.Errorf("the PIN was looked at with a wrong code: %+v", h.pin(t))
	}
	if err = refuse("a wrong PIN", signer.ErrPINWrong, 1, badPIN); left(err) != 4 {
		t.Errorf("a wrong PIN: %d left", left(err))
	}
	if st := h.pin(t); st.InARow != 1 || st.Total != 1 {
		t.Errorf("a wrong PIN counted %+v", st)
	}
	// The code stays live for the try that is left; with it all is well.
	right.Code = secret.New(code)
	a, err := h.s.Authorize(ctx, right)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if h.pin(t) != (signer.PINState{}) {
		t.Errorf("after a right PIN: %+v", h.pin(t))
	}
	refuse("a code spent", otp.ErrUsed, 0, func(*signer.Confirmation) {})
	refuse("a code spent, wrong nonce", otp.ErrUsed, 0, func(f *signer.Confirmation) { f.Nonce[0] ^= 1 })
	if h.Keys.Live.Load() != 1 {
		t.Errorf("%d keys are open", h.Keys.Live.Load())
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAuthorizeRefusesByTimeAndStatus(t *testing.T) {
	type step func(h *house, r *signer.Request, f *signer.Confirmation)
	for name, c := range map[string]struct {
		want error
		do   step
	}{
		"three wrong codes": {otp.ErrAttempts, func(h *house, _ *signer.Request, f *signer.Confirmation) {
			for range 3 {
				bad := *f
				bad.Code = secret.New(wrong(string(f.Code.Reveal())))
				if _, err := h.s.Authorize(ctx, bad); !errors.Is(err, otp.ErrWrong) {
					t.Error(err)
				}
			}
		}},
		"an expired code":        {otp.ErrExpired, func(h *house, _ *signer.Request, _ *signer.Confirmation) { h.Clock.Advance(5 * time.Minute) }},
		"an expired transaction": {signer.ErrTransactionExpired, func(h *house, _ *signer.Request, _ *signer.Confirmation) { h.Clock.Advance(30 * time.Minute) }},
		"a cancelled transaction": {signer.ErrCancelled, func(h *house, r *signer.Request, _ *signer.Confirmation) {
			must(t, h.s.Cancel(ctx, r.App, r.ID, "r"))
		}},
		"a failed transaction": {signer.ErrFinished, func(h *house, r *signer.Request, _ *signer.Confirmation) {
			must(t, h.DB.CancelRequest(ctx, r.ID, signer.Failed, audit.Event{}))
		}},
		"an expired certificate": {signer.ErrCertificateExpired, func(h *house, _ *signer.Request, _ *signer.Confirmation) {
			h.edit(t, "UPDATE challenges SET expires_at = expires_at * 2")
			h.edit(t, "UPDATE transactions SET expires_at = expires_at * 2")
			h.Clock.Advance(396*24*time.Hour + time.Second)
		}},
		"a revoked certificate": {signer.ErrCertificateRevoked, func(h *house, _ *signer.Request, _ *signer.Confirmation) {
			must(t, h.CA.Revoke(ctx, "test", h.Credential.Serial, 1))
		}},
		"a suspended certificate": {signer.ErrCertificateOnHold, func(h *house, _ *signer.Request, _ *signer.Confirmation) {
			h.edit(t, "UPDATE credentials SET status = 'SUSPENDED'")
		}},
		"a status nobody knows": {signer.ErrNoCredential, func(h *house, _ *signer.Request, _ *signer.Confirmation) {
			h.edit(t, "UPDATE credentials SET status = 'x'")
		}},
		"a lost code": {otp.ErrExpired, func(h *house, _ *signer.Request, _ *signer.Confirmation) { h.restart(t) }},
		"an old nonce": {otp.ErrNonce, func(h *house, r *signer.Request, _ *signer.Confirmation) {
			h.Clock.Advance(time.Minute)
			if _, _, err := h.s.Resend(ctx, r.App, r.ID, "", "r"); err != nil {
				t.Error(err)
			}
		}},
		"an old code under the new nonce": {otp.ErrWrong, func(h *house, r *signer.Request, f *signer.Confirmation) {
			old := h.Mail.Code()
			for old == h.Mail.Code() {
				h.Clock.Advance(time.Minute)
				_, c, err := h.s.Resend(ctx, r.App, r.ID, "auto", "r")
				must(t, err)
				f.Nonce = c.Nonce
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			r, f := h.prepare(t, h.Ask(1))
			c.do(h, r, &f)
			h.refuses(t, name, c.want, func() error {
				_, err := h.s.Authorize(ctx, f)
				return err
			})
			if n := h.Keys.Opens.Load(); n != 0 {
				t.Errorf("the PIN was tried %d times", n)
			}
		})
	}
}

// An authorisation does not outlast the certificate: what were signed behind it would not verify.
func TestAuthorizationEndsWithTheCertificate(t *testing.T) {
	h := newHouse(t)
	first := h.authorize(t, h.Ask(1))
	end := first.Credential.Certificate.NotAfter
	must(t, h.run(first))
	h.Clock.Advance(end.Sub(h.Clock.Now()) - time.Minute)
	a := h.authorize(t, h.Ask(2))
	if !a.Intent.Deadline.Equal(end) {
		t.Errorf("a deadline of %s, and the certificate ends at %s", a.Intent.Deadline, end)
	}
	h.Clock.Advance(time.Minute)
	if err := h.run(a); !errors.Is(err, signer.ErrDeadline) {
		t.Errorf("after the certificate's end: %v", err)
	}
}

// restart loses what is in memory.
func (h *house) restart(t testing.TB) {
	h.House = h.Restart(t, h.DB)
	h.s = h.Signer(nil, h.blobs)
}

func TestAuthorizationCoversOnlyItsDocuments(t *testing.T) {
	h := newHouse(t)
	a := h.authorize(t, h.Ask(2))
	claimed, err := h.s.Claim(ctx, a, 2)
	must(t, err)
	refuse := func(what string, want error, edit func(d *signer.Claimed)) {
		t.Helper()
		d, signs := claimed[0], h.Keys.Signs.Load()
		d.Digest = append([]byte(nil), d.Digest...)
		edit(&d)
		if o, err := signOne(h.s, a, d); !errors.Is(err, want) || o.Signature != nil {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
		if h.Keys.Signs.Load() != signs {
			t.Errorf("%s: the key was used", what)
		}
	}
	other := sha256.Sum256([]byte("another document"))
	for what, edit := range map[string]func(d *signer.Claimed){
		"an index that is not there": func(d *signer.Claimed) { d.Index = 2 },
		"the index of another":       func(d *signer.Claimed) { d.Index = 1 },
		"another name":               func(d *signer.Claimed) { d.Name += "x" },
		"another digest":             func(d *signer.Claimed) { d.Digest = other[:] },
		"a bit of the digest":        func(d *signer.Claimed) { d.Digest[31] ^= 1 },
		"another algorithm":          func(d *signer.Claimed) { d.Hash = crypto.SHA384 },
		"no digest":                  func(d *signer.Claimed) { d.Digest = nil },
		"name and digest shifted":    func(d *signer.Claimed) { d.Name, d.Digest = d.Name[:1], append([]byte(d.Name[1:]), d.Digest...) },
	} {
		refuse(what, signer.ErrDocuments, edit)
	}
	if _, err := signOne(h.s, a, claimed[0]); err != nil {
		t.Errorf("control: %v", err)
	}
	refuse("signed before", signer.ErrSpent, func(*signer.Claimed) {})
	h.Clock.Advance(a.Intent.Deadline.Sub(h.Clock.Now()) - 1)
	refuse("signed before, in time", signer.ErrSpent, func(*signer.Claimed) {})
	h.Clock.Advance(1)
	refuse("after the deadline", signer.ErrDeadline, func(d *signer.Claimed) { *d = claimed[1] })

	b := h.authorize(t, h.Ask(1))
	must(t, b.Close())
	if _, err := signOne(h.s, b, claimed[0]); !errors.Is(err, signer.ErrDeadline) {
		t.Errorf("after Close: %v", err)
	}
	must(t, b.Close())
}

// One document is signed once, whoever asks; when no signature came of it the
// spending is taken back.
func TestSpendingIsParallelSafe(t *testing.T) {
	h := newHouse(t)
	a := h.authorize(t, h.Ask(1))
	claimed, err := h.s.Claim(ctx, a, 1)
	must(t, err)
	down := errors.New("HSM is away")
	h.Keys.OnSign = func(signer.Credential, []byte) error { return down }
	for range 3 {
		if _, err := signOne(h.s, a, claimed[0]); !errors.Is(err, down) {
			t.Fatal(err)
		}
	}
	h.Keys.OnSign = nil
	before := h.Keys.Signs.Load()
	won, spent := race(t, 50, func() error {
		_, err := signOne(h.s, a, claimed[0])
		return err
	}, signer.ErrSpent)
	if won != 1 || spent != 49 || h.Keys.Signs.Load() != before+1 {
		t.Errorf("%d won, %d were refused, %d uses of the key", won, spent, h.Keys.Signs.Load()-before)
	}
}

// race starts n calls at once and counts successes and refusals; another error
// fails t.
func race(t testing.TB, n int, call func() error, refusals ...error) (ok, refused int) {
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
next:
	for err := range errs {
		if err == nil {
			ok++
			continue
		}
		for _, r := range refusals {
			if errors.Is(err, r) {
				refused++
				continue next
			}
		}
		t.Error(err)
	}
	return ok, refused
}

// Threats, row 3: of 50 callers with the right PIN and code exactly one gets an
// authorisation. In half of the rounds each caller is a node of its own, and the
// code has a try for each of them, so that the intent's transaction alone
// decides.
func TestOneCodeOneWinner(t *testing.T) {
	for round := range 12 {
		h := newHouse(t)
		nodes := []*signer.Signer{h.s, h.Signer(nil, h.blobs)}
		if round%2 == 0 {
			for len(nodes) < 50 {
				nodes = append(nodes, h.Signer(nil, h.blobs))
			}
			for _, n := range nodes {
				n.Codes.Policy.Tries = 50
				n.PIN = signer.PINPolicy{LockAfter: 1000, LockFor: time.Minute, BlockAfter: 1000}
			}
		}
		_, f := h.prepare(t, h.Ask(1))
		var next atomic.Int64
		won, refused := race(t, 50, func() error {
			a, err := nodes[int(next.Add(1))%len(nodes)].Authorize(ctx, f)
			if err == nil {
				t.Cleanup(func() { a.Close() })
			}
			return err
		}, otp.ErrUsed, otp.ErrAttempts, signer.ErrFinished)
		open, err := h.DB.OpenIntents(ctx)
		if won != 1 || refused != 49 || err != nil || len(open) != 1 {
			t.Errorf("round %d: %d won, %d were refused, %d intents, %v", round, won, refused, len(open), err)
		}
		if h.Keys.Live.Load() != 1 {
			t.Errorf("round %d: %d keys are open", round, h.Keys.Live.Load())
		}
		if n := h.refusals(t); n != 49 {
			t.Errorf("round %d: %d refusals are in the audit", round, n)
		}
		if st := h.pin(t); st != (signer.PINState{}) {
			t.Errorf("round %d: right PINs left the counter at %+v", round, st)
		}
	}
}

// interposed has something happen just before the documents are read.
type interposed struct {
	storetest.Records
	first func()
}

func (i *interposed) Pending(ctx context.Context, batch string) iter.Seq2[signer.Document, error] {
	i.first()
	return i.Records.Pending(ctx, batch)
}

// Another node signs while this one judges: the code was used, and nobody is told
// that the documents are others.
func TestSignedElsewhereWhileJudging(t *testing.T) {
	h := newHouse(t)
	_, f := h.prepare(t, h.Ask(2))
	late := h.Signer(&interposed{h.DB, func() {
		a, err := h.s.Authorize(ctx, f)
		must(t, err)
		claimed, err := h.s.Claim(ctx, a, 2)
		must(t, err)
		var out []signer.Outcome
		for _, d := range claimed {
			o, err := signOne(h.s, a, d)
			must(t, err)
			out = append(out, o)
		}
		if done, err := h.s.Complete(ctx, a, out); !done || err != nil {
			t.Errorf("done %t, %v", done, err)
		}
		must(t, a.Close())
	}}, h.blobs)
	if _, err := late.Authorize(ctx, f); !errors.Is(err, otp.ErrUsed) {
		t.Errorf("the late one: %v, want %v", err, otp.ErrUsed)
	}
	_, f = h.prepare(t, h.Ask(2))
	changed := h.Signer(&interposed{h.DB, func() { h.edit(t, "UPDATE items SET name = name || 'x' WHERE state = 'pending'") }}, h.blobs)
	if _, err := changed.Authorize(ctx, f); !errors.Is(err, signer.ErrDocuments) {
		t.Errorf("control, changed: %v", err)
	}
}

// Threats, row 1: 200 parallel wrong PINs, each with a right code, cost exactly
// five checks on three nodes; then the right PIN is refused, too.
func TestParallelWrongPINsCostFiveChecks(t *testing.T) {
	h := newHouse(t)
	var all []signer.Confirmation
	for len(all) < 200 {
		_, f := h.prepare(t, h.Ask(1))
		f.PIN = secret.New("wrong-pin-1")
		all = append(all, f, f, f) // three tries a code
	}
	_, last := h.prepare(t, h.Ask(1))
	before := h.refusals(t)
	next := make(chan signer.Confirmation, len(all))
	for _, f := range all {
		next <- f
	}
	n := len(all)
	nodes := []*signer.Signer{h.s, h.Signer(nil, h.blobs), h.Signer(h.another(t), h.blobs)} // the third with the file opened anew
	var turn atomic.Int64
	ok, refused := race(t, n, func() error {
		_, err := nodes[int(turn.Add(1))%len(nodes)].Authorize(ctx, <-next)
		return err
	}, signer.ErrPINWrong, signer.ErrPINLocked)
	if ok != 0 || refused != n {
		t.Errorf("%d accepted, %d refused", ok, refused)
	}
	if got := h.Keys.Opens.Load(); got != 5 {
		t.Errorf("%d of %d wrong PINs were checked, want 5", got, n)
	}
	if h.refusals(t)-before != n {
		t.Errorf("%d of %d refusals are in the audit", h.refusals(t)-before, n)
	}
	if _, err := h.s.Authorize(ctx, last); !errors.Is(err, signer.ErrPINLocked) || h.Keys.Opens.Load() != 5 {
		t.Errorf("the right PIN during the lock: %v", err)
	}
	// A locked officer gets no code.
	mails := h.Mail.Sent()
	if _, _, err := h.s.Prepare(ctx, h.Ask(1)); !errors.Is(err, signer.ErrPINLocked) || h.Mail.Sent() != mails {
		t.Errorf("a new transaction during the lock: %v", err)
	}
	// The lock runs out, five more, and only an administrator unlocks.
	h.Clock.Advance(15 * time.Minute)
	for k := range 6 {
		want := signer.ErrPINWrong
		if k == 5 {
			want = signer.ErrPINLocked
		}
		_, c, err := h.s.Prepare(ctx, h.Ask(1))
		if k == 5 {
			wants(t, "blocked", err, signer.ErrPINLocked)
			break
		}
		must(t, err)
		f := signer.Confirmation{App: h.App.ID, Nonce: c.Nonce, Transaction: c.Transaction, PIN: secret.New("wrong-pin-1"), Code: secret.New(h.Mail.Code())}
		_, err = h.s.Authorize(ctx, f)
		wants(t, fmt.Sprintf("wrong PIN %d", 6+k), err, want)
		if left(err) != 4-k {
			t.Errorf("wrong PIN %d: %d left", 6+k, left(err))
		}
	}
	h.Clock.Advance(1000 * time.Hour)
	if _, _, err := h.s.Prepare(ctx, h.Ask(1)); !errors.Is(err, signer.ErrPINLocked) || h.Keys.Opens.Load() != 10 {
		t.Errorf("blocked: %v after %d checks", err, h.Keys.Opens.Load())
	}
}

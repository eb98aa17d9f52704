package signer_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/storetest"
)

// What a crash left open is closed at start; the documents need a new PIN and
// code, and those are given on the same batch.
func TestRecoverAbandonsOpenIntents(t *testing.T) {
	h := newHouse(t)
	a := h.authorize(t, h.Ask(3))
	r := a.Request
	claimed, err := h.s.Claim(ctx, a, 2)
	must(t, err)
	o, err := signOne(h.s, a, claimed[0])
	must(t, err)
	if done, err := h.s.Complete(ctx, a, []signer.Outcome{o}); err != nil || done {
		t.Fatalf("%v, %v", done, err)
	}
	h.restart(t)
	if _, n, err := h.s.Recover(ctx); err != nil || n != 1 {
		t.Errorf("%d abandoned, %v", n, err)
	}
	if _, n, err := h.s.Recover(ctx); err != nil || n != 0 {
		t.Errorf("again: %d abandoned, %v", n, err)
	}
	got, err := h.s.Request(ctx, r.App, r.ID)
	if err != nil || got.Status != signer.NeedsAuthorisation {
		t.Errorf("%s, %v", got.Status, err)
	}
	records := storetest.Chain(t, h.DB)
	if last := records[len(records)-1]; last.Action != "signer.abandon" || last.Detail["reason"] != "gateway restarted" || last.Detail["intent"] != a.Intent.ID {
		t.Errorf("the last record is %+v", last.Event)
	}
	// The process that is gone cannot go on.
	o, err = signOne(h.s, a, claimed[1])
	must(t, err)
	if _, err := h.s.Complete(ctx, a, []signer.Outcome{o}); !errors.Is(err, signer.ErrFence) {
		t.Errorf("completing after a restart: %v", err)
	}
	again := h.Ask(0)
	again.Documents, again.Batch = nil, r.Batch
	b := h.authorize(t, again)
	if b.Request.Count != 2 || b.Request.Root == r.Root {
		t.Errorf("the rest: %+v", b.Request)
	}
	must(t, h.run(b))
	for _, it := range h.items(t, r) {
		if it.State != batch.ItemSigned {
			t.Errorf("document %d is %s", it.Index, it.State)
		}
	}
}

// Every sealed column: an intent somebody changed does not verify, and is said
// to be another's.
func TestSealCoversTheIntent(t *testing.T) {
	for column, change := range map[string]string{
		"id": "id || 'x'", "transaction_id": "'tx_other'", "credential_id": "'cr_other'", "batch_id": "'ba_other'", "root": "zeroblob(32)", "count": "count + 1",
		"options_hash": "zeroblob(32)", "created_at": "created_at - 1000000", "deadline": "deadline + 1000000", "seal": "zeroblob(32)",
	} {
		h := newHouse(t)
		a := h.authorize(t, h.Ask(1))
		open, err := h.DB.OpenIntents(ctx)
		if err != nil || len(open) != 1 {
			t.Fatalf("%+v, %v", open, err)
		}
		if err := errors.Join(h.s.VerifySeal(ctx, open[0]), h.s.VerifySeal(ctx, a.Intent)); err != nil {
			t.Errorf("control: %v", err)
		}
		h.edit(t, "UPDATE intents SET "+column+" = "+change)
		open, err = h.DB.OpenIntents(ctx)
		if err != nil || len(open) != 1 {
			t.Fatalf("%+v, %v", open, err)
		}
		if err := h.s.VerifySeal(ctx, open[0]); !errors.Is(err, signer.ErrDocuments) {
			t.Errorf("%s changed: %v", column, err)
		}
		if column == "transaction_id" || column == "batch_id" { // rows that are not there
			continue
		}
		if _, n, err := h.s.Recover(ctx); err != nil || n != 1 {
			t.Errorf("%s changed: %d abandoned, %v", column, n, err)
		}
		records := storetest.Chain(t, h.DB)
		if last := records[len(records)-1]; last.Detail["reason"] != signer.ErrDocuments.Error() {
			t.Errorf("%s changed: the reason in the audit is %q", column, last.Detail["reason"])
		}
	}
}

type noMAC struct{}

func (noMAC) MAC(context.Context, []byte) ([]byte, error) { return nil, errFault }

func TestWithoutTheHSM(t *testing.T) {
	h := newHouse(t)
	r, f := h.prepare(t, h.Ask(1))
	a := h.authorize(t, h.Ask(1))
	mac := h.s.MAC
	h.s.MAC = noMAC{}
	if err := h.s.VerifySeal(ctx, a.Intent); !errors.Is(err, signer.ErrKeysUnavailable) || errors.Is(err, signer.ErrDocuments) {
		t.Errorf("verifying a seal: %v", err)
	}
	if _, n, err := h.s.Recover(ctx); !errors.Is(err, signer.ErrKeysUnavailable) || n != 0 {
		t.Errorf("recovering: %d, %v", n, err)
	}
	live, tries := h.Keys.Live.Load(), h.pin(t)
	code := string(f.Code.Reveal())
	h.refuses(t, "no seal, no intent", signer.ErrKeysUnavailable, func() error {
		_, err := h.s.Authorize(ctx, f)
		return err
	})
	if h.Keys.Live.Load() != live {
		t.Error("the key that was opened for it is still open")
	}
	if got := h.pin(t); got != tries {
		t.Errorf("a right PIN was counted: %+v", got)
	}
	h.s.MAC = mac
	if n := h.Keys.Signs.Load(); n != 0 {
		t.Errorf("%d uses of the key", n)
	}

	// A PIN that was not judged is not held against the officer.
	before := h.pin(t)
	for _, away := range []error{signer.ErrKeysUnavailable, signer.ErrBusy} {
		h.Keys.OnOpen = func(signer.Credential) error { return fmt.Errorf("%w: token removed", away) }
		f.Code, f.PIN = secret.New(code), secret.New(storetest.PIN)
		if got := h.tries(t, r); got < 1 {
			t.Fatalf("%d tries are left", got)
		}
		h.refuses(t, "the token is away", away, func() error {
			_, err := h.s.Authorize(ctx, f)
			return err
		})
		if st := h.pin(t); st != before {
			t.Errorf("a PIN that was not judged counts: %+v, was %+v", st, before)
		}
	}
}

// The key was replaced between the question and the answer: the officer is
// asked anew.
func TestCertificateReplacedMeanwhile(t *testing.T) {
	h := newHouse(t)
	_, f := h.prepare(t, h.Ask(1))
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	other, err := h.CA.IssueOfficer(ctx, "test", ca.Officer{IC: storetest.IC, Name: "NOR'AINI", Credential: h.Credential.ID}, k.Public())
	must(t, err)
	h.edit(t, "UPDATE credentials SET serial = ?", other.SerialNumber.String())
	h.refuses(t, "another certificate", signer.ErrDocuments, func() error {
		_, err := h.s.Authorize(ctx, f)
		return err
	})
	if h.Keys.Opens.Load() != 0 {
		t.Error("the PIN was tried")
	}
}

// faultBlobs fails the nth writing, before it is done or after.
type faultBlobs struct {
	signer.Blobs
	nth    int64
	after  bool
	writes atomic.Int64
}

func (f *faultBlobs) Stage(ctx context.Context, id string, write func(io.Writer) error) (int64, error) {
	fire := f.writes.Add(1) == f.nth
	if fire && !f.after {
		return 0, errFault
	}
	n, err := f.Blobs.Stage(ctx, id, write)
	if fire {
		return 0, errFault
	}
	return n, err
}

// A document whose signed file could not be stored is not signed, whatever lies
// in the folder; a new PIN and code sign it.
func TestBlobFaultBothWays(t *testing.T) {
	for nth := 1; nth <= 3; nth++ {
		for _, after := range []bool{false, true} {
			h := newHouse(t)
			ask := h.pdfs(t, storetest.PDF("a"), storetest.PDF("b"), storetest.PDF("c"))
			r, f := h.prepare(t, ask)
			h.s.Blobs = &faultBlobs{Blobs: h.blobs, nth: int64(nth), after: after}
			a, err := h.s.Authorize(ctx, f)
			must(t, err)
			runner := batch.NewRunner(h.s, 1, 1, quiet)
			if err := runner.Run(ctx, a); !errors.Is(err, errFault) {
				t.Errorf("write %d, done %v: %v", nth, after, err)
			}
			signed := 0
			for _, it := range h.items(t, r) {
				if it.State == batch.ItemSigned {
					signed++
				} else if it.State != batch.Pending || it.SignedBlob != "" {
					t.Errorf("document %d is %s", it.Index, it.State)
				}
			}
			if signed != nth-1 {
				t.Errorf("write %d, done %v: %d are signed", nth, after, signed)
			}
			h.Clock.Advance(time.Minute)
			again := ask
			again.Documents, again.Batch = nil, r.Batch
			must(t, h.run(h.authorize(t, again)))
			for _, it := range h.items(t, r) {
				if b, err := h.blobs.Open(ctx, it.SignedBlob); it.State != batch.ItemSigned || err != nil || b.Size() != it.SignedSize {
					t.Errorf("document %d is %s, %v", it.Index, it.State, err)
				} else {
					b.Close()
				}
			}
		}
	}
}

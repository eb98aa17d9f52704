package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store"
	"github.com/mohor-sign/mohor/store/storetest"
)

// What is asked of a code, and its answer: "ok" with the tries left, or why not.
type (
	codeAsk    struct{ redeem bool }
	codeAnswer struct {
		verdict string
		left    int
	}
	codeState struct {
		tries    int
		redeemed bool
	}
)

// oneCode is a code as one caller after the other would see it: three tries, one
// redemption, no try after it.
func oneCode() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return codeState{tries: 3} },
		Step: func(state, in, out any) (bool, any) {
			s := state.(codeState)
			want := codeAnswer{verdict: "ok"}
			switch {
			case s.redeemed:
				want.verdict = "used"
			case in.(codeAsk).redeem:
				s.redeemed = true
			case s.tries == 0:
				want.verdict = "spent"
			default:
				s.tries--
				want.left = s.tries
			}
			return out == want, s
		},
	}
}

// Tries and redemptions over two nodes have an order in which each answer is
// right: they are linearizable.
func TestCodesAreLinearizable(t *testing.T) {
	ctx := context.Background()
	for name, open := range map[string]func(t *testing.T) (a, b *store.DB){
		"SQLite": func(t *testing.T) (*store.DB, *store.DB) {
			a, path := storetest.SQLite(t)
			return a, storetest.OpenSQLite(t, path)
		},
		"PostgreSQL": func(t *testing.T) (*store.DB, *store.DB) {
			a, address := storetest.Postgres(t)
			return a, storetest.OpenPostgres(t, address)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := open(t)
			h := storetest.NewHouse(t, a)
			b.Now = h.Clock.Now
			s := h.Signer(nil, nil)
			for k := range 25 {
				r, c, err := s.Prepare(ctx, h.Ask(1))
				if err != nil {
					t.Fatal(err)
				}
				history := exercise(t, []*store.DB{a, b}, r, c)
				if !porcupine.CheckOperations(oneCode(), history) {
					t.Errorf("code %d: no order explains %s", k, told(history))
				}
			}
		})
	}
}

// exercise has eight callers on both nodes try and redeem one code at once.
func exercise(t *testing.T, nodes []*store.DB, r *signer.Request, c *otp.Challenge) (history []porcupine.Operation) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	start, from := make(chan struct{}), time.Now()
	for client := range 8 {
		wg.Go(func() {
			<-start
			for n := range 3 {
				op := porcupine.Operation{ClientId: client, Input: codeAsk{redeem: rand.IntN(4) == 0}, Call: time.Since(from).Nanoseconds()}
				op.Output = ask(t, nodes[(client+n)%len(nodes)], r, c, op.Input.(codeAsk), fmt.Sprintf("in_%s_%d_%d", r.ID, client, n))
				op.Return = time.Since(from).Nanoseconds()
				mu.Lock()
				history = append(history, op)
				mu.Unlock()
			}
		})
	}
	close(start)
	wg.Wait()
	return history
}

func ask(t *testing.T, db *store.DB, r *signer.Request, c *otp.Challenge, a codeAsk, intent string) codeAnswer {
	ctx := context.Background()
	var out codeAnswer
	var err error
	if a.redeem {
		at := r.CreatedAt
		_, err = db.RecordIntent(ctx, signer.Intent{ID: intent, Transaction: r.ID, Credential: r.Credential, Batch: r.Batch, Root: r.Root, Count: r.Count,
			OptionsHash: r.OptionsHash, CreatedAt: at, Deadline: at.Add(time.Hour), Seal: make([]byte, 32)}, c.Nonce, r.Officer, 1,
			audit.Event{At: at, Actor: "test", Action: "signer.authorize", Object: r.ID, Verdict: audit.Accepted})
	} else {
		out.left, err = db.ReserveTry(ctx, r.ID, c.Nonce)
	}
	switch {
	case err == nil:
		out.verdict = "ok"
	case errors.Is(err, otp.ErrUsed):
		out = codeAnswer{verdict: "used"}
	case errors.Is(err, otp.ErrAttempts):
		out = codeAnswer{verdict: "spent"}
	default:
		t.Errorf("%+v: %v", a, err)
	}
	return out
}

func told(history []porcupine.Operation) (s string) {
	for _, o := range slices.SortedFunc(slices.Values(history), func(a, b porcupine.Operation) int { return int(a.Call - b.Call) }) {
		s += fmt.Sprintf("\n%d: %d to %d: %+v: %+v", o.ClientId, o.Call, o.Return, o.Input, o.Output)
	}
	return s
}

// The checker knows histories that cannot be.
func TestHistoryCheckerRefuses(t *testing.T) {
	try, redeem := codeAsk{}, codeAsk{redeem: true}
	ok := func(left int) codeAnswer { return codeAnswer{"ok", left} }
	history := func(all ...any) (h []porcupine.Operation) {
		for k := 0; k < len(all); k += 2 { // one after the other
			h = append(h, porcupine.Operation{ClientId: k, Input: all[k], Output: all[k+1], Call: int64(2 * k), Return: int64(2*k + 1)})
		}
		return h
	}
	for what, c := range map[string]struct {
		h    []porcupine.Operation
		want bool
	}{
		"three tries":            {history(try, ok(2), try, ok(1), try, ok(0), try, codeAnswer{"spent", 0}, redeem, ok(0), redeem, codeAnswer{"used", 0}), true},
		"a fourth try":           {history(try, ok(2), try, ok(1), try, ok(0), try, ok(0)), false},
		"a try granted twice":    {history(try, ok(2), try, ok(2)), false},
		"two redemptions":        {history(redeem, ok(0), redeem, ok(0)), false},
		"a try after redemption": {history(redeem, ok(0), try, ok(2)), false},
		"used by nobody":         {history(try, codeAnswer{"used", 0}), false},
	} {
		if got := porcupine.CheckOperations(oneCode(), c.h); got != c.want {
			t.Errorf("%s: %v", what, got)
		}
	}
}

// Of an issuer's CRLs the newest two are kept: each holds all that the ones before did.
func TestOldCRLsGo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mohor.db")
	db, now := open(t, path), time.Now()
	for n := range int64(5) {
		for _, issuer := range []string{"a", "b"} {
			if err := db.StoreCRL(t.Context(), ca.CRL{Issuer: issuer, Number: n + 1, DER: []byte{1}, ThisUpdate: now, NextUpdate: now}, audit.Event{At: now, Actor: "t", Action: "ca.crl", Verdict: audit.Accepted}); err != nil {
				t.Fatal(err)
			}
		}
	}
	var kept, first int64
	if err := raw(t, path).QueryRow("SELECT COUNT(*), MIN(number) FROM crls").Scan(&kept, &first); err != nil || kept != 4 || first != 4 {
		t.Errorf("%d CRLs are kept, from number %d, %v", kept, first, err)
	}
}

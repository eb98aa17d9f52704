//go:build !race

package signer_test

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/storetest"
)

// captured is a database in the hands of whoever mutates: every row is theirs, no
// try is ever missing. It is the records of one transaction.
type captured struct {
	signer.Records // credentials, from the house
	r              signer.Request
	docs           []signer.Document
	c              otp.Challenge
	mac            []byte
	credentials    map[string]signer.Credential
	intents        int
}

func (k *captured) Request(context.Context, string) (signer.Request, error)   { return k.r, nil }
func (k *captured) Challenge(context.Context, string) (otp.Challenge, error)  { return k.c, nil }
func (k *captured) ReserveTry(context.Context, string, [16]byte) (int, error) { return 1, nil }
func (k *captured) PINState(context.Context, string) (signer.PINState, error) {
	return signer.PINState{}, nil
}
func (k *captured) UncountPIN(context.Context, string, signer.PINPolicy) error      { return nil }
func (k *captured) Audit(context.Context, audit.Event) error                        { return nil }
func (k *captured) Find(context.Context, string) error                              { return nil }
func (k *captured) Try(context.Context, string, int) ([]byte, error)                { return k.mac, nil }
func (k *captured) Put(context.Context, string, []byte, time.Duration) error        { return nil }
func (k *captured) Drop(context.Context, string) error                              { return nil }
func (k *captured) Accepted(context.Context, string, string) ([]audit.Event, error) { return nil, nil }
func (k *captured) StoreChallenge(context.Context, *otp.Challenge, otp.Policy, audit.Event) error {
	return errors.New("nothing is issued here")
}
func (k *captured) Withdraw(context.Context, otp.Challenge, bool, audit.Event) error { return nil }
func (k *captured) StoreDelivery(context.Context, string, [otp.NonceSize]byte, otp.Delivery, audit.Event) (bool, error) {
	return true, nil
}
func (k *captured) CountPIN(context.Context, string, signer.PINPolicy, time.Time) (signer.PINState, error) {
	return signer.PINState{InARow: 1, Total: 1}, nil
}
func (k *captured) Credential(_ context.Context, ic, _, id string) (signer.Credential, error) {
	c, ok := k.credentials[id]
	if !ok || c.Officer != ic {
		return signer.Credential{}, signer.ErrNoCredential
	}
	return c, nil
}
func (k *captured) Pending(context.Context, string) iter.Seq2[signer.Document, error] {
	return func(yield func(signer.Document, error) bool) {
		for _, d := range k.docs {
			if !yield(d, nil) {
				return
			}
		}
	}
}
func (k *captured) RecordIntent(context.Context, signer.Intent, [otp.NonceSize]byte, string, int, audit.Event) ([]signer.Claimed, error) {
	k.intents++
	return nil, nil
}

// state is a transaction as the signer sees it, with what the officer gives.
type state struct {
	r    signer.Request
	docs []signer.Document
	c    otp.Challenge
	f    signer.Confirmation
}

func (s state) clone() state {
	s.docs = slices.Clone(s.docs)
	for k := range s.docs {
		s.docs[k].Digest = bytes.Clone(s.docs[k].Digest)
	}
	return s
}

// fit makes root, count and hash of the options those of the mutated rows, as
// somebody would who knows how they are made.
func (s *state) fit(t *testing.T) {
	var tree signer.Tree
	for k := range s.docs {
		tree.Add(s.docs[k].Leaf())
	}
	s.r.Count, s.r.Root = tree.Root()
	_, hash, err := s.r.Options.Canonical()
	must(t, err)
	s.r.OptionsHash = hash
}

// same: two transactions of which one code may authorise both.
func (s *state) same(o *state) bool {
	return s.r.ID == o.r.ID && s.r.App == o.r.App && s.r.Officer == o.r.Officer && s.r.Credential == o.r.Credential && s.r.OptionsHash == o.r.OptionsHash &&
		s.r.Count == o.r.Count && s.r.Root == o.r.Root && s.c.Nonce == o.c.Nonce && s.f.Nonce == o.f.Nonce && s.f.App == o.f.App &&
		slices.EqualFunc(s.docs, o.docs, func(a, b signer.Document) bool { return a.Leaf() == b.Leaf() })
}

// flip changes one character of a text, or begins one.
func flip(s string, r *rand.Rand) string {
	if s == "" {
		return "x"
	}
	p := []byte(s)
	p[r.IntN(len(p))] ^= byte(1 + r.IntN(127))
	return string(p)
}

// kinds are what is mutated: the documents, how they are signed, and who, with
// which key, for whom.
func kinds(others []signer.Credential) map[string]func(s *state, r *rand.Rand) {
	renumber := func(s *state) {
		for k := range s.docs {
			s.docs[k].Index = uint32(k)
		}
	}
	pick := func(s *state, r *rand.Rand) *signer.Document { return &s.docs[r.IntN(len(s.docs))] }
	return map[string]func(s *state, r *rand.Rand){
		"order": func(s *state, r *rand.Rand) {
			r.Shuffle(len(s.docs), func(a, b int) { s.docs[a], s.docs[b] = s.docs[b], s.docs[a] })
			renumber(s)
		},
		"index": func(s *state, r *rand.Rand) { pick(s, r).Index += 1 + r.Uint32N(9) },
		"add": func(s *state, r *rand.Rand) {
			d := *pick(s, r)
			d.Name, d.Digest = fmt.Sprint("tambahan ", r.Uint32()), bytes.Clone(d.Digest)
			s.docs = slices.Insert(s.docs, r.IntN(len(s.docs)+1), d)
			renumber(s)
		},
		"twice": func(s *state, r *rand.Rand) { s.docs = append(s.docs, *pick(s, r)); renumber(s) },
		"remove": func(s *state, r *rand.Rand) {
			k := r.IntN(len(s.docs))
			if s.docs = slices.Delete(s.docs, k, k+1); r.IntN(2) == 0 {
				renumber(s)
			}
		},
		"swap digests": func(s *state, r *rand.Rand) {
			a, b := pick(s, r), pick(s, r)
			a.Digest, b.Digest = b.Digest, a.Digest
		},
		"digest": func(s *state, r *rand.Rand) { d := pick(s, r).Digest; d[r.IntN(len(d))] ^= 1 << r.IntN(8) },
		"hash":   func(s *state, r *rand.Rand) { pick(s, r).Hash = crypto.SHA512 },
		"name":   func(s *state, r *rand.Rand) { d := pick(s, r); d.Name = flip(d.Name, r) },
		"name moves into digest": func(s *state, r *rand.Rand) {
			d := pick(s, r)
			n := len(d.Name) - 1
			d.Digest, d.Name = append([]byte{d.Name[n]}, d.Digest...), d.Name[:n]
		},
		"options": func(s *state, r *rand.Rand) {
			o := &s.r.Options
			texts := []*string{&o.Format, &o.Algorithm, &o.Time, &o.Level, &o.Reason, &o.Location, &o.Contact, &o.Field}
			p := texts[r.IntN(len(texts))]
			*p = flip(*p, r)
		},
		"appearance": func(s *state, r *rand.Rand) {
			s.r.Options.Visible = &signer.Visible{Page: 1, X: float64(r.IntN(500)), Width: 200, Height: 80}
		},
		"total": func(s *state, r *rand.Rand) {
			is := s.r.Options.Total
			if is == nil || r.IntN(3) == 0 {
				s.r.Options.Total = &otp.Total{Amount: fmt.Sprintf("%d.35", r.IntN(99999)), Currency: "MYR"}
				return
			}
			switch r.IntN(3) {
			case 0:
				s.r.Options.Total = nil
			case 1:
				s.r.Options.Total = &otp.Total{Amount: is.Amount, Currency: "USD"}
			default: // one digit
				s.r.Options.Total = &otp.Total{Amount: strings.Replace(is.Amount, "9", "8", 1), Currency: is.Currency}
			}
		},
		"own options": func(s *state, r *rand.Rand) {
			s.r.Options.Each = map[uint32]signer.PAdES{r.Uint32N(9): {Reason: "lain", Certify: 1 + r.IntN(3)}}
		},
		"officer and key": func(s *state, r *rand.Rand) {
			c := others[r.IntN(len(others))]
			s.r.Officer, s.r.Credential, s.r.Options.Certificate = c.Officer, c.ID, c.Certificate.SerialNumber.String()
		},
		"app":         func(s *state, r *rand.Rand) { s.r.App = flip(s.r.App, r); s.f.App = s.r.App },
		"nonce":       func(s *state, r *rand.Rand) { s.c.Nonce[r.IntN(16)] ^= 1 << r.IntN(8); s.f.Nonce = s.c.Nonce },
		"given nonce": func(s *state, r *rand.Rand) { s.f.Nonce[r.IntN(16)] ^= 1 << r.IntN(8) },
		"transaction": func(s *state, r *rand.Rand) {
			s.r.ID = flip(s.r.ID, r)
			s.f.Transaction, s.c.Transaction = s.r.ID, s.r.ID
		},
	}
}

// Threats, row 4: whoever holds the database changes documents, options, officer,
// key, app, nonce or transaction, one or several at once, with root and hashes
// made to fit or not: the officer's code authorises nothing but what it was
// issued for, and what it was issued for it does authorise.
func TestMutationsAreNotAuthorised(t *testing.T) {
	const mutations, bases, every = 100_000, 20, 1000
	h := newHouse(t)
	other := enrol.Officer{IC: "880202145678", Name: "LIM SIEW LAN", Email: "lim@jpk.example"}
	must(t, h.Registrar.AddOfficer(ctx, "test", other, storetest.System))
	second := h.Issue(t, "ECDSA-P256") // of the same officer
	stranger, _, err := h.Registrar.IssueCredential(ctx, "test", other, storetest.System, "ECDSA-P256", secret.New(storetest.PIN))
	must(t, err)
	credentials := map[string]signer.Credential{}
	var others []signer.Credential
	for id, ic := range map[string]string{h.Credential.ID: storetest.IC, second.ID: storetest.IC, stranger.ID: other.IC} {
		c, err := h.DB.Credential(ctx, ic, storetest.System, id)
		must(t, err)
		if credentials[id] = c; id != h.Credential.ID {
			others = append(others, c)
		}
	}
	all := kinds(others)
	var names []string
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	accepted, done, judged := 0, 0, 0
	by := map[string]int{}
	for b := range bases {
		ask := h.Ask(1 + r.IntN(6))
		ask.Credential = h.Credential.ID
		if b%2 == 0 {
			ask.Options.Total = &otp.Total{Amount: "29911.35", Currency: "MYR"}
		}
		req, f := h.prepare(t, ask)
		ch, err := h.DB.Challenge(ctx, req.ID)
		must(t, err)
		mac, err := h.Codes.Try(ctx, fmt.Sprintf("otp:%s:%x", ch.Transaction, ch.Nonce), 3)
		must(t, err)
		k := &captured{Records: h.DB, mac: mac, credentials: credentials}
		s := h.Signer(k, h.blobs)
		s.Codes.Codes = k
		try := func(x state) error {
			k.r, k.docs, k.c = x.r, x.docs, x.c
			a, err := s.Authorize(ctx, x.f)
			if err == nil {
				must(t, a.Close())
			}
			return err
		}
		right := state{*req, ask.Documents, ch, f}
		for n := 0; n < mutations/bases; {
			x, what := right.clone(), ""
			for range 1 + r.IntN(3) {
				name := names[r.IntN(len(names))]
				if len(x.docs) > 0 || !slices.Contains([]string{"index", "add", "twice", "remove", "swap digests", "digest", "hash", "name", "name moves into digest"}, name) {
					all[name](&x, r)
					what = name
				}
			}
			if r.IntN(4) > 0 {
				x.fit(t)
			}
			if x.same(&right) {
				continue // back to what it was
			}
			n++
			done++
			by[what]++
			switch err := try(x); {
			case err == nil:
				accepted++
				t.Errorf("seed %d: %q was accepted: %+v", seed, what, x.r)
			case errors.Is(err, otp.ErrWrong):
				judged++
			}
			if n%every == 0 {
				if err := try(right); err != nil {
					t.Fatalf("seed %d, base %d: control: %v", seed, b, err)
				}
			}
		}
		if k.intents != mutations/bases/every {
			t.Fatalf("%d intents, want those of the control", k.intents)
		}
	}
	t.Logf("accepted %d of %d mutations, %d of which only the code could tell; by the last thing changed: %v", accepted, done, judged, by)
	if done < mutations || accepted != 0 || judged < mutations/3 {
		t.Errorf("accepted %d of %d, judged %d by the code", accepted, done, judged)
	}
}

package storetest

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
)

// signatory is a person who may have several credentials.
type signatory struct {
	ic   string
	keys []string // ids of credentials
}

// signatories registers n officers, each with two credentials, and a second app of the system.
func (h *House) signatories(t testing.TB, n int) (people []signatory, apps []string) {
	t.Helper()
	ctx := context.Background()
	for k := range n {
		o := enrol.Officer{IC: fmt.Sprintf("80010114%04d", k), Name: fmt.Sprintf("PEGAWAI %c", 'A'+k), Email: fmt.Sprintf("p%d@janm.example", k)}
		p := signatory{ic: o.IC}
		if err := h.Registrar.AddOfficer(ctx, "test", o, System); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			c, _, err := h.Registrar.IssueCredential(ctx, "test", o, System, "ECDSA-P256", secret.New(PIN))
			if err != nil {
				t.Fatal(err)
			}
			p.keys = append(p.keys, c.ID)
		}
		people = append(people, p)
	}
	second, _, _, err := h.Apps.Register(ctx, "test", enrol.App{ID: "igfmas-gui", Name: "iGFMAS GUI", Systems: []string{System}, Grants: []string{enrol.GrantRAW}, PINEntry: enrol.PINInApp})
	if err != nil {
		t.Fatal(err)
	}
	return people, []string{h.App.ID, second.ID}
}

// threeRoles are those of a transfer of assets.
func threeRoles() []string { return []string{"Perakuan 1", "Perakuan 2", "Akuan Terima"} }

// turn is a request for one role of some references, whose digests are theirs in all roles.
type turn struct {
	id, app, ic, key string
	step             int
	refs             []string
	// process and roles, what the documents say by reference, and where they are; unless given AA-11,
	// threeRoles, the reference and nowhere.
	process  string
	roles    []string
	contents map[string]string
	blob     string
}

func (h *House) take(t turn) (*signer.Request, error) {
	roles := threeRoles()
	if t.roles != nil {
		roles = t.roles
	}
	var w *signer.Work
	if t.step > 0 {
		w = &signer.Work{Process: cmp.Or(t.process, "AA-11"), Role: roles[t.step-1], Step: t.step}
		if t.step < len(roles) {
			w.Next = roles[t.step]
		}
	}
	r := &signer.Request{ID: t.id, App: t.app, SystemName: "iGFMAS", Officer: t.ic, System: System, Credential: t.key, Class: "sulit",
		Batch: "ba_" + t.id, Implicit: true, Status: signer.Waiting, Count: uint32(len(t.refs)), CreatedAt: h.Clock.Now(), ExpiresAt: h.Clock.Now().Add(30 * time.Minute),
		Options: signer.Options{Format: signer.RAW, Algorithm: signer.ECDSA, Time: "2026-07-01T01:00:00Z", Work: w}}
	if w != nil {
		r.Process, r.Role, r.Step = w.Process, w.Role, w.Step
	}
	var docs []signer.Document
	var tree signer.Tree
	for k, ref := range t.refs {
		sum := sha256.Sum256([]byte(cmp.Or(t.contents[ref], ref)))
		docs = append(docs, signer.Document{Index: uint32(k), Name: "Pindahan " + ref, Hash: crypto.SHA256, Digest: sum[:], Reference: ref, Blob: t.blob})
		tree.Add(docs[k].Leaf())
	}
	_, r.Root = tree.Root()
	if err := h.DB.CreateRequest(context.Background(), r, docs, h.ev("create", r.ID), nil); err != nil {
		return nil, err
	}
	p := otp.DefaultPolicy()
	p.PerHour, p.PerDay = 1<<20, 1<<20
	c := h.challenge(t.id, 1)
	c.Officer = t.ic
	return r, h.DB.StoreChallenge(context.Background(), c, p, h.ev("issue", t.id))
}

func (h *House) intend(r *signer.Request) (signer.Intent, error) {
	in := signer.Intent{ID: "in_" + r.ID, Transaction: r.ID, Credential: r.Credential, Batch: r.Batch, Root: r.Root, Count: r.Count, CreatedAt: h.Clock.Now(),
		Deadline: h.Clock.Now().Add(10 * time.Minute), Seal: []byte("seal")}
	_, err := h.DB.RecordIntent(context.Background(), in, [otp.NonceSize]byte{1}, r.Officer, 0, h.ev("intent", in.ID))
	return in, err
}

// signs completes all of an intent but what is refused.
func (h *House) signs(in signer.Intent, refused ...uint32) error {
	ctx := context.Background()
	claimed, err := h.DB.Claim(ctx, RunOf(in), 1<<20)
	if err != nil {
		return err
	}
	var out []signer.Outcome
	for _, c := range claimed {
		o := signer.Outcome{Index: c.Index, Attempt: c.Attempt, Signature: []byte("sig"), Result: c.Digest}
		for _, no := range refused {
			if no == c.Index {
				o = signer.Outcome{Index: c.Index, Attempt: c.Attempt, Refused: errors.New("broken")}
			}
		}
		out = append(out, o)
	}
	_, err = h.DB.Complete(ctx, in.ID, out, h.Clock.Now(), h.ev("complete", in.ID))
	return err
}

func (h *House) chain(t testing.TB, ref string) []signer.Signatory {
	t.Helper()
	c, err := h.DB.Signatories(context.Background(), System, []string{ref})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Roles in order, by different people; what an intent does not sign is free again.
func signatoriesInOrder(t *testing.T, h *House) {
	people, apps := h.signatories(t, 4)
	n := 0
	ask := func(who, step int, refs ...string) (*signer.Request, error) {
		n++
		return h.take(turn{id: fmt.Sprintf("tx_%d", n), app: apps[n%2], ic: people[who].ic, key: people[who].keys[n%2], step: step, refs: refs})
	}
	refused := func(what string, who, step int, is error, refs ...string) {
		t.Helper()
		_, err := ask(who, step, refs...)
		var d *signer.DocumentError
		if !errors.Is(err, is) || !errors.As(err, &d) {
			t.Errorf("%s: %v; want %v", what, err, is)
		}
		if _, err := h.DB.Request(context.Background(), fmt.Sprintf("tx_%d", n)); !errors.Is(err, signer.ErrUnknown) {
			t.Errorf("%s was stored: %v", what, err)
		}
	}
	must := func(r *signer.Request, err error) signer.Intent {
		t.Helper()
		var in signer.Intent
		if err == nil {
			in, err = h.intend(r)
		}
		if err != nil {
			t.Fatal(err)
		}
		return in
	}
	refused("the second role first", 0, 2, signer.ErrTurn, "R")
	refused("the third role first", 0, 3, signer.ErrTurn, "R")
	waits, err := ask(1, 1, "R")
	if err != nil {
		t.Fatal(err)
	}
	first := must(ask(0, 1, "R"))
	refused("a role that somebody is at", 1, 1, signer.ErrTurn, "R")
	refused("the second role while the first signs", 1, 2, signer.ErrTurn, "R")
	refused("two roles at once", 0, 2, signer.ErrSignatory, "R")
	if _, err := h.intend(waits); !errors.Is(err, signer.ErrTurn) {
		t.Errorf("an intent for a role that is taken: %v", err)
	}
	if c, err := h.DB.Challenge(context.Background(), waits.ID); err != nil || c.Redeemed {
		t.Errorf("the code of a refused intent: %+v, %v", c, err)
	}
	// A crash: the role is free again, and the one who waited takes it.
	if err := h.DB.Abandon(context.Background(), first.ID, h.ev("abandon", first.ID)); err != nil {
		t.Fatal(err)
	}
	if c := h.chain(t, "R"); len(c) != 0 {
		t.Errorf("after a crash: %+v", c)
	}
	if err := h.signs(must(waits, nil)); err != nil {
		t.Fatal(err)
	}
	refused("the same person's other credential", 1, 2, signer.ErrSignatory, "R")
	refused("a role that has signed", 2, 1, signer.ErrTurn, "R")
	refused("the third before the second", 2, 3, signer.ErrTurn, "R")
	// Of two documents one is refused: its reference waits for the same role again.
	both := must(ask(2, 1, "S", "T"))
	if err := h.signs(both, 1); err != nil {
		t.Fatal(err)
	}
	if s, f := h.chain(t, "S"), h.chain(t, "T"); len(s) != 1 || s[0].SignedAt.IsZero() || len(f) != 0 {
		t.Errorf("signed %+v, refused %+v", s, f)
	}
	refused("one of two in order", 0, 2, signer.ErrTurn, "R", "T")
	refused("one of two by the same person", 2, 2, signer.ErrSignatory, "R", "S")
	if err := h.signs(must(ask(0, 2, "R", "S"))); err != nil {
		t.Fatal(err)
	}
	if err := h.signs(must(ask(3, 3, "S"))); err != nil {
		t.Fatal(err)
	}
	got := h.chain(t, "S")
	if len(got) != 3 || got[0].Officer != people[2].ic || got[1].Officer != people[0].ic || got[2].Officer != people[3].ic || got[2].Role != "Akuan Terima" || got[2].OfficerName != "PEGAWAI D" || got[0].Class != "sulit" || got[1].Name != "Pindahan S" {
		t.Errorf("signed by %+v", got)
	}
	// In one transaction a reference cannot be twice, whoever forgot to look.
	r, err := ask(0, 1, "U", "U")
	if err == nil {
		_, err = h.intend(r)
	}
	if !errors.Is(err, signer.ErrTurn) {
		t.Errorf("two documents of one reference: %v", err)
	}
}

// The next role signs what the one before left, and a document is of one reference.
func signatoriesSignTheSame(t *testing.T, h *House) {
	ctx := context.Background()
	people, apps := h.signatories(t, 2)
	r, err := h.take(turn{id: "tx_1", app: apps[0], ic: people[0].ic, key: people[0].keys[0], step: 1, refs: []string{"R"}})
	must(t, err)
	in, err := h.intend(r)
	must(t, err)
	claimed, err := h.DB.Claim(ctx, RunOf(in), 1)
	must(t, err)
	left := sha256.Sum256([]byte("as it was left"))
	out := []signer.Outcome{{Index: 0, Attempt: claimed[0].Attempt, Blob: "signed/1", Size: 9, Result: left[:]}}
	_, err = h.DB.Complete(ctx, in.ID, out, h.Clock.Now(), h.ev("complete", in.ID))
	must(t, err)
	if c := h.chain(t, "R"); len(c) != 1 || c[0].Blob != "signed/1" || c[0].Size != 9 || !bytes.Equal(c[0].Digest, left[:]) {
		t.Errorf("left %+v", c)
	}
	_, err = h.take(turn{id: "tx_2", app: apps[1], ic: people[1].ic, key: people[1].keys[0], step: 2, refs: []string{"R"}})
	wants(t, "another digest than the one that was left", err, signer.ErrDocuments)
}

// Whatever 200 do at the same time, by two apps and with two credentials each: a role has one
// person, nobody has two, and each signed after the one before.
func signatoriesAtOnce(t *testing.T, h *House) {
	people, apps := h.signatories(t, 4)
	// All ask while nobody is at it, and confirm at the same time.
	asked := make(chan *signer.Request, 200)
	for k := range cap(asked) {
		who := people[k%len(people)]
		r, err := h.take(turn{id: fmt.Sprintf("tx_q%d", k), app: apps[k%2], ic: who.ic, key: who.keys[k/len(people)%2], step: 1, refs: []string{"Q"}})
		must(t, err)
		asked <- r
	}
	won, late := parallel(t, cap(asked), func() error { _, err := h.intend(<-asked); return err }, signer.ErrTurn)
	if won != 1 || late != 199 || len(h.chain(t, "Q")) != 1 {
		t.Errorf("of 200 that confirm one role %d won, %d were late", won, late)
	}
	const references = 8
	var n, done, refused atomic.Int64
	one := func(seed uint64) error {
		rnd := rand.New(rand.NewPCG(seed, 7))
		for range 6 {
			who := people[rnd.IntN(len(people))]
			r, err := h.take(turn{id: fmt.Sprintf("tx_%d", n.Add(1)), app: apps[rnd.IntN(2)], ic: who.ic, key: who.keys[rnd.IntN(2)], step: 1 + rnd.IntN(3), refs: []string{fmt.Sprint("R", rnd.IntN(references))}})
			var in signer.Intent
			if err == nil {
				in, err = h.intend(r)
			}
			switch {
			case errors.Is(err, signer.ErrTurn) || errors.Is(err, signer.ErrSignatory):
				refused.Add(1)
				continue
			case err != nil:
				return err
			case rnd.IntN(4) == 0:
				err = h.DB.Abandon(context.Background(), in.ID, h.ev("abandon", in.ID))
			default:
				done.Add(1)
				err = h.signs(in)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	start := make(chan struct{})
	var wg sync.WaitGroup
	for k := range 200 {
		wg.Go(func() {
			<-start
			if err := one(uint64(k)); err != nil {
				t.Error(err)
			}
		})
	}
	close(start)
	wg.Wait()
	total := 0
	for k := range references {
		c := h.chain(t, fmt.Sprint("R", k))
		seen := map[string]bool{}
		for i, s := range c {
			if s.Step != i+1 || s.SignedAt.IsZero() || seen[s.Officer] {
				t.Errorf("reference %d: %+v", k, c)
			}
			seen[s.Officer] = true
		}
		total += len(c)
	}
	if int64(total) != done.Load() || total < references || refused.Load() == 0 {
		t.Errorf("%d roles signed, %d said to be, %d refused", total, done.Load(), refused.Load())
	}
	t.Logf("%d tries: %d signed, %d refused", n.Load(), total, refused.Load())
}

// What waits for a role, in pages, and who may read a document on the way.
func inbox(t *testing.T, h *House) {
	ctx := context.Background()
	people, apps := h.signatories(t, 3)
	n := 0
	sign := func(who, step int, refs ...string) signer.Intent {
		t.Helper()
		n++
		h.Clock.Advance(time.Minute)
		r, err := h.take(turn{id: fmt.Sprintf("tx_%d", n), app: apps[0], ic: people[who].ic, key: people[who].keys[0], step: step, refs: refs})
		must(t, err)
		in, err := h.intend(r)
		must(t, err)
		return in
	}
	all := func(q signer.Inbox) (out []string) {
		t.Helper()
		q.System, q.Limit = System, 2
		for {
			page, err := h.DB.WaitingReferences(ctx, q)
			must(t, err)
			for _, w := range page {
				out = append(out, w.Reference+" "+w.Role)
				q.After = w.Cursor
			}
			if len(page) < q.Limit {
				return out
			}
		}
	}
	is := func(what string, got []string, want ...string) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %q; want %q", what, got, want)
		}
	}
	must(t, h.signs(sign(0, 1, "A", "B", "C")))
	must(t, h.signs(sign(0, 1, "D")))
	is("after the first role", all(signer.Inbox{}), "A Perakuan 2", "B Perakuan 2", "C Perakuan 2", "D Perakuan 2")
	must(t, h.signs(sign(1, 2, "B")))
	is("after one second role", all(signer.Inbox{}), "A Perakuan 2", "C Perakuan 2", "D Perakuan 2", "B Akuan Terima")
	is("of a role", all(signer.Inbox{Process: "AA-11", Role: "Akuan Terima"}), "B Akuan Terima")
	is("of another process", all(signer.Inbox{Process: "AA-18"}))
	at := sign(2, 2, "C")
	is("while somebody is at one", all(signer.Inbox{}), "A Perakuan 2", "D Perakuan 2", "B Akuan Terima")
	must(t, h.DB.Abandon(ctx, at.ID, h.ev("abandon", at.ID)))
	is("after nothing came of it", all(signer.Inbox{}), "A Perakuan 2", "C Perakuan 2", "D Perakuan 2", "B Akuan Terima")
	must(t, h.signs(sign(2, 3, "B")))
	is("after the last role", all(signer.Inbox{}), "A Perakuan 2", "C Perakuan 2", "D Perakuan 2")
	list, err := h.DB.WaitingReferences(ctx, signer.Inbox{System: "LAIN", Limit: 10})
	if err != nil || len(list) != 0 {
		t.Errorf("another system's: %+v, %v", list, err)
	}
	if classes, err := h.DB.ClassesBefore(ctx, System, "AA-11", "ba_tx_1"); err != nil || len(classes) != 0 {
		t.Errorf("classes of what is signed: %q, %v", classes, err)
	}
	_, _, _, _, err = h.DB.OnTheMove(ctx, "do_1", apps[0])
	wants(t, "a document of no reference", err, signer.ErrUnknown)
}

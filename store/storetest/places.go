package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"github.com/mohor-sign/mohor/archive"
	"github.com/mohor-sign/mohor/signer"
)

// desk asks for roles of references in a house.
type desk struct {
	*House
	t      *testing.T
	people []signatory
	apps   []string
	n      int
}

func (h *House) desk(t *testing.T, people int) *desk {
	d := &desk{House: h, t: t}
	d.people, d.apps = h.signatories(t, people)
	return d
}

// by asks for a turn of one of the people.
func (d *desk) by(who int, x turn) (*signer.Request, error) {
	d.n++
	x.id, x.app, x.ic, x.key = fmt.Sprintf("tx_%d", d.n), d.apps[d.n%2], d.people[who].ic, d.people[who].keys[d.n%2]
	return d.take(x)
}

// signed takes a turn to its end; what is in files is signed in a file, which then says what stands
// there.
func (d *desk) signed(who int, x turn, files ...string) {
	d.t.Helper()
	ctx := context.Background()
	r, err := d.by(who, x)
	must(d.t, err)
	in, err := d.intend(r)
	must(d.t, err)
	if files == nil {
		must(d.t, d.signs(in))
		return
	}
	claimed, err := d.DB.Claim(ctx, RunOf(in), 100)
	must(d.t, err)
	var out []signer.Outcome
	for k, c := range claimed {
		sum := sha256.Sum256([]byte(files[k]))
		out = append(out, signer.Outcome{Index: c.Index, Attempt: c.Attempt, Blob: "signed/" + r.Batch, Size: 9, Result: sum[:]})
	}
	_, err = d.DB.Complete(ctx, in.ID, out, d.Clock.Now(), d.ev("complete", in.ID))
	must(d.t, err)
}

func (d *desk) refused(what string, is error, who int, x turn) {
	d.t.Helper()
	_, err := d.by(who, x)
	var doc *signer.DocumentError
	if !errors.Is(err, is) || !errors.As(err, &doc) {
		d.t.Errorf("%s: %v; want %v", what, err, is)
	}
	if _, err := d.DB.Request(context.Background(), fmt.Sprintf("tx_%d", d.n)); !errors.Is(err, signer.ErrUnknown) {
		d.t.Errorf("%s was stored: %v", what, err)
	}
}

// A copy of what was signed is that document: under another spelling of its reference, in another
// process, without one, before its signature and after it.
func signatoriesOfCopies(t *testing.T, h *House) {
	d := h.desk(t, 4)
	says := func(ref, content string) turn {
		return turn{step: 1, refs: []string{ref}, contents: map[string]string{ref: content}}
	}
	of := func(x turn, process string, step int) turn { x.process, x.step = process, step; return x }
	waits, err := d.by(3, says("V-0001", "voucher"))
	must(t, err)
	d.signed(0, says("V-1", "voucher"), "voucher, signed")
	if _, err := d.intend(waits); !errors.Is(err, signer.ErrDocuments) {
		t.Errorf("a copy that was asked for before: %v", err)
	}
	d.refused("one man show by another spelling", signer.ErrSignatory, 0, says("V-01", "voucher"))
	d.refused("another spelling", signer.ErrDocuments, 1, says("V-01", "voucher"))
	d.refused("the signed file, uploaded again", signer.ErrDocuments, 1, says("V-01", "voucher, signed"))
	d.refused("by whom it was signed", signer.ErrSignatory, 0, says("V-01", "voucher, signed"))
	d.refused("in another process", signer.ErrDocuments, 1, of(says("V-1", "voucher"), "AA-18", 1))
	d.refused("another document in another process", signer.ErrOtherProcess, 1, of(says("V-1", "other"), "AA-18", 1))
	d.refused("that by whom it was signed", signer.ErrSignatory, 0, of(says("V-1", "other"), "AA-18", 1))
	d.refused("without a process", signer.ErrDocuments, 1, of(says("", "voucher"), "", 0))
	d.refused("the signed file without a process", signer.ErrDocuments, 0, of(says("", "voucher, signed"), "", 0))
	if _, err := d.by(1, of(says("V-1", "other"), "", 0)); err != nil {
		t.Errorf("a reference that is no process's: %v", err)
	}
	if _, err := d.by(1, says("V-2", "other")); err != nil {
		t.Errorf("another document: %v", err)
	}
	second := says("V-1", "voucher, signed")
	second.blob = "signed/1"
	d.refused("the second role by the first", signer.ErrSignatory, 0, of(second, "", 2))
	d.signed(1, of(second, "", 2), "voucher, signed twice")
	d.refused("what two signed", signer.ErrSignatory, 0, says("V-3", "voucher, signed twice"))
	d.refused("what one of them signed", signer.ErrSignatory, 1, says("V-3", "voucher"))
	// What an intent did not sign is nobody's.
	r, err := d.by(2, says("W-1", "draft"))
	must(t, err)
	in, err := d.intend(r)
	must(t, err)
	d.refused("while somebody is at it", signer.ErrDocuments, 3, says("W-2", "draft"))
	must(t, h.DB.Abandon(context.Background(), in.ID, h.ev("abandon", in.ID)))
	d.signed(3, says("W-2", "draft"))
	d.refused("after somebody else was", signer.ErrDocuments, 2, says("W-1", "draft"))
}

// A reference goes on in the roles in which it was begun, by their names, whatever was made of its
// process since.
func signatoriesOfEditedProcess(t *testing.T, h *House) {
	d := h.desk(t, 4)
	old, now := []string{"Perakuan 1", "Perakuan 2"}, []string{"Penyemak", "Perakuan 1", "Perakuan 2"}
	of := func(ref string, step int, roles []string) turn {
		return turn{step: step, refs: []string{ref}, roles: roles}
	}
	d.signed(0, of("R", 1, old))
	d.refused("the same role once more", signer.ErrTurn, 1, of("R", 2, now))
	d.refused("the first role that is new", signer.ErrTurn, 1, of("R", 1, now))
	d.refused("the second role in a third place", signer.ErrTurn, 1, of("R", 3, now))
	d.refused("another role in the second place", signer.ErrTurn, 1, of("R", 2, []string{"Perakuan 1", "Akuan Terima"}))
	d.signed(1, of("R", 2, old))
	d.refused("a role behind the last", signer.ErrTurn, 2, of("R", 3, append(old, "Akuan Terima")))
	d.signed(0, of("S", 1, now))
	d.refused("a role that was left out", signer.ErrTurn, 1, of("S", 2, old))
	d.signed(1, of("S", 2, now))
	d.signed(2, of("S", 3, now))
}

// Where the first role is in an archive and a later one is not, the reference does not begin again.
func signatoriesLeftBehind(t *testing.T, h *House) {
	ctx := context.Background()
	d := h.desk(t, 4)
	role := func(step int) turn { return turn{step: step, refs: []string{"R"}} }
	d.signed(0, role(1))
	d.signed(1, role(2))
	before := h.Clock.Now().AddDate(1, 0, 0)
	a := h.DB.Archives()
	c, _, err := a.Case(ctx, "ba_tx_1", before)
	must(t, err)
	must(t, a.Begin(ctx, "ar_1", h.ev("begin", "ar_1")))
	must(t, a.Commit(ctx, archive.Info{ID: "ar_1", Newest: c.Newest, Transactions: 1, Signatures: 1, Size: 1}, []archive.Case{c}, before, h.ev("archive", "ar_1")))
	if left := h.chain(t, "R"); len(left) != 1 || left[0].Step != 2 {
		t.Fatalf("left behind: %+v", left)
	}
	h.Clock.Advance(h.Clock.Now().AddDate(1, 0, 0).Sub(h.Clock.Now()))
	again := role(1)
	again.contents = map[string]string{"R": "another document"}
	d.refused("the first role of what has a second", signer.ErrTurn, 2, again)
	d.refused("the second role", signer.ErrTurn, 2, role(2))
}

// One question tells of any number of references, and of each all that there is.
func signatoriesOfMany(t *testing.T, h *House) {
	d := h.desk(t, 3)
	var refs []string
	for k := range 203 {
		refs = append(refs, fmt.Sprint("R", k))
	}
	d.signed(0, turn{step: 1, refs: refs})
	d.signed(1, turn{step: 2, refs: refs[:101]})
	d.signed(2, turn{step: 1, process: "AA-18", refs: []string{"other"}})
	for _, n := range []int{0, 1, 2, 99, 100, 101, 200, 203} {
		list, err := h.DB.Signatories(context.Background(), System, append(refs[:n:n], "none"))
		must(t, err)
		seen := map[string]int{}
		for _, s := range list {
			if seen[s.Reference]++; s.Step != seen[s.Reference] || s.Process != "AA-11" || s.Officer != d.people[s.Step-1].ic {
				t.Errorf("of %d: %+v after %d", n, s, seen[s.Reference])
			}
		}
		if len(seen) != n || len(list) != n+min(n, 101) {
			t.Errorf("of %d references %d are told of, by %d", n, len(seen), len(list))
		}
	}
	list, err := h.DB.Signatories(context.Background(), System, []string{"other"})
	if err != nil || len(list) != 1 || list[0].Process != "AA-18" {
		t.Errorf("of another process: %+v, %v", list, err)
	}
}

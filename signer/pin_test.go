package signer_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/storetest"
)

const nextPIN = "rusa-hijau-88"

// change asks for another PIN of the House's first key.
func (h *house) change(old, next string) signer.PINChange {
	return signer.PINChange{Officer: storetest.IC, System: storetest.System, Credential: h.Credential.ID, Old: secret.New(old), New: secret.New(next), Via: "test", RequestID: "req-3"}
}

// opens says whether a PIN authorises a signature with the House's first key.
func (h *house) opens(t testing.TB, pin string) bool {
	t.Helper()
	ask := h.Ask(1)
	ask.Credential = h.Credential.ID
	_, f := h.prepare(t, ask)
	f.PIN = secret.New(pin)
	a, err := h.s.Authorize(ctx, f)
	if err == nil {
		must(t, a.Close())
	} else if !errors.Is(err, signer.ErrPINWrong) {
		t.Fatal(err)
	}
	return err == nil
}

func TestChangePIN(t *testing.T) {
	h := newHouse(t)
	if h.opens(t, nextPIN) {
		t.Fatal("control: the new PIN opens the key before the change")
	}
	got, err := h.s.ChangePIN(ctx, h.change(storetest.PIN, nextPIN))
	if err != nil || got != (signer.PINChanged{Credential: h.Credential.ID, Version: 2}) {
		t.Fatalf("%+v, %v", got, err)
	}
	if h.pin(t) != (signer.PINState{}) {
		t.Errorf("a right PIN leaves the counter at %+v", h.pin(t))
	}
	if h.opens(t, storetest.PIN) || !h.opens(t, nextPIN) {
		t.Error("after the change the old PIN opens the key, or the new one does not")
	}
	var told []string
	for _, r := range storetest.Chain(t, h.DB) {
		if r.Object == h.Credential.ID {
			told = append(told, fmt.Sprintf("%s %s %s %s %s", r.Action, r.Actor, r.Verdict, r.Detail["version"], r.Detail["via"]))
		}
		for _, v := range r.Detail {
			if strings.Contains(v, nextPIN) || strings.Contains(v, storetest.PIN) {
				t.Error("a PIN is in the audit")
			}
		}
	}
	want := []string{"key.version test accepted 1 ", "enrol.credential test accepted 1 ", "key.version officer:" + storetest.IC + " accepted 2 ", "signer.change_pin officer:" + storetest.IC + " accepted 2 test"}
	if fmt.Sprint(told) != fmt.Sprint(want) {
		t.Errorf("the chain tells %q, want %q", told, want)
	}
	// Back again is a change like any other.
	if got, err = h.s.ChangePIN(ctx, h.change(nextPIN, storetest.PIN)); err != nil || got.Version != 3 || !h.opens(t, storetest.PIN) {
		t.Errorf("%+v, %v", got, err)
	}
}

// Each refusal is audited once; only a wrong PIN is tried and counted.
func TestChangePINRefusesInOrder(t *testing.T) {
	h := newHouse(t)
	refuse := func(what string, want error, checks int64, p signer.PINChange) (err error) {
		t.Helper()
		opens, before := h.Keys.Opens.Load(), h.pin(t)
		h.refuses(t, what, want, func() error {
			_, err = h.s.ChangePIN(ctx, p)
			return err
		})
		if n := h.Keys.Opens.Load() - opens; n != checks {
			t.Errorf("%s: %d checks of a PIN, want %d", what, n, checks)
		}
		if after := h.pin(t); checks == 0 && after != before {
			t.Errorf("%s: counted %+v", what, after)
		}
		return err
	}
	edit := func(f func(p *signer.PINChange)) signer.PINChange {
		p := h.change("bukan-pin-lama", nextPIN)
		f(&p)
		return p
	}
	refuse("an unknown officer", signer.ErrUnknownOfficer, 0, edit(func(p *signer.PINChange) { p.Officer = "880101145678" }))
	refuse("another system", signer.ErrUnknownOfficer, 0, edit(func(p *signer.PINChange) { p.System = "X" }))
	refuse("another key", signer.ErrNoCredential, 0, edit(func(p *signer.PINChange) { p.Credential = "cr_none" }))
	for pin, reason := range map[string]string{"": "pin_too_short", "12345678": "pin_sequence", "x" + storetest.IC: "pin_holds_ic", "noraini1": "pin_holds_name", "merdeka57": "pin_common"} {
		err := refuse("a weak PIN", signer.ErrPINPolicy, 0, edit(func(p *signer.PINChange) { p.New = secret.New(pin) }))
		var why *enrol.PINError
		if !errors.As(err, &why) || why.Reason != reason {
			t.Errorf("%q: %v, want %s", pin, err, reason)
		}
	}
	refuse("the same PIN", signer.ErrPINSame, 0, h.change(storetest.PIN, storetest.PIN))
	busy := errors.New("HSM is away")
	h.Keys.OnOpen = func(signer.Credential) error { return fmt.Errorf("%w: %w", signer.ErrKeysUnavailable, busy) }
	refuse("no HSM", signer.ErrKeysUnavailable, 1, h.change(storetest.PIN, nextPIN))
	h.Keys.OnOpen = nil
	if h.pin(t) != (signer.PINState{}) {
		t.Errorf("a PIN that was not judged is counted: %+v", h.pin(t))
	}
	for k := range 5 {
		if err := refuse("a wrong PIN", signer.ErrPINWrong, 1, h.change("bukan-pin-lama", nextPIN)); left(err) != 4-k {
			t.Errorf("wrong PIN %d: %d left", k+1, left(err))
		}
	}
	refuse("the right PIN during the lock", signer.ErrPINLocked, 0, h.change(storetest.PIN, nextPIN))
	h.Clock.Advance(15 * time.Minute)
	h.edit(t, "UPDATE credentials SET status = 'SUSPENDED'")
	refuse("a suspended certificate", signer.ErrCertificateOnHold, 0, h.change(storetest.PIN, nextPIN))
	h.edit(t, "UPDATE credentials SET status = 'ACTIVE'")
	if _, err := h.s.ChangePIN(ctx, h.change(storetest.PIN, nextPIN)); err != nil {
		t.Errorf("after all that, the right PIN: %v", err)
	}
	must(t, h.CA.Revoke(ctx, "test", h.Credential.Serial, 1))
	refuse("a revoked certificate", signer.ErrCertificateRevoked, 0, h.change(nextPIN, storetest.PIN))
	h.Clock.Advance(400 * 24 * time.Hour)
	other := newHouse(t)
	other.Clock.Advance(400 * 24 * time.Hour)
	if _, err := other.s.ChangePIN(ctx, other.change(storetest.PIN, nextPIN)); !errors.Is(err, signer.ErrCertificateExpired) {
		t.Errorf("an expired certificate: %v", err)
	}
}

// Two change the PIN at once, on two nodes: one wins, the others are told, and
// no right PIN stays counted.
func TestChangePINHasOneWinner(t *testing.T) {
	h := newHouse(t)
	second := h.another(t)
	nodes := make(chan *signer.Signer, 20)
	for k := range cap(nodes) {
		n := h.Signer(nil, h.blobs)
		if k%2 == 1 {
			n = h.Signer(second, h.blobs)
		}
		n.PIN = signer.PINPolicy{LockAfter: 100, LockFor: time.Minute, BlockAfter: 100}
		nodes <- n
	}
	// All have read version 1 before the first writes.
	gate, ready := make(chan struct{}), make(chan struct{}, cap(nodes))
	h.Keys.OnOpen = func(signer.Credential) error {
		ready <- struct{}{}
		<-gate
		return nil
	}
	go func() {
		for range cap(nodes) {
			<-ready
		}
		close(gate)
	}()
	won, lost := race(t, cap(nodes), func() error {
		_, err := (<-nodes).ChangePIN(ctx, h.change(storetest.PIN, nextPIN))
		return err
	}, signer.ErrPINChanged)
	if won != 1 || lost != 19 || h.refusals(t) != 19 || h.pin(t) != (signer.PINState{}) {
		t.Errorf("%d won, %d lost; %d refusals, counter %+v", won, lost, h.refusals(t), h.pin(t))
	}
	h.Keys.OnOpen = nil
	if !h.opens(t, nextPIN) {
		t.Error("the new PIN does not open the key")
	}
}

// Whichever call of the database fails, and whether it was done or not: one of
// the two PINs opens the key, the new one exactly when the change was committed.
func TestChangePINUnderFaults(t *testing.T) {
	control := &faultRecords{}
	for round, f := 0, control; ; round++ {
		h := newHouse(t)
		f.Records, f.calls = h.DB, map[string]int{}
		_, err := h.Signer(f, h.blobs).ChangePIN(ctx, h.change(storetest.PIN, nextPIN))
		if (f == control) != (err == nil) {
			t.Errorf("%s, done %v: %v", f.method, f.after, err)
		}
		committed := f == control || f.method == "Reseal" && f.after
		if st := h.pin(t); committed && st != (signer.PINState{}) || st.Total > 1 {
			t.Errorf("%s, done %v: counter %+v", f.method, f.after, st)
		}
		if got := h.opens(t, nextPIN); got != committed || h.opens(t, storetest.PIN) == committed {
			t.Errorf("%s, done %v: the new PIN opens the key: %v", f.method, f.after, got)
		}
		faults := []string{"Credential", "CountPIN", "Reseal"}
		if round == 0 {
			for _, m := range faults {
				if control.calls[m] != 1 {
					t.Errorf("%s is called %d times", m, control.calls[m])
				}
			}
		}
		if round == 2*len(faults) {
			return
		}
		f = &faultRecords{method: faults[round/2], nth: 1, after: round%2 == 1}
	}
}

func TestUnlock(t *testing.T) {
	h := newHouse(t)
	wrongPINs := func(n int) {
		t.Helper()
		for range n {
			if _, err := h.s.ChangePIN(ctx, h.change("bukan-pin-lama", nextPIN)); !errors.Is(err, signer.ErrPINWrong) {
				t.Fatal(err)
			}
		}
	}
	for what, reason := range map[string]string{"no reason": "", "spaces": " \t", "a long reason": strings.Repeat("é", 201)} {
		h.refuses(t, what, signer.ErrReason, func() error {
			_, err := h.s.Unlock(ctx, "cli:siti", storetest.IC, reason, "r")
			return err
		})
	}
	h.refuses(t, "nobody", signer.ErrUnknownOfficer, func() error {
		_, err := h.s.Unlock(ctx, "cli:siti", "880101145678", "MyKad dilihat", "r")
		return err
	})
	wrongPINs(5)
	wants(t, "locked", h.try(storetest.PIN), signer.ErrPINLocked)
	if was, err := h.s.Unlock(ctx, "cli:siti", storetest.IC, "MyKad dilihat di kaunter", "r"); err != nil || was.Blocked || was.Total != 5 || !was.LockedUntil.After(h.Clock.Now()) {
		t.Errorf("it was %+v, %v", was, err)
	}
	wrongPINs(5)
	h.Clock.Advance(15 * time.Minute)
	wrongPINs(5)
	h.Clock.Advance(1000 * time.Hour)
	wants(t, "blocked", h.try(storetest.PIN), signer.ErrPINLocked)
	if was, err := h.s.Unlock(ctx, "cli:siti", storetest.IC, " MyKad dilihat di kaunter ", "r"); err != nil || !was.Blocked || was.Total != 10 {
		t.Errorf("it was %+v, %v", was, err)
	}
	records := storetest.Chain(t, h.DB)
	if ev := records[len(records)-1]; ev.Action != "signer.unlock" || ev.Actor != "cli:siti" || ev.Object != "officer:"+storetest.IC || ev.Detail["why"] != "MyKad dilihat di kaunter" || ev.Verdict != audit.Accepted {
		t.Errorf("the chain tells %+v", ev.Event)
	}
	if !h.opens(t, storetest.PIN) || h.pin(t) != (signer.PINState{}) {
		t.Error("after unlocking the old PIN does not open the key")
	}
}

// try is a change of PIN that would succeed.
func (h *house) try(pin string) error {
	_, err := h.s.ChangePIN(ctx, h.change(pin, nextPIN))
	return err
}

// keyRow is a credential's row as somebody keeps it for later.
type keyRow struct {
	id, pin string
	version uint32
	sealed  []byte
}

// Threats, row 30: whoever writes to the database moves, rolls back or edits
// sealed keys, and knows every PIN there ever was. Nothing of it is opened, and
// each attempt is an alarm.
func TestKeysThatAreNotTheLastRecorded(t *testing.T) {
	h := newHouse(t)
	must(t, h.Registrar.AddOfficer(ctx, "test", enrol.Officer{IC: "880229145678", Name: "MUTHU A/L SAMY", Email: "m@x.example"}, storetest.System))
	pins := []string{storetest.PIN, "rusa-hijau-88", "gajah-putih-99", "kancil-ungu-55"}
	var rows, last []keyRow // ever stored; stored now
	keep := func(ic, id, pin string) keyRow {
		c, err := h.DB.Credential(ctx, ic, storetest.System, id)
		must(t, err)
		rows = append(rows, keyRow{id, pin, c.Version, c.Sealed})
		return rows[len(rows)-1]
	}
	officers := map[string]string{}
	for _, ic := range []string{storetest.IC, "880229145678"} {
		for range 2 {
			c, _, err := h.Registrar.IssueCredential(ctx, "test", enrol.Officer{IC: ic, Name: "X Y"}, storetest.System, "ECDSA-P256", secret.New(pins[0]))
			must(t, err)
			officers[c.ID] = ic
			now := keep(ic, c.ID, pins[0])
			for k := 1; k < len(pins); k++ {
				_, err := h.s.ChangePIN(ctx, signer.PINChange{Officer: ic, System: storetest.System, Credential: c.ID, Old: secret.New(pins[k-1]), New: secret.New(pins[k])})
				must(t, err)
				now = keep(ic, c.ID, pins[k])
			}
			last = append(last, now)
		}
	}
	db := h.raw(t)
	put := func(id string, version uint32, sealed []byte) {
		t.Helper()
		if _, err := db.Exec("UPDATE credentials SET version = ?, sealed = ? WHERE id = ?", version, sealed, id); err != nil {
			t.Fatal(err)
		}
	}
	alarms := func() (n int) {
		for _, r := range storetest.Chain(t, h.DB) {
			if r.Action == "signer.alarm" && r.Verdict == audit.Refused && r.Detail["refused"] == "signer.change_pin" {
				n++
			}
		}
		return n
	}
	const n = 400
	accepted, opened, rng := 0, h.Keys.Opens.Load(), rand.New(rand.NewPCG(1, 2))
	for k := 0; k < n; {
		to, from := last[rng.IntN(len(last))], rows[rng.IntN(len(rows))]
		version, sealed := from.version, append([]byte(nil), from.sealed...)
		switch rng.IntN(6) {
		case 0: // another key's blob under this row's version
			version = to.version
		case 1: // the blob of now under another version
			version, sealed = to.version+uint32(1+rng.IntN(3)), to.sealed
		case 2: // a bit of it
			version, sealed = to.version, append([]byte(nil), to.sealed...)
			sealed[rng.IntN(len(sealed))] ^= 1 << rng.IntN(8)
		case 3: // cut
			version, sealed = to.version, to.sealed[:rng.IntN(len(to.sealed))]
		case 4: // this key's own past
			for from.id != to.id {
				from = rows[rng.IntN(len(rows))]
			}
			version, sealed = from.version, from.sealed
		}
		if version == to.version && string(sealed) == string(to.sealed) {
			continue // nothing was changed
		}
		k++
		put(to.id, version, sealed)
		p := signer.PINChange{Officer: officers[to.id], System: storetest.System, Credential: to.id, Old: secret.New(from.pin), New: secret.New("musang-kuning-66")}
		if _, err := h.s.ChangePIN(ctx, p); !errors.Is(err, signer.ErrKeyVersion) {
			accepted++
			t.Errorf("version %d of %s in the row of version %d of %s: %v", from.version, from.id, to.version, to.id, err)
		}
		put(to.id, to.version, to.sealed)
	}
	if got := alarms(); accepted != 0 || got != n || h.Keys.Opens.Load() != opened || h.pin(t) != (signer.PINState{}) {
		t.Errorf("%d of %d accepted, %d alarms, %d PINs tried, counter %+v", accepted, n, got, h.Keys.Opens.Load()-opened, h.pin(t))
	}
	t.Logf("changed rows accepted: %d of %d", accepted, n)

	// Control: custody alone opens a row that was rolled back, with its old PIN.
	// That is why the chain is asked.
	old := rows[0]
	put(old.id, old.version, old.sealed)
	c, err := h.DB.Credential(ctx, officers[old.id], storetest.System, old.id)
	must(t, err)
	key, err := h.Keys.Open(ctx, c, secret.New(old.pin), signer.KeyUse{})
	if err != nil {
		t.Fatalf("control: %v", err)
	}
	must(t, key.Close())
	// No transaction begins with such a key: no code is sent.
	ask, mails := h.Ask(1), h.Mail.Sent()
	ask.Credential = old.id
	if _, _, err := h.s.Prepare(ctx, ask); !errors.Is(err, signer.ErrKeyVersion) || h.Mail.Sent() != mails {
		t.Errorf("prepared: %v", err)
	}
	put(old.id, last[0].version, last[0].sealed)
	if _, _, err := h.s.Prepare(ctx, ask); err != nil {
		t.Errorf("control: the row as it was: %v", err)
	}
}

// The chain is edited as well: at once, or at the next verification, it shows.
func TestKeyVersionsChangedInTheChain(t *testing.T) {
	for what, forge := range map[string]func(h *house, old, now signer.Credential){
		"the event is gone": func(h *house, _, _ signer.Credential) {
			h.edit(t, "DELETE FROM audit_events WHERE action = 'key.version'")
		},
		"the last event is gone": func(h *house, _, _ signer.Credential) {
			h.edit(t, "DELETE FROM audit_events WHERE action = 'key.version' AND seq = (SELECT max(seq) FROM audit_events WHERE action = 'key.version')")
		},
		"the version is edited": func(h *house, _, _ signer.Credential) {
			db := storetest.Captured(t, h.path)
			var seq int
			var detail string
			must(t, db.QueryRow("SELECT seq, detail FROM audit_events WHERE action = 'key.version' ORDER BY seq DESC LIMIT 1").Scan(&seq, &detail))
			_, err := db.Exec("UPDATE audit_events SET detail = ? WHERE seq = ?", personal.Detail(strings.Replace(detail, `"version":"2"`, `"version":"1"`, 1)), seq)
			must(t, err)
		},
		"the old one is appended": func(h *house, old, _ signer.Credential) { h.append(t, old) },
		"all of them are appended": func(h *house, old, now signer.Credential) {
			h.append(t, old)
			h.append(t, now)
			h.append(t, old)
		},
	} {
		h := newHouse(t)
		old, err := h.DB.Credential(ctx, storetest.IC, storetest.System, h.Credential.ID)
		must(t, err)
		_, err = h.s.ChangePIN(ctx, h.change(storetest.PIN, nextPIN))
		must(t, err)
		now, err := h.DB.Credential(ctx, storetest.IC, storetest.System, h.Credential.ID)
		must(t, err)
		forge(h, old, now)
		h.edit(t, "UPDATE credentials SET version = 1, sealed = ?", old.Sealed)
		opens := h.Keys.Opens.Load()
		_, err = h.s.ChangePIN(ctx, h.change(storetest.PIN, "musang-kuning-66"))
		v := audit.NewVerifier(nil)
		broken := h.DB.AuditRecords(ctx, 0, v.Add)
		if what == "the last event is gone" {
			// The one thing it takes: the chain has a gap, which the next start finds.
			if !errors.Is(broken, audit.ErrBroken) {
				t.Errorf("%s: the chain verifies", what)
			}
			continue
		}
		if !errors.Is(err, signer.ErrKeyVersion) || h.Keys.Opens.Load() != opens {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// append puts a well-formed key.version event of c behind the chain.
func (h *house) append(t testing.TB, c signer.Credential) {
	t.Helper()
	must(t, h.DB.Audit(ctx, audit.Event{At: h.Clock.Now(), Actor: "test", Action: "key.version", Object: c.ID, Verdict: audit.Accepted,
		Detail: map[string]string{"version": fmt.Sprint(c.Version), "sha256": fmt.Sprintf("%x", c.History[c.Version-1].Hash)}}))
}

// A revoked key does not come back by its row: not with the key from a backup,
// not with the status undone.
func TestRevokedKeyStaysDestroyed(t *testing.T) {
	h := newHouse(t)
	_, f := h.prepare(t, h.Ask(1))
	must(t, h.CA.Revoke(ctx, "test", h.Credential.Serial, 1))
	h.refuses(t, "revoked", signer.ErrCertificateRevoked, func() error {
		_, err := h.s.Authorize(ctx, f)
		return err
	})
	h.edit(t, "UPDATE credentials SET status = 'ACTIVE', sealed = ?", h.Credential.Sealed)
	h.edit(t, "UPDATE certificates SET status = 'ACTIVE', revoked_at = 0 WHERE status = 'REVOKED'")
	h.edit(t, "UPDATE transactions SET status = 'WAITING', ended = '', finished_at = 0")
	h.refuses(t, "undone", signer.ErrKeyVersion, func() error {
		_, err := h.s.Authorize(ctx, f)
		return err
	})
	if h.Keys.Opens.Load() != 0 || h.tries(t, &signer.Request{ID: f.Transaction}) != 3 {
		t.Error("the PIN or the code was tried")
	}
}

// A suspension lifted in the rows is not lifted; one that was released is.
func TestSuspendedKeyStaysOnHold(t *testing.T) {
	h := newHouse(t)
	_, f := h.prepare(t, h.Ask(1))
	must(t, h.CA.Suspend(ctx, "test", h.Credential.Serial, "hilang"))
	authorize := func() error {
		a, err := h.s.Authorize(ctx, f)
		if err == nil {
			err = a.Close()
		}
		return err
	}
	h.refuses(t, "suspended", signer.ErrCertificateOnHold, authorize)
	h.edit(t, "UPDATE credentials SET status = 'ACTIVE'")
	h.edit(t, "UPDATE certificates SET status = 'ACTIVE', revoked_at = 0, reason = 0 WHERE status = 'SUSPENDED'")
	h.refuses(t, "undone", signer.ErrKeyVersion, authorize)
	if h.Keys.Opens.Load() != 0 || h.tries(t, &signer.Request{ID: f.Transaction}) != 3 {
		t.Error("the PIN or the code was tried")
	}
	for _, table := range []string{"credentials", "certificates"} {
		h.edit(t, "UPDATE "+table+" SET status = 'SUSPENDED' WHERE serial = ?", h.Credential.Serial)
	}
	must(t, h.CA.Release(ctx, "test", h.Credential.Serial, "dijumpai"))
	must(t, authorize())
}

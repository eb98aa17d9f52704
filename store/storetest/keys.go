package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/signer"
)

// history is what the chain tells of the House's credential.
func (h *House) history(t *testing.T) (row signer.Credential) {
	t.Helper()
	c, err := h.DB.Credential(context.Background(), IC, System, h.Credential.ID)
	must(t, err)
	return c
}

func keyHistory(t *testing.T, h *House) {
	ctx, db, id := context.Background(), h.DB, h.Credential.ID
	c := h.history(t)
	if len(c.History) != 1 || c.History[0] != (signer.KeyVersion{Version: 1, Hash: sha256.Sum256(h.Credential.Sealed)}) {
		t.Fatalf("a new key's history: %+v", c.History)
	}
	h.Issue(t, "ECDSA-P256") // another key's history is its own
	for n := uint32(1); n <= 3; n++ {
		sealed := bytes.Repeat([]byte{byte(n)}, 100)
		must(t, db.Reseal(ctx, id, n, sealed, h.ev("change", id)))
		c = h.history(t)
		last := c.History[len(c.History)-1]
		if c.Version != n+1 || !bytes.Equal(c.Sealed, sealed) || len(c.History) != int(n+1) || last != (signer.KeyVersion{Version: n + 1, Hash: sha256.Sum256(sealed)}) {
			t.Fatalf("after change %d: version %d, history %+v", n, c.Version, c.History)
		}
	}
	var told []audit.Event
	for _, r := range Chain(t, db) {
		if r.Action == "key.version" && r.Object == id {
			told = append(told, r.Event)
		}
	}
	if len(told) != 4 || told[3].Actor != "test" || told[3].RequestID != "r" || told[3].Detail["version"] != "4" || len(told[3].Detail["sha256"]) != 64 || h.events(t, "change") != 3 {
		t.Errorf("the chain tells %+v", told)
	}
	// Somebody's event with other words in it is no version.
	must(t, db.Audit(ctx, audit.Event{At: h.Clock.Now(), Action: "key.version", Object: id, Detail: map[string]string{"version": "x", "sha256": "00"}}))
	if c = h.history(t); c.History[4] != (signer.KeyVersion{}) {
		t.Errorf("a made-up version reads as %+v", c.History[4])
	}
}

func reseal(t *testing.T, h *House) {
	ctx, db, id, p := context.Background(), h.DB, h.Credential.ID, signer.DefaultPINPolicy()
	_, err := db.CountPIN(ctx, IC, p, h.Clock.Now())
	must(t, err)
	wants(t, "an unknown credential", db.Reseal(ctx, "cr_none", 1, []byte("x"), h.ev("change", id)), signer.ErrNoCredential)
	wants(t, "a version to come", db.Reseal(ctx, id, 2, []byte("x"), h.ev("change", id)), signer.ErrPINChanged)
	if c := h.history(t); c.Version != 1 || !bytes.Equal(c.Sealed, h.Credential.Sealed) || len(c.History) != 1 || h.events(t, "change") != 0 {
		t.Errorf("refused changes left version %d, history %+v", c.Version, c.History)
	}
	if st, err := db.PINState(ctx, IC); err != nil || st.Total != 1 {
		t.Errorf("a refused change cleared the counter: %+v, %v", st, err)
	}
	// Of many changes of the same version one wins.
	won, lost := parallel(t, 20, func() error { return db.Reseal(ctx, id, 1, []byte("next"), h.ev("change", id)) }, signer.ErrPINChanged)
	if c := h.history(t); won != 1 || lost != 19 || c.Version != 2 || len(c.History) != 2 || h.events(t, "change") != 1 {
		t.Errorf("%d won, %d lost; version %d, history %+v", won, lost, c.Version, c.History)
	}
	if st, err := db.PINState(ctx, IC); err != nil || st != (signer.PINState{}) {
		t.Errorf("the counter after a change: %+v, %v", st, err)
	}
	must(t, db.Revoke(ctx, h.Credential.Serial, h.Clock.Now(), 1, h.ev("revoke", "")))
	wants(t, "a revoked one", db.Reseal(ctx, id, 2, []byte("x"), h.ev("change", id)), signer.ErrCertificateRevoked)
}

func unlockPIN(t *testing.T, h *House) {
	ctx, p := context.Background(), signer.DefaultPINPolicy()
	_, err := h.DB.UnlockPIN(ctx, "000000000000", h.ev("unlock", ""))
	wants(t, "an unknown officer", err, signer.ErrUnknownOfficer)
	if n := h.events(t, "unlock"); n != 0 {
		t.Errorf("%d events tell of nobody's unlocking", n)
	}
	for range 2 {
		for range 5 {
			_, err := h.DB.CountPIN(ctx, IC, p, h.Clock.Now())
			must(t, err)
		}
		h.Clock.Advance(p.LockFor)
	}
	want, err := h.DB.PINState(ctx, IC)
	must(t, err)
	was, err := h.DB.UnlockPIN(ctx, IC, h.ev("unlock", IC))
	if err != nil || was != want || !was.Blocked || was.Total != 10 {
		t.Errorf("unlocking %+v: it was %+v, %v", want, was, err)
	}
	if st, err := h.DB.PINState(ctx, IC); err != nil || st != (signer.PINState{}) || h.events(t, "unlock") != 1 {
		t.Errorf("after unlocking: %+v, %v, %d events", st, err, h.events(t, "unlock"))
	}
	if c := h.history(t); c.Version != 1 || !bytes.Equal(c.Sealed, h.Credential.Sealed) {
		t.Error("unlocking changed the key")
	}
	_, err = h.DB.CountPIN(ctx, IC, p, h.Clock.Now())
	must(t, err)
}

func revokeDestroys(t *testing.T, h *House) {
	ctx, db := context.Background(), h.DB
	other := h.Issue(t, "ECDSA-P256")
	before := h.events(t, "key.destroy")
	must(t, db.Revoke(ctx, h.Credential.Serial, h.Clock.Now(), 1, h.ev("revoke", h.Credential.Serial)))
	c := h.history(t)
	if c.Status != "REVOKED" || len(c.Sealed) != 0 || len(c.History) != 2 || c.History[1] != (signer.KeyVersion{Version: 1, Destroyed: true}) || h.events(t, "key.destroy") != before+1 {
		t.Errorf("revoked: %s, %d bytes, history %+v", c.Status, len(c.Sealed), c.History)
	}
	if c, err := db.Credential(ctx, IC, System, other.ID); err != nil || c.Status != "ACTIVE" || !bytes.Equal(c.Sealed, other.Sealed) || len(c.History) != 1 {
		t.Errorf("the other key: %+v, %v", c.History, err)
	}
	// A certificate that no key belongs to is revoked without a word of one.
	must(t, db.ReserveSerial(ctx, ca.Certificate{Serial: "77", Issuer: ca.Issuing, NotBefore: h.Clock.Now(), NotAfter: h.Clock.Now().Add(time.Hour)}, h.ev("reserve", "77")))
	key := enrol.Credential{ID: "cr_late", IC: IC, System: System, Algorithm: "ECDSA-P256", Version: 1, Sealed: []byte("late"), Serial: "77", CreatedAt: h.Clock.Now()}
	wants(t, "a key for a reserved certificate", db.PutCredential(ctx, key, h.ev("put", key.ID)), ca.ErrUnknown)
	must(t, db.StoreCertificate(ctx, "77", []byte{1}, h.ev("store", "77")))
	must(t, db.Revoke(ctx, "77", h.Clock.Now(), 1, h.ev("revoke", "77")))
	if n := h.events(t, "key.destroy"); n != before+1 {
		t.Errorf("%d keys were destroyed", n-before)
	}
	// Nor does a revoked certificate get a key afterwards.
	wants(t, "a key for a revoked certificate", db.PutCredential(ctx, key, h.ev("put", key.ID)), ca.ErrRevoked)
	key.Serial = "78"
	wants(t, "a key for no certificate", db.PutCredential(ctx, key, h.ev("put", key.ID)), ca.ErrUnknown)
	if n := h.events(t, "put"); n != 0 {
		t.Errorf("%d events tell of keys that were not stored", n)
	}
}

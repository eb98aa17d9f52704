package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/store"
)

const kekPrefix = "mohor-kek-"

// ErrNoBackup: the installation's keys come from a ceremony, and a KEK made in the token would be
// the one that the custodians' shares do not bring back.
var ErrNoBackup = errors.New("a KEK made in the token is not in the custodians' shares")

// RotateKEK makes the next KEK and has every key generated from now on wrapped by it; a running
// gateway takes it up with the next key. The KEK is recorded as begun, made, attacked and tried by
// the self-test, and only then recorded as current, with its check value. Run again after an
// interruption it destroys what was made, by which nothing was wrapped, and makes another: what
// lies in the token under the new label may be somebody else's. For the same reason it takes no
// key that is there ([hsm.ErrKeyExists]).
//
// shares are nil, or those of the ceremony, from which the KEK is then derived and imported.
// Without them an installation made in a ceremony gives ErrNoBackup, unless noBackup.
func (r *Keyring) RotateKEK(ctx context.Context, actor string, shares *Shares, noBackup bool) (Key, error) {
	unlock, err := r.lock()
	if err != nil {
		return Key{}, err
	}
	defer unlock()
	if _, err := r.compare(ctx, false); err != nil {
		return Key{}, err
	}
	keys, err := r.keys(ctx)
	if err != nil {
		return Key{}, err
	}
	if shares != nil {
		if err := shares.fit(keys); err != nil {
			return Key{}, err
		}
	}
	if shares == nil && !noBackup && slices.ContainsFunc(keys, func(k Key) bool { return !k.Local && k.State == store.KEKCurrent }) {
		return Key{}, ErrNoBackup
	}
	old, err := r.db.CurrentKEK(ctx)
	if err != nil {
		return Key{}, err
	}
	label, err := r.beginKEK(ctx, actor, keys)
	if err != nil {
		return Key{}, err
	}
	by := "rotation"
	if shares == nil {
		err = r.module.MakeKEK(ctx, label)
	} else {
		by = "rotation, from the shares of ceremony " + shares.Ceremony
		err = shares.put(ctx, r.module, label)
	}
	if err != nil {
		return Key{}, err
	}
	if err := r.hsm.SelfTest(ctx, label); err != nil {
		return Key{}, fmt.Errorf("trying %s: %w", label, err)
	}
	k, err := r.key(ctx, label)
	if err != nil {
		return Key{}, err
	}
	switched := audit.Event{At: r.now(), Actor: actor, Action: "hsm.kek.current", Object: keyObject + label, Verdict: audit.Accepted,
		Detail: map[string]string{"was": old, "check": k.Check}}
	if err := r.db.SwitchKEK(ctx, label, r.keyEvent(actor, by, k), switched); err != nil {
		return Key{}, fmt.Errorf("recording the rotation: %w", err)
	}
	return r.key(ctx, label)
}

// beginKEK records the next KEK as begun and sees to it that its label is free in the token.
func (r *Keyring) beginKEK(ctx context.Context, actor string, keys []Key) (label string, err error) {
	keks, err := r.db.KEKs(ctx)
	if err != nil {
		return "", err
	}
	highest := 0
	for _, k := range keks {
		if k.State == store.KEKMaking {
			discard := audit.Event{At: r.now(), Actor: actor, Action: "hsm.kek.discard", Object: keyObject + k.Label, Verdict: audit.Noted,
				Detail: map[string]string{"why": "an interrupted rotation may have left it"}}
			if err := r.db.Audit(ctx, discard); err != nil {
				return "", err
			}
			return k.Label, r.module.DestroyKEK(ctx, k.Label)
		}
		if n, err := strconv.Atoi(strings.TrimPrefix(k.Label, kekPrefix)); err == nil {
			highest = max(highest, n)
		}
	}
	label = kekPrefix + strconv.Itoa(highest+1)
	if slices.ContainsFunc(keys, func(k Key) bool { return k.Label == label }) {
		return "", fmt.Errorf("%w: %q, which no rotation made: find out who did; `mohor hsm retire-kek %s` destroys it", hsm.ErrKeyExists, label, label)
	}
	begin := audit.Event{At: r.now(), Actor: actor, Action: "hsm.kek.make", Object: keyObject + label, Verdict: audit.Accepted}
	if err := r.db.BeginKEK(ctx, label, begin); err != nil {
		return "", fmt.Errorf("recording that %s is made: %w", label, err)
	}
	return label, nil
}

// key finds one key of the list.
func (r *Keyring) key(ctx context.Context, label string) (Key, error) {
	keys, err := r.keys(ctx)
	if err != nil {
		return Key{}, err
	}
	k := slices.IndexFunc(keys, func(k Key) bool { return k.Label == label })
	if k < 0 || keys[k].Lost || keys[k].Check == "" {
		return Key{}, fmt.Errorf("%w: %q", hsm.ErrNoKey, label)
	}
	return keys[k], nil
}

// accounted verifies the whole audit chain and that each key it calls live is in its row: what is
// about to be destroyed cannot be had back.
func (r *Keyring) accounted(ctx context.Context) error {
	_, err := verifyAudit(ctx, r.db, &r.config, r.Dir, "")
	if errors.Is(err, fs.ErrNotExist) { // no head was signed yet: the chain stands by itself
		v := audit.NewVerifier(nil)
		if err = r.db.AuditRecords(ctx, 0, v.Add); err == nil {
			_, _, err = v.Finish()
		}
	}
	if err != nil {
		return err
	}
	return r.db.Accounted(ctx)
}

// RetireKEK destroys a KEK in the token for good: one that is not current and that no live
// credential names ([store.ErrKEK]), or one that nobody put on record. The rows that say so must
// agree with the audit chain ([store.ErrUnaccounted]). The intent is recorded
// before the key is destroyed and the end after it; run again after an interruption it completes.
func (r *Keyring) RetireKEK(ctx context.Context, actor, label string) error {
	unlock, err := r.lock()
	if err != nil {
		return err
	}
	defer unlock()
	keks, err := r.db.KEKs(ctx)
	if err != nil {
		return err
	}
	infos, err := r.hsm.Keys(ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(keks, func(k store.KEK) bool { return k.Label == label && k.State != "" && k.State != store.KEKRetired })
	in := slices.IndexFunc(infos, func(k hsm.KeyInfo) bool { return k.Label == label && k.Kind == "KEK" })
	if at < 0 && in < 0 {
		return fmt.Errorf("%w: %q is no KEK, or was retired before", hsm.ErrNoKey, label)
	}
	check := ""
	if in >= 0 {
		check = infos[in].Check
	}
	event := func(action string) audit.Event {
		return audit.Event{At: r.now(), Actor: actor, Action: action, Object: keyObject + label, Verdict: audit.Accepted, Detail: map[string]string{"check": check}}
	}
	if err := r.accounted(ctx); err != nil {
		return fmt.Errorf("retiring %s: %w", label, err)
	}
	if err := r.db.BeginRetirement(ctx, label, event("hsm.kek.retire")); err != nil {
		return fmt.Errorf("retiring %s: %w", label, err)
	}
	if err := r.module.DestroyKEK(ctx, label); err != nil {
		return err
	}
	if err := r.db.EndRetirement(ctx, label, event("hsm.kek.retired")); err != nil {
		return fmt.Errorf("recording that %s is destroyed: %w", label, err)
	}
	return nil
}

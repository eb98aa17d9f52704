package signer

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/secret"
)

// KeyVersion is what the audit chain tells of a sealed key: the SHA-256 of its
// text form at one version, or what became of it at that version.
type KeyVersion struct {
	Version        uint32
	Hash           [32]byte // SHA-256 of Credential.Sealed
	Destroyed      bool
	Held, Released bool // its certificate was suspended, or released
}

// current compares the row with the audit chain: versions 1 to n in order, the
// row is the last and holds the very bytes, nothing was destroyed, no suspension
// is left. Demanding all of them, not only the last, also refuses an old version
// that somebody appended to the chain once more: the later one cannot be taken out
// of it.
func (c *Credential) current() error {
	n, held, last := uint32(0), false, [32]byte{}
	for _, v := range c.History {
		switch {
		case v.Held || v.Released:
			held = v.Held
		case v.Destroyed || v.Version != n+1:
			return ErrKeyVersion
		default:
			n, last = v.Version, v.Hash
		}
	}
	if n == 0 || held || c.Version != n || sha256.Sum256(c.Sealed) != last {
		return ErrKeyVersion
	}
	return nil
}

// PINChange asks for another PIN of one key.
type PINChange struct {
	Officer, System string
	Credential      string // "" is the first active one for System
	Old, New        secret.Text
	Via             string // where it was asked: "cli", an app's id
	RequestID       string
}

// PINChanged says which key has the new PIN.
type PINChanged struct {
	Credential string
	Version    uint32 // of the sealed key
}

// ChangePIN seals a key under another PIN. It judges in this order: PIN lock,
// certificate status and key version → the new PIN → PIN counted → the old PIN
// opens the seal → new sealed key, its version, counter and audit event in one
// transaction. Until that commits the old PIN opens the key, after it the new
// one. Errors: those of Records.Credential, ErrCertificateExpired and the like,
// ErrKeyVersion, *LockedError, ErrPINPolicy (wrapping the policy's own error),
// ErrPINSame, *AttemptsError, ErrPINChanged, ErrBusy, ErrKeysUnavailable.
//
// It tries a PIN without a code: the caller must have established that the
// officer is who asks.
func (s *Signer) ChangePIN(ctx context.Context, p PINChange) (PINChanged, error) {
	ev := audit.Event{At: s.Now(), Actor: "officer:" + p.Officer, Action: "signer.change_pin", Object: "officer:" + p.Officer, RequestID: p.RequestID,
		Detail: map[string]string{"via": p.Via}}
	// As in Authorize: one judgement of an officer's PIN at a time, to its end.
	unlock, err := s.confirming.Lock(ctx, p.Officer)
	if err != nil {
		return PINChanged{}, fmt.Errorf("%w: %w", ErrBusy, err)
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), judgeFor)
	defer cancel()
	c, err := s.Records.Credential(ctx, p.Officer, p.System, p.Credential)
	if err != nil {
		return PINChanged{}, s.refuse(ctx, ev, err)
	}
	ev.Object = c.ID
	sealed, err := s.reseal(ctx, &c, &p)
	if err != nil {
		return PINChanged{}, s.refuse(ctx, ev, err)
	}
	ev.Verdict = audit.Accepted
	ev.Detail["version"] = strconv.FormatUint(uint64(c.Version)+1, 10)
	err = s.Records.Reseal(ctx, c.ID, c.Version, sealed, ev)
	if errors.Is(err, ErrPINChanged) || errors.Is(err, ErrCertificateRevoked) || errors.Is(err, ErrCertificateOnHold) {
		// The old PIN was right, only somebody else was first.
		err = errors.Join(err, s.Records.UncountPIN(ctx, p.Officer, s.PIN))
	}
	if err != nil {
		return PINChanged{}, s.refuse(ctx, ev, err)
	}
	return PINChanged{c.ID, c.Version + 1}, nil
}

// PINProof is a PIN with which an officer proves to be who asks for something else
// than a signature.
type PINProof struct {
	Officer, System, Credential string
	PIN                         secret.Text
	For                         string // what is asked for, as the audit names it
	RequestID                   string
}

// ProvePIN judges a PIN as ChangePIN does the old one, opens the key with it and closes
// it again: nothing is signed. It is counted, and the verdict is in the audit. Errors are
// those of ChangePIN that concern the old PIN.
func (s *Signer) ProvePIN(ctx context.Context, p PINProof) error {
	ev := audit.Event{At: s.Now(), Actor: "officer:" + p.Officer, Action: "signer.prove_pin", Object: "officer:" + p.Officer, RequestID: p.RequestID,
		Detail: map[string]string{"for": p.For}}
	unlock, err := s.confirming.Lock(ctx, p.Officer)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), judgeFor)
	defer cancel()
	c, err := s.Records.Credential(ctx, p.Officer, p.System, p.Credential)
	if err != nil {
		return s.refuse(ctx, ev, err)
	}
	ev.Object = c.ID
	if err := s.prove(ctx, &c, p.PIN); err != nil {
		return s.refuse(ctx, ev, err)
	}
	ev.Verdict = audit.Accepted
	return s.Records.Audit(ctx, ev)
}

func (s *Signer) prove(ctx context.Context, c *Credential, pin secret.Text) error {
	now := s.Now()
	if err := c.PIN.locked(now); err != nil {
		return err
	}
	if err := c.usable(now); err != nil {
		return err
	}
	st, err := s.Records.CountPIN(ctx, c.Officer, s.PIN, now)
	if err != nil {
		return err
	}
	key, err := s.Keys.Open(ctx, *c, pin, KeyUse{Until: now.Add(judgeFor)})
	if errors.Is(err, ErrPINWrong) {
		return s.wrongPIN(err, c.Officer, st)
	}
	if err == nil {
		err = key.Close()
	}
	return errors.Join(err, s.Records.UncountPIN(ctx, c.Officer, s.PIN))
}

// reseal judges both PINs and returns the key sealed under the new one.
func (s *Signer) reseal(ctx context.Context, c *Credential, p *PINChange) ([]byte, error) {
	now := s.Now()
	if err := c.PIN.locked(now); err != nil {
		return nil, err
	}
	if err := c.usable(now); err != nil {
		return nil, err
	}
	if err := s.CheckPIN(p.New, c); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPINPolicy, err)
	}
	if subtle.ConstantTimeCompare(p.Old.Reveal(), p.New.Reveal()) == 1 {
		return nil, ErrPINSame
	}
	st, err := s.Records.CountPIN(ctx, c.Officer, s.PIN, now)
	if err != nil {
		return nil, err
	}
	version, sealed, err := s.Keys.ChangePIN(ctx, *c, p.Old, p.New)
	if errors.Is(err, ErrPINWrong) {
		return nil, s.wrongPIN(err, c.Officer, st)
	}
	if err == nil && (version != c.Version+1 || len(sealed) == 0) {
		err = fmt.Errorf("changing PIN: the HSM answered version %d after %d", version, c.Version)
	}
	if err != nil {
		// The PIN was not judged, or was right: the count is given back.
		return nil, errors.Join(err, s.Records.UncountPIN(ctx, c.Officer, s.PIN))
	}
	return sealed, nil
}

// wrongPIN says how many tries are left after st was counted.
func (s *Signer) wrongPIN(err error, officer string, st PINState) error {
	left := max(0, min(s.PIN.LockAfter-st.InARow, s.PIN.BlockAfter-st.Total))
	err = &AttemptsError{err, left}
	if left == 0 {
		err = &lockingError{err, officer, st}
	}
	return err
}

// Unlock clears an officer's PIN counter, lock and block; key and PIN stay as
// they are. The event names who (actor, "cli:<user>") and why: reason has 1 to
// 200 characters, ErrReason otherwise. It returns what the counter was;
// ErrUnknownOfficer. It uses Records and Now alone.
func (s *Signer) Unlock(ctx context.Context, actor, officer, reason, requestID string) (PINState, error) {
	reason = strings.TrimSpace(reason)
	ev := audit.Event{At: s.Now(), Actor: actor, Action: "signer.unlock", Object: "officer:" + officer, RequestID: requestID, Verdict: audit.Accepted,
		Detail: map[string]string{"why": reason}}
	if n := utf8.RuneCountInString(reason); n == 0 || n > 200 {
		ev.Detail = nil
		return PINState{}, s.refuse(ctx, ev, ErrReason)
	}
	was, err := s.Records.UnlockPIN(ctx, officer, ev)
	if err != nil {
		return PINState{}, s.refuse(ctx, ev, err)
	}
	return was, nil
}

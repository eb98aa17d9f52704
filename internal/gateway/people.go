package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/signer"
)

// policy says which PINs may be chosen.
func (c *PINConfig) policy() enrol.PINPolicy {
	return enrol.PINPolicy{MinLength: c.MinLength, MaxLength: c.MaxLength, RefuseCommon: c.RefuseCommon}
}

// limits says how many PINs may be tried.
func (c *PINConfig) limits() signer.PINPolicy {
	return signer.PINPolicy{LockAfter: c.LockAfter, LockFor: c.LockFor, BlockAfter: c.BlockAfter}
}

// checkPIN applies the policy to the holder of a credential.
func (c *PINConfig) checkPIN(pin secret.Text, of *signer.Credential) error {
	return c.policy().Check(pin, enrol.Officer{IC: of.Officer, Name: of.OfficerName, Email: of.Email})
}

// ChangePIN implements signer.Keys.
func (k officerKeys) ChangePIN(ctx context.Context, c signer.Credential, old, next secret.Text) (uint32, []byte, error) {
	var s hsm.SealedKey
	if err := s.UnmarshalText(c.Sealed); err != nil {
		return 0, nil, fmt.Errorf("reading sealed key of %s: %w", c.ID, err)
	}
	b, s, err := k.m.ChangePIN(ctx, binding(c.Officer, c.ID, c.Algorithm, c.Version), s, c.Certificate.PublicKey, old, next)
	if err != nil {
		return 0, nil, keysError(err)
	}
	text, err := s.MarshalText()
	return b.Version, text, err
}

// pinProver implements enrol.PINs.
type pinProver struct{ s *signer.Signer }

func (p pinProver) ProvePIN(ctx context.Context, act enrol.Action, officer, system, credential string, pin secret.Text, request string) error {
	return p.s.ProvePIN(ctx, signer.PINProof{Officer: officer, System: system, Credential: credential, PIN: pin, For: string(act), RequestID: request})
}

func (p pinProver) UnlockPIN(ctx context.Context, officer string, ev audit.Event) (enrol.PINCount, error) {
	was, err := p.s.Records.UnlockPIN(ctx, officer, ev)
	if errors.Is(err, signer.ErrUnknownOfficer) {
		err = enrol.ErrUnknown
	}
	return enrol.PINCount{Wrong: was.Total, LockedUntil: was.LockedUntil, Blocked: was.Blocked}, err
}

// ChangePIN changes the PIN of the officer's first active key for system, or of
// the credential named, also beside a running gateway. others are the officer's
// further active keys for that system, which keep their PIN.
func (i *Installation) ChangePIN(ctx context.Context, ic, system, credential string, old, next secret.Text) (changed signer.PINChanged, others []string, err error) {
	s := &signer.Signer{Records: i.db, Keys: officerKeys{i.hsm, i.db.CurrentKEK}, PIN: i.Config.PIN.limits(), CheckPIN: i.Config.PIN.checkPIN, Now: i.now}
	changed, err = s.ChangePIN(ctx, signer.PINChange{Officer: ic, System: system, Credential: credential, Old: old, New: next, Via: "cli"})
	if err != nil {
		return changed, nil, tellPIN(err)
	}
	_, media, err := i.db.Officer(ctx, ic)
	if err != nil {
		return changed, nil, fmt.Errorf("reading officer: %w", err)
	}
	for _, m := range media {
		if m.System == system && m.KeyStatus == "ACTIVE" && m.Credential != changed.Credential {
			others = append(others, m.Credential)
		}
	}
	return changed, others, nil
}

// tellPIN adds what the typed errors know.
func tellPIN(err error) error {
	var left *signer.AttemptsError
	var locked *signer.LockedError
	var policy *enrol.PINError
	switch {
	case errors.As(err, &policy):
		return policy
	case errors.As(err, &left):
		return fmt.Errorf("%w (%d tries left)", err, left.Left)
	case errors.As(err, &locked) && locked.Until.IsZero():
		return fmt.Errorf("%w: only an administrator unlocks it (mohor officer unlock)", err)
	case errors.As(err, &locked):
		return fmt.Errorf("%w until %s", err, locked.Until.Format(time.RFC3339))
	}
	return err
}

// UnlockPIN clears an officer's PIN counter in the installation in dir, also
// beside a running gateway; it needs the database alone. It returns what the
// counter was.
func UnlockPIN(ctx context.Context, dir, actor, ic, reason string, now func() time.Time) (was signer.PINState, err error) {
	c, err := LoadConfig(dir)
	if err != nil {
		return was, err
	}
	db, err := c.openUnlocked(ctx)
	if err != nil {
		return was, err
	}
	was, err = (&signer.Signer{Records: db, Now: now}).Unlock(ctx, actor, ic, reason, "")
	return was, errors.Join(err, db.Close())
}

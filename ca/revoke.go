package ca

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mohor-sign/mohor/audit"
)

// reasons are the CRLReasons (RFC 5280, Section 5.3.1) by their code.
var reasons = [...]string{0: "unspecified", 1: "keyCompromise", 2: "cACompromise", 3: "affiliationChanged", 4: "superseded",
	5: "cessationOfOperation", 6: "certificateHold", 8: "removeFromCRL", 9: "privilegeWithdrawn", 10: "aACompromise"}

// certificateHold is the reason of a suspension.
const certificateHold = 6

// ReasonCode is the code of a CRLReason by its name, 0 (unspecified) for one that
// is none.
func ReasonCode(name string) int { return max(0, slices.Index(reasons[:], name)) }

// ReasonName is the name of a CRLReason by its code, "" for one that is none.
func ReasonName(code int) string {
	if code < 0 || code >= len(reasons) {
		return ""
	}
	return reasons[code]
}

// Scheduled is a revocation to come.
type Scheduled struct {
	Serial    string
	At        time.Time
	Reason    int    // CRLReason
	Actor     string // who ordered it
	CreatedAt time.Time
}

// checkReason is ErrReason for one that is not for revoking such a certificate for
// good: certificateHold is Suspend's, removeFromCRL is for delta CRLs, aACompromise
// for attribute authorities, and cACompromise says that a CA's own key is known.
func (c *Certificate) checkReason(reason int) error {
	switch {
	case reason == 2 && !c.ofAuthority(), reason == certificateHold, reason == 8, reason == 10, ReasonName(reason) == "":
		return fmt.Errorf("%w: %d", ErrReason, reason)
	}
	return nil
}

func (c *Certificate) ofAuthority() bool { return strings.HasPrefix(c.Credential, "authority:") }

// Revoke revokes an active or suspended certificate for good, destroys its key in
// the register, and publishes the issuer's CRL at once. reason is a CRLReason (RFC
// 5280, Section 5.3.1): unspecified, keyCompromise, affiliationChanged, superseded,
// cessationOfOperation, privilegeWithdrawn, or cACompromise for an authority's;
// ErrReason for others. What was suspended counts as revoked since then, and a
// revocation that was scheduled is done with. ErrUnknown, ErrRevoked;
// ErrNotPublished: it is revoked, but the CRL could not be made.
func (a *Authorities) Revoke(ctx context.Context, actor, serial string, reason int) error {
	row, err := a.records.CertificateBySerial(ctx, serial)
	if err != nil {
		return err
	}
	if err := row.checkReason(reason); err != nil {
		return err
	}
	ev := a.event(actor, "ca.revoke", serial, map[string]string{"reason": ReasonName(reason)})
	err = a.records.Revoke(ctx, serial, ev.At, reason, ev)
	if err != nil && !errors.Is(err, ErrRevoked) {
		return err
	}
	// Revoked before, too: perhaps the CRL could not be made then.
	return errors.Join(err, a.tell(ctx, row.Issuer))
}

// Suspend puts an officer's active certificate on hold (RFC 5280, Section 5.3.1,
// certificateHold) and publishes the issuer's CRL at once. Its key is kept and not
// used. why, of 1 to 200 characters, goes into the audit. ErrUnknown, ErrRevoked,
// ErrSuspended; ErrInvalid for an authority's or a unit's, or without a why;
// ErrNotPublished as for Revoke.
func (a *Authorities) Suspend(ctx context.Context, actor, serial, why string) error {
	return a.hold(ctx, actor, serial, why, true)
}

// Release ends a suspension: the certificate is good again, and the CRL that is
// published at once lists it no more. Errors are those of Suspend, and ErrActive
// when it is not suspended.
func (a *Authorities) Release(ctx context.Context, actor, serial, why string) error {
	return a.hold(ctx, actor, serial, why, false)
}

func (a *Authorities) hold(ctx context.Context, actor, serial, why string, on bool) error {
	if n := utf8.RuneCountInString(why); n == 0 || n > 200 || !utf8.ValidString(why) || strings.ContainsFunc(why, unicode.IsControl) || strings.TrimSpace(why) == "" {
		return fmt.Errorf("%w: a reason of 1 to 200 characters is needed", ErrInvalid)
	}
	row, err := a.records.CertificateBySerial(ctx, serial)
	if err != nil {
		return err
	}
	if row.ofAuthority() {
		return fmt.Errorf("%w: only officers' certificates are suspended", ErrInvalid)
	}
	ev := a.event(actor, "ca.suspend", serial, map[string]string{"why": why})
	if on {
		err = a.records.Suspend(ctx, serial, ev.At, certificateHold, ev)
	} else {
		ev.Action = "ca.release"
		err = a.records.Release(ctx, serial, ev)
	}
	if err != nil && !errors.Is(err, ErrSuspended) && !errors.Is(err, ErrActive) {
		return err
	}
	return errors.Join(err, a.tell(ctx, row.Issuer))
}

// tell publishes a change of status, or tells the other CA that issued it of what is
// revoked; that cannot suspend.
func (a *Authorities) tell(ctx context.Context, issuer string) error {
	if IsExternal(issuer) {
		return a.tellExternal(ctx)
	}
	if _, err := a.CRL(ctx, issuer); err != nil {
		return fmt.Errorf("%w: %w", ErrNotPublished, err)
	}
	return nil
}

// event is an accepted deed of this second.
func (a *Authorities) event(actor, action, serial string, detail map[string]string) audit.Event {
	return audit.Event{At: a.now().UTC().Truncate(time.Second), Actor: actor, Action: action, Object: serial, Verdict: audit.Accepted, Detail: detail}
}

// Schedule has a certificate revoked at a time to come, as on retirement, in the
// place of what was scheduled for it. It is done by RevokeDue. Errors are those of
// Revoke; ErrInvalid when at is not between now and the certificate's end.
func (a *Authorities) Schedule(ctx context.Context, actor, serial string, reason int, at time.Time) error {
	row, err := a.records.CertificateBySerial(ctx, serial)
	if err != nil {
		return err
	}
	if err := row.checkReason(reason); err != nil {
		return err
	}
	at = at.UTC().Truncate(time.Second)
	switch {
	case !at.After(a.now()):
		return fmt.Errorf("%w: %s has passed", ErrInvalid, at.Format(time.RFC3339))
	case at.After(row.NotAfter):
		return fmt.Errorf("%w: the certificate ends %s by itself", ErrInvalid, row.NotAfter.Format(time.RFC3339))
	}
	ev := a.event(actor, "ca.schedule", serial, map[string]string{"reason": ReasonName(reason), "at": at.Format(time.RFC3339)})
	return a.records.ScheduleRevocation(ctx, Scheduled{Serial: serial, At: at, Reason: reason, Actor: actor, CreatedAt: ev.At}, ev)
}

// Unschedule has a certificate not revoked that was going to be; ErrUnknown when
// nothing is scheduled for it (any more).
func (a *Authorities) Unschedule(ctx context.Context, actor, serial string) error {
	return a.records.UnscheduleRevocation(ctx, serial, a.event(actor, "ca.unschedule", serial, nil))
}

// ScheduledUntil lists at most limit revocations to come, the next ones first, those
// that are due included.
func (a *Authorities) ScheduledUntil(ctx context.Context, until time.Time, limit int) ([]Scheduled, error) {
	return a.records.ScheduledRevocations(ctx, until, limit)
}

// dueAtOnce is how many revocations are read at a time.
const dueAtOnce = 100

// RevokeDue does the revocations whose time has come, and then publishes the CRLs
// that need it. The audit tells of one that is done more than a minute late. One
// that fails does not hold up the others; it is tried again at the next call.
func (a *Authorities) RevokeDue(ctx context.Context) (done []Scheduled, err error) {
	var errs []error
	issuers := make(map[string]bool)
	for skip := make(map[string]bool); ; {
		due, err := a.records.ScheduledRevocations(ctx, a.now(), dueAtOnce+len(skip))
		if err != nil {
			return done, errors.Join(append(errs, fmt.Errorf("reading scheduled revocations: %w", err))...)
		}
		due = slices.DeleteFunc(due, func(s Scheduled) bool { return skip[s.Serial] })
		if len(due) == 0 {
			break
		}
		for _, s := range due {
			issuer, err := a.revokeScheduled(ctx, s)
			switch {
			case errors.Is(err, ErrUnknown), errors.Is(err, ErrRevoked):
				skip[s.Serial] = true // somebody was faster, or thought better of it
			case err != nil:
				skip[s.Serial] = true
				errs = append(errs, fmt.Errorf("revoking certificate %s as scheduled: %w", s.Serial, err))
			default:
				done, issuers[issuer] = append(done, s), true
			}
		}
	}
	for issuer := range issuers {
		if err := a.tell(ctx, issuer); err != nil {
			errs = append(errs, err)
		}
	}
	return done, errors.Join(errs...)
}

func (a *Authorities) revokeScheduled(ctx context.Context, s Scheduled) (issuer string, err error) {
	row, err := a.records.CertificateBySerial(ctx, s.Serial)
	if err != nil {
		return "", err
	}
	ev := a.event("gateway", "ca.revoke", s.Serial, map[string]string{"reason": ReasonName(s.Reason), "scheduled_by": s.Actor, "due": s.At.UTC().Format(time.RFC3339)})
	if late := ev.At.Sub(s.At); late > time.Minute {
		ev.Detail["late"] = late.String()
	}
	return row.Issuer, a.records.RevokeScheduled(ctx, s, ev.At, ev)
}

package enrol

import (
	"context"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/internal/secret"
)

// NoticeRekey tells the officer that a new key is being asked for; see notify.
const NoticeRekey = "enrol.rekey"

// ForgotPIN begins a new key for an officer who is logged in and has forgotten the PIN: a
// code is mailed, good for as long as a link. Asked again, another one is. There is no
// way back to the old key: it dies with its PIN. *[Refusal].
func (d *Desk) ForgotPIN(ctx context.Context, a Actor, system string) (Enrolment, error) {
	e, _, err := d.lastOf(ctx, a, Forgot, a.IC, system)
	if err != nil {
		return Enrolment{}, err
	}
	ev, err := d.decide(ctx, a, Forgot, about(&e))
	if err != nil {
		return Enrolment{}, err
	}
	held, no, err := d.holding(ctx, &e)
	if err != nil {
		return Enrolment{}, err
	}
	if no == nil && !d.Now().Before(held.NotAfter) {
		no = refusal("certificate_expired", ErrState)
	}
	all, err := d.Records.EnrolmentsOf(ctx, e.IC)
	if err != nil {
		return Enrolment{}, fmt.Errorf("reading enrolments: %w", err)
	}
	p, asked := d.Policy.filled(), 0
	for _, x := range all {
		if x.Kind == Rekey && x.ListedAt.After(d.Now().Add(-24*time.Hour)) {
			asked++
		}
		if x.Kind == Rekey && x.System == system && x.State == Confirmed && no == nil {
			return d.anotherCode(ctx, a, &x)
		}
	}
	if no == nil && asked >= p.RekeysADay {
		no = refusal("rekey_too_often", ErrState)
	}
	if no != nil {
		return Enrolment{}, d.refuse(ctx, ev, no)
	}
	e.Kind, e.Replaces, e.Follows, e.State, e.DueAt = Rekey, held.Credential, held.Serial, Confirmed, d.Now()
	ev.Object, ev.Detail["kind"], ev.Detail["replaces"] = e.ID, string(e.Kind), e.Replaces
	if err := d.Records.Begin(ctx, e, ev); err != nil {
		if errors.Is(err, ErrExists) {
			err = d.refuse(ctx, ev, refusal("enrolment_open", ErrState))
		}
		return Enrolment{}, err
	}
	return e, nil
}

func (d *Desk) anotherCode(ctx context.Context, a Actor, e *Enrolment) (Enrolment, error) {
	ev, err := d.decide(ctx, a, Forgot, about(e))
	if err != nil {
		return Enrolment{}, err
	}
	if no := d.tooSoon(e); no != nil {
		return Enrolment{}, d.refuse(ctx, ev, no)
	}
	return *e, d.take(ctx, Change{ID: e.ID, From: e.State, To: e.State, At: e.Since, Due: d.Now(), Event: ev})
}

// RekeyRequest is what an officer sends in who has forgotten the PIN.
type RekeyRequest struct {
	Code          secret.Text // as it was mailed
	PIN, PINAgain secret.Text
	Algorithm     string // "": as the key there is
}

// Rekey makes the new key under the new PIN. It waits for the agency ([Desk.ConfirmRekey]).
// Errors are those of Apply.
func (d *Desk) Rekey(ctx context.Context, a Actor, r RekeyRequest) (Enrolment, error) {
	e, err := d.ByCode(ctx, r.Code, a.Request)
	if err != nil {
		return Enrolment{}, err
	}
	ev, to, err := d.may(ctx, a, NewKey, &e)
	if err != nil {
		return Enrolment{}, err
	}
	held, no, err := d.holding(ctx, &e)
	if err != nil {
		return Enrolment{}, err
	}
	if no == nil && held.Credential != e.Replaces {
		no = refusal("enrolment_changed", ErrState)
	}
	if no == nil && subtle.ConstantTimeCompare(r.PIN.Reveal(), r.PINAgain.Reveal()) != 1 {
		no = entered("pins_differ", "pin_again", "dua PIN itu tidak sama", "the two PINs differ")
	}
	if no == nil {
		if no, err = d.checkPIN(&e, r.PIN); err != nil {
			return Enrolment{}, err
		}
	}
	if no != nil {
		return Enrolment{}, d.refuse(ctx, ev, no)
	}
	_, last, err := d.lastOf(ctx, a, NewKey, e.IC, e.System)
	if err != nil {
		return Enrolment{}, err
	}
	f, err := d.fileAnew(ctx, &e, last, r.Algorithm, held.Algorithm, r.PIN)
	if err != nil {
		return Enrolment{}, err
	}
	ev.Detail["credential"], ev.Detail["algorithm"] = f.Credential, f.Algorithm
	if err := d.take(ctx, Change{ID: e.ID, From: e.State, To: to, At: d.Now(), Filed: f, Notice: NoticeRekey, Event: ev}); err != nil {
		return Enrolment{}, err
	}
	e.State = to
	return e, nil
}

// ConfirmRekey is the agency's word that it is the officer who asks; how, of 5 to 500
// characters, says how that was made sure, and stands in the audit. The certificate is
// issued with the end of the old one, which is revoked (superseded) in the same
// transaction, with its key destroyed and the officer's PIN unblocked. Errors as Approve
// has them.
func (d *Desk) ConfirmRekey(ctx context.Context, a Actor, id, how string) (*x509.Certificate, error) {
	no := reasonGiven(&how, decisionReason)
	if no != nil {
		e, err := d.find(ctx, a, Vouch, id)
		if err != nil {
			return nil, err
		}
		ev, err := d.decide(ctx, a, Vouch, about(&e))
		if err != nil {
			return nil, err
		}
		return nil, d.refuse(ctx, ev, no)
	}
	return d.approve(ctx, a, Vouch, id, how)
}

// Replace revokes an officer's certificate for a system and enrols the officer anew: the
// key is compromised or doubted, and so may be the mailbox. What is under way in its place
// is ended. The address is proved again, and the application decided by two people again.
// reason is keyCompromise, superseded or unspecified, and keyCompromise alone (known or suspected:
// RFC 5280, 5.3.1) where another would make a second administrator's word needed for the revocation.
// why stands in the audit. Whoever is cut off asks again: what is done stays done.
func (d *Desk) Replace(ctx context.Context, a Actor, ic, system, reason, why string) (Enrolment, error) {
	e, _, err := d.lastOf(ctx, a, Replace, ic, system)
	if err != nil {
		return Enrolment{}, err
	}
	ev, err := d.decide(ctx, a, Replace, about(&e))
	if err != nil {
		return Enrolment{}, err
	}
	no := reasonGiven(&why, decisionReason)
	if no == nil && !slices.Contains([]string{"keyCompromise", "superseded", "unspecified"}, reason) {
		no = entered("revocation_reason", "reason", "sebab mestilah keyCompromise, superseded atau unspecified", "the reason must be keyCompromise, superseded or unspecified")
	}
	if no == nil && d.byTwo(&a, &StatusOrder{IC: ic, Reason: reason}) {
		no = entered("revocation_reason", "reason", "bagi sebab ini pembatalan memerlukan dua orang: batalkan sijil dahulu, kemudian senaraikan pegawai semula; jika kunci diragui, pilih keyCompromise",
			"for this reason two people revoke: have the certificate revoked, then list the officer again; if the key is doubted, choose keyCompromise")
	}
	if no != nil {
		return Enrolment{}, d.refuse(ctx, ev, no)
	}
	held, err := d.Records.Held(ctx, ic, system)
	if err != nil {
		return Enrolment{}, fmt.Errorf("reading credentials: %w", err)
	}
	// The certificate first: whatever fails behind it, nobody signs with that key.
	var late error
	if len(held) > 0 {
		e.Follows = held[0].Serial
	}
	for _, h := range held {
		if h.Status == "REVOKED" {
			continue
		}
		err := d.CA.Revoke(ctx, a.Name, h.Serial, ca.ReasonCode(reason))
		switch {
		case errors.Is(err, ca.ErrNotPublished) || errors.Is(err, ca.ErrUnavailable):
			late = errors.Join(late, err) // revoked here; the gateway tells the others
		case err != nil && !errors.Is(err, ca.ErrRevoked):
			return Enrolment{}, fmt.Errorf("revoking certificate: %w", err)
		}
	}
	if err := errors.Join(d.answered(ctx, ic, system, ev), d.endPending(ctx, a, ic, system, why)); err != nil {
		return Enrolment{}, err
	}
	e.State, e.DueAt = Confirming, d.Now()
	ev.Object, ev.Detail["reason"], ev.Detail["why"] = e.ID, reason, why
	row := Row{Officer: Officer{IC: e.IC, Name: e.Name, Email: e.Email}, Agency: e.Agency, Office: e.Office, System: e.System, Phase: e.Phase, Ticket: e.Ticket, Medium: RoamingOTP}
	err = d.Records.AddEntries(ctx, []Entry{{Row: row, ID: e.ID, By: a.Name, Origin: "REPLACEMENT", Follows: e.Follows, State: e.State, At: d.Now(), Due: e.DueAt, Event: ev}})
	if errors.Is(err, ErrExists) {
		return Enrolment{}, errors.Join(d.refuse(ctx, ev, refusal("enrolment_open", ErrState)), late)
	}
	return e, errors.Join(err, late)
}

// endPending withdraws renewals and new keys under way. An approved one ends by itself:
// what it was to replace is revoked.
func (d *Desk) endPending(ctx context.Context, a Actor, ic, system, why string) error {
	all, err := d.Records.EnrolmentsOf(ctx, ic)
	if err != nil {
		return fmt.Errorf("reading enrolments: %w", err)
	}
	for _, x := range all {
		if x.System != system || x.Kind == First || !slices.Contains(steps()[Withdraw].from, x.State) {
			continue
		}
		ev, to, err := d.may(ctx, a, Withdraw, &x)
		if err != nil {
			return err
		}
		ev.Detail["reason"] = why
		if err := d.take(ctx, Change{ID: x.ID, From: x.State, To: to, At: d.Now(), Reason: why, Event: ev}); err != nil {
			return err
		}
	}
	return nil
}

package enrol

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/internal/ident"
)

// A revocation that two administrators decide, where [Policy.RevokeByTwo] asks for it.
const (
	AskRevocation     Action = "certificate.revoke.ask"
	ConfirmRevocation Action = "certificate.revoke.confirm"
	CancelRevocation  Action = "certificate.revoke.cancel"
)

// RequestRevoke is the kind of an OfficerRequest for a certificate's revocation.
const RequestRevoke = "REVOKE"

// byTwo says whether a revocation waits for a second person. One for a compromised key never does,
// nor the officer's own, nor that by the operator of the machine; one a day or more ahead can be
// taken back until it comes.
func (d *Desk) byTwo(a *Actor, r *StatusOrder) bool {
	return d.Policy.RevokeByTwo && !a.machine() && a.IC != r.IC && r.Reason != "keyCompromise" && (r.At.IsZero() || r.At.Before(d.Now().Add(timeToObject)))
}

// timeToObject is how far ahead a revocation must be that one administrator orders.
const timeToObject = 24 * time.Hour

// askRevocation suspends an officer's certificate at once and asks another administrator for the
// word by which it is revoked. Cut off between the two it is suspended, and asked for again.
func (d *Desk) askRevocation(ctx context.Context, a Actor, r StatusOrder) (StatusOutcome, error) {
	s, err := d.within(ctx, a, AskRevocation, &r)
	if err != nil {
		return StatusOutcome{}, err
	}
	no := d.judgeOrder(&a, &r)
	if no == nil && r.System == "" { // a request is about one certificate
		no = entered("system_unknown", "system", "nyatakan sistem sijil itu", "name the certificate's system")
	}
	if no == nil && len(s.held) == 0 {
		no = refusal("no_certificate", ErrState)
	}
	if no == nil {
		switch _, err := d.Records.PendingRevocation(ctx, r.IC, r.System, d.Now()); {
		case err == nil:
			no = refusal("request_pending", ErrState)
		case !errors.Is(err, ErrUnknown):
			return StatusOutcome{}, fmt.Errorf("reading requests: %w", err)
		}
	}
	if no != nil {
		return StatusOutcome{}, d.refuse(ctx, s.ev, no)
	}
	out, late, err := d.holdFor(ctx, a, s, &r)
	if err != nil {
		return StatusOutcome{}, err
	}
	now := d.Now().UTC()
	q := OfficerRequest{ID: ident.New("rq", 16), Kind: RequestRevoke, IC: r.IC, State: RequestPending, AskedBy: a.Name, AskedIC: a.IC, AskedAt: now, Until: now.Add(requestFor),
		Reason: r.Why, System: r.System, Serial: s.held[0].Serial, CRLReason: r.Reason}
	s.ev.Detail["request"], s.ev.Detail["serials"] = q.ID, q.Serial
	err = d.Records.PutRequest(ctx, q, "", "", s.ev)
	if errors.Is(err, ErrExists) {
		err = d.refuse(ctx, s.ev, refusal("request_pending", ErrState))
	}
	out.Request = q.ID
	return out, errors.Join(err, late)
}

// holdFor suspends what is to be revoked; what is suspended stays so.
func (d *Desk) holdFor(ctx context.Context, a Actor, s scope, r *StatusOrder) (out StatusOutcome, late, err error) {
	active := s
	active.held = slices.DeleteFunc(slices.Clone(s.held), func(h Held) bool { return h.Status != "ACTIVE" })
	out = StatusOutcome{Serials: []string{}}
	for _, h := range s.held {
		out.Serials = append(out.Serials, h.Serial)
		out.LocalOnly = out.LocalOnly || ca.IsExternal(h.Issuer)
	}
	if len(active.held) == 0 {
		return out, nil, nil
	}
	active.ev.Action, active.ev.Detail = string(Suspension), map[string]string{"officer": r.IC, "system": r.System, "reason": "certificateHold", "by": s.ev.Detail["by"], "because": string(AskRevocation)}
	hold := StatusOrder{IC: r.IC, System: r.System, Reason: "certificateHold", Why: r.Why}
	if _, err := d.ordered(ctx, active, &hold); err != nil {
		return out, nil, err
	}
	for _, h := range active.held {
		switch err := d.CA.Suspend(ctx, a.Name, h.Serial, r.Why); {
		case errors.Is(err, ca.ErrNotPublished):
			late = errors.Join(late, err)
		case errors.Is(err, ca.ErrSuspended):
		case errors.Is(err, ca.ErrRevoked):
			return out, nil, d.refuse(ctx, s.ev, refusal("enrolment_changed", ErrState))
		case err != nil:
			return out, nil, fmt.Errorf("suspending certificate %s: %w", h.Serial, err)
		}
	}
	return out, late, nil
}

// confirmRevocation is the second word about q: not that of who asked, of the officer, or of one
// hand with who asked. The order is kept and the request spent at once; then it is done. Where that
// was cut off, and the certificate is suspended still as it was when it was asked for, the word is
// given once more: a release, and a suspension after it, were decided without either of them.
func (d *Desk) confirmRevocation(ctx context.Context, a Actor, q *OfficerRequest, how string) error {
	r := StatusOrder{IC: q.IC, System: q.System, Reason: q.CRLReason, Why: q.Reason}
	s, err := d.within(ctx, a, ConfirmRevocation, &r)
	if err != nil {
		return err
	}
	s.held = slices.DeleteFunc(s.held, func(h Held) bool { return h.Serial != q.Serial })
	no := reasonGiven(&how, auditReason)
	cut := q.State == RequestDone && len(s.held) > 0 && s.held[0].Status == "SUSPENDED" && !s.held[0].RevocationDate.After(q.AskedAt)
	switch {
	case a.IC == "" || a.IC == q.AskedIC:
		no = refusal("same_person", ErrForbidden)
	case no != nil:
	case q.State != RequestPending && !cut || !d.Now().Before(q.Until) || len(s.held) == 0:
		no = refusal("enrolment_changed", ErrState)
	}
	if no != nil {
		return d.refuse(ctx, s.ev, no)
	}
	if err := oneHand(ctx, d.Records, s.ev, &a, q.AskedBy); err != nil {
		return err
	}
	s.ev.Detail["request"], s.ev.Detail["how"] = q.ID, how
	if !cut {
		s.request = q.ID
	}
	_, late, err := d.revoke(ctx, a, s, &r)
	if errors.Is(err, ErrState) {
		return d.refuse(ctx, s.ev, refusal("enrolment_changed", ErrState))
	}
	if err != nil {
		return err
	}
	for _, x := range s.open {
		if x.Kind != First {
			late = errors.Join(late, d.withdrawn(ctx, &x, s.ev, r.Why))
		}
	}
	return late
}

// answered ends a request for a revocation that something else has decided: the certificate was
// released, or revoked without it. ev is that decision.
func (d *Desk) answered(ctx context.Context, ic, system string, ev audit.Event) error {
	id, err := d.Records.PendingRevocation(ctx, ic, system, d.Now())
	if errors.Is(err, ErrUnknown) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading requests: %w", err)
	}
	c := audit.Event{At: ev.At, Actor: ev.Actor, Action: string(CancelRevocation), Object: id, Verdict: audit.Accepted, RequestID: ev.RequestID,
		Detail: map[string]string{"officer": ic, "system": system, "because": ev.Action, "by": ev.Detail["by"]}}
	if err := d.Records.CancelOfficerRequest(ctx, id, c); err != nil && !errors.Is(err, ErrState) {
		return fmt.Errorf("ending a request: %w", err)
	}
	return nil
}

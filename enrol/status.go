package enrol

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
)

// What administrators, and officers about their own, do with certificates that there are.
const (
	Revocation   Action = "certificate.revoke"
	Suspension   Action = "certificate.suspend"
	Releasing    Action = "certificate.release"
	Unscheduling Action = "certificate.unschedule"
	Retirement   Action = "officer.retire"
	Transferring Action = "officer.transfer"
)

// StatusOrder says what is to become of an officer's certificates.
type StatusOrder struct {
	IC     string
	System string // "" for Retire: all that are the actor's to end
	// Reason is the name of a CRLReason (RFC 5280, Section 5.3.1), for Revoke.
	Reason string
	Why    string    // 5 to 200 characters; it is kept, and stands in the audit
	At     time.Time // when it takes effect; zero: at once
}

// StatusOutcome is what an order did.
type StatusOutcome struct {
	Serials []string  // decimal, of the certificates that it is about
	At      time.Time // when they are revoked; zero: it is done
	// LocalOnly: another CA issued one of them. It cannot suspend: nobody signs here, but
	// its CRL and OCSP go on saying that the certificate is good.
	LocalOnly bool
	Enrolment string // id of the one in the other agency, of Transfer
	// Request is the id of what waits for a second person, of Revoke: the certificate is suspended
	// meanwhile; "": nothing waits.
	Request string
}

// Order is a StatusOrder as it is kept.
type Order struct {
	Serials []string
	Reason  int // CRLReason
	Why     string
	At      time.Time
	Request string // of an OfficerRequest that is done with it; "": none
}

// ScheduledRevocation is a revocation to come.
type ScheduledRevocation struct {
	Serial, IC, Name, System string
	Agency                   string // of the certificate; "" when it came without an enrolment
	At                       time.Time
	Reason                   int // CRLReason
	Why, By                  string
	Since                    time.Time
}

// ScheduledFilter chooses revocations to come.
type ScheduledFilter struct {
	Serial, System, Agency string    // "": any
	AfterAt                time.Time // go on behind this one
	AfterSerial            string
	Limit                  int // 0 means 100, at most 1000
}

// Revoke revokes an officer's certificate for a system for good, now or at a time: then
// its key is destroyed, transactions that wait for it end, and when the officer has no
// other the sessions are closed. What is under way in its place ends. Where the policy wants two
// administrators for it the certificate is suspended and the outcome names the request. A *[Refusal];
// ca.ErrNotPublished or ca.ErrUnavailable with the outcome: it is revoked here.
func (d *Desk) Revoke(ctx context.Context, a Actor, r StatusOrder) (StatusOutcome, error) {
	if d.byTwo(&a, &r) {
		return d.askRevocation(ctx, a, r)
	}
	return d.end(ctx, a, Revocation, r)
}

// Retire is Revoke (cessationOfOperation) for all systems within the actor's scope, or
// one; applications under way are withdrawn at once.
func (d *Desk) Retire(ctx context.Context, a Actor, r StatusOrder) (StatusOutcome, error) {
	r.Reason = "cessationOfOperation"
	return d.end(ctx, a, Retirement, r)
}

func (d *Desk) end(ctx context.Context, a Actor, act Action, r StatusOrder) (StatusOutcome, error) {
	s, err := d.within(ctx, a, act, &r)
	if err != nil {
		return StatusOutcome{}, err
	}
	no := d.judgeOrder(&a, &r)
	if no == nil && act == Revocation && len(s.held) == 0 {
		no = refusal("no_certificate", ErrState)
	}
	if no == nil && len(s.held) == 0 && len(s.open) == 0 {
		no = refusal("no_certificate", ErrState)
	}
	if no == nil && act == Retirement && slices.ContainsFunc(s.open, func(e Enrolment) bool { return e.State == Approved }) {
		no = refusal("being_issued", ErrState)
	}
	if no != nil {
		return StatusOutcome{}, d.refuse(ctx, s.ev, no)
	}
	out, late, err := d.revoke(ctx, a, s, &r)
	if err != nil {
		return StatusOutcome{}, err
	}
	for _, x := range s.open {
		if act == Retirement || r.At.IsZero() && x.Kind != First {
			late = errors.Join(late, d.withdrawn(ctx, &x, s.ev, r.Why))
		}
	}
	return out, late
}

// Transfer moves an officer to another agency: the certificate is revoked
// (affiliationChanged) now or at a time, and the officer enrolled there at once, from the
// link on, so that the agency sees who comes and a certificate can be ready on the day.
// Whoever is cut off asks again.
func (d *Desk) Transfer(ctx context.Context, a Actor, r StatusOrder, agency string) (StatusOutcome, error) {
	r.Reason = "affiliationChanged"
	s, err := d.within(ctx, a, Transferring, &r)
	if err != nil {
		return StatusOutcome{}, err
	}
	s.ev.Detail["to"] = agency
	e, _, err := d.lastOf(ctx, a, Transferring, r.IC, r.System)
	if err != nil {
		return StatusOutcome{}, err
	}
	known, err := d.register(ctx)
	if err != nil {
		return StatusOutcome{}, err
	}
	no := d.judgeOrder(&a, &r)
	_, registered := known.agencies[agency]
	switch {
	case no != nil:
	case !registered:
		no = entered("agency_unknown", "agency", "agensi tidak berdaftar", "the agency is not registered")
	case agency == e.Agency:
		no = entered("agency_same", "agency", "pegawai ini sudah di agensi itu", "the officer is with that agency")
	case len(s.open) > 0:
		no = refusal("application_open", ErrState)
	default:
		no = known.address(e.Email, agency)
	}
	if no != nil {
		return StatusOutcome{}, d.refuse(ctx, s.ev, no)
	}
	out, late, err := d.revoke(ctx, a, s, &r)
	if err != nil {
		return StatusOutcome{}, err
	}
	ev := s.ev
	ev.Object, out.Enrolment = e.ID, e.ID
	row := Row{Officer: Officer{IC: e.IC, Name: e.Name, Email: e.Email}, Agency: agency, System: e.System, Phase: e.Phase, Ticket: e.Ticket, Medium: RoamingOTP}
	follows := ""
	if len(s.held) > 0 {
		follows = s.held[0].Serial
	}
	err = d.Records.AddEntries(ctx, []Entry{{Row: row, ID: e.ID, By: a.Name, Origin: "TRANSFER", Follows: follows, State: Confirming, At: d.Now(), Due: d.Now(), Event: ev}})
	if errors.Is(err, ErrExists) {
		err = d.refuse(ctx, ev, refusal("application_open", ErrState))
	}
	return out, errors.Join(err, late)
}

// Suspend puts an officer's certificate for a system on hold (certificateHold): it signs
// nothing until it is released. An officer may suspend the own one, and not release it.
func (d *Desk) Suspend(ctx context.Context, a Actor, r StatusOrder) (StatusOutcome, error) {
	return d.hold(ctx, a, Suspension, "ACTIVE", r, d.CA.Suspend)
}

// Release ends a suspension; one that JDN ordered JDN ends.
func (d *Desk) Release(ctx context.Context, a Actor, r StatusOrder) (StatusOutcome, error) {
	return d.hold(ctx, a, Releasing, "SUSPENDED", r, d.CA.Release)
}

func (d *Desk) hold(ctx context.Context, a Actor, act Action, from string, r StatusOrder, do func(ctx context.Context, actor, serial, why string) error) (StatusOutcome, error) {
	r.Reason = "certificateHold"
	s, err := d.within(ctx, a, act, &r)
	if err != nil {
		return StatusOutcome{}, err
	}
	some := len(s.held) > 0
	s.held = slices.DeleteFunc(s.held, func(h Held) bool { return h.Status != from })
	no := reasonGiven(&r.Why, auditReason)
	switch {
	case no != nil:
	case !some:
		no = refusal("no_certificate", ErrState)
	case len(s.held) == 0 && act == Suspension:
		no = refusal("already_suspended", ErrState)
	case len(s.held) == 0:
		no = refusal("not_suspended", ErrState)
	}
	if no != nil {
		return StatusOutcome{}, d.refuse(ctx, s.ev, no)
	}
	for _, h := range s.held {
		if act == Releasing {
			if err := d.theirs(ctx, s.ev, r.IC, h.Serial, Releasing); err != nil {
				return StatusOutcome{}, err
			}
		}
	}
	out, err := d.ordered(ctx, s, &r)
	if err != nil {
		return out, err
	}
	var late error
	for _, h := range s.held {
		switch err := do(ctx, a.Name, h.Serial, r.Why); {
		case errors.Is(err, ca.ErrNotPublished):
			late = errors.Join(late, err)
		case errors.Is(err, ca.ErrSuspended), errors.Is(err, ca.ErrActive), errors.Is(err, ca.ErrRevoked):
			return StatusOutcome{}, d.refuse(ctx, s.ev, refusal("enrolment_changed", ErrState))
		case err != nil:
			return StatusOutcome{}, fmt.Errorf("changing the status of certificate %s: %w", h.Serial, err)
		}
	}
	if act == Releasing {
		for _, h := range s.held {
			late = errors.Join(late, d.answered(ctx, r.IC, h.System, s.ev))
		}
	}
	return out, late
}

// Scheduled lists revocations to come, the next ones first: for a system or an agency, and
// all for who may see all.
func (d *Desk) Scheduled(ctx context.Context, a Actor, f ScheduledFilter) ([]ScheduledRevocation, error) {
	if f.Limit <= 0 {
		f.Limit = 100
	}
	f.Limit, f.Serial = min(f.Limit, 1000), ""
	ev, err := d.decide(ctx, a, Read, object{name: "revocations", system: f.System, agency: f.Agency, detail: map[string]string{"system": f.System, "agency": f.Agency}})
	if err != nil {
		return nil, err
	}
	list, err := d.Records.Upcoming(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("reading revocations to come: %w", err)
	}
	ev.Detail["found"] = fmt.Sprint(len(list))
	return list, d.Records.Audit(ctx, ev)
}

// Unschedule has a certificate, by its decimal serial number, not revoked that was going
// to be; what JDN ordered JDN takes back. What a retirement withdrew stays withdrawn, and a transfer's enrolment open.
func (d *Desk) Unschedule(ctx context.Context, a Actor, serial, why string) error {
	list, err := d.Records.Upcoming(ctx, ScheduledFilter{Serial: serial, Limit: 1})
	if err != nil {
		return fmt.Errorf("reading revocations to come: %w", err)
	}
	o := object{name: "certificate:" + serial}
	if len(list) > 0 {
		l := &list[0]
		o.officer, o.system, o.agency, o.detail = l.IC, l.System, l.Agency, map[string]string{"officer": l.IC, "system": l.System, "serial": serial}
	}
	ev, err := d.decide(ctx, a, Unscheduling, o)
	if err != nil {
		return err
	}
	no := reasonGiven(&why, auditReason)
	if len(list) == 0 {
		no = refusal("not_scheduled", ErrUnknown)
	}
	if no != nil {
		return d.refuse(ctx, ev, no)
	}
	if err := d.theirs(ctx, ev, o.officer, serial, Unscheduling); err != nil {
		return err
	}
	ev.Detail["why"] = why
	if err := d.Records.PutOrder(ctx, Order{Serials: []string{serial}, Why: why}, ev); err != nil {
		return fmt.Errorf("recording the order: %w", err)
	}
	err = d.CA.Unschedule(ctx, a.Name, serial)
	if errors.Is(err, ca.ErrUnknown) {
		return d.refuse(ctx, ev, refusal("not_scheduled", ErrUnknown))
	}
	return err
}

// theirs refuses to take back what was ordered from higher up than the ground of ev.
func (d *Desk) theirs(ctx context.Context, ev audit.Event, ic, serial string, undo Action) error {
	if by := ev.Detail["by"]; by == string(JDN) || by == "machine" {
		return nil
	}
	higher, err := d.Records.Central(ctx, ic, serial, undo)
	if err != nil {
		return fmt.Errorf("reading who ordered: %w", err)
	}
	if higher {
		return d.refuse(ctx, ev, refusal("forbidden", ErrForbidden))
	}
	return nil
}

// scope is what an order is about, as far as it is the actor's.
type scope struct {
	held    []Held      // active and suspended
	open    []Enrolment // under way
	ev      audit.Event
	request string // that the order answers; "": none
}

// within decides about an order and finds what it is about. A system is within scope by the
// enrolment that is under way, or the newest that led to a certificate: whoever administers
// an agency that the officer has left does so no more. One that the officer took no part in
// yet, as a transfer to come, can be ended, and gives no power over the certificates there are.
func (d *Desk) within(ctx context.Context, a Actor, act Action, r *StatusOrder) (s scope, err error) {
	all, err := d.Records.EnrolmentsOf(ctx, r.IC)
	if err != nil {
		return s, fmt.Errorf("reading enrolments: %w", err)
	}
	_, media, err := d.Registrar.Records.Officer(ctx, r.IC)
	unknown := errors.Is(err, ErrUnknown)
	if err != nil && !unknown {
		return s, fmt.Errorf("reading officer: %w", err)
	}
	o := object{name: "officer:" + r.IC, officer: r.IC, detail: map[string]string{"officer": r.IC, "system": r.System, "reason": r.Reason, "why": r.Why}}
	if !r.At.IsZero() {
		o.detail["at"] = r.At.UTC().Format(time.RFC3339)
	}
	systems, chosen := map[string]bool{}, o
	try := func(system, agency string) bool {
		scoped := o
		scoped.system, scoped.agency = system, agency
		by, _ := d.judge(&a, rules()[act], &scoped)
		if by == "" || r.System != "" && r.System != system {
			return false
		}
		chosen = scoped
		return true
	}
	seen := map[string]bool{}
	for _, e := range slices.Backward(all) {
		if e.State.Open() && try(e.System, e.Agency) {
			s.open = append(s.open, e)
			systems[e.System] = systems[e.System] || took(&e, all)
		}
		if e.State == Issued && !seen[e.System] {
			seen[e.System] = true
			systems[e.System] = try(e.System, e.Agency) || systems[e.System]
		}
	}
	for _, m := range media {
		if m.Credential != "" && !seen[m.System] {
			systems[m.System] = try(m.System, "") || systems[m.System]
		}
	}
	if s.ev, err = d.decide(ctx, a, act, chosen); err != nil {
		return s, err
	}
	if unknown {
		return s, d.refuse(ctx, s.ev, refusal("not_registered", ErrUnknown))
	}
	for system, theirs := range systems {
		if !theirs {
			continue
		}
		held, err := d.Records.Held(ctx, r.IC, system)
		if err != nil {
			return s, fmt.Errorf("reading credentials: %w", err)
		}
		for k := range held {
			held[k].System = system
		}
		s.held = append(s.held, slices.DeleteFunc(held, func(h Held) bool { return h.Status == "REVOKED" })...)
	}
	return s, nil
}

// judgeOrder refuses a revocation without a proper why, for a reason that is not theirs to
// give, or in the past.
func (d *Desk) judgeOrder(a *Actor, r *StatusOrder) *Refusal {
	allowed := []string{"unspecified", "keyCompromise", "affiliationChanged", "superseded", "cessationOfOperation"}
	if a.IC != r.IC {
		allowed = append(allowed, "privilegeWithdrawn")
	}
	if no := reasonGiven(&r.Why, auditReason); no != nil {
		return no
	}
	if !slices.Contains(allowed, r.Reason) {
		list := strings.Join(allowed, ", ")
		return entered("revocation_reason", "reason", "sebab mestilah salah satu daripada "+list, "the reason must be one of "+list)
	}
	if !r.At.IsZero() && !r.At.After(d.Now()) {
		return entered("date_invalid", "at", "masa itu sudah berlalu", "that time has passed")
	}
	return nil
}

// ordered keeps the order, before anything is done.
func (d *Desk) ordered(ctx context.Context, s scope, r *StatusOrder) (StatusOutcome, error) {
	out := StatusOutcome{Serials: []string{}, At: r.At}
	for _, h := range s.held {
		out.Serials = append(out.Serials, h.Serial)
		out.LocalOnly = out.LocalOnly || r.Reason == "certificateHold" && ca.IsExternal(h.Issuer)
	}
	s.ev.Detail["why"], s.ev.Detail["serials"] = r.Why, strings.Join(out.Serials, " ")
	err := d.Records.PutOrder(ctx, Order{Serials: out.Serials, Reason: ca.ReasonCode(r.Reason), Why: r.Why, At: r.At, Request: s.request}, s.ev)
	if err != nil {
		return StatusOutcome{}, fmt.Errorf("recording the order: %w", err)
	}
	return out, nil
}

// revoke does an order. late is why the world is not told yet.
func (d *Desk) revoke(ctx context.Context, a Actor, s scope, r *StatusOrder) (out StatusOutcome, late, err error) {
	for _, h := range s.held {
		if !h.EndsAt.IsZero() && r.At.After(h.EndsAt) { // to put it off is to take it back
			if err := d.theirs(ctx, s.ev, r.IC, h.Serial, Unscheduling); err != nil {
				return out, nil, err
			}
		}
	}
	if out, err = d.ordered(ctx, s, r); err != nil {
		return out, nil, err
	}
	for _, h := range s.held {
		if r.At.IsZero() {
			err = d.CA.Revoke(ctx, a.Name, h.Serial, ca.ReasonCode(r.Reason))
		} else {
			// One that ends before is revoked at its end: so it is not renewed.
			at := r.At
			if at.After(h.NotAfter) && h.NotAfter.After(d.Now()) {
				at = h.NotAfter
			}
			err = d.CA.Schedule(ctx, a.Name, h.Serial, ca.ReasonCode(r.Reason), at)
			if errors.Is(err, ca.ErrInvalid) && !h.NotAfter.After(d.Now()) {
				err = nil // it has ended by itself
			}
		}
		switch {
		case errors.Is(err, ca.ErrNotPublished) || errors.Is(err, ca.ErrUnavailable):
			late = errors.Join(late, err) // revoked here; the gateway tells the others
		case err != nil && !errors.Is(err, ca.ErrRevoked):
			return out, late, fmt.Errorf("revoking certificate %s: %w", h.Serial, err)
		}
		if r.At.IsZero() && s.request == "" {
			late = errors.Join(late, d.answered(ctx, r.IC, h.System, s.ev))
		}
	}
	return out, late, nil
}

// withdrawn ends an enrolment that an order made pointless; ev is the order's.
func (d *Desk) withdrawn(ctx context.Context, e *Enrolment, ev audit.Event, why string) error {
	s := steps()[Withdraw]
	if !slices.Contains(s.from, e.State) {
		return nil // approved: what it is to replace is revoked, and it ends by that
	}
	w := audit.Event{At: ev.At, Actor: ev.Actor, Action: string(Withdraw), Object: e.ID, Verdict: audit.Accepted, RequestID: ev.RequestID, Detail: about(e).detail}
	w.Detail["because"], w.Detail["reason"], w.Detail["by"] = ev.Action, why, ev.Detail["by"]
	return d.take(ctx, Change{ID: e.ID, From: e.State, To: s.to, At: d.Now(), Reason: why, Event: w})
}

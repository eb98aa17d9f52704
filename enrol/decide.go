package enrol

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/audit"
)

// Action is what somebody wants; it stands in the audit.
type Action string

// Actions.
const (
	Registry Action = "enrol.registry" // agencies and systems
	Check    Action = "enrol.check"    // judge a list, change nothing
	List     Action = "enrol.list"     // submit officers
	Admit    Action = "enrol.admit"    // add the medium
	Read     Action = "enrol.read"     // look up people
	ReadCopy Action = "enrol.copy"     // look at a MyKad copy
	Resend   Action = "enrol.resend"   // another link or code
	Correct  Action = "enrol.correct"  // the address
	Confirm  Action = "enrol.confirm"  // the address, by its link
	Password Action = "enrol.password" // set by the verification code
	Apply    Action = "enrol.apply"
	Validate Action = "enrol.validate"
	Return   Action = "enrol.return"
	Reject   Action = "enrol.reject"
	Approve  Action = "enrol.approve"
	Withdraw Action = "enrol.withdraw"
	Mail     Action = "enrol.mail"      // by the gateway: a link or code is sent
	Issue    Action = "enrol.issue"     // by the gateway, after approval
	GiveBack Action = "enrol.give-back" // by the gateway: the CA will not certify it any more
	Expire   Action = "enrol.expire"
	Renew    Action = "enrol.renew"         // another certificate, under the PIN
	Forgot   Action = "enrol.rekey"         // the PIN: a code is asked for
	NewKey   Action = "enrol.rekey.apply"   // with that code, under another PIN
	Vouch    Action = "enrol.rekey.confirm" // the agency knows who asks
	Replace  Action = "enrol.replace"       // revoke, and enrol anew
	Remind   Action = "enrol.remind"        // by the gateway: a certificate ends

	// About people who log in.
	Administrators Action = "account.read"  // who is appointed to what
	ResetAccount   Action = "account.reset" // take the proofs; a person's awaits a second
	ConfirmReset   Action = "account.reset.confirm"
	CancelReset    Action = "account.reset.cancel"
	EndOfAccount   Action = "account.end"
)

// Appointing and Ending are the actions of appointing to a role, and of ending that: each
// role has its own.
func Appointing(r Role) Action { return Action("account.appoint." + strings.ToLower(string(r))) }

// Seconding is that of the second person; see Appointing.
func Seconding(r Role) Action { return Action("account.confirm." + strings.ToLower(string(r))) }

// Ending: see Appointing.
func Ending(r Role) Action { return Action("account.appointment.end." + strings.ToLower(string(r))) }

// rule says who may do an action: roles, JDN and AUDITOR for everything, SAP for its
// system, SA and AP for their agency.
type rule struct {
	roles   []Role
	officer bool // the officer, about herself
	// another: whoever decides must be a person other than the officer and, where
	// there is one, the validator: by IC, so across the accounts of one person. Nobody
	// without an IC can be told to be another; an operator of the machine is, where machine
	// is set.
	another bool
	machine bool // the operator of the machine, at its command line
	fresh   bool // a person must have logged in just now, see FreshFor
	gateway bool // the gateway itself, alone
}

// rules is the whole table of who may do what.
func rules() map[Action]rule {
	agency := []Role{SAP, SA, AP}
	helpers := []Role{JDN, SAP, SA, AP}
	m := map[Action]rule{
		Registry:  {roles: []Role{JDN}, machine: true},
		Check:     {roles: []Role{JDN, SAP}, machine: true},
		List:      {roles: []Role{JDN, SAP}, machine: true},
		Admit:     {roles: []Role{JDN}, machine: true},
		Read:      {roles: []Role{JDN, SAP, SA, AP, Auditor}, officer: true, machine: true},
		Reporting: {roles: []Role{JDN, SAP, SA, AP, Auditor}, machine: true},
		ReadCopy:  {roles: helpers, another: true},
		Resend:    {roles: helpers, machine: true},
		Correct:   {roles: helpers, another: true},
		Confirm:   {officer: true},
		Password:  {officer: true},
		Apply:     {officer: true},
		Validate:  {roles: agency, another: true},
		Return:    {roles: helpers, another: true},
		Reject:    {roles: helpers, another: true},
		Approve:   {roles: []Role{JDN}, another: true},
		Withdraw:  {roles: helpers, officer: true},
		Mail:      {gateway: true},
		Issue:     {gateway: true},
		GiveBack:  {gateway: true},
		Expire:    {gateway: true},
		Renew:     {officer: true},
		Forgot:    {officer: true},
		NewKey:    {officer: true},
		Vouch:     {roles: agency, another: true},
		Replace:   {roles: helpers, officer: true},
		Remind:    {gateway: true},

		Administrators: {roles: []Role{JDN, SA, Auditor}, machine: true},
		ResetAccount:   {roles: []Role{JDN}, another: true, machine: true, fresh: true},
		ConfirmReset:   {roles: []Role{JDN}, another: true, fresh: true},
		CancelReset:    {roles: []Role{JDN}, another: true},
		EndOfAccount:   {roles: []Role{JDN}, another: true, machine: true, fresh: true},
	}
	// JDN appoints all but an agency's AP, whom its SA appoints and another SA or JDN
	// confirms; what has to end at once JDN can end.
	for _, r := range []Role{JDN, SAP, SA, AP, Auditor} {
		m[Appointing(r)] = rule{roles: []Role{JDN}, another: true, machine: true, fresh: true}
		m[Seconding(r)], m[Ending(r)] = m[Appointing(r)], m[Appointing(r)]
	}
	m[Appointing(AP)] = rule{roles: []Role{SA}, another: true, machine: true, fresh: true}
	m[Seconding(AP)] = rule{roles: []Role{JDN, SA}, another: true, machine: true, fresh: true}
	near := []Role{JDN, SA, AP}
	m[SeeCodes] = rule{roles: near, machine: true}
	m[UnlockPIN] = rule{roles: near, another: true, machine: true}
	m[OpenDoor] = rule{roles: near, another: true, machine: true}
	m[AskAddress] = rule{roles: near, officer: true}
	m[ConfirmAddress] = rule{officer: true}
	m[VouchAddress] = rule{roles: near, another: true}
	m[CancelAddress] = rule{roles: near, officer: true}
	m[SeeAddress] = rule{roles: near, officer: true, machine: true}
	m[DeleteAccount] = rule{officer: true}
	m[RemoveSystem], m[AddSystem] = m[DeleteAccount], m[DeleteAccount]
	m[ChangePhone], m[SeePhone], m[ResetPassword] = m[DeleteAccount], m[DeleteAccount], m[DeleteAccount]
	m[AskDeletion] = rule{roles: near, another: true}
	m[ConfirmDeletion], m[VouchPassword] = m[AskDeletion], m[AskDeletion]
	m[SeeRequests] = rule{roles: near}
	m[CancelRequest] = m[SeeRequests]
	m[Revocation] = rule{roles: helpers, officer: true, machine: true}
	m[Suspension] = rule{roles: helpers, officer: true, machine: true}
	for _, act := range []Action{Releasing, Unscheduling, Retirement, Transferring} {
		m[act] = rule{roles: helpers, another: true, machine: true}
	}
	m[Ending(AP)] = m[Seconding(AP)]
	m[PlaceHold] = rule{roles: []Role{JDN}, machine: true}
	m[LiftHold] = rule{roles: []Role{JDN}, another: true}
	m[ReadKept] = rule{roles: []Role{JDN, Auditor}, machine: true}
	m[Propose] = rule{roles: []Role{JDN}, another: true}
	m[Dispose] = rule{roles: []Role{JDN}, another: true}
	appRules(m)
	m[SetWebhook], m[DropWebhook] = m[ChangeApp], m[ChangeApp]
	m[TestWebhook], m[Redeliver], m[SeeWebhook] = m[SuspendApp], m[SuspendApp], m[ReadApps]
	m[CancelDisposal] = rule{roles: []Role{JDN}, another: true}
	for _, act := range []Action{SearchAudit, ReadAudit, ExportAudit} {
		m[act] = rule{roles: []Role{JDN, Auditor}}
	}
	m[ExportSubject] = rule{roles: []Role{JDN}, officer: true, machine: true}
	return m
}

// object is what an action is about; what is "" is not known or does not matter.
type object struct {
	name      string // as the audit has it
	officer   string // IC
	system    string
	agency    string
	validator string // IC of who validated, where that must be another person
	detail    map[string]string
}

// about is an enrolment as an object.
func about(e *Enrolment) object {
	return object{name: e.ID, officer: e.IC, system: e.System, agency: e.Agency,
		detail: map[string]string{"officer": e.IC, "system": e.System, "agency": e.Agency, "state": string(e.State), "kind": string(e.Kind), "replaces": e.Replaces}}
}

// itself is the actor of what the gateway does.
func itself() Actor { return Actor{Name: "gateway"} }

// the names of actors who hold no appointment.
func (a *Actor) machine() bool { return a.IC == "" && strings.HasPrefix(a.Name, "cli:") }
func (a *Actor) gateway() bool { return a.IC == "" && a.Name == "gateway" }

// decide is the one place where it is decided who may do what. The verdict stands in
// the audit: a refusal at once, in the chain before the error is returned; an acceptance
// with the change itself, of whose transaction the event returned must be a part. An
// action that changes nothing hands it to Audit.
func (d *Desk) decide(ctx context.Context, a Actor, act Action, o object) (audit.Event, error) {
	return decide(ctx, d.Records, d.Now(), a, act, o)
}

// recorder keeps an event that belongs to no change.
type recorder interface {
	Audit(ctx context.Context, ev audit.Event) error
}

func decide(ctx context.Context, r recorder, now time.Time, a Actor, act Action, o object) (audit.Event, error) {
	ev, no := ground(now, a, act, o)
	if no != nil {
		return ev, refuse(ctx, r, ev, no)
	}
	return ev, nil
}

// ground is decide for who goes on judging: the refusal is still to be recorded.
func ground(now time.Time, a Actor, act Action, o object) (audit.Event, *Refusal) {
	ev := audit.Event{At: now, Actor: a.Name, Action: string(act), Object: o.name, Verdict: audit.Accepted, RequestID: a.Request, Detail: map[string]string{}}
	for k, v := range o.detail {
		if v != "" {
			ev.Detail[k] = v
		}
	}
	by, no := judge(now, &a, rules()[act], &o)
	if by != "" {
		ev.Detail["by"] = by
	}
	return ev, no
}

func (d *Desk) judge(a *Actor, r rule, o *object) (by string, no *Refusal) {
	return judge(d.Now(), a, r, o)
}

// judge gives the ground on which a may act, or why not.
func judge(now time.Time, a *Actor, r rule, o *object) (by string, no *Refusal) {
	switch {
	case r.gateway:
		by = map[bool]string{true: "gateway"}[a.gateway()]
	case r.machine && a.machine():
		by = "machine"
	case r.officer && a.IC != "" && a.IC == o.officer:
		by = "officer"
	default:
		k := slices.IndexFunc(a.Appointments, func(p Appointment) bool {
			return slices.Contains(r.roles, p.Role) && p.covers(o) && p.holds(now)
		})
		if k >= 0 {
			by = string(a.Appointments[k].Role)
		}
	}
	switch {
	case by == "":
		return "", refusal("forbidden", ErrForbidden)
	case r.another && a.IC == "" && by != "machine":
		return by, refusal("forbidden", ErrForbidden)
	case r.another && a.IC != "" && a.IC == o.officer:
		return by, refusal("own_case", ErrForbidden)
	case r.another && o.validator != "" && a.IC == o.validator:
		return by, refusal("same_person", ErrForbidden)
	case r.fresh && by != "machine" && now.Sub(a.LoggedIn) > FreshFor:
		return by, refusal("session_not_fresh", ErrStale)
	}
	return by, nil
}

// holds says whether an appointment is in force.
func (p *Appointment) holds(now time.Time) bool {
	return !p.Awaits && !now.Before(p.From) && (p.Until.IsZero() || now.Before(p.Until))
}

// covers says whether o is within the scope of an appointment.
func (p *Appointment) covers(o *object) bool {
	switch p.Role {
	case JDN, Auditor:
		return true
	case SAP:
		return p.System != "" && p.System == o.system
	case SA, AP:
		return p.Agency != "" && p.Agency == o.agency
	}
	return false
}

// refuse puts a refusal into the audit and returns it. When that cannot be done the
// error says both.
func (d *Desk) refuse(ctx context.Context, ev audit.Event, no *Refusal) error {
	return refuse(ctx, d.Records, ev, no)
}

func refuse(ctx context.Context, r recorder, ev audit.Event, no *Refusal) error {
	ev.Verdict, ev.Detail["code"] = audit.Refused, no.Code
	if no.Field != "" {
		ev.Detail["field"] = no.Field
	}
	if err := r.Audit(ctx, ev); err != nil {
		return errors.Join(no, fmt.Errorf("recording the refusal: %w: %w", audit.ErrNotRecorded, err))
	}
	return no
}

// may is decide for a step of e: also its state must allow it.
func (d *Desk) may(ctx context.Context, a Actor, act Action, e *Enrolment) (audit.Event, State, error) {
	o := about(e)
	if act == Approve {
		o.validator = e.ValidatedIC
	}
	ev, err := d.decide(ctx, a, act, o)
	if err != nil {
		return ev, "", err
	}
	s := steps()[act]
	switch {
	case !slices.Contains(s.from, e.State):
		return ev, "", d.refuse(ctx, ev, wrongState(e.State))
	case !e.Kind.takes(act):
		return ev, "", d.refuse(ctx, ev, refusal("enrolment_kind", ErrState))
	case act == GiveBack && e.Kind != First:
		return ev, Rejected, nil // there is no form to fill in again
	}
	if s.to == "" {
		return ev, e.State, nil
	}
	return ev, s.to, nil
}

// take does a step; one that somebody else was faster with is refused.
func (d *Desk) take(ctx context.Context, c Change) error {
	err := d.Records.Change(ctx, c)
	if errors.Is(err, ErrState) {
		return d.refuse(ctx, c.Event, refusal("enrolment_changed", ErrState))
	}
	if err != nil {
		return fmt.Errorf("storing the step: %w", err)
	}
	return nil
}

package enrol

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mohor-sign/mohor/audit"
)

// Help for officers.
const (
	SeeCodes   Action = "officer.codes"  // what became of the codes sent
	UnlockPIN  Action = "officer.unlock" // the PIN counter, after identity was proved
	OpenDoor   Action = "account.unlock" // failures to log in, after identity was proved
	SeeAddress Action = "officer.address.read"
)

// of is an officer as an object: within the scope of a where one of the officer's
// enrolments is that she took part in, and that is under way or has a certificate. Who
// helped an officer that has left does so no more; a listing alone, which names whatever
// agency it likes, gives power over nobody.
func (d *Desk) of(ctx context.Context, a *Actor, act Action, ic string) (object, error) {
	return d.ofSystem(ctx, a, act, ic, "")
}

// ofSystem is [Desk.of] by enrolments for one system alone; "" for any.
func (d *Desk) ofSystem(ctx context.Context, a *Actor, act Action, ic, system string) (object, error) {
	o := object{name: "officer:" + ic, officer: ic, detail: map[string]string{"officer": ic}}
	all, err := d.Records.EnrolmentsOf(ctx, ic)
	if err != nil {
		return o, fmt.Errorf("reading enrolments: %w", err)
	}
	_, media, err := d.Registrar.Records.Officer(ctx, ic)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return o, fmt.Errorf("reading officer: %w", err)
	}
	within := func(e *Enrolment) object {
		scoped := o
		scoped.system, scoped.agency = e.System, e.Agency
		return scoped
	}
	if e := helps(all, media, func(e *Enrolment) bool {
		scoped := within(e)
		by, _ := d.judge(a, rules()[act], &scoped)
		return by != "" && (system == "" || system == e.System)
	}); e != nil {
		return within(e), nil
	}
	return o, nil
}

// helps finds, of an officer's enrolments, one that gives power over the officer to whom within
// says that it is theirs; nil for none.
func helps(all []Enrolment, media []Medium, within func(*Enrolment) bool) *Enrolment {
	for k := range all {
		e := &all[k]
		// Whose agency changed has a later certificate there.
		if e.State == Issued && slices.ContainsFunc(all[k+1:], func(x Enrolment) bool { return x.State == Issued && x.System == e.System }) {
			continue
		}
		live := slices.ContainsFunc(media, func(m Medium) bool {
			return m.System == e.System && (m.KeyStatus == "ACTIVE" || m.KeyStatus == "SUSPENDED")
		})
		if within(e) && (e.State.Open() && took(e, all) || e.State == Issued && live) {
			return e
		}
	}
	return nil
}

// took says whether the officer took part in an enrolment: confirmed it, or had a
// certificate by the same agency and system before.
func took(e *Enrolment, all []Enrolment) bool {
	return e.State != Listed && e.State != Confirming || slices.ContainsFunc(all, func(x Enrolment) bool {
		return x.State == Issued && x.System == e.System && x.Agency == e.Agency
	})
}

// Permit decides whether a may help an officer. A refusal is in the audit; an acceptance
// is returned as an event that must become part of what is then done, or be recorded.
// Somebody who is not registered is told of to those alone who may see everybody.
func (d *Desk) Permit(ctx context.Context, a Actor, act Action, ic string) (audit.Event, error) {
	o, err := d.of(ctx, &a, act, ic)
	if err != nil {
		return audit.Event{}, err
	}
	ev, err := d.decide(ctx, a, act, o)
	if err != nil {
		return ev, err
	}
	if _, _, err := d.Registrar.Records.Officer(ctx, ic); errors.Is(err, ErrUnknown) {
		return ev, d.refuse(ctx, ev, refusal("not_registered", ErrUnknown))
	} else if err != nil {
		return ev, fmt.Errorf("reading officer: %w", err)
	}
	return ev, nil
}

// SeeCodes is nil when a may see what became of the codes sent to an officer; the audit
// tells that they were looked at.
func (d *Desk) SeeCodes(ctx context.Context, a Actor, ic string) error {
	ev, err := d.Permit(ctx, a, SeeCodes, ic)
	if err != nil {
		return err
	}
	ev.Verdict = audit.Noted
	return d.Records.Audit(ctx, ev)
}

// UnlockPIN clears an officer's PIN counter, lock and block, after her identity was proved:
// reason says how, in 5 to 200 characters. It gives what they were.
func (d *Desk) UnlockPIN(ctx context.Context, a Actor, ic, reason string) (PINCount, error) {
	ev, err := d.Permit(ctx, a, UnlockPIN, ic)
	if err != nil {
		return PINCount{}, err
	}
	if no := reasonGiven(&reason, auditReason); no != nil {
		return PINCount{}, d.refuse(ctx, ev, no)
	}
	ev.Detail["why"] = reason
	was, err := d.PINs.UnlockPIN(ctx, ic, ev)
	if errors.Is(err, ErrUnknown) {
		return was, d.refuse(ctx, ev, refusal("not_registered", ErrUnknown))
	}
	if err != nil {
		return was, fmt.Errorf("unlocking the PIN: %w", err)
	}
	return was, nil
}

// ClearFailures opens the doors of an account again that failed log-ins have closed, the
// strangers' and that of its devices, and asks for a forgotten password, after the person's identity was proved: reason says
// how, in 5 to 200 characters. cleared is false when nothing held the account up. The door
// of an administrator who is no officer is opened by JDN and by the operator of the machine.
func (d *Desk) ClearFailures(ctx context.Context, accounts AccountRecords, a Actor, ic, reason string) (cleared bool, err error) {
	o, err := d.of(ctx, &a, OpenDoor, ic)
	if err != nil {
		return false, err
	}
	ev, err := d.decide(ctx, a, OpenDoor, o)
	if err != nil {
		return false, err
	}
	if no := reasonGiven(&reason, auditReason); no != nil {
		return false, d.refuse(ctx, ev, no)
	}
	ev.Detail["why"] = reason
	doors, _, err := doorsOf(ctx, accounts, ic)
	if err != nil {
		return false, err
	}
	return accounts.ClearFailures(ctx, ev, doors...)
}

// doorsOf are the subjects whose failures hold an account up, and the account (zero: none).
func doorsOf(ctx context.Context, accounts AccountRecords, ic string) (doors []string, acct Account, err error) {
	doors = []string{"ic:" + ic, ForPassword + ":" + ic}
	acct, _, err = accounts.AccountByIC(ctx, ic)
	switch {
	case err == nil:
		doors = append(doors, devicesOf(acct.ID))
	case !errors.Is(err, ErrUnknown):
		return nil, acct, fmt.Errorf("reading account: %w", err)
	}
	return doors, acct, nil
}

// Door is what an officer's log-in is like.
type Door struct {
	State    string    // of the account; "" when there is none
	Until    time.Time // it is held up by failed tries until then; zero: it is not
	Sessions int
}

// Door reads it of somebody within [Desk.Lookup]'s sight: the look is in the audit with that.
func (a *Accounts) Door(ctx context.Context, ic string) (Door, error) {
	doors, acct, err := doorsOf(ctx, a.Records, ic)
	if err != nil {
		return Door{}, err
	}
	out := Door{State: acct.State}
	until, err := a.Records.RefusedUntil(ctx, doors...)
	if err != nil {
		return Door{}, fmt.Errorf("reading failed log-ins: %w", err)
	}
	if a.Now().Before(until) {
		out.Until = until
	}
	if acct.ID == "" {
		return out, nil
	}
	open, err := a.Records.Sessions(ctx, acct.ID, a.Now().Add(-a.Absolute))
	out.Sessions = len(open)
	return out, err
}

// How many characters a reason has at most: one that a decision keeps, and one that the
// audit alone does.
const (
	decisionReason = 500
	auditReason    = 200
)

// reasonGiven trims a reason and refuses one of less than 5 characters, or more than limit.
func reasonGiven(reason *string, limit int) *Refusal {
	if *reason = strings.TrimSpace(*reason); utf8.RuneCountInString(*reason) < 5 || !showable(*reason, limit) {
		return &Refusal{Code: "reason_missing", MS: fmt.Sprintf("beri sebab, 5 hingga %d aksara", limit), EN: fmt.Sprintf("give a reason, 5 to %d characters", limit), is: ErrInput}
	}
	return nil
}

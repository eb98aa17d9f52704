package enrol

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/internal/secret"
)

// ErrLastJDN: nobody would be left who can appoint.
var ErrLastJDN = errors.New("the last central administrator")

func (a *Accounts) decide(ctx context.Context, by Actor, act Action, o object) (audit.Event, error) {
	return decide(ctx, a.Records, a.Now(), by, act, o)
}

// aboutAppointment is an appointment of a person, with the scope that whoever decides
// about it must have.
func aboutAppointment(account, ic string, x *Appointment) object {
	o := object{name: "account:" + account, officer: ic, agency: x.Agency, system: x.System, detail: x.detail()}
	o.detail["ic"], o.detail["appointment"], o.detail["document"] = ic, x.ID, x.Document
	o.detail["from"] = x.From.UTC().Format(time.RFC3339)
	if !x.Until.IsZero() {
		o.detail["until"] = x.Until.UTC().Format(time.RFC3339)
	}
	return o
}

// NoticeAccount goes to a person who was appointed, or whose account was reset or got its
// second factor; see notify.
const NoticeAccount = "account.changed"

// Appoint appoints a person, on a document, from x.From to x.Until (zero: until it is
// ended). Made by a person it awaits another who may: see [Accounts.Confirm]. Whoever has
// an account keeps what it is logged in to with, and sets up the second factor alone
// ([Accounts.BeginSecondFactor]); of an officer or account, name and address must be those
// on record. Whoever has none gets one, with a set-up code that is mailed when the
// appointment is confirmed. code is one to hand over, where the machine appoints such a
// person; it is empty otherwise. A *Refusal, or ErrInvalid.
func (a *Accounts) Appoint(ctx context.Context, by Actor, o Officer, x Appointment) (out Appointed, code secret.Text, err error) {
	if err := errors.Join(checkPerson(o), x.check()); err != nil {
		return out, code, err
	}
	acct, _, err := a.Records.AccountByIC(ctx, o.IC)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return out, code, err
	}
	x.ID, x.By, x.ByIC, x.Awaits = ident.New("ap", 16), by.Name, by.IC, by.IC != ""
	ev, err := a.decide(ctx, by, Appointing(x.Role), aboutAppointment(acct.ID, o.IC, &x))
	if err != nil {
		return out, code, err
	}
	no, err := a.judgeAppointment(ctx, &x)
	if err == nil && no == nil {
		no, err = a.otherwise(ctx, o, &acct)
	}
	if err != nil || no != nil {
		if no != nil {
			err = refuse(ctx, a.Records, ev, no)
		}
		return out, code, err
	}
	acct, code, err = a.put(ctx, o, acct, x, ev)
	if errors.Is(err, ErrExists) {
		return out, secret.Text{}, refuse(ctx, a.Records, ev, refusal("already_appointed", ErrExists))
	}
	acct.Appointments = nil
	return Appointed{Account: acct, Appointment: x}, code, err
}

// otherwise refuses a name or address that is not the one on record. Nobody's record is an
// account that nobody has set up and that no appointment is left of.
func (a *Accounts) otherwise(ctx context.Context, o Officer, acct *Account) (*Refusal, error) {
	is, _, err := a.Records.Officer(ctx, o.IC)
	if errors.Is(err, ErrUnknown) {
		if acct.ID == "" || acct.State == AccountEnded || acct.State == AccountNew && !acct.Lasting(a.Now()) {
			return nil, nil
		}
		is, err = Officer{Name: acct.Name, Email: acct.Email}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading officer: %w", err)
	}
	if o.Name != is.Name || !strings.EqualFold(o.Email, is.Email) {
		return refusal("person_conflict", ErrState), nil
	}
	return nil, nil
}

// put stores an appointment of o, whose account acct is, if there is one.
func (a *Accounts) put(ctx context.Context, o Officer, acct Account, x Appointment, ev audit.Event) (Account, secret.Text, error) {
	unset := acct.State == AccountNew && acct.Kind == OfficerAccount // proposed by a person, awaiting another
	if acct.ID != "" && acct.State != AccountEnded && (!unset || x.Awaits) {
		of := acct
		of.Name, of.Email = o.Name, o.Email
		return acct, secret.Text{}, a.Records.PutAppointment(ctx, of, x, ev)
	}
	made := NewAccount(o, a.Now())
	made.State, made.Appointments = AccountNew, []Appointment{x}
	if ev.Object = "account:" + made.ID; acct.ID != "" {
		ev.Object = "account:" + acct.ID
	}
	var code secret.Text
	var err error
	if x.Awaits {
		ev.Detail["awaits"] = "confirmation"
		err = a.Records.PutProposed(ctx, made, ev)
	} else {
		var hash [32]byte
		made.Kind = AdministratorAccount
		code, hash = newSetup()
		ev.Detail["setup"] = "true"
		err = a.Records.PutAdministrator(ctx, made, hash, a.Now().Add(SetupFor), ev)
	}
	if err != nil {
		return Account{}, secret.Text{}, err
	}
	acct, _, err = a.Records.AccountByIC(ctx, o.IC)
	return acct, code, err
}

// CreateAdministrator is Appoint for the operator of a machine on which nobody can log in
// yet: without a document, and of agencies and systems that are not registered yet, too.
// ErrInvalid; ErrExists when an administrator has the IC; ErrForbidden for a person.
func (a *Accounts) CreateAdministrator(ctx context.Context, by Actor, o Officer, x Appointment) (Account, secret.Text, error) {
	if err := errors.Join(checkPerson(o), x.check()); err != nil {
		return Account{}, secret.Text{}, err
	}
	acct, _, err := a.Records.AccountByIC(ctx, o.IC)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return Account{}, secret.Text{}, err
	}
	x.ID, x.By = ident.New("ap", 16), by.Name
	ev, err := a.decide(ctx, by, Appointing(x.Role), aboutAppointment(acct.ID, o.IC, &x))
	if err != nil {
		return Account{}, secret.Text{}, err
	}
	no := refusal("document_missing", ErrForbidden)
	if by.machine() {
		no, err = a.otherwise(ctx, o, &acct)
	}
	switch {
	case err != nil:
		return Account{}, secret.Text{}, err
	case by.machine() && acct.Kind == AdministratorAccount && acct.State != AccountEnded:
		return Account{}, secret.Text{}, ErrExists
	case no != nil:
		return Account{}, secret.Text{}, refuse(ctx, a.Records, ev, no)
	}
	return a.put(ctx, o, acct, x, ev)
}

// judgeAppointment refuses one without a document, of an agency or system that is not
// registered, that ends in the past, or that a person dates back by more than a day.
func (a *Accounts) judgeAppointment(ctx context.Context, x *Appointment) (*Refusal, error) {
	if !showable(x.Document, 120) || len(strings.TrimSpace(x.Document)) < 3 {
		return refusal("document_missing", ErrInput), nil
	}
	if !x.Until.IsZero() && !x.Until.After(a.Now()) {
		return entered("date_invalid", "until", "tarikh tamat sudah berlalu", "the end has passed"), nil
	}
	if x.Awaits && x.From.Before(a.Now().Add(-24*time.Hour)) {
		return entered("date_invalid", "from", "tarikh mula sudah berlalu", "the beginning has passed"), nil
	}
	r, err := readRegister(ctx, a.Records, a.Now())
	if err != nil {
		return nil, err
	}
	if _, ok := r.agencies[x.Agency]; x.Agency != "" && !ok {
		return entered("agency_unknown", "agency", "agensi tidak berdaftar", "the agency is not registered"), nil
	}
	if _, ok := r.systems[x.System]; x.System != "" && !ok {
		return entered("system_unknown", "system", "sistem tidak berdaftar", "the system is not registered"), nil
	}
	return nil, nil
}

// Confirm puts an appointment into force that awaits a second person: neither who proposed
// it, nor who is appointed, nor anybody whom one of these appointed or was appointed by.
func (a *Accounts) Confirm(ctx context.Context, by Actor, id string) error {
	acct, x, ev, err := a.appointment(ctx, by, Seconding, id)
	if err != nil {
		return err
	}
	if !x.Awaits {
		return refuse(ctx, a.Records, ev, refusal("enrolment_changed", ErrState))
	}
	if err := oneHand(ctx, a.Records, ev, &by, x.By, "account:"+acct.ID); err != nil {
		return err
	}
	// Who is appointed must be who was proposed.
	no, err := a.otherwise(ctx, Officer{IC: acct.IC, Name: acct.Name, Email: acct.Email}, &acct)
	if err != nil {
		return err
	}
	if no != nil {
		return refuse(ctx, a.Records, ev, no)
	}
	err = a.Records.ConfirmAppointment(ctx, id, ev)
	if errors.Is(err, ErrUnknown) {
		err = refuse(ctx, a.Records, ev, refusal("enrolment_changed", ErrState))
	}
	return err
}

// appointment finds one and decides about it. One that is not there and one that is not
// theirs to touch are alike for who may touch none.
func (a *Accounts) appointment(ctx context.Context, by Actor, acting func(Role) Action, id string) (acct Account, x Appointment, ev audit.Event, err error) {
	acct, x, err = a.Records.Appointment(ctx, id)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return acct, x, ev, fmt.Errorf("reading appointment: %w", err)
	}
	unknown := err != nil
	o, act := object{name: id}, EndOfAccount
	if !unknown {
		o, act = aboutAppointment(acct.ID, acct.IC, &x), acting(x.Role)
	}
	if ev, err = a.decide(ctx, by, act, o); err == nil && unknown {
		err = refuse(ctx, a.Records, ev, refusal("not_registered", ErrUnknown))
	}
	return acct, x, ev, err
}

// EndAppointment ends one at a time (zero: now), on a document; at that time the sessions
// of the account end, as they do now. A *Refusal: last_jdn, and those of Appoint.
func (a *Accounts) EndAppointment(ctx context.Context, by Actor, id string, until time.Time, document string) error {
	_, x, ev, err := a.appointment(ctx, by, Ending, id)
	if err != nil {
		return err
	}
	now := a.Now()
	if until.IsZero() {
		until = now
	}
	x.Until, x.EndDocument, x.EndedBy = until, document, by.Name
	ev.Detail["until"], ev.Detail["document"] = until.UTC().Format(time.RFC3339), document
	switch {
	case !showable(document, 120) || len(strings.TrimSpace(document)) < 3:
		return refuse(ctx, a.Records, ev, refusal("document_missing", ErrInput))
	case until.Before(now):
		return refuse(ctx, a.Records, ev, entered("date_invalid", "until", "tarikh tamat sudah berlalu", "the end has passed"))
	}
	return a.ended(ctx, ev, a.Records.EndAppointment(ctx, x, ev))
}

// EndAccount ends an administrator's account with all that belongs to it.
func (a *Accounts) EndAccount(ctx context.Context, by Actor, id string) error {
	ev, err := a.aboutAccount(ctx, by, EndOfAccount, id)
	if err != nil {
		return err
	}
	return a.ended(ctx, ev, a.Records.EndAccount(ctx, id, ev))
}

// ended says why something did not end.
func (a *Accounts) ended(ctx context.Context, ev audit.Event, err error) error {
	switch {
	case errors.Is(err, ErrLastJDN):
		return refuse(ctx, a.Records, ev, refusal("last_jdn", ErrLastJDN))
	case errors.Is(err, ErrUnknown):
		return refuse(ctx, a.Records, ev, refusal("not_registered", ErrUnknown))
	}
	return err
}

func (a *Accounts) aboutAccount(ctx context.Context, by Actor, act Action, id string) (audit.Event, error) {
	acct, _, err := a.Records.Account(ctx, id)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return audit.Event{}, fmt.Errorf("reading account: %w", err)
	}
	return a.decide(ctx, by, act, object{name: "account:" + id, officer: acct.IC, detail: map[string]string{"ic": acct.IC}})
}

// ResetAdministrator is both at once for the operator of the machine, who gets the set-up
// code to hand it over; ErrForbidden for a person. ic is for an account that has none yet.
func (a *Accounts) ResetAdministrator(ctx context.Context, by Actor, id, ic string) (secret.Text, error) {
	if ic != "" {
		if err := checkPerson(Officer{IC: ic, Name: "-", Email: "a@b"}); err != nil {
			return secret.Text{}, err
		}
	}
	ev, err := a.aboutAccount(ctx, by, ResetAccount, id)
	if err == nil && !by.machine() {
		err = refuse(ctx, a.Records, ev, refusal("forbidden", ErrForbidden))
	}
	if err != nil {
		return secret.Text{}, err
	}
	code, hash := newSetup()
	if err := a.Records.ResetAdministrator(ctx, id, ic, hash, a.Now().Add(SetupFor), ev); err != nil {
		return secret.Text{}, err
	}
	return code, nil
}

// SendSetup has another set-up code mailed to somebody whose appointment was confirmed and
// who has not set the account up; whoever may confirm it may, and not who proposed it. A
// *Refusal: resend_too_soon, same_person.
func (a *Accounts) SendSetup(ctx context.Context, by Actor, id string) error {
	acct, x, ev, err := a.appointment(ctx, by, Seconding, id)
	if err != nil {
		return err
	}
	ev.Action = string(SendCode)
	if err := oneHand(ctx, a.Records, ev, &by, x.By, "account:"+acct.ID); err != nil {
		return err
	}
	err = ErrState
	if !x.Awaits {
		err = a.Records.AskSetup(ctx, acct.ID, a.Now(), a.Now().Add(-setupPause), ev)
	}
	switch {
	case errors.Is(err, ErrState):
		return refuse(ctx, a.Records, ev, refusal("setup_done", ErrState))
	case errors.Is(err, ErrThrottled):
		no := refusal("resend_too_soon", ErrThrottled)
		no.After = setupPause
		return refuse(ctx, a.Records, ev, no)
	}
	return err
}

// SendCode stands in the audit for SendSetup.
const SendCode Action = "account.setup.send"

// setupPause is the time between two set-up codes.
const setupPause = 5 * time.Minute

// ResetFor is how long a reset awaits the second person.
const ResetFor = 7 * 24 * time.Hour

// AskReset begins to take password, TOTP and passkeys from an administrator who has lost
// them; why, 5 to 200 characters, says how that is known. Another administrator confirms.
func (a *Accounts) AskReset(ctx context.Context, by Actor, id, why string) error {
	ev, err := a.aboutAccount(ctx, by, ResetAccount, id)
	if err != nil {
		return err
	}
	if no := reasonGiven(&why, auditReason); no != nil {
		return refuse(ctx, a.Records, ev, no)
	}
	ev.Detail["why"], ev.Detail["awaits"] = why, "confirmation"
	return a.ended(ctx, ev, a.Records.AskReset(ctx, id, why, ev))
}

// ConfirmReset takes them, as somebody else asked: the sessions end, and a set-up code is
// mailed to the account's own address.
func (a *Accounts) ConfirmReset(ctx context.Context, by Actor, id string) error {
	ev, err := a.aboutAccount(ctx, by, ConfirmReset, id)
	if err != nil {
		return err
	}
	asked, at, err := a.Records.ResetAsked(ctx, id)
	if errors.Is(err, ErrUnknown) || err == nil && a.Now().After(at.Add(ResetFor)) {
		return refuse(ctx, a.Records, ev, refusal("enrolment_changed", ErrState))
	}
	if err != nil {
		return fmt.Errorf("reading reset: %w", err)
	}
	if err := oneHand(ctx, a.Records, ev, &by, asked); err != nil {
		return err
	}
	ev.Detail["asked_by"] = asked
	return a.ended(ctx, ev, a.Records.ConfirmReset(ctx, id, asked, ev))
}

// WithoutAP lists the agencies that have no AP in force who can log in: their officers
// have nobody to help them.
func (a *Accounts) WithoutAP(ctx context.Context, by Actor) ([]Agency, error) {
	ev, err := a.decide(ctx, by, Administrators, object{name: "agencies without AP"})
	if err != nil {
		return nil, err
	}
	agencies, err := a.Records.Agencies(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading agencies: %w", err)
	}
	list, err := a.Records.Administrators(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading administrators: %w", err)
	}
	has := map[string]bool{}
	for _, acct := range list {
		for _, x := range acct.InForce(a.Now()) {
			if x.Role == AP && acct.State == AccountActive && acct.Kind == AdministratorAccount {
				has[x.Agency] = true
			}
		}
	}
	out := slices.DeleteFunc(agencies, func(g Agency) bool { return has[g.Code] })
	slices.SortFunc(out, func(x, y Agency) int { return cmp.Compare(x.Code, y.Code) })
	ev.Detail["found"] = fmt.Sprint(len(out))
	return out, a.Records.Audit(ctx, ev)
}

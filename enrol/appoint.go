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

// Appointed is an appointment with its person.
type Appointed struct {
	Account     Account // without its appointments
	Appointment Appointment
}

// Appoint appoints a person, on a document, from x.From to x.Until (zero: until it is
// ended). Somebody who is no administrator yet becomes one, and code is what that person
// alone sets the account up with; it is empty otherwise. An appointment to JDN or
// AUDITOR by a person awaits the confirmation of a second JDN. A *Refusal, or ErrInvalid.
func (a *Accounts) Appoint(ctx context.Context, by Actor, o Officer, x Appointment) (out Appointed, code secret.Text, err error) {
	if err := errors.Join(CheckPerson(o), x.check()); err != nil {
		return out, code, err
	}
	acct, _, err := a.Records.AccountByIC(ctx, o.IC)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return out, code, err
	}
	fresh := acct.Kind != AdministratorAccount || acct.State == AccountEnded
	if acct.ID == "" {
		acct = NewAccount(o, a.Now())
	}
	x.ID, x.By, x.ByIC = ident.New("ap", 16), by.Name, by.IC
	x.Awaits = by.IC != "" && (x.Role == JDN || x.Role == Auditor)
	ev, err := a.decide(ctx, by, Appointing(x.Role), aboutAppointment(acct.ID, o.IC, &x))
	if err != nil {
		return out, code, err
	}
	if x.Awaits {
		ev.Detail["awaits"] = "confirmation"
	}
	if no, err := a.judgeAppointment(ctx, &x); err != nil || no != nil {
		if no != nil {
			err = refuse(ctx, a.Records, ev, no)
		}
		return out, code, err
	}
	if fresh {
		acct, code, err = a.admit(ctx, o, x, ev)
	} else {
		err = a.Records.PutAppointment(ctx, acct.ID, x, ev)
	}
	if errors.Is(err, ErrExists) {
		return out, secret.Text{}, refuse(ctx, a.Records, ev, refusal("already_appointed", ErrExists))
	}
	acct.Appointments = nil
	return Appointed{acct, x}, code, err
}

// admit makes a person an administrator.
func (a *Accounts) admit(ctx context.Context, o Officer, x Appointment, ev audit.Event) (Account, secret.Text, error) {
	acct := NewAccount(o, a.Now())
	acct.Kind, acct.State, acct.Appointments = AdministratorAccount, AccountNew, []Appointment{x}
	ev.Object = "account:" + acct.ID
	code, hash := newSetup()
	ev.Detail["setup"] = "true"
	if err := a.Records.PutAdministrator(ctx, acct, hash, a.Now().Add(SetupFor), ev); err != nil {
		return Account{}, secret.Text{}, err
	}
	acct, _, err := a.Records.AccountByIC(ctx, o.IC)
	return acct, code, err
}

// CreateAdministrator is Appoint for the operator of a machine on which nobody can log in
// yet: without a document, and of agencies and systems that are not registered yet, too.
// ErrInvalid; ErrExists when an administrator has the IC; ErrForbidden for a person.
func (a *Accounts) CreateAdministrator(ctx context.Context, by Actor, o Officer, x Appointment) (Account, secret.Text, error) {
	if err := errors.Join(CheckPerson(o), x.check()); err != nil {
		return Account{}, secret.Text{}, err
	}
	x.ID, x.By = ident.New("ap", 16), by.Name
	ev, err := a.decide(ctx, by, Appointing(x.Role), aboutAppointment("", o.IC, &x))
	if err == nil && !by.machine() {
		err = refuse(ctx, a.Records, ev, refusal("document_missing", ErrForbidden))
	}
	if err != nil {
		return Account{}, secret.Text{}, err
	}
	return a.admit(ctx, o, x, ev)
}

// judgeAppointment refuses one without a document, of an agency or system that is not
// registered, or that begins or ends in the past.
func (a *Accounts) judgeAppointment(ctx context.Context, x *Appointment) (*Refusal, error) {
	if !showable(x.Document, 120) || len(strings.TrimSpace(x.Document)) < 3 {
		return refusal("document_missing", ErrInput), nil
	}
	if !x.Until.IsZero() && !x.Until.After(a.Now()) {
		return entered("date_invalid", "until", "tarikh tamat sudah berlalu", "the end has passed"), nil
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

// Confirm puts an appointment into force that awaits a second central administrator:
// neither who proposed it nor who is appointed.
func (a *Accounts) Confirm(ctx context.Context, by Actor, id string) error {
	_, x, ev, err := a.appointment(ctx, by, ConfirmAppointment, id)
	if err != nil {
		return err
	}
	if !x.Awaits {
		return refuse(ctx, a.Records, ev, refusal("enrolment_changed", ErrState))
	}
	err = a.Records.ConfirmAppointment(ctx, id, ev)
	if errors.Is(err, ErrUnknown) {
		err = refuse(ctx, a.Records, ev, refusal("enrolment_changed", ErrState))
	}
	return err
}

// appointment finds one and decides about it; act "" is to end it. One that is not there
// and one that is not theirs to touch are alike for who may touch none.
func (a *Accounts) appointment(ctx context.Context, by Actor, act Action, id string) (acct Account, x Appointment, ev audit.Event, err error) {
	acct, x, err = a.Records.Appointment(ctx, id)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return acct, x, ev, fmt.Errorf("reading appointment: %w", err)
	}
	unknown := err != nil
	o := object{name: id}
	if !unknown {
		o = aboutAppointment(acct.ID, acct.IC, &x)
	}
	switch {
	case act == ConfirmAppointment:
		o.validator = x.ByIC
	case unknown:
		act = EndOfAccount
	default:
		act = Ending(x.Role)
	}
	if ev, err = a.decide(ctx, by, act, o); err == nil && unknown {
		err = refuse(ctx, a.Records, ev, refusal("not_registered", ErrUnknown))
	}
	return acct, x, ev, err
}

// EndAppointment ends one at a time, on a document; at that time the sessions of the
// account end, as they do now. A *Refusal: last_jdn, and those of Appoint.
func (a *Accounts) EndAppointment(ctx context.Context, by Actor, id string, until time.Time, document string) error {
	_, x, ev, err := a.appointment(ctx, by, "", id)
	if err != nil {
		return err
	}
	now := a.Now()
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

// ResetAdministrator takes password, TOTP and passkeys from an administrator, closes the
// sessions, and returns a new set-up code. ic is for an account that has none yet.
func (a *Accounts) ResetAdministrator(ctx context.Context, by Actor, id, ic string) (secret.Text, error) {
	if ic != "" {
		if err := CheckPerson(Officer{IC: ic, Name: "-", Email: "a@b"}); err != nil {
			return secret.Text{}, err
		}
	}
	ev, err := a.aboutAccount(ctx, by, ResetAccount, id)
	if err != nil {
		return secret.Text{}, err
	}
	code, hash := newSetup()
	if err := a.Records.ResetAdministrator(ctx, id, ic, hash, a.Now().Add(SetupFor), ev); err != nil {
		return secret.Text{}, err
	}
	return code, nil
}

// Appointments lists who is appointed, those whom by may see: JDN and AUDITOR all, an SA
// those of the agency. ended: those that have ended, too.
func (a *Accounts) Appointments(ctx context.Context, by Actor, ended bool) ([]Appointed, error) {
	list, err := a.Records.Administrators(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading administrators: %w", err)
	}
	o, now := object{name: "appointments"}, a.Now()
	var out []Appointed
	for _, acct := range list {
		for _, x := range acct.Appointments {
			scoped := object{agency: x.Agency, system: x.System}
			if _, no := judge(now, &by, rules()[Administrators], &scoped); no == nil && (ended || x.Until.IsZero() || now.Before(x.Until)) {
				person := acct
				person.Appointments = nil
				out = append(out, Appointed{person, x})
			}
		}
	}
	// Who administers an agency may ask, also when it has nobody else.
	if k := slices.IndexFunc(by.Appointments, func(x Appointment) bool { return x.holds(now) }); k >= 0 {
		o.agency = by.Appointments[k].Agency
	}
	ev, err := a.decide(ctx, by, Administrators, o)
	if err != nil {
		return nil, err
	}
	ev.Detail["found"] = fmt.Sprint(len(out))
	return out, a.Records.Audit(ctx, ev)
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
			if x.Role == AP && acct.State == AccountActive {
				has[x.Agency] = true
			}
		}
	}
	out := slices.DeleteFunc(agencies, func(g Agency) bool { return has[g.Code] })
	slices.SortFunc(out, func(x, y Agency) int { return cmp.Compare(x.Code, y.Code) })
	ev.Detail["found"] = fmt.Sprint(len(out))
	return out, a.Records.Audit(ctx, ev)
}

package enrol

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Appointed is an appointment with its person.
type Appointed struct {
	Account     Account // without its appointments
	Appointment Appointment
	Setup       SetupMail // of an account that nobody has set up
}

// SetupMail is what became of the mail with a set-up code.
type SetupMail struct {
	MailedAt time.Time // zero: it was never taken
	Reply    string    // of the mail server, when it did not take the last one
	Due      bool      // one is under way
}

// States that appointments are looked up by.
const (
	AppointmentsInForce  = "IN_FORCE" // confirmed and not ended: also those that are to begin
	AppointmentsAwaiting = "AWAITING" // a second person
	AppointmentsEnded    = "ENDED"
	AppointmentsAny      = "ANY"
)

// AppointmentFilter says which appointments are wanted. "" is any.
type AppointmentFilter struct {
	Role       Role
	Agency     string
	System     string
	IC         string    // of the person
	State      string    // one of the above; "": those that have not ended
	BeforeFrom time.Time // go on behind this one; zero: from the beginning
	BeforeID   string
	Limit      int // 0: all there are
}

// detail is what the audit has of it.
func (f *AppointmentFilter) detail() map[string]string {
	return map[string]string{"role": string(f.Role), "agency": f.Agency, "system": f.System, "officer": f.IC, "state": f.State}
}

// Appointments lists who is appointed, the newest first, those whom by may see: JDN and AUDITOR
// all, an SA those of the agency. It asks the records page by page for as many as f wants.
func (a *Accounts) Appointments(ctx context.Context, by Actor, f AppointmentFilter) ([]Appointed, error) {
	now := a.Now()
	o := object{name: "appointments", agency: f.Agency, detail: f.detail()}
	// Who administers an agency may ask, also when it has nobody else.
	if k := slices.IndexFunc(by.Appointments, func(x Appointment) bool { return x.holds(now) && x.Role == SA }); k >= 0 && f.Agency == "" {
		o.agency = by.Appointments[k].Agency
	}
	ev, err := a.decide(ctx, by, Administrators, o)
	if err != nil {
		return nil, err
	}
	want := cmp.Or(f.Limit, 1<<30)
	f.Limit = min(want, 500)
	var out []Appointed
	for more := true; more && len(out) < want; {
		page, err := a.Records.AppointmentsBy(ctx, f, now)
		if err != nil {
			return nil, fmt.Errorf("reading appointments: %w", err)
		}
		for _, x := range page {
			f.BeforeFrom, f.BeforeID = x.Appointment.From, x.Appointment.ID
			if a.mayBeSeen(&by, &x, now) && len(out) < want {
				out = append(out, x)
			}
		}
		more = len(page) == f.Limit
	}
	ev.Detail["found"] = fmt.Sprint(len(out))
	return out, a.Records.Audit(ctx, ev)
}

func (a *Accounts) mayBeSeen(by *Actor, x *Appointed, now time.Time) bool {
	scoped := object{agency: x.Appointment.Agency, system: x.Appointment.System}
	_, no := judge(now, by, rules()[Administrators], &scoped)
	return no == nil
}

// AppointmentByID is one of those that [Accounts.Appointments] lists. A *[Refusal], the same for one that is
// not there and one that is not theirs to see.
func (a *Accounts) AppointmentByID(ctx context.Context, by Actor, id string) (Appointed, error) {
	acct, x, err := a.Records.Appointment(ctx, id)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return Appointed{}, fmt.Errorf("reading appointment: %w", err)
	}
	unknown := err != nil
	o := object{name: id}
	if !unknown {
		o = aboutAppointment(acct.ID, acct.IC, &x)
	}
	ev, err := a.decide(ctx, by, Administrators, o)
	if err == nil && unknown {
		err = refuse(ctx, a.Records, ev, refusal("not_registered", ErrUnknown))
	}
	if err != nil {
		return Appointed{}, err
	}
	acct.Appointments = nil
	out := Appointed{Account: acct, Appointment: x}
	if acct.State == AccountNew {
		if out.Setup, err = a.Records.SetupMail(ctx, acct.ID); err != nil {
			return out, fmt.Errorf("reading the mail of a set-up code: %w", err)
		}
	}
	return out, a.Records.Audit(ctx, ev)
}

// ResetWish is a wish to take an administrator's proofs that awaits a second person.
type ResetWish struct {
	Account Account
	By      string // Actor's Name
	At      time.Time
	Why     string
}

// Resets lists those that can still be confirmed, the newest first: JDN and AUDITOR.
func (a *Accounts) Resets(ctx context.Context, by Actor) ([]ResetWish, error) {
	ev, err := a.decide(ctx, by, Administrators, object{name: "resets"})
	if err != nil {
		return nil, err
	}
	list, err := a.Records.Resets(ctx, a.Now().Add(-ResetFor))
	if err != nil {
		return nil, fmt.Errorf("reading resets: %w", err)
	}
	ev.Detail["found"] = fmt.Sprint(len(list))
	return list, a.Records.Audit(ctx, ev)
}

// CancelReset ends such a wish; whoever may ask for one may.
func (a *Accounts) CancelReset(ctx context.Context, by Actor, id string) error {
	ev, err := a.aboutAccount(ctx, by, CancelReset, id)
	if err != nil {
		return err
	}
	asked, _, err := a.Records.ResetAsked(ctx, id)
	if err == nil {
		err = a.Records.CancelReset(ctx, id, asked, ev)
	}
	if errors.Is(err, ErrUnknown) {
		return refuse(ctx, a.Records, ev, refusal("enrolment_changed", ErrState))
	}
	return err
}

package enrol

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// NotRekey is a kind that a filter knows beside those of enrolments: all but new keys for a
// forgotten PIN, which wait for another step.
const NotRekey = "NOT_REKEY"

// MaxWaiting is how far what waits is counted.
const MaxWaiting = 1000

// Scope is what somebody looks after: one system, one agency, or, with neither, all.
type Scope struct{ System, Agency string }

// Queue is what waits for one step.
type Queue struct {
	Name    string // see queues
	State   State
	Kind    string   // "", NotRekey or Rekey
	Waiting int      // at most MaxWaiting
	More    bool     // than that
	Can     []Action // what the person may do there, each case judged again
}

// Work is what waits in one scope.
type Work struct {
	Scope
	Roles  []Role // that the person holds there, in order
	Queues []Queue
}

// queues are all of them, in the order of an enrolment's way.
func queues() []Queue {
	return []Queue{
		{Name: "admit", State: Listed},
		{Name: "confirm", State: Confirming},
		{Name: "apply", State: Confirmed},
		{Name: "validate", State: Applied, Kind: NotRekey},
		{Name: "rekey", State: Applied, Kind: string(Rekey)},
		{Name: "approve", State: Validated},
		{Name: "issue", State: Approved},
		{Name: "returned", State: Returned},
	}
}

// deeds are what administrators do to an enrolment, in the order in which it is offered.
func deeds() []Action {
	return []Action{Admit, Validate, Vouch, Approve, Return, Reject, Resend, Correct, Withdraw}
}

// Work says how much waits in each scope of a, and what a may do there. It tells of nobody,
// so nothing of it stands in the audit.
func (d *Desk) Work(ctx context.Context, a Actor) ([]Work, error) {
	roles := map[Scope][]Role{}
	for _, p := range a.Appointments {
		s := Scope{}
		switch p.Role {
		case JDN, Auditor:
		case SAP:
			s.System = p.System
		case SA, AP:
			s.Agency = p.Agency
		}
		if p.holds(d.Now()) && p.covers(&object{system: s.System, agency: s.Agency}) && !slices.Contains(roles[s], p.Role) {
			roles[s] = append(roles[s], p.Role)
		}
	}
	var out []Work
	for s, held := range roles {
		slices.Sort(held)
		w := Work{Scope: s, Roles: held}
		for _, q := range queues() {
			n, err := d.Records.Waiting(ctx, s, q.State, q.Kind, MaxWaiting+1)
			if err != nil {
				return nil, fmt.Errorf("counting what waits: %w", err)
			}
			q.Waiting, q.More, q.Can = min(n, MaxWaiting), n > MaxWaiting, q.can(held)
			w.Queues = append(w.Queues, q)
		}
		out = append(out, w)
	}
	slices.SortFunc(out, func(a, b Work) int { return cmp.Or(cmp.Compare(a.System, b.System), cmp.Compare(a.Agency, b.Agency)) })
	return out, nil
}

// can are the steps of a queue that one of these roles may take.
func (q *Queue) can(held []Role) (out []Action) {
	kind := First
	if q.Kind == string(Rekey) {
		kind = Rekey
	}
	for _, act := range deeds() {
		if slices.Contains(steps()[act].from, q.State) && kind.takes(act) &&
			slices.ContainsFunc(held, func(r Role) bool { return slices.Contains(rules()[act].roles, r) }) {
			out = append(out, act)
		}
	}
	return out
}

// Possible is a step that an enrolment waits for and somebody's role allows.
type Possible struct {
	Action Action
	Not    *Refusal // why this person cannot take it now all the same; nil: it can be tried
}

// possible says what a could do to e. It foresees what the step itself judges again, and
// records nothing.
func (d *Desk) possible(ctx context.Context, a Actor, e *Enrolment, told *Decisions, hasCopy bool) ([]Possible, error) {
	var out []Possible
	for _, act := range deeds() {
		if !slices.Contains(steps()[act].from, e.State) || !e.Kind.takes(act) {
			continue
		}
		o := about(e)
		if act == Approve {
			o.validator = e.ValidatedIC
		}
		_, no := d.judge(&a, rules()[act], &o)
		if no != nil && no.Code == "forbidden" {
			continue
		}
		var others []string
		switch act {
		case Resend:
			if no == nil {
				no = d.tooSoon(e)
			}
		case Validate:
			others = told.Mailbox
		case Approve, Vouch:
			others = append(slices.Clone(told.Mailbox), told.Validated)
		}
		if no == nil && len(others) > 0 {
			same, err := sameHand(ctx, d.Records, &a, others...)
			if err != nil {
				return nil, err
			}
			if same {
				no = refusal("same_person", ErrForbidden)
			}
		}
		out = append(out, Possible{act, no})
	}
	if hasCopy {
		o := about(e)
		if _, no := d.judge(&a, rules()[ReadCopy], &o); no == nil || no.Code != "forbidden" {
			out = append(out, Possible{ReadCopy, no})
		}
	}
	return out, nil
}

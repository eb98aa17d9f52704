package enrol

import (
	"context"

	"github.com/mohor-sign/mohor/audit"
)

// Rules, Steps and Decide show the tables to the tests that walk them.
func Rules() map[Action]rule { return rules() }

type Step struct {
	From []State
	To   State
}

func Steps() map[Action]Step {
	out := map[Action]Step{}
	for act, s := range steps() {
		out[act] = Step{s.from, s.to}
	}
	return out
}

func (d *Desk) Decide(ctx context.Context, a Actor, act Action, e *Enrolment) (audit.Event, error) {
	o := about(e)
	if act == Approve {
		o.validator = e.ValidatedIC
	}
	return d.decide(ctx, a, act, o)
}

// CheckPerson judges whom an account can be for.
var CheckPerson = checkPerson

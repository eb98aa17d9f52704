package enrol

import (
	"context"
	"errors"
	"time"

	"github.com/mohor-sign/mohor/audit"
)

// Actions about the gateway itself.
const (
	SeeHealth        Action = "health.read"
	SeeService       Action = "health.service" // whether it works, and no more
	AcknowledgeAlarm Action = "alarm.acknowledge"
)

// AlarmRecords is where alarms are kept.
type AlarmRecords interface {
	Audit(ctx context.Context, ev audit.Event) error
	// AcknowledgeAlarm notes that ev.Actor has seen to one: ErrUnknown, or ErrState when somebody
	// has before.
	AcknowledgeAlarm(ctx context.Context, id, note string, ev audit.Event) error
}

// Alarms says who may see how the gateway is.
type Alarms struct {
	Records AlarmRecords
	Now     func() time.Time
}

// See says whether a may see everything, or (all is false) whether the service works. A page asks
// every few seconds, and nothing in it is about people: only a refusal is in the audit.
func (x *Alarms) See(ctx context.Context, a Actor) (all bool, err error) {
	const what = "health"
	now := x.Now()
	ev, no := ground(now, a, SeeHealth, object{name: what})
	if no == nil {
		return true, nil
	}
	for _, p := range a.Appointments { // of whatever system or agency
		if _, no := ground(now, a, SeeService, object{name: what, system: p.System, agency: p.Agency}); no == nil {
			return false, nil
		}
	}
	return false, refuse(ctx, x.Records, ev, no)
}

// Sees says whether a may see alarms, without the audit's being told of one who may not: nobody asked.
func (x *Alarms) Sees(a Actor) bool {
	_, no := ground(x.Now(), a, SeeHealth, object{name: "alarms"})
	return no == nil
}

// SeeAlarms says whether a may see alarms.
func (x *Alarms) SeeAlarms(ctx context.Context, a Actor) error {
	ev, no := ground(x.Now(), a, SeeHealth, object{name: "alarms"})
	if no != nil {
		return refuse(ctx, x.Records, ev, no)
	}
	return nil
}

// Acknowledge notes that a sees to an alarm, with a note of what is done about it. One about an
// event ends with it; one about a part lasts until that is well.
func (x *Alarms) Acknowledge(ctx context.Context, a Actor, id, note string) error {
	ev, err := decide(ctx, x.Records, x.Now(), a, AcknowledgeAlarm, object{name: id})
	if err != nil {
		return err
	}
	if no := reasonGiven(&note, auditReason); no != nil {
		no.Field = "note"
		return refuse(ctx, x.Records, ev, no)
	}
	ev.Detail["why"] = note
	err = x.Records.AcknowledgeAlarm(ctx, id, note, ev)
	switch {
	case errors.Is(err, ErrUnknown):
		return refuse(ctx, x.Records, ev, refusal("not_found", ErrUnknown))
	case errors.Is(err, ErrState):
		return refuse(ctx, x.Records, ev, refusal("alarm_acknowledged", ErrState))
	}
	return err
}

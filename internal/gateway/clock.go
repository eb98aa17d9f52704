package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/internal/timewatch"
)

// The audit's words for the time of tokens.
const (
	timeAction = "tsa.time"
	timeObject = "tsa"
)

// watchTime has the time-stamp unit make no token while the machine's clock cannot
// be relied on. Run keeps it watched.
func (s *Server) watchTime(read func() timewatch.Reading) {
	t := &s.Config.CA.Time
	s.time = timewatch.New(timewatch.Config{Read: read, Accuracy: t.Accuracy - ca.TimeUnit, Peers: t.Peers, MaxOffset: t.MaxOffset, MaxAge: t.MaxAge, Report: s.timeChanged})
	s.ca.Time = s.time.Check
}

// timeChanged puts it on record that the time is not relied on any more, or again.
func (s *Server) timeChanged(ctx context.Context, why error) {
	ev := audit.Event{At: s.now(), Actor: "gateway", Action: timeAction, Object: timeObject, Verdict: audit.Accepted}
	if why != nil {
		ev.Verdict, ev.Detail = audit.Refused, map[string]string{"reason": why.Error()}
		s.log.Error("no time-stamps are made", "error", why)
	} else {
		s.log.Info("time-stamps are made again: the clock can be relied on")
	}
	if err := s.db.Audit(ctx, ev); err != nil {
		s.log.Error("recording the state of the clock", "error", err)
	}
}

// timePeers asks the NTP servers once, as the gateway does, and reads what the
// gateway itself recorded last.
func (d *doctor) timePeers(ctx context.Context) {
	const why = "time-stamps are refused with timeNotAvailable, and documents of B-T and above wait"
	if d.db != nil {
		switch ev, err := d.db.NewestEvent(ctx, timeObject, timeAction); {
		case errors.Is(err, ca.ErrUnknown): // nothing ever happened
		case err != nil:
			d.fault(err.Error(), "what the gateway says of its clock cannot be read", "put the database back from the last backup")
		case ev.Verdict == audit.Refused && d.pid != 0:
			d.fault(fmt.Sprintf("the gateway makes no time-stamps since %s: %s", day(ev.At), ev.Detail["reason"]), why, "set the clock right and let a time service keep it (chronyc tracking); the gateway goes on by itself")
		}
	}
	t := d.config.CA.Time
	if wrong, _ := t.check(); !d.readable || len(t.Peers) == 0 || wrong != "" {
		return
	}
	agree := 0
	var others []string
	for _, a := range timewatch.Survey(ctx, timewatch.AskNTP, t.Peers, t.MaxOffset) {
		switch {
		case a.Agrees:
			agree++
		case a.Err != nil:
			others = append(others, fmt.Sprintf("%s: %v", a.Peer, a.Err))
		default:
			others = append(others, fmt.Sprintf("%s: the clock is wrong by %s", a.Peer, (-a.Offset).Round(time.Millisecond)))
		}
	}
	what := fmt.Sprintf("%d of %d peers of ca.time agree with the clock to %s", agree, len(t.Peers), t.MaxOffset)
	if len(others) > 0 {
		what += " (" + strings.Join(others, "; ") + ")"
	}
	const fix = "let UDP port 123 through to them, or set the clock; chronyc tracking shows what keeps it"
	switch {
	case agree <= len(t.Peers)/2:
		d.fault(what+"; more than half must", why, fix)
	case len(others) > 0:
		d.warning(what, "when more than half do not, "+why, fix)
	default:
		d.ok("%s", what)
	}
}

package health

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/ident"
)

const (
	tick = 5 * time.Second
	// grace is what a look that keeps its deadline may be late by.
	grace = 500 * time.Millisecond
	// inARow is how many looks must agree before an alarm is raised or cleared.
	inARow = 2
	// deserted is after how long the alarm of a gateway that says nothing any more ends.
	deserted = 24 * time.Hour
	// holdEvery is how often gateways say that they see the fault of a shared alarm; when none has
	// for released, who sees the part well ends it.
	holdEvery = time.Minute
	released  = 3 * time.Minute
)

// Monitor looks at the parts of one gateway. Set its fields, then Run.
type Monitor struct {
	// Node names this gateway, also after its next start.
	Node    string
	Checks  []Check
	Records Records
	// AlarmTo are mailed each alarm.
	AlarmTo []string
	Now     func() time.Time
	Log     *slog.Logger

	mu     sync.Mutex
	states map[string]*state
	open   int

	holds map[string]hold // by shared alarm; for settle alone
}

// hold is what was last said of a shared alarm, and since when nothing else was, by this gateway's
// clock: clocks that differ may be why gateways disagree.
type hold struct{ said, since time.Time }

// state is what is known of one check. It is under Monitor.mu.
type state struct {
	report    Report
	running   bool
	next      time.Time // of the next look, by the machine's clock
	bad, good int       // looks in a row
	// due is the fault that an alarm is, or is to be, about; over when it had ended.
	due  *Report
	over time.Time
}

// Run looks until ctx ends. It does not wait for looks that hang.
func (m *Monitor) Run(ctx context.Context) {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		m.start(ctx, time.Now())
		m.settle(ctx)
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// Round makes every look once, waits for them and brings the alarms up to date.
func (m *Monitor) Round(ctx context.Context) {
	for _, done := range m.start(ctx, time.Now().Add(24*time.Hour)) {
		select {
		case <-done:
		case <-ctx.Done():
		}
	}
	m.settle(ctx)
}

// start begins the looks that are due at a time.
func (m *Monitor) start(ctx context.Context, at time.Time) (begun []<-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.states == nil {
		m.states = make(map[string]*state, len(m.Checks))
	}
	for k := range m.Checks {
		c := &m.Checks[k]
		s := m.states[c.ID]
		if s == nil {
			s = &state{report: Report{ID: c.ID, Group: c.Group, Finding: Finding{State: Unknown, Code: "waits"}, Since: m.Now()}}
			m.states[c.ID] = s
		}
		if s.running || at.Before(s.next) {
			continue
		}
		s.running, s.next = true, time.Now().Add(c.Every)
		begun = append(begun, m.look(ctx, c, s))
	}
	return begun
}

// look makes one look on its own. What does not come back in time is said at once, and the
// check is not made again before it has come back.
func (m *Monitor) look(ctx context.Context, c *Check, s *state) <-chan struct{} {
	known, began := make(chan struct{}), time.Now()
	answer := make(chan Finding, 1)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, c.Within)
		defer cancel()
		answer <- m.ask(ctx, c)
	}()
	go func() {
		late := time.NewTimer(c.Within + grace)
		defer late.Stop()
		var f Finding
		select {
		case f = <-answer:
			m.put(ctx, s, f, time.Since(began), false)
			close(known)
			return
		case <-late.C:
			m.put(ctx, s, silent(c), time.Since(began), true)
			close(known)
		}
		m.put(ctx, s, <-answer, time.Since(began), false)
	}()
	return known
}

// ask is c.Ask; a check that panics must not end the gateway.
func (m *Monitor) ask(ctx context.Context, c *Check) (f Finding) {
	defer func() {
		if p := recover(); p != nil {
			m.Log.Error("a health check failed", "check", c.ID, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			f = Finding{State: Unknown, Code: "broken"}
		}
	}()
	return c.Ask(ctx)
}

func silent(c *Check) Finding {
	if c.Silent != "" {
		return Finding{State: Fail, Code: c.Silent, Args: map[string]string{"seconds": fmt.Sprint(int(c.Within.Seconds()))}}
	}
	return Finding{State: Unknown, Code: "silent", Args: map[string]string{"seconds": fmt.Sprint(int(c.Within.Seconds()))}}
}

// put notes a finding, unless it is that of a gateway that stops.
func (m *Monitor) put(ctx context.Context, s *state, f Finding, took time.Duration, running bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.running = running
	if ctx.Err() != nil {
		return
	}
	now := m.Now()
	if f.State != s.report.State || s.report.At.IsZero() {
		if f.State == Fail || s.report.State == Fail {
			m.Log.Warn("health", "check", s.report.ID, "state", f.State, "was", s.report.State, "code", f.Code)
		}
		s.report.Since = now
	}
	s.report.Finding, s.report.At, s.report.Took = f, now, took
	switch f.State {
	case Fail:
		s.bad, s.good = s.bad+1, 0
		if s.bad >= inARow && (s.due == nil || !s.over.IsZero()) {
			due := s.report
			s.due, s.over = &due, time.Time{}
		}
	case OK, Warn:
		s.bad, s.good = 0, s.good+1
		if s.good >= inARow && s.due != nil && s.over.IsZero() {
			s.over = s.report.Since
		}
	}
}

// Reports is what is known now, in the order of the checks.
func (m *Monitor) Reports() []Report {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]Report, 0, len(m.Checks))
	for _, c := range m.Checks {
		r := Report{ID: c.ID, Group: c.Group, Finding: Finding{State: Unknown, Code: "waits"}}
		if s := m.states[c.ID]; s != nil {
			r = s.report
			r.Args, r.Values = maps.Clone(r.Args), slices.Clone(r.Values)
		}
		out = append(out, r)
	}
	return out
}

// Open is how many alarms last that nobody has acknowledged, as of the last look.
func (m *Monitor) Open() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.open
}

// Acknowledged has Open count one less before the next look does.
func (m *Monitor) Acknowledged() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open = max(0, m.open-1)
}

// settle raises and clears alarms. What the database does not take now it is told the next
// time, with the times at which it was.
func (m *Monitor) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, tick)
	defer cancel()
	open, err := m.Records.OpenAlarms(ctx)
	if err == nil {
		m.follow(open)
		err = m.keep(ctx, open)
	} else {
		m.holds = nil // the others may have been kept from saying anything as well
	}
	if err == nil {
		err = m.Records.TellAlarms(ctx, m.AlarmTo, m.Now())
	}
	if err != nil && ctx.Err() == nil {
		m.Log.Error("keeping alarms", "error", err)
	}
}

// follow notes what gateways say of the alarms that they share.
func (m *Monitor) follow(open []Alarm) {
	now, holds := m.Now(), make(map[string]hold)
	for _, a := range open {
		if a.Node != "" || a.Object != "" {
			continue
		}
		h, known := m.holds[a.ID]
		if !known || !h.said.Equal(a.HeldAt) {
			h = hold{a.HeldAt, now}
		}
		holds[a.ID] = h
	}
	m.holds = holds
}

// standing is a check that is to have an alarm, or has one and is not to any more.
type standing struct {
	id, node string
	due      *Report
	over     time.Time
	well     bool
	sees     bool      // the fault, as of the last look that could tell
	since    time.Time // of the state
}

// ended: this gateway sees no fault any more.
func (x *standing) ended() bool { return x.due != nil && !x.over.IsZero() || x.due == nil && x.well }

func (m *Monitor) keep(ctx context.Context, open []Alarm) error {
	type key struct{ check, node string }
	lasting := map[key]*Alarm{}
	news := 0
	for k := range open {
		a := &open[k]
		if a.Object == "" {
			lasting[key{a.Check, a.Node}] = a
		}
		if a.By == "" {
			news++
		}
	}
	for _, x := range m.standings(news) {
		if err := m.keepOne(ctx, &x, lasting[key{x.id, x.node}]); err != nil {
			return err
		}
		if !x.over.IsZero() {
			m.forget(x.id, x.over)
		}
	}
	return m.others(ctx)
}

// keepOne raises, holds or clears a check's alarm; a is nil when none lasts.
func (m *Monitor) keepOne(ctx context.Context, x *standing, a *Alarm) error {
	quiet := time.Duration(-1) // how long nobody has held a shared alarm
	switch {
	case a != nil && x.node == "":
		quiet = m.Now().Sub(m.holds[a.ID].since)
	case a == nil && x.due != nil:
		a = &Alarm{ID: ident.New("al", 16), Check: x.id, Node: x.node, Code: x.due.Code, Args: x.due.Args, RaisedAt: x.due.Since}
		if err := m.Records.RaiseAlarm(ctx, *a, m.event("alarm.raise", *a)); err != nil {
			return err
		}
		m.Log.Error("alarm", "alarm", a.ID, "check", a.Check, "node", a.Node, "code", a.Code)
	}
	switch {
	case a == nil:
		return nil
	case x.ended() && (quiet < 0 || quiet >= released):
		return m.clear(ctx, x, a)
	case x.sees && quiet >= holdEvery:
		return m.Records.HoldAlarm(ctx, a.ID, m.Now())
	}
	return nil
}

// clear ends an alarm as of when the fault was over: not before it was last seen by any.
func (m *Monitor) clear(ctx context.Context, x *standing, a *Alarm) error {
	ev := m.event("alarm.clear", Alarm{ID: a.ID, Check: x.id, Node: x.node})
	switch {
	case x.node == "" && !x.since.Before(a.HeldAt) && x.since.Before(ev.At):
		ev.At = x.since
	case x.node != "" && !x.over.IsZero():
		ev.At = x.over
	}
	if err := m.Records.ClearAlarm(ctx, a.ID, ev); err != nil {
		return err
	}
	m.Log.Info("alarm is over", "alarm", a.ID, "check", x.id, "node", x.node)
	return nil
}

func (m *Monitor) standings(news int) (out []standing) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open = news
	for _, c := range m.Checks {
		s := m.states[c.ID]
		if s == nil {
			continue
		}
		x := standing{id: c.ID, node: m.Node, due: s.due, over: s.over, well: s.good >= inARow, sees: s.due != nil && s.good == 0, since: s.report.Since}
		if c.Shared {
			x.node = ""
		}
		out = append(out, x)
	}
	return out
}

// forget ends what was over at a time, unless it began anew since.
func (m *Monitor) forget(id string, over time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.states[id]; s.over.Equal(over) {
		s.due, s.over = nil, time.Time{}
	}
}

// others sees to the alarms of gateways: our own are confirmed, those of gateways that are
// no more end.
func (m *Monitor) others(ctx context.Context) error {
	now := m.Now()
	if err := m.Records.ConfirmAlarms(ctx, m.Node, now); err != nil {
		return err
	}
	gone, err := m.Records.DesertedAlarms(ctx, now.Add(-deserted))
	if err != nil {
		return err
	}
	for _, a := range gone {
		ev := m.event("alarm.clear", a)
		ev.Detail["reason"] = "the node is gone"
		if err := m.Records.ClearAlarm(ctx, a.ID, ev); err != nil {
			return err
		}
	}
	return nil
}

func (m *Monitor) event(action string, a Alarm) audit.Event {
	ev := audit.Event{At: m.Now(), Actor: "gateway", Action: action, Object: a.ID, Verdict: audit.Noted, Detail: map[string]string{"check": a.Check}}
	for name, v := range map[string]string{"node": a.Node, "code": a.Code} {
		if v != "" {
			ev.Detail[name] = v
		}
	}
	return ev
}

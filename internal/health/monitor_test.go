package health_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/health"
)

// records keeps alarms in memory, unless it is away.
type records struct {
	away error
	all  []health.Alarm
	acts []string
	told int
}

func (r *records) OpenAlarms(context.Context) (out []health.Alarm, err error) {
	for _, a := range r.all {
		if a.ClearedAt.IsZero() {
			out = append(out, a)
		}
	}
	return out, r.away
}

func (r *records) RaiseAlarm(_ context.Context, a health.Alarm, ev audit.Event) error {
	if r.away == nil {
		a.HeldAt = ev.At
		r.all, r.acts = append(r.all, a), append(r.acts, ev.Action)
	}
	return r.away
}

func (r *records) ClearAlarm(_ context.Context, id string, ev audit.Event) error {
	for k := range r.all {
		if r.all[k].ID == id {
			r.all[k].ClearedAt = ev.At
			r.acts = append(r.acts, ev.Action)
		}
	}
	return r.away
}

func (r *records) HoldAlarm(_ context.Context, id string, at time.Time) error {
	for k := range r.all {
		if r.all[k].ID == id && r.away == nil {
			r.all[k].HeldAt = at
		}
	}
	return r.away
}

func (r *records) ConfirmAlarms(context.Context, string, time.Time) error { return r.away }
func (r *records) DesertedAlarms(context.Context, time.Time) ([]health.Alarm, error) {
	return nil, r.away
}

func (r *records) TellAlarms(context.Context, []string, time.Time) error {
	r.told++
	return r.away
}

func monitor(r *records, checks ...health.Check) *health.Monitor {
	for k := range checks {
		checks[k].Every, checks[k].Within = 4*time.Second, 3*time.Second
	}
	return &health.Monitor{Node: "gw1", Checks: checks, Records: r, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
}

func report(m *health.Monitor, id string) health.Report {
	for _, r := range m.Reports() {
		if r.ID == id {
			return r
		}
	}
	return health.Report{}
}

// One part that hangs is told as that, is not asked again meanwhile, and keeps no other from
// being seen; one whose check panics is unknown.
func TestWhatHangsIsToldAndHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked, others atomic.Int32
		free := make(chan struct{})
		m := monitor(&records{},
			health.Check{ID: "hangs", Silent: "hsm.silent", Ask: func(context.Context) health.Finding {
				asked.Add(1)
				<-free // whatever its context says
				return health.Finding{State: health.OK, Code: "hsm.ok"}
			}},
			health.Check{ID: "late", Ask: func(ctx context.Context) health.Finding {
				<-ctx.Done()
				<-free
				return health.Finding{State: health.OK}
			}},
			health.Check{ID: "panics", Ask: func(context.Context) health.Finding { panic("no such thing") }},
			health.Check{ID: "well", Ask: func(context.Context) health.Finding {
				others.Add(1)
				return health.Finding{State: health.OK}
			}})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { m.Run(ctx); close(ended) }()
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if r := report(m, "hangs"); r.State != health.Fail || r.Code != "hsm.silent" || asked.Load() != 1 {
			t.Errorf("asked %d times: %+v", asked.Load(), r)
		}
		if r := report(m, "late"); r.State != health.Unknown || r.Code != "silent" || r.Args["seconds"] != "3" {
			t.Errorf("%+v", r)
		}
		if r := report(m, "panics"); r.State != health.Unknown || r.Code != "broken" {
			t.Errorf("%+v", r)
		}
		if r := report(m, "well"); r.State != health.OK || others.Load() < 6 {
			t.Errorf("asked %d times: %+v", others.Load(), r)
		}
		close(free)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if r := report(m, "hangs"); r.State != health.OK {
			t.Errorf("it came back: %+v", r)
		}
		stop()
		<-ended
	})
}

// A fault that came and went while the database was away is on record afterwards, with its times.
func TestAlarmsOfAnOutageOfTheDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := health.OK
		r := &records{}
		m := monitor(r, health.Check{ID: "database", Ask: func(context.Context) health.Finding {
			return health.Finding{State: state, Code: "database.fails"}
		}})
		look := func() { m.Round(t.Context()); time.Sleep(time.Second) }
		look()
		state, r.away = health.Fail, errors.New("away")
		began := time.Now()
		look()
		look()
		state = health.OK
		over := time.Now()
		look()
		look()
		if len(r.all) != 0 {
			t.Fatalf("%+v", r.all)
		}
		r.away = nil
		look()
		if len(r.all) != 1 || !r.all[0].RaisedAt.Equal(began) || !r.all[0].ClearedAt.Equal(over) || !slices.Equal(r.acts, []string{"alarm.raise", "alarm.clear"}) {
			t.Fatalf("%+v %v, want %s to %s", r.all, r.acts, began, over)
		}
		look()
		if len(r.all) != 1 || r.told == 0 {
			t.Errorf("%+v, told %d times", r.all, r.told)
		}
		// Once is no alarm; unknown is neither a fault nor its end.
		state = health.Fail
		look()
		state = health.Unknown
		look()
		state = health.OK
		look()
		if len(r.all) != 1 {
			t.Errorf("%+v", r.all)
		}
	})
}

// While the database is away no gateway can say what it sees: that is no end of a shared alarm.
func TestSharedAlarmOutlastsAnOutageOfTheDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &records{}
		gateway := func(state health.State) *health.Monitor {
			return monitor(r, health.Check{ID: "crl", Shared: true, Ask: func(context.Context) health.Finding {
				return health.Finding{State: state, Code: "crl.stale"}
			}})
		}
		bad, well := gateway(health.Fail), gateway(health.OK)
		rounds := func(n int) {
			for range n {
				well.Round(t.Context()) // who would end it comes first
				bad.Round(t.Context())
				time.Sleep(30 * time.Second)
			}
		}
		rounds(4)
		r.away = errors.New("away")
		rounds(20)
		r.away = nil
		rounds(20)
		if !slices.Equal(r.acts, []string{"alarm.raise"}) {
			t.Errorf("%v", r.acts)
		}
	})
}

// Each code has its words in both languages, with the same arguments, and what is wrong says what to do.
func TestWords(t *testing.T) {
	arguments := regexp.MustCompile(`\{[a-z]+\}`)
	for code := range maps.Keys(health.Sayings()) {
		ms, fixMS, _ := health.Say(code, nil, false)
		en, fixEN, command := health.Say(code, nil, true)
		if ms == "" || en == "" || ms == en || (fixMS == "") != (fixEN == "") || fixMS == "" && command != "" {
			t.Errorf("%s: %q %q %q %q", code, ms, en, fixMS, fixEN)
		}
		for _, pair := range [][2]string{{ms, en}, {fixMS, fixEN}} {
			a, b := arguments.FindAllString(pair[0], -1), arguments.FindAllString(pair[1], -1)
			slices.Sort(a)
			slices.Sort(b)
			if !slices.Equal(a, b) {
				t.Errorf("%s: %v in Malay, %v in English", code, a, b)
			}
		}
	}
	if text, _, _ := health.Say("redis.fails", map[string]string{"reason": "refused"}, true); text[:59] != "Redis cannot be used: the connection is refused. A batch th"[:59] {
		t.Errorf("%q", text)
	}
}

package timewatch_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/mohor-sign/mohor/internal/timewatch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// machine is a machine whose clocks a test moves.
type machine struct {
	mu   sync.Mutex
	now  timewatch.Reading
	said []string // what was reported; "" for all well
}

func newMachine() *machine {
	return &machine{now: timewatch.Reading{Wall: time.Date(2026, 7, 15, 9, 0, 0, 0, time.UTC), Boot: 3 * time.Hour, Mono: time.Hour, Raw: time.Hour, Synchronised: true}}
}

func (m *machine) read() timewatch.Reading {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

func (m *machine) report(_ context.Context, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	text := ""
	if err != nil {
		text = err.Error()
	}
	m.said = append(m.said, text)
}

func (m *machine) move(f func(r *timewatch.Reading)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(&m.now)
}

// run lets time go by, at a rate that differs from the oscillator's by so many ppm.
func (m *machine) run(d time.Duration, ppm time.Duration) {
	m.move(func(r *timewatch.Reading) {
		with := d + d*ppm/1_000_000
		r.Wall, r.Boot, r.Mono, r.Raw = r.Wall.Add(with), r.Boot+with, r.Mono+with, r.Raw+d
	})
}

// set sets the clock, after which the kernel calls it unsynchronised.
func (m *machine) set(d time.Duration) {
	m.move(func(r *timewatch.Reading) { r.Wall, r.Synchronised = r.Wall.Add(d), false })
}

func (m *machine) synchronised(is bool) {
	m.move(func(r *timewatch.Reading) { r.Synchronised = is })
}

func (m *machine) watch(edit func(c *timewatch.Config)) *timewatch.Watch {
	c := timewatch.Config{Read: m.read, Accuracy: time.Second, Report: m.report}
	if edit != nil {
		edit(&c)
	}
	return timewatch.New(c)
}

// wants checks the verdict: "" for all well, else a part of its reason.
func wants(t *testing.T, w *timewatch.Watch, what, reason string) {
	t.Helper()
	err := w.Check()
	if reason == "" && err != nil || reason != "" && (!errors.Is(err, timewatch.ErrTime) || !strings.Contains(err.Error(), reason)) {
		t.Errorf("%s: %v, want %q", what, err, reason)
	}
}

func TestSteps(t *testing.T) {
	m := newMachine()
	w := m.watch(nil)
	m.run(40*24*time.Hour, 100) // an oscillator as they are, and a month's end
	wants(t, w, "after a month", "")
	w.Poll(t.Context())
	m.set(900 * time.Millisecond)
	wants(t, w, "set by less than the accuracy", "")
	m.set(200 * time.Millisecond)
	wants(t, w, "and again", "set by 1.1s since")
	for range 3 {
		m.run(time.Hour, 0)
		w.Poll(t.Context())
	}
	wants(t, w, "not explained", "set by 1.1s")
	m.synchronised(true)
	wants(t, w, "before anybody looked", "set by 1.1s")
	w.Poll(t.Context())
	wants(t, w, "a time service has seen to it", "")
	m.set(-time.Hour)
	wants(t, w, "an hour back", "set by -1h0m0s")
	m.set(time.Hour)
	wants(t, w, "undone", "")
	w.Poll(t.Context())
	if got := strings.Join(m.said, "|"); strings.Count(got, "|") != 3 || !strings.Contains(got, "1.1s") || !strings.Contains(got, "|the time cannot be relied on: the clock was set by -1h0m0s") || !strings.HasSuffix(got, "|") {
		t.Errorf("reported %q", m.said)
	}
	// What the kernel knows of is no step; what it does not is seen by peers alone.
	m.move(func(r *timewatch.Reading) { r.Wall, r.Boot = r.Wall.Add(9*time.Hour), r.Boot+9*time.Hour })
	wants(t, w, "suspended", "")
}

func TestLeapSeconds(t *testing.T) {
	m := newMachine()
	m.move(func(r *timewatch.Reading) { r.Wall = time.Date(2026, 12, 31, 23, 59, 30, 0, time.UTC) })
	w := m.watch(nil)
	w.Poll(t.Context())
	m.run(31*time.Second, 0)
	m.set(-time.Second) // the kernel repeats 23:59:59
	m.run(time.Millisecond, 0)
	m.set(-300 * time.Millisecond)
	wants(t, w, "a leap second", "")
	m.set(-800 * time.Millisecond)
	wants(t, w, "more than that", "set by -2.1s")
	m.set(1100 * time.Millisecond)
	m.synchronised(true)
	w.Poll(t.Context())
	m.run(time.Minute, 0)
	w.Poll(t.Context())
	m.set(-1200 * time.Millisecond)
	wants(t, w, "no second one", "set by -1.2s")
}

func TestSlews(t *testing.T) {
	m := newMachine()
	w := m.watch(nil)
	m.run(10*time.Second, 80_000) // as chrony does it
	wants(t, w, "the first 0.8 s", "")
	m.run(10*time.Second, 80_000)
	wants(t, w, "1.6 s", "slewed by 1.6s")
	w.Poll(t.Context())
	wants(t, w, "called synchronised, and slewing", "slewed by 1.6s")
	m.run(10*time.Second, 80_000)
	w.Poll(t.Context())
	m.run(time.Minute, 30)
	wants(t, w, "before anybody looked", "slewed by")
	w.Poll(t.Context())
	wants(t, w, "at rest and synchronised", "")
	// Nobody says that it is synchronised.
	m.synchronised(false)
	m.run(time.Minute, -30_000)
	m.run(time.Minute, 0)
	w.Poll(t.Context())
	wants(t, w, "slewed by nobody", "slewed by -1.8s")
}

// All that can be wrong is added up: the accuracy is never stated for less.
func TestDoubtsAddUp(t *testing.T) {
	exact := func(offset, distance time.Duration) func() (timewatch.Answer, error) {
		return func() (timewatch.Answer, error) { return timewatch.Answer{Offset: offset, Distance: distance}, nil }
	}
	m := newMachine()
	c := crowd{"a": exact(0, 300*time.Millisecond), "b": exact(-200*time.Millisecond, 300*time.Millisecond), "c": exact(300*time.Millisecond, 300*time.Millisecond)}
	w := c.watch(m)
	w.Poll(t.Context())
	wants(t, w, "0.5 s at most, one in doubt", "")
	m.set(-400 * time.Millisecond)
	wants(t, w, "0.7 s: right by the second, wrong by the first", "")
	m.run(4*time.Second, 0)
	m.set(800 * time.Millisecond)
	wants(t, w, "0.9 s", "")
	m.run(time.Minute, 1000) // slewed by 60 ms
	wants(t, w, "0.96 s and an oscillator of 500 ppm for a minute", "")
	m.run(30*time.Second, 0)
	wants(t, w, "and a half", "may be wrong by 1.00")
	w.Poll(t.Context())
	wants(t, w, "they agree", "")
	c["a"] = exact(0, 501*time.Millisecond)
	m.run(30*time.Minute, 0)
	w.Poll(t.Context())
	wants(t, w, "an answer whose error hides the bound is none", "may be wrong by")
}

// crowd answers for peers by their names.
type crowd map[string]func() (timewatch.Answer, error)

func (c crowd) ask(_ context.Context, peer string) (timewatch.Answer, error) { return c[peer]() }

func says(offset time.Duration) func() (timewatch.Answer, error) {
	return func() (timewatch.Answer, error) { return timewatch.Answer{Offset: offset}, nil }
}

func fails(err error) func() (timewatch.Answer, error) {
	return func() (timewatch.Answer, error) { return timewatch.Answer{}, err }
}

func (c crowd) watch(m *machine) *timewatch.Watch {
	return m.watch(func(o *timewatch.Config) {
		o.Peers, o.MaxOffset, o.MaxAge, o.Ask = []string{"a", "b", "c"}, 500*time.Millisecond, 30*time.Minute, c.ask
	})
}

func TestPeers(t *testing.T) {
	dead := fails(errors.New("no answer"))
	late := func() (timewatch.Answer, error) { return timewatch.Answer{Distance: time.Second}, nil }
	m := newMachine()
	c := crowd{"a": dead, "b": dead, "c": says(0)}
	w := c.watch(m)
	poll := func(a, b, o func() (timewatch.Answer, error)) {
		c["a"], c["b"], c["c"] = a, b, o
		w.Poll(t.Context())
	}
	wants(t, w, "before the first answer", "not yet agreed")
	poll(dead, dead, says(0))
	wants(t, w, "one of three", "not yet agreed")
	poll(late, late, says(0))
	wants(t, w, "two too late", "not yet agreed")
	poll(says(-400*time.Millisecond), dead, says(300*time.Millisecond))
	wants(t, w, "two of three", "")
	m.run(19*time.Minute, 0)
	poll(dead, says(0), says(7*time.Hour))
	wants(t, w, "no majority for 19 minutes", "")
	m.run(10*time.Minute, 0) // 0.4 s, and 0.87 of an oscillator that nobody keeps
	wants(t, w, "for 29 minutes", "may be wrong by 1.27s: most of its peers agreed with it at 2026-07-15T09:00:00Z")
	m.run(61*time.Second, 0)
	wants(t, w, "for more than 30 minutes", "agreed with it last at 2026-07-15T09:00:00Z")
	poll(says(time.Millisecond), says(0), says(7*time.Hour))
	wants(t, w, "one liar", "")
	poll(says(-3*time.Second), says(0), says(-3200*time.Millisecond))
	wants(t, w, "two say that it is wrong", "2 of 3 peers say that the clock is wrong, by about 3.2s")
	poll(dead, dead, dead)
	wants(t, w, "then silence", "2 of 3 peers")
	// The virtual machine stood still for an hour: its clocks do not know.
	poll(says(0), says(0), says(0))
	wants(t, w, "agreed", "")
	poll(says(time.Hour), says(time.Hour), says(time.Hour))
	wants(t, w, "resumed", "by about -1h0m0s")
	m.set(time.Hour)
	wants(t, w, "set right", "set by 1h0m0s")
	poll(says(0), says(0), says(0))
	wants(t, w, "and the peers agree", "")
	// An offset that is allowed and a step that is allowed are not, together.
	poll(says(400*time.Millisecond), says(400*time.Millisecond), dead)
	m.set(-700 * time.Millisecond)
	wants(t, w, "apart by 0.4 s, then set back by 0.7", "set by -1.1s")
	// Set while they were asked.
	poll(says(0), says(0), func() (timewatch.Answer, error) { m.set(5 * time.Second); return says(0)() })
	wants(t, w, "set meanwhile", "set by")
}

func TestKissOfDeath(t *testing.T) {
	m := newMachine()
	asked := 0
	kiss := func(code string) func() (timewatch.Answer, error) {
		return func() (timewatch.Answer, error) { asked++; return timewatch.Answer{}, &timewatch.KissError{Code: code} }
	}
	c := crowd{"a": says(0), "b": says(0), "c": kiss("RATE")}
	w := c.watch(m)
	after := func(d time.Duration, want int) {
		t.Helper()
		m.run(d, 0)
		w.Poll(t.Context())
		if asked != want {
			t.Errorf("asked %d times, want %d", asked, want)
		}
	}
	after(0, 1)
	after(119*time.Second, 1)
	after(time.Second, 2)
	after(239*time.Second, 2)
	after(time.Second, 3)
	wants(t, w, "by the others", "")
	c["c"] = kiss("DENY")
	after(time.Hour, 4)
	after(59*time.Minute, 4)
	after(time.Minute, 5)
}

// Run asks at once, again after a while, and soon when there is a finding; never
// sooner than a peer may be asked.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		start := time.Now()
		var polls []time.Duration
		offset := time.Duration(0)
		c := crowd{"a": func() (timewatch.Answer, error) {
			polls = append(polls, time.Since(start))
			return timewatch.Answer{Offset: offset}, nil
		}, "b": says(0), "c": says(0)}
		w := c.watch(m)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { w.Run(ctx); close(done) }()
		synctest.Wait()
		wants(t, w, "at once", "")
		time.Sleep(5 * time.Second)
		m.set(time.Minute)
		wants(t, w, "set", "set by 1m0s")
		time.Sleep(11 * time.Second)
		synctest.Wait()
		wants(t, w, "asked again", "")
		time.Sleep(225 * time.Second)
		synctest.Wait()
		stop()
		<-done
		want := []time.Duration{0, 16 * time.Second, 241 * time.Second}
		if len(polls) != len(want) || polls[1] != want[1] || polls[2] != want[2] {
			t.Errorf("asked at %v, want %v", polls, want)
		}
	})
}

func TestMachine(t *testing.T) {
	a, b := timewatch.Machine(), timewatch.Machine()
	if b.Boot < a.Boot || b.Mono < a.Mono || b.Raw < a.Raw || a.Boot <= 0 || time.Until(b.Wall).Abs() > time.Hour {
		t.Errorf("%+v, then %+v", a, b)
	}
}

func BenchmarkCheck(b *testing.B) {
	w := timewatch.New(timewatch.Config{Read: timewatch.Machine, Accuracy: time.Second, Report: func(context.Context, error) {}})
	for b.Loop() {
		if err := w.Check(); err != nil {
			b.Fatal(err)
		}
	}
}

package storetest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/health"
)

// watcher is one of several gateways that look at the same: what is shared, and its own way to it.
type watcher struct {
	*health.Monitor
	state health.State
}

func (h *House) watcher(node string, ahead time.Duration) *watcher {
	w := &watcher{state: health.OK}
	ask := func(context.Context) health.Finding { return health.Finding{State: w.state, Code: "redis.fails"} }
	w.Monitor = &health.Monitor{Node: node, Records: h.DB, AlarmTo: []string{"jaga@jdn.example"}, Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return h.Clock.Now().Add(ahead) },
		Checks: []health.Check{
			{ID: "shared", Shared: true, Every: time.Minute, Within: 5 * time.Second, Ask: ask},
			{ID: "own", Every: time.Minute, Within: 5 * time.Second, Ask: ask},
		}}
	return w
}

// Gateways that disagree about a part, also because their clocks do: one alarm for what they share,
// one for the gateway's own way, each told once, and over when no gateway that lives sees a fault.
func alarmsDisagree(t *testing.T, h *House) {
	ctx := context.Background()
	h.drain(t)
	one, two := h.watcher("gw1", 0), h.watcher("gw2", 10*time.Minute)
	rounds := func(n int, watchers ...*watcher) {
		for range n {
			for _, w := range watchers {
				w.Round(ctx)
			}
			h.Clock.Advance(time.Minute)
		}
	}
	is := func(when string, open, mails, raised, cleared int) {
		t.Helper()
		list, err := h.DB.OpenAlarms(ctx)
		must(t, err)
		if len(list) != open {
			t.Errorf("%s: %+v", when, list)
		}
		if got := h.drain(t); len(got) != mails {
			t.Errorf("%s: %d mails, want %d: %+v", when, len(got), mails, got)
		}
		if r, c := h.events(t, "alarm.raise"), h.events(t, "alarm.clear"); r != raised || c != cleared {
			t.Errorf("%s: raised %d times and cleared %d times, want %d and %d", when, r, c, raised, cleared)
		}
	}
	is("before", 0, 0, 0, 0)
	one.state = health.Fail
	rounds(10, one, two)
	is("ten rounds", 2, 2, 2, 0)
	one.state = health.Unknown // which is no end of it
	rounds(10, two, one)
	is("one cannot tell", 2, 0, 2, 0)
	two.state = health.Fail
	rounds(2, one, two)
	is("both see it", 3, 1, 3, 0) // gw2's own way is away, too
	one.state = health.OK
	rounds(10, one, two)
	is("one is well", 2, 0, 3, 1)
	began := two.Now()
	two.state = health.OK
	rounds(2, one, two)
	is("all are well, but since a moment", 1, 0, 3, 2)
	rounds(4, two, one)
	is("all are well", 0, 0, 3, 3)
	over, err := h.DB.ClearedAlarms(ctx, time.Time{}, "", 3)
	must(t, err)
	for _, a := range over {
		if a.Check == "shared" && (a.ClearedAt.Before(began.Add(-time.Minute)) || a.ClearedAt.After(began.Add(time.Minute))) {
			t.Errorf("over at %s, want about %s", a.ClearedAt, began)
		}
	}

	// Who has raised it is no more: those that live decide.
	one.state = health.Fail
	rounds(3, one, two)
	is("again", 2, 2, 5, 3)
	rounds(5, two)
	is("and gone", 1, 0, 5, 4) // its own alarm stays for a day
	two.state = health.Fail
	rounds(2, two)
	is("it fails anew", 3, 2, 7, 4)
}
